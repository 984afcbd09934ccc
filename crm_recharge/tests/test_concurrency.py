"""Many processes on one account and on many: nothing is lost, nothing counted twice, nothing goes below zero.

CRM_RECHARGE_FULL_SIZE=1 runs 16 processes with 500 charges each; without it they make fewer, to the same rules.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from decimal import Decimal
from unittest.mock import patch

import frappe

from crm_recharge.credits import ledger
from crm_recharge.credits.store import BookStore
from crm_recharge.domain import chain
from crm_recharge.domain.book import RECHARGE
from crm_recharge.tests import factories
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import GatewayTestCase
from crm_recharge.tests.support.web import die_with_parent

FULL = bool(os.environ.get("CRM_RECHARGE_FULL_SIZE"))
PROCESSES, ROUNDS = (16, 500) if FULL else (8, 30)


class TestConcurrency(GatewayTestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		command = [sys.executable, "-m", "crm_recharge.tests.support.hammer", frappe.local.site]
		cls.processes = [
			subprocess.Popen(
				[*command, str(number)],
				cwd=os.path.abspath(frappe.local.sites_path),
				stdin=subprocess.PIPE,
				stdout=subprocess.PIPE,
				text=True,
				preexec_fn=die_with_parent,
			)
			for number in range(PROCESSES)
		]
		cls.addClassCleanup(cls.stop)
		for process in cls.processes:
			if process.stdout.readline() != "ready\n":
				raise RuntimeError("a process did not come up")

	@classmethod
	def stop(cls):
		for process in cls.processes:
			process.stdin.close()
			process.wait(30)
			process.stdout.close()

	def hammer(self, accounts, **more):
		"""Let all processes move credits at once; returns their reports, added up."""
		frappe.db.commit()
		order = {"accounts": accounts, "rounds": ROUNDS, "mixed": False, "start": time.time() + 1} | more
		if frappe.db.sql("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
			order.setdefault("snapshot_isolation", False)
		for process in self.processes:
			process.stdin.write(json.dumps(order) + "\n")
			process.stdin.flush()
		reports = [json.loads(process.stdout.readline()) for process in self.processes]
		frappe.db.rollback()
		return self.added_up(accounts, reports)

	def added_up(self, accounts, reports) -> dict:
		done, charged = Counter(), Counter()
		for report in reports:
			done.update(report["done"])
			charged.update({account: Decimal(total) for account, total in report["charged"].items()})
		seconds = max(report["seconds"] for report in reports)
		total = {
			"done": done,
			"charged": charged,
			"wrong": [text for report in reports for text in report["wrong"]],
			"retries": sum(report["retries"] for report in reports),
			"seconds": seconds,
		}
		moves = sum(count for kind, count in done.items() if kind not in ("repeated", "insufficient"))
		print(
			f"\n{PROCESSES} processes, {len(accounts)} account(s): {dict(done)} in {seconds:.1f} s"
			f" ({moves / seconds:.0f}/s), {total['retries']} retried"
		)
		self.assertEqual(total["wrong"], [])
		return total

	def assert_all_counted(self, accounts, report, given):
		"""What the processes were told is what the tables hold; books are proved at the end of every test."""
		for account in accounts:
			rows = entries(account)
			used = -sum((row.amount for row in rows if row.entry_type == "Usage"), Decimal(0))
			self.assertEqual(used, report["charged"][account], account)
			self.assertEqual(min(row.balance_after for row in rows) >= 0, True)
			self.assertEqual(rows[-1].balance_after, given - used)
			keys = [row.idempotency_key for row in rows if row.entry_type == "Usage"]
			self.assertEqual(len(keys), len(set(keys)))

	def test_one_account(self):
		account = self.account("1000000")
		report = self.hammer([account])
		self.assert_all_counted([account], report, 1000000)
		shared = len(range(0, ROUNDS, 10))
		self.assertEqual(report["done"]["repeated"], shared * (PROCESSES - 1))
		self.assertEqual(len(entries(account)) - 1, PROCESSES * (ROUNDS - shared) + shared)

	def test_sixteen_accounts(self):
		accounts = [self.account("1000000") for _ in range(PROCESSES)]
		report = self.hammer(accounts)
		self.assert_all_counted(accounts, report, 1000000)
		self.assertEqual(report["done"]["charge"], PROCESSES * ROUNDS)

	def test_one_account_that_runs_out(self):
		given = Decimal(PROCESSES * ROUNDS) / 8
		account = self.account(given)
		report = self.hammer([account])
		self.assert_all_counted([account], report, given)
		self.assertGreater(report["done"]["insufficient"], 0)
		self.assertLess(entries(account)[-1].balance_after, 1)

	def test_charges_with_all_else_that_moves_an_account(self):
		for count in (1, 4):
			self.mix(count)

	def test_all_that_where_the_database_refuses_what_changed_since_it_was_read(self):
		"""MariaDB 11.6 and later: innodb_snapshot_isolation is on unless it is switched off."""
		if not frappe.db.sql("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'"):
			self.skipTest("this MariaDB knows no innodb_snapshot_isolation")
		for count in (1, 4):
			self.mix(count, snapshot_isolation=True)

	def mix(self, count, **more):
		accounts = [self.account("500") for _ in range(count)]
		for account in accounts:
			factories.make_setting(
				account, [self.card(account)], falls_below=10, cap_count_hour=0, cap_count_day=0
			)
		report = self.hammer(accounts, mixed=True, **more)
		for account in accounts:
			rows = entries(account)
			used = -sum((row.amount for row in rows if row.entry_type == "Usage"), Decimal(0))
			self.assertEqual(used, report["charged"][account])
			self.assertGreaterEqual(min(row.balance_after for row in rows), 0)
			open_ones = frappe.get_all(
				"Recharge", {"credit_account": account, "status": "Queued"}, pluck="name"
			)
			self.assertLessEqual(len(open_ones), 1)
			self.assertEqual(
				frappe.db.get_value("Credit Account", account, "open_recharge") or None,
				(open_ones or [None])[0],
			)
		payments = sum(1 for account in accounts for row in entries(account) if row.entry_type == "Recharge")
		self.assertEqual(payments, report["done"]["payment"])

	def test_payments_of_different_accounts_do_not_wait_for_each_other(self):
		"""Not even when both have looked their key up, where the other one's will be, before either is written."""
		one, other = self.account("1"), self.account("1")
		intents = dict(zip((one, other), self.neighbours(one, other), strict=True))
		barrier, outcome, site = threading.Barrier(2), [], frappe.local.site
		write = BookStore.write

		def write_together(store, *args, **kwargs):
			barrier.wait(20)
			return write(store, *args, **kwargs)

		def pay(account):
			frappe.init(site=site, sites_path=".")
			frappe.connect()
			try:
				ledger.post_payment(account, "RC-TEST", intents[account], Decimal(5))
				frappe.db.commit()
				outcome.append("paid")
			except Exception as error:
				outcome.append(error)
			finally:
				frappe.destroy()

		with patch.object(BookStore, "write", write_together):
			threads = [threading.Thread(target=pay, args=(account,)) for account in intents]
			for thread in threads:
				thread.start()
			for thread in threads:
				thread.join(60)
		self.assertEqual(outcome, ["paid", "paid"])

	def neighbours(self, one, other) -> tuple[str, str]:
		"""Two payment intents whose keys lie in one gap of the ledger's index."""
		first = f"pi_{frappe.generate_hash(length=16)}"
		key = chain.request_key(one, RECHARGE, first)
		low, high = (
			frappe.db.sql(
				f"SELECT {edge}(`request_key`) FROM `tabCredit Ledger` WHERE `request_key` {sign} %s", key
			)[0][0]
			for edge, sign in (("MAX", "<"), ("MIN", ">"))
		)
		for number in range(10**8):
			second = f"{first}_{number}"
			if (low or "") < chain.request_key(other, RECHARGE, second) < (high or "g"):
				return first, second
