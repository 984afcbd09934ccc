"""Carrying a recharge out: which card is charged, when the next one is, and what an unclear answer may do."""

import os
import signal
import time
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.api import recharge as api
from crm_recharge.credits import ledger, usage
from crm_recharge.domain import effects, payment
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.outbox import sweep
from crm_recharge.recharge import audit, notices, worker
from crm_recharge.recharge.performer import Performer, perform
from crm_recharge.tests import factories
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import GatewayTestCase
from crm_recharge.tests.support.work import EVERYTHING, work_off

VISA, MASTERCARD, AMEX = "4242424242424242", "5555555555554444", "378282246310005"
DECLINED, POOR, LOST, EXPIRED_AT_BANK = (
	"4000000000000341",
	"4000000000009995",
	"4000000000009987",
	"4000000000000069",
)
ASKS_HOLDER = "4000002760003184"
INTENTS = "/v1/payment_intents"


class WorkerTestCase(GatewayTestCase):
	def low(self, *numbers: str, balance=60, use=20, **setting) -> str:
		"""An account that has just fallen to 40 with a card for each number; returns the queued recharge."""
		self.one = self.account(balance)
		self.cards = [self.card(self.one, number) for number in numbers]
		self.setting = factories.make_setting(self.one, self.cards, **setting)
		frappe.db.commit()
		self.mark_log()
		return self.use(use)["recharge"]

	def use(self, amount):
		answer = usage.charge(
			self.one, {"amount": amount, "idempotency_key": frappe.generate_hash(length=16)}
		)
		frappe.db.commit()
		return answer

	def mark_log(self):
		self.stripe.control("clear_log")

	def posts(self):
		"""What was asked of Stripe about payments since `mark_log`: (path's end, card, key), in order."""
		return [
			(
				call["path"].rsplit("/", 1)[-1],
				call["params"].get("payment_method"),
				call["key"] if call["path"] == INTENTS else None,
			)
			for call in self.stripe.log()
			if call["method"] == "POST" and call["path"].startswith(INTENTS)
		]

	def value(self, recharge, field):
		frappe.db.rollback()
		return frappe.db.get_value("Recharge", recharge, field)

	def method(self, card):
		return frappe.db.get_value("Recharge Card", card, "payment_method")

	def attempts(self, recharge, *fields):
		frappe.db.rollback()
		rows = frappe.get_all("Recharge Attempt", {"recharge": recharge}, [*fields], order_by="number")
		return [tuple(row.values()) if len(fields) > 1 else row[fields[0]] for row in rows]

	def captured(self):
		return self.stripe.captured_total(frappe.db.get_value("Credit Account", self.one, "gateway_customer"))

	def pass_time(self, recharge):
		"""What waits is due, and a lease has run out."""
		frappe.db.sql(
			"UPDATE `tabRecharge` SET `next_try_at` = NULL, `lease_until` = IF(`lease_until` IS NULL, NULL, %s)"
			" WHERE `name` = %s",
			(now_datetime() - timedelta(seconds=1), recharge),
		)
		frappe.db.sql("UPDATE `tabRecharge Attempt` SET `next_ask_at` = NULL WHERE `recharge` = %s", recharge)
		frappe.db.commit()

	def swept_up(self, recharge) -> bool:
		"""Whether the sweeper would take it up now."""
		self.jobs.clear()
		sweep.sweep_kind("carry_out", EVERYTHING)
		return recharge in [job["name"] for job in self.queued("carry_out")]

	def assert_paid_once(self, recharge, amount=460):
		"""One capture, one lot, one row, and the account is free again."""
		frappe.db.rollback()
		doc = frappe.get_doc("Recharge", recharge)
		self.assertEqual(doc.status, "Succeeded")
		captured = self.stripe.intents(
			frappe.db.get_value("Credit Account", self.one, "gateway_customer"), "succeeded"
		)
		self.assertEqual([i["id"] for i in captured], [doc.settled_intent])
		self.assertEqual(self.captured(), amount)
		rows = [row for row in entries(self.one) if row.entry_type == "Recharge"]
		self.assertEqual(
			[(r.amount, r.gateway_reference, r.name) for r in rows],
			[(amount, doc.settled_intent, doc.ledger_entry)],
		)
		self.assertEqual(frappe.db.count("Credit Lot", {"recharge": recharge}), 1)
		self.assertNotEqual(frappe.db.get_value("Credit Account", self.one, "open_recharge"), recharge)
		self.assertEqual((doc.lease_owner, doc.next_try_at, doc.accounting_status), (None, None, "Pending"))


