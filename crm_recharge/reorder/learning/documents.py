"""What is read as a purchase: rows of Sales Invoices, POS Invoices and Delivery Notes, as `domain.reorder.deals.Move`.

Left out: Sales Invoices that only sum up a till's POS Invoices, opening invoices, debit notes, documents within the
company group, gifts (free items, and rows that had a price and cost nothing), this app's own item for credits, rows
without an item, rows of a customer or an item that is no more, and of customers whose data was erased.

Whoever buys a bundle has bought the bundle and what is packed in it: `packing` says what that is.

Heads first, then their rows, then what returns refer to, each by a list of keys: as one query MariaDB is apt to read
whole tables, whenever its statistics lag behind.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

import frappe

from crm_recharge.domain.reorder.deals import Move
from crm_recharge.reorder.learning import packing
from crm_recharge.reorder.learning.keys import some
from crm_recharge.reorder.privacy.fields import NOT_LEARNED, has_mark

SALES, POS, DELIVERY = "Sales Invoice", "POS Invoice", "Delivery Note"
INVOICES = (SALES, POS)
DOCUMENTS = (SALES, POS, DELIVERY)
ORDINAL = "TO_DAYS({0}) - 365"
"""MariaDB's count of days, made Python's `date.toordinal()`."""

Moves = dict[tuple[str, str], list[Move]]
"""(customer, item) → moves."""

COUNTS = {
	SALES: "AND COALESCE(inv.`is_opening`, 'No') <> 'Yes' AND inv.`is_debit_note` = 0"
	" AND inv.`is_internal_customer` = 0 AND inv.`is_consolidated` = 0",
	# A POS Invoice does not keep whether its customer is internal.
	POS: "AND COALESCE(inv.`is_opening`, 'No') <> 'Yes' AND COALESCE(customer.`is_internal_customer`, 0) = 0",
	DELIVERY: "AND inv.`is_internal_customer` = 0",
}
"""Documents `inv` of `customer` that count."""
GIFT = (
	"(row_.`is_free_item` = 1 OR (row_.`base_net_amount` = 0 AND row_.`stock_qty` <> 0 AND (row_.`base_price_list_rate` > 0"
	" OR row_.`base_rate` > 0 OR COALESCE(row_.`pricing_rules`, '') NOT IN ('', '[]'))))"
)
"""Rows `row_` that were given away: they tell nothing of what the customer buys."""
DELIVERS = {SALES: "inv.`update_stock`", POS: "1", DELIVERY: "1"}
PARTNER = {SALES: "dn_detail", POS: "dn_detail", DELIVERY: "si_detail"}
"""The row of the other side that a row was made from."""
RETURNS = {SALES: "sales_invoice_item", POS: "pos_invoice_item", DELIVERY: "dn_detail"}
"""The row that came back."""


def of_document(doctype: str, name: str) -> Moves:
	"""The moves of one document, whatever its state."""
	heads = _heads(doctype, "inv.`name` = %(name)s", {"name": name}, any_state=True)
	return _moves([(doctype, heads, _rows_of(doctype, list(heads)))])


def of_customers(customers: list[str]) -> Moves:
	"""All moves of some customers."""
	found = []
	for doctype in DOCUMENTS:
		heads = _heads(doctype, "inv.`customer` IN %(customers)s", {"customers": tuple(customers) or ("",)})
		found.append((doctype, heads, _rows_of(doctype, list(heads))))
	return _moves(found)


def of_pairs(customer: str, items: Iterable[str]) -> Moves:
	"""All moves of one customer and some items."""
	items = list(items)
	found, codes = [], [*items, *packing.bundles()] if items else []
	for doctype in DOCUMENTS if items else ():
		# By the customer's documents or by the items' rows, whichever are fewer: a till's walk-in customer has
		# nearly all invoices, a bestseller is on nearly all of them.
		documents = _count(f"tab{doctype}", "customer", [customer])
		if documents <= _count(f"tab{doctype} Item", "item_code", codes):
			heads = _heads(doctype, "inv.`customer` = %(customer)s", {"customer": customer})
			rows = _rows_of(doctype, list(heads), codes)
		else:
			rows = [
				row for names in some(codes) for row in _rows(doctype, "row_.`item_code` IN %(names)s", names)
			]
			heads = _heads_of(doctype, rows, customer)
		found.append((doctype, heads, rows))
	return _only(_moves(found), items)


def recent(customer: str, items: Iterable[str], after, drafts_since=None) -> Moves:
	"""Moves of one customer and some items in documents of after a day, and in drafts changed since a moment."""
	items = list(items)
	codes = [*items, *packing.bundles()]
	states = "inv.`docstatus` = 1"
	if drafts_since:
		states += " OR (inv.`docstatus` = 0 AND inv.`is_return` = 0 AND inv.`modified` > %(drafts_since)s)"
	condition = f"inv.`customer` = %(customer)s AND inv.`posting_date` > %(after)s AND ({states})"
	values = {"customer": customer, "after": after, "drafts_since": drafts_since}
	found = []
	for doctype in DOCUMENTS:
		heads = _heads(doctype, condition, values, any_state=True)
		found.append((doctype, heads, _rows_of(doctype, list(heads), codes)))
	return _only(_moves(found), items)


def documents_of(customer: str) -> int:
	"""How many documents the customer has, of any state."""
	return sum(_count(f"tab{doctype}", "customer", [customer]) for doctype in DOCUMENTS)


# -- heads and rows ------------------------------------------------------------------------------------------------------


class _Head(NamedTuple):
	customer: str
	day: int
	return_against: str | None
	delivers: bool


class _Row(NamedTuple):
	document: str
	name: str
	item: str
	quantity: str
	order: str | None
	partner: str | None
	returns: str | None


def _heads(doctype: str, condition: str, values: dict, any_state: bool = False) -> dict[str, _Head]:
	"""Documents that count, by name."""
	if not any_state:
		condition += " AND inv.`docstatus` = 1"
	if has_mark():
		condition += f" AND customer.`{NOT_LEARNED}` = 0"
	rows = frappe.db.sql(
		# The customer's name comes from Customer: an imported document may spell it in another case.
		f"SELECT inv.`name`, customer.`name`, {ORDINAL.format('inv.`posting_date`')}, inv.`return_against`,"
		f" {DELIVERS[doctype]} FROM `tab{doctype}` inv STRAIGHT_JOIN `tabCustomer` customer"
		f" ON customer.`name` = inv.`customer` WHERE {condition} {COUNTS[doctype]}",
		values,
	)
	return {name: _Head(*rest[:-1], bool(rest[-1])) for name, *rest in rows if rest[1]}  # type: ignore[call-arg]


def _heads_of(doctype: str, rows: list[_Row], customer: str) -> dict[str, _Head]:
	"""The heads of some rows, as far as they are of `customer`."""
	heads = {}
	for names in some(list({row.document for row in rows})):
		condition = "inv.`name` IN %(names)s AND inv.`customer` = %(customer)s"
		heads |= _heads(doctype, condition, {"names": names, "customer": customer})
	return heads


def _rows_of(doctype: str, documents: list[str], items: list[str] | None = None) -> list[_Row]:
	"""Rows of some documents."""
	condition = "row_.`parent` IN %(names)s" + (
		" AND row_.`item_code` IN %(items)s" if items is not None else ""
	)
	return [row for names in some(documents) for row in _rows(doctype, condition, names, items)]


def _rows(doctype: str, condition: str, names: tuple, items: list[str] | None = None) -> list[_Row]:
	"""Rows that say something."""
	values = {"names": names, "items": tuple(items or ())}
	if own := own_items():
		condition, values = f"{condition} AND row_.`item_code` NOT IN %(own)s", {**values, "own": tuple(own)}
	rows = frappe.db.sql(
		"SELECT row_.`parent`, row_.`name`, item.`name`, CAST(row_.`stock_qty` AS CHAR), row_.`so_detail`,"
		f" row_.`{PARTNER[doctype]}`, IF(row_.`stock_qty` < 0, row_.`{RETURNS[doctype]}`, NULL)"
		f" FROM `tab{doctype} Item` row_ STRAIGHT_JOIN `tabItem` item ON item.`name` = row_.`item_code`"
		f" WHERE {condition} AND row_.`parenttype` = '{doctype}' AND row_.`stock_qty` <> 0 AND NOT {GIFT}",
		values,
	)
	return [_Row(*row) for row in rows]


def _count(table: str, column: str, values: list[str]) -> int:
	# nosemgrep: frappe-sql-format-injection -- table and column are constants of the callers
	return frappe.db.sql(f"SELECT COUNT(*) FROM `{table}` WHERE `{column}` IN %s", (tuple(values),))[0][0]


def own_items() -> set[str]:
	"""The items by which this app sells credits; buying credits is not what reminders are for."""
	if not hasattr(frappe.local, "crm_recharge_own_items"):
		rows = frappe.get_all("CRM Recharge Company", {"item": ["is", "set"]}, pluck="item", order_by=None)
		frappe.local.crm_recharge_own_items = set(rows)
	return frappe.local.crm_recharge_own_items


# -- moves -----------------------------------------------------------------------------------------------------------------


def _moves(found: list[tuple[str, dict[str, _Head], list[_Row]]]) -> Moves:
	"""Moves of rows with their heads; a bundle's row is one of each packed item, too."""
	moves: Moves = defaultdict(list)
	for doctype, heads, rows in found:
		rows = [row for row in rows if row.document in heads]
		returned = _Returned(doctype, heads, rows)
		packed = packing.of_rows(doctype, rows)
		bills = doctype != DELIVERY
		for row in rows:
			head = heads[row.document]
			back = returned.of(row) if row.quantity[0] == "-" else _NOTHING
			if back is None:
				continue
			rest = (bills, head.delivers, row.order or None, row.partner or None, *back)
			document = f"{doctype}/{row.document}"
			for item, quantity in ((row.item, Decimal(row.quantity)), *packed.get(row.name, ())):
				moves[head.customer, item].append(Move(row.name, document, head.day, quantity, *rest))
	return moves


