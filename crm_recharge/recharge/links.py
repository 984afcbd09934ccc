"""Signing mailed links with a key of this site's own."""

import hashlib
import hmac
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import frappe
from frappe import _
from frappe.utils import get_url
from frappe.utils.password import get_encryption_key

from crm_recharge.domain import links
from crm_recharge.domain.payment import ACTION_WINDOW

CONFIRM, CONFIRM_PAGE = "confirm-recharge", "/recharge-confirm"


def make(purpose: str, subject: str, days: int) -> str:
	"""A token that is good for `days`."""
	return links.sign(secret(), purpose, subject, datetime.now(timezone.utc) + timedelta(days=days))


def confirm_link(recharge: str) -> str:
	"""The mailed address where a payment's card holder confirms it; good as long as the recharge waits."""
	token = make(CONFIRM, recharge, days=ACTION_WINDOW.days)
	return get_url(f"{CONFIRM_PAGE}?token={quote(token)}")


def read(purpose: str, token: str) -> str:
	"""The subject of a token. Raises frappe.PermissionError with a text for people."""
	try:
		return links.read(secret(), purpose, token, datetime.now(timezone.utc))
	except links.BadLink as error:
		text = (
			_("This link is over. Ask for a new one, or log in.")
			if error.code == "expired"
			else _("This link is not complete. Copy it whole from the mail.")
		)
		frappe.throw(text, frappe.PermissionError, title=_("Link not valid"))


def secret() -> bytes:
	"""What mailed links of this site are signed with; other sites have another."""
	return hmac.new(get_encryption_key().encode(), b"crm_recharge mailed links", hashlib.sha256).digest()
