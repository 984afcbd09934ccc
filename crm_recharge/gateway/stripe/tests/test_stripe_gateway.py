import json
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from unittest.mock import patch

import stripe

from crm_recharge.domain.answers import DeclineClass, Outcome, RefundOutcome
from crm_recharge.gateway.errors import GatewayError, GatewayUnavailable
from crm_recharge.gateway.stripe import gateway as stripe_gateway
from crm_recharge.gateway.stripe.gateway import StripeGateway
from crm_recharge.gateway.stripe.tests.contract import Contract
from crm_recharge.gateway.tests.conformance import Calls
from crm_recharge.tests.support.stripe_stand_in import KEY_WITHOUT_RIGHTS, StandIn

CREATE = "POST /v1/payment_intents"


class OnStandIn(Calls):
	@classmethod
	def setUpClass(cls):
		cls.stripe = StandIn().start()
		cls.gateway = cls.stripe.gateway(timeout=3)
		cls.bad_key_gateway = cls.stripe.gateway(key="sk_test_wrong")

	@classmethod
	def tearDownClass(cls):
		cls.stripe.stop()

	def setUp(self):
		self.stripe.control("reset")
		self.customer = self.stripe.make_customer()

	def saved(self, number="4242424242424242", **more) -> str:
		return self.stripe.make_card(self.customer, number, **more)

	def captured(self) -> Decimal:
		return self.stripe.captured_total(self.customer)


class TestContract(Contract, OnStandIn, unittest.TestCase):
	def saved(self, kind: str) -> str:
		if kind == "delayed":
			self.stripe.faults.processing(60)
			kind = "good"
		return super().saved(kind)


class TestDeclines(OnStandIn, unittest.TestCase):
	def test_each_kind_of_decline(self):
		for number, code, decline_class in (
			("4000000000000002", "generic_decline", DeclineClass.TRY_LATER),
			("4000000000009995", "insufficient_funds", DeclineClass.TRY_LATER),
			("4000000000009987", "lost_card", DeclineClass.PERMANENT),
			("4000000000009979", "stolen_card", DeclineClass.PERMANENT),
			("4000000000000069", "expired_card", DeclineClass.EXPIRED),
			("4000000000000127", "incorrect_cvc", DeclineClass.TRY_LATER),
			("4000000000000119", "processing_error", DeclineClass.TRY_LATER),
			("4000000000006975", "card_velocity_exceeded", DeclineClass.TRY_LATER),
			("4100000000000019", "fraudulent", DeclineClass.FRAUD),
			("4000008260003178", "insufficient_funds", DeclineClass.TRY_LATER),
		):
			with self.subTest(code=code):
				card = self.saved(number)
				answer = self.charge(card)
				self.assertIs(answer.outcome, Outcome.DECLINED)
				self.assertEqual((answer.code, answer.decline_class), (code, decline_class))
				self.assertTrue(answer.intent and answer.charge and answer.intent_open)
				self.assertEqual((answer.payment_method, answer.amount), (card, Decimal("12.34")))
				seen = self.gateway.retrieve(answer.intent)
				self.assertEqual(
					(seen.outcome, seen.code, seen.decline_class, seen.payment_method),
					(answer.outcome, answer.code, answer.decline_class, card),
				)
		self.assertEqual(self.captured(), 0)

	def test_past_its_date(self):
		answer = self.charge(self.saved(exp_month=1, exp_year=2020))
		self.assertEqual((answer.code, answer.decline_class), ("expired_card", DeclineClass.EXPIRED))

	def test_risk_is_reported(self):
		self.assertEqual(self.charge(self.saved("4000000000009235")).risk_level, "elevated")

	def test_a_bank_account_is_not_charged(self):
		account = self.stripe.make_bank_account(self.customer)
		answer = self.charge(account)
		self.assertIs(answer.outcome, Outcome.ERROR)
		self.assertEqual(self.gateway.retrieve_card(account).kind, "us_bank_account")
		self.assertEqual(self.gateway.list_cards(self.customer), [])

	def test_authentication_only_where_the_bank_asks(self):
		answer = self.charge(self.saved("4000002500003155"))
		self.assertIs(answer.outcome, Outcome.NEEDS_AUTHENTICATION)
		self.assertIs(self.charge(self.saved("4000002500003155", setup=True)).outcome, Outcome.SUCCEEDED)

	def test_a_payment_resumed_by_its_card_holder(self):
		key = self.new_key()
		card = self.saved("4000002760003184")
		answer = self.charge(card, key=key)
		self.stripe.control("confirm", intent=answer.intent, payment_method=card)
		self.assertIs(self.gateway.retrieve(answer.intent).outcome, Outcome.NEEDS_AUTHENTICATION)
		self.stripe.control("authenticate", intent=answer.intent)
		self.assertIs(self.gateway.retrieve(answer.intent).outcome, Outcome.SUCCEEDED)
		# Stripe only repeats the refusal under the old key: it must not pass for the truth
		self.assertIs(self.charge(card, key=key).outcome, Outcome.SUCCEEDED)
		self.assertEqual(self.captured(), Decimal("12.34"))

	def test_a_card_holder_who_fails_the_bank(self):
		answer = self.charge(self.saved("4000002760003184"), off_session=False)
		self.stripe.control("authenticate", intent=answer.intent, success=False)
		seen = self.gateway.retrieve(answer.intent)
		self.assertEqual(
			(seen.outcome, seen.code, seen.decline_class, seen.intent_open),
			(Outcome.DECLINED, "payment_intent_authentication_failure", DeclineClass.AUTHENTICATION, True),
		)


