"""The wishes of a contact: consent with its evidence, frequency, snooze.

Every change is a row of the history that is only ever added to. All functions write within the caller's
transaction; those that change a preference lock its row first.
"""

import hashlib
from datetime import date

import frappe
from frappe import _
from frappe.query_builder.functions import Count
from frappe.utils import cint, getdate, now_datetime

from crm_recharge.doors.guard import new
from crm_recharge.people.contacts import belongs, emails_of
from crm_recharge.reorder import words

OPTED_IN, OPTED_OUT, FREQUENCY, SNOOZED = "Opted in", "Opted out", "Frequency", "Snoozed"
LONGEST_FREQUENCY = 3650
DESK = "Desk"


def scope_key(contact: str, customer: str) -> str:
	"""What makes a preference the only one of its contact and customer."""
	return hashlib.sha256(f"{contact}\n{customer}".encode()).hexdigest()


def wording() -> str:
	"""What stands beside the box a customer ticks, as in Reorder Settings."""
	return (frappe.get_cached_doc("Reorder Settings").consent_wording or "").strip()


# -- changes -----------------------------------------------------------------------------------------------


def opt_in(
	contact: str,
	customer: str,
	source: str,
	wording: str,
	source_document: str | None = None,
	by: str | None = None,
	email: str | None = None,
):
	"""Record that `contact` wants reminders for what `customer` buys; returns the Reorder Preference.

	Args:
		contact, customer: names; the contact must be linked to the customer and have an e-mail address.
		source: where it was given: "Sales Order", "web", "Phone"…
		wording: what the person agreed to, as it was shown.
		source_document: the document it was given on.
		by: the user who recorded it; by default the one logged in.
		email: which of the contact's addresses; by default the one it has been, else the primary one.

	Who is opted in already, to the same words and address, stays so: nothing is written. Raises ValidationError.
	"""
	source, wording = _needed(source, _("source")), _needed(wording, _("wording"))
	address = _address_for(contact, customer, email)
	consent = {
		"email": address,
		"opted_in": 1,
		"opted_in_at": now_datetime(),
		"opted_in_by": by or frappe.session.user,
		"source": source[:140],
		"source_document": (source_document or "")[:140] or None,
		"wording": wording,
		"opted_out_at": None,
	}
	change = row(OPTED_IN, source, source_document, wording, address, by)
	# Two requests for one contact take turns here: locking a preference that is not there yet would dead-lock.
	frappe.db.sql("SELECT `name` FROM `tabContact` WHERE `name` = %s FOR UPDATE", contact)
	if not _found(contact, customer):
		values = {"contact": contact, "customer": customer, **consent, "history": [change]}
		preference = new("Reorder Preference", values)
		preference.flags.consent_is_recorded = True
		frappe.db.savepoint("crm_recharge_preference")
		try:
			return preference.insert(ignore_permissions=True)
		except frappe.UniqueValidationError:
			# Made by the request before, which this transaction does not see.
			frappe.db.rollback(save_point="crm_recharge_preference")
			frappe.clear_messages()
	preference = _locked({"scope_key": scope_key(contact, customer)})
	if preference.opted_in and preference.wording == wording and email in (None, "", preference.email):
		return frappe.get_doc("Reorder Preference", preference.name, for_update=True)
	return _write(preference, consent, change)


def opt_out(preference, source: str, source_document: str | None = None, by: str | None = None):
	"""Record that the contact wants no more reminders; returns the preference. Again changes nothing."""
	source = _needed(source, _("source"))
	preference = _locked(_name(preference))
	if not preference.opted_in:
		return frappe.get_doc("Reorder Preference", preference.name, for_update=True)
	values = {"opted_in": 0, "opted_out_at": now_datetime()}
	_take_back_mails(preference.name)
	return _write(preference, values, row(OPTED_OUT, source, source_document, by=by))


