"""The payment path with real processes, queues and databases, and all of them breaking.

CRM_RECHARGE_FAULT_ROUNDS (20) says how thorough: with 1000 a worker is killed at every single step of its way.
"""

import random
import time
from unittest import SkipTest

import frappe
from frappe.utils import now_datetime

from crm_recharge.domain import payment
from crm_recharge.recharge import worker
from crm_recharge.tests.case import FAILS, GOOD
from crm_recharge.tests.support import wires
from crm_recharge.tests.support.books import breaches
from crm_recharge.tests.support.fault_case import (
	ROUNDS,
	THOROUGH,
	FaultCase,
	charge,
	facts_of,
	let_time_pass,
	recover,
	report,
	sweep_for,
)
from crm_recharge.tests.support.node import CannotRun, Killed, Raised, wait_until
from crm_recharge.tests.support.own_database import OwnDatabase


class TestKilledWorkers(FaultCase):
	"""SIGKILL between any two steps of a recharge over two cards: declined, closed, captured, settled."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.node = cls.start_node()

	def test_a_worker_killed_at_any_step_is_taken_over(self):
		account, recharge = self.low_account(FAILS, GOOD)
		self.node.call(worker.carry_out, recharge)  # fills the node's cache: from now on the way is the same
		self.assert_paid_once(account, recharge)
		word, crossed = self.node.call(wires.count, worker.carry_out, self.low_again(account))
		self.assertEqual(word, "Succeeded")
		self.assertEqual(crossed.count("after gateway charge"), 2, crossed)
		self.assertEqual(crossed.count("after gateway cancel"), 1, crossed)
		deadly = wires.choose(crossed, max(ROUNDS, 20))
		self.assertGreaterEqual(len(deadly), 20)
		again, killed = random.Random(len(crossed)), 0
		for number in deadly:
			with self.subTest(killed=f"{number} {crossed[number - 1]}"):
				recharge = self.low_again(account)
				killed += self.kill_worker(recharge, number)
				if number % 3 == 0:  # whoever takes over is killed too
					let_time_pass(recharge)
					self.kill_worker(recharge, again.randrange(1, len(crossed)))
				self.recover(recharge)
				self.assert_paid_once(account, recharge)
		if THOROUGH:
			self.assertEqual(len(deadly), len(crossed))
		report(f"{killed} workers were killed, one at each of {len(deadly)} of {len(crossed)} steps")
		# A way may be a wire or two shorter than the one that was measured.
		self.assertGreaterEqual(killed, len(deadly) - 2)

	def kill_worker(self, recharge: str, deadly: int) -> bool:
		"""Let a worker carry `recharge` out and die at a wire. False when it had ended before."""
		try:
			self.node.call(wires.die_at, deadly, worker.carry_out, recharge)
		except Killed:
			return True
		return False


class TestQueueLost(FaultCase):
	"""A real worker and a Redis that is emptied, killed, or away: the row is the promise, not the job."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.node, cls.worker = cls.start_node(), None

	def setUp(self):
		super().setUp()
		if not self.node.redis.runs:
			self.node.start_redis()

	def ensure_worker(self):
		"""One worker, as a supervisor sees to it: the one that is there, or a new one."""
		if not (self.worker and self.worker.runs):
			type(self).worker = self.node.start_worker()

	def no_worker(self):
		if self.worker:
			self.worker.kill()
			type(self).worker = None

	def low_on_node(self, account: str) -> str:
		"""Use the account down by a process of the node, whose Redis gets the job. Returns the recharge."""
		answer = self.node.call(charge, account, 460, frappe.generate_hash(length=12))
		self.assertTrue(answer["recharge_started"])
		return answer["recharge"]

	def sweep(self, recharge: str) -> int:
		"""The sweeper on the node; what it takes up is the node's workers' to do."""
		return self.node.call(sweep_for, recharge)

	def wait_for_money(self, recharge: str, seconds: float = 30):
		"""Wait until `recharge` has come to its end."""
		wait_until(
			lambda: self.value("Recharge", recharge, "status") not in payment.WORKABLE,
			seconds,
			f"the end of {recharge}",
		)

	def being_charged(self, account: str) -> str:
		"""A recharge whose capture has happened, while the worker still waits for the gateway's answer."""
		customer = self.value("Credit Account", account, "stripe_customer")
		self.stripe.faults.slow_after(seconds=4, where={"customer": customer})
		recharge = self.low_on_node(account)
		wait_until(lambda: self.stripe.intents(customer, "succeeded"), 30, "the capture")
		self.assertEqual(self.value("Recharge", recharge, "status"), "Charging")
		return recharge

	def test_jobs_that_vanish_from_the_queue_are_found_by_the_sweeper(self):
		"""Emptied before a worker came; emptied while it works; and the same worker goes on taking jobs."""
		account = self.account_with(GOOD)
		self.no_worker()
		recharge = self.low_on_node(account)
		self.node.flush_redis()
		self.ensure_worker()
		time.sleep(0.5)
		self.assertEqual(self.value("Recharge", recharge, "status"), "Queued")
		self.assertEqual(self.sweep(recharge), 1)
		self.wait_for_money(recharge)
		self.assert_paid_once(account, recharge)

		other = self.account_with(GOOD)
		recharge = self.being_charged(other)
		self.node.flush_redis()
		self.wait_for_money(recharge)
		self.assert_paid_once(other, recharge)

		recharge = self.low_on_node(account)
		self.wait_for_money(recharge)
		self.assert_paid_once(account, recharge)

	def test_usage_is_charged_while_redis_is_away(self):
		account = self.account_with(GOOD)
		self.no_worker()
		self.node.redis.kill()
		key = frappe.generate_hash(length=12)
		started = time.monotonic()
		answer = self.node.call(charge, account, 460, key)
		self.assertLess(time.monotonic() - started, 10)
		recharge = answer["recharge"]
		self.assertEqual(self.value("Recharge", recharge, "status"), "Queued")
		self.assertTrue(self.node.call(charge, account, 460, key)["repeated"])
		self.assertEqual(self.sweep(recharge), 1)  # nobody to hear it, and no harm done
		self.node.start_redis()
		self.ensure_worker()
		self.assertEqual(self.sweep(recharge), 1)
		self.wait_for_money(recharge)
		self.assert_paid_once(account, recharge)

	def test_redis_killed_while_a_card_is_charged(self):
		self.ensure_worker()
		account = self.account_with(GOOD)
		recharge = self.being_charged(account)
		self.node.redis.kill()
		self.wait_for_money(recharge)  # who carries it out needs no queue to finish
		self.assert_paid_once(account, recharge)

	def test_a_killed_worker_is_replaced_within_two_minutes(self):
		"""Killed while the gateway is asked, with all its processes; the sweeper comes once a minute."""
		self.ensure_worker()
		account = self.account_with(GOOD)
		recharge = self.being_charged(account)
		self.worker.kill()
		killed = time.monotonic()
		self.ensure_worker()
		self.assertEqual(self.sweep(recharge), 0, "swept while the dead worker's lease holds")
		until = self.value("Recharge", recharge, "lease_until")
		lease_left = (until - now_datetime()).total_seconds()
		self.assertLessEqual(lease_left, payment.LEASE.total_seconds())
		skipped = 0.0
		if THOROUGH:  # wait for real; the sweeper is a moment too early, and comes again a minute later
			time.sleep(max(0, lease_left - 1))
			self.assertEqual(self.sweep(recharge), 0)
			time.sleep(60)
		else:
			skipped = lease_left + 60
			let_time_pass(recharge)
		self.assertEqual(self.sweep(recharge), 1)
		self.wait_for_money(recharge)
		seconds = time.monotonic() - killed + skipped
		report(f"a killed recharge was recovered {seconds:.0f} s later, the sweeper at its latest")
		self.assertLess(seconds, 120)
		self.assert_paid_once(account, recharge)


