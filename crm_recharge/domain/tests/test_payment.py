"""The payment machine driven by hand: every effect is seen, and answered, one by one."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from crm_recharge.domain import cards, effects, payment, steps
from crm_recharge.domain.answers import Answer, DeclineClass, Outcome
from crm_recharge.domain.cards import Card
from crm_recharge.domain.payment import next_step
from crm_recharge.domain.steps import AttemptView, RechargeView

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
FIRST, SECOND_CARD = Card("card-1", "pm_1", account="A"), Card("card-2", "pm_2", account="A")
QUEUED = RechargeView(
	"R", "A", payment.QUEUED, Decimal(450), "USD", cards=(FIRST, SECOND_CARD), customers=("cus_1",)
)
MINE = replace(QUEUED, status=payment.CHARGING, lease_owner="me", lease_until=NOW + payment.LEASE)

PAID = Answer(
	Outcome.SUCCEEDED,
	intent="pi_1",
	charge="ch_1",
	amount=Decimal(450),
	currency="USD",
	customer="cus_1",
	metadata={"recharge": "R"},
)
DECLINED = Answer(
	Outcome.DECLINED,
	intent="pi_1",
	code="generic_decline",
	decline_class=DeclineClass.TRY_LATER,
	intent_open=True,
)
TIMED_OUT = Answer(Outcome.UNKNOWN, code="timeout", intent_open=True)
REFUSED = Answer(Outcome.ERROR, code="authentication_failure", message="no such key")
CANCELLED = Answer(Outcome.CANCELLED, intent="pi_1")


def attempt(number=1, status=payment.CREATED, card="card-1", created=NOW, **more):
	return AttemptView(f"R-{number}", number, card, status, created, **more)


def with_attempts(*attempts, view=MINE):
	return replace(view, attempts=attempts)


class Hand:
	"""Performs a machine's effects by hand, in the order the machine asks for them."""

	def __init__(self, machine):
		self.machine = machine
		self.result = None
		self.effect = None
		self._send(None)

	def _send(self, reply):
		try:
			self.effect = self.machine.send(reply)
		except StopIteration as stop:
			self.effect, self.result = None, stop.value

	def does(self, effect_class, reply=None, /, **fields):
		"""The next effect is an `effect_class` with these `fields`; answer it with `reply`."""
		assert type(self.effect) is effect_class, f"expected {effect_class.__name__}, got {self.effect}"
		for name, value in fields.items():
			assert getattr(self.effect, name) == value, self.effect
		effect = self.effect
		self._send(reply)
		return effect

	def locks(self, view, now=NOW):
		"""Account before recharge, always, and the clock read before either."""
		self.does(effects.Now, now)
		self.does(effects.LockAccount, account="A")
		self.does(effects.LockRecharge, view, recharge="R")

	def claims(self, view=QUEUED, now=NOW):
		self.locks(view, now)
		claim = self.does(effects.UpdateRecharge, recharge="R").values
		assert claim == {
			"status": payment.CHARGING,
			"lease_owner": "me",
			"lease_until": now + payment.LEASE,
			"next_try_at": None,
		}
		self.does(effects.Commit)

	def extends_the_lease(self, now=NOW):
		self.does(effects.UpdateRecharge, values={"lease_until": now + payment.LEASE})
		self.does(effects.Commit)

	def settles(self, intent="pi_1", amount=Decimal(450)):
		self.does(effects.ClearOpenRecharge, account="A", recharge="R")
		values = self.does(effects.UpdateRecharge).values
		assert values["status"] == payment.SUCCEEDED
		assert values["settled_intent"] == intent
		assert values["lease_owner"] is values["lease_until"] is values["next_try_at"] is None
		self.does(effects.PostCredits, "entry", account="A", recharge="R", intent=intent, amount=amount)
		self.does(effects.EnqueueAfterCommit, job=payment.ACCOUNT_FOR, recharge="R")

	def ends(self, result):
		assert self.effect is None, f"not at the end: {self.effect}"
		assert self.result == result


def carry_out(view=QUEUED, now=NOW):
	"""A run that has its lease and stands before reading what to do."""
	hand = Hand(payment.carry_out("A", "R", "me"))
	hand.claims(view, now)
	return hand


def asking(*attempts, answer, now=NOW, view=MINE):
	"""A run that takes up these attempts, asks the gateway about the open one, and has locked to record."""
	view = with_attempts(*attempts, view=view)
	hand = carry_out(now=now)
	hand.locks(view, now)
	hand.does(effects.Commit)
	hand.does(effects.Charge, answer)
	hand.locks(view, now)
	return hand


# -- claiming ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("view", "word"),
	[
		(None, "missing"),
		(replace(QUEUED, status=payment.SUCCEEDED), payment.SUCCEEDED),
		(replace(QUEUED, status=payment.FAILED), payment.FAILED),
		(replace(QUEUED, status=payment.CANCELLED), payment.CANCELLED),
		(replace(QUEUED, status=payment.DRAFT), payment.DRAFT),
		(replace(QUEUED, status=payment.ACTION_REQUIRED), payment.ACTION_REQUIRED),
		(replace(MINE, lease_owner="other", lease_until=NOW + SECOND), "leased"),
		(replace(MINE, lease_owner=None, lease_until=None, next_try_at=NOW + SECOND), "not yet"),
	],
)
def test_what_cannot_be_claimed_is_left_alone(view, word):
	hand = Hand(payment.carry_out("A", "R", "me"))
	hand.locks(view)
	hand.does(effects.Rollback)
	hand.ends(word)


@pytest.mark.parametrize(
	"view",
	[
		QUEUED,
		replace(MINE, lease_owner="other", lease_until=NOW),
		replace(MINE, lease_owner="other", lease_until=NOW - MINUTE),
		replace(MINE, lease_owner=None, lease_until=None, next_try_at=NOW),
		MINE,
	],
)
def test_what_is_free_or_expired_or_ones_own_is_claimed(view):
	carry_out(view)


def test_the_lease_and_a_sweep_each_minute_recover_within_two_minutes():
	assert payment.LEASE + MINUTE <= 2 * MINUTE


