"""What hooks leave to be done: pairs to work out anew, forecasts to make. Soon by a job, hourly by a sweep."""

import frappe

from crm_recharge import transactions
from crm_recharge.reorder.learning import forecasts, pairs, purchases

BATCH = 500
"""Customers one sweep takes up."""


def settle(customer: str, anew: bool = False, items: list[str] | None = None) -> None:
	"""Bring one customer up to date and commit: pairs that must be worked out anew, then what is to be foretold.

	Args:
		anew: all pairs from the invoices, whatever the rows say.
		items: these as well.
	"""
	transactions.commit()
	if not frappe.db.exists("Customer", customer):
		return
	stale = frappe.db.get_value("Reorder Customer", {"customer": customer}, "stale")
	if anew or stale:
		pairs.rebuild([customer])
	else:
		items = {*to_relearn(customer), *(items or ())}
		if items:
			pairs.rebuild([customer], sorted(items))
	forecasts.refresh(customer, _to_foretell(customer))
	transactions.commit()
	forecasts.show_on_customers([customer])
	transactions.commit()


def to_relearn(customer: str) -> list[str]:
	"""Items of the customer's pairs that must be worked out anew by now."""
	# Not by filters: Frappe takes no date at all for an early one.
	return frappe.db.sql(
		"SELECT `item_code` FROM `tabReorder Reminder` WHERE `customer` = %s AND `relearn_on` <= %s",
		(customer, purchases.as_date(purchases.today())),
		pluck=True,
	)


def _to_foretell(customer: str) -> list[str]:
	"""Items of the customer's pairs whose forecast is missing or void; the others keep theirs until tonight."""
	return frappe.db.sql(
		"SELECT `item_code` FROM `tabReorder Reminder` WHERE `customer` = %s AND `forecast_on` IS NULL",
		(customer,),
		pluck=True,
	)


def take_up(customer: str) -> bool:
	"""Settle a customer left over; a failure is noted on its row, and tried again an hour later. Whether it is done."""
	try:
		settle(customer)
		return True
	except Exception:
		frappe.db.rollback()
		_note(customer)
		return False


def sweep(limit: int = BATCH) -> list[str]:
	"""Settle every customer left over, in one job; returns them."""
	return [customer for customer in due(limit) if take_up(customer)]


def due(limit: int = BATCH, to_foretell: bool = True) -> list[str]:
	"""Customers with something left to do, each found by an index.

	Args:
		to_foretell: also those where only a forecast is missing.
	"""
	foretell = (
		"UNION (SELECT `customer` FROM `tabReorder Reminder` WHERE `forecast_on` IS NULL LIMIT %(limit)s)"
	)
	found = frappe.db.sql(
		"""
		(SELECT `customer` FROM `tabReorder Customer` WHERE `stale` = 1 ORDER BY `learned_at` LIMIT %(limit)s)
		UNION (SELECT `customer` FROM `tabReorder Reminder` WHERE `relearn_on` <= %(today)s LIMIT %(limit)s)
		"""
		+ (foretell if to_foretell else ""),
		{"today": purchases.as_date(purchases.today()), "limit": limit},
		pluck=True,
	)
	return found[:limit]


def _note(customer: str) -> None:
	"""The reason on the customer's row; an Error Log only when it is another than before."""
	reason = frappe.get_traceback().strip().splitlines()[-1][:1000]
	row = frappe.db.get_value(
		"Reorder Customer", {"customer": customer}, ["name", "stale", "stale_reason"], as_dict=True
	)
	if row and not (row.stale and row.stale_reason == reason):
		frappe.log_error(
			title=f"Reorder: {customer} could not be learned anew",
			reference_doctype="Customer",
			reference_name=customer,
		)
		frappe.db.set_value(
			"Reorder Customer", row.name, {"stale": 1, "stale_reason": reason}, update_modified=False
		)
	transactions.commit()
