"""What counts as a purchase: lines of submitted Sales Invoices and POS Invoices, and the hooks that hear of them.

Left out: Sales Invoices that only sum up a till's POS Invoices, opening invoices, debit notes, invoices within the
company group, this app's own item for credits, rows without an item, rows of a customer or an item that is no more,
and of customers whose data was erased. A return counts on the day of the invoice it returns: of the invoice whose
row it names, else of `return_against`; `domain/reorder/netting.py` has the rest of the rules.
"""

from datetime import date
from decimal import Decimal
from typing import NamedTuple

import frappe
from frappe import _
from frappe.utils import getdate, nowdate

from crm_recharge.reorder.privacy.fields import NOT_LEARNED, has_mark

SALES, POS = "Sales Invoice", "POS Invoice"
INVOICES = (SALES, POS)
KEYS = 150
"""Keys in one query: beyond 200 MariaDB no longer looks how many rows they find, but guesses."""
ORDINAL = "TO_DAYS({0}) - 365"
"""MariaDB's count of days, made Python's `date.toordinal()`."""


class Line(NamedTuple):
	"""Quantities of one customer and item with the same days, in the stock unit.

	`posted` is the day of the invoice; `counts_on` the day on which the quantity counts, None for a return that
	names no invoice.
	"""

	customer: str
	item: str
	posted: int
	counts_on: int | None
	quantity: Decimal


def today() -> int:
	"""The site's day."""
	return getdate(nowdate()).toordinal()


def as_date(day: int | None) -> date | None:
	"""The date of an ordinal; None stays None."""
	return None if day is None else date.fromordinal(day)


# -- reading -------------------------------------------------------------------------------------------------------
#
# Invoices first, then their rows, then what returns refer to, each by a list of keys: as one query MariaDB is apt to
# read whole tables, whenever its statistics lag behind.


def of_invoice(doctype: str, name: str) -> list[Line]:
	"""The lines of one invoice, whatever its state."""
	heads = _heads(doctype, "inv.`name` = %(name)s", {"name": name}, any_state=True)
	return _lines(doctype, heads, _rows_of(doctype, list(heads)))


def of_customers(customers: list[str]) -> list[Line]:
	"""All submitted lines of some customers."""
	found = []
	for doctype in INVOICES:
		heads = _heads(doctype, "inv.`customer` IN %(customers)s", {"customers": tuple(customers) or ("",)})
		found += _lines(doctype, heads, _rows_of(doctype, list(heads)))
	return found


def of_pairs(customer: str, items: list[str]) -> list[Line]:
	"""All submitted lines of one customer and some items."""
	found = []
	for doctype in INVOICES if items else ():
		# By the customer's invoices or by the items' rows, whichever are fewer: a till's walk-in customer has
		# nearly all invoices, a bestseller is on nearly all of them.
		invoices = _count(f"tab{doctype}", "customer", [customer])
		if invoices <= _count(f"tab{doctype} Item", "item_code", items):
			heads = _heads(doctype, "inv.`customer` = %(customer)s", {"customer": customer})
			rows = _rows_of(doctype, list(heads), items)
		else:
			rows = _rows(doctype, "row_.`item_code` IN %(items)s", {"items": tuple(items)})
			heads = {}
			for names in _some(list({row[0] for row in rows})):
				heads |= _heads(
					doctype,
					"inv.`name` IN %(names)s AND inv.`customer` = %(customer)s",
					{"names": names, "customer": customer},
				)
		found += _lines(doctype, heads, rows)
	return found


class _Head(NamedTuple):
	customer: str
	posted: int
	return_against: str | None


def _heads(doctype: str, condition: str, values: dict, any_state: bool = False) -> dict[str, _Head]:
	"""Invoices that count, by name."""
	if not any_state:
		condition += " AND inv.`docstatus` = 1"
	if has_mark():
		condition += f" AND customer.`{NOT_LEARNED}` = 0"
	rows = frappe.db.sql(
		# The customer's name comes from Customer: an imported invoice may spell it in another case.
		f"SELECT inv.`name`, customer.`name`, {ORDINAL.format('inv.`posting_date`')}, inv.`return_against`"
		f" FROM `tab{doctype}` inv STRAIGHT_JOIN `tabCustomer` customer ON customer.`name` = inv.`customer`"
		f" WHERE {condition} AND COALESCE(inv.`is_opening`, 'No') <> 'Yes' {_COUNTS[doctype]}",
		values,
	)
	return {name: _Head(customer, posted, against) for name, customer, posted, against in rows if posted}


_COUNTS = {
	SALES: "AND inv.`is_debit_note` = 0 AND inv.`is_internal_customer` = 0 AND inv.`is_consolidated` = 0",
	# A POS Invoice does not keep whether its customer is internal.
	POS: "AND COALESCE(customer.`is_internal_customer`, 0) = 0",
}
_ROW_LINK = {SALES: "sales_invoice_item", POS: "pos_invoice_item"}


def _rows_of(doctype: str, invoices: list[str], items: list[str] | None = None) -> list[tuple]:
	"""Rows of some invoices."""
	found: list[tuple] = []
	for names in _some(invoices):
		condition, values = "row_.`parent` IN %(names)s", {"names": names}
		if items is not None:
			condition, values = (
				f"{condition} AND row_.`item_code` IN %(items)s",
				{**values, "items": tuple(items)},
			)
		found += _rows(doctype, condition, values)
	return found


