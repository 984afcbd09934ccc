from datetime import timedelta

import frappe

from crm_recharge import clock
from crm_recharge.doors.guard import GuardedDocument


class OutboxChange(GuardedDocument):
	"""One change of a document, kept until everybody who listens has heard of it (outbox/changes.py)."""

	@staticmethod
	def clear_old_logs(days: int = 60):
		"""Called by Frappe's log settings: drop what has been told and is older than `days`, by the site's clock."""
		table = frappe.qb.DocType("Outbox Change")
		old = table.creation < clock.later(-timedelta(days=days))
		frappe.db.delete(table, filters=old & (table.status == "Delivered"))


def on_doctype_update():
	frappe.db.add_index("Outbox Change", ["reference_name", "reference_doctype", "position"])
	frappe.db.add_index("Outbox Change", ["status", "lease_until"])
