import frappe

from crm_recharge.doors.guard import GuardedDocument


class ReorderPurchaseDay(GuardedDocument):
	pass


def on_doctype_update():
	# Also the order in which the nightly fit reads them.
	frappe.db.add_unique("Reorder Purchase Day", ["customer", "item_code", "day"])