# -- the straight way --------------------------------------------------------------------------------------


def test_the_first_card_pays():
	hand = carry_out()
	hand.locks(MINE)
	started = hand.does(effects.InsertAttempt, name="R-1", recharge="R", number=1, card="card-1")
	assert started.values["status"] == payment.CREATED
	assert (started.values["amount"], started.values["currency"]) == (Decimal(450), "USD")
	hand.extends_the_lease()
	started = with_attempts(attempt())
	hand.locks(started)
	hand.does(effects.Commit)  # nothing is locked while the gateway is asked
	hand.does(
		effects.Charge, PAID, key="R-1", recharge="R", card="card-1", amount=Decimal(450), currency="USD"
	)
	hand.locks(started)
	values = hand.does(effects.UpdateAttempt, name="R-1").values
	assert (values["status"], values["intent"], values["charge"]) == (payment.PAID, "pi_1", "ch_1")
	hand.settles()
	hand.does(effects.Commit)
	hand.ends(payment.SUCCEEDED)


def test_the_attempt_is_committed_before_the_gateway_hears_of_it():
	hand = carry_out()
	seen = []
	while not isinstance(hand.effect, effects.Charge):
		seen.append(type(hand.effect))
		view = MINE if effects.InsertAttempt not in seen else with_attempts(attempt())
		hand._send({effects.Now: NOW, effects.LockRecharge: view}.get(type(hand.effect)))
	last_write = max(
		i for i, kind in enumerate(seen) if kind in (effects.InsertAttempt, effects.UpdateRecharge)
	)
	assert effects.Commit in seen[last_write:]
	assert seen[-1] is effects.Commit


# -- declines ----------------------------------------------------------------------------------------------


def test_after_a_decline_the_intent_is_closed_and_only_then_the_next_card_tried():
	hand = asking(attempt(), answer=DECLINED)
	values = hand.does(effects.UpdateAttempt, name="R-1").values
	assert (values["status"], values["intent"], values["intent_open"]) == (payment.DECLINED, "pi_1", True)
	assert (values["code"], values["decline_class"]) == ("generic_decline", "try_later")
	hand.extends_the_lease()

	open_intent = with_attempts(attempt(status=payment.DECLINED, intent="pi_1", intent_open=True, asks=1))
	hand.locks(open_intent)
	hand.does(effects.Commit)
	hand.does(effects.Cancel, CANCELLED, intent="pi_1", key="R-1-cancel")
	hand.locks(open_intent)
	assert hand.does(effects.UpdateAttempt, name="R-1").values == {"intent_open": False, "next_ask_at": None}
	hand.extends_the_lease()

	hand.locks(with_attempts(attempt(status=payment.DECLINED, intent="pi_1")))
	hand.does(effects.InsertAttempt, name="R-2", number=2, card="card-2")


@pytest.mark.parametrize(
	("decline_class", "status"),
	[
		(DeclineClass.PERMANENT, cards.DECLINED),
		(DeclineClass.EXPIRED, cards.EXPIRED),
		(DeclineClass.TRY_LATER, None),
		(DeclineClass.FRAUD, None),
		(DeclineClass.AUTHENTICATION, None),
		(None, None),
	],
)
def test_a_card_is_marked_when_the_decline_is_about_the_card_itself(decline_class, status):
	hand = asking(attempt(), answer=replace(DECLINED, decline_class=decline_class, code="why"))
	if status:
		hand.does(effects.UpdateCard, card="card-1", status=status, reason="why")
	hand.does(effects.UpdateAttempt)


def test_a_decline_without_an_open_intent_needs_no_closing():
	hand = asking(attempt(), answer=replace(DECLINED, intent=None, intent_open=True))
	assert hand.does(effects.UpdateAttempt).values["intent_open"] is False


def test_closing_finds_that_the_payment_went_through_after_all():
	declined = with_attempts(attempt(status=payment.DECLINED, intent="pi_1", intent_open=True))
	hand = carry_out()
	hand.locks(declined)
	hand.does(effects.Commit)
	hand.does(effects.Cancel, PAID)
	hand.locks(declined)
	assert hand.does(effects.UpdateAttempt).values["status"] == payment.PAID
	hand.settles()
	hand.does(effects.Commit)
	hand.ends(payment.SUCCEEDED)


def test_closing_an_intent_that_is_gone_counts_as_closed():
	declined = with_attempts(attempt(status=payment.DECLINED, intent="pi_1", intent_open=True))
	hand = carry_out()
	hand.locks(declined)
	hand.does(effects.Commit)
	hand.does(effects.Cancel, Answer(Outcome.ERROR, code="resource_missing"))
	hand.locks(declined)
	assert hand.does(effects.UpdateAttempt).values == {"intent_open": False, "next_ask_at": None}


@pytest.mark.parametrize("answer", [TIMED_OUT, REFUSED, DECLINED])
def test_an_intent_that_cannot_be_closed_now_is_closed_later_and_no_other_card_tried(answer):
	declined = with_attempts(attempt(status=payment.DECLINED, intent="pi_1", intent_open=True, asks=1))
	hand = carry_out()
	hand.locks(declined)
	hand.does(effects.Commit)
	hand.does(effects.Cancel, answer)
	hand.locks(declined)
	values = hand.does(effects.UpdateAttempt).values
	assert values == {"asks": 2, "next_ask_at": NOW + timedelta(seconds=30)}
	hand.extends_the_lease()
	later = with_attempts(replace(declined.attempts[0], **values))
	assert next_step(later, NOW).__class__ is steps.Wait
	assert next_step(later, NOW + MINUTE).__class__ is steps.Close


def test_the_second_card_pays_what_the_first_did_not():
	view = with_attempts(attempt(status=payment.DECLINED), attempt(2, card="card-2"))
	hand = carry_out()
	hand.locks(view)
	hand.does(effects.Commit)
	hand.does(effects.Charge, replace(PAID, intent="pi_2"), key="R-2", card="card-2")
	hand.locks(view)
	hand.does(effects.UpdateAttempt, name="R-2")
	hand.settles("pi_2")