def charge_through_outages(account: str, mark: str, seconds: float, outages: int) -> dict:
	"""In a child: charge 0.01 again and again, until it has lived through `outages` and some seconds more.

	A charge whose answer is lost is repeated under its key as soon as the database is back, as any client must.
	"""
	acknowledged, repeated, lost, until = [], 0, 0, time.monotonic() + seconds
	while time.monotonic() < until or lost < outages:
		key = f"{mark}-{len(acknowledged)}"
		try:
			answer = charge(account, "0.01", key)
		except Exception as error:
			if not is_gone(error):
				raise
			lost += 1
			reconnect()
			answer, until = charge(account, "0.01", key), time.monotonic() + seconds
		repeated += answer["repeated"]
		acknowledged.append(key)
	return {"acknowledged": acknowledged, "repeated": repeated, "lost": lost}


def recharge_through_outages(account: str, mark: str, outages: int) -> dict:
	"""In a child: use the account down and let it be recharged, again and again, through `outages`."""
	recharges, lost, done = [], 0, False
	while not done:
		done = lost >= outages
		key = f"{mark}-{len(recharges)}"
		while True:
			try:
				recharge = charge(account, 460, key)["recharge"]
				recover(recharge)
				break
			except Exception as error:
				if not is_gone(error):
					raise
				lost += 1
				reconnect()
		recharges.append(recharge)
	return {"recharges": recharges, "lost": lost}


