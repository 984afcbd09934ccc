"""What a reminder offered, as far as it holds today, for this customer, with this company, for this order."""

from collections.abc import Iterable

import frappe
from frappe.utils import getdate, nowdate

from crm_recharge.credits.money import exact
from crm_recharge.people import contacts
from crm_recharge.reorder.answers.wishes import QUOTATION, SALES_ORDER

GONE_QUOTATION = ("Lost", "Expired", "Cancelled")


def usable_coupon(
	coupon_code: str | None, customer: str | None = None, company: str | None = None
) -> str | None:
	"""`coupon_code` if it may be used today by `customer` at `company`, and no quotation or order holds it.

	ERPNext counts a use only when a Sales Order is submitted: two open quotations could promise it twice.
	"""
	if not coupon_code or _is_held(coupon_code):
		return None
	coupon = frappe.db.get_value(
		"Coupon Code",
		coupon_code,
		["customer", "valid_from", "valid_upto", "used", "maximum_use", "pricing_rule"],
		as_dict=True,
	)
	if (
		not coupon
		or not _runs(coupon)
		or (coupon.customer and customer and coupon.customer != customer)
		or (coupon.maximum_use and coupon.used >= coupon.maximum_use)
		or not _rule_applies(coupon.pricing_rule, customer, company)
	):
		return None
	return coupon_code


def _is_held(coupon_code: str) -> bool:
	"""Whether an order has it, or a quotation that still holds."""
	if frappe.db.exists(SALES_ORDER, {"coupon_code": coupon_code, "docstatus": ["<", 2]}):
		return True
	return any(
		_stands(QUOTATION, name)
		for name in frappe.get_all(QUOTATION, {"coupon_code": coupon_code}, pluck="name")
	)


def _stands(doctype: str | None, name: str | None) -> bool:
	"""Whether an order or a quotation is there and holds."""
	fields = ["docstatus", "status", *(["valid_till"] if doctype == QUOTATION else [])]
	row = name and frappe.db.get_value(doctype, name, fields, as_dict=True)
	if not row or row.docstatus == 2 or (doctype == QUOTATION and row.status in GONE_QUOTATION):
		return False
	return not row.get("valid_till") or row.valid_till >= getdate(nowdate())


def _rule_applies(pricing_rule: str | None, customer: str | None, company: str | None) -> bool:
	rule = pricing_rule and frappe.db.get_value(
		"Pricing Rule",
		pricing_rule,
		["disable", "selling", "valid_from", "valid_upto", "company", "applicable_for", "customer"],
		as_dict=True,
	)
	return bool(
		rule
		and not rule.disable
		and rule.selling
		and _runs(rule)
		and not (rule.company and company and rule.company != company)
		and not (rule.applicable_for == "Customer" and customer and rule.customer != customer)
	)


def _runs(row) -> bool:
	"""Whether today lies between `valid_from` and `valid_upto`."""
	today = getdate(nowdate())
	return not (row.valid_from and row.valid_from > today) and not (row.valid_upto and row.valid_upto < today)


def open_offer(customer: str, items: Iterable[str], company: str | None) -> dict:
	"""What the customer's latest reminder of one of `items` still offers at `company`: coupon_code, free_shipping,
	offer_ends."""
	message, row = frappe.qb.DocType("Reorder Message"), frappe.qb.DocType("Reorder Message Item")
	rows = (
		frappe.qb.from_(message)
		.join(row)
		.on(row.parent == message.name)
		.select(
			message.name,
			message.coupon_code,
			message.offer_ends,
			message.order_type,
			message.order_name,
			row.free_shipping,
		)
		.where(
			(message.customer == customer)
			& (message.kind == "Reminded")
			& row.item_code.isin(list(items) or [""])
		)
		.where((message.offer_ends >= getdate(nowdate())) & (message.offer_cleared == 0))
		.orderby(message.sent_at, order=frappe.qb.desc)
	).run(as_dict=True)
	rows = [found for found in rows if not _stands(found.order_type, found.order_name)]
	rows = [found for found in rows if found.name == rows[0].name]
	if not rows:
		return {}
	return {
		"coupon_code": usable_coupon(rows[0].coupon_code, customer, company),
		"free_shipping": any(found.free_shipping for found in rows),
		"offer_ends": rows[0].offer_ends,
	}


def discounts(document) -> bool:
	"""Whether the coupon of a priced order takes something off it: its own rules, not a discount of the shop's."""
	if not document.get("coupon_code"):
		return False
	rules = {frappe.db.get_value("Coupon Code", document.coupon_code, "pricing_rule")}
	ours = frappe.db.get_value("Reorder Message", {"coupon_code": document.coupon_code}, "pricing_rules")
	rules |= set((ours or "").split())
	return any(
		rules & set(frappe.parse_json(row.get("pricing_rules") or "[]"))
		and exact(row.price_list_rate) > exact(row.rate)
		for row in document.items
	)


# -- shipping -----------------------------------------------------------------------------------------------


def shipping_rule(company: str | None, address: str | None) -> str | None:
	"""The rule for free shipping of Reorder Settings, if it applies to what `company` sends to `address`.

	Args:
		address: an Address; None where none is known, which ERPNext does not ask about.
	"""
	rule = frappe.get_cached_doc("Reorder Settings").free_shipping_rule
	found = rule and frappe.db.get_value(
		"Shipping Rule", rule, ["disabled", "shipping_rule_type", "company"], as_dict=True
	)
	if not found or found.disabled or found.shipping_rule_type != "Selling":
		return None
	if found.company and found.company != company:
		return None
	countries = frappe.get_all("Shipping Rule Country", {"parent": rule}, pluck="country")
	country = address and frappe.db.get_value("Address", address, "country")
	return None if countries and address and country not in countries else rule


def ships_free_to(customer: str, company: str | None) -> bool:
	"""Whether an order of `customer` at `company` would be sent free, as things stand."""
	billing, shipping = contacts.addresses_of(customer)
	return shipping_rule(company, shipping or billing) is not None


# -- points -------------------------------------------------------------------------------------------------


def program_of(customer: str, company: str | None, day=None):
	"""The customer's Loyalty Program, if it runs on `day` (default: today), is of `company`, and is for such customers.

	Returns:
		name, company (the one given, where the programme is of all), tier, expiry_duration; or None.
	"""
	who = frappe.db.get_value(
		"Customer",
		customer,
		["loyalty_program", "loyalty_program_tier", "customer_group", "territory"],
		as_dict=True,
	)
	program = (
		who
		and who.loyalty_program
		and frappe.db.get_value(
			"Loyalty Program",
			who.loyalty_program,
			[
				"name",
				"company",
				"from_date",
				"to_date",
				"expiry_duration",
				"customer_group",
				"customer_territory",
			],
			as_dict=True,
		)
	)
	day = getdate(day or nowdate())
	if (
		not program
		or (program.company and company and program.company != company)
		or (program.from_date and program.from_date > day)
		or (program.to_date and program.to_date < day)
		or not _within("Customer Group", who.customer_group, program.customer_group)
		or not _within("Territory", who.territory, program.customer_territory)
	):
		return None
	program.company = program.company or company
	program.tier = who.loyalty_program_tier
	return program


def _within(doctype: str, name: str | None, group: str | None) -> bool:
	"""Whether `name` is `group` or below it; everything is below none."""
	if not group or name == group:
		return True
	bounds = frappe.db.get_value(doctype, group, ["lft", "rgt"])
	own = name and frappe.db.get_value(doctype, name, "lft")
	return bool(bounds and own and bounds[0] <= own <= bounds[1])
