"""What the gateway takes in each currency counts at every door: a setting, an amount by hand, what is offered, what is
charged. What is taken there, the stand-in for Stripe takes as well; it knows Stripe's bounds itself."""

from decimal import Decimal

import frappe

from crm_recharge.api import desk, portal
from crm_recharge.api import recharge as api
from crm_recharge.credits import ledger
from crm_recharge.credits.errors import InvalidRequestError
from crm_recharge.gateway.stripe import minor_units
from crm_recharge.recharge import by_hand, cards, decisions
from crm_recharge.tests.case import GOOD, RechargeCase
from crm_recharge.tests.factories import make_account

# Currency -> least payment where the settings say 5, an amount just below, and one that is too fine.
SMALLEST = {
	"USD": ("5", "4.99", "5.001"),
	"JPY": ("50", "49", "50.5"),
	"HUF": ("175", "174.99", "175.001"),
	"KWD": ("5", "4.99", "5.001"),
	"SEK": ("5", "4.99", "5.001"),
	"CZK": ("15", "14.99", "15.001"),
}


class TestSmallestPayments(RechargeCase):
	def account_in(self, currency: str) -> tuple[str, str]:
		"""An account in `currency`, and its card."""
		frappe.db.set_value("Currency", currency, "enabled", 1)
		account = make_account(currency=currency)
		card = self.save_card(account, cards.gateway_customer(account), GOOD)
		frappe.db.commit()
		return account, card

	def set_up(self, account: str, card: str, falls_below, recharge_up_to):
		answer = api.set_auto_recharge(
			account, enabled=1, falls_below=str(falls_below), recharge_up_to=str(recharge_up_to), cards=[card]
		)
		frappe.db.commit()
		return answer

	def refused(self, code: str, call) -> dict:
		with self.assertRaises(InvalidRequestError) as refused:
			call()
		frappe.db.rollback()
		self.assertEqual(refused.exception.code, code)
		return refused.exception.figures

	def test_the_table_is_the_gateways(self):
		for currency, (least, *_rest) in SMALLEST.items():
			published = minor_units.minimum_charge(currency) or 0
			self.assertEqual(max(Decimal(5), published), Decimal(least), currency)

	def test_levels_closer_than_one_payment_are_refused_and_the_smallest_gap_is_charged(self):
		for currency, (least, below, _fine) in SMALLEST.items():
			with self.subTest(currency=currency):
				account, card = self.account_in(currency)
				ledger.grant(account, 20, "opening", note="test")
				frappe.db.commit()
				up_to = 10 + Decimal(below)
				figures = self.refused(
					"gap_below_minimum", lambda a=account, c=card, u=up_to: self.set_up(a, c, 10, u)
				)
				self.assertEqual(figures["minimum"], least)
				self.set_up(account, card, 10, 10 + Decimal(least))
				started = self.use(account, 10)["recharge"]
				self.assertEqual(self.work(started), "Succeeded")
				self.assertEqual(self.captured(account), Decimal(least))

	def test_by_hand_too_little_too_much_or_too_fine_is_refused_and_the_least_is_charged(self):
		for currency, (least, below, fine) in SMALLEST.items():
			with self.subTest(currency=currency):
				account, card = self.account_in(currency)

				def pay(amount, account=account, card=card):
					answer = by_hand.start(account, amount, frappe.generate_hash(), card)
					frappe.db.commit()
					return answer["recharge"]

				self.refused("payment_below_minimum", lambda: pay(below))
				self.refused("payment_above_maximum", lambda: pay("10000.01"))
				self.refused("payment_too_fine", lambda: pay(fine))
				self.assertEqual(self.work(pay(least)), "Succeeded")

	def test_the_most_the_gateway_takes_counts_where_the_settings_allow_more(self):
		self.set_settings(maximum_payment=10**10 - 1, minimum_payment="0.01", preset_amounts="")
		# In yen it is more than an amount may have here at all.
		for currency in SMALLEST.keys() - {"JPY"}:
			most = minor_units.maximum_charge(currency)
			with self.subTest(currency=currency, most=most):
				account, card = self.account_in(currency)

				def pay(amount, account=account, card=card):
					return by_hand.start(account, amount, frappe.generate_hash(), card)

				self.refused("payment_above_maximum", lambda: pay(most + 1))
				self.refused("gap_above_maximum", lambda a=account, c=card: self.set_up(a, c, 0, most + 1))
				started = pay(most)["recharge"]
				frappe.db.commit()
				self.assertEqual(self.work(started), "Succeeded")

	def test_what_is_offered_can_be_paid(self):
		self.set_settings(preset_amounts="6.5, 20, 60, 200")
		offered = {
			"USD": ["6.5", "20", "60", "200"],
			"JPY": ["60", "200"],
			"HUF": ["200"],
			"KWD": ["6.5", "20", "60", "200"],
			"SEK": ["6.5", "20", "60", "200"],
			"CZK": ["20", "60", "200"],
		}
		for currency, amounts in offered.items():
			with self.subTest(currency=currency):
				account, _card = self.account_in(currency)
				form = desk.add_credits_form(account)
				self.assertEqual(form["preset_amounts"], amounts)
				self.assertEqual(form["minimum"], SMALLEST[currency][0])
				on_page = portal.overview(account)["add_credits"]
				self.assertEqual([preset["amount"] for preset in on_page["presets"]], amounts)
		self.set_settings(preset_amounts="10, 20")
		account, _card = self.account_in("HUF")
		self.assertEqual(desk.add_credits_form(account)["preset_amounts"], ["175", "350", "875"])

	def test_the_usual_levels_can_be_saved_in_each_currency(self):
		self.set_settings(default_falls_below=10, default_recharge_up_to=40)
		usual = {"USD": (10, 40), "JPY": (10, 60), "HUF": (10, 185), "KWD": (10, 40)}
		for currency, levels in usual.items():
			with self.subTest(currency=currency):
				account, card = self.account_in(currency)
				ledger.grant(account, 1000, "opening", note="test")
				shown = portal.overview(account)["auto_recharge"]
				self.assertEqual(
					(Decimal(shown["falls_below"]), Decimal(shown["recharge_up_to"])),
					tuple(map(Decimal, levels)),
				)
				doc = frappe.get_doc(
					{
						"doctype": "Auto-Recharge Setting",
						"credit_account": account,
						"enabled": 1,
						"cards": [{"card": card}],
					}
				).insert()
				self.assertEqual((Decimal(doc.falls_below), Decimal(doc.recharge_up_to)), levels)
				frappe.db.commit()

	def test_levels_that_a_later_minimum_makes_impossible_are_told(self):
		account, card = self.account_in("USD")
		ledger.grant(account, 100, "opening", note="test")
		self.set_up(account, card, 50, 60)
		self.set_settings(minimum_payment=20)
		self.assertFalse(self.use(account, 55)["recharge_started"])
		decision = frappe.get_last_doc("Recharge Decision", {"credit_account": account})
		self.assertEqual((decision.code, decision.tell), ("below_minimum", 1))
		self.assertTrue(decisions.tell(decision.name))

	def set_settings(self, **values):
		doc = frappe.get_doc("CRM Recharge Settings")
		before = {field: doc.get(field) for field in values}
		self.addCleanup(self.put_back, before)
		self.put_back(values)

	def put_back(self, values: dict):
		frappe.db.rollback()
		frappe.get_doc("CRM Recharge Settings").update(values).save()
		frappe.db.commit()
