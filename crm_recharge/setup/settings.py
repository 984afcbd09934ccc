"""The app's settings: what an update brings gets its default, what is stored stays."""

import frappe

from crm_recharge.setup import traces


def keep_defaults() -> None:
	"""Write the default of every setting of the app that has never been saved.

	Frappe takes a single document's defaults only as long as nothing of it is stored: after the first value, a
	field that came with an update would be empty.
	"""
	for doctype in frappe.get_all(
		"DocType", {"name": ["in", traces.own_doctypes()], "issingle": 1}, pluck="name"
	):
		_keep_defaults(doctype)


def _keep_defaults(doctype: str) -> None:
	stored = dict(frappe.db.sql("SELECT `field`, `value` FROM `tabSingles` WHERE `doctype` = %s", doctype))
	for field in frappe.get_meta(doctype).fields:
		if field.default in (None, ""):
			continue
		# An installation saves the moment it happens, to the microsecond, as every time of day that has a default.
		by_installer = field.fieldtype == "Time" and "." in str(stored.get(field.fieldname) or "")
		if field.fieldname not in stored or by_installer:
			frappe.db.set_single_value(doctype, field.fieldname, field.default)
	frappe.clear_document_cache(doctype, doctype)
