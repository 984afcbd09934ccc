"""What can be sold today: asked by forecasts, sending, preview, pages and orders alike."""

from collections.abc import Iterable
from datetime import date

import frappe
from frappe.utils import getdate, nowdate

SOLD = (
	"(i.`disabled` = 0 AND i.`is_sales_item` = 1 AND i.`has_variants` = 0"
	# ERPNext's "never" is 2099-12-31; an empty date is one as well.
	" AND (i.`end_of_life` IS NULL OR i.`end_of_life` < '1000-01-01' OR i.`end_of_life` > %(today)s))"
)
"""SQL over `tabItem` i."""


def sold(items: Iterable[str], today: date | None = None, customer: str | None = None) -> set[str]:
	"""Those of `items` that are there and may be sold `today` (default: the site's day), to `customer` if one is given."""
	codes = tuple(items)
	if not codes:
		return set()
	# nosemgrep: frappe-sql-format-injection -- the condition is a constant
	rows = frappe.db.sql(
		f"SELECT i.`name`, i.`item_group`, i.`brand` FROM `tabItem` i WHERE i.`name` IN %(codes)s AND {SOLD}",
		{"codes": codes, "today": today or getdate(nowdate())},
	)
	limits = _limits_of(customer) if customer else {}
	columns = {"Item": 0, "Item Group": 1, "Brand": 2}
	return {row[0] for row in rows if all(row[columns[kind]] in names for kind, names in limits.items())}


def _limits_of(customer: str) -> dict[str, set[str]]:
	"""What alone ERPNext offers in documents for this customer: its Party Specific Items, by what they name."""
	limits: dict[str, set[str]] = {}
	for row in frappe.get_all(
		"Party Specific Item",
		{"party_type": "Customer", "party": customer},
		["restrict_based_on", "based_on_value"],
		order_by=None,
	):
		limits.setdefault(row.restrict_based_on, set()).add(row.based_on_value)
	return limits


def is_sold(item, today: date | None = None):
	"""As `SOLD`, for the query builder's table Item."""
	today = today or getdate(nowdate())
	ends_never = item.end_of_life.isnull() | (item.end_of_life < "1000-01-01")
	may_be = (item.disabled == 0) & (item.is_sales_item == 1) & (item.has_variants == 0)
	return may_be & (ends_never | (item.end_of_life > today))
