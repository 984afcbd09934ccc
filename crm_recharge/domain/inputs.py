"""What a request may hand to a public method: which parameters, and of which kind.

A method says it by its signature. `Parameters.of(function)` reads that once, `bind` checks each call against it: an
unknown or a missing parameter, or one of another kind, is refused by name before the method runs.
"""

import inspect
import json
import math
import re
import typing
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from typing import Annotated, Any

from crm_recharge.domain.errors import SHOWN, InvalidRequest, shown
from crm_recharge.domain.money import parse
from crm_recharge.domain.usage import is_readable

LONGEST_TEXT = 10_000
"""Characters of a text that no rule below limits further."""
MOST_NAMES = 30
"""Names that a refusal lists."""
FIRST_YEAR, LAST_YEAR = 1900, 9998
"""Of a day; a year less than there is, so that a day may be added."""
LARGEST_WHOLE = 2**31 - 1
"""What a column of whole numbers holds."""


class Kind(Enum):
	"""What a parameter takes. What is not given is None throughout."""

	TEXT = "text"
	KEY = "key"
	"""A text or a whole number, checked by who keeps it."""
	ID = "id of the payment gateway"
	AMOUNT = "amount"
	TYPED = "amount as a person types it"
	"""A text or a number; the text is read in the person's number format by who takes it."""
	WHOLE = "whole number"
	DAY = "day"
	FLAG = "flag"
	LIST = "list"
	NAMES = "list of names"
	ROWS = "list of rows"
	"""A list that is read row by row by who keeps it."""
	OBJECT = "object"
	JSON = "list or object"
	ANY = "anything"


MAY_BE_EMPTY = (Kind.TEXT, Kind.KEY, Kind.ID, Kind.AMOUNT, Kind.TYPED)
"""Where empty text is not the same as nothing."""

# A parameter's kind, where its type alone does not say it.
Key = Annotated[str | int, Kind.KEY]
Id = Annotated[str, Kind.ID]
Amount = Annotated[str | int | float, Kind.AMOUNT]
Typed = Annotated[str | int | float, Kind.TYPED]
Whole = Annotated[int, Kind.WHOLE]
Day = Annotated[date, Kind.DAY]
Flag = Annotated[bool, Kind.FLAG]
Names = Annotated[list[str], Kind.NAMES]
Rows = Annotated[list, Kind.ROWS]
Anything = Annotated[object, Kind.ANY]

_BY_TYPES = {
	frozenset({str}): Kind.TEXT,
	frozenset({int}): Kind.WHOLE,
	frozenset({date}): Kind.DAY,
	frozenset({bool}): Kind.FLAG,
	frozenset({bool, int}): Kind.FLAG,
	frozenset({list}): Kind.LIST,
	frozenset({list, str}): Kind.LIST,
	frozenset({dict}): Kind.OBJECT,
	frozenset({dict, str}): Kind.OBJECT,
	frozenset({dict, list, str}): Kind.JSON,
}


def kind_of(annotation: Any) -> Kind:
	"""The kind that an annotation means. Raises TypeError where it means none."""
	parts = [annotation] if typing.get_origin(annotation) is Annotated else _parts(annotation)
	for part in parts:
		for mark in getattr(part, "__metadata__", ()):
			if isinstance(mark, Kind):
				return mark
	types = frozenset(typing.get_origin(part) or part for part in parts)
	if types not in _BY_TYPES:
		raise TypeError(f"{annotation} is no kind of parameter")
	return _BY_TYPES[types]


def _parts(annotation: Any) -> list[Any]:
	return [part for part in typing.get_args(annotation) or [annotation] if part is not type(None)]


@dataclass(frozen=True, slots=True)
class Parameter:
	"""One parameter of a method."""

	name: str
	kind: Kind
	required: bool


@dataclass(frozen=True, slots=True)
class Parameters:
	"""All parameters of a method, by name and in order. `aliases`: other names that requests give them."""

	by_name: dict[str, Parameter]
	aliases: dict[str, str]

	@classmethod
	def of(cls, function: Any, aliases: dict[str, str] | None = None) -> "Parameters":
		"""Read them from the signature of `function`; `self` is none of them. Raises TypeError where one has no
		kind."""
		hints = typing.get_type_hints(function, include_extras=True)
		found = {}
		for name, parameter in inspect.signature(function).parameters.items():
			if name == "self":
				continue
			if name not in hints:
				raise TypeError(f"{function.__qualname__}: {name} has no type")
			found[name] = Parameter(name, kind_of(hints[name]), parameter.default is parameter.empty)
		return cls(found, aliases or {})

	def bind(self, args: tuple[Any, ...], given: dict[str, Any]) -> dict[str, Any]:
		"""The values of one call, read by their kinds; what is left out is left out.

		Raises InvalidRequest: unknown_parameter, missing_parameter, parameter_twice, and what `read` raises.
		"""
		given = self._by_own_names(given) if self.aliases else dict(given)
		for name, value in zip(self.by_name, args, strict=False):
			if name in given:
				raise InvalidRequest("parameter_twice", parameter=name)
			given[name] = value
		if not given.keys() <= self.by_name.keys():
			raise InvalidRequest(
				"unknown_parameter",
				parameters=_list([shown(name) for name in given if name not in self.by_name]),
				known=_list([*self.by_name, *self.aliases]),
			)
		values = {}
		for name, value in given.items():
			if (found := read(self.by_name[name].kind, value, name)) is not None:
				values[name] = found
		if missing := [p.name for p in self.by_name.values() if p.required and p.name not in values]:
			raise InvalidRequest("missing_parameter", parameters=_list(missing))
		return values

	def _by_own_names(self, given: dict[str, Any]) -> dict[str, Any]:
		found = {}
		for name, value in given.items():
			own = self.aliases.get(name, name)
			if own in found or (own != name and own in given):
				raise InvalidRequest("parameter_twice", parameter=own)
			found[own] = value
		return found


