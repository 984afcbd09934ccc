"""What people set stays at a migration, whatever kind of record it is."""

import frappe

from crm_recharge.accounting import setup as accounting
from crm_recharge.setup import roles, templates
from crm_recharge.setup.tests.migration import APP, migrate
from crm_recharge.tests.compat import BenchTestCase

ONE_TEMPLATE = "Auto-Recharge Failed"


class TestWhatPeopleSet(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")

	def edit(self, doctype: str, name: str, **values):
		"""Change a record as the desk does, and change it back when the test is over."""
		before = frappe.db.get_value(doctype, name, list(values), as_dict=True)
		self.assertIsNotNone(before, f"{doctype} {name}")
		self.assertNotEqual({k: str(v) for k, v in before.items()}, {k: str(v) for k, v in values.items()})
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.db.set_value, doctype, name, before)
		frappe.db.set_value(doctype, name, dict(values))
		self.edited.append((doctype, name, values))

	def test_stays(self):
		self.edited = []
		for name in templates.shipped():
			self.edit("Email Template", name, subject=f"Our own words about {name}")
		for name in roles.ROLES:
			self.edit("Role", name, two_factor_auth=1, home_page="/me")
		self.edit("Workspace", "CRM Recharge", title="Prepaid", is_hidden=1)
		self.edit("Workspace", "Reorder Reminders", is_hidden=1)
		self.edit("Number Card", "Prepaid Balance", color="#111111")
		self.edit("Dashboard Chart", "Reorder Funnel", color="#111111")
		self.edit("Print Format", "Recharge Invoice", disabled=1)
		self.edit("Report", "Reorder Cycles", disabled=1)
		self.edit("Scheduled Job Type", self.job("crm_recharge.outbox.sweep.sweep"), stopped=1)
		self.edit("Scheduled Job Type", self.job("crm_recharge.outbox.sweep.once_more"), stopped=1)
		self.edit("Custom Field", "Sales Invoice-crm_recharge", label="Top-up", hidden=1, print_hide=0)
		self.edit("Custom Field", "Customer-crm_recharge_next_purchase_on", insert_after="customer_type")
		self.edit("Mode of Payment", accounting.MODE_OF_PAYMENT, type="General")
		self.edit("Item", accounting.ITEM, description="What our customers call tokens")
		for row in frappe.get_all("Item Default", {"parent": accounting.ITEM}, pluck="name"):
			self.edit("Item Default", row, income_account=None)
		for route in ("/credits", "/reorders"):
			self.edit("Portal Menu Item", self.menu_item(route), enabled=0, role="Credit User", title="Ours")
		self.made(
			{
				"doctype": "Property Setter",
				"doctype_or_field": "DocField",
				"doc_type": "Credit Account",
				"field_name": "status",
				"property": "label",
				"property_type": "Data",
				"value": "State",
			}
		)
		self.made(
			{
				"doctype": "Translation",
				"language": "de",
				"source_text": "Recharge of {0} failed",
				"translated_text": "Aufladung über {0} schlug fehl",
			}
		)
		settings = frappe.get_doc("Reorder Settings")
		self.addCleanup(settings.db_set, "send_from", settings.send_from)
		settings.db_set("send_from", "10:30:00")

		migrate()

		for doctype, name, values in self.edited:
			with self.subTest(doctype=doctype, name=name):
				self.assertEqual(
					{
						k: str(v)
						for k, v in frappe.db.get_value(doctype, name, list(values), as_dict=True).items()
					},
					{k: str(v) for k, v in values.items()},
				)
		frappe.clear_cache(doctype="Credit Account")
		self.assertEqual(frappe.get_meta("Credit Account").get_label("status"), "State")
		self.assertEqual(str(frappe.db.get_single_value("Reorder Settings", "send_from")), "10:30:00")

	def test_the_days_a_log_is_kept_stay_when_logs_are_cleared(self):
		settings = frappe.get_doc("Log Settings")
		settings.register_doctype("Gateway Event", 7)
		settings.save()
		migrate()
		again = frappe.get_doc("Log Settings")
		again.add_default_logtypes()
		days = {row.ref_doctype: row.days for row in again.logs_to_clear}
		self.assertEqual(days["Gateway Event"], 7)
		again.register_doctype("Gateway Event", 90)
		again.save()
		frappe.db.commit()

	def test_a_setting_that_came_with_an_update_has_its_default_and_the_others_stay(self):
		settings = "CRM Recharge Settings"
		before = frappe.db.get_single_value(settings, "preset_amounts")
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.db.set_single_value, settings, {"preset_amounts": before, "mail_invoices": 1})
		frappe.db.delete("Singles", {"doctype": settings, "field": "default_falls_below"})
		frappe.db.set_single_value(settings, {"preset_amounts": "7, 9", "mail_invoices": 0})
		migrate()
		stored = frappe.get_doc(settings)
		self.assertEqual(
			(stored.default_falls_below, stored.preset_amounts, stored.mail_invoices), (50, "7, 9", 0)
		)

	def test_nothing_is_a_fixture(self):
		"""Frappe writes fixtures anew at each migration, whatever people have made of them."""
		self.assertFalse(frappe.get_hooks("fixtures", app_name=APP))

	def job(self, method: str) -> str:
		return frappe.db.get_value("Scheduled Job Type", {"method": method})

	def menu_item(self, route: str) -> str:
		return frappe.db.get_value("Portal Menu Item", {"parent": "Portal Settings", "route": route})

	def made(self, values: dict):
		doc = frappe.get_doc(values).insert()
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.delete_doc, doc.doctype, doc.name, force=True)
