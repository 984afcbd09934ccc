"""Refunds and disputes in memory: their rows, the effects of their machines, and the gateway's side of disputes."""

from dataclasses import dataclass, field, fields, replace
from decimal import Decimal

from crm_recharge.domain import chain, effects, payment, refund, takeback
from crm_recharge.domain.answers import DisputeAnswer, RefundAnswer, RefundOutcome
from crm_recharge.domain.book import RECHARGE, REINSTATEMENT
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.gateway import SUCCEEDED, Gateway
from crm_recharge.domain.takeback import DisputeView, PaymentView, RefundView

OUT = ("needs_response", "lost")
"""A dispute in one of these has taken the money out of the merchant's balance."""


@dataclass(frozen=True, slots=True)
class Refund:
	"""A Recharge Refund; `values` as the machine writes them."""

	name: str
	recharge: str
	values: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dispute:
	"""A Recharge Dispute; `values` as the machine writes them."""

	name: str
	recharge: str
	values: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestKey:
	"""Which refund stands for a request."""

	key: str
	refund: str


TABLES = {Refund: ("name", "recharge"), Dispute: ("name", "recharge"), RequestKey: ("key", None)}


class Bank:
	"""Disputes as the gateway knows them."""

	def __init__(self, gateway: Gateway):
		self.gateway = gateway
		self.disputes: dict[str, dict] = {}
		self.news: list[str] = []

	def open(self, intent) -> str | None:
		"""The card holder disputes what is left of a captured payment. Returns the dispute's id."""
		left = intent.amount - intent.refunded
		if intent.status != SUCCEEDED or left <= 0 or self.is_disputed(intent.name):
			return None
		name = f"dp_{len(self.disputes) + 1:05}"
		self.disputes[name] = {"intent": intent.name, "amount": left, "status": "needs_response"}
		self.news.append(name)
		return name

	def close(self, name: str, won: bool) -> None:
		self.disputes[name]["status"] = "won" if won else "lost"
		self.news.append(name)

	def is_disputed(self, intent: str) -> bool:
		return any(d["intent"] == intent and d["status"] in OUT for d in self.disputes.values())

	def taken(self, intent: str) -> Decimal:
		"""What open and lost disputes hold of a payment."""
		return sum(
			(d["amount"] for d in self.disputes.values() if d["intent"] == intent and d["status"] in OUT),
			ZERO,
		)

	def answer(self, name: str) -> DisputeAnswer:
		row = self.disputes[name]
		return DisputeAnswer(
			name,
			row["status"],
			"fraudulent",
			row["amount"],
			"USD",
			intent=row["intent"],
			withdrawn=row["amount"] if row["status"] in OUT else ZERO,
			balance_currency="USD",
		)


