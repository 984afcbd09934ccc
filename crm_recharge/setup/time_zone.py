"""What happens when the site is given another time zone.

Stored times are what its clock showed. What lies ahead (when to try again, until when a lease holds, when credits
expire) is a moment that was agreed on, and stays that moment; what has been is a record, and stays as written.
"""

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import frappe

from crm_recharge.domain import moments
from crm_recharge.setup import jobs, traces

RECORDS = ("Credit Ledger", "Ledger Checkpoint")
"""Never changed, and hashed."""


def on_system_settings(doc, method: str | None = None) -> None:
	"""System Settings, on_update: move what is due along with the clock."""
	before = doc.get_doc_before_save()
	old, new = before and before.time_zone, doc.time_zone
	if not new or old == new:
		return
	if old:
		move_what_lies_ahead(ZoneInfo(old), ZoneInfo(new))
	jobs.keep_due(zone=new)


def move_what_lies_ahead(old: ZoneInfo, new: ZoneInfo, now: datetime | None = None) -> int:
	"""Every time of our records that the clock in `old` has not shown yet, as `new` shows it. Returns how many."""
	shown = moments.to_wall(now or datetime.now(timezone.utc), old)
	return sum(_move(doctype, field, shown, old, new) for doctype, field in fields())


def fields() -> list[tuple[str, str]]:
	"""(DocType, field) of every time this app keeps, but for records."""
	return [
		(doctype, field.fieldname)
		for doctype in sorted({*traces.own_doctypes()} - {*RECORDS})
		for field in frappe.get_meta(doctype).get("fields", {"fieldtype": "Datetime"})
		if not frappe.get_meta(doctype).issingle
	]


def _move(doctype: str, field: str, shown: datetime, old: ZoneInfo, new: ZoneInfo) -> int:
	table = frappe.qb.DocType(doctype)
	rows = frappe.qb.from_(table).select(table.name, table[field]).where(table[field] > shown).run()
	for name, kept in rows:
		frappe.db.set_value(doctype, name, field, moments.moved(kept, old, new), update_modified=False)
	return len(rows)
