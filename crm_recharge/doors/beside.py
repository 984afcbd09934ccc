"""What is written beside a record: comments, likes, assignments, communications, attachments, tags.

Frappe lets everybody write them about anything, notes them down in the record itself, and lists tags with their titles,
files and followers to people who may not see the record. About a record of the app they are written, and listed, by
who may see it.
"""

import frappe
from frappe import _

from crm_recharge.doors import records, sight
from crm_recharge.intake import intake

ABOUT = {
	**{
		doctype: records.LISTED_BESIDE[doctype]
		for doctype in ("Comment", "Communication", "File", "Tag Link")
	},
	"ToDo": ("reference_type", "reference_name"),
}
"""DocType → the fields that name the record it is about."""

ASKS = {"Tag Link": "write"}
"""What is asked for the record where it is more than reading it: Frappe's own method for tags asks for as much."""

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
	ptype = ASKS.get(doc.doctype, "read")
	if doctype in records.declared() and name and not frappe.has_permission(doctype, ptype, doc=name):
		frappe.throw(
			_("You may not write about {0} {1}.").format(
				_(doctype), frappe.utils.escape_html(str(name)[:140])
			),
			frappe.PermissionError,
			title=_("Not permitted"),
		)


def list_conditions(user: str | None = None, doctype: str | None = None) -> str:
	"""SQL that leaves out of a list of `doctype` (one of records.LISTED_BESIDE) what is about records of the app that `user` may not list
	(permission_query_conditions)."""
	user = user or frappe.session.user
	if user == "Administrator":
		return ""
	about, name = (f"`tab{doctype}`.`{field}`" for field in records.LISTED_BESIDE[doctype])
	matches = {one: _listed(one, user) for one in sorted(records.declared() - set(records.ROWS))}
	hidden = ", ".join(frappe.db.escape(one) for one, match in matches.items() if match == sight.NOTHING)
	found = [f"coalesce({about}, '') not in ({hidden})"] if hidden else []
	found += [
		f"(coalesce({about}, '') != {frappe.db.escape(one)} or {name} in (select `name` from `tab{one}` where {match}))"
		for one, match in matches.items()
		if match not in ("", sight.NOTHING)
	]
	return " and ".join(found)


def _listed(doctype: str, user: str) -> str:
	if frappe.get_meta(doctype).issingle:
		return "" if sight.may(doctype, "read", user) else sight.NOTHING
	return sight.rows_of(doctype, user)


@frappe.whitelist(methods=["GET", "POST"])
@intake
def tagged(doctype: str, tag: str):
	"""Names of the records of `doctype` with `tag`, of those the caller may list, each in a list of its own: Frappe's
	`get_tagged_docs`, which names all to whoever may list some. Errors: 403."""
	if doctype not in records.declared():
		from frappe.desk.doctype.tag.tag import get_tagged_docs

		return get_tagged_docs(doctype, tag)
	sight.check(doctype)
	return frappe.get_list(doctype, filters={"_user_tags": ["like", tag]}, as_list=True, limit_page_length=0)
