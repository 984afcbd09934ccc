"""The fields that tie a document of ERPNext to a recharge, a refund or a dispute: only the app sets them.

Frappe takes a read-only field from whoever may write the document. A tie to somebody else's recharge would show that
one, since lists join what a link leads to, and would stand in the way of its booking.
"""

import frappe

from crm_recharge.accounting.custom_fields import CUSTOM_FIELDS

FIELDS = {doctype: [row["fieldname"] for row in rows] for doctype, rows in CUSTOM_FIELDS.items()}


def keep(doc, method=None) -> None:
	"""Sales Invoice, Payment Entry and Journal Entry, validate: the ties are those that are stored, or those of the
	cancelled document that this one amends."""
	if doc.flags.voucher:
		return
	known = doc.get_doc_before_save() or _amended(doc) or {}
	for field in FIELDS[doc.doctype]:
		doc.set(field, known.get(field))


def _amended(doc):
	name = doc.get("amended_from")
	if not name or not isinstance(name, str) or not frappe.has_permission(doc.doctype, "read", doc=name):
		return None
	return frappe.db.get_value(doc.doctype, {"name": name, "docstatus": 2}, FIELDS[doc.doctype], as_dict=True)
