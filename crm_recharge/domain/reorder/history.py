"""Reads purchase lines once, in order, and keeps what each pair looked like on a few days of the past."""

import math
from array import array
from bisect import bisect_right
from collections.abc import Hashable, Iterable
from itertools import pairwise
from typing import Any

from .purchases import PurchaseError

NEVER = -1
MAX_DAY = 3_652_059
"""`date.max.toordinal()`: days are stored in 32 bits."""

Line = tuple[Hashable, Hashable, Hashable, int, float]
"""customer, item, item group, day, quantity."""


class Names:
	"""Numbers names in the order they appear."""

	def __init__(self) -> None:
		self.index: dict[Hashable, int] = {}

	def __call__(self, name: Hashable) -> int:
		return self.index.setdefault(name, len(self.index))

	def __len__(self) -> int:
		return len(self.index)


class PairTable:
	"""Pairs with a completed interval as they stood at the end of `day`, in columns of plain numbers.

	`intervals`, `mean`, `squares`, `latest` are the count, mean, Σ(g - mean)² and last of the log-intervals;
	`last` is the last purchase-day by then and `after` the first one later, or NEVER. `single_*` holds the
	pairs bought once (not filled in the first table, where nobody asks).
	"""

	def __init__(self, day: int) -> None:
		self.day = day
		self.customer, self.item = array("i"), array("i")
		self.intervals, self.last, self.after = array("i"), array("i"), array("i")
		self.mean, self.squares, self.latest = array("d"), array("d"), array("d")
		self.single_customer, self.single_item = array("i"), array("i")
		self.single_last, self.single_after = array("i"), array("i")

	def __len__(self) -> int:
		return len(self.intervals)

	def add(self, customer: int, item: int, last: int, logs: list[float], after: int) -> None:
		"""One pair: its last purchase-day by now, its log-intervals, and the next purchase-day or NEVER."""
		m = len(logs)
		mean = math.fsum(logs) / m
		self.customer.append(customer)
		self.item.append(item)
		self.intervals.append(m)
		self.last.append(last)
		self.after.append(after)
		self.mean.append(mean)
		self.squares.append(math.fsum([(g - mean) ** 2 for g in logs]) if m > 1 else 0.0)
		self.latest.append(logs[-1])

	def add_single(self, customer: int, item: int, day: int, after: int) -> None:
		"""One pair bought once, with the next purchase-day or NEVER."""
		self.single_customer.append(customer)
		self.single_item.append(item)
		self.single_last.append(day)
		self.single_after.append(after)

	def without_latest(self) -> "PairTable":
		"""The same pairs as if the latest interval of each were unknown, where it has another."""
		table = PairTable(self.day)
		table.customer, table.item, table.last, table.after = self.customer, self.item, self.last, self.after
		for m, mean, squares, latest in zip(
			self.intervals, self.mean, self.squares, self.latest, strict=True
		):
			others = (m * mean - latest) / (m - 1) if m > 1 else mean
			rest = squares - (latest - others) ** 2 * (m - 1) / m if m > 1 else 0.0
			table.intervals.append(max(m - 1, 1))
			table.mean.append(others)
			table.squares.append(max(rest, 0.0))
			table.latest.append(others)
		return table


