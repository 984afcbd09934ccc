"""What a request to charge credits must look like, and what it costs."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from crm_recharge.domain import chain
from crm_recharge.domain.errors import IdempotencyConflict, InvalidRequest, shown
from crm_recharge.domain.money import multiply, parse_positive, plain

LONGEST_KEY = 140
MARKUP = re.compile(r"<\s*[A-Za-z/!?]")
"""Texts are kept to the letter and shown in the desk, so none may be markup there."""
LONGEST_NOTE = 1000
LARGEST_BATCH = 10_000
CLOCK_SKEW = timedelta(minutes=10)
"""How far in the future a usage may claim to have happened."""

FIELDS = (
	"amount",
	"category",
	"quantity",
	"idempotency_key",
	"team",
	"user",
	"note",
	"occurred_at",
	"currency",
)


_FIELDS = frozenset(FIELDS)


@dataclass(frozen=True, slots=True)
class Price:
	"""Unit price of a usage category, in `currency`."""

	unit_price: Decimal
	currency: str
	disabled: bool = False


class UsageRequest(NamedTuple):
	"""One usage to charge. `amount` is None when it is `quantity` × the category's unit price."""

	idempotency_key: str
	amount: Decimal | None = None
	category: str | None = None
	quantity: Decimal | None = None
	team: str | None = None
	user: str | None = None
	note: str | None = None
	occurred_at: datetime | None = None
	currency: str | None = None

	@property
	def fingerprint(self) -> str:
		"""Hash of what was asked, without the key: tells a repeat from another request under the same key."""
		return chain.request_hash(
			self.amount and plain(self.amount),
			self.category,
			self.quantity and plain(self.quantity),
			self.team,
			self.user,
			self.note,
			self.occurred_at and chain.moment(self.occurred_at),
		)


def read(raw: dict[str, Any], now: datetime) -> UsageRequest:
	"""Check the form of one request; `occurred_at` comes as datetime or None, `now` in the same time zone.

	Raises InvalidRequest: unknown_field, missing_key, key_too_long, amount_or_quantity, amount_and_quantity,
	quantity_without_category, not_text, unreadable_text, text_too_long, in_the_future, and what money.parse
	raises.
	"""
	if not raw.keys() <= _FIELDS:
		unknown = sorted(str(field) for field in set(raw) - _FIELDS)
		raise InvalidRequest("unknown_field", fields=", ".join(unknown)[:200], known=", ".join(FIELDS))
	key = read_key(raw.get("idempotency_key"))
	amount, quantity, category = raw.get("amount"), raw.get("quantity"), text(raw, "category")
	if amount is None and quantity is None:
		raise InvalidRequest("amount_or_quantity")
	if amount is not None and quantity is not None:
		raise InvalidRequest("amount_and_quantity")
	if quantity is not None and not category:
		raise InvalidRequest("quantity_without_category")
	occurred_at = raw.get("occurred_at")
	if occurred_at is not None and occurred_at > now + CLOCK_SKEW:
		raise InvalidRequest("in_the_future", value=str(occurred_at), now=str(now))
	return UsageRequest(
		idempotency_key=key,
		amount=None if amount is None else parse_positive(amount, "amount"),
		category=category,
		quantity=None if quantity is None else parse_positive(quantity, "quantity"),
		team=text(raw, "team"),
		user=text(raw, "user"),
		note=text(raw, "note", LONGEST_NOTE),
		occurred_at=occurred_at,
		currency=text(raw, "currency"),
	)


def read_key(key: Any) -> str:
	"""An idempotency key: 1 to 140 printable characters (or a whole number), kept exactly as given."""
	if key is None or (isinstance(key, str) and not key.strip()):
		raise InvalidRequest("missing_key")
	key = _as_text(key, "idempotency_key")
	if len(key) > LONGEST_KEY or not key.isprintable():
		raise InvalidRequest("key_too_long", length=len(key), limit=LONGEST_KEY)
	if MARKUP.search(key):
		raise InvalidRequest("markup", field="idempotency_key")
	return key


def text(raw: dict[str, Any], field: str, longest: int = 140) -> str | None:
	"""A text field of a request, stripped; empty is None."""
	value = raw.get(field)
	if value is None:
		return None
	value = _as_text(value, field).strip()
	if not is_readable(value):
		raise InvalidRequest("unreadable_text", field=field)
	if len(value) > longest:
		raise InvalidRequest("text_too_long", field=field, length=len(value), limit=longest)
	if MARKUP.search(value):
		raise InvalidRequest("markup", field=field)
	return value or None


def _as_text(value: Any, field: str) -> str:
	# A number that is longer than any text may be is one that Python refuses to write out.
	if (
		isinstance(value, bool)
		or not isinstance(value, str | int)
		or (isinstance(value, int) and abs(value) >= 10**140)
	):
		raise InvalidRequest("not_text", field=field, value=shown(value))
	return str(value)


def is_readable(text: str) -> bool:
	"""Whether tables and hashes can keep `text` to the letter: no control characters but tab and line ends
	(the chain's separator is one), no halves of characters."""
	return text.isprintable() or not any(
		unicodedata.category(ch) in ("Cc", "Cs") and ch not in "\t\n\r" for ch in text
	)


def cost(request: UsageRequest, price: Price | None, currency: str) -> Decimal:
	"""What `request` costs in `currency`, the account's.

	`price` is the category's. Raises InvalidRequest: wrong_currency, category_disabled, not_positive (a
	product that rounds to nothing).
	"""
	if request.currency and request.currency.upper() != currency.upper():
		raise InvalidRequest("wrong_currency", given=request.currency, currency=currency)
	if price is None:
		assert request.amount is not None, "what has no category has an amount"
		return request.amount
	if price.disabled:
		raise InvalidRequest("category_disabled", category=request.category)
	if request.amount is not None:
		return request.amount
	if price.currency != currency:
		raise InvalidRequest(
			"category_currency", category=request.category, given=price.currency, currency=currency
		)
	assert request.quantity is not None, "a usage has an amount or a quantity"
	return parse_positive(multiply(request.quantity, price.unit_price), "quantity × unit price")


def check_repeat(request: UsageRequest, stored_hash: str, first: dict[str, Any]) -> None:
	"""Refuse another content under a key that is already used; `first` is what it was used for.

	Raises IdempotencyConflict with both.
	"""
	if request.fingerprint == stored_hash:
		return
	now = {
		"amount": request.amount and plain(request.amount),
		"category": request.category,
		"quantity": request.quantity and plain(request.quantity),
		"team": request.team,
		"user": request.user,
		"note": request.note,
		"occurred_at": request.occurred_at and str(request.occurred_at),
	}
	raise IdempotencyConflict("idempotency_conflict", key=request.idempotency_key, first=first, now=now)
