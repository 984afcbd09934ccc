from datetime import timedelta

import frappe

from crm_recharge import clock
from crm_recharge.doors.guard import GuardedDocument


class CreditWebhookDelivery(GuardedDocument):
	"""One event on its way to one webhook, with every try (outbox/webhooks.py)."""

	@staticmethod
	def clear_old_logs(days: int = 60):
		"""Called by Frappe's log settings: drop what is delivered or given up and older than `days`."""
		table = frappe.qb.DocType("Credit Webhook Delivery")
		old = table.creation < clock.later(-timedelta(days=days))
		given_up = (table.status == "Failed") & table.next_try_at.isnull()
		frappe.db.delete(table, filters=old & ((table.status == "Delivered") | given_up))


def on_doctype_update():
	frappe.db.add_index("Credit Webhook Delivery", ["status", "next_try_at"])
	frappe.db.add_index("Credit Webhook Delivery", ["webhook", "status"])
