"""The reconciler: each payment at the gateway against each attempt here, hourly and within Stripe's 24 hours.

Settles what was missed, refunds what has no owner, closes what nobody waits for, lists the rest as Gateway
Differences.
"""

import hashlib
from datetime import datetime, timedelta, timezone

import frappe

from crm_recharge import clock
from crm_recharge.clock import now_datetime
from crm_recharge.credits.money import exact
from crm_recharge.domain import reconcile
from crm_recharge.domain.answers import Answer
from crm_recharge.doors.guard import by_machine
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.gateway.stripe_gateway import connect
from crm_recharge.recharge import payments, refunds

WINDOW = timedelta(hours=26)


def reconcile_recent(window: timedelta = WINDOW) -> dict:
	"""Compare the payments of the last `window`. Returns how many there were of each verdict."""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	end = datetime.now(timezone.utc)
	counts, seen = {}, set()
	try:
		gateway = connect()
		frappe.db.rollback()
		for answer in gateway.intents_since(end - window):
			seen.add(answer.intent)
			kind = _one(gateway, answer, end)
			counts[kind] = counts.get(kind, 0) + 1
	except GatewayError as error:
		frappe.db.rollback()
		frappe.log_error(title="Reconciliation could not ask the gateway to the end", message=error.message)
		return counts | {"incomplete": True}
	missing = _missing(seen, window)
	return counts | ({reconcile.MISSING_AT_GATEWAY: missing} if missing else {})


def _one(gateway, answer: Answer, now: datetime) -> str:
	"""Judge one payment and act on it; one that cannot be worked on never stops the rest."""
	frappe.db.rollback()
	created = datetime.fromtimestamp(answer.created, timezone.utc) if answer.created else now
	known = _known(answer)
	verdict = reconcile.judge(answer, frappe.local.site, known, created, now)
	try:
		_act(gateway, verdict, answer)
	except Exception:
		frappe.db.rollback()
		frappe.log_error(title=f"Reconciliation of {answer.intent} failed")
		frappe.db.commit()
		return "failed"
	return verdict.kind


def _act(gateway, verdict: reconcile.Verdict, answer: Answer) -> None:
	match verdict.kind:
		case reconcile.SETTLE | reconcile.DUPLICATE:
			payments.hear_about(answer)
			note(verdict, answer, resolved=True)
		case reconcile.ORPHAN:
			refunds.orphan(answer)
			note(verdict, answer, resolved=True)
		case reconcile.CLOSE:
			gateway.cancel(answer.intent)
			note(verdict, answer, resolved=True)
		case kind if kind in reconcile.LISTED:
			note(verdict, answer)


def _known(answer: Answer) -> reconcile.Known | None:
	name = answer.metadata.get("recharge")
	row = name and frappe.db.get_value(
		"Recharge", name, ["name", "status", "settled_intent", "currency", "lease_until"], as_dict=True
	)
	if not row:
		return None
	credited = frappe.db.sql(
		"SELECT CAST(`amount` AS CHAR) FROM `tabCredit Ledger` WHERE `gateway_reference` = %s AND `entry_type` = 'Recharge'",
		answer.intent,
	)
	return reconcile.Known(
		recharge=row.name,
		status=row.status,
		settled_intent=row.settled_intent,
		credited=exact(credited[0][0]) if credited else None,
		currency=row.currency,
		refund_arranged=bool(frappe.db.exists("Recharge Refund", {"intent": answer.intent})),
		busy=not clock.is_past(row.lease_until),
	)


def _missing(seen: set[str], window: timedelta) -> int:
	"""Credits that name a payment the gateway did not show: nothing undoes them by itself, a person looks."""
	# An hour less, for a payment is made before it is settled.
	since = clock.later(timedelta(hours=1) - window)
	rows = frappe.get_all(
		"Recharge",
		{"settled_intent": ["is", "set"], "settled_at": [">", since], "creation": [">", since]},
		["name", "settled_intent", "credit_account", "currency", "settled_at"],
	)
	missing = [row for row in rows if row.settled_intent not in seen]
	for row in missing:
		answer = connect().retrieve(row.settled_intent)
		if answer.outcome.value == "succeeded":
			continue
		verdict = reconcile.Verdict(
			reconcile.MISSING_AT_GATEWAY,
			row.settled_intent,
			f"credited by {row.name}; the gateway says {answer.outcome.value}",
		)
		note(verdict, answer, recharge=row.name)
	return len(missing)


def note(
	verdict: reconcile.Verdict, answer: Answer, resolved: bool = False, recharge: str | None = None
) -> None:
	"""Write a difference down, once for each payment and verdict."""
	recharge = recharge or answer.metadata.get("recharge")
	mark = hashlib.sha256(f"{verdict.kind}:{verdict.intent}".encode()).hexdigest()
	if frappe.db.exists("Gateway Difference", {"mark": mark}):
		return
	known = recharge and frappe.db.get_value("Recharge", recharge, "credit_account")
	difference = frappe.get_doc(
		{
			"doctype": "Gateway Difference",
			"kind": verdict.kind,
			"status": "Resolved" if resolved else "Open",
			"intent": verdict.intent,
			"recharge": recharge if known else None,
			"credit_account": known,
			"amount": str(answer.amount or 0),
			"currency": answer.currency
			if answer.currency and frappe.db.exists("Currency", answer.currency)
			else None,
			"found_at": now_datetime(),
			"resolved_at": now_datetime() if resolved else None,
			"explanation": verdict.text,
			"resolution": "done by the reconciler" if resolved else None,
			"mark": mark,
		}
	)
	by_machine(difference).insert(ignore_permissions=True)
	frappe.db.commit()
