"""What the desk's forms show, each in one call. Amounts as text, in the account's currency.

Everything is read with the rights of who asks: what a person may not list is left out.
"""

from datetime import date
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import escape_html, format_datetime, get_url_to_form

from crm_recharge.api.recharge import cards_of
from crm_recharge.credits import queries
from crm_recharge.credits.money import as_text, exact, money
from crm_recharge.domain import payment
from crm_recharge.domain.cards import Card, why_unusable
from crm_recharge.domain.money import plain
from crm_recharge.domain.threshold import usual_amounts
from crm_recharge.doors.sight import check, check_account, may
from crm_recharge.gateway import registry
from crm_recharge.intake import intake
from crm_recharge.recharge import decisions, threshold
from crm_recharge.recharge.cards import today_of
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import NUMBERS
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import (
	charge_on_resume as what_resuming_charges,
)
from crm_recharge.recharge.limits import payment_limits
from crm_recharge.recharge.reasons import sentence

SHOWN = 10
"""Rows of the account form's lists."""

DECISIONS_SHOWN = 5

REFUNDABLE = ("Succeeded", "Partly Refunded")

FORM_FIELDS = ("enabled", *NUMBERS)
"""What a person sets in the form of an auto-recharge setting, besides its cards."""

MANAGERS = {"Credit Manager", "System Manager"}


# -- an account --------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["GET", "POST"])
@intake
def account_overview(account: str) -> dict:
	"""An account as its form shows it: balance, recharge under way, last movements and recharges, what
	auto-recharge would decide now, and what the caller may do. Errors: 403, 404."""
	check_account(account)
	found = queries.balance(account)
	row = frappe.db.get_value(
		"Credit Account", account, ["customer", "customer_name", "company", "status_reason"], as_dict=True
	)
	if pending := found["pending"]:
		pending["may_cancel"] = frappe.get_doc("Recharge", pending["recharge"]).may_cancel()
	return {
		**found,
		**row,
		"movements": movements_of(account) if may("Credit Ledger") else None,
		"recharges": recharges_of(account) if may("Recharge") else None,
		"auto_recharge": auto_recharge_of(account, found["currency"])
		if may("Auto-Recharge Setting")
		else None,
		"decisions": _decisions(account) if may("Recharge Decision") else None,
		"may": {
			"recharge": may("Recharge", "submit"),
			"set_auto_recharge": may("Auto-Recharge Setting", "write"),
			"adjust": bool(MANAGERS & set(frappe.get_roles())) and may("Credit Ledger", "create"),
		},
	}


def movements_of(account: str) -> list[dict]:
	"""The last movements, newest first; the caller has checked who asks. `occurred_at` of usage is when it happened."""
	rows = frappe.db.sql(
		"SELECT `name`, `posted_at`, `occurred_at`, `entry_type`, `category`, `user`, `note`, "
		f"{as_text('amount', 'balance_after')} FROM `tabCredit Ledger` WHERE `credit_account` = %s"
		" ORDER BY `sequence` DESC LIMIT %s",
		(account, SHOWN),
		as_dict=True,
	)
	for row in rows:
		row.update({field: plain(exact(row[field])) for field in ("amount", "balance_after")})
	return rows


def recharges_of(account: str) -> list[dict]:
	"""The last recharges, newest first; the caller has checked who asks."""
	rows = frappe.db.sql(
		"SELECT `name`, `creation`, `status`, `origin`, `settled_intent`, `failure_reason`, "
		f"{as_text('amount')} FROM `tabRecharge` WHERE `credit_account` = %s ORDER BY `creation` DESC LIMIT %s",
		(account, SHOWN),
		as_dict=True,
	)
	tried = _cards_tried([row.name for row in rows])
	for row in rows:
		row.amount = plain(exact(row.amount))
		row.cards = list(tried.get(row.name, ()))
	return rows


def _cards_tried(recharges: list[str]) -> dict[str, dict]:
	"""By recharge, the labels of its cards in the order they were tried, each once."""
	tried = {}
	for attempt in _attempts(recharges):
		tried.setdefault(attempt.recharge, {})[attempt.label] = True
	return tried


def _attempts(recharges: list[str]) -> list[dict]:
	if not recharges:
		return []
	attempts = frappe.get_all(
		"Recharge Attempt",
		{"recharge": ["in", recharges]},
		[
			"name",
			"recharge",
			"number",
			"card",
			"brand",
			"last4",
			"status",
			"code",
			"decline_class",
			"milliseconds",
			"created_at",
			"next_ask_at",
			"asks",
			"intent",
		],
		order_by="number",
	)
	labels = dict(
		frappe.get_all(
			"Recharge Card",
			{"name": ["in", [a.card for a in attempts]]},
			["name", "card_label"],
			as_list=True,
		)
	)
	for attempt in attempts:
		attempt.label = (
			labels.get(attempt.card) or f"{(attempt.brand or _('Card')).title()} •••• {attempt.last4}"
		)
		attempt.reason = sentence(attempt)
	return attempts


