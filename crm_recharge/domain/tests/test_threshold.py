"""When a recharge starts, how much it charges, and the code that says why (not)."""

from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import money, threshold
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.threshold import Cap, Limits, View, decide

BELOW = View(currency="USD", balance=Decimal("49.99"))
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def cap(limit, used, **more):
	return Cap("amount_day", Decimal(limit), Decimal(used), **more)


def test_below_the_threshold_the_whole_gap_is_charged():
	decision = decide(BELOW)
	assert (decision.code, decision.amount) == (threshold.CHARGED, Decimal("450.01"))
	assert decision.figures == {
		"balance": "49.99",
		"falls_below": "50",
		"recharge_up_to": "500",
		"amount": "450.01",
	}


def test_at_the_threshold_counts_as_below():
	assert decide(replace(BELOW, balance=Decimal(50))).code == threshold.CHARGED
	assert decide(replace(BELOW, balance=Decimal("50.000000001"))).code == threshold.ABOVE_THRESHOLD


@pytest.mark.parametrize(
	("change", "code"),
	[
		({"has_setting": False}, threshold.NO_SETTING),
		({"balance": Decimal(51)}, threshold.ABOVE_THRESHOLD),
		({"held_because": "chargeback"}, threshold.HELD),
		({"enabled": False}, threshold.DISABLED),
		({"open_recharge": "R1"}, threshold.OPEN_RECHARGE),
		({"paused_because": "spike"}, threshold.PAUSED),
		({"usable_cards": 0}, threshold.NO_USABLE_CARD),
		({"limits": Limits(minimum=Decimal(451))}, threshold.BELOW_MINIMUM),
		({"caps": (cap(1000, 600),)}, threshold.CAPPED),
	],
)
def test_each_reason_not_to_charge(change, code):
	decision = decide(replace(BELOW, **change))
	assert (decision.code, decision.amount) == (code, None)


def test_the_first_reason_in_the_order_of_gravity_is_told():
	"""Everything is wrong at once; each reason shows when the graver ones are gone."""
	view = View(
		"USD",
		Decimal(0),
		enabled=False,
		held_because="dispute",
		open_recharge="R1",
		paused_because="spike",
		usable_cards=0,
		limits=Limits(minimum=Decimal(501)),
		caps=(cap(0, 0),),
	)
	cures = [
		(threshold.HELD, {"held_because": None}),
		(threshold.DISABLED, {"enabled": True}),
		(threshold.OPEN_RECHARGE, {"open_recharge": None}),
		(threshold.PAUSED, {"paused_because": None}),
		(threshold.NO_USABLE_CARD, {"usable_cards": 1}),
		(threshold.BELOW_MINIMUM, {"limits": Limits()}),
		(threshold.CAPPED, {"caps": ()}),
		(threshold.CHARGED, {}),
	]
	for code, cure in cures:
		assert decide(view).code == code
		view = replace(view, **cure)


def test_a_decision_carries_its_figures():
	held = decide(replace(BELOW, held_because="chargeback")).figures
	assert held["because"] == "chargeback"
	assert decide(replace(BELOW, open_recharge="R7")).figures["open_recharge"] == "R7"
	assert decide(replace(BELOW, paused_because="spike")).figures["because"] == "spike"
	assert decide(replace(BELOW, limits=Limits(minimum=Decimal(451)))).figures["minimum"] == "451"
	capped = decide(replace(BELOW, caps=(cap(1000, "600.5", frees_at=NOON),))).figures
	assert capped["cap"] == "amount_day"
	assert (capped["limit"], capped["used"], capped["amount"]) == ("1000", "600.5", "450.01")
	assert capped["frees_at"] == "2026-03-01 12:00:00+00:00"


def test_an_amount_cap_may_be_reached_exactly_but_not_passed():
	assert decide(replace(BELOW, caps=(cap("1000.01", 550),))).code == threshold.CHARGED
	assert decide(replace(BELOW, caps=(cap("1000.00", 550),))).code == threshold.CAPPED


def test_a_count_cap_counts_recharges_not_money():
	assert decide(replace(BELOW, caps=(cap(3, 2, is_count=True),))).code == threshold.CHARGED
	assert decide(replace(BELOW, caps=(cap(3, 3, is_count=True),))).code == threshold.CAPPED


