"""The demo's story: customers with cards, a usage file replayed through the public API, and the proof.

Run by dev/demo beside a web server and workers of the demo site:

	python dev/demo_run.py --usage dev/usage.csv [--prices dev/prices.csv]

Talks to a stand-in for Stripe, or to Stripe itself when STRIPE_SECRET_KEY holds a test key. Time is compressed:
weeks of usage go through in about a minute, so the replay waits for each recharge that a charge starts.
Exits with 1 when ledger, lots, gateway and general ledger do not agree.
"""

import argparse
import csv
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path

warnings.filterwarnings("ignore", category=DeprecationWarning)

import frappe
import requests
from frappe.installer import update_site_config

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "lib"))

import outgoing

SITE, URL = os.environ["CRM_RECHARGE_SITE"], os.environ["CRM_RECHARGE_URL"]
OPENING = "500"
FALLS_BELOW, RECHARGE_UP_TO = "50", "500"
COMPANY = "Acme Cloud"
LONGEST_WAIT = 120

# Cards by what happens to them: number at the stand-in, and Stripe's own test payment method.
GOOD = ("4242424242424242", "pm_card_visa")
GOOD_TOO = ("5555555555554444", "pm_card_mastercard")
FAILS = ("4000000000000341", "pm_card_chargeCustomerFail")
EXPIRED = ("4000056655665556", "pm_card_visa_debit")
STORIES = {
	"healthy": ("healthy card", (GOOD,)),
	"declined": ("primary declined", (FAILS, GOOD)),
	"failing": ("all cards fail", (FAILS, FAILS)),
	"expired": ("primary expired", (EXPIRED, GOOD_TOO)),
}


def say(text=""):
	print(text, flush=True)


