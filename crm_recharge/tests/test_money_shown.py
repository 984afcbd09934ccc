"""In every number format each amount has its decimals, wherever a person reads it."""

import frappe

from crm_recharge.accounting import posting
from crm_recharge.accounting.tests.books import BooksTestCase, account, fields, settled_recharge
from crm_recharge.accounting.tests.life_case import refund
from crm_recharge.api import portal_view
from crm_recharge.credits.money import money
from crm_recharge.recharge import notices, takeback_notices
from crm_recharge.reorder.answers import view

STYLES = {
	"#,###.##": "1,234.99",
	"#,###": "1,234.99",
	"#.###": "1.234,99",
	"#'###.##": "1'234.99",
	"# ###,##": "1 234,99",
	"#,##,###.##": "1,234.99",
}


class TestMoneyShown(BooksTestCase):
	def tearDown(self):
		frappe.db.rollback()
		super().tearDown()

	def style(self, text: str) -> None:
		"""The site's number format, for this transaction; the decimals of the books are another matter."""
		frappe.db.set_default("number_format", text)
		frappe.db.set_default("currency_precision", "2")

	def test_the_one_function(self):
		for text, shown in STYLES.items():
			with self.subTest(style=text):
				self.style(text)
				self.assertEqual(money("1234.99", "USD"), f"$ {shown}")
				self.assertEqual(money("-1234.99", "USD"), f"$ -{shown}")
		self.style("#,###")
		self.assertEqual(money("0.75", "USD"), "$ 0.75")
		self.assertEqual(money("0.0004", "USD"), "$ 0.0004")
		self.assertEqual(money("1000", "JPY"), "¥ 1,000")
		self.assertEqual(money("4.605", "KWD"), money(4.605, "KWD"))
		self.assertIn("4.605", money("4.605", "KWD"))
		self.assertEqual(money(None, "USD"), "$ 0.00")
		self.assertEqual(money("5", None), "5.00")
		frappe.db.set_default("hide_currency_symbol", "Yes")
		self.assertEqual(money("5", "USD"), "5.00")
		frappe.db.set_default("hide_currency_symbol", "")
		self.style("#,##,###.##")
		self.assertEqual(money("1234567.5", "INR"), "₹ 12,34,567.50")

	def test_the_currencys_own_format_where_the_site_says_so(self):
		frappe.db.set_value("Currency", "EUR", {"number_format": "#.###,##", "symbol_on_right": 1})
		frappe.clear_document_cache("Currency", "EUR")
		self.addCleanup(frappe.clear_document_cache, "Currency", "EUR")
		frappe.db.set_default("use_number_format_from_currency", "1")
		frappe.db.value_cache.clear()
		self.assertEqual(money("1234.99", "EUR"), "1.234,99 €")
		frappe.db.set_default("use_number_format_from_currency", "0")

	def test_mails_pages_and_prints(self):
		credit_account = account()
		recharge = settled_recharge(credit_account, "1234.99")
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
		back = frappe.get_doc("Recharge Refund", refund(recharge, "1234.99"))
		invoice = fields(recharge).sales_invoice
		for text, shown in STYLES.items():
			with self.subTest(style=text):
				self.style(text)
				self.assertEqual(notices.context_of(recharge)["amount"], f"$ {shown}")
				self.assertEqual(takeback_notices.context_of(back)["amount"], f"$ {shown}")
				self.assertEqual(view.money(1234.99, "USD"), f"$ {shown}")
				self.assertEqual(portal_view.currency_of("USD")["format"], text)
		self.style("#.###")
		print_out = frappe.get_print("Sales Invoice", invoice, "Recharge Invoice")
		self.assertEqual(print_out.count("$ 1.234,99"), 2)
