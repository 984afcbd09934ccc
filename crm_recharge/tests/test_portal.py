"""The customer's page and its methods: the owner does all of it, nobody else any of it."""

from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import frappe
from frappe.utils import get_url
from frappe.www.printview import validate_print_permission

from crm_recharge.accounting import posting
from crm_recharge.api import desk, portal, portal_view
from crm_recharge.api import recharge as rest
from crm_recharge.credits import ledger
from crm_recharge.credits.errors import OutdatedError
from crm_recharge.domain.shown import style_of, written
from crm_recharge.recharge import by_hand
from crm_recharge.recharge.notices import fix_link
from crm_recharge.tests.case import GOOD, GOOD_TOO, POOR, RechargeCase
from crm_recharge.tests.factories import make_account, make_user
from crm_recharge.www import credits as page

AUTHENTICATE = "4000002760003184"


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
		with self.assertRaisesRegex(
			frappe.ValidationError, r"\$ 3.00 is too little: one payment takes at least \$ 5.00"
		):
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
			{"cap_amount_month": "2,000.00", "cap_count_day": 4, "anomaly_factor": "", "cap_count_hour": "0"},
			charge="460",
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
			(
				(1, "600", "500", cards),
				r"up to \(\$ 500.00\) must be above the one at which it starts \(\$ 600.00\)",
			),
			(
				(1, "many", "500", cards),
				"falls to or below: many is not an amount. Type digits, such as 12.50",
			),
			((1, "1e2", "500", cards), "falls to or below: 1e2 is not an amount."),
			((1, "50", "500", []), "needs a card that can be charged"),
			((1, "50", "500", [{"name": cards[0]}]), "cards: {…} is not a text"),
			((1, "50", "500", "{}"), "cards: {} is not a list"),
			((1, "50", "500", cards, {"enabled_by": "Administrator"}), "page is out of date"),
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
		with self.assertRaisesRegex(OutdatedError, "changed meanwhile") as refused:
			portal.save_auto_recharge(account, 1, "50", "500", self.cards_of(account), seen=seen)
		self.assertEqual(refused.exception.http_status_code, 409)
		# With what it is now: the page shows what differs, and saves on top of that when the person wants it.
		now = refused.exception.figures["now"]
		self.assertEqual((now["enabled"], now["typed"]["falls_below"]), (False, "50.00"))
		frappe.db.rollback()
		self.assertEqual(now["modified"], portal.overview(account)["auto_recharge"]["modified"])
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
		frappe.db.set_value("Credit Account", account, "held_because", "Dispute dp_123")
		words = "your bank disputes a payment"
		with self.assertRaisesRegex(frappe.PermissionError, words):
			portal.resume_auto_recharge(account)
		self.assertEqual(portal.overview(account)["auto_recharge"]["held_because"], words)
		frappe.db.set_value("Credit Account", account, {"held_because": None, "status": "On Hold"})
		self.assertEqual(portal.overview(account)["auto_recharge"]["held_because"], "the account is on hold")

	def test_a_card_is_removed_but_not_the_last_one(self):
		account, owner = self.owned(GOOD, GOOD_TOO)
		first, second = self.cards_of(account)
		frappe.set_user(owner)
		portal.remove_card(first)
		self.assertEqual([card["name"] for card in portal.overview(account)["cards"]], [second])
		with self.assertRaisesRegex(frappe.ValidationError, "needs a card that can be charged"):
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
		with self.assertRaisesRegex(frappe.ValidationError, "bank has not confirmed"):
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


