"""Where a reminder stands follows a purchase, and its cancellation, at once: not only when the night has worked it out."""

import frappe

from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.sending import check
from crm_recharge.reorder.sending.tests.sending_case import WORDING, SendingCase
from crm_recharge.tests.support.reorder_case import (
	DELIVERY,
	POS,
	SALES,
	day,
	make_buyer,
	make_invoice,
	make_item,
)


class TestStanding(SendingCase):
	# Nothing but the purchases themselves decides.
	SETTINGS = SendingCase.SETTINGS | {"widest_range": 0, "least_p_alive": 0, "default_lead_time": 60}

	def setUp(self):
		super().setUp()
		self.item = make_item()
		self.customer, contact = make_buyer()
		for ago in (120, 90, 60, 31):
			make_invoice(self.customer, {self.item: 2}, ago)
		preferences.opt_in(contact, self.customer, "Test", WORDING)
		self.settle(self.customer)

	def now(self):
		frappe.db.rollback()
		return self.reminder(self.customer, self.item)

	def remind_today(self):
		outcome = self.remind(self.customer)
		self.assertTrue(outcome.mailed, outcome.sentences)
		self.settle(self.customer)
		self.nightly()
		reminder = self.now()
		self.assertEqual(reminder.status, "Reminded")
		self.assertIn("not bought since", reminder.status_reason)

	def nightly(self):
		"""Every pair of the customer foretold anew."""
		from crm_recharge.reorder.learning import pairs

		pairs.refresh(self.customer)
		frappe.db.commit()

	def test_bought_after_the_reminder_and_taken_back(self):
		self.remind_today()
		for doctype in (SALES, POS, DELIVERY):
			# On the very day of the reminder.
			document = make_invoice(self.customer, {self.item: 1}, 0, doctype=doctype)
			frappe.db.commit()
			at_once = self.now()
			self.assertEqual((at_once.status, at_once.last_day), ("Waiting", day(0)), doctype)
			self.assertNotIn("not bought since", at_once.status_reason)
			self.assertIn(frappe.utils.format_date(day(0)), at_once.status_reason)
			self.settle(self.customer)
			self.nightly()
			worked_out = self.now()
			self.assertEqual((worked_out.status, worked_out.status_reason), ("Waiting", None), doctype)
			self.assertTrue(worked_out.remind_on)

			frappe.get_doc(doctype, document.name).cancel()
			frappe.db.commit()
			at_once = self.now()
			self.assertEqual((at_once.status, at_once.last_day), ("Waiting", day(31)), doctype)
			self.settle(self.customer)
			worked_out = self.now()
			self.assertEqual(worked_out.status, "Reminded", doctype)
			self.assertIsNone(worked_out.remind_on)

	def test_what_needs_working_out_says_so_at_once(self):
		self.remind_today()
		make_invoice(self.customer, {self.item: -1}, 0, is_return=1)
		frappe.db.commit()
		reminder = self.now()
		self.assertEqual((reminder.status, reminder.irregular), ("Learning", 1))
		self.assertIn("taken up", reminder.status_reason)

	def test_an_invoice_entered_late_begins_its_own_cycle(self):
		"""Bought before the reminder went out, known only afterwards: the next time is reminded of again."""
		self.remind_today()
		frappe.db.set_value(
			"Reorder Message", self.now().last_message, "sent_at", day(2), update_modified=False
		)
		frappe.db.set_value("Reorder Reminder", self.now().name, "last_reminded_at", day(2))
		frappe.db.commit()
		make_invoice(self.customer, {self.item: 1}, 5)
		self.settle(self.customer)
		reminder = self.now()
		self.assertEqual((reminder.status, reminder.last_day), ("Due", day(5)))
		self.assertTrue(reminder.remind_on)
		self.assertEqual(check.last_reminded(self.customer, {self.item: reminder.last_day}), {})

	def test_a_wish_to_stop_outlasts_a_purchase(self):
		from crm_recharge.reorder import desk

		desk.stop(self.now().name)
		frappe.db.commit()
		make_invoice(self.customer, {self.item: 1}, 0)
		frappe.db.commit()
		self.assertEqual(self.now().status, "Stopped")
		self.settle(self.customer)
		self.assertEqual(self.now().status, "Stopped")

	def test_a_reminder_that_was_made_anonymous_is_remembered_by_its_day(self):
		from crm_recharge.reorder.privacy import erasing

		self.remind_today()
		erasing.anonymise([self.now().last_message])
		frappe.db.commit()
		self.nightly()
		self.assertEqual(self.now().status, "Reminded")
