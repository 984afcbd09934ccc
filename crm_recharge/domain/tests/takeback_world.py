"""One account, its payments and a gateway, in memory: the machines of refunds and disputes run over it step by
step, several at once, and may die between any two effects.

What a run writes nobody else sees before its commit; the account's lock is the only one.
"""

from copy import deepcopy
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import count

from crm_recharge.domain import chain, dispute, effects, refund, takeback
from crm_recharge.domain.answers import DisputeAnswer, RefundAnswer, RefundOutcome
from crm_recharge.domain.book import CHARGEBACK, RECHARGE, REFUND, REINSTATEMENT, Book
from crm_recharge.domain.errors import InsufficientCredits
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.takeback import DisputeView, PaymentView, RefundView

ACCOUNT = "A"
D = Decimal
LEVEL = D(20)
START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


@dataclass
class Paid:
	"""A recharge row."""

	name: str
	amount: Decimal
	intent: str | None
	lot: str | None
	status: str = "Succeeded"
	refunded: Decimal = ZERO
	origin: str = "Desk"


@dataclass
class State:
	"""What the database holds."""

	book: Book
	falls_below: Decimal
	enabled: bool = True
	status: str = "Active"
	held: str | None = None
	open_recharge: str | None = None
	recharges: dict[str, Paid] = field(default_factory=dict)
	refunds: dict[str, dict] = field(default_factory=dict)
	disputes: dict[str, dict] = field(default_factory=dict)
	request_keys: dict[str, str] = field(default_factory=dict)
	started_by: list[str] = field(default_factory=list)
	told: list[tuple] = field(default_factory=list)
	differences: list = field(default_factory=list)
	jobs: list[tuple] = field(default_factory=list)


class Gateway:
	"""The gateway's side: captures, refunds, disputes, remembered keys."""

	def __init__(self):
		self.captured: dict[str, Decimal] = {}
		self.refunds: dict[str, dict] = {}
		self.disputes: dict[str, dict] = {}
		self.keys: dict[str, str | None] = {}
		self.fault: str | None = None
		self.pending = False
		self.asked: list[str] = []
		self.news: list[tuple[str, str]] = []
		"""Webhooks to be delivered: about a payment's refunds, or a dispute."""

	def left(self, intent: str) -> Decimal:
		gone = sum(
			(r["amount"] for r in self.refunds.values() if r["intent"] == intent and r["status"] != "failed"),
			ZERO,
		)
		return self.captured[intent] - gone

	def disputed(self, intent: str) -> bool:
		return any(
			d["intent"] == intent and d["status"] in ("needs_response", "lost")
			for d in self.disputes.values()
		)

	def make_refund(
		self, intent: str, amount: Decimal, key: str | None = None, status="succeeded"
	) -> str | None:
		if self.disputed(intent) or not ZERO < amount <= self.left(intent):
			return None
		name = f"re_{len(self.refunds) + 1}"
		self.refunds[name] = {"intent": intent, "amount": amount, "status": status, "key": key}
		self.news.append(("refund", intent))
		return name

	def change_refund(self, name: str, status: str) -> None:
		self.refunds[name]["status"] = status
		self.news.append(("refund", self.refunds[name]["intent"]))

	def change_dispute(self, name: str, status: str) -> None:
		self.disputes[name]["status"] = status
		self.news.append(("dispute", name))

	def ask(self, effect: effects.AskRefund) -> RefundAnswer:
		self.asked.append(effect.key)
		fault, self.fault = self.fault, None
		if fault == "lost_before":
			return RefundAnswer(RefundOutcome.UNKNOWN, code="timeout")
		if fault == "refused":
			return RefundAnswer(RefundOutcome.REFUSED, code="authentication_failure")
		if effect.key not in self.keys:
			status = "pending" if self.pending else "succeeded"
			self.keys[effect.key] = self.make_refund(effect.intent, effect.amount, effect.key, status)
		if fault == "lost_after":
			return RefundAnswer(RefundOutcome.UNKNOWN, code="timeout")
		made = self.keys[effect.key]
		return (
			self.answer(made) if made else RefundAnswer(RefundOutcome.REFUSED, code="charge_not_refundable")
		)

	def answer(self, name: str) -> RefundAnswer:
		row = self.refunds[name]
		return RefundAnswer(
			RefundOutcome(row["status"]),
			refund=name,
			intent=row["intent"],
			amount=row["amount"],
			currency="USD",
			metadata={"refund": row["key"]} if row["key"] else {},
		)

	def look_up(self, effect: effects.LookUpRefund) -> RefundAnswer | None:
		fault, self.fault = self.fault, None
		if fault:
			return RefundAnswer(RefundOutcome.UNKNOWN, code=fault)
		return next(
			(self.answer(name) for name, row in self.refunds.items() if row["key"] == effect.key), None
		)

	def list_refunds(self, intent: str) -> list[RefundAnswer]:
		return [self.answer(name) for name, row in self.refunds.items() if row["intent"] == intent]

	def open_dispute(self, intent: str, amount: Decimal | None = None, status="needs_response") -> str | None:
		if self.disputed(intent) or self.left(intent) <= 0:
			return None
		name = f"dp_{len(self.disputes) + 1}"
		amount = min(amount or self.left(intent), self.left(intent))
		self.disputes[name] = {"intent": intent, "amount": amount, "status": status}
		self.news.append(("dispute", name))
		return name

	def dispute_answer(self, name: str) -> DisputeAnswer:
		row = self.disputes[name]
		out = row["status"] in ("needs_response", "lost")
		return DisputeAnswer(
			name,
			row["status"],
			"fraudulent",
			row["amount"],
			"USD",
			intent=row["intent"],
			withdrawn=row["amount"] if out else ZERO,
			fees=D(15) if out or row["status"] == "won" else ZERO,
			balance_currency="USD",
		)


