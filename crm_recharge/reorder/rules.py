"""Which Reorder Rule holds for an item: the most specific one that is enabled wins, whole.

Item, then its template, brand, the nearest item group upwards, all items. Where none holds, Reorder Settings do.
"""

from dataclasses import dataclass
from decimal import Decimal

import frappe
from frappe.utils import cint
from frappe.utils.nestedset import get_descendants_of
from pypika.terms import Criterion

from crm_recharge import transactions
from crm_recharge.credits.money import exact
from crm_recharge.domain.reorder.due import Timing

BY_AGE = "Age of the item"
EMAIL, SALES_TEAM, BOTH = "Email", "Sales Team", "Email and Sales Team"

FIELDS = (
	"name",
	"applies_to",
	"item_code",
	"item_group",
	"brand",
	"remind",
	"channel",
	"timing",
	"default_interval",
	"minimum_interval",
	"maximum_interval",
	"age_days",
	"lead_time",
	"own_elasticity",
	"elasticity",
	"pause_out_of_stock",
	"warehouse",
	"discount_percent",
	"free_shipping",
	"loyalty_bonus",
	"offer_days",
	"email_template",
	"email_account",
	"sender_name",
)


@dataclass(frozen=True, slots=True)
class Rule:
	"""What holds for an item. `name` is None where no Reorder Rule does. Days; percent as Decimal; 0 is no limit."""

	name: str | None = None
	remind: bool = True
	channel: str = EMAIL
	timing: str = "Learned rhythm"
	default_interval: int | None = None
	minimum_interval: int = 0
	maximum_interval: int = 0
	age_days: int = 0
	lead_time: int = 0
	elasticity: float | None = None
	pause_out_of_stock: bool = True
	warehouse: str | None = None
	discount_percent: Decimal = Decimal(0)
	free_shipping: bool = False
	loyalty_bonus: int = 0
	offer_days: int = 0
	email_template: str | None = None
	email_account: str | None = None
	sender_name: str | None = None

	@property
	def by_age(self) -> bool:
		"""Whether the age of the item decides, not the rhythm."""
		return self.timing == BY_AGE

	@property
	def for_domain(self) -> Timing:
		"""What `domain.reorder.due` needs to know."""
		return Timing(
			lead_time=self.lead_time,
			minimum=self.minimum_interval,
			maximum=self.maximum_interval,
			by_age=self.by_age,
			age=self.age_days,
		)


def of_items(item_codes) -> dict[str, Rule]:
	"""The rule of each item; five queries at most, however many items. Unknown items get what no rule covers."""
	codes = list(dict.fromkeys(code for code in item_codes if code))
	if not codes:
		return {}
	without = _without_rule()
	rows = frappe.get_all("Reorder Rule", {"enabled": 1}, list(FIELDS), order_by=None)
	if not rows:
		return dict.fromkeys(codes, without)
	scopes = {(row.applies_to, _subject(row)): _rule(row) for row in rows}
	items = _items(codes)
	lineage = _lineage({group for kind, group in scopes if kind == "Item Group"})
	found = {}
	for code in codes:
		item = items.get(code)
		found[code] = next(
			(scopes[scope] for scope in _narrowing(code, item, lineage) if scope in scopes), without
		)
	return found


def one(name: str) -> Rule:
	"""What this Reorder Rule says, enabled or not."""
	return _rule(frappe.db.get_value("Reorder Rule", name, list(FIELDS), as_dict=True))


def scope_of(row) -> list:
	"""[applies_to, subject] of a Reorder Rule."""
	return [row.applies_to, _subject(row)]


def of_item(item_code: str) -> Rule:
	"""The rule of one item."""
	return of_items([item_code])[item_code]


def _subject(row) -> str | None:
	field = {"Item": "item_code", "Item Group": "item_group", "Brand": "brand"}.get(row.applies_to)
	return row.get(field) if field else None


def _narrowing(code: str, item, lineage: dict[str, list[str]]):
	"""The scopes that may hold for an item, the most specific first."""
	yield "Item", code
	if item:
		if item.variant_of:
			yield "Item", item.variant_of
		if item.brand:
			yield "Brand", item.brand
		for group in lineage.get(item.item_group, ()):
			yield "Item Group", group
	yield "All Items", None


