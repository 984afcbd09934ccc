"""One account, its payments and a gateway, for tests of refunds and disputes: the simulator (domain/simulated/) under
names that read well there.

The machines run step by step, several at once, and may die between any two effects.
"""

from collections.abc import Callable, Iterator, MutableMapping
from datetime import datetime, timezone
from decimal import Decimal
from itertools import count

from crm_recharge.domain import chain, dispute, effects, payment, refund, takeback
from crm_recharge.domain.answers import DisputeAnswer, RefundAnswer, RefundOutcome
from crm_recharge.domain.book import RECHARGE
from crm_recharge.domain.errors import InsufficientCredits
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, performer, rows
from crm_recharge.domain.simulated import gateway as simulated
from crm_recharge.domain.simulated.auditor import Auditor
from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.domain.simulated.gateway import Fault
from crm_recharge.domain.simulated.takebacks import Bank, Case, Takebacks
from crm_recharge.domain.simulated.world import Locked
from crm_recharge.domain.simulated.world import World as Database
from crm_recharge.domain.usage import UsageRequest

ACCOUNT = "A"
D = Decimal
LEVEL = D(20)
START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
FAULTS = {"lost_before": Fault.LOST_BEFORE, "lost_after": Fault.LOST_AFTER, "refused": Fault.REVOKED}


class Table(MutableMapping):
	"""Rows of one kind by name, seen and written through `read` and `write`."""

	def __init__(self, names: Callable[[], list[str]], read: Callable, write: Callable):
		self._names, self._read, self._write = names, read, write

	def __getitem__(self, name: str):
		if name not in self._names():
			raise KeyError(name)
		return self._read(name)

	def __setitem__(self, name: str, value) -> None:
		self._write(name, value)

	def __delitem__(self, name: str) -> None:
		raise NotImplementedError

	def __iter__(self) -> Iterator[str]:
		return iter(self._names())

	def __len__(self) -> int:
		return len(self._names())


class Paid:
	"""A recharge as it is committed; its status may be set."""

	def __init__(self, database: Database, name: str):
		self.database, self.name = database, name

	@property
	def row(self) -> rows.Recharge:
		return self.database.get(rows.Recharge, self.name)

	@property
	def status(self) -> str:
		return self.row.status

	@status.setter
	def status(self, status: str) -> None:
		self.database.change(rows.Recharge, self.name, status=status)

	@property
	def refunded(self) -> Decimal:
		return self.row.refunded_amount

	@property
	def lot(self) -> str | None:
		key = chain.request_key(ACCOUNT, RECHARGE, self.row.settled_intent or "")
		return next((x.name for x in self.database.all(rows.CreditLot) if x.lot.source_key == key), None)


class Committed:
	"""What the database holds."""

	def __init__(self, world: "World"):
		self.world, self.database = world, world.database

	@property
	def account(self) -> rows.CreditAccount:
		return self.database.get(rows.CreditAccount, ACCOUNT)

	def _change(self, **values) -> None:
		self.database.change(rows.CreditAccount, ACCOUNT, **values)
		self.world.auditor.check("person")

	status = property(lambda self: self.account.status, lambda self, value: self._change(status=value))
	held = property(lambda self: self.account.held_because, lambda self, v: self._change(held_because=v))
	open_recharge = property(lambda self: self.account.open_recharge)

	@property
	def book(self):
		"""The book with all its lots and entries; a copy."""
		names = tuple(row.name for row in self.database.all(rows.CreditLot))
		book = books.open_book(self.database.begin(), ACCOUNT, self.world.now, names)
		book.entries = [row.entry for row in self.database.all(rows.LedgerRow)]
		return book

	@property
	def recharges(self) -> dict[str, Paid]:
		return {row.name: Paid(self.database, row.name) for row in self.database.all(rows.Recharge)}

	@property
	def refunds(self) -> Table:
		return self._claims(rows.Refund)

	@property
	def disputes(self) -> Table:
		return self._claims(rows.Dispute)

	def _claims(self, kind: type) -> Table:
		def write(name: str, values: dict) -> None:
			values = {key: value for key, value in values.items() if key != "name"}
			self.database.add(kind(name, values["recharge"], values))

		return Table(
			lambda: [row.name for row in self.database.all(kind)],
			lambda name: self.database.get(kind, name).values,
			write,
		)

	@property
	def started_by(self) -> list[str]:
		"""Of which types the ledger rows were that started a recharge."""
		kinds = {row.entry.name: row.entry.entry_type for row in self.database.all(rows.LedgerRow)}
		return [kinds[r.triggered_by] for r in self.database.all(rows.Recharge) if r.triggered_by]

	@property
	def told(self) -> list[tuple[str, dict]]:
		return [(notice.kind, notice.details) for notice in self.database.all(rows.Notice)]

	@property
	def differences(self) -> list[effects.NoteDifference]:
		return self.world.noted

	@property
	def jobs(self) -> list[tuple[str, str]]:
		"""What waits in the queue, but for recharges."""
		return [job for job in self.database.queue.waiting if job[0] != payment.CARRY_OUT]


