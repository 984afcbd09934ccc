"""Telling people of refunds and disputes: who hears of what. How it is told is in notices.py."""

from dataclasses import dataclass

import frappe
from frappe import _
from frappe.utils import get_url_to_form

from crm_recharge.credits.money import money
from crm_recharge.gateway import registry
from crm_recharge.recharge import notices


@dataclass(frozen=True)
class Notice:
	"""An Email Template, and whether the customer, the company's own people, or both get it."""

	template: str
	customer: bool = False
	company: bool = False


NOTICES = {
	"refund_done": Notice("Credits Refunded", customer=True),
	"refund_failed": Notice("Refund Failed", company=True),
	"refund_came_back": Notice("Refund Came Back", customer=True),
	"refund_undecided": Notice("Refund Undecided", company=True),
	"refunded_at_gateway": Notice("Refunded at the Payment Gateway", customer=True, company=True),
	"captured_for_nothing": Notice("Payment Captured Twice", company=True),
	"dispute_opened": Notice("Payment Disputed", customer=True),
	"dispute_alert": Notice("Payment Disputed: Answer It", company=True),
	"dispute_inquiry": Notice("Payment Questioned by the Bank", company=True),
	"dispute_won": Notice("Dispute Won", customer=True, company=True),
	"dispute_lost": Notice("Dispute Lost", customer=True, company=True),
	"fraud_warning": Notice("Early Fraud Warning", company=True),
}


def send(kind: str, details: dict) -> None:
	"""Tell of `kind` (a key of NOTICES); `details` names the refund or the dispute."""
	notice = NOTICES[kind]
	doctype = "Recharge Refund" if details.get("refund") else "Recharge Dispute"
	doc = frappe.get_doc(doctype, details.get("refund") or details.get("dispute"))
	context = context_of(doc) | {"details": details}
	account = context["account"]
	subject, message = notices._render(notice.template, context)
	people, addresses = set(), []
	if notice.customer and account:
		people.update(notices.owners(account))
		addresses += notices.customer_addresses(account)
	if notice.company or not addresses:
		accounts = [account.name] if account else None
		people.update(notices.managers(accounts))
		addresses += notices.admin_addresses(accounts)
	if requester := doc.get("requested_by"):
		people.add(requester)
		if notice.company:
			addresses.append(frappe.db.get_value("User", requester, "email"))
	notices._notify_desk(subject, message, doc.name, people - {"Administrator", "Guest"}, doctype)
	notices._mail([*dict.fromkeys(filter(None, addresses))], subject, message, doc.name, doctype)


def context_of(doc) -> dict:
	"""What these Email Templates may use: doc (the refund or dispute), recharge, account, amount, taken, balance,
	debt (None when there is none), card, reason, held (why auto-recharge is on hold), link, payment_page,
	desk_link."""
	account = frappe.get_doc("Credit Account", doc.credit_account) if doc.credit_account else None
	recharge = frappe.get_doc("Recharge", doc.recharge) if doc.recharge else None
	currency = account.currency if account else doc.currency
	return {
		"doc": doc,
		"recharge": recharge,
		"account": account,
		"amount": money(doc.amount, doc.currency),
		"taken": money(doc.taken, currency),
		"balance": money(account.balance, currency) if account else "",
		"debt": money(-account.balance, currency) if account and account.balance < 0 else None,
		"held": account.held_because if account else None,
		"card": _card(recharge),
		"reason": (doc.reason or "–").replace("_", " "),
		"link": notices.fix_link(account) if account else get_url_to_form(doc.doctype, doc.name),
		"desk_link": get_url_to_form(doc.doctype, doc.name),
		"payment_page": registry.payment_address(doc.credit_account, doc.intent),
	}


def _card(recharge) -> str:
	"""The card that paid, for people: brand and last four digits."""
	if not recharge:
		return ""
	paid = frappe.db.get_value(
		"Recharge Attempt",
		{"recharge": recharge.name, "status": "Succeeded"},
		["brand", "last4"],
		as_dict=True,
	)
	return f"{(paid.brand or _('Card')).title()} •••• {paid.last4 or '????'}" if paid else _("the card")
