"""What this room adds to ERPNext's documents. Made at install and at every migration, deleted at uninstall."""

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields

KEY = "crm_recharge_reorder_key"
"""On Quotation and Sales Order: which request made it. Unique, so that no request makes two."""

CONTENT = "crm_recharge_reorder_content"
"""Beside it: a hash of what was asked for, to tell a repeat from another request under the same key."""

REMINDED = "crm_recharge_reorder_row"
"""On Loyalty Point Entry: the Reorder Message Item whose purchase it rewards. Not the field `invoice`: ERPNext
deletes every entry that names an invoice when that is returned."""


def _hidden(fieldname: str, label: str, insert_after: str, **values) -> dict:
	return {
		"fieldname": fieldname,
		"label": label,
		"fieldtype": "Data",
		"insert_after": insert_after,
		"hidden": 1,
		"read_only": 1,
		"no_copy": 1,
		"print_hide": 1,
		"report_hide": 1,
		"module": "Reorder",
		**values,
	}


CUSTOM_FIELDS = {
	**{
		doctype: [
			_hidden(KEY, "Reorder Request", "company", unique=1),
			_hidden(CONTENT, "Reorder Request Content", KEY),
		]
		for doctype in ("Quotation", "Sales Order")
	},
	"Loyalty Point Entry": [
		_hidden(REMINDED, "Reorder Reminder Row", "invoice", search_index=1),
	],
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
