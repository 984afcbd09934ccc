"""Stripe's objects and errors, put into the app's own words (crm_recharge.domain.answers).

Objects of every SDK release are read by attribute only: in newer ones they are no dictionaries.
"""

from decimal import Decimal

import stripe

from crm_recharge.domain.answers import (
	Answer,
	CardSetup,
	DeclineClass,
	DisputeAnswer,
	FraudWarning,
	Outcome,
	PaymentPage,
	RefundAnswer,
	RefundOutcome,
	SavedCard,
)
from crm_recharge.gateway.errors import CustomerGone, GatewayError, GatewayUnavailable
from crm_recharge.gateway.masking import mask
from crm_recharge.gateway.stripe.declines import classify
from crm_recharge.gateway.stripe.minor_units import from_minor

CUSTOMER_GONE = "customer_gone"
METHOD_GONE = ("resource_missing", "payment_method_unexpected_state", "payment_method_invalid_parameter")
"""Error codes that, said of the payment method, mean this saved card cannot be charged any more."""


def read(obj, *path, default=None):
	"""The attribute at `path` under `obj`, or `default` where any step is absent or null."""
	for name in path:
		obj = getattr(obj, name, None)
		if obj is None:
			return default
	return obj


def reference(value) -> str | None:
	"""The id of what may be an id, an expanded object, or null."""
	return value if isinstance(value, str) or value is None else read(value, "id")


def plain(obj) -> dict:
	"""A Stripe metadata object as a dictionary of strings."""
	if obj is None:
		return {}
	return dict(obj) if isinstance(obj, dict) else obj.to_dict()


def intent_answer(intent, milliseconds: int = 0) -> Answer:
	"""What a PaymentIntent, as Stripe returned it, says."""
	status, error, charge = intent.status, read(intent, "last_payment_error"), read(intent, "latest_charge")
	minor = intent.amount_received if status == "succeeded" else intent.amount
	common = {
		"intent": intent.id,
		"charge": reference(charge),
		"amount": from_minor(minor, intent.currency),
		"currency": intent.currency.upper(),
		"customer": reference(read(intent, "customer")),
		"payment_method": reference(read(intent, "payment_method"))
		or reference(read(error, "payment_method")),
		"risk_level": read(charge, "outcome", "risk_level") if not isinstance(charge, str) else None,
		"milliseconds": milliseconds,
		"created": read(intent, "created"),
		"metadata": plain(read(intent, "metadata")),
	}
	if status == "succeeded":
		return Answer(Outcome.SUCCEEDED, **common)
	if status == "canceled":
		reason = read(intent, "cancellation_reason")
		return Answer(Outcome.CANCELLED, code=reason, **common)
	if status == "requires_action":
		return _needs_person(common, "authentication_required", "The bank asks the card holder to confirm.")
	if status == "requires_payment_method" and error is not None:
		return _refused(error, common)
	if status == "processing":
		return Answer(Outcome.PENDING, code=status, intent_open=True, **common)
	# requires_capture, requires_confirmation, and whatever Stripe may add: not decided yet
	return Answer(
		Outcome.UNKNOWN,
		code=status,
		message=f"The payment is not decided yet (Stripe's status: {status}).",
		intent_open=True,
		**common,
	)


def _needs_person(common: dict, code: str, message: str) -> Answer:
	return Answer(
		Outcome.NEEDS_AUTHENTICATION,
		code=code,
		decline_class=DeclineClass.AUTHENTICATION,
		message=message,
		intent_open=True,
		**common,
	)


def _refused(error, common: dict) -> Answer:
	"""A payment that failed on its card; `error` is Stripe's description of why."""
	code, decline_code = read(error, "code"), read(error, "decline_code")
	message = mask(read(error, "message", default="The card was declined."))
	if "authentication_required" in (code, decline_code):
		return _needs_person(common, "authentication_required", message)
	return Answer(
		Outcome.DECLINED,
		code=decline_code or code or "card_declined",
		decline_class=classify(code, decline_code, read(error, "advice_code")),
		message=message,
		intent_open=True,
		**common,
	)