class TestWhatChargesAtOnce(PortalCase):
	"""Nobody's card is charged by saving or resuming before its owner has been told how much."""

	def refused(self, call) -> dict:
		"""What the owner is told and asked."""
		with self.assertRaises(OutdatedError) as caught:
			call()
		frappe.db.rollback()
		self.assertEqual(caught.exception.code, "charge_not_agreed")
		return {"text": str(caught.exception), **caught.exception.figures}

	def in_a_request(self):
		self.addCleanup(setattr, frappe.local, "request", getattr(frappe.local, "request", None))
		frappe.local.request = frappe._dict(method="POST", path="/")

	def low(self, **values) -> tuple[str, list[str]]:
		account, owner = self.owned(GOOD, GOOD_TOO, balance=12, enabled=False, **values)
		frappe.set_user(owner)
		return account, self.cards_of(account)

	def test_switching_on_asks_first_and_charges_what_was_agreed(self):
		account, cards = self.low()

		def save(**more):
			return portal.save_auto_recharge(account, 1, "50", "500", cards, **more)

		asked = self.refused(save)
		self.assertEqual(
			asked["text"],
			"Your balance is $ 12.00, at or below $ 50.00: this charges Visa •••• 4242 with $ 488.00 now.",
		)
		self.assertEqual((asked["amount"], asked["card"]), ("488", "Visa •••• 4242"))
		self.assertFalse(portal.overview(account)["auto_recharge"]["enabled"])
		# Another amount than the one that was agreed to: asked again.
		self.refused(lambda: save(charge="487"))
		found = save(charge=asked["amount"])
		self.assertEqual(found["pending"]["amount"], "488")

	def test_what_charges_nothing_does_not_ask(self):
		account, cards = self.low()
		portal.save_auto_recharge(account, 1, "11", "500", cards)
		# Already on: a higher level is looked at with the next usage, and the page says so.
		found = portal.save_auto_recharge(account, 1, "50", "500", cards)
		self.assertIsNone(found["pending"])
		self.assertIn("with the next usage $ 488.00 is charged", found["auto_recharge"]["now"])
		portal.save_auto_recharge(account, 0, "50", "500", cards)
		frappe.db.set_value("Credit Account", account, "held_because", "Dispute dp_1")
		self.assertIsNone(portal.save_auto_recharge(account, 1, "50", "500", cards)["pending"])

	def test_a_limit_that_is_reached_charges_nothing_and_asks_nothing(self):
		account, cards = self.low()
		frappe.db.set_value("Credit Account", account, {"cap_amount_day": 100, "cap_amount_month": 100})
		found = portal.save_auto_recharge(account, 1, "50", "500", cards)
		self.assertIsNone(found["pending"])
		self.assertIn("would go past", found["auto_recharge"]["now"])

	def test_resuming_asks_first_too(self):
		account, cards = self.low()
		portal.save_auto_recharge(account, 1, "11", "500", cards)
		portal.save_auto_recharge(account, 1, "50", "500", cards)
		setting = frappe.get_doc("Auto-Recharge Setting", f"ARS-{account}")
		setting.db_set("paused_because", "far more than usual")
		setting.copy_to_account()
		frappe.db.commit()
		asked = self.refused(lambda: portal.resume_auto_recharge(account))
		self.assertEqual(asked["amount"], "488")
		found = portal.resume_auto_recharge(account, charge=asked["amount"])
		self.assertIsNone(found["auto_recharge"]["paused_because"])
		self.assertEqual(found["pending"]["amount"], "488")

	def test_the_desk_the_list_and_imports_cannot_charge_unasked(self):
		account, _cards = self.low()
		frappe.set_user("Administrator")
		doc = frappe.get_doc("Auto-Recharge Setting", f"ARS-{account}")
		shown = doc.as_dict() | {"enabled": 1}
		doc.enabled = 1
		# As in a request: the form, the list's bulk edit, `/api/resource`.
		self.in_a_request()
		self.refused(doc.save)
		told = desk.ask_before_saving(account, shown)
		self.assertEqual((told["charge"]["amount"], told["changed"]), ("488", None))
		# Filled before somebody else changed it: with what it is now.
		told_late = desk.ask_before_saving(account, shown | {"modified": "2026-01-01 00:00:00.000000"})
		self.assertEqual((told_late["charge"], told_late["changed"]["falls_below"]), (None, "50"))
		doc = frappe.get_doc("Auto-Recharge Setting", f"ARS-{account}")
		doc.enabled = 1
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account}), 0)
		doc.charge_agreed = told["charge"]["amount"]
		doc.save()
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account}), 1)

	def test_the_documented_call_of_a_program_charges_and_says_so(self):
		account, _cards = self.low()
		frappe.set_user("Administrator")
		self.in_a_request()
		self.assertEqual(rest.set_auto_recharge(account, enabled=1)["now"]["code"], "open_recharge")


