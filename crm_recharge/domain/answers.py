"""What a payment gateway answered, in the app's own words.

An adapter of the gateway layer translates into these; the payment machine and the simulator know nothing else.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any


class Outcome(str, Enum):
	"""Fate of one payment intent, as far as the gateway has told."""

	SUCCEEDED = "succeeded"
	"""Captured: the money moved."""
	DECLINED = "declined"
	"""The card was refused and the intent holds no money. Whether it still *could* is `Answer.intent_open`."""
	NEEDS_AUTHENTICATION = "needs_authentication"
	"""The bank wants the card holder; nothing moves until the person acts."""
	CANCELLED = "cancelled"
	"""The intent is closed for good and can never capture."""
	PENDING = "pending"
	"""Accepted, and decided later: bank debits and transfers take days. Nobody is to blame, nothing is asked twice."""
	UNKNOWN = "unknown"
	"""Time-out, connection lost, 5xx, 429, 409: it may or may not have happened."""
	ERROR = "error"
	"""The request itself was refused (keys, parameters): nothing was charged, and no card is to blame."""


class DeclineClass(str, Enum):
	"""What a decline says about the card."""

	PERMANENT = "permanent"
	"""Never try this card again (lost, stolen, closed, no such number)."""
	EXPIRED = "expired"
	"""The card is past its date; only new details help."""
	TRY_LATER = "try_later"
	"""The card may work another day (no funds, issuer not reached)."""
	AUTHENTICATION = "authentication"
	"""Only the card holder's own confirmation helps."""
	FRAUD = "fraud"
	"""Refused by risk rules; a person has to look."""
	CUSTOMER_GONE = "customer_gone"
	"""The gateway has no such customer (any more, or under these keys): nothing saved under it can be charged."""


@dataclass(frozen=True, slots=True)
class Answer:
	"""One answer of the gateway about one intent.

	`amount` is in major units of `currency` (an ISO 4217 code in capitals): what was captured, of a capture.
	`customer` is the gateway's. `milliseconds` is how long the call took. `intent_open` says that the intent could still capture later, so it must be cancelled before
	another card is charged. `code` is the machine-readable reason (the gateway's decline or error code). `created`
	is when the intent was made, in Unix seconds.
	"""

	outcome: Outcome
	intent: str | None = None
	charge: str | None = None
	code: str | None = None
	decline_class: DeclineClass | None = None
	message: str = ""
	intent_open: bool = False
	amount: Decimal | None = None
	currency: str | None = None
	customer: str | None = None
	payment_method: str | None = None
	risk_level: str | None = None
	retry_after: float | None = None
	milliseconds: int = 0
	created: int | None = None
	metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SavedCard:
	"""A payment method as the gateway keeps it. There is no number in it, ever."""

	payment_method: str
	kind: str
	brand: str | None = None
	last4: str | None = None
	exp_month: int | None = None
	exp_year: int | None = None
	funding: str | None = None
	fingerprint: str | None = None
	country: str | None = None
	customer: str | None = None


class RefundOutcome(str, Enum):
	"""Fate of one refund, as far as the gateway has told."""

	SUCCEEDED = "succeeded"
	"""The gateway has sent the money back (the bank may take days to show it)."""
	PENDING = "pending"
	"""Accepted, not done yet; it may still fail."""
	FAILED = "failed"
	"""Accepted once, but the money came back to the merchant, or it was cancelled."""
	REFUSED = "refused"
	"""The request was refused: nothing is refunded (more than is left, disputed, unknown payment)."""
	UNKNOWN = "unknown"
	"""Time-out, connection lost, 5xx, 429, 409: it may or may not have happened. Ask again with the same key."""


@dataclass(frozen=True, slots=True)
class RefundAnswer:
	"""One answer of the gateway about one refund. `amount` is in major units of `currency`."""

	outcome: RefundOutcome
	refund: str | None = None
	intent: str | None = None
	charge: str | None = None
	amount: Decimal | None = None
	currency: str | None = None
	code: str | None = None
	message: str = ""
	reason: str | None = None
	created: int | None = None
	retry_after: float | None = None
	milliseconds: int = 0
	metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DisputeAnswer:
	"""A dispute as it stands now.

	`amount` (major units of `currency`) is what the card holder wants back. `fees` and `withdrawn` are in
	`balance_currency`: fees charged so far, and how much of the amount is out of the merchant's balance now
	(0 before it is withdrawn and after it is reinstated). `warning` marks an inquiry that has moved no money.
	"""

	dispute: str
	status: str
	reason: str
	amount: Decimal
	currency: str
	charge: str | None = None
	intent: str | None = None
	fees: Decimal = Decimal(0)
	withdrawn: Decimal = Decimal(0)
	balance_currency: str | None = None
	evidence_due: int | None = None
	created: int | None = None
	metadata: dict[str, Any] = field(default_factory=dict)

	@property
	def won(self) -> bool:
		"""The bank decided for the merchant, or an inquiry was closed without a dispute."""
		return self.status in ("won", "warning_closed", "prevented")

	@property
	def lost(self) -> bool:
		"""The bank decided for the card holder, or the merchant accepted."""
		return self.status in ("lost", "charge_refunded")

	@property
	def warning(self) -> bool:
		"""An inquiry: a question of the bank that has moved no money (yet)."""
		return self.status.startswith("warning_")


@dataclass(frozen=True, slots=True)
class CardSetup:
	"""How far saving a card has come. `payment_method` is there once `succeeded`."""

	setup_intent: str
	succeeded: bool
	status: str
	customer: str | None = None
	payment_method: str | None = None
	code: str | None = None
	message: str = ""
	metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PaymentPage:
	"""A page of the gateway's where a customer pays. `amount` is in major units of `currency`.

	`status` is open, complete or expired; a page can be complete with the payment still under way
	(`paid` False), as bank transfers are.
	"""

	session: str
	status: str
	paid: bool
	url: str | None = None
	intent: str | None = None
	customer: str | None = None
	amount: Decimal | None = None
	currency: str | None = None
	metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FraudWarning:
	"""A card network's report that a payment is likely fraud. `actionable`: a refund may still avert a dispute."""

	warning: str
	charge: str | None
	intent: str | None
	fraud_type: str
	actionable: bool
