"""One change of a consent. Written with its Reorder Preference, and by nobody alone."""

import frappe
from frappe import _

from crm_recharge.doors.guard import Row


class ReorderConsentChange(Row):
	def refuse_alone(self):
		"""Raise PermissionError."""
		frappe.throw(
			_("The history of a consent can neither be changed nor shortened, and is written by the system."),
			frappe.PermissionError,
		)
