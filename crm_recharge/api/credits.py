"""Credits over REST: charge usage, read balance and statement.

Amounts go in and come out as text (numbers are taken too), in the account's currency. Errors carry
`exc_type`, a text, and `error` with a code and its figures.
"""

import re

import frappe

from crm_recharge.credits import expiry, ledger, proof, queries, usage
from crm_recharge.credits.errors import for_people
from crm_recharge.credits.usage import read_time
from crm_recharge.domain.inputs import Amount, Flag, Key, Rows
from crm_recharge.domain.usage import is_readable
from crm_recharge.doors import sight
from crm_recharge.intake import intake


def _check(account: str, ptype: str) -> None:
	"""The caller must be allowed `ptype` on the ledger and may see this account."""
	sight.check("Credit Ledger", ptype)
	if frappe.session.user == "Administrator" or not is_readable(account) or sight.may_see_account(account):
		return
	# One that is not there goes on, to be answered with 404 by whoever looks it up: for those from whom none is kept.
	if sight.accounts() or frappe.db.exists("Credit Account", account):
		sight.check_account(account)


@frappe.whitelist(methods=["POST"])
@intake
def charge(
	account: str,
	amount: Amount | None = None,
	category: str | None = None,
	quantity: Amount | None = None,
	idempotency_key: Key | None = None,
	team: str | None = None,
	user: str | None = None,
	note: str | None = None,
	occurred_at: str | None = None,
	currency: str | None = None,
) -> dict:
	"""Charge usage to a credit account.

	`amount` (account's currency), or `quantity` × the unit price of `category`. `idempotency_key` is required:
	the same key with the same content gives the first answer again. Returns entry, amount, balance_after,
	recharge_started, recharge, repeated. Errors: 402 InsufficientCreditsError, 409 IdempotencyConflictError,
	404 UnknownAccountError, 403 AccountClosedError, 422 InvalidRequestError; then nothing is written.
	"""
	_check(account, "create")
	return usage.charge(
		account,
		{
			"amount": amount,
			"category": category,
			"quantity": quantity,
			"idempotency_key": idempotency_key,
			"team": team,
			"user": user,
			"note": note,
			"occurred_at": occurred_at,
			"currency": currency,
		},
	)


@frappe.whitelist(methods=["POST"])
@intake
def charge_many(account: str, events: Rows) -> dict:
	"""Charge up to 10,000 usages in one transaction, all or none, with one threshold check at the end.

	Each event is an object with the parameters of `charge` and its own idempotency_key. Returns charged,
	repeats, amount, balance_after, entries, recharge_started, recharge. Errors as `charge`, naming the event.
	"""
	_check(account, "create")
	return usage.charge_many(account, events)


@frappe.whitelist(methods=["GET", "POST"])
@intake
def balance(account: str) -> dict:
	"""Balance, what may still be spent, and the recharge under way (pending until the gateway confirms)."""
	_check(account, "read")
	return queries.balance(account)


@frappe.whitelist(methods=["GET", "POST"])
@intake(aliases={"from": "from_date", "to": "to_date"})
@for_people
def statement(account: str, from_date: str | None = None, to_date: str | None = None) -> dict:
	"""Movements between `from` (included) and `to` (left out): ISO 8601 times, also as from_date and to_date."""
	_check(account, "read")
	start, end = read_time(from_date, "from"), read_time(to_date, "to")
	return queries.statement(account, start, end)


@frappe.whitelist(methods=["POST"])
@intake
def grant(
	account: str,
	amount: Amount | None = None,
	idempotency_key: Key | None = None,
	note: str | None = None,
	expires_at: str | None = None,
	priority: int = 10,
) -> dict:
	"""Give promotional credits. For Credit Managers. Returns the same answer as `charge`."""
	frappe.only_for(("Credit Manager", "System Manager"))
	_check(account, "create")
	return ledger.grant(
		account, amount, idempotency_key, note, for_people(_read_expiry)(account, expires_at), priority
	)


def _read_expiry(account: str, value: str | None):
	"""A date means: to the end of that day in the account's time zone. A time is taken as it is."""
	if value and re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(value).strip()):
		read_time(value, "expires_at")
		zone = frappe.db.get_value("Credit Account", account, "time_zone")
		return expiry.end_of(str(value).strip(), zone)
	return read_time(value, "expires_at")


@frappe.whitelist(methods=["GET", "POST"])
@intake
def verify(account: str) -> dict:
	"""Prove an account: recompute balance, lots and hash chain, and say where they break.

	Returns holds, rows, balance, last_hash, checkpoints, breaks.
	"""
	_check(account, "read")
	return proof.verify(account)


@frappe.whitelist(methods=["GET", "POST"])
@intake
def export(account: str) -> dict:
	"""The whole ledger with its hashes, for a proof elsewhere: `python -m crm_recharge.domain.proof FILE`."""
	_check(account, "read")
	return proof.export(account)


@frappe.whitelist(methods=["POST"])
@intake
def adjust(
	account: str,
	amount: Amount | None = None,
	note: str | None = None,
	idempotency_key: Key | None = None,
	allow_debt: Flag = False,
) -> dict:
	"""Correct a balance by a signed amount, with the reason. For Credit Managers.

	Returns the same answer as `charge`, `amount` signed. What would leave a debt is refused (422 would_leave_debt)
	unless `allow_debt`.
	"""
	frappe.only_for(("Credit Manager", "System Manager"))
	_check(account, "create")
	return ledger.adjust(account, amount, idempotency_key, note, allow_debt)


@frappe.whitelist(methods=["POST"])
@intake
def reverse(entry: str, note: str) -> dict:
	"""Undo a usage, grant or adjustment by a row of its own. For Credit Managers."""
	frappe.only_for(("Credit Manager", "System Manager"))
	account = frappe.db.get_value("Credit Ledger", entry, "credit_account")
	if account:
		_check(account, "create")
	return ledger.reverse(entry, note)
