"""News about a payment that nobody here asked for just now: a webhook, the return page, the reconciler.

The news is the intent as it stands now, so the order in which it arrives does not matter.
"""

from datetime import datetime

from crm_recharge.domain import effects, fit, payment
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.effects import AttemptValues, Machine
from crm_recharge.domain.steps import AttemptView, RechargeView


def hear(account: str, recharge: str, attempt: str | None, answer: Answer) -> Machine[str]:
	"""Settle `answer` if it is a capture; else wake the worker that waits for it. Returns a word.

	`attempt` names the attempt the intent belongs to, when it is known.
	"""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	view = yield from effects.LockRecharge(recharge)
	known = next((a for a in view.attempts if a.name == attempt), None) if view else None
	if answer.outcome is Outcome.SUCCEEDED:
		if view and known and known.status != payment.PAID and _is_its(known, view, answer):
			yield from effects.UpdateAttempt(known.name, _paid(answer, now))
			view = payment.with_paid(view, known.name, answer)
		word = yield from payment.settle(view, answer, now)
		yield from effects.Commit()
		return word
	if view is None or view.status not in payment.WORKABLE or known is None:
		yield from effects.Rollback()
		return "nothing to do"
	if answer.outcome is Outcome.PENDING and known.status == payment.PENDING:
		yield from effects.Rollback()
		return "known"
	if known.status not in payment.OPEN_ATTEMPT and not known.intent_open:
		yield from effects.Rollback()
		return "known"
	yield from effects.UpdateAttempt(known.name, {"next_ask_at": None})
	yield from effects.UpdateRecharge(recharge, {"next_try_at": None})
	yield from effects.EnqueueAfterCommit(payment.CARRY_OUT, recharge)
	yield from effects.Commit()
	return "woken"


def _is_its(attempt: AttemptView, view: RechargeView, answer: Answer) -> bool:
	"""Whether a capture that names the attempt is the attempt's own: anybody can write a name on a payment."""
	return attempt.intent == answer.intent or not fit.misfits(view.due, answer)


def _paid(answer: Answer, now: datetime) -> AttemptValues:
	return {
		"status": payment.PAID,
		"intent": answer.intent,
		"intent_open": False,
		"charge": answer.charge,
		"risk_level": answer.risk_level,
		"answered_at": now,
		"next_ask_at": None,
	}
