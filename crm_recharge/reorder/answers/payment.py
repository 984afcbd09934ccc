"""Asking for payment of an order that a customer has just made: ERPNext's Payment Request and its gateways."""

import frappe
from frappe import _
from frappe.utils import cint

from crm_recharge import transactions
from crm_recharge.reorder.answers.orders import SALES_ORDER, by_the_system

TITLE = "Reorder: no payment link"


def ask_for(doctype: str, name: str) -> str | None:
	"""Make the Payment Request of a submitted Sales Order, once, if Reorder Settings asks for payment.

	Commits. What goes wrong is in the Error Log and on the order; the order stands, the customer pays as usual.

	Returns:
		the address where the customer pays; None when there is none.
	"""
	settings = frappe.get_cached_doc("Reorder Settings")
	if not settings.ask_for_payment:
		return None
	if address := address_of(doctype, name):
		return address
	try:
		with by_the_system():
			address = _request(doctype, name, settings.payment_gateway_account)
		transactions.commit()
		return address
	except Exception as error:
		frappe.db.rollback()
		frappe.clear_messages()
		reason = str(error) or type(error).__name__
		frappe.log_error(
			title=TITLE,
			message=_("{0} {1} has no payment link: {2}").format(doctype, name, reason),
			reference_doctype=doctype,
			reference_name=name,
		)
		document = frappe.get_doc(doctype, name)
		document.flags.ignore_permissions = True
		document.add_comment(
			"Info", _("No payment link could be made: {0}").format(frappe.utils.escape_html(reason))
		)
		transactions.commit()
		return None


def address_of(doctype: str, name: str) -> str | None:
	"""Where the order is paid, if a Payment Request waits for it."""
	return frappe.db.get_value(
		"Payment Request",
		{
			"reference_doctype": doctype,
			"reference_name": name,
			"docstatus": 1,
			"status": ["in", ["Requested", "Initiated", "Partially Paid"]],
			"payment_url": ["is", "set"],
		},
		"payment_url",
		order_by="creation desc",
	)


def _request(doctype: str, name: str, gateway_account: str | None) -> str:
	if doctype != SALES_ORDER or cint(frappe.db.get_value(doctype, name, "docstatus")) != 1:
		frappe.throw(
			_(
				"Payment Requests are for submitted Sales Orders. Choose Sales Order and Submit Order in Reorder Settings."
			)
		)
	if not gateway_account:
		frappe.throw(_("Choose a Payment Gateway Account in Reorder Settings."))
	order = frappe.get_doc(doctype, name)
	gateway_account = account_for(gateway_account, order.currency, order.company)
	request = _standing_request(doctype, name) or _new_request(order, gateway_account)
	# A gateway may call its own server for the address: not in a transaction that could roll back.
	transactions.commit()
	if not request.payment_url:
		request.set_payment_request_url()
	if not request.payment_url:
		frappe.throw(_("The gateway of {0} gave no payment page.").format(gateway_account))
	return request.payment_url


def _standing_request(doctype: str, name: str):
	"""The Payment Request of an earlier try that did not come to an address."""
	found = frappe.db.get_value(
		"Payment Request",
		{
			"reference_doctype": doctype,
			"reference_name": name,
			"docstatus": 1,
			"payment_url": ["is", "not set"],
		},
	)
	return frappe.get_doc("Payment Request", found) if found else None


def account_for(chosen: str, currency: str, company: str) -> str:
	"""`chosen` if it takes `currency` for `company`, else another account of the same gateway that does.

	ERPNext asks for no such thing, and would book the payment on an account in another currency.
	"""
	gateway = frappe.db.get_value("Payment Gateway Account", chosen, "payment_gateway")
	names = frappe.get_all(
		"Payment Gateway Account", {"payment_gateway": gateway or ""}, pluck="name", order_by="creation"
	)
	for name in sorted(names, key=lambda name: name != chosen):
		if _takes(name, currency, company):
			return name
	frappe.throw(
		_(
			"No Payment Gateway Account of {0} takes {1} for {2}. Add one with a payment account in that currency."
		).format(gateway or chosen, currency, company)
	)


def _takes(name: str, currency: str, company: str) -> bool:
	account = frappe.db.get_value(
		"Account",
		frappe.db.get_value("Payment Gateway Account", name, "payment_account"),
		["account_currency", "company", "disabled"],
		as_dict=True,
	)
	return bool(account) and (account.account_currency, account.company, account.disabled) == (
		currency,
		company,
		0,
	)


def _new_request(order, gateway_account: str):
	from erpnext.accounts.doctype.payment_request.payment_request import make_payment_request

	# Muted: ERPNext would mail the address; the customer gets it on the page.
	return make_payment_request(
		dt=order.doctype,
		dn=order.name,
		party_type="Customer",
		party=order.customer,
		recipient_id=order.contact_email or None,
		payment_gateway_account=gateway_account,
		mute_email=1,
		submit_doc=1,
		return_doc=1,
	)
