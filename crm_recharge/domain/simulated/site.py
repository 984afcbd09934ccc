"""A whole site in memory, in one thread and in order: usage comes in, workers and the sweeper do their part.

For replays and tests. The parts can also be driven by hand, step by step (see performer.Run).
"""

import heapq
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from itertools import count

from crm_recharge.domain import caps, payment, threshold
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.domain.simulated.gateway import BEHAVIOURS, Faults, Gateway
from crm_recharge.domain.simulated.performer import Performer, Run
from crm_recharge.domain.simulated.world import World
from crm_recharge.domain.usage import UsageRequest

MINUTE = timedelta(minutes=1)


class Site:
	"""World, gateway, workers and sweeper from `start` on (a time with its zone).

	While `workers_up` is False jobs stay in the queue.
	"""

	def __init__(self, start: datetime, faults: Faults | None = None):
		self.clock = Clock(start)
		self.world = World()
		self.gateway = Gateway(self.clock, faults=faults)
		self.performer = Performer(self.world, self.clock, self.gateway)
		self.workers_up = True
		self._swept_at = start - MINUTE
		self._waiting: list[tuple[datetime, int, Run]] = []
		self._numbers = count(1)

	# -- setting the scene -------------------------------------------------------------------------------

	def open_account(
		self,
		name: str,
		currency: str,
		cards: Sequence[str],
		*,
		opening_balance: Decimal = ZERO,
		falls_below: Decimal = Decimal(50),
		recharge_up_to: Decimal = Decimal(500),
		cap_limits: caps.CapLimits | None = None,
		limits: threshold.Limits | None = None,
		zone: tzinfo = timezone.utc,
	) -> None:
		"""Open an account with auto-recharge on; `cards` are names of gateway.BEHAVIOURS, in order.

		Raises InvalidRequest: unknown_card, no_card, and what check_setting and check_caps raise.
		"""
		cap_limits, limits = cap_limits or caps.CapLimits(), limits or threshold.Limits()
		threshold.check_setting(falls_below, recharge_up_to, currency, limits)
		caps.check_caps(cap_limits, recharge_up_to, currency)
		if not cards:
			raise InvalidRequest("no_card", account=name)
		saved = [self._card(name, number, behaviour) for number, behaviour in enumerate(cards, 1)]
		setting = rows.AutoRechargeSetting(
			account=name,
			falls_below=falls_below,
			recharge_up_to=recharge_up_to,
			cards=tuple(card.name for card in saved),
			caps=cap_limits,
			limits=limits,
		)
		self.world.add(rows.CreditAccount(name, currency, zone=zone, customer=rows.customer_of(name)), *saved)
		if opening_balance > 0:
			transaction = self.world.begin()
			opening = books.grant(transaction, name, opening_balance, "opening balance")
			self.performer.start(opening, transaction).finish()
		self.world.add(setting)
		# Switched on with a low balance: the first recharge does not wait for usage.
		self._recheck(name)

	def _card(self, account: str, number: int, behaviour: str) -> rows.RechargeCard:
		if behaviour not in BEHAVIOURS:
			raise InvalidRequest("unknown_card", card=behaviour, known=", ".join(BEHAVIOURS))
		played = BEHAVIOURS[behaviour]
		today = self.clock.now()
		past = today.replace(day=1) - timedelta(days=1)
		card = rows.RechargeCard(
			name=f"{account}/{number}-{behaviour}",
			account=account,
			payment_method=f"pm_{account}_{number}",
			kind=played.kind,
			exp_month=past.month if played.is_past_date else 12,
			exp_year=past.year if played.is_past_date else today.year + 10,
		)
		self.gateway.cards[card.payment_method] = behaviour
		return card

	# -- what happens ------------------------------------------------------------------------------------

	def charge(self, account: str, request: UsageRequest, amount: Decimal) -> books.Charged:
		"""Charge usage now. Raises the rules' errors."""
		transaction = self.world.begin()
		machine = books.charge(transaction, account, request, amount)
		charged = self.performer.start(machine, transaction).finish()
		self._start_jobs()
		return charged

	def pass_time_until(self, moment: datetime) -> None:
		"""Let workers and sweeper do everything that is due up to `moment`."""
		self._start_jobs()
		while (due := self._next_due()) is not None and due[0] <= moment:
			self.clock.move_to(max(due[0], self.clock.now()))
			due[1]()
			self._start_jobs()
		self.clock.move_to(max(moment, self.clock.now()))

	def breaches(self) -> list[str]:
		"""What is wrong with the books of any account (docs/architecture.md, 4, rules 1 and 2); empty when all agree."""
		wrong = []
		for account in self.world.all(rows.CreditAccount):
			wrong += [f"{account.name}: {text}" for text in self._breaches_of(account)]
		return wrong

	def _breaches_of(self, account: rows.CreditAccount) -> list[str]:
		transaction = self.world.begin()
		book = books.open_book(transaction, account.name, self.clock.now())
		found = book.breaches() if not book.entries else []
		entries = [row.entry for row in self.world.all(rows.LedgerRow, account.name)]
		total = sum((entry.amount for entry in entries), ZERO)
		if total != account.balance:
			found.append(f"the ledger sums up to {total}, the balance is {account.balance}")
		for recharge in self.world.all(rows.Recharge, account.name):
			credited = sum(
				(
					e.amount
					for e in entries
					if (e.reference_type, e.reference_name) == ("Recharge", recharge.name)
				),
				ZERO,
			)
			captured = self.gateway.captured(recharge.name)
			if captured != credited and recharge.status not in books.IN_FLIGHT:
				found.append(f"recharge {recharge.name} captured {captured} and credited {credited}")
		return found

	# -- workers and sweeper -----------------------------------------------------------------------------

	def _start_jobs(self) -> None:
		while self.workers_up and (taken := self.world.queue.take()) is not None:
			job, name = taken
			if job == payment.CARRY_OUT:
				recharge = self.world.get(rows.Recharge, name)
				worker = f"worker-{next(self._numbers)}"
				self._work(self.performer.start(payment.carry_out(recharge.account, name, worker)))

	def _work(self, run: Run) -> None:
		"""Go on with `run` until it waits for the gateway."""
		while run.step():
			if run.wait:
				ready = self.clock.now() + run.wait
				heapq.heappush(self._waiting, (ready, next(self._numbers), run))
				return

	def _next_due(self) -> tuple[datetime, Callable[[], None]] | None:
		"""What happens next of itself, and when."""
		due = []
		if self._waiting:
			due.append((self._waiting[0][0], self._answer_arrives))
		swept = self._next_sweep()
		if swept is not None:
			due.append((swept, self.sweep))
		return min(due, key=lambda item: item[0], default=None)

	def _answer_arrives(self) -> None:
		self._work(heapq.heappop(self._waiting)[2])

	def _next_sweep(self) -> datetime | None:
		"""The first whole minute at which a sweep would find something."""
		times = [
			max(
				filter(
					None,
					(r.lease_until and r.lease_until + timedelta.resolution, r.next_try_at, r.created_at),
				)
			)
			for r in self.world.all(rows.Recharge)
			if r.status in (*payment.WORKABLE, payment.ACTION_REQUIRED)
		]
		times += [self._frees_at(account) for account in self.world.all(rows.CreditAccount)]
		times = [max(_whole_minute(time), self._swept_at + MINUTE) for time in times if time]
		return min(times, default=None)

	def sweep(self) -> None:
		"""What the scheduler does each minute: take up what was left, end what waited too long, look again
		where a cap has freed up."""
		now = self._swept_at = self.clock.now()
		for recharge in self.world.all(rows.Recharge):
			due = not recharge.next_try_at or recharge.next_try_at <= now
			free = not recharge.lease_until or recharge.lease_until < now
			if recharge.status in payment.WORKABLE and due and free:
				self.world.queue.put(payment.CARRY_OUT, recharge.name)
			elif recharge.status == payment.ACTION_REQUIRED and due:
				self.performer.start(payment.expire_action(recharge.account, recharge.name)).finish()
		for account in self.world.all(rows.CreditAccount):
			frees_at = self._frees_at(account)
			if frees_at and frees_at <= now:
				self._recheck(account.name)

	def _recheck(self, account: str) -> None:
		transaction = self.world.begin()
		self.performer.start(books.recheck(transaction, account), transaction).finish()

	def _frees_at(self, account: rows.CreditAccount) -> datetime | None:
		"""When the cap that stopped the account's last decision frees up."""
		decisions = self.world.tables[rows.Decision].children.get(account.name)
		setting = self.world.get(rows.AutoRechargeSetting, account.name)
		if not decisions or account.balance > setting.falls_below:
			return None
		last = self.world.get(rows.Decision, decisions[-1])
		frees_at = last.figures.get("frees_at") if last.code == threshold.CAPPED else None
		return datetime.fromisoformat(frees_at) if frees_at else None


def _whole_minute(time: datetime) -> datetime:
	"""The first whole minute at or after `time`."""
	whole = time.replace(second=0, microsecond=0)
	return whole if whole == time else whole + MINUTE
