"""Which goods are the same goods: on an order, on the note that delivered them, on the bill.

Goods are bought once, on the earliest day any document tells of them: the day they left, or the day they were billed,
whichever came first. A bill that names its delivery (or a delivery its bill) is of the same goods, be it for a little
more; what names neither is matched by the order's row both were made from, first in, first out. What came back is
taken off the day on which it was bought, once, though a note of return and a credit note both tell of it.

The result depends on the set of rows alone, not on the order in which they became known: so a row that comes or goes
changes it by exactly what `lines` says with it less what it says without.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NamedTuple

from .netting import Line

DUST = Decimal("0.000001")
"""So little that is left of a row, where the rest was matched, comes of rounding."""


class Move(NamedTuple):
	"""One row of a bill or a delivery, about one item of one customer; below zero: it came back.

	Attributes:
		row, document: keys of the row and of its document.
		day: of the document; anything that can be compared.
		quantity: in the stock unit.
		bills, delivers: what its document does; a till's, or an invoice that updates the stock, does both.
		order: key of the order's row that it was made from.
		partner: key of the delivery's row that it bills, or of the bill's row that it delivers.
		returns, returns_document: keys of the row that came back, and of its document.
		returned_on: the day of that document, for where it is not among the moves.
	"""

	row: str
	document: str
	day: int
	quantity: Decimal
	bills: bool = True
	delivers: bool = False
	order: str | None = None
	partner: str | None = None
	returns: str | None = None
	returns_document: str | None = None
	returned_on: int | None = None


class Part(NamedTuple):
	"""Goods bought on `day`, with the rows that tell of them; one of the two may still be missing."""

	day: int
	quantity: Decimal
	bill: Move | None
	delivery: Move | None


def is_delivery(move: Move) -> bool:
	"""Whether a move tells of goods that are billed by another document."""
	return move.delivers and not move.bills


def lines(moves: Iterable[Move], today: int) -> list[Line]:
	"""What `netting.net` reckons with, of all moves of one customer and item."""
	moves = list(moves)
	if not any(is_delivery(move) for move in moves):
		return _summed((m.day, m.day if m.quantity > 0 else m.returned_on, m.quantity) for m in moves)
	# What is still to come is left as it stands: it is matched on its day.
	found = [(m.day, m.day if m.quantity > 0 else m.returned_on, m.quantity) for m in moves if m.day > today]
	known = [move for move in moves if move.day <= today]
	bought = parts(move for move in known if move.quantity > 0)
	found += [(part.day, part.day, part.quantity) for part in bought]
	taken, of_nothing_known = _came_back([move for move in known if move.quantity < 0], bought)
	found += [(move.day, part.day, -quantity) for move, part, quantity in taken]
	found += [(move.day, move.returned_on, move.quantity) for move in of_nothing_known]
	return _summed(found)


def change(moves: Iterable[Move], around: Iterable[Move], today: int) -> list[Line]:
	"""What `moves` add to the lines of `around`: the moves they may be the same goods as."""
	around = list(around)
	sums: dict[tuple[Any, ...], Decimal] = {}
	for sign, given in ((1, [*around, *moves]), (-1, around)):
		for posted, counts_on, quantity in lines(given, today):
			key = posted, counts_on
			sums[key] = sums.get(key, Decimal(0)) + sign * quantity
	return [(*key, quantity) for key, quantity in sums.items() if quantity]


def _summed(given: Iterable[Line]) -> list[Line]:
	sums: dict[tuple[Any, ...], Decimal] = {}
	for posted, counts_on, quantity in given:
		key = posted, counts_on
		sums[key] = sums[key] + quantity if key in sums else quantity
	return [(*key, quantity) for key, quantity in sums.items()]


# -- what was bought -------------------------------------------------------------------------------------------------


def parts(moves: Iterable[Move]) -> list[Part]:
	"""The goods that these moves (all above zero) tell of, each once."""
	moves = sorted(moves, key=_in_order)
	found = [Part(m.day, m.quantity, m, m) for m in moves if m.bills and m.delivers]
	bills = {m.row: m for m in moves if not m.delivers}
	deliveries = {m.row: m for m in moves if not m.bills}
	left = {m.row: m.quantity for m in moves if m.bills != m.delivers}
	for bill in bills.values():
		if delivery := deliveries.get(bill.partner):  # type: ignore[arg-type]
			found.append(_pair(bill, delivery, left, bill))
	for delivery in deliveries.values():
		bill = bills.get(delivery.partner)  # type: ignore[arg-type, assignment]
		if bill and left[delivery.row] and bill.partner != delivery.row:
			found.append(_pair(bill, delivery, left, delivery))
	found += _by_order(bills, deliveries, left)
	found += [Part(m.day, left[m.row], m, None) for m in bills.values() if left[m.row] > 0]
	found += [Part(m.day, left[m.row], None, m) for m in deliveries.values() if left[m.row] > 0]
	return found


def _in_order(move: Move) -> tuple[Any, ...]:
	return move.day, move.row


def _pair(bill: Move, delivery: Move, left: dict[str, Any], whole: Move) -> Part:
	"""All of `whole`, which names the other; of the other as much as there is."""
	other = delivery if whole is bill else bill
	quantity = left[whole.row]
	left[whole.row] = Decimal(0)
	left[other.row] = max(left[other.row] - quantity, Decimal(0))
	return Part(min(bill.day, delivery.day), quantity, bill, delivery)


def _by_order(bills: dict[str, Any], deliveries: dict[str, Any], left: dict[str, Any]) -> list[Part]:
	"""What is left of both sides, by the order's row, the earliest with the earliest."""
	waiting: dict[str, list[Move]] = defaultdict(list)
	for bill in bills.values():
		partner = deliveries.get(bill.partner)
		if order := bill.order or (partner and partner.order):
			waiting[order].append(bill)
	found = []
	for delivery in deliveries.values():
		partner = bills.get(delivery.partner)
		for bill in waiting.get(delivery.order or (partner and partner.order), ()):  # type: ignore[arg-type]
			quantity = min(left[bill.row], left[delivery.row])
			if quantity <= 0:
				continue
			for row in (bill.row, delivery.row):
				left[row] -= quantity
				if left[row] < DUST:
					left[row] = Decimal(0)
			found.append(Part(min(bill.day, delivery.day), quantity, bill, delivery))
	return found