def test_when_all_cards_fail_auto_recharge_is_switched_off_and_the_owner_told():
	hand = carry_out()
	hand.locks(with_attempts(attempt(status=payment.DECLINED), attempt(2, payment.SKIPPED, "card-2")))
	values = hand.does(effects.UpdateRecharge).values
	assert values == {"status": payment.FAILED, "lease_owner": None, "lease_until": None, "ended_at": NOW}
	hand.does(effects.ClearOpenRecharge, account="A", recharge="R")
	hand.does(effects.DisableAutoRecharge, account="A", reason="all_cards_failed", recharge="R")
	hand.does(effects.Notify, kind=payment.ALL_CARDS_FAILED, details={"reason": "all_cards_failed"})
	hand.does(effects.Commit)
	hand.ends(payment.FAILED)


def test_a_recharge_by_hand_that_fails_leaves_auto_recharge_as_it_is():
	hand = carry_out()
	hand.locks(
		with_attempts(attempt(status=payment.DECLINED), view=replace(MINE, cards=(FIRST,), trigger="Portal"))
	)
	hand.does(effects.UpdateRecharge)
	hand.does(effects.ClearOpenRecharge)
	hand.does(effects.Notify, kind=payment.ALL_CARDS_FAILED)
	hand.does(effects.Commit)
	hand.ends(payment.FAILED)


def test_without_any_card_the_recharge_fails_and_does_not_hang():
	assert next_step(replace(MINE, cards=()), NOW).__class__ is steps.GiveUp


# -- cards that are passed over ----------------------------------------------------------------------------


def test_an_expired_card_is_skipped_without_a_call_marked_and_the_next_one_tried():
	expired = replace(FIRST, exp_month=2, exp_year=2026)
	hand = carry_out()
	hand.locks(replace(MINE, cards=(expired, SECOND_CARD)))
	hand.does(
		effects.InsertAttempt,
		name="R-1",
		card="card-1",
		values={"status": payment.SKIPPED, "code": "expired"},
	)
	hand.does(effects.UpdateCard, card="card-1", status=cards.EXPIRED)
	hand.does(effects.Commit)
	hand.locks(with_attempts(attempt(status=payment.SKIPPED)))
	hand.does(effects.InsertAttempt, name="R-2", card="card-2")


@pytest.mark.parametrize(
	("card", "code"),
	[
		(replace(FIRST, status=cards.DECLINED), cards.NOT_ACTIVE),
		(replace(FIRST, status=cards.EXPIRED), cards.PAST_EXPIRY),
		(replace(FIRST, kind="us_bank_account"), cards.NOT_A_CARD),
		(replace(FIRST, declines_30d=15), cards.AT_NETWORK_LIMIT),
	],
)
def test_other_unusable_cards_are_skipped_with_the_reason_and_not_marked_again(card, code):
	hand = carry_out()
	hand.locks(replace(MINE, cards=(card, SECOND_CARD)))
	hand.does(effects.InsertAttempt, card="card-1", values={"status": payment.SKIPPED, "code": code})
	hand.does(effects.Commit)


# -- unknown is not failed ---------------------------------------------------------------------------------


def test_a_time_out_waits_and_asks_again_under_the_same_key():
	hand = asking(attempt(), answer=TIMED_OUT)
	values = hand.does(effects.UpdateAttempt, name="R-1").values
	assert (values["status"], values["asks"]) == (payment.UNKNOWN, 1)
	assert values["next_ask_at"] == NOW + timedelta(seconds=15)
	hand.extends_the_lease()
	unknown = attempt(status=payment.UNKNOWN, asks=1, next_ask_at=values["next_ask_at"])
	hand.locks(with_attempts(unknown))
	released = hand.does(effects.UpdateRecharge).values
	assert released == {"lease_owner": None, "lease_until": None, "next_try_at": values["next_ask_at"]}
	hand.does(effects.Commit)
	hand.ends("waiting")

	later = NOW + MINUTE
	hand = carry_out(with_attempts(unknown, view=replace(MINE, **released)), later)
	hand.locks(with_attempts(unknown), later)
	hand.does(effects.Commit)
	hand.does(effects.Charge, PAID, key="R-1", card="card-1")


@pytest.mark.parametrize("open_status", [payment.CREATED, payment.UNKNOWN])
@pytest.mark.parametrize("age", [timedelta(0), MINUTE, 22 * HOUR, 40 * HOUR, timedelta(days=400)])
def test_no_other_card_is_tried_while_one_is_undecided_however_old(open_status, age):
	step = next_step(with_attempts(attempt(status=open_status, created=NOW - age)), NOW)
	assert isinstance(step, steps.Ask | steps.LookUp)
	assert step.attempt.card == "card-1"


def test_the_gateways_own_wish_to_wait_is_respected():
	hand = asking(attempt(), answer=replace(TIMED_OUT, retry_after=120.0))
	assert hand.does(effects.UpdateAttempt).values["next_ask_at"] == NOW + timedelta(seconds=120)


def test_back_off_doubles_up_to_a_quarter_of_an_hour():
	assert [payment.backoff(n).total_seconds() for n in range(8)] == [15, 30, 60, 120, 240, 480, 900, 900]
	assert payment.backoff(10_000) == 15 * MINUTE
	assert payment.backoff(0, 86_000) == HOUR
	assert payment.backoff(3, 1.5) == 2 * MINUTE


def test_an_attempt_undecided_for_long_is_told_once():
	told = []
	for asks in range(20):
		hand = asking(attempt(status=payment.UNKNOWN, asks=asks), answer=TIMED_OUT)
		if isinstance(hand.effect, effects.Notify):
			told.append(asks)
			hand.does(effects.Notify, kind=payment.GATEWAY_ERROR, recharge="R")
		hand.does(effects.UpdateAttempt)
	assert told == [payment.ASKS_BEFORE_TELLING - 1]


# -- when the key has grown too old to ask -----------------------------------------------------------------


OLD = NOW - 24 * HOUR


