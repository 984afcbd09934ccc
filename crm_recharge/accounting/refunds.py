"""A refund in ERPNext's books: a credit note against the recharge's invoice, and the Payment Entry that pays it out.

One transaction, one commit, under the lock of the Recharge Refund's row, as for a recharge (posting.py). It
waits until the recharge's own invoice is written. A refund that the bank has returned takes its documents back.
What bought nothing was never invoiced: its capture and its refund pass the gateway's balance and cancel out.
"""

import frappe
from frappe import _
from frappe.utils import cint, get_datetime, now_datetime

from crm_recharge import clock, transactions
from crm_recharge.accounting import disputes, documents, invoiced, lookup, mailing, rows, takeback_rows
from crm_recharge.accounting.books import Books, books_of
from crm_recharge.accounting.custom_fields import REFUND
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.rows import DONE, FAILED, NOT_NEEDED, PENDING
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.money import exact, money
from crm_recharge.domain import takeback
from crm_recharge.intake import intake
from crm_recharge.outbox.attempt import attempt
from crm_recharge.setup import templates

DOCTYPE = "Recharge Refund"
JOB = takeback.ACCOUNT_FOR_REFUND
MAIL_CREDIT_NOTE = "mail_credit_note"
TEMPLATE = "Recharge Credit Note"
LINK = {"Sales Invoice": "credit_note", "Payment Entry": "payment_entry"}


def account_for(name: str) -> str:
	"""Write, submit and link the documents of a refund, then mail the credit note. Returns the accounting status.

	Owns its transactions, so it must run on its own: as a job, or with nothing written before it.
	"""
	with rows.acting_as("Administrator"):
		status = attempt(JOB, name, _post)
	if status == DONE:
		mail_credit_note(name)
	return status


@frappe.whitelist(methods=["POST"])
@intake
def retry(name: str) -> str:
	"""A person asks to try again now. Returns the accounting status. For the roles of rows.ROLES."""
	return takeback_rows.retry(DOCTYPE, name, JOB)


# -- the documents -------------------------------------------------------------------------------------------


@retry_on_contention
def _post(name: str) -> str:
	row = read(name)
	if row.accounting_status not in (PENDING, FAILED):
		return row.accounting_status or ""
	recharge = rows.read(row.recharge)
	if recharge.accounting_status not in (DONE, NOT_NEEDED):
		return takeback_rows.wait(
			DOCTYPE, name, _("Waits for the invoice of recharge {0}.").format(row.recharge)
		)
	books = invoice = None
	if recharge.accounting_status == DONE and row.status == takeback.SUCCEEDED:
		invoice = frappe.get_doc("Sales Invoice", recharge.sales_invoice)
		books = books_of(invoice, recharge)
		lookup.refuse_frozen(invoice.customer, [books.receivable, books.unearned, books.clearing])
	transactions.commit()

	row = read(name, lock=True)
	if row.accounting_status not in (PENDING, FAILED):
		frappe.db.rollback()
		return row.accounting_status or ""
	if row.status == takeback.FAILED:
		_take_back(row)
		takeback_rows.write(DOCTYPE, name, accounting_status=DONE, credit_note=None, payment_entry=None)
	elif not books:
		takeback_rows.write(DOCTYPE, name, accounting_status=NOT_NEEDED)
	elif not invoiced.is_bookable(row.amount, books):
		takeback_rows.write(
			DOCTYPE,
			name,
			accounting_status=NOT_NEEDED,
			accounting_error=invoiced.too_small(row.amount, books),
		)
		transactions.commit()
		return NOT_NEEDED
	else:
		if note := _existing("Sales Invoice", name):
			_must_be(row, note)
		else:
			note = make_credit_note(row, books, invoice)
		if entry := _existing("Payment Entry", name):
			documents.refuse_other_payment(entry, note)
		else:
			entry = documents.make_payment(books, note, row.gateway_refund, {REFUND: name})
		documents.check(books, note, entry)
		mail = cint(frappe.db.get_single_value("CRM Recharge Settings", "mail_invoices"))
		takeback_rows.write(
			DOCTYPE,
			name,
			accounting_status=DONE,
			credit_note=note.name,
			payment_entry=entry.name,
			accounting_next_try_at=clock.now_datetime() if mail and not row.credit_note_mailed_at else None,
		)
	transactions.commit()
	return NOT_NEEDED if row.status != takeback.FAILED and not books else DONE


def read(name: str, lock: bool = False):
	"""The refund's columns that matter here, its amount as Decimal. Raises DoesNotExistError."""
	rows = frappe.db.sql(
		"SELECT `name`, `recharge`, `credit_account`, `customer`, `company`, `status`, `kind`, `currency`, `intent`,"
		" `gateway_refund`, `ended_at`, `reason`, `accounting_status`, `credit_note`, `payment_entry`,"
		" `credit_note_mailed_at`, CAST(`amount` AS CHAR) AS `amount`, `accounting_tries` FROM `tabRecharge Refund`"
		f" WHERE `name` = %s{' FOR UPDATE' if lock else ''}",
		name,
		as_dict=True,
	)
	if not rows:
		raise frappe.DoesNotExistError(_("Recharge Refund {0} does not exist.").format(name))
	rows[0].amount = exact(rows[0].amount)
	return rows[0]


