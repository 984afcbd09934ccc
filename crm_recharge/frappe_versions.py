"""The few differences between Frappe 15 and 16 that the app meets. Whatever asks which of them this is stands here.

What differs in tests is in tests/compat.py.
"""

import json

import frappe

MAJOR = int(frappe.__version__.partition(".")[0])

DESK = "/desk" if MAJOR >= 16 else "/app"
"""Where the desk is on a site."""


def read_json(text: str):
	"""The body of a request as Frappe itself reads it: 16 knows no NaN and no half of a character. Raises ValueError."""
	if MAJOR < 16:
		return json.loads(text)
	import orjson

	return orjson.loads(text)


def take_desktop_away(app: str) -> None:
	"""Delete the tiles and sidebars that Frappe 16 made from the app's `desktop_icon` and `workspace_sidebar`, and what
	people made of them; Frappe 15 has none.

	Row by row past the controllers: in developer mode these delete the app's own files as well.
	"""
	for doctype in ("Desktop Icon", "Workspace Sidebar"):
		if frappe.db.exists("DocType", doctype) and (
			names := frappe.get_all(doctype, {"app": app}, pluck="name")
		):
			for field in frappe.get_meta(doctype).get_table_fields():
				frappe.db.delete(field.options, {"parenttype": doctype, "parent": ["in", names]})
			frappe.db.delete(doctype, {"name": ["in", names]})
