"""Asking for payment: ERPNext's Payment Request where it can be made, a trace where not, the order either way.

The gateways belong to another app. What stands in for one here is what ERPNext calls of it: `get_payment_url`.
"""

from contextlib import contextmanager
from unittest.mock import MagicMock, patch

import frappe

from crm_recharge.reorder.answers import actions, links, payment
from crm_recharge.reorder.answers.tests.reminded import RemindedCase, set_settings

MODULE = "erpnext.accounts.doctype.payment_request.payment_request"
ADDRESS = "https://pay.example/session"


class TestPayment(RemindedCase):
	def setUp(self):
		super().setUp()
		self.account = self.gateway_account()
		set_settings(
			order_document="Sales Order",
			submit_order=1,
			ask_for_payment=1,
			payment_gateway_account=self.account,
		)

	def gateway_account(self) -> str:
		bank = frappe.get_all(
			"Account",
			{"company": self.company, "account_type": ["in", ["Bank", "Cash"]], "is_group": 0},
			pluck="name",
		)[0]
		found = frappe.db.get_value("Payment Gateway Account", {"payment_gateway": "Test Gateway"})
		if found:
			return found
		account = frappe.new_doc("Payment Gateway Account")
		account.update(
			{
				"payment_gateway": "Test Gateway",
				"payment_account": bank,
				"currency": "USD",
				"company": self.company,
			}
		)
		# The gateway itself is a record of the app that brings gateways.
		account.flags.ignore_links = True
		return account.insert(ignore_permissions=True).name

	@contextmanager
	def gateway(self, **behaviour):
		controller = MagicMock()
		controller.get_payment_url.configure_mock(**{"return_value": ADDRESS, **behaviour})
		with (
			patch(f"{MODULE}._get_payment_gateway_controller", return_value=controller),
			patch("frappe.model.document.Document._validate_links"),
		):
			yield controller

	def order(self, message):
		return actions.reorder(links.token(message.name, "reorder"))

	def requests(self, name: str):
		return frappe.get_all(
			"Payment Request",
			{"reference_doctype": "Sales Order", "reference_name": name},
			["name", "docstatus", "status", "grand_total", "payment_url", "payment_account"],
		)

	def test_the_thank_you_page_leads_to_the_payment(self):
		message = self.reminded()
		with self.gateway() as gateway:
			_doctype, name = self.order(message)
			shown = actions.show(links.token(message.name, "reorder"), "reorder")["ordered"]
			self.assertEqual(shown["pay"], ADDRESS)
			(request,) = self.requests(name)
			self.assertEqual((request.docstatus, request.grand_total, request.payment_url), (1, 20, ADDRESS))
			asked = gateway.get_payment_url.call_args.kwargs
			self.assertEqual(
				(asked["amount"], asked["currency"], asked["reference_docname"]), (20, "USD", request.name)
			)
			# The link once more asks for no second payment.
			self.assertEqual(self.order(message)[1], name)
			self.assertEqual(len(self.requests(name)), 1)
			self.assertEqual(gateway.get_payment_url.call_count, 1)
		self.assertEqual(
			frappe.db.count("Email Queue", {"reference_name": request.name}), 0, "mailed as well"
		)

	def test_paid_or_cancelled_there_is_nothing_to_pay(self):
		message = self.reminded()
		with self.gateway():
			_doctype, name = self.order(message)
		(request,) = self.requests(name)
		frappe.db.set_value("Payment Request", request.name, "status", "Paid")
		self.assertIsNone(actions.show(links.token(message.name, "reorder"), "reorder")["ordered"]["pay"])

	def test_a_gateway_that_does_not_answer_leaves_the_order_and_a_trace(self):
		message = self.reminded()
		with self.gateway(side_effect=ConnectionError("the gateway is away")):
			_doctype, name = self.order(message)
		self.assertEqual(frappe.db.get_value("Sales Order", name, "docstatus"), 1)
		shown = actions.show(links.token(message.name, "reorder"), "reorder")["ordered"]
		self.assertEqual((shown["name"], shown["pay"]), (name, None))
		self.assertTrue(
			frappe.get_all(
				"Error Log", {"method": payment.TITLE, "error": ["like", f"%{name}%gateway is away%"]}
			)
		)
		notes = frappe.get_all("Comment", {"reference_name": name}, pluck="content")
		self.assertTrue(any("the gateway is away" in text for text in notes))
		# The next tap tries again, with the same request.
		with self.gateway():
			self.order(message)
		(request,) = self.requests(name)
		self.assertEqual(request.payment_url, ADDRESS)

	def test_where_erpnext_cannot_ask(self):
		for settings, reason in (
			({"order_document": "Quotation"}, "submitted Sales Orders"),
			({"submit_order": 0}, "submitted Sales Orders"),
			({"payment_gateway_account": None}, "Payment Gateway Account"),
		):
			set_settings(
				**{
					"order_document": "Sales Order",
					"submit_order": 1,
					"payment_gateway_account": self.account,
					**settings,
				}
			)
			message = self.reminded()
			doctype, name = self.order(message)
			self.assertTrue(frappe.db.exists(doctype, name))
			self.assertEqual(self.requests(name), [])
			self.assertTrue(
				frappe.get_all(
					"Error Log", {"method": payment.TITLE, "error": ["like", f"%{name}%{reason}%"]}
				),
				reason,
			)

	def test_not_asked_for(self):
		set_settings(ask_for_payment=0)
		message = self.reminded()
		with self.gateway() as gateway:
			_doctype, name = self.order(message)
		self.assertEqual(self.requests(name), [])
		self.assertFalse(gateway.get_payment_url.called)
