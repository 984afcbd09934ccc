"""What is written beside a record: comments, likes, assignments, communications, attachments, tags.

Frappe lets everybody write them about anything, and notes them down in the record itself. About a record of the app
they are written by who may see it.
"""

import frappe
from frappe import _

from crm_recharge.doors import records

ABOUT = {
	"Comment": ("reference_doctype", "reference_name"),
	"Communication": ("reference_doctype", "reference_name"),
	"File": ("attached_to_doctype", "attached_to_name"),
	"Tag Link": ("document_type", "document_name"),
	"ToDo": ("reference_type", "reference_name"),
}
"""DocType → the fields that name the record it is about."""

BY_PEOPLE = ("Comment", "Like")
"""Types of Comment that no program writes: Frappe's methods for them ask for no right."""


def check(doc, method: str | None = None) -> None:
	"""Refuse what is about a record that the user may not see (validate). Raises frappe.PermissionError.

	What a program writes on somebody's behalf, with permissions ignored, is let through.
	"""
	if frappe.session.user == "Administrator":
		return
	if doc.flags.ignore_permissions and not (doc.doctype == "Comment" and doc.comment_type in BY_PEOPLE):
		return
	doctype, name = (doc.get(field) for field in ABOUT[doc.doctype])
	if doctype in records.declared() and name and not frappe.has_permission(doctype, "read", doc=name):
		frappe.throw(
			_("You may not write about {0} {1}.").format(
				_(doctype), frappe.utils.escape_html(str(name)[:140])
			),
			frappe.PermissionError,
			title=_("Not permitted"),
		)
