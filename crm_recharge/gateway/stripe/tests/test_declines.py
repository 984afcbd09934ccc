import unittest

from crm_recharge.domain.answers import DeclineClass
from crm_recharge.gateway.errors import GatewayError, GatewayUnavailable
from crm_recharge.gateway.masking import mask
from crm_recharge.gateway.stripe.declines import CONFIDENTIAL, DECLINE_CODES, classify, for_customer

# every code in Stripe's table of decline codes (https://docs.stripe.com/declines/codes)
PUBLISHED = """
authentication_not_handled authentication_required approve_with_id call_issuer card_not_supported
card_velocity_exceeded currency_not_supported do_not_honor do_not_try_again duplicate_transaction expired_card
fraudulent generic_decline incorrect_address incorrect_cvc incorrect_number incorrect_pin incorrect_zip
insufficient_funds invalid_account invalid_amount invalid_cvc invalid_expiry_month invalid_expiry_year
invalid_number invalid_pin issuer_not_available lost_card merchant_blacklist
mobile_device_authentication_required new_account_information_available no_action_taken not_permitted
offline_pin_required online_or_offline_pin_required pickup_card pin_try_exceeded processing_error
reenter_transaction restricted_card revocation_of_all_authorizations revocation_of_authorization
security_violation service_not_allowed stolen_card stop_payment_order testmode_decline transaction_not_allowed
try_again_later withdrawal_count_limit_exceeded
""".split()

# codes Stripe never retries by itself (https://docs.stripe.com/billing/revenue-recovery/smart-retries)
NEVER_RETRIED = """
incorrect_number lost_card pickup_card stolen_card revocation_of_authorization revocation_of_all_authorizations
authentication_required highest_risk_level transaction_not_allowed
""".split()


class TestDeclines(unittest.TestCase):
	def test_every_published_code_has_a_class(self):
		self.assertEqual([code for code in PUBLISHED if code not in DECLINE_CODES], [])

	def test_what_stripe_never_retries_is_never_tried_later(self):
		for code in NEVER_RETRIED:
			with self.subTest(code=code):
				self.assertIsNot(classify("card_declined", code), DeclineClass.TRY_LATER)

	def test_each_class(self):
		for code, decline_code, expected in (
			("card_declined", "stolen_card", DeclineClass.PERMANENT),
			("card_declined", "do_not_try_again", DeclineClass.PERMANENT),
			("card_declined", "insufficient_funds", DeclineClass.TRY_LATER),
			("card_declined", "generic_decline", DeclineClass.TRY_LATER),
			("card_declined", None, DeclineClass.TRY_LATER),
			("card_declined", "never_heard_of", DeclineClass.TRY_LATER),
			(None, None, DeclineClass.TRY_LATER),
			("expired_card", None, DeclineClass.EXPIRED),
			("expired_card", "expired_card", DeclineClass.EXPIRED),
			("card_declined", "authentication_required", DeclineClass.AUTHENTICATION),
			("payment_intent_authentication_failure", None, DeclineClass.AUTHENTICATION),
			("card_declined", "fraudulent", DeclineClass.FRAUD),
			("card_declined", "merchant_blacklist", DeclineClass.FRAUD),
			("processing_error", None, DeclineClass.TRY_LATER),
			("card_decline_rate_limit_exceeded", None, DeclineClass.TRY_LATER),
			("incorrect_number", None, DeclineClass.PERMANENT),
		):
			with self.subTest(code=code, decline_code=decline_code):
				self.assertIs(classify(code, decline_code), expected)

	def test_the_networks_advice_ends_hope(self):
		self.assertIs(classify("card_declined", "do_not_honor", "do_not_try_again"), DeclineClass.PERMANENT)
		self.assertIs(classify("card_declined", "do_not_honor", "try_again_later"), DeclineClass.TRY_LATER)
		self.assertIs(classify("expired_card", None, "do_not_try_again"), DeclineClass.EXPIRED)
		self.assertIs(classify("card_declined", "lost_card", "try_again_later"), DeclineClass.PERMANENT)

	def test_confidential_reasons_are_not_told(self):
		for code in CONFIDENTIAL | {None, ""}:
			self.assertEqual(for_customer(code), "generic_decline")
		self.assertEqual(for_customer("insufficient_funds"), "insufficient_funds")


class TestMasking(unittest.TestCase):
	def test_secrets_and_card_numbers_are_blotted_out(self):
		for secret, text in (
			("51Habcdef", "Invalid API Key provided: sk_test_51Habcdef"),
			("abc123DEF", "key=rk_live_abc123DEF;"),
			("standin", "sk_standin"),
			("MfKQ+zz/9=", "whsec_MfKQ+zz/9= is wrong"),
			("YrKJUKr4", "pi_3Nabc_secret_YrKJUKr4 leaked"),
			("Zk9", "seti_1Mm_secret_Zk9"),
			("dG9rZW4", "Authorization: Bearer dG9rZW4"),
			("424242424242", "card 4242424242424242 refused"),
			("4242 4242 4242", "card 4242 4242 4242 4242."),
			("3782-822463-1", "card 3782-822463-10005"),
			("6304000000000", "6304000000000000000"),
		):
			with self.subTest(text=text):
				masked = mask(text)
				self.assertNotIn(secret, masked)
				self.assertIn("*", masked)

	def test_ids_amounts_and_times_are_left_alone(self):
		for text in (
			"pi_3NirD82eZvKYlo2C1234567890123 succeeded",
			"cus_9s6XKzkNRiz8i3 paid 1234.50 USD at 1700000000",
			"req_abc 12 34 56",
			"4242",
		):
			with self.subTest(text=text):
				self.assertEqual(mask(text), text)

	def test_the_last_four_stay(self):
		self.assertEqual(mask("4000000000009995"), "************9995")

	def test_anything_can_be_masked(self):
		self.assertEqual(mask(None), "None")
		self.assertNotIn("abcd", mask(ValueError("sk_live_abcd")))

	def test_errors_mask_what_they_say(self):
		self.assertNotIn("51Habc", str(GatewayError("authentication_failure", "Invalid: sk_test_51Habc")))
		self.assertFalse(GatewayError("x", "y").retryable)
		self.assertTrue(GatewayUnavailable("timeout", "slow").retryable)
