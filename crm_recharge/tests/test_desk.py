"""What the desk's forms, number cards and chart are told."""

from datetime import timedelta
from decimal import Decimal

import frappe
from frappe.utils import add_days, format_datetime, now_datetime, nowdate

from crm_recharge.api import credits, desk, insight, portal
from crm_recharge.api.recharge import card_form, refund
from crm_recharge.recharge import by_hand, refunds
from crm_recharge.tests.case import GOOD, POOR, RechargeCase
from crm_recharge.tests.factories import make_account, make_category, make_user


class TestAccountOverview(RechargeCase):
	def test_figures_are_exact_and_the_newest_come_first(self):
		account = self.account_with(GOOD, balance=100)
		category = make_category("0.0004")
		for number in range(12):
			credits.charge(account, category=category, quantity=number + 1, idempotency_key=f"n{number}")
		found = desk.account_overview(account)
		self.assertEqual(found["balance"], "99.9688")
		self.assertEqual(found["currency"], "USD")
		self.assertEqual(len(found["movements"]), desk.SHOWN)
		newest = found["movements"][0]
		self.assertEqual((newest["amount"], newest["balance_after"]), ("-0.0048", "99.9688"))
		self.assertEqual(newest["category"], category)
		self.assertIsNone(found["pending"])

	def test_a_recharge_is_pending_until_it_is_paid(self):
		account = self.account_with(POOR, GOOD, balance=100)
		recharge = by_hand.start(account, "25", "k1")["recharge"]
		frappe.db.commit()
		pending = desk.account_overview(account)["pending"]
		self.assertEqual(
			pending, {"recharge": recharge, "status": "Queued", "amount": "25", "may_cancel": True}
		)
		self.work(recharge)
		found = desk.account_overview(account)
		self.assertIsNone(found["pending"])
		self.assertEqual(found["balance"], "125")
		shown = found["recharges"][0]
		self.assertEqual(shown["status"], "Succeeded")
		self.assertEqual(shown["cards"], ["Visa •••• 9995", "Visa •••• 4242"])
		self.assertEqual(shown["settled_intent"], frappe.db.get_value("Recharge", recharge, "settled_intent"))

	def test_auto_recharge_is_explained_in_words_with_money(self):
		account = self.account_with(GOOD, balance=60)
		self.assertEqual(
			desk.account_overview(account)["auto_recharge"]["explanation"],
			"The balance $ 60.00 is above $ 50.00: nothing to do.",
		)
		frappe.db.set_value("Credit Account", account, "held_because", "Payment disputed")
		self.use(account, "20.0001")
		explanation = desk.account_overview(account)["auto_recharge"]["explanation"]
		self.assertIn("$ 39.9999", explanation)
		self.assertIn("Payment disputed", explanation)
		none = desk.account_overview(make_account())["auto_recharge"]
		self.assertEqual((none["setting"], none["explanation"]), (None, "Auto-recharge is not set up."))
		off = self.account_with(GOOD, balance=10, enabled=False)
		self.assertEqual(
			desk.account_overview(off)["auto_recharge"]["explanation"], "Auto-recharge is switched off."
		)

	def test_what_a_reader_may_do_is_told_by_role(self):
		account = self.account_with(GOOD)
		expected = {
			"Credit Manager": {"recharge": True, "set_auto_recharge": True, "adjust": True},
			"Credit User": {"recharge": False, "set_auto_recharge": False, "adjust": False},
			"Accounts User": {"recharge": False, "set_auto_recharge": False, "adjust": False},
		}
		for role, may in expected.items():
			with self.subTest(role=role):
				frappe.set_user("Administrator")
				frappe.set_user(make_user(role))
				found = desk.account_overview(account)
				self.assertEqual(found["may"], may)
				# Accountants see movements and payments, not cards and settings.
				self.assertIsNotNone(found["movements"])
				self.assertEqual(found["auto_recharge"] is None, role == "Accounts User")
		frappe.set_user("Administrator")

	def test_an_unknown_account_is_not_found(self):
		with self.assertRaises(frappe.ValidationError) as caught:
			desk.account_overview("CA-nowhere")
		self.assertEqual(caught.exception.http_status_code, 404)


