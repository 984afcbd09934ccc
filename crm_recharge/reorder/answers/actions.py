"""What the buttons of a reminder do: `show` for a GET, one function each for a POST.

A link proves that its holder got the message; it is good for one answer only. Showing writes nothing, not even
that somebody looked: mail scanners open every link. All answers may be given again.
"""

import datetime
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import add_days, cint, date_diff, getdate, now_datetime, nowdate

from crm_recharge import transactions
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.errors import InvalidRequestError, refuse
from crm_recharge.credits.money import exact
from crm_recharge.people.contacts import belongs
from crm_recharge.reorder import timeline, words
from crm_recharge.reorder.answers import changes, links, orders, payment, view
from crm_recharge.reorder.answers.orders import Line, NotOrderedError, Wish
from crm_recharge.reorder.consent import preferences

SOURCE = "link in a reminder"

LATER_DAYS = (7, 14, 30)
FEWER_DAYS = (14, 30, 60, 90)
FURTHEST_DAYS = 730
"""Dates further away are slips."""


# -- showing ------------------------------------------------------------------------------------------------


def show(token: str, action: str, quantities: dict[str, Decimal] | None = None) -> dict:
	"""What the page behind a link shows. Writes nothing. Raises links.LinkNotValidError.

	Args:
		quantities: Reorder Message Item → quantity, where the customer has changed them on the page.
	"""
	message = _message(token, action)
	shown = {"action": action, "items": view.items(message), "customer": message.customer_name}
	if action == links.REORDER:
		shown |= _shown_order(message, quantities)
	elif action == links.LATER:
		shown |= _shown_later(message)
	elif action == links.ENOUGH:
		shown |= _shown_enough(message)
	elif action == links.FEWER:
		shown |= _shown_fewer(message)
	else:
		shown["stopped"] = not _opted_in(message)
	return shown


def language_of(message: str) -> str | None:
	"""The language that Reorder Message `message` was written in: its contact's login's, else the customer's."""
	row = frappe.db.get_value("Reorder Message", message, ["customer", "contact"])
	if not row:
		return None
	user = frappe.db.get_value("Contact", row[1], "user") if row[1] else None
	own = frappe.db.get_value("User", user, "language") if user else None
	return own or frappe.db.get_value("Customer", row[0], "language")


def _shown_order(message, quantities) -> dict:
	if message.order_name:
		return {"ordered": view.order(message.order_type, message.order_name)}
	try:
		return {"basket": _basket(message, quantities)}
	except NotOrderedError:
		frappe.clear_messages()
		return {"problem": _("You cannot reorder here at the moment. Write to us, we are glad to help.")}


def _basket(message, quantities) -> dict:
	lines = _lines(message, quantities)
	wish = _wish(message, tuple(line for line in lines.values() if line.quantity > 0))
	return view.basket(wish, lines, orders.price(wish))


def _shown_later(message) -> dict:
	until = max((row.snoozed_until for row in _reminders(message) if row.snoozed_until), default=None)
	return {
		"choices": [(days, in_days(days)) for days in LATER_DAYS],
		**_days(LATER_DAYS[0]),
		"until": words.day(until) if until and until > getdate(nowdate()) else None,
	}


def _shown_enough(message) -> dict:
	reminders = _reminders(message)
	usual = [cint(row.usual_interval) for row in reminders if cint(row.usual_interval) > 0]
	days = min(max(min(usual, default=30), 1), FURTHEST_DAYS)
	expected = max((row.expected_on for row in reminders if row.expected_on), default=None)
	choices = dict.fromkeys(sorted({days, 30, 60}))
	return {
		"choices": [
			(d, in_days(d) + (f" ({_('as usual')})" if usual and d == days else "")) for d in choices
		],
		"usual": days,
		**_days(days),
		"until": words.day(expected) if expected and expected > getdate(nowdate()) else None,
	}


def _shown_fewer(message) -> dict:
	now = _frequency(message)
	return {
		"now": now,
		"choices": [(days, every(days)) for days in FEWER_DAYS if days > now] or [(180, every(180))],
		"frequency": every(now) if now else None,
	}


def _days(chosen: int) -> dict:
	today = nowdate()
	return {
		"date": str(add_days(today, chosen)),
		"earliest": str(add_days(today, 1)),
		"latest": str(add_days(today, FURTHEST_DAYS)),
	}


def in_days(days: int) -> str:
	"""`days` from now, in words."""
	known = {7: _("In a week"), 14: _("In two weeks"), 30: _("In a month"), 60: _("In two months")}
	return known.get(days) or words.counted(days, _("In 1 day"), _("In {0} days"))


def every(days: int) -> str:
	"""How often mails may come, in words."""
	known = {
		1: _("At most once a day"),
		7: _("At most once a week"),
		14: _("At most every two weeks"),
		30: _("At most once a month"),
		60: _("At most every two months"),
		90: _("At most every three months"),
		180: _("At most twice a year"),
	}
	return known.get(days) or _("At most every {0} days").format(days)


