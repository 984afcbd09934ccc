"""Who tries out stolen cards wants many card forms: one user gets few for an account, however it is spelt."""

import frappe

from crm_recharge.api import portal
from crm_recharge.tests.case import RechargeCase
from crm_recharge.tests.factories import make_account, make_user


class TestCardFormLimit(RechargeCase):
	def setUp(self):
		super().setUp()
		self.conf_for("crm_recharge_stripe_publishable_key", "pk_test_1")
		self.owner = make_user(user_type="Website User")
		self.account = make_account(account_owner=self.owner)
		frappe.db.commit()
		frappe.set_user(self.owner)
		self.addCleanup(frappe.set_user, "Administrator")

	def conf_for(self, key, value):
		before = frappe.local.conf.get(key)
		frappe.local.conf[key] = value
		self.addCleanup(frappe.local.conf.__setitem__, key, before)

	def spellings(self):
		return (self.account, f"{self.account} ", f"{self.account}   ", self.account.lower())

	def open_all(self):
		for number in range(portal.CARD_FORMS_AN_HOUR):
			portal.begin_card(self.spellings()[number % 4])

	def test_all_spellings_of_an_account_count_together(self):
		self.open_all()
		for spelling in self.spellings():
			with self.assertRaises(frappe.RateLimitExceededError) as refused:
				portal.begin_card(spelling)
			self.assertEqual(refused.exception.http_status_code, 429)

	def test_another_account_and_another_user_have_their_own(self):
		self.open_all()
		other = make_account(account_owner=self.owner)
		self.assertTrue(portal.begin_card(other)["client_secret"])
		frappe.set_user("Administrator")
		self.assertTrue(portal.begin_card(self.account)["client_secret"])

	def test_what_is_refused_is_not_counted(self):
		stranger = make_user(user_type="Website User")
		frappe.set_user(stranger)
		for _ in range(portal.CARD_FORMS_AN_HOUR + 1):
			with self.assertRaises(frappe.PermissionError):
				portal.begin_card(self.account)
		frappe.set_user(self.owner)
		self.assertTrue(portal.begin_card(self.account)["client_secret"])

	def test_the_count_ends_with_the_hour(self):
		portal.begin_card(self.account)
		key = frappe.cache.make_key(f"crm_recharge:card_forms:{self.account}:{self.owner}")
		self.assertTrue(0 < frappe.cache.ttl(key) <= portal.HOUR)
