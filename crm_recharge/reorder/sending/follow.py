"""What became of the mails: from the Email Queue and from what Frappe knows of opened mails."""

from datetime import timedelta

import frappe
from frappe.utils import cint, now_datetime

from crm_recharge import transactions

PAGE = 500
FAILED = ("Error", "Expired", "Cancelled")
SENT = ("Sent", "Partially Sent")


def follow_up() -> int:
	"""Write what the Email Queue says onto the Reorder Messages that wait for it. Returns how many changed.

	A queue row that is gone was deleted before it was sent: Frappe clears those that were sent after a month, and
	by then nothing waits any more.
	"""
	changed, after = 0, ""
	while rows := _waiting(after):
		for row in rows:
			after = row.name
			status = "Sent" if row.queue_status in SENT else "Failed" if row.queue_status in FAILED else None
			if row.queue_status is None:
				status = "Failed"
			if status:
				frappe.db.set_value("Reorder Message", row.name, "status", status, update_modified=False)
				changed += 1
		transactions.commit()
	note_opened()
	return changed


def _waiting(after: str) -> list:
	message, queue = frappe.qb.DocType("Reorder Message"), frappe.qb.DocType("Email Queue")
	return (
		frappe.qb.from_(message)
		.left_join(queue)
		.on(queue.name == message.email_queue)
		.select(message.name, queue.status.as_("queue_status"))
		.where((message.status == "Queued") & (message.name > after))
		.where(queue.name.isnull() | queue.status.isin([*SENT, *FAILED]))
		.orderby(message.name)
		.limit(PAGE)
	).run(as_dict=True)


def note_opened() -> None:
	"""Take over when mails were opened, where Reorder Settings have that tracked and kept."""
	settings = frappe.get_cached_doc("Reorder Settings")
	if not settings.track_opens or not cint(settings.tracking_days):
		return
	message, communication = frappe.qb.DocType("Reorder Message"), frappe.qb.DocType("Communication")
	since = now_datetime() - timedelta(days=cint(settings.tracking_days))
	(
		frappe.qb.update(message)
		.join(communication)
		.on(communication.name == message.communication)
		.set(message.opened_at, communication.read_by_recipient_on)
		.where(message.opened_at.isnull() & (communication.read_by_recipient == 1))
		.where(message.sent_at > since)
	).run()
	transactions.commit()
