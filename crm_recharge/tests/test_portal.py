"""The customer's page and its methods: the owner does all of it, nobody else any of it."""

from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import frappe
from frappe.utils import get_url
from frappe.www.printview import validate_print_permission

from crm_recharge.accounting import posting
from crm_recharge.api import portal
from crm_recharge.credits import ledger
from crm_recharge.recharge import by_hand
from crm_recharge.recharge.notices import fix_link
from crm_recharge.tests.case import GOOD, GOOD_TOO, POOR, RechargeCase
from crm_recharge.tests.factories import make_account, make_user
from crm_recharge.www import credits as page


class PortalCase(RechargeCase):
	def setUp(self):
		super().setUp()
		self.addCleanup(frappe.set_user, "Administrator")

	def owned(self, *numbers: str, **values) -> tuple[str, str]:
		"""An account and the Website User who owns it."""
		account = self.account_with(*numbers, **values)
		owner = make_user(user_type="Website User")
		self.assertEqual(frappe.db.get_value("User", owner, "user_type"), "Website User")
		frappe.db.set_value("Credit Account", account, "account_owner", owner)
		frappe.db.commit()
		return account, owner

	def cards_of(self, account: str) -> list[str]:
		return frappe.get_all(
			"Recharge Card",
			{"credit_account": account, "status": ["!=", "Removed"]},
			pluck="name",
			order_by="creation",
		)


