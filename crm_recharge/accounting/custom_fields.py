"""Fields this app adds to ERPNext's documents: made at install, deleted at uninstall, from one dict."""

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields

RECHARGE = "crm_recharge"
"""The field that ties a Sales Invoice or a Payment Entry to its Recharge."""

REFUND = "crm_recharge_refund"
"""The field that ties a credit note or the Payment Entry that pays it out to its Recharge Refund."""

DISPUTE = "crm_recharge_dispute"
"""The field that ties a Journal Entry to its Recharge Dispute."""


def _link(fieldname: str, doctype: str, insert_after: str) -> dict:
	# Indexed but not unique: an amended document keeps it beside the cancelled one it replaces. That there is
	# one pair per recharge is what the lock on the Recharge row is for.
	return {
		"fieldname": fieldname,
		"label": doctype,
		"fieldtype": "Link",
		"options": doctype,
		"insert_after": insert_after,
		"read_only": 1,
		"no_copy": 1,
		"print_hide": 1,
		"search_index": 1,
		"module": "Accounting",
	}


CUSTOM_FIELDS = {
	"Sales Invoice": [_link(RECHARGE, "Recharge", "remarks"), _link(REFUND, "Recharge Refund", RECHARGE)],
	"Payment Entry": [_link(RECHARGE, "Recharge", "remarks"), _link(REFUND, "Recharge Refund", RECHARGE)],
	"Journal Entry": [_link(DISPUTE, "Recharge Dispute", "user_remark")],
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
