import json

import frappe
from frappe import _

from crm_recharge import clock
from crm_recharge.clock import now_datetime
from crm_recharge.credits.errors import for_people
from crm_recharge.credits.money import exact
from crm_recharge.credits.store import lock_account, lock_row
from crm_recharge.domain import cards as card_rules
from crm_recharge.domain import moments
from crm_recharge.domain.caps import CapLimits, check_caps
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import parse, plain
from crm_recharge.domain.threshold import View, check_setting, fitting
from crm_recharge.doors.guard import GuardedDocument
from crm_recharge.recharge import takebacks
from crm_recharge.recharge.caps import SETTING_CAPS
from crm_recharge.recharge.limits import payment_limits
from crm_recharge.recharge.threshold import check_now

LONGEST_CARD_LIST = 10
DEFAULTS = {field: View.__dataclass_fields__[field].default for field in ("falls_below", "recharge_up_to")}
COUNTS = ("cap_count_hour", "cap_count_day")
NUMBERS = (*DEFAULTS, *(f"cap_{cap}" for cap in SETTING_CAPS), "anomaly_factor")


class AutoRechargeSetting(GuardedDocument):
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

	def set_defaults(self):
		missing = [field for field in DEFAULTS if self.get(field) is None]
		for field in missing:
			setting = frappe.db.get_single_value("CRM Recharge Settings", f"default_{field}")
			self.set(field, setting or DEFAULTS[field])
		if len(missing) == len(DEFAULTS):
			levels = fitting(
				exact(self.falls_below), exact(self.recharge_up_to), payment_limits(self.currency)
			)
			self.falls_below, self.recharge_up_to = map(plain, levels)

	def check_numbers(self):
		for field in NUMBERS:
			number = parse(self.get(field) or 0, self.meta.get_label(field))
			if field in COUNTS and number != int(number):
				raise InvalidRequest("not_whole", what=self.meta.get_label(field), value=plain(number))

	def check_caps(self):
		limits = CapLimits(**{cap: exact(self.get(f"cap_{cap}")) for cap in SETTING_CAPS})
		check_caps(limits, exact(self.recharge_up_to), self.currency or "")

	def check_cards(self):
		if len(self.cards) > LONGEST_CARD_LIST:
			frappe.throw(_("At most {0} cards can be listed.").format(LONGEST_CARD_LIST))
		seen, usable, today = {}, 0, self.today()
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
			usable += reason is None
		if self.enabled and not usable:
			frappe.throw(
				_("Auto recharge needs at least one usable card. Add a card, or replace the expired ones."),
				title=_("No usable card"),
			)

	def today(self):
		"""The day it is where the account is: a card is good until the last day of its month there."""
		zone = frappe.db.get_value("Credit Account", self.credit_account, "time_zone")
		return moments.day_of(clock.read(now_datetime()), clock.zone_of(zone))

	def check_card(self, row, card, seen: dict):
		if not card:
			frappe.throw(_("Row {0}: there is no card {1}.").format(row.idx, row.card))
		if card.kind != "card":
			frappe.throw(
				_(
					"Row {0}: {1} is not a card but a {2}. Auto recharge takes cards only; bank accounts (ACH) settle too slowly."
				).format(row.idx, row.card, card.kind),
				title=_("Cards only"),
			)
		if card.credit_account != self.credit_account:
			frappe.throw(
				_("Row {0}: card {1} belongs to another account. Choose one of {2}.").format(
					row.idx, row.card, self.credit_account
				),
				title=_("Card of another account"),
			)
		if card.status == card_rules.REMOVED:
			frappe.throw(
				_("Row {0}: card •••• {1} has been removed. Take it off the list.").format(
					row.idx, card.last4
				)
			)
		for mark in filter(None, (card.name, card.fingerprint)):
			if mark in seen:
				frappe.throw(
					_("Row {0}: card •••• {1} is already in row {2}. List each card once.").format(
						row.idx, card.last4, seen[mark]
					),
					title=_("Card twice"),
				)
		seen.update({mark: row.idx for mark in (card.name, card.fingerprint) if mark})

	def note_switch(self):
		before = self.get_doc_before_save()
		if not self.enabled or (before and before.enabled):
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

	def on_update(self):
		self.copy_to_account()
		before = self.get_doc_before_save()
		if self.enabled and not (before and before.enabled):
			# Switched on while the balance is already low: do not wait for the next usage.
			check_now(self.credit_account)

	def copy_to_account(self):
		"""Keep the account's own row able to decide without reading anything else."""
		copy = {
			"enabled": int(bool(self.enabled)),
			"falls_below": plain(exact(self.falls_below)),
			"recharge_up_to": plain(exact(self.recharge_up_to)),
			"cards": len(self.cards),
			"anomaly_factor": plain(exact(self.anomaly_factor)),
			"paused_because": self.paused_because or None,
			"seen_until": self.usage_seen_until and clock.read(self.usage_seen_until).isoformat(),
		} | {cap: plain(exact(self.get(f"cap_{cap}"))) for cap in SETTING_CAPS}
		self.lock_account()
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `auto_recharge` = %s WHERE `name` = %s",
			(json.dumps(copy), self.credit_account),
		)

	def on_trash(self):
		self.lock_account()
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `auto_recharge` = NULL WHERE `name` = %s", self.credit_account
		)


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
	doc.end_pause()
	doc.db_set({field: doc.get(field) for field in ("paused_because", "paused_at", "usage_seen_until")})
	doc.copy_to_account()
	doc.add_comment("Info", _("Resumed by {0}").format(frappe.session.user))
	check_now(account)


def switch_off(account: str, reason: str) -> None:
	"""Switch auto recharge of `account` off, with the reason. The caller holds the account's lock."""
	name = frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account})
	if not name:
		return
	frappe.db.set_value(
		"Auto-Recharge Setting",
		name,
		{"enabled": 0, "disabled_reason": reason, "disabled_at": now_datetime()},
	)
	doc = frappe.get_doc("Auto-Recharge Setting", name)
	doc.copy_to_account()
	doc.add_comment("Info", _("Auto recharge was switched off: {0}").format(reason))