class TestAddCreditsForm(RechargeCase):
	def test_it_offers_what_can_be_charged(self):
		account = self.account_with(GOOD, POOR)
		worn = frappe.get_all("Recharge Card", {"credit_account": account, "last4": "9995"}, pluck="name")[0]
		frappe.db.set_value("Recharge Card", worn, {"exp_month": 1, "exp_year": 2020})
		form = desk.add_credits_form(account)
		self.assertEqual([card["card_label"] for card in form["cards"]], ["Visa •••• 4242"])
		self.assertEqual(form["cards_listed"], 2)
		self.assertEqual((form["minimum"], form["maximum"]), ("5", "10000"))
		self.assertEqual(form["preset_amounts"], ["25", "50", "100", "250", "500"])

	def test_the_card_form_names_stripe_s_script_and_no_secret(self):
		account = self.account_with(GOOD)
		key = "crm_recharge_stripe_publishable_key"
		self.addCleanup(frappe.local.conf.__setitem__, key, frappe.local.conf.get(key))
		frappe.local.conf[key] = None
		with self.assertRaises(frappe.ValidationError):
			card_form(account)
		frappe.local.conf[key] = "pk_test_standin"
		form = card_form(account)
		self.assertEqual(form["script"], f"{self.stripe.api_base}/v3/")
		self.assertEqual(form["publishable_key"], "pk_test_standin")
		self.assertNotIn("sk_", str(form))


class TestRechargeStory(RechargeCase):
	def story(self, *numbers: str, work: bool = True):
		account = self.account_with(*numbers)
		recharge = by_hand.start(account, "25", frappe.generate_hash(length=8))["recharge"]
		frappe.db.commit()
		if work:
			self.work(recharge)
		return desk.recharge_story(recharge)

	def test_paid_after_a_fallback(self):
		story = self.story(POOR, GOOD)
		self.assertEqual(story["status"], "Succeeded")
		self.assertEqual([a["status"] for a in story["attempts"]], ["Declined", "Succeeded"])
		self.assertEqual(story["attempts"][0]["label"], "Visa •••• 9995")
		self.assertEqual(story["attempts"][0]["reason"], "there is not enough money on the card")
		self.assertTrue(all(a["milliseconds"] > 0 for a in story["attempts"]))
		self.assertIn("$ 25.00 was paid", story["meaning"])
		self.assertIn("$ 525.00", story["meaning"])
		self.assertFalse(story["may_cancel"])

	def test_a_refund_is_part_of_it(self):
		account = self.account_with(GOOD, balance=0, enabled=False)
		recharge = by_hand.start(account, "25", "k", card=self.card_of(account))["recharge"]
		frappe.db.commit()
		self.work(recharge)
		self.use(account, "5")
		story = desk.recharge_story(recharge)
		self.assertEqual((story["unused"], story["may_refund"], story["refunds"]), ("20", True, []))
		asked = refund(recharge, "k1", "8", "Bought by mistake")
		refunds.carry_out(asked["refund"])
		story = desk.recharge_story(recharge)
		self.assertEqual((story["status"], story["unused"]), ("Partly Refunded", "12"))
		(row,) = story["refunds"]
		self.assertEqual((row.status, row.amount, row.reason), ("Succeeded", "8", "Bought by mistake"))
		frappe.set_user(make_user("Credit User"))
		self.assertFalse(desk.recharge_story(recharge)["may_refund"])
		frappe.set_user("Administrator")

	def card_of(self, account: str) -> str:
		return frappe.get_all("Recharge Card", {"credit_account": account}, pluck="name")[0]

	def test_nothing_was_charged(self):
		story = self.story(POOR)
		self.assertEqual(story["status"], "Failed")
		self.assertIn("add credits again", story["meaning"])
		self.assertTrue(story["may_cancel"])

	def test_waiting_for_a_worker(self):
		story = self.story(GOOD, work=False)
		self.assertEqual((story["status"], story["attempts"]), ("Queued", []))
		self.assertIn("waits for a background worker", story["meaning"])
		self.assertTrue(story["may_cancel"])

	def test_an_answer_that_is_not_known_yet(self):
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		story = self.story(GOOD)
		self.assertEqual(story["status"], "Charging")
		self.assertIn("no other card is charged meanwhile", story["meaning"])
		self.assertFalse(story["may_cancel"])


