"""Working on webhook events. Each handler fetches the object as it is now, so order does not matter."""

from datetime import timedelta

import frappe

from crm_recharge import clock
from crm_recharge.domain.answers import Outcome
from crm_recharge.gateway import home, inbox
from crm_recharge.gateway.port import EventKind
from crm_recharge.gateway.registry import connect
from crm_recharge.recharge import cards, disputes, refunds
from crm_recharge.recharge.payments import NOT_WORKED_ON, hear_about
from crm_recharge.recharge.queue import enqueue_again, enqueue_once

TRIES = 12
SWEEP_LIMIT = 500
FRESH = timedelta(seconds=20)
FIELDS = ["name", "gateway", "kind", "object_id", "payment", "reason", "status", "tries"]


class NotYet(Exception):
	"""The gateway could not be asked; the event is worked on later."""


def try_enqueue(event: str, again: bool = False) -> bool:
	"""Enqueue `event`; False when Redis is away, for then the sweeper finds the row."""
	enqueue = enqueue_again if again else enqueue_once
	return enqueue("crm_recharge.recharge.events.process", "short", f"gateway_event:{event}", name=event)


def process(name: str) -> str:
	"""Work on one event: once it is done, twice is nothing. Returns its status.

	Not `event`: `frappe.enqueue` keeps an argument of that name to itself.
	"""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	row = frappe.db.get_value("Gateway Event", name, FIELDS, as_dict=True)
	if not row or row.status in (inbox.PROCESSED, inbox.IGNORED):
		return row.status if row else "missing"
	if not home.is_home():
		return row.status
	handler = HANDLERS.get(EventKind(row.kind)) if row.kind else None
	if handler is None:
		return _end(name, inbox.IGNORED, "no handler for this type")
	try:
		outcome = handler(row)
	except Exception as error:
		frappe.db.rollback()
		return _fail(name, row.tries + 1, error)
	return _end(name, inbox.IGNORED if outcome in NOT_WORKED_ON else inbox.PROCESSED, outcome)


def reset(event: str) -> None:
	"""Make an event due again, whatever became of it."""
	frappe.db.set_value(
		"Gateway Event", event, {"status": inbox.RECEIVED, "tries": 0, "next_try_at": None, "error": None}
	)


def sweep() -> int:
	"""Enqueue events that nobody has worked on, or whose next try is due. Returns how many."""
	if not home.is_home():
		return 0
	now = clock.now()
	# One that has just come has a job of its own.
	old = now - FRESH
	found = frappe.db.sql(
		"SELECT `name`, `next_try_at`, `creation` FROM `tabGateway Event`"
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
		"Gateway Event",
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
		"Gateway Event",
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
			title=f"Event {event} of the gateway failed {TRIES} times",
			reference_doctype="Gateway Event",
			reference_name=event,
		)
	frappe.db.commit()
	return inbox.FAILED


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
