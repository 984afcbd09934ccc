"""Stripe's events in the app's own words: what each is about. The payload is proven before (webhooks.py)."""

from datetime import datetime, timezone

from crm_recharge.gateway.port import EventKind, GatewayEvent
from crm_recharge.gateway.stripe.webhooks import is_identifier


def _of(prefix: str, *ends: str) -> tuple[str, ...]:
	return tuple(f"{prefix}.{end}" for end in ends)


TYPES: dict[EventKind, tuple[str, ...]] = {
	EventKind.PAYMENT: _of(
		"payment_intent", "succeeded", "payment_failed", "canceled", "requires_action", "processing"
	),
	EventKind.REFUND: (
		"charge.refunded",
		"charge.refund.updated",
		*_of("refund", "created", "updated", "failed"),
	),
	EventKind.DISPUTE: _of(
		"charge.dispute", "created", "updated", "closed", "funds_withdrawn", "funds_reinstated"
	),
	EventKind.FRAUD_WARNING: ("radar.early_fraud_warning.created",),
	EventKind.CARD_SETUP: ("setup_intent.succeeded",),
	EventKind.SAVED_CARD: _of("payment_method", "automatically_updated", "detached"),
	EventKind.PAYMENT_PAGE: _of(
		"checkout.session", "completed", "async_payment_succeeded", "async_payment_failed", "expired"
	),
}
"""Which of Stripe's events are worked on, by what they are about (https://docs.stripe.com/api/events/types)."""

_KINDS = {name: kind for kind, names in TYPES.items() for name in names}


def translate(event: dict) -> GatewayEvent:
	"""A verified event of Stripe."""
	subject = event["data"]["object"]
	kind = _KINDS.get(event["type"])
	payment = reference(subject, "payment_intent")
	fraud_type = subject.get("fraud_type")
	return GatewayEvent(
		id=event["id"],
		type=event["type"],
		kind=kind,
		subject=subject.get("id") or "",
		payment=subject.get("id") if kind is EventKind.PAYMENT else payment,
		reason=fraud_type[:140] if isinstance(fraud_type, str) else None,
		customer=subject.get("id") if subject.get("object") == "customer" else reference(subject, "customer"),
		live=bool(event.get("livemode")),
		created=_moment(event.get("created")),
		version=_word(event.get("api_version")),
		object_type=_word(subject.get("object")),
		content=event,
	)


def reference(subject: dict, field: str) -> str | None:
	"""The id that an event's object has in `field`, which may be expanded; None where there is none."""
	value = subject.get(field)
	value = value.get("id") if isinstance(value, dict) else value
	return value if is_identifier(value) else None


def _word(value) -> str:
	"""A word of Stripe's for a column; whatever else stands there is none."""
	return value if is_identifier(value) else ""


def _moment(seconds) -> datetime | None:
	if not isinstance(seconds, int | float) or isinstance(seconds, bool):
		return None
	try:
		return datetime.fromtimestamp(seconds, timezone.utc)
	except (OverflowError, ValueError, OSError):
		return None
