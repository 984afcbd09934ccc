from frappe.model.document import Document


class ReorderMessage(Document):
	pass
