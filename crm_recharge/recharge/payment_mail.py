"""Mail that belongs to a payment: it always goes out.

Frappe leaves out who has unsubscribed from all mail, or from mail about the document, without a word. That is for
newsletters and reminders. An invoice, a card that failed or a page that waits for a confirmation is no advertising:
who has unsubscribed from the former must still get it, and it carries no link to unsubscribe from it.
"""

import frappe
from frappe.email.doctype.email_queue.email_queue import QueueBuilder


class _PaymentMail(QueueBuilder):
	def get_unsubscribed_user_emails(self):
		return []


def queue(
	recipients: list[str],
	subject: str,
	message: str,
	doctype: str,
	name: str,
	attachments: list[dict] | None = None,
) -> set[str]:
	"""Put a mail about a document into the Email Queue, in the open transaction. Returns whom it goes to.

	The sender is that of CRM Recharge Settings, or the site's. At most a hundred recipients. Frappe raises
	OutgoingEmailError where no account can send, and queues nothing where an address is not valid.
	"""
	queued = _PaymentMail(
		recipients=recipients,
		sender=frappe.db.get_single_value("CRM Recharge Settings", "sender") or None,
		subject=subject,
		message=message,
		attachments=attachments,
		reference_doctype=doctype,
		reference_name=name,
		add_unsubscribe_link=0,
	).process()
	return {row.recipient for row in queued.recipients} if queued else set()
