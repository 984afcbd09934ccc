from frappe.model.document import Document


class LedgerCheckpoint(Document):
	pass
