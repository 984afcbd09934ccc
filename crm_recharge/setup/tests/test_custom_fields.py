"""How a field looks is a person's; what the app relies on is not."""

import frappe

from crm_recharge import install
from crm_recharge.accounting.custom_fields import RECHARGE
from crm_recharge.reorder.consent import checkbox, preferences
from crm_recharge.setup import custom_fields
from crm_recharge.tests.compat import BenchTestCase

NAME = f"Sales Invoice-{RECHARGE}"


class TestCustomFields(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		custom_fields.make(install.custom_fields())
		frappe.db.commit()
		self.addCleanup(frappe.clear_cache, doctype="Sales Invoice")
		self.addCleanup(frappe.db.rollback)

	def declared(self, **values):
		(ours,) = (f for f in install.custom_fields()["Sales Invoice"] if f["fieldname"] == RECHARGE)
		return {"Sales Invoice": [ours | values]}

	def value(self, key: str):
		return frappe.db.get_value("Custom Field", NAME, key)

	def test_every_field_is_there_and_its_own(self):
		for doctype, fields in install.custom_fields().items():
			self.assertEqual(len(fields), len({field["fieldname"] for field in fields}), doctype)
			for field in fields:
				with self.subTest(doctype=doctype, field=field["fieldname"]):
					self.assertTrue(frappe.get_meta(doctype).has_field(field["fieldname"]))
					self.assertTrue(field["fieldname"].startswith("crm_recharge"))

	def test_a_label_of_theirs_stays_and_ours_follows(self):
		custom_fields.make(self.declared(label="Recharge Two"))
		self.assertEqual(self.value("label"), "Recharge Two")
		frappe.db.set_value("Custom Field", NAME, "label", "Top-up")
		custom_fields.make(self.declared(label="Recharge Three", description="Why it was made"))
		self.assertEqual((self.value("label"), self.value("description")), ("Top-up", "Why it was made"))

	def test_what_the_app_relies_on_is_kept(self):
		frappe.db.set_value("Custom Field", NAME, {"no_copy": 0, "read_only": 0})
		custom_fields.make(self.declared())
		self.assertEqual((self.value("no_copy"), self.value("read_only")), (1, 1))

	def test_a_deleted_one_comes_back(self):
		frappe.delete_doc("Custom Field", NAME, force=True)
		custom_fields.make(self.declared())
		self.assertTrue(frappe.db.exists("Custom Field", {"dt": "Sales Invoice", "fieldname": RECHARGE}))
		frappe.db.commit()

	def test_the_wording_beside_the_box_is_the_one_that_is_agreed_to(self):
		name = f"Sales Order-{checkbox.REMIND_ME}"
		frappe.db.set_value("Custom Field", name, "description", "Win a car")
		install.after_migrate()
		self.assertEqual(frappe.db.get_value("Custom Field", name, "description"), preferences.wording())
		frappe.db.commit()

	def test_a_document_that_named_a_recharge_names_none_when_the_fields_are_gone(self):
		invoice = frappe.get_doc({"doctype": "Sales Invoice", "name": "UNLINKED-1", RECHARGE: "RC-GONE"})
		invoice.db_insert()
		custom_fields.take_away(install.custom_fields())
		found = frappe.db.sql(f"SELECT `{RECHARGE}` FROM `tabSales Invoice` WHERE `name` = 'UNLINKED-1'")
		self.assertEqual(found, ((None,),))
