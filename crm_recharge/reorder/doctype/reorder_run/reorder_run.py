import frappe
from frappe.query_builder import Interval
from frappe.query_builder.functions import Now

from crm_recharge.doors.guard import GuardedDocument


class ReorderRun(GuardedDocument):
	@staticmethod
	def clear_old_logs(days: int = 180):
		"""Called by Frappe's log settings: drop runs that ended and are older than `days`."""
		run = frappe.qb.DocType("Reorder Run")
		frappe.db.delete(
			run, filters=(run.creation < (Now() - Interval(days=days))) & (run.status != "Running")
		)
