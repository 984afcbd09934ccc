"""The invoice by mail: made after the books are written, in a transaction of its own, once.

The PDF is rendered before anything is locked. Then, under the lock of the Recharge row, the mail goes into the
Email Queue and `invoice_mailed_at` is set, in one commit: twice is once. A failure leaves the invoice as it is.
"""

import base64
import mimetypes
import os
from urllib.parse import unquote, urlparse

import frappe
from bs4 import BeautifulSoup
from frappe import _
from frappe.utils import (
	cint,
	format_date,
	get_url,
	now_datetime,
	split_emails,
	validate_email_address,
)

from crm_recharge import transactions
from crm_recharge.accounting.errors import AccountingError
from crm_recharge.accounting.rows import DONE, explain, read
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.money import money
from crm_recharge.outbox.attempt import attempt
from crm_recharge.people import contacts
from crm_recharge.recharge import payment_mail
from crm_recharge.setup import templates

TEMPLATE = "Recharge Invoice"

PRINT_FORMAT = "Recharge Invoice"

MAIL_INVOICE = "mail_invoice"


def mail_invoice(recharge: str) -> bool:
	"""Queue the invoice of an accounted recharge as a PDF, unless that has been done. Whether it was queued now.

	Owns its transactions. A failure is written on the Recharge and tried again by the sweeper.
	"""
	frappe.db.rollback()
	return attempt(MAIL_INVOICE, recharge, _mail) or False


@retry_on_contention
def _mail(recharge: str) -> bool:
	row = read(recharge)
	if row.accounting_status != DONE or not row.sales_invoice or row.invoice_mailed_at:
		return False
	if not cint(frappe.db.get_single_value("CRM Recharge Settings", "mail_invoices")):
		frappe.db.set_value("Recharge", recharge, "accounting_next_try_at", None)
		transactions.commit()
		return False
	invoice = frappe.get_doc("Sales Invoice", row.sales_invoice)
	recipients = recipients_or_refuse(row)
	subject, message = _render(row, invoice)
	pdf = make_pdf(invoice)
	frappe.db.rollback()

	row = read(recharge, lock=True)
	if row.accounting_status != DONE or row.sales_invoice != invoice.name or row.invoice_mailed_at:
		frappe.db.rollback()
		return False
	queue(invoice, recipients, subject, message, pdf)
	frappe.db.set_value(
		"Recharge",
		recharge,
		{
			"invoice_mailed_at": now_datetime(),
			"accounting_error": None,
			"accounting_tries": 0,
			"accounting_next_try_at": None,
		},
	)
	transactions.commit()
	return True


def recipients_or_refuse(row) -> list[str]:
	"""`recipients_of` the row's credit account and customer. Raises AccountingError where there is none."""
	recipients = recipients_of(row.credit_account, row.customer)
	if not recipients:
		raise AccountingError(
			_(
				"No e-mail address: give {0} an Account Owner, or {1} a billing contact with an address."
			).format(row.credit_account, row.customer)
		)
	return recipients


def queue(invoice, recipients: list[str], subject: str, message: str, pdf: dict) -> None:
	"""Put a mail about `invoice` into the Email Queue, in the open transaction.

	Raises AccountingError when Frappe queued nothing: it drops addresses that are not valid without a word.
	"""
	if not payment_mail.queue(recipients, subject, message, "Sales Invoice", invoice.name, [pdf]):
		raise AccountingError(
			_("Nothing was queued for {0}: look whether these addresses are valid.").format(
				", ".join(recipients)
			)
		)


def make_pdf(invoice) -> dict:
	"""The print of `invoice` in the customer's language, as an attachment (fname, fcontent).

	In the print format of `print_format`.

	wkhtmltopdf fetches style sheets and images from the site's own address, which a worker may not reach; and
	then it fails. So they are put into the page first.
	"""
	language = frappe.db.get_value("Customer", invoice.customer, "language") or frappe.local.lang
	before = frappe.local.lang
	try:
		frappe.local.lang, frappe.local.jenv = language, None
		html = frappe.get_print("Sales Invoice", invoice.name, print_format(), doc=invoice)
	finally:
		frappe.local.lang, frappe.local.jenv = before, None
	return frappe.attach_print(
		"Sales Invoice", invoice.name, doc=invoice, html=self_contained(html), lang=language
	)


