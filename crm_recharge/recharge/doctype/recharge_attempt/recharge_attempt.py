import frappe
from frappe import _

from crm_recharge.doors.guard import GuardedDocument


class RechargeAttempt(GuardedDocument):
	"""One try of one card. Its name is the gateway's idempotency key."""

	def refuse_by_hand(self):
		frappe.throw(_("Attempts are written by the payment worker alone."), frappe.PermissionError)

	def validate(self):
		if not self.is_new():
			self.refuse_by_hand()

	def on_trash(self):
		frappe.throw(_("Attempts are kept: they tell what happened."), frappe.PermissionError)

	def after_delete(self):
		self.on_trash()
