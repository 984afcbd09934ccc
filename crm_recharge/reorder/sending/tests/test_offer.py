"""The offer of a mail: for that customer and those items, once, until it ends; proved on ERPNext's documents."""

import unittest
from decimal import Decimal
from unittest.mock import patch

import frappe
from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice
from frappe.utils import add_days, getdate, nowdate

from crm_recharge.credits.money import exact
from crm_recharge.reorder.sending import offer
from crm_recharge.reorder.sending.tests.sending_case import SendingCase, html_of
from crm_recharge.tests.compat import MAJOR
from crm_recharge.tests.factories import make_customer
from crm_recharge.tests.support.reorder_case import (
	POS,
	day,
	first_company,
	make_invoice,
	make_item,
	make_return,
)


class OfferCase(SendingCase):
	def mailed_offer(self, *shares, **values):
		"""A customer, the message, and an item for each percentage."""
		items = [make_item(price="100") for _share in shares]
		for item, share in zip(items, shares, strict=True):
			self.rule(applies_to="Item", item_code=item, discount_percent=share, offer_days=14, **values)
		customer = self.buyer(*items)
		self.remind(customer)
		return customer, self.messages(customer)[0], items

	def order(
		self, doctype: str, customer: str, items: list, coupon: str | None = None, submit: bool = False
	):
		document = frappe.new_doc(doctype)
		document.update(
			{
				"company": first_company(),
				"transaction_date": nowdate(),
				"delivery_date": add_days(nowdate(), 3),
				"selling_price_list": "Standard Selling",
				"coupon_code": coupon,
				"order_type": "Sales",
			}
		)
		if doctype == "Quotation":
			document.update({"quotation_to": "Customer", "party_name": customer, "valid_till": day(-9)})
		else:
			document.customer = customer
		for item in items:
			document.append("items", {"item_code": item, "qty": 1, "delivery_date": add_days(nowdate(), 3)})
		document.insert()
		if submit:
			document.submit()
		return document

	def rates(self, document) -> list:
		return [exact(row.rate) for row in document.items]


