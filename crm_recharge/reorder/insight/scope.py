"""What a reader asked for and may see, as parts of SQL."""

from datetime import date

import frappe
from frappe import _
from frappe.utils import add_months, getdate, nowdate

from crm_recharge.doors.sight import and_rows_of
from crm_recharge.reorder import words

LONGEST_PERIOD_YEARS = 20


def company_of(filters: dict) -> tuple[str | None, str]:
	"""The company asked for, else the reader's own, and its currency; (None, currency) where there is none."""
	company = (
		filters.get("company")
		or frappe.defaults.get_user_default("Company")
		or frappe.db.get_single_value("Global Defaults", "default_company")
		or frappe.db.get_value("Company", {}, "name", order_by="creation")
	)
	currency = frappe.get_cached_value("Company", company, "default_currency") if company else None
	return company, currency or frappe.db.get_default("currency")


def period_of(filters: dict, months: int = 12) -> tuple[date, date]:
	"""From the first to the last day asked for; without, the last `months` months up to today.

	Raises:
		ValidationError: the first day is after the last, or the period is longer than any shop's history.
	"""
	last = getdate(filters.get("to_date") or nowdate())
	first = getdate(filters.get("from_date") or add_months(last, -months))
	if first > last:
		frappe.throw(
			_("The first day, {0}, is after the last, {1}.").format(words.day(first), words.day(last))
		)
	if last.year - first.year > LONGEST_PERIOD_YEARS:
		frappe.throw(_("The period is longer than {0} years: choose less.").format(LONGEST_PERIOD_YEARS))
	return first, last


def seen_by_reader(doctype: str) -> str:
	"""What the reader may list adds to a WHERE over `tab{doctype}`; empty or beginning with AND."""
	return and_rows_of(doctype)


def under(item_group: str | None) -> list[str] | None:
	"""An item group with all below it; None where none was asked for."""
	if not item_group:
		return None
	bounds = frappe.db.get_value("Item Group", item_group, ["lft", "rgt"])
	if not bounds:
		frappe.throw(_("Item Group {0} does not exist.").format(item_group), frappe.DoesNotExistError)
	return frappe.get_all("Item Group", {"lft": [">=", bounds[0]], "rgt": ["<=", bounds[1]]}, pluck="name")


def link_column(fieldname: str, label: str, doctype: str, **values) -> dict:
	"""A report's column that links to `doctype`; plain text for readers who may not read it.

	Frappe refuses a whole report for one linked DocType that its reader may not read.
	"""
	kind = (
		{"fieldtype": "Link", "options": doctype}
		if frappe.has_permission(doctype, "read")
		else {"fieldtype": "Data"}
	)
	return {"fieldname": fieldname, "label": label, **kind, **values}
