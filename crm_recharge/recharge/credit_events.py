"""Which Credit Events a change of a recharge, refund or dispute is, and what they carry.

A document hook like any other app's (hooks.py): it hears of each change after the commit, in order.
"""

import frappe

from crm_recharge import clock
from crm_recharge.credits.money import exact
from crm_recharge.domain import credit_events as rules
from crm_recharge.domain.money import plain
from crm_recharge.outbox import events


def on_change(doc, method: str | None = None) -> None:
	"""Keep the events of one change; twice is once."""
	before = doc.get_doc_before_save()
	for event_type in rules.of_change(doc.doctype, before and before.status, doc.status):
		events.tell(
			event_type,
			doc.credit_account,
			DATA[doc.doctype](doc),
			key=f"{doc.doctype}:{doc.name}:{doc.changes}:{event_type}",
			about=(doc.doctype, doc.name),
		)


def _amount(doc, field: str) -> str | None:
	"""An amount exactly as its column keeps it."""
	value = (doc.flags.exact or {}).get(field, doc.get(field))
	return None if value is None else plain(exact(value))


def _of_recharge(doc) -> dict:
	found = {
		"recharge": doc.name,
		"status": doc.status,
		"amount": _amount(doc, "amount"),
		"currency": doc.currency,
		"origin": doc.origin,
		"payment": doc.settled_intent,
		"balance_after": _amount(doc, "balance_after") if doc.ledger_entry else None,
	}
	if doc.status in ("Failed", "Action Required"):
		found |= {"reason": doc.failure_reason, **_last_attempt(doc.name)}
	return found


def _last_attempt(recharge: str) -> dict:
	rows = frappe.get_all(
		"Recharge Attempt",
		{"recharge": recharge},
		["status", "code", "decline_class", "brand", "last4"],
		order_by="number desc",
		limit=1,
	)
	if not rows:
		return {"code": None, "card": None}
	row = rows[0]
	return {"code": row.code, "card": {"brand": row.brand, "last4": row.last4} if row.last4 else None}


def _of_refund(doc) -> dict:
	return {
		"refund": doc.name,
		"recharge": doc.recharge,
		"status": doc.status,
		"kind": doc.kind,
		"amount": _amount(doc, "amount"),
		"currency": doc.currency,
		"credits_taken": _amount(doc, "taken"),
		"reason": doc.reason,
	}


def _of_dispute(doc) -> dict:
	return {
		"dispute": doc.name,
		"recharge": doc.recharge,
		"status": doc.status,
		"amount": _amount(doc, "amount"),
		"currency": doc.currency,
		"credits_taken": _amount(doc, "taken"),
		"reason": doc.reason,
		"evidence_due": _moment(doc.evidence_due),
	}


def _moment(value) -> str | None:
	return clock.read(value).isoformat().replace("+00:00", "Z") if value else None


DATA = {"Recharge": _of_recharge, "Recharge Refund": _of_refund, "Recharge Dispute": _of_dispute}