class Gateway:
	"""The gateway's side. `fault` happens to the next call about a refund."""

	def __init__(self, clock: Clock):
		self.inner = simulated.Gateway(clock, faults=self._draw)
		self.inner.refund_starts = lambda: (
			RefundOutcome.PENDING if self.pending else RefundOutcome.SUCCEEDED
		)
		self.bank = Bank(self.inner)
		self.fault: str | None = None
		self.pending = False
		self.seen = self.heard = 0
		self._news: list[tuple[str, str]] = []

	def _draw(self, what: str, key: str) -> Fault | None:
		fault, self.fault = self.fault, None
		return FAULTS[fault] if fault else None

	# -- what it has -----------------------------------------------------------------------------------------

	@property
	def asked(self) -> list[str]:
		return [key for what, key in self.inner.calls if what == "refund" and not key.startswith("dash")]

	@property
	def keys(self):
		return self.inner.refund_keys

	@property
	def captured(self) -> Table:
		def write(intent: str, amount: Decimal) -> None:
			if intent in self.inner.intents:
				self.inner.intents[intent].amount = amount
			else:
				self.capture(intent, "", amount)

		return Table(lambda: [*self.inner.intents], lambda name: self.inner.intents[name].amount, write)

	def capture(self, intent: str, recharge: str, amount: Decimal) -> None:
		customer = rows.customer_of(ACCOUNT)
		self.inner.intents[intent] = simulated.Intent(
			intent, intent, recharge, "pm", amount, "USD", START, simulated.SUCCEEDED, customer
		)

	def left(self, intent: str) -> Decimal:
		return self.inner.intents[intent].amount - self.inner.intents[intent].refunded

	@property
	def refunds(self) -> dict[str, simulated.Refund]:
		return self.inner.refunds

	@property
	def disputes(self) -> dict[str, Case]:
		return self.bank.disputes

	@property
	def news(self) -> list[tuple[str, str]]:
		"""Webhooks to be delivered: about a payment's refunds, or a dispute."""
		for event in self.inner.events[self.seen :]:
			self._news += [("refund", event.intent)] if event.type == "charge.refunded" else []
		self._news += [("dispute", name) for name in self.bank.news[self.heard :]]
		self.seen, self.heard = len(self.inner.events), len(self.bank.news)
		return self._news

	# -- what happens there ----------------------------------------------------------------------------------

	def make_refund(self, intent: str, amount: Decimal, key: str | None = None) -> str | None:
		"""A refund made in the dashboard, or under a key of ours; None where it is refused."""
		if self.bank.is_disputed(intent):
			return None
		fault, self.fault = self.fault, None
		made = self.inner.refund(key=key or f"dash-{len(self.refunds)}", intent=intent, amount=amount)
		self.fault = fault
		return made.refund

	def change_refund(self, name: str, status: str, told: bool = True) -> None:
		self.inner.refund_becomes(name, RefundOutcome(status))
		if not told:
			self.inner.events.pop()

	def open_dispute(self, intent: str, amount: Decimal | None = None, status="needs_response") -> str | None:
		return self.bank.open(self.inner.intents[intent], amount, status)

	def claim(self, name: str, intent: str, amount: Decimal) -> None:
		"""A dispute of any amount, whatever was refunded."""
		self.bank.disputes[name] = Case(name, intent, amount, "needs_response")

	def change_dispute(self, name: str, status: str) -> None:
		self.bank.becomes(name, status)

	def dispute_answer(self, name: str) -> DisputeAnswer:
		return self.bank.answer(name)


