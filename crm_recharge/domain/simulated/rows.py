"""Rows of the simulated world, named as the DocTypes they stand for. Frozen: a change is a new row."""

from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from decimal import Decimal

from crm_recharge.domain import book, cards, chain, payment
from crm_recharge.domain.answers import Answer
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.threshold import Limits


@dataclass(frozen=True, slots=True)
class CreditAccount:
	"""One customer's credits; the row that is locked. `zone` is where its days begin."""

	name: str
	currency: str
	balance: Decimal = ZERO
	sequence: int = 0
	last_hash: str = chain.GENESIS
	open_lots: tuple[str, ...] = ()
	status: str = book.ACTIVE
	overdraft_limit: Decimal = ZERO
	open_recharge: str | None = None
	held_because: str | None = None
	paused_because: str | None = None
	zone: tzinfo = timezone.utc

	@property
	def gateway_customer(self) -> str:
		"""Who the account is at the gateway."""
		return customer_of(self.name)


def customer_of(account: str) -> str:
	"""Who an account is at the gateway."""
	return f"cus_{account}"


@dataclass(frozen=True, slots=True)
class CreditLot:
	"""A committed lot; `Book` works on domain lots made from it."""

	name: str
	account: str
	lot: book.Lot


@dataclass(frozen=True, slots=True)
class LedgerRow:
	"""A committed ledger row, found by its unique request key."""

	request_key: str
	account: str
	entry: book.Entry


@dataclass(frozen=True, slots=True)
class AutoRechargeSetting:
	"""When and how an account is recharged by itself. `cards` in order; `switched_off` by nobody is None."""

	account: str
	falls_below: Decimal = Decimal(50)
	recharge_up_to: Decimal = Decimal(500)
	cards: tuple[str, ...] = ()
	enabled: bool = True
	caps: CapLimits = field(default_factory=CapLimits)
	limits: Limits = field(default_factory=Limits)
	disabled_reason: str | None = None
	disabled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RechargeCard:
	"""A saved card. The gateway knows it by `payment_method`."""

	name: str
	account: str
	payment_method: str
	status: str = cards.ACTIVE
	status_reason: str = ""
	kind: str = "card"
	exp_month: int | None = None
	exp_year: int | None = None
	fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Recharge:
	"""One top-up. `card` is set for one by hand; an automatic one takes the setting's cards."""

	name: str
	account: str
	amount: Decimal
	currency: str
	created_at: datetime
	status: str = payment.QUEUED
	origin: str = payment.AUTOMATIC
	card: str | None = None
	triggered_by: str | None = None
	decision_figures: dict = field(default_factory=dict)
	lease_owner: str | None = None
	lease_until: datetime | None = None
	next_try_at: datetime | None = None
	settled_intent: str | None = None
	captured_amount: Decimal | None = None
	captured_currency: str | None = None
	gateway_customer: str | None = None
	charge: str | None = None
	risk_level: str | None = None
	settled_at: datetime | None = None
	ended_at: datetime | None = None
	ledger_entry: str | None = None
	refunded_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class RechargeAttempt:
	"""One try of one card; its name is the gateway's idempotency key."""

	name: str
	recharge: str
	number: int
	card: str | None
	status: str
	created_at: datetime
	amount: Decimal | None = None
	currency: str | None = None
	intent: str | None = None
	intent_open: bool = False
	charge: str | None = None
	code: str | None = None
	message: str = ""
	decline_class: str | None = None
	risk_level: str | None = None
	milliseconds: int = 0
	answered_at: datetime | None = None
	asks: int = 0
	next_ask_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
	"""What the threshold check decided, and why (B9)."""

	name: str
	account: str
	at: datetime
	code: str
	figures: dict


@dataclass(frozen=True, slots=True)
class Notice:
	"""People were told something."""

	name: str
	kind: str
	recharge: str
	at: datetime
	details: dict


@dataclass(frozen=True, slots=True)
class Difference:
	"""A Gateway Difference: something there that does not fit what is known here."""

	mark: str
	recharge: str
	intent: str
	decision: str | None = None


@dataclass(frozen=True, slots=True)
class RefundDue:
	"""A capture that pays nothing and must go back, by its intent."""

	intent: str
	recharge: str
	answer: Answer
