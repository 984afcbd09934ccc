"""Accountants correct what follows a recharge as they correct its own documents: an amended one takes the place."""

from decimal import Decimal as D

import frappe

from crm_recharge.accounting import disputes, refunds
from crm_recharge.accounting.tests.books import fields, vat_template
from crm_recharge.accounting.tests.life_case import CLEARING, FEES, UNEARNED, LifeCase, refund


class TestAmended(LifeCase):
	def row(self, doctype: str, name: str):
		frappe.db.rollback()
		return frappe.db.get_value(doctype, name, "*", as_dict=True)

	def cancel(self, doctype: str, name: str):
		doc = frappe.get_doc(doctype, name)
		doc.cancel()
		return doc

	def amend(self, doctype: str, name: str, **values) -> str:
		"""Cancel a document and submit it again, as a person does with *Amend*. Returns the new one's name."""
		old = self.cancel(doctype, name)
		amended = frappe.copy_doc(old)
		amended.update({"amended_from": old.name, "docstatus": 0, **values})
		amended.insert()
		amended.submit()
		frappe.db.commit()
		return amended.name

	def test_a_credit_note(self):
		recharge = self.recharged("20.01")
		name = self.refunded(recharge, "5.00")
		before = self.row("Recharge Refund", name)
		self.cancel("Payment Entry", before.payment_entry)
		amended = self.amend("Sales Invoice", before.credit_note, remarks="Corrected")
		after = self.row("Recharge Refund", name)
		self.assertEqual((after.credit_note, after.accounting_status), (amended, "Pending"))
		self.assertTrue(after.accounting_next_try_at)
		self.done(refunds, name, "Recharge Refund")
		self.assertEqual(self.row("Recharge Refund", name).credit_note, amended)
		self.assertEqual(self.moved(), {CLEARING: D("15.01"), UNEARNED: D("-15.01")})
		self.refunded(recharge, "15.01")
		self.assertEqual(self.moved(), {})

	def test_a_payout_that_pays_another_note_is_named(self):
		name = self.refunded(self.recharged("20.01"), "5.00")
		before = self.row("Recharge Refund", name)
		self.configure("Accounts Settings", unlink_payment_on_cancellation_of_invoice=1)
		self.cancel("Sales Invoice", before.credit_note)
		frappe.db.commit()
		refunds.retry(name)
		frappe.db.commit()
		self.assertEqual(refunds.account_for(name), "Failed")
		error = self.row("Recharge Refund", name).accounting_error
		self.assertIn(before.payment_entry, error)
		self.assertIn("Cancel or delete it", error)
		self.cancel("Payment Entry", before.payment_entry)
		frappe.db.commit()
		refunds.retry(name)
		frappe.db.commit()
		self.done(refunds, name, "Recharge Refund")
		self.assertEqual(self.moved(), {CLEARING: D("15.01"), UNEARNED: D("-15.01")})

	def test_the_entries_of_a_dispute(self):
		recharge = self.recharged("20.01")
		name = self.disputed(recharge, "12.00")
		before = self.row("Recharge Dispute", name)
		funds = self.amend(
			"Journal Entry", before.journal_entry, user_remark="Corrected", posting_date=before.opened_at
		)
		fee = self.amend(
			"Journal Entry", before.fee_entry, user_remark="Corrected", posting_date=before.opened_at
		)
		after = self.row("Recharge Dispute", name)
		self.assertEqual(
			(after.journal_entry, after.fee_entry, after.accounting_status), (funds, fee, "Pending")
		)
		self.done(disputes, name, "Recharge Dispute")
		after = self.row("Recharge Dispute", name)
		self.assertEqual((after.journal_entry, after.fee_entry), (funds, fee))
		self.assertEqual(self.moved(), {CLEARING: D("-6.99"), UNEARNED: D("-8.01"), FEES: D(15)})

	def test_what_an_amended_entry_has_taken_is_not_refunded_again(self):
		recharge = self.recharged("20.01")
		name = self.disputed(recharge, "12.00", fees=0)
		before = self.row("Recharge Dispute", name)
		entry = self.amend("Journal Entry", before.journal_entry, posting_date=before.opened_at)
		# Whatever became of the link: what stands in the books counts.
		frappe.db.set_value("Recharge Dispute", name, "journal_entry", None)
		frappe.db.commit()
		self.done(disputes, name, "Recharge Dispute")
		self.assertEqual(self.row("Recharge Dispute", name).journal_entry, entry)
		over = refund(recharge, "8.02")
		self.assertEqual(refunds.account_for(over), "Failed")
		self.refunded(recharge, "8.01")
		self.assertEqual(self.moved(), {})


class TestLikeTheInvoice(LifeCase):
	def test_a_credit_note_says_of_its_taxes_what_the_invoice_says(self):
		head = vat_template(self, 19)
		self.insert(
			doctype="Custom Field",
			dt="Sales Taxes and Charges",
			fieldname="own_reason",
			label="Own Reason",
			fieldtype="Data",
			reqd=1,
			insert_after="description",
		)
		self.fresh_forms("Sales Taxes and Charges")
		self.addCleanup(self.fresh_forms, "Sales Taxes and Charges")
		tax = frappe.get_doc(
			{
				"doctype": "Sales Taxes and Charges Template",
				"title": f"Reasoned {frappe.generate_hash(length=6)}",
				"company": self.company,
				"taxes": [
					{
						"charge_type": "On Net Total",
						"account_head": head,
						"description": "VAT",
						"rate": 7,
						"own_reason": "Export",
					}
				],
			}
		).insert()
		frappe.db.commit()
		self.addCleanup(self._delete, tax.doctype, tax.name)
		row = frappe.db.get_value("CRM Recharge Company", {"company": self.company})
		self.change("CRM Recharge Company", row, taxes_template=tax.name)
		frappe.clear_document_cache("CRM Recharge Settings", "CRM Recharge Settings")
		recharge = self.recharged("10.00")
		name = self.refunded(recharge, "3.33")
		self.refunded(recharge, "6.67")
		self.assertEqual(self.moved(), {})
		note = frappe.get_doc("Sales Invoice", frappe.db.get_value("Recharge Refund", name, "credit_note"))
		self.assertEqual(note.taxes[0].own_reason, "Export")

	def test_how_it_was_paid_stands_in_the_payment_schedule(self):
		# Italy's electronic invoice, for one, is refused without it.
		invoice = fields(self.recharged("10.00")).sales_invoice
		rows = frappe.get_all("Payment Schedule", {"parent": invoice}, pluck="mode_of_payment")
		self.assertEqual(rows, ["Stripe"])
