"""The payment machine: claim → attempt → answer → settle, without I/O.

Each function here is a generator of effects (see effects.py). It keeps nothing of its own between two
commits: after a crash at any point the next run reads what was committed and goes on from there.

- Nothing moves on to another card before the intent of the one before is *proven* closed without money.
- A time-out is not a decline: the same key is asked again, later, and no other card meanwhile.
- A refused *request* proves nothing about an earlier one under the same key: that one is looked up first.
- Every step locks account, then recharge, and goes on only while its lease is still its own.
- An automatic recharge asks no further card once the account is held (a dispute, a refund, a person).
- A card that was saved for another account is never asked, whoever put it on the list, and never judged.
"""

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal

from crm_recharge.domain import cards, effects, moments
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.cards import Card

# Status of a recharge.
DRAFT, PENDING_APPROVAL, QUEUED, CHARGING = "Draft", "Pending Approval", "Queued", "Charging"
SUCCEEDED, FAILED, ACTION_REQUIRED, CANCELLED = "Succeeded", "Failed", "Action Required", "Cancelled"
WORKABLE = (QUEUED, CHARGING)
IN_FLIGHT = (QUEUED, CHARGING, ACTION_REQUIRED)
"""May still hold or bring money: counts against caps, and is the account's open recharge."""
UNPAID = (DRAFT, PENDING_APPROVAL, QUEUED, CHARGING, ACTION_REQUIRED, FAILED, CANCELLED)

# Status of an attempt.
CREATED, UNKNOWN, DECLINED, NEEDS_AUTHENTICATION = "Created", "Unknown", "Declined", "Needs Authentication"
PAID, ERROR, SKIPPED, NEVER_HAPPENED = "Succeeded", "Error", "Skipped", "Never Happened"
REFUSED = "Refused"
"""The request was refused (a key withdrawn, say). That proves nothing about an earlier ask under the same key,
so it is looked up before it counts as an Error, which holds no money."""
OPEN_ATTEMPT = (CREATED, UNKNOWN, REFUSED)

AUTOMATIC = "Automatic"

LEASE = timedelta(seconds=45)
"""Longer than the slowest call to the gateway; with a sweep each minute a dead worker's recharge is taken up
within two minutes."""
REPLAY_WINDOW = timedelta(hours=23)
"""Stripe replays an idempotency key for 24 hours; after that only a look-up is safe."""
ERRORS_BEFORE_GIVING_UP = 8
ASKS_BEFORE_TELLING = 8
"""An attempt that is undecided after so many asks (about 45 minutes) is told to a person, once."""
ACTION_WINDOW = timedelta(days=3)
"""How long a payment waits for its card holder before it counts as failed."""

# Notices.
ALL_CARDS_FAILED, NEEDS_ACTION, GATEWAY_ERROR = "all_cards_failed", "needs_action", "gateway_error"

# Why an automatic recharge failed.
NO_CARD_WORKED, GATEWAY_GAVE_ERRORS = "all_cards_failed", "gateway_errors"

ACCOUNT_FOR = "account_for"
CARRY_OUT = "carry_out"


@dataclass(frozen=True, slots=True)
class AttemptView:
	"""One try of one card, as committed."""

	name: str
	number: int
	card: str
	status: str
	created: datetime
	intent: str | None = None
	intent_open: bool = False
	asks: int = 0
	next_ask_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RechargeView:
	"""A recharge, its attempts and the cards it may charge, in order, as committed."""

	name: str
	account: str
	status: str
	amount: Decimal
	currency: str
	trigger: str = AUTOMATIC
	cards: tuple[Card, ...] = ()
	attempts: tuple[AttemptView, ...] = ()
	lease_owner: str | None = None
	lease_until: datetime | None = None
	next_try_at: datetime | None = None
	settled_intent: str | None = None
	held_because: str | None = None
	zone: tzinfo = timezone.utc
	"""The account's: a card is good until the last day of its month there."""


# -- what to do next: pure ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
	"""One of ask, look_up, close, start, skip, wait, give_up, with what it needs."""

	kind: str
	attempt: AttemptView | None = None
	card: Card | None = None
	reason: str | None = None
	until: datetime | None = None


