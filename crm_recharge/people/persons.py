"""For which customers a user speaks.

Who stands in a Customer's *Portal Users*, which staff alone write, and the people of its credit accounts. That a
Contact or Address is linked to a Customer proves nothing here: Frappe lets everybody make such links.
"""

import frappe

NOBODY = ("Guest", "Administrator")


def accounts_of(user: str) -> list[str]:
	"""The credit accounts that `user` is one of the people of; today that is their owner."""
	if not user or user in NOBODY:
		return []
	return frappe.get_all("Credit Account", {"account_owner": user}, pluck="name", order_by="name")


def owns(user: str, account: str | None) -> str | None:
	"""The name of `account` as it is stored, if `user` is one of its people."""
	if not user or user in NOBODY or not account or not isinstance(account, str):
		return None
	return frappe.db.get_value("Credit Account", {"name": account, "account_owner": user})


def customers_of(user: str) -> list[str]:
	"""The customers that `user` speaks for, the longest known first; disabled ones are left out."""
	if not user or user in NOBODY:
		return []
	rows = frappe.get_all(
		"Portal User",
		{"user": user, "parenttype": "Customer", "parentfield": "portal_users"},
		["parent as customer", "creation"],
	)
	rows += frappe.get_all("Credit Account", {"account_owner": user}, ["customer", "creation"])
	found = dict.fromkeys(row.customer for row in sorted(rows, key=lambda row: row.creation))
	enabled = set(
		frappe.get_all("Customer", {"name": ["in", [*found, ""]], "disabled": 0}, pluck="name", order_by=None)
	)
	return [customer for customer in found if customer in enabled]


def speaks_for(user: str, customer: str | None) -> bool:
	"""Whether `user` speaks for `customer`."""
	return bool(customer) and customer in customers_of(user)
