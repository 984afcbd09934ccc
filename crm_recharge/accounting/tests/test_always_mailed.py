"""What belongs to a payment reaches whoever has unsubscribed from newsletters, and asks nobody to unsubscribe from it."""

import pathlib
from unittest.mock import patch

import frappe

import crm_recharge
from crm_recharge.accounting import posting, refunds
from crm_recharge.accounting.tests.books import BooksTestCase, account, fields, settled_recharge
from crm_recharge.accounting.tests.life_case import dispute, refund
from crm_recharge.recharge import notices, payment_mail, takeback_notices
from crm_recharge.tests.factories import make_user


class TestPaymentMail(BooksTestCase):
	def setUp(self):
		super().setUp()
		self.outgoing_mail()
		self.owner, self.manager = make_user(), make_user("Credit Manager")
		for address in (self.owner, self.manager):
			self.insert(doctype="Email Unsubscribe", email=address, global_unsubscribe=1)
		self.configure("CRM Recharge Settings", mail_invoices=1, admin_recipients=self.manager)
		self.account = account(account_owner=self.owner)
		self.recharge = settled_recharge(self.account, "20")

	def reached(self, name: str) -> set[str]:
		"""Who gets the mails about the document; checks that none of them asks to unsubscribe."""
		frappe.db.commit()
		mails = frappe.get_all(
			"Email Queue", {"reference_name": name}, ["name", "message", "add_unsubscribe_link"]
		)
		for mail in mails:
			self.assertEqual(mail.add_unsubscribe_link, 0)
			# Where Frappe puts the address to unsubscribe at when the mail is sent.
			self.assertFalse("unsubscribe_url" in mail.message, mail.name)
		names = [mail.name for mail in mails]
		return set(frappe.get_all("Email Queue Recipient", {"parent": ("in", names)}, pluck="recipient"))

	def test_invoice_and_credit_note(self):
		pdf = {"fname": "a.pdf", "fcontent": b"%PDF"}
		with patch("crm_recharge.accounting.mailing.make_pdf", return_value=pdf):
			self.assertEqual(posting.account_for(self.recharge), "Done")
			row = fields(self.recharge)
			self.assertTrue(row.invoice_mailed_at, row.accounting_error)
			self.assertEqual(self.reached(row.sales_invoice), {self.owner})
			name = refund(self.recharge, "5")
			self.assertEqual(refunds.account_for(name), "Done")
		note = frappe.db.get_value("Recharge Refund", name, "credit_note")
		self.assertEqual(self.reached(note), {self.owner})

	def test_every_notice_about_a_recharge(self):
		for kind in notices.TEMPLATES:
			if kind == "auto_recharge_stopped":
				continue
			with self.subTest(kind=kind):
				recharge = settled_recharge(self.account, "20")
				notices.send(kind, recharge)
				who = self.owner if kind in notices.FOR_CUSTOMER else self.manager
				self.assertEqual(self.reached(recharge), {who})

	def test_every_notice_about_a_refund_or_a_dispute(self):
		for kind, notice in takeback_notices.NOTICES.items():
			with self.subTest(kind=kind):
				make, key = (
					(refund, "refund")
					if "refund" in kind or kind == "captured_for_nothing"
					else (dispute, "dispute")
				)
				name = make(self.recharge, "5")
				takeback_notices.send(kind, {key: name})
				wanted = {self.owner} if notice.customer else set()
				self.assertEqual(self.reached(name), wanted | ({self.manager} if notice.company else set()))

	def test_what_concerns_the_account(self):
		notices.send_about_account("auto_recharge_stopped", self.account)
		self.assertEqual(self.reached(self.account), {self.owner, self.manager})
		other = account(account_owner=self.owner)
		notices.alert("Something is wrong", "x", ("Credit Account", other), [other])
		self.assertEqual(self.reached(other), {self.manager})

	def test_who_has_unsubscribed_from_this_document(self):
		reader = make_user()
		self.insert(
			doctype="Email Unsubscribe",
			email=reader,
			reference_doctype="Recharge",
			reference_name=self.recharge,
		)
		frappe.db.commit()
		self.assertEqual(payment_mail.queue([reader], "s", "m", "Recharge", self.recharge), {reader})
		self.assertEqual(self.reached(self.recharge), {reader})

	def test_no_other_way_to_mail_is_used_where_it_is_about_payments(self):
		"""Reminders, and mails about personal data, go by Frappe's own way and respect who has unsubscribed."""
		root = pathlib.Path(crm_recharge.__file__).parent
		others = {
			str(path.relative_to(root))
			for path in root.rglob("*.py")
			if "sendmail(" in path.read_text() and "tests" not in path.parts
		}
		self.assertEqual({other.split("/")[0] for other in others}, {"reorder"})
