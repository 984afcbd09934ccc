"""Reports on rows whose figures can be told by hand."""

import math
from decimal import Decimal

import frappe
from frappe.core.doctype.report.report import get_report_module_dotted_path
from frappe.desk.query_report import run
from frappe.utils import add_days, add_months, getdate, nowdate

from crm_recharge.domain.reorder.uplift import Group, Verdict, uplift
from crm_recharge.reorder.insight import effect, forgotten, funnel
from crm_recharge.reorder.insight.cycles import cycles
from crm_recharge.reorder.insight.scope import period_of
from crm_recharge.reorder.insight.tests.rows import message, pair
from crm_recharge.tests.factories import make_customer, make_user
from crm_recharge.tests.support.reorder_case import ReorderCase, make_group, make_invoice, make_item

REPORTS = (
	"Reorder Cycles",
	"Most Forgotten Items",
	"Reorder Reminder Funnel",
	"Reorder Uplift",
	"Purchase Data Quality",
)


class InsightCase(ReorderCase):
	def setUp(self):
		super().setUp()
		self.group = make_group()
		self.customers = [make_customer() for _ in range(3)]

	def tearDown(self):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		super().tearDown()


class TestCycles(InsightCase):
	def test_median_and_quartiles_are_those_of_the_intervals_logarithms(self):
		item = make_item(item_group=self.group)
		pair(self.customers[0], item, [100, 90, 70, 30], self.group)  # 10, 20, 40
		pair(self.customers[1], item, [25, 5], self.group)  # 20
		pair(self.customers[2], item, [5], self.group)
		logs = [math.log(n) for n in (10, 20, 40, 20)]
		mean = sum(logs) / 4
		spread = math.sqrt(sum((g - mean) ** 2 for g in logs) / 3)
		(row,) = cycles({"item_group": self.group, "least_intervals": 1})
		self.assertEqual(
			(row["item_code"], row["pairs"], row["repeated"], row["customers"], row["intervals"]),
			(item, 3, 2, 3, 4),
		)
		self.assertAlmostEqual(row["median"], math.exp(mean), places=6)
		self.assertAlmostEqual(row["p25"], math.exp(mean - 0.67448975 * spread), places=5)
		self.assertAlmostEqual(row["p75"], math.exp(mean + 0.67448975 * spread), places=5)
		self.assertAlmostEqual(row["spread"], (row["p75"] - row["p25"]) / row["median"], places=6)

	def test_the_shortest_come_first_and_few_intervals_do_not_count(self):
		monthly, weekly, once = (make_item(item_group=self.group) for _ in range(3))
		for customer in self.customers:
			pair(customer, monthly, [90, 60, 30], self.group)
			pair(customer, weekly, [21, 14, 7], self.group)
		pair(self.customers[0], once, [3, 2], self.group)
		rows = cycles({"item_group": self.group, "least_intervals": 6})
		self.assertEqual([row["item_code"] for row in rows], [weekly, monthly])
		self.assertEqual([round(row["median"], 6) for row in rows], [7, 30])
		self.assertEqual([row["spread"] for row in rows], [0, 0])
		self.assertIn(
			once, [row["item_code"] for row in cycles({"item_group": self.group, "least_intervals": 1})]
		)
		(only,) = cycles({"customer": self.customers[1], "item_code": weekly, "least_intervals": 1})
		self.assertEqual((only["pairs"], only["intervals"]), (1, 2))

	def test_by_group_customers_are_counted_once_and_groups_below_belong_to_it(self):
		parent = make_group(is_group=1)
		low, high = make_group(parent_item_group=parent), make_group(parent_item_group=parent)
		one, two, other = make_item(item_group=low), make_item(item_group=low), make_item(item_group=high)
		for item, group in ((one, low), (two, low), (other, high)):
			pair(self.customers[0], item, [60, 30], group)
		rows = {
			row["item_group"]: row
			for row in cycles({"by": "Item Group", "item_group": parent, "least_intervals": 1})
		}
		self.assertEqual(set(rows), {low, high})
		self.assertEqual((rows[low]["pairs"], rows[low]["customers"]), (2, 1))

	def test_the_rule_s_usual_interval_stands_beside_what_is_learned(self):
		item = make_item(item_group=self.group)
		rule = self.rule("Item Group", item_group=self.group, default_interval=42)
		pair(self.customers[0], item, [60, 30], self.group)
		for by in ("Item", "Item Group"):
			with self.subTest(by=by):
				found = run("Reorder Cycles", {"by": by, "item_group": self.group, "least_intervals": 1})[
					"result"
				]
				self.assertEqual([(row["rule"], row["rule_interval"]) for row in found], [(rule, 42)])

	def rule(self, applies_to, **values):
		document = frappe.get_doc({"doctype": "Reorder Rule", "applies_to": applies_to, **values})
		return document.insert().name


