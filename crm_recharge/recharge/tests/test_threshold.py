"""When a recharge starts: at or below the level, once, with the charge that caused it or not at all."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.credits import ledger, store, usage
from crm_recharge.outbox import sweep
from crm_recharge.recharge import threshold, worker
from crm_recharge.tests import factories
from crm_recharge.tests.compat import queue_at
from crm_recharge.tests.support.money_case import GatewayTestCase
from crm_recharge.tests.support.work import EVERYTHING


class TestThreshold(GatewayTestCase):
	def setUp(self):
		super().setUp()
		self.one = self.account("100")
		self.visa = self.card(self.one)
		self.setting = factories.make_setting(self.one, [self.visa])
		frappe.db.commit()
		self.jobs.clear()

	def use(self, amount, account=None, key=None):
		answer = usage.charge(
			account or self.one, {"amount": amount, "idempotency_key": key or frappe.generate_hash(length=16)}
		)
		frappe.db.commit()
		return answer

	def recharges(self, account=None):
		frappe.db.rollback()
		return frappe.get_all(
			"Recharge",
			{"credit_account": account or self.one},
			["name", "status", "origin", "triggered_by", "decision"],
			order_by="creation",
		)

	def amount_of(self, recharge):
		return Decimal(
			frappe.db.sql("SELECT CAST(`amount` AS CHAR) FROM `tabRecharge` WHERE `name` = %s", recharge)[0][
				0
			]
		)

	def test_above_the_level_none_and_at_it_one(self):
		answer = self.use("49.999999999")
		self.assertEqual((answer["balance_after"], answer["recharge_started"]), ("50.000000001", False))
		answer = self.use("0.000000001")
		self.assertEqual((answer["balance_after"], answer["recharge_started"]), ("50", True))
		(recharge,) = self.recharges()
		self.assertEqual(
			(recharge.name, recharge.status, recharge.origin, recharge.triggered_by, recharge.decision),
			(answer["recharge"], "Queued", "Automatic", answer["entry"], "charged"),
		)
		self.assertEqual(self.amount_of(recharge.name), 450)
		self.assertEqual(frappe.db.get_value("Credit Account", self.one, "open_recharge"), recharge.name)
		self.assertEqual([job["name"] for job in self.queued("carry_out")], [recharge.name])

	def test_the_charge_closes_the_gap_rounded_up_to_a_coin(self):
		answer = self.use("62.123456789")
		self.assertEqual(self.amount_of(answer["recharge"]), Decimal("462.13"))
		worker.carry_out(answer["recharge"])
		self.assertEqual(self.use("0.000000001")["balance_after"], "500.00654321")

	def test_one_is_under_way_at_a_time(self):
		first = self.use(60)["recharge"]
		for _ in range(3):
			self.assertFalse(self.use(5)["recharge_started"])
		self.assertEqual([r.name for r in self.recharges()], [first])
		worker.carry_out(first)
		self.assertEqual(len(self.recharges()), 1)
		self.assertTrue(self.use(435)["recharge_started"])

	def test_usage_while_it_is_paid_starts_the_next_with_the_payment(self):
		first = self.use(60)["recharge"]
		charge = self.stripe.gateway().charge

		def use_meanwhile(**request):
			self.use("40")
			return charge(**request)

		gateway = self.stripe.gateway()
		gateway.charge = use_meanwhile
		frappe.db.set_value("Recharge", first, "amount", 45)
		frappe.db.commit()
		with patch("crm_recharge.gateway.registry.connect", lambda name: gateway):
			worker.carry_out(first)
		rows = self.recharges()
		self.assertEqual([row.status for row in rows], ["Succeeded", "Queued"])
		self.assertEqual(self.amount_of(rows[1].name), 455)

	def test_a_charge_that_is_rolled_back_starts_nothing(self):
		answer = usage.charge(self.one, {"amount": 60, "idempotency_key": "k"})
		self.assertTrue(answer["recharge_started"])
		self.assertEqual(self.jobs, [], "enqueued before the commit")
		frappe.db.rollback()
		frappe.db.commit()
		self.assertEqual((self.recharges(), self.jobs), ([], []))
		self.assertIsNone(frappe.db.get_value("Credit Account", self.one, "open_recharge"))
		self.assertTrue(self.use(60, key="k")["recharge_started"])

	def test_a_repeat_names_the_recharge_of_the_first(self):
		first = self.use(60, key="k")
		self.assertEqual(self.use(60, key="k"), first | {"repeated": True})
		self.assertEqual(len(self.recharges()), 1)

	def test_a_batch_looks_once_at_its_end(self):
		events = [{"amount": 9, "idempotency_key": str(n)} for n in range(10)]
		answer = usage.charge_many(self.one, events)
		frappe.db.commit()
		self.assertTrue(answer["recharge_started"])
		(recharge,) = self.recharges()
		self.assertEqual((self.amount_of(recharge.name), recharge.triggered_by), (490, answer["entries"][-1]))
		self.assertEqual(usage.charge_many(self.one, events)["recharge_started"], False)

	def test_an_expiry_on_the_way_of_a_payment_charges_no_card(self):
		account = self.account()
		soon = now_datetime() + timedelta(hours=1)
		ledger.grant(account, 600, "promotion", "n", soon)
		factories.make_setting(account, [self.card(account)])
		frappe.db.commit()
		with patch.object(store, "now_datetime", lambda: soon):
			ledger.grant(account, 700, "more", "n")
		frappe.db.commit()
		self.assertEqual(self.recharges(account), [])

	def test_an_expiry_on_the_way_of_usage_is_part_of_the_gap(self):
		account = self.account("60")
		factories.make_setting(account, [self.card(account)])
		soon = now_datetime() + timedelta(hours=1)
		ledger.grant(account, 40, "promotion", "n", soon)
		frappe.db.commit()
		with patch.object(store, "now_datetime", lambda: soon):
			answer = self.use(20, account)
		self.assertEqual((answer["balance_after"], self.amount_of(answer["recharge"])), ("40", 460))

	def test_switched_on_while_the_balance_is_low(self):
		account = self.account("20")
		name = factories.make_setting(account, [self.card(account)], enabled=0)
		frappe.db.commit()
		self.assertEqual(self.recharges(account), [])
		doc = frappe.get_doc("Auto-Recharge Setting", name)
		doc.enabled = 1
		doc.save()
		self.assertEqual(self.queued("carry_out"), [], "enqueued before the commit")
		frappe.db.commit()
		(recharge,) = self.recharges(account)
		self.assertEqual(self.amount_of(recharge.name), 480)
		self.assertEqual([job["name"] for job in self.queued("carry_out")], [recharge.name])
		doc = frappe.get_doc("Auto-Recharge Setting", name)
		doc.falls_below = 60
		doc.save()
		frappe.db.commit()
		self.assertEqual(len(self.recharges(account)), 1)

	def test_switched_off_held_or_closed_nothing_starts(self):
		for field, value in (("held_because", "Refunded"), ("status", "On Hold"), ("status", "Disputed")):
			account = self.account("100")
			factories.make_setting(account, [self.card(account)])
			frappe.db.sql(
				f"UPDATE `tabCredit Account` SET `{field}` = %s WHERE `name` = %s", (value, account)
			)
			frappe.db.commit()
			self.assertFalse(self.use(60, account)["recharge_started"], value)
		doc = frappe.get_doc("Auto-Recharge Setting", self.setting)
		doc.enabled = 0
		doc.save()
		frappe.db.commit()
		self.assertFalse(self.use(60)["recharge_started"])
		self.assertEqual(self.recharges(), [])

	def test_a_debt_beyond_one_payment_charges_no_card_and_is_told(self):
		ledger.adjust(self.one, -99_999, "slip", "A slip of the hand", allow_debt=True)
		frappe.db.commit()
		threshold.check_now(self.one)
		frappe.db.commit()
		self.assertEqual(self.recharges(), [])
		row = frappe.get_last_doc("Recharge Decision", {"credit_account": self.one})
		self.assertEqual((row.code, row.tell), ("above_maximum", 1))
		self.assertIn("$ 10,000.00", row.explanation)

	def test_money_that_comes_in_other_ways_counts(self):
		ledger.adjust(self.one, -60, "a", "Counted twice")
		frappe.db.commit()
		self.assertEqual(self.recharges(), [], "a correction charged a card")
		row = frappe.get_last_doc("Recharge Decision", {"credit_account": self.one})
		self.assertEqual(row.code, "not_by_usage")
		self.assertTrue(self.use(1)["recharge_started"])
		self.assertEqual(len(self.recharges()), 1)
		account = self.account("60")
		factories.make_setting(account, [self.card(account)])
		ledger.grant(account, 100, "g", "n")
		frappe.db.commit()
		self.use(100, account)
		self.assertEqual(self.recharges(account), [])

	def test_a_queue_that_is_down_fails_no_charge_and_the_sweeper_carries_on(self):
		with queue_at("redis://127.0.0.1:1"):
			answer = self.use(60)
		self.assertTrue(answer["recharge_started"])
		self.assertEqual(frappe.db.get_value("Recharge", answer["recharge"], "status"), "Queued")
		sweep.sweep_kind("carry_out", EVERYTHING)
		(job,) = (job for job in self.queued("carry_out") if job["name"] == answer["recharge"])
		self.assertEqual(job["queue"], "short")
		self.assertEqual(worker.carry_out(job["name"]), "Succeeded")
