"""Reordering over REST and in the account: the customer's own contacts do all of it, nobody else any of it."""

import re
from concurrent.futures import ThreadPoolExecutor
from html import unescape

import frappe
from frappe.utils import add_days, getdate, nowdate

from crm_recharge.reorder.answers.tests.reminded import make_message, make_reminder
from crm_recharge.reorder.consent import preferences
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.money_case import retire
from crm_recharge.tests.support.reorder_case import make_buyer, make_item
from crm_recharge.tests.support.web import Client
from crm_recharge.tests.test_reorder_over_http import OverHTTP

PASSWORD = "a-long-Passphrase-77"


class ApiCase(OverHTTP):
	def person(self, customer: str, contact: str | None = None, portal: bool = False) -> str:
		"""A website user who belongs to `customer`, by a contact or as its portal user."""
		user = make_user(user_type="Website User")
		self.addCleanup(retire, user)
		if portal:
			document = frappe.get_doc("Customer", customer)
			document.append("portal_users", {"user": user})
			document.save(ignore_permissions=True)
		else:
			document = frappe.get_doc("Contact", contact)
			document.user = user
			document.save(ignore_permissions=True)
		frappe.db.commit()
		return user

	def shopper(self, items: int = 1, **reminder):
		"""(client, customer, contact, reminders) of somebody who buys `items` again and again."""
		customer, contact = make_buyer()
		reminders = [make_reminder(customer, make_item(), **reminder) for _ in range(items)]
		user = self.person(customer, contact)
		return self.web.client(user), customer, contact, reminders

	def message_of(self, response):
		self.assertEqual(response.status_code, 200, response.text[:600])
		return response.json()["message"]

	def refused(self, response, status: int, code: str | None = None):
		self.assertEqual(response.status_code, status, response.text[:600])
		if code:
			self.assertEqual(response.json()["error"]["code"], code)
			self.assertTrue(response.json()["_server_messages"], "no text for people")

	def key(self):
		return frappe.generate_hash(length=20)


