"""What customers read where something is refused: their page's words, money as money, and nothing of the desk."""

import re
from datetime import datetime, timezone
from decimal import Decimal

import frappe
from frappe.utils import format_datetime

from crm_recharge import clock
from crm_recharge.api import portal
from crm_recharge.credits.errors import CreditError, messages
from crm_recharge.domain import threshold as rules
from crm_recharge.recharge import cards, decisions
from crm_recharge.recharge.for_customers import OUTDATED, refusals, text_of
from crm_recharge.recharge.reasons import held_words, status_words, texts
from crm_recharge.tests.case import GOOD, GOOD_TOO, RechargeCase
from crm_recharge.tests.factories import make_user

# Words of the desk, of programs and of our own books: none of them is a customer's.
FOREIGN = re.compile(
	r"CRM Recharge|Settings|Credit Manager|\bRow\b|\brow\b|idempotency|_|\bCA-|\bRC-|\bRF-|\bdp_|[0-9]E[+-]|\bJSON\b|\bAPI\b|"
	r"Falls Below|Recharge Up To|\bStripe's\b|pk_|sk_|publishable|None|\{|\}",
)

# Met by programs that charge usage, and by staff in the desk; no page or mail of a customer leads there.
FOR_STAFF_AND_PROGRAMS = set(
	"""period_backwards amount_or_quantity amount_and_quantity quantity_without_category in_the_future bad_time
	unreadable_text separator_in_text text_too_long wrong_currency category_currency category_disabled
	unknown_category unknown_team team_disabled insufficient_credits balance_too_large more_than_taken expired_already
	priority_out_of_range batch_empty batch_not_a_list batch_too_large batch_event would_leave_debt nothing_to_adjust
	note_missing nothing_to_reverse already_reversed unknown_recharge reason_missing not_paid recharge_disputed
	nothing_to_refund refund_too_fine more_than_unused bad_day not_a_bool not_a_list not_an_id not_an_object not_one_of
	missing_parameter parameter_twice unknown_parameter unknown_record unknown_report value_not_kept
	period_too_long unknown_time_zone already_decided bad_moment bad_time_of_day held_already_used held_not_creditable
	not_captured not_json not_rows nothing_to_charge only_dismissed unknown_decision site_is_home
	bad_url out_of_range secret_too_short value_missing""".split()
)


class CustomerCase(RechargeCase):
	def setUp(self):
		super().setUp()
		self.addCleanup(frappe.set_user, "Administrator")
		self.addCleanup(frappe.db.rollback)

	def owned(self, *numbers: str, **values) -> str:
		"""An account whose owner is logged in now."""
		account = self.account_with(*numbers, **values)
		self.owner = make_user(user_type="Website User")
		frappe.db.set_value("Credit Account", account, "account_owner", self.owner)
		frappe.db.commit()
		frappe.set_user(self.owner)
		return account

	def cards_of(self, account: str) -> list[str]:
		return frappe.get_all("Recharge Card", {"credit_account": account}, pluck="name", order_by="creation")

	def as_staff(self, change) -> None:
		user = frappe.session.user
		frappe.set_user("Administrator")
		change()
		frappe.db.commit()
		frappe.set_user(user)

	def refused(self, code: str, call) -> str:
		"""The text with which `call` is refused under `code`."""
		frappe.clear_messages()
		with self.assertRaises(CreditError) as caught:
			call()
		frappe.db.rollback()
		self.assertEqual(caught.exception.code, code)
		# One text, the customer's: the words for staff are not among the messages.
		self.assertEqual(
			[message["message"] for message in frappe.get_message_log()], [str(caught.exception)]
		)
		self.assertIsNone(FOREIGN.search(str(caught.exception)), str(caught.exception))
		return str(caught.exception)


