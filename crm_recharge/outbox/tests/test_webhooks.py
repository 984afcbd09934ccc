"""Events reach the receivers that want them: signed, again for days, never within the site's own network."""

import hashlib
import hmac
import json
import socket
from datetime import timedelta
from unittest.mock import patch

import frappe

from crm_recharge import clock
from crm_recharge.api import events as api
from crm_recharge.credits.errors import InvalidRequestError
from crm_recharge.outbox import attempt, events, http, publishing, webhooks
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.factories import make_account, make_user
from crm_recharge.tests.support.receiver import Receiver
from crm_recharge.tests.support.work import due


class TestWebhooks(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		self.receiver = Receiver()
		self.addCleanup(self.receiver.stop)
		self.addCleanup(self.remove)
		self.enterContext(patch.dict(frappe.local.conf, {http.ALLOWED: ["127.0.0.1"]}))
		self.account = make_account()
		frappe.db.commit()

	def remove(self):
		frappe.db.rollback()
		frappe.set_user("Administrator")
		for name in frappe.get_all("Credit Webhook", pluck="name"):
			frappe.delete_doc("Credit Webhook", name, force=True)
		frappe.db.commit()

	def webhook(self, **values):
		doc = frappe.get_doc(
			{"doctype": "Credit Webhook", "url": f"{self.receiver.url}hook"} | values
		).insert()
		frappe.db.commit()
		return doc

	def happen(self, event_type="recharge.failed", account=None, **data) -> list[str]:
		"""An event is told and published. Returns its deliveries."""
		events.tell(event_type, account or self.account, data)
		frappe.db.commit()
		publishing.publish()
		name = frappe.get_last_doc("Credit Event", {"event_type": event_type}).name
		return frappe.get_all("Credit Webhook Delivery", {"event": name}, pluck="name")

	def send(self, delivery: str):
		return attempt.run(webhooks.SEND, delivery)

	def row(self, delivery: str):
		frappe.db.rollback()
		return frappe.db.get_value("Credit Webhook Delivery", delivery, "*", as_dict=True)

	# -- sending ---------------------------------------------------------------------------------------------

	def test_an_event_is_sent_signed_and_is_what_can_be_read(self):
		webhook = self.webhook()
		(delivery,) = self.happen(reason="Kärte — ✗", amount="12.50", currency="USD")
		self.assertEqual(self.send(delivery), "delivered")
		(posted,) = self.receiver.posted
		self.assertEqual(posted.path, "/hook")
		event = json.loads(posted.body)
		self.assertIn(event, api.events(after=event["position"] - 1)["events"])
		self.assertEqual((event["type"], event["account"]), ("recharge.failed", self.account))
		self.assertEqual(event["data"], {"reason": "Kärte — ✗", "amount": "12.50", "currency": "USD"})
		self.assertEqual(self.signers(posted, webhook.get_password("secret")), [True])
		row = self.row(delivery)
		self.assertEqual((row.status, row.response_status, row.response_body), ("Delivered", 200, "ok"))
		self.assertIn("200", row.history)
		self.assertEqual(self.send(delivery), "rests")
		self.assertEqual(len(self.receiver.posted), 1)

	def signers(self, posted, secret: str) -> list[bool]:
		"""Of each signature, whether `secret` made it. By the header's own description, in docs/events.md."""
		parts = dict_of_lists(posted.headers["credit-signature"])
		(stamp,) = parts["t"]
		self.assertLess(abs(clock.now().timestamp() - int(stamp)), 60)
		expected = hmac.new(secret.encode(), stamp.encode() + b"." + posted.body, hashlib.sha256).hexdigest()
		return [hmac.compare_digest(expected, one) for one in parts["v1"]]

	def test_while_a_secret_is_changed_both_sign_for_a_day(self):
		webhook = self.webhook(secret="a secret of one's own")
		answer = api.new_secret(webhook.name)
		frappe.db.commit()
		(delivery,) = self.happen()
		self.send(delivery)
		(posted,) = self.receiver.posted
		self.assertEqual(self.signers(posted, answer["secret"]), [True, False])
		self.assertEqual(self.signers(posted, "a secret of one's own"), [False, True])
		frappe.db.set_value(
			"Credit Webhook", webhook.name, "previous_secret_until", clock.later(-timedelta(minutes=1))
		)
		frappe.db.commit()
		(delivery,) = self.happen()
		self.send(delivery)
		self.assertEqual(self.signers(self.receiver.posted[-1], answer["secret"]), [True])
		self.assertNotIn(
			answer["secret"],
			json.dumps(frappe.get_doc("Credit Webhook", webhook.name).as_dict(), default=str),
		)

	def test_only_what_is_wanted_is_sent(self):
		other = make_account()
		frappe.db.commit()
		self.webhook(events="refund.*\ncredits.expired")
		self.webhook(credit_account=self.account)
		off = self.webhook(enabled=0)
		self.assertEqual(len(self.happen("refund.created")), 2)
		self.assertEqual(len(self.happen("recharge.failed")), 1)
		self.assertEqual(len(self.happen("refund.created", account=other)), 1)
		self.assertFalse(frappe.db.exists("Credit Webhook Delivery", {"webhook": off.name}))

	def test_what_is_not_taken_is_tried_again_for_days_and_kept(self):
		webhook = self.webhook()
		(delivery,) = self.happen()
		self.receiver.answers = [500]
		before = clock.now()
		self.assertEqual(self.send(delivery), "Failed")
		row = self.row(delivery)
		self.assertEqual((row.tries, row.response_status), (1, 500))
		self.assertIn("500", row.outcome)
		self.assertAlmostEqual(
			clock.read(row.next_try_at) - before, timedelta(minutes=1), delta=timedelta(seconds=20)
		)
		self.assertTrue(self.hook(webhook).failing_since)
		# Meanwhile it is asked for nothing else.
		(second,) = self.happen()
		self.assertEqual(self.send(second), "rests")
		self.assertEqual(len(self.receiver.posted), 1)
		self.assertNotIn(second, due(webhooks.SEND))
		self.wake(webhook)
		self.assertIn(second, due(webhooks.SEND))
		self.assertEqual(self.send(second), "delivered")
		self.assertIsNone(self.hook(webhook).failing_since)
		self.assertEqual(self.send(delivery), "delivered")
		self.assertEqual(len(self.row(delivery).history.splitlines()), 2)

	def hook(self, webhook):
		frappe.db.rollback()
		return frappe.get_doc("Credit Webhook", webhook.name)

	def wake(self, webhook, **values):
		past = clock.later(-timedelta(seconds=1))
		frappe.db.set_value("Credit Webhook", webhook.name, {"rests_until": past, **values})
		frappe.db.sql(
			"UPDATE `tabCredit Webhook Delivery` SET `next_try_at` = %s WHERE `next_try_at` IS NOT NULL", past
		)
		frappe.db.commit()

	def test_a_delivery_is_given_up_after_days_and_can_be_sent_again(self):
		webhook = self.webhook()
		(delivery,) = self.happen()
		self.receiver.answers = [500] * 11
		waited = timedelta()
		for _ in range(11):
			self.wake(webhook, failing_since=None)
			before = clock.now()
			self.send(delivery)
			next_try = self.row(delivery).next_try_at
			waited += clock.read(next_try) - before if next_try else timedelta()
		self.assertEqual((self.row(delivery).status, self.row(delivery).next_try_at), ("Failed", None))
		self.assertGreater(waited, timedelta(days=3))
		self.assertTrue(frappe.db.exists("Error Log", {"reference_name": delivery}))
		frappe.set_user(make_user("Credit Manager"))
		self.assertEqual(api.send_again(delivery)["status"], "Waiting")
		frappe.db.commit()
		frappe.set_user("Administrator")
		self.assertIn(delivery, due(webhooks.SEND))
		self.assertEqual(self.send(delivery), "delivered")

	def test_a_receiver_that_fails_for_days_or_is_gone_is_switched_off_and_told(self):
		manager = make_user("Credit Manager")
		for answers, since in (([500], timedelta(days=5)), ([410], timedelta(0))):
			with self.subTest(answers=answers):
				webhook = self.webhook()
				(delivery,) = self.happen()
				self.wake(webhook, failing_since=clock.later(-since) if since else None)
				self.receiver.answers = list(answers)
				self.send(delivery)
				now = self.hook(webhook)
				self.assertFalse(now.enabled)
				self.assertTrue(now.disabled_because)
				self.assertTrue(
					frappe.db.exists("Notification Log", {"document_name": webhook.name, "for_user": manager})
				)
				self.wake(webhook)
				self.assertEqual(self.send(delivery), "rests")
				self.assertNotIn(delivery, due(webhooks.SEND))
				now.reload()
				now.enabled = 1
				now.save()
				frappe.db.commit()
				self.assertFalse(self.hook(webhook).disabled_because)
				self.assertIn(delivery, due(webhooks.SEND))
				now.enabled = 0
				now.save()
				frappe.db.commit()

	# -- where to --------------------------------------------------------------------------------------------

	def test_no_address_of_the_own_network_is_taken_or_called(self):
		with patch.dict(frappe.local.conf, {http.ALLOWED: []}):
			for url in (
				"https://127.0.0.1/",
				"https://localhost:8000/",
				"https://10.0.0.5/",
				"https://169.254.169.254/latest/meta-data",
				"https://[::1]/",
				"https://[::ffff:10.0.0.5]/",
				"https://2130706433/",
				"https://0x7f.1/",
			):
				with self.subTest(url=url), self.assertRaises(http.NotAllowed):
					self.webhook(url=url)
			with self.assertRaises(http.NotAllowed):
				self.webhook(url="http://8.8.8.8/")
			for url in ("ftp://example.com", "https://user:secret@8.8.8.8/", "nothing"):
				with self.subTest(url=url), self.assertRaises(InvalidRequestError) as refused:
					self.webhook(url=url)
				self.assertEqual(refused.exception.code, "bad_url")
		webhook = self.webhook()
		(delivery,) = self.happen()
		with patch.dict(frappe.local.conf, {http.ALLOWED: "10.0.0.0/8"}):
			self.assertEqual(self.send(delivery), "Failed")
		self.assertEqual(self.receiver.posted, [])
		self.assertIn(http.ALLOWED, self.row(delivery).outcome)
		self.assertTrue(self.hook(webhook).failing_since)

	def test_a_name_that_stands_for_an_own_address_too_is_not_called(self):
		found = [
			(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("8.8.8.8", "10.0.0.5")
		]
		with patch.object(socket, "getaddrinfo", return_value=found), self.assertRaises(http.NotAllowed):
			http.post("https://two-faced.example/", b"{}", {})

	def test_the_address_that_was_looked_at_is_the_one_that_is_called(self):
		port = int(self.receiver.url.rsplit(":", 1)[1].strip("/"))
		found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
		with patch.object(socket, "getaddrinfo", side_effect=[found, OSError("asked a second time")]):
			answer = http.post(f"http://changing.example:{port}/", b"{}", {})
		self.assertEqual(answer.status, 200)
		self.assertEqual(self.receiver.posted[0].headers["host"], f"changing.example:{port}")

	def test_a_redirect_is_no_success_and_is_not_followed(self):
		self.webhook()
		(delivery,) = self.happen()
		self.receiver.answers = [302]
		self.assertEqual(self.send(delivery), "Failed")
		self.assertEqual([posted.path for posted in self.receiver.posted], ["/hook"])

	def test_a_receiver_that_answers_forever_is_cut_off(self):
		self.webhook()
		(delivery,) = self.happen()
		self.receiver.answers = [30.0]
		began = clock.now()
		with patch.object(http, "LIMIT", 1):
			self.assertEqual(self.send(delivery), "Failed")
		self.assertLess(clock.now() - began, timedelta(seconds=5))
		self.assertIn("1 seconds", self.row(delivery).outcome)

	def test_nobody_there_is_a_failure_like_another(self):
		self.webhook(url="http://127.0.0.1:9/")
		(delivery,) = self.happen()
		self.assertEqual(self.send(delivery), "Failed")
		self.assertIn("refused", self.row(delivery).outcome.lower())

	# -- who ---------------------------------------------------------------------------------------------------

	def test_who_is_confined_to_an_account_has_no_webhook_of_all(self):
		user = make_user("Credit Manager")
		# Of a single one Frappe makes the default.
		for account in (self.account, make_account()):
			frappe.get_doc(
				{"doctype": "User Permission", "user": user, "allow": "Credit Account", "for_value": account}
			).insert()
		everybodys = self.webhook()
		frappe.set_user(user)
		with self.assertRaises(frappe.PermissionError):
			self.webhook()
		frappe.clear_messages()
		own = self.webhook(credit_account=self.account)
		own.credit_account = None
		with self.assertRaises(frappe.CannotChangeConstantError):
			own.save()
		self.assertFalse(frappe.has_permission("Credit Webhook", "read", doc=everybodys.name))
		with self.assertRaises(frappe.PermissionError):
			api.new_secret(everybodys.name)

	def test_what_no_event_has_is_refused(self):
		with self.assertRaises(InvalidRequestError) as refused:
			self.webhook(events="recharge.done")
		self.assertEqual(refused.exception.code, "not_one_of")
		with self.assertRaises(InvalidRequestError) as refused:
			self.webhook(secret="short")
		self.assertEqual(refused.exception.code, "secret_too_short")

	def test_a_webhook_goes_with_its_deliveries_and_logs_are_cleared(self):
		webhook = self.webhook()
		(delivery,) = self.happen()
		self.send(delivery)
		(waiting,) = self.happen()
		long_ago = clock.later(-timedelta(days=500))
		for doctype, name in (("Credit Webhook Delivery", delivery), ("Credit Webhook Delivery", waiting)):
			frappe.db.set_value(doctype, name, "creation", long_ago, update_modified=False)
		frappe.get_doc("Credit Webhook Delivery", delivery).clear_old_logs(60)
		self.assertFalse(frappe.db.exists("Credit Webhook Delivery", delivery))
		self.assertTrue(frappe.db.exists("Credit Webhook Delivery", waiting))
		frappe.delete_doc("Credit Webhook", webhook.name)
		self.assertFalse(frappe.db.exists("Credit Webhook Delivery", waiting))


def dict_of_lists(header: str) -> dict[str, list[str]]:
	found: dict[str, list[str]] = {}
	for part in header.split(","):
		name, _, value = part.partition("=")
		found.setdefault(name, []).append(value)
	return found
