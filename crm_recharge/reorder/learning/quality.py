"""Purchase data that would mislead: each finding with the document, what is odd and what to do about it."""

import frappe
from frappe import _
from frappe.utils import cint

from crm_recharge.domain.reorder.netting import EARLIEST
from crm_recharge.doors.sight import customers
from crm_recharge.people import vouching
from crm_recharge.reorder import words
from crm_recharge.reorder.learning.documents import COUNTS, DELIVERY, DOCUMENTS, GIFT
from crm_recharge.reorder.learning.purchases import as_date, own_items, today
from crm_recharge.reorder.privacy.fields import NOT_LEARNED, has_mark

LIMIT = 500
"""Findings of one kind that are listed; a person mends the first ones first."""
OUTLIER = 10
"""A quantity so many times the usual one is worth a look."""
OUTLIER_PURCHASES = 4
"""Purchases of a pair before one of them can stand out."""
LONG_SILENCE = 20 * 365

DUPLICATE = "Duplicate"
UNREACHABLE = "No reachable contact"
UNIT_CHANGE = "Unit changed"
OUTLYING = "Outlying quantity"
FUTURE = "Day to come"
ANCIENT = "Day too early"
NO_UNIT = "Item without unit"
NEGATIVE_RATE = "Negative rate"
ZERO = "Zero quantity"
GAP = "Gap of twenty years"
UNKNOWN = "Unknown customer or item"
LOOSE_RETURN = "Return without its invoice"


def problems(filters: dict | None = None) -> list[dict]:
	"""Rows of kind, customer, item_code, document_type, document, day, detail, advice.

	Args:
		filters: any of customer, item_code, company, from_date, to_date (of the day), kind (one of the names
			here, or several); limit (rows of each kind).
	"""
	filters = frappe._dict(filters or {})
	wanted = filters.get("kind")
	wanted = {wanted} if isinstance(wanted, str) and wanted else set(wanted or FINDERS)
	rows = []
	for kind, finder in FINDERS.items():
		if kind in wanted:
			rows += [{"kind": _(kind), **row} for row in finder(_Scope(filters))]
	return rows


class _Scope:
	"""The filters, and what the reader may see, as SQL over an invoice `inv` and its row `row_`."""

	def __init__(self, filters):
		self.filters = filters
		self.limit = cint(filters.get("limit")) or LIMIT
		self.seen = customers().replace("%", "%%")
		self.values = {
			**{key: filters.get(key) for key in ("customer", "item_code", "company", "from_date", "to_date")},
			"limit": self.limit,
			"own": tuple(own_items() or {""}),
			"today": as_date(today()),
			"earliest": as_date(EARLIEST),
		}

	def where(self, **columns: str) -> str:
		"""AND conditions for those filters that are set; `columns` maps filter → column."""
		found = []
		for key, column in columns.items():
			if self.filters.get(key):
				operator = {"from_date": ">=", "to_date": "<="}.get(key, "=")
				found.append(f"{column} {operator} %({key})s")
		if "customer" in columns and self.seen:
			found.append(f"{columns['customer']} IN (SELECT `name` FROM `tabCustomer` WHERE {self.seen})")
		return "".join(f" AND {condition}" for condition in found)

	def documents(self, doctype: str) -> str:
		"""FROM and WHERE: rows `row_` of submitted documents `inv` that count as purchases, as the learning reads them."""
		columns = {
			"customer": "inv.`customer`",
			"company": "inv.`company`",
			"from_date": "inv.`posting_date`",
			"to_date": "inv.`posting_date`",
			"item_code": "row_.`item_code`",
		}
		erased = f" AND COALESCE(customer.`{NOT_LEARNED}`, 0) = 0" if has_mark() else ""
		return (
			f" FROM `tab{doctype}` inv JOIN `tab{doctype} Item` row_"
			f" ON row_.`parent` = inv.`name` AND row_.`parenttype` = '{doctype}'"
			" LEFT JOIN `tabCustomer` customer ON customer.`name` = inv.`customer`"
			f" WHERE inv.`docstatus` = 1 {COUNTS[doctype]}{erased} AND NOT {GIFT}"
			f" AND row_.`item_code` NOT IN %(own)s{self.where(**columns)}"
		)

	def lines(self, select: str, condition: str, order: str = "inv.`posting_date` DESC"):
		"""Rows of all kinds of document, dicts with document_type."""
		found = []
		for doctype in DOCUMENTS:
			found += frappe.db.sql(
				f"SELECT inv.`customer`, row_.`item_code`, '{doctype}' AS document_type, inv.`name` AS document,"
				f" inv.`posting_date` AS day, {select} {self.documents(doctype)} AND {condition}"
				f" ORDER BY {order} LIMIT %(limit)s",
				self.values,
				as_dict=True,
			)
		return found[: self.limit]