class TestOwnItems(ApiCase):
	def test_what_is_due_with_its_range(self):
		client, customer, _contact, reminders = self.shopper(2)
		frappe.db.set_value(
			"Reorder Reminder",
			reminders[0],
			{
				"next_on": add_days(nowdate(), 40),
				"next_from": add_days(nowdate(), 35),
				"next_to": add_days(nowdate(), 50),
			},
		)
		frappe.db.commit()
		for found in (
			self.message_of(client.get("reorder.due")),
			self.message_of(client.post("reorder.due", customer=customer)),
		):
			self.assertEqual(
				(found["customer"], found["customers"], found["company"]),
				(customer, [customer], self.company),
			)
			self.assertEqual([item["reminder"] for item in found["items"]], [reminders[1], reminders[0]])
			self.assertEqual([item["due"] for item in found["items"]], [True, False])
			self.assertEqual((found["items"][0]["quantity"], found["items"][0]["uom"]), ("2", "Nos"))
			self.assertEqual(found["items"][1]["next_on"], str(add_days(nowdate(), 40)))

	def test_order_again_once_for_each_key(self):
		client, customer, contact, reminders = self.shopper()
		key = self.key()
		first = self.message_of(
			client.post("reorder.order_again", reminder=reminders[0], quantity="3", idempotency_key=key)
		)
		self.assertEqual(
			(first["order_type"], first["total"], first["currency"], first["repeated"], first["payment_url"]),
			("Quotation", "30", "USD", False, None),
		)
		again = self.message_of(
			client.post("reorder.order_again", reminder=reminders[0], quantity=3, idempotency_key=key)
		)
		self.assertEqual(again, first | {"repeated": True})
		self.refused(
			client.post("reorder.order_again", reminder=reminders[0], quantity=4, idempotency_key=key),
			409,
			"idempotency_conflict",
		)
		self.assertEqual(self.orders_of(customer), [first["order"]])
		document = frappe.get_doc("Quotation", first["order"])
		self.assertEqual(
			(document.contact_person, document.owner),
			(contact, frappe.db.get_value("Contact", contact, "user")),
		)

	def test_the_same_key_from_many_at_once(self):
		client, customer, _contact, (reminder,) = self.shopper()
		key = self.key()
		with ThreadPoolExecutor(6) as many:
			answers = list(
				many.map(
					lambda _: client.post("reorder.order_again", reminder=reminder, idempotency_key=key),
					range(6),
				)
			)
		found = [self.message_of(answer) for answer in answers]
		self.assertEqual(len({answer["order"] for answer in found}), 1)
		self.assertEqual(sorted(answer["repeated"] for answer in found), [False] + [True] * 5)
		self.assertEqual(len(self.orders_of(customer)), 1)

	def test_several_items_and_the_usual_quantity(self):
		client, customer, _contact, reminders = self.shopper(2)
		code = frappe.db.get_value("Reorder Reminder", reminders[1], "item_code")
		found = self.message_of(
			client.post(
				"reorder.order_again",
				items=[{"reminder": reminders[0]}, {"item_code": code, "quantity": 5}],
				customer=customer,
				idempotency_key=self.key(),
			)
		)
		frappe.db.rollback()
		document = frappe.get_doc("Quotation", found["order"])
		self.assertEqual([row.qty for row in document.items], [2, 5])

	def test_the_offer_of_the_last_reminder_holds_here_too(self):
		from crm_recharge.reorder.answers.tests.test_orders import make_coupon

		client, customer, contact, reminders = self.shopper()
		item = frappe.db.get_value("Reorder Reminder", reminders[0], "item_code")
		ends = add_days(nowdate(), 5)
		coupon = make_coupon(customer, item, 10, ends)
		message = make_message(customer, contact, [{"item_code": item}], coupon_code=coupon, offer_ends=ends)
		frappe.db.commit()
		found = self.message_of(
			client.post("reorder.order_again", reminder=reminders[0], idempotency_key=self.key())
		)
		self.assertEqual(
			(found["total"], frappe.db.get_value("Quotation", found["order"], "coupon_code")), ("18", coupon)
		)
		# Promised once: neither the same way again, nor by the mail's link.
		found = self.message_of(
			client.post("reorder.order_again", reminder=reminders[0], idempotency_key=self.key())
		)
		self.assertEqual(found["total"], "20")
		page = self.open(message, "reorder")
		self.assertIn("$ 20.00", page.text)

	def test_requests_that_are_wrong(self):
		client, customer, _contact, (reminder,) = self.shopper()
		other = make_item()
		frappe.db.commit()
		for arguments, code in (
			({"idempotency_key": None}, "missing_key"),
			({"idempotency_key": "x" * 141}, "key_too_long"),
			({"quantity": 0}, "not_positive"),
			({"quantity": "-1"}, "not_positive"),
			({"quantity": "many"}, "not_a_number"),
			({"quantity": "1.5"}, "not_whole"),
			({"quantity": 10_001}, "too_many"),
			({"reminder": None}, "reminder_or_items"),
			({"items": []}, "reminder_or_items"),
			({"reminder": None, "items": []}, "items_count"),
			({"reminder": None, "items": "["}, "items_not_a_list"),
			({"reminder": None, "items": [{"quantity": 1}]}, "item_fields"),
			({"reminder": None, "items": [{"item_code": other}]}, "unknown_item"),
			({"reminder": None, "items": [{"reminder": reminder}] * 2}, "item_twice"),
		):
			arguments = {"reminder": reminder, "idempotency_key": self.key()} | arguments
			self.refused(client.post("reorder.order_again", **arguments), 422, code)
		self.assertEqual(self.orders_of(customer), [])

	def test_an_order_that_cannot_be_made(self):
		client, customer, _contact, (reminder,) = self.shopper()
		item = frappe.db.get_value("Reorder Reminder", reminder, "item_code")
		frappe.db.set_value("Item", item, "disabled", 1)
		frappe.db.commit()
		response = client.post("reorder.order_again", reminder=reminder, idempotency_key=self.key())
		self.refused(response, 422, "not_ordered")
		self.assertEqual(response.json()["exc_type"], "NotOrderedError")
		self.assertNotIn(item, response.text, "the customer reads the company's reason")
		frappe.db.rollback()
		told = frappe.get_all("Error Log", {"method": ["like", f"%{customer}%"]}, pluck="error")
		self.assertEqual(len(told), 1, "what the company is told was lost with the refusal")
		self.assertIn("Not sold any more", told[0])
		self.assertEqual(self.orders_of(customer), [])

	def test_what_is_not_sold_is_shown_and_cannot_be_ordered(self):
		client, customer, contact, reminders = self.shopper(2)
		item = frappe.db.get_value("Reorder Reminder", reminders[0], "item_code")
		frappe.db.set_value("Item", item, "is_sales_item", 0)
		frappe.db.commit()
		found = {row["reminder"]: row for row in self.message_of(client.get("reorder.due"))["items"]}
		self.assertEqual([found[name]["orderable"] for name in reminders], [False, True])

	def test_snooze_and_own_date(self):
		client, _customer, _contact, (reminder,) = self.shopper()
		until, day = str(add_days(nowdate(), 20)), str(add_days(nowdate(), 60))
		self.assertEqual(
			self.message_of(client.post("reorder.snooze", reminder=reminder, until=until))["snoozed_until"],
			until,
		)
		self.assertEqual(
			self.message_of(client.post("reorder.set_date", reminder=reminder, date=day))["expected_on"], day
		)
		row = self.now("Reorder Reminder", reminder, ["snoozed_until", "expected_on"])
		self.assertEqual(row, (getdate(until), getdate(day)))
		self.assertIsNone(self.message_of(client.post("reorder.snooze", reminder=reminder))["snoozed_until"])
		self.assertIsNone(self.message_of(client.post("reorder.set_date", reminder=reminder))["expected_on"])
		for method, field in (("snooze", "until"), ("set_date", "date")):
			for value in (nowdate(), "2999-01-01", "soon"):
				self.refused(
					client.post(f"reorder.{method}", reminder=reminder, **{field: value}), 422, "bad_date"
				)

	def test_wishes(self):
		client, customer, contact, _reminders = self.shopper()
		found = self.message_of(client.get("reorder.preference"))
		self.assertEqual((found["opted_in"], found["frequency_days"], found["contact"]), (False, 0, contact))
		self.assertTrue(found["consent_wording"])
		self.refused(client.get("reorder.preference", opted_in=1), 422, "not_by_get")
		self.refused(client.post("reorder.preference", opted_in=True), 422, "no_wording")
		self.refused(client.post("reorder.preference", frequency_days=30), 422, "not_opted_in")
		self.refused(client.post("reorder.preference", opted_in="perhaps", wording="w"), 422, "not_a_bool")
		found = self.message_of(
			client.post("reorder.preference", opted_in=True, wording="Yes, remind me", source="web")
		)
		self.assertTrue(found["opted_in"] and found["opted_in_at"])
		row = self.now(
			"Reorder Preference",
			{"contact": contact, "customer": customer},
			["source", "wording", "opted_in_by"],
		)
		self.assertEqual(row, ("web", "Yes, remind me", frappe.db.get_value("Contact", contact, "user")))
		until = str(add_days(nowdate(), 30))
		found = self.message_of(client.post("reorder.preference", frequency_days=30, snoozed_until=until))
		self.assertEqual(
			(found["frequency_days"], found["snoozed_until"], found["opted_in"]), (30, until, True)
		)
		found = self.message_of(client.post("reorder.preference", frequency_days="0", snoozed_until=""))
		self.assertEqual((found["frequency_days"], found["snoozed_until"]), (0, None))
		found = self.message_of(client.post("reorder.preference", opted_in=False))
		self.assertFalse(found["opted_in"])
		self.refused(client.post("reorder.preference", frequency_days=400), 422, "bad_frequency")


