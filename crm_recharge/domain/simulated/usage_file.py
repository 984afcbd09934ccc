"""Reads a file of past usage: all of it or, with every bad line named, nothing."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Any

from crm_recharge.domain import usage
from crm_recharge.domain.errors import RuleError
from crm_recharge.domain.money import parse_positive
from crm_recharge.domain.usage import Price, UsageRequest

COLUMNS = ("account", "time", "category", "quantity", "team", "user", "amount", "unit_price", "key", "note")
SHOWN = 10
MESSAGES = {
	"not_a_number": "{what}: {value!r} is not a number; give digits such as 12.50",
	"not_finite": "{what}: {value} is not an amount; give digits such as 12.50",
	"too_many_decimals": "{what}: {value} has more than {places} decimals; round it first",
	"too_large": "{what}: {value} is too large; it must stay below {limit}",
	"not_positive": "{what}: {value} is not above zero",
	"missing_key": "the key is empty; give each usage one of its own, or leave the column out",
	"key_too_long": "the key has {length} characters or unprintable ones; it takes 1 to {limit} printable ones",
	"amount_or_quantity": "give an amount, or a quantity with its category",
	"quantity_without_category": "a quantity needs its category, which has the unit price",
	"text_too_long": "{field} has {length} characters; at most {limit} are kept",
	"category_currency": "category {category} is priced in {given}, the replay is in {currency}",
}


class BadFile(Exception):
	"""A file that cannot be used; the text says where and what to do. Nothing of it has been taken."""


@dataclass(frozen=True, slots=True)
class UsageEvent:
	"""One past usage: `amount` is its cost in the currency of the replay, `time` has its zone."""

	account: str
	time: datetime
	amount: Decimal
	request: UsageRequest


@dataclass(frozen=True, slots=True)
class UsageFile:
	"""What a file holds, in order of time, and which of its columns were not looked at."""

	events: tuple[UsageEvent, ...]
	ignored_columns: tuple[str, ...]


def text_of(error: RuleError) -> str:
	"""A rule's refusal in words."""
	template = MESSAGES.get(error.code)
	return template.format(**error.figures) if template else str(error)


# -- prices ------------------------------------------------------------------------------------------------


def read_prices(path: Path) -> dict[str, Price]:
	"""Unit prices by category, from a CSV file with the columns category, unit_price and currency.

	Without a currency column prices are taken as USD. Raises BadFile.
	"""
	prices, bad = {}, []
	_, lines = _open(path, required=("category", "unit_price"))
	for number, row in lines:
		category = row["category"]
		try:
			if not category:
				raise ValueError("the category is empty")
			if category in prices:
				raise ValueError(f"category {category} stands there twice")
			price = parse_positive(row["unit_price"], "unit_price")
		except RuleError as error:
			bad.append((number, text_of(error)))
		except ValueError as error:
			bad.append((number, str(error)))
		else:
			prices[category] = Price(price, (row.get("currency") or "USD").upper())
	_refuse(path, bad)
	return prices


# -- usage -------------------------------------------------------------------------------------------------


def read_usage(
	path: Path, prices: Mapping[str, Price], currency: str, zone: tzinfo | None = None
) -> UsageFile:
	"""Read a CSV file with the columns of COLUMNS; account and time, and amount or quantity, must be there.

	A usage costs its amount, else its quantity times its own unit_price, else times its category's price.
	`zone` is for times without an offset; without it they are refused. Lines without a key get one.
	Raises BadFile, which names every bad line (the first ten in full).
	"""
	header, lines = _open(path, required=("account", "time"))
	if "amount" not in header and not {"quantity", "category"} <= {*header}:
		raise BadFile(f"{path}: there is neither a column amount nor the columns category and quantity")
	events, bad, seen = [], [], {}  # type: ignore[var-annotated]
	for number, row in lines:
		try:
			event = _event(number, row, prices, currency, zone, "key" in header)
			_check_key(seen, number, event)
		except RuleError as error:
			bad.append((number, text_of(error)))
		except ValueError as error:
			bad.append((number, str(error)))
		else:
			events.append(event)
	_refuse(path, bad)
	if not events:
		raise BadFile(f"{path}: there is no usage in it, only the header")
	# Files are often exports by account; what counts is when it happened. Equal times keep their order.
	events.sort(key=lambda event: event.time)
	return UsageFile(tuple(events), tuple(sorted({*header} - {*COLUMNS})))


