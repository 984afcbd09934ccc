"""When a customer is reminded of an item, and what speaks against it at that moment.

Days are counted as `date.toordinal()`. Nothing here reads a clock or a database: who asks says what is known.
"""

from dataclasses import dataclass, field
from typing import Any

AT_ONCE = 1
"""Not before the day after the purchase, however long the lead time."""


@dataclass(frozen=True, slots=True)
class Timing:
	"""What a Reorder Rule says of the day. All in days; 0 is no limit.

	Attributes:
		lead_time: so many days before the expected day.
		minimum, maximum: the expected day is so many days after the last purchase, at least and at most.
		by_age: the expected day is `age` days after the last purchase, whatever the rhythm (durables).
		age: see by_age.
	"""

	lead_time: int = 0
	minimum: int = 0
	maximum: int = 0
	by_age: bool = False
	age: int = 0


def expected_on(last: int, middle: int | None, timing: Timing, expected: int | None = None) -> int | None:
	"""The day the item is expected to be bought again; None: nothing says so.

	Args:
		last: the last day it was bought.
		middle: P50 as foretold on the day of the last purchase: `predict(…, today=state.last).p50`. Not the one
			of today, which assumes that it was not bought until now and recedes with every day that passes.
		timing: the rule's.
		expected: the customer's own word; counts when it is after the last purchase.
	"""
	if expected is not None and expected > last:
		return expected
	if timing.by_age:
		return last + timing.age
	if middle is None:
		return None
	day = max(middle, last + timing.minimum) if timing.minimum else middle
	return min(day, last + timing.maximum) if timing.maximum else day


def remind_on(
	last: int,
	middle: int | None,
	timing: Timing,
	expected: int | None = None,
	snoozed_until: int | None = None,
	reminded: int | None = None,
) -> int | None:
	"""The day from which a reminder is due; None: none is.

	Args:
		last, middle, timing, expected: see `expected_on`.
		snoozed_until: no reminder before, as the customer said.
		reminded: the day of the last reminder, if there was one after the last purchase. Then another is due
			only because the customer named a later day since (see `wish`). What was bought on the day of a
			reminder was bought after it: none goes out on the day of a purchase.
	"""
	day = expected_on(last, middle, timing, expected)
	asked = wish(last, expected, snoozed_until)
	if reminded is not None and reminded > last:
		if asked is None or asked <= reminded:
			return None
		day = asked if day is None else day
	if day is None:
		return None
	day = max(day - timing.lead_time, last + AT_ONCE)
	return max(day, snoozed_until) if snoozed_until is not None else day


def wish(last: int, expected: int | None, snoozed_until: int | None) -> int | None:
	"""The latest day the customer named since the last purchase, be it an expected day or the end of a snooze."""
	return max((day for day in (expected, snoozed_until) if day is not None and day > last), default=None)


# -- what speaks against it ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class HeldBack:
	"""Why not now. `code` is one of CODES; `figures` are what the sentence for people needs."""

	code: str
	figures: dict[str, Any] = field(default_factory=dict)


CODES = (
	"customer_disabled",
	"outside_hours",
	"no_consent",
	"held_out",
	"snoozed",
	"too_soon",
	"rule_off",
	"item_disabled",
	"stopped",
	"not_due",
	"bought_meanwhile",
	"replaced",
	"already_reminded",
	"too_few_purchases",
	"probably_stopped",
	"range_too_wide",
	"open_order",
	"subscription",
	"out_of_stock",
)


@dataclass(frozen=True, slots=True)
class Limits:
	"""What Reorder Settings ask for. 0 switches a limit off.

	Attributes:
		least_purchases: purchase-days before the first reminder.
		least_p_alive: probability (0 to 1) that the customer still buys.
		widest_range: P90 - P10, in usual intervals.
	"""

	least_purchases: int = 0
	least_p_alive: float = 0.0
	widest_range: float = 0.0


@dataclass(frozen=True, slots=True)
class Whom:
	"""The customer at this moment.

	Attributes:
		disabled: the Customer is.
		consents: there is a contact who wants mails and can have them.
		snoozed_until: the contact wants none before.
		last_mailed: the day of the last mail to this customer.
		frequency: at most one mail in so many days; 0 is no limit.
	"""

	disabled: bool = False
	consents: bool = False
	snoozed_until: int | None = None
	last_mailed: int | None = None
	frequency: int = 0


