"""Telling people: mails by Email Template and desk notifications, as rows of the same transaction.

A mail that cannot be queued (no outgoing account, say) never holds up the money: it leaves an Error Log, and
the desk notification stays.
"""

import frappe
from frappe import _
from frappe.utils import create_batch, escape_html, get_url, get_url_to_form

from crm_recharge.contention import is_contention
from crm_recharge.credits.doctype.credit_account.credit_account import addresses_in
from crm_recharge.credits.money import money
from crm_recharge.doors import records, sight
from crm_recharge.recharge import payment_mail
from crm_recharge.recharge.links import confirm_link
from crm_recharge.recharge.reasons import sentence
from crm_recharge.setup import templates

TEMPLATES = {
	"all_cards_failed": "Auto-Recharge Failed",
	"needs_action": "Recharge Needs Confirmation",
	"gateway_error": "Payment Gateway Error",
	"auto_recharge_stopped": "Auto-Recharge Stopped",
}
FOR_CUSTOMER = ("all_cards_failed", "needs_action")
AT_ONCE = 50
"""Recipients of one mail. Beyond a hundred Frappe would enqueue it on Redis, in the middle of a transaction."""


def send(kind: str, recharge: str, details: dict | None = None) -> None:
	"""Tell the right people of `kind` (a key of TEMPLATES) about `recharge`."""
	context = context_of(recharge) | {"details": details or {}}
	account = context["account"]
	people = owners(account) if kind in FOR_CUSTOMER else []
	staff_addresses = admin_addresses([account.name])
	addresses = customer_addresses(account) if kind in FOR_CUSTOMER else staff_addresses
	subject, message = _render(TEMPLATES[kind], context)
	_notify_desk(subject, message, recharge, {*people, *managers([account.name])})
	if not _mail(addresses, subject, message, recharge):
		_mail([a for a in staff_addresses if a not in addresses], subject, message, recharge)


def send_about_account(
	kind: str, account: str, details: dict | None = None, to_customer: dict | None = None
) -> None:
	"""Tell owner and managers of something that concerns an account, not one recharge. `to_customer`: the details
	in the customer's words, where those for staff are others."""
	doc = frappe.get_doc("Credit Account", account)
	staff, staff_addresses = set(managers([account])), admin_addresses([account])
	_tell_of_account(kind, doc, details or {}, staff, staff_addresses)
	addresses = [a for a in customer_addresses(doc) if a not in staff_addresses]
	_tell_of_account(kind, doc, to_customer or details or {}, {*owners(doc)} - staff, addresses)


def _tell_of_account(kind: str, doc, details: dict, people: set[str], addresses: list[str]) -> None:
	context = {
		"account": doc,
		"balance": money(doc.balance, doc.currency),
		"link": fix_link(doc),
		"details": details,
	}
	subject, message = _render(TEMPLATES[kind], context)
	_notify_desk(subject, message, doc.name, people, "Credit Account")
	_mail(addresses, subject, message, doc.name, "Credit Account")


def alert(subject: str, text: str, about: tuple[str, str], accounts: list[str] | None) -> None:
	"""Tell the company's own people, at once, of something that must not be, with the document (DocType and name) it is
	`about`. `accounts`: the credit accounts that the text tells of, as `managers` takes them."""
	message = f"<pre>{frappe.utils.escape_html(text[:5000])}</pre>"
	doctype, name = about
	_notify_desk(subject, message, name, set(managers(accounts)), doctype)
	_mail(admin_addresses(accounts), subject, message, name, doctype)


def needs_person(doctype: str, name: str, text: str) -> None:
	"""Tell the company's own people that a document waits for them: what is done about it by itself has ended."""
	of_account = records.OF_AN_ACCOUNT.get(doctype)
	account = of_account and frappe.db.get_value(doctype, name, of_account)
	accounts = [account] if account else None
	alert(_("{0} {1} needs a person").format(_(doctype), name), text, (doctype, name), accounts)


def _render(template: str, context: dict) -> tuple[str, str]:
	"""Subject and message by an Email Template; a template that is broken or gone is told instead of failing."""

	broken = _("Email Template {0} is broken").format(template)
	made = _guarded(lambda: templates.render(template, context), broken, "Email Template", template)
	return made or _without_template(template, context)


def _without_template(template: str, context: dict) -> tuple[str, str]:
	about = context.get("account") or context["doc"]
	text = _("This is about {0}. Email Template {1} is broken: the Error Log tells how.").format(
		about.name, template
	)
	link = context.get("link") or get_url_to_form(about.doctype, about.name)
	shown = escape_html(link)
	return _(template), f'<p>{escape_html(text)}</p><p><a href="{shown}">{shown}</a></p>'


def _mail(addresses: list[str], subject: str, message: str, name: str, doctype: str = "Recharge") -> bool:
	"""Queue a mail to `addresses`. Returns whether anybody gets it; who does not is in the Error Log."""
	reached = [_mail_some(part, subject, message, name, doctype) for part in create_batch(addresses, AT_ONCE)]
	return any(reached)


