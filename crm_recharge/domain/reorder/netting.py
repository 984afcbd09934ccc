"""From invoice lines of one customer and item to purchase-days: what counts on which day, and what came back.

The rules, none of which depends on the order of the lines:

- A line counts on the day of its invoice. A return takes its quantity off the day of the invoice it returns.
- A return that names no invoice takes its quantity off the latest purchase-day that is not after it, then off the
  one before, until it is used up. Such returns go in the order of their days; those of one day are one. What is
  left over was bought before the history begins, and says nothing.
- A day of which more came back than was bought on it is no purchase-day; the rest touches no other day.
- Days to come are kept apart until they come, and days before `EARLIEST` are mistakes.

Quantities are `Decimal`: adding and taking away is exact, so a history changed step by step equals the one read
from scratch.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from .purchases import Day, PairState

EARLIEST = date(1990, 1, 1).toordinal()
"""No shop has invoices of before in ERPNext; a day before is a slip of the pen."""

Line = tuple[int, int | None, Decimal]
"""The day of the invoice; the day the quantity counts on, None where a return names no invoice; the quantity."""


@dataclass(frozen=True, slots=True)
class Netted:
	"""What is left of the lines of one customer and item.

	Attributes:
		days: purchase-days and their net quantity (above zero), ascending.
		irregular: something of the lines cannot be seen in `days` (a return that names no invoice, more returned
			than bought, a day to come), so that a change must be worked out from the lines, not from `days`.
		next_day: the earliest day to come that brings a change; None without.
	"""

	days: tuple[tuple[int, Decimal], ...] = ()
	irregular: bool = False
	next_day: int | None = None

	def state(self) -> PairState:
		"""The sufficient statistics of these days."""
		return PairState.of(as_days(self.days))


def as_days(days: Iterable[tuple[int, Decimal]]) -> list[Day]:
	"""Days with their quantities as the floats the model reckons with."""
	return [(day, float(quantity)) for day, quantity in days]


def effective_day(posted: int, counts_on: int | None) -> int:
	"""The day from which a line is known: a return is not known before the purchase it returns."""
	return posted if counts_on is None else max(posted, counts_on)


def is_real(posted: int, counts_on: int | None, quantity: Decimal) -> bool:
	"""Whether a line says anything at all."""
	return bool(quantity) and posted >= EARLIEST and (counts_on is None or counts_on >= EARLIEST)


def is_regular(posted: int, counts_on: int | None, today: int) -> bool:
	"""Whether a line can be added to the days without looking at other lines."""
	return counts_on is not None and effective_day(posted, counts_on) <= today


def net(lines: Iterable[Line], today: int) -> Netted:
	"""Purchase-days of one customer and item from all their lines, in any order."""
	sums: dict[int, Decimal] = {}
	loose: dict[int, Decimal] = {}
	next_day = None
	for posted, counts_on, quantity in lines:
		if not is_real(posted, counts_on, quantity):
			continue
		day = effective_day(posted, counts_on)
		if day > today:
			next_day = day if next_day is None else min(next_day, day)
		elif counts_on is None:
			loose[posted] = loose.get(posted, 0) - quantity
		else:
			sums[counts_on] = sums.get(counts_on, 0) + quantity
	kept = {day: quantity for day, quantity in sums.items() if quantity > 0}
	irregular = bool(loose) or next_day is not None or any(quantity < 0 for quantity in sums.values())
	for day in sorted(loose):
		_take_off(kept, day, loose[day])
	return Netted(tuple(sorted(kept.items())), irregular, next_day)


def _take_off(kept: dict[int, Decimal], until: int, quantity: Decimal) -> None:
	"""Take `quantity` off the latest days up to `until`."""
	for day in sorted((day for day in kept if day <= until), reverse=True):
		taken = min(kept[day], quantity)
		quantity -= taken
		if taken == kept[day]:
			del kept[day]
		else:
			kept[day] -= taken
		if not quantity:
			return
