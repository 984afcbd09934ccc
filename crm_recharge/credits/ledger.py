"""Movements that are not usage: payments, grants, adjustments, reversals. Usage is in usage.py."""

from datetime import datetime
from decimal import Decimal

import frappe

from crm_recharge import clock
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.errors import for_people
from crm_recharge.credits.money import as_text, exact
from crm_recharge.credits.store import BookStore, find_entries
from crm_recharge.credits.usage import answer, read_time
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
from crm_recharge.domain.errors import IdempotencyConflict, InvalidRequest, RuleError
from crm_recharge.domain.money import ZERO, parse, parse_positive, plain
from crm_recharge.domain.usage import LONGEST_NOTE, read_key, text

REVERSIBLE = (USAGE, GRANT, ADJUSTMENT)
PRIORITIES = (0, 1000)


def post_payment(account: str, recharge: str, intent: str, amount: Decimal) -> tuple[str, Decimal]:
	"""Credit a captured payment as a lot of its own, once per payment intent.

	`amount` in the account's currency. Returns the ledger row's name and the balance after. Part of the
	caller's transaction, which holds the account's lock.
	"""
	store = BookStore(account)
	key = chain.request_key(store.book.account, RECHARGE, intent)

	def move():
		return store.book.add(
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

	entry, known = _post_or_find(store, key, move)
	return (known.name, exact(known.balance_after)) if known else (entry.name, entry.balance_after)


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
	amount, note = parse_positive(amount), read_note(note)
	expires_at, priority = read_time(expires_at, "expires_at"), _read_priority(priority)
	content = chain.request_hash(plain(amount), note, expires_at, priority)

	def move(store, details):
		if expires_at and clock.is_past(expires_at, clock.read(store.now)):
			raise InvalidRequest("expired_already", value=str(expires_at), now=str(store.now))
		return store.book.add(
			GRANT, amount, store.now, expires_at=expires_at, priority=priority, note=note, **details
		)

	return _once(account, GRANT, idempotency_key, content, move)


@for_people
@retry_on_contention
def adjust(account: str, amount, idempotency_key: str, note: str, allow_debt: bool = False) -> dict:
	"""Correct a balance by a signed `amount`; `note` says why and is required.

	What would leave less than the overdraft allows is refused (would_leave_debt) unless `allow_debt`.

	Returns the same answer as `usage.charge`. Raises credits.errors. The caller commits.
	"""
	amount, note = parse(amount), read_note(note)
	if amount == ZERO:
		raise InvalidRequest("nothing_to_adjust")
	if not note:
		raise InvalidRequest("note_missing")

	def move(store, details):
		if amount > 0:
			return store.book.add(ADJUSTMENT, amount, store.now, note=note, **details)
		left = store.book.balance + amount
		if left < -store.book.overdraft_limit and not allow_debt:
			raise InvalidRequest(
				"would_leave_debt",
				amount=plain(amount),
				balance=plain(store.book.balance),
				left=plain(left),
				currency=store.book.currency,
			)
		return store.book.take(ADJUSTMENT, -amount, store.now, note=note, **details)

	return _once(account, ADJUSTMENT, idempotency_key, chain.request_hash(plain(amount), note), move)


@for_people
def reverse(entry: str, note: str) -> dict:
	"""Undo a usage, grant or adjustment by a row of its own, once.

	Returns the same answer as `usage.charge`. Raises credits.errors. The caller commits.
	"""
	row, note = read_entry(entry), read_note(note)
	if row.entry_type not in REVERSIBLE:
		raise InvalidRequest("nothing_to_reverse", entry=row.name, entry_type=row.entry_type)
	if not note:
		raise InvalidRequest("note_missing")
	return _reverse(row, note)


@retry_on_contention
def _reverse(row, note: str) -> dict:
	# The row, which never changes, is not read here: each try begins with the account's lock.
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
		details |= {"reference_type": "Credit Ledger", "reference_name": row.name}
		return store.book.reverse(
			original, store.now, note=note, category=row.category, team=row.team, user=row.user, **details
		)

	lots = tuple(name for name, _ in moves)
	# By the row's own name: the table finds it under another spelling too, and twice must be once.
	return _once(row.credit_account, REVERSAL, row.name, chain.request_hash(row.name), move, lots)


def _once(account: str, entry_type: str, idempotency_key, content: str, move, lots: tuple = ()) -> dict:
	"""Post one movement under its key, or give the first answer again."""
	idempotency_key = read_key(idempotency_key)
	store = BookStore(account, lots)
	account, key = store.book.account, chain.request_key(store.book.account, entry_type, idempotency_key)
	details = {"request_key": key, "request_hash": content, "idempotency_key": idempotency_key}
	entry, known = _post_or_find(store, key, lambda: move(store, details))
	if not known:
		return answer(account, entry.name, entry.amount, entry.balance_after, store.recharge_started)
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


def _post_or_find(store: BookStore, key: str, move) -> tuple[Entry | None, frappe._dict | None]:
	"""Do `move` and write it, or find the row that is there under `key` already: (entry, known), one of them.

	Not a locking read at first: what it does not find it locks a gap for, and two payments of different
	accounts would wait for each other's gap.
	"""
	known = find_entries([key]).get(key)
	if known:
		return None, known
	try:
		entry = move()
		store.write()
		return entry, None
	except Exception as error:
		if not isinstance(error, RuleError) and not frappe.db.is_duplicate_entry(error):
			raise
		known = find_entries([key], locking=True).get(key)
		if not known:
			raise
		return None, known


def read_note(note) -> str | None:
	"""A note, stripped; None when there is none. Raises InvalidRequest not_text, unreadable_text, text_too_long."""
	return text({"note": note}, "note", LONGEST_NOTE)


def _read_priority(priority) -> int:
	lowest, highest = PRIORITIES
	if isinstance(priority, bool) or not isinstance(priority, int) or not lowest <= priority <= highest:
		raise InvalidRequest(
			"priority_out_of_range", value=str(priority)[:50], lowest=lowest, highest=highest
		)
	return priority


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
