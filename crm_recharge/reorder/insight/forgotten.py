"""Items whose usual time has passed at customers who still buy them, probably."""

from decimal import Decimal

import frappe
from frappe.utils import add_days, flt, getdate, nowdate

from crm_recharge.domain.reorder.purchases import LOG_UNIT
from crm_recharge.reorder.insight.cycles import items_of
from crm_recharge.reorder.insight.scope import company_of, seen_by_reader, under
from crm_recharge.reorder.learning.documents import COUNTS, GIFT, INVOICES

PRICE_DAYS = 365

# The day a customer would usually have been back: said by the customer, else the last purchase and the usual
# interval, its own or that of the item (`typical`, over all customers) or of the rule. The forecast cannot serve: it is
# made anew every night, and so it always lies ahead.
_PAIRS = f"""
	WITH `typical` AS (
		SELECT IFNULL(`item_code`, '') AS `item_code`,
			EXP(SUM(`sum_log`) / SUM(`purchase_days` - 1) / {LOG_UNIT}) AS `days`
		FROM `tabReorder Reminder` WHERE `purchase_days` > 1 GROUP BY IFNULL(`item_code`, '')
	), `pair` AS (
		SELECT `tabReorder Reminder`.`item_code`, `tabReorder Reminder`.`item_group`,
			GREATEST(`tabReorder Reminder`.`last_quantity`, 0) * `tabReorder Reminder`.`p_alive` / 100 AS `expected`,
			DATEDIFF(%(today)s, COALESCE(
				`tabReorder Reminder`.`expected_on`,
				DATE_ADD(`tabReorder Reminder`.`last_day`, INTERVAL CEIL(COALESCE(
					NULLIF(`tabReorder Reminder`.`usual_interval`, 0), `typical`.`days`,
					NULLIF(`tabReorder Rule`.`default_interval`, 0)
				)) DAY)
			)) AS `overdue`
		FROM `tabReorder Reminder`
		LEFT JOIN `typical` ON `typical`.`item_code` = `tabReorder Reminder`.`item_code`
		LEFT JOIN `tabReorder Rule` ON `tabReorder Rule`.`name` = `tabReorder Reminder`.`rule`
		WHERE `tabReorder Reminder`.`purchase_days` > 0 AND `tabReorder Reminder`.`p_alive` >= %(least)s
			{{conditions}}
	)"""


def forgotten(filters: dict) -> list[dict]:
	"""Items, or item groups, by what their overdue purchases would bring.

	Only pairs that still buy with at least the chance given count, and only those something is expected of.
	`lost` is an estimate: for every overdue pair the last quantity × the item's mean net price of the last 365
	days in the company's currency × the chance that the customer still buys; Decimal.

	Args:
		filters: `by` ("Item" or "Item Group"), `item_group` (with all below), `item_code`, `company`,
			`least_p_alive` (percent; default as in Reorder Settings), `least_overdue` (days; default 1).
	"""
	by_group = filters.get("by") == "Item Group"
	key = "item_group" if by_group else "item_code"
	pairs, values = _pairs(filters)
	# Sorted as bytes: three times as fast as by the rules of a language. The median is that of the overdue ones,
	# which come first in a sorting by days overdue, descending.
	# nosemgrep: frappe-sql-format-injection -- one of two columns; conditions hold parameters alone
	rows = frappe.db.sql(
		f"""{pairs}, `ranked` AS (
			SELECT `{key}` AS `key`, `overdue`,
				ROW_NUMBER() OVER (PARTITION BY CAST(`{key}` AS BINARY) ORDER BY `overdue` DESC) AS `n`,
				COUNT(*) OVER (PARTITION BY CAST(`{key}` AS BINARY)) AS `pairs`,
				SUM(`overdue` >= %(days)s) OVER (PARTITION BY CAST(`{key}` AS BINARY)) AS `overdue_pairs`
			FROM `pair` WHERE `overdue` IS NOT NULL
		)
		SELECT `key`, MAX(`pairs`) AS `pairs`, MAX(`overdue_pairs`) AS `overdue_pairs`,
			AVG(`overdue`) AS `median_overdue`
		FROM `ranked`
		WHERE `overdue_pairs` > 0
			AND `n` IN (FLOOR((`overdue_pairs` + 1) / 2), CEIL((`overdue_pairs` + 1) / 2))
		GROUP BY `key`""",
		values,
		as_dict=True,
	)
	lost, currency = _lost(filters, key, pairs, values) if rows else ({}, None)
	items = {} if by_group else items_of([row.key for row in rows])
	found = [_row(row, items.get(row.key), lost.get(row.key, Decimal(0)), currency) for row in rows]
	return sorted(
		found,
		key=lambda row: (-row["lost"], -row["overdue_pairs"], str(row["item_code"] or row["item_group"])),
	)


