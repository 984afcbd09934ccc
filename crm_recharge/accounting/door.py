"""What could never be booked is refused at the door, with a way out: an account, a setting, a merge.

What may pass by itself (a closed period, a service that gives no rate today) is no reason: it is tried again.
"""

import frappe
from frappe import _
from frappe.utils import cint, getdate, now_datetime

from crm_recharge.accounting import general_ledger, lookup
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.receivable import receivable_account
from crm_recharge.accounting.setup import ACCOUNTS, SETTINGS, company_settings
from crm_recharge.domain.money import charged_places

MERGED = {
	"Customer": ("customer", "company", "currency"),
	"Company": ("company", "customer", "currency"),
	"Currency": ("currency", "customer", "company"),
}
"""DocType -> its field on a Credit Account, and the others that together are one account's alone."""

ALL = tuple(plan.fieldname for plan in ACCOUNTS)

KEPT_FOR_OTHERS = ("Receivable", "Payable", "Stock", "Depreciation")
"""Account types to which ERPNext posts from some documents only, or with a party only."""


def _invoicing() -> bool:
	return bool(cint(frappe.db.get_single_value(SETTINGS, "make_invoices")))


# -- a credit account --------------------------------------------------------------------------------------


def on_account(doc, method=None) -> None:
	"""Credit Account, before_insert: refuse one whose recharges could never be booked."""
	if not (_invoicing() and doc.customer and doc.company and doc.currency):
		return
	company_currency = frappe.get_cached_value("Company", doc.company, "default_currency")
	if not company_currency:
		return
	_refuse_lost_decimals(doc.currency)
	_refuse_customer(doc.customer, doc.company)
	settings = company_settings(doc.company)
	_refuse_unusable(settings)
	lookup.check_currencies(settings, company_currency, doc.currency, ALL)
	_refuse_taxes(settings)
	lookup.price_list(doc.company)
	receivable_account(doc.customer, doc.company, doc.currency, make=False)
	if cint(frappe.db.get_single_value("Currency Exchange Settings", "disabled")):
		# Otherwise a service may have it, which is not asked in the middle of a transaction.
		lookup.exchange_rate(doc.currency, company_currency, now_datetime().date())


def _refuse_lost_decimals(currency: str) -> None:
	if charged_places(currency) > (places := general_ledger.places()):
		raise AccountingError(
			_(
				"This site keeps amounts with {0} decimals, and amounts in {1} have {2}: they could not be booked. Raise"
				" Currency Precision in System Settings."
			).format(places, currency, charged_places(currency))
		)


def _refuse_customer(customer: str, company: str) -> None:
	row = frappe.db.get_value(
		"Customer", customer, ["disabled", "is_frozen", "is_internal_customer"], as_dict=True
	)
	if not row:
		return
	if row.disabled:
		raise AccountingError(_("Customer {0} is disabled. Enable the customer first.").format(customer))
	lookup.refuse_frozen(customer, [])
	allowed = {"parenttype": "Customer", "parent": customer, "company": company}
	if row.is_internal_customer and not frappe.db.exists("Allowed To Transact With", allowed):
		raise AccountingError(
			_(
				"{0} is an internal customer, and may not transact with {1}. Add the company in the customer, under"
				" Internal Customer."
			).format(customer, company)
		)


# -- the settings ------------------------------------------------------------------------------------------


def on_settings(doc, method=None) -> None:
	"""CRM Recharge Settings, validate: refuse what was chosen anew for a company and cannot be posted to."""
	before = doc.get_doc_before_save()
	known = {row.company: row for row in (before.companies if before else ())}
	for row in doc.companies:
		if not _same(row, known.get(row.company)):
			_refuse_unusable(row)
			_refuse_taxes(row)
			_refuse_currencies(row)


def _same(row, before) -> bool:
	fields = [field.fieldname for field in row.meta.get_link_fields()]
	return bool(before) and all(row.get(field) == before.get(field) for field in fields)


def _refuse_currencies(row) -> None:
	"""The accounts must take every currency in which the company's customers hold credits, and its own."""
	company_currency = frappe.get_cached_value("Company", row.company, "default_currency")
	held = frappe.get_all("Credit Account", {"company": row.company}, pluck="currency", distinct=True)
	for currency in held or [company_currency]:
		lookup.check_currencies(row, company_currency, currency, ALL)


def _refuse_taxes(row) -> None:
	"""The template must be enabled, its accounts open ledgers, and its taxes such as an amount can contain."""
	if not row.taxes_template:
		return
	disabled = frappe.db.get_value("Sales Taxes and Charges Template", row.taxes_template, "disabled")
	_refuse_closed(row, "taxes_template", frappe._dict(name=row.taxes_template, disabled=disabled))
	heads = [tax["account_head"] for tax in lookup.included_taxes(row.taxes_template)]
	for account in _accounts_named(heads):
		_refuse_closed(row, "taxes_template", account)


def _accounts_named(names: list[str]) -> list:
	wanted = ["name", "is_group", "disabled", "account_type"]
	return frappe.get_all("Account", {"name": ("in", names or [""])}, wanted)


def _refuse_unusable(row) -> None:
	"""Accounts must be open ledgers, the cost centre no group, and the item one that can be sold."""
	accounts = {row.get(plan.fieldname): plan.fieldname for plan in ACCOUNTS if row.get(plan.fieldname)}
	for account in _accounts_named(list(accounts)):
		_refuse_closed(row, accounts[account.name], account)
		_refuse_type(row, accounts[account.name], account)
	_refuse_one_for_two(row)
	for field, doctype in (("cost_center", "Cost Center"), ("mode_of_payment", "Mode of Payment")):
		if not row.get(field):
			continue
		wanted = ["name", "is_group", "disabled"] if field == "cost_center" else ["name", "enabled"]
		found = frappe.db.get_value(doctype, row.get(field), wanted, as_dict=True)
		if found and field == "mode_of_payment":
			found.disabled = not found.enabled
		_refuse_closed(row, field, found)
	_refuse_item(row)


