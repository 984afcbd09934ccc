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
	stored = set(frappe.db.sql_list("SELECT `field` FROM `tabSingles` WHERE `doctype` = %s", SETTINGS))
	for field in frappe.get_meta(SETTINGS).fields:
		if field.default not in (None, "") and field.fieldname not in stored:
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
