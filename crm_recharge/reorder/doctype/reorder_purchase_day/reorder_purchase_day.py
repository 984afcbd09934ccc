import frappe
from frappe.model.document import Document


class ReorderPurchaseDay(Document):
	pass


def on_doctype_update():
	# Also the order in which the nightly fit reads them.
	frappe.db.add_unique("Reorder Purchase Day", ["customer", "item_code", "day"])
