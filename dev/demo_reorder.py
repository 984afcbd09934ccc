"""The demo's second half: two years of orders are learned, who is due is reminded, and one reminder becomes an invoice.

Run by dev/demo beside a web server and workers of the demo site:

	python dev/demo_reorder.py [--orders dev/orders.csv]

The orders become real submitted Sales Invoices (once: a second run finds them). Mails go to a mail server on this
machine that passes nothing on. Exits with 1 when something that must hold does not.
"""

import argparse
import csv
import logging
import os
import re
import sys
import time
import warnings
from collections import defaultdict
from datetime import date, timedelta
from email.message import EmailMessage
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

for _kind in (DeprecationWarning, FutureWarning):
	warnings.filterwarnings("ignore", category=_kind)
# What inlines the styles of mails complains of colours it does not know.
logging.getLogger("CSSUTILS").setLevel(logging.CRITICAL)

import frappe
import requests
from frappe.utils import add_days, cint, get_datetime, getdate, now_datetime, nowdate

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lib"))

import outgoing

SITE, URL = os.environ["CRM_RECHARGE_SITE"], os.environ["CRM_RECHARGE_URL"]
COMPANY = "Acme Cloud"
OUT_OF_STOCK = "Vacuum Bags"
LONGEST_WAIT = 300
SHOWN = 12


def say(text=""):
	print(text, flush=True)


