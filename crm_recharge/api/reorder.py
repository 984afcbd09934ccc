"""Reordering over REST: what is due, order it again, say when, and the wishes about reminders.

For the logged-in customer alone: who stands in the Customer's *Portal Users*, owns one of its credit accounts, or is
the login of a contact that staff gave the customer. Everybody else, staff included, is refused; staff work in the desk. Web shops hand in consents with the role
Reorder API. Dates are ISO 8601 days of the site's time zone, amounts and quantities are text.
"""

from decimal import Decimal

import frappe
from frappe import _
from frappe.rate_limiter import rate_limit
from frappe.utils import cint, getdate, nowdate

from crm_recharge import transactions
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.errors import InvalidRequestError, for_people, refuse
from crm_recharge.credits.money import as_text, exact
from crm_recharge.domain.inputs import Amount, Flag, Key, Rows, Whole
from crm_recharge.domain.money import parse_positive, plain
from crm_recharge.doors.sight import check_customer
from crm_recharge.intake import intake
from crm_recharge.people import contacts as people
from crm_recharge.people.persons import customers_of
from crm_recharge.reorder import catalogue, timeline
from crm_recharge.reorder.answers import actions, changes, orders, payment, view
from crm_recharge.reorder.answers.orders import Line, Wish
from crm_recharge.reorder.consent import preferences

WEB, APP = "web", "app"
MOST_ITEMS = 100
KEY_LENGTH = 140


# -- who asks -----------------------------------------------------------------------------------------------


def _own(customer: str | None = None) -> tuple[str, str | None]:
	"""The caller's customer and contact. Raises frappe.PermissionError, which tells strangers nothing."""
	own = customers_of(frappe.session.user)
	if customer:
		# Named as it is stored: the database takes capital and small letters for the same.
		customer = frappe.db.get_value("Customer", {"name": customer})
	elif own:
		customer = next(iter(own))
	if not customer or customer not in own:
		_refuse()
	return customer, own[customer]


def _own_reminder(reminder: str):
	row = frappe.db.get_value(
		"Reorder Reminder", {"name": str(reminder or "")}, ["name", "customer", "item_code"], as_dict=True
	)
	if not row:
		_refuse()
	_own(row.customer)
	return row


def _refuse():
	frappe.throw(
		_("Log in as a contact or portal user of the customer."),
		frappe.PermissionError,
		title=_("Not permitted"),
	)


# -- items --------------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["GET", "POST"])
@intake
def due(customer: str | None = None) -> dict:
	"""The customer's items with the expected range of the next purchase, the soonest first.

	`customer` is needed only by users of several. Returns customer, company, customers (the caller's own) and
	items: reminder, item_code, item_name, image, last_day, quantity and uom (what is usually ordered), next_from,
	next_on, next_to, due (the range has begun), orderable (it is sold today), expected_on, snoozed_until.
	Errors: 403.
	"""
	customer, _contact = _own(customer)
	return {
		"customer": customer,
		"customers": list(customers_of(frappe.session.user)),
		"company": orders.company_for(customer),
		"items": items_of(customer),
	}


def items_of(customer: str) -> list[dict]:
	"""As `due`; the caller has checked who asks."""
	rows = frappe.db.sql(
		f"SELECT `name`, `item_code`, `item_name`, `last_day`, `next_from`, `next_on`, `next_to`, `expected_on`,"
		f" `snoozed_until`, `usual_interval`, {as_text('last_quantity')} FROM `tabReorder Reminder`"
		f" WHERE `customer` = %s AND `purchase_days` > 0"
		f" ORDER BY COALESCE(`expected_on`, `next_on`) IS NULL, COALESCE(`expected_on`, `next_on`), `name`",
		customer,
		as_dict=True,
	)
	facts = view.item_facts([row.item_code for row in rows])
	rows = [row for row in rows if row.item_code in facts]
	usual = orders.usual_lines(customer, {row.item_code: exact(row.last_quantity) for row in rows})
	today = getdate(nowdate())
	sold = catalogue.sold(facts, today, customer)
	return [
		{
			"reminder": row.name,
			"item_code": row.item_code,
			"item_name": facts[row.item_code]["item_name"],
			"image": facts[row.item_code]["image"],
			"last_day": _iso(row.last_day),
			"quantity": plain(usual[row.item_code].quantity),
			"uom": usual[row.item_code].uom,
			"next_from": _iso(row.next_from),
			"next_on": _iso(row.next_on),
			"next_to": _iso(row.next_to),
			"due": bool(
				row.expected_on <= today if row.expected_on else row.next_from and row.next_from <= today
			),
			"orderable": row.item_code in sold,
			"expected_on": _iso(row.expected_on),
			"snoozed_until": _iso(row.snoozed_until)
			if row.snoozed_until and row.snoozed_until > today
			else None,
		}
		for row in rows
	]


