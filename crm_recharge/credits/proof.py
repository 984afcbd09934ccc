"""Proving one account, and keeping daily checkpoints of it. The rules are in domain/proof.py."""

from decimal import Decimal

import frappe

from crm_recharge import transactions
from crm_recharge.clock import now_datetime
from crm_recharge.credits.money import exact
from crm_recharge.credits.queries import read_account
from crm_recharge.domain import proof as rules
from crm_recharge.domain.proof import EXPORTED, LedgerProof, read_row
from crm_recharge.doors.guard import new

ROWS_A_READ = 5000
MONEY = ("amount", "balance_after", "quantity")
COLUMNS = ", ".join(f"CAST(`{c}` AS CHAR) AS `{c}`" if c in MONEY else f"`{c}`" for c in EXPORTED)


def verify(account: str) -> dict:
	"""Recompute balance, lots and hashes of `account` from its first row.

	Returns holds, rows, balance, breaks (row, entry, what) and checkpoints checked. One snapshot, no locks:
	charges go on meanwhile. Raises UnknownAccountError.
	"""
	_fresh_snapshot()
	row = read_account(account)
	head = _head(account)
	checkpoints = dict(
		frappe.db.sql(
			"SELECT `sequence`, `hash` FROM `tabLedger Checkpoint` WHERE `credit_account` = %s", account
		)
	)
	proof, seen = LedgerProof(row.name), {}
	for entry in rows_of(account):
		proof.feed(*read_row(entry))
		if entry.sequence in checkpoints:
			seen[entry.sequence] = entry.hash
	proof.finish(head["balance"], head["sequence"], head["last_hash"], lots_of(account))
	for sequence, kept in checkpoints.items():
		proof.check_point(sequence, kept, seen)
	return {
		"account": account,
		"holds": not proof.breaks,
		"rows": proof.rows,
		"balance": rules.plain(head["balance"]),
		"last_hash": head["last_hash"],
		"checkpoints": len(checkpoints),
		"breaks": [{"row": b.sequence, "entry": b.entry, "what": b.what} for b in proof.breaks],
	}


def export(account: str) -> dict:
	"""Everything a customer needs to prove the account elsewhere (see domain/proof.py)."""
	_fresh_snapshot()
	row, head = read_account(account), _head(account)
	rows = []
	for entry in rows_of(account):
		rows.append({c: str(entry[c]) if c in ("posted_at", "occurred_at") else entry[c] for c in EXPORTED})
	return {
		"account": row.name,
		"currency": row.currency,
		"balance": rules.plain(head["balance"]),
		"sequence": head["sequence"],
		"last_hash": head["last_hash"],
		"lots": {name: rules.plain(remaining) for name, remaining in lots_of(account).items()},
		"rows": rows,
	}


def rows_of(account: str, after: int = 0):
	"""The account's ledger rows in order, read in pieces."""
	while True:
		rows = frappe.db.sql(
			f"SELECT {COLUMNS} FROM `tabCredit Ledger` WHERE `credit_account` = %s AND `sequence` > %s"
			f" ORDER BY `sequence` LIMIT {ROWS_A_READ}",
			(account, after),
			as_dict=True,
		)
		yield from rows
		if len(rows) < ROWS_A_READ:
			return
		after = rows[-1].sequence


def lots_of(account: str) -> dict[str, Decimal]:
	"""What remains in each lot of the account."""
	rows = frappe.db.sql(
		"SELECT `name`, CAST(`remaining` AS CHAR) FROM `tabCredit Lot` WHERE `credit_account` = %s", account
	)
	return {name: exact(remaining) for name, remaining in rows}


def _head(account: str) -> dict:
	balance, sequence, last_hash = frappe.db.sql(
		"SELECT CAST(`balance` AS CHAR), `sequence`, `last_hash` FROM `tabCredit Account` WHERE `name` = %s",
		account,
	)[0]
	return {"balance": exact(balance), "sequence": sequence, "last_hash": last_hash or ""}


def _fresh_snapshot() -> None:
	"""All reads of one proof see one moment. Not when the caller has written something of its own."""
	if not frappe.db.transaction_writes:
		frappe.db.rollback()


# -- checkpoints -----------------------------------------------------------------------------------------------


def make_checkpoints() -> int:
	"""Daily: a checkpoint for each account that has moved, sealed on top of the one before. Returns how many."""
	accounts = frappe.db.sql(
		"SELECT a.`name` FROM `tabCredit Account` a WHERE a.`sequence` > COALESCE((SELECT MAX(c.`sequence`)"
		" FROM `tabLedger Checkpoint` c WHERE c.`credit_account` = a.`name`), 0)",
		pluck=True,
	)
	for account in accounts:
		make_checkpoint(account)
		transactions.commit()
	return len(accounts)


def make_checkpoint(account: str) -> str:
	"""Write down where the ledger of `account` stands now. The caller commits."""
	row = frappe.db.sql(
		"SELECT `currency`, CAST(`balance` AS CHAR) AS `balance`, `sequence`, `last_hash` FROM `tabCredit Account`"
		" WHERE `name` = %s FOR UPDATE",
		account,
		as_dict=True,
	)[0]
	previous = frappe.db.get_value(
		"Ledger Checkpoint", {"credit_account": account}, ["name", "seal"], order_by="sequence desc"
	) or (None, "")
	doc = new(
		"Ledger Checkpoint",
		{
			"credit_account": account,
			"checked_at": now_datetime(),
			"sequence": row.sequence,
			"balance": row.balance,
			"currency": row.currency,
			"hash": row.last_hash,
			"previous": previous[0],
			"seal": rules.seal(previous[1], account, row.sequence, row.last_hash or "", exact(row.balance)),
		},
	)
	return doc.insert(ignore_permissions=True).name
