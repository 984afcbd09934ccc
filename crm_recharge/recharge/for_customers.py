"""What customers read where a rule refuses: the same codes and figures as staff meet, in words for people who know their
page and nothing of the desk. What auto-recharge decides is told to both in decisions.py."""

import functools

import frappe
from frappe import _
from frappe.utils import escape_html

from crm_recharge.credits.errors import CreditError, for_people, refuse
from crm_recharge.credits.money import money, number
from crm_recharge.recharge.decisions import AMOUNTS, frees
from crm_recharge.recharge.reasons import held_words, sentence, status_words

MORE_AMOUNTS = {"gap", "limit", "used"}
OUTDATED = ("missing_key", "key_too_long", "unknown_field", "unknown_parameter", "markup", "not_text")
"""Refused are requests that the page as it is now does not make."""
OUR_FAULT = ("invalid_request", "authentication_failure", "permission_denied")
"""The gateway does not refuse the card but us."""


# -- refusals ------------------------------------------------------------------------------------------------


def refusals() -> dict[str, str]:
	"""Sentence by code, for every refusal that a customer can meet on page or mail."""
	ask = _("Please ask the company that sells to you.")
	return {
		"amount_missing": _("{what}: type an amount."),
		"amount_unclear": _("{what}: {value} can be read in more than one way. Type {readings}."),
		"not_a_number": _("{what}: {value} is not an amount. Type digits, such as {example}."),
		"not_finite": _("{what}: {value} is not an amount. Type digits, such as {example}."),
		"too_many_digits": _("{what}: {value} is not an amount. Type digits, such as {example}."),
		"too_many_decimals": _("{what}: this has too many decimals."),
		"too_large": _("{what}: this is too large."),
		"not_positive": _("{what}: type an amount above zero."),
		"not_whole": _("{what}: {value} is not a whole number."),
		"payment_below_minimum": _("{amount} is too little: one payment takes at least {minimum}."),
		"payment_above_maximum": _(
			"{amount} is too much at once: one payment takes at most {maximum}. Make several payments of it."
		),
		"payment_too_fine": _("{amount} cannot be paid: there is no such small coin."),
		"payment_capped": _(
			"{amount} would go past a limit of your account ({cap}): at most {limit}, and {used} is used. {frees}"
		),
		"recharge_open": _("Another payment is still under way. Wait for it, or cancel it first."),
		"no_card": _("No card is chosen yet. Add a card first."),
		"account_disabled": _("Your credit account is closed.") + " " + ask,
		"unknown_account": _("Your credit account is not there any more.") + " " + ask,
		"idempotency_conflict": _(
			"Your first request was for another amount or card. It counts, this one does not."
		),
		"threshold_negative": _("The balance at which it starts cannot be below zero."),
		"target_not_above_threshold": _(
			"The balance to recharge up to ({recharge_up_to}) must be above the one at which it starts ({falls_below})."
		),
		"gap_below_minimum": _(
			"From {falls_below} up to {recharge_up_to} is {gap}, and one payment takes at least {minimum}. Raise the balance to recharge up to."
		),
		"gap_above_maximum": _(
			"One payment takes at most {maximum}, so an empty account could not be brought to {recharge_up_to}. Lower the balance to recharge up to."
		),
		"cap_negative": _("A limit cannot be below zero."),
		"cap_below_target": _(
			"Your limit ({cap}) of {limit} is less than the {recharge_up_to} to recharge up to: an empty account could not be refilled. Raise the limit, or lower the balance to recharge up to."
		),
		"no_usable_card": _(
			"Auto-recharge needs a card that can be charged. Add a card, or tick another one."
		),
		"too_many_cards": _("At most {most} cards can be charged automatically. Untick some."),
		"unknown_card": _("This card is not saved any more. Load the page again."),
		"cards_only": _("Only cards can be charged automatically. Untick the other one."),
		"not_a_card": _("Only cards can be charged automatically. Enter a card."),
		"card_of_another_account": _("This card belongs to another account. Load the page again."),
		"card_removed": _("Card •••• {last4} has been removed. Load the page again."),
		"card_gone": _("Card •••• {last4} has been removed. Enter it again to save it anew."),
		"card_twice": _("Card •••• {last4} is chosen twice. Once is enough."),
		"card_not_usable": _("Card •••• {last4} cannot be charged any more. Choose another one."),
		"card_not_confirmed": _("Your bank has not confirmed the card. Enter it again, or another one."),
		"gateway_silent": _("The payment service does not answer. Try again in a minute."),
		"gateway_refused": _("This card cannot be used: {reason}."),
		"gateway_not_set_up": _("Card payments are not possible yet.") + " " + ask,
		"payments_rest": _("Payments rest for the moment. Try again later."),
		"cards_not_set_up": _("Cards cannot be entered yet.") + " " + ask,
		"changed_meanwhile": _("Auto-recharge was changed meanwhile, by somebody else or by itself."),
		"charge_not_agreed": _(
			"Your balance is {balance}, at or below {falls_below}: this charges {card} with {amount} now."
		),
		"on_hold": _(
			"Auto-recharge is on hold: {because}. Only the company that sells to you can lift that."
		),
		"dispute_open": _("Auto-recharge stays on hold until your bank has decided on the disputed payment."),
		"cannot_cancel": _("This payment cannot be cancelled any more: {status}."),
		"nothing_to_confirm": _("This payment waits no more: {status}."),
		"page_out_of_date": _("This page is out of date. Load it again."),
	}


def for_customers(function):
	"""Decorator of a page's method: what a rule refuses is told in a customer's words, under the same code."""

	asked = for_people(function)

	@functools.wraps(function)
	def wrapper(*args, **kwargs):
		try:
			return asked(*args, **kwargs)
		except CreditError as error:
			# The words for staff are among the messages already.
			frappe.clear_messages()
			refuse(type(error), error.code, text_of(error.code, error.figures), error.figures)

	return wrapper


def text_of(code: str, figures: dict) -> str:
	"""A refusal in a customer's words. Of a code that no customer should meet, the general sentence."""
	texts = refusals()
	if code == "gateway_refused" and figures.get("gateway_code") in OUR_FAULT:
		code = "gateway_not_set_up"
	template = texts.get("page_out_of_date" if code in OUTDATED else code)
	if not template:
		return _("This is not possible now.") + " " + _("Please ask the company that sells to you.")
	return template.format_map(_Shown(figures))


class _Shown(dict):
	"""Figures as a customer reads them; one that is missing leaves a dash, not an error."""

	def __init__(self, figures: dict):
		currency = figures.get("currency")
		super().__init__(
			(key, escape_html(_figure(key, value, currency if key in AMOUNTS | MORE_AMOUNTS else None)))
			for key, value in figures.items()
		)
		self["reason"] = sentence(frappe._dict(status="Declined", code=figures.get("gateway_code")))
		self["example"] = number("12.5", currency) if currency else "12.50"
		self["frees"] = frees(figures.get("frees_at"))

	def __missing__(self, key):
		return "—"


def _figure(key: str, value, currency: str | None) -> str:
	if key == "status":
		return status_words().get(value, _(str(value)))
	if key == "because":
		return held_words(str(value))
	if currency and value not in (None, ""):
		return money(value, currency)
	if isinstance(value, list):
		return (" " + _("or") + " ").join(str(part) for part in value)
	return str(value)