class TestRefusalsOnThePage(CustomerCase):
	def test_an_amount_that_is_none(self):
		account = self.owned(GOOD)
		for typed, code, words in (
			("", "amount_missing", "Amount: type an amount."),
			("many", "not_a_number", "Amount: many is not an amount. Type digits, such as 12.50."),
			("1e5", "not_a_number", "Amount: 1e5 is not an amount"),
			(
				"5.000",
				"amount_unclear",
				"Amount: 5.000 can be read in more than one way. Type 5.00 or 5,000.00.",
			),
			("99999999999999999999", "too_large", "Amount: this is too large."),
			("0.00000000001", "too_many_decimals", "has too many decimals"),
			("-5", "not_positive", "Amount: type an amount above zero."),
			("3", "payment_below_minimum", "$ 3.00 is too little: one payment takes at least $ 5.00."),
			(
				"20,000",
				"payment_above_maximum",
				"$ 20,000.00 is too much at once: one payment takes at most $ 10,000.00.",
			),
			("25.1234", "payment_too_fine", "$ 25.1234 cannot be paid"),
		):
			with self.subTest(typed=typed):
				self.assertIn(words, self.refused(code, lambda: portal.start(account, typed, "k")))

	def test_a_recharge_that_cannot_start(self):
		account = self.owned(GOOD, GOOD_TOO)
		first, second = self.cards_of(account)
		self.as_staff(lambda: frappe.db.set_value("Recharge Card", second, "status", "Permanently Declined"))
		self.assertIn(
			"•••• 4444 cannot be charged any more",
			self.refused("card_not_usable", lambda: portal.start(account, "25", "k", second)),
		)
		recharge = portal.start(account, "25", "k")["recharge"]
		frappe.db.commit()
		self.assertIn(
			"Your first request was for another amount",
			self.refused("idempotency_conflict", lambda: portal.start(account, "26", "k")),
		)
		self.assertIn(
			"Another payment is still under way",
			self.refused("recharge_open", lambda: portal.start(account, "25", "k2")),
		)
		self.refused("missing_key", lambda: portal.start(account, "25", ""))
		self.as_staff(lambda: self.work(recharge))
		self.assertIn(
			"cannot be cancelled any more: paid",
			self.refused("cannot_cancel", lambda: portal.cancel(recharge)),
		)
		self.as_staff(
			lambda: frappe.db.set_value(
				"Credit Account", account, {"cap_amount_day": 30, "cap_amount_month": 40}
			)
		)
		text = self.refused("payment_capped", lambda: portal.start(account, "25", "k3"))
		self.assertIn("at most $ 30.00, and $ 25.00 is used. It frees at ", text)
		self.as_staff(lambda: frappe.db.set_value("Credit Account", account, "status", "Disabled"))
		self.assertIn(
			"is closed", self.refused("account_disabled", lambda: portal.start(account, "25", "k4"))
		)

	def test_no_card(self):
		account = self.owned(enabled=False)
		self.assertIn("Add a card first", self.refused("no_card", lambda: portal.start(account, "25", "k")))

	def test_a_setting_that_cannot_work(self):
		account = self.owned(GOOD, GOOD_TOO)
		first, second = self.cards_of(account)

		def save(below="50", target="500", chosen=(first,), limits=None, enabled=1):
			return lambda: portal.save_auto_recharge(account, enabled, below, target, [*chosen], limits)

		for code, call, words in (
			("amount_missing", save(below=""), "When the balance falls to or below: type an amount."),
			("amount_missing", save(target=" "), "Recharge up to: type an amount."),
			("amount_unclear", save(below="50,00"), "50,00 can be read in more than one way. Type 50.00."),
			("not_a_number", save(target="1e5"), "Recharge up to: 1e5 is not an amount"),
			("threshold_negative", save(below="-1"), "cannot be below zero"),
			(
				"target_not_above_threshold",
				save("600", "500"),
				"($ 500.00) must be above the one at which it starts ($ 600.00)",
			),
			("gap_below_minimum", save("496", "500"), "is $ 4.00, and one payment takes at least $ 5.00"),
			(
				"gap_above_maximum",
				save("50", "20,000"),
				"One payment takes at most $ 10,000.00, so an empty account could not be brought to $ 20,000.00.",
			),
			("cap_negative", save(limits={"cap_amount_day": "-1"}), "A limit cannot be below zero."),
			(
				"cap_below_target",
				save(limits={"cap_amount_day": "400"}),
				"Your limit (amount a day) of $ 400.00 is less than the $ 500.00",
			),
			("not_whole", save(limits={"cap_count_day": "2.5"}), "2.5 is not a whole number"),
			("unknown_field", save(limits={"enabled_by": "x"}), "page is out of date"),
			("no_usable_card", save(chosen=()), "needs a card that can be charged"),
			("card_twice", save(chosen=(first, first)), "•••• 4242 is chosen twice"),
			("too_many_cards", save(chosen=(first,) * 11), "At most 10 cards"),
		):
			with self.subTest(code):
				self.assertIn(words, self.refused(code, call))
		self.as_staff(lambda: frappe.db.set_value("Recharge Card", second, "status", "Removed"))
		self.assertIn(
			"•••• 4444 has been removed",
			self.refused("card_removed", save(chosen=(first, second))),
		)
		self.as_staff(
			lambda: frappe.db.set_value(
				"Recharge Card", second, {"status": "Active", "kind": "us_bank_account"}
			)
		)
		self.assertIn("Only cards", self.refused("cards_only", save(chosen=(first, second))))

	def test_a_card_that_cannot_be_saved(self):
		account = self.owned(GOOD)
		for code, call, words in (
			("cards_not_set_up", lambda: portal.begin_card(account), "Cards cannot be entered yet."),
			(
				"gateway_refused",
				lambda: portal.save_card(account, "pm_nothing"),
				"This card cannot be used: the card is no longer saved.",
			),
		):
			with self.subTest(code):
				self.assertIn(words, self.refused(code, call))
		bank = self.stripe.make_bank_account(cards.gateway_customer(account))
		self.assertIn("Enter a card", self.refused("not_a_card", lambda: portal.save_card(account, bank)))
		self.stripe.faults.error_before("GET /v1/payment_methods/*")
		self.assertIn(
			"does not answer",
			self.refused("gateway_silent", lambda: portal.save_card(account, "pm_card_visa")),
		)
		self.stripe.faults.clear()
		key = "crm_recharge_stripe_secret_key"
		self.addCleanup(frappe.local.conf.__setitem__, key, frappe.local.conf[key])
		frappe.local.conf[key] = "no key"
		self.assertIn(
			"not possible yet",
			self.refused("gateway_not_set_up", lambda: portal.save_card(account, "pm_card_visa")),
		)


