"""Whatever speaks against a reminder at the moment of sending holds it back, and only that."""

from datetime import datetime
from unittest.mock import patch

import frappe
from frappe.utils import add_days, getdate, nowdate

from crm_recharge.reorder import catalogue
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.sending import check, holding_out, run
from crm_recharge.reorder.sending.tests.sending_case import SendingCase, html_of, in_days
from crm_recharge.tests.support.reorder_case import (
	DELIVERY,
	POS,
	add_stock,
	bill,
	day,
	first_company,
	make_bundle,
	make_contact,
	make_delivery,
	make_group,
	make_invoice,
	make_item,
	make_return,
)


def make_order(doctype: str, customer: str, item: str, submit: bool = True, **values):
	"""An order of one piece at 10."""
	order = frappe.new_doc(doctype)
	order.update({"company": first_company(), "transaction_date": nowdate(), "order_type": "Sales", **values})
	order.update(
		{"quotation_to": "Customer", "party_name": customer}
		if doctype == "Quotation"
		else {"customer": customer}
	)
	order.append("items", {"item_code": item, "qty": 1, "rate": 10, "delivery_date": add_days(nowdate(), 3)})
	order.insert()
	if submit:
		order.submit()
	frappe.db.commit()
	return order


class TestWhatIsOnItsWay(SendingCase):
	def test_bought_meanwhile(self):
		item = make_item()
		customer = self.buyer(item)
		make_invoice(customer, [item], on=2)
		self.due_again(customer)
		self.assert_held_back(customer, "bought_meanwhile")

	def due_again(self, customer: str):
		"""As if the learning had not noticed."""
		values = {"remind_on": day(0), "last_day": day(30), "purchase_days": 5, "next_on": day(-12)}
		values |= {"next_from": day(-5), "next_to": day(-30), "usual_interval": 40, "p_alive": 90}
		frappe.db.set_value("Reorder Reminder", {"customer": customer}, values)
		frappe.db.commit()

	def forget(self, customer: str):
		"""As if the learning had failed."""
		frappe.db.delete("Reorder Purchase Day", {"customer": customer})
		self.due_again(customer)

	def test_bought_meanwhile_though_the_learning_failed(self):
		for doctype in ("Sales Invoice", POS, DELIVERY):
			for bundled in (False, True):
				item = make_item()
				customer = self.buyer(item)
				make_invoice(customer, [make_bundle({item: 1}) if bundled else item], on=2, doctype=doctype)
				self.forget(customer)
				self.assert_held_back(customer, "bought_meanwhile")

	def test_delivered_but_not_billed(self):
		item = make_item()
		customer = self.buyer(item)
		note = make_delivery(customer, [item], on=2)
		self.due_again(customer)
		self.assert_held_back(customer, "bought_meanwhile")
		frappe.get_doc(DELIVERY, note.name).cancel()
		self.forget(customer)
		self.assertTrue(self.remind(customer).mailed)

	def test_being_delivered(self):
		item = make_item()
		customer = self.buyer(item)
		make_delivery(customer, [item], on=0, submit=False)
		frappe.db.commit()
		self.assert_held_back(customer, "bought_meanwhile")

	def test_a_bill_of_what_left_long_ago_is_no_purchase_of_its_day(self):
		for submit in (True, False):
			item = make_item()
			customer = self.buyer(item)
			note = make_delivery(customer, [item], on=30)
			bill(note, 1) if submit else self.draft_of(note)
			self.due_again(customer)
			self.assertTrue(self.remind(customer).mailed, submit)

	def draft_of(self, note):
		from erpnext.stock.doctype.delivery_note.delivery_note import make_sales_invoice

		make_sales_invoice(note.name).insert()

	def test_gifts_are_no_purchase(self):
		item = make_item()
		customer = self.buyer(item)
		make_invoice(customer, [{"item_code": item, "is_free_item": 1, "rate": 0}], on=2)
		self.due_again(customer)
		self.assertTrue(self.remind(customer).mailed)

	def test_a_correction_of_the_price_is_no_purchase(self):
		item = make_item()
		customer = self.buyer(item)
		invoice = make_invoice(customer, [item], on=30)
		make_invoice(customer, [item], on=2, is_debit_note=1, return_against=invoice.name)
		self.due_again(customer)
		self.assertTrue(self.remind(customer).mailed)

	def test_an_alternative_in_its_place(self):
		item, other = make_item(allow_alternative_item=1), make_item(item_name="The other one")
		customer = self.buyer(item)
		alternative = frappe.get_doc(
			{"doctype": "Item Alternative", "item_code": item, "alternative_item_code": other}
		).insert()
		make_invoice(customer, [other], on=2)
		self.due_again(customer)
		frappe.db.set_value(
			"Reorder Reminder",
			{"customer": customer, "item_code": other},
			{"last_day": day(2), "remind_on": None},
		)
		frappe.db.commit()
		outcome = self.remind(customer)
		self.assertEqual(outcome.reasons["replaced"], 1)
		self.assertIn("The other one", outcome.sentences[0]["reason"])
		alternative.delete()
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)

	def test_another_variant_in_its_place_but_not_one_bought_all_along(self):
		template = make_item()
		for first, held in ((day(2), True), (day(90), False)):
			one, other = (make_item() for _ in range(2))
			frappe.db.set_value("Item", {"name": ["in", [one, other]]}, "variant_of", template)
			customer = self.buyer(one)
			self.due(customer, other, remind_on=None, first_day=first, last_day=day(2))
			frappe.db.commit()
			outcome = self.remind(customer)
			self.assertEqual((outcome.reasons["replaced"], outcome.mailed), (int(held), not held))

	def test_being_invoiced(self):
		item = make_item()
		customer = self.buyer(item)
		draft = make_invoice(customer, [item], on=0, submit=False)
		frappe.db.commit()
		self.assert_held_back(customer, "bought_meanwhile")
		frappe.db.set_value("Sales Invoice", draft.name, "modified", in_days(-31), update_modified=False)
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)

	def test_what_came_back_was_not_bought(self):
		item = make_item()
		customer = self.buyer(item)
		invoice = make_invoice(customer, {item: 2}, on=2)
		make_return(invoice, on=1)
		frappe.db.delete("Reorder Purchase Day", {"customer": customer})
		self.due_again(customer)
		self.assertTrue(self.remind(customer).mailed)

	def test_on_an_open_order_until_it_is_billed(self):
		from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice

		item = make_item()
		customer = self.buyer(item, make_item())
		order = make_order("Sales Order", customer, item)
		outcome = self.remind(customer)
		self.assertEqual(dict(outcome.reasons), {"open_order": 1})
		self.assertIn(order.name, outcome.sentences[0]["reason"])
		self.assertEqual([row.item_code == item for row in self.messages(customer)[0].items], [False])
		invoice = make_sales_invoice(order.name)
		invoice.insert().submit()
		self.assertEqual(check.open_orders(customer, [item], getdate(nowdate())), {})

	def test_an_order_that_was_delivered_is_open_no_longer(self):
		from erpnext.selling.doctype.sales_order.sales_order import make_delivery_note

		item = make_item()
		customer = self.buyer(item)
		order = make_order("Sales Order", customer, item)
		make_delivery_note(order.name).insert().submit()
		self.assertEqual(check.open_orders(customer, [item], getdate(nowdate())), {})

	def test_what_was_billed_for_less_than_was_ordered_is_open_no_longer(self):
		from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice

		item = make_item()
		customer = self.buyer(item)
		order = make_order("Sales Order", customer, item)
		invoice = make_sales_invoice(order.name)
		invoice.items[0].rate = 9
		invoice.set("payment_schedule", [])
		invoice.insert().submit()
		self.assertLess(frappe.db.get_value("Sales Order Item", {"parent": order.name}, "billed_amt"), 10)
		self.assertEqual(check.open_orders(customer, [item], getdate(nowdate())), {})

	def test_what_a_supplier_delivered_is_open_until_it_is_billed(self):
		from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice

		item = make_item()
		customer = self.buyer(item)
		order = make_order("Sales Order", customer, item)
		# As the Purchase Order writes it, once the supplier has delivered.
		row = {"delivered_by_supplier": 1, "delivered_qty": 1}
		frappe.db.set_value("Sales Order Item", {"parent": order.name}, row)
		frappe.db.commit()
		self.assert_held_back(customer, "open_order")
		make_sales_invoice(order.name).insert().submit()
		self.assertEqual(check.open_orders(customer, [item], getdate(nowdate())), {})

	def test_what_is_packed_in_a_bundle_on_an_order(self):
		for doctype in ("Sales Order", "Quotation"):
			item = make_item()
			customer = self.buyer(item)
			order = make_order(doctype, customer, make_bundle({item: 1}))
			self.assertEqual(
				check.open_orders(customer, [item], getdate(nowdate())), {item: order.name}, doctype
			)
			self.assert_held_back(customer, "open_order")

	def test_orders_that_count(self):
		for doctype, submit, values, counts in (
			("Sales Order", True, {}, True),
			("Sales Order", False, {}, True),
			("Quotation", True, {"valid_till": day(-5)}, True),
			("Quotation", False, {"valid_till": day(-5)}, True),
			("Quotation", True, {"transaction_date": day(20), "valid_till": day(3)}, False),
		):
			item = make_item()
			customer = self.buyer(item)
			order = make_order(doctype, customer, item, submit, **values)
			found = check.open_orders(customer, [item], getdate(nowdate()))
			self.assertEqual(found, {item: order.name} if counts else {}, (doctype, submit, values))

	def test_orders_that_are_over_do_not(self):
		item = make_item()
		customer = self.buyer(item)
		make_order("Sales Order", customer, item).cancel()
		make_order("Sales Order", customer, item).update_status("Closed")
		forgotten = make_order("Sales Order", customer, item, submit=False)
		frappe.db.set_value("Sales Order", forgotten.name, "modified", in_days(-31), update_modified=False)
		lost = make_order("Quotation", customer, item, valid_till=day(-5))
		frappe.db.set_value("Quotation", lost.name, "status", "Lost")
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)

	def subscribe(self, customer: str, item: str, start=None):
		plan = frappe.get_doc(
			{
				"doctype": "Subscription Plan",
				"plan_name": f"Plan {item}",
				"item": item,
				"currency": "USD",
				"price_determination": "Fixed Rate",
				"cost": 10,
				"billing_interval": "Month",
			}
		).insert()
		subscription = frappe.get_doc(
			{
				"doctype": "Subscription",
				"party_type": "Customer",
				"party": customer,
				"company": first_company(),
				"start_date": start or nowdate(),
				"plans": [{"plan": plan.name, "qty": 1}],
			}
		).insert()
		frappe.db.commit()
		return subscription

	def test_a_subscription_that_begins_in_some_months_or_is_of_a_bundle(self):
		item = make_item()
		customer = self.buyer(item)
		subscription = self.subscribe(customer, make_bundle({item: 1}), add_days(nowdate(), 90))
		self.assertTrue(self.remind(customer).mailed)
		item = make_item()
		customer = self.buyer(item)
		subscription = self.subscribe(customer, make_bundle({item: 1}), add_days(nowdate(), 10))
		self.assert_held_back(customer, "subscription")
		self.assertIn(subscription.name, self.remind(customer).sentences[0]["reason"])

	def test_a_subscription_delivers_it(self):
		item = make_item()
		customer = self.buyer(item)
		subscription = self.subscribe(customer, item)
		self.assert_held_back(customer, "subscription")
		frappe.db.set_value("Subscription", subscription.name, "status", "Cancelled")
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)


