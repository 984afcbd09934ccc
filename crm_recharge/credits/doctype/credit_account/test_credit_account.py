"""A form may change an account's particulars, never its book."""

from unittest.mock import patch

import frappe
from frappe import client

from crm_recharge.credits import usage
from crm_recharge.credits.doctype.credit_account.credit_account import BOOK_COLUMNS, CreditAccount
from crm_recharge.tests import factories
from crm_recharge.tests.compat import NO_RECORDS
from crm_recharge.tests.support.money_case import MoneyTestCase

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = NO_RECORDS


class TestCreditAccount(MoneyTestCase):
	def use(self, account, amount):
		usage.charge(account, {"amount": amount, "idempotency_key": frappe.generate_hash(length=16)})
		frappe.db.commit()

	def test_saving_a_form_that_was_opened_before_a_charge_keeps_the_charge(self):
		account = self.account("100")
		form = frappe.get_doc("Credit Account", account)
		self.use(account, 30)
		before = self.state(account)
		form.status_reason = "Checked"
		form.save()
		frappe.db.commit()
		self.assertEqual(self.state(account), before)
		self.assertEqual(frappe.db.get_value("Credit Account", account, "status_reason"), "Checked")
		self.use(account, 70)

	def test_no_request_sets_the_book(self):
		account = self.account("100")
		before = self.state(account)
		forged = {
			"balance": 10**6,
			"sequence": 77,
			"last_hash": "x",
			"open_lots": "[]",
			"open_recharge": None,
		}
		client.set_value("Credit Account", account, forged)
		doc = frappe.get_doc("Credit Account", account)
		doc.update(forged)
		doc.flags.ignore_validate = True
		doc.save()
		frappe.db.commit()
		self.assertEqual(self.state(account), before)

	def test_no_code_sets_it_past_the_ledger(self):
		account = self.account("100")
		before, doc = self.state(account), frappe.get_doc("Credit Account", account)
		for values in ({"balance": 5}, {"status_reason": "x", "open_recharge": None}):
			with self.assertRaises(frappe.PermissionError):
				doc.db_set(values)
		with self.assertRaises(frappe.PermissionError):
			doc.db_set("balance", 5)
		doc.db_set("status_reason", "fine")
		frappe.db.commit()
		self.assertEqual(self.state(account), before)

	def test_a_new_account_begins_empty_whatever_it_claims(self):
		account = self.account(balance=500, sequence=9, last_hash="x", open_lots='["x"]', held_because="x")
		self.assertEqual(self.state(account)[0], ((("0.000000000"), 0, None, None, None),))
		values = frappe.db.get_value("Credit Account", account, BOOK_COLUMNS, as_dict=True)
		self.assertFalse(any(values.values()), values)

	def test_one_account_for_a_customer_company_and_currency(self):
		account = frappe.get_doc("Credit Account", self.account())
		with self.assertRaises(frappe.DuplicateEntryError):
			factories.make_account(account.customer, account.company, account.currency)
		self.account(customer=account.customer, company=account.company, currency="EUR")
		with patch.object(CreditAccount, "_refuse_twin"), self.assertRaises(frappe.UniqueValidationError):
			# As when the other request has not committed yet.
			factories.make_account(account.customer, account.company, account.currency)
		frappe.db.rollback()

	def test_whose_account_in_which_currency_it_is_stays(self):
		account, other = self.account("5"), factories.make_customer()
		for field, value in (("currency", "EUR"), ("customer", other)):
			with self.assertRaises(frappe.ValidationError):
				client.set_value("Credit Account", account, field, value)
			frappe.db.rollback()

	def test_an_overdraft_is_not_below_zero(self):
		account = self.account("5")
		with self.assertRaises(frappe.ValidationError):
			client.set_value("Credit Account", account, "overdraft_limit", -1)
		frappe.db.rollback()

	def test_addresses_for_alerts_are_addresses(self):
		with self.assertRaises(frappe.ValidationError):
			self.account(alert_recipients="ann@example.com nonsense")
		frappe.db.rollback()
		self.account(alert_recipients="ann@example.com, bob@example.com;\ncarl@example.com")

	def test_an_account_is_deleted_only_without_movements(self):
		empty = factories.make_account()
		frappe.delete_doc("Credit Account", empty)
		with self.assertRaises(frappe.ValidationError):
			frappe.delete_doc("Credit Account", self.account("1"), force=True)
		frappe.db.rollback()
