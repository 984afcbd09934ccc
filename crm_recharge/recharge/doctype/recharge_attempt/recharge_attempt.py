from frappe.model.document import Document


class RechargeAttempt(Document):
	pass
