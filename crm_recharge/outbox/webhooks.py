"""Pushing Credit Events to integrators: signed, tried again for days, each delivery kept and to be sent again.

Frappe's own Webhook is there for documents, Credit Events among them. It signs another text than it sends where a
value is no JSON, signs no time, tries for some seconds, follows redirects into private networks, and never stops
asking who is gone: that is why this is done here.
"""

from datetime import timedelta

import frappe
from frappe import _

from crm_recharge import clock, transactions
from crm_recharge.domain import credit_events, signing
from crm_recharge.outbox import events, http, lease
from crm_recharge.outbox.queue import enqueue_after_commit

DOCTYPE, DELIVERY, SEND = "Credit Webhook", "Credit Webhook Delivery", "send_webhook"
WAITING, DELIVERED, FAILED = "Waiting", "Delivered", "Failed"
LEASE = timedelta(seconds=60)
GONE = 410
GIVES_UP_AFTER = timedelta(days=5)
"""A receiver that has taken nothing for so long is not asked any more."""
RESTS = (timedelta(seconds=30), timedelta(hours=1))
"""One that fails is asked again after a tenth of the time it has failed: at least, and at most, so long after."""
KEPT_TRIES = 40


class NotTaken(frappe.ValidationError):
	"""The receiver did not answer with success. `answer`: what it said, None when nothing came."""

	def __init__(self, text: str, answer: http.Answer | None = None):
		super().__init__(text)
		self.answer = answer


def hand_over(published: list) -> None:
	"""Write a delivery of each event for each webhook that wants it, in the open transaction.

	`published`: rows with name, event_type, credit_account.
	"""
	hooks = published and frappe.get_all(
		DOCTYPE, {"enabled": 1}, ["name", "url", "events", "credit_account"], order_by="creation"
	)
	for event in published:
		for hook in hooks:
			wanted = credit_events.matches(patterns(hook.events), event.event_type)
			if wanted and hook.credit_account in (None, "", event.credit_account):
				_add(hook, event)


def patterns(text: str | None) -> list[str]:
	"""What a webhook's field *Events* lists."""
	return [line.strip() for line in (text or "").replace(",", "\n").splitlines() if line.strip()]


def _add(hook, event) -> None:
	delivery = frappe.new_doc(DELIVERY)
	delivery.update(
		{
			"webhook": hook.name,
			"url": hook.url,
			"event": event.name,
			"event_type": event.event_type,
			"credit_account": event.credit_account,
			"status": WAITING,
			"next_try_at": clock.now_datetime(),
		}
	)
	delivery.set_new_name()
	delivery.set_user_and_timestamp()
	delivery.db_insert()
	enqueue_after_commit(SEND, delivery.name, again=True)


def due() -> list[str]:
	"""Deliveries whose time has come, of webhooks that are enabled and do not rest."""
	now = clock.now()
	latest = clock.latest(now)
	found = frappe.db.sql(
		f"SELECT d.`name`, d.`next_try_at`, d.`lease_until`, w.`rests_until` FROM `tab{DELIVERY}` d"
		f" JOIN `tab{DOCTYPE}` w ON w.`name` = d.`webhook` AND w.`enabled` = 1"
		" WHERE d.`status` IN %s AND d.`next_try_at` <= %s AND (d.`lease_until` IS NULL OR d.`lease_until` <= %s)"
		" AND (w.`rests_until` IS NULL OR w.`rests_until` <= %s) ORDER BY d.`next_try_at` LIMIT 500",
		((WAITING, FAILED), latest, latest, latest),
	)
	return clock.due(found, now)


def send(name: str) -> str:
	"""Send one delivery. A word for the log; raises NotTaken, and what http.post does, where it was not taken."""
	if not lease.take(DELIVERY, name, LEASE):
		return "leased"
	row = frappe.db.get_value(DELIVERY, name, ["status", "webhook", "event"], as_dict=True)
	hook = frappe.db.exists(DOCTYPE, row.webhook) and frappe.get_doc(DOCTYPE, row.webhook)
	event = events.get(row.event)
	if event is None:
		raise NotTaken(_("The event has been cleared away."))
	if row.status == DELIVERED or not hook or not hook.enabled or not clock.is_past(hook.rests_until):
		_let_go(name, hook)
		return "rests"
	try:
		answer = _post(hook, event)
	except Exception as error:
		_note_failure(name, hook.name, error)
		raise
	_note_success(name, hook.name, answer)
	return "delivered"


def _let_go(name: str, hook) -> None:
	resting = hook and hook.enabled and hook.rests_until and not clock.is_past(hook.rests_until)
	values = {"lease_until": None, **({"next_try_at": hook.rests_until} if resting else {})}
	frappe.db.set_value(DELIVERY, name, values, update_modified=False)
	transactions.commit()


