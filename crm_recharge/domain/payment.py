"""The payment machine: claim → attempt → answer → settle, without I/O.

Each function here is a generator of effects (see effects.py). It keeps nothing of its own between two
commits: after a crash at any point the next run reads what was committed and goes on from there.

- Nothing moves on to another card before the intent of the one before is *proven* closed without money.
- A time-out is not a decline: the same key is asked again, later, and no other card meanwhile.
- A refused *request* proves nothing about an earlier one under the same key: that one is looked up first.
- Every step locks account, then recharge, and goes on only while its lease is still its own.
- An automatic recharge asks no further card once the account is held (a dispute, a refund, a person).
- A card that was saved for another account is never asked, whoever put it on the list, and never judged.
- A recharge that is older than the gateway's memory of keys may have been asked for before a backup that was
  restored since: the gateway is searched for it before a card is charged, or it is given up.
- A capture that does not fit (fit.py) is held: it credits nothing, and a person decides.
"""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Final

from crm_recharge.domain import cards, effects, fit, moments, rows
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.cards import Card
from crm_recharge.domain.effects import AttemptValues, Job, Machine, RechargeValues
from crm_recharge.domain.steps import (
	AUTOMATIC,
	Ask,
	AttemptView,
	Call,
	Close,
	ClosePage,
	GiveUp,
	LookUp,
	RechargeView,
	Search,
	Skip,
	Start,
	Step,
	Wait,
)

# Status of a recharge.
DRAFT, QUEUED, CHARGING = "Draft", "Queued", "Charging"
SUCCEEDED, FAILED, ACTION_REQUIRED, CANCELLED = "Succeeded", "Failed", "Action Required", "Cancelled"
HELD = "Held"
"""Captured, but the payment does not fit: a person decides. Nothing else is charged meanwhile."""
PROCESSING = "Processing"
"""Accepted by the gateway and decided in days, as bank debits are. Nothing else is charged meanwhile."""
CLAIMED = (CHARGING, PROCESSING)
WORKABLE = (QUEUED, *CLAIMED)
IN_FLIGHT = (*WORKABLE, ACTION_REQUIRED, HELD)
"""May still hold or bring money: counts against caps, and is the account's open recharge."""
NOT_ENDED = (DRAFT, *IN_FLIGHT)
"""What of any other could still capture is closed by `close_up`, from `next_try_at` on."""
UNPAID = (*NOT_ENDED, FAILED, CANCELLED)

# Status of an attempt.
CREATED, UNKNOWN, DECLINED, NEEDS_AUTHENTICATION = "Created", "Unknown", "Declined", "Needs Authentication"
PAID, ERROR, SKIPPED, NEVER_HAPPENED = "Succeeded", "Error", "Skipped", "Never Happened"
REFUSED = "Refused"
"""The request was refused (a key withdrawn, say). That proves nothing about an earlier ask under the same key,
so it is looked up before it counts as an Error, which holds no money."""
PENDING = "Pending"
OPEN_ATTEMPT = (CREATED, UNKNOWN, REFUSED, PENDING)

LEASE = timedelta(seconds=45)
"""Longer than the slowest call to the gateway; with a sweep each minute a dead worker's recharge is taken up
within two minutes."""
REPLAY_WINDOW = timedelta(hours=12)
"""The gateway replays an idempotency key for 24 hours; after that only a look-up is safe. Half of that is left for clocks
that were wrong by hours when the key was first used."""
ERRORS_BEFORE_GIVING_UP = 8
ASKS_BEFORE_TELLING = 8
"""An attempt that is undecided after so many asks (about 45 minutes) is told to a person, once."""
PENDING_TOO_LONG = timedelta(days=14)
"""A payment that is decided later is told to a person, once, when it is not decided by then. Bank debits and transfers
take up to ten working days."""
ACTION_WINDOW = timedelta(days=3)
"""How long a payment waits for its card holder before it counts as failed."""

