"""Who watches the demo is told how far it is, and not too often."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from demo import progress


@pytest.fixture
def clock(monkeypatch):
	"""A clock that is set by hand."""
	now = [0.0]
	monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
	return now


def test_a_line_every_few_seconds_with_what_is_left(clock, capsys):
	told = progress.Progress("invoices submitted", 1200)
	for _ in range(240):
		clock[0] += 0.125
		told.step(5)
	assert capsys.readouterr().out.splitlines() == [
		"   ... 400 of 1,200 invoices submitted, 10 s, about 20 s left",
		"   ... 800 of 1,200 invoices submitted, 20 s, about 10 s left",
	]


def test_nothing_is_said_of_what_is_quick_or_done(clock, capsys):
	told = progress.Progress("events charged", 3)
	told.reach(2)
	clock[0] += 60
	told.reach(3)
	told.reach(3)
	assert not capsys.readouterr().out
	assert (told.done, told.seconds) == (3, 60)