def _mail_some(addresses: list[str], subject: str, message: str, name: str, doctype: str) -> bool:
	title = _("Mail about {0} was not queued").format(name)
	reached = _guarded(
		lambda: payment_mail.queue(addresses, subject, message, doctype, name), title, doctype, name
	)
	# Frappe queues nothing where an address is not valid, and says nothing.
	left_out = set(addresses) - reached if reached is not None else ()
	if left_out:
		frappe.log_error(
			title=title,
			message=f"{subject}\n\nNot to {', '.join(sorted(left_out))}: look whether these addresses are valid.",
			reference_doctype=doctype,
			reference_name=name,
		)
	return bool(reached)


def _notify_desk(subject: str, message: str, name: str, users: set[str], doctype: str = "Recharge") -> None:
	for user in users:
		notification = frappe.get_doc(
			{
				"doctype": "Notification Log",
				"for_user": user,
				"type": "Alert",
				# The desk shows it as HTML.
				"subject": escape_html(subject[:140]),
				"email_content": message,
				"document_type": doctype,
				"document_name": name,
			}
		)
		title = _("Notification about {0} was not written").format(name)
		_guarded(lambda doc=notification: doc.insert(ignore_permissions=True), title, doctype, name)


def _guarded(function, title: str, doctype: str, name: str):
	"""What `function` returns, or None when it fails: then its writes are taken back and an Error Log tells why.

	What the database wants tried again is no failure of the notice, and has taken back more than that.
	"""
	frappe.db.savepoint("crm_recharge_notice")
	try:
		return function()
	except Exception as error:
		if is_contention(error):
			raise
		frappe.db.rollback(save_point="crm_recharge_notice")
		frappe.clear_messages()
		frappe.log_error(title=title, reference_doctype=doctype, reference_name=name)
		return None


# -- who ---------------------------------------------------------------------------------------------------


def owners(account) -> list[str]:
	"""Users who own `account`."""
	return [account.account_owner] if account.account_owner else []


def customer_addresses(account) -> list[str]:
	"""Addresses for mails to the customer: the owner, the alert recipients, else the customer's own."""
	found = [frappe.db.get_value("User", {"name": user, "enabled": 1}, "email") for user in owners(account)]
	found += addresses_in(account.alert_recipients)
	if not any(found):
		found = [frappe.db.get_value("Customer", account.customer, "email_id")]
	return list(dict.fromkeys(filter(None, found)))


def admin_addresses(accounts: list[str] | None) -> list[str]:
	"""Addresses for alerts to the company's own people: those of the settings, else those of `managers`."""
	named = addresses_in(frappe.db.get_single_value("CRM Recharge Settings", "admin_recipients"))
	if named:
		return named
	return [frappe.db.get_value("User", user, "email") for user in managers(accounts)]


def managers(accounts: list[str] | None) -> list[str]:
	"""Enabled users with the role Credit Manager, Administrator aside, who may see all of `accounts`; None: from whom no
	account is kept. Where managers are confined so that there is none, the System Managers who may."""
	found = _with_role("Credit Manager")
	return _who_may_see(accounts, found) or (
		_who_may_see(accounts, _with_role("System Manager")) if found else []
	)


def _with_role(role: str) -> list[str]:
	users = frappe.get_all("Has Role", {"role": role, "parenttype": "User"}, pluck="parent")
	named = set(users) - {"Administrator"}
	return frappe.get_all(
		"User", {"name": ["in", [*named, ""]], "enabled": 1, "user_type": "System User"}, pluck="name"
	)


def _who_may_see(accounts: list[str] | None, users: list[str]) -> list[str]:
	if accounts is None or not all(frappe.db.exists("Credit Account", account) for account in accounts):
		return [user for user in users if not sight.accounts(user)]
	return [user for user in users if all(sight.may_see_account(account, user) for account in accounts)]


# -- what --------------------------------------------------------------------------------------------------


def context_of(recharge: str) -> dict:
	"""What an Email Template may use: recharge, account, attempts (with a reason for people), link."""
	doc = frappe.get_doc("Recharge", recharge)
	account = frappe.get_doc("Credit Account", doc.credit_account)
	return {
		"doc": doc,
		"recharge": doc,
		"account": account,
		"amount": money(doc.amount, doc.currency),
		"balance": money(account.balance, account.currency),
		"attempts": attempts_of(recharge),
		"link": fix_link(account),
		"confirm_link": confirm_link(recharge),
	}


def attempts_of(recharge: str) -> list[dict]:
	"""The attempts in order, each with `reason`, a sentence for the card holder."""
	attempts = frappe.get_all(
		"Recharge Attempt",
		{"recharge": recharge},
		["number", "status", "brand", "last4", "code", "message", "decline_class", "card"],
		order_by="number",
	)
	for attempt in attempts:
		attempt.reason = sentence(attempt)
	return attempts


def failure_reason(recharge: str) -> str:
	"""One line: each card tried, with its last four digits and why it failed."""
	parts = [
		f"{(a.brand or _('Card')).title()} •••• {a.last4 or '????'}: {a.reason}"
		for a in attempts_of(recharge)
	]
	return "; ".join(parts) or _("No card is listed.")


def fix_link(account) -> str:
	"""Where the account's owner mends the cards: the desk for staff, else the portal."""
	setting = frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account.name})
	owner_type = (
		frappe.db.get_value("User", account.account_owner, "user_type") if account.account_owner else None
	)
	if owner_type == "System User" and setting:
		return get_url_to_form("Auto-Recharge Setting", setting)
	return get_url(f"/credits?account={account.name}")
