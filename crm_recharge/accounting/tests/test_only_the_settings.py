"""Nothing but the settings has a say in what is booked: form defaults, masters, rules, set-off, workflows, other apps."""

import pickle
from decimal import Decimal as D

import frappe
from frappe.model.base_document import get_controller
from frappe.utils import nowdate

from crm_recharge.accounting import disputes, posting, refunds, setup
from crm_recharge.accounting.tests.books import (
	COMPANY,
	account,
	documents_of,
	fields,
	ledger,
	new_customer,
	settled_recharge,
	vat_template,
	yesterday,
)
from crm_recharge.accounting.tests.life_case import (
	CLEARING,
	DEBTORS,
	FEES,
	LOSS,
	UNEARNED,
	LifeCase,
	dispute,
	refund,
)

ITEM = "Prepaid Credits"


def spoil(doc, method=None):
	"""What another app's hook might do to an invoice after ERPNext has counted it."""
	sign = -1 if doc.is_return else 1
	doc.items[0].base_net_amount = doc.items[0].net_amount = 9 * sign
	doc.grand_total = doc.base_grand_total = 9 * sign


def wrong_account(doc, method=None):
	doc.accounts[0].account = "Cash - RB"


def queue(doc, method=None):
	"""What a Webhook does with a document: it goes to Redis, and comes back in another process."""
	back = pickle.loads(pickle.dumps(doc))
	assert type(back) is get_controller(doc.doctype), type(back)
	assert back.name == doc.name and back.get_valid_dict() == doc.get_valid_dict()
	QUEUED.append(doc.doctype)


QUEUED = []


class TestForms(LifeCase):
	def test_defaults_of_the_invoices_form(self):
		self.default(
			"Sales Invoice",
			is_pos=1,
			is_return=1,
			is_debit_note=1,
			update_stock=1,
			additional_discount_percentage=5,
			discount_amount=1,
			apply_discount_on="Net Total",
			is_cash_or_non_trade_discount=1,
			disable_rounded_total=0,
			ignore_pricing_rule=0,
			allocate_advances_automatically=1,
			redeem_loyalty_points=1,
			loyalty_points=3,
			write_off_amount=1,
			write_off_outstanding_amount_automatically=1,
			is_opening="Yes",
			commission_rate=7,
			po_no="4711",
			group_same_items=1,
		)
		self.default(
			"Sales Invoice Item",
			discount_percentage=10,
			discount_amount=1,
			margin_type="Amount",
			margin_rate_or_amount=3,
			qty=4,
			is_free_item=1,
			enable_deferred_revenue=1,
			conversion_factor=12,
		)
		invoice = fields(self.lives()).sales_invoice
		# Whatever the field is for.
		number, grouped = frappe.db.get_value("Sales Invoice", invoice, ["po_no", "group_same_items"])
		self.assertFalse(number)
		self.assertEqual(grouped, 0)

	def test_defaults_of_the_forms_of_payment_and_journal(self):
		book = self.insert(doctype="Finance Book", finance_book_name=f"Tax {frappe.generate_hash(length=5)}")
		self.default("Payment Entry", payment_type="Pay", apply_tax_withholding_amount=1, is_opening="Yes")
		self.default("Payment Entry Reference", exchange_gain_loss=2, allocated_amount=3)
		self.default("Journal Entry", voucher_type="Opening Entry", is_opening="Yes", finance_book=book.name)
		self.default("Journal Entry Account", exchange_rate=3, debit=5, is_advance="Yes")
		self.lives()
		self.assertEqual(frappe.db.count("GL Entry", {"finance_book": book.name}), 0)

	def test_defaults_of_the_user_who_books(self):
		other = self.insert(
			doctype="Cost Center",
			cost_center_name=f"Other {frappe.generate_hash(length=5)}",
			company=COMPANY,
			parent_cost_center=f"{COMPANY} - RB",
		)
		project = self.insert(
			doctype="Project", project_name=f"P {frappe.generate_hash(length=5)}", company=COMPANY
		)
		for key, value in (("cost_center", other.name), ("project", project.name), ("is_pos", "1")):
			self.user_default(key, value)
		self.fresh_forms("Sales Invoice")
		self.lives()
		for fieldname, value in (("cost_center", other.name), ("project", project.name)):
			since = {"creation": (">=", self.mark), fieldname: value}
			self.assertEqual(frappe.db.count("GL Entry", since), 0)

	def test_a_field_that_the_site_demands_is_filled_by_its_default_or_named(self):
		field = self.insert(
			doctype="Custom Field",
			dt="Sales Invoice",
			fieldname="sales_channel",
			label="Sales Channel",
			fieldtype="Data",
			reqd=1,
			insert_after="customer",
		)
		self.insert(
			doctype="Custom Field",
			dt="Sales Invoice",
			fieldname="sales_region",
			label="Sales Region",
			fieldtype="Data",
			default="North",
			insert_after="customer",
		)
		self.fresh_forms("Sales Invoice")
		self.addCleanup(self.fresh_forms, "Sales Invoice")
		recharge = settled_recharge(account(), "20.01", settled_at=yesterday())
		self.assertEqual(posting.account_for(recharge), "Failed")
		error = fields(recharge).accounting_error
		for word in ("Sales Channel", "default", "Customize Form"):
			self.assertIn(word, error)
		self.change("Custom Field", field.name, default="Web")
		self.fresh_forms("Sales Invoice")
		self.assertEqual(posting.account_for(recharge), "Done", fields(recharge).accounting_error)
		invoice = fields(recharge).sales_invoice
		self.assertEqual(
			frappe.db.get_value("Sales Invoice", invoice, ["sales_channel", "sales_region"]), ("Web", "North")
		)

	def test_what_the_form_fetches(self):
		self.insert(
			doctype="Custom Field",
			dt="Item",
			fieldname="own_account",
			label="Own Account",
			fieldtype="Link",
			options="Account",
			insert_after="item_name",
		)
		self.insert(
			doctype="Property Setter",
			doctype_or_field="DocField",
			doc_type="Sales Invoice Item",
			field_name="income_account",
			property="fetch_from",
			property_type="Small Text",
			value="item_code.own_account",
		)
		frappe.db.set_value("Item", ITEM, "own_account", "Sales - RB")
		frappe.db.commit()
		self.fresh_forms("Sales Invoice Item", "Item")
		self.addCleanup(self.fresh_forms, "Sales Invoice Item", "Item")
		self.lives()


