"""Moments survive being written down as a clock on a wall shows them, in every hour of the year."""

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import moments
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.moments import zone_named

UTC = timezone.utc
ZONES = [
	ZoneInfo(name)
	for name in (
		"America/New_York",
		"Europe/Berlin",
		# Half an hour of summer time, and a change at midnight.
		"Australia/Lord_Howe",
		"America/Havana",
		"Asia/Beirut",
		"Asia/Kolkata",
		"UTC",
	)
]
CHANGES = {
	"America/New_York": datetime(2027, 11, 7, 6, tzinfo=UTC),
	"Australia/Lord_Howe": datetime(2027, 4, 3, 15, tzinfo=UTC),
	"Europe/Berlin": datetime(2027, 10, 31, 1, tzinfo=UTC),
}
near_changes = st.builds(
	lambda change, seconds: change + timedelta(seconds=seconds),
	st.sampled_from([*CHANGES.values(), *(c - timedelta(days=210) for c in CHANGES.values())]),
	st.floats(-8000, 8000).map(lambda s: round(s, 5)),
)
any_time = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from(ZONES)
TINY = timedelta(microseconds=1)


@given(st.one_of(any_time, near_changes), zones)
def test_what_is_written_down_is_the_moment_it_was(moment, zone):
	wall = moments.to_wall(moment, zone)
	assert wall.tzinfo is None
	assert abs(moments.from_wall(wall, zone) - moment) <= TINY
	assert wall.replace(microsecond=0) == moment.astimezone(zone).replace(tzinfo=None, microsecond=0, fold=0)


@given(near_changes, near_changes, zones)
def test_a_query_by_the_latest_and_earliest_wall_misses_nothing(one, other, zone):
	first, second = sorted((one, other))
	assert moments.to_wall(first, zone) <= moments.latest_wall(second, zone)
	assert moments.to_wall(second, zone) >= moments.earliest_wall(first, zone)


@given(any_time, zones)
def test_no_time_is_touched_that_comes_once(moment, zone):
	shown = moment.astimezone(zone)
	if shown.replace(fold=0).utcoffset() == shown.replace(fold=1).utcoffset():
		assert moments.to_wall(moment, zone) == shown.replace(tzinfo=None)
		assert moments.latest_wall(moment, zone) == moments.earliest_wall(moment, zone)


@pytest.mark.parametrize("name", CHANGES)
def test_the_hour_that_comes_twice_is_told_apart(name):
	zone, change = ZoneInfo(name), CHANGES[name]
	before, after = change - timedelta(minutes=10), change + timedelta(minutes=10)
	assert moments.from_wall(moments.to_wall(before, zone), zone) == before
	assert moments.from_wall(moments.to_wall(after, zone), zone) - after <= TINY
	wall = moments.to_wall(after, zone)
	start, end = moments.repeated_stretch(wall, zone)
	assert start <= wall < end
	assert moments.repeat_of(start, zone) > timedelta(0) and moments.repeat_of(end, zone) == timedelta(0)


def test_a_time_with_its_zone_is_believed():
	moment = datetime(2027, 1, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo"))
	assert moments.from_wall(moment, ZoneInfo("America/New_York")) == moment


@pytest.mark.parametrize(
	("zone", "day", "hours"),
	[
		("America/New_York", date(2027, 3, 14), 23),
		("America/New_York", date(2027, 11, 7), 25),
		("Australia/Lord_Howe", date(2027, 4, 4), 24.5),
		("Australia/Lord_Howe", date(2027, 10, 3), 23.5),
		# Midnight comes twice in Havana in autumn, and not at all in Beirut in spring.
		("America/Havana", date(2027, 11, 7), 25),
		("Asia/Beirut", date(2027, 3, 28), 23),
		("Asia/Kolkata", date(2027, 3, 28), 24),
	],
)
def test_a_day_is_as_long_as_it_is(zone, day, hours):
	zone = ZoneInfo(zone)
	start, end = moments.start_of_day(day, zone), moments.end_of_day(day, zone)
	assert end - start == timedelta(hours=hours)
	assert moments.day_of(start, zone) == day == moments.day_of(end - TINY, zone)
	assert moments.day_of(start - TINY, zone) < day < moments.day_of(end, zone)


@pytest.mark.parametrize(
	"name", ["Mars/Base", "", "../../etc/passwd", "/etc/passwd", "a\x00", "\ud800", "x" * 5000, "UTC+1"]
)
def test_a_zone_that_is_none_is_refused(name):
	with pytest.raises(InvalidRequest) as refused:
		zone_named(name)
	assert refused.value.code == "unknown_time_zone"


# Summer ends in New York on 1 November 2026 at 06:00 UTC: 02:00 becomes 01:00.
END_OF_SUMMER = datetime(2026, 11, 1, 6, tzinfo=UTC)
NEW_YORK, KOLKATA = ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")
MINUTE = timedelta(minutes=1)


@given(any_time, zones)
def test_a_start_is_no_later_than_the_clock_shows(now, zone):
	assert moments.latest_start(now, zone, 2 * MINUTE) <= moments.to_wall(now, zone)


def test_a_start_just_before_the_clock_goes_back_is_of_the_hour_to_come():
	latest = moments.latest_start(END_OF_SUMMER - MINUTE, NEW_YORK, 2 * MINUTE)
	assert latest.replace(microsecond=0) == datetime(2026, 11, 1, 0, 59)
	early = END_OF_SUMMER - 5 * MINUTE
	assert moments.latest_start(early, NEW_YORK, 2 * MINUTE) == moments.to_wall(early, NEW_YORK)


@given(any_time, zones, zones)
def test_a_time_moved_to_another_zone_is_the_same_moment(moment, old, new):
	moved = moments.moved(moments.to_wall(moment, old), old, new)
	assert abs(moments.from_wall(moved, new) - moment) <= 2 * TINY


def test_a_time_moved_west_is_earlier_on_the_wall():
	shown = datetime(2026, 7, 1, 12)
	assert moments.moved(shown, KOLKATA, NEW_YORK) == datetime(2026, 7, 1, 2, 30)
	assert moments.moved(datetime(2026, 7, 1, 2, 30), NEW_YORK, KOLKATA) == shown
