"""One account's ledger, followed row by row from outside: what each row may do to balance and lots.

Written without the book (domain/book.py) that it checks: simply, and only for what may happen in the simulation.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from crm_recharge.domain import chain
from crm_recharge.domain.book import Entry, Lot
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import rows
from crm_recharge.domain.simulated.violation import must
from crm_recharge.domain.simulated.world import World

CREDITS = ("Recharge", "Grant")
CLAIMS = ("Refund", "Chargeback")


@dataclass(slots=True)
class Kept:
	"""A lot as its rows make it."""

	name: str
	original: Decimal
	sequence: int
	priority: int
	expires_at: datetime | None
	source_key: str
	remaining: Decimal = ZERO
	returned: Decimal = ZERO

	@property
	def order(self) -> tuple[object, ...]:
		"""Lowest priority number first, then what expires first, then the oldest."""
		never = self.expires_at is None
		return (self.priority, never, ZERO if never else self.expires_at, self.sequence)

	@property
	def room(self) -> Decimal:
		"""What may still come back into it."""
		return max(ZERO, self.original - self.returned - self.remaining)


class LedgerAuditor:
	"""See the module."""

	def __init__(self, world: World, account: str):
		self.world, self.account = world, account
		self.balance = ZERO
		self.last_hash = chain.GENESIS
		self.lots: dict[str, Kept] = {}
		self.entries: list[Entry] = []
		self.claimed: dict[str, dict[str, Decimal]] = {}
		"""Claim -> lot -> what it has lost to the claim."""

	def follow(self) -> list[Entry]:
		"""Check the rows that have come since the last time. Returns them."""
		keys = self.world.tables[rows.LedgerRow].children.get(self.account, [])
		new = [self.world.get(rows.LedgerRow, key).entry for key in keys[len(self.entries) :]]
		for entry in new:
			self._row(entry)
		self._account()
		return new

	def _account(self) -> None:
		account = self.world.get(rows.CreditAccount, self.account)
		must(account.balance == self.balance, "ledger = balance", (account, self.balance))
		must(account.sequence == len(self.entries), "no row is lost", account)
		must(account.last_hash == self.last_hash, "hash chain", account)
		held = sum((lot.remaining for lot in self.lots.values()), ZERO)
		must(held == max(self.balance, ZERO), "lots = balance", (account, held))
		stored: list[Lot] = [row.lot for row in self.world.all(rows.CreditLot, self.account)]
		for lot in stored:
			kept = self.lots[lot.name]
			must(
				(lot.remaining, lot.returned) == (kept.remaining, kept.returned),
				"lots are what their rows say",
				(lot, kept),
			)
			must(
				lot.remaining + lot.returned <= lot.original,
				"no payment is taken back twice",
				lot,
			)

	def _row(self, entry: Entry) -> None:
		must(entry.previous_hash == self.last_hash, "hash chain", f"row {entry.sequence} does not follow")
		before, self.balance = self.balance, self.balance + entry.amount
		must(entry.balance_after == self.balance, "ledger = balance", f"row {entry.sequence}")
		self.last_hash = entry.hash
		self.entries.append(entry)
		kind = entry.entry_type
		if kind in CREDITS:
			expected = self._credited(entry, before)
		elif kind == "Usage":
			expected = self._used(entry)
		elif kind == "Expiry":
			expected = self._expired(entry)
		elif kind in CLAIMS:
			expected = self._claimed(entry)
		elif kind == "Reinstatement":
			expected = self._reinstated(entry, before)
		elif kind == "Reversal":
			expected = self._undone(entry, before)
		else:
			expected = self._drawn(-entry.amount)
		found = {lot: amount for lot, amount in entry.lots if amount}
		must(
			found == {lot: amount for lot, amount in expected.items() if amount},
			"lots in their order",
			(entry, expected),
		)
		self._move(found)

	def _move(self, moves: dict[str, Decimal]) -> None:
		for name, amount in moves.items():
			self.lots[name].remaining += amount

	def _drawn(self, amount: Decimal, first: Kept | None = None) -> dict[str, Decimal]:
		in_turn = sorted(self.lots.values(), key=lambda lot: (lot is not first, *lot.order))
		moves: dict[str, Decimal] = {}
		for lot in in_turn:
			part = min(amount, lot.remaining)
			moves[lot.name] = -part
			amount -= part
		return moves

	def _new_lot(self, entry: Entry) -> Kept:
		stored = next(
			row.lot
			for row in self.world.all(rows.CreditLot, self.account)
			if row.lot.source_key == entry.request_key
		)
		lot = Kept(
			stored.name,
			stored.original,
			stored.sequence,
			stored.priority,
			stored.expires_at,
			stored.source_key,
		)
		self.lots[lot.name] = lot
		return lot

	def _credited(self, entry: Entry, before: Decimal) -> dict[str, Decimal]:
		lot = self._new_lot(entry)
		must(lot.original == entry.amount, "a lot is what was bought", lot)
		debt = max(ZERO, -before)
		return {lot.name: max(ZERO, entry.amount - debt)}

	def _used(self, entry: Entry) -> dict[str, Decimal]:
		account = self.world.get(rows.CreditAccount, self.account)
		must(
			self.balance >= -account.overdraft_limit,
			"usage within balance and overdraft",
			f"{entry.amount} used leaves {self.balance}, the overdraft is {account.overdraft_limit}",
		)
		late = [lot for lot in self.lots.values() if lot.remaining and _is_past(lot, entry.posted_at)]
		must(not late, "expired credits are not used", late)
		return self._drawn(-entry.amount)

	def _expired(self, entry: Entry) -> dict[str, Decimal]:
		((name, amount),) = entry.lots
		lot = self.lots[name]
		must(_is_past(lot, entry.posted_at), "nothing expires early", lot)
		must(amount == entry.amount, "an expiry takes what is left", lot)
		return {name: -lot.remaining}

	def _claimed(self, entry: Entry) -> dict[str, Decimal]:
		own = self._own_lot(entry)
		own.returned -= entry.amount
		moves = self._drawn(-entry.amount, first=own)
		self._note_claim(entry, moves)
		return moves

	def _own_lot(self, entry: Entry) -> Kept:
		key = chain.request_key(self.account, "Recharge", entry.gateway_reference or "")
		return next(lot for lot in self.lots.values() if lot.source_key == key)

	def _note_claim(self, entry: Entry, moves: dict[str, Decimal]) -> None:
		lost = self.claimed.setdefault(entry.reference_name or "", {})
		for lot, amount in moves.items():
			lost[lot] = lost.get(lot, ZERO) - amount

	def _reinstated(self, entry: Entry, before: Decimal) -> dict[str, Decimal]:
		own = self._own_lot(entry)
		own.returned -= entry.amount
		must(own.returned >= 0, "no more comes back than was taken", own)
		left = max(ZERO, entry.amount - max(ZERO, -before))
		lost = self.claimed.get(entry.reference_name or "", {})
		moves: dict[str, Decimal] = {}
		for name in sorted((n for n in lost if lost[n] > 0), key=lambda n: n != own.name):
			moves[name] = min(lost[name], left, self.lots[name].room)
			left -= moves[name]
		moves[own.name] = moves.get(own.name, ZERO) + left
		self._note_claim(entry, moves)
		return moves

	def _undone(self, entry: Entry, before: Decimal) -> dict[str, Decimal]:
		"""What usage took goes back where it came from, as far as there is room, the rest into a lot of its own; a grant
		is taken back."""
		undone = next(e for e in self.entries if e.name == entry.idempotency_key)
		if entry.amount < 0:
			own = next((lot for lot in self.lots.values() if lot.source_key == undone.request_key), None)
			if own is not None:
				own.returned -= entry.amount
			return self._drawn(-entry.amount, first=own)
		left = max(ZERO, entry.amount - max(ZERO, -before))
		moves: dict[str, Decimal] = {}
		for name, drawn in undone.lots:
			moves[name] = min(-drawn, left, self.lots[name].room)
			left -= moves[name]
		if left > 0:
			moves[self._new_lot(entry).name] = left
		return moves


def _is_past(lot: Kept, moment: datetime) -> bool:
	return lot.expires_at is not None and lot.expires_at <= moment