# -- what came back --------------------------------------------------------------------------------------------------


def remaining(moves: Iterable[Move]) -> list[tuple[Part, Decimal]]:
	"""What was bought, each part with what is left of it; below zero where more came back than that.

	A return that names nothing of these is of no part in particular.
	"""
	moves = list(moves)
	bought = parts(move for move in moves if move.quantity > 0)
	left = {id(part): part.quantity for part in bought}
	taken, _of_nothing_known = _came_back([move for move in moves if move.quantity < 0], bought)
	for _move, part, quantity in taken:
		left[id(part)] -= quantity
	return [(part, left[id(part)]) for part in bought]


def _came_back(
	returns: list[Move], bought: list[Part]
) -> tuple[list[tuple[Move, Part, Decimal]], list[Move]]:
	"""How much each return takes off which part, and the returns that name none of these.

	Of the same goods the notes of return count or the credit notes, whichever tell of more.
	"""
	by_row: dict[str, list[Part]] = defaultdict(list)
	by_document: dict[str, list[Part]] = defaultdict(list)
	for part in sorted(bought, key=lambda part: part.day):
		for move in {part.bill, part.delivery} - {None}:
			by_row[move.row].append(part)  # type: ignore[union-attr]
			by_document[move.document].append(part)  # type: ignore[union-attr]
	same = _same_goods(bought)
	other = {move.row: move for move in returns}
	unknown, told = [], defaultdict(lambda: ([], []))  # type: ignore[var-annotated]
	for move in sorted(returns, key=_in_order):
		of = _returned(move, other, by_row, by_document)
		if of:
			goods = same[_any_row(of[0])]
			for side, tells in zip(told[goods], (move.delivers, move.bills), strict=True):
				if tells:
					side.append((move, of))
		elif move.partner not in other:
			unknown.append(move)
	taken = []
	for delivered, billed in told.values():
		most = max(delivered, billed, key=lambda side: -sum(move.quantity for move, _of in side))
		taken += _taken_off(most)
	return taken, unknown


def _returned(
	move: Move, other: dict[str, Any], by_row: dict[str, Any], by_document: dict[str, Any]
) -> list[Part]:
	"""The parts that a return is of; none where what it returns is not known."""
	if move.returns in by_row:
		return by_row[move.returns]
	if move.partner in by_row:
		return by_row[move.partner]
	# A credit note may be made from the note of return.
	partner = other.get(move.partner)  # type: ignore[arg-type]
	if partner and partner is not move and partner.partner not in other:
		return _returned(partner, other, by_row, by_document)
	return by_document.get(move.returns_document, [])  # type: ignore[arg-type]


def _same_goods(bought: list[Part]) -> dict[str, str]:
	"""Row → one row of all those that tell of the same goods, directly or through others."""
	parent: dict[str, str] = {}

	def root(row: str) -> str:
		while parent.setdefault(row, row) != row:
			row = parent[row]
		return row

	for part in bought:
		first, second = (root(move.row) for move in (part.bill or part.delivery, part.delivery or part.bill))  # type: ignore[union-attr]
		parent[max(first, second)] = min(first, second)
	return {row: root(row) for row in list(parent)}


def _any_row(part: Part) -> str:
	return (part.bill or part.delivery).row  # type: ignore[union-attr]


def _taken_off(returns: list[tuple[Move, list[Part]]]) -> list[tuple[Move, Part, Decimal]]:
	"""Each return off the latest of its parts first; what is more than was bought, off the last of them."""
	left: dict[int, Decimal] = {}
	found = []
	for move, of in returns:
		quantity = -move.quantity
		for part in reversed(of):
			taken = min(left.setdefault(id(part), part.quantity), quantity)
			left[id(part)] -= taken
			quantity -= taken
			if taken:
				found.append((move, part, taken))
		if quantity:
			found.append((move, of[-1], quantity))
	return found
