"""Sufficient statistics of a pair: any order of events leaves the state computed from scratch."""

import math
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_recharge.domain.reorder.purchases import (
	PairState,
	PurchaseError,
	amend,
	net_purchases,
	update,
)

quantities = st.one_of(st.integers(1, 50).map(float), st.floats(1e-6, 1e6).map(lambda q: round(q, 9)))
events = st.lists(st.tuples(st.integers(0, 40), st.one_of(st.just(0.0), quantities)), max_size=60)


def apply(state: PairState, book: dict[int, float], day: int, now: float) -> PairState:
	"""What an invoice hook does: change one day, reading only its neighbours."""
	was = book.get(day, 0.0)
	if not was and not now:
		return state
	days = sorted(book)
	at = bisect_left(days, day)
	before = [(d, book[d]) for d in reversed(days[max(at - 2, 0) : at])]
	after = [(d, book[d]) for d in days[at + bool(was) : at + bool(was) + 1]]
	if now:
		book[day] = now
	else:
		del book[day]
	return amend(state, day, was, now, before, after)


@settings(max_examples=400)
@given(events)
def test_any_sequence_of_edits_leaves_the_state_computed_from_scratch(sequence):
	state, book = PairState(), {}
	for day, now in sequence:
		state = apply(state, book, day, now)
		assert state == PairState.of(book.items())


@given(st.dictionaries(st.integers(0, 10_000), quantities, min_size=1, max_size=40), st.randoms())
def test_appending_in_order_equals_inserting_in_any_order(book, random):
	appended = PairState()
	for day in sorted(book):
		appended = update(appended, day, book[day])
	shuffled, seen = PairState(), {}
	for day in random.sample(sorted(book), len(book)):
		shuffled = apply(shuffled, seen, day, book[day])
	assert appended == shuffled


@given(st.dictionaries(st.integers(0, 5000), quantities, min_size=2, max_size=40))
def test_the_sums_are_those_of_the_intervals(book):
	state = PairState.of(book.items())
	days = sorted(book)
	logs = [math.log(b - a) for a, b in pairwise(days)]
	mean = sum(logs) / len(logs)
	assert state.mean_log == pytest.approx(mean, abs=1e-8)
	assert state.log_squares == pytest.approx(sum((g - mean) ** 2 for g in logs), abs=1e-6)
	assert state.last_log == pytest.approx(logs[-1])
	assert (state.days, state.first, state.last, state.last_quantity) == (
		len(days),
		days[0],
		days[-1],
		book[days[-1]],
	)


@given(st.dictionaries(st.integers(0, 5000), quantities, max_size=20))
def test_a_state_survives_its_columns(book):
	state = PairState.of(book.items())
	assert PairState.from_dict({**state.as_dict(), "customer": "C"}) == state


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-3, 5)), max_size=30), st.randoms())
def test_returns_are_taken_off_their_day_whatever_the_order_of_lines(lines, random):
	expected = {}
	for day, quantity in lines:
		expected[day] = expected.get(day, 0) + quantity
	expected = sorted((d, float(q)) for d, q in expected.items() if q > 0)
	assert net_purchases(lines) == expected
	random.shuffle(lines)
	assert net_purchases(lines) == expected


def test_float_quantities_of_one_day_sum_the_same_in_any_order():
	assert net_purchases([(1, 0.1), (1, 0.2), (1, 0.3)]) == net_purchases([(1, 0.3), (1, 0.2), (1, 0.1)])


def test_a_state_stored_with_nine_decimals_can_still_be_amended():
	state = PairState.of([(1, 1 / 3), (5, 2 / 3)])
	assert amend(state, 5, 0.666666667, 0, [(1, 0.333333333)]) == PairState.of([(1, 0.333333333)])


def test_a_fully_returned_purchase_is_undone():
	assert PairState.of(net_purchases([(1, 2), (9, 1), (9, -1), (20, 1)])) == PairState.of([(1, 2), (20, 1)])


STATE = PairState.of([(10, 1.0), (20, 1.0), (35, 2.0)])


@pytest.mark.parametrize(
	("call", "message"),
	[
		(lambda: update(STATE, 35, 1), "not after the last purchase-day 35"),
		(lambda: update(STATE, 40, 0), "neither was nor becomes"),
		(lambda: update(STATE, 40, -1), "must be a number of 0 or more"),
		(lambda: update(STATE, 40, math.nan), "must be a number of 0 or more"),
		(lambda: amend(STATE, 30, 0, 1, [(20, 1)], []), "give the one after it"),
		(lambda: amend(STATE, 30, 0, 1, [], [(35, 2)]), "give the ones before it"),
		(lambda: amend(STATE, 30, 0, 1, [(10, 1), (20, 1)], [(35, 2)]), "latest first"),
		(lambda: amend(STATE, 30, 0, 1, [(20, 1)], [(25, 2)]), "must be later"),
		(lambda: amend(STATE, 35, 2, 0, [(20, 1)]), r"give the 2 purchase-day\(s\) before it"),
		(lambda: amend(STATE, 35, 3, 0, [(20, 1), (10, 1)]), "its quantity was 2.0, not 3.0"),
		(lambda: amend(PairState(), 35, 3, 0), "a pair that has none"),
		(lambda: PairState.of([(1, 1), (1, 2)]), "given twice"),
		(lambda: net_purchases([(1, math.inf)]), "not a number"),
		(lambda: PairState.from_dict({"days": 2, "first": 5, "last": 4, "previous": 5}), "out of order"),
		(lambda: PairState.from_dict({"days": 1}), "Not a state of purchases"),
	],
)
def test_what_cannot_be_learned_from_is_refused_with_a_reason(call, message):
	with pytest.raises(PurchaseError, match=message):
		call()
