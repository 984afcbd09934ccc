"""Which purchase came of which reminder, of one customer and item.

A purchase belongs to the latest reminder before it, if it came within the window; a reminder is won by the first
purchase that belongs to it, and only by that. An order made by a reminder's own link belongs to that reminder,
whenever it is invoiced: there the customer has said so. What came back in full was never a purchase.

The result depends on the set of reminders and purchases alone, not on the order in which they became known: so an
invoice that is back-dated, cancelled or returned leaves what computing all of it anew would.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Reminded:
	"""A reminder: `key`, when it went out, and the orders its link made."""

	key: str
	at: datetime
	orders: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Bought:
	"""What is left, after returns, of one item on one invoice; `orders`: those it was invoiced from."""

	key: str
	at: datetime
	quantity: Decimal
	revenue: Decimal
	orders: frozenset[str] = frozenset()


def attribute(reminded: Iterable[Reminded], bought: Iterable[Bought], window: int) -> dict[str, Bought]:
	"""Key of each reminder that was won → the purchase that won it.

	Args:
		reminded, bought: of one customer and item, in any order.
		window: days after the reminder's day; its own day counts, from the reminder on.
	"""
	reminders = sorted(reminded, key=lambda r: (r.at, r.key))
	won: dict[str, Bought] = {}
	for purchase in sorted(bought, key=lambda p: (p.at, p.key)):
		if purchase.quantity <= 0:
			continue
		found = _by_order(reminders, purchase) or _latest(reminders, purchase, window)
		if found and found.key not in won:
			won[found.key] = purchase
	return won


def days_between(reminder: Reminded, purchase: Bought) -> int:
	"""Whole days from the reminder's day to the purchase's."""
	return (purchase.at.date() - reminder.at.date()).days


def _by_order(reminders: list[Reminded], purchase: Bought) -> Reminded | None:
	return next((r for r in reminders if r.orders & purchase.orders), None) if purchase.orders else None


def _latest(reminders: list[Reminded], purchase: Bought, window: int) -> Reminded | None:
	before = [r for r in reminders if r.at <= purchase.at]
	if before and days_between(before[-1], purchase) <= window:
		return before[-1]
	return None
