"""What is known of one customer and one item: a few sums that forget the dates they came from.

Only purchase-days count: all that was bought on one day is one purchase, and a day whose goods all came
back is no purchase. Days are whole numbers (`date.toordinal()`), so no time zone enters here.

Logarithms are kept as whole numbers (fixed point), so adding and taking away is exact and the order of
events cannot matter: a state reached by any edits equals the one computed from scratch, to the last bit.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from typing import Any

LOG_UNIT = 10**9
"""One unit of natural logarithm in the stored whole numbers."""

QUANTITY_DECIMALS = 9
"""Quantities are rounded to what a Float column keeps, so a stored state is the computed one."""

Day = tuple[int, float]
"""A purchase-day and the net quantity bought on it."""


class PurchaseError(ValueError):
	"""Purchase data that cannot be learned from; the message says what and where."""


def fixed_log(value: float) -> int:
	"""Natural logarithm of a positive number, in whole `LOG_UNIT`s."""
	return round(math.log(value) * LOG_UNIT)


def _rounded(quantity: float) -> float:
	return round(float(quantity), QUANTITY_DECIMALS)


@dataclass(frozen=True, slots=True)
class PairState:
	"""Sufficient statistics of one (customer, item): what a Reorder Reminder stores.

	`days` purchase-days from `first` to `last`, `previous` the one before the last. An interval runs from
	one purchase-day to the next; g is the log of its length and q the log of the quantity that began it:
	`sum_log` = Σg, `sum_square` = Σg², `sum_quantity` = Σq, `sum_quantity_square` = Σq², `sum_cross` = Σgq,
	all in `LOG_UNIT`s. `last_quantity` belongs to the interval still open.
	"""

	days: int = 0
	first: int | None = None
	previous: int | None = None
	last: int | None = None
	last_quantity: float = 0.0
	sum_log: int = 0
	sum_square: int = 0
	sum_quantity: int = 0
	sum_quantity_square: int = 0
	sum_cross: int = 0

	@property
	def intervals(self) -> int:
		"""Completed intervals: one less than the purchase-days."""
		return max(self.days - 1, 0)

	@property
	def mean_log(self) -> float:
		"""Mean log-interval in natural logarithms; 0.0 without an interval."""
		return self.sum_log / self.intervals / LOG_UNIT if self.intervals else 0.0

	@property
	def log_squares(self) -> float:
		"""Σ(g - mean g)², the pair's own spread on `intervals` - 1 degrees of freedom."""
		if self.intervals < 2:
			return 0.0
		squares = self.sum_square / LOG_UNIT
		return max(squares - (self.sum_log / LOG_UNIT) ** 2 / self.intervals, 0.0)

	@property
	def last_log(self) -> float:
		"""Log of the latest completed interval; 0.0 without one."""
		return math.log(self.last - self.previous) if self.intervals else 0.0  # type: ignore[operator]

	def as_dict(self) -> dict[str, Any]:
		"""Plain numbers for JSON or for the columns of a row."""
		return asdict(self)

	@classmethod
	def from_dict(cls, values: dict[str, Any]) -> "PairState":
		"""The state from `as_dict`; other keys are ignored.

		Raises:
			PurchaseError: the numbers contradict each other (a row edited by hand).
		"""
		state = cls(**{f.name: values[f.name] for f in fields(cls) if f.name in values})
		_check(state)
		return state

	@classmethod
	def of(cls, purchases: Iterable[Day]) -> "PairState":
		"""The state computed from scratch from (day, net quantity) in any order, each day once."""
		state = cls()
		for day, quantity in sorted(purchases):
			if state.last == day:
				raise PurchaseError(f"Day {day} is given twice: add up its quantities first (net_purchases)")
			state = update(state, day, quantity)
		return state


def _check(state: PairState) -> None:
	ends = (state.first, state.last) if state.days else ()
	if state.days < 0 or None in ends or (state.days > 1 and state.previous is None):
		raise PurchaseError(f"Not a state of purchases: {state}. Recompute it from the invoices")
	if state.days > 1 and not state.first <= state.previous < state.last:  # type: ignore[operator]
		raise PurchaseError(f"Purchase-days out of order: {state}. Recompute it from the invoices")


def net_purchases(lines: Iterable[tuple[int, float]]) -> list[Day]:
	"""Purchase-days from invoice lines of one pair, with returns (negative quantity) taken off.

	A return counts on the day of the purchase it reverses: give it that day. Quantities are summed exactly
	(`math.fsum`), so the order of lines cannot matter; a day with nothing left is dropped.

	Raises:
		PurchaseError: a quantity that is not a finite number.
	"""
	by_day: dict[int, list[float]] = {}
	for day, quantity in lines:
		if not math.isfinite(quantity):
			raise PurchaseError(f"Quantity {quantity!r} on day {day} is not a number")
		by_day.setdefault(day, []).append(float(quantity))
	net = ((day, _rounded(math.fsum(parts))) for day, parts in sorted(by_day.items()))
	return [(day, quantity) for day, quantity in net if quantity > 0]


