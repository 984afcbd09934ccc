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


def of_invoice(doctype: str, name: str) -> list[Line]:
	"""The lines of one invoice, whatever its state."""
	return _read(doctype, "inv.`name` = %(name)s", {"name": name}, any_state=True)


def of_pairs(customer: str, items: list[str]) -> list[Line]:
	"""All submitted lines of one customer and some items."""
	values = {"customer": customer, "items": tuple(items)}
	condition = "inv.`customer` = %(customer)s AND row_.`item_code` IN %(items)s"
	return [line for doctype in INVOICES for line in _read(doctype, condition, values)] if items else []


def of_customers(customers: list[str]) -> list[Line]:
	"""All submitted lines of some customers."""
	values = {"customers": tuple(customers)}
	condition = "inv.`customer` IN %(customers)s"
	return [line for doctype in INVOICES for line in _read(doctype, condition, values)] if customers else []


def _read(doctype: str, condition: str, values: dict, any_state: bool = False) -> list[Line]:
	"""Lines summed by customer, item and days: one query, in which each invoice is found by an index."""
	own = own_items()
	if own:
		condition += " AND row_.`item_code` NOT IN %(own)s"
		values = {**values, "own": tuple(own)}
	if not any_state:
		condition += " AND inv.`docstatus` = 1"
	if has_mark():
		condition += f" AND customer.`{NOT_LEARNED}` = 0"
	rows = frappe.db.sql(_query(doctype, condition), values)
	return [Line(c, i, posted, on, Decimal(quantity)) for c, i, posted, on, quantity in rows if posted]


def _query(doctype: str, condition: str) -> str:
	what = _SALES if doctype == SALES else _POS
	# Names come from Customer and Item: an imported row may spell them in another case.
	return f"""
		SELECT customer.`name`, item.`name`, {ORDINAL.format("inv.`posting_date`")} AS posted,
			{ORDINAL.format(f"IF(row_.`stock_qty` >= 0, inv.`posting_date`, {what['returned_on']})")} AS counts_on,
			CAST(SUM(row_.`stock_qty`) AS CHAR)
		FROM `tab{doctype}` inv
		JOIN `tab{doctype} Item` row_ ON row_.`parent` = inv.`name` AND row_.`parenttype` = '{doctype}'
		JOIN `tabCustomer` customer ON customer.`name` = inv.`customer`
		JOIN `tabItem` item ON item.`name` = row_.`item_code`
		LEFT JOIN `tab{doctype}` orig ON row_.`stock_qty` < 0 AND orig.`name` = inv.`return_against`
		LEFT JOIN `tab{doctype} Item` orig_row ON row_.`stock_qty` < 0
			AND orig_row.`name` = row_.`{what["row_link"]}` AND orig_row.`parenttype` = '{doctype}'
		LEFT JOIN `tab{doctype}` row_inv ON row_inv.`name` = orig_row.`parent`
		{what["join"]}
		WHERE {condition} AND row_.`stock_qty` <> 0 AND COALESCE(inv.`is_opening`, 'No') <> 'Yes' {what["counts"]}
		GROUP BY 1, 2, 3, 4
	"""


_SALES = {
	"row_link": "sales_invoice_item",
	# A row of an invoice that sums up a till's was sold on the day of the till's invoice. Without its row such an
	# invoice names no day.
	"join": "LEFT JOIN `tabPOS Invoice` till ON till.`name` = orig_row.`pos_invoice`",
	"returned_on": "COALESCE(till.`posting_date`, IF(row_inv.`is_consolidated`, NULL, row_inv.`posting_date`),"
	" IF(orig.`is_consolidated`, NULL, orig.`posting_date`))",
	"counts": "AND inv.`is_debit_note` = 0 AND inv.`is_internal_customer` = 0 AND inv.`is_consolidated` = 0",
}
_POS = {
	"row_link": "pos_invoice_item",
	"join": "",
	"returned_on": "COALESCE(row_inv.`posting_date`, orig.`posting_date`)",
	# A POS Invoice does not keep whether its customer is internal.
	"counts": "AND COALESCE(customer.`is_internal_customer`, 0) = 0",
}


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
		if lines:
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
