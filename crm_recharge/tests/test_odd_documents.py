"""Whatever stands in a field of a document, saving it ends in a document or in a sentence that names the field.

CRM_RECHARGE_ODD_SEED picks the sample, CRM_RECHARGE_ODD_SECONDS how long (20).
"""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor

import frappe
from frappe.model import no_value_fields, table_fields

from crm_recharge.credits.errors import CreditError
from crm_recharge.tests import factories
from crm_recharge.tests.compat import Unwritten
from crm_recharge.tests.support.money_case import GatewayTestCase
from crm_recharge.tests.support.node import Node
from crm_recharge.tests.support.reorder_case import make_buyer, make_item
from crm_recharge.tests.test_odd_input import ODD, SECONDS, SEED

OF_A_VALUE = {
	*("not_text", "unreadable_text", "text_too_long", "not_whole", "not_a_bool", "bad_day", "bad_moment"),
	*("bad_time_of_day", "not_rows", "unknown_time_zone"),
}
STANDARD = ("name", "owner", "creation", "modified", "docstatus", "idx", "parent", "flags", "doctype")


class TestOddDocuments(GatewayTestCase):
	def setUp(self):
		super().setUp()
		self.random = random.Random(SEED)
		self.sender = user = self.user(
			"System Manager", "Credit Manager", "Reorder Manager", "Accounts Manager", "Sales Manager"
		)
		account = self.account("100")
		card = self.card(account)
		factories.make_setting(account, [card], enabled=0)
		customer, contact = make_buyer()
		company = frappe.get_all("Company", pluck="name", limit=1)[0]
		self.of_new = {
			"Credit Account": {"customer": factories.make_customer(), "company": company, "currency": "USD"},
			"Auto-Recharge Setting": {"credit_account": self.account(), "cards": [{"card": card}]},
			"Usage Category": {"category_name": "Odd", "unit": "piece", "currency": "USD", "unit_price": 1},
			"Recharge": {"credit_account": account, "amount": 25, "card": card},
			"Credit Team": {"credit_account": account, "team_name": "Odd"},
			"Reorder Rule": {"applies_to": "Item", "item_code": make_item()},
			"Reorder Preference": {"contact": contact, "customer": customer},
		}
		self.there = {
			"Credit Account": account,
			"Auto-Recharge Setting": f"ARS-{account}",
			"Usage Category": factories.make_category(),
			"Credit Team": factories.make_team(account),
			"CRM Recharge Settings": "CRM Recharge Settings",
			"Reorder Settings": "Reorder Settings",
			"Recharge Card": card,
			"Credit Ledger": frappe.get_all("Credit Ledger", {"credit_account": account}, pluck="name")[0],
			"Credit Lot": frappe.get_all("Credit Lot", {"credit_account": account}, pluck="name")[0],
		}
		self.before = {name: self.kept(name) for name in ("CRM Recharge Settings", "Reorder Settings")}
		self.addCleanup(self.put_back)
		frappe.db.commit()
		node = Node(**self.gateway_conf())
		self.addCleanup(node.stop)
		self.url = node.start().start_web()
		self.http = node.session()
		doc = frappe.get_doc("User", user)
		doc.api_key, doc.api_secret = frappe.generate_hash(length=15), frappe.generate_hash(length=15)
		self.http.headers.update(
			{
				"Authorization": f"token {doc.api_key}:{doc.api_secret}",
				"Accept": "application/json",
				"Content-Type": "application/json",
			}
		)
		doc.save(ignore_permissions=True)
		frappe.db.commit()

	def kept(self, single: str) -> tuple[list, dict]:
		"""The values of a single, and the rows of its tables."""
		values = frappe.db.sql("SELECT `field`, `value` FROM `tabSingles` WHERE `doctype` = %s", single)
		tables = [field.options for field in frappe.get_meta(single).get_table_fields()]
		rows = {table: frappe.db.sql(f"SELECT * FROM `tab{table}`", as_dict=True) for table in tables}
		return values, rows

	def put_back(self):
		"""What was taken of all this is not for the tests that follow: rules and settings hold for everybody."""
		frappe.db.rollback()
		for doctype in self.of_new:
			made = frappe.get_all(doctype, {"owner": self.sender}, pluck="name")
			for field in frappe.get_meta(doctype).get_table_fields():
				frappe.db.delete(field.options, {"parent": ["in", made], "parenttype": doctype})
			frappe.db.delete(doctype, {"name": ["in", made]})
		for single, (values, tables) in self.before.items():
			frappe.db.delete("Singles", {"doctype": single})
			for field, value in values:
				frappe.db.sql("INSERT INTO `tabSingles` VALUES (%s, %s, %s)", (single, field, value))
			for table, rows in tables.items():
				frappe.db.delete(table)
				for row in rows:
					names = ", ".join(f"`{name}`" for name in row)
					marks = ", ".join(["%s"] * len(row))
					frappe.db.sql(f"INSERT INTO `tab{table}` ({names}) VALUES ({marks})", [*row.values()])
			frappe.clear_document_cache(single, single)
		frappe.db.commit()

	def calls(self) -> list[tuple]:
		"""(verb, path, values, doctype, label, what), all of them, shuffled."""
		found = Unwritten()
		for doctype in {*self.of_new, *self.there}:
			for name, label in self.fields(doctype):
				for odd, value in ODD.items():
					if doctype in self.of_new:
						values = self.of_new[doctype] | {name: value}
						found.append(("POST", f"/api/resource/{doctype}", values, doctype, label, odd))
					if doctype in self.there:
						path = f"/api/resource/{doctype}/{self.there[doctype]}"
						found.append(("PUT", path, {name: value}, doctype, label, odd))
		self.random.shuffle(found)
		return found

	def fields(self, doctype: str) -> list[tuple[str, str]]:
		"""(name, label) of all that can be sent, rows among them."""
		return [
			(field.fieldname, field.label)
			for field in frappe.get_meta(doctype).fields
			if field.fieldtype not in no_value_fields or field.fieldtype in table_fields
		] + [(name, name) for name in STANDARD]

	def wrong(self, response, label: str) -> str | None:
		if response.status_code >= 500:
			return f"status {response.status_code}"
		if response.status_code in (200, 202):
			return None
		body = response.json()
		if "exc" in body and response.status_code == 422:
			return "a traceback"
		if not body.get("_server_messages"):
			return "no sentence"
		if (
			body.get("error", {}).get("code") in OF_A_VALUE
			and label not in json.loads(body["_server_messages"])[0]
		):
			return "the field is not named"
		return None

	def test_every_odd_value_of_every_field_is_answered_plainly(self):
		calls, until, faults, count = self.calls(), time.monotonic() + SECONDS, {}, [0, 0]

		def one(verb, path, values, doctype, label, odd):
			response = self.http.request(verb, self.url + path, data=json.dumps(values).encode(), timeout=120)
			count[response.status_code == 200] += 1
			if wrong := self.wrong(response, label):
				faults.setdefault(f"{verb} {doctype}.{label}: {wrong}", []).append(
					(odd, response.status_code, response.text[:300])
				)

		def all_of(doctype):
			# One after the other: two that save one document at once wait for each other.
			for call in calls:
				if call[3] == doctype and time.monotonic() < until:
					one(*call)

		doctypes = sorted({call[3] for call in calls})
		with ThreadPoolExecutor(len(doctypes)) as pool:
			list(pool.map(all_of, doctypes))
		print(f"seed {SEED}: {len(calls)} calls, {count[0]} refused, {count[1]} taken", flush=True)
		for what, examples in sorted(faults.items()):
			print(what, examples[:2])
		self.assertEqual(sorted(faults), [], f"seed {SEED}")


