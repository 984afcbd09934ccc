"""One record of every DocType of the app, of one customer with one account, put straight into the tables."""

import frappe
from frappe.utils import now_datetime

from crm_recharge.doors import records
from crm_recharge.doors.guard import by_machine
from crm_recharge.tests import factories
from crm_recharge.tests.support.reorder_case import make_buyer, make_item


def of_a_customer(**account) -> dict[str, str]:
	"""DocType → the name of a new record of it: an account of a new customer, and all that hangs on the two."""
	customer, contact = make_buyer()
	account = factories.make_account(customer, **account)
	own = frappe.db.get_value("Credit Account", account, ["customer", "company", "currency"], as_dict=True)
	made = {"Customer": customer, "Credit Account": account, "Credit Team": factories.make_team(account)}
	made["Recharge Card"] = card_of(account)
	made["Auto-Recharge Setting"] = factories.make_setting(account, [made["Recharge Card"]], enabled=0)
	made["Auto-Recharge Card"] = frappe.db.get_value(
		"Auto-Recharge Card", {"parent": made["Auto-Recharge Setting"]}
	)
	made["Recharge"] = (
		frappe.get_doc({"doctype": "Recharge", "credit_account": account, "amount": 20}).insert().name
	)
	made["Gateway Event"] = _event(account)
	made["Usage Category"] = factories.make_category()
	made["Item"] = make_item()
	made["Reorder Rule"] = _rule(made["Item"])
	values = {"credit_account": account, "recharge": made["Recharge"], "status": "Open", **own}
	values |= {"contact": contact, "email": frappe.db.get_value("Contact", contact, "email_id")}
	values |= {
		"item_code": made["Item"],
		"contact_name": frappe.db.get_value("Contact", contact, "full_name"),
	}
	for doctype in (*records.OF_AN_ACCOUNT, *records.OF_A_CUSTOMER, *records.OF_ALL):
		if doctype not in made:
			made[doctype] = _plain(doctype, values)
	for doctype, parent in records.ROWS.items():
		if doctype not in made and not frappe.get_meta(parent).issingle:
			made[doctype] = _row(doctype, parent, made[parent])
	return made


def card_of(account: str) -> str:
	"""A card of `account`, as the gateway would have told of it."""
	card = by_machine(frappe.new_doc("Recharge Card"))
	card.update({"credit_account": account, "payment_method": f"pm_{frappe.generate_hash(length=16)}"})
	card.update({"brand": "visa", "last4": "4242", "fingerprint": frappe.generate_hash(length=12)})
	return card.insert(ignore_permissions=True).name


def _plain(doctype: str, values: dict) -> str:
	doc = frappe.new_doc(doctype)
	fields = records.fields_of(doctype)
	doc.update({field: value for field, value in values.items() if field in fields})
	if doctype in (
		"Recharge Refund",
		"Recharge Dispute",
		"Reorder Message",
		"Reorder Reminder",
		"Reorder Run",
	):
		doc.status = (fields["status"].get("options") or "").strip().split("\n")[0]
	for unique in ("request_key", "mark", "scope_key", "gateway_refund"):
		if unique in fields:
			doc.set(unique, frappe.generate_hash(length=20))
	doc.name = frappe.generate_hash(length=12)
	doc.set_user_and_timestamp()
	# Past the controller: the ledger writes itself with SQL alone.
	super(type(doc), doc).db_insert() if doctype != "Credit Ledger" else _ledger_row(doc)
	return doc.name


def _ledger_row(doc) -> None:
	"""A row of the ledger is what a grant writes."""
	doc.name = factories.give(doc.credit_account, 100)["entry"]


def _event(account: str) -> str:
	customer = f"cus_{frappe.generate_hash(length=12)}"
	frappe.db.set_value("Credit Account", account, "gateway_customer", customer)
	doc = frappe.new_doc("Gateway Event")
	doc.update({"event_type": "payment_intent.succeeded", "event_created": now_datetime()})
	doc.update({"gateway": "Stripe", "kind": "payment", "gateway_customer": customer})
	doc.payload = frappe.as_json({"data": {"object": {"id": "pi_x", "customer": customer}}})
	doc.name = f"evt_{frappe.generate_hash(length=16)}"
	doc.set_user_and_timestamp()
	doc.db_insert()
	return doc.name


def _rule(item: str) -> str:
	rule = {"doctype": "Reorder Rule", "applies_to": "Item", "item_code": item}
	return frappe.get_doc(rule).insert(ignore_permissions=True).name


def _row(doctype: str, parent: str, name: str) -> str:
	field = next(
		field
		for field, row in records.fields_of(parent).items()
		if row["fieldtype"] == "Table" and row["options"] == doctype
	)
	row = frappe.new_doc(doctype)
	row.update({"parent": name, "parenttype": parent, "parentfield": field, "idx": 1})
	if "company" in records.fields_of(doctype):
		row.company = frappe.get_all("Company", pluck="name", order_by="creation", limit=1)[0]
	if "cycle_key" in records.fields_of(doctype):
		row.cycle_key = frappe.generate_hash(length=20)
	row.name = frappe.generate_hash(length=12)
	row.set_user_and_timestamp()
	row.db_insert()
	return row.name
