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
from operator import itemgetter

import frappe

from crm_recharge import clock
from crm_recharge.clock import now_datetime
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.errors import UnknownAccountError, messages, refuse
from crm_recharge.credits.money import as_text, exact
from crm_recharge.domain import chain
from crm_recharge.domain.book import EXPIRY, Book, Entry, Lot
from crm_recharge.domain.credit_events import CREDITS_EXPIRED
from crm_recharge.domain.money import stored
from crm_recharge.domain.usage import is_readable
from crm_recharge.doors.guard import new
from crm_recharge.outbox import events

# Each row comes as one JSON column: the driver spends more time on describing a column than the database on
# finding the row, and both statements are on the path of every charge.
ACCOUNT_FIELDS = (
	"name",
	"customer",
	"company",
	"currency",
	"status",
	"sequence",
	"last_hash",
	"open_lots",
	"open_recharge",
	"held_because",
	"time_zone",
	"auto_recharge",
	"last_decision",
	"daily_usage",
)
ACCOUNT_MONEY = ("balance", "overdraft_limit", "cap_amount_day", "cap_amount_month")
LOT_FIELDS = ("name", "sequence", "priority", "expires_at", "closed", "source_type", "source_key")
LOT_MONEY = ("original", "remaining", "paid_value", "returned")


def _json_array(table: str, fields, money) -> str:
	columns = [f"{table}.`{f}`" for f in fields] + [f"CAST({table}.`{f}` AS CHAR)" for f in money]
	return f"JSON_ARRAY({', '.join(columns)})"


# The account first, then the lots it names: both by primary key, in one round trip. With the first lot alone
# comes the account, whose list of lots would else be sent once for each of them.
LOCK_BOOK = (
	f"SELECT IF(COALESCE(n.`number`, 1) = 1, {_json_array('a', ACCOUNT_FIELDS, ACCOUNT_MONEY)}, NULL),"
	f" IF(l.`name` IS NULL, NULL, {_json_array('l', LOT_FIELDS, LOT_MONEY)})"
	" FROM `tabCredit Account` a"
	" LEFT JOIN JSON_TABLE(COALESCE(a.`open_lots`, '[]'), '$[*]' COLUMNS (`number` FOR ORDINALITY,"
	" `lot` varchar(140) PATH '$')) n ON 1"
	" LEFT JOIN `tabCredit Lot` l FORCE INDEX (PRIMARY)"
	# Which collation a column of JSON_TABLE gets differs between MariaDB's patch releases.
	" ON l.`name` = n.`lot` COLLATE utf8mb4_unicode_ci"
	" WHERE a.`name` = %s FOR UPDATE"
)
LOCK_LOTS = (
	f"SELECT {_json_array('l', LOT_FIELDS, LOT_MONEY)} FROM `tabCredit Lot` l FORCE INDEX (PRIMARY)"
	" WHERE l.`name` IN %s FOR UPDATE"
)

# Columns that are the same for all rows of one write, and those that are a row's own.
SHARED_COLUMNS = (
	"creation",
	"modified",
	"modified_by",
	"owner",
	"posted_at",
	"credit_account",
	"currency",
	"customer",
	"company",
)
OWN_COLUMNS = {
	"name": "varchar(140)",
	"sequence": "int",
	"entry_type": "varchar(140)",
	"amount": "decimal(21,9)",
	"balance_after": "decimal(21,9)",
	"occurred_at": "datetime(6)",
	"idempotency_key": "varchar(140)",
	"request_key": "varchar(64)",
	"request_hash": "varchar(64)",
	"previous_hash": "varchar(64)",
	"hash": "varchar(64)",
	"lots": "longtext",
	"category": "varchar(140)",
	"quantity": "decimal(21,9)",
	"unit_price": "decimal(21,9)",
	"team": "varchar(140)",
	"user": "varchar(140)",
	"note": "text",
	"reference_type": "varchar(140)",
	"reference_name": "varchar(140)",
	"gateway_reference": "varchar(140)",
}
_OWN = ", ".join(f"`{c}`" for c in OWN_COLUMNS)
_INSERT = f"INSERT INTO `tabCredit Ledger` ({', '.join(f'`{c}`' for c in SHARED_COLUMNS)}, {_OWN}) "
_SHARED_VALUES = ", ".join(["%s"] * len(SHARED_COLUMNS))
INSERT_ENTRY = _INSERT + f"VALUES ({_SHARED_VALUES}, {', '.join(['%s'] * len(OWN_COLUMNS))})"
ROWS_A_STATEMENT = 1000


