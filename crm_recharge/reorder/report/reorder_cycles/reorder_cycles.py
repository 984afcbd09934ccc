"""How often customers buy each item again, the shortest rhythm first."""

import frappe
from frappe import _

from crm_recharge.domain.inputs import Kind
from crm_recharge.intake import filtered
from crm_recharge.reorder import words
from crm_recharge.reorder.insight.cycles import cycles
from crm_recharge.reorder.insight.defaults import default_intervals, default_intervals_of_groups
from crm_recharge.reorder.insight.scope import link_column

IN_CHART = 12


@filtered(
	by=("Item", "Item Group"),
	item_group="Item Group",
	item_code="Item",
	customer="Customer",
	least_intervals=Kind.WHOLE,
)
def execute(filters: dict | None = None) -> tuple:
	"""Columns, rows, message, chart and summary for Frappe's report view."""
	filters = frappe._dict(filters or {})
	by_group = filters.by == "Item Group"
	rows = cycles(filters)
	if by_group:
		rules = default_intervals_of_groups([row["item_group"] for row in rows])
	else:
		rules = default_intervals([row["item_code"] for row in rows])
	for row in rows:
		row["rule"], row["rule_interval"] = rules.get(
			row["item_group" if by_group else "item_code"], (None, None)
		)
	return columns(by_group), rows, None, chart(rows, by_group), summary(rows, by_group)


def columns(by_group: bool) -> list[dict]:
	"""The first column is what the row is about."""
	of_item = [
		link_column("item_code", _("Item"), "Item", width=150),
		{"fieldname": "item_name", "label": _("Item Name"), "fieldtype": "Data", "width": 180},
	]
	return [
		*([] if by_group else of_item),
		link_column("item_group", _("Item Group"), "Item Group", width=140),
		{
			"fieldname": "median",
			"label": _("Median (Days)"),
			"fieldtype": "Float",
			"precision": 1,
			"width": 120,
		},
		{
			"fieldname": "p25",
			"label": _("25 % by (Days)"),
			"fieldtype": "Float",
			"precision": 1,
			"width": 120,
		},
		{
			"fieldname": "p75",
			"label": _("75 % by (Days)"),
			"fieldtype": "Float",
			"precision": 1,
			"width": 120,
		},
		{
			"fieldname": "spread",
			"label": _("Spread (Middle Half / Median)"),
			"fieldtype": "Float",
			"precision": 2,
			"width": 140,
		},
		{"fieldname": "rule_interval", "label": _("Usual by Rule (Days)"), "fieldtype": "Int", "width": 130},
		link_column("rule", _("Rule"), "Reorder Rule", width=110),
		{"fieldname": "customers", "label": _("Customers"), "fieldtype": "Int", "width": 100},
		{"fieldname": "pairs", "label": _("Customers × Items"), "fieldtype": "Int", "width": 120},
		{"fieldname": "repeated", "label": _("of These Bought Again"), "fieldtype": "Int", "width": 130},
		{"fieldname": "intervals", "label": _("Intervals"), "fieldtype": "Int", "width": 100},
	]


def chart(rows: list[dict], by_group: bool) -> dict | None:
	"""The shortest rhythms as bars."""
	if not rows:
		return None
	shown = rows[:IN_CHART]
	return {
		"type": "bar",
		"data": {
			"labels": [
				row["item_group"] if by_group else row["item_name"] or row["item_code"] for row in shown
			],
			"datasets": [{"name": _("Median (Days)"), "values": [round(row["median"], 1) for row in shown]}],
		},
		"colors": ["#7575ff"],
	}


def summary(rows: list[dict], by_group: bool) -> list[dict]:
	"""Figures above the table."""
	if not rows:
		return []
	first = rows[0]
	return [
		{
			"value": len(rows),
			"label": _("Item Groups with a Rhythm") if by_group else _("Items with a Rhythm"),
			"datatype": "Int",
		},
		{"value": sum(row["intervals"] for row in rows), "label": _("Intervals Seen"), "datatype": "Int"},
		{
			"value": words.days(round(first["median"], 1)),
			"label": _("Shortest: {0}").format(
				first["item_group"] if by_group else first["item_name"] or first["item_code"]
			),
			"datatype": "Data",
			"indicator": "Green",
		},
	]
