"""One seeded run: accounts, usage, workers and webhooks all at once, everything that can fail failing.

Each step lets one of the machines under way do its next effect, or kills it there, or lets something happen
from outside (happenings.py). After each commit, and at the end when all has come to rest (rest.py), the rules are
checked. The same seed gives the same run, to the last step.
"""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from crm_recharge.domain import dispute, effects
from crm_recharge.domain.answers import RefundOutcome
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.effects import Machine
from crm_recharge.domain.errors import RuleError
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, happenings, rest, rows
from crm_recharge.domain.simulated.auditor import Auditor
from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.domain.simulated.gateway import Fault, Gateway
from crm_recharge.domain.simulated.happenings import CARDS, News
from crm_recharge.domain.simulated.performer import Performer, Run
from crm_recharge.domain.simulated.takebacks import Bank, Takebacks
from crm_recharge.domain.simulated.violation import Violation
from crm_recharge.domain.simulated.world import DuplicateKey, Locked, Transaction, World
from crm_recharge.domain.threshold import Limits

START = datetime(2026, 2, 28, 22, tzinfo=timezone.utc)
STEPS = 600


@dataclass
class Habits:
	"""How often what happens in one run; drawn anew for each, so that some are calm and some are not."""

	fault: float
	death: float
	death_after_call: float
	lost_queue: float
	double_job: float
	lost_news: float
	slow_refunds: float
	weights: dict[str, float] = field(default_factory=dict)


@dataclass
class Live:
	"""A machine under way, and when the answer it waits for arrives. `news` is what it works on."""

	run: Run
	label: str
	ready: datetime
	news: News | None = None


