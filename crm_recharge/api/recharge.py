"""Recharging over REST: start one by hand, follow it, save and remove cards, auto-recharge settings."""

import frappe
from frappe import _
from frappe.rate_limiter import rate_limit

from crm_recharge.credits.errors import raise_for_people
from crm_recharge.credits.money import exact
from crm_recharge.domain.errors import InvalidRequest, Outdated
from crm_recharge.domain.inputs import Amount, Flag, Id, Key, Kind, Names, fields
from crm_recharge.domain.money import plain
from crm_recharge.doors import sight
from crm_recharge.gateway import registry
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.intake import intake
from crm_recharge.recharge import by_hand, calling_off, cards, confirm, differences, refunds, threshold
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import (
	charge_on_resume,
	refuse_untold,
)
from crm_recharge.recharge.doctype.auto_recharge_setting.auto_recharge_setting import resume as resume_setting
from crm_recharge.recharge.for_customers import for_customers
from crm_recharge.recharge.notices import attempts_of

CAP_FIELDS = {
	"cap_amount_day": Kind.AMOUNT,
	"cap_amount_month": Kind.AMOUNT,
	"cap_count_hour": Kind.WHOLE,
	"cap_count_day": Kind.WHOLE,
}


def _check(account: str, doctype: str, ptype: str) -> None:
	sight.check(doctype, ptype)
	sight.check_account(account)


@frappe.whitelist(methods=["POST"])
@intake
def start(
	account: str,
	amount: Amount | None = None,
	idempotency_key: Key | None = None,
	card: str | None = None,
) -> dict:
	"""Charge a saved card now and credit it once it is paid. Returns recharge, status, amount.

	The payment is made in the background: follow it with `status`. Errors: 409 for a key used with other
	content, 422 for an amount outside the limits, no card, or a recharge that is still under way.
	"""
	_check(account, "Recharge", "create")
	roles = frappe.get_roles()
	origin = "API" if "Credit API" in roles and "Credit Manager" not in roles else "Desk"
	return by_hand.start(account, amount, idempotency_key, card, origin)


@frappe.whitelist(methods=["GET", "POST"])
@intake
def status(recharge: str) -> dict:
	"""How far a recharge has come: status, amount, new balance, payment id, attempts with reasons."""
	doc = frappe.get_doc("Recharge", recharge)
	doc.check_permission("read")
	return status_of(doc)


@frappe.whitelist(methods=["POST"])
@intake
def cancel(recharge: str) -> dict:
	"""Cancel a payment that waits for its card holder, or for its turn. Returns `status`'s answer.

	For who may start one. The account is free at once. A card holder who was faster has paid: the status says so.
	Errors: 422 for a payment that a card is asked for right now, or that has ended.
	"""
	doc = frappe.get_doc("Recharge", recharge)
	doc.check_permission("read")
	_check(doc.credit_account, "Recharge", "create")
	calling_off.call_off(doc.name)
	return status_of(doc.reload())


def status_of(doc) -> dict:
	"""How far the Recharge `doc` has come; the caller has checked who asks."""
	money = frappe.db.sql(
		"SELECT CAST(r.`amount` AS CHAR), CAST(a.`balance` AS CHAR), CAST(r.`balance_after` AS CHAR)"
		" FROM `tabRecharge` r JOIN `tabCredit Account` a ON a.`name` = r.`credit_account` WHERE r.`name` = %s",
		doc.name,
	)[0]
	return {
		"recharge": doc.name,
		"account": doc.credit_account,
		"status": doc.status,
		"ended": doc.status not in ("Draft", "Queued", "Charging", "Processing"),
		"amount": plain(exact(money[0])),
		"currency": doc.currency,
		"balance": plain(exact(money[1])),
		"balance_after": plain(exact(money[2])) if doc.settled_intent else None,
		"payment": doc.settled_intent,
		"failure_reason": doc.failure_reason,
		"attempts": [
			{key: attempt[key] for key in ("number", "status", "brand", "last4", "reason")}
			for attempt in attempts_of(doc.name)
		],
	}


