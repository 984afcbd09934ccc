"""What this room adds to ERPNext's documents; `crm_recharge.install` makes it, `crm_recharge.uninstall` deletes it."""

from crm_recharge.setup.titles import N_

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
			_hidden(KEY, N_("Reorder Request"), "company", unique=1),
			_hidden(CONTENT, N_("Reorder Request Content"), KEY),
		]
		for doctype in ("Quotation", "Sales Order")
	},
	"Loyalty Point Entry": [
		_hidden(REMINDED, N_("Reorder Reminder Row"), "invoice", search_index=1),
	],
}
