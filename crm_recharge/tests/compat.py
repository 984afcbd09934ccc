"""The few differences between Frappe 15 and 16 that tests meet."""

try:
	from frappe.tests import IntegrationTestCase as BenchTestCase  # Frappe 16
except ImportError:
	from frappe.tests.utils import FrappeTestCase as BenchTestCase

__all__ = ["BenchTestCase"]