class TestMasters(LifeCase):
	def test_what_hangs_on_the_customer(self):
		price_list = self.insert(
			doctype="Price List",
			price_list_name=f"Dear {frappe.generate_hash(length=5)}",
			selling=1,
			currency="EUR",
		)
		self.insert(doctype="Item Price", item_code=ITEM, price_list=price_list.name, price_list_rate=999)
		category = self.insert(doctype="Tax Category", title=f"Abroad {frappe.generate_hash(length=5)}")
		person = self.insert(
			doctype="Sales Person",
			sales_person_name=f"S {frappe.generate_hash(length=5)}",
			parent_sales_person=frappe.get_all("Sales Person", {"is_group": 1}, pluck="name")[0],
			is_group=0,
		)
		partner = self.insert(
			doctype="Sales Partner",
			partner_name=f"P {frappe.generate_hash(length=5)}",
			territory=frappe.get_all("Territory", {"is_group": 0}, pluck="name")[0],
			commission_rate=10,
		)
		customer = new_customer(
			default_price_list=price_list.name,
			tax_category=category.name,
			default_sales_partner=partner.name,
			default_commission_rate=10,
			sales_team=[{"sales_person": person.name, "allocated_percentage": 100, "commission_rate": 3}],
		)
		recharge = self.lives(account(customer=customer))
		invoice = frappe.get_doc("Sales Invoice", fields(recharge).sales_invoice)
		self.assertEqual(
			(invoice.sales_team, invoice.sales_partner, invoice.total_commission, invoice.tax_category),
			([], None, 0, None),
		)

	def test_tax_withheld_from_the_customer(self):
		category = self.insert(
			doctype="Tax Withholding Category",
			name=f"TCS {frappe.generate_hash(length=5)}",
			category_name="TCS",
			rates=[
				{
					"from_date": f"{nowdate()[:4]}-01-01",
					"to_date": f"{nowdate()[:4]}-12-31",
					"tax_withholding_rate": 10,
					"single_threshold": 0,
					"cumulative_threshold": 1,
				}
			],
			accounts=[{"company": COMPANY, "account": "Cash - RB"}],
		)
		customer = new_customer(tax_withholding_category=category.name)
		self.addCleanup(self.change_back, "Customer", customer, tax_withholding_category=None)
		self.lives(account(customer=customer))

	def change_back(self, doctype, name, **values):
		self._write_record(doctype, name, values)

	def test_loyalty_points_are_neither_earned_nor_in_the_way_of_a_refund(self):
		program = self.insert(
			doctype="Loyalty Program",
			loyalty_program_name=f"Points {frappe.generate_hash(length=5)}",
			loyalty_program_type="Single Tier Program",
			from_date="2020-01-01",
			company=COMPANY,
			conversion_factor=1,
			expiry_duration=100,
			expense_account=FEES,
			cost_center=frappe.db.get_value("Company", COMPANY, "cost_center"),
			collection_rules=[{"tier_name": "A", "min_spent": 0, "collection_factor": 1}],
		)
		customer = new_customer(loyalty_program=program.name)
		self.addCleanup(self.change_back, "Customer", customer, loyalty_program=None)
		recharge = self.lives(account(customer=customer))
		self.assertEqual(frappe.db.count("Loyalty Point Entry", {"customer": customer}), 0)
		invoice = fields(recharge).sales_invoice
		self.assertEqual(
			frappe.db.get_value("Sales Invoice", invoice, ["loyalty_program", "loyalty_points"]), (None, 0)
		)

	def test_a_customer_who_is_a_supplier(self):
		self.configure("Accounts Settings", enable_common_party_accounting=1)
		customer = new_customer()
		supplier = self.insert(
			doctype="Supplier",
			supplier_name=customer,
			supplier_group=frappe.get_all("Supplier Group", {"is_group": 0}, pluck="name")[0],
		)
		link = self.insert(
			doctype="Party Link",
			primary_role="Supplier",
			primary_party=supplier.name,
			secondary_role="Customer",
			secondary_party=customer,
		)
		self.assertTrue(link.name)
		self.lives(account(customer=customer))

	def test_an_internal_customer(self):
		customer = new_customer()
		self.change("Customer", customer, is_internal_customer=1, represents_company=COMPANY)
		self.insert(
			doctype="Allowed To Transact With",
			parent=customer,
			parenttype="Customer",
			parentfield="companies",
			company=COMPANY,
		)
		self.lives(account(customer=customer))

	def test_an_advance_of_the_customer_stays_his(self):
		self.default("Sales Invoice", allocate_advances_automatically=1)
		customer = new_customer()
		advance = frappe.get_doc(
			{
				"doctype": "Payment Entry",
				"payment_type": "Receive",
				"company": COMPANY,
				"party_type": "Customer",
				"party": customer,
				"paid_from": DEBTORS,
				"paid_to": "Cash - RB",
				"paid_amount": 100,
				"received_amount": 100,
				"source_exchange_rate": 1,
				"target_exchange_rate": 1,
			}
		).submit()
		frappe.db.commit()
		self.mark = frappe.utils.now()
		self.lives(account(customer=customer))
		self.assertEqual(frappe.db.get_value("Payment Entry", advance.name, "unallocated_amount"), 100)

	def test_advances_in_an_account_of_their_own(self):
		advances = self.insert(
			doctype="Account",
			account_name=f"Advances {frappe.generate_hash(length=5)}",
			company=COMPANY,
			parent_account="Current Liabilities - RB",
			account_type="Receivable",
			root_type="Liability",
		)
		self.change(
			"Company",
			COMPANY,
			book_advance_payments_in_separate_party_account=1,
			default_advance_received_account=advances.name,
		)
		self.lives()

	def test_what_hangs_on_the_item(self):
		self.change(
			"Item", ITEM, enable_deferred_revenue=1, no_of_months=12, last_purchase_rate=500, max_discount=1
		)
		self.configure("Selling Settings", validate_selling_price=1)
		deferred = self.insert(
			doctype="Account",
			account_name=f"Deferred {frappe.generate_hash(length=5)}",
			company=COMPANY,
			parent_account="Current Liabilities - RB",
			root_type="Liability",
		)
		self.change("Company", COMPANY, default_deferred_revenue_account=deferred.name)
		self.lives()

	def test_the_rate_of_the_settings_not_that_of_the_items_tax_template(self):
		tax = vat_template(self, 19)
		template = self.insert(
			doctype="Item Tax Template",
			title=f"Seven {frappe.generate_hash(length=5)}",
			company=COMPANY,
			taxes=[{"tax_type": tax, "tax_rate": 7}],
		)
		row = frappe.get_doc(
			{
				"doctype": "Item Tax",
				"parent": ITEM,
				"parenttype": "Item",
				"parentfield": "taxes",
				"item_tax_template": template.name,
			}
		)
		row.db_insert()
		frappe.clear_document_cache("Item", ITEM)
		frappe.db.commit()
		self.addCleanup(frappe.clear_document_cache, "Item", ITEM)
		self.addCleanup(self._delete, "Item Tax", row.name)
		self.recharged("11.90")
		self.assertEqual(self.moved(), {CLEARING: D("11.90"), UNEARNED: D("-10"), tax: D("-1.90")})


