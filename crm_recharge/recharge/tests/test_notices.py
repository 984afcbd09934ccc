"""Who is told, and that a mail which cannot be made or queued leaves a trace and holds up no money."""

import email
import email.policy
from unittest.mock import patch

import frappe

from crm_recharge.credits import usage
from crm_recharge.recharge import by_hand, decisions, notices, worker
from crm_recharge.tests import factories
from crm_recharge.tests.support.money_case import GatewayTestCase

LOST, POOR, DECLINED = "4000000000009987", "4000000000009995", "4000000000000341"


class TestNotices(GatewayTestCase):
	def setUp(self):
		super().setUp()
		self.outgoing()
		self.owner = self.user("Credit User", first_name="Olga")
		self.manager = self.user("Credit Manager")

	def outgoing(self, there: bool = True):
		"""An outgoing e-mail account, by this process' configuration, or none; no account of the site is touched."""
		if there:
			frappe.local.conf.update({"mail_server": "localhost", "auto_email_id": "credits@test.example"})
			for key in ("mail_server", "auto_email_id"):
				self.addCleanup(frappe.local.conf.pop, key, None)
		else:
			frappe.local.conf.pop("mail_server", None)
			account = "frappe.email.doctype.email_account.email_account"
			for target in (f"{account}.EmailAccount.find_one_by_filters", f"{account}.are_emails_muted"):
				patcher = patch(target, lambda *args, **filters: None)
				patcher.start()
				self.addCleanup(patcher.stop)
		frappe.local.outgoing_email_account = {}
		self.addCleanup(setattr, frappe.local, "outgoing_email_account", {})

	def failed(self, *numbers: str, **values) -> str:
		"""An automatic recharge for which every card fails; returns its name."""
		account = self.account("60", account_owner=self.owner, **values)
		factories.make_setting(account, [self.card(account, number) for number in numbers])
		frappe.db.commit()
		answer = usage.charge(account, {"amount": 20, "idempotency_key": frappe.generate_hash(length=16)})
		frappe.db.commit()
		self.assertEqual(worker.carry_out(answer["recharge"]), "Failed")
		return answer["recharge"]

	def mails(self, recharge: str) -> list:
		"""The queued mails about it: (recipients, parsed message)."""
		rows = frappe.get_all("Email Queue", {"reference_name": recharge}, ["name", "message"])
		return [
			(
				sorted(frappe.get_all("Email Queue Recipient", {"parent": row.name}, pluck="recipient")),
				email.message_from_string(row.message, policy=email.policy.default),
			)
			for row in rows
		]

	def errors(self, name: str) -> list[str]:
		return frappe.get_all("Error Log", {"reference_name": name}, pluck="error")

	def test_the_owner_reads_which_card_failed_why_and_where_to_mend_it(self):
		recharge = self.failed(POOR, LOST)
		((recipients, message),) = self.mails(recharge)
		self.assertEqual(recipients, [self.owner])
		self.assertIn("$ 460.00", message["Subject"])
		html = message.get_body(("html",)).get_content()
		for text in (
			"9995",
			"there is not enough money on the card",
			"9987",
			"the bank declined the card",
			"$ 40.00",
		):
			self.assertIn(text, html)
		self.assertNotIn("lost", html.lower(), "a confidential reason was told")
		self.assertIn("switched off", html)
		account = frappe.db.get_value("Recharge", recharge, "credit_account")
		setting = frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account})
		self.assertRegex(html, f'href="https?://[^"]*(auto-recharge-setting/{setting}|account={account})"')
		self.assertIn("9995", message.get_body(("plain",)).get_content())
		self.assertEqual(self.errors(recharge), [])

	def test_owner_and_managers_are_told_in_the_desk(self):
		recharge = self.failed(DECLINED)
		rows = frappe.get_all(
			"Notification Log", {"document_name": recharge}, ["for_user", "subject", "document_type"]
		)
		told = {row.for_user for row in rows}
		self.assertLessEqual({self.owner, self.manager}, told)
		self.assertEqual(
			{(row.document_type, row.subject) for row in rows}, {("Recharge", "Recharge of $ 460.00 failed")}
		)

	def test_a_mail_goes_to_everybody_named_for_alerts(self):
		recharge = self.failed(
			DECLINED,
			alert_recipients="ann@test.example,bob@test.example;carl@test.example\ndora@test.example",
		)
		((recipients, _message),) = self.mails(recharge)
		names = ["ann", "bob", "carl", "dora"]
		self.assertEqual(recipients, sorted([self.owner, *(f"{name}@test.example" for name in names)]))

	def test_without_an_outgoing_account_there_is_a_trace_and_the_rest_happens(self):
		self.outgoing(there=False)
		recharge = self.failed(DECLINED)
		self.assertEqual(self.mails(recharge), [])
		self.assertTrue(
			any("OutgoingEmailError" in error or "mail" in error.lower() for error in self.errors(recharge))
		)
		self.assertEqual(frappe.db.get_value("Recharge", recharge, "status"), "Failed")
		self.assertTrue(
			frappe.db.exists("Notification Log", {"document_name": recharge, "for_user": self.owner})
		)

	def test_who_has_unsubscribed_from_newsletters_is_told_all_the_same(self):
		frappe.get_doc(
			{"doctype": "Email Unsubscribe", "email": self.owner, "global_unsubscribe": 1}
		).insert()
		frappe.db.commit()
		recharge = self.failed(DECLINED)
		((recipients, _message),) = self.mails(recharge)
		self.assertEqual(recipients, [self.owner])
		self.assertEqual(self.errors(recharge), [])

	def test_an_address_that_is_not_valid_is_told_of_in_the_log_and_the_company_gets_the_mail(self):
		recharge = self.failed(DECLINED)
		frappe.db.delete("Email Queue", {"reference_name": recharge})
		self.assertFalse(notices._mail(["no address"], "s", "m", recharge))
		self.assertEqual(self.mails(recharge), [])
		self.assertTrue(any("no address" in error for error in self.errors(recharge)))

	def test_an_owner_who_has_left_is_not_written_to(self):
		frappe.db.set_value("User", self.owner, "enabled", 0)
		frappe.db.commit()
		recharge = self.failed(DECLINED)
		((recipients, _message),) = self.mails(recharge)
		self.assertNotIn(self.owner, recipients)
		self.assertIn(self.manager, recipients)

	def write_template(self, name: str, text: str) -> None:
		frappe.db.rollback()
		frappe.db.set_value("Email Template", name, "response_html", text)
		frappe.clear_document_cache("Email Template", name)
		frappe.db.commit()

	def test_a_broken_template_holds_up_nothing(self):
		name = "Auto-Recharge Failed"
		self.addCleanup(
			self.write_template, name, frappe.db.get_value("Email Template", name, "response_html")
		)
		for broken in ("{{ no_such.thing.at_all }}", "{% for %}", "{{ ''.__class__ }}"):
			self.write_template(name, broken)
			recharge = self.failed(DECLINED)
			self.assertEqual(frappe.db.get_value("Recharge", recharge, "status"), "Failed")
			((_recipients, message),) = self.mails(recharge)
			self.assertIn(
				"Email Template Auto-Recharge Failed is broken", message.get_body(("html",)).get_content()
			)
			self.assertTrue(self.errors("Auto-Recharge Failed"))

	def test_a_desk_notification_that_cannot_be_written_holds_up_nothing(self):
		with patch(
			"frappe.desk.doctype.notification_log.notification_log.NotificationLog.after_insert",
			side_effect=KeyError("x"),
		):
			recharge = self.failed(DECLINED)
		self.assertEqual(frappe.db.get_value("Recharge", recharge, "status"), "Failed")
		self.assertEqual(len(self.mails(recharge)), 1)
		self.assertFalse(frappe.db.exists("Notification Log", {"document_name": recharge}))
		self.assertTrue(any("KeyError" in error for error in self.errors(recharge)))

	def test_what_the_database_wants_tried_again_is_not_swallowed(self):
		def deadlock(*values):
			raise frappe.QueryDeadlockError(1213, "Deadlock found")

		with (
			patch("crm_recharge.recharge.payment_mail.queue", deadlock),
			self.assertRaises(frappe.QueryDeadlockError),
		):
			notices._mail(["ann@test.example"], "s", "m", "RC-NONE")
		frappe.db.rollback()

	def test_many_recipients_are_queued_here_and_now(self):
		"""Beyond a hundred Frappe itself would hand the mail to Redis, in the middle of the transaction."""
		addresses = [f"user{n}@test.example" for n in range(130)]
		name = frappe.generate_hash(length=10)
		self.jobs.clear()
		notices._mail(addresses, "s", "m", name)
		self.assertEqual(self.jobs, [])
		queued = [address for recipients, _ in self.mails(name) for address in recipients]
		self.assertEqual(sorted(queued), sorted(addresses))
		frappe.db.rollback()

	def test_a_manual_recharge_that_fails_says_nothing_of_auto_recharge(self):
		account = self.account("60", account_owner=self.owner)
		recharge = by_hand.start(account, 25, "k", self.card(account, DECLINED))["recharge"]
		frappe.db.commit()
		worker.carry_out(recharge)
		((recipients, message),) = self.mails(recharge)
		self.assertEqual(recipients, [self.owner])
		self.assertNotIn("switched off", message.get_body(("html",)).get_content())

	def test_a_stop_is_told_to_the_owner_in_other_words_than_to_staff(self):
		account = self.account("60", account_owner=self.owner)
		name = factories.make_setting(account, [self.card(account)])
		frappe.db.set_value("Auto-Recharge Setting", name, "paused_because", "far more than usual")
		frappe.get_doc("Auto-Recharge Setting", name).copy_to_account()
		frappe.db.commit()
		usage.charge(account, {"amount": 20, "idempotency_key": frappe.generate_hash(length=16)})
		frappe.db.commit()
		decision = frappe.get_last_doc("Recharge Decision", {"credit_account": account})
		self.assertEqual(decision.code, "paused")
		self.assertTrue(decisions.tell(decision.name))
		told = {
			recipient: message.get_body(("html",)).get_content()
			for recipients, message in self.mails(account)
			for recipient in recipients
		}
		self.assertIn("resume it on your page", told[self.owner])
		self.assertIn("A person has to resume it", told[self.manager])
