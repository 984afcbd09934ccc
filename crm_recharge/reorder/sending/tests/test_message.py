"""What the mail says and how it travels."""

from email import message_from_string
from email.policy import SMTP
from unittest.mock import patch

import frappe
from frappe.utils import add_days, now_datetime

from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.consent.checkbox import SENSITIVE
from crm_recharge.reorder.sending import follow, message, run
from crm_recharge.reorder.sending.tests.sending_case import SendingCase, html_of, text_of
from crm_recharge.tests.support.reorder_case import make_group, make_item

LONG = "https://shop.example/api/method/crm_recharge.api.reorder.unsubscribe?token=" + "x" * 300


class TestHeaders(SendingCase):
	def test_they_arrive_whole_however_long(self):
		mime = (
			'Content-Type: text/plain; charset="utf-8"\r\nTo: <!--recipient-->\r\nSubject: A\r\n\r\nHello\r\n'
		)
		mail = message_from_string(message.with_headers(mime, LONG), policy=SMTP)
		self.assertEqual(mail["List-Unsubscribe"], f"<{LONG}>")
		self.assertEqual(mail["List-Unsubscribe-Post"], "List-Unsubscribe=One-Click")
		self.assertIn("To: <!--recipient-->\r\n", message.with_headers(mime, LONG))

	def test_not_folded_or_encoded_on_the_wire(self):
		customer = self.buyer()
		with patch("crm_recharge.reorder.answers.links.one_click", return_value=LONG):
			self.remind(customer)
		(queued,) = self.queued(customer)
		from frappe.email.doctype.email_queue.email_queue import SendMailContext

		context = SendMailContext(queued)
		context.email_account_doc = queued.get_email_account()
		wire = context.build_message("someone@test.example").decode()
		head = wire.replace("\r\n", "\n").partition("\n\n")[0]
		self.assertIn(f"List-Unsubscribe: <{LONG}>", head.split("\n"))
		self.assertIn("List-Unsubscribe-Post: List-Unsubscribe=One-Click", head.split("\n"))
		self.assertIn("To: someone@test.example", head)
		self.assertEqual(head.count("List-Unsubscribe:"), 1)

	def test_only_addresses(self):
		for bad in ("mailto:a@b.c", "https://a\r\nBcc: x@y.z", "https://a b", "https://a>", ""):
			with self.assertRaises(ValueError):
				message.with_headers("Subject: A\r\n\r\n", bad)

	def test_opened_mails_are_tracked_only_when_asked(self):
		frappe.db.set_value("Email Account", "Reorder Tests", "track_email_status", 1)
		frappe.clear_document_cache("Email Account", "Reorder Tests")
		frappe.db.commit()
		for tracked in (0, 1):
			self.settings(track_opens=tracked)
			customer = self.buyer()
			self.remind(customer)
			self.assertEqual(html_of(self.mail(customer)).count("mark_email_as_seen"), tracked)

	def test_the_place_holder_is_found_across_a_broken_line(self):
		broken = "a<!--email_op=\r\nen_check-->b"
		self.assertTrue(message.with_headers(broken, LONG).endswith("ab"))


