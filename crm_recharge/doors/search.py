"""Searching for records of the app, as fields that link to them do.

Frappe's own search leaves User Permissions out where the request asks for it, and tells the title of any record that
is shown by its title. Both are answered here for the app's DocTypes: the first by `standard_queries` in hooks.py,
which Frappe asks instead, the second by `override_whitelisted_methods`.
"""

import frappe
from frappe.desk import search

from crm_recharge.domain.errors import InvalidRequest, shown
from crm_recharge.domain.inputs import Flag, Whole, text
from crm_recharge.doors import records, sight
from crm_recharge.intake import intake

MOST_FOUND = 500
STANDARD = ("name", "owner", "creation", "modified", "docstatus")
OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "like", "not like", "in", "not in", "is", "between")
SEARCHED = ("Data", "Text", "Small Text", "Long Text", "Link", "Select")


@frappe.whitelist(methods=["GET", "POST"])
@intake
def records_of(
	doctype: str,
	txt: str = "",
	searchfield: str = "name",
	start: Whole = 0,
	page_len: Whole = 20,
	filters: dict | list | str | None = None,
	as_dict: Flag = False,
	reference_doctype: str | None = None,
	ignore_user_permissions: Flag = False,
	link_fieldname: str | None = None,
) -> list:
	"""Records of a DocType of the app whose name, title or search fields hold `txt`, of those the caller may list.

	The parameters are those that Frappe hands to a query of a link field (the last comes with Frappe 16);
	`ignore_user_permissions` is passed over.
	"""
	if doctype not in records.declared() or not sight.may(doctype):
		return []
	meta = frappe.get_meta(doctype)
	if searchfield not in ("", "name") and not meta.has_field(searchfield):
		raise InvalidRequest("unknown_field", fields=shown(searchfield), known="name")
	columns = search.get_std_fields_list(meta, searchfield or "name")
	like = [[doctype, column, "like", f"%{txt}%"] for column in columns if _is_searched(meta, column)]
	chosen = [f"`tab{doctype}`.`{column}`" for column in columns]
	if meta.show_title_field_in_link and meta.title_field:
		chosen.insert(1, f"`tab{doctype}`.`{meta.title_field}` as `label`")
	conditions, most = [*_conditions(meta, filters or []), *_in_use(meta)], min(max(page_len, 1), MOST_FOUND)

	def listed(*named: list) -> list:
		return frappe.get_list(
			doctype,
			fields=chosen,
			filters=[*conditions, *named],
			or_filters=like if txt else None,
			limit_start=max(start, 0),
			limit_page_length=most,
			as_list=not as_dict,
		)

	found = listed()
	if not txt or len(found) < most:
		return found
	# The record of this very name is not lost among many like it: Frappe 16 asks so whether a link is right.
	same = listed([doctype, "name", "=", txt])
	return [*same, *(row for row in found if row not in same)]


@frappe.whitelist(methods=["GET", "POST"])
@intake
def link_title(doctype: str, docname: str):
	"""The title of a record, to be shown in a link to it; the name where the caller may not see the record of the app."""
	if doctype in records.declared():
		if not frappe.has_permission(doctype, "read", doc=docname):
			return docname
	return search.get_link_title(doctype, docname)


def _is_searched(meta, column: str) -> bool:
	field = meta.get_field(column)
	return column == "name" or bool(field and field.fieldtype in SEARCHED)


def _conditions(meta, filters: dict | list) -> list:
	"""Frappe's filters, by name or as a list, each checked: what is none of them is refused."""
	if isinstance(filters, dict):
		found = [
			[column, *(value if isinstance(value, list) else ("=", value))]
			for column, value in filters.items()
		]
	else:
		found = [row[1:] if isinstance(row, list) and len(row) == 4 else row for row in filters]
	for row in found:
		if not isinstance(row, list) or len(row) != 3:
			raise InvalidRequest("not_a_list", field="filters", value=shown(row))
		_check_condition(meta, *row)
	return [[meta.name, *row] for row in found]


def _check_condition(meta, column, operator, value) -> None:
	if not isinstance(column, str) or not (column in STANDARD or meta.has_field(column)):
		raise InvalidRequest("unknown_field", fields=shown(column), known=", ".join(STANDARD))
	if not isinstance(operator, str) or operator.lower() not in OPERATORS:
		raise InvalidRequest("not_one_of", field=column, value=shown(operator), known=", ".join(OPERATORS))
	for part in value if isinstance(value, list) else [value]:
		if part is not None and (not isinstance(part, str | int | float) or part != part):
			raise InvalidRequest("not_text", field=column, value=shown(part))
		if isinstance(part, str):
			text(part, column)


def _in_use(meta) -> list:
	"""What is disabled is not offered, as Frappe has it."""
	return [[meta.name, "disabled", "=", 0]] if meta.has_field("disabled") else []
