"""The nightly run: fitted, foretold, followed up, and on the customers."""

import json
import random
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.domain.reorder import PairState, Priors, PriorsError, predict
from crm_recharge.doors.guard import by_machine
from crm_recharge.reorder.learning import forecasts, model, nightly, pairs, purchases, repair, runs
from crm_recharge.reorder.learning.tests.test_pairs import LearningCase
from crm_recharge.tests.factories import make_customer
from crm_recharge.tests.support.reorder_case import (
	POS,
	day,
	make_buyer,
	make_group,
	make_invoice,
	make_item,
	make_return,
	purchase_days,
	write_invoices,
)


def rule(**values) -> str:
	return (
		frappe.get_doc({"doctype": "Reorder Rule", "lead_time": 9, **values})
		.insert(ignore_permissions=True)
		.name
	)


def monthly(customer: str, item: str, last: int) -> None:
	"""Eight purchases, some thirty days apart as life has it, the last one `last` days ago."""
	agos, rng = [last], random.Random(last)
	for _ in range(7):
		agos.append(agos[-1] + rng.randint(23, 37))
	write_invoices([(customer, item, day(ago), 1) for ago in agos])


LATE = 19
"""The customer who bought longest ago: 24 days."""


class NightlyCase(LearningCase):
	def setUp(self):
		super().setUp()
		frappe.db.delete(runs.RUN, {"kind": runs.REFIT})
		# All customers together make the fit: it begins with nobody.
		for doctype in ("Purchase Day", "Reminder", "Forecast", "Customer", "Model"):
			frappe.db.delete(f"Reorder {doctype}")
		self.no_audit = patch.object(nightly, "_audit")
		self.no_audit.start()
		self.addCleanup(self.no_audit.stop)
		self.item = make_item(item_group=make_group())
		self.customers = [make_customer() for _ in range(20)]

	def night(self) -> dict:
		"""Run it; returns the figures. Asserts that all went well."""
		run = frappe.get_doc(runs.RUN, nightly.learn())
		self.assertEqual((run.status, run.problems or ""), (runs.DONE, ""), run.summary)
		return json.loads(run.figures)

	def learn_all(self) -> dict:
		for n, customer in enumerate(self.customers):
			monthly(customer, self.item, last=5 + n)
		pairs.rebuild(self.customers)
		return self.night()


