"""A reminder's offer: a Coupon Code and Pricing Rules for that customer and those items, once, until it ends.

A Coupon Code has one Pricing Rule, and a Pricing Rule one percentage. Where a mail offers several, the first one
hangs on the coupon and each further one on a condition that names it. Each of them has that condition: without it
ERPNext would let the rule, coupon or not, take the place of the shop's own rules for the item.
"""

import json
import secrets
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import cint, getdate, now_datetime

from crm_recharge import transactions
from crm_recharge.contention import is_contention
from crm_recharge.credits.money import exact
from crm_recharge.doors.guard import by_machine
from crm_recharge.reorder import words

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Nothing that is mistaken for something else when it is read out."""
LENGTH = 12
"""60 bits: not guessed."""
PRIORITY = "20"
"""ERPNext's highest: what was promised by mail holds."""
PAGE = 200


def make(message, company: str | None, today: date, days: int) -> None:
	"""Make the offer of `message` (a Reorder Message, not yet inserted) and note it there.

	Its items' `discount_percent` and `free_shipping` say what is offered; what an item's Max Discount does not
	allow is taken down to it. Ends `days` from today. Without an offer nothing is made.
	"""
	shares = limited(message)
	if not shares and not any(row.free_shipping for row in message.items):
		return
	message.offer_ends = today + timedelta(days=max(days, 1))
	if not shares:
		return
	currency = frappe.get_cached_value("Company", company, "default_currency") if company else None
	if not currency:
		frappe.throw(_("An offer needs a company: set one in Reorder Settings."))
	code = _new_code()
	first, *others = sorted(shares, reverse=True)
	names = [
		_pricing_rule(message, company, currency, code, share, shares[share], today, by_coupon=share == first)
		for share in (first, *others)
	]
	coupon = frappe.get_doc(
		{
			"doctype": "Coupon Code",
			"coupon_name": code,
			"coupon_code": code,
			"coupon_type": "Promotional",
			"customer": message.customer,
			"pricing_rule": names[0],
			"valid_from": today,
			"valid_upto": message.offer_ends,
			"maximum_use": 1,
		}
	).insert(ignore_permissions=True)
	message.coupon_code = coupon.name
	message.pricing_rules = "\n".join(names)


def limited(message) -> dict[Decimal, list[str]]:
	"""Percentage → items; writes on each row what is really given: no more than the item's Max Discount."""
	limits = dict(
		frappe.get_all(
			"Item",
			{"name": ["in", [row.item_code for row in message.items]], "max_discount": [">", 0]},
			["name", "max_discount"],
			as_list=True,
			order_by=None,
		)
	)
	shares = defaultdict(list)
	for row in message.items:
		share = exact(row.discount_percent)
		if row.item_code in limits:
			share = min(share, exact(limits[row.item_code]))
		row.discount_percent = float(share)
		if share > 0:
			shares[share].append(row.item_code)
	return shares


def _new_code() -> str:
	return "".join(secrets.choice(ALPHABET) for _letter in range(LENGTH))


def _pricing_rule(message, company, currency, code, share, items, today, by_coupon) -> str:
	rule = frappe.get_doc(
		{
			"doctype": "Pricing Rule",
			"title": _("Reminder for {0}").format(message.customer_name or message.customer)[:140],
			"apply_on": "Item Code",
			"items": [{"item_code": item} for item in items],
			"price_or_product_discount": "Price",
			"rate_or_discount": "Discount Percentage",
			"discount_percentage": float(share),
			"selling": 1,
			"applicable_for": "Customer",
			"customer": message.customer,
			"company": company,
			"currency": currency,
			"coupon_code_based": int(by_coupon),
			"condition": f'coupon_code == "{code}"',
			"has_priority": 1,
			"priority": PRIORITY,
			"valid_from": today,
			"valid_upto": message.offer_ends,
			"rule_description": _("{0} % with coupon {1}, sent with a reminder").format(
				words.number(share), code
			),
		}
	)
	return rule.insert(ignore_permissions=True).name


def keep_price(doc, method: str | None = None) -> None:
	"""Before a document with one of our coupons is submitted: it is the customer's own, and its prices are agreed from
	here on.

	ERPNext looks for pricing rules anew on each document made from it. By then the offer may be over, or used: without
	this an invoice would ask for the full price, and a till's closing would sum up the sale as nothing.
	"""
	owner = _promised_to(doc.get("coupon_code"))
	if not owner:
		return
	if (doc.get("customer") or doc.get("party_name")) != owner:
		# ERPNext would give no discount, but count the coupon as used.
		frappe.throw(
			_("Coupon {0} was made for another customer. Take it out of this document.").format(
				doc.coupon_code
			)
		)
	doc.ignore_pricing_rule = 1
	for row in doc.items:
		# With this empty the discount of the row is one like any that was typed in, and stays.
		row.pricing_rules = None


