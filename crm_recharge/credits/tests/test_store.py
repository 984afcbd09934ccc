"""Reading an account's book under its lock."""

import json
from decimal import Decimal

import frappe

from crm_recharge.credits import ledger, store, usage
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import MoneyTestCase


class TestStore(MoneyTestCase):
	def with_lots(self, count: int) -> str:
		account = self.account()
		for number in range(count):
			ledger.grant(account, "0.01", f"g{number}", "n")
		frappe.db.commit()
		return account

	def test_an_account_is_read_with_its_lots_and_once(self):
		for count in (0, 1, 3, 120):
			account = self.with_lots(count)
			rows = frappe.db.sql(store.LOCK_BOOK, account)
			self.assertEqual(
				len([found for found, _ in rows if found]), 1, "the account came with each of its lots"
			)
			self.assertEqual(len([lot for _, lot in rows if lot]), count)
			row, lots = store.lock_account(account)
			self.assertEqual((row.name, row.sequence, len(lots)), (account, count, count))
			self.assertEqual(json.loads(row.open_lots or "[]"), [lot.name for lot in lots])
			self.assertEqual(row.balance, f"{Decimal(count) / 100:.9f}")
			frappe.db.rollback()

	def test_one_usage_may_draw_on_very_many_lots(self):
		account = self.with_lots(120)
		usage.charge(account, {"amount": "0.605", "idempotency_key": "one"})
		answer = usage.charge_many(
			account, [{"amount": "0.5", "idempotency_key": "a"}, {"amount": "0.09", "idempotency_key": "b"}]
		)
		frappe.db.commit()
		self.assertEqual(answer["balance_after"], "0.005")
		rows = entries(account)[-3:]
		self.assertEqual([len(json.loads(row.lots_json)) for row in rows], [61, 51, 10])
		self.assertEqual(len(store.lock_account(account)[1]), 1)
		frappe.db.rollback()

	def test_names_rise_with_time(self):
		names = [store.new_name() for _ in range(1000)]
		self.assertEqual(len(set(names)), 1000)
		self.assertEqual([name[:11] for name in names], sorted(name[:11] for name in names))
