"""The base of bench tests of reorder reminders: items, customers with a contact, invoices on past days."""

import datetime
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import getdate, nowdate

from crm_recharge.tests.compat import BenchTestCase, sell_by_pos_invoice
from crm_recharge.tests.factories import make_customer

FIRST_YEAR = 2004
SALES, POS, DELIVERY = "Sales Invoice", "POS Invoice", "Delivery Note"


class ReorderCase(BenchTestCase):
	"""Makes what it needs under names of its own; days are given as "so many days ago"."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		cls.company = first_company()
		make_fiscal_years()
		cls.taxes = without_default_taxes(cls.company)
		frappe.db.commit()

	@classmethod
	def tearDownClass(cls):
		frappe.db.rollback()
		for template in cls.taxes:
			frappe.db.set_value("Sales Taxes and Charges Template", template, "is_default", 1)
		frappe.db.commit()
		super().tearDownClass()

	def setUp(self):
		super().setUp()
		frappe.set_user("Administrator")
		# What learning would have a worker do; tests call `settle` where they mean it.
		self.jobs: list[tuple] = []
		quiet = patch(
			"crm_recharge.reorder.learning.customers._enqueue",
			lambda method, label, **arguments: self.jobs.append((label, arguments)),
		)
		quiet.start()
		self.addCleanup(quiet.stop)

	def settle(self, customer: str) -> None:
		"""Commit, and do what a worker would: pairs to work out anew, forecasts, the Customer's own fields."""
		from crm_recharge.reorder.learning import repair

		repair.settle(customer)

	def day(self, ago: int) -> datetime.date:
		return day(ago)

	def days_of(self, customer: str, item: str | None = None) -> list[tuple]:
		"""(item, day, quantity) of the customer's Reorder Purchase Days, in order."""
		return purchase_days(customer, item)

	def reminder(self, customer: str, item: str):
		"""The Reorder Reminder of a pair as it is now, or None."""
		name = frappe.db.get_value("Reorder Reminder", {"customer": customer, "item_code": item})
		return frappe.get_doc("Reorder Reminder", name) if name else None


def without_default_taxes(company: str) -> list[str]:
	"""Let no template of taxes apply by itself, so that totals are what the items cost; returns those that did."""
	found = frappe.get_all(
		"Sales Taxes and Charges Template", {"company": company, "is_default": 1}, pluck="name"
	)
	for template in found:
		frappe.db.set_value("Sales Taxes and Charges Template", template, "is_default", 0)
	return found


def first_company() -> str:
	"""The company that was made first."""
	return frappe.get_all("Company", pluck="name", order_by="creation", limit=1)[0]


def day(ago: int) -> datetime.date:
	"""The day `ago` days before today, in the site's time zone; negative: to come."""
	return getdate(nowdate()) - datetime.timedelta(days=ago)


def make_fiscal_years(first: int = FIRST_YEAR, last: int | None = None) -> None:
	"""Fiscal years for invoices of the past and of next year; those that exist stay."""
	for year in range(first, (last or getdate(nowdate()).year + 1) + 1):
		middle = f"{year}-07-01"
		if frappe.db.exists(
			"Fiscal Year", {"year_start_date": ["<=", middle], "year_end_date": [">=", middle]}
		):
			continue
		frappe.get_doc(
			{
				"doctype": "Fiscal Year",
				"year": f"R{year}",
				"year_start_date": f"{year}-01-01",
				"year_end_date": f"{year}-12-31",
			}
		).insert(ignore_permissions=True)
	# ERPNext looks fiscal years up in the cache first.
	frappe.cache.hdel("fiscal_years", first_company())


def make_group(**values) -> str:
	"""A new item group under the root; returns its name."""
	group = frappe.new_doc("Item Group")
	group.update(
		{
			"item_group_name": f"Group {frappe.generate_hash(length=8)}",
			"parent_item_group": frappe.get_all(
				"Item Group", {"parent_item_group": ["in", ["", None]]}, pluck="name", limit=1
			)[0],
			"is_group": 0,
			**values,
		}
	)
	return group.insert(ignore_permissions=True).name


