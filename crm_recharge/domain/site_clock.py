"""A site's clock on the wall, and the moments behind it.

Frappe keeps times as the clock of the site shows them, without a zone. That clock is not time: it goes back by an hour
when summer ends, and by many when a site is given another zone. Moments here are aware datetimes, wall times naive.
"""

from datetime import datetime, timedelta, timezone, tzinfo


def wall(moment: datetime, zone: tzinfo) -> datetime:
	"""What the clock in `zone` shows at `moment`."""
	return moment.astimezone(zone).replace(tzinfo=None)


def moment(shown: datetime, zone: tzinfo, not_after: datetime | None = None) -> datetime:
	"""The moment, in UTC, at which the clock in `zone` showed `shown`.

	When the clock goes back, an hour is shown twice. The first of the two is meant; with `not_after` (a moment), the
	latest that does not lie after it.
	"""
	first, second = (shown.replace(tzinfo=zone, fold=fold).astimezone(timezone.utc) for fold in (0, 1))
	if not_after is not None and first < second <= not_after:
		return second
	return first


def age(shown: datetime, now: datetime, zone: tzinfo) -> timedelta:
	"""How long before `now` (a moment) the clock in `zone` showed `shown`; negative where that is to come."""
	return now - moment(shown, zone, not_after=now)


def not_before(moment: datetime, zone: tzinfo) -> datetime:
	"""The first time on the wall, in `zone`, that is never shown before `moment`: later than it where an hour is
	shown twice and the second is meant.
	"""
	shown = moment.astimezone(zone)
	early = moment - shown.replace(fold=0).astimezone(timezone.utc)
	return shown.replace(tzinfo=None) + early


def latest_start(now: datetime, zone: tzinfo, ahead: timedelta) -> datetime:
	"""The latest time on the wall at which something that is due again in a minute may be said to have begun.

	What has begun later than the clock shows is not due before the clock has caught up. Where the clock goes back in
	the time `ahead` of `now`, that counts already: what is now is then an hour ago.
	"""
	return min(wall(now, zone), wall(now + ahead, zone) - ahead)


def moved(shown: datetime, old: tzinfo, new: tzinfo) -> datetime:
	"""What the clock in `new` shows when that in `old` shows `shown`."""
	return wall(moment(shown, old), new)
