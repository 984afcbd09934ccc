"""Cancelling a payment that only waits: a customer's or a colleague's way out, so that nothing stays blocked."""

import frappe
from frappe import _

from crm_recharge import transactions
from crm_recharge.credits.errors import for_people
from crm_recharge.domain import payment
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.recharge import worker
from crm_recharge.recharge.performer import perform


@for_people
def call_off(recharge: str) -> str:
	"""Cancel a payment that waits for its card holder, or for its turn. Returns the recharge's status.

	The account is free for another payment at once; then the gateway is asked to close what could still be
	confirmed. A card holder who was faster has paid, and gets the credits: the status says so. The caller has checked
	the permission; commits. Raises InvalidRequest cannot_cancel. Twice is once.
	"""
	account = frappe.db.get_value("Recharge", recharge, "credit_account")
	if not account:
		raise InvalidRequest("unknown_recharge", recharge=str(recharge)[:140])
	before = frappe.db.get_value("Recharge", recharge, "status")
	status = perform(payment.call_off(account, recharge))
	if status != payment.CANCELLED:
		raise InvalidRequest("cannot_cancel", recharge=recharge, status=_(status))
	if before != payment.CANCELLED:
		text = _("{0} cancelled it").format(frappe.session.user)
		frappe.get_doc("Recharge", recharge).add_comment("Info", text)
		transactions.commit()
	_close(recharge)
	return frappe.db.get_value("Recharge", recharge, "status")


def _close(recharge: str) -> None:
	"""At once, for whoever waits for the answer; where the gateway does not answer, the sweeper goes on."""
	try:
		worker.close(recharge)
	except Exception:
		frappe.db.rollback()
		frappe.log_error(
			title=f"Recharge {recharge} is cancelled, but not closed at the gateway yet",
			reference_doctype="Recharge",
			reference_name=recharge,
		)
		transactions.commit()
