from frappe.model.document import Document


class ReorderRun(Document):
	pass
