"""Enqueuing work on rows. Losing a job is harmless, and so is Redis being away: the sweep finds the row."""

from functools import partial

import frappe
from frappe.utils.background_jobs import get_job_status
from rq.job import JobStatus

from crm_recharge.outbox import work

WAITING = (JobStatus.QUEUED, JobStatus.DEFERRED, JobStatus.SCHEDULED)
RUN = "crm_recharge.outbox.attempt.run"


def enqueue_after_commit(kind: str, name: str, again: bool = False) -> None:
	"""Enqueue work of `kind` on the row `name` when this transaction is committed. `again`: see `enqueue`.

	Nothing of Redis is touched before: a slow Redis must not hold the account's lock.
	"""
	frappe.db.after_commit.add(partial(enqueue, kind, name, again))


def enqueue(kind: str, name: str, again: bool = False) -> bool:
	"""Enqueue now; False when Redis is away.

	`again`: also while a job of it is at work (see `enqueue_again`), for it may have looked before what is due now.
	"""
	start = enqueue_again if again else enqueue_once
	return start(RUN, work.find(kind).queue, job_id(kind, name), kind=kind, name=name)


def job_id(kind: str, name: str) -> str:
	"""The queue's name for work of `kind` on the row `name`."""
	return f"{kind}:{name}"


def enqueue_once(method: str, queue: str, job_id: str, **arguments) -> bool:
	"""Enqueue `method`, unless a job of that id waits or is at work. False when Redis is away."""
	try:
		frappe.enqueue(method, queue=queue, job_id=job_id, deduplicate=True, **arguments)
		return True
	except Exception:
		frappe.logger("crm_recharge").warning(f"{job_id} was not enqueued; the sweep will", exc_info=True)
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
		frappe.logger("crm_recharge").warning(f"{job_id} was not enqueued; the sweep will", exc_info=True)
		return False
