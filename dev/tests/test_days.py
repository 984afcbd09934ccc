"""The demo's usage is of the last weeks, whenever it is played."""

import sys
from datetime import datetime, timezone
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lib"))

from demo.days import moved_to_now

NOW = datetime(2026, 3, 10, 12, tzinfo=timezone.utc)


def played(*times: str):
	events, days = moved_to_now({"a": [{"time": time, "quantity": "1"} for time in times]}, NOW)
	return [row["time"] for row in events["a"]], days


def test_old_events_end_in_the_last_day_and_keep_hours_zones_and_distances():
	times, days = played("2025-09-01T00:48:43+05:30", "2025-10-30T21:12:00-04:00")
	assert times == ["2026-01-09T00:48:43+05:30", "2026-03-09T21:12:00-04:00"]
	assert days == 130


@pytest.mark.parametrize("time", ["2026-03-09T12:30:00Z", "2026-03-10T15:00:00+05:30", "2026-03-11T12:00:00"])
def test_what_is_of_today_stays(time):
	assert played(time) == ([time], 0)


def test_a_time_without_a_zone_is_moved_too():
	assert played("2026-03-01T11:00:00") == (["2026-03-10T11:00:00"], 9)


def test_nothing_lies_ahead():
	times, _ = played("2026-02-01T12:00:00+00:00", "2026-02-01T12:00:01+00:00")
	assert max(times) == "2026-03-09T12:00:01+00:00"