def _insert_entries_statement(alike: tuple[bool, ...]) -> str:
	"""One statement for any number of rows: several times faster than executemany.

	Of OWN_COLUMNS those that are `alike` in all rows are one value each, after the shared ones; the others come
	out of one JSON text, whose columns are what takes the time.
	"""
	own, number, values = [], 0, []
	for (column, kind), same in zip(OWN_COLUMNS.items(), alike, strict=True):
		values.append("%s" if same else f"`{column}`")
		if not same:
			own.append(f"`{column}` {kind} PATH '$[{number}]'")
			number += 1
	return (
		f"{_INSERT} SELECT {_SHARED_VALUES}, {', '.join(values)}"
		f" FROM JSON_TABLE(%s, '$[*]' COLUMNS ({', '.join(own)})) AS rows_in"
	)


# Two statements: one over both tables takes more than twice as long as they do.
UPDATE_ACCOUNT = "UPDATE `tabCredit Account` SET `balance` = %s, `sequence` = %s, `last_hash` = %s, `open_lots` = %s WHERE `name` = %s"
UPDATE_LOT = "UPDATE `tabCredit Lot` SET `remaining` = %s, `returned` = %s, `closed` = %s WHERE `name` = %s"


def new_name() -> str:
	"""A name for a ledger row or lot: milliseconds, then chance.

	Rising names append to the clustered index; wholly random ones would touch a page each.
	"""
	return f"{time.time_ns() // 1_000_000:011x}{os.urandom(6).hex()}"


@retry_on_contention
def lock_row(account: str) -> None:
	"""Lock the account's row, before anything else of a form is read.

	A form's request has read before: its snapshot may be older than the row, which MariaDB refuses where
	innodb_snapshot_isolation is on (as it is from 11.6). Then the reading begins anew.
	"""
	frappe.db.sql("SELECT `name` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", account)


def lock_account(name: str) -> tuple[frappe._dict, list[Lot]]:
	"""Lock and read the account's row and its open lots. Raises UnknownAccountError (404)."""
	rows = frappe.db.sql(LOCK_BOOK, (name,)) if isinstance(name, str) and is_readable(name) else ()
	if not rows:
		refuse(
			UnknownAccountError,
			"unknown_account",
			messages()["unknown_account"].format(account=frappe.utils.escape_html(str(name)[:140])),
			{"account": str(name)[:140]},
		)
	account = frappe._dict(
		zip(
			ACCOUNT_FIELDS + ACCOUNT_MONEY, json.loads(next(found for found, _ in rows if found)), strict=True
		)
	)
	return account, [_lot(json.loads(lot)) for _, lot in rows if lot]