class TestOffer(OfferCase):
	def test_no_offer_makes_nothing(self):
		before = frappe.db.count("Pricing Rule"), frappe.db.count("Coupon Code")
		customer = self.buyer()
		self.remind(customer)
		message = self.messages(customer)[0]
		self.assertFalse(message.coupon_code or message.pricing_rules or message.offer_ends)
		self.assertEqual((frappe.db.count("Pricing Rule"), frappe.db.count("Coupon Code")), before)

	def test_it_is_in_the_mail(self):
		customer, message, _items = self.mailed_offer(10)
		self.assertEqual(message.offer_ends, getdate(add_days(nowdate(), 14)))
		body = html_of(self.mail(customer))
		self.assertIn(message.coupon_code, body)
		self.assertIn("10 % off", body)

	def shipping_rule(self) -> str:
		account = frappe.get_all(
			"Account", {"company": first_company(), "is_group": 0, "root_type": "Expense"}, pluck="name"
		)[0]
		rule = frappe.get_doc(
			{
				"doctype": "Shipping Rule",
				"label": frappe.generate_hash(length=8),
				"shipping_rule_type": "Selling",
				"company": first_company(),
				"account": account,
				"cost_center": frappe.get_cached_value("Company", first_company(), "cost_center"),
				"calculate_based_on": "Fixed",
			}
		).insert()
		frappe.db.commit()
		return rule.name

	def test_free_shipping_that_nothing_gives_is_not_promised(self):
		rule = self.shipping_rule()
		frappe.db.set_value("Shipping Rule", rule, "disabled", 1)
		frappe.db.commit()
		for settings in (None, rule):
			self.settings(free_shipping_rule=settings)
			self.rule(free_shipping=1, offer_days=5) if not settings else None
			customer = self.buyer()
			self.remind(customer)
			message = self.messages(customer)[0]
			self.assertEqual((message.offer_ends, message.items[0].free_shipping), (None, 0))
			self.assertNotIn("free shipping", html_of(self.mail(customer)))

	def test_free_shipping_alone_needs_no_coupon(self):
		self.settings(free_shipping_rule=self.shipping_rule(), company=first_company())
		self.rule(free_shipping=1, offer_days=5)
		customer = self.buyer()
		self.remind(customer)
		message = self.messages(customer)[0]
		self.assertEqual((message.coupon_code, message.offer_ends), (None, getdate(add_days(nowdate(), 5))))
		self.assertEqual(message.items[0].free_shipping, 1)
		self.assertIn("free shipping", html_of(self.mail(customer)))

	def test_each_item_falls_by_its_own_percentage_on_every_document(self):
		customer, message, items = self.mailed_offer(10, 25, 25)
		for doctype in ("Quotation", "Sales Order"):
			order = self.order(doctype, customer, items, message.coupon_code)
			self.assertEqual(self.rates(order), [Decimal(90), Decimal(75), Decimal(75)], doctype)

	def test_it_holds_at_the_till(self):
		customer, message, items = self.mailed_offer(10, 25)
		rows = [{"item_code": item, "rate": 0} for item in items]
		invoice = make_invoice(
			customer,
			rows,
			doctype=POS,
			submit=False,
			coupon_code=message.coupon_code,
			payments=[{"mode_of_payment": "Cash", "amount": 165}],
		)
		self.assertEqual(self.rates(invoice), [Decimal(90), Decimal(75)])
		invoice.submit()
		self.assertEqual(self.used(message), 1)
		back = make_return(invoice)
		self.assertEqual((self.rates(back), self.used(message)), ([Decimal(90), Decimal(75)], 1))

	def used(self, message) -> int:
		return frappe.db.get_value("Coupon Code", message.coupon_code, "used")

	def test_a_tills_closing_sums_up_what_it_sold(self):
		from erpnext.accounts.doctype.pos_invoice_merge_log.pos_invoice_merge_log import (
			consolidate_pos_invoices,
		)

		customer, message, items = self.mailed_offer(10)
		rows = [{"item_code": items[0], "rate": 0}]
		paid = [{"mode_of_payment": "Cash", "amount": 90}]
		sold = make_invoice(customer, rows, doctype=POS, coupon_code=message.coupon_code, payments=paid)
		consolidate_pos_invoices(pos_invoices=[frappe._dict(sold.as_dict(), pos_invoice=sold.name)])
		sold.reload()
		summed_up = frappe.get_doc("Sales Invoice", sold.consolidated_invoice)
		self.assertEqual((summed_up.docstatus, self.rates(summed_up)), (1, [Decimal(90)]))
		self.assertEqual(self.used(message), 1)

	def test_an_order_is_invoiced_in_parts_and_returned_and_uses_it_once(self):
		customer, message, items = self.mailed_offer(10, 25)
		order = self.order("Sales Order", customer, items, message.coupon_code, submit=True)
		for item, rate in zip(items, (90, 75), strict=True):
			invoice = make_sales_invoice(order.name)
			invoice.items = [row for row in invoice.items if row.item_code == item]
			invoice.insert().submit()
			self.assertEqual((self.rates(invoice), self.used(message)), ([Decimal(rate)], 1))
		back = make_return(invoice)
		self.assertEqual((self.rates(back), self.used(message)), ([Decimal(75)], 1))
		for document in (back, invoice):
			document.reload()
			document.cancel()
			self.assertEqual(self.used(message), 1)

	@unittest.skipUnless(MAJOR >= 16, "ERPNext 15 has no coupon on a Sales Invoice")
	def test_an_invoice_without_an_order_uses_it_once_and_is_the_customers_own(self):
		customer, message, items = self.mailed_offer(10)
		rows = [{"item_code": items[0], "rate": 0}]
		for buyer in (make_customer(), customer):
			invoice = make_invoice(buyer, rows, submit=False, coupon_code=message.coupon_code)
			if buyer == customer:
				invoice.submit()
			else:
				self.assertRaises(frappe.ValidationError, invoice.submit)
			self.assertEqual(self.used(message), int(buyer == customer))
		self.assertEqual(self.rates(invoice), [Decimal(90)])
		self.assertRaises(
			frappe.ValidationError, make_invoice, customer, rows, coupon_code=message.coupon_code
		)

	def test_others_pay_the_full_price(self):
		_customer, message, items = self.mailed_offer(10, 25)
		stranger = make_customer()
		for doctype in ("Quotation", "Sales Order"):
			order = self.order(doctype, stranger, items, message.coupon_code)
			self.assertEqual(self.rates(order), [Decimal(100), Decimal(100)], doctype)

	def test_a_strangers_order_does_not_use_it_up(self):
		_customer, message, items = self.mailed_offer(10)
		stranger = make_customer()
		order = self.order("Sales Order", stranger, items, message.coupon_code)
		with self.assertRaises(frappe.ValidationError) as refused:
			order.submit()
		self.assertIn(message.coupon_code, str(refused.exception))
		self.assertEqual(frappe.db.get_value("Coupon Code", message.coupon_code, "used"), 0)

	def test_points_are_promised_to_members_alone(self):
		self.rule(loyalty_bonus=50)
		customer = self.buyer()
		self.remind(customer)
		self.assertEqual(self.messages(customer)[0].items[0].loyalty_bonus, 0)
		program = frappe.get_doc(
			{
				"doctype": "Loyalty Program",
				"loyalty_program_name": f"Club {frappe.generate_hash(length=6)}",
				"loyalty_program_type": "Single Tier Program",
				"from_date": "2020-01-01",
				"company": first_company(),
				"conversion_factor": 1,
				"collection_rules": [{"tier_name": "One", "min_spent": 0, "collection_factor": 10}],
			}
		).insert()
		member = self.buyer()
		frappe.db.set_value("Customer", member, "loyalty_program", program.name)
		frappe.db.commit()
		self.remind(member)
		self.assertEqual(self.messages(member)[0].items[0].loyalty_bonus, 50)

	def test_so_does_the_customer_without_the_code(self):
		customer, _message, items = self.mailed_offer(10, 25)
		for doctype in ("Quotation", "Sales Order"):
			self.assertEqual(
				self.rates(self.order(doctype, customer, items)), [Decimal(100), Decimal(100)], doctype
			)
		invoice = make_invoice(customer, [{"item_code": item, "rate": 0} for item in items], submit=False)
		self.assertEqual(self.rates(invoice), [Decimal(100), Decimal(100)])

	def test_other_items_stay_as_they_are(self):
		customer, message, items = self.mailed_offer(10)
		order = self.order("Sales Order", customer, [*items, make_item(price="50")], message.coupon_code)
		self.assertEqual(self.rates(order), [Decimal(90), Decimal(50)])

	def test_it_is_good_once(self):
		customer, message, items = self.mailed_offer(10)
		self.order("Sales Order", customer, items, message.coupon_code, submit=True)
		with self.assertRaisesRegex(frappe.ValidationError, "coupon code is no longer valid"):
			self.order("Sales Order", customer, items, message.coupon_code)

	def test_it_ends(self):
		customer, message, items = self.mailed_offer(10)
		frappe.db.set_value("Coupon Code", message.coupon_code, "valid_upto", day(1))
		with self.assertRaisesRegex(frappe.ValidationError, "expired"):
			self.order("Sales Order", customer, items, message.coupon_code)

	def test_a_shops_own_rule_for_the_item_goes_on(self):
		customer, message, items = self.mailed_offer(25, 10)
		self.own_rule(items, 5)
		self.assertEqual(self.rates(self.order("Sales Order", customer, items)), [Decimal(95), Decimal(95)])
		self.assertEqual(
			self.rates(self.order("Sales Order", customer, items, message.coupon_code)),
			[Decimal(75), Decimal(90)],
		)

	def test_what_is_made_from_the_order_keeps_its_price(self):
		from erpnext.selling.doctype.quotation.quotation import make_sales_order
		from erpnext.selling.doctype.sales_order.sales_order import make_delivery_note, make_sales_invoice

		customer, message, items = self.mailed_offer(10, 25)
		quotation = self.order("Quotation", customer, items, message.coupon_code, submit=True)
		order = make_sales_order(quotation.name)
		order.delivery_date = nowdate()
		order.insert().submit()
		self.assertEqual(self.rates(order), [Decimal(90), Decimal(75)])
		self.assertEqual(frappe.db.get_value("Coupon Code", message.coupon_code, "used"), 1)
		# Whatever other rules there are, and when the offer is over.
		frappe.db.set_value("Pricing Rule", {"name": ["in", message.pricing_rules.split()]}, "disable", 1)
		self.own_rule(items, 5)
		for make in (make_delivery_note, make_sales_invoice):
			document = make(order.name)
			document.insert()
			self.assertEqual(self.rates(document), [Decimal(90), Decimal(75)], document.doctype)
			# A draft is saved more than once.
			document.reload()
			document.save()
			self.assertEqual(self.rates(document), [Decimal(90), Decimal(75)], document.doctype)
		document.submit()

	def own_rule(self, items: list, share: int) -> None:
		"""A pricing rule of the shop itself."""
		own = frappe.get_doc(
			{
				"doctype": "Pricing Rule",
				"title": "Own",
				"apply_on": "Item Code",
				"items": [{"item_code": item} for item in items],
				"price_or_product_discount": "Price",
				"rate_or_discount": "Discount Percentage",
				"discount_percentage": share,
				"selling": 1,
				"company": first_company(),
				"currency": "USD",
			}
		).insert()
		self.addCleanup(frappe.db.delete, "Pricing Rule", own.name)

	def test_max_discount_of_the_item_is_kept(self):
		item = make_item(price="100", max_discount=15)
		self.rule(discount_percent=20, offer_days=7)
		customer = self.buyer(item)
		self.remind(customer)
		message = self.messages(customer)[0]
		self.assertEqual(exact(message.items[0].discount_percent), Decimal(15))
		self.assertIn("15 % off", html_of(self.mail(customer)))
		self.assertEqual(
			self.rates(self.order("Sales Order", customer, [item], message.coupon_code)), [Decimal(85)]
		)

	def test_codes_are_not_guessed(self):
		codes = {offer._new_code() for _number in range(1000)}
		self.assertEqual(len(codes), 1000)
		self.assertTrue(all(len(code) == 12 and set(code) <= set(offer.ALPHABET) for code in codes))