class World:
	"""See the module. `payments` are the amounts of the account's recharges R1, R2 …"""

	def __init__(self, *payments, falls_below=LEVEL, enabled=True):
		numbers = count(1)
		self.now = START
		self.gateway = Gateway()
		self.holder: Run | None = None
		self.numbers = numbers
		book = Book(ACCOUNT, "USD", ZERO, 0, chain.GENESIS, {}, new_name=lambda: f"N{next(numbers):06}")
		self.committed = State(book, falls_below, enabled)
		for number, amount in enumerate(payments, 1):
			self.pay(f"R{number}", D(amount))

	# -- what happens around ---------------------------------------------------------------------------------

	def pay(self, name: str, amount: Decimal, state: State | None = None) -> None:
		"""A recharge is captured and settled."""
		state = state or self.committed
		intent = f"pi_{name}"
		self.gateway.captured[intent] = amount
		state.book.add(
			RECHARGE, amount, self.now, paid_value=amount, request_key=f"pay-{name}", request_hash=""
		)
		state.recharges[name] = Paid(name, amount, intent, next(reversed(state.book.lots)))

	def use(self, amount) -> bool:
		"""Usage of the account; False when it is refused."""
		assert self.holder is None
		state = deepcopy(self.committed)
		try:
			state.book.use(D(amount), self.now, request_key=f"use-{next(self.numbers)}", request_hash="")
		except InsufficientCredits:
			return False
		self.after_row(state)
		self.committed = state
		self.check()
		return True

	def after_row(self, state: State) -> None:
		"""The ledger's hook: start an automatic recharge where the last row calls for one."""
		entry = state.book.entries[-1]
		low = state.enabled and state.book.balance <= state.falls_below
		if low and not state.held and state.status == "Active" and not state.open_recharge:
			name = f"AUTO{next(self.numbers)}"
			state.recharges[name] = Paid(name, D(50), None, None, status="Queued", origin="Automatic")
			state.open_recharge = name
			state.started_by.append(entry.entry_type)

	# -- runs --------------------------------------------------------------------------------------------------

	def run(self, machine) -> "Run":
		return Run(self, machine)

	def request(self, recharge="R1", amount=None, key="k", name=None) -> "Run":
		name = name or f"RF{next(self.numbers)}"
		amount = None if amount is None else D(amount)
		return self.run(refund.request(ACCOUNT, recharge, name, amount, key, {"reason": "test"}))

	def work(self, name: str) -> "Run":
		return self.run(
			refund.carry_out(
				ACCOUNT, self.committed.refunds[name]["recharge"], name, f"w{next(self.numbers)}"
			)
		)

	def hear_refunds(self, recharge="R1") -> list["Run"]:
		answers = self.gateway.list_refunds(self.committed.recharges[recharge].intent)
		return [self.run(refund.hear(ACCOUNT, recharge, a, self.name_of(a))) for a in answers]

	def name_of(self, answer: RefundAnswer) -> str | None:
		asked = answer.metadata.get("refund")
		if asked in self.committed.refunds:
			return asked
		return next(
			(n for n, r in self.committed.refunds.items() if r.get("gateway_refund") == answer.refund), None
		)

	def hear_dispute(self, name: str) -> "Run":
		heard = self.committed.disputes.get(name, {}).get("heard", 0)
		answer = self.gateway.dispute_answer(name)
		recharge = next(r.name for r in self.committed.recharges.values() if r.intent == answer.intent)
		return self.run(dispute.follow(ACCOUNT, recharge, answer, heard))

	def due(self) -> list[str]:
		"""What the sweeper would take up."""
		return [
			name
			for name, row in self.committed.refunds.items()
			if row["status"] in takeback.OPEN_REFUND
			and not (row.get("lease_until") and row["lease_until"] > self.now)
			and not (row.get("next_ask_at") and row["next_ask_at"] > self.now)
		]

	def deliver(self, number: int = 0) -> "Delivery":
		"""Begin to work on one of the webhooks that nobody has worked on to its end."""
		return Delivery(self, self.gateway.news.pop(number))

	def come_to_rest(self, limit: int = 60) -> None:
		"""No more faults: the sweeper works, and every webhook that is left is delivered, until nothing changes."""
		self.gateway.fault = None
		for _ in range(limit):
			self.now += timedelta(hours=7)
			for name in self.due():
				self.work(name).finish()
			while self.gateway.news:
				self.deliver().finish()
			for name, row in self.gateway.refunds.items():
				if row["status"] == "pending":
					self.gateway.change_refund(name, "succeeded")
			is_open = any(r["status"] in takeback.OPEN_REFUND for r in self.committed.refunds.values())
			if not is_open and not self.gateway.news:
				return
		raise AssertionError(f"no rest: {self.committed.refunds}")

	# -- rules ---------------------------------------------------------------------------------------------------

	def check(self) -> None:
		"""What holds after every commit."""
		state, book = self.committed, self.committed.book
		assert book.breaches() == []
		assert sum((e.amount for e in book.entries), ZERO) == book.balance
		for paid in state.recharges.values():
			if not paid.lot:
				continue
			lot = book.lots[paid.lot]
			claims = [
				c for c in (*state.refunds.values(), *state.disputes.values()) if c["recharge"] == paid.name
			]
			taken = sum((c.get("taken", ZERO) for c in claims), ZERO)
			assert lot.returned == taken, (lot, claims)
			assert ZERO <= lot.returned <= lot.original
			assert lot.remaining <= lot.original - lot.returned
			kinds = (REFUND, CHARGEBACK, REINSTATEMENT)
			names = {c["name"] for c in claims}
			rows = [e for e in book.entries if e.entry_type in kinds and e.reference_name in names]
			assert -sum((e.amount for e in rows), ZERO) == taken
		assert not {REFUND, CHARGEBACK} & set(state.started_by), "a clawback started a recharge"
		keys = [e.request_key for e in book.entries]
		assert len(keys) == len(set(keys)), "a ledger row's unique key was used twice"
		asked = [r["request_key"] for r in state.refunds.values() if r.get("request_key")]
		assert len(asked) == len(set(asked)), "one request, two refunds"
		if any(d["status"] == "Open" for d in state.disputes.values()):
			waiting = state.recharges.get(state.open_recharge)
			assert not (waiting and waiting.status == "Queued"), (
				"a card is about to be charged despite a dispute"
			)
		previous = chain.GENESIS
		for entry in book.entries:
			assert entry.previous_hash == previous and chain.link(ACCOUNT, entry) == entry.hash
			previous = entry.hash

	def check_rest(self) -> None:
		"""What holds besides, once all news has come."""
		self.check()
		state, gateway = self.committed, self.gateway
		used = -sum((e.amount for e in state.book.entries if e.entry_type == "Usage"), ZERO)
		kept = ZERO
		for paid in state.recharges.values():
			if not paid.intent:
				continue
			refunded = gateway.captured[paid.intent] - gateway.left(paid.intent)
			disputed = sum(
				(d["amount"] for d in gateway.disputes.values()
				 if d["intent"] == paid.intent and d["status"] in ("needs_response", "lost")), ZERO
			)  # fmt: skip
			kept += paid.amount - min(paid.amount, refunded + disputed)
			assert paid.refunded == refunded, paid
			assert paid.status == self._status(paid, refunded), paid
		assert state.book.balance == kept - used
		for name, row in gateway.refunds.items():
			rows = [r for r in state.refunds.values() if r.get("gateway_refund") == name]
			if row["status"] != "failed":
				assert len(rows) == 1 and rows[0]["status"] == "Succeeded", (name, row, rows)
		for name, row in gateway.disputes.items():
			wanted = {
				"needs_response": "Open",
				"lost": "Lost",
				"won": "Won",
				"warning_needs_response": "Inquiry",
			}
			assert state.disputes[name]["status"] == wanted[row["status"]]

		self.check_holds()

	def check_holds(self) -> None:
		"""Only a person lifts a dispute's hold; a refund that did not happen holds nothing."""
		state = self.committed
		for name, row in state.disputes.items():
			claims = row["status"] in takeback.CLAIMING
			mark = f"Dispute {name}"
			assert takeback.has_mark(state.held, mark) if claims or row.get("moves") else True, (
				state.held,
				row,
			)
			assert state.status == "Disputed" or not claims
		if not any(d["status"] in takeback.CLAIMING for d in state.disputes.values()):
			assert state.status == "Active"
		for name, row in state.refunds.items():
			if row["status"] == "Failed" and row.get("gateway_refund") is None:
				assert f"Refund {name}" not in (state.held or "").split(", ")

	def _status(self, paid: Paid, refunded: Decimal) -> str:
		states = {d["status"] for d in self.gateway.disputes.values() if d["intent"] == paid.intent}
		if "needs_response" in states:
			return "Disputed"
		if "lost" in states:
			return "Charged Back"
		if refunded == paid.amount:
			return "Refunded"
		return "Partly Refunded" if refunded else "Succeeded"


