"""Reorder Customer: the row that is locked while a customer's statistics change, and the note that they are wrong.

Whoever changes a customer's Reorder Purchase Days or the statistics of its Reorder Reminders holds this row's lock
and counts `changes` up in the same transaction. Under REPEATABLE READ that is also how a transaction knows whether
what it reads is current: where its snapshot shows the same count as the locked row, nothing has changed since. Plain
reads will do then; locking reads of ranges would make invoices of different customers deadlock.
"""

from functools import partial
from typing import NamedTuple

import frappe
from frappe import _
from frappe.utils import flt, now

from crm_recharge import transactions
from crm_recharge.domain.reorder.hold_out import drawn
from crm_recharge.outbox.queue import enqueue_again
from crm_recharge.reorder.learning import bulk
from crm_recharge.reorder.learning.keys import some
from crm_recharge.reorder.privacy.fields import NOT_LEARNED, has_mark, is_not_learned

WAIT = 5
"""Seconds an invoice waits for a customer's lock before it leaves its lines to the repair."""

SETTLE = "crm_recharge.reorder.learning.repair.settle"
SWEEP = "crm_recharge.reorder.learning.repair.sweep"
SHOW = "crm_recharge.reorder.learning.forecasts.show_on_customers"


class Held(NamedTuple):
	"""A locked customer. `current`: what this transaction reads of its statistics is what is."""

	name: str
	current: bool


def lock(customer: str) -> Held:
	"""Lock the customer's row, made when there is none. Raises QueryTimeoutError after `WAIT` seconds."""
	seen = frappe.db.sql(
		"SELECT `name`, `changes` FROM `tabReorder Customer` WHERE `customer` = %s", (customer,)
	)
	own = None if seen else _make(customer)
	locked = frappe.db.sql(
		"SELECT `name`, `changes` FROM `tabReorder Customer` WHERE `customer` = %s FOR UPDATE WAIT %s",
		(customer, WAIT),
	)
	name, changes = locked[0]
	return Held(name, seen[0] == (name, changes) if seen else name == own)


def _make(customer: str) -> str:
	"""Insert the row, unless somebody else just did: then wait for theirs. Returns the name it was given."""
	name = bulk.new_name()
	# With INSERT IGNORE two of them would share a lock, and each wait for the other to give it up.
	frappe.db.sql(
		"INSERT INTO `tabReorder Customer` (`name`, `creation`, `modified`, `owner`, `modified_by`, `customer`,"
		" `customer_name`, `held_out`) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
		" ON DUPLICATE KEY UPDATE `customer` = VALUES(`customer`)",
		(
			name,
			now(),
			now(),
			frappe.session.user,
			frappe.session.user,
			customer,
			frappe.db.get_value("Customer", customer, "customer_name"),
			_held_out(name),
		),
	)
	return name


def may_not_wait() -> bool:
	"""Whether waiting for a lock may cost this transaction its life.

	With innodb_snapshot_isolation (MariaDB, on by default from 11.6.2) a row that somebody changed since this
	transaction began to read cannot be locked: all of the transaction is rolled back, the invoice with it.
	"""
	rows = frappe.db.sql("SHOW SESSION VARIABLES LIKE 'innodb_snapshot_isolation'")
	return bool(rows) and rows[0][1] == "ON"


def make_missing(customers: list[str]) -> None:
	"""Rows for customers that have none, and commit. Customers that are no more, or were erased, get none."""
	learned = f" AND c.`{NOT_LEARNED}` = 0" if has_mark() else ""
	missing = frappe.db.sql(
		"SELECT c.`name`, c.`customer_name` FROM `tabCustomer` c LEFT JOIN `tabReorder Customer` r"
		f" ON r.`customer` = c.`name` WHERE c.`name` IN %s AND r.`name` IS NULL{learned} ORDER BY c.`name`",
		(tuple(customers),),
	)
	for customer, customer_name in missing:
		name = bulk.new_name()
		frappe.db.sql(
			"INSERT IGNORE INTO `tabReorder Customer` (`name`, `creation`, `modified`, `owner`, `modified_by`,"
			" `customer`, `customer_name`, `held_out`) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
			(
				name,
				now(),
				now(),
				frappe.session.user,
				frappe.session.user,
				customer,
				customer_name,
				_held_out(name),
			),
		)
	transactions.commit()


