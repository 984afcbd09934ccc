"""Credit Events: what has happened to an account, for integrators. Written in the transaction in which it happens.

Readers go by an event's `position`. Transactions commit in another order than they write, so a position is given only
after the commit (publishing.py), by one at a time: who has read up to a position misses nothing that comes later.
"""

import json
import os
import time
from decimal import Decimal

import frappe

from crm_recharge import clock
from crm_recharge.domain.money import plain
from crm_recharge.outbox.queue import enqueue_after_commit

DOCTYPE, PUBLISH = "Credit Event", "publish_events"
ALL = "all"


def tell(
	event_type: str,
	account: str | None,
	data: dict,
	key: str | None = None,
	about: tuple[str, str] | None = None,
) -> None:
	"""Keep that `event_type` (of domain/credit_events.py) has happened to `account`; part of the transaction.

	`data`: amounts as Decimal or text. `key`: twice is once. `about`: DocType and name of the document it comes from.
	"""
	now = clock.now_datetime()
	of = (
		frappe.db.get_value("Credit Account", account, ["customer", "company", "currency"])
		if account
		else None
	)
	customer, company, currency = of or (None, None, data.get("currency"))
	frappe.db.sql(
		f"INSERT IGNORE INTO `tab{DOCTYPE}` (`name`, `creation`, `modified`, `owner`, `modified_by`, `event_type`,"
		" `credit_account`, `customer`, `company`, `currency`, `created_at`, `position`, `reference_doctype`,"
		" `reference_name`, `event_key`, `data`)"
		" VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 0, %s, %s, %s, %s)",
		(
			new_id(), now, now, frappe.session.user, frappe.session.user, event_type, account, customer, company,
			currency, now, *(about or (None, None)), key, json.dumps(_plain(data), ensure_ascii=False, indent=1),
		),
	)  # fmt: skip
	enqueue_after_commit(PUBLISH, ALL, again=True)


def new_id() -> str:
	"""An event's id: milliseconds, then chance, so that ids sort by the time they were made."""
	return f"evt_{time.time_ns() // 1_000_000:011x}{os.urandom(8).hex()}"


def _plain(data: dict) -> dict:
	return {key: plain(value) if isinstance(value, Decimal) else value for key, value in data.items()}


# -- reading -------------------------------------------------------------------------------------------------

COLUMNS = "`name`, `event_type`, `position`, `created_at`, `credit_account`, `data`"


def read(after: int, limit: int, condition: str = "", account: str | None = None, types=()) -> list[dict]:
	"""Published events past position `after`, in order.

	`condition`: SQL over `tabCredit Event`, with single percent signs. `types`: patterns.
	"""
	where = ["`position` > %(after)s"]
	if condition:
		where.append(f"({condition.replace('%', '%%')})")
	if account:
		where.append("`credit_account` = %(account)s")
	if types:
		where.append("`event_type` IN %(types)s")
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	rows = frappe.db.sql(
		f"SELECT {COLUMNS} FROM `tab{DOCTYPE}` WHERE {' AND '.join(where)} ORDER BY `position` LIMIT %(limit)s",
		{"after": after, "account": account, "types": tuple(types), "limit": limit},
		as_dict=True,
	)
	return [as_sent(row) for row in rows]


def as_sent(row) -> dict:
	"""An event as integrators get it, by API and by webhook alike."""
	return {
		"id": row.name,
		"type": row.event_type,
		"position": row.position,
		"created": clock.read(row.created_at).isoformat().replace("+00:00", "Z"),
		"account": row.credit_account,
		"data": json.loads(row.data or "{}"),
	}


def get(name: str) -> dict | None:
	"""One event as integrators get it."""
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	rows = frappe.db.sql(f"SELECT {COLUMNS} FROM `tab{DOCTYPE}` WHERE `name` = %s", name, as_dict=True)
	return as_sent(rows[0]) if rows else None
