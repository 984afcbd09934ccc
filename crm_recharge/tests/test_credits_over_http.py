"""The credits API as integrators meet it: tokens, JSON and forms, status codes, machine-readable errors."""

import json
from datetime import timedelta
from decimal import Decimal

import frappe
from frappe.utils import now_datetime

from crm_recharge.tests import factories
from crm_recharge.tests.compat import of_nearly_json
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import MoneyTestCase, retire
from crm_recharge.tests.support.web import Client, Web

CHARGE = "credits.charge"


class TestCreditsOverHTTP(MoneyTestCase):
	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		frappe.set_user("Administrator")
		cls.web = Web().start()
		cls.addClassCleanup(cls.web.stop)
		users = [factories.make_user(role) for role in ("Credit API", "Credit Manager")]
		cls.api, cls.manager = (cls.web.client(user) for user in users)
		for user in users:
			cls.addClassCleanup(retire, user)

	def key(self):
		return frappe.generate_hash(length=20)

	def charge(self, account, **arguments):
		return self.api.post(CHARGE, account=account, **{"idempotency_key": self.key()} | arguments)

	def message(self, response):
		self.assertEqual(response.status_code, 200, response.text[:500])
		return response.json()["message"]

	def refused(self, response, status, exc_type, code, account=None, before=None):
		self.assertEqual(response.status_code, status, response.text[:500])
		body = response.json()
		self.assertEqual(body["exc_type"], exc_type)
		self.assertEqual(body["error"]["code"], code)
		self.assertTrue(body["_server_messages"], "no text for people")
		if account:
			frappe.db.rollback()
			self.assertEqual(self.state(account), before, "a refused call left something behind")
		return body["error"]

	def test_a_charge_with_a_token(self):
		account = self.account("100")
		answer = self.message(self.charge(account, amount="0.000000001", note="ünïcode 🎉"))
		self.assertEqual(
			{
				k: answer[k]
				for k in ("account", "amount", "balance_after", "recharge_started", "recharge", "repeated")
			},
			{
				"account": account,
				"amount": "0.000000001",
				"balance_after": "99.999999999",
				"recharge_started": False,
				"recharge": None,
				"repeated": False,
			},
		)
		frappe.db.rollback()
		self.assertEqual(
			(entries(account)[-1].name, entries(account)[-1].note), (answer["entry"], "ünïcode 🎉")
		)

	def test_numbers_texts_and_forms_mean_the_same(self):
		account, token = self.account("100"), factories.make_category("0.0004")
		frappe.db.commit()
		for amount in (0.1, "0.1", "0.10"):
			self.assertEqual(self.message(self.charge(account, amount=amount))["amount"], "0.1")
		self.assertEqual(self.message(self.charge(account, amount=1))["amount"], "1")
		for as_form in (False, True):
			response = self.api.post(
				CHARGE,
				as_form,
				account=account,
				category=token,
				quantity="2500.5",
				idempotency_key=self.key(),
			)
			self.assertEqual(self.message(response)["amount"], "1.0002")
		response = self.api.post(
			CHARGE, account=account, category=token, quantity=3, idempotency_key=self.key()
		)
		self.assertEqual(self.message(response)["amount"], "0.0012")

	def test_a_repeat_gets_the_first_answer_and_other_content_both(self):
		account = self.account("10")
		key = self.key()
		first = self.message(self.charge(account, amount=7, idempotency_key=key))
		self.message(self.charge(account, amount=3))
		before = self.state(account)
		again = self.message(self.charge(account, amount="7.0", idempotency_key=key))
		self.assertEqual(again, first | {"repeated": True})
		error = self.refused(
			self.charge(account, amount=8, idempotency_key=key),
			409,
			"IdempotencyConflictError",
			"idempotency_conflict",
			account,
			before,
		)
		self.assertEqual(
			(error["first"]["entry"], error["first"]["amount"], error["now"]["amount"]),
			(first["entry"], "7", "8"),
		)

	def test_credits_that_do_not_suffice(self):
		account = self.account("1.5")
		before = self.state(account)
		error = self.refused(
			self.charge(account, amount="2"),
			402,
			"InsufficientCreditsError",
			"insufficient_credits",
			account,
			before,
		)
		self.assertEqual(
			(error["balance"], error["shortfall"], error["currency"], error["amount"]),
			("1.5", "0.5", "USD", "2"),
		)

	def test_bad_requests_change_nothing(self):
		account, other = self.account("100"), self.account("1")
		token, euro = factories.make_category(), factories.make_category(currency="EUR")
		off, stranger = factories.make_category(disabled=1), factories.make_team(other)
		frappe.db.commit()
		before = self.state(account)
		future = str(now_datetime() + timedelta(hours=2))
		for arguments, code in (
			({"amount": 0}, "not_positive"),
			({"amount": -1}, "not_positive"),
			({"amount": "NaN"}, "not_finite"),
			({"amount": "Infinity"}, "not_finite"),
			({"amount": 1e300}, "too_large"),
			({"amount": 10**30}, "too_large"),
			({"amount": "0.0000000001"}, "too_many_decimals"),
			({"amount": "ten"}, "not_a_number"),
			({"amount": "1e5"}, "not_a_number"),
			({"amount": ""}, "not_a_number"),
			({}, "amount_or_quantity"),
			({"amount": 1, "quantity": 1, "category": token}, "amount_and_quantity"),
			({"quantity": 1}, "quantity_without_category"),
			({"quantity": 1, "category": "None such"}, "unknown_category"),
			({"quantity": 1, "category": off}, "category_disabled"),
			({"quantity": 1, "category": euro}, "category_currency"),
			({"amount": 1, "currency": "EUR"}, "wrong_currency"),
			({"amount": 1, "team": stranger}, "unknown_team"),
			({"amount": 1, "occurred_at": "yesterday"}, "bad_time"),
			({"amount": 1, "occurred_at": future}, "in_the_future"),
			({"amount": 1, "note": "x" * 1001}, "text_too_long"),
			({"amount": 1, "note": "\x00"}, "unreadable_text"),
			({"amount": 1, "note": "\ud83d"}, of_nearly_json("unreadable_text")),
			({"amount": 1, "user": "x" * 141}, "text_too_long"),
			({"amount": 1, "idempotency_key": None}, "missing_key"),
			({"amount": 1, "idempotency_key": " "}, "missing_key"),
			({"amount": 1, "idempotency_key": "x" * 141}, "key_too_long"),
			({"amount": 1, "idempotency_key": "a\x00"}, "key_too_long"),
		):
			with self.subTest(arguments=str(arguments)[:80]):
				self.refused(
					self.charge(account, **arguments), 422, "InvalidRequestError", code, account, before
				)

	def test_values_of_the_wrong_kind_are_client_errors(self):
		account = self.account("100")
		before = self.state(account)
		for arguments in (
			{"amount": [1]},
			{"amount": {"a": 1}},
			{"amount": True},
			{"amount": 1, "idempotency_key": ["a"]},
			{"amount": 1, "idempotency_key": {"a": 1}},
			{"amount": 1, "idempotency_key": True},
			{"amount": 1, "note": ["x"]},
			{"amount": 1, "team": {"x": 1}},
			{"amount": 1, "category": [1]},
			{"amount": 1, "occurred_at": [1]},
			{"amount": 1, "account": [account]},
			{"amount": 1, "account": None},
			{"amount": 1, "account": {"name": account}},
		):
			with self.subTest(arguments=arguments):
				response = self.api.post(
					CHARGE, **{"account": account, "idempotency_key": self.key()} | arguments
				)
				self.assertTrue(
					400 <= response.status_code < 500, f"{response.status_code}: {response.text[:300]}"
				)
				frappe.db.rollback()
				self.assertEqual(self.state(account), before)

	def test_json_that_is_only_nearly_json(self):
		account = self.account("100")
		before = self.state(account)
		refused = (422, "InvalidRequestError")
		for number in ("NaN", "Infinity", "-Infinity"):
			body = f'{{"account": "{account}", "amount": {number}, "idempotency_key": "{self.key()}"}}'
			code = of_nearly_json("not_finite")
			self.refused(self.api.post_raw(CHARGE, body), *refused, code, account, before)
		body = (
			f'{{"account": "{account}", "amount": 1, "idempotency_key": "{self.key()}", "note": "\\ud800"}}'
		)
		code = of_nearly_json("unreadable_text")
		self.refused(self.api.post_raw(CHARGE, body), *refused, code, account, before)

	def test_accounts_that_are_not_there(self):
		for account in ("No such account", "x" * 500, "' OR 1=1 --"):
			self.refused(self.charge(account, amount=1), 404, "UnknownAccountError", "unknown_account")
			response = self.api.post(
				"credits.charge_many", account=account, events=[{"amount": 1, "idempotency_key": "k"}]
			)
			self.refused(response, 404, "UnknownAccountError", "unknown_account")
			self.refused(
				self.api.get("credits.balance", account=account),
				404,
				"UnknownAccountError",
				"unknown_account",
			)
		for account, code in (("\x00", "unreadable_text"), ("\ud800", of_nearly_json("unreadable_text"))):
			self.refused(self.charge(account, amount=1), 422, "InvalidRequestError", code)

	def test_a_disabled_account(self):
		account = self.account("100", status="Disabled")
		self.refused(
			self.charge(account, amount=1),
			403,
			"AccountClosedError",
			"account_disabled",
			account,
			self.state(account),
		)

	def test_a_get_charges_nothing(self):
		account = self.account("100")
		before = self.state(account)
		for method in ("charge", "charge_many", "grant", "adjust", "reverse"):
			response = self.manager.get(
				f"credits.{method}", account=account, amount=1, idempotency_key=self.key(), events="[]"
			)
			self.assertIn(response.status_code, (403, 405), method)
		frappe.db.rollback()
		self.assertEqual(self.state(account), before)

	def test_who_may_do_what(self):
		account = self.account("100")
		before = self.state(account)
		guest, stranger = Client(self.web.url), self.web.client(self.user())
		reader = self.web.client(self.user("Credit User"))
		for client in (guest, stranger, reader):
			response = client.post(CHARGE, account=account, amount=1, idempotency_key=self.key())
			self.assertIn(response.status_code, (401, 403))
		for client in (guest, stranger):
			self.assertIn(client.get("credits.balance", account=account).status_code, (401, 403))
		self.assertEqual(self.message(reader.get("credits.balance", account=account))["balance"], "100")
		for method in ("grant", "adjust"):
			response = self.api.post(
				f"credits.{method}", account=account, amount=1, note="n", idempotency_key=self.key()
			)
			self.assertEqual(response.status_code, 403, method)
		response = self.api.post("credits.reverse", entry=entries(account)[-1].name, note="n")
		self.assertEqual(response.status_code, 403)
		frappe.db.rollback()
		self.assertEqual(self.state(account), before)

	def test_a_user_limited_to_one_account_reaches_no_other(self):
		mine, other = self.account("10"), self.account("10")
		user = self.user("Credit API")
		frappe.get_doc(
			{"doctype": "User Permission", "user": user, "allow": "Credit Account", "for_value": mine}
		).insert()
		client = self.web.client(user)
		before = self.state(other)
		self.message(client.post(CHARGE, account=mine, amount=1, idempotency_key=self.key()))
		for spelling in (other, other.lower(), f"{other} "):
			response = client.post(CHARGE, account=spelling, amount=1, idempotency_key=self.key())
			self.assertEqual(response.status_code, 403, response.text[:300])
			events = [{"amount": 1, "idempotency_key": self.key()}]
			self.assertEqual(
				client.post("credits.charge_many", account=spelling, events=events).status_code, 403
			)
			for method in ("balance", "statement", "export", "verify"):
				self.assertEqual(client.get(f"credits.{method}", account=spelling).status_code, 403, method)
		frappe.db.rollback()
		self.assertEqual(self.state(other), before)

	def test_a_batch_as_list_and_as_text(self):
		account = self.account("10")
		events = [{"amount": 0.1, "idempotency_key": f"k{n}"} for n in range(3)]
		answer = self.message(self.api.post("credits.charge_many", account=account, events=events))
		self.assertEqual((answer["charged"], answer["amount"], answer["balance_after"]), (3, "0.3", "9.7"))
		answer = self.message(
			self.api.post("credits.charge_many", account=account, events=json.dumps(events))
		)
		self.assertEqual((answer["charged"], answer["repeats"], answer["amount"]), (0, 3, "0"))
		before = self.state(account)
		bad = [*events, {"amount": 0, "idempotency_key": "k4"}]
		error = self.refused(
			self.api.post("credits.charge_many", account=account, events=bad),
			422,
			"InvalidRequestError",
			"batch_event",
			account,
			before,
		)
		self.assertEqual((error["index"], error["key"], error["reason"]), (4, "k4", "not_positive"))
		for events, code in (
			("[", "batch_not_a_list"),
			("[" * 100_000, "batch_not_a_list"),
			("5", "batch_not_a_list"),
			([], "batch_empty"),
			([{"amount": 1, "idempotency_key": "x"}] * 10_001, "batch_too_large"),
		):
			response = self.api.post("credits.charge_many", account=account, events=events)
			self.refused(response, 422, "InvalidRequestError", code, account, before)

	def test_balance_and_statement(self):
		account = self.account("100.5")
		self.message(self.charge(account, amount="0.25", note="first"))
		for response in (
			self.api.get("credits.balance", account=account),
			self.api.post("credits.balance", account=account),
		):
			answer = self.message(response)
			self.assertEqual(
				(answer["balance"], answer["available"], answer["pending"], answer["currency"]),
				("100.25", "100.25", None, "USD"),
			)
		answer = self.message(
			self.api.get("credits.statement", account=account, **{"from": "2020-01-01", "to": "2999-01-01"})
		)
		self.assertEqual((answer["opening_balance"], answer["closing_balance"]), ("0", "100.25"))
		self.assertEqual([row["amount"] for row in answer["rows"]], ["100.5", "-0.25"])
		error = self.refused(
			self.api.get("credits.statement", account=account, **{"from": "then"}),
			422,
			"InvalidRequestError",
			"bad_time",
		)
		self.assertEqual(error["field"], "from")

	def test_a_manager_grants_adjusts_and_reverses(self):
		account = self.account()
		grant = self.message(
			self.manager.post(
				"credits.grant", account=account, amount="10", note="Welcome", idempotency_key="g"
			)
		)
		self.assertEqual(grant["balance_after"], "10")
		usage = self.message(self.charge(account, amount=4))
		answer = self.message(self.manager.post("credits.reverse", entry=usage["entry"], note="Mistake"))
		self.assertEqual(answer["balance_after"], "10")
		answer = self.message(
			self.manager.post(
				"credits.adjust", account=account, amount=-2.5, note="Count", idempotency_key="a"
			)
		)
		self.assertEqual(answer["balance_after"], "7.5")
		before = self.state(account)
		for method, arguments, code in (
			("grant", {"amount": 0}, "not_positive"),
			("grant", {"amount": 1, "expires_at": "2020-01-01"}, "expired_already"),
			("grant", {"amount": 1, "idempotency_key": None}, "missing_key"),
			("adjust", {"amount": 1, "note": " "}, "note_missing"),
			("adjust", {"amount": "NaN", "note": "n"}, "not_finite"),
		):
			response = self.manager.post(
				f"credits.{method}",
				account=account,
				**{"note": "n", "idempotency_key": self.key()} | arguments,
			)
			self.refused(response, 422, "InvalidRequestError", code, account, before)
		self.assertEqual(self.manager.post("credits.reverse", entry="No such row", note="n").status_code, 404)

	def test_amounts_are_never_floats_in_answers(self):
		account = self.account("100")
		text = self.charge(account, amount="0.1").text
		found = json.loads(text, parse_float=lambda number: self.fail(f"a float in the answer: {number}"))
		self.assertEqual(Decimal(found["message"]["balance_after"]), Decimal("99.9"))

	def test_no_rest_call_changes_the_ledger(self):
		account = self.account("10")
		self.message(self.charge(account, amount=1))
		before, row = self.state(account), entries(account)[-1].name
		lot = frappe.get_all("Credit Lot", {"credit_account": account}, pluck="name")[0]
		admin = self.web.client(self.user("System Manager", "Credit Manager", "Accounts Manager"))
		for client in (admin, self.manager, self.api):
			for verb, path, values in (
				("PUT", f"/api/resource/Credit Ledger/{row}", {"amount": -100}),
				("DELETE", f"/api/resource/Credit Ledger/{row}", {}),
				(
					"POST",
					"/api/resource/Credit Ledger",
					{"credit_account": account, "entry_type": "Grant", "amount": 5},
				),
				("PUT", f"/api/resource/Credit Lot/{lot}", {"remaining": 100}),
				("DELETE", f"/api/resource/Credit Lot/{lot}", {}),
				("DELETE", f"/api/resource/Credit Account/{account}", {}),
			):
				response = client.call(verb, path, **values)
				self.assertTrue(400 <= response.status_code < 500, f"{verb} {path}: {response.status_code}")
		admin.call("PUT", f"/api/resource/Credit Account/{account}", balance=999, open_lots="[]", sequence=0)
		frappe.db.rollback()
		self.assertEqual(self.state(account), before)
