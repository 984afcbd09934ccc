"""Refunds, credit notes, disputes and fees are as exact as the recharge: yen, dinar, foreign money, the last remainder."""

from decimal import Decimal as D

import frappe
from frappe.utils import now, now_datetime

from crm_recharge.accounting import posting, refunds, setup
from crm_recharge.accounting.tests.books import (
	COMPANY,
	account,
	documents_of,
	fields,
	settled_recharge,
	vat_template,
)
from crm_recharge.accounting.tests.life_case import (
	CLEARING,
	FEES,
	LOSS,
	UNEARNED,
	LifeCase,
	dispute,
	refund,
)

ABROAD = {"JPY": ("Recharge Yen", "RY", "Japan"), "KWD": ("Recharge Dinar", "RD", "Kuwait")}
RATES = {("USD", "JPY"): 151.237, ("EUR", "JPY"): 163.9, ("USD", "KWD"): 0.30671, ("KRW", "USD"): 0.00069}


class ExactCase(LifeCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		for (one, other), rate in RATES.items():
			if not frappe.db.exists("Currency Exchange", {"from_currency": one, "to_currency": other}):
				frappe.get_doc(
					{
						"doctype": "Currency Exchange",
						"date": "2020-01-01",
						"from_currency": one,
						"to_currency": other,
						"exchange_rate": rate,
						"for_selling": 1,
					}
				).insert()
		for currency, (name, abbr, country) in ABROAD.items():
			if not frappe.db.exists("Company", name):
				frappe.get_doc(
					{
						"doctype": "Company",
						"company_name": name,
						"abbr": abbr,
						"default_currency": currency,
						"country": country,
						"chart_of_accounts": "Standard",
					}
				).insert()
			setup.setup_company(name)
		frappe.db.commit()

	def abroad(self, currency: str) -> str:
		"""Work in the company of that currency; returns its abbreviation."""
		self.company, abbr, _country = ABROAD[currency]
		return abbr

	def decimals(self, number: int | str) -> None:
		"""The site's Currency Precision for this test."""
		before = frappe.db.get_default("currency_precision")
		self._set_default("currency_precision", number)
		self.addCleanup(self._set_default, "currency_precision", before)

	def _set_default(self, key, value):
		frappe.db.rollback()
		frappe.db.set_default(key, value if value is not None else "")
		frappe.db.commit()

	def settings(self, **values) -> None:
		row = frappe.db.get_value("CRM Recharge Company", {"company": self.company})
		self.addCleanup(frappe.clear_document_cache, setup.SETTINGS, setup.SETTINGS)
		self.change("CRM Recharge Company", row, **values)
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)

	def account_in(self, currency: str, like: str) -> str:
		"""A second account beside `like`, in that currency. It stays: what has entries cannot be deleted."""
		model = frappe.get_doc("Account", like)
		values = {"account_name": f"Second {model.account_name} {currency}", "company": model.company}
		if name := frappe.db.get_value("Account", values):
			return name
		made = frappe.get_doc(
			{
				"doctype": "Account",
				**values,
				"parent_account": model.parent_account,
				"account_type": model.account_type,
				"account_currency": currency,
			}
		).insert()
		frappe.db.commit()
		return made.name


