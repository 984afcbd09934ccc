"""What a link field of a form finds and accepts among the app's records, asked as the desk asks."""

import frappe
from frappe.desk.search import search_link

from crm_recharge.doors import search
from crm_recharge.tests.compat import BenchTestCase, is_valid_link
from crm_recharge.tests.factories import make_account, make_category, make_user


class TestLinkSearch(BenchTestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		cls.account = make_account()
		# A name that others hold within theirs.
		cls.short = make_category()
		for number in range(3):
			make_category(category_name=f"{number} {cls.short}")
		cls.disabled = make_category(disabled=1)

	def setUp(self):
		self.addCleanup(frappe.set_user, "Administrator")
		frappe.set_user(make_user("Credit Manager"))

	def test_a_link_field_finds_records_and_takes_the_one_that_was_typed(self):
		for doctype, name in (("Credit Account", self.account), ("Usage Category", self.short)):
			found = search_link(doctype, name, reference_doctype="Recharge", page_length=20)
			self.assertIn(name, [row["value"] for row in found])
			self.assertTrue(is_valid_link(doctype, name))

	def test_what_is_not_there_or_not_in_use_is_no_link(self):
		self.assertFalse(is_valid_link("Usage Category", "nowhere"))
		found = search_link("Usage Category", self.disabled, page_length=20)
		self.assertEqual(found, [])

	def test_the_record_of_the_very_name_comes_before_many_like_it(self):
		rows = search.records_of("Usage Category", self.short, page_len=2)
		names = [row[0] for row in rows]
		self.assertEqual((names[0], len(names), len(set(names))), (self.short, 3, 3))

	def test_who_may_not_read_them_finds_none(self):
		frappe.set_user(make_user("Stock User"))
		self.assertEqual(search_link("Credit Account", self.account), [])
		self.assertFalse(is_valid_link("Credit Account", self.account))
