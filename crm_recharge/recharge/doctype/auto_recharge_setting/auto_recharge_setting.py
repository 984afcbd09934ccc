import json

import frappe
from frappe import _

from crm_recharge import clock
from crm_recharge.clock import now_datetime
from crm_recharge.credits.errors import for_people
from crm_recharge.credits.money import exact
from crm_recharge.credits.store import lock_account, lock_row
from crm_recharge.domain import cards as card_rules
from crm_recharge.domain import credit_events
from crm_recharge.domain.caps import CapLimits, check_caps
from crm_recharge.domain.errors import InvalidRequest, Outdated
from crm_recharge.domain.money import parse, plain
from crm_recharge.domain.threshold import View, check_setting, fitting
from crm_recharge.doors.guard import GuardedDocument
from crm_recharge.outbox import events
from crm_recharge.recharge import takebacks
from crm_recharge.recharge.caps import SETTING_CAPS
from crm_recharge.recharge.cards import today_of
from crm_recharge.recharge.decisions import cap_label
from crm_recharge.recharge.limits import payment_limits
from crm_recharge.recharge.threshold import check_now, foresee

LONGEST_CARD_LIST = 10
DEFAULTS = {field: View.__dataclass_fields__[field].default for field in ("falls_below", "recharge_up_to")}
COUNTS = ("cap_count_hour", "cap_count_day")
NUMBERS = (*DEFAULTS, *(f"cap_{cap}" for cap in SETTING_CAPS), "anomaly_factor")


class AutoRechargeSetting(GuardedDocument):
	def own_name(self):
		# An account's setting is found by its name.
		return f"ARS-{self.credit_account}"

	def check_if_latest(self):
		# The account's row before this one, as the threshold check and the worker lock them.
		self.lock_account()
		super().check_if_latest()

	def lock_account(self):
		lock_row(self.credit_account)

	@for_people
	def validate(self):
		self.set_defaults()
		self.check_numbers()
		check_setting(
			exact(self.falls_below),
			exact(self.recharge_up_to),
			self.currency or "",
			payment_limits(self.currency),
		)
		self.check_caps()
		self.check_cards()
		self.note_switch()
		self.refuse_untold_charge()

	def set_defaults(self):
		"""A new setting takes what is empty from the site's; emptied later it is refused, for 0 is a level too."""
		missing = [field for field in DEFAULTS if self.get(field) is None and self.is_new()]
		for field in missing:
			setting = frappe.get_cached_doc("CRM Recharge Settings").get(f"default_{field}")
			self.set(field, DEFAULTS[field] if setting is None else setting)
		if len(missing) == len(DEFAULTS):
			levels = fitting(
				exact(self.falls_below), exact(self.recharge_up_to), payment_limits(self.currency)
			)
			self.falls_below, self.recharge_up_to = map(plain, levels)
		for field in DEFAULTS:
			if self.get(field) in (None, ""):
				raise InvalidRequest("amount_missing", what=_(self.meta.get_label(field)))

	def check_numbers(self):
		for field in NUMBERS:
			number = parse(self.get(field) or 0, self.meta.get_label(field))
			if field in COUNTS and number != int(number):
				raise InvalidRequest("not_whole", what=self.meta.get_label(field), value=plain(number))

	def check_caps(self):
		limits = CapLimits(**{cap: exact(self.get(f"cap_{cap}")) for cap in SETTING_CAPS})
		try:
			check_caps(limits, exact(self.recharge_up_to), self.currency or "")
		except InvalidRequest as refused:
			refused.figures["cap"] = cap_label(refused.figures["cap"])
			raise

	def check_cards(self):
		if len(self.cards) > LONGEST_CARD_LIST:
			raise InvalidRequest("too_many_cards", most=LONGEST_CARD_LIST)
		seen, self.flags.usable_cards, today = {}, [], today_of(self.credit_account)
		for row in self.cards:
			card = frappe.db.get_value(
				"Recharge Card",
				row.card,
				[
					"name",
					"credit_account",
					"kind",
					"status",
					"exp_month",
					"exp_year",
					"fingerprint",
					"brand",
					"last4",
					"card_label",
				],
				as_dict=True,
			)
			self.check_card(row, card, seen)
			row.brand, row.last4, row.card_status = card.brand, card.last4, card.status
			reason = card_rules.why_unusable(
				card_rules.Card(
					card.name,
					status=card.status,
					kind=card.kind,
					exp_month=card.exp_month,
					exp_year=card.exp_year,
				),
				today,
			)
			if reason is None:
				self.flags.usable_cards.append(card.card_label)
		if self.enabled and not self.flags.usable_cards:
			raise InvalidRequest("no_usable_card")

	def _validate_links(self):
		# Frappe 15 leaves rows with what is fetched to us; 16 would say it in words without a code.
		for row in self.cards:
			if row.card and not frappe.db.exists("Recharge Card", row.card):
				raise InvalidRequest("unknown_card", card=row.card)
		super()._validate_links()

	def check_card(self, row, card, seen: dict):
		if not card:
			raise InvalidRequest("unknown_card", card=row.card)
		if card.credit_account != self.credit_account:
			# Says nothing of a card that is not theirs.
			raise InvalidRequest("card_of_another_account", card=card.name, account=self.credit_account)
		figures = {"row": row.idx, "card": card.name, "last4": card.last4}
		if card.kind != "card":
			raise InvalidRequest("cards_only", **figures, kind=card.kind)
		if card.status == card_rules.REMOVED:
			raise InvalidRequest("card_removed", **figures)
		marks = [mark for mark in (card.name, card.fingerprint) if mark]
		if first := next((seen[mark] for mark in marks if mark in seen), None):
			raise InvalidRequest("card_twice", **figures, first=first)
		seen.update(dict.fromkeys(marks, row.idx))

	def note_switch(self):
		if not self.is_switched_on():
			return
		if getattr(frappe.local, "job", None):
			frappe.throw(_("Only a person can switch auto recharge on."), frappe.PermissionError)
		self.enabled_by, self.enabled_at = frappe.session.user, now_datetime()
		self.disabled_reason = self.disabled_at = None
		self.end_pause()

	def end_pause(self):
		"""A person has looked at what was used until now: it does not pause again."""
		if self.paused_because:
			self.usage_seen_until = now_datetime()
		self.paused_because = self.paused_at = None

	def is_switched_on(self) -> bool:
		before = self.get_doc_before_save()
		return bool(self.enabled and not (before and before.enabled))

	def refuse_untold_charge(self):
		"""Nobody's form, list or import charges a card by saving before it has told how much.

		Who asks first says what was agreed to in `charge_agreed` (the amount); a documented call of the REST API,
		and the app itself, need not ask.
		"""
		by_a_person = self.flags.asks_first or getattr(frappe.local, "request", None)
		if not by_a_person or self.flags.may_charge:
			return
		if charge := self.charge_at_once():
			refuse_untold(self.get("charge_agreed"), charge)

	def charge_at_once(self) -> dict | None:
		"""What saving would charge at once: amount, currency, balance, falls_below, card. None: nothing.

		The setting has been validated.
		"""
		if not self.is_switched_on():
			return None
		found = foresee(self.credit_account, self.for_account())
		return found and found | {"card": self.flags.usable_cards[0]}

	def on_update(self):
		self.copy_to_account()
		self.tell_switch()
		if self.is_switched_on():
			# Switched on while the balance is already low: do not wait for the next usage.
			check_now(self.credit_account)

	def tell_switch(self):
		before = self.get_doc_before_save()
		was_on, was_paused = bool(before and before.enabled), bool(before and before.paused_because)
		if bool(self.enabled) != was_on:
			switched = credit_events.ENABLED if self.enabled else credit_events.DISABLED
			events.tell(switched, self.credit_account, {"reason": None, "by": "person"})
		elif was_paused and not self.paused_because:
			events.tell(
				credit_events.RESUMED, self.credit_account, {"reason": before.paused_because, "by": "person"}
			)

	def for_account(self) -> dict:
		"""The setting as the account's own row keeps it."""
		return {
			"enabled": int(bool(self.enabled)),
			"falls_below": plain(exact(self.falls_below)),
			"recharge_up_to": plain(exact(self.recharge_up_to)),
			"cards": len(self.cards),
			"anomaly_factor": plain(exact(self.anomaly_factor)),
			"paused_because": self.paused_because or None,
			"switched_off": int(bool(self.disabled_reason and not self.enabled)),
			"seen_until": self.usage_seen_until and clock.read(self.usage_seen_until).isoformat(),
		} | {cap: plain(exact(self.get(f"cap_{cap}"))) for cap in SETTING_CAPS}

	def copy_to_account(self):
		"""Keep the account's own row able to decide without reading anything else."""
		self.lock_account()
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `auto_recharge` = %s WHERE `name` = %s",
			(json.dumps(self.for_account()), self.credit_account),
		)

	def on_trash(self):
		self.lock_account()
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `auto_recharge` = NULL WHERE `name` = %s", self.credit_account
		)


