"""Frappe's Personal Data Download and Deletion Requests, which know a person by an e-mail address.

The hook `user_data_fields` tells Frappe of the DocTypes that hold an address. The others are kept by customer, and
Frappe has no way to name them: they are added here. A customer's data is the person's where nobody else stands for
the customer; a company with other contacts keeps its own, without this person.
"""

import json

import frappe
from frappe import _
from frappe.utils import get_url
from frappe.utils.verified_command import get_signed_params

from crm_recharge.people import contacts as people
from crm_recharge.people import vouching
from crm_recharge.people.named import named_customers, named_users
from crm_recharge.reorder.privacy import erasing

KEPT_BY_CUSTOMER = ("Reorder Customer", "Reorder Reminder", "Reorder Purchase Day", "Reorder Forecast")
OF_THE_MODEL = {"sum_log", "sum_square", "sum_quantity", "sum_quantity_square", "sum_cross", "state"}
BEFORE_ALL = "Pending"


# -- who a person is ---------------------------------------------------------------------------------------


def contacts_of(email: str) -> list[str]:
	"""Contacts with this address, or with the login of that name; none that is somebody else's."""
	return [
		contact
		for contact, customers in people.contacts_with(email).items()
		if customers or not vouching.of(frappe.get_doc("Contact", contact))
	]


def customers_of(email: str) -> list[str]:
	"""Customers for whom nobody else stands: all their contacts and people by name are this person."""
	found = people.contacts_with(email)
	user = frappe.db.get_value("User", {"email": email})
	candidates = set(named_customers(user)).union(*found.values())
	alone = []
	for customer in sorted(candidates):
		own = {contact for contact, customers in found.items() if customer in customers}
		if set(people.contacts_of(customer)) <= own and set(named_users(customer)) <= {user}:
			alone.append(customer)
	return alone


# -- deletion ----------------------------------------------------------------------------------------------


def on_deletion_request(request, method=None) -> None:
	"""Frappe begins with a deletion, and has changed nothing yet: erase while the address still says who it is."""
	steps = request.get("deletion_steps") or []
	if request.status != "Pending Approval" or not steps:
		return
	if all(step.status == BEFORE_ALL for step in steps):
		erase_person(request.email)


def erase_person(email: str) -> None:
	"""Erase what reminders know of the person with this address, within the caller's transaction."""
	for customer in customers_of(email):
		erasing.erase_customer(customer)
	for contact in contacts_of(email):
		erasing.forget_contact(contact)
	erasing.delete_preferences(
		frappe.get_all("Reorder Preference", {"email": email}, pluck="name", order_by=None)
	)
	erasing.anonymise(frappe.get_all("Reorder Message", {"email": email}, pluck="name", order_by=None))


# -- download ----------------------------------------------------------------------------------------------


def refuse_for_another(request, method=None) -> None:
	"""Raise frappe.PermissionError where a user who is logged in asks for the data of another one.

	What is made for a request hangs on it, and who has made the request may read that. A visitor may not, and by
	Frappe's form asks for a mail to the address alone.
	"""
	user = frappe.session.user
	if user not in ("Guest", request.user) and not frappe.has_permission(request.doctype, "create"):
		frappe.throw(
			_("Ask for your own data: give the address you log in with."),
			frappe.PermissionError,
			title=_("Not permitted"),
		)


def on_download_request(request, method=None) -> None:
	"""Frappe sends what it finds by address. The rest follows in a mail of its own."""
	frappe.enqueue(
		"crm_recharge.reorder.privacy.requests.send_data",
		queue="short",
		request=request.name,
		enqueue_after_commit=True,
		now=frappe.flags.in_test,
	)


def data_of(email: str) -> dict[str, list[dict]]:
	"""Rows by DocType that are kept by customer or within another document, of the person with this address."""
	found = {}
	customers = customers_of(email)
	for doctype in KEPT_BY_CUSTOMER:
		rows = frappe.get_all(doctype, {"customer": ["in", customers]}, ["*"]) if customers else []
		found[doctype] = [
			{key: value for key, value in row.items() if key not in OF_THE_MODEL} for row in rows
		]
	preferences = frappe.get_all("Reorder Preference", {"email": email}, pluck="name")
	found["Reorder Consent Change"] = _children("Reorder Consent Change", preferences)
	messages = set(frappe.get_all("Reorder Message", {"email": email}, pluck="name"))
	if customers:
		held_out = frappe.get_all("Reorder Message", {"customer": ["in", customers]}, ["*"])
		found["Reorder Message"] = [row for row in held_out if row.name not in messages]
		messages |= {row.name for row in held_out}
	found["Reorder Message Item"] = _children("Reorder Message Item", sorted(messages))
	return {doctype: rows for doctype, rows in found.items() if rows}


def _children(doctype: str, parents: list[str]) -> list[dict]:
	return (
		frappe.get_all(doctype, {"parent": ["in", parents]}, ["*"], order_by="parent, idx") if parents else []
	)


def send_data(request: str) -> None:
	"""Attach what is kept by customer to a Personal Data Download Request, and mail the person the link."""
	user, user_name = frappe.db.get_value("Personal Data Download Request", request, ["user", "user_name"])
	data = data_of(user)
	if not data:
		return
	file = frappe.get_doc(
		{
			"doctype": "File",
			"file_name": f"Personal-Data-Reorder-Reminders-{request}.json",
			"attached_to_doctype": "Personal Data Download Request",
			"attached_to_name": request,
			"content": json.dumps(data, indent=2, default=str),
			"is_private": 1,
		}
	).save(ignore_permissions=True)
	method = get_url("/api/method/frappe.utils.file_manager.download_file")
	frappe.sendmail(
		recipients=user,
		subject=_("Download Your Data: Reorder Reminders"),
		template="download_data",
		args={
			"user": user,
			# Frappe puts it into the mail as it is.
			"user_name": frappe.utils.escape_html(user_name or ""),
			"link": f"{method}?{get_signed_params({'file_url': file.file_url})}",
			"host_name": frappe.local.site,
		},
		header=[_("Download Your Data: Reorder Reminders"), "green"],
	)
