"""A lease on a row: who works on it, until when. A worker that dies holds it no longer than that."""

from datetime import timedelta

import frappe

from crm_recharge import clock, transactions


def take(doctype: str, name: str, how_long: timedelta, worker: str | None = None) -> bool:
	"""Lease the row for so long, and commit. False while somebody else has it, or it is not there.

	`worker`: who may take it again while it has it (the DocType has a column `lease_owner` then).
	"""
	frappe.db.rollback()
	columns = ["name", "lease_until", *(["lease_owner"] if worker else [])]
	row = frappe.db.get_value(doctype, name, columns, as_dict=True)
	if not row or not (clock.is_past(row.lease_until) or (worker and row.lease_owner == worker)):
		return False
	owner = ", `lease_owner` = %(worker)s" if worker else ""
	# Of two who have read the same, one finds it changed.
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	frappe.db.sql(
		f"UPDATE `tab{doctype}` SET `lease_until` = %(until)s{owner} WHERE `name` = %(name)s AND `lease_until` <=> %(seen)s",
		{"until": clock.later(how_long), "worker": worker, "name": name, "seen": row.lease_until},
	)
	taken = bool(frappe.db._cursor.rowcount)
	transactions.commit()
	return taken
