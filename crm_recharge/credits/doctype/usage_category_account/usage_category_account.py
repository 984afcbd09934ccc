from frappe.model.document import Document


class UsageCategoryAccount(Document):
	pass
