"""Plain rows, as whoever keeps them reads them: money exact, times as moments with their zone.

Frappe's rooms fill them from the database, the simulator keeps them (with further columns) as its database. What the
machines decide on is built from them in one place, views.py.
"""

from dataclasses import dataclass, field
from datetime import datetime, timezone, tzinfo
from decimal import Decimal

from crm_recharge.domain import book, cards
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.steps import AUTOMATIC


@dataclass(frozen=True, slots=True)
class Account:
	"""A Credit Account: the row that is locked. `zone` is where its days begin, `customer` who it is at the gateway.

	The two caps are its own, for recharges of any origin.
	"""

	name: str
	currency: str
	balance: Decimal = ZERO
	status: str = book.ACTIVE
	overdraft_limit: Decimal = ZERO
	open_recharge: str | None = None
	held_because: str | None = None
	zone: tzinfo = timezone.utc
	customer: str | None = None
	cap_amount_day: Decimal | None = None
	cap_amount_month: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Setting:
	"""When an account is recharged by itself, as the account keeps a copy of it. `listed` is how many cards stand there."""

	enabled: bool
	falls_below: Decimal
	recharge_up_to: Decimal
	listed: int
	paused_because: str | None = None
	caps: CapLimits = field(default_factory=CapLimits)
	anomaly_factor: Decimal = ZERO
	seen_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recharge:
	"""A Recharge. `card` is set where one was chosen; else the setting's cards are asked in order."""

	name: str
	account: str
	status: str
	amount: Decimal
	currency: str
	origin: str = AUTOMATIC
	card: str | None = None
	created_at: datetime | None = None
	lease_owner: str | None = None
	lease_until: datetime | None = None
	next_try_at: datetime | None = None
	settled_intent: str | None = None
	settled_at: datetime | None = None
	refunded_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Attempt:
	"""A Recharge Attempt. `customer` is who it was asked under at the gateway, `fingerprint` its card's."""

	name: str
	number: int
	card: str | None
	status: str
	created_at: datetime
	intent: str | None = None
	intent_open: bool = False
	asks: int = 0
	next_ask_at: datetime | None = None
	code: str | None = None
	page: str | None = None
	customer: str | None = None
	fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class SavedCard:
	"""A Recharge Card."""

	name: str
	account: str
	payment_method: str
	status: str = cards.ACTIVE
	kind: str = "card"
	exp_month: int | None = None
	exp_year: int | None = None
	fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
	"""What counts against caps of a Recharge."""

	amount: Decimal
	status: str
	origin: str
	settled_at: datetime | None = None