class TestNight(NightlyCase):
	def test_it_fits_what_the_table_holds_and_loads_what_it_stored(self):
		figures = self.learn_all()
		lines = frappe.db.count("Reorder Purchase Day")
		days = frappe.db.count("Reorder Purchase Day", {"day": ["<=", day(0)]})
		self.assertGreaterEqual(days, 32)
		self.assertEqual((figures["lines"], figures["purchases"]), (lines, days))
		stored = frappe.get_all("Reorder Model", {"current": 1}, ["name", "known_until", "lines", "seconds"])
		self.assertEqual(len(stored), 1)
		self.assertEqual(stored[0].known_until, day(0))
		priors = model.current()
		self.assertEqual(priors.purchases, days)
		# A pair the fit has seen is foretold by the loaded priors as by those in memory.
		model._loaded.clear()
		state = pairs.read(self.customers)[self.customers[0], self.item].state
		args = (state, purchases.today(), self.customers[0], self.item)
		self.assertEqual(predict(model.current(), *args), predict(priors, *args))
		self.assertGreater(figures["megabytes"], 0)

	def test_pairs_are_foretold_with_range_and_day_to_remind(self):
		rule(applies_to="Item", item_code=self.item)
		self.learn_all()
		early, late = (self.reminder(self.customers[n], self.item) for n in (0, LATE))
		for reminder in (early, late):
			self.assertTrue(day(0) < reminder.next_from <= reminder.next_on <= reminder.next_to)
			self.assertEqual(reminder.forecast_on, day(0))
			self.assertTrue(50 < reminder.p_alive <= 100)
		# Bought 5 and 24 days ago, every 30 days, reminded 9 days ahead.
		self.assertEqual(early.status, "Waiting")
		self.assertAlmostEqual((early.remind_on - day(0)).days, 16, delta=4)
		self.assertEqual(late.status, "Due")
		self.assertTrue(late.remind_on <= day(0))
		row = frappe.get_doc("Reorder Customer", {"customer": self.customers[LATE]})
		self.assertEqual((row.due_items, row.next_item, row.next_on), (1, self.item, late.next_on))
		customer = frappe.db.get_value("Customer", self.customers[LATE], "*", as_dict=True)
		self.assertEqual(
			[customer[f"crm_recharge_next_purchase_{end}"] for end in ("from", "on", "to")],
			[late.next_from, late.next_on, late.next_to],
		)

	def test_the_customer_is_not_marked_as_modified(self):
		before = {c: frappe.db.get_value("Customer", c, "modified") for c in self.customers}
		self.learn_all()
		self.assertEqual(before, {c: frappe.db.get_value("Customer", c, "modified") for c in self.customers})

	def test_another_night_writes_nothing_anew(self):
		self.learn_all()
		before = frappe.get_all("Reorder Reminder", {"customer": ["in", self.customers]}, ["*"])
		forecasts_before = frappe.db.count("Reorder Forecast")
		self.night()
		after = frappe.get_all("Reorder Reminder", {"customer": ["in", self.customers]}, ["*"])
		self.assertEqual([r.modified for r in before], [r.modified for r in after])
		self.assertEqual([r.next_on for r in before], [r.next_on for r in after])
		self.assertEqual(frappe.db.count("Reorder Forecast"), forecasts_before, "one forecast a cycle")

	def test_only_one_runs_and_a_dead_one_is_buried(self):
		run = runs.Run.start(runs.REFIT)
		frappe.db.commit()
		self.assertIsNone(nightly.learn())
		frappe.db.set_value(runs.RUN, run.name, "heartbeat_at", now_datetime() - 2 * runs.DEAD_AFTER)
		self.assertTrue(nightly.learn())
		self.assertEqual(frappe.db.get_value(runs.RUN, run.name, "status"), runs.FAILED)

	def test_one_bad_pair_is_listed_and_the_others_are_foretold(self):
		for customer in self.customers:
			monthly(customer, self.item, last=5)
		pairs.rebuild(self.customers)
		real = forecasts.predict

		def predict_(priors, state, today, customer=None, *args, **more):
			if customer == self.customers[1]:
				raise OverflowError("too far")
			return real(priors, state, today, customer, *args, **more)

		with patch.object(forecasts, "predict", predict_):
			run = frappe.get_doc(runs.RUN, nightly.learn())
		self.assertEqual(run.status, runs.PROBLEMS)
		self.assertIn(f"{self.customers[1]} · {self.item} · OverflowError: too far", run.problems)
		self.assertIsNone(self.reminder(self.customers[1], self.item).next_on)
		self.assertIsNotNone(self.reminder(self.customers[2], self.item).next_on)

	def test_a_failure_is_told(self):
		with patch.object(model, "refit", side_effect=MemoryError("no room")):
			run = frappe.get_doc(runs.RUN, nightly.learn())
		self.assertEqual(run.status, runs.FAILED)
		self.assertIn("no room", run.summary)

	def test_an_invoice_whose_job_was_lost_is_found_the_same_night(self):
		self.learn_all()
		customer, unheard = self.customers[0], make_customer()
		write_invoices([(c, self.item, day(1), 7) for c in (customer, unheard)])
		frappe.db.commit()
		self.no_audit.stop()
		nightly._catch_up(runs.Run.start(runs.REFIT))
		for c in (customer, unheard):
			self.assertIn((self.item, day(1), Decimal(7)), purchase_days(c))

	def test_it_catches_what_no_hook_has_heard(self):
		"""Invoices written by a script that keeps their times are found within AUDIT_NIGHTS nights."""
		self.learn_all()
		self.no_audit.stop()
		customer = self.customers[0]
		write_invoices([(customer, self.item, day(1), 7)])
		frappe.db.set_value(
			"Sales Invoice", {"customer": customer}, "modified", day(900), update_modified=False
		)
		for night in range(nightly.AUDIT_NIGHTS):
			with (
				patch.object(purchases, "today", return_value=purchases.today() + night),
				patch.object(nightly, "_invoiced_since", return_value=set()),
			):
				nightly._catch_up(runs.Run.start(runs.REFIT))
		self.assertIn((self.item, day(1), Decimal(7)), purchase_days(customer))