def count_once(doc, method: str | None = None) -> None:
	"""Before an invoice is validated: one of our coupons is not asked for again where what it is made from used it.

	ERPNext 16 copies an order's coupon onto its invoices, and a sale's onto its return and onto what a till's closing
	sums up, where it would be refused as used up. As in ERPNext 15, they have the agreed prices and no coupon.
	"""
	if doc.get("coupon_code") and _was_counted(doc) and _promised_to(doc.coupon_code):
		doc.coupon_code = None
		doc.ignore_pricing_rule = 1


def _was_counted(invoice) -> bool:
	if invoice.get("is_return") or invoice.get("is_consolidated"):
		return True
	orders = {row.get("sales_order") for row in invoice.items} - {None, ""}
	return any(
		frappe.db.get_value("Sales Order", order, "coupon_code") == invoice.coupon_code for order in orders
	)


def _promised_to(coupon: str | None) -> str | None:
	"""The customer whom a reminder sent this coupon; None where it is none of ours."""
	return coupon and frappe.db.get_value("Reorder Message", {"coupon_code": coupon}, "customer")


# -- afterwards --------------------------------------------------------------------------------------------


def clean_up() -> dict:
	"""Daily: put away the offers that are over or used. Returns how many, and the problems.

	Their Pricing Rules are deleted, or disabled where a document used them; so are coupons nobody used. Documents
	that used an offer keep their prices and their links. One that fails does not stop the others; a Reorder Run
	tells what was done.
	"""
	started, today, after = now_datetime(), getdate(now_datetime()), ""
	cleared, problems = 0, []
	while names := _over(today, after):
		for name in names:
			after = name
			try:
				put_away(name)
				transactions.commit()
				cleared += 1
			except Exception as error:
				frappe.db.rollback()
				problems.append(f"{name}: {error}")
				if not is_contention(error):
					frappe.log_error(
						title=f"Offer of reminder {name} could not be put away",
						reference_doctype="Reorder Message",
						reference_name=name,
					)
					transactions.commit()
	if cleared or problems:
		_record(started, cleared, problems)
	return {"cleared": cleared, "problems": problems}


def _record(started, cleared: int, problems: list[str]) -> None:
	run = frappe.get_doc(
		{
			"doctype": "Reorder Run",
			"kind": "Clean-up",
			"status": "Done with Problems" if problems else "Done",
			"progress": 100,
			"started_at": started,
			"ended_at": now_datetime(),
			"heartbeat_at": now_datetime(),
			"total": cleared + len(problems),
			"done": cleared,
			"summary": words.counted(cleared, _("1 offer put away."), _("{0} offers put away.")),
			"figures": json.dumps({"cleared": cleared, "problems": len(problems)}),
			"problems": "\n".join(problems[:200]) or None,
		}
	)
	by_machine(run).insert(ignore_permissions=True)
	transactions.commit()


def _over(today: date, after: str) -> list[str]:
	message, coupon = frappe.qb.DocType("Reorder Message"), frappe.qb.DocType("Coupon Code")
	used = (coupon.maximum_use > 0) & (coupon.used >= coupon.maximum_use)
	return (
		frappe.qb.from_(message)
		.left_join(coupon)
		.on(coupon.name == message.coupon_code)
		.select(message.name)
		.where((message.offer_cleared == 0) & message.offer_ends.isnotnull() & (message.name > after))
		.where((message.offer_ends < today) | used)
		.orderby(message.name)
		.limit(PAGE)
	).run(pluck=True)


def put_away(message: str) -> None:
	"""Take one reminder's offer back, in the caller's transaction."""
	row = frappe.db.get_value(
		"Reorder Message",
		message,
		["coupon_code", "pricing_rules", "offer_cleared"],
		as_dict=True,
		for_update=True,
	)
	if not row or row.offer_cleared:
		return
	values = {"offer_cleared": 1}
	coupon = row.coupon_code
	if coupon and frappe.db.exists("Coupon Code", coupon):
		if not cint(frappe.db.get_value("Coupon Code", coupon, "used")):
			# The reminder's own link must not hold it.
			frappe.db.set_value("Reorder Message", message, "coupon_code", None, update_modified=False)
			if _deleted("Coupon Code", coupon):
				values["coupon_code"] = None
			else:
				values["coupon_code"] = coupon
	for name in (row.pricing_rules or "").split():
		if frappe.db.exists("Pricing Rule", name) and not _deleted("Pricing Rule", name):
			frappe.db.set_value("Pricing Rule", name, "disable", 1)
			frappe.clear_document_cache("Pricing Rule", name)
	frappe.db.set_value("Reorder Message", message, values, update_modified=False)


def _deleted(doctype: str, name: str) -> bool:
	"""Delete it unless something refers to it."""
	frappe.db.savepoint("crm_recharge_put_away")
	try:
		frappe.delete_doc(doctype, name, ignore_permissions=True, delete_permanently=True)
		return True
	except frappe.LinkExistsError:
		frappe.db.rollback(save_point="crm_recharge_put_away")
		frappe.clear_messages()
		return False
