"""Lots that expire: posted before anything else, on the way of any movement."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge import clock
from crm_recharge.credits import errors, ledger, store, usage
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import MoneyTestCase
from crm_recharge.tests.support.site_clock import site_clock
from crm_recharge.tests.support.work import due, work_off


class TestExpiryOfLots(MoneyTestCase):
	def setUp(self):
		super().setUp()
		self.soon = now_datetime() + timedelta(hours=1)

	def later(self, **delta):
		moment = self.soon + timedelta(**delta)
		return patch.object(store, "now_datetime", lambda: moment)

	def grant(self, account, amount, expires_at=None, **more):
		return ledger.grant(account, amount, frappe.generate_hash(length=16), "n", expires_at, **more)

	def use(self, account, amount, key=None):
		return usage.charge(
			account, {"amount": amount, "idempotency_key": key or frappe.generate_hash(length=16)}
		)

	def kinds(self, account):
		return [(row.entry_type, row.amount) for row in entries(account)]

	def test_what_expires_first_is_used_first_and_what_is_left_of_it_expires(self):
		account = self.account("100")
		self.grant(account, 50, self.soon)
		self.use(account, 30)
		frappe.db.commit()
		with self.later(seconds=-1):
			self.assertEqual(self.use(account, 5)["balance_after"], "115")
		with self.later(seconds=0):
			self.assertEqual(self.use(account, 1)["balance_after"], "99")
		frappe.db.commit()
		self.assertEqual(self.kinds(account)[-2:], [("Expiry", Decimal(-15)), ("Usage", Decimal(-1))])

	def test_expired_credits_pay_for_nothing(self):
		account = self.account("1")
		self.grant(account, 50, self.soon)
		frappe.db.commit()
		before = self.state(account)
		with self.later(seconds=1), self.assertRaises(errors.InsufficientCreditsError) as caught:
			self.use(account, 2)
		self.assertEqual(caught.exception.figures["shortfall"], "1")
		frappe.db.commit()
		self.assertEqual(self.state(account), before, "a refused charge wrote the expiry")

	def test_a_batch_posts_each_expiry_once(self):
		account = self.account("100")
		for hour in range(3):
			self.grant(account, 10, self.soon + timedelta(hours=hour))
		frappe.db.commit()
		with self.later(hours=1):
			events = [{"amount": 1, "idempotency_key": str(n)} for n in range(1200)]
			with self.assertRaises(errors.InsufficientCreditsError):
				usage.charge_many(account, events)
			self.assertEqual(usage.charge_many(account, events[:5])["balance_after"], "105")
			self.assertEqual(usage.charge_many(account, events[:5])["balance_after"], "105")
		frappe.db.commit()
		self.assertEqual([kind for kind, _ in self.kinds(account)].count("Expiry"), 2)

	def test_usage_that_is_reversed_after_its_lot_expired_comes_back_expired(self):
		account = self.account()
		self.grant(account, 10, self.soon)
		entry = self.use(account, 4)["entry"]
		frappe.db.commit()
		with self.later(seconds=1):
			self.assertEqual(ledger.reverse(entry, "Mistake")["balance_after"], "4")
			frappe.db.commit()
			self.assertEqual(self.grant(account, 1)["balance_after"], "1")
		frappe.db.commit()
		self.assertEqual(
			[kind for kind, _ in self.kinds(account)],
			["Grant", "Usage", "Expiry", "Reversal", "Expiry", "Grant"],
		)

	def test_accounts_nobody_uses_are_swept(self):
		account, other = self.account(), self.account("5")
		self.grant(account, 10, self.soon)
		frappe.db.commit()
		with (
			self.later(seconds=1),
			site_clock(clock.read(self.soon) + timedelta(seconds=1), str(clock.site_zone())),
		):
			self.assertEqual(work_off("expire_lots", account, other), [account])
			self.assertNotIn(account, due("expire_lots"))
		self.assertEqual(self.kinds(account), [("Grant", Decimal(10)), ("Expiry", Decimal(-10))])
		self.assertEqual(self.kinds(other), [("Grant", Decimal(5))])
