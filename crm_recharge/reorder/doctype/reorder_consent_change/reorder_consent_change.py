"""One change of a consent. Written with its Reorder Preference, and by nobody alone."""

import frappe
from frappe import _
from frappe.model.document import Document


class ReorderConsentChange(Document):
	# Saving the parent does not come by here; saving or deleting a row by itself does.
	def validate(self):
		self.refuse()

	def on_trash(self):
		self.refuse()

	def refuse(self):
		"""Raise PermissionError."""
		frappe.throw(
			_("The history of a consent can neither be changed nor shortened, and is written by the system."),
			frappe.PermissionError,
		)