class TestStock(SendingCase):
	def test_out_of_stock_waits_and_goes_on_when_it_is_back(self):
		item = make_item(is_stock_item=1)
		customer = self.buyer(item)
		self.assert_held_back(customer, "out_of_stock")
		add_stock(item, 3)
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)

	def test_all_promised_to_others_is_out_of_stock(self):
		item = make_item(is_stock_item=1)
		customer, other = self.buyer(item), self.buyer(item)
		warehouse = add_stock(item, 1)
		order = frappe.get_doc("Sales Order", make_order("Sales Order", other, item, submit=False).name)
		order.set_warehouse = warehouse
		order.items[0].warehouse = warehouse
		order.save().submit()
		frappe.db.commit()
		self.assert_held_back(customer, "out_of_stock")

	def test_services_and_goods_without_stock_are_never_out(self):
		self.assertTrue(self.remind(self.buyer(make_item(is_stock_item=0))).mailed)

	def test_unless_the_rule_says_not_to_pause(self):
		item = make_item(is_stock_item=1)
		self.rule(applies_to="Item", item_code=item, pause_out_of_stock=0)
		self.assertTrue(self.remind(self.buyer(item)).mailed)

	def test_the_rules_warehouse_counts(self):
		item = make_item(is_stock_item=1)
		warehouse = add_stock(item, 3)
		elsewhere = frappe.get_all(
			"Warehouse",
			{"company": first_company(), "is_group": 0, "name": ["!=", warehouse]},
			pluck="name",
			limit=1,
		)[0]
		group = frappe.db.get_value("Warehouse", warehouse, "parent_warehouse")
		self.assertEqual(check.in_stock({item: elsewhere}, first_company()), {item: False})
		self.assertEqual(check.in_stock({item: warehouse}, first_company()), {item: True})
		self.assertEqual(check.in_stock({item: group}, first_company()), {item: True})

	def warehouse(self, **values) -> str:
		root = frappe.get_all(
			"Warehouse",
			{"company": first_company(), "is_group": 1, "parent_warehouse": ["in", ["", None]]},
			pluck="name",
		)[0]
		return (
			frappe.get_doc(
				{
					"doctype": "Warehouse",
					"warehouse_name": f"W {frappe.generate_hash(length=8)}",
					"company": first_company(),
					"parent_warehouse": root,
					**values,
				}
			)
			.insert()
			.name
		)

	def test_only_where_it_is_sold_from(self):
		"""What lies in transit, among rejected goods, in a closed warehouse or at another company cannot be had."""
		company = first_company()
		for values in (
			{"warehouse_type": self.transit()},
			{"is_rejected_warehouse": 1},
			{"disabled": 1},
		):
			item = make_item(is_stock_item=1)
			warehouse = self.warehouse(**(values if "disabled" not in values else {}))
			add_stock(item, 3, warehouse)
			if "disabled" in values:
				frappe.db.set_value("Warehouse", warehouse, "disabled", 1)
			root = frappe.db.get_value("Warehouse", warehouse, "parent_warehouse")
			self.assertEqual(check.in_stock({item: None}, company), {item: False}, values)
			self.assertEqual(check.in_stock({item: root}, company), {item: False}, values)
			add_stock(item, 3)
			self.assertEqual(check.in_stock({item: root}, company), {item: True}, values)

	def transit(self) -> str:
		if not frappe.db.exists("Warehouse Type", "Transit"):
			frappe.get_doc({"doctype": "Warehouse Type", "name": "Transit"}).insert()
		return "Transit"

	def test_the_stock_of_another_company_does_not_count(self):
		item = make_item(is_stock_item=1)
		warehouse = add_stock(item, 3)
		self.assertEqual(check.in_stock({item: None}, "Another Company"), {item: False})
		self.assertEqual(check.in_stock({item: warehouse}, "Another Company"), {item: False})
		self.assertEqual(check.in_stock({item: warehouse}, None), {item: True})

	def test_a_bundle_is_there_when_all_of_it_is(self):
		goods, few, service = make_item(is_stock_item=1), make_item(is_stock_item=1), make_item()
		bundle = make_bundle({goods: 1, few: 5, service: 1})
		add_stock(goods, 9)
		add_stock(few, 4)
		self.assertEqual(check.in_stock({bundle: None}, first_company()), {bundle: False})
		customer = self.buyer(bundle)
		self.assert_held_back(customer, "out_of_stock")
		add_stock(few, 1)
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)


