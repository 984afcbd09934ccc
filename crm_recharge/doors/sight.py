"""What a user may see, from the records as they are stored: for single ones, and as SQL for lists and sums.

Everything here answers one question, whose records a user may deal with. Which actions the user's roles allow is
asked besides. The same rule stands behind the single record and the SQL, so that the two cannot drift apart.
"""

from contextlib import contextmanager

import frappe
from frappe import _
from frappe.model.db_query import DatabaseQuery
from frappe.permissions import get_role_permissions, get_user_permissions, has_user_permission

from crm_recharge.doors import records

NOTHING = "1 = 0"


# -- what roles allow ----------------------------------------------------------------------------------------


def may(doctype: str, ptype: str = "read", user: str | None = None) -> bool:
	"""Whether the roles of `user` (default: the session's) allow `ptype` on records of `doctype` in general.

	Frappe's own question without a record says yes as soon as a single record is shared, which is no right to the rest.
	"""
	rights = get_role_permissions(frappe.get_meta(doctype), user=user or frappe.session.user)
	return bool(rights.get(ptype))


def may_open_the_app() -> bool:
	"""Whether the app is shown to the session's user among the desk's apps: to staff whose roles allow to read of it."""
	user = frappe.session.user
	if user != "Administrator" and frappe.get_cached_value("User", user, "user_type") != "System User":
		return False
	return may("Credit Account") or may("Reorder Reminder")


def check(doctype: str, ptype: str = "read") -> None:
	"""Raise frappe.PermissionError (403) unless the session's roles allow `ptype` on `doctype`; see `may`."""
	if not may(doctype, ptype):
		frappe.throw(
			_("You need the right to {0} {1}. Ask a System Manager for it.").format(_(ptype), _(doctype)),
			frappe.PermissionError,
			title=_("Not permitted"),
		)


# -- single records ------------------------------------------------------------------------------------------


def may_see_account(account: str | None, user: str | None = None) -> bool:
	"""Whether `user` (default: the session's) may read the stored Credit Account; False for one that is not there."""
	user = user or frappe.session.user
	if not account or not isinstance(account, str) or not frappe.db.exists("Credit Account", account):
		return False
	return _may_read("Credit Account", account, user)


def may_see_customer(customer: str | None, user: str | None = None) -> bool:
	"""Whether `user` (default: the session's) may deal with the stored Customer; False for one that is not there.

	Who may read customers at all must be allowed to read this one. Staff for reminders need no right on Customer:
	for them only User Permissions say which.
	"""
	return _may_deal_with("Customer", customer, user or frappe.session.user)


def may_see_company(company: str | None, user: str | None = None) -> bool:
	"""As `may_see_customer`, for a Company."""
	return _may_deal_with("Company", company, user or frappe.session.user)


def check_account(account: str, user: str | None = None) -> str:
	"""The account's name as it is stored. Raises as `check_customer`."""
	_check("Credit Account", account, may_see_account(account, user), user)
	return frappe.db.get_value("Credit Account", account)


def check_customer(customer: str, user: str | None = None) -> str:
	"""The customer's name as it is stored.

	For every method that acts on a customer; the caller asks besides whether the user's roles allow the action.

	Raises:
		frappe.PermissionError (403): it is kept from the user; one that is not there, too, if any is.
		frappe.DoesNotExistError (404): there is no such customer, for users from whom none is kept.
	"""
	_check("Customer", customer, may_see_customer(customer, user), user)
	return frappe.db.get_value("Customer", customer)


def check_company(company: str, user: str | None = None) -> str:
	"""The company's name as it is stored. Raises as `check_customer`."""
	_check("Company", company, may_see_company(company, user), user)
	return frappe.db.get_value("Company", company)


