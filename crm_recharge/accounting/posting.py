"""Writing a recharge into ERPNext's books: a background job that may run twice, die anywhere, and try again.

One transaction, one commit: lock the Recharge row, look for what is there, write the Sales Invoice and the
Payment Entry, read in the general ledger that it says what was paid, link them on the Recharge. Whoever comes second waits for the lock and finds the work done.
The credits are never touched: what fails here is shown on the Recharge and tried again.

`accounting_next_try_at` is the one mark of work that is due: for a recharge that waits for its documents, and
for one whose invoice waits to be mailed. Failed without it waits for a person.
"""

from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import cint, get_datetime, now_datetime

from crm_recharge.accounting import documents, general_ledger, vouchers
from crm_recharge.accounting.custom_fields import RECHARGE
from crm_recharge.accounting.documents import Books, Payment
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.mailing import mail_invoice
from crm_recharge.accounting.receivable import receivable_account
from crm_recharge.accounting.rows import (
	DONE,
	FAILED,
	NOT_NEEDED,
	PENDING,
	ROLES,
	SETTLED,
	acting_as,
	explain,
	log_failure,
	next_try,
	read,
)
from crm_recharge.accounting.setup import company_settings
from crm_recharge.credits.contention import retry_on_contention
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import plain
from crm_recharge.domain.voucher import RATE_PLACES, rounded
from crm_recharge.intake import intake
from crm_recharge.recharge.queue import enqueue_after_commit

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
		frappe.db.set_value(
			"Recharge",
			recharge,
			{
				"accounting_status": DONE if mail_due else PENDING,
				"accounting_next_try_at": now_datetime(),
				"accounting_error": None,
			},
		)
		enqueue_after_commit("account_for", recharge)
	return frappe.db.get_value("Recharge", recharge, "accounting_status")


# -- doing it ----------------------------------------------------------------------------------------------


def account_for(recharge: str) -> str:
	"""Write, submit and link the documents of a settled recharge, then mail the invoice.

	Owns its transactions, so it must run on its own: as a job, or with nothing written before it.
	Returns the accounting status (Done, Failed, Not Needed), or "" while the recharge is not settled.
	"""
	if frappe.db.transaction_writes:
		raise RuntimeError("account_for commits and rolls back: enqueue it, or commit first")
	with acting_as("Administrator"):
		try:
			status = _post(recharge)
		except frappe.DoesNotExistError:
			frappe.db.rollback()
			raise
		except Exception as error:
			trace = frappe.get_traceback()
			frappe.db.rollback()
			status = _record_failure(recharge, error, trace)
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
	books = look_up(row) if make_invoices else None
	# What the look-up made (a receivable account) stays; the transaction that locks starts with a new snapshot.
	frappe.db.commit()

	row = read(recharge, lock=True)
	if (status := _nothing_to_do(row)) is not None:
		frappe.db.rollback()
		return status
	if not books:
		_write(recharge, accounting_status=NOT_NEEDED)
		frappe.db.commit()
		return NOT_NEEDED

	payment = Payment(
		recharge=recharge,
		customer=row.customer,
		amount=row.amount,
		currency=row.currency,
		intent=row.settled_intent,
		settled_at=get_datetime(row.settled_at) if row.settled_at else now_datetime(),
	)
	if not documents.is_bookable(payment.amount, books):
		_write(
			recharge,
			accounting_status=NOT_NEEDED,
			accounting_error=documents.too_small(payment.amount, books),
		)
		frappe.db.commit()
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
		accounting_next_try_at=now_datetime() if mail and not row.invoice_mailed_at else None,
	)
	frappe.db.commit()
	return DONE


def _nothing_to_do(row) -> str | None:
	if row.accounting_status in (DONE, NOT_NEEDED):
		return row.accounting_status
	if row.status not in SETTLED or not row.settled_intent:
		return ""
	return None


def look_up(row) -> Books:
	"""Settings, accounts and exchange rates. May make a receivable account; may ask the network for a rate."""
	settings = company_settings(row.company)
	company_currency = frappe.get_cached_value("Company", row.company, "default_currency")
	posted_on = get_datetime(row.settled_at).date() if row.settled_at else now_datetime().date()
	check_currencies(settings, company_currency, row.currency)
	receivable = receivable_account(row.customer, row.company, row.currency)
	taxes = included_taxes(settings.taxes_template)
	refuse_frozen(
		row.customer,
		[
			receivable,
			settings.unearned_revenue_account,
			settings.clearing_account,
			*(tax["account_head"] for tax in taxes),
		],
	)
	rate = exchange_rate(row.currency, company_currency, posted_on)
	list_, list_currency = price_list(row.company)
	cost_center = settings.cost_center or frappe.get_cached_value("Company", row.company, "cost_center")
	return Books(
		company=row.company,
		company_currency=company_currency,
		currency=row.currency,
		rate=rate,
		receivable=receivable,
		unearned=settings.unearned_revenue_account,
		clearing=settings.clearing_account,
		item=settings.item,
		mode_of_payment=settings.mode_of_payment,
		cost_center=cost_center,
		price_list=list_,
		price_list_currency=list_currency,
		# Without a rate ERPNext would ask the network for one; no price is taken from the list.
		price_list_rate=float(rate) if list_currency == row.currency else 1.0,
		taxes_template=settings.taxes_template or None,
		taxes=tuple({"cost_center": cost_center} | tax for tax in taxes),
		dimensions=vouchers.default_dimensions(row.company),
		split=general_ledger.split_of(row.company, cost_center, posted_on),
	)


