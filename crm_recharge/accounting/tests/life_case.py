"""A recharge's whole life in the books, on a site that would have a say in it.

What is looked at is everything the company's general ledger got meanwhile, whoever wrote it.
"""

from decimal import Decimal as D

import frappe
from frappe.utils import now, now_datetime

from crm_recharge.accounting import disputes, posting, refunds
from crm_recharge.accounting.tests.books import (
	COMPANY,
	BooksTestCase,
	account,
	fields,
	settled_recharge,
	yesterday,
)
from crm_recharge.credits.money import exact

UNEARNED, CLEARING, DEBTORS = "Unearned Credits - RB", "Stripe Clearing - RB", "Debtors - RB"
LOSS, FEES = "Chargeback Losses - RB", "Payment Gateway Fees - RB"


def refund(recharge: str, amount: str, **values) -> str:
	"""A refund as the machine leaves it behind, straight into the table, committed."""
	paid = fields(recharge)
	doc = frappe.new_doc("Recharge Refund")
	doc.update(
		{
			"recharge": recharge,
			"credit_account": paid.credit_account,
			"customer": paid.customer,
			"company": paid.company,
			"currency": paid.currency,
			"kind": "Requested",
			"status": "Succeeded",
			"amount": D(amount),
			"taken": D(amount),
			"intent": paid.settled_intent,
			"gateway_refund": f"re_{frappe.generate_hash(length=16)}",
			"ended_at": now_datetime(),
			"accounting_status": "Pending",
			**values,
		}
	)
	doc.name = f"RF-{frappe.generate_hash(length=12)}"
	doc.db_insert()
	frappe.db.commit()
	return doc.name


def dispute(recharge: str, amount: str, **values) -> str:
	"""An open dispute as the machine leaves it behind, straight into the table, committed."""
	paid = fields(recharge)
	doc = frappe.new_doc("Recharge Dispute")
	doc.update(
		{
			"recharge": recharge,
			"credit_account": paid.credit_account,
			"customer": paid.customer,
			"company": paid.company,
			"currency": paid.currency,
			"balance_currency": paid.currency,
			"status": "Open",
			"intent": paid.settled_intent,
			"amount": D(amount),
			"taken": D(amount),
			"withdrawn": D(amount),
			"fees": 15,
			"opened_at": now_datetime(),
			"accounting_status": "Pending",
			**values,
		}
	)
	doc.name = f"dp_{frappe.generate_hash(length=16)}"
	doc.db_insert()
	frappe.db.commit()
	return doc.name


class LifeCase(BooksTestCase):
	company = COMPANY

	def setUp(self):
		super().setUp()
		self.mark = now()

	def moved(self) -> dict[str, D]:
		"""Account -> all that was posted in the company since the test began, in its currency."""
		return {name: base for name, (base, _own) in self.moved_twice().items() if base}

	def moved_twice(self) -> dict[str, tuple[D, D]]:
		"""Account -> (in the company's currency, in the account's)."""
		frappe.db.rollback()
		rows = frappe.db.sql(
			"SELECT `account`, CAST(SUM(`debit` - `credit`) AS CHAR),"
			" CAST(SUM(`debit_in_account_currency` - `credit_in_account_currency`) AS CHAR) FROM `tabGL Entry`"
			" WHERE `company` = %s AND `creation` >= %s AND `is_cancelled` = 0 GROUP BY `account`",
			(self.company, self.mark),
		)
		sums = {name: (exact(base), exact(own)) for name, base, own in rows}
		return {name: pair for name, pair in sums.items() if any(pair)}

	def done(self, module, name: str, doctype: str) -> None:
		status = module.account_for(name)
		self.assertEqual(status, "Done", frappe.db.get_value(doctype, name, "accounting_error"))

	def recharged(self, amount: str, credit_account: str | None = None, **values) -> str:
		values = {"settled_at": yesterday()} | values
		recharge = settled_recharge(credit_account or account(company=self.company), amount, **values)
		self.done(posting, recharge, "Recharge")
		return recharge

	def refunded(self, recharge: str, amount: str, **values) -> str:
		name = refund(recharge, amount, **values)
		self.done(refunds, name, "Recharge Refund")
		return name

	def disputed(self, recharge: str, amount: str, **values) -> str:
		name = dispute(recharge, amount, **values)
		self.done(disputes, name, "Recharge Dispute")
		return name

	def changed(self, name: str, **values) -> None:
		"""The dispute has become something else, and is booked."""
		frappe.db.rollback()
		frappe.db.set_value("Recharge Dispute", name, values | {"accounting_status": "Pending"})
		frappe.db.commit()
		self.done(disputes, name, "Recharge Dispute")

	def lives(self, credit_account: str | None = None) -> str:
		"""Each step of 20.01 paid, 5.00 refunded, 15.01 disputed and won, in exact figures. Returns the recharge."""
		recharge = self.recharged("20.01", credit_account)
		self.assertEqual(self.moved(), {CLEARING: D("20.01"), UNEARNED: D("-20.01")})
		self.refunded(recharge, "5.00")
		self.assertEqual(self.moved(), {CLEARING: D("15.01"), UNEARNED: D("-15.01")})
		name = self.disputed(recharge, "15.01")
		self.assertEqual(self.moved(), {CLEARING: D("-15"), FEES: D("15")})
		self.changed(name, status="Won", withdrawn=0, taken=0)
		self.assertEqual(self.moved(), {CLEARING: D("0.01"), UNEARNED: D("-15.01"), FEES: D("15")})
		return recharge

	def default(self, doctype: str, **values) -> None:
		"""Form defaults as Customize Form sets them, for this test."""
		for fieldname, value in values.items():
			setter = self.insert(
				doctype="Property Setter",
				doctype_or_field="DocField",
				doc_type=doctype,
				field_name=fieldname,
				property="default",
				property_type="Text",
				value=str(value),
			)
			self.assertTrue(setter.name)
		self.fresh_forms(doctype)
		self.addCleanup(self.fresh_forms, doctype)

	def user_default(self, key: str, value: str) -> None:
		"""A default of the user who books, for this test."""

		def clear():
			frappe.db.rollback()
			frappe.defaults.clear_user_default(key, "Administrator")
			frappe.db.commit()

		frappe.defaults.set_user_default(key, value, "Administrator")
		frappe.db.commit()
		self.addCleanup(clear)

	def fresh_forms(self, *doctypes: str) -> None:
		for doctype in doctypes:
			frappe.clear_cache(doctype=doctype)
		frappe.local.new_doc_templates = {}
