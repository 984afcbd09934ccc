"""The Email Templates of the app's mails: made where they are missing, and a person's from the first edit on.

`email_templates.json` holds them as Frappe exports them. An update changes a template only while its text is the one
that was written here. One that was deleted comes back as it was shipped: at the next update, or as soon as a mail
needs it.
"""

import json
from functools import cache
from pathlib import Path

import frappe

from crm_recharge.setup import written

DOCTYPE = "Email Template"
TEXT = ("subject", "use_html", "response_html", "response")


@cache
def shipped() -> dict[str, dict]:
	"""The text of each template, by name."""
	rows = json.loads((Path(__file__).parent / "email_templates.json").read_text(encoding="utf-8"))
	return {row["name"]: {field: row.get(field) for field in TEXT} for row in rows}


def get(name: str):
	"""The Email Template `name`; one of ours that is missing is made. Raises frappe.DoesNotExistError."""
	if name in shipped() and not frappe.db.exists(DOCTYPE, name):
		_make(name)
	return frappe.get_cached_doc(DOCTYPE, name)


def make() -> None:
	"""Make what is missing; bring up to date what nobody has edited. Safe to run again."""
	for name in shipped():
		if frappe.db.exists(DOCTYPE, name):
			_bring_up_to_date(name)
		else:
			_make(name)


def take_away() -> None:
	"""Delete the templates this app made, edited ones too: nothing else sends them."""
	for name in written.names(DOCTYPE):
		frappe.delete_doc(DOCTYPE, name, force=True, ignore_permissions=True, delete_permanently=True)
	written.forget(DOCTYPE)


def _make(name: str) -> None:
	text = shipped()[name]
	doc = frappe.get_doc({"doctype": DOCTYPE, "name": name, **text})
	doc.insert(ignore_permissions=True)
	_remember(doc)


def _bring_up_to_date(name: str) -> None:
	doc = frappe.get_doc(DOCTYPE, name)
	if written.remembered(DOCTYPE, name) != _mark(doc):
		return
	if {field: doc.get(field) or "" for field in TEXT} != {f: v or "" for f, v in shipped()[name].items()}:
		doc.update(shipped()[name])
		doc.save(ignore_permissions=True)
		_remember(doc)


def _remember(doc) -> None:
	"""As the database has it: what Frappe makes of a text when it saves is not an edit."""
	doc.reload()
	written.remember(DOCTYPE, doc.name, _mark(doc))


def _mark(doc) -> str:
	return written.mark({field: doc.get(field) for field in TEXT})
