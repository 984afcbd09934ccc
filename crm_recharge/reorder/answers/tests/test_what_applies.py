"""That there is a price, a coupon, a rule or an account does not mean that it applies here, today, to this customer."""

from decimal import Decimal

import frappe
from frappe.utils import add_days, nowdate

from crm_recharge.reorder import desk
from crm_recharge.reorder.answers import actions, links, offers, orders, payment
from crm_recharge.reorder.answers.orders import Line, NotOrderedError, Wish
from crm_recharge.reorder.answers.tests.reminded import RemindedCase, set_settings
from crm_recharge.reorder.answers.tests.test_orders import documents_of, make_address, make_coupon
from crm_recharge.reorder.answers.tests.test_outcome import make_program
from crm_recharge.tests.support.reorder_case import day, make_buyer, make_invoice, make_item, set_price


def make_price(item: str, rate=8, **values) -> str:
	"""An Item Price with whatever restricts it."""
	row = frappe.get_doc(
		{
			"doctype": "Item Price",
			"item_code": item,
			"price_list": "Standard Selling",
			"price_list_rate": rate,
			"uom": "Nos",
			**values,
		}
	)
	row.flags.ignore_links = True
	return row.insert(ignore_permissions=True).name


def make_price_list(**values) -> str:
	name = frappe.generate_hash(length=8)
	return (
		frappe.get_doc(
			{"doctype": "Price List", "price_list_name": name, "selling": 1, "currency": "USD", **values}
		)
		.insert()
		.name
	)


class TestPrices(RemindedCase):
	def setUp(self):
		super().setUp()
		set_settings(order_document="Sales Order", submit_order=1)
		self.customer, self.contact = make_buyer()

	def rate(self, item: str, quantity=1, uom: str | None = None):
		"""What one costs; None: it has no price, and cannot be ordered on any way."""
		wish = Wish(self.customer, self.company, (Line(item, Decimal(quantity), uom),))
		priced = orders.price(wish)
		if priced.left_out:
			self.assertEqual(priced.left_out, {item: "We have no price for it at the moment."})
			with self.assertRaises(NotOrderedError) as caught:
				orders.place(wish, frappe.generate_hash(length=20), orders.content_of(wish.lines))
			self.assertIn("no price for it", caught.exception.reason)
			self.assertEqual(documents_of(self.customer), [])
			return None
		return priced.document.items[0].rate

	def test_a_price_that_does_not_apply_is_none(self):
		other = make_buyer()[0]
		for what in (
			{"valid_from": "2020-01-01", "valid_upto": day(5)},
			{"valid_from": day(-1)},
			{"customer": other},
			{"batch_no": "B-1"},
			{"uom": "Box"},
			{"customer": self.customer, "packing_unit": 6},
			{"price_list": make_price_list()},
			{"price_list": "Standard Buying"},
		):
			for rate in (8, 0):
				item = make_item(None, uoms=[{"uom": "Box", "conversion_factor": 6}])
				make_price(item, rate, **what)
				self.assertIsNone(self.rate(item), (what, rate))
				if "uom" in what:
					self.assertEqual(self.rate(item, uom="Box"), rate)

	def test_free_is_what_costs_nothing_to_this_customer_today(self):
		for what in (
			{},
			{"customer": self.customer},
			{"valid_from": day(5), "valid_upto": day(-5)},
			{"uom": "Nos"},
		):
			item = make_item(None)
			make_price(item, 0, **what)
			self.assertEqual(self.rate(item), 0, what)
		ended = make_item(None)
		make_price(ended, 0, valid_from="2020-01-01", valid_upto=day(5))
		make_price(ended, 4, valid_from=day(4))
		self.assertEqual(self.rate(ended), 4)

	def test_of_a_variant_the_price_of_its_template_counts(self):
		template, item = make_item(None), make_item(None)
		frappe.db.set_value("Item", item, "variant_of", template)
		frappe.clear_document_cache("Item", item)
		self.assertIsNone(self.rate(item))
		price = make_price(template, 0)
		self.assertEqual(self.rate(item), 0)
		frappe.db.set_value("Item Price", price, "valid_upto", day(1))
		self.assertIsNone(self.rate(item))

	def test_a_discount_on_no_price_is_no_price_and_a_rule_that_names_one_is(self):
		for rule, rate in (
			({"rate_or_discount": "Discount Percentage", "discount_percentage": 10}, None),
			({"rate": 0}, 0),
			({"rate": 5}, 5),
			({"rate": 5, "currency": "EUR"}, None),
			({"rate": 0, "currency": "EUR"}, None),
			({"rate": 5, "min_qty": 10}, None),
			({"rate": 5, "for_price_list": make_price_list()}, None),
			({"price_or_product_discount": "Product", "same_item": 1, "free_qty": 1}, None),
		):
			item = make_item(None)
			document = frappe.get_doc(
				{
					"doctype": "Pricing Rule",
					"title": item,
					"apply_on": "Item Code",
					"items": [{"item_code": item}],
					"price_or_product_discount": "Price",
					"rate_or_discount": "Rate",
					"selling": 1,
					"company": self.company,
					"currency": "USD",
					**rule,
				}
			).insert()
			self.assertEqual(self.rate(item), rate, rule)
			document.disable = 1
			document.save()
			self.assertIsNone(self.rate(item), rule)

	def test_the_price_list_is_the_first_that_is_for_selling(self):
		off, buying, good = make_price_list(), make_price_list(), make_price_list()
		item = make_item("10")
		for name, rate in ((off, 1), (buying, 2), (good, 3)):
			set_price(item, rate, name)
		frappe.db.set_value("Price List", off, "enabled", 0)
		frappe.db.set_value("Price List", buying, {"selling": 0, "buying": 1})
		group = frappe.get_doc(
			{"doctype": "Customer Group", "customer_group_name": off, "default_price_list": good}
		).insert()
		for own, of_group, rate in (
			(good, None, 3),
			(off, None, 10),
			(buying, None, 10),
			(off, group.name, 3),
			(None, group.name, 3),
		):
			values = {"default_price_list": own, "customer_group": of_group or "Commercial"}
			frappe.db.set_value("Customer", self.customer, values)
			frappe.clear_document_cache("Customer", self.customer)
			self.assertEqual(self.rate(item), rate, values)

	def test_page_account_and_desk_say_the_same(self):
		item = make_item(None)
		make_price(item, 8, valid_from="2020-01-01", valid_upto=day(5))
		message = self.reminded([item])
		reminder = message.items[0].reminder
		basket = actions.show(links.token(message.name, "reorder"), "reorder")["basket"]
		self.assertEqual(
			(basket["orderable"], basket["total"], basket["rows"][0]["left_out"]),
			(False, None, "We have no price for it at the moment."),
		)
		for ask in (
			lambda: actions.reorder(links.token(message.name, "reorder")),
			lambda: desk.order_now(reminder, "1", "key"),
		):
			with self.assertRaises(NotOrderedError):
				ask()
		self.assertEqual(documents_of(message.customer), [])


