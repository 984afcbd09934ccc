"""Refunds, without I/O: set the credits aside → ask the gateway → write the answer; or hear of one made there.

As the payment machine (payment.py): generators of effects, nothing kept between two commits, the gateway
asked between transactions only, under a key that is the refund's name. A time-out is no refusal: the same key
is asked again; once the gateway may have forgotten the key, the payment's refunds are read first.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from crm_recharge.domain import effects, fit
from crm_recharge.domain.answers import RefundAnswer, RefundOutcome
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
	Machine,
	PaymentView,
	RefundView,
	level,
	update_recharge,
)

CARRY_OUT = "refund"
CHECK_PENDING = timedelta(hours=6)
"""A refund the gateway works on is looked at this often, should its webhook be lost."""

# Notices.
REFUND_DONE, REFUND_FAILED, REFUND_CAME_BACK = "refund_done", "refund_failed", "refund_came_back"
REFUND_UNDECIDED, REFUNDED_AT_GATEWAY = "refund_undecided", "refunded_at_gateway"

DOES_NOT_FIT = "refund_does_not_fit"
"""Kind of a Gateway Difference: a refund in another currency, or of more than was paid. No credits are moved for it."""

# What the gateway is asked.
ASK, LOOK_UP, CHECK = "ask", "look_up", "check"


# -- asking for one ------------------------------------------------------------------------------------------


def request(
	account: str, recharge: str, refund: str, amount: Decimal | None, request_key: str, details: dict
) -> Machine:
	"""Set credits aside for a new refund, named `refund`. Returns the name of the refund that stands for
	`request_key`: this one, or the one it asked for before.

	`amount` in the recharge's currency; None is all that is unused. `details` are written with the row.
	Raises InvalidRequest, see `refundable`.
	"""
	yield effects.LockAccount(account)
	paid = yield effects.LockPayment(recharge)
	known = yield effects.FindRefund(request_key)
	if known:
		yield effects.Rollback()
		return known
	view = RefundView(
		name=refund,
		kind=REQUESTED,
		status=HELD,
		amount=refundable(paid, recharge, amount),
		currency=paid.currency,
		intent=paid.intent,
		account=account,
		recharge=recharge,
	)
	yield _insert(view, details | {"request_key": request_key})
	yield from level(paid.with_refund(view))
	yield effects.EnqueueAfterCommit(CARRY_OUT, refund)
	yield effects.Commit()
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


def _insert(view: RefundView, details: dict) -> effects.InsertRefund:
	fields = ("kind", "status", "amount", "currency", "intent", "account", "recharge", "gateway_refund")
	return effects.InsertRefund(view.name, {f: getattr(view, f) for f in fields} | details)


# -- carrying it out -----------------------------------------------------------------------------------------


def next_step(refund: RefundView, now: datetime) -> str:
	"""What the gateway is asked about `refund` at `now`."""
	if refund.gateway_refund:
		return CHECK
	if refund.asked_at and now - refund.asked_at > REPLAY_WINDOW:
		return LOOK_UP
	return ASK


def carry_out(account: str | None, recharge: str | None, refund: str, worker: str) -> Machine:
	"""Ask the gateway for `refund` until it has answered or must be asked later. Returns a word for the log.

	`worker` names this run and no other: it is what the lease is held by.
	"""
	view, why_not = yield from _claim(account, refund, worker)
	if why_not:
		return why_not
	now = yield effects.Now()
	step, refusal = next_step(view, now), None
	while True:
		answer = yield _call(view, step)
		if step == ASK and answer.outcome is RefundOutcome.REFUSED:
			# It proves nothing about an earlier ask under this key: the payment's refunds do.
			step, refusal = LOOK_UP, answer
			if not (yield from _still_mine(account, refund, worker)):
				return "lost"
			continue
		if step == LOOK_UP and answer is None and refusal is None:
			# Never happened, and the key is too old to be remembered: it may be asked as if it were new.
			step, now = ASK, (yield effects.Now())
			if not (yield from _still_mine(account, refund, worker, asked_at=now)):
				return "lost"
			view = replace(view, asked_at=now)
			continue
		if answer is None:
			answer = replace(refusal, outcome=_refused(view, refusal))
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


def _claim(account: str | None, refund: str, worker: str) -> Machine:
	"""Take the lease. Returns the refund and why not, one of them None."""
	now = yield effects.Now()
	view = yield from _lock(account, refund)
	why_not = None
	if view is None:
		why_not = "missing"
	elif view.status not in OPEN_REFUND:
		why_not = view.status
	elif view.lease_until and view.lease_until > now and view.lease_owner != worker:
		why_not = "leased"
	elif view.next_ask_at and view.next_ask_at > now:
		why_not = "not yet"
	if why_not:
		yield effects.Rollback()
		return None, why_not
	values = {
		"status": ASKED,
		"asked_at": view.asked_at or now,
		"next_ask_at": None,
		"lease_owner": worker,
		"lease_until": now + LEASE,
	}
	yield effects.UpdateRefund(refund, values)
	yield effects.Commit()
	return replace(view, **values), None


def _still_mine(account: str | None, refund: str, worker: str, asked_at: datetime | None = None) -> Machine:
	"""Extend the lease before asking once more, at `asked_at` as if it were new. Whether it was still this run's."""
	now = yield effects.Now()
	view = yield from _lock(account, refund)
	if view is None or view.status != ASKED or view.lease_owner != worker or view.gateway_refund:
		yield effects.Rollback()
		return False
	values = {"lease_until": now + LEASE} | ({"asked_at": asked_at} if asked_at else {})
	yield effects.UpdateRefund(refund, values)
	yield effects.Commit()
	return True


