"""Whose payment an intent of the gateway is, and telling its recharge of it."""

from dataclasses import dataclass

import frappe

from crm_recharge.domain import fit
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.hearing import hear
from crm_recharge.gateway import home
from crm_recharge.gateway.errors import GatewayUnavailable
from crm_recharge.gateway.registry import connect
from crm_recharge.recharge import differences
from crm_recharge.recharge.performer import perform
from crm_recharge.recharge.reading import due_of

NOT_OURS = "not ours"
OF_ANOTHER_SITE = "of another site"
"""Words of what is not worked on here: it names nothing of ours, or another site, whose matter it is."""
DOES_NOT_FIT = "does not fit"
NOT_WORKED_ON = (NOT_OURS, OF_ANOTHER_SITE)


@dataclass(frozen=True)
class Owner:
	"""The credit account and recharge of a payment; both None for a capture that has no recharge."""

	account: str | None
	recharge: str | None


def owner_of(intent: str | None, gateway: str | None = None) -> Owner | str:
	"""The owner of a captured payment; one that is not settled here yet is settled first. Else a word: whose it is,
	or that it does not fit the recharge that it is said to have paid (then that is listed).

	The payment is read at its gateway (the site's own unless named): whose it is, it says itself, and a copy of this site's database holds the
	original's payments. Raises GatewayUnavailable when the gateway does not answer. Owns its transactions.
	"""
	if not intent:
		return NOT_OURS
	frappe.db.rollback()
	answer = connect(gateway).retrieve(intent)
	if answer.outcome is Outcome.UNKNOWN:
		raise GatewayUnavailable(answer.code or "unknown", answer.message, answer.retry_after)
	if answer.outcome is not Outcome.SUCCEEDED:
		return NOT_OURS
	if fit.names_another(answer.metadata, home.site()):
		return OF_ANOTHER_SITE
	if _known(intent) is None:
		hear_about(answer)
	owner = _known(intent)
	if owner is None:
		return NOT_OURS
	if owner.recharge and _is_paid_by(owner.recharge, intent):
		if wrong := fit.misfits(due_of(owner.recharge), answer):
			differences.note_payment(owner.recharge, answer, wrong)
			return DOES_NOT_FIT
	return owner


def _known(intent: str) -> Owner | None:
	row = frappe.db.get_value("Recharge", {"settled_intent": intent}, ["credit_account", "name"])
	if not row:
		row = frappe.db.get_value("Recharge Refund", {"intent": intent}, ["credit_account", "recharge"])
	return Owner(*row) if row else None


def _is_paid_by(recharge: str, intent: str) -> bool:
	return frappe.db.get_value("Recharge", recharge, "settled_intent") == intent


def hear_about(answer: Answer) -> str:
	"""Give an intent, as the gateway has it now, to the recharge it belongs to. Returns a word."""
	if fit.names_another(answer.metadata, home.site()):
		return OF_ANOTHER_SITE
	recharge = answer.metadata.get("recharge")
	account = frappe.db.get_value("Recharge", recharge, "credit_account") if recharge else None
	if not account:
		return NOT_OURS
	return perform(hear(account, recharge, answer.metadata.get("attempt"), answer))
