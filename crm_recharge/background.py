"""All background work of the app that is about a row: the one place that says what there is.

Each is swept each minute, unless it says otherwise (outbox/sweep.py); what happens with time alone stands in hooks.py.
"""

from datetime import timedelta

from crm_recharge.accounting.rows import BACK_OFF, DONE, FAILED, NOT_NEEDED, PENDING, SETTLED
from crm_recharge.domain import payment, refund, takeback
from crm_recharge.domain.back_off import doubling, minutes
from crm_recharge.outbox.work import FILLED, Due, Retry, Told, Work

AT_HOME = "crm_recharge.gateway.home.is_home"
"""On a copied or moved site nothing is asked of the gateway before a person has confirmed it."""
NEEDS_PERSON = "crm_recharge.recharge.notices.needs_person"
ENDED = (
	payment.SUCCEEDED,
	payment.FAILED,
	payment.CANCELLED,
	takeback.PARTLY_REFUNDED,
	takeback.REFUNDED,
	takeback.DISPUTED,
	takeback.CHARGED_BACK,
)

# -- money: these keep their own leases and times, as their machines in domain/ say -----------------------------

CARRY_OUT = Work(
	name=payment.CARRY_OUT,
	doctype="Recharge",
	job="crm_recharge.recharge.worker.carry_out",
	due=Due(
		where={"status": payment.WORKABLE},
		free=("lease_until", "next_try_at"),
		order=("lease_until", "creation"),
	),
	only_if=AT_HOME,
)
CLOSE_UP = Work(
	name=payment.CLOSE_UP,
	doctype="Recharge",
	job="crm_recharge.recharge.worker.close_up",
	due=Due(where={"status": ENDED}, come=("next_try_at",), order=("next_try_at",)),
	only_if=AT_HOME,
)
EXPIRE_ACTION = Work(
	name="expire_action",
	doctype="Recharge",
	job="crm_recharge.recharge.worker.expire_action",
	due=Due(where={"status": (payment.ACTION_REQUIRED,)}, come=("next_try_at",), order=("next_try_at",)),
	only_if=AT_HOME,
)
SEND_REFUND = Work(
	name=refund.CARRY_OUT,
	doctype="Recharge Refund",
	job="crm_recharge.recharge.refunds.carry_out",
	due=Due(
		where={"status": takeback.OPEN_REFUND},
		free=("lease_until", "next_ask_at"),
		order=("lease_until", "creation"),
	),
	only_if=AT_HOME,
)
LOOK_AGAIN = Work(
	name="look_at_threshold_again",
	doctype="Credit Account",
	job="crm_recharge.recharge.threshold.look_again",
	due="crm_recharge.recharge.threshold.freed",
	only_if=AT_HOME,
)
EXPIRE_LOTS = Work(
	name="expire_lots",
	doctype="Credit Account",
	job="crm_recharge.credits.expiry.post",
	due="crm_recharge.credits.expiry.due",
	queue="long",
	every=60,
	limit=20_000,
)

# -- what the gateway tells ------------------------------------------------------------------------------------

GATEWAY_EVENT = Work(
	name="gateway_event",
	doctype="Gateway Event",
	job="crm_recharge.recharge.events.process",
	due=(
		# One that has just come has a job of its own.
		Due(where={"status": ("Received",)}, older=timedelta(seconds=20)),
		Due(where={"status": ("Failed",)}, come=("next_try_at",)),
	),
	limit=500,
	only_if=AT_HOME,
	retry=Retry(
		back_off=doubling(timedelta(seconds=30), timedelta(hours=6), tries=12),
		tries="tries",
		next_try="next_try_at",
		done={"status": ("Processed", "Ignored")},
		failed={"status": "Failed"},
		says="crm_recharge.recharge.events.say",
		title="Event {0} of the gateway was given up",
		told=Told.GIVEN_UP,
		tells=NEEDS_PERSON,
	),
)

# -- the books -------------------------------------------------------------------------------------------------


def _books(name: str, doctype: str, job: str, due, title: str) -> Work:
	"""Documents in ERPNext: tried again for ever, for a period may be reopened next week."""
	return Work(
		name=name,
		doctype=doctype,
		job=job,
		due=due,
		queue="default",
		retry=Retry(
			back_off=BACK_OFF,
			tries="accounting_tries",
			next_try="accounting_next_try_at",
			done={"accounting_status": (DONE, NOT_NEEDED)},
			failed={"accounting_status": FAILED},
			says="crm_recharge.accounting.rows.say",
			title=title,
		),
	)


def _mail(name: str, doctype: str, job: str, mailed: str, says: str, title: str) -> Work:
	"""A document by mail: some three days, then it waits for a person, for an address that is missing stays missing."""
	return Work(
		name=name,
		doctype=doctype,
		job=job,
		due=Due(
			where={"accounting_status": (DONE,)},
			come=("accounting_next_try_at",),
			empty=(mailed,),
			order=("accounting_next_try_at",),
		),
		queue="default",
		retry=Retry(
			back_off=minutes(2, 10, 60, 360, 1440, tries=8),
			tries="accounting_tries",
			next_try="accounting_next_try_at",
			done={mailed: FILLED},
			says=says,
			title=title,
			tells=NEEDS_PERSON,
		),
	)


def _due_books(**more) -> tuple[Due, ...]:
	# Each reads one stretch of the index on (accounting_status, accounting_next_try_at).
	order = ("accounting_next_try_at", "creation")
	never = more | {"order": order, "free": ("accounting_next_try_at",)}
	failed = more | {"order": order, "come": ("accounting_next_try_at",)}
	where = more.get("where", {})
	return (
		Due(**never | {"where": where | {"accounting_status": (PENDING,)}}),
		Due(**failed | {"where": where | {"accounting_status": (FAILED,)}}),
	)


