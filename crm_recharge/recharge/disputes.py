"""Disputes and early fraud warnings: heard of by webhook, followed as they are at the gateway now.

The rules are the machines of domain/dispute.py.
"""

import frappe

from crm_recharge.domain import dispute
from crm_recharge.gateway.errors import GatewayUnavailable
from crm_recharge.gateway.registry import connect
from crm_recharge.recharge.payments import NOT_OURS, owner_of
from crm_recharge.recharge.performer import perform

TRIES = 10


def follow(name: str, gateway: str | None = None) -> str:
	"""Bring a dispute in line with what its gateway (the site's own unless named) has of it now. Returns its status here, or "not ours".

	The payment is settled first if it was not yet. Raises GatewayError when the gateway cannot be asked. Owns
	its transactions.
	"""
	for _try in range(TRIES):
		frappe.db.rollback()
		heard = frappe.db.get_value("Recharge Dispute", name, "heard") or 0
		frappe.db.rollback()
		answer = connect(gateway).retrieve_dispute(name)
		owner = owner_of(answer.intent, gateway)
		if isinstance(owner, str):
			return owner
		if not owner.recharge:
			return NOT_OURS
		word = perform(dispute.follow(owner.account, owner.recharge, answer, heard))
		if word != dispute.AGAIN:
			return word
	raise GatewayUnavailable("busy", f"{name} was heard of too often at once")


def warn(
	warning: str, intent: str | None = None, reason: str | None = None, gateway: str | None = None
) -> str:
	"""An early fraud warning about a payment: flag the account for review and hold its auto-recharge, once.

	Returns a word. Raises GatewayError when the gateway must be asked and cannot be.
	"""
	if not intent:
		found = connect(gateway).retrieve_fraud_warning(warning)
		intent, reason = found.intent, reason or found.fraud_type
	owner = owner_of(intent, gateway)
	if isinstance(owner, str):
		return owner
	if not owner.recharge:
		return NOT_OURS
	return perform(dispute.warn(owner.account, owner.recharge, warning, intent, reason))
