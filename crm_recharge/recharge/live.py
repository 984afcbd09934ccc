"""Pages that are open learn of a change at once: a document hook like any other app's, after the commit.

To those alone who may see the document: the desk's forms and lists, which ask for what they may see, and the owner's
page. Nothing is broadcast but a document's name; what it holds each page asks for, with its user's own rights.
"""

import frappe

EVENT = "crm_recharge_change"


def on_change(doc, method: str | None = None) -> None:
	"""Publish that `doc` has changed."""
	doc.notify_update()
	for user in people(doc):
		frappe.publish_realtime(
			EVENT,
			{"doctype": doc.doctype, "name": doc.name, "account": doc.credit_account},
			user=user,
			after_commit=True,
		)


def people(doc) -> list[str]:
	"""Users beside the desk's who may see `doc`: the account's owner."""
	owner = doc.credit_account and frappe.db.get_value("Credit Account", doc.credit_account, "account_owner")
	return [owner] if owner and frappe.db.get_value("User", owner, "enabled") else []
