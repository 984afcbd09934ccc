"""The app's roles: made where they are missing, and then the site's own.

No fixtures: Frappe writes those anew at each migration, and with them whether a role asks for a second factor or
where it lands, which people set.
"""

import frappe

from crm_recharge.setup import written

DOCTYPE = "Role"
# Role -> whether it opens the desk.
ROLES = {
	"Credit Manager": True,
	"Credit User": True,
	"Credit API": False,
	"Reorder Manager": True,
	"Reorder User": True,
	"Reorder API": False,
}
HOLDERS = ("User", "Role Profile")


def make() -> None:
	"""Make the roles that are missing. Before the DocTypes: Frappe gives each role their permissions name the desk."""
	for name, desk in ROLES.items():
		if not frappe.db.exists(DOCTYPE, name):
			frappe.get_doc({"doctype": DOCTYPE, "role_name": name, "desk_access": int(desk)}).insert(
				ignore_permissions=True
			)
			written.remember(DOCTYPE, name, "made")


def take_away() -> list[str]:
	"""Delete the roles this app made, and take them from who holds them. Returns those that stay.

	A role that something of the site's own uses (a permission of another DocType, a workflow, a report) stays, with
	its holders. Run when the app's DocTypes are gone: what they say about roles is not the site's.
	"""
	kept = []
	for name in written.names(DOCTYPE):
		if is_used(name):
			kept.append(name)
			continue
		for holder in frappe.get_all(
			"Has Role", {"role": name, "parenttype": ["in", HOLDERS]}, pluck="parent"
		):
			frappe.clear_cache(user=holder)
		frappe.db.delete("Has Role", {"role": name})
		frappe.delete_doc(DOCTYPE, name, force=True, ignore_permissions=True, delete_permanently=True)
	written.forget(DOCTYPE)
	return kept


def is_used(role: str) -> bool:
	"""Whether anything on the site but its holders names `role`."""
	return any(_names(doctype, field, role) for doctype, field in _fields_of_roles())


def _fields_of_roles() -> set[tuple[str, str]]:
	"""(DocType, field) of each link to a role, tables of forms included."""
	fields = {
		(row.parent, row.fieldname)
		for row in frappe.get_all(
			"DocField", {"fieldtype": "Link", "options": DOCTYPE}, ["parent", "fieldname"]
		)
	}
	fields |= {
		(row.dt, row.fieldname)
		for row in frappe.get_all(
			"Custom Field", {"fieldtype": "Link", "options": DOCTYPE}, ["dt", "fieldname"]
		)
	}
	return {(doctype, field) for doctype, field in fields if frappe.db.exists("DocType", doctype)}


def _names(doctype: str, field: str, role: str) -> bool:
	meta = frappe.get_meta(doctype)
	if meta.issingle:
		return frappe.db.get_single_value(doctype, field) == role
	if meta.is_virtual or not frappe.db.has_column(doctype, field):
		return False
	rows = frappe.get_all(
		doctype, {field: role}, ["name", *(("parent", "parenttype") if meta.istable else ())]
	)
	return any(_is_the_sites_own(doctype, row) for row in rows)


def _is_the_sites_own(doctype: str, row) -> bool:
	if doctype == "Has Role" and row.parenttype in HOLDERS:
		return False
	# A permission of a DocType that is gone says nothing any more.
	if doctype in ("DocPerm", "Custom DocPerm"):
		return bool(
			frappe.db.exists("DocType", row.get("parent") or frappe.db.get_value(doctype, row.name, "parent"))
		)
	return True
