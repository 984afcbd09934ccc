"""What is so at this moment: may this customer be reminded, and of what.

Statistics are from last night at best. Here the invoices, orders, subscriptions and the stock of now are read,
and `domain.reorder.due` judges them.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import frappe
from frappe.query_builder.functions import Coalesce, Max, Sum
from frappe.utils import cint, flt, getdate
from frappe.utils.nestedset import get_descendants_of

from crm_recharge.domain.reorder.due import HeldBack, Limits, Pair, Whom, customer_held_back, held_back, wish
from crm_recharge.reorder import catalogue, rules
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.learning import packing, purchases
from crm_recharge.reorder.sending import holding_out

DRAFT_DAYS = 30
"""A draft or an open quotation without an end counts for so long; older ones are forgotten ones."""
CLOSED_SUBSCRIPTION = ("Cancelled", "Completed")
OPEN_QUOTATION = ("Draft", "Open", "Partially Ordered", "Replied")
SETTLED_ORDER = ("Closed", "Completed", "Cancelled")


def cycle_key(customer: str, item: str, last_day: date, asked: date | None = None) -> str:
	"""What is reminded of once: customer, item, and the purchase since which it is awaited.

	`asked`: the later day which the customer named after an earlier reminder of that cycle (remind me later, I
	still have enough); each such day is one more reminder.
	"""
	parts = [customer, item, str(getdate(last_day))]
	if asked:
		parts.append(str(getdate(asked)))
	return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@dataclass(slots=True)
class Due:
	"""One pair, checked. `reason` None: remind of it."""

	reminder: object
	rule: rules.Rule
	pair: Pair
	key: str
	reason: HeldBack | None = None


@dataclass(slots=True)
class Checked:
	"""A customer, checked. `reason`: why no mail; `team_reason`: why no hint to the sales team either.

	Attributes:
		customer: name, customer_name, language, disabled.
		row: Reorder Customer: name, valuable, last_sent_at.
		held_out: belongs to those not reminded.
		preference, email: of the contact to mail.
		due: everything whose day has come, the most urgent first, with or without a reason against it.
	"""

	customer: object
	row: object
	held_out: bool
	preference: object | None
	email: str | None
	reason: HeldBack | None
	team_reason: HeldBack | None
	due: list[Due]


def look(customer: str, row, now: datetime, settings) -> Checked:
	"""Check `customer` as it is now. `row` is its Reorder Customer row, which the caller has locked."""
	today = getdate(now)
	who = frappe.db.get_value(
		"Customer", customer, ["name", "customer_name", "disabled", "is_frozen", "language"], as_dict=True
	)
	preference = preferences.consenting(customer)
	whom = Whom(
		disabled=not who or bool(who.disabled or who.is_frozen),
		consents=preference is not None,
		snoozed_until=_ordinal(preference.snoozed_until) if preference else None,
		last_mailed=_ordinal(row.last_sent_at),
		frequency=(cint(preference.frequency_days) if preference else 0)
		or cint(settings.default_frequency_days),
	)
	reason = customer_held_back(whom, today.toordinal())
	team_reason = customer_held_back(whom, today.toordinal(), by_mail=False)
	hinted = bool(row.valuable) and settings.sales_team in ("Beside the mail", "Instead of the mail")

	def wanted(due: Due) -> bool:
		return not reason or (not team_reason and (hinted or due.rule.channel != rules.EMAIL))

	return Checked(
		customer=who,
		row=row,
		held_out=holding_out.is_held_out(row.name),
		preference=preference,
		email=preference.flags.reachable_at if preference else None,
		reason=reason,
		team_reason=team_reason,
		due=pairs_due(customer, today, settings, wanted) if who else [],
	)


def pairs_due(customer: str, today: date, settings, wanted=lambda due: True) -> list[Due]:
	"""The customer's pairs whose day has come, each with what speaks against reminding of it, if anything.

	`wanted`: see `judge`.
	"""
	reminder = frappe.qb.DocType("Reorder Reminder")
	# Not by a filter: Frappe's takes an empty day for one long ago.
	reminders = (
		frappe.qb.from_(reminder)
		.select("*")
		.where((reminder.customer == customer) & reminder.last_day.isnotnull())
		.where(reminder.remind_on.isnotnull() & (reminder.remind_on <= today))
		.orderby(reminder.remind_on, reminder.item_code)
	).run(as_dict=True)
	return judge(customer, reminders, today, settings, wanted)


def judge(customer: str, reminders: list, today: date, settings, wanted) -> list[Due]:
	"""Judge these Reorder Reminder rows of `customer` by what is known now.

	`wanted(due)`: whether one against which nothing speaks so far might be used; for the others the documents are
	not looked at.
	"""
	if not reminders:
		return []
	items = [row.item_code for row in reminders]
	ruling = rules.of_items(items)
	limits = Limits(
		least_purchases=cint(settings.least_purchases),
		least_p_alive=flt(settings.least_p_alive) / 100,
		widest_range=flt(settings.widest_range),
	)
	known = _Known(customer, reminders, today)

	def judged(row) -> Due:
		rule = ruling[row.item_code]
		pair = known.pair(row, rule)
		asked = wish(pair.last, pair.expected, pair.snoozed_until) if pair.reminded is not None else None
		key = cycle_key(customer, row.item_code, row.last_day, date.fromordinal(asked) if asked else None)
		return Due(row, rule, pair, key, held_back(pair, limits, today.toordinal()))

	found = [judged(row) for row in sorted(reminders, key=lambda row: _expected(row, ruling[row.item_code]))]
	# Most of what is held back is so for reasons that are on the row itself: look at the documents for the rest.
	open_ = [due.reminder for due in found if not due.reason and wanted(due)]
	if open_:
		known.look_closer(customer, open_, ruling, settings)
		found = [judged(due.reminder) if not due.reason else due for due in found]
	return found


def _expected(row, rule: rules.Rule) -> tuple:
	"""What runs out first comes first."""
	return (_ordinal(row.remind_on) or 0) + rule.lead_time, row.item_code


class _Known:
	"""What must be known of a customer's items, read by a few queries for all of them."""

	def __init__(self, customer: str, reminders: list, today: date):
		self.today = today
		self.sold = catalogue.sold([row.item_code for row in reminders], today, customer)
		self.reminded = last_reminded(customer, {row.item_code: row.last_day for row in reminders})
		self.bought, self.replaced = {}, {}
		self.orders, self.subscriptions, self.stock = {}, {}, {}

	def look_closer(self, customer: str, reminders: list, ruling: dict, settings) -> None:
		"""Look at the documents and the stock for these."""
		codes = [row.item_code for row in reminders]
		last_days = {row.item_code: row.last_day for row in reminders}
		self.bought = purchases_since(customer, last_days)
		self.replaced = replaced_since(customer, last_days)
		self.orders = open_orders(customer, codes, self.today)
		self.subscriptions = subscriptions(customer, codes, self.today)
		stocked = {code: ruling[code].warehouse for code in codes if ruling[code].pause_out_of_stock}
		if stocked:
			self.stock = in_stock(stocked, company_of(customer, settings))

	def pair(self, row, rule: rules.Rule) -> Pair:
		replaced = self.replaced.get(row.item_code, (None, None))
		return Pair(
			last=_ordinal(row.last_day),
			due=_ordinal(row.remind_on),
			days=cint(row.purchase_days),
			p_alive=None if row.next_on is None else flt(row.p_alive) / 100,
			low=_ordinal(row.next_from),
			high=_ordinal(row.next_to),
			interval=flt(row.usual_interval),
			by_age=rule.by_age,
			expected=_ordinal(row.expected_on),
			snoozed_until=_ordinal(row.snoozed_until),
			stopped=bool(row.stopped),
			rule_on=rule.remind,
			item_disabled=row.item_code not in self.sold,
			bought=_ordinal(self.bought.get(row.item_code)),
			replaced=_ordinal(replaced[0]),
			replaced_by=replaced[1],
			reminded=_ordinal(self.reminded.get(row.item_code)),
			order=self.orders.get(row.item_code),
			subscription=self.subscriptions.get(row.item_code),
			in_stock=self.stock.get(row.item_code),
		)


