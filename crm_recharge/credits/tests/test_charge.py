"""Charging one usage, in process: what it costs, what it refuses, and what a repeat gets."""

import json
from datetime import timedelta
from decimal import Decimal

import frappe
from frappe.utils import now_datetime

from crm_recharge.credits import errors, ledger, usage
from crm_recharge.credits.money import as_text
from crm_recharge.tests import factories
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import MoneyTestCase

LONG = "x" * 141


class TestCharge(MoneyTestCase):
	def charge(self, account, **raw):
		raw.setdefault("idempotency_key", frappe.generate_hash(length=20))
		answer = usage.charge(account, raw)
		frappe.db.commit()
		return answer

	def refused(self, exception, code, account, **raw):
		"""The charge is refused with `code`, and nothing has changed."""
		raw.setdefault("idempotency_key", frappe.generate_hash(length=20))
		before = self.state(account)
		with self.assertRaises(exception) as caught:
			usage.charge(account, raw)
		self.assertEqual(caught.exception.code, code)
		frappe.db.commit()
		self.assertEqual(self.state(account), before, "a refused charge left something behind")
		return caught.exception

	def test_an_amount_is_taken_off_and_answered_exactly(self):
		account = self.account("100")
		answer = self.charge(account, amount="0.000000001")
		self.assertEqual(answer["amount"], "0.000000001")
		self.assertEqual(answer["balance_after"], "99.999999999")
		self.assertEqual(
			answer,
			answer | {"account": account, "recharge_started": False, "recharge": None, "repeated": False},
		)
		row = entries(account)[-1]
		self.assertEqual(
			(row.name, row.amount, row.entry_type), (answer["entry"], Decimal("-0.000000001"), "Usage")
		)

	def test_numbers_and_texts_of_every_kind_mean_the_same(self):
		account = self.account("100")
		for amount in ("0.1", 0.1, Decimal("0.1"), ".1", " 0.10 "):
			self.assertEqual(self.charge(account, amount=amount)["amount"], "0.1")
		self.assertEqual(self.charge(account, amount=2)["balance_after"], "97.5")

	def test_a_thousand_subcent_tokens_cost_exactly_that(self):
		account, token = self.account("10"), factories.make_category("0.0004")
		for _ in range(3):
			answer = self.charge(account, category=token, quantity=1)
			self.assertEqual(answer["amount"], "0.0004")
		answer = self.charge(account, category=token, quantity="1234.567")
		self.assertEqual(answer["amount"], "0.4938268")
		self.assertEqual(answer["balance_after"], "9.5049732")
		row = frappe.db.sql(
			f"SELECT {as_text('quantity', 'unit_price', 'amount')}, `category` FROM `tabCredit Ledger` WHERE `name` = %s",
			answer["entry"],
			as_dict=True,
		)[0]
		self.assertEqual(
			row,
			{
				"quantity": "1234.567000000",
				"unit_price": "0.000400000",
				"amount": "-0.493826800",
				"category": token,
			},
		)

	def test_a_product_finer_than_nine_places_is_rounded_half_even_once(self):
		account, token = self.account("10"), factories.make_category("0.000000001")
		self.assertEqual(self.charge(account, category=token, quantity="2.5")["amount"], "0.000000002")
		self.assertEqual(self.charge(account, category=token, quantity="3.5")["amount"], "0.000000004")
		self.refused(errors.InvalidRequestError, "not_positive", account, category=token, quantity="0.4")

	def test_the_whole_balance_can_be_used_and_not_a_bit_more(self):
		account = self.account("1")
		raised = self.refused(
			errors.InsufficientCreditsError, "insufficient_credits", account, amount="1.000000001"
		)
		self.assertEqual(raised.http_status_code, 402)
		self.assertEqual(
			(raised.figures["balance"], raised.figures["shortfall"], raised.figures["currency"]),
			("1", "0.000000001", "USD"),
		)
		self.assertEqual(self.charge(account, amount=1)["balance_after"], "0")

	def test_an_overdraft_lends_up_to_its_limit(self):
		account = self.account("1", overdraft_limit=5)
		self.assertEqual(self.charge(account, amount="5.5")["balance_after"], "-4.5")
		raised = self.refused(errors.InsufficientCreditsError, "insufficient_credits", account, amount="0.6")
		self.assertEqual(raised.figures["shortfall"], "0.1")

	def test_bad_amounts(self):
		account = self.account("100")
		for amount, code in (
			(0, "not_positive"),
			("-1", "not_positive"),
			("-0", "not_positive"),
			("NaN", "not_finite"),
			(float("nan"), "not_finite"),
			("Infinity", "not_finite"),
			(float("-inf"), "not_finite"),
			("1e300", "not_a_number"),
			(1e300, "too_large"),
			(10**4000, "too_large"),
			("10000000000", "too_large"),
			("0.0000000001", "too_many_decimals"),
			(0.1 + 0.2, "too_many_decimals"),
			(True, "not_a_number"),
			(False, "not_a_number"),
			([1], "not_a_number"),
			({"amount": 1}, "not_a_number"),
			("", "not_a_number"),
			("ten", "not_a_number"),
			("1,5", "not_a_number"),
			("1_000", "not_a_number"),
			("1\x00", "not_a_number"),
		):
			with self.subTest(amount=repr(amount)[:40]):
				raised = self.refused(errors.InvalidRequestError, code, account, amount=amount)
				self.assertEqual(raised.http_status_code, 422)

	def test_bad_requests(self):
		account, other = self.account("100"), self.account("100")
		token, euro = factories.make_category(), factories.make_category(currency="EUR")
		off = factories.make_category(disabled=1)
		stranger, idle = factories.make_team(other), factories.make_team(account, disabled=1)
		frappe.db.commit()
		now = now_datetime()
		for raw, code in (
			({}, "amount_or_quantity"),
			({"amount": 1, "quantity": 1, "category": token}, "amount_and_quantity"),
			({"quantity": 1}, "quantity_without_category"),
			({"quantity": 1, "category": "No such category"}, "unknown_category"),
			({"amount": 1, "category": "No such category"}, "unknown_category"),
			({"quantity": 1, "category": off}, "category_disabled"),
			({"amount": 1, "category": off}, "category_disabled"),
			({"quantity": 1, "category": euro}, "category_currency"),
			({"amount": 1, "currency": "EUR"}, "wrong_currency"),
			({"amount": 1, "team": stranger}, "unknown_team"),
			({"amount": 1, "team": "No such team"}, "unknown_team"),
			({"amount": 1, "team": idle}, "team_disabled"),
			({"amount": 1, "occurred_at": "yesterday"}, "bad_time"),
			({"amount": 1, "occurred_at": "1999-12-31"}, "bad_time"),
			({"amount": 1, "occurred_at": "0001-01-01T00:00:00+14:00"}, "bad_time"),
			({"amount": 1, "occurred_at": "9999-12-31T23:59:59-14:00"}, "bad_time"),
			({"amount": 1, "occurred_at": ["2026-01-01"]}, "bad_time"),
			({"amount": 1, "occurred_at": str(now + timedelta(hours=1))}, "in_the_future"),
			({"amount": 1, "colour": "red"}, "unknown_field"),
			({"amount": 1, "user": LONG}, "text_too_long"),
			({"amount": 1, "team": LONG}, "text_too_long"),
			({"amount": 1, "category": LONG}, "text_too_long"),
			({"amount": 1, "note": "x" * 1001}, "text_too_long"),
		):
			with self.subTest(raw=str(raw)[:80]):
				self.refused(errors.InvalidRequestError, code, account, **raw)

	def test_keys_that_are_none(self):
		account = self.account("100")
		for key in (None, "", "   "):
			self.refused(errors.InvalidRequestError, "missing_key", account, amount=1, idempotency_key=key)
		for key in ("x" * 141, "a\x00b", "line\nbreak", "a\x1fb", "\ud800"):
			self.refused(errors.InvalidRequestError, "key_too_long", account, amount=1, idempotency_key=key)
		for key in (True, ["a"], {"a": 1}, 1.5):
			self.refused(errors.InvalidRequestError, "not_text", account, amount=1, idempotency_key=key)

	def test_texts_that_the_tables_or_the_chain_could_not_keep_are_refused(self):
		account = self.account("100")
		for field in ("note", "user", "team", "category"):
			for text in ("a\x00b", "\ud83d", "a\x1fb"):
				with self.subTest(field=field, text=ascii(text)):
					self.refused(
						errors.InvalidRequestError, "unreadable_text", account, **{"amount": 1, field: text}
					)
			self.refused(errors.InvalidRequestError, "not_text", account, **{"amount": 1, field: True})
			self.refused(errors.InvalidRequestError, "not_text", account, **{"amount": 1, field: ["x"]})

	def test_every_script_and_emoji_is_kept_to_the_letter(self):
		account = self.account("100")
		team = factories.make_team(account, team_name="Σύλλογος 🎈")
		frappe.db.commit()
		texts = {"user": "  Zoë 用户 👩‍🚀 ", "note": "tab\there\n\"quotes\" \\ 'single' ñ\u0301 😀"}
		one = self.charge(account, amount=1, idempotency_key="🎉 ключ", team="Σύλλογος 🎈", **texts)
		batch = usage.charge_many(
			account, [{"amount": 1, "idempotency_key": f"🎉 {n}", "team": team} | texts for n in (1, 2)]
		)
		frappe.db.commit()
		for row in entries(account)[1:]:
			self.assertEqual((row.user, row.note, row.team), (texts["user"].strip(), texts["note"], team))
		self.assertEqual([row.name for row in entries(account)[1:]], [one["entry"], *batch["entries"]])
		self.assertTrue(
			self.charge(account, amount=1, idempotency_key="🎉 ключ", team="Σύλλογος 🎈", **texts)["repeated"]
		)

	def test_an_account_that_is_not_there(self):
		for account in ("No such account", None, ["x"], "\x00", "\ud800", "x" * 1000):
			with self.assertRaises(errors.UnknownAccountError) as caught:
				usage.charge(account, {"amount": 1, "idempotency_key": "k"})
			self.assertEqual(caught.exception.http_status_code, 404)
			with self.assertRaises(errors.UnknownAccountError):
				usage.charge_many(account, [{"amount": 1, "idempotency_key": "k"}])
			frappe.db.rollback()

	def test_a_disabled_account_is_closed_but_answers_repeats(self):
		account = self.account("100")
		first = self.charge(account, amount=1, idempotency_key="before")
		frappe.db.set_value("Credit Account", account, "status", "Disabled")
		frappe.db.commit()
		raised = self.refused(errors.AccountClosedError, "account_disabled", account, amount=1)
		self.assertEqual(raised.http_status_code, 403)
		self.assertEqual(self.charge(account, amount=1, idempotency_key="before"), first | {"repeated": True})

	def test_a_repeat_gets_the_first_answer_even_when_credits_have_run_out(self):
		account = self.account("10")
		content = {"amount": "7.5", "note": "first", "idempotency_key": "once"}
		first = self.charge(account, **content)
		self.charge(account, amount="2.5")
		before = self.state(account)
		for amount in ("7.5", 7.5, "7.500"):
			self.assertEqual(self.charge(account, **content | {"amount": amount}), first | {"repeated": True})
		self.assertEqual(self.state(account), before)

	def test_a_key_used_with_other_content_is_a_conflict_with_both(self):
		account = self.account("10")
		when = str(now_datetime().replace(microsecond=0))
		team = factories.make_team(account)
		token = factories.make_category()
		frappe.db.commit()
		self.charge(account, amount="1", idempotency_key="k", note="first")
		for change in (
			{"amount": "2"},
			{"note": None},
			{"note": "other"},
			{"user": "someone"},
			{"team": team},
			{"category": token},
			{"occurred_at": when},
			{"amount": None, "quantity": "2500", "category": token},
		):
			raised = self.refused(
				errors.IdempotencyConflictError,
				"idempotency_conflict",
				account,
				**{"amount": "1", "idempotency_key": "k", "note": "first"} | change,
			)
			self.assertEqual(raised.http_status_code, 409)
			self.assertEqual(
				(raised.figures["first"]["amount"], raised.figures["first"]["note"]), ("1", "first")
			)
			for field, value in change.items():
				self.assertEqual(raised.figures["now"][field], value)
			json.dumps(raised.figures)

	def test_a_conflict_is_told_from_a_lack_of_credits(self):
		account = self.account("10")
		self.charge(account, amount="10", idempotency_key="k")
		self.refused(
			errors.IdempotencyConflictError, "idempotency_conflict", account, amount="11", idempotency_key="k"
		)

	def test_keys_are_exact(self):
		account = self.account("100")
		keys = ["Key", "key", "KEY", "key ", " key", "ｋｅｙ", "kéy", "ké́y", "1", "01"]
		for number, key in enumerate(keys, start=1):
			self.assertFalse(self.charge(account, amount=1, idempotency_key=key)["repeated"], key)
			self.assertEqual(len(entries(account)), number + 1)
		self.assertTrue(self.charge(account, amount=1, idempotency_key=1)["repeated"])

	def test_two_accounts_may_use_the_same_key(self):
		one, two = self.account("5"), self.account("5")
		answers = [self.charge(account, amount=1, idempotency_key="same") for account in (one, two)]
		self.assertEqual([a["repeated"] for a in answers], [False, False])
		self.assertNotEqual(answers[0]["entry"], answers[1]["entry"])

	def test_a_grant_and_a_usage_may_share_a_key(self):
		account = self.account("5")
		ledger.grant(account, 1, "same", "n")
		self.assertFalse(self.charge(account, amount=1, idempotency_key="same")["repeated"])

	def test_the_account_answers_by_its_own_name_however_it_was_written(self):
		account = self.account("5")
		first = self.charge(account.lower(), amount=1, idempotency_key="k")
		self.assertEqual(first["account"], account)
		self.assertEqual(self.charge(account, amount=1, idempotency_key="k"), first | {"repeated": True})

	def test_a_refused_charge_does_not_undo_what_its_caller_wrote(self):
		account = self.account("5")
		note = frappe.get_doc({"doctype": "ToDo", "description": "before"}).insert()
		with self.assertRaises(errors.InsufficientCreditsError):
			usage.charge(account, {"amount": 6, "idempotency_key": "k"})
		frappe.db.commit()
		self.assertTrue(frappe.db.exists("ToDo", note.name))
		note.delete()
		frappe.db.commit()

	def test_a_longest_user_name_and_longest_texts_are_kept(self):
		account = self.account("5")
		user = frappe.get_doc(
			"User",
			factories.make_user("Credit API", email=f"{'u' * 120}{frappe.generate_hash(length=6)}@x.test"),
		)
		self.addCleanup(frappe.set_user, "Administrator")
		frappe.set_user(user.name)
		texts = {"user": "ü" * 140, "note": "💰" * 1000, "idempotency_key": "🔑" * 140}
		self.charge(account, amount=1, **texts)
		usage.charge_many(
			account, [{"amount": 1, **texts, "idempotency_key": "🔑" * 139 + str(n)} for n in (1, 2)]
		)
		frappe.db.commit()
		rows = entries(account)[1:]
		self.assertEqual({(row.user, row.note) for row in rows}, {(texts["user"], texts["note"])})
		self.assertEqual(rows[0].idempotency_key, texts["idempotency_key"])
		self.assertEqual(
			set(
				frappe.get_all(
					"Credit Ledger", {"credit_account": account, "entry_type": "Usage"}, pluck="owner"
				)
			),
			{user.name},
		)
