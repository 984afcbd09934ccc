"""What the customer's page /credits shows of an account, and reads from its form. Who may see it is asked in portal.py."""

from decimal import Decimal
from html import unescape
from urllib.parse import urlencode

import frappe
from frappe import _
from frappe.utils import format_datetime, strip_html

from crm_recharge.accounting import mailing
from crm_recharge.api import desk
from crm_recharge.api import recharge as rest
from crm_recharge.credits import queries
from crm_recharge.credits.money import exact, money, number, number_format, sign_of, style_for, typed
from crm_recharge.domain.amounts import read
from crm_recharge.domain.inputs import Kind
from crm_recharge.domain.money import exponent, plain
from crm_recharge.domain.shown import written
from crm_recharge.doors.sight import may
from crm_recharge.people.named import owns
from crm_recharge.recharge import cards as card_room
from crm_recharge.recharge import threshold
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import DEFAULTS
from crm_recharge.recharge.links import confirm_link
from crm_recharge.recharge.reasons import held_words, status_words

LIMITS = dict.fromkeys((*rest.CAP_FIELDS, "anomaly_factor"), Kind.TYPED)
MONEY_FIELDS = ("falls_below", "recharge_up_to", "cap_amount_day", "cap_amount_month")


def reads(account: str, doctype: str) -> bool:
	"""Whether the caller, who may read `account`, may read its records of `doctype` as well."""
	return bool(owns(frappe.session.user, account)) or may(doctype)


def overview_of(account: str) -> dict:
	found = queries.balance(account)
	currency = found["currency"]
	pending = found["pending"]
	return {
		"account": account,
		"customer_name": frappe.db.get_value("Credit Account", account, "customer_name"),
		"status": found["status"],
		"currency": currency_of(currency),
		"balance": found["balance"],
		"balance_shown": money(found["balance"], currency),
		"pending": pending and pending | _pending(pending["recharge"], account),
		"auto_recharge": auto_recharge_of(account, currency),
		"cards": _cards(account),
		"add_credits": _add_credits(account, currency),
		"movements": [_movement(row, currency) for row in desk.movements_of(account)]
		if reads(account, "Credit Ledger")
		else [],
		"recharges": _recharges(account, currency) if reads(account, "Recharge") else [],
		"may_change": _may_change(account),
	}


def _pending(recharge: str, account: str) -> dict:
	"""What the page shows of the payment that is under way, besides its amount."""
	doc = frappe.get_doc("Recharge", recharge)
	return {
		"amount_shown": money(doc.amount, doc.currency),
		"automatic": doc.origin == "Automatic",
		"status_shown": status_words()[doc.status],
		"confirm": confirm_link_for(recharge, doc.status, account),
		"may_cancel": doc.may_cancel(),
	}


def _may_change(account: str) -> bool:
	return bool(owns(frappe.session.user, account)) or bool(
		may("Auto-Recharge Setting", "write") and may("Recharge", "create")
	)


def currency_of(currency: str) -> dict:
	"""How amounts of `currency` are written and typed on the page."""
	sign, on_right = sign_of(currency)
	return {
		"name": currency,
		"symbol": sign,
		"on_right": on_right,
		"format": number_format(currency),
		"decimals": exponent(currency),
	}


def auto_recharge_of(account: str, currency: str) -> dict:
	name = frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account})
	doc = (
		frappe.get_doc("Auto-Recharge Setting", name)
		if name
		else frappe.new_doc("Auto-Recharge Setting", currency=currency)
	)
	doc.set_defaults()
	held = held_because(account)
	values = {field: exact(doc.get(field)) for field in (*DEFAULTS, *LIMITS)}
	return {
		"exists": bool(name),
		"modified": str(doc.modified) if name else None,
		"enabled": bool(doc.enabled),
		**{field: plain(value) for field, value in values.items()},
		"typed": {field: _as_typed(field, value, currency) for field, value in values.items()},
		"cards": [row.card for row in doc.cards],
		"disabled_reason": None if doc.enabled else doc.disabled_reason,
		"disabled_at": format_datetime(doc.disabled_at) if doc.disabled_at else None,
		"held_because": held and held_words(held),
		"paused_because": doc.paused_because,
		"now": unescape(strip_html(threshold.explain(account, to_customer=True)["explanation"])),
	}


