"""What booking refunds and disputes shares: the row's accounting fields, its retries, its sweeper.

Both DocTypes carry the fields accounting_status, accounting_error, accounting_tries, accounting_next_try_at, with
the meaning they have on a Recharge (see rows.py).
"""

from collections.abc import Callable
from datetime import timedelta

import frappe
from frappe import _
from frappe.utils import cint

from crm_recharge import clock
from crm_recharge.accounting.rows import (
	DONE,
	FAILED,
	NOT_NEEDED,
	PENDING,
	ROLES,
	acting_as,
	explain,
	next_try,
)
from crm_recharge.credits.contention import retry_on_contention
from crm_recharge.recharge.queue import enqueue_after_commit, try_enqueue

WAIT = timedelta(minutes=2)
"""How long a refund or dispute waits for the recharge's own invoice before it looks again."""
BATCH = 200


def work(doctype: str, name: str, post: Callable[[str], str]) -> str:
	"""Run `post(name)` as Administrator; a failure is written on the row and tried again. Returns the status."""
	if frappe.db.transaction_writes:
		raise RuntimeError("booking commits and rolls back: enqueue it, or commit first")
	with acting_as("Administrator"):
		try:
			frappe.db.rollback()
			return post(name)
		except frappe.DoesNotExistError:
			frappe.db.rollback()
			raise
		except Exception as error:
			trace = frappe.get_traceback()
			frappe.db.rollback()
			return _record_failure(doctype, name, error, trace)


@retry_on_contention
def _record_failure(doctype: str, name: str, error: Exception, trace: str) -> str:
	row = frappe.db.get_value(
		doctype, name, ["accounting_status", "accounting_tries"], as_dict=True, for_update=True
	)
	if row.accounting_status in (DONE, NOT_NEEDED):
		frappe.db.rollback()
		return row.accounting_status
	tries = cint(row.accounting_tries) + 1
	log = None
	if tries == 1 or not isinstance(error, frappe.ValidationError):
		log = frappe.log_error(
			title=f"Accounting for {name}", message=trace, reference_doctype=doctype, reference_name=name
		)
	write(
		doctype,
		name,
		accounting_status=FAILED,
		accounting_error=explain(error, log.name if log else None),
		accounting_tries=tries,
		accounting_next_try_at=next_try(tries),
	)
	frappe.db.commit()
	return FAILED


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
	frappe.db.commit()
	return PENDING


def write(doctype: str, name: str, **values) -> None:
	"""Write the row's accounting fields; those that are not given are cleared."""
	cleared = {"accounting_error": None, "accounting_tries": 0, "accounting_next_try_at": None}
	frappe.db.set_value(doctype, name, cleared | values)


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


def due(doctype: str, limit: int = BATCH) -> list[str]:
	"""Names of rows whose documents are due, the longest waiting first."""
	now = clock.now()
	found = frappe.db.sql(
		f"SELECT `name`, `accounting_next_try_at` FROM `tab{doctype}` WHERE `accounting_status` IN %s"
		" AND (`accounting_next_try_at` IS NULL AND `accounting_status` = %s OR `accounting_next_try_at` <= %s)"
		" ORDER BY `accounting_next_try_at`, `creation` LIMIT %s",
		((PENDING, FAILED), PENDING, clock.latest(now), limit),
	)
	return clock.due(found, now)


def enqueue_all(names: list[str], job: str) -> int:
	"""Queue `job` for each; how many, until Redis is away."""
	for number, name in enumerate(names):
		if not try_enqueue(job, name, again=True):
			return number
	return len(names)
