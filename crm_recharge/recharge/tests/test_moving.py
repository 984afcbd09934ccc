"""A copied or moved site asks the gateway for nothing before a person has said which it is; a copy leaves the
original's payments alone for good."""

import json
from decimal import Decimal
from unittest.mock import patch

import frappe

from crm_recharge.api import settings as api
from crm_recharge.credits.errors import InvalidRequestError
from crm_recharge.gateway import home
from crm_recharge.gateway.registry import connect
from crm_recharge.outbox import attempt, sweep
from crm_recharge.recharge import (
	by_hand,
	cards,
	catch_up,
	disputes,
	events,
	moving,
	reconcile,
	refunds,
	worker,
)
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import FAILS, GOOD
from crm_recharge.tests.support.work import due


class MovingCase(TakebackCase):
	def setUp(self):
		super().setUp()
		frappe.db.set_global(home.KEY, "")
		frappe.db.set_global(moving.TOLD, "")
		frappe.db.commit()
		self.addCleanup(self.forget)

	def forget(self):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		frappe.db.set_global(home.KEY, "")
		frappe.db.set_global(moving.TOLD, "")
		frappe.db.commit()

	def elsewhere(self, **changes):
		"""The database lies where it did not lie before."""
		home.settle_in()
		there = home.here() | (changes or {"place": "another folder"})
		return patch.object(home, "here", lambda: there)

	def asked(self) -> int:
		return len(self.stripe.log())


class TestHome(MovingCase):
	def test_a_site_is_at_home_until_its_database_lies_elsewhere(self):
		self.assertTrue(home.is_home(), "one that has not been used yet")
		before = home.site()
		home.settle_in()
		self.assertTrue(home.is_home())
		self.assertEqual(home.site(), before)
		for changes in ({"place": "x"}, {"database": "x"}, {"site": "x"}):
			with self.subTest(str(changes)), self.elsewhere(**changes):
				self.assertFalse(home.is_home())
		self.assertTrue(home.is_home())

	def test_two_processes_agree_on_the_first_id(self):
		self.assertEqual(home.site().id, home.site().id)
		self.assertTrue(home._mark())
		self.assertEqual(home._make_mark(frappe.get_site_path(home.MARK_FILE)), home._mark())

	def test_a_mark_that_cannot_be_kept_says_nothing(self):
		self.assertEqual(home._make_mark("/proc/nowhere"), "")


class TestAway(MovingCase):
	def test_nothing_is_asked_of_the_gateway_and_usage_goes_on(self):
		account, paid = self.paid("100")
		refund = self.refund(paid)
		low = self.account_with(GOOD)
		waiting = self.account_with(FAILS)
		recharge = self.use(waiting, 460)["recharge"]
		dispute = self.stripe.control("dispute", intent=self.intent(paid))
		event = f"evt_{frappe.generate_hash(length=16)}"
		frappe.get_doc(
			{
				"doctype": "Gateway Event",
				"name": event,
				"gateway": "Stripe",
				"event_type": "charge.dispute.created",
				"kind": "dispute",
				"status": "Received",
				"object_id": dispute["id"],
				"payload": json.dumps({"data": {"object": dispute}}),
			}
		).db_insert()
		frappe.db.commit()
		with self.elsewhere():
			asked = self.asked()
			self.assertEqual(worker.carry_out(recharge), "away")
			self.assertEqual(worker.close_up(recharge), "away")
			self.assertEqual(refunds.carry_out(refund), "away")
			self.assertEqual(events.process(event), "Received")
			self.assertFalse({"carry_out", "gateway_event", "refund"} & sweep.sweep().keys())
			self.assertEqual(attempt.run("carry_out", recharge), "away")
			self.assertEqual(reconcile.reconcile_recent(), {"away": True})
			self.assertEqual(catch_up.catch_up(), {"away": True})
			self.assertEqual(catch_up.follow_open_disputes(), {"away": True})
			with self.assertRaises(home.SiteAway):
				connect()
			with self.assertRaises(InvalidRequestError) as refused:
				cards.start_setup(low)
			self.assertEqual(refused.exception.code, "payments_rest")
			self.assertIn(frappe.local.site, str(refused.exception))
			self.assertTrue(self.use(low, 460)["recharge_started"])
			by_hand.start(account, 50, frappe.generate_hash())
			frappe.db.commit()
			self.assertEqual(self.asked(), asked)
		self.assertEqual(self.row("Recharge", recharge).status, "Queued")
		self.assertEqual(self.row("Recharge Refund", refund).status, "Held")
		# Confirmed or back where it was, everything goes on.
		self.assertEqual(worker.carry_out(recharge), "Failed")
		self.assertEqual(events.process(event), "Processed")

	def test_the_managers_are_told_once_and_others_learn_nothing_of_it(self):
		with self.elsewhere():
			self.assertTrue(moving.tell())
			self.assertFalse(moving.tell())
			self.assertEqual(due("tell_that_payments_rest"), [])
			self.assertFalse(moving.tell())
			self.assertIn(frappe.local.site, home.in_words())
			frappe.set_user(self.manager)
			self.assertFalse(api.site()["home"])
			with self.assertRaises(home.SiteAway) as told:
				connect()
			self.assertIn("CRM Recharge Settings", str(told.exception))
			frappe.set_user("Guest")
			with self.assertRaises(home.SiteAway) as told:
				connect()
			self.assertNotIn(frappe.local.site, str(told.exception))
		frappe.set_user("Administrator")
		self.assertTrue(api.site()["home"])
		with self.assertRaises(InvalidRequestError):
			api.confirm_site("moved")

	def test_moved_it_goes_on_with_what_it_had_under_way(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(recharge), "waiting")
		before = home.site().id
		with self.elsewhere(site="renamed.example", place="new folder"):
			with self.assertRaises(InvalidRequestError):
				api.confirm_site("anything")
			self.assertTrue(api.confirm_site("moved")["home"])
			self.assertEqual(home.site().id, before)
			(intent,) = [i for i in self.stripe.intents() if i["metadata"].get("recharge") == recharge]
			obj = {"id": intent["id"], "object": "payment_intent"}
			self.assertEqual(self.deliver("payment_intent.succeeded", obj), "Succeeded")
		self.assertEqual(self.row("Recharge", recharge).status, "Succeeded")


