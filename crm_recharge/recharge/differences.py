"""What does not fit between the gateway and here: written down once, told to the managers once, decided by a person.

The rules are in domain/fit.py and domain/held.py.
"""

import hashlib

import frappe
from frappe import _
from frappe.utils import get_url_to_form

from crm_recharge import clock, transactions
from crm_recharge.credits.errors import for_people
from crm_recharge.domain import dispute, effects, fit, held, payment, reconcile, refund
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.errors import InvalidRequest, shown
from crm_recharge.doors.guard import new
from crm_recharge.gateway import registry
from crm_recharge.gateway.errors import GatewayUnavailable
from crm_recharge.recharge import notices

DOCTYPE = "Gateway Difference"
OPEN, RESOLVED = "Open", "Resolved"
TOLD = (
	payment.DOES_NOT_FIT,
	refund.DOES_NOT_FIT,
	dispute.DOES_NOT_FIT,
	reconcile.AMOUNT_DIFFERS,
	reconcile.MISSING_AT_GATEWAY,
)
"""Kinds that a person has to act on; the others are told of elsewhere, or have been put right."""
MOST_TOLD = 20


def note_misfit(effect: effects.NoteDifference) -> None:
	"""Write a difference down that one of the machines has met; part of its transaction."""
	write(
		effect.kind,
		effect.subject,
		text_of(effect.kind, effect.recharge, effect.misfits),
		recharge=effect.recharge,
		intent=effect.intent,
		amount=effect.amount,
		currency=effect.currency,
	)


def note_payment(recharge: str, answer: Answer, wrong: tuple[fit.Misfit, ...]) -> None:
	"""Write down that the payment which bought credits does not fit its recharge. Commits."""
	write(
		payment.DOES_NOT_FIT,
		answer.intent,
		" ".join(
			[_("Recharge {0} was credited for a payment that does not fit it.").format(recharge)]
			+ [_sentence(misfit) for misfit in wrong]
		),
		recharge=recharge,
		intent=answer.intent,
		amount=answer.amount,
		currency=answer.currency,
	)
	transactions.commit()


def write(
	kind: str,
	subject: str,
	explanation: str,
	*,
	recharge: str | None = None,
	account: str | None = None,
	intent: str | None = None,
	amount=None,
	currency: str | None = None,
	resolved: bool = False,
	tell: bool = True,
) -> str | None:
	"""Write a difference down, once for each kind and subject (id of a payment, refund or dispute), and tell of it.

	Part of the caller's transaction. Returns its name, None when it was known. Without `tell` the caller tells of all
	it has found at once, by `tell_of`.
	"""
	mark = mark_of(kind, subject)
	if frappe.db.exists(DOCTYPE, {"mark": mark}):
		return None
	known = recharge and frappe.db.get_value("Recharge", recharge, "credit_account")
	account = known or account
	doc = new(
		DOCTYPE,
		{
			"kind": kind,
			"status": RESOLVED if resolved else OPEN,
			"subject": subject,
			"intent": intent,
			"recharge": recharge if known else None,
			"credit_account": account,
			"amount": str(amount or 0),
			"currency": currency if currency and frappe.db.exists("Currency", currency) else None,
			"found_at": clock.now_datetime(),
			"resolved_at": clock.now_datetime() if resolved else None,
			"explanation": explanation,
			"resolution": _("Done by itself") if resolved else None,
			"mark": mark,
		},
	)
	doc.insert(ignore_permissions=True)
	if tell and not resolved:
		tell_of([doc.name])
	return doc.name


def mark_of(kind: str, subject: str) -> str:
	"""What makes a difference the same one."""
	return hashlib.sha256(f"{kind}:{subject}".encode()).hexdigest()


def tell_of(names: list[str]) -> None:
	"""Tell the managers of differences that they have to act on, in one message. Part of the caller's transaction."""
	rows = [
		row
		for row in frappe.get_all(
			DOCTYPE,
			{"name": ["in", names or [""]]},
			["name", "kind", "explanation", "credit_account"],
			order_by="creation",
		)
		if row.kind in TOLD
	]
	if not rows:
		return
	lines = [f"{row.explanation}\n{get_url_to_form(DOCTYPE, row.name)}" for row in rows[:MOST_TOLD]]
	if len(rows) > MOST_TOLD:
		lines.append(_("… and {0} more: see the list of Gateway Differences.").format(len(rows) - MOST_TOLD))
	notices.alert(
		_("The payment gateway and the credit accounts differ"),
		"\n\n".join(lines),
		(DOCTYPE, rows[0].name),
		list({row.credit_account for row in rows}),
	)