class TestForgotten(InsightCase):
	def rows(self, **filters):
		return forgotten.forgotten({"item_group": self.group, "company": self.company, **filters})

	def test_overdue_is_counted_from_the_customer_s_own_rhythm(self):
		item = make_item(item_group=self.group)
		pair(self.customers[0], item, [70, 50, 30], self.group, p_alive=80)  # usual 20, due 10 days ago
		pair(self.customers[1], item, [50, 30, 26], self.group, p_alive=60)  # usual 8.94, due 17 days ago
		pair(self.customers[2], item, [40, 5], self.group, p_alive=90)  # not due
		pair(make_customer(), item, [900, 880], self.group, p_alive=3)  # has stopped
		pair(make_customer(), item, [90, 80], self.group, p_alive=90, stopped=1)
		(row,) = self.rows(least_p_alive=50)
		self.assertEqual((row["pairs"], row["overdue_pairs"]), (3, 2))
		self.assertAlmostEqual(row["overdue_share"], 200 / 3)
		self.assertEqual(row["median_overdue"], 13.5)
		(late,) = self.rows(least_p_alive=50, least_overdue=12)
		self.assertEqual((late["overdue_pairs"], late["median_overdue"]), (1, 17))
		(with_stopped,) = self.rows(least_p_alive=1)
		self.assertEqual((with_stopped["pairs"], with_stopped["overdue_pairs"]), (4, 3))
		self.assertEqual(with_stopped["median_overdue"], 17)

	def test_without_an_own_rhythm_the_item_s_counts_then_the_rule_s_and_what_the_customer_said_before_all(
		self,
	):
		item, fresh = make_item(item_group=self.group), make_item(item_group=self.group)
		pair(self.customers[0], item, [110, 80, 20], self.group)  # 30, 60: 42.4 days
		pair(self.customers[1], item, [50], self.group)
		pair(self.customers[2], item, [50], self.group, expected_on=add_days(nowdate(), 10))
		(row,) = self.rows(item_code=item)
		self.assertEqual((row["pairs"], row["overdue_pairs"], row["median_overdue"]), (3, 1, 7))
		pair(self.customers[0], fresh, [50], self.group)
		self.assertEqual(self.rows(item_code=fresh), [])
		rule = frappe.get_doc(
			{"doctype": "Reorder Rule", "applies_to": "Item", "item_code": fresh, "default_interval": 45}
		).insert()
		frappe.db.set_value("Reorder Reminder", {"item_code": fresh}, "rule", rule.name)
		(row,) = self.rows(item_code=fresh)
		self.assertEqual(row["median_overdue"], 5)

	def test_what_is_lost_is_quantity_times_mean_price_times_the_chance_exactly(self):
		cheap, dear = make_item(item_group=self.group), make_item(item_group=self.group)
		make_invoice(self.customers[0], [{"item_code": cheap, "qty": 3, "rate": 1.1}], on=40)
		make_invoice(self.customers[1], [{"item_code": cheap, "qty": 1, "rate": 3.1}], on=30)
		make_invoice(self.customers[0], [{"item_code": dear, "qty": 1, "rate": 100}], on=30)
		make_invoice(self.customers[0], [{"item_code": dear, "qty": 1, "rate": 999}], on=500)
		frappe.db.delete("Reorder Reminder", {"item_code": ["in", [cheap, dear]]})
		pair(self.customers[0], cheap, [60, 40], self.group, p_alive=50)
		pair(self.customers[1], cheap, [50, 30], self.group, p_alive=80)
		pair(self.customers[0], dear, [50, 30], self.group, p_alive=75)
		rows = {row["item_code"]: row for row in self.rows()}
		# Mean price (3.3 + 3.1) / 4 = 1.6; quantity 2 each.
		self.assertEqual(rows[cheap]["lost"], Decimal("2") * Decimal("1.3") * Decimal("1.6"))
		self.assertEqual(rows[dear]["lost"], Decimal("2") * Decimal("0.75") * 100)
		self.assertEqual(rows[dear]["currency"], "USD")
		self.assertEqual([row["item_code"] for row in self.rows()], [dear, cheap])
		(group,) = self.rows(by="Item Group")
		self.assertEqual(group["lost"], rows[cheap]["lost"] + rows[dear]["lost"])
		self.assertEqual((group["item_group"], group["overdue_pairs"]), (self.group, 3))


