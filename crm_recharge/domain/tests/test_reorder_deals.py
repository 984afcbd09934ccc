"""Goods are bought once, on the earliest day any document tells of them."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_recharge.domain.reorder.deals import Move, change, lines, remaining
from crm_recharge.domain.reorder.netting import net

D0 = date(2026, 1, 1).toordinal()
TODAY = D0 + 100


def bill(row, day, quantity, **values):
	values = {"document": f"SI/{row}", **values}
	return Move(row, day=D0 + day, quantity=Decimal(str(quantity)), bills=True, **values)


def note(row, day, quantity, **values):
	values = {"document": f"DN/{row}", **values}
	return Move(row, day=D0 + day, quantity=Decimal(str(quantity)), bills=False, delivers=True, **values)


def days(moves, today=TODAY):
	return [(day - D0, float(quantity)) for day, quantity in net(lines(moves, today), today).days]


# -- bought ------------------------------------------------------------------------------------------------


def test_what_was_delivered_counts_on_that_day_and_not_again_when_it_is_billed():
	delivered = [note("d", 5, 10)]
	assert days(delivered) == [(5, 10.0)]
	in_part = [*delivered, bill("b1", 20, 4, partner="d")]
	assert days(in_part) == [(5, 10.0)]
	assert days([*in_part, bill("b2", 30, 6, partner="d")]) == [(5, 10.0)]


def test_what_was_billed_first_counts_on_that_day_and_not_again_when_it_is_delivered():
	moves = [bill("b", 5, 10), note("d1", 9, 4, partner="b"), note("d2", 30, 6, partner="b")]
	assert days(moves) == [(5, 10.0)]


def test_a_bill_that_was_back_dated_before_its_delivery_is_the_earlier_one():
	assert days([note("d", 9, 2), bill("b", 3, 2, partner="d")]) == [(3, 2.0)]


def test_a_little_more_billed_than_delivered_is_no_purchase_of_its_own():
	assert days([note("d", 5, 10), bill("b", 20, "10.5", partner="d")]) == [(5, 10.5)]


def test_made_from_the_same_order_the_earliest_is_matched_with_the_earliest():
	order = {"order": "o"}
	moves = [note("d1", 1, 5, **order), note("d2", 31, 5, **order), note("d3", 61, 5, **order)]
	moves += [bill("b1", 15, 5, **order), bill("b2", 45, 5, **order)]
	assert days(moves) == [(1, 5.0), (31, 5.0), (61, 5.0)]
	paid_before = [bill("b", 0, 15, **order), *moves[:3]]
	assert days(paid_before) == [(0, 15.0)]


def test_a_bill_that_names_its_delivery_leaves_the_rest_of_the_order_to_the_others():
	order = {"order": "o"}
	moves = [note("d1", 1, 5, **order), bill("b2", 2, 5, **order), bill("b1", 3, 5, partner="d1", **order)]
	assert days(moves) == [(1, 5.0), (2, 5.0)]
	assert days([*moves, note("d2", 9, 5, **order)]) == [(1, 5.0), (2, 5.0)]


def test_an_invoice_that_takes_from_the_stock_is_its_own_delivery():
	order = {"order": "o"}
	moves = [bill("x", 1, 5, delivers=True, **order), note("d", 9, 5, **order)]
	moves.append(bill("b", 12, 5, partner="d", **order))
	assert days(moves) == [(1, 5.0), (9, 5.0)]


def test_rounding_leaves_no_purchase_behind():
	order = {"order": "o"}
	moves = [note("d", 1, 10, **order)]
	moves += [bill(f"b{n}", 9 + n, "3.333333334", **order) for n in range(3)]
	assert [day for day, _quantity in days(moves)] == [1]


def test_what_is_linked_with_what_is_not_there_stands_for_itself():
	assert days([bill("b", 5, 2, partner="cancelled"), note("d", 9, 1, partner="gone")]) == [
		(5, 2.0),
		(9, 1.0),
	]


# -- came back ---------------------------------------------------------------------------------------------

SOLD = [note("d", 5, 10), bill("b", 20, 10, partner="d")]


def test_a_return_is_off_the_day_the_goods_were_bought_whichever_paper_it_names():
	of_the_note = note("r", 25, -3, returns="d", returns_document="DN/d", returned_on=D0 + 5)
	of_the_bill = bill("c", 26, -3, returns="b", returns_document="SI/b", returned_on=D0 + 20, partner="d")
	assert days([*SOLD, of_the_note]) == [(5, 7.0)]
	assert days([*SOLD, of_the_bill]) == [(5, 7.0)]
	# They came back once.
	assert days([*SOLD, of_the_note, of_the_bill]) == [(5, 7.0)]


def test_a_credit_note_made_from_the_note_of_return_is_the_same_return():
	of_the_note = note("r", 25, -10, returns="d", returns_document="DN/d", returned_on=D0 + 5)
	of_the_note_of_return = bill("c", 25, -10, partner="r")
	assert days([*SOLD, of_the_note, of_the_note_of_return]) == []
	assert days([SOLD[0], of_the_note, of_the_note_of_return]) == []


def test_what_came_back_before_it_was_billed_is_off():
	of_the_note = note("r", 7, -4, returns="d", returns_document="DN/d", returned_on=D0 + 5)
	assert days([SOLD[0], of_the_note, bill("b", 20, 6, partner="d")]) == [(5, 6.0)]


def test_a_return_that_names_only_the_document_is_off_what_that_document_tells_of():
	of_the_bill = bill("c", 26, -3, returns_document="SI/b", returned_on=D0 + 20)
	assert days([*SOLD, of_the_bill]) == [(5, 7.0)]


def test_a_return_of_what_is_not_known_is_off_its_day_or_the_latest_before():
	moves = [note("d", 5, 10), bill("b", 9, 1)]
	assert days([*moves, bill("c", 26, -1, returns_document="SI/x", returned_on=D0 + 9)]) == [(5, 10.0)]
	assert days([*moves, bill("c", 26, -2)]) == [(5, 9.0)]


def test_days_to_come_are_matched_when_they_come():
	moves = [note("d", 98, 5), bill("b", 105, 5, partner="d"), note("e", 103, 1)]
	found = net(lines(moves, TODAY), TODAY)
	assert found.days == ((D0 + 98, 5),) and found.next_day == D0 + 103
	assert days(moves, D0 + 105) == [(98, 5.0), (103, 1.0)]


def test_what_is_left_of_each_paper():
	of_the_bill = bill("c", 26, -3, returns="b", returns_document="SI/b", returned_on=D0 + 20, partner="d")
	loose = bill("l", 27, -1)
	moves = [*SOLD, bill("e", 30, 2), of_the_bill, loose]
	found = {part.bill.row: (part.day - D0, float(left)) for part, left in remaining(moves)}
	assert found == {"b": (5, 7.0), "e": (30, 2.0)}
	too_much = bill("t", 31, -5, returns="e", returns_document="SI/e", returned_on=D0 + 30)
	assert dict((part.bill.row, left) for part, left in remaining([*moves, too_much]))["e"] == -3


# -- whatever happens --------------------------------------------------------------------------------------


@dataclass
class Trade:
	"""Rows as ERPNext would link them, by chance."""

	moves: list = field(default_factory=list)
	links: dict = field(default_factory=lambda: defaultdict(set))

	def add(self, kind: str, day: int, quantity, of: int, order: int) -> None:
		row = f"{kind}{len(self.moves)}"
		make = note if kind in ("d", "r") else bill
		found = [m for m in self.moves if m.quantity > 0]
		other = [m for m in found if m.bills == (kind == "d") and m.bills != m.delivers]
		values = {}
		if kind in ("c", "r"):
			same = [m for m in found if (m.delivers and not m.bills) == (kind == "r")]
			if same:
				back = same[of % len(same)]
				values = {"returns": back.row, "returns_document": back.document, "returned_on": back.day}
				values |= {"order": back.order, "partner": back.partner}
				if of % 3 == 0:
					values["returns"] = None
		elif kind == "x":
			values = {"delivers": True, "order": f"o{order}" if order else None}
		elif other and of % 2:
			partner = other[of % len(other)]
			values = {"partner": partner.row, "order": partner.order}
		elif order:
			values = {"order": f"o{order}"}
		move = make(row, day, -quantity if kind in ("c", "r") else quantity, **values)
		self.moves.append(move)
		ends = {row, move.order, move.partner, move.returns, move.returns_document, move.document} - {None}
		for end in ends:
			self.links[end] |= ends

	def connected(self, move) -> list:
		"""All other moves that any chain of links leads to."""
		seen, waiting = set(), [move.row]
		while waiting:
			end = waiting.pop()
			if end not in seen:
				seen.add(end)
				waiting += self.links[end]
		return [m for m in self.moves if m is not move and m.row in seen]


STEPS = st.lists(
	st.tuples(
		st.sampled_from("bbddcrx"),
		st.integers(0, 12),
		st.sampled_from(["1", "2", "0.5", "7", "3.333333333"]).map(Decimal),
		st.integers(0, 9),
		st.integers(0, 2),
	),
	max_size=12,
)


def trade(steps) -> Trade:
	made = Trade()
	for step in steps:
		made.add(*step)
	return made


def gone(found) -> dict:
	"""Sums by the day that counts."""
	sums = defaultdict(Decimal)
	for posted, counts_on, quantity in found:
		sums[counts_on if counts_on is not None else ("loose", posted)] += quantity
	return {day: quantity for day, quantity in sums.items() if quantity}


@given(STEPS, st.randoms(use_true_random=False), st.integers(-1, 13))
@settings(max_examples=400, deadline=None)
def test_the_order_in_which_documents_become_known_does_not_matter(steps, random_, today):
	moves = trade(steps).moves
	mixed = list(moves)
	random_.shuffle(mixed)
	assert gone(lines(moves, D0 + today)) == gone(lines(mixed, D0 + today))


@given(STEPS)
@settings(max_examples=400, deadline=None)
def test_what_a_document_changes_depends_on_those_it_is_linked_with_alone(steps):
	made = trade(steps)
	for move in made.moves:
		others = [m for m in made.moves if m is not move]
		near = change([move], made.connected(move), TODAY)
		assert gone(near) == gone(change([move], others, TODAY))


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_nothing_is_bought_twice_and_nothing_is_made_up(steps):
	moves = [move for move in trade(steps).moves if move.quantity > 0]
	bought = sum(quantity for *_, quantity in lines(moves, TODAY))
	billed = sum(move.quantity for move in moves if move.bills)
	delivered = sum(move.quantity for move in moves if move.delivers)
	dust = Decimal("0.00001")
	assert max(billed, delivered) - dust <= bought <= billed + delivered
	first = min((move.day for move in moves), default=None)
	assert min((day for day, *_ in lines(moves, TODAY)), default=None) == first


@given(STEPS)
@settings(max_examples=200, deadline=None)
def test_without_deliveries_each_row_stands_for_itself(steps):
	moves = [move for move in trade(steps).moves if move.bills]
	by_itself = [(m.day, m.day if m.quantity > 0 else m.returned_on, m.quantity) for m in moves]
	assert gone(lines(moves, TODAY)) == gone(by_itself)


@pytest.mark.parametrize("today", [4, 100])
def test_a_change_and_its_opposite_leave_nothing(today):
	around = [note("d", 5, 10, order="o")]
	moves = [bill("b", 3, 4, order="o"), bill("b2", 8, 9, order="o")]
	with_them = gone(lines([*around, *moves], D0 + today))
	changed = gone([*lines(around, D0 + today), *change(moves, around, D0 + today)])
	assert with_them == changed
