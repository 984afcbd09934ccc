"""The preview shows what would be sent, and writes nothing."""

import frappe

from crm_recharge.reorder.sending import preview
from crm_recharge.reorder.sending.tests.sending_case import SendingCase, html_of, parsed
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

	def test_it_shows_what_the_mail_would_and_no_more(self):
		"""No discount beyond the item's own limit, no free shipping that nothing gives, nothing that is not sold."""
		limited, kept, gone, off = (make_item() for _ in range(4))
		frappe.db.set_value("Item", limited, "max_discount", 5)
		frappe.db.set_value("Item", gone, "end_of_life", "2020-01-01")
		self.rule(discount_percent=15, free_shipping=1, offer_days=3)
		self.rule(applies_to="Item", item_code=off, remind=0)
		customer = self.buyer(limited, kept, gone, off)
		shown = preview.preview(customer=customer)
		self.assertIn("5 % off", shown["html"])
		self.assertNotIn("free shipping", shown["html"])
		self.assertIn("Free shipping is left out", " ".join(shown["notes"]))
		names = {code: frappe.db.get_value("Item", code, "item_name") for code in (limited, kept, gone, off)}
		self.assertEqual(
			[code for code, name in names.items() if name in shown["html"]],
			[limited, kept],
		)
		self.remind(customer)
		html = html_of(self.mail(customer))
		self.assertEqual([code for code, name in names.items() if name in html], [limited, kept])
		self.assertEqual(html.count("% off"), shown["html"].count("% off"))

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
		manager = make_user("Reorder Manager")
		frappe.get_doc(
			{"doctype": "User Permission", "user": manager, "allow": "Customer", "for_value": self.buyer()}
		).insert(ignore_permissions=True)
		frappe.set_user(manager)
		for ask in (preview.preview, preview.send_test):
			with self.assertRaises(frappe.PermissionError):
				ask(customer=customer)