def looking_up(answer, status, **more):
	view = with_attempts(attempt(status=status, created=OLD, **more))
	hand = carry_out()
	hand.locks(view)
	hand.does(effects.Commit)
	hand.does(effects.LookUp, answer, key="R-1", recharge="R", since=OLD)
	hand.locks(view)
	return hand


def test_the_key_is_used_until_the_replay_window_ends_and_never_after():
	def kind(age):
		return next_step(with_attempts(attempt(created=NOW - age)), NOW).__class__

	assert kind(payment.REPLAY_WINDOW) is steps.Ask
	assert kind(payment.REPLAY_WINDOW + SECOND) is steps.LookUp
	# Stripe's day less what a clock may have been wrong by.
	assert payment.REPLAY_WINDOW + 11 * HOUR < 24 * HOUR


def test_a_look_up_settles_what_was_captured():
	hand = looking_up(PAID, payment.UNKNOWN)
	assert hand.does(effects.UpdateAttempt).values["status"] == payment.PAID
	hand.settles()
	hand.does(effects.Commit)
	hand.ends(payment.SUCCEEDED)


def test_what_never_reached_the_gateway_is_no_decline_the_same_card_gets_its_turn():
	hand = looking_up(None, payment.CREATED)
	assert hand.does(effects.UpdateAttempt).values == {"status": payment.NEVER_HAPPENED, "next_ask_at": None}
	hand.extends_the_lease()
	hand.locks(with_attempts(attempt(status=payment.NEVER_HAPPENED, created=OLD)))
	hand.does(effects.InsertAttempt, name="R-2", card="card-1")


def test_a_look_up_that_finds_a_decline_closes_and_moves_on():
	hand = looking_up(DECLINED, payment.CREATED)
	values = hand.does(effects.UpdateAttempt).values
	assert (values["status"], values["intent_open"]) == (payment.DECLINED, True)


@pytest.mark.parametrize("answer", [TIMED_OUT, REFUSED])
@pytest.mark.parametrize("status", [payment.CREATED, payment.UNKNOWN])
def test_a_look_up_that_fails_or_is_refused_proves_nothing(answer, status):
	hand = looking_up(answer, status, asks=3)
	values = hand.does(effects.UpdateAttempt).values
	assert values["status"] == status
	assert values["next_ask_at"] == NOW + payment.backoff(3)


# -- refused requests --------------------------------------------------------------------------------------


def refused_and_looked_up(found, status=payment.CREATED, before=()):
	"""Asking is refused; the machine looks the attempt up, is told `found`, and stands before recording it."""
	number = len(before) + 1
	hand = asking(*before, attempt(number, status), answer=REFUSED)
	if not before:
		hand.does(effects.Notify, kind=payment.GATEWAY_ERROR, details=WHY_REFUSED)
	values = hand.does(effects.UpdateAttempt).values
	assert (values["status"], values["next_ask_at"]) == (payment.REFUSED, None)
	hand.extends_the_lease()
	refused = with_attempts(*before, attempt(number, payment.REFUSED))
	hand.locks(refused)
	hand.does(effects.Commit)
	hand.does(effects.LookUp, found, key=f"R-{number}", recharge="R", since=NOW)
	hand.locks(refused)
	return hand


WHY_REFUSED = {"code": "authentication_failure", "message": "no such key"}


def test_a_refused_request_that_left_nothing_blames_no_card_and_is_tried_again_later():
	hand = refused_and_looked_up(None)
	values = hand.does(effects.UpdateAttempt).values
	assert values == {"status": payment.ERROR, "next_ask_at": NOW + payment.backoff(3)}
	hand.extends_the_lease()
	view = with_attempts(attempt(status=payment.ERROR, next_ask_at=values["next_ask_at"]))
	assert next_step(view, NOW).__class__ is steps.Wait
	again = next_step(view, values["next_ask_at"])
	assert again == steps.Start(FIRST)


@pytest.mark.parametrize("before", [payment.ERROR, payment.REFUSED])
def test_a_second_refusal_is_not_told_again(before):
	hand = asking(attempt(1), attempt(2, before, next_ask_at=NOW - MINUTE), answer=REFUSED)
	hand.does(effects.UpdateAttempt, name="R-1")


@pytest.mark.parametrize("status", [payment.CREATED, payment.UNKNOWN])
@pytest.mark.parametrize(
	("found", "becomes"),
	[
		(PAID, payment.PAID),
		(None, payment.ERROR),
		(DECLINED, payment.DECLINED),
		(TIMED_OUT, payment.REFUSED),
		(REFUSED, payment.REFUSED),
	],
)
def test_a_refusal_proves_nothing_about_an_earlier_request_under_the_same_key(status, found, becomes):
	"""The first request timed out, or its worker died; then the API key is revoked and asking again refused.

	To take that refusal as proof that nothing was charged would charge a second time under a new key.
	"""
	hand = refused_and_looked_up(found, status)
	assert hand.does(effects.UpdateAttempt).values["status"] == becomes


@pytest.mark.parametrize("answer", [TIMED_OUT, REFUSED])
def test_a_refused_attempt_is_looked_up_until_the_gateway_tells_and_no_card_is_tried_meanwhile(answer):
	hand = refused_and_looked_up(answer)
	values = hand.does(effects.UpdateAttempt).values
	assert values["next_ask_at"] == NOW + payment.backoff(0)
	refused = attempt(status=payment.REFUSED, next_ask_at=values["next_ask_at"])
	assert next_step(with_attempts(refused), NOW).__class__ is steps.Wait
	assert next_step(with_attempts(refused), NOW + MINUTE).__class__ is steps.LookUp


def test_refused_for_good_ends_the_recharge_and_says_that_no_card_is_to_blame():
	errors = [attempt(n, payment.ERROR) for n in range(1, payment.ERRORS_BEFORE_GIVING_UP + 1)]
	assert next_step(with_attempts(*errors[:-1]), NOW).__class__ is steps.Start
	hand = carry_out()
	hand.locks(with_attempts(*errors))
	assert hand.does(effects.UpdateRecharge).values["status"] == payment.FAILED
	hand.does(effects.ClearOpenRecharge)
	hand.does(effects.DisableAutoRecharge, reason="gateway_errors")
	hand.does(effects.Notify, details={"reason": "gateway_errors"})
	hand.does(effects.Commit)
	hand.ends(payment.FAILED)


