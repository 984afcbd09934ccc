"""Working on webhook events. Each handler fetches the object as it is now, so order does not matter."""

from datetime import timedelta

import frappe

from crm_recharge import clock
from crm_recharge.domain.answers import Outcome
from crm_recharge.gateway import home, inbox
from crm_recharge.gateway.stripe_gateway import connect
from crm_recharge.recharge import cards, disputes, refunds
from crm_recharge.recharge.payments import NOT_WORKED_ON, hear_about
from crm_recharge.recharge.queue import enqueue_again, enqueue_once

TRIES = 12
SWEEP_LIMIT = 500
FRESH = timedelta(seconds=20)


class NotYet(Exception):
	"""The gateway could not be asked; the event is worked on later."""


def try_enqueue(event: str, again: bool = False) -> bool:
	"""Enqueue `event`; False when Redis is away, for then the sweeper finds the row."""
	enqueue = enqueue_again if again else enqueue_once
	return enqueue("crm_recharge.recharge.events.process", "short", f"stripe_event:{event}", name=event)


def process(name: str) -> str:
	"""Work on one event: once it is done, twice is nothing. Returns its status.

	Not `event`: `frappe.enqueue` keeps an argument of that name to itself.
	"""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	row = frappe.db.get_value(
		"Stripe Event", name, ["event_type", "object_id", "status", "tries"], as_dict=True
	)
	if not row or row.status in (inbox.PROCESSED, inbox.IGNORED):
		return row.status if row else "missing"
	if not home.is_home():
		return row.status
	handler = HANDLERS.get(row.event_type)
	if handler is None:
		return _end(name, inbox.IGNORED, "no handler for this type")
	try:
		outcome = handler(row.object_id, name)
	except Exception as error:
		frappe.db.rollback()
		return _fail(name, row.tries + 1, error)
	return _end(name, inbox.IGNORED if outcome in NOT_WORKED_ON else inbox.PROCESSED, outcome)


def reset(event: str) -> None:
	"""Make an event due again, whatever became of it."""
	frappe.db.set_value(
		"Stripe Event", event, {"status": inbox.RECEIVED, "tries": 0, "next_try_at": None, "error": None}
	)


def sweep() -> int:
	"""Enqueue events that nobody has worked on, or whose next try is due. Returns how many."""
	if not home.is_home():
		return 0
	now = clock.now()
	# One that has just come has a job of its own.
	old = now - FRESH
	found = frappe.db.sql(
		"SELECT `name`, `next_try_at`, `creation` FROM `tabStripe Event`"
		" WHERE (`status` = 'Received' AND `creation` <= %s) OR (`status` = 'Failed' AND `next_try_at` <= %s)"
		" ORDER BY `creation` LIMIT %s",
		(clock.latest(old), clock.latest(now), SWEEP_LIMIT),
	)
	due = [n for n, next_try, made in found if clock.is_past(next_try, now) and clock.is_past(made, old)]
	for event in due:
		try_enqueue(event, again=True)
	return len(due)


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


def _fail(event: str, tries: int, error: Exception) -> str:
	"""Keep the traceback, try later: 30 s, 1 min, 2 min … 6 h; after TRIES a person has to look."""
	from crm_recharge.gateway.masking import mask

	wait = min(30 * 2 ** (tries - 1), 6 * 3600)
	frappe.db.set_value(
		"Stripe Event",
		event,
		{
			"status": inbox.FAILED,
			"tries": tries,
			"next_try_at": clock.later(timedelta(seconds=wait)) if tries < TRIES else None,
			"outcome": mask(str(error))[:500],
			"error": mask(frappe.get_traceback()),
		},
	)
	if tries == TRIES:
		frappe.log_error(
			title=f"Stripe event {event} failed {TRIES} times",
			reference_doctype="Stripe Event",
			reference_name=event,
		)
	frappe.db.commit()
	return inbox.FAILED


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