# -- acting -------------------------------------------------------------------------------------------------


def reorder(
	token: str, quantities: dict[str, Decimal] | None = None, seen: dict[str, str] | None = None
) -> tuple[str, str]:
	"""Make the order, once however often it is asked for; the first request decides what is in it.

	Args:
		quantities: Reorder Message Item → quantity in the unit shown; 0 leaves an item out.
		seen: Reorder Message Item → unit price as it was shown; another price by now is refused.

	Returns:
		document type and name.

	Raises:
		LinkNotValidError; InvalidRequestError (nothing_left, price_changed, quantities); NotOrderedError.
	"""
	placed = _order(token, quantities, seen)
	# The gateway may ask its own server: only after the order is safe, and without its lock.
	transactions.commit()
	payment.ask_for(placed.doctype, placed.name)
	return placed.doctype, placed.name


@retry_on_contention
def _order(token: str, quantities, seen) -> orders.Placed:
	message = _message(token, links.REORDER)
	orders.lock(message.customer)
	known = frappe.db.get_value("Reorder Message", message.name, ["order_type", "order_name"])
	if known[1]:
		return orders.Placed(known[0], known[1], repeated=True)
	message = frappe.get_doc("Reorder Message", message.name)
	lines = {row: line for row, line in _lines(message, quantities).items() if line.quantity > 0}
	if not lines:
		refuse(
			InvalidRequestError, "nothing_left", _("Nothing is left to order. Choose at least one item."), {}
		)
	usual = _usual(message)
	for row, line in lines.items():
		orders.check_quantity(line.item_code, line.quantity, line.uom, usual[row].quantity)
	wish = _wish(message, tuple(lines.values()))
	if seen:
		_refuse_other_prices(wish, lines, seen)
	placed = orders.place(wish, orders.request_key("message", message.name), orders.content_of(wish.lines))
	_answered(message, "Reorder", [row for row in message.items if row.name in lines])
	frappe.db.set_value(
		"Reorder Message",
		message.name,
		{"order_type": placed.doctype, "order_name": placed.name},
		update_modified=False,
	)
	with timeline.speaking():
		timeline.note(
			message.customer, _("Reordered by the link in a reminder: {0}").format(orders.form_link(placed))
		)
	return placed


def _refuse_other_prices(wish: Wish, lines: dict[str, Line], seen: dict[str, str]) -> None:
	now = view.unit_prices(orders.price(wish), lines)
	changed = [row for row, price in now.items() if row in seen and seen[row] != price]
	if changed or any(row not in now for row in lines):
		refuse(
			InvalidRequestError,
			"price_changed",
			_("Something has changed since this page was opened. Look at it once more, then order."),
			{},
		)


@retry_on_contention
def later(token: str, until) -> datetime.date:
	"""No reminder of these items before `until`. Raises LinkNotValidError, InvalidRequestError (bad_date)."""
	message = _message(token, links.LATER)
	until = read_date(until)
	changes.snooze([row.name for row in _reminders(message)], until)
	_answered(message, "Later", message.items)
	with timeline.speaking():
		timeline.note(
			message.customer,
			_("Asked by a reminder's link to be reminded after {0}").format(words.day(until)),
		)
	return until


@retry_on_contention
def enough(token: str, until) -> datetime.date:
	"""These items last until `until`: said by the customer, it counts until the next purchase."""
	message = _message(token, links.ENOUGH)
	until = read_date(until)
	changes.expect([row.name for row in _reminders(message)], until)
	_answered(message, "Enough", message.items)
	with timeline.speaking():
		timeline.note(
			message.customer,
			_("Said by a reminder's link to have enough until {0}").format(words.day(until)),
		)
	return until


@retry_on_contention
def fewer(token: str, days) -> int:
	"""At most one mail in `days` days. Raises LinkNotValidError, InvalidRequestError (bad_frequency, no_consent)."""
	message = _message(token, links.FEWER)
	days = read_frequency(days)
	preference = _preference(message)
	if not preference:
		refuse(
			InvalidRequestError,
			"no_consent",
			_("You get no reminders from us, so there is nothing to change."),
			{},
		)
	preferences.set_frequency(preference, days, SOURCE)
	_answered(message, "Fewer")
	with timeline.speaking():
		timeline.note(
			message.customer,
			_("Asked by a reminder's link for at most one mail in {0}").format(words.days(days)),
		)
	return days


@retry_on_contention
def stop(token: str, source: str = SOURCE) -> bool:
	"""No reminders any more for this contact. Returns whether that changed anything."""
	message = _message(token, links.STOP)
	preference = _preference(message)
	changed = bool(preference and _opted_in(message))
	if changed:
		preferences.opt_out(preference, source)
		_answered(message, "Stop")
		with timeline.speaking():
			timeline.note(message.customer, _("Stopped the reminders by the link in one"))
	return changed


@retry_on_contention
def looked_at(token: str, action: str) -> None:
	"""A person looks at the page: told by the page's script after a key, a touch or a move of the mouse."""
	_clicked(_message(token, action))


