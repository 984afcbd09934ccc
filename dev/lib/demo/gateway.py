"""Stripe in test mode, or the stand-in: makes customers' cards and tells what was captured."""

import os
import sys
from datetime import datetime
from decimal import Decimal

import frappe
from frappe.installer import update_site_config

# Cards by what happens to them: number at the stand-in, and Stripe's own test payment method.
GOOD = ("4242424242424242", "pm_card_visa")
GOOD_TOO = ("5555555555554444", "pm_card_mastercard")
FAILS = ("4000000000000341", "pm_card_chargeCustomerFail")
EXPIRED = ("4000056655665556", "pm_card_visa_debit")
STORIES = {
	"healthy": ("healthy card", (GOOD,)),
	"declined": ("primary declined", (FAILS, GOOD)),
	"failing": ("all cards fail", (FAILS, FAILS)),
	"expired": ("primary expired", (EXPIRED, GOOD_TOO)),
}


class Gateway:
	"""Stripe in test mode, or the stand-in: makes customers' cards and tells what was captured."""

	def __init__(self):
		key = os.environ.get("STRIPE_SECRET_KEY", "")
		self.stand_in = None
		if key:
			if not key.startswith(("sk_test_", "rk_test_")):
				sys.exit(
					"STRIPE_SECRET_KEY is not a test key (sk_test_…): the demo never charges real cards."
				)
			self._configure(key, "")
			return
		from crm_recharge.tests.support.stripe_stand_in import PUBLISHABLE_KEY, SECRET_KEY, StandIn

		# dev/demo runs it beside the web server: it is still there when the desk is looked at.
		self.stand_in = StandIn.at(os.environ["CRM_RECHARGE_STAND_IN"])
		self._configure(SECRET_KEY, self.stand_in.api_base)
		frappe.db.set_single_value("CRM Recharge Settings", "stripe_publishable_key", PUBLISHABLE_KEY)

	def _configure(self, key: str, base: str):
		for name, value in (
			("crm_recharge_stripe_secret_key", key),
			("crm_recharge_stripe_api_base", base),
		):
			update_site_config(name, value, validate=False)
			frappe.local.conf[name] = value

	def save_card(self, account: str, story: tuple[str, str]) -> str:
		"""Save a card that behaves as `story` says. Returns the Recharge Card."""
		from crm_recharge.gateway.registry import connect as gateway
		from crm_recharge.recharge import cards

		customer = cards.gateway_customer(account)
		number, test_method = story
		if self.stand_in:
			method = self.stand_in.make_card(customer, number)
		else:
			method = gateway().attach(test_method, customer).payment_method
		name = cards.save(account, method)
		if story is EXPIRED:
			frappe.db.set_value("Recharge Card", name, {"exp_month": 1, "exp_year": datetime.now().year - 1})
		elif story is FAILS:
			# Each card of a customer is another card, though the test number is the same.
			frappe.db.set_value("Recharge Card", name, "fingerprint", f"demo-{name}")
		return name

	def captured(self, account: str) -> Decimal:
		"""What the gateway says it has captured for `account`."""
		customer = frappe.db.get_value("Credit Account", account, "gateway_customer")
		if self.stand_in:
			return self.stand_in.captured_total(customer, "USD")
		from crm_recharge.gateway.registry import connect as gateway

		created = frappe.db.get_value("Credit Account", account, "creation").astimezone()
		intents = [i for i in gateway().intents_since(created) if i.metadata.get("account") == account]
		return sum((i.amount for i in intents if i.outcome.value == "succeeded"), Decimal(0))
