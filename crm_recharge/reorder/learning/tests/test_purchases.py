"""What counts as a purchase, and on which day."""

import random
from datetime import date
from decimal import Decimal

import frappe

from crm_recharge.reorder.learning import documents, pairs, purchases, repair
from crm_recharge.reorder.learning.tests.test_pairs import LearningCase, Light
from crm_recharge.tests.factories import make_customer
from crm_recharge.tests.support.reorder_case import (
	DELIVERY,
	POS,
	SALES,
	add_stock,
	bill,
	day,
	deliver,
	make_bundle,
	make_buyer,
	make_delivery,
	make_invoice,
	make_item,
	make_return,
	write_invoices,
)

D = Decimal


class CountingCase(LearningCase):
	def setUp(self):
		super().setUp()
		self.item = make_item()
		self.customer, _contact = make_buyer()
		self.light = Light(self.customer, [self.item], self.company, random.Random(1))

	def income(self) -> str:
		return frappe.get_cached_value("Company", self.company, "default_income_account")

	def learned(self, item: str | None = None) -> list[tuple]:
		"""(day, quantity) by the hooks; the rebuild must agree, of all items and of each alone."""
		self.assert_as_from_scratch(self.customer)
		there = self.days_of(self.customer)
		for code in {code for code, _, _ in there}:
			pairs.rebuild([self.customer], [code])
		self.assertEqual(self.days_of(self.customer), there)
		return [(on, quantity) for _, on, quantity in self.days_of(self.customer, item)]


class TestWhatCounts(CountingCase):
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


class TestDeliveries(CountingCase):
	"""Goods that leave by Delivery Note and are billed another day."""

	def test_what_left_is_bought_on_that_day_and_not_again_when_it_is_billed(self):
		note = make_delivery(self.customer, {self.item: 10}, 30)
		self.assertEqual(self.learned(), [(day(30), D(10))])
		first = bill(note, 20, {self.item: 4})
		self.assertEqual(self.learned(), [(day(30), D(10))])
		rest = bill(note, 10)
		self.assertEqual(rest.items[0].qty, 6)
		self.assertEqual(self.learned(), [(day(30), D(10))])
		for invoice in (rest, first):
			invoice.cancel()
			self.assertEqual(self.learned(), [(day(30), D(10))])
		note.reload()
		note.cancel()
		self.assertEqual(self.learned(), [])

	def test_a_monthly_bill_of_many_deliveries_is_no_purchase_of_its_own(self):
		from erpnext.stock.doctype.delivery_note.delivery_note import make_sales_invoice

		notes = [make_delivery(self.customer, {self.item: n}, 30 - n) for n in (1, 8, 15)]
		invoice = None
		for note in notes:
			invoice = make_sales_invoice(note.name, invoice)
		invoice.insert()
		invoice.submit()
		self.assertEqual(len(invoice.items), 3)
		self.assertEqual(self.learned(), [(day(30 - n), D(n)) for n in (1, 8, 15)])

	def test_what_is_billed_first_is_bought_on_that_day(self):
		invoice = make_invoice(self.customer, {self.item: 5}, 30)
		note = deliver(invoice, 20, {self.item: 2})
		deliver(invoice, 10)
		self.assertEqual(self.learned(), [(day(30), D(5))])
		note.reload()
		note.cancel()
		self.assertEqual(self.learned(), [(day(30), D(5))])

	def test_an_order_that_is_delivered_and_billed_each_on_its_own(self):
		from erpnext.selling.doctype.sales_order.sales_order import make_delivery_note, make_sales_invoice

		order = frappe.get_doc(
			{
				"doctype": "Sales Order",
				"company": self.company,
				"customer": self.customer,
				"transaction_date": day(40),
				"delivery_date": day(0),
				"items": [{"item_code": self.item, "qty": 6, "rate": 10}],
			}
		).insert()
		order.submit()
		self.assertEqual(self.learned(), [])
		for make, on, quantity in (
			(make_delivery_note, 30, 2),
			(make_sales_invoice, 25, 2),
			(make_sales_invoice, 20, 4),
			(make_delivery_note, 10, 4),
		):
			document = make(order.name)
			document.items[0].qty = quantity
			document.update({"set_posting_time": 1, "posting_date": day(on), "due_date": day(on)})
			document.set("payment_schedule", [])
			document.insert()
			document.submit()
		self.assertEqual(self.learned(), [(day(30), D(2)), (day(20), D(4))])
		document.cancel()
		self.assertEqual(self.learned(), [(day(30), D(2)), (day(20), D(4))])

	def test_what_comes_back_is_off_the_day_it_left_once(self):
		note = make_delivery(self.customer, {self.item: 10}, 30)
		invoice = bill(note, 20)
		came_back = make_return(note, {self.item: 3}, on=5)
		self.assertEqual(self.learned(), [(day(30), D(7))])
		credit = make_return(invoice, {self.item: 3}, on=4, update_stock=0)
		self.assertEqual(credit.items[0].dn_detail, note.items[0].name)
		self.assertEqual(self.learned(), [(day(30), D(7))])
		came_back.cancel()
		self.assertEqual(self.learned(), [(day(30), D(7))])
		credit.cancel()
		self.assertEqual(self.learned(), [(day(30), D(10))])

	def test_a_credit_note_made_from_the_note_of_return_is_the_same_return(self):
		note = make_delivery(self.customer, {self.item: 10}, 30)
		came_back = make_return(note, {self.item: 10}, on=5)
		credit = bill(came_back, 3)
		self.assertEqual((credit.is_return, credit.items[0].qty), (1, -10))
		self.assertEqual(self.learned(), [])
		credit.cancel()
		came_back.reload()
		came_back.cancel()
		self.assertEqual(self.learned(), [(day(30), D(10))])

	def test_deliveries_within_the_group_do_not_count(self):
		self.light.submit(DELIVERY, 7, [(self.item, 64, None)], is_internal_customer=1)
		self.assertEqual(self.learned(), [])

	def test_of_a_pair_the_shorter_way_is_read_and_both_find_the_same(self):
		bundle = make_bundle({self.item: 2})
		bill(make_delivery(self.customer, {self.item: 3, bundle: 1}, 30), 5)
		make_invoice(self.customer, {bundle: 2}, 20)
		ways = []
		for documents_, rows in ((0, 1), (1, 0)):
			with self.counting(documents_, rows):
				ways.append(sorted(purchases.of_pairs(self.customer, [self.item])))
		self.assertEqual(ways[0], ways[1])
		self.assertEqual([line.quantity for line in ways[0]], [D(5), D(4)])

	def counting(self, documents_: int, rows: int):
		"""As if the customer had so many documents, and the item so many rows."""
		from unittest.mock import patch

		return patch.object(
			documents, "_count", lambda table, column, values: documents_ if column == "customer" else rows
		)

	def test_history_reads_customers_who_have_only_deliveries(self):
		from crm_recharge.reorder.learning import history

		make_delivery(self.customer, {self.item: 1}, 30)
		frappe.db.commit()
		# The name just before the customer's own.
		reached = self.customer[:-1] + chr(ord(self.customer[-1]) - 1) + "zzz"
		self.assertIn(self.customer, history._next_slice(reached))