class BookStore:
	"""One account, locked until the transaction ends: `row` as read, `book` to work on, `write()`."""

	def __init__(self, account: str, lots: tuple[str, ...] = ()):
		"""Lock `account`; load its open lots, and those named in `lots` besides."""
		self.recharge_started: str | None = None
		self.row, open_lots = lock_account(account)
		self.now = now_datetime()
		self.open_lots = [lot.name for lot in open_lots]
		self.book = Book(
			account=self.row.name,
			currency=self.row.currency,
			balance=exact(self.row.balance),
			sequence=self.row.sequence,
			last_hash=self.row.last_hash or chain.GENESIS,
			lots={lot.name: lot for lot in [*open_lots, *_lock_lots({*lots} - {*self.open_lots})]},
			new_name=new_name,
			overdraft_limit=exact(self.row.overdraft_limit),
			status=self.row.status,
		)
		self.book.expire_due(self.now, self._expiry_details, self._is_past)

	def _is_past(self, expires_at: datetime) -> bool:
		return clock.is_past(expires_at, clock.read(self.now))

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
		A movement that is already there raises the database's duplicate-key error, and nothing is written.
		"""
		if not self.book.entries:
			return
		self._write_entries()
		self._write_lots()
		self._write_account()
		entries = self.book.entries
		for entry in entries:
			if entry.entry_type == EXPIRY:
				self._tell_expiry(entry)
		for entry in entries[-1:] if hooks_once else entries:
			self._run_hooks(entry, more_follow=entry is not entries[-1])

	def _tell_expiry(self, entry: Entry) -> None:
		found = {"amount": -entry.amount, "balance": entry.balance_after, "currency": self.book.currency}
		events.tell(
			CREDITS_EXPIRED, self.book.account, {"lot": entry.reference_name, **found}, key=entry.name
		)

	def _write_entries(self) -> None:
		entries = self.book.entries
		if len(entries) <= ROWS_A_STATEMENT:
			self._insert_entries(entries)
			return
		# Several statements: the first must not stay when a later one meets a key that is there.
		frappe.db.savepoint("crm_recharge_book")
		try:
			self._insert_entries(entries)
		except Exception as error:
			if frappe.db.is_duplicate_entry(error):
				frappe.db.rollback(save_point="crm_recharge_book")
			raise

	def _insert_entries(self, entries: list[Entry]) -> None:
		posted, user = chain.moment(self.now), frappe.session.user
		row = self.row
		shared = (posted, posted, user, user, posted, row.name, row.currency, row.customer, row.company)
		if len(entries) == 1:
			frappe.db.sql(INSERT_ENTRY, shared + _own_values(entries[0]))
			return
		for start in range(0, len(entries), ROWS_A_STATEMENT):
			rows = [_own_values(entry) for entry in entries[start : start + ROWS_A_STATEMENT]]
			alike = tuple(len(set(column)) == 1 for column in zip(*rows, strict=True))
			differing = itemgetter(*(i for i, same in enumerate(alike) if not same))
			rows_in = json.dumps([differing(row) for row in rows], ensure_ascii=False)
			same_values = [value for value, same in zip(rows[0], alike, strict=True) if same]
			frappe.db.sql(_insert_entries_statement(alike), (*shared, *same_values, rows_in))

	def _write_lots(self) -> None:
		for lot in self.book.lots.values():
			if lot.is_new:
				self._insert_lot(lot)
			elif lot.changed:
				frappe.db.sql(
					UPDATE_LOT, (stored(lot.remaining), stored(lot.returned), int(lot.closed), lot.name)
				)

	def _write_account(self) -> None:
		book = self.book
		held = [lot.name for lot in book.lots.values() if lot.remaining > 0]
		open_lots = self.row.open_lots if held == self.open_lots else json.dumps(held)
		frappe.db.sql(
			UPDATE_ACCOUNT, (stored(book.balance), book.sequence, book.last_hash, open_lots, book.account)
		)

	def _insert_lot(self, lot: Lot) -> None:
		entry = next(e for e in self.book.entries if e.request_key == lot.source_key)
		doc = new(
			"Credit Lot",
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
			},
		)
		doc.flags.name_set = True
		doc.set_user_and_timestamp()
		doc.db_insert()
		# As text, past the float that a document would make of it.
		frappe.db.sql(
			"UPDATE `tabCredit Lot` SET `original` = %s, `remaining` = %s, `paid_value` = %s WHERE `name` = %s",
			(stored(lot.original), stored(lot.remaining), stored(lot.paid_value), lot.name),
		)

	def _run_hooks(self, entry: Entry, more_follow: bool) -> None:
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
		doc.flags.more_follow = more_follow
		doc.run_method("after_insert")
		if doc.flags.recharge_started:
			self.recharge_started = doc.flags.recharge_started


def _own_values(entry: Entry) -> tuple:
	"""Values in the order of OWN_COLUMNS, money and time as text, so that JSON carries them exactly."""
	return (
		entry.name,
		entry.sequence,
		entry.entry_type,
		stored(entry.amount),
		stored(entry.balance_after),
		chain.moment(entry.occurred_at),
		entry.idempotency_key,
		entry.request_key,
		entry.request_hash,
		entry.previous_hash,
		entry.hash,
		entry.lots_json,
		entry.category,
		stored(entry.quantity) if entry.quantity else "0",
		stored(entry.unit_price) if entry.unit_price else "0",
		entry.team,
		entry.user,
		entry.note,
		entry.reference_type,
		entry.reference_name,
		entry.gateway_reference,
	)


def _lock_lots(names: set[str]) -> list[Lot]:
	if not names:
		return []
	return [_lot(json.loads(text)) for (text,) in frappe.db.sql(LOCK_LOTS, (tuple(names),))]


def _lot(values: list) -> Lot:
	row = dict(zip(LOT_FIELDS + LOT_MONEY, values, strict=True))
	row.update({field: Decimal(row[field]) for field in LOT_MONEY})
	row["closed"] = bool(row["closed"])
	row["source_key"] = row["source_key"] or ""
	if row["expires_at"]:
		row["expires_at"] = datetime.fromisoformat(row["expires_at"])
	return Lot(**row)


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
