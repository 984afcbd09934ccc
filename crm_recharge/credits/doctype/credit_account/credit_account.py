from frappe.model.document import Document


class CreditAccount(Document):
	pass
