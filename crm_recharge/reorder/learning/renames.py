"""Customers and items that are renamed, merged or deleted: what was learned of them follows.

Frappe rewrites links one table after the other and stops at the first unique key two rows would share. So before a
merge the rows that would clash make way, and what they knew is worked out from the invoices after it.
"""

import frappe
from frappe import _

from crm_recharge.reorder.learning import bulk, customers, purchases

FIELD = {"Customer": "customer", "Item": "item_code"}
OTHER = {"Customer": "item_code", "Item": "customer"}
CHUNK = 500


def before_rename(doc, method=None, old=None, new=None, merge=False) -> None:
	"""Before a merge: rows of `old` that stand in the way of those of `new` go; their mails are `new`'s from now on."""
	if not merge or not frappe.db.exists(doc.doctype, new):
		return
	_lock_buyers(doc.doctype, old, new)
	_make_way_reminders(doc.doctype, old, new)
	_make_way(doc.doctype, "Reorder Purchase Day", old, new, "day")
	_make_way(doc.doctype, "Reorder Forecast", old, new, "after")
	if doc.doctype == "Customer":
		_make_way_customer(old, new)
		_make_way_preferences(old, new)


def after_rename(doc, method=None, old=None, new=None, merge=False) -> None:
	"""What is written down of names follows; after a merge the pairs are worked out from the invoices anew."""
	field = FIELD[doc.doctype]
	_new_cycle_keys(doc.doctype, old, new)
	if doc.doctype == "Customer":
		_new_scope_keys(new)
		name = frappe.db.get_value("Customer", new, "customer_name")
		for doctype in ("Reorder Reminder", "Reorder Customer"):
			frappe.db.set_value(doctype, {field: new}, "customer_name", name, update_modified=False)
	else:
		frappe.db.set_value(
			"Reorder Reminder",
			{field: new},
			{
				"item_name": frappe.db.get_value("Item", new, "item_name"),
				"item_group": frappe.db.get_value("Item", new, "item_group"),
			},
			update_modified=False,
		)
	if merge:
		_have_relearned(doc.doctype, new)
	_count_changes(doc.doctype, new)


def on_trash(doc, method=None) -> None:
	"""A customer or item is deleted: so is what was learned of it. Nothing of ours stands in the way."""
	field = FIELD[doc.doctype]
	if doc.doctype == "Customer":
		from crm_recharge.reorder.privacy import erasing

		# Of what was mailed the counts stay, without a name.
		erasing.erase_customer(doc.name)
		return
	if doc.doctype == "Item":
		customers.sweep_soon()
		_count_changes("Item", doc.name)
		# Its next purchase is another one now: foretold anew.
		frappe.db.sql(
			"UPDATE `tabReorder Reminder` r JOIN `tabReorder Customer` c ON c.`customer` = r.`customer`"
			" SET r.`forecast_on` = NULL WHERE c.`next_item` = %s",
			doc.name,
		)
		frappe.db.sql("UPDATE `tabReorder Customer` SET `next_item` = NULL WHERE `next_item` = %s", doc.name)
		# What was mailed stays, with the item's name as it was then.
		frappe.db.sql(
			"UPDATE `tabReorder Message Item` SET `item_code` = NULL WHERE `item_code` = %s", doc.name
		)
		for rule in frappe.get_all("Reorder Rule", {"item_code": doc.name}, pluck="name"):
			frappe.delete_doc("Reorder Rule", rule, ignore_permissions=True, force=True)
	_unlink_reminders(field, doc.name)
	for doctype in ("Reorder Purchase Day", "Reorder Reminder", "Reorder Forecast"):
		frappe.db.delete(doctype, {field: doc.name})


# -- making way --------------------------------------------------------------------------------------------------------


def _lock_buyers(doctype: str, old: str, new: str) -> None:
	"""Lock those whose statistics change, in the order everybody does."""
	who = {*_buyers(doctype, old), *_buyers(doctype, new)}
	for some in _some(sorted(who)):
		frappe.db.sql(
			"SELECT `name` FROM `tabReorder Customer` WHERE `customer` IN %s ORDER BY `customer` FOR UPDATE",
			(tuple(some),),
		)