class Delivery:
	"""A webhook being worked on: asks the gateway how things are now, then brings the account in line."""

	def __init__(self, world: "World", news: tuple[str, str]):
		self.world, self.news = world, news
		self.is_over = False
		self._steps = self._work()
		self._run: Run | None = None

	def _work(self):
		kind, name = self.news
		if kind == "refund":
			recharge = next(r.name for r in self.world.committed.recharges.values() if r.intent == name)
			for run in self.world.hear_refunds(recharge):
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
	"""One machine under way."""

	def __init__(self, world: World, machine):
		self.world, self.machine = world, machine
		self.state: State | None = None
		self.effect = self.reply = self.result = None
		self.is_over = False

	def step(self) -> bool:
		"""Do the next effect; False when it is over, or waits for the lock."""
		if self.is_over:
			return False
		try:
			if self.effect is None:
				self.effect = self.machine.send(self.reply)
		except StopIteration as end:
			self.result = end.value
			self._end()
			return False
		except BaseException:
			self._end()
			raise
		if isinstance(self.effect, effects.LockAccount) and self.world.holder not in (None, self):
			return False
		self.reply = self._do(self.effect)
		self.effect = None
		return True

	def finish(self):
		"""Do all that is left; the machine's result."""
		while not self.is_over:
			if not self.step() and not self.is_over:
				raise AssertionError("it waits for a lock that nobody will let go of")
		return self.result

	def die(self) -> None:
		self.machine.close()
		self._end()

	def _end(self) -> None:
		self.is_over = True
		self._release()

	def _release(self) -> None:
		if self.world.holder is self:
			self.world.holder = None
		self.state = None

	def _do(self, effect):
		if isinstance(effect, effects.AskRefund | effects.LookUpRefund | effects.CheckRefund):
			assert self.world.holder is not self, "the gateway is asked inside a transaction"
		return getattr(self, f"_{type(effect).__name__}")(effect)

	def _Now(self, effect):
		return self.world.now

	def _LockAccount(self, effect):
		self.world.holder = self
		self.state = deepcopy(self.world.committed)

	def _Commit(self, effect):
		if self.state is not None:
			self.world.committed = self.state
		self._release()
		self.world.check()

	def _Rollback(self, effect):
		self._release()

	def _LockPayment(self, effect):
		row = self.state.recharges.get(effect.recharge)
		if row is None:
			return None
		lot = self.state.book.lots.get(row.lot)
		waiting = self.state.recharges.get(self.state.open_recharge)
		return PaymentView(
			recharge=row.name,
			account=ACCOUNT,
			status=row.status,
			amount=row.amount,
			currency="USD",
			intent=row.intent,
			lot=row.lot,
			bought=lot.original if lot else ZERO,
			unused=lot.remaining if lot else ZERO,
			refunded=row.refunded,
			account_status=self.state.status,
			held_because=self.state.held,
			unasked=waiting.name if waiting and waiting.status == "Queued" else None,
			refunds=tuple(
				_view(RefundView, r) for r in self.state.refunds.values() if r["recharge"] == row.name
			),
			disputes=tuple(
				_view(DisputeView, d) for d in self.state.disputes.values() if d["recharge"] == row.name
			),
			account_disputes=tuple(
				(d["name"], d["status"])
				for d in self.state.disputes.values()
				if d["status"] in takeback.CLAIMING
			),
		)

	def _LockRefund(self, effect):
		row = self.state.refunds.get(effect.refund)
		return _view(RefundView, row) if row else None

	def _FindRefund(self, effect):
		return self.state.request_keys.get(effect.request_key)

	def _InsertRefund(self, effect):
		assert effect.name not in self.state.refunds
		self.state.refunds[effect.name] = {"name": effect.name, **effect.values}
		if effect.values.get("request_key"):
			self.state.request_keys[effect.values["request_key"]] = effect.name

	def _UpdateRefund(self, effect):
		self.state.refunds[effect.name].update(effect.values)

	def _InsertDispute(self, effect):
		assert effect.name not in self.state.disputes
		self.state.disputes[effect.name] = {"name": effect.name, **effect.values}

	def _UpdateDispute(self, effect):
		self.state.disputes[effect.name].update(effect.values)

	def _UpdateRecharge(self, effect):
		row = self.state.recharges[effect.recharge]
		row.status = effect.values["status"]
		row.refunded = effect.values.get("refunded_amount", row.refunded)

	def _ClearOpenRecharge(self, effect):
		if self.state.open_recharge == effect.recharge:
			self.state.open_recharge = None

	def _HoldAutoRecharge(self, effect):
		self.state.held = takeback.add_mark(self.state.held, effect.mark)

	def _FlagAccount(self, effect):
		self.state.status = effect.status

	def _TakeCredits(self, effect):
		state, book = self.state, self.state.book
		setting = {"enabled": state.enabled, "falls_below": str(state.falls_below)}
		if effect.hold_if_low and takeback.must_hold(book.balance - effect.amount, setting):
			state.held = takeback.add_mark(state.held, effect.hold_if_low)
		entry = book.take(
			effect.entry_type,
			effect.amount,
			self.world.now,
			book.lots[effect.lot],
			**_details(effect, effect.entry_type),
		)
		self.world.after_row(state)
		return entry.name

	def _GiveBack(self, effect):
		state, book = self.state, self.state.book
		if effect.lift:
			state.held = takeback.drop_mark(state.held, effect.lift)
		keys = {f"{kind}:{key}" for key in effect.moved for kind in (effect.entry_type, REINSTATEMENT)}
		lost: dict[str, Decimal] = {}
		for entry in book.entries:
			for lot, moved in entry.lots if entry.request_key in keys else ():
				lost[lot] = lost.get(lot, ZERO) - moved
		taken = sorted(((n, a) for n, a in lost.items() if a > 0), key=lambda move: move[0] != effect.lot)
		entry = book.reinstate(
			book.lots[effect.lot],
			effect.amount,
			self.world.now,
			taken=taken,
			**_details(effect, REINSTATEMENT),
		)
		self.world.after_row(state)
		return entry.name

	def _Notify(self, effect):
		self.state.told.append((effect.kind, effect.details))

	def _NoteDifference(self, effect):
		if (effect.kind, effect.subject) not in [(d.kind, d.subject) for d in self.state.differences]:
			self.state.differences.append(effect)

	def _EnqueueAfterCommit(self, effect):
		self.state.jobs.append((effect.job, effect.recharge))

	def _AskRefund(self, effect):
		if effect.until < self.world.now:
			return RefundAnswer(RefundOutcome.UNKNOWN, code="too_late")
		return self.world.gateway.ask(effect)

	def _LookUpRefund(self, effect):
		return self.world.gateway.look_up(effect)

	def _CheckRefund(self, effect):
		return self.world.gateway.answer(effect.gateway_refund)


def _view(view, row: dict):
	names = {f.name for f in fields(view)}
	return view(**{key: value for key, value in row.items() if key in names})


def _details(effect, entry_type: str) -> dict:
	return {
		"request_key": f"{entry_type}:{effect.key}",
		"request_hash": "",
		"reference_name": effect.claim,
		"gateway_reference": effect.intent,
	}
