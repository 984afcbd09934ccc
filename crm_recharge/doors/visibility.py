"""Whose records a user sees: the hooks for lists and for single records, both from `records` and `sight`."""

import frappe
from frappe.permissions import get_user_permissions

from crm_recharge.doors import records, sight

"""Where an event of the gateway names its customer."""


# -- lists ---------------------------------------------------------------------------------------------------


def list_conditions(user: str | None = None, doctype: str | None = None) -> str:
	"""SQL that keeps a list of `doctype` to what `user` may see; empty when that is all (permission_query_conditions)."""
	user = user or frappe.session.user
	if parent := records.ROWS.get(doctype):
		match = sight.rows_of(parent, user)
		return (
			f"(`tab{doctype}`.`parenttype` = {frappe.db.escape(parent)} AND"
			f" `tab{doctype}`.`parent` IN (SELECT `name` FROM `tab{parent}` WHERE {match}))"
			if match and not frappe.get_meta(parent).issingle
			else ""
		)
	if doctype in records.OF_ALL:
		return sight.NOTHING if sight.customers(user) else ""
	if doctype in records.BY_GATEWAY_CUSTOMER:
		match = sight.accounts(user)
		return match and (
			f"`tab{doctype}`.`gateway_customer` IN"
			f" (SELECT `gateway_customer` FROM `tabCredit Account` WHERE {match})"
		)
	anchor, field = records.anchor(doctype) or (None, None)
	if not anchor:
		return ""
	match = sight.accounts(user) if anchor == records.ACCOUNT else sight.customers(user)
	return match and f"`tab{doctype}`.`{field}` IN (SELECT `name` FROM `tab{anchor}` WHERE {match})"


# -- single records ------------------------------------------------------------------------------------------


def has_permission(doc, ptype: str | None = None, user: str | None = None, **kwargs) -> bool:
	"""False for a record that `user` may not see as it is stored, whatever the document says (has_permission)."""
	user = user or frappe.session.user
	if user == "Administrator":
		return True
	if get_user_permissions(user) and not _stored_is_permitted(doc, user):
		return False
	if doc.doctype in records.OF_ALL:
		return not sight.customers(user)
	if doc.doctype in records.BY_GATEWAY_CUSTOMER:
		return _may_see_event(doc, user)
	anchor = records.anchor(doc.doctype)
	return _may_see_anchor(doc, *anchor, user) if anchor else True


def _stored_is_permitted(doc, user: str) -> bool:
	name = _stored_name(doc)
	return sight.is_permitted(frappe.get_doc(doc.doctype, name), user) if name else True


def _stored_name(doc) -> str | None:
	if not isinstance(doc.name, str) or frappe.get_meta(doc.doctype).issingle:
		return None
	return frappe.db.get_value(doc.doctype, doc.name)


def _may_see_anchor(doc, anchor: str, field: str, user: str) -> bool:
	see = sight.may_see_account if anchor == records.ACCOUNT else sight.may_see_customer
	if name := _stored_name(doc):
		own = frappe.db.get_value(doc.doctype, name, field)
		if own and frappe.db.exists(anchor, own):
			return see(own, user)
		# What belongs to nobody, or to one that is gone, is for those from whom nothing is kept.
		return not (sight.accounts(user) if anchor == records.ACCOUNT else sight.customers(user))
	sent = doc.get(field)
	# One that is not there is refused for its content.
	return see(sent, user) if isinstance(sent, str) and frappe.db.exists(anchor, sent) else True


def _may_see_event(event, user: str) -> bool:
	if not sight.accounts(user):
		return True
	customer = frappe.db.get_value(event.doctype, event.name, "gateway_customer")
	account = customer and frappe.db.get_value("Credit Account", {"gateway_customer": customer})
	return bool(account) and sight.may_see_account(account, user)
