"""How fast charging is, as ratios against plain SQL and Frappe's own inserts, measured in one run.

Run by `dev/benchmark charge [--rounds N] [--rows N]` on the benchmark site. Each figure is a median of rounds in
which the candidates take turns, so that a drifting machine drifts for all of them.

(a) floor: lock a row, insert, update, commit in plain SQL   (b) Frappe's insert of a small document
(c) charge as a function   (d) charge_many by 1,000   (e) submit of an ERPNext Journal Entry
(f) charge over HTTP beside Frappe's ping   (g) charge with 10^4 and 10^6 ledger rows on the account
(h) from threshold to credits, beyond the gateway's own time, with an idle worker
"""

import argparse
import json
import os
import statistics
import sys
import time
from contextlib import contextmanager

import frappe
import requests

SITE = os.environ.get("CRM_RECHARGE_SITE", "")
COMPANY = "Acme Cloud"
CHARGES, BATCHES, DOCUMENTS = 200, 2, 60


def say(text):
	print(text, flush=True)


def connect():
	frappe.init(site=SITE, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")
	frappe.flags.mute_emails = True


def make_account(label: str) -> str:
	"""A fresh account with plenty of credits and auto recharge set, but far from its threshold."""
	from crm_recharge.credits import ledger

	mark = frappe.generate_hash(length=8)
	customer = frappe.get_doc(
		{"doctype": "Customer", "customer_name": f"Benchmark {label} {mark}", "customer_type": "Company"}
	).insert()
	account = frappe.get_doc(
		{"doctype": "Credit Account", "customer": customer.name, "company": COMPANY, "currency": "USD"}
	).insert()
	ledger.grant(account.name, 900_000_000, "opening", note="Benchmark")
	frappe.get_doc(
		{"doctype": "Auto-Recharge Setting", "credit_account": account.name, "enabled": 0}
	).insert()
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()
	return account.name


# -- candidates: each returns seconds a unit ---------------------------------------------------------------


def make_floor():
	frappe.db.sql_ddl(
		"CREATE TABLE IF NOT EXISTS `_bench_account` (name varchar(140) PRIMARY KEY, balance decimal(21,9))"
	)
	frappe.db.sql_ddl(
		"CREATE TABLE IF NOT EXISTS `_bench_ledger` (name varchar(140) PRIMARY KEY, creation datetime(6), account"
		" varchar(140), amount decimal(21,9), balance_after decimal(21,9), request_key varchar(140) UNIQUE,"
		" INDEX (account, creation))"
	)
	frappe.db.sql("REPLACE INTO `_bench_account` VALUES ('floor', 0)")
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()


def floor(count: int) -> float:
	started = time.perf_counter()
	for _ in range(count):
		name = frappe.generate_hash(length=20)
		frappe.db.sql("SELECT balance FROM `_bench_account` WHERE name = %s FOR UPDATE", "floor")
		frappe.db.sql(
			"INSERT INTO `_bench_ledger` VALUES (%s, NOW(6), %s, %s, %s, %s)",
			(name, "floor", "-0.5", "100", name),
		)
		frappe.db.sql("UPDATE `_bench_account` SET balance = balance - %s WHERE name = %s", ("0.5", "floor"))
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
	return (time.perf_counter() - started) / count


def small_document(count: int) -> float:
	started = time.perf_counter()
	for _ in range(count):
		frappe.get_doc({"doctype": "Note", "title": frappe.generate_hash(length=20), "public": 0}).insert()
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
	return (time.perf_counter() - started) / count


def charges(account: str):
	from crm_recharge.api import credits

	def run(count: int) -> float:
		mark = frappe.generate_hash(length=12)
		started = time.perf_counter()
		for number in range(count):
			credits.charge(account, amount="0.5", idempotency_key=f"{mark}-{number}")
			# nosemgrep: frappe-manual-commit -- a script: nothing else commits
			frappe.db.commit()
		return (time.perf_counter() - started) / count

	return run


def batches(account: str):
	from crm_recharge.api import credits

	def run(count: int) -> float:
		seconds = 0.0
		for _ in range(count):
			mark = frappe.generate_hash(length=12)
			events = [{"amount": "0.0004", "idempotency_key": f"{mark}-{n}"} for n in range(1000)]
			started = time.perf_counter()
			credits.charge_many(account, events)
			# nosemgrep: frappe-manual-commit -- a script: nothing else commits
			frappe.db.commit()
			seconds += time.perf_counter() - started
		return seconds / (count * 1000)

	return run


def journal_entry(count: int) -> float:
	cash = frappe.db.get_value("Account", {"company": COMPANY, "account_type": "Cash", "is_group": 0})
	other = frappe.db.get_value(
		"Account", {"company": COMPANY, "root_type": "Liability", "is_group": 0, "account_type": ""}
	)
	seconds = 0.0
	for _ in range(count):
		entry = frappe.get_doc(
			{
				"doctype": "Journal Entry",
				"company": COMPANY,
				"posting_date": frappe.utils.today(),
				"accounts": [
					{"account": cash, "debit_in_account_currency": 1},
					{"account": other, "credit_in_account_currency": 1},
				],
			}
		)
		started = time.perf_counter()
		entry.insert()
		entry.submit()
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
		seconds += time.perf_counter() - started
	return seconds / count


class Http:
	"""One keep-alive connection to the site's web server as an API user."""

	def __init__(self, account: str):
		self.account, self.url = account, os.environ["CRM_RECHARGE_URL"]
		email = "benchmark-meter@acme-cloud.example"
		if not frappe.db.exists("User", email):
			frappe.get_doc(
				{
					"doctype": "User",
					"email": email,
					"first_name": "Benchmark",
					"send_welcome_email": 0,
					"roles": [{"role": "Credit API"}],
				}
			).insert()
		user = frappe.get_doc("User", email)
		user.api_key, user.api_secret = frappe.generate_hash(length=15), frappe.generate_hash(length=15)
		secret = user.api_secret
		user.save()
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
		self.session = requests.Session()
		self.session.trust_env = False
		self.session.headers.update(
			{"Authorization": f"token {user.api_key}:{secret}", "Host": SITE, "Accept": "application/json"}
		)

	def ping(self, count: int) -> float:
		return self._time(count, lambda n: ("frappe.ping", {}))

	def charge(self, count: int) -> float:
		mark = frappe.generate_hash(length=12)
		return self._time(
			count,
			lambda n: (
				"crm_recharge.api.credits.charge",
				{"account": self.account, "amount": "0.5", "idempotency_key": f"{mark}-{n}"},
			),
		)

	def _time(self, count: int, request) -> float:
		started = time.perf_counter()
		for number in range(count):
			method, data = request(number)
			response = self.session.post(f"{self.url}/api/method/{method}", json=data, timeout=30)
			response.raise_for_status()
		return (time.perf_counter() - started) / count


# -- measuring ---------------------------------------------------------------------------------------------


def take_turns(candidates: dict, rounds: int) -> dict[str, list[float]]:
	"""Run each candidate once a round, after a warm-up, and keep the seconds a unit."""
	for run, count in candidates.values():
		run(max(1, count // 10))
	taken = {name: [] for name in candidates}
	for _ in range(rounds):
		for name, (run, count) in candidates.items():
			taken[name].append(run(count))
	return taken


def ratio(taken: dict, base: str, other: str) -> float:
	"""Median, round by round, of how many times `other` fits into `base`."""
	return statistics.median(b / o for b, o in zip(taken[base], taken[other], strict=True))


def fill(account: str, rows: int):
	"""Bring an account's ledger to `rows` rows by the app's own batches."""
	from crm_recharge.api import credits

	while True:
		have = frappe.db.get_value("Credit Account", account, "sequence")
		if have >= rows:
			return
		mark = frappe.generate_hash(length=12)
		wanted = min(10_000, rows - have)
		events = [{"amount": "0.0004", "idempotency_key": f"{mark}-{n}"} for n in range(wanted)]
		credits.charge_many(account, events)
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()


def growth(rows: int, rounds: int) -> tuple[float, dict]:
	small, large = make_account("10^4"), make_account("10^6")
	fill(small, 10_000)
	started = time.perf_counter()
	fill(large, rows)
	say(f"    filled {rows:,} rows in {time.perf_counter() - started:.0f} s")
	taken = take_turns({"1e4": (charges(small), CHARGES), "1e6": (charges(large), CHARGES)}, max(rounds, 7))
	return statistics.median(b / a for a, b in zip(taken["1e4"], taken["1e6"], strict=True)), taken


@contextmanager
def stand_in():
	"""The stand-in for Stripe, known to this site for as long as the block lasts."""
	from frappe.installer import update_site_config

	from crm_recharge.tests.support.stripe_stand_in import SECRET_KEY, StandIn

	keys = ("crm_recharge_stripe_secret_key", "crm_recharge_stripe_api_base")
	before = {key: frappe.conf.get(key) for key in keys}
	with StandIn() as stripe:
		for key, value in zip(keys, (SECRET_KEY, stripe.api_base), strict=True):
			update_site_config(key, value, validate=False)
			frappe.local.conf[key] = value
		try:
			yield stripe
		finally:
			for key, value in before.items():
				update_site_config(key, value or "None", validate=False)


def threshold_to_credit(count: int) -> list[float]:
	"""Seconds from the charge's answer to the credit, less what the gateway took, with real workers."""
	from crm_recharge.api import credits, recharge
	from crm_recharge.recharge import cards

	with stand_in() as stripe:
		account = make_account("threshold")
		credits.adjust(account, "-899999500", note="Benchmark", idempotency_key="down")
		card = cards.save(account, stripe.make_card(cards.gateway_customer(account)))
		caps = {"cap_count_hour": 0, "cap_count_day": 0}
		recharge.set_auto_recharge(
			account, enabled=1, falls_below=50, recharge_up_to=500, cards=[card], caps=caps
		)
		# nosemgrep: frappe-manual-commit -- a script: nothing else commits
		frappe.db.commit()
		return [_one_recharge(account) for _ in range(count)]


def _wait_for_idle_workers(seconds: float = 60) -> None:
	"""The recharge before this one is still being invoiced and mailed."""
	from frappe.utils.background_jobs import get_queue_list, get_queues, get_workers

	ends = time.time() + seconds
	while any(len(queue) for queue in get_queues()) or any(w.get_state() == "busy" for w in get_workers()):
		if time.time() > ends:
			sys.exit(f"the worker is still busy after {seconds} s (queues: {', '.join(get_queue_list())})")
		time.sleep(0.02)


def _one_recharge(account: str) -> float:
	from crm_recharge.api import credits

	_wait_for_idle_workers()
	key = frappe.generate_hash(length=12)
	answer = credits.charge(account, amount="460", idempotency_key=key)
	started = time.time()
	# nosemgrep: frappe-manual-commit -- a script: nothing else commits
	frappe.db.commit()
	while True:
		frappe.db.rollback()
		row = frappe.db.get_value("Recharge", answer["recharge"], ["status", "settled_at"])
		if row[0] == "Succeeded":
			break
		if time.time() - started > 60 or row[0] == "Failed":
			sys.exit(f"{answer['recharge']} is {row[0]}: is a worker running?")
		time.sleep(0.005)
	seconds = time.time() - started
	gateway = frappe.get_all("Recharge Attempt", {"recharge": answer["recharge"]}, pluck="milliseconds")
	return seconds - sum(gateway) / 1000


def main():
	parser = argparse.ArgumentParser()
	parser.add_argument("--rounds", type=int, default=9)
	parser.add_argument("--rows", type=int, default=1_000_000)
	options = parser.parse_args()
	connect()
	make_floor()
	account = make_account("charge")
	taken = take_turns(
		{
			"floor": (floor, CHARGES),
			"small document": (small_document, DOCUMENTS),
			"charge": (charges(account), CHARGES),
			"charge_many": (batches(account), BATCHES),
			"journal entry": (journal_entry, max(1, DOCUMENTS // 20)),
		},
		options.rounds,
	)
	for name, seconds in taken.items():
		best, middle, worst = min(seconds), statistics.median(seconds), max(seconds)
		say(f"{name:<16} {1e6 * middle:>10.1f} µs a unit   ({1e6 * best:.1f} to {1e6 * worst:.1f})")
	http = Http(make_account("http"))
	over_http = take_turns(
		{"ping": (http.ping, CHARGES), "http charge": (http.charge, CHARGES)}, options.rounds
	)
	for name, seconds in over_http.items():
		say(f"{name:<16} {1e3 * statistics.median(seconds):>10.2f} ms a request")
	grown, by_size = growth(options.rows, options.rounds)
	for name, seconds in by_size.items():
		say(f"charge at {name:<6} {1e6 * statistics.median(seconds):>10.1f} µs")
	overheads = sorted(threshold_to_credit(12))
	say(f"threshold to credit, beyond the gateway: {', '.join(f'{s:.3f}' for s in overheads)} s")
	print(
		json.dumps(
			{
				"charge_vs_floor": round(ratio(taken, "floor", "charge"), 3),
				"charge_many_vs_floor": round(ratio(taken, "floor", "charge_many"), 2),
				"small_document_vs_floor": round(ratio(taken, "floor", "small document"), 3),
				"http_vs_ping": round(ratio(over_http, "ping", "http charge"), 3),
				"growth_1e6_vs_1e4": round(grown, 3),
				"charge_vs_journal_entry": round(ratio(taken, "journal entry", "charge"), 1),
				"threshold_to_credit_overhead_s": round(statistics.median(overheads), 3),
			}
		)
	)


if __name__ == "__main__":
	main()