def connect():
	frappe.init(site=SITE, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")


# -- the gateway -------------------------------------------------------------------------------------------


class Gateway:
	"""Stripe in test mode, or the stand-in: makes customers' cards and tells what was captured."""

	def __init__(self):
		key = os.environ.get("STRIPE_SECRET_KEY", "")
		self.stand_in = None
		if key:
			if not key.startswith(("sk_test_", "rk_test_")):
				sys.exit(
					"STRIPE_SECRET_KEY is not a test key (sk_test_…): the demo never charges real cards."
				)
			self._configure(key, "")
			return
		from crm_recharge.tests.support.stripe_stand_in import PUBLISHABLE_KEY, SECRET_KEY, StandIn

		# dev/demo runs it beside the web server: it is still there when the desk is looked at.
		self.stand_in = StandIn.at(os.environ["CRM_RECHARGE_STAND_IN"])
		self._configure(SECRET_KEY, self.stand_in.api_base)
		frappe.db.set_single_value("CRM Recharge Settings", "stripe_publishable_key", PUBLISHABLE_KEY)

	def _configure(self, key: str, base: str):
		for name, value in (
			("crm_recharge_stripe_secret_key", key),
			("crm_recharge_stripe_api_base", base),
		):
			update_site_config(name, value, validate=False)
			frappe.local.conf[name] = value

	def save_card(self, account: str, story: tuple[str, str]) -> str:
		"""Save a card that behaves as `story` says. Returns the Recharge Card."""
		from crm_recharge.gateway.stripe_gateway import connect as gateway
		from crm_recharge.recharge import cards

		customer = cards.stripe_customer(account)
		number, test_method = story
		if self.stand_in:
			method = self.stand_in.make_card(customer, number)
		else:
			method = gateway().attach(test_method, customer).payment_method
		name = cards.save(account, method)
		if story is EXPIRED:
			frappe.db.set_value("Recharge Card", name, {"exp_month": 1, "exp_year": datetime.now().year - 1})
		elif story is FAILS:
			# Each card of a customer is another card, though the test number is the same.
			frappe.db.set_value("Recharge Card", name, "fingerprint", f"demo-{name}")
		return name

	def captured(self, account: str) -> Decimal:
		"""What the gateway says it has captured for `account`."""
		customer = frappe.db.get_value("Credit Account", account, "stripe_customer")
		if self.stand_in:
			return self.stand_in.captured_total(customer, "USD")
		from crm_recharge.gateway.stripe_gateway import connect as gateway

		created = frappe.db.get_value("Credit Account", account, "creation").astimezone()
		intents = [i for i in gateway().intents_since(created) if i.metadata.get("account") == account]
		return sum((i.amount for i in intents if i.outcome.value == "succeeded"), Decimal(0))


def set_up_books():
	"""Installing does this for each company; a demo site from an older version may lack some of it."""
	from crm_recharge.accounting.setup import setup_all_companies

	setup_all_companies()
	frappe.db.commit()


# -- people, accounts, cards -------------------------------------------------------------------------------


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
	owner = f"owner.{label}@customer.example"
	if not frappe.db.exists("User", owner):
		frappe.get_doc(
			{
				"doctype": "User",
				"email": owner,
				"first_name": f"Owner of {label}",
				"user_type": "Website User",
				"send_welcome_email": 0,
			}
		).insert(ignore_permissions=True)
	account = frappe.get_doc(
		{
			"doctype": "Credit Account",
			"customer": customer.name,
			"company": COMPANY,
			"currency": "USD",
			"account_owner": owner,
		}
	).insert()
	for team in teams:
		frappe.get_doc({"doctype": "Credit Team", "team_name": team, "credit_account": account.name}).insert()
	names = [gateway.save_card(account.name, card) for card in cards]
	switch_on(account.name, names)
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


# -- the replay --------------------------------------------------------------------------------------------


def read_usage(path: Path) -> dict[str, list[dict]]:
	"""Events by account, in order of time. Ends the demo with the line when a row is bad."""
	events = defaultdict(list)
	with path.open(newline="") as file:
		reader = csv.DictReader(file)
		missing = {"account", "time", "category", "quantity"} - set(reader.fieldnames or ())
		if missing:
			sys.exit(f"{path}: the columns {', '.join(sorted(missing))} are missing")
		for number, row in enumerate(reader, 2):
			try:
				datetime.fromisoformat(row["time"].replace("Z", "+00:00"))
				if Decimal(row["quantity"]) <= 0:
					raise ValueError(row["quantity"])
			except (ArithmeticError, ValueError, AttributeError):
				sys.exit(f"{path}, line {number}: time or quantity is not readable: {row}")
			events[row["account"]].append(row | {"line": number})
	for rows in events.values():
		rows.sort(key=lambda row: row["time"])
	return events


class Replay:
	"""Charges one account's events through the public API, as its integrator would."""

	def __init__(self, account: frappe._dict, events: list[dict], headers: dict):
		self.account, self.events = account, events
		self.session = requests.Session()
		self.session.trust_env = False
		self.session.headers.update(headers | {"Accept": "application/json", "Host": SITE})
		self.counts = Counter()
		self.waits = []

	def run(self) -> "Replay":
		for row in self.events:
			self._charge(row)
		return self

	def _charge(self, row: dict):
		event = {
			"account": self.account.account,
			"category": row["category"],
			"quantity": row["quantity"],
			"idempotency_key": row.get("key") or f"line-{row['line']}",
			"team": row.get("team") or None,
			"user": row.get("user") or None,
			"occurred_at": row["time"],
		}
		response = self._post("crm_recharge.api.credits.charge", event)
		if response.status_code == 402:
			self.counts["refused"] += 1
			return
		if response.status_code != 200:
			raise RuntimeError(f"line {row['line']}: {response.status_code} {response.text[:400]}")
		self.counts["charged"] += 1
		message = response.json()["message"]
		if message["recharge_started"]:
			self._wait_for(message["recharge"])

	def _wait_for(self, recharge: str):
		started = time.monotonic()
		while time.monotonic() - started < LONGEST_WAIT:
			response = self._post("crm_recharge.api.recharge.status", {"recharge": recharge})
			response.raise_for_status()
			if response.json()["message"]["ended"]:
				self.waits.append(time.monotonic() - started)
				return
			time.sleep(0.02)
		raise RuntimeError(f"{recharge} has not ended after {LONGEST_WAIT} s: are the workers running?")

	def _post(self, method: str, data: dict) -> requests.Response:
		return self.session.post(f"{URL}/api/method/{method}", json=data, timeout=60)


def wait_for_invoices(accounts: list[str]) -> float:
	"""Wait until every paid recharge has its invoice and payment. Returns the seconds it took."""
	started = time.monotonic()
	while time.monotonic() - started < LONGEST_WAIT:
		frappe.db.rollback()
		waiting = frappe.get_all(
			"Recharge",
			{
				"credit_account": ["in", accounts],
				"settled_intent": ["is", "set"],
				"accounting_status": ["not in", ["Done", "Not Needed"]],
			},
			["name", "accounting_status", "accounting_error"],
		)
		if not waiting:
			break
		time.sleep(0.5)
	for row in waiting:
		say(f"  {row.name}: accounting is {row.accounting_status}: {row.accounting_error or 'not done yet'}")
	return time.monotonic() - started


# -- what happened -----------------------------------------------------------------------------------------


def exact(sql: str, *values) -> Decimal:
	return Decimal(frappe.db.sql(sql, values)[0][0] or 0)


def row_of(replay: Replay, gateway: Gateway) -> dict:
	"""Figures of one account, each read from the place that owns it."""
	account = replay.account.account
	recharges = frappe.get_all("Recharge", {"credit_account": account}, ["name", "status", "sales_invoice"])
	one = "WHERE `credit_account` = %s"
	return {
		"label": replay.account.label,
		"account": account,
		"story": replay.account.story,
		"charges": replay.counts["charged"],
		"refused": replay.counts["refused"],
		"recharges": Counter(r.status for r in recharges),
		"cards": cards_tried(account),
		"bought": exact(
			f"SELECT CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger` {one} AND `entry_type` = 'Recharge'",
			account,
		),
		"captured": gateway.captured(account),
		"ledger": exact(f"SELECT CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger` {one}", account),
		"lots": exact(f"SELECT CAST(SUM(`remaining`) AS CHAR) FROM `tabCredit Lot` {one}", account),
		"balance": exact(
			"SELECT CAST(`balance` AS CHAR) FROM `tabCredit Account` WHERE `name` = %s", account
		),
		"invoices": sum(bool(r.sales_invoice) for r in recharges),
		"on": frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account}, "enabled"),
	} | books_of(account)


