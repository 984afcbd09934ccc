from urllib.parse import urlencode

import frappe
from frappe import _
from frappe.utils import add_days, cint, escape_html, nowdate

from crm_recharge import private_pages
from crm_recharge.api import reorder as api
from crm_recharge.credits.errors import CreditError
from crm_recharge.reorder import words
from crm_recharge.reorder.answers import actions, orders, view
from crm_recharge.reorder.answers.orders import NotOrderedError
from crm_recharge.reorder.consent import preferences

no_cache = 1
sitemap = 0
PAGE = "/reorders"


def get_context(context):
	"""The customer's own items and wishes. A GET shows; a POST of one of its forms acts and comes back by GET."""
	private_pages.begin("reorders")
	if frappe.session.user == "Guest":
		frappe.local.flags.redirect_location = frappe.flags.redirect_location = f"/login?redirect-to={PAGE}"
		raise frappe.Redirect(302)
	form = frappe.form_dict
	context.no_breadcrumbs = True
	context.shows, context.sheet = private_pages.shows, private_pages.style("reorder.css")
	context.mark, context.script = private_pages.mark(), private_pages.script("reorders_page.js")
	context.title = _("My reorders")
	context.csrf_token = frappe.sessions.get_csrf_token()
	own = api.customers_of(frappe.session.user)
	context.customers = [
		{"name": name, "title": frappe.db.get_value("Customer", name, "customer_name")} for name in own
	]
	if not own:
		context.nobody = True
		return context
	customer = str(form.get("customer") or next(iter(own)))
	if customer not in own:
		context.http_status_code, context.nobody = 403, True
		return context
	context.customer = customer
	if frappe.request.method == "POST":
		context.problem = _act(context, customer, own[customer], form)
	_show(context, customer, own[customer], form)
	return context


# -- showing ------------------------------------------------------------------------------------------------


def _show(context, customer: str, contact: str | None, form) -> None:
	context.rows = [_row(item) for item in api.items_of(customer)]
	wishes = api.wishes_of(customer, contact)
	context.wishes = wishes | {
		"since": words.day(wishes["opted_in_at"]) if wishes["opted_in_at"] else None,
		"paused": words.day(wishes["snoozed_until"]) if wishes["snoozed_until"] else None,
		"frequencies": _frequencies(wishes["frequency_days"]),
	}
	context.orders_kind = orders.kind_of_document()
	context.earliest, context.latest = (
		str(add_days(nowdate(), 1)),
		str(add_days(nowdate(), actions.FURTHEST_DAYS)),
	)
	context.snoozes = [(days, actions.in_days(days)) for days in actions.LATER_DAYS]
	context.news = _news(customer, form)


def _row(item: dict) -> dict:
	return item | {
		# A request of its own each time the page is shown: sent twice, it is one order.
		"key": frappe.generate_hash(length=24),
		"step": "1" if orders.must_be_whole(item["uom"]) else "any",
		"uom": words.unit(item["uom"]),
		"last": words.day(item["last_day"]) if item["last_day"] else None,
		"when": _when(item),
		"waits": words.day(item["snoozed_until"]) if item["snoozed_until"] else None,
	}


def _when(item: dict) -> str:
	if item["expected_on"]:
		return _("By your own date: {0}").format(words.day(item["expected_on"]))
	if not item["next_on"]:
		return _("Not enough purchases yet to say when")
	if item["next_from"] == item["next_to"]:
		return _("Around {0}").format(words.day(item["next_on"]))
	return _("Usually between {0} and {1}").format(words.day(item["next_from"]), words.day(item["next_to"]))


def _frequencies(own: int) -> list[tuple]:
	choices = [(0, _("Whenever something is due"))]
	return choices + [(days, actions.every(days)) for days in sorted({*actions.FEWER_DAYS, own} - {0})]


def _news(customer: str, form) -> dict | None:
	"""What the form that led here has done."""
	done = str(form.get("done") or "")
	if done == "ordered":
		doctype, name = str(form.get("kind") or ""), str(form.get("order") or "")
		field = "party_name" if doctype == orders.QUOTATION else "customer"
		if doctype in orders.KINDS and frappe.db.get_value(doctype, {"name": name, field: customer}):
			return {"order": view.order(doctype, name)}
		return None
	texts = {
		"snoozed": _("Noted: no reminder before that day."),
		"woken": _("Noted: you are reminded as usual."),
		"dated": _("Noted: your own date counts until your next purchase."),
		"undated": _("Noted: we go by your purchases again."),
		"wishes": _("Your wishes are saved."),
		"stopped": _("The reminders have stopped."),
	}
	return {"text": texts[done]} if done in texts else None


# -- acting -------------------------------------------------------------------------------------------------


def _act(context, customer: str, contact: str | None, form) -> str | None:
	"""Do what the form says and go back to the page. Returns a text when it cannot be done."""
	act = str(form.get("act") or "")
	try:
		if act == "order":
			found = api.order_again(
				reminder=str(form.get("reminder") or ""),
				quantity=_quantity(form.get("quantity")),
				idempotency_key=str(form.get("key") or ""),
			)
			_back(customer, done="ordered", kind=found["order_type"], order=found["order"])
		elif act == "snooze":
			until = _date(form)
			api.snooze(str(form.get("reminder") or ""), until)
			_back(customer, done="snoozed" if until else "woken")
		elif act == "date":
			date = _date(form)
			api.set_date(str(form.get("reminder") or ""), date)
			_back(customer, done="dated" if date else "undated")
		elif act == "wishes":
			_save_wishes(customer, contact, form)
			_back(customer, done="wishes")
		elif act == "stop":
			api.set_wishes(customer, contact, False, None, None, None, api.WEB)
			_back(customer, done="stopped")
		return _("Choose one of the buttons.")
	except (CreditError, NotOrderedError, frappe.PermissionError) as error:
		frappe.clear_messages()
		context.http_status_code = getattr(error, "http_status_code", 422)
		return str(error)


def _save_wishes(customer: str, contact: str | None, form) -> None:
	opted_in = wording = None
	if cint(form.get("opted_in")):
		wording = str(form.get("wording") or "")
		# The proof is what was read, so it must be what stands here now.
		if wording.split() != preferences.wording().split():
			raise _TextChangedError(_("The text you agree to has changed since. Read it again, please."))
		opted_in = True
	frequency = form.get("frequency_days")
	paused = form.get("snoozed_until")
	if not opted_in and not api.wishes_of(customer, contact)["opted_in"]:
		raise _TextChangedError(_("Tick the box if you want to be reminded."))
	api.set_wishes(customer, contact, opted_in, frequency, paused, wording, api.WEB)


class _TextChangedError(CreditError):
	pass


def _quantity(value) -> str:
	try:
		return str(view.quantity_of(value))
	except ValueError:
		shown = escape_html(str(value)[:20])
		raise _TextChangedError(_("{0} is not a quantity. Give a number such as 2.").format(shown)) from None


def _date(form) -> str | None:
	"""The day chosen or typed; None ends what was asked for before."""
	if form.get("in") == "never":
		return None
	return actions.chosen_date(form)


def _back(customer: str, **news) -> None:
	# 303: come back by GET, so that loading the page again asks for nothing twice.
	frappe.flags.redirect_location = f"{PAGE}?{urlencode({'customer': customer} | news)}"
	raise frappe.Redirect(303)
