"""Whatever happens to invoices, in whatever order, leaves what working it out from scratch leaves."""

import os
import random
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import nowdate

from crm_recharge.reorder.learning import bulk, customers, pairs, purchases, repair
from crm_recharge.tests.factories import make_customer
from crm_recharge.tests.support.reorder_case import (
	DELIVERY,
	POS,
	SALES,
	ReorderCase,
	day,
	make_bundle,
	make_buyer,
	make_invoice,
	make_item,
	make_return,
	purchase_days,
)

SEED = int(os.environ.get("REORDER_SEED") or random.SystemRandom().randrange(10**6))


def statistics(customer: str) -> list[tuple]:
	"""All that Reorder Reminder keeps of purchases, as text: to the last digit."""
	columns = ", ".join(f"CAST(`{c}` AS CHAR)" for c in pairs.STATE_COLUMNS)
	return list(
		frappe.db.sql(
			f"SELECT `item_code`, CAST(`usual_interval` AS CHAR), `irregular`, `relearn_on`, {columns}"
			" FROM `tabReorder Reminder` WHERE `customer` = %s ORDER BY `item_code`",
			customer,
		)
	)


def forget(customer: str) -> None:
	frappe.db.delete("Reorder Reminder", {"customer": customer})
	frappe.db.delete("Reorder Purchase Day", {"customer": customer})


class LearningCase(ReorderCase):
	def assert_as_from_scratch(self, customer: str, note: str = "") -> None:
		"""What the hooks left, with what they left to the repair, is what a rebuild makes of the invoices."""
		frappe.db.commit()
		left = repair.to_relearn(customer)
		if left:
			pairs.rebuild([customer], left)
		learned = purchase_days(customer), statistics(customer)
		forget(customer)
		pairs.rebuild([customer])
		scratch = purchase_days(customer), statistics(customer)
		self.assertEqual(learned, scratch, note)


class Light:
	"""Invoices and notes written straight into the tables and told to the hooks: hundreds of histories in seconds."""

	RETURNED = {SALES: "sales_invoice_item", POS: "pos_invoice_item", DELIVERY: "dn_detail"}
	PARTNER = {SALES: "dn_detail", POS: "dn_detail", DELIVERY: "si_detail"}

	def __init__(self, customer: str, items: list[str], company: str, rng: random.Random):
		self.customer, self.items, self.company, self.rng = customer, items, company, rng
		self.standing: list[tuple[str, str]] = []
		self.doctypes = [SALES, SALES, POS]

	def submit(self, doctype: str, on: int, rows: list[tuple], against: str | None = None, **values) -> str:
		"""rows: (item, quantity, row it returns), and perhaps a dict of other fields."""
		name = f"L-{frappe.generate_hash(length=12)}"
		common = {"creation": nowdate(), "modified": nowdate(), "docstatus": 1}
		parent = {
			**common,
			"name": name,
			"customer": self.customer,
			"company": self.company,
			"posting_date": day(on),
			"return_against": against,
			"is_return": int(bool(against)),
			**({} if doctype == DELIVERY else {"is_opening": "No"}),
			**values,
		}
		self._insert(doctype, parent)
		for item, quantity, returned, *more in rows:
			self._insert(
				f"{doctype} Item",
				{
					**common,
					"name": frappe.generate_hash(length=14),
					"parent": name,
					"parenttype": doctype,
					"parentfield": "items",
					"item_code": item,
					"stock_qty": str(quantity),
					"qty": str(quantity),
					self.RETURNED[doctype]: returned,
					**(more[0] if more else {}),
				},
			)
		purchases.on_submit(frappe._dict(doctype=doctype, name=name, customer=self.customer))
		self.standing.append((doctype, name))
		return name

	def cancel(self, doctype: str, name: str) -> None:
		frappe.db.sql(f"UPDATE `tab{doctype}` SET `docstatus` = 2 WHERE `name` = %s", name)
		self.standing.remove((doctype, name))
		purchases.on_cancel(frappe._dict(doctype=doctype, name=name, customer=self.customer))

	def _insert(self, doctype: str, values: dict) -> None:
		columns = ", ".join(f"`{c}`" for c in values)
		frappe.db.sql(
			f"INSERT INTO `tab{doctype}` ({columns}) VALUES ({', '.join(['%s'] * len(values))})",
			tuple(values.values()),
		)

	def step(self) -> str:
		"""Something happens; returns what."""
		roll, doctype = self.rng.random(), self.rng.choice(self.doctypes)
		if roll < 0.5 or not self.standing:
			return f"buy {self.submit(doctype, self._day(), self._rows(doctype), **self._head(doctype))}"
		doctype, name = self.rng.choice(self.standing)
		if roll < 0.7:
			self.cancel(doctype, name)
			return f"cancel {name}"
		if roll < 0.8:
			self.cancel(doctype, name)
			return f"amend {name}: {self.submit(doctype, self._day(), self._rows(doctype))}"
		rows = frappe.get_all(
			f"{doctype} Item",
			{"parent": name, "stock_qty": [">", 0]},
			["name", "item_code", "stock_qty", "so_detail", self.PARTNER[doctype]],
			order_by="name",
		)
		if not rows:
			return "nothing"
		row = self.rng.choice(rows)
		quantity = -self.rng.choice(
			[Decimal(str(row.stock_qty)), Decimal("0.5"), Decimal("1"), Decimal("0.000000001")]
		)
		on = self.rng.choice([0, 1, 2, -2])
		if roll < 0.93:
			# ERPNext hands the links of what is returned on.
			links = {"so_detail": row.so_detail, self.PARTNER[doctype]: row[self.PARTNER[doctype]]}
			link = self.rng.choice([row.name, None])
			returned = self.submit(doctype, on, [(row.item_code, quantity, link, links)], against=name)
			return f"return {returned} of {name}"
		return f"loose return {self.submit(doctype, self._day(), [(row.item_code, quantity, None)], is_return=1)}"

	def _day(self) -> int:
		return self.rng.choice([*range(0, 9), 30, 400, 8000, -3])

	def _head(self, doctype: str) -> dict:
		return {}

	def _rows(self, doctype: str) -> list[tuple]:
		return [(self.rng.choice(self.items), self._quantity(), None) for _ in range(self.rng.randint(1, 3))]

	def _quantity(self) -> Decimal:
		return self.rng.choice([Decimal("1"), Decimal("0.1"), Decimal("0.2"), Decimal("3.333333333")])


