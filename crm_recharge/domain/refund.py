"""Refunds, without I/O: set the credits aside → ask the gateway → write the answer; or hear of one made there.

As the payment machine (payment.py): generators of effects, nothing kept between two commits, the gateway
asked between transactions only, under a key that is the refund's name. A time-out is no refusal: the same key
is asked again; once the gateway may have forgotten the key, the payment's refunds are read first.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Final

from crm_recharge.domain import effects, fit
from crm_recharge.domain.answers import RefundAnswer, RefundOutcome
from crm_recharge.domain.effects import Job, Machine, RefundValues
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import payable, payable_at_most, plain
from crm_recharge.domain.payment import ASKS_BEFORE_TELLING, LEASE, REPLAY_WINDOW, backoff
from crm_recharge.domain.takeback import (
	ACCOUNT_FOR_REFUND,
	ASKED,
	CHARGED_BACK,
	DISPUTED,
	DUPLICATE,
	FAILED,
	FROM_GATEWAY,
	HELD,
	NOT_NEEDED,
	OPEN_REFUND,
	ORPHAN,
	PENDING,
	REQUESTED,
	SUCCEEDED,
	PaymentView,
	RefundView,
	level,
	update_recharge,
)

CARRY_OUT = Job.REFUND
CHECK_PENDING = timedelta(hours=6)
"""A refund the gateway works on is looked at this often, should its webhook be lost."""

# Notices.
REFUND_DONE: Final = "refund_done"
REFUND_FAILED: Final = "refund_failed"
REFUND_CAME_BACK: Final = "refund_came_back"
REFUND_UNDECIDED: Final = "refund_undecided"
REFUNDED_AT_GATEWAY: Final = "refunded_at_gateway"

DOES_NOT_FIT = "refund_does_not_fit"
"""Kind of a Gateway Difference: a refund in another currency, or of more than was paid. No credits are moved for it."""


class Step(Enum):
	"""What the gateway is asked about a refund."""

	ASK = "ask"
	"""To send the money back, under the refund's name as key."""
	LOOK_UP = "look_up"
	"""Whether it has one that was asked for under that key."""
	CHECK = "check"
	"""What became of the one it has."""


# -- asking for one ------------------------------------------------------------------------------------------


def request(
	account: str, recharge: str, refund: str, amount: Decimal | None, request_key: str, details: RefundValues
) -> Machine[str]:
	"""Set credits aside for a new refund, named `refund`. Returns the name of the refund that stands for
	`request_key`: this one, or the one it asked for before.

	`amount` in the recharge's currency; None is all that is unused. `details` are written with the row.
	Raises InvalidRequest, see `refundable`.
	"""
	yield from effects.LockAccount(account)
	paid = yield from effects.LockPayment(recharge)
	known = yield from effects.FindRefund(request_key)
	if known:
		yield from effects.Rollback()
		return known
	amount = refundable(paid, recharge, amount)
	assert paid is not None and paid.intent is not None
	view = RefundView(
		name=refund,
		kind=REQUESTED,
		status=HELD,
		amount=amount,
		currency=paid.currency,
		intent=paid.intent,
		account=account,
		recharge=recharge,
	)
	yield from _insert(view, details | {"request_key": request_key})
	yield from level(paid.with_refund(view))
	yield from effects.EnqueueAfterCommit(CARRY_OUT, refund)
	yield from effects.Commit()
	return refund


def refundable(paid: PaymentView | None, recharge: str, amount: Decimal | None) -> Decimal:
	"""How much is refunded: `amount`, or all that is unused of what the payment bought, in whole coins.

	Raises InvalidRequest: not_paid, recharge_disputed, nothing_to_refund, refund_too_fine, more_than_unused.
	"""
	if paid is None or not paid.intent or not paid.lot:
		raise InvalidRequest("not_paid", recharge=recharge, status=paid.status if paid else "missing")
	if paid.status in (DISPUTED, CHARGED_BACK):
		raise InvalidRequest("recharge_disputed", recharge=recharge)
	left = payable_at_most(paid.unused, paid.currency)
	figures = {"recharge": recharge, "unused": plain(left), "currency": paid.currency}
	if left <= 0:
		raise InvalidRequest("nothing_to_refund", **figures)
	if amount is None:
		return left
	if payable(amount, paid.currency) != amount:
		raise InvalidRequest("refund_too_fine", **figures, amount=plain(amount))
	if amount > left:
		raise InvalidRequest("more_than_unused", **figures, amount=plain(amount))
	return amount