class TestOwner(PortalCase):
	def test_the_owner_sees_the_account_to_the_last_digit(self):
		account, owner = self.owned(GOOD, GOOD_TOO, balance=100)
		self.use(account, "0.0312")
		frappe.set_user(owner)
		found = portal.overview(account)
		self.assertEqual((found["balance"], found["balance_shown"]), ("99.9688", "$ 99.9688"))
		self.assertEqual(
			[card["label"] for card in found["cards"]], ["Visa •••• 4242", "Mastercard •••• 4444"]
		)
		self.assertEqual([row["amount"] for row in found["movements"]], ["$ -0.0312", "$ 100.00"])
		auto = found["auto_recharge"]
		self.assertEqual((auto["enabled"], auto["falls_below"], auto["recharge_up_to"]), (True, "50", "500"))
		self.assertEqual(auto["now"], "The balance $ 99.9688 is above $ 50.00: nothing to do.")
		self.assertTrue(found["may_change"])
		self.assertIsNone(found["pending"])

	def test_the_account_is_found_in_small_letters_and_named_as_it_is(self):
		account, owner = self.owned(GOOD)
		frappe.set_user(owner)
		self.assertEqual(portal.overview(account.lower())["account"], account)

	def test_credits_are_added_with_the_next_card_when_one_fails(self):
		account, owner = self.owned(POOR, GOOD, balance=100)
		frappe.set_user(owner)
		first = portal.start(account, "25", "portal-1")
		self.assertEqual(portal.start(account, "25", "portal-1")["recharge"], first["recharge"])
		frappe.db.commit()
		pending = portal.overview(account)["pending"]
		self.assertEqual((pending["amount_shown"], pending["status"]), ("$ 25.00", "Queued"))
		frappe.set_user("Administrator")
		self.work(first["recharge"])
		frappe.set_user(owner)
		told = portal.status(first["recharge"])
		self.assertTrue(told["ended"])
		self.assertEqual((told["amount_shown"], told["balance_after_shown"]), ("$ 25.00", "$ 125.00"))
		self.assertEqual([a["status"] for a in told["attempts"]], ["Declined", "Succeeded"])
		self.assertEqual(told["attempts"][0]["reason"], "there is not enough money on the card")
		row = portal.overview(account)["recharges"][0]
		self.assertEqual(
			(row["status"], row["automatic"], row["payment"]), ("Succeeded", False, told["payment"])
		)
		recharge = frappe.get_doc("Recharge", first["recharge"])
		self.assertEqual((recharge.origin, recharge.requested_by), ("Portal", owner))
		self.assertEqual(self.captured(account), 25)
		self.assert_books(account)

	def test_an_amount_outside_the_limits_is_refused_with_the_reason(self):
		account, owner = self.owned(GOOD)
		frappe.set_user(owner)
		with self.assertRaisesRegex(frappe.ValidationError, "too little: a payment takes at least 5"):
			portal.start(account, "3", "k")
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account}), 0)

	def test_auto_recharge_is_set_up_from_nothing_and_charges(self):
		account = make_account()
		owner = make_user()
		frappe.db.set_value("Credit Account", account, "account_owner", owner)
		ledger.grant(account, 40, "opening", note="test")
		frappe.set_user(owner)
		self.assertFalse(portal.overview(account)["auto_recharge"]["exists"])
		card = portal.save_card(account, "pm_card_visa")["card"]
		found = portal.save_auto_recharge(
			account,
			1,
			"60",
			"500",
			[card],
			{"cap_amount_month": "2000", "cap_count_day": 4, "anomaly_factor": 0},
		)
		frappe.db.commit()
		self.assertTrue(found["auto_recharge"]["enabled"])
		self.assertEqual(found["pending"]["amount"], "460")
		doc = frappe.get_doc("Auto-Recharge Setting", f"ARS-{account}")
		self.assertEqual(doc.enabled_by, owner)
		self.assertEqual((doc.cap_amount_month, doc.cap_count_day, doc.anomaly_factor), (2000, 4, 0))
		frappe.set_user("Administrator")
		self.work(found["pending"]["recharge"])
		self.assertEqual(self.value("Credit Account", account, "balance"), 500)

	def test_the_order_of_cards_and_the_switch_are_kept(self):
		account, owner = self.owned(GOOD, GOOD_TOO)
		first, second = self.cards_of(account)
		frappe.set_user(owner)
		found = portal.save_auto_recharge(account, 1, "50", "500", [second, first])
		self.assertEqual(found["auto_recharge"]["cards"], [second, first])
		self.assertEqual([card["name"] for card in found["cards"]], [second, first])
		found = portal.save_auto_recharge(account, 0, "50", "500", f'["{first}"]')
		self.assertEqual(
			(found["auto_recharge"]["enabled"], found["auto_recharge"]["cards"]), (False, [first])
		)

	def test_what_the_rules_refuse_is_refused_with_their_words(self):
		account, owner = self.owned(GOOD)
		cards = self.cards_of(account)
		frappe.set_user(owner)
		for values, words in (
			((1, "600", "500", cards), r"Recharge Up To \(500\) must be above Falls Below \(600\)"),
			((1, "many", "500", cards), "many"),
			((1, "50", "500", []), "at least one usable card"),
			((1, "50", "500", [{"name": cards[0]}]), "cards: {…} is not a text"),
			((1, "1e2", "500", cards), "falls_below: 1e2 is not a number"),
			((1, "50", "500", "{}"), "cards: {} is not a list"),
			((1, "50", "500", cards, {"enabled_by": "Administrator"}), "Unknown field: enabled_by"),
		):
			with self.subTest(values=values), self.assertRaisesRegex(frappe.ValidationError, words):
				portal.save_auto_recharge(account, *values)

	def test_a_form_filled_before_it_was_switched_off_does_not_switch_it_on_again(self):
		from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import switch_off

		account, owner = self.owned(GOOD)
		frappe.set_user(owner)
		seen = portal.overview(account)["auto_recharge"]["modified"]
		switch_off(account, "Visa •••• 4242: the bank declined the card")
		frappe.db.commit()
		with self.assertRaisesRegex(frappe.TimestampMismatchError, "changed meanwhile"):
			portal.save_auto_recharge(account, 1, "50", "500", self.cards_of(account), seen=seen)
		auto = portal.overview(account)["auto_recharge"]
		self.assertEqual(auto["disabled_reason"], "Visa •••• 4242: the bank declined the card")
		self.assertIn("20", auto["disabled_at"])
		portal.save_auto_recharge(account, 1, "50", "500", self.cards_of(account), seen=auto["modified"])
		self.assertIsNone(portal.overview(account)["auto_recharge"]["disabled_reason"])

	def test_a_pause_is_ended_by_the_owner_a_hold_is_not(self):
		account, owner = self.owned(GOOD)
		frappe.db.set_value("Auto-Recharge Setting", f"ARS-{account}", "paused_because", "Unusual usage")
		frappe.set_user(owner)
		self.assertEqual(portal.overview(account)["auto_recharge"]["paused_because"], "Unusual usage")
		self.assertIsNone(portal.resume_auto_recharge(account)["auto_recharge"]["paused_because"])
		frappe.db.set_value("Credit Account", account, "held_because", "Payment disputed")
		# Frappe's `only_for` lets tests pass, unless they say that they are none.
		with patch.dict(frappe.local.flags, in_test=False), self.assertRaises(frappe.PermissionError):
			portal.resume_auto_recharge(account)
		self.assertEqual(portal.overview(account)["auto_recharge"]["held_because"], "Payment disputed")

	def test_a_card_is_removed_but_not_the_last_one(self):
		account, owner = self.owned(GOOD, GOOD_TOO)
		first, second = self.cards_of(account)
		frappe.set_user(owner)
		portal.remove_card(first)
		self.assertEqual([card["name"] for card in portal.overview(account)["cards"]], [second])
		with self.assertRaisesRegex(frappe.ValidationError, "at least one usable card"):
			portal.remove_card(second)
		frappe.db.rollback()
		self.assertEqual(frappe.db.get_value("Recharge Card", second, "status"), "Active")

	def test_the_card_form_comes_with_a_setup_of_the_accounts_own_customer(self):
		account, owner = self.owned(GOOD)
		key = "crm_recharge_stripe_publishable_key"
		self.addCleanup(frappe.local.conf.__setitem__, key, frappe.local.conf.get(key))
		frappe.local.conf[key] = "pk_test_standin"
		frappe.set_user(owner)
		form = portal.begin_card(account)
		self.assertEqual(form["script"], f"{self.stripe.api_base}/v3/")
		self.assertTrue(form["client_secret"].startswith(form["setup_intent"]))
		self.assertNotIn("sk_", str(form))
		with self.assertRaisesRegex(frappe.ValidationError, "not confirmed"):
			portal.finish_card(account, form["setup_intent"])

	def test_a_payment_method_by_its_id_is_for_tests_alone(self):
		account, owner = self.owned(GOOD)
		frappe.set_user(owner)
		self.addCleanup(frappe.local.conf.__setitem__, "crm_recharge_stripe_api_base", self.stripe.api_base)
		frappe.local.conf["crm_recharge_stripe_api_base"] = None
		with self.assertRaises(frappe.PermissionError):
			portal.save_card(account, "pm_card_mastercard")

	def test_a_payment_to_confirm_has_its_link(self):
		account, owner = self.owned(GOOD)
		frappe.set_user(owner)
		recharge = portal.start(account, "25", "k")["recharge"]
		self.assertIsNone(portal.status(recharge)["confirm"])
		frappe.db.set_value("Recharge", recharge, "status", "Action Required")
		self.assertIn("/recharge-confirm?token=", portal.status(recharge)["confirm"])
		self.assertIn("/recharge-confirm?token=", portal.overview(account)["recharges"][0]["confirm"])
		# Staff see that it waits, but it is not theirs to pay.
		frappe.set_user("Administrator")
		self.assertIsNone(portal.status(recharge)["confirm"])

	def test_the_invoice_is_offered_to_whom_erpnext_opens_it(self):
		account, owner = self.owned(GOOD)
		for field, value in (("make_invoices", 1), ("mail_invoices", 0)):
			before = frappe.db.get_single_value("CRM Recharge Settings", field)
			self.addCleanup(frappe.db.set_single_value, "CRM Recharge Settings", field, before)
			frappe.db.set_single_value("CRM Recharge Settings", field, value)
		recharge = by_hand.start(account, "25", "k")["recharge"]
		frappe.db.commit()
		self.work(recharge)
		self.assertEqual(posting.account_for(recharge), "Done")
		invoice = frappe.db.get_value("Recharge", recharge, "sales_invoice")
		self.assertTrue(invoice)
		frappe.set_user(owner)
		self.assertIsNone(portal.overview(account)["recharges"][0]["invoice"])
		frappe.set_user("Administrator")
		customer = frappe.get_doc("Customer", frappe.db.get_value("Credit Account", account, "customer"))
		customer.append("portal_users", {"user": owner})
		customer.save()
		frappe.set_user(owner)
		link = portal.overview(account)["recharges"][0]["invoice"]
		self.assertEqual(parse_qs(urlsplit(link).query)["name"], [invoice])
		# By the very check of the address it leads to.
		validate_print_permission(frappe.get_doc("Sales Invoice", invoice))


