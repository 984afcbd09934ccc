"""What a person is called, writes or names is text: in mails, notices, pages and prints it is never markup, never a
template, never a second line of a header."""

import re

import frappe
from jinja2 import meta

from crm_recharge.recharge import notices
from crm_recharge.reorder.answers import links
from crm_recharge.reorder.answers.tests.reminded import (
	RemindedCase,
	make_message,
	make_reminder,
	set_settings,
)
from crm_recharge.reorder.sending import message as reminders
from crm_recharge.setup import templates
from crm_recharge.tests import factories
from crm_recharge.tests.support.reorder_case import make_buyer, make_item
from crm_recharge.tests.test_web import WebCase

HOSTILE = (
	"<script>alert(1)</script><img src=x onerror=alert(2)>\"'><a href='http://evil.example'>x</a>"
	" [click](http://evil.example) {{ 7*7 }} {% raw %}\r\nBcc: everybody@evil.example\r\n\r\n&amp;"
)


class Anything(str):
	"""A value whose every part is as hostile as itself."""

	def __getattr__(self, name):
		if name.startswith("__"):
			raise AttributeError(name)
		return None if name == "evidence_due" else Anything(HOSTILE)


class TestMails(RemindedCase):
	def assert_harmless(self, html: str, what: str):
		self.assertNotIn("<script>alert", html, what)
		self.assertNotIn("<img src=x", html, what)
		self.assertNotIn("<a href='http://evil", html, what)
		self.assertNotIn("49", re.sub(r"#[0-9a-f]{6}|width:\d+|&#\d+;", "", html), what)

	def test_every_template_of_ours_takes_all_it_is_given_as_text(self):
		environment = frappe.get_jenv()
		for name, shipped in templates.shipped().items():
			if name == reminders.TEMPLATE:
				continue
			with self.subTest(template=name):
				parsed = environment.parse(
					f"{shipped['subject']}{shipped['response_html'] or shipped['response']}"
				)
				wanted = meta.find_undeclared_variables(parsed) - set(environment.globals)
				self.assertTrue(wanted, "nothing is put into it")
				context = {variable: Anything(HOSTILE) for variable in wanted}
				if "attempts" in wanted:
					context["attempts"] = [Anything(HOSTILE)]
				subject, html = templates.render(name, context)
				self.assert_harmless(html, name)
				self.assertIn("&lt;script&gt;", html)
				self.assertNotRegex(subject, r"[\r\n]")
				self.assertLessEqual(len(subject), 140)

	def test_what_is_meant_as_markup_stays_markup(self):
		from markupsafe import Markup

		_subject, html = templates.render(
			"Auto-Recharge Stopped",
			{
				"account": frappe._dict(customer_name="A & B"),
				"details": {"explanation": Markup("<b>held</b>")},
				"balance": "$ 1",
				"link": "https://x.example/?a=1&b=2",
			},
		)
		self.assertIn("<b>held</b>", html)
		self.assertIn("A &amp; B", html)
		self.assertIn("a=1&amp;b=2", html)

	def test_a_subject_is_one_line_whatever_is_in_it(self):
		for text, line in (
			("a\r\nBcc: x", "a Bcc: x"),
			("a\x00\x0b\u2028b", "a b"),
			("  a  b ", "a b"),
			("x" * 500, "x" * 140),
		):
			self.assertEqual(templates.one_line(text), line)

	def test_a_notice_on_the_desk_shows_its_subject_as_text(self):
		manager = factories.make_user("Credit Manager")
		notices._notify_desk(f"About {HOSTILE}", "<p>text</p>", "RC-1", {manager})
		found = frappe.get_all("Notification Log", {"for_user": manager}, ["subject"])[0].subject
		self.assert_harmless(found, "Notification Log")
		self.assertIn("&lt;script&gt;", found)

	def test_a_notice_about_a_hostile_customer(self):
		customer = factories.make_customer()
		frappe.db.set_value("Customer", customer, "customer_name", HOSTILE[:140])
		account = factories.make_account(customer)
		frappe.db.set_value("Credit Account", account, "customer_name", HOSTILE[:140])
		factories.make_user("Credit Manager")
		notices.send_about_account("auto_recharge_stopped", account, {"explanation": "held"})
		logs = frappe.get_all("Notification Log", {"document_name": account}, ["subject", "email_content"])
		self.assertTrue(logs)
		for log in logs:
			self.assert_harmless(log.subject, "subject")
			self.assert_harmless(log.email_content, "content")

	def test_a_reminder_about_hostile_items(self):
		customer, contact = make_buyer()
		frappe.db.set_value("Contact", contact, {"first_name": HOSTILE[:100], "full_name": HOSTILE[:100]})
		item = make_item()
		frappe.db.set_value("Item", item, "item_name", HOSTILE[:140])
		make_reminder(customer, item)
		document = make_message(customer, contact, [{"item_code": item}])
		settings = frappe.get_cached_doc("Reorder Settings")
		context = reminders.context_of(
			document, None, settings, dict.fromkeys(reminders.ACTIONS, "#"), sender_name=HOSTILE
		)
		subject, html = reminders.render(reminders.TEMPLATE, context, "neutral")
		self.assert_harmless(html, "reminder")
		self.assertNotRegex(subject, r"[\r\n]")


class TestPages(WebCase):
	def test_no_page_of_a_person_shows_a_name_as_markup(self):
		session, user = self.logged_in(user_type="Website User")
		customer, contact = make_buyer()
		item = make_item()
		frappe.db.set_value("Item", item, "item_name", HOSTILE[:140])
		make_reminder(customer, item)
		document = make_message(customer, contact, [{"item_code": item}])
		person = frappe.get_doc("Customer", customer)
		person.append("portal_users", {"user": user})
		person.save(ignore_permissions=True)
		account = self.account("10", customer=customer, account_owner=user)
		frappe.db.set_value("Contact", contact, "user", user)
		frappe.db.set_value("Customer", customer, "customer_name", HOSTILE[:140])
		frappe.db.set_value("Credit Account", account, "customer_name", HOSTILE[:140])
		set_settings(company=frappe.get_all("Company", pluck="name", limit=1)[0])
		frappe.db.commit()
		for path, parameters in (
			("credits", {}),
			("credits", {"account": HOSTILE}),
			("reorders", {}),
			("reorders", {"customer": HOSTILE}),
			*(
				("reorder", {"do": do, "token": links.token(document.name, do)})
				for do in ("reorder", "later", "stop")
			),
			("reorder", {"do": HOSTILE, "token": HOSTILE}),
			("recharge-confirm", {"token": HOSTILE}),
		):
			with self.subTest(page=path, parameters=str(parameters)[:40]):
				response = self.page(path, session, **parameters)
				self.assertLess(response.status_code, 500)
				self.assertNotIn("Traceback", response.text)
				self.assertNotIn("<script>alert(1)", response.text)
				self.assertNotIn("<img src=x", response.text)
				self.assertNotIn("\nBcc:", str(response.headers))