def _iso(day) -> str | None:
	return str(day) if day else None


@frappe.whitelist(methods=["POST"])
@intake
@for_people
def order_again(
	reminder: str | None = None,
	items: Rows | None = None,
	quantity: Amount | None = None,
	idempotency_key: Key | None = None,
	customer: str | None = None,
) -> dict:
	"""Order an item again, or several, as the Quotation or Sales Order that Reorder Settings asks for.

	What the latest reminder of them offers (discount, free shipping) holds here as well, as long as it lasts.

	Args:
		reminder: one of the caller's, with `quantity` (default: the usual one) in its unit of `due`.
		items: instead, a list of objects with `reminder` or `item_code`, and `quantity`; only what the customer
			has bought before.
		idempotency_key: required, 1 to 140 printable characters: the same key with the same content gives the
			first order again.

	Returns:
		order_type, order, status, total, currency, payment_url (None where none is asked for), repeated.

	Errors: 403; 409 IdempotencyConflictError; 422 InvalidRequestError, and NotOrderedError when ERPNext refuses
	(the sales team is told why). Then nothing is written.
	"""
	wanted = _read_items(reminder, items, quantity)
	key = _read_key(idempotency_key)
	customer, contact = _own(_customer_of(wanted, customer))
	refusal = None
	try:
		placed = _place(customer, contact, wanted, key)
	except orders.NotOrderedError as error:
		refusal = str(error)
	# Of a refusal only what the sales team was told is left; that stays.
	transactions.commit()
	if refusal:
		# Raised anew, without what led to it: that is the company's affair.
		frappe.local.response["error"] = {"code": "not_ordered"}
		frappe.throw(refusal, orders.NotOrderedError(""), title=_("Not ordered"))
	return _order_of(placed, payment.ask_for(placed.doctype, placed.name))


@retry_on_contention
def _place(customer: str, contact: str | None, wanted: list[dict], key: str) -> orders.Placed:
	orders.lock(customer)
	lines = _read_lines(customer, wanted)
	user = frappe.session.user
	company = orders.company_for(customer)
	wish = Wish(
		customer=customer,
		company=company,
		lines=lines,
		contact=contact,
		owner=user,
		**orders.open_offer(customer, [line.item_code for line in lines], company),
	)
	placed = orders.place(wish, orders.request_key("api", customer, key), orders.content_of(lines))
	if not placed.repeated:
		with timeline.speaking():
			timeline.note(customer, _("Reordered from the account: {0}").format(orders.form_link(placed)))
	return placed


def _order_of(placed: orders.Placed, payment_url: str | None) -> dict:
	found = frappe.db.sql(
		"SELECT `docstatus`, `status`, `currency`, CAST(COALESCE(NULLIF(`rounded_total`, 0), `grand_total`) AS CHAR)"
		f" AS `total` FROM `tab{placed.doctype}` WHERE `name` = %s",
		placed.name,
		as_dict=True,
	)[0]
	return {
		"order_type": placed.doctype,
		"order": placed.name,
		"status": found.status,
		"total": plain(exact(found.total)),
		"currency": found.currency,
		"payment_url": payment_url,
		"repeated": placed.repeated,
	}


def _read_items(reminder, items, quantity) -> list[dict]:
	"""What is wanted, as a list of objects. Raises InvalidRequestError (reminder_or_items, items_…)."""
	if bool(reminder) == (items is not None):
		_wrong("reminder_or_items", _("Give either a reminder, or items."))
	if reminder:
		return [{"reminder": reminder, "quantity": quantity}]
	if quantity is not None:
		_wrong("reminder_or_items", _("With items, each has its own quantity."))
	if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
		_wrong(
			"items_not_a_list", _("items must be a list of objects with reminder or item_code, and quantity.")
		)
	if not 1 <= len(items) <= MOST_ITEMS:
		_wrong("items_count", _("Give 1 to {0} items, not {1}.").format(MOST_ITEMS, len(items)))
	for item in items:
		unknown = sorted(set(item) - {"reminder", "item_code", "quantity"})
		if unknown or bool(item.get("reminder")) == bool(item.get("item_code")):
			_wrong("item_fields", _("Each item has reminder or item_code, and quantity; nothing else."))
	return items


def _read_key(key) -> str:
	if not isinstance(key, str) or not key.strip():
		_wrong("missing_key", _("idempotency_key is missing. Send a value that is unique to this order."))
	if len(key) > KEY_LENGTH or not key.isprintable():
		_wrong("key_too_long", _("idempotency_key takes 1 to {0} printable characters.").format(KEY_LENGTH))
	return key


