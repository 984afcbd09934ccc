import frappe
from frappe.utils import add_days, nowdate

from crm_recharge.doors.guard import GuardedDocument


class ReorderForecast(GuardedDocument):
	@staticmethod
	def clear_old_logs(days: int = 400):
		"""Called by Frappe's log settings: drop forecasts made more than `days` ago; by then they are judged."""
		forecast = frappe.qb.DocType("Reorder Forecast")
		frappe.db.delete(forecast, filters=forecast.asked < add_days(nowdate(), -days))


def on_doctype_update():
	# One forecast a cycle.
	frappe.db.add_unique("Reorder Forecast", ["customer", "item_code", "after"])
