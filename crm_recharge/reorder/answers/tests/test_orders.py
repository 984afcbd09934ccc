"""An order from a reminder: the customer's prices, taxes and address, once, or not at all."""

from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import add_days, getdate, nowdate

from crm_recharge.credits.errors import IdempotencyConflictError, InvalidRequestError
from crm_recharge.reorder.answers import actions, links, orders
from crm_recharge.reorder.answers.fields import KEY
from crm_recharge.reorder.answers.orders import Line, NotOrderedError, Wish
from crm_recharge.reorder.answers.tests.reminded import (
	RemindedCase,
	make_message,
	make_reminder,
	set_settings,
)
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.reorder_case import add_stock, make_buyer, make_invoice, make_item, set_price


def make_address(customer: str) -> str:
	address = frappe.new_doc("Address")
	address.update(
		{
			"address_title": customer,
			"address_type": "Shipping",
			"address_line1": "7 Harbour Street",
			"city": "Springfield",
			"country": "United States",
			"is_shipping_address": 1,
			"is_primary_address": 1,
		}
	)
	address.append("links", {"link_doctype": "Customer", "link_name": customer})
	return address.insert(ignore_permissions=True).name


def make_coupon(customer: str, item: str, percent: float, valid_upto=None, **rule_values) -> str:
	rule = frappe.new_doc("Pricing Rule")
	rule.update(
		{
			"title": frappe.generate_hash(length=10),
			"apply_on": "Item Code",
			"items": [{"item_code": item}],
			"price_or_product_discount": "Price",
			"selling": 1,
			"applicable_for": "Customer",
			"customer": customer,
			"coupon_code_based": 1,
			"rate_or_discount": "Discount Percentage",
			"discount_percentage": percent,
			"company": frappe.get_all("Company", pluck="name", order_by="creation", limit=1)[0],
			"currency": "USD",
			**rule_values,
		}
	)
	rule.insert(ignore_permissions=True)
	coupon = frappe.new_doc("Coupon Code")
	coupon.update(
		{
			"coupon_name": frappe.generate_hash(length=12),
			"coupon_code": frappe.generate_hash(length=12).upper(),
			"coupon_type": "Promotional",
			"pricing_rule": rule.name,
			"maximum_use": 1,
			"valid_upto": valid_upto,
		}
	)
	return coupon.insert(ignore_permissions=True).name


def documents_of(customer: str) -> list[tuple]:
	quotations = frappe.get_all("Quotation", {"party_name": customer}, pluck="name")
	sales_orders = frappe.get_all("Sales Order", {"customer": customer}, pluck="name")
	return [("Quotation", name) for name in quotations] + [("Sales Order", name) for name in sales_orders]


