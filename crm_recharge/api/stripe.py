"""Stripe's webhook: verify, keep, say thanks. The work is done in the background."""

from functools import partial

import frappe
from frappe import _

from crm_recharge.gateway import inbox
from crm_recharge.gateway.webhooks import WebhookError
from crm_recharge.intake import intake
from crm_recharge.outbox import queue
from crm_recharge.recharge import events


@frappe.whitelist(allow_guest=True, xss_safe=True, methods=["POST"])
@intake(reads_itself=True)
def webhook() -> dict:
	"""Take one event of Stripe: 200 when it is kept (or was before), 400 when it is not Stripe's."""
	try:
		event, is_new = inbox.receive(
			frappe.request.get_data(cache=True), frappe.get_request_header("Stripe-Signature")
		)
	except WebhookError as error:
		frappe.logger("crm_recharge").warning(f"webhook refused: {error.code}")
		frappe.local.response.http_status_code = 400
		return {"received": False, "error": error.code}
	# Kept before anything else can fail.
	frappe.db.commit()
	if is_new:
		_once_answered(partial(queue.enqueue, events.STRIPE_EVENT, event))
	return {"received": True}


def _once_answered(function) -> None:
	"""Do it when the answer is on its way: a queue that is slow or away must not keep Stripe waiting."""
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
	doc = frappe.get_doc("Stripe Event", event)
	doc.check_permission("read")
	events.reset(event)
	frappe.db.commit()
	if not queue.enqueue(events.STRIPE_EVENT, event, again=True):
		frappe.msgprint(_("The queue is away; the event is taken up within a minute of its return."))
	return {"event": event, "status": "Received"}
