"""What has changed in a document, kept as a row of the transaction that changes it: DocType Outbox Change.

A document's changes are numbered (its column `changes`) under the lock of its row: whoever sees one sees those before.
"""

import json

import frappe
from frappe.model import numeric_fieldtypes
from frappe.model.base_document import get_controller

from crm_recharge import clock, transactions
from crm_recharge.outbox.queue import enqueue_after_commit

DOCTYPE = "Outbox Change"
TELL = "tell_listeners"
WAITING, DELIVERED = "Waiting", "Delivered"
SAVED, SAVED_SUBMITTED = ("on_update", "on_change"), ("on_update", "on_update_after_submit", "on_change")
NOT_OF_THE_CHANGE = ("modified", "modified_by", "changes")


def write(doctype: str, name: str, values: dict) -> None:
	"""As `frappe.db.set_value`, for a document whose changes may be announced. Locks its row.

	Others are told where a column of its STATE changes; what keeps books of the work (leases, tries) is nobody's matter.
	"""
	if not set(state_of(doctype)) & values.keys():
		frappe.db.set_value(doctype, name, values)
		return
	before = row_of(doctype, name, lock=True)
	if before is None:
		return
	frappe.db.set_value(doctype, name, values)
	after = row_of(doctype, name)
	if any(before[column] != after[column] for column in state_of(doctype)):
		_together(doctype, before, after) or record(doctype, before, after, happened(before, after), True)


def happened(before: dict, after: dict) -> tuple[str, ...]:
	"""The document events of what was written past the document: as if it had been saved so."""
	if after["docstatus"] == 0:
		return SAVED
	if after["docstatus"] == 1:
		return SAVED_SUBMITTED
	return ("on_cancel", "on_change") if before["docstatus"] != 2 else SAVED_SUBMITTED


def record_saved(doc, what: tuple[str, ...]) -> None:
	"""Record what saving `doc` has changed. Part of the transaction."""
	after = row_of(doc.doctype, doc.name)
	if after is None:
		return
	before = None
	if "after_insert" not in what and (stored := doc.get_doc_before_save()):
		before = _as_row(doc.doctype, stored.get_valid_dict())
	only_set = what == ("on_change",)
	if only_set or _is_being_told_of(doc):
		# Set past saving (db_set), or written by a listener itself: what changes no state goes round in no circle.
		if before and all(before[column] == after[column] for column in state_of(doc.doctype)):
			return
		if only_set:
			what, doc._doc_before_save = happened(before or after, after), None
	doc.changes = record(doc.doctype, before, after, what)


def record(
	doctype: str, before: dict | None, after: dict, what: tuple[str, ...], goes_on: bool = False
) -> int:
	"""Keep one change; its row is locked by having been written. Returns its number.

	`goes_on`: what the same transaction writes besides is part of it.
	"""
	number = (after["changes"] or 0) + 1
	name = after["name"]
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	frappe.db.sql(f"UPDATE `tab{doctype}` SET `changes` = %s WHERE `name` = %s", (number, name))
	after["changes"] = number
	differing = None if before is None else _differing(before, after)
	now, change = clock.now_datetime(), frappe.generate_hash(length=20)
	if goes_on:
		_of_this_transaction()[key_of(doctype, name)] = (change, what)
	else:
		_of_this_transaction().pop(key_of(doctype, name), None)
	frappe.db.sql(
		f"INSERT INTO `tab{DOCTYPE}` (`name`, `creation`, `modified`, `owner`, `modified_by`, `reference_doctype`,"
		" `reference_name`, `position`, `credit_account`, `status`, `state`, `happened`, `old_values`, `new_values`)"
		" VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
		(
			change, now, now, frappe.session.user, frappe.session.user, doctype, name, number,
			after.get("credit_account"), WAITING, after.get("status"), ",".join(what),
			None if differing is None else _json(differing), _json(after),
		),
	)  # fmt: skip
	_tell_once(key_of(doctype, name))
	return number


def _together(doctype: str, before: dict, after: dict) -> bool:
	"""Add what is written now to the change that this transaction has written already. Whether there is one."""
	change, what = _of_this_transaction().get(key_of(doctype, after["name"]), (None, None))
	if change is None or what != happened(before, after):
		return False
	kept = frappe.db.get_value(DOCTYPE, change, "old_values")
	if kept is None:
		# Taken back with a part of the transaction.
		return False
	differing = {key: _plain(value) for key, value in _differing(before, after).items()} | json.loads(kept)
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	frappe.db.sql(
		f"UPDATE `tab{DOCTYPE}` SET `old_values` = %s, `new_values` = %s, `state` = %s WHERE `name` = %s",
		(_json(differing), _json(after), after.get("status"), change),
	)
	return True


def _tell_once(key: str) -> None:
	"""One job for all that the transaction changes in a document."""
	told = _of_this_transaction()
	if ("told", key) not in told:
		told["told", key] = (None, ())
		enqueue_after_commit(TELL, key, again=True)


