from frappe.model.document import Document


class AutoRechargeSetting(Document):
	pass
