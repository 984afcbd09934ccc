"""Tell Stripe's webhooks from anybody else's.

The signature is checked by Stripe's own SDK (https://docs.stripe.com/webhooks#verify-official-libraries). The rest is
ours: several secrets while one is rolled, a time in the future, a body that is no event. Neither body nor secret ever
gets into an error message.
"""

import json
import re
import time

import stripe

from crm_recharge.gateway.errors import (
	MissingSignature,
	OutsideTolerance,
	UnreadablePayload,
	WrongSignature,
)

MAX_PAYLOAD = 1024 * 1024
LONGEST_ID = 140
STAMP = re.compile(r"(?:^|,)\s*t=([0-9]{1,12})\s*(?:,|$)")
SIGNATURE = re.compile(r"(?:^|,)\s*v1=")


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

	try:
		text = bytes(payload).decode()
	except UnicodeDecodeError:
		raise UnreadablePayload("The body is no text") from None
	stamp = _stamp(header)
	if not any(_is_signed(text, header, each) for each in secrets):
		raise WrongSignature(
			"The signature does not match: check that the endpoint's signing secret is the one entered here"
		)
	age = (time.time() if now is None else now) - stamp
	if abs(age) > tolerance:
		raise OutsideTolerance(
			f"The event was signed {abs(age):.0f} seconds {'ago' if age > 0 else 'ahead of this clock'};"
			f" {tolerance} are allowed"
		)
	return _read_event(text)


def _stamp(header: str | None) -> int:
	"""When the header says that the body was signed, in Unix seconds. Raises MissingSignature."""
	found = STAMP.search(header or "")
	if not found:
		raise MissingSignature(
			"The Stripe-Signature header has no timestamp: this is not a delivery of Stripe"
		)
	if not SIGNATURE.search(header):
		raise MissingSignature("The Stripe-Signature header has no v1 signature")
	return int(found[1])


def _is_signed(payload: str, header: str, secret: str) -> bool:
	try:
		# Age is judged by the caller, in both directions.
		return stripe.WebhookSignature.verify_header(payload, header, secret, tolerance=None)
	except (stripe.SignatureVerificationError, ValueError, TypeError):
		# A header that the SDK stumbles over is nobody's signature.
		return False


def _read_event(payload: str) -> dict:
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
