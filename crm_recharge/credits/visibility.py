"""Who may see a record that names a credit account but neither customer nor company: who may see the account.

Used by hooks.py for lists and for single records, from one rule, so that the two cannot drift apart.
"""

import frappe
from frappe.model.db_query import DatabaseQuery


def list_conditions(user: str | None = None, doctype: str | None = None) -> str:
	"""SQL that keeps a list of `doctype` to the accounts `user` may see; empty when that is all of them."""
	match = DatabaseQuery("Credit Account", user=user).build_match_conditions()
	if not match:
		return ""
	return f"`tab{doctype}`.`credit_account` IN (SELECT `name` FROM `tabCredit Account` WHERE {match})"


def has_permission(doc, ptype: str | None = None, user: str | None = None, **kwargs) -> bool:
	"""False for a record of an account that `user` may not see."""
	account = doc.get("credit_account")
	if not account or not frappe.db.exists("Credit Account", account):
		return True
	return bool(frappe.has_permission("Credit Account", "read", doc=account, user=user))
