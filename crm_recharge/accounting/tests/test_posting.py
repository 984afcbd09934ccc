"""Recharges reach the general ledger to the cent, once, whatever dies and whoever else is at it."""

import multiprocessing
import os
import threading
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import get_datetime, now_datetime

from crm_recharge.accounting import documents, posting, rows, setup
from crm_recharge.accounting.tests.books import (
	COMPANY,
	BooksTestCase,
	account,
	documents_of,
	fields,
	ledger,
	new_customer,
	settled_recharge,
	yesterday,
)
from crm_recharge.outbox import attempt

UNEARNED, CLEARING, DEBTORS = "Unearned Credits - RB", "Stripe Clearing - RB", "Debtors - RB"


class TestPair(BooksTestCase):
	def test_general_ledger_to_the_cent(self):
		credit_account = account()
		for amount in ("450.00", "19.99", "0.07", "9999.99", "123456.78"):
			with self.subTest(amount=amount):
				recharge = settled_recharge(credit_account, amount, settled_at=yesterday())
				self.assertEqual(posting.account_for(recharge), "Done")
				row, paid = fields(recharge), Decimal(amount)
				self.assertEqual(ledger(row.sales_invoice), {DEBTORS: (paid, paid), UNEARNED: (-paid, -paid)})
				self.assertEqual(ledger(row.payment_entry), {CLEARING: (paid, paid), DEBTORS: (-paid, -paid)})

		invoice = frappe.get_doc("Sales Invoice", row.sales_invoice)
		self.assertEqual(
			(invoice.docstatus, invoice.status, invoice.outstanding_amount, invoice.update_stock),
			(1, "Paid", 0, 0),
		)
		self.assertEqual((invoice.items[0].item_code, invoice.items[0].qty), ("Prepaid Credits", 1))
		self.assertEqual(invoice.posting_date, yesterday().date())
		self.assertEqual(invoice.due_date, invoice.posting_date)
		self.assertIn(row.settled_intent, invoice.remarks)
		self.assertEqual(invoice.owner, "Administrator")
		entry = frappe.get_doc("Payment Entry", row.payment_entry)
		self.assertEqual(
			(entry.reference_no, entry.reference_date, entry.mode_of_payment, entry.unallocated_amount),
			(row.settled_intent, invoice.posting_date, "Stripe", 0),
		)
		self.assertEqual(
			(row.accounting_status, row.accounting_error, row.accounting_next_try_at), ("Done", None, None)
		)

	def test_a_later_refund_does_not_stop_the_invoice_of_the_payment(self):
		recharge = settled_recharge(account(), "20", status="Refunded")
		self.assertEqual(posting.account_for(recharge), "Done")

	def test_nothing_for_what_is_not_paid(self):
		for values in ({"status": "Failed", "settled_intent": None}, {"status": "Charging"}):
			recharge = settled_recharge(account(), "20", **values)
			self.assertEqual(posting.account_for(recharge), "")
			self.assertEqual(documents_of(recharge), ([], []))
			self.assertEqual(fields(recharge).accounting_status, "Pending")

	def test_switched_off(self):
		self.configure("CRM Recharge Settings", make_invoices=0)
		recharge = settled_recharge(account(), "20")
		self.assertEqual(posting.account_for(recharge), "Not Needed")
		self.assertEqual(documents_of(recharge), ([], []))
		self.assertEqual(fields(recharge).accounting_status, "Not Needed")

	def test_unknown_recharge(self):
		with self.assertRaises(frappe.DoesNotExistError):
			posting.account_for("no such recharge")

	def test_refuses_to_commit_what_a_caller_has_begun(self):
		recharge = settled_recharge(account(), "20")
		frappe.db.set_value("Recharge", recharge, "risk_level", "normal")
		with self.assertRaises(RuntimeError):
			posting.account_for(recharge)
		frappe.db.rollback()
		self.assertEqual(documents_of(recharge), ([], []))

	def test_the_session_stays_the_callers(self):
		recharge = settled_recharge(account(), "20")
		frappe.set_user("Guest")
		self.addCleanup(frappe.set_user, "Administrator")
		self.assertEqual(posting.account_for(recharge), "Done")
		self.assertEqual(frappe.session.user, "Guest")


