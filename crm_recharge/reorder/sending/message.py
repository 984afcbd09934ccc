"""The mail itself: what a template may use, the text, and its way into the Email Queue.

Nothing here commits. Message, offer, Communication and Email Queue row are of the caller's one transaction.
"""

import re
from contextlib import contextmanager
from datetime import datetime
from email.utils import formataddr, parseaddr

import frappe
from bs4 import BeautifulSoup
from frappe import _
from frappe.email.doctype.email_account.email_account import EmailAccount
from frappe.utils import cint, escape_html, flt, get_url, getdate, strip_html
from frappe.utils.data import quoted

from crm_recharge.credits.money import exact
from crm_recharge.doors.guard import new
from crm_recharge.reorder import words
from crm_recharge.reorder.answers import offers
from crm_recharge.reorder.consent.checkbox import SENSITIVE
from crm_recharge.setup import templates

TEMPLATE = "Reorder Reminder"
ENVELOPE = "reorder_reminder"
"""templates/emails/reorder_reminder.html and .txt: the rendered texts, as they are."""
ACTIONS = ("reorder", "later", "enough", "fewer", "stop")
SUBJECT_LENGTH = 140
TRACKER = "<!--email_open_check-->"
SEEN = "/api/method/frappe.core.doctype.communication.email.mark_email_as_seen?name="


class BrokenTemplateError(frappe.ValidationError):
	"""An Email Template that cannot be rendered. `template` names it."""

	def __init__(self, template: str, why: str):
		self.template = template
		super().__init__(_("Email Template {0} cannot be used: {1}").format(template, why))


class NotQueuedError(frappe.ValidationError):
	"""Frappe put no mail into the queue; the text says for whom."""


def draft(customer, dues: list, company: str | None, now: datetime):
	"""A Reorder Message, not inserted, with a row for each of `dues` (check.Due).

	Args:
		customer: name and customer_name.
		now: the moment of reminding, in the site's time zone.
	"""
	document = new(
		"Reorder Message",
		{
			"customer": customer.name,
			"customer_name": customer.customer_name,
			"company": company,
			"sent_at": now,
		},
	)
	facts = {
		row.name: row
		for row in frappe.get_all(
			"Item",
			{"name": ["in", [due.reminder.item_code for due in dues]]},
			["name", "item_name", "item_group", "stock_uom"],
			order_by=None,
		)
	}
	for due in dues:
		row = due.reminder
		item = facts.get(row.item_code) or frappe._dict()
		document.append(
			"items",
			{
				"reminder": row.name,
				"item_code": row.item_code,
				"item_name": item.item_name or row.item_name or row.item_code,
				"item_group": item.item_group or row.item_group,
				"cycle_key": due.key,
				"last_day": row.last_day,
				"days_since": (getdate(now) - getdate(row.last_day)).days,
				"last_quantity": flt(row.last_quantity),
				"uom": item.stock_uom,
				"next_from": row.next_from,
				"next_on": row.next_on,
				"next_to": row.next_to,
				"p_alive": row.p_alive,
				"rule": due.rule.name,
			},
		)
	return document


def offer_what_rules_say(message, ruling: list) -> None:
	"""Write onto each row what its rule offers, as far as this customer will be given it.

	Points only to whom they will be given, free shipping only where it will be sent free. A sample is of nobody: it
	shows what some customer gets.
	"""
	customer, company = message.customer, message.company
	in_program = not customer or offers.program_of(customer, company) is not None
	ships_free = (
		offers.ships_free_to(customer, company)
		if customer
		else offers.shipping_rule(company, None) is not None
	)
	for row, rule in zip(message.items, ruling, strict=True):
		row.update(
			{
				"discount_percent": float(rule.discount_percent),
				"free_shipping": int(rule.free_shipping and ships_free),
				"loyalty_bonus": rule.loyalty_bonus if in_program else 0,
			}
		)


def days_of_offer(message, ruling: list) -> int:
	"""For how many days the offer on the rows holds: the shortest of their rules; 0 without one."""
	days = [
		rule.offer_days
		for row, rule in zip(message.items, ruling, strict=True)
		if row.discount_percent or row.free_shipping
	]
	return min(days, default=0)


# -- what a template may use -------------------------------------------------------------------------------