NEVER_CHARGED = ("amount_too_small", "amount_too_large", "invalid_charge_amount", "currency_not_supported")
"""Refusals of the request that no further asking changes: this amount is not taken in this currency."""

# Notices.
ALL_CARDS_FAILED: Final = "all_cards_failed"
NEEDS_ACTION: Final = "needs_action"
GATEWAY_ERROR: Final = "gateway_error"

# Why an automatic recharge failed.
NO_CARD_WORKED, GATEWAY_GAVE_ERRORS = "all_cards_failed", "gateway_errors"

DOES_NOT_FIT = "does_not_fit"
"""Kind of a Gateway Difference: a capture that fit.misfits speaks against."""

ACCOUNT_FOR, CARRY_OUT, CLOSE_UP = Job.ACCOUNT_FOR, Job.CARRY_OUT, Job.CLOSE_UP


# -- what to do next: pure ---------------------------------------------------------------------------------


def next_step(view: RechargeView, now: datetime, searched: bool = False) -> Step:
	"""What the committed facts call for at `now`. `searched`: this run has asked the gateway for payments that
	nobody here knows of."""
	for attempt in view.attempts:
		if attempt.status in OPEN_ATTEMPT:
			return _ask(attempt, now)
	for attempt in view.attempts:
		if attempt.intent_open and attempt.intent:
			return _wait_or(Close(attempt, attempt.intent), now)
	errors = [a for a in view.attempts if a.status == ERROR]
	if errors and errors[-1].next_ask_at and errors[-1].next_ask_at > now:
		return Wait(errors[-1].next_ask_at)
	if not searched and (since := _searched_from(view, now)):
		return Search(since)
	if len(errors) >= ERRORS_BEFORE_GIVING_UP or any(a.code in NEVER_CHARGED for a in errors):
		return GiveUp(FAILED)
	if view.held_because and view.trigger == AUTOMATIC:
		# Held since it was decided on: no further card is asked. What was asked has its answer by now.
		return GiveUp(CANCELLED)
	# What was never charged says nothing about its card: it is that card's turn again, not the next one's.
	tried = {a.card for a in view.attempts if a.status not in (ERROR, NEVER_HAPPENED)}
	for card in cards.own(view.cards, view.account):
		if card.name in tried:
			continue
		reason = cards.why_unusable(card, moments.day_of(now, view.zone))
		return Skip(card, reason) if reason else Start(card)
	# Who has had the time and did not come is not waited for again.
	needs_person = any(
		a.status == NEEDS_AUTHENTICATION and now - a.created <= ACTION_WINDOW for a in view.attempts
	)
	return GiveUp(ACTION_REQUIRED if needs_person else FAILED)


def is_old(view: RechargeView, now: datetime) -> bool:
	"""Whether the gateway may have been asked for this recharge and have forgotten the key: then what is written
	here is not proof that it was not, for a restored backup knows less than the gateway."""
	return _searched_from(view, now) is not None


def _searched_from(view: RechargeView, now: datetime) -> datetime | None:
	"""From when on the gateway is searched for what is not known here; None where there is no need."""
	return view.created if view.created is not None and now - view.created > REPLAY_WINDOW else None


def _ask(attempt: AttemptView, now: datetime) -> Call | Wait:
	if attempt.page:
		return _wait_or(ClosePage(attempt, attempt.page), now)
	# What is known by its id is read by it: nothing could be asked for twice.
	if (
		not attempt.card
		or attempt.status == REFUSED
		or attempt.intent
		or now - attempt.created > REPLAY_WINDOW
	):
		return _wait_or(LookUp(attempt), now)
	return _wait_or(Ask(attempt, attempt.card), now)


def _wait_or(call: Call, now: datetime) -> Call | Wait:
	until = call.attempt.next_ask_at
	return Wait(until, call.attempt) if until and until > now else call


