"""Which events integrators are told of a change, and how they are signed."""

import json
from decimal import Decimal

import pytest

from crm_recharge.domain import credit_events as rules
from crm_recharge.domain import payment, signing, takeback

D = Decimal


@pytest.mark.parametrize(
	("doctype", "before", "after", "told"),
	[
		("Recharge", None, "Draft", []),
		("Recharge", "Draft", "Queued", ["recharge.started"]),
		("Recharge", "Queued", "Charging", []),
		("Recharge", "Charging", "Queued", []),
		("Recharge", "Charging", "Processing", ["recharge.processing"]),
		("Recharge", "Processing", "Succeeded", ["recharge.succeeded"]),
		("Recharge", "Processing", "Failed", ["recharge.failed"]),
		("Recharge", "Charging", "Succeeded", ["recharge.succeeded"]),
		("Recharge", "Cancelled", "Succeeded", ["recharge.succeeded"]),
		("Recharge", "Disputed", "Succeeded", []),
		("Recharge", "Partly Refunded", "Succeeded", []),
		("Recharge", "Succeeded", "Refunded", []),
		("Recharge", "Succeeded", "Succeeded", []),
		("Recharge", "Charging", "Failed", ["recharge.failed"]),
		("Recharge", "Charging", "Action Required", ["recharge.action_required"]),
		("Recharge", "Charging", "Held", ["recharge.held"]),
		("Recharge", "Queued", "Cancelled", ["recharge.cancelled"]),
		("Recharge Refund", None, "Held", ["refund.created"]),
		("Recharge Refund", "Held", "Asked", []),
		("Recharge Refund", "Asked", "Succeeded", ["refund.succeeded"]),
		("Recharge Refund", "Asked", "Failed", ["refund.failed"]),
		("Recharge Refund", "Succeeded", "Failed", ["refund.failed"]),
		("Recharge Refund", None, "Succeeded", ["refund.created", "refund.succeeded"]),
		("Recharge Dispute", None, "Warning", ["dispute.warning"]),
		("Recharge Dispute", None, "Open", ["dispute.opened"]),
		("Recharge Dispute", "Inquiry", "Open", ["dispute.opened"]),
		("Recharge Dispute", "Open", "Won", ["dispute.won"]),
		("Recharge Dispute", "Open", "Lost", ["dispute.lost"]),
	],
)
def test_what_a_change_of_status_is_told_as(doctype, before, after, told):
	assert rules.of_change(doctype, before, after) == told


def test_every_type_that_a_change_gives_is_listed_once():
	states = [
		("Recharge", (*payment.UNPAID, takeback.PAID)),
		("Recharge Refund", (takeback.HELD, takeback.ASKED, takeback.SUCCEEDED, takeback.FAILED)),
		(
			"Recharge Dispute",
			(takeback.WARNING, takeback.INQUIRY, takeback.OPEN, takeback.WON, takeback.LOST),
		),
	]
	given = {
		one
		for doctype, statuses in states
		for before in (None, *statuses)
		for after in statuses
		for one in rules.of_change(doctype, before, after)
	}
	assert given <= set(rules.TYPES)
	assert len(rules.TYPES) == len(set(rules.TYPES))


@pytest.mark.parametrize(
	("level", "before", "after", "fell"),
	[
		("50", "51", "50", True),
		("50", "51", "-3", True),
		("50", "50", "49", False),
		("50", "40", "60", False),
		("50", "60", "51", False),
		("0", "0.000000001", "0", True),
	],
)
def test_a_level_is_crossed_once(level, before, after, fell):
	assert rules.fell_to(D(level), D(before), D(after)) is fell


@pytest.mark.parametrize(
	("patterns", "one", "taken"),
	[
		(["*"], "refund.created", True),
		(["refund.*"], "refund.created", True),
		(["refund.*"], "recharge.failed", False),
		(["recharge.failed"], "recharge.failed", True),
		(["recharge"], "recharge.failed", False),
		([], "recharge.failed", False),
	],
)
def test_patterns_take_in_what_they_say(patterns, one, taken):
	assert rules.matches(patterns, one) is taken


def test_patterns_that_take_in_nothing_are_found():
	assert rules.unknown(["*", "refund.*", "recharge.done", "nothing"]) == ["recharge.done", "nothing"]


# -- the signature -------------------------------------------------------------------------------------------

EVENT = {"id": "evt_1", "type": "recharge.failed", "data": {"object": {"reason": "Kärte — ✗"}}}
SECRET, OTHER = "whsec_first", "whsec_second"


@pytest.fixture
def webhooks():
	"""Stripe's own check of a signature, which needs its SDK."""
	pytest.importorskip("stripe")
	from crm_recharge.gateway.stripe import webhooks

	return webhooks


def test_either_secret_proves_it_while_it_is_changed(webhooks):
	body = rules.body(EVENT)
	header = signing.signature([SECRET, OTHER], body, 1_700_000_000)
	for secret in (SECRET, OTHER):
		assert webhooks.verify(body, header, secret, now=1_700_000_010)["id"] == "evt_1"
	with pytest.raises(webhooks.WrongSignature):
		webhooks.verify(body, header, "whsec_third", now=1_700_000_010)


def test_another_body_or_another_time_is_not_proven(webhooks):
	body = rules.body(EVENT)
	header = signing.signature([SECRET], body, 1_700_000_000)
	with pytest.raises(webhooks.WrongSignature):
		webhooks.verify(body + b" ", header, SECRET, now=1_700_000_010)
	with pytest.raises(webhooks.WrongSignature):
		webhooks.verify(body, header.replace("t=1700000000", "t=1700000009"), SECRET, now=1_700_000_010)
	with pytest.raises(webhooks.OutsideTolerance):
		webhooks.verify(body, header, SECRET, now=1_700_009_000)


def test_nothing_goes_out_unsigned():
	with pytest.raises(ValueError):
		signing.signature([], b"{}", 1)


def test_the_body_is_the_event_to_the_letter():
	assert json.loads(rules.body(EVENT)) == EVENT
	assert "✗".encode() in rules.body(EVENT)
