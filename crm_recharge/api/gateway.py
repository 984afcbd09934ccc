"""The webhook of a payment gateway: verify, keep, say thanks. The work is done in the background."""

from functools import partial

import frappe
from frappe import _

from crm_recharge import transactions
from crm_recharge.gateway import inbox, registry
from crm_recharge.gateway.errors import WebhookError
from crm_recharge.intake import intake
from crm_recharge.outbox import queue
from crm_recharge.recharge import events


@frappe.whitelist(allow_guest=True, xss_safe=True, methods=["POST"])
@intake(reads_itself=True)
def webhook() -> dict:
	"""Take one event of a gateway: 200 when it is kept (or was before), 400 when it is not the gateway's.

	`gateway` in the address names whose it is; without it, the site's own.
	"""
	name = frappe.request.args.get("gateway") or None
	if name is not None and name not in registry.names():
		return _refused("unknown_gateway")
	try:
		event, is_new = inbox.receive(frappe.request.get_data(cache=True), frappe.request.headers, name)
	except WebhookError as error:
		return _refused(error.code)
	# Kept before anything else can fail.
	transactions.commit()
	if is_new:
		_once_answered(partial(queue.enqueue, events.GATEWAY_EVENT, event))
	return {"received": True}


def _refused(code: str) -> dict:
	frappe.logger("crm_recharge").warning(f"webhook refused: {code}")
	frappe.local.response.http_status_code = 400
	return {"received": False, "error": code}


def _once_answered(function) -> None:
	"""Do it when the answer is on its way: a queue that is slow or away must not keep the gateway waiting."""
	after_response = getattr(frappe.request, "after_response", None)
	if after_response is None:
		function()
	else:
		after_response.add(function)


@frappe.whitelist(methods=["POST"])
@intake
def replay(event: str) -> dict:
	"""Work on an event again, from the desk. For Credit Managers."""
	frappe.only_for(("Credit Manager", "System Manager"))
	doc = frappe.get_doc("Gateway Event", event)
	doc.check_permission("read")
	events.reset(event)
	transactions.commit()
	if not queue.enqueue(events.GATEWAY_EVENT, event, again=True):
		frappe.msgprint(_("The queue is away; the event is taken up within a minute of its return."))
	return {"event": event, "status": "Received"}
