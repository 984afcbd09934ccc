"""What happened with a customer's reminders, as entries of the customer's own timeline.

Nothing personal is in them: which documents and items, and when. `SUBJECT` marks them, for whoever erases them.
"""

from contextlib import contextmanager

import frappe

SUBJECT = "crm_recharge reorder"


def note(customer: str | None, html: str) -> str | None:
	"""Put a line on the timeline of `customer`.

	Args:
		html: trusted markup; whoever calls has escaped what others wrote.

	Returns:
		the Comment; None when there is no such customer.
	"""
	if not customer or not frappe.db.exists("Customer", customer):
		return None
	comment = frappe.get_doc(
		{
			"doctype": "Comment",
			"comment_type": "Info",
			"subject": SUBJECT,
			"reference_doctype": "Customer",
			"reference_name": customer,
			"comment_by": "CRM Recharge",
			"content": html,
		}
	)
	return comment.insert(ignore_permissions=True).name


@contextmanager
def speaking(language: str | None = None):
	"""Texts in `language`, by default the site's own: what a customer does abroad is noted for people here."""
	before = frappe.local.lang
	frappe.local.lang = language or frappe.db.get_default("lang") or "en"
	try:
		yield
	finally:
		frappe.local.lang = before


def forget(customer: str) -> None:
	"""Take this app's lines off the timeline of `customer`."""
	frappe.db.delete(
		"Comment", {"reference_doctype": "Customer", "reference_name": customer, "subject": SUBJECT}
	)