class TestOthers(PortalCase):
	def calls(self, account: str, recharge: str) -> dict:
		card = self.cards_of(account)[0]
		return {
			"overview": lambda: portal.overview(account),
			"start": lambda: portal.start(account, "25", "stranger"),
			"status": lambda: portal.status(recharge),
			"cancel": lambda: portal.cancel(recharge),
			"save": lambda: portal.save_auto_recharge(account, 0, "10", "100", [card]),
			"resume": lambda: portal.resume_auto_recharge(account),
			"begin_card": lambda: portal.begin_card(account),
			"finish_card": lambda: portal.finish_card(account, "seti_x"),
			"save_card": lambda: portal.save_card(account, "pm_card_visa"),
			"remove_card": lambda: portal.remove_card(card),
		}

	def test_another_owner_and_a_guest_are_refused_everything(self):
		account, owner = self.owned(GOOD)
		other, stranger = self.owned(GOOD_TOO)
		frappe.set_user(owner)
		recharge = portal.start(account, "25", "k")["recharge"]
		frappe.set_user("Administrator")
		frappe.db.commit()
		calls = self.calls(account, recharge)
		asked = len(self.stripe.log())
		for user in (stranger, "Guest"):
			for name, call in calls.items():
				with self.subTest(user=user, call=name):
					frappe.set_user(user)
					with self.assertRaises(frappe.PermissionError) as caught:
						call()
					self.assertEqual(caught.exception.http_status_code, 403)
					self.assertNotIn("4242", str(caught.exception))
		frappe.set_user("Administrator")
		frappe.db.rollback()
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account}), 1)
		self.assertEqual(frappe.db.get_value("Auto-Recharge Setting", f"ARS-{account}", "enabled"), 1)
		self.assertEqual(frappe.db.get_value("Recharge Card", self.cards_of(account)[0], "status"), "Active")
		self.assertEqual(len(self.stripe.log()), asked)

	def test_every_method_of_the_page_is_among_those_refused(self):
		"""A new method must be added to `calls`."""
		account, _owner = self.owned(GOOD)
		public = {
			name
			for name, value in vars(portal).items()
			if callable(value)
			and getattr(value, "__module__", "") == portal.__name__
			and value in frappe.whitelisted
		}
		tested = {"save_auto_recharge", "resume_auto_recharge", *self.calls(account, "x")} - {
			"save",
			"resume",
		}
		self.assertEqual(public, tested)
		self.assertFalse(
			public & {f.__name__ for f in frappe.guest_methods if f.__module__ == portal.__name__}
		)

	def test_a_card_of_another_account_is_neither_charged_nor_listed(self):
		account, owner = self.owned(GOOD)
		other, _stranger = self.owned(GOOD_TOO)
		(theirs,) = self.cards_of(other)
		frappe.set_user(owner)
		for call in (
			lambda: portal.start(account, "25", "k", card=theirs),
			lambda: portal.save_auto_recharge(account, 1, "50", "500", [theirs]),
			lambda: portal.remove_card(theirs),
		):
			with self.assertRaises(frappe.PermissionError) as caught:
				call()
			self.assertNotIn("4444", str(caught.exception))

	def test_what_does_not_exist_is_refused_alike(self):
		_account, owner = self.owned(GOOD)
		frappe.set_user(owner)
		for call in (
			lambda: portal.overview("CA-nowhere"),
			lambda: portal.overview(""),
			lambda: portal.status("RC-nowhere"),
			lambda: portal.status(""),
			lambda: portal.remove_card("nothing"),
		):
			with self.assertRaises(frappe.PermissionError):
				call()

	def test_staff_do_here_what_they_may_do_in_the_desk(self):
		account, _owner = self.owned(GOOD)
		frappe.set_user(make_user("Credit User"))
		found = portal.overview(account)
		self.assertFalse(found["may_change"])
		for call in (
			lambda: portal.start(account, "25", "k"),
			lambda: portal.save_auto_recharge(account, 0, "50", "500", []),
			lambda: portal.begin_card(account),
		):
			with self.assertRaises(frappe.PermissionError):
				call()
		frappe.set_user("Administrator")
		frappe.set_user(make_user("Credit Manager"))
		self.assertTrue(portal.overview(account)["may_change"])
		self.assertEqual(portal.start(account, "25", "k")["status"], "Queued")

	def test_an_account_that_changed_hands_is_the_new_owners_alone(self):
		account, before = self.owned(GOOD)
		after = make_user()
		frappe.db.set_value("Credit Account", account, "account_owner", after)
		frappe.set_user(after)
		self.assertEqual(portal.overview(account)["account"], account)
		frappe.set_user(before)
		with self.assertRaises(frappe.PermissionError):
			portal.overview(account)