def refuse_untold(agreed, charge: dict) -> None:
	"""Refuse what would charge a card with another amount than was `agreed` to. Raises Outdated (409)."""
	if agreed in (None, "") or parse(agreed) != parse(charge["amount"]):
		raise Outdated("charge_not_agreed", **charge)


def charge_on_resume(account: str) -> dict | None:
	"""What `resume` would charge at once: as `charge_at_once`. The caller has checked the permission."""
	name = frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account})
	kept = name and frappe.db.get_value("Credit Account", account, "auto_recharge")
	if not kept:
		return None
	found = foresee(account, json.loads(kept), resumed=True)
	doc = frappe.get_doc("Auto-Recharge Setting", name)
	doc.check_cards()
	return found and found | {"card": doc.flags.usable_cards[0]}


def resume(account: str) -> None:
	"""End a pause, or a hold after a clawback: a person has looked. Checks the balance at once.

	The caller has checked the permission and commits. Raises frappe.ValidationError while a dispute is open.
	"""
	lock_account(account)
	name = frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account})
	takebacks.release(account)
	if not name:
		return
	doc = frappe.get_doc("Auto-Recharge Setting", name)
	if doc.paused_because:
		paused = {"reason": doc.paused_because, "by": "person"}
		events.tell(credit_events.RESUMED, account, paused)
	doc.end_pause()
	doc.db_set({field: doc.get(field) for field in ("paused_because", "paused_at", "usage_seen_until")})
	doc.copy_to_account()
	doc.add_comment("Info", _("Resumed by {0}").format(frappe.session.user))
	check_now(account)


def switch_off(account: str, reason: str) -> None:
	"""Switch auto recharge of `account` off, with the reason. The caller holds the account's lock."""
	name, enabled = frappe.db.get_value(
		"Auto-Recharge Setting", {"credit_account": account}, ["name", "enabled"]
	) or (None, None)
	if not name:
		return
	if enabled:
		events.tell(credit_events.DISABLED, account, {"reason": reason, "by": "system"})
	frappe.db.set_value(
		"Auto-Recharge Setting",
		name,
		{"enabled": 0, "disabled_reason": reason, "disabled_at": now_datetime()},
	)
	doc = frappe.get_doc("Auto-Recharge Setting", name)
	doc.copy_to_account()
	doc.add_comment("Info", _("Auto recharge was switched off: {0}").format(reason))
