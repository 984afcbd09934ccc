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


def written(number: Decimal, places: int, style: Style) -> str:
	"""`number` with at least `places` decimals, and all it has."""
	digits = f"{abs(number):.{max(places, decimals_of(number))}f}"
	whole, _point, decimals = digits.partition(".")
	text = style.group.join(_groups(whole, style.by_two))
	if decimals:
		text += style.decimal + decimals
	return f"-{text}" if number < 0 else text


def _groups(whole: str, by_two: bool) -> list[str]:
	groups, rest, size = [], whole, 3
	while len(rest) > size:
		groups.append(rest[-size:])
		rest, size = rest[:-size], 2 if by_two else 3
	return [rest, *reversed(groups)]
