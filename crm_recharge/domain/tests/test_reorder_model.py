"""The reorder model: what it learns from simulated shops, and what every forecast must obey."""

import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_recharge.domain.reorder import (
	NoBasisError,
	PairState,
	Priors,
	PriorsError,
	PurchaseError,
	Resolved,
	calibrate,
	fit,
	predict,
)
from crm_recharge.domain.reorder.distribution import Interval

TODAY = 500


def shop(seed=1, customers=400, items=20, median=30.0, sigma=0.5, stop=0.1, days=TODAY, elasticity=0.0):
	"""Lines of a shop whose rhythm is known: log-normal intervals, a constant chance to stop."""
	rng = random.Random(seed)
	item_effect = [rng.gauss(0, 0.4) for _ in range(items)]
	lines = []
	for c in range(customers):
		tempo = rng.gauss(0, 0.3)
		for i in rng.sample(range(items), rng.randint(1, 6)):
			day = rng.randint(1, 400)
			while day <= days:
				quantity = rng.choice((1, 1, 2, 4))
				lines.append((f"C{c:04}", f"I{i:03}", f"G{i % 4}", day, quantity))
				if rng.random() < stop:
					break
				centre = math.log(median) + item_effect[i] + tempo + elasticity * math.log(quantity)
				day += max(1, round(rng.lognormvariate(centre, sigma)))
	return sorted(lines)


def pairs(lines):
	book = {}
	for customer, item, group, day, quantity in lines:
		book.setdefault((customer, item, group), []).append((day, quantity))
	return book


@pytest.fixture(scope="module")
def lines():
	return shop(days=TODAY + 400)


@pytest.fixture(scope="module")
def priors(lines):
	return fit(lines, today=TODAY)


@pytest.fixture(scope="module")
def outcomes(lines, priors):
	"""(forecast, next purchase-day or None) at TODAY for everybody with two purchases, followed 400 days."""
	rows = []
	for (customer, item, group), days in pairs(lines).items():
		past = [d for d in days if d[0] <= TODAY]
		later = [d for d, _ in days if d > TODAY]
		if len(past) > 1:
			forecast = predict(priors, PairState.of(past), TODAY, customer, item, group)
			rows.append((forecast, later[0] if later else None))
	return rows


def test_a_probability_of_buying_is_the_share_that_buys(outcomes):
	for horizon in (10, 30, 90):
		expected = sum(f.buys_within(horizon) for f, _ in outcomes) / len(outcomes)
		actual = sum(day is not None and day <= TODAY + horizon for _, day in outcomes) / len(outcomes)
		assert expected == pytest.approx(actual, abs=0.03)


def test_those_said_to_be_likely_do_buy_more_than_those_said_to_be_unlikely(outcomes):
	ranked = sorted(outcomes, key=lambda row: row[0].p_buy_within)
	third = len(ranked) // 3
	bought = [
		sum(day is not None and day <= TODAY + 30 for _, day in part) / third
		for part in (ranked[:third], ranked[-third:])
	]
	assert bought[0] < 0.15 < 0.5 < bought[1]


def test_the_range_holds_eight_of_ten_of_those_who_buy(outcomes):
	bought = [(f, day) for f, day in outcomes if day is not None]
	inside = sum(f.p10 <= day <= f.p90 for f, day in bought) / len(bought)
	early = sum(day < f.p10 for f, day in bought) / len(bought)
	assert inside == pytest.approx(0.8, abs=0.05)
	assert early == pytest.approx(0.1, abs=0.04)


def test_still_buying_is_the_share_that_ever_comes_back(outcomes):
	alive = sum(f.p_alive for f, _ in outcomes) / len(outcomes)
	came_back = sum(day is not None for _, day in outcomes) / len(outcomes)
	assert alive == pytest.approx(came_back, abs=0.05)


def test_stopping_is_learned(priors):
	assert priors.outlook.stop_probability(3) == pytest.approx(0.1, abs=0.06)
	assert priors.outlook.first_stop == pytest.approx(0.1, abs=0.1)


def test_the_future_is_not_looked_at(lines):
	known = [line for line in lines if line[3] <= TODAY]
	late = fit(lines, today=TODAY)
	assert late.ignored_future == len(lines) - len(known) > 0
	assert (
		replace(late, ignored_future=0, lines=0).to_dict()
		== replace(fit(known, today=TODAY), lines=0).to_dict()
	)


def test_the_next_interval_is_foretold_better_than_by_the_usual_averages():
	book = pairs(shop(seed=3))
	kept, held = [], {}
	for key, days in book.items():
		if len(days) > 2:
			held[key] = days.pop()[0]
		kept += [(*key, day, quantity) for day, quantity in days]
	priors = fit(iter(sorted(kept)))
	model = own = inside = 0
	for key, truth in held.items():
		state = PairState.of(book[key])
		forecast = predict(priors, state, state.last, *key)
		model += abs(forecast.p50 - truth)
		own += abs(state.last + (state.last - state.first) / state.intervals - truth)
		inside += forecast.p10 <= truth <= forecast.p90
	assert model < 0.92 * own
	assert inside / len(held) == pytest.approx(0.8, abs=0.05)


