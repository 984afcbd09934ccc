"""A customer's reorder as a Quotation or Sales Order: ERPNext's own prices, taxes, addresses, coupon.

Whoever calls has proved who is asking: by the signed token of a reminder, or by the customer's own login. Nothing
here looks at the session's permissions; documents are made by the system and say what made them.
"""

import hashlib
import json
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import add_days, cint, escape_html, getdate, nowdate, strip_html
from frappe.utils.data import get_url_to_form

from crm_recharge.credits.contention import is_contention
from crm_recharge.credits.errors import IdempotencyConflictError, InvalidRequestError, refuse
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import plain
from crm_recharge.people import contacts
from crm_recharge.reorder import sales_team, timeline
from crm_recharge.reorder.answers.fields import CONTENT, KEY

QUOTATION, SALES_ORDER = "Quotation", "Sales Order"
KINDS = (QUOTATION, SALES_ORDER)

MOST = Decimal(10_000)
"""So much of one item a customer may order by a click, or a hundred times the last order; more is a slip."""

QUOTATION_DAYS = 30
"""How long a quotation holds when CRM Settings does not say."""


@dataclass(frozen=True)
class Line:
	"""So much of an item, in `uom` (empty: its stock unit)."""

	item_code: str
	quantity: Decimal
	uom: str | None = None


@dataclass(frozen=True)
class Wish:
	"""What a customer wants. `coupon_code` and `free_shipping` are offers that still hold.

	It was asked for by the link in the Reorder Message `message`, or by the user `owner`, whose the document is then.
	"""

	customer: str
	company: str
	lines: tuple[Line, ...]
	contact: str | None = None
	coupon_code: str | None = None
	free_shipping: bool = False
	offer_ends: object = None
	message: str | None = None
	owner: str | None = None


@dataclass(frozen=True)
class Placed:
	"""An order that was made. `repeated`: by an earlier request with the same key."""

	doctype: str
	name: str
	repeated: bool = False


@dataclass
class Priced:
	"""`document`, unsaved, with prices and taxes; `left_out`: item → sentence why it cannot be ordered now."""

	document: object
	left_out: dict[str, str] = field(default_factory=dict)


class NotOrderedError(frappe.ValidationError):
	"""Nothing was ordered. As text it is a kind sentence for the customer; `reason` is for the company."""

	http_status_code = 422

	def __init__(self, reason: str):
		self.reason = reason
		super().__init__(reason)

	def __str__(self) -> str:
		# Worded when it is read, in the reader's language.
		return _(
			"We could not take your order just now. Nothing was ordered; our team has been told and will be in touch."
		)


# -- what a customer usually buys ---------------------------------------------------------------------------


def company_for(customer: str, company: str | None = None) -> str | None:
	"""The company that sells to `customer`: the one given, Reorder Settings', that of the last invoice, the default."""
	if company := company or frappe.get_cached_doc("Reorder Settings").company:
		return company
	last = frappe.get_all(
		"Sales Invoice",
		{"customer": customer, "docstatus": 1},
		["company"],
		order_by="posting_date desc",
		limit=1,
	)
	if last:
		return last[0].company
	return frappe.defaults.get_global_default("company") or frappe.db.get_value("Company", {}, "name")


def usual_lines(customer: str, quantities: dict[str, Decimal]) -> dict[str, Line]:
	"""Each item's line in the unit it was last bought in. `quantities`: item → quantity in its stock unit."""
	if not quantities:
		return {}
	units = _last_units(customer, list(quantities))
	return {item: _in_unit(item, quantity, units.get(item)) for item, quantity in quantities.items()}


def _last_units(customer: str, items: list[str]) -> dict[str, str]:
	found: dict[str, tuple] = {}
	for doctype in ("Sales Invoice", "POS Invoice"):
		# By the customer first: a popular item has been sold a million times.
		rows = frappe.db.sql(
			f"""SELECT STRAIGHT_JOIN r.`item_code`, r.`uom`, i.`posting_date`, i.`creation`
			FROM `tab{doctype}` i JOIN `tab{doctype} Item` r ON r.`parent` = i.`name` AND r.`parenttype` = '{doctype}'
			WHERE i.`customer` = %s AND i.`docstatus` = 1 AND i.`is_return` = 0 AND r.`item_code` IN %s""",
			(customer, tuple(items)),
		)
		for item, uom, day, creation in rows:
			if item not in found or (day, creation) >= found[item][0]:
				found[item] = ((day, creation), uom)
	return {item: uom for item, (_when, uom) in found.items() if uom}