class TestCleanUp(OfferCase):
	def exists(self, message) -> tuple[bool, list]:
		rules = (message.pricing_rules or "").split()
		return bool(frappe.db.exists("Coupon Code", message.coupon_code)), [
			frappe.db.get_value("Pricing Rule", rule, "disable") for rule in rules
		]

	def test_a_current_offer_stays(self):
		_customer, message, _items = self.mailed_offer(10, 20)
		offer.clean_up()
		self.assertEqual(self.exists(message), (True, [0, 0]))

	def test_what_nobody_used_goes_once_it_is_over(self):
		_customer, message, _items = self.mailed_offer(10, 20)
		frappe.db.set_value("Reorder Message", message.name, "offer_ends", day(1))
		frappe.db.commit()
		self.assertEqual(offer.clean_up()["problems"], [])
		self.assertEqual(self.exists(message), (False, [None, None]))
		message.reload()
		self.assertEqual((message.coupon_code, message.offer_cleared), (None, 1))

	def test_what_was_used_is_put_away_and_documents_go_on(self):
		customer, message, items = self.mailed_offer(10, 20)
		order = self.order("Sales Order", customer, items, message.coupon_code, submit=True)
		frappe.db.commit()
		self.assertEqual(offer.clean_up()["problems"], [])
		self.assertEqual(self.exists(message), (True, [1, 1]))
		order.reload()
		self.assertEqual(self.rates(order), [Decimal(90), Decimal(80)])
		invoice = make_sales_invoice(order.name)
		invoice.insert().submit()
		self.assertEqual(self.rates(invoice), [Decimal(90), Decimal(80)])
		order.reload()
		order.flags.ignore_links = False
		invoice.cancel()
		order.reload()
		order.cancel()

	def test_a_quotation_that_is_open_keeps_its_coupon(self):
		customer, message, items = self.mailed_offer(10)
		quotation = self.order("Quotation", customer, items, message.coupon_code, submit=True)
		frappe.db.set_value("Reorder Message", message.name, "offer_ends", day(1))
		frappe.db.commit()
		self.assertEqual(offer.clean_up()["problems"], [])
		self.assertEqual(self.exists(message), (True, [1]))
		self.assertEqual(
			frappe.db.get_value("Reorder Message", message.name, "coupon_code"), message.coupon_code
		)
		quotation.reload()
		self.assertEqual(self.rates(quotation), [Decimal(90)])

	def test_one_that_fails_does_not_stop_the_others(self):
		messages = [self.mailed_offer(10)[1].name for _number in range(2)]
		frappe.db.set_value("Reorder Message", {"name": ["in", messages]}, "offer_ends", day(1))
		frappe.db.commit()
		put_away = offer.put_away

		def fail(name):
			if name == min(messages):
				raise ZeroDivisionError("a bad one")
			put_away(name)

		with patch.object(offer, "put_away", fail):
			found = offer.clean_up()
		self.assertEqual(found, {"cleared": 1, "problems": [f"{min(messages)}: a bad one"]})
		run = frappe.get_last_doc("Reorder Run", {"kind": "Clean-up"})
		self.assertEqual((run.status, run.done, run.total), ("Done with Problems", 1, 2))
		self.assertEqual(offer.clean_up()["cleared"], 1)

	def test_again_changes_nothing(self):
		_customer, message, _items = self.mailed_offer(10)
		frappe.db.set_value("Reorder Message", message.name, "offer_ends", day(1))
		frappe.db.commit()
		offer.clean_up()
		self.assertEqual(offer.clean_up()["cleared"], 0)