def test_every_cap_must_leave_room():
	caps = (cap(10_000, 0), Cap("count_hour", Decimal(3), Decimal(3), is_count=True))
	decision = decide(replace(BELOW, caps=caps))
	assert (decision.code, decision.figures["cap"]) == (threshold.CAPPED, "count_hour")


def test_one_charge_never_passes_the_payment_maximum():
	low = replace(BELOW, balance=Decimal(-9_700), falls_below=Decimal(50))
	assert decide(low).amount == Decimal(10_000)


def test_what_is_no_usage_charges_no_card_but_says_so():
	assert decide(replace(BELOW, by_usage=False)).code == threshold.NOT_BY_USAGE
	assert decide(replace(BELOW, by_usage=False, held_because="Refunded")).code == threshold.HELD
	assert set(threshold.TRIGGERS) == {"Usage", "Recharge"}


def test_a_debt_that_one_payment_cannot_lift_charges_no_card():
	debt = replace(BELOW, balance=Decimal(-9_950))
	assert decide(replace(debt, overdraft=Decimal(10_000))).amount == Decimal(10_000), "usage made it"
	deep = decide(debt)
	assert (deep.code, deep.amount, deep.figures["maximum"]) == (threshold.ABOVE_MAXIMUM, None, "10000")


@pytest.mark.parametrize(
	("currency", "maximum", "amount"),
	[("JPY", "400.5", "400"), ("USD", "99.999", "99.99"), ("KWD", "99.999", "99.99")],
)
def test_a_maximum_finer_than_a_coin_is_rounded_down(currency, maximum, amount):
	view = replace(BELOW, currency=currency, limits=Limits(maximum=Decimal(maximum)))
	assert decide(view).amount == Decimal(amount)


money_amounts = st.decimals(min_value=-50_000, max_value=50_000, places=9)


@given(
	money_amounts,
	st.sampled_from(["USD", "JPY", "KWD"]),
	st.decimals(min_value=6, max_value=20_000, places=3),
)
def test_what_is_charged_can_be_paid_stays_within_limits_and_closes_the_gap(balance, currency, maximum):
	view = View(currency, balance, limits=Limits(maximum=maximum))
	decision = decide(view)
	if balance > 50:
		assert decision == threshold.Decision(threshold.ABOVE_THRESHOLD, None, decision.figures)
		return
	if decision.code == threshold.ABOVE_MAXIMUM:
		coin = Decimal(1).scaleb(-money.charged_places(currency))
		assert balance + maximum - coin <= 50
		return
	assert decision.code == threshold.CHARGED
	assert balance >= 0 or balance + decision.amount > 50
	assert money.payable(decision.amount, currency) == decision.amount
	assert Decimal(5) <= decision.amount <= maximum
	coin = Decimal(1).scaleb(-money.charged_places(currency))
	reached = balance + decision.amount
	assert reached < 500 + coin
	assert reached >= 500 or decision.amount > maximum - coin


# -- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("falls_below", "up_to", "code"),
	[
		("-0.01", "500", "threshold_negative"),
		("50", "50", "target_not_above_threshold"),
		("50", "49", "target_not_above_threshold"),
		("50", "54.99", "gap_below_minimum"),
		("50", "10000.01", "gap_above_maximum"),
	],
)
def test_a_setting_that_could_not_do_what_it_says_is_refused(falls_below, up_to, code):
	with pytest.raises(InvalidRequest) as refused:
		threshold.check_setting(Decimal(falls_below), Decimal(up_to), "USD", Limits())
	assert refused.value.code == code
	assert refused.value.figures["falls_below"] == falls_below


@pytest.mark.parametrize(
	("falls_below", "up_to"), [("0", "5"), ("50", "55"), ("50", "500"), ("9995", "10000")]
)
def test_a_sound_setting_is_accepted_and_charges_when_needed(falls_below, up_to):
	falls_below, up_to = Decimal(falls_below), Decimal(up_to)
	threshold.check_setting(falls_below, up_to, "USD", Limits())
	for balance in (falls_below, Decimal(0)):
		view = View("USD", balance, falls_below=falls_below, recharge_up_to=up_to)
		assert decide(view).code == threshold.CHARGED
		assert decide(view).amount == up_to - balance


