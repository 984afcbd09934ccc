"""The template for translations holds every text of the app, and no other."""

from pathlib import Path
from unittest import TestCase

import frappe
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po
from frappe.gettext.translate import get_method_map

from crm_recharge import hooks, install

APP = Path(hooks.__file__).parent
TEMPLATE = APP / "locale" / "main.pot"


def wanted() -> set[str]:
	"""What Frappe's own command finds."""
	methods = [
		*(row.split(",") for row in (APP.parent / "babel_extractors.csv").read_text().split()),
		*get_method_map("frappe"),
	]
	return {
		message[-1] if isinstance(message, tuple) else message
		for _file, _line, message, _comments, _context in extract_from_dir(
			APP, methods, keywords={**DEFAULT_KEYWORDS, "_lt": None}, directory_filter=is_looked_at
		)
		if message
	}


def is_looked_at(folder) -> bool:
	return Path(folder).name not in ("node_modules",) and Path(folder).name[:1] not in "._"


def kept() -> set[str]:
	with TEMPLATE.open("rb") as file:
		return {entry.id for entry in read_po(file) if entry.id}


class TestTranslatable(TestCase):
	maxDiff = None

	def test_the_template_is_current(self):
		found, there = wanted(), kept()
		self.assertGreater(len(found), 1000)
		command = "run: bench generate-pot-file --app crm_recharge"
		self.assertEqual((sorted(found - there), sorted(there - found)), ([], []), command)

	def test_labels_of_fields_on_others_documents_are_in_it(self):
		shown = {
			field[part]
			for fields in install.custom_fields().values()
			for field in fields
			for part in ("label", "description")
			if field.get(part)
		}
		# The wording of a consent is the site's own, kept word for word.
		own = frappe.get_cached_doc("Reorder Settings").consent_wording
		self.assertEqual(sorted(shown - kept() - {own}), [])

	def test_menus_cards_charts_and_mails_are_in_it(self):
		shown = {item["title"] for item in hooks.standard_portal_menu_items}
		shown |= {
			frappe.db.get_value(doctype, row.name, field)
			for doctype, field in (("Number Card", "label"), ("Dashboard Chart", "chart_name"))
			for row in frappe.get_all(doctype, {"module": ["in", frappe.get_module_list("crm_recharge")]})
		}
		shown |= {
			"Recharge of {0} failed",
			"your bank wants you to confirm the recharge of {0} for {1}. Nothing has been charged yet:",
		}
		self.assertLess({"Open Recharges", "Reorder Funnel"}, shown)
		self.assertEqual(sorted(shown - kept()), [])
