"""Telling others of a change, after the commit and outside every lock: document hooks of all apps, Notifications,
Webhooks and Server Scripts.

Of one document the changes are told in their order, each to all listeners. Every listener has a transaction of its own.
One that fails is tried again later (Outbox Delivery) and keeps nobody waiting but itself: its later changes of the same
document come after. A worker that dies begins the change again, so a listener may hear of a change twice.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import frappe
from frappe import _
from frappe.core.doctype.server_script.server_script_utils import run_server_script_for_doc_event
from frappe.integrations.doctype.webhook import get_all_webhooks
from frappe.integrations.doctype.webhook.webhook import enqueue_webhook, get_context
from frappe.utils import cast, cint

from crm_recharge import clock
from crm_recharge.outbox import attempt, changes, lease
from crm_recharge.outbox.changes import DELIVERED, WAITING
from crm_recharge.outbox.queue import enqueue_after_commit

DELIVERY, RETRY = "Outbox Delivery", "deliver_again"
FAILED = "Failed"
LEASE = timedelta(minutes=2)
"""How long one worker tells of a document before another may: longer than a listener should take."""
RENEW = 20
"""Seconds after which the lease is renewed, before the next listener."""
WEBHOOK = "Webhook: "


class WebhookFailed(frappe.ValidationError):
	"""The receiver of a Frappe Webhook did not take it."""


@dataclass(frozen=True)
class Listener:
	"""One listener to one document event. `later`: it asks a network, and has a job of its own."""

	event: str
	name: str
	tell: Callable
	later: bool = False

	@property
	def key(self) -> str:
		return f"{self.event} · {self.name}"


def tell_all(key: str) -> int:
	"""Tell of all changes of a document that wait, in their order, unless another worker does. Returns how many."""
	doctype, name = changes.split(key)
	worker, told = frappe.generate_hash(length=16), 0
	while change := _take(doctype, name, worker):
		_Telling(change, worker).run()
		told += 1
	return told


def _take(doctype: str, name: str, worker: str) -> str | None:
	"""The first change of a document that waits, leased; None when there is none, or another worker has it."""
	frappe.db.rollback()
	found = frappe.db.sql(
		f"SELECT `name` FROM `tab{changes.DOCTYPE}` WHERE `reference_doctype` = %s AND `reference_name` = %s"
		" AND `status` = %s ORDER BY `position`, `creation` LIMIT 1",
		(doctype, name, WAITING),
	)
	return found[0][0] if found and lease.take(changes.DOCTYPE, found[0][0], LEASE, worker) else None


class _Telling:
	"""One worker telling of one change."""

	def __init__(self, change: str, worker: str):
		self.worker, self.renewed = worker, time.monotonic()
		self.row = frappe.get_doc(changes.DOCTYPE, change)
		self.heard = set(json.loads(self.row.heard or "[]"))
		# Whom an earlier change of this document has not reached yet.
		of = {"reference_doctype": self.row.reference_doctype, "reference_name": self.row.reference_name}
		self.behind = {row.listener for row in frappe.get_all(DELIVERY, of, _OPEN_FIELDS) if _is_open(row)}

	def run(self) -> None:
		if frappe.db.exists(self.row.reference_doctype, self.row.reference_name):
			for event in self.row.happened.split(","):
				for listener in listeners(document(self.row, event), event):
					if listener.key not in self.heard:
						self.tell(listener)
		self.keep(status=DELIVERED, delivered_at=clock.now_datetime(), lease_owner=None, lease_until=None)

	def tell(self, listener: Listener) -> None:
		if time.monotonic() - self.renewed > RENEW:
			self.renewed = time.monotonic()
			frappe.db.set_value(
				changes.DOCTYPE, self.row.name, "lease_until", clock.later(LEASE), update_modified=False
			)
			frappe.db.commit()
		self.heard.add(listener.key)
		if listener.later or listener.name in self.behind:
			deliver_later(self.row, listener)
			return self.keep()
		try:
			call(listener, document(self.row, listener.event))
		except Exception as error:
			trace = frappe.get_traceback()
			_undo()
			failed = deliver_later(self.row, listener, enqueue=False)
			self.keep()
			attempt.record_failure(RETRY, failed, error, trace)
			self.behind.add(listener.name)
			return
		# What has written nothing needs no commit of its own: told again, it has not been told twice for anybody.
		if frappe.db.transaction_writes:
			self.keep()

	def keep(self, **values) -> None:
		"""Note in the transaction of the listener that it has heard, and commit."""
		heard = json.dumps(sorted(self.heard), ensure_ascii=False)
		frappe.db.set_value(changes.DOCTYPE, self.row.name, {"heard": heard, **values}, update_modified=False)
		frappe.db.commit()


def call(listener: Listener, doc) -> None:
	"""Have one listener hear of `doc`, in the open transaction, as Administrator."""
	frappe.flags.crm_recharge_telling = changes.key_of(doc.doctype, doc.name)
	try:
		listener.tell(doc)
	finally:
		frappe.flags.crm_recharge_telling = None


def _undo() -> None:
	frappe.db.rollback()
	frappe.clear_messages()
	# What Frappe would send once committed is forgotten with the rest.
	if hasattr(frappe.local, "_webhook_queue"):
		del frappe.local._webhook_queue
	if frappe.session.user != "Administrator":
		frappe.set_user("Administrator")


# -- who listens ---------------------------------------------------------------------------------------------


def listeners(doc, event: str) -> Iterator[Listener]:
	"""Everybody who listens to `event` of such a document, in the order in which Frappe asks them."""
	hooks = frappe.get_doc_hooks()
	for source in (doc.doctype, "*"):
		for path in hooks.get(source, {}).get(event, []):
			yield Listener(event, path, lambda told, path=path: frappe.get_attr(path)(told, event))
	alerts = frappe.get_all(
		"Notification", {"enabled": 1, "document_type": doc.doctype}, ["name", "event", "method"]
	)
	for alert in alerts:
		if alert.event == _ALERT_EVENTS.get(event) or (alert.event == "Method" and alert.method == event):
			yield Listener(
				event,
				f"Notification: {alert.name}",
				lambda told, alert=alert: _notify(told, event, alert),
			)
	for webhook in get_all_webhooks().get(doc.doctype, []):
		if _wants(webhook, doc, event):
			yield Listener(
				event, f"{WEBHOOK}{webhook.name}", lambda told, w=webhook: _post(told, w), later=True
			)
	yield Listener(event, "Server Scripts", lambda told: run_server_script_for_doc_event(told, event))


_ALERT_EVENTS = {
	"after_insert": "New",
	"on_update": "Save",
	"on_submit": "Submit",
	"on_cancel": "Cancel",
	"on_change": "Value Change",
}


def _notify(doc, event: str, alert) -> None:
	"""Frappe's own way, for this one Notification."""
	doc.flags.notifications, doc.flags.notifications_executed = [alert], None
	doc.run_notifications(event)