@frappe.whitelist(methods=["GET", "POST"])
@intake
def saved_cards(account: str) -> list[dict]:
	"""The account's saved cards, those of the auto-recharge setting first and in its order."""
	_check(account, "Recharge Card", "read")
	return cards_of(account)


def cards_of(account: str) -> list[dict]:
	"""As `saved_cards`; the caller has checked who asks."""
	listed = frappe.get_all(
		"Auto-Recharge Card",
		{"parent": f"ARS-{account}"},
		pluck="card",
		order_by="idx",
		ignore_permissions=True,
	)
	found = frappe.get_all(
		"Recharge Card",
		{"credit_account": account, "status": ["!=", "Removed"]},
		["name", "card_label", "brand", "last4", "exp_month", "exp_year", "kind", "status"],
		order_by="creation",
	)
	return sorted(found, key=lambda c: listed.index(c.name) if c.name in listed else len(listed))


@frappe.whitelist(methods=["GET", "POST"])
@intake
def card_form(account: str) -> dict:
	"""What a browser needs to show the gateway's own card form: publishable_key, script, and
	custom_address when another address stands in for the gateway. Errors: 422 when no publishable key is set."""
	_check(account, "Recharge Card", "create")
	return card_form_of(account)


def card_form_of(account: str) -> dict:
	"""As `card_form`; the caller has checked who asks."""
	form = registry.adapter(registry.of_account(account)).for_browser()
	if not form["publishable_key"]:
		raise_for_people(InvalidRequest("cards_not_set_up"))
	return {
		**form,
		"name": frappe.db.get_value("Credit Account", account, "customer_name"),
	}


@frappe.whitelist(methods=["POST"])
@intake
def start_card_setup(account: str) -> dict:
	"""Begin saving a card: a client secret for the gateway's own form. No number comes here."""
	_check(account, "Recharge Card", "create")
	return cards.start_setup(account)


@frappe.whitelist(methods=["POST"])
@intake
def finish_card_setup(account: str, setup_intent: Id) -> dict:
	"""Save the card of a completed SetupIntent. Returns its Recharge Card."""
	_check(account, "Recharge Card", "create")
	return {"card": cards.finish_setup(account, setup_intent)}


@frappe.whitelist(methods=["POST"])
@intake
def save_card(account: str, payment_method: Id) -> dict:
	"""Save a payment method of the gateway (such as pm_…) that belongs to the account's customer. Returns its Recharge Card."""
	_check(account, "Recharge Card", "create")
	return {"card": cards.save(account, payment_method)}


@frappe.whitelist(methods=["POST"])
@intake
def remove_card(card: str) -> dict:
	"""Take a card out of use, here and at the gateway."""
	doc = frappe.get_doc("Recharge Card", card)
	doc.check_permission("write")
	cards.remove(card)
	return {"card": card, "status": "Removed"}


@frappe.whitelist(methods=["POST"])
@intake
def set_auto_recharge(
	account: str,
	enabled: Flag | None = None,
	falls_below: Amount | None = None,
	recharge_up_to: Amount | None = None,
	cards: Names | None = None,
	caps: dict | None = None,
) -> dict:
	"""Create or change the auto-recharge setting; what is left out stays as it is.

	`cards` is a list of Recharge Cards in the order they are tried, `caps` an object with cap_amount_day,
	cap_amount_month, cap_count_hour, cap_count_day. Amounts in the account's currency. Switched on while the balance
	is at or below `falls_below` it charges a card at once; the answer's `now` tells of the recharge under way.
	"""
	name = frappe.db.exists("Auto-Recharge Setting", {"credit_account": account})
	_check(account, "Auto-Recharge Setting", "write" if name else "create")
	doc = (
		frappe.get_doc("Auto-Recharge Setting", name)
		if name
		else frappe.new_doc("Auto-Recharge Setting", credit_account=account)
	)
	given = {"enabled": enabled, "falls_below": falls_below, "recharge_up_to": recharge_up_to}
	doc.update({key: value for key, value in given.items() if value is not None})
	if cards is not None:
		doc.set("cards", [{"card": card} for card in cards])
	if caps is not None:
		doc.update(fields(caps, CAP_FIELDS))
	# Whoever calls this has read that it may charge.
	doc.flags.may_charge = True
	doc.save()
	return auto_recharge(account)


