"""Making documents as the company itself, for a customer or a guest who asked for them."""

from contextlib import contextmanager

import frappe
from frappe.utils import strip_html

from crm_recharge.contention import is_contention
from crm_recharge.reorder import timeline
from crm_recharge.reorder.answers.wishes import NotOrderedError, Wish


@contextmanager
def as_sentence(wish: Wish):
	"""What ERPNext refuses goes to the company as the reason, to the customer as a kind sentence.

	What asks to try the transaction again passes through, and so does a bug.
	"""
	try:
		yield
	except NotOrderedError:
		raise
	except Exception as error:
		if is_contention(error):
			raise
		if not isinstance(error, frappe.ValidationError | frappe.DoesNotExistError | frappe.PermissionError):
			frappe.log_error(title=f"Reorder of {wish.customer} failed")
		raise NotOrderedError(strip_html(str(error)) or type(error).__name__) from error


@contextmanager
def by_the_system():
	"""As Administrator and in the site's language, as if somebody of the company had made it.

	ERPNext asks the session's user in many places, and here that is a guest or a customer. `frappe.set_user` would
	also empty the request and log the visitor out.
	"""
	before = frappe.local.session.user
	frappe.local.session.user = "Administrator"
	frappe.local.role_permissions, frappe.local.user_perms = {}, None
	try:
		with timeline.speaking():
			yield
	finally:
		frappe.local.session.user = before
		frappe.local.role_permissions, frappe.local.user_perms = {}, None
