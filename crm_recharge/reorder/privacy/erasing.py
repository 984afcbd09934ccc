"""Taking people out of the records of reminders, and leaving the counts.

What was learned of a customer, the preferences, and all that names the customer go. A Reorder Message stays as a
number: of which month, kind, rule and item group, whether it was clicked, answered, bought, what it brought. The
model's averages are not touched; the customer's own part is gone with the next nightly fit. The customer carries
a mark, so that reading the invoices again does not learn it anew.
"""

import json

import frappe
from frappe import _

from crm_recharge.doors import sight
from crm_recharge.intake import intake
from crm_recharge.reorder import timeline
from crm_recharge.reorder.learning import customers, fields
from crm_recharge.reorder.privacy.fields import NOT_LEARNED, has_mark

ROLES = ("Reorder Manager", "System Manager")
CHUNK = 500
OURS = (
	"Reorder Customer",
	"Reorder Forecast",
	"Reorder Message",
	"Reorder Preference",
	"Reorder Purchase Day",
	"Reorder Reminder",
)
ANONYMOUS = "Anonymous {0}"
MARK_LENGTH = 8


@frappe.whitelist(methods=["POST"])
@intake
def erase(customer: str) -> dict:
	"""Erase what reminders know of a customer; returns how many rows of each kind went. For Reorder Managers.

	Invoices and the customer itself stay: they are ERPNext's. Raises as doors.sight.check_customer.
	"""
	frappe.only_for(ROLES)
	return erase_customer(sight.check_customer(customer))


@frappe.whitelist(methods=["POST"])
@intake
def learn_again(customer: str) -> None:
	"""Undo the mark that erasing leaves: the customer's purchases are learned anew, in the background."""
	frappe.only_for(ROLES)
	_learn_again(sight.check_customer(customer))


def on_preference(preference, method=None) -> None:
	"""Whoever was erased and then asks for reminders wants to be known again."""
	if (
		preference.opted_in
		and has_mark()
		and frappe.db.get_value("Customer", preference.customer, NOT_LEARNED)
	):
		_learn_again(preference.customer)


def _learn_again(customer: str) -> None:
	frappe.db.set_value("Customer", customer, NOT_LEARNED, 0, update_modified=False)
	customers.mark_stale(customer, _("To be learned again, as was asked for."))


def erase_customer(customer: str) -> dict:
	"""As `erase`, for the app itself; within the caller's transaction."""
	# Invoices being submitted wait here, and find the mark afterwards.
	customers.lock(customer)
	names = [customer, frappe.db.get_value("Customer", customer, "customer_name")]
	if frappe.db.exists("Customer", customer):
		empty = dict.fromkeys((fields.FROM, fields.ON, fields.TO))
		frappe.db.set_value("Customer", customer, {NOT_LEARNED: 1, **empty}, update_modified=False)
	messages = frappe.get_all("Reorder Message", {"customer": customer}, pluck="name", order_by=None)
	erased = {"Reorder Message": anonymise(messages)}
	preferences = frappe.get_all("Reorder Preference", {"customer": customer}, pluck="name", order_by=None)
	erased["Reorder Preference"] = delete_preferences(preferences)
	todo = frappe.db.get_value("Reorder Customer", {"customer": customer}, "todo")
	_delete_todos([todo] if todo else [])
	for doctype in ("Reorder Reminder", "Reorder Purchase Day", "Reorder Forecast", "Reorder Customer"):
		rows = frappe.get_all(doctype, {"customer": customer}, pluck="name", order_by=None)
		_delete_rows(doctype, rows)
		erased[doctype] = len(rows)
	timeline.forget(customer)
	_forget_in_runs({name for name in names if name})
	_forget_deleted(f'"customer": {json.dumps(customer)}')
	return erased


# -- reminders that were sent ------------------------------------------------------------------------------


def anonymise(messages: list[str], mark: str | None = None) -> int:
	"""Take the people out of these Reorder Messages, within the caller's transaction; returns how many.

	Their mails, if not sent yet, are not; the records of the mails and open tasks go. Days become the first of
	their month and amounts stay, so that months still add up. Messages anonymised together share a mark that
	belongs to nobody: the uplift counts them as one customer, and nothing leads from the mark to a person.
	"""
	from crm_recharge.reorder.sending import offer

	mark = mark or ANONYMOUS.format(frappe.generate_hash(length=MARK_LENGTH))
	for some in _chunks(messages):
		for message in some:
			offer.put_away(message)
		_not_again(some)
		rows = frappe.get_all(
			"Reorder Message", {"name": ["in", some]}, ["communication", "email_queue", "todo"], order_by=None
		)
		_delete_todos([row.todo for row in rows if row.todo])
		_delete_mails([row.email_queue for row in rows if row.email_queue])
		_delete_communications([row.communication for row in rows if row.communication])
		values = {"names": some, "mark": mark}
		frappe.db.sql(_ANONYMOUS_ITEMS, values)
		frappe.db.sql(_ANONYMOUS_MESSAGES, values)
		_delete_traces("Reorder Message", some)
	return len(messages)


