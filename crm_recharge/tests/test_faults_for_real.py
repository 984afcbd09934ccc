"""The payment path with real processes, queues and databases, and all of them breaking.

CRM_RECHARGE_FAULT_ROUNDS (20) says how thorough: with 1000 a worker is killed at every single step of its way.
"""

import json
import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from multiprocessing import get_context
from unittest import SkipTest
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import frappe
from frappe.utils import now_datetime
from frappe.utils.background_jobs import get_job_status
from rq.job import JobStatus

from crm_recharge.background import CARRY_OUT
from crm_recharge.domain import payment
from crm_recharge.gateway import inbox
from crm_recharge.gateway.stripe import adapter
from crm_recharge.gateway.stripe.events import TYPES
from crm_recharge.outbox import sweep, work
from crm_recharge.recharge import confirm, disputes, events, links, reconcile, refunds, worker
from crm_recharge.recharge.performer import perform
from crm_recharge.tests.case import FAILS, GOOD, WEBHOOK_SECRET
from crm_recharge.tests.support import traffic, wires
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
from crm_recharge.tests.support.stripe_webhooks import sign

AUTHENTICATE = "4000002760003184"


WORKED_ON = [name for names in TYPES.values() for name in names]


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


def start_scheduled(method: str) -> bool:
	"""In a child: what the scheduler does when `method` is due. Whether it was enqueued."""
	return frappe.get_doc("Scheduled Job Type", {"method": method}).enqueue(force=True)


def scheduled_runs(method: str) -> bool:
	"""In a child: whether the queue says that a scheduled job is running."""
	job = frappe.get_doc("Scheduled Job Type", {"method": method})
	return get_job_status(job.rq_job_id) == JobStatus.STARTED


def spare_sweep_for(recharge: str) -> int:
	"""In a child: the spare sweeper, with this recharge alone, and with another sweeper that fails."""

	broken = replace(CARRY_OUT, name="broken", due="crm_recharge.there_is_no.such_thing")
	kinds = {kind.name: kind for kind in (broken, replace(CARRY_OUT, limit=10**6))}
	with patch.object(work, "all_works", lambda: kinds):
		return sweep_for(recharge, sweeping=sweep.once_more)


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
		customer = self.value("Credit Account", account, "gateway_customer")
		self.stripe.faults.slow_after(seconds=2.5, where={"customer": customer})
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
		self.assertLess(time.monotonic() - started, 15)  # Frappe itself tries for five seconds
		recharge = answer["recharge"]
		self.assertEqual(self.value("Recharge", recharge, "status"), "Queued")
		self.assertTrue(self.node.call(charge, account, 460, key)["repeated"])
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

	def test_a_sweeper_killed_at_its_work_does_not_stop_the_sweeping(self):
		"""Its scheduled job counts as running for a quarter of an hour, and is not started meanwhile."""
		account, recharge = self.low_account(GOOD)
		self.node.flush_redis()
		self.no_worker()
		sweeping = self.node.start_worker("default")
		sweeper, spare = ("crm_recharge.outbox.sweep." + name for name in ("sweep", "once_more"))
		frappe.db.sql("LOCK TABLES `tabRecharge` WRITE, `tabRecharge` AS r WRITE")
		try:
			self.assertTrue(self.node.call(start_scheduled, sweeper))
			wait_until(lambda: self.node.call(scheduled_runs, sweeper), 30, "the sweeper's start")
			time.sleep(1)
			sweeping.kill()
		finally:
			frappe.db.sql("UNLOCK TABLES")
		self.ensure_worker()
		self.assertEqual(self.node.call(spare_sweep_for, recharge), 1)
		self.wait_for_money(recharge)
		self.assert_paid_once(account, recharge)
		self.assertIn(spare, frappe.get_hooks("scheduler_events")["cron"]["* * * * *"])

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
			told = charger.result(60 + 20 * crashes)
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
		customer = self.value("Credit Account", account, "gateway_customer")
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
		told = at_work.result(60 + 20 * crashes)
		for recharge in told["recharges"]:
			self.assert_paid_once(account, recharge, facts=self.node.call(facts_of, account, recharge))
		report(f"{len(told['recharges'])} recharges outlived {crashes} crashes of the database")