def make_item(price="10", **values) -> str:
	"""A new item, by default one without stock (invoices need none) sold at `price`; returns its code."""
	item = frappe.new_doc("Item")
	code = f"Item {frappe.generate_hash(length=10)}"
	item.update(
		{
			"item_code": code,
			"item_name": values.get("item_name") or f"Name of {code}",
			"item_group": frappe.get_all(
				"Item Group", {"is_group": 0}, pluck="name", limit=1, order_by="creation"
			)[0],
			"stock_uom": "Nos",
			"is_stock_item": 0,
			**values,
		}
	)
	item.insert(ignore_permissions=True)
	if price is not None:
		set_price(item.name, price)
	return item.name


def make_bundle(contents: dict, price="30", **values) -> str:
	"""A Product Bundle of {item: quantity}; returns the code of its item."""
	bundle = make_item(price, **values)
	frappe.get_doc(
		{
			"doctype": "Product Bundle",
			"new_item_code": bundle,
			"items": [{"item_code": item, "qty": quantity} for item, quantity in contents.items()],
		}
	).insert(ignore_permissions=True)
	return bundle


def set_price(item: str, price, price_list: str = "Standard Selling") -> str:
	"""A selling price of `item`; returns the Item Price."""
	row = frappe.new_doc("Item Price")
	row.update({"item_code": item, "price_list": price_list, "price_list_rate": float(Decimal(str(price)))})
	return row.insert(ignore_permissions=True).name


def add_stock(item: str, quantity: float, warehouse: str | None = None, rate: float = 5) -> str:
	"""Take `quantity` of a stock item into a warehouse of the first company; returns the warehouse."""
	company = first_company()
	warehouse = (
		warehouse
		or frappe.get_all(
			"Warehouse",
			{"company": company, "is_group": 0, "warehouse_name": "Stores"},
			pluck="name",
			limit=1,
		)[0]
	)
	entry = frappe.new_doc("Stock Entry")
	entry.update({"stock_entry_type": "Material Receipt", "company": company})
	entry.append("items", {"item_code": item, "qty": quantity, "t_warehouse": warehouse, "basic_rate": rate})
	entry.insert(ignore_permissions=True).submit()
	return warehouse


def make_contact(customer: str, email: str | None = None, primary: bool = True, **values) -> str:
	"""A new contact of `customer` with an address nobody else has; returns its name."""
	contact = frappe.new_doc("Contact")
	contact.update({"first_name": "Test", "last_name": frappe.generate_hash(length=8), **values})
	contact.append(
		"email_ids", {"email_id": email or f"{frappe.generate_hash(length=12)}@test.example", "is_primary": 1}
	)
	contact.append("links", {"link_doctype": "Customer", "link_name": customer})
	contact.insert(ignore_permissions=True)
	if primary:
		frappe.db.set_value("Customer", customer, "customer_primary_contact", contact.name)
		frappe.clear_document_cache("Customer", customer)
	return contact.name


def make_buyer(**values) -> tuple[str, str]:
	"""A new customer with a primary contact; returns (customer, contact)."""
	customer = make_customer(**values)
	return customer, make_contact(customer)


def make_invoice(
	customer: str,
	items: dict | list,
	on: datetime.date | int = 0,
	doctype: str = SALES,
	submit: bool = True,
	**values,
):
	"""A submitted invoice, or Delivery Note.

	Args:
		items: {item: quantity}, [item, …] of one each, or rows as dicts.
		on: its day, or how many days ago.
		doctype: Sales Invoice, Delivery Note or POS Invoice (which makes a profile and opens the till when needed).
		submit: False leaves a draft.
		values: other fields.
	"""
	if isinstance(items, list):
		items = [row if isinstance(row, dict) else {"item_code": row} for row in items]
	else:
		items = [{"item_code": item, "qty": quantity} for item, quantity in items.items()]
	invoice = frappe.new_doc(doctype)
	invoice.update(
		{
			"company": first_company(),
			"customer": customer,
			"posting_date": day(on) if isinstance(on, int) else on,
			"set_posting_time": 1,
			**values,
		}
	)
	for row in items:
		invoice.append("items", {"qty": 1, "rate": 10, **row})
	if doctype == POS:
		_ready_for_pos(invoice)
	if doctype != DELIVERY:
		invoice.due_date = invoice.posting_date
	invoice.insert(ignore_permissions=True)
	if submit:
		invoice.submit()
	return invoice