class TestOrderByLink(RemindedCase):
	def order(self, message, quantities=None, seen=None):
		doctype, name = actions.reorder(links.token(message.name, "reorder"), quantities, seen)
		return frappe.get_doc(doctype, name)

	def test_a_quotation_with_the_customers_prices_taxes_address_and_contact(self):
		message = self.reminded(2)
		address = make_address(message.customer)
		document = self.order(message)
		self.assertEqual(document.doctype, "Quotation")
		self.assertEqual(
			(document.party_name, document.docstatus, document.order_type), (message.customer, 0, "Sales")
		)
		self.assertEqual(document.contact_person, message.contact)
		self.assertEqual(document.shipping_address_name, address)
		self.assertEqual([(row.qty, row.rate) for row in document.items], [(2, 10), (2, 10)])
		self.assertEqual(document.net_total, 40)
		message.reload()
		self.assertEqual((message.order_type, message.order_name), ("Quotation", document.name))
		self.assertEqual(message.last_answer, "Reorder")
		self.assertEqual({row.answer for row in message.items}, {"Reorder"})
		self.assertTrue(message.clicked_at and all(row.clicked_at for row in message.items))
		told = frappe.get_all(
			"Comment", {"reference_doctype": "Quotation", "reference_name": document.name}, pluck="content"
		)
		self.assertTrue(any(message.name in text for text in told), told)
		notes = frappe.get_all(
			"Comment", {"reference_doctype": "Customer", "reference_name": message.customer}, pluck="content"
		)
		self.assertTrue(any(document.name in text for text in notes), notes)

	def test_a_submitted_sales_order_by_its_delivery_date(self):
		set_settings(order_document="Sales Order", submit_order=1, delivery_days=5)
		document = self.order(self.reminded())
		self.assertEqual((document.doctype, document.docstatus), ("Sales Order", 1))
		self.assertEqual(getdate(document.delivery_date), getdate(add_days(nowdate(), 5)))
		self.assertEqual(getdate(document.items[0].delivery_date), getdate(document.delivery_date))

	def test_the_same_link_twice_is_one_order(self):
		message = self.reminded(2)
		first = self.order(message)
		again = self.order(message, {message.items[0].name: Decimal(7)})
		self.assertEqual(again.name, first.name)
		self.assertEqual(len(documents_of(message.customer)), 1)

	def test_the_unique_key_holds_where_the_message_forgot(self):
		message = self.reminded()
		first = self.order(message)
		frappe.db.set_value("Reorder Message", message.name, {"order_type": None, "order_name": None})
		self.assertEqual(self.order(message).name, first.name)
		with self.assertRaises(frappe.UniqueValidationError):
			twin = frappe.copy_doc(first)
			twin.crm_recharge_reorder_key = first.crm_recharge_reorder_key
			twin.insert()
		copy = frappe.copy_doc(first, ignore_no_copy=False)
		self.assertFalse(copy.crm_recharge_reorder_key, "a copy is not the customer's request")

	def test_quantities_are_changed_and_items_left_out(self):
		message = self.reminded(2)
		kept, out = message.items
		document = self.order(message, {kept.name: Decimal(5), out.name: Decimal(0)})
		self.assertEqual([(row.item_code, row.qty) for row in document.items], [(kept.item_code, 5)])
		message.reload()
		self.assertEqual([row.answer or "" for row in message.items], ["Reorder", ""])

	def test_quantities_nobody_means_are_refused(self):
		message = self.reminded()
		row = message.items[0].name
		for quantity, code in (
			(Decimal(0), "nothing_left"),
			(Decimal("1.5"), "not_whole"),
			(Decimal(10_001), "too_many"),
		):
			with self.assertRaises(InvalidRequestError) as caught:
				self.order(message, {row: quantity})
			self.assertEqual(caught.exception.code, code)
		self.assertEqual(documents_of(message.customer), [])

	def test_a_price_that_changed_since_it_was_shown_is_shown_again(self):
		message = self.reminded()
		row = message.items[0]
		shown = actions.show(links.token(message.name, "reorder"), "reorder")["basket"]["rows"][0]["price"]
		price = frappe.get_doc("Item Price", {"item_code": row.item_code})
		price.price_list_rate = 12
		price.save()
		with self.assertRaises(InvalidRequestError) as caught:
			self.order(message, {row.name: Decimal(2)}, {row.name: shown})
		self.assertEqual(caught.exception.code, "price_changed")
		self.assertEqual(documents_of(message.customer), [])
		self.assertEqual(self.order(message, {row.name: Decimal(2)}, {row.name: "12"}).net_total, 24)

	def test_in_the_unit_it_was_last_bought_in(self):
		item = make_item(uoms=[{"uom": "Box", "conversion_factor": 6}])
		customer, contact = make_buyer()
		make_invoice(customer, [{"item_code": item, "qty": 2, "uom": "Box", "conversion_factor": 6}], on=30)
		# A submitted invoice may have been learned from already.
		frappe.db.delete("Reorder Reminder", {"customer": customer})
		make_reminder(customer, item, quantity=12)
		document = self.order(make_message(customer, contact, [{"item_code": item}]))
		row = document.items[0]
		self.assertEqual((row.qty, row.uom, row.stock_qty, row.rate), (2, "Box", 12, 60))

	def test_a_quantity_that_fills_no_box_is_ordered_by_the_piece(self):
		item = make_item(uoms=[{"uom": "Box", "conversion_factor": 6}])
		customer, contact = make_buyer()
		make_invoice(customer, [{"item_code": item, "qty": 2, "uom": "Box", "conversion_factor": 6}], on=30)
		frappe.db.set_value("UOM", "Box", "must_be_whole_number", 1)
		frappe.clear_document_cache("UOM", "Box")
		self.addCleanup(frappe.clear_document_cache, "UOM", "Box")
		lines = orders.usual_lines(customer, {item: Decimal(13)})
		self.assertEqual(lines[item], Line(item, Decimal(13), "Nos"))

	def test_the_coupon_is_taken_off_and_then_used_up(self):
		set_settings(order_document="Sales Order", submit_order=1)
		message = self.reminded(2)
		coupon = make_coupon(message.customer, message.items[0].item_code, 20, add_days(nowdate(), 5))
		message.db_set({"coupon_code": coupon, "offer_ends": add_days(nowdate(), 5)})
		basket = actions.show(links.token(message.name, "reorder"), "reorder")["basket"]
		self.assertEqual([row["price"] for row in basket["rows"]], ["8", "10"])
		self.assertEqual((basket["rows"][0]["was"], basket["rows"][1]["was"]), ("$ 10.00", ""))
		self.assertEqual(basket["total"], "$ 36.00")
		document = self.order(message)
		self.assertEqual((document.coupon_code, document.grand_total), (coupon, 36))
		self.assertEqual(frappe.db.get_value("Coupon Code", coupon, "used"), 1)
		self.assertIsNone(orders.usable_coupon(coupon))

	def test_several_percentages_as_they_are_really_offered(self):
		from crm_recharge.reorder.sending import offer

		set_settings(order_document="Sales Order", submit_order=1)
		message = self.reminded(3)
		for row, percent in zip(message.items, (20, 10, 0), strict=True):
			row.discount_percent = percent
		offer.make(message, self.company, getdate(nowdate()), 7)
		message.save(ignore_permissions=True)
		basket = actions.show(links.token(message.name, "reorder"), "reorder")["basket"]
		self.assertEqual([row["price"] for row in basket["rows"]], ["8", "9", "10"])
		self.assertIn("discount", basket["offer"])
		document = self.order(message)
		self.assertEqual([row.rate for row in document.items], [8, 9, 10])
		self.assertEqual(document.grand_total, 54)
		other = make_buyer()[0]
		stolen = Wish(
			other,
			self.company,
			(Line(message.items[0].item_code, Decimal(1), "Nos"),),
			coupon_code=message.coupon_code,
		)
		frappe.db.set_value("Coupon Code", message.coupon_code, "used", 0)
		self.assertEqual(orders.price(stolen).document.grand_total, 10, "another customer got the price")

	def test_an_offer_that_is_over_is_not_given_and_does_not_stand_in_the_way(self):
		set_settings(order_document="Sales Order", submit_order=1)
		message = self.reminded()
		coupon = make_coupon(message.customer, message.items[0].item_code, 20)
		frappe.db.set_value("Coupon Code", coupon, "valid_upto", add_days(nowdate(), -1))
		message.db_set({"coupon_code": coupon, "offer_ends": add_days(nowdate(), -1)})
		document = self.order(message)
		self.assertEqual((document.coupon_code, document.grand_total), (None, 20))

	def test_free_shipping_by_the_rule_of_the_settings(self):
		account = frappe.get_all(
			"Account", {"company": self.company, "is_group": 0, "root_type": "Expense"}, pluck="name"
		)[0]
		rule = frappe.new_doc("Shipping Rule")
		rule.update(
			{
				"label": frappe.generate_hash(length=8),
				"shipping_rule_type": "Selling",
				"company": self.company,
				"account": account,
				"cost_center": frappe.get_cached_value("Company", self.company, "cost_center"),
				"calculate_based_on": "Fixed",
				"shipping_amount": 0,
			}
		)
		rule.insert()
		set_settings(free_shipping_rule=rule.name)
		message = self.reminded(2)
		message.items[1].db_set("free_shipping", 1)
		message.reload()
		first, second = (row.name for row in message.items)
		wish = actions._wish(message, tuple(actions._lines(message, {first: Decimal(1)}).values())[:1])
		self.assertFalse(wish.free_shipping, "offered for the other item only")
		document = self.order(message, {first: Decimal(1), second: Decimal(1)})
		self.assertEqual((document.shipping_rule, document.grand_total), (rule.name, 20))

	def no_default(self, template: str):
		frappe.db.set_value("Sales Taxes and Charges Template", template, "is_default", 0)
		frappe.db.commit()

	def test_taxes_come_from_the_customers_tax_rule(self):
		account = frappe.get_all(
			"Account", {"company": self.company, "is_group": 0, "root_type": "Liability"}, pluck="name"
		)
		template = frappe.new_doc("Sales Taxes and Charges Template")
		template.update({"title": frappe.generate_hash(length=8), "company": self.company})
		template.append(
			"taxes",
			{"charge_type": "On Net Total", "account_head": account[0], "rate": 5, "description": "GST 5 %"},
		)
		template.insert()
		message = self.reminded()
		rule = {
			"doctype": "Tax Rule",
			"tax_type": "Sales",
			"customer": message.customer,
			"company": self.company,
		}
		frappe.get_doc({**rule, "sales_tax_template": template.name}).insert()
		document = self.order(message)
		self.assertEqual((document.taxes_and_charges, document.grand_total), (template.name, 21))

	def test_taxes_come_from_the_companys_template(self):
		account = frappe.get_all(
			"Account", {"company": self.company, "account_type": "Tax", "is_group": 0}, pluck="name"
		)
		account = account or frappe.get_all(
			"Account", {"company": self.company, "is_group": 0, "root_type": "Liability"}, pluck="name"
		)
		template = frappe.new_doc("Sales Taxes and Charges Template")
		template.update({"title": frappe.generate_hash(length=8), "company": self.company, "is_default": 1})
		template.append(
			"taxes",
			{
				"charge_type": "On Net Total",
				"account_head": account[0],
				"rate": 10,
				"description": "VAT 10 %",
			},
		)
		template.insert()
		self.addCleanup(self.no_default, template.name)
		message = self.reminded()
		basket = actions.show(links.token(message.name, "reorder"), "reorder")["basket"]
		self.assertEqual(
			(basket["charges"], basket["net"], basket["total"]),
			([("VAT 10 %", "$ 2.00")], "$ 20.00", "$ 22.00"),
		)
		document = self.order(message)
		self.assertEqual((document.taxes_and_charges, document.grand_total), (template.name, 22))

	def test_stock_items_services_and_the_customers_own_price_list_and_currency(self):
		lists = frappe.get_doc(
			{
				"doctype": "Price List",
				"price_list_name": frappe.generate_hash(length=8),
				"selling": 1,
				"currency": "EUR",
			}
		)
		lists.insert()
		goods = make_item(is_stock_item=1)
		add_stock(goods, 50)
		service = make_item(price=None)
		for item in (goods, service):
			set_price(item, "7.5", lists.name)
		customer, contact = make_buyer(default_price_list=lists.name, default_currency="EUR")
		for item in (goods, service):
			make_reminder(customer, item)
		rate = {
			"doctype": "Currency Exchange",
			"from_currency": "EUR",
			"to_currency": "USD",
			"date": nowdate(),
		}
		if not frappe.db.exists(rate):
			frappe.get_doc({**rate, "exchange_rate": 1.1}).insert()
		document = self.order(make_message(customer, contact, [{"item_code": goods}, {"item_code": service}]))
		self.assertEqual(
			(document.currency, document.selling_price_list, document.grand_total), ("EUR", lists.name, 30)
		)
		self.assertEqual(document.conversion_rate, 1.1)


