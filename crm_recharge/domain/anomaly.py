"""Usage far above an account's own history: told before the bill, not after (U3)."""

from collections.abc import Sequence
from decimal import Decimal

from crm_recharge.domain.money import ZERO

DAYS = 28
ENOUGH_DAYS = 7
"""Fewer days of history say nothing about what is usual."""


def usual_day(days: Sequence[Decimal]) -> Decimal | None:
	"""Mean usage of a day over the last DAYS; None when fewer than ENOUGH_DAYS have passed.

	`days` are daily totals (the account's currency), quiet days included as zero.
	"""
	recent = list(days)[-DAYS:]
	if len(recent) < ENOUGH_DAYS:
		return None
	return sum(recent, ZERO) / len(recent)


def is_spike(last_24_hours: Decimal, days: Sequence[Decimal], factor: Decimal) -> bool:
	"""Whether the last 24 hours used more than `factor` times the usual day, and more than any day before.

	The second condition keeps an account with one busy day a week from being stopped each week. A factor of
	zero never stops.
	"""
	usual = usual_day(days)
	if not factor or not usual:
		return False
	return last_24_hours > factor * usual and last_24_hours > max(list(days)[-DAYS:])
