"""The tiers' lines are only as true as the counts read from each runner's report."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

import counts

RULE = "-" * 70


def block(ran, verdict):
	return f"..F.\n{RULE}\nRan {ran} tests in 4.2s\n\n{verdict}\n"


@pytest.mark.parametrize(
	("verdict", "expected"),
	[
		("OK", (9, 0, 0)),
		("OK (skipped=2)", (7, 0, 2)),
		("FAILED (failures=1, errors=2, skipped=3)", (3, 3, 3)),
		("OK (skipped=1, expected failures=2)", (8, 0, 1)),
		("FAILED (unexpected successes=1)", (8, 1, 0)),
	],
)
def test_unittest_output(verdict, expected):
	assert counts.unittest(f"noise\n{block(9, verdict)}more noise") == expected


def test_several_blocks_are_added_up():
	assert counts.unittest(block(5, "OK") + block(4, "FAILED (errors=1)")) == (8, 1, 0)


@pytest.mark.parametrize(
	("output", "reason"),
	[
		("", "no result"),
		("Traceback (most recent call last):\nImportError: no module", "no result"),
		("Ran 5 tests in 1.0s\n\nKilled", "ended before its result"),
		(block(5, "FAILED"), "without naming"),
	],
)
def test_a_run_without_a_result_is_an_error(output, reason):
	with pytest.raises(ValueError, match=reason):
		counts.unittest(output)


def test_a_block_does_not_borrow_the_verdict_of_the_next():
	with pytest.raises(ValueError, match="ended before its result"):
		counts.unittest("Ran 5 tests in 1.0s\n\nKilled\n" + block(4, "OK"))


def test_junit_report():
	report = '<testsuites><testsuite tests="7" failures="1" errors="1" skipped="2"/></testsuites>'
	assert counts.junit(report) == (3, 2, 2)


def test_a_junit_report_without_a_suite_is_an_error():
	with pytest.raises(ValueError, match="no test suite"):
		counts.junit("<testsuites/>")
