"""A day begins where the account is, not where the site is."""

from datetime import date, datetime

import pytest

from crm_recharge.domain.days import day_in, end_of, zone_of
from crm_recharge.domain.errors import InvalidRequest


@pytest.mark.parametrize(
	("moment", "zone", "day"),
	[
		(datetime(2026, 3, 1, 23, 30), None, date(2026, 3, 1)),
		(datetime(2026, 3, 1, 23, 30), "Europe/Berlin", date(2026, 3, 1)),
		(datetime(2026, 3, 1, 23, 30), "Asia/Tokyo", date(2026, 3, 2)),
		(datetime(2026, 3, 1, 3, 30), "America/New_York", date(2026, 2, 28)),
		(datetime(2026, 3, 1, 19, 15), "Asia/Kathmandu", date(2026, 3, 2)),
		(datetime(2026, 3, 29, 0, 30), "UTC", date(2026, 3, 28)),
		# Summer time has begun in Berlin, and not in New York.
		(datetime(2026, 3, 29, 6, 0), "America/New_York", date(2026, 3, 29)),
		(datetime(2026, 3, 29, 5, 59), "America/New_York", date(2026, 3, 28)),
	],
)
def test_a_moment_falls_on_the_day_of_its_place(moment, zone, day):
	assert day_in(moment, "Europe/Berlin", zone) == day


def test_a_day_ends_at_midnight_of_its_place():
	assert end_of(date(2026, 3, 1), "Europe/Berlin", None) == datetime(2026, 3, 2)
	assert end_of(date(2026, 3, 1), "Europe/Berlin", "Asia/Tokyo") == datetime(2026, 3, 1, 16)


@pytest.mark.parametrize("zone", [None, "America/New_York", "Pacific/Kiritimati"])
def test_the_last_day_of_all_is_refused(zone):
	with pytest.raises(InvalidRequest) as refused:
		end_of(date.max, "Europe/Berlin", zone)
	assert refused.value.code == "bad_day"


@pytest.mark.parametrize(
	"name", ["Mars/Base", "", "../../etc/passwd", "/etc/passwd", "a\x00", "\ud800", "x" * 5000, "UTC+1"]
)
def test_a_zone_that_is_none_is_refused(name):
	with pytest.raises(InvalidRequest) as refused:
		zone_of(name)
	assert refused.value.code == "unknown_time_zone"
