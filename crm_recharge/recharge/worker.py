"""Background jobs of this room: carrying a recharge out, and the sweeper that takes up what was left."""

import frappe

from crm_recharge import clock
from crm_recharge.credits.contention import retry_on_contention
from crm_recharge.domain import payment, takeback
from crm_recharge.gateway import home
from crm_recharge.recharge import moving, threshold
from crm_recharge.recharge.performer import perform
from crm_recharge.recharge.queue import try_enqueue

SWEEP_LIMIT = 200
ENDED = (
	payment.SUCCEEDED,
	payment.FAILED,
	payment.CANCELLED,
	takeback.PARTLY_REFUNDED,
	takeback.REFUNDED,
	takeback.DISPUTED,
	takeback.CHARGED_BACK,
)


def carry_out(recharge: str) -> str:
	"""Work on one recharge until it is paid, has failed or must wait. Returns a word for the log.

	Harmless to run twice or at once: the lease lets one run work, the keys make a repeat the same request.
	"""
	frappe.set_user("Administrator")
	account = frappe.db.get_value("Recharge", recharge, "credit_account")
	if not account:
		return "missing"
	if not home.is_home():
		return "away"
	return _carry_out(account, recharge, worker=frappe.generate_hash(length=16))


@retry_on_contention
def _carry_out(account: str, recharge: str, worker: str) -> str:
	# After a deadlock the same worker goes on from what is committed: the lease is still its own.
	return perform(payment.carry_out(account, recharge, worker))


def close_up(recharge: str) -> str:
	"""Close at the gateway what could still capture of a recharge that has ended. Returns a word for the log."""
	frappe.set_user("Administrator")
	return close(recharge)


def close(recharge: str) -> str:
	"""As `close_up`, for the user who waits for it."""
	account = frappe.db.get_value("Recharge", recharge, "credit_account")
	if not account:
		return "missing"
	if not home.is_home():
		return "away"
	return _close_up(account, recharge)


@retry_on_contention
def _close_up(account: str, recharge: str) -> str:
	return perform(payment.close_up(account, recharge))


def sweep() -> int:
	"""Enqueue every recharge that is due and that nobody holds; each minute. Returns how many.

	A killed worker, an emptied Redis, a time-out to be asked again: all end here. Those that were tried last
	come last, so that some which fail each time do not keep the others out.
	"""
	home.settle_in()
	if not home.is_home():
		moving.tell()
		return 0
	now = clock.now()
	found = frappe.db.sql(
		"SELECT `name`, `lease_until`, `next_try_at` FROM `tabRecharge` WHERE `status` IN %s"
		" AND (`lease_until` IS NULL OR `lease_until` <= %s) AND (`next_try_at` IS NULL OR `next_try_at` <= %s)"
		" ORDER BY COALESCE(`lease_until`, `creation`) LIMIT %s",
		(payment.WORKABLE, clock.latest(now), clock.latest(now), SWEEP_LIMIT),
	)
	due = clock.due(found, now)
	for name in due:
		try_enqueue("carry_out", name, again=True)
	_close_what_has_ended(now)
	_expire_actions(now)
	threshold.look_again()
	return len(due)


def _close_what_has_ended(now) -> None:
	found = frappe.db.sql(
		"SELECT `name`, `next_try_at` FROM `tabRecharge` WHERE `status` IN %s AND `next_try_at` <= %s LIMIT %s",
		(ENDED, clock.latest(now), SWEEP_LIMIT),
	)
	for name in clock.due(found, now):
		try_enqueue("close_up", name, again=True)


def _expire_actions(now) -> None:
	rows = frappe.get_all(
		"Recharge",
		{"status": payment.ACTION_REQUIRED, "next_try_at": ["<=", clock.latest(now)]},
		["name", "credit_account"],
		limit=SWEEP_LIMIT,
	)
	for row in rows:
		try:
			perform(payment.expire_action(row.credit_account, row.name))
		except Exception:
			# One that cannot be ended must not keep the others waiting; `perform` has rolled back.
			frappe.log_error(
				title=f"Recharge {row.name} could not be ended",
				reference_doctype="Recharge",
				reference_name=row.name,
			)
			frappe.db.commit()
