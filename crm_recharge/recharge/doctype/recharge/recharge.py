from frappe.model.document import Document


class Recharge(Document):
	pass
