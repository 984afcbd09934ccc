from frappe.model.document import Document


class AutoRechargeCard(Document):
	pass
