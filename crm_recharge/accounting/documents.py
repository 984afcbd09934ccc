"""The two documents of a recharge: a Sales Invoice to unearned revenue, and the Payment Entry that pays it.

What they must say is settled by the payment alone: one item, the amount paid, no price list, discount, payment
term or tax that the settings do not name. ERPNext counts in floats; the amounts it arrives at are compared
with the payment as decimals before anything is submitted.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import frappe
from frappe import _
from frappe.model.base_document import get_controller
from frappe.utils import flt

from crm_recharge.accounting.custom_fields import RECHARGE
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import plain
from crm_recharge.people import contacts


@dataclass(frozen=True)
class Books:
	"""All that is looked up before the transaction: settings, accounts and rates.

	Rates are units of the company's currency for one of the other; finding one may ask a service on the
	network, which must not happen while a lock is held.
	"""

	company: str
	company_currency: str
	currency: str
	rate: float
	receivable: str
	unearned: str
	clearing: str
	clearing_currency: str
	item: str
	mode_of_payment: str
	cost_center: str
	price_list: str
	price_list_currency: str
	price_list_rate: float
	taxes_template: str | None


@dataclass(frozen=True)
class Payment:
	"""What was paid: `amount` in `currency`, at `settled_at` (the site's time), under payment `intent`."""

	recharge: str
	customer: str
	amount: Decimal
	currency: str
	intent: str
	settled_at: datetime


def make_invoice(payment: Payment, books: Books):
	"""Insert and submit the Sales Invoice. Raises AccountingError when its total is not the amount paid."""
	invoice = _invoice_class()(
		{
			"doctype": "Sales Invoice",
			"customer": payment.customer,
			"company": books.company,
			"set_posting_time": 1,
			"posting_date": payment.settled_at.date(),
			"posting_time": payment.settled_at.time(),
			"due_date": payment.settled_at.date(),
			"currency": books.currency,
			"conversion_rate": books.rate,
			"selling_price_list": books.price_list,
			"price_list_currency": books.price_list_currency,
			"plc_conversion_rate": books.price_list_rate,
			"ignore_pricing_rule": 1,
			"ignore_default_payment_terms_template": 1,
			"disable_rounded_total": 1,
			"debit_to": books.receivable,
			"update_stock": 0,
			"cost_center": books.cost_center,
			"remarks": _("Recharge {0}, payment {1}").format(payment.recharge, payment.intent),
			RECHARGE: payment.recharge,
		}
	)
	invoice.append(
		"items",
		{
			"item_code": books.item,
			"qty": 1,
			"rate": float(payment.amount),
			"price_list_rate": float(payment.amount),
			"income_account": books.unearned,
			"cost_center": books.cost_center,
		},
	)
	for row in _included_taxes(books.taxes_template):
		invoice.append("taxes", row)
	invoice.taxes_and_charges = books.taxes_template
	_fill_dimensions(invoice, *invoice.items, *invoice.taxes)
	contacts.put_on(invoice, payment.customer)
	invoice.flags.ignore_permissions = True
	invoice.insert()
	_must_be(payment, invoice)
	invoice.submit()
	return invoice


def make_payment(payment: Payment, books: Books, invoice):
	"""Insert and submit the Payment Entry that pays `invoice` into the clearing account."""
	outstanding = flt(frappe.db.get_value("Sales Invoice", invoice.name, "outstanding_amount"))
	# The clearing account is in the company's currency or in that of the payment.
	received = invoice.base_grand_total
	clearing_rate = 1.0
	if books.clearing_currency != books.company_currency:
		received, clearing_rate = invoice.grand_total, books.rate
	party_currency = invoice.party_account_currency
	entry = frappe.new_doc("Payment Entry")
	entry.update(
		{
			"payment_type": "Receive",
			"company": books.company,
			"posting_date": payment.settled_at.date(),
			"mode_of_payment": books.mode_of_payment,
			"party_type": "Customer",
			"party": payment.customer,
			"paid_from": invoice.debit_to,
			"paid_from_account_currency": party_currency,
			"paid_to": books.clearing,
			"paid_to_account_currency": books.clearing_currency,
			"source_exchange_rate": 1.0 if party_currency == books.company_currency else books.rate,
			"target_exchange_rate": clearing_rate,
			"paid_amount": outstanding,
			"received_amount": received,
			"reference_no": payment.intent,
			"reference_date": payment.settled_at.date(),
			"cost_center": books.cost_center,
			RECHARGE: payment.recharge,
		}
	)
	entry.append(
		"references",
		{
			"reference_doctype": "Sales Invoice",
			"reference_name": invoice.name,
			"allocated_amount": outstanding,
		},
	)
	_fill_dimensions(entry)
	entry.flags.ignore_permissions = True
	entry.insert()
	if entry.unallocated_amount or entry.difference_amount:
		raise AccountingError(
			_(
				"Payment Entry for {0}: {1} {2} could not be allocated, difference {3}. Check the exchange rates."
			).format(payment.recharge, entry.unallocated_amount, party_currency, entry.difference_amount)
		)
	entry.submit()
	return entry


def refuse_frozen(customer: str, accounts: list[str]) -> None:
	"""Raise AccountingError for a frozen customer or account.

	ERPNext leaves that to the poster's roles, and a background job has them all.
	"""
	if frappe.db.get_value("Customer", customer, "is_frozen"):
		raise AccountingError(
			_("Customer {0} is frozen. Untick “Is Frozen” in the customer.").format(customer)
		)
	frozen = frappe.get_all("Account", {"name": ("in", accounts), "freeze_account": "Yes"}, pluck="name")
	if frozen:
		raise AccountingError(
			_("Account {0} is frozen. Unfreeze it, or choose another in CRM Recharge Settings.").format(
				frozen[0]
			)
		)


def tax_accounts(template: str | None) -> list[str]:
	"""The accounts a taxes template posts to."""
	if not template:
		return []
	return frappe.get_all("Sales Taxes and Charges", {"parent": template}, pluck="account_head")


def _invoice_class():
	"""The site's own Sales Invoice, less what it takes from elsewhere than the payment."""

	class PaidInvoice(get_controller("Sales Invoice")):
		def set_missing_lead_customer_details(self, *args, **kwargs):
			template = self.taxes_and_charges
			super().set_missing_lead_customer_details(*args, **kwargs)
			# The customer's payment terms and tax rules: this is paid, and its taxes are in the settings.
			self.payment_terms_template = None
			self.taxes_and_charges = template

		def set_missing_item_details(self, *args, **kwargs):
			# With a price list in sight ERPNext would write the amount there as the item's price.
			price_list, self.selling_price_list = self.selling_price_list, None
			try:
				super().set_missing_item_details(*args, **kwargs)
			finally:
				self.selling_price_list = price_list

		def set_taxes_and_charges(self):
			"""None from the item's tax template: the taxes stand already."""

		def so_dn_required(self):
			"""The payment is the order."""

		def check_credit_limit(self):
			"""Paid in the same transaction: it lends the customer nothing."""

	return PaidInvoice


def _included_taxes(template: str | None) -> list[dict]:
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
		rows.append({**row, "included_in_print_rate": 1})
	return rows


def _must_be(payment: Payment, invoice) -> None:
	"""The invoice asks for what was paid, to the last digit."""
	if exact(invoice.grand_total) == payment.amount and not flt(invoice.rounding_adjustment):
		return
	raise AccountingError(
		_(
			"The invoice would come to {0} {2}, but {1} {2} was paid (net {3}, taxes {4}). Look for a tax"
			" withholding, a discount, or a rounding of {2} to fewer digits than the payment has."
		).format(
			invoice.grand_total,
			plain(payment.amount),
			payment.currency,
			invoice.net_total,
			invoice.total_taxes_and_charges,
		)
	)


def _fill_dimensions(*documents) -> None:
	"""Default accounting dimensions of the company, which ERPNext fills in on the form only."""
	from erpnext.accounts.doctype.accounting_dimension.accounting_dimension import (
		get_checks_for_pl_and_bs_accounts,
	)

	company = documents[0].company
	for row in get_checks_for_pl_and_bs_accounts():
		if row.company != company or not row.default_dimension:
			continue
		for document in documents:
			if document.meta.has_field(row.fieldname) and not document.get(row.fieldname):
				document.set(row.fieldname, row.default_dimension)
