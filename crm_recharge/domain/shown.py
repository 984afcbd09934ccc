"""Numbers as people read them: digits in groups, with the separators of a style such as "#,###.##" or "#.###"."""

import re
from dataclasses import dataclass
from decimal import Decimal

from crm_recharge.domain.money import plain


@dataclass(frozen=True)
class Style:
	"""`group` between groups of digits (of two above the thousands where `by_two`), `decimal` before decimals."""

	group: str
	decimal: str
	by_two: bool = False


def style_of(text: str) -> Style:
	"""The style that `text` describes.

	One without decimals still says how they would be written: a number never loses its decimals to a style.
	"""
	between, digits = re.findall(r"[^#]+", text), re.findall(r"#+", text)
	if not between:
		return Style("", ".")
	by_two = any(len(run) == 2 for run in digits[1:-1])
	if len(between) == 1 and len(digits[-1]) != 3:
		return Style("", between[0])
	if len(set(between)) > 1:
		return Style(between[0], between[-1], by_two)
	# Groups alone. Where the point or a space parts them, a comma goes before decimals.
	return Style(between[0], "," if between[0].strip() in (".", "") else ".", by_two)


def decimals_of(number: Decimal) -> int:
	"""How many decimals `number` has, trailing zeros aside."""
	return len(plain(number).partition(".")[2])


THOUSANDTHS = 3
"""Decimals that the mark before them may part from thousands: 5.000 is five, or five thousand."""


def written(number: Decimal, places: int, style: Style) -> str:
	"""`number` with at least `places` decimals, and all it has.

	What is written here can be read again (see amounts.py): 12.125 of a currency with two decimals, which may mean
	thousands, is 12.1250.
	"""
	digits = f"{abs(number):.{max(places, decimals_of(number))}f}"
	whole, _point, decimals = digits.partition(".")
	text = style.group.join(_groups(whole, style.by_two))
	if decimals:
		text += style.decimal + decimals
	if may_be_thousands(text, style, places):
		text += "0"
	return f"-{text}" if number < 0 else text


def may_be_thousands(text: str, style: Style, places: int) -> bool:
	"""5.000 where the point is the decimal point of a currency with two decimals, or 5,000 of one with three."""
	found = re.fullmatch(r"-?[1-9][0-9]{0,2}([.,])[0-9]{3}", text)
	return found is not None and (found[1] == style.decimal) == (places != THOUSANDTHS)


def _groups(whole: str, by_two: bool) -> list[str]:
	groups, rest, size = [], whole, 3
	while len(rest) > size:
		groups.append(rest[-size:])
		rest, size = rest[:-size], 2 if by_two else 3
	return [rest, *reversed(groups)]