# -- the card holder is asked ------------------------------------------------------------------------------


NEEDS_PERSON = Answer(
	Outcome.NEEDS_AUTHENTICATION, intent="pi_1", code="authentication_required", intent_open=True
)


def test_needing_the_card_holder_closes_the_intent_and_tries_the_next_card():
	hand = asking(attempt(), answer=NEEDS_PERSON)
	values = hand.does(effects.UpdateAttempt).values
	assert (values["status"], values["intent_open"]) == (payment.NEEDS_AUTHENTICATION, True)
	waiting = attempt(status=payment.NEEDS_AUTHENTICATION, intent="pi_1", intent_open=True)
	assert next_step(with_attempts(waiting), NOW).__class__ is steps.Close
	closed = replace(waiting, intent_open=False)
	assert next_step(with_attempts(closed), NOW).card == SECOND_CARD


def test_if_no_other_card_pays_the_recharge_waits_for_the_card_holder_and_stays_open():
	hand = carry_out()
	hand.locks(
		with_attempts(attempt(status=payment.NEEDS_AUTHENTICATION), attempt(2, payment.DECLINED, "card-2"))
	)
	values = hand.does(effects.UpdateRecharge).values
	assert values["status"] == payment.ACTION_REQUIRED
	assert values["next_try_at"] == NOW + payment.ACTION_WINDOW
	hand.does(effects.Notify, kind=payment.NEEDS_ACTION)
	hand.does(effects.Commit)
	hand.ends(payment.ACTION_REQUIRED)


WAITING = replace(
	QUEUED,
	status=payment.ACTION_REQUIRED,
	next_try_at=NOW,
	attempts=(attempt(status=payment.NEEDS_AUTHENTICATION),),
)


def test_a_card_holder_who_never_comes_fails_the_recharge():
	hand = Hand(payment.expire_action("A", "R"))
	hand.locks(WAITING)
	values = hand.does(effects.UpdateRecharge).values
	assert values == {"status": payment.FAILED, "ended_at": NOW, "next_try_at": None}
	hand.does(effects.ClearOpenRecharge)
	hand.does(effects.DisableAutoRecharge)
	hand.does(effects.Notify, kind=payment.ALL_CARDS_FAILED)
	hand.does(effects.Commit)
	hand.ends(payment.FAILED)


@pytest.mark.parametrize(
	("view", "word"),
	[
		(None, "missing"),
		(replace(WAITING, status=payment.SUCCEEDED), payment.SUCCEEDED),
		(replace(WAITING, next_try_at=NOW + SECOND), payment.ACTION_REQUIRED),
		(replace(WAITING, next_try_at=None), payment.ACTION_REQUIRED),
	],
)
def test_nothing_expires_too_early_or_twice(view, word):
	hand = Hand(payment.expire_action("A", "R"))
	hand.locks(view)
	hand.does(effects.Rollback)
	hand.ends(word)


@pytest.mark.parametrize(
	"begun",
	[
		attempt(2, payment.UNKNOWN, intent="pi_2"),
		attempt(2, payment.CREATED),
		attempt(2, payment.NEEDS_AUTHENTICATION, intent="pi_2", intent_open=True),
	],
)
def test_what_the_card_holder_has_begun_is_decided_before_the_recharge_may_fail(begun):
	hand = Hand(payment.expire_action("A", "R"))
	hand.locks(replace(WAITING, attempts=(*WAITING.attempts, begun)))
	hand.does(effects.UpdateRecharge, values={"status": payment.QUEUED, "next_try_at": None})
	hand.does(effects.EnqueueAfterCommit, job=payment.CARRY_OUT)
	hand.does(effects.Commit)
	hand.ends(payment.QUEUED)


# -- somebody closed it at the gateway ---------------------------------------------------------------------


def test_an_intent_closed_by_somebody_else_is_not_charged_again():
	hand = asking(attempt(status=payment.UNKNOWN), answer=replace(CANCELLED, code="requested_by_customer"))
	values = hand.does(effects.UpdateAttempt).values
	assert (values["status"], values["code"]) == (payment.DECLINED, "requested_by_customer")
	assert next_step(with_attempts(attempt(status=payment.DECLINED)), NOW).card == SECOND_CARD


# -- losing the lease --------------------------------------------------------------------------------------


LOST = [
	None,
	replace(MINE, lease_owner="other"),
	replace(MINE, lease_owner=None, lease_until=None),
	replace(MINE, status=payment.CANCELLED),
	replace(MINE, status=payment.SUCCEEDED, settled_intent="pi_0"),
]


@pytest.mark.parametrize("now_it_is", LOST)
def test_a_run_that_lost_its_lease_stops_before_it_acts(now_it_is):
	hand = carry_out()
	hand.locks(now_it_is)
	hand.does(effects.Rollback)
	hand.ends("lost")


@pytest.mark.parametrize("now_it_is", LOST)
@pytest.mark.parametrize("answer", [DECLINED, TIMED_OUT, NEEDS_PERSON, CANCELLED])
def test_a_late_answer_of_a_run_that_lost_its_lease_writes_nothing(now_it_is, answer):
	view = with_attempts(attempt())
	hand = carry_out()
	hand.locks(view)
	hand.does(effects.Commit)
	hand.does(effects.Charge, answer)
	hand.locks(now_it_is)
	hand.does(effects.Rollback)
	hand.ends("lost")


@pytest.mark.parametrize(
	"now_it_is", [replace(MINE, lease_owner="other"), replace(MINE, status=payment.CANCELLED), MINE]
)
def test_a_capture_is_settled_whoever_holds_the_lease(now_it_is):
	view = with_attempts(attempt())
	hand = carry_out()
	hand.locks(view)
	hand.does(effects.Commit)
	hand.does(effects.Charge, PAID)
	hand.locks(now_it_is)
	hand.does(effects.UpdateAttempt)
	hand.settles()
	hand.does(effects.Commit)
	hand.ends(payment.SUCCEEDED)


