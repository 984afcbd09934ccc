import re

import frappe
from frappe import _

from crm_recharge.credits.store import lock_row
from crm_recharge.domain import moments
from crm_recharge.doors.guard import GuardedDocument

# Columns of the locked row that belong to the book. A form that was opened before the last charge would
# write an old balance back, so saving a document never writes them.
BOOK_COLUMNS = (
	"balance",
	"sequence",
	"last_hash",
	"open_lots",
	"open_recharge",
	"auto_recharge",
	"last_decision",
	"daily_usage",
	"held_because",
)


def addresses_in(text: str | None) -> list[str]:
	"""Addresses in a text, parted by spaces, commas, semicolons or line ends."""
	return [address for address in re.split(r"[\s,;]+", text or "") if address]


class CreditAccount(GuardedDocument):
	def check_if_latest(self):
		if not self.is_new():
			lock_row(self.name)
		super().check_if_latest()

	def validate(self):
		self._refuse_twin()
		self._keep_book()
		self._check_recipients()
		if self.time_zone:
			moments.zone_named(self.time_zone, _(self.meta.get_label("time_zone")))

	def _keep_book(self):
		"""What the book holds now, not what the form showed when it was opened."""
		before = self.get_doc_before_save()
		for column in BOOK_COLUMNS:
			new = 0 if column in ("balance", "sequence") else None
			self.set(column, before.get(column) if before else new)

	def _refuse_twin(self):
		twin = frappe.db.get_value(
			"Credit Account",
			{
				"customer": self.customer,
				"company": self.company,
				"currency": self.currency,
				"name": ["!=", self.name or ""],
			},
		)
		if twin:
			frappe.throw(
				_("{0} already has a credit account in {1} for {2}: {3}. Use that one.").format(
					self.customer, self.currency, self.company, twin
				),
				frappe.DuplicateEntryError,
				title=_("Credit account exists"),
			)

	def _check_recipients(self):
		for address in addresses_in(self.alert_recipients):
			frappe.utils.validate_email_address(address, throw=True)

	def db_update(self):
		self.flags.leave_book_alone = True
		try:
			super().db_update()
		finally:
			self.flags.leave_book_alone = False

	def db_set(self, fieldname, *args, **kwargs):
		names = fieldname if isinstance(fieldname, dict) else (fieldname,)
		if touched := sorted(set(BOOK_COLUMNS) & set(names)):
			frappe.throw(
				_("{0} of a credit account follows its ledger: charge, grant, adjust or recharge it.").format(
					", ".join(touched)
				),
				frappe.PermissionError,
				title=_("The book follows the ledger"),
			)
		return super().db_set(fieldname, *args, **kwargs)

	def get_valid_dict(self, *args, **kwargs):
		values = super().get_valid_dict(*args, **kwargs)
		if self.flags.leave_book_alone:
			for column in BOOK_COLUMNS:
				values.pop(column, None)
		return values

	def on_trash(self):
		if frappe.db.exists("Credit Ledger", {"credit_account": self.name}):
			frappe.throw(
				_(
					"Credit account {0} has movements and cannot be deleted. Set its status to Disabled."
				).format(self.name),
				title=_("Account has a ledger"),
			)


def on_doctype_update():
	frappe.db.add_index("Credit Account", ["customer", "company"])
	# Two requests at once would both see no twin.
	frappe.db.add_unique("Credit Account", ["customer", "company", "currency"])
