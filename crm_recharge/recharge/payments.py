"""Whose payment an intent of the gateway is, and telling its recharge of it."""

from dataclasses import dataclass

import frappe

from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.hearing import hear
from crm_recharge.gateway.errors import GatewayUnavailable
from crm_recharge.gateway.stripe_gateway import connect
from crm_recharge.recharge.performer import perform


@dataclass(frozen=True)
class Owner:
	"""The credit account and recharge of a payment; both None for a capture that has no recharge."""

	account: str | None
	recharge: str | None


def owner_of(intent: str) -> Owner | None:
	"""The owner of a captured payment; one that is not settled here yet is settled first. None: not ours.

	Raises GatewayUnavailable when the gateway must be asked and does not answer. Owns its transactions.
	"""
	return _known(intent) or _settled_now(intent)


def _known(intent: str) -> Owner | None:
	row = frappe.db.get_value("Recharge", {"settled_intent": intent}, ["credit_account", "name"])
	if not row:
		row = frappe.db.get_value("Recharge Refund", {"intent": intent}, ["credit_account", "recharge"])
	return Owner(*row) if row else None


def _settled_now(intent: str) -> Owner | None:
	frappe.db.rollback()
	answer = connect().retrieve(intent)
	if answer.outcome is Outcome.UNKNOWN:
		raise GatewayUnavailable(answer.code or "unknown", answer.message, answer.retry_after)
	if answer.outcome is not Outcome.SUCCEEDED:
		return None
	hear_about(answer)
	return _known(intent)


def hear_about(answer: Answer) -> str:
	"""Give an intent, as the gateway has it now, to the recharge it belongs to."""
	recharge = answer.metadata.get("recharge")
	account = frappe.db.get_value("Recharge", recharge, "credit_account") if recharge else None
	if not account:
		return "not ours"
	return perform(hear(account, recharge, answer.metadata.get("attempt"), answer))
