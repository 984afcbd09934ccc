"""Turn a test run's own report into one line of counts.

Usage:  python counts.py junit FILE     a JUnit XML file, as pytest writes it
        python counts.py unittest FILE  what Frappe's runner printed, one block or several

Prints `passed failed skipped`. A report without any result (a run that died before its end) is an error.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

RAN = re.compile(r"^Ran (\d+) tests? in ", re.MULTILINE)
VERDICT = re.compile(r"^(OK|FAILED)(?: \((.*)\))?\s*$", re.MULTILINE)


def junit(text):
	"""Return (passed, failed, skipped) of a JUnit XML report."""
	suites = list(ElementTree.fromstring(text).iter("testsuite"))
	if not suites:
		raise ValueError("the report holds no test suite")
	ran, failed, skipped = (
		sum(int(suite.get(name, 0)) for suite in suites for name in names)
		for names in (["tests"], ["failures", "errors"], ["skipped"])
	)
	return ran - failed - skipped, failed, skipped


def unittest(text):
	"""Return (passed, failed, skipped) of unittest's closing lines, added up over all blocks."""
	starts = [*RAN.finditer(text)]
	if not starts:
		raise ValueError("the runner reported no result: it ended before running the tests")
	ends = [*(ran.start() for ran in starts[1:]), len(text)]
	blocks = [block_of(text[:end], ran) for ran, end in zip(starts, ends, strict=True)]
	return tuple(sum(column) for column in zip(*blocks, strict=True))


def block_of(text, ran):
	"""Return (passed, failed, skipped) of the block that a `Ran N tests` line begins."""
	verdict = VERDICT.search(text, ran.end())
	if not verdict:
		raise ValueError("the run ended before its result")
	counted = {name.strip(): int(n) for name, n in re.findall(r"([a-z ]+)=(\d+)", verdict.group(2) or "")}
	failed = sum(counted.get(name, 0) for name in ("failures", "errors", "unexpected successes"))
	skipped = counted.get("skipped", 0)
	if verdict.group(1) == "FAILED" and not failed:
		raise ValueError("the run failed without naming a failed test")
	return int(ran.group(1)) - failed - skipped, failed, skipped


if __name__ == "__main__":
	try:
		print(
			*{"junit": junit, "unittest": unittest}[sys.argv[1]](
				Path(sys.argv[2]).read_text(errors="replace")
			)
		)
	except (OSError, ValueError, ElementTree.ParseError) as error:
		sys.exit(f"no counts in {sys.argv[2]}: {error}")
