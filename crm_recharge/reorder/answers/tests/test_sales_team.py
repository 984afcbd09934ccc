"""The sales team's task: one for a customer, with the facts, gone when it is done; and the customer's timeline."""

from unittest.mock import patch

import frappe

from crm_recharge.reorder import sales_team, timeline
from crm_recharge.reorder.answers import outcome
from crm_recharge.reorder.answers.tests.reminded import RemindedCase, make_message, set_settings
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.reorder_case import POS, SALES, make_invoice, make_item

LAST = ((40, POS), (30, SALES), (20, POS), (10, SALES))
"""So many days ago, and how."""


class TestTask(RemindedCase):
	def setUp(self):
		super().setUp()
		self.manager = make_user("Sales User", first_name="Ada")
		self.stand_in = make_user("Sales User", first_name="Bo")
		set_settings(fallback_user=self.stand_in)

	def managed(self, items: int = 1, **values):
		message = self.reminded(items, consents=False, **values)
		frappe.db.set_value("Customer", message.customer, "account_manager", self.manager)
		return message

	def tasks(self, customer: str, **filters):
		return frappe.get_all(
			"ToDo",
			{"reference_type": "Customer", "reference_name": customer, **filters},
			["name", "status", "allocated_to", "description", "date"],
			order_by="creation",
		)

	def test_only_who_has_a_desk_is_asked(self):
		message = self.managed()
		for values in ({"enabled": 0}, {"user_type": "Website User"}):
			self.assertEqual(sales_team.person_for(message.customer), self.manager)
			before = frappe.db.get_value("User", self.manager, list(values), as_dict=True)
			frappe.db.set_value("User", self.manager, values)
			self.assertEqual(sales_team.person_for(message.customer), self.stand_in, values)
			frappe.db.set_value("User", self.manager, dict(before))

	def test_what_was_bought_at_a_till_is_among_the_last_orders(self):
		message = self.managed()
		item = message.items[0].item_code
		found = [make_invoice(message.customer, [item], on=on, doctype=kind) for on, kind in LAST]
		sales_team.tell(message)
		text = self.tasks(message.customer)[0].description
		self.assertEqual([invoice.name in text for invoice in found], [False, True, True, True])

	def test_the_account_manager_gets_the_facts(self):
		message = self.managed(2)
		invoice = make_invoice(message.customer, [message.items[0].item_code], on=30)
		row = frappe.db.get_value("Reorder Customer", {"customer": message.customer})
		frappe.db.set_value("Reorder Customer", row, "revenue_365", 1234.5)
		frappe.db.set_value(
			"Contact", message.contact, {"mobile_no": "+1 555 0100", "last_name": "O'Hara <b>"}
		)
		make_message(
			message.customer, message.contact, [{"item_code": make_item()}], sent=40, last_answer="Later"
		)
		todo = sales_team.tell(message)
		(task,) = self.tasks(message.customer)
		self.assertEqual((task.name, task.status, task.allocated_to), (todo, "Open", self.manager))
		text = task.description
		for fact in (
			message.items[0].item_name,
			message.items[1].item_name,
			invoice.name,
			"$ 1,234.50",
			"+1 555 0100",
			frappe.db.get_value("Contact", message.contact, "email_id"),
			"expected between",
			"(Later)",
		):
			self.assertIn(fact, text)
		self.assertNotIn("O'Hara <b>", text)
		self.assertEqual(frappe.db.get_value("Reorder Message", message.name, "todo"), todo)
		self.assertEqual(frappe.db.get_value("Reorder Customer", row, "todo"), todo)
		self.assertIn(self.manager, frappe.db.get_value("Customer", message.customer, "_assign") or "")

	def test_one_open_task_brought_up_to_date(self):
		first = self.managed()
		todo = sales_team.tell(first)
		second = make_message(first.customer, first.contact, [{"item_code": make_item()}])
		self.assertEqual(sales_team.tell(second.name), todo)
		(task,) = self.tasks(first.customer)
		self.assertIn(second.items[0].item_name, task.description)
		# Another person looks after the customer now.
		frappe.db.set_value("Customer", first.customer, "account_manager", self.stand_in)
		self.assertEqual(sales_team.tell(second), todo)
		self.assertEqual(self.tasks(first.customer)[0].allocated_to, self.stand_in)
		# A closed one is not opened again: there is a new reason.
		frappe.get_doc("ToDo", todo).update({"status": "Closed"}).save()
		again = sales_team.tell(second)
		self.assertNotEqual(again, todo)
		self.assertEqual([task.status for task in self.tasks(first.customer)], ["Closed", "Open"])

	def test_the_stand_in_where_nobody_may_log_in(self):
		message = self.managed()
		frappe.db.set_value("User", self.manager, "enabled", 0)
		sales_team.tell(message)
		self.assertEqual(self.tasks(message.customer)[0].allocated_to, self.stand_in)
		set_settings(fallback_user=None)
		other = self.managed()
		self.assertIsNone(sales_team.tell(other))
		self.assertEqual(self.tasks(other.customer), [])
		logs = frappe.get_all("Error Log", {"method": "Reorder: nobody to tell"}, pluck="error")
		self.assertTrue(any(other.customer in text for text in logs))

	def test_who_is_held_out_is_left_alone(self):
		message = self.managed(kind="Held Out")
		self.assertIsNone(sales_team.tell(message))
		self.assertEqual(self.tasks(message.customer), [])
		self.assertEqual(self.notes(message.customer), [])

	def test_closed_by_itself_when_bought(self):
		message = self.managed(2, sent=5)
		todo = sales_team.tell(message)
		make_invoice(message.customer, [message.items[0].item_code], on=2)
		outcome.settle(message.customer)
		task = self.tasks(message.customer)[0]
		self.assertEqual(task.status, "Open")
		self.assertNotIn(message.items[0].item_name, task.description)
		self.assertIn(message.items[1].item_name, task.description)
		make_invoice(message.customer, [message.items[1].item_code], on=1)
		outcome.settle(message.customer)
		self.assertEqual(frappe.db.get_value("ToDo", todo, "status"), "Closed")
		self.assertTrue(
			any("the task for the sales team was closed" in text for text in self.notes(message.customer))
		)

	def test_the_manager_is_notified(self):
		message = self.managed()
		with patch.object(sales_team, "notify_assignment") as notify:
			sales_team.tell(message)
		self.assertEqual(notify.call_args.args[1:4], (self.manager, "Customer", message.customer))

	def notes(self, customer: str) -> list[str]:
		return frappe.get_all(
			"Comment",
			{"reference_doctype": "Customer", "reference_name": customer, "subject": timeline.SUBJECT},
			pluck="content",
		)

	def test_the_timeline_and_how_it_is_cleared(self):
		message = self.managed()
		frappe.get_doc("Customer", message.customer).add_comment("Comment", "A person wrote this")
		timeline.note(message.customer, "Something happened")
		self.assertEqual(self.notes(message.customer), ["Something happened"])
		shown = frappe.get_all(
			"Comment", {"reference_name": message.customer, "comment_type": "Info"}, pluck="content"
		)
		self.assertIn("Something happened", shown)
		self.assertIsNone(timeline.note("No such customer", "x"))
		timeline.forget(message.customer)
		self.assertEqual(self.notes(message.customer), [])
		left = frappe.get_all(
			"Comment", {"reference_name": message.customer, "comment_type": "Comment"}, pluck="content"
		)
		self.assertEqual(left, ["A person wrote this"])