def _insert(view: RefundView, details: RefundValues) -> effects.InsertRefund:
	values: RefundValues = {
		"kind": view.kind,
		"status": view.status,
		"amount": view.amount,
		"currency": view.currency,
		"intent": view.intent,
		"account": view.account,
		"recharge": view.recharge,
		"gateway_refund": view.gateway_refund,
	}
	return effects.InsertRefund(view.name, values | details)


# -- carrying it out -----------------------------------------------------------------------------------------


def next_step(refund: RefundView, now: datetime) -> Step:
	"""What the gateway is asked about `refund` at `now`."""
	if refund.gateway_refund:
		return Step.CHECK
	if refund.asked_at and now - refund.asked_at > REPLAY_WINDOW:
		return Step.LOOK_UP
	return Step.ASK


def carry_out(account: str | None, recharge: str | None, refund: str, worker: str) -> Machine[str]:
	"""Ask the gateway for `refund` until it has answered or must be asked later. Returns a word for the log.

	`worker` names this run and no other: it is what the lease is held by.
	"""
	view = yield from _claim(account, refund, worker)
	if isinstance(view, str):
		return view
	now = yield from effects.Now()
	step, refusal = next_step(view, now), None
	while True:
		answer = yield from _call(view, step)
		if step is Step.ASK and answer is not None and answer.outcome is RefundOutcome.REFUSED:
			# It proves nothing about an earlier ask under this key: the payment's refunds do.
			step, refusal = Step.LOOK_UP, answer
			if not (yield from _still_mine(account, refund, worker)):
				return "lost"
			continue
		if step is Step.LOOK_UP and answer is None and refusal is None:
			# Never happened, and the key is too old to be remembered: it may be asked as if it were new.
			step, now = Step.ASK, (yield from effects.Now())
			if not (yield from _still_mine(account, refund, worker, asked_at=now)):
				return "lost"
			view = replace(view, asked_at=now)
			continue
		if answer is None and refusal is not None:
			answer = replace(refusal, outcome=_refused(view, refusal))
		assert answer is not None
		return (yield from _record(account, recharge, refund, worker, answer))


NEVER = ("charge_already_refunded", "charge_disputed", "charge_not_refundable", "resource_missing")
"""Refusals that asking again will not change: the money is gone already, the bank decides about it, or the gateway
does not have the payment (made under keys of the other mode, or of another gateway account)."""


def _refused(view: RefundView, refusal: RefundAnswer) -> RefundOutcome:
	"""What a proven refusal means. A refund that somebody asked for ends with it, and its credits come back; a
	capture that bought nothing must go back all the same, so it is asked for again once the fault is mended."""
	if view.kind in (DUPLICATE, ORPHAN) and refusal.code not in NEVER:
		return RefundOutcome.UNKNOWN
	return RefundOutcome.FAILED


def _claim(account: str | None, refund: str, worker: str) -> Machine[RefundView | str]:
	"""Take the lease. Returns the refund, or a word that says why not."""
	now = yield from effects.Now()
	view = yield from _lock(account, refund)
	why_not = _why_not(view, now, worker)
	if view is None or why_not:
		yield from effects.Rollback()
		return why_not or "missing"
	view = replace(
		view,
		status=ASKED,
		asked_at=view.asked_at or now,
		next_ask_at=None,
		lease_owner=worker,
		lease_until=now + LEASE,
	)
	yield from effects.UpdateRefund(
		refund,
		{
			"status": view.status,
			"asked_at": view.asked_at,
			"next_ask_at": view.next_ask_at,
			"lease_owner": view.lease_owner,
			"lease_until": view.lease_until,
		},
	)
	yield from effects.Commit()
	return view


