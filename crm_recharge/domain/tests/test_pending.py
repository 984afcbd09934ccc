"""A payment that is decided in days: nobody is alarmed, nothing else is charged, credits wait."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crm_recharge.domain import effects, payment, reconcile
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.fit import Site
from crm_recharge.domain.hearing import hear
from crm_recharge.domain.tests.test_payment import (
	DECLINED,
	FIRST,
	HOUR,
	MINE,
	NOW,
	PAID,
	SECOND_CARD,
	Hand,
	asking,
	attempt,
	with_attempts,
)

PENDING = Answer(Outcome.PENDING, intent="pi_1", code="processing", intent_open=True)
HERE = Site("here", "id-1")
WAITS = attempt(status=payment.PENDING, intent="pi_1", next_ask_at=NOW + HOUR)


def looking(*attempts, answer, now=NOW):
	"""A run that has asked what became of the pending attempt, and has locked to record."""
	view = with_attempts(*attempts, view=replace(MINE, status=payment.PROCESSING))
	hand = Hand(payment.carry_out("A", "R", "me"))
	hand.claims(now=now)
	hand.locks(view, now)
	hand.does(effects.Commit)
	hand.does(effects.LookUp, answer)
	hand.locks(view, now)
	return hand


def test_it_is_written_down_and_looked_at_later():
	hand = asking(attempt(), answer=PENDING)
	values = hand.does(effects.UpdateAttempt).values
	assert (values["status"], values["intent"], values["intent_open"]) == (payment.PENDING, "pi_1", False)
	assert values["next_ask_at"] == NOW + timedelta(seconds=15)
	hand.extends_the_lease()


def test_the_recharge_shows_that_it_is_processing_and_no_other_card_is_asked():
	assert MINE.cards == (FIRST, SECOND_CARD)
	hand = Hand(payment.carry_out("A", "R", "me"))
	hand.claims()
	hand.locks(with_attempts(WAITS))
	values = hand.does(effects.UpdateRecharge).values
	assert values["status"] == payment.PROCESSING
	assert values["next_try_at"] == WAITS.next_ask_at
	hand.does(effects.Commit)
	hand.ends("waiting")


def test_it_stays_processing_while_it_is_looked_at_again():
	hand = Hand(payment.carry_out("A", "R", "me"))
	view = with_attempts(WAITS, view=MINE)
	hand.locks(replace(view, status=payment.PROCESSING, lease_owner="me"))
	assert hand.does(effects.UpdateRecharge).values["status"] == payment.PROCESSING


@pytest.mark.parametrize("asks", range(40))
def test_it_is_looked_at_less_and_less_often_but_never_less_than_every_six_hours(asks):
	assert timedelta(seconds=15) <= payment.patience(asks) <= 6 * HOUR
	assert payment.patience(asks) <= payment.patience(asks + 1)


def test_it_is_told_once_when_it_takes_longer_than_such_payments_do():
	told, now, asked = 0, NOW, attempt(status=payment.PENDING, intent="pi_1")
	while now < NOW + timedelta(days=40):
		hand = looking(asked, answer=PENDING, now=now)
		if isinstance(hand.effect, effects.Notify):
			told += 1
			assert now + payment.patience(asked.asks) > NOW + payment.PENDING_TOO_LONG
			hand.does(effects.Notify, kind=payment.GATEWAY_ERROR)
		values = hand.does(effects.UpdateAttempt).values
		now = values["next_ask_at"]
		asked = attempt(status=payment.PENDING, intent="pi_1", asks=values["asks"], next_ask_at=now)
	assert told == 1


def test_its_capture_is_credited_from_wherever_it_is_heard():
	for status in (payment.PROCESSING, payment.CHARGING):
		hand = Hand(hear("A", "R", "R-1", PAID))
		view = with_attempts(WAITS)
		hand.locks(replace(view, status=status))
		hand.does(effects.UpdateAttempt)
		hand.settles()
		hand.does(effects.Commit)
		hand.ends(payment.SUCCEEDED)


def test_being_told_again_that_it_is_pending_wakes_nobody():
	hand = Hand(hear("A", "R", "R-1", PENDING))
	hand.locks(with_attempts(WAITS))
	hand.does(effects.Rollback)
	hand.ends("known")


def test_when_it_is_declined_the_next_card_is_charged_and_the_recharge_says_so():
	declined = attempt(status=payment.DECLINED, intent="pi_1")
	step = payment.next_step(with_attempts(declined), NOW)
	assert step.card == SECOND_CARD
	hand = looking(replace(WAITS, next_ask_at=None), answer=DECLINED)
	assert hand.does(effects.UpdateAttempt).values["status"] == payment.DECLINED


def test_it_counts_as_in_flight_and_can_still_be_settled():
	assert payment.PROCESSING in payment.IN_FLIGHT and payment.PROCESSING in payment.UNPAID
	assert payment.PENDING in payment.OPEN_ATTEMPT


def test_the_reconciler_leaves_it_alone_and_lists_it_when_it_takes_too_long():
	known = reconcile.Known(MINE.due, payment.PROCESSING, None, None)
	named = Answer(
		Outcome.PENDING,
		intent="pi_1",
		code="processing",
		intent_open=True,
		metadata={"site": "here", "site_id": "id-1", "recharge": "R"},
	)
	for age, kind in ((timedelta(days=1), reconcile.AGREES), (timedelta(days=15), reconcile.UNDECIDED)):
		assert reconcile.judge(named, HERE, known, NOW - age, NOW).kind == kind
