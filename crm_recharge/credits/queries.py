"""Reading an account: balance and statement."""

from datetime import datetime
from decimal import Decimal

import frappe

from crm_recharge import clock
from crm_recharge.credits.errors import UnknownAccountError, messages, refuse
from crm_recharge.credits.money import as_text, exact
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import ZERO, plain
from crm_recharge.domain.usage import is_readable

LONGEST_STATEMENT = 10_000


def read_account(account: str) -> frappe._dict:
	"""The account's row, its money as exact text. Raises UnknownAccountError (404)."""
	rows = frappe.db.sql(
		"SELECT `name`, `customer`, `company`, `currency`, `status`, `open_recharge`, `held_because`, `sequence`, "
		f"{as_text('balance', 'overdraft_limit')} FROM `tabCredit Account` WHERE `name` = %s",
		(account if is_readable(account) else "",),
		as_dict=True,
	)
	if not rows:
		text = messages()["unknown_account"].format(account=frappe.utils.escape_html(str(account)[:140]))
		refuse(UnknownAccountError, "unknown_account", text, {"account": str(account)[:140]})
	return rows[0]


def balance(account: str) -> dict:
	"""Balance now, what may still be spent, and the recharge under way; amounts as text."""
	row = read_account(account)
	pending = None
	if row.open_recharge:
		# nosemgrep: frappe-sql-format-injection -- as_text() of a constant
		found = frappe.db.sql(
			f"SELECT `status`, {as_text('amount')} FROM `tabRecharge` WHERE `name` = %s",
			(row.open_recharge,),
			as_dict=True,
		)
		if found:
			pending = {
				"recharge": row.open_recharge,
				"status": found[0].status,
				"amount": plain(exact(found[0].amount)),
			}
	return {
		"account": row.name,
		"currency": row.currency,
		"status": row.status,
		"balance": plain(exact(row.balance)),
		"available": plain(exact(row.balance) + exact(row.overdraft_limit)),
		"pending": pending,
	}


def statement(
	account: str, start: datetime | None, end: datetime | None, limit: int = LONGEST_STATEMENT
) -> dict:
	"""All movements from `start` (included) to `end` (left out) with the balances before and after.

	Times in the site's zone. At most `limit` rows come, `truncated` says so; the sums count all rows. The end
	of one period is the beginning of the next. Raises UnknownAccountError, InvalidRequest period_backwards.
	"""
	row = read_account(account)
	if start and end and clock.read(end) < clock.read(start):
		raise InvalidRequest("period_backwards", start=str(start), end=str(end))
	account = row.name
	since, values = clock.from_on("`posted_at`", clock.read(start)) if start else ("1", ())
	where, values = f"`credit_account` = %s AND {since}", (account, *values)
	if end:
		beyond, more = clock.from_on("`posted_at`", clock.read(end))
		where, values = f"{where} AND NOT {beyond}", (*values, *more)
	rows = frappe.db.sql(
		"SELECT `name`, `sequence`, `posted_at`, `occurred_at`, `entry_type`, `category`, `team`, `user`, `note`, "
		f"`idempotency_key`, `reference_type`, `reference_name`, {as_text('amount', 'balance_after', 'quantity')}"
		f" FROM `tabCredit Ledger` WHERE {where} ORDER BY `sequence` LIMIT %s",
		(*values, limit),
		as_dict=True,
	)
	sums = frappe.db.sql(
		f"SELECT `entry_type`, CAST(SUM(`amount`) AS CHAR), COUNT(*) FROM `tabCredit Ledger` WHERE {where}"
		" GROUP BY `entry_type`",
		values,
	)
	opening = _sum_before(account, start) if start else ZERO
	moved = sum((exact(total) for _, total, _ in sums), Decimal(0))
	for entry in rows:
		for field in ("amount", "balance_after", "quantity"):
			entry[field] = plain(exact(entry[field]))
	return {
		"account": account,
		"currency": row.currency,
		"opening_balance": plain(opening),
		"closing_balance": plain(opening + moved),
		"totals": {kind: {"amount": plain(exact(total)), "rows": count} for kind, total, count in sums},
		"rows": rows,
		"truncated": len(rows) == limit and sum(count for _, _, count in sums) > limit,
	}


def _sum_before(account: str, start: datetime) -> Decimal:
	"""Sum of the movements posted before `start`.

	It is the balance after the last of them, less what stands before that one in number but not in time: the
	clocks of two servers differ, and an hour comes twice when summer time ends.
	"""
	since, values = clock.from_on("`posted_at`", clock.read(start))
	last = frappe.db.sql(
		"SELECT `sequence`, CAST(`balance_after` AS CHAR) FROM `tabCredit Ledger`"
		f" WHERE `credit_account` = %s AND NOT {since} ORDER BY `sequence` DESC LIMIT 1",
		(account, *values),
	)
	if not last:
		return ZERO
	sequence, balance_after = last[0]
	later = frappe.db.sql(
		"SELECT CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger` WHERE `credit_account` = %s"
		f" AND {since} AND `sequence` < %s",
		(account, *values, sequence),
	)
	return exact(balance_after) - exact(later[0][0])
