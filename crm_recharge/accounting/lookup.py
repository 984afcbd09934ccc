"""What is looked up before a recharge is booked: settings, accounts, taxes, exchange rates."""

from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import get_datetime, now_datetime

from crm_recharge.accounting import general_ledger, vouchers
from crm_recharge.accounting.books import Books
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.receivable import receivable_account
from crm_recharge.accounting.setup import company_settings
from crm_recharge.credits.money import exact
from crm_recharge.domain.voucher import RATE_PLACES, rounded

POSTED = ("unearned_revenue_account", "clearing_account")
"""The accounts of a company's row to which a recharge itself is posted."""


def look_up(row) -> Books:
	"""Settings, accounts and exchange rates. May make a receivable account; may ask the network for a rate."""
	settings = company_settings(row.company)
	company_currency = frappe.get_cached_value("Company", row.company, "default_currency")
	posted_on = get_datetime(row.settled_at).date() if row.settled_at else now_datetime().date()
	check_currencies(settings, company_currency, row.currency, POSTED)
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


def check_currencies(settings, company_currency: str, currency: str, fields: tuple[str, ...]) -> None:
	"""Raise AccountingError where an account of the company's row in `fields`, or of its taxes, cannot take an amount
	in `currency`."""
	for field in fields:
		if account := settings.get(field):
			label = _(settings.meta.get_label(field))
			check_currency(label, account, company_currency, currency)
	if settings.taxes_template:
		for account in frappe.get_all(
			"Sales Taxes and Charges",
			{"parent": settings.taxes_template},
			pluck="account_head",
			distinct=True,
		):
			check_currency(_("Tax account"), account, company_currency, currency)


def check_currency(label: str, account: str, company_currency: str, currency: str) -> None:
	"""Raise AccountingError where `account`, called `label`, cannot take an amount in `currency`."""
	kept_in = general_ledger.account_currency(account, company_currency)
	if kept_in in (company_currency, currency):
		return
	if currency == company_currency:
		text = _("{0} {1} is in {2}. For payments in {3} it must be in {3}.")
	else:
		text = _("{0} {1} is in {2}. For payments in {3} it must be in {3} or {4}.")
	raise AccountingError(text.format(label, account, kept_in, currency, company_currency))


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
