"""Rows of the simulated world, named as the DocTypes they stand for. Frozen: a change is a new row.

Those that a machine decides on are the domain's plain rows (domain/rows.py) with further columns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from crm_recharge.domain import book, chain, rows, takeback
from crm_recharge.domain.answers import Answer
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.effects import DisputeValues, RefundValues
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.threshold import Limits


@dataclass(frozen=True, slots=True)
class CreditAccount(rows.Account):
	"""One customer's credits; the row that is locked. `daily_usage` is what it used on each of the last days."""

	sequence: int = 0
	last_hash: str = chain.GENESIS
	open_lots: tuple[str, ...] = ()
	daily_usage: tuple[Decimal, ...] = ()


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
	paused_because: str | None = None
	anomaly_factor: Decimal = ZERO
	seen_until: datetime | None = None

	@property
	def plain(self) -> rows.Setting:
		"""As the account keeps it."""
		return rows.Setting(
			enabled=self.enabled,
			falls_below=self.falls_below,
			recharge_up_to=self.recharge_up_to,
			listed=len(self.cards),
			paused_because=self.paused_because,
			caps=self.caps,
			anomaly_factor=self.anomaly_factor,
			seen_until=self.seen_until,
		)


@dataclass(frozen=True, slots=True)
class RechargeCard(rows.SavedCard):
	"""A saved card. The gateway knows it by `payment_method`."""

	status_reason: str = ""


@dataclass(frozen=True, slots=True)
class Recharge(rows.Recharge):
	"""One top-up. `card` is set for one by hand; an automatic one takes the setting's cards."""

	triggered_by: str | None = None
	decision_figures: Mapping[str, Any] = field(default_factory=dict)
	captured_amount: Decimal | None = None
	captured_currency: str | None = None
	gateway_customer: str | None = None
	charge: str | None = None
	risk_level: str | None = None
	ended_at: datetime | None = None
	ledger_entry: str | None = None


@dataclass(frozen=True, slots=True)
class RechargeAttempt(rows.Attempt):
	"""One try of one card; its name is the gateway's idempotency key."""

	recharge: str = ""
	amount: Decimal | None = None
	currency: str | None = None
	charge: str | None = None
	message: str = ""
	decline_class: str | None = None
	risk_level: str | None = None
	milliseconds: int = 0
	answered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refund:
	"""A Recharge Refund; `values` as the machine writes them."""

	name: str
	recharge: str
	values: RefundValues

	@property
	def view(self) -> takeback.RefundView:
		"""As the machine reads it."""
		return takeback.refund_view(self.name, self.values)


@dataclass(frozen=True, slots=True)
class Dispute:
	"""A Recharge Dispute; `values` as the machine writes them."""

	name: str
	recharge: str
	values: DisputeValues

	@property
	def view(self) -> takeback.DisputeView:
		"""As the machine reads it."""
		return takeback.dispute_view(self.name, self.values)


@dataclass(frozen=True, slots=True)
class RequestKey:
	"""Which refund stands for a request."""

	key: str
	refund: str


@dataclass(frozen=True, slots=True)
class Decision:
	"""What the threshold check decided, and why (B9)."""

	name: str
	account: str
	at: datetime
	code: str
	figures: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Notice:
	"""People were told something."""

	name: str
	kind: str
	recharge: str
	at: datetime
	details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
	"""A Gateway Difference: something there that does not fit what is known here."""

	mark: str
	recharge: str
	intent: str
	kind: str
	decision: str | None = None


@dataclass(frozen=True, slots=True)
class RefundDue:
	"""A capture that pays nothing and must go back, by its intent."""

	intent: str
	recharge: str
	answer: Answer
