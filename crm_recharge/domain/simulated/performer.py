"""Does the machines' effects in memory, one at a time, so that a run may be stopped or killed between any two."""

from datetime import timedelta
from typing import Any

from crm_recharge.domain import effects, views
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.cards import Card
from crm_recharge.domain.effects import Machine
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.domain.simulated.gateway import Gateway
from crm_recharge.domain.simulated.world import Transaction, World
from crm_recharge.domain.steps import RechargeView

NO_TIME = timedelta(0)


class Run:
	"""One machine under way.

	`step` does its next effect; `wait` is how long the answer to the last one takes to arrive, `result` what
	the machine returned.
	"""

	def __init__(self, performer: "Performer", machine: Machine[Any], transaction: Transaction) -> None:
		self.performer = performer
		self.machine = machine
		self.transaction = transaction
		self.effect: effects.Effect[Any] | None = None
		self.wait = NO_TIME
		self.result = None
		self.is_over = False
		self._reply = None

	def peek(self) -> Any:
		"""The effect that the next step will do; None once the machine has ended."""
		if self.effect is None and not self.is_over:
			try:
				self.effect = self.machine.send(self._reply)
			except StopIteration as end:
				self.result = end.value
				self._end()
			except BaseException:
				self._end()
				raise
		return self.effect

	def step(self) -> bool:
		"""Do the next effect. Returns False once the machine has ended.

		Raises Locked when another run holds the row; the same effect is tried again by the next step. An error
		of the machine ends the run as a crash does: what was not committed is gone.
		"""
		effect = self.peek()
		if effect is None:
			return False
		self._reply, self.wait = self.performer.do(effect, self.transaction), NO_TIME
		if isinstance(effect, effects.Charge | effects.Cancel | effects.LookUp) and self._reply:
			self.wait = timedelta(milliseconds=self._reply.milliseconds)
		self.effect = None
		return True

	def answer(self, reply: Any) -> None:
		"""Answer the effect that waits, without doing it."""
		self._reply, self.effect = reply, None

	def finish(self) -> Any:
		"""Do all that is left, without letting time pass. Returns the machine's result."""
		while self.step():
			pass
		return self.result

	def kill(self) -> None:
		"""The worker dies here: what it had not committed never was, its locks are free."""
		self.machine.close()
		self._end()

	def _end(self) -> None:
		self.is_over = True
		self.effect = None
		self.transaction.rollback()