class TestDoubt(SendingCase):
	def test_probably_stopped(self):
		self.assert_held_back(self.buyer(p_alive=49), "probably_stopped")
		self.assertTrue(self.remind(self.buyer(p_alive=50)).mailed)

	def test_range_too_wide(self):
		wide = {"next_from": day(0), "next_to": day(-121), "usual_interval": 40}
		self.assert_held_back(self.buyer(**wide), "range_too_wide")
		self.assertTrue(self.remind(self.buyer(**wide | {"next_to": day(-120)})).mailed)

	def test_too_few_purchases(self):
		customer = self.buyer(purchase_days=1)
		self.assert_held_back(customer, "too_few_purchases")
		self.settings(least_purchases=1)
		self.assertTrue(self.remind(customer).mailed)

	def test_a_durable_by_its_age(self):
		item = make_item()
		self.rule(applies_to="Item", item_code=item, timing="Age of the item", age_days=180)
		self.assertTrue(self.remind(self.buyer(item, purchase_days=1, p_alive=0)).mailed)


class TestWishes(SendingCase):
	def test_no_consent_no_mail(self):
		self.assert_held_back(self.buyer(consents=False), "no_consent")

	def test_opted_out(self):
		customer = self.buyer()
		preferences.opt_out(self.consent_of(customer), "Test")
		frappe.db.commit()
		self.assert_held_back(customer, "no_consent")

	def test_unsubscribed_from_all_mail_of_this_site(self):
		customer = self.buyer()
		email = self.consent_of(customer).email
		frappe.get_doc({"doctype": "Email Unsubscribe", "email": email, "global_unsubscribe": 1}).insert()
		frappe.db.commit()
		self.assert_held_back(customer, "no_consent")

	def test_snoozed_by_the_contact(self):
		customer = self.buyer()
		preferences.snooze(self.consent_of(customer), day(-1), "Test")
		frappe.db.commit()
		self.assert_held_back(customer, "snoozed")
		preferences.snooze(self.consent_of(customer), day(0), "Test")
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)

	def test_snoozed_item(self):
		self.assert_held_back(self.buyer(snoozed_until=day(-1)), "snoozed")

	def test_stopped_item_is_looked_at_no_more(self):
		customer = self.buyer(stopped=1)
		self.assert_held_back(customer, "stopped")
		self.assertIsNone(self.reminder_of(customer).remind_on)

	def reminder_of(self, customer):
		return frappe.get_doc("Reorder Reminder", {"customer": customer})

	def test_not_too_often(self):
		first, second = make_item(), make_item()
		customer = self.buyer(first)
		self.remind(customer, now=in_days(0))
		self.due(customer, second)
		frappe.db.commit()
		self.assertEqual(dict(self.remind(customer, now=in_days(13)).reasons), {"too_soon": 1})
		self.assertTrue(self.remind(customer, now=in_days(14)).mailed)

	def test_as_seldom_as_the_contact_asked(self):
		customer = self.buyer()
		preferences.set_frequency(self.consent_of(customer), 60, "Test")
		frappe.db.commit()
		self.remind(customer)
		self.due(customer, make_item())
		frappe.db.commit()
		self.assertEqual(dict(self.remind(customer, now=in_days(59)).reasons), {"too_soon": 1})
		self.assertTrue(self.remind(customer, now=in_days(60)).mailed)

	def test_without_a_cap_at_once(self):
		self.settings(default_frequency_days=0)
		customer = self.buyer()
		self.remind(customer)
		self.due(customer, make_item())
		frappe.db.commit()
		self.assertTrue(self.remind(customer).mailed)


