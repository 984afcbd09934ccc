"""Webhooks: kept once, worked on in any order, never trusted for more than that something happened."""

import hashlib
import hmac
import json
import time
from decimal import Decimal

import frappe
from frappe.utils import add_days, now_datetime

from crm_recharge.gateway import inbox
from crm_recharge.gateway.errors import WebhookError
from crm_recharge.recharge import events, reconcile
from crm_recharge.tests.case import FAILS, GOOD, GOOD_TOO, WEBHOOK_SECRET, RechargeCase
from crm_recharge.tests.support.work import due


def sign(payload: bytes, secret: str = WEBHOOK_SECRET, at: float | None = None) -> str:
	stamp = int(at or time.time())
	digest = hmac.new(secret.encode(), f"{stamp}.".encode() + payload, hashlib.sha256).hexdigest()
	return f"t={stamp},v1={digest}"


class TestEvents(RechargeCase):
	def event(self, kind: str, obj: dict, **more) -> bytes:
		event = {
			"id": f"evt_{frappe.generate_hash(length=16)}",
			"object": "event",
			"type": kind,
			"created": int(time.time()),
			"livemode": False,
			"api_version": "2024-06-20",
			"data": {"object": obj},
		}
		return json.dumps(event | more).encode()

	def receive(self, payload: bytes) -> tuple[str, bool]:
		kept = inbox.receive(payload, {"Stripe-Signature": sign(payload)})
		frappe.db.commit()
		return kept

	def deliver(self, kind: str, obj: dict) -> dict:
		name, _ = self.receive(self.event(kind, obj))
		events.process(name)
		return frappe.db.get_value(
			"Gateway Event", name, ["status", "outcome", "tries", "error"], as_dict=True
		)

	def lost_payment(self) -> tuple[str, str, dict]:
		"""A recharge that was captured, but whose answer was lost. Returns account, recharge, intent."""
		account = self.account_with(GOOD, GOOD_TOO)
		recharge = self.use(account, 460)["recharge"]
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(recharge), "waiting")
		(intent,) = self.stripe.intents(
			self.value("Credit Account", account, "gateway_customer"), "succeeded"
		)
		self.assertEqual(self.value("Recharge", recharge, "status"), "Charging")
		return account, recharge, intent

	def test_a_lost_answer_is_settled_by_the_webhook_and_once(self):
		account, recharge, intent = self.lost_payment()
		done = self.deliver("payment_intent.succeeded", intent)
		self.assertEqual((done.status, done.outcome), ("Processed", "Succeeded"))
		self.assertEqual(self.value("Recharge", recharge, "settled_intent"), intent["id"])
		self.assertEqual(self.deliver("payment_intent.succeeded", intent).outcome, "already settled")
		self.assertEqual(self.work(recharge), "Succeeded")
		self.assertEqual(frappe.db.count("Credit Ledger", {"gateway_reference": intent["id"]}), 1)
		self.assertEqual(self.value("Recharge Attempt", f"{recharge}-1", "status"), "Succeeded")
		self.assertEqual(self.value("Credit Account", account, "balance"), 500)
		self.assert_books(account)

	def test_what_an_event_claims_is_not_believed(self):
		"""An old or forged body that says succeeded settles nothing: the gateway is asked."""
		account = self.account_with(FAILS)
		recharge = self.use(account, 460)["recharge"]
		self.work(recharge)
		(intent,) = self.stripe.intents(self.value("Credit Account", account, "gateway_customer"))
		self.deliver("payment_intent.succeeded", intent | {"status": "succeeded", "amount_received": 46000})
		self.assertEqual(self.value("Recharge", recharge, "status"), "Failed")
		self.assertEqual(self.value("Credit Account", account, "balance"), 40)

	def test_success_after_failure_still_settles(self):
		account, recharge, intent = self.lost_payment()
		frappe.db.set_value(
			"Recharge", recharge, {"status": "Failed", "lease_owner": None, "lease_until": None}
		)
		frappe.db.sql("UPDATE `tabCredit Account` SET `open_recharge` = NULL WHERE `name` = %s", account)
		frappe.db.commit()
		self.deliver("payment_intent.succeeded", intent)
		self.assertEqual(self.value("Recharge", recharge, "status"), "Succeeded")
		self.assert_books(account)

	def test_the_same_event_twice_is_kept_once(self):
		payload = self.event("payment_intent.succeeded", {"id": "pi_nobody", "object": "payment_intent"})
		name, new = self.receive(payload)
		self.assertTrue(new)
		self.assertEqual(self.receive(payload), (name, False))

	def test_other_peoples_and_unknown_events_are_ignored(self):
		customer = self.stripe.make_customer()
		answer = self.stripe.gateway().charge(
			key=frappe.generate_hash(),
			amount=Decimal("10"),
			currency="USD",
			customer=customer,
			payment_method=self.stripe.make_card(customer),
		)
		done = self.deliver("payment_intent.succeeded", {"id": answer.intent, "object": "payment_intent"})
		self.assertEqual((done.status, done.outcome), ("Ignored", "not ours"))
		self.assertEqual(
			self.deliver("invoice.created", {"id": "in_1", "object": "invoice"}).status, "Ignored"
		)

	def test_a_failure_is_kept_with_its_traceback_and_tried_again(self):
		account, recharge, intent = self.lost_payment()
		self.stripe.faults.error_before("GET /v1/payment_intents/*", count=1)
		name, _ = self.receive(self.event("payment_intent.succeeded", intent))
		events.process(name)
		row = frappe.db.get_value(
			"Gateway Event", name, ["status", "tries", "error", "next_try_at"], as_dict=True
		)
		self.assertEqual((row.status, row.tries), ("Failed", 1))
		self.assertIn("NotYet", row.error)
		self.assertIsNotNone(row.next_try_at)
		events.process(name)
		self.assertEqual(self.value("Gateway Event", name, "status"), "Processed")
		self.assertEqual(self.value("Recharge", recharge, "status"), "Succeeded")

	def test_signature(self):
		payload = self.event("payment_intent.succeeded", {"id": "pi_1", "object": "payment_intent"})
		before = frappe.db.count("Gateway Event")
		for signature in (
			None,
			"",
			sign(payload, "whsec_other"),
			sign(payload + b" "),
			sign(payload, at=time.time() - 600),
			"t=1,v1=00",
		):
			with self.assertRaises(WebhookError):
				inbox.receive(payload, {"Stripe-Signature": signature} if signature else {})
		self.assertEqual(frappe.db.count("Gateway Event"), before)

	def test_a_body_of_odd_kinds_is_refused_or_kept_and_never_an_error(self):
		from crm_recharge.gateway.errors import UnreadablePayload

		deep = {}
		for _ in range(600):
			deep = {"a": deep}
		odd = {"id": "pi_odd", "object": ["payment_intent"], "payment_intent": {"id": "pi_1\x00"}}
		for created in (1e300, float("nan"), "yesterday", True, None, -1e18):
			payload = self.event("charge.refunded", odd, created=created, api_version=7)
			name, new = self.receive(payload)
			self.assertTrue(new)
			self.assertIn(events.process(name), ("Processed", "Ignored"))
		for bad in (
			self.event("x.y", {"id": "pi_1", "object": "x", "deep": deep}),
			self.event("x.y", {}, id="evt\x00"),
		):
			try:
				self.receive(bad)
			except UnreadablePayload:
				frappe.db.rollback()
		self.assertFalse(frappe.db.exists("Gateway Event", {"name": ["like", "evt\x00%"]}))

	def test_secrets_are_not_kept(self):
		obj = {
			"id": "pi_1",
			"object": "payment_intent",
			"client_secret": "pi_1_secret_abc",
			"note": "4242424242424242",
		}
		name, _ = self.receive(self.event("payment_intent.processing", obj))
		payload = frappe.db.get_value("Gateway Event", name, "payload")
		self.assertNotIn("secret_abc", payload)
		self.assertNotIn("4242424242424242", payload)

	def test_a_card_renewed_by_the_bank_is_usable_again(self):
		account = self.account_with(GOOD)
		card = frappe.db.get_value(
			"Recharge Card", {"credit_account": account}, ["name", "payment_method"], as_dict=True
		)
		frappe.db.set_value("Recharge Card", card.name, {"status": "Expired", "exp_year": 2020})
		frappe.db.commit()
		self.stripe.control("update_card", payment_method=card.payment_method, exp_month=12, exp_year=2040)
		self.deliver(
			"payment_method.automatically_updated", {"id": card.payment_method, "object": "payment_method"}
		)
		row = frappe.db.get_value("Recharge Card", card.name, ["status", "exp_year"])
		self.assertEqual(tuple(row), ("Active", 2040))

	def test_a_detached_card_is_removed(self):
		account = self.account_with(GOOD)
		card = frappe.db.get_value(
			"Recharge Card", {"credit_account": account}, ["name", "payment_method"], as_dict=True
		)
		self.stripe.gateway().detach(card.payment_method)
		self.deliver("payment_method.detached", {"id": card.payment_method, "object": "payment_method"})
		self.assertEqual(self.value("Recharge Card", card.name, "status"), "Removed")

	def test_sweep_finds_what_no_job_took(self):
		name, _ = self.receive(self.event("invoice.created", {"id": "in_2", "object": "invoice"}))
		frappe.db.set_value("Gateway Event", name, "creation", "2026-01-01", update_modified=False)
		frappe.db.commit()
		self.assertIn(name, due("gateway_event"))


