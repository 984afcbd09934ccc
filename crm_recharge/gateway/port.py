"""What a payment gateway is to this app: the port that an adapter implements.

An adapter has two sides. `Adapter` is the gateway as a site has set it up: keys, webhooks, limits, what a browser
loads. `Gateway`, which it connects to, makes the calls. Both speak the app's own words (domain/answers.py); nothing of
a gateway's own vocabulary passes this line. docs/gateways.md says how to write one, and gateway/tests/conformance.py
is what it has to pass.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Protocol, runtime_checkable

from crm_recharge.domain.answers import (
	Answer,
	CardSetup,
	DisputeAnswer,
	FraudWarning,
	PaymentPage,
	RefundAnswer,
	SavedCard,
)

MISSING = "resource_missing"
"""The code of an answer or a GatewayError that says: the gateway has no such payment, refund, page or card."""


@dataclass(frozen=True, slots=True)
class Capabilities:
	"""What a gateway can do. What it cannot is not offered, and never asked of it."""

	off_session: bool = True
	"""Saved methods can be charged while nobody is there: without it there is no auto-recharge."""
	saved_methods: bool = True
	"""Methods can be saved for later."""
	refunds: bool = True
	"""Money can be sent back by request."""
	delayed_payments: bool = False
	"""A payment may take days (bank debits, transfers): answers may be PENDING."""
	payment_pages: bool = True
	"""The gateway has a page of its own where a customer pays."""
	disputes: bool = True
	"""Banks can take payments back, and the gateway tells of it."""


class EventKind(str, Enum):
	"""What a gateway's event is about."""

	PAYMENT = "payment"
	REFUND = "refund"
	DISPUTE = "dispute"
	FRAUD_WARNING = "fraud warning"
	CARD_SETUP = "card setup"
	SAVED_CARD = "saved card"
	PAYMENT_PAGE = "payment page"


@dataclass(frozen=True, slots=True)
class GatewayEvent:
	"""One event, proven to be the gateway's.

	`id` and `type` are the gateway's own; `kind` is None for what nobody here works on. `subject` is the id of what it
	is about, `payment` the payment's where it names one. `created` is timezone-aware. `content` is what was sent,
	for the record.
	"""

	id: str
	type: str
	kind: EventKind | None
	subject: str
	payment: str | None = None
	reason: str | None = None
	customer: str | None = None
	live: bool = False
	created: datetime | None = None
	version: str = ""
	object_type: str = ""
	content: dict = field(default_factory=dict)