class World:
	"""See the module. `payments` are the amounts of the account's recharges R1, R2 …"""

	def __init__(self, *payments, falls_below=LEVEL, enabled=True):
		self.clock = Clock(START)
		self.database = Database()
		self.gateway = Gateway(self.clock)
		self.performer = performer.Performer(self.database, self.clock, self.gateway.inner)
		self.takebacks = Takebacks(self.performer, self.gateway.bank)
		self.performer.add_handlers(self.takebacks.handlers() | {effects.NoteDifference: self._note})
		self.noted: list[effects.NoteDifference] = []
		self.numbers = count(1)
		self.committed = Committed(self)
		self.database.add(rows.CreditAccount(ACCOUNT, "USD", customer=rows.customer_of(ACCOUNT)))
		for number, amount in enumerate(payments, 1):
			self.pay(f"R{number}", D(amount))
		card = rows.RechargeCard("card", ACCOUNT, "pm")
		target = falls_below + 50
		self.database.add(card, rows.AutoRechargeSetting(ACCOUNT, falls_below, target, ("card",), enabled))
		self.auditor = Auditor(self.database, self.gateway.inner, self.gateway.bank, self.clock)

	@property
	def now(self) -> datetime:
		return self.clock.now()

	@now.setter
	def now(self, moment: datetime) -> None:
		self.clock.move_to(moment)

	@property
	def holder(self):
		"""The transaction that holds the account, if one does."""
		return self.database.locks.get((rows.CreditAccount, ACCOUNT))

	def _note(self, effect: effects.NoteDifference, transaction) -> None:
		if (effect.kind, effect.subject) not in [(d.kind, d.subject) for d in self.noted]:
			self.noted.append(effect)

	# -- what happens around ---------------------------------------------------------------------------------

	def pay(self, name: str, amount: Decimal) -> None:
		"""A recharge is captured and settled."""
		intent = f"pi_{name}"
		self.gateway.capture(intent, name, amount)
		recharge = rows.Recharge(
			name,
			ACCOUNT,
			"Succeeded",
			amount,
			"USD",
			"Desk",
			created_at=START,
			settled_intent=intent,
			settled_at=START,
		)
		self.database.add(recharge)
		transaction = self.database.begin()
		books.post_payment(transaction, effects.PostCredits(ACCOUNT, name, intent, amount), self.now)
		transaction.commit()

	def ask_a_card(self, recharge: str) -> None:
		"""A worker has begun with the first card of a recharge."""
		attempt = rows.RechargeAttempt(
			f"{recharge}-1", 1, "card", payment.CREATED, self.now, recharge=recharge
		)
		self.database.add(attempt)
		self.database.change(rows.Recharge, recharge, status=payment.CHARGING)
		self.check()

	def use(self, amount) -> bool:
		"""Usage of the account; False when it is refused."""
		transaction = self.database.begin()
		request = UsageRequest(f"use-{next(self.numbers)}", amount=D(amount))
		try:
			Run(self, books.charge(transaction, ACCOUNT, request, D(amount)), transaction).finish()
		except InsufficientCredits:
			return False
		return True

	# -- runs --------------------------------------------------------------------------------------------------

	def run(self, machine) -> "Run":
		return Run(self, machine)

	def request(self, recharge="R1", amount=None, key="k", name=None) -> "Run":
		name = name or f"RF{next(self.numbers)}"
		amount = None if amount is None else D(amount)
		return self.run(refund.request(ACCOUNT, recharge, name, amount, key, {"reason": "test"}))

	def work(self, name: str) -> "Run":
		recharge = self.committed.refunds[name]["recharge"]
		return self.run(refund.carry_out(ACCOUNT, recharge, name, f"w{next(self.numbers)}"))

	def hear_refunds(self, recharge="R1") -> list["Run"]:
		intent = self.database.get(rows.Recharge, recharge).settled_intent
		known = [row.view for row in self.database.all(rows.Refund)]
		return [
			self.run(refund.hear(ACCOUNT, recharge, answer, refund.named_by(answer, known)))
			for answer in self.gateway.inner.refunds_of(intent)
		]

	def hear_dispute(self, name: str) -> "Run":
		known = self.database.get(rows.Dispute, name)
		answer = self.gateway.dispute_answer(name)
		recharge = next(r.name for r in self.database.all(rows.Recharge) if r.settled_intent == answer.intent)
		heard = known.values.get("heard", 0) if known else 0
		return self.run(dispute.follow(ACCOUNT, recharge, answer, heard))

	def due(self) -> list[str]:
		"""What the sweeper would take up."""
		return [row.name for row in self.database.all(rows.Refund) if refund.is_due(row.view, self.now)]

	def deliver(self, number: int = 0) -> "Delivery":
		"""Begin to work on one of the webhooks that nobody has worked on to its end."""
		return Delivery(self, self.gateway.news.pop(number))

	def come_to_rest(self, limit: int = 60) -> None:
		"""No more faults: the sweeper works, and every webhook that is left is delivered, until nothing changes."""
		self.gateway.fault = None
		for _ in range(limit):
			self.clock.advance(refund.CHECK_PENDING * 2)
			for name in self.due():
				self.work(name).finish()
			while self.gateway.news:
				self.deliver().finish()
			for name, row in self.gateway.refunds.items():
				if row.status is RefundOutcome.PENDING:
					self.gateway.change_refund(name, "succeeded")
			is_open = any(r["status"] in takeback.OPEN_REFUND for r in self.committed.refunds.values())
			if not is_open and not self.gateway.news:
				return
		raise AssertionError(f"no rest: {dict(self.committed.refunds)}")

	# -- rules ---------------------------------------------------------------------------------------------------

	def check(self) -> None:
		"""What holds after every commit: all that the simulation checks, and that each lot knows its claims."""
		self.auditor.check("worker")
		lots = self.committed.book.lots
		for name, paid in self.committed.recharges.items():
			if not paid.lot:
				continue
			claims = (*self.committed.refunds.values(), *self.committed.disputes.values())
			taken = sum((c.get("taken", ZERO) for c in claims if c["recharge"] == name), ZERO)
			assert lots[paid.lot].returned == taken, (lots[paid.lot], claims)

	def check_rest(self) -> None:
		"""What holds besides, once all news has come."""
		self.check()
		state, bank = self.committed, self.gateway.bank
		used = -sum((e.amount for e in state.book.entries if e.entry_type == "Usage"), ZERO)
		kept = ZERO
		for paid in self.database.all(rows.Recharge):
			if not paid.settled_intent:
				continue
			intent = self.gateway.inner.intents[paid.settled_intent]
			kept += intent.amount - min(intent.amount, intent.refunded + bank.taken(intent.name))
			assert paid.refunded_amount == intent.refunded, paid
			assert paid.status == self._status(paid, intent.refunded), paid
		assert state.book.balance == kept - used
		for name, row in self.gateway.refunds.items():
			known = [r for r in state.refunds.values() if r.get("gateway_refund") == name]
			if row.status is not RefundOutcome.FAILED:
				assert len(known) == 1 and known[0]["status"] == "Succeeded", (name, row, known)
		for name, case in bank.disputes.items():
			assert state.disputes[name]["status"] == dispute.status_of(bank.answer(case.name)), name
		self.check_holds()

	def check_holds(self) -> None:
		"""Only a person lifts a dispute's hold; a refund that did not happen holds nothing."""
		state = self.committed
		for name, row in state.disputes.items():
			claims = row["status"] in takeback.CLAIMING
			if claims or row.get("moves"):
				assert takeback.has_mark(state.held, f"Dispute {name}"), (state.held, row)
			assert state.status == "Disputed" or not claims
		if not any(d["status"] in takeback.CLAIMING for d in state.disputes.values()):
			assert state.status == "Active"
		for name, row in state.refunds.items():
			if row["status"] == "Failed" and row.get("gateway_refund") is None:
				assert f"Refund {name}" not in (state.held or "").split(", ")

	def _status(self, paid: rows.Recharge, refunded: Decimal) -> str:
		states = {c.status for c in self.gateway.disputes.values() if c.intent == paid.settled_intent}
		if "needs_response" in states:
			return "Disputed"
		if "lost" in states:
			return "Charged Back"
		if refunded == paid.amount:
			return "Refunded"
		return "Partly Refunded" if refunded else "Succeeded"


