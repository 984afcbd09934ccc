"""Searching for records of the app, as fields that link to them do.

Frappe's own search leaves User Permissions out where the request asks for it, and tells the title of any record that
is shown by its title. Both are answered here for the app's DocTypes: the first by `standard_queries` in hooks.py,
which Frappe asks instead, the second by `override_whitelisted_methods`.
"""

import frappe
from frappe.desk import search

from crm_recharge.domain.inputs import Anything, Flag, Whole
from crm_recharge.doors import records, sight
from crm_recharge.intake import intake

SEARCHED = ("Data", "Text", "Small Text", "Long Text", "Link", "Select")


@frappe.whitelist(methods=["GET", "POST"])
@intake
def records_of(
	doctype: str,
	txt: str = "",
	searchfield: str = "name",
	start: Whole = 0,
	page_len: Whole = 20,
	filters: Anything = None,
	as_dict: Flag = False,
	reference_doctype: str | None = None,
	ignore_user_permissions: Flag = False,
) -> list:
	"""Records of a DocType of the app whose name, title or search fields hold `txt`, of those the caller may list.

	The parameters are those that Frappe hands to a query of a link field; `ignore_user_permissions` is passed over.
	"""
	if doctype not in records.declared() or not sight.may(doctype):
		return []
	meta = frappe.get_meta(doctype)
	columns = search.get_std_fields_list(meta, searchfield)
	like = [[doctype, column, "like", f"%{txt}%"] for column in columns if _is_searched(meta, column)]
	chosen = [f"`tab{doctype}`.`{column}`" for column in columns]
	if meta.show_title_field_in_link and meta.title_field:
		chosen.insert(1, f"`tab{doctype}`.`{meta.title_field}` as `label`")
	return frappe.get_list(
		doctype,
		fields=chosen,
		filters=[*_conditions(doctype, filters), *_in_use(meta)],
		or_filters=like if txt else None,
		limit_start=start or 0,
		limit_page_length=page_len or 20,
		as_list=not as_dict,
	)


@frappe.whitelist(methods=["GET", "POST"])
@intake
def link_title(doctype: Anything, docname: Anything):
	"""The title of a record, to be shown in a link to it; the name where the caller may not see the record of the app."""
	if isinstance(doctype, str) and doctype in records.declared():
		if not frappe.has_permission(doctype, "read", doc=docname):
			return docname
	return search.get_link_title(doctype, docname)


def _is_searched(meta, column: str) -> bool:
	field = meta.get_field(column)
	return column == "name" or bool(field and field.fieldtype in SEARCHED)


def _conditions(doctype: str, filters) -> list:
	filters = frappe.parse_json(filters) or []
	if isinstance(filters, dict):
		return [
			[doctype, column, *value] if isinstance(value, list | tuple) else [doctype, column, "=", value]
			for column, value in filters.items()
		]
	return filters


def _in_use(meta) -> list:
	"""What is disabled is not offered, as Frappe has it."""
	return [[meta.name, "disabled", "=", 0]] if meta.has_field("disabled") else []