_WEBHOOK_EVENTS = {"on_update_after_submit": ("on_update_after_submit", "before_update_after_submit")}


def _wants(webhook, doc, event: str) -> bool:
	if event == "on_change" and doc.flags.in_insert:
		return False
	if webhook.webhook_docevent not in _WEBHOOK_EVENTS.get(event, (event,)):
		return False
	try:
		return _meets(webhook, doc)
	except Exception:
		# A condition that fails is that webhook's failure, which its own job keeps.
		return True


def _meets(webhook, doc) -> bool:
	return not webhook.condition or bool(frappe.safe_eval(webhook.condition, eval_locals=get_context(doc)))


def _post(doc, webhook) -> None:
	"""Frappe's own sending, here and now: it tries three times and swallows what fails, but keeps a log of it."""
	if not _meets(webhook, doc):
		return
	of = {"webhook": webhook.name, "reference_document": doc.name}
	before = set(frappe.get_all("Webhook Request Log", of, pluck="name"))
	enqueue_webhook(doc, webhook)
	logs = frappe.get_all("Webhook Request Log", of, ["name", "error", "response"], order_by="creation desc")
	new = [log for log in logs if log.name not in before]
	# Its logs stay, whatever becomes of the transaction.
	frappe.db.commit()
	if not new or new[0].error:
		trace = (new[0].error or "").strip() if new else ""
		raise WebhookFailed(trace.splitlines()[-1] if trace else _("The Webhook was not sent."))


def document(row, event: str):
	"""The document as the change left it, with what it was before, for one listener."""
	doctype, after = row.reference_doctype, json.loads(row.after)
	doc = _as_document(doctype, after)
	if row.before:
		doc._doc_before_save = _as_document(doctype, after | json.loads(row.before))
	doc.flags.listening = True
	doc.flags.exact = after
	# Frappe: a value cannot change in what has just been made.
	doc.flags.in_insert = row.before is None
	doc.flags.change = row.name
	return doc


def _as_document(doctype: str, values: dict):
	doc = frappe.get_doc({"doctype": doctype, **_as_columns(doctype, values)})
	for df in doc.meta.get_table_fields():
		doc.set(df.fieldname, frappe.get_all(df.options, _rows_of(doc, df), ["*"], order_by="idx"))
	return doc


def _rows_of(doc, df) -> dict:
	return {"parent": doc.name, "parenttype": doc.doctype, "parentfield": df.fieldname}


def _as_columns(doctype: str, values: dict) -> dict:
	kinds = {df.fieldname: df.fieldtype for df in frappe.get_meta(doctype).fields}
	kinds |= {"creation": "Datetime", "modified": "Datetime"}
	return {
		column: value if value is None else cast(kinds.get(column, "Data"), value)
		for column, value in values.items()
		if column != "docstatus"
	} | {"docstatus": cint(values.get("docstatus"))}


# -- once more -----------------------------------------------------------------------------------------------

_OPEN_FIELDS = ["name", "listener", "status", "next_try_at", "position"]


def _is_open(row) -> bool:
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
			"change": change.name,
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
		frappe.db.commit()
		return f"waits for {earlier}"
	if not lease.take(DELIVERY, name, LEASE):
		return "leased"
	if not frappe.db.exists("Outbox Change", row.change):
		return _delivered(row, "the change was cleared away")
	change = frappe.get_doc(changes.DOCTYPE, row.change)
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
	for other in frappe.get_all(DELIVERY, of, [*_OPEN_FIELDS, "creation"]):
		if _is_open(other) and (other.position, other.creation, other.name) < (
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
	frappe.db.commit()
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