def lock_all(customers: list[str]) -> dict[str, str]:
	"""Lock the rows of several customers, in the order everybody does; {customer: name of the row}.

	Commits first: what is read afterwards is then seen as of now, with the locks held.
	"""
	make_missing(customers)
	return dict(
		frappe.db.sql(
			"SELECT `customer`, `name` FROM `tabReorder Customer` WHERE `customer` IN %s"
			" ORDER BY `customer` FOR UPDATE",
			(tuple(customers),),
		)
	)


def changed(names: list[str], learned_anew: bool = False) -> None:
	"""Note that the statistics of these rows' customers have changed; `learned_anew`: and that all of it is right."""
	row = frappe.qb.DocType("Reorder Customer")
	query = frappe.qb.update(row).set(row.changes, row.changes + 1).set(row.learned_at, now())
	if learned_anew:
		query = query.set(row.stale, 0).set(row.stale_reason, None)
	query.where(row.name.isin(names)).run()


def _held_out(key: str) -> int:
	share = flt(frappe.get_cached_value("Reorder Settings", "Reorder Settings", "hold_out_share"))
	return int(drawn(key, min(max(share / 100, 0.0), 1.0)))


# -- when something could not be learned ---------------------------------------------------------------------------


def transaction_is_lost(error: Exception) -> bool:
	"""Whether MariaDB has rolled back all of the transaction on its own (deadlock, stale snapshot)."""
	return isinstance(error, frappe.QueryDeadlockError)


def could_not_learn(customer: str, doctype: str, name: str) -> None:
	"""Called while handling an exception: write it to the Error Log and have the customer learned anew."""
	frappe.log_error(
		title=f"Reorder: {doctype} {name} was not learned",
		reference_doctype=doctype,
		reference_name=name,
	)
	mark_stale(customer, _("{0} {1} could not be taken up. See the Error Log.").format(_(doctype), name))


def mark_stale(customer: str, reason: str) -> None:
	"""Have the customer learned anew: soon by a job, and should that be lost, by the hourly repair.

	Never raises, but where the whole transaction is lost: it runs where something else has failed already.
	"""
	if is_not_learned(customer):
		return
	if may_not_wait():
		return settle_soon(customer, anew=True)
	point = f"reorder_{frappe.generate_hash(length=8)}"
	frappe.db.savepoint(point)
	try:
		held = lock(customer)
		frappe.db.sql(
			"UPDATE `tabReorder Customer` SET `stale` = 1, `stale_reason` = %s WHERE `name` = %s",
			(reason[:1000], held.name),
		)
		frappe.db.release_savepoint(point)
	except Exception as error:
		if transaction_is_lost(error):
			raise
		frappe.db.rollback(save_point=point)
		frappe.logger("crm_recharge").warning(f"{customer} could not be marked stale", exc_info=True)
	settle_soon(customer, anew=True)


def mark_buyers_stale(item: str, reason: str) -> None:
	"""Have everybody who bought `item` learned anew by the next repair."""
	buyers = frappe.db.sql(
		"SELECT `customer` FROM `tabReorder Reminder` WHERE `item_code` = %s ORDER BY `customer`",
		item,
		pluck=True,
	)
	for names in some(buyers):
		frappe.db.sql(
			"UPDATE `tabReorder Customer` SET `stale` = 1, `stale_reason` = %s WHERE `customer` IN %s",
			(reason[:1000], names),
		)
	if buyers:
		sweep_soon()


def settle_soon(customer: str, anew: bool = False, items: list[str] | None = None) -> None:
	"""Have `repair.settle` run once this transaction is committed.

	Losing the job is harmless: the sweep finds what the rows say, and the nightly run every invoice of the day.
	"""
	more = {} if items is None else {"items": items}
	frappe.db.after_commit.add(partial(_enqueue, SETTLE, "settle", customer=customer, anew=anew, **more))


def show_soon(customer: str) -> None:
	"""Have the next purchase copied onto the Customer once this transaction is committed; the nightly run does too."""
	frappe.db.after_commit.add(partial(_enqueue, SHOW, "show", customers_=[customer]))


def sweep_soon() -> None:
	"""Have all that is left over settled once this transaction is committed."""
	frappe.db.after_commit.add(partial(_enqueue, SWEEP, "sweep", limit=1_000_000))


def _enqueue(method: str, label: str, **arguments) -> None:
	job_id = f"reorder_{label}:" + ":".join(str(value) for value in arguments.values())
	# One that is at work, or whose worker was killed, does not stand for what has changed since.
	enqueue_again(method, "default", job_id, **arguments)
