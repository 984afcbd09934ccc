"""A payment that needs its card holder: resumed from a mailed link, on the gateway's own page (B8).

The link shows (GET) and acts (POST). Paying there settles the recharge as any other capture does; a second
payment for it is refunded by itself.
"""

from urllib.parse import quote

import frappe
from frappe.utils import get_url

from crm_recharge import transactions
from crm_recharge.clock import now_datetime
from crm_recharge.credits.errors import for_people
from crm_recharge.credits.money import exact, money
from crm_recharge.domain import payment
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.doors.guard import new
from crm_recharge.gateway import home, registry
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.recharge import cards, links, payments
from crm_recharge.recharge.reading import customer_of
from crm_recharge.recharge.reasons import status_words


def show(token: str) -> dict:
	"""What the page shows to whoever holds the link, which may have been forwarded: what is to be paid, and whether it
	is. Changes nothing. Raises frappe.PermissionError for a bad link."""
	recharge = frappe.get_doc("Recharge", links.read(links.CONFIRM, token))
	return {
		"status": recharge.status,
		"status_shown": status_words()[recharge.status],
		"waiting": recharge.status == payment.ACTION_REQUIRED,
		"paid": bool(recharge.settled_intent),
		"amount": money(recharge.amount, recharge.currency),
	}


@for_people
def start(token: str) -> str:
	"""The address of the gateway's page for this recharge; the same one as long as it is open.

	Raises frappe.ValidationError when the recharge waits no more, or the gateway does not answer.
	"""
	name = links.read(links.CONFIRM, token)
	attempt, session = _page_attempt(name)
	transactions.commit()
	try:
		if session:
			page = registry.connect(registry.of_recharge(name)).retrieve_checkout(session)
			if page.url and page.status == "open":
				return page.url
			attempt, other = _page_attempt(name, closed=session)
			transactions.commit()
			if other:
				# Somebody has opened another page meanwhile.
				return registry.connect(registry.of_recharge(name)).retrieve_checkout(other).url
		return _open_page(name, attempt, token)
	except GatewayError as error:
		raise InvalidRequest("gateway_silent", message=error.message, gateway_code=error.code) from error


def _page_attempt(recharge: str, closed: str | None = None) -> tuple[str, str | None]:
	"""The attempt that stands for the page, and the page, under the account's lock; a new one when there is none but
	the page `closed`."""
	account = frappe.db.get_value("Recharge", recharge, "credit_account")
	frappe.db.sql("SELECT `name` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", account)
	status = frappe.db.get_value("Recharge", recharge, "status", for_update=True)
	if status != payment.ACTION_REQUIRED:
		raise InvalidRequest("nothing_to_confirm", status=status)

	found = frappe.db.get_value(
		"Recharge Attempt",
		{"recharge": recharge, "card": ["is", "not set"]},
		["name", "checkout_session"],
		order_by="number desc",
	)
	return found if found and not (closed and found[1] == closed) else (_next_attempt(recharge), None)


def _next_attempt(recharge: str) -> str:
	row = frappe.db.get_value("Recharge", recharge, ["amount", "currency"], as_dict=True)
	last = frappe.db.get_value("Recharge Attempt", {"recharge": recharge}, "number", order_by="number desc")
	number = (last or 0) + 1
	attempt = new(
		"Recharge Attempt",
		{
			"recharge": recharge,
			"number": number,
			"status": payment.CREATED,
			"amount": row.amount,
			"currency": row.currency,
			"gateway_customer": customer_of(recharge),
			"created_at": now_datetime(),
		},
	)
	return attempt.insert(ignore_permissions=True, set_name=payment.attempt_name(recharge, number)).name


def _open_page(recharge: str, attempt: str, token: str) -> str:
	row = frappe.db.sql(
		"SELECT `credit_account`, `currency`, CAST(`amount` AS CHAR) AS `amount` FROM `tabRecharge`"
		" WHERE `name` = %s",
		recharge,
		as_dict=True,
	)[0]
	here = get_url(f"{links.CONFIRM_PAGE}?token={quote(token)}")

	def open_page(gateway, customer):
		frappe.db.set_value("Recharge Attempt", attempt, "gateway_customer", customer)
		transactions.commit()
		return gateway.create_checkout(
			key=attempt,
			amount=exact(row.amount),
			currency=row.currency,
			customer=customer,
			# Not translated: the same key must always carry the same content.
			description=f"Prepaid credits, recharge {recharge}",
			success_url=f"{here}&returned=1",
			cancel_url=here,
			metadata={"recharge": recharge, "account": row.credit_account, **home.marks()},
			kinds=["card"],
		)

	page = cards.with_customer(row.credit_account, open_page)
	frappe.db.set_value("Recharge Attempt", attempt, "checkout_session", page.session)
	transactions.commit()
	return page.url


def finish(token: str) -> dict:
	"""After the return from the gateway's page: ask how it went, settle, and tell. Never believes the browser."""
	name = links.read(links.CONFIRM, token)
	sessions = frappe.get_all(
		"Recharge Attempt", {"recharge": name, "checkout_session": ["is", "set"]}, pluck="checkout_session"
	)
	gateway = registry.of_recharge(name)
	for session in sessions:
		try:
			page = registry.connect(gateway).retrieve_checkout(session)
			if page.intent:
				payments.hear_about(registry.connect(gateway).retrieve(page.intent))
		except GatewayError:
			# The webhook and the reconciler will hear of it.
			frappe.log_error(title=f"Return of {name}: the gateway did not answer")
	transactions.commit()
	return show(token)
