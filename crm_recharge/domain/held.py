"""What a person decides about a capture that is held because it does not fit: see fit.py.

Money is not lost meanwhile: it lies at the gateway, the difference is listed, and the recharge, if the payment is its
own, blocks any other charge. A person credits it (where only the amount differs), refunds it, or leaves it.
"""

from dataclasses import replace
from datetime import datetime

from crm_recharge.domain import effects, fit, payment
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.effects import Machine
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import plain
from crm_recharge.domain.steps import RechargeView

CREDIT, REFUND, DISMISS = "credit", "refund", "dismiss"
DECISIONS = (CREDIT, REFUND, DISMISS)


def decide(account: str, recharge: str, answer: Answer, decision: str) -> Machine[str]:
	"""Carry `decision` out on the payment `answer`, as the gateway has it now. Returns the recharge's status.

	Raises InvalidRequest: already_decided, not_captured (there is no money to decide about), held_already_used (it has
	paid for the recharge, or that has been paid by another), held_not_creditable (more than its amount differs).
	"""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
	assert view is not None, "a payment is held for a recharge"
	is_open = yield from effects.CloseDifference(payment.DOES_NOT_FIT, answer.intent or "", decision)
	try:
		if not is_open:
			raise InvalidRequest("already_decided", payment=answer.intent)
		_check(view, answer, decision)
	except InvalidRequest:
		yield from effects.Rollback()
		raise
	if decision == CREDIT:
		assert answer.amount is not None
		# What was captured is what is credited, and what is accounted for.
		yield from effects.UpdateRecharge(recharge, {"amount": answer.amount})
		status = yield from payment.settle(replace(view, amount=answer.amount), answer, now)
	else:
		if decision == REFUND:
			yield from effects.RefundDuplicate(recharge, answer, held=True)
		status = yield from _let_go(view, now)
	yield from effects.Commit()
	return status


def _check(view: RechargeView, answer: Answer, decision: str) -> None:
	if view.settled_intent == answer.intent:
		raise InvalidRequest("held_already_used", payment=answer.intent, recharge=view.name)
	if decision == DISMISS:
		return
	if answer.outcome is not Outcome.SUCCEEDED or answer.amount is None:
		raise InvalidRequest("not_captured", payment=answer.intent, state=answer.code or answer.outcome.value)
	if decision == CREDIT:
		if view.settled_intent or view.status not in payment.UNPAID:
			raise InvalidRequest("held_already_used", payment=answer.intent, recharge=view.name)
		wrong = fit.misfits(view.due, answer)
		if not fit.may_be_credited(wrong):
			raise InvalidRequest(
				"held_not_creditable",
				payment=answer.intent,
				recharge=view.name,
				amount=plain(answer.amount),
				currency=answer.currency,
				what=", ".join(sorted({misfit.what for misfit in wrong} - {fit.AMOUNT})),
			)


def _let_go(view: RechargeView, now: datetime) -> Machine[str]:
	"""The held recharge ends without a payment, and blocks no other any more."""
	if view.status != payment.HELD:
		return view.status
	yield from payment.end_unpaid(view, payment.FAILED, now)
	return payment.FAILED
