"""Giving Credit Events their positions, in the order in which they can be read, and handing them to the webhooks.

Only what is committed gets one, and one worker at a time gives them: the counter's row stays locked until they are
committed themselves. So no event ever appears before a position that somebody may have read up to.
"""

import frappe

from crm_recharge import transactions
from crm_recharge.contention import retry_on_contention
from crm_recharge.outbox import webhooks
from crm_recharge.outbox.events import ALL, DOCTYPE

COUNTER = "crm_recharge_credit_event"
AT_ONCE = 200


def due() -> list[str]:
	"""Whether there are events without a position."""
	return [ALL] if frappe.db.exists(DOCTYPE, {"position": 0}) else []


def publish(_all: str = ALL) -> int:
	"""Give every event its position, and hand it to the webhooks. Commits. Returns how many."""
	published = 0
	while some := _publish_some():
		published += some
	return published


@retry_on_contention
def _publish_some() -> int:
	frappe.db.rollback()
	position = _lock_counter()
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	events = frappe.db.sql(
		f"SELECT `name`, `event_type`, `credit_account` FROM `tab{DOCTYPE}` WHERE `position` = 0 ORDER BY `name` LIMIT %s",
		AT_ONCE,
		as_dict=True,
	)
	for number, event in enumerate(events, position + 1):
		# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
		frappe.db.sql(f"UPDATE `tab{DOCTYPE}` SET `position` = %s WHERE `name` = %s", (number, event.name))
	webhooks.hand_over(events)
	frappe.db.sql(
		"UPDATE `tabSeries` SET `current` = %s WHERE `name` = %s", (position + len(events), COUNTER)
	)
	transactions.commit()
	return len(events)


def _lock_counter() -> int:
	"""The last position that was given. Locked until the commit: positions are committed in their order."""
	locked = "SELECT `current` FROM `tabSeries` WHERE `name` = %s FOR UPDATE"
	found = frappe.db.sql(locked, COUNTER)
	if not found:
		frappe.db.sql("INSERT IGNORE INTO `tabSeries` (`name`, `current`) VALUES (%s, 0)", COUNTER)
		found = frappe.db.sql(locked, COUNTER)
	return found[0][0]