def _list(names: list[str]) -> str:
	more = ["…"] if len(names) > MOST_NAMES else []
	return ", ".join(names[:MOST_NAMES] + more) or "–"


def fields(values: dict[str, Any], kinds: dict[str, Kind]) -> dict[str, Any]:
	"""The fields of an object, each read by its kind. Raises InvalidRequest unknown_field, and what `read` raises."""
	if unknown := [name for name in values if name not in kinds]:
		raise InvalidRequest(
			"unknown_field", fields=_list([shown(name) for name in unknown]), known=_list([*kinds])
		)
	return {name: read(kinds[name], value, name) for name, value in values.items()}


# -- the kinds -------------------------------------------------------------------------------------------------


def read(kind: Kind, value: Any, name: str) -> Any:
	"""`value` as `kind` says; None, and for all but texts and amounts the empty text, is None.

	Raises InvalidRequest: not_text, unreadable_text, text_too_long, not_an_id, not_whole, too_large, bad_day, not_a_bool, not_a_list,
	not_an_object, and for amounts what money.parse raises.
	"""
	if value is None or kind is Kind.ANY:
		return value
	if value == "" and kind not in MAY_BE_EMPTY:
		return None
	if kind is Kind.ROWS:
		found = _from_json(value)
		return value if found is None else found
	return _READERS[kind](value, name)  # type: ignore[operator]


def text(value: Any, name: str) -> str:
	"""A text that tables can keep."""
	if not isinstance(value, str):
		raise InvalidRequest("not_text", field=name, value=shown(value))
	if len(value) > LONGEST_TEXT:
		raise InvalidRequest("text_too_long", field=name, length=len(value), limit=LONGEST_TEXT)
	if not is_readable(value):
		raise InvalidRequest("unreadable_text", field=name)
	return value


def key(value: Any, name: str) -> str:
	"""A text or a whole number, as text. How long it may be, and of what signs, is said by who keeps it."""
	if isinstance(value, bool) or not isinstance(value, str | int):
		raise InvalidRequest("not_text", field=name, value=shown(value))
	return value if isinstance(value, str) else shown(value)


def typed(value: Any, name: str) -> Any:
	"""An amount that is read by who takes it: a text as it was typed, or a number, which is taken as it is."""
	return text(value, name) if isinstance(value, str) else parse(value, name)


def identity(value: Any, name: str) -> str:
	"""An id that the payment gateway gave: letters, digits and _."""
	if not re.fullmatch(r"[A-Za-z0-9_]{1,255}", text(value, name)):
		raise InvalidRequest("not_an_id", field=name, value=shown(value))
	return value


def whole(value: Any, name: str) -> int:
	"""A whole number, also as text or as 3.0."""
	number = value
	if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,30}\s*", value, re.ASCII):
		number = int(value)
	if isinstance(value, float) and math.isfinite(value) and value == int(value):
		number = int(value)
	if isinstance(number, bool) or not isinstance(number, int):
		raise InvalidRequest("not_whole", what=name, value=shown(value))
	if abs(number) > LARGEST_WHOLE:
		raise InvalidRequest("too_large", what=name, value=shown(value), limit=str(LARGEST_WHOLE + 1))
	return number


def day(value: Any, name: str) -> date:
	"""A day: ISO 8601 text, with or without a time of that day, or a date."""
	if isinstance(value, datetime):
		value = value.date()
	try:
		found = (
			value if isinstance(value, date) else datetime.fromisoformat(str(value).strip()[:SHOWN]).date()
		)
	except ValueError:
		found = None
	if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR or not isinstance(value, str | date):
		raise InvalidRequest("bad_day", field=name, value=shown(value))
	return found


_FLAGS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def flag(value: Any, name: str) -> bool:
	"""Yes or no: true, false, 1, 0, also as text."""
	found = None
	if isinstance(value, bool) or value in (0, 1):
		found = bool(value)
	elif isinstance(value, str):
		found = _FLAGS.get(value.strip().lower())
	if found is None:
		raise InvalidRequest("not_a_bool", field=name, value=shown(value))
	return found


def _from_json(value: Any) -> Any:
	if not isinstance(value, str):
		return value
	try:
		return json.loads(value)
	except (ValueError, RecursionError):
		return None


def a_list(value: Any, name: str) -> list[Any]:
	"""A list, also as JSON text."""
	found = _from_json(value)
	if not isinstance(found, list):
		raise InvalidRequest("not_a_list", field=name, value=shown(value))
	return found


def names(value: Any, name: str) -> list[str]:
	"""A list of texts, such as names of records."""
	return [text(each, name) for each in a_list(value, name)]


def an_object(value: Any, name: str) -> dict[str, Any]:
	"""An object, also as JSON text."""
	found = _from_json(value)
	if not isinstance(found, dict):
		raise InvalidRequest("not_an_object", field=name, value=shown(value))
	return found


def list_or_object(value: Any, name: str) -> list[Any] | dict[str, Any]:
	"""A list or an object, also as JSON text."""
	found = _from_json(value)
	if not isinstance(found, list | dict):
		raise InvalidRequest("not_an_object", field=name, value=shown(value))
	return found


_READERS = {
	Kind.TEXT: text,
	Kind.KEY: key,
	Kind.ID: identity,
	Kind.AMOUNT: parse,
	Kind.TYPED: typed,
	Kind.WHOLE: whole,
	Kind.DAY: day,
	Kind.FLAG: flag,
	Kind.LIST: a_list,
	Kind.NAMES: names,
	Kind.OBJECT: an_object,
	Kind.JSON: list_or_object,
}
