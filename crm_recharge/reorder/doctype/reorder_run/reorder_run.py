import frappe
from frappe.utils import add_to_date, now_datetime

from crm_recharge.doors.guard import GuardedDocument


class ReorderRun(GuardedDocument):
	@staticmethod
	def clear_old_logs(days: int = 180):
		"""Called by Frappe's log settings: drop runs that ended and are older than `days`, by the site's clock."""
		run = frappe.qb.DocType("Reorder Run")
		frappe.db.delete(
			run,
			filters=(run.creation < add_to_date(now_datetime(), days=-days)) & (run.status != "Running"),
		)