class TestWhenUsageOccurred(RechargeCase):
	"""Usage belongs to when it happened, the balance to when it was posted: both are shown."""

	def test_movements_and_statement_tell_both(self):
		account = self.account_with(balance=100, enabled=False)
		yesterday = (now_datetime() - timedelta(days=1)).replace(microsecond=0)
		credits.charge(account, amount=1, idempotency_key="late", occurred_at=str(yesterday))
		credits.charge(account, amount=2, idempotency_key="now")
		frappe.db.commit()
		now, late, _opening = desk.account_overview(account)["movements"]
		self.assertEqual(late.occurred_at, yesterday)
		self.assertGreater(late.posted_at, yesterday)
		self.assertLess(now.posted_at - now.occurred_at, timedelta(seconds=5))
		shown = portal.overview(account)["movements"]
		self.assertEqual(shown[1]["occurred"], format_datetime(yesterday))
		statement = credits.statement(account, str(now_datetime() - timedelta(hours=1)))
		self.assertEqual([row.occurred_at for row in statement["rows"]][1], yesterday)
		self.assertEqual(statement["closing_balance"], "97")
		# Posted today: no part of yesterday's balance.
		before = credits.statement(account, to_date=str(now_datetime() - timedelta(hours=1)))
		self.assertEqual((before["rows"], before["closing_balance"]), ([], "0"))


class TestInsight(RechargeCase):
	def test_the_chart_adds_up_what_was_used_and_recharged_by_day(self):
		account = self.account_with(GOOD, balance=1000)
		before = self.today()
		self.use(account, "1.25")
		self.use(account, "0.0004")
		recharge = by_hand.start(account, "25", "k")["recharge"]
		frappe.db.commit()
		self.work(recharge)
		after = self.today()
		self.assertEqual(after[0] - before[0], Decimal("1.2504"))
		self.assertEqual(after[1] - before[1], 25)

	def today(self) -> tuple[Decimal, Decimal]:
		chart = insight.credits_by_day(
			filters={"currency": "USD"}, from_date=add_days(nowdate(), -6), to_date=nowdate(), refresh=1
		)
		self.assertEqual(len(chart["labels"]), 7)
		used, recharged = (each["values"] for each in chart["datasets"])
		return Decimal(str(used[-1])), Decimal(str(recharged[-1]))

	def test_periods_hold_all_their_days(self):
		account = self.account_with(GOOD, balance=100)
		self.use(account, "3")
		entry = frappe.get_all(
			"Credit Ledger", {"credit_account": account, "entry_type": "Usage"}, pluck="name"
		)[0]
		last_week = now_datetime() - timedelta(days=8)
		frappe.db.sql(
			"UPDATE `tabCredit Ledger` SET `posted_at` = %s, `occurred_at` = %s, `creation` = %s, `modified` = %s"
			" WHERE `name` = %s",
			(last_week, last_week, last_week, last_week, entry),
		)
		by_day = self.total("Daily")
		self.assertGreaterEqual(by_day, 3)
		self.assertAlmostEqual(self.total("Weekly"), by_day, places=6)
		self.assertAlmostEqual(self.total("Monthly"), by_day, places=6)

	def total(self, interval: str) -> float:
		chart = insight.credits_by_day(
			filters={"currency": "USD"}, from_date=add_days(nowdate(), -30), time_interval=interval, refresh=1
		)
		return sum(chart["datasets"][0]["values"])

	def test_the_prepaid_balance_is_told_currency_by_currency(self):
		account = make_account(currency="EUR")
		credits.grant(account, "7.5", "k")
		self.assertIn("€", insight.prepaid_balance())
		self.assertIn(" · ", insight.prepaid_balance())
