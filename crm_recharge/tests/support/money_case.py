"""Ground for tests of credits and recharges: books proved after each test, jobs kept instead of queued."""

from unittest.mock import patch

import frappe

from crm_recharge.tests import factories
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.support.books import breaches
from crm_recharge.tests.support.stripe_stand_in import StandIn


def retire(user: str):
	"""Disable a user of a test, or all managers of all runs would be told of each failure."""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	frappe.db.set_value("User", user, "enabled", 0)
	frappe.db.commit()


class MoneyTestCase(BenchTestCase):
	"""What is written here is committed, as in life; every record has a name of its own."""

	def setUp(self):
		super().setUp()
		frappe.set_user("Administrator")
		frappe.db.rollback()
		self.accounts: list[str] = []
		self.mark = frappe.generate_hash(length=8)
		self.jobs: list[dict] = []
		patcher = patch("frappe.enqueue", self.keep_job)
		patcher.start()
		self.addCleanup(patcher.stop)
		self.addCleanup(self.prove_books)

	def keep_job(self, method, **arguments):
		"""Stands in for frappe.enqueue."""
		self.jobs.append({"method": method, **arguments})

	def prove_books(self):
		"""Rule 1 and the chain, for every account of the test."""
		frappe.set_user("Administrator")
		frappe.db.rollback()
		# What a test left queued is nobody's to sweep up later.
		for account in self.accounts:
			frappe.db.sql(
				"UPDATE `tabRecharge` SET `status` = 'Cancelled' WHERE `credit_account` = %s"
				" AND `status` IN ('Queued', 'Charging', 'Action Required')",
				account,
			)
		frappe.db.commit()
		for account in self.accounts:
			self.assertEqual(breaches(account), [], account)

	def account(self, credits=None, **values) -> str:
		"""A committed account holding `credits`."""
		name = factories.make_account(**values)
		self.accounts.append(name)
		if credits is not None:
			factories.give(name, credits)
		frappe.db.commit()
		return name

	def user(self, *roles: str, **values) -> str:
		"""A committed user for the time of the test."""
		name = factories.make_user(*roles, **values)
		frappe.db.commit()
		self.addCleanup(retire, name)
		return name

	def state(self, account: str) -> tuple:
		"""All that a movement changes: the account's book columns, and how many rows there are of everything."""
		book = frappe.db.sql(
			"SELECT CAST(`balance` AS CHAR), `sequence`, `last_hash`, `open_lots`, `open_recharge`"
			" FROM `tabCredit Account` WHERE `name` = %s",
			account,
		)
		counts = [
			frappe.db.sql(f"SELECT COUNT(*) FROM `tab{doctype}` WHERE `credit_account` = %s", account)[0][0]
			for doctype in ("Credit Ledger", "Credit Lot", "Recharge", "Recharge Decision")
		]
		return book, counts

	def queued(self, kind: str) -> list[dict]:
		"""The jobs for a kind of work."""
		return [job for job in self.jobs if job.get("kind") == kind]


class GatewayTestCase(MoneyTestCase):
	"""With the stand-in for Stripe as the site's gateway, in this process."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.stripe = StandIn().start()
		cls.addClassCleanup(cls.stripe.stop)

	def setUp(self):
		super().setUp()
		self.stripe.faults.clear()
		for key, value in self.gateway_conf().items():
			frappe.local.conf[key] = value
			self.addCleanup(frappe.local.conf.pop, key, None)

	def gateway_conf(self) -> dict:
		"""Site configuration that points the gateway at the stand-in."""
		return {
			"crm_recharge_stripe_secret_key": self.stripe.secret_key,
			"crm_recharge_stripe_api_base": self.stripe.api_base,
		}

	def card(self, account: str, number: str = "4242424242424242", **more) -> str:
		"""A saved card that behaves as Stripe's test number.

		Its fingerprint is this test's own: declines of earlier tests must not count against the card.
		"""
		name = factories.make_card(account, self.stripe, number, **more)
		fingerprint = frappe.db.get_value("Recharge Card", name, "fingerprint")
		frappe.db.set_value("Recharge Card", name, "fingerprint", f"{fingerprint}-{self.mark}")
		frappe.db.commit()
		return name

	def calls(self, since: int = 0, path: str = "/v1/payment_intents") -> list[dict]:
		"""The stand-in's log of POSTs to `path`, from entry `since` on."""
		return [
			call for call in self.stripe.log()[since:] if call["method"] == "POST" and call["path"] == path
		]