def connect():
	frappe.init(site=SITE, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")


def must(right: bool, what: str):
	"""End the demo with 1 when something that must hold does not."""
	if not right:
		sys.exit(f"this does not hold: {what}")


# -- the shop ------------------------------------------------------------------------------------------------


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
	"""Fiscal years, item groups, items with prices and stock, customers with a contact."""
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
	for name in sorted({row["customer"] for row in rows}):
		make_customer(name)
	frappe.db.commit()


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


def make_customer(name: str):
	if frappe.db.exists("Customer", name):
		return
	frappe.get_doc({"doctype": "Customer", "customer_name": name, "customer_type": "Individual"}).insert()
	first, _, last = name.partition(" ")
	link = [{"link_doctype": "Customer", "link_name": name}]
	contact = frappe.get_doc(
		{
			"doctype": "Contact",
			"first_name": first,
			"last_name": last,
			"is_primary_contact": 1,
			"email_ids": [
				{"email_id": f"{'.'.join(name.lower().split())}@customer.example", "is_primary": 1}
			],
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


def import_orders(orders: dict[str, list[dict]]) -> tuple[int, float]:
	"""Each order as a submitted Sales Invoice of its day. Returns how many, and the seconds."""
	known = set(
		frappe.get_all("Sales Invoice", {"po_no": ["in", list(orders)], "docstatus": 1}, pluck="po_no")
	)
	todo = {key: rows for key, rows in orders.items() if key not in known}
	if not todo:
		return 0, 0.0
	frappe.db.commit()
	started = time.monotonic()
	sold = {key: rows for key, rows in todo.items() if not rows[0]["returns"]}
	back = {key: rows for key, rows in todo.items() if rows[0]["returns"]}
	_import(sold)
	for key, rows in back.items():
		_take_back(key, rows)
	frappe.db.commit()
	return len(todo), time.monotonic() - started


def _import(orders: dict[str, list[dict]]):
	"""Customer after customer, with a commit for each: what hooks leave to be done is then one job a customer.

	By one process: two would wait for each other, for every invoice locks its naming series until it is committed.
	"""
	today, customer = getdate(nowdate()), None
	for key, rows in sorted(orders.items(), key=lambda order: order[1][0]["customer"]):
		if customer != rows[0]["customer"]:
			frappe.db.commit()
			customer = rows[0]["customer"]
		invoice = frappe.get_doc(
			{
				"doctype": "Sales Invoice",
				"customer": customer,
				"company": COMPANY,
				"po_no": key,
				"set_posting_time": 1,
				"posting_date": add_days(today, -rows[0]["days_ago"]),
				"due_date": add_days(today, 30),
				"ignore_pricing_rule": 1,
				"items": [{"item_code": r["item"], "qty": r["quantity"], "rate": r["rate"]} for r in rows],
			}
		)
		# Written once, as submitted: half the work of a draft that is submitted afterwards.
		invoice.submit()
	frappe.db.commit()


def _take_back(key: str, rows: list[dict]):
	from erpnext.accounts.doctype.sales_invoice.sales_invoice import make_sales_return

	original = frappe.db.get_value(
		"Sales Invoice", {"po_no": rows[0]["returns"], "docstatus": 1, "is_return": 0}
	)
	note = make_sales_return(original)
	wanted = {row["item"]: row["quantity"] for row in rows}
	note.items = [row for row in note.items if row.item_code in wanted]
	for row in note.items:
		row.qty = wanted[row.item_code]
	note.update(
		{
			"po_no": key,
			"set_posting_time": 1,
			"posting_date": add_days(getdate(nowdate()), -rows[0]["days_ago"]),
		}
	)
	note.insert()
	note.submit()


# -- learning ------------------------------------------------------------------------------------------------


def learn():
	"""The history by a worker, and the fit that follows it and otherwise happens each night."""
	from crm_recharge.reorder.learning import history

	began = now_datetime()
	run = history.start()
	frappe.db.commit()
	told(wait_for_run({"name": run}))
	told(wait_for_run({"kind": "Refit", "started_at": [">=", began]}))


def wait_for_run(filters: dict) -> frappe._dict:
	"""Wait until the latest Reorder Run of `filters` has ended."""
	started = time.monotonic()
	while time.monotonic() - started < LONGEST_WAIT:
		frappe.db.rollback()
		found = frappe.get_all("Reorder Run", filters, ["*"], order_by="started_at desc", limit=1)
		if found and found[0].status != "Running":
			return found[0]
		time.sleep(0.3)
	raise SystemExit(f"a run has not ended after {LONGEST_WAIT} s: are the workers running? {filters}")


def told(run: frappe._dict):
	seconds = (get_datetime(run.ended_at) - get_datetime(run.started_at)).total_seconds()
	say(f"  {run.kind}: {run.status.lower()} in {seconds:.1f} s. {run.summary or ''}")
	for problem in (run.problems or "").splitlines()[:5]:
		say(f"    {problem}")


def show_due():
	"""Who is due, with the range and what is known."""
	rows = frappe.get_all(
		"Reorder Reminder",
		{"status": "Due"},
		[
			"customer",
			"item_code",
			"last_day",
			"purchase_days",
			"usual_interval",
			"next_from",
			"next_on",
			"next_to",
			"p_alive",
			"p_buy_30",
		],
		order_by="p_buy_30 desc",
	)
	say(
		f"\n{len(rows)} items of {len({r.customer for r in rows})} customers are due; the {min(SHOWN, len(rows))} most likely to be bought:"
	)
	say(
		f"  {'customer':<20} {'item':<22} {'last':<10} {'usual':>6}  {'expected between':<23} {'still buys':>10} {'30 days':>8}"
	)
	for row in rows[:SHOWN]:
		say(
			f"  {row.customer:<20} {row.item_code:<22} {row.last_day!s:<10} {row.usual_interval:>5.0f}d"
			f"  {row.next_from} – {row.next_to} {row.p_alive:>9.0f}% {row.p_buy_30:>7.0f}%"
		)


# -- rules, consent, sending ---------------------------------------------------------------------------------


def configure():
	"""Settings, rules, and an account that sends to the sink."""
	outgoing.set_up()
	settings = frappe.get_doc("Reorder Settings")
	settings.update(
		{
			"enabled": 1,
			"company": COMPANY,
			"send_from": "00:00:00",
			"send_until": "23:59:00",
			"weekdays_only": 0,
			"without_rule": 0,
			"sender_name": "Acme Shop",
			"postal_address": "Acme Cloud, 1 Market Street, Springfield",
			"order_document": "Sales Order",
			"submit_order": 1,
		}
	)
	settings.save()
	for applies_to, field, target, values in (
		("All Items", None, None, {"default_interval": 60}),
		("Item Group", "item_group", "Coffee", {"default_interval": 30, "discount_percent": 10}),
		(
			"Item",
			"item_code",
			"Resistance Bands",
			{"timing": "Age of the item", "age_days": 182, "lead_time": 7},
		),
	):
		filters = {"applies_to": applies_to} | ({field: target} if field else {})
		if not frappe.db.exists("Reorder Rule", filters):
			frappe.get_doc({"doctype": "Reorder Rule", **filters, **values}).insert()
	frappe.db.commit()


def opt_in(orders: dict[str, list[dict]]) -> int:
	"""Three of four customers tick the box in the shop."""
	from crm_recharge.reorder.consent import preferences

	names = sorted({rows[0]["customer"] for rows in orders.values()})
	chosen = [name for number, name in enumerate(names) if number % 4 != 3]
	for name in chosen:
		contact = frappe.db.get_value("Customer", name, "customer_primary_contact")
		preferences.opt_in(contact, name, "Web shop", "Remind me when it is time to reorder.")
	frappe.db.commit()
	return len(chosen)


def send() -> list[EmailMessage]:
	"""One hour's run, then Frappe's mail queue, which a scheduler may have emptied already."""
	from crm_recharge.reorder.sending import run

	before = len(outgoing.received())
	name = run.send_all()
	told(frappe.get_doc("Reorder Run", name))
	again = run.send_all()
	repeated = frappe.parse_json(frappe.db.get_value("Reorder Run", again, "figures") or "{}")
	must(not repeated.get("mails"), "a second run sends nothing twice")
	from frappe.email.queue import flush

	deadline = time.monotonic() + 60
	while time.monotonic() < deadline:
		flush()
		frappe.db.commit()
		if not frappe.db.count("Email Queue", {"status": ["in", ["Not Sent", "Sending"]]}):
			break
		time.sleep(1)
	return outgoing.received()[before:]


# -- one reminder to its end ---------------------------------------------------------------------------------


class Form(HTMLParser):
	"""The fields of a page's form of ours, and its text."""

	def __init__(self, html: str):
		super().__init__()
		self.fields, self.words, self._skip, self._in = {}, [], 0, False
		self.feed(html)

	def handle_starttag(self, tag, attrs):
		attrs = dict(attrs)
		if tag in ("script", "style", "nav", "footer", "header"):
			self._skip += 1
		if tag == "form":
			self._in = (attrs.get("method") or "").lower() == "post"
		if (
			self._in
			and tag == "input"
			and attrs.get("name")
			and attrs.get("type") not in ("submit", "radio", "checkbox")
		):
			self.fields[attrs["name"]] = attrs.get("value") or ""

	def handle_endtag(self, tag):
		if tag in ("script", "style", "nav", "footer", "header"):
			self._skip -= 1
		if tag == "form":
			self._in = False

	def handle_data(self, data):
		if not self._skip and data.strip():
			self.words.append(" ".join(data.split()))

	@property
	def text(self) -> str:
		return " ".join(self.words)


def html_of(mail: EmailMessage) -> str:
	return mail.get_body(("html",)).get_content()


def links_of(mail: EmailMessage) -> dict[str, str]:
	"""Action → address, as in the mail."""
	found = re.findall(r'href="([^"]*[?&](?:amp;)?do=(\w+)[^"]*)"', html_of(mail))
	return {action: unescape(address) for address, action in found}


def show_mail(mail: EmailMessage):
	say(f"\nOne of them:\n  From: {mail['From']}\n  To: {mail['To']}\n  Subject: {mail['Subject']}")
	for name in ("List-Unsubscribe", "List-Unsubscribe-Post"):
		must(bool(mail[name]), f"the mail has the header {name}")
		say(f"  {name}: {mail[name][:90]}{'…' if len(mail[name]) > 90 else ''}")
	text = mail.get_body(("plain",))
	for line in [line for line in text.get_content().splitlines() if line.strip()][:14]:
		say(f"    {line.strip()[:110]}")


def browser() -> requests.Session:
	session = requests.Session()
	session.trust_env = False
	session.headers["Host"] = SITE
	return session


def follow(mail: EmailMessage):
	"""Open the *Reorder* link (nothing happens), press the button twice (one order), invoice it."""
	message = message_of(mail)
	address, session = links_of(mail)["reorder"], browser()
	orders_before = frappe.db.count("Sales Order")
	shown = session.get(address, timeout=60)
	must(shown.status_code == 200, f"the link opens, not {shown.status_code}")
	frappe.db.rollback()
	must(frappe.db.count("Sales Order") == orders_before, "opening a link orders nothing")
	fields = Form(shown.text).fields
	for _ in range(2):
		pressed = session.post(address.split("?")[0], data=fields, timeout=60)
		must(
			pressed.status_code == 200,
			f"the button works, not {pressed.status_code}: {Form(pressed.text).text[:300]}",
		)
	frappe.db.rollback()
	must(frappe.db.count("Sales Order") == orders_before + 1, "a button pressed twice is one order")
	order = frappe.get_doc("Sales Order", frappe.db.get_value("Reorder Message", message, "order_name"))
	say(
		f"\nThe *Reorder* link, pressed twice: one {order.doctype} {order.name} over {order.get_formatted('grand_total')}",
	)
	for row in order.items:
		off = f", {row.discount_percentage:g} % off" if row.discount_percentage else ""
		say(f"    {row.qty:g} × {row.item_code} at {row.get_formatted('rate')}{off}")
	say(f"  The page says: {Form(pressed.text).text[:200]}")
	from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice

	invoice = make_sales_invoice(order.name)
	invoice.insert()
	invoice.submit()
	frappe.db.commit()
	# A worker works out what came of the reminder.
	billed = [row.item_code for row in invoice.items]
	deadline = time.monotonic() + LONGEST_WAIT
	won = set()
	while time.monotonic() < deadline and not won.issuperset(billed):
		time.sleep(0.3)
		frappe.db.rollback()
		won = set(frappe.get_all("Reorder Message Item", {"parent": message, "won": 1}, pluck="item_code"))
	must(won.issuperset(billed), "the purchase is counted for its reminder")
	say(f"  Invoice {invoice.name} submitted; the reminder counts as won: {', '.join(sorted(won))}")


def message_of(mail: EmailMessage) -> str:
	return frappe.get_all(
		"Reorder Message",
		{"email": mail["To"], "kind": "Reminded"},
		pluck="name",
		order_by="sent_at desc",
		limit=1,
	)[0]


def unsubscribe(mail: EmailMessage):
	"""As a mail program does it: one POST without a page, a cookie or a login."""
	address = re.search(r"<(.+)>", mail["List-Unsubscribe"])[1]
	answers = [
		browser().post(address, data={"List-Unsubscribe": "One-Click"}, timeout=60).status_code
		for _ in range(2)
	]
	frappe.db.rollback()
	wants = frappe.db.get_value("Reorder Preference", {"email": mail["To"]}, "opted_in")
	say(
		f"\n{mail['To']} unsubscribes in the mail program: {answers[0]}, again {answers[1]}; wants reminders: {'yes' if wants else 'no'}"
	)
	must(answers == [200, 200] and not cint(wants), "one-click unsubscribe works, and twice is once")


def follow_up():
	"""What the hourly run does first: note which mails have gone out."""
	from crm_recharge.reorder.sending import follow

	follow.follow_up()


def print_funnel():
	from crm_recharge.reorder.insight.funnel import funnel, total

	summed = total(funnel({"company": COMPANY}))
	steps = ("due", "held_out", "sent", "opened", "clicked", "answered", "ordered", "won")
	say("\nFunnel (items in reminders):")
	for step in steps:
		known = summed[step] is not None
		say(f"  {step.replace('_', ' '):<9} {summed[step] if known else 'not followed':>12}")
	say(f"  {'revenue':<9} {summed['revenue']:>12,.2f}")


def print_report(name: str, filters: dict | None = None):
	from frappe.desk.query_report import run

	found = run(name, filters=filters or {})
	say(f"\n{name}")
	for figure in found.get("report_summary") or []:
		value = figure.get("value")
		say(
			f"  {figure.get('label')}: {value:,.2f}"
			if isinstance(value, float)
			else f"  {figure.get('label')}: {value}"
		)
	if found.get("message"):
		say(f"  {re.sub('<[^>]+>', ' ', str(found['message'])).strip()}")


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--orders", type=Path, default=HERE / "orders.csv")
	options = parser.parse_args()
	orders = read_orders(options.orders)
	connect()
	say(f"Reorder reminders: {sum(map(len, orders.values())):,} lines of {len(orders):,} orders.")
	make_shop(orders)
	count, seconds = import_orders(orders)
	say(
		f"  {count:,} invoices submitted in {seconds:.0f} s." if count else "  They are on this site already."
	)
	configure()
	learn()
	frappe.db.rollback()
	show_due()
	say(f"\n{opt_in(orders)} customers have asked to be reminded. An hour's run:")
	mails = [mail for mail in send() if mail["List-Unsubscribe"]]
	say(f"  {len(mails)} mails arrived at the mail server.")
	if mails:
		show_mail(mails[0])
		follow(mails[0])
		if len(mails) > 1:
			unsubscribe(mails[-1])
	else:
		say("  Everybody who is due was reminded by an earlier run of this demo.")
	follow_up()
	print_funnel()
	print_report("Reorder Uplift")
	say(f"\nAll mails are in {outgoing.folder()}")
	frappe.db.commit()


if __name__ == "__main__":
	main()