def _decisions(account: str) -> list[dict]:
	"""Why auto-recharge charged or did not, newest first; `explanation` is HTML."""
	return frappe.get_all(
		"Recharge Decision",
		{"credit_account": account},
		["name", "last_at", "times", "explanation", "recharge"],
		order_by="last_at desc",
		limit=DECISIONS_SHOWN,
	)


def auto_recharge_of(account: str, currency: str) -> dict:
	"""Auto-recharge in short, `explanation` as HTML; the caller has checked who asks."""
	setting = frappe.db.get_value(
		"Auto-Recharge Setting",
		{"credit_account": account},
		["name", "enabled", "disabled_reason", "paused_because"],
		as_dict=True,
	)
	held = frappe.db.get_value("Credit Account", account, "held_because")
	if not setting:
		return {
			"setting": None,
			"enabled": False,
			"held_because": held,
			"stopped_because": held,
			"explanation": _("Auto-recharge is not set up."),
		}
	explanation = _("Auto-recharge is switched off.")
	if setting.enabled:
		now = threshold.explain(account)
		explanation = now["explanation"]
	return {
		"setting": setting.name,
		"enabled": bool(setting.enabled),
		"disabled_reason": setting.disabled_reason,
		"held_because": held,
		"paused_because": setting.paused_because,
		"stopped_because": held or setting.paused_because,
		"explanation": explanation,
	}


@frappe.whitelist(methods=["POST"])
@intake
def ask_before_saving(account: str, setting: dict) -> dict:
	"""What a person has to be told before the auto-recharge setting of an account is saved as the form shows it (the
	document). Changes nothing.

	Returns `charge`: what saving would charge at once (amount, currency, balance, falls_below, card), or None; and
	`changed`: the setting as it is now, where it was changed since the form was filled, or None. Errors: 403, and
	422 for what the setting's rules refuse.
	"""
	check_account(account)
	name = frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account})
	frappe.has_permission("Auto-Recharge Setting", "write" if name else "create", doc=name, throw=True)
	doc = frappe.get_doc("Auto-Recharge Setting", name) if name else _new_setting(account)
	seen = setting.get("modified")
	if name and seen and str(seen) != str(doc.modified):
		return {"charge": None, "changed": _as_it_is(doc)}
	if name:
		doc.load_doc_before_save()
	doc.update({field: setting[field] for field in FORM_FIELDS if field in setting})
	rows = [row for row in setting.get("cards") or [] if isinstance(row, dict)]
	doc.set("cards", [{"card": row.get("card"), "idx": number} for number, row in enumerate(rows, 1)])
	# Told here, not refused.
	doc.flags.may_charge = True
	doc.validate()
	return {"charge": doc.charge_at_once(), "changed": None}


def _new_setting(account: str):
	doc = frappe.new_doc("Auto-Recharge Setting", credit_account=account)
	doc.currency = frappe.db.get_value("Credit Account", account, "currency")
	return doc


def _as_it_is(doc) -> dict:
	return {
		"modified": str(doc.modified),
		"enabled": int(doc.enabled),
		**{field: plain(exact(doc.get(field))) for field in FORM_FIELDS if field != "enabled"},
		"cards": [frappe.db.get_value("Recharge Card", row.card, "card_label") for row in doc.cards],
	}


@frappe.whitelist(methods=["POST"])
@intake
def charge_on_resume(account: str) -> dict:
	"""What resuming auto-recharge would charge at once: `charge`, as in `ask_before_saving`. Errors: 403."""
	check("Auto-Recharge Setting", "write")
	check_account(account)
	return {"charge": what_resuming_charges(account)}


@frappe.whitelist(methods=["GET", "POST"])
@intake
def add_credits_form(account: str) -> dict:
	"""What the *Add Credits* dialog offers: usual amounts, limits and the account's cards. Errors: 403, 404."""
	check("Recharge", "create")
	check_account(account)
	return add_credits_form_of(account)


def add_credits_form_of(account: str) -> dict:
	"""As `add_credits_form`; the caller has checked who asks."""
	row = queries.read_account(account)
	limits, today = payment_limits(row.currency), today_of(account)
	settings = frappe.get_cached_doc("CRM Recharge Settings")
	return {
		"account": account,
		"currency": row.currency,
		"balance": plain(exact(row.balance)),
		"minimum": plain(limits.minimum),
		"maximum": plain(limits.maximum),
		"preset_amounts": [
			plain(amount) for amount in usual_amounts(settings.presets(), row.currency, limits)
		],
		"cards": [card for card in cards_of(account) if usable(card, today)],
		"cards_listed": frappe.db.count("Auto-Recharge Card", {"parent": f"ARS-{account}"}),
		"open_recharge": row.open_recharge,
	}


def usable(card, today: date) -> bool:
	"""Whether a card, as `cards_of` gives it, can be charged on the day it is where its account is."""
	rule = Card(
		card.name, status=card.status, kind=card.kind, exp_month=card.exp_month, exp_year=card.exp_year
	)
	return why_unusable(rule, today) is None