def _take_back_mails(preference: str) -> None:
	"""What waits in the Email Queue is not sent any more; a mail that is being sent cannot be called back."""
	waiting = frappe.get_all(
		"Reorder Message",
		{"preference": preference, "status": "Queued"},
		["name", "email_queue"],
		order_by=None,
	)
	for message in waiting:
		if frappe.db.get_value("Email Queue", message.email_queue, "status", for_update=True) != "Not Sent":
			continue
		frappe.db.delete("Email Queue Recipient", {"parent": message.email_queue})
		frappe.db.delete("Email Queue", {"name": message.email_queue})
		frappe.db.set_value("Reorder Message", message.name, "status", "Failed", update_modified=False)


def set_frequency(preference, days: int, source: str, by: str | None = None):
	"""At most one mail in `days`; 0: as in Reorder Settings. Returns the preference. Raises ValidationError."""
	source = _needed(source, _("source"))
	if not 0 <= cint(days) <= LONGEST_FREQUENCY or str(days).strip() != str(cint(days)):
		frappe.throw(_("Choose a number of days from 0 to {0}, not {1}.").format(LONGEST_FREQUENCY, days))
	preference = _locked(_name(preference))
	if cint(preference.frequency_days) == cint(days):
		return frappe.get_doc("Reorder Preference", preference.name, for_update=True)
	change = row(FREQUENCY, source, detail=frequency_text(cint(days)), by=by)
	return _write(preference, {"frequency_days": cint(days)}, change)


def snooze(preference, until: date | str | None, source: str, by: str | None = None):
	"""No mail before `until`; None ends it. Returns the preference."""
	source = _needed(source, _("source"))
	until = getdate(until) if until else None
	preference = _locked(_name(preference))
	if (getdate(preference.snoozed_until) if preference.snoozed_until else None) == until:
		return frappe.get_doc("Reorder Preference", preference.name, for_update=True)
	return _write(
		preference, {"snoozed_until": until}, row(SNOOZED, source, detail=snooze_text(until), by=by)
	)


def _write(preference, values: dict, change: dict):
	"""Write onto the locked preference and add to its history.

	Not by saving the document: its history as this transaction sees it may lack the newest rows, and saving would
	delete those.
	"""
	frappe.db.set_value("Reorder Preference", preference.name, values)
	rows = frappe.qb.DocType("Reorder Consent Change")
	place = {"parent": preference.name, "parenttype": "Reorder Preference", "parentfield": "history"}
	count = frappe.qb.from_(rows).select(Count("*")).where(rows.parent == preference.name).run()[0][0]
	frappe.get_doc({"doctype": "Reorder Consent Change", **place, "idx": count + 1, **change}).db_insert()
	frappe.clear_document_cache("Reorder Preference", preference.name)
	written = frappe.get_doc("Reorder Preference", preference.name, for_update=True)
	written.run_method("on_update")
	written.notify_update()
	return written


def row(change, source, source_document=None, wording=None, detail=None, by=None) -> dict:
	"""A row of the history, of this moment."""
	return {
		"at": now_datetime(),
		"change": change,
		"by_user": by or frappe.session.user,
		"source": (source or "")[:140],
		"source_document": (source_document or "")[:140] or None,
		"wording": wording,
		"detail": (detail or "")[:140] or None,
	}


def frequency_text(days: int) -> str:
	"""A frequency in words, for the history."""
	return _("At most one mail in {0}").format(words.days(days)) if days else _("As usual")


def snooze_text(until) -> str:
	"""A snooze in words, for the history."""
	return _("No mail before {0}").format(frappe.format(until, "Date")) if until else _("Snooze ended")


def _needed(text: str, what: str) -> str:
	text = (text or "").strip()
	if not text:
		frappe.throw(
			_("A consent needs its {0}: it is the proof of what was agreed to, and where.").format(what)
		)
	return text


def _name(preference) -> dict:
	return {"name": preference if isinstance(preference, str) else preference.name}