def _customer_of(wanted: list[dict], customer: str | None) -> str | None:
	"""The customer whom a reminder among `wanted` names, else the one given."""
	for item in wanted:
		if item.get("reminder"):
			found = _own_reminder(item["reminder"]).customer
			if customer and customer.lower() != found.lower():
				_refuse()
			return found
	return customer


def _read_lines(customer: str, wanted: list[dict]) -> tuple[Line, ...]:
	rows = {}
	for item in wanted:
		by = (
			{"name": str(item["reminder"])} if item.get("reminder") else {"item_code": str(item["item_code"])}
		)
		row = frappe.db.get_value(
			"Reorder Reminder", {**by, "customer": customer}, ["name", "item_code"], as_dict=True
		)
		if not row or not frappe.db.exists("Item", row.item_code):
			_wrong(
				"unknown_item",
				_("{0} is none of the customer's items. Ask `due` for them.").format(
					frappe.utils.escape_html(str(item.get("reminder") or item.get("item_code"))[:140])
				),
			)
		if row.item_code in rows:
			_wrong("item_twice", _("{0} is listed twice.").format(row.item_code))
		rows[row.item_code] = item.get("quantity"), _last_quantity(row.name)
	usual = orders.usual_lines(customer, {code: last for code, (_quantity, last) in rows.items()})
	lines = []
	for code, (quantity, _last) in rows.items():
		line = usual[code]
		amount = line.quantity if quantity in (None, "") else parse_positive(quantity, "quantity")
		orders.check_quantity(code, amount, line.uom, line.quantity)
		lines.append(Line(code, amount, line.uom))
	return tuple(lines)


def _last_quantity(reminder: str) -> Decimal:
	# nosemgrep: frappe-sql-format-injection -- as_text() of a constant
	found = frappe.db.sql(
		f"SELECT {as_text('last_quantity')} FROM `tabReorder Reminder` WHERE `name` = %s", reminder
	)
	return exact(found[0][0])


def _wrong(code: str, message: str, **figures):
	refuse(InvalidRequestError, code, message, figures)


@frappe.whitelist(methods=["POST"])
@intake
@retry_on_contention
def snooze(reminder: str, until: str | None = None) -> dict:
	"""No reminder of this item before `until` (a day to come, within two years); without it the snooze ends.

	Returns the item as `due` gives it. Errors: 403; 422 (bad_date).
	"""
	row = _own_reminder(reminder)
	day = actions.read_date(until) if until else None
	changes.snooze([row.name], day)
	return _item(row)


@frappe.whitelist(methods=["POST"])
@intake
@retry_on_contention
def set_date(reminder: str, date: str | None = None) -> dict:
	"""The customer's own date for the next purchase; counts until that. Without it: as learned.

	Returns the item as `due` gives it. Errors: 403; 422 (bad_date).
	"""
	row = _own_reminder(reminder)
	day = actions.read_date(date) if date else None
	changes.expect([row.name], day)
	return _item(row)


def _item(row) -> dict | None:
	return next((item for item in items_of(row.customer) if item["reminder"] == row.name), None)


# -- wishes -------------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["GET", "POST"])
@intake
@retry_on_contention
def preference(
	opted_in: Flag | None = None,
	frequency_days: Whole | None = None,
	snoozed_until: str | None = None,
	customer: str | None = None,
	wording: str | None = None,
	source: str = APP,
) -> dict:
	"""Read the caller's wishes about reminders; by POST, change what is given.

	Args:
		opted_in: True needs `wording`, the text the customer agreed to, as it was shown (that of Reorder Settings
			is in the answer, as consent_wording). False stops all mails.
		frequency_days: at most one mail in so many days; 0: as usual.
		snoozed_until: no mail before that day; "" ends it.
		source: "web" or "app".

	Returns:
		customer, contact, email, opted_in, opted_in_at, frequency_days, snoozed_until, consent_wording.

	Errors: 403; 422 for changes by GET, without a contact or an address, bad values.
	"""
	customer, contact = _own(customer)
	if any(value is not None for value in (opted_in, frequency_days, snoozed_until)):
		if getattr(frappe.local, "request", None) and frappe.request.method != "POST":
			_wrong("not_by_get", _("Changes are made by POST."))
		set_wishes(customer, contact, opted_in, frequency_days, snoozed_until, wording, source)
	return wishes_of(customer, contact)