class TestOnce(BooksTestCase):
	def test_twice_is_once(self):
		recharge = settled_recharge(account(), "75.50")
		posting.account_for(recharge)
		before = documents_of(recharge)
		self.assertEqual(posting.account_for(recharge), "Done")
		self.assertEqual(documents_of(recharge), before)
		self.assertEqual([len(names) for names in before], [1, 1])

	def test_documents_are_found_when_the_recharge_has_forgotten_them(self):
		recharge = settled_recharge(account(), "75.50")
		posting.account_for(recharge)
		before = documents_of(recharge)
		frappe.db.set_value(
			"Recharge",
			recharge,
			{"accounting_status": "Pending", "sales_invoice": None, "payment_entry": None},
		)
		frappe.db.commit()
		self.assertEqual(posting.account_for(recharge), "Done")
		self.assertEqual(documents_of(recharge), before)
		row = fields(recharge)
		self.assertEqual(([row.sales_invoice], [row.payment_entry]), before)

	def test_a_failure_between_the_documents_leaves_nothing(self):
		recharge = settled_recharge(account(), "75.50")
		with patch.object(documents, "make_payment", side_effect=ValueError("power cut")):
			self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertEqual(documents_of(recharge), ([], []))
		row = fields(recharge)
		self.assertIn("ValueError: power cut", row.accounting_error)
		self.assertIn("Error Log", row.accounting_error)
		self.assertEqual((row.accounting_status, row.accounting_tries), ("Failed", 1))
		self.assertGreater(row.accounting_next_try_at, now_datetime())
		log = frappe.get_all(
			"Error Log", {"reference_doctype": "Recharge", "reference_name": recharge}, pluck="error"
		)
		self.assertIn("Traceback", log[0])

		self.assertEqual(posting.account_for(recharge), "Done")
		row = fields(recharge)
		self.assertEqual((row.accounting_error, row.accounting_tries), (None, 0))

	def test_a_worker_that_dies_leaves_nothing(self):
		for where in ((documents, "make_payment"), (posting, "_write")):
			with self.subTest(dies_in=where[1]):
				recharge = settled_recharge(account(), "75.50")
				process = multiprocessing.get_context("fork").Process(
					target=_die_in, args=(*where, frappe.local.site, frappe.local.sites_path, recharge)
				)
				process.start()
				process.join(60)
				self.assertEqual(process.exitcode, 7)
				self.assertEqual(documents_of(recharge), ([], []))
				self.assertEqual(fields(recharge).accounting_status, "Pending")
				self.assertEqual(posting.account_for(recharge), "Done")
				self.assertEqual([len(names) for names in documents_of(recharge)], [1, 1])

	def test_four_workers_at_once_write_one_pair(self):
		recharge = settled_recharge(account(), "75.50")
		start, answers = threading.Barrier(4), []
		workers = [
			threading.Thread(
				target=_work,
				args=(frappe.local.site, frappe.local.sites_path, recharge, start, answers),
			)
			for _ in range(4)
		]
		for worker in workers:
			worker.start()
		for worker in workers:
			worker.join(120)
		self.assertEqual(answers, ["Done"] * 4)
		self.assertEqual([len(names) for names in documents_of(recharge)], [1, 1])

	def test_a_deadlock_is_tried_again_at_once(self):
		recharge = settled_recharge(account(), "75.50")
		real, calls = documents.make_payment, []

		def sometimes(*args):
			calls.append(args)
			if len(calls) == 1:
				raise frappe.QueryDeadlockError(1213, "Deadlock found when trying to get lock")
			return real(*args)

		with patch.object(documents, "make_payment", side_effect=sometimes):
			self.assertEqual(posting.account_for(recharge), "Done")
		self.assertEqual(len(calls), 2)
		self.assertEqual([len(names) for names in documents_of(recharge)], [1, 1])

	def test_a_draft_in_the_way_is_left_to_people(self):
		recharge = settled_recharge(account(), "75.50")
		customer = fields(recharge).customer
		draft = frappe.get_doc(
			{
				"doctype": "Sales Invoice",
				"customer": customer,
				"company": COMPANY,
				"crm_recharge": recharge,
				"items": [{"item_code": "Prepaid Credits", "qty": 1, "rate": 75.5}],
			}
		).insert()
		frappe.db.commit()
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertIn(draft.name, fields(recharge).accounting_error)
		draft.delete()
		frappe.db.commit()
		self.assertEqual(posting.account_for(recharge), "Done")

	def test_an_invoice_over_another_amount_is_not_taken_for_this_one(self):
		recharge = settled_recharge(account(), "75.50")
		invoice = frappe.get_doc(
			{
				"doctype": "Sales Invoice",
				"customer": fields(recharge).customer,
				"company": COMPANY,
				"crm_recharge": recharge,
				"items": [{"item_code": "Prepaid Credits", "qty": 1, "rate": 75.49}],
			}
		).submit()
		frappe.db.commit()
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertIn(invoice.name, fields(recharge).accounting_error)
		self.assertEqual(documents_of(recharge), ([invoice.name], []))


