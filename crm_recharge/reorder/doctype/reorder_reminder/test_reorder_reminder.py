"""What was learned is not typed; wishes are."""

import frappe

from crm_recharge.tests.compat import NO_RECORDS
from crm_recharge.tests.support.reorder_case import ReorderCase, make_buyer, make_invoice, make_item

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = NO_RECORDS


class TestReorderReminder(ReorderCase):
	def test_only_wishes_are_taken_from_outside(self):
		customer, _contact = make_buyer()
		item = make_item()
		make_invoice(customer, {item: 2}, on=40)
		name = frappe.db.get_value("Reorder Reminder", {"customer": customer, "item_code": item})
		doc = frappe.get_doc("Reorder Reminder", name)
		before = doc.purchase_days, doc.p_alive
		doc.update({"p_alive": 99, "purchase_days": 7, "expected_on": "2030-01-01"})
		doc.save()
		after = frappe.get_doc("Reorder Reminder", name)
		self.assertEqual((after.purchase_days, after.p_alive), before)
		self.assertEqual(str(after.expected_on), "2030-01-01")
