"""Carrying a recharge out, closing what it left open, ending one that nobody confirmed."""

import frappe

from crm_recharge.contention import retry_on_contention
from crm_recharge.domain import payment
from crm_recharge.gateway import home
from crm_recharge.recharge.performer import perform


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


def expire_action(recharge: str) -> None:
	"""End a recharge whose card holder has let the time pass. Harmless to run twice."""
	account = frappe.db.get_value("Recharge", recharge, "credit_account")
	if account:
		perform(payment.expire_action(account, recharge))
