"""The arithmetic under the reorder model, checked against its definitions."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_recharge.domain.reorder import calibration, survival
from crm_recharge.domain.reorder.distribution import HALF_DAY, Interval, tail
from crm_recharge.domain.reorder.linear import Regression, solve

intervals = st.builds(
	Interval,
	centre=st.floats(0, 7),
	lower=st.floats(0.1, 2),
	upper=st.floats(0.1, 2),
	stop=st.floats(0, 0.95),
)


@given(intervals, st.floats(0.01, 0.99), st.integers(0, 2000))
def test_a_quantile_is_where_that_share_of_those_left_has_bought(interval, p, elapsed):
	start = interval.survival(elapsed + HALF_DAY if elapsed else 0)
	day = interval.quantile(p, elapsed)
	assert day >= (elapsed + HALF_DAY if elapsed else 0)
	if (1 - p) * start > 1e-9 and day < 36_000:
		assert interval.survival(day) == pytest.approx((1 - p) * start, rel=1e-5)


@given(intervals, st.integers(0, 2000), st.floats(0, 500))
def test_buying_is_what_is_left_of_staying_silent(interval, elapsed, days):
	"""Bayes' rule written the other way round: P(silent r + d) / P(silent r)."""

	def silent(t):
		return interval.stop + (1 - interval.stop) * interval.survival(t)

	if interval.survival(elapsed + HALF_DAY) > 1e-9:
		expected = 1 - silent(elapsed + HALF_DAY + days) / silent(elapsed + HALF_DAY)
		assert interval.buys_within(days, elapsed) == pytest.approx(expected, abs=1e-9)


def test_the_tail_is_accurate_far_out():
	assert tail(0) == 0.5
	assert tail(1.959963984540054) == pytest.approx(0.025)
	assert tail(10) == pytest.approx(7.619853024160527e-24)


@given(st.lists(st.lists(st.floats(-3, 3), min_size=3, max_size=3), min_size=3, max_size=8))
def test_solving_undoes_multiplying(rows):
	matrix = [[sum(r[i] * r[j] for r in rows) + (i == j) for j in range(3)] for i in range(3)]
	wanted = [1.0, -2.0, 0.5]
	right = [sum(m * w for m, w in zip(line, wanted, strict=True)) for line in matrix]
	assert solve(matrix, right) == pytest.approx(wanted, abs=1e-6)


def test_an_impossible_system_is_refused():
	with pytest.raises(ArithmeticError):
		solve([[1.0, 2.0], [2.0, 1.0]], [1.0, 1.0])


def test_a_ridge_pulls_to_what_was_expected_and_yields_to_data():
	few, many = (Regression([0.0, 1.0], [1.0, 1.0]) for _ in range(2))
	for regression, repeats in ((few, 1), (many, 10_000)):
		for _ in range(repeats):
			for x in (-1.0, 0.0, 1.0):
				regression.add((1.0, x), 5.0 + 3.0 * x, 1.0)
	assert 1.0 < few.coefficients()[1] < 3.0
	assert many.coefficients() == pytest.approx([5.0, 3.0], abs=1e-3)


def slope(function, point, i, step=1e-5):
	up, down = ([p + (step if j == i else 0) * sign for j, p in enumerate(point)] for sign in (1, -1))
	return (function(up) - function(down)) / (2 * step)


def cases(seed=5, count=60):
	rng = random.Random(seed)
	for _ in range(count):
		m = rng.randint(1, 9)
		centre = (1.0, rng.gauss(3, 1), rng.gauss(0, 0.5), rng.gauss(0, 0.5), math.log1p(m))
		scale = (1.0, rng.gauss(0, 0.3), math.log1p(m))
		elapsed, followed = rng.randint(0, 200), rng.randint(1, 90)
		yield survival.Case(
			centre, scale, m + 1, elapsed, followed, rng.random() < 0.5, rng.choice((0.5, 1.0))
		)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-0.3, 0.3), min_size=10, max_size=10))
def test_the_slopes_of_the_survival_likelihood_are_its_slopes(nudge):
	outlook, rows = survival.Outlook(), list(cases())
	start = [*outlook.centre, *outlook.scale, *outlook.stop]
	point = [s + n for s, n in zip(start, nudge, strict=True)]
	value, gradient, _ = survival._score(rows, point, start)
	assert value == pytest.approx(survival._log_likelihood(rows, point, start))
	for i in range(len(point)):
		expected = slope(lambda p: survival._log_likelihood(rows, p, start), point, i)
		assert gradient[i] == pytest.approx(expected, rel=1e-4, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=4))
def test_the_slopes_of_the_calibration_likelihood_are_its_slopes(point):
	rng = random.Random(6)
	outcomes = []
	for _ in range(60):
		entered = rng.gauss(-1, 1)
		left = entered + rng.expovariate(1) + 0.05
		outcomes.append(calibration._Outcome(entered, left, rng.random() < 0.5, rng.uniform(0.05, 0.6)))
	# Away from the median, where the two sides meet and the likelihood has a corner.
	outcomes = [o for o in outcomes if all(abs(y - point[0]) > 1e-3 for y in (o.entered, o.left))]
	_, gradient, _ = calibration._score(outcomes, point)
	for i in range(4):
		expected = slope(lambda p: calibration._score(outcomes, p)[0], point, i)
		assert gradient[i] == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_the_calibration_of_completed_intervals_is_their_own_quantiles():
	rng = random.Random(7)
	found = calibration.calibrate_intervals(rng.gauss(0.4, 1.5) for _ in range(20_000))
	assert found.shift == pytest.approx(0.4, abs=0.05)
	assert (found.lower, found.upper) == pytest.approx((1.5, 1.5), abs=0.06)
	assert calibration.calibrate_intervals([5.0] * 10).shift == 0.0
