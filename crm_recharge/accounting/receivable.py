"""Which receivable account an invoice of a recharge goes to, where currencies differ.

ERPNext keeps a customer of a company in one receivable currency:
- `validate_party_gle_currency`: every ledger entry of the customer has the currency of the first one;
- `validate_currency`: a customer kept in a foreign currency can be invoiced in that currency alone;
- `validate_party_account_currency`: a customer without entries is invoiced in the currency of the receivable
  account, unless Accounts Settings allow invoices in several currencies against one account. This one is not asked of
  our invoices (vouchers.py): the account is chosen here, so that all the customer's credits can be invoiced.
"""

import frappe
from frappe import _

from crm_recharge.accounting.errors import AccountingError


def receivable_account(customer: str, company: str, currency: str, make: bool = True) -> str | None:
	"""The receivable account for an invoice to `customer` in `currency`; made when ERPNext demands one.

	Without `make` none is made, and None is the answer where one would be. Raises AccountingError when ERPNext would
	refuse the invoice whatever the account.
	"""
	from erpnext.accounts.party import get_party_account, get_party_gle_currency

	company_currency = frappe.get_cached_value("Company", company, "default_currency")
	kept_in = get_party_gle_currency("Customer", customer, company)
	account = get_party_account("Customer", customer, company)
	if not account:
		raise AccountingError(
			_("Company {0} has no Default Receivable Account. Set one in the company.").format(company)
		)
	account_currency = frappe.get_cached_value("Account", account, "account_currency") or company_currency
	if account_currency == currency:
		return account
	if account_currency != company_currency:
		raise AccountingError(
			_other_currency(kept_in).format(customer, account, account_currency, currency, company)
		)
	if kept_in or _several_currencies_allowed():
		return account

	others = frappe.get_all(
		"Credit Account",
		filters={"customer": customer, "company": company, "currency": ("!=", currency)},
		pluck="currency",
		distinct=True,
	)
	if others:
		# The first entry decides for all of them: it is in the company's currency, which takes every other.
		return account
	return _account_in(company, currency, like=account) if make else None


def _other_currency(kept_in: str | None) -> str:
	if kept_in:
		return _(
			"{0} is kept in {2} in the books of {4} (account {1}), and credits are in {3}. ERPNext invoices such a customer"
			" in {2} only: keep the credits in {3} under another customer."
		)
	return _(
		"{0}'s receivable account {1} is in {2}, and credits are in {3}. ERPNext invoices such a customer in {2} only:"
		" choose an account in {3} or in {4}'s own currency in the customer, under Accounting, or keep the credits in {3}"
		" under another customer."
	)


def _several_currencies_allowed() -> bool:
	return bool(
		frappe.db.get_single_value(
			"Accounts Settings", "allow_multi_currency_invoices_against_single_party_account"
		)
	)


def _account_in(company: str, currency: str, like: str) -> str:
	wanted = {
		"company": company,
		"account_type": "Receivable",
		"account_currency": currency,
		"is_group": 0,
		"disabled": 0,
	}
	if existing := frappe.get_all("Account", wanted, pluck="name", order_by="creation", limit=1):
		return existing[0]
	model = frappe.get_cached_doc("Account", like)
	account = frappe.new_doc("Account")
	account.update(
		{
			"account_name": f"{model.account_name} {currency}",
			"company": company,
			"parent_account": model.parent_account,
			"root_type": "Asset",
			"account_type": "Receivable",
			"account_currency": currency,
			"is_group": 0,
		}
	)
	account.flags.ignore_root_company_validation = True
	try:
		account.insert(ignore_permissions=True)
	except frappe.DuplicateEntryError:
		# Another worker has made it since, or it is there and disabled.
		frappe.db.rollback()
		existing = frappe.db.exists("Account", {**wanted, "account_name": account.account_name})
		if not existing:
			raise
		return existing
	return account.name
