"""Fields this app adds to ERPNext's documents: made at install, deleted at uninstall, from one dict."""

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields

RECHARGE = "crm_recharge"
"""The field that ties a Sales Invoice or a Payment Entry to its Recharge."""


def _recharge_link(insert_after: str) -> dict:
	# Indexed but not unique: an amended document keeps it beside the cancelled one it replaces. That there is
	# one pair per recharge is what the lock on the Recharge row is for.
	return {
		"fieldname": RECHARGE,
		"label": "Recharge",
		"fieldtype": "Link",
		"options": "Recharge",
		"insert_after": insert_after,
		"read_only": 1,
		"no_copy": 1,
		"print_hide": 1,
		"search_index": 1,
		"module": "Accounting",
	}


CUSTOM_FIELDS = {
	"Sales Invoice": [_recharge_link("remarks")],
	"Payment Entry": [_recharge_link("remarks")],
}


def make_custom_fields() -> None:
	"""Create or update the fields; safe to run again."""
	create_custom_fields(CUSTOM_FIELDS, ignore_validate=True)


def delete_custom_fields() -> None:
	"""Take the fields away. Their columns stay in the tables, as Frappe always leaves them."""
	for doctype, fields in CUSTOM_FIELDS.items():
		for field in fields:
			name = frappe.db.get_value("Custom Field", {"dt": doctype, "fieldname": field["fieldname"]})
			if name:
				frappe.delete_doc("Custom Field", name, ignore_permissions=True, force=True)
		frappe.clear_cache(doctype=doctype)
