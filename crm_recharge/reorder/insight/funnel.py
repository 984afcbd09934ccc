"""From due to bought: what became of each reminder."""

from datetime import date
from decimal import Decimal

import frappe
from frappe.utils import add_days, cint, getdate, now_datetime

from crm_recharge.credits.money import exact
from crm_recharge.reorder.insight.scope import company_of, period_of, seen_by_reader, under

COUNTS = ("due", "held_out", "sent", "failed", "opened", "clicked", "answered", "ordered", "won", "mails")

BY = {
	"Month": "DATE_FORMAT(`tabReorder Message`.`sent_at`, '%%Y-%%m')",
	"Rule": "COALESCE(NULLIF(`i`.`rule`, ''), '')",
	"Item Group": "COALESCE(NULLIF(`i`.`item_group`, ''), '')",
}


def funnel(filters: dict) -> list[dict]:
	"""One row a month, rule or item group. What is counted is an item in a reminder; `mails` counts mails.

	`opened` and `clicked` are None where nobody can know: before what Reorder Settings keeps, and `opened` where
	opening was never followed. `revenue` is net, in the company's currency, Decimal. Reminders whose people were
	made anonymous still count.

	Args:
		filters: `by` ("Month", "Rule", "Item Group"), `from_date`, `to_date` (default: the last twelve months),
			`company`, `item_group` (with all below), `rule`.
	"""
	by = filters.get("by") if filters.get("by") in BY else "Month"
	where, values = conditions(filters)
	reminded = "`tabReorder Message`.`kind` = 'Reminded'"
	sent = f"{reminded} AND `tabReorder Message`.`status` IN ('Sent', 'Anonymous')"
	# nosemgrep: frappe-sql-format-injection -- one of BY; conditions hold parameters alone
	rows = frappe.db.sql(
		f"""SELECT {BY[by]} AS `key`,
			SUM({reminded}) AS `due_reminded`,
			SUM(`tabReorder Message`.`kind` = 'Held Out') AS `held_out`,
			SUM({sent}) AS `sent`,
			SUM({reminded} AND `tabReorder Message`.`status` = 'Failed') AS `failed`,
			SUM({reminded} AND `tabReorder Message`.`opened_at` IS NOT NULL) AS `opened`,
			SUM({reminded} AND COALESCE(`i`.`clicked_at`, `tabReorder Message`.`clicked_at`) IS NOT NULL) AS `clicked`,
			SUM({reminded} AND COALESCE(NULLIF(`i`.`answer`, ''), NULLIF(`tabReorder Message`.`last_answer`, '')) IS NOT NULL)
				AS `answered`,
			SUM({reminded} AND `i`.`answer` = 'Reorder') AS `ordered`,
			SUM({reminded} AND `i`.`won`) AS `won`,
			SUM(NOT ({reminded}) AND `i`.`won`) AS `held_out_won`,
			COUNT(DISTINCT IF({sent}, `tabReorder Message`.`name`, NULL)) AS `mails`,
			SUM({reminded} AND `tabReorder Message`.`sent_at` >= %(tracked)s) AS `trackable`,
			CAST(SUM(IF({reminded} AND `i`.`won`, `i`.`revenue`, 0)) AS CHAR) AS `revenue`
		FROM `tabReorder Message` JOIN `tabReorder Message Item` `i`
			ON `i`.`parent` = `tabReorder Message`.`name` AND `i`.`parenttype` = 'Reorder Message'
		WHERE {where}
		GROUP BY `key` ORDER BY `key`""",
		values | {"tracked": tracked_since()},
		as_dict=True,
	)
	_, currency = company_of(filters)
	follows_opens = cint(frappe.db.get_single_value("Reorder Settings", "track_opens"))
	return [_row(row, currency, bool(follows_opens)) for row in rows]


def _row(row: dict, currency: str, follows_opens: bool) -> dict:
	found = {name: int(row.get(name) or 0) for name in COUNTS if name != "due"}
	found["due"] = int(row.due_reminded or 0) + found["held_out"]
	if not row.trackable:
		found["clicked"] = found["clicked"] or None
	if not row.trackable or not follows_opens:
		found["opened"] = found["opened"] or None
	return found | {
		"key": row.key,
		"held_out_won": int(row.held_out_won or 0),
		"revenue": exact(row.revenue),
		"currency": currency,
	}


def total(rows: list[dict]) -> dict:
	"""All rows together; `opened` and `clicked` of those that know."""
	summed = {}
	for name in (*COUNTS, "held_out_won"):
		known = [row[name] for row in rows if row[name] is not None]
		summed[name] = sum(known) if known or name not in ("opened", "clicked") else None
	return summed | {"revenue": sum((row["revenue"] for row in rows), Decimal(0))}


def conditions(filters: dict) -> tuple[str, dict]:
	"""WHERE over `tabReorder Message` and its items `i`: period, company, group, rule, and what the reader may see."""
	first, last = period_of(filters)
	company, _currency = company_of(filters)
	sql = (
		"`tabReorder Message`.`sent_at` >= %(first)s AND `tabReorder Message`.`sent_at` < %(after)s"
		" AND (`tabReorder Message`.`company` = %(company)s OR `tabReorder Message`.`company` IS NULL"
		" OR `tabReorder Message`.`company` = '')"
	)
	values = {"first": first, "after": getdate(add_days(last, 1)), "company": company or ""}
	groups = under(filters.get("item_group"))
	if groups is not None:
		sql += " AND `i`.`item_group` IN %(groups)s"
		values["groups"] = groups
	if filters.get("rule"):
		sql += " AND `i`.`rule` = %(rule)s"
		values["rule"] = filters["rule"]
	return sql + seen_by_reader("Reorder Message"), values


def tracked_since() -> date:
	"""The first day whose opening and clicking is still kept."""
	days = cint(frappe.db.get_single_value("Reorder Settings", "tracking_days"))
	return getdate(add_days(now_datetime(), -days if days else 1))
