"""What the pages show of items, baskets and orders: texts ready to read, in the visitor's language."""

from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import date_diff, nowdate, strip_html

from crm_recharge.credits.money import exact, money
from crm_recharge.domain.money import plain
from crm_recharge.reorder import words
from crm_recharge.reorder.answers import offers, orders, payment
from crm_recharge.reorder.answers.orders import Line, Priced, Wish


def items(message) -> list[dict]:
	"""The items of a Reorder Message: row, item_code, name, image, days since the last purchase."""
	facts = item_facts([row.item_code for row in message.items])
	return [
		{
			"row": row.name,
			"item_code": row.item_code,
			"name": facts.get(row.item_code, {}).get("item_name") or row.item_name or row.item_code,
			"image": facts.get(row.item_code, {}).get("image"),
			"bought": _bought(date_diff(nowdate(), row.last_day)) if row.last_day else None,
		}
		for row in message.items
	]


def _bought(days: int) -> str:
	"""When an item was bought last."""
	if days < 1:
		return _("Last bought today")
	return _("Last bought yesterday") if days == 1 else _("Last bought {0} ago").format(words.days(days))


def item_facts(item_codes: list[str]) -> dict[str, dict]:
	"""item → item_name, stock_uom, image (public ones only)."""
	rows = frappe.get_all(
		"Item", {"name": ["in", item_codes or [""]]}, ["name", "item_name", "image", "stock_uom"]
	)
	return {row.name: {**row, "image": public(row.image)} for row in rows}


def public(image: str | None) -> str | None:
	"""`image` if anybody may see it."""
	return image if image and image.startswith(("/files/", "/assets/", "https://")) else None


def basket(wish: Wish, lines: dict[str, Line], priced: Priced) -> dict:
	"""What is about to be ordered. `lines`: Reorder Message Item → line, also those with quantity 0."""
	document = priced.document
	currency = document.currency
	by_item = {row.item_code: row for row in document.items if not row.is_free_item}
	facts = item_facts([line.item_code for line in lines.values()])
	rows = []
	for name, line in lines.items():
		row, why = by_item.get(line.item_code), priced.left_out.get(line.item_code)
		rows.append(
			{
				"row": name,
				"name": facts.get(line.item_code, {}).get("item_name") or line.item_code,
				"image": facts.get(line.item_code, {}).get("image"),
				"quantity": "0" if why else plain(line.quantity),
				"uom": words.unit(line.uom),
				"step": "1" if orders.must_be_whole(line.uom) else "any",
				"left_out": why,
				**(
					_row_prices(row, currency) if row else {"price": "", "shown": "", "was": "", "amount": ""}
				),
			}
		)
	return {
		"rows": rows,
		"free": [f"{words.number(row.qty)} × {row.item_name}" for row in document.items if row.is_free_item],
		"orderable": bool(by_item),
		"ships": address(document),
		"kind": document.doctype,
		"offer": _offer(wish, document),
		**(totals(document) if by_item else {"charges": [], "total": None}),
	}


def unit_prices(priced: Priced, lines: dict[str, Line]) -> dict[str, str]:
	"""Reorder Message Item → unit price, as `basket` gives it in `price`."""
	by_item = {row.item_code: _price(row) for row in priced.document.items if not row.is_free_item}
	return {name: by_item[line.item_code] for name, line in lines.items() if line.item_code in by_item}


def _price(row) -> str:
	return plain(exact(row.rate))


def _row_prices(row, currency: str) -> dict:
	before = exact(row.price_list_rate)
	return {
		"price": _price(row),
		"shown": money(row.rate, currency),
		"was": money(before, currency) if before > exact(row.rate) else "",
		"amount": money(row.amount, currency),
	}


def _offer(wish: Wish, document) -> str | None:
	"""What the offer gives on this order, in words."""
	parts = []
	if offers.discounts(document):
		parts.append(_("Your discount has been applied."))
	if document.get("shipping_rule") and wish.free_shipping:
		parts.append(_("Free shipping."))
	if parts and wish.offer_ends:
		parts.append(_("Until {0}.").format(words.day(wish.offer_ends)))
	return " ".join(parts) or None


def totals(document) -> dict:
	"""net, charges [(label, amount)], total: of an order with its taxes."""
	currency = document.currency
	charges = [
		(
			strip_html(row.description or row.account_head),
			money(row.tax_amount_after_discount_amount, currency),
		)
		for row in document.get("taxes") or []
		if exact(row.tax_amount_after_discount_amount) and not row.included_in_print_rate
	]
	included = any(row.included_in_print_rate for row in document.get("taxes") or [])
	return {
		"net": money(document.total, currency) if charges else None,
		"charges": charges,
		"included": included,
		"discount": money(document.discount_amount, currency) if exact(document.discount_amount) else None,
		"total": money(document.rounded_total or document.grand_total, currency),
	}


def address(document) -> str | None:
	"""Where it goes to, a line each; from ERPNext's own address template."""
	shown = document.get("shipping_address") or document.get("address_display")
	if not shown:
		return None
	lines = shown.replace("<br>", "\n").replace("<br/>", "\n").replace("<br />", "\n")
	shown = (line.strip().rstrip(",") for line in strip_html(lines).split("\n"))
	return "\n".join(line for line in shown if line)


def order(doctype: str, name: str) -> dict:
	"""An order that was made: number, state, items, total, where it is paid. `gone` when it was deleted since."""
	if not frappe.db.exists(doctype, name):
		return {"gone": True, "cancelled": True, "name": name}
	document = frappe.get_doc(doctype, name)
	return {
		"gone": False,
		"kind": doctype,
		"title": _("Quotation") if doctype == orders.QUOTATION else _("Order"),
		"name": name,
		"cancelled": document.docstatus == 2,
		"items": [
			{
				"name": row.item_name,
				"quantity": f"{words.number(row.qty)} {words.unit(row.uom)}"
				if words.unit(row.uom)
				else f"× {words.number(row.qty)}",
				"amount": money(row.amount, document.currency),
			}
			for row in document.items
		],
		"ships": address(document),
		"delivery": words.day(document.delivery_date) if document.get("delivery_date") else None,
		"valid_till": words.day(document.valid_till) if document.get("valid_till") else None,
		"pay": payment.address_of(doctype, name)
		if document.docstatus == 1 and document.get("status") != "Closed"
		else None,
		**totals(document),
	}


def quantity_of(value) -> Decimal:
	"""A quantity that a person typed; a comma is taken for the point. Raises ValueError."""
	text = str(value or "0").strip().replace(",", ".")
	if len(text) > 20:
		raise ValueError(text)
	try:
		found = Decimal(text)
	except ArithmeticError:
		raise ValueError(text) from None
	if not found.is_finite() or found < 0 or abs(found.as_tuple().exponent) > 9:
		raise ValueError(text)
	return found
