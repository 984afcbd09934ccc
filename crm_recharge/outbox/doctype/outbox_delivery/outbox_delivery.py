from datetime import timedelta

import frappe

from crm_recharge import clock
from crm_recharge.doors.guard import GuardedDocument


class OutboxDelivery(GuardedDocument):
	"""One listener that has not heard of one change at once: it failed, came after its own failures, or asks a network."""

	@staticmethod
	def clear_old_logs(days: int = 60):
		"""Called by Frappe's log settings: drop what is delivered or given up and older than `days`."""
		table = frappe.qb.DocType("Outbox Delivery")
		old = table.creation < clock.later(-timedelta(days=days))
		given_up = (table.status == "Failed") & table.next_try_at.isnull()
		frappe.db.delete(table, filters=old & ((table.status == "Delivered") | given_up))


def on_doctype_update():
	frappe.db.add_index("Outbox Delivery", ["reference_name", "reference_doctype"])
	frappe.db.add_index("Outbox Delivery", ["status", "next_try_at"])
