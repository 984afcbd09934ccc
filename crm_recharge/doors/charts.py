"""Charts over records of the app, counted for whoever looks.

Frappe keeps what a chart shows under the chart's name and gives it to everybody who comes next, and counts the days of
a heatmap over all records there are. For DocTypes of the app its own method is asked here (hooks.py,
`override_whitelisted_methods`): nothing is kept, and a heatmap is for those from whom no record is.
"""

import inspect

import frappe
from frappe import _
from frappe.desk.doctype.dashboard_chart import dashboard_chart

from crm_recharge.domain.inputs import Anything, list_or_object
from crm_recharge.doors import records, sight
from crm_recharge.intake import intake


@frappe.whitelist(methods=["GET", "POST"])
@intake
def get(
	chart_name: str | None = None,
	chart: Anything = None,
	no_cache: Anything = None,
	filters: Anything = None,
	from_date: Anything = None,
	to_date: Anything = None,
	timespan: Anything = None,
	time_interval: Anything = None,
	heatmap_year: Anything = None,
	refresh: Anything = None,
):
	"""Frappe's `dashboard_chart.get`. Errors besides Frappe's: 403 for a heatmap of records that are kept from the caller
	in part."""
	asked = {
		"chart_name": chart_name,
		"chart": chart,
		"filters": filters,
		"from_date": from_date,
		"to_date": to_date,
		"timespan": timespan,
		"time_interval": time_interval,
		"heatmap_year": heatmap_year,
	}
	# What a browser leaves open comes as empty text, for which Frappe's own way in has another place.
	asked = {name: None if value == "" else value for name, value in asked.items()}
	doc = frappe.get_doc("Dashboard Chart", chart_name) if chart_name else _sent(chart)
	if doc.get("document_type") not in records.declared():
		return _made_of(dashboard_chart.get, **asked, no_cache=no_cache, refresh=refresh)
	if doc.get("chart_type") != "Group By" and doc.get("type") == "Heatmap":
		_check_all(doc.document_type)
	return _made_of(inspect.unwrap(dashboard_chart.get), **asked)


def _made_of(function, **asked):
	"""What Frappe makes of a request; it looks at nothing of it before."""
	try:
		return function(**asked)
	except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
		frappe.throw(_("No chart can be made of this. Look at its settings and filters."))


def _sent(chart) -> frappe._dict:
	found = list_or_object(chart or {}, "chart")
	return frappe._dict(found if isinstance(found, dict) else {})


def _check_all(doctype: str) -> None:
	if sight.rows_of(doctype):
		frappe.throw(
			_(
				"A heatmap counts all records of {0}, and some are kept from you. Choose another chart."
			).format(_(doctype)),
			frappe.PermissionError,
			title=_("Not permitted"),
		)
