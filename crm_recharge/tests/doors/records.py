"""Two customers with a record of every DocType of the app, each record marked with words that occur nowhere else.

What an answer shows of a record is seen by those words; what a request changed, by comparing rows. Everything is
committed, since the probes roll back; `World.remove` takes it away again.
"""

from functools import cached_property

import frappe
from frappe.utils import add_days, now_datetime, nowdate

from crm_recharge.credits import ledger
from crm_recharge.doors.guard import by_machine
from crm_recharge.tests.factories import make_customer, make_team
from crm_recharge.tests.support.reorder_case import make_item

OWN, FOREIGN, ELSEWHERE = "own", "foreign", "elsewhere"


def raw(doctype: str, name: str | None = None, **values) -> str:
	"""Insert a row past its controller, as the app's own workers would have written it; returns its name."""
	doc = frappe.new_doc(doctype)
	doc.update(values)
	# Not of digits alone: Frappe reads a filter that is one as a number.
	doc.name = name or f"r{frappe.generate_hash(length=12)}"
	doc.owner = doc.modified_by = "Administrator"
	doc.creation = doc.modified = now_datetime()
	row = {column: value for column, value in doc.get_valid_dict().items() if value is not None}
	table = frappe.qb.DocType(doctype)
	frappe.qb.into(table).columns(*row).insert(*row.values()).run()
	return doc.name


class Side:
	"""One customer with everything that hangs on it. `names[doctype]` are its records, the usual one first."""

	def __init__(self, key: str, company: str, stripe):
		self.key, self.company, self.stripe = key, company, stripe
		self.word = f"zq{key[:2]}{frappe.generate_hash(length=8)}"
		"""In all texts of its records."""
		self.names: dict[str, list[str]] = {}
		self.files: dict[str, str] = {}
		"""DocType → the address of a private file that hangs on its usual record."""
		self.customer = make_customer(customer_name=f"{self.word}c Ltd")
		# Past the controller: the other company has no books.
		self.account = self.raw(
			"Credit Account", name=f"CA-{frappe.generate_hash(length=10)}", customer=self.customer, company=company,
			customer_name=f"{self.word}c Ltd", currency="USD", status="Active", status_reason=self.text("reason"),
			time_zone="UTC",
		)  # fmt: skip
		self.item = self.add("Item", make_item(item_code=f"{self.word}i", item_name=self.text("item")))

	def text(self, what: str) -> str:
		"""A text of this side's records."""
		return f"{self.word} {what}"

	@property
	def last4(self) -> str:
		"""No digits, so that it occurs nowhere by chance."""
		return f"z{self.key[0]}q9"

	def add(self, doctype: str, name: str) -> str:
		self.names.setdefault(doctype, []).append(name)
		return name

	def raw(self, doctype: str, **values) -> str:
		return self.add(doctype, raw(doctype, **values))

	def one(self, doctype: str) -> str:
		"""The usual record of `doctype`."""
		return self.names[doctype][0]

	@cached_property
	def words(self) -> frozenset[str]:
		"""What no answer to a stranger may hold."""
		return frozenset({self.word, f"{self.word}c", self.last4, self.gateway_customer})

	@cached_property
	def ids(self) -> frozenset[str]:
		"""The names of its records: a refusal may name the record that it refuses."""
		return (
			frozenset(name for names in self.names.values() for name in names if len(name) > 7) - self.words
		)


def fill(side: Side, owner: str | None, portal: str | None) -> None:
	"""Give `side` a record of every DocType, and its account an owner, its customer a portal user."""
	_customer(side, portal)
	_account(side, owner)
	_payments(side)
	_reorders(side)
	for doctype in ATTACHED:
		_attach(side, doctype)


def _customer(side: Side, portal_user: str | None) -> None:
	email = portal_user or f"{side.word}@test.example"
	contact = frappe.get_doc(
		{
			"doctype": "Contact",
			"first_name": side.text("contact"),
			"user": portal_user,
			"email_ids": [{"email_id": email, "is_primary": 1}],
			"links": [{"link_doctype": "Customer", "link_name": side.customer}],
		}
	).insert()
	address = frappe.get_doc(
		{
			"doctype": "Address",
			"address_title": side.text("address"),
			"address_type": "Shipping",
			"address_line1": side.text("street"),
			"city": "Town",
			"country": frappe.db.get_value("Company", side.company, "country"),
			"links": [{"link_doctype": "Customer", "link_name": side.customer}],
		}
	).insert()
	if portal_user:
		customer = frappe.get_doc("Customer", side.customer)
		customer.append("portal_users", {"user": portal_user})
		customer.save()
	side.add("Customer", side.customer)
	side.add("Contact", contact.name)
	side.add("Address", address.name)


