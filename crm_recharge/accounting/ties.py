"""The fields that tie a document of ERPNext to a recharge, a refund or a dispute: the app sets them.

Frappe takes a read-only field from whoever may write the document. A tie to somebody else's recharge would show that
one, since lists join what a link leads to, and would stand in the way of its booking.
"""

import frappe

from crm_recharge.accounting.custom_fields import CUSTOM_FIELDS

FIELDS = {doctype: [row["fieldname"] for row in rows] for doctype, rows in CUSTOM_FIELDS.items()}


def keep(doc, method=None) -> None:
	"""Sales Invoice, Payment Entry and Journal Entry, validate: a tie that is sent counts where the sender may see what it
	ties to; else it is the stored one, or that of the cancelled document that this one amends."""
	if doc.flags.voucher:
		return
	known = doc.get_doc_before_save() or _amended(doc) or {}
	for field in FIELDS[doc.doctype]:
		sent = doc.get(field)
		if sent != known.get(field) and not (sent and _may_see(doc.meta.get_options(field), sent)):
			doc.set(field, known.get(field))


def _may_see(doctype: str, name) -> bool:
	return isinstance(name, str) and bool(frappe.has_permission(doctype, "read", doc=name))


def _amended(doc):
	name = doc.get("amended_from")
	if not name or not isinstance(name, str) or not frappe.has_permission(doc.doctype, "read", doc=name):
		return None
	return frappe.db.get_value(doc.doctype, {"name": name, "docstatus": 2}, FIELDS[doc.doctype], as_dict=True)
