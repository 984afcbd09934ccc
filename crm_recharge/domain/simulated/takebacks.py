"""Refunds and disputes in memory: the effects of their machines, and the bank's side of disputes."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crm_recharge.domain import chain, effects, refund, takeback, views
from crm_recharge.domain.answers import DisputeAnswer, RefundAnswer, RefundOutcome
from crm_recharge.domain.book import RECHARGE, REINSTATEMENT, Lot
from crm_recharge.domain.effects import DisputeValues, RefundValues
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.gateway import SUCCEEDED, Gateway, Intent
from crm_recharge.domain.simulated.world import Transaction
from crm_recharge.domain.takeback import PaymentView

FEE = Decimal(15)
OPEN, WARNING = "needs_response", "warning_needs_response"
OUT = (OPEN, "lost")
"""A dispute in one of these has taken the money out of the merchant's balance."""


@dataclass(slots=True)
class Case:
	"""A dispute as the bank has it."""

	name: str
	intent: str
	amount: Decimal
	status: str


class Bank:
	"""Disputes as the gateway knows them."""

	def __init__(self, gateway: Gateway):
		self.gateway = gateway
		self.disputes: dict[str, Case] = {}
		self.news: list[str] = []

	def open(self, intent: Intent, amount: Decimal | None = None, status: str = OPEN) -> str | None:
		"""The card holder disputes what is left of a captured payment, or `amount` of it. Returns the dispute's id."""
		left = intent.amount - intent.refunded
		if intent.status != SUCCEEDED or left <= 0 or self.is_disputed(intent.name):
			return None
		name = f"dp_{len(self.disputes) + 1:05}"
		self.disputes[name] = Case(name, intent.name, min(amount or left, left), status)
		self.news.append(name)
		return name

	def becomes(self, name: str, status: str, amount: Decimal | None = None) -> None:
		"""Escalated, decided, or of another amount."""
		case = self.disputes[name]
		case.status, case.amount = status, amount or case.amount
		self.news.append(name)

	def is_disputed(self, intent: str) -> bool:
		"""Whether a dispute holds money of a payment."""
		return any(d.intent == intent and d.status in OUT for d in self.disputes.values())

	def taken(self, intent: str) -> Decimal:
		"""What open and lost disputes hold of a payment."""
		return sum((d.amount for d in self.disputes.values() if d.intent == intent and d.status in OUT), ZERO)

	def answer(self, name: str) -> DisputeAnswer:
		"""A dispute as it is now."""
		row = self.disputes[name]
		return DisputeAnswer(
			name,
			row.status,
			"fraudulent",
			row.amount,
			"USD",
			intent=row.intent,
			withdrawn=row.amount if row.status in OUT else ZERO,
			fees=FEE if row.status in (*OUT, "won") else ZERO,
			balance_currency="USD",
		)


