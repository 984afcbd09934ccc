"""What a customer wants to order, what it costs, and what came of it."""

from dataclasses import dataclass, field
from decimal import Decimal

import frappe
from frappe import _

QUOTATION, SALES_ORDER = "Quotation", "Sales Order"
KINDS = (QUOTATION, SALES_ORDER)


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


def kind_of_document() -> str:
	"""Quotation or Sales Order, as Reorder Settings says."""
	kind = frappe.get_cached_doc("Reorder Settings").order_document
	return kind if kind in KINDS else QUOTATION