def _event(
	number: int, row: dict[str, Any], prices: Any, currency: str, zone: Any, has_keys: bool
) -> UsageEvent:
	if not row["account"]:
		raise ValueError("the account is empty")
	time = _time(row["time"], zone)
	amount = row.get("amount") or None
	request = usage.read(
		{
			"idempotency_key": row["key"] if has_keys else f"line-{number}",
			"amount": amount,
			"quantity": None if amount else row.get("quantity") or None,
			"category": row.get("category"),
			"team": row.get("team"),
			"user": row.get("user"),
			"note": row.get("note"),
			"occurred_at": time,
		},
		now=time,
	)
	price = None if amount else _price(row, prices, currency)
	return UsageEvent(row["account"], time, usage.cost(request, price, currency), request)


def _time(text: str, zone: tzinfo | None) -> datetime:
	try:
		time = datetime.fromisoformat(text.replace("Z", "+00:00").replace("z", "+00:00"))
		# Near the ends of the calendar a zone may leave it.
		(time if time.tzinfo else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)
	except (ValueError, OverflowError):
		raise ValueError(f"time {text!r} is not a time such as 2026-03-01T12:00:00+01:00") from None
	if time.tzinfo is None:
		if zone is None:
			raise ValueError(
				f"time {text!r} has no offset; write {text}+00:00, or give --utc-offset for all of them"
			)
		time = time.replace(tzinfo=zone)
	return time


def _price(row: dict[str, Any], prices: Any, currency: str) -> Price:
	if row.get("unit_price"):
		return Price(parse_positive(row["unit_price"], "unit_price"), currency)
	category = row.get("category")
	if category not in prices:
		raise ValueError(
			f"there is no unit price for category {category!r}; give --prices FILE, or a column unit_price"
		)
	return prices[category]


def _check_key(seen: dict[str, Any], number: int, event: UsageEvent) -> None:
	"""The same key may come again with the same content only."""
	key = (event.account, event.request.idempotency_key)
	first, fingerprint = seen.setdefault(key, (number, event.request.fingerprint))  # type: ignore[call-overload]
	if fingerprint != event.request.fingerprint:
		raise ValueError(
			f"the key {key[1]} was used in line {first} with other content; a new usage needs a new key"
		)


# -- files -------------------------------------------------------------------------------------------------


def _open(path: Path, required: tuple[str, ...]) -> tuple[list[str], Iterator[tuple[int, dict[str, Any]]]]:
	"""Header and (line number, row) of a CSV file. Raises BadFile."""
	try:
		text = path.read_text(encoding="utf-8-sig")
	except FileNotFoundError:
		raise BadFile(f"{path}: there is no such file") from None
	except OSError as error:
		raise BadFile(f"{path}: it cannot be read ({error.strerror})") from None
	except UnicodeDecodeError as error:
		raise BadFile(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from None
	reader = csv.reader(io.StringIO(text, newline=""), strict=True)
	try:
		header = [name.strip().lower() for name in next(reader, [])]
	except csv.Error as error:
		raise BadFile(f"{path}, line 1: {error}") from None
	missing = [name for name in required if name not in header]
	if missing:
		hint = "; the columns are to be separated by commas" if len(header) == 1 and ";" in header[0] else ""
		raise BadFile(f"{path}, line 1: the column {', '.join(missing)} is missing{hint}")
	twice = sorted({name for name in header if header.count(name) > 1})
	if twice:
		raise BadFile(f"{path}, line 1: the column {', '.join(twice)} stands there twice")
	return header, _rows(path, reader, header)


def _rows(path: Path, reader: Any, header: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
	while True:
		try:
			values = next(reader, None)
		except csv.Error as error:
			raise BadFile(f"{path}, line {reader.line_num}: {error}") from None
		if values is None:
			return
		if not values:
			continue
		if len(values) != len(header):
			raise BadFile(
				f"{path}, line {reader.line_num}: {len(values)} values, where the header has {len(header)}"
			)
		yield reader.line_num, {name: value.strip() for name, value in zip(header, values, strict=True)}


def _refuse(path: Path, bad: list[tuple[int, str]]) -> None:
	if bad:
		lines = [f"{path}, line {number}: {text}" for number, text in bad[:SHOWN]]
		if len(bad) > SHOWN:
			lines.append(f"… and {len(bad) - SHOWN} more bad lines")
		raise BadFile("\n".join(lines))
