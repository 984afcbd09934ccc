"""Refunds and disputes whose webhook never came; and the daily rules about what was taken back."""

from datetime import timedelta
from decimal import Decimal as D

import frappe

from crm_recharge.recharge import audit, catch_up, disputes, refunds
from crm_recharge.recharge.tests.takeback_case import TakebackCase


class TestCatchUp(TakebackCase):
	def test_a_refund_that_nobody_told_of(self):
		account, recharge = self.paid("100")
		self.stripe.control("refund", intent=self.intent(recharge), amount=4000)
		self.assertEqual(catch_up.catch_up()["refunds"], 1)
		self.assertEqual(self.balance(account), D(60))
		self.assertEqual(catch_up.catch_up(), {"refunds": 0, "disputes": 0, "failed": 0})

	def test_one_that_failed_later(self):
		account, recharge = self.paid("100")
		name = self.refund(recharge)
		refunds.carry_out(name)
		self.stripe.control(
			"finish_refund", refund=self.row("Recharge Refund", name).gateway_refund, status="failed"
		)
		self.assertEqual(catch_up.catch_up()["refunds"], 1)
		self.assertEqual(
			(self.balance(account), self.row("Recharge Refund", name).status), (D(100), "Failed")
		)

	def test_a_dispute_that_nobody_told_of_and_its_end(self):
		account, recharge = self.paid("100")
		dispute = self.stripe.control("dispute", intent=self.intent(recharge))["id"]
		self.assertEqual(catch_up.catch_up()["disputes"], 1)
		self.assertEqual(self.balance(account), D(0))
		self.assertEqual(catch_up.catch_up()["disputes"], 0)
		self.stripe.control("close_dispute", dispute=dispute, won=True)
		self.assertEqual(catch_up.catch_up()["disputes"], 1)
		self.assertEqual(self.balance(account), D(100))

	def test_an_old_dispute_is_followed_to_its_end(self):
		account, recharge = self.paid("100")
		dispute = self.stripe.control("dispute", intent=self.intent(recharge))["id"]
		disputes.follow(dispute)
		self.stripe.control("close_dispute", dispute=dispute, won=True)
		self.assertEqual(catch_up.catch_up(timedelta(seconds=-60))["disputes"], 0)
		frappe.db.set_value(
			"Recharge Dispute",
			{"name": ["!=", dispute], "status": ["in", ("Open", "Inquiry")]},
			"status",
			"Lost",
		)
		frappe.db.commit()
		self.assertEqual(catch_up.follow_open_disputes(), {"refunds": 0, "disputes": 1, "failed": 0})
		self.assertEqual(self.balance(account), D(100))

	def test_the_gateway_cannot_be_asked(self):
		self.paid("100")
		self.stripe.faults.error_before("GET /v1/disputes")
		self.assertTrue(catch_up.catch_up()["incomplete"])

	def test_one_that_cannot_be_followed_does_not_stop_the_rest(self):
		accounts = [self.paid("100") for _ in range(2)]
		for _account, recharge in accounts:
			self.stripe.control("refund", intent=self.intent(recharge), amount=4000)
		# The first look at one payment's refunds fails; the list of all is another call.
		self.stripe.faults.error_before("GET /v1/refunds", skip=1)
		self.assertEqual(catch_up.catch_up(), {"refunds": 1, "disputes": 0, "failed": 1})
		self.assertEqual(catch_up.catch_up()["refunds"], 1)
		self.assertEqual([self.balance(account) for account, _recharge in accounts], [D(60), D(60)])

	def test_others_payments_are_left_alone(self):
		customer = self.stripe.make_customer()
		card = self.stripe.make_card(customer)
		paid = self.stripe.gateway().charge(
			key=frappe.generate_hash(length=9),
			amount=D(5),
			currency="USD",
			customer=customer,
			payment_method=card,
		)
		self.stripe.control("refund", intent=paid.intent, amount=100)
		self.stripe.control("dispute", intent=paid.intent)
		self.assertEqual(catch_up.catch_up(), {"refunds": 0, "disputes": 0, "failed": 0})


class TestRules(TakebackCase):
	def breaches(self, account: str) -> list[str]:
		return [b["rule"] for b in audit.check_all(prove_chains=False) if b["account"] == account]

	def test_the_daily_rules_hold_and_find_what_breaks_them(self):
		account, recharge = self.paid("100")
		refunds.carry_out(self.refund(recharge, 30))
		dispute = self.stripe.control("dispute", intent=self.intent(recharge))["id"]
		disputes.follow(dispute)
		self.assertEqual(self.breaches(account), [])
		for returned, rules in (
			("99", ["taken back = refunds and disputes"]),
			("101", ["no payment is taken back twice", "taken back = refunds and disputes"]),
			("-1", ["no payment is taken back twice", "taken back = refunds and disputes"]),
		):
			self.set_returned(recharge, returned)
			self.assertEqual(self.breaches(account), rules)
		self.set_returned(recharge, "100")
		self.assertEqual(self.breaches(account), [])

	def set_returned(self, recharge: str, returned: str) -> None:
		frappe.db.sql(
			"UPDATE `tabCredit Lot` SET `returned` = %s WHERE `recharge` = %s", (returned, recharge)
		)
		frappe.db.commit()
