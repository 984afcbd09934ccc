from frappe.model.document import Document


class CRMRechargeSettings(Document):
	pass
