"""Working on webhook events. Each handler fetches the object as it is now, so order does not matter."""

import frappe

from crm_recharge import clock, transactions
from crm_recharge.domain.answers import Outcome
from crm_recharge.gateway import home, inbox
from crm_recharge.gateway.masking import mask
from crm_recharge.gateway.port import EventKind
from crm_recharge.gateway.registry import connect
from crm_recharge.outbox.attempt import attempt
from crm_recharge.recharge import cards, disputes, refunds
from crm_recharge.recharge.payments import NOT_WORKED_ON, hear_about

GATEWAY_EVENT = "gateway_event"
FIELDS = ["name", "gateway", "kind", "object_id", "payment", "reason", "status"]


class NotYet(Exception):
	"""The gateway could not be asked; the event is worked on later."""


def process(name: str) -> str:
	"""Work on one event: once it is done, twice is nothing; what fails is tried again later. Returns its status."""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	return attempt(GATEWAY_EVENT, name, _process)


def _process(name: str) -> str:
	row = frappe.db.get_value("Gateway Event", name, FIELDS, as_dict=True)
	if not row or row.status in (inbox.PROCESSED, inbox.IGNORED):
		return row.status if row else "missing"
	if not home.is_home():
		return row.status
	handler = HANDLERS.get(EventKind(row.kind)) if row.kind else None
	if handler is None:
		return _end(name, inbox.IGNORED, "no handler for this type")
	outcome = handler(row)
	return _end(name, inbox.IGNORED if outcome in NOT_WORKED_ON else inbox.PROCESSED, outcome)


def reset(event: str) -> None:
	"""Make an event due again, whatever became of it."""
	frappe.db.set_value(
		"Gateway Event", event, {"status": inbox.RECEIVED, "tries": 0, "next_try_at": None, "error": None}
	)


def _end(event: str, status: str, outcome: str | None) -> str:
	frappe.db.set_value(
		"Gateway Event",
		event,
		{
			"status": status,
			"outcome": str(outcome or "")[:500],
			"processed_at": clock.now_datetime(),
			"error": None,
		},
	)
	transactions.commit()
	return status


def say(error: Exception, trace: str, log: str | None, again: bool) -> dict[str, str]:
	"""What the event's row keeps of a failure, without secrets."""
	return {"outcome": mask(str(error))[:500], "error": mask(trace)}


# -- handlers: the event's row -> a word for the outcome ------------------------------------------------------


def payment(event) -> str:
	"""The payment as it stands now: settle it, or wake who waits for it."""
	if not event.payment:
		return "no payment yet"
	answer = connect(event.gateway).retrieve(event.payment)
	if answer.outcome is Outcome.UNKNOWN:
		raise NotYet(f"{event.payment}: {answer.code or answer.message}")
	return hear_about(answer)


def refund(event) -> str:
	return refunds.follow(event.payment, event.gateway)


def dispute(event) -> str:
	return disputes.follow(event.object_id, event.gateway)


def fraud_warning(event) -> str:
	return disputes.warn(event.object_id, event.payment, event.reason, event.gateway)


def card_setup(event) -> str:
	return cards.follow_setup(event.object_id, event.gateway)


def saved_card(event) -> str:
	return cards.follow_card(event.object_id, event.gateway)


HANDLERS = {
	EventKind.PAYMENT: payment,
	EventKind.PAYMENT_PAGE: payment,
	EventKind.REFUND: refund,
	EventKind.DISPUTE: dispute,
	EventKind.FRAUD_WARNING: fraud_warning,
	EventKind.CARD_SETUP: card_setup,
	EventKind.SAVED_CARD: saved_card,
}
