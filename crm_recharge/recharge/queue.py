"""Starting background work once a row is committed. The row is the promise; losing the job is harmless."""

from functools import partial

import frappe
from frappe.utils.background_jobs import get_job_status
from rq.job import JobStatus

WAITING = (JobStatus.QUEUED, JobStatus.DEFERRED, JobStatus.SCHEDULED)

# Job -> method, label, queue, and the method's argument that names the row.
JOBS = {
	"carry_out": ("crm_recharge.recharge.worker.carry_out", "charge_recharge", "short", "recharge"),
	"account_for": (
		"crm_recharge.accounting.posting.account_for",
		"account_for_recharge",
		"default",
		"recharge",
	),
	"close_up": ("crm_recharge.recharge.worker.close_up", "close_recharge", "short", "recharge"),
	"refund": ("crm_recharge.recharge.refunds.carry_out", "send_refund", "short", "name"),
	"account_for_refund": (
		"crm_recharge.accounting.refunds.account_for",
		"account_for_refund",
		"default",
		"name",
	),
	"account_for_dispute": (
		"crm_recharge.accounting.disputes.account_for",
		"account_for_dispute",
		"default",
		"name",
	),
}


def enqueue_after_commit(job: str, recharge: str) -> None:
	"""Enqueue `job` (a key of JOBS) for `recharge` (or a refund, a dispute) when this transaction is committed.

	Nothing of Redis is touched before: a slow Redis must not hold the account's lock.
	"""
	frappe.db.after_commit.add(partial(try_enqueue, job, recharge))


def try_enqueue(job: str, recharge: str, again: bool = False) -> bool:
	"""Enqueue now; False when Redis is away, for then the sweeper finds the row.

	`again`: a sweeper has found that nobody is at it (see `enqueue_again`).
	"""
	method, label, queue, argument = JOBS[job]
	enqueue = enqueue_again if again else enqueue_once
	return enqueue(method, queue, f"{label}:{recharge}", **{argument: recharge})


def enqueue_once(method: str, queue: str, job_id: str, **arguments) -> bool:
	"""Enqueue `method`, unless a job of that id waits or is at work. False when Redis is away."""
	try:
		frappe.enqueue(method, queue=queue, job_id=job_id, deduplicate=True, **arguments)
		return True
	except Exception:
		frappe.logger("crm_recharge").warning(f"{job_id} was not enqueued; the sweeper will", exc_info=True)
		return False


def enqueue_again(method: str, queue: str, job_id: str, **arguments) -> bool:
	"""Enqueue `method` for what the database shows to be due, held by nobody. False when Redis is away.

	A job that waits is enough. One that counts as started does not keep another from starting: its worker has been
	killed (the queue believes for minutes that it works), or hangs, or does it right now, and then the row's lock or
	lease lets one of the two do it.
	"""
	try:
		name, number = job_id, 1
		while (state := get_job_status(name)) == JobStatus.STARTED:
			number += 1
			name = f"{job_id}:{number}"
		return state in WAITING or enqueue_once(method, queue, name, **arguments)
	except Exception:
		frappe.logger("crm_recharge").warning(f"{job_id} was not enqueued; the sweeper will", exc_info=True)
		return False