def _lock(account: str | None, refund: str) -> Machine:
	if account:
		yield effects.LockAccount(account)
	return (yield effects.LockRefund(refund))


def _call(refund: RefundView, step: str):
	match step:
		case "ask":
			return effects.AskRefund(
				refund.name,
				refund.intent,
				refund.amount,
				refund.currency,
				refund.kind,
				until=refund.asked_at + REPLAY_WINDOW,
			)
		case "look_up":
			return effects.LookUpRefund(refund.name, refund.intent)
		case "check":
			return effects.CheckRefund(refund.gateway_refund)
	raise AssertionError(step)


def _record(
	account: str | None, recharge: str | None, refund: str, worker: str, answer: RefundAnswer
) -> Machine:
	"""Write down what the gateway said. Its facts are true whoever holds the lease; the rest is the holder's."""
	now = yield effects.Now()
	view = yield from _lock(account, refund)
	if view is None:
		yield effects.Rollback()
		return "missing"
	if answer.outcome in STATUS and answer.refund:
		if not fit.is_the_refund(view.amount, view.currency, answer):
			return (yield from _not_this_one(recharge, view, answer, now))
		return (yield from _take_over(recharge, view, answer, now))
	if view.status != ASKED or view.lease_owner != worker:
		yield effects.Rollback()
		return "lost"
	if answer.outcome is RefundOutcome.FAILED:
		return (yield from _take_over(recharge, view, answer, now))
	# Unknown; or the question itself was refused, which proves nothing either.
	asks = view.asks + 1
	# The gateway had it once. A person has been told; asking each quarter of an hour would help nobody.
	is_gone = answer.outcome is RefundOutcome.REFUSED and view.gateway_refund
	if asks == ASKS_BEFORE_TELLING or (asks == 1 and answer.outcome is RefundOutcome.REFUSED):
		yield effects.Notify(REFUND_UNDECIDED, view.recharge or "", {"refund": refund, "code": answer.code})
	yield effects.UpdateRefund(
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
	yield effects.Commit()
	return "waiting"


def _not_this_one(recharge: str | None, view: RefundView, answer: RefundAnswer, now: datetime) -> Machine:
	"""What the gateway has under this refund's key is other money: a person has to look, and nothing is moved."""
	wrong = fit.claim_misfits(fit.Due(recharge or "", (), view.currency, view.amount), answer)
	wrong = wrong or (fit.Misfit(fit.AMOUNT, plain(view.amount), plain(answer.amount)),)
	yield _difference(recharge, answer, wrong)
	yield effects.UpdateRefund(
		view.name, {"next_ask_at": now + CHECK_PENDING, "lease_owner": None, "lease_until": None}
	)
	yield effects.Commit()
	return DOES_NOT_FIT


# -- hearing of one ------------------------------------------------------------------------------------------


def hear(account: str | None, recharge: str | None, answer: RefundAnswer, name: str | None) -> Machine:
	"""Bring a refund in line with what the gateway has of it now. Returns a word.

	`name` is that of the row here that the answer is taken to be about, if there is one. What no row here has
	asked for was made at the gateway itself, and gets a row under its own id.
	"""
	now = yield effects.Now()
	if account:
		yield effects.LockAccount(account)
	view = (yield effects.LockRefund(name)) if name else None
	if view is not None and not _is_about(view, answer):
		view = None
	if view is None:
		view = yield effects.LockRefund(answer.refund)
	is_new = view is None and recharge is not None
	if is_new:
		if wrong := (yield from _misfits(recharge, answer)):
			yield _difference(recharge, answer, wrong)
			yield effects.Commit()
			return DOES_NOT_FIT
		view = yield from _made_at_gateway(account, recharge, answer)
	if view is None or answer.outcome not in STATUS:
		yield effects.Rollback()
		return "nothing to do"
	return (yield from _take_over(recharge, view, answer, now, is_new))


def _is_about(refund: RefundView, answer: RefundAnswer) -> bool:
	"""Whether the row that `answer` names is the one: of the same money, and not another refund's already."""
	return refund.gateway_refund in (None, answer.refund) and fit.is_the_refund(
		refund.amount, refund.currency, answer
	)


def _misfits(recharge: str, answer: RefundAnswer) -> Machine:
	"""What does not agree between a refund made at the gateway and the payment it was made of."""
	paid = yield effects.LockPayment(recharge)
	if paid is None or answer.intent != paid.intent:
		return ()
	return fit.claim_misfits(paid.due, answer)


def _difference(recharge: str | None, answer: RefundAnswer, wrong) -> effects.NoteDifference:
	return effects.NoteDifference(
		DOES_NOT_FIT, answer.refund, recharge, answer.intent, answer.amount, answer.currency, wrong
	)


def _made_at_gateway(account: str, recharge: str, answer: RefundAnswer) -> Machine:
	if answer.outcome not in (RefundOutcome.SUCCEEDED, RefundOutcome.PENDING):
		return None
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
	yield _insert(view, {"reason": answer.reason})
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
) -> Machine:
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
	paid = (yield effects.LockPayment(recharge)) if recharge else None
	before, view = view, replace(view, status=status, gateway_refund=answer.refund or view.gateway_refund)
	yield effects.UpdateRefund(view.name, _answered(paid, before, view, answer, now))
	if paid is not None:
		paid = yield from level(paid.with_refund(view))
		yield from update_recharge(paid)
	yield from _tell(before, view, answer, is_new)
	if _to_book(paid, before, view):
		yield effects.EnqueueAfterCommit(ACCOUNT_FOR_REFUND, view.name)
	yield effects.Commit()
	return status


def _tell(before: RefundView, view: RefundView, answer: RefundAnswer, is_new: bool) -> Machine:
	details = {"refund": view.name, "code": answer.code, "message": answer.message}
	if view.status == FAILED:
		yield effects.Notify(REFUND_FAILED, view.recharge or "", details)
		if before.status == SUCCEEDED and view.kind in (REQUESTED, FROM_GATEWAY):
			yield effects.Notify(REFUND_CAME_BACK, view.recharge, details)
	elif is_new:
		yield effects.Notify(REFUNDED_AT_GATEWAY, view.recharge, details)
	elif view.status == SUCCEEDED and view.kind == REQUESTED:
		yield effects.Notify(REFUND_DONE, view.recharge, details)


def _let_go(view: RefundView, now: datetime) -> Machine:
	"""Nothing new; whoever waited for it need not wait on."""
	if view.status == ASKED and view.gateway_refund:
		yield effects.UpdateRefund(
			view.name, {"next_ask_at": now + CHECK_PENDING, "lease_owner": None, "lease_until": None}
		)
		yield effects.Commit()
	else:
		yield effects.Rollback()


def _answered(
	paid: PaymentView | None, before: RefundView, view: RefundView, answer: RefundAnswer, now
) -> dict:
	values = {
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
