"""When each pair is bought again, and when to remind: foretold from the stored statistics and the current fit.

On Reorder Reminder by pair; the nearest of a customer on Reorder Customer, and from there on the Customer itself.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import frappe
from frappe import _
from frappe.utils import cint, flt

from crm_recharge.domain.reorder import NoBasisError, PairState, Priors, predict
from crm_recharge.domain.reorder.due import HeldBack, Limits, Pair, held_back, remind_on
from crm_recharge.reorder import catalogue, rules
from crm_recharge.reorder.learning import bulk, customers, model, purchases
from crm_recharge.reorder.learning.pairs import REMINDER, STATE_COLUMNS, state_of, usual_interval
from crm_recharge.reorder.learning.purchases import ORDINAL, as_date
from crm_recharge.reorder.privacy.fields import is_not_learned
from crm_recharge.reorder.sending import reasons

HORIZON = 30
FARTHEST = 36_525
"""No day further away than a hundred years is written down."""
STATUS = {
	"rule_off": "Paused",
	"item_disabled": "Paused",
	"customer_disabled": "Paused",
	"stopped": "Stopped",
	"already_reminded": "Reminded",
	"snoozed": "Snoozed",
	"too_few_purchases": "Learning",
	"range_too_wide": "Learning",
	"probably_stopped": "Lapsed",
	"not_due": "Waiting",
}
FORECAST_COLUMNS = {
	"next_from": bulk.DAY,
	"next_on": bulk.DAY,
	"next_to": bulk.DAY,
	"p_alive": bulk.NUMBER,
	"p_buy_30": bulk.NUMBER,
	"remind_on": bulk.DAY,
	"status": bulk.TEXT,
	"status_reason": "text",
	"rule": bulk.TEXT,
	"item_name": bulk.TEXT,
	"item_group": bulk.TEXT,
	"customer_name": bulk.TEXT,
	"forecast_on": bulk.DAY,
}
# When `tabReorder Reminder` r was last reminded of since its last purchase. A reminder was of the purchase that its
# message names: one that became known later, of a day before the reminder, begins another cycle all the same. Of a
# message that was made anonymous only the day is known.
REMINDED = """IF(r.`last_reminded_at` IS NULL, NULL, COALESCE(
	(SELECT DATE(MAX(m.`sent_at`)) FROM `tabReorder Message Item` mi JOIN `tabReorder Message` m ON m.`name` = mi.`parent`
		WHERE mi.`reminder` = r.`name` AND mi.`last_day` = r.`last_day`),
	IF(COALESCE(r.`last_message`, '') = '', DATE(r.`last_reminded_at`), NULL)))"""
# A forecast is written only onto the statistics it was made from.
MADE_FROM = {
	"purchase_days": "int",
	"last_day": bulk.DAY,
	"sum_log": bulk.WHOLE,
	"last_quantity": bulk.NUMBER,
}
SUMMARY_COLUMNS = {
	"customer_name": bulk.TEXT,
	"due_items": "int",
	"next_from": bulk.DAY,
	"next_on": bulk.DAY,
	"next_to": bulk.DAY,
	"next_item": bulk.TEXT,
}
CUSTOMER_FIELDS = {
	"crm_recharge_next_purchase_from": "next_from",
	"crm_recharge_next_purchase_on": "next_on",
	"crm_recharge_next_purchase_to": "next_to",
}
"""Custom field of Customer → field of Reorder Customer."""


# -- one pair ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Known:
	"""What a forecast of a pair needs, as read from the database."""

	name: str
	customer: str
	item: str
	state: PairState
	expected_on: int | None
	snoozed_until: int | None
	stopped: bool
	reminded: int | None
	forecast: tuple
	customer_name: str | None
	customer_disabled: bool
	item_name: str | None
	item_group: str | None
	item_disabled: bool


@dataclass(slots=True)
class Foretold:
	"""The values of FORECAST_COLUMNS but for the day, and what summaries need. Days as ordinals."""

	known: Known
	low: int | None = None
	middle: int | None = None
	high: int | None = None
	p_alive: float | None = None
	p_buy_30: float | None = None
	remind_on: int | None = None
	status: str = "Learning"
	reason: str | None = None
	rule: str | None = None

	def values(self, today: int) -> list:
		"""Values of FORECAST_COLUMNS."""
		known = self.known
		return [
			as_date(self.low),
			as_date(self.middle),
			as_date(self.high),
			round(100 * (self.p_alive or 0), 4),
			round(100 * (self.p_buy_30 or 0), 4),
			as_date(self.remind_on),
			self.status,
			self.reason,
			self.rule,
			known.item_name,
			known.item_group,
			known.customer_name,
			as_date(today),
		]


def foretell(known: Known, priors: Priors, rule: rules.Rule, limits: Limits, today: int) -> Foretold:
	"""The forecast of one pair, the day to remind, and where it stands."""
	result, state = Foretold(known, rule=rule.name), known.state
	if not state.days:
		result.status, result.reason = _standing(known, rule, result, limits, today)
		return result
	no_basis = None
	expected_first = None
	try:
		forecast = predict(
			priors,
			state,
			today,
			known.customer,
			known.item,
			known.item_group,
			rule_default=rule.default_interval,
			horizon_days=HORIZON,
			elasticity=rule.elasticity,
		)
	except NoBasisError as error:
		no_basis = str(error)
	else:
		end = max(today, state.last) + FARTHEST
		result.low, result.middle, result.high = (
			min(d, end) for d in (forecast.p10, forecast.p50, forecast.p90)
		)
		result.p_alive, result.p_buy_30 = forecast.p_alive, forecast.p_buy_within
		# As seen on the day of the last purchase: what is expected from today on recedes with each day that passes.
		expected_first = min(state.last + max(round(forecast.interval.quantile(0.5)), 1), end)
	result.remind_on = remind_on(
		state.last,
		expected_first,
		rule.for_domain,
		known.expected_on,
		known.snoozed_until,
		known.reminded if known.reminded is not None and known.reminded > state.last else None,
	)
	if no_basis and result.remind_on is None:
		result.reason = _(
			"Bought once, and nothing to compare with yet. Set a usual interval on a Reorder Rule."
		)
		result.status = "Learning"
		if known.stopped or not rule.remind or known.item_disabled or known.customer_disabled:
			result.status, result.reason = _standing(known, rule, result, limits, today)
		return result
	result.status, result.reason = _standing(known, rule, result, limits, today)
	return result


def _standing(
	known: Known, rule: rules.Rule, result: Foretold, limits: Limits, today: int
) -> tuple[str, str | None]:
	"""Status and reason, by the same judgement that sending makes, but for what only the moment of sending knows."""
	if known.customer_disabled:
		return STATUS["customer_disabled"], reasons.sentence(HeldBack("customer_disabled"))
	state = known.state
	pair = Pair(
		last=state.last or 0,
		due=result.remind_on,
		days=state.days,
		p_alive=result.p_alive,
		low=result.low,
		high=result.high,
		interval=usual_interval(state),
		by_age=rule.by_age,
		expected=known.expected_on,
		snoozed_until=known.snoozed_until,
		stopped=known.stopped,
		rule_on=rule.remind,
		item_disabled=known.item_disabled,
		reminded=known.reminded,
	)
	reason = held_back(pair, limits, today)
	if reason and reason.code == "not_due":
		# Waiting for a day on which it will be held back all the same is not waiting.
		then = held_back(pair, limits, result.remind_on) if result.remind_on else reason
		if not state.days:
			return "Learning", _("No purchase stands.")
		return (STATUS[then.code], reasons.sentence(then)) if then else ("Waiting", None)
	return (STATUS[reason.code], reasons.sentence(reason)) if reason else ("Due", None)


# -- some customers --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Setting:
	"""What holds for all pairs of one go."""

	priors: Priors
	today: int
	limits: Limits
	ruling: dict = field(default_factory=dict)

	@classmethod
	def now(cls) -> "Setting":
		"""As things stand."""
		settings = frappe.get_cached_doc("Reorder Settings")
		limits = Limits(
			least_purchases=cint(settings.least_purchases),
			least_p_alive=flt(settings.least_p_alive) / 100,
			widest_range=flt(settings.widest_range),
		)
		return cls(model.current(), purchases.today(), limits)

	def rule(self, item: str) -> rules.Rule:
		"""The rule of an item that `know` has looked up."""
		return self.ruling[item]

	def know(self, items) -> None:
		"""Look up the rules of items not met so far."""
		missing = [item for item in items if item not in self.ruling]
		if missing:
			self.ruling.update(rules.of_items(missing))


def refresh(customer: str, items: list[str] | None = None) -> None:
	"""Foretell a customer's pairs anew, within the caller's transaction; the Customer's own fields follow later.

	Raises QueryTimeoutError when the customer is locked by somebody else for long.
	"""
	if is_not_learned(customer):
		return
	held = customers.lock(customer)
	setting = Setting.now()
	update_pairs(setting, read([customer], items))
	summarize(setting, {customer: held.name})
	customers.show_soon(customer)


def read(customers_: list[str], items: list[str] | None = None) -> list[Known]:
	"""The pairs of some customers, and what is so of their customer and item."""
	days = ", ".join(ORDINAL.format(f"r.`{c}`") for c in ("first_day", "previous_day", "last_day"))
	sums = ", ".join(f"r.`{c}`" for c in list(STATE_COLUMNS)[5:])
	wishes = ", ".join(ORDINAL.format(c) for c in ("r.`expected_on`", "r.`snoozed_until`", REMINDED))
	forecast = ", ".join(f"r.`{c}`" for c in FORECAST_COLUMNS)
	rows = frappe.db.sql(
		f"SELECT r.`name`, r.`customer`, r.`item_code`, {wishes}, r.`stopped`, c.`customer_name`,"
		" c.`disabled` OR c.`is_frozen`, i.`item_name`, i.`item_group`,"
		f" i.`name` IS NULL OR NOT {catalogue.SOLD},"
		f" r.`purchase_days`, {days}, CAST(r.`last_quantity` AS CHAR), {sums}, {forecast}"
		" FROM `tabReorder Reminder` r JOIN `tabCustomer` c ON c.`name` = r.`customer`"
		" LEFT JOIN `tabItem` i ON i.`name` = r.`item_code` WHERE r.`customer` IN %(customers)s"
		+ (" AND r.`item_code` IN %(items)s" if items is not None else ""),
		{
			"customers": tuple(customers_),
			"items": tuple(items or ("",)),
			"today": as_date(purchases.today()),
		},
	)
	width = len(STATE_COLUMNS)
	return [
		Known(
			name=row[0],
			customer=row[1],
			item=row[2],
			expected_on=row[3],
			snoozed_until=row[4],
			reminded=row[5],
			stopped=bool(row[6]),
			customer_name=row[7],
			customer_disabled=bool(row[8]),
			item_name=row[9],
			item_group=row[10],
			item_disabled=bool(row[11]),
			state=state_of(row[12 : 12 + width]),
			forecast=row[12 + width :],
		)
		for row in rows
	]


def update_pairs(setting: Setting, pairs: list[Known]) -> tuple[list[Foretold], list[tuple[str, str, str]]]:
	"""Foretell and write; returns the forecasts and the pairs that could not be foretold, with the reason.

	The caller holds the customers' locks.
	"""
	setting.know({known.item for known in pairs})
	foretold, problems, altered = [], [], []
	for known in pairs:
		try:
			one = foretell(known, setting.priors, setting.rule(known.item), setting.limits, setting.today)
		except Exception as error:
			problems.append((known.customer, known.item, f"{type(error).__name__}: {error}"))
			continue
		foretold.append(one)
		values = one.values(setting.today)
		if not _same(values, known.forecast):
			state = known.state
			altered.append(
				(known.name, *values, state.days, as_date(state.last), state.sum_log, state.last_quantity)
			)
	bulk.update(REMINDER, FORECAST_COLUMNS, altered, same=MADE_FROM)
	return foretold, problems


def _same(values: list, stored: tuple) -> bool:
	return all(
		(a == b) or (isinstance(a, float) and b is not None and abs(a - float(b)) < 1e-9)
		for a, b in zip(values, stored, strict=True)
	)


# -- the nearest, on the customer --------------------------------------------------------------------------------------------


def summarize(setting: Setting, names: dict[str, str]) -> None:
	"""Write the nearest expected purchase and the number of due items onto Reorder Customer.

	Args:
		names: {customer: name of its Reorder Customer}, all locked by the caller.
	"""
	# The customer's own word goes before the forecast.
	low, middle, high = (
		f"IF(`expected_on` > `last_day`, `expected_on`, `{column}`)"
		for column in ("next_from", "next_on", "next_to")
	)
	rows = frappe.db.sql(
		f"SELECT `customer`, `item_code`, {low}, {middle}, {high}, `status`, `p_alive`"
		" FROM `tabReorder Reminder` WHERE `customer` IN %s AND (`next_on` IS NOT NULL OR `status` = 'Due')",
		(tuple(names),),
	)
	due: dict[str, int] = defaultdict(int)
	nearest: dict[str, tuple] = {}
	least = 100 * setting.limits.least_p_alive
	for customer, item, low, middle, high, status, p_alive in rows:
		due[customer] += status == "Due"
		# Who has probably stopped is not waited for.
		if middle is None or status == "Stopped" or flt(p_alive) < least:
			continue
		found = (middle, item, low, high)
		if customer not in nearest or found < nearest[customer]:
			nearest[customer] = found
	stored = {row[0]: row for row in _summaries(names)}
	altered = []
	for customer, name in names.items():
		middle, item, low, high = nearest.get(customer, (None, None, None, None))
		there = stored.get(customer)
		values = (there[1] if there else None, due[customer], low, middle, high, item)
		if there and tuple(there[2:]) != values:
			altered.append((name, *values))
	bulk.update("Reorder Customer", SUMMARY_COLUMNS, altered)


def _summaries(names: dict[str, str]):
	columns = ", ".join(f"r.`{c}`" for c in SUMMARY_COLUMNS)
	return frappe.db.sql(
		f"SELECT r.`customer`, c.`customer_name`, {columns} FROM `tabReorder Customer` r"
		" JOIN `tabCustomer` c ON c.`name` = r.`customer` WHERE r.`customer` IN %s",
		(tuple(names),),
	)


def show_on_customers(customers_: list[str]) -> int:
	"""Copy the next purchase onto the Customers themselves, without touching when they were modified.

	Not under the locks of the Reorder Customers: a user's invoice may hold the Customer and wait for those.
	Returns how many were changed. The caller commits.
	"""
	if not customers_ or not frappe.db.has_column("Customer", next(iter(CUSTOMER_FIELDS))):
		return 0
	pairs = CUSTOMER_FIELDS.items()
	differs = " OR ".join(f"NOT c.`{theirs}` <=> r.`{ours}`" for theirs, ours in pairs)
	rows = frappe.db.sql(
		f"SELECT c.`name`, {', '.join(f'r.`{ours}`' for ours in CUSTOMER_FIELDS.values())}"
		" FROM `tabCustomer` c JOIN `tabReorder Customer` r ON r.`customer` = c.`name`"
		f" WHERE c.`name` IN %s AND ({differs}) ORDER BY c.`name`",
		(tuple(customers_),),
	)
	bulk.update("Customer", dict.fromkeys(CUSTOMER_FIELDS, bulk.DAY), rows)
	for row in rows:
		frappe.clear_document_cache("Customer", row[0])
	return len(rows)
