"""Hard caps on automatic recharges, as reservations: what is in flight counts as if it were captured (U3, B3).

Days and months follow the calendar of the account's time zone; the hour is the last sixty minutes, whatever the
clock on the wall does meanwhile.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from crm_recharge.domain import moments
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import ZERO, plain
from crm_recharge.domain.threshold import Cap

HOUR, DAY, MONTH = "hour", "day", "month"


@dataclass(frozen=True, slots=True)
class CapLimits:
	"""Most money in a day and a month (the account's currency), most recharges in an hour and a day.

	None or zero is no cap.
	"""

	amount_day: Decimal | None = None
	amount_month: Decimal | None = None
	count_hour: Decimal | int | None = None
	count_day: Decimal | int | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
	"""One automatic recharge: captured at `captured_at` (a moment with its zone), or in flight when that is None.

	A recharge that failed without money is none.
	"""

	amount: Decimal
	captured_at: datetime | None = None


def any_set(limits: CapLimits) -> bool:
	"""Whether any of the caps is set."""
	return any((limits.amount_day, limits.amount_month, limits.count_hour, limits.count_day))


def caps_at(
	limits: CapLimits, reservations: Iterable[Reservation], now: datetime, zone: tzinfo | None = None
) -> tuple[Cap, ...]:
	"""The caps that are set, with what counts against each at `now`.

	`now` and the reservations' times are moments, with their zone; days begin in `zone` (left out: that of `now`),
	whose clock also tells when a cap frees.
	Raises ValueError for a time without its zone, of which nobody knows how long ago it was.
	"""
	reservations = list(reservations)
	if any(moment.tzinfo is None for moment in (now, *(r.captured_at or now for r in reservations))):
		raise ValueError("caps are counted between moments: a time lacks its zone")
	zone = zone or now.tzinfo or timezone.utc
	caps = (
		_cap("amount_day", limits.amount_day, DAY, False, reservations, now, zone),
		_cap("amount_month", limits.amount_month, MONTH, False, reservations, now, zone),
		_cap("count_hour", limits.count_hour, HOUR, True, reservations, now, zone),
		_cap("count_day", limits.count_day, DAY, True, reservations, now, zone),
	)
	return tuple(cap for cap in caps if cap)


def _cap(
	name: str,
	limit: Decimal | int | None,
	window: str,
	is_count: bool,
	reservations: list[Reservation],
	now: datetime,
	zone: tzinfo,
) -> Cap | None:
	if not limit:
		return None
	start, end = window_of(window, now, zone)
	# In UTC: of two times in one zone Python compares the clocks alone. What was captured sixty minutes ago has left
	# the hour.
	moments_of = [(r, r.captured_at and r.captured_at.astimezone(timezone.utc)) for r in reservations]
	counted = [
		(r, captured)
		for r, captured in moments_of
		if captured is None or captured > start or (window != HOUR and captured == start)
	]
	used = Decimal(len(counted)) if is_count else sum((r.amount for r, _ in counted), ZERO)
	frees_at: datetime | None = end
	if window == HOUR:
		captured = [at for _, at in counted if at]
		frees_at = min(captured) + timedelta(hours=1) if captured else None
	return Cap(
		name, Decimal(limit), used, is_count, frees_at.astimezone(zone) if counted and frees_at else None
	)


def window_of(window: str, now: datetime, zone: tzinfo) -> tuple[datetime, datetime]:
	"""Start and end, in UTC, of the window that `now` is in. The hour ends now: it moves along."""
	if window == HOUR:
		now = now.astimezone(timezone.utc)
		return now - timedelta(hours=1), now
	day = moments.day_of(now, zone)
	if window == DAY:
		return moments.start_of_day(day, zone), moments.end_of_day(day, zone)
	first = day.replace(day=1)
	following = (first + timedelta(days=32)).replace(day=1)
	return moments.start_of_day(first, zone), moments.start_of_day(following, zone)


def check_caps(limits: CapLimits, recharge_up_to: Decimal, currency: str) -> None:
	"""Refuse caps under which an empty account could never be refilled.

	Raises InvalidRequest: cap_negative, cap_below_target.
	"""
	for name in CapLimits.__slots__:
		limit = getattr(limits, name)
		if limit is not None and limit < 0:
			raise InvalidRequest("cap_negative", cap=name, limit=plain(Decimal(limit)))
		if limit and name.startswith("amount") and limit < recharge_up_to:
			raise InvalidRequest(
				"cap_below_target",
				cap=name,
				limit=plain(limit),
				recharge_up_to=plain(recharge_up_to),
				currency=currency,
			)