class TestCoupons(RemindedCase):
	def setUp(self):
		super().setUp()
		self.item = make_item()
		self.customer = make_buyer()[0]
		self.coupon = make_coupon(self.customer, self.item, 20)
		self.rule = frappe.db.get_value("Coupon Code", self.coupon, "pricing_rule")

	def usable(self, customer=None, company=None):
		return offers.usable_coupon(self.coupon, customer or self.customer, company or self.company)

	def test_only_where_it_would_take_something_off(self):
		self.assertEqual(self.usable(), self.coupon)
		self.assertIsNone(self.usable(customer=make_buyer()[0]))
		self.assertIsNone(self.usable(company="Another Company"))
		for doctype, name, values in (
			("Coupon Code", self.coupon, {"valid_from": day(-1)}),
			("Coupon Code", self.coupon, {"valid_upto": day(1)}),
			("Coupon Code", self.coupon, {"used": 1}),
			("Coupon Code", self.coupon, {"customer": make_buyer()[0]}),
			("Pricing Rule", self.rule, {"disable": 1}),
			("Pricing Rule", self.rule, {"selling": 0}),
			("Pricing Rule", self.rule, {"valid_from": day(-1)}),
			("Pricing Rule", self.rule, {"valid_upto": day(1)}),
			("Pricing Rule", self.rule, {"company": "Another Company"}),
		):
			before = frappe.db.get_value(doctype, name, list(values), as_dict=True)
			frappe.db.set_value(doctype, name, values)
			self.assertIsNone(self.usable(), values)
			frappe.db.set_value(doctype, name, dict(before))
			self.assertEqual(self.usable(), self.coupon, values)

	def test_a_quotation_holds_it_as_long_as_it_holds_itself(self):
		lines = (Line(self.item, Decimal(1), "Nos"),)
		wish = Wish(self.customer, self.company, lines, coupon_code=self.coupon)
		placed = orders.place(wish, frappe.generate_hash(length=20), orders.content_of(lines))
		self.assertEqual(placed.doctype, "Quotation")
		self.assertIsNone(self.usable())
		for values in ({"status": "Lost"}, {"valid_till": day(1)}):
			before = frappe.db.get_value("Quotation", placed.name, list(values), as_dict=True)
			frappe.db.set_value("Quotation", placed.name, values)
			self.assertEqual(self.usable(), self.coupon, values)
			frappe.db.set_value("Quotation", placed.name, dict(before))

	def test_the_page_tells_of_the_coupon_not_of_a_discount_of_the_shops(self):
		message = self.reminded([self.item, make_item()])
		coupon = make_coupon(message.customer, self.item, 20)
		message.db_set({"coupon_code": coupon, "offer_ends": add_days(nowdate(), 5)})

		def said():
			return actions.show(links.token(message.name, "reorder"), "reorder")["basket"]["offer"] or ""

		self.assertIn("Your discount has been applied.", said())
		# The coupon's rule does not hold any more; another one takes something off all the same.
		rule = frappe.db.get_value("Coupon Code", coupon, "pricing_rule")
		frappe.db.set_value("Pricing Rule", rule, "company", None)
		frappe.db.set_value("Pricing Rule", rule, "applicable_for", "")
		make_shop_rule(self, message.items[1].item_code)
		frappe.db.set_value("Pricing Rule", rule, "min_qty", 500)
		self.assertEqual(said(), "")

	def test_an_offer_of_another_company_is_none_here(self):
		message = self.reminded([self.item])
		coupon = make_coupon(message.customer, self.item, 20, company=self.company)
		message.db_set({"coupon_code": coupon, "offer_ends": add_days(nowdate(), 5)})
		items = [self.item]
		self.assertEqual(offers.open_offer(message.customer, items, self.company)["coupon_code"], coupon)
		self.assertIsNone(offers.open_offer(message.customer, items, "Another Company")["coupon_code"])
		message.db_set("offer_cleared", 1)
		self.assertEqual(offers.open_offer(message.customer, items, self.company), {})

	def test_an_offer_whose_order_was_called_off_holds_again(self):
		set_settings(order_document="Sales Order", submit_order=1)
		message = self.reminded([self.item])
		coupon = make_coupon(message.customer, self.item, 20)
		message.db_set({"coupon_code": coupon, "offer_ends": add_days(nowdate(), 5)})
		placed = actions._order(links.token(message.name, "reorder"), None, None)
		self.assertEqual(offers.open_offer(message.customer, [self.item], self.company), {})
		frappe.get_doc(placed.doctype, placed.name).cancel()
		found = offers.open_offer(message.customer, [self.item], self.company)
		self.assertEqual(found["coupon_code"], coupon)

	def test_the_desk_gives_what_the_pages_give(self):
		set_settings(order_document="Sales Order", submit_order=0)
		message = self.reminded([self.item])
		coupon = make_coupon(message.customer, self.item, 20)
		message.db_set({"coupon_code": coupon, "offer_ends": add_days(nowdate(), 5)})
		placed = desk.order_now(message.items[0].reminder, "1", "key")
		order = frappe.get_doc(placed["order_type"], placed["order"])
		self.assertEqual((order.coupon_code, order.net_total), (coupon, 8))