class TestUnknown(OnStandIn, unittest.TestCase):
	"""Time-outs, lost answers and errors of the server are not declines, and the same key never charges twice."""

	def twice(self, *, after_first: int, code: str | tuple, retry_after=None):
		card, key = self.saved(), self.new_key()
		first = self.charge(card, key=key)
		self.assertIs(first.outcome, Outcome.UNKNOWN)
		self.assertIn(first.code, code if isinstance(code, tuple) else (code,))
		self.assertTrue(first.intent_open)
		self.assertEqual(first.retry_after, retry_after)
		self.assertIsNone(first.decline_class)
		self.assertEqual(first.payment_method, card)
		self.assertEqual(len(self.stripe.intents(self.customer, "succeeded")), after_first)
		second = self.charge(card, key=key)
		self.assertIs(second.outcome, Outcome.SUCCEEDED)
		self.assertEqual(self.captured(), Decimal("12.34"))

	def test_connection_lost_before_anything_happened(self):
		self.stripe.faults.lost_before()
		self.twice(after_first=0, code="connection_error")

	def test_connection_lost_after_it_happened(self):
		self.stripe.faults.lost_after()
		self.twice(after_first=1, code="connection_error")

	def test_5xx_before(self):
		for status in (500, 502, 503, 504):
			with self.subTest(status=status):
				self.setUp()
				self.stripe.faults.error_before(status=status)
				self.twice(after_first=0, code="api_error")

	def test_5xx_after_without_a_kept_answer(self):
		self.stripe.faults.error_after(sticky=False)
		self.twice(after_first=1, code="api_error")

	def test_5xx_after_that_the_key_keeps_bringing_back(self):
		self.stripe.faults.error_after()
		self.twice(after_first=1, code="api_error")

	def test_a_kept_5xx_that_left_no_payment(self):
		key = self.new_key()
		card = self.saved()
		with patch.object(stripe_gateway.StripeGateway, "find_by_attempt", return_value=None) as looked:
			self.stripe.faults.error_after()
			self.charge(card, key=key)
			answer = self.charge(card, key=key)
		self.assertEqual(looked.call_args.args[:2], (key, self.customer))
		self.assertEqual(
			(answer.outcome, answer.code, answer.intent_open), (Outcome.ERROR, "replayed_error", False)
		)

	def test_a_kept_5xx_that_cannot_be_looked_behind(self):
		card, key = self.saved(), self.new_key()
		self.stripe.faults.error_after()
		self.charge(card, key=key)
		self.stripe.faults.error_before("GET /v1/payment_intents")
		self.assertIs(self.charge(card, key=key).outcome, Outcome.UNKNOWN)
		self.assertIs(self.charge(card, key=key).outcome, Outcome.SUCCEEDED)
		self.assertEqual(self.captured(), Decimal("12.34"))

	def test_other_content_that_cannot_be_looked_behind(self):
		card, key = self.saved(), self.new_key()
		self.charge(card, key=key)
		self.stripe.faults.lost_before("GET /v1/payment_intents")
		self.assertIs(self.charge(card, "99.99", key=key).outcome, Outcome.UNKNOWN)

	def test_too_many_requests(self):
		self.stripe.faults.rate_limit(retry_after=7)
		self.twice(after_first=0, code="rate_limit", retry_after=7.0)

	def test_the_key_is_in_use(self):
		self.stripe.faults.conflict()
		self.twice(after_first=0, code="idempotency_key_in_use")

	def test_no_connection(self):
		card, key = self.saved(), self.new_key()
		self.stripe.faults.refuse(0.6)
		answer = self.charge(card, key=key)
		self.assertEqual((answer.outcome, answer.code), (Outcome.UNKNOWN, "connection_error"))
		time.sleep(0.8)
		self.assertIs(self.charge(card, key=key).outcome, Outcome.SUCCEEDED)

	def test_too_slow(self):
		gateway, card, key = self.stripe.gateway(timeout=0.4), self.saved(), self.new_key()
		content = {"amount": Decimal(5), "currency": "USD", "customer": self.customer, "payment_method": card}
		self.stripe.faults.slow(1.2)
		started = time.monotonic()
		answer = gateway.charge(key=key, **content)
		self.assertLess(time.monotonic() - started, 1.1)
		self.assertEqual(
			(answer.outcome, answer.code, answer.intent_open), (Outcome.UNKNOWN, "timeout", True)
		)
		# the first request is still at work under this key
		answer = gateway.charge(key=key, **content)
		self.assertEqual((answer.outcome, answer.code), (Outcome.UNKNOWN, "idempotency_key_in_use"))
		time.sleep(1.2)
		self.assertIs(gateway.charge(key=key, **content).outcome, Outcome.SUCCEEDED)
		self.assertEqual(self.captured(), 5)

	def test_processing_is_followed_to_its_end_under_the_same_key(self):
		for number, end in (("4242424242424242", Outcome.SUCCEEDED), ("4000000000009995", Outcome.DECLINED)):
			with self.subTest(end=end):
				card, key = self.saved(number), self.new_key()
				self.stripe.faults.processing(0.4)
				answer = self.charge(card, key=key)
				self.assertEqual(
					(answer.outcome, answer.code, answer.intent_open), (Outcome.PENDING, "processing", True)
				)
				self.assertTrue(answer.intent)
				stuck = self.gateway.cancel(answer.intent)
				self.assertEqual((stuck.outcome, stuck.code), (Outcome.PENDING, "processing"))
				self.assertIs(self.charge(card, key=key).outcome, Outcome.PENDING)
				time.sleep(0.6)
				# the kept answer still says processing
				self.assertIs(self.charge(card, key=key).outcome, end)

	def test_answers_nobody_can_read(self):
		card = self.saved()
		for status, body in (
			(200, "<html>maintenance</html>"),
			(200, ""),
			(200, {}),
			(200, {"id": "pi_1", "object": "payment_intent"}),
			(
				200,
				{
					"id": "pi_1",
					"object": "payment_intent",
					"status": "succeeded",
					"currency": "usd",
					"amount": 1,
				},
			),
			(200, []),
			(200, "null"),
			(200, '"text"'),
			(400, []),
			(400, {"error": "invalid_request"}),
			(402, {"error": {"type": "card_error", "payment_intent": {"id": "pi_1", "status": "succeeded"}}}),
			(502, "<html>bad gateway</html>"),
			(402, {"error": {"type": "card_error", "code": "card_declined", "message": "declined"}}),
			(402, {"error": {"type": "card_error", "code": "card_declined", "payment_intent": "pi_1"}}),
			(400, "nonsense"),
			(402, "nonsense"),
			(403, "<html>blocked by the proxy</html>"),
			(307, {"error": {"type": "api_error", "message": "elsewhere"}}),
		):
			with self.subTest(status=status, body=body):
				self.stripe.faults.respond(status, body)
				answer = self.charge(card)
				self.assertIs(answer.outcome, Outcome.UNKNOWN)
				self.assertTrue(answer.code)
		self.assertEqual(self.captured(), 0)

	def test_statuses_without_a_decision(self):
		card = self.saved()
		for status in ("requires_capture", "requires_confirmation", "requires_payment_method", "new_one"):
			body = {
				"id": "pi_9",
				"object": "payment_intent",
				"status": status,
				"amount": 100,
				"currency": "usd",
			}
			self.stripe.faults.respond(200, body)
			answer = self.charge(card)
			self.assertEqual(
				(answer.outcome, answer.code, answer.intent_open, answer.intent),
				(Outcome.UNKNOWN, status, True, "pi_9"),
			)

	def test_a_card_error_over_an_intent_that_is_paid(self):
		card = self.saved()
		for status, outcome, still_open in (
			("succeeded", Outcome.SUCCEEDED, False),
			("canceled", Outcome.CANCELLED, False),
			("requires_action", Outcome.NEEDS_AUTHENTICATION, True),
			("processing", Outcome.PENDING, True),
		):
			intent = {"id": "pi_9", "object": "payment_intent", "status": status, "amount": 100}
			intent |= {"amount_received": 100, "currency": "usd"}
			error = {"type": "card_error", "code": "card_declined", "message": "no", "payment_intent": intent}
			self.stripe.faults.respond(402, {"error": error})
			answer = self.charge(card)
			self.assertEqual((answer.outcome, answer.intent_open), (outcome, still_open))

	def test_a_refused_request_over_an_open_intent_says_so(self):
		intent = {"id": "pi_9", "object": "payment_intent", "status": "requires_payment_method", "amount": 1}
		error = {"type": "invalid_request_error", "code": "x", "message": "no", "payment_intent": intent}
		self.stripe.faults.respond(400, {"error": error})
		answer = self.charge(self.saved())
		self.assertEqual((answer.outcome, answer.intent, answer.intent_open), (Outcome.ERROR, "pi_9", True))

	def test_refusals_of_the_request(self):
		card = self.saved()
		for status, error, code in (
			(400, {"type": "invalid_request_error", "message": "no"}, "invalid_request"),
			(
				400,
				{"type": "invalid_request_error", "code": "parameter_unknown", "message": "no"},
				"parameter_unknown",
			),
			(401, {"type": "invalid_request_error", "message": "no"}, "authentication_failure"),
			(403, {"type": "invalid_request_error", "message": "no"}, "permission_denied"),
			(404, {"type": "invalid_request_error", "message": "no"}, "invalid_request"),
		):
			with self.subTest(status=status, code=code):
				self.stripe.faults.respond(status, {"error": error})
				answer = self.charge(card)
				self.assertEqual((answer.outcome, answer.code), (Outcome.ERROR, code))
				self.assertFalse(answer.intent_open)
				self.assertIsNone(answer.decline_class)

	def test_limits_in_disguise(self):
		card = self.saved()
		for status, code, said in (
			(400, "rate_limit", "rate_limit"),
			(429, None, "rate_limit"),
			(429, "lock_timeout", "lock_timeout"),
			(400, "lock_timeout", "lock_timeout"),
			(409, None, "conflict"),
		):
			with self.subTest(status=status, code=code):
				error = {"type": "invalid_request_error", "message": "no"} | ({"code": code} if code else {})
				self.stripe.faults.respond(status, {"error": error})
				answer = self.charge(card)
				self.assertEqual((answer.outcome, answer.code), (Outcome.UNKNOWN, said))

	def test_a_key_without_rights(self):
		gateway = self.stripe.gateway(key=KEY_WITHOUT_RIGHTS)
		answer = gateway.charge(
			key="k", amount=Decimal(5), currency="USD", customer=self.customer, payment_method=self.saved()
		)
		self.assertEqual((answer.outcome, answer.code), (Outcome.ERROR, "more_permissions_required"))

	def test_cancelling_blindly(self):
		declined = self.charge(self.saved("4000000000009995"))
		route = "POST /v1/payment_intents/*/cancel"
		self.stripe.faults.lost_before(route)
		self.assertIs(self.gateway.cancel(declined.intent).outcome, Outcome.UNKNOWN)
		self.stripe.faults.lost_after(route)
		self.assertIs(self.gateway.cancel(declined.intent).outcome, Outcome.UNKNOWN)
		self.assertIs(self.gateway.cancel(declined.intent).outcome, Outcome.CANCELLED)

	def test_one_payment_from_many_at_once(self):
		card, key = self.saved(), self.new_key()
		answers = []

		def ask():
			answers.append(
				self.stripe.gateway().charge(
					key=key, amount=Decimal(5), currency="USD", customer=self.customer, payment_method=card
				)
			)

		self.stripe.faults.slow(0.2)
		threads = [threading.Thread(target=ask) for _ in range(8)]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join()
		outcomes = [answer.outcome for answer in answers]
		self.assertEqual(len(outcomes), 8)
		self.assertIn(Outcome.SUCCEEDED, outcomes)
		self.assertLessEqual(set(outcomes), {Outcome.SUCCEEDED, Outcome.UNKNOWN})
		self.assertEqual(self.captured(), 5)


