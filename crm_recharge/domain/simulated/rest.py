"""How a simulated run ends: everything under way comes to its end, the reconciler looks, and what must hold then.

No faults any more. What was lost is not told a second time: the sweeper, the events that are still there and, last, the
reconciler find it or nobody does. Then each account is used once more, and must be recharged exactly where it should.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING

from crm_recharge.domain import cards, fit, payment, reconcile, takeback, views
from crm_recharge.domain.answers import Answer, RefundOutcome
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.auditor import AFTER_PAYMENT, IN_FLIGHT, MOST_DECLINES, is_others
from crm_recharge.domain.simulated.gateway import BEHAVIOURS, CANCELED, SUCCEEDED
from crm_recharge.domain.simulated.happenings import DISPUTE, PAYMENT, REFUNDS, Happenings, News
from crm_recharge.domain.simulated.violation import must
from crm_recharge.domain.usage import UsageRequest

if TYPE_CHECKING:
	from crm_recharge.domain.simulated.simulation import Live

LONGEST_REST, LONGEST_WAIT = 8_000, timedelta(days=120)
STUBBORN, STUBBORN_STEPS = 0.9, 400
SITE = fit.Site("here")
GONE = ("charge_already_refunded", "charge_disputed", None)
"""Why a second capture need not be sent back: it is gone already, or the bank decides; or it came back later."""
NOTHING_TO_DO = (reconcile.AGREES, reconcile.NOT_OURS)


class Rest(Happenings):
	"""See the module."""

	rest_began: datetime

	def advance(self, live: Live) -> None:
		raise NotImplementedError

	def must_wait(self, live: Live) -> bool:
		raise NotImplementedError

	# -- coming to rest --------------------------------------------------------------------------------------

	def come_to_rest(self) -> None:
		"""No more faults, no more usage: all that is known ends; then what was lost is found."""
		self.calm = self.habits.fault < STUBBORN
		if not self.calm:
			# What goes on for long must be told to a person.
			self._settle_down(STUBBORN_STEPS)
		self.calm = True
		self.rest_began = self.clock.now()
		self._settle_down()
		self._reconcile()
		self._settle_down()

	def _settle_down(self, longest: int = LONGEST_REST) -> None:
		for _ in range(longest):
			if self.live:
				self._rest_step()
				continue
			self.collect_news()
			if self.news:
				self.hear(self.news.pop(0))
			elif self.world.queue:
				taken = self.world.queue.take()
				if taken:
					self.begin_job(*taken)
			elif not self._anything_due():
				return
			else:
				self.clock.advance(timedelta(minutes=1) if self._soon() else timedelta(hours=6))
				self.gateway.decide_due()
				self.move_refunds(RefundOutcome.SUCCEEDED)
				self._sweep()
				waited = self.clock.now() - self.rest_began if self.calm else timedelta(0)
				must(waited < LONGEST_WAIT, "nothing waits for ever", waited)
		must(longest < LONGEST_REST, "nothing is stuck", f"not at rest after {LONGEST_REST} steps")

	def _rest_step(self) -> None:
		ready = [live for live in self.live if live.ready <= self.clock.now()]
		if ready:
			# A database gives the lock to whoever waits; drawing the waiters again and again would take for ever.
			self.advance(self.rng.choice([live for live in ready if not self.must_wait(live)] or ready))
		else:
			self.clock.move_to(min(live.ready for live in self.live))

	def _anything_due(self) -> bool:
		undecided = any(i.status == "processing" for i in self.gateway.intents.values())
		refunds = any(r.values["status"] in ("Held", "Asked") for r in self.world.all(rows.Refund))
		return undecided or refunds or self._soon() or self._waits_for_a_person()

	def _waits_for_a_person(self) -> bool:
		return any(r.status == "Action Required" for r in self.world.all(rows.Recharge))

	def _soon(self) -> bool:
		return any(
			r.status in ("Queued", "Charging", "Processing")
			or (r.status not in (*IN_FLIGHT, "Draft") and r.next_try_at is not None)
			for r in self.world.all(rows.Recharge)
		)

	# -- the reconciler --------------------------------------------------------------------------------------

	def _reconcile(self) -> None:
		"""Each payment at the gateway against what is known here; refunds and disputes as they are there."""
		self.clock.advance(timedelta(hours=2))
		is_whole = not self.drawn["webhook lost"] and not self.drawn["backup restored"]
		for intent in list(self.gateway.intents.values()):
			answer = self.gateway.retrieve(intent.name)
			verdict = self._judge(answer)
			self.drawn[f"verdict {verdict.kind}"] += 1
			must(
				not is_whole
				or verdict.kind in (*NOTHING_TO_DO, reconcile.CLOSE)
				# What a person has credited may have made another fit that did not.
				or self.is_held(intent.name),
				"nothing is left to the reconciler",
				f"{intent.name}: {verdict.text}",
			)
			if verdict.kind in (reconcile.SETTLE, reconcile.DUPLICATE, reconcile.DOES_NOT_FIT):
				self.hear_payment(News(PAYMENT, intent.name))
			elif verdict.kind == reconcile.CLOSE:
				self.gateway.cancel(intent=intent.name, key=f"{intent.name}-reconciled")
		self._settle_down()
		self.news, self.missed = self.missed, []
		if not is_whole:
			captured = [i.name for i in self.gateway.intents.values() if i.status == SUCCEEDED]
			self.news += [News(REFUNDS, name) for name in captured if self.gateway.refunds_of(name)]
			self.news += [News(DISPUTE, name) for name in self.bank.disputes]

	def _judge(self, answer: Answer) -> reconcile.Verdict:
		recharge = self.world.get(rows.Recharge, answer.metadata["recharge"])
		account = self.world.get(rows.CreditAccount, recharge.account)
		credited = [
			e.amount
			for e in self.auditor.ledgers[recharge.account].entries
			if e.entry_type == "Recharge" and e.gateway_reference == answer.intent
		]
		known = views.known(
			recharge,
			account,
			self.world.all(rows.RechargeAttempt, recharge.name),
			self.clock.now(),
			credited=credited[0] if credited else None,
			refund_arranged=any(
				r.values["intent"] == answer.intent for r in self.world.all(rows.Refund, recharge.name)
			),
			held=self.is_held(answer.intent or ""),
		)
		created = datetime.fromtimestamp(answer.created or 0, timezone.utc)
		return reconcile.judge(answer, SITE, known, created, self.clock.now(), (account.customer,))

	# -- what must hold then -----------------------------------------------------------------------------------

	def check_rest(self) -> None:
		"""All that must hold once nothing is left to do; then once more after a last usage of each account."""
		self._check_money()
		for name in self.accounts:
			self._check_claims(name)
			self._check_status(name)
		for name in self.accounts:
			self._use_once_more(name)
		self._check_money()

	def _check_money(self) -> None:
		"""Every capture is credited, held or on its way back, and nothing stays open or stuck."""
		due = {row.intent for row in self.world.all(rows.RefundDue)}
		settled = {r.settled_intent: r for r in self.world.all(rows.Recharge) if r.settled_intent}
		held = {r.intent for r in self.world.all(rows.Difference) if r.kind == payment.DOES_NOT_FIT}
		held -= due | settled.keys()
		for intent in self.gateway.intents.values():
			if intent.status == SUCCEEDED:
				must(
					sum(intent.name in found for found in (settled, due, held)) == 1,
					"credits = captured",
					f"{intent.name} for {intent.recharge} is captured: credited {intent.name in settled},"
					f" refunded {intent.name in due}, held {intent.name in held}",
				)
				continue
			recharge = self.world.get(rows.Recharge, intent.recharge)
			must(
				intent.status == CANCELED or is_others(intent.key) or recharge.status == "Held",
				"nothing stays open",
				f"{intent.name} of {recharge.name} ({recharge.status}) is {intent.status}",
			)
		for difference in self.world.all(rows.Difference):
			dismissed = difference.decision == "dismiss" and difference.intent in settled
			must(not dismissed, "a person decides once", difference)
		for name, page in self.gateway.pages.items():
			recharge = self.world.get(rows.Recharge, name.rpartition("-")[0])
			must(not page.is_open or recharge.status == "Held", "no page stays open", (name, recharge))
		for recharge in self.world.all(rows.Recharge):
			must(recharge.status not in ("Queued", "Charging", "Processing"), "nothing is stuck", recharge)
		for name in due:
			intent = self.gateway.intents[name]
			row = next(r for r in self.world.all(rows.Refund) if r.values["intent"] == name)
			must(
				intent.refunded == intent.amount
				or self.bank.is_disputed(name)
				or (row.values["status"] == "Failed" and row.values.get("code") in GONE),
				"a second capture goes back",
				f"{name}: {intent.refunded} of {intent.amount} refunded, {row.values['status']}",
			)

	def _check_claims(self, name: str) -> None:
		"""Credits = captured - reversed: of each payment exactly what was refunded or is disputed has been taken back."""
		lots = {lot.source_key: lot for lot in self.auditor.ledgers[name].lots.values()}
		entries = {
			e.gateway_reference: e for e in self.auditor.ledgers[name].entries if e.entry_type == "Recharge"
		}
		for recharge in self.world.all(rows.Recharge, name):
			if not recharge.settled_intent:
				continue
			intent = self.gateway.intents[recharge.settled_intent]
			disputed = self.bank.taken(intent.name)
			claimed = min(intent.amount, intent.refunded + disputed)
			lot = lots[entries[intent.name].request_key]
			must(
				lot.returned == claimed,
				"credits = captured - reversed",
				f"{recharge.name}: {intent.refunded} refunded, {disputed} disputed, {lot.returned} taken back",
			)
			self._check_recharge(recharge, intent.refunded, intent.amount)

	def _check_recharge(self, recharge: rows.Recharge, refunded: Decimal, amount: Decimal) -> None:
		cases = {d.status for d in self.bank.disputes.values() if d.intent == recharge.settled_intent}
		if "needs_response" in cases:
			expected = "Disputed"
		elif "lost" in cases:
			expected = "Charged Back"
		else:
			expected = "Refunded" if refunded >= amount else "Partly Refunded" if refunded else "Succeeded"
		must(recharge.status == expected, "a paid recharge says what became of it", f"{recharge}: {expected}")
		must(recharge.refunded_amount == refunded, "a paid recharge says what became of it", recharge)
		for row in self.world.all(rows.Refund, recharge.name):
			known = row.values.get("gateway_refund")
			if known:
				there = self.gateway.refunds[known].status
				expected = {RefundOutcome.SUCCEEDED: "Succeeded", RefundOutcome.FAILED: "Failed"}[there]
				must(row.values["status"] == expected, "a refund is what it is at the gateway", row)
		for name, case in self.bank.disputes.items():
			row = self.world.get(rows.Dispute, name)
			if case.intent == recharge.settled_intent:
				must(row is not None, "every dispute is known", name)
				there_ = self.bank.answer(name)
				must(
					(row.values["amount"], row.values["withdrawn"], row.values["fees"])
					== (there_.amount, there_.withdrawn, there_.fees),
					"a dispute is what it is at the gateway",
					f"{row.values}, {there_}",
				)

	def _check_status(self, name: str) -> None:
		"""An account is flagged while a dispute of it is open, and not without a cause."""
		account = self._row(name)
		own = [
			d
			for r in self.world.all(rows.Recharge, name)
			for d in self.world.all(rows.Dispute, r.name)
			if d.values["intent"] and d.values["status"] != takeback.WARNING
		]
		claiming = [d for d in own if d.values["status"] in ("Open", "Lost")]
		if any(d.values["status"] == "Open" for d in own):
			must(account.status != "Active", "a dispute flags the account", f"{name}: {account.status}")
			must(account.held_because, "a dispute holds auto-recharge", name)
		if not claiming:
			must(
				account.status != "Disputed", "no flag without a cause", f"{name}: {[d.values for d in own]}"
			)

	# -- a last usage: what should be recharged is -----------------------------------------------------------------

	def _use_once_more(self, name: str) -> None:
		setting = self.world.get(rows.AutoRechargeSetting, name)
		transaction = self.world.begin()
		self.start(books.expire(transaction, name), "nightly", transaction)
		while self.live:
			self._rest_step()
		account = self._row(name)
		before = {r.name for r in self.world.all(rows.Recharge, name)}
		refused = ZERO
		if account.balance > setting.falls_below and self.rng.random() < 0.3:
			refused = self.rng.choice((setting.recharge_up_to, setting.recharge_up_to + 1))
			amount = refused
		elif account.balance > setting.falls_below:
			# To the level exactly: at or below counts.
			amount = account.balance - setting.falls_below
		else:
			amount = Decimal(1)
		if account.balance + account.overdraft_limit >= amount:
			refused = ZERO
		elif not refused:
			refused = amount
		must_start = self._should_start(name, amount, refused)
		usage = UsageRequest(f"last-{name}", amount=amount)
		self.charge(name, usage)
		while self.live:
			self._rest_step()
		self._take_refusals()
		new = [r for r in self.world.all(rows.Recharge, name) if r.name not in before]
		must(
			bool(new) == must_start,
			"a recharge starts exactly where it should",
			f"{name}: {amount} used of {account}, {setting}: {new}",
		)
		expected = self._outcome(name) if new else None
		self._settle_down()
		if expected and new:
			self._check_last(name, new[0].name, expected)

	def _take_refusals(self) -> None:
		"""The job that looks at a refused charge."""
		kept = []
		while taken := self.world.queue.take():
			if taken[0] == books.LOOK_AT_REFUSAL:
				self.begin_job(*taken)
				while self.live:
					self._rest_step()
			else:
				kept.append(taken)
		for job in kept:
			self.world.queue.put(*job)

	def _should_start(self, name: str, amount: Decimal, refused: Decimal) -> bool:
		"""Whether the usage must start a recharge, by the rules as they stand in the requirements."""
		account, setting = self._row(name), self.world.get(rows.AutoRechargeSetting, name)
		balance = account.balance if refused else account.balance - amount
		if account.status == "Disabled":
			return False
		helps = refused and balance < refused <= setting.recharge_up_to
		if balance > setting.falls_below and not helps:
			return False
		if not setting.enabled or setting.paused_because or account.held_because or account.open_recharge:
			return False
		if account.status != "Active" or not setting.cards:
			return False
		charged = min(setting.recharge_up_to - balance, setting.limits.maximum)
		if charged < setting.limits.minimum:
			return False
		if balance < -account.overdraft_limit and balance + charged <= setting.falls_below:
			return False
		return self._within_caps(name, charged) and not self._would_be_unusual(
			name, ZERO if refused else amount
		)

	def _within_caps(self, name: str, amount: Decimal) -> bool:
		account = self._row(name)
		own = {"amount_day": account.cap_amount_day, "amount_month": account.cap_amount_month}
		counted = [
			*self.auditor.setting_caps(name),
			*self.auditor.counted(name, own, automatic_only=False),
		]
		return all(
			used + (1 if kind.startswith("count") else amount) <= limit for kind, limit, used in counted
		)

	def _would_be_unusual(self, name: str, amount: Decimal) -> bool:
		return self.auditor.spike(name, amount)

	def _outcome(self, name: str) -> str:
		"""What must become of a recharge that starts now, by what its cards do: the first good one pays."""
		needs_person = False
		for listed in self.world.get(rows.AutoRechargeSetting, name).cards:
			card = self.world.get(rows.RechargeCard, listed)
			if card.account != name or card.status != cards.ACTIVE or card.kind != "card":
				continue
			if self.auditor.is_past_date(card) or self.auditor.declines(card) >= MOST_DECLINES:
				continue
			behaviour = BEHAVIOURS[self.gateway.cards[card.payment_method]]
			if behaviour.code in (None, "processing"):
				return "Succeeded"
			if behaviour.code == "parameter_invalid":
				# Refused again and again: no card is to blame, and no other is asked before it is given up.
				return "Failed"
			needs_person = needs_person or behaviour.code == "authentication_required"
		# It waits for its card holder, who does not come.
		return "Failed after waiting" if needs_person else "Failed"

	def _check_last(self, name: str, recharge: str, expected: str) -> None:
		row = self.world.get(rows.Recharge, recharge)
		account, setting = self._row(name), self.world.get(rows.AutoRechargeSetting, name)
		told = Counter(n.kind for n in self.world.all(rows.Notice, recharge))
		must(
			row.status == expected.split(" ")[0] or (row.status in AFTER_PAYMENT and expected == "Succeeded"),
			"the first good card pays",
			f"{row}: expected {expected}",
		)
		must(
			account.open_recharge is None, "what has ended blocks nothing", f"{name}: {account.open_recharge}"
		)
		if expected == "Succeeded":
			must(setting.enabled, "success switches nothing off", name)
			must(row.ledger_entry, "what is captured is credited", row)
			return
		must(not setting.enabled, "switched off after a failure", name)
		must(told["all_cards_failed"] == 1, "people are told once", f"{recharge}: {told}")
		if expected == "Failed after waiting":
			must(told["needs_action"] == 1, "the card holder is asked", f"{recharge}: {told}")
