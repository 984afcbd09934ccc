import frappe
from frappe import _

from crm_recharge.doors.guard import GuardedDocument


class LedgerCheckpoint(GuardedDocument):
	"""Where an account's ledger stood at a moment, sealed on top of the checkpoint before."""

	def validate(self):
		if not self.is_new():
			frappe.throw(_("A checkpoint is never changed."), frappe.PermissionError)

	def on_trash(self):
		frappe.throw(_("Checkpoints are kept: they prove the ledger."), frappe.PermissionError)
