"""Refunds and disputes whose webhook never came: asked for at the gateway itself.

The gateway tries a webhook for three days; a site that was away for longer, or whose endpoint was not set up, would
never hear of them.
"""

from datetime import datetime, timedelta, timezone

import frappe

from crm_recharge import transactions
from crm_recharge.domain.takeback import INQUIRY, OPEN
from crm_recharge.gateway import home, registry
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.recharge import disputes, refunds

WINDOW = timedelta(days=4)
STATUS = {"succeeded": "Succeeded", "pending": "Asked", "failed": "Failed"}


def catch_up(window: timedelta = WINDOW) -> dict:
	"""Hourly: follow every refund and dispute of the last `window` that stands here otherwise than at the gateway.

	Returns how many were followed: refunds, disputes, and failed ones (they are logged).
	"""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	if not home.is_home():
		return {"away": True}
	counts = {"refunds": 0, "disputes": 0, "failed": 0}
	for name in registry.in_use():
		_catch_up_with(name, datetime.now(timezone.utc) - window, counts)
	return counts


def _catch_up_with(name: str, since: datetime, counts: dict) -> None:
	try:
		gateway = registry.connect(name)
		frappe.db.rollback()
		intents = {a.intent for a in gateway.refunds_since(since) if a.intent and not _is_known_refund(a)}
		opened = {a.dispute for a in gateway.disputes_since(since) if not _is_known_dispute(a)}
	except GatewayError as error:
		frappe.db.rollback()
		frappe.log_error(
			title="Refunds and disputes could not be compared with the gateway", message=error.message
		)
		transactions.commit()
		counts["incomplete"] = True
		return
	for intent in sorted(intents):
		_follow(refunds.follow, intent, name, counts, "refunds")
	for dispute in sorted(opened):
		_follow(disputes.follow, dispute, name, counts, "disputes")


def follow_open_disputes() -> dict:
	"""Daily: every dispute that is not decided here, however old. Returns as `catch_up`."""
	frappe.set_user("Administrator")
	if not home.is_home():
		return {"away": True}
	counts = {"refunds": 0, "disputes": 0, "failed": 0}
	found = frappe.get_all(
		"Recharge Dispute",
		{"status": ["in", (OPEN, INQUIRY)]},
		["name", "credit_account"],
		order_by="creation",
	)
	for row in found:
		_follow(disputes.follow, row.name, registry.of_account(row.credit_account), counts, "disputes")
	return counts


def _is_known_refund(answer) -> bool:
	status = frappe.db.get_value("Recharge Refund", {"gateway_refund": answer.refund}, "status")
	if status is None:
		# One that failed before anybody here heard of it has taken nothing and gives nothing back.
		return answer.outcome.value == "failed" or not _is_ours(answer.intent)
	return status == STATUS.get(answer.outcome.value)


def _is_known_dispute(answer) -> bool:
	row = frappe.db.get_value(
		"Recharge Dispute", answer.dispute, ["gateway_status", "withdrawn"], as_dict=True
	)
	if row is None:
		return not answer.intent or not _is_ours(answer.intent)
	return row.gateway_status == answer.status and row.withdrawn == float(answer.withdrawn)


def _is_ours(intent: str) -> bool:
	return bool(
		frappe.db.exists("Recharge", {"settled_intent": intent})
		or frappe.db.exists("Recharge Refund", {"intent": intent})
		or frappe.db.exists("Recharge Attempt", {"intent": intent})
	)


def _follow(follow, name: str, gateway: str, counts: dict, kind: str) -> None:
	"""One that cannot be worked on never stops the rest."""
	try:
		follow(name, gateway)
		counts[kind] += 1
	except Exception:
		frappe.db.rollback()
		frappe.log_error(title=f"{name} could not be followed")
		transactions.commit()
		counts["failed"] += 1
