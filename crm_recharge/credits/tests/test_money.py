"""Amounts for people: written in the user's number format, never cut, and read back as they were written."""

from decimal import Decimal

import frappe

from crm_recharge.credits import money
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.tests.compat import BenchTestCase

# Those of Frappe's settings.
FORMATS = frappe.get_meta("System Settings").get_field("number_format").options.split("\n")


class TestMoney(BenchTestCase):
	def setUp(self):
		super().setUp()
		self.addCleanup(frappe.db.rollback)
		self.addCleanup(frappe.clear_cache)

	def write(self, number_format: str) -> None:
		frappe.db.set_default("number_format", number_format)

	def test_no_number_format_cuts_an_amount(self):
		for number_format, written in (
			("#,###.##", "$ 1,234.99"),
			("#,###", "$ 1,234.99"),
			("#.###", "$ 1.234,99"),
			("#.###,##", "$ 1.234,99"),
			("# ###,##", "$ 1 234,99"),
			("#'###.##", "$ 1'234.99"),
		):
			with self.subTest(number_format):
				self.write(number_format)
				self.assertEqual(money.money("1234.99", "USD"), written)
		self.write("#,###")
		self.assertEqual(money.money("0.75", "USD"), "$ 0.75")
		self.assertEqual(money.money("-0.0312", "USD"), "$ -0.0312")
		self.assertEqual(money.money("1234", "JPY"), "¥ 1,234")
		self.assertEqual(money.money("5", "KWD").split()[-1], "5.000")

	def test_what_is_written_is_read_in_every_number_format(self):
		for number_format in FORMATS:
			self.write(number_format)
			for currency in ("USD", "EUR", "JPY", "KWD", "INR"):
				for amount in ("5000", "500000.5", "12.125", "0.0004", "-75.2"):
					with self.subTest(number_format=number_format, currency=currency, amount=amount):
						for written in (money.money(amount, currency), money.number(amount, currency)):
							self.assertEqual(money.typed(written, currency, "Amount"), Decimal(amount))

	def test_what_may_mean_two_amounts_is_refused_with_both(self):
		self.write("#.###,##")
		with self.assertRaises(InvalidRequest) as refused:
			money.typed("12.50", "EUR", "Amount")
		self.assertEqual(refused.exception.figures["readings"], ["12,50"])

	def test_the_currencys_own_format_where_the_settings_say_so(self):
		self.write("#,###.##")
		frappe.db.set_value("Currency", "EUR", "number_format", "#.###,##")
		self.assertEqual(money.money("5000", "EUR"), "€ 5,000.00")
		frappe.db.set_default("use_number_format_from_currency", "1")
		self.assertEqual(money.money("5000", "EUR"), "€ 5.000,00")

	def test_a_users_own_format_goes_before_the_sites(self):
		self.write("#,###.##")
		frappe.defaults.set_user_default("number_format", "#.###,##")
		self.addCleanup(frappe.defaults.clear_default, "number_format", parent=frappe.session.user)
		self.assertEqual(money.money("5000", "EUR"), "€ 5.000,00")
