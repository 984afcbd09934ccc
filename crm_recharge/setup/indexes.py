"""Indexes of the app on other apps' tables, declared by the rooms as {DocType: [field, …]}.

Made anew at each migration: Frappe drops what a DocType does not name whenever that changes.
"""

import frappe

from crm_recharge.setup import written

KIND = "Index"

Indexes = dict[str, list[str]]


def make(indexes: Indexes) -> None:
	"""Make those that are missing. Safe to run again."""
	for doctype, fields in indexes.items():
		for field in fields:
			if not is_there(doctype, field):
				frappe.db.add_index(doctype, [field])
				written.remember(KIND, f"{doctype} {field}", "made")


def take_away(indexes: Indexes) -> None:
	"""Drop those this app made. Commits, as MariaDB does with every change of a table."""
	made = written.names(KIND)
	for doctype, fields in indexes.items():
		for field in fields:
			if f"{doctype} {field}" in made:
				frappe.db.sql_ddl(f"ALTER TABLE `tab{doctype}` DROP INDEX IF EXISTS `{_name(field)}`")
	written.forget(KIND)


def is_there(doctype: str, field: str) -> bool:
	"""Whether the index is there, whoever made it."""
	return bool(frappe.db.has_index(f"tab{doctype}", _name(field)))


def _name(field: str) -> str:
	return frappe.db.get_index_name([field])