def _row(found, detail: str, advice: str) -> dict:
	return {
		"customer": found.get("customer"),
		"item_code": found.get("item_code"),
		"document_type": found.get("document_type"),
		"document": found.get("document"),
		"day": found.get("day"),
		"detail": detail,
		"advice": advice,
	}


def duplicates(scope: _Scope) -> list[dict]:
	"""The same customer, item, day and quantity in several documents of one kind."""
	found = []
	for doctype in DOCUMENTS:
		# A bill of a delivery is no sale of its own: two of a day may well be alike.
		alone = "" if doctype == DELIVERY else " AND COALESCE(row_.`dn_detail`, '') = ''"
		found += frappe.db.sql(
			f"SELECT inv.`customer`, row_.`item_code`, '{doctype}' AS document_type, MAX(inv.`name`) AS document,"
			" inv.`posting_date` AS day, row_.`stock_qty` AS quantity, COUNT(DISTINCT inv.`name`) AS n,"
			" GROUP_CONCAT(DISTINCT inv.`name` ORDER BY inv.`name` SEPARATOR ', ') AS names"
			f" {scope.documents(doctype)} AND row_.`stock_qty` > 0 AND row_.`item_code` <> ''{alone}"
			" GROUP BY inv.`customer`, row_.`item_code`, inv.`posting_date`, row_.`stock_qty`"
			" HAVING n > 1 ORDER BY inv.`posting_date` DESC LIMIT %(limit)s",
			scope.values,
			as_dict=True,
		)
	return [
		_row(
			row,
			_("{0} documents of the same quantity ({1}) on that day: {2}").format(
				row.n, words.number(row.quantity), row.names
			),
			_("Cancel the one that was entered twice. All of a day is one purchase, of their sum."),
		)
		for row in found[: scope.limit]
	]


def unreachable(scope: _Scope) -> list[dict]:
	"""Customers with something learned and no contact with an e-mail address that counts as theirs."""
	linked = (
		"SELECT 1 FROM `tabDynamic Link` l JOIN `tabContact` p ON p.`name` = l.`parent` AND l.`parenttype` = 'Contact'"
		" WHERE l.`link_doctype` = 'Customer' AND l.`link_name` = c.`name`"
	)
	found = frappe.db.sql(
		"SELECT c.`name` AS customer, r.`next_on` AS day FROM `tabReorder Customer` r"
		" JOIN `tabCustomer` c ON c.`name` = r.`customer`"
		" LEFT JOIN `tabContact` p ON p.`name` = c.`customer_primary_contact`"
		f" WHERE c.`disabled` = 0 AND NOT COALESCE({vouching.HAS_EMAILS}, 0)"
		f" AND NOT EXISTS ({linked} AND {vouching.HAS_EMAILS})"
		+ scope.where(customer="c.`name`")
		+ " ORDER BY r.`revenue_365` DESC LIMIT %(limit)s",
		scope.values,
		as_dict=True,
	)
	return [
		_row(
			{"customer": row.customer, "document_type": "Customer", "document": row.customer, "day": row.day},
			*_why_unreachable(row.customer),
		)
		for row in found
	]


def _why_unreachable(customer: str) -> tuple[str, str]:
	strange = vouching.strangers("Contact", customer)
	if strange:
		return (
			_("Contact {0} was linked by somebody who may not change the customer").format(strange[0]),
			_(
				"Check the contact. If it is right, take its link to the customer out and in again, or make it the"
				" customer's primary contact."
			),
		)
	return (
		_("No contact with an e-mail address"),
		_("Add a Contact with an address to the customer; mails also need its consent."),
	)