def make_delivery(
	customer: str, items: dict | list, on: datetime.date | int = 0, submit: bool = True, **values
):
	"""A submitted Delivery Note, its arguments as those of `make_invoice`."""
	return make_invoice(customer, items, on, DELIVERY, submit, **values)


def bill(delivery, on: datetime.date | int | None = None, quantities: dict | None = None, **values):
	"""A submitted Sales Invoice of what a Delivery Note delivered, or of {item: quantity} of it."""
	from erpnext.stock.doctype.delivery_note.delivery_note import make_sales_invoice

	return _made_from(make_sales_invoice(delivery.name), on, quantities, **values)


def deliver(invoice, on: datetime.date | int | None = None, quantities: dict | None = None, **values):
	"""A submitted Delivery Note of what a Sales Invoice billed, or of {item: quantity} of it."""
	from erpnext.accounts.doctype.sales_invoice.sales_invoice import make_delivery_note

	return _made_from(make_delivery_note(invoice.name), on, quantities, **values)


def _made_from(document, on, quantities, rate=None, **values):
	for row in list(document.items):
		row.rate = row.rate if rate is None else rate
		if quantities is not None and row.item_code not in quantities:
			document.remove(row)
		elif quantities is not None:
			row.qty = quantities[row.item_code]
	if on is not None:
		document.update({"set_posting_time": 1, "posting_date": day(on) if isinstance(on, int) else on})
		document.due_date = document.posting_date
	document.update(values)
	document.set("payment_schedule", [])
	document.insert(ignore_permissions=True)
	document.submit()
	return document


def make_return(invoice, quantities: dict | None = None, on: datetime.date | int | None = None, **values):
	"""A submitted return against `invoice`, of all of it or of {item: quantity}."""
	from erpnext.controllers.sales_and_purchase_return import make_return_doc

	document = make_return_doc(invoice.doctype, invoice.name)
	if quantities is not None:
		for row in list(document.items):
			if row.item_code in quantities:
				row.qty = -abs(quantities[row.item_code])
			else:
				document.remove(row)
	document.update(
		{
			"set_posting_time": 1,
			"posting_date": invoice.posting_date if on is None else day(on) if isinstance(on, int) else on,
			**values,
		}
	)
	document.due_date = document.posting_date
	if document.doctype == POS:
		document.set("payments", [])
		document.run_method("calculate_taxes_and_totals")
		document.append("payments", {"mode_of_payment": "Cash", "amount": document.grand_total})
	document.insert(ignore_permissions=True)
	document.submit()
	return document


def _ready_for_pos(invoice) -> None:
	"""Payment, profile and an open till, as a POS Invoice needs them."""
	sell_by_pos_invoice()
	invoice.is_pos = 1
	invoice.pos_profile = pos_profile()
	open_till(invoice.pos_profile)
	if not invoice.get("payments"):
		total = sum(row.qty * row.rate for row in invoice.items)
		invoice.append("payments", {"mode_of_payment": "Cash", "amount": total})