class TestLookingUp(OnStandIn, unittest.TestCase):
	def setUp(self):
		super().setUp()
		self.since = datetime.now(timezone.utc) - timedelta(minutes=1)

	def test_every_page_is_read(self):
		card = self.saved("4000000000009995")
		key = self.new_key()
		self.charge(card, key=key)
		for _ in range(7):
			self.charge(card)
		with patch.object(stripe_gateway, "PAGE", 3):
			self.assertIs(
				self.gateway.find_by_attempt(key, self.customer, self.since).outcome, Outcome.DECLINED
			)
			self.assertIsNone(self.gateway.find_by_attempt("no such", self.customer, self.since))
			self.assertEqual(len(list(self.gateway.intents_since(self.since))), 8)
			pages = [
				e for e in self.stripe.log() if e["method"] == "GET" and e["path"] == "/v1/payment_intents"
			]
			self.assertEqual(len(pages), 9)

	def test_a_page_that_fails_is_not_the_end(self):
		key = self.new_key()
		card = self.saved()
		self.charge(card, key=key)
		for _ in range(5):
			self.charge(card)
		with patch.object(stripe_gateway, "PAGE", 2):
			for fault in ("lost_before", "error_before", "rate_limit"):
				self.stripe.faults.add(fault, "GET /v1/payment_intents", skip=1)
				found = self.gateway.find_by_attempt(key, self.customer, self.since)
				self.assertIs(found.outcome, Outcome.UNKNOWN)
				self.assertIsNone(found.intent)
				self.stripe.faults.add(fault, "GET /v1/payment_intents", skip=1)
				with self.assertRaises(GatewayUnavailable):
					list(self.gateway.intents_since(self.since))
			self.stripe.faults.respond(
				200, {"object": "list", "has_more": True, "data": []}, "GET /v1/payment_intents"
			)
			self.assertIs(
				self.gateway.find_by_attempt(key, self.customer, self.since).outcome, Outcome.UNKNOWN
			)
			for body in ({}, {"object": "list", "has_more": False, "data": {}}, {"has_more": False}):
				self.stripe.faults.respond(200, body, "GET /v1/payment_intents")
				found = self.gateway.find_by_attempt(key, self.customer, self.since)
				self.assertIs(found.outcome, Outcome.UNKNOWN)

	def test_a_question_that_is_refused(self):
		for found in (
			self.bad_key_gateway.find_by_attempt("k", self.customer, self.since),
			self.bad_key_gateway.find_by_recharge("RC-1", (self.customer,), self.since),
		):
			self.assertEqual((found.outcome, found.code), (Outcome.ERROR, "authentication_failure"))

	def test_a_search_that_is_cut_off_is_no_empty_one(self):
		self.stripe.faults.error_before("GET /v1/payment_intents")
		found = self.gateway.find_by_recharge("RC-1", (self.customer,), self.since)
		self.assertIs(found.outcome, Outcome.UNKNOWN)

	def test_what_a_customer_paid_before_it_was_deleted_is_found(self):
		key, card = self.new_key(), self.saved()
		self.stripe.faults.lost_after(CREATE)
		self.assertIs(self.charge(card, key=key).outcome, Outcome.UNKNOWN)
		self.stripe.control("delete_customer", customer=self.customer)
		self.assertIs(self.charge(card, key=key).outcome, Outcome.SUCCEEDED)
		# The gateway has forgotten the key meanwhile, or it was asked with other content.
		answer = self.gateway.charge(
			key=key,
			amount=Decimal(13),
			currency="USD",
			customer=self.customer,
			payment_method=card,
		)
		self.assertIs(answer.outcome, Outcome.SUCCEEDED)
		self.assertEqual(self.captured(), Decimal("12.34"))

	def test_a_deleted_customer_is_charged_nothing(self):
		card = self.saved()
		self.stripe.control("delete_customer", customer=self.customer)
		answer = self.charge(card)
		self.assertEqual((answer.outcome, answer.code), (Outcome.DECLINED, "customer_gone"))
		self.assertEqual(self.captured(), 0)

	def test_the_captured_one_of_several(self):
		"""A key used again after Stripe forgot it: the payment that took the money is the answer."""
		key, card = self.new_key(), self.saved()
		paid = self.charge(card, key=key)
		self.stripe.control("forget_keys")
		self.stripe.control("set_card", payment_method=card, number="4000000000009995")
		self.charge(card, key=key)
		found = self.gateway.find_by_attempt(key, self.customer, self.since)
		self.assertEqual((found.outcome, found.intent), (Outcome.SUCCEEDED, paid.intent))

	def test_times_without_a_zone_are_refused(self):
		with self.assertRaises(ValueError):
			self.gateway.find_by_attempt("k", self.customer, datetime(2026, 1, 1))


