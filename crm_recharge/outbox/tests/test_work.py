"""Background work is declared once, swept each minute, and what fails is kept, tried again, and told."""

from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

import frappe

from crm_recharge import background, clock
from crm_recharge.domain.back_off import minutes
from crm_recharge.outbox import attempt, queue, sweep, work
from crm_recharge.outbox.work import FILLED, Due, Retry, Told, Work
from crm_recharge.tests.compat import BenchTestCase

DOCTYPE = "Gateway Event"
JOBS = f"{__name__}"
done: list[str] = []
told: list[tuple] = []


def do(name: str) -> str:
	"""A job of another app."""
	done.append(name)
	return "done"


def fail(name: str) -> None:
	frappe.db.set_value(DOCTYPE, name, "outcome", "written by a job that fails then")
	raise ValueError("broken")


def say(error, trace, log, again) -> dict:
	return {"outcome": f"{error}, {'again' if again else 'no more'}", "error": log}


def tell(doctype, name, text) -> None:
	told.append((doctype, name, text))


def explode() -> list[str]:
	raise RuntimeError("what is due cannot be found")


def never() -> bool:
	return False


def made(**more) -> Work:
	"""A kind of work on events of a type that nothing else looks at."""
	return Work(
		**{
			"name": "other_app_work",
			"doctype": DOCTYPE,
			"job": f"{JOBS}.do",
			"due": Due(where={"event_type": ("other.app",), "status": ("Received",)}, free=("next_try_at",)),
		}
		| more
	)


RETRY = Retry(
	back_off=minutes(1, 5, tries=3),
	tries="tries",
	next_try="next_try_at",
	done={"processed_at": FILLED},
	failed={"status": "Failed"},
	says=f"{JOBS}.say",
	title="Other work on {0}",
	told=Told.GIVEN_UP,
	tells=f"{JOBS}.tell",
)
DECLARED = made()


