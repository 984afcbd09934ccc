from frappe.model.document import Document


class RechargeCard(Document):
	pass
