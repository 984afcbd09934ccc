"""Fields of the app on other apps' documents, declared by the rooms as {DocType: [properties, …]}.

A field that is missing is made. What the app relies on is kept as declared; how a field looks and where it stands is
a person's from the first edit on (Customize Form writes it into the Custom Field itself).
"""

import json

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields

from crm_recharge.setup import written

DOCTYPE = "Custom Field"
RELIED_ON = frozenset(
	(
		"fieldtype",
		"options",
		"unique",
		"no_copy",
		"read_only",
		"allow_on_submit",
		"default",
		"search_index",
		"module",
	)
)

Fields = dict[str, list[dict]]


def make(fields: Fields) -> None:
	"""Make what is missing; bring up to date what nobody has edited. Safe to run again."""
	create_custom_fields(fields, ignore_validate=True, update=False)
	for doctype, declared in fields.items():
		for properties in declared:
			_bring_up_to_date(_name(doctype, properties["fieldname"]), properties)


def take_away(fields: Fields) -> None:
	"""Delete the fields. Their columns stay in the tables, as Frappe always leaves them; what they link to goes."""
	for doctype, declared in fields.items():
		for properties in declared:
			if name := _name(doctype, properties["fieldname"]):
				if properties["fieldtype"] == "Link":
					_unlink(doctype, properties["fieldname"])
				frappe.delete_doc(DOCTYPE, name, force=True, ignore_permissions=True, delete_permanently=True)
		frappe.clear_cache(doctype=doctype)
	written.forget(DOCTYPE)


def _unlink(doctype: str, fieldname: str) -> None:
	"""Empty the column. Where the app is installed again the field is back, and a document that names what is not there
	can be neither saved nor amended."""
	table = frappe.qb.DocType(doctype)
	frappe.qb.update(table).set(table[fieldname], None).where(table[fieldname].isnotnull()).run()


def _name(doctype: str, fieldname: str) -> str | None:
	return frappe.db.get_value(DOCTYPE, {"dt": doctype, "fieldname": fieldname})


def _bring_up_to_date(name: str, declared: dict) -> None:
	field = frappe.get_doc(DOCTYPE, name)
	before = json.loads(written.remembered(DOCTYPE, name) or "{}")
	changed = {
		key: value
		for key, value in declared.items()
		if _plain(field.get(key)) != _plain(value)
		and (key in RELIED_ON or _plain(field.get(key)) == _plain(before.get(key)))
	}
	if changed:
		field.update(changed)
		field.flags.ignore_validate = True
		field.save(ignore_permissions=True)
	if before != declared:
		written.remember(DOCTYPE, name, json.dumps(declared, sort_keys=True))


def _plain(value) -> str:
	"""A property as it is compared: the database knows no difference between none, nought and empty."""
	return "" if value in (None, 0, "0") else str(value)
