"""The fields on Customer that show the next purchase: made at install, deleted at uninstall."""

import frappe
from frappe.custom.doctype.custom_field.custom_field import create_custom_fields

FROM, ON, TO = (f"crm_recharge_next_purchase_{end}" for end in ("from", "on", "to"))


def _day(fieldname: str, label: str, insert_after: str, **values) -> dict:
	return {
		"fieldname": fieldname,
		"label": label,
		"fieldtype": "Date",
		"insert_after": insert_after,
		"read_only": 1,
		"no_copy": 1,
		"print_hide": 1,
		"module": "Reorder",
		**values,
	}


CUSTOM_FIELDS = {
	"Customer": [
		_day(
			ON,
			"Next Purchase",
			"customer_group",
			in_list_view=1,
			description="Most likely; see Reorder Customer",
		),
		_day(FROM, "Next Purchase From", ON, depends_on=f"eval:doc.{FROM}"),
		_day(TO, "Next Purchase To", FROM, depends_on=f"eval:doc.{TO}"),
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
