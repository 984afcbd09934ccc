"""What came of a reminder: real invoices, returns and cancellations, and the bonus for it."""

import random
from datetime import timedelta
from decimal import Decimal

import frappe
from frappe.utils import add_days, getdate, now_datetime, nowdate

from crm_recharge.reorder.answers import actions, links, outcome
from crm_recharge.reorder.answers.fields import REMINDED
from crm_recharge.reorder.answers.tests.reminded import (
	RemindedCase,
	make_message,
	make_reminder,
	set_settings,
)
from crm_recharge.tests.support.reorder_case import (
	DELIVERY,
	bill,
	day,
	make_bundle,
	make_buyer,
	make_delivery,
	make_invoice,
	make_item,
	make_return,
)

OUTCOME = ("won", "won_on", "won_days", "invoice", "quantity", "revenue", "bonus_points")


def make_program(company: str, **values) -> str:
	program = frappe.new_doc("Loyalty Program")
	expense = frappe.get_all(
		"Account", {"company": company, "root_type": "Expense", "is_group": 0}, pluck="name"
	)[0]
	program.update(
		{
			"loyalty_program_name": frappe.generate_hash(length=10),
			"loyalty_program_type": "Single Tier Program",
			"from_date": "2020-01-01",
			"company": company,
			"conversion_factor": 0.01,
			"expiry_duration": 90,
			"expense_account": expense,
			"cost_center": frappe.get_cached_value("Company", company, "cost_center"),
			"collection_rules": [{"tier_name": "One", "collection_factor": 10, "min_spent": 0}],
			**values,
		}
	)
	return program.insert(ignore_permissions=True).name


class OutcomeCase(RemindedCase):
	def rows(self, message) -> list[tuple]:
		outcome.settle(message.customer)
		return [
			tuple(row[field] for field in OUTCOME)
			for row in frappe.get_all(
				"Reorder Message Item", {"parent": message.name}, list(OUTCOME), order_by="idx"
			)
		]

	def exact(self, message, field: str) -> list[Decimal]:
		rows = frappe.db.sql(
			f"SELECT CAST(`{field}` AS CHAR) FROM `tabReorder Message Item` WHERE `parent` = %s ORDER BY `idx`",
			message.name,
		)
		return [Decimal(value) for (value,) in rows]


