"""The shop: fiscal years, items with prices and stock, customers with a contact and an address."""

import csv
import sys
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import frappe
from frappe.utils import getdate, nowdate

from demo.stage import COMPANY

OUT_OF_STOCK = "Vacuum Bags"


def read_orders(path: Path) -> dict[str, list[dict]]:
	"""Rows by order. Ends the demo with the line when a row is bad."""
	orders = defaultdict(list)
	with path.open(newline="") as file:
		for number, row in enumerate(csv.DictReader(file), 2):
			try:
				row["days_ago"], row["quantity"], row["rate"] = (
					int(row["days_ago"]),
					float(row["quantity"]),
					float(row["rate"]),
				)
				if row["days_ago"] < 1 or not row["quantity"] or not row["customer"] or not row["item"]:
					raise ValueError("a day to come, a quantity of zero, or a name is missing")
			except (KeyError, TypeError, ValueError) as error:
				sys.exit(f"{path}, line {number}: {error}: {row}")
			orders[row["order"]].append(row)
	return orders


def insert(doctype: str, name: str, **values) -> str:
	"""A record, unless it is there."""
	if not frappe.db.exists(doctype, name):
		frappe.get_doc({"doctype": doctype, **values}).insert(ignore_permissions=True)
	return name


def make_shop(orders: dict[str, list[dict]]):
	"""Fiscal years, item groups, items with prices and stock, customers."""
	from crm_recharge.tests.support.reorder_case import make_fiscal_years

	rows = [row for order in orders.values() for row in order]
	today = getdate(nowdate())
	make_fiscal_years(first=(today - timedelta(days=max(row["days_ago"] for row in rows))).year)
	for group in sorted({row["item_group"] for row in rows}):
		insert("Item Group", group, item_group_name=group, parent_item_group="All Item Groups", is_group=0)
	goods = []
	for row in {row["item"]: row for row in rows if row["quantity"] > 0}.values():
		is_goods = row["kind"] == "goods"
		if not frappe.db.exists("Item", row["item"]):
			insert(
				"Item",
				row["item"],
				item_code=row["item"],
				item_group=row["item_group"],
				stock_uom="Nos",
				is_stock_item=int(is_goods),
			)
			price = {"price_list": "Standard Selling", "price_list_rate": row["rate"]}
			frappe.get_doc({"doctype": "Item Price", "item_code": row["item"], **price}).insert()
			if is_goods and row["item"] != OUT_OF_STOCK:
				goods.append(row["item"])
	if goods:
		fill_stock(goods)
	for name in names(orders):
		insert("Customer", name, customer_name=name, customer_type="Individual")
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def names(orders: dict[str, list[dict]]) -> list[str]:
	"""The customers of the orders."""
	return sorted({rows[0]["customer"] for rows in orders.values()})


def address_of(name: str) -> str:
	"""The e-mail address of a customer."""
	return f"{'.'.join(name.lower().split())}@customer.example"


def fill_stock(items: list[str]):
	warehouse = frappe.get_all(
		"Warehouse", {"company": COMPANY, "is_group": 0, "warehouse_name": "Stores"}, pluck="name"
	)[0]
	entry = frappe.get_doc(
		{"doctype": "Stock Entry", "stock_entry_type": "Material Receipt", "company": COMPANY}
	)
	for item in items:
		entry.append("items", {"item_code": item, "qty": 500, "t_warehouse": warehouse, "basic_rate": 5})
	entry.insert().submit()


def make_people(orders: dict[str, list[dict]]):
	"""Each customer's contact and address; and the login of one."""
	for name in names(orders):
		if not frappe.db.get_value("Customer", name, "customer_primary_contact"):
			_make_person(name)
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def _make_person(name: str):
	first, _, last = name.partition(" ")
	link = [{"link_doctype": "Customer", "link_name": name}]
	contact = frappe.get_doc(
		{
			"doctype": "Contact",
			"first_name": first,
			"last_name": last,
			"is_primary_contact": 1,
			"email_ids": [{"email_id": address_of(name), "is_primary": 1}],
			"links": link,
		}
	).insert()
	address = frappe.get_doc(
		{
			"doctype": "Address",
			"address_title": name,
			"address_type": "Shipping",
			"address_line1": "1 Market Street",
			"city": "Springfield",
			"country": "United States",
			"links": link,
		}
	).insert()
	frappe.db.set_value(
		"Customer", name, {"customer_primary_contact": contact.name, "customer_primary_address": address.name}
	)