class Trade(Light):
	"""The same with deliveries, which name the invoice they are of, or the invoice them, or both an order; with a
	bundle, and with gifts."""

	def __init__(self, customer: str, items: list[str], company: str, rng: random.Random, bundle: str):
		super().__init__(customer, items, company, rng)
		self.bundle = bundle
		self.orders = [frappe.generate_hash(length=10) for _ in range(2)]
		self.doctypes = [SALES, DELIVERY, DELIVERY, SALES, POS]

	def _head(self, doctype: str) -> dict:
		return {"update_stock": 1} if doctype == SALES and self.rng.random() < 0.2 else {}

	def _rows(self, doctype: str) -> list[tuple]:
		return [self._row(doctype) for _ in range(self.rng.randint(1, 3))]

	def _row(self, doctype: str) -> tuple:
		item = self.rng.choice([*self.items, self.bundle])
		links = {"so_detail": self.rng.choice([None, *self.orders])}
		other = DELIVERY if doctype != DELIVERY else SALES
		found = frappe.get_all(
			f"{other} Item",
			{"parent": ["in", [n for d, n in self.standing if d == other]], "stock_qty": [">", 0]},
			["name", "item_code", "so_detail", "stock_qty"],
			order_by="name",
		)
		if found and self.rng.random() < 0.5:
			row = self.rng.choice(found)
			item, quantity = row.item_code, self.rng.choice([Decimal(str(row.stock_qty)), Decimal("0.1")])
			return item, quantity, None, {self.PARTNER[doctype]: row.name, "so_detail": row.so_detail}
		if self.rng.random() < 0.1:
			links["is_free_item"] = 1
		return item, self._quantity(), None, links


