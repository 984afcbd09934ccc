"""Usage far above an account's own history: told before the bill, not after (U3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from crm_recharge.domain.money import ZERO

DAYS = 28
WINDOW = timedelta(hours=24)
ENOUGH_DAYS = 7
"""Fewer days of history say nothing about what is usual."""


@dataclass(frozen=True, slots=True)
class Spike:
	"""Usage that is not usual: `used` of the last 24 hours, or since a person has `resumed`; `usual` is for a day."""

	used: Decimal
	usual: Decimal
	resumed: bool = False


def usual_day(days: Sequence[Decimal]) -> Decimal | None:
	"""Mean usage of a day over the last DAYS; None when fewer than ENOUGH_DAYS have passed.

	`days` are daily totals (the account's currency), quiet days included as zero.
	"""
	recent = list(days)[-DAYS:]
	if len(recent) < ENOUGH_DAYS:
		return None
	return sum(recent, ZERO) / len(recent)


def counted_from(now: datetime, seen_until: datetime | None) -> datetime:
	"""Since when usage counts at `now`: for the last 24 hours, or since a person looked at it (both moments).

	Who has resumed has seen what was used until then: only what comes after it can be unusual once more.
	"""
	start = now - WINDOW
	return max(start, seen_until) if seen_until else start


def is_spike(last_24_hours: Decimal, days: Sequence[Decimal], factor: Decimal) -> bool:
	"""Whether what counts (see `counted_from`) is more than `factor` times the usual day, and than any day before.

	The second condition keeps an account with one busy day a week from being stopped each week. A factor of
	zero never stops.
	"""
	usual = usual_day(days)
	if not factor or not usual:
		return False
	return last_24_hours > factor * usual and last_24_hours > max(list(days)[-DAYS:])


def found(used: Decimal, days: Sequence[Decimal], factor: Decimal, resumed: bool = False) -> Spike | None:
	"""What is not usual about `used` (see `is_spike`), or None."""
	usual = usual_day(days)
	if usual is None or not is_spike(used, days, factor):
		return None
	return Spike(used, usual, resumed)
