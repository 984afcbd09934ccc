from frappe.model.document import Document


class ReorderModel(Document):
	pass
