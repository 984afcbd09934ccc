"""Nothing that names a person is left where it should not be, and the counts still add up."""

import json
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import add_days, now_datetime

from crm_recharge.doors.guard import by_machine
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.insight import effect, funnel
from crm_recharge.reorder.insight.tests.rows import message
from crm_recharge.reorder.learning import fields, pairs, repair
from crm_recharge.reorder.privacy import erasing, requests, retention
from crm_recharge.reorder.privacy.fields import NOT_LEARNED
from crm_recharge.reorder.sending.tests.sending_case import make_account
from crm_recharge.tests.factories import make_customer, make_user
from crm_recharge.tests.support.reorder_case import (
	ReorderCase,
	day,
	make_contact,
	make_group,
	make_invoice,
	make_item,
	make_return,
)

TABLES = (
	"Reorder Customer",
	"Reorder Consent Change",
	"Reorder Forecast",
	"Reorder Message",
	"Reorder Message Item",
	"Reorder Preference",
	"Reorder Purchase Day",
	"Reorder Reminder",
	"Reorder Rule",
	"Reorder Run",
)


def traces(*words: str) -> list[str]:
	"""Every column of every table of ours in which one of the words stands."""
	found = []
	for doctype in TABLES:
		for column in frappe.db.get_table_columns(doctype):
			for word in words:
				rows = frappe.db.sql(
					f"SELECT `name` FROM `tab{doctype}` WHERE CAST(`{column}` AS CHAR) LIKE %s", f"%{word}%"
				)
				found += [f"{doctype}.{column}: {word}" for _row in rows]
	return found


class PrivacyCase(ReorderCase):
	def setUp(self):
		super().setUp()
		self.mark = frappe.generate_hash(length=10)
		self.email = f"{self.mark}@person.example"
		self.group = make_group()
		self.item = make_item(item_group=self.group)
		self.customer = make_customer(customer_name=f"Person {self.mark}")
		self.contact = make_contact(self.customer, self.email, first_name=f"Given{self.mark}")
		for ago in (90, 60, 30):
			make_invoice(self.customer, {self.item: 2}, on=ago)
		self.preference = preferences.opt_in(self.contact, self.customer, "Phone", "Yes, mail me")
		preferences.set_frequency(self.preference.name, 20, "Phone")
		self.message = self.remind()
		for doctype in TABLES[:1] + TABLES[5:8]:
			self.assertTrue(frappe.db.exists(doctype, {"customer": self.customer}), doctype)

	def tearDown(self):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		# Invoices and what is learned commit on their way.
		erasing.erase_customer(self.customer)
		frappe.db.commit()
		super().tearDown()

	def remind(self, ago: float = 40, **values):
		"""A mail that was sent, with all that hangs on it."""
		communication = frappe.get_doc(
			{
				"doctype": "Communication",
				"subject": f"For {self.mark}",
				"content": f"Dear {self.mark}",
				"recipients": self.email,
				"reference_doctype": "Customer",
				"reference_name": self.customer,
				"read_by_recipient": 1,
				"read_by_recipient_on": now_datetime(),
			}
		).insert()
		todo = frappe.get_doc(
			{
				"doctype": "ToDo",
				"description": f"Ring {self.mark}",
				"allocated_to": "Administrator",
				"reference_type": "Customer",
				"reference_name": self.customer,
			}
		).insert()
		rows = [
			{
				"item_code": self.item,
				"item_name": "Thing",
				"item_group": self.group,
				"reminder": frappe.db.get_value("Reorder Reminder", {"customer": self.customer}),
				"last_day": day(30),
				"won": 1,
				"won_on": day(2),
				"won_days": 5,
				"revenue": 12.5,
				"answer": "Reorder",
				"clicked_at": now_datetime(),
				"rule": "R",
			}
		]
		return message(
			self.customer,
			rows,
			ago=ago,
			customer_name=f"Person {self.mark}",
			contact=self.contact,
			email=self.email,
			preference=self.preference.name,
			subject=f"{self.mark}, time again",
			opened_at=now_datetime(),
			clicked_at=now_datetime(),
			communication=communication.name,
			email_queue="gone already",
			todo=todo.name,
			last_answer="Reorder",
			**values,
		)

	def counts(self):
		filters = {"item_group": self.group, "company": self.company}
		(compared,) = effect.effect(filters)
		summed = funnel.total(funnel.funnel(filters))
		return {key: summed[key] for key in ("due", "sent", "won", "revenue", "mails", "ordered")}, compared[
			"uplift"
		].reminded