class TestOutcome(OutcomeCase):
	def test_a_purchase_in_the_window_wins(self):
		message = self.reminded(2, sent=10)
		bought, other = (row.item_code for row in message.items)
		invoice = make_invoice(message.customer, {bought: 3}, on=4)
		won, left = self.rows(message)
		self.assertEqual(won, (1, day(4), 6, invoice.name, 3, 30, 0))
		self.assertEqual(left, (0, None, 0, None, 0, 0, 0))
		notes = frappe.get_all("Comment", {"reference_name": message.customer}, pluck="content")
		self.assertTrue(any(invoice.name in text for text in notes), notes)
		self.assertFalse(other in "".join(notes))

	def test_held_out_customers_are_measured_alike_but_nothing_is_said(self):
		message = self.reminded(sent=10, kind="Held Out")
		invoice = make_invoice(message.customer, [message.items[0].item_code], on=4)
		self.assertEqual(self.rows(message), [(1, day(4), 6, invoice.name, 1, 10, 0)])
		self.assertEqual(
			frappe.get_all(
				"Comment", {"reference_name": message.customer, "subject": "crm_recharge reorder"}
			),
			[],
		)

	def test_before_after_and_at_the_edge_of_the_window(self):
		for ago, won in ((41, 0), (40, 1), (10, 1), (9, 0)):
			sent = now_datetime().replace(hour=0, minute=0, second=1) - timedelta(days=40)
			message = self.reminded(sent=sent)
			make_invoice(message.customer, [message.items[0].item_code], on=ago, posting_time="12:00:00")
			self.assertEqual(self.rows(message)[0][0], won, ago)

	def test_a_purchase_of_the_same_day_before_the_mail(self):
		sent = now_datetime().replace(hour=12, minute=0, second=0) - timedelta(days=5)
		message = self.reminded(sent=sent)
		make_invoice(message.customer, [message.items[0].item_code], on=5, posting_time="11:59:59")
		self.assertEqual(self.rows(message)[0][0], 0)
		make_invoice(message.customer, [message.items[0].item_code], on=5, posting_time="12:00:01")
		self.assertEqual(self.rows(message)[0][:3], (1, day(5), 0))

	def test_a_mail_that_failed_won_nothing(self):
		message = self.reminded(sent=10, status="Failed")
		make_invoice(message.customer, [message.items[0].item_code], on=4)
		self.assertEqual(self.rows(message)[0][0], 0)

	def test_a_cancelled_invoice_hands_over_to_the_next(self):
		message = self.reminded(sent=10)
		item = message.items[0].item_code
		first = make_invoice(message.customer, [item], on=6)
		second = make_invoice(message.customer, {item: 2}, on=4)
		self.assertEqual(self.rows(message)[0][3], first.name)
		first.cancel()
		self.assertEqual(self.rows(message)[0][:6], (1, day(4), 6, second.name, 2, 20))
		second.cancel()
		self.assertEqual(self.rows(message)[0], (0, None, 0, None, 0, 0, 0))

	def test_partial_and_full_returns_and_their_cancellation(self):
		message = self.reminded(sent=10)
		item = message.items[0].item_code
		invoice = make_invoice(message.customer, {item: 3}, on=6)
		part = make_return(invoice, {item: 1}, on=3)
		self.assertEqual(self.rows(message)[0][:6], (1, day(6), 4, invoice.name, 2, 20))
		rest = make_return(invoice, {item: 2}, on=2)
		self.assertEqual(self.rows(message)[0][0], 0)
		rest.cancel()
		self.assertEqual(self.rows(message)[0][:6], (1, day(6), 4, invoice.name, 2, 20))
		part.cancel()
		self.assertEqual(self.rows(message)[0][4:6], (3, 30))

	def test_pos_invoices_and_their_returns(self):
		message = self.reminded(sent=2)
		item = message.items[0].item_code
		invoice = make_invoice(
			message.customer, {item: 2}, on=0, doctype="POS Invoice", posting_time="23:59:58"
		)
		won = self.rows(message)[0]
		self.assertEqual((won[0], won[3], won[4], won[5]), (1, invoice.name, 2, 20))
		self.assertEqual(
			frappe.db.get_value("Reorder Message Item", message.items[0].name, "invoice_type"), "POS Invoice"
		)
		make_return(invoice, on=0, posting_time="23:59:59")
		self.assertEqual(self.rows(message)[0][0], 0)

	def test_revenue_is_net_and_exact_in_the_companys_currency(self):
		message = self.reminded(sent=10)
		item = message.items[0].item_code
		row = {"item_code": item, "qty": 3, "rate": 0.07}
		make_invoice(message.customer, [row, {**row, "qty": 4}], on=4)
		self.rows(message)
		self.assertEqual(self.exact(message, "revenue"), [Decimal("0.49")])
		self.assertEqual(self.exact(message, "quantity"), [Decimal(7)])
		other = self.reminded(sent=10)
		make_invoice(
			other.customer,
			[{"item_code": other.items[0].item_code, "rate": 10}],
			on=4,
			currency="EUR",
			conversion_rate=1.25,
			debit_to=self.euro_account(),
		)
		self.rows(other)
		self.assertEqual(self.exact(other, "revenue"), [Decimal("12.5")])

	def euro_account(self) -> str:
		parent = frappe.db.get_value(
			"Account",
			{"company": self.company, "account_type": "Receivable", "is_group": 0},
			"parent_account",
		)
		account = {
			"account_name": "Debtors in Euro",
			"company": self.company,
			"parent_account": parent,
			"account_type": "Receivable",
			"account_currency": "EUR",
		}
		name = frappe.db.get_value("Account", {"account_name": "Debtors in Euro", "company": self.company})
		return name or frappe.get_doc({"doctype": "Account", **account}).insert().name

	def test_what_was_delivered_in_the_window_wins_and_the_bill_says_what_it_brought(self):
		message = self.reminded(sent=50)
		item = message.items[0].item_code
		note = make_delivery(message.customer, {item: 3}, on=40)
		self.assertEqual(self.rows(message)[0][:6], (1, day(40), 10, note.name, 3, 30))
		self.assertEqual(self.document_of(message), DELIVERY)
		# Billed after the window, at another price.
		invoice = bill(note, 5, rate=9)
		self.assertEqual(self.rows(message)[0][:6], (1, day(40), 10, invoice.name, 3, 27))
		said = frappe.get_all(
			"Comment", {"reference_name": message.customer, "content": ["like", "%Bought after%"]}
		)
		self.assertEqual(len(said), 1)
		make_return(note, {item: 1}, on=3)
		self.assertEqual(self.rows(message)[0][4:6], (2, 18))
		invoice.reload()
		make_return(invoice, on=2, update_stock=0)
		self.assertEqual(self.rows(message)[0][0], 0)

	def document_of(self, message) -> str:
		return frappe.db.get_value("Reorder Message Item", message.items[0].name, "invoice_type")

	def test_a_bill_of_what_left_before_the_reminder_wins_nothing(self):
		message = self.reminded(sent=10)
		note = make_delivery(message.customer, {message.items[0].item_code: 1}, on=15)
		bill(note, 4)
		self.assertEqual(self.rows(message)[0][0], 0)

	def test_a_monthly_bill_of_several_deliveries_is_as_many_purchases(self):
		from erpnext.stock.doctype.delivery_note.delivery_note import make_sales_invoice

		message = self.reminded(sent=40)
		item = message.items[0].item_code
		later = make_message(message.customer, message.contact, [{"item_code": item}], sent=20)
		invoice = None
		for ago, quantity in ((38, 1), (18, 2)):
			note = make_delivery(message.customer, {item: quantity}, on=ago)
			invoice = make_sales_invoice(note.name, invoice)
		invoice.insert().submit()
		self.assertEqual(self.rows(message)[0][:6], (1, day(38), 2, invoice.name, 1, 10))
		self.assertEqual(self.rows(later)[0][:6], (1, day(18), 2, invoice.name, 2, 20))

	def test_in_a_bundle_it_is_bought_and_what_the_bundle_brought_is_not_divided(self):
		message = self.reminded(sent=10)
		item = message.items[0].item_code
		invoice = make_invoice(message.customer, {make_bundle({item: 2}): 3}, on=4)
		self.assertEqual(self.rows(message)[0][:6], (1, day(4), 6, invoice.name, 6, 0))

	def test_a_gift_wins_nothing(self):
		message = self.reminded(sent=10)
		gift = {"item_code": message.items[0].item_code, "is_free_item": 1, "rate": 0}
		make_invoice(message.customer, [gift], on=4)
		self.assertEqual(self.rows(message)[0][0], 0)

	def test_a_delivery_has_it_worked_out_too_also_of_what_is_packed_in_a_bundle(self):
		from unittest.mock import patch

		message = self.reminded(sent=10)
		item = message.items[0].item_code
		with patch("frappe.enqueue") as enqueue:
			make_delivery(message.customer, {make_bundle({item: 1}): 1}, on=4)
			frappe.db.commit()
		(job,) = [call for call in enqueue.call_args_list if "outcome.settle" in str(call)]
		self.assertEqual((job.kwargs["customer"], job.kwargs["items"]), (message.customer, [item]))

	def test_an_invoice_wins_the_latest_reminder_only(self):
		message = self.reminded(sent=20)
		item = message.items[0].item_code
		later = make_message(message.customer, message.contact, [{"item_code": item}], sent=10)
		invoice = make_invoice(message.customer, [item], on=5)
		self.assertEqual(self.rows(message)[0][0], 0)
		self.assertEqual(self.rows(later)[0][3], invoice.name)
		early = make_invoice(message.customer, [item], on=15)
		self.assertEqual(self.rows(message)[0][3], early.name)

	def test_an_order_by_the_link_counts_when_it_is_invoiced_late(self):
		from erpnext.selling.doctype.quotation.quotation import make_sales_order
		from erpnext.selling.doctype.sales_order.sales_order import make_sales_invoice

		for kind in ("Sales Order", "Quotation"):
			set_settings(order_document=kind, submit_order=1)
			message = self.reminded(sent=80)
			doctype, name = actions.reorder(links.token(message.name, "reorder"))
			if kind == "Quotation":
				order = make_sales_order(name)
				order.delivery_date = add_days(nowdate(), 3)
				order.insert().submit()
				name = order.name
			invoice = make_sales_invoice(name)
			invoice.insert().submit()
			self.assertEqual(
				self.rows(message)[0][:6], (1, getdate(nowdate()), 80, invoice.name, 2, 20), kind
			)

	def test_an_invoice_has_it_worked_out_when_it_is_committed(self):
		from unittest.mock import patch

		message = self.reminded(sent=10)
		stranger, _contact = make_buyer()
		with patch("frappe.enqueue") as enqueue:
			make_invoice(message.customer, [message.items[0].item_code], on=4)
			make_invoice(stranger, [message.items[0].item_code], on=4)
			before = [call for call in enqueue.call_args_list if "outcome.settle" in str(call)]
			frappe.db.commit()
			after = [call for call in enqueue.call_args_list if "outcome.settle" in str(call)]
		self.assertEqual((len(before), len(after)), (0, 1))
		self.assertEqual(after[0].kwargs["customer"], message.customer)

	def test_nothing_of_ours_stops_an_invoice(self):
		from unittest.mock import patch

		message = self.reminded(sent=10)
		with patch.object(outcome, "reminded_items", side_effect=KeyError("broken")):
			invoice = make_invoice(message.customer, [message.items[0].item_code], on=4)
		with patch("frappe.enqueue", side_effect=ConnectionError("no Redis")):
			make_invoice(message.customer, [message.items[0].item_code], on=3)
			frappe.db.commit()
		frappe.db.set_global(outcome.SEEN, str(now_datetime() - timedelta(hours=1)))
		outcome.catch_up()
		self.assertEqual(
			frappe.db.get_value("Reorder Message Item", message.items[0].name, "invoice"), invoice.name
		)

	def test_one_customer_that_fails_does_not_stop_the_others(self):
		from unittest.mock import patch

		good, bad = self.reminded(sent=10), self.reminded(sent=10)
		for message in (good, bad):
			make_invoice(message.customer, [message.items[0].item_code], on=4)
		frappe.db.commit()
		mark = str(now_datetime() - timedelta(hours=1))
		frappe.db.set_global(outcome.SEEN, mark)
		real = outcome.settle_locked

		def broken(customer, items=None):
			if customer == bad.customer:
				raise KeyError("broken")
			return real(customer, items)

		with patch.object(outcome, "settle_locked", broken):
			outcome.catch_up()
		self.assertEqual(frappe.db.get_value("Reorder Message Item", good.items[0].name, "won"), 1)
		self.assertEqual(
			frappe.db.get_global(outcome.SEEN), mark, "the mark went past a customer that failed"
		)
		outcome.catch_up()
		self.assertEqual(frappe.db.get_value("Reorder Message Item", bad.items[0].name, "won"), 1)

	def test_bit_by_bit_is_as_all_at_once(self):
		"""Random invoices, returns and cancellations: after each step as a rebuild from nothing would have it."""
		for seed in range(3):
			draw = random.Random(seed)
			items = [make_item() for _ in range(2)]
			customer, contact = make_buyer()
			for item in items:
				make_reminder(customer, item)
			messages = [
				make_message(
					customer,
					contact,
					[{"item_code": i} for i in draw.sample(items, draw.randint(1, 2))],
					sent,
				)
				for sent in draw.sample(range(1, 70), 4)
			]
			standing = []
			for _step in range(10):
				kind = draw.choice(["sell", "sell", "return", "cancel"])
				if kind == "sell" or not standing:
					document = make_invoice(
						customer, {draw.choice(items): draw.randint(1, 3)}, on=draw.randint(0, 70)
					)
					standing.append(document)
				else:
					document = draw.choice(standing)
					returned = frappe.db.exists(
						"Sales Invoice", {"return_against": document.name, "docstatus": 1}
					)
					if kind == "return" and not returned and not document.is_return:
						standing.append(make_return(document, on=0))
					elif kind == "cancel" and not returned:
						document.reload()
						document.cancel()
						standing.remove(document)
				# As the hook has it done: for the items of that invoice alone.
				outcome.settle(customer, [row.item_code for row in document.items])
				grown = self.all_of(messages)
				frappe.db.sql(
					"UPDATE `tabReorder Message Item` SET `won` = 0, `won_on` = NULL, `won_days` = 0,"
					" `invoice_type` = NULL, `invoice` = NULL, `quantity` = 0, `revenue` = 0 WHERE `parent` IN %s",
					(tuple(m.name for m in messages),),
				)
				outcome.settle(customer)
				self.assertEqual(self.all_of(messages), grown, f"seed {seed}")
			self.assertTrue(any(row[1] for row in grown), "nothing was ever won: the test tries nothing")

	def all_of(self, messages):
		return frappe.db.sql(
			"SELECT `name`, `won`, `won_on`, `won_days`, `invoice`, CAST(`quantity` AS CHAR), CAST(`revenue` AS CHAR)"
			" FROM `tabReorder Message Item` WHERE `parent` IN %s ORDER BY `name`",
			(tuple(m.name for m in messages),),
		)


