"""The Email Templates of the app's mails: made where they are missing, and a person's from the first edit on.

`email_templates.json` holds them as Frappe exports them. An update changes a template only while its text is the one
that was written here. One that was deleted comes back as it was shipped: at the next update, or as soon as a mail
needs it.
"""

import json
from functools import cache
from pathlib import Path

import frappe
from frappe import _

from crm_recharge.setup import written

DOCTYPE = "Email Template"
LONGEST_SUBJECT = 140
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


def render(name: str, context: dict) -> tuple[str, str]:
	"""Subject, as one line of text, and HTML by the Email Template `name`.

	What the context holds is text: a customer's name is never markup in a mail, whatever it is. What is meant as
	markup comes as markupsafe.Markup. Raises what Jinja raises for a template that is broken.
	"""
	template = get(name)
	body = template.response_html if template.use_html else template.response
	return one_line(_rendered(template.subject, context, False)), _rendered(body, context, True)


def _rendered(text: str | None, context: dict, is_html: bool) -> str:
	text = text or ""
	if ".__" in text:
		frappe.throw(_("This template reaches for what no template may: {0}").format("`.__`"))
	# Frappe's own environment does not escape.
	return frappe.get_jenv().overlay(autoescape=is_html).from_string(text).render(context)


def one_line(text: str) -> str:
	"""A text for the subject of a mail: without line ends, which would begin another header, and not endless."""
	return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())[:LONGEST_SUBJECT]


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
