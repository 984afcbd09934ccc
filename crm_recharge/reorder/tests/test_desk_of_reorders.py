"""The buttons of the desk's forms, and what a fresh site shows of reorders."""

import json
from unittest.mock import patch

import frappe
from frappe.desk.doctype.dashboard.dashboard import get_permitted_cards, get_permitted_charts
from frappe.desk.doctype.dashboard_chart.dashboard_chart import get as chart_data
from frappe.desk.query_report import run
from frappe.utils import add_days, nowdate

from crm_recharge.reorder import desk
from crm_recharge.reorder.consent import preferences
from crm_recharge.reorder.insight import cards
from crm_recharge.reorder.insight.tests.rows import message
from crm_recharge.reorder.learning import history
from crm_recharge.reorder.privacy import erasing
from crm_recharge.reorder.sending import preview
from crm_recharge.reorder.sending.tests.sending_case import make_account
from crm_recharge.tests.factories import make_user
from crm_recharge.tests.support.reorder_case import (
	ReorderCase,
	day,
	make_buyer,
	make_group,
	make_invoice,
	make_item,
	write_invoices,
)

BOARD = "Reorder Reminders"


class DeskCase(ReorderCase):
	def setUp(self):
		super().setUp()
		self.item = make_item(item_group=make_group())
		self.customer, self.contact = make_buyer()
		for ago in (90, 60, 30):
			make_invoice(self.customer, {self.item: 2}, on=ago)
		self.name = frappe.db.get_value("Reorder Reminder", {"customer": self.customer})

	def tearDown(self):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		super().tearDown()

	def value(self, field):
		return frappe.db.get_value("Reorder Reminder", self.name, field)

	def live(self):
		"""Frappe asks nobody for a role in tests."""
		return patch.dict(frappe.local.flags, in_test=False)


class TestButtons(DeskCase):
	def test_a_wish_moves_the_reminder_and_can_be_taken_back(self):
		later = add_days(nowdate(), 40)
		desk.snooze(self.name, later)
		self.assertEqual(str(self.value("snoozed_until")), later)
		self.assertGreaterEqual(str(self.value("remind_on") or later), later)
		desk.snooze(self.name)
		self.assertIsNone(self.value("snoozed_until"))
		desk.expect(self.name, later)
		self.assertEqual(str(self.value("expected_on")), later)
		desk.expect(self.name, "")
		self.assertIsNone(self.value("expected_on"))

	def test_stop_stops_and_starts_again(self):
		desk.stop(self.name)
		self.assertEqual((self.value("stopped"), self.value("status")), (1, "Stopped"))
		desk.stop(self.name, 0)
		self.assertEqual(self.value("stopped"), 0)
		self.assertNotEqual(self.value("status"), "Stopped")

	def test_days_that_cannot_be_are_refused(self):
		for bad in (nowdate(), add_days(nowdate(), -1), "soon"):
			with self.subTest(bad), self.assertRaises(frappe.ValidationError):
				desk.snooze(self.name, bad)

	def test_order_now_makes_one_order(self):
		first = desk.order_now(self.name, "3", "key-1")
		again = desk.order_now(self.name, "3", "key-1")
		self.assertEqual(first, again)
		order = frappe.get_doc(first["order_type"], first["order"])
		self.assertEqual([(row.item_code, row.qty) for row in order.items], [(self.item, 3)])
		self.assertEqual(order.get("customer") or order.party_name, self.customer)
		with self.assertRaises(frappe.ValidationError):
			desk.order_now(self.name, "0", "key-2")

	def test_what_is_ordered_is_in_the_stock_unit_whatever_the_unit_for_selling(self):
		item = frappe.get_doc("Item", self.item)
		item.append("uoms", {"uom": "Box", "conversion_factor": 6})
		item.sales_uom = "Box"
		item.save()
		placed = desk.order_now(self.name, "3", "key-3")
		row = frappe.get_doc(placed["order_type"], placed["order"]).items[0]
		self.assertEqual((row.uom, row.stock_qty), ("Nos", 3))

	def test_remind_now_says_what_was_held_back(self):
		frappe.db.set_single_value("Reorder Settings", {"enabled": 1, "without_rule": 1, "hold_out_share": 0})
		frappe.clear_document_cache("Reorder Settings", "Reorder Settings")
		make_account()
		frappe.db.set_value("Reorder Reminder", self.name, "remind_on", day(1))
		frappe.db.commit()
		told = desk.remind_now(self.customer)
		self.assertEqual((told["message"], told["mailed"]), (None, False))
		self.assertEqual([row["item"] for row in told["reasons"]], [f"Name of {self.item}"])
		self.assertTrue(told["reasons"][0]["reason"])

	def test_each_role_may_press_what_is_its_own(self):
		calls = {
			"snooze": lambda: desk.snooze(self.name, add_days(nowdate(), 9)),
			"expect": lambda: desk.expect(self.name, add_days(nowdate(), 9)),
			"stop": lambda: desk.stop(self.name),
			"order": lambda: desk.order_now(self.name, "1", "k"),
			"remind": lambda: desk.remind_now(self.customer),
			"learn": lambda: desk.learn_anew(self.customer),
		}
		for role in ("Sales Manager", "Sales User"):
			frappe.set_user("Administrator")
			frappe.set_user(make_user(role))
			for name, call in calls.items():
				with (
					self.subTest(role=role, call=name),
					self.live(),
					self.assertRaises(frappe.PermissionError),
				):
					call()
		frappe.set_user("Administrator")
		frappe.set_user(make_user("Reorder User"))
		calls["snooze"]()
		for name in ("order", "learn"):
			with self.subTest(name), self.live(), self.assertRaises(frappe.PermissionError):
				calls[name]()
		frappe.set_user("Administrator")
		frappe.set_user(make_user("Reorder Manager"))
		with self.live():
			calls["learn"]()
		self.assertEqual(frappe.db.get_value("Reorder Customer", {"customer": self.customer}, "stale"), 1)


