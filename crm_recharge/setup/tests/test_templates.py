"""A template is the app's until somebody edits it, and then theirs."""

from unittest.mock import patch

import frappe

from crm_recharge.setup import templates, written
from crm_recharge.tests.compat import BenchTestCase

NAME = "Credits Refunded"


class TestTemplates(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		templates.make()
		frappe.db.commit()
		self.addCleanup(frappe.clear_document_cache, "Email Template", NAME)
		self.addCleanup(frappe.db.rollback)

	def shipping(self, **text):
		"""The next version of the app has another text."""
		shipped = templates.shipped()
		return patch.object(templates, "shipped", lambda: shipped | {NAME: shipped[NAME] | text})

	def subject(self):
		return frappe.db.get_value("Email Template", NAME, "subject")

	def edit(self, subject: str):
		doc = frappe.get_doc("Email Template", NAME)
		doc.subject = subject
		doc.save()

	def test_all_of_them_are_there_as_they_are_shipped(self):
		for name, text in templates.shipped().items():
			with self.subTest(name=name):
				doc = frappe.get_doc("Email Template", name)
				self.assertEqual({f: doc.get(f) or "" for f in text}, {f: v or "" for f, v in text.items()})
				self.assertIn(name, written.names("Email Template"))

	def test_ours_follows_what_is_shipped(self):
		with self.shipping(subject="Version two"):
			templates.make()
			self.assertEqual(self.subject(), "Version two")
		with self.shipping(subject="Version three"):
			templates.make()
			self.assertEqual(self.subject(), "Version three")

	def test_an_edited_one_stays_however_often_we_change_ours(self):
		self.edit("Theirs")
		for version in ("two", "three"):
			with self.shipping(subject=f"Version {version}", response_html="<p>Another</p>"):
				templates.make()
		self.assertEqual(self.subject(), "Theirs")
		self.assertNotIn("Another", frappe.db.get_value("Email Template", NAME, "response_html"))

	def test_saving_it_unchanged_is_no_edit(self):
		frappe.get_doc("Email Template", NAME).save()
		with self.shipping(subject="Version two"):
			templates.make()
		self.assertEqual(self.subject(), "Version two")

	def test_an_edit_taken_back_is_no_edit(self):
		before = self.subject()
		self.edit("Theirs")
		self.edit(before)
		with self.shipping(subject="Version two"):
			templates.make()
		self.assertEqual(self.subject(), "Version two")

	def test_a_deleted_one_comes_back_at_a_migration(self):
		frappe.delete_doc("Email Template", NAME, force=True)
		templates.make()
		self.assertEqual(self.subject(), templates.shipped()[NAME]["subject"])

	def test_a_deleted_one_comes_back_when_a_mail_needs_it(self):
		frappe.delete_doc("Email Template", NAME, force=True)
		self.assertEqual(templates.get(NAME).subject, templates.shipped()[NAME]["subject"])
		self.assertTrue(frappe.db.exists("Email Template", NAME))
		with self.shipping(subject="Version two"):
			templates.make()
		self.assertEqual(self.subject(), "Version two")

	def test_one_of_the_sites_own_is_read_and_never_made(self):
		with self.assertRaises(frappe.DoesNotExistError):
			templates.get("No such template")

	def test_one_that_was_there_before_the_app_stays_when_it_goes(self):
		own = frappe.get_doc(
			{"doctype": "Email Template", "name": "Theirs Alone", "subject": "x", "response": "x"}
		).insert()
		with patch.object(templates, "shipped", lambda: {own.name: {f: "ours" for f in templates.TEXT}}):
			templates.make()
			self.assertEqual(frappe.db.get_value("Email Template", own.name, "subject"), "x")
			templates.take_away()
		self.assertTrue(frappe.db.exists("Email Template", own.name))
		self.assertFalse(frappe.db.exists("Email Template", NAME))
