"""Reading an amount that a person typed, in the style in which amounts are written for people (see shown.py).

The browser does the same in public/js/amounts.js; both are tried on tests/amounts.json.
"""

import re
from decimal import Decimal
from typing import Any

from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import parse
from crm_recharge.domain.shown import Style, may_be_thousands, written

# What people type for a space or an apostrophe between thousands, and for a minus.
SPACES = "\u00a0\u2007\u2009\u202f"
APOSTROPHES = "\u2019\u02bc\u2018"
MINUSES = "\u2212\u2013"
ALIKE = str.maketrans(
	{**dict.fromkeys(SPACES, " "), **dict.fromkeys(APOSTROPHES, "'"), **dict.fromkeys(MINUSES, "-")}
)

LONGEST = 60
USUAL = Style(",", ".")
OTHERS = (USUAL, Style(".", ","), Style(",", ".", by_two=True))
"""In what else it may have been meant."""


def read(
	text: Any, style: Style = USUAL, places: int = 2, what: str = "amount", signs: tuple[str, ...] = ()
) -> Decimal:
	"""The amount that a person typed in `style`, of a currency with `places` decimals. Exact.

	A number is taken as it is. `signs` are the currency's signs, which may stand before or after. Raises
	InvalidRequest: amount_missing for nothing, amount_unclear for what may mean two amounts, and what
	`domain.money.parse` refuses.
	"""
	if text is None or (isinstance(text, str) and not text.strip()):
		raise InvalidRequest("amount_missing", what=what)
	if not isinstance(text, str):
		return parse(text, what)
	typed = _bare(text, signs)
	if len(typed) > LONGEST:
		raise InvalidRequest("not_a_number", what=what, value=text[:50])
	own = _digits(typed, style)
	if own is not None and not may_be_thousands(typed, style, places):
		return parse(own, what)
	readings = {
		parse(digits, what) for other in (*OTHERS, style) if (digits := _digits(typed, other)) is not None
	}
	if not readings:
		raise InvalidRequest("not_a_number", what=what, value=text[:50])
	shown = [written(reading, places, style) for reading in sorted(readings)]
	raise InvalidRequest("amount_unclear", what=what, value=text.strip()[:50], readings=shown)


def _bare(text: str, signs: tuple[str, ...]) -> str:
	"""Without the currency's sign and the spaces around."""
	typed = text.translate(ALIKE).strip()
	for sign in filter(None, signs):
		if typed.startswith(sign):
			typed = typed[len(sign) :].strip()
		elif typed.endswith(sign):
			typed = typed[: -len(sign)].strip()
	return typed


def _digits(typed: str, style: Style) -> str | None:
	"""`typed` as plain digits, if it is an amount in `style`. Spaces and apostrophes part thousands in any."""
	point, marks = re.escape(style.decimal), ".,' ".replace(style.decimal, "")
	found = re.fullmatch(rf"(-?)([0-9][0-9{marks}]*)?(?:{point}([0-9]+))?", typed)
	if not found or not (found[2] or found[3]):
		return None
	sign, whole, decimals = found[1], found[2] or "0", found[3]
	if not whole.isdigit():
		groups = dict.fromkeys([style.group or " ", style.group.strip() or " ", " ", "'"])
		whole = next(
			(whole.replace(mark, "") for mark in groups if _is_grouped(whole, mark, style.by_two)), None
		)
	return whole and sign + whole + (f".{decimals}" if decimals else "")


def _is_grouped(whole: str, mark: str, by_two: bool) -> bool:
	middle = "[0-9]{2,3}" if by_two else "[0-9]{3}"
	mark = re.escape(mark)
	return bool(re.fullmatch(rf"[0-9]{{1,3}}(?:{mark}{middle})*{mark}[0-9]{{3}}", whole))