class TestErase(PrivacyCase):
	def test_no_trace_is_left_and_the_counts_stay(self):
		frappe.db.set_value("Reorder Customer", {"customer": self.customer}, "todo", self.message.todo)
		by_machine(
			frappe.get_doc(
				{
					"doctype": "Reorder Run",
					"kind": "Sending",
					"problems": f"Person {self.mark}: no mail\nOther: x",
				}
			)
		).insert(ignore_permissions=True)
		before = self.counts()
		self.assertTrue(traces(self.mark, self.customer))
		erased = erasing.erase(self.customer)
		self.assertEqual(
			(erased["Reorder Message"], erased["Reorder Preference"], erased["Reorder Customer"]), (1, 1, 1)
		)
		self.assertEqual((erased["Reorder Reminder"], erased["Reorder Purchase Day"]), (1, 3))
		self.assertEqual(traces(self.mark, self.customer, self.contact, self.email), [])
		self.assertEqual(self.counts(), before)
		self.assertEqual(before[0]["revenue"], Decimal("12.5"))
		for doctype, name in (("Communication", self.message.communication), ("ToDo", self.message.todo)):
			self.assertFalse(frappe.db.exists(doctype, name))
		left = frappe.get_doc("Reorder Message", self.message.name)
		self.assertEqual((left.status, left.kind, left.items[0].won), ("Anonymous", "Reminded", 1))
		self.assertEqual(left.sent_at.day, 1)
		self.assertFalse(
			any(
				(
					left.items[0].item_code,
					left.items[0].cycle_key,
					left.items[0].last_day,
					left.items[0].reminder,
				)
			)
		)
		self.assertFalse(
			frappe.db.exists(
				"Version", {"ref_doctype": "Reorder Preference", "docname": self.preference.name}
			)
		)
		self.assertIn(
			"Other: x",
			frappe.get_all("Reorder Run", {"problems": ["like", "%Other: x%"]}, pluck="problems")[0],
		)
		self.assertIsNone(frappe.db.get_value("Customer", self.customer, fields.ON))

	def test_what_frappe_kept_of_deleted_documents_goes_too(self):
		frappe.get_doc(
			{
				"doctype": "Deleted Document",
				"deleted_doctype": "Reorder Reminder",
				"deleted_name": "x",
				"data": frappe.as_json({"doctype": "Reorder Reminder", "customer": self.customer}),
			}
		).insert(ignore_permissions=True)
		erasing.erase(self.customer)
		self.assertFalse(frappe.get_all("Deleted Document", {"data": ["like", f"%{self.mark}%"]}))

	def test_a_mail_that_waits_is_not_sent(self):
		queued = frappe.get_doc(
			{
				"doctype": "Email Queue",
				"sender": "shop@example.com",
				"message": "x",
				"recipients": [{"recipient": self.email}],
			}
		).insert(ignore_permissions=True)
		frappe.db.set_value(
			"Reorder Message", self.message.name, {"status": "Queued", "email_queue": queued.name}
		)
		erasing.erase(self.customer)
		self.assertFalse(frappe.db.exists("Email Queue", queued.name))
		self.assertFalse(frappe.db.exists("Email Queue Recipient", {"recipient": self.email}))
		self.assertEqual(frappe.db.get_value("Reorder Message", self.message.name, "status"), "Failed")

	def test_invoices_are_not_learned_again_until_somebody_asks_for_it(self):
		erasing.erase(self.customer)
		frappe.db.commit()
		sold = make_invoice(self.customer, {self.item: 5}, on=1)
		make_return(sold)
		pairs.rebuild([self.customer])
		repair.settle(self.customer, anew=True)
		self.assertEqual(traces(self.mark), [])
		erasing.learn_again(self.customer)
		frappe.db.commit()
		repair.settle(self.customer, anew=True)
		self.assertEqual([row[1] for row in self.days_of(self.customer)], [day(90), day(60), day(30)])

	def test_who_asks_for_reminders_anew_is_known_again(self):
		erasing.erase(self.customer)
		self.assertTrue(frappe.db.get_value("Customer", self.customer, NOT_LEARNED))
		preferences.opt_in(self.contact, self.customer, "web", "Yes again")
		self.assertFalse(frappe.db.get_value("Customer", self.customer, NOT_LEARNED))
		self.assertTrue(frappe.db.get_value("Reorder Customer", {"customer": self.customer}, "stale"))

	def test_it_is_for_managers(self):
		# Frappe asks nobody for a role in tests.
		live = patch.dict(frappe.local.flags, in_test=False)
		live.start()
		self.addCleanup(live.stop)
		for role in ("Reorder User", "Sales Manager", "Reorder API"):
			frappe.set_user("Administrator")
			frappe.set_user(make_user(role))
			with self.subTest(role=role):
				with self.assertRaises(frappe.PermissionError):
					erasing.erase(self.customer)
				with self.assertRaises(frappe.PermissionError):
					erasing.learn_again(self.customer)
		frappe.set_user("Administrator")
		frappe.set_user(make_user("Reorder Manager"))
		with self.assertRaises(frappe.DoesNotExistError):
			erasing.erase("No such customer")
		self.assertEqual(erasing.erase(self.customer)["Reorder Customer"], 1)
		self.assertEqual(erasing.erase(self.customer)["Reorder Message"], 0)


