"""The one builder of this app's documents in ERPNext: invoice, credit note, payment, journal entry.

What they say is settled by the payment and the settings of the company. ERPNext and the site would add to it: form
defaults, what hangs on the customer or the item, pricing rules, set-off, points, workflows, approvals. Here ERPNext's
own classes get what this app has decided again wherever something else may have had a hand in it, and their amounts to
the last digit. Whether it worked is for the general ledger to say (general_ledger.py).
"""

import json
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache

import frappe
from frappe import _
from frappe.model import numeric_fieldtypes, table_fields
from frappe.model.base_document import get_controller
from frappe.utils import cint, flt

from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.general_ledger import Line, Split
from crm_recharge.accounting.neutral import EMPTY, NEUTRAL
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.voucher import Figures, per_unit
from crm_recharge.people import contacts


@dataclass
class Voucher:
	"""What a document must say. `head` and `tables` as for frappe.get_doc; `figures` and
	`mode_of_payment` of an invoice; `base` of a payment, in the company's currency."""

	doctype: str
	head: dict
	tables: dict[str, list[dict]]
	dimensions: dict[str, str] = field(default_factory=dict)
	split: Split | None = None
	figures: Figures | None = None
	base: Decimal = ZERO
	mode_of_payment: str | None = None


def submit(voucher: Voucher):
	"""Insert and submit the document in one pass: ERPNext would load and check it twice otherwise. Returns it."""
	_refuse_missing_dimensions(voucher)
	doc = _build(voucher)
	doc.flags.ignore_permissions = True
	doc.submit()
	return doc


def _build(voucher: Voucher):
	doc = _class_of(voucher.doctype)({"doctype": voucher.doctype, **voucher.head, **voucher.tables})
	doc.flags.voucher = voucher
	doc.flags.our_rows = {
		**{table: [] for table in EMPTY[voucher.doctype]},
		**{table: list(doc.get(table)) for table in voucher.tables},
	}
	doc.flags.ours = [(doc, _decided(doc, voucher.head, voucher))]
	for table, rows in voucher.tables.items():
		doc.flags.ours += [
			(row, _decided(row, values, voucher)) for row, values in zip(doc.get(table), rows, strict=True)
		]
	if voucher.doctype == "Sales Invoice":
		contacts.put_on(doc, voucher.head["customer"])
	doc.pin()
	return doc


def _decided(doc, values: dict, voucher: Voucher) -> dict:
	dimensions = {name: value for name, value in voucher.dimensions.items() if doc.meta.has_field(name)}
	return NEUTRAL.get(doc.doctype, {}) | dimensions | values


def default_dimensions(company: str) -> dict[str, str]:
	"""Field -> the company's default of each accounting dimension, which ERPNext fills in on some forms only."""
	from erpnext.accounts.doctype.accounting_dimension.accounting_dimension import (
		get_checks_for_pl_and_bs_accounts,
	)

	return {
		row.fieldname: row.default_dimension
		for row in get_checks_for_pl_and_bs_accounts()
		if row.company == company and row.default_dimension
	}


def _refuse_missing_dimensions(voucher: Voucher) -> None:
	from erpnext.accounts.doctype.accounting_dimension.accounting_dimension import (
		get_checks_for_pl_and_bs_accounts,
	)

	for row in get_checks_for_pl_and_bs_accounts():
		mandatory = row.mandatory_for_bs or (row.mandatory_for_pl and voucher.doctype == "Journal Entry")
		if row.company == voucher.head["company"] and mandatory and not voucher.dimensions.get(row.fieldname):
			raise AccountingError(
				_(
					"Accounting Dimension {0} is mandatory for {1} and has no default there. Set a default dimension"
					" for the company in the Accounting Dimension."
				).format(row.label, row.company)
			)


def dimensions_of(doc) -> dict[str, str]:
	"""Field -> accounting dimension of a document that stands; what it lacks is the company's default."""
	return default_dimensions(doc.company) | {name: doc.get(name) for name in _dimensions() if doc.get(name)}


def _dimensions() -> list[str]:
	from erpnext.accounts.doctype.accounting_dimension.accounting_dimension import get_accounting_dimensions

	return get_accounting_dimensions()


# -- ERPNext's classes, kept to it -------------------------------------------------------------------------


@lru_cache
def _kept(ours: type, theirs: type) -> type:
	return type(ours.__name__, (ours, theirs), {"theirs": theirs})


def _class_of(doctype: str) -> type:
	"""The site's own class of `doctype`, less what it takes from elsewhere."""
	return _kept(
		{"Sales Invoice": PaidInvoice, "Payment Entry": PaidEntry, "Journal Entry": Journal}[doctype],
		get_controller(doctype),
	)


