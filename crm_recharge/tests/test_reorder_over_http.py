"""The links of a reminder as browsers, mail programs and scanners meet them: guests, forms, headers, two tabs."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from html import unescape
from urllib.parse import parse_qs, urlsplit

import frappe
import requests
from frappe.utils import add_days, getdate, nowdate

from crm_recharge.domain import links as signed
from crm_recharge.recharge.links import secret
from crm_recharge.reorder.answers import links
from crm_recharge.reorder.answers.tests.reminded import RemindedCase
from crm_recharge.reorder.consent import preferences
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.money_case import retire
from crm_recharge.tests.support.web import Client, Web

ONE_CLICK_BODY = {"List-Unsubscribe": "One-Click"}


class OverHTTP(RemindedCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.web = Web().start()
		cls.addClassCleanup(cls.web.stop)

	def message(self, items=1, **values):
		message = self.reminded(items, **values)
		frappe.db.commit()
		return message

	def browser(self) -> requests.Session:
		session = requests.Session()
		session.trust_env = False
		return session

	def open(self, message, action, session=None):
		return self.get(links.token(message.name, action), action, session)

	def get(self, token, action, session=None):
		return (session or self.browser()).get(
			f"{self.web.url}/reorder", params={"do": action, "token": token}, timeout=60
		)

	def send(self, page, session=None, without=(), **values):
		"""Send the form of a page as a browser without scripts does; follow to where it leads."""
		form = {}
		for tag in re.findall(r"<input[^>]*>", page.text):
			found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
			if found.get("name") and (found.get("type") != "radio" or "checked" in tag):
				form[found["name"]] = unescape(found.get("value", ""))
		form |= values
		return (session or self.browser()).post(
			f"{self.web.url}/reorder", data={k: v for k, v in form.items() if k not in without}, timeout=60
		)

	def now(self, doctype, name, fields):
		frappe.db.rollback()
		return frappe.db.get_value(doctype, name, fields)

	def orders_of(self, customer):
		frappe.db.rollback()
		return frappe.get_all("Quotation", {"party_name": customer}, pluck="name")


class TestPage(OverHTTP):
	def state_of(self, message):
		"""Everything a GET could have written about a message."""
		frappe.db.rollback()
		tables = {
			"Reorder Message": {"name": message.name},
			"Reorder Message Item": {"parent": message.name},
			"Reorder Reminder": {"customer": message.customer},
			"Reorder Preference": {"customer": message.customer},
			"Comment": {"reference_name": message.customer},
			"Quotation": {"party_name": message.customer},
			"ToDo": {"reference_name": message.customer},
		}
		return {d: frappe.get_all(d, f, ["*"], order_by="name") for d, f in tables.items()}

	def test_looking_writes_nothing_whatever_the_link(self):
		message = self.message(2)
		before = self.state_of(message)
		for action in links.ACTIONS:
			for _again in range(2):
				page = self.open(message, action)
				self.assertEqual(page.status_code, 200, page.text[:500])
				self.browser().head(page.url, timeout=60)
			self.assertEqual(self.state_of(message), before, action)

	def test_the_page_is_kept_by_nobody(self):
		page = self.open(self.message(), "reorder")
		self.assertIn("no-store", page.headers["Cache-Control"])
		self.assertEqual(page.headers["Referrer-Policy"], "no-referrer")
		self.assertIn("noindex", page.headers["X-Robots-Tag"])
		self.assertIn("frame-ancestors 'none'", page.headers["Content-Security-Policy"])
		self.assertIn('<meta name="referrer" content="no-referrer">', page.text)
		other = self.browser().get(f"{self.web.url}/login", timeout=60)
		self.assertNotIn("X-Robots-Tag", other.headers)

	def test_bad_links_have_their_status_and_tell_nothing(self):
		message = self.message()
		good = links.token(message.name, "reorder")
		over = signed.sign(
			secret(), "reorder-reorder", message.name, datetime.now(timezone.utc) - timedelta(1)
		)
		gone = signed.sign(secret(), "reorder-reorder", "no such", datetime.now(timezone.utc) + timedelta(1))
		for token, action, status in (
			("", "reorder", 403),
			("nonsense", "reorder", 403),
			(good[:-4], "reorder", 403),
			(good, "stop", 403),
			(good, "nothing", 403),
			(links.token(message.name, "stop"), "reorder", 403),
			(over, "reorder", 410),
			(gone, "reorder", 410),
		):
			page = self.get(token, action)
			self.assertEqual(page.status_code, status, (token, action))
			self.assertIn("This link does not work", page.text)
			self.assertNotIn(message.items[0].item_name, page.text)
			answer = self.browser().post(
				f"{self.web.url}/reorder", data={"do": action, "token": token, "act": "order"}, timeout=60
			)
			self.assertEqual(answer.status_code, status)
		self.assertEqual(self.orders_of(message.customer), [])

	def test_whoever_holds_whatever_link_sees_a_page(self):
		"""Each action by a good, an expired, an altered and another one's link, as a guest and logged in: a page with one
		heading that says what it is, and never an error of the server's."""
		message = self.message()
		user = make_user(user_type="Website User", new_password="a-long-Passphrase-77")
		self.addCleanup(retire, user)
		member = self.browser()
		member.post(
			f"{self.web.url}/api/method/login",
			data={"usr": user, "pwd": "a-long-Passphrase-77"},
			timeout=60,
		)
		for action in links.ACTIONS:
			good = links.token(message.name, action)
			over = signed.sign(
				secret(), f"reorder-{action}", message.name, datetime.now(timezone.utc) - timedelta(1)
			)
			other = links.token(message.name, "later" if action != "later" else "enough")
			for token, status in ((good, 200), (over, 410), (good[:-1] + "~", 403), (other, 403), ("", 403)):
				for session in (self.browser(), member):
					page = self.get(token, action, session)
					self.assertEqual(page.status_code, status, (action, token))
					self.assertEqual(page.text.count("<h1"), 1, (action, token))
					self.assertNotIn("Traceback", page.text)
					self.assertIn("no-store", page.headers["Cache-Control"])

	def test_a_held_out_customers_message_has_no_page(self):
		message = self.message(kind="Held Out")
		self.assertEqual(self.open(message, "reorder").status_code, 410)

	def test_in_the_customers_language(self):
		message = self.message()
		frappe.db.set_value("Customer", message.customer, "language", "de")
		text = frappe.get_doc(
			{
				"doctype": "Translation",
				"language": "de",
				"source_text": "Stop the reminders?",
				"translated_text": "Keine Erinnerungen mehr?",
			}
		).insert()
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.delete_doc, "Translation", text.name)
		frappe.db.commit()
		frappe.cache.delete_key("lang_user_translations")
		page = self.open(message, "stop")
		self.assertIn("Keine Erinnerungen mehr?", page.text)
		self.assertIn('lang="de"', page.text)

	def test_what_others_wrote_is_text(self):
		from crm_recharge.tests.support.reorder_case import make_item

		item = make_item()
		frappe.db.set_value("Item", item, "item_name", "<img src=x onerror=alert(1)>")
		message = self.message([item])
		for action in ("reorder", "later"):
			page = self.open(message, action)
			self.assertNotIn("<img src=x", page.text)
			self.assertIn("&lt;img src=x", page.text)
		page = self.browser().get(
			f"{self.web.url}/reorder",
			params={"do": '"><script>alert(1)</script>', "token": "</script>"},
			timeout=60,
		)
		self.assertNotIn("<script>alert(1)", page.text)


