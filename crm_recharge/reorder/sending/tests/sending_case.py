"""The base of tests of sending: customers who consent, with items that are due; nothing leaves the Email Queue."""

import datetime
from email import message_from_string
from email.policy import SMTP

import frappe
from frappe.utils import now_datetime, nowdate

from crm_recharge.doors.guard import by_machine
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.sending import run
from crm_recharge.tests.support.reorder_case import ReorderCase, day, make_buyer, make_item

WORDING = "Remind me, please."


class SendingCase(ReorderCase):
	"""Every test begins with the same settings and nobody else due."""

	SETTINGS = {
		"enabled": 1,
		"company": None,
		"hold_out_share": 0,
		"send_from": "00:00:00",
		"send_until": "00:00:00",
		"weekdays_only": 0,
		"default_lead_time": 14,
		"default_frequency_days": 14,
		"max_items": 8,
		"least_p_alive": 50,
		"widest_range": 3,
		"without_rule": 1,
		"least_purchases": 2,
		"email_template": None,
		"email_account": None,
		"sender_name": "The Coffee Shop",
		"reply_to": None,
		"postal_address": "1 Main Street\nSpringfield",
		"track_opens": 0,
		"sales_team": "Off",
		"fallback_user": None,
		"neutral_subject": "Time to restock?",
		"link_days": 60,
		"tracking_days": 90,
		"conversion_window_days": 30,
		"free_shipping_rule": None,
	}

	def setUp(self):
		super().setUp()
		frappe.db.rollback()
		before = {
			field: frappe.db.get_value(
				"Singles", {"doctype": "Reorder Settings", "field": field}, "value", order_by=None
			)
			for field in self.SETTINGS
		}
		self.addCleanup(self.settings, **before)
		self.settings(**self.SETTINGS)
		frappe.db.delete("Reorder Rule")
		frappe.db.sql("UPDATE `tabReorder Reminder` SET `remind_on` = NULL")
		frappe.db.delete("Reorder Run", {"kind": "Sending"})
		make_account()
		frappe.db.commit()

	def settings(self, **values):
		frappe.db.rollback()
		for field, value in values.items():
			frappe.db.set_single_value("Reorder Settings", field, value)
		frappe.clear_document_cache("Reorder Settings", "Reorder Settings")
		frappe.db.commit()

	def rule(self, **values) -> str:
		rule = frappe.new_doc("Reorder Rule")
		rule.update({"applies_to": "All Items", **values})
		name = rule.insert().name
		frappe.db.commit()
		return name

	def buyer(self, *items, consents: bool = True, **reminder) -> str:
		"""A customer with these items due (one of its own by default); returns the name."""
		customer, contact = make_buyer()
		self.customer_row(customer)
		for item in items or (make_item(),):
			self.due(customer, item, **reminder)
		if consents:
			preferences.opt_in(contact, customer, "Test", WORDING)
		frappe.db.commit()
		return customer

	def customer_row(self, customer: str) -> str:
		name = frappe.db.get_value("Reorder Customer", {"customer": customer})
		if name:
			return name
		row = frappe.new_doc("Reorder Customer")
		row.update({"customer": customer, "customer_name": customer})
		return by_machine(row).insert(ignore_permissions=True).name

	def due(self, customer: str, item: str, **values) -> str:
		"""A Reorder Reminder that is due today, as the learning would write it; returns its name."""
		row = frappe.new_doc("Reorder Reminder")
		row.update(
			{
				"customer": customer,
				"item_code": item,
				"item_name": frappe.db.get_value("Item", item, "item_name"),
				"item_group": frappe.db.get_value("Item", item, "item_group"),
				"status": "Due",
				"remind_on": nowdate(),
				"last_day": day(30),
				"purchase_days": 5,
				"usual_interval": 40,
				"next_from": day(-5),
				"next_on": day(-12),
				"next_to": day(-30),
				"p_alive": 90,
				"last_quantity": 2,
				**values,
			}
		)
		return by_machine(row).insert(ignore_permissions=True).name

	def consent_of(self, customer: str):
		return frappe.get_doc("Reorder Preference", {"customer": customer})

	def remind(self, customer: str, **arguments) -> run.Outcome:
		return run.remind_and_tell(customer, **arguments)

	def assert_held_back(self, customer: str, code: str):
		"""Nothing is sent, and this is why."""
		outcome = self.remind(customer)
		self.assertEqual(dict(outcome.reasons), {code: sum(outcome.reasons.values())})
		self.assertGreater(sum(outcome.reasons.values()), 0)
		self.assertIsNone(outcome.message)
		self.assertEqual(self.messages(customer), [])

	def messages(self, customer: str) -> list:
		frappe.db.rollback()
		names = frappe.get_all(
			"Reorder Message", {"customer": customer}, pluck="name", order_by="creation, name"
		)
		return [frappe.get_doc("Reorder Message", name) for name in names]

	def queued(self, customer: str) -> list:
		"""The customer's Email Queue rows."""
		frappe.db.rollback()
		about = {"reference_doctype": "Customer", "reference_name": customer}
		names = frappe.get_all("Email Queue", about, pluck="name", order_by="creation")
		return [frappe.get_doc("Email Queue", name) for name in names]

	def mail(self, customer: str):
		"""The customer's only mail, parsed as its recipient gets it."""
		(row,) = self.queued(customer)
		return parsed(row)


def parsed(queue_row):
	"""A queued mail as it leaves Frappe."""
	from frappe.email.doctype.email_queue.email_queue import SendMailContext

	context = SendMailContext(queue_row)
	context.email_account_doc = queue_row.get_email_account()
	return message_from_string(context.build_message(queue_row.recipients[0].recipient).decode(), policy=SMTP)


def html_of(mail) -> str:
	return mail.get_body(("html",)).get_content()


def text_of(mail) -> str:
	return mail.get_body(("plain",)).get_content()


def make_account() -> str:
	"""A default outgoing account that nobody reads from or sends by."""
	name = "Reorder Tests"
	if frappe.db.exists("Email Account", name):
		return name
	account = frappe.new_doc("Email Account")
	account.update(
		{
			"email_account_name": name,
			"email_id": "shop@test.example",
			"enable_outgoing": 1,
			"default_outgoing": 1,
			"smtp_server": "localhost",
			"smtp_port": 2525,
			"no_smtp_authentication": 1,
		}
	)
	account.flags.ignore_validate = True
	return account.insert(ignore_permissions=True).name


def in_days(days: int) -> datetime.datetime:
	return now_datetime() + datetime.timedelta(days=days)