def error_answer(error: Exception, *, payment_method: str | None = None, milliseconds: int = 0) -> Answer:
	"""What an exception of Stripe's SDK says about a payment. `payment_method` is the card that was charged."""
	detail, status = read(error, "error"), read(error, "http_status")
	intent = read(detail, "payment_intent")
	code = read(error, "code") or read(detail, "code")
	message = mask(read(error, "user_message") or str(error))
	known = {"intent": reference(intent), "payment_method": payment_method, "milliseconds": milliseconds}

	if isinstance(error, stripe.CardError):
		if intent is None or isinstance(intent, str):
			# the card was refused, but no intent proves that nothing can be captured
			return Answer(
				Outcome.UNKNOWN, code=code or "card_error", message=message, intent_open=True, **known
			)
		answer = intent_answer(intent, milliseconds)
		if intent.status != "requires_payment_method":
			return answer
		common = {
			name: getattr(answer, name)
			for name in ("intent", "amount", "currency", "customer", "metadata", "milliseconds")
		}
		common["charge"] = answer.charge or read(detail, "charge")
		common["payment_method"] = payment_method or answer.payment_method
		return _refused(detail, common)

	if isinstance(error, stripe.IdempotencyError):
		return Answer(
			Outcome.ERROR,
			code=code or "idempotency_error",
			message=message,
			**known,
		)

	if _is_transient(error, code):
		return Answer(
			Outcome.UNKNOWN,
			code=_transient_code(error, status, code),
			message=message,
			intent_open=True,
			retry_after=retry_after(error),
			**known,
		)

	if is_about_customer(error):
		return Answer(
			Outcome.DECLINED,
			code=CUSTOMER_GONE,
			decline_class=DeclineClass.CUSTOMER_GONE,
			message=message,
			intent_open=_still_open(intent),
			**known,
		)

	if isinstance(error, stripe.InvalidRequestError) and _is_about_method(error, code, message):
		return Answer(
			Outcome.DECLINED,
			code=code or "payment_method_unusable",
			decline_class=DeclineClass.PERMANENT,
			message=message,
			intent_open=_still_open(intent),
			**known,
		)

	return Answer(
		Outcome.ERROR,
		code=code or _refusal_code(error),
		message=message,
		intent_open=_still_open(intent),
		**known,
	)


def _still_open(intent) -> bool:
	return intent is not None and read(intent, "status") not in ("canceled", "succeeded")


def _is_transient(error, code) -> bool:
	"""Whether nothing is proven: all but a refusal in Stripe's own words (a proxy's page is none)."""
	if code in ("rate_limit", "lock_timeout", "idempotency_key_in_use"):
		return True
	refusals = (stripe.InvalidRequestError, stripe.AuthenticationError, stripe.PermissionError)
	return not isinstance(error, refusals)


def _transient_code(error, status, code) -> str:
	if code:
		return code
	if isinstance(error, stripe.RateLimitError):
		return "rate_limit"
	if isinstance(error, stripe.APIConnectionError):
		return "timeout" if "imeout" in str(error) or "imed out" in str(error) else "connection_error"
	if status == 409:
		return "conflict"
	# a kept answer: the same key brings this 5xx back for a day, only looking for the object helps
	return "replayed_error" if was_replayed(error) else "api_error"


def _refusal_code(error) -> str:
	if isinstance(error, stripe.AuthenticationError):
		return "authentication_failure"
	return "permission_denied" if isinstance(error, stripe.PermissionError) else "invalid_request"


def is_about_customer(error) -> bool:
	"""Whether Stripe says that there is no such customer (any more, or under this key)."""
	return (
		isinstance(error, stripe.InvalidRequestError)
		and read(error, "code") == "resource_missing"
		and read(error, "param") == "customer"
	)


def _is_about_method(error, code, message: str) -> bool:
	if read(error, "param") == "payment_method" and code in METHOD_GONE:
		return True
	# Stripe gives no code here: a detached method, or one of another customer
	return "PaymentMethod" in message and (
		"may not be used again" in message or "must be attached" in message
	)


def _header(error, name: str):
	headers = read(error, "headers", default={}) or {}
	return {str(key).lower(): value for key, value in dict(headers).items()}.get(name)


def was_replayed(source) -> bool:
	"""Whether Stripe answered from its memory of an earlier request under the same idempotency key.

	`source` is an error of the SDK or the response behind an object."""
	return _header(source, "idempotent-replayed") == "true"


def retry_after(error) -> float | None:
	"""Seconds after which Stripe asks to try again, from the Retry-After header."""
	try:
		seconds = float(_header(error, "retry-after"))
	except (TypeError, ValueError):
		return None
	return seconds if 0 <= seconds < 86400 else None


def management_error(error: Exception) -> GatewayError:
	"""The exception of a call that moves no money (customers, cards, look-ups)."""
	answer = error_answer(error)
	if answer.outcome is Outcome.UNKNOWN and not isinstance(error, stripe.CardError):
		return GatewayUnavailable(answer.code, answer.message, answer.retry_after)
	if is_about_customer(error):
		return CustomerGone(CUSTOMER_GONE, answer.message)
	detail = read(error, "error")
	code = read(detail, "decline_code") or answer.code
	return GatewayError(code, answer.message)


def saved_card(method) -> SavedCard:
	"""A PaymentMethod as a SavedCard. For another kind than a card only `kind` and the ids are filled."""
	card = read(method, "card")
	return SavedCard(
		payment_method=method.id,
		kind=method.type,
		brand=read(card, "brand"),
		last4=read(card, "last4"),
		exp_month=read(card, "exp_month"),
		exp_year=read(card, "exp_year"),
		funding=read(card, "funding"),
		fingerprint=read(card, "fingerprint"),
		country=read(card, "country"),
		customer=reference(read(method, "customer")),
	)


