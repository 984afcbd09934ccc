"""Why a card brought no money, where a payment stands, why auto-recharge is held: in words for the card holder."""

from frappe import _

from crm_recharge.domain import cards
from crm_recharge.gateway import registry

OPEN = ("Created", "Unknown", "Refused")


def texts() -> dict[str, str]:
	"""Sentence by code: the gateway's decline and error codes, and this app's own reasons for passing a card over."""
	return {
		cards.PAST_EXPIRY: _("the card has expired"),
		cards.NOT_ACTIVE: _("the card can no longer be used"),
		cards.AT_NETWORK_LIMIT: _("the card was declined too often in the last 30 days"),
		cards.NOT_A_CARD: _("it is not a card"),
		"expired_card": _("the card has expired"),
		"insufficient_funds": _("there is not enough money on the card"),
		"authentication_required": _("the bank wants the card holder to confirm the payment"),
		"card_velocity_exceeded": _("the card's limit is used up"),
		"withdrawal_count_limit_exceeded": _("the card's limit is used up"),
		"incorrect_cvc": _("the security code is wrong"),
		"invalid_cvc": _("the security code is wrong"),
		"incorrect_number": _("the card number is wrong"),
		"invalid_number": _("the card number is wrong"),
		"card_not_supported": _("the card does not support this kind of payment"),
		"currency_not_supported": _("the card does not support this currency"),
		"processing_error": _("the bank could not process the payment"),
		"issuer_not_available": _("the bank could not be reached"),
		"resource_missing": _("the card is no longer saved"),
		"customer_gone": _("the card is no longer saved; it has to be entered again"),
		"amount_too_small": _("the amount is less than a card payment takes in this currency"),
		"amount_too_large": _("the amount is more than a card payment takes in this currency"),
	}


def sentence(attempt) -> str:
	"""Why `attempt` (status, code) brought no money; confidential reasons are told as a plain decline."""
	if attempt.status == "Succeeded":
		return _("paid")
	if attempt.status == "Pending":
		return _("the bank takes some days to decide")
	if attempt.status in OPEN:
		return _("no answer from the bank yet")
	if attempt.status == "Needs Authentication":
		return texts()["authentication_required"]
	known = texts()
	code = attempt.code if attempt.code in known else registry.adapter().for_customer(attempt.code)
	return known.get(code, _("the bank declined the card"))


def status_words() -> dict[str, str]:
	"""A recharge's status for its customer."""
	return {
		"Draft": _("not started"),
		"Queued": _("under way"),
		"Charging": _("under way"),
		"Processing": _("accepted by the bank, which takes some days"),
		"Action Required": _("waits for your confirmation"),
		"Held": _("has arrived, and is being looked at"),
		"Succeeded": _("paid"),
		"Failed": _("not paid"),
		"Cancelled": _("cancelled"),
		"Partly Refunded": _("partly refunded"),
		"Refunded": _("refunded"),
		"Disputed": _("disputed at your bank"),
		"Charged Back": _("taken back by your bank"),
	}


def held_words(held: str | None) -> str:
	"""Why auto-recharge is held, without the names of our records."""
	marks = {
		"Dispute": _("your bank disputes a payment"),
		"Fraud warning": _("a payment was reported to your bank as not yours"),
		"Refund": _("a payment was refunded"),
	}
	told = [words for mark, words in marks.items() if mark in (held or "")]
	return ", ".join(told) or _("the account is on hold")