def _in_unit(item: str, quantity: Decimal, uom: str | None) -> Line:
	"""`quantity` of stock units in `uom`, unless that is no unit of the item (any more) or would not be whole."""
	stock_uom = frappe.get_cached_value("Item", item, "stock_uom")
	quantity = quantity if quantity > 0 else Decimal(1)
	if uom and uom != stock_uom:
		factor = exact(
			frappe.db.get_value("UOM Conversion Detail", {"parent": item, "uom": uom}, "conversion_factor")
		)
		if factor > 0:
			units = quantity / factor
			if units == units.to_integral_value() or not must_be_whole(uom):
				return Line(item, units, uom)
	if must_be_whole(stock_uom) and quantity != quantity.to_integral_value():
		quantity = quantity.to_integral_value(rounding="ROUND_CEILING")
	return Line(item, quantity, stock_uom)


def must_be_whole(uom: str | None) -> bool:
	"""Whether ERPNext takes only whole numbers of this unit."""
	return bool(uom and cint(frappe.get_cached_value("UOM", uom, "must_be_whole_number")))


def check_quantity(item: str, quantity: Decimal, uom: str | None, usual: Decimal = Decimal(0)) -> None:
	"""Raise InvalidRequestError unless `quantity` of `item` can be ordered by a click."""
	name = frappe.get_cached_value("Item", item, "item_name") or item
	if not quantity.is_finite() or quantity <= 0:
		_refuse_quantity("not_positive", _("{0}: give a quantity above zero."), name, quantity)
	if quantity > max(MOST, usual * 100):
		_refuse_quantity(
			"too_many", _("{0}: {1} is a lot. Write to us for an order of that size."), name, quantity
		)
	if must_be_whole(uom) and quantity != quantity.to_integral_value():
		_refuse_quantity("not_whole", _("{0}: give a whole number, not {1}."), name, quantity)


def _refuse_quantity(code: str, text: str, name: str, quantity: Decimal):
	shown = plain(quantity) if quantity.is_finite() else str(quantity)
	refuse(InvalidRequestError, code, text.format(escape_html(name), shown), {"quantity": shown})


# -- offers -------------------------------------------------------------------------------------------------


def usable_coupon(coupon_code: str | None) -> str | None:
	"""`coupon_code` if it may still be used, today, and no quotation or order has it yet.

	ERPNext counts a use only when a Sales Order is submitted: two open quotations could promise it twice.
	"""
	if not coupon_code or any(
		frappe.db.exists(kind, {"coupon_code": coupon_code, "docstatus": ["<", 2]}) for kind in KINDS
	):
		return None
	coupon = frappe.db.get_value(
		"Coupon Code",
		coupon_code,
		["valid_from", "valid_upto", "used", "maximum_use", "pricing_rule"],
		as_dict=True,
	)
	today = getdate(nowdate())
	if (
		not coupon
		or (coupon.valid_from and coupon.valid_from > today)
		or (coupon.valid_upto and coupon.valid_upto < today)
		or (coupon.maximum_use and coupon.used >= coupon.maximum_use)
		or frappe.db.get_value("Pricing Rule", coupon.pricing_rule, "disable")
	):
		return None
	return coupon_code


def open_offer(customer: str, items: Iterable[str]) -> dict:
	"""What the customer's latest reminder of one of `items` still offers: coupon_code, free_shipping, offer_ends."""
	message, row = frappe.qb.DocType("Reorder Message"), frappe.qb.DocType("Reorder Message Item")
	rows = (
		frappe.qb.from_(message)
		.join(row)
		.on(row.parent == message.name)
		.select(message.name, message.coupon_code, message.offer_ends, row.free_shipping)
		.where(
			(message.customer == customer)
			& (message.kind == "Reminded")
			& row.item_code.isin(list(items) or [""])
		)
		.where((message.offer_ends >= getdate(nowdate())) & message.order_name.isnull())
		.orderby(message.sent_at, order=frappe.qb.desc)
	).run(as_dict=True)
	rows = [found for found in rows if found.name == rows[0].name]
	if not rows:
		return {}
	return {
		"coupon_code": usable_coupon(rows[0].coupon_code),
		"free_shipping": any(found.free_shipping for found in rows),
		"offer_ends": rows[0].offer_ends,
	}


# -- prices -------------------------------------------------------------------------------------------------


def kind_of_document() -> str:
	"""Quotation or Sales Order, as Reorder Settings says."""
	kind = frappe.get_cached_doc("Reorder Settings").order_document
	return kind if kind in KINDS else QUOTATION


