from frappe.model.document import Document


class ReorderSettings(Document):
	pass