@dataclass(frozen=True, slots=True)
class Pair:
	"""A customer and an item at this moment.

	Attributes:
		last: the last day it was bought, by the statistics.
		due: the day from which a reminder is due (`remind_on`); None: none is.
		days: purchase-days so far.
		p_alive: probability (0 to 1) that the customer still buys it; None: not foretold.
		low, high: P10 and P90 of the next purchase; None: not foretold.
		interval: the usual interval in days; 0: unknown.
		by_age: reminded by the age of the item, so that rhythm and probabilities say nothing.
		expected: the day the customer named for the next purchase.
		snoozed_until: of this item.
		stopped: the customer wants no reminders of it.
		rule_on: a rule covers it and says to remind.
		item_disabled: the item is disabled, at its end of life or not for sale.
		bought: a later day on which it was bought, known since the statistics.
		replaced: a later day on which something else was bought in its place, and `replaced_by` what.
		reminded: the day of the last reminder since the last purchase.
		order: the open order, quotation or draft that holds it.
		subscription: the subscription that delivers it.
		in_stock: None when stock does not matter.
	"""

	last: int
	due: int | None
	days: int = 0
	p_alive: float | None = None
	low: int | None = None
	high: int | None = None
	interval: float = 0.0
	by_age: bool = False
	expected: int | None = None
	snoozed_until: int | None = None
	stopped: bool = False
	rule_on: bool = True
	item_disabled: bool = False
	bought: int | None = None
	replaced: int | None = None
	replaced_by: str | None = None
	reminded: int | None = None
	order: str | None = None
	subscription: str | None = None
	in_stock: bool | None = None


def customer_held_back(whom: Whom, today: int, by_mail: bool = True) -> HeldBack | None:
	"""What speaks against a reminder to this customer on `today`; None: nothing.

	Args:
		whom: the customer.
		today: the site's day.
		by_mail: False for a hint to the sales team, which needs neither consent nor distance from the last mail.
	"""
	if whom.disabled:
		return HeldBack("customer_disabled")
	if not by_mail:
		return None
	if not whom.consents:
		return HeldBack("no_consent")
	if whom.snoozed_until is not None and today < whom.snoozed_until:
		return HeldBack("snoozed", {"until": whom.snoozed_until})
	if whom.last_mailed is not None and whom.frequency and today < whom.last_mailed + whom.frequency:
		return HeldBack("too_soon", {"last": whom.last_mailed, "days": whom.frequency})
	return None


def held_back(pair: Pair, limits: Limits, today: int) -> HeldBack | None:
	"""What speaks against reminding of this item on `today`; None: nothing. The weightiest reason comes first."""
	return _unwanted(pair) or _settled(pair, today) or _unsure(pair, limits) or _on_its_way(pair)


def _unwanted(pair: Pair) -> HeldBack | None:
	if not pair.rule_on:
		return HeldBack("rule_off")
	if pair.item_disabled:
		return HeldBack("item_disabled")
	return HeldBack("stopped") if pair.stopped else None


def _settled(pair: Pair, today: int) -> HeldBack | None:
	if pair.bought is not None and pair.bought > pair.last:
		return HeldBack("bought_meanwhile", {"on": pair.bought})
	if pair.replaced is not None and pair.replaced > pair.last:
		return HeldBack("replaced", {"on": pair.replaced, "by": pair.replaced_by})
	if pair.reminded is not None and pair.reminded > pair.last:
		asked = wish(pair.last, pair.expected, pair.snoozed_until)
		if asked is None or asked <= pair.reminded:
			return HeldBack("already_reminded", {"on": pair.reminded})
	if pair.snoozed_until is not None and today < pair.snoozed_until:
		return HeldBack("snoozed", {"until": pair.snoozed_until})
	if pair.due is None or today < pair.due:
		return HeldBack("not_due", {} if pair.due is None else {"on": pair.due})
	# Whatever was foretold before.
	if today < pair.last + AT_ONCE:
		return HeldBack("bought_meanwhile", {"on": pair.last})
	return None


def _unsure(pair: Pair, limits: Limits) -> HeldBack | None:
	# The age of a thing and the customer's own word need no forecast.
	if pair.by_age or (pair.expected is not None and pair.expected > pair.last):
		return None
	if pair.days < limits.least_purchases:
		return HeldBack("too_few_purchases", {"days": pair.days, "least": limits.least_purchases})
	if pair.p_alive is not None and pair.p_alive < limits.least_p_alive:
		return HeldBack("probably_stopped", {"p_alive": pair.p_alive, "least": limits.least_p_alive})
	if limits.widest_range and pair.low is not None and pair.high is not None and pair.interval > 0:
		intervals = (pair.high - pair.low) / pair.interval
		if intervals > limits.widest_range:
			return HeldBack("range_too_wide", {"intervals": intervals, "widest": limits.widest_range})
	return None


def _on_its_way(pair: Pair) -> HeldBack | None:
	if pair.order:
		return HeldBack("open_order", {"order": pair.order})
	if pair.subscription:
		return HeldBack("subscription", {"subscription": pair.subscription})
	return HeldBack("out_of_stock") if pair.in_stock is False else None


def allowed_at(minute: int, weekday: int, start: int, end: int, weekdays_only: bool) -> bool:
	"""Whether mails may go out now.

	Args:
		minute, weekday: now, in the site's time zone: minutes since midnight, Monday = 0.
		start, end: minutes since midnight; from `start`, until before `end`. A start after the end spans
			midnight; the same for both means all day.
		weekdays_only: Monday to Friday.
	"""
	if weekdays_only and weekday > 4:
		return False
	if start == end:
		return True
	return start <= minute < end if start < end else minute >= start or minute < end