def _refuse_closed(row, field: str, found) -> None:
	if found and (found.get("is_group") or found.get("disabled")):
		reason = _("it is a group") if found.get("is_group") else _("it is disabled")
		raise AccountingError(
			_("{0} of {1} cannot be {2}: {3}. Choose another in {4} → Accounting.").format(
				_(row.meta.get_label(field)), row.company, found.name, reason, _(SETTINGS)
			)
		)


def _refuse_type(row, field: str, account) -> None:
	if account.account_type in KEPT_FOR_OTHERS:
		raise AccountingError(
			_(
				"{0} of {1} cannot be {2}: ERPNext keeps accounts of type {3} for other documents. Choose another in"
				" {4} → Accounting."
			).format(
				_(row.meta.get_label(field)), row.company, account.name, _(account.account_type), _(SETTINGS)
			)
		)


def _refuse_one_for_two(row) -> None:
	"""What comes in, what is owed for it, and what it costs cannot be one account: nothing would be seen of them."""
	apart = ("unearned_revenue_account", "clearing_account")
	for field in apart:
		for other in (plan.fieldname for plan in ACCOUNTS if plan.fieldname != field):
			if row.get(field) and row.get(field) == row.get(other):
				raise AccountingError(
					_(
						"{0} and {1} of {2} must be two accounts; {3} is both. Choose another in {4} → Accounting."
					).format(
						_(row.meta.get_label(field)),
						_(row.meta.get_label(other)),
						row.company,
						row.get(field),
						_(SETTINGS),
					)
				)


def _refuse_item(row) -> None:
	item = row.item and frappe.db.get_value(
		"Item",
		row.item,
		["disabled", "has_variants", "is_sales_item", "is_fixed_asset", "end_of_life"],
		as_dict=True,
	)
	if not item:
		return
	ended = item.end_of_life and getdate(item.end_of_life) <= now_datetime().date()
	if item.disabled or item.has_variants or item.is_fixed_asset or not item.is_sales_item or ended:
		raise AccountingError(
			_(
				"Item {0} of {1} cannot be sold: it is disabled, a template, an asset, no sales item, or past its end of"
				" life. Choose another in {2} → Accounting."
			).format(row.item, row.company, _(SETTINGS))
		)


# -- customers and merges ----------------------------------------------------------------------------------


def on_customer(doc, method=None) -> None:
	"""Customer, on_update: refuse a receivable account in which credits that are held could not be invoiced."""
	before = doc.get_doc_before_save()
	if not before or _accounts(doc) == _accounts(before) or not _invoicing():
		return
	# ERPNext reads the group from the cache, which still has the old one; and a refusal must leave no new one there.
	doc.clear_cache()
	try:
		for account in _held_by(doc.name):
			_as_settled(
				receivable_account,
				doc.name,
				account.company,
				account.currency,
				make=False,
				held=account.name,
			)
	finally:
		doc.clear_cache()


def _accounts(doc) -> set:
	"""What decides on a customer's receivable account: its own rows, and its group's."""
	return {(row.company, row.account) for row in doc.get("accounts") or ()} | {doc.customer_group}


def _held_by(customer: str) -> list:
	return frappe.get_all("Credit Account", {"customer": customer}, ["name", "company", "currency"])


def _as_settled(check, *args, held: str, **kwargs) -> None:
	try:
		check(*args, **kwargs)
	except AccountingError as error:
		raise AccountingError(
			_("Credit account {0} could not be invoiced any more. {1}").format(held, str(error))
		) from error


def before_rename(doc, method=None, old=None, new=None, merge=False) -> None:
	"""Customer, Company, Currency, before_rename: refuse a merge that would make one ledger of two, or leave credits
	that cannot be invoiced. First of all, before anything makes way."""
	if not merge or old == new or not frappe.db.exists(doc.doctype, new):
		return
	for mine, theirs in _twins(doc.doctype, old, new):
		frappe.throw(
			_(
				"{0} and {1} cannot be merged: each has a credit account of its own ({2} and {3}) for the same company and"
				" currency, and two ledgers cannot become one. Move the balance of {2} to {3} by adjusting both, set {2}"
				" to Disabled and keep {0}, disabled. Or, where nothing was ever posted to {2}, delete it and merge then."
			).format(old, new, mine, theirs),
			AccountingError,
			title=_("Two credit accounts"),
		)
	if doc.doctype == "Customer" and _invoicing():
		for account in _held_by(old):
			_as_settled(
				receivable_account, new, account.company, account.currency, make=False, held=account.name
			)


def _twins(doctype: str, old: str, new: str) -> list[tuple[str, str]]:
	field, *others = MERGED[doctype]
	mine, theirs = (
		frappe.qb.DocType("Credit Account").as_("mine"),
		frappe.qb.DocType("Credit Account").as_("theirs"),
	)
	query = frappe.qb.from_(mine).join(theirs).on((mine[field] == old) & (theirs[field] == new))
	for other in others:
		query = query.where(mine[other] == theirs[other])
	return query.select(mine.name, theirs.name).orderby(mine.name).run()


def after_rename(doc, method=None, old=None, new=None, merge=False) -> None:
	"""Customer, after_rename: the name that credit accounts show follows."""
	name = frappe.db.get_value("Customer", new, "customer_name")
	frappe.db.set_value("Credit Account", {"customer": new}, "customer_name", name, update_modified=False)
