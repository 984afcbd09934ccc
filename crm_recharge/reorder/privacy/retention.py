"""Daily: what has been kept long enough goes.

Forecasts and runs are cleared by Frappe's Log Settings, which say for how long (hook
`default_log_clearing_doctypes`).
"""

from datetime import datetime, timedelta

import frappe
from frappe.utils import cint, now_datetime

from crm_recharge import transactions
from crm_recharge.reorder.privacy import erasing
from crm_recharge.reorder.privacy.fields import NOT_LEARNED, has_mark

PAGE = 500


def keep_no_longer() -> None:
	"""Opened and clicked after `tracking_days`; who was reminded after `retention_days` (0: kept).

	Commits page by page: what is interrupted goes on tomorrow. What fails is in the Error Log, and does not stop
	the rest.
	"""
	for part in (forget_tracking, forget_people, forget_relearned):
		try:
			part()
		except Exception:
			frappe.db.rollback()
			frappe.log_error(title=f"Reorder: {part.__name__} did not finish")
			transactions.commit()


def forget_tracking() -> int:
	"""When mails were opened and links clicked, also on the record of the mail; returns how many messages."""
	before = now_datetime() - timedelta(days=cint(_setting("tracking_days")))
	changed = 0
	while names := frappe.db.sql_list(
		"""SELECT `name` FROM `tabReorder Message` WHERE `sent_at` < %(before)s
			AND (`opened_at` IS NOT NULL OR `clicked_at` IS NOT NULL)
		UNION SELECT i.`parent` FROM `tabReorder Message Item` i JOIN `tabReorder Message` m ON m.`name` = i.`parent`
			WHERE i.`clicked_at` IS NOT NULL AND m.`sent_at` < %(before)s
		LIMIT %(page)s""",
		{"before": before, "page": PAGE},
	):
		values = {"names": names}
		frappe.db.sql(
			"UPDATE `tabReorder Message` SET `opened_at` = NULL, `clicked_at` = NULL WHERE `name` IN %(names)s",
			values,
		)
		frappe.db.sql(
			"UPDATE `tabReorder Message Item` SET `clicked_at` = NULL WHERE `parent` IN %(names)s", values
		)
		frappe.db.sql(
			"""UPDATE `tabCommunication` c JOIN `tabReorder Message` m ON m.`communication` = c.`name`
			SET c.`read_by_recipient` = 0, c.`read_by_recipient_on` = NULL WHERE m.`name` IN %(names)s""",
			values,
		)
		transactions.commit()
		changed += len(names)
	return changed


def forget_people() -> int:
	"""Who was reminded, held out included; returns how many messages became anonymous."""
	days = cint(_setting("retention_days"))
	if not days:
		return 0
	before, changed = now_datetime() - timedelta(days=days), 0
	while customers := _customers_of_old(before):
		for customer in customers:
			names = frappe.get_all(
				"Reorder Message",
				{"customer": customer, "sent_at": ["<", before]},
				pluck="name",
				order_by=None,
			)
			changed += erasing.anonymise(names)
			transactions.commit()
	return changed


def _customers_of_old(before: datetime) -> list[str]:
	return frappe.db.sql_list(
		"SELECT DISTINCT `customer` FROM `tabReorder Message`"
		" WHERE `sent_at` < %s AND `customer` IS NOT NULL AND `customer` <> '' LIMIT %s",
		(before, PAGE),
	)


def forget_relearned() -> int:
	"""Whatever has come to be known of customers that were erased; returns how many it was."""
	if not has_mark():
		return 0
	found = frappe.db.sql_list(
		f"""SELECT r.`customer` FROM `tabReorder Customer` r JOIN `tabCustomer` c ON c.`name` = r.`customer`
		WHERE c.`{NOT_LEARNED}` = 1"""
	)
	for customer in found:
		erasing.erase_customer(customer)
		transactions.commit()
	return len(found)


def _setting(name: str):
	return frappe.db.get_single_value("Reorder Settings", name)
