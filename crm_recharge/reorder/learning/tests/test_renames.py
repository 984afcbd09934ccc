"""Customers and items renamed, merged, deleted: Frappe gets its way, and what was learned follows."""

from decimal import Decimal

import frappe

from crm_recharge.doors.guard import by_machine
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.learning import pairs, repair
from crm_recharge.reorder.learning.tests.test_pairs import LearningCase, statistics
from crm_recharge.reorder.sending.check import cycle_key
from crm_recharge.tests.factories import make_customer
from crm_recharge.tests.support.reorder_case import (
	day,
	make_contact,
	make_item,
	purchase_days,
	write_invoices,
)

D = Decimal
LEARNED = ("Reorder Purchase Day", "Reorder Reminder", "Reorder Forecast", "Reorder Customer")


def bought(customer: str, item: str, *days: tuple[int, int]) -> None:
	write_invoices([(customer, item, day(ago), quantity) for ago, quantity in days])


def mailed(customer: str, item: str, ago: int) -> str:
	"""A Reorder Message about the pair's cycle begun `ago` days ago; returns the name of its row."""
	reminder = frappe.db.get_value("Reorder Reminder", {"customer": customer, "item_code": item})
	message = by_machine(
		frappe.get_doc(
			{
				"doctype": "Reorder Message",
				"customer": customer,
				"kind": "Reminded",
				"status": "Sent",
				"sent_at": f"{day(ago - 1)} 10:00:00",
				"items": [
					{
						"reminder": reminder,
						"item_code": item,
						"last_day": day(ago),
						"cycle_key": cycle_key(customer, item, day(ago)),
					}
				],
			}
		)
	).insert(ignore_permissions=True)
	frappe.db.set_value(
		"Reorder Reminder", reminder, {"last_message": message.name, "last_reminded_at": message.sent_at}
	)
	return message.items[0].name


class TestRenames(LearningCase):
	def setUp(self):
		super().setUp()
		self.old, self.new = make_customer(), make_customer()
		self.item, self.other = make_item(price=None), make_item(price=None)

	def learn(self, *customers: str) -> None:
		pairs.rebuild(list(customers))
		for customer in customers:
			self.settle(customer)

	def test_a_customer_gets_a_new_name(self):
		bought(self.old, self.item, (40, 1), (20, 2))
		self.learn(self.old)
		row = mailed(self.old, self.item, 20)
		name = f"{self.old} renamed"
		before = statistics(self.old)
		frappe.rename_doc("Customer", self.old, name, force=True)
		self.assertEqual(statistics(name), before)
		self.assertEqual(purchase_days(self.old), [])
		self.assertEqual(
			frappe.db.get_value("Reorder Message Item", row, "cycle_key"), cycle_key(name, self.item, day(20))
		)
		self.assert_as_from_scratch(name)

	def test_an_item_gets_a_new_name(self):
		bought(self.old, self.item, (40, 1), (20, 2))
		self.learn(self.old)
		name = f"{self.item} renamed"
		frappe.rename_doc("Item", self.item, name, force=True)
		self.assertEqual([i for i, _, _ in purchase_days(self.old)], [name, name])
		self.assert_as_from_scratch(self.old)

	def test_two_customers_become_one(self):
		bought(self.old, self.item, (60, 1), (40, 1), (20, 4))
		bought(self.new, self.item, (50, 2), (40, 2))
		bought(self.old, self.other, (30, 5))
		self.learn(self.old, self.new)
		for customer, ago in ((self.old, 20), (self.new, 40)):
			by_machine(
				frappe.get_doc(
					{
						"doctype": "Reorder Forecast",
						"customer": customer,
						"item_code": self.item,
						"after": day(40),
						"asked": day(ago),
					}
				)
			).insert(ignore_permissions=True)
		row = mailed(self.old, self.item, 20)
		message = frappe.db.get_value("Reorder Message Item", row, "parent")
		frappe.db.set_value("Reorder Reminder", {"customer": self.old, "item_code": self.item}, "stopped", 1)
		frappe.db.commit()

		frappe.rename_doc("Customer", self.old, self.new, merge=True, force=True)
		frappe.db.commit()

		for doctype in LEARNED:
			self.assertFalse(frappe.db.exists(doctype, {"customer": self.old}), doctype)
		self.assertEqual(frappe.db.count("Reorder Customer", {"customer": self.new}), 1)
		self.assertEqual(frappe.db.count("Reorder Forecast", {"customer": self.new}), 1)
		reminder = self.reminder(self.new, self.item)
		self.assertEqual((reminder.stopped, reminder.last_message), (1, message))
		self.assertIsNone(reminder.remind_on)
		self.assertEqual(frappe.db.get_value("Reorder Message Item", row, "reminder"), reminder.name)
		self.assertEqual(
			frappe.db.get_value("Reorder Message Item", row, "cycle_key"),
			cycle_key(self.new, self.item, day(20)),
		)
		self.assertIn(self.new, repair.due(limit=10**6))
		repair.settle(self.new)
		self.assertEqual(
			purchase_days(self.new, self.item),
			[
				(self.item, day(60), D(1)),
				(self.item, day(50), D(2)),
				(self.item, day(40), D(3)),
				(self.item, day(20), D(4)),
			],
		)
		self.assertEqual(purchase_days(self.new, self.other), [(self.other, day(30), D(5))])
		self.assert_as_from_scratch(self.new)

	def test_two_items_become_one(self):
		for customer in (self.old, self.new):
			bought(customer, self.item, (60, 1), (40, 1))
			bought(customer, self.other, (40, 2), (10, 2))
		only = make_customer()
		bought(only, self.item, (5, 7))
		self.learn(self.old, self.new, only)
		mailed(self.old, self.item, 40)
		frappe.rename_doc("Item", self.item, self.other, merge=True, force=True)
		frappe.db.commit()
		for customer in (self.old, self.new, only):
			repair.settle(customer)
		for customer in (self.old, self.new):
			self.assertEqual(
				purchase_days(customer),
				[(self.other, day(60), D(1)), (self.other, day(40), D(3)), (self.other, day(10), D(2))],
			)
			self.assert_as_from_scratch(customer)
		self.assertEqual(purchase_days(only), [(self.other, day(5), D(7))])

	def test_a_merge_gives_no_consent(self):
		contact = make_contact(self.old)
		doc = frappe.get_doc("Contact", contact)
		doc.append("links", {"link_doctype": "Customer", "link_name": self.new})
		doc.save()
		kept = preferences.opt_in(contact, self.new, "web", "Remind me")
		gone = preferences.opt_in(contact, self.old, "web", "Remind me")
		preferences.opt_out(gone, "link")
		only = make_contact(self.old, primary=False)
		preferences.opt_in(only, self.old, "web", "Remind me")
		frappe.rename_doc("Customer", self.old, self.new, merge=True, force=True)
		rows = frappe.get_all(
			"Reorder Preference", {"customer": self.new}, ["contact", "opted_in", "scope_key"], order_by=None
		)
		self.assertEqual({(r.contact, r.opted_in) for r in rows}, {(contact, 0), (only, 1)})
		for row in rows:
			self.assertEqual(row.scope_key, preferences.scope_key(row.contact, self.new))
		history = frappe.get_doc("Reorder Preference", kept.name).history
		self.assertEqual(sorted(row.change for row in history), ["Opted in", "Opted in", "Opted out"])
		self.assertEqual([row.idx for row in history], [1, 2, 3])

	def test_merging_before_anything_was_learned(self):
		frappe.rename_doc("Customer", self.old, self.new, merge=True, force=True)
		frappe.rename_doc("Item", self.item, self.other, merge=True, force=True)
		self.assertFalse(frappe.db.exists("Customer", self.old))


