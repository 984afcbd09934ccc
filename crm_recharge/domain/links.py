"""Signed links for mails: what for, for whom, until when; nothing about them is stored.

HMAC-SHA256 over the readable part; a link is good for one purpose and one subject only.
"""

import base64
import hashlib
import hmac
from datetime import datetime, timezone


class BadLink(Exception):
	"""A link that is not ours, was changed, is for something else, or is over. `code` says which."""

	def __init__(self, code: str):
		self.code = code
		super().__init__(code)


def sign(secret: bytes, purpose: str, subject: str, expires: datetime) -> str:
	"""A token for `purpose` on `subject`, good until `expires` (timezone-aware)."""
	body = _encode(f"{purpose}\n{subject}\n{int(expires.timestamp())}".encode())
	return f"{body}.{_mac(secret, body)}"


def read(secret: bytes, purpose: str, token: str, now: datetime) -> str:
	"""The subject of a good token. Raises BadLink: malformed, forged, other_purpose, expired."""
	body, _, mac = (token or "").partition(".")
	if not body or not mac or len(token) > 1000:
		raise BadLink("malformed")
	# Compared before anything of it is read.
	if not hmac.compare_digest(_mac(secret, body).encode(), mac.encode()):
		raise BadLink("forged")
	found, subject, expires = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode().split("\n")
	if found != purpose:
		raise BadLink("other_purpose")
	if now >= datetime.fromtimestamp(int(expires), timezone.utc):
		raise BadLink("expired")
	return subject


def _mac(secret: bytes, body: str) -> str:
	return _encode(hmac.new(secret, body.encode(), hashlib.sha256).digest())


def _encode(value: bytes) -> str:
	return base64.urlsafe_b64encode(value).decode().rstrip("=")