class TestRulesAndMasters(SendingCase):
	def test_only_what_a_rule_covers(self):
		self.settings(without_rule=0)
		group = make_group()
		covered, other = make_item(item_group=group), make_item()
		self.rule(applies_to="Item Group", item_group=group)
		customer = self.buyer(covered, other)
		self.assertEqual(dict(self.remind(customer).reasons), {"rule_off": 1})
		self.assertEqual([row.item_code for row in self.messages(customer)[0].items], [covered])

	def test_a_rule_that_says_no(self):
		item = make_item()
		self.rule()
		self.rule(applies_to="Item", item_code=item, remind=0)
		self.assert_held_back(self.buyer(item), "rule_off")

	def test_disabled(self):
		item = make_item()
		customer = self.buyer(item)
		frappe.db.set_value("Item", item, "disabled", 1)
		frappe.db.commit()
		self.assert_held_back(customer, "item_disabled")
		frappe.db.set_value("Item", item, "disabled", 0)
		frappe.db.set_value("Customer", customer, "disabled", 1)
		frappe.db.commit()
		self.assert_held_back(customer, "customer_disabled")

	def test_what_is_not_sold_today_to_anybody(self):
		for values in (
			{"is_sales_item": 0},
			{"has_variants": 1},
			{"end_of_life": nowdate()},
			{"end_of_life": day(400)},
		):
			item = make_item()
			customer = self.buyer(item)
			frappe.db.set_value("Item", item, values)
			frappe.db.commit()
			self.assert_held_back(customer, "item_disabled")
		for values in ({"end_of_life": None}, {"end_of_life": add_days(nowdate(), 1)}):
			item = make_item()
			customer = self.buyer(item)
			frappe.db.set_value("Item", item, values)
			frappe.db.commit()
			self.assertTrue(self.remind(customer).mailed, values)

	def test_what_is_not_sold_to_this_customer(self):
		for kind, field in (("Item", "name"), ("Item Group", "item_group")):
			item = make_item(item_group=make_group())
			customer = self.buyer(item)
			others = {"Item": make_item(), "Item Group": make_group()}
			names = [others[kind], frappe.db.get_value("Item", item, field)]
			for value, expected in zip(names, (False, True), strict=True):
				frappe.get_doc(
					{
						"doctype": "Party Specific Item",
						"party_type": "Customer",
						"party": customer,
						"restrict_based_on": kind,
						"based_on_value": value,
					}
				).insert()
				self.assertEqual(catalogue.sold([item], customer=customer), {item} if expected else set())
				frappe.db.commit()
				if expected:
					self.assertTrue(self.remind(customer).mailed)
				else:
					self.assert_held_back(customer, "item_disabled")

	def test_switched_off(self):
		customer = self.buyer()
		self.settings(enabled=0)
		self.assertIsNone(run.run_hourly())
		self.assertIsNone(run.remind(customer))
		with self.assertRaisesRegex(frappe.ValidationError, "switched off"):
			run.remind(customer, trigger="desk")
		self.assertEqual(self.messages(customer), [])


