"""The sales team hears of customers who are due, and of orders that did not work: as a ToDo on the customer."""

import frappe
from frappe import _
from frappe.desk.form.assign_to import notify_assignment
from frappe.utils import escape_html, get_link_to_form, nowdate

from crm_recharge.credits.money import exact, in_coins, money
from crm_recharge.doors import sight
from crm_recharge.reorder import timeline, words
from crm_recharge.reorder.learning.documents import INVOICES

LAST_ORDERS = 3


def person_for(customer: str) -> str | None:
	"""Who looks after `customer`: the account manager, else Reorder Settings' stand-in, if they may log in and no User
	Permission keeps the customer from them."""
	manager = frappe.db.get_value("Customer", customer, "account_manager")
	for user in (manager, frappe.get_cached_doc("Reorder Settings").fallback_user):
		# Who has no desk sees no task.
		if user and frappe.db.get_value("User", {"name": user, "enabled": 1, "user_type": "System User"}):
			if sight.is_permitted(frappe.get_doc("Customer", customer), user):
				return user
	return None


def tell(message) -> str | None:
	"""One open ToDo for the customer of `message`, for a person to get in touch: made, or brought up to date.

	Call it in the transaction that writes the message. Nobody is mailed as a customer, so no consent is needed;
	customers who are held out are left alone.

	Args:
		message: a Reorder Message with its items, or its name.

	Returns:
		the ToDo; None for who is held out, and when nobody is there to tell (then an Error Log says so).
	"""
	message = frappe.get_doc("Reorder Message", message) if isinstance(message, str) else message
	if message.kind == "Held Out" or not message.customer:
		return None
	person = person_for(message.customer)
	if not person:
		_nobody(message.customer)
		return None
	open_rows = [row for row in message.items if not row.won]
	description = _facts(message, open_rows, person)
	todo = open_todo(message.customer)
	if todo:
		frappe.db.set_value("ToDo", todo, {"description": description, "date": nowdate()})
		if frappe.db.get_value("ToDo", todo, "allocated_to") != person:
			document = frappe.get_doc("ToDo", todo)
			document.allocated_to = person
			document.save(ignore_permissions=True)
	else:
		todo = _add(message.customer, person, description)
		timeline.note(
			message.customer,
			_("{0} was asked to get in touch: due to reorder").format(escape_html(_name_of(person))),
		)
	frappe.db.set_value("Reorder Message", message.name, "todo", todo, update_modified=False)
	message.todo = todo
	customer_row = frappe.db.get_value("Reorder Customer", {"customer": message.customer})
	if customer_row:
		frappe.db.set_value("Reorder Customer", customer_row, "todo", todo, update_modified=False)
	return todo


def open_todo(customer: str) -> str | None:
	"""The customer's open ToDo about reminders, if there is one."""
	todo = frappe.db.get_value("Reorder Customer", {"customer": customer}, "todo")
	if todo and frappe.db.get_value("ToDo", todo, "status") == "Open":
		return todo
	rows = frappe.get_all(
		"Reorder Message",
		{"customer": customer, "todo": ["is", "set"]},
		pluck="todo",
		order_by="creation desc",
		limit=5,
	)
	return frappe.db.get_value("ToDo", {"name": ["in", rows], "status": "Open"}) if rows else None


def bought(customer: str) -> None:
	"""After a purchase: close the customer's ToDo once all it is about is bought, else take out what is."""
	todo = open_todo(customer)
	if not todo:
		return
	name = frappe.db.get_value("Reorder Message", {"todo": todo}, order_by="creation desc")
	if not name:
		return
	message = frappe.get_doc("Reorder Message", name)
	rest = [row for row in message.items if not row.won]
	if rest:
		frappe.db.set_value(
			"ToDo",
			todo,
			"description",
			_facts(message, rest, frappe.db.get_value("ToDo", todo, "allocated_to")),
		)
		return
	document = frappe.get_doc("ToDo", todo)
	document.status = "Closed"
	document.save(ignore_permissions=True)
	timeline.note(customer, _("Bought: the task for the sales team was closed"))


def ask(customer: str, subject: str, html: str) -> str | None:
	"""A ToDo for the customer's person about something that needs one; the same text is asked once.

	Args:
		html: trusted markup; whoever calls has escaped what customers wrote.

	Returns:
		the ToDo, or None when nobody is there; then the text is in the Error Log.
	"""
	person = person_for(customer)
	description = f"<p><b>{escape_html(subject)}</b></p>{html}"
	if not person:
		frappe.log_error(title=f"{subject}: {customer}"[:140], message=description)
		return None
	# The editor's field is cleaned when it is stored, so that a text is compared as it will be.
	cleaned = frappe.utils.sanitize_html(description)
	standing = frappe.get_all(
		"ToDo",
		{"reference_type": "Customer", "reference_name": customer, "status": "Open", "allocated_to": person},
		["name", "description"],
	)
	for row in standing:
		if row.description in (description, cleaned):
			return row.name
	return _add(customer, person, description)