class TestStrangers(ApiCase):
	def test_every_method_refuses_everybody_else(self):
		_client, customer, _contact, (reminder,) = self.shopper()
		strangers = {
			"guest": Client(self.web.url),
			"no customer": self.web.client(self.registered(make_user(user_type="Website User"))),
			"another customer": self.shopper()[0],
			"staff": self.web.client(
				self.registered(make_user("Sales Manager", "Reorder Manager", "System Manager"))
			),
			"web shop": self.web.client(self.registered(make_user("Reorder API"))),
		}
		before = self.now("Reorder Reminder", reminder, ["snoozed_until", "expected_on", "modified"])
		for who, client in strangers.items():
			for method, arguments in (
				("due", {"customer": customer}),
				("order_again", {"reminder": reminder, "idempotency_key": self.key()}),
				("order_again", {"items": [{"reminder": reminder}], "idempotency_key": self.key()}),
				(
					"order_again",
					{"items": [{"item_code": "x"}], "customer": customer, "idempotency_key": self.key()},
				),
				("snooze", {"reminder": reminder, "until": str(add_days(nowdate(), 9))}),
				("set_date", {"reminder": reminder, "date": str(add_days(nowdate(), 9))}),
				("preference", {"customer": customer}),
				("preference", {"customer": customer, "opted_in": 1, "wording": "yes"}),
			):
				response = client.post(f"reorder.{method}", **arguments)
				self.assertEqual(response.status_code, 403, f"{who}: {method}: {response.text[:300]}")
				self.assertNotIn(customer, response.text)
			if who not in ("staff", "web shop"):
				self.assertEqual(
					client.post(
						"reorder.opt_in", customer=customer, wording="w", email="x@test.example"
					).status_code,
					403,
					who,
				)
		self.assertEqual(
			self.now("Reorder Reminder", reminder, ["snoozed_until", "expected_on", "modified"]), before
		)
		self.assertEqual(self.orders_of(customer), [])
		frappe.db.rollback()
		self.assertFalse(frappe.db.exists("Reorder Preference", {"customer": customer}))

	def registered(self, user: str) -> str:
		self.addCleanup(retire, user)
		frappe.db.commit()
		return user

	def test_writes_take_post_only(self):
		client, _customer, _contact, (reminder,) = self.shopper()
		for method, arguments in (
			("order_again", {"reminder": reminder, "idempotency_key": "k"}),
			("snooze", {"reminder": reminder}),
			("set_date", {"reminder": reminder}),
			("unsubscribe", {"token": "x"}),
		):
			self.assertEqual(client.get(f"reorder.{method}", **arguments).status_code, 403, method)

	def test_a_disabled_customer_and_one_who_left(self):
		client, customer, contact, _reminders = self.shopper()
		frappe.db.set_value("Customer", customer, "disabled", 1)
		frappe.db.commit()
		self.assertEqual(client.get("reorder.due").status_code, 403)
		frappe.db.set_value("Customer", customer, "disabled", 0)
		frappe.db.set_value("Contact", contact, "user", None)
		frappe.db.commit()
		self.assertEqual(client.get("reorder.due").status_code, 403)

	def test_portal_users_and_users_of_several_customers(self):
		_client, customer, contact, _reminders = self.shopper()
		user = self.person(customer, portal=True)
		other, other_contact = make_buyer()
		frappe.db.set_value("Contact", other_contact, "user", user)
		frappe.db.commit()
		client = self.web.client(user)
		self.assertEqual(set(self.message_of(client.get("reorder.due"))["customers"]), {customer, other})
		self.assertEqual(self.message_of(client.get("reorder.due", customer=customer))["customer"], customer)
		# A portal user without a contact has no address to write to.
		self.refused(
			client.post("reorder.preference", customer=customer, opted_in=1, wording="w"), 422, "no_contact"
		)
		self.assertTrue(
			self.message_of(client.post("reorder.preference", customer=other, opted_in=1, wording="w"))[
				"opted_in"
			]
		)
		self.assertEqual(self.now("Reorder Preference", {"customer": other}, "contact"), other_contact)
		self.assertIsNone(self.now("Reorder Preference", {"customer": customer, "contact": contact}, "name"))


