"""Which contacts and addresses a customer counts as its own, kept on each of them as a JSON text.

Frappe lets everybody create Contacts and Addresses and link them to any customer, so a link proves nothing. It
counts when somebody who may write the Customer, or stands for it by name, made it: made the contact or address with
that link, added the link later, or chose it as the customer's primary one. Besides the customer it is written down
what was vouched for, as hashes: addresses, numbers, login and billing mark of a contact, the content of an address. What others change
later counts no more than their links do. Rows of before the app was installed count by who made and who last
changed them; `take_up` writes that down.
"""

import hashlib
import json

import frappe
from frappe.utils import cint, now

from crm_recharge.people.named import named_customers

FIELD = "crm_recharge_vouched"
HAS_EMAILS = f"(p.`{FIELD}` IS NOT NULL AND JSON_LENGTH(p.`{FIELD}`, CONCAT('$.for.', JSON_QUOTE(c.`name`), '.emails')) > 0)"
"""SQL: Contact `p` has an address that counts for Customer `c`."""
PRIMARY = {"Contact": "customer_primary_contact", "Address": "customer_primary_address"}
CONTENT = (
	"address_line1",
	"address_line2",
	"city",
	"county",
	"state",
	"country",
	"pincode",
	"phone",
	"fax",
	"email_id",
	"tax_category",
)


# -- who may vouch -------------------------------------------------------------------------------------------


def may_vouch(user: str | None, customer: str) -> bool:
	"""Whether `user` may write `customer`, or is named by staff as one of its people."""
	if user == "Administrator":
		return True
	if not user or user == "Guest" or not frappe.db.exists("User", user):
		return False
	if not frappe.db.exists("Customer", customer):
		return False
	if customer in named_customers(user):
		return True
	return bool(frappe.has_permission("Customer", "write", doc=customer, user=user))


# -- written with every save (doc_events in hooks.py) ----------------------------------------------------------


def on_validate(doc, method=None) -> None:
	"""A Contact or Address is saved: keep what was vouched for, add what the one who saves it vouches for."""
	if not doc.meta.has_field(FIELD):
		return
	before = None if doc.is_new() else doc.get_doc_before_save()
	known = of(before) if before else {}
	linked_before = customers_in(before) if before else set()
	kept = {}
	for customer in customers_in(doc):
		vouches = may_vouch(frappe.session.user, customer)
		if customer in known:
			kept[customer] = _follow(known[customer], before, doc) if vouches else known[customer]
		elif vouches and customer not in linked_before:
			kept[customer] = _seen(doc)
	doc.set(FIELD, _as_text(doc, kept))


def on_customer_update(customer, method=None) -> None:
	"""Staff chose a contact or address as the customer's primary one: that vouches for it as it is now."""
	for doctype, field in PRIMARY.items():
		chosen = customer.get(field)
		if chosen and customer.has_value_changed(field) and may_vouch(frappe.session.user, customer.name):
			_vouch(doctype, chosen, customer.name)


def after_customer_rename(doc, method=None, old=None, new=None, merge=False) -> None:
	"""A customer has a new name, or has become part of another: what counted for it counts on."""
	for doctype in PRIMARY:
		for name in _all_of(doctype, new):
			party = frappe.get_doc(doctype, name)
			known = _stored(party)["for"] if party.get(FIELD) else {}
			if old in known:
				moved = known.pop(old)
				_write(party, {new: moved} | known)


def _vouch(doctype: str, name: str, customer: str) -> None:
	doc = frappe.get_doc(doctype, name)
	_write(doc, of(doc) | {customer: _seen(doc)})


def mark(text: str | None) -> str | None:
	"""What stands for an address, number or login: nothing of a person is kept that the contact does not hold."""
	text = (text or "").strip().lower()
	return hashlib.sha256(text.encode()).hexdigest()[:24] if text else None


def _seen(doc) -> dict:
	"""What whoever vouches now vouches for."""
	seen = {"by": frappe.session.user, "at": now()}
	return seen | (_person(doc) if doc.doctype == "Contact" else {"content": content_of(doc)})


def _person(doc) -> dict:
	return {
		"emails": _emails(doc),
		"phones": _phones(doc),
		"user": mark(doc.user),
		"billing": cint(doc.get("is_billing_contact")),
	}


def _follow(known: dict, before, doc) -> dict:
	"""`known` with what changed in this very save; what others changed before stays uncounted."""
	if doc.doctype == "Address":
		return known | ({"content": content_of(doc)} if content_of(before) != content_of(doc) else {})
	was, will = _person(before), _person(doc)
	changed = {key: will[key] for key in ("user", "billing") if will[key] != was[key]}
	return known | changed | {key: _added(known[key], was[key], will[key]) for key in ("emails", "phones")}


def _added(known: list, was: list, will: list) -> list:
	return [value for value in will if value in known or value not in was]


def _emails(doc) -> list[str]:
	found = [row.email_id for row in doc.email_ids] + [doc.email_id]
	return list(dict.fromkeys(mark(email) for email in found if email))


def _phones(doc) -> list[str]:
	found = [row.phone for row in doc.phone_nos] + [doc.phone, doc.mobile_no]
	return list(dict.fromkeys(mark(phone) for phone in found if phone))


