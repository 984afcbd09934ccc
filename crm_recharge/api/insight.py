"""Figures of the workspace: its number card and its chart. Sums cover what the caller may read."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal

import frappe
from frappe import _
from frappe.desk.reportview import build_match_conditions
from frappe.utils import fmt_money, formatdate, getdate, nowdate
from frappe.utils.dateutils import get_dates_from_timegrain, get_from_date_from_timespan, get_period_ending

from crm_recharge.credits.money import exact
from crm_recharge.domain.money import ZERO, exponent

KEPT_SECONDS = 120
"""How long a chart's sums are kept: a busy ledger is not added up at every visit."""

LONG_PERIODS = ("Monthly", "Quarterly", "Yearly")


@frappe.whitelist(methods=["GET", "POST"])
def prepaid_balance(filters: str | dict | list | None = None) -> str:
	"""The credits that customers hold, one sum a currency, as text for a number card."""
	frappe.has_permission("Credit Account", "read", throw=True)
	rows = frappe.db.sql(
		"SELECT `currency`, CAST(SUM(`balance`) AS CHAR), COUNT(*) AS `accounts` FROM `tabCredit Account`"
		f" WHERE `balance` != %(zero)s{_and_match('Credit Account')} GROUP BY `currency` ORDER BY `accounts` DESC",
		{"zero": 0},
	)
	if not rows:
		return fmt_money(0, currency=frappe.db.get_default("currency"))
	return " · ".join(
		fmt_money(total, precision=exponent(currency), currency=currency)
		for currency, total, _accounts in rows
	)


@frappe.whitelist(methods=["GET", "POST"])
def credits_by_day(
	chart_name: str | None = None,
	chart: str | dict | None = None,
	no_cache: bool | int | None = None,
	filters: str | dict | None = None,
	from_date: str | None = None,
	to_date: str | None = None,
	timespan: str | None = None,
	time_interval: str | None = None,
	heatmap_year: str | int | None = None,
	refresh: bool | int | None = None,
) -> dict:
	"""Credits used and recharged, by day (or `time_interval`), for the dashboard chart of that name.

	`filters`: company and currency; without a currency the one that most accounts are kept in.
	"""
	frappe.has_permission("Credit Ledger", "read", throw=True)
	doc = (
		frappe.get_doc("Dashboard Chart", chart_name)
		if chart_name
		else frappe._dict(frappe.parse_json(chart or {}))
	)
	filters = frappe._dict(frappe.parse_json(filters or doc.get("filters_json") or {}))
	currency = filters.currency or _usual_currency()
	interval = time_interval or doc.get("time_interval") or "Daily"
	end = getdate(to_date or nowdate())
	start = getdate(
		from_date or get_from_date_from_timespan(end, timespan or doc.get("timespan") or "Last Month")
	)
	sums = _sums(start, end, currency, filters.company, fresh=bool(frappe.utils.cint(refresh or no_cache)))
	return _datasets(sums, start, end, interval, currency)


def _sums(start: date, end: date, currency: str, company: str | None, fresh: bool) -> list:
	"""(day, used, recharged) as text, kept for a while for callers with the same rights."""
	match = _and_match("Credit Ledger")
	key = "crm_recharge:by_day:" + "|".join(map(str, (start, end, currency, company or "", match)))
	found = None if fresh else frappe.cache.get_value(key, expires=True)
	if found is None:
		found = _read_sums(start, end, currency, company, match)
		frappe.cache.set_value(key, found, expires_in_sec=KEPT_SECONDS)
	return found


def _read_sums(start: date, end: date, currency: str, company: str | None, match: str) -> list:
	# A row is made and posted at one moment. Frappe 15 indexes `modified` and Frappe 16 `creation`: naming
	# both lets either read the days alone and not the whole ledger.
	moments = ("posted_at", "creation", "modified")
	since = " AND ".join(f"`tabCredit Ledger`.`{column}` >= %(start)s" for column in moments)
	return frappe.db.sql(
		"SELECT CAST(DATE(`posted_at`) AS CHAR),"
		" CAST(-SUM(IF(`entry_type` = 'Usage', `amount`, 0)) AS CHAR),"
		" CAST(SUM(IF(`entry_type` = 'Recharge', `amount`, 0)) AS CHAR)"
		f" FROM `tabCredit Ledger` WHERE {since} AND `posted_at` < %(end)s AND `currency` = %(currency)s"
		f" AND (%(company)s = '' OR `company` = %(company)s){match} GROUP BY DATE(`posted_at`)",
		{
			"start": datetime(start.year, start.month, start.day),
			"end": datetime(end.year, end.month, end.day) + timedelta(days=1),
			"currency": currency,
			"company": company or "",
		},
	)


def _datasets(sums: list, start: date, end: date, interval: str, currency: str) -> dict:
	used, recharged = defaultdict(Decimal), defaultdict(Decimal)
	for day, out, into in sums:
		period = getdate(get_period_ending(day, interval))
		used[period] += exact(out)
		recharged[period] += exact(into)
	periods = [getdate(day) for day in get_dates_from_timegrain(start, end, interval)]
	return {
		"labels": [formatdate(day, "MMM yyyy" if interval in LONG_PERIODS else "d MMM") for day in periods],
		"datasets": [
			{
				"name": _("Used ({0})").format(currency),
				"values": [float(used.get(day, ZERO)) for day in periods],
			},
			{
				"name": _("Recharged ({0})").format(currency),
				"values": [float(recharged.get(day, ZERO)) for day in periods],
			},
		],
	}


def _usual_currency() -> str:
	found = frappe.db.sql(
		f"SELECT `currency` FROM `tabCredit Account` WHERE `status` != %(closed)s{_and_match('Credit Account')}"
		" GROUP BY `currency` ORDER BY COUNT(*) DESC LIMIT 1",
		{"closed": "Disabled"},
		pluck=True,
	)
	return found[0] if found else frappe.db.get_default("currency")


def _and_match(doctype: str) -> str:
	"""What the caller's user permissions add to a WHERE."""
	conditions = build_match_conditions(doctype)
	return f" AND ({conditions})" if conditions else ""
