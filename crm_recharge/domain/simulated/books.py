"""The charge and threshold path over a transaction: load the book, move it, write it, look at the threshold.

The same order as on the site: the account's row is locked first, and a recharge that is to start is written in
the transaction of the ledger row that called for it.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from crm_recharge.domain import chain, effects, payment, threshold, usage, views
from crm_recharge.domain import rows as plain_rows
from crm_recharge.domain.book import (
	ADJUSTMENT,
	DEFAULT_PRIORITY,
	EXPIRY,
	GRANT,
	RECHARGE,
	REVERSAL,
	USAGE,
	Book,
	Entry,
	Lot,
)
from crm_recharge.domain.effects import Machine
from crm_recharge.domain.errors import InsufficientCredits, RuleError
from crm_recharge.domain.money import ZERO, plain
from crm_recharge.domain.simulated import rows
from crm_recharge.domain.simulated.world import Transaction

IN_FLIGHT = payment.IN_FLIGHT
LOOK_AT_REFUSAL = "look_at_refusal"
"""A job for an account and an amount that was refused."""


@dataclass(frozen=True, slots=True)
class Charged:
	"""What a charge answers. `recharge` is the one it started."""

	entry: Entry
	repeated: bool = False
	recharge: str | None = None


# -- movements ---------------------------------------------------------------------------------------------


def charge(
	transaction: Transaction, account: str, request: usage.UsageRequest, amount: Decimal
) -> Machine[Charged]:
	"""Charge one usage of `amount`. Returns Charged; raises the rules' errors, with nothing written.

	A machine like the payment's, so that it may be interrupted between its lock and its commit.
	"""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	key = chain.request_key(account, USAGE, request.idempotency_key)
	known = transaction.get(rows.LedgerRow, key)
	try:
		if known:
			usage.check_repeat(request, known.entry.request_hash, _as_first(known.entry))
			yield from effects.Rollback()
			return Charged(known.entry, repeated=True)
		book = open_book(transaction, account, now)
		entry = book.use(
			amount,
			now,
			request_key=key,
			request_hash=request.fingerprint,
			idempotency_key=request.idempotency_key,
			occurred_at=request.occurred_at,
			category=request.category,
			quantity=request.quantity,
			team=request.team,
			user=request.user,
			note=request.note,
		)
	except RuleError as error:
		yield from effects.Rollback()
		if isinstance(error, InsufficientCredits):
			transaction.world.queue.put(LOOK_AT_REFUSAL, f"{account} {plain(amount)}")
		raise
	recharge = write_book(transaction, book, now)
	yield from effects.Commit()
	return Charged(entry, recharge=recharge)


def _as_first(entry: Entry) -> dict[str, Any]:
	return {"entry": entry.name, "amount": plain(-entry.amount), "category": entry.category}


def grant(
	transaction: Transaction,
	account: str,
	amount: Decimal,
	key: str,
	priority: int = DEFAULT_PRIORITY,
	expires_at: datetime | None = None,
) -> Machine[str]:
	"""Give credits that nobody paid for, once per key. Returns the entry's name."""

	def move(book: Book, now: datetime, details: dict[str, Any]) -> Entry:
		return book.add(GRANT, amount, now, priority=priority, expires_at=expires_at, **details)

	return (yield from _once(transaction, account, GRANT, key, move))


def adjust(transaction: Transaction, account: str, amount: Decimal, key: str) -> Machine[str]:
	"""A colleague takes `amount` away, once per key; a debt may come of it. Returns the entry's name."""

	def move(book: Book, now: datetime, details: dict[str, Any]) -> Entry:
		return book.take(ADJUSTMENT, amount, now, **details)

	return (yield from _once(transaction, account, ADJUSTMENT, key, move))


def reverse(transaction: Transaction, account: str, entry: Entry) -> Machine[str]:
	"""Undo a usage or a grant, once. Returns the entry's name; raises the rules' errors."""

	def move(book: Book, now: datetime, details: dict[str, Any]) -> Entry:
		return book.reverse(entry, now, **details)

	lots = tuple(name for name, _ in entry.lots)
	return (yield from _once(transaction, account, REVERSAL, entry.name, move, lots))


def expire(transaction: Transaction, account: str) -> Machine[None]:
	"""What the nightly job does: post what has expired."""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	write_book(transaction, open_book(transaction, account, now), now)
	yield from effects.Commit()


