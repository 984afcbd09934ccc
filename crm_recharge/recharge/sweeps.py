"""The sweepers once more, under another name.

Frappe starts no scheduled job while one of that name counts as running, and a job whose worker was killed does
so until the queue is tidied up, a quarter of an hour later. A sweeper that dies at its work must not stop the
sweeping for that long: this job does it meanwhile. Sweeping twice is sweeping once.
"""

import frappe

from crm_recharge.recharge import decisions, events, refunds, worker

SWEEPERS = (worker.sweep, events.sweep, refunds.sweep, decisions.sweep)


def once_more() -> None:
	"""Each minute: run every sweeper of this room, and those that rooms above name in hooks.py
	(`crm_recharge_sweepers`); one that fails does not stop the others."""
	above = (frappe.get_attr(name) for name in frappe.get_hooks("crm_recharge_sweepers"))
	for sweeper in (*SWEEPERS, *above):
		frappe.db.rollback()
		try:
			sweeper()
		except Exception:
			frappe.db.rollback()
			frappe.log_error(title=f"{sweeper.__module__}.{sweeper.__name__} failed")
			frappe.db.commit()