def price(wish: Wish) -> Priced:
	"""`wish` with ERPNext's prices, coupon, taxes and shipping; nothing is written.

	Items that cannot be sold now are left out, each with a sentence. Raises NotOrderedError when the customer may
	not order, or ERPNext refuses as a whole.
	"""
	_refuse_customer(wish)
	left_out = {line.item_code: why for line in wish.lines if (why := _not_for_sale(line.item_code))}
	lines = [line for line in wish.lines if line.item_code not in left_out]
	with by_the_system(), _as_sentence(wish):
		document = _draft(wish, lines)
		unpriced = {row.item_code for row in document.items if _has_no_price(document, row)}
		if unpriced:
			document = _draft(wish, [line for line in lines if line.item_code not in unpriced])
	left_out |= {item: _("We have no price for it at the moment.") for item in unpriced}
	return Priced(document, left_out)


def _draft(wish: Wish, lines: list[Line]):
	settings = frappe.get_cached_doc("Reorder Settings")
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
		document.delivery_date = add_days(nowdate(), max(cint(settings.delivery_days), 0))
	for line in lines:
		row = {"item_code": line.item_code, "qty": float(line.quantity), "uom": line.uom}
		if kind == SALES_ORDER:
			row["delivery_date"] = document.delivery_date
		document.append("items", row)
	contacts.put_on(document, wish.customer, wish.contact)
	document.flags.ignore_permissions = True
	# ERPNext gives the company's tax template to new documents only.
	document.set("__islocal", 1)
	if not lines:
		return document
	document.set_missing_values()
	if wish.free_shipping and settings.free_shipping_rule:
		document.shipping_rule = settings.free_shipping_rule
	document.set_taxes()
	document.calculate_taxes_and_totals()
	return document


def _price_list(customer: str) -> str | None:
	"""The customer's or its group's price list, else the one of Selling Settings, as in ERPNext's forms."""
	from erpnext.accounts.party import get_default_price_list

	own = get_default_price_list(frappe.get_cached_doc("Customer", customer))
	return own or frappe.db.get_single_value("Selling Settings", "selling_price_list")


def _quotation_days() -> int:
	"""How long quotations hold, as ERPNext's own forms have it: CRM Settings."""
	field = "default_valid_till"
	known = frappe.get_meta("CRM Settings").has_field(field)
	return (cint(frappe.db.get_single_value("CRM Settings", field)) if known else 0) or QUOTATION_DAYS


def _has_no_price(document, row) -> bool:
	if exact(row.price_list_rate) > 0 or exact(row.rate) > 0 or row.is_free_item:
		return False
	# Free on purpose is a price as well.
	return not frappe.db.exists(
		"Item Price", {"item_code": row.item_code, "price_list": document.selling_price_list, "selling": 1}
	)


def _refuse_customer(wish: Wish) -> None:
	row = frappe.db.get_value("Customer", wish.customer, ["disabled", "is_frozen"], as_dict=True)
	with timeline.speaking():
		if not row or row.disabled or row.is_frozen:
			state = _("disabled") if row and row.disabled else _("frozen") if row else _("gone")
			raise NotOrderedError(_("Customer {0} is {1}.").format(wish.customer, state))
		if not wish.company:
			raise NotOrderedError(_("No company: set it in Reorder Settings."))


def _not_for_sale(item_code: str) -> str | None:
	"""Why `item_code` cannot be sold now; None when it can."""
	item = frappe.db.get_value(
		"Item", item_code, ["disabled", "end_of_life", "has_variants", "is_sales_item"], as_dict=True
	)
	if not item or item.disabled or item.has_variants or not item.is_sales_item:
		return _("Not sold any more.")
	if item.end_of_life and item.end_of_life.year > 1900 and item.end_of_life <= getdate(nowdate()):
		return _("Not sold any more.")
	return None


# -- placing ------------------------------------------------------------------------------------------------


def place(wish: Wish, key: str, content: str) -> Placed:
	"""Make the order of `wish`, once for each `key`, whoever asks how often and from how many tabs.

	Args:
		key: says which request this is, see `request_key`. content: what it asks for, see `content_of`.

	Returns:
		the document; `repeated` when an earlier request made it.

	Raises:
		NotOrderedError: nothing was made, and the sales team was told why. IdempotencyConflictError: the key was
		used before with other content.
	"""
	lock(wish.customer)
	if earlier := made_by(key, content):
		return earlier
	frappe.db.savepoint("crm_recharge_order")
	try:
		priced = price(wish)
		if priced.left_out:
			names = ", ".join(sorted(priced.left_out))
			with timeline.speaking():
				text = _("Cannot be ordered now: {0} (disabled, not for sale, or without a price).")
			raise NotOrderedError(text.format(names))
		with by_the_system(), _as_sentence(wish):
			document = _write(wish, priced.document, key, content)
	except NotOrderedError as error:
		frappe.db.rollback(save_point="crm_recharge_order")
		frappe.clear_messages()
		_tell_the_company(wish, error.reason)
		raise
	return Placed(document.doctype, document.name)


