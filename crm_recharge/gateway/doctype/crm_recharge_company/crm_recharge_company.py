from frappe.model.document import Document


class CRMRechargeCompany(Document):
	pass
