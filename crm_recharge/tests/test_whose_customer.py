"""Whose customer it is: links that anybody makes prove nothing, those of staff do, and nobody gains by editing."""

import json
from contextlib import contextmanager

import frappe
from frappe.permissions import add_user_permission

from crm_recharge.accounting import mailing
from crm_recharge.people import contacts, vouching
from crm_recharge.people.persons import customers_of
from crm_recharge.reorder.answers import orders
from crm_recharge.reorder.answers.orders import Line, Wish
from crm_recharge.reorder.answers.tests.reminded import make_reminder
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.learning import quality
from crm_recharge.reorder.privacy import requests
from crm_recharge.tests.factories import make_account, make_user
from crm_recharge.tests.support.money_case import retire
from crm_recharge.tests.support.reorder_case import make_buyer, make_contact, make_item
from crm_recharge.tests.test_reorder_over_http import OverHTTP

WORDING = "Remind me by mail."


def address_of(customer: str, street: str, **values) -> str:
	"""A new address linked to `customer`, preferred for everything; returns its name."""
	address = frappe.new_doc("Address")
	address.update({"address_title": frappe.generate_hash(length=8), "address_type": "Shipping"})
	address.update({"address_line1": street, "city": "Springfield", "country": "United States"})
	address.update({"is_shipping_address": 1, "is_primary_address": 1, **values})
	address.append("links", {"link_doctype": "Customer", "link_name": customer})
	return address.insert().name


@contextmanager
def as_user(user: str):
	frappe.set_user(user)
	try:
		yield
	finally:
		frappe.set_user("Administrator")


class PeopleCase(OverHTTP):
	def setUp(self):
		super().setUp()
		self.victim, self.contact = make_buyer()
		self.item = make_item()
		self.reminder = make_reminder(self.victim, self.item)
		self.address = address_of(self.victim, "7 Harbour Street")
		frappe.db.commit()

	def stranger(self, *roles: str) -> str:
		user = make_user(*roles, user_type="System User" if roles else "Website User")
		self.addCleanup(retire, user)
		frappe.db.commit()
		return user

	def email_of(self, user: str) -> str:
		return frappe.db.get_value("User", user, "email")

	def forged(self, user: str, customer: str | None = None, **values) -> dict:
		"""A contact as an attacker sends it."""
		return {
			"first_name": "Mallory",
			"user": user,
			"is_billing_contact": 1,
			"is_primary_contact": 1,
			"email_ids": [{"email_id": self.email_of(user), "is_primary": 1}],
			"links": [{"link_doctype": "Customer", "link_name": customer or self.victim}],
			vouching.FIELD: json.dumps(
				{
					"for": {
						self.victim: {
							"emails": [vouching.mark(self.email_of(user))],
							"phones": [],
							"user": vouching.mark(user),
							"billing": 1,
						}
					},
					"login": vouching.mark(user),
				}
			),
			**values,
		}

	def gains_nothing(self, user: str) -> None:
		"""`user` speaks for nobody, and no mail, order or request for data goes to it."""
		frappe.db.rollback()
		email = self.email_of(user)
		self.assertNotIn(self.victim, customers_of(user))
		for contact in [*frappe.get_all("Contact", {"user": user}, pluck="name"), self.contact]:
			self.assertNotIn(email, contacts.emails_of(contact, self.victim))
		account = frappe.db.get_value("Credit Account", {"customer": self.victim}) or make_account(
			self.victim
		)
		self.assertNotIn(email, mailing.recipients_of(account, self.victim))
		self.assertNotIn(self.victim, requests.customers_of(email))
		self.assertNotIn("Reorder Reminder", requests.data_of(email))
		draft = orders.price(self.wish()).document
		self.assertNotEqual(draft.contact_email, email)
		self.assertNotIn("555 0100", f"{draft.contact_mobile}{draft.get('contact_phone')}")
		frappe.db.rollback()

	def wish(self) -> Wish:
		return Wish(customer=self.victim, company=self.company, lines=(Line(self.item, 1),))


