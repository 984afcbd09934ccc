"""The few differences between Frappe 15 and 16 that tests meet, and what all bench tests need."""

import frappe

try:
	from frappe.tests import IntegrationTestCase  # Frappe 16
except ImportError:
	from frappe.tests.utils import FrappeTestCase as IntegrationTestCase


class BenchTestCase(IntegrationTestCase):
	"""The base of every test on a bench."""

	@classmethod
	def setUpClass(cls):
		super().setUpClass()
		# Tests make more users an hour than Frappe lets anybody sign up.
		frappe.local.conf.throttle_user_limit = 1_000_000


__all__ = ["BenchTestCase"]
