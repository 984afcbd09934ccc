"""What came of a reminder: the purchase that followed it, its revenue, the loyalty bonus, the closed task.

Held-out customers' messages are measured in the same way, so that the two can be compared. `domain/reorder/outcome`
has the rule. Everything is worked out anew from reminders and invoices each time, per customer, in a job of its own
after the invoice is committed: an invoice is neither slowed nor stopped by it, and what a lost job missed the hourly
`catch_up` finds. A row won by an order of the reminder's own link may be won after the window (`won_days` says so);
whoever compares with held-out customers, who get no link, counts rows within the window only.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import frappe
from frappe import _
from frappe.utils import cint, get_datetime, get_link_to_form, now_datetime

from crm_recharge import transactions
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import quantise
from crm_recharge.domain.reorder import deals
from crm_recharge.domain.reorder.outcome import Bought, Reminded, attribute, days_between
from crm_recharge.reorder import sales_team, timeline, words
from crm_recharge.reorder.answers import loyalty
from crm_recharge.reorder.answers.orders import QUOTATION, SALES_ORDER
from crm_recharge.reorder.learning import customers, documents, packing
from crm_recharge.reorder.learning.documents import DELIVERY, DOCUMENTS, POS, SALES
from crm_recharge.reorder.learning.keys import some

SEEN = "crm_recharge_outcomes_seen"
"""Up to when invoices were looked through by `catch_up`."""

OVERLAP = timedelta(hours=1)
"""An invoice may be committed so long after the time it carries."""


# -- hearing of invoices ------------------------------------------------------------------------------------


def on_invoice(invoice, method=None) -> None:
	"""An invoice or a delivery was submitted or cancelled: if a reminder may be concerned, have it worked out."""
	if not invoice.customer or invoice.get("is_consolidated"):
		return
	items = {row.item_code for row in invoice.items if row.item_code}
	try:
		items |= {item for within in packing.contents(items).values() for item, _quantity in within}
		concerned = items and reminded_items(invoice.customer, sorted(items))
	except Exception:
		# Nothing of ours stops an invoice; the hourly catch-up looks again.
		frappe.logger("crm_recharge").warning("outcome of an invoice was not queued", exc_info=True)
		return
	if concerned:
		frappe.db.after_commit.add(partial(_enqueue, invoice.customer, concerned))


def _enqueue(customer: str, items: list[str]) -> None:
	try:
		frappe.enqueue("crm_recharge.reorder.answers.outcome.settle", customer=customer, items=items)
	except Exception:
		frappe.logger("crm_recharge").warning(f"outcome of {customer} was not queued", exc_info=True)


def reminded_items(customer: str, items: list[str] | None = None) -> list[str]:
	"""The items (of `items`) that `customer` was ever reminded of, or held out from."""
	message, row = frappe.qb.DocType("Reorder Message"), frappe.qb.DocType("Reorder Message Item")
	query = (
		frappe.qb.from_(message)
		.join(row)
		.on(row.parent == message.name)
		.select(row.item_code)
		.distinct()
		.where((message.customer == customer) & message.sent_at.isnotnull())
	)
	if items is not None:
		query = query.where(row.item_code.isin(items or [""]))
	return sorted(item for (item,) in query.run() if item)


def catch_up() -> int:
	"""Work out all customers whose invoices were changed since the last run; returns how many. Hourly."""
	started = now_datetime()
	mark = frappe.db.get_global(SEEN)
	since = (get_datetime(mark) if mark else started - timedelta(days=30)) - OVERLAP
	concerned = {
		customer
		for doctype in DOCUMENTS
		for (customer,) in frappe.db.sql(
			f"SELECT DISTINCT i.`customer` FROM `tab{doctype}` i WHERE i.`modified` >= %s AND i.`docstatus` > 0"
			" AND EXISTS (SELECT 1 FROM `tabReorder Message` m WHERE m.`customer` = i.`customer`)",
			since,
		)
	}
	failed = _settle_each(sorted(concerned))
	if not failed:
		frappe.db.set_global(SEEN, str(started))
		transactions.commit()
	return len(concerned)


def rebuild() -> int:
	"""Work out every reminder there is, anew; returns how many customers. Says the same as what was done bit by bit."""
	names = frappe.get_all(
		"Reorder Message", {"customer": ["is", "set"]}, pluck="customer", distinct=True, order_by="customer"
	)
	_settle_each(names)
	return len(names)


def _settle_each(names: list[str]) -> list[str]:
	failed = []
	for customer in names:
		try:
			settle(customer)
		except Exception:
			frappe.db.rollback()
			failed.append(customer)
			frappe.log_error(title=f"Reorder: outcome of {customer} failed"[:140])
			transactions.commit()
	return failed


# -- working it out -----------------------------------------------------------------------------------------


@retry_on_contention
def settle(customer: str, items: list[str] | None = None) -> list[str]:
	"""Bring the reminders of `customer` (about `items`) up to what the invoices say. Commits.

	Returns:
		the Reorder Message Items that changed.
	"""
	# One at a time for a customer; it commits first, so that what is read is what is.
	if not customers.lock_all([customer]):
		return []
	changed = settle_locked(customer, items)
	transactions.commit()
	return changed


def settle_locked(customer: str, items: list[str] | None = None) -> list[str]:
	"""As `settle`, where the caller holds the customer's lock and commits."""
	rows = _rows(customer, items)
	if not rows:
		return []
	window = max(cint(frappe.get_cached_doc("Reorder Settings").conversion_window_days), 0)
	purchases = _purchases(customer, rows)
	changed = []
	for (item, company), own in _grouped(rows).items():
		reminders = {row.name: Reminded(row.name, row.sent_at, _orders(row)) for row in own}
		won = attribute(reminders.values(), _of(purchases, item, company), window)
		for row in own:
			if _write(row, reminders[row.name], won.get(row.name)):
				changed.append(row.name)
				_note(customer, row, won.get(row.name))
	for row in rows:
		if row.loyalty_bonus or row.bonus_points:
			loyalty.settle(row.name)
	if changed:
		sales_team.bought(customer)
	return changed


