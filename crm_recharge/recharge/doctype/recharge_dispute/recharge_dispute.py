from frappe.model.document import Document


class RechargeDispute(Document):
	pass
