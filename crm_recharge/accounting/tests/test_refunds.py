"""Refunds reach the general ledger to the cent, once, and leave it again when the bank returns them."""

import threading
from decimal import Decimal as D
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.accounting import documents, posting, proof, refunds
from crm_recharge.accounting.tests.books import (
	BooksTestCase,
	account,
	documents_of,
	fields,
	ledger,
	new_customer,
	settled_recharge,
	vat_template,
	yesterday,
)
from crm_recharge.recharge import payment_mail
from crm_recharge.tests.support.work import due

UNEARNED, CLEARING, DEBTORS = "Unearned Credits - RB", "Stripe Clearing - RB", "Debtors - RB"


def refund(recharge: str, amount: str, **values) -> str:
	"""A refund as the machine leaves it behind, straight into the table, committed."""
	paid = fields(recharge)
	doc = frappe.new_doc("Recharge Refund")
	doc.update(
		{
			"recharge": recharge,
			"credit_account": paid.credit_account,
			"customer": paid.customer,
			"company": paid.company,
			"currency": paid.currency,
			"kind": "Requested",
			"status": "Succeeded",
			"amount": D(amount),
			"intent": paid.settled_intent,
			"gateway_refund": f"re_{frappe.generate_hash(length=16)}",
			"ended_at": now_datetime(),
			"accounting_status": "Pending",
			**values,
		}
	)
	doc.name = f"RF-{frappe.generate_hash(length=12)}"
	doc.db_insert()
	frappe.db.commit()
	return doc.name


def row(name: str):
	frappe.db.rollback()
	return frappe.db.get_value("Recharge Refund", name, "*", as_dict=True)


def carrying(name: str) -> list[list[str]]:
	frappe.db.rollback()
	return [
		frappe.get_all(doctype, {"crm_recharge_refund": name}, pluck="name")
		for doctype in ("Sales Invoice", "Payment Entry")
	]


class RefundBooksCase(BooksTestCase):
	def invoiced(self, amount="100", currency="USD", **values) -> str:
		recharge = settled_recharge(account(currency), amount, **{"settled_at": yesterday()} | values)
		self.assertEqual(posting.account_for(recharge), "Done")
		return recharge


class TestPair(RefundBooksCase):
	def test_whole_to_the_cent(self):
		for amount in ("100", "19.99", "0.07", "123456.78"):
			with self.subTest(amount=amount):
				recharge = self.invoiced(amount)
				name = refund(recharge, amount)
				self.assertEqual(refunds.account_for(name), "Done")
				done, back = row(name), D(amount)
				self.assertEqual(ledger(done.credit_note), {DEBTORS: (-back, -back), UNEARNED: (back, back)})
				self.assertEqual(
					ledger(done.payment_entry), {CLEARING: (-back, -back), DEBTORS: (back, back)}
				)
		note = frappe.get_doc("Sales Invoice", done.credit_note)
		self.assertEqual(
			(note.is_return, note.return_against, note.outstanding_amount, note.docstatus),
			(1, fields(recharge).sales_invoice, 0, 1),
		)
		self.assertEqual((note.items[0].item_code, note.items[0].qty), ("Prepaid Credits", -1))
		self.assertTrue(note.items[0].sales_invoice_item)
		entry = frappe.get_doc("Payment Entry", done.payment_entry)
		self.assertEqual(
			(entry.payment_type, entry.reference_no, entry.mode_of_payment, entry.unallocated_amount),
			("Pay", done.gateway_refund, "Stripe", 0),
		)
		original = frappe.get_doc("Sales Invoice", fields(recharge).sales_invoice)
		self.assertEqual((original.outstanding_amount, original.docstatus), (0, 1))

	def test_part_by_part(self):
		recharge = self.invoiced("100")
		for amount in ("30", "0.01", "69.99"):
			name = refund(recharge, amount)
			self.assertEqual(refunds.account_for(name), "Done", row(name).accounting_error)
			back = D(amount)
			self.assertEqual(ledger(row(name).credit_note)[UNEARNED], (back, back))
			self.assertEqual(ledger(row(name).payment_entry)[CLEARING], (-back, -back))
		invoice = fields(recharge).sales_invoice
		self.assertEqual(frappe.db.get_value("Sales Invoice", invoice, "outstanding_amount"), 0)

	def test_included_taxes_go_back_in_proportion(self):
		tax = vat_template(self, 20)
		recharge = self.invoiced("120")
		name = refund(recharge, "30")
		self.assertEqual(refunds.account_for(name), "Done", row(name).accounting_error)
		lines = ledger(row(name).credit_note)
		self.assertEqual((lines[UNEARNED][0], lines[tax][0], lines[DEBTORS][0]), (25, 5, -30))

	def test_foreign_currency_goes_back_at_the_invoices_rate(self):
		recharge = self.invoiced("100", "EUR")
		frappe.db.set_value(
			"Currency Exchange", {"from_currency": "EUR", "to_currency": "USD"}, "exchange_rate", 2
		)
		frappe.db.commit()
		name = refund(recharge, "40")
		self.assertEqual(refunds.account_for(name), "Done", row(name).accounting_error)
		note, entry = ledger(row(name).credit_note), ledger(row(name).payment_entry)
		self.assertEqual(note[UNEARNED][0], D("43.35"))
		self.assertEqual(entry[CLEARING][0], D("-43.35"))
		self.assertEqual(sum(base for base, _own in (*note.values(), *entry.values())), 0)

	def test_the_proof_of_the_recharge_still_holds(self):
		recharge = self.invoiced("100")
		frappe.db.set_value("Recharge", recharge, "status", "Partly Refunded")
		refunds.account_for(refund(recharge, "40"))
		(books,) = proof.books(fields(recharge).credit_account)
		self.assertEqual({k: v for k, v in books.differences.items() if k != "ledger_and_recharges"}, {})


