"""What booking refunds and disputes shares: the row's accounting fields, its retries.

Both DocTypes carry the fields accounting_status, accounting_error, accounting_tries, accounting_next_try_at, with
the meaning they have on a Recharge (see rows.py).
"""

from datetime import timedelta

import frappe
from frappe import _

from crm_recharge import clock, transactions
from crm_recharge.accounting.rows import FAILED, PENDING, ROLES
from crm_recharge.outbox import changes
from crm_recharge.outbox.queue import enqueue_after_commit

WAIT = timedelta(minutes=2)
"""How long a refund or dispute waits for the recharge's own invoice before it looks again."""
BATCH = 200


def wait(doctype: str, name: str, why: str) -> str:
	"""Look again in a while, and commit. Returns the status."""
	status = frappe.db.get_value(doctype, name, "accounting_status", for_update=True)
	if status not in (PENDING, FAILED):
		frappe.db.rollback()
		return status
	write(
		doctype,
		name,
		accounting_status=PENDING,
		accounting_error=why,
		accounting_next_try_at=clock.later(WAIT),
	)
	transactions.commit()
	return PENDING


def write(doctype: str, name: str, **values) -> None:
	"""Write the row's accounting fields; those that are not given are cleared."""
	cleared = {"accounting_error": None, "accounting_tries": 0, "accounting_next_try_at": None}
	changes.write(doctype, name, cleared | values)


def retry(doctype: str, name: str, job: str) -> str:
	"""A person asks to try again now. For the roles of rows.ROLES. Returns the status."""
	frappe.only_for(ROLES)
	doc = frappe.get_doc(doctype, name)
	doc.check_permission("read")
	if doc.accounting_status not in (PENDING, FAILED):
		frappe.throw(_("There is nothing left to book for {0}.").format(name))
	write(doctype, name, accounting_status=PENDING, accounting_next_try_at=clock.now_datetime())
	enqueue_after_commit(job, name)
	return PENDING


def amended(doctype: str, name: str, job: str, **links) -> None:
	"""A person has submitted an amended document: it takes the cancelled one's place, and the job looks at it."""
	status = frappe.db.get_value(doctype, name, "accounting_status", for_update=True)
	if status not in (PENDING, FAILED):
		return
	write(doctype, name, accounting_status=PENDING, accounting_next_try_at=clock.now_datetime(), **links)
	enqueue_after_commit(job, name)