def backoff(asks: int, retry_after: float | None = None) -> timedelta:
	"""15 s, 30 s, 1 min … at most 15 min; never sooner than the gateway's own `retry_after` (seconds)."""
	seconds = min(15 * 2 ** min(asks, 10), 900)
	return timedelta(seconds=max(seconds, min(retry_after or 0, 3600)))


def patience(asks: int, retry_after: float | None = None) -> timedelta:
	"""As `backoff`, for what takes days: 15 s, 30 s, 1 min … at most 6 hours. The gateway tells of it by itself."""
	seconds = min(15 * 2 ** min(asks, 11), 6 * 3600)
	return timedelta(seconds=max(seconds, min(retry_after or 0, 24 * 3600)))


def attempt_name(recharge: str, number: int) -> str:
	"""Deterministic, so that a job run again asks under the same key; the recharge's own name is random."""
	return f"{recharge}-{number}"


# -- the machine -------------------------------------------------------------------------------------------


def carry_out(account: str, recharge: str, worker: str) -> Machine[str]:
	"""Work on `recharge` until it is paid, has failed, or has to wait. Returns a word for the log.

	`worker` names this run and no other: it is what the lease is held by.
	"""
	claimed = yield from _claim(account, recharge, worker)
	if claimed is not None:
		return claimed
	searched = False
	while True:
		mine = yield from _mine(account, recharge, worker)
		if mine is None:
			return "lost"
		view, now = mine
		ended: str | None = None
		match next_step(view, now, searched):
			case Search(since):
				yield from effects.Commit()
				found = yield from effects.Search(recharge, since)
				ended = yield from _searched(account, recharge, worker, found)
				searched = True
			case Skip(card, reason):
				yield from _skip(view, card, reason)
			case Start(card):
				yield from _start(view, card, now)
			case Wait(until, attempt):
				pending = attempt is not None and attempt.status == PENDING
				ended = yield from _release(view, until, PROCESSING if pending else view.status)
			case GiveUp(status):
				ended = yield from _give_up(view, status, now)
			case call:
				yield from effects.Commit()  # lets go of the locks: the gateway is slow
				answer = yield from _call(view, call)
				ended = yield from _record(account, recharge, worker, call, answer)
		if ended:
			return ended


def _claim(account: str, recharge: str, worker: str) -> Machine[str | None]:
	"""Take the lease. Returns why not, or None."""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
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
		yield from effects.Rollback()
		return why_not
	status = PROCESSING if view and view.status == PROCESSING else CHARGING
	yield from effects.UpdateRecharge(
		recharge, {"status": status, "lease_owner": worker, "lease_until": now + LEASE, "next_try_at": None}
	)
	yield from effects.Commit()
	return None


def _mine(account: str, recharge: str, worker: str) -> Machine[tuple[RechargeView, datetime] | None]:
	"""Lock and read again; None when the lease has gone to somebody else or the work is done."""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
	if view is None or view.status not in CLAIMED or view.lease_owner != worker:
		yield from effects.Rollback()
		return None
	return view, now


def _searched(
	account: str, recharge: str, worker: str, found: tuple[Answer, ...] | Answer
) -> Machine[str | None]:
	"""Write down what a search found. Returns a word when the run ends with it."""
	mine = yield from _mine(account, recharge, worker)
	if mine is None:
		return "lost"
	view, now = mine
	if isinstance(found, Answer):
		# Not asked to the end: what was not shown may hold money.
		return (yield from _release(view, now + backoff(2, found.retry_after)))
	yield from _adopt(view, found, now)
	yield from effects.UpdateRecharge(recharge, {"lease_until": now + LEASE})
	yield from effects.Commit()
	return None


