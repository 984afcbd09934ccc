"""The rules that hold always (docs/architecture.md, 4), checked from outside on what is committed."""

from collections import Counter
from decimal import Decimal

from crm_recharge.domain import chain, effects, payment
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.gateway import CANCELED, SUCCEEDED, Gateway
from crm_recharge.domain.simulated.world import World


class Violation(Exception):
	"""A rule is broken; `rule` is its short name."""

	def __init__(self, rule: str, text: str):
		self.rule = rule
		super().__init__(f"{rule}: {text}")


def check_account(world: World, name: str) -> None:
	"""Rule 1: ledger = balance = lots, and the chain; rule 3: one open recharge. At every commit."""
	account = world.get(rows.CreditAccount, name)
	entries = [row.entry for row in world.all(rows.LedgerRow, name)]
	total = sum((entry.amount for entry in entries), ZERO)
	must(total == account.balance, "ledger = balance", f"{name}: rows {total}, balance {account.balance}")
	lots = [row.lot for row in world.all(rows.CreditLot, name)]
	held = sum((lot.remaining for lot in lots), ZERO)
	must(
		held == max(account.balance, ZERO),
		"lots = balance",
		f"{name}: lots {held}, balance {account.balance}",
	)
	must(all(lot.remaining >= 0 for lot in lots), "lots = balance", f"{name}: a lot is below zero")
	must(
		len(entries) == account.sequence,
		"no row is lost",
		f"{name}: {len(entries)} rows, counted {account.sequence}",
	)
	before = chain.GENESIS
	for entry in sorted(entries, key=lambda e: e.sequence):
		must(entry.previous_hash == before, "hash chain", f"{name}: row {entry.sequence} does not follow")
		before = entry.hash
	must(before == account.last_hash, "hash chain", f"{name}: the account's last hash is not the last row's")
	open_ = [r.name for r in world.all(rows.Recharge, name) if r.status in books.IN_FLIGHT]
	must(len(open_) <= 1, "one open recharge", f"{name}: {open_}")
	must(
		account.open_recharge in (open_ or [None]),
		"one open recharge",
		f"{name}: open is {account.open_recharge}, under way {open_}",
	)


def check_credits(world: World, gateway: Gateway, name: str) -> None:
	"""Rule 2, credits: nothing is credited that was not captured, or that does not fit, and no payment twice."""
	seen, account = Counter(), world.get(rows.CreditAccount, name)
	for row in world.all(rows.LedgerRow, name):
		if row.entry.entry_type != "Recharge":
			continue
		intent = gateway.intents.get(row.entry.gateway_reference)
		must(
			intent is not None and intent.status == SUCCEEDED and intent.amount == row.entry.amount,
			"no credit without a capture",
			f"{name}: {row.entry.gateway_reference} credited {row.entry.amount}",
		)
		recharge = world.get(rows.Recharge, row.entry.reference_name)
		must(
			(intent.recharge, intent.customer, intent.currency, intent.amount)
			== (recharge.name, account.gateway_customer, account.currency, recharge.amount),
			"no credit for what does not fit",
			f"{name}: {recharge.name} of {recharge.amount} is credited with {intent.amount} {intent.currency} of"
			f" {intent.customer} for {intent.recharge}",
		)
		seen[row.entry.reference_name] += 1
	twice = [recharge for recharge, times in seen.items() if times > 1]
	must(not twice, "one credit a recharge", f"{name}: {twice}")


def check_new_payment(gateway: Gateway, effect: effects.Charge) -> None:
	"""Rule 2, captures: no other payment of this recharge can hold money when a card is asked. Before a call.

	A key that the gateway remembers makes no new payment: after a restored backup it may be asked once more.
	"""
	if gateway.remembers(effect.key):
		return
	for intent in gateway.intents.values():
		if intent.recharge == effect.recharge and intent.key != effect.key and not is_others(intent.key):
			must(
				intent.status == CANCELED,
				"one capture a recharge",
				f"{effect.key} is charged while {intent.key} is {intent.status}",
			)


def check_own_card(world: World, effect: effects.Charge) -> None:
	"""No card pays for another account than the one that saved it. Before a call."""
	card, recharge = world.get(rows.RechargeCard, effect.card), world.get(rows.Recharge, effect.recharge)
	must(card.account == recharge.account, "its own cards", f"{effect.key} asks {card.name}")


def is_others(key: str) -> bool:
	"""Payments without one of the machine's keys: made by a person on the gateway's own page (they may come twice, and
	are refunded), or by a stranger (they do not fit, and are held)."""
	return key.endswith(("-page", "-strange"))