class TestFunnel(InsightCase):
	def rows(self, **filters):
		return funnel.funnel({"item_group": self.group, "company": self.company, **filters})

	def row(self, rule="R1", **values):
		return {"item_code": None, "item_group": self.group, "rule": rule, **values}

	def test_each_step_is_counted_and_the_held_out_apart(self):
		frappe.db.set_single_value("Reorder Settings", {"track_opens": 1, "tracking_days": 90})
		now = frappe.utils.now_datetime()
		message(
			self.customers[0],
			[
				self.row(answer="Reorder", clicked_at=now, won=1, revenue=10.123456789),
				self.row("R2", won=1, revenue=0.000000001),
			],
			ago=2,
			opened_at=now,
			clicked_at=now,
			last_answer="Reorder",
		)
		message(self.customers[1], [self.row()], ago=2, status="Failed")
		message(self.customers[1], [self.row(answer="Later")], ago=3)
		message(self.customers[2], [self.row(won=1, revenue=7)], ago=3, kind="Held Out")
		summed = funnel.total(self.rows())
		expected = {
			"due": 5,
			"held_out": 1,
			"sent": 3,
			"failed": 1,
			"opened": 2,
			"clicked": 2,
			"answered": 3,
			"ordered": 1,
			"won": 2,
			"mails": 2,
			"held_out_won": 1,
			"revenue": Decimal("10.123456790"),
		}
		self.assertEqual(summed, expected)
		by_rule = {row["key"]: row for row in self.rows(by="Rule")}
		self.assertEqual((by_rule["R1"]["sent"], by_rule["R2"]["sent"]), (2, 1))
		self.assertEqual(by_rule["R2"]["revenue"], Decimal("0.000000001"))
		(by_group,) = self.rows(by="Item Group")
		self.assertEqual((by_group["key"], by_group["due"]), (self.group, 5))
		(only,) = self.rows(by="Rule", rule="R2")
		self.assertEqual(only["due"], 1)

	def test_months_follow_each_other_and_other_periods_stay_out(self):
		for months in (0, 2):
			day = add_days(add_months(getdate(nowdate()), -months), -1)
			message(self.customers[0], [self.row()], sent_at=f"{day} 12:00:00")
		message(self.customers[0], [self.row()], ago=600)
		rows = self.rows()
		self.assertEqual(len(rows), 2)
		self.assertEqual(sorted(row["key"] for row in rows), [row["key"] for row in rows])
		self.assertEqual(sum(row["due"] for row in self.rows(from_date=add_days(nowdate(), -2))), 1)
		# The last day counts to its end.
		message(self.customers[0], [self.row()], sent_at=f"{nowdate()} 23:59:59.999999")
		self.assertEqual(sum(row["due"] for row in self.rows(from_date=nowdate())), 1)

	def test_what_is_not_kept_is_not_called_zero(self):
		frappe.db.set_single_value("Reorder Settings", {"track_opens": 1, "tracking_days": 90})
		message(self.customers[0], [self.row()], ago=200)
		(old,) = self.rows()
		self.assertEqual((old["opened"], old["clicked"], old["sent"]), (None, None, 1))
		message(self.customers[0], [self.row()], ago=1)
		recent = self.rows(from_date=add_days(nowdate(), -5))[0]
		self.assertEqual((recent["opened"], recent["clicked"]), (0, 0))
		frappe.db.set_single_value("Reorder Settings", "track_opens", 0)
		self.assertIsNone(self.rows(from_date=add_days(nowdate(), -5))[0]["opened"])

	def test_anonymous_reminders_still_count(self):
		message(None, [self.row(won=1, revenue=5)], ago=5, status="Anonymous", customer_name=None)
		summed = funnel.total(self.rows())
		self.assertEqual((summed["sent"], summed["won"], summed["revenue"]), (1, 1, 5))


