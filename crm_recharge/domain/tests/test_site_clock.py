"""The clock on the wall goes back; time does not."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import site_clock

NEW_YORK = ZoneInfo("America/New_York")
KOLKATA = ZoneInfo("Asia/Kolkata")
ZONES = [NEW_YORK, KOLKATA, ZoneInfo("UTC"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Pacific/Apia")]
MINUTE = timedelta(minutes=1)

# Summer ends in New York on 1 November 2026 at 06:00 UTC: 02:00 becomes 01:00.
END_OF_SUMMER = datetime(2026, 11, 1, 6, tzinfo=timezone.utc)

moments = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(timezone.utc))
zones = st.sampled_from(ZONES)


@given(moments, zones)
def test_a_moment_is_found_again_from_what_the_clock_showed(moment, zone):
	shown = site_clock.wall(moment, zone)
	assert site_clock.moment(shown, zone, not_after=moment) == moment
	assert site_clock.moment(shown, zone) <= moment


@given(moments, zones, st.timedeltas(timedelta(0), timedelta(minutes=29)))
def test_an_age_is_measured_between_moments(then, zone, passed):
	now = then + passed
	assert site_clock.age(site_clock.wall(then, zone), now, zone) == passed


def test_an_age_when_summer_ends():
	before = site_clock.wall(END_OF_SUMMER - MINUTE, NEW_YORK)
	assert before == datetime(2026, 11, 1, 1, 59)
	assert site_clock.age(before, END_OF_SUMMER + MINUTE, NEW_YORK) == 2 * MINUTE
	# An hour and a half later half past one, shown twice, is the second of the two.
	assert site_clock.age(
		datetime(2026, 11, 1, 1, 30), END_OF_SUMMER + timedelta(hours=1), NEW_YORK
	) == timedelta(minutes=30)


def test_an_age_when_summer_begins():
	begin = datetime(2026, 3, 8, 7, tzinfo=timezone.utc)
	shown = site_clock.wall(begin - MINUTE, NEW_YORK)
	assert (shown.hour, site_clock.wall(begin, NEW_YORK).hour) == (1, 3)
	assert site_clock.age(shown, begin + MINUTE, NEW_YORK) == 2 * MINUTE


def test_a_time_of_another_zone_is_to_come():
	shown = site_clock.wall(END_OF_SUMMER, KOLKATA)
	assert site_clock.age(shown, END_OF_SUMMER, NEW_YORK) < timedelta(hours=-9)


@given(moments, moments, zones)
def test_what_is_due_by_the_wall_is_not_due_before_its_moment(moment, now, zone):
	due = site_clock.not_before(moment, zone)
	if site_clock.wall(now, zone) >= due:
		assert now >= moment


def test_due_in_the_hour_that_is_shown_twice():
	assert site_clock.not_before(END_OF_SUMMER, NEW_YORK) == datetime(2026, 11, 1, 2)
	assert site_clock.not_before(END_OF_SUMMER - timedelta(hours=1), NEW_YORK) == datetime(2026, 11, 1, 1)


@given(moments, zones)
def test_a_start_is_no_later_than_the_clock_shows(now, zone):
	assert site_clock.latest_start(now, zone, 2 * MINUTE) <= site_clock.wall(now, zone)


def test_a_start_just_before_the_clock_goes_back_is_of_the_hour_to_come():
	latest = site_clock.latest_start(END_OF_SUMMER - MINUTE, NEW_YORK, 2 * MINUTE)
	assert latest == datetime(2026, 11, 1, 0, 59)
	early = END_OF_SUMMER - 5 * MINUTE
	assert site_clock.latest_start(early, NEW_YORK, 2 * MINUTE) == site_clock.wall(early, NEW_YORK)


@given(moments, zones, zones)
def test_a_time_moved_to_another_zone_is_the_same_moment(moment, old, new):
	shown = site_clock.wall(moment, old)
	first = site_clock.moment(shown, old)
	assert site_clock.moved(shown, old, new) == site_clock.wall(first, new)
	assert first == moment or site_clock.wall(first, old) == shown


def test_a_time_moved_west_is_earlier_on_the_wall():
	shown = datetime(2026, 7, 1, 12)
	assert site_clock.moved(shown, KOLKATA, NEW_YORK) == datetime(2026, 7, 1, 2, 30)
	assert site_clock.moved(datetime(2026, 7, 1, 2, 30), NEW_YORK, KOLKATA) == shown