def _account(side: Side, owner: str | None) -> None:
	side.gateway_customer = side.stripe.make_customer()
	found = {"account_owner": owner, "gateway_customer": side.gateway_customer}
	frappe.db.set_value("Credit Account", side.account, found)
	for _number in range(3):
		given = ledger.grant(side.account, 100, frappe.generate_hash(length=16), side.text("note"))
		side.add("Credit Ledger", given["entry"])
	for lot in frappe.get_all("Credit Lot", {"credit_account": side.account}, pluck="name"):
		side.add("Credit Lot", lot)
	side.add("Credit Team", make_team(side.account, team_name=side.text("team")))
	common = {"credit_account": side.account, "currency": "USD"}
	side.raw("Ledger Checkpoint", **common, hash=side.text("hash"), seal=side.text("seal"))
	side.raw("Recharge Decision", **common, code="none", explanation=side.text("explanation"))


def _card(side: Side) -> str:
	card = frappe.new_doc("Recharge Card")
	method = side.stripe.make_card(side.gateway_customer, "4242424242424242")
	card.update(
		{"credit_account": side.account, "payment_method": method, "kind": "card", "status": "Active"}
	)
	card.update({"brand": "visa", "last4": side.last4, "fingerprint": f"{side.word}-{method}"})
	card.update({"exp_month": 12, "exp_year": now_datetime().year + 3})
	return side.add("Recharge Card", by_machine(card).insert().name)


def _payments(side: Side) -> None:
	card = _card(side)
	_card(side)
	setting = frappe.get_doc(
		{
			"doctype": "Auto-Recharge Setting",
			"credit_account": side.account,
			"falls_below": 50,
			"recharge_up_to": 500,
			"cards": [{"card": card}],
		}
	).insert()
	side.add("Auto-Recharge Setting", setting.name)
	side.add("Auto-Recharge Card", setting.cards[0].name)
	# Written past the controller: saving it so would begin to charge.
	frappe.db.set_value("Auto-Recharge Setting", setting.name, "enabled", 1)
	hangs = {
		"credit_account": side.account,
		"customer": side.customer,
		"company": side.company,
		"currency": "USD",
	}
	paid = {"amount": 60, "settled_intent": f"pi_{side.word}", "settled_at": now_datetime()}
	draft = {"doctype": "Recharge", "credit_account": side.account, "amount": 20, "card": card}
	side.add("Recharge", frappe.get_doc(draft).insert().name)
	side.raw(
		"Recharge", name=_recharge(), **hangs, **paid, docstatus=1, status="Succeeded", card=card, origin="Desk",
		failure_reason=side.text("why"), accounting_status="Failed", accounting_error=side.text("not booked"),
	)  # fmt: skip
	side.raw(
		"Recharge", name=_recharge(), **hangs, amount=30, docstatus=1, status="Failed", card=card, origin="Desk",
		failure_reason=side.text("why"),
	)  # fmt: skip
	settled = side.names["Recharge"][1]
	side.raw(
		"Recharge Attempt", name=f"{settled}-1", **hangs, recharge=settled, number=1, status="Succeeded",
		card=card, brand="visa", last4=side.last4, amount=60, message=side.text("message"),
	)  # fmt: skip
	side.raw(
		"Recharge Refund", name=f"RF-{frappe.generate_hash(length=12)}", **hangs, recharge=settled, kind="Requested",
		status="Succeeded", amount=5, reason=side.text("reason"), accounting_status="Failed",
	)  # fmt: skip
	side.raw(
		"Recharge Dispute", name=f"dp_{frappe.generate_hash(length=14)}", **hangs, recharge=settled, status="Lost",
		amount=5, reason=side.text("reason"), accounting_status="Failed",
	)  # fmt: skip
	side.raw(
		"Gateway Difference", credit_account=side.account, recharge=settled, currency="USD", kind="Other",
		status="Open", amount=5, explanation=side.text("explanation"), intent=f"pi_{side.word}",
	)  # fmt: skip
	side.raw(
		"Credit Event", name=f"evt_{frappe.generate_hash(length=18)}", credit_account=side.account,
		customer=side.customer, company=side.company, event_type="recharge.failed", created_at=now_datetime(),
		position=1, data=frappe.as_json({"reason": side.text("why")}),
	)  # fmt: skip
	side.raw(
		"Credit Webhook",
		credit_account=side.account,
		url=f"https://8.8.8.8/{side.word}",
		events="*",
		enabled=0,
	)
	side.raw(
		"Credit Webhook Delivery", webhook=side.one("Credit Webhook"), event=side.one("Credit Event"), status="Failed",
		credit_account=side.account, url=f"https://8.8.8.8/{side.word}", outcome=side.text("outcome"),
	)  # fmt: skip
	of = {"reference_doctype": "Recharge", "reference_name": settled, "credit_account": side.account}
	side.raw(
		"Outbox Change", **of, position=1, status="Delivered", state="Failed", new_values=side.text("after")
	)
	side.raw(
		"Outbox Delivery", **of, outbox_change=side.one("Outbox Change"), status="Failed", listener="x",
		outcome=side.text("outcome"),
	)  # fmt: skip
	about = {
		"id": f"pi_{side.word}",
		"customer": side.gateway_customer,
		"metadata": {"account": side.account},
	}
	side.raw(
		"Gateway Event", name=f"evt_{frappe.generate_hash(length=16)}", event_type="payment_intent.succeeded",
		status="Processed", payload=frappe.as_json({"data": {"object": about}}), object_id=about["id"],
		gateway="Stripe", kind="payment", payment=about["id"], gateway_customer=side.gateway_customer,
		outcome=side.text("outcome"),
	)  # fmt: skip


