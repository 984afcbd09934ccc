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
			(event.get("api_version") or "")[:140],
			(obj.get("object") or "")[:140],
			(obj.get("id") or "")[:140],
			_system_time(event.get("created")),
			json.dumps(without_secrets(event), indent=1),
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


def _system_time(seconds) -> datetime | None:
	if not isinstance(seconds, int | float):
		return None
	return clock.stored(datetime.fromtimestamp(seconds, timezone.utc))