class TestWhoseCustomer(DeskCase):
	"""Whoever is kept to some customers by User Permissions works with those alone, whatever button or report."""

	def setUp(self):
		super().setUp()
		self.own, _contact = make_buyer(customer_name=f"100 % {frappe.generate_hash(length=6)}")
		for ago in (90, 60, 30):
			make_invoice(self.own, {self.item: 2}, on=ago)
		self.own_name = frappe.db.get_value("Reorder Reminder", {"customer": self.own})
		self.user = make_user("Reorder Manager", "Sales User")
		frappe.get_doc(
			{"doctype": "User Permission", "user": self.user, "allow": "Customer", "for_value": self.own}
		).insert(ignore_permissions=True)
		frappe.set_user(self.user)

	def calls(self, customer: str, reminder: str) -> dict:
		later = add_days(nowdate(), 9)
		return {
			"snooze": lambda: desk.snooze(reminder, later),
			"expect": lambda: desk.expect(reminder, later),
			"order": lambda: desk.order_now(reminder, "1", f"key {reminder}"),
			"preview": lambda: preview.preview(customer=customer),
			"test": lambda: preview.send_test(customer=customer),
			"stop": lambda: desk.stop(reminder),
			"remind": lambda: desk.remind_now(customer),
			"learn": lambda: desk.learn_anew(customer),
			"erase": lambda: erasing.erase(customer),
			"again": lambda: erasing.learn_again(customer),
		}

	def test_each_button_works_for_their_own_customer_and_for_no_other(self):
		make_account()
		frappe.db.set_single_value("Reorder Settings", "enabled", 1)
		frappe.clear_document_cache("Reorder Settings", "Reorder Settings")
		frappe.db.commit()
		self.addCleanup(frappe.db.set_single_value, "Reorder Settings", "enabled", 0)
		for name, call in self.calls(self.customer, self.name).items():
			with self.subTest(name), self.live(), self.assertRaises(frappe.PermissionError):
				call()
		self.assertEqual(self.days_of(self.customer)[0][0], self.item)
		for name, call in self.calls(self.own, self.own_name).items():
			with self.subTest(name), self.live():
				call()
		self.assertEqual(self.days_of(self.own), [])

	def test_a_customer_that_is_not_there_is_refused_alike(self):
		for name, call in self.calls("Nobody", "nothing").items():
			with (
				self.subTest(name),
				self.live(),
				self.assertRaises((frappe.PermissionError, frappe.DoesNotExistError)),
			):
				call()

	def test_the_purchases_of_all_are_read_by_whoever_may_see_all(self):
		with self.live(), self.assertRaises(frappe.PermissionError):
			history.start()

	def test_reports_and_cards_tell_of_their_own_customer_alone(self):
		frappe.set_user("Administrator")
		write_invoices([(customer, self.item, day(-5), 1) for customer in (self.customer, self.own)])
		message(self.customer, [{"item_code": self.item, "won": 1, "won_days": 2, "revenue": 12.34}], ago=3)
		frappe.set_user(self.user)
		group = frappe.db.get_value("Item", self.item, "item_group")
		for report, filters, tells in (
			("Purchase Data Quality", {"item_code": self.item}, lambda rows: {r["customer"] for r in rows}),
			(
				"Purchase Data Quality",
				{"customer": self.customer},
				lambda rows: {r["customer"] for r in rows},
			),
			(
				"Reorder Cycles",
				{"item_group": group, "least_intervals": 1},
				lambda rows: {r["customers"] for r in rows},
			),
			(
				"Reorder Reminder Funnel",
				{"item_group": group, "company": self.company, "by": "Month"},
				lambda rows: {r["due"] for r in rows},
			),
		):
			found = tells([row for row in run(report, filters)["result"] if isinstance(row, dict)])
			expected = {self.own} if "item_code" in filters else {1} if report == "Reorder Cycles" else set()
			self.assertEqual(found, expected, (report, filters))
		self.assertEqual(cards.won_in_30_days().split(" ")[0], "0")