class TestLinksOfStrangers(PeopleCase):
	def test_a_visitor_who_links_a_contact_of_its_own_reaches_nothing(self):
		user = self.stranger()
		client = self.web.client(user)
		made = client.call("POST", "/api/resource/Contact", **self.forged(user))
		self.assertEqual(made.status_code, 200, made.text[:300])
		for method, arguments in (
			("due", {}),
			("due", {"customer": self.victim}),
			("order_again", {"reminder": self.reminder, "idempotency_key": "k"}),
			(
				"order_again",
				{"items": [{"item_code": self.item}], "customer": self.victim, "idempotency_key": "k"},
			),
			("preference", {"customer": self.victim}),
			("preference", {"customer": self.victim, "opted_in": 1, "wording": WORDING}),
			("snooze", {"reminder": self.reminder}),
			("set_date", {"reminder": self.reminder}),
		):
			with self.subTest(method=method, arguments=arguments):
				answer = client.post(f"reorder.{method}", **arguments)
				self.assertEqual(answer.status_code, 403, answer.text[:300])
				self.assertNotIn(self.item, answer.text)
		self.assertFalse(self.orders_of(self.victim))
		self.gains_nothing(user)

	def test_nor_by_linking_it_later_or_row_by_row(self):
		user = self.stranger()
		client = self.web.client(user)
		own = client.call("POST", "/api/resource/Contact", **self.forged(user) | {"links": []}).json()["data"]
		path = f"/api/resource/Contact/{own['name']}"
		link = {"link_doctype": "Customer", "link_name": self.victim}
		client.call("PUT", path, links=[link])
		self.gains_nothing(user)
		row = client.call("GET", path).json()["data"]["links"][0]["name"]
		client.call("PUT", f"/api/resource/Dynamic Link/{row}", **link)
		client.call("PUT", path, **{vouching.FIELD: self.forged(user)[vouching.FIELD]})
		self.gains_nothing(user)

	def test_a_link_that_staff_made_is_not_carried_to_another_customer(self):
		user = self.stranger()
		own_customer, _contact = make_buyer()
		client = self.web.client(user)
		name = client.call("POST", "/api/resource/Contact", **self.forged(user, own_customer)).json()["data"][
			"name"
		]
		frappe.db.rollback()
		doc = frappe.get_doc("Contact", name)
		doc.links = []
		doc.save()
		doc.append("links", {"link_doctype": "Customer", "link_name": own_customer})
		doc.save()
		frappe.db.commit()
		self.assertEqual(customers_of(user), {own_customer: name})
		row = frappe.db.get_value("Dynamic Link", {"parent": name})
		client.call("PUT", f"/api/resource/Dynamic Link/{row}", link_name=self.victim)
		self.gains_nothing(user)
		links = [
			{"link_doctype": "Customer", "link_name": customer} for customer in (own_customer, self.victim)
		]
		client.call("PUT", f"/api/resource/Contact/{name}", links=links)
		self.gains_nothing(user)
		self.assertNotIn(self.victim, customers_of(user))

	def test_staff_who_only_pass_by_vouch_for_nothing(self):
		user = self.stranger()
		with as_user(user):
			name = frappe.get_doc({"doctype": "Contact", **self.forged(user)}).insert().name
		# As when an administrator changes the user: Frappe saves the contact along with it.
		doc = frappe.get_doc("Contact", name)
		doc.last_name = "Changed"
		doc.save()
		self.assertEqual(vouching.of(frappe.get_doc("Contact", name)), {})
		frappe.db.commit()
		self.gains_nothing(user)

	def test_staff_of_another_customer_make_no_contact_of_this_one(self):
		for role in ("Sales User", "Maintenance User"):
			with self.subTest(role=role):
				staff = self.stranger(role)
				add_user_permission("Customer", make_buyer()[0], staff, ignore_permissions=True)
				with as_user(staff):
					name = frappe.get_doc({"doctype": "Contact", **self.forged(staff)}).insert().name
				frappe.db.commit()
				self.assertFalse(contacts.belongs(name, self.victim))
				self.gains_nothing(staff)

	def test_a_stranger_s_contact_keeps_nobody_from_the_own_data(self):
		user = self.stranger()
		mine = contacts.emails_of(self.contact, self.victim)[0]
		self.assertEqual(requests.customers_of(mine), [self.victim])
		with as_user(user):
			frappe.get_doc({"doctype": "Contact", **self.forged(user)}).insert()
		self.assertEqual(requests.customers_of(mine), [self.victim])
		self.assertIn(self.contact, requests.contacts_of(mine))

	def test_a_stranger_s_contact_is_not_the_only_one_of_a_consent(self):
		customer = make_buyer()[0]
		frappe.db.set_value("Customer", customer, "customer_primary_contact", None)
		frappe.delete_doc("Contact", contacts.contacts_of(customer)[0])
		user = self.stranger()
		with as_user(user):
			name = frappe.get_doc({"doctype": "Contact", **self.forged(user, customer)}).insert().name
		with self.assertRaisesRegex(frappe.ValidationError, "does not belong"):
			preferences.opt_in(name, customer, "Phone", WORDING)
		frappe.db.rollback()


