"""Which cards may be charged, and what a decline says about one."""

from dataclasses import replace
from datetime import date

import pytest

from crm_recharge.domain import cards
from crm_recharge.domain.answers import DeclineClass
from crm_recharge.domain.cards import Card, is_expired, status_after, why_unusable

TODAY = date(2026, 3, 31)
GOOD = Card("card", "pm", exp_month=3, exp_year=2026)


def test_a_card_is_good_until_the_last_day_of_its_month():
	assert not is_expired(3, 2026, TODAY)
	assert is_expired(3, 2026, date(2026, 4, 1))
	assert is_expired(12, 2025, date(2026, 1, 1))
	assert not is_expired(1, 2027, date(2026, 12, 31))


@pytest.mark.parametrize(("month", "year"), [(None, None), (0, 2020), (1, None), (None, 2020)])
def test_a_card_without_a_date_is_taken_as_good(month, year):
	assert not is_expired(month, year, TODAY)


@pytest.mark.parametrize(
	("change", "why"),
	[
		({}, None),
		({"kind": "us_bank_account"}, cards.NOT_A_CARD),
		({"kind": "us_bank_account", "status": cards.REMOVED}, cards.NOT_A_CARD),
		({"exp_year": 2025}, cards.PAST_EXPIRY),
		({"status": cards.EXPIRED, "exp_year": 2030}, cards.PAST_EXPIRY),
		({"status": cards.DECLINED}, cards.NOT_ACTIVE),
		({"status": cards.REMOVED}, cards.NOT_ACTIVE),
		({"declines_30d": cards.NETWORK_LIMIT - 1}, None),
		({"declines_30d": cards.NETWORK_LIMIT}, cards.AT_NETWORK_LIMIT),
	],
)
def test_why_a_card_is_passed_over(change, why):
	assert why_unusable(replace(GOOD, **change), TODAY) == why


def test_only_what_is_about_the_card_itself_marks_it():
	marks = {kind: status_after(kind) for kind in [*DeclineClass, None]}
	assert marks == {
		DeclineClass.PERMANENT: cards.DECLINED,
		DeclineClass.EXPIRED: cards.EXPIRED,
		DeclineClass.TRY_LATER: None,
		DeclineClass.AUTHENTICATION: None,
		DeclineClass.FRAUD: None,
		DeclineClass.CUSTOMER_GONE: cards.UNUSABLE,
		None: None,
	}


def test_a_marked_card_is_never_charged_again():
	for kind in DeclineClass:
		status = status_after(kind)
		if status:
			assert why_unusable(replace(GOOD, status=status), TODAY)
