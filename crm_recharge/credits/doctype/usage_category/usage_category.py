from frappe.model.document import Document


class UsageCategory(Document):
	pass
