"""What happened with a customer's reminders, as entries of the customer's own timeline.

Nothing personal is in them: which documents and items, and when. `SUBJECT` marks them, for whoever erases them.
"""

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


def forget(customer: str) -> None:
	"""Take this app's lines off the timeline of `customer`."""
	frappe.db.delete(
		"Comment", {"reference_doctype": "Customer", "reference_name": customer, "subject": SUBJECT}
	)
