"""Uninstalling takes away what installing made. On a site of its own, with everything Frappe does: dev/uninstall-trial."""

from pathlib import Path
from unittest.mock import patch

import frappe
from frappe.core.doctype.scheduled_job_type.scheduled_job_type import sync_jobs
from pypika import Criterion

from crm_recharge import install, uninstall
from crm_recharge.gateway import home
from crm_recharge.setup import roles, templates, traces, written
from crm_recharge.setup.tests.migration import APP
from crm_recharge.tests.compat import MAJOR, BenchTestCase, make_desktop

# What Frappe deletes itself, with the app's modules or DocTypes (or, for roles, what goes after those).
FRAPPE_DELETES = {
	"Dashboard",
	"Dashboard Chart",
	"Dashboard Chart Source",
	"DocField",
	"DocPerm",
	"DocType",
	"DocType Link",
	"Has Role",
	"Installed Application",
	"Module Def",
	"Number Card",
	"Print Format",
	"Report",
	"Role",
	"Workspace",
	"Workspace Link",
	"Workspace Quick List",
	"Workspace Shortcut",
}
# Records of what happened, and the company's books and people, which name what they are about.
STAY = {
	"Access Log",
	"Activity Log",
	"Comment",
	"Communication",
	"Communication Link",
	"DefaultValue",
	"Deleted Document",
	"DocShare",
	"Dynamic Link",
	"Email Queue",
	"Email Unsubscribe",
	"Error Log",
	"File",
	"GL Entry",
	"Journal Entry",
	"Notification Log",
	"Patch Log",
	"Payment Entry",
	"Payment Entry Reference",
	"Route History",
	"Sales Invoice",
	"Scheduled Job Log",
	"ToDo",
	"User Permission",
	"Version",
	"View Log",
}
# Every hook of the app, and what it leaves in the site's tables: a new one is thought about here.
HOOKS = {
	"nothing": {
		"add_to_apps_screen",
		"after_install",
		"after_migrate",
		"after_request",
		"after_uninstall",
		"app_description",
		"app_email",
		"app_license",
		"app_name",
		"jinja",
		"app_publisher",
		"app_title",
		"auto_cancel_exempted_doctypes",
		"before_install",
		"before_migrate",
		"before_request",
		"before_uninstall",
		"crm_recharge_gateways",
		"crm_recharge_announced",
		"crm_recharge_needs_person",
		"crm_recharge_work",
		"doc_events",
		"doctype_js",
		"doctype_list_js",
		"has_permission",
		"ignore_links_on_delete",
		"override_doctype_class",
		"override_doctype_dashboards",
		"override_whitelisted_methods",
		"permission_query_conditions",
		"required_apps",
		"setup_wizard_complete",
		"standard_queries",
		"usage_refused",
		"user_data_fields",
	},
	"Scheduled Job Type": {"scheduler_events"},
	"Portal Menu Item": {"standard_portal_menu_items"},
	"Logs To Clear": {"default_log_clearing_doctypes"},
}