class TestTypedAmounts(PortalCase):
	def test_what_the_page_writes_it_reads_in_every_number_format(self):
		account, owner = self.owned(GOOD, balance=10_000)
		cards = self.cards_of(account)
		self.addCleanup(frappe.clear_cache)
		self.addCleanup(frappe.db.rollback)
		frappe.set_user(owner)
		for number_format in (
			frappe.get_meta("System Settings").get_field("number_format").options.split("\n")
		):
			with self.subTest(number_format):
				frappe.db.set_default("number_format", number_format)
				typed = written(Decimal("1234.5"), 2, style_of(number_format))
				portal.save_auto_recharge(account, 1, typed, "5000", cards)
				shown = portal.overview(account)["auto_recharge"]
				self.assertEqual((shown["falls_below"], shown["recharge_up_to"]), ("1234.5", "5000"))
				again = portal.save_auto_recharge(
					account,
					1,
					shown["typed"]["falls_below"],
					shown["typed"]["recharge_up_to"],
					cards,
					{field: shown["typed"][field] for field in portal_view.LIMITS},
				)["auto_recharge"]
				self.assertEqual(again["typed"], shown["typed"])
				self.assertEqual((again["falls_below"], again["recharge_up_to"]), ("1234.5", "5000"))

	def test_clearing_a_level_is_no_zero_but_a_typed_zero_is(self):
		account, owner = self.owned(GOOD)
		cards = self.cards_of(account)
		frappe.set_user(owner)
		for empty in ("", "  "):
			with self.assertRaisesRegex(frappe.ValidationError, "falls to or below: type an amount"):
				portal.save_auto_recharge(account, 1, empty, "500", cards)
			frappe.db.rollback()
		self.assertEqual(portal.overview(account)["auto_recharge"]["falls_below"], "50")
		found = portal.save_auto_recharge(account, 1, "0", "500", cards)
		self.assertEqual(found["auto_recharge"]["falls_below"], "0")


class TestCancelling(PortalCase):
	def waiting(self) -> tuple[str, str, str]:
		"""account, owner, and a recharge that waits for its card holder."""
		account, owner = self.owned(AUTHENTICATE, balance=500)
		recharge = self.use(account, 460)["recharge"]
		self.assertEqual(self.work(recharge), "Action Required")
		return account, owner, recharge

	def test_the_owner_cancels_a_payment_that_waits_and_goes_on(self):
		account, owner, recharge = self.waiting()
		frappe.set_user(owner)
		pending = portal.overview(account)["pending"]
		self.assertEqual((pending["recharge"], pending["may_cancel"]), (recharge, True))
		self.assertIn("/recharge-confirm?token=", pending["confirm"])
		self.assertEqual(portal.cancel(recharge)["status_shown"], "cancelled")
		found = portal.overview(account)
		self.assertIsNone(found["pending"])
		self.assertEqual(found["recharges"][0]["status_shown"], "cancelled")
		self.assertEqual(portal.start(account, "25", "k")["status"], "Queued")

	def test_what_is_being_charged_or_is_paid_cannot_be_cancelled(self):
		account, owner = self.owned(GOOD)
		frappe.set_user(owner)
		recharge = portal.start(account, "25", "k")["recharge"]
		frappe.db.set_value("Recharge", recharge, "status", "Charging")
		frappe.db.commit()
		self.assertFalse(portal.overview(account)["pending"]["may_cancel"])
		with self.assertRaisesRegex(frappe.ValidationError, "cannot be cancelled any more: under way"):
			portal.cancel(recharge)


class TestOthers(PortalCase):
	def calls(self, account: str, recharge: str) -> dict:
		card = self.cards_of(account)[0]
		return {
			"overview": lambda: portal.overview(account),
			"start": lambda: portal.start(account, "25", "stranger"),
			"cancel": lambda: portal.cancel(recharge),
			"status": lambda: portal.status(recharge),
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