def _add(customer: str, person: str, description: str) -> str:
	todo = frappe.get_doc(
		{
			"doctype": "ToDo",
			"allocated_to": person,
			"assigned_by": "Administrator",
			"reference_type": "Customer",
			"reference_name": customer,
			"description": description,
			"date": nowdate(),
			"priority": "Medium",
		}
	)
	todo.insert(ignore_permissions=True)
	notify_assignment("Administrator", person, "Customer", customer, action="ASSIGN", description=description)
	return todo.name


def _nobody(customer: str) -> None:
	frappe.log_error(
		title="Reorder: nobody to tell",
		message=_(
			"{0} is due to reorder and should be called, but has no account manager. Set one on the customer, or a"
			" stand-in in Reorder Settings."
		).format(customer),
	)


# -- the facts ----------------------------------------------------------------------------------------------


def _facts(message, rows, person: str) -> str:
	with timeline.speaking(frappe.db.get_value("User", person, "language")):
		return _facts_in_words(message, rows)


def _facts_in_words(message, rows) -> str:
	customer = message.customer
	name = message.customer_name or customer
	parts = [f"<p><b>{_('{0} is due to reorder').format(escape_html(name))}</b></p>", "<ul>"]
	parts += [f"<li>{_of_item(row)}</li>" for row in rows]
	parts.append("</ul>")
	parts += [
		f"<p>{line}</p>"
		for line in (_orders(customer), _revenue(customer), _reach(message), _reminded(message))
		if line
	]
	return "".join(parts)


def _of_item(row) -> str:
	text = f"<b>{escape_html(row.item_name or row.item_code)}</b>"
	if row.last_quantity:
		text += f": {words.number(row.last_quantity)} {escape_html(row.uom or '')}".rstrip()
	if row.last_day:
		text += ", " + _("last bought {0}").format(words.day(row.last_day))
	if row.next_from and row.next_to:
		text += ", " + _("expected between {0} and {1}, most likely {2}").format(
			words.day(row.next_from), words.day(row.next_to), words.day(row.next_on)
		)
	return text


def _orders(customer: str) -> str:
	bought = {
		"customer": customer,
		"docstatus": 1,
		"is_return": 0,
		"is_consolidated": 0,
		"is_debit_note": 0,
		"is_opening": ["!=", "Yes"],
	}
	found = [
		(row.posting_date, row.creation, doctype, row)
		for doctype in INVOICES
		for row in frappe.get_all(
			doctype,
			{field: value for field, value in bought.items() if frappe.db.has_column(doctype, field)},
			["name", "posting_date", "creation", "grand_total", "currency"],
			order_by="posting_date desc, creation desc",
			limit=LAST_ORDERS,
		)
	]
	shown = [
		f"{get_link_to_form(doctype, row.name)} ({words.day(row.posting_date)}, "
		f"{money(row.grand_total, row.currency)})"
		for _day, _made, doctype, row in sorted(found, key=lambda one: one[:2], reverse=True)[:LAST_ORDERS]
	]
	return _("Last orders: {0}").format(", ".join(shown)) if shown else ""


def _revenue(customer: str) -> str:
	found = frappe.db.sql(
		"SELECT CAST(`revenue_365` AS CHAR) FROM `tabReorder Customer` WHERE `customer` = %s", customer
	)
	if not found or not exact(found[0][0]):
		return ""
	company = frappe.get_cached_doc("Reorder Settings").company or frappe.defaults.get_global_default(
		"company"
	)
	currency = frappe.get_cached_value("Company", company, "default_currency") if company else None
	return _("Revenue of the last 365 days: {0}").format(money(in_coins(found[0][0], currency), currency))


def _reach(message) -> str:
	contact = message.contact or frappe.db.get_value("Customer", message.customer, "customer_primary_contact")
	row = contact and frappe.db.get_value(
		"Contact",
		contact,
		["name", "first_name", "last_name", "phone", "mobile_no", "email_id"],
		as_dict=True,
	)
	if not row:
		return ""
	person = " ".join(part for part in (row.first_name, row.last_name) if part)
	ways = [person, row.mobile_no, row.phone if row.phone != row.mobile_no else None, row.email_id]
	return _("Contact: {0}").format(", ".join(escape_html(way) for way in ways if way))


def _reminded(message) -> str:
	row = frappe.get_all(
		"Reorder Message",
		{"customer": message.customer, "kind": "Reminded", "status": "Sent", "name": ["!=", message.name]},
		["sent_at", "last_answer"],
		order_by="sent_at desc",
		limit=1,
	)
	if not row:
		return ""
	text = _("Last reminder by mail: {0}").format(words.day(row[0].sent_at))
	return text + (f" ({escape_html(_(row[0].last_answer))})" if row[0].last_answer else "")


def _name_of(user: str) -> str:
	return frappe.db.get_value("User", user, "full_name") or user