# -- settling ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", payment.UNPAID)
def test_a_capture_settles_a_recharge_that_is_not_paid_yet(status):
	hand = Hand(payment.settle(replace(QUEUED, status=status), PAID, NOW))
	hand.settles()
	hand.ends(payment.SUCCEEDED)


@pytest.mark.parametrize("status", [payment.SUCCEEDED, "Refunded", "Disputed", "Charged Back"])
def test_the_same_capture_again_is_nothing(status):
	Hand(payment.settle(replace(QUEUED, status=status, settled_intent="pi_1"), PAID, NOW)).ends(
		"already settled"
	)


@pytest.mark.parametrize(
	"view",
	[
		replace(QUEUED, status=payment.SUCCEEDED, settled_intent="pi_0"),
		replace(QUEUED, status="Refunded", settled_intent="pi_0"),
		replace(QUEUED, status="Charged Back"),
	],
)
def test_a_second_capture_is_written_down_to_be_refunded_and_not_credited(view):
	hand = Hand(payment.settle(view, PAID, NOW))
	hand.does(effects.RefundDuplicate, recharge="R", answer=PAID)
	hand.ends("duplicate")


WRONG = [
	({"amount": Decimal(449)}, "amount"),
	({"amount": Decimal(9000)}, "amount"),
	({"currency": "JPY"}, "currency"),
	({"customer": "cus_2"}, "customer"),
	({"metadata": {"recharge": "S"}}, "recharge"),
]


@pytest.mark.parametrize(("changes", "what"), WRONG)
@pytest.mark.parametrize("status", [*payment.UNPAID, payment.SUCCEEDED, "Refunded"])
def test_a_capture_that_does_not_fit_is_noted_and_credits_nothing(status, changes, what):
	settled = None if status in payment.UNPAID else "pi_0"
	answer = replace(PAID, **changes)
	hand = Hand(payment.settle(replace(QUEUED, status=status, settled_intent=settled), answer, NOW))
	noted = hand.does(
		effects.NoteDifference, kind=payment.DOES_NOT_FIT, subject="pi_1", recharge="R", amount=answer.amount
	)
	assert [misfit.what for misfit in noted.misfits] == [what]
	# It only names the recharge: that goes on as it was.
	hand.ends(payment.HELD)


@pytest.mark.parametrize("changes", [changes for changes, _ in WRONG[:4]])
def test_a_recharge_whose_own_payment_does_not_fit_waits_for_a_person_and_charges_nothing_else(changes):
	hand = asking(attempt(), answer=replace(PAID, metadata=PAID.metadata | {"attempt": "R-1"}, **changes))
	assert hand.does(effects.UpdateAttempt).values["status"] == payment.PAID
	hand.does(effects.NoteDifference, subject="pi_1")
	values = hand.does(effects.UpdateRecharge, recharge="R").values
	assert values == {"status": payment.HELD, "lease_owner": None, "lease_until": None, "next_try_at": None}
	hand.does(effects.Commit)
	hand.ends(payment.HELD)
	assert payment.HELD in payment.IN_FLIGHT and payment.HELD not in payment.WORKABLE


def test_what_was_captured_is_kept_with_the_recharge():
	hand = Hand(payment.settle(QUEUED, PAID, NOW))
	hand.does(effects.ClearOpenRecharge)
	values = hand.does(effects.UpdateRecharge).values
	assert [values[k] for k in ("captured_amount", "captured_currency", "gateway_customer")] == [
		450,
		"USD",
		"cus_1",
	]


def test_a_capture_nobody_asked_for_is_left_to_the_reconciler():
	Hand(payment.settle(None, PAID, NOW)).ends("no owner")


def test_a_capture_without_an_intent_is_an_error_and_not_taken_for_settled():
	with pytest.raises(ValueError, match="without an intent"):
		Hand(payment.settle(QUEUED, replace(PAID, intent=None), NOW))


def test_the_credits_come_last_for_their_ledger_row_looks_at_the_threshold_again():
	kinds = []
	machine = payment.settle(QUEUED, PAID, NOW)
	for effect in machine:
		kinds.append(type(effect))
	assert kinds.index(effects.PostCredits) > kinds.index(effects.ClearOpenRecharge)
	assert kinds.index(effects.PostCredits) > kinds.index(effects.UpdateRecharge)


# -- order of work -----------------------------------------------------------------------------------------


def test_undecided_before_open_intents_before_waiting_before_the_next_card():
	undecided = attempt(3, payment.UNKNOWN)
	open_intent = attempt(2, payment.DECLINED, "card-2", intent="pi_2", intent_open=True)
	error = attempt(1, payment.ERROR, next_ask_at=NOW + HOUR)
	assert next_step(with_attempts(error, open_intent, undecided), NOW).attempt is undecided
	assert next_step(with_attempts(error, open_intent), NOW).attempt is open_intent
	assert next_step(with_attempts(error), NOW).until == NOW + HOUR
	assert next_step(with_attempts(replace(error, next_ask_at=NOW)), NOW).card == FIRST


def test_cards_are_tried_in_order_each_once():
	view = replace(MINE, cards=tuple(Card(f"card-{n}", account="A") for n in range(1, 6)))
	order = []
	while (step := next_step(view, NOW)).__class__ is steps.Start:
		order.append(step.card.name)
		done = attempt(len(order), payment.DECLINED, step.card.name)
		view = replace(view, attempts=(*view.attempts, done))
	assert order == [f"card-{n}" for n in range(1, 6)]
	assert step.__class__ is steps.GiveUp


def test_a_card_of_another_account_is_never_asked():
	strange = replace(FIRST, name="card-9", account="B")
	assert next_step(replace(MINE, cards=(strange, SECOND_CARD)), NOW).card == SECOND_CARD
	for card in (strange, replace(strange, account=None)):
		step = next_step(replace(MINE, cards=(card,)), NOW)
		assert step == steps.GiveUp(payment.FAILED)