def _buyers(doctype: str, name: str) -> list[str]:
	if doctype == "Customer":
		return [name]
	return frappe.db.sql(
		"SELECT `customer` FROM `tabReorder Reminder` WHERE `item_code` = %s ORDER BY `customer`",
		name,
		pluck=True,
	)


def _make_way(doctype: str, table: str, old: str, new: str, day: str) -> None:
	"""Delete rows of `old` where `new` has one of the same day."""
	field, other = FIELD[doctype], OTHER[doctype]
	frappe.db.sql(
		f"DELETE o FROM `tab{table}` o JOIN `tab{table}` n ON n.`{field}` = %s AND n.`{other}` = o.`{other}`"
		f" AND n.`{day}` = o.`{day}` WHERE o.`{field}` = %s",
		(new, old),
	)


def _make_way_reminders(doctype: str, old: str, new: str) -> None:
	"""One of two reminders stays: `new`'s, with the customer's wishes of both, the more reserved ones."""
	field, other = FIELD[doctype], OTHER[doctype]
	clashes = frappe.db.sql(
		f"SELECT o.`name`, n.`name` FROM `tabReorder Reminder` o JOIN `tabReorder Reminder` n"
		f" ON n.`{field}` = %s AND n.`{other}` = o.`{other}` WHERE o.`{field}` = %s",
		(new, old),
	)
	for gone, stays in clashes:
		frappe.db.sql(
			"UPDATE `tabReorder Reminder` n JOIN `tabReorder Reminder` o ON o.`name` = %s SET"
			" n.`stopped` = GREATEST(n.`stopped`, o.`stopped`),"
			" n.`expected_on` = COALESCE(GREATEST(n.`expected_on`, o.`expected_on`), n.`expected_on`, o.`expected_on`),"
			" n.`snoozed_until` ="
			" COALESCE(GREATEST(n.`snoozed_until`, o.`snoozed_until`), n.`snoozed_until`, o.`snoozed_until`),"
			" n.`last_message` = IF(COALESCE(o.`last_reminded_at` > n.`last_reminded_at`, n.`last_reminded_at` IS NULL),"
			" o.`last_message`, n.`last_message`),"
			" n.`last_reminded_at` = COALESCE(GREATEST(n.`last_reminded_at`, o.`last_reminded_at`),"
			" n.`last_reminded_at`, o.`last_reminded_at`)"
			" WHERE n.`name` = %s",
			(gone, stays),
		)
		frappe.db.sql(
			"UPDATE `tabReorder Message Item` SET `reminder` = %s WHERE `reminder` = %s", (stays, gone)
		)
	bulk.delete("Reorder Reminder", [gone for gone, _stays in clashes])


def _make_way_customer(old: str, new: str) -> None:
	"""One of two Reorder Customers stays: `new`'s, knowing when either was last mailed."""
	gone = frappe.db.get_value("Reorder Customer", {"customer": old}, "name")
	stays = frappe.db.get_value("Reorder Customer", {"customer": new}, "name")
	if not (gone and stays):
		return
	frappe.db.sql(
		"UPDATE `tabReorder Customer` n JOIN `tabReorder Customer` o ON o.`name` = %s SET"
		" n.`last_message` = IF(COALESCE(o.`last_sent_at` > n.`last_sent_at`, n.`last_sent_at` IS NULL),"
		" o.`last_message`, n.`last_message`),"
		" n.`last_sent_at` = COALESCE(GREATEST(n.`last_sent_at`, o.`last_sent_at`), n.`last_sent_at`, o.`last_sent_at`),"
		" n.`todo` = COALESCE(n.`todo`, o.`todo`) WHERE n.`name` = %s",
		(gone, stays),
	)
	bulk.delete("Reorder Customer", [gone])