def _recharge() -> str:
	return "RC-" + frappe.generate_hash(length=12).upper()


def _reorders(side: Side) -> None:
	contact, email = frappe.db.get_value("Contact", side.one("Contact"), ["name", "email_id"])
	of = {"customer": side.customer, "customer_name": f"{side.word}c Ltd"}
	days = {"first_day": add_days(nowdate(), -90), "last_day": add_days(nowdate(), -30)}
	soon = {f"next_{what}": add_days(nowdate(), number) for number, what in enumerate(("from", "on", "to"))}
	side.raw(
		"Reorder Reminder", **of, **days, **soon, item_code=side.item, item_name=side.text("item"),
		status="Due", status_reason=side.text("reason"), purchase_days=4, last_quantity=1, usual_interval=30,
	)  # fmt: skip
	side.raw("Reorder Customer", **of, **soon, due_items=1, learned_at=now_datetime(), revenue_365=111)
	for day in (90, 60, 30):
		side.raw(
			"Reorder Purchase Day", customer=side.customer, item_code=side.item, quantity=1,
			day=add_days(nowdate(), -day),
		)  # fmt: skip
	side.raw(
		"Reorder Forecast", customer=side.customer, item_code=side.item, item_group=side.text("group"),
		asked=nowdate(), after=days["last_day"], **soon,
	)  # fmt: skip
	preference = side.raw(
		"Reorder Preference", contact=contact, customer=side.customer, email=email, opted_in=1,
		opted_in_at=now_datetime(), contact_name=side.text("contact"), wording=side.text("wording"),
		scope_key=f"{contact}|{side.customer}"[:140],
	)  # fmt: skip
	side.raw(
		"Reorder Consent Change", parent=preference, parenttype="Reorder Preference", parentfield="history", idx=1,
		at=now_datetime(), change="Opted in", wording=side.text("wording"), source=side.text("source"),
	)  # fmt: skip
	message = side.raw(
		"Reorder Message", **of, contact=contact, email=email, preference=preference, company=side.company,
		kind="Reminded", status="Sent", sent_at=now_datetime(), subject=side.text("subject"), channel="Email",
	)  # fmt: skip
	side.raw(
		"Reorder Message Item", parent=message, parenttype="Reorder Message", parentfield="items", idx=1,
		reminder=side.one("Reorder Reminder"), item_code=side.item, item_name=side.text("item"), uom="Nos",
		quantity=1, revenue=11, won=1, won_on=nowdate(), last_day=days["last_day"],
	)  # fmt: skip


# What no probe deletes: with a record its file goes from the disk, and no database brings that back.
ATTACHED = ("Credit Account", "Recharge Dispute", "Reorder Preference")


def _attach(side: Side, doctype: str) -> None:
	"""A private file and a comment."""
	on = {"doctype": doctype, "name": side.one(doctype)}
	file = frappe.get_doc(
		{
			"doctype": "File", "file_name": f"{frappe.generate_hash(length=8)}.txt", "is_private": 1,
			"content": side.text(f"file of a {doctype}"), "attached_to_doctype": on["doctype"], "attached_to_name": on["name"],
		}
	).insert()  # fmt: skip
	side.add("File", file.name)
	side.files[doctype] = file.file_url
	side.raw(
		"Comment", comment_type="Comment", reference_doctype=on["doctype"], reference_name=on["name"],
		content=side.text("comment"), comment_email="Administrator",
	)  # fmt: skip


def shared_records(company: str, item: str) -> dict[str, str]:
	"""Records that are nobody's: DocType → name. Everybody with the right may see them."""
	category = raw(
		"Usage Category",
		f"Doors {frappe.generate_hash(length=8)}",
		unit="piece",
		currency="USD",
		unit_price=1,
	)
	frappe.db.set_value("Usage Category", category, "category_name", category)
	return {
		"Usage Category": category,
		"CRM Recharge Company": frappe.db.get_value("CRM Recharge Company", {"company": company}),
		"Reorder Rule": raw("Reorder Rule", applies_to="Item", item_code=item, title="Item: one", scope_key=f"Item:{item}"),
		"Reorder Run": raw("Reorder Run", kind="Refit", status="Done", started_at=now_datetime()),
		"Reorder Model": raw("Reorder Model", fitted_at=now_datetime(), priors="{}"),
	}  # fmt: skip
