"""What this room adds to ERPNext's documents; `crm_recharge.install` makes it, `crm_recharge.uninstall` deletes it."""

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
