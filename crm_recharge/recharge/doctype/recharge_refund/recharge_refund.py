from frappe.model.document import Document


class RechargeRefund(Document):
	pass