def last_reminded(customer: str, last_days: dict[str, date]) -> dict[str, date]:
	"""When each item was last reminded of (or would have been, for who is held out) since its last purchase."""
	message, row = frappe.qb.DocType("Reorder Message"), frappe.qb.DocType("Reorder Message Item")
	rows = (
		frappe.qb.from_(row)
		.join(message)
		.on(row.parent == message.name)
		.select(row.item_code, row.last_day, Max(message.sent_at))
		.where((message.customer == customer) & row.item_code.isin(list(last_days)))
		.groupby(row.item_code, row.last_day)
	).run()
	return {code: getdate(at) for code, last, at in rows if at and getdate(last) == getdate(last_days[code])}


def purchases_since(customer: str, last_days: dict[str, date]) -> dict[str, date]:
	"""The latest day on which each item was bought after its last day known to the statistics.

	From the learned days and from the documents themselves, drafts of the last weeks included: an invoice or
	delivery that could not be learned, or is being written, counts as well.
	"""
	learned = frappe.qb.DocType("Reorder Purchase Day")
	rows = (
		frappe.qb.from_(learned)
		.select(learned.item_code, Max(learned.day))
		.where((learned.customer == customer) & learned.item_code.isin(list(last_days)))
		.where(learned.quantity > 0)
		.groupby(learned.item_code)
		.run()
	)
	last_days = {code: getdate(day) for code, day in last_days.items()}
	found = {code: getdate(day) for code, day in rows if getdate(day) > last_days[code]}
	recent = frappe.utils.now_datetime() - timedelta(days=DRAFT_DAYS)
	for code, day in purchases.since(customer, last_days, recent).items():
		found[code] = max(day, found.get(code, day))
	return found


