"""Customers with an account, an owner who can log in, teams, cards, and auto-recharge switched on."""

import csv
from pathlib import Path

import frappe

from demo.gateway import STORIES, Gateway
from demo.logins import make_owner
from demo.stage import COMPANY

OPENING = "500"
FALLS_BELOW, RECHARGE_UP_TO = "50", "500"


def set_up_books():
	"""Installing does this for each company; a demo site from an older version may lack some of it."""
	from crm_recharge.accounting.setup import setup_all_companies

	setup_all_companies()
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def make_masters(prices: Path) -> dict[str, str]:
	"""Usage categories by the price list, and the integrator's user. Returns its Authorization header."""
	for row in csv.DictReader(prices.open(newline="")):
		if not frappe.db.exists("Usage Category", row["category"]):
			frappe.get_doc(
				{
					"doctype": "Usage Category",
					"category_name": row["category"],
					"unit": row["unit"],
					"unit_price": row["unit_price"],
					"currency": row["currency"],
				}
			).insert()
	email = "usage-meter@acme-cloud.example"
	if not frappe.db.exists("User", email):
		user = frappe.get_doc(
			{
				"doctype": "User",
				"email": email,
				"first_name": "Usage meter",
				"send_welcome_email": 0,
				"roles": [{"role": "Credit API"}],
			}
		).insert()
	user = frappe.get_doc("User", email)
	user.api_key = user.api_key or frappe.generate_hash(length=15)
	user.api_secret = secret = frappe.generate_hash(length=15)
	user.save()
	return {"Authorization": f"token {user.api_key}:{secret}"}


def make_account(label: str, teams: set[str], gateway: Gateway) -> frappe._dict:
	"""A customer with an account, an owner, teams, cards and auto recharge switched on."""
	story, cards = STORIES.get(label.rsplit("-", 1)[-1], STORIES["healthy"])
	runs = frappe.db.count("Customer", {"customer_name": ["like", f"{label}%"]})
	name = label if not runs else f"{label} ({runs + 1})"
	customer = frappe.get_doc(
		{"doctype": "Customer", "customer_name": name, "customer_type": "Company", "email_id": None}
	).insert()
	account = frappe.get_doc(
		{
			"doctype": "Credit Account",
			"customer": customer.name,
			"company": COMPANY,
			"currency": "USD",
			"account_owner": make_owner(label),
		}
	).insert()
	for team in teams:
		frappe.get_doc({"doctype": "Credit Team", "team_name": team, "credit_account": account.name}).insert()
	names = [gateway.save_card(account.name, card) for card in cards]
	switch_on(account.name, names)
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()
	return frappe._dict(label=label, story=story, account=account.name)


def switch_on(account: str, cards: list[str]):
	"""Opening balance and auto recharge. Counts an hour and a day are lifted: weeks pass in a minute here."""
	from crm_recharge.api import credits, recharge

	credits.adjust(account, OPENING, note="Opening balance brought forward", idempotency_key="opening")
	recharge.set_auto_recharge(
		account,
		enabled=1,
		falls_below=FALLS_BELOW,
		recharge_up_to=RECHARGE_UP_TO,
		cards=cards,
		caps={"cap_count_hour": 0, "cap_count_day": 0},
	)