def next_step(view: RechargeView, now: datetime) -> Step:
	"""What the committed facts call for at `now`."""
	for attempt in view.attempts:
		if attempt.status in OPEN_ATTEMPT:
			return _ask(attempt, now)
	for attempt in view.attempts:
		if attempt.intent_open:
			return _wait_or("close", attempt, now)
	errors = [a for a in view.attempts if a.status == ERROR]
	if errors and errors[-1].next_ask_at and errors[-1].next_ask_at > now:
		return Step("wait", until=errors[-1].next_ask_at)
	if len(errors) >= ERRORS_BEFORE_GIVING_UP:
		return Step("give_up", reason=FAILED)
	if view.held_because and view.trigger == AUTOMATIC:
		# Held since it was decided on: no further card is asked. What was asked has its answer by now.
		return Step("give_up", reason=CANCELLED)
	# What was never charged says nothing about its card: it is that card's turn again, not the next one's.
	tried = {a.card for a in view.attempts if a.status not in (ERROR, NEVER_HAPPENED)}
	for card in cards.own(view.cards, view.account):
		if card.name in tried:
			continue
		reason = cards.why_unusable(card, moments.day_of(now, view.zone))
		return Step("skip", card=card, reason=reason) if reason else Step("start", card=card)
	needs_person = any(a.status == NEEDS_AUTHENTICATION for a in view.attempts)
	return Step("give_up", reason=ACTION_REQUIRED if needs_person else FAILED)


def _ask(attempt: AttemptView, now: datetime) -> Step:
	if attempt.status == REFUSED or now - attempt.created > REPLAY_WINDOW:
		return _wait_or("look_up", attempt, now)
	return _wait_or("ask", attempt, now)


def _wait_or(kind: str, attempt: AttemptView, now: datetime) -> Step:
	if attempt.next_ask_at and attempt.next_ask_at > now:
		return Step("wait", attempt=attempt, until=attempt.next_ask_at)
	return Step(kind, attempt=attempt)


def backoff(asks: int, retry_after: float | None = None) -> timedelta:
	"""15 s, 30 s, 1 min … at most 15 min; never sooner than the gateway's own `retry_after` (seconds)."""
	seconds = min(15 * 2 ** min(asks, 10), 900)
	return timedelta(seconds=max(seconds, min(retry_after or 0, 3600)))


def attempt_name(recharge: str, number: int) -> str:
	"""Deterministic, so that a job run again asks under the same key; the recharge's own name is random."""
	return f"{recharge}-{number}"


# -- the machine -------------------------------------------------------------------------------------------

Machine = Generator


def carry_out(account: str, recharge: str, worker: str) -> Machine:
	"""Work on `recharge` until it is paid, has failed, or has to wait. Returns a word for the log.

	`worker` names this run and no other: it is what the lease is held by.
	"""
	claimed = yield from _claim(account, recharge, worker)
	if claimed is not None:
		return claimed
	while True:
		view, now = yield from _mine(account, recharge, worker)
		if view is None:
			return "lost"
		step = next_step(view, now)
		match step.kind:
			case "skip":
				yield from _skip(view, step.card, step.reason)
			case "start":
				yield from _start(view, step.card, now)
			case "wait":
				return (yield from _release(view, step.until))
			case "give_up":
				return (yield from _give_up(view, step.reason, now))
			case _:
				yield effects.Commit()  # lets go of the locks: the gateway is slow
				answer = yield _call(view, step)
				ended = yield from _record(account, recharge, worker, step, answer)
				if ended:
					return ended


def _claim(account: str, recharge: str, worker: str) -> Machine:
	"""Take the lease. Returns why not, or None."""
	now = yield effects.Now()
	yield effects.LockAccount(account)
	view = yield effects.LockRecharge(recharge)
	why_not = None
	if view is None:
		why_not = "missing"
	elif view.status not in WORKABLE:
		why_not = view.status
	elif view.lease_until and view.lease_until > now and view.lease_owner != worker:
		why_not = "leased"
	elif view.next_try_at and view.next_try_at > now:
		why_not = "not yet"
	if why_not:
		yield effects.Rollback()
		return why_not
	yield effects.UpdateRecharge(
		recharge, {"status": CHARGING, "lease_owner": worker, "lease_until": now + LEASE, "next_try_at": None}
	)
	yield effects.Commit()
	return None


def _mine(account: str, recharge: str, worker: str) -> Machine:
	"""Lock and read again; (None, None) when the lease has gone to somebody else or the work is done."""
	now = yield effects.Now()
	yield effects.LockAccount(account)
	view = yield effects.LockRecharge(recharge)
	if view is None or view.status != CHARGING or view.lease_owner != worker:
		yield effects.Rollback()
		return None, None
	return view, now


def _skip(view: RechargeView, card: Card, reason: str) -> Machine:
	number = len(view.attempts) + 1
	yield effects.InsertAttempt(
		attempt_name(view.name, number), view.name, number, card.name, {"status": SKIPPED, "code": reason}
	)
	if reason == cards.PAST_EXPIRY and card.status == cards.ACTIVE:
		yield effects.UpdateCard(view.account, card.name, cards.EXPIRED, reason)
	yield effects.Commit()