def replaced_since(customer: str, last_days: dict[str, date]) -> dict[str, tuple[date, str]]:
	"""Item → the day on which something else was bought in its place, and what.

	That is an Item Alternative of it, or another variant of its template that was never bought before: who buys two
	variants all along goes on with both.
	"""
	codes = tuple(last_days)
	alternatives = frappe.db.sql(
		"""SELECT a.`item_code`, r.`last_day`, r.`item_name` FROM (
			SELECT `item_code`, `alternative_item_code` FROM `tabItem Alternative` WHERE `item_code` IN %(codes)s
			UNION SELECT `alternative_item_code`, `item_code` FROM `tabItem Alternative`
				WHERE `two_way` = 1 AND `alternative_item_code` IN %(codes)s
		) a JOIN `tabReorder Reminder` r ON r.`customer` = %(customer)s AND r.`item_code` = a.`alternative_item_code`
		WHERE r.`purchase_days` > 0""",
		{"codes": codes, "customer": customer},
	)
	variants = frappe.db.sql(
		"""SELECT own.`name`, r.`first_day`, r.`item_name` FROM `tabItem` own
		JOIN `tabReorder Reminder` r ON r.`customer` = %(customer)s AND r.`item_code` <> own.`name`
		JOIN `tabItem` other ON other.`name` = r.`item_code` AND other.`variant_of` = own.`variant_of`
		WHERE own.`name` IN %(codes)s AND own.`variant_of` <> '' AND r.`purchase_days` > 0""",
		{"codes": codes, "customer": customer},
	)
	found: dict[str, tuple[date, str]] = {}
	for code, day, name in (*alternatives, *variants):
		if day and getdate(day) > getdate(last_days[code]):
			found[code] = max((getdate(day), name), found.get(code, (getdate(day), name)))
	return found


def open_orders(customer: str, codes: list[str], today: date) -> dict[str, str]:
	"""For each item that is on its way, by itself or in a bundle: the order, quotation or draft that says so."""
	found = {}
	for code, order in (*_quotations(customer, codes, today), *_sales_orders(customer, codes, today)):
		found[code] = order
	return found


def _sales_orders(customer: str, codes: list[str], today: date) -> list[tuple[str, str]]:
	order, row = frappe.qb.DocType("Sales Order"), frappe.qb.DocType("Sales Order Item")
	# What has left or was billed is bought. Of what costs nothing no amount tells whether it was billed, and for less
	# than was ordered all of it may be billed. What a supplier delivers leaves no note: it is known by its bill.
	unbilled = ((row.billed_amt < row.amount) | (row.amount == 0)) & (row.qty > _billed(row))
	without_a_note = (row.delivered_by_supplier == 1) & (row.amount != 0)
	open_row = unbilled & ((row.delivered_qty < row.qty) | without_a_note)
	submitted = (order.docstatus == 1) & order.status.notin(SETTLED_ORDER) & open_row
	draft = (order.docstatus == 0) & (order.modified > _some_weeks_ago(today))
	of_customer = (order.customer == customer) & (row.qty > 0) & (submitted | draft)
	return _rows_and_packed(order, row, of_customer, codes)


def _billed(row):
	"""How much of an order's row invoices bill."""
	bill = frappe.qb.DocType("Sales Invoice Item")
	of_row = (bill.so_detail == row.name) & (bill.docstatus == 1)
	return frappe.qb.from_(bill).select(Coalesce(Sum(bill.qty), 0)).where(of_row)


def _quotations(customer: str, codes: list[str], today: date) -> list[tuple[str, str]]:
	quotation, row = frappe.qb.DocType("Quotation"), frappe.qb.DocType("Quotation Item")
	holds = (quotation.valid_till >= today) | (
		quotation.valid_till.isnull() & (quotation.modified > _some_weeks_ago(today))
	)
	of_customer = (quotation.quotation_to == "Customer") & (quotation.party_name == customer)
	standing = (quotation.docstatus < 2) & quotation.status.isin(OPEN_QUOTATION) & holds
	return _rows_and_packed(quotation, row, of_customer & standing, codes)


