"""Never twice and never half: killed at every statement, raced by other processes, with and without the lock."""

import os
import signal
import time
from unittest import SkipTest
from unittest.mock import patch

import frappe

from crm_recharge.reorder.sending import run
from crm_recharge.reorder.sending.tests.sending_case import SendingCase
from crm_recharge.tests.support.node import CannotRun, Killed, Node
from crm_recharge.tests.support.reorder_case import make_item

WRITES = ("insert", "update", "delete", "commit", "replace")
MOST_STATEMENTS = 200
TABLES = (
	"Reorder Message",
	"Reorder Message Item",
	"Coupon Code",
	"Pricing Rule",
	"Email Queue",
	"Communication",
)


def remind_and_die(customer: str, at: int, afterwards: bool) -> int:
	"""In a child: remind, and be killed before (or right after) the `at`-th statement that writes."""
	seen, execute = 0, frappe.db.sql

	def sql(query, *args, **kwargs):
		nonlocal seen
		if str(query).strip().lower().startswith(WRITES):
			seen += 1
			if seen == at and afterwards:
				execute(query, *args, **kwargs)
			if seen == at:
				os.kill(os.getpid(), signal.SIGKILL)
		return execute(query, *args, **kwargs)

	with patch.object(frappe.db, "sql", sql):
		run.remind_and_tell(customer)
	return seen


def remind_at(customers: list[str], start: float, locked: bool) -> int:
	"""In a child: remind all of them at the same moment as others do; returns how many mails were sent."""
	unlocked = (
		None
		if locked
		else lambda customer: frappe.db.get_value(
			"Reorder Customer",
			{"customer": customer},
			["name", "customer", "valuable", "last_sent_at", "held_out"],
			as_dict=True,
		)
	)
	mailed = 0
	time.sleep(max(0, start - time.time()))
	with (
		patch.object(run, "_locked", unlocked or run._locked),
		patch.object(run, "_still_consents", return_value=True),
	):
		for customer in customers:
			mailed += run.remind_and_tell(customer).mailed
	return mailed


class TestOnce(SendingCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		try:
			cls.node = Node().start()
		except CannotRun as error:
			raise SkipTest(str(error)) from error
		cls.addClassCleanup(cls.node.stop)

	def buyer_with_offer(self) -> str:
		self.item = make_item(price="20")
		self.rule(applies_to="Item", item_code=self.item, discount_percent=10, offer_days=7)
		return self.buyer(self.item)

	def counts(self) -> list[int]:
		frappe.db.rollback()
		return [frappe.db.count(doctype) for doctype in TABLES]

	def test_killed_anywhere_it_is_sent_once_and_whole(self):
		customer = self.buyer_with_offer()
		before, deaths = self.counts(), 0
		for at in range(1, MOST_STATEMENTS):
			try:
				self.node.fork(remind_and_die, customer, at, False).result()
				break
			except Killed:
				deaths += 1
				self.assertEqual(self.counts(), before, f"killed before statement {at}, something was left")
		else:
			self.fail("it never came to an end")
		self.assertGreater(deaths, 10)
		self.assert_sent_once(customer)
		self.assertFalse(self.remind(customer).mailed)
		self.assert_sent_once(customer)

	def test_killed_right_after_the_commit(self):
		customer = self.buyer_with_offer()
		writes = self.node.fork(remind_and_die, self.buyer_with_offer(), 0, False).result()
		with self.assertRaises(Killed):
			self.node.fork(remind_and_die, customer, writes, True).result()
		self.assert_sent_once(customer)
		self.assertFalse(self.remind(customer).mailed)
		self.assert_sent_once(customer)

	def assert_sent_once(self, customer: str):
		(queued,) = self.queued(customer)
		(message,) = self.messages(customer)
		self.assertEqual((message.email_queue, message.status), (queued.name, "Queued"))
		self.assertTrue(message.coupon_code and message.communication)
		self.assertEqual(frappe.db.count("Coupon Code", {"customer": customer}), 1)
		self.assertEqual(frappe.db.count("Pricing Rule", {"customer": customer}), 1)
		self.assertIn("List-Unsubscribe-Post: List-Unsubscribe=One-Click", queued.message)
		self.assertEqual(
			frappe.db.count("Communication", {"reference_doctype": "Customer", "reference_name": customer}), 1
		)
		self.assertEqual(
			frappe.db.get_value("Reorder Reminder", {"customer": customer}, "last_message"), message.name
		)

	def race(self, locked: bool):
		customers = [self.buyer() for _number in range(6)]
		start = time.time() + 1.5
		children = [self.node.fork(remind_at, customers, start, locked) for _number in range(3)]
		self.assertEqual(sum(child.result() for child in children), len(customers))
		for customer in customers:
			self.assertEqual((len(self.queued(customer)), len(self.messages(customer))), (1, 1))

	def test_three_workers_at_once(self):
		self.race(locked=True)

	def test_the_unique_key_alone_is_enough(self):
		self.race(locked=False)

	def test_a_refused_mail_leaves_nothing(self):
		customer = self.buyer_with_offer()
		before = self.counts()
		with patch.object(frappe, "sendmail", return_value=[]):
			with self.assertRaisesRegex(frappe.ValidationError, "Nothing was queued"):
				self.remind(customer)
		self.assertEqual(self.counts(), before)
		self.assertTrue(self.remind(customer).mailed)

	def test_one_customer_who_fails_does_not_stop_the_others(self):
		customers = sorted(self.buyer() for _number in range(3))
		remind = run.remind_and_tell

		def fail(customer, *args, **kwargs):
			if customer == customers[1]:
				raise ZeroDivisionError("a bad pair")
			return remind(customer, *args, **kwargs)

		with patch.object(run, "remind_and_tell", fail):
			run_ = frappe.get_doc("Reorder Run", run.send_all())
		self.assertEqual(run_.status, "Done with Problems")
		self.assertEqual(run_.problems, f"{customers[1]}: a bad pair")
		self.assertEqual([len(self.queued(customer)) for customer in customers], [1, 0, 1])