def check_currencies(settings, company_currency: str, currency: str) -> None:
	"""Raise AccountingError where the company's accounts cannot take an amount in `currency`."""
	for field in ("unearned_revenue_account", "clearing_account"):
		account = settings.get(field)
		kept_in = general_ledger.account_currency(account, company_currency)
		if kept_in not in (company_currency, currency):
			raise AccountingError(
				_("{0} {1} is in {2}. For a recharge in {3} it must be in {3} or {4}.").format(
					_(settings.meta.get_label(field)), account, kept_in, currency, company_currency
				)
			)


def refuse_frozen(customer: str, accounts: list[str]) -> None:
	"""Raise AccountingError for a frozen customer or account.

	ERPNext leaves that to the poster's roles, and a background job has them all.
	"""
	if frappe.db.get_value("Customer", customer, "is_frozen"):
		raise AccountingError(
			_("Customer {0} is frozen. Untick “Is Frozen” in the customer.").format(customer)
		)
	refuse_frozen_accounts(accounts)


def refuse_frozen_accounts(accounts: list[str]) -> None:
	"""Raise AccountingError for a frozen account."""
	frozen = frappe.get_all("Account", {"name": ("in", accounts), "freeze_account": "Yes"}, pluck="name")
	if frozen:
		raise AccountingError(
			_("Account {0} is frozen. Unfreeze it, or choose another in CRM Recharge Settings.").format(
				frozen[0]
			)
		)


def included_taxes(template: str | None) -> list[dict]:
	"""The rows of a taxes template, contained in the amount. Raises AccountingError for a tax that cannot be."""
	if not template:
		return []
	from erpnext.controllers.accounts_controller import get_taxes_and_charges

	rows = []
	for row in get_taxes_and_charges("Sales Taxes and Charges Template", template) or []:
		if row.get("charge_type") == "Actual":
			raise AccountingError(
				_(
					"Taxes template {0}, row {1}: a tax of type “Actual” cannot be contained in the amount paid. Use a"
					" rate, or another template in CRM Recharge Settings."
				).format(template, row.get("idx") or len(rows) + 1)
			)
		given = {name: value for name, value in row.items() if value is not None and name != "idx"}
		rows.append({**given, "included_in_print_rate": 1})
	return rows


def exchange_rate(currency: str, company_currency: str, on) -> Decimal:
	"""Units of `company_currency` for one of `currency` on that day, for selling, as ERPNext keeps it.

	Raises AccountingError where there is none.
	"""
	from erpnext.setup.utils import get_exchange_rate

	if currency == company_currency:
		return Decimal(1)
	rate = rounded(exact(get_exchange_rate(currency, company_currency, on, "for_selling")), RATE_PLACES)
	if rate <= 0:
		raise AccountingError(
			_("No exchange rate from {0} to {1} for {2}. Add a Currency Exchange record for selling.").format(
				currency, company_currency, on
			)
		)
	return rate


def price_list(company: str) -> tuple[str, str]:
	"""Any selling price list: an invoice must name one, though none has a say in the amount.

	One in the company's currency where there is one: it needs no exchange rate.
	"""
	lists = frappe.get_all(
		"Price List", filters={"selling": 1, "enabled": 1}, fields=["name", "currency"], order_by="creation"
	)
	if not lists:
		raise AccountingError(_("There is no enabled selling Price List; an invoice needs one. Make one."))
	default = frappe.db.get_single_value("Selling Settings", "selling_price_list")
	currency = frappe.get_cached_value("Company", company, "default_currency")
	chosen = min(lists, key=lambda row: (row.currency != currency, row.name != default))
	return chosen.name, chosen.currency


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
	pays = any(
		row.reference_doctype == "Sales Invoice" and row.reference_name == invoice.name
		for row in entry.references
	)
	if entry.docstatus != 1 or not pays:
		raise AccountingError(
			_(
				"Payment Entry {0} for this recharge does not pay Sales Invoice {1}. Cancel or delete it."
			).format(entry.name, invoice.name)
		)
	return entry


def _write(recharge: str, **values) -> None:
	frappe.db.set_value(
		"Recharge",
		recharge,
		{"accounting_error": None, "accounting_tries": 0, "accounting_next_try_at": None, **values},
	)


# -- when it fails -----------------------------------------------------------------------------------------


@retry_on_contention
def _record_failure(recharge: str, error: Exception, trace: str) -> str:
	row = read(recharge, lock=True)
	if row.accounting_status in (DONE, NOT_NEEDED):
		# Another worker has succeeded meanwhile.
		frappe.db.rollback()
		return row.accounting_status
	tries = cint(row.accounting_tries) + 1
	log = log_failure(f"Accounting for recharge {recharge}", recharge, error, trace, tries)
	_write(
		recharge,
		accounting_status=FAILED,
		accounting_error=explain(error, log),
		accounting_tries=tries,
		accounting_next_try_at=next_try(tries, now_datetime()),
	)
	frappe.db.commit()
	return FAILED
