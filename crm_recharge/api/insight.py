"""Figures of the workspace: its number card and its chart. Sums cover what the caller may read."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import formatdate, get_system_timezone, getdate, nowdate
from frappe.utils.dateutils import get_dates_from_timegrain, get_from_date_from_timespan, get_period_ending

from crm_recharge import clock
from crm_recharge.credits.money import exact, in_coins, money
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.inputs import Anything, Day, Flag, list_or_object
from crm_recharge.domain.moments import day_of
from crm_recharge.domain.money import ZERO, plain
from crm_recharge.doors.sight import and_rows_of
from crm_recharge.intake import intake, read_filters

KEPT_SECONDS = 120
"""How long a chart's sums are kept: a busy ledger is not added up at every visit."""

LONG_PERIODS = ("Monthly", "Quarterly", "Yearly")
DAYS_OF_A_BAR = {"Daily": 1, "Weekly": 7, "Monthly": 30, "Quarterly": 91, "Yearly": 365}
TIMESPANS = ("Last Year", "Last Quarter", "Last Month", "Last Week", "All Time", "Select Date Range")
MOST_BARS = 1100
"""Three years of days: more than anybody tells apart."""
WIDEST_ZONES = timedelta(hours=27)
"""So far apart are the clocks of two places at most, and minutes more."""


@frappe.whitelist(methods=["GET", "POST"])
@intake
def prepaid_balance(filters: str | dict | list | None = None) -> str:
	"""The credits that customers hold, one sum a currency, as text for a number card."""
	frappe.has_permission("Credit Account", "read", throw=True)
	rows = frappe.db.sql(
		"SELECT `currency`, CAST(SUM(`balance`) AS CHAR), COUNT(*) AS `accounts` FROM `tabCredit Account`"
		f" WHERE `balance` != %(zero)s{and_rows_of('Credit Account')} GROUP BY `currency` ORDER BY `accounts` DESC",
		{"zero": 0},
	)
	if not rows:
		return money(0, frappe.db.get_default("currency"))
	return " · ".join(money(in_coins(total, currency), currency) for currency, total, _accounts in rows)


@frappe.whitelist(methods=["GET", "POST"])
@intake
def credits_by_day(
	chart_name: str | None = None,
	chart: dict | str | None = None,
	no_cache: Flag | None = None,
	filters: dict | list | str | None = None,
	from_date: Day | None = None,
	to_date: Day | None = None,
	timespan: str | None = None,
	time_interval: str | None = None,
	heatmap_year: Anything = None,
	refresh: Flag | None = None,
) -> dict:
	"""Credits used and recharged, by day (or `time_interval`), for the dashboard chart of that name.

	Usage counts on the day it occurred, in the time zone of its account. `filters`: company and currency; without a
	currency the one that most accounts are kept in. At most MOST_BARS bars: a longer period is cut to the days that
	have movements, and refused (422 period_too_long) where those are still too many. Errors: 403, 404, 422.
	"""
	frappe.has_permission("Credit Ledger", "read", throw=True)
	doc = frappe.get_doc("Dashboard Chart", chart_name) if chart_name else frappe._dict(chart or {})
	asked = frappe._dict(
		read_filters(_filters_of(filters, doc), {"company": "Company", "currency": "Currency"})
	)
	choice = read_filters(
		{
			"time_interval": time_interval or doc.get("time_interval") or "Daily",
			"timespan": timespan or doc.get("timespan") or "Last Month",
		},
		{"time_interval": tuple(DAYS_OF_A_BAR), "timespan": TIMESPANS},
	)
	currency = asked.currency or _usual_currency()
	end = to_date or getdate(nowdate())
	start = from_date or getdate(get_from_date_from_timespan(end, choice["timespan"]))
	start, end = _bounded(start, end, choice["time_interval"])
	sums = _sums(start, end, currency, asked.company, fresh=bool(refresh or no_cache))
	return _datasets(sums, start, end, choice["time_interval"], currency)


def _filters_of(filters: dict | list | None, doc) -> dict:
	"""The filters given, else those of the chart; Frappe writes none as an empty list."""
	return filters or list_or_object(doc.get("filters_json") or {}, "filters_json") or {}


