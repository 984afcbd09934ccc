"""What is so at this moment: may this customer be reminded, and of what.

Statistics are from last night at best. Here the invoices, orders, subscriptions and the stock of now are read,
and `domain.reorder.due` judges them.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import frappe
from frappe.query_builder.functions import Max, Sum
from frappe.utils import cint, flt, getdate
from frappe.utils.nestedset import get_descendants_of

from crm_recharge.domain.reorder.due import HeldBack, Limits, Pair, Whom, customer_held_back, held_back, wish
from crm_recharge.reorder import rules
from crm_recharge.reorder.consent import preferences
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
		self.items = {
			row.name: row
			for row in frappe.get_all(
				"Item",
				{"name": ["in", [row.item_code for row in reminders]]},
				["name", "disabled", "end_of_life", "is_sales_item", "is_stock_item", "has_variants"],
				order_by=None,
			)
		}
		self.reminded = last_reminded(customer, {row.item_code: row.last_day for row in reminders})
		self.bought, self.orders, self.subscriptions, self.stock = {}, {}, {}, {}

	def look_closer(self, customer: str, reminders: list, ruling: dict, settings) -> None:
		"""Look at the documents and the stock for these."""
		codes = [row.item_code for row in reminders]
		self.bought = purchases_since(customer, {row.item_code: row.last_day for row in reminders})
		self.orders = open_orders(customer, codes, self.today)
		self.subscriptions = subscriptions(customer, codes, self.today)
		stocked = {
			code: ruling[code].warehouse
			for code in codes
			if ruling[code].pause_out_of_stock and self.items[code].is_stock_item
		}
		if stocked:
			self.stock = in_stock(stocked, company_of(customer, settings))

	def pair(self, row, rule: rules.Rule) -> Pair:
		item = self.items.get(row.item_code)
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
			item_disabled=not _for_sale(item, self.today),
			bought=_ordinal(self.bought.get(row.item_code)),
			reminded=_ordinal(self.reminded.get(row.item_code)),
			order=self.orders.get(row.item_code),
			subscription=self.subscriptions.get(row.item_code),
			in_stock=self.stock.get(row.item_code),
		)


def _for_sale(item, today: date) -> bool:
	if not item or item.disabled or not item.is_sales_item or item.has_variants:
		return False
	# ERPNext's "never" is 2099-12-31; an empty date is one as well.
	return (
		not item.end_of_life or str(item.end_of_life).startswith("0000") or getdate(item.end_of_life) > today
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

	From the learned days and from the invoices themselves, drafts of the last weeks included: an invoice that
	could not be learned, or is being written, counts as well.
	"""
	codes, earliest = list(last_days), min(last_days.values())
	found: dict[str, date] = {}

	def note(rows):
		for code, day in rows:
			if day and getdate(day) > getdate(last_days[code]):
				found[code] = max(getdate(day), found.get(code, getdate(day)))

	learned = frappe.qb.DocType("Reorder Purchase Day")
	note(
		frappe.qb.from_(learned)
		.select(learned.item_code, Max(learned.day))
		.where((learned.customer == customer) & learned.item_code.isin(codes) & (learned.quantity > 0))
		.groupby(learned.item_code)
		.run()
	)
	for doctype in ("Sales Invoice", "POS Invoice"):
		came_back = _returned(doctype, customer, codes, earliest)
		note(
			(code, day)
			for name, code, day, sold in _invoiced(doctype, customer, codes, earliest)
			if flt(sold) > came_back.get((name, code), 0)
		)
	return found


def _invoiced(doctype: str, customer: str, codes: list[str], after: date) -> tuple:
	"""(invoice, item, day, quantity) of what was invoiced after a day, drafts of the last weeks included."""
	invoice, row = frappe.qb.DocType(doctype), frappe.qb.DocType(f"{doctype} Item")
	recent = frappe.utils.now_datetime() - timedelta(days=DRAFT_DAYS)
	return (
		frappe.qb.from_(invoice)
		.join(row)
		.on(row.parent == invoice.name)
		.select(invoice.name, row.item_code, invoice.posting_date, Sum(row.stock_qty))
		.where((invoice.customer == customer) & (invoice.posting_date > after))
		.where((invoice.is_return == 0) & row.item_code.isin(codes) & (row.qty > 0))
		.where((invoice.docstatus == 1) | ((invoice.docstatus == 0) & (invoice.modified > recent)))
		.groupby(invoice.name, row.item_code)
	).run()


def _returned(doctype: str, customer: str, codes: list[str], after: date) -> dict[tuple, float]:
	"""(invoice, item) → quantity that came back of it."""
	invoice, row = frappe.qb.DocType(doctype), frappe.qb.DocType(f"{doctype} Item")
	rows = (
		frappe.qb.from_(invoice)
		.join(row)
		.on(row.parent == invoice.name)
		.select(invoice.return_against, row.item_code, Sum(-row.stock_qty))
		.where((invoice.customer == customer) & (invoice.posting_date > after) & (invoice.docstatus == 1))
		.where((invoice.is_return == 1) & row.item_code.isin(codes))
		.groupby(invoice.return_against, row.item_code)
	).run()
	return {(against, code): flt(quantity) for against, code, quantity in rows}


