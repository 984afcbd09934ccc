"""The interval of the uplift covers what it promises to, also where customers' cycles go together."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain.reorder.uplift import (
	LEAST_CUSTOMERS,
	Group,
	UpliftError,
	Verdict,
	interval,
	score_interval,
	student_quantile,
	uplift,
)

customers = st.lists(
	st.integers(0, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), max_size=60
)


def singles(n, won):
	return Group.of([(1, 1)] * won + [(1, 0)] * (n - won))


@pytest.mark.parametrize(
	("a", "m", "b", "n", "low", "high"),
	[
		# Newcombe 1998, table II, method 10.
		(56, 70, 48, 80, 0.0524, 0.3339),
		(9, 10, 3, 10, 0.1705, 0.8090),
		(5, 56, 0, 29, -0.0381, 0.1926),
		(0, 10, 0, 10, -0.2775, 0.2775),
		(10, 10, 0, 10, 0.6075, 1.0),
	],
)
def test_it_is_newcombe_s_interval_where_each_customer_has_one_cycle(monkeypatch, a, m, b, n, low, high):
	monkeypatch.setattr("crm_recharge.domain.reorder.uplift.student_quantile", lambda p, _f: 1.959963985)
	monkeypatch.setattr(Group, "design_effect", 1.0)
	found = interval(singles(m, a), singles(n, b))
	assert found == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(
	("p", "freedom", "expected"),
	[
		(0.975, 1, 12.7062),
		(0.975, 2, 4.3027),
		(0.975, 3, 3.1824),
		(0.975, 4, 2.7764),
		(0.975, 10, 2.2281),
		(0.975, 19, 2.0930),
		(0.975, 120, 1.9799),
		(0.025, 10, -2.2281),
		(0.95, 10, 1.8125),
		(0.9995, 3, 12.9240),
		(0.995, 30, 2.7500),
	],
)
def test_quantiles_of_student_s_t(p, freedom, expected):
	assert student_quantile(p, freedom) == pytest.approx(expected, abs=6e-4)


def draw(random_, number, rate, likeness, mean_cycles):
	"""Customers whose shares come from a beta distribution: `likeness` is the correlation within a customer."""
	total = 1 / likeness - 1 if likeness else None
	rows = []
	for _ in range(number):
		p = random_.betavariate(rate * total, (1 - rate) * total) if likeness else rate
		n = 1 + min(int(random_.expovariate(1 / max(mean_cycles - 1, 1e-9))), 40)
		rows.append((n, sum(random_.random() < p for _ in range(n))))
	return Group.of(rows)


@pytest.mark.parametrize(
	("reminded", "held_out", "rates", "likeness", "mean_cycles"),
	[
		(200, 200, (0.4, 0.4), 0.0, 1),
		(400, 45, (0.45, 0.35), 0.3, 4),
		(180, 20, (0.3, 0.3), 0.5, 5),
		(900, 100, (0.12, 0.08), 0.2, 3),
		(60, 40, (0.5, 0.5), 0.8, 6),
	],
)
def test_ninety_five_of_a_hundred_intervals_hold_the_true_difference(
	reminded, held_out, rates, likeness, mean_cycles
):
	random_ = random.Random(20261121)
	rounds = 1200
	covered = 0
	for _ in range(rounds):
		low, high = interval(
			draw(random_, reminded, rates[0], likeness, mean_cycles),
			draw(random_, held_out, rates[1], likeness, mean_cycles),
		)
		covered += low <= rates[0] - rates[1] <= high
	# Standard error 0.6 points; a customer's cycles counted as independent would cover 60 to 80 %.
	assert 0.93 <= covered / rounds <= 0.97


def test_cycles_counted_as_independent_would_not_do():
	"""The reason for the design effect: the same draws without it promise far too much."""
	random_ = random.Random(7)
	covered = 0
	for _ in range(400):
		groups = [draw(random_, number, 0.4, 0.5, 6) for number in (200, 40)]
		low, high = interval(*(singles(group.cycles, group.won) for group in groups))
		covered += low <= 0 <= high
	assert covered / 400 < 0.85


@given(customers, customers)
def test_the_interval_holds_the_difference_and_turns_round_with_the_groups(one, other):
	first, second = Group.of(one), Group.of(other)
	found, back = uplift(first, second), uplift(second, first)
	assert -1 <= found.low <= found.high <= 1
	if first.cycles and second.cycles:
		assert found.low - 1e-12 <= found.difference <= found.high + 1e-12
	assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
	assert 1 <= first.design_effect <= max((n for n, _ in one), default=1) or not first.cycles


@given(customers)
def test_a_share_s_interval_lies_within_what_can_be(rows):
	group = Group.of(rows)
	low, high = score_interval(group)
	assert 0 <= low <= group.rate <= high <= 1


def test_the_same_cycles_from_fewer_customers_tell_less():
	many = Group.of([(1, 1)] * 80 + [(1, 0)] * 120)
	few = Group.of([(5, 5)] * 16 + [(5, 0)] * 24)
	assert (many.cycles, many.won) == (few.cycles, few.won)
	assert few.design_effect == pytest.approx(5, rel=0.05)
	width = [high - low for low, high in map(score_interval, (many, few))]
	assert width[1] > 2 * width[0]


def test_what_may_be_said():
	nobody = uplift(singles(100, 40), Group())
	assert (nobody.verdict, nobody.low, nobody.high, nobody.needed_held_out) == (Verdict.NOBODY, -1, 1, None)
	# A difference that would be clear with more customers is not claimed from ten.
	few = uplift(singles(1000, 900), singles(LEAST_CUSTOMERS - 1, 0))
	assert few.verdict is Verdict.TOO_FEW and few.low > 0 and few.too_early
	early = uplift(singles(400, 160), singles(40, 14))
	assert early.verdict is Verdict.TOO_EARLY and early.low < 0 < early.high
	assert early.needed_held_out > 40 and early.needed_reminded == pytest.approx(
		10 * early.needed_held_out, abs=9
	)
	none = uplift(singles(20000, 8000), singles(20000, 8010))
	assert none.verdict is Verdict.NO_DIFFERENCE and none.low < 0 < none.high and not none.too_early
	assert uplift(singles(2000, 900), singles(400, 120)).verdict is Verdict.MORE
	assert uplift(singles(2000, 500), singles(400, 140)).verdict is Verdict.LESS


def test_with_the_size_that_is_asked_for_a_difference_worth_knowing_is_seen_four_times_in_five():
	random_ = random.Random(3)
	asked = uplift(draw(random_, 3000, 0.35, 0.3, 3), draw(random_, 1000, 0.35, 0.3, 3), worth=0.1)
	seen = sum(
		uplift(
			draw(random_, asked.needed_reminded, 0.45, 0.3, 3),
			draw(random_, asked.needed_held_out, 0.35, 0.3, 3),
		).verdict
		is Verdict.MORE
		for _ in range(300)
	)
	assert 0.70 <= seen / 300 <= 0.90


@pytest.mark.parametrize(
	"group",
	[
		Group(1, 1, 2, 4, 2, 1),
		Group(-1, 0, 0, 0, 0, 0),
		Group(3, 2, 0, 0, 0, 2),
		Group(1, 5, 1, 1, 5, 24),
		Group(2, 2, 1, 1, 3, 2),
	],
)
def test_counts_that_cannot_be_are_refused(group):
	with pytest.raises(UpliftError):
		uplift(group, singles(50, 10))


@pytest.mark.parametrize("worth", [0, 1, -0.1, math.nan])
def test_a_difference_worth_knowing_is_a_share(worth):
	with pytest.raises(UpliftError):
		uplift(singles(50, 10), singles(50, 10), worth=worth)
