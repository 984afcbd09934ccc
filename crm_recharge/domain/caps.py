"""Hard caps on automatic recharges, as reservations: what is in flight counts as if it were captured (U3, B3).

Days and months follow the calendar of the account's time zone; the hour is the last sixty minutes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

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
	count_hour: int | None = None
	count_day: int | None = None


@dataclass(frozen=True, slots=True)
class Reservation:
	"""One automatic recharge: captured at `captured_at`, or in flight when that is None.

	A recharge that failed without money is none.
	"""

	amount: Decimal
	captured_at: datetime | None = None


def caps_at(limits: CapLimits, reservations: Iterable[Reservation], now: datetime) -> tuple[Cap, ...]:
	"""The caps that are set, with what counts against each at `now`.

	`now` and the reservations' times are wall-clock times of the account's zone.
	"""
	reservations = list(reservations)
	caps = (
		_cap("amount_day", limits.amount_day, DAY, False, reservations, now),
		_cap("amount_month", limits.amount_month, MONTH, False, reservations, now),
		_cap("count_hour", limits.count_hour, HOUR, True, reservations, now),
		_cap("count_day", limits.count_day, DAY, True, reservations, now),
	)
	return tuple(cap for cap in caps if cap)


def _cap(name: str, limit, window: str, is_count: bool, reservations, now: datetime) -> Cap | None:
	if not limit:
		return None
	start, end = window_of(window, now)
	# The hour's own edge has left it: what was captured sixty minutes ago is no longer in it.
	counted = [
		r
		for r in reservations
		if r.captured_at is None or r.captured_at > start or (window != HOUR and r.captured_at == start)
	]
	used = Decimal(len(counted)) if is_count else sum((r.amount for r in counted), ZERO)
	if window == HOUR:
		captured = [r.captured_at for r in counted if r.captured_at]
		end = min(captured) + timedelta(hours=1) if captured else None
	return Cap(name, Decimal(limit), used, is_count, end if counted else None)


def window_of(window: str, now: datetime) -> tuple[datetime, datetime]:
	"""Start and end of the window that `now` is in. The hour ends now: it moves along."""
	if window == HOUR:
		return now - timedelta(hours=1), now
	day = now.replace(hour=0, minute=0, second=0, microsecond=0)
	if window == DAY:
		return day, day + timedelta(days=1)
	month = day.replace(day=1)
	return month, (month + timedelta(days=32)).replace(day=1)


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
