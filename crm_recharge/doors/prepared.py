"""Reports of the app that were run in the background: what came of them is for whoever ran them.

Frappe hands a prepared report to everybody who may run the report, by its name. It was made with the rights of one
person: it is read by that one, and by those from whom nothing it tells of is kept.
"""

import frappe
from frappe import _
from frappe.core.doctype.prepared_report.prepared_report import PreparedReport as FrappeReport

from crm_recharge.doors import records, sight


def list_conditions(user: str | None = None, doctype: str | None = None) -> str:
	"""SQL that leaves out of a list of Prepared Report what `user` may not read (permission_query_conditions)."""
	user = user or frappe.session.user
	if user == "Administrator" or not (kept := _kept_from(user)):
		return ""
	names = ", ".join(map(frappe.db.escape, kept))
	return f"(`tabPrepared Report`.`owner` = {frappe.db.escape(user)} or `tabPrepared Report`.`report_name` not in ({names}))"


def has_permission(doc, ptype: str | None = None, user: str | None = None, **kwargs) -> bool:
	"""False for one that somebody else ran on what is kept from `user` in part (has_permission)."""
	user = user or frappe.session.user
	return user in ("Administrator", doc.owner) or doc.report_name not in _kept_from(user)


class PreparedReport(FrappeReport):
	"""Frappe asks nobody who opens one by its name, or by the name of the user who ran it: here is where all read it."""

	def get_prepared_data(self, *args, **kwargs):
		if not has_permission(self):
			frappe.throw(
				_("Somebody else ran this report. Run it yourself."),
				frappe.PermissionError,
				title=_("Not permitted"),
			)
		return super().get_prepared_data(*args, **kwargs)


def _kept_from(user: str) -> set[str]:
	"""Reports of the app that tell `user` less than everything."""
	reports = frappe.get_all(
		"Report", {"ref_doctype": ["in", sorted(records.declared())]}, ["name", "ref_doctype"], order_by=None
	)
	kept = {doctype for doctype in {row.ref_doctype for row in reports} if sight.rows_of(doctype, user)}
	return {row.name for row in reports if row.ref_doctype in kept}
