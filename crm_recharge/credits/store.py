"""Loading one account's book under its lock, and writing back what changed.

The lock is the Credit Account's row, by primary key, and it is the first thing read: what is read after it
is read with FOR UPDATE too, by primary key alone, because a plain SELECT may answer from a snapshot that is
older than the lock, and a locking scan of an index would lock its gaps against other accounts.
"""

import json
import os
import time
from datetime import datetime
from decimal import Decimal

import frappe
from frappe.utils import now_datetime

from crm_recharge.credits.errors import UnknownAccountError, messages, refuse
from crm_recharge.credits.money import as_text, exact
from crm_recharge.domain import chain
from crm_recharge.domain.book import EXPIRY, Book, Entry, Lot
from crm_recharge.domain.money import stored

ACCOUNT_FIELDS = (
	"`name`, `customer`, `company`, `currency`, `status`, `sequence`, `last_hash`, `open_lots`, `open_recharge`, "
	"`held_because`, `hold_usage`, `time_zone`, "
	+ as_text("balance", "overdraft_limit")
	+ ", CAST(`recharge_threshold` AS CHAR) AS `recharge_threshold`"
)
LOT_FIELDS = (
	"`name`, `sequence`, `priority`, `expires_at`, `closed`, `source_type`, `source_key`, "
	+ as_text("original", "remaining", "paid_value", "returned")
)
# Read once when the module is loaded: both are on the path of every charge.
LOCK_ACCOUNT = f"SELECT {ACCOUNT_FIELDS} FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE"
LOCK_LOTS = f"SELECT {LOT_FIELDS} FROM `tabCredit Lot` FORCE INDEX (PRIMARY) WHERE `name` IN %s FOR UPDATE"

LEDGER_COLUMNS = {
	"name": "varchar(140)",
	"creation": "datetime(6)",
	"modified": "datetime(6)",
	"modified_by": "varchar(140)",
	"owner": "varchar(140)",
	"credit_account": "varchar(140)",
	"entry_type": "varchar(140)",
	"amount": "decimal(21,9)",
	"balance_after": "decimal(21,9)",
	"currency": "varchar(140)",
	"sequence": "int",
	"posted_at": "datetime(6)",
	"occurred_at": "datetime(6)",
	"customer": "varchar(140)",
	"company": "varchar(140)",
	"category": "varchar(140)",
	"quantity": "decimal(21,9)",
	"unit_price": "decimal(21,9)",
	"team": "varchar(140)",
	"user": "varchar(140)",
	"note": "text",
	"idempotency_key": "varchar(140)",
	"reference_type": "varchar(140)",
	"reference_name": "varchar(140)",
	"gateway_reference": "varchar(140)",
	"lots": "longtext",
	"request_key": "varchar(64)",
	"request_hash": "varchar(64)",
	"previous_hash": "varchar(64)",
	"hash": "varchar(64)",
}
_NAMES = ", ".join(f"`{c}`" for c in LEDGER_COLUMNS)
INSERT_ENTRY = (
	f"INSERT INTO `tabCredit Ledger` ({_NAMES}) VALUES ({', '.join(['%s'] * len(LEDGER_COLUMNS))})"
)
# One statement for any number of rows: several times faster than executemany.
INSERT_ENTRIES = (
	f"INSERT INTO `tabCredit Ledger` ({_NAMES}) SELECT {_NAMES} FROM JSON_TABLE(%s, '$[*]' COLUMNS ("
	+ ", ".join(f"`{c}` {kind} PATH '$[{i}]'" for i, (c, kind) in enumerate(LEDGER_COLUMNS.items()))
	+ ")) AS rows_in"
)
ROWS_A_STATEMENT = 1000


def new_name() -> str:
	"""A name for a ledger row or lot: milliseconds, then chance.

	Rising names append to the clustered index; wholly random ones would touch a page each.
	"""
	return f"{time.time_ns() // 1_000_000:011x}{os.urandom(6).hex()}"


