"""Each payment at the gateway gets the verdict that the facts call for."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from crm_recharge.domain import reconcile
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.reconcile import Known, judge

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
OLD = NOW - timedelta(hours=3)


def intent(outcome=Outcome.SUCCEEDED, **changes):
	values = {
		"intent": "pi_1",
		"amount": Decimal("450"),
		"currency": "USD",
		"metadata": {"site": "here", "recharge": "RC-1", "attempt": "RC-1-1"},
	}
	return Answer(outcome, **(values | changes))


def known(**changes):
	return Known(
		**(
			{"recharge": "RC-1", "status": "Succeeded", "settled_intent": "pi_1", "credited": Decimal("450")}
			| changes
		)
	)


@pytest.mark.parametrize(
	("answer", "facts", "created", "kind"),
	[
		(intent(), known(), OLD, reconcile.AGREES),
		(intent(metadata={}), None, OLD, reconcile.NOT_OURS),
		(intent(metadata={"site": "elsewhere", "recharge": "RC-1"}), None, OLD, reconcile.NOT_OURS),
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
			known(status="Failed"),
			OLD,
			reconcile.CLOSE,
		),
		(intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True), None, OLD, reconcile.CLOSE),
		(
			intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True),
			known(status="Charging"),
			OLD,
			reconcile.AGREES,
		),
		(
			intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True),
			known(status="Action Required"),
			OLD,
			reconcile.AGREES,
		),
		(
			intent(Outcome.NEEDS_AUTHENTICATION, intent_open=True),
			known(status="Failed", busy=True),
			OLD,
			reconcile.AGREES,
		),
		(intent(Outcome.DECLINED, intent_open=True), known(status="Failed"), NOW, reconcile.AGREES),
		(intent(Outcome.CANCELLED), known(status="Failed", settled_intent=None), OLD, reconcile.AGREES),
		(intent(Outcome.UNKNOWN, code="processing"), known(status="Charging"), OLD, reconcile.AGREES),
		(
			intent(Outcome.UNKNOWN, code="processing"),
			known(status="Charging"),
			NOW - timedelta(hours=25),
			reconcile.UNDECIDED,
		),
	],
)
def test_verdict(answer, facts, created, kind):
	verdict = judge(answer, "here", facts, created, NOW)
	assert verdict.kind == kind
	assert verdict.intent == "pi_1"
	assert bool(verdict.text) == (kind not in (reconcile.AGREES, reconcile.NOT_OURS))
