"""Purchase data that would mislead is found, with its document."""

from datetime import date

import frappe

from crm_recharge.reorder.learning import pairs, quality
from crm_recharge.reorder.learning.tests.test_pairs import LearningCase
from crm_recharge.tests.factories import make_customer
from crm_recharge.tests.support.reorder_case import (
	DELIVERY,
	POS,
	bill,
	day,
	make_buyer,
	make_contact,
	make_delivery,
	make_invoice,
	make_item,
	write_invoices,
)


class TestQuality(LearningCase):
	def setUp(self):
		super().setUp()
		self.customer, _contact = make_buyer()
		self.item = make_item(price=None)

	def found(self, kind: str, **filters) -> list[dict]:
		rows = quality.problems({"customer": self.customer, "kind": kind, **filters})
		for row in rows:
			self.assertEqual(row["kind"], kind)
			self.assertTrue(row["detail"] and row["advice"])
			if row["document"]:
				self.assertTrue(frappe.db.exists(row["document_type"], row["document"]))
		return rows

	def test_nothing_is_found_in_good_data(self):
		write_invoices([(self.customer, self.item, day(30 * n), 2) for n in range(6)])
		pairs.rebuild([self.customer])
		self.assertEqual(quality.problems({"customer": self.customer}), [])

	def test_duplicates(self):
		for _ in range(2):
			write_invoices([(self.customer, self.item, day(5), 2)])
			write_invoices([(self.customer, self.item, day(6), 2)], doctype=POS)
		write_invoices([(self.customer, self.item, day(5), 3)])
		rows = self.found(quality.DUPLICATE)
		self.assertEqual(
			{(r["day"], r["document_type"]) for r in rows}, {(day(5), "Sales Invoice"), (day(6), POS)}
		)
		self.assertEqual(len(self.found(quality.DUPLICATE, from_date=day(5))), 1)
		self.assertEqual(self.found(quality.DUPLICATE, item_code=make_item(price=None)), [])

	def test_who_cannot_be_reached(self):
		lonely = make_customer()
		write_invoices([(lonely, self.item, day(5), 2)])
		pairs.rebuild([lonely])
		self.assertEqual(len(self.found(quality.UNREACHABLE, customer=lonely)), 1)
		make_contact(lonely)
		self.assertEqual(self.found(quality.UNREACHABLE, customer=lonely), [])

	def test_units_that_change(self):
		write_invoices([(self.customer, self.item, day(n), 2) for n in (5, 6)])
		rows = frappe.get_all("Sales Invoice Item", {"item_code": self.item}, pluck="name")
		self.assertEqual(self.found(quality.UNIT_CHANGE), [])
		frappe.db.set_value("Sales Invoice Item", rows[0], "conversion_factor", 12)
		self.assertIn("Nos = 12 Nos", self.found(quality.UNIT_CHANGE)[0]["detail"])
		frappe.db.set_value("Sales Invoice Item", rows[0], {"conversion_factor": 1, "stock_uom": "Box"})
		self.assertEqual(len(self.found(quality.UNIT_CHANGE)), 1)

	def test_outlying_quantities(self):
		write_invoices([(self.customer, self.item, day(30 * n), 200 if n == 3 else 2) for n in range(6)])
		pairs.rebuild([self.customer])
		rows = self.found(quality.OUTLYING)
		self.assertEqual([r["day"] for r in rows], [day(90)])
		self.assertIn("200", rows[0]["detail"])

	def test_days_that_cannot_be(self):
		write_invoices(
			[
				(self.customer, self.item, day(-3), 1),
				(self.customer, self.item, date(1980, 1, 1), 1),
				(self.customer, self.item, date(2004, 1, 1), 1),
				(self.customer, self.item, day(3), 1),
			]
		)
		pairs.rebuild([self.customer])
		self.assertEqual([r["day"] for r in self.found(quality.FUTURE)], [day(-3)])
		self.assertEqual([r["day"] for r in self.found(quality.ANCIENT)], [date(1980, 1, 1)])
		self.assertEqual([r["day"] for r in self.found(quality.GAP)], [day(3)])

	def test_odd_rows(self):
		write_invoices([(self.customer, self.item, day(5), 1), (self.customer, self.item, day(6), 0)])
		frappe.db.set_value("Sales Invoice Item", {"item_code": self.item, "stock_qty": 1}, "rate", -4)
		make_invoice(self.customer, {self.item: -1}, 2, is_return=1)
		write_invoices([(self.customer, "No such item", day(5), 1)])
		self.assertEqual([r["day"] for r in self.found(quality.NEGATIVE_RATE)], [day(5)])
		self.assertEqual([r["day"] for r in self.found(quality.ZERO)], [day(6)])
		self.assertEqual([r["day"] for r in self.found(quality.LOOSE_RETURN)], [day(2)])
		unknown = self.found(quality.UNKNOWN)
		self.assertEqual([(r["day"], r["item_code"]) for r in unknown], [(day(5), None)])
		pairs.rebuild([self.customer])

	def test_items_without_a_unit(self):
		write_invoices([(self.customer, self.item, day(5), 1)])
		pairs.rebuild([self.customer])
		self.assertEqual(self.found(quality.NO_UNIT, item_code=self.item), [])
		frappe.db.set_value("Item", self.item, "stock_uom", "")
		self.assertEqual(len(self.found(quality.NO_UNIT, item_code=self.item)), 1)

	def test_what_the_learning_leaves_out_is_no_finding_and_what_it_reads_is(self):
		"""Gifts, corrections of a price and bills of a delivery tell of no purchase; deliveries do."""
		item = make_item()
		for _ in range(2):
			make_invoice(self.customer, [{"item_code": item, "is_free_item": 1, "rate": 0}], 5)
			bill(make_delivery(self.customer, {item: 1}, 8), 6)
		invoice = make_invoice(self.customer, {item: 3}, 4)
		for _ in range(2):
			make_invoice(self.customer, {item: 2}, 3, is_debit_note=1, return_against=invoice.name)
		rows = self.found(quality.DUPLICATE)
		self.assertEqual([(r["document_type"], r["day"]) for r in rows], [(DELIVERY, day(8))])
		write_invoices([(self.customer, item, day(-4), 1)])
		frappe.db.set_value("Sales Invoice Item", {"item_code": item, "docstatus": 1}, "conversion_factor", 1)
		self.assertEqual([r["day"] for r in self.found(quality.FUTURE)], [day(-4)])
		frappe.db.set_value("Customer", self.customer, "crm_recharge_not_learned", 1)
		self.assertEqual(self.found(quality.FUTURE), [])

	def test_of_very_many_the_first_are_listed(self):
		write_invoices([(self.customer, self.item, day(-n), 1) for n in range(1, 20)])
		self.assertEqual(len(self.found(quality.FUTURE, limit=7)), 7)

	def test_every_kind_runs_with_every_filter(self):
		filters = {
			"item_code": self.item,
			"company": self.company,
			"from_date": day(30),
			"to_date": day(0),
			"customer": self.customer,
		}
		self.assertEqual(quality.problems(filters), [])
		self.assertIsInstance(quality.problems(), list)