class TestRules(LifeCase):
	def test_pricing_rules_with_a_discount_a_free_item_and_on_the_whole(self):
		self.default("Sales Invoice", ignore_pricing_rule=0)
		common = {"doctype": "Pricing Rule", "selling": 1, "currency": "USD", "company": COMPANY}
		on_item = {"apply_on": "Item Code", "items": [{"item_code": ITEM}]}

		def title():
			return f"Rule {frappe.generate_hash(length=5)}"

		self.insert(
			**common, **on_item, title=title(), rate_or_discount="Discount Percentage", discount_percentage=50
		)
		self.insert(
			**common,
			**on_item,
			title=title(),
			price_or_product_discount="Product",
			free_item=ITEM,
			same_item=0,
			free_qty=1,
			priority=2,
		)
		self.insert(
			**common,
			title=title(),
			apply_on="Transaction",
			rate_or_discount="Discount Percentage",
			discount_percentage=10,
			apply_discount_on="Grand Total",
		)
		recharge = self.lives()
		invoice = frappe.get_doc("Sales Invoice", fields(recharge).sales_invoice)
		self.assertEqual((len(invoice.items), invoice.pricing_rules, invoice.discount_amount), (1, [], 0))

	def test_a_credit_limit(self):
		customer = new_customer(credit_limits=[{"company": COMPANY, "credit_limit": 1}])
		self.lives(account(customer=customer))

	def test_an_approval_by_amount(self):
		self.insert(
			doctype="Authorization Rule",
			transaction="Sales Invoice",
			based_on="Grand Total",
			value=1,
			company=COMPANY,
			approving_user="Guest",
		)
		self.lives()

	def test_a_workflow_leaves_nothing_as_a_draft(self):
		for doctype in ("Sales Invoice", "Payment Entry", "Journal Entry"):
			self.workflow(doctype)
		field = frappe.db.get_value("Custom Field", {"dt": "Payment Entry", "fieldname": "workflow_state"})
		self.change("Custom Field", field, default="Approved by Two")
		self.fresh_forms("Payment Entry")
		recharge = self.lives()
		row = fields(recharge)
		for doctype, name in (("Sales Invoice", row.sales_invoice), ("Payment Entry", row.payment_entry)):
			self.assertEqual(
				frappe.db.get_value(doctype, name, ["docstatus", "workflow_state"]), (1, "Approved by Two")
			)
		self.assertFalse(frappe.db.exists("Sales Invoice", {"customer": row.customer, "docstatus": 0}))
		# The bank returns a refund: its documents are taken back all the same.
		name = self.refunded(recharge, "1.00")
		frappe.db.set_value("Recharge Refund", name, {"status": "Failed", "accounting_status": "Pending"})
		frappe.db.commit()
		self.done(refunds, name, "Recharge Refund")
		self.assertEqual(self.moved()[UNEARNED], D("-15.01"))

	def workflow(self, doctype: str) -> None:
		for state in ("Waits", "Approved by Two", "Withdrawn"):
			if not frappe.db.exists("Workflow State", state):
				self.insert(doctype="Workflow State", workflow_state_name=state)
		if not frappe.db.exists("Workflow Action Master", "Approve"):
			self.insert(doctype="Workflow Action Master", workflow_action_name="Approve")
		before = frappe.get_all("Custom Field", {"dt": doctype, "fieldname": "workflow_state"}, pluck="name")
		self.insert(
			doctype="Workflow",
			workflow_name=f"Two of us {doctype}",
			document_type=doctype,
			is_active=1,
			send_email_alert=0,
			workflow_state_field="workflow_state",
			states=[
				{"state": "Waits", "doc_status": "0", "allow_edit": "Quality Manager"},
				{"state": "Approved by Two", "doc_status": "1", "allow_edit": "Quality Manager"},
				{"state": "Withdrawn", "doc_status": "2", "allow_edit": "Quality Manager"},
			],
			transitions=[
				{
					"state": "Waits",
					"action": "Approve",
					"next_state": "Approved by Two",
					"allowed": "Quality Manager",
				}
			],
		)
		self.addCleanup(self.fresh_forms, doctype)
		self.addCleanup(frappe.cache.delete_key, "workflow")
		for name in frappe.get_all(
			"Custom Field", {"dt": doctype, "fieldname": "workflow_state"}, pluck="name"
		):
			if name not in before:
				self.addCleanup(self._delete, "Custom Field", name)
		self.fresh_forms(doctype)

	def test_a_ledger_that_cannot_be_changed(self):
		if not frappe.get_meta("Accounts Settings").has_field("enable_immutable_ledger"):
			self.skipTest("this ERPNext always changes what is cancelled")
		self.configure("Accounts Settings", enable_immutable_ledger=1)
		recharge = self.lives()
		before = self.moved()
		name = self.refunded(recharge, "1.00")
		frappe.db.set_value("Recharge Refund", name, {"status": "Failed", "accounting_status": "Pending"})
		frappe.db.commit()
		self.done(refunds, name, "Recharge Refund")
		self.assertEqual(self.moved(), before)
		self.refunded(recharge, "15.01")
		self.assertEqual(self.moved(), {CLEARING: D("-15"), FEES: D("15")})

	def test_rounding_settings_of_the_site(self):
		self.configure("Accounts Settings", round_row_wise_tax=1)
		self.configure("Global Defaults", disable_rounded_total=0)
		self.change("Currency", "USD", smallest_currency_fraction_value=1)
		self.lives()

	def test_discount_accounting(self):
		self.configure("Selling Settings", enable_discount_accounting=1)
		self.lives()