def test_a_quantity_that_lasts_longer_is_learned_and_one_that_does_not_is_ignored():
	assert fit(shop(elasticity=0.6), today=TODAY).elasticity == pytest.approx(0.6, abs=0.1)
	assert fit(shop(), today=TODAY).elasticity < 0.05
	assert Priors().elasticity == 0.0


def test_who_bought_double_is_expected_later_only_as_far_as_the_elasticity_says(priors):
	state = PairState.of([(10, 1), (40, 1), (70, 2)])
	plain, half = (predict(priors, state, 70, elasticity=e).interval.centre for e in (0.0, 0.5))
	assert half - plain == pytest.approx(0.5 * math.log(2))


@settings(max_examples=300, deadline=None)
@given(
	st.dictionaries(st.integers(1, 5000), st.floats(0.01, 1e4), min_size=1, max_size=12),
	st.integers(-10, 20_000),
	st.one_of(st.none(), st.floats(0.5, 5000)),
	st.booleans(),
)
def test_every_forecast_is_in_order(priors, book, overdue, default, known):
	state = PairState.of(book.items())
	today = state.last + overdue
	names = ("C0001", "I001", "G1") if known else ("new", "new", "new")
	forecast = predict(priors, state, today, *names, rule_default=default)
	assert max(today, state.last) < forecast.p10 <= forecast.p50 <= forecast.p90
	within = [forecast.buys_within(d) for d in (0, 1, 7, 30, 90, 10_000)]
	assert within == sorted(within)
	assert within[0] == 0 and within[-1] <= forecast.p_alive + 1e-9 <= 1 + 2e-9
	later = predict(priors, state, max(today, state.last) + 30, *names, rule_default=default)
	assert later.p_alive <= forecast.p_alive + 1e-9
	assert later.p50 >= forecast.p50


def test_the_rule_default_is_the_forecast_where_nothing_is_known():
	once = PairState.of([(100, 1)])
	assert predict(Priors(), once, 100, rule_default=45).p50 == 145


def test_the_rule_default_yields_to_the_customers_own_rhythm(priors):
	own = PairState.of([(day, 1) for day in range(100, 401, 20)])
	once = PairState.of([(400, 1)])
	default = predict(priors, once, 400, item="new", rule_default=200)
	learned = predict(priors, own, 400, item="new", rule_default=200)
	assert default.p50 == 600
	assert learned.p50 < 450


def test_the_rule_default_yields_to_what_others_taught_of_the_item(priors):
	once = PairState.of([(400, 1)])
	free = predict(priors, once, 400, item="I001", group="G1")
	ruled = predict(priors, once, 400, item="I001", group="G1", rule_default=4000)
	assert ruled.p50 - 400 < 1.6 * (free.p50 - 400)


def test_before_any_fit_a_customers_own_rhythm_is_used():
	state = PairState.of([(0, 1), (20, 1), (40, 1), (60, 1)])
	assert predict(Priors(), state, 60).p50 == pytest.approx(80, abs=2)


@pytest.mark.parametrize(
	("state", "options", "message"),
	[
		(PairState(), {}, "No purchase"),
		(PairState.of([(1, 1)]), {}, "set a default interval"),
		(PairState.of([(1, 1)]), {"rule_default": 0}, "positive number of days"),
		(PairState.of([(1, 1)]), {"rule_default": math.nan}, "positive number of days"),
	],
)
def test_no_basis_is_said_not_guessed(state, options, message):
	with pytest.raises(NoBasisError, match=message):
		predict(Priors(), state, 100, **options)


def test_priors_survive_json_with_the_same_forecasts(lines, priors):
	again = Priors.from_dict(json.loads(json.dumps(priors.to_dict())))
	assert again.to_dict() == priors.to_dict()
	for (customer, item, group), days in list(pairs(lines).items())[:50]:
		state = PairState.of(days)
		for names in ((customer, item, group), (customer, item, None), (None, None, None)):
			assert predict(again, state, TODAY, *names) == predict(priors, state, TODAY, *names)


@pytest.mark.parametrize("damage", [{"version": 0}, {"outlook": {"x": 1}}, {"cadence": None}])
def test_priors_of_another_make_are_refused(priors, damage):
	with pytest.raises(PriorsError, match="refit"):
		Priors.from_dict(priors.to_dict() | damage)


