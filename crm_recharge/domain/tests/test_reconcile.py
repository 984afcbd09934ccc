"""Each payment at the gateway gets the verdict that the facts call for."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from crm_recharge.domain import reconcile
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.fit import Due, Site
from crm_recharge.domain.reconcile import Known, judge

HERE = Site("here", "id-1")
DUE = Due("RC-1", ("cus_1",), "USD", Decimal("450"))
NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
OLD = NOW - timedelta(hours=3)


def intent(outcome=Outcome.SUCCEEDED, **changes):
	values = {
		"intent": "pi_1",
		"amount": Decimal("450"),
		"currency": "USD",
		"customer": "cus_1",
		"metadata": {"site": "here", "recharge": "RC-1", "attempt": "RC-1-1"},
	}
	return Answer(outcome, **(values | changes))


def known(**changes):
	return Known(
		**(
			{"due": DUE, "status": "Succeeded", "settled_intent": "pi_1", "credited": Decimal("450")}
			| changes
		)
	)


def ids(site_id):
	return {"site": "here", "site_id": site_id, "recharge": "RC-1", "attempt": "RC-1-1"}


@pytest.mark.parametrize(
	("answer", "facts", "created", "kind"),
	[
		(intent(), known(), OLD, reconcile.AGREES),
		(intent(metadata={}), None, OLD, reconcile.NOT_OURS),
		(intent(metadata={"site": "elsewhere", "recharge": "RC-1"}), None, OLD, reconcile.NOT_OURS),
		# Of two sites with one name the id tells; without any mark, that the recharge is known here.
		(intent(metadata=ids("id-2")), known(settled_intent=None), OLD, reconcile.NOT_OURS),
		(
			intent(metadata=ids("id-1") | {"site": "old name"}),
			known(settled_intent=None),
			OLD,
			reconcile.SETTLE,
		),
		(intent(metadata={"recharge": "RC-1"}), known(settled_intent=None), OLD, reconcile.SETTLE),
		(intent(metadata=ids("id-2")), known(), OLD, reconcile.NOT_OURS),
		(intent(), known(credited=Decimal("400")), OLD, reconcile.AMOUNT_DIFFERS),
		(intent(), known(credited=None), OLD, reconcile.AMOUNT_DIFFERS),
		(intent(), known(status="Failed", settled_intent=None), OLD, reconcile.SETTLE),
		(intent(), known(status="Charging", settled_intent=None), NOW, reconcile.SETTLE),
		(intent(), known(settled_intent="pi_0"), OLD, reconcile.DUPLICATE),
		(intent(), known(settled_intent="pi_0", refund_arranged=True), OLD, reconcile.AGREES),
		(intent(), None, OLD, reconcile.ORPHAN),
		(intent(), None, NOW, reconcile.AGREES),
		(
			intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True),
			known(status="Failed", settled_intent=None),
			OLD,
			reconcile.CLOSE,
		),
		(intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True), None, OLD, reconcile.CLOSE),
		(
			intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True),
			known(status="Charging", settled_intent=None),
			OLD,
			reconcile.AGREES,
		),
		(
			intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True),
			known(status="Action Required", settled_intent=None),
			OLD,
			reconcile.AGREES,
		),
		(
			intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True),
			known(status="Failed", settled_intent=None, busy=True),
			OLD,
			reconcile.AGREES,
		),
		(
			intent(Outcome.DECLINED, intent_open=True),
			known(status="Failed", settled_intent=None),
			NOW,
			reconcile.AGREES,
		),
		(intent(Outcome.CANCELLED), known(status="Failed", settled_intent=None), OLD, reconcile.AGREES),
		(
			intent(Outcome.UNKNOWN, code="processing"),
			known(status="Charging", settled_intent=None),
			OLD,
			reconcile.AGREES,
		),
		(
			intent(Outcome.UNKNOWN, code="processing"),
			known(status="Charging", settled_intent=None),
			NOW - timedelta(hours=25),
			reconcile.UNDECIDED,
		),
	],
)
def test_verdict(answer, facts, created, kind):
	verdict = judge(answer, HERE, facts, created, NOW)
	assert verdict.kind == kind
	assert verdict.intent == "pi_1"
	assert bool(verdict.text) == (kind not in (reconcile.AGREES, reconcile.NOT_OURS))


WRONG = [
	{"amount": Decimal("9000")},
	{"amount": Decimal("449.99")},
	{"currency": "JPY"},
	{"customer": "cus_2"},
	{"customer": None},
]


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize(
	("facts", "kind"),
	[
		({}, reconcile.DOES_NOT_FIT),
		({"status": "Failed", "settled_intent": None}, reconcile.DOES_NOT_FIT),
		({"settled_intent": "pi_0"}, reconcile.DOES_NOT_FIT),
		({"settled_intent": None, "held": True}, reconcile.AGREES),
		({"settled_intent": None, "refund_arranged": True}, reconcile.AGREES),
	],
)
def test_what_does_not_fit_is_found_whether_it_was_credited_or_not(wrong, facts, kind):
	verdict = judge(intent(**wrong), HERE, known(**facts), OLD, NOW)
	assert verdict.kind == kind
	if kind == reconcile.DOES_NOT_FIT:
		(misfit,) = verdict.misfits
		assert misfit.what in wrong and misfit.what in verdict.text


def test_a_credit_that_names_another_recharges_payment_is_found():
	other = intent(metadata={"site": "here", "recharge": "RC-2"})
	assert judge(other, HERE, known(), OLD, NOW).kind == reconcile.DOES_NOT_FIT


@pytest.mark.parametrize(
	("answer", "kind"),
	[
		(intent(Outcome.ERROR, intent=None, code="resource_missing"), reconcile.MISSING_AT_GATEWAY),
		(intent(Outcome.CANCELLED), reconcile.MISSING_AT_GATEWAY),
		(intent(Outcome.PENDING, code="processing"), reconcile.MISSING_AT_GATEWAY),
		(intent(Outcome.UNKNOWN, intent=None, code="timeout"), reconcile.AGREES),
		(intent(), reconcile.AGREES),
	],
)
def test_a_credit_is_held_against_what_the_gateway_has(answer, kind):
	assert reconcile.judge_credit(answer, HERE, known()).kind == kind


def test_a_capture_without_a_recharge_goes_back_only_to_the_accounts_own_customer():
	for payers, kind in (
		((), reconcile.ORPHAN),
		(("cus_1", "cus_0"), reconcile.ORPHAN),
		(("cus_2",), reconcile.DOES_NOT_FIT),
	):
		assert judge(intent(), HERE, None, OLD, NOW, payers).kind == kind
