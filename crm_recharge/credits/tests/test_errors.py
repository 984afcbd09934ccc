"""Every code has a sentence, and the codes that docs/api.md promises are those there are."""

import re
from pathlib import Path

import frappe

import crm_recharge
from crm_recharge import intake
from crm_recharge.credits.errors import messages
from crm_recharge.tests.compat import BenchTestCase

APP = Path(crm_recharge.__file__).parent
RAISED = re.compile(r'(?:InvalidRequest|AccountClosed|InsufficientCredits|IdempotencyConflict)\(\s*"(\w+)"')


class TestErrors(BenchTestCase):
	def test_every_code_that_is_raised_has_a_sentence(self):
		raised = {
			code
			for path in APP.rglob("*.py")
			if "tests" not in path.parts and "simulated" not in path.parts and "replay" not in path.parts
			for code in RAISED.findall(path.read_text())
		}
		self.assertIn("unknown_parameter", raised)
		self.assertEqual(raised - set(messages()), set())

	def test_every_sentence_can_be_filled(self):
		for code, text in messages().items():
			with self.subTest(code=code):
				names = set(re.findall(r"\{(\w+)\}", text))
				self.assertTrue(text.format(**dict.fromkeys(names, "x")))

	def test_the_codes_that_the_documentation_promises_are_there(self):
		page = (APP.parent / "docs" / "api.md").read_text()
		table = page.split("Codes of a 422")[1].split("\n\n")[1]
		codes = {code for line in table.splitlines() for code in re.findall(r"`(\w+)`", line.split("|")[1])}
		self.assertGreater(len(codes), 25)
		known = set(messages()) | {code for _name, code, _status in intake._ANSWERS}
		self.assertEqual(codes - known, {"unreadable_json", "value_not_kept"})

	def test_an_answer_of_each_class_has_a_sentence(self):
		for name, code, status in intake._ANSWERS:
			with self.subTest(name=name):
				frappe.clear_messages()
				frappe.local.response.pop("error", None)
				error = getattr(frappe, name)()
				intake._answer(error)
				self.assertEqual(frappe.local.response["error"]["code"], code)
				self.assertEqual(error.http_status_code, status)
				self.assertTrue(frappe.local.message_log)
		frappe.clear_messages()
		frappe.local.response.pop("error", None)
