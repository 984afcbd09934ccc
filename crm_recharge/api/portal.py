"""What the customer's page /credits asks: everything of one account, for the user who owns it.

Each method begins with `_owned`; the rules are those of the desk and of the REST API, in the rooms below. What they
refuse is told in a customer's words. Amounts come as text, and as `…_shown` or `…_typed` for people, in the account's
currency; they are taken as a person types them.
"""

import frappe
from frappe import _

from crm_recharge.api import portal_view
from crm_recharge.api import recharge as rest
from crm_recharge.credits.money import money, typed
from crm_recharge.domain.errors import InvalidRequest, Outdated
from crm_recharge.domain.inputs import Amount, Flag, Id, Key, Names, Typed, fields
from crm_recharge.domain.money import plain
from crm_recharge.doors.sight import may
from crm_recharge.gateway import registry
from crm_recharge.intake import intake
from crm_recharge.people import named
from crm_recharge.people.named import owns
from crm_recharge.recharge import by_hand, calling_off
from crm_recharge.recharge import cards as card_room
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import (
	charge_on_resume,
	refuse_untold,
	resume,
)
from crm_recharge.recharge.for_customers import for_customers, text_of
from crm_recharge.recharge.reasons import status_words

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
	if not all(portal_view.reads(account, doctype) for doctype in ("Recharge Card", "Auto-Recharge Setting")):
		_refuse()
	return portal_view.overview_of(account)


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
		"confirm": portal_view.confirm_link_for(doc.name, doc.status, doc.credit_account),
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
	listed, values = _own_cards(account, cards), fields(limits or {}, portal_view.LIMITS)
	values = {field: "0" if value in (None, "") else value for field, value in values.items()}
	values |= {"falls_below": falls_below, "recharge_up_to": recharge_up_to}
	values = {field: plain(portal_view.read_field(field, value, currency)) for field, value in values.items()}
	doc = _locked_setting(account)
	if not doc.is_new() and seen and seen != str(doc.modified):
		raise Outdated("changed_meanwhile", now=portal_view.auto_recharge_of(account, currency))
	doc.update({"enabled": int(enabled), **values, "charge_agreed": charge})
	doc.set("cards", [{"card": card} for card in listed])
	doc.flags.ignore_permissions = doc.flags.asks_first = True
	doc.save()
	return portal_view.overview_of(account)


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
	held = portal_view.held_because(account)
	if held and not may("Auto-Recharge Setting", "write"):
		frappe.throw(text_of("on_hold", {"because": held}), frappe.PermissionError, title=_("On hold"))
	if found := charge_on_resume(account):
		refuse_untold(charge, found)
	resume(account)
	return portal_view.overview_of(account)


# -- cards -------------------------------------------------------------------------------------------------


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def begin_card(account: str) -> dict:
	"""What a browser needs for the gateway's own card form, and a set-up for it: no number comes here.

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
	# make_key has put the site before the key.
	# nosemgrep: frappe-cache-breaks-multitenancy -- the key is the site's
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
	"""Save a payment method by its id, only where another address stands in for the gateway (tests). Errors: 403."""
	account = _owned(account, "Recharge Card", "create")
	if not registry.adapter(registry.of_account(account)).for_browser()["custom_address"]:
		frappe.throw(_("Enter the card in the form."), frappe.PermissionError)
	return {"card": card_room.save(account, payment_method)}


@frappe.whitelist(methods=["POST"])
@intake
@for_customers
def remove_card(card: str) -> dict:
	"""Take a card out of use, here and at the gateway. Errors: 403; 417 for the last card of an enabled setting."""
	card = _owned_part("Recharge Card", card, "write")
	card_room.remove(card)
	return {"card": card, "status": "Removed"}