@frappe.whitelist(methods=["GET", "POST"])
@intake
def auto_recharge(account: str) -> dict:
	"""The auto-recharge setting of an account, and what it would decide at the balance of now."""
	_check(account, "Auto-Recharge Setting", "read")
	name = frappe.db.exists("Auto-Recharge Setting", {"credit_account": account})
	if not name:
		return {"account": account, "exists": False}
	doc = frappe.get_doc("Auto-Recharge Setting", name)
	doc.check_permission("read")
	return {
		"account": account,
		"exists": True,
		"setting": name,
		"enabled": bool(doc.enabled),
		"falls_below": plain(exact(doc.falls_below)),
		"recharge_up_to": plain(exact(doc.recharge_up_to)),
		"cards": [row.card for row in doc.cards],
		"caps": {field: plain(exact(doc.get(field))) for field in CAP_FIELDS},
		"disabled_reason": doc.disabled_reason,
		"now": threshold.explain(account),
	}


@frappe.whitelist(allow_guest=True, xss_safe=True, methods=["POST"])
@intake
@rate_limit(limit=30, seconds=60)
@for_customers
def confirm_start(token: str) -> dict:
	"""Open the gateway's page for a payment that needs its card holder. `token` is the mailed link's."""
	return {"url": confirm.start(token)}


@frappe.whitelist(allow_guest=True, xss_safe=True, methods=["POST"])
@intake
@rate_limit(limit=60, seconds=60)
@for_customers
def confirm_finish(token: str) -> dict:
	"""After the return from the gateway's page: how it went, as the gateway tells it."""
	return confirm.finish(token)


@frappe.whitelist(methods=["POST"])
@intake
def decide_difference(difference: str, decision: str, note: str | None = None) -> dict:
	"""Decide about a Gateway Difference. For the role Credit Manager.

	`decision`: "credit" what was captured (where nothing but the amount differs), "refund" it, or "dismiss" the
	difference as it is, with a `note` of why. Returns difference, status, recharge, recharge_status. Errors: 422.
	"""
	frappe.only_for(("Credit Manager", "System Manager"))
	frappe.get_doc("Gateway Difference", difference).check_permission("write")
	try:
		return differences.decide(difference, decision, note)
	except GatewayError:
		frappe.throw(
			_("The payment gateway does not answer. Try again in a minute."), title=_("Payment gateway")
		)


@frappe.whitelist(methods=["POST"])
@intake
def resume(account: str, charge: Amount | None = None) -> dict:
	"""End a pause or a hold of auto recharge: a person has looked. Checks the balance at once.

	`charge`: what a person agreed to have charged at once, 0 for nothing; where it would be another amount, 409
	charge_not_agreed with the figures. Left out, it is not asked for.
	"""
	name = frappe.db.exists("Auto-Recharge Setting", {"credit_account": account})
	_check(account, "Auto-Recharge Setting", "write")
	if name:
		frappe.has_permission("Auto-Recharge Setting", "write", doc=name, throw=True)
	if charge is not None:
		_refuse_untold(account, charge)
	resume_setting(account)
	return auto_recharge(account)


def _refuse_untold(account: str, agreed) -> None:
	if found := charge_on_resume(account):
		refuse_untold(agreed, found)
	elif agreed:
		raise Outdated("nothing_to_charge", agreed=plain(agreed))


@frappe.whitelist(methods=["POST"])
@intake
def refund(
	recharge: str,
	idempotency_key: Key | None = None,
	amount: Amount | None = None,
	reason: str | None = None,
) -> dict:
	"""Refund a paid recharge to its card: all that is unused of it, or `amount` of that.

	The credits are taken at once, the money is sent in the background; credits come back if that fails. For the
	role Credit Manager. Returns refund, status, amount, currency. Errors: 409 for a key used with other content,
	422 when nothing is unused, more is asked for than that, no reason is given, or the payment is disputed.
	"""
	frappe.only_for(("Credit Manager", "System Manager"))
	if frappe.db.exists("Recharge", recharge):
		frappe.has_permission("Recharge", "read", doc=recharge, throw=True)
	return refunds.request(recharge, idempotency_key, amount, reason)