class TestCostCentres(LifeCase):
	def allocate(self, *percentages: float) -> list[str]:
		"""The company's cost centre shared out to new ones, from long ago; returns these."""
		main = frappe.db.get_value("CRM Recharge Company", {"company": COMPANY}, "cost_center")
		source = self.insert(
			doctype="Cost Center",
			cost_center_name=f"Pool {frappe.generate_hash(length=5)}",
			company=COMPANY,
			parent_cost_center=f"{COMPANY} - RB",
		).name
		self.assertNotEqual(main, source)
		row = frappe.db.get_value("CRM Recharge Company", {"company": COMPANY})
		self.change("CRM Recharge Company", row, cost_center=source)
		frappe.clear_document_cache(setup.SETTINGS, setup.SETTINGS)
		self.addCleanup(frappe.clear_document_cache, setup.SETTINGS, setup.SETTINGS)
		centres = [
			self.insert(
				doctype="Cost Center",
				cost_center_name=f"Share {n} {frappe.generate_hash(length=5)}",
				company=COMPANY,
				parent_cost_center=f"{COMPANY} - RB",
			).name
			for n in range(len(percentages))
		]
		doc = frappe.get_doc(
			{
				"doctype": "Cost Center Allocation",
				"company": COMPANY,
				"main_cost_center": source,
				"valid_from": "2020-01-01",
				"allocation_percentages": [
					{"cost_center": center, "percentage": percentage}
					for center, percentage in zip(centres, percentages, strict=True)
				],
			}
		)
		doc.submit()
		frappe.db.commit()
		self.addCleanup(self.cancel, "Cost Center Allocation", doc.name)
		return centres

	def cancel(self, doctype, name):
		frappe.db.rollback()
		frappe.get_doc(doctype, name).cancel()
		frappe.db.commit()

	def test_shares_are_exact_on_every_account(self):
		tax = vat_template(self, 19)
		centres = self.allocate(33.33, 33.33, 33.34)
		for amount, net in (("10.00", "8.40"), ("0.05", "0.04"), ("20.01", "16.82"), ("0.01", "0.01")):
			with self.subTest(amount=amount):
				self.mark = frappe.utils.now()
				recharge, paid = self.recharged(amount), D(amount)
				taxes = {tax: D(net) - paid} if D(net) != paid else {}
				self.assertEqual(self.moved(), {CLEARING: paid, UNEARNED: -D(net), **taxes})
				used = frappe.get_all(
					"GL Entry",
					{"voucher_no": fields(recharge).sales_invoice, "account": ("in", (DEBTORS, UNEARNED))},
					pluck="cost_center",
					distinct=True,
				)
				self.assertLessEqual(set(used), set(centres))
				self.refunded(recharge, amount)
				self.assertEqual(self.moved(), {})
		self.mark = frappe.utils.now()
		recharge = self.recharged("10.00")
		name = self.disputed(recharge, "10.00")
		self.assertEqual(self.moved(), {CLEARING: -15, tax: D("-1.60"), LOSS: D("1.60"), FEES: 15})
		self.changed(name, status="Won", withdrawn=0, taken=0, fees=0)
		self.assertEqual(self.moved(), {CLEARING: 10, UNEARNED: D("-8.40"), tax: D("-1.60")})

	def test_seven_shares_of_a_few_cents(self):
		self.allocate(14.25, 14.25, 14.25, 14.25, 14.25, 14.25, 14.5)
		recharge = self.recharged("0.05")
		self.assertEqual(self.moved(), {CLEARING: D("0.05"), UNEARNED: D("-0.05")})
		self.refunded(recharge, "0.05")
		self.assertEqual(self.moved(), {})


