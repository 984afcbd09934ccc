"""Roles are made before the DocTypes, and go when nothing of the site's own needs them."""

import frappe

from crm_recharge.setup import roles, written
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.factories import make_user

ROLE = "Credit API"


class TestRoles(BenchTestCase):
	def setUp(self):
		frappe.set_user("Administrator")
		self.addCleanup(frappe.clear_cache)
		self.addCleanup(frappe.db.rollback)

	def test_only_who_works_in_the_desk_gets_it(self):
		for name, desk in roles.ROLES.items():
			self.assertEqual(bool(frappe.db.get_value("Role", name, "desk_access")), desk, name)

	def test_a_role_that_was_deleted_is_made_again(self):
		frappe.db.delete("Role", {"name": ROLE})
		roles.make()
		self.assertEqual(frappe.db.get_value("Role", ROLE, "desk_access"), 0)

	def test_what_the_app_itself_says_of_a_role_does_not_keep_it_once_its_doctypes_are_gone(self):
		self.assertTrue(roles.is_used(ROLE))
		self.without_our_permissions()
		self.assertFalse(roles.is_used(ROLE))

	def test_it_is_taken_from_who_holds_it_and_their_user_can_be_saved(self):
		holder = make_user(ROLE)
		self.mark_as_made()
		self.without_our_permissions()
		self.assertNotIn(ROLE, roles.take_away())
		self.assertFalse(frappe.db.exists("Role", ROLE))
		frappe.clear_cache(user=holder)
		user = frappe.get_doc("User", holder)
		self.assertNotIn(ROLE, [row.role for row in user.roles])
		user.save()

	def test_one_that_a_permission_of_the_sites_own_names_stays_with_its_holders(self):
		for permission in (
			{"doctype": "Custom DocPerm", "parent": "ToDo", "role": ROLE, "read": 1},
			{"doctype": "Has Role", "parent": "ToDo List", "parenttype": "Custom Role", "role": ROLE},
		):
			with self.subTest(permission=permission["doctype"]):
				frappe.db.savepoint("used")
				holder = make_user(ROLE)
				self.mark_as_made()
				self.without_our_permissions()
				frappe.get_doc(permission | {"name": frappe.generate_hash(length=10)}).db_insert()
				self.assertIn(ROLE, roles.take_away())
				self.assertTrue(frappe.db.exists("Has Role", {"parent": holder, "role": ROLE}))
				frappe.db.rollback(save_point="used")

	def test_one_that_was_there_before_the_app_stays(self):
		written.forget("Role")
		roles.take_away()
		self.assertTrue(frappe.db.exists("Role", ROLE))

	def mark_as_made(self):
		for name in roles.ROLES:
			written.remember("Role", name, "made")

	def without_our_permissions(self):
		"""As uninstalling leaves it."""
		frappe.db.delete("DocPerm", {"role": ["in", list(roles.ROLES)]})
		frappe.db.delete("Custom DocPerm", {"role": ["in", list(roles.ROLES)]})
		frappe.db.delete(
			"Has Role", {"role": ["in", list(roles.ROLES)], "parenttype": ["not in", roles.HOLDERS]}
		)