def _adopt(view: RechargeView, found: tuple[Answer, ...], now: datetime) -> Machine[None]:
	"""Write down the payments that the gateway knows and nobody here does, each as an attempt whose fate is asked
	about next. The caller commits."""
	known, taken = {a.intent for a in view.attempts}, {a.number for a in view.attempts}
	for answer in sorted(found, key=lambda a: a.created or 0):
		if answer.intent in known:
			continue
		if wrong := fit.misfits(view.due, answer):
			# None of the attempts that were forgotten.
			if answer.outcome is Outcome.SUCCEEDED:
				yield from _hold(view, answer, wrong)
			continue
		number = _number_of(answer, view.name, taken)
		taken.add(number)
		card = next((c.name for c in view.cards if c.payment_method == answer.payment_method), None)
		yield from effects.InsertAttempt(
			attempt_name(view.name, number),
			view.name,
			number,
			card,
			{
				"status": UNKNOWN,
				"intent": answer.intent,
				"amount": answer.amount,
				"currency": answer.currency,
				"created_at": datetime.fromtimestamp(answer.created, timezone.utc) if answer.created else now,
			},
		)


def _number_of(answer: Answer, recharge: str, taken: set[int]) -> int:
	"""The number under which a payment was asked for, so that no later attempt takes its key."""
	start, _, number = (answer.metadata.get("attempt") or "").rpartition("-")
	if start == recharge and number.isascii() and number.isdigit() and 0 < int(number[:6]) not in taken:
		return int(number[:6])
	return max(taken, default=0) + 1


def _next_number(view: RechargeView) -> int:
	return max((a.number for a in view.attempts), default=0) + 1


def _skip(view: RechargeView, card: Card, reason: str) -> Machine[None]:
	number = _next_number(view)
	yield from effects.InsertAttempt(
		attempt_name(view.name, number), view.name, number, card.name, {"status": SKIPPED, "code": reason}
	)
	if reason == cards.PAST_EXPIRY and card.status == cards.ACTIVE:
		yield from effects.UpdateCard(view.account, card.name, cards.EXPIRED, reason)
	yield from effects.Commit()


def _start(view: RechargeView, card: Card, now: datetime) -> Machine[None]:
	"""Write the attempt down before the gateway hears of it."""
	number = _next_number(view)
	yield from effects.InsertAttempt(
		attempt_name(view.name, number),
		view.name,
		number,
		card.name,
		{"status": CREATED, "amount": view.amount, "currency": view.currency, "created_at": now},
	)
	values: RechargeValues = {"lease_until": now + LEASE}
	if view.status == PROCESSING:
		# What was decided later has been declined: another card's turn.
		values["status"] = CHARGING
	yield from effects.UpdateRecharge(view.name, values)
	yield from effects.Commit()


def _call(view: RechargeView, step: Call) -> Machine[Answer | None]:
	match step:
		case Ask(attempt, card):
			until = attempt.created + REPLAY_WINDOW
			return (
				yield from effects.Charge(
					attempt.name, view.name, card, view.amount, view.currency, until=until
				)
			)
		case LookUp(attempt):
			return (yield from effects.LookUp(attempt.name, view.name, attempt.created, attempt.intent))
		case Close(attempt, intent):
			return (yield from effects.Cancel(intent, f"{attempt.name}-cancel"))
		case ClosePage(_, page):
			return (yield from effects.ClosePage(page))


def _record(
	account: str, recharge: str, worker: str, step: Call, answer: Answer | None
) -> Machine[str | None]:
	"""Write down what the gateway said. Returns a word when the run ends with it.

	A capture is settled whoever holds the lease now; anything else is the lease holder's to write.
	"""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
	if answer is not None and answer.outcome is Outcome.SUCCEEDED:
		yield from effects.UpdateAttempt(step.attempt.name, _answered(step, answer, now) | {"status": PAID})
		word = yield from settle(with_paid(view, step.attempt.name, answer), answer, now)
		yield from effects.Commit()
		return word
	if view is None or view.status not in CLAIMED or view.lease_owner != worker:
		yield from effects.Rollback()
		return "lost"
	if isinstance(step, Close):
		yield from _record_close(view, step, answer, now)
	else:
		yield from _record_ask(view, step, answer, now)
	yield from effects.UpdateRecharge(recharge, {"lease_until": now + LEASE})
	yield from effects.Commit()
	return None