class TestTakingOver(PeopleCase):
	def test_a_stranger_who_edits_a_contact_of_staff_gains_nothing(self):
		user = self.stranger()
		known = contacts.emails_of(self.contact, self.victim)
		with as_user(user):
			doc = frappe.get_doc("Contact", self.contact)
			doc.user = user
			doc.is_billing_contact = 1
			doc.email_ids[0].is_primary = 0
			doc.append("email_ids", {"email_id": self.email_of(user), "is_primary": 1})
			doc.append(
				"phone_nos", {"phone": "+1 555 0100", "is_primary_phone": 1, "is_primary_mobile_no": 1}
			)
			doc.save(ignore_permissions=True)
		frappe.db.commit()
		self.gains_nothing(user)
		self.assertEqual(contacts.emails_of(self.contact, self.victim), known)
		# Its own data stay the customer's: who took it over cannot have them erased.
		self.assertNotIn(self.contact, requests.contacts_of(self.email_of(user)))

	def test_nor_when_staff_save_it_afterwards(self):
		user = self.stranger()
		with as_user(user):
			doc = frappe.get_doc("Contact", self.contact)
			doc.user = user
			doc.append("email_ids", {"email_id": self.email_of(user)})
			doc.save(ignore_permissions=True)
		doc = frappe.get_doc("Contact", self.contact)
		doc.last_name = "Changed by staff"
		doc.append("email_ids", {"email_id": "new@test.example"})
		doc.save()
		frappe.db.commit()
		self.gains_nothing(user)
		self.assertIn("new@test.example", contacts.emails_of(self.contact, self.victim))

	def test_a_guest_who_signs_up_with_the_address_shuts_nobody_out(self):
		email = contacts.emails_of(self.contact, self.victim)[0]
		with as_user("Guest"):
			doc = frappe.get_doc("Contact", self.contact)
			doc.first_name = "Signed up"
			doc.save(ignore_permissions=True)
		self.assertEqual(contacts.emails_of(self.contact, self.victim), [email])

	def test_a_login_that_is_renamed_stays_the_contact_s(self):
		user = self.stranger()
		doc = frappe.get_doc("Contact", self.contact)
		doc.user = user
		doc.save()
		self.assertEqual(customers_of(user), {self.victim: self.contact})
		frappe.db.set_value("Contact", self.contact, "user", "renamed@test.example")
		self.assertIn(self.victim, contacts.customers_with_login("renamed@test.example"))
		self.assertEqual(customers_of(user), {})