class TestText(SendingCase):
	def template(self, subject: str, body: str) -> str:
		template = frappe.new_doc("Email Template")
		template.update(
			{
				"name": f"T {frappe.generate_hash(length=8)}",
				"subject": subject,
				"use_html": 1,
				"response_html": body,
			}
		)
		name = template.insert().name
		frappe.db.commit()
		return name

	def test_names_are_text_and_never_markup(self):
		# Of markup Frappe itself escapes (15) or takes out (16) what is not allowed, and leaves the rest.
		item = make_item(item_name='<script>alert("x")</script><b>Strong</b> & {{ 7 * 7 }}')
		customer = self.buyer(item)
		self.remind(customer)
		mail = self.mail(customer)
		self.assertNotIn("<script>", html_of(mail))
		self.assertIn("&lt;b&gt;Strong&lt;/b&gt;", html_of(mail))
		self.assertIn("{{ 7 * 7 }}", mail["Subject"])

	def test_one_yesterday_and_several(self):
		customer = self.buyer(last_day=add_days(frappe.utils.nowdate(), -1))
		self.remind(customer)
		self.assertIn("yesterday", html_of(self.mail(customer)))

	def test_sensitive_items_are_not_named_in_the_subject(self):
		above = make_group(is_group=1)
		group = make_group(parent_item_group=above)
		frappe.db.set_value("Item Group", above, SENSITIVE, 1)
		item = make_item(item_name="Something Private", item_group=group)
		customer = self.buyer(item, make_item())
		self.remind(customer)
		mail = self.mail(customer)
		self.assertEqual(mail["Subject"], "Time to restock?")
		self.assertIn("Something Private", html_of(mail))
		# What mail programs show beside the subject is no place for it either.
		self.assertNotIn("Something Private", html_of(mail).partition("<table")[0])

	def test_pictures_that_anybody_may_see(self):
		for image, shown in (
			("/files/coffee beans.png", f"{frappe.utils.get_url()}/files/coffee%20beans.png"),
			("https://cdn.example/c.png", "https://cdn.example/c.png"),
			("/private/files/c.png", None),
			("/files/../private/c.png", None),
			("javascript:alert(1)", None),
			(None, None),
		):
			self.assertEqual(message.public_address(image), shown)
		customer = self.buyer(make_item(image="https://cdn.example/c.png", item_name="Cup"))
		self.remind(customer)
		self.assertIn('src="https://cdn.example/c.png"', html_of(self.mail(customer)))
		self.assertIn('alt="Cup"', html_of(self.mail(customer)))

	def test_template_and_sender_of_rule_and_settings(self):
		own, general = (
			self.template("Own {{ name }}", "<p>Own</p>"),
			self.template("General", "<p>General</p>"),
		)
		account = frappe.copy_doc(frappe.get_doc("Email Account", "Reorder Tests"))
		account.update(
			{"email_account_name": "Other", "email_id": "other@test.example", "default_outgoing": 0}
		)
		account.flags.ignore_validate = True
		if not frappe.db.exists("Email Account", "Other"):
			account.insert()
			frappe.db.commit()
		self.settings(email_template=general, reply_to="answers@test.example", sender_name="Shop, Inc.")
		customer = self.buyer()
		self.remind(customer)
		mail = self.mail(customer)
		self.assertEqual((mail["Subject"], mail["Reply-To"]), ("General", "answers@test.example"))
		self.assertEqual(mail["From"].addresses[0].display_name, "Shop Inc.")
		self.assertEqual(mail["From"].addresses[0].addr_spec, "shop@test.example")
		item = make_item()
		self.rule(
			applies_to="Item",
			item_code=item,
			email_template=own,
			email_account="Other",
			sender_name="Ünï Shop",
		)
		customer = self.buyer(item)
		self.remind(customer)
		mail = self.mail(customer)
		self.assertEqual(mail["Subject"], "Own Test")
		self.assertEqual(mail["From"].addresses[0].addr_spec, "other@test.example")
		self.assertEqual(mail["From"].addresses[0].display_name, "Ünï Shop")

	def test_a_broken_template_sends_nothing_and_is_reported_once(self):
		for subject, body in (
			("Hi", "{{ items[0].nothing.at_all }}"),
			("Hi", "{% for x in items %}"),
			("{{ 1 / 0 }}", "<p>Hi</p>"),
			("", "<p>Hi</p>"),
			("Hi", "<p> </p>"),
		):
			template = self.template("x", "x")
			frappe.db.set_value("Email Template", template, {"subject": subject, "response_html": body})
			frappe.clear_document_cache("Email Template", template)
			frappe.db.commit()
			self.settings(email_template=template)
			frappe.db.sql("UPDATE `tabReorder Reminder` SET `remind_on` = NULL")
			customers = [self.buyer(), self.buyer()]
			for _number in range(2):
				run_ = frappe.get_doc("Reorder Run", run.send_all())
				self.assertEqual(run_.status, "Done with Problems", (subject, body))
				self.assertEqual(len(run_.problems.split("\n")), 1)
				self.assertIn(template, run_.problems)
			self.assertEqual(frappe.db.count("Error Log", {"reference_name": template}), 1)
			self.assertEqual([len(self.messages(c)) + len(self.queued(c)) for c in customers], [0, 0])
			self.settings(email_template=None)
			self.assertTrue(self.remind(customers[0]).mailed)

	def test_without_an_account_the_run_says_so(self):
		self.buyer()
		with patch.object(
			message.EmailAccount, "find_outgoing", side_effect=frappe.OutgoingEmailError("no account")
		):
			run_ = frappe.get_doc("Reorder Run", run.send_all())
		self.assertEqual((run_.status, run_.problems), ("Failed", "no account"))

	def test_dates_and_words_of_the_plain_text(self):
		customer = self.buyer(make_item(item_name="Tea"))
		self.remind(customer)
		text = text_of(self.mail(customer))
		self.assertNotIn("| --- |", text)
		self.assertRegex(text, r"(?m)^Reorder: http\S+do=reorder\S+\s*$")
		for words in ("Tea", "Remind me later", "I still have enough", "Fewer mails", "Stop", "do=reorder"):
			self.assertIn(words, text)

	def test_plain_text_is_what_is_shown(self):
		html = (
			'<style>p {}</style><div style="display: none">hidden</div><p>Hello <b>you</b></p>'
			'<table><tr><td>One</td><td>Two &amp; three</td></tr></table><a href="https://a.example/?b=1&amp;c=2">Go</a>'
			'<img alt="picture" src="x"><a href="#">nowhere</a>'
		)
		self.assertEqual(
			message.plain_text(html), "Hello you\nOne\nTwo & three\nGo: https://a.example/?b=1&c=2nowhere\n"
		)


