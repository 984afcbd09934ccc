"""The app's tiles and sidebars on the desk of Frappe 16, and who is shown the app among others."""

import json
import unittest

import frappe
from frappe.boot import get_bootinfo

from crm_recharge import frappe_versions
from crm_recharge.doors import sight
from crm_recharge.setup.tests.migration import APP
from crm_recharge.tests.compat import MAJOR, ROOT, BenchTestCase, make_desktop
from crm_recharge.tests.factories import make_user

TILES = {"CRM Recharge", "Reorder Reminders"}


def shipped(folder: str) -> dict[str, dict]:
	"""Name -> what the app ships in one of the two folders."""
	return {
		doc["name"]: doc for doc in map(json.loads, (p.read_text() for p in (ROOT / folder).glob("*.json")))
	}


class TestShipped(BenchTestCase):
	def test_a_sidebar_leads_to_all_that_its_workspace_leads_to(self):
		sidebars = shipped("workspace_sidebar")
		self.assertEqual(set(sidebars), TILES)
		for name, sidebar in sidebars.items():
			workspace = frappe.get_doc("Workspace", name)
			self.assertEqual(sidebar["module"], workspace.module)
			links = [(row["link_type"], row["link_to"]) for row in sidebar["items"] if row["type"] == "Link"]
			self.assertEqual(links[0], ("Workspace", name))
			wanted = {(row.type, row.link_to) for row in workspace.shortcuts}
			wanted |= {(row.link_type, row.link_to) for row in workspace.links if row.type == "Link"}
			self.assertEqual(sorted(links[1:]), sorted(wanted))

	def test_each_file_is_where_frappe_looks_for_it(self):
		for folder in ("desktop_icon", "workspace_sidebar"):
			for name, doc in shipped(folder).items():
				self.assertTrue((ROOT / folder / f"{frappe.scrub(name)}.json").exists())
				self.assertEqual((doc["app"], doc["standard"]), (APP, 1))
		self.assertEqual(set(shipped("desktop_icon")), TILES)

	def test_the_app_leads_to_its_workspace_and_has_its_picture(self):
		(entry,) = frappe.get_hooks("add_to_apps_screen", app_name=APP)
		self.assertEqual(
			entry["route"], f"{frappe_versions.DESK}/{frappe.scrub('CRM Recharge').replace('_', '-')}"
		)
		self.assertTrue((ROOT / "public" / entry["logo"].removeprefix(f"/assets/{APP}/")).exists())


class TestWhoIsShownTheApp(BenchTestCase):
	def setUp(self):
		self.addCleanup(frappe.set_user, "Administrator")

	def test_staff_who_may_read_of_it_and_nobody_else(self):
		(entry,) = frappe.get_hooks("add_to_apps_screen", app_name=APP)
		for roles, shown in (
			(("Credit Manager",), True),
			(("Reorder Manager",), True),
			(("Stock User",), False),
			(("Customer",), False),
		):
			frappe.set_user(make_user(*roles))
			self.assertIs(frappe.get_attr(entry["has_permission"])(), shown, roles)
		frappe.set_user("Guest")
		self.assertFalse(sight.may_open_the_app())


@unittest.skipUnless(MAJOR >= 16, "Frappe 15 makes tiles and sidebars of workspaces")
class TestDesktop(BenchTestCase):
	def setUp(self):
		self.addCleanup(frappe.clear_cache)
		self.addCleanup(frappe.db.rollback)
		self.addCleanup(frappe.set_user, "Administrator")

	def boot_of(self, *roles: str):
		frappe.set_user(make_user(*roles))
		return get_bootinfo()

	def test_staff_find_tile_and_sidebar_with_what_they_may_read(self):
		boot = self.boot_of("Credit Manager")
		tiles = {icon.label: icon for icon in boot.desktop_icons}
		self.assertEqual(
			(tiles["CRM Recharge"].icon_type, tiles["CRM Recharge"].link), ("App", "/desk/crm-recharge")
		)
		sidebar = boot.workspace_sidebar_item["crm recharge"]
		shown = {item["link_to"] for item in sidebar["items"]}
		self.assertLessEqual({"CRM Recharge", "Credit Account", "Recharge", "Auto-Recharge Setting"}, shown)
		self.assertEqual(sidebar["app"], APP)

	def test_others_find_neither(self):
		boot = self.boot_of("Stock User")
		self.assertFalse(TILES & {icon.label for icon in boot.desktop_icons})

	def test_uninstalling_takes_them_away_with_what_people_made_of_them(self):
		frappe.copy_doc(frappe.get_doc("Workspace Sidebar", "CRM Recharge")).update(
			{"title": "CRM Recharge-someone@test.example", "for_user": "Administrator"}
		).insert()
		frappe_versions.take_desktop_away(APP)
		for doctype in ("Desktop Icon", "Workspace Sidebar"):
			self.assertEqual(frappe.get_all(doctype, {"app": APP}), [])
			self.assertTrue(frappe.get_all(doctype, {"standard": 1}))
		self.assertEqual(frappe.get_all("Workspace Sidebar Item", {"link_to": "Credit Account"}), [])
		make_desktop()
		self.assertEqual(set(frappe.get_all("Desktop Icon", {"app": APP}, pluck="name")), TILES)