class TestOrdering(OverHTTP):
	def test_shown_then_ordered_by_a_plain_form(self):
		message = self.message(2)
		page = self.open(message, "reorder")
		for text in (message.items[0].item_name, "$ 10.00 each", "$ 40.00", "Send the request"):
			self.assertIn(text, page.text)
		thanks = self.send(page, act="order")
		self.assertEqual((thanks.status_code, thanks.history[0].status_code), (200, 303))
		self.assertEqual(thanks.request.method, "GET")
		name = self.orders_of(message.customer)
		self.assertEqual(len(name), 1)
		self.assertIn(name[0], thanks.text)
		self.assertIn("Thank you", thanks.text)
		# Looking again later shows the order, not the form.
		again = self.open(message, "reorder")
		self.assertIn(name[0], again.text)
		self.assertNotIn("<form", again.text.split('id="crm-reorder"')[1].split("<footer")[0])

	def test_quantities_are_worked_out_again_without_a_script(self):
		message = self.message(2)
		first, second = (f"quantity-{row.name}" for row in message.items)
		page = self.open(message, "reorder")
		shown = self.send(page, act="recalculate", **{first: "3", second: "0"})
		self.assertEqual(shown.status_code, 200)
		self.assertIn("$ 30.00", shown.text)
		self.assertEqual(self.orders_of(message.customer), [])
		self.send(shown, act="order")
		doc = frappe.get_doc("Quotation", self.orders_of(message.customer)[0])
		self.assertEqual([(row.item_code, row.qty) for row in doc.items], [(message.items[0].item_code, 3)])

	def test_what_cannot_be_is_said_and_nothing_is_ordered(self):
		message = self.message()
		box = f"quantity-{message.items[0].name}"
		page = self.open(message, "reorder")
		for value, text in (
			("0", "Nothing is left"),
			("-1", "not a quantity"),
			("many", "not a quantity"),
			("1.5", "whole number"),
			("99999", "a lot"),
		):
			answer = self.send(page, act="order", **{box: value})
			self.assertEqual(answer.status_code, 422, value)
			self.assertIn(text, answer.text)
		self.assertEqual(self.orders_of(message.customer), [])

	def test_two_tabs_at_once_are_one_order(self):
		message = self.message(2)
		page = self.open(message, "reorder")
		with ThreadPoolExecutor(6) as tabs:
			answers = list(tabs.map(lambda _: self.send(page, act="order"), range(6)))
		self.assertEqual({a.status_code for a in answers}, {200}, [a.text[:300] for a in answers])
		names = self.orders_of(message.customer)
		self.assertEqual(len(names), 1)
		self.assertTrue(all(names[0] in a.text for a in answers))

	def test_while_logged_in_the_form_carries_what_frappe_asks_for(self):
		message = self.message()
		user = make_user(user_type="Website User")
		self.addCleanup(retire, user)
		doc = frappe.get_doc("User", user)
		doc.new_password = "a-long-Passphrase-77"
		doc.flags.no_welcome_mail = True
		doc.save(ignore_permissions=True)
		frappe.db.commit()
		session = self.browser()
		session.post(
			f"{self.web.url}/api/method/login", data={"usr": user, "pwd": "a-long-Passphrase-77"}, timeout=60
		)
		page = self.open(message, "reorder", session)
		self.assertIn('name="csrf_token"', page.text)
		forged = self.send(page, session, without=("csrf_token",), act="order")
		self.assertEqual(forged.status_code, 400)
		self.assertEqual(self.orders_of(message.customer), [])
		self.assertEqual(self.send(page, session, act="order").status_code, 200)
		self.assertEqual(len(self.orders_of(message.customer)), 1)
		# The login has survived that the order was made by the system.
		who = session.get(f"{self.web.url}/api/method/frappe.auth.get_logged_user", timeout=60)
		self.assertEqual(who.json()["message"], user)