class TestCards(WorkerTestCase):
	def test_the_primary_card_pays(self):
		recharge = self.low(VISA, MASTERCARD)
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)
		self.assertEqual(self.posts(), [("payment_intents", self.method(self.cards[0]), f"{recharge}-1")])
		((status, name, milliseconds, intent),) = self.attempts(
			recharge, "status", "name", "milliseconds", "intent"
		)
		self.assertEqual(
			(status, name, intent), ("Succeeded", f"{recharge}-1", self.value(recharge, "settled_intent"))
		)
		self.assertGreater(milliseconds, 0)
		self.assertEqual(frappe.db.get_value("Credit Account", self.one, "balance"), 500)
		self.assertEqual([job["name"] for job in self.queued("account_for")], [recharge])
		lot = frappe.get_last_doc("Credit Lot", {"recharge": recharge})
		self.assertEqual((lot.original, lot.remaining, lot.paid_value), (460, 460, 460))

	def test_the_next_card_pays_after_the_one_before_is_closed(self):
		recharge = self.low(DECLINED, POOR, VISA, MASTERCARD)
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)
		methods = [self.method(card) for card in self.cards]
		self.assertEqual(
			self.posts(),
			[
				("payment_intents", methods[0], f"{recharge}-1"),
				("cancel", None, None),
				("payment_intents", methods[1], f"{recharge}-2"),
				("cancel", None, None),
				("payment_intents", methods[2], f"{recharge}-3"),
			],
		)
		self.assertEqual(
			self.attempts(recharge, "status", "code", "intent_open"),
			[
				("Declined", "generic_decline", 0),
				("Declined", "insufficient_funds", 0),
				("Succeeded", None, 0),
			],
		)
		statuses = {
			intent["status"]
			for intent in self.stripe.intents(
				frappe.db.get_value("Credit Account", self.one, "gateway_customer")
			)
		}
		self.assertEqual(statuses, {"canceled", "succeeded"})

	def test_when_all_fail_it_is_switched_off_and_stays_off_until_a_person_switches_it_on(self):
		recharge = self.low(DECLINED, LOST)
		self.assertEqual(worker.carry_out(recharge), "Failed")
		setting = frappe.get_doc("Auto-Recharge Setting", self.setting)
		self.assertEqual(setting.enabled, 0)
		for text in ("0341", "9987", "declined"):
			self.assertIn(text, setting.disabled_reason)
		self.assertLess(now_datetime() - setting.disabled_at, timedelta(minutes=1))
		self.assertEqual(self.value(recharge, "failure_reason"), setting.disabled_reason)
		self.assertIsNone(frappe.db.get_value("Credit Account", self.one, "open_recharge"))
		self.assertEqual(self.captured(), 0)
		for _ in range(3):
			self.assertFalse(self.use(1)["recharge_started"])
		self.assertEqual(worker.carry_out(recharge), "Failed")
		self.assertFalse(self.swept_up(recharge))
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": self.one}), 1)

		good = self.card(self.one, VISA)
		api.set_auto_recharge(self.one, enabled=1, cards=[good])
		frappe.db.commit()
		second = frappe.get_last_doc("Recharge", {"credit_account": self.one})
		self.assertNotEqual(second.name, recharge)
		self.assertEqual(worker.carry_out(second.name), "Succeeded")
		self.assertEqual(frappe.db.get_value("Credit Account", self.one, "balance"), 500)

	def test_an_expired_card_is_passed_over_without_a_call(self):
		recharge = self.low(VISA, MASTERCARD)
		frappe.db.set_value("Recharge Card", self.cards[0], {"exp_month": 1, "exp_year": 2020})
		frappe.db.commit()
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assertEqual([card for path, card, _ in self.posts()], [self.method(self.cards[1])])
		self.assertEqual(
			self.attempts(recharge, "status", "code"), [("Skipped", "expired"), ("Succeeded", None)]
		)
		self.assertEqual(frappe.db.get_value("Recharge Card", self.cards[0], "status"), "Expired")

	def test_a_permanently_declined_card_is_marked_and_never_asked_again(self):
		for number, status in ((LOST, "Permanently Declined"), (EXPIRED_AT_BANK, "Expired")):
			recharge = self.low(number, VISA)
			self.assertEqual(worker.carry_out(recharge), "Succeeded")
			self.assertEqual(frappe.db.get_value("Recharge Card", self.cards[0], "status"), status)
			listed = frappe.db.get_value("Auto-Recharge Card", {"card": self.cards[0]}, "card_status")
			self.assertEqual(listed, status)
			self.mark_log()
			again = self.use(455)["recharge"]
			self.assertEqual(worker.carry_out(again), "Succeeded")
			self.assertEqual([card for path, card, _ in self.posts()], [self.method(self.cards[1])])
			self.assertEqual(self.attempts(again, "status"), ["Skipped", "Succeeded"])

	def test_a_card_that_was_only_poor_is_asked_again_next_time(self):
		recharge = self.low(POOR, VISA)
		worker.carry_out(recharge)
		self.assertEqual(frappe.db.get_value("Recharge Card", self.cards[0], "status"), "Active")
		self.stripe.control("set_card", payment_method=self.method(self.cards[0]), number=VISA)
		self.mark_log()
		again = self.use(455)["recharge"]
		self.assertEqual(worker.carry_out(again), "Succeeded")
		self.assertEqual([card for path, card, _ in self.posts()], [self.method(self.cards[0])])

	def test_a_card_is_not_hammered_past_the_networks_limit(self):
		recharge = self.low(POOR, VISA)
		fingerprint = frappe.db.get_value("Recharge Card", self.cards[0], "fingerprint")
		for number in range(15):
			doc = frappe.new_doc("Recharge Attempt")
			doc.update(
				{
					"recharge": recharge,
					"number": -number,
					"status": "Declined",
					"fingerprint": fingerprint,
					"created_at": now_datetime() - timedelta(days=29),
				}
			)
			doc.name = f"{recharge}-old-{number}"
			doc.set_user_and_timestamp()
			doc.db_insert()
		frappe.db.sql("UPDATE `tabRecharge Attempt` SET `recharge` = NULL WHERE `recharge` = %s", recharge)
		frappe.db.commit()
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assertEqual([card for path, card, _ in self.posts()], [self.method(self.cards[1])])
		self.assertEqual(
			self.attempts(recharge, "status", "code"), [("Skipped", "network_limit"), ("Succeeded", None)]
		)

	def test_a_card_whose_bank_asks_the_holder_is_closed_and_the_next_one_pays(self):
		recharge = self.low(ASKS_HOLDER, VISA)
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)
		self.assertEqual(
			self.attempts(recharge, "status", "intent_open"), [("Needs Authentication", 0), ("Succeeded", 0)]
		)
		self.assertEqual(
			[path for path, _, _ in self.posts()], ["payment_intents", "cancel", "payment_intents"]
		)

	def test_when_only_the_holder_can_help_it_waits_for_the_person(self):
		recharge = self.low(DECLINED, ASKS_HOLDER)
		self.assertEqual(worker.carry_out(recharge), "Action Required")
		self.assertEqual(frappe.db.get_value("Auto-Recharge Setting", self.setting, "enabled"), 1)
		self.assertEqual(frappe.db.get_value("Credit Account", self.one, "open_recharge"), recharge)
		self.assertFalse(self.use(1)["recharge_started"])
		self.assertEqual(self.captured(), 0)
		if notices.managers([self.one]):
			self.assertTrue(frappe.db.exists("Notification Log", {"document_name": recharge}))
		frappe.db.set_value("Recharge", recharge, "next_try_at", now_datetime() - timedelta(seconds=1))
		frappe.db.commit()
		work_off("expire_action", recharge)
		self.assertEqual(self.value(recharge, "status"), "Failed")
		self.assertEqual(frappe.db.get_value("Auto-Recharge Setting", self.setting, "enabled"), 0)

	def test_no_card_is_tried_twice_and_none_that_is_not_listed(self):
		recharge = self.low(DECLINED)
		self.card(self.one, VISA)
		self.assertEqual(worker.carry_out(recharge), "Failed")
		self.assertEqual(
			[card for path, card, _ in self.posts() if path != "cancel"], [self.method(self.cards[0])]
		)

	def test_a_setting_without_cards_fails_instead_of_waiting(self):
		recharge = self.low(VISA)
		frappe.db.delete("Auto-Recharge Card", {"parent": self.setting})
		frappe.db.commit()
		self.assertEqual(worker.carry_out(recharge), "Failed")
		self.assertEqual(
			frappe.db.get_value("Auto-Recharge Setting", self.setting, "disabled_reason"),
			"No card is listed.",
		)


