from frappe.model.document import Document


class CreditTeam(Document):
	"""A budget inside an account: who used how much, at most how much a month."""