def make_shop_rule(case, item: str) -> str:
	return (
		frappe.get_doc(
			{
				"doctype": "Pricing Rule",
				"title": f"Shop {item}",
				"apply_on": "Item Code",
				"items": [{"item_code": item}],
				"price_or_product_discount": "Price",
				"rate_or_discount": "Discount Percentage",
				"discount_percentage": 10,
				"selling": 1,
				"company": case.company,
				"currency": "USD",
			}
		)
		.insert()
		.name
	)


class TestShipping(RemindedCase):
	def setUp(self):
		super().setUp()
		account = frappe.get_all(
			"Account", {"company": self.company, "is_group": 0, "root_type": "Expense"}, pluck="name"
		)[0]
		self.rule = frappe.get_doc(
			{
				"doctype": "Shipping Rule",
				"label": frappe.generate_hash(length=8),
				"shipping_rule_type": "Selling",
				"company": self.company,
				"account": account,
				"cost_center": frappe.get_cached_value("Company", self.company, "cost_center"),
				"calculate_based_on": "Fixed",
				"shipping_amount": 0,
			}
		).insert()
		set_settings(free_shipping_rule=self.rule.name)
		self.message = self.reminded()
		self.message.items[0].db_set("free_shipping", 1)
		self.message.db_set("offer_ends", add_days(nowdate(), 5))

	def applied(self) -> tuple:
		"""The rule on the order, and what the page says of it; the mail promises the same."""
		token = links.token(self.message.name, "reorder")
		said = actions.show(token, "reorder")["basket"]["offer"]
		message = frappe.get_doc("Reorder Message", self.message.name)
		wish = actions._wish(message, tuple(actions._lines(message, None).values()))
		rule = orders.price(wish).document.shipping_rule
		self.assertEqual(offers.ships_free_to(message.customer, self.company), bool(rule))
		return rule, "Free shipping" in (said or "")

	def test_a_rule_that_does_not_apply_promises_nothing_and_stands_in_no_way(self):
		self.assertEqual(self.applied(), (self.rule.name, True))
		for values in ({"disabled": 1}, {"shipping_rule_type": "Buying"}, {"company": "Another Company"}):
			before = {key: self.rule.get(key) for key in values}
			frappe.db.set_value("Shipping Rule", self.rule.name, values)
			self.assertEqual(self.applied(), (None, False), values)
			frappe.db.set_value("Shipping Rule", self.rule.name, before)

	def test_only_to_its_own_countries(self):
		make_address(self.message.customer)
		self.rule.append("countries", {"country": "France"})
		self.rule.save()
		self.assertEqual(self.applied(), (None, False))
		self.rule.append("countries", {"country": "United States"})
		self.rule.save()
		self.assertEqual(self.applied(), (self.rule.name, True))


