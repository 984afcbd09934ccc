"""Starting background work once a row is committed. The row is the promise; losing the job is harmless."""

from functools import partial

import frappe
from frappe.utils import now_datetime

JOBS = {
	"carry_out": ("crm_recharge.recharge.worker.carry_out", "charge_recharge", "short"),
	"account_for": ("crm_recharge.accounting.posting.account_for", "account_for_recharge", "default"),
}


def enqueue_after_commit(job: str, recharge: str) -> None:
	"""Enqueue `job` (a key of JOBS) for `recharge` when this transaction is committed.

	Nothing of Redis is touched before: a slow Redis must not hold the account's lock.
	"""
	frappe.db.after_commit.add(partial(try_enqueue, job, recharge))


def try_enqueue(job: str, recharge: str, again: bool = False) -> bool:
	"""Enqueue now; False when Redis is away, for then the sweeper finds the row.

	`again` makes a job of its own each minute: the job of a killed worker counts as running for minutes.
	"""
	method, label, queue = JOBS[job]
	job_id = f"{label}:{recharge}"
	if again:
		job_id += f":{now_datetime():%H%M}"
	try:
		frappe.enqueue(
			method,
			queue=queue,
			job_id=job_id,
			deduplicate=True,
			recharge=recharge,
		)
		return True
	except Exception:
		frappe.logger("crm_recharge").warning(f"{job_id} was not enqueued; the sweeper will", exc_info=True)
		return False
