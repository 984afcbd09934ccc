"""The site's clock: moments for what is measured, wall-clock times for what is kept and shown.

Columns keep the site's wall-clock time, as Frappe does; `stored` and `read` go between the two without losing the
hour that comes twice (see domain/moments.py). What is compared or counted with is a moment in UTC.
"""

from datetime import date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from frappe.utils import get_datetime, get_system_timezone

from crm_recharge.domain import moments


def now() -> datetime:
	"""This moment, in UTC."""
	return datetime.now(timezone.utc)


def now_datetime() -> datetime:
	"""This moment as a column keeps it: in the place of Frappe's, which cannot tell the hour that comes twice."""
	return stored(now())


def site_zone() -> ZoneInfo:
	"""The zone of the site's wall-clock times."""
	return _zone(get_system_timezone())


def zone_of(time_zone: str | None) -> tzinfo:
	"""An account's zone by its name; the site's without one."""
	return _zone(time_zone) if time_zone else site_zone()


@lru_cache(maxsize=128)
def _zone(name: str) -> ZoneInfo:
	return ZoneInfo(name)


def stored(moment: datetime) -> datetime:
	"""A moment as a column keeps it."""
	return moments.to_wall(moment, site_zone())


def read(value) -> datetime | None:
	"""The moment, in UTC, that a column keeps; None for an empty one."""
	return moments.from_wall(get_datetime(value), site_zone()) if value else None


def in_columns(values: dict) -> dict:
	"""`values` for a row, each moment as its column keeps it."""
	return {key: stored(value) if is_moment(value) else value for key, value in values.items()}


def is_moment(value) -> bool:
	"""Whether `value` is a time with its zone."""
	return isinstance(value, datetime) and value.tzinfo is not None


def out_of_columns(row, *fields: str):
	"""Put moments in the place of the wall-clock times in `fields` of a row as read. Returns the row."""
	for field in fields:
		row[field] = read(row[field])
	return row


def is_past(value, moment: datetime | None = None) -> bool:
	"""Whether what a column keeps lies at or before `moment` (now); an empty one does."""
	return not value or read(value) <= (moment or now())


def due(rows, moment: datetime) -> list[str]:
	"""Of rows of a name and times as columns keep them, the names of those whose times all lie at or before `moment`."""
	return [name for name, *times in rows if all(is_past(time, moment) for time in times)]


def latest(moment: datetime) -> datetime:
	"""For `column <= …` in a query: finds all up to `moment`, and around the hour that comes twice some more, which
	`is_past` sifts out."""
	return moments.latest_wall(moment, site_zone())


def earliest(moment: datetime) -> datetime:
	"""For `column >= …` in a query: finds all from `moment` on, and around the hour that comes twice some more."""
	return moments.earliest_wall(moment, site_zone())


def from_on(column: str, moment: datetime) -> tuple[str, tuple]:
	"""A condition of SQL, and its values, for exactly the rows whose `column` is at or after `moment`."""
	zone = site_zone()
	wall = moments.to_wall(moment, zone)
	stretch = moments.repeated_stretch(wall, zone)
	if stretch is None:
		return f"({column} >= %s)", (wall,)
	start, end = stretch
	if wall.microsecond % 2:
		return f"({column} >= %s OR ({column} >= %s AND MICROSECOND({column}) %% 2 = 1))", (end, wall)
	second = f"({column} >= %s AND {column} < %s AND MICROSECOND({column}) %% 2 = 1)"
	return f"({column} >= %s OR {second})", (wall, start, end)


def today(time_zone: str | None = None) -> date:
	"""The day it is in an account's zone, or the site's."""
	return moments.day_of(now(), zone_of(time_zone))


def later(by: timedelta) -> datetime:
	"""So much after now, as a column keeps it."""
	return stored(now() + by)


def is_recent(value, within: timedelta) -> bool:
	"""Whether what a column keeps is less than `within` away from now. An empty one is not.

	Some seconds to come are another machine's clock; hours are another time zone's, and not recent.
	"""
	return bool(value) and abs(now() - read(value)) < within
