"""What integrators are told: the types of Credit Events, and which of them a change of state is."""

import json
from collections.abc import Iterable
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from crm_recharge.domain import payment, takeback

BALANCE_LOW, BALANCE_DEPLETED = "balance.low", "balance.depleted"
CREDITS_EXPIRED = "credits.expired"
ENABLED, DISABLED = "auto_recharge.enabled", "auto_recharge.disabled"
PAUSED, HELD, RESUMED = "auto_recharge.paused", "auto_recharge.held", "auto_recharge.resumed"

_RECHARGE = {
	payment.QUEUED: "recharge.started",
	payment.PROCESSING: "recharge.processing",
	payment.SUCCEEDED: "recharge.succeeded",
	payment.FAILED: "recharge.failed",
	payment.ACTION_REQUIRED: "recharge.action_required",
	payment.HELD: "recharge.held",
	payment.CANCELLED: "recharge.cancelled",
}
_REFUND = {takeback.SUCCEEDED: "refund.succeeded", takeback.FAILED: "refund.failed"}
_DISPUTE = {
	takeback.WARNING: "dispute.warning",
	takeback.INQUIRY: "dispute.inquiry",
	takeback.OPEN: "dispute.opened",
	takeback.WON: "dispute.won",
	takeback.LOST: "dispute.lost",
}

TYPES = (
	BALANCE_LOW,
	BALANCE_DEPLETED,
	*_RECHARGE.values(),
	ENABLED,
	DISABLED,
	PAUSED,
	HELD,
	RESUMED,
	"refund.created",
	*_REFUND.values(),
	*_DISPUTE.values(),
	CREDITS_EXPIRED,
)
"""Every type there is. docs/events.md says when each comes, and what it carries."""


def of_change(doctype: str, before: str | None, after: str | None) -> list[str]:
	"""The events that a document's change of status is; `before` is None where it has just been made."""
	if before == after:
		return []
	if doctype == "Recharge":
		# What was paid and is taken back, or given back, is a refund's or a dispute's matter.
		fresh = before is None or before in payment.UNPAID
		if after == payment.QUEUED:
			fresh = before in (None, payment.DRAFT)
		return [_RECHARGE[after]] if after in _RECHARGE and fresh else []
	if doctype == "Recharge Refund":
		created = ["refund.created"] if before is None else []
		return created + ([_REFUND[after]] if after in _REFUND else [])
	return [_DISPUTE[after]] if after in _DISPUTE else []


def fell_to(level: Decimal, before: Decimal, after: Decimal) -> bool:
	"""Whether a balance has come down to `level` (or past it) by a movement that found it above."""
	return after <= level < before


def matches(patterns: Iterable[str], event_type: str) -> bool:
	"""Whether one of `patterns` (a type, `refund.*`, `*`) takes in `event_type`."""
	return any(fnmatchcase(event_type, pattern) for pattern in patterns)


def unknown(patterns: Iterable[str]) -> list[str]:
	"""Those of `patterns` that take in no event there is."""
	return [pattern for pattern in patterns if not any(fnmatchcase(one, pattern) for one in TYPES)]


def body(event: dict[str, Any]) -> bytes:
	"""An event as it is sent: the bytes that are signed."""
	return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