def _start(view: RechargeView, card: Card, now: datetime) -> Machine:
	"""Write the attempt down before the gateway hears of it."""
	number = len(view.attempts) + 1
	yield effects.InsertAttempt(
		attempt_name(view.name, number),
		view.name,
		number,
		card.name,
		{"status": CREATED, "amount": view.amount, "currency": view.currency, "created_at": now},
	)
	yield effects.UpdateRecharge(view.name, {"lease_until": now + LEASE})
	yield effects.Commit()


def _call(view: RechargeView, step: Step):
	attempt = step.attempt
	match step.kind:
		case "ask":
			return effects.Charge(
				attempt.name,
				view.name,
				attempt.card,
				view.amount,
				view.currency,
				until=attempt.created + REPLAY_WINDOW,
			)
		case "look_up":
			return effects.LookUp(attempt.name, view.name, attempt.created)
		case "close":
			return effects.Cancel(attempt.intent, f"{attempt.name}-cancel")
	raise AssertionError(step.kind)


def _record(account: str, recharge: str, worker: str, step: Step, answer: Answer | None) -> Machine:
	"""Write down what the gateway said. Returns a word when the run ends with it.

	A capture is settled whoever holds the lease now; anything else is the lease holder's to write.
	"""
	now = yield effects.Now()
	yield effects.LockAccount(account)
	view = yield effects.LockRecharge(recharge)
	if answer is not None and answer.outcome is Outcome.SUCCEEDED:
		yield effects.UpdateAttempt(step.attempt.name, _answered(step, answer, now) | {"status": PAID})
		word = yield from settle(view, answer, now)
		yield effects.Commit()
		return word
	if view is None or view.status != CHARGING or view.lease_owner != worker:
		yield effects.Rollback()
		return "lost"
	if step.kind == "close":
		yield from _record_close(view, step, answer, now)
	else:
		yield from _record_ask(view, step, answer, now)
	yield effects.UpdateRecharge(recharge, {"lease_until": now + LEASE})
	yield effects.Commit()
	return None


def _record_close(view: RechargeView, step: Step, answer: Answer, now: datetime) -> Machine:
	gone = answer.outcome is Outcome.CANCELLED or (
		answer.outcome is Outcome.ERROR and answer.code == "resource_missing"
	)
	if gone:
		values = {"intent_open": False, "next_ask_at": None}
	else:
		values = yield from _later(view, step, answer, now)
	yield effects.UpdateAttempt(step.attempt.name, values)


def _record_ask(view: RechargeView, step: Step, answer: Answer | None, now: datetime) -> Machine:
	attempt = step.attempt
	if answer is None:
		yield effects.UpdateAttempt(attempt.name, _nothing_there(view, attempt, now))
		return
	values = _answered(step, answer, now)
	match answer.outcome:
		case Outcome.UNKNOWN:
			status = attempt.status if step.kind == "look_up" else UNKNOWN
			values |= {"status": status} | (yield from _later(view, step, answer, now))
		case Outcome.ERROR if step.kind == "look_up":
			values |= {"status": attempt.status} | (yield from _later(view, step, answer, now))
		case Outcome.ERROR:
			values |= {"status": REFUSED, "next_ask_at": None}
			if not any(a.status in (ERROR, REFUSED) for a in view.attempts):
				yield effects.Notify(
					GATEWAY_ERROR, view.name, {"code": answer.code, "message": answer.message}
				)
		case Outcome.NEEDS_AUTHENTICATION:
			values |= {
				"status": NEEDS_AUTHENTICATION,
				"intent_open": bool(values["intent"]),
				"next_ask_at": None,
			}
		case Outcome.DECLINED:
			may_capture = bool(values["intent"]) and answer.intent_open
			values |= {"status": DECLINED, "intent_open": may_capture, "next_ask_at": None}
			new_status = cards.status_after(answer.decline_class)
			if new_status:
				yield effects.UpdateCard(view.account, attempt.card, new_status, answer.code or "")
		case Outcome.CANCELLED:
			# Somebody closed it at the gateway: this card is not charged again for this recharge.
			values |= {"status": DECLINED, "code": answer.code or "canceled", "next_ask_at": None}
	yield effects.UpdateAttempt(attempt.name, values)


def _nothing_there(view: RechargeView, attempt: AttemptView, now: datetime) -> dict:
	"""The gateway has shown every intent and none is this attempt's."""
	if attempt.status == REFUSED:
		return {"status": ERROR, "next_ask_at": now + backoff(len(view.attempts) + 2)}
	return {"status": NEVER_HAPPENED, "next_ask_at": None}


