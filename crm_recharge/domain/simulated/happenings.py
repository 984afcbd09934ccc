"""What happens from outside in a simulated run: usage, jobs, webhooks, persons, banks, time and disasters."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from crm_recharge.domain import cards, dispute, hearing, held, payment, refund
from crm_recharge.domain.answers import RefundOutcome
from crm_recharge.domain.effects import Machine
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.gateway import Page
from crm_recharge.domain.simulated.takebacks import OPEN, WARNING
from crm_recharge.domain.usage import UsageRequest

if TYPE_CHECKING:
	from crm_recharge.domain.caps import CapLimits
	from crm_recharge.domain.simulated.auditor import Auditor
	from crm_recharge.domain.simulated.clock import Clock
	from crm_recharge.domain.simulated.gateway import Gateway, Intent
	from crm_recharge.domain.simulated.simulation import Habits, Live
	from crm_recharge.domain.simulated.takebacks import Bank, Takebacks
	from crm_recharge.domain.simulated.world import Transaction, World

PAYMENT, REFUNDS, DISPUTE = "payment", "refunds", "dispute"
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
	"refused",
	"bank",
)


@dataclass(frozen=True)
class News:
	"""What a webhook brings: about a payment, the refunds of one, or a dispute."""

	kind: str
	name: str


@dataclass
class Backup:
	"""What the database held once."""

	tables: dict[type, Any]
	switched_on: dict[str, bool]


class Happenings:
	"""Each `_name` is one thing that may happen; see simulation.py for how often."""

	rng: random.Random
	drawn: Counter[str]
	clock: Clock
	world: World
	gateway: Gateway
	bank: Bank
	takebacks: Takebacks
	auditor: Auditor
	habits: Habits
	accounts: list[str]
	keys: list[tuple[str, UsageRequest]]
	live: list[Live]
	news: list[News]
	told: list[News]
	missed: list[News]
	calm: bool
	backup: Backup | None
	workers: int
	events_seen: int
	disputes_seen: int

	def start(
		self,
		machine: Machine[Any],
		label: str,
		transaction: Transaction | None = None,
		news: News | None = None,
	) -> None:
		raise NotImplementedError

	def _draw_caps(self) -> CapLimits:
		raise NotImplementedError

	# -- usage and jobs --------------------------------------------------------------------------------------

	def _use(self) -> None:
		account = self.rng.choice(self.accounts)
		if self.keys and self.rng.random() < 0.15:
			account, request = self.rng.choice(self.keys)
			self.drawn["repeated charge"] += 1
			self.charge(account, request)
			return
		amount = Decimal(self.rng.choice((5, 20, 45, 80, 150)))
		if self.rng.random() < 0.1:
			# To the last credit, and to the level exactly.
			row = self.world.get(rows.CreditAccount, account)
			to = self.rng.choice((Decimal(50), ZERO, -row.overdraft_limit))
			amount = row.balance - to if row.balance > to else amount
		request = UsageRequest(f"use-{len(self.keys)}", amount=amount)
		self.keys.append((account, request))
		self.charge(account, request)

	def charge(self, account: str, request: UsageRequest) -> None:
		"""Usage comes in."""
		transaction = self.world.begin()
		machine = books.charge(transaction, account, request, request.amount or ZERO)
		self.start(machine, "charge", transaction)

	def _work(self) -> None:
		if self.world.queue and self.rng.random() < self.habits.lost_queue:
			self.drawn["queue lost"] += self.world.queue.lose_all()
			return
		taken = self.world.queue.take()
		if taken:
			self.begin_job(*taken)
			if taken[0] == payment.CARRY_OUT and self.rng.random() < self.habits.double_job:
				self.drawn["job run twice"] += 1
				self.begin_job(*taken)

	def begin_job(self, job: str, name: str) -> None:
		"""A worker takes a job up."""
		self.workers += 1
		match job:
			case payment.CARRY_OUT:
				account = self.world.get(rows.Recharge, name).account
				machine = payment.carry_out(account, name, f"worker-{self.workers}")
				self.start(machine, f"worker {name}")
			case payment.CLOSE_UP:
				account = self.world.get(rows.Recharge, name).account
				self.start(payment.close_up(account, name), f"close {name}")
			case refund.CARRY_OUT:
				row = self.world.get(rows.Refund, name)
				worker = f"refunder-{self.workers}"
				account = row.values.get("account")
				self.start(refund.carry_out(account, row.recharge, name, worker), f"refund {name}")
			case books.LOOK_AT_REFUSAL:
				account, amount = name.split(" ")
				transaction = self.world.begin()
				look = books.look_at_refusal(transaction, account, Decimal(amount))
				self.start(look, "refusal", transaction)

	def _sweep(self) -> None:
		now = self.clock.now()
		for recharge in self.world.all(rows.Recharge):
			job = payment.due_job(recharge, now)
			if job is not None:
				self.world.queue.put(job, recharge.name)
			elif payment.action_is_over(recharge, now):
				self.start(payment.expire_action(recharge.account, recharge.name), "expire")
		for row in self.world.all(rows.Refund):
			if refund.is_due(row.view, now):
				self.world.queue.put(refund.CARRY_OUT, row.name)

	# -- webhooks ----------------------------------------------------------------------------------------------

	def collect_news(self) -> None:
		"""What the gateway has to tell is on its way; some of it is lost."""
		events, self.events_seen = self.gateway.events[self.events_seen :], len(self.gateway.events)
		disputes, self.disputes_seen = self.bank.news[self.disputes_seen :], len(self.bank.news)
		fresh = [News(REFUNDS if e.type == "charge.refunded" else PAYMENT, e.intent) for e in events]
		fresh += [News(DISPUTE, name) for name in disputes]
		for news in fresh:
			if self.rng.random() < self.habits.lost_news:
				self.drawn["webhook lost"] += 1
			else:
				self.news.append(news)

	def _webhook(self) -> None:
		"""Any event that has come, in any order, or one that was worked on before; it is read as things are now."""
		self.collect_news()
		if self.told and self.rng.random() < 0.1:
			self.hear(self.rng.choice(self.told))
		elif self.news:
			self.hear(self.news.pop(self.rng.randrange(len(self.news))))

	def hear(self, news: News) -> None:
		"""Work on one event: as the handlers of the site do."""
		self.drawn[f"webhook of a {news.kind}"] += 1
		self.told.append(news)
		match news.kind:
			case "payment":
				self.hear_payment(news)
			case "refunds":
				self._hear_refunds(news)
			case "dispute":
				self._hear_dispute(news)

	def hear_payment(self, news: News) -> None:
		"""A payment as it is now."""
		answer = self.gateway.retrieve(news.name)
		if not answer.intent:
			# It could not be read; the event is tried again.
			self.news.append(news)
			return
		recharge = answer.metadata["recharge"]
		account = self.world.get(rows.Recharge, recharge).account
		machine = hearing.hear(account, recharge, answer.metadata["attempt"], answer)
		self.start(machine, "webhook", news=news)

	def _owner(self, news: News, intent: str) -> rows.Recharge | None:
		"""The recharge that a captured payment belongs to; one that is not settled yet is settled first."""
		found = self.settled(intent)
		if found is None:
			refunds = (r for r in self.world.all(rows.Refund) if r.values["intent"] == intent)
			found = next((self.world.get(rows.Recharge, r.recharge) for r in refunds), None)
		if found is None:
			if self.is_held(intent):
				# Nobody's, as long as nobody has decided; the nightly look finds it again.
				self.missed.append(news)
				return None
			self.hear_payment(News(PAYMENT, intent))
			self.news.append(news)
		return found

	def is_held(self, intent: str) -> bool:
		"""Whether a payment was found not to fit: who owns it, a person decides."""
		return any(row.intent == intent for row in self.world.all(rows.Difference))

	def settled(self, intent: str) -> rows.Recharge | None:
		"""The recharge that a payment has paid."""
		return next((r for r in self.world.all(rows.Recharge) if r.settled_intent == intent), None)

	def _hear_dispute(self, news: News) -> None:
		answer = self.bank.answer(news.name)
		found = self._owner(news, answer.intent or "")
		if found:
			known = self.world.get(rows.Dispute, news.name)
			heard = known.values.get("heard", 0) if known else 0
			self.start(dispute.follow(found.account, found.name, answer, heard), "dispute", news=news)
			if not self.calm and self.rng.random() < 0.3:
				# While this answer is on its way, the bank goes on.
				self._decide_dispute()

	def _hear_refunds(self, news: News) -> None:
		found = self._owner(news, news.name)
		if found is None:
			return
		for answer in self.gateway.refunds_of(news.name):
			known = refund.named_by(answer, [r.view for r in self.world.all(rows.Refund)])
			machine = refund.hear(found.account, found.name, answer, known)
			self.start(machine, "refund heard", news=news)
		if not self.calm and self.rng.random() < 0.3:
			self.move_refunds()

	# -- money back ----------------------------------------------------------------------------------------------

	def _claim(self) -> None:
		"""Somebody wants money back: a refund from the desk or from the gateway's dashboard, or a dispute."""
		captured = [i for i in self.gateway.intents.values() if i.status == "succeeded"]
		if not captured:
			return
		second = [i for i in captured if self.world.get(rows.RefundDue, i.name)]
		intent = self.rng.choice(second if second and self.rng.random() < 0.4 else captured)
		match self.rng.randrange(8):
			case 0 | 1:
				self._request_refund(self.settled(intent.name))
			case 2:
				self._refund_at_gateway(intent)
			case 3 | 4:
				self._dispute(intent)
			case 5 | 6:
				self._decide_dispute()
			case 7:
				self._warn(self.settled(intent.name))

	def _request_refund(self, recharge: rows.Recharge | None) -> None:
		if recharge is None:
			return
		self.drawn["refund asked for"] += 1
		amount = self.rng.choice((None, Decimal(10), Decimal(100), recharge.amount))
		key = f"want-{self.rng.randrange(40)}"
		name = self.world.new_name("RF")
		machine = refund.request(recharge.account, recharge.name, name, amount, key, {})
		self.start(machine, "request refund")

	def _refund_at_gateway(self, intent: Intent) -> None:
		if self.bank.is_disputed(intent.name):
			return
		self.drawn["refund at the gateway"] += 1
		calm, self.calm = self.calm, True
		left = intent.amount - intent.refunded
		# Of what has bought nothing a part would be refused ever after: a person would be told.
		amount = self.rng.choice((Decimal(25), left)) if self.settled(intent.name) else left
		self.gateway.refund(key=self.world.new_name("dash"), intent=intent.name, amount=amount)
		self.calm = calm

	def _dispute(self, intent: Intent) -> None:
		amount = self.rng.choice((None, None, Decimal(30)))
		if self.bank.open(intent, amount, self.rng.choice((OPEN, OPEN, WARNING))):
			self.drawn["dispute opened"] += 1

	def _decide_dispute(self) -> None:
		cases = [c for c in self.bank.disputes.values() if c.status in (OPEN, WARNING)]
		if not cases:
			return
		case = self.rng.choice(cases)
		self.drawn["dispute moved on"] += 1
		if case.status == WARNING:
			intent = self.gateway.intents[case.intent]
			left = intent.amount - intent.refunded
			escalates = left > 0 and not self.bank.is_disputed(case.intent) and self.rng.random() < 0.6
			self.bank.becomes(
				case.name,
				OPEN if escalates else "warning_closed",
				min(case.amount, left) if escalates else None,
			)
		elif self.rng.random() < 0.2 and case.amount > 10:
			# The bank claims less than it did.
			self.bank.becomes(case.name, OPEN, case.amount - 10)
		else:
			self.bank.becomes(case.name, self.rng.choice(("won", "lost")))

	def _warn(self, recharge: rows.Recharge | None) -> None:
		if recharge is None:
			return
		self.drawn["fraud warning"] += 1
		name = f"issfr_{recharge.name}"
		machine = dispute.warn(
			recharge.account, recharge.name, name, recharge.settled_intent or "", "made_with_stolen_card"
		)
		self.start(machine, "warning")

	def move_refunds(self, fate: RefundOutcome | None = None) -> None:
		"""The bank has refunds that were on their way arrive, or sends them back."""
		for found in self.gateway.refunds.values():
			if found.status is RefundOutcome.PENDING:
				fails = self.rng.random() < 0.3
				self.gateway.refund_becomes(
					found.name, fate or (RefundOutcome.FAILED if fails else RefundOutcome.SUCCEEDED)
				)
			elif found.status is RefundOutcome.SUCCEEDED and not fate and self.rng.random() < 0.05:
				if not self.bank.is_disputed(found.intent):
					self.drawn["refund came back"] += 1
					self.gateway.refund_becomes(found.name, RefundOutcome.FAILED)

	# -- time ------------------------------------------------------------------------------------------------------

	def _time(self) -> None:
		self.clock.advance(timedelta(seconds=self.rng.choice((0.2, 1, 5, 30, 44, 46, 120))))

	def _long_time(self) -> None:
		self.drawn["long time"] += 1
		self.clock.advance(timedelta(hours=self.rng.choice((1, 8, 13, 23.5, 25, 80))))
		if self.habits.slow_refunds:
			self.move_refunds()

	# -- people ----------------------------------------------------------------------------------------------------

	def _person(self) -> None:
		"""The owner switches auto-recharge on again, resumes it, pays on the gateway's page, or recharges by hand."""
		name = self.rng.choice(self.accounts)
		if self._decide_about_held(name):
			return
		waiting = [r for r in self.world.all(rows.Recharge, name) if r.status == payment.ACTION_REQUIRED]
		if waiting and self.rng.random() < 0.7:
			self._pay_on_page(waiting[-1])
			return
		if self.rng.random() < 0.4 and (open_ := self.world.get(rows.CreditAccount, name).open_recharge):
			self.drawn["called off"] += 1
			self.start(payment.call_off(name, open_), f"call off {open_}")
			return
		if self.rng.random() < 0.25:
			self._recharge_by_hand(name)
			return
		if (rows.CreditAccount, name) not in self.world.locks:
			self._put_right(name)

	def _put_right(self, name: str) -> None:
		"""A person has looked: what held, paused or switched off auto-recharge is over."""
		account, setting = self._row(name), self.world.get(rows.AutoRechargeSetting, name)
		disputes = [
			d.values["status"]
			for r in self.world.all(rows.Recharge, name)
			for d in self.world.all(rows.Dispute, r.name)
		]
		if account.status == "Disabled" or (account.status == "On Hold" and self.rng.random() < 0.5):
			status = "Disputed" if "Open" in disputes else "Active"
			self.world.change(rows.CreditAccount, name, status=status)
		elif (account.held_because or account.status == "Disputed") and "Open" not in disputes:
			self.drawn["hold lifted"] += 1
			status = "Active" if account.status == "Disputed" else account.status
			self.world.change(rows.CreditAccount, name, held_because=None, status=status)
		elif setting.paused_because:
			self.drawn["resumed"] += 1
			now = self.clock.now()
			self.world.change(rows.AutoRechargeSetting, name, paused_because=None, seen_until=now)
		elif not setting.enabled:
			self.drawn["switched on"] += 1
			self.auditor.switched_on[name] = True
			self.world.change(rows.AutoRechargeSetting, name, enabled=True, disabled_reason=None)
		else:
			return
		self.auditor.check("person")
		transaction = self.world.begin()
		self.start(books.recheck(transaction, name), "recheck", transaction)

	def _row(self, name: str) -> rows.CreditAccount:
		found: rows.CreditAccount = self.world.get(rows.CreditAccount, name)
		return found

	def _recharge_by_hand(self, name: str) -> None:
		self.drawn["recharged by hand"] += 1
		card = self.rng.choice((None, *(c.name for c in self.world.all(rows.RechargeCard, name))))
		transaction = self.world.begin()
		amount = Decimal(self.rng.choice((100, 400)))
		self.start(books.by_hand(transaction, name, amount, card), "by hand", transaction)

	def _decide_about_held(self, account: str) -> bool:
		"""A person looks at a capture that does not fit. Returns whether there was one."""
		listed = [
			d
			for d in self.world.all(rows.Difference)
			if d.kind == payment.DOES_NOT_FIT
			and self.world.get(rows.Recharge, d.recharge).account == account
			and self.world.get(rows.RefundDue, d.intent) is None
		]
		if not listed or self.rng.random() < 0.5:
			return False
		difference, decision = self.rng.choice(listed), self.rng.choice(held.DECISIONS)
		self.drawn[f"held: {decision}"] += 1
		answer = self.gateway.as_it_is(difference.intent)
		self.start(held.decide(account, difference.recharge, answer, decision), f"decide {difference.mark}")
		return True

	def _colleague(self) -> None:
		"""Somebody of the company gives credits, takes some, undoes a movement, or stops an account."""
		name = self.rng.choice(self.accounts)
		transaction = self.world.begin()
		key = self.world.new_name("by")
		machine: Machine[Any]
		match self.rng.randrange(6):
			case 0 | 1:
				self.drawn["credits given"] += 1
				expires = self.clock.now() + timedelta(hours=self.rng.choice((1, 30)))
				machine = books.grant(
					transaction,
					name,
					Decimal(self.rng.choice((10, 60))),
					key,
					priority=self.rng.choice((1, 10, 20)),
					expires_at=self.rng.choice((None, expires)),
				)
			case 2:
				self.drawn["credits taken"] += 1
				machine = books.adjust(transaction, name, Decimal(self.rng.choice((5, 40, 200, 700))), key)
			case 3 | 4:
				entries = [
					e for e in self.auditor.ledgers[name].entries if e.entry_type in ("Usage", "Grant")
				]
				self.drawn["movement undone"] += 1
				machine = books.reverse(transaction, name, self.rng.choice(entries[-5:]))
			case _:
				machine = books.expire(transaction, name)
		self.start(machine, "colleague", transaction)

	def _stranger(self) -> None:
		"""Somebody captures a payment that names a recharge, or even its attempt, and does not fit it."""
		found = [r for r in self.world.all(rows.Recharge) if not r.name.startswith("R-past")]
		if not found:
			return
		recharge = self.rng.choice(found[-3:])
		attempts = self.world.all(rows.RechargeAttempt, recharge.name)
		wrong: dict[str, Any] = self.rng.choice(
			(
				{"amount": recharge.amount + 40},
				{"amount": recharge.amount - 1},
				{"currency": "JPY"},
				{"customer": "cus_stranger"},
			)
		)
		self.drawn["captured by a stranger"] += 1
		attempt = self.rng.choice([a.name for a in attempts]) if attempts else None
		self._pay(recharge, self.world.new_name("X") + "-strange", attempt, **wrong)

	def _pay_on_page(self, recharge: rows.Recharge) -> None:
		"""The card holder opens the gateway's page, and pays there or not; or pays past it, even twice."""
		if self.rng.random() < 0.5:
			self.drawn["paid past the page"] += 1
			again = "-again" if self.rng.random() < 0.4 else ""
			self._pay(recharge, f"{recharge.name}{again}-page", None)
			return
		attempts = self.world.all(rows.RechargeAttempt, recharge.name)
		name = next((a.name for a in attempts if a.page), None)
		if name is None:
			if (rows.CreditAccount, recharge.account) in self.world.locks:
				return
			name = self._open_page(recharge, max((a.number for a in attempts), default=0) + 1)
		page = self.gateway.pages[name]
		if page.is_open and self.rng.random() < 0.6:
			self.drawn["paid on page"] += 1
			page.intent = self._pay(recharge, f"{name}-page", name)
			page.is_open = False

	def _open_page(self, recharge: rows.Recharge, number: int) -> str:
		"""An attempt that stands for the page, as on the site."""
		name = payment.attempt_name(recharge.name, number)
		attempt = rows.RechargeAttempt(
			name=name,
			number=number,
			card=None,
			status=payment.CREATED,
			created_at=self.clock.now(),
			page=name,
			customer=rows.customer_of(recharge.account),
			recharge=recharge.name,
		)
		self.world.write(attempt)
		self.gateway.pages[name] = Page()
		self.auditor.check("person")
		return name

	def _pay(self, recharge: rows.Recharge, key: str, attempt: str | None, **wrong: Any) -> str | None:
		method = f"pm_{recharge.account}_page"
		self.gateway.cards[method] = "ok"
		calm, self.calm = self.calm, True
		values: dict[str, Any] = {
			"amount": recharge.amount,
			"currency": recharge.currency,
			"customer": rows.customer_of(recharge.account),
		}
		answer = self.gateway.charge(
			key=key, recharge=recharge.name, payment_method=method, attempt=attempt, **(values | wrong)
		)
		self.calm = calm
		return answer.intent

	def _change(self) -> None:
		"""Caps, the switch, or what a card does, change at any moment nobody holds the account."""
		name = self.rng.choice(self.accounts)
		if (rows.CreditAccount, name) in self.world.locks:
			return
		self.drawn["changed"] += 1
		match self.rng.randrange(4):
			case 0:
				self.world.change(rows.AutoRechargeSetting, name, caps=self._draw_caps())
				self._list_a_card_of_another(name)
			case 1:
				self.auditor.switched_on[name] = False
				self.world.change(
					rows.AutoRechargeSetting, name, enabled=False, disabled_reason="by a person"
				)
			case 2:
				card = self.rng.choice(self.world.all(rows.RechargeCard, name))
				if card.kind == "card":
					self.gateway.cards[card.payment_method] = self.rng.choice(CARDS[:-1])
					self.world.change(rows.RechargeCard, card.name, status=cards.ACTIVE)
			case 3:
				if self._row(name).status == "Active":
					status = self.rng.choice(("On Hold", "Disabled"))
					self.world.change(rows.CreditAccount, name, status=status)
		self.auditor.check("person")

	def _list_a_card_of_another(self, account: str) -> None:
		"""However it got there: first on the list stands a card that another account saved."""
		others = [name for name in self.accounts if name != account]
		listed = self.world.get(rows.AutoRechargeSetting, account).cards
		if others and (strange := f"{others[0]}/0") not in listed:
			self.world.change(rows.AutoRechargeSetting, account, cards=(strange, *listed))
			self.drawn["strange card listed"] += 1

	# -- disasters ---------------------------------------------------------------------------------------------------

	def _backup(self) -> None:
		"""A backup is made while a recharge waits for its worker: such a one is what matters."""
		waits = any(
			r.status == payment.QUEUED and not self.world.all(rows.RechargeAttempt, r.name)
			for r in self.world.all(rows.Recharge)
		)
		if waits:
			tables = {
				kind: (dict(table.rows), {parent: list(keys) for parent, keys in table.children.items()})
				for kind, table in self.world.tables.items()
			}
			self.backup = Backup(tables, dict(self.auditor.switched_on))

	def _restore(self) -> None:
		"""The backup is restored: the site forgets, the gateway does not. Only where recharges and claims are the same:
		one that the backup does not know at all is a matter of the reconciler alone."""
		if not self.backup:
			return
		same: tuple[type, ...] = (rows.Recharge, rows.RefundDue, rows.Difference, rows.Refund, rows.Dispute)
		for kind in same:
			if self.world.tables[kind].rows.keys() != self.backup.tables[kind][0].keys():
				return
		for live in list(self.live):
			live.run.kill()
			self.live.remove(live)
		self.world.queue.lose_all()
		for kind, (kept, children) in self.backup.tables.items():
			table = self.world.tables[kind]
			table.rows, table.children = kept, children
		self.auditor.switched_on = self.backup.switched_on
		self.auditor.restart()
		self.backup = None
		self.drawn["backup restored"] += 1
		# Somebody has to notice, and to restore it.
		self.clock.advance(timedelta(hours=self.rng.choice((1, 13, 26, 80))))