class TestAddresses(PeopleCase):
	def shown(self) -> tuple:
		draft = orders.price(self.wish()).document
		return draft.customer_address, draft.shipping_address_name, draft.shipping_address or ""

	def test_a_stranger_s_address_is_on_no_order(self):
		user = self.stranger()
		client = self.web.client(user)
		made = client.call(
			"POST",
			"/api/resource/Address",
			address_title="Mallory",
			address_type="Shipping",
			address_line1="1 Thieves Lane",
			city="Elsewhere",
			country="United States",
			is_shipping_address=1,
			is_primary_address=1,
			links=[{"link_doctype": "Customer", "link_name": self.victim}],
		)
		self.assertEqual(made.status_code, 200, made.text[:300])
		frappe.db.rollback()
		billing, shipping, text = self.shown()
		self.assertEqual((billing, shipping), (self.address, self.address))
		self.assertIn("7 Harbour Street", text)
		self.assertNotIn("Thieves", text)

	def test_nor_on_the_order_that_is_made_of_it(self):
		with as_user(self.stranger()):
			address_of(self.victim, "1 Thieves Lane")
		placed = orders.place(self.wish(), orders.request_key("test", frappe.generate_hash()), "content")
		made = frappe.get_doc(placed.doctype, placed.name)
		self.assertEqual((made.customer_address, made.shipping_address_name), (self.address, self.address))
		self.assertEqual(made.contact_person, self.contact)
		frappe.db.rollback()

	def test_nor_where_the_customer_has_none(self):
		victim, _contact = make_buyer()
		with as_user(self.stranger()):
			address_of(victim, "1 Thieves Lane")
		draft = orders.price(
			Wish(customer=victim, company=self.company, lines=(Line(self.item, 1),))
		).document
		self.assertFalse(draft.customer_address or draft.shipping_address_name)
		self.assertNotIn("Thieves", f"{draft.address_display}{draft.shipping_address}")

	def test_an_address_of_staff_that_a_stranger_edits_counts_no_more(self):
		with as_user(self.stranger()):
			doc = frappe.get_doc("Address", self.address)
			doc.address_line1 = "1 Thieves Lane"
			doc.save(ignore_permissions=True)
		self.assertEqual(contacts.addresses_of(self.victim), (None, None))
		doc = frappe.get_doc("Address", self.address)
		doc.address_line1 = "8 Harbour Street"
		doc.save()
		self.assertEqual(contacts.addresses_of(self.victim), (self.address, self.address))

	def test_an_address_that_a_portal_user_adds_counts(self):
		user = self.stranger()
		doc = frappe.get_doc("Customer", self.victim)
		doc.append("portal_users", {"user": user})
		doc.save()
		with as_user(user):
			name = address_of(self.victim, "9 Harbour Street")
		self.assertIn(name, [doc.name for doc, _seen in vouching.documents("Address", self.victim)])