class TestFollowUp(SendingCase):
	def reminded(self):
		customer = self.buyer()
		self.remind(customer)
		(found,) = self.messages(customer)
		return found

	def test_sent_and_failed(self):
		for queue_status, status in (
			("Sent", "Sent"),
			("Error", "Failed"),
			("Not Sent", "Queued"),
			("Sending", "Queued"),
		):
			found = self.reminded()
			frappe.db.set_value("Email Queue", found.email_queue, "status", queue_status)
			follow.follow_up()
			self.assertEqual(frappe.db.get_value("Reorder Message", found.name, "status"), status)

	def test_who_stops_is_not_sent_what_waits(self):
		found = self.reminded()
		preferences.opt_out(found.preference, "link in a mail")
		self.assertFalse(frappe.db.exists("Email Queue", found.email_queue))
		self.assertFalse(frappe.db.exists("Email Queue Recipient", {"parent": found.email_queue}))
		self.assertEqual(frappe.db.get_value("Reorder Message", found.name, "status"), "Failed")

	def test_nothing_is_due_once_it_was_reminded_of(self):
		found = self.reminded()
		self.assertEqual(
			frappe.db.get_value("Reorder Customer", {"customer": found.customer}, "due_items"), 0
		)

	def test_deleted_before_it_was_sent(self):
		found = self.reminded()
		frappe.db.delete("Email Queue", {"name": found.email_queue})
		follow.follow_up()
		self.assertEqual(frappe.db.get_value("Reorder Message", found.name, "status"), "Failed")

	def test_opened_where_that_is_tracked(self):
		found = self.reminded()
		frappe.db.set_value(
			"Communication",
			found.communication,
			{"read_by_recipient": 1, "read_by_recipient_on": now_datetime()},
		)
		frappe.db.commit()
		follow.follow_up()
		self.assertIsNone(frappe.db.get_value("Reorder Message", found.name, "opened_at"))
		self.settings(track_opens=1)
		follow.follow_up()
		self.assertIsNotNone(frappe.db.get_value("Reorder Message", found.name, "opened_at"))

	def test_a_real_send_through_the_queue(self):
		found = self.reminded()
		queued = frappe.get_doc("Email Queue", found.email_queue)
		queued.send()
		follow.follow_up()
		self.assertEqual(frappe.db.get_value("Reorder Message", found.name, "status"), "Sent")
		sent = message_from_string(frappe.flags.sent_mail.decode(), policy=SMTP)
		self.assertTrue(sent["List-Unsubscribe"].startswith("<http"))
		self.assertEqual(sent["To"], found.email)
		self.assertEqual(frappe.db.get_value("Communication", found.communication, "delivery_status"), "Sent")


