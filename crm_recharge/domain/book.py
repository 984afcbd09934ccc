"""One account's book while its row is locked: what each movement does to balance, lots and ledger.

A Book is a working copy. The room that holds the lock fills it, calls the movements, and writes what changed:
`entries` (ledger rows, in order), `lots` with `is_new` or `changed`, `balance`, `sequence`, `last_hash`.

Two facts hold after every movement (docs/architecture.md, 4, rule 1):
balance = sum of all movements, and sum of what remains in lots = max(balance, 0). A balance below zero is debt.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from crm_recharge.domain import chain
from crm_recharge.domain.errors import AccountClosed, InsufficientCredits, InvalidRequest
from crm_recharge.domain.money import LARGEST_BALANCE, ZERO, plain, stored

RECHARGE, GRANT, USAGE, ADJUSTMENT = "Recharge", "Grant", "Usage", "Adjustment"
REFUND, CHARGEBACK, REINSTATEMENT = "Refund", "Chargeback", "Reinstatement"
EXPIRY, REVERSAL = "Expiry", "Reversal"

_compact = json.JSONEncoder(separators=(",", ":")).encode

ACTIVE, DISABLED = "Active", "Disabled"
DEFAULT_PRIORITY = 10


@dataclass(slots=True)
class Lot:
	"""What one payment or grant bought. Amounts in the account's currency.

	`returned` is what refunds, chargebacks and reversals have taken back for the payment, used or not; what
	remains never exceeds `original` less that, so that no payment can be given back twice. A `closed` lot takes
	nothing in any more. Usage takes the lowest priority number first, then the earliest expiry, then age.
	"""

	name: str
	original: Decimal
	remaining: Decimal
	sequence: int
	paid_value: Decimal = ZERO
	priority: int = DEFAULT_PRIORITY
	expires_at: datetime | None = None
	returned: Decimal = ZERO
	closed: bool = False
	source_type: str = RECHARGE
	source_key: str = ""
	is_new: bool = False
	changed: bool = False

	@property
	def order(self) -> Any:
		return (self.priority, self.expires_at is None, self.expires_at or datetime.max, self.sequence)

	@property
	def room(self) -> Decimal:
		"""How much usage that was undone may come back."""
		return ZERO if self.closed else max(ZERO, self.original - self.returned - self.remaining)

	def add(self, amount: Decimal) -> None:
		self.remaining += amount
		self.changed = True
		if self.remaining < 0:
			raise AssertionError(f"lot {self.name} fell to {self.remaining}")


@dataclass(slots=True)
class Entry:
	"""One ledger row. `amount` is signed; `lots` says which lots it drew from (−) or filled (+)."""

	name: str
	sequence: int
	entry_type: str
	amount: Decimal
	balance_after: Decimal
	posted_at: datetime
	occurred_at: datetime
	request_key: str
	request_hash: str
	idempotency_key: str = ""
	lots: list[tuple[str, Decimal]] = field(default_factory=list)
	category: str | None = None
	quantity: Decimal | None = None
	unit_price: Decimal | None = None
	team: str | None = None
	user: str | None = None
	note: str | None = None
	reference_type: str | None = None
	reference_name: str | None = None
	gateway_reference: str | None = None
	previous_hash: str = ""
	hash: str = ""
	_lots_json: str | None = field(default=None, init=False, repr=False, compare=False)

	@property
	def lots_json(self) -> str:
		"""`lots` as stored and hashed; they do not change any more once it is asked for."""
		if self._lots_json is None:
			self._lots_json = _compact([[name, plain(amount)] for name, amount in self.lots])
		return self._lots_json


@dataclass(slots=True)
class Book:
	"""See the module. `new_name` makes names for rows, in increasing order of time."""

	account: str
	currency: str
	balance: Decimal
	sequence: int
	last_hash: str
	lots: dict[str, Lot]
	new_name: Callable[[], str]
	overdraft_limit: Decimal = ZERO
	status: str = ACTIVE
	entries: list[Entry] = field(default_factory=list)

	# -- movements ---------------------------------------------------------------------------------------

	def use(self, amount: Decimal, now: datetime, **details: Any) -> Entry:
		"""Draw `amount` (> 0) from the lots in usage order, beyond them from the overdraft.

		Raises AccountClosed for a disabled account, InsufficientCredits with balance and shortfall.
		"""
		self._refuse_disabled()
		if amount <= 0:
			raise InvalidRequest("not_positive", what="amount", value=plain(amount))
		available = self.balance + self.overdraft_limit
		if amount > available:
			raise InsufficientCredits(
				"insufficient_credits",
				account=self.account,
				balance=plain(self.balance),
				amount=plain(amount),
				shortfall=plain(amount - available),
				currency=self.currency,
			)
		return self._post(USAGE, -amount, now, self._draw(amount), **details)

	def add(
		self,
		entry_type: str,
		amount: Decimal,
		now: datetime,
		*,
		paid_value: Decimal = ZERO,
		priority: int = DEFAULT_PRIORITY,
		expires_at: datetime | None = None,
		**details: Any,
	) -> Entry:
		"""Put `amount` (> 0) in as a new lot; a debt is paid first, the lot keeps what is left of it."""
		if amount <= 0:
			raise InvalidRequest("not_positive", what="amount", value=plain(amount))
		lot = Lot(
			name=self.new_name(),
			original=amount,
			remaining=ZERO,
			sequence=self.sequence + 1,
			paid_value=paid_value,
			priority=priority,
			expires_at=expires_at,
			source_type=entry_type,
			source_key=details.get("request_key", ""),
			is_new=True,
		)
		self.lots[lot.name] = lot
		return self._post(entry_type, amount, now, self._fill(lot, amount), **details)

	def take(
		self, entry_type: str, amount: Decimal, now: datetime, lot: Lot | None = None, **details: Any
	) -> Entry:
		"""Take `amount` (> 0) away: what `lot` still holds first, then the others; the rest becomes debt.

		With a `lot`, `amount` is counted as taken back from its payment: what that bought is the most there is.
		"""
		if amount <= 0:
			raise InvalidRequest("not_positive", what="amount", value=plain(amount))
		if lot is not None:
			lot.returned += amount
			lot.changed = True
		return self._post(entry_type, -amount, now, self._draw(amount, first=lot), **details)

	def reinstate(
		self,
		lot: Lot,
		amount: Decimal,
		now: datetime,
		taken: Iterable[tuple[str, Decimal]] = (),
		**details: Any,
	) -> Entry:
		"""Give back what `take` took for `lot`; a debt is paid first. Raises InvalidRequest more_than_taken.

		`taken` says what came from which lot (name, amount > 0): each gets its own back, `lot` the rest.
		"""
		if not 0 < amount <= lot.returned:
			raise InvalidRequest(
				"more_than_taken", lot=lot.name, amount=plain(amount), taken=plain(lot.returned)
			)
		lot.returned -= amount
		lot.closed = False
		moves, left = {}, self._after_debt(amount)
		for name, drawn in taken:
			source = self.lots.get(name)
			back = min(drawn, left, source.room) if source else ZERO
			if source and back > 0:
				source.add(back)
				left -= back
				moves[name] = back
		lot.add(left)
		moves[lot.name] = moves.get(lot.name, ZERO) + left
		return self._post(REINSTATEMENT, amount, now, list(moves.items()), **details)

	def reverse(self, entry: Entry, now: datetime, **details: Any) -> Entry:
		"""Undo `entry` by a row of its own: usage returns to the lots it came from, a credit is taken back.

		Of a credit that was taken back before, only the rest is; InvalidRequest nothing_to_reverse if there is none.
		"""
		if entry.amount > 0:
			return self._reverse_credit(entry, now, details)
		moves, left = [], self._after_debt(-entry.amount)
		for name, drawn in entry.lots:
			lot = self.lots.get(name)
			back = min(-drawn, left, lot.room) if lot else ZERO
			if lot is None or back <= 0:
				continue
			lot.add(back)
			left -= back
			moves.append((name, back))
		if left > 0:
			moves.append((self._plain_lot(left, details).name, left))
		return self._post(REVERSAL, -entry.amount, now, moves, **details)

	def _reverse_credit(self, entry: Entry, now: datetime, details: dict[str, Any]) -> Entry:
		amount = entry.amount
		lot = next((self.lots[name] for name, _ in entry.lots if name in self.lots), None)
		if lot is not None and lot.source_key == entry.request_key:
			amount = min(amount, lot.original - lot.returned)
			if amount <= 0:
				raise InvalidRequest("nothing_to_reverse", entry=entry.name, entry_type=entry.entry_type)
			lot.returned += amount
			lot.changed = True
		return self._post(REVERSAL, -amount, now, self._draw(amount, first=lot), **details)

	def expire_due(
		self,
		now: datetime,
		key: Callable[[Lot], dict[str, Any]],
		is_past: Callable[[datetime], bool] | None = None,
	) -> list[Entry]:
		"""Post what is left of lots past their expiry; `key(lot)` names the movement. Call it before others.

		`is_past` compares an expiry with `now` where both are times of a clock on a wall, which may go back.
		"""
		is_past = is_past or (lambda expires_at: expires_at <= now)
		due = [x for x in self.lots.values() if x.remaining > 0 and x.expires_at and is_past(x.expires_at)]
		entries = []
		for lot in sorted(due, key=lambda x: x.order):
			left = lot.remaining
			lot.add(-left)
			entries.append(self._post(EXPIRY, -left, now, [(lot.name, -left)], **key(lot)))
		return entries

	# -- inside ------------------------------------------------------------------------------------------

	def _refuse_disabled(self) -> None:
		if self.status == DISABLED:
			raise AccountClosed("account_disabled", account=self.account, status=self.status)

	def _draw(self, amount: Decimal, first: Lot | None = None) -> list[tuple[str, Decimal]]:
		"""Take up to `amount` out of the lots, `first` before all others; what they lack is debt."""
		moves: list[tuple[str, Decimal]] = []
		if first is not None and first.remaining > 0:
			amount = self._draw_one(first, amount, moves)
		while amount > 0 and (lot := self.head()) is not None:
			amount = self._draw_one(lot, amount, moves)
		return moves

	def head(self) -> Lot | None:
		"""The lot the next usage draws from."""
		holding = [x for x in self.lots.values() if x.remaining > 0]
		if len(holding) < 2:
			return holding[0] if holding else None
		return min(holding, key=lambda x: x.order)

	def _draw_one(self, lot: Lot, amount: Decimal, moves: list[Any]) -> Decimal:
		part = min(lot.remaining, amount)
		lot.add(-part)
		moves.append((lot.name, -part))
		return amount - part

	def _fill(self, lot: Lot, amount: Decimal) -> list[tuple[str, Decimal]]:
		left = self._after_debt(amount)
		lot.add(left)
		return [(lot.name, left)]

	def _after_debt(self, amount: Decimal) -> Decimal:
		"""What is left of `amount` once it has paid the debt: that part fills no lot."""
		return max(ZERO, amount - max(ZERO, -self.balance))

	def _plain_lot(self, amount: Decimal, details: dict[str, Any]) -> Lot:
		lot = Lot(
			name=self.new_name(),
			original=amount,
			remaining=amount,
			sequence=self.sequence + 1,
			source_type=REVERSAL,
			source_key=details.get("request_key", ""),
			is_new=True,
		)
		self.lots[lot.name] = lot
		return lot

	def _post(
		self,
		entry_type: str,
		amount: Decimal,
		now: datetime,
		moves: Any,
		*,
		occurred_at: Any = None,
		**details: Any,
	) -> Any:
		"""Write the row. Raises InvalidRequest balance_too_large where the tables could not hold the balance."""
		self.balance += amount
		if abs(self.balance) >= LARGEST_BALANCE:
			raise InvalidRequest(
				"balance_too_large", balance=plain(self.balance), limit=plain(LARGEST_BALANCE)
			)
		self.sequence += 1
		entry = Entry(
			name=self.new_name(),
			sequence=self.sequence,
			entry_type=entry_type,
			amount=amount,
			balance_after=self.balance,
			posted_at=now,
			occurred_at=occurred_at or now,
			lots=list(moves),
			previous_hash=self.last_hash,
			**details,
		)
		entry.hash = self.last_hash = chain.link(self.account, entry)
		self.entries.append(entry)
		return entry

	# -- proof -------------------------------------------------------------------------------------------

	def breaches(self) -> list[str]:
		"""What is wrong with this book, as text; empty when rule 1 holds."""
		held = sum((lot.remaining for lot in self.lots.values()), ZERO)
		wrong = [f"lot {x.name} holds {stored(x.remaining)}" for x in self.lots.values() if x.remaining < 0]
		if held != max(self.balance, ZERO):
			wrong.append(f"lots hold {stored(held)}, the balance is {stored(self.balance)}")
		return wrong
