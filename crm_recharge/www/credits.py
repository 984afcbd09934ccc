from pathlib import Path
from urllib.parse import quote

import frappe
from frappe import _
from frappe.translate import extract_messages_from_javascript_code

from crm_recharge import private_pages
from crm_recharge.api import portal

no_cache = 1
SCRIPT = Path(__file__).parent.parent / "public" / "js" / "portal_credits.js"


def get_context(context):
	"""The customer's page: one of the accounts that the user owns. Mails link to /credits?account=CA-00001."""
	wanted = frappe.form_dict.get("account") or ""
	if frappe.session.user == "Guest":
		here = f"/credits?account={quote(wanted)}" if wanted else "/credits"
		frappe.local.flags.redirect_location = f"/login?redirect-to={quote(here)}"
		raise frappe.Redirect
	context.no_breadcrumbs = True
	context.mark = private_pages.mark()
	# Made here, so that Frappe asks every later request of this session for it.
	frappe.sessions.get_csrf_token()
	context.title = _("Credits")
	context.accounts = portal.accounts_of(frappe.session.user)
	account = wanted or (context.accounts[0].name if context.accounts else None)
	context.overview, context.problem = None, None
	if account:
		try:
			context.overview = portal.overview(account)
		except frappe.PermissionError:
			frappe.clear_messages()
			context.problem = _("{0} is not one of your credit accounts.").format(account)
	meta = frappe.get_meta("Auto-Recharge Setting")
	context.limits = [(field, _(meta.get_label(field))) for field in portal.LIMITS]
	context.words = _words() if frappe.local.lang != "en" else {}
	context.version = int(SCRIPT.stat().st_mtime)
	return context


def _words() -> dict[str, str]:
	"""The script's texts in the visitor's language, as far as they are translated."""
	texts = {message[1] for message in extract_messages_from_javascript_code(SCRIPT.read_text())}
	return {text: _(text) for text in texts if _(text) != text}