class TestUnclearAnswers(WorkerTestCase):
	def drive(self, recharge, limit=12) -> int:
		"""Carry it out until it has ended, however often it has to wait. Returns the runs."""
		for run in range(1, limit + 1):
			word = worker.carry_out(recharge)
			if word != "waiting":
				self.assertEqual(word, "Succeeded")
				return run
			self.assertEqual(self.value(recharge, "status"), "Charging")
			self.assertIsNone(self.value(recharge, "lease_owner"))
			self.assertEqual(self.attempts(recharge, "status"), ["Unknown"])
			self.assertFalse(self.swept_up(recharge), "asked again before its time")
			self.assertEqual(worker.carry_out(recharge), "not yet")
			self.pass_time(recharge)
			self.assertTrue(self.swept_up(recharge))
		self.fail("it never ended")

	def test_an_unclear_answer_is_asked_again_under_the_same_key_and_captured_once(self):
		faults = self.stripe.faults
		for name, order in (
			("lost before", lambda: faults.lost_before()),
			("lost after", lambda: faults.lost_after()),
			("lost after, three times", lambda: faults.lost_after(count=3)),
			("5xx before", lambda: faults.error_before()),
			("5xx after", lambda: faults.error_after(sticky=False)),
			("5xx after, kept", lambda: faults.error_after()),
			("too many requests", lambda: faults.rate_limit()),
			("key in use", lambda: faults.conflict()),
			("too slow", lambda: faults.add("slow_after", f"POST {INTENTS}", seconds=2)),
			(
				"no answer that can be read",
				lambda: faults.add("respond", f"POST {INTENTS}", status=200, body="<html>"),
			),
			(
				"a proxy's page",
				lambda: faults.add("respond", f"POST {INTENTS}", status=403, body="<html>no</html>"),
			),
		):
			with self.subTest(fault=name):
				recharge = self.low(VISA, MASTERCARD)
				order()
				with patch(
					"crm_recharge.gateway.registry.connect", lambda name: self.stripe.gateway(timeout=1)
				):
					self.assertGreater(self.drive(recharge), 1)
				faults.clear()
				self.assert_paid_once(recharge)
				# The stand-in logs a slow call when it ends, which may be in the next round.
				asked = {(card, key) for path, card, key in self.posts() if key.startswith(recharge)}
				self.assertEqual(
					asked, {(self.method(self.cards[0]), f"{recharge}-1")}, "another card or key was asked"
				)

	def test_a_payment_that_is_still_processing_is_waited_for(self):
		recharge = self.low(VISA, MASTERCARD)
		self.stripe.faults.add("processing", f"POST {INTENTS}", seconds=1.5)
		self.assertEqual(worker.carry_out(recharge), "waiting")
		row = frappe.db.get_value("Recharge", recharge, ["status", "settled_intent"], as_dict=True)
		self.assertEqual((row.status, row.settled_intent), ("Processing", None))
		self.assertEqual(self.attempts(recharge, "status"), ["Pending"])
		self.pass_time(recharge)
		self.assertEqual(worker.carry_out(recharge), "waiting")
		self.assertEqual(frappe.db.get_value("Recharge", recharge, "status"), "Processing")
		time.sleep(1.6)
		self.pass_time(recharge)
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)

	def test_a_payment_that_ends_in_a_decline_moves_on_only_then(self):
		recharge = self.low(DECLINED, VISA)
		self.stripe.faults.add("processing", f"POST {INTENTS}", seconds=1)
		self.assertEqual(worker.carry_out(recharge), "waiting")
		self.assertEqual(len(self.posts()), 1)
		time.sleep(1.1)
		self.pass_time(recharge)
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)
		self.assertEqual(self.attempts(recharge, "status"), ["Declined", "Succeeded"])

	def test_a_closing_that_is_unclear_keeps_the_next_card_waiting(self):
		recharge = self.low(DECLINED, VISA)
		self.stripe.faults.error_before(f"POST {INTENTS}/*/cancel")
		self.assertEqual(worker.carry_out(recharge), "waiting")
		self.assertEqual([path for path, _, _ in self.posts()], ["payment_intents", "cancel"])
		self.pass_time(recharge)
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)

	def test_a_key_older_than_stripe_remembers_is_looked_up_not_asked_again(self):
		for fault, expected in (("lost_after", 1), ("lost_before", 2)):
			recharge = self.low(VISA, MASTERCARD)
			getattr(self.stripe.faults, fault)()
			self.assertEqual(worker.carry_out(recharge), "waiting")
			self.stripe.control("forget_keys")
			frappe.db.sql(
				"UPDATE `tabRecharge Attempt` SET `created_at` = DATE_SUB(`created_at`, INTERVAL 25 HOUR) WHERE `recharge` = %s",
				recharge,
			)
			self.pass_time(recharge)
			self.assertEqual(worker.carry_out(recharge), "Succeeded")
			self.assert_paid_once(recharge)
			self.assertEqual(len(self.posts()), expected)

	def test_a_gateway_that_is_not_set_up_charges_nobody_and_pays_once_it_is(self):
		recharge = self.low(VISA, MASTERCARD)
		with patch.dict(frappe.local.conf, crm_recharge_stripe_secret_key="nonsense"):
			for _ in range(3):
				self.assertEqual(worker.carry_out(recharge), "waiting")
				self.pass_time(recharge)
		self.assertEqual(self.posts(), [])
		self.assertEqual(frappe.db.get_value("Auto-Recharge Setting", self.setting, "enabled"), 1)
		self.assertEqual(worker.carry_out(recharge), "waiting")
		self.pass_time(recharge)
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)

	def test_a_withdrawn_key_charges_nobody_and_blames_no_card(self):
		recharge = self.low(VISA)
		with patch.dict(frappe.local.conf, crm_recharge_stripe_secret_key="sk_test_wrong"):
			self.assertEqual(worker.carry_out(recharge), "waiting")
		self.assertEqual(frappe.db.get_value("Recharge Card", self.cards[0], "status"), "Active")
		for _ in range(4):
			self.pass_time(recharge)
			if worker.carry_out(recharge) == "Succeeded":
				break
		self.assert_paid_once(recharge)

	def test_a_capture_heard_of_after_the_failure_is_credited_once(self):
		"""The bank changes its mind, or a webhook comes late: the money has moved, so it is credited."""
		recharge = self.low(DECLINED)
		self.assertEqual(worker.carry_out(recharge), "Failed")
		intent = f"pi_{frappe.generate_hash(length=16)}"
		answer = Answer(
			Outcome.SUCCEEDED,
			intent=intent,
			amount=Decimal(460),
			currency="USD",
			customer=frappe.db.get_value("Credit Account", self.one, "gateway_customer"),
			metadata={"recharge": recharge},
		)

		def late():
			now = yield effects.Now()
			yield effects.LockAccount(self.one)
			view = yield effects.LockRecharge(recharge)
			word = yield from payment.settle(view, answer, now)
			yield effects.Commit()
			return word

		self.assertEqual([perform(late()), perform(late())], ["Succeeded", "already settled"])
		self.assertEqual(
			(self.value(recharge, "status"), self.value(recharge, "settled_intent")), ("Succeeded", intent)
		)
		self.assertEqual(frappe.db.get_value("Credit Account", self.one, "balance"), 500)
		self.assertEqual(len([row for row in entries(self.one) if row.entry_type == "Recharge"]), 1)
		self.assertEqual(frappe.db.get_value("Auto-Recharge Setting", self.setting, "enabled"), 0)