# -- a recharge --------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["GET", "POST"])
@intake
def recharge_story(recharge: str) -> dict:
	"""What happened to a recharge, card by card, what it means and what can be done. Errors: 403, 404."""
	doc = frappe.get_doc("Recharge", recharge)
	doc.check_permission("read")
	attempts = _attempts([recharge])
	return {
		"status": doc.status,
		"attempts": attempts,
		"meaning": _meaning(doc, attempts),
		"started_because": _started_because(doc),
		"may_cancel": doc.may_cancel(),
		"payment_address": registry.payment_address(doc.credit_account, doc.settled_intent),
		"unused": plain(_unused(recharge)),
		"may_refund": doc.status in REFUNDABLE and bool(MANAGERS & set(frappe.get_roles())),
		"refunds": _money_back("Recharge Refund", recharge, "reason"),
		"disputes": _money_back("Recharge Dispute", recharge, "reason"),
	}


def _started_because(doc) -> str | None:
	"""In one sentence of HTML: what made an automatic recharge start."""
	if not doc.decision:
		return None
	return decisions.explain(doc.decision, frappe.parse_json(doc.decision_figures or "{}"), doc.currency)


def _unused(recharge: str) -> Decimal:
	"""What is left of the credits that a recharge bought."""
	left = frappe.db.sql(
		"SELECT CAST(SUM(`remaining`) AS CHAR) FROM `tabCredit Lot` WHERE `recharge` = %s", recharge
	)
	return exact(left[0][0])


def _money_back(doctype: str, recharge: str, *fields: str) -> list[dict]:
	if not may(doctype):
		return []
	rows = frappe.get_all(
		doctype, {"recharge": recharge}, ["name", "creation", "status", *fields], order_by="creation"
	)
	amounts = dict(
		# nosemgrep: frappe-sql-format-injection -- the caller names one of two DocTypes
		frappe.db.sql(
			f"SELECT `name`, CAST(`amount` AS CHAR) FROM `tab{doctype}` WHERE `recharge` = %s", recharge
		)
	)
	for row in rows:
		row.amount = plain(exact(amounts[row.name]))
	return rows


def _meaning(doc, attempts: list[dict]) -> str:
	"""One or two sentences, as HTML: where it stands, and what a person can do about it."""
	amount = money(doc.amount, doc.currency)
	waiting = next(
		(a for a in attempts if a.status in ("Created", "Unknown", "Refused") and a.next_ask_at), None
	)
	if doc.status == payment.QUEUED:
		return _(
			"The charge waits for a background worker. That takes seconds; if it lasts, the workers do not run."
		)
	if doc.status == payment.CHARGING and waiting and waiting.status == "Refused":
		return _(
			"The gateway refused the request itself: nothing was charged. It is tried again at {0}; mend the key or the customer's id at the gateway before."
		).format(format_datetime(waiting.next_ask_at))
	if doc.status == payment.CHARGING and waiting:
		return _(
			"The bank's answer is not known yet. The same payment is asked about again at {0}; no other card is charged meanwhile."
		).format(format_datetime(waiting.next_ask_at))
	if doc.status == payment.PROCESSING:
		return _(
			"The payment was accepted, and is decided by the bank in the next days. Credits come then; nothing else is charged meanwhile."
		)
	if doc.status == payment.CHARGING:
		return _("The card is being charged.")
	if doc.status == payment.SUCCEEDED:
		return _("{0} was paid and credited. The balance was {1} after it.").format(
			amount, money(doc.balance_after, doc.currency)
		)
	if doc.status == payment.ACTION_REQUIRED:
		return _(
			"The bank wants the card holder to confirm. Nothing has been charged; the account's owner has been told. Cancel this recharge to use another card."
		)
	if doc.status == payment.HELD:
		return _(
			"Money was captured, but the payment does not fit this recharge, so nothing has been credited and no other card is charged. Decide about it in {0}."
		).format(_difference_link(doc.name))
	if doc.status == payment.FAILED and doc.origin == "Automatic":
		return _(
			"No card could be charged, so auto-recharge was switched off. Mend the cards, then switch it on again in {0}."
		).format(_link("Auto-Recharge Setting", f"ARS-{doc.credit_account}"))
	if doc.status == payment.FAILED:
		return _("No card could be charged. Mend the cards or choose another one, then add credits again.")
	if doc.status == payment.CANCELLED:
		return _("It was cancelled. Nothing was charged.")
	paid = _("{0} was paid and credited.").format(amount)
	since = {
		"Partly Refunded": _("A part of it has been refunded since."),
		"Refunded": _("All of it has been refunded since."),
		"Disputed": _("The card holder disputes it: its unused credits are taken until that is decided."),
		"Charged Back": _("The dispute was lost: the money is gone."),
	}
	return f"{paid} {since[doc.status]}" if doc.status in since else ""


def _difference_link(recharge: str) -> str:
	found = frappe.get_all(
		"Gateway Difference", {"recharge": recharge, "status": "Open"}, pluck="name", limit=1
	)
	return _link("Gateway Difference", found[0]) if found else _("Gateway Difference")


def _link(doctype: str, name: str) -> str:
	return f'<a href="{get_url_to_form(doctype, name)}">{escape_html(name)}</a>'