def reconnect(seconds: float = 60):
	"""In a child: a new connection, as soon as there is one."""
	deadline = time.monotonic() + seconds
	while time.monotonic() < deadline:
		try:
			frappe.connect()
			return frappe.db.sql("SELECT 1")
		except Exception as error:
			if not is_gone(error):
				raise
			time.sleep(0.1)
	raise TimeoutError("the database did not come back")


def is_gone(error: BaseException | None) -> bool:
	"""Whether an error says that the database is not there, or no more."""
	while error is not None:
		if error.args and error.args[0] in (0, 1053, 1927, 2002, 2003, 2006, 2013, 2055):
			return True
		error = error.__cause__ or error.__context__
	return False


class TestDatabaseLost(FaultCase):
	"""A MariaDB of its own, with a copy of the site, killed without warning and started again."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		try:
			cls.database = OwnDatabase()
			cls.addClassCleanup(cls.database.remove)
			cls.database.start()
			cls.charged = [cls().account_with(GOOD) for _ in range(2)]
			cls.recharged, cls.recharged_too = (
				cls().account_with(*cards) for cards in ((FAILS, GOOD), (GOOD,))
			)
			cls.database.copy_site()
		except CannotRun as reason:
			raise SkipTest(f"MariaDB of the tests' own: {reason}") from None
		cls.node = cls.start_node(**cls.database.conf)

	def crash(self):
		"""SIGKILL, and up again."""
		self.database.kill()
		time.sleep(0.3)
		self.database.start()

	def test_acknowledged_charges_outlive_the_server_and_none_is_charged_twice(self):
		crashes = max(1, ROUNDS // 20)
		chargers = [
			(account, self.node.fork(charge_through_outages, account, f"{account}-{n}", 1, crashes))
			for account in self.charged
			for n in range(2)
		]
		for _ in range(crashes):
			time.sleep(random.uniform(0.8, 1.5))
			self.crash()
		charged = {account: [] for account in self.charged}
		lost = 0
		for account, charger in chargers:
			told = charger.result(120)
			lost += told["lost"]
			charged[account] += told["acknowledged"]
		self.assertGreaterEqual(lost, crashes * len(chargers))
		for account, keys in charged.items():
			self.assertEqual(len(keys), len(set(keys)))
			kept, wrong = self.node.call(usage_keys, account)
			self.assertEqual(sorted(kept), sorted(keys))
			self.assertEqual(wrong, [])
		report(
			f"{sum(map(len, charged.values()))} charges outlived {crashes} crashes; {lost} answers were lost"
		)

	def test_a_payment_outlives_the_server_killed_during_each_call_to_the_gateway(self):
		account = self.recharged
		customer = self.value("Credit Account", account, "stripe_customer")
		recharge = self.node.call(charge, account, 460, "down")["recharge"]

		def states():
			return sorted(intent["status"] for intent in self.stripe.intents(customer))

		for route, so_far in (
			("POST /v1/payment_intents", ["requires_payment_method"]),
			("POST /v1/payment_intents/*/cancel", ["canceled"]),
			("POST /v1/payment_intents", ["canceled", "succeeded"]),
		):
			self.stripe.faults.clear()
			self.stripe.faults.slow_after(2, route)
			at_work = self.node.fork(worker.carry_out, recharge)
			wait_until(lambda so_far=so_far: states() == so_far, 30, str(so_far))
			self.crash()
			with self.assertRaises(Raised):
				at_work.result()
			self.node.call(let_time_pass, recharge)
		self.stripe.faults.clear()
		self.assertEqual(self.node.call(recover, recharge), "Succeeded")
		self.assert_paid_once(account, recharge, facts=self.node.call(facts_of, account, recharge))

	def test_recharge_after_recharge_outlives_a_server_killed_at_any_moment(self):
		account, crashes = self.recharged_too, max(2, ROUNDS // 20)
		at_work = self.node.fork(recharge_through_outages, account, "again", crashes)
		for _ in range(crashes):
			time.sleep(random.uniform(0.5, 1.5))
			self.crash()
		told = at_work.result(300)
		for recharge in told["recharges"]:
			self.assert_paid_once(account, recharge, facts=self.node.call(facts_of, account, recharge))
		report(f"{len(told['recharges'])} recharges outlived {crashes} crashes of the database")


def usage_keys(account: str) -> tuple[list[str], list[str]]:
	"""In a child: the keys of all usage of `account`, and what is wrong with its books."""
	keys = frappe.get_all(
		"Credit Ledger", {"credit_account": account, "entry_type": "Usage"}, pluck="idempotency_key"
	)
	return keys, breaches(account)
