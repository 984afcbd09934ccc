"""What this room makes on a site at install and at every migration; safe to run again."""

import frappe

from crm_recharge.reorder.consent import checkbox, preferences
from crm_recharge.reorder.learning import history

SETTINGS = "Reorder Settings"


def after_install() -> None:
	"""Defaults of the settings; and where there are invoices already, reading them begins. Fields are there by now."""
	keep_defaults()
	# Not a person's to edit: what is kept as agreed to is what was shown.
	checkbox.show_wording(preferences.wording())
	history.begin_once()


def after_migrate() -> None:
	"""As at install: a later version may have new settings."""
	after_install()


def keep_defaults() -> None:
	"""Write the default of every setting that has never been saved.

	Frappe takes a single document's defaults only as long as nothing of it is stored: after the first value, a
	field that came with an update would be empty.
	"""
	stored = dict(frappe.db.sql("SELECT `field`, `value` FROM `tabSingles` WHERE `doctype` = %s", SETTINGS))
	for field in frappe.get_meta(SETTINGS).fields:
		if field.default in (None, ""):
			continue
		# An installation saves the moment it happens, to the microsecond, as every time of day that has a default.
		by_installer = field.fieldtype == "Time" and "." in str(stored.get(field.fieldname) or "")
		if field.fieldname not in stored or by_installer:
			frappe.db.set_single_value(SETTINGS, field.fieldname, field.default)
	frappe.clear_document_cache(SETTINGS, SETTINGS)
