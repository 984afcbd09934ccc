"""Past orders, each as a submitted Sales Invoice of its day: by several processes, a customer at a time."""

import os
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing import get_context

import frappe
from frappe.utils import add_days, getdate, nowdate

from demo.progress import Progress
from demo.stage import COMPANY, connect

Orders = dict[str, list[dict]]


def import_orders(orders: Orders) -> tuple[int, float]:
	"""Submit those that are not there yet. Returns how many are new, and the seconds."""
	todo = {key: rows for key, rows in orders.items() if key not in there(orders)}
	if not todo:
		return 0, 0.0
	progress = Progress("invoices submitted", len(todo))
	by_customer: dict[str, Orders] = {}
	for key, rows in todo.items():
		by_customer.setdefault(rows[0]["customer"], {})[key] = rows
	# Those with most orders first: at the end no process works alone for long.
	parts = sorted(by_customer.values(), key=len, reverse=True)
	context = get_context("spawn")
	counter = context.Value("i", 0)
	with ProcessPoolExecutor(
		max(os.cpu_count() or 1, 2), mp_context=context, initializer=_begin, initargs=(counter,)
	) as pool:
		waiting = {pool.submit(_of_a_customer, part) for part in parts}
		while waiting:
			done, waiting = wait(waiting, timeout=1)
			for one in done:
				one.result()
			progress.reach(counter.value)
	return len(there(orders)) - (len(orders) - len(todo)), progress.seconds


def there(orders: Orders) -> set[str]:
	"""The orders that are invoices already."""
	frappe.db.rollback()
	found = frappe.get_all("Sales Invoice", {"po_no": ["in", list(orders)], "docstatus": 1}, pluck="po_no")
	return set(found)


def _begin(counter):
	"""A process of the import: `counter` is what all of them have submitted.

	What each invoice leaves to a job (to learn what its customer will buy next) is not queued: the reading of all
	history that follows does it at once.
	"""
	global _submitted
	_submitted = counter
	connect()
	frappe.enqueue = lambda *args, **kwargs: None


def _of_a_customer(orders: Orders):
	"""What was sold first, then what came back of it. Each invoice holds its company's row until it is committed."""
	from crm_recharge.contention import retry_on_contention

	write = retry_on_contention(_write)
	for key, rows in sorted(orders.items(), key=lambda order: bool(order[1][0]["returns"])):
		write(key, rows)
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
		with _submitted.get_lock():
			_submitted.value += 1


def _write(key: str, rows: list[dict]):
	_submit(_take_back(rows) if rows[0]["returns"] else _sell(rows), key, rows)


def _sell(rows: list[dict]):
	return frappe.get_doc(
		{
			"doctype": "Sales Invoice",
			"customer": rows[0]["customer"],
			"company": COMPANY,
			"due_date": add_days(getdate(nowdate()), 30),
			"ignore_pricing_rule": 1,
			"items": [{"item_code": r["item"], "qty": r["quantity"], "rate": r["rate"]} for r in rows],
		}
	)


def _take_back(rows: list[dict]):
	from erpnext.accounts.doctype.sales_invoice.sales_invoice import make_sales_return

	sold = {"po_no": rows[0]["returns"], "docstatus": 1, "is_return": 0}
	note = make_sales_return(frappe.db.get_value("Sales Invoice", sold))
	wanted = {row["item"]: row["quantity"] for row in rows}
	note.items = [row for row in note.items if row.item_code in wanted]
	for row in note.items:
		row.qty = wanted[row.item_code]
	return note


def _submit(invoice, key: str, rows: list[dict]):
	"""Written once, as submitted: half the work of a draft that is submitted afterwards.

	Under a name of its own: the counter of a naming series is locked until the commit, and the processes would wait
	for each other.
	"""
	day = add_days(getdate(nowdate()), -rows[0]["days_ago"])
	invoice.update({"po_no": key, "set_posting_time": 1, "posting_date": day, "docstatus": 1})
	invoice.insert(set_name=f"SHOP-{key}")
