"""The invoice leaves as a PDF, once, and never takes the books down with it."""

import base64
import email
import io
import unicodedata
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime
from pypdf import PdfReader

from crm_recharge.accounting import mailing, posting
from crm_recharge.accounting.tests.books import (
	BooksTestCase,
	account,
	fields,
	new_customer,
	settled_recharge,
)
from crm_recharge.background import MAIL_INVOICE
from crm_recharge.setup import templates

PIXEL = base64.b64decode(
	"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class TestMailing(BooksTestCase):
	def setUp(self):
		super().setUp()
		self.configure("CRM Recharge Settings", mail_invoices=1)
		self.outgoing_mail()
		self.owner = self.user()

	def user(self, **values) -> str:
		address = f"owner-{frappe.generate_hash(length=8)}@example.com"
		user = frappe.get_doc(
			{
				"doctype": "User",
				"email": address,
				"first_name": "Owner",
				"send_welcome_email": 0,
				**values,
			}
		).insert(ignore_permissions=True)
		frappe.db.commit()
		return user.name

	def contact(self, customer, address, **values):
		frappe.get_doc(
			{
				"doctype": "Contact",
				"first_name": address,
				"email_ids": [{"email_id": address, "is_primary": 1}],
				"links": [{"link_doctype": "Customer", "link_name": customer}],
				**values,
			}
		).insert(ignore_permissions=True)
		frappe.db.commit()

	def mails(self, recharge):
		frappe.db.rollback()
		return frappe.get_all(
			"Email Queue",
			{"reference_doctype": "Sales Invoice", "reference_name": fields(recharge).sales_invoice},
			pluck="name",
		)

	def test_what_a_stranger_links_to_the_customer_is_on_no_invoice_and_gets_none(self):
		recharge = settled_recharge(account(account_owner=self.owner), "450.00")
		customer = frappe.db.get_value("Recharge", recharge, "customer")
		frappe.set_user(self.user(user_type="Website User"))
		self.addCleanup(frappe.set_user, "Administrator")
		self.contact(customer, "mallory@example.com", is_billing_contact=1, is_primary_contact=1)
		self.insert(
			doctype="Address",
			address_title="Mallory",
			address_type="Billing",
			address_line1="1 Thieves Lane",
			city="Elsewhere",
			country="United States",
			is_primary_address=1,
			links=[{"link_doctype": "Customer", "link_name": customer}],
		)
		frappe.set_user("Administrator")
		self.assertEqual(posting.account_for(recharge), "Done")
		invoice = frappe.get_doc("Sales Invoice", fields(recharge).sales_invoice)
		self.assertFalse(invoice.customer_address or invoice.contact_person or invoice.contact_email)
		self.assertNotIn("Thieves", f"{invoice.address_display}{invoice.shipping_address}")
		sent = frappe.get_all(
			"Email Queue Recipient", {"parent": ["in", self.mails(recharge)]}, pluck="recipient"
		)
		self.assertEqual(sent, [self.owner])

	def test_pdf_in_the_queue_once(self):
		recharge = settled_recharge(account(account_owner=self.owner), "450.00")
		self.assertEqual(posting.account_for(recharge), "Done")
		row = fields(recharge)
		self.assertIsNotNone(row.invoice_mailed_at, row.accounting_error)
		self.assertIsNone(row.accounting_next_try_at)
		self.assertEqual(posting.account_for(recharge), "Done")
		self.assertFalse(mailing.mail_invoice(recharge))
		names = self.mails(recharge)
		self.assertEqual(len(names), 1)

		queued = frappe.get_doc("Email Queue", names[0])
		self.assertEqual([recipient.recipient for recipient in queued.recipients], [self.owner])
		message = email.message_from_string(queued.message)
		self.assertIn(
			row.sales_invoice, str(email.header.make_header(email.header.decode_header(message["Subject"])))
		)
		pdf = [part for part in message.walk() if part.get_content_type() == "application/pdf"]
		self.assertEqual(len(pdf), 1)
		self.assertEqual(pdf[0].get_filename(), f"{row.sales_invoice}.pdf")
		content = pdf[0].get_payload(decode=True)
		self.assertEqual(content[:4], b"%PDF")
		self.assertIn(b"%%EOF", content[-1024:])
		# An "ff" may be printed as one sign.
		print_out = unicodedata.normalize("NFKC", PdfReader(io.BytesIO(content)).pages[0].extract_text())
		for shown in (row.sales_invoice, "Recharge", "450.00", "Paid", row.settled_intent):
			self.assertIn(shown, print_out)
		text = next(part for part in message.walk() if part.get_content_type() == "text/plain")
		text = text.get_payload(decode=True).decode()
		self.assertIn("450.00", text)
		self.assertIn(row.settled_intent, text.replace("\\_", "_"))

	def test_a_changed_template_is_used(self):
		before = frappe.db.get_value("Email Template", mailing.TEMPLATE, "subject")
		self.assertTrue(before)
		self.change("Email Template", mailing.TEMPLATE, subject="Thanks, {{ customer_name }}")
		templates.make()
		recharge = settled_recharge(account(account_owner=self.owner), "10")
		posting.account_for(recharge)
		message = email.message_from_string(
			frappe.db.get_value("Email Queue", self.mails(recharge)[0], "message")
		)
		subject = str(email.header.make_header(email.header.decode_header(message["Subject"])))
		self.assertTrue(subject.startswith("Thanks, Test Customer"), subject)

	def test_recipients(self):
		customer = new_customer()
		self.assertEqual(mailing.recipients_of(account(customer=customer), customer), [])
		self.contact(customer, "someone@example.com")
		with_owner = account("EUR", customer, account_owner=self.owner)
		self.assertEqual(mailing.recipients_of(with_owner, customer), [self.owner])
		self.contact(customer, "invoices@example.com", is_billing_contact=1)
		self.assertEqual(mailing.recipients_of(with_owner, customer), [self.owner, "invoices@example.com"])
		frappe.db.set_value("User", self.owner, "enabled", 0)
		self.assertEqual(mailing.recipients_of(with_owner, customer), ["invoices@example.com"])
		other = new_customer()
		frappe.db.set_value("Customer", other, "email_id", "Office <office@example.com>, nonsense")
		self.assertEqual(len(mailing.recipients_of(account(customer=other), other)), 1)

	def test_the_page_carries_its_style_and_images(self):
		image = self.insert(doctype="File", file_name="logo.png", content=PIXEL, is_private=0, decode=False)
		style = frappe.get_print("Sales Invoice", self.some_invoice())
		style = style[style.index("/assets/") :].split('"')[0]
		page = mailing.self_contained(
			f'''<html><head><link rel="stylesheet" href="{style}">
			<link rel="stylesheet" href="https://cdn.example.com/x.css"></head>
			<body><img src="{image.file_url}"><img src="{frappe.utils.get_url(image.file_url)}">
			<img src="/files/../../site_config.json"><img src="/assets/../../common_site_config.json">
			<img src="/files/missing.png"></body></html>'''
		)
		self.assertNotIn(style, page)
		self.assertEqual(page.count("data:text/css;base64,"), 1)
		self.assertEqual(page.count("data:image/png;base64," + base64.b64encode(PIXEL).decode()), 2)
		self.assertEqual(page.count("data:"), 3)
		for kept in ("https://cdn.example.com/x.css", "site_config.json", "/files/missing.png"):
			self.assertIn(kept, page)

	def test_in_the_print_format_that_somebody_has_chosen_else_in_the_apps_own(self):
		frappe.db.delete("Property Setter", {"doc_type": "Sales Invoice", "property": "default_print_format"})
		self.addCleanup(frappe.clear_cache, doctype="Sales Invoice")
		self.addCleanup(frappe.db.rollback)
		frappe.clear_cache(doctype="Sales Invoice")
		self.assertEqual(mailing.print_format(), mailing.PRINT_FORMAT)
		theirs = frappe.get_all(
			"Print Format", {"doc_type": "Sales Invoice", "module": "Accounts"}, pluck="name"
		)
		own = {
			"doctype": "Print Format",
			"name": "Own Invoice",
			"doc_type": "Sales Invoice",
			"standard": "No",
		}
		own = frappe.get_doc({**own, "custom_format": 1, "html": "<p></p>"}).insert().name
		for chosen, by_a_person, used in (
			# As ERPNext 16 does for every site.
			(theirs[0], False, mailing.PRINT_FORMAT),
			(theirs[0], True, theirs[0]),
			# As an app of a country's does.
			(own, False, own),
			(own, True, own),
		):
			with self.subTest(chosen=chosen, by_a_person=by_a_person):
				self.set_print_format(chosen, by_a_person)
				self.assertEqual(mailing.print_format(), used)

	def set_print_format(self, chosen: str, by_a_person: bool) -> None:
		frappe.db.delete("Property Setter", {"doc_type": "Sales Invoice", "property": "default_print_format"})
		setter = {
			"doctype": "Sales Invoice",
			"doctype_or_field": "DocType",
			"property": "default_print_format",
		}
		frappe.make_property_setter(
			{**setter, "value": chosen, "property_type": "Link"},
			validate_fields_for_doctype=False,
			is_system_generated=not by_a_person,
		)
		frappe.clear_cache(doctype="Sales Invoice")

	def some_invoice(self):
		recharge = settled_recharge(account(account_owner=self.owner), "10")
		posting.account_for(recharge)
		return fields(recharge).sales_invoice

	def test_a_failing_pdf_leaves_the_invoice_and_is_tried_again(self):
		recharge = settled_recharge(account(account_owner=self.owner), "450.00")
		with patch.object(frappe, "attach_print", side_effect=OSError("wkhtmltopdf: cannot open display")):
			self.assertEqual(posting.account_for(recharge), "Done")
		row = fields(recharge)
		self.assertEqual(frappe.db.get_value("Sales Invoice", row.sales_invoice, "docstatus"), 1)
		self.assertEqual(frappe.db.get_value("Payment Entry", row.payment_entry, "docstatus"), 1)
		self.assertEqual((row.accounting_status, row.invoice_mailed_at), ("Done", None))
		self.assertIn("could not be mailed", row.accounting_error)
		self.assertIn("wkhtmltopdf", row.accounting_error)
		self.assertGreater(row.accounting_next_try_at, now_datetime())
		self.assertEqual(self.mails(recharge), [])

		self.assertEqual(posting.account_for(recharge), "Done")
		row = fields(recharge)
		self.assertIsNotNone(row.invoice_mailed_at)
		self.assertIsNone(row.accounting_error)
		self.assertEqual(len(self.mails(recharge)), 1)

	def test_a_mail_that_cannot_be_queued_is_not_marked_as_sent(self):
		recharge = settled_recharge(account(account_owner=self.owner), "450.00")
		with patch.object(mailing, "recipients_of", return_value=["no address"]):
			posting.account_for(recharge)
		row = fields(recharge)
		self.assertIsNone(row.invoice_mailed_at)
		self.assertIn("no address", row.accounting_error)

	def test_no_address_stops_after_some_days(self):
		recharge = settled_recharge(account(), "10")
		posting.account_for(recharge)
		row = fields(recharge)
		self.assertIn("Account Owner", row.accounting_error)
		self.assertIsNotNone(row.accounting_next_try_at)
		for _ in range(MAIL_INVOICE.retry.back_off.tries - 1):
			posting.account_for(recharge)
		row = fields(recharge)
		self.assertEqual(
			(row.accounting_tries, row.accounting_next_try_at), (MAIL_INVOICE.retry.back_off.tries, None)
		)
		self.assertIn("Retry", row.accounting_error)

	def test_switched_off_means_never(self):
		self.configure("CRM Recharge Settings", mail_invoices=0)
		recharge = settled_recharge(account(account_owner=self.owner), "10")
		posting.account_for(recharge)
		row = fields(recharge)
		self.assertEqual((row.accounting_next_try_at, row.invoice_mailed_at), (None, None))
		self.assertEqual(self.mails(recharge), [])