class TestSalesTeam(SendingCase):
	def valuable(self, *items, **values) -> str:
		customer = self.buyer(*items, **values)
		frappe.db.set_value("Reorder Customer", {"customer": customer}, "valuable", 1)
		frappe.db.commit()
		return customer

	def todos(self, customer: str) -> int:
		return frappe.db.count(
			"ToDo", {"reference_type": "Customer", "reference_name": customer, "status": "Open"}
		)

	def test_beside_the_mail(self):
		self.settings(sales_team="Beside the mail", fallback_user="Administrator")
		customer = self.valuable()
		outcome = self.remind(customer)
		self.assertTrue(outcome.mailed and outcome.told)
		self.assertEqual(self.todos(customer), 1)
		self.assertEqual(self.messages(customer)[0].channel, "Email and Sales Team")

	def test_instead_of_the_mail_without_consent(self):
		self.settings(sales_team="Instead of the mail", fallback_user="Administrator")
		customer = self.valuable(consents=False)
		self.assertIn(
			customer,
			run.customers_due("", None, frappe.utils.getdate(), frappe.get_cached_doc("Reorder Settings")),
		)
		outcome = self.remind(customer)
		self.assertTrue(outcome.told and not outcome.mailed)
		self.assertEqual((self.todos(customer), self.queued(customer)), (1, []))
		self.assertEqual(
			(self.messages(customer)[0].channel, self.messages(customer)[0].status), ("Sales Team", "Sent")
		)
		self.assertIsNone(self.remind(customer).message)

	def test_nobody_to_tell_instead_means_a_mail(self):
		self.settings(sales_team="Instead of the mail")
		self.assertTrue(self.remind(self.valuable()).mailed)

	def test_others_get_their_mail(self):
		self.settings(sales_team="Instead of the mail", fallback_user="Administrator")
		customer = self.buyer()
		self.assertTrue(self.remind(customer).mailed)
		self.assertEqual(self.todos(customer), 0)

	def test_a_rule_for_the_sales_team_alone(self):
		self.settings(fallback_user="Administrator")
		for_team, by_mail = make_item(), make_item()
		self.rule(applies_to="Item", item_code=for_team, channel="Sales Team")
		customer = self.buyer(for_team, by_mail)
		outcome = self.remind(customer)
		self.assertTrue(outcome.told and outcome.mailed)
		self.assertEqual(
			{found.channel: [row.item_code for row in found.items] for found in self.messages(customer)},
			{"Email": [by_mail], "Sales Team": [for_team]},
		)

	def test_nobody_to_tell_is_counted_and_tried_again(self):
		item = make_item()
		self.rule(applies_to="Item", item_code=item, channel="Sales Team")
		customer = self.buyer(item)
		self.assert_held_back(customer, "nobody_to_tell")
		self.settings(fallback_user="Administrator")
		self.assertTrue(self.remind(customer).told)

	def test_held_out_customers_are_left_alone(self):
		self.settings(sales_team="Beside the mail", fallback_user="Administrator", hold_out_share=100)
		customer = self.valuable()
		self.assertTrue(self.remind(customer).held_out)
		self.assertEqual(self.todos(customer), 0)