def context_of(
	message,
	preference,
	settings,
	links: dict[str, str],
	sender_name: str | None = None,
	preview: bool = False,
) -> dict:
	"""What the Email Template may use, all of it plain text.

	Args:
		message: the Reorder Message with its items.
		preference: the contact's; None in a preview without one.
		links: an address for each of ACTIONS.
		sender_name: a rule's own; else Reorder Settings', else the company's.
		preview: nothing is sent.
	"""
	contact = frappe.db.get_value(
		"Contact", message.contact, ["first_name", "last_name", "full_name", "salutation"], as_dict=True
	) or frappe._dict(first_name="", last_name="", full_name="", salutation="")
	pictures = _pictures([row.item_code for row in message.items])
	items = [_item(row, pictures.get(row.item_code)) for row in message.items]
	discounts = [item for item in items if item["discount_percent"]]
	free_shipping = any(item["free_shipping"] for item in items)
	offer = None
	if discounts or free_shipping:
		offer = {
			"coupon_code": message.coupon_code or "",
			"ends": _day(message.offer_ends),
			"free_shipping": free_shipping,
			"discount": bool(discounts),
		}
	return {
		"name": contact.first_name or contact.full_name or message.customer_name or "",
		"contact": dict(contact),
		"customer_name": message.customer_name or "",
		"customer": message.customer or "",
		"company": message.company or "",
		"sender_name": sender_name or settings.sender_name or message.company or "",
		"what": _what([item["item_name"] for item in items]),
		"items": items,
		"offer": offer,
		"loyalty_bonus": sum(item["loyalty_bonus"] for item in items),
		"links": dict(links),
		"postal_address": (settings.postal_address or "").strip(),
		"opted_in_on": _day(preference.opted_in_at) if preference and preference.opted_in_at else "",
		"sensitive": is_sensitive(row.item_group for row in message.items),
		"preview": preview,
	}


def _day(day) -> str:
	"""A day in the site's format, as everywhere."""
	return words.day(day)


def _what(names: list[str]) -> str:
	"""The items in a few words, for a subject."""
	if len(names) < 3:
		return _("{0} and {1}").format(*names) if len(names) == 2 else "".join(names)
	return _("{0} and {1} more").format(names[0], len(names) - 1)


def _item(row, picture: str | None) -> dict:
	discount = exact(row.discount_percent)
	quantity = exact(row.last_quantity)
	return {
		"item_code": row.item_code,
		"item_name": row.item_name or row.item_code,
		"item_group": row.item_group or "",
		"image": picture or "",
		"initial": (row.item_name or row.item_code or "?").strip()[:1].upper(),
		"days_since": cint(row.days_since),
		"days_ago": _days_ago(cint(row.days_since)),
		"last_day": _day(row.last_day),
		"quantity": words.number(quantity) if quantity else "",
		"uom": words.unit(row.uom),
		"next_from": _day(row.next_from),
		"next_on": _day(row.next_on),
		"next_to": _day(row.next_to),
		"discount_percent": words.number(discount) if discount else "",
		"free_shipping": bool(row.free_shipping),
		"loyalty_bonus": cint(row.loyalty_bonus),
		"bonus": words.counted(cint(row.loyalty_bonus), _("1 bonus point"), _("{0} bonus points"))
		if row.loyalty_bonus
		else "",
	}


def _days_ago(days: int) -> str:
	"""How long ago that was, in words."""
	if days < 1:
		return _("today")
	return _("yesterday") if days == 1 else _("{0} ago").format(words.days(days))


def _pictures(codes: list[str]) -> dict[str, str]:
	"""The address of each item's picture, where anybody may see it without logging in."""
	rows = frappe.get_all("Item", {"name": ["in", codes]}, ["name", "image"], order_by=None)
	return {row.name: address for row in rows if (address := public_address(row.image))}


def public_address(image: str | None) -> str | None:
	"""The absolute address of a picture that needs no login; None for any other."""
	image = (image or "").strip()
	if image.startswith(("https://", "http://")):
		return image
	if image.startswith(("/files/", "/assets/")) and ".." not in image:
		return get_url(quoted(image))
	return None


