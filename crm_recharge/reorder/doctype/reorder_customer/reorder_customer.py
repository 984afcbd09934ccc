from frappe.model.document import Document


class ReorderCustomer(Document):
	pass
