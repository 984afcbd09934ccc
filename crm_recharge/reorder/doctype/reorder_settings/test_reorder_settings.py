"""Settings that could not work are refused when they are saved."""

import frappe

from crm_recharge.doors.guard import by_machine
from crm_recharge.setup.settings import keep_defaults
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.reorder_case import ReorderCase, first_company

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = [
	"Company",
	"Email Account",
	"Email Template",
	"Payment Gateway Account",
	"Shipping Rule",
	"User",
]


class TestReorderSettings(ReorderCase):
	def setUp(self):
		super().setUp()
		self.addCleanup(frappe.clear_document_cache, "Reorder Settings", "Reorder Settings")
		self.addCleanup(frappe.db.rollback)

	def save(self, **values):
		settings = frappe.get_doc("Reorder Settings")
		settings.update(values)
		return settings.save()

	def shipping_rule(self, **values) -> str:
		account = frappe.get_all(
			"Account", {"company": first_company(), "is_group": 0}, pluck="name", limit=1
		)[0]
		rule = frappe.get_doc(
			{
				"doctype": "Shipping Rule",
				"label": f"Rule {frappe.generate_hash(length=8)}",
				"shipping_rule_type": "Selling",
				"company": first_company(),
				"account": account,
				"cost_center": frappe.get_cached_value("Company", first_company(), "cost_center"),
				"calculate_based_on": "Fixed",
				**values,
			}
		)
		return rule.insert().name

	def test_what_could_not_work_is_refused(self):
		for values, words in (
			({"hold_out_share": 101}, "Held-out customers.*from 0 to 100"),
			({"hold_out_share": 100, "enabled": 1}, "nobody is reminded"),
			({"least_p_alive": -1}, "Still buying"),
			({"valuable_share": 200}, "Valuable"),
			({"conversion_window_days": 0}, "at least 1"),
			({"link_days": 0}, "at least 1"),
			({"max_items": 0}, "from 1 to 50"),
			({"max_items": 51}, "from 1 to 50"),
			({"least_purchases": 0}, "at least 1"),
			({"default_frequency_days": 40000}, "from 0 to 36,500 days"),
			({"retention_days": 30, "conversion_window_days": 30}, "longer than the 30 days"),
			({"send_from": "18:00:00", "send_until": "09:00:00"}, "later than"),
			({"send_from": "09:00:00", "send_until": "09:30:00"}, "less than an hour"),
			({"send_from": None}, "is needed"),
			({"valuable_field": "no_such_field"}, "Customer has no field"),
			({"valuable_field": "portal_users"}, "Customer has no field"),
			({"fallback_user": make_user(user_type="Website User")}, "has no desk"),
			({"fallback_user": make_user(enabled=0)}, "is disabled"),
			({"reply_to": "nobody"}, "not a valid Email"),
			({"consent_wording": " "}, "Consent Wording.*needed"),
			({"neutral_subject": ""}, "needed"),
			(
				{"order_document": "Sales Order", "submit_order": 1, "ask_for_payment": 1},
				"Payment Gateway Account.*needed",
			),
			({"free_shipping_rule": self.shipping_rule(shipping_rule_type="Buying")}, "for buying"),
			({"free_shipping_rule": self.shipping_rule(disabled=1)}, "disabled"),
		):
			with self.assertRaisesRegex(frappe.ValidationError, words, msg=str(values)):
				self.save(**values)

	def test_what_works_is_kept(self):
		rule = self.shipping_rule()
		settings = self.save(
			hold_out_share=0,
			send_from="00:00:00",
			send_until="00:00:00",
			valuable_field="customer_group",
			free_shipping_rule=rule,
			order_document="Quotation",
			submit_order=1,
			ask_for_payment=1,
			retention_days=0,
		)
		# Payment can only be asked for an order that stands.
		self.assertEqual((settings.ask_for_payment, settings.submit_order), (0, 1))

	def test_a_changed_share_is_drawn_at_once(self):
		customer = frappe.get_doc({"doctype": "Reorder Customer", "customer": self.any_customer()})
		by_machine(customer).insert(ignore_permissions=True, ignore_links=True)
		for share, held_out in ((100, 1), (0, 0)):
			self.save(hold_out_share=share, enabled=0)
			self.assertEqual(frappe.db.get_value("Reorder Customer", customer.name, "held_out"), held_out)

	def any_customer(self) -> str:
		from crm_recharge.tests.factories import make_customer

		return make_customer()

	def test_the_hours_are_not_the_moment_of_the_installation(self):
		for field in ("send_from", "send_until"):
			frappe.db.set_single_value("Reorder Settings", field, "20:25:52.015134")
		keep_defaults()
		settings = frappe.get_doc("Reorder Settings")
		hours = [str(settings.get(field)) for field in ("send_from", "send_until")]
		self.assertEqual(hours, ["09:00:00", "18:00:00"])
		frappe.db.set_single_value("Reorder Settings", "send_from", "07:30:00")
		keep_defaults()
		self.assertEqual(str(frappe.get_doc("Reorder Settings").send_from), "7:30:00".zfill(8))

	def test_defaults_are_there_though_something_else_was_stored(self):
		frappe.db.delete("Singles", {"doctype": "Reorder Settings"})
		frappe.db.set_single_value("Reorder Settings", "max_items", 3)
		frappe.clear_document_cache("Reorder Settings", "Reorder Settings")
		self.assertFalse(frappe.get_doc("Reorder Settings").link_days)
		keep_defaults()
		settings = frappe.get_doc("Reorder Settings")
		self.assertEqual(
			(settings.max_items, settings.link_days, settings.default_frequency_days), (3, 60, 14)
		)
		self.assertEqual(settings.enabled, 0)
		settings.save()
