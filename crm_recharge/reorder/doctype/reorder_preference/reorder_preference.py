from frappe.model.document import Document


class ReorderPreference(Document):
	pass