def is_sensitive(item_groups) -> bool:
	"""Whether any of these groups, or a group above it, is marked sensitive."""
	groups = {group for group in item_groups if group}
	if not groups:
		return False
	group, above = frappe.qb.DocType("Item Group"), frappe.qb.DocType("Item Group").as_("above")
	return bool(
		frappe.qb.from_(group)
		.join(above)
		.on((above.lft <= group.lft) & (above.rgt >= group.rgt))
		.select(above.name)
		.where(group.name.isin(list(groups)) & (above[SENSITIVE] == 1))
		.limit(1)
		.run()
	)


# -- the text ----------------------------------------------------------------------------------------------


def render(template: str, context: dict, neutral_subject: str) -> tuple[str, str]:
	"""Subject and HTML by the Email Template. Raises BrokenTemplateError, and then nothing else has happened.

	What the context holds is escaped for the body: names of items and people are text, never markup.
	"""
	try:
		# An Email Template is written by who may write them on this site, and Frappe renders it in its sandbox.
		document = templates.get(template)
		subject = neutral_subject
		if not context["sensitive"]:
			# Text goes in, text comes out; nothing in a subject is markup.
			# nosemgrep: frappe-ssti -- as above
			subject = frappe.render_template(document.subject or "", dict(context))
		# nosemgrep: frappe-ssti -- as above
		body = frappe.render_template(document.response_ or "", _escaped(context))
	except Exception as error:
		frappe.clear_messages()
		why = strip_html(str(error)).strip().splitlines()
		raise BrokenTemplateError(template, why[-1][:300] if why else type(error).__name__) from error
	subject = " ".join((subject or "").split())[:SUBJECT_LENGTH]
	if not subject:
		raise BrokenTemplateError(template, _("its subject is empty"))
	if not strip_html(body or "").strip():
		raise BrokenTemplateError(template, _("its text is empty"))
	return subject, body


def plain_text(html: str) -> str:
	"""The text of a mail: what is shown, one block a line, links with their addresses."""
	page = BeautifulSoup(html, "html.parser")
	for tag in (
		page.find_all(style=_HIDDEN)
		+ page.find_all(attrs={"aria-hidden": "true"})
		+ page.find_all(["img", "style", "script", "head"])
	):
		tag.extract()
	for link in page.find_all("a", href=True):
		address = link["href"]
		link.replace_with(
			f"{link.get_text(' ', strip=True)}: {address}" if address.startswith("http") else link.get_text()
		)
	for tag in page.find_all(["br", *_BLOCKS]):
		tag.insert_before("\n")
		tag.insert_after("\n")
	lines = (" ".join(line.split()) for line in page.get_text().split("\n"))
	return "\n".join(line for line in lines if line and line != "·") + "\n"


_HIDDEN = re.compile(r"display:\s*none")
_BLOCKS = ("p", "div", "td", "th", "tr", "table", "li", "ul", "ol", "h1", "h2", "h3", "h4", "hr")


def _escaped(value):
	if isinstance(value, str):
		return escape_html(value)
	if isinstance(value, dict):
		return {key: _escaped(entry) for key, entry in value.items()}
	return [_escaped(entry) for entry in value] if isinstance(value, list) else value


def template_of(rules, settings) -> str:
	"""The Email Template of a message: the first rule's that names one, else Reorder Settings', else the app's."""
	return (
		next((rule.email_template for rule in rules if rule.email_template), None)
		or settings.email_template
		or TEMPLATE
	)


def language_of(customer, preference) -> str:
	"""The language of the contact's user, else the customer's, else the site's."""
	user = frappe.db.get_value("Contact", preference.contact, "user") if preference else None
	own = frappe.db.get_value("User", user, "language") if user else None
	return own or customer.language or frappe.db.get_single_value("System Settings", "language") or "en"


@contextmanager
def speaking(language: str):
	"""Render texts in `language`."""
	before = frappe.local.lang
	frappe.local.lang, frappe.local.jenv = language, None
	try:
		yield
	finally:
		frappe.local.lang, frappe.local.jenv = before, None


# -- who it is from ----------------------------------------------------------------------------------------


