"""When a reminder is due and what holds it back."""

import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain.reorder import hold_out
from crm_recharge.domain.reorder.due import (
	CODES,
	Limits,
	Pair,
	Timing,
	Whom,
	allowed_at,
	customer_held_back,
	expected_on,
	held_back,
	remind_on,
	wish,
)

TODAY = 740_000
LAST = TODAY - 30
days = st.integers(0, 800)
timings = st.builds(Timing, lead_time=days, minimum=days, maximum=days, by_age=st.booleans(), age=days)
perhaps = st.none() | st.integers(TODAY - 400, TODAY + 400)


@pytest.mark.parametrize(
	("timing", "expected", "day"),
	[
		(Timing(lead_time=14), None, LAST + 31),
		(Timing(lead_time=14, minimum=60), None, LAST + 46),
		(Timing(lead_time=14, maximum=40), None, LAST + 26),
		(Timing(lead_time=14, minimum=20, maximum=90), None, LAST + 31),
		(Timing(lead_time=14, by_age=True, age=180), None, LAST + 166),
		(Timing(lead_time=14, minimum=60), LAST + 20, LAST + 6),
		(Timing(lead_time=90), None, LAST + 1),
		# What was said before the last purchase is fulfilled.
		(Timing(lead_time=14), LAST, LAST + 31),
	],
)
def test_the_day(timing, expected, day):
	assert remind_on(LAST, LAST + 45, timing, expected) == day


def test_without_a_forecast_nothing_is_due_but_by_age_or_word():
	assert remind_on(LAST, None, Timing(minimum=10, maximum=20)) is None
	assert remind_on(LAST, None, Timing(by_age=True, age=100)) == LAST + 100
	assert remind_on(LAST, None, Timing(), LAST + 9) == LAST + 9


def test_a_snooze_moves_it_and_does_not_bring_it_forward():
	assert remind_on(LAST, LAST + 45, Timing(lead_time=14), None, LAST + 100) == LAST + 100
	assert remind_on(LAST, LAST + 45, Timing(lead_time=14), None, LAST + 3) == LAST + 31


def test_once_a_cycle_unless_the_customer_names_a_later_day():
	timing = Timing(lead_time=5)
	reminded = LAST + 20
	assert remind_on(LAST, LAST + 25, timing, reminded=reminded) is None
	assert remind_on(LAST, LAST + 25, timing, snoozed_until=LAST + 20, reminded=reminded) is None
	assert remind_on(LAST, LAST + 25, timing, snoozed_until=LAST + 40, reminded=reminded) == LAST + 40
	assert remind_on(LAST, LAST + 25, timing, expected=LAST + 60, reminded=reminded) == LAST + 55
	assert remind_on(LAST, None, timing, snoozed_until=LAST + 40, reminded=reminded) == LAST + 40
	# A reminder before the last purchase was of the cycle before, also on the very day.
	assert remind_on(LAST, LAST + 25, timing, reminded=LAST - 1) == LAST + 20
	assert remind_on(LAST, LAST + 25, timing, reminded=LAST) == LAST + 20


@given(timings, perhaps, perhaps, perhaps, st.none() | st.integers(LAST - 400, LAST + 400))
def test_never_before_the_purchase_nor_before_the_snooze(timing, middle, expected, snooze, reminded):
	day = remind_on(LAST, middle, timing, expected, snooze, reminded)
	if day is not None:
		assert day > LAST
		assert snooze is None or day >= snooze


@given(timings, st.integers(LAST + 1, LAST + 900))
def test_within_the_limits(timing, middle):
	day = expected_on(LAST, middle, timing)
	if timing.by_age:
		assert day == LAST + timing.age
	elif timing.maximum:
		assert day <= LAST + timing.maximum
	elif timing.minimum:
		assert day >= LAST + timing.minimum
	else:
		assert day == middle


def test_the_latest_wish_counts_and_old_ones_are_fulfilled():
	assert wish(LAST, LAST + 3, LAST + 9) == LAST + 9
	assert wish(LAST, LAST, LAST - 1) is None
	assert wish(LAST, None, None) is None


# -- held back ---------------------------------------------------------------------------------------------

GOOD = Pair(
	last=LAST, due=TODAY, days=4, p_alive=0.9, low=TODAY + 5, high=TODAY + 25, interval=30, in_stock=True
)
LIMITS = Limits(least_purchases=2, least_p_alive=0.5, widest_range=3)
REASONS = {
	"rule_off": {"rule_on": False},
	"item_disabled": {"item_disabled": True},
	"stopped": {"stopped": True},
	"bought_meanwhile": {"bought": LAST + 1},
	"replaced": {"replaced": LAST + 1, "replaced_by": "Decaf"},
	"already_reminded": {"reminded": LAST + 5},
	"snoozed": {"snoozed_until": TODAY + 1},
	"not_due": {"due": TODAY + 1},
	"too_few_purchases": {"days": 1},
	"probably_stopped": {"p_alive": 0.49},
	"range_too_wide": {"high": TODAY + 96},
	"open_order": {"order": "SAL-ORD-1"},
	"subscription": {"subscription": "ACC-SUB-1"},
	"out_of_stock": {"in_stock": False},
}


def test_nothing_speaks_against_it():
	assert held_back(GOOD, LIMITS, TODAY) is None


@pytest.mark.parametrize(("code", "change"), REASONS.items())
def test_each_reason_alone(code, change):
	assert held_back(replace(GOOD, **change), LIMITS, TODAY).code == code