class Takebacks:
	"""The effects of domain/refund.py and domain/dispute.py, for a simulated performer."""

	def __init__(self, performer, bank: Bank):
		self.performer, self.bank = performer, bank
		performer.write_duplicate = self.duplicate
		self.world, self.gateway, self.clock = performer.world, performer.gateway, performer.clock

	def handlers(self) -> dict:
		return {
			effects.LockPayment: self.lock_payment,
			effects.LockRefund: lambda e, t: _view(RefundView, t.get(Refund, e.refund)),
			effects.FindRefund: self.find_refund,
			effects.InsertRefund: self.insert_refund,
			effects.UpdateRefund: lambda e, t: self.update(t, Refund, e.name, e.values),
			effects.InsertDispute: lambda e, t: t.insert(Dispute(e.name, e.values["recharge"], e.values)),
			effects.UpdateDispute: lambda e, t: self.update(t, Dispute, e.name, e.values),
			effects.TakeCredits: self.take,
			effects.GiveBack: self.give_back,
			effects.HoldAutoRecharge: lambda e, t: self.set_hold(
				t, e.account, lambda h: takeback.add_mark(h, e.mark)
			),
			effects.FlagAccount: lambda e, t: t.update(rows.CreditAccount, e.account, status=e.status),
			effects.AskRefund: self.ask,
			effects.LookUpRefund: self.look_up,
			effects.CheckRefund: self.check,
		}

	# -- rows ------------------------------------------------------------------------------------------------

	def lock_payment(self, effect, transaction) -> PaymentView | None:
		row = transaction.get(rows.Recharge, effect.recharge)
		if row is None:
			return None
		account = transaction.get(rows.CreditAccount, row.account)
		lot = self.lot_of(transaction, row)
		waiting = account.open_recharge and transaction.get(rows.Recharge, account.open_recharge)
		all_disputes = [
			d
			for recharge in transaction.all(rows.Recharge, row.account)
			for d in transaction.all(Dispute, recharge.name)
		]
		return PaymentView(
			recharge=row.name,
			account=row.account,
			status=row.status,
			amount=row.amount,
			currency=row.currency,
			intent=row.settled_intent,
			lot=lot.name if lot else None,
			bought=lot.original if lot else ZERO,
			unused=lot.remaining if lot else ZERO,
			refunded=row.refunded_amount,
			account_status=account.status,
			held_because=account.held_because,
			unasked=waiting.name
			if waiting
			and waiting.status in payment.WORKABLE
			and not transaction.all(rows.RechargeAttempt, waiting.name)
			else None,
			refunds=tuple(_view(RefundView, r) for r in transaction.all(Refund, row.name)),
			disputes=tuple(_view(DisputeView, d) for d in transaction.all(Dispute, row.name)),
			account_disputes=tuple(
				(d.name, d.values["status"]) for d in all_disputes if d.values["status"] in takeback.CLAIMING
			),
		)

	def lot_of(self, transaction, recharge: rows.Recharge):
		if not recharge.settled_intent:
			return None
		key = chain.request_key(recharge.account, RECHARGE, recharge.settled_intent)
		return next(
			(x.lot for x in transaction.all(rows.CreditLot, recharge.account) if x.lot.source_key == key),
			None,
		)

	def find_refund(self, effect, transaction) -> str | None:
		found = transaction.get(RequestKey, effect.request_key)
		return found.refund if found else None

	def insert_refund(self, effect, transaction) -> None:
		transaction.insert(Refund(effect.name, effect.values.get("recharge"), effect.values))
		if effect.values.get("request_key"):
			transaction.insert(RequestKey(effect.values["request_key"], effect.name))

	def update(self, transaction, kind, name: str, values: dict) -> None:
		transaction.update(kind, name, values=transaction.get(kind, name).values | values)

	def set_hold(self, transaction, account: str, change) -> None:
		held = transaction.get(rows.CreditAccount, account).held_because
		transaction.update(rows.CreditAccount, account, held_because=change(held))

	def duplicate(self, effect, transaction) -> None:
		"""A capture that bought nothing gets a refund of its own."""
		answer = effect.answer
		name = f"DUP-{answer.intent}"
		values = {
			"kind": takeback.DUPLICATE,
			"status": takeback.HELD,
			"amount": answer.amount,
			"currency": answer.currency,
			"intent": answer.intent,
			"recharge": effect.recharge,
			"account": transaction.get(rows.Recharge, effect.recharge).account,
		}
		transaction.insert(Refund(name, effect.recharge, values))
		transaction.enqueue_after_commit(refund.CARRY_OUT, name)

	# -- credits ---------------------------------------------------------------------------------------------

	def take(self, effect, transaction) -> str:
		now = self.clock.now()
		account = transaction.get(rows.CreditAccount, effect.account)
		setting = transaction.get(rows.AutoRechargeSetting, effect.account)
		low = {"enabled": setting.enabled, "falls_below": str(setting.falls_below)}
		if effect.hold_if_low and takeback.must_hold(account.balance - effect.amount, low):
			self.set_hold(transaction, effect.account, lambda h: takeback.add_mark(h, effect.hold_if_low))
		book = books.open_book(transaction, effect.account, now, (effect.lot,))
		entry = book.take(
			effect.entry_type,
			effect.amount,
			now,
			book.lots[effect.lot],
			**_details(effect, effect.entry_type),
		)
		books.write_book(transaction, book, now)
		return entry.name

	def give_back(self, effect, transaction) -> str:
		now = self.clock.now()
		if effect.lift:
			self.set_hold(transaction, effect.account, lambda h: takeback.drop_mark(h, effect.lift))
		keys = {
			chain.request_key(effect.account, kind, key)
			for key in effect.moved
			for kind in (effect.entry_type, REINSTATEMENT)
		}
		lost: dict[str, Decimal] = {}
		for row in transaction.all(rows.LedgerRow, effect.account):
			for lot, moved in row.entry.lots if row.request_key in keys else ():
				lost[lot] = lost.get(lot, ZERO) - moved
		taken = sorted(((n, a) for n, a in lost.items() if a > 0), key=lambda move: move[0] != effect.lot)
		book = books.open_book(transaction, effect.account, now, (effect.lot, *(name for name, _ in taken)))
		entry = book.reinstate(
			book.lots[effect.lot], effect.amount, now, taken=taken, **_details(effect, REINSTATEMENT)
		)
		books.write_book(transaction, book, now)
		return entry.name

	# -- the gateway -----------------------------------------------------------------------------------------

	def ask(self, effect, transaction) -> RefundAnswer:
		assert transaction.is_idle, "the gateway is asked inside a transaction"
		if effect.until and self.clock.now() > effect.until:
			return RefundAnswer(RefundOutcome.UNKNOWN, code="too_late")
		if self.bank.is_disputed(effect.intent):
			return RefundAnswer(RefundOutcome.REFUSED, intent=effect.intent, code="charge_disputed")
		answer = self.gateway.refund(key=effect.key, intent=effect.intent, amount=effect.amount)
		return replace(answer, metadata={"refund": effect.key})

	def look_up(self, effect, transaction) -> RefundAnswer | None:
		assert transaction.is_idle, "the gateway is asked inside a transaction"
		found = self.gateway._call("look_up", effect.key, lambda: self.gateway._refunds.get(effect.key))
		if isinstance(found, tuple):
			return replace(found[1], metadata={"refund": effect.key}) if found[1].refund else None
		return None if found is None else RefundAnswer(RefundOutcome.UNKNOWN, code=found.code)

	def check(self, effect, transaction) -> RefundAnswer:
		for key, (_, answer) in self.gateway._refunds.items():
			if answer.refund == effect.gateway_refund:
				return replace(answer, metadata={"refund": key})
		raise AssertionError(effect)

	def refunds_of(self, intent: str) -> list[RefundAnswer]:
		"""What a webhook's handler reads: all refunds of a payment as they are now."""
		return [
			replace(answer, metadata={"refund": key})
			for key, (_, answer) in self.gateway._refunds.items()
			if answer.intent == intent and answer.refund
		]


def _view(view, row):
	if row is None:
		return None
	names = {f.name for f in fields(view)}
	return view(**({"name": row.name} | {key: value for key, value in row.values.items() if key in names}))


def _details(effect, entry_type: str) -> dict:
	return {
		"request_key": chain.request_key(effect.account, entry_type, effect.key),
		"request_hash": "",
		"idempotency_key": effect.key,
		"reference_type": "claim",
		"reference_name": effect.claim,
		"gateway_reference": effect.intent,
	}
