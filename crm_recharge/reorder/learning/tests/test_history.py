"""Reading all invoices: in slices, killed and taken up again, beside invoices being submitted."""

import multiprocessing
import os
import signal
import time
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.reorder.learning import customers, history, pairs, runs
from crm_recharge.reorder.learning.tests.test_pairs import LearningCase, forget, statistics
from crm_recharge.tests.factories import make_customer, make_user
from crm_recharge.tests.support.reorder_case import day, make_item, purchase_days, write_invoices


class TestHistory(LearningCase):
	def setUp(self):
		super().setUp()
		frappe.db.delete(runs.RUN, {"kind": runs.HISTORY})
		self.items = [make_item(price=None) for _ in range(2)]
		mark = frappe.generate_hash(length=8)
		self.customers = [make_customer(customer_name=f"Reader {mark} {n}") for n in range(6)]
		write_invoices(
			[(c, i, day(10 * n), n) for c in self.customers for i in self.items for n in range(1, 5)]
		)
		frappe.db.commit()
		quiet = patch.object(history, "_enqueue")
		self.enqueued = quiet.start()
		self.addCleanup(quiet.stop)
		also = patch.object(history, "_fit_next")
		self.fit_next = also.start()
		self.addCleanup(also.stop)
		# The site's other customers are other tests': begin just before ours.
		self.before = self.customers[0][:-1]

	def begin(self) -> str:
		run = history.begin()
		frappe.db.set_value(runs.RUN, run, "reached", self.before)
		frappe.db.commit()
		return run

	def assert_learned(self):
		for customer in self.customers:
			learned = purchase_days(customer), statistics(customer)
			self.assertEqual(len(learned[0]), 8)
			forget(customer)
			pairs.rebuild([customer])
			self.assertEqual(learned, (purchase_days(customer), statistics(customer)))

	def test_everything_is_read(self):
		run = self.begin()
		self.assertEqual(self.enqueued.call_args.args, (run,))
		self.assertEqual(history.carry_on(run), runs.DONE)
		self.assert_learned()
		doc = frappe.get_doc(runs.RUN, run)
		self.assertEqual((doc.status, doc.progress, doc.problems or ""), (runs.DONE, 100, ""))
		self.assertIn("purchase lines", doc.summary)
		self.fit_next.assert_called_once()
		self.assertEqual(history.carry_on(run), runs.DONE, "a job that comes late finds it done")

	def test_begun_twice_is_one_reading(self):
		self.assertEqual(self.begin(), history.begin())
		self.assertIsNone(history.begin_once(), "something was learned before")

	def test_it_goes_on_in_the_next_job_when_its_time_is_up(self):
		run = self.begin()
		with patch.object(history, "SLICE_CUSTOMERS", 2):
			self.assertEqual(history.carry_on(run, budget=-1), runs.RUNNING)
			self.assertEqual(frappe.db.get_value(runs.RUN, run, "done"), 2)
			self.assertEqual(self.enqueued.call_count, 2)
			self.assertEqual(history.carry_on(run), runs.DONE)
		self.assert_learned()

	def test_a_killed_worker_is_followed_by_another_that_goes_on(self):
		run = self.begin()
		process = multiprocessing.get_context("fork").Process(target=_carry_on_and_die, args=(run,))
		process.start()
		process.join(60)
		self.assertEqual(process.exitcode, -signal.SIGKILL)
		frappe.db.rollback()
		row = frappe.db.get_value(runs.RUN, run, ["status", "done", "reached"], as_dict=True)
		self.assertEqual((row.status, row.done, row.reached), (runs.RUNNING, 2, self.customers[1]))
		self.assertIsNone(history.take_up(), "its heart beat a moment ago")
		long_ago = now_datetime() - 2 * runs.DEAD_AFTER
		frappe.db.set_value(runs.RUN, run, "heartbeat_at", long_ago)
		frappe.db.commit()
		self.assertEqual(history.take_up(), run)
		self.assertIsNone(history.take_up(), "taken up already")
		self.assertEqual(history.carry_on(run), runs.DONE)
		self.assert_learned()

	def test_two_workers_at_one_reading_do_no_harm(self):
		run = self.begin()
		real, taken = pairs.rebuild, []

		def rebuild(some, items=None):
			result = real(some, items)
			if not taken:
				taken.append(frappe.db.set_value(runs.RUN, run, "reached", self.customers[-1]))
			return result

		with patch.object(history, "SLICE_CUSTOMERS", 2), patch.object(pairs, "rebuild", rebuild):
			self.assertEqual(history.carry_on(run), runs.RUNNING)
		self.assertEqual(frappe.db.get_value(runs.RUN, run, "reached"), self.customers[-1])

	def test_one_bad_customer_is_listed_and_the_others_are_learned(self):
		bad, real = self.customers[2], pairs.rebuild

		def rebuild(some, items=None):
			if bad in some:
				raise RuntimeError("unreadable")
			return real(some, items)

		run = self.begin()
		with patch.object(pairs, "rebuild", rebuild):
			history.carry_on(run)
		doc = frappe.get_doc(runs.RUN, run)
		self.assertEqual(doc.status, runs.PROBLEMS)
		self.assertIn(f"{bad} · RuntimeError: unreadable", doc.problems)
		self.assertEqual([len(purchase_days(c)) for c in self.customers], [8, 8, 0, 8, 8, 8])

	def test_one_bad_pair_is_listed_and_the_others_are_learned(self):
		real = pairs.net

		def net(lines, today):
			if any(quantity == 3 for _, _, quantity in lines):
				raise ValueError("three is unlucky")
			return real(lines, today)

		customer = make_customer()
		write_invoices([(customer, self.items[0], day(1), 3), (customer, self.items[1], day(1), 2)])
		with patch.object(pairs, "net", net):
			rebuilt = pairs.rebuild([customer])
		self.assertEqual(rebuilt.problems, [(customer, self.items[0], "ValueError: three is unlucky")])
		self.assertEqual([i for i, _, _ in purchase_days(customer)], [self.items[1]])

	def test_invoices_submitted_meanwhile_are_counted_once(self):
		"""Workers submit to the same customers while the history is read, over and over."""
		context = multiprocessing.get_context("fork")
		workers = [
			context.Process(target=_submit_some, args=(self.customers[:3], self.items, number))
			for number in range(2)
		]
		for worker in workers:
			worker.start()
		readings = 0
		while any(worker.is_alive() for worker in workers):
			pairs.rebuild(self.customers[:3])
			readings += 1
		for worker in workers:
			worker.join()
			self.assertEqual(worker.exitcode, 0)
		self.assertGreater(readings, 3)
		frappe.db.commit()
		for customer in self.customers[:3]:
			self.assertEqual(frappe.db.count("Sales Invoice", {"customer": customer}), 4 + 2 * ROUNDS)
			self.assert_as_from_scratch(customer)

	def test_who_may_start_it(self):
		frappe.set_user(make_user("Sales User"))
		self.addCleanup(frappe.set_user, "Administrator")
		with self.assertRaises(frappe.PermissionError):
			history.start()
		frappe.set_user(make_user("Reorder Manager"))
		self.assertTrue(history.start())


