"""Charging a batch: in order, all or nothing, repeats inside and across batches, one threshold check."""

from datetime import datetime
from decimal import Decimal
from unittest.mock import patch

import frappe

from crm_recharge.credits import errors, store, usage
from crm_recharge.tests import factories
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import MoneyTestCase


class TestChargeMany(MoneyTestCase):
	def charge(self, account, events):
		answer = usage.charge_many(account, events)
		frappe.db.commit()
		return answer

	def refused(self, exception, code, account, events):
		before = self.state(account)
		with self.assertRaises(exception) as caught:
			usage.charge_many(account, events)
		self.assertEqual(caught.exception.code, code)
		frappe.db.commit()
		self.assertEqual(self.state(account), before, "a refused batch left something behind")
		return caught.exception

	def test_ten_thousand_events_are_charged_in_order_and_exactly(self):
		account, token = self.account("1000"), factories.make_category("0.0004")
		team = factories.make_team(account)
		frappe.db.commit()
		when = datetime(2026, 1, 1)
		events = [
			{
				"category": token,
				"quantity": str(Decimal(n) / 1000),
				"idempotency_key": f"event-{n}",
				"team": team,
				"user": f"user {n % 7} ✓",
				"occurred_at": when.replace(hour=n % 24).isoformat(),
			}
			for n in range(1, 10_001)
		]
		answer = self.charge(account, events)
		total = sum(Decimal(n) * 4 / 10**7 for n in range(1, 10_001))
		self.assertEqual(
			(answer["charged"], answer["repeats"], Decimal(answer["amount"])), (10_000, 0, total)
		)
		self.assertEqual(Decimal(answer["balance_after"]), 1000 - total)
		rows = entries(account)[1:]
		self.assertEqual([row.idempotency_key for row in rows], [e["idempotency_key"] for e in events])
		self.assertEqual([row.amount for row in rows], [-Decimal(n) * 4 / 10**7 for n in range(1, 10_001)])
		self.assertEqual([row.name for row in rows], answer["entries"])
		self.assertEqual(len({row.posted_at for row in rows}), 1)
		again = self.charge(account, events)
		self.assertEqual((again["charged"], again["repeats"], again["amount"]), (0, 10_000, "0"))
		self.assertEqual(again["balance_after"], answer["balance_after"])

	def test_a_repeat_is_known_when_the_balance_would_not_suffice_any_more(self):
		account = self.account("10")
		events = [{"amount": 4, "idempotency_key": f"k{n}"} for n in range(2)]
		first = self.charge(account, events)
		told = self.told_of_refusals(lambda: self.charge(account, events))
		self.assertEqual(told, [])
		more = [*events, {"amount": 2, "idempotency_key": "k2"}]
		answer = self.charge(account, more)
		self.assertEqual((first["charged"], answer["charged"], answer["repeats"]), (2, 1, 2))
		self.assertEqual(answer["balance_after"], "0")

	def told_of_refusals(self, function) -> list[tuple[str, str]]:
		"""What listeners of `usage_refused` are told while `function` runs and its transaction ends."""
		told = []
		with patch.object(usage, "_tell_refusal", lambda account, amount: told.append((account, amount))):
			try:
				function()
			except errors.CreditError:
				pass
			frappe.db.rollback()
		return told

	def test_a_batch_refused_for_lack_of_credits_says_what_it_would_have_taken(self):
		account = self.account("10")
		events = [{"amount": 4, "idempotency_key": f"n{n}"} for n in range(3)]
		told = self.told_of_refusals(lambda: usage.charge_many(account, events))
		self.assertEqual(told, [(account, "12")])
		self.charge(account, events[:1])
		self.assertEqual(self.told_of_refusals(lambda: usage.charge_many(account, events)), [(account, "8")])

	def test_the_sizes_and_shapes_a_batch_may_have(self):
		account = self.account("10")
		event = {"amount": 1, "idempotency_key": "k"}
		for events, code in (
			([], "batch_empty"),
			([event] * 10_001, "batch_too_large"),
			(None, "batch_not_a_list"),
			("text", "batch_not_a_list"),
			(event, "batch_not_a_list"),
			((event,), "batch_not_a_list"),
			([event, None], "batch_not_a_list"),
			([event, [event]], "batch_not_a_list"),
		):
			self.refused(errors.InvalidRequestError, code, account, events)

	def test_an_error_in_the_last_event_undoes_all_and_names_it(self):
		account = self.account("100")
		events = [{"amount": "0.01", "idempotency_key": f"k{n}"} for n in range(2500)]
		for last, reason, exception in (
			({"amount": 0}, "not_positive", errors.InvalidRequestError),
			({"amount": "NaN"}, "not_finite", errors.InvalidRequestError),
			({"amount": 1, "category": "None such"}, "unknown_category", errors.InvalidRequestError),
			({"amount": 1, "currency": "EUR"}, "wrong_currency", errors.InvalidRequestError),
			({"amount": "75.01"}, "insufficient_credits", errors.InsufficientCreditsError),
			({"amount": 1, "idempotency_key": "k0"}, "idempotency_conflict", errors.IdempotencyConflictError),
			({"amount": 1, "idempotency_key": None}, "missing_key", errors.InvalidRequestError),
		):
			raised = self.refused(
				exception, "batch_event", account, [*events, {"idempotency_key": "last"} | last]
			)
			self.assertEqual((raised.figures["index"], raised.figures["reason"]), (2501, reason))
			self.assertIn("2501", str(raised))
		raised = self.refused(
			errors.InsufficientCreditsError,
			"batch_event",
			account,
			[*events, {"amount": "75.01", "idempotency_key": "last"}],
		)
		self.assertEqual((raised.http_status_code, raised.figures["shortfall"]), (402, "0.01"))
		self.assertEqual(
			self.charge(account, [*events, {"amount": 75, "idempotency_key": "l"}])["balance_after"], "0"
		)

	def test_what_is_quoted_in_an_error_is_escaped_once(self):
		raised = self.refused(
			errors.InvalidRequestError,
			"batch_event",
			self.account("1"),
			[{"amount": "<b>", "idempotency_key": "k"}],
		)
		self.assertIn("&lt;b&gt;", str(raised))
		self.assertNotIn("&amp;", str(raised))

	def test_repeats_inside_a_batch_and_across_batches_are_charged_once(self):
		account = self.account("100")
		one = usage.charge(account, {"amount": 1, "idempotency_key": "single"})
		answer = self.charge(
			account,
			[
				{"amount": 2, "idempotency_key": "a"},
				{"amount": 1, "idempotency_key": "single"},
				{"amount": 2, "idempotency_key": "a"},
				{"amount": 3, "idempotency_key": "b"},
				{"amount": 2, "idempotency_key": "A"},
			],
		)
		self.assertEqual((answer["charged"], answer["repeats"], answer["amount"]), (3, 2, "7"))
		self.assertEqual(answer["balance_after"], "92")
		again = self.charge(
			account, [{"amount": 3, "idempotency_key": "b"}, {"amount": 5, "idempotency_key": "c"}]
		)
		self.assertEqual((again["charged"], again["repeats"], again["amount"]), (1, 1, "5"))
		self.assertEqual(
			usage.charge(account, {"amount": 3, "idempotency_key": "b"})["entry"], answer["entries"][1]
		)
		self.assertEqual(
			usage.charge(account, {"amount": 1, "idempotency_key": "single"}), one | {"repeated": True}
		)

	def test_a_batch_of_repeats_is_answered_after_credits_have_run_out(self):
		account = self.account("10")
		events = [{"amount": 4, "idempotency_key": "a"}, {"amount": 6, "idempotency_key": "b"}]
		self.charge(account, events)
		again = self.charge(account, events)
		self.assertEqual((again["charged"], again["repeats"], again["balance_after"]), (0, 2, "0"))
		self.refused(
			errors.InsufficientCreditsError,
			"batch_event",
			account,
			[*events, {"amount": 1, "idempotency_key": "c"}],
		)

	def test_conflicts_are_found_inside_the_batch_and_with_what_was_before(self):
		account = self.account("100")
		self.charge(account, [{"amount": 1, "idempotency_key": "old"}])
		for events in (
			[{"amount": 1, "idempotency_key": "x"}, {"amount": 2, "idempotency_key": "x"}],
			[{"amount": 1, "idempotency_key": "x"}, {"amount": 1, "idempotency_key": "x", "note": "n"}],
			[{"amount": 1, "idempotency_key": "x"}, {"amount": 2, "idempotency_key": "old"}],
		):
			raised = self.refused(errors.IdempotencyConflictError, "batch_event", account, events)
			self.assertEqual((raised.figures["index"], raised.http_status_code), (2, 409))

	def test_keys_another_process_has_committed_since_are_repeats_wherever_they_stand(self):
		"""A caller whose first try timed out sends it again with more, while the first is just being committed.

		The insert meets the keys, perhaps only in its second statement; nothing is looked up before.
		"""
		for start in (0, 1500):
			account = self.account("100")
			events = [{"amount": "0.01", "idempotency_key": f"k{n}"} for n in range(2000)]
			self.charge(account, events[start : start + 10])
			with patch.object(usage, "find_entries", wraps=store.find_entries) as looked_up:
				answer = self.charge(account, events)
			self.assertEqual([call.kwargs for call in looked_up.call_args_list], [{"locking": True}])
			self.assertEqual((answer["charged"], answer["repeats"]), (1990, 10))
			self.assertEqual(answer["balance_after"], "80")

	def test_teams_and_prices_are_read_once_a_batch(self):
		account, token = self.account("10"), factories.make_category("0.001")
		frappe.db.commit()
		event = {"category": token, "quantity": 1}
		with patch.object(usage, "read_price", wraps=usage.read_price) as read:
			self.charge(account, [event | {"idempotency_key": str(n)} for n in range(20)])
		self.assertEqual(read.call_count, 1)
