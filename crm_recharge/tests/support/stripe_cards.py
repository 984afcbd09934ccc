"""Stripe's documented test cards, and what each does (https://docs.stripe.com/testing)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TestCard:
	"""A test card's conduct.

	`authenticate` is when the bank asks the card holder: "never", "always", "unless_setup" (not off-session once
	it was saved with authentication) or "on_session". `attaches` says that a refusal comes only when charging.
	"""

	number: str
	name: str | None = None
	brand: str = "visa"
	funding: str = "credit"
	country: str = "US"
	code: str | None = None
	decline_code: str | None = None
	message: str = "Your card was declined."
	advice_code: str | None = None
	attaches: bool = False
	authenticate: str = "never"
	risk_level: str = "normal"
	blocked: bool = False
	dispute: str | None = None
	inquiry: bool = False
	fraud_warning: bool = False
	refund: str = "succeeded"


def _declined(number, name, decline_code, message=None, advice_code=None, code="card_declined", **more):
	return TestCard(
		number,
		name,
		code=code,
		decline_code=decline_code,
		message=message or "Your card was declined.",
		advice_code=advice_code,
		**more,
	)


_NEVER, _LATER = "do_not_try_again", "try_again_later"

CARDS = (
	TestCard("4242424242424242", "pm_card_visa"),
	TestCard("4000056655665556", "pm_card_visa_debit", funding="debit"),
	TestCard("5555555555554444", "pm_card_mastercard", brand="mastercard"),
	TestCard("5200828282828210", "pm_card_mastercard_debit", brand="mastercard", funding="debit"),
	TestCard("378282246310005", "pm_card_amex", brand="amex"),
	TestCard("6011111111111117", "pm_card_discover", brand="discover"),
	TestCard("4000002760000016", "pm_card_de", country="DE"),
	TestCard("4000008260000000", "pm_card_gb", country="GB"),
	_declined("4000000000000002", "pm_card_chargeDeclined", "generic_decline", advice_code=_LATER),
	_declined(
		"4000000000009995",
		"pm_card_chargeDeclinedInsufficientFunds",
		"insufficient_funds",
		"Your card has insufficient funds.",
		_LATER,
	),
	_declined("4000000000009987", "pm_card_chargeDeclinedLostCard", "lost_card", advice_code=_NEVER),
	_declined("4000000000009979", "pm_card_chargeDeclinedStolenCard", "stolen_card", advice_code=_NEVER),
	_declined(
		"4000000000000069",
		"pm_card_chargeDeclinedExpiredCard",
		None,
		"Your card has expired.",
		code="expired_card",
	),
	_declined(
		"4000000000000127",
		"pm_card_chargeDeclinedIncorrectCvc",
		None,
		"Your card's security code is incorrect.",
		code="incorrect_cvc",
	),
	_declined(
		"4000000000000119",
		"pm_card_chargeDeclinedProcessingError",
		None,
		"An error occurred while processing your card. Try again in a little bit.",
		_LATER,
		code="processing_error",
	),
	_declined("4000000000006975", "pm_card_chargeDeclinedVelocityLimitExceeded", "card_velocity_exceeded"),
	_declined("4000000000000341", "pm_card_chargeCustomerFail", "generic_decline", attaches=True),
	_declined(
		"4100000000000019",
		"pm_card_radarBlock",
		"fraudulent",
		risk_level="highest",
		blocked=True,
		attaches=True,
	),
	TestCard("4000000000009235", "pm_card_riskLevelElevated", risk_level="elevated"),
	TestCard("4000002500003155", "pm_card_authenticationRequiredOnSetup", authenticate="unless_setup"),
	TestCard("4000002760003184", "pm_card_authenticationRequired", authenticate="always"),
	TestCard(
		"4000003800000446", "pm_card_authenticationRequiredSetupForOffSession", authenticate="on_session"
	),
	TestCard("4000000000003220", "pm_card_threeDSecure2Required", authenticate="always"),
	_declined(
		"4000008260003178",
		"pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
		"insufficient_funds",
		"Your card has insufficient funds.",
		_LATER,
		authenticate="on_session",
		attaches=True,
	),
	TestCard("4000000000000259", "pm_card_createDispute", dispute="fraudulent"),
	TestCard("4000000000002685", "pm_card_createDisputeProductNotReceived", dispute="product_not_received"),
	TestCard("4000000000001976", "pm_card_createDisputeInquiry", dispute="fraudulent", inquiry=True),
	TestCard("4000000000005423", "pm_card_createIssuerFraudRecord", fraud_warning=True),
	TestCard("4000000000005126", "pm_card_refundFail", refund="failed"),
	TestCard("4000000000007726", "pm_card_pendingRefund", refund="pending"),
)

BY_NUMBER = {card.number: card for card in CARDS}
BY_NAME = {card.name: card for card in CARDS if card.name}


def card_of(number: str) -> TestCard:
	"""The card with this number or Stripe name; any other number that passes Luhn's check is a healthy Visa."""
	digits = "".join(ch for ch in str(number) if ch.isdigit())
	if number in BY_NAME:
		return BY_NAME[number]
	if digits in BY_NUMBER:
		return BY_NUMBER[digits]
	if not 13 <= len(digits) <= 19 or not _luhn(digits):
		raise KeyError(number)
	return TestCard(digits)


def _luhn(digits: str) -> bool:
	total = 0
	for place, digit in enumerate(reversed(digits)):
		value = int(digit) * (2 if place % 2 else 1)
		total += value - 9 if value > 9 else value
	return total % 10 == 0