class TestNotOrdered(RemindedCase):
	"""Whatever stands in the way: a kind sentence, the reason for the team, and nothing half-made."""

	def setUp(self):
		super().setUp()
		self.person = make_user("Sales User")
		set_settings(fallback_user=self.person, order_document="Sales Order", submit_order=1)

	def refused(self, message, reason: str):
		with self.assertRaises(NotOrderedError) as caught:
			actions.reorder(links.token(message.name, "reorder"))
		self.assertIn("Nothing was ordered", str(caught.exception))
		self.assertNotIn(reason, str(caught.exception), "the customer reads the company's reason")
		self.assertEqual(documents_of(message.customer), [])
		self.assertFalse(frappe.db.get_value("Reorder Message", message.name, "order_name"))
		tasks = frappe.get_all(
			"ToDo",
			{"reference_type": "Customer", "reference_name": message.customer, "allocated_to": self.person},
			["description", "status"],
		)
		self.assertEqual(len(tasks), 1, tasks)
		self.assertIn(reason, tasks[0].description)

	def test_a_frozen_customer(self):
		message = self.reminded()
		frappe.db.set_value("Customer", message.customer, "is_frozen", 1)
		self.refused(message, "frozen")
		with self.assertRaises(NotOrderedError):
			actions.reorder(links.token(message.name, "reorder"))
		self.assertEqual(
			frappe.db.count("ToDo", {"reference_name": message.customer}), 1, "asked twice, told once"
		)
		self.assertIn("problem", actions.show(links.token(message.name, "reorder"), "reorder"))

	def test_a_credit_limit(self):
		message = self.reminded()
		customer = frappe.get_doc("Customer", message.customer)
		customer.append("credit_limits", {"company": self.company, "credit_limit": 5})
		customer.save()
		self.refused(message, "Credit limit")

	def test_an_item_without_a_price(self):
		message = self.reminded([make_item(price=None)])
		shown = actions.show(links.token(message.name, "reorder"), "reorder")["basket"]
		self.assertFalse(shown["orderable"])
		self.assertIn("no price", shown["rows"][0]["left_out"])
		self.refused(message, "no price for it")

	def test_one_disabled_item_leaves_the_other(self):
		message = self.reminded(2)
		off, on = message.items
		frappe.db.set_value("Item", off.item_code, "disabled", 1)
		basket = actions.show(links.token(message.name, "reorder"), "reorder")["basket"]
		self.assertTrue(basket["orderable"])
		self.assertEqual(basket["rows"][0]["left_out"], "Not sold any more.")
		self.assertEqual(basket["total"], "$ 20.00")
		doctype, name = actions.reorder(
			links.token(message.name, "reorder"), {off.name: Decimal(0), on.name: Decimal(2)}
		)
		self.assertEqual([row.item_code for row in frappe.get_doc(doctype, name).items], [on.item_code])

	def test_what_an_app_refuses_and_a_bug(self):
		for error in (frappe.ValidationError("the warehouse is closed"), KeyError("the warehouse is closed")):
			message = self.reminded()
			with patch(
				"erpnext.selling.doctype.sales_order.sales_order.SalesOrder.on_submit", side_effect=error
			):
				self.refused(message, "the warehouse is closed")

	def test_without_anybody_to_tell_it_is_in_the_error_log(self):
		set_settings(fallback_user=None)
		message = self.reminded()
		frappe.db.set_value("Customer", message.customer, "is_frozen", 1)
		with self.assertRaises(NotOrderedError):
			actions.reorder(links.token(message.name, "reorder"))
		logs = frappe.get_all("Error Log", {"method": ["like", f"%{message.customer}%"]}, pluck="error")
		self.assertEqual(len(logs), 1)
		self.assertIn("frozen", logs[0])


