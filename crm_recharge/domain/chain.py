"""The hash chain of a ledger: each row carries the hash of the row before, so that a changed row shows.

SHA-256 over the fields in a fixed order and form, joined by the unit separator (which no field may hold).
"""

import hashlib
from functools import lru_cache
from typing import Any

from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import ZERO, stored

SEPARATOR = "\x1f"
GENESIS = ""


def link(account: str, entry: Any) -> str:
	"""Hash of `entry` (a book.Entry, or anything with its fields) on top of `entry.previous_hash`.

	Raises InvalidRequest separator_in_text: a field with the separator could pass for two others.
	"""
	fields = (
		entry.previous_hash,
		account,
		str(entry.sequence),
		entry.name,
		entry.entry_type,
		stored(entry.amount),
		stored(entry.balance_after),
		moment(entry.posted_at),
		moment(entry.occurred_at),
		entry.request_key,
		entry.lots_json,
		entry.category or "",
		stored(entry.quantity or ZERO),
		entry.team or "",
		entry.user or "",
		entry.note or "",
		entry.reference_name or "",
		entry.gateway_reference or "",
	)
	text = SEPARATOR.join(fields)
	if text.count(SEPARATOR) != len(fields) - 1:
		raise InvalidRequest("separator_in_text", entry=entry.name)
	return hashlib.sha256(text.encode()).hexdigest()


def request_key(account: str, entry_type: str, idempotency_key: str) -> str:
	"""The ledger's unique key of one movement: exact where a column's collation would fold case."""
	return hashlib.sha256(SEPARATOR.join((account, entry_type, idempotency_key)).encode()).hexdigest()[:40]


def request_hash(*content: Any) -> str:
	"""A short hash of what a request asked for, to tell a repeat from another request under the same key."""
	text = SEPARATOR.join("" if part is None else str(part) for part in content)
	return hashlib.sha256(text.encode()).hexdigest()[:24]


@lru_cache(maxsize=256)
def moment(value: Any) -> str:
	"""A time as the ledger stores it, to the microsecond."""
	return value.isoformat(" ", "microseconds")