class Simulation(rest.Rest):
	"""See the module. `run()` returns how often what was drawn; raises Violation."""

	def __init__(self, seed: int, steps: int = STEPS):
		self.rng = random.Random(seed)
		self.steps = steps
		self.drawn: Counter[str] = Counter()
		self.clock = Clock(START)
		self.world = World()
		self.gateway = Gateway(self.clock, faults=self._fault)
		self.gateway.refund_starts = self._refund_starts
		self.performer = Performer(self.world, self.clock, self.gateway)
		self.bank = Bank(self.gateway)
		self.takebacks = Takebacks(self.performer, self.bank)
		self.performer.add_handlers(self.takebacks.handlers())
		self.live: list[Live] = []
		self.calm = False
		self.keys: list[tuple[str, Any]] = []
		self.news: list[News] = []
		self.told: list[News] = []
		self.missed: list[News] = []
		self.events_seen = self.disputes_seen = 0
		self.workers = 0
		self.backup: happenings.Backup | None = None
		self.habits = self._draw_habits()
		self.accounts = [f"A{n}" for n in range(self.rng.choice((1, 1, 2)))]
		for name in self.accounts:
			self._open_account(name)
		self.auditor = Auditor(self.world, self.gateway, self.bank, self.clock)

	# -- the scene -----------------------------------------------------------------------------------------

	def _draw_habits(self) -> Habits:
		chance = self.rng.choice
		return Habits(
			fault=chance((0, 0.05, 0.2, 0.5, 0.9)),
			death=chance((0, 0.01, 0.04)),
			death_after_call=chance((0, 0.1, 0.4)),
			lost_queue=chance((0, 0.05)),
			double_job=chance((0, 0.3)),
			lost_news=chance((0, 0, 0.3)),
			slow_refunds=chance((0, 0.5)),
			weights={
				"use": chance((1, 3)),
				"work": chance((2, 6)),
				"sweep": chance((0.3, 1)),
				"webhook": chance((0.5, 2, 6)),
				"time": chance((2, 6)),
				"long_time": chance((0, 0.1, 0.3)),
				"person": chance((0.3, 1.5)),
				"colleague": chance((0, 0.3, 1)),
				"change": chance((0, 0.3)),
				"claim": chance((0, 0, 0.5, 1.5)),
				"stranger": chance((0, 0, 0.3)),
				"backup": chance((0, 0, 2)),
				"restore": chance((0.1, 1)),
			},
		)

	def _open_account(self, name: str) -> None:
		zone: tzinfo = self.rng.choice((timezone.utc, ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")))
		used_to = self.rng.choice(((), (), (Decimal(30),) * 10, (Decimal(20),) * 20 + (Decimal(200),) * 2))
		account = rows.CreditAccount(
			name,
			"USD",
			overdraft_limit=Decimal(self.rng.choice((0, 0, 0, 60))),
			zone=zone,
			customer=rows.customer_of(name),
			cap_amount_day=self.rng.choice((None, None, Decimal(1000))),
			cap_amount_month=self.rng.choice((None, None, Decimal(2000))),
			daily_usage=used_to,
		)
		saved = [self._draw_card(name, number) for number in range(self.rng.choice((1, 2, 2, 3)))]
		listed = () if self.rng.random() < 0.03 else tuple(c.name for c in saved)
		setting = rows.AutoRechargeSetting(
			name,
			falls_below=Decimal(self.rng.choice((50, 50, 50, 50, 497))),
			cards=listed,
			limits=Limits(maximum=Decimal(self.rng.choice((10_000, 10_000, 500)))),
			caps=self._draw_caps(),
			anomaly_factor=Decimal(self.rng.choice((0, 3))),
		)
		self.world.add(account, setting, *saved)
		self._write_past_declines(name, saved)
		self._give(name, Decimal(120), "opening")

	def _draw_card(self, account: str, number: int) -> rows.RechargeCard:
		behaviour = self.rng.choice(CARDS)
		method = f"pm_{account}_{number}"
		self.gateway.cards[method] = behaviour
		past = behaviour == "expired" and self.rng.random() < 0.5
		# Good until tonight, each where its account is.
		soon = self.rng.random() < 0.15
		return rows.RechargeCard(
			f"{account}/{number}",
			account,
			method,
			kind="us_bank_account" if behaviour == "bank" else "card",
			exp_month=2 if soon else 1,
			exp_year=2026 if soon else 2020 if past else 2040,
			fingerprint=self.rng.choice((None, f"fp_{account}", f"fp_{account}", f"fp_{account}_{number}")),
		)

	def _write_past_declines(self, account: str, saved: list[rows.RechargeCard]) -> None:
		"""A recharge of long ago, whose cards were declined as often as networks allow, or nearly."""
		if self.rng.random() < 0.7:
			return
		self.drawn["declined before"] += 1
		card = self.rng.choice(saved)
		before = [
			timedelta(days=self.rng.choice((1, 20, 29, 31))) for _ in range(self.rng.choice((14, 15, 17)))
		]
		self.world.add(
			rows.Recharge(
				f"R-past-{account}",
				account,
				"Failed",
				Decimal(100),
				"USD",
				created_at=START - timedelta(days=40),
			)
		)
		for number, age in enumerate(before, 1):
			self.world.add(
				rows.RechargeAttempt(
					name=f"R-past-{account}-{number}",
					number=number,
					card=card.name,
					status="Declined",
					created_at=START - age,
					fingerprint=card.fingerprint,
					recharge=f"R-past-{account}",
				)
			)

	def _draw_caps(self) -> CapLimits:
		return CapLimits(
			amount_day=self.rng.choice((None, Decimal(500), Decimal(900))),
			amount_month=self.rng.choice((None, Decimal(1500))),
			count_hour=self.rng.choice((None, 1, 2)),
			count_day=self.rng.choice((None, 2, 4)),
		)

	def _give(self, account: str, amount: Decimal, key: str, **more: Any) -> None:
		transaction = self.world.begin()
		self.performer.start(books.grant(transaction, account, amount, key, **more), transaction).finish()

	def _fault(self, what: str, key: str) -> Fault | None:
		if self.calm or self.rng.random() >= self.habits.fault:
			return None
		fault = self.rng.choice(list(Fault))
		self.drawn[f"fault:{fault.value}"] += 1
		return fault

	def _refund_starts(self) -> RefundOutcome:
		slow = self.rng.random() < self.habits.slow_refunds
		return RefundOutcome.PENDING if slow else RefundOutcome.SUCCEEDED

	# -- one run -------------------------------------------------------------------------------------------

	def run(self) -> Counter[str]:
		"""All steps, then rest. Returns how often each fault and happening was drawn."""
		for _ in range(self.steps):
			self.step()
		self.come_to_rest()
		self.check_rest()
		self.drawn["recharges"] += len(self.world.all(rows.Recharge))
		self.drawn["captures"] += sum(i.status == "succeeded" for i in self.gateway.intents.values())
		return self.drawn

	def step(self) -> None:
		"""One thing happens."""
		ready = [live for live in self.live if live.ready <= self.clock.now() and not self.must_wait(live)]
		if ready and self.rng.random() < 0.85:
			self.advance(self.rng.choice(ready))
			return
		names, weights = zip(*self.habits.weights.items(), strict=True)
		what = self.rng.choices(names, weights)[0]
		getattr(self, f"_{what}")()

	def advance(self, live: Live) -> None:
		"""Let `live` do its next effect, or let its process die right before it."""
		effect = self._peek(live)
		if effect is None:
			return
		if not self.calm and self.rng.random() < self.habits.death:
			self._die(live, effect)
			return
		if isinstance(effect, effects.Charge):
			self.auditor.before_charge(effect, live.run)
		try:
			live.run.step()
		except Locked:
			self.drawn["waited for a lock"] += 1
			return
		except DuplicateKey as error:
			raise Violation("no two of one", str(error)) from error
		live.ready = self.clock.now() + live.run.wait
		if isinstance(effect, effects.Commit):
			self.auditor.check(live.label)
		asks = isinstance(effect, effects.Asks)
		if asks and not self.calm and self.rng.random() < self.habits.death_after_call:
			self._die(live, effect, "after")

	def must_wait(self, live: Live) -> bool:
		"""Whether another transaction holds the row that `live` wants next."""
		effect = live.run.effect
		if isinstance(effect, effects.LockAccount):
			row: tuple[type, str] = (rows.CreditAccount, effect.account)
		elif isinstance(effect, effects.LockRecharge):
			row = (rows.Recharge, effect.recharge)
		else:
			return False
		return self.world.locks.get(row, live.run.transaction) is not live.run.transaction

	def _peek(self, live: Live) -> effects.Effect[Any] | None:
		try:
			effect = live.run.peek()
		except RuleError as error:
			effect = None
			self.drawn["refused"] += 1
			self.check_refusal(live.label, error)
		if effect is None:
			self.live.remove(live)
			if live.run.result == dispute.AGAIN and live.news:
				self.news.append(live.news)
		return effect

	def _die(self, live: Live, effect: effects.Effect[Any], when: str = "before") -> None:
		self.drawn[f"death {when} {type(effect).__name__}"] += 1
		live.run.kill()
		self.live.remove(live)
		if live.news:
			# The event is still there; it is worked on again.
			self.news.append(live.news)

	def start(
		self,
		machine: Machine[Any],
		label: str,
		transaction: Transaction | None = None,
		news: News | None = None,
	) -> None:
		"""A machine is under way from now on."""
		self.live.append(Live(self.performer.start(machine, transaction), label, self.clock.now(), news))

	def check_refusal(self, label: str, error: RuleError) -> None:
		"""What is refused must be refused for a reason: usage for lack of credits alone, in figures that are true."""
		if error.code != "insufficient_credits":
			return
		account = self.world.get(rows.CreditAccount, error.figures["account"])
		available = Decimal(error.figures["balance"]) + account.overdraft_limit
		if Decimal(error.figures["amount"]) <= max(available, ZERO):
			raise Violation("usage that is covered goes through", f"{error.figures}")