class TestAnyOrder(LearningCase):
	def test_random_histories_leave_what_a_rebuild_leaves(self):
		for number in range(40):
			rng = random.Random(SEED + number)
			customer = make_customer()
			items = [make_item(price=None), make_item(price=None)]
			light = Light(customer, items, self.company, rng)
			steps = []
			for _ in range(rng.randint(3, 14)):
				steps.append(light.step())
				frappe.db.commit()
				if rng.random() < 0.3:
					self.assert_as_from_scratch(customer, f"REORDER_SEED={SEED + number}: {steps}")
				elif rng.random() < 0.3:
					repair.settle(customer)
			self.assert_as_from_scratch(customer, f"REORDER_SEED={SEED + number}: {steps}")

	def test_random_histories_with_deliveries_bundles_and_gifts_leave_what_a_rebuild_leaves(self):
		for number in range(25):
			rng = random.Random(SEED + number)
			customer, items = make_customer(), [make_item(price=None), make_item(price=None)]
			trade = Trade(
				customer, items, self.company, rng, make_bundle({items[0]: 2, make_item(price=None): 3})
			)
			steps = []
			for _ in range(rng.randint(4, 18)):
				steps.append(trade.step())
				frappe.db.commit()
				if rng.random() < 0.2:
					self.assert_as_from_scratch(customer, f"REORDER_SEED={SEED + number}: {steps}")
				elif rng.random() < 0.3:
					repair.settle(customer)
			self.assert_as_from_scratch(customer, f"REORDER_SEED={SEED + number}: {steps}")

	def test_days_that_come_are_learned_on_their_day(self):
		customer, item = make_customer(), make_item(price=None)
		light = Light(customer, [item], self.company, random.Random(1))
		light.submit(SALES, 20, [(item, 1, None)])
		coming = light.submit(SALES, -2, [(item, 2, None)])
		self.settle(customer)
		self.assertEqual(purchase_days(customer), [(item, day(20), Decimal(1))])
		self.assertNotIn(customer, repair.due())
		with self.days_later(2):
			self.assertIn(customer, repair.due())
			repair.settle(customer)
			self.assertEqual([d for _, d, _ in purchase_days(customer)], [day(20), day(-2)])
			self.assert_as_from_scratch(customer)
			light.cancel(SALES, coming)
			self.assert_as_from_scratch(customer)
			self.assertEqual(len(purchase_days(customer)), 1)

	def days_later(self, days: int):
		return patch.object(purchases, "today", return_value=purchases.today() + days)


class TestRealInvoices(LearningCase):
	"""The same with ERPNext's own documents: amendments, returns and cancelling as people do them."""

	def test_what_people_do_to_invoices(self):
		customer, _contact = make_buyer()
		item, other = make_item(), make_item()
		first = make_invoice(customer, {item: 3, other: 1}, 60)
		second = make_invoice(customer, {item: 2}, 30)
		back_dated = make_invoice(customer, {item: 1, other: 2}, 45)
		till = make_invoice(customer, {item: 5}, 20, doctype=POS)
		self.assert_as_from_scratch(customer)
		self.assertEqual(
			[d for i, d, _ in self.days_of(customer, item)], [day(60), day(45), day(30), day(20)]
		)

		came_back = make_return(second, {item: 1}, on=3)
		self.assertIn((item, day(30), Decimal(1)), self.days_of(customer))
		all_back = make_return(till)
		self.assertNotIn(day(20), [d for _, d, _ in self.days_of(customer)])
		self.assert_as_from_scratch(customer)

		all_back.cancel()
		came_back.cancel()
		self.assertIn((item, day(20), Decimal(5)), self.days_of(customer))
		first.reload()
		first.cancel()
		amended = frappe.copy_doc(first)
		amended.update(
			{"docstatus": 0, "amended_from": first.name, "posting_date": day(58), "due_date": day(58)}
		)
		amended.set("payment_schedule", [])
		amended.items[0].qty = 7
		amended.insert()
		amended.submit()
		self.assertEqual(
			self.days_of(customer, item),
			[
				(item, day(58), Decimal(7)),
				(item, day(45), Decimal(1)),
				(item, day(30), Decimal(2)),
				(item, day(20), Decimal(5)),
			],
		)
		back_dated.reload()
		back_dated.cancel()
		self.assert_as_from_scratch(customer)

	def test_a_box_counts_in_the_stock_unit(self):
		item = make_item(uoms=[{"uom": "Box", "conversion_factor": 12}])
		customer, _contact = make_buyer()
		make_invoice(customer, [{"item_code": item, "qty": 2, "uom": "Box", "conversion_factor": 12}], 5)
		self.assertEqual(self.days_of(customer), [(item, day(5), Decimal(24))])

	def test_more_returned_than_bought_is_no_purchase_and_can_be_undone(self):
		item, customer = make_item(price=None), make_customer()
		light = Light(customer, [item], self.company, random.Random(1))
		bought = light.submit(SALES, 9, [(item, 1, None)])
		light.submit(SALES, 5, [(item, 1, None)])
		returned = light.submit(SALES, 3, [(item, -4, None)], against=bought)
		self.assert_as_from_scratch(customer)
		self.assertEqual([d for _, d, _ in purchase_days(customer)], [day(5)])
		self.assertTrue(self.reminder(customer, item).irregular)
		light.cancel(SALES, returned)
		self.assert_as_from_scratch(customer)
		self.assertEqual([d for _, d, _ in purchase_days(customer)], [day(9), day(5)])
		self.assertFalse(self.reminder(customer, item).irregular)

	def test_a_return_without_its_invoice_is_worked_out_soon_after(self):
		item = make_item()
		customer, _contact = make_buyer()
		make_invoice(customer, {item: 2}, 30)
		make_invoice(customer, {item: 2}, 20)
		make_invoice(customer, {item: -3}, 10, is_return=1)
		reminder = self.reminder(customer, item)
		self.assertEqual((reminder.irregular, reminder.remind_on), (1, None))
		frappe.db.commit()
		self.assertIn(("settle", {"customer": customer, "anew": False}), self.jobs)
		self.settle(customer)
		self.assertEqual(self.days_of(customer), [(item, day(30), Decimal(1))])
		make_invoice(customer, {item: 4}, 1)
		self.settle(customer)
		self.assert_as_from_scratch(customer)