def _record_close(view: RechargeView, step: Close, answer: Answer | None, now: datetime) -> Machine[None]:
	gone = (
		answer is None
		or answer.outcome is Outcome.CANCELLED
		or (answer.outcome is Outcome.ERROR and answer.code == "resource_missing")
	)
	values: AttemptValues = {"intent_open": False, "next_ask_at": None}
	if answer is not None and answer.outcome is Outcome.PENDING:
		# Accepted before it could be closed: it is looked up until it is decided.
		pending = yield from _when_decided(view, step, answer, now)
		values = pending | {"status": PENDING, "intent_open": False}
	elif answer is not None and not gone:
		values = yield from _later(view, step, answer, now)
	yield from effects.UpdateAttempt(step.attempt.name, values)


def _record_ask(view: RechargeView, step: Call, answer: Answer | None, now: datetime) -> Machine[None]:
	attempt = step.attempt
	if answer is None:
		yield from effects.UpdateAttempt(attempt.name, _nothing_there(view, attempt, now))
		return
	values = _answered(step, answer, now)
	match answer.outcome:
		case Outcome.PENDING:
			values |= {"status": PENDING} | (yield from _when_decided(view, step, answer, now))
		case Outcome.UNKNOWN:
			status = UNKNOWN if isinstance(step, Ask) else attempt.status
			values |= {"status": status} | (yield from _later(view, step, answer, now))
		case Outcome.ERROR if not isinstance(step, Ask):
			values |= {"status": attempt.status} | (yield from _later(view, step, answer, now))
		case Outcome.ERROR:
			values |= {"status": REFUSED, "next_ask_at": None}
			if not any(a.status in (ERROR, REFUSED) for a in view.attempts):
				yield from effects.Notify(
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
			if new_status and attempt.card:
				yield from effects.UpdateCard(view.account, attempt.card, new_status, answer.code or "")
		case Outcome.CANCELLED:
			# Somebody closed it at the gateway: this card is not charged again for this recharge.
			values |= {"status": DECLINED, "code": answer.code or "canceled", "next_ask_at": None}
	yield from effects.UpdateAttempt(attempt.name, values)


def _nothing_there(view: RechargeView, attempt: AttemptView, now: datetime) -> AttemptValues:
	"""The gateway has shown every intent and none is this attempt's."""
	if attempt.status == REFUSED:
		return {"status": ERROR, "next_ask_at": now + backoff(len(view.attempts) + 2)}
	return {"status": NEVER_HAPPENED, "next_ask_at": None}


def _answered(step: Call, answer: Answer, now: datetime) -> AttemptValues:
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


def _later(view: RechargeView, step: Call, answer: Answer, now: datetime) -> Machine[AttemptValues]:
	"""Ask again later. Returns what to write on the attempt; tells a person when this has gone on for long."""
	asks = step.attempt.asks
	if asks + 1 == ASKS_BEFORE_TELLING:
		details = {"attempt": step.attempt.name, "code": answer.code, "message": answer.message}
		yield from effects.Notify(GATEWAY_ERROR, view.name, details)
	return {"asks": asks + 1, "next_ask_at": now + backoff(asks, answer.retry_after)}


def _when_decided(view: RechargeView, step: Call, answer: Answer, now: datetime) -> Machine[AttemptValues]:
	"""Look again in a while: nobody is alarmed before it has taken longer than such payments do, and then once."""
	asks, until = step.attempt.asks, now + patience(step.attempt.asks, answer.retry_after)
	if (step.attempt.next_ask_at or now) <= step.attempt.created + PENDING_TOO_LONG < until:
		details = {"attempt": step.attempt.name, "code": answer.code, "message": answer.message}
		yield from effects.Notify(GATEWAY_ERROR, view.name, details)
	return {"asks": asks + 1, "next_ask_at": until}


def _release(view: RechargeView, until: datetime, status: str | None = None) -> Machine[str]:
	values: RechargeValues = {"lease_owner": None, "lease_until": None, "next_try_at": until}
	if status and status != view.status:
		values["status"] = status
	yield from effects.UpdateRecharge(view.name, values)
	yield from effects.Commit()
	return "waiting"


def _give_up(view: RechargeView, status: str, now: datetime) -> Machine[str]:
	values: RechargeValues = {"status": status, "lease_owner": None, "lease_until": None, "ended_at": now}
	if status == ACTION_REQUIRED:
		# Stays the account's open recharge, or the next usage would ask the same card again.
		yield from effects.UpdateRecharge(view.name, values | {"next_try_at": now + ACTION_WINDOW})
		yield from effects.Notify(NEEDS_ACTION, view.name)
	elif status == CANCELLED:
		yield from effects.UpdateRecharge(view.name, values)
		yield from effects.ClearOpenRecharge(view.account, view.name)
	else:
		yield from effects.UpdateRecharge(view.name, values)
		yield from _fail(view)
	yield from effects.Commit()
	return status


def _fail(view: RechargeView) -> Machine[None]:
	errors = sum(a.status == ERROR for a in view.attempts)
	reason = GATEWAY_GAVE_ERRORS if errors >= ERRORS_BEFORE_GIVING_UP else NO_CARD_WORKED
	yield from effects.ClearOpenRecharge(view.account, view.name)
	if view.trigger == AUTOMATIC:
		yield from effects.DisableAutoRecharge(view.account, reason, view.name)
	yield from effects.Notify(ALL_CARDS_FAILED, view.name, {"reason": reason})


def expire_action(account: str, recharge: str) -> Machine[str]:
	"""Fail a recharge whose card holder never came. Returns its status.

	What the card holder began and did not finish is asked about and closed first, by a worker: it may still capture.
	"""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
	if view is None or view.status != ACTION_REQUIRED or not view.next_try_at or view.next_try_at > now:
		yield from effects.Rollback()
		return view.status if view else "missing"
	if _still_open(view) or is_old(view, now):
		yield from effects.UpdateRecharge(recharge, {"status": QUEUED, "next_try_at": None})
		yield from effects.EnqueueAfterCommit(CARRY_OUT, recharge)
		yield from effects.Commit()
		return QUEUED
	yield from effects.UpdateRecharge(recharge, {"status": FAILED, "ended_at": now, "next_try_at": None})
	yield from _fail(view)
	yield from effects.Commit()
	return FAILED


def with_paid(view: RechargeView | None, attempt: str, answer: Answer) -> RechargeView | None:
	"""`view` with `attempt` as the one that brought `answer`, a capture."""
	if view is None:
		return None
	attempts = tuple(
		replace(a, status=PAID, intent=answer.intent, intent_open=False) if a.name == attempt else a
		for a in view.attempts
	)
	return replace(view, attempts=attempts)


def may_call_off(view: RechargeView) -> bool:
	"""Whether the payment only waits: for its turn, no card having been asked, or for its card holder."""
	asked = any(a.status != SKIPPED for a in view.attempts)
	return view.status == ACTION_REQUIRED or (view.status == QUEUED and not asked)


def call_off(account: str, recharge: str) -> Machine[str]:
	"""Cancel a payment that only waits. Returns its status: CANCELLED, or what kept it from being that.

	It blocks nothing from now on; what the card holder could still confirm is closed next, by `close_up`.
	"""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
	if view is None or not may_call_off(view):
		yield from effects.Rollback()
		return view.status if view else "missing"
	yield from end_unpaid(view, CANCELLED, now)
	yield from effects.Commit()
	return CANCELLED


def end_unpaid(view: RechargeView, status: str, now: datetime) -> Machine[None]:
	"""A person ends a recharge as `status`; what could still capture is closed next. The caller commits."""
	is_open = _still_open(view) is not None or is_old(view, now)
	yield from effects.UpdateRecharge(
		view.name,
		{
			"status": status,
			"ended_at": now,
			"lease_owner": None,
			"lease_until": None,
			"next_try_at": now if is_open else None,
		},
	)
	yield from effects.ClearOpenRecharge(view.account, view.name)
	if is_open:
		yield from effects.EnqueueAfterCommit(CLOSE_UP, view.name)


def _still_open(view: RechargeView, paid: Answer | None = None) -> AttemptView | None:
	"""The first attempt that could still capture, as far as anybody here knows; not the one that `paid`."""
	return next(
		(
			a
			for a in view.attempts
			if (a.status in OPEN_ATTEMPT or a.intent_open) and not (paid and a.intent == paid.intent)
		),
		None,
	)


def _is_open(view: RechargeView, attempt: str) -> bool:
	"""Whether the attempt of that name could still capture, as far as anybody here knows."""
	return any(a.name == attempt and (a.status in OPEN_ATTEMPT or a.intent_open) for a in view.attempts)


def close_up(account: str, recharge: str) -> Machine[str]:
	"""Close at the gateway whatever of a recharge that has ended could still capture. Returns a word for the log.

	Nothing is charged here. A capture that was faster counts: it is credited as any other.
	"""
	searched = False
	while True:
		now = yield from effects.Now()
		yield from effects.LockAccount(account)
		view = yield from effects.LockRecharge(recharge)
		if view is None or view.status in NOT_ENDED:
			yield from effects.Rollback()
			return view.status if view else "missing"
		attempt = _still_open(view)
		if attempt is None and not searched and (since := _searched_from(view, now)):
			yield from effects.Commit()
			found = yield from effects.Search(recharge, since)
			if (yield from _searched_to_close(account, recharge, found)):
				return "waiting"
			searched = True
			continue
		if attempt is None:
			yield from effects.UpdateRecharge(recharge, {"next_try_at": None})
			yield from effects.Commit()
			return "closed"
		step = _closing(attempt, now)
		if isinstance(step, Wait):
			yield from effects.UpdateRecharge(recharge, {"next_try_at": step.until})
			yield from effects.Commit()
			return "waiting"
		yield from effects.Commit()
		answer = yield from _call(view, step)
		ended = yield from _record_closing(account, recharge, step, answer)
		if ended:
			return ended


def _closing(attempt: AttemptView, now: datetime) -> Call | Wait:
	"""How an attempt that could still capture is closed: what was asked has to be found first."""
	if attempt.status not in OPEN_ATTEMPT and attempt.intent:
		return _wait_or(Close(attempt, attempt.intent), now)
	return _wait_or(ClosePage(attempt, attempt.page) if attempt.page else LookUp(attempt), now)


def _searched_to_close(account: str, recharge: str, found: tuple[Answer, ...] | Answer) -> Machine[bool]:
	"""Write down what a search found. Returns whether it has to be made again later."""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
	if isinstance(found, Answer):
		yield from effects.UpdateRecharge(recharge, {"next_try_at": now + backoff(2, found.retry_after)})
	elif view is not None:
		yield from _adopt(view, found, now)
	yield from effects.Commit()
	return isinstance(found, Answer)


def _record_closing(account: str, recharge: str, step: Call, answer: Answer | None) -> Machine[str | None]:
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
	if answer is not None and answer.outcome is Outcome.SUCCEEDED:
		yield from effects.UpdateAttempt(step.attempt.name, _answered(step, answer, now) | {"status": PAID})
		word = yield from settle(with_paid(view, step.attempt.name, answer), answer, now)
		yield from effects.Commit()
		return word
	if view is None or view.status in NOT_ENDED or not _is_open(view, step.attempt.name):
		# Meanwhile it goes on, or somebody else has heard what became of the attempt.
		yield from effects.Rollback()
		return "lost"
	if isinstance(step, Close):
		yield from _record_close(view, step, answer, now)
	else:
		yield from _record_ask(view, step, answer, now)
	yield from effects.Commit()
	return None


def settle(view: RechargeView | None, answer: Answer, now: datetime) -> Machine[str]:
	"""Credit a captured payment, once, if it fits; the caller holds both locks and commits. Returns a word.

	For worker, webhook, page and sweeper alike. A second capture for the same recharge is money without a
	purpose: it is written down to be refunded. One that does not fit is held.
	"""
	if not answer.intent:
		raise ValueError("a capture without an intent cannot be told from another")
	if view is None:
		return "no owner"
	if view.settled_intent == answer.intent:
		return "already settled"
	if wrong := fit.misfits(view.due, answer):
		yield from _hold(view, answer, wrong)
		return HELD
	if view.settled_intent or view.status not in UNPAID:
		yield from effects.RefundDuplicate(view.name, answer)
		return "duplicate"
	is_open = _still_open(view, answer) is not None
	yield from effects.ClearOpenRecharge(view.account, view.name)
	yield from effects.UpdateRecharge(
		view.name,
		{
			"status": SUCCEEDED,
			"settled_intent": answer.intent,
			"charge": answer.charge,
			"captured_amount": answer.amount,
			"captured_currency": answer.currency,
			"gateway_customer": answer.customer,
			"risk_level": answer.risk_level,
			"settled_at": now,
			"ended_at": now,
			"lease_owner": None,
			"lease_until": None,
			"next_try_at": now if is_open else None,
		},
	)
	if is_open:
		yield from effects.EnqueueAfterCommit(CLOSE_UP, view.name)
	# It fits, so the amount is what was captured. Last, for the ledger row's own hook looks at the threshold again.
	yield from effects.PostCredits(view.account, view.name, answer.intent, view.amount)
	yield from effects.EnqueueAfterCommit(ACCOUNT_FOR, view.name)
	return SUCCEEDED


def _difference(view: RechargeView, answer: Answer, wrong: tuple[fit.Misfit, ...]) -> effects.NoteDifference:
	return effects.NoteDifference(
		DOES_NOT_FIT, answer.intent or "", view.name, answer.intent, answer.amount, answer.currency, wrong
	)


def _hold(view: RechargeView, answer: Answer, wrong: tuple[fit.Misfit, ...]) -> Machine[None]:
	"""Credit nothing. A recharge whose own payment it is waits for a person: no other card may be charged while
	money has been taken for it. A payment that only names the recharge does not stop it."""
	yield from _difference(view, answer, wrong)
	own = any(answer.intent == a.intent or answer.metadata.get("attempt") == a.name for a in view.attempts)
	if own and view.status in (*WORKABLE, ACTION_REQUIRED):
		yield from effects.UpdateRecharge(
			view.name, {"status": HELD, "lease_owner": None, "lease_until": None, "next_try_at": None}
		)


# -- what a sweeper finds to do --------------------------------------------------------------------------------


def due_job(row: rows.Recharge, now: datetime) -> Job | None:
	"""The work that a recharge waits for at `now`, with nobody at it; None when there is none."""
	if row.next_try_at and row.next_try_at > now:
		return None
	if row.status in WORKABLE:
		return None if row.lease_until and row.lease_until > now else CARRY_OUT
	if row.status not in NOT_ENDED and row.next_try_at:
		return CLOSE_UP
	return None


def action_is_over(row: rows.Recharge, now: datetime) -> bool:
	"""Whether the card holder of a recharge has had the time, and did not come."""
	return row.status == ACTION_REQUIRED and row.next_try_at is not None and row.next_try_at <= now