def test_a_declined_card_is_judged_for_its_own_account():
	hand = Hand(payment.carry_out("A", "R", "me"))
	hand.does(effects.Now, NOW)
	hand.does(effects.LockAccount)
	hand.does(effects.LockRecharge, with_attempts(attempt()))
	while not isinstance(hand.effect, effects.Charge):
		replies = {effects.Now: NOW, effects.LockRecharge: with_attempts(attempt())}
		hand.does(type(hand.effect), replies.get(type(hand.effect)))
	hand.does(effects.Charge, replace(DECLINED, decline_class=DeclineClass.PERMANENT, intent_open=False))
	while not isinstance(hand.effect, effects.UpdateCard):
		replies = {effects.Now: NOW, effects.LockRecharge: with_attempts(attempt())}
		hand.does(type(hand.effect), replies.get(type(hand.effect)))
	hand.does(effects.UpdateCard, account="A", card="card-1")


def test_a_card_taken_off_the_list_is_still_asked_about_while_undecided():
	view = replace(with_attempts(attempt(status=payment.UNKNOWN)), cards=(SECOND_CARD,))
	assert next_step(view, NOW).attempt.card == "card-1"


def test_names_of_attempts_are_the_same_when_a_job_runs_again():
	assert payment.attempt_name("abc", 3) == payment.attempt_name("abc", 3) == "abc-3"


# -- held since it was decided on --------------------------------------------------------------------------


def test_no_further_card_is_asked_once_the_account_is_held():
	held = replace(MINE, held_because="Dispute dp_1")
	assert next_step(held, NOW) == steps.GiveUp(payment.CANCELLED)
	declined = with_attempts(attempt(status=payment.DECLINED), view=held)
	assert next_step(declined, NOW) == steps.GiveUp(payment.CANCELLED)
	assert next_step(replace(held, trigger="Desk"), NOW).__class__ is steps.Start


def test_what_was_asked_is_followed_to_its_end_though_the_account_is_held():
	held = replace(MINE, held_because="Dispute dp_1")
	undecided = attempt(status=payment.UNKNOWN)
	assert next_step(with_attempts(undecided, view=held), NOW).__class__ is steps.Ask
	open_intent = attempt(status=payment.DECLINED, intent="pi_1", intent_open=True)
	assert next_step(with_attempts(open_intent, view=held), NOW).__class__ is steps.Close


def test_a_held_recharge_is_called_off_and_nothing_is_switched_off():
	hand = carry_out()
	hand.locks(replace(MINE, held_because="Refund RF-1"))
	values = hand.does(effects.UpdateRecharge).values
	assert (values["status"], values["lease_owner"]) == (payment.CANCELLED, None)
	hand.does(effects.ClearOpenRecharge, account="A", recharge="R")
	hand.does(effects.Commit)
	hand.ends(payment.CANCELLED)


# -- what was asked before a backup that was restored since ------------------------------------------------


RESTORED = replace(MINE, created=NOW - payment.REPLAY_WINDOW - SECOND)


def searching(found, view=RESTORED):
	"""An old recharge of which nobody here knows an attempt; the gateway shows `found`."""
	hand = carry_out(view)
	hand.locks(view)
	hand.does(effects.Commit)
	hand.does(effects.Search, found, recharge="R", since=view.created)
	return hand


def there(number=1, outcome=Outcome.CANCELLED, **more):
	values = {"intent": f"pi_{number}", "created": 1772000000 + number, "amount": Decimal(450)}
	values["customer"] = "cus_1"
	metadata = {"recharge": "R", "attempt": f"R-{number}"}
	return Answer(outcome, **(values | {"currency": "USD", "metadata": metadata} | more))


def test_before_an_old_recharge_charges_a_card_the_gateway_is_searched_for_it():
	hand = searching(())
	hand.locks(RESTORED)
	hand.extends_the_lease()
	# Nothing is there: the card is charged as if for the first time, and the search is not made again.
	hand.locks(RESTORED)
	hand.does(effects.InsertAttempt, name="R-1", card="card-1")


@pytest.mark.parametrize("cards_", [(FIRST, SECOND_CARD), ()])
def test_an_old_recharge_is_not_given_up_before_it_was_searched_for(cards_):
	view = replace(RESTORED, cards=cards_)
	assert next_step(view, NOW).__class__ is steps.Search
	assert next_step(view, NOW, searched=True).__class__ is (steps.Start if cards_ else steps.GiveUp)
	assert next_step(replace(view, created=NOW - HOUR), NOW).__class__ is not steps.Search


def test_what_the_search_finds_is_written_down_under_its_own_numbers_and_looked_up():
	paid = there(3, Outcome.SUCCEEDED, payment_method="pm_2")
	hand = searching((paid, there(1, payment_method="pm_1")))
	hand.locks(RESTORED)
	first = hand.does(effects.InsertAttempt, name="R-1", number=1, card="card-1")
	assert (first.values["status"], first.values["intent"]) == (payment.UNKNOWN, "pi_1")
	hand.does(effects.InsertAttempt, name="R-3", number=3, card="card-2")
	hand.extends_the_lease()
	known = with_attempts(
		attempt(1, payment.DECLINED, intent="pi_1"),
		attempt(3, payment.UNKNOWN, "card-2", intent="pi_3", created=NOW - HOUR),
		view=RESTORED,
	)
	hand.locks(known)
	hand.does(effects.Commit)
	# By its id, though the key is young enough: asking could charge once more.
	hand.does(effects.LookUp, replace(PAID, intent="pi_3"), key="R-3", intent="pi_3")
	hand.locks(known)
	assert hand.does(effects.UpdateAttempt, name="R-3").values["status"] == payment.PAID
	hand.settles("pi_3")


def test_a_later_attempt_takes_no_key_that_was_used_before():
	view = with_attempts(attempt(3, payment.DECLINED, "card-2", intent="pi_3"), view=RESTORED)
	hand = searching((there(3), there(2, metadata={"recharge": "R", "attempt": "elsewhere"})), view)
	hand.locks(view)
	hand.does(effects.InsertAttempt, name="R-4", number=4)
	hand.extends_the_lease()
	view = replace(view, attempts=(*view.attempts, attempt(4, payment.DECLINED, "card-9", intent="pi_2")))
	hand.locks(view)
	hand.does(effects.InsertAttempt, name="R-5", number=5, card="card-1")


