"""Whether reminding changes anything: reminded customers against those held out at random."""

import frappe
from frappe import _

from crm_recharge.domain.inputs import Kind
from crm_recharge.domain.reorder.uplift import Verdict
from crm_recharge.intake import filtered
from crm_recharge.reorder import words
from crm_recharge.reorder.insight.effect import effect, sentence, window_days
from crm_recharge.reorder.report.reorder_reminder_funnel.reorder_reminder_funnel import rule_titles

COLOURS = {Verdict.MORE: "Green", Verdict.LESS: "Red", Verdict.NO_DIFFERENCE: "Grey"}


@filtered(
	from_date=Kind.DAY,
	to_date=Kind.DAY,
	by=("Total", "Month", "Rule", "Item Group"),
	company="Company",
	item_group="Item Group",
	rule="Reorder Rule",
	worth=Kind.AMOUNT,
)
def execute(filters: dict | None = None) -> tuple:
	"""Columns, rows, message, chart and summary for Frappe's report view."""
	filters = frappe._dict(filters or {})
	compared = effect(filters)
	titles = rule_titles(compared) if filters.by == "Rule" else {}
	rows = [row(each, titles) for each in compared]
	message = (
		frappe.utils.escape_html(sentence(compared[0]["uplift"], compared[0]["open"]))
		+ "<br>"
		+ _(
			"A case is one item due once; it counts once it is {0} old. Customers, not cases, are the units: the"
			" cases of one customer are not independent."
		).format(words.days(window_days()))
	)
	return columns(), rows, message, chart(rows), summary(compared[0]["uplift"])


def row(each: dict, titles: dict[str, str]) -> dict:
	"""One comparison as a line of the report; the interval only where both groups have been through."""
	found = each["uplift"]
	known = found.verdict is not Verdict.NOBODY
	return {
		"label": _("Total") if each["key"] is None else titles.get(each["key"]) or each["key"] or _("(none)"),
		"reminded_customers": found.reminded.customers,
		"reminded_cycles": found.reminded.cycles,
		"reminded_rate": 100 * found.reminded.rate if found.reminded.cycles else None,
		"held_out_customers": found.held_out.customers,
		"held_out_cycles": found.held_out.cycles,
		"held_out_rate": 100 * found.held_out.rate if found.held_out.cycles else None,
		"difference": 100 * found.difference if known else None,
		"low": 100 * found.low if known else None,
		"high": 100 * found.high if known else None,
		"open": each["open"],
		"sentence": sentence(found, each["open"]),
		"bold": int(each["key"] is None),
	}


def columns() -> list[dict]:
	"""Shares in percent, differences in percentage points."""
	return [
		{"fieldname": "label", "label": _("Group"), "fieldtype": "Data", "width": 140},
		{"fieldname": "sentence", "label": _("What May Be Said"), "fieldtype": "Data", "width": 420},
		{
			"fieldname": "reminded_rate",
			"label": _("Bought Again, Reminded"),
			"fieldtype": "Percent",
			"width": 130,
		},
		{
			"fieldname": "held_out_rate",
			"label": _("Bought Again, Held Out"),
			"fieldtype": "Percent",
			"width": 130,
		},
		{
			"fieldname": "difference",
			"label": _("Difference (Points)"),
			"fieldtype": "Float",
			"precision": 1,
			"width": 120,
		},
		{
			"fieldname": "low",
			"label": _("at Least (95 %)"),
			"fieldtype": "Float",
			"precision": 1,
			"width": 110,
		},
		{
			"fieldname": "high",
			"label": _("at Most (95 %)"),
			"fieldtype": "Float",
			"precision": 1,
			"width": 110,
		},
		{
			"fieldname": "reminded_customers",
			"label": _("Customers Reminded"),
			"fieldtype": "Int",
			"width": 120,
		},
		{
			"fieldname": "held_out_customers",
			"label": _("Customers Held Out"),
			"fieldtype": "Int",
			"width": 120,
		},
		{"fieldname": "reminded_cycles", "label": _("Cases Reminded"), "fieldtype": "Int", "width": 120},
		{"fieldname": "held_out_cycles", "label": _("Cases Held Out"), "fieldtype": "Int", "width": 120},
		{"fieldname": "open", "label": _("Not Over Yet"), "fieldtype": "Int", "width": 110},
	]


def chart(rows: list[dict]) -> dict | None:
	"""Both shares side by side, where both are known."""
	known = [each for each in rows if each["difference"] is not None]
	if not known:
		return None
	return {
		"type": "bar",
		"data": {
			"labels": [each["label"] for each in known],
			"datasets": [
				{"name": _("Reminded (%)"), "values": [round(each["reminded_rate"], 1) for each in known]},
				{"name": _("Held Out (%)"), "values": [round(each["held_out_rate"], 1) for each in known]},
			],
		},
		"colors": ["#48bb74", "#b8c2cc"],
	}


def summary(found) -> list[dict]:
	"""Figures above the table; no difference is shown while it is too early."""
	if found.verdict is Verdict.NOBODY:
		return []
	figures = [
		{
			"value": 100 * found.reminded.rate,
			"label": _("Bought Again, Reminded"),
			"datatype": "Percent",
		},
		{
			"value": 100 * found.held_out.rate,
			"label": _("Bought Again, Held Out"),
			"datatype": "Percent",
		},
	]
	if found.too_early:
		told = {"value": _("Too early to say"), "indicator": "Orange"}
	else:
		told = {
			"value": f"{100 * found.difference:+.1f}  ({100 * found.low:+.1f} … {100 * found.high:+.1f})",
			"indicator": COLOURS[found.verdict],
		}
	return [*figures, {"label": _("Difference (Points)"), "datatype": "Data", **told}]