# -- reading what people send -------------------------------------------------------------------------------


def read_date(value) -> datetime.date:
	"""A date after today and within two years. Raises InvalidRequestError (bad_date)."""
	try:
		found = getdate(str(value).strip()) if value else None
	except (ValueError, TypeError, OverflowError, frappe.ValidationError):
		found = None
	days = date_diff(found, nowdate()) if found else 0
	if not 0 < days <= FURTHEST_DAYS:
		frappe.clear_messages()
		refuse(
			InvalidRequestError,
			"bad_date",
			_("Give a date after today and within two years."),
			{"value": str(value)[:50]},
		)
	return found


def chosen_date(form: dict) -> str:
	"""The day a form of these pages names: so many days from now (`in`), or the date typed. To be read by read_date."""
	choice = str(form.get("in") or "")
	if choice.isascii() and choice.isdigit():
		return str(add_days(nowdate(), min(int(choice), 9999)))
	return str(form.get("date") or "")


def read_frequency(value) -> int:
	"""Whole days, 1 to 365. Raises InvalidRequestError (bad_frequency)."""
	text = str(value).strip()
	if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= 365):
		refuse(
			InvalidRequestError,
			"bad_frequency",
			_("Give the days between two mails, from 1 to 365."),
			{"value": text[:50]},
		)
	return int(text)


# -- helpers ------------------------------------------------------------------------------------------------


def _message(token: str, action: str):
	message = frappe.get_doc("Reorder Message", links.read(token, action))
	if not message.customer or message.kind == "Held Out":
		raise links.not_valid("gone")
	# Who has left the customer may still stop the mails, and no more.
	if action != links.STOP and not belongs(message.contact, message.customer):
		raise links.not_valid("gone")
	return message


def _reminders(message) -> list:
	names = [row.reminder for row in message.items if row.reminder]
	if not names:
		return []
	return frappe.get_all(
		"Reorder Reminder",
		{"name": ["in", names], "customer": message.customer},
		["name", "item_code", "usual_interval", "expected_on", "snoozed_until"],
	)


def _preference(message) -> str | None:
	"""The preference the message went out on, or the contact's own with this customer."""
	if message.preference and frappe.db.exists("Reorder Preference", message.preference):
		return message.preference
	if not message.contact:
		return None
	return frappe.db.get_value(
		"Reorder Preference", {"contact": message.contact, "customer": message.customer}
	)


def _opted_in(message) -> bool:
	preference = _preference(message)
	return bool(preference and frappe.db.get_value("Reorder Preference", preference, "opted_in"))


def _frequency(message) -> int:
	preference = _preference(message)
	own = cint(frappe.db.get_value("Reorder Preference", preference, "frequency_days")) if preference else 0
	return own or cint(frappe.get_cached_doc("Reorder Settings").default_frequency_days)


def _usual(message) -> dict[str, Line]:
	"""Reorder Message Item → what that item's order usually is."""
	quantities = {
		row.item_code: exact(
			frappe.db.get_value("Reorder Reminder", row.reminder, "last_quantity") or row.last_quantity
		)
		for row in message.items
		if frappe.db.exists("Item", row.item_code)
	}
	lines = orders.usual_lines(message.customer, quantities)
	return {row.name: lines[row.item_code] for row in message.items if row.item_code in lines}


def _lines(message, quantities) -> dict[str, Line]:
	"""As `_usual`, with the quantities that the customer chose."""
	usual = _usual(message)
	if quantities is None:
		return usual
	return {
		row: Line(line.item_code, quantities.get(row, Decimal(0)), line.uom) for row, line in usual.items()
	}


def _wish(message, lines: tuple[Line, ...]) -> Wish:
	over = bool(message.offer_ends and message.offer_ends < getdate(nowdate()))
	wanted = {line.item_code for line in lines}
	company = orders.company_for(message.customer, message.company)
	return Wish(
		customer=message.customer,
		company=company,
		lines=lines,
		contact=message.contact if message.contact and frappe.db.exists("Contact", message.contact) else None,
		coupon_code=None if over else orders.usable_coupon(message.coupon_code, message.customer, company),
		free_shipping=not over and any(row.free_shipping for row in message.items if row.item_code in wanted),
		offer_ends=None if over else message.offer_ends,
		message=message.name,
	)


def _answered(message, answer: str, rows=()) -> None:
	frappe.db.set_value("Reorder Message", message.name, "last_answer", answer, update_modified=False)
	for row in rows:
		frappe.db.set_value("Reorder Message Item", row.name, "answer", answer, update_modified=False)
	_clicked(message, rows)


def _clicked(message, rows=()) -> None:
	if cint(frappe.get_cached_doc("Reorder Settings").tracking_days) <= 0:
		return
	now = now_datetime()
	if not message.clicked_at:
		frappe.db.set_value("Reorder Message", message.name, "clicked_at", now, update_modified=False)
	for row in rows:
		if not row.clicked_at:
			frappe.db.set_value("Reorder Message Item", row.name, "clicked_at", now, update_modified=False)
