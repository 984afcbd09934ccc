"""The box "Remind me when it's time to reorder" on selling documents, and the mark of sensitive item groups."""

import frappe
from frappe import _
from frappe.utils import cint, get_link_to_form

from crm_recharge.contention import is_contention
from crm_recharge.people.contacts import contacts_of
from crm_recharge.reorder.consent import preferences
from crm_recharge.setup.titles import N_

REMIND_ME = "crm_recharge_remind_me"
SENSITIVE = "crm_recharge_sensitive"
AFTER = {
	"Quotation": "contact_email",
	"Sales Order": "contact_email",
	"Sales Invoice": "contact_email",
	"POS Invoice": "contact_email",
}


def fields() -> dict[str, list[dict]]:
	"""What this room adds to other apps' documents; `crm_recharge.install` makes it."""
	box = {
		"fieldname": REMIND_ME,
		"label": N_("Remind me when it's time to reorder"),
		"fieldtype": "Check",
		# A consent is given, never presumed, and not handed on from one document to the next.
		"default": "0",
		"no_copy": 1,
		"allow_on_submit": 0,
		"print_hide": 1,
		"description": preferences.wording(),
		"module": "Reorder",
	}
	sensitive = {
		"fieldname": SENSITIVE,
		"label": N_("Sensitive: not named in subjects of reminders"),
		"fieldtype": "Check",
		"default": "0",
		"insert_after": "is_group",
		"module": "Reorder",
	}
	return {
		**{doctype: [{**box, "insert_after": after}] for doctype, after in AFTER.items()},
		"Item Group": [sensitive],
	}


def show_wording(wording: str) -> None:
	"""Show the consent's wording beside the box: what is kept as agreed to is what was shown."""
	for doctype in AFTER:
		name = frappe.db.get_value("Custom Field", {"dt": doctype, "fieldname": REMIND_ME})
		if name and frappe.db.get_value("Custom Field", name, "description") != wording:
			frappe.db.set_value("Custom Field", name, "description", wording)
			frappe.clear_cache(doctype=doctype)


def on_submit(doc, method: str | None = None) -> None:
	"""A ticked box opts the document's contact in. A box that is not ticked says nothing.

	Whatever goes wrong here is told and never stops the document.
	"""
	if not cint(doc.get(REMIND_ME)) or cint(doc.get("is_return")):
		return
	frappe.db.savepoint("crm_recharge_consent")
	try:
		_take_up(doc)
	except Exception as error:
		if is_contention(error):
			# The database has undone the whole transaction, this document included.
			raise
		frappe.db.rollback(save_point="crm_recharge_consent")
		if isinstance(error, frappe.ValidationError):
			frappe.clear_last_message()
			_tell(str(error))
			return
		frappe.log_error(
			title=f"Consent on {doc.doctype} {doc.name} was not recorded",
			reference_doctype=doc.doctype,
			reference_name=doc.name,
		)
		_tell(_("The wish could not be recorded; the Error Log tells why."))


def _take_up(doc) -> None:
	customer = _customer(doc)
	if not customer:
		_tell(_("{0} is for nobody who is a Customer yet. Tick the box on the order.").format(doc.name))
		return
	contact = doc.get("contact_person") or _only_contact(customer)
	if not contact:
		_tell(
			_(
				"{0} names no contact. Choose one on the next document, or record the consent of a contact under {1}."
			).format(doc.name, get_link_to_form("Customer", customer))
		)
		return
	preferences.opt_in(contact, customer, doc.doctype, preferences.wording(), source_document=doc.name)


def _customer(doc) -> str | None:
	if doc.doctype == "Quotation":
		return doc.party_name if doc.quotation_to == "Customer" else None
	return doc.customer


def _only_contact(customer: str) -> str | None:
	"""The customer's only contact. With several of them nobody knows who ticked the box."""
	contacts = contacts_of(customer)
	return contacts[0] if len(contacts) == 1 else None


def _tell(text: str) -> None:
	frappe.msgprint(text, title=_("Reorder reminders: not opted in"), indicator="orange")