class TestTheLastRemainder(ExactCase):
	def by_parts(self, amount: str, parts: tuple[str, ...], currency="USD") -> None:
		recharge = self.recharged(amount, account(currency, company=self.company))
		for part in parts:
			self.refunded(recharge, part)
		self.assertEqual(self.moved_twice(), {})

	def test_ten_with_tax_in_three_parts(self):
		vat_template(self, 19)
		for parts in (("3.33", "3.33", "3.34"), ("9.99", "0.01"), ("0.01",) * 3 + ("9.97",), ("10",)):
			with self.subTest(parts=parts):
				self.by_parts("10.00", parts)

	def test_in_a_foreign_currency_too(self):
		vat_template(self, 7)
		for parts in (("3.33", "3.33", "3.34"), ("1.11",) * 9 + ("0.01",)):
			with self.subTest(parts=parts):
				self.by_parts("10.00", parts, "EUR")

	def test_with_three_decimals(self):
		self.decimals(3)
		vat_template(self, 19)
		self.by_parts("10.00", ("3.33", "3.33", "3.34"))
		self.abroad("KWD")
		self.by_parts("10.00", ("3.33", "3.33", "3.34"), "USD")

	def test_in_whole_yen(self):
		self.decimals("0")
		# Zero counts as not set: then the number format decides.
		before = frappe.db.get_default("number_format")
		self._set_default("number_format", "#,###")
		self.addCleanup(self._set_default, "number_format", before)
		self.abroad("JPY")
		recharge = self.recharged("1000", account("JPY", company=self.company))
		for part in ("333", "333"):
			self.refunded(recharge, part)
		name = self.disputed(recharge, "334", fees=1500)
		self.assertEqual(self.moved(), {"Stripe Clearing - RY": -1500, "Payment Gateway Fees - RY": D(1500)})
		self.changed(name, status="Won", withdrawn=0, taken=0, fees=0)
		self.refunded(recharge, "334")
		self.assertEqual(self.moved(), {})

	def test_tax_and_cents_that_erpnext_would_leave_on_the_rounding_account(self):
		tax = vat_template(self, 19)
		recharge = self.recharged("20.01")
		self.assertEqual(self.moved(), {CLEARING: D("20.01"), UNEARNED: D("-16.82"), tax: D("-3.19")})
		invoice = frappe.get_doc("Sales Invoice", fields(recharge).sales_invoice)
		self.assertEqual(
			(
				invoice.net_total,
				invoice.total_taxes_and_charges,
				invoice.grand_total,
				invoice.outstanding_amount,
			),
			(16.82, 3.19, 20.01, 0),
		)
		self.assertEqual((invoice.taxes[0].tax_amount, invoice.taxes[0].total), (3.19, 20.01))

	def test_a_refund_and_a_dispute_of_the_rest_end_the_liability(self):
		tax = vat_template(self, 19)
		for refunded, rest in (("3.33", "6.67"), ("6.67", "3.33"), ("0.07", "9.93")):
			with self.subTest(refunded=refunded):
				self.mark = now()
				recharge = self.recharged("10.00")
				self.refunded(recharge, refunded)
				self.disputed(recharge, rest, fees=0)
				moved = self.moved()
				self.assertNotIn(UNEARNED, moved)
				self.assertEqual(moved[tax] + moved[LOSS], 0)

	def test_a_dispute_and_then_a_refund_of_the_rest(self):
		vat_template(self, 19)
		recharge = self.recharged("10.00")
		name = self.disputed(recharge, "3.33", fees=0)
		self.refunded(recharge, "6.67")
		self.assertNotIn(UNEARNED, self.moved())
		self.assertEqual(self.moved().get(CLEARING), None)
		self.changed(name, status="Won", withdrawn=0, taken=0)
		self.refunded(recharge, "3.33")
		self.assertEqual(self.moved(), {})

	def test_more_than_is_left_is_refused(self):
		recharge = self.recharged("10.00")
		self.refunded(recharge, "6.00")
		name = refund(recharge, "5.00")
		self.assertEqual(refunds.account_for(name), "Failed")
		error = frappe.db.get_value("Recharge Refund", name, "accounting_error")
		for word in ("$ 5.00", "$ 4.00", fields(recharge).sales_invoice):
			self.assertIn(word, error)


