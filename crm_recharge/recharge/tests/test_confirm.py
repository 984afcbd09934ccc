"""A payment that needs its card holder is resumed from the mailed link, on the gateway's own page."""

from urllib.parse import parse_qs, urlsplit

import frappe

from crm_recharge.domain import payment
from crm_recharge.recharge import confirm, links, worker
from crm_recharge.recharge.performer import perform
from crm_recharge.tests.case import GOOD, LOST, RechargeCase

AUTHENTICATE = "4000002760003184"


class TestConfirm(RechargeCase):
	def waiting(self) -> tuple[str, str, str]:
		"""A recharge that waits for its card holder. Returns account, recharge, token."""
		account = self.account_with(AUTHENTICATE)
		recharge = self.use(account, 460)["recharge"]
		self.assertEqual(self.work(recharge), "Action Required")
		token = parse_qs(urlsplit(links.confirm_link(recharge)).query)["token"][0]
		return account, recharge, token

	def session_of(self, recharge: str) -> str:
		return frappe.db.get_value(
			"Recharge Attempt", {"recharge": recharge, "card": ["is", "not set"]}, "checkout_session"
		)

	def test_confirmed_on_the_page_it_is_credited_once(self):
		account, recharge, token = self.waiting()
		# The open intent of the card was closed: only the page can pay.
		self.assertEqual(
			[
				i["status"]
				for i in self.stripe.intents(self.value("Credit Account", account, "gateway_customer"))
			],
			["canceled"],
		)
		self.assertEqual(self.value("Credit Account", account, "open_recharge"), recharge)
		self.assertTrue(confirm.show(token)["waiting"])
		url = confirm.start(token)
		self.assertEqual(confirm.start(token), url)
		self.stripe.control("complete_checkout", session=self.session_of(recharge), number=GOOD)
		shown = confirm.finish(token)
		self.assertTrue(shown["paid"])
		self.assertTrue(confirm.finish(token)["paid"])
		self.assertEqual(self.value("Recharge", recharge, "status"), "Succeeded")
		self.assertEqual(self.value("Credit Account", account, ["balance", "open_recharge"]), (500, None))
		self.assertTrue(frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account}, "enabled"))
		self.assertEqual(self.captured(account), 460)
		self.assert_books(account)
		with self.assertRaises(frappe.ValidationError):
			confirm.start(token)

	def test_while_it_waits_nothing_else_is_charged(self):
		account, recharge, _token = self.waiting()
		self.assertFalse(self.use(account, 1)["recharge_started"])
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account}), 1)

	def test_a_browser_that_only_says_so_pays_nothing(self):
		account, recharge, token = self.waiting()
		confirm.start(token)
		self.assertFalse(confirm.finish(token)["paid"])
		self.assertEqual(self.value("Recharge", recharge, "status"), "Action Required")
		self.assertEqual(self.value("Credit Account", account, "balance"), 40)

	def test_nobody_came_it_fails_and_is_told(self):
		account, recharge, token = self.waiting()
		frappe.db.set_value("Recharge", recharge, "next_try_at", "2026-01-01")
		frappe.db.commit()
		self.assertEqual(perform(payment.expire_action(account, recharge)), "Failed")
		self.assertFalse(frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account}, "enabled"))
		self.assertIsNone(self.value("Credit Account", account, "open_recharge"))
		with self.assertRaises(frappe.ValidationError):
			confirm.start(token)
		self.assertEqual(worker.carry_out(recharge), "Failed")

	def test_paid_after_it_was_given_up_it_still_counts(self):
		account, recharge, token = self.waiting()
		confirm.start(token)
		session = self.session_of(recharge)
		frappe.db.set_value("Recharge", recharge, "next_try_at", "2026-01-01")
		frappe.db.commit()
		perform(payment.expire_action(account, recharge))
		self.stripe.control("complete_checkout", session=session, number=GOOD)
		confirm.finish(token)
		self.assertEqual(self.value("Recharge", recharge, "status"), "Succeeded")
		self.assert_books(account)

	def test_links_are_good_for_one_recharge_only(self):
		_account, _recharge, token = self.waiting()
		for bad in ("", token[:-2] + "xx", links.make("reorder", "RC-1", 3)):
			with self.assertRaises(frappe.PermissionError):
				confirm.start(bad)

	def test_the_mail_has_the_link_when_another_card_failed_too(self):
		account = self.account_with(AUTHENTICATE, LOST)
		recharge = self.use(account, 460)["recharge"]
		self.assertEqual(self.work(recharge), "Action Required")
		statuses = frappe.get_all(
			"Recharge Attempt", {"recharge": recharge}, pluck="status", order_by="number"
		)
		self.assertEqual(statuses, ["Needs Authentication", "Declined"])
		log = (
			frappe.get_last_doc("Notification Log", {"document_name": recharge})
			if frappe.db.exists("Notification Log", {"document_name": recharge})
			else None
		)
		if log:
			self.assertIn("recharge-confirm?token=", log.email_content)
