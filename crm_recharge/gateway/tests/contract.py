"""What the app relies on at Stripe, as tests that run against the stand-in and against Stripe itself."""

import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from crm_recharge.domain.answers import DeclineClass, Outcome, RefundOutcome
from crm_recharge.gateway.errors import CustomerGone, GatewayError


class Calls:
	"""Short ways to call a `gateway` for a `customer`."""

	def new_key(self) -> str:
		return f"test-{uuid.uuid4().hex}"

	def charge(self, card: str, amount="12.34", currency="USD", key=None, **more):
		return self.gateway.charge(
			key=key or self.new_key(),
			amount=Decimal(amount),
			currency=currency,
			customer=self.customer,
			payment_method=card,
			**more,
		)

	def refund(self, intent, amount, key=None, currency="USD", **more):
		return self.gateway.refund(
			key=key or self.new_key(), intent=intent, amount=Decimal(amount), currency=currency, **more
		)


class Contract(Calls):
	"""Mixed into a TestCase that sets `gateway`, `bad_key_gateway` and `customer`."""

	DECLINED, AUTHENTICATION, HEALTHY = (
		"pm_card_chargeCustomerFail",
		"pm_card_authenticationRequired",
		"pm_card_visa",
	)

	def card(self, name: str) -> str:
		return self.gateway.attach(name, self.customer).payment_method

	def test_a_charge_is_captured(self):
		key = self.new_key()
		answer = self.charge(
			self.card(self.HEALTHY), key=key, description="Credits", metadata={"recharge": "R-1", "n": 7}
		)
		self.assertIs(answer.outcome, Outcome.SUCCEEDED)
		self.assertEqual((answer.amount, answer.currency), (Decimal("12.34"), "USD"))
		self.assertRegex(answer.intent, "^pi_")
		self.assertRegex(answer.charge, "^(ch|py)_")
		self.assertFalse(answer.intent_open)
		self.assertEqual(answer.metadata, {"recharge": "R-1", "n": "7", "attempt": key})
		self.assertEqual(answer.risk_level, "normal")
		self.assertIsNone(answer.decline_class)
		self.assertGreaterEqual(answer.milliseconds, 1)
		again = self.gateway.retrieve(answer.intent)
		self.assertEqual(
			(again.outcome, again.amount, again.charge), (answer.outcome, answer.amount, answer.charge)
		)

	def test_a_zero_decimal_currency(self):
		answer = self.charge(self.card(self.HEALTHY), "500", "JPY")
		self.assertEqual((answer.outcome, answer.amount, answer.currency), (Outcome.SUCCEEDED, 500, "JPY"))

	def test_the_same_key_charges_once(self):
		card, key = self.card(self.HEALTHY), self.new_key()
		first, second = self.charge(card, key=key), self.charge(card, key=key)
		self.assertEqual((first.intent, first.charge), (second.intent, second.charge))
		self.assertIs(second.outcome, Outcome.SUCCEEDED)

	def test_the_same_key_with_other_content_is_the_first_payment(self):
		card, key = self.card(self.HEALTHY), self.new_key()
		first = self.charge(card, "12.34", key=key)
		second = self.charge(card, "99.99", key=key)
		self.assertEqual((second.outcome, second.intent), (Outcome.SUCCEEDED, first.intent))
		self.assertEqual(second.amount, Decimal("12.34"))

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

	def test_a_decline_asked_again_shows_how_it_is_now(self):
		card, key = self.card(self.DECLINED), self.new_key()
		first = self.charge(card, key=key)
		self.assertIs(self.charge(card, key=key).outcome, Outcome.DECLINED)
		self.gateway.cancel(first.intent)
		self.assertIs(self.charge(card, key=key).outcome, Outcome.CANCELLED)

	def test_a_captured_payment_is_not_cancelled(self):
		paid = self.charge(self.card(self.HEALTHY))
		answer = self.gateway.cancel(paid.intent, key=self.new_key())
		self.assertEqual((answer.outcome, answer.amount), (Outcome.SUCCEEDED, paid.amount))

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

	def test_cards_that_are_gone_are_declined_for_good(self):
		card = self.card(self.HEALTHY)
		self.gateway.detach(card)
		for gone in (card, "pm_1NeverExistedAtAllxxxxxx"):
			with self.subTest(card=gone):
				answer = self.charge(gone)
				self.assertIs(answer.outcome, Outcome.DECLINED)
				self.assertIs(answer.decline_class, DeclineClass.PERMANENT)
				self.assertFalse(answer.intent_open)

	def test_a_card_of_somebody_else_is_declined_for_good(self):
		other = self.gateway.create_customer(key=self.new_key(), name="Other")
		card = self.gateway.attach(self.HEALTHY, other).payment_method
		answer = self.charge(card)
		self.assertEqual((answer.outcome, answer.decline_class), (Outcome.DECLINED, DeclineClass.PERMANENT))

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

	def test_payments_are_found_by_their_recharge(self):
		name, since = f"RC-{self.new_key()}", datetime.now(timezone.utc)
		self.assertEqual(self.gateway.find_by_recharge(name, (self.customer,), since), ())
		made = [
			self.gateway.charge(
				key=self.new_key(),
				amount=Decimal(5),
				currency="USD",
				customer=self.customer,
				payment_method=self.card(card),
				metadata={"recharge": named},
			)
			for card, named in ((self.HEALTHY, name), (self.DECLINED, name), (self.HEALTHY, "RC-other"))
		]
		for customers in ((self.customer,), (), ("cus_nobody",), (self.customer, "cus_nobody")):
			found = self.gateway.find_by_recharge(name, customers, since)
			self.assertEqual(
				{(a.intent, a.outcome, a.customer) for a in found},
				{(a.intent, a.outcome, self.customer) for a in made[:2]},
			)

	def test_payments_of_a_span_of_time(self):
		start = datetime.now(timezone.utc) - timedelta(seconds=2)
		made = {self.charge(self.card(name)).intent for name in (self.HEALTHY, self.DECLINED)}
		seen = {
			answer.intent: answer
			for answer in self.gateway.intents_since(start, datetime.now(timezone.utc) + timedelta(minutes=1))
		}
		self.assertLessEqual(made, set(seen))
		self.assertEqual({seen[i].outcome for i in made}, {Outcome.SUCCEEDED, Outcome.DECLINED})
		self.assertEqual(
			[a for a in self.gateway.intents_since(start - timedelta(days=9), start - timedelta(days=9))], []
		)

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

	def test_what_was_not_captured_is_not_refunded(self):
		declined = self.charge(self.card(self.DECLINED))
		self.assertIs(self.refund(declined.intent, "1.00").outcome, RefundOutcome.REFUSED)
		unknown = self.refund("pi_nobody", "1.00")
		self.assertEqual((unknown.outcome, unknown.code), (RefundOutcome.REFUSED, "resource_missing"))

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

	def test_beginning_to_save_a_card(self):
		key = self.new_key()
		id_, secret = self.gateway.create_setup_intent(self.customer, key=key)
		self.assertTrue(secret.startswith(f"{id_}_secret_"))
		self.assertEqual(self.gateway.create_setup_intent(self.customer, key=key), (id_, secret))
		setup = self.gateway.retrieve_setup_intent(id_)
		self.assertEqual((setup.succeeded, setup.status), (False, "requires_payment_method"))
		self.assertEqual((setup.customer, setup.payment_method), (self.customer, None))

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

	def test_a_card_that_is_gone_need_not_be_detached(self):
		self.assertIsNone(self.gateway.detach("pm_nobody").customer)

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