class TestCurrencies(ExactCase):
	def test_a_fee_with_three_decimals(self):
		self.decimals(3)
		self.abroad("KWD")
		recharge = self.recharged("100.25", account("KWD", company=self.company))
		name = self.disputed(recharge, "100.25", fees=D("4.605"))
		self.assertEqual(
			self.moved(), {"Stripe Clearing - RD": D("-4.605"), "Payment Gateway Fees - RD": D("4.605")}
		)
		self.changed(name, status="Lost")
		self.assertEqual(self.moved()["Payment Gateway Fees - RD"], D("4.605"))

	def test_what_is_below_the_sites_precision_is_no_difference(self):
		self.abroad("KWD")
		recharge = self.recharged("100.25", account("KWD", company=self.company))
		name = self.disputed(recharge, "100.25", fees=D("4.605"))
		before = frappe.db.count("Journal Entry", {"crm_recharge_dispute": name})
		self.changed(name, status="Lost", fees=D("4.6049"))
		self.assertEqual(frappe.db.count("Journal Entry", {"crm_recharge_dispute": name}), before)

	def test_a_won_more_that_is_no_cent_is_no_difference_either(self):
		clearing = self.account_in("KRW", CLEARING)
		self.settings(clearing_account=clearing)
		recharge = self.recharged("100000", account("KRW"))
		name = self.disputed(recharge, "100000", fees=100)
		before = frappe.db.count("Journal Entry", {"crm_recharge_dispute": name})
		self.changed(name, status="Lost", fees=101)
		self.assertEqual(frappe.db.count("Journal Entry", {"crm_recharge_dispute": name}), before)
		self.changed(name, fees=200)
		self.assertEqual(self.moved_twice()[clearing], (D("-0.14"), D("-200")))

	def test_a_dollar_account_of_a_yen_company(self):
		self.abroad("JPY")
		recharge = self.recharged("9.99", account("USD", company=self.company))
		paid = D("1510.86")
		self.assertEqual(self.moved(), {"Stripe Clearing - RY": paid, "Unearned Credits - RY": -paid})
		self.refunded(recharge, "3.33")
		name = self.disputed(recharge, "6.66", fees=15)
		self.assertEqual(
			self.moved(),
			{"Stripe Clearing - RY": D("-2268.56"), "Payment Gateway Fees - RY": D("2268.56")},
		)
		self.changed(name, status="Won", withdrawn=0, taken=0, fees=0)
		self.refunded(recharge, "6.66")
		self.assertEqual(self.moved_twice(), {})

	def test_a_clearing_account_in_the_payments_currency(self):
		clearing = self.account_in("EUR", CLEARING)
		self.settings(clearing_account=clearing)
		recharge = self.recharged("10.01", account("EUR"))
		base = D("10.85")
		self.assertEqual(self.moved_twice(), {clearing: (base, D("10.01")), UNEARNED: (-base, -base)})
		self.refunded(recharge, "3.34")
		name = self.disputed(recharge, "6.67", fees=D("13.84"))
		fee = D("15.00")
		self.assertEqual(self.moved_twice()[clearing], (-fee, D("-13.84")))
		self.assertEqual(self.moved(), {clearing: -fee, FEES: fee})
		self.changed(name, status="Won", withdrawn=0, taken=0, fees=0)
		self.refunded(recharge, "6.67")
		self.assertEqual(self.moved_twice(), {})

	def test_a_liability_kept_in_the_payments_currency(self):
		unearned = self.account_in("EUR", UNEARNED)
		clearing = self.account_in("EUR", CLEARING)
		self.settings(unearned_revenue_account=unearned, clearing_account=clearing)
		vat_template(self, 19)
		recharge = self.recharged("10.00", account("EUR"))
		self.assertEqual(self.moved_twice()[unearned], (D("-9.11"), D("-8.40")))
		for part in ("3.33", "3.33", "3.34"):
			self.refunded(recharge, part)
		self.assertEqual(self.moved_twice(), {})

	def test_the_banks_money_is_worth_what_it_was_on_the_day_it_went(self):
		recharge = self.recharged("100", account("EUR"))
		rate = {
			"doctype": "Currency Exchange",
			"from_currency": "JPY",
			"to_currency": "USD",
			"for_selling": 1,
		}
		self.insert(**rate, date="2020-03-01", exchange_rate=0.008)
		self.insert(**rate, date=now_datetime().date(), exchange_rate=0.02)
		self.configure("Accounts Settings", allow_stale=1)
		name = self.disputed(
			recharge,
			"100",
			balance_currency="JPY",
			withdrawn=13000,
			fees=0,
			opened_at="2020-03-02 10:00:00",
		)
		self.assertEqual(frappe.db.get_value("Recharge Dispute", name, "accounting_status"), "Done")
		self.assertEqual(self.moved()[CLEARING], D("108.37") - D("104.00"))
		self.changed(name, status="Lost")
		self.assertEqual(self.moved()[CLEARING], D("108.37") - D("104.00"))

	def test_less_than_the_books_can_hold(self):
		recharge = self.recharged("5000", account("KRW"))
		self.assertEqual(self.moved(), {CLEARING: D("3.45"), UNEARNED: D("-3.45")})
		name = refund(recharge, "7")
		self.assertEqual(refunds.account_for(name), "Not Needed")
		self.assertIn("smallest", frappe.db.get_value("Recharge Refund", name, "accounting_error"))
		tiny = settled_recharge(account("KRW"), "7")
		self.assertEqual(posting.account_for(tiny), "Not Needed")
		self.assertEqual(documents_of(tiny), ([], []))
		self.assertIn("smallest", fields(tiny).accounting_error)

	def test_a_site_that_keeps_no_cents(self):
		recharge = settled_recharge(account(), "20.01")
		before = frappe.db.get_default("number_format")
		self._set_default("number_format", "#,###")
		self.addCleanup(self._set_default, "number_format", before)
		self.decimals("")
		self.assertEqual(posting.account_for(recharge), "Failed")
		for word in ("$ 20.01", "0 decimals", "Currency Precision"):
			self.assertIn(word, fields(recharge).accounting_error)
		self.assertEqual(documents_of(recharge), ([], []))

	def test_settings_that_changed_since_do_not_split_a_payment(self):
		"""What was taken on one account is given back from it."""
		recharge = self.recharged("10.00")
		other = self.account_in("USD", CLEARING)
		unearned = self.account_in("USD", UNEARNED)
		self.settings(clearing_account=other, unearned_revenue_account=unearned)
		vat_template(self, 19)
		self.refunded(recharge, "4.00")
		self.disputed(recharge, "6.00", fees=0)
		self.assertEqual(self.moved(), {})

	def test_a_refund_needs_no_exchange_rate_of_today(self):
		recharge = self.recharged("10.00", account("EUR"))
		self.configure("Currency Exchange Settings", disabled=1)
		frappe.db.delete("Currency Exchange", {"from_currency": "EUR", "to_currency": "USD"})
		frappe.db.commit()
		self.addCleanup(type(self).setUpClass)
		self.refunded(recharge, "10.00")
		self.assertEqual(self.moved_twice(), {})


