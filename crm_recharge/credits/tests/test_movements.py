"""Grants, adjustments, reversals and payments: once each, with the reason on record."""

from datetime import timedelta
from decimal import Decimal
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.credits import errors, ledger, store, usage
from crm_recharge.tests import factories
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import MoneyTestCase


class TestMovements(MoneyTestCase):
	def refused(self, exception, code, account, function, *args, **kwargs):
		before = self.state(account)
		with self.assertRaises(exception) as caught:
			function(*args, **kwargs)
		self.assertEqual(caught.exception.code, code)
		frappe.db.commit()
		self.assertEqual(self.state(account), before)
		return caught.exception

	def use(self, account, amount, **more):
		key = frappe.generate_hash(length=20)
		return usage.charge(account, {"amount": amount, "idempotency_key": key} | more)["entry"]

	def lots(self, account):
		return [
			(row.source_type, Decimal(row.remaining))
			for row in frappe.db.sql(
				"SELECT `source_type`, CAST(`remaining` AS CHAR) AS `remaining` FROM `tabCredit Lot`"
				" WHERE `credit_account` = %s ORDER BY `sequence`",
				account,
				as_dict=True,
			)
		]

	def test_a_grant_is_given_once_and_its_key_keeps_its_content(self):
		account = self.account()
		first = ledger.grant(account, "12.5", "welcome", "Welcome credits")
		self.assertEqual(
			(first["amount"], first["balance_after"], first["repeated"]), ("12.5", "12.5", False)
		)
		self.assertEqual(
			ledger.grant(account, 12.50, "welcome", "Welcome credits"), first | {"repeated": True}
		)
		for change in ({"amount": 13}, {"note": "Other"}, {"priority": 1}, {"expires_at": "2099-01-01"}):
			content = {"amount": "12.5", "idempotency_key": "welcome", "note": "Welcome credits"} | change
			raised = self.refused(
				errors.IdempotencyConflictError,
				"idempotency_conflict",
				account,
				ledger.grant,
				account,
				**content,
			)
			self.assertEqual(raised.figures["first"]["entry"], first["entry"])

	def test_what_no_grant_can_be(self):
		account = self.account("1")
		past = now_datetime() - timedelta(seconds=1)
		for change, code in (
			({"amount": 0}, "not_positive"),
			({"amount": "-1"}, "not_positive"),
			({"amount": float("nan")}, "not_finite"),
			({"amount": "1e10"}, "not_a_number"),
			({"amount": 10**10}, "too_large"),
			({"idempotency_key": None}, "missing_key"),
			({"note": "x" * 1001}, "text_too_long"),
			({"note": "a\x1fb"}, "unreadable_text"),
			({"note": "\ud800"}, "unreadable_text"),
			({"expires_at": past}, "expired_already"),
			({"expires_at": "soon"}, "bad_time"),
			({"priority": 1001}, "priority_out_of_range"),
			({"priority": -1}, "priority_out_of_range"),
			({"priority": "10"}, "priority_out_of_range"),
			({"priority": True}, "priority_out_of_range"),
		):
			with self.subTest(change=str(change)[:60]):
				content = {
					"amount": 1,
					"idempotency_key": frappe.generate_hash(length=20),
					"note": "n",
				} | change
				self.refused(errors.InvalidRequestError, code, account, ledger.grant, account, **content)

	def test_a_grant_asked_for_again_after_it_expired_is_answered(self):
		account = self.account()
		soon = now_datetime() + timedelta(days=1)
		first = ledger.grant(account, 5, "short", "n", soon)
		frappe.db.commit()
		with patch.object(store, "now_datetime", lambda: soon + timedelta(minutes=1)):
			self.assertEqual(ledger.grant(account, 5, "short", "n", soon), first | {"repeated": True})
		frappe.db.rollback()

	def test_a_balance_the_tables_cannot_hold_is_refused(self):
		account = self.account()
		for number in range(100):
			ledger.grant(account, "9999999999.999999999", f"g{number}", "n")
		frappe.db.commit()
		self.refused(
			errors.InvalidRequestError,
			"balance_too_large",
			account,
			ledger.grant,
			account,
			"9999999999",
			"more",
			"n",
		)
		self.assertEqual(usage.charge(account, {"amount": "0.9", "idempotency_key": "k"})["amount"], "0.9")
		frappe.db.commit()

	def test_an_adjustment_goes_either_way_and_says_why(self):
		account = self.account("10")
		up = ledger.adjust(account, "2.5", "up", "Miscounted")
		down = ledger.adjust(account, "-12", "down", "Counted twice")
		frappe.db.commit()
		with self.assertRaises(errors.InvalidRequestError) as caught:
			ledger.adjust(account, "-1", "debt", "Still too much")
		self.assertEqual(
			(caught.exception.code, caught.exception.figures["left"]), ("would_leave_debt", "-0.5")
		)
		frappe.db.rollback()
		self.assertEqual(down["amount"], "-12")
		debt = ledger.adjust(account, "-1", "debt", "Still too much", allow_debt=True)
		self.assertEqual([a["balance_after"] for a in (up, down, debt)], ["12.5", "0.5", "-0.5"])
		self.assertEqual(
			[(row.entry_type, row.amount, row.note) for row in entries(account)[1:]],
			[
				("Adjustment", Decimal("2.5"), "Miscounted"),
				("Adjustment", Decimal(-12), "Counted twice"),
				("Adjustment", Decimal(-1), "Still too much"),
			],
		)
		self.assertEqual(ledger.grant(account, 3, "g", "n")["balance_after"], "2.5")
		frappe.db.commit()
		for amount, note, code in (
			(0, "why", "nothing_to_adjust"),
			("Infinity", "why", "not_finite"),
			(1, "", "note_missing"),
			(1, "  ", "note_missing"),
			(1, None, "note_missing"),
			(1, ["x"], "not_text"),
		):
			self.refused(
				errors.InvalidRequestError, code, account, ledger.adjust, account, amount, "other", note
			)

	def test_a_reversed_usage_returns_to_the_lots_it_came_from(self):
		account = self.account("10")
		ledger.grant(account, 10, "second", "n")
		entry = self.use(account, "12", category=factories.make_category(), user="ann")
		self.assertEqual(self.lots(account), [("Grant", 0), ("Grant", 8)])
		answer = ledger.reverse(entry, "Charged by mistake")
		self.assertEqual((answer["amount"], answer["balance_after"]), ("12", "20"))
		self.assertEqual(self.lots(account), [("Grant", 10), ("Grant", 10)])
		row = entries(account)[-1]
		self.assertEqual(
			(row.entry_type, row.reference_name, row.note, row.user),
			("Reversal", entry, "Charged by mistake", "ann"),
		)

	def test_a_row_is_reversed_once_however_its_name_is_written(self):
		account = self.account("10")
		entry = self.use(account, 4)
		first = ledger.reverse(entry, "Mistake")
		for name in (entry, entry.upper(), f"{entry} "):
			self.assertEqual(ledger.reverse(name, "Mistake again"), first | {"repeated": True})
		self.assertEqual(first["balance_after"], "10")

	def test_a_reversed_grant_is_taken_back_even_into_debt(self):
		account = self.account()
		grant = ledger.grant(account, 10, "g", "n")["entry"]
		self.use(account, 7)
		self.assertEqual(ledger.reverse(grant, "Wrong customer")["balance_after"], "-7")

	def test_what_cannot_be_reversed(self):
		account = self.account("10")
		entry = self.use(account, 4)
		reversal = ledger.reverse(entry, "Mistake")["entry"]
		frappe.db.commit()
		self.refused(
			errors.InvalidRequestError,
			"nothing_to_reverse",
			account,
			ledger.reverse,
			reversal,
			"Undo the undo",
		)
		for note in ("", None):
			self.refused(errors.InvalidRequestError, "note_missing", account, ledger.reverse, entry, note)
		for name in ("No such row", None, ""):
			with self.assertRaises(frappe.DoesNotExistError):
				ledger.reverse(name, "n")

	def test_a_payment_is_credited_once_per_intent(self):
		account = self.account()
		recharge = frappe.get_doc({"doctype": "Recharge", "credit_account": account, "amount": 20}).insert()
		first = ledger.post_payment(account, recharge.name, "pi_test", Decimal(20))
		self.assertEqual(first[1], 20)
		self.use(account, 5)
		self.assertEqual(ledger.post_payment(account, recharge.name, "pi_test", Decimal(20)), first)
		self.assertEqual(ledger.post_payment(account, recharge.name, "pi_other", Decimal(1))[1], 16)
		frappe.db.commit()

	def test_every_refusal_of_the_rules_has_a_text(self):
		import re
		from pathlib import Path

		known, raised = errors.messages(), set()
		domain = Path(frappe.get_app_path("crm_recharge", "domain"))
		for file in (
			*domain.glob("*.py"),
			*domain.parent.glob("credits/*.py"),
			*domain.parent.glob("recharge/*.py"),
		):
			names = "InvalidRequest|InsufficientCredits|IdempotencyConflict|AccountClosed"
			raised |= set(re.findall(rf"(?:{names})\(\s*\"(\w+)\"", file.read_text()))
		self.assertGreater(len(raised), 30)
		self.assertEqual(raised - set(known), set(), "codes without a text for people")
