"""What has happened, for integrators: read back here, pushed by Credit Webhooks (docs/events.md)."""

import frappe

from crm_recharge.domain import credit_events
from crm_recharge.domain.errors import InvalidRequest, shown
from crm_recharge.doors import sight
from crm_recharge.intake import intake
from crm_recharge.outbox import changes, deliveries, webhooks
from crm_recharge.outbox import events as outbox

MANAGERS = ("Credit Manager", "System Manager")
DEFAULT, MOST = 100, 1000


@frappe.whitelist(methods=["GET", "POST"])
@intake
def events(after: int = 0, limit: int = DEFAULT, account: str | None = None, type: str | None = None) -> dict:
	"""Events past the position `after` (0: from the first that is kept), in order, of the accounts that the user may see.

	`type`: one, or a pattern such as `refund.*`. Returns events (id, type, position, created, account, data), `next` (what
	to give as `after` next), and `more` (there is more now). Events that are committed late come late, and are never
	skipped. 422 not_one_of, out_of_range; 403, 404 for the account.
	"""
	sight.check("Credit Event")
	for field, value, least, most in (("after", after, 0, 2**31 - 1), ("limit", limit, 1, MOST)):
		if not least <= value <= most:
			raise InvalidRequest("out_of_range", field=field, value=value, least=least, most=most)
	types = [one for one in credit_events.TYPES if credit_events.matches([type], one)] if type else []
	if type and not types:
		raise InvalidRequest(
			"not_one_of", field="type", value=shown(type), known=", ".join(credit_events.TYPES)
		)
	if account:
		account = sight.check_account(account)
	found = outbox.read(after, limit + 1, sight.rows_of("Credit Event"), account, types)
	given = found[:limit]
	return {
		"events": given,
		"next": given[-1]["position"] if given else after,
		"more": len(found) > limit,
	}


@frappe.whitelist(methods=["POST"])
@intake
def send_again(delivery: str) -> dict:
	"""Send a webhook's delivery once more, whatever became of it. For Credit Managers."""
	frappe.only_for(MANAGERS)
	doc = frappe.get_doc("Credit Webhook Delivery", delivery)
	doc.check_permission("read")
	webhooks.send_again(doc.name)
	return {"delivery": doc.name, "status": webhooks.WAITING}


@frappe.whitelist(methods=["POST"])
@intake
def deliver_again(listener: str) -> dict:
	"""Have a listener that failed hear of a change once more (name of an Outbox Delivery). For Credit Managers."""
	frappe.only_for(MANAGERS)
	doc = frappe.get_doc("Outbox Delivery", listener)
	doc.check_permission("read")
	if doc.status != changes.DELIVERED:
		deliveries.reset(doc.name)
	return {"listener": doc.name, "status": frappe.db.get_value("Outbox Delivery", doc.name, "status")}


@frappe.whitelist(methods=["POST"])
@intake
def new_secret(webhook: str) -> dict:
	"""Give a webhook a new signing secret, shown this once; for a day the old one signs too. For Credit Managers."""
	frappe.only_for(MANAGERS)
	doc = frappe.get_doc("Credit Webhook", webhook)
	doc.check_permission("write")
	return {"webhook": doc.name, "secret": doc.change_secret()}