class TestNothingStopsAnInvoice(LearningCase):
	def test_a_failure_leaves_the_invoice_and_a_customer_to_be_learned_anew(self):
		item = make_item()
		customer, _contact = make_buyer()
		make_invoice(customer, {item: 1}, 30)
		with patch.object(pairs, "write", side_effect=RuntimeError("disk on fire")):
			invoice = make_invoice(customer, {item: 2}, 10)
		frappe.db.commit()
		self.assertEqual(frappe.db.get_value(SALES, invoice.name, "docstatus"), 1)
		# What was written before the failure is undone with it.
		self.assertEqual(self.days_of(customer), [(item, day(30), Decimal(1))])
		row = frappe.db.get_value(
			"Reorder Customer", {"customer": customer}, ["stale", "stale_reason"], as_dict=True
		)
		self.assertEqual(row.stale, 1)
		self.assertIn(invoice.name, row.stale_reason)
		self.assertIn(
			"disk on fire",
			frappe.get_all(
				"Error Log",
				{"reference_name": invoice.name},
				pluck="error",
				order_by="creation desc",
				limit=1,
			)[0],
		)
		self.assertIn(customer, repair.due())
		repair.sweep()
		self.assertEqual(len(self.days_of(customer)), 2)
		self.assertFalse(frappe.db.get_value("Reorder Customer", {"customer": customer}, "stale"))
		self.assert_as_from_scratch(customer)

	def test_one_customer_that_fails_does_not_stop_the_repair_of_others(self):
		customers_ = [make_customer() for _ in range(3)]
		for customer in customers_:
			customers.mark_stale(customer, "test")
		frappe.db.commit()
		real = pairs.rebuild

		def rebuild(some, items=None):
			if some == [customers_[1]]:
				raise RuntimeError("bad luck")
			return real(some, items)

		with patch.object(pairs, "rebuild", rebuild):
			done = repair.sweep()
			repair.sweep()
		self.assertIn(customers_[0], done)
		self.assertIn(customers_[2], done)
		self.assertNotIn(customers_[1], done)
		row = frappe.db.get_value(
			"Reorder Customer", {"customer": customers_[1]}, ["stale", "stale_reason"], as_dict=True
		)
		self.assertEqual((row.stale, row.stale_reason), (1, "RuntimeError: bad luck"))
		logs = frappe.get_all("Error Log", {"reference_name": customers_[1]})
		self.assertEqual(len(logs), 1, "an error log for each hour would bury the others")
		repair.sweep()
		self.assertFalse(frappe.db.get_value("Reorder Customer", {"customer": customers_[1]}, "stale"))

	def test_a_lost_transaction_is_not_hidden(self):
		invoice = frappe._dict(doctype=SALES, name="none", customer=make_customer())
		with (
			patch.object(purchases, "of_document", side_effect=frappe.QueryDeadlockError()),
			self.assertRaises(frappe.QueryDeadlockError),
		):
			purchases.on_submit(invoice)


