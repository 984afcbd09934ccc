"""What a wish costs: ERPNext's own prices, coupon, taxes and shipping, as they apply to this customer today."""

import frappe
from erpnext.stock.get_item_details import get_price_list_rate_for
from frappe import _
from frappe.utils import add_days, cint, getdate, nowdate

from crm_recharge.credits.money import exact
from crm_recharge.people import contacts
from crm_recharge.reorder import catalogue, timeline
from crm_recharge.reorder.answers import offers
from crm_recharge.reorder.answers.system import as_sentence, by_the_system
from crm_recharge.reorder.answers.wishes import (
	QUOTATION,
	SALES_ORDER,
	Line,
	NotOrderedError,
	Priced,
	Wish,
	kind_of_document,
)

QUOTATION_DAYS = 30
"""How long a quotation holds when CRM Settings does not say."""


def price(wish: Wish) -> Priced:
	"""`wish` with ERPNext's prices, coupon, taxes and shipping; nothing is written.

	Items that cannot be sold now are left out, each with a sentence. Raises NotOrderedError when the customer may
	not order, or ERPNext refuses as a whole.
	"""
	_refuse_customer(wish)
	sold = catalogue.sold([line.item_code for line in wish.lines], customer=wish.customer)
	lines = [line for line in wish.lines if line.item_code in sold]
	left_out = {line.item_code: _("Not sold any more.") for line in wish.lines if line.item_code not in sold}
	with by_the_system(), as_sentence(wish):
		document = _draft(wish, lines)
		unpriced = {row.item_code for row in document.items if _has_no_price(document, row)}
		if unpriced:
			document = _draft(wish, [line for line in lines if line.item_code not in unpriced])
	left_out |= {item: _("We have no price for it at the moment.") for item in unpriced}
	return Priced(document, left_out)


def _refuse_customer(wish: Wish) -> None:
	row = frappe.db.get_value("Customer", wish.customer, ["disabled", "is_frozen"], as_dict=True)
	with timeline.speaking():
		if not row or row.disabled or row.is_frozen:
			state = _("disabled") if row and row.disabled else _("frozen") if row else _("gone")
			raise NotOrderedError(_("Customer {0} is {1}.").format(wish.customer, state))
		if not wish.company:
			raise NotOrderedError(_("No company: set it in Reorder Settings."))


# -- the document -------------------------------------------------------------------------------------------


def _draft(wish: Wish, lines: list[Line]):
	document = _head(wish)
	for line in lines:
		row = {"item_code": line.item_code, "qty": float(line.quantity), "uom": line.uom}
		if document.doctype == SALES_ORDER:
			row["delivery_date"] = document.delivery_date
		document.append("items", row)
	contacts.put_on(document, wish.customer, wish.contact)
	document.flags.ignore_permissions = True
	# ERPNext gives the company's tax template to new documents only.
	document.set("__islocal", 1)
	if not lines:
		return document
	document.set_missing_values()
	if wish.free_shipping:
		address = document.get("shipping_address_name")
		document.shipping_rule = offers.shipping_rule(wish.company, address)
	document.set_taxes()
	document.calculate_taxes_and_totals()
	return document


def _head(wish: Wish):
	kind = kind_of_document()
	currency = frappe.db.get_value("Customer", wish.customer, "default_currency")
	document = frappe.get_doc(
		{
			"doctype": kind,
			"company": wish.company,
			"transaction_date": nowdate(),
			# Not "Shopping Cart": a web shop takes an open quotation of that type for the visitor's basket.
			"order_type": "Sales",
			"currency": currency or frappe.get_cached_value("Company", wish.company, "default_currency"),
			"selling_price_list": _price_list(wish.customer),
			"coupon_code": wish.coupon_code,
			"ignore_pricing_rule": 0,
		}
	)
	if kind == QUOTATION:
		document.update({"quotation_to": "Customer", "party_name": wish.customer})
		until = getdate(add_days(nowdate(), _quotation_days()))
		document.valid_till = min(until, getdate(wish.offer_ends)) if wish.offer_ends else until
	else:
		document.customer = wish.customer
		days = cint(frappe.get_cached_doc("Reorder Settings").delivery_days)
		document.delivery_date = add_days(nowdate(), max(days, 0))
	return document


def _quotation_days() -> int:
	"""How long quotations hold, as ERPNext's own forms have it: CRM Settings."""
	field = "default_valid_till"
	known = frappe.get_meta("CRM Settings").has_field(field)
	return (cint(frappe.db.get_single_value("CRM Settings", field)) if known else 0) or QUOTATION_DAYS


# -- prices -------------------------------------------------------------------------------------------------


def _price_list(customer: str) -> str | None:
	"""The customer's or its group's price list, else the one of Selling Settings: the first that is for selling."""
	row = frappe.db.get_value("Customer", customer, ["default_price_list", "customer_group"], as_dict=True)
	candidates = (
		row.default_price_list,
		row.customer_group
		and frappe.get_cached_value("Customer Group", row.customer_group, "default_price_list"),
		frappe.db.get_single_value("Selling Settings", "selling_price_list"),
	)
	for name in candidates:
		if name and frappe.db.get_value("Price List", {"name": name, "enabled": 1, "selling": 1}):
			return name
	return None


def _has_no_price(document, row) -> bool:
	"""Whether nothing says what the row costs: ERPNext then asks for nothing. Free on purpose is a price as well."""
	if exact(row.price_list_rate) > 0 or exact(row.rate) > 0 or row.is_free_item:
		return False
	return not _is_free_by_rule(document, row) and not _is_free_by_price(document, row)


def _is_free_by_rule(document, row) -> bool:
	"""Whether a Pricing Rule that ERPNext has applied says that the row costs nothing.

	A discount on no price is none. Nor is a price in another currency or something given beside: ERPNext names such
	rules as applied, too, and leaves the row without a price.
	"""
	applied = frappe.parse_json(row.get("pricing_rules") or "[]")
	free = {"price_or_product_discount": "Price", "rate_or_discount": "Rate", "rate": 0}
	here = {"name": ["in", applied], "currency": document.currency}
	return bool(applied and frappe.db.exists("Pricing Rule", free | here))


def _is_free_by_price(document, row) -> bool:
	"""Whether an Item Price of zero holds for this customer today, as ERPNext itself looks for one."""
	template = frappe.get_cached_value("Item", row.item_code, "variant_of")
	asked = frappe._dict(
		price_list=document.selling_price_list,
		customer=document.get("customer") or document.get("party_name"),
		uom=row.uom,
		stock_uom=row.stock_uom,
		conversion_factor=row.conversion_factor,
		qty=row.qty,
		transaction_date=document.transaction_date,
	)
	return any(get_price_list_rate_for(asked, item) is not None for item in (row.item_code, template) if item)
