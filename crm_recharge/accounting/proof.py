"""Do the credit ledger, the recharges and the general ledger say the same? Reads only; exact decimals."""

from dataclasses import asdict, dataclass, fields
from decimal import Decimal

import frappe
from frappe.query_builder.functions import Cast, Count, Sum

from crm_recharge.accounting.custom_fields import RECHARGE
from crm_recharge.accounting.rows import DONE, SETTLED
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import ZERO


@dataclass
class AccountBooks:
	"""One credit account, as three books see it.

	In the account's currency: `credited` (credit ledger, rows of type Recharge), `recharged` (settled
	recharges), `not_booked` (those without documents yet), `invoiced` (submitted invoices).
	In the company's currency: `invoiced_base`, and from the general ledger `unearned` and `taxes` (credits of
	the invoices), `clearing` (debits of the payments), `receivable` (what is left on the customer: nothing).
	"""

	credit_account: str
	customer: str
	company: str
	currency: str
	company_currency: str
	recharges: int = 0
	invoices: int = 0
	payments: int = 0
	credited: Decimal = ZERO
	recharged: Decimal = ZERO
	not_booked: Decimal = ZERO
	invoiced: Decimal = ZERO
	invoiced_base: Decimal = ZERO
	unearned: Decimal = ZERO
	taxes: Decimal = ZERO
	clearing: Decimal = ZERO
	receivable: Decimal = ZERO

	@property
	def differences(self) -> dict[str, Decimal]:
		"""What does not agree, by name; empty when all is well. `not_booked` is not a difference but a delay."""
		found = {
			"ledger_and_recharges": self.credited - self.recharged,
			"recharges_and_invoices": self.recharged - self.not_booked - self.invoiced,
			"invoices_and_general_ledger": self.invoiced_base - self.unearned - self.taxes,
			"invoices_and_clearing": self.invoiced_base - self.clearing,
			"receivable_left": self.receivable,
		}
		return {name: amount for name, amount in found.items() if amount}

	def as_dict(self) -> dict:
		return {**asdict(self), "differences": self.differences}


def books(credit_account: str | None = None, company: str | None = None) -> list[AccountBooks]:
	"""The books of one credit account, of a company's, or of all, ordered by name."""
	table = frappe.qb.DocType("Credit Account")
	query = frappe.qb.from_(table).select(table.name, table.customer, table.company, table.currency)
	if credit_account:
		query = query.where(table.name == credit_account)
	if company:
		query = query.where(table.company == company)
	rows = {
		row.name: AccountBooks(
			credit_account=row.name,
			customer=row.customer,
			company=row.company,
			currency=row.currency,
			company_currency=frappe.get_cached_value("Company", row.company, "default_currency"),
		)
		for row in query.orderby(table.name).run(as_dict=True)
	}
	if not rows:
		return []
	for part in (_credited, _recharged, _invoiced, _posted_invoices, _posted_payments):
		for figures in part(credit_account, company):
			row = rows.get(figures.pop("credit_account"))
			for name, value in figures.items():
				if row and name in _COUNTS:
					setattr(row, name, value)
				elif row:
					setattr(row, name, getattr(row, name) + exact(value))
	return list(rows.values())


_COUNTS = {field.name for field in fields(AccountBooks) if field.type in (int, "int")}


def _text(term):
	# frappe.db would hand the sum back as a float.
	return Cast(Sum(term), "CHAR")


def _narrow(query, table, credit_account, company):
	if credit_account:
		query = query.where(table.credit_account == credit_account)
	if company:
		query = query.where(table.company == company)
	return query.groupby(table.credit_account)


def _credited(credit_account, company):
	ledger = frappe.qb.DocType("Credit Ledger")
	query = (
		frappe.qb.from_(ledger)
		.select(ledger.credit_account, _text(ledger.amount).as_("credited"))
		.where(ledger.entry_type == "Recharge")
	)
	return _narrow(query, ledger, credit_account, company).run(as_dict=True)


def _recharged(credit_account, company):
	recharge = frappe.qb.DocType("Recharge")

	def settled(query):
		query = query.where(recharge.status.isin(SETTLED) & recharge.settled_intent.isnotnull())
		return _narrow(query, recharge, credit_account, company).run(as_dict=True)

	everything = frappe.qb.from_(recharge).select(
		recharge.credit_account, Count("*").as_("recharges"), _text(recharge.amount).as_("recharged")
	)
	waiting = (
		frappe.qb.from_(recharge)
		.select(recharge.credit_account, _text(recharge.amount).as_("not_booked"))
		.where(recharge.accounting_status.isnull() | (recharge.accounting_status != DONE))
	)
	return settled(everything) + settled(waiting)


def _documents(doctype):
	recharge, document = frappe.qb.DocType("Recharge"), frappe.qb.DocType(doctype)
	query = (
		frappe.qb.from_(recharge)
		.join(document)
		.on(document[RECHARGE] == recharge.name)
		.select(recharge.credit_account)
		.where(document.docstatus == 1)
	)
	return recharge, document, query


def _invoiced(credit_account, company):
	recharge, invoice, query = _documents("Sales Invoice")
	query = query.select(
		Count("*").as_("invoices"),
		_text(invoice.grand_total).as_("invoiced"),
		_text(invoice.base_grand_total).as_("invoiced_base"),
	)
	return _narrow(query, recharge, credit_account, company).run(as_dict=True)


def _posted_invoices(credit_account, company):
	recharge, invoice, query = _documents("Sales Invoice")
	gl = frappe.qb.DocType("GL Entry")
	item = frappe.qb.DocType("Sales Invoice Item")
	query = (
		query.join(gl)
		.on((gl.voucher_type == "Sales Invoice") & (gl.voucher_no == invoice.name))
		.left_join(item)
		.on((item.parent == invoice.name) & (item.income_account == gl.account))
		.where(gl.is_cancelled == 0)
	)
	on_customer = gl.party.isnotnull() & (gl.party != "")
	for name, amount, condition in (
		("unearned", gl.credit - gl.debit, ~on_customer & item.name.isnotnull()),
		("taxes", gl.credit - gl.debit, ~on_customer & item.name.isnull()),
		("receivable", gl.debit - gl.credit, on_customer),
	):
		part = query.where(condition).select(_text(amount).as_(name))
		yield from _narrow(part, recharge, credit_account, company).run(as_dict=True)


def _posted_payments(credit_account, company):
	recharge, entry, query = _documents("Payment Entry")
	counted = query.select(Count("*").as_("payments"))
	yield from _narrow(counted, recharge, credit_account, company).run(as_dict=True)

	gl = frappe.qb.DocType("GL Entry")
	query = (
		query.join(gl)
		.on((gl.voucher_type == "Payment Entry") & (gl.voucher_no == entry.name))
		.where(gl.is_cancelled == 0)
	)
	on_customer = gl.party.isnotnull() & (gl.party != "")
	for name, condition in (("clearing", ~on_customer), ("receivable", on_customer)):
		part = query.where(condition).select(_text(gl.debit - gl.credit).as_(name))
		yield from _narrow(part, recharge, credit_account, company).run(as_dict=True)
