"""What the customer's page /credits asks: everything of one account, for the user who owns it.

Each method begins with `_owned`; the rules are those of the desk and of the REST API, in the rooms below. What they
refuse is told in a customer's words. Amounts come as text, and as `…_shown` or `…_typed` for people, in the account's
currency; they are taken as a person types them.
"""

from html import unescape
from urllib.parse import urlencode

import frappe
from frappe import _
from frappe.utils import cint, format_datetime, strip_html

from crm_recharge.api import desk
from crm_recharge.api import recharge as rest
from crm_recharge.credits import queries
from crm_recharge.credits.money import exact, money, number, number_format, sign_of, style_for, typed
from crm_recharge.domain.amounts import read
from crm_recharge.domain.errors import InvalidRequest, Outdated
from crm_recharge.domain.inputs import Amount, Flag, Id, Key, Kind, Names, Typed, fields
from crm_recharge.domain.money import exponent, plain
from crm_recharge.domain.shown import written
from crm_recharge.doors.sight import may
from crm_recharge.gateway.doctype.crm_recharge_settings import crm_recharge_settings as settings
from crm_recharge.intake import intake
from crm_recharge.people import named
from crm_recharge.people.named import owns
from crm_recharge.recharge import by_hand, calling_off, threshold
from crm_recharge.recharge import cards as card_room
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import (
	DEFAULTS,
	charge_on_resume,
	refuse_untold,
	resume,
)
from crm_recharge.recharge.for_customers import for_customers, text_of
from crm_recharge.recharge.links import confirm_link
from crm_recharge.recharge.reasons import held_words, status_words

LIMITS = dict.fromkeys((*rest.CAP_FIELDS, "anomaly_factor"), Kind.TYPED)
MONEY_FIELDS = ("falls_below", "recharge_up_to", "cap_amount_day", "cap_amount_month")
CARD_FORMS_AN_HOUR = 20
"""Card forms one user may open for an account: who tries out stolen cards wants many."""
HOUR = 3600


def _owned(account: str, doctype: str = "Credit Account", ptype: str = "read") -> str:
	"""The name of `account`, for its owner, or for staff who may do the same in the desk.

	Raises frappe.PermissionError (403), also for an account that does not exist: others learn nothing.
	"""
	# The name as it is stored: the database takes capital and small letters for the same.
	if name := owns(frappe.session.user, account):
		return name
	name = frappe.db.get_value("Credit Account", {"name": account or ""})
	if not name or not may(doctype, ptype):
		_refuse()
	if not frappe.has_permission("Credit Account", "read", doc=name):
		_refuse()
	return name


def _refuse():
	frappe.throw(
		_("This is not your credit account. Log in as its owner."),
		frappe.PermissionError,
		title=_("Not permitted"),
	)


def _owned_part(doctype: str, name: str, ptype: str = "read") -> str:
	"""The account of a card or recharge that the caller may deal with. Raises frappe.PermissionError."""
	found = frappe.db.get_value(doctype, {"name": name or ""}, ["name", "credit_account"])
	if not found:
		_refuse()
	_owned(found[1], doctype, ptype)
	return found[0]


def _own_cards(account: str, names: list) -> list[str]:
	"""`names`, if all are cards of `account`. Raises frappe.PermissionError, which tells nothing of the card."""
	own = set(frappe.get_all("Recharge Card", {"credit_account": account}, pluck="name"))
	if not all(isinstance(name, str) and name in own for name in names):
		_refuse()
	return names


def accounts_of(user: str) -> list[dict]:
	"""The credit accounts that `user` is one of the people of: name, customer_name, currency."""
	names = named.accounts_of(user)
	if not names:
		return []
	return frappe.get_all(
		"Credit Account",
		{"name": ["in", names]},
		["name", "customer_name", "currency", "company"],
		order_by="name",
	)


# -- what the page shows -----------------------------------------------------------------------------------


@frappe.whitelist(methods=["GET", "POST"])
@intake
def overview(account: str) -> dict:
	"""All the page shows of an account: balance, pending recharge, cards, auto-recharge, last movements and
	recharges.

	For its owner, and for staff who may read cards and auto-recharge settings; movements and recharges come as far as
	they may read those. Errors: 403.
	"""
	account = _owned(account)
	if not all(_reads(account, doctype) for doctype in ("Recharge Card", "Auto-Recharge Setting")):
		_refuse()
	return _overview(account)


def _reads(account: str, doctype: str) -> bool:
	"""Whether the caller, who may read `account`, may read its records of `doctype` as well."""
	return bool(owns(frappe.session.user, account)) or may(doctype)


