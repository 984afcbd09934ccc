"""What a form offers does something: a switch without a function is not shown."""

import re
from pathlib import Path

import frappe

from crm_recharge.tests.compat import BenchTestCase

APP = Path(frappe.get_app_path("crm_recharge"))
NOT_CODE = {"tests", "simulated", "reorder", "node_modules"}
LAYOUT = ("Section Break", "Column Break", "Tab Break", "HTML", "Button", "Heading")
# What is there to be read by people alone.
DESCRIPTIVE = {
	("Usage Category", "unit"),
	("Usage Category", "category_name"),
}


def source() -> str:
	"""The app's code outside tests, of the credits half, without the field lists that only read a row."""
	files = [
		path
		for pattern in ("*.py", "*.js", "*.html")
		for path in APP.rglob(pattern)
		if not NOT_CODE & set(path.relative_to(APP).parts) and not path.name.startswith("test_")
	]
	text = "\n".join(path.read_text() for path in files)
	return re.sub(r"^ACCOUNT_FIELDS = \(.*?^\)$", "", text, flags=re.DOTALL | re.MULTILINE)


class TestForms(BenchTestCase):
	def test_every_field_that_a_person_may_set_is_used_by_something(self):
		code = source()
		modules = [module for module in frappe.get_module_list("crm_recharge") if module != "Reorder"]
		doctypes = frappe.get_all("DocType", {"module": ["in", modules]}, pluck="name")
		self.assertIn("Credit Account", doctypes)
		unused = [
			(doctype, df.fieldname)
			for doctype in doctypes
			for df in frappe.get_meta(doctype).fields
			if df.fieldtype not in LAYOUT and not df.read_only and not df.get("is_custom_field")
			if (doctype, df.fieldname) not in DESCRIPTIVE and not re.search(rf"\b{df.fieldname}\b", code)
		]
		self.assertEqual(unused, [])
