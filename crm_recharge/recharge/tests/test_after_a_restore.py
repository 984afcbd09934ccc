"""What a restored backup has forgotten is looked up before a card is charged; any period can be reconciled."""

from datetime import datetime, timedelta, timezone

import frappe
from click.testing import CliRunner

from crm_recharge import clock, commands
from crm_recharge.domain import payment
from crm_recharge.gateway.stripe import gateway as stripe_gateway
from crm_recharge.recharge import reconcile, worker
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import FAILS, GOOD
from crm_recharge.tests.support.site_clock import site_clock

ATTEMPTS = ("Recharge Attempt", "recharge")
HOUR = timedelta(hours=1)


class RestoreCase(TakebackCase):
	def backup(self, account: str) -> dict:
		"""What a backup would hold of an account."""
		frappe.db.commit()
		tables = ("Recharge", "Recharge Attempt", "Credit Ledger", "Credit Lot", "Recharge Card")
		rows = {t: frappe.get_all(t, {"credit_account": account}, "*") for t in tables}
		return rows | {"Credit Account": frappe.get_all("Credit Account", {"name": account}, "*")}

	def restore(self, account: str, rows: dict):
		frappe.db.rollback()
		for table, kept in rows.items():
			frappe.db.delete(table, {"name" if table == "Credit Account" else "credit_account": account})
			for row in kept:
				columns = ", ".join(f"`{column}`" for column in row)
				marks = ", ".join(["%s"] * len(row))
				frappe.db.sql(f"INSERT INTO `tab{table}` ({columns}) VALUES ({marks})", tuple(row.values()))
		frappe.db.commit()

	def asked(self, recharge: str) -> list[str]:
		return [i["status"] for i in self.stripe.intents() if i["metadata"].get("recharge") == recharge]

	def made_long_ago(self, recharge: str, age: timedelta):
		"""As if backup and payment were from so long ago."""
		frappe.db.sql(
			"UPDATE `tabRecharge` SET `creation` = %s WHERE `name` = %s", (clock.later(-age), recharge)
		)
		frappe.db.commit()
		created = int((datetime.now(timezone.utc) - age).timestamp())
		for intent in self.stripe.intents():
			if intent["metadata"].get("recharge") == recharge:
				self.stripe.control(
					"tamper", kind="payment_intent", id=intent["id"], values={"created": created}
				)
		self.stripe.control("forget_keys")