@given(st.sets(st.sampled_from(list(REASONS)), min_size=1))
def test_the_weightiest_reason_is_named(codes):
	pair = GOOD
	for code in codes:
		pair = replace(pair, **REASONS[code])
	found = held_back(pair, LIMITS, TODAY).code
	# A snooze after the reminder is the customer asking again.
	if {"already_reminded", "snoozed"} <= codes:
		codes = codes - {"already_reminded"}
	assert found == min(codes, key=list(REASONS).index)


def test_the_edges_of_the_limits_are_allowed():
	edge = replace(GOOD, days=2, p_alive=0.5, low=TODAY + 5, high=TODAY + 95, snoozed_until=TODAY)
	assert held_back(edge, LIMITS, TODAY) is None


def test_limits_of_zero_are_none():
	wild = replace(GOOD, days=0, p_alive=0.0, high=TODAY + 4000)
	assert held_back(wild, Limits(), TODAY) is None


def test_unknown_figures_hold_nothing_back():
	unknown = replace(GOOD, p_alive=None, low=None, high=None, interval=0.0, in_stock=None)
	assert held_back(unknown, LIMITS, TODAY) is None


@pytest.mark.parametrize("change", [{"by_age": True}, {"expected": LAST + 1}])
def test_age_and_the_customers_word_need_no_forecast(change):
	doubtful = replace(GOOD, days=1, p_alive=0.1, high=TODAY + 900, **change)
	assert held_back(doubtful, LIMITS, TODAY) is None
	assert held_back(replace(doubtful, in_stock=False), LIMITS, TODAY).code == "out_of_stock"


def test_what_was_bought_today_is_not_reminded_of_today_whatever_was_foretold():
	bought_today = replace(GOOD, last=TODAY, due=TODAY)
	assert held_back(bought_today, LIMITS, TODAY).code == "bought_meanwhile"
	assert held_back(replace(bought_today, last=TODAY - 1), LIMITS, TODAY) is None


def test_who_buys_on_the_day_of_the_reminder_has_answered_it():
	answered = replace(GOOD, last=LAST, reminded=LAST, due=TODAY + 9)
	assert held_back(answered, LIMITS, TODAY).code == "not_due"


def test_asked_again_after_a_reminder():
	asked = replace(GOOD, reminded=TODAY - 10, snoozed_until=TODAY)
	assert held_back(asked, LIMITS, TODAY) is None
	assert held_back(replace(asked, reminded=TODAY), LIMITS, TODAY).code == "already_reminded"


@pytest.mark.parametrize(
	("change", "code"),
	[
		({}, None),
		({"disabled": True, "consents": False}, "customer_disabled"),
		({"consents": False}, "no_consent"),
		({"snoozed_until": TODAY + 1}, "snoozed"),
		({"snoozed_until": TODAY}, None),
		({"last_mailed": TODAY - 13, "frequency": 14}, "too_soon"),
		({"last_mailed": TODAY - 14, "frequency": 14}, None),
		({"last_mailed": TODAY, "frequency": 0}, None),
		({"last_mailed": None, "frequency": 14}, None),
	],
)
def test_the_customer(change, code):
	found = customer_held_back(replace(Whom(consents=True), **change), TODAY)
	assert (found and found.code) == code


def test_a_hint_to_the_sales_team_needs_no_consent():
	assert customer_held_back(Whom(last_mailed=TODAY, frequency=9), TODAY, by_mail=False) is None
	assert customer_held_back(Whom(disabled=True), TODAY, by_mail=False).code == "customer_disabled"


def test_every_code_is_listed():
	assert set(REASONS) <= set(CODES)
	assert len(set(CODES)) == len(CODES)


@pytest.mark.parametrize(
	("minute", "weekday", "start", "end", "weekdays_only", "allowed"),
	[
		(540, 0, 540, 1080, False, True),
		(539, 0, 540, 1080, False, False),
		(1080, 0, 540, 1080, False, False),
		(1079, 5, 540, 1080, True, False),
		(1079, 4, 540, 1080, True, True),
		(1400, 2, 1320, 360, False, True),
		(300, 2, 1320, 360, False, True),
		(700, 2, 1320, 360, False, False),
		(0, 2, 0, 0, False, True),
	],
)
def test_the_hours(minute, weekday, start, end, weekdays_only, allowed):
	assert allowed_at(minute, weekday, start, end, weekdays_only) is allowed


# -- the hold-out ------------------------------------------------------------------------------------------


def test_the_share_is_met_and_the_lots_are_even():
	keys = [f"key{number}" for number in range(20_000)]
	for share in (0.01, 0.1, 0.5):
		held = sum(hold_out.drawn(key, share) for key in keys)
		assert abs(held / len(keys) - share) < 4 * (share * (1 - share) / len(keys)) ** 0.5
	assert statistics.mean(hold_out.number(key) for key in keys) == pytest.approx(2**31, rel=0.02)


@given(st.text(max_size=40), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_keeps_who_was_held_out(key, one, other):
	small, large = sorted((one, other))
	assert not hold_out.drawn(key, small) or hold_out.drawn(key, large)


def test_nobody_and_everybody():
	keys = [f"key{number}" for number in range(1000)]
	assert not any(hold_out.drawn(key, 0) for key in keys)
	assert all(hold_out.drawn(key, 1) for key in keys)


@pytest.mark.parametrize("share", [-0.1, 1.01, float("nan")])
def test_a_share_that_is_none(share):
	with pytest.raises(ValueError, match="from 0 to 1"):
		hold_out.drawn("x", share)