def lock_account(name: str) -> frappe._dict:
	"""Lock and read the account's row. Raises UnknownAccountError (404)."""
	rows = frappe.db.sql(LOCK_ACCOUNT, (name,), as_dict=True)
	if not rows:
		refuse(
			UnknownAccountError,
			"unknown_account",
			messages()["unknown_account"].format(account=frappe.utils.escape_html(str(name)[:140])),
			{"account": str(name)[:140]},
		)
	return rows[0]


class BookStore:
	"""One account, locked until the transaction ends: `row` as read, `book` to work on, `write()`."""

	def __init__(self, account: str, lots: tuple[str, ...] = ()):
		"""Lock `account`; load its open lots, and those named in `lots` besides."""
		self.recharge_started: str | None = None
		self.row = lock_account(account)
		self.now = now_datetime()
		self.open_lots = json.loads(self.row.open_lots or "[]")
		self.book = Book(
			account=self.row.name,
			currency=self.row.currency,
			balance=exact(self.row.balance),
			sequence=self.row.sequence,
			last_hash=self.row.last_hash or chain.GENESIS,
			lots=self._read_lots({*self.open_lots, *lots}),
			new_name=new_name,
			overdraft_limit=exact(self.row.overdraft_limit),
			status=self.row.status,
		)
		self.book.expire_due(self.now, self._expiry_details)

	def _read_lots(self, names) -> dict[str, Lot]:
		if not names:
			return {}
		rows = frappe.db.sql(LOCK_LOTS, (tuple(names),), as_dict=True)
		return {row.name: _lot(row) for row in rows}

	def _expiry_details(self, lot: Lot) -> dict:
		key = f"expiry:{lot.name}:{self.book.sequence}"
		return {
			"request_key": chain.request_key(self.book.account, EXPIRY, key),
			"request_hash": "",
			"idempotency_key": key,
			"reference_type": "Credit Lot",
			"reference_name": lot.name,
		}

	def write(self, hooks_once: bool = False) -> None:
		"""Write the new ledger rows, lots and the account's row, then run the ledger's document hooks.

		Hooks run for each row, or with `hooks_once` for the last alone: a batch checks its threshold once.
		A movement that is already there raises the database's duplicate-key error, before anything is written.
		"""
		if not self.book.entries:
			return
		self._write_entries()
		self._write_lots()
		self._write_account()
		entries = self.book.entries
		for entry in entries[-1:] if hooks_once else entries:
			self._run_hooks(entry)

	def _write_entries(self) -> None:
		rows = [self._columns(entry) for entry in self.book.entries]
		if len(rows) == 1:
			frappe.db.sql(INSERT_ENTRY, rows[0])
			return
		for start in range(0, len(rows), ROWS_A_STATEMENT):
			text = json.dumps(rows[start : start + ROWS_A_STATEMENT], ensure_ascii=False)
			frappe.db.sql(INSERT_ENTRIES, (text,))

	def _columns(self, entry: Entry) -> tuple:
		"""Values in the order of LEDGER_COLUMNS, all as text or None, so that JSON carries them exactly."""
		posted = chain.moment(entry.posted_at)
		user = frappe.session.user
		return (
			entry.name,
			posted,
			posted,
			user,
			user,
			self.book.account,
			entry.entry_type,
			stored(entry.amount),
			stored(entry.balance_after),
			self.book.currency,
			entry.sequence,
			posted,
			chain.moment(entry.occurred_at),
			self.row.customer,
			self.row.company,
			entry.category,
			stored(entry.quantity) if entry.quantity else "0",
			stored(entry.unit_price) if entry.unit_price else "0",
			entry.team,
			entry.user,
			entry.note,
			entry.idempotency_key,
			entry.reference_type,
			entry.reference_name,
			entry.gateway_reference,
			entry.lots_json,
			entry.request_key,
			entry.request_hash,
			entry.previous_hash,
			entry.hash,
		)

	def _write_lots(self) -> None:
		for lot in self.book.lots.values():
			if lot.is_new:
				self._insert_lot(lot)
			elif lot.changed:
				frappe.db.sql(
					"UPDATE `tabCredit Lot` SET `remaining` = %s, `returned` = %s, `closed` = %s WHERE `name` = %s",
					(stored(lot.remaining), stored(lot.returned), int(lot.closed), lot.name),
				)

	def _insert_lot(self, lot: Lot) -> None:
		entry = next(e for e in self.book.entries if e.request_key == lot.source_key)
		doc = frappe.new_doc("Credit Lot")
		doc.update(
			{
				"name": lot.name,
				"credit_account": self.book.account,
				"customer": self.row.customer,
				"company": self.row.company,
				"currency": self.book.currency,
				"source_type": lot.source_type,
				"source_key": lot.source_key,
				"ledger_entry": entry.name,
				"recharge": entry.reference_name if entry.reference_type == "Recharge" else None,
				"priority": lot.priority,
				"expires_at": lot.expires_at,
				"sequence": lot.sequence,
			}
		)
		doc.flags.name_set = True
		doc.set_user_and_timestamp()
		doc.db_insert()
		# As text, past the float that a document would make of it.
		frappe.db.sql(
			"UPDATE `tabCredit Lot` SET `original` = %s, `remaining` = %s, `paid_value` = %s WHERE `name` = %s",
			(stored(lot.original), stored(lot.remaining), stored(lot.paid_value), lot.name),
		)

	def _write_account(self) -> None:
		book = self.book
		held = [lot.name for lot in book.lots.values() if lot.remaining > 0]
		open_lots = self.row.open_lots if held == self.open_lots else json.dumps(held)
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `balance` = %s, `sequence` = %s, `last_hash` = %s, `open_lots` = %s"
			" WHERE `name` = %s",
			(stored(book.balance), book.sequence, book.last_hash, open_lots, book.account),
		)

	def _run_hooks(self, entry: Entry) -> None:
		doc = frappe.get_doc(
			{
				"doctype": "Credit Ledger",
				"name": entry.name,
				"credit_account": self.book.account,
				"entry_type": entry.entry_type,
				"amount": entry.amount,
				"balance_after": entry.balance_after,
				"currency": self.book.currency,
				"sequence": entry.sequence,
				"posted_at": entry.posted_at,
				"occurred_at": entry.occurred_at,
				"customer": self.row.customer,
				"company": self.row.company,
				"category": entry.category,
				"team": entry.team,
				"user": entry.user,
				"reference_type": entry.reference_type,
				"reference_name": entry.reference_name,
			}
		)
		doc.flags.account_row = self.row
		doc.run_method("after_insert")
		if doc.flags.recharge_started:
			self.recharge_started = doc.flags.recharge_started


