"""Small makers of the records that tests of several rooms need."""

from unittest.mock import patch

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


def make_user(*roles: str, **values) -> str:
	"""A new enabled user with `roles`; returns the name, an address nobody else has."""
	user = frappe.new_doc("User")
	user.update(
		{
			"email": f"{frappe.generate_hash(length=12)}@test.example",
			"first_name": "Test",
			"send_welcome_email": 0,
			"roles": [{"role": role} for role in roles],
			**values,
		}
	)
	user.flags.no_welcome_mail = True
	# Frappe makes sixty users an hour at most, unless they are imported.
	with patch.dict(frappe.flags, in_import=True):
		user.insert(ignore_permissions=True)
	return user.name


def make_category(unit_price="0.0004", currency="USD", **values) -> str:
	"""A new usage category; returns its name."""
	category = frappe.new_doc("Usage Category")
	category.update(
		{
			"category_name": f"Test {frappe.generate_hash(length=10)}",
			"unit": "piece",
			"currency": currency,
			"unit_price": unit_price,
			**values,
		}
	)
	return category.insert(ignore_permissions=True).name


def make_team(account: str, **values) -> str:
	"""A new team of `account`; returns its name."""
	team = frappe.new_doc("Credit Team")
	team.update({"credit_account": account, "team_name": f"Team {frappe.generate_hash(length=8)}", **values})
	return team.insert(ignore_permissions=True).name


def give(account: str, amount) -> dict:
	"""Grant `amount` credits to `account`."""
	from crm_recharge.credits import ledger

	return ledger.grant(account, amount, frappe.generate_hash(length=16), "test")


def make_card(account: str, stand_in, number: str = "4242424242424242", **more) -> str:
	"""A card of `account` saved through the gateway, which must be the stand-in; returns the Recharge Card."""
	from crm_recharge.recharge import cards

	method = stand_in.make_card(cards.gateway_customer(account), number, **more)
	return cards.save(account, method)


def make_setting(account: str, cards=(), enabled: int = 1, **values) -> str:
	"""An auto-recharge setting of `account` with `cards` in their order; returns its name."""
	setting = frappe.new_doc("Auto-Recharge Setting")
	setting.update(
		{"credit_account": account, "enabled": enabled, "cards": [{"card": card} for card in cards], **values}
	)
	return setting.insert(ignore_permissions=True).name
