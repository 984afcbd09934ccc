from frappe.model.document import Document


class ReorderConsentChange(Document):
	pass
