"""Reorder Purchase Days and the statistics on Reorder Reminder: changed by an invoice, or worked out from scratch.

Both ways leave the same rows, to the last digit (`domain/reorder/netting.py` says which). An invoice changes them in
a few statements whatever the customer's history; where that cannot be right, the pair is worked out from its
invoices instead, right after the commit.
"""

import math
from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import NamedTuple

import frappe
from frappe import _
from frappe.utils import now

from crm_recharge import transactions
from crm_recharge.domain.reorder import PairState, amend
from crm_recharge.domain.reorder.netting import Netted, is_real, is_regular, net
from crm_recharge.reorder import timeline, words
from crm_recharge.reorder.learning import bulk, customers, purchases
from crm_recharge.reorder.learning.purchases import ORDINAL, Line

REMINDER, PURCHASE_DAY = "Reorder Reminder", "Reorder Purchase Day"

STATE_COLUMNS = {
	"purchase_days": "int",
	"first_day": bulk.DAY,
	"previous_day": bulk.DAY,
	"last_day": bulk.DAY,
	"last_quantity": bulk.NUMBER,
	"sum_log": bulk.WHOLE,
	"sum_square": bulk.WHOLE,
	"sum_quantity": bulk.WHOLE,
	"sum_quantity_square": bulk.WHOLE,
	"sum_cross": bulk.WHOLE,
}
"""Columns of Reorder Reminder in the order of the fields of PairState."""

# What a change of the statistics takes with it: the forecast is void until it is made anew, and so are the reminder
# and what was said of the time before.
CHANGED_COLUMNS = {
	**STATE_COLUMNS,
	"usual_interval": bulk.NUMBER,
	"irregular": "int",
	"relearn_on": bulk.DAY,
	"expected_on": bulk.DAY,
	"forecast_on": bulk.DAY,
	"remind_on": bulk.DAY,
	"status": bulk.TEXT,
	"status_reason": "text",
}
LASTING = ("Stopped", "Paused")
"""What no purchase changes."""
DAY_COLUMNS = {"customer": bulk.TEXT, "item_code": bulk.TEXT, "day": bulk.DAY, "quantity": bulk.NUMBER}


class Row(NamedTuple):
	"""A Reorder Reminder's statistics and what a change of them depends on. `kept`: a person or mail refers to it."""

	name: str
	customer: str
	item: str
	state: PairState
	irregular: bool
	relearn_on: date | None
	expected_on: date | None
	kept: bool
	status: str | None = None
	status_reason: str | None = None


class Amendment(NamedTuple):
	"""New statistics of a pair: `netted` only what a change needs to know."""

	state: PairState
	irregular: bool = False
	next_day: int | None = None


# -- reading ---------------------------------------------------------------------------------------------------------


def read(customers_: list[str], items: list[str] | None = None) -> dict[tuple[str, str], Row]:
	"""The Reorder Reminders of some customers (and items) by (customer, item)."""
	days = ", ".join(ORDINAL.format(f"`{c}`") for c in ("first_day", "previous_day", "last_day"))
	sums = ", ".join(f"`{c}`" for c in list(STATE_COLUMNS)[5:])
	rows = frappe.db.sql(
		f"SELECT `name`, `customer`, `item_code`, `irregular`, `relearn_on`, `expected_on`,"
		" `stopped` OR `snoozed_until` IS NOT NULL OR COALESCE(`last_message`, '') <> '', `status`,"
		f" `status_reason`, `purchase_days`, {days}, CAST(`last_quantity` AS CHAR), {sums}"
		" FROM `tabReorder Reminder` WHERE `customer` IN %(customers)s"
		+ (" AND `item_code` IN %(items)s" if items is not None else ""),
		{"customers": tuple(customers_), "items": tuple(items or ())},
	)
	return {
		(row[1], row[2]): Row(
			row[0],
			row[1],
			row[2],
			state_of(row[9:]),
			bool(row[3]),
			row[4],
			row[5],
			bool(row[6] or row[5]),
			*row[7:9],
		)
		for row in rows
	}


