"""A consent is recorded with its evidence; nobody can forge, change or lose it."""

import threading
from unittest.mock import patch

import frappe
from frappe.utils import getdate, now_datetime

from crm_recharge.reorder.consent import checkbox, preferences
from crm_recharge.tests.factories import make_customer, make_user
from crm_recharge.tests.support.reorder_case import (
	POS,
	ReorderCase,
	day,
	first_company,
	make_buyer,
	make_contact,
	make_invoice,
	make_item,
	make_return,
)

WORDING = "Please remind me."


class ConsentCase(ReorderCase):
	def setUp(self):
		super().setUp()
		self.addCleanup(frappe.set_user, "Administrator")

	def opted_in(self, **arguments):
		self.customer, self.contact = make_buyer()
		return preferences.opt_in(self.contact, self.customer, "web", WORDING, **arguments)

	def changes(self, preference) -> list[str]:
		return [row.change for row in frappe.get_doc("Reorder Preference", preference.name).history]


class TestOptIn(ConsentCase):
	def test_who_when_where_and_to_what(self):
		preference = self.opted_in(source_document="Cart 7")
		preference.reload()
		self.assertEqual(
			(preference.opted_in, preference.opted_in_by, preference.source, preference.source_document),
			(1, "Administrator", "web", "Cart 7"),
		)
		self.assertEqual(
			(preference.wording, getdate(preference.opted_in_at)), (WORDING, getdate(now_datetime()))
		)
		(row,) = preference.history
		self.assertEqual(
			(row.change, row.by_user, row.source, row.source_document, row.wording, row.detail),
			("Opted in", "Administrator", "web", "Cart 7", WORDING, preference.email),
		)

	def test_again_to_the_same_words_changes_nothing(self):
		preference = self.opted_in()
		again = preferences.opt_in(self.contact, self.customer, "Sales Order", WORDING)
		self.assertEqual(
			(again.name, again.source, self.changes(preference)), (preference.name, "web", ["Opted in"])
		)

	def test_to_new_words_is_a_new_consent(self):
		preference = self.opted_in()
		preferences.opt_in(self.contact, self.customer, "Sales Order", "Other words")
		preference.reload()
		self.assertEqual((preference.wording, preference.source), ("Other words", "Sales Order"))
		self.assertEqual([row.wording for row in preference.history], [WORDING, "Other words"])

	def test_out_and_in_again(self):
		preference = self.opted_in()
		preferences.opt_out(preference, "mail")
		preferences.opt_out(preference, "mail")
		preference.reload()
		self.assertEqual((preference.opted_in, bool(preference.opted_out_at)), (0, True))
		preferences.opt_in(self.contact, self.customer, "Phone", WORDING)
		preference.reload()
		self.assertEqual((preference.opted_in, preference.opted_out_at), (1, None))
		self.assertEqual(self.changes(preference), ["Opted in", "Opted out", "Opted in"])

	def test_what_is_missing_is_refused(self):
		customer, contact = make_buyer()
		stranger = make_contact(make_customer())
		nameless = frappe.get_doc(
			{
				"doctype": "Contact",
				"first_name": "No Mail",
				"links": [{"link_doctype": "Customer", "link_name": customer}],
			}
		).insert()
		for arguments, words in (
			((contact, customer, " ", WORDING), "source"),
			((contact, customer, "web", ""), "wording"),
			((stranger, customer, "web", WORDING), "does not belong"),
			((nameless.name, customer, "web", WORDING), "no e-mail address"),
			(("No such one", customer, "web", WORDING), "Contact No such one does not exist"),
			((contact, "No such one", "web", WORDING), "Customer No such one does not exist"),
		):
			with self.assertRaisesRegex(frappe.ValidationError, words):
				preferences.opt_in(*arguments)
		with self.assertRaisesRegex(frappe.ValidationError, "no address of contact"):
			preferences.opt_in(contact, customer, "web", WORDING, email="other@test.example")
		self.assertFalse(frappe.db.exists("Reorder Preference", {"customer": customer}))

	def test_wishes_are_on_record(self):
		preference = self.opted_in()
		preferences.set_frequency(preference, 60, "mail")
		preferences.set_frequency(preference, 60, "mail")
		preferences.snooze(preference, day(-10), "portal")
		preferences.snooze(preference, None, "portal")
		self.assertEqual(self.changes(preference), ["Opted in", "Frequency", "Snoozed", "Snoozed"])
		preference.reload()
		self.assertEqual((preference.frequency_days, preference.snoozed_until), (60, None))
		for days in (-1, 3651, "soon", 1.5):
			with self.assertRaisesRegex(frappe.ValidationError, "number of days"):
				preferences.set_frequency(preference, days, "mail")

	def test_two_requests_at_once_make_one(self):
		customer, contact = make_buyer()
		frappe.db.commit()
		site, failed = frappe.local.site, []
		barrier = threading.Barrier(3)

		def ask():
			frappe.init(site)
			frappe.connect()
			try:
				frappe.set_user("Administrator")
				barrier.wait(20)
				preferences.opt_in(contact, customer, "web", WORDING)
				frappe.db.commit()
			except Exception as error:
				failed.append(repr(error))
			finally:
				frappe.destroy()

		threads = [threading.Thread(target=ask) for _number in range(3)]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join(60)
		frappe.db.rollback()
		self.assertEqual(failed, [])
		(name,) = frappe.get_all("Reorder Preference", {"contact": contact}, pluck="name")
		self.assertEqual(self.changes(frappe._dict(name=name)), ["Opted in"])

	def test_a_change_that_was_not_seen_stays_on_record(self):
		preference = self.opted_in()
		frappe.db.commit()
		# This transaction's view of the history begins here.
		self.assertEqual(self.changes(preference), ["Opted in"])
		site = frappe.local.site

		def elsewhere():
			frappe.init(site)
			frappe.connect()
			frappe.set_user("Administrator")
			preferences.set_frequency(preference.name, 30, "mail")
			frappe.db.commit()
			frappe.destroy()

		thread = threading.Thread(target=elsewhere)
		thread.start()
		thread.join(60)
		isolated = frappe.db.sql("SHOW VARIABLES LIKE 'innodb_snapshot_isolation'")
		if isolated and isolated[0][1] == "ON":
			# Such a database has the change tried again instead.
			frappe.db.rollback()
		preferences.opt_out(preference, "mail")
		frappe.db.commit()
		self.assertEqual(sorted(self.changes(preference)), ["Frequency", "Opted in", "Opted out"])


