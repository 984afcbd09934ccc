"""A customer's reorder as a Quotation or Sales Order: ERPNext's own prices, taxes, addresses, coupon.

Whoever calls has proved who is asking: by the signed token of a reminder, or by the customer's own login. Nothing
here looks at the session's permissions; documents are made by the system and say what made them. `prices` says what
a wish costs, `offers` what of a reminder's offer holds, `usual` what a customer usually orders.
"""

import hashlib
import json
from collections.abc import Iterable

import frappe
from frappe import _
from frappe.utils import escape_html, strip_html
from frappe.utils.data import get_url_to_form

from crm_recharge.credits.errors import IdempotencyConflictError, refuse
from crm_recharge.domain.money import plain
from crm_recharge.reorder import sales_team, timeline, words
from crm_recharge.reorder.answers.fields import CONTENT, KEY
from crm_recharge.reorder.answers.offers import open_offer, usable_coupon
from crm_recharge.reorder.answers.prices import price
from crm_recharge.reorder.answers.system import as_sentence, by_the_system
from crm_recharge.reorder.answers.usual import check_quantity, company_for, must_be_whole, usual_lines
from crm_recharge.reorder.answers.wishes import (
	KINDS,
	QUOTATION,
	SALES_ORDER,
	Line,
	NotOrderedError,
	Placed,
	Priced,
	Wish,
	kind_of_document,
)

__all__ = (
	"KINDS",
	"QUOTATION",
	"SALES_ORDER",
	"Line",
	"NotOrderedError",
	"Placed",
	"Priced",
	"Wish",
	"by_the_system",
	"check_quantity",
	"company_for",
	"kind_of_document",
	"must_be_whole",
	"open_offer",
	"price",
	"usable_coupon",
	"usual_lines",
)


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
		with timeline.speaking():
			priced = price(wish)
			if priced.left_out:
				why = "; ".join(f"{item}: {why}" for item, why in sorted(priced.left_out.items()))
				raise NotOrderedError(_("Cannot be ordered now: {0}").format(why))
		with by_the_system(), as_sentence(wish):
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
	if not document.meta.has_field(KEY):
		# Whoever deletes a field leaves its column, and the next update brings the field back.
		made_by_it = {KEY: key, CONTENT: content}
		frappe.db.set_value(document.doctype, document.name, made_by_it, update_modified=False)
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
		f"<li>{escape_html(line.item_code)}: {words.number(line.quantity)} {escape_html(line.uom or '')}</li>"
		for line in wish.lines
	)
	with timeline.speaking():
		subject = _("A customer tried to reorder, and it did not work")
	sales_team.ask(wish.customer, subject, f"<p>{escape_html(strip_html(reason))}</p><ul>{lines}</ul>")


def form_link(placed: Placed) -> str:
	"""A link to the order for people with a desk."""
	address = get_url_to_form(placed.doctype, placed.name)
	return f'<a href="{escape_html(address)}">{escape_html(placed.name)}</a>'