class TestMoneyBack(OnStandIn, unittest.TestCase):
	def test_a_refund_whose_answer_is_lost(self):
		for fault, after in (("lost_before", 0), ("lost_after", 1), ("error_before", 0), ("error_after", 1)):
			with self.subTest(fault):
				paid, key = self.charge(self.saved(), "20.00"), self.new_key()
				self.stripe.faults.add(fault, "POST /v1/refunds")
				first = self.refund(paid.intent, "5.00", key=key)
				self.assertIs(first.outcome, RefundOutcome.UNKNOWN)
				self.assertEqual(len(self.stripe.all("refund", payment_intent=paid.intent)), after)
				second = self.refund(paid.intent, "5.00", key=key)
				self.assertIs(second.outcome, RefundOutcome.SUCCEEDED)
				self.assertEqual(len(self.stripe.all("refund", payment_intent=paid.intent)), 1)

	def test_too_many_requests(self):
		paid = self.charge(self.saved())
		self.stripe.faults.rate_limit("POST /v1/refunds", retry_after=3)
		answer = self.refund(paid.intent, "1.00")
		self.assertEqual((answer.outcome, answer.retry_after), (RefundOutcome.UNKNOWN, 3.0))

	def test_a_kept_5xx_that_left_no_refund(self):
		paid, key = self.charge(self.saved(), "20.00"), self.new_key()
		self.stripe.faults.error_after("POST /v1/refunds")
		self.refund(paid.intent, "5.00", key=key)
		with patch.object(stripe_gateway.StripeGateway, "list_refunds", return_value=[]):
			answer = self.refund(paid.intent, "5.00", key=key)
		self.assertEqual((answer.outcome, answer.code), (RefundOutcome.REFUSED, "replayed_error"))
		self.stripe.faults.lost_before("GET /v1/refunds")
		self.assertIs(self.refund(paid.intent, "5.00", key=key).outcome, RefundOutcome.UNKNOWN)

	def test_a_key_used_for_something_else(self):
		paid, key = self.charge(self.saved()), self.new_key()
		self.gateway.create_customer(key=key, name="Somebody")
		answer = self.refund(paid.intent, "1.00", key=key)
		self.assertEqual((answer.outcome, answer.code), (RefundOutcome.REFUSED, "idempotency_error"))

	def test_answers_nobody_can_read(self):
		paid = self.charge(self.saved())
		for status, body in ((200, {}), (200, "<html>"), (502, "<html>")):
			self.stripe.faults.respond(status, body, "POST /v1/refunds")
			self.assertIs(self.refund(paid.intent, "1.00").outcome, RefundOutcome.UNKNOWN)

	def test_a_refund_that_fails_later(self):
		paid, key = self.charge(self.saved("4000000000005126")), self.new_key()
		first = self.refund(paid.intent, "12.34", key=key)
		self.assertIs(first.outcome, RefundOutcome.SUCCEEDED)
		self.stripe.control("finish_refund", refund=first.refund)
		failed = self.gateway.retrieve_refund(first.refund)
		self.assertEqual((failed.outcome, failed.code), (RefundOutcome.FAILED, "expired_or_canceled_card"))
		# the kept answer still says succeeded
		self.assertIs(self.refund(paid.intent, "12.34", key=key).outcome, RefundOutcome.FAILED)

	def test_a_refund_that_takes_its_time(self):
		paid = self.charge(self.saved("4000000000007726"))
		first = self.refund(paid.intent, "12.34")
		self.assertIs(first.outcome, RefundOutcome.PENDING)
		self.stripe.control("finish_refund", refund=first.refund)
		self.assertIs(self.gateway.retrieve_refund(first.refund).outcome, RefundOutcome.SUCCEEDED)

	def test_other_statuses_of_a_refund(self):
		body = {"id": "re_1", "object": "refund", "amount": 100, "currency": "usd"}
		for status, outcome in (
			("requires_action", RefundOutcome.PENDING),
			("canceled", RefundOutcome.FAILED),
			("new_one", RefundOutcome.UNKNOWN),
			(None, RefundOutcome.SUCCEEDED),
		):
			self.stripe.faults.respond(200, body | {"status": status}, "GET /v1/refunds/*")
			self.assertIs(self.gateway.retrieve_refund("re_1").outcome, outcome)

	def test_a_disputed_payment_is_not_refunded(self):
		paid = self.charge(self.saved("4000000000000259"))
		answer = self.refund(paid.intent, "1.00")
		self.assertEqual((answer.outcome, answer.code), (RefundOutcome.REFUSED, "charge_disputed"))

	def test_disputes(self):
		for won in (True, False):
			with self.subTest(won=won):
				paid = self.charge(self.saved(), "100.00")
				opened = self.stripe.control("dispute", intent=paid.intent, reason="product_not_received")[
					"id"
				]
				dispute = self.gateway.retrieve_dispute(opened)
				self.assertEqual((dispute.intent, dispute.charge), (paid.intent, paid.charge))
				self.assertEqual((dispute.amount, dispute.currency), (Decimal("100.00"), "USD"))
				self.assertEqual((dispute.status, dispute.reason), ("needs_response", "product_not_received"))
				self.assertEqual((dispute.fees, dispute.withdrawn), (Decimal("15.00"), Decimal("100.00")))
				self.assertEqual(dispute.balance_currency, "USD")
				self.assertFalse(dispute.won or dispute.lost or dispute.warning)
				self.assertGreater(dispute.evidence_due, time.time())
				self.stripe.control("close_dispute", dispute=opened, won=won)
				dispute = self.gateway.retrieve_dispute(opened)
				self.assertEqual((dispute.won, dispute.lost), (won, not won))
				self.assertEqual(dispute.withdrawn, Decimal("0.00") if won else Decimal("100.00"))
				self.assertEqual(dispute.fees, Decimal("15.00"))

	def test_an_inquiry_moves_no_money(self):
		paid = self.charge(self.saved("4000000000001976"))
		dispute = self.gateway.retrieve_dispute(
			self.stripe.all("dispute", payment_intent=paid.intent)[0]["id"]
		)
		self.assertTrue(dispute.warning)
		self.assertEqual((dispute.fees, dispute.withdrawn, dispute.balance_currency), (0, 0, None))

	def test_a_fraud_warning(self):
		paid = self.charge(self.saved("4000000000005423"))
		warning = self.gateway.retrieve_fraud_warning(self.stripe.all("radar.early_fraud_warning")[0]["id"])
		self.assertEqual(
			(warning.intent, warning.charge, warning.actionable), (paid.intent, paid.charge, True)
		)
		self.assertEqual(warning.fraud_type, "made_with_stolen_card")

	def test_a_payment_page_is_paid(self):
		key = self.new_key()
		page = self.gateway.create_checkout(
			key=key,
			amount=Decimal("25.00"),
			currency="USD",
			customer=self.customer,
			description="Prepaid credits",
			success_url="https://example.com/paid",
			cancel_url="https://example.com/left",
			kinds=["card"],
			save_card=True,
		)
		self.stripe.control("complete_checkout", session=page.session)
		done = self.gateway.retrieve_checkout(page.session)
		self.assertEqual((done.status, done.paid), ("complete", True))
		self.assertEqual(self.gateway.expire_checkout(page.session).status, "complete")
		paid = self.gateway.retrieve(done.intent)
		self.assertEqual((paid.outcome, paid.amount), (Outcome.SUCCEEDED, Decimal("25.00")))
		self.assertEqual(paid.metadata, {"attempt": key})
		self.assertEqual(
			[c.payment_method for c in self.gateway.list_cards(self.customer)], [paid.payment_method]
		)

	def test_what_stripe_keeps(self):
		paid = self.charge(self.saved(), "100.00")
		self.assertEqual(self.gateway.balance_fee(paid.charge), (Decimal("3.20"), "USD"))
		failed = self.charge(self.saved("4000000000009995"))
		self.assertIsNone(self.gateway.balance_fee(failed.charge))