class Ours:
	"""What this app has decided of a document stands until it is booked."""

	def pin(self) -> None:
		"""Set again all that was decided, and drop rows that were not."""
		for table, rows in self.flags.our_rows.items():
			if self.get(table) != rows:
				self.set(table, rows)
		for doc, values in self.flags.ours:
			doc.update(values)

	def __reduce_ex__(self, protocol):
		"""Put into a queue (a Webhook does that) it is ERPNext's own document: nobody else knows this class."""
		state = self.__getstate__()
		state["flags"] = frappe._dict(
			{name: value for name, value in self.flags.items() if name not in ("voucher", "ours", "our_rows")}
		)
		return _blank, (self.theirs,), state

	def _set_defaults(self):
		"""Of the defaults of forms and users only those of fields that the site demands or has made itself."""
		dimensions = set(_dimensions())
		empty = [
			(doc, df)
			for doc in (self, *self.get_all_children())
			for df in doc.meta.fields
			if df.fieldtype not in table_fields
			and doc.get(df.fieldname) is None
			and (df.fieldname in dimensions or not _demanded(df))
		]
		super()._set_defaults()
		for doc, df in empty:
			doc.set(df.fieldname, 0 if _numeric(df) else None)

	def validate(self):
		self.pin()
		super().validate()

	def _validate_mandatory(self):
		try:
			super()._validate_mandatory()
		except frappe.MandatoryError as error:
			names = str(error).rpartition(":")[2].split(",")
			raise AccountingError(
				_(
					"{0} demands on this site what a recharge cannot know: {1}. Give it a default in Customize Form, or"
					" untick Mandatory there."
				).format(_(self.doctype), ", ".join(self._label(name.strip()) for name in names))
			) from error

	def _label(self, fieldname: str) -> str:
		for doc in (self, *self.get_all_children()):
			if doc.meta.has_field(fieldname):
				return _(doc.meta.get_label(fieldname))
		return fieldname

	def validate_workflow(self):
		"""Nobody is asked whether money that was paid was paid: it gets the workflow's first submitted state."""
		from frappe.model.workflow import set_workflow_state_on_action

		if workflow := self.meta.get_workflow():
			set_workflow_state_on_action(self, workflow, "submit")

	def _posted(self, gl_map: list) -> list:
		"""The rows for the ledger, shared out to cost centres, and closed to the defaults of whoever posts them."""
		voucher = self.flags.voucher
		rows = voucher.split.applied(gl_map) if voucher.split else gl_map
		for row in rows:
			for fieldname in ("project", "finance_book", *_dimensions()):
				# Not None, which a form's default would fill.
				row[fieldname] = row.get(fieldname) or ""
		return rows


def _blank(theirs: type):
	"""What a document from a queue is filled into."""
	return theirs.__new__(theirs)  # type: ignore[call-overload]


def _demanded(df) -> bool:
	return bool(df.reqd or df.get("is_custom_field"))


def _numeric(df) -> bool:
	return df.fieldtype in numeric_fieldtypes or df.fieldtype == "Check"


