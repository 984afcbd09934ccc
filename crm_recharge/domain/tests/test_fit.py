"""A capture pays for a recharge only if recharge, customer, currency and amount all agree."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import fit
from crm_recharge.domain.answers import Answer, DisputeAnswer, Outcome, RefundAnswer, RefundOutcome
from crm_recharge.domain.fit import Due, Site

D = Decimal
DUE = Due("R", ("cus_1", "cus_0"), "USD", D("60"), "USD")
FITS = Answer(
	Outcome.SUCCEEDED,
	intent="pi_1",
	amount=D("60.000"),
	currency="USD",
	customer="cus_1",
	metadata={"recharge": "R"},
)


def what(due, answer):
	return [misfit.what for misfit in fit.misfits(due, answer)]


def test_what_agrees_in_everything_fits():
	assert fit.misfits(DUE, FITS) == ()
	assert fit.misfits(DUE, replace(FITS, customer="cus_0")) == ()


@pytest.mark.parametrize(
	("changes", "wrong"),
	[
		({"amount": D("9000")}, ["amount"]),
		({"amount": D("0.50")}, ["amount"]),
		({"amount": None}, ["amount"]),
		({"currency": "JPY"}, ["currency"]),
		({"currency": None}, ["currency"]),
		({"customer": "cus_2"}, ["customer"]),
		({"customer": None}, ["customer"]),
		({"metadata": {"recharge": "S"}}, ["recharge"]),
		({"metadata": {}}, ["recharge"]),
		({"currency": "JPY", "amount": D("10000"), "customer": None}, ["customer", "currency", "amount"]),
	],
)
def test_each_thing_that_does_not_agree_is_named(changes, wrong):
	assert what(DUE, replace(FITS, **changes)) == wrong


def test_an_account_kept_in_another_currency_is_credited_nothing():
	assert what(replace(DUE, account_currency="EUR"), FITS) == ["currency"]


def test_without_a_customer_nothing_fits():
	assert what(replace(DUE, customers=()), FITS) == ["customer"]
	assert what(replace(DUE, customers=()), replace(FITS, customer=None)) == ["customer"]


words = st.sampled_from(["R", "S", None])
amounts = st.sampled_from([D("60"), D("60.0"), D("59.99"), D("6000"), None])


@given(words, st.sampled_from(["cus_1", "cus_2", None]), st.sampled_from(["USD", "EUR", None]), amounts)
def test_nothing_fits_but_the_one_payment(recharge, customer, currency, amount):
	answer = replace(
		FITS, metadata={"recharge": recharge}, customer=customer, currency=currency, amount=amount
	)
	is_it = (recharge, customer, currency, amount) == ("R", "cus_1", "USD", D("60"))
	assert (fit.misfits(DUE, answer) == ()) == is_it


def test_a_person_may_accept_another_amount_and_nothing_else():
	assert fit.may_be_credited(fit.misfits(DUE, replace(FITS, amount=D(9))))
	assert not fit.may_be_credited(fit.misfits(DUE, replace(FITS, amount=D(9), customer="cus_2")))
	assert not fit.may_be_credited(fit.misfits(DUE, replace(FITS, currency="EUR")))


@pytest.mark.parametrize(
	("metadata", "marked", "ours"),
	[
		({}, False, False),
		({"site": "here"}, True, True),
		({"site": "there"}, True, False),
		({"site": "here", "site_id": "1"}, True, True),
		({"site": "renamed", "site_id": "1"}, True, True),
		({"site": "here", "site_id": "2"}, True, False),
	],
)
def test_whose_payment_it_is(metadata, marked, ours):
	site = Site("here", "1")
	assert (fit.is_marked(metadata), fit.is_ours(metadata, site)) == (marked, ours)
	assert fit.names_another(metadata, site) == (marked and not ours)


def test_a_site_without_a_name_owns_nothing():
	assert not fit.is_ours({"site": ""}, Site("", ""))


@pytest.mark.parametrize(
	("amount", "currency", "wrong"),
	[
		(D(60), "USD", []),
		(D(1), "USD", []),
		(D("60.01"), "USD", ["amount"]),
		(None, "USD", ["amount"]),
		(D(1), "JPY", ["currency"]),
	],
)
def test_a_refund_or_dispute_is_of_the_payment_or_less(amount, currency, wrong):
	refund = RefundAnswer(RefundOutcome.SUCCEEDED, refund="re_1", amount=amount, currency=currency)
	assert [m.what for m in fit.claim_misfits(DUE, refund)] == wrong
	assert fit.is_the_refund(D(60), "USD", refund) == ((amount, currency) == (D(60), "USD"))
	if amount is not None:
		dispute = DisputeAnswer("dp_1", "needs_response", "fraudulent", amount, currency)
		assert [m.what for m in fit.claim_misfits(DUE, dispute)] == wrong
