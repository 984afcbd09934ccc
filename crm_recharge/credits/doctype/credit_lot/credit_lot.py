from frappe.model.document import Document


class CreditLot(Document):
	pass
