"""A company with books of its own, and settled recharges, for the tests of this room.

What is written is committed: posting owns its transactions.
"""

from datetime import timedelta
from decimal import Decimal

import frappe
from frappe.utils import get_datetime, now_datetime

from crm_recharge.accounting import setup
from crm_recharge.credits.money import as_text, exact
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.factories import make_account, make_customer

COMPANY = "Recharge Books"
RATES = {"EUR": 1.08371, "JPY": 0.00671}


class BooksTestCase(BenchTestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		if not frappe.db.exists("Company", COMPANY):
			frappe.get_doc(
				{
					"doctype": "Company",
					"company_name": COMPANY,
					"abbr": "RB",
					"default_currency": "USD",
					"country": "United States",
				}
			).insert()
		setup.after_install()
		for currency, rate in RATES.items():
			frappe.db.delete("Currency Exchange", {"from_currency": currency, "to_currency": "USD"})
			frappe.get_doc(
				{
					"doctype": "Currency Exchange",
					"date": "2020-01-01",
					"from_currency": currency,
					"to_currency": "USD",
					"exchange_rate": rate,
					"for_selling": 1,
				}
			).insert()
		frappe.db.commit()

	def setUp(self):
		super().setUp()
		frappe.set_user("Administrator")
		self.configure("CRM Recharge Settings", make_invoices=1, mail_invoices=0)

	def outgoing_mail(self):
		"""An account to send from, without which Frappe queues nothing."""
		if not frappe.db.exists("Email Account", {"default_outgoing": 1}):
			self.insert(
				doctype="Email Account",
				email_account_name="Recharge Books",
				email_id="billing@example.com",
				enable_outgoing=1,
				default_outgoing=1,
				smtp_server="localhost",
				awaiting_password=1,
			)

	def configure(self, single: str, **values) -> None:
		"""Set fields of a single DocType, and put them back at the end of the test."""
		# Raw: get_single_value turns an empty date into the year 1.
		before = {
			field: frappe.db.get_value("Singles", {"doctype": single, "field": field}, "value", order_by=None)
			for field in values
		}
		self._write_single(single, values)
		self.addCleanup(self._write_single, single, before)

	def _write_single(self, single, values):
		frappe.db.rollback()
		for field, value in values.items():
			frappe.db.set_single_value(single, field, value)
		frappe.clear_document_cache(single, single)
		frappe.db.commit()

	def change(self, doctype: str, name: str, **values) -> None:
		"""Change fields of a record, and put them back at the end of the test."""
		before = frappe.db.get_value(doctype, name, list(values), as_dict=True)
		self._write_record(doctype, name, values)
		self.addCleanup(self._write_record, doctype, name, dict(before))

	def _write_record(self, doctype, name, values):
		frappe.db.rollback()
		frappe.db.set_value(doctype, name, values)
		frappe.clear_document_cache(doctype, name)
		frappe.db.commit()

	def insert(self, **values):
		"""Insert a document, committed; it is deleted at the end of the test."""
		doc = frappe.get_doc(values).insert(ignore_permissions=True)
		frappe.db.commit()
		self.addCleanup(self._delete, doc.doctype, doc.name)
		return doc

	def _delete(self, doctype, name):
		frappe.db.rollback()
		frappe.delete_doc(doctype, name, force=True, ignore_permissions=True)
		frappe.clear_document_cache(doctype, name)
		frappe.db.commit()


def account(currency="USD", customer=None, company=COMPANY, **values) -> str:
	name = make_account(customer, company, currency, **values)
	frappe.db.commit()
	return name


def settled_recharge(credit_account: str, amount: str, **values) -> str:
	"""A paid recharge as settling leaves it behind, straight into the table, committed."""
	owner = frappe.db.get_value(
		"Credit Account", credit_account, ["customer", "company", "currency"], as_dict=True
	)
	recharge = frappe.new_doc("Recharge")
	recharge.update(
		{
			"credit_account": credit_account,
			**owner,
			"amount": Decimal(amount),
			"origin": "Automatic",
			"status": "Succeeded",
			"docstatus": 1,
			"settled_intent": f"pi_{frappe.generate_hash(length=20)}",
			"settled_at": now_datetime(),
			"accounting_status": "Pending",
			**values,
		}
	)
	recharge.name = recharge.name or frappe.generate_hash(length=12)
	recharge.db_insert()
	frappe.db.commit()
	return recharge.name


def fields(recharge: str):
	"""The recharge as it is in the table now."""
	frappe.db.rollback()
	return frappe.db.get_value("Recharge", recharge, "*", as_dict=True)


def ledger(voucher: str) -> dict[str, tuple[Decimal, Decimal]]:
	"""Account → (debit − credit in the company's currency, the same in the account's), of a voucher."""
	lines = {}
	for row in frappe.db.sql(
		f"""select account, {as_text("debit", "credit", "debit_in_account_currency", "credit_in_account_currency")}
		from `tabGL Entry` where voucher_no = %s and is_cancelled = 0""",
		voucher,
		as_dict=True,
	):
		base, own = lines.get(row.account, (Decimal(0), Decimal(0)))
		lines[row.account] = (
			base + exact(row.debit) - exact(row.credit),
			own + exact(row.debit_in_account_currency) - exact(row.credit_in_account_currency),
		)
	return lines


def documents_of(recharge: str) -> tuple[list[str], list[str]]:
	"""Names of every invoice and payment entry that carries the recharge, drafts and cancelled ones too."""
	frappe.db.rollback()
	return tuple(
		frappe.get_all(doctype, {"crm_recharge": recharge}, pluck="name")
		for doctype in ("Sales Invoice", "Payment Entry")
	)


def yesterday():
	return get_datetime(now_datetime() - timedelta(days=1))


def new_customer(**values) -> str:
	name = make_customer(**values)
	frappe.db.commit()
	return name


def vat_template(case: BooksTestCase, rate: int) -> str:
	"""A taxes template of `rate` %, the company's own for this test; returns the tax account."""
	tax = frappe.db.get_value("Account", {"company": COMPANY, "account_name": "Test VAT"})
	if not tax:
		parent = frappe.db.get_value(
			"Account", {"company": COMPANY, "root_type": "Liability", "is_group": 1, "account_type": "Tax"}
		)
		tax = (
			frappe.get_doc(
				{
					"doctype": "Account",
					"company": COMPANY,
					"account_name": "Test VAT",
					"parent_account": parent or "Duties and Taxes - RB",
					"account_type": "Tax",
				}
			)
			.insert()
			.name
		)
	template = case.insert(
		doctype="Sales Taxes and Charges Template",
		title=f"VAT {frappe.generate_hash(length=6)}",
		company=COMPANY,
		taxes=[{"charge_type": "On Net Total", "account_head": tax, "description": "VAT", "rate": rate}],
	)
	row = frappe.db.get_value("CRM Recharge Company", {"company": COMPANY})
	case.change("CRM Recharge Company", row, taxes_template=template.name)
	frappe.clear_document_cache("CRM Recharge Settings", "CRM Recharge Settings")
	case.addCleanup(frappe.clear_document_cache, "CRM Recharge Settings", "CRM Recharge Settings")
	return tax