@pytest.mark.parametrize(
	("amount", "currency", "code"),
	[
		("4.99", "USD", "payment_below_minimum"),
		("10000.01", "USD", "payment_above_maximum"),
		("5.001", "USD", "payment_too_fine"),
		("5.5", "JPY", "payment_too_fine"),
		("5.005", "KWD", "payment_too_fine"),
	],
)
def test_a_payment_outside_the_limits_or_finer_than_a_coin_is_refused(amount, currency, code):
	with pytest.raises(InvalidRequest) as refused:
		threshold.check_payment(Decimal(amount), currency, Limits())
	assert refused.value.code == code


@pytest.mark.parametrize(
	("amount", "currency"), [("5", "USD"), ("10000", "USD"), ("5.01", "USD"), ("6", "JPY")]
)
def test_a_payment_within_the_limits_is_accepted(amount, currency):
	threshold.check_payment(Decimal(amount), currency, Limits())


# -- what the gateway takes in each currency ---------------------------------------------------------------------

GATEWAY = {
	"USD": ("0.50", "999999.99"),
	"JPY": ("50", "9999999999"),
	"HUF": ("175", "99999999.99"),
	"KWD": (None, "99999.99"),
}
"""Least and most of one payment."""


def of_gateway(currency: str) -> tuple[Decimal | None, Decimal]:
	least, most = GATEWAY[currency]
	return least and Decimal(least), Decimal(most)


def test_the_settings_count_within_what_the_gateway_takes():
	assert Limits().within(*of_gateway("JPY")) == Limits(Decimal(50), Decimal(10_000))
	assert Limits().within(*of_gateway("KWD")) == Limits()
	wide = Limits(Decimal("0.1"), Decimal(10) ** 12)
	assert wide.within(*of_gateway("USD")) == Limits(Decimal("0.50"), Decimal("999999.99"))
	assert wide.within(None, None) == wide


@given(
	st.sampled_from(sorted(GATEWAY)),
	st.decimals(0, 1000, places=2),
	st.decimals(0, 20_000, places=2),
	st.decimals("0.01", 300, places=2),
	st.decimals(400, 20_000, places=2),
	st.data(),
)
def test_a_setting_that_is_taken_never_asks_the_gateway_for_too_little(
	currency, falls_below, up_to, minimum, maximum, data
):
	limits = Limits(minimum, maximum).within(*of_gateway(currency))
	try:
		threshold.check_setting(falls_below, up_to, currency, limits)
	except InvalidRequest:
		return
	balance = data.draw(st.decimals(0, falls_below, places=9))
	decision = decide(View(currency, balance, falls_below=falls_below, recharge_up_to=up_to, limits=limits))
	assert decision.code == threshold.CHARGED
	assert decision.amount >= (of_gateway(currency)[0] or 0)
	assert decision.amount <= of_gateway(currency)[1]


@given(
	st.sampled_from(sorted(GATEWAY)),
	st.decimals(0, 1000, places=2),
	st.decimals(0, 20_000, places=2),
	st.decimals("0.01", 300, places=2),
	st.decimals(400, 20_000, places=2),
)
def test_usual_levels_are_moved_until_they_can_be_saved_and_stay_where_they_can(
	currency, falls_below, up_to, minimum, maximum
):
	limits = Limits(minimum, maximum).within(*of_gateway(currency))
	moved = threshold.fitting(falls_below, up_to, limits)
	threshold.check_setting(*moved, currency, limits)
	try:
		threshold.check_setting(falls_below, up_to, currency, limits)
	except InvalidRequest:
		return
	assert moved == (falls_below, up_to)


@given(
	st.sampled_from(sorted(GATEWAY)),
	st.lists(st.decimals("0.001", 20_000, places=3), max_size=5),
	st.decimals("0.01", 300, places=3),
)
def test_what_is_offered_can_be_paid(currency, presets, minimum):
	limits = Limits(minimum).within(*of_gateway(currency))
	offered = threshold.usual_amounts(presets, currency, limits)
	assert offered and offered == sorted(offered)
	for amount in offered:
		threshold.check_payment(amount, currency, limits)
	payable = [
		a for a in presets if limits.minimum <= a <= limits.maximum and money.payable(a, currency) == a
	]
	assert offered == sorted(payable) or not payable


def test_none_of_the_usual_amounts_can_be_paid_in_forints():
	limits = Limits().within(*of_gateway("HUF"))
	assert threshold.usual_amounts([Decimal(50), Decimal(100)], "HUF", limits) == [175, 350, 875]
