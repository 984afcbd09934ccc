"""A gateway that keeps its promises (keys, intents) and breaks everything else on demand.

A key answers for 24 hours; a repeat tells what the payment is *now*, as the adapter reads it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from crm_recharge.domain.answers import (
	Answer,
	DeclineClass,
	Outcome,
	RefundAnswer,
	RefundOutcome,
)
from crm_recharge.domain.money import ZERO, payable
from crm_recharge.domain.simulated.clock import Clock

KEY_LIFE = timedelta(hours=24)
PROCESSING_TIME = timedelta(minutes=5)
USUAL_MILLISECONDS = 900
TIME_OUT_MILLISECONDS = 20_000


class Fault(str, Enum):
	"""What may go wrong with one call."""

	LOST_BEFORE = "lost_before"
	"""The request never arrives."""
	LOST_AFTER = "lost_after"
	"""The gateway acts, its answer is lost."""
	SERVER_ERROR = "server_error"
	"""5xx; nothing was done."""
	SERVER_ERROR_AFTER = "server_error_after"
	"""5xx, though it was done."""
	RATE_LIMIT = "rate_limit"
	"""429, come back in two minutes."""
	CONFLICT = "conflict"
	"""409, another request under this key is under way."""
	REVOKED = "revoked"
	"""401, the secret key is no longer good."""


ACTS = (Fault.LOST_AFTER, Fault.SERVER_ERROR_AFTER)

Faults = Callable[[str, str], Fault | None]
"""Draws what goes wrong with a call, from what it does (charge, cancel, look_up, refund) and its key."""


@dataclass(frozen=True, slots=True)
class Behaviour:
	"""How a card behaves. `first` happens to the first request about a payment only."""

	code: str | None = None
	decline_class: DeclineClass | None = None
	first: Fault | None = None
	kind: str = "card"
	is_past_date: bool = False
	meaning: str = ""


BEHAVIOURS = {
	"ok": Behaviour(meaning="pays"),
	"declined": Behaviour("generic_decline", DeclineClass.TRY_LATER, meaning="the bank declines"),
	"insufficient": Behaviour("insufficient_funds", DeclineClass.TRY_LATER, meaning="not enough money"),
	"lost": Behaviour("lost_card", DeclineClass.PERMANENT, meaning="reported lost, never tried again"),
	"stolen": Behaviour("stolen_card", DeclineClass.PERMANENT, meaning="reported stolen, never tried again"),
	"fraud": Behaviour("fraudulent", DeclineClass.FRAUD, meaning="refused by risk rules"),
	"expired": Behaviour(
		"expired_card",
		DeclineClass.EXPIRED,
		is_past_date=True,
		meaning="past its date, skipped without a call",
	),
	"authentication": Behaviour("authentication_required", meaning="the bank wants the card holder"),
	"processing": Behaviour("processing", meaning="undecided for five minutes, then pays"),
	"slow": Behaviour(first=Fault.LOST_AFTER, meaning="pays, but the first answer is lost"),
	"unreachable": Behaviour(first=Fault.LOST_BEFORE, meaning="the first request is lost, then pays"),
	"refused": Behaviour("parameter_invalid", meaning="the request itself is refused"),
	"bank": Behaviour(kind="us_bank_account", meaning="a bank account, never charged automatically"),
}
"""Cards by name, for settings, tests and the replay."""

SUCCEEDED, PROCESSING, CANCELED = "succeeded", "processing", "canceled"
NEEDS_CARD, NEEDS_PERSON = "requires_payment_method", "requires_action"


@dataclass(slots=True)
class Intent:
	"""One payment at the gateway."""

	name: str
	key: str
	recharge: str
	payment_method: str
	amount: Decimal
	currency: str
	created: datetime
	status: str
	customer: str | None = None
	attempt: str | None = None
	code: str | None = None
	decline_class: DeclineClass | None = None
	refunded: Decimal = ZERO


@dataclass(slots=True)
class Page:
	"""The gateway's own page for one payment: it can be paid while it is open."""

	is_open: bool = True
	intent: str | None = None


@dataclass(slots=True)
class Refund:
	"""Money sent back, or on its way: `status` is a RefundOutcome."""

	name: str
	key: str
	intent: str
	amount: Decimal
	currency: str
	status: RefundOutcome
	created: datetime


