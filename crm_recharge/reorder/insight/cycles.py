"""How often items are bought again, from the statistics on Reorder Reminder."""

import math
from statistics import NormalDist

import frappe

from crm_recharge.domain.reorder.purchases import LOG_UNIT
from crm_recharge.reorder.insight.scope import seen_by_reader, under

QUARTER = NormalDist().inv_cdf(0.75)
FEWEST_INTERVALS = 5
"""An item bought again once or twice would head every list of the shortest."""


def cycles(filters: dict) -> list[dict]:
	"""Items, or item groups, with the intervals between purchases; the shortest first.

	Median and quartiles are those of the log-normal distribution with the mean and spread of all intervals'
	logarithms: exp(μ), exp(μ ± 0.6745 σ). The database adds up the sums each pair keeps; no date is read.

	Args:
		filters: `by` ("Item" or "Item Group"), `item_group` (with all below), `item_code`, `customer`,
			`least_intervals` (default 5), `company` is not asked: a rhythm has no currency.
	"""
	by_group = filters.get("by") == "Item Group"
	field = "item_group" if by_group else "item_code"
	conditions, values = _conditions(filters)
	# IFNULL keeps MariaDB from reading a million rows one by one in the order of an index.
	# nosemgrep: frappe-sql-format-injection -- one of two columns; conditions hold parameters alone
	rows = frappe.db.sql(
		f"""SELECT IFNULL(`{field}`, '') AS `key`, COUNT(*) AS `pairs`, SUM(`purchase_days` > 1) AS `repeated`,
			{"COUNT(DISTINCT `customer`)" if by_group else "COUNT(*)"} AS `customers`,
			SUM(GREATEST(`purchase_days` - 1, 0)) AS `intervals`,
			SUM(`sum_log`) AS `sum_log`, SUM(`sum_square`) AS `sum_square`
		FROM `tabReorder Reminder`
		WHERE `purchase_days` > 0{conditions}{seen_by_reader("Reorder Reminder")}
		GROUP BY `key`
		HAVING `intervals` >= %(least)s""",
		values | {"least": max(int(filters.get("least_intervals") or FEWEST_INTERVALS), 1)},
		as_dict=True,
	)
	items = {} if by_group else items_of([row.key for row in rows])
	found = [_with_quartiles(row, items.get(row.key)) for row in rows]
	return sorted(found, key=lambda row: (row["median"], str(row["item_code"] or row["item_group"])))


def items_of(codes: list[str]) -> dict[str, dict]:
	"""item → what it is called and its group; items that are gone keep their code."""
	if not codes:
		return {}
	known = frappe.get_all("Item", {"name": ["in", codes]}, ["name", "item_name", "item_group"])
	gone = frappe._dict(item_name=None, item_group=None)
	return {code: frappe._dict(gone, name=code) for code in codes} | {row.name: row for row in known}


def _conditions(filters: dict) -> tuple[str, dict]:
	sql, values = "", {}
	groups = under(filters.get("item_group"))
	if groups is not None:
		sql += " AND `item_group` IN %(groups)s"
		values["groups"] = groups
	for field in ("item_code", "customer"):
		if filters.get(field):
			sql += f" AND `{field}` = %({field})s"
			values[field] = filters[field]
	return sql, values


def _with_quartiles(row: dict, item: dict | None) -> dict:
	m = int(row.intervals)
	mean = float(row.sum_log or 0) / LOG_UNIT / m
	squares = max(float(row.sum_square or 0) / LOG_UNIT - m * mean * mean, 0.0)
	spread = math.sqrt(squares / (m - 1)) if m > 1 else 0.0
	return {
		"item_code": item.name if item else None,
		"item_name": item.item_name if item else None,
		"item_group": item.item_group if item else row.key,
		"pairs": int(row.pairs),
		"repeated": int(row.repeated or 0),
		"customers": int(row.customers),
		"intervals": m,
		"median": math.exp(mean),
		"p25": math.exp(mean - QUARTER * spread),
		"p75": math.exp(mean + QUARTER * spread),
		# Middle half as a share of the median: 0 is clockwork, 1 and more is hardly a rhythm.
		"spread": math.exp(QUARTER * spread) - math.exp(-QUARTER * spread),
	}
