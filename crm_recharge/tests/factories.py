"""Small makers of the records that tests of several rooms need."""

import frappe


def make_customer(**values) -> str:
	"""A new customer under a name of its own; returns the name."""
	customer = frappe.new_doc("Customer")
	customer.update(
		{
			"customer_name": f"Test Customer {frappe.generate_hash(length=10)}",
			"customer_type": "Company",
			"customer_group": frappe.get_all("Customer Group", {"is_group": 0}, pluck="name", limit=1)[0],
			"territory": frappe.get_all("Territory", {"is_group": 0}, pluck="name", limit=1)[0],
			**values,
		}
	)
	customer.insert(ignore_permissions=True)
	return customer.name


def make_account(customer: str | None = None, company: str | None = None, currency="USD", **values) -> str:
	"""A new credit account, by default of a new customer in the first company; returns its name."""
	account = frappe.new_doc("Credit Account")
	account.update(
		{
			"customer": customer or make_customer(),
			"company": company or frappe.get_all("Company", pluck="name", order_by="creation", limit=1)[0],
			"currency": currency,
			**values,
		}
	)
	account.insert(ignore_permissions=True)
	return account.name
