"""Writing a recharge into ERPNext's books: a background job that may run twice, die anywhere, and try again.

One transaction, one commit: lock the Recharge row, look for what is there, write the Sales Invoice and the
Payment Entry, read in the general ledger that it says what was paid, link them on the Recharge. Whoever comes second waits for the lock and finds the work done.
The credits are never touched: what fails here is shown on the Recharge and tried again.

`accounting_next_try_at` is the one mark of work that is due: for a recharge that waits for its documents, and
for one whose invoice waits to be mailed. Failed without it waits for a person.
"""

import frappe
from frappe import _
from frappe.utils import cint, get_datetime, now_datetime

from crm_recharge import clock, transactions
from crm_recharge.accounting import documents, invoiced, lookup
from crm_recharge.accounting.books import Payment
from crm_recharge.accounting.custom_fields import RECHARGE
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.mailing import mail_invoice
from crm_recharge.accounting.rows import (
	DONE,
	NOT_NEEDED,
	PENDING,
	ROLES,
	SETTLED,
	acting_as,
	read,
)
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import plain
from crm_recharge.domain.payment import ACCOUNT_FOR
from crm_recharge.intake import intake
from crm_recharge.outbox import changes
from crm_recharge.outbox.attempt import attempt
from crm_recharge.outbox.queue import enqueue_after_commit

# -- asking for it -----------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@intake
def retry(recharge: str) -> str:
	"""A person asks to try again now. Returns the accounting status. For the roles in ROLES."""
	frappe.only_for(ROLES)
	doc = frappe.get_doc("Recharge", recharge)
	doc.check_permission("read")
	if doc.status not in SETTLED or not doc.settled_intent:
		frappe.throw(_("Recharge {0} is not paid, there is nothing to book.").format(recharge))
	mail_due = doc.accounting_status == DONE and not doc.invoice_mailed_at
	if doc.accounting_status != DONE or mail_due:
		changes.write(
			"Recharge",
			recharge,
			{
				"accounting_status": DONE if mail_due else PENDING,
				"accounting_next_try_at": clock.now_datetime(),
				"accounting_error": None,
			},
		)
		enqueue_after_commit(ACCOUNT_FOR, recharge)
	return frappe.db.get_value("Recharge", recharge, "accounting_status")


# -- doing it ----------------------------------------------------------------------------------------------


def account_for(recharge: str) -> str:
	"""Write, submit and link the documents of a settled recharge, then mail the invoice.

	Owns its transactions, so it must run on its own: as a job, or with nothing written before it.
	Returns the accounting status (Done, Failed, Not Needed), or "" while the recharge is not settled.
	"""
	with acting_as("Administrator"):
		status = attempt(ACCOUNT_FOR, recharge, _post)
		if status == DONE:
			mail_invoice(recharge)
	return status


@retry_on_contention
def _post(recharge: str) -> str:
	frappe.db.rollback()
	row = read(recharge)
	if (status := _nothing_to_do(row)) is not None:
		return status
	make_invoices = cint(frappe.db.get_single_value("CRM Recharge Settings", "make_invoices"))
	books = lookup.look_up(row) if make_invoices else None
	# What the look-up made (a receivable account) stays; the transaction that locks starts with a new snapshot.
	transactions.commit()

	row = read(recharge, lock=True)
	if (status := _nothing_to_do(row)) is not None:
		frappe.db.rollback()
		return status
	if not books:
		_write(recharge, accounting_status=NOT_NEEDED)
		transactions.commit()
		return NOT_NEEDED

	payment = Payment(
		recharge=recharge,
		customer=row.customer,
		amount=row.amount,
		currency=row.currency,
		intent=row.settled_intent,
		settled_at=get_datetime(row.settled_at) if row.settled_at else now_datetime(),
	)
	if not invoiced.is_bookable(payment.amount, books):
		_write(
			recharge,
			accounting_status=NOT_NEEDED,
			accounting_error=invoiced.too_small(payment.amount, books),
		)
		transactions.commit()
		return NOT_NEEDED
	invoice = _existing_invoice(payment) or documents.make_invoice(payment, books)
	entry = _existing_payment(payment, invoice) or documents.make_payment(
		books, invoice, payment.intent, {RECHARGE: recharge}
	)
	documents.check(books, invoice, entry)
	mail = cint(frappe.db.get_single_value("CRM Recharge Settings", "mail_invoices"))
	_write(
		recharge,
		accounting_status=DONE,
		sales_invoice=invoice.name,
		payment_entry=entry.name,
		accounting_next_try_at=clock.now_datetime() if mail and not row.invoice_mailed_at else None,
	)
	transactions.commit()
	return DONE


def _nothing_to_do(row) -> str | None:
	if row.accounting_status in (DONE, NOT_NEEDED):
		return row.accounting_status
	if row.status not in SETTLED or not row.settled_intent:
		return ""
	return None


def _existing_invoice(payment: Payment):
	"""The submitted invoice of this recharge, if there is one, after checking that it is the right one."""
	rows = frappe.get_all(
		"Sales Invoice",
		filters={RECHARGE: payment.recharge, "docstatus": ("<", 2), "is_return": 0},
		fields=["name", "docstatus"],
		order_by="docstatus desc, creation",
	)
	if not rows:
		return None
	if not rows[0].docstatus:
		raise AccountingError(
			_("Sales Invoice {0} for this recharge is a draft. Submit it or delete it.").format(rows[0].name)
		)
	invoice = frappe.get_doc("Sales Invoice", rows[0].name)
	if (
		exact(invoice.grand_total) != payment.amount
		or invoice.currency != payment.currency
		or invoice.customer != payment.customer
	):
		raise AccountingError(
			_("Sales Invoice {0} is over {1} {2} to {3}, but {4} paid {5} {6}. Cancel or amend it.").format(
				invoice.name,
				plain(exact(invoice.grand_total)),
				invoice.currency,
				invoice.customer,
				payment.customer,
				plain(payment.amount),
				payment.currency,
			)
		)
	return invoice


def _existing_payment(payment: Payment, invoice):
	"""The submitted payment entry of this recharge, if there is one, after checking that it pays `invoice`."""
	rows = frappe.get_all(
		"Payment Entry",
		filters={RECHARGE: payment.recharge, "docstatus": ("<", 2), "payment_type": "Receive"},
		fields=["name", "docstatus"],
		order_by="docstatus desc, creation",
	)
	if not rows:
		return None
	entry = frappe.get_doc("Payment Entry", rows[0].name)
	documents.refuse_other_payment(entry, invoice)
	return entry


def _write(recharge: str, **values) -> None:
	changes.write(
		"Recharge",
		recharge,
		{"accounting_error": None, "accounting_tries": 0, "accounting_next_try_at": None, **values},
	)
