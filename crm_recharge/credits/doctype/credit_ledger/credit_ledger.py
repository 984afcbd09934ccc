from frappe.model.document import Document


class CreditLedger(Document):
	pass
