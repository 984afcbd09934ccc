"""What a customer says about an item's next time: not before a day, or on a day of their own."""

import datetime

import frappe

from crm_recharge.reorder.learning import customers, pairs


def snooze(reminders: list[str], until: datetime.date | None) -> None:
	"""No reminder of these Reorder Reminders before `until`; None ends it."""
	_write(reminders, "snoozed_until", until)


def expect(reminders: list[str], on: datetime.date | None) -> None:
	"""The customer's own date for the next purchase; counts until that. None goes back to what is learned."""
	_write(reminders, "expected_on", on)


def _write(reminders: list[str], field: str, value: datetime.date | None) -> None:
	rows = frappe.get_all(
		"Reorder Reminder", {"name": ["in", reminders or [""]]}, ["name", "customer", "item_code"]
	)
	by_customer: dict[str, list] = {}
	for row in rows:
		by_customer.setdefault(row.customer, []).append(row)
	for customer, own in sorted(by_customer.items()):
		# The customer first, then its rows: as everybody else takes their locks.
		customers.lock(customer)
		for row in own:
			frappe.db.set_value("Reorder Reminder", row.name, field, value)
		pairs.refresh(customer, [row.item_code for row in own])
