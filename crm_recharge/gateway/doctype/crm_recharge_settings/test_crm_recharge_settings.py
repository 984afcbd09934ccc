"""Settings refuse what could not work when it is needed, each with what to do."""

from decimal import Decimal

import frappe

from crm_recharge.api import settings as api
from crm_recharge.gateway.stripe import settings
from crm_recharge.gateway.stripe.adapter import StripeAdapter
from crm_recharge.tests.compat import NO_RECORDS, BenchTestCase
from crm_recharge.tests.support.stripe_stand_in import (
	KEY_WITHOUT_RIGHTS,
	PUBLISHABLE_KEY,
	SECRET_KEY,
	StandIn,
)

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = NO_RECORDS

CONF = (
	"crm_recharge_stripe_secret_key",
	"crm_recharge_stripe_api_base",
	"crm_recharge_stripe_publishable_key",
)


class SettingsCase(BenchTestCase):
	def setUp(self):
		super().setUp()
		frappe.set_user("Administrator")
		self.addCleanup(self.put_back, {key: frappe.local.conf.get(key) for key in CONF})
		for key in CONF:
			frappe.local.conf[key] = None

	def put_back(self, conf):
		frappe.local.conf.update(conf)
		frappe.db.rollback()
		frappe.clear_document_cache("CRM Recharge Settings", "CRM Recharge Settings")

	def save(self, **values):
		doc = frappe.get_doc("CRM Recharge Settings")
		doc.update(values)
		doc.save()
		return doc

	def refused(self, word: str, **values):
		"""Saving `values` is refused, in a text that names `word`."""
		with self.assertRaises(frappe.ValidationError) as caught:
			self.save(**values)
		self.assertIn(word, str(caught.exception))


class TestSettings(SettingsCase):
	def test_what_is_usual_can_be_saved(self):
		doc = self.save(
			stripe_secret_key=" sk_test_abc ",
			stripe_publishable_key="pk_test_abc",
			stripe_webhook_secret="whsec_abc",
			stripe_timeout=20,
			admin_recipients="one@example.com, two@example.com;one@example.com",
			preset_amounts="100, 25.50,50",
		)
		self.assertEqual(doc.get_password("stripe_secret_key"), "sk_test_abc")
		self.assertEqual(doc.preset_amounts, "25.5, 50, 100")
		self.assertEqual(doc.presets(), [Decimal("25.5"), 50, 100])
		self.assertEqual(doc.admin_recipients, "one@example.com\ntwo@example.com")
		# Saved again, the form sends asterisks in the keys' place.
		again = self.save(stripe_timeout=10)
		self.assertEqual(again.get_password("stripe_secret_key"), "sk_test_abc")

	def test_keys_begin_as_stripe_s_do(self):
		self.refused("Secret Key must begin with sk_ / rk_", stripe_secret_key="pk_test_abc")
		self.refused("Publishable Key must begin with pk_", stripe_publishable_key="sk_test_abc")
		self.refused("Webhook Signing Secret must begin with whsec_", stripe_webhook_secret="sk_test_abc")
		self.save(stripe_secret_key="rk_test_abc")

	def test_a_pair_of_keys_is_of_one_mode(self):
		self.refused("one mode", stripe_secret_key="sk_live_abc", stripe_publishable_key="pk_test_abc")
		self.save(stripe_secret_key="sk_live_abc", stripe_publishable_key="pk_live_abc")

	def test_a_live_key_goes_to_stripe_alone(self):
		self.refused("live key", stripe_secret_key="sk_live_abc", stripe_api_base="https://elsewhere.example")
		# The key may have been saved long before the address.
		self.save(stripe_secret_key="sk_live_abc", stripe_publishable_key=None)
		self.refused("live key", stripe_api_base="https://elsewhere.example")

	def test_nor_does_one_of_the_site_s_own_file(self):
		self.save(stripe_secret_key="sk_test_abc", stripe_publishable_key=None)
		frappe.local.conf.crm_recharge_stripe_secret_key = "sk_live_abc"
		self.refused("live key", stripe_api_base="https://elsewhere.example")

	def test_an_address_is_one(self):
		for address in ("elsewhere", "ftp://elsewhere.example", "http://"):
			self.refused("web address", stripe_api_base=address)
		self.assertEqual(
			self.save(stripe_api_base="http://127.0.0.1:8420/").stripe_api_base, "http://127.0.0.1:8420"
		)

	def test_the_time_out_is_within_reason(self):
		for seconds in (0, 31):
			self.refused("between 1 and 30", stripe_timeout=seconds)
		for seconds in (1, 30):
			self.save(stripe_timeout=seconds)

	def test_limits_of_a_payment(self):
		self.refused("must be below", minimum_payment=100, maximum_payment=100)
		self.refused("above zero", minimum_payment=0)
		self.save(minimum_payment=1, maximum_payment=20000)

	def test_the_defaults_of_auto_recharge_must_be_possible(self):
		self.refused("Default Recharge Up To", default_falls_below=500, default_recharge_up_to=500)
		self.refused("Default Recharge Up To", default_falls_below=50, default_recharge_up_to=52)
		self.refused("Default Recharge Up To", default_recharge_up_to=20000)

	def test_usual_amounts_can_be_paid(self):
		self.refused("ten is not an amount", preset_amounts="25, ten")
		self.refused("nan is not an amount", preset_amounts="25, nan")
		self.refused("3 is outside", preset_amounts="3, 25")
		self.refused("20000 is outside", preset_amounts="25, 20000")
		self.refused("at most 10", preset_amounts=", ".join(str(n) for n in range(10, 21)))
		self.assertEqual(self.save(preset_amounts="50, 25, 50,").preset_amounts, "25, 50")
		self.assertEqual(self.save(preset_amounts="").presets(), [])

	def test_addresses_of_people(self):
		self.refused("nobody is not an e-mail address", admin_recipients="a@example.com\nnobody")

	def test_a_company_is_set_up_once_and_with_its_own_accounts(self):
		doc = frappe.get_doc("CRM Recharge Settings")
		row = doc.companies[0].as_dict()
		self.refused("already in row 1", companies=[row, row | {"name": None, "idx": 2}])
		account = frappe.get_doc("Account", row.clearing_account)
		# Of another company, straight into the table: what is tested is the settings' own look.
		account.db_set("company", "Another Company")
		self.refused("belongs to Another Company", companies=[row])


