"""Why auto-recharge charged or did not: caps, pauses, holds, each kept with its figures."""

import json
from datetime import timedelta

import frappe
from frappe.utils import now_datetime

from crm_recharge.credits import expiry, ledger
from crm_recharge.recharge import audit, by_hand, decisions, spikes, threshold
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import resume
from crm_recharge.tests.case import FAILS, GOOD, RechargeCase
from crm_recharge.tests.support.work import due, work_off


class TestDecisions(RechargeCase):
	def decisions(self, account: str) -> list[tuple[str, int]]:
		frappe.db.rollback()
		rows = frappe.get_all(
			"Recharge Decision", {"credit_account": account}, ["code", "times"], order_by="creation, name"
		)
		return [(row.code, row.times) for row in rows]

	def by_hand(self, account: str, amount):
		recharge = by_hand.start(account, amount, frappe.generate_hash(length=12))["recharge"]
		frappe.db.commit()
		self.assertEqual(self.work(recharge), "Succeeded")

	def test_each_answer_is_kept_and_repeats_are_counted(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		for _ in range(3):
			self.use(account, 1)
		self.work(recharge)
		self.assertEqual(self.decisions(account), [("charged", 1), ("open_recharge", 3)])
		row = frappe.get_last_doc("Recharge Decision", {"credit_account": account, "code": "charged"})
		self.assertEqual(row.recharge, recharge)
		figures = json.loads(row.figures)
		self.assertEqual((figures["balance"], figures["amount"]), ("40", "460"))
		self.assertIn("$ 460.00 is charged", row.explanation)

	def test_usage_larger_than_what_is_left_starts_a_recharge_when_that_helps(self):
		account = self.account_with(GOOD, balance=60)
		asked = []
		original, frappe.enqueue = frappe.enqueue, lambda method, **more: asked.append((method, more))
		try:
			with self.assertRaises(frappe.ValidationError):
				self.use(account, 90)
			frappe.db.rollback()
		finally:
			frappe.enqueue = original
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account}), 0)
		((method, more),) = [call for call in asked if "refusal" in str(call[0])]
		self.assertEqual((more["account"], more["amount"]), (account, "90"))
		# More than the target never goes through: no card is charged for it.
		self.assertIsNone(threshold.look_at_refusal(account, "501"))
		self.assertIsNone(threshold.look_at_refusal(account, "60"))
		self.work(threshold.look_at_refusal(account, "90"))
		self.assertEqual(self.value("Credit Account", account, "balance"), 500)
		self.use(account, 90)

	def test_disabled_is_an_answer(self):
		account = self.account_with(GOOD, enabled=False)
		self.use(account, 460)
		self.use(account, 1)
		self.assertEqual(self.decisions(account), [("disabled", 2)])
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account}), 0)

	def test_a_cap_counts_what_is_in_flight_and_tells_once(self):
		account = self.account_with(GOOD, cap_amount_day=900)
		first = self.use(account, 460)["recharge"]
		self.work(first)
		self.assertFalse(self.use(account, 460)["recharge_started"])
		self.use(account, 1)
		self.assertEqual(self.decisions(account), [("charged", 1), ("capped", 2)])
		row = frappe.get_last_doc("Recharge Decision", {"credit_account": account, "code": "capped"})
		figures = json.loads(row.figures)
		self.assertEqual((figures["cap"], figures["limit"], figures["used"]), ("amount_day", "900", "460"))
		self.assertIn("frees_at", figures)
		before = frappe.db.count("Notification Log", {"document_name": account})
		self.assertTrue(decisions.tell(row.name))
		self.assertFalse(decisions.tell(row.name))
		self.assertIsNotNone(self.value("Recharge Decision", row.name, "told_at"))
		self.assertGreaterEqual(frappe.db.count("Notification Log", {"document_name": account}), before)

	def test_a_limit_that_frees_is_looked_at_without_usage(self):
		"""An empty account refuses usage, so no ledger row would ever ask again."""
		account = self.account_with(GOOD, cap_amount_day=500)
		self.work(self.use(account, 460)["recharge"])
		self.assertFalse(self.use(account, 460)["recharge_started"])
		work_off("look_at_threshold_again", account)
		self.assertEqual(self.decisions(account)[-1][0], "capped")
		frappe.db.sql(
			"UPDATE `tabRecharge` SET `settled_at` = %s WHERE `credit_account` = %s",
			(now_datetime() - timedelta(days=1), account),
		)
		frappe.db.sql(
			"UPDATE `tabRecharge Decision` SET `frees_at` = %s WHERE `credit_account` = %s AND `code` = 'capped'",
			(now_datetime() - timedelta(seconds=1), account),
		)
		frappe.db.commit()
		work_off("look_at_threshold_again", account)
		self.assertEqual(self.decisions(account)[-1][0], "charged")
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account, "status": "Queued"}), 1)

	def test_a_failed_recharge_gives_its_room_back(self):
		account = self.account_with(FAILS, cap_amount_day=900)
		self.work(self.use(account, 460)["recharge"])
		setting = frappe.get_doc("Auto-Recharge Setting", {"credit_account": account})
		self.assertFalse(setting.enabled)
		setting.enabled = 1
		setting.save()
		frappe.db.commit()
		self.assertEqual(self.decisions(account)[-1][0], "charged")

	def test_the_accounts_own_cap_counts_recharges_by_hand(self):
		account = self.account_with(GOOD)
		frappe.get_doc("Credit Account", account).update({"cap_amount_day": 700}).save()
		frappe.db.commit()
		self.by_hand(account, 300)
		self.use(account, 760)
		self.assertEqual(self.decisions(account), [("capped", 1)])
		row = frappe.get_last_doc("Recharge Decision", {"credit_account": account})
		self.assertEqual(json.loads(row.figures)["cap"], "account_amount_day")

	def test_a_recharge_by_hand_past_the_accounts_cap_is_refused(self):
		account = self.account_with(GOOD)
		frappe.get_doc("Credit Account", account).update({"cap_amount_month": 400}).save()
		frappe.db.commit()
		self.by_hand(account, 300)
		with self.assertRaises(frappe.ValidationError) as caught:
			by_hand.start(account, 200, "two")
		self.assertIn("400", str(caught.exception))
		frappe.db.rollback()
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": account}), 1)

	def test_a_spike_pauses_and_a_person_resumes(self):
		account = self.account_with(GOOD, balance=2000, anomaly_factor=5)
		frappe.db.set_value("Credit Account", account, "daily_usage", json.dumps(["10"] * 28))
		frappe.db.commit()
		answer = self.use(account, 1960)
		self.assertFalse(answer["recharge_started"])
		self.use(account, 1)
		self.assertEqual(self.decisions(account), [("paused", 2)])
		self.assertIn("1,960.00", self.value("Auto-Recharge Setting", f"ARS-{account}", "paused_because"))
		resume(account)
		frappe.db.commit()
		# What was used until now has been looked at: it pauses nothing again.
		self.assertEqual(self.decisions(account)[-1][0], "charged")
		self.assertIsNone(self.value("Auto-Recharge Setting", f"ARS-{account}", "paused_because"))

	def test_after_resuming_only_new_unusual_usage_pauses_and_is_told_again(self):
		account = self.account_with(GOOD, balance=2000, anomaly_factor=5, falls_below=480, recharge_up_to=500)
		frappe.db.set_value("Credit Account", account, "daily_usage", json.dumps(["10"] * 28))
		frappe.db.commit()
		self.use(account, 1960)
		resume(account)
		frappe.db.commit()
		self.assertEqual(self.work(self.value("Credit Account", account, "open_recharge")), "Succeeded")
		# Usage goes on: 25 since then is less than five usual days, 55 is more.
		self.assertEqual(self.work(self.use(account, 25)["recharge"]), "Succeeded")
		self.assertFalse(self.use(account, 30)["recharge_started"])
		self.assertEqual(
			[code for code, _ in self.decisions(account)], ["paused", "charged", "charged", "paused"]
		)
		self.assertIn(
			"$ 55.00 used since", self.value("Auto-Recharge Setting", f"ARS-{account}", "paused_because")
		)
		waiting = {"credit_account": account, "code": "paused"}
		told = [decisions.tell(name) for name in frappe.get_all("Recharge Decision", waiting, pluck="name")]
		self.assertEqual(told, [True, True])

	def test_switching_on_anew_ends_a_pause_for_good_too(self):
		account = self.account_with(GOOD, balance=2000, anomaly_factor=5)
		frappe.db.set_value("Credit Account", account, "daily_usage", json.dumps(["10"] * 28))
		frappe.db.commit()
		self.use(account, 1960)
		setting = frappe.get_doc("Auto-Recharge Setting", {"credit_account": account})
		setting.update({"enabled": 0}).save()
		setting.update({"enabled": 1}).save()
		frappe.db.commit()
		self.assertEqual(self.decisions(account)[-1][0], "charged")

	def test_resuming_what_is_not_paused_hides_no_usage(self):
		account = self.account_with(GOOD, balance=2000, anomaly_factor=5)
		frappe.db.set_value("Credit Account", account, "daily_usage", json.dumps(["10"] * 28))
		frappe.db.commit()
		self.use(account, 1900)
		resume(account)
		frappe.db.commit()
		self.use(account, 60)
		self.assertEqual(self.decisions(account)[-1][0], "paused")

	def test_ordinary_usage_is_no_spike(self):
		account = self.account_with(GOOD, anomaly_factor=5)
		frappe.db.set_value("Credit Account", account, "daily_usage", json.dumps(["100"] * 28))
		frappe.db.commit()
		self.assertTrue(self.use(account, 460)["recharge_started"])

	def test_daily_usage_is_what_the_ledger_says(self):
		account = self.account_with(GOOD)
		self.use(account, 7)
		entry = self.use(account, 5)["entry"]
		ledger.reverse(entry, "mistake")
		yesterday = now_datetime() - timedelta(days=1)
		frappe.db.sql(
			"UPDATE `tabCredit Ledger` SET `posted_at` = %s WHERE `credit_account` = %s", (yesterday, account)
		)
		frappe.db.sql(
			"UPDATE `tabCredit Account` SET `creation` = %s WHERE `name` = %s",
			(now_datetime() - timedelta(days=3), account),
		)
		frappe.db.commit()
		spikes.refresh_daily_usage()
		self.assertEqual(json.loads(self.value("Credit Account", account, "daily_usage")), ["0", "0", "7"])

	def test_a_hold_stops_until_a_person_lifts_it(self):
		account = self.account_with(GOOD)
		frappe.db.sql("UPDATE `tabCredit Account` SET `held_because` = 'dispute' WHERE `name` = %s", account)
		frappe.db.commit()
		self.assertFalse(self.use(account, 460)["recharge_started"])
		self.assertEqual(self.decisions(account), [("held", 1)])
		resume(account)
		frappe.db.commit()
		self.assertEqual(self.decisions(account)[-1][0], "charged")