def _only(moves: Moves, items: Iterable[str]) -> Moves:
	wanted = set(items)
	return {pair: found for pair, found in moves.items() if pair[1] in wanted}


_NOTHING = (None, None, None)


class _Returned:
	"""What rows that came back refer to: the row, its document and its day.

	An invoice that sums up a till's was not bought on its own day: its rows were, on that of the till's invoice.
	"""

	def __init__(self, doctype: str, heads: dict[str, _Head], rows: list[_Row]):
		self.doctype, self.heads = doctype, heads
		back = [row for row in rows if row.quantity[0] == "-"]
		till = "`pos_invoice`, `pos_invoice_item`" if doctype == SALES else "NULL, NULL"
		gift = GIFT.replace("row_.", "")
		self.rows = _by_name(f"tab{doctype} Item", f"`parent`, {gift}, {till}", {r.returns for r in back})
		documents = {row[0] for row in self.rows.values()} | {
			heads[row.document].return_against for row in back
		}
		summed_up = "`is_consolidated`" if doctype == SALES else "0"
		day = ORDINAL.format("`posting_date`")
		self.days = {
			name: on
			for name, (on, is_sum) in _by_name(f"tab{doctype}", f"{day}, {summed_up}", documents).items()
			if not is_sum
		}
		self.tills = _by_name("tabPOS Invoice", day, {row[2] for row in self.rows.values()})

	def of(self, row: _Row) -> tuple | None:
		"""(row, document, day) that came back; None for a gift's return, which tells nothing either."""
		parent, is_gift, till, till_row = self.rows.get(row.returns) or _UNKNOWN
		if is_gift:
			return None
		if till in self.tills:
			return till_row or None, f"{POS}/{till}", self.tills[till][0]
		# The row's own document, else the one that the return is made against.
		against = parent if parent in self.days else self.heads[row.document].return_against
		on = self.days.get(against)
		return (row.returns if parent else None), (f"{self.doctype}/{against}" if on else None), on