def _of_this_transaction() -> dict:
	"""Document → its change that the open transaction has written, and what it is told as."""
	found = getattr(frappe.local, "crm_recharge_changes", None)
	if found is None:
		found = frappe.local.crm_recharge_changes = {}
		frappe.db.after_commit.add(_forget)
		frappe.db.after_rollback.add(_forget)
	return found


def _forget() -> None:
	frappe.local.crm_recharge_changes = None


def _differing(before: dict, after: dict) -> dict:
	return {
		column: before.get(column)
		for column, value in after.items()
		if before.get(column) != value and column not in NOT_OF_THE_CHANGE
	}


def notice(key: str) -> None:
	"""Record a change of state that was written past all this (by another app, in the console). Commits."""
	doctype, name = split(key)
	after = row_of(doctype, name, lock=True)
	if after and (last := _last_of(doctype, name, after["changes"])):
		before = json.loads(last)
		if any(before.get(column) != _plain(after[column]) for column in ("status", "docstatus")):
			record(doctype, _revived(doctype, before), after, happened(before, after))
	transactions.commit()


def unnoticed() -> list[str]:
	"""Documents written lately whose status is not the one that was announced last."""
	found: list[str] = []
	since = frappe.utils.add_to_date(None, hours=-26, as_datetime=True)
	for doctype in announced():
		names = frappe.db.sql(
			f"SELECT d.`name` FROM `tab{doctype}` d JOIN `tab{DOCTYPE}` c ON c.`reference_doctype` = %s"
			" AND c.`reference_name` = d.`name` AND c.`position` = d.`changes`"
			" WHERE d.`modified` >= %s AND c.`state` <> d.`status` LIMIT 100",
			(doctype, since),
			pluck=True,
		)
		found += [key_of(doctype, name) for name in names]
	return found


def due() -> list[str]:
	"""Documents with changes of which nobody is telling."""
	rows = frappe.db.sql(
		f"SELECT `reference_doctype`, `reference_name`, MAX(`lease_until`) FROM `tab{DOCTYPE}` WHERE `status` = %s"
		" GROUP BY `reference_doctype`, `reference_name`"
		" HAVING MAX(`lease_until`) IS NULL OR MAX(`lease_until`) <= %s ORDER BY MIN(`creation`) LIMIT 500",
		(WAITING, clock.latest(clock.now())),
	)
	return [key_of(doctype, name) for doctype, name, leased_until in rows if clock.is_past(leased_until)]


# -- rows ----------------------------------------------------------------------------------------------------


def announced() -> tuple[str, ...]:
	"""The DocTypes whose changes are announced."""
	return tuple(frappe.get_hooks("crm_recharge_announced"))


def state_of(doctype: str) -> tuple[str, ...]:
	"""Columns of `doctype` whose change is announced; none where it announces nothing."""
	return getattr(get_controller(doctype), "STATE", ())


def key_of(doctype: str, name: str) -> str:
	"""A document in one word, as jobs name it."""
	return f"{doctype}|{name}"


def split(key: str) -> tuple[str, str]:
	"""DocType and name of a document's key."""
	doctype, _bar, name = key.partition("|")
	return doctype, name


def row_of(doctype: str, name: str, lock: bool = False) -> dict | None:
	"""A document's columns as they are now, money as exact text."""
	exact = [df.fieldname for df in frappe.get_meta(doctype).fields if df.fieldtype in _EXACT]
	columns = "".join(f", CAST(`{column}` AS CHAR) AS `{column}`" for column in exact)
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	rows = frappe.db.sql(
		f"SELECT *{columns} FROM `tab{doctype}` WHERE `name` = %s{' FOR UPDATE' if lock else ''}",
		name,
		as_dict=True,
	)
	return rows[0] if rows else None


_EXACT = ("Currency", "Float", "Percent")


def _as_row(doctype: str, values: dict) -> dict:
	"""A document's values as `row_of` has them: money as text with nine decimals, as columns keep it."""
	row = dict(values)
	for df in frappe.get_meta(doctype).fields:
		if df.fieldtype in _EXACT and row.get(df.fieldname) is not None:
			row[df.fieldname] = f"{float(row[df.fieldname]):.9f}"
	return row


def _last_of(doctype: str, name: str, number: int) -> str | None:
	filters = {"reference_doctype": doctype, "reference_name": name, "position": number}
	return frappe.db.get_value(DOCTYPE, filters, "new_values")


def _json(values: dict) -> str:
	return json.dumps({key: _plain(value) for key, value in values.items()}, ensure_ascii=False)


def _plain(value):
	return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _revived(doctype: str, values: dict) -> dict:
	"""What was kept as JSON, as the database hands it out; money stays text."""
	kinds = {df.fieldname: df.fieldtype for df in frappe.get_meta(doctype).fields}
	kinds |= {"creation": "Datetime", "modified": "Datetime"}
	return {
		column: value
		if value is None or kinds.get(column) in _EXACT or kinds.get(column) in numeric_fieldtypes
		else frappe.utils.cast(kinds.get(column) or "Data", value)
		for column, value in values.items()
	}


def _is_being_told_of(doc) -> bool:
	return frappe.flags.crm_recharge_telling == key_of(doc.doctype, doc.name)
