"""A setting is refused when saved, not ignored when needed; only a person switches it on."""

import json
from datetime import date
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe import client

from crm_recharge.api.recharge import auto_recharge, set_auto_recharge
from crm_recharge.credits import usage
from crm_recharge.recharge import cards
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import switch_off
from crm_recharge.tests import factories
from crm_recharge.tests.compat import NO_RECORDS
from crm_recharge.tests.support.money_case import GatewayTestCase

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = NO_RECORDS

VISA, MASTERCARD = "4242424242424242", "5555555555554444"


class TestAutoRechargeSetting(GatewayTestCase):
	def setUp(self):
		super().setUp()
		self.one = self.account("1000")

	def copy(self, account=None):
		"""The account's own copy of the setting."""
		frappe.db.rollback()
		return json.loads(
			frappe.db.get_value("Credit Account", account or self.one, "auto_recharge") or "null"
		)

	def refused(self, text, cards=(), **values):
		with self.assertRaisesRegex((frappe.ValidationError, frappe.PermissionError), text):
			factories.make_setting(self.one, cards, **values)
		frappe.db.rollback()
		self.assertIsNone(self.copy())
		frappe.clear_messages()

	def test_the_defaults_are_50_and_500(self):
		setting = frappe.get_doc(
			"Auto-Recharge Setting", factories.make_setting(self.one, [self.card(self.one)])
		)
		self.assertEqual((setting.falls_below, setting.recharge_up_to), (50, 500))
		self.assertEqual((setting.currency, setting.enabled_by), ("USD", "Administrator"))
		frappe.db.commit()
		self.assertEqual(
			{k: self.copy()[k] for k in ("enabled", "falls_below", "recharge_up_to", "cards")},
			{"enabled": 1, "falls_below": "50", "recharge_up_to": "500", "cards": 1},
		)

	def test_the_defaults_of_the_site_go_before(self):
		self.addCleanup(frappe.db.rollback)
		for field, value in (("default_falls_below", 20), ("default_recharge_up_to", 80)):
			frappe.db.set_single_value("CRM Recharge Settings", field, value)
		setting = frappe.get_doc("Auto-Recharge Setting", factories.make_setting(self.one, enabled=0))
		self.assertEqual((setting.falls_below, setting.recharge_up_to), (20, 80))

	def test_zero_is_a_level_too(self):
		name = factories.make_setting(self.one, [self.card(self.one)], falls_below=0)
		self.assertEqual(frappe.db.get_value("Auto-Recharge Setting", name, "falls_below"), 0)

	def test_an_emptied_level_is_refused_not_taken_for_zero(self):
		name = factories.make_setting(self.one, [self.card(self.one)])
		frappe.db.commit()
		for empty in (None, ""):
			for field, label in (("falls_below", "Falls Below"), ("recharge_up_to", "Recharge Up To")):
				with self.subTest(field=field, empty=empty):
					doc = frappe.get_doc("Auto-Recharge Setting", name)
					doc.set(field, empty)
					with self.assertRaisesRegex(frappe.ValidationError, f"{label} is empty"):
						doc.save()
					frappe.db.rollback()
		with self.assertRaisesRegex(frappe.ValidationError, "Falls Below is empty"):
			client.set_value("Auto-Recharge Setting", name, "falls_below", "")
		frappe.db.rollback()
		self.assertEqual((self.copy()["falls_below"], self.copy()["recharge_up_to"]), ("50", "500"))

	def test_a_default_of_zero_is_zero(self):
		settings = frappe.get_doc("CRM Recharge Settings")
		self.addCleanup(frappe.clear_document_cache, "CRM Recharge Settings", "CRM Recharge Settings")
		self.addCleanup(frappe.db.rollback)
		settings.default_falls_below = 0
		settings.save()
		name = factories.make_setting(self.one, enabled=0)
		self.assertEqual(frappe.db.get_value("Auto-Recharge Setting", name, "falls_below"), 0)

	def test_the_accounts_row_tells_that_a_failure_switched_it_off(self):
		name = factories.make_setting(self.one, [self.card(self.one)])
		frappe.db.commit()
		self.assertEqual(self.copy()["switched_off"], 0)
		switch_off(self.one, "Visa •••• 4242: the bank declined the card")
		frappe.db.commit()
		self.assertEqual(self.copy()["switched_off"], 1)
		doc = frappe.get_doc("Auto-Recharge Setting", name)
		doc.enabled = 1
		doc.save()
		frappe.db.commit()
		self.assertEqual(self.copy()["switched_off"], 0)

	def test_levels_that_cannot_work(self):
		card = self.card(self.one)
		for values, text in (
			({"falls_below": 500, "recharge_up_to": 500}, "above Falls Below"),
			({"falls_below": 500, "recharge_up_to": 400}, "above Falls Below"),
			({"falls_below": -1}, "below zero"),
			({"falls_below": 496}, "at least 5"),
			({"recharge_up_to": "10000.01"}, "at most 10000"),
			({"recharge_up_to": "nonsense"}, "not a number"),
			({"falls_below": float("nan")}, "not an amount"),
			({"recharge_up_to": float("inf")}, "not an amount"),
			({"recharge_up_to": True}, "not a number"),
			({"falls_below": "50.0000000001"}, "decimals"),
			({"cap_amount_day": "x"}, "not a number"),
			({"cap_amount_day": 499}, "less than Recharge Up To"),
			({"cap_amount_month": 499}, "less than Recharge Up To"),
			({"cap_amount_day": -1}, "below zero"),
			({"cap_count_hour": -1}, "below zero"),
			({"cap_count_day": "2.5"}, "whole number"),
			({"cap_count_day": "many"}, "not a whole number"),
		):
			with self.subTest(values=values):
				self.refused(text, [card], **values)
		factories.make_setting(self.one, [card], recharge_up_to=10_000, cap_amount_day=10_000)

	def test_an_enabled_setting_needs_a_card_that_can_be_charged(self):
		self.refused("at least one usable card")
		expired = self.card(self.one, VISA, exp_month=1, exp_year=date.today().year)
		with patch(
			"crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting.now_datetime"
		) as now:
			now.return_value = frappe.utils.get_datetime(f"{date.today().year}-02-01")
			self.refused("at least one usable card", [expired])
		declined = self.card(self.one, MASTERCARD)
		frappe.db.set_value("Recharge Card", declined, "status", "Permanently Declined")
		frappe.db.commit()
		self.refused("at least one usable card", [declined])
		name = factories.make_setting(self.one, [declined], enabled=0)
		doc = frappe.get_doc("Auto-Recharge Setting", name)
		doc.enabled = 1
		with self.assertRaises(frappe.ValidationError):
			doc.save()
		frappe.db.rollback()

	def test_bank_accounts_are_refused(self):
		account = self.one
		method = self.stripe.make_bank_account(cards.gateway_customer(account))
		with self.assertRaisesRegex(frappe.ValidationError, "Only cards"):
			cards.save(account, method)
		card = self.card(account)
		frappe.db.set_value("Recharge Card", card, "kind", "us_bank_account")
		frappe.db.commit()
		self.refused("Auto recharge takes cards only", [card])

	def test_a_card_is_listed_once_also_when_it_was_saved_twice(self):
		first, again, other = (
			self.card(self.one, VISA),
			self.card(self.one, VISA),
			self.card(self.one, MASTERCARD),
		)
		self.assertNotEqual(first, again)
		self.refused("already in row 1", [first, first])
		self.refused("already in row 1", [first, other, again])
		factories.make_setting(self.one, [first, other])

	def test_cards_of_another_account_are_refused(self):
		other = self.account()
		self.refused("belongs to another account", [self.card(self.one), self.card(other, MASTERCARD)])

	def test_cards_that_are_not_there(self):
		self.refused("There is no card", ["no-such-card"])
		card = self.card(self.one)
		frappe.db.set_value("Recharge Card", card, "status", "Removed")
		frappe.db.commit()
		self.refused("has been removed", [card])
		self.refused(
			"At most 10 cards", [self.card(self.one, f"4000000000{n:06}", setup=False) for n in self.luhn(11)]
		)

	def luhn(self, count):
		"""Last six digits with which 4000000000xxxxxx passes Luhn's check."""
		found = []
		for n in range(100_000, 200_000):
			digits = [int(d) for d in f"4000000000{n}"]
			doubled = [d * 2 - 9 if d * 2 > 9 else d * 2 for d in digits[::2]]
			if (sum(doubled) + sum(digits[1::2])) % 10 == 0:
				found.append(n)
			if len(found) == count:
				return found

	def test_one_setting_an_account(self):
		card = self.card(self.one)
		factories.make_setting(self.one, [card])
		with self.assertRaises(frappe.DuplicateEntryError):
			factories.make_setting(self.one, [card])
		frappe.db.rollback()

	def test_only_a_person_switches_it_on(self):
		card = self.card(self.one)
		name = factories.make_setting(self.one, [card], enabled=0)
		frappe.db.commit()
		frappe.local.job = frappe._dict(method="some.job")
		self.addCleanup(
			lambda: frappe.local.__dict__.pop("job", None) if hasattr(frappe.local, "__dict__") else None
		)
		try:
			with self.assertRaisesRegex(frappe.PermissionError, "Only a person"):
				client.set_value("Auto-Recharge Setting", name, "enabled", 1)
			frappe.db.rollback()
			other = self.account()
			with self.assertRaisesRegex(frappe.PermissionError, "Only a person"):
				factories.make_setting(other, [self.card(other)])
			frappe.db.rollback()
		finally:
			frappe.local.job = None
		client.set_value("Auto-Recharge Setting", name, "enabled", 1)
		frappe.db.commit()
		frappe.local.job = frappe._dict(method="some.job")
		try:
			client.set_value(
				"Auto-Recharge Setting", name, "falls_below", 60
			)  # stays on: that is no switching
		finally:
			frappe.local.job = None
		frappe.db.commit()
		self.assertEqual((self.copy()["enabled"], self.copy()["falls_below"]), (1, "60"))

	def test_what_it_was_switched_off_for_is_kept_until_it_is_switched_on(self):
		name = factories.make_setting(self.one, [self.card(self.one)])
		frappe.db.commit()
		form = frappe.get_doc("Auto-Recharge Setting", name)
		switch_off(self.one, "No card could be charged")
		frappe.db.commit()
		self.assertEqual(self.copy()["enabled"], 0)
		with self.assertRaises(frappe.TimestampMismatchError):
			form.save()
		frappe.db.rollback()
		doc = frappe.get_doc("Auto-Recharge Setting", name)
		doc.update({"falls_below": 60, "disabled_reason": "", "disabled_at": None})
		doc.save()
		self.assertEqual((doc.disabled_reason, bool(doc.disabled_at)), ("No card could be charged", True))
		doc.enabled = 1
		doc.save()
		frappe.db.commit()
		self.assertEqual((doc.disabled_reason, doc.disabled_at, self.copy()["enabled"]), (None, None, 1))
		comments = frappe.get_all(
			"Comment", {"reference_name": name, "comment_type": "Info"}, pluck="content"
		)
		self.assertIn("No card could be charged", " ".join(comments))

	def test_a_form_from_before_a_pause_does_not_end_it(self):
		name = factories.make_setting(self.one, [self.card(self.one)])
		frappe.db.commit()
		form = frappe.get_doc("Auto-Recharge Setting", name)
		frappe.db.sql(
			"UPDATE `tabAuto-Recharge Setting` SET `paused_because` = 'spike' WHERE `name` = %s", name
		)
		frappe.db.commit()
		form.falls_below = 40
		form.save()
		frappe.db.commit()
		self.assertEqual((self.copy()["paused_because"], self.copy()["falls_below"]), ("spike", "40"))

	def test_taking_the_setting_away_stops_it(self):
		name = factories.make_setting(self.one, [self.card(self.one)])
		frappe.delete_doc("Auto-Recharge Setting", name)
		frappe.db.commit()
		self.assertIsNone(self.copy())
		usage.charge(self.one, {"amount": 990, "idempotency_key": "k"})
		frappe.db.commit()
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": self.one}), 0)

	def test_the_api_sets_reads_and_explains(self):
		card = self.card(self.one)
		self.assertEqual(auto_recharge(self.one), {"account": self.one, "exists": False})
		answer = set_auto_recharge(self.one, enabled=1, cards=[card])
		self.assertEqual(
			{k: answer[k] for k in ("enabled", "falls_below", "recharge_up_to", "cards", "disabled_reason")},
			{
				"enabled": True,
				"falls_below": "50",
				"recharge_up_to": "500",
				"cards": [card],
				"disabled_reason": None,
			},
		)
		self.assertEqual(answer["now"]["code"], "above_threshold")
		answer = set_auto_recharge(
			self.one, falls_below="75.5", caps=json.dumps({"cap_amount_day": "600.25", "cap_count_hour": 1})
		)
		self.assertEqual((answer["falls_below"], answer["caps"]["cap_amount_day"]), ("75.5", "600.25"))
		self.assertEqual((answer["recharge_up_to"], answer["cards"]), ("500", [card]))
		frappe.db.commit()
		self.assertEqual(Decimal(self.copy()["falls_below"]), Decimal("75.5"))
		for arguments in (
			{"falls_below": "x"},
			{"recharge_up_to": True},
			{"caps": {"cap_of_my_own": 1}},
			{"caps": "[1]"},
			{"caps": "{"},
			{"caps": "[" * 100_000},
			{"cards": "no list"},
			{"cards": "5"},
			{"cards": [["nested"]]},
			{"cards": [None]},
		):
			with self.subTest(arguments=arguments), self.assertRaises(frappe.ValidationError):
				set_auto_recharge(self.one, **arguments)
			frappe.db.rollback()
