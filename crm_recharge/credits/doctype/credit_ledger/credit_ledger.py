import frappe
from frappe import _

from crm_recharge.doors.guard import GuardedDocument


class CreditLedger(GuardedDocument):
	"""One movement. Rows are written by credits/store.py alone and never changed, by nobody."""

	def refuse_by_hand(self):
		self._refuse(
			_("A ledger row is written by a movement: charge, grant, adjust or recharge the account.")
		)

	def db_insert(self, *args, **kwargs):
		self.refuse_by_hand()

	def validate(self):
		self._refuse(_("A ledger row is never changed. Correct it by a reversal or an adjustment."))

	def db_update(self):
		self._refuse(_("A ledger row is never changed. Correct it by a reversal or an adjustment."))

	def db_set(self, *args, **kwargs):
		self._refuse(_("A ledger row is never changed. Correct it by a reversal or an adjustment."))

	def before_rename(self, *args, **kwargs):
		self._refuse(_("A ledger row cannot be renamed: its name is part of the proof."))

	def on_trash(self):
		self._refuse(_("A ledger row is never deleted. Correct it by a reversal or an adjustment."))

	def after_delete(self):
		# For callers that leave on_trash out; the transaction takes the row back.
		self.on_trash()

	def _refuse(self, text: str):
		frappe.throw(text, frappe.PermissionError, title=_("The ledger is append-only"))


def on_doctype_update():
	frappe.db.add_unique("Credit Ledger", ["credit_account", "sequence"])
	frappe.db.add_index("Credit Ledger", ["credit_account", "posted_at"])
