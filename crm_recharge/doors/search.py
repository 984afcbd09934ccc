"""Searching for records of the app, as fields that link to them do.

Frappe's own search leaves User Permissions out where the request asks for it, and tells the title of any record that
is shown by its title. Both are answered here for the app's DocTypes: the first by `standard_queries` in hooks.py,
which Frappe asks instead, the second by `override_whitelisted_methods`.
"""

import math

import frappe
from frappe.database.utils import NestedSetHierarchy
from frappe.desk import search
from frappe.model import default_fields
from frappe.utils import flt
from frappe.utils.data import get_timespan_date_range

from crm_recharge.domain.errors import InvalidRequest, shown
from crm_recharge.domain.inputs import Flag, Whole, text
from crm_recharge.doors import records, sight
from crm_recharge.intake import intake

MOST_FOUND = 500
COMPARED = ("=", "!=", "<", "<=", ">", ">=", "like", "not like", "in", "not in", "is")
OF_TIME = ("between", "timespan", "previous", "next")
OPERATORS = (*COMPARED, *OF_TIME, *NestedSetHierarchy)
TEXTS = ("is", "timespan", "previous", "next", *NestedSetHierarchy)
"""Operators whose value is a text."""
NUMBERS = ("Check", "Int", "Long Int", "Float", "Currency", "Percent")
PERIODS = ("1 week", "1 month", "3 months", "6 months", "1 year")
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
	conditions, most = _conditions(meta, filters or []), min(max(page_len, 1), MOST_FOUND)

	def listed(*named: list) -> list:
		return frappe.get_list(
			doctype,
			fields=chosen,
			filters=[*conditions, *_in_use(meta), *named],
			# A record with two rows that fit is found once.
			distinct=any(condition[0] != doctype for condition in conditions),
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
	"""Frappe's filters in each of the shapes that the desk sends, and checked: what is none of them is refused."""
	rows = filters.items() if isinstance(filters, dict) else filters
	return [_checked(meta, *_in_full(meta.name, row)) for row in rows]


def _in_full(doctype: str, row) -> list:
	"""A filter as DocType, field, operator and value."""
	if isinstance(row, dict) and len(row) == 1:
		row = next(iter(row.items()))
	if isinstance(row, tuple):
		column, value = row
		row = [column, *(value if isinstance(value, list) else ("=", value))]
	if isinstance(row, list) and len(row) == 3:
		row = [doctype, *row]
	# The desk's lists add whether a filter is shown.
	if not isinstance(row, list) or not 4 <= len(row) <= 5:
		raise InvalidRequest("not_a_list", field="filters", value=shown(row))
	return row[:4]


def _checked(meta, doctype, column, operator, value) -> list:
	if doctype != meta.name:
		rows = [field.options for field in meta.get_table_fields()]
		if doctype not in rows:
			raise InvalidRequest("not_one_of", field="filters", value=shown(doctype), known=", ".join(rows))
		meta = frappe.get_meta(doctype)
	if not isinstance(column, str) or column not in frappe.db.get_table_columns(meta.name):
		raise InvalidRequest("unknown_field", fields=shown(column), known=", ".join(default_fields[1:]))
	kind = operator.lower() if isinstance(operator, str) else None
	if kind not in OPERATORS:
		raise InvalidRequest("not_one_of", field=column, value=shown(operator), known=", ".join(OPERATORS))
	_check_value(meta, column, kind, value)
	return [doctype, column, operator, value]


def _check_value(meta, column: str, operator: str, value) -> None:
	"""Raise InvalidRequest for a value that Frappe could not make a condition of."""
	if isinstance(value, list) != (operator == "between") and operator not in ("in", "not in"):
		raise InvalidRequest("not_text", field=column, value=shown(value))
	for part in value if isinstance(value, list) else [value]:
		if part is not None and not isinstance(part, str | int | float):
			raise InvalidRequest("not_text", field=column, value=shown(part))
		if (isinstance(part, float) or _is_number(meta, column)) and not math.isfinite(flt(part)):
			raise InvalidRequest("not_finite", what=column, value=shown(part))
		if isinstance(part, str):
			text(part, column)
		elif operator in TEXTS or (operator in ("in", "not in") and part and not isinstance(value, list)):
			raise InvalidRequest("not_text", field=column, value=shown(part))
		elif part is not None and _is_time(meta, column):
			raise InvalidRequest("bad_day", field=column, value=shown(part))
	known = _known_values(operator)
	if known and value not in known:
		raise InvalidRequest("not_one_of", field=column, value=value, known=", ".join(known))
	if operator == "timespan" and not get_timespan_date_range(value):
		raise InvalidRequest("not_one_of", field=column, value=value, known="today, last week, this month")
	if operator in OF_TIME and not _is_time(meta, column):
		raise InvalidRequest("bad_day", field=column, value=shown(value))
	if operator in NestedSetHierarchy and not _tree_of(meta, column):
		raise InvalidRequest("not_one_of", field=column, value=operator, known=", ".join(COMPARED))


def _known_values(operator: str) -> tuple[str, ...]:
	if operator == "is":
		return ("set", "not set")
	return PERIODS if operator in ("previous", "next") else ()


def _is_time(meta, column: str) -> bool:
	field = meta.get_field(column)
	return column in ("creation", "modified") or bool(
		field and field.fieldtype in ("Date", "Datetime", "Time")
	)


def _is_number(meta, column: str) -> bool:
	field = meta.get_field(column)
	return column in ("docstatus", "idx") or bool(field and field.fieldtype in NUMBERS)


def _tree_of(meta, column: str) -> bool:
	"""Whether the field links to a tree, of which something may be below something else."""
	field = meta.get_field(column)
	return bool(field and field.fieldtype == "Link" and frappe.get_meta(field.options).is_nested_set())


def _in_use(meta) -> list:
	"""What is disabled is not offered, as Frappe has it."""
	return [[meta.name, "disabled", "=", 0]] if meta.has_field("disabled") else []
