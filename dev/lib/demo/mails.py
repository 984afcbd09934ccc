"""One mail to its end: shown, its link followed to an invoice; and another that is unsubscribed from."""

import re
import time
from email.message import EmailMessage
from html import unescape
from html.parser import HTMLParser
from textwrap import shorten

import frappe
from frappe.utils import cint

from demo.progress import say
from demo.reminders import LONGEST_WAIT
from demo.stage import browser, must


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


def follow(mail: EmailMessage):
	"""Open the *Reorder* link (nothing happens), press the button twice (one order), invoice it."""
	message = message_of(mail)
	address, session = links_of(mail)["reorder"], browser()
	orders_before = frappe.db.count("Sales Order")
	shown = session.get(address, timeout=60)
	must(shown.status_code == 200, f"the link opens, not {shown.status_code}: {Form(shown.text).text[:300]}")
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
	say(f"  The page says: {shorten(Form(pressed.text).text, 200, placeholder=' …')}")
	from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice

	invoice = make_sales_invoice(order.name)
	invoice.insert()
	invoice.submit()
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
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


def items_in(mail: EmailMessage) -> int:
	"""How many items a mail reminds of."""
	return frappe.db.count("Reorder Message Item", {"parent": message_of(mail)})


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