def _rows_and_packed(document, row, condition, codes: list[str]) -> list[tuple[str, str]]:
	"""(item, document) of the rows that meet `condition`, and of what is packed in them."""
	packed = frappe.qb.DocType("Packed Item")
	rows = frappe.qb.from_(document).join(row).on(row.parent == document.name).where(condition)
	with_packed = rows.join(packed).on(
		(packed.parent_detail_docname == row.name) & (packed.parent == document.name)
	)
	return [
		*with_packed.select(packed.item_code, Max(document.name))
		.where(packed.item_code.isin(codes))
		.groupby(packed.item_code)
		.run(),
		*rows.select(row.item_code, Max(document.name))
		.where(row.item_code.isin(codes))
		.groupby(row.item_code)
		.run(),
	]


def _some_weeks_ago(today: date) -> date:
	return today - timedelta(days=DRAFT_DAYS)


def subscriptions(customer: str, codes: list[str], today: date) -> dict[str, str]:
	"""For each item that a Subscription bills, by itself or in a bundle, now or within the next weeks: its name."""
	subscription = frappe.qb.DocType("Subscription")
	detail, plan = frappe.qb.DocType("Subscription Plan Detail"), frappe.qb.DocType("Subscription Plan")
	soon = today + timedelta(days=DRAFT_DAYS)
	billed = dict(
		frappe.qb.from_(subscription)
		.join(detail)
		.on(detail.parent == subscription.name)
		.join(plan)
		.on(plan.name == detail.plan)
		.select(plan.item, Max(subscription.name))
		.where((subscription.party_type == "Customer") & (subscription.party == customer))
		.where(subscription.status.notin(CLOSED_SUBSCRIPTION))
		.where(subscription.start_date.isnull() | (subscription.start_date <= soon))
		.where(subscription.end_date.isnull() | (subscription.end_date >= today))
		.groupby(plan.item)
		.run()
	)
	for bundle, within in packing.contents(billed).items():
		billed = {item: billed[bundle] for item, _quantity in within} | billed
	return {code: billed[code] for code in codes if code in billed}


def in_stock(warehouses: dict[str, str | None], company: str | None) -> dict[str, bool]:
	"""Whether each item can be had now: something is there, and not all of it promised to others.

	A bundle can be had when all of it can; what has no stock always can.

	Args:
		warehouses: item → where to look (a group: all below it); None: all warehouses of `company`.
		company: the one that sells; what lies with another one cannot be had. None: of every company.
	"""
	if not warehouses:
		return {}
	bundles = packing.contents(warehouses)
	needed = {code: dict(bundles[code]) if bundles.get(code) else {code: 0} for code in warehouses}
	by_place = defaultdict(list)
	for code, warehouse in warehouses.items():
		by_place[warehouse].append(code)
	found = {}
	for warehouse, codes in by_place.items():
		there = _quantities({item for code in codes for item in needed[code]}, _places(warehouse, company))
		for code in codes:
			found[code] = all(
				min(there[item]) > 0 and min(there[item]) >= quantity
				for item, quantity in needed[code].items()
				if item in there
			)
	return found


def _quantities(items: set[str], places: list[str]) -> dict[str, tuple[float, float]]:
	"""Stock item → what is there and what is not promised to others; other items are left out."""
	item, bin_ = frappe.qb.DocType("Item"), frappe.qb.DocType("Bin")
	rows = (
		frappe.qb.from_(item)
		.left_join(bin_)
		.on((bin_.item_code == item.name) & bin_.warehouse.isin(places or [""]))
		.select(item.name, Sum(bin_.actual_qty), Sum(bin_.projected_qty))
		.where(item.name.isin(list(items)) & (item.is_stock_item == 1))
		.groupby(item.name)
	).run()
	return {code: (flt(actual), flt(projected)) for code, actual, projected in rows}


def _places(warehouse: str | None, company: str | None) -> list[str]:
	"""Warehouses of `company` that goods are sold from: of `warehouse` and below, or all, where it has none there."""
	table = frappe.qb.DocType("Warehouse")
	query = frappe.qb.from_(table).select(table.name).where((table.disabled == 0) & (table.is_group == 0))
	query = query.where(Coalesce(table.warehouse_type, "") != "Transit")
	if frappe.get_meta("Warehouse").has_field("is_rejected_warehouse"):
		query = query.where(table.is_rejected_warehouse == 0)
	if company:
		query = query.where(table.company == company)
	if warehouse:
		below = [warehouse, *get_descendants_of("Warehouse", warehouse, ignore_permissions=True)]
		own = not company or frappe.db.get_value("Warehouse", warehouse, "company") == company
		query = query.where(table.name.isin(below)) if own else query
	return query.run(pluck=True)


def company_of(customer: str, settings) -> str | None:
	"""The company that sells to `customer`."""
	from crm_recharge.reorder.answers.orders import company_for

	return company_for(customer, settings.company)


def _ordinal(day) -> int | None:
	return getdate(day).toordinal() if day else None