class TestNamedFaults(GatewayTestCase):
	"""Each ended as an error of the database or in the worker before."""

	def refused(self, doctype: str, name: str, field: str, value) -> str:
		doc = frappe.get_doc(doctype, name)
		doc.set(field, value)
		with self.assertRaises(CreditError) as refused:
			doc.save()
		frappe.clear_messages()
		self.assertIn(frappe.get_meta(doctype).get_label(field), str(refused.exception))
		self.assertEqual(refused.exception.http_status_code, 422)
		return refused.exception.code

	def test_fields_of_an_account(self):
		account = self.account("10")
		for field, value, code in (
			("overdraft_limit", "NaN", "not_a_number"),
			("overdraft_limit", float("nan"), "not_finite"),
			("overdraft_limit", float("inf"), "not_finite"),
			("overdraft_limit", "1e5", "not_a_number"),
			("overdraft_limit", "5,000.00", "not_a_number"),
			("overdraft_limit", 10**13, "too_large"),
			("overdraft_limit", {"a": 1}, "not_a_number"),
			("time_zone", "Mars/Base", "unknown_time_zone"),
			("time_zone", "../../etc/passwd", "unknown_time_zone"),
			("status_reason", "x" * 70_000, "text_too_long"),
			("status_reason", "\ud800", "unreadable_text"),
			("alert_recipients", ["a@b.example"], "not_text"),
			("account_owner", "x" * 141, "text_too_long"),
		):
			with self.subTest(field=field, value=str(value)[:30]):
				self.assertEqual(self.refused("Credit Account", account, field, value), code)
		doc = frappe.get_doc("Credit Account", account)
		doc.time_zone, doc.overdraft_limit, doc.status_reason = "Europe/Berlin", "12.50", 2026
		doc.save()
		self.assertEqual((doc.status_reason, float(doc.overdraft_limit)), ("2026", 12.5))

	def test_rows_that_are_none(self):
		account = self.account("10")
		setting = factories.make_setting(account, [self.card(account)], enabled=0)
		for value in ("abc", 5, {"card": "x"}, [1], ["x"], [None, "x"]):
			with self.subTest(value=value), self.assertRaises(CreditError) as refused:
				doc = frappe.get_doc("Auto-Recharge Setting", setting)
				doc.set("cards", value)
			self.assertEqual(refused.exception.code, "not_rows")
			frappe.clear_messages()

	def test_a_name_that_is_a_filter_finds_no_other_record(self):
		team = factories.make_team(self.account("10"))
		doc = frappe.get_doc("Credit Team", team)
		doc.name = ["like", "%"]
		with self.assertRaises(CreditError):
			doc.has_permission("write")
		frappe.clear_messages()