# Columns in the order of the DocType; the status last but one, for MariaDB sets from left to right.
_ANONYMOUS_MESSAGES = """
	UPDATE `tabReorder Message` SET
		`customer` = NULL, `customer_name` = %(mark)s, `contact` = NULL, `email` = NULL, `preference` = NULL,
		`subject` = NULL, `email_queue` = NULL, `communication` = NULL, `opened_at` = NULL, `clicked_at` = NULL,
		`coupon_code` = NULL, `pricing_rules` = NULL, `offer_ends` = NULL, `offer_cleared` = 1,
		`order_type` = NULL, `order_name` = NULL, `todo` = NULL,
		`status` = CASE `status` WHEN 'Queued' THEN 'Failed' WHEN 'Sent' THEN 'Anonymous' ELSE `status` END,
		`sent_at` = DATE_FORMAT(`sent_at`, '%%Y-%%m-01'),
		`creation` = COALESCE(`sent_at`, '1970-01-01'), `modified` = COALESCE(`sent_at`, '1970-01-01'),
		`owner` = 'Administrator', `modified_by` = 'Administrator',
		`_comments` = NULL, `_assign` = NULL, `_liked_by` = NULL, `_user_tags` = NULL
	WHERE `name` IN %(names)s"""

_ANONYMOUS_ITEMS = """
	UPDATE `tabReorder Message Item` i JOIN `tabReorder Message` m ON m.`name` = i.`parent` SET
		i.`reminder` = NULL, i.`item_code` = NULL, i.`item_name` = NULL, i.`cycle_key` = NULL,
		i.`last_day` = NULL, i.`days_since` = 0, i.`last_quantity` = 0, i.`uom` = NULL,
		i.`next_from` = NULL, i.`next_on` = NULL, i.`next_to` = NULL, i.`p_alive` = 0,
		i.`clicked_at` = NULL, i.`won_on` = NULL, i.`invoice_type` = NULL, i.`invoice` = NULL, i.`quantity` = 0,
		i.`creation` = DATE_FORMAT(m.`sent_at`, '%%Y-%%m-01'), i.`modified` = DATE_FORMAT(m.`sent_at`, '%%Y-%%m-01'),
		i.`owner` = 'Administrator', i.`modified_by` = 'Administrator'
	WHERE i.`parent` IN %(names)s AND i.`parenttype` = 'Reorder Message'"""


def _not_again(messages: list[str]) -> None:
	"""The key that kept an item from being reminded of twice goes: let its pair remember that it was."""
	frappe.db.sql(
		"""UPDATE `tabReorder Reminder` r
			JOIN `tabReorder Message Item` i ON i.`reminder` = r.`name` AND i.`last_day` = r.`last_day`
			JOIN `tabReorder Message` m ON m.`name` = i.`parent`
		SET r.`last_reminded_at` = GREATEST(COALESCE(r.`last_reminded_at`, m.`sent_at`), m.`sent_at`)
		WHERE m.`name` IN %(names)s""",
		{"names": messages},
	)
	for doctype in ("Reorder Reminder", "Reorder Customer"):
		# nosemgrep: frappe-sql-format-injection -- DocTypes are those above
		frappe.db.sql(
			f"UPDATE `tab{doctype}` SET `last_message` = NULL WHERE `last_message` IN %(names)s",
			{"names": messages},
		)


def forget_contact(contact: str) -> None:
	"""A contact's preferences go, and its name from messages; the customer keeps the record of them."""
	preferences = frappe.get_all("Reorder Preference", {"contact": contact}, pluck="name", order_by=None)
	delete_preferences(preferences)
	messages = frappe.get_all(
		"Reorder Message",
		{"contact": contact},
		["name", "status", "email_queue", "communication"],
		order_by=None,
	)
	waiting = [row for row in messages if row.status == "Queued"]
	_delete_mails([row.email_queue for row in waiting if row.email_queue])
	for some in _chunks([row.name for row in waiting]):
		frappe.db.set_value(
			"Reorder Message", {"name": ["in", some]}, "status", "Failed", update_modified=False
		)
	_delete_communications([row.communication for row in messages if row.communication])
	for some in _chunks([row.name for row in messages]):
		gone = dict.fromkeys(("contact", "email", "preference", "subject", "communication", "email_queue"))
		frappe.db.set_value("Reorder Message", {"name": ["in", some]}, gone, update_modified=False)