def _rows(customer: str, items: list[str] | None) -> list:
	"""The reminders of the customer that count, with what is written about their outcome."""
	condition = "AND r.`item_code` IN %(items)s" if items else ""
	# nosemgrep: frappe-sql-format-injection -- the condition is a constant
	return frappe.db.sql(
		f"""SELECT r.`name`, r.`parent`, r.`item_code`, r.`item_name`, r.`won`, r.`won_on`, r.`won_days`,
			r.`invoice_type`, r.`invoice`, CAST(r.`quantity` AS CHAR) AS `quantity`,
			CAST(r.`revenue` AS CHAR) AS `revenue`, r.`loyalty_bonus`, r.`bonus_points`,
			m.`sent_at`, m.`company`, m.`kind`, m.`status`, m.`order_type`, m.`order_name`
		FROM `tabReorder Message` m JOIN `tabReorder Message Item` r
			ON r.`parent` = m.`name` AND r.`parenttype` = 'Reorder Message'
		WHERE m.`customer` = %(customer)s AND m.`sent_at` IS NOT NULL {condition}
		ORDER BY m.`sent_at`, r.`name`""",
		{"customer": customer, "items": tuple(items or ())},
		as_dict=True,
	)


def _grouped(rows) -> dict[tuple, list]:
	"""(item, company) → reminders. A mail that could not be sent reminded nobody; it is kept apart, as never won."""
	grouped = defaultdict(list)
	for row in rows:
		grouped[(row.item_code, row.company or None) if row.status != "Failed" else (None, row.name)].append(
			row
		)
	return grouped


def _orders(row) -> frozenset[str]:
	return frozenset([f"{row.order_type}/{row.order_name}"]) if row.order_name else frozenset()


def _of(purchases: dict[str, list], item: str | None, company: str | None) -> list[Bought]:
	"""Revenue is in the company's currency, so a reminder is won by an invoice of its own company."""
	found = purchases.get(item, [])
	return [bought for of, bought in found if company is None or of == company]


def _purchases(customer: str, rows) -> dict[str, list[tuple[str, Bought]]]:
	"""item → (company, what is left of it on each document since the first of these reminders).

	Goods that left before they are billed are bought when they leave; the invoice says what they brought.
	"""
	items = sorted({row.item_code for row in rows if row.item_code})
	if not items:
		return {}
	since = min(row.sent_at for row in rows).date() - timedelta(days=1)
	moves = documents.recent(customer, items, since)
	each = [move for found in moves.values() for move in found]
	around = documents.related(customer, each, items) if each else {}
	papers = _Papers([*each, *(move for found in around.values() for move in found)])
	found: dict[str, list] = defaultdict(list)
	for pair in moves:
		item = pair[1]
		bought: dict[tuple, list] = defaultdict(list)
		for part, left in deals.remaining([*moves[pair], *around.get(pair, ())]):
			tells = part.bill or part.delivery
			at = min(papers.at[move.document] for move in (part.bill, part.delivery) if move)
			bought[tells.document, at].append((tells, left))
		for (document, at), of in bought.items():
			found[item].append(
				(
					papers.company[document],
					Bought(
						document,
						at,
						sum(left for _move, left in of),
						sum(papers.revenue(move, item, left) for move, left in of),
						frozenset().union(*(papers.origins[move.row] for move, _left in of)),
					),
				)
			)
	return found


