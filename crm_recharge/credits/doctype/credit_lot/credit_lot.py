import frappe
from frappe import _

from crm_recharge.doors.guard import GuardedDocument


class CreditLot(GuardedDocument):
	"""What one payment or grant bought. Written with the ledger by credits/store.py alone."""

	def refuse_by_hand(self):
		self._refuse()

	def validate(self):
		self._refuse()

	def db_insert(self, *args, **kwargs):
		if not self.flags.by_machine:
			self._refuse()
		super().db_insert(*args, **kwargs)

	def db_update(self):
		self._refuse()

	def db_set(self, *args, **kwargs):
		self._refuse()

	def on_trash(self):
		self._refuse()

	def after_delete(self):
		self._refuse()

	def before_rename(self, *args, **kwargs):
		self._refuse()

	def _refuse(self):
		frappe.throw(
			_("A lot moves with the ledger alone: charge, grant or adjust the account."),
			frappe.PermissionError,
			title=_("Lots follow the ledger"),
		)
