from frappe.model.document import Document


class ReorderRule(Document):
	pass