class TestDimensions(LifeCase):
	def setUp(self):
		super().setUp()
		self.department = frappe.get_all("Department", {"company": COMPANY, "is_group": 0}, pluck="name")
		if len(self.department) < 2:
			for _n in range(2):
				self.department.append(
					self.insert(
						doctype="Department",
						department_name=f"D {frappe.generate_hash(length=5)}",
						company=COMPANY,
						parent_department="All Departments",
					).name
				)
		name = frappe.db.get_value("Accounting Dimension", {"document_type": "Department"})
		if not name:
			name = (
				frappe.get_doc({"doctype": "Accounting Dimension", "document_type": "Department"})
				.insert()
				.name
			)
		self.change("Accounting Dimension", name, disabled=0)
		self.dimension = frappe.get_doc("Accounting Dimension", name)
		self.detail = self.insert(
			doctype="Accounting Dimension Detail",
			parent=name,
			parenttype="Accounting Dimension",
			parentfield="dimension_defaults",
			company=COMPANY,
			reference_document="Department",
			default_dimension=self.department[0],
			mandatory_for_pl=1,
			mandatory_for_bs=1,
		)
		self.forget()
		self.addCleanup(self.forget)

	def forget(self):
		frappe.clear_cache()
		frappe.flags.accounting_dimensions = frappe.flags.accounting_dimensions_details = None

	def tearDown(self):
		frappe.db.rollback()
		frappe.db.set_value("Accounting Dimension", self.dimension.name, "disabled", 1)
		frappe.db.commit()
		self.forget()
		super().tearDown()

	def test_a_mandatory_one_stands_on_every_row(self):
		vat_template(self, 19)
		recharge = self.recharged("10.00")
		self.refunded(recharge, "3.33")
		name = self.disputed(recharge, "6.67")
		self.changed(name, status="Lost")
		rows = frappe.get_all(
			"GL Entry",
			{"company": COMPANY, "creation": (">=", self.mark)},
			["voucher_no", "account", "department"],
		)
		self.assertGreater(len(rows), 12)
		self.assertEqual([row for row in rows if row.department != self.department[0]], [])

	def test_what_follows_an_invoice_stands_where_the_invoice_stands(self):
		recharge = self.recharged("10.00")
		frappe.db.set_value(
			"Accounting Dimension Detail", self.detail.name, "default_dimension", self.department[1]
		)
		frappe.db.commit()
		self.forget()
		self.refunded(recharge, "4.00")
		self.disputed(recharge, "6.00")
		rows = frappe.get_all(
			"GL Entry", {"company": COMPANY, "creation": (">=", self.mark)}, pluck="department"
		)
		self.assertEqual(set(rows), {self.department[0]})

	def test_a_default_of_the_user_is_none_of_the_companys(self):
		frappe.db.set_value("Accounting Dimension Detail", self.detail.name, {"company": "Nobody"})
		self.user_default("department", self.department[1])
		self.forget()
		self.fresh_forms("Sales Invoice")
		self.lives()
		since = {"company": COMPANY, "creation": (">=", self.mark), "department": ("is", "set")}
		self.assertEqual(frappe.get_all("GL Entry", since, pluck="department"), [])

	def test_one_without_a_default_is_named(self):
		frappe.db.set_value("Accounting Dimension Detail", self.detail.name, "default_dimension", None)
		frappe.db.commit()
		self.forget()
		recharge = settled_recharge(account(), "10.00")
		self.assertEqual(posting.account_for(recharge), "Failed")
		for word in ("Department", "default"):
			self.assertIn(word, fields(recharge).accounting_error)
		self.assertEqual(documents_of(recharge), ([], []))