class TestBundles(CountingCase):
	"""Whoever buys a bundle has bought what is in it."""

	def setUp(self):
		super().setUp()
		self.other = make_item()
		self.bundle = make_bundle({self.item: 2, self.other: 1})

	def test_by_whatever_document(self):
		made = {
			SALES: make_invoice(self.customer, {self.bundle: 3}, 30),
			POS: make_invoice(self.customer, {self.bundle: 1}, 0, doctype=POS),
			DELIVERY: make_delivery(self.customer, {self.bundle: 5}, 20),
		}
		self.assertEqual([len(document.packed_items) for document in made.values()], [0, 2, 2])
		for item, each in ((self.bundle, 1), (self.item, 2), (self.other, 1)):
			self.assertEqual(
				self.learned(item), [(day(30), D(3 * each)), (day(20), D(5 * each)), (day(0), D(each))]
			)
		bill(made[DELIVERY], 10)
		make_return(made[SALES], {self.bundle: 1}, on=2)
		self.assertEqual(self.learned(self.item), [(day(30), D(4)), (day(20), D(10)), (day(0), D(2))])

	def test_taken_off_the_stock_by_the_invoice_itself(self):
		item = make_item(is_stock_item=1)
		bundle, warehouse = make_bundle({item: 2}), add_stock(item, 20)
		invoice = make_invoice(
			self.customer, [{"item_code": bundle, "qty": 3, "warehouse": warehouse}], 0, update_stock=1
		)
		self.assertEqual([row.qty for row in invoice.packed_items], [6])
		self.assertEqual(self.learned(item), [(day(0), D(6))])

	def test_together_with_the_item_itself(self):
		make_invoice(self.customer, {self.bundle: 1, self.item: 5}, 10)
		self.assertEqual(self.learned(self.item), [(day(10), D(7))])

	def test_a_bundle_that_changes_is_learned_anew_and_papers_of_before_keep_what_they_packed(self):
		note = make_delivery(self.customer, {self.bundle: 1}, 30)
		make_invoice(self.customer, {self.bundle: 1}, 10)
		added = make_item()
		document = frappe.get_doc("Product Bundle", self.bundle)
		document.items[0].qty = 5
		document.append("items", {"item_code": added, "qty": 1})
		document.save()
		frappe.db.commit()
		self.assertIn(self.customer, repair.due())
		self.settle(self.customer)
		self.assertEqual(self.learned(self.item), [(day(30), D(2)), (day(10), D(5))])
		self.assertEqual(self.learned(added), [(day(10), D(1))])
		# Billed now, by a list of its own or none: what left had the old contents.
		bill(note, 5)
		self.assertEqual(self.learned(self.item), [(day(30), D(2)), (day(10), D(5))])

	def test_of_a_bundle_that_is_no_longer_one_only_itself(self):
		frappe.db.set_value("Product Bundle", self.bundle, "disabled", 1)
		make_invoice(self.customer, {self.bundle: 1}, 10)
		self.assertEqual(self.learned(self.item), [])
		self.assertEqual(self.learned(self.bundle), [(day(10), D(1))])