ROUNDS = 12


def _carry_on_and_die(run: str) -> None:
	"""In a process of its own: two customers a slice, and killed in the middle of the second slice."""
	_own_connection()
	history.SLICE_CUSTOMERS = 2
	real, slices = pairs.write, []

	def write(*arguments):
		real(*arguments)
		slices.append(1)
		if len(slices) == 2:
			os.kill(os.getpid(), signal.SIGKILL)

	pairs.write = write
	history.carry_on(run)


def _submit_some(customers_: list[str], items: list[str], number: int) -> None:
	"""In a process of its own: invoices of the past, one transaction each."""
	import random

	from crm_recharge.reorder.learning.tests.test_pairs import Light
	from crm_recharge.tests.support.reorder_case import SALES, first_company

	_own_connection()
	rng, company, status = random.Random(number), first_company(), 1
	try:
		for turn in range(ROUNDS):
			for customer in customers_:
				light = Light(customer, items, company, rng)
				light.submit(SALES, rng.randint(0, 60), [(rng.choice(items), turn + 1, None)])
				frappe.db.commit()
				time.sleep(rng.random() * 0.01)
		status = 0
	finally:
		frappe.db.close()
		os._exit(status)


def _own_connection() -> None:
	frappe.local.db = None
	frappe.connect(set_admin_as_user=False)
	customers._enqueue = lambda *arguments, **more: None
