"""Trying again after the database asked for it: bounded, and never at the cost of the caller's own work."""

from unittest.mock import patch

import frappe

from crm_recharge import contention
from crm_recharge.tests.compat import BenchTestCase


class TestContention(BenchTestCase):
	def setUp(self):
		super().setUp()
		frappe.db.rollback()
		self.tries, self.done = 0, []
		patcher = patch.object(contention.time, "sleep")
		patcher.start()
		self.addCleanup(patcher.stop)
		self.addCleanup(frappe.db.rollback)

	def failing(self, times: int, error: Exception):
		@contention.retry_on_contention
		def function():
			self.tries += 1
			frappe.get_doc({"doctype": "ToDo", "description": f"try {self.tries}"}).insert()
			if self.tries <= times:
				raise error
			return self.tries

		return function

	def test_a_deadlock_is_tried_again_from_a_clean_start(self):
		before = frappe.db.count("ToDo")
		self.assertEqual(self.failing(2, frappe.QueryDeadlockError(1213, "Deadlock found"))(), 3)
		self.assertEqual(frappe.db.count("ToDo"), before + 1)

	def test_time_outs_and_stale_snapshots_too(self):
		for error in (
			frappe.QueryTimeoutError(1205, "Lock wait"),
			Exception(1020, "Record has changed since"),
		):
			self.tries = 0
			self.assertEqual(self.failing(1, error)(), 2)
			frappe.db.rollback()

	def test_it_gives_up_in_the_end(self):
		with self.assertRaises(frappe.QueryDeadlockError):
			self.failing(100, frappe.QueryDeadlockError(1213, "Deadlock found"))()
		self.assertEqual(self.tries, contention.TRIES)

	def test_other_errors_are_not_tried_again(self):
		for error in (frappe.ValidationError("no"), KeyError("x"), Exception()):
			self.tries = 0
			with self.assertRaises(type(error)):
				self.failing(1, error)()
			self.assertEqual(self.tries, 1)
			frappe.db.rollback()

	def test_what_the_caller_has_written_is_not_undone(self):
		mine = frappe.get_doc({"doctype": "ToDo", "description": "the caller's"}).insert()
		with self.assertRaises(frappe.QueryDeadlockError):
			self.failing(1, frappe.QueryDeadlockError(1213, "Deadlock found"))()
		self.assertEqual(self.tries, 1)
		self.assertTrue(frappe.db.exists("ToDo", mine.name))

	def test_what_the_caller_wants_done_after_the_commit_is_done(self):
		frappe.db.after_commit.add(lambda: self.done.append("caller"))
		self.assertEqual(self.failing(2, frappe.QueryDeadlockError(1213, "Deadlock found"))(), 3)
		self.assertEqual(self.done, [])
		frappe.db.commit()
		self.assertEqual(self.done, ["caller"])
		frappe.db.delete("ToDo", {"description": ["like", "try %"]})
		frappe.db.commit()