class TestEvidence(ConsentCase):
	"""As users with every right the roles give."""

	def setUp(self):
		super().setUp()
		self.preference = self.opted_in()
		frappe.set_user(make_user("Reorder Manager", "System Manager", "Sales Manager"))

	def loaded(self):
		return frappe.get_doc("Reorder Preference", self.preference.name)

	def test_no_field_of_it_can_be_typed_in(self):
		for field, value in (
			("opted_in", 0),
			("opted_in_at", "2020-01-01 00:00:00"),
			("opted_in_by", "Guest"),
			("source", "Phone"),
			("source_document", "SO-1"),
			("wording", "Anything"),
			("opted_out_at", "2020-01-01 00:00:00"),
		):
			preference = self.loaded()
			preference.set(field, value)
			with self.assertRaisesRegex(frappe.PermissionError, "evidence"):
				preference.save()

	def test_nor_by_the_api(self):
		from frappe.client import insert, set_value

		with self.assertRaises(frappe.PermissionError):
			set_value("Reorder Preference", self.preference.name, "opted_in", 0)
		customer, contact = make_buyer()
		email = frappe.db.get_value("Contact", contact, "email_id")
		with self.assertRaises(frappe.PermissionError):
			insert(
				{
					"doctype": "Reorder Preference",
					"contact": contact,
					"customer": customer,
					"email": email,
					"opted_in": 1,
					"wording": "Forged",
				}
			)
		with self.assertRaises(frappe.PermissionError):
			insert(
				{
					"doctype": "Reorder Preference",
					"contact": contact,
					"customer": customer,
					"email": email,
					"history": [{"change": "Opted in", "at": "2020-01-01 00:00:00"}],
				}
			)

	def test_the_history_stays_as_it_is(self):
		shortened = self.loaded()
		shortened.history = []
		changed = self.loaded()
		changed.history[0].wording = "Other"
		longer = self.loaded()
		longer.append("history", {"change": "Opted in", "at": now_datetime()})
		replaced = self.loaded()
		replaced.history = []
		replaced.append(
			"history", self.loaded().history[0].as_dict() | {"name": None, "at": "2020-01-01 00:00:00"}
		)
		for preference in (shortened, changed, longer, replaced):
			with self.assertRaisesRegex(frappe.PermissionError, "history"):
				preference.save()
		row = self.loaded().history[0]
		row.wording = "Other"
		with self.assertRaises(frappe.PermissionError):
			row.save()
		with self.assertRaises(frappe.PermissionError):
			frappe.delete_doc("Reorder Consent Change", row.name)
		self.assertEqual(self.loaded().history[0].wording, WORDING)

	def test_it_cannot_be_deleted_or_handed_on(self):
		with self.assertRaisesRegex(frappe.PermissionError, "evidence"):
			frappe.delete_doc("Reorder Preference", self.preference.name)
		customer, contact = make_buyer()
		for values in ({"contact": contact}, {"customer": customer}):
			preference = self.loaded()
			preference.update(values)
			with self.assertRaisesRegex(frappe.ValidationError, "stays as it is"):
				preference.save()

	def test_wishes_may_be_edited_and_say_who_did(self):
		user = frappe.session.user
		preference = self.loaded()
		preference.update({"frequency_days": 90, "snoozed_until": day(-5)})
		preference.save()
		rows = self.loaded().history[1:]
		self.assertEqual(
			[(row.change, row.by_user, row.source) for row in rows],
			[
				("Frequency", user, "Desk"),
				("Snoozed", user, "Desk"),
			],
		)

	def test_an_address_of_the_contact_only(self):
		preference = self.loaded()
		preference.email = "somebody@else.example"
		with self.assertRaisesRegex(frappe.ValidationError, "no address of contact"):
			preference.save()

	def test_one_for_each_contact_and_customer(self):
		again = frappe.copy_doc(self.loaded())
		again.update(
			{"opted_in": 0, "history": [], "opted_in_at": None, "opted_in_by": None, "wording": None}
		)
		again.update({"source": None, "source_document": None})
		with self.assertRaisesRegex(frappe.UniqueValidationError, "already"):
			again.insert()

	def test_what_was_said_on_the_phone(self):
		user = frappe.session.user
		preference = self.loaded()
		preference.record_opt_out("On the phone, 9 May")
		self.assertEqual(
			(self.loaded().opted_in, self.loaded().history[-1].source), (0, "On the phone, 9 May")
		)
		preference.record_consent("On paper, at the till", "These words")
		row = self.loaded().history[-1]
		self.assertEqual((row.change, row.by_user, row.wording), ("Opted in", user, "These words"))
		frappe.set_user(make_user("Sales User"))
		with self.assertRaises(frappe.PermissionError):
			self.loaded().record_opt_out("Because")


