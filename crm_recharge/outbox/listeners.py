"""Who listens to a document's change, and what each is given: document hooks of all apps, Notifications, Webhooks and
Server Scripts, as Frappe asks them when it saves."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import frappe
from frappe import _
from frappe.core.doctype.server_script.server_script_utils import run_server_script_for_doc_event
from frappe.integrations.doctype.webhook import get_all_webhooks
from frappe.integrations.doctype.webhook.webhook import enqueue_webhook, get_context
from frappe.utils import cast, cint

from crm_recharge import transactions
from crm_recharge.outbox import changes

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


def call(listener: Listener, doc) -> None:
	"""Have one listener hear of `doc`, in the open transaction, as Administrator."""
	frappe.flags.crm_recharge_telling = changes.key_of(doc.doctype, doc.name)
	try:
		listener.tell(doc)
	finally:
		frappe.flags.crm_recharge_telling = None


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
	transactions.commit()
	if not new or new[0].error:
		trace = (new[0].error or "").strip() if new else ""
		raise WebhookFailed(trace.splitlines()[-1] if trace else _("The Webhook was not sent."))


def document(row, event: str):
	"""The document as the change left it, with what it was before, for one listener."""
	doctype, after = row.reference_doctype, json.loads(row.new_values)
	doc = _as_document(doctype, after)
	if row.old_values:
		doc._doc_before_save = _as_document(doctype, after | json.loads(row.old_values))
	doc.flags.exact = after
	# Frappe: a value cannot change in what has just been made.
	doc.flags.in_insert = row.old_values is None
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
