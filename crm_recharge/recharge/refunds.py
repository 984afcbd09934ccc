"""Refunds: asked for here, made in the gateway's dashboard, or of a capture that bought nothing.

The rules are the machines of domain/refund.py; this room starts them.
"""

import frappe

from crm_recharge import transactions
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.errors import for_people
from crm_recharge.domain import chain, refund
from crm_recharge.domain.answers import Answer, RefundAnswer
from crm_recharge.domain.errors import IdempotencyConflict, InvalidRequest
from crm_recharge.domain.money import parse_positive, plain
from crm_recharge.domain.takeback import ORPHAN
from crm_recharge.domain.usage import read_key
from crm_recharge.gateway import home
from crm_recharge.gateway.registry import connect
from crm_recharge.recharge import takebacks
from crm_recharge.recharge.payments import owner_of
from crm_recharge.recharge.performer import perform


@for_people
@retry_on_contention
def request(recharge: str, idempotency_key: str, amount=None, reason: str | None = None) -> dict:
	"""Refund a paid recharge: all that is unused of it, or `amount` of that (the recharge's currency).

	The credits are taken and committed here; the gateway is asked in the background. The same key gives the
	same refund again. Returns refund, status, amount, currency, repeated. Raises credits.errors.
	"""
	amount = None if amount in (None, "") else parse_positive(amount)
	reason = (reason or "").strip()[:500]
	if not reason:
		raise InvalidRequest("reason_missing")
	account = frappe.db.get_value("Recharge", recharge, "credit_account")
	if not account:
		raise InvalidRequest("unknown_recharge", recharge=str(recharge)[:140])
	key = chain.request_key(account, "Refund by request", read_key(idempotency_key))
	content = chain.request_hash(recharge, "" if amount is None else plain(amount))
	wanted = "RF-" + frappe.generate_hash(length=12).upper()
	details = {
		"reason": reason,
		"requested_by": frappe.session.user,
		"idempotency_key": idempotency_key,
		"request_hash": content,
	}
	name = perform(refund.request(account, recharge, wanted, amount, key, details))
	row = _row(name)
	if row.request_hash != content:
		raise IdempotencyConflict(
			"idempotency_conflict",
			key=idempotency_key,
			first={"refund": name, "recharge": row.recharge, "amount": plain(row.amount)},
			now={"recharge": recharge, "amount": None if amount is None else plain(amount)},
		)
	return {
		"refund": name,
		"recharge": recharge,
		"status": row.status,
		"amount": plain(row.amount),
		"currency": row.currency,
		"repeated": name != wanted,
	}


def _row(name: str):
	row = frappe.db.get_value(
		"Recharge Refund", name, ["recharge", "status", "currency", "request_hash"], as_dict=True
	)
	money = frappe.db.sql("SELECT CAST(`amount` AS CHAR) FROM `tabRecharge Refund` WHERE `name` = %s", name)
	row.amount = parse_positive(money[0][0])
	return row


# -- carrying out --------------------------------------------------------------------------------------------


def carry_out(name: str) -> str:
	"""Work on one refund until the gateway has answered, or must be asked later. Returns a word for the log.

	Harmless to run twice or at once: the lease lets one run work, the key makes a repeat the same request.
	"""
	frappe.set_user("Administrator")
	row = frappe.db.get_value("Recharge Refund", name, ["credit_account", "recharge"], as_dict=True)
	if not row:
		return "missing"
	if not home.is_home():
		return "away"
	worker = frappe.generate_hash(length=16)
	return perform(refund.carry_out(row.credit_account, row.recharge, name, worker))


# -- hearing of them -----------------------------------------------------------------------------------------


def follow(intent: str | None, gateway: str | None = None) -> str:
	"""Bring all refunds of a payment in line with what the gateway has of them now. Returns a word.

	`gateway` names the one that has it; without it, the site's own. A payment that is not settled here yet is settled
	first. Raises GatewayError when the gateway cannot be
	asked. Owns its transactions.
	"""
	if not intent:
		return "no payment"
	owner = owner_of(intent, gateway)
	if isinstance(owner, str):
		return owner
	frappe.db.rollback()
	answers = connect(gateway).list_refunds(intent)
	words = [perform(refund.hear(owner.account, owner.recharge, a, _name_of(a))) for a in reversed(answers)]
	return ", ".join(words) or "no refunds"


def _name_of(answer: RefundAnswer) -> str | None:
	"""The row here that `answer` is about; that it is of the same money is the machine's to see."""
	return refund.named_by(answer, takebacks.refunds_of(answer.intent))


# -- captures that bought nothing (second ones are written down where they are settled: takebacks.duplicate) --


def orphan(answer: Answer, gateway: str | None = None) -> str | None:
	"""Write down that a capture without a recharge is refunded, and commit.

	Returns the refund's name, None when it was known.
	"""
	account = answer.metadata.get("account")
	if not (account and frappe.db.exists("Credit Account", account)):
		account = None
	name = takebacks.write_down(ORPHAN, answer, None, account, gateway=gateway)
	transactions.commit()
	return name