class TestUninstall(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		self.addCleanup(frappe.db.commit)
		self.addCleanup(put_back)

	def test_what_installing_makes_is_there_and_then_gone(self):
		put_back()
		for kind, present in made().items():
			with self.subTest(kind=kind, after="installing"):
				self.assertEqual([name for name, there in present.items() if not there], [])
		with patch.dict(frappe.conf, {uninstall.DISCARD: 1}):
			uninstall.before_uninstall()
		for kind, present in made().items():
			with self.subTest(kind=kind, after="uninstalling"):
				self.assertEqual([name for name, there in present.items() if there], [])

	def test_nothing_else_on_the_site_names_the_app_afterwards(self):
		"""A kind of record that installing makes and nobody takes away names a module, DocType or path of the app."""
		frappe.get_doc("Log Settings").save()
		self.assertLessEqual(
			{"Email Template", "Custom Field", "Scheduled Job Type", "Portal Menu Item", "Logs To Clear"},
			{kind for kind, there in made().items() if any(there.values())},
		)
		with patch.dict(frappe.conf, {uninstall.DISCARD: 1}):
			uninstall.before_uninstall()
		self.assertEqual(who_names_us() - FRAPPE_DELETES - STAY - {*traces.own_doctypes()}, set())


class TestLists(BenchTestCase):
	def test_what_each_hook_leaves_is_known(self):
		hooks = {key for key in frappe.get_hooks(app_name=APP) if not key.startswith("_")}
		self.assertEqual(hooks - set().union(*HOOKS.values()), set())

	def test_a_dry_run_takes_nothing_away(self):
		"""Frappe runs the hooks for it, too, and commits nothing."""
		put_back()
		frappe.db.commit()
		with patch.dict(frappe.conf, {uninstall.DISCARD: 1}):
			uninstall.before_uninstall()
			uninstall.after_uninstall()
		frappe.db.rollback()
		frappe.clear_cache()
		for kind, present in made().items():
			self.assertEqual([name for name, there in present.items() if not there], [], kind)
		self.assertTrue(frappe.db.exists("DefaultValue", {"parent": written.OWNER}))

	def test_the_record_of_what_was_written_goes_last(self):
		self.assertTrue(frappe.db.exists("DefaultValue", {"parent": written.OWNER}))
		traces.forget()
		self.assertFalse(frappe.db.exists("DefaultValue", {"parent": written.OWNER}))
		frappe.db.rollback()

	def test_what_the_app_remembered_of_the_site_goes_with_it(self):
		home.settle_in()
		mark = frappe.get_site_path(home.MARK_FILE)
		with open(mark) as file:
			kept = file.read()
		self.addCleanup(Path(mark).write_text, kept)
		self.addCleanup(frappe.clear_cache)
		self.addCleanup(frappe.db.rollback)
		frappe.db.set_global("another_app_s_own", "1")
		traces.forget()
		home.forget()
		self.assertIsNone(home.remembered())
		self.assertFalse(Path(mark).exists())
		self.assertEqual(frappe.db.get_global("another_app_s_own"), "1")


def put_back() -> None:
	"""All that Frappe does with this app's hooks at an installation."""
	frappe.db.rollback()
	install.before_install()
	# As when they were made: a test may have run on a site without that record.
	for name in roles.ROLES:
		written.remember("Role", name, "made")
	install.after_install()
	sync_jobs()
	make_desktop()
	frappe.get_single("Portal Settings").sync_menu()
	settings = frappe.get_doc("Log Settings")
	settings.add_default_logtypes()
	settings.save()
	frappe.clear_cache()


def made() -> dict[str, dict[str, bool]]:
	"""Kind of record -> name -> whether it is there."""
	hooks = {key: frappe.get_hooks(key, app_name=APP) for keys in HOOKS.values() for key in keys}
	methods = set()
	for events in hooks["scheduler_events"].values():
		methods.update(*(events.values() if isinstance(events, dict) else [events]))
	looked_for = {
		"Email Template": {name: {"name": name} for name in templates.shipped()},
		"Custom Field": {
			f"{doctype} {field['fieldname']}": {"dt": doctype, "fieldname": field["fieldname"]}
			for doctype, fields in install.custom_fields().items()
			for field in fields
		},
		"Scheduled Job Type": {method: {"method": method} for method in methods},
		"Portal Menu Item": {
			item["route"]: {"parent": "Portal Settings", "route": item["route"]}
			for item in hooks["standard_portal_menu_items"]
		},
		"Logs To Clear": {
			doctype: {"ref_doctype": doctype} for doctype in hooks["default_log_clearing_doctypes"]
		},
	}
	if MAJOR >= 16:
		for kind in ("Desktop Icon", "Workspace Sidebar"):
			looked_for[kind] = {name: {"name": name} for name in ("CRM Recharge", "Reorder Reminders")}
	return {
		kind: {name: bool(frappe.db.exists(kind, filters)) for name, filters in wanted.items()}
		for kind, wanted in looked_for.items()
	}


def who_names_us() -> set[str]:
	"""The DocTypes of records that have a link to one of our modules, DocTypes or roles, or a path of ours."""
	ours = {
		"Module Def": frappe.get_all("Module Def", {"app_name": APP}, pluck="name"),
		"DocType": traces.own_doctypes(),
		"Role": list(roles.ROLES),
	}
	found = set()
	for doctype, fields in _fields().items():
		table = frappe.qb.DocType(doctype)
		conditions = [
			table[field.fieldname].isin(ours[field.options])
			if field.fieldtype == "Link"
			else table[field.fieldname].like(f"%{APP}.%") | table[field.fieldname].like(f"{APP}%")
			for field in fields
			if field.fieldtype != "Link" or field.options in ours
		]
		if conditions and frappe.qb.from_(table).select(1).where(Criterion.any(conditions)).limit(1).run():
			found.add(doctype)
	return found


def _fields() -> dict[str, list]:
	"""DocType -> its links and texts that are columns of its table."""
	columns = {
		(table.removeprefix("tab"), column)
		for table, column in frappe.db.sql(
			"SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
		)
	}
	kinds = {"fieldtype": ["in", ("Link", "Data", "Small Text", "Code", "Text")]}
	found = {}
	for table, parent in (("DocField", "parent"), ("Custom Field", "dt")):
		for row in frappe.get_all(
			table, kinds, [f"{parent} as doctype", "fieldname", "fieldtype", "options"]
		):
			if (row.doctype, row.fieldname) in columns:
				found.setdefault(row.doctype, []).append(row)
	return found