class TestDefaultsReachNewSettings(SettingsCase):
	def test_a_new_auto_recharge_setting_takes_the_defaults(self):
		from crm_recharge.tests.factories import make_account, make_setting

		self.save(default_falls_below=70, default_recharge_up_to=700)
		setting = frappe.get_doc("Auto-Recharge Setting", make_setting(make_account(), enabled=0))
		self.assertEqual((setting.falls_below, setting.recharge_up_to), (70, 700))
		zero = make_setting(make_account(), enabled=0, falls_below=0)
		self.assertEqual(frappe.db.get_value("Auto-Recharge Setting", zero, "falls_below"), 0)


class TestConnection(SettingsCase):
	def test_a_gateway_that_answers(self):
		with StandIn() as stripe:
			self.use(SECRET_KEY, stripe.api_base)
			answer = api.test_connection()
			self.assertTrue(answer["ok"])
			self.assertFalse(answer["live"])
			self.assertIn(stripe.api_base, answer["message"])
			self.assertEqual(stripe.intents(), [], "asking moves no money")

	def test_a_key_that_is_refused_says_why(self):
		with StandIn() as stripe:
			self.use("sk_test_wrong", stripe.api_base)
			self.assertIn("Invalid API Key", self.failure())
			self.use(KEY_WITHOUT_RIGHTS, stripe.api_base)
			self.assertIn("permissions", self.failure())

	def test_a_gateway_that_is_away(self):
		with StandIn() as stripe:
			address = stripe.api_base
		self.use(SECRET_KEY, address)
		self.assertTrue(self.failure())

	def test_no_key_at_all_says_where_to_enter_it(self):
		self.save(stripe_secret_key="")
		with self.assertRaises(frappe.ValidationError) as caught:
			api.test_connection()
		self.assertIn("CRM Recharge Settings", str(caught.exception))

	def use(self, key, address):
		frappe.local.conf.crm_recharge_stripe_secret_key = key
		frappe.local.conf.crm_recharge_stripe_api_base = address

	def failure(self) -> str:
		answer = api.test_connection()
		self.assertFalse(answer["ok"])
		return answer["message"]

	def test_what_browsers_may_know(self):
		self.assertIsNone(settings.custom_address())
		self.assertEqual(settings.script_address(), "https://js.stripe.com/v3/")
		self.save(stripe_secret_key="sk_test_abc", stripe_publishable_key=PUBLISHABLE_KEY)
		self.assertEqual(settings.publishable_key(), PUBLISHABLE_KEY)
		self.assertEqual(
			StripeAdapter().payment_address("pi_1"), "https://dashboard.stripe.com/test/payments/pi_1"
		)
		self.assertIsNone(StripeAdapter().payment_address(None))
		self.save(stripe_secret_key="sk_live_abc", stripe_publishable_key="pk_live_abc")
		self.assertEqual(
			StripeAdapter().payment_address("pi_1"), "https://dashboard.stripe.com/payments/pi_1"
		)
		self.use(SECRET_KEY, "http://127.0.0.1:1/")
		self.assertEqual(settings.script_address(), "http://127.0.0.1:1/v3/")
		self.assertIsNone(StripeAdapter().payment_address("pi_1"))

	def test_what_to_enter_at_stripe(self):
		webhook = api.webhook()
		self.assertTrue(
			webhook["address"].endswith("/api/method/crm_recharge.api.gateway.webhook?gateway=Stripe")
		)
		self.assertIn("payment_intent.succeeded", webhook["events"])
