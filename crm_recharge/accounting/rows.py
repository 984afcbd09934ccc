"""A recharge as its accounting sees it: the fields of its row, the words for its state, why it is tried again.

`accounting_status`, `accounting_error`, `accounting_tries` and `accounting_next_try_at` are the same on refunds and
disputes (see takeback_rows.py).
"""

import traceback
from contextlib import contextmanager

import frappe
from frappe import _
from frappe.query_builder.functions import Cast
from frappe.utils import strip_html

from crm_recharge.contention import is_contention
from crm_recharge.credits.money import exact
from crm_recharge.domain.back_off import minutes

PENDING, DONE, FAILED, NOT_NEEDED = "Pending", "Done", "Failed", "Not Needed"

# A payment that was taken back later was taken first: it is invoiced, and the credit note answers it.
SETTLED = ("Succeeded", "Partly Refunded", "Refunded", "Disputed", "Charged Back")

ROLES = ("System Manager", "Accounts Manager", "Credit Manager")

BACK_OFF = minutes(2, 10, 60, 360, 1440)
"""Between two tries; the last one again and again: a period may be reopened next week."""


def read(recharge: str, lock: bool = False):
	"""The recharge's columns that matter here, its amount as Decimal; customer, company and currency fall back
	to the credit account's. Raises DoesNotExistError."""
	table = frappe.qb.DocType("Recharge")
	query = (
		frappe.qb.from_(table)
		.select(
			table.name,
			table.status,
			table.customer,
			table.company,
			table.currency,
			table.credit_account,
			Cast(table.amount, "CHAR").as_("amount"),
			table.settled_intent,
			table.settled_at,
			table.accounting_status,
			table.accounting_tries,
			table.accounting_next_try_at,
			table.sales_invoice,
			table.payment_entry,
			table.invoice_mailed_at,
		)
		.where(table.name == recharge)
	)
	rows = (query.for_update() if lock else query).run(as_dict=True)
	if not rows:
		raise frappe.DoesNotExistError(_("Recharge {0} does not exist.").format(recharge))
	row = rows[0]
	row.amount = exact(row.amount)
	if not (row.customer and row.company and row.currency):
		account = frappe.db.get_value(
			"Credit Account", row.credit_account, ["customer", "company", "currency"], as_dict=True
		)
		for field in ("customer", "company", "currency"):
			row[field] = row[field] or (account or {}).get(field)
	return row


def say(error: Exception, trace: str, log: str | None, again: bool) -> dict[str, str]:
	"""What the row keeps of a failure of its documents."""
	return {"accounting_error": explain(error, log, again)}


def explain(error: Exception, log: str | None = None, again: bool = True) -> str:
	"""What went wrong and what to do, for a person: the message, and advice where ERPNext's gives none.

	`again`: whether it is tried again without anybody's doing.
	"""
	text, advice = _sentence(strip_html(str(error)).strip()), _advice(error)
	if is_contention(error):
		text = _("The database was busy.")
	elif not isinstance(error, frappe.ValidationError):
		text = f"{type(error).__name__}: {text}"
		advice = _("See Error Log {0}.").format(log) if log else ""
	outlook = _("It is tried again by itself.") if again else _("Use Retry when that is done.")
	return " ".join(part for part in (text, advice, outlook) if part)


def _sentence(text: str) -> str:
	return text if not text or text.endswith((".", "!", "?", "…")) else f"{text}."


def _advice(error: Exception) -> str:
	"""What to do where ERPNext only says what is wrong."""
	from erpnext.accounts.doctype.accounting_period.accounting_period import ClosedAccountingPeriod
	from erpnext.accounts.doctype.budget.budget import BudgetError
	from erpnext.accounts.utils import FiscalYearError
	from erpnext.exceptions import (
		InvalidAccountDimensionError,
		MandatoryAccountDimensionError,
		PartyDisabled,
		PartyFrozen,
	)

	advice = {
		PartyDisabled: _("Enable the customer, or book this payment by hand."),
		PartyFrozen: _("Untick “Is Frozen” in the customer, or book this payment by hand."),
		ClosedAccountingPeriod: _(
			"Reopen the period for Sales Invoice, Payment Entry and Journal Entry, or book this payment by hand."
		),
		FiscalYearError: _("Create the Fiscal Year, or add the company to it."),
		BudgetError: _("Raise the budget, or book this payment by hand."),
		MandatoryAccountDimensionError: _("Look at the Accounting Dimension Filters of this account."),
		InvalidAccountDimensionError: _("Look at the Accounting Dimension Filters of this account."),
	}
	known = next((text for kind, text in advice.items() if isinstance(error, kind)), "")
	return known or _advice_on_closed_books(error)


def _advice_on_closed_books(error: Exception) -> str:
	"""What to do where ERPNext refuses a date with a bare error: only where it did so tells which."""
	refused_in = {frame.f_code.co_name for frame, _line in traceback.walk_tb(error.__traceback__)}
	if "check_freezing_date" in refused_in:
		return _("Move “Accounts Frozen Till Date”, or book this payment by hand.")
	if "validate_against_pcv" in refused_in:
		return _("Cancel the Period Closing Voucher, or book this payment by hand.")
	return ""


@contextmanager
def acting_as(user: str):
	"""Run the block as `user`; what it would have shown to a person is dropped."""
	before = frappe.session.user
	if before != user:
		frappe.set_user(user)
	try:
		yield
	finally:
		frappe.clear_messages()
		if before != user:
			frappe.set_user(before)
