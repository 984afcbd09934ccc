"""What can stop a recharge from reaching the books."""

import frappe


class AccountingError(frappe.ValidationError):
	"""A recharge cannot be written into the books until a person changes something. The message says what."""
