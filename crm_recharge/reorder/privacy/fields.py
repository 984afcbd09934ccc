"""The mark on Customer that its purchases are not learned; `crm_recharge.install` makes it."""

import frappe

from crm_recharge.setup.titles import N_

NOT_LEARNED = "crm_recharge_not_learned"

CUSTOM_FIELDS = {
	"Customer": [
		{
			"fieldname": NOT_LEARNED,
			"label": N_("No Reorder Reminders"),
			"fieldtype": "Check",
			"insert_after": "crm_recharge_next_purchase_to",
			"read_only": 1,
			"no_copy": 1,
			"print_hide": 1,
			"depends_on": f"eval:doc.{NOT_LEARNED}",
			"description": N_(
				"What was learned of this customer's purchases was erased, and no more is learned."
			),
			"module": "Reorder",
		}
	]
}


def is_not_learned(customer: str) -> bool:
	"""Whether the customer's data was erased and its purchases are not to be learned."""
	return has_mark() and bool(frappe.db.get_value("Customer", customer, NOT_LEARNED))


def has_mark() -> bool:
	"""Whether this site has the field yet: invoices are learned also in the middle of an update."""
	return frappe.db.has_column("Customer", NOT_LEARNED)