class TestOddInvoices(ExactCase):
	def test_a_credit_note_written_by_hand_counts(self):
		from erpnext.controllers.sales_and_purchase_return import make_return_doc

		vat_template(self, 19)
		recharge = self.recharged("10.00")
		note = make_return_doc("Sales Invoice", fields(recharge).sales_invoice)
		note.items[0].update({"rate": 3.33, "price_list_rate": 3.33, "sales_invoice_item": None})
		note.submit()
		frappe.db.commit()
		self.refunded(recharge, "6.67")
		self.assertNotIn(UNEARNED, self.moved())

	def test_an_invoice_amended_to_several_lines_is_named(self):
		recharge = self.recharged("10.00")
		row = fields(recharge)
		frappe.get_doc("Payment Entry", row.payment_entry).cancel()
		invoice = frappe.get_doc("Sales Invoice", row.sales_invoice)
		invoice.cancel()
		amended = frappe.copy_doc(invoice)
		amended.amended_from = invoice.name
		amended.docstatus = 0
		amended.items[0].update({"rate": 4, "price_list_rate": 4})
		amended.append(
			"items", {"item_code": "Prepaid Credits", "qty": 1, "rate": 6, "income_account": UNEARNED}
		)
		amended.crm_recharge = recharge
		amended.submit()
		frappe.db.commit()
		self.done(posting, recharge, "Recharge")
		self.assertEqual(self.moved(), {CLEARING: 10, UNEARNED: -10})
		name = refund(recharge, "4.00")
		self.assertEqual(refunds.account_for(name), "Failed")
		error = frappe.db.get_value("Recharge Refund", name, "accounting_error")
		self.assertIn("2 lines", error)
		self.assertEqual(dispute(recharge, "1.00")[:3], "dp_")
		self.assertEqual(COMPANY, self.company)
