"""The demo's second half: two years of orders, learned; reminders to a mail sink; one link followed to an order.

Run by dev/demo beside a web server and workers of the demo site:

	python dev/demo_reorder.py [--orders dev/orders.csv]

Every order of the file becomes a real submitted Sales Invoice on its day, counted back from today. Learning and
sending are done by the workers. Exits with 1 when something that should have happened has not.
"""

import argparse
import csv
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

for _kind in (DeprecationWarning, FutureWarning):
	warnings.filterwarnings("ignore", category=_kind)

import frappe
import requests
from frappe.utils import add_days, getdate, nowdate

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lib"))

from mail_sink import MailSink

SITE, URL = os.environ["CRM_RECHARGE_SITE"], os.environ["CRM_RECHARGE_URL"]
COMPANY = "Acme Cloud"
ACCOUNT = "Reorder Demo"
COLUMNS = {"order", "customer", "item", "item_group", "kind", "days_ago", "quantity", "rate", "returns"}
IMPORTERS = 2
LONGEST_WAIT = 300
CONSENT = 0.8
"""This share of customers has ticked the box."""
SOLD_OUT = "Flea Collar"
SHOWN = 12


def say(text=""):
	print(text, flush=True)


def connect():
	frappe.init(site=SITE, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")


class NotAsExpected(Exception):
	"""The demo did not come to what it is to show; the text says where."""


# -- the orders --------------------------------------------------------------------------------------------


def read_orders(path: Path) -> dict[str, list[dict]]:
	"""Rows by order, oldest first. Ends the demo with the line when a row is bad."""
	orders = defaultdict(list)
	with path.open(newline="") as file:
		reader = csv.DictReader(file)
		missing = COLUMNS - set(reader.fieldnames or ())
		if missing:
			sys.exit(f"{path}: the columns {', '.join(sorted(missing))} are missing")
		for number, row in enumerate(reader, 2):
			try:
				row |= {key: int(row[key]) for key in ("days_ago", "quantity")}
				if row["days_ago"] < 1 or not row["quantity"] or float(row["rate"]) < 0:
					raise ValueError(row)
			except (TypeError, ValueError):
				sys.exit(f"{path}, line {number}: days_ago, quantity or rate is not usable: {row}")
			orders[row["order"]].append(row)
	return orders


def make_masters(orders: dict[str, list[dict]]) -> dict[str, str]:
	"""Fiscal years, items with price and stock, customers with a contact. Returns file's customer → Customer."""
	lines = [row for rows in orders.values() for row in rows]
	make_fiscal_years(max(row["days_ago"] for row in lines))
	top = frappe.db.get_value("Item Group", {"is_group": 1, "parent_item_group": ["in", ["", None]]})
	leaf = {
		doctype: frappe.db.get_value(doctype, {"is_group": 0}) for doctype in ("Customer Group", "Territory")
	}
	items = {row["item"]: row for row in lines}
	for group in sorted({row["item_group"] for row in lines}):
		if not frappe.db.exists("Item Group", group):
			insert("Item Group", item_group_name=group, parent_item_group=top)
	new = [code for code in items if not frappe.db.exists("Item", code)]
	for code in new:
		row = items[code]
		insert(
			"Item",
			item_code=code,
			item_name=code,
			item_group=row["item_group"],
			stock_uom="Nos",
			is_stock_item=int(row["kind"] == "goods"),
		)
		insert("Item Price", item_code=code, price_list="Standard Selling", price_list_rate=row["rate"])
	fill_the_shelves([code for code in new if items[code]["kind"] == "goods" and code != SOLD_OUT])
	names = {}
	for label in sorted({row["customer"] for row in lines}):
		names[label] = make_customer(label, leaf["Customer Group"], leaf["Territory"])
	frappe.db.commit()
	return names


def insert(doctype: str, **values):
	document = frappe.new_doc(doctype)
	document.update(values)
	return document.insert(ignore_permissions=True)


def make_fiscal_years(days: int):
	today = getdate(nowdate())
	for year in range((today - timedelta(days=days)).year, today.year + 2):
		middle = f"{year}-07-01"
		if not frappe.db.exists(
			"Fiscal Year", {"year_start_date": ["<=", middle], "year_end_date": [">=", middle]}
		):
			insert(
				"Fiscal Year", year=str(year), year_start_date=f"{year}-01-01", year_end_date=f"{year}-12-31"
			)


def fill_the_shelves(items: list[str]):
	if not items:
		return
	warehouse = frappe.db.get_value(
		"Warehouse", {"company": COMPANY, "is_group": 0, "warehouse_name": "Stores"}
	)
	entry = frappe.new_doc("Stock Entry")
	entry.update({"stock_entry_type": "Material Receipt", "company": COMPANY})
	for item in items:
		entry.append("items", {"item_code": item, "qty": 500, "t_warehouse": warehouse, "basic_rate": 5})
	entry.insert().submit()


def make_customer(label: str, group: str, territory: str) -> str:
	runs = frappe.db.count("Customer", {"customer_name": ["like", f"{label}%"]})
	name = label if not runs else f"{label} ({runs + 1})"
	customer = insert(
		"Customer",
		customer_name=name,
		customer_type="Individual",
		customer_group=group,
		territory=territory,
	)
	contact = frappe.new_doc("Contact")
	contact.update({"first_name": label.split()[0], "last_name": " ".join(label.split()[1:])})
	address = name.lower().replace(" ", ".").replace("(", "").replace(")", "") + "@customer.example"
	contact.append("email_ids", {"email_id": address, "is_primary": 1})
	contact.append("links", {"link_doctype": "Customer", "link_name": customer.name})
	contact.is_primary_contact = 1
	contact.insert()
	frappe.db.set_value("Customer", customer.name, "customer_primary_contact", contact.name)
	return customer.name


def write_invoices(orders: list[list[dict]], names: dict[str, str]) -> int:
	"""One importer's share, in a process of its own; returns how many invoices. A return follows its order."""
	warnings.filterwarnings("ignore")
	connect()
	today, made = getdate(nowdate()), {}
	for number, rows in enumerate(orders, 1):
		first = rows[0]
		invoice = frappe.new_doc("Sales Invoice")
		day = today - timedelta(days=first["days_ago"])
		invoice.update(
			{
				"company": COMPANY,
				"customer": names[first["customer"]],
				"set_posting_time": 1,
				"posting_date": day,
				"due_date": day,
				"is_return": int(bool(first["returns"])),
				"return_against": made.get(first["returns"]),
			}
		)
		for row in rows:
			invoice.append("items", {"item_code": row["item"], "qty": row["quantity"], "rate": row["rate"]})
		invoice.insert()
		invoice.submit()
		made[first["order"]] = invoice.name
		if number % 10 == 0:
			frappe.db.commit()
	frappe.db.commit()
	frappe.destroy()
	return len(orders)


def import_orders(orders: dict[str, list[dict]], names: dict[str, str]) -> float:
	"""All orders as submitted invoices, customers shared out between importers. Returns the seconds."""
	shares = [[] for _ in range(IMPORTERS)]
	importer = {label: number % IMPORTERS for number, label in enumerate(sorted(names))}
	for rows in orders.values():
		shares[importer[rows[0]["customer"]]].append(rows)
	started = time.monotonic()
	with multiprocessing.get_context("spawn").Pool(IMPORTERS) as pool:
		sum(pool.starmap(write_invoices, [(share, names) for share in shares]))
	return time.monotonic() - started


# -- learning ----------------------------------------------------------------------------------------------


def wait_for(what: str, found, seconds: float = LONGEST_WAIT):
	"""Wait until `found()` is something, and return it. Raises NotAsExpected."""
	started = time.monotonic()
	while time.monotonic() - started < seconds:
		frappe.db.rollback()
		if result := found():
			return result
		time.sleep(0.5)
	raise NotAsExpected(f"{what} has not come after {seconds:.0f} s: are the workers running?")


def learn() -> None:
	"""Have the workers read all invoices and fit, as at install and at night."""
	from crm_recharge.reorder.learning import history

	began = frappe.utils.now_datetime()
	run = history.begin()
	frappe.db.commit()
	ended = wait_for("The reading of the invoices", lambda: ended_run(run))
	say(f"Read by a worker: {ended.summary}")
	fitted = {"kind": "Refit", "started_at": [">=", began], "status": ["!=", "Running"]}
	run = wait_for("The fit", lambda: frappe.get_all("Reorder Run", fitted, pluck="name", limit=1))
	refit = ended_run(run[0])
	model = frappe.get_all(
		"Reorder Model", {"current": 1}, ["lines", "pairs", "seconds", "coverage80"], limit=1
	)
	if refit.status == "Failed" or not model:
		raise NotAsExpected(f"The fit failed: {refit.summary} {refit.problems or ''}")
	say(f"Fitted on {model[0].lines:,} purchase lines, {model[0].pairs:,} customers × items.")


def ended_run(name: str):
	fields = ["name", "status", "summary", "problems", "total", "done"]
	run = frappe.db.get_value("Reorder Run", name, fields, as_dict=True)
	return run if run and run.status != "Running" else None


def show_cycles() -> None:
	from crm_recharge.reorder.insight.cycles import cycles

	say("\nHow often items are bought again, the shortest first:")
	say(f"  {'item':<22} {'median':>7} {'middle half':>16} {'customers':>10} {'intervals':>10}")
	for row in cycles({"least_intervals": 20})[:SHOWN]:
		half = f"{row['p25']:.0f} to {row['p75']:.0f} days"
		say(
			f"  {row['item_code']:<22} {row['median']:>5.0f} d {half:>16} {row['customers']:>10} {row['intervals']:>10}"
		)


# -- who is due --------------------------------------------------------------------------------------------


def set_up_sending(sink: MailSink) -> None:
	"""An outgoing account that leads to the sink, one rule, and sending switched on at any hour."""
	if not frappe.db.exists("Email Account", ACCOUNT):
		account = frappe.new_doc("Email Account")
		account.update({"email_account_name": ACCOUNT, "email_id": "shop@acme-cloud.example"})
	else:
		account = frappe.get_doc("Email Account", ACCOUNT)
	account.update(
		{
			"enable_outgoing": 1,
			"default_outgoing": 1,
			"smtp_server": "127.0.0.1",
			"smtp_port": sink.port,
			"use_tls": 0,
			"use_ssl_for_outgoing": 0,
			"no_smtp_authentication": 1,
		}
	)
	account.save()
	if not frappe.db.exists("Reorder Rule", {"applies_to": "All Items"}):
		insert("Reorder Rule", applies_to="All Items", lead_time=7)
	if not frappe.db.exists("Reorder Rule", {"item_group": "Coffee"}):
		insert("Reorder Rule", applies_to="Item Group", item_group="Coffee", lead_time=7, discount_percent=10)
	settings = frappe.get_doc("Reorder Settings")
	settings.update(
		{
			"enabled": 1,
			"company": COMPANY,
			"send_from": "00:00:00",
			"send_until": "00:00:00",
			"weekdays_only": 0,
			"order_document": "Sales Order",
			"submit_order": 1,
			"sender_name": "Acme Shop",
			"postal_address": "Acme Cloud, 1 Sample Street, Sampletown",
		}
	)
	settings.save()
	frappe.db.commit()


def ask_for_consent(names: dict[str, str]) -> list[str]:
	"""Most customers have ticked the box; returns those."""
	from crm_recharge.reorder.consent import preferences

	customers = sorted(names.values())
	willing = [c for number, c in enumerate(customers) if number % 10 < CONSENT * 10]
	for customer in willing:
		contact = frappe.db.get_value("Customer", customer, "customer_primary_contact")
		preferences.opt_in(contact, customer, "Sample orders", preferences.wording())
	frappe.db.commit()
	return willing


def show_due(names: dict[str, str]) -> list[str]:
	"""Print who is due with the range, and why others are not reminded. Returns the customers that are due."""
	rows = frappe.get_all(
		"Reorder Reminder",
		{"customer": ["in", list(names.values())]},
		[
			"customer",
			"item_code",
			"status",
			"status_reason",
			"last_day",
			"usual_interval",
			"next_from",
			"next_on",
			"next_to",
			"p_alive",
		],
		order_by="next_on, customer",
	)
	say(
		f"\n{len(rows)} customers × items: "
		+ ", ".join(f"{n} {s.lower()}" for s, n in Counter(row.status for row in rows).most_common())
	)
	due = [row for row in rows if row.status == "Due"]
	say(
		f"  {'customer':<20} {'item':<22} {'last bought':>11} {'every':>6} {'next, between':>25} {'most likely':>11} {'still buys':>10}"
	)
	for row in due[:SHOWN]:
		span = f"{row.next_from} and {row.next_to}"
		say(
			f"  {row.customer:<20} {row.item_code:<22} {row.last_day!s:>11} {row.usual_interval:>4.0f} d"
			f" {span:>25} {row.next_on!s:>11} {row.p_alive:>8.0f} %"
		)
	if len(due) > SHOWN:
		say(f"  … and {len(due) - SHOWN} more")
	reasons = Counter(row.status_reason for row in rows if row.status_reason and row.status != "Due")
	for reason, number in reasons.most_common(6):
		say(f"  {number:>4} × {reason}")
	if not due:
		raise NotAsExpected("Nobody is due: nothing was learned from the orders")
	return sorted({row.customer for row in due})


# -- sending -----------------------------------------------------------------------------------------------


def send(sink: MailSink) -> None:
	"""Have a worker send what is due, and another hand the queued mails to the sink."""
	began = frappe.utils.now_datetime()
	frappe.enqueue("crm_recharge.reorder.sending.run.run_hourly", queue="long")
	sent = {"kind": "Sending", "started_at": [">=", began]}
	run = wait_for(
		"The sending",
		lambda: frappe.get_all("Reorder Run", sent | {"status": ["!=", "Running"]}, pluck="name", limit=1),
	)
	told = ended_run(run[0])
	say(f"\nSent by a worker: {told.summary}")
	if told.problems:
		raise NotAsExpected(told.problems)
	frappe.enqueue("frappe.email.queue.flush", queue="long")
	wait_for("The mails", lambda: not waiting_mails() and sink.mails)


def waiting_mails() -> int:
	message, queue = frappe.qb.DocType("Reorder Message"), frappe.qb.DocType("Email Queue")
	return len(
		frappe.qb.from_(message)
		.join(queue)
		.on(queue.name == message.email_queue)
		.select(queue.name)
		.where(queue.status.isin(["Not Sent", "Sending"]))
		.run()
	)


def show_mails(sink: MailSink, names: dict[str, str]) -> list:
	"""Print what the customers got; returns (customer, Reorder Message, mail)."""
	messages = frappe.get_all(
		"Reorder Message",
		{"customer": ["in", list(names.values())], "kind": "Reminded", "email": ["is", "set"]},
		["name", "customer", "email"],
		order_by="creation",
	)
	got = [(row.customer, row.name, mail) for row in messages for mail in sink.to(row.email)[-1:]]
	say(f"The mail sink has {len(got)} reminders:")
	for _customer, _name, mail in got[:SHOWN]:
		say(f"  {mail['To'][:42]:<42} {mail['Subject']}")
	if not got:
		raise NotAsExpected("No mail has arrived")
	for customer, name, mail in got:
		if mail["List-Unsubscribe-Post"] != "List-Unsubscribe=One-Click" or not mail["List-Unsubscribe"]:
			raise NotAsExpected(f"The mail to {customer} ({name}) has no one-click unsubscribe")
	shown = got[0][2]
	say(
		f"Headers of the first: List-Unsubscribe: {shown['List-Unsubscribe'][:60]}…, {shown['List-Unsubscribe-Post']}"
	)
	return got


# -- one tap -----------------------------------------------------------------------------------------------


class _Page(HTMLParser):
	"""Links of a mail, and the fields of a page's forms."""

	def __init__(self, text: str):
		super().__init__()
		self.links, self.fields = [], {}
		self.feed(text)

	def handle_starttag(self, tag, attributes):
		values = dict(attributes)
		if tag == "a" and values.get("href"):
			self.links.append(values["href"])
		if (
			tag == "input"
			and values.get("name")
			and values.get("type") not in ("submit", "radio", "checkbox")
		):
			self.fields[values["name"]] = values.get("value") or ""


def follow_link(got: list) -> tuple[str, str]:
	"""Tap Reorder in the first mail whose offer is good: look at the page, then send its form. Returns the order."""
	customer, name, mail = next((each for each in got if has_discount(each[1])), got[0])
	html = mail.get_body(("html",)).get_content()
	link = next(href for href in _Page(html).links if "do=reorder" in href)
	session = requests.Session()
	session.trust_env = False
	headers = {"Host": SITE}
	address = URL + link[link.index("/reorder?") :]
	looked = session.get(address, headers=headers, timeout=60)
	looked.raise_for_status()
	frappe.db.rollback()
	if frappe.db.get_value("Reorder Message", name, "order_name"):
		raise NotAsExpected("Looking at the page has ordered already")
	fields = _Page(looked.text).fields
	for _ in range(2):  # twice, as impatient people do
		posted = session.post(
			f"{URL}/reorder", data=fields, headers=headers, timeout=60, allow_redirects=False
		)
		if posted.status_code != 303:
			raise NotAsExpected(f"The form was answered with {posted.status_code}: {posted.text[:300]}")
	frappe.db.rollback()
	order = frappe.db.get_value("Reorder Message", name, ["order_type", "order_name"])
	if not all(order):
		raise NotAsExpected("The link has made no order")
	document = frappe.get_doc(*order)
	say(f"\n{customer} taps Reorder: {order[0]} {order[1]}, {document.currency} {document.grand_total:,.2f}")
	for row in document.items:
		off = f", {row.discount_percentage:g} % off" if row.discount_percentage else ""
		say(f"    {row.qty:g} × {row.item_code} at {row.rate:,.2f}{off}")
	return order


def has_discount(message: str) -> bool:
	return bool(frappe.db.get_value("Reorder Message", message, "coupon_code"))


def bill(order: tuple[str, str]) -> None:
	"""The invoice for the order, as the back office makes it: the reminder has won."""
	from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice

	invoice = make_sales_invoice(order[1])
	invoice.set_posting_time = 1
	invoice.insert()
	invoice.submit()
	frappe.db.commit()
	won = frappe.get_all(
		"Reorder Message Item", {"invoice": invoice.name, "won": 1}, ["item_code", "revenue"]
	)
	say(f"Billed with {invoice.name}: the reminder has won {len(won)} of {len(invoice.items)} items.")
	if not won:
		raise NotAsExpected("The invoice counts for no reminder")


# -- what came of it ---------------------------------------------------------------------------------------


def show_funnel() -> None:
	from crm_recharge.reorder.insight.effect import effect, sentence
	from crm_recharge.reorder.insight.forgotten import forgotten
	from crm_recharge.reorder.insight.funnel import funnel, total

	summed = total(funnel({"from_date": add_days(nowdate(), -30), "company": COMPANY}))
	say("\nFunnel of 30 days (items in reminders):")
	for step in ("due", "held_out", "sent", "opened", "clicked", "answered", "ordered", "won"):
		shown = "not followed" if summed[step] is None else summed[step]
		say(f"  {step.replace('_', ' '):<10} {shown:>12}")
	say(f"  {'revenue':<10} {summed['revenue']:>12,.2f}")
	(compared,) = effect({"company": COMPANY})
	say(f"Uplift: {sentence(compared['uplift'], compared['open'])}")
	if not compared["uplift"].too_early:
		raise NotAsExpected("After a minute nobody can know the uplift")
	lost = forgotten({"company": COMPANY})[:3]
	if lost:
		say(
			"Most forgotten: "
			+ ", ".join(
				f"{row['item_code']} ({row['lost']:,.0f} {row['currency']}, estimated)" for row in lost
			)
		)


def tell_the_story(orders: dict[str, list[dict]], sink: MailSink) -> None:
	names = make_masters(orders)
	lines = sum(map(len, orders.values()))
	say(f"\nReorder reminders: {len(orders):,} orders with {lines:,} lines of {len(names)} customers.")
	seconds = import_orders(orders, names)
	frappe.db.rollback()
	say(
		f"Imported as submitted Sales Invoices in {seconds:.0f} s ({1000 * seconds / len(orders):.0f} ms each)."
	)
	set_up_sending(sink)
	willing = ask_for_consent(names)
	learn()
	show_cycles()
	show_due(names)
	say(f"{len(willing)} of {len(names)} customers have asked for reminders.")
	send(sink)
	got = show_mails(sink, names)
	bill(follow_link(got))
	from crm_recharge.reorder.sending.follow import follow_up

	follow_up()
	show_funnel()


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--orders", type=Path, default=HERE / "orders.csv")
	options = parser.parse_args()
	orders = read_orders(options.orders)
	connect()
	sink = MailSink()
	try:
		tell_the_story(orders, sink)
	except NotAsExpected as error:
		say(f"\nerror: {error}")
		sys.exit(1)
	finally:
		# Nobody listens there any more, and a site that stays up must not wait for it.
		frappe.db.rollback()
		frappe.db.set_single_value("Reorder Settings", "enabled", 0)
		if frappe.db.exists("Email Account", ACCOUNT):
			frappe.db.set_value("Email Account", ACCOUNT, {"enable_outgoing": 0, "default_outgoing": 0})
		frappe.db.commit()
		sink.close()


if __name__ == "__main__":
	main()
