"""What counts as a purchase, and the hooks that hear of it.

`documents` says which rows are read, `domain/reorder/deals.py` which of them are the same goods, and
`domain/reorder/netting.py` what is left of them after returns. What a delivery brought counts from the day it left,
and not again when it is billed.
"""

from datetime import date
from decimal import Decimal
from typing import NamedTuple

import frappe
from frappe import _
from frappe.utils import getdate, nowdate

from crm_recharge.domain.reorder import deals
from crm_recharge.domain.reorder.netting import net
from crm_recharge.reorder.learning import documents
from crm_recharge.reorder.learning.documents import (
	COUNTS,
	DELIVERY,
	DOCUMENTS,
	GIFT,
	INVOICES,
	ORDINAL,
	POS,
	SALES,
	Moves,
	documents_of,
	own_items,
)

__all__ = (
	"COUNTS",
	"DELIVERY",
	"DOCUMENTS",
	"GIFT",
	"INVOICES",
	"ORDINAL",
	"POS",
	"SALES",
	"documents_of",
	"own_items",
)


class Line(NamedTuple):
	"""Quantities of one customer and item with the same days, in the stock unit.

	`posted` is the day from which it is known; `counts_on` the day on which the quantity counts, None for a return
	that names no document.
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


def of_document(doctype: str, name: str, is_new: bool = False) -> list[Line]:
	"""What one document adds to the lines of its customer, or took away when it was cancelled.

	Args:
		is_new: it was submitted just now, so that no other document can have been made from it.
	"""
	moves = documents.of_document(doctype, name)
	around: Moves = {}
	if moves and not (is_new and all(_stands_alone(move) for found in moves.values() for move in found)):
		customer = next(iter(moves))[0]
		each = [move for found in moves.values() for move in found]
		around = documents.related(customer, each, {item for _customer, item in moves})
	now = today()
	return [
		Line(*pair, *line)
		for pair, found in moves.items()
		for line in deals.change(found, around.get(pair, ()), now)
	]


def _stands_alone(move: deals.Move) -> bool:
	return move.quantity > 0 and not (move.order or move.partner)


def of_customers(customers: list[str]) -> list[Line]:
	"""All lines of some customers."""
	return _lines(documents.of_customers(customers))


def of_pairs(customer: str, items: list[str]) -> list[Line]:
	"""All lines of one customer and some items."""
	return _lines(documents.of_pairs(customer, items))


def _lines(moves: Moves) -> list[Line]:
	now = today()
	return [Line(*pair, *line) for pair, found in moves.items() for line in deals.lines(found, now)]


def since(customer: str, last_days: dict[str, date], drafts_since) -> dict[str, date]:
	"""Item → the latest day after its own one of `last_days` on which it was bought, by the documents themselves.

	Args:
		drafts_since: drafts changed since this moment count as well.
	"""
	moves = documents.recent(customer, last_days, min(last_days.values()), drafts_since)
	each = [move for found in moves.values() for move in found]
	# A bill of today may be of goods that left long ago.
	around = documents.related(customer, each, last_days) if each else {}
	found = {}
	for pair, own in moves.items():
		item, horizon = pair[1], max(move.day for move in own)
		lines = deals.lines([*own, *around.get(pair, ())], horizon)
		# What came back of no document in particular need not have been this.
		left = net((line for line in lines if line[1] is not None), horizon).days
		if left and left[-1][0] > last_days[item].toordinal():
			found[item] = as_date(left[-1][0])
	return found


# -- hearing of documents -------------------------------------------------------------------------------------------


def on_submit(document, method=None) -> None:
	"""A document was submitted: its lines are learned within its own transaction. Never stops the document."""
	_hear(document, +1)


def on_cancel(document, method=None) -> None:
	"""A document was cancelled: its lines are forgotten as if they had never been."""
	_hear(document, -1)


def _hear(document, sign: int) -> None:
	from crm_recharge.reorder.learning import customers, pairs

	if not document.customer or document.get("is_consolidated") or document.get("is_opening") == "Yes":
		return
	point = f"reorder_{frappe.generate_hash(length=8)}"
	frappe.db.savepoint(point)
	try:
		lines = of_document(document.doctype, document.name, is_new=sign > 0)
		if lines and customers.may_not_wait():
			customers.settle_soon(lines[0].customer, items=sorted({line.item for line in lines}))
		elif lines:
			pairs.apply(lines[0].customer, lines, sign)
		frappe.db.release_savepoint(point)
	except Exception as error:
		if customers.transaction_is_lost(error):
			# MariaDB has rolled back the document itself: to go on would be to lie.
			raise
		frappe.db.rollback(save_point=point)
		customers.could_not_learn(document.customer, document.doctype, document.name)


def on_customer_update(customer, method=None) -> None:
	"""A customer became internal, or is no longer: what it buys at a till counts differently from now on."""
	from crm_recharge.reorder.learning import customers

	before = customer.get_doc_before_save()
	if before and before.get("is_internal_customer") != customer.get("is_internal_customer"):
		customers.mark_stale(customer.name, _("Internal Customer was changed."))


def on_bundle_update(bundle, method=None) -> None:
	"""A bundle holds other things now, or is one no longer: who bought it is learned anew."""
	from crm_recharge.reorder.learning import customers

	before = bundle.get_doc_before_save() if method != "on_trash" else None
	if before and _contents(before) == _contents(bundle):
		return
	customers.mark_buyers_stale(
		bundle.new_item_code, _("Product Bundle {0} was changed.").format(bundle.name)
	)


def _contents(bundle) -> tuple:
	return bundle.disabled, sorted((row.item_code, row.qty) for row in bundle.items)
