"""Recharging by hand: the same path as an automatic one, started by a person or a program."""

import frappe

from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.errors import for_people
from crm_recharge.credits.store import lock_account
from crm_recharge.domain import chain
from crm_recharge.domain.errors import IdempotencyConflict
from crm_recharge.domain.money import parse_positive, plain
from crm_recharge.domain.usage import read_key
from crm_recharge.doors.guard import new


@for_people
@retry_on_contention
def start(account: str, amount, idempotency_key: str, card: str | None = None, origin: str = "Desk") -> dict:
	"""Authorise a recharge of `amount` (account's currency); the worker charges it.

	`card` is a Recharge Card; without it the setting's cards are tried in order. The same key gives the same
	recharge again. Returns recharge, status, amount. Raises credits.errors. The caller commits.
	"""
	amount, idempotency_key = parse_positive(amount), read_key(idempotency_key)
	# The lock first, then what is there now: of two clicks the second waits here and finds the first.
	account = lock_account(account)[0].name
	key = chain.request_key(account, "Recharge by hand", idempotency_key)
	known = frappe.db.get_value(
		"Recharge", {"request_key": key}, ["name", "amount", "card"], as_dict=True, for_update=True
	)
	if known:
		return _first_again(known, amount, card, idempotency_key)
	doc = new(
		"Recharge",
		{
			"credit_account": account,
			"origin": origin,
			"amount": str(amount),
			"card": card,
			"idempotency_key": idempotency_key,
			"request_key": key,
			"requested_by": frappe.session.user,
		},
	)
	doc.flags.ignore_permissions = True
	doc.insert()
	doc.submit()
	return {"recharge": doc.name, "status": doc.status, "amount": plain(amount), "repeated": False}


def _first_again(known, amount, card, idempotency_key) -> dict:
	if parse_positive(known.amount) != amount or (known.card or None) != (card or None):
		raise IdempotencyConflict(
			"idempotency_conflict",
			key=idempotency_key,
			first={"recharge": known.name, "amount": plain(parse_positive(known.amount)), "card": known.card},
			now={"amount": plain(amount), "card": card},
		)
	status = frappe.db.get_value("Recharge", known.name, "status")
	return {"recharge": known.name, "status": status, "amount": plain(amount), "repeated": True}