def _why_not(view: RefundView | None, now: datetime, worker: str) -> str | None:
	"""Why nothing may be done about a refund now; None when it may."""
	if view is None:
		return "missing"
	if view.status not in OPEN_REFUND:
		return view.status
	if view.lease_until and view.lease_until > now and view.lease_owner != worker:
		return "leased"
	if view.next_ask_at and view.next_ask_at > now:
		return "not yet"
	return None


def _still_mine(
	account: str | None, refund: str, worker: str, asked_at: datetime | None = None
) -> Machine[bool]:
	"""Extend the lease before asking once more, at `asked_at` as if it were new. Whether it was still this run's."""
	now = yield from effects.Now()
	view = yield from _lock(account, refund)
	if view is None or view.status != ASKED or view.lease_owner != worker or view.gateway_refund:
		yield from effects.Rollback()
		return False
	values: RefundValues = {"lease_until": now + LEASE}
	if asked_at:
		values["asked_at"] = asked_at
	yield from effects.UpdateRefund(refund, values)
	yield from effects.Commit()
	return True


def _lock(account: str | None, refund: str) -> Machine[RefundView | None]:
	if account:
		yield from effects.LockAccount(account)
	return (yield from effects.LockRefund(refund))


def _call(refund: RefundView, step: Step) -> Machine[RefundAnswer | None]:
	match step:
		case Step.ASK:
			until = refund.asked_at + REPLAY_WINDOW if refund.asked_at else None
			return (
				yield from effects.AskRefund(
					refund.name, refund.intent, refund.amount, refund.currency, refund.kind, until=until
				)
			)
		case Step.LOOK_UP:
			return (yield from effects.LookUpRefund(refund.name, refund.intent))
		case Step.CHECK:
			return (yield from effects.CheckRefund(refund.gateway_refund or ""))


def _record(
	account: str | None, recharge: str | None, refund: str, worker: str, answer: RefundAnswer
) -> Machine[str]:
	"""Write down what the gateway said. Its facts are true whoever holds the lease; the rest is the holder's."""
	now = yield from effects.Now()
	view = yield from _lock(account, refund)
	if view is None:
		yield from effects.Rollback()
		return "missing"
	if answer.outcome in STATUS and answer.refund:
		if not fit.is_the_refund(view.amount, view.currency, answer):
			return (yield from _not_this_one(recharge, view, answer, now))
		return (yield from _take_over(recharge, view, answer, now))
	if view.status != ASKED or view.lease_owner != worker:
		yield from effects.Rollback()
		return "lost"
	if answer.outcome is RefundOutcome.FAILED:
		return (yield from _take_over(recharge, view, answer, now))
	# Unknown; or the question itself was refused, which proves nothing either.
	asks = view.asks + 1
	# The gateway had it once. A person has been told; asking each quarter of an hour would help nobody.
	is_gone = answer.outcome is RefundOutcome.REFUSED and view.gateway_refund
	if asks == ASKS_BEFORE_TELLING or (asks == 1 and answer.outcome is RefundOutcome.REFUSED):
		yield from effects.Notify(
			REFUND_UNDECIDED, view.recharge or "", {"refund": refund, "code": answer.code}
		)
	yield from effects.UpdateRefund(
		refund,
		{
			"asks": asks,
			"code": answer.code,
			"message": answer.message,
			"next_ask_at": now + (CHECK_PENDING if is_gone else backoff(view.asks, answer.retry_after)),
			"lease_owner": None,
			"lease_until": None,
		},
	)
	yield from effects.Commit()
	return "waiting"


def _not_this_one(
	recharge: str | None, view: RefundView, answer: RefundAnswer, now: datetime
) -> Machine[str]:
	"""What the gateway has under this refund's key is other money: a person has to look, and nothing is moved."""
	wrong = fit.claim_misfits(fit.Due(recharge or "", (), view.currency, view.amount), answer)
	wrong = wrong or (
		fit.Misfit(
			fit.AMOUNT, plain(view.amount), plain(answer.amount) if answer.amount is not None else "–"
		),
	)
	yield from _difference(recharge, answer, wrong)
	yield from effects.UpdateRefund(
		view.name, {"next_ask_at": now + CHECK_PENDING, "lease_owner": None, "lease_until": None}
	)
	yield from effects.Commit()
	return DOES_NOT_FIT