class Takebacks:
	"""The effects of domain/refund.py and domain/dispute.py, for a simulated performer."""

	def __init__(self, performer: Any, bank: Bank):
		self.performer, self.bank = performer, bank
		performer.write_duplicate = self.duplicate
		self.world, self.gateway, self.clock = performer.world, performer.gateway, performer.clock

	def handlers(self) -> dict[type, Callable[..., Any]]:
		"""Effect class -> what does it."""
		return {
			effects.LockPayment: self.lock_payment,
			effects.LockRefund: self.lock_refund,
			effects.FindRefund: self.find_refund,
			effects.InsertRefund: self.insert_refund,
			effects.UpdateRefund: lambda e, t: self.update(t, rows.Refund, e.name, e.values),
			effects.InsertDispute: self.insert_dispute,
			effects.UpdateDispute: lambda e, t: self.update(t, rows.Dispute, e.name, e.values),
			effects.TakeCredits: self.take,
			effects.GiveBack: self.give_back,
			effects.HoldAutoRecharge: lambda e, t: self.set_hold(
				t, e.account, lambda h: takeback.add_mark(h, e.mark)
			),
			effects.FlagAccount: lambda e, t: t.update(rows.CreditAccount, e.account, status=e.status),
			effects.AskRefund: self.ask,
			effects.LookUpRefund: lambda e, t: self.gateway.look_up_refund(e.key, e.intent),
			effects.CheckRefund: lambda e, t: self.gateway.check_refund(e.gateway_refund),
		}

	# -- rows ------------------------------------------------------------------------------------------------

	def lock_payment(self, effect: effects.LockPayment, transaction: Transaction) -> PaymentView | None:
		row = transaction.get(rows.Recharge, effect.recharge)
		if row is None:
			return None
		account = transaction.get(rows.CreditAccount, row.account)
		waiting = account.open_recharge and transaction.get(rows.Recharge, account.open_recharge)
		return views.paid(
			row,
			account,
			self.lot_of(transaction, row),
			views.unasked(waiting, [a.status for a in transaction.all(rows.RechargeAttempt, waiting.name)])
			if waiting
			else None,
			[r.view for r in transaction.all(rows.Refund, row.name)],
			[d.view for d in transaction.all(rows.Dispute, row.name)],
			[
				(d.name, d.values["status"])
				for recharge in transaction.all(rows.Recharge, row.account)
				for d in transaction.all(rows.Dispute, recharge.name)
			],
		)

	def lot_of(self, transaction: Transaction, recharge: rows.Recharge) -> Lot | None:
		"""What the payment bought, as it is in the book now."""
		if not recharge.settled_intent:
			return None
		key = chain.request_key(recharge.account, RECHARGE, recharge.settled_intent)
		lots = transaction.all(rows.CreditLot, recharge.account)
		name = next((x.name for x in lots if x.lot.source_key == key), None)
		if name is None:
			return None
		return books.open_book(transaction, recharge.account, self.clock.now(), (name,)).lots[name]

	def lock_refund(self, effect: effects.LockRefund, transaction: Transaction) -> takeback.RefundView | None:
		found = transaction.get(rows.Refund, effect.refund)
		return found.view if found else None

	def find_refund(self, effect: effects.FindRefund, transaction: Transaction) -> str | None:
		found = transaction.get(rows.RequestKey, effect.request_key)
		return found.refund if found else None

	def insert_refund(self, effect: effects.InsertRefund, transaction: Transaction) -> None:
		transaction.insert(rows.Refund(effect.name, effect.values.get("recharge") or "", effect.values))
		if effect.values.get("request_key"):
			transaction.insert(rows.RequestKey(effect.values["request_key"], effect.name))

	def insert_dispute(self, effect: effects.InsertDispute, transaction: Transaction) -> None:
		transaction.insert(rows.Dispute(effect.name, effect.values["recharge"], effect.values))

	def update(
		self, transaction: Transaction, kind: type, name: str, values: RefundValues | DisputeValues
	) -> None:
		transaction.update(kind, name, values={**transaction.get(kind, name).values, **values})

	def set_hold(self, transaction: Transaction, account: str, change: Callable[..., str | None]) -> None:
		held = transaction.get(rows.CreditAccount, account).held_because
		transaction.update(rows.CreditAccount, account, held_because=change(held))

	def duplicate(self, effect: effects.RefundDuplicate, transaction: Transaction) -> None:
		"""A capture that bought nothing gets a refund of its own."""
		answer = effect.answer
		name = f"DUP-{answer.intent}"
		values: RefundValues = {
			"kind": takeback.ORPHAN if effect.held else takeback.DUPLICATE,
			"status": takeback.HELD,
			"amount": answer.amount,
			"currency": answer.currency,
			"intent": answer.intent,
			"recharge": effect.recharge,
			"account": transaction.get(rows.Recharge, effect.recharge).account,
		}
		transaction.insert(rows.Refund(name, effect.recharge, values))
		transaction.enqueue_after_commit(refund.CARRY_OUT, name)

	# -- credits ---------------------------------------------------------------------------------------------

	def take(self, effect: effects.TakeCredits, transaction: Transaction) -> str:
		now = self.clock.now()
		account = transaction.get(rows.CreditAccount, effect.account)
		setting = transaction.get(rows.AutoRechargeSetting, effect.account)
		low = {"enabled": setting.enabled, "falls_below": str(setting.falls_below)} if setting else None
		book = books.open_book(transaction, effect.account, now, (effect.lot,))
		if effect.hold_if_low and takeback.must_hold(book.balance - effect.amount, low):
			self.set_hold(transaction, account.name, lambda h: takeback.add_mark(h, effect.hold_if_low or ""))
		entry = book.take(
			effect.entry_type,
			effect.amount,
			now,
			book.lots[effect.lot],
			**_details(effect, effect.entry_type),
		)
		books.write_book(transaction, book, now)
		return entry.name

	def give_back(self, effect: effects.GiveBack, transaction: Transaction) -> str:
		now = self.clock.now()
		if effect.lift:
			self.set_hold(transaction, effect.account, lambda h: takeback.drop_mark(h, effect.lift or ""))
		keys = {
			chain.request_key(effect.account, kind, key)
			for key in effect.moved
			for kind in (effect.entry_type, REINSTATEMENT)
		}
		moves = [
			row.entry.lots
			for row in transaction.all(rows.LedgerRow, effect.account)
			if row.request_key in keys
		]
		taken = takeback.taken_from(moves, first=effect.lot)
		book = books.open_book(transaction, effect.account, now, (effect.lot, *(name for name, _ in taken)))
		entry = book.reinstate(
			book.lots[effect.lot], effect.amount, now, taken=taken, **_details(effect, REINSTATEMENT)
		)
		books.write_book(transaction, book, now)
		return entry.name

	# -- the gateway -----------------------------------------------------------------------------------------

	def ask(self, effect: effects.AskRefund, transaction: Transaction) -> RefundAnswer:
		if effect.until and self.clock.now() > effect.until:
			return RefundAnswer(RefundOutcome.UNKNOWN, code="too_late")
		if self.bank.is_disputed(effect.intent):
			return RefundAnswer(RefundOutcome.REFUSED, intent=effect.intent, code="charge_disputed")
		return self.gateway.refund(key=effect.key, intent=effect.intent, amount=effect.amount)


def _details(effect: effects.TakeCredits | effects.GiveBack, entry_type: str) -> dict[str, Any]:
	return {
		"request_key": chain.request_key(effect.account, entry_type, effect.key),
		"request_hash": "",
		"idempotency_key": effect.key,
		"reference_type": "claim",
		"reference_name": effect.claim,
		"gateway_reference": effect.intent,
	}
