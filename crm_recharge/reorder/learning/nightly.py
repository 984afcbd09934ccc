"""Each night: what was left over is learned, everything is fitted and foretold anew."""

import json
import math
import time
import zlib
from datetime import datetime, timedelta
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import flt, now_datetime

from crm_recharge import transactions
from crm_recharge.credits.money import exact
from crm_recharge.reorder import words
from crm_recharge.reorder.learning import bulk, customers, forecasts, model, pairs, purchases, repair, runs
from crm_recharge.reorder.learning.runs import REFIT, Run

AUDIT_NIGHTS = 28
"""Every customer is worked out from its invoices once in so many nights, whatever the hooks have heard."""
MANY_INVOICES = 20_000
SAFETY = timedelta(hours=1)
"""An invoice may be committed long after the time it bears."""
PAGE = 150
FORECASTS_A_YEAR = 40_000
"""Forecasts kept to be followed up: all of a shop's, or of a huge one's a share drawn by chance."""
FORECAST = "Reorder Forecast"
YEAR = 365


def learn() -> str | None:
	"""The nightly run; returns the Reorder Run, None when another one is at it."""
	transactions.commit()
	runs.bury(REFIT)
	if runs.running(REFIT):
		return None
	run = Run.start(REFIT)
	transactions.commit()
	began = time.monotonic()
	try:
		_catch_up(run)
		_follow_up(run)
		fit = model.refit()
		transactions.commit()
		run.figures.update({"refit_seconds" if k == "seconds" else k: v for k, v in fit.items()})
		_foretell(run)
		_value(run)
	except Exception as error:
		frappe.db.rollback()
		frappe.log_error(
			title="Reorder: the nightly learning failed", reference_doctype=runs.RUN, reference_name=run.name
		)
		run.fail(_("{0}. See the Error Log.").format(f"{type(error).__name__}: {error}"))
		return run.name
	run.figures["seconds"] = round(time.monotonic() - began, 1)
	run.finish(
		_("Purchases fitted: {0}. Pairs foretold: {1}, of which due: {2}. Time: {3}.").format(
			*(words.number(run.figures.get(name, 0)) for name in ("purchases", "foretold", "due")),
			words.seconds(run.figures["seconds"]),
		)
	)
	return run.name


# -- what was left over ------------------------------------------------------------------------------------------------


def _catch_up(run: Run) -> None:
	"""Repair what hooks left over and days that came; then have customers looked at anew, whatever the hooks heard.

	Those with invoices of the day, so that nothing is lost with a job; and a share of all others.
	"""
	began = time.monotonic()
	left = set()
	while waiting := [customer for customer in repair.due(to_foretell=False) if customer not in left]:
		for customer in waiting:
			left.add(customer)
			try:
				repair.settle(customer)
			except Exception as error:
				frappe.db.rollback()
				run.problem(customer, f"{type(error).__name__}: {error}", _("Tried again each hour"))
		run.beat(run.done)
	lately = _invoiced_since(_last_night())
	tonight = purchases.today() % AUDIT_NIGHTS
	for page in _pages():
		some = [c for c in page if c in lately or zlib.crc32(c.encode()) % AUDIT_NIGHTS == tonight]
		lately.difference_update(page)
		if some:
			_audit(run, some)
	# Those of whom nothing at all was learned so far.
	for customer in sorted(lately):
		_audit(run, [customer])
	run.count(repaired=len(left), catch_up_seconds=time.monotonic() - began)


def _last_night() -> datetime:
	"""When the last run that came to its end began; two days ago without."""
	found = frappe.get_all(
		runs.RUN,
		{"kind": REFIT, "status": ["in", [runs.DONE, runs.PROBLEMS]]},
		pluck="started_at",
		order_by="started_at desc",
		limit=1,
	)
	return found[0] if found else now_datetime() - timedelta(days=2)


def _invoiced_since(since: datetime) -> set[str]:
	"""Customers whose documents were submitted, cancelled or touched since then; but for those who have so many
	that it would take long, like a till's walk-in customer."""
	since -= SAFETY
	found = frappe.db.sql(
		" UNION ".join(
			f"SELECT c.`name` FROM `tab{doctype}` i STRAIGHT_JOIN `tabCustomer` c ON c.`name` = i.`customer`"
			" WHERE i.`modified` >= %(since)s AND i.`docstatus` > 0"
			for doctype in purchases.DOCUMENTS
		),
		{"since": since},
		pluck=True,
	)
	return {customer for customer in found if purchases.documents_of(customer) <= MANY_INVOICES}


