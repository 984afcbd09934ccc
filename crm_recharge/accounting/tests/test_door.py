"""What is accepted can be booked; what never could be is refused where it is asked for, with a way out."""

from decimal import Decimal as D

import frappe

from crm_recharge.accounting import posting, setup
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.tests.books import (
	COMPANY,
	account,
	fields,
	new_customer,
	settled_recharge,
	vat_template,
)
from crm_recharge.accounting.tests.life_case import CLEARING, DEBTORS, FEES, LOSS, UNEARNED, LifeCase
from crm_recharge.tests.factories import make_account


class DoorCase(LifeCase):
	def refused(self, *words: str, customer=None, currency="USD") -> None:
		"""An account cannot be made, nothing is left of it, and the reason says `words`."""
		customer = customer or new_customer()
		with self.assertRaises(AccountingError) as refusal:
			make_account(customer, COMPANY, currency)
		frappe.db.rollback()
		for word in words:
			self.assertIn(word, str(refusal.exception))
		self.assertFalse(
			frappe.db.exists(
				"Credit Account", {"customer": customer, "currency": currency, "company": COMPANY}
			)
		)

	def settings(self, **values) -> None:
		row = frappe.db.get_value("CRM Recharge Company", {"company": COMPANY})
		self.addCleanup(frappe.clear_document_cache, setup.SETTINGS, setup.SETTINGS)
		self.change("CRM Recharge Company", row, **values)
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)

	def beside(self, like: str, currency: str) -> str:
		"""An account beside `like` in that currency. It stays: what has entries cannot be deleted."""
		model = frappe.get_doc("Account", like)
		values = {"account_name": f"Own {model.account_name} {currency}", "company": COMPANY}
		found = frappe.db.get_value("Account", values)
		if not found:
			more = {
				"parent_account": model.parent_account,
				"account_type": model.account_type,
				"account_currency": currency,
			}
			found = frappe.get_doc({"doctype": "Account", **values, **more}).insert().name
			frappe.db.commit()
		return found

	def receivable_in(self, currency: str) -> str:
		return self.beside(DEBTORS, currency)


