import frappe

from crm_recharge.doors.guard import GuardedDocument


class ReorderReminder(GuardedDocument):
	pass


def on_doctype_update():
	frappe.db.add_unique("Reorder Reminder", ["customer", "item_code"])
	frappe.db.add_index("Reorder Reminder", ["remind_on", "customer"])