class TestEffect(InsightCase):
	def setUp(self):
		super().setUp()
		frappe.db.set_single_value("Reorder Settings", "conversion_window_days", 30)

	def rows(self, **filters):
		return effect.effect({"item_group": self.group, "company": self.company, **filters})

	def row(self, won=0, days=5, **values):
		return {"item_group": self.group, "won": won, "won_days": days if won else None, **values}

	def test_it_sums_over_customers_as_the_rule_does(self):
		drawn = {
			"Reminded": [(3, 2), (1, 0), (2, 2), (1, 1)],
			"Held Out": [(2, 0), (1, 1), (1, 0)],
		}
		for kind, customers in drawn.items():
			for cycles_, won in customers:
				who = make_customer()
				for n in range(cycles_):
					message(who, [self.row(won=int(n < won))], kind=kind, ago=40 + n)
		(found,) = self.rows()
		expected = uplift(Group.of(drawn["Reminded"]), Group.of(drawn["Held Out"]))
		self.assertEqual(found["uplift"], expected)
		self.assertEqual(found["open"], 0)

	def test_only_cycles_whose_window_is_over_count_and_only_what_was_bought_within(self):
		message(self.customers[0], [self.row(won=1), self.row(won=1, days=31)], ago=40)
		message(self.customers[0], [self.row(won=1)], ago=30)
		message(self.customers[1], [self.row()], ago=29, kind="Held Out")
		(found,) = self.rows()
		self.assertEqual((found["uplift"].reminded.cycles, found["uplift"].reminded.won), (2, 1))
		self.assertEqual((found["uplift"].held_out.cycles, found["open"]), (0, 2))
		self.assertIs(found["uplift"].verdict, Verdict.NOBODY)
		self.assertIn(
			"Too early to say: no customer who is held out", effect.sentence(found["uplift"], found["open"])
		)
		self.assertIn("2 more reminders", effect.sentence(found["uplift"], found["open"]))

	def test_failed_mails_count_as_reminded(self):
		message(self.customers[0], [self.row()], ago=40, status="Failed")
		self.assertEqual(self.rows()[0]["uplift"].reminded.cycles, 1)

	def test_rows_of_an_erased_customer_stay_one_customer(self):
		for _ in range(3):
			message(None, [self.row(won=1)], ago=40, customer_name="Anonymous 1", status="Anonymous")
		message(None, [self.row(won=1)], ago=40, customer_name="", status="Anonymous")
		self.assertEqual(self.rows()[0]["uplift"].reminded, Group(2, 4, 4, 10, 10, 10))

	def test_by_rule_each_stands_for_itself_below_the_total(self):
		message(self.customers[0], [self.row(rule="B"), self.row(rule="A")], ago=40)
		self.assertEqual([row["key"] for row in self.rows(by="Rule")], [None, "A", "B"])
		self.assertEqual([row["uplift"].reminded.cycles for row in self.rows(by="Rule")], [2, 1, 1])

	def test_sentences(self):
		def single(n, won):
			return Group.of([(1, 1)] * won + [(1, 0)] * (n - won))

		told = {
			(
				single(300, 120),
				single(30, 11),
			): "Too early to say: customers bought again in 40.0 % of cases when"
			" reminded and in 36.7 % when held out",
			(
				single(10, 5),
				single(30, 11),
			): "Too early to say: 10 customers reminded and 30 held out; at least 20",
			(single(3000, 1500), single(600, 200)): "Reminding works: customers bought again in 50.0 %",
			(single(3000, 900), single(600, 300)): "Reminding does harm",
			(single(30000, 9000), single(30000, 9000)): "No difference worth speaking of",
			(Group(), Group()): "Too early to say: no reminder has been through its 30 days yet.",
			(Group(), single(3, 1)): "no customer who was reminded",
		}
		for groups, expected in told.items():
			with self.subTest(expected):
				self.assertIn(expected, effect.sentence(uplift(*groups)))
		self.assertIn(
			"To see a difference of 5 percentage points, about ",
			effect.sentence(uplift(single(300, 120), single(30, 11))),
		)