def content_of(address) -> str:
	"""A hash of where an address leads."""
	values = [(address.get(field) or "").strip() for field in CONTENT]
	return hashlib.sha256(json.dumps(values).encode()).hexdigest()


# -- read ----------------------------------------------------------------------------------------------------


def of(doc) -> dict[str, dict]:
	"""Customer → what was vouched for, of a Contact or Address as it is stored."""
	chosen = {customer: _seen(doc) for customer in _primary_of(doc)}
	if doc.get(FIELD) is None:
		return _by_its_makers(doc) | chosen
	stored = _stored(doc)
	# Who chose it as the primary one may write the customer, also where that was past `on_customer_update`.
	return chosen | {customer: _renamed(seen, stored, doc) for customer, seen in stored["for"].items()}


def entry(doc, customer: str) -> dict | None:
	"""As `of`, for one customer; None where it does not count as that one's, or is not linked any more."""
	chosen = frappe.db.get_value("Customer", customer, PRIMARY[doc.doctype]) == doc.name
	if not chosen and customer not in _linked(doc):
		return None
	if doc.get(FIELD) is None:
		found = _by_its_makers(doc).get(customer)
	else:
		stored = _stored(doc)
		found = stored["for"].get(customer)
		found = found and _renamed(found, stored, doc)
	return found or (_seen(doc) if chosen else None)


def _stored(doc) -> dict:
	try:
		found = json.loads(doc.get(FIELD))
		return {"for": dict(found["for"]), "login": found["login"]}
	except (KeyError, TypeError, ValueError):
		return {"for": {}, "login": None}


def _renamed(seen: dict, stored: dict, doc) -> dict:
	"""A login that was renamed since is the same: that changes the contact past any save."""
	if doc.doctype == "Contact" and seen["user"] == stored["login"]:
		return seen | {"user": mark(doc.user)}
	return seen


def _by_its_makers(doc) -> dict[str, dict]:
	"""For one that was not saved since the app is there: who made it and who changed it last."""
	return {
		customer: _seen(doc) | {"by": doc.owner, "at": str(doc.modified)}
		for customer in _linked(doc)
		if all(may_vouch(user, customer) for user in {doc.owner, doc.modified_by})
	}


def customers_in(doc) -> set[str]:
	"""The customers a Contact or Address is linked to, and those whose primary one it is."""
	return _linked(doc) | _primary_of(doc)


def _linked(doc) -> set[str]:
	return {row.link_name for row in doc.links if row.link_doctype == "Customer" and row.link_name}


def _primary_of(doc) -> set[str]:
	if doc.is_new() or not doc.name:
		return set()
	return set(frappe.get_all("Customer", {PRIMARY[doc.doctype]: doc.name}, pluck="name", order_by=None))


def _all_of(doctype: str, customer: str) -> list[str]:
	"""Every Contact or Address that names `customer`, whoever made the link; oldest first."""
	linked = frappe.get_all(
		"Dynamic Link",
		{"link_doctype": "Customer", "link_name": customer, "parenttype": doctype},
		pluck="parent",
		distinct=True,
		order_by=None,
	)
	primary = frappe.db.get_value("Customer", customer, PRIMARY[doctype])
	names = {*linked, *([primary] if primary else [])}
	return frappe.get_all(doctype, {"name": ["in", [*names, ""]]}, pluck="name", order_by="creation, name")


def documents(doctype: str, customer: str) -> list[tuple]:
	"""(document, what was vouched for) of the contacts or addresses that `customer` counts as its own, oldest first."""
	found = []
	for name in _all_of(doctype, customer):
		doc = frappe.get_doc(doctype, name)
		seen = entry(doc, customer)
		if seen and (doctype == "Contact" or seen.get("content") == content_of(doc)):
			found.append((doc, seen))
	return found


def strangers(doctype: str, customer: str) -> list[str]:
	"""Contacts or addresses that name `customer` and do not count."""
	own = {doc.name for doc, _seen in documents(doctype, customer)}
	return [name for name in _all_of(doctype, customer) if name not in own]


# -- rows of before the app was installed ----------------------------------------------------------------------


def take_up() -> int:
	"""Write down for rows that were never saved since whether they count; at install and migration. Returns how many."""
	done = 0
	for doctype in PRIMARY:
		row, link = frappe.qb.DocType(doctype), frappe.qb.DocType("Dynamic Link")
		names = (
			frappe.qb.from_(row)
			.join(link)
			.on((link.parent == row.name) & (link.parenttype == doctype))
			.where((link.link_doctype == "Customer") & row[FIELD].isnull())
			.select(row.name)
			.distinct()
		).run(pluck=True)
		for name in names:
			doc = frappe.get_doc(doctype, name)
			_write(doc, of(doc))
		done += len(names)
	return done


def _as_text(doc, known: dict) -> str:
	return json.dumps({"for": known, "login": mark(doc.get("user"))})


def _write(doc, known: dict) -> None:
	frappe.db.set_value(doc.doctype, doc.name, FIELD, _as_text(doc, known), update_modified=False)
	frappe.clear_document_cache(doc.doctype, doc.name)