class PaidInvoice(Ours):
	"""A Sales Invoice over what was paid, or a credit note over what was paid back."""

	def set_missing_values(self, *args, **kwargs):
		missing = super().set_missing_values(*args, **kwargs)
		self.pin()
		return missing

	def set_missing_item_details(self, *args, **kwargs):
		# With a price list in sight ERPNext would write the amount there as the item's price.
		price_list, self.selling_price_list = self.selling_price_list, None
		try:
			super().set_missing_item_details(*args, **kwargs)
		finally:
			self.selling_price_list = price_list

	def calculate_taxes_and_totals(self):
		self.pin()
		super().calculate_taxes_and_totals()
		self._say(self.flags.voucher.figures)

	def _say(self, figures: Figures) -> None:
		"""Take over the exact amounts: ERPNext counts a tax from the rounded net amount, and is a cent off."""
		(item,) = self.items
		inclusive = all(cint(tax.included_in_print_rate) for tax in self.taxes)
		for prefix, amounts in (("", figures.own), ("base_", figures.base)):
			total = amounts.gross if inclusive else amounts.net
			item.update(
				{
					f"{prefix}amount": float(total),
					f"{prefix}rate": float(abs(total)),
					f"{prefix}net_amount": float(amounts.net),
					f"{prefix}net_rate": float(abs(amounts.net)),
				}
			)
			self.update(
				{
					f"{prefix}total": float(total),
					f"{prefix}net_total": float(amounts.net),
					f"{prefix}total_taxes_and_charges": float(amounts.gross - amounts.net),
					f"{prefix}grand_total": float(amounts.gross),
					f"{prefix}rounded_total": 0,
					f"{prefix}rounding_adjustment": 0,
				}
			)
			running = amounts.net
			for row, tax in zip(self.taxes, amounts.taxes, strict=True):
				running += tax
				row.update(
					{
						f"{prefix}tax_amount": float(tax),
						f"{prefix}tax_amount_after_discount_amount": float(tax),
						f"{prefix}total": float(running),
					}
				)
		for row, tax in zip(self.taxes, figures.base.taxes, strict=True):
			if isinstance(row.get("item_wise_tax_detail"), str):
				row.item_wise_tax_detail = json.dumps({item.item_code: [row.rate, float(tax)]})
		in_base = self.party_account_currency == self.company_currency
		self.outstanding_amount = float((figures.base if in_base else figures.own).gross)

	def set_taxes_and_charges(self):
		"""None from default templates or the item's: the taxes stand already."""

	def set_tax_withholding(self):
		"""Nothing can be withheld from what is paid."""

	def apply_pricing_rule_on_items(self, *args, **kwargs):
		"""The price is what was paid."""

	def validate_selling_price(self):
		"""The price is what was paid."""

	def validate_party_account_currency(self):
		"""The account takes what the customer's other credits need as well (receivable.py)."""

	def so_dn_required(self):
		"""The payment is the order."""

	def check_credit_limit(self):
		"""Paid in the same transaction: it lends the customer nothing."""

	def set_advances(self):
		"""Its own payment settles it, no other."""

	def process_common_party_accounting(self):
		"""Its own payment settles it, no supplier's account."""

	def set_payment_schedule(self, *args, **kwargs):
		super().set_payment_schedule(*args, **kwargs)
		for row in self.get("payment_schedule"):
			# Electronic invoices of some countries demand it.
			row.mode_of_payment = self.flags.voucher.mode_of_payment

	def is_internal_transfer(self):
		return False

	def make_loyalty_point_entry(self):
		"""Stored value earns nothing when it is bought."""

	# nosemgrep: frappe-modifying-but-not-committing, frappe-modifying-but-not-comitting -- set for this call alone
	def on_submit(self):
		# ERPNext asks no approval (Authorization Rule) for what repeats by itself; this was paid by itself.
		self.auto_repeat = self.name
		try:
			super().on_submit()
		finally:
			self.auto_repeat = None

	def get_gl_entries(self, *args, **kwargs):
		return self._posted(super().get_gl_entries(*args, **kwargs))


class PaidEntry(Ours):
	"""The Payment Entry of such an invoice or credit note, at exactly its amount in the company's currency."""

	def set_tax_withholding(self):
		"""Nothing can be withheld from what is paid."""

	def set_amounts_in_company_currency(self):
		super().set_amounts_in_company_currency()
		self.base_paid_amount = self.base_received_amount = float(self.flags.voucher.base)

	def calculate_base_allocated_amount_for_reference(self, row):
		super().calculate_base_allocated_amount_for_reference(row)
		row.exchange_gain_loss = 0
		base = float(self.flags.voucher.base)
		return base if flt(row.allocated_amount) > 0 else -base

	def set_amounts_after_tax(self):
		super().set_amounts_after_tax()
		self.base_paid_amount_after_tax = self.base_received_amount_after_tax = float(self.flags.voucher.base)

	def build_gl_map(self, *args, **kwargs):
		return self._posted(super().build_gl_map(*args, **kwargs))


class Journal(Ours):
	"""A Journal Entry whose rows say exactly their lines, in both currencies."""

	def set_exchange_rate(self):
		# Not asked for: the rate is what the two amounts make it.
		self.flags.ignore_exchange_rate = True
		super().set_exchange_rate()

	def set_amounts_in_company_currency(self):
		"""They stand, in both currencies. What ERPNext does with drafts alone is done here."""
		self.set_against_account()

	def build_gl_map(self, *args, **kwargs):
		return self._posted(super().build_gl_map(*args, **kwargs))


def amounts_of(line: Line) -> dict:
	"""The amounts of a Journal Entry's row."""
	side, other = ("debit", "credit") if line.base > 0 else ("credit", "debit")
	return {
		side: float(abs(line.base)),
		f"{side}_in_account_currency": float(abs(line.own)),
		other: 0,
		f"{other}_in_account_currency": 0,
		"exchange_rate": float(per_unit(abs(line.base), abs(line.own))),
	}
