from datetime import timedelta

import frappe
from frappe import _

from crm_recharge import clock
from crm_recharge.doors.guard import GuardedDocument


class GatewayEvent(GuardedDocument):
	"""One webhook, named by the event's id: kept when it arrives, worked on in the background."""

	def refuse_by_hand(self):
		frappe.throw(_("Events are written by the webhook alone."), frappe.PermissionError)

	@staticmethod
	def clear_old_logs(days: int = 90):
		"""Called by Frappe's log settings: drop what is done with and older than `days`, by the site's clock."""
		table = frappe.qb.DocType("Gateway Event")
		frappe.db.delete(
			table,
			filters=(table.creation < clock.later(-timedelta(days=days)))
			& (table.status.isin(["Processed", "Ignored"])),
		)


def on_doctype_update():
	frappe.db.add_index("Gateway Event", ["status", "next_try_at"])