_UNKNOWN = (None, 0, None, None)


def _by_name(table: str, columns: str, names: set[str | None]) -> dict[str, tuple]:
	"""{name: values of columns} of the rows with these names."""
	found = {}
	for chunk in some([name for name in names if name]):
		# nosemgrep: frappe-sql-format-injection -- table and columns are constants of the callers
		rows = frappe.db.sql(f"SELECT `name`, {columns} FROM `{table}` WHERE `name` IN %s", (chunk,))
		found |= {row[0]: row[1:] for row in rows}
	return found


# -- the same goods on other documents -----------------------------------------------------------------------------------


def related(customer: str, moves: Iterable[Move], items: Iterable[str]) -> Moves:
	"""Moves that may be of the same goods as `moves`, without these: found link by link, both ways.

	Nothing where no goods left by a note of their own, or none of these were billed by another document: then each
	row stands for itself.
	"""
	own = list(moves)
	search = _Search(customer, list(items), {move.row for move in own})
	if not search.other_side([*own, *search.returned_by(own)]):
		return {}
	while search.step():
		pass
	return search.found


class _Search:
	def __init__(self, customer: str, items: list[str], known: set[str]):
		self.customer, self.items, self.known = customer, items, known
		self.codes = [*items, *packing.bundles()]
		self.found: Moves = defaultdict(list)
		self.fresh: list[Move] = []
		self.asked: set[tuple] = set()

	def returned_by(self, moves: list[Move]) -> list[Move]:
		"""The rows that returns among `moves` name, or whose document they name."""
		fresh = self._fetch(
			(doctype, column, {key for move in back if (key := pick(move))})
			for doctype, back in _by_doctype(move for move in moves if move.quantity < 0).items()
			for column, pick in (
				("name", lambda move: move.returns),
				("parent", lambda move: None if move.returns else _name(move.returns_document)),
			)
		)
		self.fresh = [*moves, *fresh]
		return fresh

	def other_side(self, moves: list[Move]) -> bool:
		"""Whether other documents bill what these deliver, or deliver what these bill. What is found is kept."""
		wanted = []
		if any(move.bills for move in moves):
			wanted += self._questions(moves, (DELIVERY,))
		if any(not move.bills for move in moves):
			wanted += self._questions(moves, INVOICES)
		fresh = self._fetch(wanted)
		self.fresh += fresh
		return bool(fresh)

	def step(self) -> bool:
		"""Look for what is linked with what was found last; whether there was any."""
		back = self.returned_by(self.fresh)
		self.fresh = self._fetch(self._questions(self.fresh, DOCUMENTS)) + back
		return bool(self.fresh)

	def _questions(self, moves: list[Move], doctypes: Iterable[str]) -> list[tuple[str, str, set]]:
		"""(doctype, column, keys): rows of which may be of the same goods."""
		orders = {move.order for move in moves}
		partners = {move.partner for move in moves}
		billed = {move.row for move in moves if move.bills}
		delivered = {move.row for move in moves if not move.bills}
		asked = []
		for doctype in doctypes:
			asked += [(doctype, "so_detail", orders), (doctype, "name", partners)]
			asked.append((doctype, PARTNER[doctype], billed if doctype == DELIVERY else delivered))
			if doctype == DELIVERY:
				asked.append((doctype, RETURNS[doctype], delivered))
			documents = {_name(move.document) for move in moves if move.document.startswith(f"{doctype}/")}
			asked.append((doctype, "return_against", documents))
		return asked

	def _fetch(self, questions: Iterable[tuple[str, str, set]]) -> list[Move]:
		rows: dict[str, dict[str, _Row]] = defaultdict(dict)
		for doctype, column, keys in questions:
			keys = [key for key in keys if key and (doctype, column, key) not in self.asked]
			self.asked.update((doctype, column, key) for key in keys)
			for row in self._rows_with(doctype, column, keys):
				if row.name not in self.known:
					rows[doctype][row.name] = row
		found = []
		for doctype, of in rows.items():
			found.append((doctype, _heads_of(doctype, list(of.values()), self.customer), list(of.values())))
			self.known.update(of)
		moves = _only(_moves(found), self.items)
		for pair, more in moves.items():
			self.found[pair] += more
		return [move for more in moves.values() for move in more]

	def _rows_with(self, doctype: str, column: str, keys: list[str]) -> list[_Row]:
		if column == "return_against":
			# A return need not name the row.
			keys = [
				name
				for names in some(keys)
				# nosemgrep: frappe-sql-format-injection -- the DocType is one of SOURCES
				for (name,) in frappe.db.sql(
					f"SELECT `name` FROM `tab{doctype}` WHERE `return_against` IN %s AND `docstatus` = 1",
					(names,),
				)
			]
			column = "parent"
		condition = f"row_.`{column}` IN %(names)s AND row_.`item_code` IN %(items)s"
		return [row for names in some(keys) for row in _rows(doctype, condition, names, self.codes)]


def _by_doctype(moves: Iterable[Move]) -> dict[str, list[Move]]:
	"""By the DocType of what each returns."""
	found: dict[str, list[Move]] = defaultdict(list)
	for move in moves:
		found[(move.returns_document or move.document).partition("/")[0]].append(move)
	return found


def _name(document: str | None) -> str | None:
	return document.partition("/")[2] if document else None