def print_format() -> str:
	"""The site's default print format for Sales Invoice if somebody has chosen one, else this app's.

	What ERPNext 16 sets for every site when it is installed is nobody's choice.
	"""
	chosen = frappe.get_meta("Sales Invoice").default_print_format
	return PRINT_FORMAT if not chosen or _set_by_erpnext(chosen) else chosen


def _set_by_erpnext(chosen: str) -> bool:
	setter = {"doc_type": "Sales Invoice", "property": "default_print_format", "is_system_generated": 1}
	module = frappe.db.get_value("Print Format", {"name": chosen, "standard": "Yes"}, "module")
	return bool(
		module
		and frappe.db.get_value("Module Def", module, "app_name") == "erpnext"
		and frappe.db.exists("Property Setter", setter)
	)


def self_contained(html: str) -> str:
	"""`html` with its style sheets and images from this site in place of links to them."""
	page = BeautifulSoup(html, "html5lib")
	# As data, not as <style>: Frappe parses every <style> with cssutils, seconds for its own print style.
	for tag, attribute in [
		*((link, "href") for link in page.find_all("link", rel="stylesheet", href=True)),
		*((image, "src") for image in page.find_all("img", src=True)),
	]:
		if (content := _local_file(tag[attribute])) is not None:
			kind = mimetypes.guess_type(urlparse(tag[attribute]).path)[0] or "application/octet-stream"
			tag[attribute] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
	return str(page)


def _local_file(url: str) -> bytes | None:
	"""What this site serves under `url`; None for another site's, and for what is not there."""
	parts, own = urlparse(url), urlparse(get_url())
	if parts.scheme == "data" or (parts.netloc and parts.netloc != own.netloc):
		return None
	path = unquote(parts.path)
	if path.startswith("/assets/"):
		base = os.path.realpath(os.path.join(frappe.local.sites_path, "assets"))
		# Below assets each app is a symbolic link to its public folder: compare before links are followed.
		file = os.path.normpath(os.path.join(base, path.removeprefix("/assets/")))
	elif path.startswith("/files/"):
		base = os.path.realpath(frappe.get_site_path("public", "files"))
		file = os.path.realpath(os.path.join(base, path.removeprefix("/files/")))
	elif path.startswith("/private/files/"):
		base = os.path.realpath(frappe.get_site_path("private", "files"))
		file = os.path.realpath(os.path.join(base, path.removeprefix("/private/files/")))
	else:
		return None
	if not file.startswith(base + os.sep) or not os.path.isfile(file):
		return None
	with open(file, "rb") as opened:
		return opened.read()


def recipients_of(credit_account: str, customer: str) -> list[str]:
	"""Addresses of the account owner and the customer's billing contacts; failing these, the customer's own."""
	found = []
	owner = frappe.db.get_value("Credit Account", credit_account, "account_owner")
	if owner:
		user = frappe.db.get_value("User", owner, ["email", "enabled"], as_dict=True)
		if user and user.enabled:
			found.append(user.email)
	found += contacts.billing_emails(customer)
	if not any(found):
		found += _customers_own(customer)
	addresses = {}
	for text in found:
		for address in split_emails(text or ""):
			if validate_email_address(address):
				addresses.setdefault(address.lower(), address)
	return list(addresses.values())


def _customers_own(customer: str) -> list[str]:
	row = frappe.db.get_value("Customer", customer, ["customer_primary_contact", "email_id"], as_dict=True)
	if not row:
		return []
	return [*contacts.emails_of(row.customer_primary_contact, customer)[:1], row.email_id]


def _render(row, invoice) -> tuple[str, str]:
	# One that was missing is there from now on.
	templates.get(TEMPLATE)
	transactions.commit()
	context = {
		"invoice": invoice.as_dict(),
		"recharge": row,
		"customer_name": invoice.customer_name,
		"company": invoice.company,
		"amount": money(invoice.grand_total, invoice.currency),
		"date": format_date(invoice.posting_date),
	}
	return templates.render(TEMPLATE, context)


def say(error: Exception, trace: str, log: str | None, again: bool) -> dict[str, str]:
	"""What the recharge keeps of a failure of its mail."""
	return {"accounting_error": _("The invoice could not be mailed.") + " " + explain(error, log, again)}