class TestRequests(RemindedCase):
	def test_the_key_and_its_content(self):
		message = self.reminded()
		item = message.items[0].item_code
		wish = Wish(message.customer, self.company, (Line(item, Decimal(1), "Nos"),))
		key = orders.request_key("test", frappe.generate_hash())
		first = orders.place(wish, key, orders.content_of(wish.lines))
		self.assertFalse(first.repeated)
		again = orders.place(wish, key, orders.content_of(wish.lines))
		self.assertEqual((again.name, again.repeated), (first.name, True))
		with self.assertRaises(IdempotencyConflictError):
			orders.place(wish, key, orders.content_of((Line(item, Decimal(2), "Nos"),)))
		self.assertEqual(len(documents_of(message.customer)), 1)

	def test_a_request_is_known_again_though_somebody_deleted_the_field(self):
		message = self.reminded()
		wish = Wish(message.customer, self.company, (Line(message.items[0].item_code, Decimal(1), "Nos"),))
		key, content = orders.request_key("test", frappe.generate_hash()), orders.content_of(wish.lines)
		field = frappe.db.get_value("Custom Field", {"dt": orders.QUOTATION, "fieldname": KEY})
		self.addCleanup(frappe.clear_cache, doctype=orders.QUOTATION)
		frappe.delete_doc("Custom Field", field)
		frappe.clear_cache(doctype=orders.QUOTATION)
		first = orders.place(wish, key, content)
		self.assertEqual(
			orders.place(wish, key, content), orders.Placed(orders.QUOTATION, first.name, repeated=True)
		)
		frappe.db.rollback()

	def test_the_session_is_as_before(self):
		message = self.reminded()
		frappe.set_user("Guest")
		self.addCleanup(frappe.set_user, "Administrator")
		form = frappe.local.form_dict
		doctype, name = actions.reorder(links.token(message.name, "reorder"))
		self.assertEqual(frappe.session.user, "Guest")
		self.assertIs(frappe.local.form_dict, form)
		self.assertEqual(frappe.db.get_value(doctype, name, "owner"), "Administrator")

	def test_a_deleted_or_cancelled_order_is_not_made_again(self):
		set_settings(order_document="Sales Order", submit_order=1)
		message = self.reminded()
		token = links.token(message.name, "reorder")
		doctype, name = actions.reorder(token)
		frappe.get_doc(doctype, name).cancel()
		self.assertEqual(actions.reorder(token), (doctype, name))
		self.assertTrue(actions.show(token, "reorder")["ordered"]["cancelled"])
		frappe.delete_doc(doctype, name)
		self.assertTrue(actions.show(token, "reorder")["ordered"]["gone"])
		self.assertEqual(actions.reorder(token), (doctype, name))
		self.assertEqual(documents_of(message.customer), [])
