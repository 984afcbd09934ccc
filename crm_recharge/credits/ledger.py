"""Movements that are not usage: payments, grants, adjustments, reversals. Usage is in usage.py."""

from datetime import datetime
from decimal import Decimal

import frappe

from crm_recharge.credits.contention import retry_on_contention
from crm_recharge.credits.errors import for_people
from crm_recharge.credits.money import as_text, exact
from crm_recharge.credits.store import BookStore, find_entries
from crm_recharge.credits.usage import answer
from crm_recharge.domain import chain
from crm_recharge.domain.book import (
	ADJUSTMENT,
	DEFAULT_PRIORITY,
	GRANT,
	RECHARGE,
	REVERSAL,
	USAGE,
	Entry,
)
from crm_recharge.domain.errors import IdempotencyConflict, InvalidRequest
from crm_recharge.domain.money import ZERO, parse, parse_positive, plain
from crm_recharge.domain.usage import read_key

REVERSIBLE = (USAGE, GRANT, ADJUSTMENT)


def post_payment(account: str, recharge: str, intent: str, amount: Decimal) -> tuple[str, Decimal]:
	"""Credit a captured payment as a lot of its own, once per payment intent.

	`amount` in the account's currency. Returns the ledger row's name and the balance after. Part of the
	caller's transaction, which holds the account's lock.
	"""
	store = BookStore(account)
	key = chain.request_key(account, RECHARGE, intent)
	known = find_entries([key], locking=True).get(key)
	if known:
		return known.name, exact(known.balance_after)
	store.book.add(
		RECHARGE,
		amount,
		store.now,
		paid_value=amount,
		request_key=key,
		request_hash="",
		idempotency_key=intent,
		gateway_reference=intent,
		reference_type="Recharge",
		reference_name=recharge,
	)
	store.write()
	entry = store.book.entries[-1]
	return entry.name, entry.balance_after


@for_people
@retry_on_contention
def grant(
	account: str,
	amount,
	idempotency_key: str,
	note: str | None = None,
	expires_at: datetime | None = None,
	priority: int = DEFAULT_PRIORITY,
) -> dict:
	"""Give credits that nobody paid for; used before paid ones when `priority` is lower or they expire.

	Returns the same answer as `usage.charge`. Raises credits.errors. The caller commits.
	"""
	amount = parse_positive(amount)
	content = chain.request_hash(plain(amount), note, expires_at, priority)

	def move(store, details):
		return store.book.add(
			GRANT, amount, store.now, expires_at=expires_at, priority=int(priority), note=note, **details
		)

	return _once(account, GRANT, idempotency_key, content, move)


@for_people
@retry_on_contention
def adjust(account: str, amount, idempotency_key: str, note: str) -> dict:
	"""Correct a balance by a signed `amount`; `note` says why and is required.

	Returns the same answer as `usage.charge`. Raises credits.errors. The caller commits.
	"""
	amount = parse(amount)
	if amount == ZERO:
		raise InvalidRequest("not_positive", what="amount", value="0")
	if not (note or "").strip():
		raise InvalidRequest("note_missing")

	def move(store, details):
		if amount > 0:
			return store.book.add(ADJUSTMENT, amount, store.now, note=note, **details)
		return store.book.take(ADJUSTMENT, -amount, store.now, note=note, **details)

	return _once(account, ADJUSTMENT, idempotency_key, chain.request_hash(plain(amount), note), move)


@for_people
@retry_on_contention
def reverse(entry: str, note: str) -> dict:
	"""Undo a usage, grant or adjustment by a row of its own, once.

	Returns the same answer as `usage.charge`. Raises credits.errors. The caller commits.
	"""
	row = read_entry(entry)
	if row.entry_type not in REVERSIBLE:
		raise InvalidRequest("nothing_to_reverse", entry=entry, entry_type=row.entry_type)
	if not (note or "").strip():
		raise InvalidRequest("note_missing")
	moves = [(name, Decimal(amount)) for name, amount in frappe.parse_json(row.lots or "[]")]
	original = Entry(
		name=row.name,
		sequence=row.sequence,
		entry_type=row.entry_type,
		amount=exact(row.amount),
		balance_after=exact(row.balance_after),
		posted_at=row.posted_at,
		occurred_at=row.occurred_at,
		request_key=row.request_key,
		request_hash="",
		lots=moves,
	)

	def move(store, details):
		details |= {"reference_type": "Credit Ledger", "reference_name": entry}
		return store.book.reverse(
			original, store.now, note=note, category=row.category, team=row.team, user=row.user, **details
		)

	lots = tuple(name for name, _ in moves)
	return _once(row.credit_account, REVERSAL, entry, chain.request_hash(entry), move, lots)


def _once(account: str, entry_type: str, idempotency_key, content: str, move, lots: tuple = ()) -> dict:
	"""Post one movement under its key, or give the first answer again."""
	idempotency_key = read_key(idempotency_key)
	store = BookStore(account, lots)
	key = chain.request_key(store.book.account, entry_type, idempotency_key)
	known = find_entries([key], locking=True).get(key)
	if known:
		if known.request_hash != content:
			raise IdempotencyConflict(
				"idempotency_conflict",
				key=idempotency_key,
				first={"entry": known.name, "amount": plain(exact(known.amount)), "note": known.note},
				now=entry_type,
			)
		return answer(account, known.name, exact(known.amount), exact(known.balance_after), None) | {
			"repeated": True
		}
	entry = move(store, {"request_key": key, "request_hash": content, "idempotency_key": idempotency_key})
	store.write()
	return answer(account, entry.name, entry.amount, entry.balance_after, store.recharge_started)


def read_entry(name: str) -> frappe._dict:
	"""One ledger row, its money exact. Raises frappe.DoesNotExistError."""
	rows = frappe.db.sql(
		"SELECT `name`, `credit_account`, `sequence`, `entry_type`, `posted_at`, `occurred_at`, `request_key`, "
		f"`lots`, `category`, `team`, `user`, {as_text('amount', 'balance_after')}"
		" FROM `tabCredit Ledger` WHERE `name` = %s",
		(name,),
		as_dict=True,
	)
	if not rows:
		frappe.throw(frappe._("There is no ledger row {0}.").format(name), frappe.DoesNotExistError)
	return rows[0]