def _audit(run: Run, some: list[str]) -> None:
	try:
		for customer, item, why in pairs.rebuild(some).problems:
			run.problem(f"{customer} · {item}", why, _("See the report Purchase Data Quality"))
	except Exception as error:
		frappe.db.rollback()
		run.problem(", ".join(some[:5]), f"{type(error).__name__}: {error}", _("Tried again another night"))
	run.beat(run.done)


def _pages(size: int = PAGE):
	"""All customers with something learned, some at a time, in order."""
	reached = ""
	while page := frappe.db.sql(
		"SELECT `customer` FROM `tabReorder Customer` WHERE `customer` > %s ORDER BY `customer` LIMIT %s",
		(reached, size),
		pluck=True,
	):
		yield page
		reached = page[-1]


# -- forecasts ------------------------------------------------------------------------------------------------------------


def _follow_up(run: Run) -> None:
	"""What became of earlier forecasts; those made from a purchase that was undone are void."""
	pair = "d.`customer` = f.`customer` AND d.`item_code` = f.`item_code`"
	frappe.db.sql(
		f"DELETE f FROM `tab{FORECAST}` f LEFT JOIN `tabReorder Purchase Day` d ON {pair} AND d.`day` = f.`after`"
		" WHERE d.`name` IS NULL"
	)
	frappe.db.sql(
		f"UPDATE `tab{FORECAST}` f SET f.`bought` = (SELECT MIN(d.`day`) FROM `tabReorder Purchase Day` d"
		f" WHERE {pair} AND d.`day` > f.`after`)"
	)
	transactions.commit()
	run.beat(run.done)


def _foretell(run: Run) -> None:
	"""Every pair anew, some customers at a time; a forecast of each new cycle is kept."""
	began = time.monotonic()
	setting = forecasts.Setting.now()
	share = _share_kept()
	run.total, run.done = frappe.db.count("Reorder Customer"), 0
	for page in _pages():
		names = customers.lock_all(page)
		foretold, problems = forecasts.update_pairs(setting, forecasts.read(page))
		forecasts.summarize(setting, names)
		_keep(foretold, share, setting.today)
		transactions.commit()
		forecasts.show_on_customers(page)
		transactions.commit()
		for customer, item, why in problems:
			run.problem(f"{customer} · {item}", why, _("It is not reminded of"))
		run.count(foretold=len(foretold), due=sum(one.status == "Due" for one in foretold))
		run.beat(run.done + len(page))
	run.count(foretell_seconds=time.monotonic() - began)


def _share_kept() -> float:
	"""The share of cycles whose forecast is kept."""
	year_ago = purchases.as_date(purchases.today() - YEAR)
	cycles = max(
		frappe.db.count("Reorder Reminder"), frappe.db.count("Reorder Purchase Day", {"day": [">", year_ago]})
	)
	return min(1.0, FORECASTS_A_YEAR / cycles) if cycles else 1.0


def _keep(foretold: list, share: float, today: int) -> None:
	"""Keep the first forecast of each cycle, so that it can be followed up; which ones does not change."""
	chosen = [one for one in foretold if one.middle is not None and _drawn(one.known, share)]
	if not chosen:
		return
	kept = set(
		frappe.db.sql(
			f"SELECT `customer`, `item_code`, {purchases.ORDINAL.format('`after`')} FROM `tab{FORECAST}`"
			" WHERE `customer` IN %s",
			(tuple({one.known.customer for one in chosen}),),
		)
	)
	columns = {
		"customer": bulk.TEXT,
		"item_code": bulk.TEXT,
		"item_group": bulk.TEXT,
		"asked": bulk.DAY,
		"after": bulk.DAY,
		"next_from": bulk.DAY,
		"next_on": bulk.DAY,
		"next_to": bulk.DAY,
		"p_alive": bulk.NUMBER,
		"p_buy_30": bulk.NUMBER,
		"state": bulk.LONG,
	}
	rows = [
		(
			known.customer,
			known.item,
			known.item_group,
			purchases.as_date(today),
			purchases.as_date(known.state.last),
			*(purchases.as_date(day) for day in (one.low, one.middle, one.high)),
			round(100 * one.p_alive, 4),
			round(100 * one.p_buy_30, 4),
			json.dumps(known.state.as_dict()),
		)
		for one in chosen
		if ((known := one.known).customer, known.item, known.state.last) not in kept
	]
	bulk.insert(FORECAST, columns, rows, once=True)