class TestWebShop(ApiCase):
	def test_a_consent_is_handed_in(self):
		customer, contact = make_buyer()
		shop = make_user("Reorder API")
		self.addCleanup(retire, shop)
		frappe.db.commit()
		client = self.web.client(shop)
		email = frappe.db.get_value("Contact", contact, "email_id")
		arguments = {
			"customer": customer,
			"wording": "Remind me",
			"source": "web shop",
			"source_document": "CART-7",
		}
		found = self.message_of(client.post("reorder.opt_in", email=email.upper(), **arguments))
		self.assertEqual((found["contact"], found["email"]), (contact, email))
		self.assertEqual(self.message_of(client.post("reorder.opt_in", contact=contact, **arguments)), found)
		row = self.now(
			"Reorder Preference",
			found["preference"],
			["opted_in", "source", "source_document", "opted_in_by"],
		)
		self.assertEqual(row, (1, "web shop", "CART-7", shop))
		stranger = make_buyer()[1]
		frappe.db.commit()
		for wrong, code in (
			({"email": email, "contact": contact}, "contact_or_email"),
			({}, "contact_or_email"),
			({"email": "nobody@test.example"}, "unknown_contact"),
			({"contact": stranger}, "unknown_contact"),
			({"contact": contact, "customer": "Nobody Ltd"}, "unknown_customer"),
		):
			self.refused(client.post("reorder.opt_in", **{**arguments, **wrong}), 422, code)


