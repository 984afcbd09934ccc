"""What every gateway has to do, whoever it is: the tests that an adapter passes before it may take money.

Mix `Conformance` into a TestCase that sets, before each test, `gateway` (a port.Gateway), `capabilities`, `customer` (one
that exists there), and tells by `saved(kind)` of a saved method of `customer`: "good", "declined" (the bank refuses),
"authentication" (the bank wants the card holder), "delayed" (decided later). docs/gateways.md tells the rest.
"""

import uuid
from datetime import datetime, timedelta, timezone
from decimal import Decimal

from crm_recharge.domain.answers import DeclineClass, Outcome, RefundOutcome
from crm_recharge.gateway.errors import CustomerGone, GatewayError
from crm_recharge.gateway.port import MISSING

NOBODY = "nothing_of_this_name"


class Calls:
	"""Short ways to call a `gateway` for a `customer`."""

	def new_key(self) -> str:
		return f"test-{uuid.uuid4().hex}"

	def charge(self, card: str, amount="12.34", currency="USD", key=None, **more):
		return self.gateway.charge(
			key=key or self.new_key(),
			amount=Decimal(amount),
			currency=currency,
			customer=more.pop("customer", self.customer),
			payment_method=card,
			**more,
		)

	def refund(self, intent, amount, key=None, currency="USD", **more):
		return self.gateway.refund(
			key=key or self.new_key(), intent=intent, amount=Decimal(amount), currency=currency, **more
		)