def _once(
	transaction: Transaction, account: str, kind: str, key: str, move: Any, lots: tuple[str, ...] = ()
) -> Machine[str]:
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	request_key = chain.request_key(account, kind, key)
	known = transaction.get(rows.LedgerRow, request_key)
	if known:
		yield from effects.Rollback()
		return known.entry.name
	book = open_book(transaction, account, now, lots)
	try:
		entry = move(book, now, {"request_key": request_key, "request_hash": "", "idempotency_key": key})
	except RuleError:
		yield from effects.Rollback()
		raise
	write_book(transaction, book, now)
	yield from effects.Commit()
	return entry.name


def post_payment(transaction: Transaction, effect: effects.PostCredits, now: datetime) -> str:
	"""Credit a captured payment as a lot of its own, once per intent; part of the settling transaction."""
	key = chain.request_key(effect.account, RECHARGE, effect.intent)
	known = transaction.get(rows.LedgerRow, key)
	if known:
		return known.entry.name
	book = open_book(transaction, effect.account, now)
	entry = book.add(
		RECHARGE,
		effect.amount,
		now,
		paid_value=effect.amount,
		request_key=key,
		request_hash="",
		idempotency_key=effect.intent,
		gateway_reference=effect.intent,
		reference_type="Recharge",
		reference_name=effect.recharge,
	)
	transaction.update(rows.Recharge, effect.recharge, ledger_entry=entry.name)
	write_book(transaction, book, now)
	return entry.name


# -- the book's rows ---------------------------------------------------------------------------------------


def open_book(transaction: Transaction, account: str, now: datetime, lots: tuple[str, ...] = ()) -> Book:
	"""The account's book as a working copy, what has expired already posted. The caller holds the lock.

	Holds the open lots, and those named in `lots` besides.
	"""
	row = transaction.get(rows.CreditAccount, account)
	names = dict.fromkeys((*row.open_lots, *lots))
	held = {name: replace(transaction.get(rows.CreditLot, name).lot) for name in names}
	for lot in held.values():
		lot.is_new = lot.changed = False
	book = Book(
		account=account,
		currency=row.currency,
		balance=row.balance,
		sequence=row.sequence,
		last_hash=row.last_hash,
		lots=held,
		new_name=lambda: transaction.world.new_name("L"),
		overdraft_limit=row.overdraft_limit,
		status=row.status,
	)
	book.expire_due(now, lambda lot: _expiry_details(book, lot))
	return book


def _expiry_details(book: Book, lot: Lot) -> dict[str, Any]:
	key = f"expiry:{lot.name}:{book.sequence}"
	return {
		"request_key": chain.request_key(book.account, EXPIRY, key),
		"request_hash": "",
		"idempotency_key": key,
	}


def write_book(transaction: Transaction, book: Book, now: datetime) -> str | None:
	"""Write what changed, and check the threshold once. Returns the recharge that starts, if one does."""
	for entry in book.entries:
		transaction.insert(rows.LedgerRow(entry.request_key, book.account, entry))
	for lot in book.lots.values():
		if lot.is_new:
			transaction.insert(rows.CreditLot(lot.name, book.account, lot))
		elif lot.changed:
			transaction.update(rows.CreditLot, lot.name, lot=lot)
	transaction.update(
		rows.CreditAccount,
		book.account,
		balance=book.balance,
		sequence=book.sequence,
		last_hash=book.last_hash,
		open_lots=tuple(lot.name for lot in book.lots.values() if lot.remaining > 0),
	)
	return check_threshold(transaction, book.account, now, book.entries)


# -- the threshold -----------------------------------------------------------------------------------------


def recheck(transaction: Transaction, account: str) -> Machine[str | None]:
	"""Look at the threshold without a movement: switched on just now, or a cap has freed up."""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	recharge = None
	row, setting = _row_and_setting(transaction, account)
	if setting and threshold.look_at_entry(row.balance, setting.falls_below):
		recharge = _check(transaction, row, setting, now)
	yield from effects.Commit()
	return recharge


def look_at_refusal(transaction: Transaction, account: str, amount: Decimal) -> Machine[str | None]:
	"""A charge was refused for lack of credits: see whether a recharge would let it through."""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	recharge = None
	row, setting = _row_and_setting(transaction, account)
	if setting and threshold.look_at_refusal(view_of(transaction, row, setting, now, amount)):
		recharge = _check(transaction, row, setting, now, refused=amount)
	yield from effects.Commit()
	return recharge