def state_of(values) -> PairState:
	"""The statistics from the values of STATE_COLUMNS: days as ordinals, the quantity as text."""
	days, first, previous, last, quantity, *sums = values
	if not days:
		return PairState()
	return PairState(days, first, previous, last, float(quantity or 0), *(int(s or 0) for s in sums))


def as_values(state: PairState) -> list:
	"""The values of STATE_COLUMNS."""
	return [
		state.days,
		purchases.as_date(state.first),
		purchases.as_date(state.previous),
		purchases.as_date(state.last),
		state.last_quantity,
		state.sum_log,
		state.sum_square,
		state.sum_quantity,
		state.sum_quantity_square,
		state.sum_cross,
	]


def usual_interval(state: PairState) -> float:
	"""Geometric mean of the intervals in days; 0 without one."""
	return round(math.exp(state.mean_log), 9) if state.intervals else 0.0


# -- an invoice comes or goes ----------------------------------------------------------------------------------------


def apply(customer: str, lines: list[Line], sign: int) -> None:
	"""Add (`sign` 1) or take away (-1) the lines of one invoice, within the caller's transaction.

	Raises QueryTimeoutError when the customer is locked by somebody else for long.
	"""
	today = purchases.today()
	lines = [line for line in lines if is_real(line.posted, line.counts_on, line.quantity)]
	if not lines:
		return
	held = customers.lock(customer)
	items = sorted({line.item for line in lines})
	rows = read([customer], items) if held.current else {}
	odd = set() if held.current else set(items)
	odd |= {item for item in items if (row := rows.get((customer, item))) and row.irregular}
	odd |= {line.item for line in lines if not is_regular(line.posted, line.counts_on, today)}
	changes: dict[str, dict[int, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
	for line in lines:
		if line.item not in odd:
			changes[line.item][line.counts_on] += sign * line.quantity
	amended = {}
	for item, days in changes.items():
		row = rows.get((customer, item))
		state = _amend(customer, item, row.state if row else PairState(), days)
		if state is None:
			odd.add(item)
		else:
			amended[customer, item] = Amendment(state)
	write(amended, rows)
	if odd:
		have_relearned(customer, sorted(odd))
	customers.changed([held.name])
	customers.settle_soon(customer)


def _amend(customer: str, item: str, state: PairState, changes: dict[int, Decimal]) -> PairState | None:
	"""Change the quantities of some days, and write them; None when more comes back than was there."""
	for day, change in sorted(changes.items()):
		if not change:
			continue
		if change > 0 and (not state.days or day > state.last):
			before, after = [(state.last, state.last_quantity)] if state.days else [], []
			name, was = None, Decimal(0)
		else:
			name, was, before, after = _neighbours(customer, item, day)
		now = was + change
		if now < 0:
			return None
		if name and now:
			bulk.update(PURCHASE_DAY, {"quantity": bulk.NUMBER}, [(name, now)], touch=True)
		elif name:
			bulk.delete(PURCHASE_DAY, [name])
		elif now:
			bulk.insert(PURCHASE_DAY, DAY_COLUMNS, [(customer, item, purchases.as_date(day), now)])
		state = amend(state, day, float(was), float(now), before, after)
	return state


def _neighbours(customer: str, item: str, day: int):
	"""The purchase-day itself (row, quantity), the two before it and the one after, each by the unique index."""
	what = (
		f"SELECT `name`, {ORDINAL.format('`day`')}, CAST(`quantity` AS CHAR) FROM `tabReorder Purchase Day`"
	)
	pair = "`customer` = %(customer)s AND `item_code` = %(item)s"
	rows = frappe.db.sql(
		f"({what} WHERE {pair} AND `day` = %(day)s)"
		f" UNION ALL ({what} WHERE {pair} AND `day` < %(day)s ORDER BY `day` DESC LIMIT 2)"
		f" UNION ALL ({what} WHERE {pair} AND `day` > %(day)s ORDER BY `day` LIMIT 1)",
		{"customer": customer, "item": item, "day": purchases.as_date(day)},
	)
	found = {on: (name, Decimal(quantity)) for name, on, quantity in rows}
	name, was = found.pop(day, (None, Decimal(0)))
	around = [(on, float(quantity)) for on, (_, quantity) in sorted(found.items(), reverse=True)]
	return name, was, [d for d in around if d[0] < day], [d for d in around if d[0] > day]


def have_relearned(customer: str, items: list[str]) -> None:
	"""Note that these pairs must be worked out from their invoices; until then they are not reminded of.

	The caller holds the customer's lock. A pair whose row this transaction cannot see yet is found by its key.
	"""
	facts = _facts([(customer, item) for item in items])
	with timeline.speaking():
		reason = _("A purchase, or its cancellation, is being taken up.")
	for item in items:
		customer_name, item_name, item_group = facts[customer, item]
		frappe.db.sql(
			"INSERT INTO `tabReorder Reminder` (`name`, `creation`, `modified`, `owner`, `modified_by`, `customer`,"
			" `item_code`, `customer_name`, `item_name`, `item_group`, `status`, `irregular`, `relearn_on`)"
			" VALUES (%(name)s, %(now)s, %(now)s, %(user)s, %(user)s, %(customer)s, %(item)s, %(customer_name)s,"
			" %(item_name)s, %(item_group)s, 'Learning', 1, %(today)s)"
			" ON DUPLICATE KEY UPDATE `irregular` = 1, `relearn_on` = %(today)s, `remind_on` = NULL,"
			" `forecast_on` = NULL, `status_reason` = IF(`status` IN %(lasting)s, `status_reason`, %(reason)s),"
			" `status` = IF(`status` IN %(lasting)s, `status`, 'Learning')",
			{
				"lasting": LASTING,
				"reason": reason,
				"name": bulk.new_name(),
				"user": frappe.session.user,
				"customer": customer,
				"item": item,
				"customer_name": customer_name,
				"item_name": item_name,
				"item_group": item_group,
				"today": purchases.as_date(purchases.today()),
				"now": now(),
			},
		)


# -- from scratch ------------------------------------------------------------------------------------------------------


class Rebuilt(NamedTuple):
	"""What a rebuild read and what it could not use: (customer, item, why)."""

	lines: int
	pairs: int
	problems: list[tuple[str, str, str]]


def rebuild(customers_: list[str], items: list[str] | None = None) -> Rebuilt:
	"""Work out the pairs of some customers from their invoices, and commit. Writes only what differs.

	Ends the caller's transaction first: what is read must be read under the customers' locks.

	Args:
		items: only these items, of one customer.
	"""
	today = purchases.today()
	names = customers.lock_all(customers_)
	if items is None:
		lines = purchases.of_customers(customers_)
	else:
		lines = purchases.of_pairs(customers_[0], items)
	by_pair: dict[tuple[str, str], list] = defaultdict(list)
	for line in lines:
		by_pair[line.customer, line.item].append(line[2:])
	known_days = _known_days(customers_, items)
	rows = read(customers_, items)
	amended, problems, wanted = {}, [], {}
	for pair in by_pair.keys() | known_days.keys() | rows.keys():
		if pair[0] not in names:
			continue
		try:
			netted = net(by_pair.get(pair, ()), today)
			amended[pair] = Amendment(netted.state(), netted.irregular, netted.next_day)
			wanted[pair] = netted
		except Exception as error:
			problems.append((*pair, f"{type(error).__name__}: {error}"))
	_write_days(wanted, known_days)
	write(amended, rows)
	if names:
		customers.changed(list(names.values()), learned_anew=items is None)
	transactions.commit()
	return Rebuilt(len(lines), len(by_pair), problems)


def _known_days(customers_: list[str], items: list[str] | None) -> dict[tuple[str, str], dict[int, tuple]]:
	"""{(customer, item): {day: (name of the row, quantity)}}"""
	rows = frappe.db.sql(
		f"SELECT `customer`, `item_code`, {ORDINAL.format('`day`')}, `name`, CAST(`quantity` AS CHAR)"
		" FROM `tabReorder Purchase Day` WHERE `customer` IN %(customers)s"
		+ (" AND `item_code` IN %(items)s" if items is not None else ""),
		{"customers": tuple(customers_), "items": tuple(items or ())},
	)
	known: dict[tuple[str, str], dict] = defaultdict(dict)
	for customer, item, day, name, quantity in rows:
		known[customer, item][day] = (name, Decimal(quantity))
	return known


def _write_days(wanted: dict[tuple[str, str], Netted], known: dict) -> None:
	added, altered, gone = [], [], []
	for pair, netted in wanted.items():
		there = known.get(pair) or {}
		days = dict(netted.days)
		for day, quantity in netted.days:
			if day not in there:
				added.append((*pair, purchases.as_date(day), quantity))
			elif there[day][1] != quantity:
				altered.append((there[day][0], quantity))
		gone += [name for day, (name, _) in there.items() if day not in days]
	bulk.delete(PURCHASE_DAY, gone)
	bulk.update(PURCHASE_DAY, {"quantity": bulk.NUMBER}, altered, touch=True)
	bulk.insert(PURCHASE_DAY, DAY_COLUMNS, sorted(added))


# -- writing -----------------------------------------------------------------------------------------------------------


def write(amended: dict[tuple[str, str], Amendment], rows: dict[tuple[str, str], Row]) -> None:
	"""Write statistics onto the Reorder Reminders: insert, update what differs, delete what says nothing any more."""
	new, altered, gone = [], [], []
	for pair, new_state in amended.items():
		row = rows.get(pair)
		state, relearn_on = new_state.state, purchases.as_date(new_state.next_day)
		empty = not state.days and not new_state.irregular
		if row is None:
			if not empty:
				new.append((pair, new_state))
		elif empty and not row.kept:
			gone.append(row.name)
		elif (row.state, row.irregular, row.relearn_on) != (state, new_state.irregular, relearn_on):
			later = state.days and (not row.state.days or state.last > row.state.last)
			# The customer's own expected date holds until the next purchase.
			expected_on = None if later else row.expected_on
			altered.append(
				(
					row.name,
					*as_values(state),
					usual_interval(state),
					int(new_state.irregular),
					relearn_on,
					expected_on,
					None,
					None,
					*_standing(row, state),
				)
			)
	bulk.delete(REMINDER, gone)
	bulk.update(REMINDER, CHANGED_COLUMNS, altered)
	_insert(new)


def _standing(row: Row, state: PairState) -> tuple[str | None, str | None]:
	"""Status and reason from now until the next forecast, which follows in a job of its own."""
	if row.status in LASTING:
		return row.status, row.status_reason
	with timeline.speaking():
		if not state.days:
			return "Learning", _("No purchase stands.")
		return "Waiting", _("Last bought on {0}. When it is due next is being worked out.").format(
			words.day(purchases.as_date(state.last))
		)


def _insert(new: list) -> None:
	if not new:
		return
	facts = _facts([pair for pair, _ in new])
	columns = {
		"customer": bulk.TEXT,
		"item_code": bulk.TEXT,
		"customer_name": bulk.TEXT,
		"item_name": bulk.TEXT,
		"item_group": bulk.TEXT,
		**STATE_COLUMNS,
		"usual_interval": bulk.NUMBER,
		"irregular": "int",
		"relearn_on": bulk.DAY,
	}
	bulk.insert(
		REMINDER,
		columns,
		[
			(
				*pair,
				*facts[pair],
				*as_values(n.state),
				usual_interval(n.state),
				int(n.irregular),
				purchases.as_date(n.next_day),
			)
			for pair, n in sorted(new, key=lambda one: one[0])
		],
		alike={"status": "Learning"},
	)


def _facts(pairs: list[tuple[str, str]]) -> dict[tuple[str, str], tuple]:
	"""(customer's name, item's name, item group) of each pair."""
	people = frappe.get_all(
		"Customer",
		{"name": ["in", {c for c, _ in pairs}]},
		["name", "customer_name"],
		as_list=True,
		order_by=None,
	)
	things = frappe.get_all(
		"Item", {"name": ["in", {i for _, i in pairs}]}, ["name", "item_name", "item_group"], order_by=None
	)
	called = dict(people)
	known = {row.name: (row.item_name, row.item_group) for row in things}
	return {(c, i): (called.get(c), *known.get(i, (None, None))) for c, i in pairs}


def refresh(customer: str, items: list[str] | None = None) -> None:
	"""Forecast and reminder day of a customer's pairs anew, from the stored statistics and the current priors."""
	from crm_recharge.reorder.learning import forecasts

	forecasts.refresh(customer, items)