class TestFailure(BooksTestCase):
	def refused(self, recharge: str, *words: str) -> str:
		"""Posting fails, nothing is written, the error says `words`; returns the error."""
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertEqual(documents_of(recharge), ([], []))
		row = fields(recharge)
		for word in words:
			self.assertIn(word, row.accounting_error)
		self.assertNotIn("<", row.accounting_error)
		self.assertEqual(row.status, "Succeeded")
		return row.accounting_error

	def test_disabled_customer_then_enabled(self):
		credit_account = account()
		customer = frappe.db.get_value("Credit Account", credit_account, "customer")
		recharge = settled_recharge(credit_account, "30")
		self.change("Customer", customer, disabled=1)
		self.refused(recharge, customer, "disabled", "Enable the customer")
		first = fields(recharge).accounting_next_try_at
		self.refused(recharge, "disabled")
		row = fields(recharge)
		self.assertEqual(row.accounting_tries, 2)
		self.assertGreater(row.accounting_next_try_at, first + timedelta(minutes=5))
		self._write_record("Customer", customer, {"disabled": 0})
		self.assertEqual(posting.account_for(recharge), "Done")

	def test_frozen_customer_even_for_a_role_that_may(self):
		credit_account = account()
		customer = frappe.db.get_value("Credit Account", credit_account, "customer")
		if frappe.get_meta("Accounts Settings").has_field("frozen_accounts_modifier"):
			self.configure("Accounts Settings", frozen_accounts_modifier="Accounts Manager")
		self.change("Customer", customer, is_frozen=1)
		self.refused(settled_recharge(credit_account, "30"), customer, "frozen")

	def test_frozen_account(self):
		if frappe.get_meta("Accounts Settings").has_field("frozen_accounts_modifier"):
			self.configure("Accounts Settings", frozen_accounts_modifier="Accounts Manager")
		self.change("Account", UNEARNED, freeze_account="Yes")
		self.refused(settled_recharge(account(), "30"), UNEARNED, "frozen")

	def test_books_frozen_up_to_a_date(self):
		if frappe.get_meta("Accounts Settings").has_field("acc_frozen_upto"):
			self.configure("Accounts Settings", acc_frozen_upto=yesterday().date())
		else:
			self.change("Company", COMPANY, accounts_frozen_till_date=yesterday().date())
		self.refused(
			settled_recharge(account(), "30", settled_at=yesterday()), "before", "Accounts Frozen Till Date"
		)

	def test_a_year_that_is_closed(self):
		year = frappe.db.get_value(
			"Fiscal Year",
			{"year_start_date": ("<=", yesterday()), "year_end_date": (">=", yesterday())},
			["name", "year_start_date"],
			as_dict=True,
		)
		equity = frappe.get_all(
			"Account", {"company": COMPANY, "root_type": "Equity", "is_group": 0}, pluck="name"
		)
		# Its job, which would close the year, is left to the queue.
		closing = frappe.get_doc(
			{
				"doctype": "Period Closing Voucher",
				"company": COMPANY,
				"fiscal_year": year.name,
				"period_start_date": year.year_start_date,
				"period_end_date": yesterday().date(),
				"transaction_date": yesterday().date(),
				"closing_account_head": equity[0],
				"remarks": "Closed",
			}
		).submit()
		frappe.db.commit()
		self.addCleanup(self.reopen, closing)
		self.refused(
			settled_recharge(account(), "30", settled_at=yesterday()), "closed", "Period Closing Voucher"
		)

	def reopen(self, closing):
		frappe.db.rollback()
		closing.reload()
		closing.cancel()
		frappe.db.commit()

	def test_closed_period(self):
		period = self.insert(
			doctype="Accounting Period",
			period_name=f"Closed {frappe.generate_hash(length=6)}",
			company=COMPANY,
			start_date=yesterday().date(),
			end_date=yesterday().date(),
			closed_documents=[
				{"document_type": "Sales Invoice", "closed": 1},
				{"document_type": "Payment Entry", "closed": 1},
			],
		)
		recharge = settled_recharge(account(), "30", settled_at=yesterday())
		self.refused(recharge, period.name, "Reopen the period")

	def test_no_fiscal_year(self):
		recharge = settled_recharge(account(), "30", settled_at=get_datetime("1999-03-04 10:00:00"))
		self.refused(recharge, "Fiscal Year")

	def test_company_not_set_up(self):
		recharge = settled_recharge(account(), "30")
		row = frappe.db.get_value("CRM Recharge Company", {"company": COMPANY})
		self.change("CRM Recharge Company", row, company="Nobody")
		self.addCleanup(frappe.clear_document_cache, setup.SETTINGS, setup.SETTINGS)
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		self.refused(recharge, COMPANY, "CRM Recharge Settings")

	def test_part_of_the_set_up_missing(self):
		recharge = settled_recharge(account(), "30")
		row = frappe.db.get_value("CRM Recharge Company", {"company": COMPANY})
		self.addCleanup(frappe.clear_document_cache, setup.SETTINGS, setup.SETTINGS)
		self.change("CRM Recharge Company", row, clearing_account=None)
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		self.refused(recharge, "Gateway clearing account")

	def test_error_log_once_for_what_a_person_must_mend(self):
		credit_account = account()
		customer = frappe.db.get_value("Credit Account", credit_account, "customer")
		self.change("Customer", customer, disabled=1)
		recharge = settled_recharge(credit_account, "30")
		for _ in range(3):
			posting.account_for(recharge)
		self.assertEqual(frappe.db.count("Error Log", {"reference_name": recharge}), 1)

	def test_a_worker_that_failed_does_not_overwrite_one_that_succeeded(self):
		recharge = settled_recharge(account(), "30")
		posting.account_for(recharge)
		self.assertEqual(attempt.record_failure("account_for", recharge, ValueError("late"), "trace"), "Done")
		self.assertEqual(fields(recharge).accounting_error, None)

	def test_waits_grow_to_a_day(self):
		waits = [rows.BACK_OFF.wait(tries) for tries in (1, 2, 3, 4, 5, 6, 100)]
		self.assertEqual([wait.total_seconds() / 60 for wait in waits], [2, 10, 60, 360, 1440, 1440, 1440])

	def test_retry_is_for_some_roles_and_for_paid_recharges(self):
		credit_account = account()
		customer = frappe.db.get_value("Credit Account", credit_account, "customer")
		self.change("Customer", customer, disabled=1)
		recharge = settled_recharge(credit_account, "30")
		posting.account_for(recharge)
		frappe.set_user("Guest")
		# only_for lets everybody through in tests.
		with patch.dict(frappe.flags, in_test=False), self.assertRaises(frappe.PermissionError):
			posting.retry(recharge)
		frappe.set_user("Administrator")
		with patch.object(posting, "enqueue_after_commit") as enqueue:
			self.assertEqual(posting.retry(recharge), "Pending")
			enqueue.assert_called_once_with("account_for", recharge)
			row = frappe.db.get_value(
				"Recharge", recharge, ["accounting_error", "accounting_next_try_at"], as_dict=True
			)
			self.assertIsNone(row.accounting_error)
			self.assertLessEqual(row.accounting_next_try_at, now_datetime())
			with self.assertRaises(frappe.ValidationError):
				posting.retry(settled_recharge(credit_account, "30", status="Failed"))


