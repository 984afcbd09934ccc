"""Thousands of rows in one statement: they travel as one JSON text, which MariaDB takes apart."""

import json
import os
import time
from collections.abc import Iterable, Sequence

import frappe
from frappe.utils import now

CHUNK = 4_000
"""Rows in one statement: some hundred kilobytes, far below the server's largest packet."""

TEXT, DAY, NUMBER, WHOLE, TIME = "varchar(500)", "date", "decimal(21,9)", "bigint", "datetime(6)"
LONG = "longtext"


def new_name() -> str:
	"""A name for a row: seconds, then chance. Rising names append to the clustered index."""
	return f"{int(time.time()):08x}{os.urandom(7).hex()}"


def insert(
	doctype: str,
	columns: dict[str, str],
	rows: Sequence[Sequence],
	alike: dict | None = None,
	once: bool = False,
) -> None:
	"""Insert rows without running their controllers.

	Args:
		columns: name → SQL type, in the order of the values; `name` is added.
		alike: columns with one value for all rows.
		once: leave out rows that a unique key has already.
	"""
	alike = {"creation": now(), "modified": now(), "owner": _user(), "modified_by": _user(), **(alike or {})}
	into = ", ".join(f"`{c}`" for c in ("name", *columns, *alike))
	chosen = ", ".join(["`name`", *(f"`{c}`" for c in columns), *["%s"] * len(alike)])
	table = _json_table({"name": TEXT, **columns})
	for chunk in _chunks(rows):
		text = _text([new_name(), *row] for row in chunk)
		# nosemgrep: frappe-sql-format-injection -- columns and DocType are constants of the callers
		frappe.db.sql(
			f"INSERT {'IGNORE ' if once else ''}INTO `tab{doctype}` ({into}) SELECT {chosen} FROM {table}",
			(*alike.values(), text),
		)


def update(
	doctype: str,
	columns: dict[str, str],
	rows: Sequence[Sequence],
	same: dict[str, str] | None = None,
	touch: bool = False,
) -> int:
	"""Update rows by name; returns how many were changed.

	Args:
		columns: name → SQL type of what is set, in the order of the values after the row's name.
		rows: (name, values of columns…, values of `same`…).
		same: columns that must still have these values, else the row is left alone.
		touch: set `modified` too.
	"""
	if not rows:
		return 0
	same = same or {}
	table = _json_table({"key": TEXT, **columns, **{f"same_{c}": kind for c, kind in same.items()}})
	wanted = "".join(f" AND t.`{c}` <=> j.`same_{c}`" for c in same)
	settings = ", ".join(
		[f"t.`{c}` = j.`{c}`" for c in columns]
		+ (["t.`modified` = %s", "t.`modified_by` = %s"] if touch else [])
	)
	changed = 0
	for chunk in _chunks(rows):
		frappe.db.sql(
			# Which collation a column of JSON_TABLE gets differs between MariaDB's patch releases.
			f"UPDATE {table} STRAIGHT_JOIN `tab{doctype}` t"
			f" ON t.`name` = j.`key` COLLATE utf8mb4_unicode_ci{wanted} SET {settings}",
			(_text(chunk), *((now(), _user()) if touch else ())),
		)
		changed += frappe.db._cursor.rowcount
	return changed


def delete(doctype: str, names: Sequence[str]) -> None:
	"""Delete rows by name."""
	for chunk in _chunks(names):
		frappe.db.delete(doctype, {"name": ("in", tuple(chunk))})


def _json_table(columns: dict[str, str]) -> str:
	parts = ", ".join(f"`{c}` {kind} PATH '$[{i}]'" for i, (c, kind) in enumerate(columns.items()))
	return f"JSON_TABLE(%s, '$[*]' COLUMNS ({parts})) AS j"


def _text(rows: Iterable) -> str:
	return json.dumps([list(row) for row in rows], default=str, separators=(",", ":"))


def _chunks(rows: Sequence):
	for start in range(0, len(rows), CHUNK):
		yield rows[start : start + CHUNK]


def _user() -> str:
	return frappe.session.user if frappe.session else "Administrator"
