"""One of many processes that move credits at once: `python -m crm_recharge.tests.support.hammer SITE NUMBER`.

Each line it reads is an order, in JSON: accounts, rounds, start (epoch seconds, when all begin together) and mixed
(all kinds of movements, not charges alone), and snapshot_isolation. To each it answers with a line: what it did,
and what went wrong.
"""

import json
import random
import sys
import time
import traceback
from collections import Counter
from decimal import Decimal
from unittest.mock import patch

import frappe

from crm_recharge import contention
from crm_recharge.credits import errors, ledger, usage

BEGIN_AGAIN = contention._begin_again
SHARED_EVERY = 10
"""Every so many rounds a key is used that all processes use, with the same content: it may count once."""


class Hammer:
	"""Charges, and with `mixed` what else moves an account, each in a transaction of its own."""

	def __init__(self, number: int, order: dict):
		self.order, self.number = order, number
		self.random = random.Random(number)
		self.done, self.wrong = Counter(), []
		self.charged: dict[str, Decimal] = {}
		self.retries = 0

	def run(self) -> dict:
		"""All rounds; returns the report."""
		if "snapshot_isolation" in self.order:
			frappe.db.sql(f"SET SESSION innodb_snapshot_isolation = {int(self.order['snapshot_isolation'])}")
		time.sleep(max(0, self.order["start"] - time.time()))
		started = time.monotonic()
		with patch.object(contention, "_begin_again", self.begin_again), patch("frappe.enqueue"):
			for n in range(self.order["rounds"]):
				self.one(n)
		return {
			"seconds": time.monotonic() - started,
			"done": self.done,
			"wrong": self.wrong,
			"retries": self.retries,
			"charged": {account: str(total) for account, total in self.charged.items()},
		}

	def begin_again(self):
		self.retries += 1
		BEGIN_AGAIN()

	def one(self, n: int):
		account = self.order["accounts"][(self.number + n) % len(self.order["accounts"])]
		move, kind = self.choose(n)
		try:
			move(account, n)
			frappe.db.commit()
			self.done[kind] += 1
		except errors.InsufficientCreditsError:
			frappe.db.rollback()
			self.done["insufficient"] += 1
		except Exception:
			frappe.db.rollback()
			self.wrong.append(f"{kind}: {traceback.format_exc(limit=-4)}")

	def choose(self, n: int):
		if not self.order["mixed"]:
			return self.charge, "charge"
		kinds = [
			(self.charge, "charge"),
			(self.batch, "batch"),
			(self.grant, "grant"),
			(self.payment, "payment"),
			(self.setting, "setting"),
			(self.form, "form"),
			(self.reverse, "reverse"),
		]
		return self.random.choices(kinds, [60, 8, 8, 8, 6, 4, 10])[0]

	def permitted(self, account: str):
		"""Read before the lock, as the permission check of a request does: the snapshot is older than the lock."""
		frappe.db.get_value("Credit Account", account, "status")
		time.sleep(0.002)

	def charge(self, account: str, n: int):
		self.permitted(account)
		shared = n % SHARED_EVERY == 0
		key = f"shared-{n}" if shared else f"{self.number}-{n}"
		amount = Decimal(n % 7 + 1) / 10**4 if shared else Decimal(self.random.randint(1, 10**6)) / 10**6
		answer = usage.charge(account, {"amount": amount, "idempotency_key": key})
		if answer["repeated"]:
			self.done["repeated"] += 1
		else:
			self.charged[account] = self.charged.get(account, Decimal(0)) + amount

	def batch(self, account: str, n: int):
		self.permitted(account)
		events = [{"amount": "0.001", "idempotency_key": f"b{self.number}-{n}-{i}"} for i in range(20)]
		answer = usage.charge_many(account, events)
		self.charged[account] = self.charged.get(account, Decimal(0)) + Decimal(answer["amount"])

	def grant(self, account: str, n: int):
		self.permitted(account)
		ledger.grant(account, "0.5", f"g{self.number}-{n}", "n")

	def payment(self, account: str, n: int):
		frappe.db.sql("SELECT `name` FROM `tabCredit Account` WHERE `name` = %s FOR UPDATE", account)
		for _ in range(2):
			ledger.post_payment(
				account, f"RC-{self.number}-{n}", f"pi_{account}_{self.number}_{n}", Decimal("0.25")
			)

	def setting(self, account: str, n: int):
		name = f"ARS-{account}"
		for _ in range(50):
			try:
				doc = frappe.get_doc("Auto-Recharge Setting", name)
				doc.falls_below = self.random.randint(1, 100)
				doc.save()
				return
			except frappe.TimestampMismatchError:
				# Somebody else has saved it meanwhile: as a person would, open it again.
				frappe.db.rollback()
		raise AssertionError("the setting could not be saved")

	def form(self, account: str, n: int):
		for _ in range(50):
			try:
				doc = frappe.get_doc("Credit Account", account)
				doc.status_reason = f"{self.number}-{n}"
				doc.save()
				return
			except frappe.TimestampMismatchError:
				frappe.db.rollback()
		raise AssertionError("the account could not be saved")

	def reverse(self, account: str, n: int):
		rows = frappe.get_all(
			"Credit Ledger",
			{"credit_account": account, "entry_type": "Usage"},
			pluck="name",
			limit=5,
			order_by="sequence desc",
		)
		frappe.db.rollback()
		if rows:
			ledger.reverse(self.random.choice(rows), "n")


def main(site: str, number: int):
	"""Carry out orders from standard input until it ends."""
	frappe.init(site=site, sites_path=".")
	frappe.connect()
	frappe.set_user("Administrator")
	print("ready", flush=True)
	for line in sys.stdin:
		frappe.db.rollback()
		print(json.dumps(Hammer(number, json.loads(line)).run()), flush=True)
	frappe.destroy()


if __name__ == "__main__":
	main(sys.argv[1], int(sys.argv[2]))