def pos_profile() -> str:
	"""The tests' POS profile, made when there is none."""
	name, company = "Reorder Tests", first_company()
	if frappe.db.exists("POS Profile", name):
		return name
	mode = frappe.get_doc("Mode of Payment", "Cash")
	cash = frappe.get_all(
		"Account", {"company": company, "account_type": "Cash", "is_group": 0}, pluck="name", limit=1
	)[0]
	if not any(row.company == company for row in mode.accounts):
		mode.append("accounts", {"company": company, "default_account": cash})
		mode.save(ignore_permissions=True)
	abbr = frappe.get_cached_value("Company", company, "abbr")
	profile = frappe.new_doc("POS Profile")
	profile.update(
		{
			"name": name,
			"company": company,
			"currency": frappe.get_cached_value("Company", company, "default_currency"),
			"warehouse": frappe.get_all(
				"Warehouse", {"company": company, "is_group": 0}, pluck="name", limit=1
			)[0],
			"selling_price_list": "Standard Selling",
			"write_off_account": frappe.get_cached_value("Company", company, "write_off_account")
			or f"Write Off - {abbr}",
			"write_off_cost_center": frappe.get_cached_value("Company", company, "cost_center"),
			"payments": [{"mode_of_payment": "Cash", "default": 1}],
		}
	)
	return profile.insert(ignore_permissions=True, set_name=name).name


def open_till(profile: str) -> str:
	"""An open POS Opening Entry of today for the profile; returns its name."""
	standing = frappe.db.get_value(
		"POS Opening Entry", {"pos_profile": profile, "status": "Open", "docstatus": 1}
	)
	if standing:
		return standing
	entry = frappe.new_doc("POS Opening Entry")
	entry.update(
		{
			"pos_profile": profile,
			"user": "Administrator",
			"company": first_company(),
			"period_start_date": frappe.utils.now_datetime(),
			"balance_details": [{"mode_of_payment": "Cash", "opening_amount": 0}],
		}
	)
	entry.insert(ignore_permissions=True).submit()
	return entry.name


def purchase_days(customer: str, item: str | None = None) -> list[tuple]:
	"""(item, day, quantity as Decimal) of Reorder Purchase Day, in order."""
	rows = frappe.db.sql(
		"SELECT `item_code`, `day`, CAST(`quantity` AS CHAR) FROM `tabReorder Purchase Day`"
		" WHERE `customer` = %(customer)s AND (%(item)s IS NULL OR `item_code` = %(item)s)"
		" ORDER BY `item_code`, `day`",
		{"customer": customer, "item": item},
	)
	return [(code, on, Decimal(quantity)) for code, on, quantity in rows]


def write_invoices(lines: list[tuple], doctype: str = SALES, company: str | None = None) -> int:
	"""Invoices straight into the tables, without hooks or ledgers: what history reads, thousands a second.

	Args:
		lines: (customer, item, day, quantity); those of one customer and day become one submitted invoice.

	Returns:
		how many invoices.
	"""
	company = company or first_company()
	now, prefix = frappe.utils.now(), frappe.generate_hash(length=6)
	parents: dict[tuple, str] = {}
	rows = []
	for customer, item, on, quantity in lines:
		name = parents.setdefault((customer, on), f"R-{prefix}-{len(parents)}")
		rows.append((frappe.generate_hash(length=12), name, customer, item, on, quantity))
	common = (now, now, "Administrator", "Administrator")
	frappe.db.bulk_insert(
		doctype,
		[
			"name",
			"creation",
			"modified",
			"owner",
			"modified_by",
			"docstatus",
			"customer",
			"company",
			"posting_date",
			"is_opening",
			"is_return",
			"currency",
			"conversion_rate",
		],
		[
			(name, *common, 1, customer, company, on, "No", 0, "USD", 1)
			for (customer, on), name in parents.items()
		],
		chunk_size=5000,
	)
	frappe.db.bulk_insert(
		f"{doctype} Item",
		[
			"name",
			"creation",
			"modified",
			"owner",
			"modified_by",
			"docstatus",
			"parent",
			"parenttype",
			"parentfield",
			"idx",
			"item_code",
			"item_name",
			"qty",
			"stock_qty",
			"uom",
			"stock_uom",
			"conversion_factor",
			"rate",
			"base_net_rate",
			"base_net_amount",
		],
		[
			(row, *common, 1, name, doctype, "items", 1, item, item, q, q, "Nos", "Nos", 1, 10, 10, 10 * q)
			for row, name, _, item, _, q in rows
		],
		chunk_size=5000,
	)
	return len(parents)
