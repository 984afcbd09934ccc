"""What Stripe's decline codes say about a card.

Sources: Stripe's published decline codes (https://docs.stripe.com/declines/codes), its list of hard declines
that are never retried (https://docs.stripe.com/billing/revenue-recovery/smart-retries), and the networks'
rules behind them (Visa: decline category 1, "issuer will never approve"; Mastercard: advice 03 and 21).
"""

from crm_recharge.domain.answers import DeclineClass

_P, _L, _NEW = DeclineClass.PERMANENT, DeclineClass.TRY_LATER, DeclineClass.EXPIRED

DECLINE_CODES: dict[str, DeclineClass] = {
	"approve_with_id": _L,
	"authentication_not_handled": DeclineClass.AUTHENTICATION,
	"authentication_required": DeclineClass.AUTHENTICATION,
	"call_issuer": _L,
	"card_not_supported": _P,
	"card_velocity_exceeded": _L,
	"currency_not_supported": _P,
	"do_not_honor": _L,
	"do_not_try_again": _P,
	"duplicate_transaction": _L,
	"expired_card": _NEW,
	"fraudulent": DeclineClass.FRAUD,
	"generic_decline": _L,
	"highest_risk_level": DeclineClass.FRAUD,
	"incorrect_address": _L,
	"incorrect_cvc": _L,
	"incorrect_number": _P,
	"incorrect_pin": _L,
	"incorrect_zip": _L,
	"insufficient_funds": _L,
	"invalid_account": _P,
	"invalid_amount": _L,
	"invalid_cvc": _L,
	"invalid_expiry_month": _NEW,
	"invalid_expiry_year": _NEW,
	"invalid_number": _P,
	"invalid_pin": _L,
	"issuer_not_available": _L,
	"lost_card": _P,
	"merchant_blacklist": DeclineClass.FRAUD,
	"mobile_device_authentication_required": DeclineClass.AUTHENTICATION,
	"new_account_information_available": _NEW,
	"no_action_taken": _L,
	"not_permitted": _L,
	"offline_pin_required": DeclineClass.AUTHENTICATION,
	"online_or_offline_pin_required": DeclineClass.AUTHENTICATION,
	"pickup_card": _P,
	"pin_try_exceeded": _L,
	"previously_declined_do_not_retry": _P,
	"processing_error": _L,
	"reenter_transaction": _L,
	"restricted_card": _L,
	"revocation_of_all_authorizations": _P,
	"revocation_of_authorization": _P,
	"rule": DeclineClass.FRAUD,
	"security_violation": _L,
	"service_not_allowed": _L,
	"stolen_card": _P,
	"stop_payment_order": _P,
	"testmode_decline": _P,
	"transaction_not_allowed": _P,
	"try_again_later": _L,
	"withdrawal_count_limit_exceeded": _L,
}
"""Every published decline code. Permanent are those that Stripe or a network says never to retry; a code that
only advises the holder to ask the bank may work another day."""

ERROR_CODES: dict[str, DeclineClass] = {
	"authentication_required": DeclineClass.AUTHENTICATION,
	"card_decline_rate_limit_exceeded": _L,
	"expired_card": _NEW,
	"expired_payment_method": _NEW,
	"incorrect_cvc": _L,
	"incorrect_number": _P,
	"incorrect_zip": _L,
	"india_recurring_payment_mandate_canceled": DeclineClass.AUTHENTICATION,
	"insufficient_funds": _L,
	"intent_verification_method_missing": _P,
	"invalid_card_type": _P,
	"invalid_cvc": _L,
	"invalid_expiry_month": _NEW,
	"invalid_expiry_year": _NEW,
	"invalid_number": _P,
	"payment_intent_authentication_failure": DeclineClass.AUTHENTICATION,
	"payment_intent_mandate_invalid": DeclineClass.AUTHENTICATION,
	"payment_method_currency_mismatch": _P,
	"payment_method_customer_decline": _L,
	"payment_method_provider_decline": _L,
	"payment_method_provider_timeout": _L,
	"payment_method_restricted": _P,
	"payment_method_unactivated": _P,
	"processing_error": _L,
	"resource_missing": _P,
	"setup_intent_authentication_failure": DeclineClass.AUTHENTICATION,
}
"""Card errors that come without a decline code (https://docs.stripe.com/error-codes)."""

CONFIDENTIAL = frozenset(("fraudulent", "lost_card", "merchant_blacklist", "pickup_card", "stolen_card"))
"""Codes whose reason must not be told to the customer: Stripe asks to show them as a generic decline."""


def classify(
	code: str | None, decline_code: str | None = None, advice_code: str | None = None
) -> DeclineClass:
	"""The class of a refusal: by its decline code, else its error code.

	`advice_code` is the network's own advice: `do_not_try_again` makes an otherwise hopeful refusal
	permanent. A code nobody has published is TRY_LATER: the card is not thrown away on a guess.
	"""
	found = DECLINE_CODES.get(decline_code or "") or ERROR_CODES.get(code or "")
	found = found or DECLINE_CODES.get(code or "") or DeclineClass.TRY_LATER
	if advice_code == "do_not_try_again" and found is DeclineClass.TRY_LATER:
		return DeclineClass.PERMANENT
	return found


def for_customer(code: str | None) -> str:
	"""The code that may be shown to the customer: `generic_decline` for confidential reasons."""
	return "generic_decline" if code in CONFIDENTIAL or not code else code
