"""Moments, and what a clock on a wall shows of them.

Tables keep wall-clock times of the site's zone, as Frappe does. An interval is measured between moments: a clock on
a wall leaves out an hour when summer time begins, and shows one twice when it ends. Of such a time the last
microsecond says which of the two is meant: even is the first, odd the second. No other time is touched.
"""

from datetime import date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from crm_recharge.domain.errors import InvalidRequest, shown

NOTHING = timedelta(0)


def to_wall(moment: datetime, zone: tzinfo) -> datetime:
	"""`moment` (timezone-aware) as the clock of `zone` shows it: naive, for a table. `from_wall` reads it back."""
	local = moment.astimezone(zone)
	wall = local.replace(tzinfo=None, fold=0)
	if repeat_of(wall, zone) > NOTHING:
		return wall.replace(microsecond=wall.microsecond // 2 * 2 + local.fold)
	return wall


def from_wall(wall: datetime, zone: tzinfo) -> datetime:
	"""The moment, in UTC, of a naive time as a table keeps it. One that has its zone is believed."""
	if wall.tzinfo is None:
		comes_twice = repeat_of(wall, zone) > NOTHING
		wall = wall.replace(tzinfo=zone, fold=wall.microsecond % 2 if comes_twice else 0)
	try:
		return wall.astimezone(timezone.utc)
	except OverflowError:
		# The last hours that a table can hold, in a zone west of Greenwich.
		return datetime.max.replace(tzinfo=timezone.utc)


def repeat_of(wall: datetime, zone: tzinfo) -> timedelta:
	"""How much later a naive time comes again in `zone`: zero but for the hour that comes twice (below zero for
	one that is left out)."""
	first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
	return first - second


def latest_wall(moment: datetime, zone: tzinfo) -> datetime:
	"""No moment up to `moment` stands in a table as later than this: for a query that `from_wall` then sifts."""
	wall = to_wall(moment, zone)
	repeat = repeat_of(wall, zone)
	if repeat <= NOTHING:
		return wall
	shown_twice = wall.microsecond % 2
	return wall.replace(microsecond=wall.microsecond | 1) + (repeat if shown_twice else NOTHING)


def earliest_wall(moment: datetime, zone: tzinfo) -> datetime:
	"""No moment from `moment` on stands in a table as earlier than this."""
	wall = to_wall(moment, zone)
	repeat = repeat_of(wall, zone)
	return wall - repeat if repeat > NOTHING and wall.microsecond % 2 == 0 else wall


def latest_start(now: datetime, zone: tzinfo, ahead: timedelta) -> datetime:
	"""The latest time on the wall at which something that is due again in a minute may be said to have begun.

	What has begun later than the clock shows is not due before the clock has caught up. Where the clock goes back in
	the time `ahead` of `now`, that counts already: what is now is then an hour ago.
	"""
	return min(to_wall(now, zone), to_wall(now + ahead, zone) - ahead)


def moved(wall: datetime, old: tzinfo, new: tzinfo) -> datetime:
	"""What a table of a site in `new` keeps for the moment that one in `old` kept as `wall`."""
	return to_wall(from_wall(wall, old), new)


def repeated_stretch(wall: datetime, zone: tzinfo) -> tuple[datetime, datetime] | None:
	"""Beginning and end of the stretch of naive times around `wall` that comes twice; None when it does not."""
	if repeat_of(wall, zone) <= NOTHING:
		return None
	minute, start = timedelta(minutes=1), wall.replace(second=0, microsecond=0)
	while repeat_of(start - minute, zone) > NOTHING:
		start -= minute
	return start, start + repeat_of(wall, zone)


def day_of(moment: datetime, zone: tzinfo) -> date:
	"""The day that a calendar in `zone` shows."""
	return moment.astimezone(zone).date()


def start_of_day(day: date, zone: tzinfo) -> datetime:
	"""The moment, in UTC, at which `day` begins in `zone`: the first midnight where there are two, the first
	moment there is where there is none."""
	midnight = datetime(day.year, day.month, day.day)
	# A midnight that is left out is read by the offset before the change, which is the first moment after it.
	return midnight.replace(tzinfo=zone).astimezone(timezone.utc)


def end_of_day(day: date, zone: tzinfo) -> datetime:
	"""The moment, in UTC, at which the day after `day` begins."""
	return start_of_day(day + timedelta(days=1), zone)


def zone_named(name: str, field: str = "time_zone") -> ZoneInfo:
	"""The time zone of that name (IANA, such as Europe/Berlin). Raises InvalidRequest unknown_time_zone, naming
	`field`."""
	try:
		return ZoneInfo(name)
	except (ZoneInfoNotFoundError, ValueError, OSError, TypeError, UnicodeError):
		raise InvalidRequest("unknown_time_zone", field=field, value=shown(name)) from None