class TestDeletedCustomer(ReorderCase):
	def test_a_customer_that_is_deleted_leaves_the_counts(self):
		mark, group = frappe.generate_hash(length=10), make_group()
		customer = make_customer(customer_name=f"Person {mark}")
		sent = message(customer, [{"item_group": group, "won": 1, "revenue": 3}], ago=5)
		contact = make_contact(customer, primary=False)
		preferences.opt_in(contact, customer, "Phone", "Yes")
		frappe.delete_doc("Customer", customer)
		self.assertEqual(traces(mark, customer), [])
		self.assertEqual(frappe.db.get_value("Reorder Message", sent.name, "status"), "Anonymous")
		summed = funnel.total(funnel.funnel({"item_group": group, "company": self.company}))
		self.assertEqual((summed["sent"], summed["won"], summed["revenue"]), (1, 1, 3))


class TestContact(PrivacyCase):
	def test_a_contact_that_is_deleted_takes_its_consent_along(self):
		frappe.db.set_value("Customer", self.customer, "customer_primary_contact", None)
		frappe.db.delete("Communication Link", {"link_doctype": "Contact", "link_name": self.contact})
		frappe.delete_doc("Contact", self.contact)
		self.assertIsNone(preferences.consenting(self.customer))
		self.assertEqual(traces(self.contact, self.email), [])
		left = frappe.get_doc("Reorder Message", self.message.name)
		self.assertEqual((left.customer, left.items[0].item_code), (self.customer, self.item))
		self.assertTrue(frappe.db.exists("Reorder Reminder", {"customer": self.customer}))


class TestRequests(PrivacyCase):
	def setUp(self):
		super().setUp()
		make_account()
		self.user = make_user(email=self.email, first_name=f"Given{self.mark}", last_name="Family")

	def delete_data(self):
		request = frappe.get_doc({"doctype": "Personal Data Deletion Request", "email": self.email}).insert()
		request.status = "Pending Approval"
		request.save()
		request.trigger_data_deletion()
		request.reload()
		self.assertEqual(request.status, "Deleted")
		return request

	def test_a_deletion_request_leaves_no_trace(self):
		before = self.counts()
		request = self.delete_data()
		self.assertEqual(traces(self.mark, self.customer, self.contact, self.email), [])
		self.assertEqual(self.counts(), before)
		self.assertTrue(
			{"Reorder Preference", "Reorder Message"} <= {s.document_type for s in request.deletion_steps}
		)

	def test_a_company_with_other_people_keeps_its_own(self):
		other = make_contact(self.customer, primary=False)
		kept = preferences.opt_in(other, self.customer, "Phone", "Yes")
		self.delete_data()
		self.assertEqual(traces(self.contact, self.email), [])
		self.assertTrue(frappe.db.exists("Reorder Preference", kept.name))
		self.assertEqual(len(self.days_of(self.customer)), 3)
		left = frappe.get_doc("Reorder Message", self.message.name)
		self.assertEqual(
			(left.customer, left.contact, left.email, left.subject), (self.customer, None, None, None)
		)

	def test_a_download_request_brings_all_there_is(self):
		frappe.get_doc({"doctype": "Personal Data Download Request", "user": self.user}).insert()
		request = frappe.get_all("Personal Data Download Request", {"user": self.user}, pluck="name")[0]
		files = frappe.get_all("File", {"attached_to_name": request}, ["name", "file_name", "is_private"])
		self.assertEqual(len(files), 2)
		self.assertTrue(all(file.is_private for file in files))
		data = {}
		for file in files:
			found = json.loads(frappe.get_doc("File", file.name).get_content())
			for doctype, rows in found.items():
				data.setdefault(doctype, []).extend(rows)
		self.assertEqual([row["email"] for row in data["Reorder Preference"]], [self.email])
		self.assertEqual([row["name"] for row in data["Reorder Message"]], [self.message.name])
		self.assertEqual([row["change"] for row in data["Reorder Consent Change"]], ["Opted in", "Frequency"])
		self.assertEqual(len(data["Reorder Purchase Day"]), 3)
		for doctype in ("Reorder Customer", "Reorder Reminder", "Reorder Message Item"):
			self.assertEqual(len(data[doctype]), 1, doctype)
		self.assertNotIn("sum_log", data["Reorder Reminder"][0])
		mails = frappe.get_all("Email Queue Recipient", {"recipient": self.email}, pluck="parent")
		self.assertEqual(len(mails), 2)

	def test_who_has_bought_nothing_gets_no_second_mail(self):
		user = make_user()
		self.assertEqual(requests.data_of(user), {})
		frappe.get_doc({"doctype": "Personal Data Download Request", "user": user}).insert()
		self.assertEqual(frappe.db.count("Email Queue Recipient", {"recipient": user}), 1)