ACCOUNT_FOR = _books(
	payment.ACCOUNT_FOR,
	"Recharge",
	"crm_recharge.accounting.posting.account_for",
	(
		*_due_books(where={"status": SETTLED}, filled=("settled_intent",)),
		Due(
			where={"status": SETTLED, "accounting_status": (None, "")},
			filled=("settled_intent",),
			free=("accounting_next_try_at",),
		),
	),
	"Accounting for recharge {0}",
)
ACCOUNT_FOR_REFUND = _books(
	takeback.ACCOUNT_FOR_REFUND,
	"Recharge Refund",
	"crm_recharge.accounting.refunds.account_for",
	_due_books(),
	"Accounting for {0}",
)
ACCOUNT_FOR_DISPUTE = _books(
	takeback.ACCOUNT_FOR_DISPUTE,
	"Recharge Dispute",
	"crm_recharge.accounting.disputes.account_for",
	_due_books(),
	"Accounting for {0}",
)
DEBT_PAID = Work(
	name="lost_dispute_paid_since",
	doctype="Recharge Dispute",
	job="crm_recharge.accounting.disputes.account_for_paid_debt",
	due="crm_recharge.accounting.disputes.paid_since",
	queue="default",
	every=3,
)
MAIL_INVOICE = _mail(
	"mail_invoice",
	"Recharge",
	"crm_recharge.accounting.mailing.mail_invoice",
	"invoice_mailed_at",
	"crm_recharge.accounting.mailing.say",
	"Mailing the invoice of recharge {0}",
)
MAIL_CREDIT_NOTE = _mail(
	"mail_credit_note",
	"Recharge Refund",
	"crm_recharge.accounting.refunds.mail_credit_note",
	"credit_note_mailed_at",
	"crm_recharge.accounting.refunds.say",
	"Mailing the credit note of {0}",
)

# -- people and learning ---------------------------------------------------------------------------------------

TELL_DECISION = Work(
	name="tell_decision",
	doctype="Recharge Decision",
	job="crm_recharge.recharge.decisions.tell",
	due=Due(where={"tell": (1,)}, empty=("told_at",)),
	limit=100,
)
TELL_AWAY = Work(
	name="tell_that_payments_rest",
	doctype="CRM Recharge Settings",
	job="crm_recharge.recharge.moving.tell",
	due="crm_recharge.recharge.moving.due",
)
LEARN_ANEW = Work(
	name="learn_customer_anew",
	doctype="Customer",
	job="crm_recharge.reorder.learning.repair.take_up",
	due="crm_recharge.reorder.learning.repair.due",
	queue="long",
	every=60,
	limit=500,
)

# -- telling others --------------------------------------------------------------------------------------------

TELL_LISTENERS = Work(
	name="tell_listeners",
	doctype="Outbox Change",
	job="crm_recharge.outbox.telling.tell_all",
	due="crm_recharge.outbox.changes.due",
	limit=500,
)
NOTICE_CHANGES = Work(
	name="notice_changes",
	doctype="Outbox Change",
	job="crm_recharge.outbox.changes.notice",
	due="crm_recharge.outbox.changes.unnoticed",
)
DELIVER_AGAIN = Work(
	name="deliver_again",
	doctype="Outbox Delivery",
	job="crm_recharge.outbox.deliveries.deliver_again",
	due=Due(
		where={"status": ("Waiting", "Failed")},
		come=("next_try_at",),
		free=("lease_until",),
		order=("next_try_at",),
	),
	queue="default",
	limit=500,
	retry=Retry(
		back_off=minutes(1, 5, 30, 120, 360, 720, 1440, tries=10),
		tries="tries",
		next_try="next_try_at",
		done={"status": ("Delivered",)},
		failed={"status": "Failed"},
		says="crm_recharge.outbox.deliveries.say",
		title="A listener did not hear of a change: {0}",
		tells=NEEDS_PERSON,
	),
)
PUBLISH_EVENTS = Work(
	name="publish_events",
	doctype="Credit Event",
	job="crm_recharge.outbox.publishing.publish",
	due="crm_recharge.outbox.publishing.due",
)
SEND_WEBHOOK = Work(
	name="send_webhook",
	doctype="Credit Webhook Delivery",
	job="crm_recharge.outbox.webhooks.send",
	due="crm_recharge.outbox.webhooks.due",
	queue="default",
	limit=500,
	retry=Retry(
		back_off=minutes(1, 5, 30, 120, 300, 600, 1200, 1440, tries=11),
		tries="tries",
		next_try="next_try_at",
		done={"status": ("Delivered",)},
		failed={"status": "Failed"},
		says="crm_recharge.outbox.webhooks.say",
		title="Webhook delivery {0} was given up",
		told=Told.GIVEN_UP,
	),
)

WORK = (
	CARRY_OUT,
	GATEWAY_EVENT,
	SEND_REFUND,
	CLOSE_UP,
	EXPIRE_ACTION,
	LOOK_AGAIN,
	TELL_DECISION,
	TELL_AWAY,
	ACCOUNT_FOR,
	ACCOUNT_FOR_REFUND,
	ACCOUNT_FOR_DISPUTE,
	DEBT_PAID,
	MAIL_INVOICE,
	MAIL_CREDIT_NOTE,
	EXPIRE_LOTS,
	LEARN_ANEW,
	TELL_LISTENERS,
	NOTICE_CHANGES,
	DELIVER_AGAIN,
	PUBLISH_EVENTS,
	SEND_WEBHOOK,
)