@pytest.mark.parametrize("answer", [TIMED_OUT, REFUSED])
def test_while_the_search_has_no_end_nothing_is_charged(answer):
	hand = searching(answer)
	hand.locks(RESTORED)
	values = hand.does(effects.UpdateRecharge).values
	assert values["lease_owner"] is None and values["next_try_at"] > NOW
	hand.does(effects.Commit)
	hand.ends("waiting")


# -- what asking again does not change ---------------------------------------------------------------------


def test_an_amount_the_gateway_never_takes_is_not_asked_for_again():
	refused = attempt(1, payment.ERROR, code="amount_too_small", next_ask_at=NOW)
	assert next_step(with_attempts(refused), NOW) == steps.GiveUp(payment.FAILED)
	other = attempt(1, payment.ERROR, code="api_key_expired", next_ask_at=NOW)
	assert next_step(with_attempts(other), NOW).__class__ is steps.Start


def test_a_customer_that_is_gone_ends_with_its_cards():
	gone = Answer(
		Outcome.DECLINED, code="customer_gone", decline_class=DeclineClass.CUSTOMER_GONE, message="gone"
	)
	hand = asking(attempt(), answer=gone)
	hand.does(effects.UpdateCard, card="card-1", status=cards.UNUSABLE, reason="customer_gone")
	assert hand.does(effects.UpdateAttempt).values["status"] == payment.DECLINED
	hand.extends_the_lease()
	view = with_attempts(attempt(1, payment.DECLINED), view=replace(MINE, cards=(FIRST,)))
	assert next_step(view, NOW) == steps.GiveUp(payment.FAILED)


# -- calling off --------------------------------------------------------------------------------------------


WAITS = replace(QUEUED, status=payment.ACTION_REQUIRED, next_try_at=NOW + HOUR)
PAGE = attempt(2, card=None, page="cs_1")


@pytest.mark.parametrize(
	("view", "is_open"),
	[
		(QUEUED, False),
		(with_attempts(attempt(1, payment.SKIPPED), view=QUEUED), False),
		(WAITS, False),
		(with_attempts(attempt(1, payment.NEEDS_AUTHENTICATION), PAGE, view=WAITS), True),
		(with_attempts(attempt(1, payment.DECLINED, intent="pi_1", intent_open=True), view=WAITS), True),
	],
)
def test_a_payment_that_only_waits_can_be_called_off(view, is_open):
	hand = Hand(payment.call_off("A", "R"))
	hand.locks(view)
	values = hand.does(effects.UpdateRecharge, recharge="R").values
	assert (values["status"], values["ended_at"]) == (payment.CANCELLED, NOW)
	assert values["next_try_at"] == (NOW if is_open else None)
	hand.does(effects.ClearOpenRecharge, account="A", recharge="R")
	if is_open:
		hand.does(effects.EnqueueAfterCommit, job=payment.CLOSE_UP, recharge="R")
	hand.does(effects.Commit)
	hand.ends(payment.CANCELLED)


@pytest.mark.parametrize(
	"view",
	[
		MINE,
		with_attempts(attempt(1, payment.UNKNOWN), view=QUEUED),
		*(
			replace(QUEUED, status=status)
			for status in (payment.DRAFT, payment.HELD, payment.SUCCEEDED, payment.FAILED, payment.CANCELLED)
		),
	],
)
def test_one_that_a_card_is_asked_for_or_that_has_ended_cannot(view):
	hand = Hand(payment.call_off("A", "R"))
	hand.locks(view)
	hand.does(effects.Rollback)
	hand.ends(view.status)


def closing(attempt_, effect, answer):
	view = with_attempts(attempt_, view=replace(QUEUED, status=payment.CANCELLED))
	hand = Hand(payment.close_up("A", "R"))
	hand.locks(view)
	hand.does(effects.Commit)
	hand.does(effect, answer)
	hand.locks(view)
	return hand


@pytest.mark.parametrize(
	("attempt_", "effect", "answer", "written"),
	[
		(
			attempt(1, payment.DECLINED, intent="pi_1", intent_open=True),
			effects.Cancel,
			CANCELLED,
			"intent_open",
		),
		(PAGE, effects.ClosePage, None, "status"),
		(attempt(2, card=None), effects.LookUp, None, "status"),
	],
)
def test_what_could_still_capture_is_closed_after_that_and_nothing_charged(attempt_, effect, answer, written):
	hand = closing(attempt_, effect, answer)
	values = hand.does(effects.UpdateAttempt).values
	assert values[written] in (False, payment.NEVER_HAPPENED)
	hand.does(effects.Commit)
	hand.locks(replace(QUEUED, status=payment.CANCELLED))
	hand.does(effects.UpdateRecharge, values={"next_try_at": None})
	hand.does(effects.Commit)
	hand.ends("closed")


def test_a_card_holder_who_was_faster_than_the_closing_gets_the_credits():
	hand = closing(PAGE, effects.ClosePage, PAID)
	assert hand.does(effects.UpdateAttempt).values["status"] == payment.PAID
	hand.settles()
	hand.does(effects.Commit)
	hand.ends(payment.SUCCEEDED)


def test_a_gateway_that_does_not_answer_is_asked_again_to_close():
	hand = closing(PAGE, effects.ClosePage, TIMED_OUT)
	values = hand.does(effects.UpdateAttempt).values
	assert (values["status"], values["next_ask_at"] > NOW) == (payment.CREATED, True)
	hand.does(effects.Commit)
	later = replace(PAGE, next_ask_at=values["next_ask_at"])
	hand.locks(with_attempts(later, view=replace(QUEUED, status=payment.CANCELLED)))
	hand.does(effects.UpdateRecharge, values={"next_try_at": values["next_ask_at"]})
	hand.does(effects.Commit)
	hand.ends("waiting")


def test_a_page_is_closed_and_never_charged_by_a_key():
	view = with_attempts(PAGE)
	assert next_step(view, NOW).__class__ is steps.ClosePage
	assert next_step(with_attempts(attempt(2, card=None)), NOW).__class__ is steps.LookUp