@dataclass(frozen=True, slots=True)
class Event:
	"""What the gateway would tell a webhook."""

	name: str
	type: str
	intent: str
	created: datetime


class Gateway:
	"""See the module. `cards` maps payment methods to names of BEHAVIOURS, and may be changed at any time."""

	def __init__(
		self, clock: Clock, cards: dict[str, str] | None = None, faults: Faults | None = None
	) -> None:
		self.clock = clock
		self.cards = dict(cards or {})
		self.faults = faults
		self.intents: dict[str, Intent] = {}
		self.events: list[Event] = []
		self.calls: list[tuple[str, str]] = []
		self._keys: dict[str, tuple[datetime, tuple[Any, ...], str]] = {}
		self._by_key: dict[str, list[Intent]] = {}
		self.pages: dict[str, Page] = {}
		self.refunds: dict[str, Refund] = {}
		self.refund_keys: dict[str, tuple[datetime, RefundAnswer]] = {}
		self.refund_starts = lambda: RefundOutcome.SUCCEEDED
		"""Draws how a new refund begins."""
		self._asked: set[str] = set()

	# -- what the machine may ask ------------------------------------------------------------------------

	def charge(
		self,
		*,
		key: str,
		recharge: str,
		payment_method: str,
		amount: Decimal,
		currency: str,
		customer: str | None = None,
		attempt: str | None = None,
	) -> Answer:
		"""Charge a card under an idempotency key; the payment names `attempt`, or else the key."""
		behaviour = BEHAVIOURS[self.cards.get(payment_method, "ok")]
		first = behaviour.first if key not in self._asked else None
		self._asked.add(key)
		content = (payment_method, amount, currency)
		return self._call(
			"charge", key, lambda: self._charge(key, recharge, content, customer, attempt), first
		)

	def cancel(self, *, intent: str, key: str) -> Answer:
		"""Close an intent for good, unless it is faster."""
		return self._call("cancel", key, lambda: self._cancel(intent))

	def close_page(self, page: str) -> Answer | None:
		"""Close a payment page for good. What became of its payment; None where there is none."""

		def close() -> Answer | None:
			found = self.pages[page]
			found.is_open = False
			return self._retrieve(found.intent) if found.intent else None

		return self._call("close_page", page, close)

	def look_up(self, *, key: str, intent: str | None = None) -> Answer | None:
		"""What became of the payment `intent`, or of the one made under `key`; None when there is none."""
		if intent:
			return self._call("look_up", key, lambda: self._retrieve(intent))
		return self._call("look_up", key, lambda: self._look_up(key))

	def search(self, recharge: str) -> tuple[Answer, ...] | Answer:
		"""Every payment that names the recharge."""
		return self._call(
			"search",
			recharge,
			lambda: tuple(self._answer(i) for i in self.intents.values() if i.recharge == recharge),
		)

	def retrieve(self, intent: str) -> Answer:
		"""A payment as it is now."""
		return self._call("retrieve", intent, lambda: self._retrieve(intent))

	def refund(self, *, key: str, intent: str, amount: Decimal) -> RefundAnswer:
		"""Send back `amount` of a captured payment, once per key. A key is answered as it was the first time."""
		return self._about_refund("refund", key, intent, lambda: self._refund(key, intent, amount))

	def check_refund(self, name: str) -> RefundAnswer:
		"""A refund as it is now."""
		found = self.refunds[name]
		return self._about_refund("check", found.key, found.intent, lambda: self.refund_answer(found))

	def look_up_refund(self, key: str, intent: str) -> RefundAnswer | None:
		"""The refund of a payment that was asked for under `key`; None when all are shown and there is none."""

		def find() -> RefundAnswer | None:
			return next((a for a in self.refunds_of(intent) if a.metadata["refund"] == key), None)

		return self._about_refund("look_up", key, intent, find)

	def refunds_of(self, intent: str) -> list[RefundAnswer]:
		"""All refunds of a payment as they are now."""
		return [self.refund_answer(r) for r in self.refunds.values() if r.intent == intent]

	def _about_refund(self, what: str, key: str, intent: str, act: Any) -> Any:
		answer = self._call(what, key, act)
		if not isinstance(answer, Answer):
			return answer
		outcome = RefundOutcome.UNKNOWN if answer.outcome is Outcome.UNKNOWN else RefundOutcome.REFUSED
		return RefundAnswer(outcome, intent=intent, code=answer.code, message=answer.message)

	def decide_due(self) -> None:
		"""Decide, and tell of, each payment whose time has come, though nobody asks."""
		for intent in list(self.intents.values()):
			self._as_of_now(intent)

	def remembers(self, key: str) -> bool:
		"""Whether a request under `key` would only be answered again."""
		known = self._keys.get(key)
		return known is not None and self.clock.now() - known[0] < KEY_LIFE

	# -- what others may do ------------------------------------------------------------------------------

	def authenticate(self, intent: str, succeeds: bool = True) -> None:
		"""The card holder completes, or fails, the bank's check."""
		found = self.intents[intent]
		if found.status == NEEDS_PERSON:
			self._becomes(found, SUCCEEDED if succeeds else NEEDS_CARD)
			if not succeeds:
				found.code, found.decline_class = "authentication_failure", DeclineClass.AUTHENTICATION

	def as_it_is(self, intent: str) -> Answer:
		"""A payment as it is now, read by a person: nothing goes wrong on the way."""
		return self._retrieve(intent)

	def captured(self, recharge: str | None = None) -> Decimal:
		"""Money captured less money refunded, in all or for one recharge."""
		return sum(
			(
				intent.amount - intent.refunded
				for intent in self.intents.values()
				if self._as_of_now(intent).status == SUCCEEDED and recharge in (None, intent.recharge)
			),
			ZERO,
		)

	# -- inside ------------------------------------------------------------------------------------------

	def _call(self, what: str, key: str, act: Any, first: Fault | None = None) -> Any:
		"""Make one call, with whatever goes wrong on the way."""
		self.calls.append((what, key))
		fault = first or (self.faults(what, key) if self.faults else None)
		if fault is None:
			return act()
		if fault in ACTS:
			act()
		return _failed(fault)

	def _charge(
		self, key: str, recharge: str, content: tuple[Any, ...], customer: Any, attempt: Any
	) -> Answer:
		payment_method, amount, currency = content
		if self.remembers(key):
			_, first_content, name = self._keys[key]
			if first_content != content:
				return self._look_up(key) or Answer(Outcome.ERROR, code="idempotency_error")
			return self._answer(self.intents[name])
		behaviour = BEHAVIOURS[self.cards.get(payment_method, "ok")]
		if behaviour.code == "parameter_invalid" or amount <= 0 or payable(amount, currency) != amount:
			return Answer(Outcome.ERROR, code="parameter_invalid", message="The request was refused.")
		intent = Intent(
			name=f"pi_{len(self.intents) + 1:07}",
			key=key,
			recharge=recharge,
			payment_method=payment_method,
			amount=amount,
			currency=currency,
			created=self.clock.now(),
			status=PROCESSING,
			customer=customer,
			attempt=attempt or key,
			code=behaviour.code,
			decline_class=behaviour.decline_class,
		)
		self.intents[intent.name] = intent
		self._by_key.setdefault(key, []).append(intent)
		self._keys[key] = (self.clock.now(), content, intent.name)
		self._becomes(intent, _first_status(behaviour))
		return self._answer(intent)

	def _cancel(self, name: str) -> Answer:
		intent = self.intents.get(name)
		if intent is None:
			return Answer(Outcome.ERROR, code="resource_missing", message="There is no such payment.")
		if self._as_of_now(intent).status in (NEEDS_CARD, NEEDS_PERSON):
			self._becomes(intent, CANCELED)
		return self._answer(intent)

	def _look_up(self, key: str) -> Answer | None:
		answers = [self._answer(intent) for intent in self._by_key.get(key, ())]
		paid = [answer for answer in answers if answer.outcome is Outcome.SUCCEEDED]
		found = paid or answers
		return found[0] if found else None

	def _retrieve(self, name: str) -> Answer:
		intent = self.intents.get(name)
		return self._answer(intent) if intent else Answer(Outcome.ERROR, code="resource_missing")

	def _refund(self, key: str, name: str, amount: Decimal) -> RefundAnswer:
		known = self.refund_keys.get(key)
		if known and self.clock.now() - known[0] < KEY_LIFE:
			return known[1]
		intent = self.intents.get(name)
		if intent is None or self._as_of_now(intent).status != SUCCEEDED:
			return RefundAnswer(RefundOutcome.REFUSED, intent=name, code="charge_not_captured")
		if intent.refunded == intent.amount:
			return RefundAnswer(RefundOutcome.REFUSED, intent=name, code="charge_already_refunded")
		if not 0 < amount <= intent.amount - intent.refunded:
			return RefundAnswer(RefundOutcome.REFUSED, intent=name, code="amount_too_large")
		made = Refund(
			name=f"re_{len(self.refunds) + 1:07}",
			key=key,
			intent=name,
			amount=amount,
			currency=intent.currency,
			status=self.refund_starts(),  # type: ignore[no-untyped-call]
			created=self.clock.now(),
		)
		intent.refunded += amount
		self.refunds[made.name] = made
		answer = self.refund_answer(made)
		self.refund_keys[key] = (self.clock.now(), answer)
		self._tell("charge.refunded", intent)
		return answer

	def refund_becomes(self, name: str, status: RefundOutcome) -> None:
		"""A refund that was on its way is done, or its money has come back to the merchant."""
		found = self.refunds[name]
		intent = self.intents[found.intent]
		if status is RefundOutcome.FAILED and found.status is not RefundOutcome.FAILED:
			intent.refunded -= found.amount
		found.status = status
		self._tell("charge.refunded", intent)

	def refund_answer(self, refund: Refund) -> RefundAnswer:
		"""A refund as the gateway tells of it."""
		return RefundAnswer(
			refund.status,
			refund=refund.name,
			intent=refund.intent,
			amount=refund.amount,
			currency=refund.currency,
			milliseconds=USUAL_MILLISECONDS,
			metadata={"refund": refund.key},
		)

	def _as_of_now(self, intent: Intent) -> Intent:
		if intent.status == PROCESSING and self.clock.now() - intent.created >= PROCESSING_TIME:
			self._becomes(intent, SUCCEEDED)
		return intent

	def _becomes(self, intent: Intent, status: str) -> None:
		intent.status = status
		self._tell(EVENT_TYPES[status], intent)

	def _tell(self, kind: str, intent: Intent) -> None:
		self.events.append(Event(f"evt_{len(self.events) + 1:07}", kind, intent.name, self.clock.now()))

	def _answer(self, intent: Intent) -> Answer:
		status = self._as_of_now(intent).status
		common = Answer(
			Outcome.UNKNOWN,
			intent=intent.name,
			charge=f"ch_{intent.name[3:]}",
			code=intent.code,
			amount=intent.amount,
			currency=intent.currency,
			customer=intent.customer,
			payment_method=intent.payment_method,
			intent_open=True,
			milliseconds=USUAL_MILLISECONDS,
			created=int(intent.created.timestamp()),
			metadata={"attempt": intent.attempt, "recharge": intent.recharge},
		)
		match status:
			case "succeeded":
				return replace(common, outcome=Outcome.SUCCEEDED, code=None, intent_open=False)
			case "canceled":
				return replace(common, outcome=Outcome.CANCELLED, intent_open=False)
			case "requires_action":
				return replace(common, outcome=Outcome.NEEDS_AUTHENTICATION)
			case "requires_payment_method":
				return replace(common, outcome=Outcome.DECLINED, decline_class=intent.decline_class)
		return replace(common, outcome=Outcome.PENDING, code=PROCESSING)


EVENT_TYPES = {
	SUCCEEDED: "payment_intent.succeeded",
	PROCESSING: "payment_intent.processing",
	CANCELED: "payment_intent.canceled",
	NEEDS_CARD: "payment_intent.payment_failed",
	NEEDS_PERSON: "payment_intent.requires_action",
}


def _first_status(behaviour: Behaviour) -> str:
	if behaviour.decline_class:
		return NEEDS_CARD
	return {"authentication_required": NEEDS_PERSON, "processing": PROCESSING}.get(behaviour.code, SUCCEEDED)  # type: ignore[arg-type]


def _failed(fault: Fault) -> Answer:
	"""What a client sees of a call that went wrong."""
	if fault is Fault.REVOKED:
		return Answer(Outcome.ERROR, code="authentication_failure", message="The secret key is not valid.")
	lost = fault in (Fault.LOST_BEFORE, Fault.LOST_AFTER)
	return Answer(
		Outcome.UNKNOWN,
		code="timeout" if lost else fault.value,
		intent_open=True,
		retry_after=120.0 if fault is Fault.RATE_LIMIT else None,
		milliseconds=TIME_OUT_MILLISECONDS if lost else USUAL_MILLISECONDS,
	)