def make_credit_note(row, books: Books, invoice):
	"""Insert and submit the return of (part of) the recharge's invoice, at its rate and on its accounts."""
	return documents.make_credit_note(
		books,
		invoice,
		row.amount,
		disputes.taken_of(row.recharge, invoiced.figures_of(invoice), books),
		get_datetime(row.ended_at or now_datetime()),
		row.name,
		_("Refund {0} of recharge {1}, payment {2}").format(row.name, row.recharge, row.intent),
	)


def _must_be(row, note) -> None:
	if exact(note.grand_total) == -row.amount:
		return
	raise AccountingError(
		_("Credit note {0} comes to {1}, but {2} was refunded. Cancel or correct it.").format(
			note.name, money(-exact(note.grand_total), note.currency), money(row.amount, row.currency)
		)
	)


def _existing(doctype: str, name: str):
	"""The submitted document that carries this refund, if there is one. Raises AccountingError for a draft."""
	rows = frappe.get_all(
		doctype,
		{REFUND: name, "docstatus": ("<", 2)},
		["name", "docstatus"],
		order_by="docstatus desc, creation",
	)
	if rows and not rows[0].docstatus:
		raise AccountingError(
			_("{0} {1} for this refund is a draft. Submit it or delete it.").format(_(doctype), rows[0].name)
		)
	return frappe.get_doc(doctype, rows[0].name) if rows else None


def _take_back(row) -> None:
	"""The money came back: so do the documents, the payment first."""
	for doctype in ("Payment Entry", "Sales Invoice"):
		for name in frappe.get_all(doctype, {REFUND: row.name, "docstatus": 1}, pluck="name"):
			doc = frappe.get_doc(doctype, name)
			doc.flags.ignore_permissions = True
			doc.flags.by_refund = True
			doc.cancel()


def on_cancel(doc, method=None) -> None:
	"""Sales Invoice and Payment Entry, on_cancel: a person took it down; what comes next is a person's decision."""
	name = doc.get(REFUND)
	if not name or doc.flags.by_refund:
		return
	field = LINK[doc.doctype]
	if frappe.db.get_value(DOCTYPE, name, field, for_update=True) != doc.name:
		return
	takeback_rows.write(
		DOCTYPE,
		name,
		accounting_status=FAILED,
		accounting_error=_(
			"{0} {1} was cancelled by {2}. Amend it, or use Retry to have a new one written. Nothing happens by itself."
		).format(_(doc.doctype), doc.name, frappe.session.user),
		**{field: None},
	)


def on_submit(doc, method=None) -> None:
	"""Sales Invoice and Payment Entry, on_submit: an amended document takes the place of the cancelled one."""
	if doc.get(REFUND) and doc.get("amended_from"):
		takeback_rows.amended(DOCTYPE, doc.get(REFUND), JOB, **{LINK[doc.doctype]: doc.name})


# -- the mail ------------------------------------------------------------------------------------------------


def mail_credit_note(name: str) -> bool:
	"""Queue the credit note as a PDF, once. Whether it was queued now. A failure is tried again by the sweeper."""
	frappe.db.rollback()
	return attempt(MAIL_CREDIT_NOTE, name, _mail) or False


@retry_on_contention
def _mail(name: str) -> bool:
	row = read(name)
	if row.accounting_status != DONE or not row.credit_note or row.credit_note_mailed_at:
		return False
	if not cint(frappe.db.get_single_value("CRM Recharge Settings", "mail_invoices")):
		frappe.db.set_value(DOCTYPE, name, "accounting_next_try_at", None)
		transactions.commit()
		return False
	note = frappe.get_doc("Sales Invoice", row.credit_note)
	recipients = mailing.recipients_or_refuse(row)
	templates.get(TEMPLATE)
	# One that was missing is there from now on.
	transactions.commit()
	context = {
		"invoice": note,
		"refund": row,
		"customer_name": note.customer_name,
		"company": note.company,
		"amount": money(-exact(note.grand_total), note.currency),
		"original": note.return_against,
	}
	subject, message = templates.render(TEMPLATE, context)
	pdf = mailing.make_pdf(note)
	frappe.db.rollback()

	row = read(name, lock=True)
	if row.accounting_status != DONE or row.credit_note != note.name or row.credit_note_mailed_at:
		frappe.db.rollback()
		return False
	mailing.queue(note, recipients, subject, message, pdf)
	takeback_rows.write(DOCTYPE, name, accounting_status=DONE, credit_note_mailed_at=now_datetime())
	transactions.commit()
	return True


def say(error: Exception, trace: str, log: str | None, again: bool) -> dict[str, str]:
	"""What the refund keeps of a failure of its mail."""
	explained = rows.explain(error, log, again)
	return {"accounting_error": _("The credit note could not be mailed.") + " " + explained}