class TestCheckbox(ConsentCase):
	def order(self, doctype: str, customer: str, contact: str | None, ticked: int = 1, **values):
		if doctype in ("Sales Invoice", POS):
			return make_invoice(
				customer,
				[make_item()],
				doctype=doctype,
				contact_person=contact,
				submit=False,
				**{checkbox.REMIND_ME: ticked},
				**values,
			)
		order = frappe.new_doc(doctype)
		order.update({"company": first_company(), "contact_person": contact, "order_type": "Sales", **values})
		if doctype == "Quotation":
			order.update({"quotation_to": "Customer", "party_name": customer})
		else:
			order.update({"customer": customer, "delivery_date": day(-3)})
		order.append("items", {"item_code": make_item(), "qty": 1, "rate": 5, "delivery_date": day(-3)})
		order.set(checkbox.REMIND_ME, ticked)
		return order.insert()

	def test_ticked_means_opted_in(self):
		for doctype in checkbox.AFTER:
			customer, contact = make_buyer()
			order = self.order(doctype, customer, contact)
			self.assertFalse(
				frappe.db.exists("Reorder Preference", {"customer": customer}), "before submitting"
			)
			order.submit()
			preference = frappe.get_doc("Reorder Preference", {"customer": customer})
			self.assertEqual(
				(preference.opted_in, preference.contact, preference.source, preference.source_document),
				(1, contact, doctype, order.name),
			)
			self.assertEqual(preference.wording, preferences.wording())

	def test_never_ticked_by_itself_nor_handed_on(self):
		for doctype in checkbox.AFTER:
			field = frappe.get_meta(doctype).get_field(checkbox.REMIND_ME)
			self.assertEqual((field.default, field.no_copy, field.allow_on_submit), ("0", 1, 0), doctype)
			self.assertEqual(frappe.new_doc(doctype).get(checkbox.REMIND_ME), 0)
			self.assertEqual(field.description, preferences.wording())
		from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice

		customer, contact = make_buyer()
		order = self.order("Sales Order", customer, contact)
		order.submit()
		self.assertFalse(make_sales_invoice(order.name).get(checkbox.REMIND_ME))
		self.assertFalse(frappe.copy_doc(order, ignore_no_copy=False).get(checkbox.REMIND_ME))

	def test_not_ticked_says_nothing(self):
		customer, contact = make_buyer()
		self.order("Sales Order", customer, contact, ticked=0).submit()
		self.assertFalse(frappe.db.exists("Reorder Preference", {"customer": customer}))
		preference = preferences.opt_in(contact, customer, "web", WORDING)
		self.order("Sales Order", customer, contact, ticked=0).submit()
		self.assertEqual(frappe.db.get_value("Reorder Preference", preference.name, "opted_in"), 1)

	def test_without_a_contact_it_is_told_and_the_document_goes_on(self):
		customer = make_customer()
		order = self.order("Sales Order", customer, None)
		frappe.clear_messages()
		order.submit()
		self.assertEqual(order.docstatus, 1)
		self.assertIn("names no contact", str(frappe.message_log))

	def test_a_contact_without_address_too(self):
		customer = make_customer()
		contact = frappe.get_doc(
			{
				"doctype": "Contact",
				"first_name": "No Mail",
				"links": [{"link_doctype": "Customer", "link_name": customer}],
			}
		).insert()
		order = self.order("Sales Order", customer, contact.name)
		frappe.clear_messages()
		order.submit()
		self.assertEqual(
			(order.docstatus, frappe.db.count("Reorder Preference", {"customer": customer})), (1, 0)
		)
		self.assertIn("no e-mail address", str(frappe.message_log))

	def test_whatever_fails_never_stops_the_document(self):
		customer, contact = make_buyer()
		order = self.order("Sales Invoice", customer, contact)
		with patch.object(preferences, "opt_in", side_effect=ZeroDivisionError):
			order.submit()
		self.assertEqual(frappe.db.get_value("Sales Invoice", order.name, "docstatus"), 1)
		self.assertTrue(frappe.db.exists("Error Log", {"reference_name": order.name}))

	def test_a_return_is_no_consent(self):
		customer, contact = make_buyer()
		invoice = make_invoice(customer, [make_item()], contact_person=contact)
		make_return(invoice, **{checkbox.REMIND_ME: 1, "contact_person": contact})
		self.assertFalse(frappe.db.exists("Reorder Preference", {"customer": customer}))

	def test_the_wording_shown_is_the_one_in_the_settings(self):
		settings = frappe.get_doc("Reorder Settings")
		before = settings.consent_wording
		settings.consent_wording = "New words"
		settings.save()
		try:
			self.assertEqual(
				frappe.get_meta("Sales Order").get_field(checkbox.REMIND_ME).description, "New words"
			)
			self.assertEqual(preferences.wording(), "New words")
		finally:
			settings.reload()
			settings.consent_wording = before
			settings.save()
