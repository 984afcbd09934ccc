"""Whether a recharge starts now, how much it charges, and why (or why not): B9, A2, A3, U3, B3."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from crm_recharge.domain.book import RECHARGE, USAGE
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import ZERO, payable, payable_at_most, plain

# Reason codes, kept on the account's timeline.
CHARGED = "charged"
ABOVE_THRESHOLD = "above_threshold"
DISABLED = "disabled"
NO_SETTING = "no_setting"
OPEN_RECHARGE = "open_recharge"
CAPPED = "capped"
PAUSED = "paused"
HELD = "held"
NO_USABLE_CARD = "no_usable_card"
BELOW_MINIMUM = "below_minimum"
ABOVE_MAXIMUM = "above_maximum"
NOT_BY_USAGE = "not_by_usage"

TRIGGERS = (USAGE, RECHARGE)
"""Ledger rows that may start a recharge (A5). A colleague's correction, an expiry or a clawback charges no card by itself:
the next usage does."""


@dataclass(frozen=True, slots=True)
class Cap:
	"""A hard limit. `used` counts what has been captured in the window *and* what is in flight.

	An amount cap bounds money (`limit`, `used` in the account's currency), a count cap the number of
	recharges. `frees_at` is when the oldest of what is counted leaves the window.
	"""

	name: str
	limit: Decimal
	used: Decimal
	is_count: bool = False
	frees_at: datetime | None = None

	def leaves_room(self, amount: Decimal) -> bool:
		return self.used + (1 if self.is_count else amount) <= self.limit


@dataclass(frozen=True, slots=True)
class Limits:
	"""Smallest and largest amount of one payment, in the account's currency (M5: 5 and 10,000)."""

	minimum: Decimal = Decimal(5)
	maximum: Decimal = Decimal(10_000)

	def within(self, least: Decimal | None, most: Decimal | None) -> "Limits":
		"""These limits where a payment can be no less than `least` and no more than `most` (None: no such bound)."""
		return Limits(
			max(self.minimum, least or ZERO), self.maximum if most is None else min(self.maximum, most)
		)


@dataclass(frozen=True, slots=True)
class View:
	"""Everything the decision rests on, read under the account's lock."""

	currency: str
	balance: Decimal
	has_setting: bool = True
	enabled: bool = True
	falls_below: Decimal = Decimal(50)
	recharge_up_to: Decimal = Decimal(500)
	open_recharge: str | None = None
	held_because: str | None = None
	paused_because: str | None = None
	usable_cards: int = 1
	limits: Limits = field(default_factory=Limits)
	caps: tuple[Cap, ...] = ()
	overdraft: Decimal = ZERO
	"""How far below zero usage may bring the balance."""
	by_usage: bool = True
	"""Whether the movement that is looked at may start a recharge; see TRIGGERS."""
	refused: Decimal | None = None
	"""A charge that was refused for lack of credits: the balance is above the threshold, and yet not enough."""


@dataclass(frozen=True, slots=True)
class Decision:
	"""`amount` (major units of the account's currency) is set when and only when `code` is CHARGED.

	`pauses` says why auto-recharge is to pause from now on, until a person resumes it.
	"""

	code: str
	amount: Decimal | None = None
	figures: dict[str, str] = field(default_factory=dict)
	pauses: str | None = None


def may_start(entry_type: str) -> bool:
	"""Whether a ledger row of that type may start a recharge by itself."""
	return entry_type in TRIGGERS


def look_at_entry(balance: Decimal, falls_below: Decimal, more_follow: bool = False) -> bool:
	"""Whether a ledger row that leaves `balance` calls for a decision. Of several rows that are written as one the last
	decides: an expiry that is posted before a payment must not charge a card for what the payment brings."""
	return not more_follow and balance <= falls_below


def look_at_refusal(view: View) -> bool:
	"""Whether a refused charge calls for a decision: credits do not suffice, and the balance is low, or a recharge
	would let it through."""
	if view.refused is None or view.balance + view.overdraft >= view.refused:
		return False
	return view.balance <= view.falls_below or falls_short(view)


def decide(view: View, unusual: Callable[[], str | None] = lambda: None) -> Decision:
	"""Decide on `view`; what would be charged is not, where usage is `unusual`: then auto-recharge pauses.

	`unusual` says why; it is asked only when a charge would start, so that ordinary usage pays nothing for it.
	"""
	decision = _decide(view)
	if decision.code != CHARGED or not (because := unusual()):
		return decision
	return Decision(PAUSED, figures=decision.figures | {"because": because}, pauses=because)


def _decide(view: View) -> Decision:
	"""Decide on `view`. At or below `falls_below` counts (A5); the whole gap is closed in one charge (A3)."""
	if not view.has_setting:
		return Decision(NO_SETTING)
	figures = {
		"balance": plain(view.balance),
		"falls_below": plain(view.falls_below),
		"recharge_up_to": plain(view.recharge_up_to),
	}
	if view.balance > view.falls_below and not falls_short(view):
		return Decision(ABOVE_THRESHOLD, figures=figures)
	if view.refused is not None:
		figures["refused"] = plain(view.refused)
	# A hold comes first: a clawback must never be answered by charging the card again.
	if view.held_because:
		return Decision(HELD, figures=figures | {"because": view.held_because})
	if not view.enabled:
		return Decision(DISABLED, figures=figures)
	if view.open_recharge:
		return Decision(OPEN_RECHARGE, figures=figures | {"open_recharge": view.open_recharge})
	if view.paused_because:
		return Decision(PAUSED, figures=figures | {"because": view.paused_because})
	if view.usable_cards < 1:
		return Decision(NO_USABLE_CARD, figures=figures)
	if not view.by_usage:
		return Decision(NOT_BY_USAGE, figures=figures)
	amount = charge_amount(view)
	figures["amount"] = plain(amount)
	if amount < view.limits.minimum:
		return Decision(BELOW_MINIMUM, figures=figures | {"minimum": plain(view.limits.minimum)})
	# A debt that no usage can have made is not paid off by one payment after the other.
	if view.balance < -view.overdraft and view.balance + amount <= view.falls_below:
		return Decision(ABOVE_MAXIMUM, figures=figures | {"maximum": plain(view.limits.maximum)})
	for cap in view.caps:
		if not cap.leaves_room(amount):
			return Decision(CAPPED, figures=figures | cap_figures(cap))
	return Decision(CHARGED, amount, figures)


def falls_short(view: View) -> bool:
	"""Whether a refused charge would go through after a recharge; usage above the target never would, and no
	card is charged for it."""
	return view.refused is not None and view.balance < view.refused <= view.recharge_up_to


def charge_amount(view: View) -> Decimal:
	"""Gap up to the target, rounded up to what a card can be charged, at most one payment's maximum."""
	gap = payable(view.recharge_up_to - view.balance, view.currency)
	return min(gap, payable_at_most(view.limits.maximum, view.currency))


def cap_figures(cap: Cap) -> dict[str, str]:
	"""`cap` as the figures of a decision."""
	frees = {"frees_at": cap.frees_at.isoformat(sep=" ")} if cap.frees_at else {}
	return {"cap": cap.name, "limit": plain(cap.limit), "used": plain(cap.used)} | frees


def check_setting(falls_below: Decimal, recharge_up_to: Decimal, currency: str, limits: Limits) -> None:
	"""Refuse a setting that could not do what it says when it is needed.

	Raises InvalidRequest: threshold_negative, target_not_above_threshold, gap_below_minimum,
	gap_above_maximum.
	"""
	figures = {
		"falls_below": plain(falls_below),
		"recharge_up_to": plain(recharge_up_to),
		"currency": currency,
	}
	if falls_below < ZERO:
		raise InvalidRequest("threshold_negative", **figures)
	if recharge_up_to <= falls_below:
		raise InvalidRequest("target_not_above_threshold", **figures)
	gap = recharge_up_to - falls_below
	figures["gap"] = plain(gap)
	if gap < limits.minimum:
		raise InvalidRequest("gap_below_minimum", **figures, minimum=plain(limits.minimum))
	# From an empty account the whole target is charged at once, so the target itself must fit one payment.
	if recharge_up_to > limits.maximum:
		raise InvalidRequest("gap_above_maximum", **figures, maximum=plain(limits.maximum))


def fitting(falls_below: Decimal, recharge_up_to: Decimal, limits: Limits) -> tuple[Decimal, Decimal]:
	"""The usual levels, moved so far that a setting with them can do what it says: in some currencies they are less
	than one payment apart. Those that fit stay as they are."""
	recharge_up_to = max(recharge_up_to, falls_below + limits.minimum)
	if recharge_up_to > limits.maximum:
		recharge_up_to = limits.maximum
		falls_below = max(ZERO, min(falls_below, recharge_up_to - limits.minimum))
	return falls_below, recharge_up_to


MULTIPLES = (1, 2, 5)
"""Of the smallest payment, offered where none of the usual amounts can be paid."""


def usual_amounts(presets: list[Decimal], currency: str, limits: Limits) -> list[Decimal]:
	"""Those of the usual amounts that can be paid in `currency`, smallest first."""
	smallest = payable(limits.minimum, currency)

	def can_be_paid(amount: Decimal) -> bool:
		return limits.minimum <= amount <= limits.maximum and payable(amount, currency) == amount

	return sorted(filter(can_be_paid, presets)) or [*filter(can_be_paid, (smallest * n for n in MULTIPLES))]


def check_payment(amount: Decimal, currency: str, limits: Limits) -> None:
	"""Refuse a payment outside `limits` or finer than the currency's smallest coin (M5)."""
	figures = {"amount": plain(amount), "currency": currency}
	if amount < limits.minimum:
		raise InvalidRequest("payment_below_minimum", **figures, minimum=plain(limits.minimum))
	if amount > limits.maximum:
		raise InvalidRequest("payment_above_maximum", **figures, maximum=plain(limits.maximum))
	if payable(amount, currency) != amount:
		raise InvalidRequest("payment_too_fine", **figures)
