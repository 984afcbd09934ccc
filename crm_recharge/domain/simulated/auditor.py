"""The rules that hold always (docs/architecture.md, 4), checked from outside on what is committed, at every commit.

Nothing here asks the rules that are simulated: limits, windows and orders stand here a second time, so that one that is
changed or left out there is noticed.
"""

from collections import Counter
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from crm_recharge.domain import effects, steps, threshold
from crm_recharge.domain.book import Entry
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.domain.simulated.gateway import CANCELED, SUCCEEDED, Gateway, Intent
from crm_recharge.domain.simulated.ledger_auditor import LedgerAuditor
from crm_recharge.domain.simulated.takebacks import Bank
from crm_recharge.domain.simulated.violation import must
from crm_recharge.domain.simulated.world import World

IN_FLIGHT = ("Queued", "Charging", "Processing", "Action Required", "Held")
AFTER_PAYMENT = ("Succeeded", "Partly Refunded", "Refunded", "Disputed", "Charged Back")
LEASE = timedelta(seconds=45)
MOST_DECLINES, DECLINE_WINDOW = 15, timedelta(days=30)
MOST_ERRORS, MOST_ASKS = 8, 8
HOUR, DAY = timedelta(hours=1), timedelta(hours=24)
OPEN_ATTEMPT = ("Created", "Unknown", "Refused", "Pending")
DEAD = {"permanent", "expired"}


