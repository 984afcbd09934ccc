"""The charge and threshold path over a transaction: load the book, move it, write it, look at the threshold.

The same order as on the site: the account's row is locked first, and a recharge that is to start is written in
the transaction of the ledger row that called for it.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from crm_recharge.domain import chain, effects, payment, threshold, usage
from crm_recharge.domain.book import ACTIVE, EXPIRY, GRANT, RECHARGE, USAGE, Book, Entry, Lot
from crm_recharge.domain.caps import Reservation, caps_at
from crm_recharge.domain.errors import RuleError
from crm_recharge.domain.money import plain
from crm_recharge.domain.simulated import rows
from crm_recharge.domain.simulated.world import Transaction

IN_FLIGHT = payment.IN_FLIGHT


@dataclass(frozen=True, slots=True)
class Charged:
	"""What a charge answers. `recharge` is the one it started."""

	entry: Entry
	repeated: bool = False
	recharge: str | None = None


# -- movements ---------------------------------------------------------------------------------------------


def charge(transaction: Transaction, account: str, request: usage.UsageRequest, amount: Decimal) -> Generator:
	"""Charge one usage of `amount`. Returns Charged; raises the rules' errors, with nothing written.

	A machine like the payment's, so that it may be interrupted between its lock and its commit.
	"""
	now = yield effects.Now()
	yield effects.LockAccount(account)
	key = chain.request_key(account, USAGE, request.idempotency_key)
	known = transaction.get(rows.LedgerRow, key)
	try:
		if known:
			usage.check_repeat(request, known.entry.request_hash, _as_first(known.entry))
			yield effects.Rollback()
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
	except RuleError:
		yield effects.Rollback()
		raise
	recharge = write_book(transaction, book, now)
	yield effects.Commit()
	return Charged(entry, recharge=recharge)


def _as_first(entry: Entry) -> dict:
	return {"entry": entry.name, "amount": plain(-entry.amount), "category": entry.category}


def grant(transaction: Transaction, account: str, amount: Decimal, key: str) -> Generator:
	"""Give credits that nobody paid for, once per key. Returns the entry's name."""
	now = yield effects.Now()
	yield effects.LockAccount(account)
	request_key = chain.request_key(account, GRANT, key)
	known = transaction.get(rows.LedgerRow, request_key)
	if known:
		yield effects.Rollback()
		return known.entry.name
	book = open_book(transaction, account, now)
	entry = book.add(GRANT, amount, now, request_key=request_key, request_hash="", idempotency_key=key)
	write_book(transaction, book, now)
	yield effects.Commit()
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
	lots = {name: replace(transaction.get(rows.CreditLot, name).lot) for name in names}
	for lot in lots.values():
		lot.is_new = lot.changed = False
	book = Book(
		account=account,
		currency=row.currency,
		balance=row.balance,
		sequence=row.sequence,
		last_hash=row.last_hash,
		lots=lots,
		new_name=lambda: transaction.world.new_name("L"),
		overdraft_limit=row.overdraft_limit,
		status=row.status,
	)
	book.expire_due(now, lambda lot: _expiry_details(book, lot))
	return book


def _expiry_details(book: Book, lot: Lot) -> dict:
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
	return check_threshold(transaction, book.account, now, book.entries[-1].name if book.entries else None)


# -- the threshold -----------------------------------------------------------------------------------------


def recheck(transaction: Transaction, account: str) -> Generator:
	"""Look at the threshold without a movement: switched on just now, or a cap has freed up."""
	now = yield effects.Now()
	yield effects.LockAccount(account)
	recharge = check_threshold(transaction, account, now)
	yield effects.Commit()
	return recharge


def check_threshold(
	transaction: Transaction, account: str, now: datetime, triggered_by: str | None = None
) -> str | None:
	"""Decide, keep the decision, and write the Recharge if one is to start. The caller holds the lock."""
	row = transaction.get(rows.CreditAccount, account)
	setting = transaction.get(rows.AutoRechargeSetting, account)
	if setting is None or row.balance > setting.falls_below:
		return None
	decision = threshold.decide(view_of(transaction, row, setting, now))
	transaction.insert(
		rows.Decision(transaction.world.new_name("D"), account, now, decision.code, decision.figures)
	)
	if decision.code != threshold.CHARGED:
		return None
	recharge = rows.Recharge(
		name=transaction.world.new_name("R"),
		account=account,
		amount=decision.amount,
		currency=row.currency,
		created_at=now,
		triggered_by=triggered_by,
		decision_figures=decision.figures,
	)
	transaction.insert(recharge)
	transaction.update(rows.CreditAccount, account, open_recharge=recharge.name)
	transaction.enqueue_after_commit(payment.CARRY_OUT, recharge.name)
	return recharge.name


def view_of(transaction: Transaction, row, setting, now: datetime) -> threshold.View:
	"""Everything the decision rests on."""
	return threshold.View(
		currency=row.currency,
		balance=row.balance,
		enabled=setting.enabled,
		falls_below=setting.falls_below,
		recharge_up_to=setting.recharge_up_to,
		open_recharge=row.open_recharge,
		held_because=row.held_because or (row.status if row.status != ACTIVE else None),
		paused_because=row.paused_because,
		# Listed, not good: a recharge that finds no good card fails, and that is told.
		usable_cards=len(setting.cards),
		limits=setting.limits,
		caps=caps_at(setting.caps, reservations(transaction, row), now, row.zone),
		overdraft=row.overdraft_limit,
	)


def reservations(transaction: Transaction, account) -> list[Reservation]:
	"""The account's automatic recharges that hold money or still may."""
	found = []
	for recharge in transaction.all(rows.Recharge, account.name):
		if recharge.origin != payment.AUTOMATIC:
			continue
		if recharge.settled_at:
			found.append(Reservation(recharge.amount, recharge.settled_at))
		elif recharge.status in IN_FLIGHT:
			found.append(Reservation(recharge.amount))
	return found
