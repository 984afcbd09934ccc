"""The base of bench tests that charge cards: a stand-in for Stripe, accounts with cards, usage."""

import frappe

from crm_recharge.credits import ledger, usage
from crm_recharge.recharge import cards
from crm_recharge.recharge.worker import carry_out
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.factories import make_account
from crm_recharge.tests.support.stripe_stand_in import SECRET_KEY, StandIn

GOOD, GOOD_TOO, FAILS, POOR, LOST = (
	"4242424242424242",
	"5555555555554444",
	"4000000000000341",
	"4000000000009995",
	"4000000000009987",
)
WEBHOOK_SECRET = "whsec_test_secret"


class RechargeCase(BenchTestCase):
	"""Each class has a stand-in of its own; this process' configuration names it, no other's."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		cls.stripe = StandIn().start()
		cls.addClassCleanup(cls.stripe.stop)
		cls.conf_before = {}
		for key, value in (
			("crm_recharge_stripe_secret_key", SECRET_KEY),
			("crm_recharge_stripe_api_base", cls.stripe.api_base),
			("crm_recharge_stripe_webhook_secret", WEBHOOK_SECRET),
		):
			cls.conf_before[key] = frappe.local.conf.get(key)
			frappe.local.conf[key] = value

	@classmethod
	def tearDownClass(cls):
		for key, value in cls.conf_before.items():
			frappe.local.conf[key] = value
		frappe.db.rollback()
		super().tearDownClass()

	def setUp(self):
		super().setUp()
		frappe.set_user("Administrator")
		self.stripe.faults.clear()

	def account_with(self, *numbers: str, balance=500, enabled: bool = True, **setting) -> str:
		"""An account with `balance`, a card for each number, and auto-recharge 50 → 500 over them, in order."""
		account = make_account()
		customer = cards.gateway_customer(account)
		names = [self.save_card(account, customer, number) for number in numbers]
		if balance:
			ledger.grant(account, balance, "opening", note="test")
		values = {"falls_below": 50, "recharge_up_to": 500, "cap_count_hour": 0, "cap_count_day": 0} | setting
		frappe.get_doc(
			{
				"doctype": "Auto-Recharge Setting",
				"credit_account": account,
				"enabled": int(enabled),
				"cards": [{"card": name} for name in names],
				**values,
			}
		).insert()
		frappe.db.commit()
		return account

	def save_card(self, account: str, customer: str, number: str) -> str:
		name = cards.save(account, self.stripe.make_card(customer, number))
		# Test numbers repeat; real cards of one customer do not.
		frappe.db.set_value("Recharge Card", name, "fingerprint", f"test-{name}")
		return name

	def use(self, account: str, amount, key: str | None = None) -> dict:
		"""Charge and commit."""
		answer = usage.charge(
			account, {"amount": str(amount), "idempotency_key": key or frappe.generate_hash(length=12)}
		)
		frappe.db.commit()
		return answer

	def work(self, recharge: str) -> str:
		return carry_out(recharge)

	def value(self, doctype: str, name: str, field):
		frappe.db.rollback()
		return frappe.db.get_value(doctype, name, field)

	def captured(self, account: str):
		return self.stripe.captured_total(self.value("Credit Account", account, "gateway_customer"))

	def assert_books(self, account: str):
		"""Rule 1, and the chain."""
		from crm_recharge.credits.proof import verify

		frappe.db.rollback()
		proof = verify(account)
		self.assertEqual(proof["breaks"], [])