class TestGifts(CountingCase):
	"""What was given away tells nothing of what the customer buys."""

	def rule(self, **values):
		document = frappe.get_doc(
			{
				"doctype": "Pricing Rule",
				"title": f"Gift {self.item}",
				"apply_on": "Item Code",
				"items": [{"item_code": self.item}],
				"selling": 1,
				"company": self.company,
				"currency": "USD",
				"valid_from": "2020-01-01",
				**values,
			}
		).insert()
		self.addCleanup(frappe.db.set_value, "Pricing Rule", document.name, "disable", 1)
		return document

	def test_a_free_item_of_a_promotion(self):
		mug = make_item()
		self.rule(price_or_product_discount="Product", free_item=mug, free_qty=1, min_qty=1)
		invoice = make_invoice(self.customer, {self.item: 1}, 30)
		note = make_delivery(self.customer, {self.item: 1}, 20)
		for document in (invoice, note):
			self.assertEqual([row.item_code for row in document.items if row.is_free_item], [mug])
		self.assertEqual(self.learned(mug), [])
		self.assertEqual(self.learned(self.item), [(day(30), D(1)), (day(20), D(1))])
		# Nor does it when it comes back, in full or in part.
		make_return(invoice, on=10)
		self.assertEqual(self.learned(), [(day(20), D(1))])

	def test_a_price_that_a_rule_brings_down_to_nothing(self):
		for discount in (
			{"rate_or_discount": "Discount Percentage", "discount_percentage": 100},
			{"rate_or_discount": "Rate", "rate": 0},
			{"rate_or_discount": "Discount Amount", "discount_amount": 10},
		):
			gift, customer = make_item(), make_buyer()[0]
			self.item = gift
			rule = self.rule(price_or_product_discount="Price", **discount)
			invoice = make_invoice(customer, [{"item_code": gift, "rate": None}], 30)
			self.assertEqual((invoice.items[0].net_amount, invoice.items[0].is_free_item), (0, 0), discount)
			self.assertEqual(self.days_of(customer), [], discount)
			# A return forgets the rule, not what it returns.
			make_return(invoice, on=5)
			rule.disable = 1
			rule.save()
			make_invoice(customer, {gift: 2}, 10)
			self.assertEqual(self.days_of(customer), [(gift, day(10), D(2))], discount)
			self.assert_as_from_scratch(customer)

	def test_a_discount_of_all_of_it_by_hand_on_a_row_or_on_the_whole(self):
		make_invoice(
			self.customer,
			[{"item_code": self.item, "price_list_rate": 10, "discount_percentage": 100, "rate": 0}],
			30,
		)
		make_invoice(self.customer, {self.item: 1}, 20, additional_discount_percentage=100)
		self.assertEqual(self.learned(), [])

	def test_what_never_had_a_price_is_bought_all_the_same(self):
		item = make_item(price=None)
		make_invoice(self.customer, [{"item_code": item, "rate": 0}], 20)
		self.assertEqual(self.learned(item), [(day(20), D(1))])

	def test_what_is_packed_in_a_bundle_that_was_a_gift(self):
		bundle = make_bundle({self.item: 1})
		make_invoice(self.customer, [{"item_code": bundle, "is_free_item": 1, "rate": 0}], 20)
		self.assertEqual(self.learned(), [])
