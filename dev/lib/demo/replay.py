"""The usage file, charged through the public API as each account's integrator would."""

import csv
import sys
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import frappe
import requests

from demo.days import read_time
from demo.progress import Progress, say
from demo.stage import URL, browser

LONGEST_WAIT = 120


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
				read_time(row["time"])
				if Decimal(row["quantity"]) <= 0:
					raise ValueError(row["quantity"])
			except (ArithmeticError, ValueError, AttributeError):
				sys.exit(f"{path}, line {number}: time or quantity is not readable: {row}")
			events[row["account"]].append(row | {"line": number})
	if not events:
		sys.exit(f"{path}: no events, only the line of headings")
	for rows in events.values():
		rows.sort(key=lambda row: row["time"])
	return events


class Replay:
	"""Charges one account's events through the public API, as its integrator would."""

	def __init__(self, account: frappe._dict, events: list[dict], headers: dict, progress: Progress):
		self.account, self.events, self.progress = account, events, progress
		self.session = browser()
		self.session.headers.update(headers | {"Accept": "application/json"})
		self.waits = []

	def run(self) -> "Replay":
		for row in self.events:
			self._charge(row)
			self.progress.step()
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
			return
		if response.status_code != 200:
			raise RuntimeError(f"line {row['line']}: {response.status_code} {response.text[:400]}")
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
	"""Wait until every paid recharge has its invoice, payment and mail. Returns the seconds it took."""
	started = time.monotonic()
	while time.monotonic() - started < LONGEST_WAIT:
		frappe.db.rollback()
		waiting = [row for row in _settled(accounts) if not _is_done(row)]
		if not waiting:
			break
		time.sleep(0.5)
	for row in waiting:
		say(f"  {row.name}: accounting is {row.accounting_status}: {row.accounting_error or 'not done yet'}")
	return time.monotonic() - started


def _settled(accounts: list[str]) -> list[frappe._dict]:
	return frappe.get_all(
		"Recharge",
		{"credit_account": ["in", accounts], "settled_intent": ["is", "set"]},
		["name", "accounting_status", "accounting_error", "accounting_next_try_at", "invoice_mailed_at"],
	)


def _is_done(row) -> bool:
	"""Accounted for, and mailed unless the settings say that invoices are not: then nothing is to be tried again."""
	if row.accounting_status == "Not Needed":
		return True
	return row.accounting_status == "Done" and bool(row.invoice_mailed_at or not row.accounting_next_try_at)
