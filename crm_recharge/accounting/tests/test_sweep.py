"""Nothing is forgotten, accountants may correct, and the books can be held against each other."""

from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.model.base_document import BaseDocument
from frappe.utils import now_datetime

from crm_recharge.accounting import corrections, dashboard, posting, proof, setup
from crm_recharge.accounting.tests.books import (
	BooksTestCase,
	account,
	documents_of,
	fields,
	settled_recharge,
)
from crm_recharge.outbox import sweep
from crm_recharge.tests.support.work import due


class TestSweep(BooksTestCase):
	def test_what_is_due(self):
		credit_account = account()
		past, future = now_datetime() - timedelta(minutes=1), now_datetime() + timedelta(minutes=5)

		def recharge(**values):
			return settled_recharge(credit_account, "10", **values)

		to_book = {
			recharge(),
			recharge(accounting_status=None),
			recharge(accounting_status=""),
			recharge(status="Refunded"),
			recharge(accounting_next_try_at=past),
			recharge(accounting_status="Failed", accounting_next_try_at=past),
		}
		to_mail = {recharge(accounting_status="Done", accounting_next_try_at=past)}
		neither = {
			recharge(status="Charging", settled_intent=None),
			recharge(status="Failed", settled_intent=None),
			recharge(accounting_next_try_at=future),
			recharge(accounting_status="Failed", accounting_next_try_at=future),
			recharge(accounting_status="Failed"),
			recharge(accounting_status="Done"),
			recharge(accounting_status="Done", accounting_next_try_at=future),
			recharge(accounting_status="Done", accounting_next_try_at=past, invoice_mailed_at=past),
			recharge(accounting_status="Not Needed", accounting_next_try_at=past),
		}
		ours = to_book | to_mail | neither
		self.assertEqual(set(due("account_for")) & ours, to_book)
		self.assertEqual(set(due("mail_invoice")) & ours, to_mail)
		with patch.object(frappe, "enqueue") as enqueue:
			self.assertEqual(sweep.sweep_kind("account_for", 3), 3)
			self.assertEqual(enqueue.call_count, 3)

	def test_redis_away(self):
		credit_account = account()
		names = {settled_recharge(credit_account, "10") for _ in range(3)}
		with patch.object(frappe, "enqueue", side_effect=ConnectionError) as enqueue:
			self.assertEqual(sweep.sweep_kind("account_for"), 0)
			self.assertEqual(enqueue.call_count, 1)
		self.assertLessEqual(names, set(due("account_for")))

	def test_the_index_is_there(self):
		setup.after_migrate()
		self.assertTrue(frappe.db.has_index("tabRecharge", "accounting_status_accounting_next_try_at_index"))


@contextmanager
def hooks():
	"""The document events of this room, whether or not the site has them wired already."""
	events = frappe.get_doc_hooks()
	before = {doctype: events.get(doctype) for doctype in corrections.LINK}
	for doctype in corrections.LINK:
		events[doctype] = {
			**(before[doctype] or {}),
			"on_cancel": ["crm_recharge.accounting.corrections.on_cancel"],
			"on_submit": ["crm_recharge.accounting.corrections.on_submit"],
		}
	try:
		with patch.object(frappe, "enqueue"):
			yield
	finally:
		for doctype, handlers in before.items():
			events.pop(doctype) if handlers is None else events.__setitem__(doctype, handlers)


