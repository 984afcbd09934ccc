"""The webhook inbox: what a gateway tells is kept first and worked on later."""

import json
from collections.abc import Mapping

import frappe

from crm_recharge import clock
from crm_recharge.gateway import registry
from crm_recharge.gateway.errors import UnreadablePayload
from crm_recharge.gateway.masking import mask
from crm_recharge.gateway.port import GatewayEvent

DOCTYPE = "Gateway Event"
RECEIVED, PROCESSED, IGNORED, FAILED = "Received", "Processed", "Ignored", "Failed"
SECRETS = ("client_secret", "ephemeral_key", "secret")


def receive(payload: bytes, headers: Mapping[str, str], gateway: str | None = None) -> tuple[str, bool]:
	"""Keep one delivery under the event's id. Returns the id and whether it is new; the caller commits.

	`gateway` names whose it is said to be; without it, the site's own. Raises errors.WebhookError when it is not
	that gateway's.
	"""
	adapter = registry.adapter(gateway)
	return keep(adapter.name, adapter.read_event(payload, headers))


def keep(gateway: str, event: GatewayEvent) -> tuple[str, bool]:
	"""Keep an event that is proven to be the gateway's; returns as `receive`. Raises errors.UnreadablePayload."""
	try:
		content = json.dumps(without_secrets(event.content), indent=1)
	except RecursionError:
		raise UnreadablePayload("The body is nested too deeply") from None
	return event.id, _insert(gateway, event, content)


def _insert(gateway: str, event: GatewayEvent, content: str) -> bool:
	"""Write the event down; False for one that has come before."""
	now = clock.now_datetime()
	values = {
		"name": event.id,
		"creation": now,
		"modified": now,
		"owner": "Administrator",
		"modified_by": "Administrator",
		"gateway": gateway,
		"event_type": event.type[:140],
		"kind": event.kind.value if event.kind else None,
		"status": RECEIVED,
		"livemode": int(event.live),
		"api_version": event.version,
		"object_type": event.object_type,
		"object_id": event.subject,
		"payment": event.payment,
		"gateway_customer": event.customer,
		"reason": event.reason,
		"event_created": clock.stored(event.created) if event.created else None,
		"tries": 0,
		"payload": content,
	}
	columns, marks = ", ".join(f"`{name}`" for name in values), ", ".join(["%s"] * len(values))
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	frappe.db.sql(
		f"INSERT IGNORE INTO `tabGateway Event` ({columns}) VALUES ({marks})", tuple(values.values())
	)
	return bool(frappe.db._cursor.rowcount)


def without_secrets(value):
	"""`value` without what could complete a payment: client secrets are not kept."""
	if isinstance(value, dict):
		return {k: ("…" if k in SECRETS and v else without_secrets(v)) for k, v in value.items()}
	if isinstance(value, list):
		return [without_secrets(item) for item in value]
	return mask(value) if isinstance(value, str) else value
