from frappe.model.document import Document


class RechargeDecision(Document):
	pass