class TestWords(CustomerCase):
	"""Also of what is hard to bring about on a page."""

	FIGURES = {
		"what": "Amount",
		"value": "x",
		"readings": ["5.00", "5,000.00"],
		"currency": "USD",
		"account": "CA-00001",
		"recharge": "RC-1",
		"last4": "4242",
		"card": "Visa •••• 4242",
		"row": 4,
		"status": "Action Required",
		"because": "Dispute dp_1, Refund RF-1",
		"frees_at": "2026-03-01 00:00:00+00:00",
		"cap": "amount a day",
		**dict.fromkeys(
			(
				"amount",
				"minimum",
				"maximum",
				"limit",
				"used",
				"gap",
				"falls_below",
				"recharge_up_to",
				"balance",
			),
			"1e5",
		),
		"message": "Your card was declined.",
		"most": 10,
	}

	def test_every_refusal_is_in_a_customers_words(self):
		figures = self.FIGURES | {
			key: Decimal("1234.5") for key, value in self.FIGURES.items() if value == "1e5"
		}
		for code in refusals():
			with self.subTest(code):
				text = text_of(code, figures)
				self.assertIsNone(FOREIGN.search(text), text)
				self.assertNotIn("1234.5", text)
				self.assertRegex(text, r"[.]$")

	def test_every_refusal_is_for_customers_or_known_not_to_be(self):
		"""A new code must be given a customer's words, or be put among those that no customer meets."""
		known = set(refusals()) | FOR_STAFF_AND_PROGRAMS | set(OUTDATED)
		self.assertEqual(sorted(set(messages()) - known), [])
		self.assertEqual(sorted(FOR_STAFF_AND_PROGRAMS & set(refusals())), [])

	def test_a_code_nobody_thought_of_says_whom_to_ask(self):
		self.assertIn("ask the company that sells to you", text_of("something_new", {"row": 4}))

	def test_figures_that_hold_markup_are_text(self):
		self.assertNotIn("<b>", text_of("not_a_number", {"what": "Amount", "value": "<b>"}))

	def test_every_decision_is_told_to_customers_in_their_words(self):
		figures = {
			"balance": "40",
			"falls_below": "50",
			"recharge_up_to": "500",
			"amount": "460",
			"minimum": "5",
			"maximum": "10000",
			"open_recharge": "RC-1",
			"cap": "amount_day",
			"limit": "900",
			"used": "460",
			"frees_at": "2026-03-01 00:00:00+00:00",
		}
		codes = [value for name, value in vars(rules).items() if name.isupper() and isinstance(value, str)]
		codes = [code for code in codes if code not in (rules.RECHARGE, rules.USAGE)]
		self.assertIn(rules.CAPPED, codes)
		for code in [*codes, decisions.NEXT_USAGE]:
			with self.subTest(code):
				because = "far more used than usual" if code == rules.PAUSED else "Dispute dp_1"
				text = decisions.explain(code, figures | {"because": because}, "USD", to_customer=True)
				self.assertIsNone(FOREIGN.search(text), text)
				self.assertNotRegex(text, r"(?<![.,0-9])(40|460|900)(?![.,0-9])")
		frees = format_datetime(clock.stored(datetime(2026, 3, 1, tzinfo=timezone.utc)))
		self.assertIn(f"It frees at {frees}.", decisions.explain(rules.CAPPED, figures, "USD"))

	def test_reasons_statuses_and_holds_too(self):
		told = [*texts().values(), *status_words().values()]
		told += [
			held_words(held) for held in ("Dispute dp_1", "Refund RF-1", "Fraud warning x", "On Hold", None)
		]
		for text in told:
			self.assertIsNone(FOREIGN.search(text), text)
		options = frappe.get_meta("Recharge").get_field("status").options.split("\n")
		self.assertEqual(set(options), set(status_words()))
