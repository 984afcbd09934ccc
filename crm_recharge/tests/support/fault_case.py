"""Ground for tests that break things: recovery as the sweepers do it, and what must hold after it."""

import os
import time
from decimal import Decimal
from unittest import SkipTest
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.domain import payment
from crm_recharge.outbox import queue, sweep
from crm_recharge.recharge import worker
from crm_recharge.tests.case import WEBHOOK_SECRET, RechargeCase
from crm_recharge.tests.support.books import breaches
from crm_recharge.tests.support.node import CannotRun, Node
from crm_recharge.tests.support.stripe_stand_in import SECRET_KEY

ROUNDS = int(os.environ.get("CRM_RECHARGE_FAULT_ROUNDS") or 20)
"""How long the tests of faults take: 20 is for every day, 1000 kills a worker at every single step."""
THOROUGH = ROUNDS >= 200


def report(text: str):
	"""Say what was measured, beside the dots of a thorough run."""
	if THOROUGH:
		print(f"  {text}", flush=True)


def charge(account: str, amount, key: str) -> dict:
	"""In a child: charge usage and commit."""
	from crm_recharge.credits import usage

	answer = usage.charge(account, {"amount": str(amount), "idempotency_key": key})
	frappe.db.commit()
	return answer


def sweep_for(*recharges: str, sweeping=lambda: sweep.sweep_kind("carry_out", 10**6)) -> int:
	"""In a child: the sweep, as each minute, for these recharges alone. Returns how many it took up."""
	taken, enqueue = [], queue.enqueue

	def only_these(kind, name, again=False):
		if name in recharges:
			taken.append(enqueue(kind, name, again))
		return True

	with patch.object(queue, "enqueue", only_these):
		sweeping()
	return len(taken)


def let_time_pass(recharge: str):
	"""As if everything that `recharge` waits for was over: lease, next try, next ask."""
	past = frappe.utils.add_to_date(now_datetime(), seconds=-1)
	frappe.db.rollback()
	frappe.db.sql(
		"UPDATE `tabRecharge` SET `lease_until` = LEAST(`lease_until`, %s), `next_try_at` = LEAST(`next_try_at`, %s)"
		" WHERE `name` = %s",
		(past, past, recharge),
	)
	frappe.db.sql(
		"UPDATE `tabRecharge Attempt` SET `next_ask_at` = LEAST(`next_ask_at`, %s) WHERE `recharge` = %s",
		(past, recharge),
	)
	frappe.db.commit()


def recover(recharge: str, minutes: int = 30) -> str:
	"""What the sweeper and its worker do minute by minute, without the waiting. Returns the status at the end."""
	for _ in range(minutes):
		frappe.db.rollback()
		status = frappe.db.get_value("Recharge", recharge, "status")
		if status not in payment.WORKABLE:
			break
		let_time_pass(recharge)
		time.sleep(0.05)  # what is still under way at the gateway needs some time indeed
		with patch.object(queue, "enqueue", lambda kind, name, again=False: worker.carry_out(name)):
			sweep_for(recharge)
	return status


def facts_of(account: str, recharge: str) -> dict:
	"""All that the database says of a payment, and what is wrong with the account's books."""
	from crm_recharge.credits.proof import verify

	frappe.db.rollback()
	row = frappe.db.get_value("Recharge", recharge, ["status", "settled_intent"], as_dict=True)
	ledger = frappe.db.sql(
		"SELECT `gateway_reference`, CAST(`amount` AS CHAR) FROM `tabCredit Ledger`"
		" WHERE `reference_name` = %s AND `entry_type` = 'Recharge'",
		recharge,
	)
	return {
		"status": row.status,
		"settled": row.settled_intent,
		"ledger": [(intent, Decimal(amount)) for intent, amount in ledger],
		"refunds": frappe.db.count("Recharge Refund", {"recharge": recharge}),
		"open": frappe.db.get_value("Credit Account", account, "open_recharge"),
		"paid": frappe.get_all(
			"Recharge Attempt", {"recharge": recharge, "status": "Succeeded"}, pluck="intent"
		),
		"wrong": [*verify(account)["breaks"], *breaches(account)],
	}


class FaultCase(RechargeCase):
	"""Helpers of the tests of faults."""

	@classmethod
	def start_node(cls, **conf) -> Node:
		"""A node whose gateway is this class' stand-in; gone with the class."""
		node = Node(
			crm_recharge_stripe_secret_key=SECRET_KEY,
			crm_recharge_stripe_api_base=cls.stripe.api_base,
			crm_recharge_stripe_webhook_secret=WEBHOOK_SECRET,
			**conf,
		)
		cls.addClassCleanup(node.stop)
		try:
			return node.start()
		except CannotRun as reason:
			raise SkipTest(str(reason)) from None

	def low_account(self, *numbers: str) -> tuple[str, str]:
		"""An account with these cards that has just fallen below its threshold. Returns it and its recharge."""
		account = self.account_with(*numbers)
		return account, self.use(account, 460)["recharge"]

	def low_again(self, account: str) -> str:
		"""Use the same account down once more, its cards as if never declined. Returns the new recharge."""
		for card in frappe.get_all("Recharge Card", {"credit_account": account}, pluck="name"):
			mark = f"test-{frappe.generate_hash(length=12)}"
			frappe.db.set_value("Recharge Card", card, {"fingerprint": mark, "status": "Active"})
		frappe.db.commit()
		return self.use(account, 460)["recharge"]

	def recover(self, recharge: str, minutes: int = 30) -> str:
		"""See `recover`."""
		return recover(recharge, minutes)

	def assert_paid_once(self, account: str, recharge: str, amount="460", facts: dict | None = None):
		"""One capture, one ledger row, one settlement; nothing open; the books agree."""
		facts = facts or facts_of(account, recharge)
		asked = [i for i in self.stripe.intents() if i["metadata"].get("recharge") == recharge]
		captured = [i["id"] for i in asked if i["status"] == "succeeded"]
		self.assertEqual(len(captured), 1, f"captured {captured}; {facts}")
		(intent,) = captured
		self.assertLessEqual({i["status"] for i in asked if i["id"] != intent}, {"canceled"})
		expected = {
			"status": "Succeeded",
			"settled": intent,
			"ledger": [(intent, Decimal(amount))],
			"refunds": 0,
			"open": None,
			"paid": [intent],
			"wrong": [],
		}
		self.assertEqual(facts, expected)

	def assert_whole(self, account: str):
		"""The books of `account` agree, by the app's own proof and by the tests'."""
		self.assert_books(account)
		self.assertEqual(breaches(account), [])