def request_key(*parts: str) -> str:
	"""The key of a request, for a unique field: a hash of what tells it from others."""
	return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def content_of(lines: Iterable[Line]) -> str:
	"""A hash of what is asked for."""
	rows = sorted([line.item_code, plain(line.quantity), line.uom or ""] for line in lines)
	return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def lock(customer: str) -> None:
	"""Let one request of a customer at a time go on, and see what the one before has written.

	A transaction that has written nothing begins anew: its snapshot may be older than the lock.
	"""
	if not frappe.db.transaction_writes:
		frappe.db.sql("rollback")
		frappe.db.begin()
		frappe.db.value_cache.clear()
	frappe.db.sql("SELECT `name` FROM `tabCustomer` WHERE `name` = %s FOR UPDATE", customer)


def made_by(key: str, content: str | None = None) -> Placed | None:
	"""The order that the request `key` made. Raises IdempotencyConflictError when it asked for something else."""
	for doctype in KINDS:
		found = frappe.db.get_value(doctype, {KEY: key}, ["name", CONTENT])
		if not found:
			continue
		if content and found[1] and found[1] != content:
			refuse(
				IdempotencyConflictError,
				"idempotency_conflict",
				_(
					"This idempotency_key made {0} {1} with other items. Use a new key for a new order."
				).format(_(doctype), found[0]),
				{"order_type": doctype, "order": found[0]},
			)
		return Placed(doctype, found[0], repeated=True)
	return None


def _write(wish: Wish, document, key: str, content: str):
	document.set(KEY, key)
	document.set(CONTENT, content)
	document.insert()
	if wish.owner:
		document.db_set("owner", wish.owner, update_modified=False)
	document.add_comment("Info", _origin(wish))
	if frappe.get_cached_doc("Reorder Settings").submit_order:
		document.submit()
	return document


def _origin(wish: Wish) -> str:
	if wish.message:
		return _("Ordered by the customer, by the link in reminder {0}.").format(escape_html(wish.message))
	return _("Ordered by the customer, logged in as {0}.").format(escape_html(wish.owner or "?"))


def _tell_the_company(wish: Wish, reason: str) -> None:
	lines = "".join(
		f"<li>{escape_html(line.item_code)}: {plain(line.quantity)} {escape_html(line.uom or '')}</li>"
		for line in wish.lines
	)
	with timeline.speaking():
		subject = _("A customer tried to reorder, and it did not work")
	sales_team.ask(wish.customer, subject, f"<p>{escape_html(strip_html(reason))}</p><ul>{lines}</ul>")


@contextmanager
def _as_sentence(wish: Wish):
	"""What ERPNext refuses goes to the company as the reason, to the customer as a kind sentence.

	What asks to try the transaction again passes through, and so does a bug.
	"""
	try:
		yield
	except NotOrderedError:
		raise
	except Exception as error:
		if is_contention(error):
			raise
		if not isinstance(error, frappe.ValidationError | frappe.DoesNotExistError | frappe.PermissionError):
			frappe.log_error(title=f"Reorder of {wish.customer} failed")
		raise NotOrderedError(strip_html(str(error)) or type(error).__name__) from error


@contextmanager
def by_the_system():
	"""As Administrator and in the site's language, as if somebody of the company had made it.

	ERPNext asks the session's user in many places, and here that is a guest or a customer. `frappe.set_user` would
	also empty the request and log the visitor out.
	"""
	before = frappe.local.session.user
	frappe.local.session.user = "Administrator"
	frappe.local.role_permissions, frappe.local.user_perms = {}, None
	try:
		with timeline.speaking():
			yield
	finally:
		frappe.local.session.user = before
		frappe.local.role_permissions, frappe.local.user_perms = {}, None


def form_link(placed: Placed) -> str:
	"""A link to the order for people with a desk."""
	address = get_url_to_form(placed.doctype, placed.name)
	return f'<a href="{escape_html(address)}">{escape_html(placed.name)}</a>'
