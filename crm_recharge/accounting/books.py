"""Where the documents of a payment stand: accounts, rates, cost centre, dimensions."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import now_datetime

from crm_recharge.accounting import general_ledger, vouchers
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.general_ledger import Split
from crm_recharge.credits.money import exact


@dataclass(frozen=True)
class Books:
	"""All that is looked up before the transaction: settings, accounts and rates.

	`rate` is units of the company's currency for one of the payment's; finding one may ask a service on the
	network, which must not happen while a lock is held.
	"""

	company: str
	company_currency: str
	currency: str
	rate: Decimal
	receivable: str
	unearned: str
	clearing: str
	item: str
	mode_of_payment: str
	cost_center: str
	price_list: str
	price_list_currency: str
	price_list_rate: float
	taxes_template: str | None = None
	taxes: tuple[dict, ...] = ()
	dimensions: dict[str, str] = field(default_factory=dict)
	split: Split | None = None

	def currency_of(self, account: str) -> str:
		return general_ledger.account_currency(account, self.company_currency)

	def amount_on(self, account: str, base: Decimal, own: Decimal) -> Decimal:
		"""What of an amount (in the company's and in the payment's currency) an account of either shows."""
		return base if self.currency_of(account) == self.company_currency else own


@dataclass(frozen=True)
class Payment:
	"""What was paid: `amount` in `currency`, at `settled_at` (the site's time), under payment `intent`."""

	recharge: str
	customer: str
	amount: Decimal
	currency: str
	intent: str
	settled_at: datetime


def books_of(invoice, recharge) -> Books:
	"""The books of what follows a recharge's invoice: where that stands, there its payment came in.

	`recharge` is the row of the recharge (rows.read).
	"""
	if len(invoice.items) != 1:
		raise AccountingError(
			_(
				"Sales Invoice {0} has {1} lines; a recharge's has one. Amend it to one line, or book what follows it"
				" by hand."
			).format(invoice.name, len(invoice.items))
		)
	(item,) = invoice.items
	entry = frappe.db.get_value(
		"Payment Entry", recharge.payment_entry, ["paid_to", "mode_of_payment"], as_dict=True
	)
	cost_center = item.cost_center or invoice.cost_center
	return Books(
		company=invoice.company,
		company_currency=frappe.get_cached_value("Company", invoice.company, "default_currency"),
		currency=invoice.currency,
		rate=exact(invoice.conversion_rate),
		receivable=invoice.debit_to,
		unearned=item.income_account,
		clearing=entry.paid_to,
		item=item.item_code,
		mode_of_payment=entry.mode_of_payment,
		cost_center=cost_center,
		price_list=invoice.selling_price_list,
		price_list_currency=invoice.price_list_currency,
		price_list_rate=invoice.plc_conversion_rate,
		taxes_template=invoice.taxes_and_charges,
		dimensions=vouchers.dimensions_of(invoice),
		split=general_ledger.split_of(invoice.company, cost_center, now_datetime().date()),
	)