class TestOtherAnswers(OverHTTP):
	def test_later(self):
		message = self.message(2)
		page = self.open(message, "later")
		answer = self.send(page, **{"in": "14"})
		until = getdate(add_days(nowdate(), 14))
		self.assertIn("All right, later", answer.text)
		frappe.db.rollback()
		self.assertEqual(
			set(frappe.get_all("Reorder Reminder", {"customer": message.customer}, pluck="snoozed_until")),
			{until},
		)
		self.assertEqual(self.now("Reorder Message", message.name, "last_answer"), "Later")
		# Another date by the same link counts from then on.
		day = getdate(add_days(nowdate(), 40))
		self.send(page, **{"in": "date", "date": str(day)})
		self.assertEqual(
			set(frappe.get_all("Reorder Reminder", {"customer": message.customer}, pluck="snoozed_until"))
			if not frappe.db.rollback()
			else None,
			{day},
		)

	def test_enough(self):
		message = self.message()
		page = self.open(message, "enough")
		self.assertIn("In a month (as usual)", page.text)
		day = getdate(add_days(nowdate(), 50))
		answer = self.send(page, **{"in": "date", "date": str(day)})
		self.assertIn("Good to know", answer.text)
		row = self.now("Reorder Reminder", {"customer": message.customer}, ["expected_on", "remind_on"])
		self.assertEqual(row[0], day)
		self.assertEqual(self.now("Reorder Message Item", {"parent": message.name}, "answer"), "Enough")

	def test_dates_nobody_means(self):
		message = self.message()
		for action in ("later", "enough"):
			page = self.open(message, action)
			for day in ("", nowdate(), "2020-01-01", "2999-01-01", "tomorrow", "2026-02-31"):
				answer = self.send(page, **{"in": "date", "date": day})
				self.assertEqual(answer.status_code, 422, day)
				self.assertIn("Give a date after today", answer.text)
		self.assertEqual(
			self.now("Reorder Reminder", {"customer": message.customer}, ["expected_on", "snoozed_until"]),
			(None, None),
		)

	def test_fewer(self):
		message = self.message()
		page = self.open(message, "fewer")
		self.assertNotIn('value="14"', page.text)
		answer = self.send(page, days="60")
		self.assertIn("At most every two months", answer.text)
		self.assertEqual(self.now("Reorder Preference", message.preference, "frequency_days"), 60)
		for days in ("0", "-1", "x", "400", ""):
			self.assertEqual(self.send(page, days=days).status_code, 422, days)
		self.assertEqual(self.now("Reorder Preference", message.preference, "frequency_days"), 60)

	def test_stop(self):
		message = self.message()
		page = self.open(message, "stop")
		self.assertIn("Stop the reminders?", page.text)
		for _again in range(2):
			answer = self.send(page)
			self.assertEqual(answer.status_code, 200)
			self.assertIn("The reminders have stopped", answer.text)
		self.assertEqual(self.now("Reorder Preference", message.preference, "opted_in"), 0)
		frappe.db.rollback()
		history = frappe.get_all("Reorder Consent Change", {"parent": message.preference}, pluck="change")
		self.assertEqual(history.count("Opted out"), 1)

	def test_a_click_is_recorded_when_a_person_moves(self):
		message = self.message()
		client = Client(self.web.url)
		self.open(message, "reorder")
		self.assertIsNone(self.now("Reorder Message", message.name, "clicked_at"))
		answer = client.post(
			"reorder.looked_at", as_form=True, token=links.token(message.name, "reorder"), do="reorder"
		)
		self.assertEqual(answer.status_code, 200)
		first = self.now("Reorder Message", message.name, "clicked_at")
		self.assertTrue(first)
		client.post(
			"reorder.looked_at", as_form=True, token=links.token(message.name, "reorder"), do="reorder"
		)
		self.assertEqual(self.now("Reorder Message", message.name, "clicked_at"), first)
		self.assertEqual(client.get("reorder.looked_at", token="x", do="reorder").status_code, 403)
		self.assertEqual(
			client.post("reorder.looked_at", as_form=True, token="x", do="reorder").status_code, 403
		)


