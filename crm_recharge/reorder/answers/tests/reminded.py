"""Reminded customers for the tests of this room: the rows that learning and sending would have written."""

from datetime import timedelta
from decimal import Decimal

import frappe
from frappe.utils import add_days, get_datetime, now_datetime

from crm_recharge.doors.guard import by_machine
from crm_recharge.reorder.consent import preferences
from crm_recharge.tests.support.reorder_case import ReorderCase, day, make_buyer, make_item


def set_settings(**values) -> None:
	"""Change Reorder Settings without its rules, in this transaction."""
	for field, value in values.items():
		frappe.db.set_single_value("Reorder Settings", field, value)
	frappe.clear_document_cache("Reorder Settings", "Reorder Settings")


def make_reminder(customer: str, item: str, quantity=2, last: int = 30, **values) -> str:
	"""A Reorder Reminder as learning leaves it; returns its name. `last`: bought so many days ago."""
	reminder = frappe.new_doc("Reorder Reminder")
	reminder.update(
		{
			"customer": customer,
			"item_code": item,
			"item_name": frappe.db.get_value("Item", item, "item_name"),
			"status": "Due",
			"purchase_days": 3,
			"first_day": day(last + 60),
			"previous_day": day(last + 30),
			"last_day": day(last),
			"last_quantity": float(Decimal(str(quantity))),
			"usual_interval": 30,
			"next_from": day(3),
			"next_on": day(-2),
			"next_to": day(-9),
			"remind_on": day(1),
			"p_alive": 90,
			**values,
		}
	)
	return by_machine(reminder).insert(ignore_permissions=True).name


def make_message(
	customer: str,
	contact: str | None,
	rows: list[dict],
	sent: int | object = 0,
	kind: str = "Reminded",
	preference: str | None = None,
	**values,
):
	"""A Reorder Message as sending leaves it.

	Args:
		rows: item_code, and what else a Reorder Message Item has. sent: so many days ago, or when.
	"""
	at = now_datetime() - timedelta(days=sent) if isinstance(sent, int) else get_datetime(sent)
	message = frappe.new_doc("Reorder Message")
	message.update(
		{
			"customer": customer,
			"customer_name": frappe.db.get_value("Customer", customer, "customer_name"),
			"contact": contact,
			"company": frappe.get_all("Company", pluck="name", order_by="creation", limit=1)[0],
			"kind": kind,
			"status": "Sent" if kind == "Reminded" else "Held Out",
			"sent_at": at,
			"channel": "Email",
			"preference": preference,
			**values,
		}
	)
	for row in rows:
		last = day(30)
		message.append(
			"items",
			{
				"reminder": frappe.db.get_value(
					"Reorder Reminder", {"customer": customer, "item_code": row["item_code"]}
				),
				"item_name": frappe.db.get_value("Item", row["item_code"], "item_name"),
				"cycle_key": frappe.generate_hash(length=64),
				"last_day": last,
				"days_since": 30,
				"last_quantity": 2,
				"uom": "Nos",
				"next_from": add_days(last, 27),
				"next_on": add_days(last, 32),
				"next_to": add_days(last, 39),
				"p_alive": 90,
				**row,
			},
		)
	return by_machine(message).insert(ignore_permissions=True)


class RemindedCase(ReorderCase):
	"""`self.reminded()` makes a customer with a contact, items, their reminders and a message about them."""

	def setUp(self):
		super().setUp()
		set_settings(
			company=self.company,
			order_document="Quotation",
			submit_order=0,
			ask_for_payment=0,
			payment_gateway_account=None,
			free_shipping_rule=None,
			fallback_user=None,
			conversion_window_days=30,
			default_frequency_days=14,
			link_days=60,
			tracking_days=90,
			delivery_days=3,
		)

	def reminded(self, items: int | list[str] = 1, consents: bool = True, sent: int = 0, **values):
		"""A customer who was reminded; returns the Reorder Message."""
		customer, contact = make_buyer()
		codes = [make_item() for _ in range(items)] if isinstance(items, int) else items
		for code in codes:
			make_reminder(customer, code)
		preference = (
			preferences.opt_in(contact, customer, "test", "I want reminders").name if consents else None
		)
		return make_message(
			customer, contact, [{"item_code": code} for code in codes], sent, preference=preference, **values
		)
