"""One seeded run: accounts, usage, workers and webhooks all at once, everything that can fail failing.

Each step lets one of the machines under way do its next effect, or kills it there, or lets something happen
from outside. After each commit, and at the end when all has come to rest, the rules are checked. The same seed
gives the same run, to the last step.
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from crm_recharge.domain import cards, dispute, effects, hearing, held, payment, refund, takeback
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.errors import RuleError
from crm_recharge.domain.simulated import books, rows, rules
from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.domain.simulated.gateway import Fault, Gateway
from crm_recharge.domain.simulated.performer import Performer, Run
from crm_recharge.domain.simulated.takebacks import TABLES, Bank, Dispute, Refund, Takebacks
from crm_recharge.domain.simulated.world import DuplicateKey, Locked, Table, World
from crm_recharge.domain.usage import UsageRequest

START = datetime(2026, 3, 1, 22, tzinfo=timezone.utc)
STEPS = 600
CARDS = (
	"ok",
	"ok",
	"declined",
	"insufficient",
	"lost",
	"expired",
	"authentication",
	"processing",
	"slow",
	"unreachable",
)
LONGEST_REST = 8_000
ASKS = (
	effects.Charge,
	effects.Cancel,
	effects.LookUp,
	effects.Search,
	effects.AskRefund,
	effects.LookUpRefund,
	effects.CheckRefund,
)


@dataclass
class Habits:
	"""How often what happens in one run; drawn anew for each, so that some are calm and some are not."""

	fault: float
	death: float
	death_after_call: float
	lost_queue: float
	double_job: float
	weights: dict = field(default_factory=dict)


@dataclass
class Backup:
	"""What the database held once."""

	tables: dict
	switched_on: dict


@dataclass
class Live:
	"""A machine under way, and when the answer it waits for arrives."""

	run: Run
	label: str
	ready: datetime


class Simulation:
	"""See the module. `run()` returns how often what was drawn; raises rules.Violation."""

	def __init__(self, seed: int, steps: int = STEPS):
		self.rng = random.Random(seed)
		self.steps = steps
		self.drawn = Counter()
		self.clock = Clock(START)
		self.world = World()
		self.gateway = Gateway(self.clock, faults=self._fault)
		self.performer = Performer(self.world, self.clock, self.gateway)
		self.bank = Bank(self.gateway)
		self.takebacks = Takebacks(self.performer, self.bank)
		self.performer.add_handlers(self.takebacks.handlers())
		self.world.tables |= {kind: Table(key, parent) for kind, (key, parent) in TABLES.items()}
		self.live: list[Live] = []
		self.known_recharges: set[str] = set()
		self.switched_on: dict[str, bool] = {}
		self.calm = False
		self.keys: list[tuple[str, UsageRequest]] = []
		self.workers = 0
		self.backup: Backup | None = None
		self.habits = self._draw_habits()
		self.accounts = [self._open_account(f"A{n}") for n in range(self.rng.choice((1, 1, 2)))]

	# -- the scene -----------------------------------------------------------------------------------------

	def _draw_habits(self) -> Habits:
		chance = self.rng.choice
		return Habits(
			fault=chance((0, 0.05, 0.2, 0.5)),
			death=chance((0, 0.01, 0.04)),
			death_after_call=chance((0, 0.1, 0.4)),
			lost_queue=chance((0, 0.05)),
			double_job=chance((0, 0.3)),
			weights={
				"use": chance((1, 3)),
				"work": chance((2, 6)),
				"sweep": chance((0.3, 1)),
				"webhook": chance((0, 2, 6)),
				"time": chance((2, 6)),
				"long_time": chance((0, 0.1, 0.3)),
				"person": chance((0.3, 1.5)),
				"change": chance((0, 0.3)),
				"claim": chance((0, 0, 0.5, 1.5)),
				"stranger": chance((0, 0, 0.3)),
				"backup": chance((0, 0, 2)),
				"restore": chance((0.1, 1)),
			},
		)

	def _open_account(self, name: str) -> str:
		count = self.rng.choice((1, 2, 2, 3))
		saved = []
		for number in range(count):
			behaviour = self.rng.choice(CARDS)
			method = f"pm_{name}_{number}"
			self.gateway.cards[method] = behaviour
			past = behaviour == "expired" and self.rng.random() < 0.5
			saved.append(
				rows.RechargeCard(
					f"{name}/{number}", name, method, exp_month=1, exp_year=2020 if past else 2040
				)
			)
		setting = rows.AutoRechargeSetting(name, cards=tuple(c.name for c in saved), caps=self._draw_caps())
		self.world.add(rows.CreditAccount(name, "USD"), setting, *saved)
		transaction = self.world.begin()
		self.performer.start(books.grant(transaction, name, Decimal(120), "opening"), transaction).finish()
		self.switched_on[name] = True
		return name

	def _draw_caps(self) -> CapLimits:
		return CapLimits(
			amount_day=self.rng.choice((None, Decimal(500), Decimal(900))),
			amount_month=self.rng.choice((None, Decimal(1500))),
			count_hour=self.rng.choice((None, 1, 2)),
			count_day=self.rng.choice((None, 2, 4)),
		)

	def _fault(self, what: str, key: str) -> Fault | None:
		if self.calm or self.rng.random() >= self.habits.fault:
			return None
		fault = self.rng.choice(list(Fault))
		self.drawn[f"fault:{fault.value}"] += 1
		return fault

	# -- one run -------------------------------------------------------------------------------------------

	def run(self) -> Counter:
		"""All steps, then rest. Returns how often each fault and happening was drawn."""
		for _ in range(self.steps):
			self.step()
		self._come_to_rest()
		rules.check_at_rest(self.world, self.gateway, self.drawn["backup restored"] > 0)
		rules.check_claims(self.world, self.gateway, self.bank)
		self.drawn["recharges"] += len(self.world.all(rows.Recharge))
		self.drawn["captures"] += sum(i.status == "succeeded" for i in self.gateway.intents.values())
		return self.drawn

	def step(self) -> None:
		"""One thing happens."""
		ready = [live for live in self.live if live.ready <= self.clock.now() and not self._must_wait(live)]
		if ready and self.rng.random() < 0.85:
			self._advance(self.rng.choice(ready))
			return
		names, weights = zip(*self.habits.weights.items(), strict=True)
		what = self.rng.choices(names, weights)[0]
		getattr(self, f"_{what}")()

	def _advance(self, live: Live) -> None:
		"""Let `live` do its next effect, or let its process die right before it."""
		effect = self._peek(live)
		if effect is None:
			return
		if not self.calm and self.rng.random() < self.habits.death:
			self._die(live, effect)
			return
		if isinstance(effect, effects.Charge):
			rules.check_new_payment(self.gateway, effect)
			rules.check_own_card(self.world, effect)
		try:
			live.run.step()
		except Locked:
			self.drawn["waited for a lock"] += 1
			return
		except DuplicateKey as error:
			raise rules.Violation("no two of one", str(error)) from error
		live.ready = self.clock.now() + live.run.wait
		if isinstance(effect, effects.Commit):
			self._check(live)
		if isinstance(effect, ASKS) and not self.calm and self.rng.random() < self.habits.death_after_call:
			self._die(live, effect, "after")

	def _must_wait(self, live: Live) -> bool:
		"""Whether another transaction holds the row that `live` wants next."""
		effect = live.run.effect
		if isinstance(effect, effects.LockAccount):
			row = (rows.CreditAccount, effect.account)
		elif isinstance(effect, effects.LockRecharge):
			row = (rows.Recharge, effect.recharge)
		else:
			return False
		return self.world.locks.get(row, live.run.transaction) is not live.run.transaction

	def _peek(self, live: Live):
		try:
			effect = live.run.peek()
		except RuleError:
			effect = None
			self.drawn["refused"] += 1
		if effect is None:
			self.live.remove(live)
		return effect

	def _die(self, live: Live, effect, when: str = "before") -> None:
		self.drawn[f"death {when} {type(effect).__name__}"] += 1
		live.run.kill()
		self.live.remove(live)

	def _start(self, machine, label: str, transaction=None) -> None:
		self.live.append(Live(self.performer.start(machine, transaction), label, self.clock.now()))

	def _check(self, live: Live) -> None:
		for name in self.accounts:
			rules.check_account(self.world, name)
			rules.check_credits(self.world, self.gateway, name)
			setting = self.world.get(rows.AutoRechargeSetting, name)
			rules.must(
				self.switched_on[name] or not setting.enabled,
				"only a person switches on",
				f"{name} by {live.label}",
			)
			self.switched_on[name] = setting.enabled
		for recharge in self.world.all(rows.Recharge):
			if recharge.name not in self.known_recharges:
				self.known_recharges.add(recharge.name)
				rules.check_caps(self.world, recharge)
				rules.must(
					self.switched_on[recharge.account],
					"switched off means off",
					f"{recharge.name} was started",
				)
				rules.check_not_after_clawback(self.world, recharge)

	# -- what happens from outside -------------------------------------------------------------------------

	def _use(self) -> None:
		account = self.rng.choice(self.accounts)
		if self.keys and self.rng.random() < 0.15:
			account, request = self.rng.choice(self.keys)
			self.drawn["repeated charge"] += 1
		else:
			request = UsageRequest(
				f"use-{len(self.keys)}", amount=Decimal(self.rng.choice((5, 20, 45, 80, 150)))
			)
			self.keys.append((account, request))
		transaction = self.world.begin()
		self._start(books.charge(transaction, account, request, request.amount), "charge", transaction)

	def _work(self) -> None:
		if self.world.queue and self.rng.random() < self.habits.lost_queue:
			self.drawn["queue lost"] += self.world.queue.lose_all()
			return
		taken = self.world.queue.take()
		if taken and taken[0] == refund.CARRY_OUT:
			self._start_refund(taken[1])
		if taken and taken[0] == payment.CLOSE_UP:
			self._start_closing(taken[1])
		if taken and taken[0] == payment.CARRY_OUT:
			self._start_worker(taken[1])
			if self.rng.random() < self.habits.double_job:
				self.drawn["job run twice"] += 1
				self._start_worker(taken[1])

	def _start_worker(self, recharge: str) -> None:
		self.workers += 1
		account = self.world.get(rows.Recharge, recharge).account
		self._start(payment.carry_out(account, recharge, f"worker-{self.workers}"), f"worker {recharge}")

	def _start_closing(self, recharge: str) -> None:
		account = self.world.get(rows.Recharge, recharge).account
		self._start(payment.close_up(account, recharge), f"close {recharge}")

	def _sweep(self) -> None:
		now = self.clock.now()
		for recharge in self.world.all(rows.Recharge):
			due = not recharge.next_try_at or recharge.next_try_at <= now
			free = not recharge.lease_until or recharge.lease_until < now
			if recharge.status in payment.WORKABLE and due and free:
				self.world.queue.put(payment.CARRY_OUT, recharge.name)
			elif recharge.status == payment.ACTION_REQUIRED and due:
				self._start(payment.expire_action(recharge.account, recharge.name), "expire")
			elif recharge.status not in payment.NOT_ENDED and recharge.next_try_at and due:
				self.world.queue.put(payment.CLOSE_UP, recharge.name)
		for row in self.world.all(Refund):
			values = row.values
			due = not values.get("next_ask_at") or values["next_ask_at"] <= now
			free = not values.get("lease_until") or values["lease_until"] < now
			if values["status"] in takeback.OPEN_REFUND and due and free:
				self.world.queue.put(refund.CARRY_OUT, row.name)

	def _webhook(self) -> None:
		"""Any event so far, in any order, any number of times; the handler reads the payment as it is now."""
		if self.bank.news and self.rng.random() < 0.4:
			self.drawn["webhook of a dispute"] += 1
			self._hear_dispute(self.rng.choice(self.bank.news))
			return
		if not self.gateway.events:
			return
		event = self.rng.choice(self.gateway.events[-30:])
		self.drawn["webhook"] += 1
		self._hear(event)

	def _hear(self, event) -> None:
		answer = self.gateway.retrieve(event.intent)
		if answer.outcome.value in ("unknown", "error") and not answer.intent:
			return
		if event.type == "charge.refunded":
			self._hear_refunds(event.intent)
			return
		recharge = answer.metadata["recharge"]
		account = self.world.get(rows.Recharge, recharge).account
		self._start(
			hearing.hear(account, recharge, answer.metadata["attempt"], answer), f"webhook {event.type}"
		)

	def _hear_dispute(self, name: str) -> None:
		answer = self.bank.answer(name)
		found = self._settled(answer.intent)
		if found:
			known = self.world.get(Dispute, name)
			heard = known.values.get("heard", 0) if known else 0
			self._start(dispute.follow(found.account, found.name, answer, heard), f"dispute {name}")

	def _hear_refunds(self, intent: str) -> None:
		found = self._settled(intent)
		for answer in self.takebacks.refunds_of(intent) if found else ():
			asked = answer.metadata["refund"]
			known = asked if self.world.get(Refund, asked) else None
			self._start(refund.hear(found.account, found.name, answer, known), f"refund heard {intent}")

	def _settled(self, intent: str) -> rows.Recharge | None:
		return next((r for r in self.world.all(rows.Recharge) if r.settled_intent == intent), None)

	def _claim(self) -> None:
		"""Somebody wants money back: a refund from the desk or from the gateway's dashboard, or a dispute."""
		settled = [r for r in self.world.all(rows.Recharge) if r.settled_intent]
		if not settled:
			return
		recharge = self.rng.choice(settled)
		intent = self.gateway.intents[recharge.settled_intent]
		match self.rng.randrange(4):
			case 0:
				self.drawn["refund asked for"] += 1
				amount = self.rng.choice((None, Decimal(10), Decimal(100)))
				key = f"want-{self.rng.randrange(40)}"
				name = self.world.new_name("RF")
				self._start(
					refund.request(recharge.account, recharge.name, name, amount, key, {}), "request refund"
				)
			case 1:
				self._refund_at_gateway(intent)
			case 2:
				if self.bank.open(intent):
					self.drawn["dispute opened"] += 1
			case 3:
				open_ = [n for n, d in self.bank.disputes.items() if d["status"] == "needs_response"]
				if open_:
					self.drawn["dispute closed"] += 1
					self.bank.close(self.rng.choice(open_), self.rng.random() < 0.5)

	def _refund_at_gateway(self, intent) -> None:
		if self.bank.is_disputed(intent.name):
			return
		self.drawn["refund at the gateway"] += 1
		calm, self.calm = self.calm, True
		self.gateway.refund(key=self.world.new_name("dash"), intent=intent.name, amount=Decimal(25))
		self.calm = calm

	def _start_refund(self, name: str) -> None:
		self.workers += 1
		row = self.world.get(Refund, name)
		account = row.values.get("account")
		self._start(
			refund.carry_out(account, row.recharge, name, f"refunder-{self.workers}"), f"refund {name}"
		)

	def _time(self) -> None:
		self.clock.advance(timedelta(seconds=self.rng.choice((0.2, 1, 5, 30, 120))))

	def _long_time(self) -> None:
		self.drawn["long time"] += 1
		self.clock.advance(timedelta(hours=self.rng.choice((1, 8, 23.5, 25, 80))))

	def _person(self) -> None:
		"""The owner switches auto-recharge on again, or pays on the gateway's page."""
		name = self.rng.choice(self.accounts)
		if self._decide_about_held(name):
			return
		waiting = [r for r in self.world.all(rows.Recharge, name) if r.status == payment.ACTION_REQUIRED]
		if waiting and self.rng.random() < 0.7:
			self._pay_on_page(waiting[-1])
			return
		if self.rng.random() < 0.2 and (open_ := self.world.get(rows.CreditAccount, name).open_recharge):
			self.drawn["called off"] += 1
			self._start(payment.call_off(name, open_), f"call off {open_}")
			return
		if (rows.CreditAccount, name) in self.world.locks:
			return
		if self.world.get(rows.CreditAccount, name).held_because:
			self.drawn["hold lifted"] += 1
			row = self.world.get(rows.CreditAccount, name)
			self.world.tables[rows.CreditAccount].write(replace(row, held_because=None))
		setting = self.world.get(rows.AutoRechargeSetting, name)
		if not setting.enabled:
			self.drawn["switched on"] += 1
			self._set(name, enabled=True)
			self.switched_on[name] = True
			transaction = self.world.begin()
			self._start(books.recheck(transaction, name), "recheck", transaction)

	def _decide_about_held(self, account: str) -> bool:
		"""A person looks at a capture that does not fit. Returns whether there was one."""
		listed = [
			d
			for d in self.world.all(rows.Difference)
			if self.world.get(rows.Recharge, d.recharge).account == account
			and self.world.get(rows.RefundDue, d.intent) is None
		]
		if not listed or self.rng.random() < 0.5:
			return False
		difference, decision = self.rng.choice(listed), self.rng.choice(held.DECISIONS)
		self.drawn[f"held: {decision}"] += 1
		answer = self.gateway._retrieve(difference.intent)
		self._start(held.decide(account, difference.recharge, answer, decision), f"decide {difference.mark}")
		return True

	def _stranger(self) -> None:
		"""Somebody captures a payment that names a recharge, or even its attempt, and does not fit it."""
		found = self.world.all(rows.Recharge)
		if not found:
			return
		recharge = self.rng.choice(found[-3:])
		attempts = self.world.all(rows.RechargeAttempt, recharge.name)
		wrong = self.rng.choice(
			(
				{"amount": recharge.amount + 40},
				{"amount": recharge.amount - 1},
				{"currency": "JPY"},
				{"customer": "cus_stranger"},
			)
		)
		self.drawn["captured by a stranger"] += 1
		method = f"pm_{recharge.account}_page"
		self.gateway.cards[method] = "ok"
		calm, self.calm = self.calm, True
		values = {
			"amount": recharge.amount,
			"currency": recharge.currency,
			"customer": rows.customer_of(recharge.account),
		}
		self.gateway.charge(
			key=self.world.new_name("X") + "-strange",
			recharge=recharge.name,
			payment_method=method,
			attempt=self.rng.choice([a.name for a in attempts]) if attempts else None,
			**(values | wrong),
		)
		self.calm = calm

	def _backup(self) -> None:
		"""A backup is made while a recharge waits for its worker: such a one is what matters."""
		waits = any(
			r.status == payment.QUEUED and not self.world.all(rows.RechargeAttempt, r.name)
			for r in self.world.all(rows.Recharge)
		)
		if waits:
			self.backup = Backup(self._copy_of_tables(), dict(self.switched_on))

	def _copy_of_tables(self) -> dict:
		return {
			kind: (dict(table.rows), {parent: list(keys) for parent, keys in table.children.items()})
			for kind, table in self.world.tables.items()
		}

	def _restore(self) -> None:
		"""The backup is restored: the site forgets, the gateway does not. Only while the reconciler, who is not
		played here, would find nothing to do: recharges or claims that the backup does not know are its."""
		if not self.backup:
			return
		for kind in (rows.Recharge, rows.RefundDue, rows.Difference, Refund, Dispute):
			if self.world.tables[kind].rows.keys() != self.backup.tables[kind][0].keys():
				return
		for live in list(self.live):
			live.run.kill()
			self.live.remove(live)
		self.world.queue.lose_all()
		for kind, (kept, children) in self.backup.tables.items():
			table = self.world.tables[kind]
			table.rows, table.children = kept, children
		self.switched_on = self.backup.switched_on
		self.backup = None
		self.drawn["backup restored"] += 1
		# Somebody has to notice, and to restore it.
		self.clock.advance(timedelta(hours=self.rng.choice((1, 13, 26, 80))))

	def _pay_on_page(self, recharge: rows.Recharge) -> None:
		"""A payment without one of the machine's keys: the card holder is there."""
		self.drawn["paid on page"] += 1
		method = f"pm_{recharge.account}_page"
		self.gateway.cards[method] = "ok"
		calm, self.calm = self.calm, True
		again = "-again" if self.rng.random() < 0.2 else ""
		self.gateway.charge(
			key=f"{recharge.name}{again}-page",
			recharge=recharge.name,
			payment_method=method,
			amount=recharge.amount,
			currency=recharge.currency,
			customer=rows.customer_of(recharge.account),
		)
		self.calm = calm

	def _change(self) -> None:
		"""Caps, the switch, or what a card does, change at any moment nobody holds the account."""
		name = self.rng.choice(self.accounts)
		if (rows.CreditAccount, name) in self.world.locks:
			return
		self.drawn["changed"] += 1
		match self.rng.randrange(3):
			case 0:
				self._set(name, caps=self._draw_caps())
				self._list_a_card_of_another(name)
			case 1:
				self._set(name, enabled=False, disabled_reason="by a person")
				self.switched_on[name] = False
			case 2:
				card = self.rng.choice(self.world.all(rows.RechargeCard, name))
				self.gateway.cards[card.payment_method] = self.rng.choice(CARDS)
				if card.status != cards.ACTIVE:
					self.world.tables[rows.RechargeCard].write(replace(card, status=cards.ACTIVE))

	def _list_a_card_of_another(self, account: str) -> None:
		"""However it got there: first on the list stands a card that another account saved."""
		others = [name for name in self.accounts if name != account]
		listed = self.world.get(rows.AutoRechargeSetting, account).cards
		if others and (strange := f"{others[0]}/0") not in listed:
			self._set(account, cards=(strange, *listed))
			self.drawn["strange card listed"] += 1

	def _set(self, account: str, **values) -> None:
		row = self.world.get(rows.AutoRechargeSetting, account)
		self.world.tables[rows.AutoRechargeSetting].write(replace(row, **values))

	# -- rest ----------------------------------------------------------------------------------------------

	def _come_to_rest(self) -> None:
		"""No more faults, no more usage: everything under way ends, sweeps go on, webhooks all arrive."""
		self.calm = True
		heard = told = 0
		for _ in range(LONGEST_REST):
			if self.live:
				self._rest_step()
				continue
			if heard < len(self.gateway.events):
				self._hear(self.gateway.events[heard])
				heard += 1
				continue
			if told < len(self.bank.news):
				# Heard again while another answer was taken over: the handler asks once more.
				self._hear_dispute(self.bank.news[told])
				told += 1
				continue
			if self.world.queue:
				self._work()
				continue
			if not self._anything_due():
				return
			self.clock.advance(timedelta(minutes=1) if self._soon() else timedelta(hours=6))
			self.gateway.decide_due()
			self._sweep()
		raise rules.Violation("nothing is stuck", f"not at rest after {LONGEST_REST} steps")

	def _rest_step(self) -> None:
		ready = [live for live in self.live if live.ready <= self.clock.now()]
		if ready:
			# A database gives the lock to whoever waits; drawing the waiters again and again would take for ever.
			self._advance(self.rng.choice([live for live in ready if not self._must_wait(live)] or ready))
		else:
			self.clock.move_to(min(live.ready for live in self.live))

	def _anything_due(self) -> bool:
		undecided = any(i.status == "processing" for i in self.gateway.intents.values())
		refunds = any(r.values["status"] in takeback.OPEN_REFUND for r in self.world.all(Refund))
		return (
			undecided
			or refunds
			or any(
				r.status in (*payment.WORKABLE, payment.ACTION_REQUIRED)
				or (r.status not in payment.NOT_ENDED and r.next_try_at)
				for r in self.world.all(rows.Recharge)
			)
		)

	def _soon(self) -> bool:
		return any(
			r.status in payment.WORKABLE or (r.status not in payment.NOT_ENDED and r.next_try_at)
			for r in self.world.all(rows.Recharge)
		)
