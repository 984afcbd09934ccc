"""The preview shows what would be sent, and writes nothing."""

import frappe

from crm_recharge.reorder.sending import preview
from crm_recharge.reorder.sending.tests.sending_case import SendingCase, parsed
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.reorder_case import make_item

WRITTEN = ("Reorder Message", "Email Queue", "Communication", "Coupon Code", "Pricing Rule")


class TestPreview(SendingCase):
	def setUp(self):
		super().setUp()
		self.addCleanup(frappe.set_user, "Administrator")

	def counts(self) -> list[int]:
		return [frappe.db.count(doctype) for doctype in WRITTEN]

	def test_with_a_customers_items_before_they_are_due(self):
		item = make_item(item_name="Blue <b>Tea</b>")
		self.rule(applies_to="Item", item_code=item, discount_percent=15, offer_days=3)
		customer = self.buyer(item, remind_on=None)
		before = self.counts()
		shown = preview.preview(customer=customer)
		self.assertEqual(self.counts(), before)
		self.assertEqual(shown["notes"], [])
		self.assertIn("Blue <b>Tea</b>", shown["subject"])
		for words in (
			"Blue &lt;b&gt;Tea&lt;/b&gt;",
			"15 % off",
			preview.SAMPLE_CODE,
			"30 days ago",
			"Hello Test",
		):
			self.assertIn(words, shown["html"])
		self.assertNotIn("token=", shown["html"])
		self.assertEqual(shown["sender"], "The Coffee Shop <shop@test.example>")

	def test_with_samples(self):
		rule = self.rule(discount_percent=5, offer_days=9, enabled=0)
		before = self.counts()
		self.assertIn("5 % off", preview.preview(rule=rule)["html"])
		self.assertNotIn("5 % off", preview.preview()["html"])
		self.assertEqual(self.counts(), before)

	def test_what_would_not_be_sent_is_said(self):
		customer = self.buyer(consents=False)
		self.assertIn("would not be sent", " ".join(preview.preview(customer=customer)["notes"]))
		rule = self.rule(applies_to="Item", item_code=make_item())
		self.assertIn("samples are shown", " ".join(preview.preview(rule=rule, customer=customer)["notes"]))

	def test_a_broken_template_is_told(self):
		template = frappe.get_doc(
			{
				"doctype": "Email Template",
				"name": f"T {frappe.generate_hash(length=6)}",
				"subject": "x",
				"use_html": 1,
			}
		)
		template.response_html = "x"
		template.insert()
		frappe.db.set_value("Email Template", template.name, "response_html", "{{ 1 / 0 }}")
		frappe.clear_document_cache("Email Template", template.name)
		frappe.db.commit()
		self.settings(email_template=template.name)
		with self.assertRaisesRegex(frappe.ValidationError, f"{template.name} cannot be used: .*zero"):
			preview.preview()

	def test_a_test_goes_to_whoever_asks_and_no_link_in_it_acts(self):
		customer = self.buyer()
		user = make_user("Reorder Manager", "Sales User")
		frappe.set_user(user)
		self.assertEqual(preview.send_test(customer=customer), user)
		queued = frappe.get_last_doc("Email Queue")
		self.assertEqual([row.recipient for row in queued.recipients], [user])
		mail = parsed(queued)
		self.assertTrue(mail["Subject"].startswith("[Test] "))
		self.assertNotIn("token=", mail.as_string())
		frappe.set_user("Administrator")
		self.assertEqual(self.messages(customer), [])

	def test_only_for_who_may_see_rules_and_the_customer(self):
		customer = self.buyer()
		frappe.set_user(make_user("Stock User"))
		for ask in (preview.preview, preview.send_test):
			with self.assertRaises(frappe.PermissionError):
				ask()
		frappe.set_user(make_user("Reorder Manager"))
		with self.assertRaises(frappe.PermissionError):
			preview.preview(customer=customer)
