"""What became of the reminders: due, sent, opened, clicked, answered, ordered, bought."""

import frappe
from frappe import _

from crm_recharge.domain.inputs import Kind
from crm_recharge.intake import filtered
from crm_recharge.reorder.insight.funnel import funnel, total
from crm_recharge.reorder.insight.scope import company_of

STEPS = ("due", "sent", "opened", "clicked", "answered", "ordered", "won")


@filtered(
	from_date=Kind.DAY,
	to_date=Kind.DAY,
	by=("Month", "Rule", "Item Group"),
	company="Company",
	item_group="Item Group",
	rule="Reorder Rule",
)
def execute(filters: dict | None = None) -> tuple:
	"""Columns, rows, message, chart and summary for Frappe's report view."""
	filters = frappe._dict(filters or {})
	rows = funnel(filters)
	titles = rule_titles(rows) if filters.by == "Rule" else {}
	for row in rows:
		row["label"] = titles.get(row["key"]) or row["key"] or _("(none)")
		row["won_share"] = share(row)
	message = _(
		"Counted are items in reminders; one mail may hold several. Opening is known only where it is followed and as"
		" long as it is kept (see Reorder Settings), and many mail programs hide it or feign it."
	)
	summed = total(rows)
	return (
		columns(filters.by),
		rows,
		message,
		chart(rows, summed),
		summary(rows, summed, company_of(filters)[1]),
	)


def labels() -> dict[str, str]:
	"""What each step is called."""
	return {
		"due": _("Due"),
		"sent": _("Sent"),
		"opened": _("Opened, Where Known"),
		"clicked": _("Clicked"),
		"answered": _("Answered"),
		"ordered": _("Ordered by Link"),
		"won": _("Bought"),
	}


def columns(by: str | None) -> list[dict]:
	"""The first column is what the row is about."""
	kinds = {"Rule": _("Rule"), "Item Group": _("Item Group")}
	return [
		{"fieldname": "label", "label": kinds.get(by, _("Month")), "fieldtype": "Data", "width": 170},
		*(
			{"fieldname": step, "label": label, "fieldtype": "Int", "width": 110}
			for step, label in labels().items()
		),
		{"fieldname": "won_share", "label": _("Bought of Sent"), "fieldtype": "Percent", "width": 120},
		{
			"fieldname": "revenue",
			"label": _("Revenue"),
			"fieldtype": "Currency",
			"options": "currency",
			"width": 130,
		},
		{"fieldname": "mails", "label": _("Mails"), "fieldtype": "Int", "width": 90},
		{"fieldname": "failed", "label": _("Failed"), "fieldtype": "Int", "width": 90},
		{"fieldname": "held_out", "label": _("Held Out"), "fieldtype": "Int", "width": 100},
		{"fieldname": "held_out_won", "label": _("Held Out and Bought"), "fieldtype": "Int", "width": 150},
		{"fieldname": "currency", "label": _("Currency"), "fieldtype": "Data", "hidden": 1},
	]


def rule_titles(rows: list[dict]) -> dict[str, str]:
	"""Names of rules as people know them; rules that are gone keep their key."""
	names = [row["key"] for row in rows if row["key"]]
	if not names:
		return {}
	return dict(frappe.get_all("Reorder Rule", {"name": ["in", names]}, ["name", "title"], as_list=True))


def chart(rows: list[dict], summed: dict) -> dict | None:
	"""The steps of all rows together."""
	if not rows:
		return None
	known = {step: label for step, label in labels().items() if summed[step] is not None}
	return {
		"type": "bar",
		"data": {
			"labels": list(known.values()),
			"datasets": [{"name": _("Items in Reminders"), "values": [summed[step] for step in known]}],
		},
		"colors": ["#48bb74"],
	}


def share(counts: dict) -> float | None:
	"""Bought of sent, in percent. In the table and above it the same digits: Frappe writes as many as the site's."""
	return 100 * counts["won"] / counts["sent"] if counts["sent"] else None


def summary(rows: list[dict], summed: dict, currency: str) -> list[dict]:
	"""Figures above the table."""
	if not rows:
		return []
	return [
		{"value": summed["sent"], "label": _("Sent"), "datatype": "Int", "indicator": "Blue"},
		{"value": summed["won"], "label": _("Bought"), "datatype": "Int", "indicator": "Green"},
		{
			"value": share(summed),
			"label": _("Bought of Sent"),
			"datatype": "Percent",
		},
		{
			"value": float(summed["revenue"]),
			"label": _("Revenue"),
			"datatype": "Currency",
			"currency": currency,
		},
	]