def _row(row: dict, item: dict | None, lost: Decimal, currency: str) -> dict:
	return {
		"item_code": item.name if item else None,
		"item_name": item.item_name if item else None,
		"item_group": item.item_group if item else row.key,
		"pairs": int(row.pairs),
		"overdue_pairs": int(row.overdue_pairs),
		"overdue_share": 100 * int(row.overdue_pairs) / int(row.pairs),
		"median_overdue": flt(row.median_overdue),
		"lost": lost,
		"currency": currency,
	}


def _pairs(filters: dict) -> tuple[str, dict]:
	sql = " AND `tabReorder Reminder`.`stopped` = 0"
	least = filters.get("least_p_alive")
	if least in (None, ""):
		least = frappe.db.get_single_value("Reorder Settings", "least_p_alive")
	values = {
		"today": getdate(nowdate()),
		"least": flt(least),
		"days": max(int(filters.get("least_overdue") or 1), 1),
	}
	groups = under(filters.get("item_group"))
	if groups is not None:
		sql += " AND `tabReorder Reminder`.`item_group` IN %(groups)s"
		values["groups"] = groups
	if filters.get("item_code"):
		sql += " AND `tabReorder Reminder`.`item_code` = %(item_code)s"
		values["item_code"] = filters["item_code"]
	return _PAIRS.format(conditions=sql + seen_by_reader("Reorder Reminder")), values


def _lost(filters: dict, key: str, pairs: str, values: dict) -> tuple[dict[str, Decimal], str]:
	"""Expected revenue of the overdue pairs by `key`, and its currency."""
	company, currency = company_of(filters)
	# nosemgrep: frappe-sql-format-injection -- one of two columns; conditions hold parameters alone
	quantities = frappe.db.sql(
		f"""{pairs} SELECT MAX(`item_code`) AS `item_code`, MAX(`{key}`) AS `key`,
			CAST(SUM(`expected`) AS CHAR) AS `quantity`
		FROM `pair` WHERE `overdue` >= %(days)s GROUP BY CAST(`item_code` AS BINARY)""",
		values,
		as_dict=True,
	)
	prices = mean_prices([row.item_code for row in quantities], company)
	lost: dict[str, Decimal] = {}
	for row in quantities:
		worth = Decimal(row.quantity or 0) * prices.get(row.item_code, Decimal(0))
		lost[row.key] = lost.get(row.key, Decimal(0)) + worth
	return lost, currency


def mean_prices(items: list[str], company: str | None) -> dict[str, Decimal]:
	"""Net revenue per stock unit of the last 365 days in the company's currency, of what counts as a purchase; items not
	sold are left out."""
	if not items or not company:
		return {}
	since = add_days(nowdate(), -PRICE_DAYS)
	sums: dict[str, list[Decimal]] = {}
	for doctype in INVOICES:
		# nosemgrep: frappe-sql-format-injection -- DocTypes and conditions are constants
		found = frappe.db.sql(
			f"""SELECT row_.`item_code`, CAST(SUM(row_.`base_net_amount`) AS CHAR), CAST(SUM(row_.`stock_qty`) AS CHAR)
			FROM `tab{doctype}` inv JOIN `tab{doctype} Item` row_ ON row_.`parent` = inv.`name`
			JOIN `tabCustomer` customer ON customer.`name` = inv.`customer`
			WHERE inv.`docstatus` = 1 AND inv.`company` = %(company)s AND inv.`posting_date` >= %(since)s
				AND inv.`is_return` = 0 AND row_.`item_code` IN %(items)s AND row_.`stock_qty` > 0
				{COUNTS[doctype]} AND NOT {GIFT}
			GROUP BY row_.`item_code`""",
			{"company": company, "since": since, "items": items},
		)
		for item, amount, quantity in found:
			kept = sums.setdefault(item, [Decimal(0), Decimal(0)])
			kept[0] += Decimal(amount or 0)
			kept[1] += Decimal(quantity or 0)
	return {item: amount / quantity for item, (amount, quantity) in sums.items() if quantity}
