"""People who can log in, and where: the last lines of the demo."""

import frappe
from frappe.utils.password import update_password

from demo.progress import say
from demo.stage import URL

PASSWORD = "demo-Customer-1"
MANAGER = "manager@acme-cloud.example"
WORKSPACE = "CRM Recharge"


def make_owner(label: str) -> str:
	"""A customer's person who owns an account: no desk, a password that is printed at the end."""
	email = f"owner.{label}@customer.example"
	return make_person(email, f"Owner of {label}")


def make_person(email: str, name: str) -> str:
	"""A website user with the demo's password."""
	if not frappe.db.exists("User", email):
		frappe.get_doc(
			{
				"doctype": "User",
				"email": email,
				"first_name": name,
				"user_type": "Website User",
				"send_welcome_email": 0,
			}
		).insert(ignore_permissions=True)
	update_password(email, PASSWORD)
	return email


def make_buyer(email: str):
	"""Let a customer of the shop log in: by the customer's *Portal Users*, which staff alone write."""
	customer = frappe.db.get_value("Reorder Preference", {"email": email}, "customer")
	doc = frappe.get_doc("Customer", customer)
	if not any(row.user == email for row in doc.portal_users):
		doc.append("portal_users", {"user": make_person(email, customer)})
		doc.save()
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def make_manager():
	"""Somebody of the company who manages credits and reminders, and may do nothing else there is in the desk."""
	user = frappe.get_doc("User", make_person(MANAGER, "Credit manager"))
	user.add_roles("Credit Manager", "Reorder Manager", "Sales User", "Accounts User")
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def open_on_workspace():
	"""The desk opens on the app's workspace."""
	for user in ("Administrator", MANAGER):
		frappe.db.set_value("User", user, "default_workspace", WORKSPACE)
		frappe.clear_cache(user=user)
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def tell(served: bool):
	"""The addresses, with who may log in there; and how to have them served where they are not."""
	host = URL if served else ""
	desk = f"{host}/app/{frappe.scrub(WORKSPACE).replace('_', '-')}"
	rows = [("the desk", desk, "Administrator", "admin"), ("as a credit manager", desk, MANAGER, PASSWORD)]
	if owner := _an_owner():
		rows.append(("a customer's credits", f"{host}/credits", owner, PASSWORD))
	buyer = frappe.db.get_value(
		"Portal User", {"parenttype": "Customer", "user": ["like", "%@customer.example"]}, "user"
	)
	if buyer:
		rows.append(("a customer's reorders", f"{host}/reorders", buyer, PASSWORD))
	say()
	if not served:
		say("./dev/demo --look serves this site. Who may log in there, and where:")
	wide = max(len(address) for _, address, _, _ in rows)
	for what, address, user, password in rows:
		say(f"{what + ':':<23} {address:<{wide}}  login: {user}   password: {password}")


def _an_owner() -> str | None:
	"""Of an account that was recharged of late."""
	recharged = frappe.get_all(
		"Recharge", {"status": "Succeeded"}, pluck="credit_account", order_by="settled_at desc", limit=1
	)
	return frappe.db.get_value("Credit Account", recharged[0], "account_owner") if recharged else None
