"""Proving a ledger: every row's hash, the chain, the running balance, and what the lots must hold.

Also a program for customers, who need nothing but Python and an export of their account
(`crm_recharge.api.credits.export`), to check it against the checkpoints they kept:

	python -m crm_recharge.domain.proof export.json [--seal SEQUENCE:HASH]
"""

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from crm_recharge.domain import chain
from crm_recharge.domain.book import Entry
from crm_recharge.domain.money import ZERO, plain, stored

MOST_BREAKS = 50
"""After so many breaks the rest says nothing new."""


@dataclass(frozen=True, slots=True)
class Break:
	"""Where a ledger does not hold: row (sequence number, 0 for the account as a whole) and what is wrong."""

	sequence: int
	entry: str
	what: str


@dataclass
class LedgerProof:
	"""Feed it the rows of one account in order, then ask `finish`."""

	account: str
	sequence: int = 0
	balance: Decimal = ZERO
	last_hash: str = chain.GENESIS
	lots: dict[str, Decimal] = field(default_factory=dict)
	breaks: list[Break] = field(default_factory=list)
	rows: int = 0

	def feed(self, entry: Entry, lots_json: str, kept_hash: str) -> None:
		"""Check the next row. `lots_json` and `kept_hash` are as stored."""
		self.rows += 1
		self._must(entry.sequence == self.sequence + 1, entry, f"row {self.sequence + 1} is missing")
		self._must(entry.previous_hash == self.last_hash, entry, "it does not follow the row before it")
		computed = chain.link(self.account, Kept(entry, lots_json))
		self._must(computed == kept_hash, entry, "its content is not what its hash was made of")
		self.balance += entry.amount
		self._must(
			entry.balance_after == self.balance,
			entry,
			f"its balance is {plain(entry.balance_after)}, the rows add up to {plain(self.balance)}",
		)
		for name, moved in json.loads(lots_json or "[]"):
			self.lots[name] = self.lots.get(name, ZERO) + Decimal(moved)
			self._must(self.lots[name] >= 0, entry, f"it draws lot {name} below zero")
		# Go on from what is kept, so that one bad row is told once.
		self.sequence, self.last_hash, self.balance = entry.sequence, kept_hash, entry.balance_after

	def finish(
		self, balance: Decimal, sequence: int, last_hash: str, lots: dict[str, Decimal]
	) -> list[Break]:
		"""Compare with the account's own row and its lots (name -> what remains). Returns all breaks."""
		self._whole(
			sequence == self.sequence, f"the account counts {sequence} rows, the ledger has {self.sequence}"
		)
		self._whole(last_hash == self.last_hash, "the account's last hash is not the last row's")
		self._whole(
			balance == self.balance,
			f"the account's balance is {plain(balance)}, the ledger's {plain(self.balance)}",
		)
		held = sum(lots.values(), ZERO)
		self._whole(
			held == max(balance, ZERO), f"the lots hold {plain(held)}, the balance is {plain(balance)}"
		)
		for name in sorted({*lots, *self.lots}):
			kept, moved = lots.get(name, ZERO), self.lots.get(name, ZERO)
			self._whole(kept == moved, f"lot {name} holds {plain(kept)}, its rows say {plain(moved)}")
		return self.breaks

	def check_point(self, sequence: int, kept_hash: str, seen: dict[int, str]) -> None:
		"""A checkpoint kept earlier must still be on the chain; `seen` maps sequence to hash."""
		self._whole(
			seen.get(sequence) == kept_hash, f"row {sequence} is not what the checkpoint of then recorded"
		)

	def _must(self, holds: bool, entry: Entry, what: str) -> None:
		if not holds and len(self.breaks) < MOST_BREAKS:
			self.breaks.append(Break(entry.sequence, entry.name, what))

	def _whole(self, holds: bool, what: str) -> None:
		if not holds and len(self.breaks) < MOST_BREAKS:
			self.breaks.append(Break(0, "", what))


class Kept:
	"""A stored row as chain.link reads it: its lots are the stored text, not a rewriting of it."""

	def __init__(self, entry: Entry, lots_json: str) -> None:
		self._entry, self.lots_json = entry, lots_json

	def __getattr__(self, name: Any) -> Any:
		return getattr(self._entry, name)


def seal(previous: str, account: str, sequence: int, last_hash: str, balance: Decimal) -> str:
	"""Hash of a checkpoint on top of the one before: what a customer keeps."""
	text = chain.SEPARATOR.join((previous, account, str(sequence), last_hash, stored(balance)))
	return hashlib.sha256(text.encode()).hexdigest()


EXPORTED = (
	"name",
	"sequence",
	"entry_type",
	"amount",
	"balance_after",
	"posted_at",
	"occurred_at",
	"request_key",
	"lots",
	"category",
	"quantity",
	"team",
	"user",
	"note",
	"reference_name",
	"gateway_reference",
	"previous_hash",
	"hash",
)


def read_row(row: dict[str, Any]) -> tuple[Entry, str, str]:
	"""An exported or stored row (money as text) as the arguments of `LedgerProof.feed`."""
	entry = Entry(
		name=row["name"],
		sequence=int(row["sequence"]),
		entry_type=row["entry_type"],
		amount=Decimal(row["amount"]),
		balance_after=Decimal(row["balance_after"]),
		posted_at=_time(row["posted_at"]),
		occurred_at=_time(row["occurred_at"]),
		request_key=row["request_key"],
		request_hash="",
		category=row["category"],
		quantity=Decimal(row["quantity"] or 0),
		team=row["team"],
		user=row["user"],
		note=row["note"],
		reference_name=row["reference_name"],
		gateway_reference=row["gateway_reference"],
		previous_hash=row["previous_hash"] or "",
	)
	return entry, row["lots"] or "[]", row["hash"]


def _time(value: Any) -> datetime:
	return value if isinstance(value, datetime) else datetime.fromisoformat(value)


def check_export(export: dict[str, Any], seals: dict[int, str]) -> LedgerProof:
	"""Check an export of one account, and hashes kept earlier (sequence -> hash)."""
	proof = LedgerProof(export["account"])
	seen = {}
	for row in export["rows"]:
		proof.feed(*read_row(row))
		seen[int(row["sequence"])] = row["hash"]
	lots = {name: Decimal(remaining) for name, remaining in export["lots"].items()}
	proof.finish(Decimal(export["balance"]), int(export["sequence"]), export["last_hash"], lots)
	for sequence, kept in seals.items():
		proof.check_point(sequence, kept, seen)
	return proof


def main() -> int:
	parser = argparse.ArgumentParser(description="Check an exported credit ledger.")
	parser.add_argument("export")
	parser.add_argument("--seal", action="append", default=[], metavar="SEQUENCE:HASH")
	options = parser.parse_args()
	with open(options.export, encoding="utf-8") as file:
		export = json.load(file)
	seals = {int(number): kept for number, _, kept in (text.partition(":") for text in options.seal)}
	proof = check_export(export.get("message", export), seals)
	for found in proof.breaks:
		print(f"row {found.sequence} {found.entry}: {found.what}" if found.sequence else found.what)
	print(
		f"{proof.rows} rows: {'broken' if proof.breaks else 'the ledger holds'}, balance {plain(proof.balance)}"
	)
	return 1 if proof.breaks else 0


if __name__ == "__main__":
	sys.exit(main())