@pytest.mark.parametrize(
	("bad", "message"),
	[
		([("A", "x", "g", 5, 1), ("A", "x", "g", 4, 1)], "day 4 comes after 5"),
		(
			[("A", "x", "g", 5, 1), ("B", "x", "g", 4, 1), ("A", "y", "g", 4, 1)],
			"customer 'A' are not together",
		),
		([("A", "x", "g", 5, 1), ("A", "y", "g", 4, 1), ("A", "x", "g", 6, 1)], "item 'x' are not together"),
		([("A", "x", "g", 5, math.nan)], "not a purchase that can be learned from"),
		([("A", "x", "g", -5, 1)], "not a purchase that can be learned from"),
	],
)
def test_lines_out_of_order_or_unreal_are_refused_with_their_name(bad, message):
	with pytest.raises(PurchaseError, match=message):
		fit(bad, today=10)


@pytest.mark.parametrize(
	"lines",
	[
		[],
		[("A", "x", "g", 5, 1)],
		[("A", "x", "g", 5, 1), ("A", "x", "g", 9, -1)],
		[("A", "x", "g", 5, 1), ("A", "x", "g", 7305 + 5, 1)],
		[("A", "x", "g", day, 1) for day in range(1, 60)],
		[(f"C{c}", "x", "g", day, 1) for c in range(40) for day in (1, 31, 61)],
	],
)
@pytest.mark.parametrize("today", [None, 8000])
def test_the_smallest_and_the_oddest_shops_can_be_learned_from(lines, today):
	priors = fit(lines, today=today)
	forecast = predict(priors, PairState.of([(10, 1), (40, 1)]), 50, "A", "x", "g", rule_default=30)
	assert 50 < forecast.p10 <= forecast.p50 <= forecast.p90
	assert 0 <= forecast.p_buy_within <= forecast.p_alive <= 1


def test_lines_of_one_day_are_one_purchase_and_a_returned_one_is_none():
	lines = shop(seed=4, customers=60)
	doubled = [line for line in lines for _ in range(2)]
	returned = sorted([*lines, *((c, i, g, d, -q) for c, i, g, d, q in lines[::7])])
	kept = [line for n, line in enumerate(lines) if n % 7]
	plain = fit(lines, today=TODAY).to_dict()
	for other, base in ((doubled, plain), (returned, fit(kept, today=TODAY).to_dict())):
		again = fit(other, today=TODAY).to_dict()
		assert again["cadence"]["coefficients"] == base["cadence"]["coefficients"]
		assert again["outlook"] == base["outlook"]


def resolved(priors, seed, stretch=0.0, width=1.0):
	"""Forecasts at TODAY and what the model itself, with its median moved and its width changed, makes of them."""
	rng = random.Random(seed)
	rows = []
	for n in range(1500):
		state = PairState.of([(TODAY - 90 - n % 50, 1), (TODAY - 40 - n % 40, 1), (TODAY - n % 40, 1)])
		plain = predict(priors, state, TODAY).interval
		told = Interval(
			plain.centre + stretch * plain.lower, plain.lower * width, plain.upper * width, plain.stop
		)
		elapsed = TODAY - state.last
		day = None
		if rng.random() < told.alive(elapsed):
			day = state.last + max(round(told.quantile(rng.random(), elapsed)), elapsed + 1)
		rows.append(Resolved(None, None, None, state, TODAY, day, TODAY + 60))
	return rows


def test_outcomes_as_foretold_change_nothing(priors):
	calibration = calibrate(priors, resolved(priors, 1)).calibration
	assert calibration.shift == pytest.approx(0, abs=0.12)
	assert calibration.lower == pytest.approx(1, abs=0.12)
	assert calibration.upper == pytest.approx(1, abs=0.2)


def test_outcomes_later_and_wider_than_foretold_move_and_widen_the_range(priors):
	calibration = calibrate(priors, resolved(priors, 2, stretch=0.5, width=1.3)).calibration
	assert calibration.shift == pytest.approx(0.5, abs=0.2)
	assert calibration.lower > 1.1
	state = PairState.of([(400, 1), (440, 1), (480, 1)])
	corrected = predict(replace(priors, calibration=calibration), state, TODAY)
	assert corrected.p90 > predict(priors, state, TODAY).p90


def test_forecasts_still_open_keep_the_correction_honest(priors):
	rows = resolved(priors, 3)
	only_bought = [row for row in rows if row.bought and row.bought <= row.until]
	honest, hasty = calibrate(priors, rows).calibration, calibrate(priors, only_bought).calibration
	state = PairState.of([(440, 1), (470, 1), (495, 1)])
	p_honest, p_hasty = (
		predict(replace(priors, calibration=c), state, TODAY).p_buy_within for c in (honest, hasty)
	)
	assert p_hasty > p_honest + 0.05


def test_a_correction_needs_outcomes(priors):
	assert calibrate(priors, resolved(priors, 1)[:20]) is priors