class TestCards(OnStandIn, unittest.TestCase):
	def test_a_card_saved_in_the_browser(self):
		for number, outcome in (
			("4242424242424242", Outcome.SUCCEEDED),
			("4000002500003155", Outcome.SUCCEEDED),
		):
			id_, _ = self.gateway.create_setup_intent(
				self.customer, key=self.new_key(), metadata={"account": "A"}
			)
			self.stripe.control("confirm_setup", setup_intent=id_, number=number)
			setup = self.gateway.retrieve_setup_intent(id_)
			self.assertTrue(setup.succeeded)
			card = self.gateway.retrieve_card(setup.payment_method)
			self.assertEqual((card.customer, card.last4, card.kind), (self.customer, number[-4:], "card"))
			self.assertIs(self.charge(setup.payment_method).outcome, outcome)

	def test_a_card_that_is_refused_while_saving(self):
		id_, _ = self.gateway.create_setup_intent(self.customer, key=self.new_key())
		with self.assertRaises(RuntimeError):
			self.stripe.control("confirm_setup", setup_intent=id_, number="4000000000009995")
		setup = self.gateway.retrieve_setup_intent(id_)
		self.assertEqual((setup.succeeded, setup.code), (False, "insufficient_funds"))
		self.assertTrue(setup.message)

	def test_a_card_holder_who_fails_the_bank_while_saving(self):
		id_, _ = self.gateway.create_setup_intent(self.customer, key=self.new_key())
		self.stripe.control("confirm_setup", setup_intent=id_, number="4000002500003155", success=False)
		setup = self.gateway.retrieve_setup_intent(id_)
		self.assertEqual((setup.succeeded, setup.code), (False, "setup_intent_authentication_failure"))

	def test_refusals_that_are_not_already_done(self):
		refusal = {"error": {"type": "invalid_request_error", "message": "no"}}
		card = self.saved()
		self.stripe.faults.respond(400, refusal, "POST /v1/payment_methods/*/detach")
		with self.assertRaises(GatewayError):
			self.gateway.detach(card)
		self.assertEqual(self.gateway.retrieve_card(card).customer, self.customer)
		page = self.gateway.create_checkout(
			key=self.new_key(),
			amount=Decimal(5),
			currency="USD",
			customer=self.customer,
			description="Credits",
			success_url="https://example.com",
			cancel_url="https://example.com",
		)
		self.stripe.faults.respond(400, refusal, "POST /v1/checkout/sessions/*/expire")
		with self.assertRaises(GatewayError):
			self.gateway.expire_checkout(page.session)
		self.stripe.faults.lost_before("POST /v1/checkout/sessions/*/expire")
		with self.assertRaises(GatewayUnavailable):
			self.gateway.expire_checkout(page.session)

	def test_only_cards_may_be_saved(self):
		id_, _ = self.gateway.create_setup_intent(self.customer, key=self.new_key())
		self.assertEqual(self.stripe.all("setup_intent", id=id_)[0]["payment_method_types"], ["card"])
		self.assertEqual(self.stripe.all("setup_intent", id=id_)[0]["usage"], "off_session")

	def test_calls_that_can_be_repeated_say_so(self):
		card = self.saved()
		for fault, code, retryable in (
			("lost_before", "connection_error", True),
			("error_before", "api_error", True),
			("rate_limit", "rate_limit", True),
		):
			self.stripe.faults.add(fault, "GET /v1/payment_methods/*")
			with self.assertRaises(GatewayError) as caught:
				self.gateway.retrieve_card(card)
			self.assertEqual((caught.exception.code, caught.exception.retryable), (code, retryable))
			self.stripe.faults.add(fault, "POST /v1/payment_methods/*/detach")
			with self.assertRaises(GatewayUnavailable):
				self.gateway.detach(card)
		self.stripe.faults.respond(200, {}, "GET /v1/payment_methods/*")
		with self.assertRaises(GatewayUnavailable):
			self.gateway.retrieve_card(card)
		with self.assertRaises(ValueError):
			self.gateway.retrieve_card("")
		for body in ({"object": "list", "has_more": False, "data": [{}]}, {"error": "text"}):
			self.stripe.faults.respond(200 if "data" in body else 400, body, "GET /v1/payment_methods")
			with self.assertRaises(GatewayUnavailable):
				self.gateway.list_cards(self.customer)
		self.stripe.faults.respond(200, "<html>", "POST /v1/customers")
		with self.assertRaises(GatewayUnavailable):
			self.gateway.create_customer(key=self.new_key(), name="X")

	def test_a_customer_made_once_under_its_key(self):
		key = self.new_key()
		self.stripe.faults.lost_after("POST /v1/customers")
		with self.assertRaises(GatewayUnavailable):
			self.gateway.create_customer(key=key, name="Once", email="once@example.com", metadata={"a": 1})
		id_ = self.gateway.create_customer(key=key, name="Once", email="once@example.com", metadata={"a": 1})
		self.assertEqual([c["id"] for c in self.stripe.all("customer", name="Once")], [id_])
		self.assertEqual(self.stripe.all("customer", name="Once")[0]["metadata"], {"a": "1"})


