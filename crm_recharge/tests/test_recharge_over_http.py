"""Recharging over REST, as a program or the desk does it. The worker is not part of it."""

import frappe

from crm_recharge.tests import factories
from crm_recharge.tests.support.money_case import GatewayTestCase, retire
from crm_recharge.tests.support.web import Client, Web


class TestRechargeOverHTTP(GatewayTestCase):
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

	def setUp(self):
		super().setUp()
		self.one = self.account("10")
		self.visa = self.card(self.one)

	def start(self, client=None, **arguments):
		values = {
			"account": self.one,
			"amount": 25,
			"idempotency_key": frappe.generate_hash(length=16),
			"card": self.visa,
		}
		return (client or self.api).post("recharge.start", **values | arguments)

	def refused(self, response, status, code=None):
		self.assertEqual(response.status_code, status, response.text[:400])
		if code:
			self.assertEqual(response.json()["error"]["code"], code)
		frappe.db.rollback()

	def test_a_recharge_is_started_once_and_followed(self):
		key = frappe.generate_hash(length=16)
		first = self.start(idempotency_key=key, amount="25.50").json()["message"]
		self.assertEqual((first["status"], first["amount"], first["repeated"]), ("Queued", "25.5", False))
		again = self.start(idempotency_key=key, amount=25.5).json()["message"]
		self.assertEqual((again["recharge"], again["repeated"]), (first["recharge"], True))
		self.refused(self.start(idempotency_key=key, amount=26), 409, "idempotency_conflict")
		self.refused(self.start(), 422, "recharge_open")
		told = self.manager.get("recharge.status", recharge=first["recharge"]).json()["message"]
		self.assertEqual(
			(told["amount"], told["currency"], told["balance"], told["payment"]), ("25.5", "USD", "10", None)
		)
		balance = self.api.get("credits.balance", account=self.one).json()["message"]
		self.assertEqual((balance["balance"], balance["pending"]["amount"]), ("10", "25.5"))

	def test_what_is_refused_starts_nothing(self):
		before = self.state(self.one)
		for arguments, status, code in (
			({"amount": "4.99"}, 422, "payment_below_minimum"),
			({"amount": "10000.01"}, 422, "payment_above_maximum"),
			({"amount": "25.001"}, 422, "payment_too_fine"),
			({"amount": True}, 422, "not_a_number"),
			({"amount": "NaN"}, 422, "not_finite"),
			({"amount": -5}, 422, "not_positive"),
			({"idempotency_key": " "}, 422, "missing_key"),
			({"idempotency_key": "x" * 141}, 422, "key_too_long"),
			({"card": None}, 422, "no_card"),
			({"card": "No such card"}, 422, "unknown_link"),
			({"account": "No such account"}, 404, "not_found"),
		):
			with self.subTest(arguments=arguments):
				self.refused(self.start(**arguments), status, code)
		self.assertEqual(
			self.manager.get("recharge.start", account=self.one, amount=25, idempotency_key="k").status_code,
			403,
		)
		for client in (
			Client(self.web.url),
			self.web.client(self.user("Credit User")),
			self.web.client(self.user()),
		):
			self.assertIn(self.start(client).status_code, (401, 403))
		frappe.db.rollback()
		self.assertEqual(self.state(self.one), before)

	def test_no_rest_call_pays_a_recharge_or_makes_a_card(self):
		recharge = self.start(self.manager).json()["message"]["recharge"]
		for client in (self.manager, self.api):
			path = f"/api/resource/Recharge/{recharge}"
			client.call("PUT", path, status="Succeeded", settled_intent="pi_forged", lease_until="2999-01-01")
			card = {"credit_account": self.one, "payment_method": "pm_forged", "status": "Active"}
			self.assertEqual(client.call("POST", "/api/resource/Recharge Card", **card).status_code, 403)
		frappe.db.rollback()
		row = frappe.db.get_value("Recharge", recharge, ["settled_intent", "lease_until"])
		self.assertEqual(tuple(row), (None, None))
		self.assertNotEqual(frappe.db.get_value("Recharge", recharge, "status"), "Succeeded")

	def test_auto_recharge_is_set_and_refused(self):
		answer = self.manager.post(
			"recharge.set_auto_recharge", account=self.one, enabled=0, cards=[self.visa]
		)
		self.assertEqual(answer.json()["message"]["recharge_up_to"], "500")
		for arguments, code in (
			({"falls_below": 500}, "target_not_above_threshold"),
			({"recharge_up_to": True}, "not_a_number"),
			({"falls_below": "x"}, "not_a_number"),
			({"caps": {"cap_amount_day": 1}}, "cap_below_target"),
		):
			response = self.manager.post("recharge.set_auto_recharge", account=self.one, **arguments)
			self.refused(response, 422, code)
		self.assertEqual(
			self.api.post("recharge.set_auto_recharge", account=self.one, enabled=1).status_code, 403
		)