class TestClosedBooks(LifeCase):
	"""What may be opened again: the reason is clear, nothing is booked, and it is booked once it is open."""

	def waits(self, module, name: str, doctype: str, *words: str) -> None:
		before = self.moved()
		self.assertEqual(module.account_for(name), "Failed")
		row = frappe.db.get_value(doctype, name, ["accounting_error", "accounting_next_try_at"], as_dict=True)
		for word in words:
			self.assertIn(word, row.accounting_error)
		self.assertTrue(row.accounting_next_try_at)
		self.assertEqual(self.moved(), before)

	def test_a_closed_period_for_what_follows(self):
		recharge = self.recharged("10.00")
		today = frappe.utils.now_datetime().date()
		period = self.insert(
			doctype="Accounting Period",
			period_name=f"Closed {frappe.generate_hash(length=6)}",
			company=COMPANY,
			start_date=today,
			end_date=today,
			closed_documents=[
				{"document_type": doctype, "closed": 1} for doctype in ("Payment Entry", "Journal Entry")
			],
		)
		back, claim = refund(recharge, "4.00"), dispute(recharge, "6.00", fees=0)
		self.waits(refunds, back, "Recharge Refund", period.name, "Reopen the period")
		self.waits(disputes, claim, "Recharge Dispute", period.name, "Reopen the period")
		frappe.db.delete("Closed Document", {"parent": period.name})
		frappe.db.commit()
		self.done(refunds, back, "Recharge Refund")
		self.done(disputes, claim, "Recharge Dispute")
		self.assertEqual(self.moved(), {})

	def test_a_frozen_account_for_what_follows(self):
		recharge = self.recharged("10.00")
		self.change("Account", UNEARNED, freeze_account="Yes")
		if frappe.get_meta("Accounts Settings").has_field("frozen_accounts_modifier"):
			self.configure("Accounts Settings", frozen_accounts_modifier="Accounts Manager")
		back, claim = refund(recharge, "4.00"), dispute(recharge, "6.00", fees=0)
		self.waits(refunds, back, "Recharge Refund", UNEARNED, "frozen")
		self.waits(disputes, claim, "Recharge Dispute", UNEARNED, "frozen")
		self._write_record("Account", UNEARNED, {"freeze_account": "No"})
		self.done(refunds, back, "Recharge Refund")
		self.done(disputes, claim, "Recharge Dispute")

	def test_a_spent_budget(self):
		if not frappe.get_meta("Budget").has_field("accounts"):
			self.skipTest("ERPNext 16 keeps budgets otherwise")
		recharge = self.recharged("10.00")
		budget = frappe.get_doc(
			{
				"doctype": "Budget",
				"budget_against": "Cost Center",
				"cost_center": frappe.db.get_value("Company", COMPANY, "cost_center"),
				"company": COMPANY,
				"fiscal_year": frappe.db.get_value(
					"Fiscal Year",
					{"year_start_date": ("<=", nowdate()), "year_end_date": (">=", nowdate())},
				),
				"applicable_on_booking_actual_expenses": 1,
				"action_if_annual_budget_exceeded": "Stop",
				"action_if_accumulated_monthly_budget_exceeded": "Ignore",
				"accounts": [{"account": FEES, "budget_amount": 0.01}],
			}
		)
		budget.submit()
		frappe.db.commit()
		claim = dispute(recharge, "10.00")
		self.waits(disputes, claim, "Recharge Dispute", "Budget", "Raise the budget")
		budget.cancel()
		frappe.db.commit()
		self.done(disputes, claim, "Recharge Dispute")
		budget.delete()
		frappe.db.commit()


