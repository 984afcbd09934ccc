"""What counts as a purchase-day, whatever the order of the lines."""

from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from crm_recharge.domain.reorder import amend
from crm_recharge.domain.reorder.netting import EARLIEST, Netted, is_regular, net
from crm_recharge.domain.reorder.purchases import PairState

D0 = date(2026, 1, 1).toordinal()
TODAY = D0 + 100


def D(value):
	return Decimal(str(value))


def bought(day, quantity):
	return (D0 + day, D0 + day, D(quantity))


def came_back(posted, of, quantity):
	return (D0 + posted, None if of is None else D0 + of, -D(quantity))


def days(netted):
	return [(day - D0, float(quantity)) for day, quantity in netted.days]


def test_a_return_counts_on_the_day_of_what_it_returns():
	netted = net([bought(0, 3), bought(20, 2), came_back(21, 0, 1)], TODAY)
	assert days(netted) == [(0, 2.0), (20, 2.0)]
	assert not netted.irregular and netted.next_day is None


def test_all_returned_is_no_purchase_and_no_scar():
	netted = net([bought(0, "0.1"), bought(0, "0.2"), came_back(4, 0, "0.3")], TODAY)
	assert netted == Netted()


def test_a_return_that_names_no_invoice_takes_the_latest_days_before_it():
	lines = [bought(0, 3), bought(20, 2), bought(40, 5), came_back(30, None, 4)]
	netted = net(lines, TODAY)
	assert days(netted) == [(0, 1.0), (40, 5.0)]
	assert netted.irregular


def test_a_return_that_names_no_invoice_may_be_of_the_same_day_and_more_than_was_ever_bought():
	netted = net([bought(10, 1), bought(11, 1), came_back(10, None, 9)], TODAY)
	assert days(netted) == [(11, 1.0)]


def test_more_returned_than_bought_on_a_day_touches_no_other_day():
	netted = net([bought(0, 1), bought(9, 1), came_back(10, 9, 5)], TODAY)
	assert days(netted) == [(0, 1.0)]
	assert netted.irregular


def test_days_to_come_are_kept_apart_until_they_come():
	lines = [bought(90, 1), bought(105, 1), bought(103, 2), came_back(104, 90, 1)]
	netted = net(lines, TODAY)
	assert days(netted) == [(90, 1.0)] and netted.irregular and netted.next_day == D0 + 103
	later = net(lines, D0 + 105)
	assert days(later) == [(103, 2.0), (105, 1.0)] and not later.irregular and later.next_day is None


def test_what_is_no_purchase_at_all_is_left_out():
	ancient = (EARLIEST - 1, EARLIEST - 1, D(5))
	assert net([ancient, (D0, EARLIEST - 1, D(-1)), (D0, D0, D(0))], TODAY) == Netted()


LINES = st.lists(
	st.one_of(
		st.builds(bought, st.integers(0, 12), st.sampled_from(["1", "2", "0.5", "0.000000001"])),
		st.builds(
			came_back,
			st.integers(0, 12),
			st.one_of(st.none(), st.integers(0, 12)),
			st.sampled_from(["1", "0.5", "3"]),
		),
	),
	max_size=14,
)


@given(LINES, st.randoms(use_true_random=False), st.integers(-1, 13))
@settings(max_examples=400, deadline=None)
def test_the_order_of_lines_does_not_matter(lines, random_, today):
	mixed = list(lines)
	random_.shuffle(mixed)
	assert net(lines, D0 + today) == net(mixed, D0 + today)


@given(LINES)
@settings(max_examples=400, deadline=None)
def test_nothing_is_made_up(lines):
	netted = net(lines, TODAY)
	gross: dict = {}
	for posted, _, quantity in lines:
		if quantity > 0:
			gross[posted] = gross.get(posted, 0) + quantity
	for day, quantity in netted.days:
		assert 0 < quantity <= gross[day]
	assert sum(q for _, q in netted.days) >= sum(q for _, _, q in lines)


@given(LINES)
@settings(max_examples=400, deadline=None)
def test_regular_lines_one_by_one_leave_what_all_at_once_leave(lines):
	"""The promise of `irregular`: while it is False, a line may be added to the days by `amend` alone."""
	state, known, before = PairState(), {}, []
	for line in lines:
		before.append(line)
		posted, counts_on, quantity = line
		was = net(before[:-1], TODAY)
		if was.irregular or not is_regular(posted, counts_on, TODAY):
			known = dict(net(before, TODAY).days)
			state = net(before, TODAY).state()
			continue
		now = known.get(counts_on, D(0)) + quantity
		if now < 0:
			assert net(before, TODAY).irregular
			known, state = dict(net(before, TODAY).days), net(before, TODAY).state()
			continue
		earlier = [(d, float(known[d])) for d in sorted(known, reverse=True) if d < counts_on][:2]
		after = [(d, float(known[d])) for d in sorted(known) if d > counts_on][:1]
		state = amend(state, counts_on, float(known.get(counts_on, 0)), float(now), earlier, after)
		known[counts_on] = now
		if not now:
			del known[counts_on]
		assert net(before, TODAY) == Netted(tuple(sorted(known.items())), False, None)
		assert net(before, TODAY).state() == state
