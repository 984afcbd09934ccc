"""What is packed in a Product Bundle that was sold: as its document says, else its delivery or order, else the bundle.

An invoice has a packing list of its own only where it takes the goods off the stock by itself.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

import frappe

from crm_recharge.credits.money import exact
from crm_recharge.domain.money import quantise
from crm_recharge.reorder.learning.keys import KEYS, some

Packed = dict[str, list[tuple[str, Decimal]]]
"""Row → (item, quantity in its stock unit)."""


def bundles() -> list[str]:
	"""All items that are bundles, or were."""
	return frappe.db.sql("SELECT `name` FROM `tabProduct Bundle`", pluck=True)


def contents(items: Iterable[str]) -> Packed:
	"""Bundle → what one of it holds, as it is now; empty for one that is disabled. Items that are no bundles are left out."""
	items = list(items)
	found: Packed = {}
	# In a large shop most items are no bundles: of many, look at the bundles instead.
	for names in some(items) if len(items) <= KEYS else ((),):
		condition = "WHERE b.`name` IN %(names)s" if names else ""
		for bundle, disabled, item, quantity in frappe.db.sql(
			"SELECT b.`name`, b.`disabled`, i.`item_code`, CAST(i.`qty` AS CHAR) FROM `tabProduct Bundle` b"
			f" JOIN `tabProduct Bundle Item` i ON i.`parent` = b.`name` {condition} ORDER BY b.`name`, i.`idx`",
			{"names": names},
		):
			within = found.setdefault(bundle, [])
			if not disabled:
				within.append((item, exact(quantity)))
	return found


def of_rows(doctype: str, rows: list) -> Packed:
	"""What is packed in those of `rows` (document, name, item, quantity, order, partner) that are of a bundle."""
	if not rows:
		return {}
	known = contents({row.item for row in rows})
	rows = [row for row in rows if row.item in known]
	if not rows:
		return {}
	packed = _listed(doctype, [row.name for row in rows])
	others = [row for row in rows if row.name not in packed]
	lists = _elsewhere(others)
	for row in others:
		per_one = next((lists[key] for key in (row.partner, row.order) if key in lists), None)
		quantity = Decimal(row.quantity)
		if per_one:
			within, of = per_one
			packed[row.name] = [(item, quantise(quantity * part / of)) for item, part in within]
		else:
			packed[row.name] = [(item, quantity * part) for item, part in known[row.item]]
	there = _existing({item for within in packed.values() for item, _quantity in within})
	return {
		row: [(there[item], quantity) for item, quantity in within if quantity and item in there]
		for row, within in packed.items()
	}


def _listed(doctype: str | None, rows: list[str]) -> Packed:
	"""Packing lists of these rows, of documents of one kind or of any."""
	found: Packed = defaultdict(list)
	for names in some(rows):
		for row, item, quantity in frappe.db.sql(
			"SELECT `parent_detail_docname`, `item_code`, CAST(SUM(`qty`) AS CHAR) FROM `tabPacked Item`"
			" WHERE `parent_detail_docname` IN %(names)s"
			+ (" AND `parenttype` = %(doctype)s" if doctype else "")
			+ " GROUP BY `parent_detail_docname`, `item_code`",
			{"names": names, "doctype": doctype},
		):
			found[row].append((item, exact(quantity)))
	return found


def _elsewhere(rows: list) -> dict[str, tuple[list, Decimal]]:
	"""Row of a Delivery Note or Sales Order → its packing list, and for how many of the bundle that is."""
	found = {}
	for doctype, keys in (
		("Delivery Note", {row.partner for row in rows}),
		("Sales Order", {row.order for row in rows}),
	):
		lists = _listed(doctype, [key for key in keys if key])
		for names in some(list(lists)):
			# nosemgrep: frappe-sql-format-injection -- DocTypes are those above
			for name, quantity in frappe.db.sql(
				f"SELECT `name`, CAST(`stock_qty` AS CHAR) FROM `tab{doctype} Item` WHERE `name` IN %s",
				(names,),
			):
				if exact(quantity):
					found[name] = (lists[name], exact(quantity))
	return found


def _existing(items: set[str]) -> dict[str, str]:
	"""Item → its name as it is stored; items that are no more are left out."""
	found = {}
	for names in some(list(items)):
		rows = frappe.db.sql("SELECT `name` FROM `tabItem` WHERE `name` IN %s", (names,), pluck=True)
		stored = {name.casefold(): name for name in rows}
		found |= {name: stored[name.casefold()] for name in names if name.casefold() in stored}
	return found