def books_of(account: str) -> dict:
	"""What ERPNext's general ledger holds for the account's recharges."""
	from crm_recharge.accounting.proof import books

	(found,) = books(credit_account=account)
	return {"unearned": found.unearned, "cleared": found.clearing, "left": found.receivable}


def cards_tried(account: str) -> list[tuple[str, int]]:
	"""Each card with what became of it, and how often."""
	from crm_recharge.recharge.notices import attempts_of

	seen = Counter()
	for name in frappe.get_all("Recharge", {"credit_account": account}, pluck="name", order_by="creation"):
		for attempt in attempts_of(name):
			seen[f"{attempt.brand} •••• {attempt.last4}: {attempt.reason}"] += 1
	return list(seen.items())


def print_table(rows: list[dict]):
	line = "{label:<18} {story:<17} {charges:>7} {refused:>7} {recharges:>22} {bought:>11} {invoices:>8} {balance:>13}  {on}"
	say(
		line.format(
			label="account",
			story="cards",
			charges="charges",
			refused="refused",
			recharges="recharges",
			bought="bought USD",
			invoices="invoices",
			balance="balance USD",
			on="auto",
		)
	)
	for row in rows:
		recharges = (
			", ".join(f"{count} {status.lower()}" for status, count in row["recharges"].items()) or "none"
		)
		shown = row | {
			"recharges": recharges,
			"bought": f"{row['bought']:,.2f}",
			"balance": f"{row['balance']:,.4f}",
			"on": "on" if row["on"] else "off",
		}
		say(line.format(**shown))
		for card, times in row["cards"]:
			say(f"    {times:>3} × {card}")


def prove(rows: list[dict]) -> bool:
	"""Ledger = balance = lots, and ledger = gateway = general ledger, account by account."""
	say()
	agree = True
	for row in rows:
		checks = {
			"ledger = balance": row["ledger"] == row["balance"],
			"lots = balance": row["lots"] == max(row["balance"], Decimal(0)),
			"gateway = ledger": row["captured"] == row["bought"],
			"unearned revenue = ledger": row["unearned"] == row["bought"],
			"Stripe clearing = gateway": row["cleared"] == row["captured"],
			"nothing receivable": row["left"] == 0,
		}
		wrong = [name for name, right in checks.items() if not right]
		agree = agree and not wrong
		figures = f"captured {row['captured']:,.2f}, ledger {row['bought']:,.2f}, general ledger {row['unearned']:,.2f}"
		say(f"{row['label']:<18} {'agree' if not wrong else 'DIFFER: ' + ', '.join(wrong)}   ({figures})")
	return agree


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--usage", type=Path, default=HERE / "usage.csv")
	parser.add_argument("--prices", type=Path, default=HERE / "prices.csv")
	options = parser.parse_args()
	events = read_usage(options.usage)
	connect()
	set_up_books()
	outgoing.set_up()
	gateway = Gateway()
	where = f"a stand-in at {gateway.stand_in.api_base}" if gateway.stand_in else "Stripe, test mode"
	say(f"Gateway: {where}. {sum(map(len, events.values())):,} events of {len(events)} accounts.")
	headers = make_masters(options.prices)
	accounts = []
	for label, rows in events.items():
		teams = {row["team"] for row in rows if row.get("team")}
		accounts.append(make_account(label, teams, gateway))
	started = time.monotonic()
	with ThreadPoolExecutor(max_workers=len(accounts)) as pool:
		replays = list(pool.map(lambda a: Replay(a, events[a.label], headers).run(), accounts))
	seconds = time.monotonic() - started
	took = wait_for_invoices([a.account for a in accounts])
	waits = sorted(wait for replay in replays for wait in replay.waits)
	say(f"Replayed in {seconds:.0f} s over HTTP; the last invoice {took:.1f} s later.")
	if waits:
		say(
			f"From threshold to the end of the recharge: median {waits[len(waits) // 2]:.2f} s, worst {waits[-1]:.2f} s."
		)
	say()
	frappe.db.rollback()
	rows = [row_of(replay, gateway) for replay in replays]
	print_table(rows)
	agree = prove(rows)
	say()
	say("Ledger, lots, gateway and general ledger agree." if agree else "The books do not agree: see above.")
	sys.exit(0 if agree else 1)


if __name__ == "__main__":
	main()