class TestBonus(OutcomeCase):
	def setUp(self):
		super().setUp()
		self.program = make_program(self.company)

	def rewarded(self, bonus: int = 25, **values):
		message = self.reminded(sent=10, **values)
		frappe.db.set_value("Customer", message.customer, "loyalty_program", self.program)
		frappe.clear_document_cache("Customer", message.customer)
		message.items[0].db_set("loyalty_bonus", bonus)
		return message

	def entries(self, message) -> list[int]:
		return frappe.get_all(
			"Loyalty Point Entry",
			{REMINDED: message.items[0].name},
			pluck="loyalty_points",
			order_by="creation",
		)

	def balance(self, customer: str) -> int:
		from erpnext.accounts.doctype.loyalty_program.loyalty_program import get_loyalty_details

		return get_loyalty_details(customer, self.program, company=self.company)["loyalty_points"] or 0

	def sell(self, message, **values):
		return make_invoice(
			message.customer, {message.items[0].item_code: 2}, on=4, loyalty_program=self.program, **values
		)

	def test_given_once_with_the_programmes_expiry_beside_erpnexts_own(self):
		message = self.rewarded()
		self.sell(message)
		for _again in range(3):
			self.assertEqual(self.rows(message)[0][6], 25)
		self.assertEqual(self.entries(message), [25])
		entry = frappe.get_doc("Loyalty Point Entry", {REMINDED: message.items[0].name})
		self.assertEqual(
			(entry.expiry_date, entry.posting_date, entry.invoice),
			(getdate(add_days(day(4), 90)), day(4), None),
		)
		self.assertEqual(self.balance(message.customer), 25 + 2)

	def test_taken_back_once_by_a_return_and_given_again_when_that_is_cancelled(self):
		message = self.rewarded()
		invoice = self.sell(message)
		self.rows(message)
		back = make_return(invoice, on=2, loyalty_program=self.program)
		for _again in range(3):
			self.assertEqual(self.rows(message)[0][6], 0)
		self.assertEqual(self.entries(message), [25, -25])
		self.assertEqual(self.balance(message.customer), 0)
		back.cancel()
		for _again in range(2):
			self.assertEqual(self.rows(message)[0][6], 25)
		self.assertEqual(self.entries(message), [25, -25, 25])
		self.assertEqual(self.balance(message.customer), 25 + 2)
		invoice.reload()
		invoice.cancel()
		self.rows(message)
		self.rows(message)
		self.assertEqual(self.entries(message), [25, -25, 25, -25])
		self.assertEqual(self.balance(message.customer), 0)

	def test_points_wait_for_the_invoice(self):
		message = self.rewarded()
		note = make_delivery(message.customer, {message.items[0].item_code: 2}, on=4)
		self.assertEqual((self.rows(message)[0][0], self.rows(message)[0][6]), (1, 0))
		bill(note, 2, loyalty_program=self.program)
		self.assertEqual(self.rows(message)[0][6], 25)

	def test_a_partial_return_leaves_it(self):
		message = self.rewarded()
		invoice = self.sell(message)
		self.rows(message)
		make_return(invoice, {message.items[0].item_code: 1}, on=2, loyalty_program=self.program)
		self.assertEqual(self.rows(message)[0][4:7], (1, 10, 25))
		self.assertEqual(self.entries(message), [25])

	def test_nobody_else_gets_any(self):
		held = self.rewarded(kind="Held Out")
		self.sell(held)
		self.assertEqual(self.rows(held)[0][0], 1)
		self.assertEqual(self.entries(held), [])
		outside = self.rewarded()
		frappe.db.set_value("Customer", outside.customer, "loyalty_program", None)
		make_invoice(outside.customer, [outside.items[0].item_code], on=4)
		self.rows(outside)
		self.assertEqual(self.entries(outside), [])
		over = self.rewarded()
		frappe.db.set_value("Loyalty Program", self.program, "to_date", day(5))
		self.sell(over)
		self.rows(over)
		self.assertEqual(self.entries(over), [])

	def test_what_was_given_is_taken_back_after_the_customer_left_the_programme(self):
		message = self.rewarded()
		invoice = self.sell(message)
		self.rows(message)
		frappe.db.set_value("Customer", message.customer, "loyalty_program", None)
		invoice.cancel()
		self.rows(message)
		self.assertEqual(self.entries(message), [25, -25])

	def test_what_was_taken_back_cannot_be_redeemed(self):
		from erpnext.accounts.doctype.loyalty_point_entry.loyalty_point_entry import (
			get_loyalty_point_entries,
			get_redemption_details,
		)

		message = self.rewarded()
		invoice = self.sell(message)
		self.rows(message)
		invoice.cancel()
		self.rows(message)
		redeemed = get_redemption_details(message.customer, self.program, self.company)
		left = sum(
			entry.loyalty_points + redeemed.get(entry.name, 0)
			for entry in get_loyalty_point_entries(message.customer, self.program, self.company)
		)
		self.assertEqual(left, 0)
