"""Intervals are measured by the site's clock, and survive its being moved."""

from datetime import timedelta
from unittest.mock import patch

import frappe
from frappe.utils import add_to_date, now_datetime

from crm_recharge.gateway.doctype.gateway_event.gateway_event import GatewayEvent
from crm_recharge.reorder.doctype.reorder_run.reorder_run import ReorderRun
from crm_recharge.reorder.learning import runs
from crm_recharge.reorder.sending import run as sending
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.support.site_clock import site_clock, utc

DAYS = 30


class TestClock(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		frappe.db.delete("Reorder Run", {"status": "Running"})
		self.addCleanup(frappe.db.rollback)

	def record(self, doctype: str, **values) -> str:
		doc = frappe.get_doc({"doctype": doctype, "name": frappe.generate_hash(length=20), **values})
		doc.db_insert()
		return doc.name

	def running(self, beat: timedelta, kind: str = "Sending") -> str:
		return self.record(
			"Reorder Run", kind=kind, status="Running", heartbeat_at=now_datetime() + beat, reached="Somebody"
		)

	def test_a_run_whose_heart_beat_a_moment_ago_is_let_work(self):
		for seconds in (-20, 20):
			name = self.running(timedelta(seconds=seconds))
			self.assertTrue(runs.is_alive(name))
			self.assertTrue(sending._somebody_else_runs())

	def test_a_run_that_died_before_the_clock_was_put_back_by_hours_stops_nobody(self):
		name = self.running(timedelta(hours=10))
		self.assertFalse(runs.is_alive(name))
		self.assertFalse(sending._somebody_else_runs())
		self.assertEqual(sending._where_the_last_one_stopped(), "Somebody")
		self.assertEqual(frappe.db.get_value("Reorder Run", name, "status"), "Failed")
		learning = self.running(timedelta(hours=10), kind=runs.REFIT)
		runs.bury(runs.REFIT)
		self.assertEqual(frappe.db.get_value("Reorder Run", learning, "status"), runs.FAILED)
		frappe.db.delete("Reorder Run", {"name": ["in", (name, learning)]})
		frappe.db.commit()

	def test_in_the_hour_that_comes_twice_a_heart_beats_now(self):
		for minutes in range(0, 120, 7):
			moment = utc("2027-11-07 05:01") + timedelta(minutes=minutes)
			with self.subTest(minutes=minutes), site_clock(moment):
				name = self.running(timedelta(0))
				work = sending._Progress(name)
				with patch.object(frappe.db, "commit"):
					work.beat()
				self.assertTrue(runs.is_alive(name, timedelta(seconds=2)))

	def test_logs_are_cleared_by_the_sites_clock(self):
		"""Not by the database's, which shows another hour."""
		for controller, doctype, values in (
			(GatewayEvent, "Gateway Event", {"status": "Processed"}),
			(ReorderRun, "Reorder Run", {"status": "Done", "kind": "Sending"}),
		):
			with self.subTest(doctype=doctype):
				kept, gone = (self.record(doctype, **values) for _ in range(2))
				# The change of summer time may lie between.
				for name, hours in ((kept, 2), (gone, -2)):
					made = add_to_date(now_datetime(), days=-DAYS, hours=hours)
					frappe.db.set_value(doctype, name, "creation", made, update_modified=False)
				controller.clear_old_logs(days=DAYS)
				self.assertTrue(frappe.db.exists(doctype, kept))
				self.assertFalse(frappe.db.exists(doctype, gone))
