import frappe
from frappe import _
from frappe.model.document import Document


class RechargeAttempt(Document):
	"""One try of one card. Its name is the gateway's idempotency key."""

	def before_insert(self):
		if not self.flags.by_machine:
			frappe.throw(_("Attempts are written by the payment worker alone."), frappe.PermissionError)

	def validate(self):
		if not self.is_new():
			frappe.throw(_("Attempts are written by the payment worker alone."), frappe.PermissionError)

	def on_trash(self):
		frappe.throw(_("Attempts are kept: they tell what happened."), frappe.PermissionError)

	def after_delete(self):
		self.on_trash()
