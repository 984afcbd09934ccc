"""Intervals are as long as they are while the clock on the wall is put forward or back; days are the account's own."""

import json
from datetime import timedelta
from decimal import Decimal

import frappe

from crm_recharge import clock
from crm_recharge.api import desk, portal
from crm_recharge.credits import ledger, queries, store, usage
from crm_recharge.domain import payment
from crm_recharge.gateway.stripe import events as stripe_events
from crm_recharge.recharge import spikes, worker
from crm_recharge.tests.case import GOOD, GOOD_TOO, RechargeCase
from crm_recharge.tests.support import work
from crm_recharge.tests.support.fault_case import sweep_for
from crm_recharge.tests.support.site_clock import KOLKATA, LORD_HOWE, NEW_YORK, site_clock, utc

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
# When summer begins or ends, in UTC: in New York by an hour, on Lord Howe Island by half of one.
CHANGES = {
	"spring": (utc("2027-03-14 07:00"), NEW_YORK),
	"autumn": (utc("2027-11-07 06:00"), NEW_YORK),
	"spring, half an hour": (utc("2027-10-02 15:30"), LORD_HOWE),
	"autumn, half an hour": (utc("2027-04-03 15:00"), LORD_HOWE),
	"no summer": (utc("2027-03-14 07:00"), KOLKATA),
}


