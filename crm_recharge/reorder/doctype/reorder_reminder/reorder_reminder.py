import frappe
from frappe.model.document import Document


class ReorderReminder(Document):
	def validate(self):
		# What was learned is learned, not typed: over REST Frappe lets read-only fields be written.
		before = self.get_doc_before_save()
		for field in self.meta.fields if before else ():
			if field.read_only:
				self.set(field.fieldname, before.get(field.fieldname))


def on_doctype_update():
	frappe.db.add_unique("Reorder Reminder", ["customer", "item_code"])
	frappe.db.add_index("Reorder Reminder", ["remind_on", "customer"])