def _overview(account: str) -> dict:
	found = queries.balance(account)
	currency = found["currency"]
	pending = found["pending"]
	return {
		"account": account,
		"customer_name": frappe.db.get_value("Credit Account", account, "customer_name"),
		"status": found["status"],
		"currency": _currency(currency),
		"balance": found["balance"],
		"balance_shown": money(found["balance"], currency),
		"pending": pending and pending | _pending(pending["recharge"], account),
		"auto_recharge": _auto_recharge(account, currency),
		"cards": _cards(account),
		"add_credits": _add_credits(account, currency),
		"movements": [_movement(row, currency) for row in desk.movements_of(account)]
		if _reads(account, "Credit Ledger")
		else [],
		"recharges": _recharges(account, currency) if _reads(account, "Recharge") else [],
		"may_change": _may_change(account),
	}


def _pending(recharge: str, account: str) -> dict:
	"""What the page shows of the payment that is under way, besides its amount."""
	doc = frappe.get_doc("Recharge", recharge)
	return {
		"amount_shown": money(doc.amount, doc.currency),
		"automatic": doc.origin == "Automatic",
		"status_shown": status_words()[doc.status],
		"confirm": _confirm_link(recharge, doc.status, account),
		"may_cancel": doc.may_cancel(),
	}


def _may_change(account: str) -> bool:
	return bool(owns(frappe.session.user, account)) or bool(
		may("Auto-Recharge Setting", "write") and may("Recharge", "create")
	)


def _currency(currency: str) -> dict:
	"""How amounts of `currency` are written and typed on the page."""
	sign, on_right = sign_of(currency)
	return {
		"name": currency,
		"symbol": sign,
		"on_right": on_right,
		"format": number_format(currency),
		"decimals": exponent(currency),
	}


def _auto_recharge(account: str, currency: str) -> dict:
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
			"confirm": _confirm_link(row.name, row.status, account),
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
	print_format = frappe.get_meta("Sales Invoice").default_print_format or "Recharge Invoice"
	query = {"doctype": "Sales Invoice", "name": invoice, "format": print_format}
	return f"/api/method/frappe.utils.print_format.download_pdf?{urlencode(query)}"


def _confirm_link(recharge: str, status: str, account: str) -> str | None:
	"""The page where the card holder confirms a payment: for the owner alone."""
	return (
		confirm_link(recharge) if status == "Action Required" and owns(frappe.session.user, account) else None
	)


# -- adding credits ----------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def start(account: str, amount: Typed, idempotency_key: Key, card: str | None = None) -> dict:
	"""Charge a saved card now; follow it with `status`. Returns recharge, status, amount.

	`amount` as it was typed. Errors: 403; 409 for a key used with other content; 422 for an amount outside the
	limits, no usable card, or another recharge that is still under way (`recharge_open`, with its name).
	"""
	account = _owned(account, "Recharge", "create")
	if card:
		_own_cards(account, [card])
	currency = frappe.db.get_value("Credit Account", account, "currency")
	amount = typed(amount, currency, _("Amount"))
	if amount <= 0:
		raise InvalidRequest("not_positive", what=_("Amount"), value=plain(amount))
	return by_hand.start(account, amount, idempotency_key, card or None, "Portal")


@frappe.whitelist(methods=["GET", "POST"])
@intake
@for_customers
def status(recharge: str) -> dict:
	"""How far a recharge has come, as the REST API tells it, with amounts for people. Errors: 403."""
	return _status(_owned_part("Recharge", recharge))


def _status(recharge: str) -> dict:
	doc = frappe.get_doc("Recharge", recharge)
	found = rest.status_of(doc)
	after = found["balance_after"]
	return found | {
		"automatic": doc.origin == "Automatic",
		"status_shown": status_words()[doc.status],
		"amount_shown": money(found["amount"], doc.currency),
		"balance_after_shown": money(after, doc.currency) if after is not None else None,
		"confirm": _confirm_link(doc.name, doc.status, doc.credit_account),
	}


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def cancel(recharge: str) -> dict:
	"""Cancel a payment that waits for its card holder, or for its turn; whoever was faster has paid. Returns `status`'s
	answer. Errors: 403; 422 for a payment that a card is asked for right now, or that has ended."""
	recharge = _owned_part("Recharge", recharge, "create")
	calling_off.call_off(recharge)
	return _status(recharge)