class _Papers:
	"""What the documents of some moves say besides: when, by which company, for how much, from which order."""

	ORDER = {SALES: "sales_order", POS: "sales_order", DELIVERY: "against_sales_order"}

	def __init__(self, moves: list):
		self.at: dict[str, datetime] = {}
		self.company: dict[str, str] = {}
		self.sold: dict[str, tuple[str, Decimal, Decimal]] = {}
		self.origins: dict[str, set[str]] = defaultdict(set)
		by_doctype: dict[str, list] = defaultdict(list)
		for move in moves:
			by_doctype[move.document.partition("/")[0]].append(move)
		for doctype, of in by_doctype.items():
			for names in some(sorted({move.document.partition("/")[2] for move in of})):
				self._heads(doctype, names)
			for rows in some(sorted({move.row for move in of})):
				self._rows(doctype, rows)

	def _heads(self, doctype: str, names: tuple) -> None:
		# nosemgrep: frappe-sql-format-injection -- the DocType is one of documents.SOURCES
		for name, company, day, time in frappe.db.sql(
			f"SELECT `name`, `company`, `posting_date`, `posting_time` FROM `tab{doctype}` WHERE `name` IN %s",
			(names,),
		):
			document = f"{doctype}/{name}"
			self.company[document] = company
			self.at[document] = datetime.combine(day, datetime.min.time()) + (time or timedelta(0))

	def _rows(self, doctype: str, rows: tuple) -> None:
		# nosemgrep: frappe-sql-format-injection -- the DocType is one of documents.SOURCES
		for row, item, quantity, amount, order, quotation in frappe.db.sql(
			f"""SELECT r.`name`, r.`item_code`, CAST(r.`stock_qty` AS CHAR), CAST(r.`base_net_amount` AS CHAR),
				r.`{self.ORDER[doctype]}`, o.`prevdoc_docname`
			FROM `tab{doctype} Item` r LEFT JOIN `tabSales Order Item` o
				ON o.`parent` = r.`{self.ORDER[doctype]}` AND o.`item_code` = r.`item_code`
			WHERE r.`name` IN %s""",
			(rows,),
		):
			self.sold[row] = (item, exact(quantity), exact(amount))
			if order:
				self.origins[row].add(f"{SALES_ORDER}/{order}")
			if quotation:
				self.origins[row].add(f"{QUOTATION}/{quotation}")

	def revenue(self, move, item: str, left: Decimal) -> Decimal:
		"""The share of what the row brought. What a bundle brought is not divided among what is in it."""
		sold, quantity, amount = self.sold[move.row]
		return amount * left / quantity if sold == item else Decimal(0)


# -- writing it down ----------------------------------------------------------------------------------------


def _write(row, reminder: Reminded, bought: Bought | None) -> bool:
	"""Write the outcome of a reminder, if it is another than what stands there."""
	if bought:
		doctype, name = bought.key.split("/", 1)
		values = {
			"won": 1,
			"won_on": bought.at.date(),
			"won_days": days_between(reminder, bought),
			"invoice_type": doctype,
			"invoice": name,
			"quantity": quantise(bought.quantity),
			"revenue": quantise(bought.revenue),
		}
	else:
		values = {
			"won": 0,
			"won_on": None,
			"won_days": 0,
			"invoice_type": None,
			"invoice": None,
			"quantity": Decimal(0),
			"revenue": Decimal(0),
		}
	standing = {
		**{key: row[key] for key in values},
		"quantity": exact(row.quantity),
		"revenue": exact(row.revenue),
	}
	if all((standing[key] or None) == (value or None) for key, value in values.items()):
		return False
	columns = ", ".join(f"`{key}` = %({key})s" for key in values)
	# nosemgrep: frappe-sql-format-injection -- columns are the keys above
	frappe.db.sql(
		f"UPDATE `tabReorder Message Item` SET {columns} WHERE `name` = %(row)s", {**values, "row": row.name}
	)
	return True


def _note(customer: str, row, bought: Bought | None) -> None:
	if row.kind == "Held Out":
		return
	item = frappe.utils.escape_html(row.item_name or row.item_code)
	if bought and row.won and row.won_on == bought.at.date() and row.invoice_type == DELIVERY:
		return  # What was delivered then is billed now.
	if bought and row.invoice != bought.key.split("/", 1)[1]:
		doctype, name = bought.key.split("/", 1)
		text = _("Bought after the reminder of {0}: {1}, {2}").format(
			words.day(row.sent_at), item, get_link_to_form(doctype, name)
		)
	elif not bought:
		text = _("The purchase after the reminder of {0} came back or was cancelled: {1}").format(
			words.day(row.sent_at), item
		)
	else:
		text = _("Of the purchase after the reminder of {0} remain {1}: {2}").format(
			words.day(row.sent_at), words.number(bought.quantity), item
		)
	timeline.note(customer, text)