def setup_answer(intent) -> CardSetup:
	"""A SetupIntent in the app's words."""
	error = read(intent, "last_setup_error")
	return CardSetup(
		setup_intent=intent.id,
		succeeded=intent.status == "succeeded",
		status=intent.status,
		customer=reference(read(intent, "customer")),
		payment_method=reference(read(intent, "payment_method")),
		code=read(error, "decline_code") or read(error, "code"),
		message=mask(read(error, "message", default="")),
		metadata=plain(read(intent, "metadata")),
	)


def money(minor: int, currency: str) -> tuple[Decimal, str]:
	"""Stripe's integer and lower-case code as (major units, ISO code in capitals)."""
	return from_minor(minor, currency), currency.upper()


def fee(charge) -> tuple[Decimal, str] | None:
	"""What Stripe kept of a charge whose balance transaction is expanded, or None while there is none yet."""
	transaction = read(charge, "balance_transaction")
	if transaction is None or isinstance(transaction, str):
		return None
	return money(transaction.fee, transaction.currency)


_REFUND_STATUS = {
	"succeeded": RefundOutcome.SUCCEEDED,
	"pending": RefundOutcome.PENDING,
	"requires_action": RefundOutcome.PENDING,
	"failed": RefundOutcome.FAILED,
	"canceled": RefundOutcome.FAILED,
}


def refund_answer(refund) -> RefundAnswer:
	"""A Refund in the app's words."""
	amount, currency = money(refund.amount, refund.currency)
	return RefundAnswer(
		# a refund without a status is a card refund of old: done
		_REFUND_STATUS.get(read(refund, "status", default="succeeded"), RefundOutcome.UNKNOWN),
		refund=refund.id,
		intent=reference(read(refund, "payment_intent")),
		charge=reference(read(refund, "charge")),
		amount=amount,
		currency=currency,
		code=read(refund, "failure_reason"),
		reason=read(refund, "reason"),
		created=read(refund, "created"),
		metadata=plain(read(refund, "metadata")),
	)


def refund_error(error: Exception) -> RefundAnswer:
	"""What an exception of Stripe's SDK says about a refund."""
	detail, status = read(error, "error"), read(error, "http_status")
	code = read(error, "code") or read(detail, "code")
	message = mask(read(error, "user_message") or str(error))
	if isinstance(error, stripe.IdempotencyError):
		return RefundAnswer(RefundOutcome.REFUSED, code=code or "idempotency_error", message=message)
	if not isinstance(error, stripe.CardError) and _is_transient(error, code):
		return RefundAnswer(
			RefundOutcome.UNKNOWN,
			code=_transient_code(error, status, code),
			message=message,
			retry_after=retry_after(error),
		)
	return RefundAnswer(RefundOutcome.REFUSED, code=code or _refusal_code(error), message=message)


def dispute_answer(dispute) -> DisputeAnswer:
	"""A Dispute in the app's words, with what it has cost so far."""
	amount, currency = money(dispute.amount, dispute.currency)
	transactions = list(read(dispute, "balance_transactions", default=[]))
	balance_currency = transactions[0].currency if transactions else None
	fees = sum((from_minor(each.fee, each.currency) for each in transactions), Decimal(0))
	moved = sum((from_minor(each.amount, each.currency) for each in transactions), Decimal(0))
	return DisputeAnswer(
		dispute=dispute.id,
		status=dispute.status,
		reason=dispute.reason,
		amount=amount,
		currency=currency,
		charge=reference(read(dispute, "charge")),
		intent=reference(read(dispute, "payment_intent")),
		fees=fees,
		withdrawn=-moved,
		balance_currency=balance_currency.upper() if balance_currency else None,
		evidence_due=read(dispute, "evidence_details", "due_by"),
		created=read(dispute, "created"),
		metadata=plain(read(dispute, "metadata")),
	)


def checkout_answer(session) -> PaymentPage:
	"""A Checkout Session in the app's words."""
	amount = currency = None
	if read(session, "amount_total") is not None and read(session, "currency"):
		amount, currency = money(session.amount_total, session.currency)
	return PaymentPage(
		session=session.id,
		status=session.status,
		paid=session.payment_status == "paid",
		url=read(session, "url"),
		intent=reference(read(session, "payment_intent")),
		customer=reference(read(session, "customer")),
		amount=amount,
		currency=currency,
		metadata=plain(read(session, "metadata")),
	)


def fraud_warning(warning) -> FraudWarning:
	"""An early fraud warning in the app's words."""
	return FraudWarning(
		warning=warning.id,
		charge=reference(read(warning, "charge")),
		intent=reference(read(warning, "payment_intent")),
		fraud_type=warning.fraud_type,
		actionable=bool(read(warning, "actionable", default=False)),
	)