def _drawn(known, share: float) -> bool:
	key = f"{known.customer}\n{known.item}\n{known.state.last}"
	return zlib.crc32(key.encode()) < share * 2**32


# -- what customers are worth ------------------------------------------------------------------------------------------------


def _value(run: Run) -> None:
	"""Revenue of the last 365 days and who is valuable, on Reorder Customer."""
	revenue, problems = revenues()
	for company, why in problems:
		run.problem(company, why, _("Its revenue is left out"))
	valuable = _valuable(revenue)
	rows = frappe.db.sql(
		"SELECT `name`, `customer`, CAST(`revenue_365` AS CHAR), `valuable` FROM `tabReorder Customer`"
		" ORDER BY `customer`"
	)
	altered = []
	for name, customer, there, was in rows:
		worth = revenue.get(customer, Decimal(0)).quantize(Decimal("1e-9"))
		if exact(there) != worth or bool(was) != (customer in valuable):
			altered.append((name, worth, int(customer in valuable)))
	for start in range(0, len(altered), bulk.CHUNK):
		bulk.update(
			"Reorder Customer",
			{"revenue_365": bulk.NUMBER, "valuable": "int"},
			altered[start : start + bulk.CHUNK],
		)
		transactions.commit()
	run.count(valuable=len(valuable))


def revenues() -> tuple[dict[str, Decimal], list[tuple[str, str]]]:
	"""Net revenue of each customer in the last 365 days, in the currency of the company that counts.

	That is the company in Reorder Settings alone, or else all of them, in the default company's currency at
	today's rate. Also companies left out, with the reason.
	"""
	settings = frappe.get_cached_doc("Reorder Settings")
	chosen = settings.company or frappe.defaults.get_global_default("company")
	currency = frappe.get_cached_value("Company", chosen, "default_currency") if chosen else None
	sums, problems, rates = {}, [], {}
	for customer, company, amount in _sums(settings.company):
		if company not in rates:
			try:
				rates[company] = _rate(company, currency)
			except Exception as error:
				rates[company] = None
				problems.append((company, str(error)))
		if rates[company] is not None:
			sums[customer] = sums.get(customer, Decimal(0)) + exact(amount) * rates[company]
	return sums, problems


def _sums(company: str | None):
	"""(customer, company, net amount as text) of counted invoices."""
	until = purchases.as_date(purchases.today())
	values = {"since": until - timedelta(days=YEAR), "until": until, "company": company}
	for doctype, more in (
		("Sales Invoice", "AND `is_consolidated` = 0 AND `is_internal_customer` = 0"),
		("POS Invoice", ""),
	):
		yield from frappe.db.sql(
			f"SELECT `customer`, `company`, CAST(SUM(`base_net_total`) AS CHAR) FROM `tab{doctype}`"
			" WHERE `docstatus` = 1 AND `posting_date` > %(since)s AND `posting_date` <= %(until)s"
			f" AND COALESCE(`is_opening`, 'No') <> 'Yes' {more}"
			+ (" AND `company` = %(company)s" if company else "")
			+ " GROUP BY `customer`, `company`",
			values,
		)


def _rate(company: str, currency: str | None) -> Decimal:
	"""Units of `currency` for one of the company's."""
	from erpnext.setup.utils import get_exchange_rate

	own = frappe.get_cached_value("Company", company, "default_currency")
	if own == currency or not currency:
		return Decimal(1)
	rate = flt(get_exchange_rate(own, currency, purchases.as_date(purchases.today())))
	if rate <= 0:
		raise ValueError(_("No exchange rate from {0} to {1}").format(own, currency))
	return Decimal(str(rate))


def _valuable(revenue: dict[str, Decimal]) -> set[str]:
	"""The top share by revenue, and those whose field of Reorder Settings is ticked or filled."""
	settings = frappe.get_cached_doc("Reorder Settings")
	buying = sorted(((-worth, customer) for customer, worth in revenue.items() if worth > 0))
	share = min(max(flt(settings.valuable_share), 0.0), 100.0)
	found = {customer for _worth, customer in buying[: math.ceil(len(buying) * share / 100)]}
	field = (settings.valuable_field or "").strip()
	if field and frappe.db.has_column("Customer", field):
		for name, value in frappe.get_all("Customer", fields=["name", field], as_list=True, order_by=None):
			if value:
				found.add(name)
	return found
