"""What stands in ERPNext's general ledger, in exact figures: the only thing that counts as booked."""

from dataclasses import dataclass
from decimal import Decimal

import frappe
from frappe import _
from frappe.model.meta import get_field_precision

from crm_recharge.accounting.errors import AccountingError
from crm_recharge.credits.money import exact, money
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.voucher import rounded, share_out


@dataclass(frozen=True)
class Line:
	"""Debit less credit of one account: `base` in the company's currency, `own` in the account's."""

	base: Decimal = ZERO
	own: Decimal = ZERO

	def __add__(self, other: "Line") -> "Line":
		return Line(self.base + other.base, self.own + other.own)

	def __sub__(self, other: "Line") -> "Line":
		return Line(self.base - other.base, self.own - other.own)

	def __bool__(self) -> bool:
		return bool(self.base or self.own)


class Lines(dict):
	"""Account -> Line of a voucher. The same account twice is one line; what comes to nothing is none."""

	def add(self, account: str, base: Decimal, own: Decimal | None = None) -> "Lines":
		self[account] = self.get(account, Line()) + Line(base, base if own is None else own)
		return self

	def standing(self) -> dict[str, Line]:
		return {account: line for account, line in self.items() if line}


def places() -> int:
	"""Decimals of an amount in ERPNext's books on this site (System Settings: Currency Precision)."""
	return get_field_precision(frappe.get_meta("GL Entry").get_field("debit"))


def account_currency(account: str, company_currency: str) -> str:
	return frappe.get_cached_value("Account", account, "account_currency") or company_currency


# -- what stands there -------------------------------------------------------------------------------------

_SUMS = (
	"CAST(SUM(g.`debit` - g.`credit`) AS CHAR),"
	" CAST(SUM(g.`debit_in_account_currency` - g.`credit_in_account_currency`) AS CHAR)"
)


def of_voucher(doc) -> dict[str, Line]:
	"""Account -> what the document has posted."""
	rows = frappe.db.sql(
		f"SELECT g.`account`, {_SUMS} FROM `tabGL Entry` g WHERE g.`voucher_no` = %s AND g.`voucher_type` = %s"
		" AND g.`is_cancelled` = 0 GROUP BY g.`account`",
		(doc.name, doc.doctype),
	)
	return _lines(rows)


def _lines(rows) -> dict[str, Line]:
	lines = Lines()
	for account, base, own in rows:
		lines.add(account, exact(base), exact(own))
	return lines.standing()


def of_journal_entries(field: str, name: str, reference: str) -> dict[str, Line]:
	"""Account -> what the Journal Entries that carry `name` in `field`, under `reference`, have posted together."""
	rows = frappe.db.sql(
		f"SELECT g.`account`, {_SUMS} FROM `tabJournal Entry` e JOIN `tabGL Entry` g ON g.`voucher_no` = e.`name`"
		f" AND g.`voucher_type` = 'Journal Entry' WHERE e.`{field}` = %s AND e.`cheque_no` = %s"
		" AND g.`is_cancelled` = 0 GROUP BY g.`account`",
		(name, reference),
	)
	return _lines(rows)


def still_owed(invoice: str) -> Line:
	"""What all vouchers together leave on the customer for this Sales Invoice: nothing, once it is paid."""
	base, own = frappe.db.sql(
		f"SELECT {_SUMS} FROM `tabGL Entry` g WHERE g.`against_voucher` = %s"
		" AND g.`against_voucher_type` = 'Sales Invoice' AND g.`is_cancelled` = 0",
		invoice,
	)[0]
	return Line(exact(base), exact(own))


# -- what must stand there ---------------------------------------------------------------------------------


def must_say(doc, lines: Lines, company_currency: str) -> None:
	"""Raise AccountingError unless the ledger says of the document exactly `lines`."""
	if (says := of_voucher(doc)) != (should := lines.standing()):
		raise AccountingError(_difference(doc, says, should, company_currency))


def must_be_paid(invoice, company_currency: str) -> None:
	"""Raise AccountingError when anything is left on the customer for `invoice`."""
	if left := still_owed(invoice.name):
		raise AccountingError(
			_(
				"{0} would stay on {1}'s account for {2}. Look for other documents that settle this invoice. {3}"
			).format(money(left.base, company_currency), invoice.customer, _(invoice.doctype), _what_to_do())
		)


def _difference(doc, says: dict, should: dict, company_currency: str) -> str:
	parts = []
	for account in sorted({*says, *should}):
		is_, must = says.get(account, Line()), should.get(account, Line())
		if is_ == must:
			continue
		currency, one, other = company_currency, is_.base, must.base
		if one == other:
			currency, one, other = account_currency(account, company_currency), is_.own, must.own
		parts.append(
			_("{0}: {1} instead of {2}").format(account, money(one, currency), money(other, currency))
		)
	return _("The {0} would be booked differently from what was paid. {1}. {2}").format(
		_(doc.doctype), "; ".join(parts), _what_to_do()
	)


def _what_to_do() -> str:
	return _(
		"Nothing was booked. Something on this site changes the documents of a recharge: look at Customize Form,"
		" Server Scripts and other apps for Sales Invoice, Payment Entry and Journal Entry."
	)


# -- cost centres ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
	"""A Cost Center Allocation: what is posted to `cost_center` goes to others, in per cent."""

	cost_center: str
	shares: tuple[tuple[str, Decimal], ...]

	def applied(self, gl_map: list) -> list:
		"""`gl_map` with the rows of the cost centre shared out to the last cent.

		ERPNext would round each share by itself, and book what is left over as a rounding difference.
		"""
		decimals = places()
		rows = []
		for row in gl_map:
			rows += self._parts(row, decimals) if row.get("cost_center") == self.cost_center else [row]
		return rows

	def _parts(self, row, decimals: int) -> list:
		weights = [percentage for _center, percentage in self.shares]
		parts = [row.copy() for _share in self.shares]
		for part, (center, _percentage) in zip(parts, self.shares, strict=True):
			part["cost_center"] = center
		for side in ("debit", "credit"):
			for field in (side, f"{side}_in_account_currency", f"{side}_in_transaction_currency"):
				if not row.get(field):
					continue
				amounts = share_out(rounded(exact(row[field]), decimals), weights, decimals)
				for part, amount in zip(parts, amounts, strict=True):
					part[field] = float(amount)
		return [part for part in parts if part.get("debit") or part.get("credit")]


def split_of(company: str, cost_center: str | None, on) -> Split | None:
	"""The allocation of `cost_center` that holds on that day, if there is one."""
	if not cost_center:
		return None
	allocation = frappe.get_all(
		"Cost Center Allocation",
		{"docstatus": 1, "company": company, "main_cost_center": cost_center, "valid_from": ("<=", on)},
		pluck="name",
		order_by="valid_from desc",
		limit=1,
	)
	if not allocation:
		return None
	rows = frappe.get_all(
		"Cost Center Allocation Percentage",
		{"parent": allocation[0]},
		["cost_center", "percentage"],
		order_by="idx",
	)
	return Split(cost_center, tuple((row.cost_center, exact(row.percentage)) for row in rows))