class TestAccounts(DoorCase):
	def test_a_customer_whose_receivable_account_is_in_another_currency(self):
		euro = self.receivable_in("EUR")
		customer = new_customer(default_currency="EUR", accounts=[{"company": COMPANY, "account": euro}])
		self.refused(euro, "EUR", "USD", "under Accounting", "another customer", customer=customer)
		self.done(posting, settled_recharge(account("EUR", customer), "10"), "Recharge")

	def test_a_customer_kept_in_another_currency(self):
		customer = new_customer()
		posting.account_for(settled_recharge(account("EUR", customer), "10"))
		self.refused("kept in EUR", "another customer", customer=customer)

	def test_two_currencies_before_the_first_entry(self):
		self.configure("Accounts Settings", allow_multi_currency_invoices_against_single_party_account=0)
		for first, second in (("USD", "EUR"), ("EUR", "USD"), ("EUR", "JPY")):
			with self.subTest(first=first, second=second):
				customer = new_customer()
				accounts = [account(currency, customer) for currency in (first, second)]
				for name in accounts:
					recharge = settled_recharge(name, "1000")
					self.done(posting, recharge, "Recharge")
					invoice = frappe.get_doc("Sales Invoice", fields(recharge).sales_invoice)
					self.assertEqual((invoice.debit_to, invoice.outstanding_amount), (DEBTORS, 0))

	def test_a_disabled_a_frozen_and_an_internal_customer(self):
		for values, words in (
			({"disabled": 1}, ("disabled", "Enable")),
			({"is_frozen": 1}, ("frozen", "Untick")),
			(
				{"is_internal_customer": 1, "represents_company": COMPANY},
				("internal customer", "Add the company"),
			),
		):
			with self.subTest(**values):
				customer = new_customer()
				self.change("Customer", customer, **values)
				self.refused(customer, *words, customer=customer)

	def test_a_company_that_is_not_set_up_or_lacks_an_account(self):
		self.settings(clearing_account=None)
		self.refused("Gateway clearing account", COMPANY)
		self.settings(company="Nobody")
		self.refused(COMPANY, "set it up")

	def test_accounts_that_are_disabled_and_an_item_that_cannot_be_sold(self):
		self.change("Account", CLEARING, disabled=1)
		self.refused(CLEARING, "disabled", "Choose another")
		self._write_record("Account", CLEARING, {"disabled": 0})
		self.change("Item", "Prepaid Credits", disabled=1)
		self.refused("Prepaid Credits", "cannot be sold")

	def test_a_clearing_account_in_a_third_currency(self):
		pounds = self.beside(CLEARING, "GBP")
		self.settings(clearing_account=pounds)
		self.refused(pounds, "GBP", currency="EUR")
		self.assertTrue(account("GBP"))

	def test_no_exchange_rate_and_no_service_to_ask(self):
		self.configure("Currency Exchange Settings", disabled=1)
		self.refused("CHF", "Currency Exchange", currency="CHF")
		self.configure("Currency Exchange Settings", disabled=0)
		self.assertTrue(account("CHF"))

	def test_a_site_that_keeps_no_cents(self):
		for key, value in (("number_format", "#,###"), ("currency_precision", "")):
			before = frappe.db.get_default(key)
			frappe.db.set_default(key, value)
			frappe.db.commit()
			self.addCleanup(self._set_default, key, before)
		self.refused("0 decimals", "Currency Precision")
		self.assertTrue(account("JPY"))

	def _set_default(self, key, value):
		frappe.db.rollback()
		frappe.db.set_default(key, value or "")
		frappe.db.commit()

	def test_nothing_is_asked_where_recharges_are_not_invoiced(self):
		self.configure("CRM Recharge Settings", make_invoices=0)
		customer = new_customer(
			default_currency="EUR", accounts=[{"company": COMPANY, "account": self.receivable_in("EUR")}]
		)
		self.assertTrue(account("USD", customer))

	def test_a_receivable_account_that_does_not_fit_later_is_refused_at_the_customer_and_named_by_the_books(
		self,
	):
		customer = new_customer()
		credit_account = account("USD", customer)
		doc = frappe.get_doc("Customer", customer)
		doc.default_currency = "EUR"
		doc.append("accounts", {"company": COMPANY, "account": self.receivable_in("EUR")})
		with self.assertRaisesRegex(AccountingError, credit_account):
			doc.save()
		frappe.db.rollback()
		group = self.insert(
			doctype="Customer Group",
			customer_group_name=f"Abroad {frappe.generate_hash(length=5)}",
			parent_customer_group=frappe.get_all("Customer Group", {"is_group": 1}, pluck="name")[0],
			accounts=[{"company": COMPANY, "account": self.receivable_in("EUR")}],
		)
		doc = frappe.get_doc("Customer", customer)
		doc.customer_group = group.name
		with self.assertRaisesRegex(AccountingError, credit_account):
			doc.save()
		frappe.db.rollback()
		# By another way: an import, a script.
		frappe.get_doc(
			{
				"doctype": "Party Account",
				"parent": customer,
				"parenttype": "Customer",
				"parentfield": "accounts",
				"company": COMPANY,
				"account": self.receivable_in("EUR"),
			}
		).db_insert()
		frappe.db.commit()
		recharge = settled_recharge(credit_account, "10")
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertIn("under Accounting", fields(recharge).accounting_error)
		frappe.db.delete("Party Account", {"parent": customer})
		frappe.db.commit()
		self.done(posting, recharge, "Recharge")
		# Something else about the customer can be saved.
		doc = frappe.get_doc("Customer", customer)
		doc.customer_details = "x"
		doc.save()
		frappe.db.commit()


