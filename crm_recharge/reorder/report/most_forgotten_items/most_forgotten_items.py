"""Items that customers would usually have bought again by now, and have not."""

import frappe
from frappe import _

from crm_recharge.domain.inputs import Kind
from crm_recharge.intake import filtered
from crm_recharge.reorder.insight.forgotten import forgotten
from crm_recharge.reorder.insight.scope import company_of, link_column

IN_CHART = 12


@filtered(
	by=("Item", "Item Group"),
	company="Company",
	item_group="Item Group",
	item_code="Item",
	least_overdue=Kind.WHOLE,
	least_p_alive=Kind.AMOUNT,
)
def execute(filters: dict | None = None) -> tuple:
	"""Columns, rows, message, chart and summary for Frappe's report view."""
	filters = frappe._dict(filters or {})
	by_group = filters.by == "Item Group"
	rows = forgotten(filters)
	message = _(
		"Counted are customers who probably still buy the item. What is lost is an estimate: for each overdue"
		" customer the last quantity × the mean price of the last 365 days × the chance that the customer still buys."
	)
	return columns(by_group), rows, message, chart(rows, by_group), summary(rows, company_of(filters)[1])


def columns(by_group: bool) -> list[dict]:
	"""The first column is what the row is about."""
	of_item = [
		link_column("item_code", _("Item"), "Item", width=150),
		{"fieldname": "item_name", "label": _("Item Name"), "fieldtype": "Data", "width": 180},
	]
	return [
		*([] if by_group else of_item),
		link_column("item_group", _("Item Group"), "Item Group", width=140),
		{"fieldname": "overdue_pairs", "label": _("Overdue"), "fieldtype": "Int", "width": 100},
		{"fieldname": "pairs", "label": _("Still Buying"), "fieldtype": "Int", "width": 110},
		{"fieldname": "overdue_share", "label": _("Overdue Share"), "fieldtype": "Percent", "width": 120},
		{
			"fieldname": "median_overdue",
			"label": _("Overdue by (Median Days)"),
			"fieldtype": "Float",
			"precision": 1,
			"width": 170,
		},
		{
			"fieldname": "lost",
			"label": _("Lost, Estimated"),
			"fieldtype": "Currency",
			"options": "currency",
			"width": 150,
		},
		{"fieldname": "currency", "label": _("Currency"), "fieldtype": "Data", "hidden": 1},
	]


def chart(rows: list[dict], by_group: bool) -> dict | None:
	"""What would bring most, as bars."""
	shown = [row for row in rows if row["lost"] > 0][:IN_CHART]
	if not shown:
		return None
	return {
		"type": "bar",
		"data": {
			"labels": [
				row["item_group"] if by_group else row["item_name"] or row["item_code"] for row in shown
			],
			"datasets": [
				{"name": _("Lost, Estimated"), "values": [round(float(row["lost"]), 2) for row in shown]}
			],
		},
		"colors": ["#ff8a65"],
		"fieldtype": "Currency",
		"options": "currency",
		"currency": shown[0]["currency"],
	}


def summary(rows: list[dict], currency: str) -> list[dict]:
	"""Figures above the table."""
	if not rows:
		return []
	return [
		{
			"value": sum(row["overdue_pairs"] for row in rows),
			"label": _("Overdue"),
			"datatype": "Int",
			"indicator": "Orange",
		},
		{
			"value": float(sum(row["lost"] for row in rows)),
			"label": _("Lost, Estimated"),
			"datatype": "Currency",
			"currency": currency,
		},
	]
