"""What counts as a purchase, and on which day."""

import random
from datetime import date
from decimal import Decimal

import frappe

from crm_recharge.reorder.learning import pairs, purchases, repair
from crm_recharge.reorder.learning.tests.test_pairs import LearningCase, Light
from crm_recharge.tests.factories import make_customer
from crm_recharge.tests.support.reorder_case import (
	POS,
	SALES,
	day,
	make_buyer,
	make_invoice,
	make_item,
	write_invoices,
)

D = Decimal


class TestWhatCounts(LearningCase):
	def setUp(self):
		super().setUp()
		self.item = make_item()
		self.customer, _contact = make_buyer()
		self.light = Light(self.customer, [self.item], self.company, random.Random(1))

	def income(self) -> str:
		return frappe.get_cached_value("Company", self.company, "default_income_account")

	def learned(self) -> list[tuple]:
		"""(day, quantity) by the hooks; the rebuild must agree."""
		self.assert_as_from_scratch(self.customer)
		return [(on, quantity) for _, on, quantity in self.days_of(self.customer)]

	def test_nothing_but_real_sales(self):
		make_invoice(self.customer, {self.item: 1}, 9)
		self.light.submit(SALES, 8, [(self.item, 2, None)], is_opening="Yes")
		self.light.submit(SALES, 7, [(self.item, 64, None)], is_internal_customer=1)
		make_invoice(
			self.customer,
			[{"item_name": "By hand", "description": "-", "uom": "Nos", "income_account": self.income()}],
			7,
		)
		draft = make_invoice(self.customer, {self.item: 8}, 6, submit=False)
		note = make_invoice(
			self.customer,
			{self.item: 16},
			5,
			is_debit_note=1,
			return_against=make_invoice(self.customer, {self.item: 32}, 6).name,
		)
		self.assertEqual((draft.docstatus, note.docstatus), (0, 1))
		self.assertEqual(self.learned(), [(day(9), D(1)), (day(6), D(32))])

	def test_what_a_tills_closing_sums_up_is_counted_once(self):
		sold = make_invoice(self.customer, {self.item: 3}, 0, doctype=POS)
		frappe.db.set_value(POS, sold.name, "posting_date", day(4))
		pairs.rebuild([self.customer])
		summed_up = self.light.submit(SALES, 0, [(self.item, 3, None)], is_consolidated=1)
		row = frappe.db.get_value("Sales Invoice Item", {"parent": summed_up})
		frappe.db.set_value("Sales Invoice Item", row, "pos_invoice", sold.name)
		self.assertEqual(self.learned(), [(day(4), D(3))])
		# A credit note by hand against what the closing made: by its row it says which sale it was.
		self.light.submit(SALES, 0, [(self.item, -1, row)], against=summed_up)
		self.assertEqual(self.learned(), [(day(4), D(2))])
		self.assertFalse(self.reminder(self.customer, self.item).irregular)
		self.light.submit(SALES, 0, [(self.item, -1, None)], against=summed_up)
		self.assertEqual(self.learned(), [(day(4), D(1))])
		self.assertTrue(self.reminder(self.customer, self.item).irregular)

	def test_a_closing_of_a_till(self):
		from erpnext.accounts.doctype.pos_invoice_merge_log.pos_invoice_merge_log import (
			consolidate_pos_invoices,
		)

		sold = make_invoice(self.customer, {self.item: 3}, 0, doctype=POS)
		consolidate_pos_invoices(pos_invoices=[frappe._dict(sold.as_dict(), pos_invoice=sold.name)])
		sold.reload()
		self.assertTrue(sold.consolidated_invoice)
		self.assertEqual(self.learned(), [(day(0), D(3))])

	def test_invoices_within_the_group_do_not_count(self):
		frappe.db.set_value("Customer", self.customer, "is_internal_customer", 1)
		make_invoice(self.customer, {self.item: 1}, 3, doctype=POS)
		self.assertEqual(self.learned(), [])
		customer = frappe.get_doc("Customer", self.customer)
		customer.is_internal_customer = 0
		customer.save()
		frappe.db.commit()
		repair.sweep()
		self.assertEqual(self.learned(), [(day(3), D(1))])

	def test_credits_are_not_goods(self):
		own = frappe.get_all("CRM Recharge Company", {"item": ["is", "set"]}, pluck="item")
		self.assertTrue(own, "the test company is not set up for recharges")
		make_invoice(self.customer, {own[0]: 1, self.item: 2}, 3)
		self.assertEqual(self.learned(), [(day(3), D(2))])

	def test_days_that_cannot_be_are_left_out_and_days_to_come_wait(self):
		write_invoices(
			[
				(self.customer, self.item, date(1899, 12, 30), 1),
				(self.customer, self.item, date(1989, 12, 31), 1),
				(self.customer, self.item, date(1990, 1, 1), 2),
				(self.customer, self.item, day(-1), 4),
				(self.customer, self.item, day(0), 8),
				(self.customer, self.item, date(9999, 12, 31), 16),
			]
		)
		repair.settle(self.customer, anew=True)
		self.assertEqual(self.learned(), [(date(1990, 1, 1), D(2)), (day(0), D(8))])
		self.assertEqual(self.reminder(self.customer, self.item).relearn_on, day(-1))

	def test_an_import_that_spells_names_differently_is_the_same_customer(self):
		write_invoices(
			[
				(self.customer.upper(), self.item.lower(), day(5), 1),
				(self.customer, self.item, day(4), 1),
				(self.customer, "An item that is no more", day(4), 1),
			]
		)
		pairs.rebuild([self.customer])
		self.assertEqual(self.days_of(self.customer), [(self.item, day(5), D(1)), (self.item, day(4), D(1))])

	def test_of_a_pair_the_shorter_way_is_read_and_both_find_the_same(self):
		write_invoices([(self.customer, self.item, day(d), 1) for d in range(20)])
		other = make_customer()
		write_invoices([(other, self.item, day(d), 1) for d in range(30)])
		by_invoice = purchases.of_pairs(self.customer, [self.item])
		write_invoices([(self.customer, "Else", day(d), 1) for d in range(100, 140)])
		by_item = purchases.of_pairs(self.customer, [self.item])
		self.assertEqual(sorted(by_invoice), sorted(by_item))
		self.assertEqual(len(by_item), 20)

	def test_gaps_of_decades_and_the_day_the_clocks_change(self):
		# 2025-11-02: the clocks of New York go back; days are days all the same.
		write_invoices(
			[
				(self.customer, self.item, date(2004, 2, 29), 1),
				(self.customer, self.item, date(2025, 11, 1), 1),
				(self.customer, self.item, date(2025, 11, 2), 1),
				(self.customer, self.item, date(2025, 11, 3), 1),
			]
		)
		repair.settle(self.customer, anew=True)
		reminder = self.reminder(self.customer, self.item)
		self.assertEqual((reminder.purchase_days, reminder.last_day), (4, date(2025, 11, 3)))
		gap = (date(2025, 11, 1) - date(2004, 2, 29)).days
		self.assertAlmostEqual(reminder.usual_interval, gap ** (1 / 3), places=1)

	def test_items_and_customers_out_of_use_are_learned_but_not_reminded(self):
		for ago in (90, 60, 30):
			make_invoice(self.customer, {self.item: 1}, ago)
		frappe.db.set_value("Item", self.item, {"disabled": 1, "stock_uom": ""})
		self.settle(self.customer)
		self.assertEqual(self.reminder(self.customer, self.item).status, "Paused")
		frappe.db.set_value("Item", self.item, {"disabled": 0, "stock_uom": "Nos"})
		frappe.db.set_value("Customer", self.customer, "disabled", 1)
		pairs.refresh(self.customer)
		reminder = self.reminder(self.customer, self.item)
		self.assertEqual((reminder.status, reminder.purchase_days), ("Paused", 3))
		self.assertIn("disabled", reminder.status_reason)