# -- hearing of one ------------------------------------------------------------------------------------------


def hear(account: str | None, recharge: str | None, answer: RefundAnswer, name: str | None) -> Machine[str]:
	"""Bring a refund in line with what the gateway has of it now. Returns a word.

	`name` is that of the row here that the answer is taken to be about, if there is one. What no row here has
	asked for was made at the gateway itself, and gets a row under its own id.
	"""
	now = yield from effects.Now()
	if account:
		yield from effects.LockAccount(account)
	view = (yield from effects.LockRefund(name)) if name else None
	if view is not None and not _is_about(view, answer):
		view = None
	if view is None and answer.refund:
		view = yield from effects.LockRefund(answer.refund)
	is_new = view is None
	if view is None and recharge is not None:
		if wrong := (yield from _misfits(recharge, answer)):
			yield from _difference(recharge, answer, wrong)
			yield from effects.Commit()
			return DOES_NOT_FIT
		view = yield from _made_at_gateway(account, recharge, answer)
	if view is None or answer.outcome not in STATUS:
		yield from effects.Rollback()
		return "nothing to do"
	return (yield from _take_over(recharge, view, answer, now, is_new))


def named_by(answer: RefundAnswer, refunds: Iterable[RefundView]) -> str | None:
	"""Which of the payment's `refunds` here the gateway's is taken to be: the one that asked for it, or is known to be
	it, or that waits for just this money back (made in the dashboard, for a capture whose refund is written down)."""
	known = [r for r in refunds if r.intent == answer.intent]
	asked = answer.metadata.get("refund") or answer.metadata.get("attempt")
	matches: tuple[Callable[[RefundView], bool], ...] = (
		lambda r: r.name == asked,
		lambda r: r.gateway_refund == answer.refund,
		lambda r: r.kind in (DUPLICATE, ORPHAN) and not r.gateway_refund and r.amount == answer.amount,
	)
	return next((r.name for match in matches for r in known if match(r)), None)


def _is_about(refund: RefundView, answer: RefundAnswer) -> bool:
	"""Whether the row that `answer` names is the one: of the same money, and not another refund's already."""
	return refund.gateway_refund in (None, answer.refund) and fit.is_the_refund(
		refund.amount, refund.currency, answer
	)


def _misfits(recharge: str, answer: RefundAnswer) -> Machine[tuple[fit.Misfit, ...]]:
	"""What does not agree between a refund made at the gateway and the payment it was made of."""
	paid = yield from effects.LockPayment(recharge)
	if paid is None or answer.intent != paid.intent:
		return ()
	return fit.claim_misfits(paid.due, answer)


def _difference(
	recharge: str | None, answer: RefundAnswer, wrong: tuple[fit.Misfit, ...]
) -> effects.NoteDifference:
	return effects.NoteDifference(
		DOES_NOT_FIT, answer.refund or "", recharge, answer.intent, answer.amount, answer.currency, wrong
	)


def _made_at_gateway(account: str | None, recharge: str, answer: RefundAnswer) -> Machine[RefundView | None]:
	if answer.outcome not in (RefundOutcome.SUCCEEDED, RefundOutcome.PENDING):
		return None
	assert answer.refund and answer.intent and answer.currency and answer.amount is not None
	view = RefundView(
		name=answer.refund,
		kind=FROM_GATEWAY,
		status=ASKED,
		amount=answer.amount,
		currency=answer.currency,
		intent=answer.intent,
		account=account,
		recharge=recharge,
		gateway_refund=answer.refund,
	)
	yield from _insert(view, {"reason": answer.reason})
	return view


STATUS = {
	RefundOutcome.PENDING: ASKED,
	RefundOutcome.SUCCEEDED: SUCCEEDED,
	RefundOutcome.FAILED: FAILED,
}
_ORDER = (ASKED, SUCCEEDED, FAILED)


