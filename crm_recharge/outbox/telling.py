"""Telling others of a change, after the commit and outside every lock.

Of one document the changes are told in their order, each to all listeners. Every listener has a transaction of its own.
One that fails is tried again later (deliveries.py) and keeps nobody waiting but itself: its later changes of the same
document come after. A worker that dies begins the change again, so a listener may hear of a change twice.
"""

import json
import time
from datetime import timedelta

import frappe

from crm_recharge import clock, transactions
from crm_recharge.outbox import attempt, changes, lease
from crm_recharge.outbox.changes import DELIVERED, WAITING
from crm_recharge.outbox.deliveries import DELIVERY, OPEN_FIELDS, RETRY, deliver_later, is_open
from crm_recharge.outbox.listeners import Listener, call, document, listeners

LEASE = timedelta(minutes=2)
"""How long one worker tells of a document before another may: longer than a listener should take."""
RENEW = 20
"""Seconds after which the lease is renewed, before the next listener."""


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
		self.behind = {row.listener for row in frappe.get_all(DELIVERY, of, OPEN_FIELDS) if is_open(row)}

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
			transactions.commit()
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
		transactions.commit()


def _undo() -> None:
	frappe.db.rollback()
	frappe.clear_messages()
	# What Frappe would send once committed is forgotten with the rest.
	if hasattr(frappe.local, "_webhook_queue"):
		del frappe.local._webhook_queue
	if frappe.session.user != "Administrator":
		frappe.set_user("Administrator")