class TestOneClick(OverHTTP):
	def post(self, address, body=None):
		parts = urlsplit(address)
		return self.browser().post(
			f"{self.web.url}{parts.path}?{parts.query}",
			data=body or ONE_CLICK_BODY,
			timeout=60,
			allow_redirects=False,
		)

	def test_as_a_mail_program_does_it(self):
		message = self.message()
		address = links.one_click(message.name)
		self.assertEqual(list(parse_qs(urlsplit(address).query)), ["token"])
		for _again in range(3):
			answer = self.post(address)
			self.assertEqual((answer.status_code, answer.json()["message"]), (200, {"stopped": True}))
		self.assertEqual(self.now("Reorder Preference", message.preference, "opted_in"), 0)
		frappe.db.rollback()
		sources = frappe.get_all(
			"Reorder Consent Change", {"parent": message.preference, "change": "Opted out"}, pluck="source"
		)
		self.assertEqual(sources, ["one-click unsubscribe"])

	def test_a_get_stops_nothing(self):
		message = self.message()
		parts = urlsplit(links.one_click(message.name))
		answer = self.browser().get(f"{self.web.url}{parts.path}?{parts.query}", timeout=60)
		self.assertEqual(answer.status_code, 403)
		self.assertEqual(self.now("Reorder Preference", message.preference, "opted_in"), 1)

	def test_only_this_contact_stops(self):
		from crm_recharge.tests.support.reorder_case import make_contact

		message = self.message()
		other = preferences.opt_in(
			make_contact(message.customer, primary=False), message.customer, "test", "yes"
		).name
		frappe.db.commit()
		self.post(links.one_click(message.name))
		self.assertEqual(self.now("Reorder Preference", other, "opted_in"), 1)

	def test_also_when_the_preference_is_gone(self):
		message = self.message()
		address = links.one_click(message.name)
		frappe.db.delete("Reorder Preference", {"name": message.preference})
		frappe.db.commit()
		self.assertEqual(self.post(address).status_code, 200)

	def test_a_token_for_something_else_or_changed(self):
		message = self.message()
		for token in (
			links.token(message.name, "reorder"),
			links.token(message.name, "stop")[:-2] + "xx",
			"",
		):
			answer = self.post(f"{links.ONE_CLICK}?token={token}")
			self.assertEqual(answer.status_code, 403)
		self.assertEqual(self.now("Reorder Preference", message.preference, "opted_in"), 1)