def _check(doctype: str, name: str, allowed: bool, user: str | None) -> None:
	if allowed:
		return
	shown = frappe.utils.escape_html(str(name or "")[:140])
	exists = isinstance(name, str) and name and frappe.db.exists(doctype, name)
	if not exists and not (accounts(user) if doctype == "Credit Account" else all_rows_of(doctype, user)):
		frappe.throw(_("{0} {1} does not exist.").format(_(doctype), shown), frappe.DoesNotExistError)
	frappe.throw(
		_("You may not work with {0} {1}.").format(_(doctype), shown),
		frappe.PermissionError,
		title=_("Not permitted"),
	)


def _may_deal_with(doctype: str, name: str | None, user: str) -> bool:
	if not name or not isinstance(name, str) or not frappe.db.exists(doctype, name):
		return False
	if user == "Administrator" or _reads(doctype, user):
		return _may_read(doctype, name, user)
	return _works_with(doctype, user) and is_permitted(frappe.get_cached_doc(doctype, name), user)


def _works_with(doctype: str, user: str) -> bool:
	"""Whether the roles of `user` show any record that hangs on one of `doctype` (Customer or Company)."""
	hanging = (
		records.OF_A_CUSTOMER if doctype == records.CUSTOMER else (records.ACCOUNT, *records.OF_AN_ACCOUNT)
	)
	return any(may(one, "read", user) for one in hanging)


def is_permitted(stored, user: str) -> bool:
	"""Whether the User Permissions of `user` allow a stored document.

	Frappe's own question, without what Frappe tells the user where it says no: whose record it is.
	"""
	with _quietly():
		return has_user_permission(stored, user)


@contextmanager
def _quietly():
	"""Drop what Frappe notes down, to be shown, of why something is not permitted."""
	told = frappe.flags.get("has_permission_check_logs")
	before = len(told or ())
	try:
		yield
	finally:
		if told:
			del told[before:]


def _may_read(doctype: str, name: str, user: str) -> bool:
	with _quietly():
		return bool(frappe.has_permission(doctype, "read", doc=name, user=user))


def _reads(doctype: str, user: str) -> bool:
	rights = get_role_permissions(frappe.get_meta(doctype), user=user)
	return bool(rights.get("read") or rights.get("select"))


# -- as SQL --------------------------------------------------------------------------------------------------


def rows_of(doctype: str, user: str | None = None) -> str:
	"""SQL over `tab{doctype}` that keeps to what `user` may list; empty when that is all of it.

	Frappe's own `build_match_conditions` leaves out the condition for a user who sees shared records alone. A
	percent sign is single: double it where values are passed besides (see `and_rows_of`).
	"""
	query = DatabaseQuery(doctype, user=user or frappe.session.user)
	try:
		match = query.build_match_conditions()
	except frappe.PermissionError:
		frappe.clear_last_message()
		return NOTHING
	return " and ".join(part for part in (*query.conditions, match) if part)


def and_rows_of(doctype: str, user: str | None = None) -> str:
	"""As `rows_of`, to be put behind a WHERE of a query that is run with values: empty, or beginning with AND."""
	match = rows_of(doctype, user)
	return f" AND ({match.replace('%', '%%')})" if match else ""


def accounts(user: str | None = None) -> str:
	"""SQL over `tabCredit Account`: those for which `may_see_account` holds; empty when it holds for all."""
	return rows_of("Credit Account", user)


def customers(user: str | None = None) -> str:
	"""SQL over `tabCustomer`: those for which `may_see_customer` holds; empty when it holds for all."""
	return all_rows_of("Customer", user)


def all_rows_of(doctype: str, user: str | None = None) -> str:
	"""As `rows_of`; where the roles show no such record at all, what User Permissions alone leave."""
	user = user or frappe.session.user
	if user == "Administrator" or _reads(doctype, user):
		return rows_of(doctype, user)
	if not _works_with(doctype, user):
		return NOTHING
	query = DatabaseQuery(doctype, user=user)
	query.reference_doctype, query.match_filters, query.match_conditions = doctype, [], []
	query.add_user_permissions(get_user_permissions(user))
	return " and ".join(f"({condition})" for condition in query.match_conditions)
