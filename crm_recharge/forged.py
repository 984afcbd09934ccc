"""Requests that another site may have sent with somebody's login cookie.

Frappe asks a session for its token once it has one, and a session gets it with the first page of the desk. Until then
a cookie alone speaks for the caller: for what changes something of this app that is not enough.
"""

import frappe
from frappe import _

CHANGING = ("POST", "PUT", "PATCH", "DELETE")


def may_be(request) -> bool:
	"""Whether a request that changes something has a session without a token as all that speaks for the caller. One
	with a token Frappe has checked."""
	return (
		bool(request)
		and request.method in CHANGING
		and frappe.session.user != "Guest"
		and not frappe.session.data.csrf_token
		and not frappe.get_request_header("Authorization")
		and not frappe.conf.ignore_csrf
	)


def refuse() -> None:
	"""Raise frappe.CSRFTokenError (400) for a request that `may_be` one."""
	frappe.local.flags.disable_traceback = True
	frappe.local.response["error"] = {"code": "csrf_token_missing"}
	frappe.throw(
		_(
			"The request came with a login cookie, but without the token that proves that a page of this site sent"
			" it. Load the page anew; programs log in with an API key."
		),
		frappe.CSRFTokenError,
	)
