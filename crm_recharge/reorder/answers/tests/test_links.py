"""How long a link is good, for what, and what is recorded of it."""

from datetime import datetime, timedelta, timezone
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import frappe

from crm_recharge.reorder.answers import actions, links
from crm_recharge.reorder.answers.tests.reminded import RemindedCase, set_settings
from crm_recharge.tests.factories import make_user


def in_days(days: int):
	"""As if `days` had passed for the reader of links."""

	class Later(datetime):
		@classmethod
		def now(cls, tz=None):
			return datetime.now(timezone.utc) + timedelta(days=days)

	return patch.object(links, "datetime", Later)


class TestLinks(RemindedCase):
	def test_an_address_holds_its_action_and_token(self):
		message = self.reminded()
		for action in links.ACTIONS:
			query = parse_qs(urlsplit(links.address(message.name, action)).query)
			self.assertEqual(query["do"], [action])
			self.assertEqual(links.read(query["token"][0], action), message.name)
			for other in set(links.ACTIONS) - {action}:
				with self.assertRaises(links.LinkNotValidError) as caught:
					links.read(query["token"][0], other)
				self.assertEqual(caught.exception.http_status_code, 403)
		with self.assertRaises(ValueError):
			links.token(message.name, "pay")

	def test_links_end_as_the_settings_say_but_stopping_goes_on(self):
		set_settings(link_days=10)
		message = self.reminded()
		token, stop = links.token(message.name, "reorder"), links.token(message.name, "stop")
		with in_days(9):
			self.assertEqual(links.read(token, "reorder"), message.name)
		with in_days(11):
			with self.assertRaises(links.LinkNotValidError) as caught:
				links.read(token, "reorder")
			self.assertEqual(caught.exception.http_status_code, 410)
			self.assertEqual(links.read(stop, "stop"), message.name)

	def test_an_anonymous_message_has_no_page(self):
		message = self.reminded()
		token = links.token(message.name, "reorder")
		frappe.db.set_value("Reorder Message", message.name, "customer", None)
		with self.assertRaises(links.LinkNotValidError) as caught:
			actions.show(token, "reorder")
		self.assertEqual(caught.exception.http_status_code, 410)

	def test_clicks_are_not_kept_where_nobody_wants_them(self):
		set_settings(tracking_days=0)
		message = self.reminded()
		actions.looked_at(links.token(message.name, "reorder"), "reorder")
		actions.later(links.token(message.name, "later"), frappe.utils.add_days(frappe.utils.nowdate(), 9))
		message.reload()
		self.assertEqual((message.clicked_at, message.items[0].clicked_at), (None, None))
		self.assertEqual((message.last_answer, message.items[0].answer), ("Later", "Later"))

	def test_who_has_left_the_customer_may_only_stop_the_mails(self):
		for leave in (
			lambda contact: contact.set("links", []) or contact.save(),
			lambda contact: frappe.delete_doc("Contact", contact.name, force=True),
		):
			message = self.reminded()
			frappe.db.set_value("Customer", message.customer, "customer_primary_contact", None)
			tokens = {action: links.token(message.name, action) for action in links.ACTIONS}
			leave(frappe.get_doc("Contact", message.contact))
			until = frappe.utils.add_days(frappe.utils.nowdate(), 20)
			for act in (
				lambda given=tokens: actions.show(given["reorder"], "reorder"),
				lambda given=tokens: actions.reorder(given["reorder"]),
				lambda given=tokens: actions.later(given["later"], until),
				lambda given=tokens: actions.enough(given["enough"], until),
				lambda given=tokens: actions.fewer(given["fewer"], 60),
			):
				with self.assertRaises(links.LinkNotValidError) as refused:
					act()
				self.assertEqual(refused.exception.http_status_code, 410)
			actions.show(tokens["stop"], "stop")
			actions.stop(tokens["stop"])
			self.assertFalse(
				frappe.db.exists("Reorder Preference", {"customer": message.customer, "opted_in": 1})
			)
			self.assertEqual(frappe.db.count("Quotation", {"party_name": message.customer}), 0)

	def test_the_language_is_the_mails(self):
		message = self.reminded()
		frappe.db.set_value("Customer", message.customer, "language", "fr")
		self.assertEqual(actions.language_of(message.name), "fr")
		user = make_user(user_type="Website User", language="de")
		frappe.db.set_value("Contact", message.contact, "user", user)
		self.assertEqual(actions.language_of(message.name), "de")

	def test_answers_show_on_the_customer_in_the_language_of_the_house(self):
		message = self.reminded()
		before = frappe.local.lang
		self.addCleanup(setattr, frappe.local, "lang", before)
		frappe.local.lang = "de"
		until = frappe.utils.add_days(frappe.utils.nowdate(), 20)
		actions.later(links.token(message.name, "later"), until)
		actions.enough(links.token(message.name, "enough"), until)
		actions.fewer(links.token(message.name, "fewer"), 60)
		actions.stop(links.token(message.name, "stop"))
		self.assertEqual(frappe.local.lang, "de")
		notes = frappe.get_all(
			"Comment", {"reference_doctype": "Customer", "reference_name": message.customer}, pluck="content"
		)
		for text in (
			"to be reminded after",
			"to have enough until",
			"at most one mail in 60 days",
			"Stopped the reminders",
		):
			self.assertEqual(sum(text in note for note in notes), 1, text)
		email = frappe.db.get_value("Contact", message.contact, "email_id")
		self.assertFalse(
			any(email in note or message.contact in note for note in notes), "personal data in a note"
		)