class TestSummerTime(RechargeCase):
	def recharge_at(self, account: str, moment, zone: str) -> str | None:
		"""Use the account down at `moment`, and let the worker charge. Returns the recharge, if one started."""
		with site_clock(moment, zone):
			started = self.use(account, 460)["recharge"]
			if started:
				self.assertEqual(worker.carry_out(started), "Succeeded")
		return started

	def test_a_limit_an_hour_counts_the_last_sixty_minutes(self):
		for change, zone in CHANGES.values():
			account = self.account_with(GOOD, balance=500, cap_count_hour=2)
			self.recharge_at(account, change - 40 * MINUTE, zone)
			self.recharge_at(account, change - 5 * MINUTE, zone)
			self.assertIsNone(self.recharge_at(account, change + 19 * MINUTE, zone), "two within the hour")
			(decision,) = frappe.get_all(
				"Recharge Decision", {"credit_account": account, "code": "capped"}, ["frees_at", "figures"]
			)
			with site_clock(change, zone):
				self.assertAlmostEqual(clock.read(decision.frees_at), change + 20 * MINUTE, delta=SECOND)
			with site_clock(change + 19 * MINUTE, zone):
				work.work_off("look_at_threshold_again", account)
			self.assertEqual(self.value("Credit Account", account, "open_recharge"), None)
			with site_clock(change + 21 * MINUTE, zone):
				work.work_off("look_at_threshold_again", account)
			self.assertTrue(self.value("Credit Account", account, "open_recharge"), "it has freed")

	def test_a_lease_lasts_as_long_as_it_should(self):
		for change, zone in CHANGES.values():
			account = self.account_with(GOOD)
			start = change - 10 * SECOND
			with site_clock(start, zone):
				recharge = self.use(account, 460)["recharge"]
				lease = clock.stored(start + payment.LEASE)
				frappe.db.set_value(
					"Recharge", recharge, {"status": "Charging", "lease_owner": "other", "lease_until": lease}
				)
				frappe.db.commit()
			for seconds, taken in ((20, 0), (44, 0), (46, 1)):
				with site_clock(start + seconds * SECOND, zone):
					self.assertEqual(sweep_for(recharge), taken, f"after {seconds} s")
			with site_clock(start + 44 * SECOND, zone):
				self.assertEqual(worker.carry_out(recharge), "leased")
			with site_clock(start + 46 * SECOND, zone):
				self.assertEqual(worker.carry_out(recharge), "Succeeded")

	def test_a_key_is_asked_again_only_while_the_gateway_surely_remembers_it(self):
		change, zone = CHANGES["autumn"]
		account = self.account_with(GOOD)
		created = change - 5 * MINUTE
		with site_clock(created, zone):
			recharge = self.use(account, 460)["recharge"]
			self.stripe.faults.lost_before("POST /v1/payment_intents")
			self.assertEqual(worker.carry_out(recharge), "waiting")
		before = len(self.stripe.log())
		# By the clock on the wall an hour less has passed.
		with site_clock(created + payment.REPLAY_WINDOW + 5 * MINUTE, zone):
			worker.carry_out(recharge)
		asked = [(c["method"], c["path"]) for c in self.stripe.log()[before:]]
		self.assertEqual(asked[0], ("GET", "/v1/payment_intents"), "looked up first")

	def test_an_event_and_a_refund_are_tried_again_when_it_is_time(self):
		for change, zone in CHANGES.values():
			with site_clock(change - MINUTE, zone):
				event = f"evt_{frappe.generate_hash(length=16)}"
				frappe.db.sql(
					"INSERT INTO `tabGateway Event` (`name`, `creation`, `event_type`, `status`, `next_try_at`)"
					" VALUES (%s, %s, 'invoice.created', 'Failed', %s)",
					(event, clock.now_datetime(), clock.later(5 * MINUTE)),
				)
				refund = frappe.new_doc("Recharge Refund")
				refund.update({"status": "Asked", "kind": "Orphan", "next_ask_at": clock.later(5 * MINUTE)})
				refund.name = frappe.generate_hash(length=12)
				refund.db_insert()
				frappe.db.commit()
			for minutes, due in ((3, False), (5, True)):
				with site_clock(change + minutes * MINUTE, zone):
					self.assertEqual(event in work.due("gateway_event"), due, f"event, {minutes}")
					self.assertEqual(refund.name in work.due("refund"), due, f"refund, {minutes}")
			frappe.db.delete("Recharge Refund", refund.name)
			frappe.db.commit()

	def test_credits_last_until_their_moment(self):
		"""Midnight in Costa Rica falls into the hour that comes twice in New York, and is its second coming."""
		account = self.account_with(GOOD, balance=0, enabled=False)
		with site_clock("2027-11-06 12:00"):
			end = clock.stored(utc("2027-11-07 06:00"))
			ledger.grant(account, 10, "until midnight", note="n", expires_at=end)
			frappe.db.commit()
		with site_clock("2027-11-07 05:59"):
			self.assertEqual(store.BookStore(account).book.balance, 10)
			frappe.db.rollback()
		with site_clock("2027-11-07 06:00:01"):
			self.assertEqual(store.BookStore(account).book.balance, 0)
			frappe.db.rollback()

	def test_a_period_ends_at_its_moment_also_within_the_hour_that_comes_twice(self):
		account = self.account_with(GOOD, balance=0, enabled=False)
		for minutes, amount in ((-50, 1), (-20, 10), (10, 100), (40, 1000), (70, 10000)):
			with site_clock(CHANGES["autumn"][0] + minutes * MINUTE):
				ledger.grant(account, amount, str(amount), note="n")
				frappe.db.commit()

		def between(start, end):
			return queries.statement(account, start, end)["closing_balance"]

		with site_clock("2027-11-08 12:00"):
			for minutes, before in ((-60, "0"), (-30, "1"), (0, "11"), (30, "111"), (60, "1111")):
				moment = clock.stored(CHANGES["autumn"][0] + minutes * MINUTE)
				self.assertEqual(between(None, moment), before, minutes)
				later = queries.statement(account, moment, None)
				self.assertEqual(
					(later["opening_balance"], later["closing_balance"]), (before, "11111"), minutes
				)

	def test_the_last_day_of_usage_has_24_hours(self):
		change, zone = CHANGES["autumn"]
		account = self.account_with(GOOD, balance=500, enabled=False)
		for hours, amount in ((-24.5, 1), (-23.5, 10), (-0.2, 100)):
			with site_clock(change + hours * 60 * MINUTE, zone):
				self.use(account, amount)
		with site_clock(change + 5 * MINUTE, zone):
			self.assertEqual(spikes.used_since(account, clock.now() - timedelta(hours=24)), Decimal(110))

	def test_daily_usage_is_by_the_accounts_own_days(self):
		account = self.account_with(GOOD, balance=500, enabled=False)
		frappe.db.set_value("Credit Account", account, "time_zone", "Asia/Tokyo")
		with site_clock("2027-11-01 00:00"):
			frappe.db.set_value("Credit Account", account, "creation", clock.now_datetime())
		# 14:50 UTC is ten to midnight in Tokyo.
		for moment, amount in (
			("2027-11-06 14:50", 1),
			("2027-11-06 15:10", 10),
			("2027-11-07 05:40", 20),
			("2027-11-07 06:40", 40),
			("2027-11-07 15:00", 100),
		):
			with site_clock(moment):
				self.use(account, amount)
		with site_clock("2027-11-08 16:00"):
			spikes.refresh_daily_usage()
		days = json.loads(self.value("Credit Account", account, "daily_usage"))
		self.assertEqual(days, ["0"] * 5 + ["1", "70", "100"])

	def test_a_card_is_good_until_its_last_day_where_the_account_is(self):
		account = self.account_with(GOOD_TOO)
		card = frappe.db.get_value("Recharge Card", {"credit_account": account})
		frappe.db.set_value("Recharge Card", card, {"exp_month": 11, "exp_year": 2027})
		frappe.db.set_value("Credit Account", account, "time_zone", "Pacific/Honolulu")
		# December in New York, still November in Honolulu.
		with site_clock("2027-12-01 08:00"):
			recharge = self.use(account, 460)["recharge"]
			self.assertEqual(worker.carry_out(recharge), "Succeeded")
			self.assertEqual(self.offered(account), [True, [card]])
		with site_clock("2027-12-01 12:00"):
			self.assertEqual(self.offered(account), [False, []])
			recharge = self.use(account, 460)["recharge"]
			self.assertEqual(worker.carry_out(recharge), "Failed")

	def offered(self, account: str) -> list:
		"""Whether the customer's page shows the account's card as good, and the cards that the dialog offers."""
		shown = portal.overview(account)["cards"][0]["usable"]
		return [shown, [row.name for row in desk.add_credits_form(account)["cards"]]]

	def test_usage_is_kept_at_the_moment_it_happened(self):
		account = self.account_with(GOOD, enabled=False)
		with site_clock("2026-11-01 07:00"):
			for key, given in (("first", "2026-11-01T05:30:00Z"), ("second", "2026-11-01T06:30:00Z")):
				usage.charge(account, {"amount": 1, "idempotency_key": key, "occurred_at": given})
			frappe.db.commit()
		with site_clock("2026-11-07 12:00"):
			kept = [
				clock.read(at)
				for at in frappe.get_all(
					"Credit Ledger",
					{"credit_account": account, "entry_type": "Usage"},
					pluck="occurred_at",
					order_by="sequence",
				)
			]
		self.assertLess(abs(kept[1] - kept[0] - 60 * MINUTE), SECOND)

	def test_what_stripe_tells_the_time_of_is_kept_as_that_moment(self):
		with site_clock("2027-11-07 12:00"):
			for moment in ("2027-11-07 05:30", "2027-11-07 06:30"):
				kept = clock.stored(stripe_events._moment(utc(moment).timestamp()))
				self.assertLess(abs(clock.read(kept) - utc(moment)), SECOND)
