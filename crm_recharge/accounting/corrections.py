"""An accountant cancels or amends a recharge's document: the Recharge follows, and does not stand in the way."""

import frappe
from frappe import _

from crm_recharge import clock
from crm_recharge.accounting.custom_fields import RECHARGE
from crm_recharge.accounting.rows import DONE, FAILED, PENDING
from crm_recharge.outbox import changes
from crm_recharge.outbox.queue import enqueue_after_commit

LINK = {"Sales Invoice": "sales_invoice", "Payment Entry": "payment_entry"}


def on_cancel(doc, method=None) -> None:
	"""Sales Invoice and Payment Entry, on_cancel: unlink it; what comes next is a person's decision."""
	if not doc.get(RECHARGE):
		return
	# Otherwise the submitted Recharge that links to it would forbid the cancellation.
	doc.ignore_linked_doctypes = (*(doc.get("ignore_linked_doctypes") or ()), "Recharge")
	field = LINK[doc.doctype]
	if frappe.db.get_value("Recharge", doc.get(RECHARGE), field, for_update=True) != doc.name:
		return
	changes.write(
		"Recharge",
		doc.get(RECHARGE),
		{
			field: None,
			"accounting_status": FAILED,
			"accounting_error": _(
				"{0} {1} was cancelled by {2}. Amend it, or use Retry to have a new one written. Nothing happens by itself."
			).format(_(doc.doctype), doc.name, frappe.session.user),
			# No due date: the sweeper must not rebuild what a person has just taken down.
			"accounting_next_try_at": None,
		},
	)


def on_submit(doc, method=None) -> None:
	"""Sales Invoice and Payment Entry, on_submit: an amended document takes the place of the cancelled one.

	The job then checks it, writes what is still missing and closes the matter.
	"""
	if not doc.get(RECHARGE) or not doc.get("amended_from"):
		return
	status = frappe.db.get_value("Recharge", doc.get(RECHARGE), "accounting_status", for_update=True)
	if status == DONE:
		return
	changes.write(
		"Recharge",
		doc.get(RECHARGE),
		{
			LINK[doc.doctype]: doc.name,
			"accounting_status": PENDING,
			"accounting_error": None,
			"accounting_next_try_at": clock.now_datetime(),
		},
	)
	enqueue_after_commit("account_for", doc.get(RECHARGE))
