from frappe.model.document import Document


class GatewayDifference(Document):
	pass
