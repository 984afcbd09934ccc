from frappe.model.document import Document


class CreditTeam(Document):
	pass