class TestWhoCounts(PeopleCase):
	def test_portal_users_account_owners_and_logins_given_by_staff_speak(self):
		portal, owner, login = (self.stranger() for _ in range(3))
		doc = frappe.get_doc("Customer", self.victim)
		doc.append("portal_users", {"user": portal})
		doc.save()
		make_account(self.victim, account_owner=owner)
		contact = make_contact(self.victim, user=login, primary=False)
		frappe.db.commit()
		for user, person in ((portal, None), (owner, None), (login, contact)):
			with self.subTest(user=user):
				self.assertEqual(customers_of(user), {self.victim: person})
				answer = self.web.client(user).get("reorder.due")
				self.assertEqual(answer.status_code, 200, answer.text[:300])
		frappe.db.set_value("Customer", self.victim, "disabled", 1)
		self.assertEqual(customers_of(portal), {})

	def test_staff_of_another_customer_put_nobody_down_for_this_one(self):
		staff, visitor = self.stranger("Sales User"), self.stranger()
		own = make_buyer()[0]
		add_user_permission("Customer", own, staff, ignore_permissions=True)
		doc = frappe.get_doc("Customer", self.victim)
		doc.append("portal_users", {"user": self.stranger()})
		doc.save()
		frappe.db.commit()
		row = doc.portal_users[0].name
		place = {"parent": self.victim, "parenttype": "Customer", "parentfield": "portal_users"}
		for user in (staff, visitor):
			client = self.web.client(user)
			for verb, path, sent in (
				("POST", "/api/resource/Portal User", {"user": user, **place}),
				("PUT", f"/api/resource/Portal User/{row}", {"user": user}),
				("PUT", f"/api/resource/Portal User/{row}", {"user": user, "parent": own}),
				("DELETE", f"/api/resource/Portal User/{row}", {}),
			):
				with self.subTest(verb=verb, user=user):
					answer = client.call(verb, path, **sent)
					self.assertIn(answer.status_code, (403, 404), answer.text[:300])
			frappe.db.rollback()
			self.assertNotIn(self.victim, customers_of(user))
		self.assertTrue(frappe.db.exists("Portal User", row))

	def test_staff_who_link_or_choose_a_contact_vouch_for_it(self):
		user = self.stranger()
		with as_user(user):
			name = frappe.get_doc({"doctype": "Contact", **self.forged(user)}).insert().name
		self.assertFalse(contacts.belongs(name, self.victim))
		doc = frappe.get_doc("Contact", name)
		link = doc.links[0].as_dict()
		doc.links = []
		doc.save()
		doc.append("links", {"link_doctype": link.link_doctype, "link_name": link.link_name})
		doc.save()
		self.assertTrue(contacts.belongs(name, self.victim))
		other, _contact = make_buyer()
		customer = frappe.get_doc("Customer", other)
		customer.customer_primary_contact = name
		customer.save()
		self.assertEqual(contacts.emails_of(name, other), [self.email_of(user)])

	def test_a_new_name_and_a_merge_of_customers_keep_what_counts(self):
		new = f"Renamed {frappe.generate_hash(length=8)}"
		frappe.rename_doc("Customer", self.victim, new, force=True)
		self.assertTrue(contacts.belongs(self.contact, new))
		self.assertEqual(contacts.addresses_of(new)[0], self.address)
		other, _contact = make_buyer()
		frappe.rename_doc("Customer", new, other, merge=True, force=True)
		self.assertTrue(contacts.belongs(self.contact, other))
		frappe.db.rollback()

	def test_contacts_of_before_count_by_their_makers(self):
		user = self.stranger()
		with as_user(user):
			forged = frappe.get_doc({"doctype": "Contact", **self.forged(user)}).insert().name
		mixed = make_contact(self.victim, primary=False)
		frappe.db.set_value("Contact", mixed, "modified_by", user, update_modified=False)
		mine = make_contact(self.victim, primary=False)
		for name in (forged, mixed, mine):
			frappe.db.set_value("Contact", name, vouching.FIELD, None, update_modified=False)
		for taken_up in (False, True):
			if taken_up:
				vouching.take_up()
				self.assertTrue(frappe.db.get_value("Contact", forged, vouching.FIELD))
			belong = [contacts.belongs(name, self.victim) for name in (forged, mixed, mine)]
			self.assertEqual(belong, [False, False, True])
		frappe.db.rollback()

	def test_a_billing_contact_of_staff_gets_the_invoice_and_a_stranger_s_does_not(self):
		user = self.stranger()
		account = make_account(self.victim)
		mine = make_contact(self.victim, primary=False, is_billing_contact=1)
		with as_user(user):
			frappe.get_doc({"doctype": "Contact", **self.forged(user)}).insert()
		self.assertEqual(mailing.recipients_of(account, self.victim), contacts.emails_of(mine, self.victim))

	def test_a_customer_whose_contact_does_not_count_is_found(self):
		victim = make_buyer()[0]
		make_reminder(victim, self.item)
		frappe.db.set_value("Customer", victim, "customer_primary_contact", None)
		frappe.delete_doc("Contact", contacts.contacts_of(victim)[0])
		user = self.stranger()
		with as_user(user):
			name = frappe.get_doc({"doctype": "Contact", **self.forged(user, victim)}).insert().name
		frappe.get_doc({"doctype": "Reorder Customer", "customer": victim}).db_insert()
		found = quality.problems({"kind": quality.UNREACHABLE, "customer": victim})
		self.assertEqual(len(found), 1)
		self.assertIn(name, found[0]["detail"])
		frappe.get_doc({"doctype": "Reorder Customer", "customer": self.victim}).db_insert()
		self.assertEqual(quality.problems({"kind": quality.UNREACHABLE, "customer": self.victim}), [])
		frappe.db.rollback()