def _items(codes: list[str]) -> dict:
	rows = frappe.get_all(
		"Item", {"name": ["in", codes]}, ["name", "variant_of", "brand", "item_group"], order_by=None
	)
	return {row.name: row for row in rows}


def _lineage(ruled: set[str]) -> dict[str, list[str]]:
	"""For every item group, the ones of `ruled` above it, itself included, the nearest first."""
	if not ruled:
		return {}
	rows = frappe.get_all("Item Group", fields=["name", "lft", "rgt"], order_by=None)
	# The nearest ancestor is the one that begins last.
	above = sorted((row for row in rows if row.name in ruled), key=lambda row: -row.lft)
	return {
		row.name: [group.name for group in above if group.lft <= row.lft and group.rgt >= row.rgt]
		for row in rows
	}


def _rule(row) -> Rule:
	by_age = row.timing == BY_AGE
	return Rule(
		name=row.name,
		remind=bool(row.remind),
		channel=row.channel or EMAIL,
		timing=row.timing,
		default_interval=None if by_age else cint(row.default_interval) or None,
		minimum_interval=0 if by_age else cint(row.minimum_interval),
		maximum_interval=0 if by_age else cint(row.maximum_interval),
		age_days=cint(row.age_days) if by_age else 0,
		lead_time=cint(row.lead_time),
		elasticity=float(row.elasticity or 0) if row.own_elasticity else None,
		pause_out_of_stock=bool(row.pause_out_of_stock),
		warehouse=row.warehouse or None,
		discount_percent=exact(row.discount_percent),
		free_shipping=bool(row.free_shipping),
		loyalty_bonus=cint(row.loyalty_bonus),
		offer_days=cint(row.offer_days),
		email_template=row.email_template or None,
		email_account=row.email_account or None,
		sender_name=row.sender_name or None,
	)


def _without_rule() -> Rule:
	settings = frappe.get_cached_doc("Reorder Settings")
	return Rule(remind=bool(cint(settings.without_rule)), lead_time=cint(settings.default_lead_time))


# -- when a rule changes -----------------------------------------------------------------------------------


def forecast_anew(scopes: list[list], after: str = "") -> None:
	"""Background job: forecast the pairs anew whose items lie in any of `scopes`.

	One customer a commit; a failure is logged and does not stop the others. The nightly run does the same for
	all, should this job die.

	Args:
		scopes: [applies_to, item, item group or brand] each.
		after: only customers after this one.
	"""
	from crm_recharge.reorder.learning import pairs

	while found := _customers_with(scopes, after):
		for customer, items in found.items():
			try:
				pairs.refresh(customer, items)
				transactions.commit()
			except Exception:
				frappe.db.rollback()
				frappe.log_error(
					title=f"Reorder forecasts of {customer} could not follow a changed rule",
					reference_doctype="Customer",
					reference_name=customer,
				)
				transactions.commit()
		after = max(found)


PAGE = 200


def _customers_with(scopes: list[list], after: str) -> dict[str, list[str]]:
	"""The next customers in order of name, each with their items in the scopes."""
	reminder, item = frappe.qb.DocType("Reorder Reminder"), frappe.qb.DocType("Item")
	within = in_scopes(item, scopes)
	base = frappe.qb.from_(reminder).join(item).on(item.name == reminder.item_code).where(within)
	customers = (
		base.select(reminder.customer)
		.distinct()
		.where(reminder.customer > after)
		.orderby(reminder.customer)
		.limit(PAGE)
	).run(pluck=True)
	if not customers:
		return {}
	found = {customer: [] for customer in customers}
	rows = base.select(reminder.customer, reminder.item_code).where(reminder.customer.isin(customers)).run()
	for customer, code in rows:
		found[customer].append(code)
	return found


def in_scopes(item, scopes: list[list]):
	"""A condition on the table Item: within any of these [applies_to, subject]."""
	conditions = []
	for applies_to, subject in scopes:
		if applies_to == "Item":
			conditions.append((item.name == subject) | (item.variant_of == subject))
		elif applies_to == "Brand":
			conditions.append(item.brand == subject)
		elif applies_to == "Item Group":
			conditions.append(item.item_group.isin([subject, *_descendants(subject)]))
		else:
			conditions.append(item.name.isnotnull())
	return Criterion.any(conditions)


def _descendants(group: str) -> list[str]:
	return get_descendants_of("Item Group", group, ignore_permissions=True)
