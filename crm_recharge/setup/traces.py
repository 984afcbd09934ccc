"""What Frappe notes about an app's DocTypes and pages in its own tables, and leaves there when the app goes."""

import frappe

from crm_recharge.setup import written

APP = "crm_recharge"
# Table -> its field that names a DocType.
ABOUT_DOCTYPES = {
	"Custom Field": "dt",
	"Property Setter": "doc_type",
	"Custom DocPerm": "parent",
	"Logs To Clear": "ref_doctype",
}


def take_away() -> None:
	"""Delete how people changed the app's own DocTypes, the days its logs are kept, and its lines in the portal's menu."""
	for table, field in ABOUT_DOCTYPES.items():
		frappe.db.delete(table, {field: ["in", own_doctypes()]})
	routes = [item["route"] for item in frappe.get_hooks("standard_portal_menu_items", app_name=APP)]
	frappe.db.delete("Portal Menu Item", {"parent": "Portal Settings", "route": ["in", routes]})
	frappe.clear_document_cache("Portal Settings", "Portal Settings")


def forget() -> None:
	"""Forget what was written into records that people may edit, and what the app remembered of the site: both are gone."""
	frappe.db.delete("DefaultValue", {"parent": written.OWNER})
	frappe.db.delete("DefaultValue", {"parent": "__global", "defkey": ["like", f"{APP}\\_%"]})
	frappe.clear_cache()


def own_doctypes() -> list[str]:
	"""The app's DocTypes."""
	modules = frappe.get_all("Module Def", {"app_name": APP}, pluck="name")
	return frappe.get_all("DocType", {"module": ["in", modules]}, pluck="name")