class TestReconcile(RechargeCase):
	def test_missed_captures_are_settled_and_strays_refunded(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.work(recharge)
		counts = reconcile.reconcile_recent()
		self.assertEqual(counts.get("settle"), 1)
		self.assertEqual(self.value("Recharge", recharge, "status"), "Succeeded")
		self.assertEqual(reconcile.reconcile_recent().get("settle"), None)
		kinds = frappe.get_all("Gateway Difference", {"recharge": recharge}, pluck="kind")
		self.assertEqual(kinds, ["settle"])
		self.assert_books(account)

	def test_a_ledger_that_disagrees_with_the_gateway_is_listed(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		self.work(recharge)
		intent = self.value("Recharge", recharge, "settled_intent")
		frappe.db.sql("UPDATE `tabCredit Ledger` SET `amount` = 1 WHERE `gateway_reference` = %s", intent)
		frappe.db.commit()
		self.assertEqual(reconcile.reconcile_recent().get("amount_differs"), 1)
		row = frappe.get_last_doc("Gateway Difference", {"intent": intent})
		self.assertEqual((row.kind, row.status), ("amount_differs", "Open"))
		self.assertIn("captured 460", row.explanation)
		frappe.db.sql("UPDATE `tabCredit Ledger` SET `amount` = 460 WHERE `gateway_reference` = %s", intent)
		frappe.db.commit()

	def test_a_gateway_that_is_down_is_reported(self):
		self.stripe.faults.error_before("GET /v1/payment_intents", count=None)
		self.assertTrue(reconcile.reconcile_recent().get("incomplete"))


class TestClearing(RechargeCase):
	def test_old_events_that_are_done_with_are_cleared_and_no_others(self):
		from crm_recharge.gateway.doctype.gateway_event.gateway_event import GatewayEvent

		names = {}
		for status, days in (
			("Processed", 100),
			("Ignored", 100),
			("Failed", 100),
			("Received", 100),
			("Processed", 10),
		):
			name = f"evt_{frappe.generate_hash(length=16)}"
			frappe.db.sql(
				"INSERT INTO `tabGateway Event` (`name`, `creation`, `modified`, `status`) VALUES (%s, %s, NOW(), %s)",
				(name, add_days(now_datetime(), -days), status),
			)
			names[status, days] = name
		GatewayEvent.clear_old_logs(days=90)
		left = {key for key, name in names.items() if frappe.db.exists("Gateway Event", name)}
		self.assertEqual(left, {("Failed", 100), ("Received", 100), ("Processed", 10)})
		self.assertEqual(frappe.get_hooks("default_log_clearing_doctypes")["Gateway Event"], [90])