class TestOnce(RefundBooksCase):
	def test_twice_is_once(self):
		name = refund(self.invoiced(), "100")
		refunds.account_for(name)
		before = carrying(name)
		self.assertEqual(refunds.account_for(name), "Done")
		self.assertEqual(carrying(name), before)
		self.assertEqual([len(found) for found in before], [1, 1])

	def test_documents_are_found_when_the_refund_has_forgotten_them(self):
		name = refund(self.invoiced(), "60")
		refunds.account_for(name)
		before = carrying(name)
		frappe.db.set_value(
			"Recharge Refund",
			name,
			{"accounting_status": "Pending", "credit_note": None, "payment_entry": None},
		)
		frappe.db.commit()
		self.assertEqual(refunds.account_for(name), "Done")
		self.assertEqual(carrying(name), before)
		self.assertEqual([row(name).credit_note], before[0])

	def test_a_worker_that_dies_leaves_nothing(self):
		for step in ("make_payment", "make_credit_note", "check"):
			name = refund(self.invoiced(), "60")
			with patch.object(documents, step, side_effect=SystemExit), self.assertRaises(SystemExit):
				refunds.account_for(name)
			self.assertEqual(carrying(name), [[], []])
			self.assertEqual(refunds.account_for(name), "Done")
			self.assertEqual([len(found) for found in carrying(name)], [1, 1])

	def test_three_at_once(self):
		name, site, errors = refund(self.invoiced(), "60"), frappe.local.site, []

		def work():
			frappe.init(site=site, sites_path=".")
			try:
				frappe.connect()
				refunds.account_for(name)
			except Exception as error:
				errors.append(error)
			finally:
				frappe.destroy()

		threads = [threading.Thread(target=work) for _ in range(3)]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join(90)
		self.assertEqual(errors, [])
		self.assertEqual((row(name).accounting_status, [len(f) for f in carrying(name)]), ("Done", [1, 1]))

	def test_it_refuses_to_commit_what_a_caller_has_begun(self):
		name = refund(self.invoiced(), "60")
		frappe.db.set_value("Recharge Refund", name, "reason", "x")
		with self.assertRaises(RuntimeError):
			refunds.account_for(name)
		frappe.db.rollback()


class TestWaiting(RefundBooksCase):
	def test_it_waits_for_the_recharges_own_invoice(self):
		recharge = settled_recharge(account(), "100", settled_at=yesterday())
		name = refund(recharge, "40")
		self.assertEqual(refunds.account_for(name), "Pending")
		waiting = row(name)
		self.assertIn(recharge, waiting.accounting_error)
		self.assertGreater(waiting.accounting_next_try_at, now_datetime())
		self.assertNotIn(name, self.swept())
		posting.account_for(recharge)
		frappe.db.set_value("Recharge Refund", name, "accounting_next_try_at", now_datetime())
		frappe.db.commit()
		self.assertIn(name, self.swept())
		self.assertEqual(refunds.account_for(name), "Done")
		self.assertIsNone(row(name).accounting_error)
		self.assertNotIn(name, self.swept())

	def swept(self) -> list[str]:
		frappe.db.rollback()
		return [name for kind in ("account_for_refund", "mail_credit_note") for name in due(kind)]

	def test_nothing_where_recharges_are_not_invoiced(self):
		self.configure("CRM Recharge Settings", make_invoices=0)
		recharge = settled_recharge(account(), "100")
		posting.account_for(recharge)
		name = refund(recharge, "40")
		self.assertEqual(refunds.account_for(name), "Not Needed")
		self.assertEqual(carrying(name), [[], []])

	def test_a_frozen_customer_fails_with_advice_and_is_tried_again(self):
		recharge = self.invoiced()
		name = refund(recharge, "40")
		self.change("Customer", fields(recharge).customer, is_frozen=1)
		self.assertEqual(refunds.account_for(name), "Failed")
		failed = row(name)
		self.assertIn("frozen", failed.accounting_error)
		self.assertTrue(failed.accounting_next_try_at)
		frappe.db.set_value("Customer", fields(recharge).customer, "is_frozen", 0)
		frappe.db.commit()
		self.assertEqual(refunds.retry(name), "Pending")
		frappe.db.commit()
		self.assertEqual(refunds.account_for(name), "Done")


