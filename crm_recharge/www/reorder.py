from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import cint

from crm_recharge import private_pages
from crm_recharge.credits.errors import CreditError
from crm_recharge.reorder.answers import actions, links, view
from crm_recharge.reorder.answers.orders import NotOrderedError

no_cache = 1
sitemap = 0
QUANTITY, PRICE = "quantity-", "price-"


def get_context(context):
	"""The page behind the buttons of a reminder: a GET shows, a POST of its form acts and comes back by GET."""
	private_pages.begin("reorder")
	form = frappe.form_dict
	context.no_breadcrumbs = True
	context.no_header = True
	context.shows, context.sheet = private_pages.shows, private_pages.style("reorder.css")
	context.mark, context.script = private_pages.mark(), private_pages.script("reorder_page.js")
	context.action = action = str(form.get("do") or "")
	context.token = token = str(form.get("token") or "")
	context.done = cint(form.get("done"))
	context.title = _("Your reorder")
	context.csrf_token = _csrf_token()
	try:
		_speak_to(context, token, action)
		context.title = _titles().get(action, context.title)
		quantities = None
		if frappe.request.method == "POST":
			quantities, context.problem = _act(context, form)
		context.page = actions.show(token, action, quantities)
	except links.LinkNotValidError as error:
		frappe.clear_messages()
		context.http_status_code, context.broken = error.http_status_code, str(error)
	return context


def _titles() -> dict[str, str]:
	return {
		links.REORDER: _("Order again"),
		links.LATER: _("Remind me later"),
		links.ENOUGH: _("I still have enough"),
		links.FEWER: _("Fewer mails"),
		links.STOP: _("Stop the reminders"),
	}


def _speak_to(context, token: str, action: str) -> None:
	"""From here on in the language of the customer, whatever the browser says; `_lang` in the address still wins."""
	language = actions.language_of(links.read(token, action))
	if language and not frappe.form_dict.get("_lang"):
		frappe.local.lang = language
		# Made before this function was asked.
		context.boot = frappe._dict(context.boot or {}, lang=language)


def _act(context, form) -> tuple[dict | None, str | None]:
	"""Do what the form says, then go on to the page that shows it. Returns what to show instead when it cannot."""
	token, action = context.token, context.action
	quantities = None
	try:
		if action == links.REORDER:
			quantities = _quantities(form)
			if form.get("act") == "recalculate":
				return quantities, None
			actions.reorder(token, quantities, _prefixed(form, PRICE))
		elif action == links.LATER:
			actions.later(token, actions.chosen_date(form))
		elif action == links.ENOUGH:
			actions.enough(token, actions.chosen_date(form))
		elif action == links.FEWER:
			actions.fewer(token, form.get("days"))
		else:
			actions.stop(token)
	except (CreditError, NotOrderedError) as error:
		frappe.clear_messages()
		context.http_status_code = error.http_status_code
		return quantities, str(error)
	frappe.flags.redirect_location = links.address_of_page(token, action, done=True)
	# 303: come back by GET, so that loading the page again asks for nothing twice.
	raise frappe.Redirect(303)


def _quantities(form) -> dict[str, Decimal] | None:
	"""Reorder Message Item → quantity. A box that is not a quantity is refused with what stands in it."""
	found = {}
	for row, value in _prefixed(form, QUANTITY).items():
		try:
			found[row] = view.quantity_of(value)
		except ValueError:
			message = _("{0} is not a quantity. Give a number such as 2.").format(
				frappe.utils.escape_html(str(value)[:20])
			)
			raise _BadQuantityError(message) from None
	return found or None


class _BadQuantityError(CreditError):
	pass


def _prefixed(form, prefix: str) -> dict[str, str]:
	return {key[len(prefix) :]: str(value) for key, value in form.items() if key.startswith(prefix)}


def _csrf_token() -> str:
	"""What Frappe asks of a form when the visitor is logged in; guests have none."""
	if frappe.session.user == "Guest":
		return ""
	return frappe.sessions.get_csrf_token()
