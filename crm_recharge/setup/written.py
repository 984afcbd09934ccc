"""What was written into records that people may edit, to tell our text from theirs.

Frappe's own table of defaults keeps it, under an owner of our own: nothing reads it but an installation, an update,
and whoever misses a record.
"""

import hashlib
import json

import frappe

OWNER = "crm_recharge_written"
TABLE = "DefaultValue"


def remembered(doctype: str, name: str) -> str | None:
	"""What was remembered of a record this app made; None for one it has not made."""
	found = frappe.db.get_value(TABLE, {"parent": OWNER, "defkey": _key(doctype, name)}, "defvalue")
	return found if found is None else str(found)


def remember(doctype: str, name: str, what: str) -> None:
	"""Remember `what` of a record, in the open transaction."""
	row = {"parent": OWNER, "defkey": _key(doctype, name)}
	if frappe.db.exists(TABLE, row):
		frappe.db.set_value(TABLE, row, "defvalue", what, update_modified=False)
		return
	place = {"parenttype": "__default", "parentfield": "system_defaults"}
	frappe.get_doc({"doctype": TABLE, **row, **place, "defvalue": what}).insert(ignore_permissions=True)


def names(doctype: str) -> list[str]:
	"""The records of `doctype` this app made."""
	start = _key(doctype, "")
	keys = frappe.get_all(TABLE, {"parent": OWNER, "defkey": ["like", f"{start}%"]}, pluck="defkey")
	return sorted(key.removeprefix(start) for key in keys)


def forget(doctype: str) -> None:
	"""Forget all records of `doctype`."""
	frappe.db.delete(TABLE, {"parent": OWNER, "defkey": ["like", f"{_key(doctype, '')}%"]})


def mark(values: dict) -> str:
	"""A hash of the text in `values`, whatever their order; None and "" are the same."""
	text = json.dumps({key: value or "" for key, value in values.items()}, sort_keys=True)
	return hashlib.sha256(text.encode()).hexdigest()[:32]


def _key(doctype: str, name: str) -> str:
	return f"{doctype}: {name}"
