"""Everything queued has a sweeper: recharges whose documents or mail are due are queued again."""

import frappe

from crm_recharge import clock
from crm_recharge.accounting.rows import DONE, FAILED, PENDING, SETTLED
from crm_recharge.recharge.queue import try_enqueue

BATCH = 200


def sweep(limit: int = BATCH) -> list[str]:
	"""Queue up to `limit` recharges that are due; returns those queued. Meant for every few minutes.

	Due: settled and not yet tried; failed and its time has come; accounted for, but the mail is outstanding.
	A recharge whose job waits is not queued twice; one whose job counts as started is, for its worker may have been
	killed, and the row's lock lets one of two do it. Where Redis is away, the next sweep goes on.
	"""
	queued = []
	for name in due(limit):
		if not try_enqueue("account_for", name, again=True):
			break
		queued.append(name)
	return queued


def due(limit: int = BATCH) -> list[str]:
	"""Names of recharges that are due, the longest waiting first."""
	table = frappe.qb.DocType("Recharge")
	now = clock.now()
	latest = clock.latest(now)
	settled = table.status.isin(SETTLED) & table.settled_intent.isnotnull()
	never = table.accounting_status.isnull() | table.accounting_status.isin(["", PENDING])
	# Each query reads one stretch of the index on (accounting_status, accounting_next_try_at).
	queries = (
		never & (table.accounting_next_try_at.isnull() | (table.accounting_next_try_at <= latest)),
		(table.accounting_status == FAILED) & (table.accounting_next_try_at <= latest),
		(table.accounting_status == DONE)
		& (table.accounting_next_try_at <= latest)
		& table.invoice_mailed_at.isnull(),
	)
	found = []
	for condition in queries:
		if len(found) < limit:
			found += (
				frappe.qb.from_(table)
				.select(table.name, table.accounting_next_try_at)
				.where(settled & condition)
				.orderby(table.accounting_next_try_at, table.settled_at)
				.limit(limit - len(found))
			).run()
	return clock.due(found, now)