def sender_of(rules, settings, company: str | None) -> str:
	"""The From header: address and name of the first rule that has one, else Reorder Settings', else the site's.

	Raises frappe.OutgoingEmailError when no account can send.
	"""
	account = (
		next((rule.email_account for rule in rules if rule.email_account), None) or settings.email_account
	)
	sends = {"name": account, "enable_outgoing": 1, "awaiting_password": 0}
	address = account and frappe.db.get_value("Email Account", sends, "email_id")
	if not address:
		address = default_address()
	name = (
		next((rule.sender_name for rule in rules if rule.sender_name), None)
		or settings.sender_name
		or company
	)
	# Frappe takes a comma, quoted or encoded, for the end of an address.
	return formataddr((" ".join((name or "").replace(",", " ").split()), address)) if name else address


def default_address() -> str:
	"""The address of the site's default outgoing account. Raises frappe.OutgoingEmailError."""
	account = EmailAccount.find_outgoing(_raise_error=True)
	account = next(iter(account.values())) if isinstance(account, dict) else account
	if not account.email_id:
		# Frappe's stand-in for an account, where mails are muted.
		raise frappe.OutgoingEmailError
	return account.email_id


# -- into the queue ----------------------------------------------------------------------------------------


def queue(message, subject: str, body: str, record: str, sender: str, settings, one_click: str) -> None:
	"""Put the mail into the Email Queue and on the customer's timeline; both are noted on `message`.

	Args:
		message: the Reorder Message, inserted.
		subject, body: as rendered.
		record: the body without links that act: what the timeline shows to everybody who sees the customer.
		one_click: for `List-Unsubscribe`.

	Raises NotQueuedError.
	"""
	communication = _communication(message, subject, record, sender)
	if settings.track_opens:
		seen = get_url(SEEN + communication.name)
		body += f'<img src="{escape_html(seen)}" width="1" height="1" alt="" style="display:none">'
	queued = frappe.sendmail(
		recipients=[message.email],
		sender=sender,
		reply_to=settings.reply_to or None,
		subject=subject,
		# Of a table layout Frappe's own plain text makes Markdown tables.
		template=ENVELOPE,
		args={"html": body, "text": plain_text(body)},
		reference_doctype="Customer",
		reference_name=message.customer,
		communication=communication.name,
		add_unsubscribe_link=0,
		delayed=True,
	)
	if not queued:
		raise NotQueuedError(
			_(
				"Nothing was queued for {0}: the address is not valid, or has unsubscribed from all mail."
			).format(message.email)
		)
	frappe.db.set_value(
		"Email Queue", queued.name, "message", with_headers(queued.message, one_click), update_modified=False
	)
	frappe.db.set_value(
		"Communication", communication.name, "message_id", queued.message_id, update_modified=False
	)
	message.update({"email_queue": queued.name, "communication": communication.name})


def with_headers(mime: str, one_click: str) -> str:
	"""The queued mail with one-click unsubscribe (RFC 8058, RFC 2369), and without Frappe's own tracking picture.

	The lines are put on top as they are: Python's parser would fold a long address, and an address in a folded
	or encoded header is none. Frappe's place-holders stay where they are.
	"""
	if not one_click.startswith(("https://", "http://")) or re.search(r"[\s<>]", one_click):
		raise ValueError(f"not an address: {one_click}")
	newline = "\r\n" if "\r\n" in mime else "\n"
	headers = (
		f"List-Unsubscribe: <{one_click}>{newline}List-Unsubscribe-Post: List-Unsubscribe=One-Click{newline}"
	)
	return headers + _TRACKER.sub("", mime)


# Frappe puts a picture there when the account tracks mails, whatever Reorder Settings say; quoted-printable may
# have broken the line within.
_TRACKER = re.compile("(?:=\r?\n)?".join(re.escape(letter) for letter in TRACKER))


def _communication(message, subject: str, record: str, sender: str):
	communication = frappe.get_doc(
		{
			"doctype": "Communication",
			"communication_type": "Communication",
			"communication_medium": "Email",
			"sent_or_received": "Sent",
			"subject": subject,
			"content": record,
			"sender": parseaddr(sender)[1],
			"recipients": message.email,
			"reference_doctype": "Customer",
			"reference_name": message.customer,
			"email_status": "Open",
			"has_attachment": 0,
			"timeline_links": [{"link_doctype": "Contact", "link_name": message.contact}],
		}
	)
	return communication.insert(ignore_permissions=True)
