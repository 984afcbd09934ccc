"""Whom staff put down by name: a customer's *Portal Users*, and the people of its credit accounts."""

import frappe
from frappe import _

NOBODY = ("Guest", "Administrator")


def owns(user: str, account: str | None) -> str | None:
	"""The name of credit account `account` as it is stored, if `user` is one of its people: today, its owner."""
	if not user or user in NOBODY or not account or not isinstance(account, str):
		return None
	return frappe.db.get_value("Credit Account", {"name": account, "account_owner": user})


def accounts_of(user: str) -> list[str]:
	"""The credit accounts that `user` is one of the people of, in the order of their names."""
	if not user or user in NOBODY:
		return []
	return frappe.get_all("Credit Account", {"account_owner": user}, pluck="name", order_by="name")


def named_customers(user: str) -> list[str]:
	"""The customers for which staff put `user` down by name, the longest known first."""
	if not user or user in NOBODY:
		return []
	rows = frappe.get_all(
		"Portal User",
		{"user": user, "parenttype": "Customer", "parentfield": "portal_users"},
		["parent as customer", "creation"],
	)
	rows += frappe.get_all("Credit Account", {"account_owner": user}, ["customer", "creation"])
	return list(dict.fromkeys(row.customer for row in sorted(rows, key=lambda row: row.creation)))


def named_users(customer: str) -> list[str]:
	"""The users whom staff put down by name for `customer`."""
	found = frappe.get_all(
		"Portal User",
		{"parent": customer, "parenttype": "Customer", "parentfield": "portal_users"},
		pluck="user",
	)
	found += frappe.get_all(
		"Credit Account", {"customer": customer, "account_owner": ["is", "set"]}, pluck="account_owner"
	)
	return list(dict.fromkeys(found))


def on_row_alone(row, method=None) -> None:
	"""A Portal User row is saved or deleted by itself: as the Customer it stands in (doc_events in hooks.py).

	Frappe asks for a right to customers in general then. Raises frappe.PermissionError.
	"""
	if row.flags.ignore_permissions:
		return
	stored = frappe.db.get_value(row.doctype, row.name, ["parenttype", "parent"]) if row.name else None
	for parenttype, parent in {(row.parenttype, row.parent), stored or (row.parenttype, row.parent)}:
		if not (parent and frappe.has_permission(parenttype, "write", doc=parent)):
			frappe.throw(
				_("Portal users are put down in the customer: open {0}.").format(
					frappe.utils.escape_html(str(parent or ""))
				),
				frappe.PermissionError,
				title=_("Not permitted"),
			)
