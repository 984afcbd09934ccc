import frappe
from frappe import _

from crm_recharge import private_pages
from crm_recharge.recharge import confirm

no_cache = 1


def get_context(context):
	"""The page behind the link in the mail: shows the payment; its buttons act by POST."""
	private_pages.begin("recharge-confirm")
	context.no_breadcrumbs = True
	context.mark, context.script = (
		private_pages.mark(),
		private_pages.script("confirm_page.js"),
	)
	context.sheet = private_pages.style("credits.css")
	context.title = _("Confirm your payment")
	context.token = str(frappe.form_dict.get("token") or "")
	context.returned = bool(frappe.form_dict.get("returned"))
	try:
		context.payment = confirm.show(context.token)
	except frappe.PermissionError as error:
		frappe.clear_messages()
		context.problem, context.http_status_code = str(error), error.http_status_code
	return context
