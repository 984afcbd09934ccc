"""Cells of a spreadsheet: what a person typed must not run there as a formula.

A spreadsheet reads a text that begins with =, +, - or @ as a formula, wherever it came from. An apostrophe before
it says that it is a text. Numbers are numbers, also below zero.
"""

import re
from typing import Any

FORMULA = frozenset("=+-@\t\r\n＝＋－＠")
"""How a formula may begin. A tab or a line end moves what follows it into a cell of its own; the wide ones are
taken for the narrow ones where such characters are typed."""

INVISIBLE = " \u00a0\ufeff\u200b\u200e\u200f"
"""Skipped by programs before they look for a formula."""

NUMBER = re.compile(r"-?[0-9][0-9.,' \u00a0\u202f]*")


def cell(value: Any) -> Any:
	"""`value` as it may stand in a cell: a text that would be a formula behind an apostrophe, all else as it is."""
	if isinstance(value, str) and value.lstrip(INVISIBLE)[:1] in FORMULA and value.lstrip(INVISIBLE):
		return f"'{value}"
	return value


def row(values: Any) -> list[Any]:
	"""Each of `values` as `cell` gives it."""
	return [cell(value) for value in values]


def csv(text: str, delimiter: str = ",", quoted_are_texts: bool = True) -> str:
	"""A CSV file with each of its cells as `cell` gives it.

	`quoted_are_texts`: the file quotes what is not a number, so -5 is a number and "-5" a text. Otherwise a cell
	that is nothing but a number is taken for one.
	"""
	token = re.compile(
		rf'("(?:[^"]|"")*"|[^{re.escape(delimiter)}\r\n]*)({re.escape(delimiter)}|\r\n|\r|\n|\Z)'
	)

	def safe(found: re.Match[str]) -> str:
		kept, end = found.groups()
		quoted = kept[:1] == '"'
		value = kept[1:-1] if quoted else kept
		if not (quoted and quoted_are_texts) and NUMBER.fullmatch(value):
			return found[0]
		return (f'"{cell(value)}"' if quoted else cell(value)) + end

	return token.sub(safe, text)