def unit_changes(scope: _Scope) -> list[dict]:
	"""Items invoiced in several stock units, or with several factors for one unit."""
	found = []
	for doctype in DOCUMENTS:
		found += frappe.db.sql(
			f"SELECT row_.`item_code`, '{doctype}' AS document_type, MAX(inv.`name`) AS document,"
			" MAX(inv.`posting_date`) AS day, COUNT(DISTINCT row_.`stock_uom`) AS units,"
			" GROUP_CONCAT(DISTINCT CONCAT(row_.`uom`, ' = ', TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM"
			" CAST(row_.`conversion_factor` AS CHAR))), ' ', row_.`stock_uom`) SEPARATOR ', ') AS seen"
			f" {scope.documents(doctype)} AND row_.`item_code` <> '' AND row_.`stock_uom` <> ''"
			" GROUP BY row_.`item_code` HAVING units > 1"
			" OR COUNT(DISTINCT row_.`uom`, row_.`conversion_factor`) > COUNT(DISTINCT row_.`uom`)"
			" ORDER BY row_.`item_code` LIMIT %(limit)s",
			scope.values,
			as_dict=True,
		)
	return [
		_row(
			row,
			_("Invoiced as {0}").format(row.seen),
			_(
				"Quantities are compared in the stock unit. If a factor is wrong, correct the invoices or the item."
			),
		)
		for row in found[: scope.limit]
	]


def outliers(scope: _Scope) -> list[dict]:
	"""Purchase-days of a pair with far more or far less than its usual quantity."""
	# The usual one is the geometric mean of the others: one outlier does not hide itself.
	found = frappe.db.sql(
		"""
		SELECT d.`customer`, d.`item_code`, d.`day`, d.`quantity`,
			EXP((s.logs - LN(d.`quantity`)) / (s.n - 1)) AS usual
		FROM `tabReorder Purchase Day` d JOIN (
			SELECT `customer`, `item_code`, COUNT(*) AS n, SUM(LN(`quantity`)) AS logs
			FROM `tabReorder Purchase Day` WHERE `quantity` > 0
			GROUP BY `customer`, `item_code`
			HAVING n >= %(least)s AND MAX(`quantity`) >= %(times)s * MIN(`quantity`)
		) s ON s.`customer` = d.`customer` AND s.`item_code` = d.`item_code`
		WHERE d.`quantity` > 0
		"""
		+ scope.where(
			customer="d.`customer`", item_code="d.`item_code`", from_date="d.`day`", to_date="d.`day`"
		)
		+ " HAVING d.`quantity` >= usual * %(times)s OR d.`quantity` * %(times)s <= usual"
		" ORDER BY d.`day` DESC LIMIT %(limit)s",
		{**scope.values, "least": OUTLIER_PURCHASES, "times": OUTLIER},
		as_dict=True,
	)
	return [
		_row(
			row,
			_("{0}, where {1} is usual").format(words.number(row.quantity), words.rounded(row.usual, 2)),
			_("Look whether quantity and unit of the invoice are right."),
		)
		for row in found
	]


def future_days(scope: _Scope) -> list[dict]:
	"""Invoices of days to come."""
	return [
		_row(
			row,
			_("The invoice is of a day to come"),
			_("It counts from that day on. If the day is wrong, cancel and amend it."),
		)
		for row in scope.lines("row_.`stock_qty`", "inv.`posting_date` > %(today)s")
	]


def ancient_days(scope: _Scope) -> list[dict]:
	"""Invoices of before 1990."""
	return [
		_row(
			row,
			_("The invoice is of before {0}; it does not count").format(words.day(as_date(EARLIEST))),
			_("If the day is wrong, cancel and amend it."),
		)
		for row in scope.lines("row_.`stock_qty`", "inv.`posting_date` < %(earliest)s")
	]


def items_without_unit(scope: _Scope) -> list[dict]:
	"""Items that were bought and have no stock unit, or one that does not exist."""
	found = frappe.db.sql(
		"SELECT i.`name` AS item_code FROM `tabItem` i LEFT JOIN `tabUOM` u ON u.`name` = i.`stock_uom`"
		" WHERE u.`name` IS NULL AND EXISTS (SELECT 1 FROM `tabReorder Reminder` r WHERE r.`item_code` = i.`name`"
		+ scope.where(customer="r.`customer`")
		+ ")"
		+ scope.where(item_code="i.`name`")
		+ " ORDER BY i.`name` LIMIT %(limit)s",
		scope.values,
		as_dict=True,
	)
	return [
		_row(
			{"item_code": row.item_code, "document_type": "Item", "document": row.item_code},
			_("No stock unit"),
			_("Set the Default Unit of Measure of the item: without it nothing can be ordered again."),
		)
		for row in found
	]


