"""A reminder goes out once, complete, to who wants it."""

import frappe
from frappe.utils import getdate, now_datetime

from crm_recharge.reorder.sending import run
from crm_recharge.reorder.sending.tests.sending_case import SendingCase, html_of, in_days, text_of
from crm_recharge.tests.support.reorder_case import day, make_item


class TestOneMail(SendingCase):
	def test_everything_due_goes_into_one_mail(self):
		coffee, tea = make_item(item_name="Coffee & Co"), make_item(item_name="Tea")
		customer = self.buyer(coffee, tea)
		outcome = self.remind(customer)
		self.assertTrue(outcome.mailed)
		(message,) = self.messages(customer)
		self.assertEqual(message.name, outcome.message)
		self.assertEqual((message.kind, message.status, message.channel), ("Reminded", "Queued", "Email"))
		self.assertEqual({row.item_code for row in message.items}, {coffee, tea})
		self.assertEqual({row.days_since for row in message.items}, {30})
		mail = self.mail(customer)
		self.assertIn("Coffee & Co", mail["Subject"])
		self.assertEqual(mail["From"], "The Coffee Shop <shop@test.example>")
		self.assertEqual(mail["To"], message.email)
		for body in (html_of(mail), text_of(mail)):
			self.assertIn("Tea", body)
			self.assertIn("30 days ago", body)
			self.assertIn("Springfield", body)
			self.assertNotIn("{{", body)
		self.assertIn("Coffee &amp; Co", html_of(mail))

	def test_it_can_be_stopped_with_one_click(self):
		customer = self.buyer()
		self.remind(customer)
		mail = self.mail(customer)
		self.assertRegex(mail["List-Unsubscribe"], r"^<https?://\S+unsubscribe\?token=\S+>$")
		self.assertEqual(mail["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")
		for action in ("reorder", "later", "enough", "fewer", "stop"):
			self.assertRegex(html_of(mail), rf'href="http[^"]+/reorder\?do={action}&amp;token=[^"]+"')

	def test_the_links_are_those_of_this_message(self):
		from crm_recharge.reorder.answers import links

		customer = self.buyer()
		message = self.remind(customer).message
		token = self.mail(customer)["List-Unsubscribe"].partition("token=")[2].rstrip(">")
		self.assertEqual(links.read(token, "stop"), message)

	def test_it_is_on_the_customers_timeline_without_links_that_act(self):
		customer = self.buyer()
		self.remind(customer)
		(message,) = self.messages(customer)
		communication = frappe.get_doc("Communication", message.communication)
		self.assertEqual(
			(communication.reference_doctype, communication.reference_name), ("Customer", customer)
		)
		self.assertIn(
			("Contact", message.contact),
			[(r.link_doctype, r.link_name) for r in communication.timeline_links],
		)
		self.assertEqual(communication.subject, message.subject)
		self.assertNotIn("token=", communication.content)
		(queued,) = self.queued(customer)
		self.assertEqual(communication.message_id, queued.message_id)
		self.assertEqual(queued.status, "Not Sent")

	def test_what_was_reminded_of_is_noted(self):
		customer = self.buyer()
		self.remind(customer)
		(message,) = self.messages(customer)
		reminder = frappe.get_doc("Reorder Reminder", message.items[0].reminder)
		self.assertEqual(
			(reminder.status, reminder.last_message, reminder.remind_on), ("Reminded", message.name, None)
		)
		self.assertEqual(getdate(reminder.last_reminded_at), getdate(now_datetime()))
		row = frappe.get_doc("Reorder Customer", {"customer": customer})
		self.assertEqual(row.last_message, message.name)

	def test_again_sends_nothing(self):
		customer = self.buyer()
		self.remind(customer)
		# Should the learning find it due again: once a cycle all the same.
		frappe.db.set_value("Reorder Reminder", {"customer": customer}, "remind_on", day(0))
		frappe.db.commit()
		self.settings(default_frequency_days=0)
		outcome = self.remind(customer)
		self.assertEqual(dict(outcome.reasons), {"already_reminded": 1})
		self.assertEqual(len(self.queued(customer)), 1)

	def test_a_new_purchase_begins_a_new_cycle(self):
		customer = self.buyer(remind_on=day(50), last_day=day(80))
		self.assertTrue(self.remind(customer, now=in_days(-40)).mailed)
		frappe.db.set_value(
			"Reorder Reminder", {"customer": customer}, {"remind_on": day(0), "last_day": day(29)}
		)
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)
		self.assertEqual(len(self.queued(customer)), 2)

	def test_remind_me_later_is_kept_and_said_once(self):
		customer = self.buyer(remind_on=day(12))
		self.settings(default_frequency_days=0)
		self.assertTrue(self.remind(customer, now=in_days(-10)).mailed)
		later = {"remind_on": day(0), "snoozed_until": day(0)}
		frappe.db.set_value("Reorder Reminder", {"customer": customer}, later)
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)
		frappe.db.set_value("Reorder Reminder", {"customer": customer}, later)
		frappe.db.commit()
		self.assertFalse(self.remind(customer).mailed)
		self.assertEqual(len(self.queued(customer)), 2)

	def test_the_most_urgent_first_and_no_more_than_asked_for(self):
		self.settings(max_items=2, default_frequency_days=0)
		items = [make_item() for _number in range(3)]
		customer = self.buyer()
		frappe.db.delete("Reorder Reminder", {"customer": customer})
		for ago, item in zip((1, 9, 5), items, strict=True):
			self.due(customer, item, remind_on=day(ago))
		frappe.db.commit()
		self.remind(customer)
		self.assertEqual([row.item_code for row in self.messages(customer)[0].items], [items[1], items[2]])
		self.remind(customer)
		self.assertEqual([row.item_code for row in self.messages(customer)[1].items], [items[0]])


class TestTheRun(SendingCase):
	def test_it_counts_what_it_did_and_why_not(self):
		mailed, without, stopped = self.buyer(), self.buyer(consents=False), self.buyer(p_alive=10)
		run_ = frappe.get_doc("Reorder Run", run.run_hourly())
		self.assertEqual(run_.status, "Done")
		figures = frappe.parse_json(run_.figures)
		self.assertEqual((figures["mails"], figures["without_consent"]), (1, 1))
		self.assertEqual(figures["held_back"], {"probably_stopped": 1})
		self.assertEqual([len(self.queued(c)) for c in (mailed, without, stopped)], [1, 0, 0])
		self.assertEqual((run_.total, run_.done), (2, 2))
