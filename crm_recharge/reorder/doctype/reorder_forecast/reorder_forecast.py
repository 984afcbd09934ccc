import frappe
from frappe.model.document import Document


class ReorderForecast(Document):
	pass


def on_doctype_update():
	# One forecast a cycle.
	frappe.db.add_unique("Reorder Forecast", ["customer", "item_code", "after"])
