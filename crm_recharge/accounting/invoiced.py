"""What invoices say and what is left of them, in exact figures; and which amounts the site's books can hold."""

from decimal import Decimal

import frappe
from frappe import _

from crm_recharge.accounting import general_ledger
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.credits.money import exact, money
from crm_recharge.domain.voucher import Amounts, Figures, rounded


def figures_of(invoice) -> Figures:
	"""What a Sales Invoice says, its taxes in the order of their rows."""

	def amounts(prefix: str) -> Amounts:
		return Amounts(
			exact(invoice.get(f"{prefix}net_total")),
			tuple(exact(row.get(f"{prefix}tax_amount_after_discount_amount")) for row in invoice.taxes),
		)

	return Figures(amounts(""), amounts("base_"))


def left_of(invoice, figures: Figures) -> Figures:
	"""What credit notes have left of `invoice`, whoever wrote them."""
	notes = frappe.db.sql(
		"SELECT `name`, CAST(`net_total` AS CHAR), CAST(`base_net_total` AS CHAR) FROM `tabSales Invoice`"
		" WHERE `return_against` = %s AND `is_return` = 1 AND `docstatus` = 1",
		invoice.name,
	)
	left = figures
	for note, net, base_net in notes:
		own, base = _taxes_of_note(note, invoice) if invoice.taxes else ((), ())
		left -= Figures(Amounts(-exact(net), own), Amounts(-exact(base_net), base))
	return left


def _taxes_of_note(note: str, invoice) -> tuple[tuple, tuple]:
	"""What a credit note takes of each of the invoice's taxes, in both currencies."""
	own, base = ([exact(0)] * len(invoice.taxes) for _ in range(2))
	for account, idx, amount, base_amount in frappe.db.sql(
		"SELECT `account_head`, `idx`, CAST(`tax_amount_after_discount_amount` AS CHAR),"
		" CAST(`base_tax_amount_after_discount_amount` AS CHAR) FROM `tabSales Taxes and Charges`"
		" WHERE `parent` = %s AND `parenttype` = 'Sales Invoice'",
		note,
	):
		same = [n for n, row in enumerate(invoice.taxes) if row.account_head == account]
		here = next((n for n in same if invoice.taxes[n].idx == idx), same[0] if same else 0)
		own[here] -= exact(amount)
		base[here] -= exact(base_amount)
	return tuple(own), tuple(base)


def refuse_lost_decimals(amount: Decimal, currency: str) -> None:
	"""Raise AccountingError when this site's books round `amount` to something else."""
	places = general_ledger.places()
	if rounded(amount, places) != amount:
		raise AccountingError(
			_(
				"{0} cannot be booked: this site keeps amounts with {1} decimals. Raise Currency Precision in"
				" System Settings."
			).format(money(amount, currency), places)
		)


def is_bookable(amount: Decimal, books) -> bool:
	"""Whether `amount` is anything at all in the company's currency: a single won is no cent."""
	return bool(rounded(amount * books.rate, general_ledger.places()))


def too_small(amount: Decimal, books) -> str:
	return _("{0} is less than the smallest amount in {1} that the books of this site hold.").format(
		money(amount, books.currency), books.company_currency
	)