class TestSettings(DoorCase):
	def refused_row(self, *words: str, **values) -> None:
		doc = frappe.get_doc(setup.SETTINGS)
		row = next(row for row in doc.companies if row.company == COMPANY)
		row.update(values)
		with self.assertRaises(AccountingError) as refusal:
			doc.save()
		frappe.db.rollback()
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		for word in words:
			self.assertIn(word, str(refusal.exception))

	def test_what_cannot_be_posted_to(self):
		group = frappe.db.get_value("Account", CLEARING, "parent_account")
		self.refused_row("group", group, clearing_account=group)
		self.change("Account", "Cash - RB", disabled=1)
		self.refused_row("Cash - RB", "disabled", clearing_account="Cash - RB")
		self.refused_row("group", cost_center=f"{COMPANY} - RB")
		account("EUR")
		pounds = self.beside(CLEARING, "GBP")
		self.refused_row(pounds, "GBP", clearing_account=pounds)

	def test_accounts_that_erpnext_keeps_for_other_documents(self):
		for kind, field, like in (
			("Receivable", "unearned_revenue_account", UNEARNED),
			("Payable", "clearing_account", CLEARING),
			("Stock", "clearing_account", CLEARING),
			("Receivable", "fee_account", FEES),
			("Depreciation", "loss_account", LOSS),
		):
			with self.subTest(kind=kind, field=field):
				other = self.insert(
					doctype="Account",
					account_name=f"{kind} {frappe.generate_hash(length=6)}",
					company=COMPANY,
					parent_account=frappe.db.get_value("Account", like, "parent_account"),
					account_type=kind,
				)
				self.refused_row(other.name, kind, "Choose another", **{field: other.name})

	def test_fees_losses_and_taxes_in_a_third_currency(self):
		account("USD")
		for field, like in (("fee_account", FEES), ("loss_account", LOSS)):
			pounds = self.beside(like, "GBP")
			self.refused_row(pounds, "GBP", "must be in", **{field: pounds})
		pounds = self.beside(vat_template(self, 19), "GBP")
		self.refused_row(pounds, "GBP", taxes_template=self.template(pounds))

	def test_a_template_that_is_disabled(self):
		template = self.template(vat_template(self, 19))
		self.change("Sales Taxes and Charges Template", template, disabled=1)
		self.refused_row(template, "disabled", taxes_template=template)

	def test_one_account_for_two_things(self):
		self.refused_row(CLEARING, "two accounts", unearned_revenue_account=CLEARING)
		self.refused_row(CLEARING, "two accounts", fee_account=CLEARING)

	def template(self, head: str) -> str:
		return self.insert(
			doctype="Sales Taxes and Charges Template",
			title=f"Door {frappe.generate_hash(length=6)}",
			company=COMPANY,
			taxes=[{"charge_type": "On Net Total", "account_head": head, "description": "T", "rate": 5}],
		).name

	def test_a_tax_that_cannot_be_contained(self):
		tax = frappe.get_all(
			"Account", {"company": COMPANY, "account_type": "Tax", "is_group": 0}, pluck="name"
		)
		template = self.insert(
			doctype="Sales Taxes and Charges Template",
			title=f"Fixed {frappe.generate_hash(length=6)}",
			company=COMPANY,
			taxes=[{"charge_type": "Actual", "account_head": tax[0], "description": "T", "tax_amount": 5}],
		)
		self.refused_row("Actual", taxes_template=template.name)

	def test_a_row_that_was_there_is_left_alone(self):
		self.change("Account", CLEARING, disabled=1)
		doc = frappe.get_doc(setup.SETTINGS)
		doc.save()
		frappe.db.rollback()


class TestMerges(DoorCase):
	def merged(self, doctype: str, old: str, new: str) -> None:
		frappe.rename_doc(doctype, old, new, merge=True)
		frappe.db.commit()

	def test_two_customers_with_accounts_of_one_currency(self):
		old, new = new_customer(), new_customer()
		mine, theirs = account("USD", old), account("USD", new)
		with self.assertRaises(frappe.ValidationError) as refusal:
			frappe.rename_doc("Customer", old, new, merge=True)
		for word in (mine, theirs, old, new, "Disabled", "delete it"):
			self.assertIn(word, str(refusal.exception))
		# Nothing was touched, even where the transaction goes on.
		frappe.db.commit()
		self.assertEqual(frappe.db.get_value("Credit Account", mine, "customer"), old)
		self.assertEqual(frappe.db.get_value("Credit Account", theirs, "customer"), new)
		# The way out that the sentence shows.
		frappe.delete_doc("Credit Account", mine)
		self.merged("Customer", old, new)
		self.assertFalse(frappe.db.exists("Customer", old))

	def test_the_account_of_one_goes_to_the_other_with_its_name_and_is_booked(self):
		old, new = new_customer(), new_customer()
		mine = account("USD", old)
		self.merged("Customer", old, new)
		row = frappe.db.get_value("Credit Account", mine, ["customer", "customer_name"], as_dict=True)
		name = frappe.db.get_value("Customer", new, "customer_name")
		self.assertEqual((row.customer, row.customer_name), (new, name))
		self.done(posting, settled_recharge(mine, "10"), "Recharge")
		self.assertEqual(self.moved()[CLEARING], D(10))

	def test_a_merge_that_leaves_credits_which_cannot_be_invoiced(self):
		old, new = new_customer(), new_customer()
		mine = account("USD", old)
		posting.account_for(settled_recharge(account("EUR", new), "10"))
		with self.assertRaisesRegex(AccountingError, mine):
			frappe.rename_doc("Customer", old, new, merge=True)
		frappe.db.rollback()
		self.assertEqual(frappe.db.get_value("Credit Account", mine, "customer"), old)

	def test_a_rename_alone(self):
		old = new_customer()
		mine = account("USD", old)
		frappe.rename_doc("Customer", old, f"{old} anew")
		frappe.db.commit()
		self.assertEqual(frappe.db.get_value("Credit Account", mine, "customer"), f"{old} anew")