class TestTakenBack(RefundBooksCase):
	def test_returned_by_the_bank(self):
		recharge = self.invoiced()
		name = refund(recharge, "40")
		refunds.account_for(name)
		note, entry = carrying(name)[0][0], carrying(name)[1][0]
		frappe.db.set_value("Recharge Refund", name, {"status": "Failed", "accounting_status": "Pending"})
		frappe.db.commit()
		self.assertEqual(refunds.account_for(name), "Done")
		for doctype, document in (("Sales Invoice", note), ("Payment Entry", entry)):
			self.assertEqual(frappe.db.get_value(doctype, document, "docstatus"), 2)
			self.assertEqual(ledger(document), {})
		self.assertEqual((row(name).credit_note, row(name).payment_entry), (None, None))
		self.assertEqual(
			documents_of(recharge), ([fields(recharge).sales_invoice], [fields(recharge).payment_entry])
		)

	def test_a_person_cancels_and_has_it_written_anew(self):
		name = refund(self.invoiced(), "40")
		refunds.account_for(name)
		frappe.get_doc("Payment Entry", row(name).payment_entry).cancel()
		frappe.db.commit()
		failed = row(name)
		self.assertEqual((failed.accounting_status, failed.accounting_next_try_at), ("Failed", None))
		self.assertIn("cancelled by Administrator", failed.accounting_error)
		self.assertNotIn(name, TestWaiting.swept(self))
		refunds.retry(name)
		frappe.db.commit()
		self.assertEqual(refunds.account_for(name), "Done")
		self.assertEqual(ledger(row(name).payment_entry)[CLEARING][0], -40)


class TestMail(RefundBooksCase):
	def test_the_credit_note_is_mailed_once(self):
		self.outgoing_mail()
		recharge = self.invoiced()
		self.configure("CRM Recharge Settings", mail_invoices=1)
		customer = fields(recharge).customer
		contact = frappe.get_doc(
			{
				"doctype": "Contact",
				"first_name": "Bill",
				"is_billing_contact": 1,
				"email_ids": [{"email_id": "bill@example.com", "is_primary": 1}],
				"links": [{"link_doctype": "Customer", "link_name": customer}],
			}
		).insert()
		frappe.db.commit()
		self.addCleanup(self._delete, "Contact", contact.name)
		name = refund(recharge, "40")
		with patch(
			"crm_recharge.accounting.mailing.make_pdf", return_value={"fname": "a.pdf", "fcontent": b"%PDF"}
		):
			with patch.object(payment_mail, "queue", wraps=payment_mail.queue) as send:
				self.assertEqual(refunds.account_for(name), "Done")
				self.assertEqual(refunds.account_for(name), "Done")
				self.assertFalse(refunds.mail_credit_note(name))
		(call,) = send.call_args_list
		recipients, subject, message, _doctype, _name, attachments = call.args
		self.assertEqual(recipients, ["bill@example.com"])
		self.assertIn("$ 40.00 refunded", subject)
		self.assertIn(fields(recharge).sales_invoice, message)
		self.assertEqual(attachments[0]["fname"], "a.pdf")
		self.assertTrue(row(name).credit_note_mailed_at)

	def test_without_an_address_it_is_told_and_tried_again(self):
		recharge = settled_recharge(account(customer=new_customer()), "100", settled_at=yesterday())
		posting.account_for(recharge)
		self.configure("CRM Recharge Settings", mail_invoices=1)
		name = refund(recharge, "40")
		self.assertEqual(refunds.account_for(name), "Done")
		waiting = row(name)
		self.assertIn("No e-mail address", waiting.accounting_error)
		self.assertEqual((waiting.accounting_status, waiting.accounting_tries), ("Done", 1))
		self.assertTrue(waiting.accounting_next_try_at)