def open_orders(customer: str, codes: list[str], today: date) -> dict[str, str]:
	"""For each item that is on its way: the order, quotation or draft that says so."""
	return _quotations(customer, codes, today) | _sales_orders(customer, codes, today)


def _sales_orders(customer: str, codes: list[str], today: date) -> dict[str, str]:
	order, row = frappe.qb.DocType("Sales Order"), frappe.qb.DocType("Sales Order Item")
	# Of what costs nothing no amount tells whether it was billed.
	open_row = (row.billed_amt < row.amount) | ((row.amount == 0) & (row.delivered_qty < row.qty))
	submitted = (order.docstatus == 1) & order.status.notin(SETTLED_ORDER) & open_row
	draft = (order.docstatus == 0) & (order.modified > _some_weeks_ago(today))
	return dict(
		frappe.qb.from_(order)
		.join(row)
		.on(row.parent == order.name)
		.select(row.item_code, Max(order.name))
		.where((order.customer == customer) & row.item_code.isin(codes) & (row.qty > 0))
		.where(submitted | draft)
		.groupby(row.item_code)
		.run()
	)


def _quotations(customer: str, codes: list[str], today: date) -> dict[str, str]:
	quotation, row = frappe.qb.DocType("Quotation"), frappe.qb.DocType("Quotation Item")
	holds = (quotation.valid_till >= today) | (
		quotation.valid_till.isnull() & (quotation.modified > _some_weeks_ago(today))
	)
	return dict(
		frappe.qb.from_(quotation)
		.join(row)
		.on(row.parent == quotation.name)
		.select(row.item_code, Max(quotation.name))
		.where((quotation.quotation_to == "Customer") & (quotation.party_name == customer))
		.where((quotation.docstatus < 2) & quotation.status.isin(OPEN_QUOTATION) & holds)
		.where(row.item_code.isin(codes))
		.groupby(row.item_code)
		.run()
	)


def _some_weeks_ago(today: date) -> date:
	return today - timedelta(days=DRAFT_DAYS)


def subscriptions(customer: str, codes: list[str], today: date) -> dict[str, str]:
	"""For each item that a running Subscription bills: its name."""
	subscription = frappe.qb.DocType("Subscription")
	detail, plan = frappe.qb.DocType("Subscription Plan Detail"), frappe.qb.DocType("Subscription Plan")
	return dict(
		frappe.qb.from_(subscription)
		.join(detail)
		.on(detail.parent == subscription.name)
		.join(plan)
		.on(plan.name == detail.plan)
		.select(plan.item, Max(subscription.name))
		.where((subscription.party_type == "Customer") & (subscription.party == customer))
		.where(plan.item.isin(codes) & subscription.status.notin(CLOSED_SUBSCRIPTION))
		.where(subscription.end_date.isnull() | (subscription.end_date >= today))
		.groupby(plan.item)
		.run()
	)


def in_stock(warehouses: dict[str, str | None], company: str | None) -> dict[str, bool]:
	"""Whether each stock item can be had now: something is there, and not all of it promised to others.

	Args:
		warehouses: item → where to look (a group: all below it); None: all warehouses of `company`.
		company: None: of every company.
	"""
	if not warehouses:
		return {}
	by_place = defaultdict(list)
	for code, warehouse in warehouses.items():
		by_place[warehouse].append(code)
	found = dict.fromkeys(warehouses, False)
	bin_ = frappe.qb.DocType("Bin")
	for warehouse, codes in by_place.items():
		places = _places(warehouse, company)
		if not places:
			continue
		rows = (
			frappe.qb.from_(bin_)
			.select(bin_.item_code, Sum(bin_.actual_qty), Sum(bin_.projected_qty))
			.where(bin_.item_code.isin(codes) & bin_.warehouse.isin(places))
			.groupby(bin_.item_code)
		).run()
		found.update({code: flt(actual) > 0 and flt(projected) > 0 for code, actual, projected in rows})
	return found


def _places(warehouse: str | None, company: str | None) -> list[str]:
	if warehouse:
		return [warehouse, *get_descendants_of("Warehouse", warehouse, ignore_permissions=True)]
	filters = {"is_group": 0, "disabled": 0}
	if company:
		filters["company"] = company
	return frappe.get_all("Warehouse", filters, pluck="name", order_by=None)


def company_of(customer: str, settings) -> str | None:
	"""The company that sells to `customer`."""
	from crm_recharge.reorder.answers.orders import company_for

	return company_for(customer, settings.company)


def _ordinal(day) -> int | None:
	return getdate(day).toordinal() if day else None