class Performer:
	"""Effects on a world and a gateway."""

	def __init__(self, world: World, clock: Clock, gateway: Gateway) -> None:
		self.world = world
		self.clock = clock
		self.gateway = gateway
		self.write_duplicate: Any = None
		self._handlers = {
			effects.Now: lambda e, t: self.clock.now(),
			effects.Commit: lambda e, t: t.commit(),
			effects.Rollback: lambda e, t: t.rollback(),
			effects.LockAccount: lambda e, t: t.lock(rows.CreditAccount, e.account),
			effects.LockRecharge: self._lock_recharge,
			effects.UpdateRecharge: lambda e, t: t.update(rows.Recharge, e.recharge, **e.values),
			effects.InsertAttempt: self._insert_attempt,
			effects.UpdateAttempt: lambda e, t: t.update(rows.RechargeAttempt, e.name, **e.values),
			effects.UpdateCard: self._update_card,
			effects.Charge: self._charge,
			effects.Cancel: lambda e, t: self.gateway.cancel(intent=e.intent, key=e.key),
			effects.LookUp: lambda e, t: self.gateway.look_up(key=e.key, intent=e.intent),
			effects.ClosePage: lambda e, t: self.gateway.close_page(e.page),
			effects.Search: lambda e, t: self.gateway.search(e.recharge),
			effects.NoteDifference: self._note_difference,
			effects.CloseDifference: self._close_difference,
			effects.PostCredits: lambda e, t: books.post_payment(t, e, self.clock.now()),
			effects.ClearOpenRecharge: self._clear_open_recharge,
			effects.DisableAutoRecharge: self._disable_auto_recharge,
			effects.Notify: self._notify,
			effects.RefundDuplicate: self._refund_duplicate,
			effects.EnqueueAfterCommit: lambda e, t: t.enqueue_after_commit(e.job, e.recharge),
		}

	def add_handlers(self, handlers: dict[type, Any]) -> None:
		"""Do further effects (class -> function of effect and transaction)."""
		self._handlers |= handlers

	def start(self, machine: Machine[Any], transaction: Transaction | None = None) -> Run:
		"""A run of `machine`; a machine that reads rows itself brings its `transaction`."""
		return Run(self, machine, transaction or self.world.begin())

	def do(self, effect: Any, transaction: Transaction) -> Any:
		"""Do one effect. AssertionError when the gateway is asked inside a transaction (rule 4)."""
		asks = effects.Asks
		if isinstance(effect, asks) and not transaction.is_idle:
			raise AssertionError(f"{effect} inside an open transaction")
		return self._handlers[type(effect)](effect, transaction)  # type: ignore[no-untyped-call]

	# -- effects -----------------------------------------------------------------------------------------

	def _lock_recharge(self, effect: Any, transaction: Any) -> RechargeView | None:
		transaction.lock(rows.Recharge, effect.recharge)
		row = transaction.get(rows.Recharge, effect.recharge)
		return self.view_of(row, transaction) if row else None

	def view_of(self, row: rows.Recharge, transaction: Transaction) -> RechargeView:
		"""A recharge as the machine reads it."""
		return views.recharge(
			row,
			transaction.get(rows.CreditAccount, row.account),
			transaction.all(rows.RechargeAttempt, row.name),
			self._cards_of(row, transaction),
		)

	def _cards_of(self, row: rows.Recharge, transaction: Transaction) -> tuple[Card, ...]:
		setting = transaction.get(rows.AutoRechargeSetting, row.account)
		listed = setting.cards if setting else ()
		names = (row.card,) if row.card else listed
		saved = [transaction.get(rows.RechargeCard, name) for name in names]
		tried = [
			attempt
			for recharge in transaction.all(rows.Recharge, row.account)
			for attempt in transaction.all(rows.RechargeAttempt, recharge.name)
		]
		return views.cards_in_order(row.card, listed, saved, tried, self.clock.now())

	def _insert_attempt(self, effect: Any, transaction: Any) -> None:
		card = effect.card and transaction.get(rows.RechargeCard, effect.card)
		account = transaction.get(rows.Recharge, effect.recharge).account
		values = {"created_at": self.clock.now()} | effect.values
		transaction.insert(
			rows.RechargeAttempt(
				name=effect.name,
				number=effect.number,
				card=effect.card,
				recharge=effect.recharge,
				customer=transaction.get(rows.CreditAccount, account).customer,
				fingerprint=card.fingerprint if card else None,
				**values,
			)
		)

	def _update_card(self, effect: Any, transaction: Any) -> None:
		if transaction.get(rows.RechargeCard, effect.card).account == effect.account:
			transaction.update(
				rows.RechargeCard, effect.card, status=effect.status, status_reason=effect.reason
			)

	def _charge(self, effect: Any, transaction: Any) -> Any:
		if effect.until and self.clock.now() > effect.until:
			return Answer(Outcome.UNKNOWN, code="too_late")
		card = transaction.get(rows.RechargeCard, effect.card)
		if card.account != transaction.get(rows.Recharge, effect.recharge).account:
			return Answer(Outcome.ERROR, code="card_of_another_account")
		return self.gateway.charge(
			key=effect.key,
			recharge=effect.recharge,
			payment_method=card.payment_method,
			amount=effect.amount,
			currency=effect.currency,
			customer=transaction.get(rows.CreditAccount, card.account).customer,
		)

	def _clear_open_recharge(self, effect: Any, transaction: Any) -> None:
		if transaction.get(rows.CreditAccount, effect.account).open_recharge == effect.recharge:
			transaction.update(rows.CreditAccount, effect.account, open_recharge=None)

	def _disable_auto_recharge(self, effect: Any, transaction: Any) -> None:
		if transaction.get(rows.AutoRechargeSetting, effect.account):
			transaction.update(
				rows.AutoRechargeSetting,
				effect.account,
				enabled=False,
				disabled_reason=effect.reason,
				disabled_at=self.clock.now(),
			)

	def _notify(self, effect: Any, transaction: Any) -> None:
		name = self.world.new_name("N")
		transaction.insert(rows.Notice(name, effect.kind, effect.recharge, self.clock.now(), effect.details))

	def _note_difference(self, effect: Any, transaction: Any) -> None:
		mark = f"{effect.kind}:{effect.subject}"
		if transaction.get(rows.Difference, mark) is None:
			transaction.insert(rows.Difference(mark, effect.recharge, effect.intent, effect.kind))

	def _close_difference(self, effect: Any, transaction: Any) -> bool:
		row = transaction.get(rows.Difference, f"{effect.kind}:{effect.subject}")
		if row.decision:
			return False
		transaction.update(rows.Difference, row.mark, decision=effect.decision)
		return True

	def _refund_duplicate(self, effect: Any, transaction: Any) -> None:
		# Worker, webhook and sweeper may all find the same capture.
		if transaction.get(rows.RefundDue, effect.answer.intent) is None:
			transaction.insert(rows.RefundDue(effect.answer.intent, effect.recharge, effect.answer))
			if self.write_duplicate:
				self.write_duplicate(effect, transaction)
