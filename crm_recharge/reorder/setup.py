"""What this room makes on a site at install and at every migration; safe to run again."""

import frappe

from crm_recharge.reorder.consent import checkbox
from crm_recharge.reorder.learning import fields, history
from crm_recharge.reorder.privacy import fields as privacy_fields

SETTINGS = "Reorder Settings"


def after_install() -> None:
	"""Defaults of the settings, then the fields that show the consent's wording and the next purchase.

	Where there are invoices already, reading them begins.
	"""
	keep_defaults()
	checkbox.make_custom_fields()
	fields.make_custom_fields()
	privacy_fields.make_custom_fields()
	history.begin_once()


def after_migrate() -> None:
	"""As at install: a later version may have new settings and fields."""
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


def before_uninstall() -> None:
	"""Take the fields away from other apps' documents, and this room's template."""
	from crm_recharge.reorder.sending.message import TEMPLATE

	checkbox.delete_custom_fields()
	fields.delete_custom_fields()
	privacy_fields.delete_custom_fields()
	if frappe.db.exists("Email Template", TEMPLATE):
		frappe.delete_doc("Email Template", TEMPLATE, ignore_permissions=True, force=True)