class TestRunsAndCrashes(WorkerTestCase):
	def test_two_workers_do_not_work_on_one_recharge(self):
		recharge = self.low(VISA)
		gateway, words = self.stripe.gateway(), []
		charge = gateway.charge

		def charge_meanwhile(**request):
			words.append(worker.carry_out(recharge))
			return charge(**request)

		gateway.charge = charge_meanwhile
		with patch("crm_recharge.gateway.registry.connect", lambda name: gateway):
			self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assertEqual(words, ["leased"])
		self.assert_paid_once(recharge)

	def test_the_sweeper_takes_what_is_due_and_free(self):
		recharge, now = self.low(VISA), now_datetime()
		for values, due in (
			({"status": "Queued"}, True),
			({"status": "Charging"}, True),
			({"status": "Charging", "lease_until": now + timedelta(minutes=5)}, False),
			({"status": "Charging", "lease_until": now - timedelta(seconds=1)}, True),
			({"status": "Charging", "next_try_at": now + timedelta(minutes=5)}, False),
			({"status": "Charging", "next_try_at": now - timedelta(seconds=1)}, True),
			({"status": "Succeeded"}, False),
			({"status": "Failed"}, False),
			({"status": "Action Required"}, False),
			({"status": "Cancelled"}, False),
			({"status": "Draft"}, False),
		):
			frappe.db.set_value("Recharge", recharge, {"lease_until": None, "next_try_at": None} | values)
			frappe.db.commit()
			self.assertEqual(self.swept_up(recharge), due, values)

	def test_those_that_fail_each_time_keep_no_other_out(self):
		poisoned = self.low(VISA)
		frappe.db.sql(
			"UPDATE `tabRecharge` SET `status` = 'Charging', `creation` = '2020-01-01', `lease_until` = %s WHERE `name` = %s",
			(now_datetime() - timedelta(seconds=1), poisoned),
		)
		fresh = self.low(VISA)
		frappe.db.sql("UPDATE `tabRecharge` SET `creation` = '2020-01-02' WHERE `name` = %s", fresh)
		frappe.db.commit()
		self.jobs.clear()
		sweep.sweep_kind("carry_out", 1)
		self.assertEqual([job["name"] for job in self.queued("carry_out")], [fresh])

	def test_one_that_cannot_be_ended_does_not_stop_the_others(self):
		ended = []
		for _ in range(2):
			recharge = self.low(ASKS_HOLDER)
			worker.carry_out(recharge)
			frappe.db.set_value("Recharge", recharge, "next_try_at", now_datetime() - timedelta(days=1))
			frappe.db.commit()
			ended.append(recharge)
		lock = Performer.lock_recharge

		def poisoned(self, effect):
			if effect.recharge == ended[0]:
				raise KeyError("poisoned")
			return lock(self, effect)

		with patch.object(Performer, "lock_recharge", poisoned):
			work_off("expire_action", *ended)
		self.assertEqual([self.value(name, "status") for name in ended], ["Action Required", "Failed"])
		self.assertTrue(frappe.db.exists("Error Log", {"reference_name": ended[0]}))

	def test_a_deadlock_is_got_over_at_once(self):
		recharge, post = self.low(VISA), ledger.post_payment
		failures = [
			frappe.QueryDeadlockError(1213, "Deadlock found"),
			frappe.QueryTimeoutError(1205, "Lock wait"),
		]

		def flaky(*args):
			if failures:
				raise failures.pop()
			return post(*args)

		with patch.object(ledger, "post_payment", flaky):
			self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)

	def test_an_error_leaves_it_to_the_sweeper(self):
		recharge = self.low(VISA)
		with patch.object(ledger, "post_payment", side_effect=KeyError("bug")), self.assertRaises(KeyError):
			worker.carry_out(recharge)
		frappe.db.commit()
		self.assertEqual((self.value(recharge, "status"), len(entries(self.one))), ("Charging", 2))
		self.assertFalse(self.swept_up(recharge))
		self.pass_time(recharge)
		self.assertTrue(self.swept_up(recharge))
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.assert_paid_once(recharge)

	def test_a_recharge_that_is_gone(self):
		self.assertEqual(worker.carry_out("RC-NONE"), "missing")

	def kill_before(self, recharge, step) -> bool:
		"""Carry it out in a process that is killed (SIGKILL) before its `step`-th effect; False if it ended before."""
		frappe.db.rollback()
		child = os.fork()
		if child == 0:
			try:
				self.run_until_killed(recharge, step)
			finally:
				os._exit(7)
		_, status = os.waitpid(child, 0)
		if os.WIFSIGNALED(status):
			return True
		self.assertEqual(os.WEXITSTATUS(status), 0, "the run failed")
		return False

	def run_until_killed(self, recharge, step):
		parents_connection = frappe.local.db  # kept: closing it would close the parent's
		site = frappe.local.site
		conf = self.gateway_conf()
		frappe.init(site=site, sites_path=frappe.local.sites_path, force=True)
		frappe.connect()
		frappe.local.conf.update(conf)
		do, steps = Performer.do, []

		def killed(self, effect):
			if len(steps) == step:
				os.kill(os.getpid(), signal.SIGKILL)
			steps.append(effect)
			return do(self, effect)

		Performer.do = killed
		worker.carry_out(recharge)
		assert parents_connection
		os._exit(0)

	def test_a_worker_may_be_killed_before_any_step(self):
		"""Every effect of a run with a fallback, and after each the rest by whoever comes next."""
		ended = False
		for step in range(200):
			recharge = self.low(DECLINED, VISA)
			if not self.kill_before(recharge, step):
				ended = True
				self.assert_paid_once(recharge)
				break
			self.pass_time(recharge)
			if self.value(recharge, "status") != "Succeeded":
				self.assertTrue(self.swept_up(recharge), f"killed before step {step}, nobody takes it up")
				self.assertEqual(worker.carry_out(recharge), "Succeeded", f"killed before step {step}")
			self.assert_paid_once(recharge)
		self.assertTrue(ended)
		self.assertGreater(step, 15)


