"""Every company gets what it needs, in any chart of accounts, once."""

from unittest.mock import patch

import frappe

from crm_recharge import uninstall
from crm_recharge.accounting import setup
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.tests.books import COMPANY, BooksTestCase, account

KINDS = {
	"unearned_revenue_account": ("Liability", "", "Unearned Credits"),
	"clearing_account": ("Asset", "Bank", "Stripe Clearing"),
	"fee_account": ("Expense", "", "Payment Gateway Fees"),
	"loss_account": ("Expense", "", "Chargeback Losses"),
}


class TestSetup(BooksTestCase):
	def row(self, company):
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		return setup.company_settings(company)

	def counts(self):
		return {
			doctype: frappe.db.count(doctype)
			for doctype in (
				"Account",
				"Item",
				"Item Default",
				"Mode of Payment",
				"Mode of Payment Account",
				setup.ROW,
			)
		}

	def assert_complete(self, company):
		row = self.row(company)
		for field, (root_type, account_type, name) in KINDS.items():
			made = frappe.get_doc("Account", row.get(field))
			self.assertEqual(
				(made.company, made.root_type, made.account_type or "", made.account_name, made.is_group),
				(company, root_type, account_type, name, 0),
			)
			self.assertEqual(
				made.account_currency, frappe.db.get_value("Company", company, "default_currency")
			)
			parent = frappe.get_doc("Account", made.parent_account)
			self.assertEqual((parent.root_type, parent.company), (root_type, company))
		item = frappe.get_doc("Item", row.item)
		self.assertEqual((item.is_stock_item, item.is_sales_item, item.taxes), (0, 1, []))
		self.assertIn(
			(company, row.unearned_revenue_account),
			[(default.company, default.income_account) for default in item.item_defaults],
		)
		mode = frappe.get_doc("Mode of Payment", row.mode_of_payment)
		self.assertIn(
			(company, row.clearing_account), [(x.company, x.default_account) for x in mode.accounts]
		)
		self.assertEqual(frappe.db.get_value("Cost Center", row.cost_center, "company"), company)
		return row

	def test_standard_chart(self):
		row = self.assert_complete(COMPANY)
		parents = [
			frappe.db.get_value(
				"Account", frappe.db.get_value("Account", row.get(field), "parent_account"), "account_name"
			)
			for field in KINDS
		]
		self.assertEqual(
			parents, ["Current Liabilities", "Bank Accounts", "Indirect Expenses", "Indirect Expenses"]
		)

	def test_again_changes_nothing(self):
		before = self.counts()
		setup.setup_company(COMPANY)
		setup.setup_all_companies()
		setup.after_install()
		self.assertEqual(self.counts(), before)

	def test_what_a_person_chose_stays(self):
		row = self.row(COMPANY)
		other = frappe.db.get_value("Account", {"company": COMPANY, "account_name": "Write Off"})
		frappe.db.set_value(setup.ROW, row.name, {"loss_account": other, "fee_account": None})
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		setup.setup_company(COMPANY)
		row = self.row(COMPANY)
		self.assertEqual(row.loss_account, other)
		self.assertEqual(row.fee_account, "Payment Gateway Fees - RB")
		frappe.db.rollback()
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)

	def test_a_chart_without_an_english_name_or_a_type(self):
		"""Hungary's for micro-enterprises: numbered, and no account of it is a bank, cash or payable one."""
		frappe.db.savepoint("chart")
		company = frappe.get_doc(
			{
				"doctype": "Company",
				"company_name": "Chart Test",
				"abbr": "CT",
				"country": "Hungary",
				"default_currency": "HUF",
				"create_chart_of_accounts_based_on": "Standard Template",
				"chart_of_accounts": "Hungary - Chart of Accounts for Microenterprises",
			}
		)
		company.insert()
		self.assertFalse(frappe.db.exists("Account", {"company": company.name, "account_name": "Debtors"}))
		self.assertFalse(frappe.db.exists("Account", {"company": company.name, "account_type": "Payable"}))
		setup.setup_company(company.name)
		self.assert_complete(company.name)
		frappe.db.rollback(save_point="chart")
		frappe.clear_cache()

	def test_new_company_by_the_hook(self):
		company = frappe.copy_doc(frappe.get_doc("Company", COMPANY))
		company.update({"company_name": "Hook Test", "abbr": "HT"})
		for field in company.meta.get_link_fields():
			if field.options in ("Account", "Cost Center", "Warehouse"):
				company.set(field.fieldname, None)
		frappe.db.savepoint("hook")
		company.insert()
		setup.on_company_update(company)
		self.assert_complete(company.name)
		before = self.counts()
		setup.on_company_update(company)
		self.assertEqual(self.counts(), before)
		setup.on_company_trash(company)
		with self.assertRaises(AccountingError):
			self.row(company.name)
		frappe.db.rollback(save_point="hook")
		frappe.clear_cache()

	def test_a_company_without_a_chart_waits(self):
		company = frappe.new_doc("Company")
		company.update({"company_name": "No Chart", "abbr": "NC", "default_currency": "USD"})
		company.name = "No Chart"
		company.db_insert()
		setup.on_company_update(company)
		self.assertNotIn("No Chart", setup.setup_all_companies())
		with self.assertRaisesRegex(AccountingError, "chart of accounts"):
			setup.setup_company("No Chart")
		frappe.db.rollback()

	def test_a_failing_set_up_does_not_stop_the_company(self):
		row = self.row(COMPANY).name
		frappe.db.set_value(setup.ROW, row, "company", "Nobody")
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		logs = frappe.db.count("Error Log")
		with patch.object(setup, "_item", side_effect=AccountingError("no item group")):
			setup.on_company_update(frappe.get_doc("Company", COMPANY))
		self.assertEqual(frappe.db.count("Error Log"), logs + 1)
		frappe.db.rollback()
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)

	def test_before_erpnext_is_set_up(self):
		with patch.object(frappe, "get_all", side_effect=lambda *args, **kwargs: []):
			self.assertEqual(setup.setup_all_companies(), [])
		with self.assertRaisesRegex(AccountingError, "does not exist"):
			setup.setup_company("No such company")

	def test_only_some_roles_may_set_up(self):
		frappe.set_user("Guest")
		self.addCleanup(frappe.set_user, "Administrator")
		# only_for lets everybody through in tests.
		with patch.dict(frappe.flags, in_test=False), self.assertRaises(frappe.PermissionError):
			setup.set_up_company(COMPANY)


class TestUninstall(BooksTestCase):
	def test_refused_while_credits_are_held(self):
		credit_account = account()
		frappe.db.set_value("Credit Account", credit_account, "balance", "12.345678901")
		others = frappe.get_all(
			"Credit Account", {"balance": ("!=", 0), "name": ("!=", credit_account)}, pluck="name"
		)
		for name in others:
			frappe.db.set_value("Credit Account", name, "balance", 0)
		with self.assertRaises(frappe.ValidationError) as refused:
			uninstall.refuse_while_credits_are_held()
		self.assertIn(f"{credit_account} ·", str(refused.exception))
		self.assertIn("12.345678901 USD", str(refused.exception))
		self.assertIn(uninstall.DISCARD, str(refused.exception))
		with patch.dict(frappe.conf, {uninstall.DISCARD: 1}):
			uninstall.refuse_while_credits_are_held()
		frappe.db.set_value("Credit Account", credit_account, "balance", 0)
		uninstall.refuse_while_credits_are_held()
		frappe.db.rollback()
