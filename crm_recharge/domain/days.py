"""Days follow a clock on a wall: whose clock is said."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crm_recharge.domain import site_clock
from crm_recharge.domain.errors import InvalidRequest, shown


def zone_of(name: str, field: str = "time_zone") -> ZoneInfo:
	"""The time zone of that name (IANA, such as Europe/Berlin). Raises InvalidRequest unknown_time_zone."""
	try:
		return ZoneInfo(name)
	except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, UnicodeError):
		raise InvalidRequest("unknown_time_zone", field=field, value=shown(name)) from None


def day_in(moment: datetime, site: str, zone: str | None) -> date:
	"""The day that `moment`, as the clock in `site` shows it, falls on in `zone` (None: the site's own)."""
	if not zone or zone == site:
		return moment.date()
	return moment.replace(tzinfo=ZoneInfo(site)).astimezone(ZoneInfo(zone)).date()


def end_of(day: date, site: str, zone: str | None, field: str = "day") -> datetime:
	"""The moment `day` ends in `zone`, as the clock in `site` shows it; the hour after where it shows that hour twice
	and the second is meant. Raises InvalidRequest bad_day beyond all calendars."""
	try:
		end = datetime(day.year, day.month, day.day, tzinfo=zone_of(zone or site)) + timedelta(days=1)
		return site_clock.not_before(end, ZoneInfo(site))
	except OverflowError:
		raise InvalidRequest("bad_day", field=field, value=str(day)) from None