class Delivery:
	"""A webhook being worked on: asks the gateway how things are now, then brings the account in line."""

	def __init__(self, world: World, news: tuple[str, str]):
		self.world, self.news = world, news
		self.is_over = False
		self._steps = self._work()
		self._run: Run | None = None

	def _work(self):
		kind, name = self.news
		if kind == "refund":
			found = self.world.database.all(rows.Recharge)
			for run in self.world.hear_refunds(next(r.name for r in found if r.settled_intent == name)):
				yield from self._follow(run)
		while kind == "dispute":
			run = self.world.hear_dispute(name)
			yield from self._follow(run)
			if run.result != dispute.AGAIN:
				return

	def _follow(self, run):
		self._run = run
		while not run.is_over:
			yield run.step()

	def step(self) -> bool:
		"""As Run.step."""
		if self.is_over:
			return False
		try:
			return next(self._steps)
		except StopIteration:
			self.is_over = True
			return False

	def finish(self) -> None:
		"""Do all that is left."""
		while not self.is_over:
			self.step()

	def die(self) -> None:
		"""The worker is gone; the event is still there."""
		if self._run and not self._run.is_over:
			self._run.die()
		self.is_over = True
		self.world.gateway.news.append(self.news)


class Run:
	"""One machine under way: a run of the simulator that checks the rules at each commit."""

	def __init__(self, world: World, machine, transaction=None):
		self.world = world
		self.inner = world.performer.start(machine, transaction)

	is_over = property(lambda self: self.inner.is_over)
	result = property(lambda self: self.inner.result)
	effect = property(lambda self: self.inner.peek())

	def answer(self, reply) -> None:
		"""Answer the effect that waits by hand, without doing it."""
		self.inner.peek()
		self.inner.answer(reply)

	def step(self) -> bool:
		"""Do the next effect; False when it is over, or waits for the lock."""
		effect = self.inner.peek()
		if effect is None:
			return False
		try:
			self.inner.step()
		except Locked:
			return False
		if isinstance(effect, effects.Commit):
			self.world.check()
		return True

	def finish(self):
		"""Do all that is left; the machine's result."""
		while not self.is_over:
			if not self.step() and not self.is_over:
				raise AssertionError("it waits for a lock that nobody will let go of")
		return self.result

	def die(self) -> None:
		"""The worker is gone."""
		self.inner.kill()


__all__ = ["ACCOUNT", "LEVEL", "D", "RefundAnswer", "Run", "World"]