def _post(hook, event: dict) -> http.Answer:
	body = credit_events.body(event)
	headers = {
		"Content-Type": "application/json",
		"User-Agent": "crm_recharge",
		signing.HEADER: signing.signature(secrets_of(hook), body, int(clock.now().timestamp())),
	}
	# No transaction is open while a network is asked.
	frappe.db.rollback()
	answer = http.post(hook.url, body, headers)
	if not 200 <= answer.status < 300:
		raise NotTaken(_("It was answered with HTTP status {0}.").format(answer.status), answer)
	return answer


def secrets_of(hook) -> list[str]:
	"""What a webhook signs with at present: its secret, and for a day the one before."""
	secrets = [hook.get_password("secret")]
	if hook.previous_secret_until and not clock.is_past(hook.previous_secret_until):
		secrets.append(hook.get_password("previous_secret", raise_exception=False))
	return [secret for secret in secrets if secret]


def _status(error: Exception) -> int | None:
	answer = getattr(error, "answer", None)
	return answer.status if answer else None


def _note_success(name: str, hook: str, answer: http.Answer) -> None:
	now = clock.now_datetime()
	history = _history(name, str(answer.status), answer.milliseconds)
	values = {
		"status": DELIVERED,
		"delivered_at": now,
		"next_try_at": None,
		"lease_until": None,
		"outcome": None,
	}
	frappe.db.set_value(DELIVERY, name, values | _answer(answer) | {"history": history})
	well = {"last_success_at": now, "failing_since": None, "rests_until": None}
	frappe.db.set_value(DOCTYPE, hook, well, update_modified=False)
	transactions.commit()


def _answer(answer: http.Answer | None) -> dict:
	if answer is None:
		return {"response_status": 0, "response_body": None, "milliseconds": 0}
	return {
		"response_status": answer.status,
		"response_body": answer.text,
		"milliseconds": answer.milliseconds,
	}


def _history(name: str, what: str, milliseconds: int | None = None) -> str:
	lines = (frappe.db.get_value(DELIVERY, name, "history") or "").splitlines()
	took = f" · {milliseconds} ms" if milliseconds is not None else ""
	return "\n".join([*lines[-KEPT_TRIES:], f"{clock.now().isoformat(timespec='seconds')} · {what}{took}"])


def _note_failure(name: str, hook: str, error: Exception) -> None:
	"""Keep that a receiver fails; one that says it is gone, or has failed for days, is switched off and told."""
	frappe.db.rollback()
	gone, text = _status(error) == GONE, say(error, "", None, True)["outcome"]
	frappe.db.set_value(DELIVERY, name, "history", _history(name, text), update_modified=False)
	row = frappe.db.get_value(
		DOCTYPE, hook, ["enabled", "failing_since", "url"], as_dict=True, for_update=True
	)
	if not row or not row.enabled:
		transactions.commit()
		return
	now = clock.now()
	since = clock.read(row.failing_since) or now
	rest = min(max((now - since) / 10, RESTS[0]), RESTS[1])
	values = {"failing_since": clock.stored(since), "rests_until": clock.stored(now + rest)}
	if gone or now - since >= GIVES_UP_AFTER:
		why = (
			_("The receiver says that it is gone (HTTP status 410).")
			if gone
			else _("The receiver has taken nothing for {0} days.").format(GIVES_UP_AFTER.days)
		)
		values |= {"enabled": 0, "disabled_because": why}
		_tell_disabled(hook, row.url, why)
	frappe.db.set_value(DOCTYPE, hook, values)
	transactions.commit()


def _tell_disabled(hook: str, url: str, why: str) -> None:
	text = _(
		"Events are not sent to {0} any more. {1} What was missed can be read by events() of the API."
	).format(url, why)
	for path in frappe.get_hooks("crm_recharge_needs_person"):
		frappe.get_attr(path)(DOCTYPE, hook, text)


def say(error: Exception, trace: str, log: str | None, again: bool) -> dict:
	"""What a delivery keeps of a failure."""
	answer = getattr(error, "answer", None)
	text = frappe.utils.strip_html(str(error)).strip()[:500] or type(error).__name__
	return {"outcome": text, "lease_until": None, **_answer(answer)}


def send_again(name: str) -> None:
	"""Send a delivery once more, whatever became of it, from the start; in the open transaction."""
	values = {"status": WAITING, "tries": 0, "next_try_at": clock.now_datetime(), "lease_until": None}
	frappe.db.set_value(DELIVERY, name, values)
	hook = frappe.db.get_value(DELIVERY, name, "webhook")
	frappe.db.set_value(DOCTYPE, hook, "rests_until", None, update_modified=False)
	enqueue_after_commit(SEND, name, again=True)
