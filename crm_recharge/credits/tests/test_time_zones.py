"""Times come with or without a zone and are kept on the site's clock, also where that clock goes back."""

from datetime import datetime, timezone
from unittest.mock import patch
from zoneinfo import ZoneInfo

import frappe

from crm_recharge.credits import errors, usage
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import MoneyTestCase

NEW_YORK = "America/New_York"


class TestTimeZones(MoneyTestCase):
	def clock(self, utc: datetime, zone: str = NEW_YORK):
		"""The site lies in `zone`, and it is `utc`."""

		class Clock(datetime):
			@classmethod
			def now(cls, tz=None):
				return utc.astimezone(tz) if tz else utc.replace(tzinfo=None)

		local = utc.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
		for name, value in (
			("get_system_timezone", lambda: zone),
			("now_datetime", lambda: local),
			("datetime", Clock),
		):
			patcher = patch.object(usage, name, value)
			patcher.start()
			self.addCleanup(patcher.stop)

	def kept(self, account, occurred_at, key=None):
		usage.charge(
			account,
			{
				"amount": 1,
				"idempotency_key": key or frappe.generate_hash(length=16),
				"occurred_at": occurred_at,
			},
		)
		frappe.db.commit()
		return entries(account)[-1].occurred_at

	def test_a_time_is_kept_as_the_sites_clock_showed_it(self):
		account = self.account("100")
		self.clock(datetime(2026, 7, 1, 12, tzinfo=timezone.utc))
		for given, kept in (
			("2026-07-01T10:00:00Z", datetime(2026, 7, 1, 6)),
			("2026-07-01T10:00:00.123456+00:00", datetime(2026, 7, 1, 6, 0, 0, 123456)),
			("2026-07-01T10:00:00+09:00", datetime(2026, 6, 30, 21)),
			("2026-07-01 07:30:00", datetime(2026, 7, 1, 7, 30)),
			("2026-06-30", datetime(2026, 6, 30)),
			(datetime(2026, 7, 1, 6, 30), datetime(2026, 7, 1, 6, 30)),
		):
			self.assertEqual(self.kept(account, given), kept, given)

	def test_a_repeat_may_write_the_same_moment_another_way(self):
		account = self.account("100")
		self.clock(datetime(2026, 7, 1, 12, tzinfo=timezone.utc))
		self.kept(account, "2026-07-01T10:00:00Z", "k")
		for same in ("2026-07-01T12:00:00+02:00", "2026-07-01 06:00:00"):
			answer = usage.charge(account, {"amount": 1, "idempotency_key": "k", "occurred_at": same})
			self.assertTrue(answer["repeated"])
		with self.assertRaises(errors.IdempotencyConflictError):
			usage.charge(account, {"amount": 1, "idempotency_key": "k", "occurred_at": "2026-07-01 06:00:01"})
		frappe.db.commit()

	def test_the_hour_that_comes_twice_is_not_the_future(self):
		"""On 2026-11-01 New York's clock goes from 02:00 back to 01:00 (06:00 UTC)."""
		account = self.account("100")
		self.clock(datetime(2026, 11, 1, 6, 5, tzinfo=timezone.utc))  # 01:05, for the second time
		self.assertEqual(self.kept(account, "2026-11-01T05:55:00Z"), datetime(2026, 11, 1, 1, 55))
		self.assertEqual(self.kept(account, "2026-11-01T01:55:00-04:00"), datetime(2026, 11, 1, 1, 55))
		self.assertEqual(self.kept(account, "2026-11-01 01:55:00"), datetime(2026, 11, 1, 1, 55))
		with self.assertRaises(errors.InvalidRequestError) as caught:
			self.kept(account, "2026-11-01T06:16:00Z")
		self.assertEqual(caught.exception.code, "in_the_future")
		frappe.db.commit()

	def test_the_hour_that_is_left_out_is_kept_as_it_was_given(self):
		"""On 2026-03-08 New York's clock goes from 02:00 to 03:00."""
		account = self.account("100")
		self.clock(datetime(2026, 3, 8, 12, tzinfo=timezone.utc))
		self.assertEqual(self.kept(account, "2026-03-08 02:30:00"), datetime(2026, 3, 8, 2, 30))
		self.assertEqual(self.kept(account, "2026-03-08T07:30:00Z"), datetime(2026, 3, 8, 3, 30))

	def test_a_clock_that_is_ahead_by_minutes_is_forgiven(self):
		account = self.account("100")
		self.clock(datetime(2026, 7, 1, 12, tzinfo=timezone.utc))
		self.kept(account, "2026-07-01T12:10:00Z")
		for late in ("2026-07-01T12:10:01Z", "2026-07-01 08:10:01", "2026-07-01T14:10:01+02:00"):
			with self.assertRaises(errors.InvalidRequestError, msg=late):
				self.kept(account, late)
			frappe.db.rollback()
