"""Working on webhook events. Each handler fetches the object as it is now, so order does not matter."""

import frappe

from crm_recharge import clock
from crm_recharge.domain.answers import Outcome
from crm_recharge.gateway import home, inbox
from crm_recharge.gateway.masking import mask
from crm_recharge.gateway.stripe_gateway import connect
from crm_recharge.outbox.attempt import attempt
from crm_recharge.recharge import cards, disputes, refunds
from crm_recharge.recharge.payments import NOT_WORKED_ON, hear_about

STRIPE_EVENT = "stripe_event"


class NotYet(Exception):
	"""The gateway could not be asked; the event is worked on later."""


def process(name: str) -> str:
	"""Work on one event: once it is done, twice is nothing; what fails is tried again later. Returns its status."""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	return attempt(STRIPE_EVENT, name, _process)


def _process(name: str) -> str:
	row = frappe.db.get_value("Stripe Event", name, ["event_type", "object_id", "status"], as_dict=True)
	if not row or row.status in (inbox.PROCESSED, inbox.IGNORED):
		return row.status if row else "missing"
	if not home.is_home():
		return row.status
	handler = HANDLERS.get(row.event_type)
	if handler is None:
		return _end(name, inbox.IGNORED, "no handler for this type")
	outcome = handler(row.object_id, name)
	return _end(name, inbox.IGNORED if outcome in NOT_WORKED_ON else inbox.PROCESSED, outcome)


def reset(event: str) -> None:
	"""Make an event due again, whatever became of it."""
	frappe.db.set_value(
		"Stripe Event", event, {"status": inbox.RECEIVED, "tries": 0, "next_try_at": None, "error": None}
	)


def _end(event: str, status: str, outcome: str | None) -> str:
	frappe.db.set_value(
		"Stripe Event",
		event,
		{
			"status": status,
			"outcome": str(outcome or "")[:500],
			"processed_at": clock.now_datetime(),
			"error": None,
		},
	)
	frappe.db.commit()
	return status


def say(error: Exception, trace: str, log: str | None, again: bool) -> dict[str, str]:
	"""What the event's row keeps of a failure, without secrets."""
	return {"outcome": mask(str(error))[:500], "error": mask(trace)}


# -- handlers: object id, event -> a word for the outcome -----------------------------------------------------


def payment_intent(intent: str, event: str) -> str:
	"""The payment as it stands now: settle it, or wake who waits for it."""
	answer = connect().retrieve(intent)
	if answer.outcome is Outcome.UNKNOWN and answer.code != "processing":
		raise NotYet(f"{intent}: {answer.code or answer.message}")
	return hear_about(answer)


def charge_refunded(charge: str, event: str) -> str:
	return refunds.follow(inbox.reference(_payload(event), "payment_intent"))


def refund_changed(refund: str, event: str) -> str:
	return refunds.follow(inbox.reference(_payload(event), "payment_intent"))


def _payload(event: str) -> dict:
	return frappe.parse_json(frappe.db.get_value("Stripe Event", event, "payload"))


def dispute_changed(dispute: str, event: str) -> str:
	return disputes.follow(dispute)


def fraud_warning(warning: str, event: str) -> str:
	payload = _payload(event)
	fraud_type = payload["data"]["object"].get("fraud_type")
	reason = fraud_type[:140] if isinstance(fraud_type, str) else None
	return disputes.warn(warning, inbox.reference(payload, "payment_intent"), reason)


def setup_intent(intent: str, event: str) -> str:
	return cards.follow_setup(intent)


def payment_method(method: str, event: str) -> str:
	return cards.follow_card(method)


def checkout_session(session: str, event: str) -> str:
	intent = inbox.reference(_payload(event), "payment_intent")
	return payment_intent(intent, event) if intent else "no payment yet"


HANDLERS = {
	**dict.fromkeys(
		[
			f"payment_intent.{x}"
			for x in ("succeeded", "payment_failed", "canceled", "requires_action", "processing")
		],
		payment_intent,
	),
	"charge.refunded": charge_refunded,
	"refund.created": refund_changed,
	"refund.updated": refund_changed,
	"refund.failed": refund_changed,
	"charge.refund.updated": refund_changed,
	**dict.fromkeys(
		[
			f"charge.dispute.{x}"
			for x in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")
		],
		dispute_changed,
	),
	"radar.early_fraud_warning.created": fraud_warning,
	"setup_intent.succeeded": setup_intent,
	"payment_method.automatically_updated": payment_method,
	"payment_method.detached": payment_method,
	**dict.fromkeys(
		[
			f"checkout.session.{x}"
			for x in ("completed", "async_payment_succeeded", "async_payment_failed", "expired")
		],
		checkout_session,
	),
}
