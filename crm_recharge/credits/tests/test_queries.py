"""Balance and statement: exact, and continuous from one period to the next."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from unittest.mock import patch

import frappe

from crm_recharge.credits import errors, ledger, queries, store, usage
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.tests.support.money_case import MoneyTestCase

NOON = datetime(2026, 3, 1, 12)


class TestQueries(MoneyTestCase):
	def at(self, account, moment, amount):
		"""Post a movement while the clock shows `moment`."""
		with patch.object(store, "now_datetime", lambda: moment):
			ledger.adjust(account, amount, frappe.generate_hash(length=16), "n")
		frappe.db.commit()

	def test_a_balance_tells_what_may_be_spent(self):
		account = self.account("10.5", overdraft_limit=5)
		usage.charge(account, {"amount": 12, "idempotency_key": "k"})
		answer = queries.balance(account)
		self.assertEqual((answer["balance"], answer["available"], answer["pending"]), ("-1.5", "3.5", None))
		with self.assertRaises(errors.UnknownAccountError):
			queries.balance("None such")
		frappe.db.commit()

	def test_a_period_begins_with_what_the_one_before_ended_with(self):
		account = self.account()
		for hours, amount in ((0, "10"), (1, "-2.000000001"), (2, "0.5"), (5, "-1")):
			self.at(account, NOON + timedelta(hours=hours), amount)
		edges = [
			NOON - timedelta(hours=1),
			NOON,
			NOON + timedelta(hours=1),
			NOON + timedelta(hours=2),
			NOON + timedelta(days=1),
		]
		statements = [queries.statement(account, *pair) for pair in pairwise(edges)]
		for earlier, later in pairwise(statements):
			self.assertEqual(earlier["closing_balance"], later["opening_balance"])
		self.assertEqual([len(s["rows"]) for s in statements], [0, 1, 1, 2])
		self.assertEqual(statements[-1]["opening_balance"], "7.999999999")
		self.assertEqual(statements[-1]["closing_balance"], "7.499999999")
		self.assertEqual(queries.statement(account, None, None)["closing_balance"], "7.499999999")

	def test_a_clock_that_goes_back_moves_no_credits_between_periods(self):
		account = self.account()
		midnight = datetime(2026, 4, 1)
		for seconds, amount in ((-10, "100"), (1, "-30"), (-1, "-7"), (2, "-5"), (-2, "-1"), (3, "50")):
			self.at(account, midnight + timedelta(seconds=seconds), amount)
		march = queries.statement(account, datetime(2026, 3, 1), midnight)
		april = queries.statement(account, midnight, datetime(2026, 5, 1))
		self.assertEqual((march["opening_balance"], march["closing_balance"]), ("0", "92"))
		self.assertEqual((april["opening_balance"], april["closing_balance"]), ("92", "107"))
		self.assertEqual(sum(Decimal(row["amount"]) for row in march["rows"]), 92)

	def test_rows_are_cut_off_and_sums_are_not(self):
		account = self.account("10")
		usage.charge_many(account, [{"amount": 1, "idempotency_key": str(n)} for n in range(5)])
		frappe.db.commit()
		answer = queries.statement(account, None, None, limit=3)
		self.assertEqual(
			(len(answer["rows"]), answer["truncated"], answer["closing_balance"]), (3, True, "5")
		)
		self.assertEqual(
			answer["totals"], {"Grant": {"amount": "10", "rows": 1}, "Usage": {"amount": "-5", "rows": 5}}
		)
		self.assertFalse(queries.statement(account, None, None, limit=6)["truncated"])

	def test_a_period_that_ends_before_it_begins_is_refused(self):
		with self.assertRaises(InvalidRequest) as caught:
			queries.statement(self.account(), NOON, NOON - timedelta(seconds=1))
		self.assertEqual(caught.exception.code, "period_backwards")