class TestHours(SendingCase):
	def test_only_within_them(self):
		customer = self.buyer()
		self.settings(send_from="09:00:00", send_until="18:00:00")
		for moment, goes in (
			("2026-11-20 08:59", False),
			("2026-11-20 18:00", False),
			("2026-11-20 09:00", True),
		):
			with patch(
				"crm_recharge.reorder.sending.run.now_datetime", return_value=datetime.fromisoformat(moment)
			):
				self.assertEqual(
					bool(run.within_hours(run.now_datetime(), frappe.get_cached_doc("Reorder Settings"))),
					goes,
				)
		with patch("crm_recharge.reorder.sending.run.within_hours", return_value=False):
			self.assertIsNone(run.run_hourly())
		self.assertEqual(self.messages(customer), [])

	def test_the_sites_own_hours_on_weekdays(self):
		self.settings(send_from="09:00:00", send_until="18:00:00", weekdays_only=1)
		settings = frappe.get_cached_doc("Reorder Settings")
		self.assertTrue(run.within_hours(datetime(2026, 11, 20, 12), settings))
		self.assertFalse(run.within_hours(datetime(2026, 11, 21, 12), settings))

	def test_a_run_ends_with_the_hours(self):
		self.buyer()
		self.buyer()
		with patch("crm_recharge.reorder.sending.run._may_go_on", side_effect=[True, False]):
			run_ = frappe.get_doc("Reorder Run", run.send_all())
		self.assertEqual((run_.done, run_.total), (1, 2))
		self.assertTrue(run_.reached)
		# The next one goes on there, and comes by the beginning as well.
		again = frappe.get_doc("Reorder Run", run.send_all())
		self.assertEqual((again.done, again.reached), (1, None))
		self.assertEqual(frappe.parse_json(again.figures)["mails"], 1)