def on_contact_trash(contact, method=None) -> None:
	"""A contact is deleted: with it goes its consent, so nothing more is mailed to it."""
	forget_contact(contact.name)


# -- rows --------------------------------------------------------------------------------------------------


def delete_preferences(names: list[str]) -> int:
	"""Delete preferences with their history, without the copy that Frappe keeps of what is deleted."""
	for some in _chunks(names):
		for field, doctype in (("preference", "Reorder Message"),):
			frappe.db.set_value(doctype, {field: ["in", some]}, field, None, update_modified=False)
		frappe.db.delete("Reorder Consent Change", {"parent": ["in", some]})
		_delete_rows("Reorder Preference", some)
	return len(names)


def _delete_rows(doctype: str, names: list[str]) -> None:
	for some in _chunks(names):
		frappe.db.delete(doctype, {"name": ["in", some]})
		_delete_traces(doctype, some)


def _delete_traces(doctype: str, names: list[str]) -> None:
	"""What Frappe keeps beside a document: versions, comments, who looked at it, assignments."""
	for trace, of_type, of_name in (
		("Version", "ref_doctype", "docname"),
		("Comment", "reference_doctype", "reference_name"),
		("View Log", "reference_doctype", "reference_name"),
		("Document Follow", "ref_doctype", "ref_docname"),
		("Tag Link", "document_type", "document_name"),
		("Notification Log", "document_type", "document_name"),
		("Deleted Document", "deleted_doctype", "deleted_name"),
	):
		frappe.db.delete(trace, {of_type: doctype, of_name: ["in", names]})
	if doctype != "Reorder Message":
		_delete_todos(
			frappe.get_all("ToDo", {"reference_type": doctype, "reference_name": ["in", names]}, pluck="name")
		)


def _delete_todos(names: list[str]) -> None:
	for name in names:
		frappe.delete_doc("ToDo", name, ignore_permissions=True, force=True, delete_permanently=True)


def _delete_mails(names: list[str]) -> None:
	for some in _chunks(names):
		frappe.db.delete("Email Queue Recipient", {"parent": ["in", some]})
		frappe.db.delete("Email Queue", {"name": ["in", some]})


def _delete_communications(names: list[str]) -> None:
	for some in _chunks(names):
		frappe.db.delete("Communication Link", {"parent": ["in", some]})
		frappe.db.delete("Communication", {"name": ["in", some]})


def _forget_in_runs(names: set[str]) -> None:
	"""Lines of runs that name the customer."""
	for name in names:
		like = _like(name)
		rows = frappe.db.sql(
			"SELECT `name`, `reached`, `summary`, `problems` FROM `tabReorder Run`"
			" WHERE `reached` = %(name)s OR `problems` LIKE %(like)s OR `summary` LIKE %(like)s",
			{"name": name, "like": like},
			as_dict=True,
		)
		for row in rows:
			lines = (row.problems or "").splitlines()
			kept = [line if name not in line else _("(erased)") for line in lines]
			frappe.db.set_value(
				"Reorder Run",
				row.name,
				{
					# A reading under way goes on after this customer: it needs the name until it is through.
					"reached": row.reached if row.reached != name else _before(name),
					"summary": (row.summary or "").replace(name, _("(erased)")) or None,
					"problems": "\n".join(kept) or None,
				},
				update_modified=False,
			)


def _before(name: str) -> str:
	"""A place in the order of names just before `name` that tells less: its first letter."""
	return name[:1]


def _forget_deleted(text: str) -> None:
	"""Copies that Frappe kept of our documents of this customer which were deleted earlier."""
	deleted = frappe.qb.DocType("Deleted Document")
	(
		frappe.qb.from_(deleted)
		.delete()
		.where(deleted.deleted_doctype.isin(OURS) & deleted.data.like(_like(text)))
	).run()


def _like(text: str) -> str:
	"""A pattern for LIKE that finds `text` anywhere, whatever signs it holds."""
	return "%" + text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") + "%"


def _chunks(values: list) -> list[list]:
	return [values[start : start + CHUNK] for start in range(0, len(values), CHUNK)]