class Conformance(Calls):
	"""See the module."""

	def saved(self, kind: str) -> str:
		"""A saved method of `customer` that behaves like `kind`."""
		raise NotImplementedError

	def now(self) -> datetime:
		"""The gateway's clock."""
		return datetime.now(timezone.utc)

	# -- charging ----------------------------------------------------------------------------------------------

	def test_a_charge_is_captured_in_full_and_says_whose_it_is(self):
		key = self.new_key()
		answer = self.charge(
			self.saved("good"), key=key, metadata={"recharge": "RC-1", "account": "CA-1", "n": 7}
		)
		self.assertIs(answer.outcome, Outcome.SUCCEEDED)
		self.assertEqual((answer.amount, answer.currency), (Decimal("12.34"), "USD"))
		self.assertEqual(answer.customer, self.customer)
		self.assertTrue(answer.intent)
		self.assertFalse(answer.intent_open)
		self.assertIsNone(answer.decline_class)
		self.assertEqual(answer.metadata, {"recharge": "RC-1", "account": "CA-1", "n": "7", "attempt": key})
		again = self.gateway.retrieve(answer.intent)
		self.assertEqual(
			(again.outcome, again.amount, again.currency, again.metadata),
			(answer.outcome, answer.amount, answer.currency, answer.metadata),
		)

	def test_a_currency_without_decimals_is_charged_as_it_is(self):
		answer = self.charge(self.saved("good"), "500", "JPY")
		self.assertEqual((answer.outcome, answer.amount, answer.currency), (Outcome.SUCCEEDED, 500, "JPY"))

	def test_the_same_key_charges_once(self):
		card, key = self.saved("good"), self.new_key()
		first, second = self.charge(card, key=key), self.charge(card, key=key)
		self.assertIs(second.outcome, Outcome.SUCCEEDED)
		self.assertEqual(first.intent, second.intent)

	def test_the_same_key_with_other_content_is_the_first_payment(self):
		card, key = self.saved("good"), self.new_key()
		first, second = self.charge(card, "12.34", key=key), self.charge(card, "99.99", key=key)
		self.assertEqual((second.outcome, second.intent), (Outcome.SUCCEEDED, first.intent))
		self.assertEqual(second.amount, Decimal("12.34"))

	def test_a_declined_payment_holds_no_money_and_can_be_closed(self):
		key = self.new_key()
		card = self.saved("declined")
		answer = self.charge(card, key=key)
		self.assertIs(answer.outcome, Outcome.DECLINED)
		self.assertIsInstance(answer.decline_class, DeclineClass)
		self.assertTrue(answer.code)
		if answer.intent_open:
			closed = self.gateway.cancel(answer.intent, key=self.new_key())
			self.assertEqual((closed.outcome, closed.intent_open), (Outcome.CANCELLED, False))
			self.assertIs(self.gateway.cancel(answer.intent, key=self.new_key()).outcome, Outcome.CANCELLED)
			# Asked again under the same key, it is told as it is now, and nothing new is charged.
			self.assertIs(self.charge(card, key=key).outcome, Outcome.CANCELLED)

	def test_a_captured_payment_is_not_cancelled(self):
		paid = self.charge(self.saved("good"))
		answer = self.gateway.cancel(paid.intent, key=self.new_key())
		self.assertEqual((answer.outcome, answer.amount), (Outcome.SUCCEEDED, paid.amount))

	def test_a_bank_that_wants_the_card_holder_holds_the_payment_open(self):
		answer = self.charge(self.saved("authentication"))
		self.assertIs(answer.outcome, Outcome.NEEDS_AUTHENTICATION)
		self.assertTrue(answer.intent and answer.intent_open)
		self.assertIs(self.gateway.retrieve(answer.intent).outcome, Outcome.NEEDS_AUTHENTICATION)
		self.assertIs(self.gateway.cancel(answer.intent).outcome, Outcome.CANCELLED)

	def test_a_delayed_payment_is_pending_and_nobody_is_to_blame(self):
		if not self.capabilities.delayed_payments:
			self.skipTest("this gateway decides at once")
		key = self.new_key()
		card = self.saved("delayed")
		answer = self.charge(card, key=key)
		self.assertIs(answer.outcome, Outcome.PENDING)
		self.assertTrue(answer.intent and answer.intent_open)
		self.assertIsNone(answer.decline_class)
		self.assertEqual((answer.amount, answer.currency), (Decimal("12.34"), "USD"))
		self.assertIs(self.gateway.retrieve(answer.intent).outcome, Outcome.PENDING)
		self.assertEqual(self.charge(card, key=key).intent, answer.intent)
		self.assertIs(self.refund(answer.intent, "1.00").outcome, RefundOutcome.REFUSED)

	def test_a_method_that_is_gone_is_declined_for_good(self):
		card = self.saved("good")
		self.gateway.detach(card)
		for gone in (card, NOBODY):
			with self.subTest(card=gone):
				answer = self.charge(gone)
				self.assertIs(answer.outcome, Outcome.DECLINED)
				self.assertIs(answer.decline_class, DeclineClass.PERMANENT)
				self.assertFalse(answer.intent_open)

	def test_a_method_of_another_customer_is_never_charged(self):
		card = self.saved("good")
		other = self.gateway.create_customer(key=self.new_key(), name="Other")
		answer = self.charge(card, customer=other)
		self.assertEqual((answer.outcome, answer.decline_class), (Outcome.DECLINED, DeclineClass.PERMANENT))

	def test_a_customer_that_is_gone_is_told_apart_from_a_bad_card(self):
		answer = self.charge(self.saved("good"), customer=NOBODY)
		self.assertEqual(
			(answer.outcome, answer.decline_class), (Outcome.DECLINED, DeclineClass.CUSTOMER_GONE)
		)
		self.assertFalse(answer.intent_open)
		with self.assertRaises(CustomerGone):
			self.gateway.create_setup_intent(NOBODY, key=self.new_key())

	def test_what_no_request_could_mean_is_a_mistake_of_the_caller(self):
		card = self.saved("good")
		for amount, error in ((12.5, TypeError), (Decimal("-1"), ValueError), (Decimal("1.005"), ValueError)):
			with self.subTest(amount=amount), self.assertRaises(error):
				self.gateway.charge(
					key=self.new_key(),
					amount=amount,
					currency="USD",
					customer=self.customer,
					payment_method=card,
				)
		with self.assertRaises(ValueError):
			self.charge(card, key=" ")

	def test_what_is_not_there(self):
		for answer in (self.gateway.retrieve(NOBODY), self.gateway.cancel(NOBODY)):
			self.assertEqual((answer.outcome, answer.code), (Outcome.ERROR, MISSING))
		for call in (
			lambda: self.gateway.retrieve_card(NOBODY),
			lambda: self.gateway.retrieve_setup_intent(NOBODY),
			lambda: self.gateway.list_refunds(NOBODY),
		):
			with self.assertRaises(GatewayError) as caught:
				call()
			self.assertEqual(caught.exception.code, MISSING)
			self.assertFalse(caught.exception.retryable)

	# -- finding again -----------------------------------------------------------------------------------------

	def test_a_payment_is_found_by_its_attempt_and_its_absence_is_proven(self):
		card, key, since = self.saved("good"), self.new_key(), self.now()
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
		other = self.gateway.create_customer(key=self.new_key(), name="Other")
		self.assertIsNone(self.gateway.find_by_attempt(key, other, since))

	def test_payments_are_found_by_their_recharge(self):
		name, since = f"RC-{self.new_key()}", self.now()
		self.assertEqual(self.gateway.find_by_recharge(name, (self.customer,), since), ())
		made = [
			self.charge(self.saved(kind), metadata={"recharge": named})
			for kind, named in (("good", name), ("declined", name), ("good", "RC-other"))
		]
		for customers in ((self.customer,), (), (NOBODY,), (self.customer, NOBODY)):
			found = self.gateway.find_by_recharge(name, customers, since)
			self.assertEqual(
				{(a.intent, a.outcome) for a in found}, {(a.intent, a.outcome) for a in made[:2]}
			)

	def test_payments_of_a_span_of_time_come_newest_first(self):
		start = self.now() - timedelta(seconds=2)
		made = [self.charge(self.saved(kind)).intent for kind in ("good", "declined")]
		seen = [a for a in self.gateway.intents_since(start, self.now() + timedelta(minutes=1))]
		self.assertLessEqual(set(made), {a.intent for a in seen})
		moments = [a.created for a in seen]
		self.assertEqual(moments, sorted(moments, reverse=True))
		long_ago = start - timedelta(days=900)
		self.assertEqual(list(self.gateway.intents_since(long_ago, long_ago)), [])

	# -- refunds -----------------------------------------------------------------------------------------------

	def test_refunds_never_exceed_what_was_captured_and_a_key_refunds_once(self):
		if not self.capabilities.refunds:
			self.skipTest("this gateway sends nothing back")
		paid, key = self.charge(self.saved("good"), "20.00"), self.new_key()
		first = self.refund(paid.intent, "7.50", key=key, metadata={"why": "x"})
		self.assertIn(first.outcome, (RefundOutcome.SUCCEEDED, RefundOutcome.PENDING))
		self.assertEqual((first.amount, first.currency, first.intent), (Decimal("7.50"), "USD", paid.intent))
		self.assertEqual((first.metadata["why"], first.metadata["attempt"]), ("x", key))
		self.assertEqual(self.refund(paid.intent, "7.50", key=key).refund, first.refund)
		self.assertIs(self.refund(paid.intent, "12.51").outcome, RefundOutcome.REFUSED)
		rest = self.refund(paid.intent, "12.50")
		self.assertIn(rest.outcome, (RefundOutcome.SUCCEEDED, RefundOutcome.PENDING))
		self.assertIs(self.refund(paid.intent, "0.50").outcome, RefundOutcome.REFUSED)
		self.assertEqual(
			[r.refund for r in self.gateway.list_refunds(paid.intent)], [rest.refund, first.refund]
		)
		self.assertEqual(self.gateway.retrieve_refund(first.refund).amount, Decimal("7.50"))
		since = self.now() - timedelta(minutes=5)
		self.assertLessEqual(
			{first.refund, rest.refund}, {r.refund for r in self.gateway.refunds_since(since)}
		)

	def test_what_was_not_captured_is_not_refunded(self):
		declined = self.charge(self.saved("declined"))
		self.assertIs(self.refund(declined.intent, "1.00").outcome, RefundOutcome.REFUSED)
		self.assertIs(self.refund(NOBODY, "1.00").outcome, RefundOutcome.REFUSED)

	# -- customers and saved methods ---------------------------------------------------------------------------

	def test_a_customer_is_made_once_for_a_key(self):
		key = self.new_key()
		first = self.gateway.create_customer(key=key, name="Acme", metadata={"account": "CA-1"})
		self.assertEqual(
			self.gateway.create_customer(key=key, name="Acme", metadata={"account": "CA-1"}), first
		)

	def test_saved_methods_can_be_listed_and_taken_away_twice(self):
		card = self.gateway.retrieve_card(self.saved("good"))
		self.assertEqual(card.customer, self.customer)
		self.assertTrue(card.kind)
		self.assertIn(card, self.gateway.list_cards(self.customer))
		for _time in range(2):
			self.assertIsNone(self.gateway.detach(card.payment_method).customer)
		self.assertNotIn(
			card.payment_method, [c.payment_method for c in self.gateway.list_cards(self.customer)]
		)
		self.assertIsNone(self.gateway.detach(NOBODY).customer)

	def test_saving_a_method_begins_with_a_secret_for_the_browser(self):
		key = self.new_key()
		id_, secret = self.gateway.create_setup_intent(self.customer, key=key)
		self.assertTrue(secret)
		self.assertEqual(self.gateway.create_setup_intent(self.customer, key=key), (id_, secret))
		setup = self.gateway.retrieve_setup_intent(id_)
		self.assertFalse(setup.succeeded)
		self.assertEqual((setup.customer, setup.payment_method), (self.customer, None))

	# -- payment pages -----------------------------------------------------------------------------------------

	def test_a_payment_page_is_one_for_a_key_and_can_be_closed(self):
		if not self.capabilities.payment_pages:
			self.skipTest("this gateway has no page of its own")
		key = self.new_key()
		order = {
			"key": key,
			"amount": Decimal("25.00"),
			"currency": "USD",
			"customer": self.customer,
			"description": "Prepaid credits",
			"success_url": "https://example.com/paid",
			"cancel_url": "https://example.com/left",
			"metadata": {"recharge": "RC-1"},
		}
		page = self.gateway.create_checkout(**order)
		self.assertEqual((page.status, page.paid, page.customer), ("open", False, self.customer))
		self.assertEqual((page.amount, page.currency), (Decimal("25.00"), "USD"))
		self.assertEqual(page.metadata, {"recharge": "RC-1", "attempt": key})
		self.assertRegex(page.url, "^https?://")
		self.assertEqual(self.gateway.create_checkout(**order).session, page.session)
		for _time in range(2):
			self.assertEqual(self.gateway.expire_checkout(page.session).status, "expired")
		with self.assertRaises(GatewayError) as caught:
			self.gateway.retrieve_checkout(NOBODY)
		self.assertEqual(caught.exception.code, MISSING)

	# -- what is never said ------------------------------------------------------------------------------------

	def test_no_answer_holds_a_secret(self):
		_id, secret = self.gateway.create_setup_intent(self.customer, key=self.new_key())
		answer = self.charge(self.saved("good"))
		self.assertNotIn(secret, repr(answer))
		self.assertNotIn(secret, repr(self.gateway))