def set_wishes(customer, contact, opted_in, frequency_days, snoozed_until, wording, source) -> None:
	"""As `preference`; the caller has checked who asks."""
	if source not in (WEB, APP):
		_wrong("bad_source", _("source is {0} or {1}.").format(WEB, APP))
	if not contact:
		_wrong(
			"no_contact",
			_("Your login belongs to no contact, so there is no address to write to. Ask us to add one."),
		)
	if opted_in is not None:
		opted_in = _read_bool(opted_in)
	name = frappe.db.get_value("Reorder Preference", {"contact": contact, "customer": customer})
	if opted_in:
		if not (wording or "").strip():
			_wrong("no_wording", _("Send the wording that the customer agreed to: it is the proof."))
		name = preferences.opt_in(contact, customer, source, wording).name
	elif opted_in is False and name:
		preferences.opt_out(name, source)
	if frequency_days is None and snoozed_until is None:
		return
	if not name:
		_wrong(
			"not_opted_in", _("Opt in first: without consent nothing is mailed, so there is nothing to set.")
		)
	if frequency_days is not None:
		days = 0 if str(frequency_days).strip() == "0" else actions.read_frequency(frequency_days)
		preferences.set_frequency(name, days, source)
	if snoozed_until is not None:
		preferences.snooze(name, actions.read_date(snoozed_until) if snoozed_until else None, source)


def wishes_of(customer: str, contact: str | None) -> dict:
	"""As `preference`; the caller has checked who asks."""
	row = (
		frappe.db.get_value(
			"Reorder Preference",
			{"contact": contact, "customer": customer},
			["email", "opted_in", "opted_in_at", "frequency_days", "snoozed_until"],
			as_dict=True,
		)
		if contact
		else None
	) or frappe._dict()
	today = getdate(nowdate())
	return {
		"customer": customer,
		"contact": contact,
		"email": row.email or next(iter(people.emails_of(contact, customer)), None),
		"opted_in": bool(row.opted_in),
		"opted_in_at": str(row.opted_in_at) if row.opted_in and row.opted_in_at else None,
		"frequency_days": cint(row.frequency_days),
		"snoozed_until": _iso(row.snoozed_until) if row.snoozed_until and row.snoozed_until > today else None,
		"consent_wording": preferences.wording(),
	}


def _read_bool(value) -> bool:
	if str(value).strip().lower() in ("1", "true", "yes"):
		return True
	if str(value).strip().lower() in ("0", "false", "no"):
		return False
	_wrong("not_a_bool", _("opted_in is true or false."))


@frappe.whitelist(methods=["POST"])
@intake
@retry_on_contention
def opt_in(
	customer: str,
	wording: str,
	source: str = WEB,
	contact: str | None = None,
	email: str | None = None,
	source_document: str | None = None,
) -> dict:
	"""A web shop hands in a consent that it was given. For the role Reorder API.

	Args:
		contact or email: whose consent it is; an address must belong to one of the customer's contacts.
		wording: what the person agreed to, as it was shown. source: where, such as "web shop".
		source_document: the order or form it was given on.

	Returns:
		preference, contact, email, opted_in_at. Errors: 403; 422 (contact_or_email, unknown_contact).
	"""
	frappe.only_for(("Reorder API", "Reorder Manager", "System Manager"))
	if bool(contact) == bool(email):
		_wrong("contact_or_email", _("Give either a contact or an e-mail address."))
	customer = frappe.db.get_value("Customer", {"name": str(customer)}) or _wrong(
		"unknown_customer",
		_("There is no customer {0}.").format(frappe.utils.escape_html(str(customer)[:140])),
	)
	check_customer(customer)
	contact = _contact_with(customer, email) if email else contact
	if not people.belongs(contact, customer):
		_wrong(
			"unknown_contact",
			_("No contact of {0} has that name or address. Add the contact to the customer first.").format(
				frappe.utils.escape_html(customer)
			),
		)
	found = preferences.opt_in(contact, customer, source, wording, source_document, email=email)
	return {
		"preference": found.name,
		"contact": contact,
		"email": found.email,
		"opted_in_at": str(found.opted_in_at),
	}


def _contact_with(customer: str, email: str) -> str | None:
	wanted = str(email).strip().lower()
	return next(
		(
			contact
			for contact in people.contacts_of(customer)
			if wanted in map(str.lower, people.emails_of(contact, customer))
		),
		None,
	)


# -- from the links of a reminder ---------------------------------------------------------------------------


@frappe.whitelist(allow_guest=True, xss_safe=True, methods=["POST"])
@intake(beside=("List-Unsubscribe",))
def unsubscribe(token: str = "") -> dict:
	"""Stop the reminders of a mail's contact at once: what mail programs call by List-Unsubscribe-Post (RFC 8058).

	Answers 200 however often it is called. Errors: 403 for a token that is not ours, 410 for one that is over.
	"""
	actions.stop(token, source="one-click unsubscribe")
	return {"stopped": True}


@frappe.whitelist(allow_guest=True, xss_safe=True, methods=["POST"])
@intake
@rate_limit(limit=120, seconds=60)
def looked_at(token: str = "", do: str = "") -> None:
	"""The page of a reminder's link tells that a person looks at it. Errors: 403, 410."""
	actions.looked_at(token, do)