def update(state: PairState, day: int, quantity: float = 1.0) -> PairState:
	"""Append a purchase-day after the last one, in O(1).

	Raises:
		PurchaseError: `day` is not after the last purchase-day (use `amend`), or the quantity is not positive.
	"""
	if state.days and day <= state.last:  # type: ignore[operator]
		raise PurchaseError(f"Day {day} is not after the last purchase-day {state.last}: use amend()")
	before = [(state.last, state.last_quantity)] if state.days else []
	return amend(state, day, 0.0, quantity, before)  # type: ignore[arg-type]


def amend(
	state: PairState, day: int, was: float, now: float, before: Sequence[Day] = (), after: Sequence[Day] = ()
) -> PairState:
	"""Change the net quantity of one day, in O(1): a purchase back-dated, amended, cancelled or returned.

	Args:
		day: the day that changes.
		was: its net quantity until now; 0 when it was no purchase-day.
		now: its net quantity from now on; 0 when it no longer is one.
		before: the purchase-days just before it, latest first: two when there are two, else all there are.
		after: the first purchase-day after it, if any.

	Raises:
		PurchaseError: a negative or unreal quantity, or neighbours that do not fit the state.
	"""
	was, now = _rounded(was), _rounded(now)
	_check_amendment(state, day, was, now, before, after)
	sums = _Sums(state)
	head, tail = list(before[:1]), list(after[:1])
	sums.chain(head + ([(day, was)] if was else []) + tail, -1)
	sums.chain(head + ([(day, now)] if now else []) + tail, +1)
	days = state.days + (now > 0) - (was > 0)
	if not days:
		return PairState()
	here = [(day, now)] if now else []
	latest = [*tail, *here, *before]
	ends = {"first": state.first if before else latest[-1][0]}
	if not tail or tail[0][0] == state.last:
		ends |= {"last": latest[0][0], "last_quantity": _rounded(latest[0][1])}  # type: ignore[dict-item]
		ends |= {"previous": latest[1][0] if len(latest) > 1 else None}
	return replace(state, days=days, **ends, **sums.as_dict())  # type: ignore[arg-type]


class _Sums:
	"""The running sums of a state, to which chains of intervals are added or taken away."""

	NAMES = ("sum_log", "sum_square", "sum_quantity", "sum_quantity_square", "sum_cross")

	def __init__(self, state: PairState) -> None:
		self.values = [getattr(state, name) for name in self.NAMES]

	def chain(self, days: Sequence[Day], sign: int) -> None:
		for (start, quantity), (end, _) in pairwise(days):
			g, q = fixed_log(end - start), fixed_log(_rounded(quantity))
			terms = (g, g * g // LOG_UNIT, q, q * q // LOG_UNIT, g * q // LOG_UNIT)
			for i, term in enumerate(terms):
				self.values[i] += sign * term

	def as_dict(self) -> dict[str, Any]:
		return dict(zip(self.NAMES, self.values, strict=True))


def _check_amendment(state: Any, day: Any, was: Any, now: Any, before: Any, after: Any) -> None:
	for quantity in (was, now):
		if not math.isfinite(quantity) or quantity < 0:
			raise PurchaseError(f"Net quantity {quantity!r} on day {day}: must be a number of 0 or more")
	if not was and not now:
		raise PurchaseError(f"Day {day} neither was nor becomes a purchase-day: nothing to amend")
	earlier = [d for d, _ in before]
	if earlier != sorted({d for d in earlier if d < day}, reverse=True):
		raise PurchaseError(f"Day {day}: earlier purchase-days must come latest first, got {earlier}")
	if after and after[0][0] <= day:
		raise PurchaseError(f"Day {day}: the next purchase-day must be later, got {after[0][0]}")
	if was and not state.days:
		raise PurchaseError(f"Day {day} is given as a purchase-day of a pair that has none")
	if was and day == state.last and was != state.last_quantity:
		raise PurchaseError(f"Day {day}: its quantity was {state.last_quantity}, not {was}")
	if not after:
		_check_last(state, day, was, earlier)
	if state.days and not before and day > state.first:
		raise PurchaseError(
			f"Day {day} is after the first purchase-day {state.first}: give the ones before it"
		)


def _check_last(state: PairState, day: int, was: float, earlier: list[int]) -> None:
	if state.days and state.last > day:  # type: ignore[operator]
		raise PurchaseError(f"Day {day} is before the last purchase-day {state.last}: give the one after it")
	needed = min(state.days - (was > 0), 2 if was else 1)
	if len(earlier) < needed:
		raise PurchaseError(f"Day {day}: give the {needed} purchase-day(s) before it, got {earlier}")