class TestHeldOut(SendingCase):
	def held_out(self, *items, **values) -> str:
		customer = self.buyer(*items, **values)
		self.settings(hold_out_share=100)
		return customer

	def test_what_would_have_been_said_is_written_down_and_nobody_is_mailed(self):
		customer = self.held_out()
		outcome = self.remind(customer)
		self.assertTrue(outcome.held_out and not outcome.mailed)
		(message,) = self.messages(customer)
		self.assertEqual((message.kind, message.status), ("Held Out", "Held Out"))
		self.assertEqual(frappe.db.get_value("Reorder Customer", {"customer": customer}, "held_out"), 1)
		self.assertFalse(message.email or message.contact or message.coupon_code)
		self.assertEqual(self.queued(customer), [])

	def test_once_a_cycle_and_under_the_same_checks(self):
		customer = self.held_out()
		self.remind(customer)
		frappe.db.set_value("Reorder Reminder", {"customer": customer}, "remind_on", day(0))
		frappe.db.commit()
		self.assertEqual(dict(self.remind(customer).reasons), {"already_reminded": 1})
		self.due(customer, make_item())
		frappe.db.commit()
		# As if it had been a mail: the next one is as far away as for everybody else.
		self.assertEqual(self.remind(customer).reasons["too_soon"], 1)
		self.assert_held_back(self.buyer(consents=False), "no_consent")

	def test_the_draw_on_the_customers_is_the_one_of_sending(self):
		rows = [self.customer_row(self.buyer()) for _number in range(12)]
		for percent in (0, 30, 100):
			holding_out.redraw(percent)
			for name in rows:
				expected = holding_out.drawn(name, percent / 100)
				self.assertEqual(bool(frappe.db.get_value("Reorder Customer", name, "held_out")), expected)