class TestAccountPage(ApiCase):
	def logged_in(self, user: str):
		document = frappe.get_doc("User", user)
		document.new_password = PASSWORD
		document.flags.no_welcome_mail = True
		document.save(ignore_permissions=True)
		frappe.db.commit()
		session = self.browser()
		session.post(f"{self.web.url}/api/method/login", data={"usr": user, "pwd": PASSWORD}, timeout=60)
		return session

	def shopping(self, items: int = 1):
		customer, contact = make_buyer()
		reminders = [make_reminder(customer, make_item()) for _ in range(items)]
		return self.logged_in(self.person(customer, contact)), customer, contact, reminders

	def page(self, session, **query):
		return session.get(f"{self.web.url}/reorders", params=query, timeout=60)

	def send_form(self, session, page, act: str, of: str | None = None, **values):
		"""Send the page's form for `act` (of the reminder `of`) as a browser does."""
		for form in re.findall(r'<form method="post".*?</form>', page.text, re.S):
			fields = {}
			for tag in re.findall(r"<(?:input|button)[^>]*>", form):
				found = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
				if found.get("name") and found.get("type") != "checkbox" and not tag.startswith("<button"):
					fields[found["name"]] = unescape(found.get("value", ""))
			if fields.get("act") == act and (of is None or fields.get("reminder") == of):
				return session.post(f"{self.web.url}/reorders", data=fields | values, timeout=60)
		self.fail(f"no form for {act}")

	def test_guests_log_in_first(self):
		answer = self.browser().get(f"{self.web.url}/reorders", timeout=60, allow_redirects=False)
		self.assertEqual(
			(answer.status_code, answer.headers["Location"]), (302, "/login?redirect-to=/reorders")
		)

	def test_a_login_without_a_customer(self):
		user = make_user(user_type="Website User")
		self.addCleanup(retire, user)
		page = self.page(self.logged_in(user))
		self.assertEqual(page.status_code, 200)
		self.assertIn("does not belong to a customer", page.text)

	def test_another_customers_page(self):
		session, _customer, _contact, _reminders = self.shopping()
		other, _ = make_buyer()
		frappe.db.commit()
		page = self.page(session, customer=other)
		self.assertEqual(page.status_code, 403)
		self.assertNotIn(frappe.db.get_value("Customer", other, "customer_name"), page.text)

	def test_whoever_looks_it_is_a_page_with_one_heading_and_days_as_the_site_writes_them(self):
		session, customer, _contact, reminders = self.shopping()
		item, last = frappe.db.get_value("Reorder Reminder", reminders[0], ["item_code", "last_day"])
		stranger = make_user(user_type="Website User")
		self.addCleanup(retire, stranger)
		for style in ("yyyy-mm-dd", "dd.mm.yyyy"):
			self.date_format(style)
			page = self.page(session)
			self.assertIn(f"Last bought {frappe.utils.format_date(last)}", page.text)
		frappe.db.set_value("Item", item, "disabled", 1)
		frappe.db.commit()
		self.assertIn("Not sold any more.", self.page(session).text)
		for page in (
			self.page(session),
			self.page(self.logged_in(stranger)),
			self.page(session, done="wishes"),
		):
			self.assertEqual((page.status_code, page.text.count("<h1")), (200, 1))
			self.assertNotIn("Traceback", page.text)
		self.assertEqual(self.page(session, customer="nobody").status_code, 403)

	def date_format(self, style: str):
		before = frappe.db.get_single_value("System Settings", "date_format")
		self.addCleanup(self._set_date_format, before)
		self._set_date_format(style)

	def _set_date_format(self, style: str):
		frappe.db.set_single_value("System Settings", "date_format", style)
		frappe.db.set_default("date_format", style)
		frappe.db.commit()
		frappe.local.user_date_format = None
		frappe.clear_cache()

	def test_order_snooze_date_and_wishes(self):
		session, customer, contact, (reminder,) = self.shopping()
		page = self.page(session)
		self.assertIn(frappe.db.get_value("Reorder Reminder", reminder, "item_name"), page.text)
		answer = self.send_form(session, page, "order", reminder, quantity="4")
		self.assertEqual((answer.status_code, answer.history[0].status_code), (200, 303))
		(name,) = self.orders_of(customer)
		self.assertIn(name, answer.text)
		self.assertEqual(frappe.db.get_value("Quotation", name, "grand_total"), 40)
		# The same form once more is the same order.
		self.send_form(session, page, "order", reminder, quantity="4")
		self.assertEqual(self.orders_of(customer), [name])
		answer = self.send_form(session, answer, "snooze", reminder, **{"in": "14"})
		self.assertIn("Noted", answer.text)
		self.assertEqual(
			self.now("Reorder Reminder", reminder, "snoozed_until"), getdate(add_days(nowdate(), 14))
		)
		answer = self.send_form(session, answer, "date", reminder, date=str(add_days(nowdate(), 44)))
		self.assertEqual(
			self.now("Reorder Reminder", reminder, "expected_on"), getdate(add_days(nowdate(), 44))
		)
		answer = self.send_form(session, answer, "date", reminder, **{"in": "never"})
		self.assertIsNone(self.now("Reorder Reminder", reminder, "expected_on"))
		refused = self.send_form(session, answer, "date", reminder, date="2020-01-01")
		self.assertEqual(refused.status_code, 422)
		self.assertIn("Give a date after today", refused.text)
		# Never ticked beforehand, and not saved without the tick.
		self.assertNotRegex(answer.text, r"<input[^>]*opted_in[^>]*checked")
		self.assertEqual(self.send_form(session, answer, "wishes").status_code, 422)
		forged = self.send_form(session, answer, "wishes", opted_in="1", wording="I buy everything")
		self.assertEqual(forged.status_code, 422)
		answer = self.send_form(session, answer, "wishes", opted_in="1")
		row = self.now(
			"Reorder Preference",
			{"contact": contact, "customer": customer},
			["opted_in", "source", "wording"],
		)
		self.assertEqual(row, (1, "web", preferences.wording()))
		answer = self.send_form(
			session, answer, "wishes", frequency_days="60", snoozed_until=str(add_days(nowdate(), 9))
		)
		row = self.now(
			"Reorder Preference", {"contact": contact}, ["frequency_days", "snoozed_until", "opted_in"]
		)
		self.assertEqual(row, (60, getdate(add_days(nowdate(), 9)), 1))
		answer = self.send_form(session, answer, "stop")
		self.assertIn("The reminders have stopped", answer.text)
		self.assertEqual(self.now("Reorder Preference", {"contact": contact}, "opted_in"), 0)

	def test_a_form_from_elsewhere_does_nothing(self):
		session, customer, _contact, (reminder,) = self.shopping()
		page = self.page(session)
		answer = self.send_form(session, page, "order", reminder, csrf_token="")
		self.assertEqual(answer.status_code, 400)
		self.assertEqual(self.orders_of(customer), [])

	def test_somebody_elses_item(self):
		session, _customer, _contact, (own,) = self.shopping()
		_other, theirs, _c, (reminder,) = self.shopping()
		page = self.page(session)
		for act, values in (
			("order", {"quantity": "1"}),
			("snooze", {"in": "7"}),
			("date", {"date": str(add_days(nowdate(), 9))}),
		):
			answer = self.send_form(session, page, act, own, **values, reminder=reminder)
			self.assertEqual(answer.status_code, 403, act)
		self.assertEqual(self.orders_of(theirs), [])
		self.assertEqual(
			self.now("Reorder Reminder", reminder, ["snoozed_until", "expected_on"]), (None, None)
		)