def held_because(account: str) -> str | None:
	"""What holds auto-recharge of `account`: the marks of refunds and disputes, or the account's own status."""
	held, status = frappe.db.get_value("Credit Account", account, ["held_because", "status"])
	return held or (status if status != "Active" else None)


def _as_typed(field: str, value, currency: str) -> str:
	"""A value as it stands in the form's field."""
	if field in MONEY_FIELDS:
		return number(value, currency)
	return written(value, 0, style_for(currency))


def _cards(account: str) -> list[dict]:
	today = card_room.today_of(account)
	return [
		{
			"name": card.name,
			"label": card.card_label,
			"expires": f"{card.exp_month:02d}/{card.exp_year % 100:02d}" if card.exp_month else "",
			"status": card.status,
			"usable": desk.usable(card, today),
		}
		for card in rest.cards_of(account)
	]


def _add_credits(account: str, currency: str) -> dict:
	form = desk.add_credits_form_of(account)
	return {
		"minimum_shown": money(form["minimum"], currency),
		"maximum_shown": money(form["maximum"], currency),
		"presets": [
			{"amount": amount, "shown": money(amount, currency)} for amount in form["preset_amounts"]
		],
		"cards": [card.name for card in form["cards"]],
		"cards_listed": form["cards_listed"],
	}


def _movement(row, currency: str) -> dict:
	"""`occurred`: when usage happened, where that was another minute than the one it was posted in."""
	when, occurred = format_datetime(row.posted_at), format_datetime(row.occurred_at)
	return {
		"when": when,
		"occurred": occurred if occurred != when else None,
		"type": _(row.entry_type),
		"category": row.category,
		"amount": money(row.amount, currency),
		"balance_after": money(row.balance_after, currency),
	}


def _recharges(account: str, currency: str) -> list[dict]:
	rows = desk.recharges_of(account)
	invoices = dict(
		frappe.get_all(
			"Recharge",
			{"name": ["in", [row.name for row in rows]], "sales_invoice": ["is", "set"]},
			["name", "sales_invoice"],
			as_list=True,
		)
	)
	return [
		{
			"name": row.name,
			"when": format_datetime(row.creation),
			"amount": money(row.amount, currency),
			"status": row.status,
			"status_shown": status_words()[row.status],
			"automatic": row.origin == "Automatic",
			"cards": row.cards,
			"payment": row.settled_intent,
			"reason": row.failure_reason,
			"invoice": _invoice_link(invoices.get(row.name)),
			"confirm": confirm_link_for(row.name, row.status, account),
		}
		for row in rows
	]


def _invoice_link(invoice: str | None) -> str | None:
	"""Where the invoice is downloaded, if the caller may: by Frappe's own rules for portal and desk."""
	if not invoice:
		return None
	doc = frappe.get_doc("Sales Invoice", invoice)
	if not frappe.has_permission("Sales Invoice", "print", doc) and not frappe.has_website_permission(doc):
		return None
	query = {"doctype": "Sales Invoice", "name": invoice, "format": mailing.print_format()}
	return f"/api/method/frappe.utils.print_format.download_pdf?{urlencode(query)}"


def confirm_link_for(recharge: str, status: str, account: str) -> str | None:
	"""The page where the card holder confirms a payment: for the owner alone."""
	return (
		confirm_link(recharge) if status == "Action Required" and owns(frappe.session.user, account) else None
	)


# -- the form ----------------------------------------------------------------------------------------------


def read_field(field: str, text, currency: str) -> Decimal:
	"""What was typed into a field of the form. Raises InvalidRequest."""
	label = labels()[field]
	if field in MONEY_FIELDS:
		return typed(text, currency, label)
	return read(text, style_for(currency), 0, label)


def labels() -> dict[str, str]:
	"""What the form's fields are called on the page."""
	return {
		"falls_below": _("When the balance falls to or below"),
		"recharge_up_to": _("Recharge up to"),
		"cap_amount_day": _("At most a day"),
		"cap_amount_month": _("At most a month"),
		"cap_count_hour": _("Recharges an hour, at most"),
		"cap_count_day": _("Recharges a day, at most"),
		"anomaly_factor": _("Pause when a day uses more than … times the usual"),
	}