class TestCurrencies(BooksTestCase):
	def setUp(self):
		super().setUp()
		self.configure("Accounts Settings", allow_multi_currency_invoices_against_single_party_account=0)

	def test_euro_account_in_a_dollar_company(self):
		credit_account = account("EUR")
		for amount, base in (("450.00", "487.67"), ("19.99", "21.66"), ("0.50", "0.54")):
			recharge = settled_recharge(credit_account, amount)
			with patch("requests.sessions.Session.request", side_effect=AssertionError("network")):
				self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
			row, paid, base = fields(recharge), Decimal(amount), Decimal(base)
			self.assertEqual(
				ledger(row.sales_invoice), {"Debtors EUR - RB": (base, paid), UNEARNED: (-base, -base)}
			)
			self.assertEqual(
				ledger(row.payment_entry), {CLEARING: (base, base), "Debtors EUR - RB": (-base, -paid)}
			)
			invoice = frappe.get_doc("Sales Invoice", row.sales_invoice)
			self.assertEqual(
				(invoice.currency, invoice.conversion_rate, invoice.outstanding_amount), ("EUR", 1.08371, 0)
			)
			entry = frappe.get_doc("Payment Entry", row.payment_entry)
			self.assertEqual(
				(
					entry.source_exchange_rate,
					entry.target_exchange_rate,
					entry.paid_amount,
					entry.received_amount,
				),
				(1.08371, 1, float(paid), float(base)),
			)

	def test_euro_account_of_a_customer_kept_in_dollars(self):
		customer = new_customer()
		posting.account_for(settled_recharge(account("USD", customer), "10"))
		recharge = settled_recharge(account("EUR", customer), "450.00")
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
		row, base = fields(recharge), Decimal("487.67")
		self.assertEqual(ledger(row.sales_invoice), {DEBTORS: (base, base), UNEARNED: (-base, -base)})
		self.assertEqual(ledger(row.payment_entry), {CLEARING: (base, base), DEBTORS: (-base, -base)})
		self.assertEqual(
			frappe.db.get_value(
				"Sales Invoice", row.sales_invoice, ["currency", "grand_total", "outstanding_amount"]
			),
			("EUR", 450.0, 0),
		)

	def test_a_customer_kept_in_euro_cannot_be_invoiced_in_dollars(self):
		customer = new_customer()
		credit_account = account("EUR", customer)
		posting.account_for(settled_recharge(credit_account, "10"))
		# Where the account exists already (the customer was invoiced in euro later), posting says so.
		recharge = settled_recharge(credit_account, "10")
		frappe.db.set_value("Recharge", recharge, "currency", "USD")
		frappe.db.commit()
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertIn("another customer", fields(recharge).accounting_error)

	def test_yen_has_no_decimals(self):
		recharge = settled_recharge(account("JPY"), "50000")
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
		row = fields(recharge)
		self.assertEqual(
			ledger(row.sales_invoice),
			{
				"Debtors JPY - RB": (Decimal("335.50"), Decimal(50000)),
				UNEARNED: (Decimal("-335.50"), Decimal("-335.50")),
			},
		)
		self.assertEqual(sum(base for base, _ in ledger(row.payment_entry).values()), 0)

	def test_no_exchange_rate(self):
		recharge = settled_recharge(account("CHF"), "10")
		self.configure("Currency Exchange Settings", disabled=1)
		self.assertEqual(posting.account_for(recharge), "Failed")
		error = fields(recharge).accounting_error
		self.assertIn("CHF", error)
		self.assertIn("Currency Exchange", error)

	def test_clearing_account_in_a_third_currency(self):
		row = frappe.db.get_value("CRM Recharge Company", {"company": COMPANY})
		third = self.insert(
			doctype="Account",
			account_name=f"Clearing GBP {frappe.generate_hash(length=4)}",
			company=COMPANY,
			parent_account=frappe.db.get_value("Account", CLEARING, "parent_account"),
			account_type="Bank",
			account_currency="GBP",
		)
		self.addCleanup(frappe.clear_document_cache, setup.SETTINGS, setup.SETTINGS)
		recharge = settled_recharge(account("EUR"), "10")
		self.change("CRM Recharge Company", row, clearing_account=third.name)
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertIn("GBP", fields(recharge).accounting_error)


