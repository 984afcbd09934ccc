from frappe.model.document import Document


class ReorderMessageItem(Document):
	pass
