import unittest
from unittest.mock import patch

try:
	import frappe

	from crm_recharge.gateway import registry
	from crm_recharge.gateway.stripe import settings

	SITE = getattr(frappe.local, "site", None)
except (ImportError, RuntimeError):
	frappe = SITE = None

from crm_recharge.tests.support.stripe_stand_in import StandIn

KEYS = (
	"crm_recharge_stripe_secret_key",
	"crm_recharge_stripe_webhook_secret",
	"crm_recharge_stripe_api_base",
)


@unittest.skipUnless(SITE, "no site: the settings were not read")
class TestConnect(unittest.TestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		# what the site itself is set to must not matter
		conf = patch.dict(frappe.local.conf, {key: None for key in KEYS})
		conf.start()
		self.addCleanup(conf.stop)
		self.addCleanup(self.forget)

	def forget(self):
		frappe.db.rollback()
		frappe.clear_document_cache("CRM Recharge Settings", "CRM Recharge Settings")

	def enter(self, **values):
		settings = frappe.get_doc("CRM Recharge Settings")
		# rolled back afterwards: only what the gateway reads is set, no other rule of the settings applies
		settings.flags.ignore_validate = settings.flags.ignore_mandatory = True
		settings.update(
			{
				"stripe_secret_key": "",
				"stripe_webhook_secret": "",
				"stripe_api_base": "",
				"stripe_timeout": 20,
			}
			| values
		)
		settings.save()
		frappe.clear_document_cache("CRM Recharge Settings", "CRM Recharge Settings")

	def test_without_a_key_it_says_where_to_enter_one(self):
		self.enter()
		with self.assertRaisesRegex(frappe.ValidationError, "CRM Recharge Settings.*site_config"):
			registry.connect("Stripe")
		with self.assertRaisesRegex(frappe.ValidationError, "CRM Recharge Settings.*site_config"):
			registry.adapter("Stripe").read_event(b"{}", {})

	def test_a_key_that_is_none_is_refused_without_being_shown(self):
		self.enter(stripe_secret_key="pk_test_published")
		with self.assertRaises(frappe.ValidationError) as caught:
			registry.connect("Stripe")
		self.assertNotIn("pk_test_published", str(caught.exception))

	def test_keys_from_the_settings_are_encrypted_and_used(self):
		with StandIn() as stripe:
			self.enter(
				stripe_secret_key=stripe.secret_key,
				stripe_webhook_secret="whsec_entered",
				stripe_api_base=stripe.api_base,
			)
			stored = frappe.db.get_single_value("CRM Recharge Settings", "stripe_secret_key", cache=False)
			self.assertNotIn(stripe.secret_key, str(stored))
			customer = registry.connect("Stripe").create_customer(key="k", name="From Settings")
			self.assertEqual(stripe.all("customer")[0]["id"], customer)
		self.assertEqual(settings.webhook_secret(), "whsec_entered")

	def test_site_config_goes_before(self):
		with StandIn() as stripe:
			self.enter(
				stripe_secret_key="sk_test_wrong",
				stripe_webhook_secret="x",
				stripe_api_base="http://127.0.0.1:9",
			)
			values = (stripe.secret_key, "whsec_config", stripe.api_base)
			with patch.dict(frappe.local.conf, dict(zip(KEYS, values, strict=True))):
				registry.connect("Stripe").create_customer(key="k", name="From Config")
				self.assertEqual(settings.webhook_secret(), "whsec_config")
			self.assertEqual(len(stripe.all("customer")), 1)

	def test_the_time_out_is_the_one_entered(self):
		with StandIn() as stripe:
			self.enter(stripe_secret_key=stripe.secret_key, stripe_api_base=stripe.api_base, stripe_timeout=1)
			stripe.faults.slow(2, "GET /v1/payment_intents/*")
			answer = registry.connect("Stripe").retrieve("pi_1")
			self.assertEqual(answer.code, "timeout")
			self.assertLess(answer.milliseconds, 1900)