class TestCardsOfOthers(WorkerTestCase):
	"""However a card of another account got onto a list, it is neither asked nor judged."""

	def setUp(self):
		super().setUp()
		self.other = self.account(100)
		# A card that would be taken for lost, were it asked.
		self.strange = self.card(self.other, LOST)
		frappe.db.commit()

	def list_strange(self) -> None:
		row = frappe.db.get_value("Auto-Recharge Card", {"parent": self.setting, "idx": 1})
		frappe.db.set_value("Auto-Recharge Card", row, "card", self.strange)
		frappe.db.commit()

	def left_alone(self, recharge: str) -> None:
		frappe.db.rollback()
		row = frappe.db.get_value("Recharge Card", self.strange, ["status", "status_reason"])
		self.assertEqual(row, ("Active", None))
		self.assertNotIn(self.method(self.strange), [card for _path, card, _key in self.posts()])

	def test_one_on_the_list_is_passed_over(self):
		recharge = self.low(VISA, MASTERCARD)
		self.list_strange()
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		self.left_alone(recharge)
		self.assertEqual(self.attempts(recharge, "card"), [self.cards[1]])

	def test_where_it_is_the_only_one_the_recharge_fails(self):
		recharge = self.low(VISA)
		self.list_strange()
		self.assertEqual(worker.carry_out(recharge), "Failed")
		self.left_alone(recharge)
		self.assertEqual(self.attempts(recharge, "card"), [])
		self.assertNotIn("4242", self.value(recharge, "failure_reason") or "")

	def test_nor_is_one_that_the_recharge_names(self):
		recharge = self.low(VISA)
		frappe.db.set_value("Recharge", recharge, "card", self.strange)
		frappe.db.commit()
		self.assertEqual(worker.carry_out(recharge), "Failed")
		self.left_alone(recharge)

	def test_nor_one_that_an_attempt_names(self):
		recharge = self.low(VISA)
		attempt = frappe.new_doc("Recharge Attempt")
		attempt.update({"recharge": recharge, "number": 1, "card": self.strange, "status": "Created"})
		attempt.update({"created_at": now_datetime(), "amount": 460, "currency": "USD"})
		attempt.flags.by_machine = True
		attempt.insert(set_name=payment.attempt_name(recharge, 1))
		frappe.db.commit()
		worker.carry_out(recharge)
		self.left_alone(recharge)
		self.assertEqual(self.attempts(recharge, "code")[0], "card_of_another_account")
		perform(iter_of(effects.UpdateCard(self.one, self.strange, "Permanently Declined", "lost")))
		self.left_alone(recharge)

	def test_the_daily_check_tells_of_it(self):
		recharge = self.low(VISA)
		self.list_strange()
		frappe.db.set_value("Recharge", recharge, "card", self.strange)
		frappe.db.commit()
		with patch.object(notices, "alert"):
			told = [b["what"] for b in audit.check_all(prove_chains=False) if b["account"] == self.one]
		self.assertTrue(any(f"lists card {self.strange}" in what for what in told), told)
		self.assertTrue(any(f"names card {self.strange}" in what for what in told), told)
		worker.carry_out(recharge)


def iter_of(*wanted):
	"""A machine that has just these effects."""
	yield from wanted
	yield effects.Commit()
