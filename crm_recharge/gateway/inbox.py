"""The webhook inbox: what Stripe tells is kept first and worked on later."""

import json
from datetime import datetime, timezone

import frappe

from crm_recharge import clock
from crm_recharge.gateway import webhooks
from crm_recharge.gateway.masking import mask
from crm_recharge.gateway.stripe_gateway import webhook_secret

RECEIVED, PROCESSED, IGNORED, FAILED = "Received", "Processed", "Ignored", "Failed"
SECRETS = ("client_secret", "ephemeral_key", "secret")
KEEP_DAYS = 90


def receive(payload: bytes, signature: str | None) -> tuple[str, bool]:
	"""Keep one delivery under the event's id. Returns the id and whether it is new; the caller commits.

	Raises a webhooks.WebhookError when it is not Stripe's.
	"""
	event = webhooks.verify(payload, signature, webhook_secret())
	try:
		payload = json.dumps(without_secrets(event), indent=1)
	except RecursionError:
		raise webhooks.UnreadablePayload("The body is nested too deeply") from None
	now = clock.now_datetime()
	obj = event["data"]["object"]
	frappe.db.sql(
		"INSERT IGNORE INTO `tabStripe Event` (`name`, `creation`, `modified`, `owner`, `modified_by`, `event_type`,"
		" `status`, `livemode`, `api_version`, `object_type`, `object_id`, `event_created`, `tries`, `payload`)"
		" VALUES (%s, %s, %s, 'Administrator', 'Administrator', %s, %s, %s, %s, %s, %s, %s, 0, %s)",
		(
			event["id"],
			now,
			now,
			event["type"][:140],
			RECEIVED,
			int(bool(event.get("livemode"))),
			_word(event.get("api_version")),
			_word(obj.get("object")),
			obj.get("id") or "",
			_system_time(event.get("created")),
			payload,
		),
	)
	return event["id"], bool(frappe.db._cursor.rowcount)


def without_secrets(value):
	"""`value` without what could complete a payment: client secrets are not kept."""
	if isinstance(value, dict):
		return {k: ("…" if k in SECRETS and v else without_secrets(v)) for k, v in value.items()}
	if isinstance(value, list):
		return [without_secrets(item) for item in value]
	return mask(value) if isinstance(value, str) else value


def _word(value) -> str:
	"""A word of Stripe's for a column; whatever else stands there is none."""
	return value if webhooks.is_identifier(value) else ""


def _system_time(seconds) -> datetime | None:
	if not isinstance(seconds, int | float) or isinstance(seconds, bool):
		return None
	try:
		return clock.stored(datetime.fromtimestamp(seconds, timezone.utc))
	except (OverflowError, ValueError, OSError):
		return None


def reference(payload: dict, field: str) -> str | None:
	"""The id that an event's object has in `field`, which may be expanded; None where there is none."""
	value = payload["data"]["object"].get(field)
	value = value.get("id") if isinstance(value, dict) else value
	return value if webhooks.is_identifier(value) else None
