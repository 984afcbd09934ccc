"""Purchase data that would mislead the learning, and what to do about each finding."""

from collections import Counter

from frappe import _

from crm_recharge.domain.inputs import Kind
from crm_recharge.intake import filtered
from crm_recharge.reorder.insight.scope import link_column
from crm_recharge.reorder.learning import quality


@filtered(customer="Customer", item_code="Item", from_date=Kind.DAY, to_date=Kind.DAY)
def execute(filters: dict | None = None) -> tuple:
	"""Columns, rows, message, chart and summary for Frappe's report view."""
	rows = quality.problems(dict(filters or {}))
	kinds = Counter(row["kind"] for row in rows)
	message = None if rows else _("Nothing found that would mislead.")
	return columns(), rows, message, chart(kinds), summary(rows, kinds)


def columns() -> list[dict]:
	"""What, where, and what to do."""
	return [
		{"fieldname": "kind", "label": _("Finding"), "fieldtype": "Data", "width": 180},
		{"fieldname": "detail", "label": _("What"), "fieldtype": "Data", "width": 320},
		{"fieldname": "advice", "label": _("What to Do"), "fieldtype": "Data", "width": 320},
		link_column("customer", _("Customer"), "Customer", width=150),
		link_column("item_code", _("Item"), "Item", width=130),
		{"fieldname": "day", "label": _("Day"), "fieldtype": "Date", "width": 100},
		{"fieldname": "document_type", "label": _("Document Type"), "fieldtype": "Data", "width": 120},
		{
			"fieldname": "document",
			"label": _("Document"),
			"fieldtype": "Dynamic Link",
			"options": "document_type",
			"width": 160,
		},
	]


def chart(kinds: Counter) -> dict | None:
	"""How often each kind was found."""
	if not kinds:
		return None
	found = kinds.most_common()
	return {
		"type": "bar",
		"data": {
			"labels": [kind for kind, _count in found],
			"datasets": [{"name": _("Findings"), "values": [count for _kind, count in found]}],
		},
		"colors": ["#ffa00a"],
	}


def summary(rows: list[dict], kinds: Counter) -> list[dict]:
	"""Figures above the table."""
	if not rows:
		return []
	customers = len({row["customer"] for row in rows if row.get("customer")})
	return [
		{"value": len(rows), "label": _("Findings"), "datatype": "Int", "indicator": "Orange"},
		{"value": len(kinds), "label": _("Kinds"), "datatype": "Int"},
		{"value": customers, "label": _("Customers Concerned"), "datatype": "Int"},
	]