def text_of(kind: str, recharge: str | None, wrong: tuple[fit.Misfit, ...]) -> str:
	"""What does not fit, in sentences for the company's own people."""
	first = {
		payment.DOES_NOT_FIT: _(
			"A payment was captured for recharge {0} that does not fit it; it has not been credited."
		),
		refund.DOES_NOT_FIT: _(
			"A refund was made of recharge {0} that does not fit it; no credits were moved for it."
		),
		dispute.DOES_NOT_FIT: _(
			"A dispute of recharge {0} does not fit it; its credits were taken, up to what was paid."
		),
	}[kind]
	return " ".join([first.format(recharge), *(_sentence(misfit) for misfit in wrong)])


def _sentence(misfit: fit.Misfit) -> str:
	text = {
		fit.RECHARGE: _("It names recharge {0} instead of {1}."),
		fit.CUSTOMER: _("It was made by customer {0} of the gateway instead of {1}."),
		fit.CURRENCY: _("Its currency is {0} instead of {1}."),
		fit.AMOUNT: _("Its amount is {0} instead of {1}."),
	}[misfit.what]
	return text.format(misfit.found, misfit.asked)


# -- deciding ------------------------------------------------------------------------------------------------


def close(kind: str, subject: str, decision: str) -> bool:
	"""Lock a difference and write down that the user has decided about it. Whether it was open until now."""
	row = frappe.db.get_value(
		DOCTYPE, {"mark": mark_of(kind, subject)}, ["name", "status"], as_dict=True, for_update=True
	)
	if not row or row.status != OPEN:
		return False
	frappe.db.set_value(DOCTYPE, row.name, _resolved(decisions()[decision]))
	return True


def decisions() -> dict[str, str]:
	"""What a person may decide, and how it stands on record."""
	return {
		held.CREDIT: _("Credited with the amount that was captured"),
		held.REFUND: _("Refunded"),
		held.DISMISS: _("Left as it is"),
	}


def _resolved(resolution: str) -> dict:
	return {
		"status": RESOLVED,
		"resolved_at": clock.now_datetime(),
		"resolved_by": frappe.session.user,
		"resolution": resolution,
	}


@for_people
def decide(name: str, decision: str, note: str | None = None) -> dict:
	"""Carry out what the user has decided about a difference: credit, refund or dismiss (domain/held.py).

	Only a capture that does not fit can be credited or refunded; every difference can be dismissed, with a `note` of
	why. The caller has checked the permission; commits. Returns difference, status, recharge, recharge_status.
	Raises credits.errors, and GatewayUnavailable when the gateway must be asked and does not answer.
	"""
	from crm_recharge.recharge.performer import perform

	if decision not in held.DECISIONS:
		raise InvalidRequest(
			"not_one_of", field="decision", value=shown(decision), known=", ".join(held.DECISIONS)
		)
	note = (note or "").strip()[:500]
	if decision == held.DISMISS and not note:
		raise InvalidRequest("reason_missing")
	row = frappe.db.get_value(
		DOCTYPE, name, ["kind", "subject", "intent", "recharge", "credit_account", "status"], as_dict=True
	)
	if row.status != OPEN:
		raise InvalidRequest("already_decided", payment=row.intent or row.subject)
	if row.kind == payment.DOES_NOT_FIT and row.recharge and not _is_credited(row):
		answer = _as_it_is_now(row, decision)
		perform(held.decide(row.credit_account, row.recharge, answer, decision))
	elif decision == held.DISMISS:
		close(row.kind, row.subject, decision)
		transactions.commit()
	else:
		raise InvalidRequest("only_dismissed", difference=name)
	if note:
		frappe.get_doc(DOCTYPE, name).add_comment("Comment", note)
		transactions.commit()
	return {
		"difference": name,
		"status": frappe.db.get_value(DOCTYPE, name, "status"),
		"recharge": row.recharge,
		"recharge_status": frappe.db.get_value("Recharge", row.recharge, "status") if row.recharge else None,
	}


def _is_credited(row) -> bool:
	return frappe.db.get_value("Recharge", row.recharge, "settled_intent") == row.intent


def _as_it_is_now(row, decision: str) -> Answer:
	"""The payment as the gateway has it. What is only dismissed need not be there any more."""
	frappe.db.rollback()
	answer = registry.connect(registry.of_account(row.credit_account)).retrieve(row.intent)
	if decision == held.DISMISS and answer.intent is None:
		return Answer(Outcome.CANCELLED, intent=row.intent)
	if answer.outcome is Outcome.UNKNOWN and answer.intent is None:
		raise GatewayUnavailable(answer.code or "unknown", answer.message, answer.retry_after)
	return Answer(answer.outcome, intent=row.intent, code=answer.code) if answer.intent is None else answer