def is_outdated(refund: RefundView, status: str) -> bool:
	"""Whether `status` was true before what is known: at the gateway a refund goes from pending to succeeded
	to failed (https://docs.stripe.com/refunds#failed-refunds), never back."""
	known_there = refund.gateway_refund and refund.status in _ORDER
	return bool(known_there) and _ORDER.index(status) < _ORDER.index(refund.status)


def _take_over(
	recharge: str | None, view: RefundView, answer: RefundAnswer, now: datetime, is_new: bool = False
) -> Machine[str]:
	"""Make `answer` the refund's state: status, credits, recharge, accounting. Commits. Returns the status."""
	status = STATUS[answer.outcome]
	known = (
		not is_new
		and view.gateway_refund is not None
		and (view.gateway_refund, view.status) == (answer.refund, status)
	)
	if known or (not is_new and is_outdated(view, status)):
		yield from _let_go(view, now)
		return "known"
	paid = (yield from effects.LockPayment(recharge)) if recharge else None
	before, view = view, replace(view, status=status, gateway_refund=answer.refund or view.gateway_refund)
	yield from effects.UpdateRefund(view.name, _answered(paid, before, view, answer, now))
	if paid is not None:
		paid = yield from level(paid.with_refund(view))
		yield from update_recharge(paid)
	yield from _tell(before, view, answer, is_new)
	if _to_book(paid, before, view):
		yield from effects.EnqueueAfterCommit(ACCOUNT_FOR_REFUND, view.name)
	yield from effects.Commit()
	return status


def _tell(before: RefundView, view: RefundView, answer: RefundAnswer, is_new: bool) -> Machine[None]:
	details = {"refund": view.name, "code": answer.code, "message": answer.message}
	if view.status == FAILED:
		yield from effects.Notify(REFUND_FAILED, view.recharge or "", details)
		if before.status == SUCCEEDED and view.kind in (REQUESTED, FROM_GATEWAY):
			yield from effects.Notify(REFUND_CAME_BACK, view.recharge or "", details)
	elif is_new:
		yield from effects.Notify(REFUNDED_AT_GATEWAY, view.recharge or "", details)
	elif view.status == SUCCEEDED and view.kind == REQUESTED:
		yield from effects.Notify(REFUND_DONE, view.recharge or "", details)


def _let_go(view: RefundView, now: datetime) -> Machine[None]:
	"""Nothing new; whoever waited for it need not wait on."""
	if view.status == ASKED and view.gateway_refund:
		yield from effects.UpdateRefund(
			view.name, {"next_ask_at": now + CHECK_PENDING, "lease_owner": None, "lease_until": None}
		)
		yield from effects.Commit()
	else:
		yield from effects.Rollback()


def _answered(
	paid: PaymentView | None, before: RefundView, view: RefundView, answer: RefundAnswer, now: datetime
) -> RefundValues:
	values: RefundValues = {
		"status": view.status,
		"gateway_refund": view.gateway_refund,
		"charge": answer.charge,
		"code": answer.code,
		"message": answer.message,
		"asks": before.asks + 1,
		"ended_at": None if view.status == ASKED else now,
		"next_ask_at": now + CHECK_PENDING if view.status == ASKED else None,
		"lease_owner": None,
		"lease_until": None,
	}
	if view.status == SUCCEEDED or before.status == SUCCEEDED:
		values |= {
			"accounting_status": PENDING if _to_book(paid, before, view) else NOT_NEEDED,
			"accounting_next_try_at": None,
		}
	return values


def _to_book(paid: PaymentView | None, before: RefundView, view: RefundView) -> bool:
	"""A capture that bought nothing was never invoiced: it and its refund cancel out."""
	if paid is None or view.intent != paid.intent or view.kind in (DUPLICATE, ORPHAN):
		return False
	return SUCCEEDED in (view.status, before.status)


def is_due(refund: RefundView, now: datetime) -> bool:
	"""Whether a refund waits to be carried out at `now`, with nobody at it."""
	if refund.status not in OPEN_REFUND or (refund.next_ask_at and refund.next_ask_at > now):
		return False
	return not (refund.lease_until and refund.lease_until > now)