class TestCopy(MovingCase):
	def test_a_copy_touches_none_of_the_originals_payments(self):
		account, paid = self.paid("100")
		refund = self.refund(paid, "10")
		waiting = self.account_with(GOOD)
		lost = self.use(waiting, 460)["recharge"]
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(lost), "waiting")
		queued = self.use(self.account_with(GOOD), 460)["recharge"]
		balances = [self.balance(a) for a in (account, waiting)]
		original = home.site().id
		with self.elsewhere():
			counts = api.confirm_site("copy")
			self.assertTrue(counts["home"])
			self.assertNotEqual(home.site().id, original)
			for name in (lost, queued):
				self.assertEqual(self.row("Recharge", name).status, "Cancelled")
			self.assertEqual(self.row("Recharge Refund", refund).status, "Failed")
			self.assertIsNone(self.value("Credit Account", waiting, "open_recharge"))
			self.assertIsNone(self.value("Credit Account", waiting, "gateway_customer"))
			card = frappe.db.get_value("Recharge Card", {"credit_account": waiting})
			self.assertEqual(self.value("Recharge Card", card, "status"), "Unusable")
			self.assertFalse(
				frappe.db.get_value("Auto-Recharge Setting", {"credit_account": waiting}, "enabled")
			)
			frappe.db.commit()
			posts = [c for c in self.stripe.log() if c["method"] == "POST"]
			# All that the gateway may tell of, to both of them: nothing of it is worked on here.
			for intent in self.stripe.intents():
				obj = {"id": intent["id"], "object": "payment_intent"}
				word = self.deliver(f"payment_intent.{intent['status']}", obj)
				self.assertIn(word, ("of another site", "no handler for this type"))
			made = {"id": "re_x", "object": "refund", "payment_intent": self.intent(paid)}
			self.assertEqual(self.deliver("refund.created", made), "of another site")
			dispute = self.stripe.control("dispute", intent=self.intent(paid))
			self.assertEqual(self.deliver("charge.dispute.created", dispute), "of another site")
			self.assertEqual(disputes.warn("issfr_x", self.intent(paid)), "of another site")
			reconcile.reconcile_recent()
			catch_up.catch_up()
			for name in (lost, queued):
				worker.carry_out(name)
				worker.close_up(name)
			refunds.carry_out(refund)
			cards.remove(card)
			self.assertEqual([c for c in self.stripe.log() if c["method"] == "POST"], posts)
			self.assertEqual([self.balance(a) for a in (account, waiting)], balances)
			self.assertFalse(frappe.db.exists("Recharge Refund", {"recharge": lost}))

	def test_a_copy_makes_payments_of_its_own(self):
		account = self.account_with(GOOD, enabled=False)
		before = self.value("Credit Account", account, "gateway_customer")
		with self.elsewhere():
			api.confirm_site("copy")
			card = cards.save(account, self.stripe.make_card(cards.gateway_customer(account)))
			frappe.db.commit()
			self.assertNotEqual(self.value("Credit Account", account, "gateway_customer"), before)
			recharge = by_hand.start(account, 50, frappe.generate_hash(), card)["recharge"]
			frappe.db.commit()
			self.assertEqual(self.work(recharge), "Succeeded")

	def test_an_event_that_names_another_site_is_ignored_with_the_reason(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		for strange in ({"site": "other.example"}, {"site": frappe.local.site, "site_id": "another"}):
			customer = self.value("Credit Account", account, "gateway_customer")
			answer = self.stripe.gateway().charge(
				key=frappe.generate_hash(),
				amount=Decimal(460),
				currency="USD",
				customer=customer,
				payment_method=self.stripe.make_card(customer),
				metadata={"recharge": recharge, "account": account} | strange,
			)
			word = self.deliver("payment_intent.succeeded", {"id": answer.intent, "object": "payment_intent"})
			self.assertEqual(word, "of another site")
			event = frappe.get_last_doc("Gateway Event", {"object_id": answer.intent})
			self.assertEqual(event.status, "Ignored")
		self.assertEqual(self.row("Recharge", recharge).status, "Queued")
		self.assertEqual(self.balance(account), 40)