class History:
	"""Everything `fit` needs from the purchase lines, gathered in one pass.

	Args:
		lines: (customer, item, group, day, quantity), all lines of a customer together, within them all of an
			item, days ascending (SQL: order by customer, item, date). Lines of one day are one purchase; those
			whose quantities sum to zero or less are none.
		cuts: days at whose end the pairs are looked at, the latest first; None is "all that was read".

	Raises:
		PurchaseError: lines out of order, or a day or quantity that is not a number.
	"""

	def __init__(self, lines: Iterable[Line], cuts: Iterable[int | None]) -> None:
		self.customers, self.items, self.groups = Names(), Names(), Names()
		self.group_of = array("i")
		self.tables = [PairTable(MAX_DAY if cut is None else cut) for cut in cuts]
		self.newest = max((table.day for table in self.tables), default=MAX_DAY)
		self.lines = self.purchases = self.ignored_future = 0
		self.first, self.last = MAX_DAY, 0
		self.elastic = [0.0, 0.0, 0.0, 0]
		self._read(lines)

	def _read(self, lines: Iterable[Line]) -> None:
		"""Hand over one pair after the other; one loop, for a shop has millions of lines."""
		newest = self.newest
		customer = item = group = None
		days: list[int] = []
		quantities: list[float] = []
		seen: set[Hashable] = set()
		for line in lines:
			self.lines += 1
			if line[1] != item or line[0] != customer or not days:
				self._finish(customer, item, group, days, quantities)
				days, quantities = [], []
				if line[0] != customer or self.lines == 1:
					seen = set()
				customer, item, group = self._start(line, customer, seen)
			_, _, _, day, quantity = line
			if quantity != quantity or not 0 < day <= MAX_DAY:
				raise PurchaseError(
					f"Customer {customer!r}, item {item!r}: day {day!r}, quantity {quantity!r}"
					" is not a purchase that can be learned from"
				)
			if not days or day > days[-1]:
				days.append(day)
				quantities.append(quantity)
			elif day == days[-1]:
				quantities[-1] += quantity
			else:
				raise PurchaseError(
					f"Customer {customer!r}, item {item!r}: day {day} comes after {days[-1]}:"
					" sort by customer, item, day"
				)
			if day > newest:
				self.ignored_future += 1
		self._finish(customer, item, group, days, quantities)

	def _start(self, line: Line, previous: Hashable, seen: set[Any]) -> tuple[Hashable, Hashable, Hashable]:
		customer, item, group = line[:3]
		if customer != previous and customer in self.customers.index:
			raise PurchaseError(
				f"Lines of customer {customer!r} are not together: sort by customer, item, day"
			)
		if item in seen:
			raise PurchaseError(
				f"Lines of customer {customer!r} and item {item!r} are not together:"
				" sort by customer, item, day"
			)
		seen.add(item)
		return customer, item, group

	def _finish(self, customer: Any, item: Any, group: Any, days: list[int], quantities: list[float]) -> None:
		"""Number the names of a pair that is complete, drop what came back or is to come, and keep the rest."""
		if not days:
			return
		number = self.customers(customer)
		if item not in self.items.index:
			self.items(item)
			self.group_of.append(self.groups(group))
		if min(quantities) <= 0 or days[-1] > self.newest:
			kept = [i for i, q in enumerate(quantities) if q > 0 and days[i] <= self.newest]
			days, quantities = [days[i] for i in kept], [quantities[i] for i in kept]
		if days:
			self._add(number, self.items.index[item], days, quantities)

	def _add(self, customer: int, item: int, days: list[int], quantities: list[float]) -> None:
		self.purchases += len(days)
		self.first, self.last = min(self.first, days[0]), max(self.last, days[-1])
		if len(days) == 1:
			for table in self.tables[1:]:
				if days[0] <= table.day:
					table.add_single(customer, item, days[0], NEVER)
			return
		logs = [math.log(b - a) for a, b in pairwise(days)]
		if len(logs) > 1:
			self._elasticity(logs, quantities)
		for table in self.tables:
			n = bisect_right(days, table.day) if days[-1] > table.day else len(days)
			after = days[n] if n < len(days) else NEVER
			if n > 1:
				table.add(customer, item, days[n - 1], logs[: n - 1], after)
			elif n:
				table.add_single(customer, item, days[0], after)

	def _elasticity(self, logs: list[float], quantities: list[float]) -> None:
		"""Within-pair sums of log-interval on the log-quantity that began it (fixed-effects regression)."""
		begun = quantities[: len(logs)]
		if min(begun) == max(begun):
			return
		q = [math.log(x) for x in begun]
		mean_q, mean_g = sum(q) / len(q), sum(logs) / len(logs)
		self.elastic[0] += sum((x - mean_q) ** 2 for x in q)
		self.elastic[1] += sum((x - mean_q) * (g - mean_g) for x, g in zip(q, logs, strict=True))
		self.elastic[2] += sum((g - mean_g) ** 2 for g in logs)
		self.elastic[3] += len(q) - 1