def _rows(doctype: str, condition: str, values: dict) -> list[tuple]:
	"""(invoice, item, quantity as text, the row it returns) of rows that say something."""
	own = own_items()
	if own:
		condition, values = f"{condition} AND row_.`item_code` NOT IN %(own)s", {**values, "own": tuple(own)}
	return frappe.db.sql(
		"SELECT row_.`parent`, item.`name`, CAST(row_.`stock_qty` AS CHAR),"
		f" IF(row_.`stock_qty` < 0, row_.`{_ROW_LINK[doctype]}`, NULL)"
		f" FROM `tab{doctype} Item` row_ STRAIGHT_JOIN `tabItem` item ON item.`name` = row_.`item_code`"
		f" WHERE {condition} AND row_.`parenttype` = '{doctype}' AND row_.`stock_qty` <> 0",
		values,
	)


def _lines(doctype: str, heads: dict[str, _Head], rows: list[tuple]) -> list[Line]:
	"""Rows with the days they count on, those of the same days summed."""
	returned = [
		(link, heads[invoice].return_against)
		for invoice, _item, quantity, link in rows
		if quantity[0] == "-" and invoice in heads
	]
	of_row, of_invoice = _days_returned(doctype, returned) if returned else ({}, {})
	sums: dict[tuple, Decimal] = {}
	for invoice, item, quantity, link in rows:
		head = heads.get(invoice)
		if head is None:
			continue
		on = head.posted
		if quantity[0] == "-":
			on = of_row.get(link) or of_invoice.get(head.return_against)
		key = (head.customer, item, head.posted, on)
		sums[key] = sums.get(key, 0) + Decimal(quantity)
	return [Line(*key, quantity) for key, quantity in sums.items()]


def _days_returned(doctype: str, returned: list[tuple]) -> tuple[dict[str, int], dict[str, int]]:
	"""The days on which returned goods were bought: by the row that is named, and by the invoice that is.

	An invoice that sums up a till's was not bought on its own day: its rows were, on that of the till's invoice.
	Without the row it names no day.
	"""
	till = "`pos_invoice`" if doctype == SALES else "NULL"
	rows = _by_key(f"tab{doctype} Item", f"`parent`, {till}", {link for link, _ in returned if link})
	invoices = {against for _, against in returned if against} | {parent for parent, _ in rows.values()}
	day, summed_up = ORDINAL.format("`posting_date`"), "`is_consolidated`" if doctype == SALES else "0"
	days = {
		name: on
		for name, (on, is_sum) in _by_key(f"tab{doctype}", f"{day}, {summed_up}", invoices).items()
		if not is_sum
	}
	tills = _by_key("tabPOS Invoice", f"{day}, NULL", {till for _, till in rows.values() if till})
	of_row = {
		name: tills[till][0] if till in tills else days.get(parent) for name, (parent, till) in rows.items()
	}
	return of_row, days


def _by_key(table: str, columns: str, names: set[str]) -> dict[str, tuple]:
	"""{name: values of columns} of the rows with these names."""
	found = {}
	for some in _some(list(names)):
		rows = frappe.db.sql(f"SELECT `name`, {columns} FROM `{table}` WHERE `name` IN %s", (some,))
		found |= {row[0]: row[1:] for row in rows}
	return found


def invoices_of(customer: str) -> int:
	"""How many invoices the customer has, of any state."""
	return sum(_count(f"tab{doctype}", "customer", [customer]) for doctype in INVOICES)


def _count(table: str, column: str, values: list[str]) -> int:
	return frappe.db.sql(f"SELECT COUNT(*) FROM `{table}` WHERE `{column}` IN %s", (tuple(values),))[0][0]


def _some(names: list[str]):
	for start in range(0, len(names), KEYS):
		yield tuple(names[start : start + KEYS])


def own_items() -> set[str]:
	"""The items by which this app sells credits; buying credits is not what reminders are for."""
	if not hasattr(frappe.local, "crm_recharge_own_items"):
		rows = frappe.get_all("CRM Recharge Company", {"item": ["is", "set"]}, pluck="item", order_by=None)
		frappe.local.crm_recharge_own_items = set(rows)
	return frappe.local.crm_recharge_own_items


# -- hearing of invoices --------------------------------------------------------------------------------------------


def on_submit(invoice, method=None) -> None:
	"""An invoice was submitted: its lines are learned within its own transaction. Never stops the invoice."""
	_hear(invoice, +1)


def on_cancel(invoice, method=None) -> None:
	"""An invoice was cancelled: its lines are forgotten as if they had never been."""
	_hear(invoice, -1)


def _hear(invoice, sign: int) -> None:
	from crm_recharge.reorder.learning import customers, pairs

	if not invoice.customer or invoice.get("is_consolidated") or invoice.get("is_opening") == "Yes":
		return
	point = f"reorder_{frappe.generate_hash(length=8)}"
	frappe.db.savepoint(point)
	try:
		lines = of_invoice(invoice.doctype, invoice.name)
		if lines and customers.may_not_wait():
			customers.settle_soon(lines[0].customer, items=sorted({line.item for line in lines}))
		elif lines:
			pairs.apply(lines[0].customer, lines, sign)
		frappe.db.release_savepoint(point)
	except Exception as error:
		if customers.transaction_is_lost(error):
			# MariaDB has rolled back the invoice itself: to go on would be to lie.
			raise
		frappe.db.rollback(save_point=point)
		customers.could_not_learn(invoice.customer, invoice.doctype, invoice.name)


def on_customer_update(customer, method=None) -> None:
	"""A customer became internal, or is no longer: what it buys at a till counts differently from now on."""
	from crm_recharge.reorder.learning import customers

	before = customer.get_doc_before_save()
	if before and before.get("is_internal_customer") != customer.get("is_internal_customer"):
		customers.mark_stale(customer.name, _("Internal Customer was changed."))
