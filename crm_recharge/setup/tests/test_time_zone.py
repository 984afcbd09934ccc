"""A site that is given another time zone goes on: what is due stays due at its moment."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import get_system_timezone, now_datetime

from crm_recharge.credits import ledger
from crm_recharge.credits.proof import verify
from crm_recharge.domain import moments
from crm_recharge.setup import time_zone
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.factories import make_account

EAST, WEST = "Asia/Kolkata", "America/Los_Angeles"


class TestTimeZone(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		self.addCleanup(frappe.clear_cache)
		self.addCleanup(self.forget_zone)
		self.addCleanup(frappe.db.rollback)
		self.give(EAST)

	def give(self, zone: str):
		"""As a person does in System Settings; nothing is committed."""
		settings = frappe.get_doc("System Settings")
		settings.time_zone = zone
		settings.flags.ignore_mandatory = True
		settings.save()
		self.forget_zone()
		self.assertEqual(get_system_timezone(), zone)

	def forget_zone(self):
		for key in ("system_settings", "time_zone"):
			frappe.cache.delete_value(key)
		frappe.local.system_settings = None
		frappe.clear_document_cache("System Settings", "System Settings")

	def event(self, **values) -> str:
		name = f"evt_{frappe.generate_hash(length=16)}"
		frappe.get_doc({"doctype": "Gateway Event", "name": name, "status": "Failed", **values}).db_insert()
		return name

	def test_what_is_to_be_tried_again_in_a_minute_is_that_after_a_move_west(self):
		due = now_datetime() + timedelta(minutes=1)
		event = self.event(next_try_at=due, tries=1)
		self.give(WEST)
		waits = frappe.db.get_value("Gateway Event", event, "next_try_at") - now_datetime()
		self.assertLess(abs(waits - timedelta(minutes=1)), timedelta(seconds=30))

	def test_and_after_a_move_east(self):
		self.give(WEST)
		event = self.event(next_try_at=now_datetime() + timedelta(minutes=1), tries=1)
		self.give(EAST)
		waits = frappe.db.get_value("Gateway Event", event, "next_try_at") - now_datetime()
		self.assertLess(abs(waits - timedelta(minutes=1)), timedelta(seconds=30))

	def test_what_has_been_stays_as_written(self):
		been = now_datetime() - timedelta(minutes=1)
		event = self.event(next_try_at=been, tries=1)
		self.give(WEST)
		self.assertEqual(frappe.db.get_value("Gateway Event", event, "next_try_at"), been)

	def test_credits_expire_at_their_moment_and_the_ledger_still_proves(self):
		account = make_account()
		expires = (now_datetime() + timedelta(days=3)).replace(microsecond=0)
		ledger.grant(account, "20", expires_at=str(expires), note="promotion", idempotency_key="one")
		self.give(WEST)
		moved = frappe.db.get_value("Credit Lot", {"credit_account": account}, "expires_at")
		self.assertEqual(moved, moments.moved(expires, ZoneInfo(EAST), ZoneInfo(WEST)))
		self.assertTrue(verify(account)["holds"])

	def test_the_sweepers_are_due(self):
		jobs = frappe.get_all("Scheduled Job Type", {"method": ["like", "crm_recharge.%"]}, pluck="name")
		for name in jobs:
			frappe.db.set_value(
				"Scheduled Job Type", name, "last_execution", now_datetime(), update_modified=False
			)
		self.give(WEST)
		for name in jobs:
			last = frappe.db.get_value("Scheduled Job Type", name, "last_execution")
			self.assertLessEqual(last, now_datetime(), name)

	def test_every_time_of_ours_is_moved_but_for_records(self):
		fields = time_zone.fields()
		for due in (
			("Recharge", "next_try_at"),
			("Recharge", "lease_until"),
			("Recharge", "accounting_next_try_at"),
			("Recharge Attempt", "next_ask_at"),
			("Recharge Decision", "frees_at"),
			("Recharge Refund", "next_ask_at"),
			("Gateway Event", "next_try_at"),
			("Credit Lot", "expires_at"),
		):
			self.assertIn(due, fields)
		self.assertFalse({doctype for doctype, _field in fields} & {*time_zone.RECORDS})