class TestDeleting(LearningCase):
	def test_a_customer_goes_with_all_that_was_learned(self):
		customer, item = make_customer(), make_item(price=None)
		contact = make_contact(customer)
		preferences.opt_in(contact, customer, "web", "Remind me")
		bought(customer, item, (60, 1), (30, 1))
		self.settle_all(customer)
		mailed(customer, item, 30)
		name = frappe.db.get_value("Sales Invoice", {"customer": customer})
		frappe.db.delete("Sales Invoice", {"customer": customer})
		frappe.db.delete("Sales Invoice Item", {"parent": name})
		frappe.delete_doc("Customer", customer)
		for doctype in (*LEARNED, "Reorder Message", "Reorder Preference"):
			self.assertFalse(frappe.db.exists(doctype, {"customer": customer}), doctype)

	def test_an_item_goes_and_the_customers_next_purchase_is_another(self):
		customer, item, other = make_customer(), make_item(price=None), make_item(price=None)
		bought(customer, item, *((10 * n, 1) for n in range(1, 6)))
		bought(customer, other, *((30 * n - 25, 1) for n in range(1, 6)))
		self.settle_all(customer)
		self.assertEqual(frappe.db.get_value("Reorder Customer", {"customer": customer}, "next_item"), item)
		frappe.get_doc({"doctype": "Reorder Rule", "applies_to": "Item", "item_code": item}).insert()
		mailed(customer, item, 10)
		frappe.db.delete("Sales Invoice Item", {"item_code": item})
		frappe.delete_doc("Item", item)
		frappe.db.commit()
		self.assertFalse(frappe.db.exists("Reorder Rule", {"item_code": item}))
		self.assertIsNone(self.reminder(customer, item))
		self.assertIsNone(frappe.db.get_value("Reorder Customer", {"customer": customer}, "next_item"))
		self.assertIn(customer, repair.due(limit=10**6))
		repair.settle(customer)
		self.assertEqual(frappe.db.get_value("Reorder Customer", {"customer": customer}, "next_item"), other)
		self.assert_as_from_scratch(customer)

	def settle_all(self, *customers: str) -> None:
		pairs.rebuild(list(customers))
		for customer in customers:
			repair.settle(customer)
