"""The jobs go on whatever the site's clock does, and each has a row of its own."""

from collections import Counter
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import now_datetime

from crm_recharge.domain import moments
from crm_recharge.setup import jobs
from crm_recharge.setup.tests.migration import APP, migrate
from crm_recharge.tests.compat import BenchTestCase

SWEEP = "crm_recharge.outbox.sweep.sweep"
NEW_YORK = "America/New_York"
# Summer ends in New York: 02:00 becomes 01:00.
END_OF_SUMMER = datetime(2026, 11, 1, 6, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)


def methods(app: str) -> list[str]:
	"""Every scheduled method of an app, as often as it stands in its hooks."""
	found = []
	for events in frappe.get_hooks("scheduler_events", app_name=app).values():
		for listed in events.values() if isinstance(events, dict) else [events]:
			found += listed
	return found


class TestJobs(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		self.addCleanup(frappe.db.rollback)

	def job(self, method: str):
		return frappe.get_doc("Scheduled Job Type", {"method": method})

	def started(self, method: str, at: datetime | None, created: datetime | None = None):
		values = {"last_execution": at} | ({"creation": created} if created else {})
		frappe.db.set_value("Scheduled Job Type", self.job(method).name, values, update_modified=False)

	def test_a_start_hours_ahead_is_put_back_and_the_job_is_due(self):
		ahead = now_datetime() + timedelta(hours=10)
		for method in (SWEEP, jobs.MAIL_QUEUE):
			for at, created in ((ahead, None), (None, ahead)):
				with self.subTest(method=method, ran=bool(at)):
					self.started(method, at, created)
					soon = now_datetime() + timedelta(minutes=5)
					self.assertFalse(self.job(method).is_event_due(soon))
					self.assertIn(method, jobs.keep_due())
					self.assertTrue(self.job(method).is_event_due(soon))

	def test_what_has_begun_when_it_says_stays(self):
		before = now_datetime() - timedelta(seconds=20)
		self.started(SWEEP, before)
		self.assertNotIn(SWEEP, jobs.keep_due())
		self.assertEqual(self.job(SWEEP).last_execution, before)

	def test_jobs_of_other_apps_are_left_alone(self):
		other = "frappe.utils.global_search.sync_global_search"
		ahead = now_datetime() + timedelta(hours=10)
		self.started(other, ahead)
		jobs.keep_due()
		self.assertEqual(self.job(other).last_execution, ahead)

	def test_every_minute_is_swept_while_summer_ends(self):
		"""The scheduler looks each minute, and a job that is due starts: two and a half hours across the change."""
		zone, ran = ZoneInfo(NEW_YORK), Counter()
		look = "crm_recharge.setup.jobs.keep_due"
		moment = END_OF_SUMMER - timedelta(minutes=75)
		for method in (SWEEP, look):
			self.started(method, moments.to_wall(moment - MINUTE, zone))
		while moment < END_OF_SUMMER + timedelta(minutes=75):
			shown = moments.to_wall(moment, zone)
			for method in (SWEEP, look):
				if not self.job(method).is_event_due(shown):
					continue
				ran[method, moment] += 1
				self.started(method, shown)
				if method == look:
					jobs.keep_due(moment, NEW_YORK)
			moment += MINUTE
		for method in (SWEEP, look):
			swept = sorted(at for name, at in ran if name == method)
			longest = max(b - a for a, b in pairwise(swept))
			# It may miss the minute of the change itself.
			self.assertLessEqual(longest, 2 * MINUTE, method)

	def test_every_scheduled_method_has_a_row_of_its_own(self):
		migrate()
		for method in methods(APP):
			with self.subTest(method=method):
				frappe.get_attr(method)
				self.assertEqual(frappe.db.count("Scheduled Job Type", {"method": method}), 1)

	def test_no_two_jobs_have_the_same_name_on_any_app(self):
		"""Frappe names a job by the last two words of its path, and keeps only the last of a name."""
		names = Counter(
			".".join(method.split(".")[-2:])
			for app in frappe.get_installed_apps()
			for method in set(methods(app))
		)
		ours = {".".join(method.split(".")[-2:]) for method in methods(APP)}
		self.assertEqual([name for name in ours if names[name] > 1], [])