def _lot(row) -> Lot:
	return Lot(
		name=row.name,
		original=exact(row.original),
		remaining=exact(row.remaining),
		sequence=row.sequence,
		paid_value=exact(row.paid_value),
		priority=row.priority,
		expires_at=row.expires_at,
		returned=exact(row.returned),
		closed=bool(row.closed),
		source_type=row.source_type,
		source_key=row.source_key or "",
	)


def find_entries(request_keys: list[str], locking: bool = False) -> dict[str, frappe._dict]:
	"""The ledger rows of these unique keys, by key.

	A plain read may miss what was committed after this transaction's snapshot; the unique key then refuses
	the insert, and `locking` reads what is there now. Not at once: a locking read that finds nothing locks a
	gap of the index, and accounts would wait for each other.
	"""
	found = {}
	for start in range(0, len(request_keys), ROWS_A_STATEMENT):
		rows = frappe.db.sql(
			"SELECT `request_key`, `name`, `credit_account`, `entry_type`, `category`, `team`, `user`, `note`, "
			"`occurred_at`, `posted_at`, `request_hash`, `reference_type`, `reference_name`, "
			f"{as_text('amount', 'balance_after', 'quantity')} FROM `tabCredit Ledger`"
			f" FORCE INDEX (`request_key`) WHERE `request_key` IN %s{' LOCK IN SHARE MODE' if locking else ''}",
			(tuple(request_keys[start : start + ROWS_A_STATEMENT]),),
			as_dict=True,
		)
		found |= {row.request_key: row for row in rows}
	return found