def usage_keys(account: str) -> tuple[list[str], list[str]]:
	"""In a child: the keys of all usage of `account`, and what is wrong with its books."""
	keys = frappe.get_all(
		"Credit Ledger", {"credit_account": account, "entry_type": "Usage"}, pluck="idempotency_key"
	)
	return keys, breaches(account)


ASK, CLOSE = "POST /v1/payment_intents", "POST /v1/payment_intents/*/cancel"
PATIENCE = 0.35
LOSSES = {
	"lost before": {"kind": "lost_before"},
	"lost after": {"kind": "lost_after"},
	"5xx before": {"kind": "error_before", "status": 503},
	"5xx after, kept under the key": {"kind": "error_after"},
	"5xx after": {"kind": "error_after", "sticky": False},
	"429": {"kind": "rate_limit"},
	"409": {"kind": "conflict"},
	"too slow, done later": {"kind": "slow", "seconds": 2 * PATIENCE},
	"too slow, done at once": {"kind": "slow_after", "seconds": 2 * PATIENCE},
}


class TestAnswersLost(FaultCase):
	"""Each way of losing an answer, at each call of a recharge: declined, closed, captured."""

	def setUp(self):
		super().setUp()
		gateway = adapter.StripeGateway

		def impatient(key, api_base=None, timeout=20):
			return gateway(key, api_base=api_base, timeout=PATIENCE)

		patcher = patch.object(adapter, "StripeGateway", impatient)
		patcher.start()
		self.addCleanup(patcher.stop)

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.account = cls().account_with(FAILS, GOOD)
		cards = frappe.get_all(
			"Auto-Recharge Card", {"parent": f"ARS-{cls.account}"}, pluck="card", order_by="idx"
		)
		cls.declined, cls.good = (
			frappe.db.get_value("Recharge Card", card, "payment_method") for card in cards
		)
		cls.calls = {
			"the declined charge": {"route": ASK, "where": {"payment_method": cls.declined}},
			"closing it": {"route": CLOSE},
			"the capture": {"route": ASK, "where": {"payment_method": cls.good}},
		}

	def pay_with(self, *orders: dict) -> int:
		"""Run a recharge while these faults are in force, to its end. Returns how many of them struck."""
		for order in orders:
			self.stripe.faults.add(**order)
		seen = len(self.stripe.log())
		recharge = self.low_again(self.account)
		self.work(recharge)
		self.recover(recharge)
		struck = sum(order["hits"] for order in self.stripe.faults.list())
		self.stripe.faults.clear()
		self.assert_paid_once(self.account, recharge)
		self.assert_one_card_at_a_time(recharge, seen)
		return struck

	def assert_one_card_at_a_time(self, recharge: str, seen: int):
		"""The second card was not asked before the first one's payment was closed."""
		closed = {
			i["id"] for i in self.stripe.intents(status="canceled") if i["metadata"]["recharge"] == recharge
		}
		first, second = [], []
		for call in self.stripe.log()[seen:]:
			if call["params"].get("metadata", {}).get("recharge") == recharge:
				is_first = call["params"]["payment_method"] == self.declined
				(first if is_first else second).append(call["at"])
			elif call["path"].endswith("/cancel") and call["path"].split("/")[-2] in closed:
				first.append(call["at"])
		self.assertTrue(first and second)
		self.assertLess(max(first), min(second))

	def test_each_loss_at_each_call(self):
		for call, where in self.calls.items():
			for loss, kind in LOSSES.items():
				with self.subTest(call=call, loss=loss):
					self.assertEqual(self.pay_with(where | kind), 1)

	def test_losses_upon_losses(self):
		"""Several at once, drawn by a seed: also of the questions that are asked after a loss."""
		look = {"route": "GET /v1/payment_intents*"}
		for seed in range(max(3, ROUNDS // 5)):
			draw = random.Random(seed)
			orders = [
				where | draw.choice(list(LOSSES.values())) | {"count": draw.randint(1, 2)}
				for where in [*self.calls.values(), look, look]
				if draw.random() < 0.8
			]
			with self.subTest(seed=seed, orders=orders):
				self.pay_with(*orders)


class TestWebhooksForReal(FaultCase):
	"""gunicorn, workers, and a gateway that tells of everything twice, late, or in the wrong order."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.node = cls.start_node()
		cls.url = f"{cls.node.start_web()}/api/method/crm_recharge.api.gateway.webhook"
		cls.node.start_worker()
		cls.node.start_worker()

	def setUp(self):
		super().setUp()
		self.addCleanup(self.stripe.webhooks.off)

	def post(self, payload: bytes) -> int:
		headers = {"Stripe-Signature": sign(payload, WEBHOOK_SECRET), "Content-Type": "application/json"}
		return self.node.session().post(self.url, data=payload, headers=headers, timeout=60).status_code

	def events_about(self, recharge: str) -> list:
		"""The inbox's rows about the payments of `recharge`."""
		ours = [i["id"] for i in self.stripe.intents() if i["metadata"].get("recharge") == recharge]
		frappe.db.rollback()
		return frappe.get_all(
			"Gateway Event", {"object_id": ["in", ours]}, ["name", "event_type", "status", "outcome"]
		)

	def test_events_settle_what_the_worker_did_not_hear(self):
		"""The answer of the capture is lost; the sweeper never comes; the event does, one way or the other."""
		for mode in ("twice", "late", "out_of_order"):
			with self.subTest(mode=mode):
				account = self.account_with(FAILS, GOOD)
				customer = self.value("Credit Account", account, "gateway_customer")
				where = {"url": self.url, "secret": WEBHOOK_SECRET, "host": self.node.site}
				self.stripe.webhooks.to(**where, mode=mode, seconds=0.5, events=WORKED_ON)
				self.stripe.faults.lost_after(skip=1, where={"customer": customer})
				recharge = self.node.call(charge, account, 460, "down")["recharge"]
				wait_until(lambda r=recharge: self.value("Recharge", r, "status") == "Succeeded", 30, mode)
				self.assertTrue(self.stripe.webhooks.wait(20))
				wait_until(
					lambda r=recharge: all(e.status != "Received" for e in self.events_about(r)), 30, mode
				)
				self.assert_paid_once(account, recharge)
				rows = self.events_about(recharge)
				self.assertEqual({row.status for row in rows}, {"Processed"}, rows)
				self.assertEqual({row.name for row in rows}, self.told_about(recharge))
				self.stripe.webhooks.off()
		self.assertEqual({d["status"] for d in self.stripe.webhooks.deliveries()}, {200})

	def told_about(self, recharge: str) -> set:
		"""The gateway's events about the payments of `recharge`."""
		return {
			event["id"]
			for event in self.stripe.all("event")
			if event["type"].startswith("payment_intent.")
			and event["type"] in WORKED_ON
			and event["data"]["object"]["metadata"].get("recharge") == recharge
		}

	def test_ten_threads_deliver_one_event(self):
		account, recharge, intent = self.captured_unheard()
		payload = event_about("payment_intent.succeeded", intent)
		with ThreadPoolExecutor(10) as threads:
			self.assertEqual(list(threads.map(self.post, [payload] * 10)), [200] * 10)
		(row,) = self.events_about(recharge)
		wait_until(
			lambda: self.value("Gateway Event", row.name, "status") == "Processed", 30, "the event's end"
		)
		self.assert_paid_once(account, recharge)
		with ThreadPoolExecutor(10) as threads:
			self.assertEqual(set(threads.map(self.post, [payload] * 10)), {200})
		self.assertEqual(len(self.events_about(recharge)), 1)
		self.assert_paid_once(account, recharge)

	def test_an_event_is_kept_at_once_while_redis_is_away(self):
		account, recharge, intent = self.captured_unheard()
		payload = event_about("payment_intent.succeeded", intent)
		self.node.redis.kill()
		try:
			started = time.monotonic()
			self.assertEqual(self.post(payload), 200)
			seconds = time.monotonic() - started
			self.assertLess(seconds, 4, "Stripe was kept waiting for the queue")
		finally:
			self.node.start_redis()
		(row,) = self.events_about(recharge)
		self.assertEqual(row.status, "Received")
		self.node.start_worker()
		self.assertEqual(self.node.call(sweep_event, row.name), 1)
		wait_until(
			lambda: self.value("Gateway Event", row.name, "status") == "Processed", 30, "the event's end"
		)
		self.assert_paid_once(account, recharge)

	def captured_unheard(self) -> tuple[str, str, dict]:
		"""A payment that was captured, and whose answer was lost. Returns account, recharge, intent."""
		account, recharge = self.low_account(GOOD)
		customer = self.value("Credit Account", account, "gateway_customer")
		self.stripe.faults.lost_after(where={"customer": customer})
		self.assertEqual(self.work(recharge), "waiting")
		(intent,) = self.stripe.intents(customer, "succeeded")
		return account, recharge, intent

	def race(self, *racers: tuple) -> list:
		"""Let every (function, argument...) begin at the same moment, each in a process of its own."""
		line = get_context("fork").Barrier(len(racers), timeout=30)
		running = [self.node.fork(start_together, line, *racer) for racer in racers]
		return [child.result() for child in running]

	def test_all_who_hear_of_a_payment_at_once_settle_it_once(self):
		for _ in range(max(3, ROUNDS // 5)):
			account, recharge, intent = self.captured_unheard()
			names = [
				self.kept("payment_intent.succeeded", intent),
				self.kept("payment_intent.processing", intent),
			]
			let_time_pass(recharge)
			self.race(
				(worker.carry_out, recharge),
				(worker.carry_out, recharge),
				(recover, recharge),
				(events.process, names[0]),
				(events.process, names[0]),
				(events.process, names[1]),
				(reconcile_payments,),
			)
			self.assertEqual(self.recover(recharge), "Succeeded")
			self.assert_paid_once(account, recharge)
			self.assertEqual({self.value("Gateway Event", name, "status") for name in names}, {"Processed"})

	def test_the_return_page_and_everybody_else_settle_once(self):
		for number in range(max(2, ROUNDS // 10)):
			account, recharge = self.low_account(AUTHENTICATE)
			self.assertEqual(self.work(recharge), "Action Required")
			token = parse_qs(urlsplit(links.confirm_link(recharge)).query)["token"][0]
			confirm.start(token)
			session = frappe.db.get_value(
				"Recharge Attempt", {"recharge": recharge, "card": ["is", "not set"]}, "checkout_session"
			)
			self.stripe.control("complete_checkout", session=session, number=GOOD)
			customer = self.value("Credit Account", account, "gateway_customer")
			(intent,) = self.stripe.intents(customer, "succeeded")
			names = [
				self.kept("payment_intent.succeeded", intent),
				self.kept(
					"checkout.session.completed",
					{"id": session, "object": "checkout.session", "payment_intent": intent["id"]},
				),
			]
			others = [(expire, account, recharge)] if number % 2 else []
			if others:
				let_time_pass(recharge)
			self.race(
				(confirm.finish, token),
				(confirm.finish, token),
				(events.process, names[0]),
				(events.process, names[1]),
				(reconcile_payments,),
				(worker.carry_out, recharge),
				*others,
			)
			self.assertEqual(self.recover(recharge), "Succeeded")
			self.assert_paid_once(account, recharge)

	def kept(self, kind: str, obj: dict) -> str:
		"""An event in the inbox that nobody has worked on. Returns its name."""
		payload = event_about(kind, obj)
		name, _ = inbox.receive(payload, {"Stripe-Signature": sign(payload, WEBHOOK_SECRET)})
		frappe.db.commit()
		return name


def sweep_event(name: str) -> int:
	"""In a child: the sweeper of events a minute later, with this event alone. Returns how many it took up."""
	frappe.db.sql(
		"UPDATE `tabGateway Event` SET `creation` = `creation` - INTERVAL 1 MINUTE WHERE `name` = %s", name
	)
	frappe.db.commit()
	return sweep_for(name, sweeping=lambda: sweep.sweep_kind("gateway_event", 10**6))


def start_together(line, function, *args):
	"""In a child: wait for the others, then do it."""
	line.wait()
	return function(*args)


def reconcile_payments() -> dict:
	"""In a child: the reconciler, without the search for payments that other tests' gateways have taken along."""
	with patch.object(reconcile, "_credits_since", lambda *_: []):
		return reconcile.reconcile_recent()


def expire(account: str, recharge: str) -> str:
	"""In a child: the card holder's time is over."""
	return perform(payment.expire_action(account, recharge))


def event_about(kind: str, obj: dict) -> bytes:
	"""An event of Stripe as it is posted, with an id of its own."""
	event = {
		"id": f"evt_{frappe.generate_hash(length=16)}",
		"object": "event",
		"type": kind,
		"created": int(time.time()),
		"livemode": False,
		"api_version": "2024-06-20",
		"data": {"object": obj},
	}
	return json.dumps(event).encode()


class TestCrossTraffic(FaultCase):
	"""Eight processes over eight accounts, all doing everything."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.node = cls.start_node()

	def test_nothing_deadlocks_unhandled_and_the_books_agree(self):
		accounts = [self.account_with(GOOD, anomaly_factor=0) for _ in range(8)]
		rounds = max(5, ROUNDS // 20)
		running = [
			self.node.fork(traffic.run, accounts, seed, self.stripe.api_base, rounds) for seed in range(8)
		]
		told = [child.result(900) for child in running]
		done, refused = (sum((each[part] for each in told), Counter()) for part in ("done", "refused"))
		errors = [error for each in told for error in each["errors"]]
		report(f"cross traffic: {dict(done)}; refused: {dict(refused)}; errors: {len(errors)}")
		self.assertEqual(errors, [])
		self.assertEqual({act.__name__ for act in traffic.ACTS} - set(done), set(), "never done")
		for account in accounts:
			self.come_to_rest(account)
			self.assert_whole(account)
			self.assert_gateway_agrees(account)

	def come_to_rest(self, account: str):
		"""Carry out what is under way on `account`."""
		for recharge in frappe.get_all("Recharge", {"credit_account": account}, pluck="name"):
			self.recover(recharge)
		for refund in frappe.get_all("Recharge Refund", {"credit_account": account}, pluck="name"):
			refunds.carry_out(refund)
		for dispute in frappe.get_all("Recharge Dispute", {"credit_account": account}, pluck="name"):
			disputes.follow(dispute)
		frappe.db.commit()

	def assert_gateway_agrees(self, account: str):
		"""Captured less refunded there is what the ledger says here."""
		customer = self.value("Credit Account", account, "gateway_customer")
		intents = {intent["id"] for intent in self.stripe.intents(customer, "succeeded")}
		back = sum(r["amount"] for r in self.stripe.all("refund") if r["payment_intent"] in intents)
		moved = frappe.db.sql(
			"SELECT CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger` WHERE `credit_account` = %s"
			" AND `entry_type` IN ('Recharge', 'Refund', 'Chargeback', 'Reinstatement')",
			account,
		)[0][0]
		self.assertEqual(Decimal(moved or 0), self.captured(account) - Decimal(back) / 100)
		self.assertEqual(
			frappe.db.count("Recharge", {"credit_account": account, "settled_intent": ["is", "set"]}),
			len(intents),
		)
