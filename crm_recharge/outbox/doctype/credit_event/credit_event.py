from datetime import timedelta

import frappe

from crm_recharge import clock
from crm_recharge.doors.guard import GuardedDocument


class CreditEvent(GuardedDocument):
	"""What has happened to an account, for integrators (outbox/events.py). Its name is the event's id."""

	@staticmethod
	def clear_old_logs(days: int = 400):
		"""Called by Frappe's log settings: drop what is older than `days` and can be read, by the site's clock."""
		table = frappe.qb.DocType("Credit Event")
		frappe.db.delete(
			table, filters=(table.creation < clock.later(-timedelta(days=days))) & (table.position > 0)
		)


def on_doctype_update():
	frappe.db.add_index("Credit Event", ["credit_account", "position"])