class TestPage(PortalCase):
	def context(self, user: str, **asked) -> frappe._dict:
		frappe.set_user(user)
		self.addCleanup(setattr, frappe.local, "form_dict", frappe.local.form_dict)
		frappe.local.form_dict = frappe._dict(asked)
		return page.get_context(frappe._dict())

	def test_a_guest_logs_in_first_and_comes_back(self):
		with self.assertRaises(frappe.Redirect):
			self.context("Guest", account="CA-00001")
		self.assertEqual(
			frappe.local.flags.redirect_location, "/login?redirect-to=/credits%3Faccount%3DCA-00001"
		)

	def test_an_owner_of_two_accounts_chooses(self):
		account, owner = self.owned(GOOD)
		second, _other = self.owned(GOOD_TOO)
		frappe.db.set_value("Credit Account", second, "account_owner", owner)
		shown = self.context(owner)
		self.assertEqual({a.name for a in shown.accounts}, {account, second})
		self.assertEqual(shown.overview["account"], min(account, second))
		self.assertEqual(self.context(owner, account=second).overview["account"], second)

	def test_another_ones_account_is_not_shown(self):
		account, _owner = self.owned(GOOD)
		_other, stranger = self.owned(GOOD_TOO)
		shown = self.context(stranger, account=account)
		self.assertIsNone(shown.overview)
		self.assertIn("not one of your credit accounts", shown.problem)

	def test_who_owns_nothing_is_told_so(self):
		shown = self.context(make_user())
		self.assertEqual((shown.accounts, shown.overview, shown.problem), ([], None, None))

	def test_the_scripts_texts_come_in_the_visitors_language(self):
		frappe.local.lang, before = "de", frappe.local.lang
		self.addCleanup(setattr, frappe.local, "lang", before)
		frappe.get_doc(
			{
				"doctype": "Translation",
				"language": "de",
				"source_text": "Not saved yet",
				"translated_text": "Offen",
			}
		).insert(ignore_permissions=True)
		self.assertEqual(page._words().get("Not saved yet"), "Offen")

	def test_mails_lead_an_owner_without_desk_here(self):
		account, owner = self.owned(GOOD)
		doc = frappe.get_doc("Credit Account", account)
		self.assertEqual(fix_link(doc), get_url(f"/credits?account={account}"))
		doc.account_owner = make_user("Credit Manager")
		self.assertIn(f"/auto-recharge-setting/ARS-{account}", fix_link(doc))

	def test_it_is_in_the_portals_menu(self):
		items = frappe.get_hooks("standard_portal_menu_items", app_name="crm_recharge")
		self.assertIn("/credits", [item["route"] for item in items])
