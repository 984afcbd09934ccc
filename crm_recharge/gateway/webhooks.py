"""Tell Stripe's webhooks from anybody else's.

The scheme is Stripe's own (https://docs.stripe.com/webhooks#verify-manually): the header Stripe-Signature holds
`t=<seconds>` and one or more `v1=<hex>`; each v1 is HMAC-SHA256 of "<t>.<body>" under the endpoint's secret, and
there are several while a secret is being rolled. Neither body nor secret ever gets into an error message.
"""

import hashlib
import hmac
import json
import time

MAX_PAYLOAD = 1024 * 1024
MAX_SIGNATURES = 20
LONGEST_ID = 140


class WebhookError(Exception):
	"""A delivery that is not accepted. `code` is a word for logs, the text is for people."""

	code = "invalid_webhook"


class MissingSignature(WebhookError):
	"""There is no usable Stripe-Signature header."""

	code = "missing_signature"


class WrongSignature(WebhookError):
	"""No signature matches: another secret, or the body was changed on its way."""

	code = "wrong_signature"


class OutsideTolerance(WebhookError):
	"""Signed too long ago (perhaps replayed), or ahead of this machine's clock."""

	code = "outside_tolerance"


class UnreadablePayload(WebhookError):
	"""Properly signed, but no event of Stripe."""

	code = "unreadable_payload"


def verify(
	payload: bytes, header: str | None, secret: str, tolerance: int = 300, now: float | None = None
) -> dict:
	"""The event in `payload`, once its signature is proven.

	`payload` is the raw request body, `header` the Stripe-Signature header, `secret` the endpoint's (whsec_…);
	several secrets may be given, separated by spaces, while they are rolled. `tolerance` is in seconds, before and
	after `now` (Unix time). Raises a WebhookError; ValueError for a missing secret and TypeError when the body is
	not bytes, which are mistakes of the caller.
	"""
	secrets = (secret or "").split()
	if not secrets:
		raise ValueError("A webhook cannot be verified without the endpoint's signing secret")
	if not isinstance(payload, bytes | bytearray):
		raise TypeError("A webhook is verified by its raw body: bytes, before any decoding")
	if len(payload) > MAX_PAYLOAD:
		raise UnreadablePayload(f"The body is larger than {MAX_PAYLOAD} bytes")

	stamp, signatures = _read_header(header)
	signed = stamp.encode() + b"." + bytes(payload)
	good = False
	for each in secrets:
		expected = hmac.new(each.encode(), signed, hashlib.sha256).hexdigest().encode()
		for signature in signatures:
			# no early end: the time taken tells nothing about which one matched
			good |= hmac.compare_digest(expected, signature)
	if not good:
		raise WrongSignature(
			"The signature does not match: check that the endpoint's signing secret is the one entered here"
		)

	age = (time.time() if now is None else now) - int(stamp)
	if abs(age) > tolerance:
		raise OutsideTolerance(
			f"The event was signed {abs(age):.0f} seconds {'ago' if age > 0 else 'ahead of this clock'};"
			f" {tolerance} are allowed"
		)
	return _read_event(payload)


def _read_header(header: str | None) -> tuple[str, list[bytes]]:
	stamp, signatures = None, []
	for part in (header or "").split(","):
		name, _, value = part.strip().partition("=")
		if name == "t" and stamp is None:
			stamp = value
		elif name == "v1" and len(signatures) < MAX_SIGNATURES:
			signatures.append(value.encode("utf-8", "replace"))
	if stamp is None or not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
		raise MissingSignature(
			"The Stripe-Signature header has no timestamp: this is not a delivery of Stripe"
		)
	if not signatures:
		raise MissingSignature("The Stripe-Signature header has no v1 signature")
	return stamp, signatures


def _read_event(payload: bytes) -> dict:
	try:
		event = json.loads(payload)
	except (ValueError, RecursionError):
		raise UnreadablePayload("The body is not JSON") from None
	if not isinstance(event, dict):
		raise UnreadablePayload("The body is not an event")
	for name in ("id", "type"):
		if not is_identifier(event.get(name)):
			raise UnreadablePayload(f"The event has no {name}, or one that is none of Stripe's")
	data = event.get("data")
	if not isinstance(data, dict) or not isinstance(data.get("object"), dict):
		raise UnreadablePayload("The event carries no object")
	if data["object"].get("id") is not None and not is_identifier(data["object"]["id"]):
		raise UnreadablePayload("The event's object has an id that is none of Stripe's")
	return event


def is_identifier(value) -> bool:
	"""Whether `value` can be an id of Stripe's: it becomes the name of a row and of a job, and part of an address, where
	a control character does harm."""
	return (
		isinstance(value, str) and 0 < len(value) <= LONGEST_ID and value.isprintable() and " " not in value
	)
