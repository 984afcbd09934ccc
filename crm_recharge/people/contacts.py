"""A customer's own contacts and addresses: those that count (see `vouching`), and what may be known of them."""

import frappe
from erpnext.accounts.party import complete_contact_details, get_address_tax_category, set_taxes
from frappe.utils import cint, nowdate, validate_email_address

from crm_recharge.people import vouching

CONTACT, ADDRESS = "Contact", "Address"
SHOWN_OF_CONTACT = (
	"contact_person",
	"contact_display",
	"contact_email",
	"contact_mobile",
	"contact_phone",
	"contact_designation",
	"contact_department",
)


# -- contacts --------------------------------------------------------------------------------------------------


def contacts_of(customer: str) -> list[str]:
	"""The contacts that count as the customer's own, oldest first."""
	return [doc.name for doc, _seen in vouching.documents(CONTACT, customer)]


def belongs(contact: str | None, customer: str | None) -> bool:
	"""Whether `contact` counts as one of `customer`'s own."""
	return _seen(contact, customer) is not None


def emails_of(contact: str | None, customer: str | None) -> list[str]:
	"""The valid addresses of a customer's contact that count, the primary one first; none of a stranger's."""
	seen = _seen(contact, customer)
	if seen is None:
		return []
	doc = frappe.get_doc(CONTACT, contact)
	rows = [row.email_id for row in sorted(doc.email_ids, key=lambda row: not row.is_primary)]
	valid = (text.strip() for text in (*rows, doc.email_id) if text and validate_email_address(text.strip()))
	return list(dict.fromkeys(email for email in valid if vouching.mark(email) in seen["emails"]))


def billing_emails(customer: str) -> list[str]:
	"""The primary addresses of the customer's billing contacts."""
	marked = [
		doc.name
		for doc, seen in vouching.documents(CONTACT, customer)
		if cint(doc.get("is_billing_contact")) and seen.get("billing")
	]
	return [emails[0] for contact in marked if (emails := emails_of(contact, customer))]


def contact_of(user: str, customer: str) -> str | None:
	"""The customer's contact that `user` is: by its login, else by the address of the user."""
	own = vouching.documents(CONTACT, customer)
	email = vouching.mark(frappe.db.get_value("User", user, "email") or user)
	by_login = [doc.name for doc, seen in own if doc.user == user and seen.get("user") == vouching.mark(user)]
	return next(iter(by_login + [doc.name for doc, seen in own if email in seen["emails"]]), None)


def customers_with_login(user: str) -> dict[str, str]:
	"""Customer → the contact of it whose login is `user`, as far as both count; the oldest first."""
	found = {}
	for name in frappe.get_all(CONTACT, {"user": user}, pluck="name", order_by="creation, name"):
		doc = frappe.get_doc(CONTACT, name)
		linked = vouching.customers_in(doc)
		for customer, seen in vouching.of(doc).items():
			if customer in linked and seen.get("user") == vouching.mark(user):
				found.setdefault(customer, name)
	return found


def contacts_with(email: str) -> dict[str, set[str]]:
	"""Contact → the customers for which the address `email` (or the login of that name) of it counts."""
	names = set(frappe.get_all("Contact Email", {"email_id": email, "parenttype": CONTACT}, pluck="parent"))
	names |= set(frappe.get_all(CONTACT, or_filters={"email_id": email, "user": email}, pluck="name"))
	found, mine = {}, vouching.mark(email)
	for name in sorted(names):
		doc = frappe.get_doc(CONTACT, name)
		linked = vouching.customers_in(doc)
		found[name] = {
			customer
			for customer, seen in vouching.of(doc).items()
			if customer in linked and mine in (*seen["emails"], seen.get("user"))
		}
	return found


def _seen(contact: str | None, customer: str | None) -> dict | None:
	if not (contact and customer and frappe.db.exists(CONTACT, contact)):
		return None
	return vouching.entry(frappe.get_doc(CONTACT, contact), customer)


# -- addresses, and both on a new document ---------------------------------------------------------------------


def addresses_of(customer: str) -> tuple[str | None, str | None]:
	"""(Address to bill, Address to ship to) of those that count, chosen as ERPNext does; None: no such."""
	own = [doc for doc, _seen in vouching.documents(ADDRESS, customer) if not cint(doc.disabled)]
	if not own:
		return None, None
	chosen = frappe.db.get_value("Customer", customer, "customer_primary_address")
	billing = min(own, key=lambda doc: (not cint(doc.is_primary_address), doc.name != chosen))
	marked = [doc for doc in own if cint(doc.is_shipping_address)]
	typed = [doc for doc in own if doc.address_type == "Shipping"]
	shipping = marked[0] if marked else typed[0] if len(typed) == 1 else None
	return billing.name, shipping.name if shipping else None


def put_on(document, customer: str, contact: str | None = None) -> None:
	"""Put the customer's own addresses and contact on a new sales document, before ERPNext fills in what it finds.

	Args:
		contact: the contact it is for, if one is known; else one of the customer's own.

	ERPNext takes whatever is linked to the customer. Where there are strangers' links and nothing of its own, the
	fields stay empty and taxes follow from the customer alone.
	"""
	billing, shipping = addresses_of(customer)
	strange = vouching.strangers(ADDRESS, customer)
	if strange and billing and not shipping:
		shipping = billing
	_put_addresses(document, billing, shipping, keep_empty=bool(strange))
	if strange and not billing:
		_put_taxes(document, customer)
	contact = contact if belongs(contact, customer) else next(iter(contacts_of(customer)), None)
	if contact or vouching.strangers(CONTACT, customer):
		document.update(_details(contact, customer))


def _details(contact: str | None, customer: str) -> dict:
	"""What a sales document shows of a contact, as far as it counts."""
	details = frappe._dict(contact_person=contact)
	complete_contact_details(details)
	phones = (_seen(contact, customer) or {}).get("phones", ())
	details.contact_email = next(iter(emails_of(contact, customer)), "")
	for field in ("contact_mobile", "contact_phone"):
		details[field] = details.get(field) if vouching.mark(details.get(field)) in phones else ""
	return {field: details.get(field) or "" for field in SHOWN_OF_CONTACT}


def _put_addresses(document, billing, shipping, keep_empty: bool) -> None:
	for field, shown, value in (
		("customer_address", "address_display", billing),
		("shipping_address_name", "shipping_address", shipping),
	):
		if value:
			document.set(field, value)
		elif keep_empty:
			# An empty text is not missing: ERPNext leaves it alone.
			document.update({field: "", shown: ""})


def _put_taxes(document, customer: str) -> None:
	row = frappe.db.get_value("Customer", customer, ["tax_category", "customer_group"], as_dict=True)
	document.tax_category = get_address_tax_category(row.tax_category)
	if not document.get("taxes_and_charges"):
		date = document.get("posting_date") or document.get("transaction_date") or nowdate()
		document.taxes_and_charges = (
			set_taxes(
				customer,
				"Customer",
				date,
				document.company,
				customer_group=row.customer_group,
				tax_category=document.tax_category,
			)
			or ""
		)