class TestSnapshots(LearningCase):
	"""What one transaction began to read before another one committed."""

	def test_an_invoice_that_began_before_another_was_learned_is_worked_out_anew(self):
		item, customer = make_item(price=None), make_customer()
		light = Light(customer, [item], self.company, random.Random(1))
		light.submit(SALES, 30, [(item, 1, None)])
		frappe.db.commit()
		frappe.db.sql("SELECT COUNT(*) FROM `tabReorder Purchase Day`")  # the snapshot begins
		with other_connection():
			Light(customer, [item], self.company, random.Random(2)).submit(SALES, 20, [(item, 2, None)])
			frappe.db.commit()
		light.submit(SALES, 10, [(item, 4, None)])
		frappe.db.commit()
		self.assertTrue(self.reminder(customer, item).irregular)
		self.settle(customer)
		self.assertEqual([q for _, _, q in purchase_days(customer)], [Decimal(1), Decimal(2), Decimal(4)])
		self.assertFalse(self.reminder(customer, item).irregular)

	def test_an_invoice_waits_for_the_customers_lock_but_not_for_ever(self):
		item, customer = make_item(price=None), make_customer()
		light = Light(customer, [item], self.company, random.Random(1))
		light.submit(SALES, 30, [(item, 1, None)])
		frappe.db.commit()
		with other_connection() as other:
			customers.lock(customer)
			with patch.object(customers, "WAIT", 1), other.back():
				light.submit(SALES, 10, [(item, 4, None)])
				frappe.db.commit()
		self.assertEqual(len(purchase_days(customer)), 1)
		# The row that would say so is the locked one: a job is told instead.
		self.assertIn(("settle", {"customer": customer, "anew": True}), self.jobs)
		repair.settle(customer, anew=True)
		self.assertEqual(len(purchase_days(customer)), 2)

	def test_where_waiting_may_cost_the_invoice_a_job_does_it(self):
		item, customer = make_item(price=None), make_customer()
		light = Light(customer, [item], self.company, random.Random(1))
		light.submit(SALES, 30, [(item, 1, None)])
		frappe.db.commit()
		if not frappe.db.sql("SHOW SESSION VARIABLES LIKE 'innodb_snapshot_isolation'"):
			self.skipTest("this MariaDB has no innodb_snapshot_isolation")
		frappe.db.sql("SET SESSION innodb_snapshot_isolation = ON")
		self.addCleanup(frappe.db.sql, "SET SESSION innodb_snapshot_isolation = OFF")
		frappe.db.commit()
		frappe.db.sql("SELECT COUNT(*) FROM `tabReorder Purchase Day`")  # the snapshot begins
		with other_connection():
			light.submit(SALES, 20, [(item, 2, None)])
			frappe.db.commit()
		light.submit(SALES, 10, [(item, 4, None)])
		frappe.db.commit()
		self.assertEqual(len(purchase_days(customer)), 2)
		label, arguments = self.jobs[-1]
		self.assertEqual((label, arguments["items"]), ("settle", [item]))
		repair.settle(**arguments)
		self.assertEqual(len(purchase_days(customer)), 3)
		self.assert_as_from_scratch(customer)

		# A failure on top is told to a job as well, and the invoice stands.
		with patch.object(purchases, "of_document", side_effect=RuntimeError("no")):
			light.submit(SALES, 5, [(item, 4, None)])
		frappe.db.commit()
		self.assertEqual(self.jobs[-1], ("settle", {"customer": customer, "anew": True}))


class other_connection:
	"""A second connection in place of `frappe.db`; `back()` for the first one meanwhile."""

	def __enter__(self):
		self.own = frappe.local.db
		frappe.local.db = None
		frappe.connect(set_admin_as_user=False)
		self.other = frappe.local.db
		return self

	def __exit__(self, *error):
		self.other.rollback()
		self.other.close()
		frappe.local.db = self.own

	def back(self):
		outer = self

		class Back:
			def __enter__(self):
				frappe.local.db = outer.own

			def __exit__(self, *error):
				frappe.local.db = outer.other

		return Back()


class TestBulk(LearningCase):
	def test_values_arrive_as_they_left(self):
		name = f"cust'omer\"\\ %s é 漢 {frappe.generate_hash(length=5)}"
		rows = [(name, f"item {i}", day(i), Decimal("123456789.123456789")) for i in range(3)]
		rows.append((name, "none", None, 0))
		bulk.insert("Reorder Purchase Day", pairs.DAY_COLUMNS, rows)
		there = frappe.db.sql(
			"SELECT `name`, `customer`, `day`, CAST(`quantity` AS CHAR) FROM `tabReorder Purchase Day`"
			" WHERE `customer` = %s ORDER BY `item_code`",
			name,
		)
		self.assertEqual([r[1] for r in there], [name] * 4)
		self.assertEqual([r[2] for r in there], [day(0), day(1), day(2), None])
		self.assertEqual(there[0][3], "123456789.123456789")
		changed = bulk.update(
			"Reorder Purchase Day",
			{"quantity": bulk.NUMBER},
			[(row[0], Decimal("2.5"), day(1)) for row in there],
			same={"day": bulk.DAY},
		)
		self.assertEqual(changed, 1)
		bulk.delete("Reorder Purchase Day", [row[0] for row in there])
		self.assertFalse(frappe.db.exists("Reorder Purchase Day", {"customer": name}))
