"""Starting background work once a row is committed. The row is the promise; losing the job is harmless."""

from functools import partial

import frappe

from crm_recharge import clock

# Job -> method, label, queue, and the method's argument that names the row.
JOBS = {
	"carry_out": ("crm_recharge.recharge.worker.carry_out", "charge_recharge", "short", "recharge"),
	"account_for": (
		"crm_recharge.accounting.posting.account_for",
		"account_for_recharge",
		"default",
		"recharge",
	),
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

	`again` makes a job of its own each minute: the job of a killed worker counts as running for minutes.
	"""
	method, label, queue, argument = JOBS[job]
	job_id = f"{label}:{recharge}"
	if again:
		job_id += f":{clock.now():%H%M}"
	try:
		frappe.enqueue(
			method,
			queue=queue,
			job_id=job_id,
			deduplicate=True,
			**{argument: recharge},
		)
		return True
	except Exception:
		frappe.logger("crm_recharge").warning(f"{job_id} was not enqueued; the sweeper will", exc_info=True)
		return False