def check_caps(world: World, recharge: rows.Recharge) -> None:
	"""Rule 3, caps: with this new recharge, what is captured and in flight stays within each cap."""
	setting = world.get(rows.AutoRechargeSetting, recharge.account)
	now = recharge.created_at
	day, month, hour = now.date(), (now.year, now.month), now.timestamp() - 3600
	counted = [
		r
		for r in world.all(rows.Recharge, recharge.account)
		if r.origin == payment.AUTOMATIC and (r.settled_at or r.status in books.IN_FLIGHT)
	]

	def amount(inside) -> Decimal:
		return sum((r.amount for r in counted if r.settled_at is None or inside(r.settled_at)), ZERO)

	def count(inside) -> int:
		return sum(r.settled_at is None or inside(r.settled_at) for r in counted)

	for name, used in (
		("amount_day", amount(lambda t: t.date() == day)),
		("amount_month", amount(lambda t: (t.year, t.month) == month)),
		("count_hour", count(lambda t: t.timestamp() > hour)),
		("count_day", count(lambda t: t.date() == day)),
	):
		limit = getattr(setting.caps, name)
		must(
			not limit or used <= limit,
			"caps",
			f"{recharge.account}: {name} is {limit}, {used} is used or in flight",
		)


def check_not_after_clawback(world: World, recharge: rows.Recharge) -> None:
	"""A refund or a chargeback lowers the balance and must not charge the card for it; nor does a held account."""
	rows_ = {r.entry.name: r.entry for r in world.all(rows.LedgerRow, recharge.account)}
	entry = rows_.get(recharge.triggered_by)
	must(
		entry is None or entry.entry_type not in ("Refund", "Chargeback"),
		"a clawback starts nothing",
		f"{recharge.name} was started by a {entry and entry.entry_type}",
	)
	held = world.get(rows.CreditAccount, recharge.account).held_because
	must(not held, "a clawback starts nothing", f"{recharge.name} was started while held: {held}")


def check_claims(world: World, gateway: Gateway, bank) -> None:
	"""Credits = captured − reversed: of each payment exactly what was refunded or is disputed has been taken back."""
	for recharge in world.all(rows.Recharge):
		if not recharge.settled_intent:
			continue
		intent = gateway.intents[recharge.settled_intent]
		claimed = min(intent.amount, intent.refunded + bank.taken(intent.name))
		key = chain.request_key(recharge.account, "Recharge", intent.name)
		lot = next(x.lot for x in world.all(rows.CreditLot, recharge.account) if x.lot.source_key == key)
		must(
			lot.returned == claimed,
			"credits = captured - reversed",
			f"{recharge.name}: {intent.refunded} refunded, {bank.taken(intent.name)} disputed, {lot.returned} taken back",
		)
	for due in world.all(rows.RefundDue):
		intent = gateway.intents[due.intent]
		must(
			intent.refunded == intent.amount or bank.is_disputed(due.intent),
			"a second capture goes back",
			f"{due.intent}: {intent.refunded} of {intent.amount} refunded",
		)


def check_at_rest(world: World, gateway: Gateway, restored: bool = False) -> None:
	"""When nothing is left to do: every capture is credited, held or on its way back, and nobody waits for nothing.

	What is open at the gateway and was forgotten by a `restored` backup is left to the reconciler, who is not played.
	"""
	due = {row.intent for row in world.all(rows.RefundDue)}
	settled = {r.settled_intent: r for r in world.all(rows.Recharge) if r.settled_intent}
	held = {row.intent for row in world.all(rows.Difference)} - due - settled.keys()
	for intent in gateway.intents.values():
		if intent.status == SUCCEEDED:
			must(
				sum(intent.name in found for found in (settled, due, held)) == 1,
				"credits = captured",
				f"{intent.name} for {intent.recharge} is captured: credited {intent.name in settled},"
				f" refunded {intent.name in due}, held {intent.name in held}",
			)
	for recharge in world.all(rows.Recharge):
		must(
			recharge.status not in payment.WORKABLE,
			"nothing is stuck",
			f"{recharge.name} is {recharge.status}, lease until {recharge.lease_until}, next {recharge.next_try_at}",
		)
	known = {attempt.intent for attempt in world.all(rows.RechargeAttempt)}
	for intent in gateway.intents.values():
		if restored and intent.name not in known:
			continue
		recharge = world.get(rows.Recharge, intent.recharge)
		must(
			intent.status in (SUCCEEDED, CANCELED)
			or is_others(intent.key)
			# A person has to decide first, and it blocks its account meanwhile; or one has taken a stranger's payment
			# for it, and the reconciler, who is not played here, closes the rest.
			or recharge.status == payment.HELD
			or (recharge.settled_intent and is_others(gateway.intents[recharge.settled_intent].key)),
			"nothing stays open",
			f"{intent.name} of {recharge.name} ({recharge.status}) is {intent.status}",
		)


def must(holds: bool, rule: str, text: str) -> None:
	"""Raise Violation unless `holds`."""
	if not holds:
		raise Violation(rule, text)
