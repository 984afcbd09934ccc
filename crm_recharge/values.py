"""What a document of this app may hold: checked before anything else is done with what a form or a request sent."""

import frappe
from frappe import _
from frappe.model import display_fieldtypes, no_value_fields, table_fields

from crm_recharge.credits.errors import raise_for_people
from crm_recharge.domain import columns
from crm_recharge.domain.columns import Column
from crm_recharge.domain.errors import InvalidRequest, RuleError, shown

NAME_LENGTH = 140

# Where the type of the column alone does not say it.
_BY_FIELDTYPE = {
	"Check": Column.CHECK,
	"Date": Column.DAY,
	"Datetime": Column.MOMENT,
	"Time": Column.TIME,
	"JSON": Column.JSON,
	"Long Int": Column.LONG,
}
_BY_COLUMN = {
	"varchar": Column.LINE,
	"text": Column.SMALL_TEXT,
	"longtext": Column.LONG_TEXT,
	"int": Column.WHOLE,
	"bigint": Column.LONG,
	"decimal": Column.NUMBER,
}
# Fields that every document has.
_STANDARD = {
	"name": Column.LINE,
	"owner": Column.LINE,
	"modified_by": Column.LINE,
	"creation": Column.MOMENT,
	"modified": Column.MOMENT,
	"docstatus": Column.STATUS,
	"idx": Column.LONG,
	"parent": Column.LINE,
	"parenttype": Column.LINE,
	"parentfield": Column.LINE,
}


def check(doc, passed_over=frozenset()) -> None:
	"""Raise InvalidRequestError for the first field of `doc` or its rows that its column cannot keep.

	`passed_over`: fields that are not taken from outside.
	"""

	def each():
		_check(doc, passed_over)
		for field in doc.meta.get_table_fields():
			for number, row in enumerate(doc.get(field.fieldname) or [], 1):
				_check(row, row=number)

	as_people_read(each)


def check_row(doc, fieldname: str, value) -> None:
	"""Raise InvalidRequestError where what is to be a row of `doc` is none."""
	if not isinstance(value, dict | frappe.model.document.BaseDocument):
		_refuse_rows(doc, fieldname, value)


def check_rows(doc, fieldname: str, value) -> None:
	"""Raise InvalidRequestError where what is to be the rows of `doc` is no list."""
	if not isinstance(value, list | tuple):
		_refuse_rows(doc, fieldname, value)


def _refuse_rows(doc, fieldname: str, value) -> None:
	def refuse():
		field = doc.meta.get_field(fieldname)
		raise InvalidRequest("not_rows", field=_(field.label) if field else fieldname, value=shown(value))

	as_people_read(refuse)


def check_name(doc) -> None:
	"""Raise InvalidRequestError where a document was sent under a name that is none."""
	if doc.name is not None:
		as_people_read(lambda: _keep(doc, "name", Column.LINE, "name", NAME_LENGTH))


def as_people_read(function):
	"""What `function` returns; what a rule refuses in it is refused with a sentence."""
	try:
		return function()
	except RuleError as error:
		raise_for_people(error)


def _check(doc, passed_over=frozenset(), row: int | None = None) -> None:
	where = "" if row is None else _("Row {0}").format(row) + ": "
	for name, column in _STANDARD.items():
		_keep(doc, name, column, where + name, NAME_LENGTH)
	if "idx" in doc.__dict__ and doc.idx in (None, ""):
		doc.idx = 0
	for field in doc.meta.fields:
		if field.fieldname in passed_over:
			continue
		if column := column_of(field):
			_keep(doc, field.fieldname, column, where + _(field.label or field.fieldname), _length(field))


def _keep(doc, fieldname: str, column: Column, label: str, longest: int) -> None:
	if fieldname in doc.__dict__:
		doc.__dict__[fieldname] = columns.kept(column, doc.__dict__[fieldname], label, longest)


def column_of(field) -> Column | None:
	"""The kind of column that keeps a field; None for what is only shown."""
	if (
		field.fieldtype in table_fields
		or field.fieldtype in no_value_fields
		or field.fieldtype in display_fieldtypes
	):
		return None
	if field.fieldtype in _BY_FIELDTYPE:
		return _BY_FIELDTYPE[field.fieldtype]
	kept = frappe.db.type_map.get(field.fieldtype)
	return _BY_COLUMN.get(kept[0]) if kept else None


def _length(field) -> int:
	return int(field.length or 0) or NAME_LENGTH
