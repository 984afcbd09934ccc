"""What a field of a record may hold, by the column that keeps it.

A value that its column cannot keep ends as an error of the database, which nobody understands; so it is refused
before, with the field's name.
"""

import json
import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from crm_recharge.domain import inputs
from crm_recharge.domain.errors import SHOWN, InvalidRequest, shown
from crm_recharge.domain.money import LARGEST_BALANCE, PLAIN
from crm_recharge.domain.usage import is_readable

SMALL_TEXT_BYTES = 65_535
"""What a column of the kind TEXT keeps in MariaDB."""
LONG_TEXT = 1_000_000
"""Characters: more is no text of a person, and more than the database takes in one piece."""
LARGEST_LONG = 2**63 - 1
FIRST_MOMENT, LAST_MOMENT = datetime(1000, 1, 1), datetime(9999, 12, 31)


class Column(Enum):
	"""A kind of column."""

	LINE = "text of one line"
	SMALL_TEXT = "small text"
	LONG_TEXT = "long text"
	JSON = "json"
	WHOLE = "whole number"
	LONG = "long whole number"
	STATUS = "status of a document"
	CHECK = "check"
	NUMBER = "number"
	DAY = "day"
	MOMENT = "moment"
	TIME = "time"
	ROWS = "rows"


def kept(column: Column, value: Any, field: str, longest: int | None = None) -> Any:
	"""`value` as a column keeps it: of a number in a column of texts its digits, all else as it is.

	`field` is what people call it, `longest` the length of a line.

	Raises InvalidRequest: not_text, unreadable_text, text_too_long, not_json, not_whole, too_large, not_a_bool,
	not_a_number, not_finite, bad_day, bad_moment, bad_time_of_day, not_rows.
	"""
	if value is None or value == "":
		return value
	_CHECKS[column](value, field, longest)
	return str(value) if column in TEXTS and not isinstance(value, str) else value


TEXTS = (Column.LINE, Column.SMALL_TEXT, Column.LONG_TEXT)


def _line(value: Any, field: Any, longest: Any) -> None:
	text = _text(value, field)
	if longest and len(text) > longest:
		raise InvalidRequest("text_too_long", field=field, length=len(text), limit=longest)


def _small_text(value: Any, field: Any, longest: Any) -> None:
	text = _text(value, field)
	if len(text.encode()) > SMALL_TEXT_BYTES:
		raise InvalidRequest("text_too_long", field=field, length=len(text), limit=SMALL_TEXT_BYTES)


def _text(value: Any, field: Any) -> str:
	"""A text, or a number, which is kept as one."""
	if _is_number(value) or isinstance(value, date | timedelta):
		return str(value)
	if not isinstance(value, str):
		raise InvalidRequest("not_text", field=field, value=shown(value))
	if len(value) > LONG_TEXT:
		raise InvalidRequest("text_too_long", field=field, length=len(value), limit=LONG_TEXT)
	if not is_readable(value):
		raise InvalidRequest("unreadable_text", field=field)
	return value


def _is_number(value: Any) -> bool:
	"""Whether it is one that can be written."""
	if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
		return False
	return _is_finite(value) and -LARGEST_BALANCE < value < LARGEST_BALANCE


def _is_finite(value: Any) -> bool:
	if isinstance(value, Decimal):
		return value.is_finite()
	return isinstance(value, int) or math.isfinite(value)


def _long_text(value: Any, field: Any, longest: Any) -> None:
	_text(value, field)


def _json(value: Any, field: Any, longest: Any) -> None:
	try:
		json.loads(value) if isinstance(value, str) else json.dumps(value)
	except (ValueError, TypeError, RecursionError):
		raise InvalidRequest("not_json", field=field) from None
	if isinstance(value, str):
		_text(value, field)


def _whole(value: Any, field: Any, longest: Any) -> None:
	inputs.whole(value, field)


def _long(value: Any, field: Any, longest: Any) -> None:
	if isinstance(value, int) and not isinstance(value, bool):
		if abs(value) > LARGEST_LONG:
			raise InvalidRequest("too_large", what=field, value=shown(value), limit=str(LARGEST_LONG + 1))
		return
	inputs.whole(value, field)


def _status(value: Any, field: Any, longest: Any) -> None:
	if inputs.whole(value, field) not in (0, 1, 2):
		raise InvalidRequest("not_one_of", field=field, value=shown(value), known="0, 1, 2")


def _check(value: Any, field: Any, longest: Any) -> None:
	inputs.flag(value, field)


def _number(value: Any, field: Any, longest: Any) -> None:
	"""As many digits as come: the column rounds to nine places. But no exponents, and nothing endless."""
	if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
		raise InvalidRequest("not_a_number", what=field, value=shown(value))
	if isinstance(value, str):
		text = value.strip()
		if len(text) > 60 or not PLAIN.fullmatch(text):
			raise InvalidRequest("not_a_number", what=field, value=shown(value))
		value = Decimal(text)
	if not _is_finite(value):
		raise InvalidRequest("not_finite", what=field, value=shown(value))
	if not -LARGEST_BALANCE < value < LARGEST_BALANCE:
		limit = f"{LARGEST_BALANCE:f}"
		raise InvalidRequest("too_large", what=field, value=shown(value), limit=limit)


def _day(value: Any, field: Any, longest: Any) -> None:
	inputs.day(value, field)


def _moment(value: Any, field: Any, longest: Any) -> None:
	"""A time of the site's clock, without a zone: a column keeps none."""
	found = value
	if isinstance(value, str):
		try:
			found = datetime.fromisoformat(value.strip()[:SHOWN])
		except ValueError:
			found = None
	if isinstance(found, date) and not isinstance(found, datetime):
		found = datetime(found.year, found.month, found.day)
	if not isinstance(found, datetime) or found.tzinfo or not FIRST_MOMENT <= found <= LAST_MOMENT:
		raise InvalidRequest("bad_moment", field=field, value=shown(value))


def _time(value: Any, field: Any, longest: Any) -> None:
	if isinstance(value, time | timedelta):
		return
	if not isinstance(value, str) or not re.fullmatch(
		r"([01]?[0-9]|2[0-3]):[0-5]?[0-9](:[0-5]?[0-9](\.[0-9]{1,6})?)?", value.strip()
	):
		raise InvalidRequest("bad_time_of_day", field=field, value=shown(value))


def _rows(value: Any, field: Any, longest: Any) -> None:
	if not isinstance(value, list):
		raise InvalidRequest("not_rows", field=field, value=shown(value))


_CHECKS = {
	Column.LINE: _line,
	Column.SMALL_TEXT: _small_text,
	Column.LONG_TEXT: _long_text,
	Column.JSON: _json,
	Column.WHOLE: _whole,
	Column.LONG: _long,
	Column.STATUS: _status,
	Column.CHECK: _check,
	Column.NUMBER: _number,
	Column.DAY: _day,
	Column.MOMENT: _moment,
	Column.TIME: _time,
	Column.ROWS: _rows,
}
