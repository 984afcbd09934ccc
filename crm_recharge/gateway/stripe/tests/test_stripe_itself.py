import os
import unittest

from crm_recharge.gateway.stripe.gateway import StripeGateway
from crm_recharge.gateway.stripe.tests.contract import Contract

KEY = os.environ.get("STRIPE_SECRET_KEY", "")


@unittest.skipUnless(
	KEY.startswith(("sk_test_", "rk_test_")),
	"STRIPE_SECRET_KEY holds no test key: Stripe itself was not asked",
)
class TestStripeItself(Contract, unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.gateway = StripeGateway(KEY)
		cls.bad_key_gateway = StripeGateway("sk_test_thiskeyiswrong")

	def setUp(self):
		self.customer = self.gateway.create_customer(
			key=self.new_key(), name="Contract Test", email="contract@example.com"
		)
