"""The nightly fit of all purchases together: read, stored, loaded again."""

import base64
import json
import resource
import time
import zlib
from collections.abc import Iterator

import frappe
from frappe.utils import now_datetime

from crm_recharge.domain.reorder import Priors, PriorsError, Resolved, calibrate, fit
from crm_recharge.domain.reorder.purchases import PairState, PurchaseError
from crm_recharge.doors.guard import new
from crm_recharge.reorder.learning import bulk, purchases
from crm_recharge.reorder.learning.purchases import ORDINAL

MODEL = "Reorder Model"
KEEP = 14
"""How many fits are kept."""
MAX_RESOLVED = 8_000
"""Forecasts the calibration looks at: a few numbers need no more."""
FETCH = 5_000

# What this process has loaded, by site: unpacking takes some tens of milliseconds in a large shop.
_loaded: dict[str, tuple[str, Priors]] = {}


def current() -> Priors:
	"""The priors of the latest fit; those that know nothing before the first one."""
	name = frappe.db.get_value(MODEL, {"current": 1}, "name", order_by="fitted_at desc")
	if not name:
		return Priors()
	site = frappe.local.site
	if _loaded.get(site, (None,))[0] != name:
		try:
			_loaded[site] = (name, unpack(frappe.db.get_value(MODEL, name, "priors")))
		except PriorsError:
			# Written by another version: until tonight's fit, nothing is known.
			frappe.log_error(title=f"Reorder Model {name} cannot be read")
			_loaded[site] = (name, Priors())
	return _loaded[site][1]


def pack(priors: Priors) -> str:
	"""The priors as text for a column."""
	text = json.dumps(priors.to_dict(), separators=(",", ":"))
	return base64.b64encode(zlib.compress(text.encode(), 6)).decode()


def unpack(text: str | None) -> Priors:
	"""The priors that `pack` wrote. Raises PriorsError when they are damaged or of another version."""
	try:
		stored = json.loads(zlib.decompress(base64.b64decode(text or "")))
	except (ValueError, zlib.error) as error:
		raise PriorsError(f"Stored priors are damaged ({error}): refit them") from error
	return Priors.from_dict(stored)


# -- fitting -----------------------------------------------------------------------------------------------------------


def lines() -> Iterator[tuple]:
	"""(customer, item, item group, day, quantity) of every Reorder Purchase Day, in the order the fit wants.

	Streams: the result is never in memory as a whole. No other query may run until it is read.
	"""
	groups = dict(frappe.db.sql("SELECT `name`, `item_group` FROM `tabItem`"))
	query = (
		f"SELECT `customer`, `item_code`, {ORDINAL.format('`day`')}, `quantity` FROM `tabReorder Purchase Day`"
		" WHERE `quantity` > 0 ORDER BY `customer`, `item_code`, `day`"
	)
	with frappe.db.unbuffered_cursor():
		frappe.db._cursor.execute(query)
		while rows := frappe.db._cursor.fetchmany(FETCH):
			for customer, item, day, quantity in rows:
				yield customer, item, groups.get(item), day, float(quantity)


def refit() -> dict:
	"""Fit all purchases, calibrate by what became of earlier forecasts, store; returns the figures.

	The caller commits.
	"""
	began = time.monotonic()
	today = purchases.today()
	priors = fit(lines(), today)
	fitted = time.monotonic() - began
	if not priors.purchases:
		return {"purchases": 0, "fit_seconds": round(fitted, 1)}
	priors = calibrate(priors, resolved(today))
	figures = {
		"lines": priors.lines,
		"purchases": priors.purchases,
		"pairs": priors.cadence.pairs,
		"ignored_future": priors.ignored_future,
		"resolved": priors.calibration.cases,
		"coverage80": coverage(today),
		"fit_seconds": round(fitted, 1),
		"seconds": round(time.monotonic() - began, 1),
		"megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
	}
	store(priors, figures)
	return figures


def store(priors: Priors, figures: dict) -> str:
	"""Keep the fit as the current one, and of the latest earlier ones how they did; returns its name.

	Their priors go: they name customers, who may have been erased since.
	"""
	doc = new(
		MODEL,
		{
			**{k: v for k, v in figures.items() if k != "fit_seconds"},
			"fitted_at": now_datetime(),
			"known_until": purchases.as_date(priors.today or purchases.today()),
			"elasticity": priors.elasticity,
			"priors": pack(priors),
			"current": 1,
		},
	)
	frappe.db.sql("UPDATE `tabReorder Model` SET `current` = 0, `priors` = NULL WHERE `current` = 1")
	doc.insert(ignore_permissions=True)
	old = frappe.get_all(
		MODEL, pluck="name", order_by="fitted_at desc", limit_start=KEEP, limit_page_length=1000
	)
	bulk.delete(MODEL, old)
	return doc.name


# -- what became of earlier forecasts ------------------------------------------------------------------------------------


def resolved(today: int, limit: int = MAX_RESOLVED) -> Iterator[Resolved]:
	"""Earlier forecasts and what is known of them, bought or not; a sample that is the same at every asking.

	Rows are named by chance, so the first ones by name are one.
	"""
	asked, bought = ORDINAL.format("`asked`"), ORDINAL.format("`bought`")
	rows = frappe.db.sql(
		f"SELECT `customer`, `item_code`, `item_group`, {asked}, {bought}, `state` FROM `tabReorder Forecast`"
		" WHERE `asked` < %s ORDER BY `name` LIMIT %s",
		(purchases.as_date(today), limit),
	)
	for customer, item, group, asked_on, bought_on, text in rows:
		try:
			state = PairState.from_dict(json.loads(text))
		except (PurchaseError, ValueError, TypeError):
			continue  # damaged, or of another version: one of thousands
		if state.days:
			yield Resolved(customer, item, group or None, state, asked_on, bought_on, today)


def coverage(today: int) -> float | None:
	"""Per cent of purchases that fell into the range foretold, of forecasts whose range is over; None without.

	Of those bought only: the range is promised for customers who still buy.
	"""
	within, bought = frappe.db.sql(
		"SELECT SUM(`bought` BETWEEN `next_from` AND `next_to`), COUNT(*) FROM `tabReorder Forecast`"
		" WHERE `bought` IS NOT NULL AND `next_to` < %s AND `bought` > `asked`",
		(purchases.as_date(today),),
	)[0]
	return round(100 * float(within or 0) / bought, 2) if bought else None
