"""The links of a reminder: each is for one message and one answer, and ends.

`address` shows a page by GET; only a POST acts. `one_click` is what mail programs call by themselves (RFC 8058).
"""

from datetime import datetime, timezone
from urllib.parse import urlencode

import frappe
from frappe import _
from frappe.utils import cint, get_url

from crm_recharge.domain import links as signed
from crm_recharge.recharge import links

PAGE = "/reorder"
ONE_CLICK = "/api/method/crm_recharge.api.reorder.unsubscribe"

REORDER, LATER, ENOUGH, FEWER, STOP = ACTIONS = ("reorder", "later", "enough", "fewer", "stop")

STOP_DAYS = 5 * 365
"""A link that stops mails is good as long as somebody may keep the mail: whoever wants to stop must be able to."""


class LinkNotValidError(frappe.PermissionError):
	"""A link that is forged, cut off, for something else, or over. `http_status_code`: 403, or 410 when over."""

	def __init__(self, message: str, http_status_code: int):
		self.http_status_code = http_status_code
		super().__init__(message)


def token(message: str, action: str) -> str:
	"""The token of Reorder Message `message` for one of ACTIONS; good for Reorder Settings' link_days."""
	if action not in ACTIONS:
		raise ValueError(f"unknown action: {action}")
	days = STOP_DAYS if action == STOP else cint(frappe.get_cached_doc("Reorder Settings").link_days) or 60
	return links.make(_purpose(action), message, days)


def address(message: str, action: str) -> str:
	"""Where the button `action` of Reorder Message `message` leads to."""
	return get_url(address_of_page(token(message, action), action))


def address_of_page(given: str, action: str, done: bool = False) -> str:
	"""The page of a token on this site; `done`: after its form was sent."""
	return f"{PAGE}?{urlencode({'do': action, 'token': given} | ({'done': 1} if done else {}))}"


def one_click(message: str) -> str:
	"""The address for the header List-Unsubscribe, to be called by POST (RFC 8058, section 3.2)."""
	return get_url(f"{ONE_CLICK}?{urlencode({'token': token(message, STOP)})}")


def read(given: str, action: str) -> str:
	"""The Reorder Message of a token given with `action`. Raises LinkNotValidError."""
	try:
		if action not in ACTIONS:
			raise signed.BadLink("malformed")
		message = signed.read(links.secret(), _purpose(action), given, datetime.now(timezone.utc))
	except signed.BadLink as error:
		raise not_valid(error.code) from None
	if not frappe.db.exists("Reorder Message", message):
		raise not_valid("gone")
	return message


def not_valid(code: str) -> LinkNotValidError:
	"""The error for a link that is `gone`, or whatever domain.links.BadLink says."""
	if code in ("expired", "gone"):
		text = _("This link is over. You can reorder from your account, or write to us.")
		return LinkNotValidError(text, 410)
	if code == "other_purpose":
		return LinkNotValidError(_("This link is for something else. Use the button in the mail again."), 403)
	return LinkNotValidError(_("This link is not complete. Copy it whole from the mail."), 403)


def _purpose(action: str) -> str:
	return f"reorder-{action}"
