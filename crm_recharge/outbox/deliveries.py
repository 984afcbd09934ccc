"""Listeners that have not heard of a change at once, each a row (Outbox Delivery): one that failed, one that comes after
its own failures of the same document, one that asks a network."""

from datetime import timedelta

import frappe

from crm_recharge import clock, transactions
from crm_recharge.outbox import changes, lease
from crm_recharge.outbox.changes import DELIVERED, WAITING
from crm_recharge.outbox.listeners import Listener, call, document, listeners
from crm_recharge.outbox.queue import enqueue_after_commit

DELIVERY, RETRY = "Outbox Delivery", "deliver_again"
FAILED = "Failed"
LEASE = timedelta(minutes=2)

OPEN_FIELDS = ["name", "listener", "status", "next_try_at", "position"]


def is_open(row) -> bool:
	"""Whether it is still to be delivered without anybody's doing."""
	return row.status == WAITING or (row.status == FAILED and bool(row.next_try_at))


def deliver_later(change, listener: Listener, enqueue: bool = True) -> str:
	"""Keep that `listener` is still to hear of `change`, in the open transaction. Returns the delivery's name."""
	now = clock.now_datetime()
	delivery = frappe.new_doc(DELIVERY)
	delivery.update(
		{
			"listener": listener.name,
			"event": listener.event,
			"outbox_change": change.name,
			"reference_doctype": change.reference_doctype,
			"reference_name": change.reference_name,
			"credit_account": change.credit_account,
			"position": change.position,
			"status": WAITING,
			"next_try_at": now,
		}
	)
	delivery.set_new_name()
	delivery.set_user_and_timestamp()
	delivery.db_insert()
	if enqueue:
		enqueue_after_commit(RETRY, delivery.name, again=True)
	return delivery.name


def deliver_again(name: str) -> str:
	"""Have one listener hear of one change, when its earlier ones of the document have been delivered. A word."""
	row = frappe.db.get_value(DELIVERY, name, "*", as_dict=True)
	if not row or row.status == DELIVERED:
		return "delivered"
	if earlier := _earlier(row):
		frappe.db.set_value(
			DELIVERY, name, "next_try_at", clock.later(timedelta(minutes=1)), update_modified=False
		)
		transactions.commit()
		return f"waits for {earlier}"
	if not lease.take(DELIVERY, name, LEASE):
		return "leased"
	if not frappe.db.exists("Outbox Change", row.outbox_change):
		return _delivered(row, "the change was cleared away")
	change = frappe.get_doc(changes.DOCTYPE, row.outbox_change)
	doc = document(change, row.event)
	listener = next((one for one in listeners(doc, row.event) if one.name == row.listener), None)
	if listener is None:
		return _delivered(row, "nobody listens any more")
	if not frappe.db.exists(doc.doctype, doc.name):
		return _delivered(row, "the document is gone")
	try:
		call(listener, doc)
	except Exception:
		frappe.clear_messages()
		raise
	return _delivered(row, None)


def _earlier(row) -> str | None:
	of = {
		"reference_doctype": row.reference_doctype,
		"reference_name": row.reference_name,
		"listener": row.listener,
		"position": ["<=", row.position],
		"name": ["!=", row.name],
	}
	for other in frappe.get_all(DELIVERY, of, [*OPEN_FIELDS, "creation"]):
		if is_open(other) and (other.position, other.creation, other.name) < (
			row.position,
			row.creation,
			row.name,
		):
			return other.name
	return None


def _delivered(row, why: str | None) -> str:
	values = {"status": DELIVERED, "delivered_at": clock.now_datetime(), "outcome": why, "error": None}
	frappe.db.set_value(DELIVERY, row.name, values | {"lease_until": None, "next_try_at": None})
	of = {
		"reference_doctype": row.reference_doctype,
		"reference_name": row.reference_name,
		"listener": row.listener,
	}
	following = frappe.get_all(
		DELIVERY, of | {"status": ["in", (WAITING, FAILED)], "next_try_at": ["is", "set"]}, pluck="name",
		order_by="position, creation", limit=1,
	)  # fmt: skip
	for name in following:
		frappe.db.set_value(DELIVERY, name, "next_try_at", clock.now_datetime(), update_modified=False)
		enqueue_after_commit(RETRY, name, again=True)
	transactions.commit()
	return "delivered"


def say(error: Exception, trace: str, log: str | None, again: bool) -> dict:
	"""What a delivery keeps of a failure."""
	text = frappe.utils.strip_html(str(error)).strip() or type(error).__name__
	return {"outcome": text[:500], "error": trace[-20_000:], "lease_until": None}


def reset(name: str) -> None:
	"""Have a delivery tried once more, from the start, in the open transaction."""
	values = {"status": WAITING, "tries": 0, "next_try_at": clock.now_datetime(), "lease_until": None}
	frappe.db.set_value(DELIVERY, name, values)
	enqueue_after_commit(RETRY, name, again=True)