class TestTaxes(BooksTestCase):
	def template(self, *rows: dict) -> str:
		"""A taxes template, chosen in the settings of the company; returns the tax account."""
		tax = frappe.db.get_value("Account", {"company": COMPANY, "account_name": "Test VAT"})
		if not tax:
			parent = frappe.db.get_value(
				"Account", {"company": COMPANY, "account_type": "Tax", "is_group": 1}
			)
			tax = (
				frappe.get_doc(
					{
						"doctype": "Account",
						"account_name": "Test VAT",
						"company": COMPANY,
						"parent_account": parent,
						"account_type": "Tax",
					}
				)
				.insert()
				.name
			)
		template = self.insert(
			doctype="Sales Taxes and Charges Template",
			title=f"VAT {frappe.generate_hash(length=6)}",
			company=COMPANY,
			taxes=[{"account_head": tax, "description": "VAT", **row} for row in rows],
		)
		row = frappe.db.get_value("CRM Recharge Company", {"company": COMPANY})
		self.addCleanup(frappe.clear_document_cache, setup.SETTINGS, setup.SETTINGS)
		self.change("CRM Recharge Company", row, taxes_template=template.name)
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		return tax

	def test_the_amount_paid_contains_the_tax(self):
		tax = self.template({"charge_type": "On Net Total", "rate": 19})
		for amount, net in (("450.00", "378.15"), ("19.99", "16.80"), ("0.07", "0.06"), ("100.01", "84.04")):
			recharge = settled_recharge(account(), amount)
			self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
			row, gross, net = fields(recharge), Decimal(amount), Decimal(net)
			self.assertEqual(
				{name: base for name, (base, _) in ledger(row.sales_invoice).items()},
				{DEBTORS: gross, UNEARNED: -net, tax: net - gross},
			)
			self.assertEqual(frappe.db.get_value("Sales Invoice", row.sales_invoice, "outstanding_amount"), 0)

	def test_two_taxes_in_a_foreign_currency(self):
		tax = self.template(
			{"charge_type": "On Net Total", "rate": 5},
			{"charge_type": "On Previous Row Total", "row_id": 1, "rate": 9.975},
		)
		recharge = settled_recharge(account("EUR"), "450.00")
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
		row = fields(recharge)
		invoice = ledger(row.sales_invoice)
		self.assertEqual(sum(base for base, _ in invoice.values()), 0)
		self.assertEqual(invoice["Debtors EUR - RB"], (Decimal("487.67"), Decimal(450)))
		self.assertLess(invoice[tax][0], -50)
		self.assertEqual(ledger(row.payment_entry)[CLEARING][0], Decimal("487.67"))

	def test_a_tax_that_cannot_be_contained(self):
		recharge = settled_recharge(account(), "450.00")
		self.template({"charge_type": "Actual", "tax_amount": 5})
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertIn("Actual", fields(recharge).accounting_error)

	def test_nothing_but_the_settings_has_a_say_in_the_amount(self):
		"""Default taxes, a tax rule, payment terms, prices, discounts, credit limit, order required."""
		tax = frappe.get_all(
			"Account", {"company": COMPANY, "account_type": "Tax", "is_group": 0}, pluck="name"
		)[0]
		template = self.insert(
			doctype="Sales Taxes and Charges Template",
			title=f"Default {frappe.generate_hash(length=6)}",
			company=COMPANY,
			is_default=1,
			taxes=[{"charge_type": "On Net Total", "account_head": tax, "rate": 10, "description": "T"}],
		)
		in_30_days = {
			"invoice_portion": 100,
			"due_date_based_on": "Day(s) after invoice date",
			"credit_days": 30,
		}
		name = f"Net 30 {frappe.generate_hash(length=6)}"
		self.insert(doctype="Payment Term", payment_term_name=name, **in_30_days)
		term = self.insert(
			doctype="Payment Terms Template",
			template_name=name,
			allocate_payment_based_on_payment_terms=1,
			terms=[{"payment_term": name, **in_30_days}],
		)
		customer = new_customer(
			payment_terms=term.name, credit_limits=[{"company": COMPANY, "credit_limit": 1}]
		)
		self.insert(
			doctype="Tax Rule",
			tax_type="Sales",
			customer=customer,
			company=COMPANY,
			sales_tax_template=template.name,
		)
		self.insert(
			doctype="Pricing Rule",
			title=f"Half {frappe.generate_hash(length=6)}",
			apply_on="Item Code",
			items=[{"item_code": "Prepaid Credits"}],
			selling=1,
			rate_or_discount="Discount Percentage",
			discount_percentage=50,
			currency="USD",
			company=COMPANY,
		)
		price_list = frappe.db.get_single_value("Selling Settings", "selling_price_list")
		frappe.db.delete("Item Price", {"item_code": "Prepaid Credits"})
		self.insert(
			doctype="Item Price", item_code="Prepaid Credits", price_list=price_list, price_list_rate=999
		)
		self.configure("Selling Settings", so_required="Yes", dn_required="Yes")
		self.configure("Stock Settings", auto_insert_price_list_rate_if_missing=1)
		recharge = settled_recharge(account("USD", customer), "123.45")
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
		row, paid = fields(recharge), Decimal("123.45")
		self.assertEqual(ledger(row.sales_invoice), {DEBTORS: (paid, paid), UNEARNED: (-paid, -paid)})
		invoice = frappe.get_doc("Sales Invoice", row.sales_invoice)
		self.assertEqual(invoice.due_date, invoice.posting_date)
		self.assertEqual((invoice.taxes_and_charges, invoice.taxes), (None, []))
		self.assertEqual(invoice.items[0].discount_percentage, 0)
		self.assertEqual(
			frappe.get_all("Item Price", {"item_code": "Prepaid Credits"}, pluck="price_list_rate"), [999]
		)

	def test_the_amount_does_not_become_the_price_of_credits(self):
		frappe.db.delete("Item Price", {"item_code": "Prepaid Credits"})
		frappe.db.commit()
		self.configure("Stock Settings", auto_insert_price_list_rate_if_missing=1)
		recharge = settled_recharge(account(), "123.45")
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
		self.assertEqual(frappe.get_all("Item Price", {"item_code": "Prepaid Credits"}), [])

	def test_an_item_tax_template_adds_no_tax_that_the_settings_do_not_have(self):
		tax = frappe.get_all(
			"Account", {"company": COMPANY, "account_type": "Tax", "is_group": 0}, pluck="name"
		)[0]
		template = self.insert(
			doctype="Item Tax Template",
			title=f"Item VAT {frappe.generate_hash(length=6)}",
			company=COMPANY,
			taxes=[{"tax_type": tax, "tax_rate": 10}],
		)
		item = frappe.get_doc("Item", "Prepaid Credits")
		item.append("taxes", {"item_tax_template": template.name})
		item.save()
		frappe.db.commit()
		self.addCleanup(self._delete_item_taxes)
		self.configure("Accounts Settings", add_taxes_from_item_tax_template=1)
		recharge = settled_recharge(account(), "123.45")
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)

	def _delete_item_taxes(self):
		item = frappe.get_doc("Item", "Prepaid Credits")
		item.taxes = []
		item.save()
		frappe.db.commit()

	def test_a_total_that_is_not_the_payment_is_refused(self):
		recharge = settled_recharge(account(), "10.005")
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertEqual(documents_of(recharge), ([], []))
		self.assertIn("10.005", fields(recharge).accounting_error)


def _work(site, sites_path, recharge, start, answers):
	frappe.init(site=site, sites_path=sites_path)
	frappe.connect()
	try:
		start.wait(60)
		answers.append(posting.account_for(recharge))
	except Exception as error:
		answers.append(error)
	finally:
		frappe.destroy()


def _die_in(module, function, site, sites_path, recharge):
	frappe.init(site=site, sites_path=sites_path)
	frappe.connect()
	with patch.object(module, function, side_effect=lambda *args, **kwargs: os._exit(7)):
		posting.account_for(recharge)
	os._exit(0)