def _answered(step: Step, answer: Answer, now: datetime) -> dict:
	return {
		"intent": answer.intent or step.attempt.intent,
		"intent_open": False,
		"charge": answer.charge,
		"code": answer.code,
		"message": answer.message,
		"decline_class": answer.decline_class.value if answer.decline_class else None,
		"risk_level": answer.risk_level,
		"milliseconds": answer.milliseconds,
		"answered_at": now,
		"asks": step.attempt.asks + 1,
	}


def _later(view: RechargeView, step: Step, answer: Answer, now: datetime) -> Machine:
	"""Ask again later. Returns what to write on the attempt; tells a person when this has gone on for long."""
	asks = step.attempt.asks
	if asks + 1 == ASKS_BEFORE_TELLING:
		details = {"attempt": step.attempt.name, "code": answer.code, "message": answer.message}
		yield effects.Notify(GATEWAY_ERROR, view.name, details)
	return {"asks": asks + 1, "next_ask_at": now + backoff(asks, answer.retry_after)}


def _release(view: RechargeView, until: datetime) -> Machine:
	yield effects.UpdateRecharge(view.name, {"lease_owner": None, "lease_until": None, "next_try_at": until})
	yield effects.Commit()
	return "waiting"


def _give_up(view: RechargeView, status: str, now: datetime) -> Machine:
	values = {"status": status, "lease_owner": None, "lease_until": None, "ended_at": now}
	if status == ACTION_REQUIRED:
		# Stays the account's open recharge, or the next usage would ask the same card again.
		yield effects.UpdateRecharge(view.name, values | {"next_try_at": now + ACTION_WINDOW})
		yield effects.Notify(NEEDS_ACTION, view.name)
	elif status == CANCELLED:
		yield effects.UpdateRecharge(view.name, values)
		yield effects.ClearOpenRecharge(view.account, view.name)
	else:
		yield effects.UpdateRecharge(view.name, values)
		yield from _fail(view)
	yield effects.Commit()
	return status


def _fail(view: RechargeView) -> Machine:
	errors = sum(a.status == ERROR for a in view.attempts)
	reason = GATEWAY_GAVE_ERRORS if errors >= ERRORS_BEFORE_GIVING_UP else NO_CARD_WORKED
	yield effects.ClearOpenRecharge(view.account, view.name)
	if view.trigger == AUTOMATIC:
		yield effects.DisableAutoRecharge(view.account, reason, view.name)
	yield effects.Notify(ALL_CARDS_FAILED, view.name, {"reason": reason})


def expire_action(account: str, recharge: str) -> Machine:
	"""Fail a recharge whose card holder never came. Returns its status.

	What the card holder began and did not finish is asked about and closed first: it may still capture.
	"""
	now = yield effects.Now()
	yield effects.LockAccount(account)
	view = yield effects.LockRecharge(recharge)
	if view is None or view.status != ACTION_REQUIRED or not view.next_try_at or view.next_try_at > now:
		yield effects.Rollback()
		return view.status if view else "missing"
	if any(a.status in OPEN_ATTEMPT or a.intent_open for a in view.attempts):
		yield effects.UpdateRecharge(recharge, {"status": QUEUED, "next_try_at": None})
		yield effects.EnqueueAfterCommit(CARRY_OUT, recharge)
		yield effects.Commit()
		return QUEUED
	yield effects.UpdateRecharge(recharge, {"status": FAILED, "ended_at": now, "next_try_at": None})
	yield from _fail(view)
	yield effects.Commit()
	return FAILED


def settle(view: RechargeView | None, answer: Answer, now: datetime) -> Machine:
	"""Credit a captured payment, once; the caller holds both locks and commits. Returns a word.

	For worker, webhook, page and sweeper alike. A second capture for the same recharge is money without a
	purpose: it is written down to be refunded.
	"""
	if not answer.intent:
		raise ValueError("a capture without an intent cannot be told from another")
	if view is None:
		return "no owner"
	if view.settled_intent == answer.intent:
		return "already settled"
	if view.settled_intent or view.status not in UNPAID:
		yield effects.RefundDuplicate(view.name, answer)
		return "duplicate"
	yield effects.ClearOpenRecharge(view.account, view.name)
	yield effects.UpdateRecharge(
		view.name,
		{
			"status": SUCCEEDED,
			"settled_intent": answer.intent,
			"charge": answer.charge,
			"risk_level": answer.risk_level,
			"settled_at": now,
			"ended_at": now,
			"lease_owner": None,
			"lease_until": None,
			"next_try_at": None,
		},
	)
	# Last, for the ledger row's own hook looks at the threshold again.
	yield effects.PostCredits(view.account, view.name, answer.intent, answer.amount or view.amount)
	yield effects.EnqueueAfterCommit(ACCOUNT_FOR, view.name)
	return SUCCEEDED