class TestWhoIsMailed(SendingCase):
	def test_one_contact_the_primary_one_first(self):
		customer = self.buyer(consents=False)
		primary = frappe.db.get_value("Customer", customer, "customer_primary_contact")
		others = [make_contact(customer, primary=False) for _number in range(2)]
		for contact in (others[0], primary, others[1]):
			preferences.opt_in(contact, customer, "Test", "Yes")
		self.assertEqual(preferences.consenting(customer).contact, primary)
		preferences.opt_out(frappe.get_doc("Reorder Preference", {"contact": primary}), "Test")
		self.assertEqual(preferences.consenting(customer).contact, others[1])
		frappe.db.commit()
		self.remind(customer)
		(queued,) = self.queued(customer)
		self.assertEqual(
			[row.recipient for row in queued.recipients],
			[frappe.db.get_value("Contact", others[1], "email_id")],
		)

	def test_nobody_who_left_the_customer(self):
		customer = self.buyer()
		contact = self.consent_of(customer).contact
		frappe.db.delete("Dynamic Link", {"parent": contact})
		frappe.db.set_value("Customer", customer, "customer_primary_contact", None)
		frappe.db.commit()
		self.assert_held_back(customer, "no_consent")

	def test_the_address_the_contact_has_now(self):
		customer = self.buyer()
		contact = frappe.get_doc("Contact", self.consent_of(customer).contact)
		contact.email_ids[0].email_id = "new.address@test.example"
		contact.save()
		frappe.db.commit()
		self.remind(customer)
		self.assertEqual(self.mail(customer)["To"], "new.address@test.example")

	def test_in_the_customers_language(self):
		translation = frappe.get_doc(
			{
				"doctype": "Translation",
				"language": "de",
				"source_text": "Reorder",
				"translated_text": "Nachbestellen",
			}
		).insert()
		self.addCleanup(frappe.delete_doc, "Translation", translation.name)
		customer = self.buyer()
		frappe.db.set_value("Customer", customer, "language", "de")
		frappe.db.commit()
		self.remind(customer)
		self.assertIn(">Nachbestellen<", html_of(self.mail(customer)))
		self.assertEqual(frappe.local.lang, "en")