class TestExpiryAndAudit(RechargeCase):
	def test_grants_expire_by_the_scheduler_and_in_order(self):
		account = self.account_with(GOOD, balance=0, enabled=False)
		ledger.grant(
			account, 10, "soon", note="promotion", expires_at=now_datetime() + timedelta(days=1), priority=5
		)
		ledger.grant(account, 100, "lasting", note="paid for")
		frappe.db.commit()
		self.use(account, 4)
		lots = dict(
			frappe.get_all("Credit Lot", {"credit_account": account}, ["original", "remaining"], as_list=True)
		)
		self.assertEqual(lots, {10.0: 6.0, 100.0: 100.0})
		frappe.db.sql(
			"UPDATE `tabCredit Lot` SET `expires_at` = %s WHERE `credit_account` = %s AND `expires_at` IS NOT NULL",
			(now_datetime() - timedelta(seconds=1), account),
		)
		frappe.db.commit()
		self.assertEqual(work_off("expire_lots", account), [account])
		self.assertEqual(due("expire_lots").count(account), 0)
		self.assertEqual(self.value("Credit Account", account, "balance"), 100)
		self.assertEqual(
			frappe.db.count("Credit Ledger", {"credit_account": account, "entry_type": "Expiry"}), 1
		)
		self.assert_books(account)

	def test_a_day_ends_in_the_accounts_own_time_zone(self):
		from zoneinfo import ZoneInfo

		site = ZoneInfo(frappe.utils.get_system_timezone())
		end = expiry.end_of("2026-07-01", "Asia/Tokyo").replace(tzinfo=site)
		self.assertEqual(end.astimezone(ZoneInfo("Asia/Tokyo")).isoformat(), "2026-07-02T00:00:00+09:00")

	def test_the_audit_finds_each_breach_and_alerts(self):
		account = self.account_with(GOOD)
		self.work(self.use(account, 460)["recharge"])
		self.assertEqual([b for b in audit.check_all() if b["account"] == account], [])
		recharge = frappe.db.get_value("Recharge", {"credit_account": account})
		for damage, mend, rule in (
			(
				"UPDATE `tabCredit Account` SET `balance` = `balance` + 1 WHERE `name` = %(account)s",
				"UPDATE `tabCredit Account` SET `balance` = `balance` - 1 WHERE `name` = %(account)s",
				"ledger = balance",
			),
			(
				"UPDATE `tabCredit Lot` SET `remaining` = `remaining` - 1 WHERE `credit_account` = %(account)s LIMIT 1",
				"UPDATE `tabCredit Lot` SET `remaining` = `remaining` + 1 WHERE `credit_account` = %(account)s LIMIT 1",
				"lots = balance",
			),
			(
				"UPDATE `tabRecharge` SET `settled_intent` = 'pi_other' WHERE `name` = %(recharge)s",
				None,
				"no credit without a capture",
			),
			(
				"UPDATE `tabCredit Account` SET `open_recharge` = %(recharge)s WHERE `name` = %(account)s",
				"UPDATE `tabCredit Account` SET `open_recharge` = NULL WHERE `name` = %(account)s",
				"the open recharge is open",
			),
		):
			values = {"account": account, "recharge": recharge}
			intent = frappe.db.get_value("Recharge", recharge, "settled_intent")
			frappe.db.sql(damage, values)
			frappe.db.commit()
			try:
				found = [b["rule"] for b in audit.check_all() if b["account"] == account]
				self.assertIn(rule, found)
			finally:
				if mend:
					frappe.db.sql(mend, values)
				frappe.db.sql(
					"UPDATE `tabRecharge` SET `settled_intent` = %s WHERE `name` = %s", (intent, recharge)
				)
				frappe.db.commit()
		self.assertEqual([b for b in audit.check_all() if b["account"] == account], [])
