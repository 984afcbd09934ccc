from pathlib import Path
from urllib.parse import quote

import frappe
from frappe import _
from frappe.translate import extract_messages_from_javascript_code

from crm_recharge import private_pages
from crm_recharge.api import portal, portal_view
from crm_recharge.credits.errors import CreditError

no_cache = 1
# In this order: each uses what stands before it.
SCRIPTS = (
	"amounts.js",
	"standing.js",
	"live.js",
	"portal/base.js",
	"portal/figures.js",
	"portal/auto_recharge.js",
	"card_entry.js",
	"portal/card_dialog.js",
	"portal/add_credits.js",
	"portal/page.js",
)
FOLDER = Path(__file__).parent.parent / "public" / "js"


def get_context(context):
	"""The customer's page: one of the accounts that the user owns. Mails link to /credits?account=CA-00001."""
	private_pages.begin("credits")
	wanted = "".join(filter(str.isprintable, str(frappe.form_dict.get("account") or "")))
	if frappe.session.user == "Guest":
		here = f"/credits?account={quote(wanted)}" if wanted else "/credits"
		frappe.local.flags.redirect_location = f"/login?redirect-to={quote(here)}"
		raise frappe.Redirect(302)
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
		except (frappe.PermissionError, CreditError):
			frappe.clear_messages()
			context.problem = _("{0} is not one of your credit accounts.").format(account)
			context.http_status_code = 403
	context.labels, context.limits = portal_view.labels(), list(portal_view.LIMITS)
	context.money_fields = portal_view.MONEY_FIELDS
	context.words = _words() if frappe.local.lang != "en" else {}
	context.scripts = [private_pages.script(name) for name in SCRIPTS]
	context.sheet = private_pages.style("credits.css")
	return context


def _words() -> dict[str, str]:
	"""The scripts' texts in the visitor's language, as far as they are translated."""
	code = "\n".join((FOLDER / name).read_text() for name in SCRIPTS)
	texts = {message[1] for message in extract_messages_from_javascript_code(code)}
	return {text: _(text) for text in texts if _(text) != text}
