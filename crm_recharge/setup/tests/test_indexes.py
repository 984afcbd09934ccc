"""An index on another app's table is made where it is missing, and dropped only by whom it was made."""

import frappe

from crm_recharge.setup import indexes, written
from crm_recharge.tests.compat import BenchTestCase

WANTED = {"Customer": ["website"]}


class TestIndexes(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.db.sql_ddl, "ALTER TABLE `tabCustomer` DROP INDEX IF EXISTS `website_index`")
		self.ours = written.names(indexes.KIND)
		self.addCleanup(self.remember)

	def remember(self):
		written.forget(indexes.KIND)
		for name in self.ours:
			written.remember(indexes.KIND, name, "made")

	def test_made_and_taken_away(self):
		self.assertFalse(indexes.is_there("Customer", "website"))
		for _ in range(2):
			indexes.make(WANTED)
			self.assertTrue(indexes.is_there("Customer", "website"))
		indexes.take_away(WANTED)
		self.assertFalse(indexes.is_there("Customer", "website"))

	def test_one_that_was_there_before_the_app_stays(self):
		frappe.db.add_index("Customer", ["website"])
		indexes.make(WANTED)
		indexes.take_away(WANTED)
		self.assertTrue(indexes.is_there("Customer", "website"))