def negative_rates(scope: _Scope) -> list[dict]:
	"""Rows that were sold at less than nothing: discounts or corrections entered as items."""
	return [
		_row(
			row,
			_("Quantity {0} at the rate {1}").format(words.number(row.quantity), words.number(row.rate)),
			_(
				"If this is a discount or a correction, enter it as such: as it stands it counts as a purchase."
			),
		)
		for row in scope.lines(
			"row_.`stock_qty` AS quantity, row_.`rate`", "row_.`rate` < 0 AND row_.`stock_qty` > 0"
		)
	]


def zero_quantities(scope: _Scope) -> list[dict]:
	"""Rows of nothing."""
	return [
		_row(
			row,
			_("Quantity 0 in the stock unit"),
			_("It does not count. If something was sold, correct the quantity or its conversion factor."),
		)
		for row in scope.lines(
			"row_.`qty`", "row_.`stock_qty` = 0 AND row_.`item_code` <> '' AND inv.`is_return` = 0"
		)
	]


def gaps(scope: _Scope) -> list[dict]:
	"""Pairs with twenty years between two purchases."""
	found = frappe.db.sql(
		"SELECT * FROM (SELECT `customer`, `item_code`, `day`, LAG(`day`) OVER (PARTITION BY `customer`, `item_code`"
		" ORDER BY `day`) AS before_ FROM `tabReorder Purchase Day` WHERE (`customer`, `item_code`) IN"
		" (SELECT `customer`, `item_code` FROM `tabReorder Reminder` WHERE `last_day` - INTERVAL %(gap)s DAY >= `first_day`"
		+ scope.where(customer="`customer`", item_code="`item_code`")
		+ ")) d WHERE DATEDIFF(`day`, before_) >= %(gap)s"
		+ scope.where(from_date="`day`", to_date="`day`")
		+ " ORDER BY `day` DESC LIMIT %(limit)s",
		{**scope.values, "gap": LONG_SILENCE},
		as_dict=True,
	)
	return [
		_row(
			row,
			_("Bought before that on {0}").format(words.day(row.before_)),
			_("If one of the days is wrong, cancel and amend that invoice."),
		)
		for row in found
	]


def unknown(scope: _Scope) -> list[dict]:
	"""Rows whose customer or item does not exist (any more)."""
	found = scope.lines(
		"customer.`name` AS known_customer, (SELECT i.`name` FROM `tabItem` i WHERE i.`name` = row_.`item_code`)"
		" AS known_item",
		"row_.`item_code` <> '' AND (customer.`name` IS NULL OR NOT EXISTS"
		" (SELECT 1 FROM `tabItem` i WHERE i.`name` = row_.`item_code`))",
	)
	return [
		_row(
			{**row, "customer": row.known_customer, "item_code": row.known_item},
			_("There is no customer {0}").format(row.customer)
			if not row.known_customer
			else _("There is no item {0}").format(row.item_code),
			_("It does not count. Make the record anew under that name, or leave it."),
		)
		for row in found
	]


def loose_returns(scope: _Scope) -> list[dict]:
	"""Returned goods whose invoice is not named."""
	return [
		_row(
			row,
			_("{0} came back, of no invoice that is named").format(words.number(abs(row.quantity))),
			_("It is taken off the latest purchases before. Make returns from the invoice to be exact."),
		)
		for row in scope.lines(
			"row_.`stock_qty` AS quantity",
			"row_.`stock_qty` < 0 AND row_.`item_code` <> '' AND COALESCE(inv.`return_against`, '') = ''",
		)
	]


FINDERS = {
	DUPLICATE: duplicates,
	UNREACHABLE: unreachable,
	UNIT_CHANGE: unit_changes,
	OUTLYING: outliers,
	FUTURE: future_days,
	ANCIENT: ancient_days,
	NO_UNIT: items_without_unit,
	NEGATIVE_RATE: negative_rates,
	ZERO: zero_quantities,
	GAP: gaps,
	UNKNOWN: unknown,
	LOOSE_RETURN: loose_returns,
}
