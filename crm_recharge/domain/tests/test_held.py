"""A person decides about a capture that does not fit: credited, refunded or left, once, and nothing stays blocked."""

from dataclasses import replace
from decimal import Decimal

import pytest

from crm_recharge.domain import effects, held, payment
from crm_recharge.domain.answers import Outcome
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.tests.test_payment import NOW, PAID, QUEUED, Hand, attempt, with_attempts

HELD = with_attempts(
	attempt(1, payment.PAID, intent="pi_1"), view=replace(QUEUED, status=payment.HELD, created=NOW)
)
LESS = replace(PAID, amount=Decimal(9))
OTHER = replace(PAID, amount=Decimal(9), currency="JPY")


def deciding(decision, answer=LESS, view=HELD):
	hand = Hand(held.decide("A", "R", answer, decision))
	hand.locks(view)
	hand.does(effects.CloseDifference, True, kind=payment.DOES_NOT_FIT, subject="pi_1", decision=decision)
	return hand


def test_accepted_it_is_the_amount_that_was_captured_that_counts():
	hand = deciding(held.CREDIT)
	hand.does(effects.UpdateRecharge, recharge="R", values={"amount": Decimal(9)})
	hand.settles(amount=Decimal(9))
	hand.does(effects.Commit)
	hand.ends(payment.SUCCEEDED)


@pytest.mark.parametrize("decision", [held.REFUND, held.DISMISS])
def test_refunded_or_left_the_recharge_has_failed_and_blocks_nothing_any_more(decision):
	hand = deciding(decision, OTHER)
	if decision == held.REFUND:
		hand.does(effects.RefundDuplicate, recharge="R", answer=OTHER, held=True)
	values = hand.does(effects.UpdateRecharge, recharge="R").values
	assert (values["status"], values["ended_at"]) == (payment.FAILED, NOW)
	hand.does(effects.ClearOpenRecharge, account="A", recharge="R")
	hand.does(effects.Commit)
	hand.ends(payment.FAILED)


@pytest.mark.parametrize("status", [payment.CHARGING, payment.FAILED, payment.SUCCEEDED])
def test_a_recharge_that_it_only_named_goes_on_as_it_was(status):
	settled = "pi_0" if status == payment.SUCCEEDED else None
	hand = deciding(held.DISMISS, view=replace(QUEUED, status=status, settled_intent=settled))
	hand.does(effects.Commit)
	hand.ends(status)


@pytest.mark.parametrize(
	("decision", "answer", "view", "code"),
	[
		(held.CREDIT, OTHER, HELD, "held_not_creditable"),
		(held.CREDIT, replace(LESS, customer="cus_2"), HELD, "held_not_creditable"),
		(held.CREDIT, LESS, replace(HELD, settled_intent="pi_0"), "held_already_used"),
		(held.CREDIT, LESS, replace(HELD, status="Refunded"), "held_already_used"),
		(held.REFUND, LESS, replace(HELD, settled_intent="pi_1"), "held_already_used"),
		(held.DISMISS, LESS, replace(HELD, settled_intent="pi_1"), "held_already_used"),
		(held.CREDIT, replace(LESS, outcome=Outcome.CANCELLED), HELD, "not_captured"),
		(held.REFUND, replace(LESS, outcome=Outcome.UNKNOWN, code="timeout"), HELD, "not_captured"),
	],
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(decision, answer, view, code):
	machine = held.decide("A", "R", answer, decision)
	reply, seen = None, []
	replies = {effects.Now: NOW, effects.LockRecharge: view, effects.CloseDifference: True}
	with pytest.raises(InvalidRequest) as error:
		while True:
			effect = machine.send(reply)
			seen.append(type(effect))
			reply = replies.get(type(effect))
	assert error.value.code == code
	assert seen[-1] is effects.Rollback and effects.UpdateRecharge not in seen


def test_two_people_decide_once():
	machine = held.decide("A", "R", LESS, held.REFUND)
	replies = {effects.Now: NOW, effects.LockRecharge: HELD, effects.CloseDifference: False}
	reply = None
	with pytest.raises(InvalidRequest) as error:
		while True:
			reply = replies.get(type(machine.send(reply)))
	assert error.value.code == "already_decided"