class TestWhatIsShown(DeskCase):
	def test_dashboard_cards_charts_and_workspace_came_with_the_app(self):
		board = frappe.get_doc("Dashboard", BOARD)
		self.assertEqual((len(board.cards), len(board.charts)), (5, 4))
		self.assertEqual(len(get_permitted_cards(BOARD)), 5)
		self.assertEqual(len(get_permitted_charts(BOARD)), 4)
		workspace = frappe.get_doc("Workspace", BOARD)
		for link in workspace.links:
			if link.type == "Link":
				self.assertTrue(frappe.db.exists(link.link_type, link.link_to), link.link_to)
		blocks = json.loads(workspace.content)
		named = {b["data"]["number_card_name"] for b in blocks if b["type"] == "number_card"}
		self.assertEqual(named, {row.number_card_name for row in workspace.number_cards})
		cards_of_content = {b["data"]["card_name"] for b in blocks if b["type"] == "card"}
		self.assertEqual(cards_of_content, {row.label for row in workspace.links if row.type == "Card Break"})
		shortcuts = {b["data"]["shortcut_name"] for b in blocks if b["type"] == "shortcut"}
		self.assertEqual(shortcuts, {row.label for row in workspace.shortcuts})

	def test_each_card_and_chart_has_figures(self):
		frappe.set_user(make_user("Reorder User"))
		for row in frappe.get_doc("Dashboard", BOARD).cards:
			card = frappe.get_doc("Number Card", row.card)
			with self.subTest(card.name):
				if card.type == "Custom":
					self.assertIn(" · ", frappe.get_attr(card.method)())
				else:
					from frappe.desk.doctype.number_card.number_card import get_result

					self.assertGreaterEqual(get_result(card.as_json(), card.filters_json), 0)
		for row in frappe.get_doc("Dashboard", BOARD).charts:
			chart = frappe.get_doc("Dashboard Chart", row.chart)
			with self.subTest(chart.name):
				if chart.chart_type == "Report":
					dynamic = dict.fromkeys(json.loads(chart.dynamic_filters_json), self.company)
					filters = json.loads(chart.filters_json) | dynamic
					self.assertTrue(run(chart.report_name, filters)["columns"])
				else:
					self.assertTrue(chart_data(chart_name=chart.name, refresh=1)["labels"])

	def test_what_was_won_is_told_with_its_revenue(self):
		before = cards.won_in_30_days()
		message(self.customer, [{"item_code": self.item, "won": 1, "won_days": 2, "revenue": 12.34}], ago=3)
		after = cards.won_in_30_days()
		self.assertEqual(int(after.split(" ")[0]), int(before.split(" ")[0]) + 1)
		frappe.set_user(make_user("Sales User"))
		with self.assertRaises(frappe.PermissionError):
			cards.won_in_30_days()

	def test_a_customer_s_connections_lead_to_its_reminders(self):
		preferences.opt_in(self.contact, self.customer, "Phone", "Yes")
		data = frappe.get_meta("Customer").get_dashboard_data()
		shown = next(group for group in data.transactions if "Reorder Reminder" in group["items"])
		self.assertEqual(shown["items"], ["Reorder Reminder", "Reorder Message", "Reorder Preference"])
		from frappe.desk.notifications import get_open_count

		counts = {
			row["doctype"]: row["count"]
			for row in get_open_count("Customer", self.customer)["count"]["external_links_found"]
		}
		self.assertEqual((counts["Reorder Reminder"], counts["Reorder Preference"]), (1, 1))
