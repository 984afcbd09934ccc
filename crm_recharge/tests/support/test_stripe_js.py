import shutil
import unittest
from decimal import Decimal

from crm_recharge.domain.answers import Outcome
from crm_recharge.tests.support.stripe_stand_in import PUBLISHABLE_KEY, StandIn

try:
	from playwright.sync_api import sync_playwright
except ImportError:
	sync_playwright = None

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@unittest.skipUnless(
	sync_playwright and CHROMIUM, "no playwright or no Chromium: the browser's side was not tried"
)
class TestStripeJs(unittest.TestCase):
	@classmethod
	def setUpClass(cls):
		cls.stripe = StandIn().start()
		cls.gateway = cls.stripe.gateway()
		cls.playwright = sync_playwright().start()
		cls.browser = cls.playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

	@classmethod
	def tearDownClass(cls):
		cls.browser.close()
		cls.playwright.stop()
		cls.stripe.stop()

	def setUp(self):
		self.customer = self.stripe.make_customer()
		self.page = self.browser.new_page()
		self.addCleanup(self.page.close)
		self.page.set_content(
			f'<div id="card"></div><button id="go">Go</button><p id="said"></p>'
			f'<script src="{self.stripe.api_base}/js.stripe.com/v3/"></script>'
		)
		self.page.wait_for_function("() => Boolean(window.Stripe)")

	def begin(self, script: str):
		self.page.evaluate(
			f"""() => {{
				const stripe = Stripe("{PUBLISHABLE_KEY}"), elements = stripe.elements(), card = elements.create("card");
				card.mount("#card");
				document.querySelector("#go").onclick = async () => {{
					const result = await ({script});
					const said = result.error ? result.error.code : (result.setupIntent || result.paymentIntent).status;
					document.querySelector("#said").textContent = said;
				}};
			}}"""
		)

	def fill(self, number, expiry="12 / 34", cvc="123"):
		self.page.fill('[name="card-number"]', number)
		self.page.fill('[name="card-expiry"]', expiry)
		self.page.fill('[name="card-cvc"]', cvc)
		self.page.click("#go")

	def said(self) -> str:
		self.page.wait_for_function("() => document.querySelector('#said').textContent")
		return self.page.text_content("#said")

	def setup_intent(self, key):
		id_, secret = self.gateway.create_setup_intent(self.customer, key=key)
		self.begin(f'stripe.confirmCardSetup("{secret}", {{payment_method: {{card}}}})')
		return id_

	def test_saving_a_card(self):
		id_ = self.setup_intent("js-1")
		self.fill("4242 4242 4242 4242")
		self.assertEqual(self.said(), "succeeded")
		card = self.gateway.retrieve_card(self.gateway.retrieve_setup_intent(id_).payment_method)
		self.assertEqual((card.last4, card.customer), ("4242", self.customer))

	def test_a_refused_card(self):
		self.setup_intent("js-2")
		self.fill("4000 0000 0000 9995")
		self.assertEqual(self.said(), "card_declined")

	def test_an_unfinished_form_asks_nobody(self):
		self.setup_intent("js-3")
		calls = len(self.stripe.log())
		self.fill("4242")
		self.assertEqual(self.said(), "incomplete_number")
		self.assertEqual(len(self.stripe.log()), calls)

	def test_the_bank_asks_while_saving(self):
		for number, button, expected in (
			("js-4", "Complete authentication", "succeeded"),
			("js-5", "Fail authentication", "setup_intent_authentication_failure"),
		):
			self.setUp()
			self.setup_intent(number)
			self.fill("4000002500003155")
			self.page.click(f"text={button}")
			self.assertEqual(self.said(), expected)

	def test_a_payment_is_resumed(self):
		card = self.stripe.make_card(self.customer, "4000002760003184")
		answer = self.gateway.charge(
			key="js-6", amount=Decimal(20), currency="USD", customer=self.customer, payment_method=card
		)
		self.assertIs(answer.outcome, Outcome.NEEDS_AUTHENTICATION)
		secret = self.gateway.client_secret(answer.intent)
		self.begin(f'stripe.confirmCardPayment("{secret}", {{payment_method: "{card}"}})')
		self.page.click("#go")
		self.page.click("text=Complete authentication")
		self.assertEqual(self.said(), "succeeded")
		self.assertIs(self.gateway.retrieve(answer.intent).outcome, Outcome.SUCCEEDED)

	def test_the_hosted_page(self):
		session = self.stripe.control(
			"create_checkout",
			amount=3000,
			currency="usd",
			customer=self.customer,
			success_url=self.stripe.api_base,
		)
		self.page.goto(session["url"])
		self.page.fill("[name=number]", "4000 0000 0000 9995")
		self.page.click("text=Pay")
		self.assertIn("insufficient funds", self.page.text_content("[role=alert]"))
		self.page.fill("[name=number]", "4000 0027 6000 3184")
		self.page.click("text=Pay")
		self.page.click("text=Complete authentication")
		self.page.wait_for_url(self.stripe.api_base + "/")
		self.assertEqual(self.stripe.captured_total(self.customer), 30)