class TestWhatIsSent(OnStandIn, unittest.TestCase):
	def test_a_charge_in_full(self):
		key = self.new_key()
		card = self.saved()
		self.charge(card, key=key, description="x" * 2000, metadata={"recharge": "R-1", "none": None})
		sent = [entry for entry in self.stripe.log() if entry["path"] == "/v1/payment_intents"][-1]
		self.assertEqual(sent["key"], key)
		self.assertEqual(sent["version"], stripe_gateway.API_VERSION)
		yes = sent["params"]["confirm"]
		self.assertEqual(yes.lower(), "true")  # the SDKs spell it differently
		self.assertEqual(
			sent["params"],
			{
				"amount": "1234",
				"currency": "usd",
				"customer": self.customer,
				"payment_method": card,
				"payment_method_types": ["card"],
				"capture_method": "automatic",
				"confirm": yes,
				"off_session": yes,
				"description": "x" * 1000,
				"metadata": {"recharge": "R-1", "attempt": key},
				"expand": ["latest_charge"],
			},
		)

	def test_the_sdk_never_repeats_a_call(self):
		card = self.saved()
		for fault in ("lost_before", "error_before", "conflict", "rate_limit", "lost_after"):
			self.stripe.control("clear_log")
			self.stripe.faults.add(fault, CREATE)
			self.charge(card)
			self.assertEqual(len(self.stripe.log()), 1, fault)

	def test_the_global_key_is_neither_used_nor_set(self):
		with patch.object(stripe, "api_key", "sk_test_wrong"):
			self.assertIs(self.charge(self.saved()).outcome, Outcome.SUCCEEDED)
		self.assertIsNone(stripe.api_key)

	def test_only_the_absurd_raises(self):
		good = {
			"key": "k",
			"amount": Decimal(5),
			"currency": "USD",
			"customer": "cus_1",
			"payment_method": "pm_1",
		}
		for bad, error in (
			({"amount": 5.0}, TypeError),
			({"amount": "5"}, TypeError),
			({"amount": Decimal("5.001")}, ValueError),
			({"amount": Decimal(0)}, ValueError),
			({"amount": Decimal(-5)}, ValueError),
			({"amount": Decimal("NaN")}, ValueError),
			({"currency": "US"}, ValueError),
			({"key": ""}, ValueError),
			({"customer": None}, ValueError),
			({"payment_method": " "}, ValueError),
		):
			with self.subTest(bad=bad), self.assertRaises(error):
				self.gateway.charge(**good | bad)
		self.assertEqual([e for e in self.stripe.log() if e["path"] == "/v1/payment_intents"], [])

	def test_making_a_gateway(self):
		for arguments in (
			("",),
			(None,),
			("pk_test_1",),
			("sk_test_1", "ftp://x"),
			("sk_live_1", "http://127.0.0.1"),
			("sk_live_1", "https://elsewhere.example"),
			("sk_test_1", None, 0),
			("sk_test_1", None, 100),
		):
			with self.subTest(arguments=arguments), self.assertRaises(ValueError):
				StripeGateway(*arguments)
		self.assertTrue(StripeGateway("rk_live_1").live)
		self.assertFalse(StripeGateway(" sk_test_1 ", "https://example.com/").live)
		self.assertNotIn("sk_test_1", repr(StripeGateway("sk_test_1")))

	def test_no_secret_is_logged_or_told(self):
		with self.assertLogs("stripe", "DEBUG") as logs:
			import logging

			logging.getLogger("stripe").debug("begin")
			self.charge(self.saved("4000000000009995"))
			answer = self.bad_key_gateway.retrieve("pi_1")
		said = json.dumps(logs.output) + answer.message
		self.assertNotIn("sk_test_standin", said)
		self.assertNotIn("sk_test_wrong", said)