class TestReports(InsightCase):
	def test_an_empty_shop_gets_empty_reports_and_no_error(self):
		asked = {
			"item_group": make_group(),
			"company": self.company,
			"item_code": make_item(),
			"customer": make_customer(),
		}
		for report in REPORTS:
			module = get_report_module_dotted_path(frappe.db.get_value("Report", report, "module"), report)
			kinds = frappe.get_attr(f"{module}.execute").kinds
			for by in kinds.get("by", ("",)):
				with self.subTest(report=report, by=by):
					found = run(report, {"by": by} | {k: v for k, v in asked.items() if k in kinds})
					self.assertTrue(found["columns"])
					if report == "Reorder Uplift":
						self.assertEqual([row["label"] for row in found["result"]], ["Total"])
						self.assertIsNone(found["result"][0]["difference"])
					else:
						self.assertEqual(found["result"], [])
					self.assertFalse(found["chart"])

	def test_reports_run_for_those_they_are_for_and_nobody_else(self):
		item = make_item(item_group=self.group)
		for customer in self.customers:
			pair(customer, item, [90, 60, 40], self.group)
			message(customer, [{"item_group": self.group, "won": 1, "won_days": 3, "rule": "R"}], ago=40)
		filters = {"item_group": self.group}
		for role in ("Reorder Manager", "Reorder User", "Sales Manager"):
			frappe.set_user("Administrator")
			frappe.set_user(make_user(role))
			for report in REPORTS[:4]:
				with self.subTest(role=role, report=report):
					found = run(report, filters)
					self.assertEqual(len(found["result"]), 1)
					self.assertTrue(found["report_summary"] or report == "Reorder Uplift")
		frappe.set_user("Administrator")
		frappe.set_user(make_user("Sales User"))
		for report in REPORTS:
			with self.subTest(report=report), self.assertRaises(frappe.PermissionError):
				run(report, filters)

	def test_a_reader_bound_to_a_customer_sees_that_customer_alone(self):
		item = make_item(item_group=self.group)
		for customer in self.customers:
			pair(customer, item, [90, 60, 40], self.group)
			message(customer, [{"item_group": self.group}], ago=40)
		user = make_user("Reorder User")
		frappe.get_doc(
			{"doctype": "User Permission", "user": user, "allow": "Customer", "for_value": self.customers[1]}
		).insert()
		frappe.set_user(user)
		(row,) = cycles({"item_group": self.group, "least_intervals": 1})
		self.assertEqual((row["pairs"], row["intervals"]), (1, 2))
		self.assertEqual(
			funnel.total(funnel.funnel({"item_group": self.group, "company": self.company}))["due"], 1
		)

	def test_a_period_that_cannot_be_is_refused(self):
		for first, last in (("2026-02-02", "2026-02-01"), ("1900-01-01", "2026-01-01")):
			with self.subTest(first=first), self.assertRaises(frappe.ValidationError):
				period_of({"from_date": first, "to_date": last})
		with self.assertRaises(frappe.DoesNotExistError):
			cycles({"item_group": "None such"})
