"""The mark on Customer that its purchases are not learned: made at install, deleted at uninstall."""

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields

NOT_LEARNED = "crm_recharge_not_learned"

CUSTOM_FIELDS = {
	"Customer": [
		{
			"fieldname": NOT_LEARNED,
			"label": "No Reorder Reminders",
			"fieldtype": "Check",
			"insert_after": "crm_recharge_next_purchase_to",
			"read_only": 1,
			"no_copy": 1,
			"print_hide": 1,
			"depends_on": f"eval:doc.{NOT_LEARNED}",
			"description": "What was learned of this customer's purchases was erased, and no more is learned.",
			"module": "Reorder",
		}
	]
}


def make_custom_fields() -> None:
	"""Create or update the fields; safe to run again."""
	create_custom_fields(CUSTOM_FIELDS, ignore_validate=True)


def delete_custom_fields() -> None:
	"""Take the fields away. Their columns stay in the table, as Frappe always leaves them."""
	for doctype, fields in CUSTOM_FIELDS.items():
		for field in fields:
			name = frappe.db.get_value("Custom Field", {"dt": doctype, "fieldname": field["fieldname"]})
			if name:
				frappe.delete_doc("Custom Field", name, ignore_permissions=True, force=True)
		frappe.clear_cache(doctype=doctype)


def is_not_learned(customer: str) -> bool:
	"""Whether the customer's data was erased and its purchases are not to be learned."""
	return has_mark() and bool(frappe.db.get_value("Customer", customer, NOT_LEARNED))


def has_mark() -> bool:
	"""Whether this site has the field yet: invoices are learned also in the middle of an update."""
	return frappe.db.has_column("Customer", NOT_LEARNED)