class Auditor:
	"""See the module. `person_may` says which accounts a person has just switched on, resumed or released."""

	def __init__(self, world: World, gateway: Gateway, bank: Bank, clock: Clock):
		self.world, self.gateway, self.bank, self.clock = world, gateway, bank, clock
		self.switched_on = {row.account: row.enabled for row in world.all(rows.AutoRechargeSetting)}
		self.asking: dict[str, tuple[Any, datetime]] = {}
		self.restart()

	def restart(self) -> None:
		"""Begin anew with what is stored now, as after a restored backup."""
		self.world.log.clear()
		accounts = [row.name for row in self.world.all(rows.CreditAccount)]
		self.ledgers = {name: LedgerAuditor(self.world, name) for name in accounts}
		self.open: dict[str, set[str]] = {name: set() for name in accounts}
		for recharge in self.world.all(rows.Recharge):
			self._follow_open(recharge)
		self.dead_cards = {
			a.card
			for a in self.world.all(rows.RechargeAttempt)
			if a.decline_class in DEAD and self.world.get(rows.RechargeCard, a.card).status != "Active"
		}
		for ledger in self.ledgers.values():
			ledger.follow()

	# -- after each commit ---------------------------------------------------------------------------------

	def check(self, label: str) -> None:
		"""Everything that holds at any moment, for what has been committed since the last time."""
		log, self.world.log = self.world.log, []
		touched = self.ledgers.keys() & {self._account_of(row) for _, row in log}
		for name in sorted(touched):
			for entry in self.ledgers[name].follow():
				self._entry(name, entry)
		for before, after in log:
			check: Any = self._CHECKS.get(type(after))
			if check is not None:
				check(self, before, after, label)
		for name in sorted(touched):
			self._one_open(name)
			self._caps_count(name)

	def _account_of(self, row: Any) -> str | None:
		if isinstance(row, rows.CreditAccount):
			return row.name
		if isinstance(row, rows.RechargeAttempt | rows.Refund | rows.Dispute):
			recharge = self.world.get(rows.Recharge, row.recharge)
			return recharge.account if recharge else None
		account: str | None = getattr(row, "account", None)
		return account

	def _one_open(self, name: str) -> None:
		account, open_ = self.world.get(rows.CreditAccount, name), self.open[name]
		must(len(open_) <= 1, "one open recharge", f"{name}: {open_}")
		must(
			{account.open_recharge} == set(open_ or [None]),
			"one open recharge",
			(account, open_),
		)

	def _entry(self, account: str, entry: Entry) -> None:
		"""Rule 2: nothing is credited that was not captured, or that does not fit, and no payment twice."""
		if entry.entry_type == "Usage":
			status = self.world.get(rows.CreditAccount, account).status
			must(status != "Disabled", "no usage of a disabled account", f"{account}: {entry.amount}")
		if entry.entry_type != "Recharge":
			return
		intent = self.gateway.intents.get(entry.gateway_reference or "")
		recharge = self.world.get(rows.Recharge, entry.reference_name)
		must(
			intent is not None and intent.status == SUCCEEDED and intent.amount == entry.amount,
			"no credit without a capture",
			f"{account}: {entry.gateway_reference} credited {entry.amount}",
		)
		row = self.world.get(rows.CreditAccount, account)
		must(
			intent is not None
			and (intent.recharge, intent.customer, intent.currency, intent.amount)
			== (recharge.name, row.customer, row.currency, recharge.amount),
			"no credit for what does not fit",
			f"{account}: {recharge.name} of {recharge.amount} is credited with {intent}",
		)
		credited = Counter(
			e.reference_name for e in self.ledgers[account].entries if e.entry_type == "Recharge"
		)
		must(credited[recharge.name] == 1, "one credit a recharge", recharge.name)

	def _account(self, before: rows.CreditAccount | None, row: rows.CreditAccount, label: str) -> None:
		if before is None or label.startswith("person"):
			return
		lost = set((before.held_because or "").split(", ")) - set((row.held_because or "").split(", "))
		kept = [mark for mark in lost if mark and not mark.startswith("Refund ")]
		must(not kept, "only a person lifts a hold", f"{row.name} by {label}: {kept}")

	def _setting(
		self, before: rows.AutoRechargeSetting | None, row: rows.AutoRechargeSetting, label: str
	) -> None:
		on = self.switched_on.get(row.account, True)
		must(on or not row.enabled, "only a person switches on", f"{row.account} by {label}")
		self.switched_on[row.account] = row.enabled
		if before is None or label.startswith("person"):
			return
		must(
			not before.paused_because or row.paused_because,
			"only a person resumes",
			f"{row.account} by {label}",
		)

	def _recharge(self, before: rows.Recharge | None, row: rows.Recharge, label: str) -> None:
		self._follow_open(row)
		if before is None:
			if row.origin == steps.AUTOMATIC:
				self._started(row)
			self._own_caps(row)
			return
		must(
			not before.settled_intent or before.settled_intent == row.settled_intent,
			"one capture a recharge",
			f"{row.name} was paid by {before.settled_intent}, then by {row.settled_intent}",
		)
		must(
			before.status not in AFTER_PAYMENT or row.status in AFTER_PAYMENT,
			"what is paid stays paid",
			f"{row.name}: {before.status}, then {row.status}",
		)
		if row.status == "Cancelled" != before.status:
			self._cancelled(before, label)
		if row.status == "Failed" and before.status != "Failed" and label.startswith(("worker", "expire")):
			self._failed(row, before.status)
		if row.status == "Action Required" != before.status:
			self._told(row, "needs_action")

	def _cancelled(self, before: rows.Recharge, label: str) -> None:
		attempts = self.world.all(rows.RechargeAttempt, before.name)
		asked = [a for a in attempts if a.status != "Skipped"]
		if label.startswith("call off"):
			waits = before.status == "Action Required" or (before.status == "Queued" and not asked)
			must(waits, "only what waits is called off", (before, asked))
		elif label.startswith("worker"):
			must(before.origin == steps.AUTOMATIC, "what a person starts goes on though held", before)

	def _failed(self, row: rows.Recharge, before: str) -> None:
		"""Every automatic change is told to a person; a failure by itself switches off what started it, nothing else."""
		self._told(row, "all_cards_failed")
		self._every_card_was_tried(row)
		setting = self.world.get(rows.AutoRechargeSetting, row.account)
		if row.origin == steps.AUTOMATIC:
			must(not setting.enabled, "switched off after a failure", f"{row.name} was {before}")
			must(setting.disabled_reason, "switched off with the reason", row.name)

	def _every_card_was_tried(self, row: rows.Recharge) -> None:
		"""No recharge fails while a card is left that may be asked."""
		attempts = self.world.all(rows.RechargeAttempt, row.name)
		setting = self.world.get(rows.AutoRechargeSetting, row.account)
		if sum(a.status == "Error" for a in attempts) >= MOST_ERRORS:
			return
		for name in [row.card] if row.card else setting.cards:
			card = self.world.get(rows.RechargeCard, name)
			tried = [a for a in attempts if a.card == name and a.status not in ("Error", "Never Happened")]
			must(tried or card.account != row.account, "no good card is left out", (row, card))

	def _told(self, row: rows.Recharge, kind: str) -> None:
		told = [n.kind for n in self.world.all(rows.Notice, row.name)]
		must(kind in told, "people are told", f"{row.name} is {row.status}: {told}")

	def _started(self, row: rows.Recharge) -> None:
		"""Rules 3 and 6, when an automatic recharge has been decided on."""
		account = self.world.get(rows.CreditAccount, row.account)
		setting = self.world.get(rows.AutoRechargeSetting, row.account)
		must(self.switched_on[row.account], "switched off means off", row.name)
		must(not setting.paused_because, "paused means nothing is charged", row.name)
		must(not account.held_because, "a clawback starts nothing", f"{row.name}: {account.held_because}")
		must(
			account.status == "Active",
			"only for an account in good standing",
			f"{row.name}: {account.status}",
		)
		must(setting.cards, "no recharge without a card", row.name)
		self._started_by(row)
		limit = setting.limits
		must(limit.minimum <= row.amount <= limit.maximum, "within one payment's limits", row.amount)
		balance = Decimal(row.decision_figures["balance"])
		refused = Decimal(row.decision_figures.get("refused", 0))
		must(
			balance <= setting.falls_below or balance < refused <= setting.recharge_up_to,
			"only at or below the level",
			f"{row.name}: {balance} with {refused} refused",
		)
		must(
			row.amount == min(setting.recharge_up_to - balance, limit.maximum),
			"the whole gap in one payment",
			f"{row.name}: {row.amount} at {balance}",
		)
		must(
			balance >= -account.overdraft_limit or balance + row.amount > setting.falls_below,
			"no debt is paid off by one payment after the other",
			f"{row.name}: {row.amount} at {balance}",
		)
		must(not self.spike(row.account), "unusual usage charges nothing", row.name)
		for name, limit_, used in self.setting_caps(row.account):
			must(used <= limit_, "caps", f"{row.account}: {name} is {limit_}, {used} is used or in flight")

	def _started_by(self, row: rows.Recharge) -> None:
		entry = next(
			(e for e in reversed(self.ledgers[row.account].entries) if e.name == row.triggered_by), None
		)
		must(
			entry is None or entry.entry_type in ("Usage", "Recharge"),
			"only usage triggers",
			f"{row.name} was started by a {entry and entry.entry_type}",
		)

	def spike(self, account: str, more: Decimal = ZERO) -> bool:
		"""Whether usage, with `more`, is more than the setting's factor times the usual day, and than any day before."""
		setting = self.world.get(rows.AutoRechargeSetting, account)
		days = self.world.get(rows.CreditAccount, account).daily_usage[-28:]
		if not setting.anomaly_factor or len(days) < 7:
			return False
		start = self.clock.now() - DAY
		start = max(start, setting.seen_until) if setting.seen_until else start
		used = more - sum(
			(
				e.amount
				for e in self.ledgers[account].entries
				if e.entry_type in ("Usage", "Reversal") and e.posted_at >= start
			),
			ZERO,
		)
		usual = sum(days, ZERO) / len(days)
		return bool(usual) and used > setting.anomaly_factor * usual and used > max(days)

	# -- caps ------------------------------------------------------------------------------------------------

	def setting_caps(self, account: str) -> list[tuple[str, Decimal, Decimal]]:
		caps = self.world.get(rows.AutoRechargeSetting, account).caps
		return self.counted(account, {n: getattr(caps, n) for n in caps.__slots__}, automatic_only=True)

	def counted(
		self, account: str, limits: dict[str, Any], automatic_only: bool
	) -> list[tuple[str, Decimal, Decimal]]:
		"""Each cap that is set, with what is captured in its window or in flight."""
		now, zone = self.clock.now(), self.world.get(rows.CreditAccount, account).zone
		counted = [
			r
			for r in self.world.all(rows.Recharge, account)
			if (r.origin == steps.AUTOMATIC or not automatic_only) and (r.settled_at or r.status in IN_FLIGHT)
		]
		here = now.astimezone(zone)

		def inside(window: str, at: datetime | None) -> bool:
			if at is None:
				return True
			if window == "hour":
				return at > now - HOUR
			there = at.astimezone(zone)
			same_month = (there.year, there.month) == (here.year, here.month)
			return same_month and (window == "month" or there.day == here.day)

		found = []
		for name, limit in limits.items():
			kind, _, window = name.partition("_")
			inside_ = [r for r in counted if inside(window, r.settled_at)]
			used = Decimal(len(inside_)) if kind == "count" else sum((r.amount for r in inside_), ZERO)
			if limit:
				found.append((name, Decimal(limit), used))
		return found

	def _own_caps(self, row: rows.Recharge) -> None:
		"""The account's own caps hold for recharges of any origin."""
		account = self.world.get(rows.CreditAccount, row.account)
		limits = {"amount_day": account.cap_amount_day, "amount_month": account.cap_amount_month}
		for name, limit, used in self.counted(row.account, limits, automatic_only=False):
			must(used <= limit, "the account's own caps", f"{row.name}: {name} is {limit}, {used} is used")

	def _caps_count(self, name: str) -> None:
		"""What a decision would count now, were no recharge open: in flight is as good as captured."""
		setting = self.world.get(rows.AutoRechargeSetting, name)
		if not self.open[name] or setting is None or not setting.enabled or setting.paused_because:
			return
		transaction = self.world.begin()
		account = self.world.get(rows.CreditAccount, name)
		free = rows.CreditAccount(
			**{field: getattr(account, field) for field in account.__dataclass_fields__}
			| {"open_recharge": None}
		)
		view: threshold.View = books.view_of(transaction, free, setting, self.clock.now())
		seen = {cap.name: cap.used for cap in view.caps}
		limits = {"amount_day": account.cap_amount_day, "amount_month": account.cap_amount_month}
		expected = {n: used for n, _, used in self.setting_caps(name)} | {
			f"account_{n}": used for n, _, used in self.counted(name, limits, automatic_only=False)
		}
		must(seen == expected, "caps count what is in flight", f"{name}: {seen}, {expected}")

	# -- attempts --------------------------------------------------------------------------------------------

	def _attempt(self, before: rows.RechargeAttempt | None, row: rows.RechargeAttempt, label: str) -> None:
		self._follow_card(before, row)
		if row.asks >= MOST_ASKS and row.status in OPEN_ATTEMPT:
			self._told(self.world.get(rows.Recharge, row.recharge), "gateway_error")
		if before is not None:
			decided = before.status not in (*OPEN_ATTEMPT, "Needs Authentication")
			must(
				not decided or row.status not in OPEN_ATTEMPT, "what is decided stays decided", (before, row)
			)
		if label == "webhook" and row.status == "Succeeded" and before and before.status != "Succeeded":
			self._attempt_paid(before, row)
		if before is None and row.status == "Skipped":
			self._skipped(row)
		if before is not None or row.status != "Created" or row.card is None:
			return
		recharge = self.world.get(rows.Recharge, row.recharge)
		account = self.world.get(rows.CreditAccount, recharge.account)
		must(
			recharge.origin != steps.AUTOMATIC or (not account.held_because and account.status == "Active"),
			"no card is asked for a held account",
			f"{row.name}: {account.held_because}, {account.status}",
		)
		named = {intent.attempt for intent in self._undecided(row.recharge)}
		attempts = self.world.all(rows.RechargeAttempt, row.recharge)
		must(
			not named & {a.name for a in attempts if a.name != row.name},
			"no card is asked while money is held",
			(row, named),
		)
		for other in attempts:
			must(
				other.name == row.name or (other.status not in OPEN_ATTEMPT and not other.intent_open),
				"one card at a time",
				f"{row.name} is begun while {other.name} is {other.status}",
			)

	def _undecided(self, recharge: str) -> list[Intent]:
		"""Payments for it that do not fit, and about which nobody has decided."""
		return [
			self.gateway.intents[d.intent]
			for d in self.world.all(rows.Difference, recharge)
			if d.kind == "does_not_fit" and not d.decision
		]

	def _attempt_paid(self, before: rows.RechargeAttempt, row: rows.RechargeAttempt) -> None:
		"""An attempt is paid by its own payment, or by one that fits."""
		intent = self.gateway.intents[row.intent or ""]
		recharge = self.world.get(rows.Recharge, row.recharge)
		fits = (intent.amount, intent.currency, intent.customer) == (
			recharge.amount,
			recharge.currency,
			self.world.get(rows.CreditAccount, recharge.account).customer,
		)
		must(fits or before.intent == row.intent, "an attempt's own capture", (row, intent))

	def _skipped(self, row: rows.RechargeAttempt) -> None:
		"""No card is passed over without the reason that is given."""
		card = self.world.get(rows.RechargeCard, row.card)
		reason = {
			"not_a_card": card.kind != "card",
			"expired": card.status == "Expired" or self.is_past_date(card),
			"not_active": card.status != "Active",
			"network_limit": self.declines(card) >= MOST_DECLINES,
		}[row.code or ""]
		must(reason, "no good card is passed over", (row, card))

	def _card(self, before: rows.RechargeCard | None, row: rows.RechargeCard, label: str) -> None:
		if before is None or before.status == row.status:
			return
		if row.status == "Active":
			must(label.startswith("person"), "only a person makes a card good again", row.name)
			self.dead_cards.discard(row.name)
			return
		owners = {
			self.world.get(rows.Recharge, a.recharge).account
			for a in self.world.all(rows.RechargeAttempt)
			if a.card == row.name
		}
		if row.status == "Expired":
			tried = [
				a for r in self.world.all(rows.Recharge) for a in self.world.all(rows.RechargeAttempt, r.name)
			]
			said = any(a.card == row.name and a.decline_class == "expired" for a in tried)
			must(said or self.is_past_date(row), "no good card is called expired", row)
		must(row.account in owners, "a card is judged for its own account", f"{row.name} by {label}")

	def _follow_card(self, before: rows.RechargeAttempt | None, row: rows.RechargeAttempt) -> None:
		"""A card that the bank calls lost or expired is marked in the same transaction."""
		was_declined = before is not None and before.status == "Declined"
		if not row.card or was_declined or row.status != "Declined" or row.decline_class not in DEAD:
			return
		self.dead_cards.add(row.card)
		status = self.world.get(rows.RechargeCard, row.card).status
		must(status != "Active", "a card that is lost is marked", f"{row.name} of {row.card}")

	def _follow_open(self, row: rows.Recharge) -> None:
		open_ = self.open[row.account]
		(open_.add if row.status in IN_FLIGHT else open_.discard)(row.name)

	# -- before the gateway is asked -------------------------------------------------------------------------

	def before_charge(self, effect: effects.Charge, run: Any) -> None:
		"""Rule 2, captures: no other payment of this recharge can hold money when a card is asked."""
		self._one_asks(effect, run)
		card = self.world.get(rows.RechargeCard, effect.card)
		recharge = self.world.get(rows.Recharge, effect.recharge)
		must(card.account == recharge.account, "its own cards", f"{effect.key} asks {card.name}")
		if self.gateway.remembers(effect.key) or (effect.until and self.clock.now() > effect.until):
			# A key that the gateway remembers makes no new payment; nor does one that is too old to be asked.
			return
		again = [i for i in self.gateway.intents.values() if i.key == effect.key and i.status != CANCELED]
		must(not again, "a key is not asked again once it is forgotten", again)
		for intent in self.gateway.intents.values():
			if intent.recharge == effect.recharge and intent.key != effect.key and not is_others(intent.key):
				must(
					intent.status == CANCELED,
					"one capture a recharge",
					f"{effect.key} is charged while {intent.key} is {intent.status}",
				)
		self._card_may_be_asked(effect, card)

	def _card_may_be_asked(self, effect: effects.Charge, card: rows.RechargeCard) -> None:
		recharge = self.world.get(rows.Recharge, effect.recharge)
		attempt = self.world.get(rows.RechargeAttempt, effect.key)
		must(recharge.card in (None, card.name), "the card that was chosen", f"{effect.key} asks {card.name}")
		if attempt.created_at < self.clock.now():
			# What was good when it was begun is asked to the end.
			return
		must(card.name not in self.dead_cards, "a card that is lost is not asked again", effect.key)
		must(card.kind == "card", "bank accounts are not charged", effect.key)
		must(not self.is_past_date(card), "an expired card is not asked", effect.key)
		must(self.declines(card) < MOST_DECLINES, "the networks' limits", f"{effect.key} asks {card.name}")

	def is_past_date(self, card: rows.RechargeCard) -> bool:
		"""Whether the card's month is over where its account is."""
		today = self.clock.now().astimezone(self.world.get(rows.CreditAccount, card.account).zone)
		if not card.exp_month or not card.exp_year:
			return False
		return (card.exp_year, card.exp_month) < (today.year, today.month)

	def declines(self, card: rows.RechargeCard) -> int:
		"""How often the card, under any entry of it, was declined in thirty days."""
		since = self.clock.now() - DECLINE_WINDOW
		return sum(
			a.status == "Declined"
			and a.created_at > since
			and (a.fingerprint == card.fingerprint if card.fingerprint else a.card == card.name)
			for a in self.world.all(rows.RechargeAttempt)
		)

	def _one_asks(self, effect: effects.Charge, run: Any) -> None:
		"""The lease: while a worker may still wait for the gateway's answer, no other asks."""
		now = self.clock.now()
		last, until = self.asking.get(effect.recharge, (run, now))
		must(
			last is run or last.is_over or until <= now,
			"one worker at a time",
			f"{effect.key} is asked again by another, {until - now} too early",
		)
		lease = self.world.get(rows.Recharge, effect.recharge).lease_until or now
		self.asking[effect.recharge] = (run, min(lease, now + LEASE))

	# -- claims ----------------------------------------------------------------------------------------------

	def _refund(self, before: rows.Refund | None, row: rows.Refund, label: str) -> None:
		values = row.values
		if before is None and values["kind"] == "Requested":
			recharge = self.world.get(rows.Recharge, row.recharge)
			must(
				recharge.status not in ("Disputed", "Charged Back"),
				"what is disputed is not refunded",
				row.name,
			)
			taken = values.get("taken", ZERO)
			must(taken == values["amount"], "credits are set aside first", f"{row.name}: {taken}")
			own = self._own(row)
			drawn = -sum((a for lot, a in own.lots if lot == self._lot_of(recharge)), ZERO) if own else ZERO
			must(
				drawn == values["amount"],
				"no more is refunded than is unused",
				f"{row.name} of {values['amount']} found {drawn} unused",
			)
		if before is None and values.get("taken", ZERO) > 0:
			self._holds(row, values["kind"])
		if (
			before
			and before.values.get("gateway_refund")
			and before.values["status"] in ("Failed", "Succeeded")
		):
			must(
				values["status"] == before.values["status"]
				or (before.values["status"], values["status"]) == ("Succeeded", "Failed"),
				"old answers change nothing",
				f"{row.name}: {before.values['status']}, then {values['status']}",
			)

	def _holds(self, row: rows.Refund, kind: str) -> None:
		"""What was taken back holds auto-recharge: always where nobody here has asked for it, else at the level."""
		account = self.world.get(rows.CreditAccount, self.world.get(rows.Recharge, row.recharge).account)
		setting = self.world.get(rows.AutoRechargeSetting, account.name)
		is_low = setting.enabled and account.balance <= setting.falls_below
		held = account.held_because or ""
		is_held = f"Refund {row.name}" in held or "…" in held
		must(is_held or not (kind == "From Gateway" or is_low), "what is taken back holds", (row, account))

	def _own(self, row: rows.Refund) -> Entry | None:
		account = self.world.get(rows.Recharge, row.recharge).account
		found = (e for e in self.ledgers[account].entries if e.reference_name == row.name)
		return next(found, None)

	def _lot_of(self, recharge: rows.Recharge) -> str:
		ledger = self.ledgers[recharge.account]
		entry = next(e for e in ledger.entries if e.name == recharge.ledger_entry)
		return next(lot.name for lot in ledger.lots.values() if lot.source_key == entry.request_key)

	def _dispute(self, before: rows.Dispute | None, row: rows.Dispute, label: str) -> None:
		if row.values["status"] not in ("Open", "Warning"):
			return
		account = self.world.get(rows.CreditAccount, self.world.get(rows.Recharge, row.recharge).account)
		must(account.held_because or before, "a dispute holds auto-recharge", row.name)
		if row.values["status"] == "Warning":
			marked = row.name in (account.held_because or "") or "…" in (account.held_because or "")
			must(marked or before, "a fraud warning holds", row.name)
			return
		if before is None or before.values["status"] not in ("Open", "Lost"):
			must(account.status != "Active", "a dispute flags the account", f"{row.name}: {account.status}")
			open_ = account.open_recharge and self.world.get(rows.Recharge, account.open_recharge)
			asked = open_ and [
				a for a in self.world.all(rows.RechargeAttempt, open_.name) if a.status != "Skipped"
			]
			must(
				not open_ or asked or open_.origin != steps.AUTOMATIC or open_.status not in IN_FLIGHT[:3],
				"what no card was asked for is called off",
				f"{row.name}: {open_ and open_.name}",
			)

	_CHECKS = {
		rows.CreditAccount: _account,
		rows.AutoRechargeSetting: _setting,
		rows.Recharge: _recharge,
		rows.RechargeAttempt: _attempt,
		rows.RechargeCard: _card,
		rows.Refund: _refund,
		rows.Dispute: _dispute,
	}


def is_others(key: str) -> bool:
	"""Payments without one of the machine's keys: made by a person on the gateway's own page (they may come twice, and
	are refunded), or by a stranger (they do not fit, and are held)."""
	return key.endswith(("-page", "-strange"))


def money_of(intent: Intent) -> Decimal:
	"""What a payment holds now."""
	return intent.amount - intent.refunded if intent.status == SUCCEEDED else ZERO
