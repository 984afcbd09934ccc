"""Rows as learning and sending write them, put straight into the tables."""

import datetime
from datetime import timedelta

import frappe
from frappe.utils import now_datetime

from crm_recharge.domain.reorder import PairState
from crm_recharge.tests.support.reorder_case import day, first_company


def pair(customer: str, item: str, ago: list[int], group: str, p_alive: float = 90, **values):
	"""A Reorder Reminder bought so many days ago each, one a day; returns the document."""
	state = PairState.of([(day(n).toordinal(), 2.0) for n in ago])
	kept = {
		"purchase_days": state.days,
		"first_day": datetime.date.fromordinal(state.first),
		"previous_day": state.previous and datetime.date.fromordinal(state.previous),
		"last_day": datetime.date.fromordinal(state.last),
		"last_quantity": state.last_quantity,
		"sum_log": state.sum_log,
		"sum_square": state.sum_square,
		"usual_interval": round(2.718281828459045**state.mean_log, 3) if state.intervals else 0,
	}
	document = frappe.get_doc(
		{
			"doctype": "Reorder Reminder",
			"customer": customer,
			"customer_name": customer,
			"item_code": item,
			"item_name": f"Name of {item}",
			"item_group": group,
			"status": "Waiting",
			"p_alive": p_alive,
			**kept,
			**values,
		}
	)
	document.set_new_name()
	document.db_insert()
	return document


def message(customer: str, items: list[dict], ago: float = 60, kind: str = "Reminded", **values):
	"""A Reorder Message so many days ago with these item rows; returns the document."""
	document = frappe.get_doc(
		{
			"doctype": "Reorder Message",
			"customer": customer,
			"customer_name": customer,
			"kind": kind,
			"status": "Sent" if kind == "Reminded" else "Held Out",
			"company": first_company(),
			"sent_at": now_datetime() - timedelta(days=ago),
			"items": items,
			**values,
		}
	)
	document.set_new_name()
	for child in document.get_all_children():
		child.cycle_key = child.cycle_key or frappe.generate_hash(length=40)
		child.parent, child.parenttype, child.parentfield = document.name, document.doctype, "items"
		child.set_new_name()
		child.db_insert()
	document.db_insert()
	return document