class TestWork(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		done.clear()
		told.clear()
		self.addCleanup(self.remove)

	def remove(self):
		frappe.db.rollback()
		frappe.db.delete(DOCTYPE, {"event_type": "other.app"})
		frappe.db.commit()

	def row(self, **values) -> str:
		name = f"evt_{frappe.generate_hash(length=16)}"
		doc = frappe.new_doc(DOCTYPE)
		doc.update({"event_type": "other.app", "status": "Received"} | values)
		doc.name = name
		doc.db_insert()
		frappe.db.commit()
		return name

	def kept(self, name: str):
		frappe.db.rollback()
		fields = ["status", "tries", "next_try_at", "outcome", "error"]
		return frappe.db.get_value(DOCTYPE, name, fields, as_dict=True)

	@contextmanager
	def works(self, *kinds: Work):
		with patch.object(work, "all_works", lambda: {kind.name: kind for kind in kinds}):
			yield

	@contextmanager
	def enqueued(self):
		taken = []

		def take(kind, name, again=False):
			taken.append((kind, name))
			return True

		with patch.object(queue, "enqueue", take):
			yield taken

	# -- declarations ----------------------------------------------------------------------------------------

	def test_everything_that_is_declared_is_there(self):
		self.assertEqual(list(work.all_works()), [kind.name for kind in background.WORK])
		for kind in background.WORK:
			with self.subTest(kind=kind.name):
				self.assertTrue(callable(frappe.get_attr(kind.job)))
				for path in (kind.only_if, kind.due if isinstance(kind.due, str) else None):
					self.assertTrue(path is None or callable(frappe.get_attr(path)))
				self.assertIsInstance(sweep.due(kind.name), list)
				meta, retry = frappe.get_meta(kind.doctype), kind.retry
				if retry:
					for column in (retry.tries, retry.next_try, *retry.done, *retry.failed):
						self.assertTrue(meta.has_field(column), column)
					self.assertTrue(callable(frappe.get_attr(retry.says)))
					self.assertTrue(retry.tells is None or callable(frappe.get_attr(retry.tells)))

	def test_one_scheduled_job_sweeps_and_a_second_does_so_again(self):
		each_minute = frappe.get_hooks("scheduler_events", app_name="crm_recharge")["cron"]["* * * * *"]
		names = [name for name in each_minute if "sweep" in name]
		self.assertEqual(names, [f"crm_recharge.outbox.sweep.{name}" for name in ("sweep", "once_more")])

	def test_another_app_declares_work_and_what_it_declares_wrongly_is_left_out(self):
		name = self.row()
		wrong = ("other_app.nowhere", "frappe.utils.cint", "string.digits")
		paths = (*wrong, "crm_recharge.background.WORK", f"{JOBS}.DECLARED")
		real = frappe.get_hooks

		def hooks(hook=None, *arguments, **more):
			return list(paths) if hook == work.HOOK else real(hook, *arguments, **more)

		with patch.object(frappe, "get_hooks", hooks):
			self.assertEqual(set(work.all_works()), {*(k.name for k in background.WORK), "other_app_work"})
			with self.enqueued() as taken:
				self.assertEqual(sweep.sweep()["other_app_work"], 1)
			self.assertIn(("other_app_work", name), taken)
			self.assertEqual(attempt.run("other_app_work", name), "done")
		self.assertEqual(done, [name])

	# -- sweeping --------------------------------------------------------------------------------------------

	def test_what_is_due_by_its_times(self):
		past, future = clock.later(-timedelta(minutes=1)), clock.later(timedelta(minutes=1))
		never_tried, tried, waiting = self.row(), self.row(next_try_at=past), self.row(next_try_at=future)
		ended = self.row(status="Processed")
		with self.works(DECLARED):
			self.assertEqual(set(sweep.due("other_app_work")), {never_tried, tried})
		come = made(due=Due(where={"event_type": ("other.app",)}, come=("next_try_at",)))
		with self.works(come):
			self.assertEqual(sweep.due("other_app_work"), [tried])
		older = Due(where={"event_type": ("other.app",)}, older=timedelta(minutes=1))
		with self.works(made(due=older)):
			self.assertEqual(sweep.due("other_app_work"), [])
		filled = Due(where={"event_type": ("other.app",)}, filled=("next_try_at",), empty=("processed_at",))
		with self.works(made(due=filled)):
			self.assertEqual(set(sweep.due("other_app_work")), {tried, waiting})
		both = Due(where={"event_type": ("other.app",), "status": ("Processed", None)})
		with self.works(made(due=both)):
			self.assertEqual(sweep.due("other_app_work"), [ended])

	def test_a_kind_that_fails_does_not_stop_the_others(self):
		name = self.row()
		with self.works(made(name="broken", due=f"{JOBS}.explode"), DECLARED), self.enqueued() as taken:
			for whole in (sweep.sweep, sweep.once_more):
				taken.clear()
				self.assertEqual(whole(), {"other_app_work": 1})
				self.assertEqual(taken, [("other_app_work", name)])
		self.assertTrue(frappe.db.exists("Error Log", {"method": "The sweep of broken failed"}))

	def test_a_kind_at_which_the_sweep_dies_comes_last_the_next_time(self):
		name, dying = self.row(), made(name="deadly", due=f"{JOBS}.die_now")
		frappe.flags.deadly = True
		self.addCleanup(frappe.flags.pop, "deadly", None)
		with self.works(dying, DECLARED), self.enqueued() as taken:
			with self.assertRaises(SystemExit):
				sweep.sweep()
			self.assertEqual(taken, [])
			with self.assertRaises(SystemExit):
				sweep.once_more()
			self.assertEqual(taken, [("other_app_work", name)])
			frappe.flags.deadly = False
			self.assertEqual(sweep.sweep(), {"deadly": 0, "other_app_work": 1})

	def test_hourly_work_is_swept_once_an_hour_and_again_when_the_cache_was_emptied(self):
		hourly = made(every=60)
		name = self.row()
		mark = f"{sweep.SWEPT}:{hourly.name}"
		frappe.cache.delete_value(mark)
		self.addCleanup(frappe.cache.delete_value, mark)
		with self.works(hourly), self.enqueued() as taken:
			sweep.sweep()
			sweep.sweep()
			self.assertEqual(taken, [(hourly.name, name)])
			frappe.cache.delete_value(mark)
			sweep.sweep()
			self.assertEqual(len(taken), 2)

	def test_nothing_is_swept_or_done_where_the_site_must_not(self):
		name = self.row()
		with self.works(made(only_if=f"{JOBS}.never")), self.enqueued() as taken:
			self.assertEqual(sweep.sweep(), {})
			self.assertEqual(attempt.run("other_app_work", name), "away")
		self.assertEqual((taken, done), ([], []))

	def test_the_sweep_stops_at_a_queue_that_is_away(self):
		self.row()
		self.row()
		with self.works(DECLARED), patch.object(queue, "enqueue", return_value=False) as enqueue:
			self.assertEqual(sweep.sweep_kind("other_app_work"), 0)
			self.assertEqual(enqueue.call_count, 1)

	# -- failing ---------------------------------------------------------------------------------------------

	def test_a_failure_is_rolled_back_kept_and_tried_again_until_it_is_given_up(self):
		name, failing = self.row(), made(job=f"{JOBS}.fail", retry=RETRY)
		waits = []
		with self.works(failing):
			for _ in range(3):
				before = clock.now()
				self.assertEqual(attempt.run(failing.name, name), "Failed")
				row = self.kept(name)
				waits.append(
					row.next_try_at and round((clock.read(row.next_try_at) - before).total_seconds())
				)
				if row.next_try_at:
					self.assertEqual((row.outcome, row.error, told), ("broken, again", None, []))
		row = self.kept(name)
		self.assertEqual(waits, [60, 300, None])
		self.assertEqual((row.status, row.tries, row.outcome), ("Failed", 3, "broken, no more"))
		self.assertTrue(frappe.db.exists("Error Log", row.error))
		((doctype, row_told, text),) = told
		self.assertEqual((doctype, row_told), (DOCTYPE, name))
		self.assertIn("broken, no more", text)

	def test_a_failure_that_comes_late_changes_nothing(self):
		name = self.row(processed_at=clock.now_datetime(), status="Processed")
		with self.works(made(retry=RETRY)):
			self.assertEqual(
				attempt.record_failure("other_app_work", name, ValueError("late"), ""), "Processed"
			)
		self.assertEqual(self.kept(name).tries, 0)

	def test_work_that_keeps_no_failures_leaves_an_error_log_once_an_hour(self):
		name = self.row()
		with self.works(made(job=f"{JOBS}.fail")):
			for _ in range(2):
				self.assertEqual(attempt.run("other_app_work", name), "failed")
		self.assertEqual(self.kept(name).outcome, None)
		self.assertEqual(frappe.db.count("Error Log", {"reference_name": name}), 1)

	def test_a_row_that_is_gone_is_no_failure_of_the_queue(self):
		with self.works(made(job=f"{JOBS}.fail", retry=RETRY)):
			self.assertIsNone(attempt.record_failure("other_app_work", "gone", ValueError("x"), ""))


def die_now() -> list[str]:
	if frappe.flags.deadly:
		raise SystemExit
	return []