class TestRestored(RestoreCase):
	def test_a_recharge_that_was_queued_in_the_backup_is_not_charged_twice(self):
		for age in (30 * HOUR, 20 * 24 * HOUR):
			account = self.account_with(FAILS, GOOD)
			recharge = self.use(account, 460)["recharge"]
			rows = self.backup(account)
			self.assertEqual(self.work(recharge), "Succeeded")
			self.assertEqual(sorted(self.asked(recharge)), ["canceled", "succeeded"])
			self.restore(account, rows)
			self.assertEqual(self.row("Recharge", recharge).status, "Queued")
			self.made_long_ago(recharge, age)
			self.assertEqual(self.work(recharge), "Succeeded")
			self.assertEqual(sorted(self.asked(recharge)), ["canceled", "succeeded"])
			self.assertEqual(self.balance(account), 500)
			self.assert_books(account)

	def test_one_that_was_never_asked_for_is_charged_as_usual(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		self.made_long_ago(recharge, 40 * HOUR)
		self.assertEqual(self.work(recharge), "Succeeded")
		self.assertEqual(self.asked(recharge), ["succeeded"])

	def test_while_the_gateway_cannot_be_searched_nothing_is_charged(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		self.made_long_ago(recharge, 40 * HOUR)
		self.stripe.faults.error_before("GET /v1/payment_intents", count=None)
		self.assertEqual(self.work(recharge), "waiting")
		self.assertEqual(self.asked(recharge), [])
		self.assertGreater(self.row("Recharge", recharge).next_try_at, clock.now_datetime())

	def test_a_card_that_had_failed_is_not_tried_again(self):
		account = self.account_with(FAILS)
		recharge = self.use(account, 460)["recharge"]
		rows = self.backup(account)
		self.assertEqual(self.work(recharge), "Failed")
		self.restore(account, rows)
		frappe.db.set_value("Recharge Card", {"credit_account": account}, "status", "Active")
		self.made_long_ago(recharge, 40 * HOUR)
		self.assertEqual(self.work(recharge), "Failed")
		self.assertEqual(self.asked(recharge), ["canceled"])
		attempts = frappe.get_all("Recharge Attempt", {"recharge": recharge}, ["number", "intent", "card"])
		self.assertEqual([(a.number, bool(a.intent), bool(a.card)) for a in attempts], [(1, True, True)])

	def test_one_that_is_called_off_after_the_restore_is_searched_for(self):
		from crm_recharge.api import recharge as api

		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		rows = self.backup(account)
		self.assertEqual(self.work(recharge), "Succeeded")
		self.restore(account, rows)
		self.made_long_ago(recharge, 40 * HOUR)
		self.assertEqual(api.cancel(recharge)["status"], "Succeeded")
		self.assertEqual(self.balance(account), 500)


class TestClocks(RestoreCase):
	def test_an_attempt_is_found_though_the_clock_was_wrong_when_it_was_made(self):
		for wrong in (timedelta(minutes=20), timedelta(minutes=-20), 5 * HOUR, -5 * HOUR):
			account = self.account_with(GOOD)
			then = datetime.now(timezone.utc) + wrong
			with site_clock(then, frappe.utils.get_system_timezone()):
				recharge = self.use(account, 460)["recharge"]
				self.stripe.faults.lost_after("POST /v1/payment_intents")
				self.assertEqual(worker.carry_out(recharge), "waiting")
			self.stripe.control("forget_keys")
			# Set right, and past the time in which the key would be asked again.
			with site_clock(then + payment.REPLAY_WINDOW + HOUR, frappe.utils.get_system_timezone()):
				self.assertEqual(worker.carry_out(recharge), "Succeeded")
			self.assertEqual(self.asked(recharge), ["succeeded"])
			self.assertEqual(self.balance(account), 500)

	def test_a_key_is_not_asked_again_by_a_clock_that_was_half_a_day_wrong(self):
		"""Twelve hours of a clock that lost eleven are twenty-three, and the gateway forgets after twenty-four."""
		self.assertLessEqual(payment.REPLAY_WINDOW + 11 * HOUR, 23 * HOUR)
		self.assertGreaterEqual(stripe_gateway.CLOCK_TOLERANCE, timedelta(days=1))


class TestAnyPeriod(RestoreCase):
	def missed(self, age: timedelta) -> tuple[str, str]:
		"""A payment of so long ago that nobody here has heard of."""
		account = self.account_with(FAILS)
		recharge = self.use(account, 460)["recharge"]
		self.work(recharge)
		customer = self.value("Credit Account", account, "gateway_customer")
		from decimal import Decimal

		from crm_recharge.gateway import home

		self.stripe.gateway().charge(
			key=frappe.generate_hash(),
			amount=Decimal(460),
			currency="USD",
			customer=customer,
			payment_method=self.stripe.make_card(customer),
			metadata={"recharge": recharge, "account": account, **home.marks()},
		)
		self.made_long_ago(recharge, age)
		return account, recharge

	def run_command(self, *arguments: str):
		"""`bench crm-recharge-reconcile`, in this process."""
		with_site = {"sites": [frappe.local.site], "profile": False}
		frappe.db.commit()
		return CliRunner().invoke(commands.reconcile_command, arguments, obj=with_site, standalone_mode=False)

	def test_a_command_reconciles_any_period_and_tells_what_it_did(self):
		account, recharge = self.missed(60 * 24 * HOUR)
		reconcile.reconcile_recent()
		reconcile.reconcile_days()
		self.assertEqual(self.row("Recharge", recharge).status, "Failed")
		start = (datetime.now(timezone.utc) - timedelta(days=70)).date().isoformat()
		end = (datetime.now(timezone.utc) - timedelta(days=50)).date().isoformat()
		report: list[str] = []
		counts = commands.reconcile_and_report(start, end, dry_run=True, say=report.append)
		self.assertEqual(counts.get("settle"), 1)
		self.assertEqual(self.row("Recharge", recharge).status, "Failed", "only told")
		self.assertTrue(any(recharge in line for line in report), report)
		self.assertFalse(frappe.db.exists("Gateway Difference", {"recharge": recharge}))
		counts = commands.reconcile_and_report(start, end, say=report.append)
		self.assertEqual(counts.get("settle"), 1)
		self.assertEqual(self.row("Recharge", recharge).status, "Succeeded")
		self.assertEqual(self.balance(account), 500)
		self.assertEqual(commands.reconcile_and_report(start, end, say=report.append).get("settle"), None)

	def test_a_period_that_makes_no_sense_is_refused(self):
		for start, end in (("yesterday", None), ("2026-02-01", "2026-01-01"), ("2026-13-01", None)):
			with self.assertRaises(commands.BadPeriod):
				commands.reconcile_and_report(start, end, say=lambda line: None)