class Gateway(Protocol):
	"""The calls. One instance per thread or job.

	Calls about payments and refunds never raise for what the network or the gateway does: they return an Answer, and
	UNKNOWN where nothing is proven. Calls that move no money raise errors.GatewayError. Amounts are Decimals in major
	units of an ISO 4217 `currency`. A `key` makes a repeat harmless: the same key with the same content never acts
	twice while the gateway remembers it, which must be at least 24 hours; after that `find_by_attempt` proves what
	became of it.
	"""

	@property
	def live(self) -> bool:
		"""Whether real money is moved."""
		...

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
		"""Charge a saved method now. The payment carries `metadata`, and `attempt` = `key`."""
		...

	def cancel(self, intent: str, *, key: str | None = None) -> Answer:
		"""Close a payment for good: CANCELLED, or what it is when it cannot be closed."""
		...

	def retrieve(self, intent: str) -> Answer:
		"""A payment as it is now. ERROR with code MISSING when there is none."""
		...

	def find_by_attempt(self, key: str, customer: str, since: datetime) -> Answer | None:
		"""The payment that carries `attempt` = `key`, of `customer`, made since about then; None is a proof."""
		...

	def find_by_recharge(
		self, recharge: str, customers: tuple[str, ...], since: datetime
	) -> tuple[Answer, ...] | Answer:
		"""Every payment that carries `recharge`; an Answer when it could not be asked to the end."""
		...

	def intents_since(self, start: datetime, end: datetime | None = None) -> Iterator[Answer]:
		"""Every payment made from `start` to before `end`, newest first. Raises GatewayError."""
		...

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
		"""Send back `amount` of a captured payment."""
		...

	def retrieve_refund(self, refund: str) -> RefundAnswer:
		"""A refund as it is now."""
		...

	def list_refunds(self, intent: str) -> list[RefundAnswer]:
		"""Every refund of a payment. Raises GatewayError."""
		...

	def refunds_since(self, start: datetime) -> Iterator[RefundAnswer]:
		"""Every refund made since `start`. Raises GatewayError."""
		...

	def disputes_since(self, start: datetime) -> Iterator[DisputeAnswer]:
		"""Every dispute opened since `start`. Raises GatewayError."""
		...

	def retrieve_dispute(self, dispute: str) -> DisputeAnswer:
		"""A dispute as it is now. Raises GatewayError."""
		...

	def retrieve_fraud_warning(self, warning: str) -> FraudWarning:
		"""A card network's warning. Raises GatewayError."""
		...

	def balance_fee(self, charge: str) -> tuple[Decimal, str] | None:
		"""What the gateway kept of a captured charge: (fee, currency); None while it is not worked out."""
		...

	def create_customer(
		self, *, key: str, name: str, email: str | None = None, metadata: dict | None = None
	) -> str:
		"""Make a customer and return its id. Raises GatewayError."""
		...

	def create_setup_intent(
		self, customer: str, *, key: str, metadata: dict | None = None
	) -> tuple[str, str]:
		"""Begin saving a card: (id, secret for the browser). Raises GatewayError."""
		...

	def retrieve_setup_intent(self, setup_intent: str) -> CardSetup:
		"""How far saving a card has come. Raises GatewayError."""
		...

	def retrieve_card(self, payment_method: str) -> SavedCard:
		"""A saved method as the gateway keeps it. Raises GatewayError."""
		...

	def attach(self, payment_method: str, customer: str) -> SavedCard:
		"""Give a method to a customer; the answer names the one to keep. Raises GatewayError."""
		...

	def detach(self, payment_method: str) -> SavedCard:
		"""Take a method away for good; twice is once. Raises GatewayError."""
		...

	def list_cards(self, customer: str) -> list[SavedCard]:
		"""Every saved card of a customer. Raises GatewayError."""
		...

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
		"""A page of the gateway's where the customer pays once. Raises GatewayError."""
		...

	def retrieve_checkout(self, session: str) -> PaymentPage:
		"""A payment page as it is now. Raises GatewayError."""
		...

	def expire_checkout(self, session: str) -> PaymentPage:
		"""Close a payment page; one that is paid or closed stays as it is. Raises GatewayError."""
		...


@runtime_checkable
class Adapter(Protocol):
	"""A gateway as this site has set it up."""

	name: str
	"""As records keep it and people read it."""
	capabilities: Capabilities

	def connect(self) -> Gateway:
		"""The gateway with the site's keys. Raises frappe.ValidationError when there is no usable key."""
		...

	def read_event(self, payload: bytes, headers: Mapping[str, str]) -> GatewayEvent:
		"""The event in a delivery, once it is proven. Raises errors.WebhookError for what is not the gateway's, and
		frappe.ValidationError when this site has no secret to prove it by."""
		...

	def wanted_events(self) -> list[str]:
		"""The gateway's own names of the events that it is to send."""
		...

	def limits(self, currency: str) -> tuple[Decimal | None, Decimal | None]:
		"""The least and the most of one payment in `currency`; None where nothing is known."""
		...

	def for_browser(self) -> dict:
		"""What a page needs to show the gateway's own form of a card: gateway (the name), form_script (the address of
		a script of the adapter's that brings crm_recharge.card_forms[gateway]; see public/js/card_entry.js),
		publishable_key (None while cards cannot be entered), custom_address (where something stands in for the
		gateway in tests), and whatever else that script wants."""
		...

	def page_sources(self) -> dict[str, tuple[str, ...]]:
		"""What that form loads: sources by directive of a Content-Security-Policy."""
		...

	def payment_address(self, intent: str | None) -> str | None:
		"""A payment's page in the gateway's dashboard."""
		...

	def check_settings(self, settings) -> None:
		"""Check what *CRM Recharge Settings* says of this gateway. Raises frappe.ValidationError."""
		...

	def for_customer(self, code: str | None) -> str:
		"""The code of a refusal as it may be told to the customer."""
		...