class TestRetention(PrivacyCase):
	def test_opened_and_clicked_go_after_their_days(self):
		frappe.db.set_single_value("Reorder Settings", "tracking_days", 90)
		old = self.remind(ago=91)
		retention.forget_tracking()
		old.reload()
		self.assertEqual((old.opened_at, old.clicked_at, old.items[0].clicked_at), (None, None, None))
		self.assertFalse(frappe.db.get_value("Communication", old.communication, "read_by_recipient"))
		self.assertEqual((old.email, old.last_answer), (self.email, "Reorder"))
		self.message.reload()
		self.assertTrue(self.message.opened_at and self.message.items[0].clicked_at)
		frappe.db.set_single_value("Reorder Settings", "tracking_days", 0)
		retention.forget_tracking()
		self.message.reload()
		self.assertIsNone(self.message.opened_at)

	def test_people_go_after_theirs_and_are_not_reminded_of_the_same_again(self):
		frappe.db.set_single_value("Reorder Settings", "retention_days", 60)
		before = self.counts()
		old = self.remind(ago=61)
		held_out = message(
			self.customer,
			[{"item_group": self.group, "reminder": old.items[0].reminder, "last_day": day(30)}],
			ago=61,
			kind="Held Out",
		)
		frappe.db.set_value(
			"Reorder Reminder", old.items[0].reminder, {"last_message": old.name, "last_reminded_at": None}
		)
		self.assertEqual(retention.forget_people(), 2)
		for document, status in ((old, "Anonymous"), (held_out, "Held Out")):
			document.reload()
			self.assertEqual((document.customer, document.contact, document.status), (None, None, status))
		self.assertEqual(old.customer_name, held_out.customer_name)
		pair = frappe.get_doc("Reorder Reminder", {"customer": self.customer})
		self.assertIsNone(pair.last_message)
		self.assertLess(
			abs(pair.last_reminded_at - (now_datetime() - timedelta(days=61))), timedelta(minutes=5)
		)
		self.assertEqual(frappe.db.get_value("Reorder Message", self.message.name, "customer"), self.customer)
		after = self.counts()
		self.assertEqual((after[0]["sent"], after[0]["won"]), (before[0]["sent"] + 1, before[0]["won"] + 1))
		frappe.db.set_single_value("Reorder Settings", "retention_days", 0)
		self.assertEqual(retention.forget_people(), 0)

	def test_one_that_fails_does_not_stop_the_rest(self):
		frappe.db.set_single_value("Reorder Settings", "retention_days", 60)
		old = self.remind(ago=61)
		frappe.db.commit()
		with self.assertLogs_in_error_log("forget_tracking"):
			with self.patched_failure():
				retention.keep_no_longer()
		self.assertIsNone(frappe.db.get_value("Reorder Message", old.name, "customer"))

	def patched_failure(self):
		def forget_tracking():
			raise ValueError("no")

		return patch.object(retention, "forget_tracking", forget_tracking)

	def assertLogs_in_error_log(self, word: str):
		@contextmanager
		def logs():
			before = frappe.db.count("Error Log")
			yield
			self.assertEqual(frappe.db.count("Error Log"), before + 1)
			self.assertIn(word, frappe.get_last_doc("Error Log").method)

		return logs()

	def test_frappe_s_log_settings_clear_forecasts_and_runs(self):
		for asked in (401, 399):
			by_machine(
				frappe.get_doc(
					{
						"doctype": "Reorder Forecast",
						"customer": self.customer,
						"item_code": self.item,
						"asked": day(asked),
						"after": day(asked),
					}
				)
			).insert(ignore_permissions=True)
		runs = []
		for status in ("Done", "Running"):
			run = by_machine(
				frappe.get_doc({"doctype": "Reorder Run", "kind": "Sending", "status": status})
			).insert(ignore_permissions=True)
			run.db_set("creation", add_days(now_datetime(), -181), update_modified=False)
			runs.append(run.name)
		for doctype, days in (("Reorder Forecast", 400), ("Reorder Run", 180)):
			self.assertEqual(frappe.get_hooks("default_log_clearing_doctypes")[doctype], [days])
			frappe.get_doc({"doctype": doctype}).clear_old_logs(days=days)
		self.assertEqual(
			frappe.get_all(
				"Reorder Forecast", {"customer": self.customer, "asked": ["<", day(300)]}, pluck="asked"
			),
			[day(399)],
		)
		self.assertEqual(frappe.get_all("Reorder Run", {"name": ["in", runs]}, pluck="status"), ["Running"])