def _locked(filters: dict):
	"""The preference's own row, locked and as it is in the database now. Raises DoesNotExistError."""
	found = frappe.db.get_value("Reorder Preference", filters, "*", as_dict=True, for_update=True)
	if not found:
		frappe.throw(_("This preference does not exist any more."), frappe.DoesNotExistError)
	return found


def _found(contact: str, customer: str) -> str | None:
	return frappe.db.get_value("Reorder Preference", {"scope_key": scope_key(contact, customer)})


def _address_for(contact: str, customer: str, email: str | None) -> str:
	"""The address the mails go to. Raises ValidationError, saying what to do."""
	if not (contact and frappe.db.exists("Contact", contact)):
		frappe.throw(_("Contact {0} does not exist.").format(contact or ""), frappe.DoesNotExistError)
	if not (customer and frappe.db.exists("Customer", customer)):
		frappe.throw(_("Customer {0} does not exist.").format(customer or ""), frappe.DoesNotExistError)
	if not belongs(contact, customer):
		frappe.throw(
			_(
				"Contact {0} does not belong to {1}: somebody who may change the customer must link it there first."
			).format(contact, customer)
		)
	addresses = emails_of(contact, customer)
	if email:
		email = email.strip()
		found = next((known for known in addresses if known.lower() == email.lower()), None)
		if not found:
			frappe.throw(_("{0} is no address of contact {1}: enter it there first.").format(email, contact))
		return found
	if not addresses:
		frappe.throw(_("Contact {0} has no e-mail address: enter one first.").format(contact))
	return addresses[0]


# -- who may be mailed -------------------------------------------------------------------------------------


def reachable_at(preference) -> str | None:
	"""The address a mail to this preference goes to; None: none may.

	The one that was given, as long as it is the contact's; else the contact's primary one. Nobody who has
	unsubscribed from all mail of this site, or who is no longer the customer's, can be reached.
	"""
	if not preference.opted_in or not belongs(preference.contact, preference.customer):
		return None
	if frappe.db.get_value("Contact", preference.contact, "unsubscribed"):
		return None
	addresses = emails_of(preference.contact, preference.customer)
	given = next((a for a in addresses if a.lower() == (preference.email or "").lower()), None)
	address = given or (addresses[0] if addresses else None)
	return address if address and not has_unsubscribed(address, preference.customer) else None


def has_unsubscribed(email: str, customer: str) -> bool:
	"""Whether Frappe's own Email Unsubscribe stands against mails to `email`, or to it about `customer`."""
	unsubscribed = frappe.qb.DocType("Email Unsubscribe")
	about_customer = (unsubscribed.reference_doctype == "Customer") & (
		unsubscribed.reference_name == customer
	)
	return bool(
		frappe.qb.from_(unsubscribed)
		.select(unsubscribed.name)
		.where(unsubscribed.email == email)
		.where((unsubscribed.global_unsubscribe == 1) | about_customer)
		.limit(1)
		.run()
	)


def consenting(customer: str):
	"""The Reorder Preference of the one contact to mail: the customer's primary contact, else who consented last.

	None: nobody wants mails, or nobody who does can be reached. `flags.reachable_at` has the address.
	"""
	primary = frappe.db.get_value("Customer", customer, "customer_primary_contact")
	rows = frappe.get_all(
		"Reorder Preference",
		{"customer": customer, "opted_in": 1},
		["name", "contact", "opted_in_at", "creation"],
		order_by=None,
	)
	marked = set(
		frappe.get_all(
			"Contact", {"name": ["in", [row.contact for row in rows]], "is_primary_contact": 1}, pluck="name"
		)
		if rows
		else ()
	)
	rows.sort(key=lambda row: (row.opted_in_at or row.creation, row.name), reverse=True)
	rows.sort(key=lambda row: (row.contact != primary, row.contact not in marked))
	for row in rows:
		preference = frappe.get_doc("Reorder Preference", row.name)
		if address := reachable_at(preference):
			preference.flags.reachable_at = address
			return preference
	return None