class TestOtherApps(LifeCase):
	def hook(self, doctype: str, event: str, handler) -> None:
		"""As if an app had this handler in its doc_events."""
		hooks = frappe.get_doc_hooks()
		handlers = hooks.setdefault(doctype, {}).setdefault(event, [])
		path = f"{__name__}.{handler.__name__}"
		handlers.append(path)
		self.addCleanup(handlers.remove, path)

	def test_documents_can_be_put_into_a_queue(self):
		QUEUED.clear()
		for doctype in ("Sales Invoice", "Payment Entry", "Journal Entry"):
			self.hook(doctype, "on_submit", queue)
		self.lives()
		self.assertEqual(set(QUEUED), {"Sales Invoice", "Payment Entry", "Journal Entry"})

	def test_an_invoice_that_was_changed_is_not_booked_and_the_difference_is_named(self):
		self.hook("Sales Invoice", "before_submit", spoil)
		recharge = settled_recharge(account(), "10.00")
		self.assertEqual(posting.account_for(recharge), "Failed")
		error = fields(recharge).accounting_error
		for word in (UNEARNED, "$ -9.00 instead of $ -10.00", "Server Scripts", "Nothing was booked"):
			self.assertIn(word, error)
		self.assertEqual(documents_of(recharge), ([], []))
		self.assertEqual(self.moved(), {})

	def test_a_credit_note_likewise(self):
		recharge = self.recharged("10.00")
		self.hook("Sales Invoice", "before_submit", spoil)
		name = refund(recharge, "9.50")
		self.assertEqual(refunds.account_for(name), "Failed")
		self.assertIn(UNEARNED, frappe.db.get_value("Recharge Refund", name, "accounting_error"))
		self.assertEqual(self.moved(), {CLEARING: 10, UNEARNED: -10})

	def test_a_journal_entry_likewise(self):
		recharge = self.recharged("10.00")
		self.hook("Journal Entry", "before_submit", wrong_account)
		name = dispute(recharge, "10.00")
		self.assertEqual(disputes.account_for(name), "Failed")
		self.assertIn("Cash - RB", frappe.db.get_value("Recharge Dispute", name, "accounting_error"))
		self.assertEqual(self.moved(), {CLEARING: 10, UNEARNED: -10})

	def test_documents_found_are_believed_only_as_far_as_the_ledger_goes(self):
		recharge = self.recharged("10.00")
		row = fields(recharge)
		frappe.db.set_value("Recharge", recharge, {"accounting_status": "Pending", "sales_invoice": None})
		# Somebody has moved the liability behind the document's back.
		frappe.db.sql(
			"UPDATE `tabGL Entry` SET `account` = 'Cash - RB' WHERE `voucher_no` = %s AND `account` = %s",
			(row.sales_invoice, UNEARNED),
		)
		frappe.db.commit()
		self.assertEqual(posting.account_for(recharge), "Failed")
		self.assertIn(UNEARNED, fields(recharge).accounting_error)
		self.assertEqual(ledger(row.payment_entry)[CLEARING], (D(10), D(10)))