class TestFollowUp(NightlyCase):
	def forecast_of(self, customer: str, after: int):
		return frappe.db.get_value(
			"Reorder Forecast",
			{"customer": customer, "item_code": self.item, "after": day(after)},
			["name", "bought", "asked", "state"],
			as_dict=True,
		)

	def test_what_was_bought_resolves_a_forecast_and_what_was_undone_voids_it(self):
		self.learn_all()
		customer = self.customers[0]
		row = self.forecast_of(customer, 5)
		self.assertEqual((row.bought, row.asked), (None, day(0)))
		self.assertEqual(PairState.from_dict(json.loads(row.state)).days, 8)
		invoice = make_invoice(customer, {self.item: 1}, 0)
		self.night()
		self.assertEqual(self.forecast_of(customer, 5).bought, day(0))
		self.assertIsNotNone(self.forecast_of(customer, 0), "the next cycle has its own")
		invoice.reload()
		invoice.cancel()
		self.night()
		self.assertIsNone(self.forecast_of(customer, 5).bought)
		self.assertIsNone(self.forecast_of(customer, 0))

	def test_resolved_forecasts_calibrate_the_next_fit(self):
		self.learn_all()
		self.assertEqual(model.current().calibration.cases, 0)
		frappe.db.delete("Reorder Forecast")
		state = PairState.of([(purchases.today() - 400 + 30 * n, 1.0) for n in range(6)])
		for n in range(60):
			by_machine(
				frappe.get_doc(
					{
						"doctype": "Reorder Forecast",
						"customer": self.customers[0],
						"item_code": self.item,
						"asked": purchases.as_date(state.last + 1),
						"after": purchases.as_date(state.last - n),
						"next_from": purchases.as_date(state.last + 20),
						"next_to": purchases.as_date(state.last + 40),
						"bought": purchases.as_date(state.last + 10 + n),
						"state": json.dumps(state.as_dict()),
					}
				)
			).insert(ignore_permissions=True)
		by_machine(
			frappe.get_doc(
				{"doctype": "Reorder Forecast", "asked": day(3), "customer": self.customers[0], "state": "{"}
			)
		).insert(ignore_permissions=True)
		found = list(model.resolved(purchases.today()))
		self.assertEqual(len(found), 60)
		self.assertEqual({r.bought - r.state.last for r in found}, set(range(10, 70)))
		# 21 of 60 fall into days 20 to 40.
		self.assertAlmostEqual(model.coverage(purchases.today()), 35.0)
		figures = model.refit()
		self.assertEqual((figures["resolved"], figures["coverage80"]), (60, 35.0))
		self.assertEqual(model.current().calibration.cases, 60)
		frappe.db.delete("Reorder Forecast", {"customer": self.customers[0]})

	def test_of_a_huge_shop_a_share_is_kept_that_does_not_change(self):
		for customer in self.customers:
			monthly(customer, self.item, last=5)
		pairs.rebuild(self.customers)
		with patch.object(nightly, "_share_kept", return_value=0.0):
			self.night()
		self.assertFalse(frappe.db.exists("Reorder Forecast", {"item_code": self.item}))
		with patch.object(nightly, "FORECASTS_A_YEAR", frappe.db.count("Reorder Purchase Day") // 4):
			self.assertTrue(0 < nightly._share_kept() < 1)
		known = forecasts.read(self.customers)
		drawn = [[nightly._drawn(one, share) for one in known] for share in (0.0, 0.5, 0.5, 1.0)]
		self.assertEqual(drawn[1], drawn[2])
		self.assertEqual((sum(drawn[0]), sum(drawn[3])), (0, len(known)))


class TestStored(NightlyCase):
	def test_of_many_fits_the_latest_are_kept(self):
		frappe.db.delete("Reorder Model")
		names = [model.store(Priors(), {"lines": n}) for n in range(model.KEEP + 3)]
		kept = frappe.get_all("Reorder Model", pluck="name")
		self.assertEqual(set(kept), set(names[3:]))
		self.assertEqual(frappe.get_all("Reorder Model", {"current": 1}, pluck="name"), names[-1:])
		# They name customers, who may have been erased since.
		self.assertEqual(frappe.get_all("Reorder Model", {"priors": ["is", "set"]}, pluck="name"), names[-1:])

	def test_what_cannot_be_read_counts_as_nothing_known(self):
		name = model.store(Priors(), {})
		frappe.db.set_value("Reorder Model", name, "priors", "nonsense")
		with self.assertRaises(PriorsError):
			model.unpack("nonsense")
		self.assertEqual(model.current().purchases, 0)

	def test_before_the_first_fit_the_rule_says_how_long(self):
		frappe.db.delete("Reorder Model")
		model._loaded.clear()
		rule(applies_to="Item", item_code=self.item, default_interval=42, lead_time=7)
		customer = self.customers[0]
		write_invoices([(customer, self.item, day(10), 1)])
		pairs.rebuild([customer])
		self.settle(customer)
		reminder = self.reminder(customer, self.item)
		# Of those who have not bought for ten days, half do so a little later.
		self.assertIn((reminder.next_on - reminder.last_day).days, range(42, 48))
		self.assertEqual((reminder.remind_on - reminder.last_day).days, 35)

	def test_nothing_known_at_all_is_said_so(self):
		frappe.db.delete("Reorder Model")
		model._loaded.clear()
		rule(applies_to="Item", item_code=self.item)
		customer = self.customers[0]
		write_invoices([(customer, self.item, day(10), 1)])
		pairs.rebuild([customer])
		self.settle(customer)
		reminder = self.reminder(customer, self.item)
		self.assertEqual((reminder.status, reminder.next_on, reminder.remind_on), ("Learning", None, None))
		self.assertIn("usual interval", reminder.status_reason)
		self.assertNotIn(customer, repair.due(), "nothing to do until there is something to go by")


class TestStanding(NightlyCase):
	def standing(self, **values) -> str:
		customer = self.customers[0]
		frappe.db.set_value("Reorder Reminder", {"customer": customer, "item_code": self.item}, values)
		pairs.refresh(customer)
		reminder = self.reminder(customer, self.item)
		self.assertEqual(bool(reminder.status_reason), reminder.status not in ("Due", "Waiting"))
		return reminder.status

	def test_where_a_pair_stands(self):
		name = rule(applies_to="Item", item_code=self.item)
		monthly(self.customers[0], self.item, last=28)
		pairs.rebuild(self.customers)
		self.night()
		self.assertEqual(self.standing(), "Due")
		self.assertEqual(self.standing(snoozed_until=day(-3)), "Snoozed")
		self.assertEqual(self.standing(snoozed_until=None), "Due")
		self.assertEqual(self.standing(expected_on=day(-30)), "Waiting")
		self.assertEqual(self.reminder(self.customers[0], self.item).remind_on, day(-21))
		self.assertEqual(self.standing(expected_on=None, stopped=1), "Stopped")
		self.assertEqual(self.standing(stopped=0, last_reminded_at=f"{day(1)} 12:00:00"), "Reminded")
		self.assertEqual(self.standing(last_reminded_at=None), "Due")
		frappe.db.set_value("Reorder Rule", name, "remind", 0)
		self.assertEqual(self.standing(), "Paused")
		frappe.db.set_value("Reorder Rule", name, "remind", 1)
		frappe.db.set_value("Item", self.item, "disabled", 1)
		self.assertEqual(self.standing(), "Paused")
		frappe.db.set_value("Item", self.item, "disabled", 0)
		frappe.db.set_value("Reorder Rule", name, {"timing": "Age of the item", "age_days": 60})
		self.assertEqual(self.standing(), "Waiting")
		self.assertEqual(self.reminder(self.customers[0], self.item).remind_on, day(28 - 51))

	def test_the_customers_own_date_holds_until_the_next_purchase(self):
		customer = self.customers[0]
		rule(applies_to="Item", item_code=self.item)
		make_invoice(customer, {self.item: 1}, 40)
		self.settle(customer)
		frappe.db.set_value(
			"Reorder Reminder", {"customer": customer, "item_code": self.item}, "expected_on", day(-9)
		)
		# One of the past changes nothing the customer said.
		make_invoice(customer, {self.item: 1}, 70)
		self.settle(customer)
		self.assertEqual(self.reminder(customer, self.item).expected_on, day(-9))
		shown = frappe.db.get_value("Reorder Customer", {"customer": customer}, ["next_from", "next_on"])
		self.assertEqual(shown, (day(-9), day(-9)))
		make_invoice(customer, {self.item: 1}, 2)
		self.settle(customer)
		self.assertIsNone(self.reminder(customer, self.item).expected_on)

	def test_who_stopped_long_ago_has_lapsed(self):
		rule(applies_to="Item", item_code=self.item)
		monthly(self.customers[0], self.item, last=900)
		self.learn_all_but_first()
		self.assertEqual(self.standing(), "Lapsed")
		row = frappe.get_doc("Reorder Customer", {"customer": self.customers[0]})
		self.assertEqual((row.due_items, row.next_on), (0, None))

	def learn_all_but_first(self) -> None:
		for customer in self.customers[1:]:
			monthly(customer, self.item, last=5)
		pairs.rebuild(self.customers)
		self.night()

	def test_a_purchase_voids_the_day_to_remind_at_once(self):
		rule(applies_to="Item", item_code=self.item)
		self.learn_all()
		customer = self.customers[LATE]
		self.assertEqual(self.reminder(customer, self.item).status, "Due")
		make_invoice(customer, {self.item: 1}, 0, doctype=POS)
		self.assertIsNone(self.reminder(customer, self.item).remind_on)
		self.settle(customer)
		self.assertEqual(self.reminder(customer, self.item).status, "Waiting")


class TestValue(NightlyCase):
	def test_revenue_and_who_is_valuable(self):
		self.set(valuable_share=0, valuable_field="")
		customers = [make_buyer()[0] for _ in range(2)]
		make_invoice(customers[0], {self.item: 100}, 20)
		back = make_invoice(customers[0], {self.item: 7}, 10)
		make_invoice(customers[1], {self.item: 1}, 20, doctype=POS)
		make_invoice(customers[1], {self.item: 1000}, 400)
		make_return(back, {self.item: 2}, on=5)
		self.night()
		revenue, problems = nightly.revenues()
		self.assertEqual(problems, [])
		self.assertEqual([revenue[c] for c in customers], [Decimal(1050), Decimal(10)])
		self.assertEqual(self.worth(customers), [(1050.0, 0), (10.0, 0)])

		self.set(valuable_share=100)
		self.night()
		self.assertEqual([v for _, v in self.worth(customers)], [1, 1])

		self.set(valuable_share=0, valuable_field="customer_details")
		frappe.db.set_value("Customer", customers[1], "customer_details", "Treat well")
		self.night()
		self.assertEqual([v for _, v in self.worth(customers)], [0, 1])

	def test_a_field_without_a_column_marks_nobody(self):
		self.set(valuable_share=0, valuable_field="portal_users")
		self.assertEqual(nightly._valuable({}), set())

	def set(self, **values) -> None:
		for field, value in values.items():
			was = frappe.db.get_single_value("Reorder Settings", field)
			self.addCleanup(frappe.db.set_single_value, "Reorder Settings", field, was)
			frappe.db.set_single_value("Reorder Settings", field, value)
		frappe.clear_document_cache("Reorder Settings", "Reorder Settings")

	def worth(self, customers: list[str]) -> list[tuple]:
		return [
			frappe.db.get_value("Reorder Customer", {"customer": c}, ["revenue_365", "valuable"])
			for c in customers
		]
