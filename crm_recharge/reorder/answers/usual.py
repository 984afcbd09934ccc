"""What a customer usually orders: from whom, how much of an item, in which unit."""

from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import cint, escape_html

from crm_recharge.credits.errors import InvalidRequestError, refuse
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import plain
from crm_recharge.reorder import words
from crm_recharge.reorder.answers.wishes import Line
from crm_recharge.reorder.learning.documents import DOCUMENTS, GIFT

MOST = Decimal(10_000)
"""So much of one item a customer may order by a click, or a hundred times the last order; more is a slip."""


def company_for(customer: str, company: str | None = None) -> str | None:
	"""The company that sells to `customer`: the one given, Reorder Settings', the one it bought from last, the default."""
	if company := company or frappe.get_cached_doc("Reorder Settings").company:
		return company
	last = [
		row
		for doctype in DOCUMENTS
		for row in frappe.get_all(
			doctype,
			{"customer": customer, "docstatus": 1},
			["posting_date", "creation", "company"],
			order_by="posting_date desc, creation desc",
			limit=1,
		)
	]
	if last:
		return max(last, key=lambda row: (row.posting_date, row.creation)).company
	return frappe.defaults.get_global_default("company") or frappe.db.get_value("Company", {}, "name")


def usual_lines(customer: str, quantities: dict[str, Decimal]) -> dict[str, Line]:
	"""Each item's line in the unit it was last bought in. `quantities`: item → quantity in its stock unit."""
	if not quantities:
		return {}
	units = _last_units(customer, list(quantities))
	return {item: _in_unit(item, quantity, units.get(item)) for item, quantity in quantities.items()}


def _last_units(customer: str, items: list[str]) -> dict[str, str]:
	found: dict[str, tuple] = {}
	for doctype in DOCUMENTS:
		# By the customer first: a popular item has been sold a million times.
		# nosemgrep: frappe-sql-format-injection -- DocTypes and conditions are constants
		rows = frappe.db.sql(
			f"""SELECT STRAIGHT_JOIN row_.`item_code`, row_.`uom`, i.`posting_date`, i.`creation` FROM `tab{doctype}` i
			JOIN `tab{doctype} Item` row_ ON row_.`parent` = i.`name` AND row_.`parenttype` = '{doctype}'
			WHERE i.`customer` = %s AND i.`docstatus` = 1 AND i.`is_return` = 0 AND row_.`item_code` IN %s
				AND NOT {GIFT}""",
			(customer, tuple(items)),
		)
		for item, uom, day, creation in rows:
			if item not in found or (day, creation) >= found[item][0]:
				found[item] = ((day, creation), uom)
	return {item: uom for item, (_when, uom) in found.items() if uom}


def _in_unit(item: str, quantity: Decimal, uom: str | None) -> Line:
	"""`quantity` of stock units in `uom`, unless that is no unit of the item (any more) or would not be whole."""
	stock_uom = frappe.get_cached_value("Item", item, "stock_uom")
	quantity = quantity if quantity > 0 else Decimal(1)
	if uom and uom != stock_uom and frappe.get_cached_value("UOM", uom, "enabled"):
		factor = exact(
			frappe.db.get_value("UOM Conversion Detail", {"parent": item, "uom": uom}, "conversion_factor")
		)
		if factor > 0:
			units = quantity / factor
			if units == units.to_integral_value() or not must_be_whole(uom):
				return Line(item, units, uom)
	if must_be_whole(stock_uom) and quantity != quantity.to_integral_value():
		quantity = quantity.to_integral_value(rounding="ROUND_CEILING")
	return Line(item, quantity, stock_uom)


def must_be_whole(uom: str | None) -> bool:
	"""Whether ERPNext takes only whole numbers of this unit."""
	return bool(uom and cint(frappe.get_cached_value("UOM", uom, "must_be_whole_number")))


def check_quantity(item: str, quantity: Decimal, uom: str | None, usual: Decimal = Decimal(0)) -> None:
	"""Raise InvalidRequestError unless `quantity` of `item` can be ordered by a click."""
	name = frappe.get_cached_value("Item", item, "item_name") or item
	if not quantity.is_finite() or quantity <= 0:
		_refuse_quantity("not_positive", _("{0}: give a quantity above zero."), name, quantity)
	if quantity > max(MOST, usual * 100):
		_refuse_quantity(
			"too_many", _("{0}: {1} is a lot. Write to us for an order of that size."), name, quantity
		)
	if must_be_whole(uom) and quantity != quantity.to_integral_value():
		_refuse_quantity("not_whole", _("{0}: give a whole number, not {1}."), name, quantity)


def _refuse_quantity(code: str, text: str, name: str, quantity: Decimal):
	digits = plain(quantity) if quantity.is_finite() else str(quantity)
	shown = words.number(quantity) if quantity.is_finite() else digits
	refuse(InvalidRequestError, code, text.format(escape_html(name), shown), {"quantity": digits})