class TestPoints(RemindedCase):
	def test_only_of_a_programme_that_is_for_this_customer_today_at_this_company(self):
		group = frappe.db.get_value("Customer Group", {"is_group": 0, "name": ["!=", "Commercial"]})
		self.assertTrue(group)
		for values, counts in (
			({}, True),
			({"from_date": day(-1)}, False),
			({"to_date": day(1)}, False),
			({"customer_group": "All Customer Groups"}, True),
			({"customer_group": group}, False),
			({"customer_territory": "All Territories"}, True),
		):
			program = make_program(self.company)
			frappe.db.set_value("Loyalty Program", program, values)
			customer = make_buyer(customer_group="Commercial")[0]
			frappe.db.set_value("Customer", customer, "loyalty_program", program)
			self.assertEqual(offers.program_of(customer, self.company) is not None, counts, values)
		self.assertIsNone(offers.program_of(customer, "Another Company"))
		frappe.db.set_value("Customer", customer, "loyalty_program", None)
		self.assertIsNone(offers.program_of(customer, self.company))


class TestPaymentAccounts(RemindedCase):
	def account(self, currency: str, gateway: str) -> str:
		parent = frappe.get_all(
			"Account", {"company": self.company, "root_type": "Asset", "is_group": 1}, pluck="name"
		)[0]
		books = frappe.get_doc(
			{
				"doctype": "Account",
				"account_name": frappe.generate_hash(length=8),
				"company": self.company,
				"parent_account": parent,
				"account_type": "Bank",
				"account_currency": currency,
			}
		).insert()
		row = frappe.get_doc(
			{
				"doctype": "Payment Gateway Account",
				"payment_gateway": gateway,
				"payment_account": books.name,
				"currency": currency,
				"company": self.company,
			}
		)
		row.flags.ignore_links = True
		return row.insert(ignore_permissions=True).name

	def test_the_account_that_takes_the_orders_currency(self):
		gateway = frappe.generate_hash(length=8)
		dollars = self.account("USD", gateway)
		self.assertEqual(payment.account_for(dollars, "USD", self.company), dollars)
		with self.assertRaisesRegex(frappe.ValidationError, "takes EUR"):
			payment.account_for(dollars, "EUR", self.company)
		self.account("EUR", frappe.generate_hash(length=8))
		with self.assertRaisesRegex(frappe.ValidationError, "takes EUR"):
			payment.account_for(dollars, "EUR", self.company)
		euros = self.account("EUR", gateway)
		self.assertEqual(payment.account_for(dollars, "EUR", self.company), euros)
		with self.assertRaisesRegex(frappe.ValidationError, "Another Company"):
			payment.account_for(dollars, "USD", "Another Company")


class TestUnits(RemindedCase):
	def test_a_unit_that_is_switched_off_is_used_no_more(self):
		unit = frappe.get_doc({"doctype": "UOM", "uom_name": frappe.generate_hash(length=8)}).insert().name
		item = make_item(uoms=[{"uom": unit, "conversion_factor": 6}])
		customer = make_buyer()[0]
		make_invoice(customer, [{"item_code": item, "qty": 2, "uom": unit, "conversion_factor": 6}], on=30)
		self.assertEqual(
			orders.usual_lines(customer, {item: Decimal(12)})[item], Line(item, Decimal(2), unit)
		)
		frappe.db.set_value("UOM", unit, "enabled", 0)
		frappe.clear_document_cache("UOM", unit)
		self.assertEqual(
			orders.usual_lines(customer, {item: Decimal(12)})[item], Line(item, Decimal(12), "Nos")
		)


class TestCompany(RemindedCase):
	def test_who_bought_by_delivery_or_at_a_till_last_is_served_by_that_company(self):
		set_settings(company=None)
		for doctype in ("Sales Invoice", "POS Invoice", "Delivery Note"):
			customer, item = make_buyer()[0], make_item()
			make_invoice(customer, [item], on=9)
			name = make_invoice(customer, [item], on=2, doctype=doctype).name
			frappe.db.set_value(doctype, name, "company", "Another Company")
			self.assertEqual(orders.company_for(customer), "Another Company", doctype)
			frappe.db.set_value(doctype, name, "posting_date", day(20))
			self.assertEqual(orders.company_for(customer), self.company, doctype)