def check_threshold(
	transaction: Transaction, account: str, now: datetime, entries: list[Entry]
) -> str | None:
	"""The ledger's hook, after each of `entries` that were written as one. The caller holds the lock."""
	row, setting = _row_and_setting(transaction, account)
	started = None
	for entry in entries if setting else ():
		more_follow = entry is not entries[-1]
		if threshold.look_at_entry(entry.balance_after, setting.falls_below, more_follow):
			by_usage = threshold.may_start(entry.entry_type)
			row = replace(transaction.get(rows.CreditAccount, account), balance=entry.balance_after)
			started = _check(transaction, row, setting, now, entry.name, by_usage=by_usage) or started
	return started


def _row_and_setting(transaction: Transaction, account: str) -> Any:
	return transaction.get(rows.CreditAccount, account), transaction.get(rows.AutoRechargeSetting, account)


def _check(
	transaction: Transaction,
	row: rows.CreditAccount,
	setting: rows.AutoRechargeSetting,
	now: datetime,
	triggered_by: str | None = None,
	refused: Decimal | None = None,
	by_usage: bool = True,
) -> str | None:
	"""Decide, keep the decision, and write the Recharge if one is to start."""
	decision = threshold.decide(
		view_of(transaction, row, setting, now, refused, by_usage),
		lambda: spike_of(transaction, row, setting, now),
	)
	transaction.insert(
		rows.Decision(transaction.world.new_name("D"), row.name, now, decision.code, decision.figures)
	)
	if decision.pauses:
		transaction.update(rows.AutoRechargeSetting, row.name, paused_because=decision.pauses)
	if decision.code != threshold.CHARGED or decision.amount is None:
		return None
	recharge = rows.Recharge(
		name=transaction.world.new_name("R"),
		account=row.name,
		status=payment.QUEUED,
		amount=decision.amount,
		currency=row.currency,
		created_at=now,
		triggered_by=triggered_by,
		decision_figures=decision.figures,
	)
	return start(transaction, recharge)


def start(transaction: Transaction, recharge: rows.Recharge) -> str:
	"""Write a recharge that is to be carried out. The caller holds the lock."""
	transaction.insert(recharge)
	transaction.update(rows.CreditAccount, recharge.account, open_recharge=recharge.name)
	transaction.enqueue_after_commit(payment.CARRY_OUT, recharge.name)
	return recharge.name


def by_hand(transaction: Transaction, account: str, amount: Decimal, card: str | None) -> Machine[str | None]:
	"""A person recharges: not while another is open, nor past the account's own caps. Returns the recharge's name."""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	row = transaction.get(rows.CreditAccount, account)
	caps = views.account_caps(row, reserved(transaction, account), now)
	if row.open_recharge or not all(cap.leaves_room(amount) for cap in caps):
		yield from effects.Rollback()
		return None
	recharge = rows.Recharge(
		name=transaction.world.new_name("R"),
		account=account,
		status=payment.QUEUED,
		amount=amount,
		currency=row.currency,
		origin="Desk",
		card=card,
		created_at=now,
	)
	start(transaction, recharge)
	yield from effects.Commit()
	return recharge.name


def view_of(
	transaction: Transaction,
	row: rows.CreditAccount,
	setting: rows.AutoRechargeSetting,
	now: datetime,
	refused: Decimal | None = None,
	by_usage: bool = True,
) -> threshold.View:
	"""Everything the decision rests on."""
	return views.threshold_view(
		row,
		setting.plain,
		setting.limits,
		lambda: reserved(transaction, row.name),
		now,
		refused,
		by_usage,
	)


def reserved(transaction: Transaction, account: str) -> list[plain_rows.Reserved]:
	"""All recharges of the account, as they may count against caps."""
	return [
		plain_rows.Reserved(r.amount, r.status, r.origin, r.settled_at)
		for r in transaction.all(rows.Recharge, account)
	]


def spike_of(
	transaction: Transaction, row: rows.CreditAccount, setting: rows.AutoRechargeSetting, now: datetime
) -> str | None:
	"""Why auto-recharge is to pause, or None."""

	def used_since(start: datetime) -> Decimal:
		entries = (found.entry for found in transaction.all(rows.LedgerRow, row.name))
		return -sum(
			(e.amount for e in entries if e.entry_type in (USAGE, REVERSAL) and e.posted_at >= start), ZERO
		)

	found = views.spike(setting.plain, list(row.daily_usage), used_since, now)
	return f"{plain(found.used)} used, {plain(found.usual)} is usual" if found else None
