"""A payment gateway in memory, as a port.Gateway: the bank of the simulator (domain/simulated) behind the port.

It moves no money and keeps nothing between two processes. It stands here as the second gateway: what the conformance
suite asks of Stripe it asks of this one too, so that neither the port nor the suite grows into Stripe's shape.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from crm_recharge.domain.answers import (
	Answer,
	CardSetup,
	DeclineClass,
	DisputeAnswer,
	FraudWarning,
	Outcome,
	PaymentPage,
	RefundAnswer,
	RefundOutcome,
	SavedCard,
)
from crm_recharge.domain.money import payable
from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.domain.simulated.gateway import Gateway as Bank
from crm_recharge.gateway.errors import CustomerGone, GatewayError
from crm_recharge.gateway.port import MISSING, Capabilities

CAPABILITIES = Capabilities(delayed_payments=True, payment_pages=False, disputes=False)


class SimulatedGateway:
	"""See port.Gateway. `cards` of the bank maps payment methods to how they behave."""

	live = False

	def __init__(self, clock: Clock):
		self.clock = clock
		self.bank = Bank(clock)
		self._customers: dict[str, str] = {}
		self._cards: dict[str, SavedCard] = {}
		self._setups: dict[str, CardSetup] = {}
		self._by_key: dict[str, str] = {}
		self._metadata: dict[str, dict[str, str]] = {}
		self._refunds: dict[str, RefundAnswer] = {}

	# -- payments ------------------------------------------------------------------------------------------

	def charge(
		self,
		*,
		key: str,
		amount: Decimal,
		currency: str,
		customer: str,
		payment_method: str,
		description: str = "",
		metadata: dict | None = None,
		off_session: bool = True,
	) -> Answer:
		_check(key, amount, currency)
		if customer not in self._customers:
			return _declined("customer_gone", DeclineClass.CUSTOMER_GONE, payment_method)
		card = self._cards.get(payment_method)
		if not card or card.customer != customer:
			return _declined(MISSING, DeclineClass.PERMANENT, payment_method)
		answer = self.bank.charge(
			key=key,
			recharge=str((metadata or {}).get("recharge", "")),
			payment_method=payment_method,
			amount=amount,
			currency=currency,
			customer=customer,
		)
		if answer.intent and answer.intent not in self._metadata:
			self._metadata[answer.intent] = _texts(metadata) | {"attempt": key}
		return self._told(answer)

	def cancel(self, intent: str, *, key: str | None = None) -> Answer:
		return self._told(self.bank.cancel(intent=intent, key=key or intent))

	def retrieve(self, intent: str) -> Answer:
		return self._told(self.bank.retrieve(intent))

	def find_by_attempt(self, key: str, customer: str, since: datetime) -> Answer | None:
		answer = self.bank.look_up(key=key)
		return self._told(answer) if answer and answer.customer == customer else None

	def find_by_recharge(
		self, recharge: str, customers: tuple[str, ...], since: datetime
	) -> tuple[Answer, ...] | Answer:
		found = self.bank.search(recharge)
		return tuple(map(self._told, found)) if isinstance(found, tuple) else found

	def intents_since(self, start: datetime, end: datetime | None = None) -> Iterator[Answer]:
		for intent in reversed(self.bank.intents.values()):
			if intent.created >= start and (end is None or intent.created < end):
				yield self.retrieve(intent.name)

	def _told(self, answer: Answer) -> Answer:
		return replace(answer, metadata=self._metadata.get(answer.intent or "", {}))

	# -- refunds and disputes ------------------------------------------------------------------------------

	def refund(
		self,
		*,
		key: str,
		intent: str,
		amount: Decimal,
		currency: str,
		metadata: dict | None = None,
		reason: str | None = None,
	) -> RefundAnswer:
		_check(key, amount, currency)
		answer = self.bank.refund(key=key, intent=intent, amount=amount)
		if not answer.refund:
			return answer
		told = replace(answer, reason=reason, metadata=_texts(metadata) | {"attempt": key})
		return self._refunds.setdefault(answer.refund, told)

	def retrieve_refund(self, refund: str) -> RefundAnswer:
		missing = RefundAnswer(RefundOutcome.REFUSED, code=MISSING, message="There is no such refund.")
		return self._refunds.get(refund, missing)

	def list_refunds(self, intent: str) -> list[RefundAnswer]:
		if intent not in self.bank.intents:
			raise _missing("payment")
		return [r for r in reversed(self._refunds.values()) if r.intent == intent]

	def refunds_since(self, start: datetime) -> Iterator[RefundAnswer]:
		yield from reversed(self._refunds.values())

	def disputes_since(self, start: datetime) -> Iterator[DisputeAnswer]:
		return iter(())

	def retrieve_dispute(self, dispute: str) -> DisputeAnswer:
		raise _missing("dispute")

	def retrieve_fraud_warning(self, warning: str) -> FraudWarning:
		raise _missing("warning")

	def balance_fee(self, charge: str) -> tuple[Decimal, str] | None:
		return None

	# -- customers and saved methods -----------------------------------------------------------------------

	def create_customer(
		self, *, key: str, name: str, email: str | None = None, metadata: dict | None = None
	) -> str:
		made = self._once(key, lambda: f"customer_{len(self._customers) + 1}")
		self._customers[made] = name
		return made

	def save_card(self, customer: str, behaviour: str) -> str:
		"""As if the customer had entered a card that behaves like `behaviour` (domain/simulated/gateway.BEHAVIOURS)."""
		name = f"method_{len(self._cards) + 1}"
		self.bank.cards[name] = behaviour
		self._cards[name] = SavedCard(name, "card", "visa", "4242", 12, 2099, customer=customer)
		return name

	def create_setup_intent(
		self, customer: str, *, key: str, metadata: dict | None = None
	) -> tuple[str, str]:
		if customer not in self._customers:
			raise CustomerGone("customer_gone", "There is no such customer.")
		name = self._once(key, lambda: f"setup_{len(self._setups) + 1}")
		self._setups.setdefault(name, CardSetup(name, False, "waiting", customer, metadata=_texts(metadata)))
		return name, f"secret of {key}"

	def retrieve_setup_intent(self, setup_intent: str) -> CardSetup:
		if setup_intent not in self._setups:
			raise _missing("set-up")
		return self._setups[setup_intent]

	def retrieve_card(self, payment_method: str) -> SavedCard:
		if payment_method not in self._cards:
			raise _missing("card")
		return self._cards[payment_method]

	def attach(self, payment_method: str, customer: str) -> SavedCard:
		self._cards[payment_method] = replace(self.retrieve_card(payment_method), customer=customer)
		return self._cards[payment_method]

	def detach(self, payment_method: str) -> SavedCard:
		card = self._cards.get(payment_method, SavedCard(payment_method, "card"))
		self._cards[payment_method] = replace(card, customer=None)
		return self._cards[payment_method]

	def list_cards(self, customer: str) -> list[SavedCard]:
		return [card for card in self._cards.values() if card.customer == customer]

	def _once(self, key: str, make: Callable[[], str]) -> str:
		if key not in self._by_key:
			self._by_key[key] = make()
		return self._by_key[key]

	# -- pages: it has none ----------------------------------------------------------------------------------

	def create_checkout(
		self,
		*,
		key: str,
		amount: Decimal,
		currency: str,
		customer: str,
		description: str,
		success_url: str,
		cancel_url: str,
		metadata: dict | None = None,
		kinds: list[str] | None = None,
		save_card: bool = False,
	) -> PaymentPage:
		raise GatewayError("not_supported", "This gateway has no page of its own.")

	def retrieve_checkout(self, session: str) -> PaymentPage:
		raise _missing("page")

	def expire_checkout(self, session: str) -> PaymentPage:
		raise _missing("page")


def _check(key: str, amount: Decimal, currency: str) -> None:
	if not isinstance(key, str) or not key.strip():
		raise ValueError("key must be given")
	if isinstance(amount, bool) or not isinstance(amount, Decimal):
		raise TypeError(f"An amount of money must be a Decimal, not {type(amount).__name__}")
	if amount <= 0 or payable(amount, currency) != amount:
		raise ValueError(f"{amount} {currency} cannot be charged")


def _declined(code: str, kind: DeclineClass, payment_method: str) -> Answer:
	return Answer(Outcome.DECLINED, code=code, decline_class=kind, payment_method=payment_method)


def _missing(what: str) -> GatewayError:
	return GatewayError(MISSING, f"There is no such {what}.")


def _texts(metadata: dict | None) -> dict[str, str]:
	return {str(name): str(value) for name, value in (metadata or {}).items() if value is not None}