def _make_way_preferences(old: str, new: str) -> None:
	"""A contact of both customers keeps one preference, that of `new`; the other one's evidence is added to it.

	Who opted out of either has opted out: consent is not what a merge of records gives.
	"""
	for _contact, gone, stays in frappe.db.sql(
		"SELECT o.`contact`, o.`name`, n.`name` FROM `tabReorder Preference` o JOIN `tabReorder Preference` n"
		" ON n.`contact` = o.`contact` AND n.`customer` = %s WHERE o.`customer` = %s",
		(new, old),
	):
		was = frappe.db.get_value(
			"Reorder Preference",
			gone,
			["opted_in", "opted_out_at", "snoozed_until", "frequency_days"],
			as_dict=True,
		)
		there = frappe.db.get_value(
			"Reorder Preference",
			stays,
			["opted_in", "opted_out_at", "snoozed_until", "frequency_days"],
			as_dict=True,
		)
		out = [at for row in (was, there) if not row.opted_in and (at := row.opted_out_at)]
		values = {
			"snoozed_until": max((d for d in (was.snoozed_until, there.snoozed_until) if d), default=None),
			"frequency_days": max(was.frequency_days or 0, there.frequency_days or 0),
		}
		if out and there.opted_in:
			values |= {"opted_in": 0, "opted_out_at": max(out)}
		frappe.db.set_value("Reorder Preference", stays, values, update_modified=False)
		count = frappe.db.count("Reorder Consent Change", {"parent": stays})
		frappe.db.sql(
			"UPDATE `tabReorder Consent Change` SET `parent` = %s, `idx` = `idx` + %s WHERE `parent` = %s",
			(stays, count, gone),
		)
		frappe.db.sql(
			"UPDATE `tabReorder Message` SET `preference` = %s WHERE `preference` = %s", (stays, gone)
		)
		frappe.db.delete("Reorder Preference", {"name": gone})


def _unlink_reminders(field: str, name: str) -> None:
	"""Mails to other customers never name these reminders; those to this one forget them."""
	frappe.db.sql(
		"UPDATE `tabReorder Message Item` m JOIN `tabReorder Reminder` r ON r.`name` = m.`reminder`"
		f" SET m.`reminder` = NULL WHERE r.`{field}` = %s",
		name,
	)


# -- what follows ----------------------------------------------------------------------------------------------------------


def _new_cycle_keys(doctype: str, old: str, new: str) -> None:
	"""The keys by which nothing is mailed twice are made of names: without new ones a cycle could be mailed again."""
	from crm_recharge.reorder.sending.check import cycle_key

	rows = frappe.db.sql(
		"SELECT i.`name`, m.`customer`, i.`item_code`, i.`last_day`, i.`cycle_key` FROM `tabReorder Message Item` i"
		" JOIN `tabReorder Message` m ON m.`name` = i.`parent`"
		f" WHERE {'m.`customer`' if doctype == 'Customer' else 'i.`item_code`'} = %s AND i.`last_day` IS NOT NULL",
		new,
	)
	for name, customer, item, last_day, key in rows:
		was = (old, item) if doctype == "Customer" else (customer, old)
		if key == cycle_key(*was, last_day):  # type: ignore[call-arg]
			fresh = cycle_key(customer, item, last_day)
			if not frappe.db.exists("Reorder Message Item", {"cycle_key": fresh}):
				frappe.db.set_value("Reorder Message Item", name, "cycle_key", fresh, update_modified=False)


def _new_scope_keys(customer: str) -> None:
	from crm_recharge.reorder.consent.preferences import scope_key

	for name, contact in frappe.get_all(
		"Reorder Preference", {"customer": customer}, ["name", "contact"], as_list=True
	):
		frappe.db.set_value(
			"Reorder Preference", name, "scope_key", scope_key(contact, customer), update_modified=False
		)


def _have_relearned(doctype: str, new: str) -> None:
	"""Mark every pair of the merged one, and have its customers settled soon."""
	field = FIELD[doctype]
	frappe.db.sql(
		"UPDATE `tabReorder Reminder` SET `irregular` = 1, `relearn_on` = %s, `remind_on` = NULL"
		f" WHERE `{field}` = %s",
		(purchases.as_date(purchases.today()), new),
	)
	if doctype == "Customer":
		customers.mark_stale(new, _("Merged with another customer."))
	else:
		customers.sweep_soon()


def _count_changes(doctype: str, name: str) -> None:
	for some in _some(_buyers(doctype, name)):
		frappe.db.sql(
			"UPDATE `tabReorder Customer` SET `changes` = `changes` + 1 WHERE `customer` IN %s",
			(tuple(some),),
		)


def _some(rows: list):
	for start in range(0, len(rows), CHUNK):
		yield rows[start : start + CHUNK]
