"""Disputes reach the general ledger: funds and fee, reversed on a win, the loss of what was used and not paid."""

from decimal import Decimal as D
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.accounting import disputes, posting
from crm_recharge.accounting.tests.books import (
	COMPANY,
	BooksTestCase,
	account,
	fields,
	settled_recharge,
	vat_template,
	yesterday,
)
from crm_recharge.credits.money import exact
from crm_recharge.tests.support.work import due

UNEARNED, CLEARING = "Unearned Credits - RB", "Stripe Clearing - RB"
LOSS, FEES = "Chargeback Losses - RB", "Payment Gateway Fees - RB"


class TestDisputes(BooksTestCase):
	def invoiced(self, amount="100", currency="USD") -> str:
		recharge = settled_recharge(account(currency), amount, settled_at=yesterday())
		self.assertEqual(posting.account_for(recharge), "Done")
		return recharge

	def dispute(self, recharge: str, **values) -> str:
		"""A dispute as the machine leaves it behind, straight into the table, committed."""
		paid = fields(recharge)
		doc = frappe.new_doc("Recharge Dispute")
		doc.update(
			{
				"recharge": recharge,
				"credit_account": paid.credit_account,
				"customer": paid.customer,
				"company": paid.company,
				"currency": paid.currency,
				"balance_currency": paid.currency,
				"status": "Open",
				"intent": paid.settled_intent,
				"amount": 100,
				"taken": 100,
				"withdrawn": 100,
				"fees": 15,
				"accounting_status": "Pending",
				**values,
			}
		)
		doc.name = f"dp_{frappe.generate_hash(length=16)}"
		doc.db_insert()
		frappe.db.commit()
		return doc.name

	def change_to(self, name: str, **values) -> str:
		frappe.db.rollback()
		frappe.db.set_value("Recharge Dispute", name, values | {"accounting_status": "Pending"})
		frappe.db.commit()
		return disputes.account_for(name)

	def row(self, name: str):
		frappe.db.rollback()
		return frappe.db.get_value("Recharge Dispute", name, "*", as_dict=True)

	def balance(self, recharge: str, balance: str) -> None:
		frappe.db.rollback()
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `balance` = %s WHERE `name` = %s",
			(balance, fields(recharge).credit_account),
		)
		frappe.db.commit()

	def standing(self, name: str) -> dict[str, D]:
		"""Account -> what stands in the general ledger for the dispute, in the company's currency."""
		frappe.db.rollback()
		rows = frappe.db.sql(
			"SELECT g.`account`, CAST(SUM(g.`debit` - g.`credit`) AS CHAR) FROM `tabGL Entry` g"
			" JOIN `tabJournal Entry` e ON e.`name` = g.`voucher_no` WHERE e.`crm_recharge_dispute` = %s"
			" AND g.`is_cancelled` = 0 GROUP BY g.`account`",
			name,
		)
		return {account: exact(amount) for account, amount in rows if exact(amount)}

	def entries(self, name: str) -> int:
		return frappe.db.count("Journal Entry", {"crm_recharge_dispute": name})

	def test_opened(self):
		name = self.dispute(self.invoiced())
		self.assertEqual(disputes.account_for(name), "Done", self.row(name).accounting_error)
		self.assertEqual(self.standing(name), {CLEARING: -115, UNEARNED: 100, FEES: 15})
		entry = frappe.get_doc("Journal Entry", self.row(name).journal_entry)
		self.assertEqual((entry.docstatus, entry.cheque_no, entry.company), (1, f"{name} funds", COMPANY))
		self.assertIn(name, entry.user_remark)
		self.assertTrue(self.row(name).fee_entry)

	def test_won_reverses_the_funds_and_keeps_the_fee(self):
		name = self.dispute(self.invoiced())
		disputes.account_for(name)
		self.assertEqual(self.change_to(name, status="Won", withdrawn=0, taken=0), "Done")
		self.assertEqual(self.standing(name), {CLEARING: -15, FEES: 15})
		self.assertEqual(self.entries(name), 3)

	def test_a_fee_that_stripe_gives_back_is_reversed(self):
		name = self.dispute(self.invoiced())
		disputes.account_for(name)
		self.change_to(name, status="Won", withdrawn=0, taken=0, fees=0)
		self.assertEqual(self.standing(name), {})

	def test_lost_with_all_credits_unused_is_no_loss(self):
		recharge = self.invoiced()
		name = self.dispute(recharge)
		disputes.account_for(name)
		self.change_to(name, status="Lost")
		self.assertEqual(self.standing(name), {CLEARING: -115, UNEARNED: 100, FEES: 15})
		self.assertEqual(self.row(name).written_off, 0)

	def test_lost_writes_off_what_was_used_and_not_paid(self):
		recharge = self.invoiced()
		self.balance(recharge, "-60")
		name = self.dispute(recharge)
		disputes.account_for(name)
		self.assertEqual(self.standing(name)[UNEARNED], 100)
		self.change_to(name, status="Lost")
		self.assertEqual(self.standing(name), {CLEARING: -115, UNEARNED: 40, LOSS: 60, FEES: 15})
		self.assertEqual(self.row(name).written_off, 60)

	def test_a_debt_that_is_paid_later_is_no_loss_any_more(self):
		recharge = self.invoiced()
		self.balance(recharge, "-60")
		name = self.dispute(recharge, status="Lost")
		disputes.account_for(name)
		self.assertNotIn(name, self.swept())
		self.balance(recharge, "-10")
		self.assertIn(name, self.swept())
		self.assertEqual(disputes.account_for_paid_debt(name), "Done")
		self.assertEqual(self.standing(name)[LOSS], 10)
		self.balance(recharge, "50")
		self.assertIn(name, self.swept())
		disputes.account_for_paid_debt(name)
		self.assertEqual(self.standing(name), {CLEARING: -115, UNEARNED: 100, FEES: 15})
		self.assertNotIn(name, self.swept())

	def swept(self) -> list[str]:
		frappe.db.rollback()
		return [name for kind in ("account_for_dispute", "lost_dispute_paid_since") for name in due(kind)]

	def test_two_lost_ones_never_write_off_the_same_debt(self):
		recharge = self.invoiced()
		self.balance(recharge, "-60")
		names = [self.dispute(recharge, status="Lost", taken=50, withdrawn=50, amount=50) for _ in range(2)]
		for name in names:
			disputes.account_for(name)
		self.assertEqual([self.row(name).written_off for name in names], [50, 10])

	def test_more_withdrawn_than_credits_taken_is_a_loss_at_once(self):
		name = self.dispute(self.invoiced(), taken=30)
		disputes.account_for(name)
		self.assertEqual(self.standing(name), {CLEARING: -115, UNEARNED: 30, LOSS: 70, FEES: 15})
		self.change_to(name, status="Won", withdrawn=0, taken=0)
		self.assertEqual(self.standing(name), {CLEARING: -15, FEES: 15})

	def test_an_inquiry_books_nothing(self):
		name = self.dispute(self.invoiced(), status="Inquiry", taken=0, withdrawn=0, fees=0)
		self.assertEqual(disputes.account_for(name), "Done")
		self.assertEqual(self.entries(name), 0)

	def test_a_capture_that_bought_nothing_costs_its_fee_alone(self):
		name = self.dispute(self.invoiced(), intent="pi_other", taken=0)
		disputes.account_for(name)
		self.assertEqual(self.standing(name), {CLEARING: -15, FEES: 15})

	def test_taxes_are_left_to_the_accountant(self):
		vat_template(self, 25)
		name = self.dispute(self.invoiced())
		disputes.account_for(name)
		self.assertEqual(self.standing(name), {CLEARING: -115, UNEARNED: 80, LOSS: 20, FEES: 15})

	def test_foreign_currency(self):
		recharge = self.invoiced("100", "EUR")
		name = self.dispute(recharge, balance_currency="USD", withdrawn=D("110.25"), fees=15)
		self.assertEqual(disputes.account_for(name), "Done", self.row(name).accounting_error)
		self.assertEqual(
			self.standing(name), {CLEARING: D("-125.25"), UNEARNED: D("108.37"), LOSS: D("1.88"), FEES: 15}
		)
		in_euro = self.dispute(self.invoiced("100", "EUR"), fees=D("13.84"))
		disputes.account_for(in_euro)
		self.assertEqual(
			self.standing(in_euro), {CLEARING: D("-123.37"), UNEARNED: D("108.37"), FEES: D("15.00")}
		)

	def test_twice_is_once(self):
		name = self.dispute(self.invoiced())
		disputes.account_for(name)
		before = self.entries(name)
		self.assertEqual(self.change_to(name), "Done")
		self.assertEqual(self.entries(name), before)

	def test_it_waits_for_the_recharges_own_invoice(self):
		recharge = settled_recharge(account(), "100", settled_at=yesterday())
		name = self.dispute(recharge)
		self.assertEqual(disputes.account_for(name), "Pending")
		self.assertEqual(self.entries(name), 0)
		posting.account_for(recharge)
		self.assertEqual(disputes.account_for(name), "Done")

	def test_a_worker_that_dies_leaves_nothing(self):
		name = self.dispute(self.invoiced())
		with (
			patch.object(disputes.DisputeBooks, "fee", side_effect=SystemExit),
			self.assertRaises(SystemExit),
		):
			disputes.account_for(name)
		self.assertEqual(self.entries(name), 0)
		self.assertEqual(disputes.account_for(name), "Done")
		self.assertEqual(self.entries(name), 2)

	def test_a_failure_is_shown_and_tried_again(self):
		name = self.dispute(self.invoiced())
		self.change("Account", FEES, disabled=1)
		self.assertEqual(disputes.account_for(name), "Failed")
		self.assertTrue(self.row(name).accounting_error and self.row(name).accounting_next_try_at)
		self.assertEqual(self.entries(name), 0)
		frappe.db.set_value("Account", FEES, "disabled", 0)
		frappe.db.commit()
		self.assertEqual(disputes.retry(name), "Pending")
		frappe.db.commit()
		self.assertEqual(disputes.account_for(name), "Done")

	def test_a_person_cancels_and_has_it_written_anew(self):
		name = self.dispute(self.invoiced())
		disputes.account_for(name)
		frappe.get_doc("Journal Entry", self.row(name).journal_entry).cancel()
		frappe.db.commit()
		failed = self.row(name)
		self.assertEqual((failed.accounting_status, failed.journal_entry), ("Failed", None))
		self.assertNotIn(name, self.swept())
		disputes.retry(name)
		frappe.db.commit()
		disputes.account_for(name)
		self.assertEqual(self.standing(name), {CLEARING: -115, UNEARNED: 100, FEES: 15})
		self.assertLess(self.row(name).modified, now_datetime())