def _bounded(start: date, end: date, interval: str) -> tuple[date, date]:
	"""A period that a chart can show. Raises InvalidRequest period_backwards, period_too_long."""
	if end < start:
		raise InvalidRequest("period_backwards", start=str(start), end=str(end))
	if _bars(start, end, interval) > MOST_BARS:
		first = frappe.db.get_value("Credit Ledger", {}, "posted_at", order_by="creation asc")
		today = getdate(nowdate())
		start = min(max(start, getdate(first) - timedelta(days=1)) if first else today, end)
		end = max(min(end, today + timedelta(days=1)), start)
	if (count := _bars(start, end, interval)) > MOST_BARS:
		raise InvalidRequest("period_too_long", count=count, limit=MOST_BARS)
	return start, end


def _bars(start: date, end: date, interval: str) -> int:
	return (end - start).days // DAYS_OF_A_BAR[interval] + 1


def _sums(start: date, end: date, currency: str, company: str | None, fresh: bool) -> list:
	"""(day, used, recharged) as text, kept for a while for callers with the same rights."""
	match = and_rows_of("Credit Ledger")
	key = "crm_recharge:by_day:" + "|".join(map(str, (start, end, currency, company or "", match)))
	found = None if fresh else frappe.cache.get_value(key, expires=True)
	if found is None:
		found = _read_sums(start, end, currency, company, match)
		frappe.cache.set_value(key, found, expires_in_sec=KEPT_SECONDS)
	return found


def _read_sums(start: date, end: date, currency: str, company: str | None, match: str) -> list:
	"""The sums of each day, as it was where the account is."""
	used, recharged = defaultdict(Decimal), defaultdict(Decimal)
	for time_zone, slot, out, into in _read_slots(start, end, currency, company, match):
		day = day_of(clock.read(slot), clock.zone_of(time_zone))
		used[day] += exact(out)
		recharged[day] += exact(into)
	return [
		(str(day), plain(used[day]), plain(recharged[day])) for day in sorted(used) if start <= day <= end
	]


def _read_slots(start: date, end: date, currency: str, company: str | None, match: str) -> list:
	"""(time zone or None for the site's, begin of the day or quarter of an hour on the site's clock, used, recharged)."""
	# A row is made and posted at one moment. Frappe 15 indexes `modified` and Frappe 16 `creation`: naming
	# both lets either read the days alone and not the whole ledger.
	moments = ("posted_at", "creation", "modified")
	# Nothing occurs later than it is posted, but for clocks that are ahead by minutes.
	since = " AND ".join(f"`tabCredit Ledger`.`{column}` >= %(start)s" for column in moments)
	ledger = "`tabCredit Ledger`"
	# An account elsewhere has its own days; all zones there are begin them at a quarter of the site's hours.
	slot = (
		f"IF(a.`time_zone` = %(site)s OR COALESCE(a.`time_zone`, '') = '', DATE({ledger}.`occurred_at`),"
		f" FROM_DAYS(TO_DAYS({ledger}.`occurred_at`)) + INTERVAL 15 * FLOOR(TIME_TO_SEC({ledger}.`occurred_at`) / 900) MINUTE)"
	)
	return frappe.db.sql(
		f"SELECT NULLIF(NULLIF(a.`time_zone`, %(site)s), '') AS `zone`, CAST({slot} AS CHAR) AS `slot`,"
		f" CAST(-SUM(IF({ledger}.`entry_type` = 'Usage', {ledger}.`amount`, 0)) AS CHAR),"
		f" CAST(SUM(IF({ledger}.`entry_type` = 'Recharge', {ledger}.`amount`, 0)) AS CHAR)"
		f" FROM {ledger} JOIN `tabCredit Account` a ON a.`name` = {ledger}.`credit_account`"
		f" WHERE {since} AND {ledger}.`occurred_at` >= %(start)s AND {ledger}.`occurred_at` < %(end)s"
		f" AND {ledger}.`currency` = %(currency)s"
		f" AND (%(company)s = '' OR {ledger}.`company` = %(company)s){match} GROUP BY `zone`, `slot`",
		{
			"start": datetime(start.year, start.month, start.day) - WIDEST_ZONES,
			"end": datetime(end.year, end.month, end.day) + timedelta(days=1) + WIDEST_ZONES,
			"site": get_system_timezone(),
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
		f"SELECT `currency` FROM `tabCredit Account` WHERE `status` != %(closed)s{and_rows_of('Credit Account')}"
		" GROUP BY `currency` ORDER BY COUNT(*) DESC LIMIT 1",
		{"closed": "Disabled"},
		pluck=True,
	)
	return found[0] if found else frappe.db.get_default("currency")