# -- auto-recharge -----------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def save_auto_recharge(
	account: str,
	enabled: Flag,
	falls_below: Typed,
	recharge_up_to: Typed,
	cards: Names,
	limits: dict | None = None,
	seen: str | None = None,
	charge: Amount | None = None,
) -> dict:
	"""Write the auto-recharge setting as the form shows it. Returns `overview`.

	Amounts as they were typed; `cards` in the order they are tried; `limits` an object of LIMITS, where empty is
	no limit; `seen` is the setting's `modified` when the form was filled; `charge` is what the person agreed to
	have charged at once. Errors: 403; 409 changed_meanwhile, with `now`, what it is now; 409 charge_not_agreed,
	with what saving would charge; 422 for what the setting's rules refuse.
	"""
	account = _owned(account, "Auto-Recharge Setting", "write")
	currency = frappe.db.get_value("Credit Account", account, "currency")
	listed, values = _own_cards(account, cards), fields(limits or {}, LIMITS)
	values = {field: "0" if value in (None, "") else value for field, value in values.items()}
	values |= {"falls_below": falls_below, "recharge_up_to": recharge_up_to}
	values = {field: plain(_read(field, value, currency)) for field, value in values.items()}
	doc = _locked_setting(account)
	if not doc.is_new() and seen and seen != str(doc.modified):
		raise Outdated("changed_meanwhile", now=_auto_recharge(account, currency))
	doc.update({"enabled": int(enabled), **values, "charge_agreed": charge})
	doc.set("cards", [{"card": card} for card in listed])
	doc.flags.ignore_permissions = doc.flags.asks_first = True
	doc.save()
	return _overview(account)


def _read(field: str, text, currency: str):
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


def _locked_setting(account: str):
	"""The account's setting, or a new one, under the account's lock."""
	doc = frappe.new_doc("Auto-Recharge Setting", credit_account=account)
	doc.lock_account()
	name = frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account}, for_update=True)
	return frappe.get_doc("Auto-Recharge Setting", name, for_update=True) if name else doc


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def resume_auto_recharge(account: str, charge: Amount | None = None) -> dict:
	"""End a pause: the owner has looked. A hold after a dispute is for the company's own people to lift (403).

	`charge` is what the person agreed to have charged at once. Errors: 403; 409 charge_not_agreed, with what
	resuming would charge.
	"""
	account = _owned(account, "Auto-Recharge Setting", "write")
	held = held_because(account)
	if held and not frappe.has_permission("Auto-Recharge Setting", "write"):
		frappe.throw(text_of("on_hold", {"because": held}), frappe.PermissionError, title=_("On hold"))
	if found := charge_on_resume(account):
		refuse_untold(charge, found)
	resume(account)
	return _overview(account)


# -- cards -------------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def begin_card(account: str) -> dict:
	"""What a browser needs for Stripe's own card form, and a SetupIntent for it: no number comes here.

	Returns publishable_key, script, custom_address, name, setup_intent, client_secret. Errors: 403, 422, 429.
	"""
	account = _owned(account, "Recharge Card", "create")
	_count_card_form(account)
	return rest.card_form_of(account) | card_room.start_setup(account)


def _count_card_form(account: str) -> None:
	"""One more form for this account and user. Raises frappe.RateLimitExceededError (429) beyond the limit.

	Counted by the names as they are stored, not as they were sent, and whatever address the visitor comes from.
	"""
	key = frappe.cache.make_key(f"crm_recharge:card_forms:{account}:{frappe.session.user}")
	frappe.cache.set(key, 0, ex=HOUR, nx=True)
	if frappe.cache.incr(key) > CARD_FORMS_AN_HOUR:
		frappe.throw(
			_("You have opened many card forms. Try again in an hour."), frappe.RateLimitExceededError
		)


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def finish_card(account: str, setup_intent: Id) -> dict:
	"""Save the card of a completed SetupIntent. Returns its Recharge Card. Errors: 403, 417."""
	account = _owned(account, "Recharge Card", "create")
	return {"card": card_room.finish_setup(account, setup_intent)}


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def save_card(account: str, payment_method: Id) -> dict:
	"""Save a payment method by its id, only where another address stands in for Stripe (tests). Errors: 403."""
	account = _owned(account, "Recharge Card", "create")
	if not settings.custom_address():
		frappe.throw(_("Enter the card in Stripe's form."), frappe.PermissionError)
	return {"card": card_room.save(account, payment_method)}


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def remove_card(card: str) -> dict:
	"""Take a card out of use, here and at Stripe. Errors: 403; 417 for the last card of an enabled setting."""
	card = _owned_part("Recharge Card", card, "write")
	card_room.remove(card)
	return {"card": card, "status": "Removed"}