class TestCorrections(BooksTestCase):
	def booked(self, amount="100.00"):
		recharge = settled_recharge(account(), amount)
		self.assertEqual(posting.account_for(recharge), "Done")
		return recharge, fields(recharge)

	def test_cancelling_unlinks_and_nothing_is_rebuilt_by_itself(self):
		recharge, row = self.booked()
		with hooks():
			frappe.get_doc("Payment Entry", row.payment_entry).cancel()
			frappe.get_doc("Sales Invoice", row.sales_invoice).cancel()
		frappe.db.commit()
		after = fields(recharge)
		self.assertEqual(
			(after.sales_invoice, after.payment_entry, after.accounting_status, after.accounting_next_try_at),
			(None, None, "Failed", None),
		)
		self.assertIn(row.sales_invoice, after.accounting_error)
		self.assertIn("Administrator", after.accounting_error)
		self.assertNotIn(recharge, due("account_for"))

		with patch.object(posting, "enqueue_after_commit"):
			self.assertEqual(posting.retry(recharge), "Pending")
		frappe.db.commit()
		self.assertEqual(posting.account_for(recharge), "Done")
		again = fields(recharge)
		self.assertNotIn(again.sales_invoice, (None, row.sales_invoice))
		self.assertEqual([len(names) for names in documents_of(recharge)], [2, 2])

	def test_an_amended_pair_takes_the_place(self):
		recharge, row = self.booked()
		with hooks():
			frappe.get_doc("Payment Entry", row.payment_entry).cancel()
			old = frappe.get_doc("Sales Invoice", row.sales_invoice)
			old.cancel()
			amended = frappe.copy_doc(old)
			amended.update(
				{"amended_from": old.name, "crm_recharge": recharge, "docstatus": 0, "set_posting_time": 1}
			)
			amended.remarks = "Corrected address"
			amended.insert()
			amended.submit()
		frappe.db.commit()
		after = fields(recharge)
		self.assertEqual((after.sales_invoice, after.accounting_status), (amended.name, "Pending"))
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
		after = fields(recharge)
		self.assertEqual(after.sales_invoice, amended.name)
		entry = frappe.get_doc("Payment Entry", after.payment_entry)
		self.assertEqual(entry.references[0].reference_name, amended.name)
		self.assertEqual(frappe.db.get_value("Sales Invoice", amended.name, "outstanding_amount"), 0)

	def test_a_payment_for_a_cancelled_invoice_is_not_counted_twice(self):
		recharge, row = self.booked()
		self.configure("Accounts Settings", unlink_payment_on_cancellation_of_invoice=1)
		with hooks():
			frappe.get_doc("Sales Invoice", row.sales_invoice).cancel()
		frappe.db.commit()
		self.assertEqual(posting.account_for(recharge), "Failed")
		after = fields(recharge)
		self.assertIn(row.payment_entry, after.accounting_error)
		self.assertEqual(documents_of(recharge), ([row.sales_invoice], [row.payment_entry]))

	def test_other_documents_are_none_of_its_business(self):
		doc = frappe.new_doc("Sales Invoice")
		corrections.on_cancel(doc)
		corrections.on_submit(doc)
		self.assertFalse(doc.get("ignore_linked_doctypes"))

	def test_the_form_shows_the_recharge(self):
		from erpnext.accounts.doctype.sales_invoice.sales_invoice_dashboard import get_data

		data = dashboard.with_recharge(get_data())
		self.assertEqual(data["internal_links"]["Recharge"], "crm_recharge")
		self.assertIn("Recharge", [item for group in data["transactions"] for item in group["items"]])


class TestProof(BooksTestCase):
	def test_books_agree_and_differences_are_found(self):
		credit_account, euro = account(), account("EUR")
		for name, amounts in ((credit_account, ("450.00", "19.99")), (euro, ("33.33",))):
			for amount in amounts:
				recharge = settled_recharge(name, amount)
				self.assertEqual(posting.account_for(recharge), "Done")
				self.credit(name, amount, recharge)
		row = proof.books(credit_account)[0]
		self.assertEqual(row.differences, {})
		self.assertEqual(
			(
				row.recharges,
				row.invoices,
				row.payments,
				row.credited,
				row.unearned,
				row.clearing,
				row.receivable,
			),
			(2, 2, 2, Decimal("469.99"), Decimal("469.99"), Decimal("469.99"), Decimal(0)),
		)
		row = proof.books(euro)[0]
		self.assertEqual(row.differences, {})
		self.assertEqual((row.invoiced, row.clearing), (Decimal("33.33"), Decimal("36.12")))
		self.assertIsInstance(row.as_dict()["clearing"], Decimal)

		waiting = settled_recharge(credit_account, "5")
		self.credit(credit_account, "5", waiting)
		row = proof.books(credit_account)[0]
		self.assertEqual((row.differences, row.not_booked), ({}, Decimal(5)))

		frappe.db.sql(
			"update `tabGL Entry` set credit = credit - 0.01 where voucher_no = %s and credit > 0",
			fields(recharge).sales_invoice,
		)
		self.assertEqual(proof.books(euro)[0].differences, {"invoices_and_general_ledger": Decimal("0.01")})
		frappe.db.rollback()

		self.credit(euro, "0.000000001", recharge)
		self.assertEqual(proof.books(euro)[0].differences, {"ledger_and_recharges": Decimal("0.000000001")})
		self.assertEqual([row.credit_account for row in proof.books(company="Nobody")], [])

	def credit(self, credit_account, amount, recharge):
		entry = frappe.new_doc("Credit Ledger")
		entry.update(
			{
				"credit_account": credit_account,
				"entry_type": "Recharge",
				"amount": Decimal(amount),
				"reference_type": "Recharge",
				"reference_name": recharge,
				"company": frappe.db.get_value("Credit Account", credit_account, "company"),
				"request_key": frappe.generate_hash(length=40),
				"sequence": frappe.db.count("Credit Ledger", {"credit_account": credit_account}) + 1,
			}
		)
		entry.name = frappe.generate_hash(length=12)
		# Past the controller, which refuses rows that no movement wrote.
		BaseDocument.db_insert(entry)
		frappe.db.commit()
