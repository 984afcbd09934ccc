"""Reports and charts under odd filters: a result or a plain refusal, in a time that somebody waits."""

import random
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import frappe
from frappe.core.doctype.report.report import get_report_module_dotted_path
from frappe.desk.query_report import run
from frappe.desk.search import search_link
from frappe.utils import get_system_timezone, getdate, nowdate

from crm_recharge.api import insight
from crm_recharge.credits import usage
from crm_recharge.credits.errors import CreditError
from crm_recharge.domain.errors import shown
from crm_recharge.doors.search import OPERATORS, records_of
from crm_recharge.reorder.answers.tests.reminded import make_message
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.support.money_case import MoneyTestCase
from crm_recharge.tests.support.reorder_case import make_buyer, make_group, make_item
from crm_recharge.tests.test_odd_input import ODD, SEED

A_SAMPLE = 16
CELLS = ("=1+1", "+1", "-1+2", "@A1")


class TestReports(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		modules = frappe.get_module_list("crm_recharge")
		self.reports = frappe.get_all(
			"Report", {"module": ["in", modules], "report_type": "Script Report"}, pluck="name"
		)
		self.assertGreater(len(self.reports), 4)
		self.addCleanup(frappe.clear_messages)

	def filters_of(self, report: str) -> list[str]:
		module = get_report_module_dotted_path(frappe.db.get_value("Report", report, "module"), report)
		execute = frappe.get_attr(f"{module}.execute")
		self.assertTrue(hasattr(execute, "kinds"), f"{report} reads its filters itself")
		return list(execute.kinds)

	def test_every_odd_value_of_every_filter_is_answered_plainly(self):
		for report in self.reports:
			for name in self.filters_of(report):
				for odd, value in random.Random(f"{SEED}{report}{name}").sample([*ODD.items()], A_SAMPLE):
					with self.subTest(report=report, filter=name, value=odd, seed=SEED):
						try:
							run(report, filters={name: value})
						except CreditError as refused:
							self.assertEqual(refused.http_status_code, 422)
							self.assertNotIn("Traceback", str(refused))
						frappe.clear_messages()

	def test_a_misspelt_filter_is_refused_by_name(self):
		for report in self.reports:
			with self.subTest(report=report), self.assertRaisesRegex(CreditError, "compnay"):
				run(report, filters={"compnay": "x"})

	def test_what_does_not_exist_is_refused_by_name(self):
		for report in self.reports:
			for name in {"company", "item_group", "customer", "rule"} & set(self.filters_of(report)):
				with self.subTest(report=report, filter=name), self.assertRaisesRegex(CreditError, "Nowhere"):
					run(report, filters={name: "Nowhere"})

	def test_days_the_wrong_way_round_are_refused(self):
		for report in self.reports:
			if "from_date" in self.filters_of(report):
				with self.subTest(report=report), self.assertRaises(CreditError) as refused:
					run(report, filters={"from_date": "2026-03-02", "to_date": "2026-03-01"})
				self.assertEqual(refused.exception.code, "period_backwards")

	def test_two_thousand_years_take_no_time(self):
		for report in self.reports:
			if "from_date" in self.filters_of(report):
				started = time.monotonic()
				try:
					run(report, filters={"from_date": "1900-01-01", "to_date": "9998-12-31"})
				except frappe.ValidationError:
					pass
				self.assertLess(time.monotonic() - started, 10, report)


class TestCreditsByDay(MoneyTestCase):
	def chart(self, **arguments) -> dict:
		return insight.credits_by_day(**{"filters": {"currency": "USD"}, "refresh": 1} | arguments)

	def refused(self, **arguments) -> str:
		with self.assertRaises(CreditError) as refused:
			self.chart(**arguments)
		return refused.exception.code

	def test_odd_arguments_are_refused_with_a_code(self):
		for arguments, code in (
			({"from_date": "2026-03-02", "to_date": "2026-03-01"}, "period_backwards"),
			({"from_date": "2026-02-30"}, "bad_day"),
			({"from_date": ["2026-02-01"]}, "bad_day"),
			({"to_date": "0001-01-01"}, "bad_day"),
			({"time_interval": "Hourly"}, "not_one_of"),
			({"timespan": "Forever"}, "not_one_of"),
			({"filters": {"company": "Nowhere"}}, "unknown_record"),
			({"filters": {"currency": ["USD"]}}, "not_text"),
			({"filters": {"compnay": "x"}}, "unknown_field"),
			({"filters": [["Credit Ledger", "company", "=", "x"]]}, "not_an_object"),
			({"filters": "["}, "not_an_object"),
			({"chart": {"filters_json": "{"}, "filters": None}, "not_an_object"),
			({"chart": {"time_interval": ["Daily"]}}, "not_text"),
			({"refresh": "perhaps"}, "not_a_bool"),
		):
			with self.subTest(arguments=arguments):
				self.assertEqual(self.refused(**arguments), code)

	def test_two_thousand_years_are_cut_to_what_has_moved(self):
		account = self.account("10")
		usage.charge(account, {"amount": 1, "idempotency_key": "k"})
		frappe.db.commit()
		for interval in insight.DAYS_OF_A_BAR:
			started = time.monotonic()
			chart = self.chart(from_date="1900-01-01", to_date="9998-12-31", time_interval=interval)
			self.assertLess(time.monotonic() - started, 5, interval)
			self.assertLessEqual(len(chart["labels"]), insight.MOST_BARS + 2)
			self.assertGreaterEqual(sum(chart["datasets"][0]["values"]), 1)

	def test_more_bars_than_anybody_tells_apart_are_refused_with_a_way_out(self):
		entry = frappe.db.get_value("Credit Ledger", {}, "name", order_by="creation asc")
		if not entry:
			self.account("10")
			entry = frappe.db.get_value("Credit Ledger", {}, "name", order_by="creation asc")
		frappe.db.sql("UPDATE `tabCredit Ledger` SET `posted_at` = '2010-01-01' WHERE `name` = %s", entry)
		self.addCleanup(frappe.db.rollback)
		with self.assertRaisesRegex(CreditError, "longer interval"):
			self.chart(from_date="2000-01-01")
		self.assertLess(len(self.chart(from_date="2000-01-01", time_interval="Monthly")["labels"]), 400)

	def test_all_time_is_shown(self):
		self.assertTrue(self.chart(timespan="All Time")["labels"])

	def test_usage_counts_on_the_day_it_occurred_where_the_account_is(self):
		site = ZoneInfo(get_system_timezone())
		day = getdate(nowdate()) - timedelta(days=3)
		for zone in (None, "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu"):
			with self.subTest(zone=zone):
				currency = "CHF"
				account = self.account("10", currency=currency, time_zone=zone)
				noon = datetime(day.year, day.month, day.day, 0, 10, tzinfo=ZoneInfo(zone) if zone else site)
				late = noon + timedelta(hours=23, minutes=40)
				before = self.used(currency)
				for number, moment in enumerate((noon, late)):
					usage.charge(
						account,
						{"amount": 1, "idempotency_key": f"k{number}", "occurred_at": moment.isoformat()},
					)
				frappe.db.commit()
				after = self.used(currency)
				grown = {d: after[d] - before[d] for d in after if after[d] != before[d]}
				self.assertEqual(grown, {day: 2.0})

	def used(self, currency: str) -> dict:
		days = [getdate(nowdate()) - timedelta(days=n) for n in range(6, -1, -1)]
		chart = self.chart(
			filters={"currency": currency}, from_date=days[0], to_date=days[-1], time_interval="Daily"
		)
		return dict(zip(days, chart["datasets"][0]["values"], strict=True))


class TestSearches(MoneyTestCase):
	"""What link fields of forms ask for, in each shape that the desk has for a filter."""

	def found(self, doctype: str, filters) -> list[str]:
		return [row["value"] for row in search_link(doctype, "", filters=filters, page_length=500)]

	def test_every_shape_of_a_filter_finds_what_it_says(self):
		account = self.account("1")
		customer, company = frappe.db.get_value("Credit Account", account, ["customer", "company"])
		row = ["Credit Account", "customer", "=", customer]
		for filters in (
			{"customer": customer},
			{"customer": ["=", customer]},
			{"customer": ["in", [customer, "x"]]},
			{"customer": ["in", f"{customer},x"]},
			{"customer": customer, "status": ["is", "set"], "modified_by": ["is", "set"], "idx": 0},
			{"customer": customer, "_user_tags": ["is", "not set"], "_assign": ["not like", "%x%"]},
			{"customer": customer, "creation": ["Timespan", "today"]},
			{"customer": customer, "creation": ["Between", [nowdate(), nowdate()]]},
			{"customer": customer, "name": ["!=", "x"]},
			[row],
			[row[1:]],
			[[*row, False]],
			[{"customer": customer}],
			[row, ["Credit Account", "docstatus", "<", 2], ["Credit Account", "company", "like", company]],
			frappe.as_json([[*row, False]]),
		):
			with self.subTest(filters=filters):
				self.assertEqual(self.found("Credit Account", filters), [account])

	def test_a_text_that_reads_as_a_number_is_a_name_all_the_same(self):
		for name in ("Infinity", "NaN", "1e400"):
			self.assertEqual(self.found("Credit Account", {"customer": name}), [])

	def test_a_tree_is_searched_downwards_and_upwards(self):
		above = make_group(is_group=1)
		below = make_group(parent_item_group=above)
		rule = frappe.get_doc({"doctype": "Reorder Rule", "applies_to": "Item Group", "item_group": below})
		rule.insert()
		self.assertIn(rule.name, self.found("Reorder Rule", {"enabled": True}))
		self.assertNotIn(rule.name, self.found("Reorder Rule", {"enabled": False}))
		for operator, group, is_found in (
			("descendants of", above, True),
			("descendants of", below, False),
			("descendants of (inclusive)", below, True),
			("not descendants of", above, False),
			("ancestors of", below, False),
			("not ancestors of", below, True),
		):
			with self.subTest(operator=operator, group=group):
				found = self.found("Reorder Rule", [["Reorder Rule", "item_group", operator, group, False]])
				self.assertEqual(rule.name in found, is_found)

	def test_a_row_of_a_table_finds_its_record_once(self):
		customer, contact = make_buyer()
		items = [make_item(), make_item()]
		message = make_message(customer, contact, [{"item_code": item} for item in items])
		filters = [["Reorder Message Item", "item_code", "in", items]]
		self.assertEqual(self.found("Reorder Message", filters), [message.name])

	def test_every_odd_filter_is_answered_plainly(self):
		columns = ("name", "creation", "_liked_by", "applies_to", "item_group", "enabled", "lead_time")
		columns += ("discount_percent", "section_timing", "nope", "1=1", "", None, "name`")
		pick = random.Random(SEED)
		for _round in range(1500):
			column, operator = pick.choice(columns), pick.choice([*OPERATORS, "Timespan", "nope", None, 1])
			odd, value = pick.choice([*ODD.items()])
			value = pick.choice(
				[value, [value], [value, value], nowdate(), "1 week", "set", "All Item Groups"]
			)
			filters = pick.choice(
				[{column: [operator, value]}, [["Reorder Rule", column, operator, value]], {column: value}]
			)
			with self.subTest(filters=shown(filters), odd=odd, seed=SEED):
				try:
					records_of("Reorder Rule", filters=filters)
				except frappe.ValidationError as refused:
					self.assertIn(getattr(refused, "http_status_code", 417), (417, 422))
				frappe.clear_messages()


class TestExportsOfReports(BenchTestCase):
	def test_a_report_that_becomes_a_file_holds_no_formulas(self):
		from crm_recharge.intake import filtered

		@filtered()
		def execute(filters=None):
			return [], [{"a": text, "b": -1.5} for text in CELLS] + [["=1", -1]], None, None, "summary"

		_columns, rows, *more = execute({})
		self.assertEqual([row["a"] for row in rows[:-1]], [f"'{text}" for text in CELLS])
		self.assertEqual([row["b"] for row in rows[:-1]], [-1.5] * len(CELLS))
		self.assertEqual(rows[-1], ["'=1", -1])
		self.assertEqual(more, [None, None, "summary"])
