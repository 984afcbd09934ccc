"""What the payment machine reads, and what it may do next: one small class a step."""

from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from decimal import Decimal

from crm_recharge.domain import fit
from crm_recharge.domain.cards import Card

AUTOMATIC = "Automatic"


@dataclass(frozen=True, slots=True)
class AttemptView:
	"""One try of one card, as committed."""

	name: str
	number: int
	card: str | None
	status: str
	created: datetime
	intent: str | None = None
	intent_open: bool = False
	asks: int = 0
	next_ask_at: datetime | None = None
	code: str | None = None
	page: str | None = None
	"""The gateway's own payment page, where the card holder pays; it has no card of ours."""


@dataclass(frozen=True, slots=True)
class RechargeView:
	"""A recharge, its attempts and the cards it may charge, in order, as committed (see views.py).

	`customers` are the account's at the gateway (see fit.Due), `created` is when the recharge was written.
	"""

	name: str
	account: str
	status: str
	amount: Decimal
	currency: str
	trigger: str = AUTOMATIC
	cards: tuple[Card, ...] = ()
	attempts: tuple[AttemptView, ...] = ()
	lease_owner: str | None = None
	lease_until: datetime | None = None
	next_try_at: datetime | None = None
	settled_intent: str | None = None
	held_because: str | None = None
	zone: tzinfo = timezone.utc
	"""The account's: a card is good until the last day of its month there."""
	created: datetime | None = None
	customers: tuple[str, ...] = ()
	account_currency: str | None = None

	@property
	def due(self) -> fit.Due:
		"""What a payment for it must be."""
		return fit.Due(self.name, self.customers, self.currency, self.amount, self.account_currency)


@dataclass(frozen=True, slots=True)
class Ask:
	"""Charge the card of an attempt, under its key."""

	attempt: AttemptView
	card: str


@dataclass(frozen=True, slots=True)
class LookUp:
	"""Ask what became of an attempt without charging anything."""

	attempt: AttemptView


@dataclass(frozen=True, slots=True)
class Close:
	"""Close the intent of an attempt that could still capture."""

	attempt: AttemptView
	intent: str


@dataclass(frozen=True, slots=True)
class ClosePage:
	"""Close the payment page of an attempt."""

	attempt: AttemptView
	page: str


@dataclass(frozen=True, slots=True)
class Search:
	"""Ask for payments that the gateway knows and nobody here does, made since `since`."""

	since: datetime


@dataclass(frozen=True, slots=True)
class Start:
	"""Write down a first attempt of a card."""

	card: Card


@dataclass(frozen=True, slots=True)
class Skip:
	"""Pass a card over without a call."""

	card: Card
	reason: str


@dataclass(frozen=True, slots=True)
class Wait:
	"""Nothing can be done before `until`. `attempt` is the one that is waited for."""

	until: datetime
	attempt: AttemptView | None = None


@dataclass(frozen=True, slots=True)
class GiveUp:
	"""No card is asked any more; the recharge becomes `status`."""

	status: str


Call = Ask | LookUp | Close | ClosePage
"""Steps that ask the gateway about an attempt, with no lock held."""
Step = Call | Search | Start | Skip | Wait | GiveUp
