"""What the app relies on at Stripe beyond what it asks of every gateway, as tests that run against the stand-in and against
Stripe itself."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

from crm_recharge.domain.answers import DeclineClass, Outcome, RefundOutcome
from crm_recharge.gateway.errors import CustomerGone, GatewayError
from crm_recharge.gateway.stripe.gateway import CAPABILITIES
from crm_recharge.gateway.tests.conformance import Conformance


class Contract(Conformance):
	"""Mixed into a TestCase that sets `gateway`, `bad_key_gateway` and `customer`."""

	capabilities = CAPABILITIES
	DECLINED, AUTHENTICATION, HEALTHY = (
		"pm_card_chargeCustomerFail",
		"pm_card_authenticationRequired",
		"pm_card_visa",
	)

	def saved(self, kind: str) -> str:
		known = {"good": self.HEALTHY, "declined": self.DECLINED, "authentication": self.AUTHENTICATION}
		if kind not in known:
			self.skipTest(f"Stripe has no test card that is {kind}")
		return self.card(known[kind])

	def card(self, name: str) -> str:
		return self.gateway.attach(name, self.customer).payment_method

	def test_a_key_used_for_something_else_is_an_error(self):
		key = self.new_key()
		self.gateway.create_customer(key=key, name="Somebody Else")
		answer = self.charge(self.card(self.HEALTHY), key=key)
		self.assertIs(answer.outcome, Outcome.ERROR)
		self.assertEqual(answer.code, "idempotency_error")
		self.assertIsNone(answer.intent)

	def test_a_declined_card_leaves_an_intent_to_be_closed(self):
		answer = self.charge(self.card(self.DECLINED))
		self.assertIs(answer.outcome, Outcome.DECLINED)
		self.assertEqual(answer.code, "generic_decline")
		self.assertIs(answer.decline_class, DeclineClass.TRY_LATER)
		self.assertTrue(answer.intent_open)
		self.assertTrue(answer.message)
		self.assertRegex(answer.intent, "^pi_")
		seen = self.gateway.retrieve(answer.intent)
		self.assertEqual(
			(seen.outcome, seen.code, seen.intent_open), (Outcome.DECLINED, "generic_decline", True)
		)

		closed = self.gateway.cancel(answer.intent, key=self.new_key())
		self.assertEqual((closed.outcome, closed.intent_open), (Outcome.CANCELLED, False))
		twice = self.gateway.cancel(answer.intent, key=self.new_key())
		self.assertIs(twice.outcome, Outcome.CANCELLED)
		self.assertIs(self.gateway.retrieve(answer.intent).outcome, Outcome.CANCELLED)

	def test_off_session_authentication_needs_the_person(self):
		answer = self.charge(self.card(self.AUTHENTICATION))
		self.assertIs(answer.outcome, Outcome.NEEDS_AUTHENTICATION)
		self.assertIs(answer.decline_class, DeclineClass.AUTHENTICATION)
		self.assertEqual(answer.code, "authentication_required")
		self.assertTrue(answer.intent and answer.intent_open)
		seen = self.gateway.retrieve(answer.intent)
		self.assertIs(seen.outcome, Outcome.NEEDS_AUTHENTICATION)
		self.assertRegex(self.gateway.client_secret(answer.intent), f"^{answer.intent}_secret_")
		self.assertIs(self.gateway.cancel(answer.intent).outcome, Outcome.CANCELLED)

	def test_on_session_authentication_waits_for_the_person(self):
		answer = self.charge(self.card(self.AUTHENTICATION), off_session=False)
		self.assertIs(answer.outcome, Outcome.NEEDS_AUTHENTICATION)
		self.assertTrue(answer.intent_open)

	def test_requests_that_make_no_sense_blame_no_card(self):
		card = self.card(self.HEALTHY)
		answer = self.charge(card, "0.01")
		self.assertEqual((answer.outcome, answer.code), (Outcome.ERROR, "amount_too_small"))
		for answer in (self.gateway.retrieve("pi_nobody"), self.gateway.cancel("pi_nobody")):
			self.assertEqual((answer.outcome, answer.code), (Outcome.ERROR, "resource_missing"))

	def test_a_customer_that_is_not_there_ends_the_charge_for_good(self):
		card = self.card(self.HEALTHY)
		answer = self.gateway.charge(
			key=self.new_key(), amount=Decimal(5), currency="USD", customer="cus_nobody", payment_method=card
		)
		self.assertEqual((answer.outcome, answer.code), (Outcome.DECLINED, "customer_gone"))
		self.assertIs(answer.decline_class, DeclineClass.CUSTOMER_GONE)
		self.assertFalse(answer.intent_open)
		for call in (
			lambda: self.gateway.create_setup_intent("cus_nobody", key=self.new_key()),
			lambda: self.gateway.attach(self.HEALTHY, "cus_nobody"),
		):
			with self.assertRaises(CustomerGone) as caught:
				call()
			self.assertFalse(caught.exception.retryable)

	def test_a_wrong_key_is_an_error_without_the_key(self):
		answer = self.bad_key_gateway.charge(
			key=self.new_key(), amount=Decimal(5), currency="USD", customer="cus_x", payment_method="pm_x"
		)
		self.assertEqual((answer.outcome, answer.code), (Outcome.ERROR, "authentication_failure"))
		with self.assertRaises(GatewayError) as caught:
			self.bad_key_gateway.retrieve_card("pm_x")
		self.assertEqual(caught.exception.code, "authentication_failure")
		self.assertFalse(caught.exception.retryable)

	def test_a_payment_is_found_by_its_attempt(self):
		card, key, since = self.card(self.HEALTHY), self.new_key(), datetime.now(timezone.utc)
		self.assertIsNone(self.gateway.find_by_attempt(key, self.customer, since))
		paid = self.charge(card, key=key)
		found = self.gateway.find_by_attempt(key, self.customer, since)
		self.assertEqual(
			(found.outcome, found.intent, found.amount), (Outcome.SUCCEEDED, paid.intent, paid.amount)
		)
		# Asked by a clock that was 20 minutes, or a day, ahead.
		for ahead in (timedelta(minutes=20), timedelta(days=1)):
			self.assertEqual(
				self.gateway.find_by_attempt(key, self.customer, since + ahead).intent, paid.intent
			)
		self.assertIsNone(self.gateway.find_by_attempt(key, self.customer, since + timedelta(days=3)))
		other = self.gateway.create_customer(key=self.new_key(), name="Other")
		self.assertIsNone(self.gateway.find_by_attempt(key, other, since))

	def test_refunds(self):
		paid, key = self.charge(self.card(self.HEALTHY), "20.00"), self.new_key()
		first = self.refund(
			paid.intent, "7.50", key=key, reason="requested_by_customer", metadata={"why": "x"}
		)
		self.assertIs(first.outcome, RefundOutcome.SUCCEEDED)
		self.assertEqual((first.amount, first.currency, first.intent), (Decimal("7.50"), "USD", paid.intent))
		self.assertEqual((first.reason, first.metadata["why"]), ("requested_by_customer", "x"))
		again = self.refund(
			paid.intent, "7.50", key=key, reason="requested_by_customer", metadata={"why": "x"}
		)
		self.assertEqual(again.refund, first.refund)
		other = self.refund(paid.intent, "1.00", key=key)
		self.assertEqual((other.refund, other.amount), (first.refund, Decimal("7.50")))
		too_much = self.refund(paid.intent, "12.51")
		self.assertIs(too_much.outcome, RefundOutcome.REFUSED)
		self.assertTrue(too_much.message)
		rest = self.refund(paid.intent, "12.50")
		self.assertIs(rest.outcome, RefundOutcome.SUCCEEDED)
		nothing_left = self.refund(paid.intent, "0.50")
		self.assertEqual(
			(nothing_left.outcome, nothing_left.code), (RefundOutcome.REFUSED, "charge_already_refunded")
		)
		self.assertEqual(
			[r.refund for r in self.gateway.list_refunds(paid.intent)], [rest.refund, first.refund]
		)
		self.assertEqual(self.gateway.retrieve_refund(first.refund).amount, Decimal("7.50"))
		self.assertIs(self.gateway.retrieve(paid.intent).outcome, Outcome.SUCCEEDED)

	def test_what_stripe_keeps(self):
		paid = self.charge(self.card(self.HEALTHY), "100.00")
		fee = self.gateway.balance_fee(paid.charge)
		if fee is not None:  # Stripe may need a moment
			self.assertGreater(fee[0], 0)
			self.assertRegex(fee[1], "^[A-Z]{3}$")

	def test_saved_cards(self):
		card = self.gateway.attach(self.HEALTHY, self.customer)
		self.assertEqual((card.kind, card.brand, card.last4), ("card", "visa", "4242"))
		self.assertEqual(card.customer, self.customer)
		self.assertTrue(card.fingerprint and card.exp_month and card.exp_year > 2000)
		self.assertEqual(self.gateway.retrieve_card(card.payment_method), card)
		self.assertIn(card, self.gateway.list_cards(self.customer))
		self.assertIsNone(self.gateway.detach(card.payment_method).customer)
		self.assertIsNone(self.gateway.detach(card.payment_method).customer)
		self.assertNotIn(
			card.payment_method, [c.payment_method for c in self.gateway.list_cards(self.customer)]
		)

	def test_a_card_the_bank_refuses_is_not_saved(self):
		with self.assertRaises(GatewayError) as caught:
			self.gateway.attach("pm_card_chargeDeclinedInsufficientFunds", self.customer)
		self.assertFalse(caught.exception.retryable)
		self.assertIn(caught.exception.code, ("insufficient_funds", "card_declined"))

	def test_a_payment_page(self):
		key = self.new_key()
		order = {
			"key": key,
			"amount": Decimal("25.00"),
			"currency": "USD",
			"customer": self.customer,
			"description": "Prepaid credits",
			"success_url": "https://example.com/paid?s={CHECKOUT_SESSION_ID}",
			"cancel_url": "https://example.com/left",
			"metadata": {"recharge": "R-1"},
		}
		page = self.gateway.create_checkout(**order)
		self.assertEqual((page.status, page.paid, page.customer), ("open", False, self.customer))
		self.assertEqual((page.amount, page.currency), (Decimal("25.00"), "USD"))
		self.assertEqual(page.metadata, {"recharge": "R-1", "attempt": key})
		self.assertRegex(page.url, "^https?://")
		self.assertEqual(self.gateway.create_checkout(**order).session, page.session)
		self.assertEqual(self.gateway.retrieve_checkout(page.session).status, "open")
		self.assertEqual(self.gateway.expire_checkout(page.session).status, "expired")
		self.assertEqual(self.gateway.expire_checkout(page.session).status, "expired")
		for bad, error in (({"amount": 25.0}, TypeError), ({"success_url": ""}, ValueError)):
			with self.assertRaises(error):
				self.gateway.create_checkout(**order | bad)

	def test_nothing_there(self):
		for call in (
			lambda: self.gateway.retrieve_checkout("cs_test_nobody"),
			lambda: self.gateway.expire_checkout("cs_test_nobody"),
			lambda: self.gateway.retrieve_fraud_warning("issfr_nobody"),
			lambda: self.gateway.retrieve_card("pm_nobody"),
			lambda: self.gateway.retrieve_setup_intent("seti_nobody"),
			lambda: self.gateway.retrieve_dispute("dp_nobody"),
			lambda: self.gateway.balance_fee("ch_nobody"),
			lambda: self.gateway.list_refunds("pi_nobody"),
			lambda: self.gateway.client_secret("pi_nobody"),
		):
			with self.assertRaises(GatewayError) as caught:
				call()
			self.assertEqual(caught.exception.code, "resource_missing")
			self.assertFalse(caught.exception.retryable)
