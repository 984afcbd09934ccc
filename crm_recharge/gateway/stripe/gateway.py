"""The one place that talks to Stripe.

`StripeGateway` needs no Frappe. Its calls about payments and refunds never raise for what the network or
Stripe does: they return an Answer, and UNKNOWN where nothing is proven. Calls that move no money raise
GatewayError. Retrying is the caller's decision, with the same key; the SDK itself never repeats a call.
"""

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
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
from crm_recharge.gateway.port import MISSING, Capabilities
from crm_recharge.gateway.stripe import translate
from crm_recharge.gateway.stripe.minor_units import normal_currency, to_minor

API_VERSION = "2024-06-20"
"""The version every answer is read in, whatever the account's default or the SDK's own."""

CONNECT_TIMEOUT = 5
"""Seconds to reach Stripe; the answer itself may take the whole `timeout`."""

CAPABILITIES = Capabilities(delayed_payments=True)

PAGE = 100
INTENT_PARTS = ["latest_charge"]
CLOCK_TOLERANCE = timedelta(days=2)
"""By how much a clock here may have been wrong when something was asked: more than any mistaken time zone. Looking that
much further back costs a page or two of one customer's payments."""


class StripeGateway:
	"""Stripe, in the app's own words. One instance per thread or job; it keeps its connection open.

	`secret_key` is an API key (sk_… or rk_…), `api_base` another address than https://api.stripe.com, and
	`timeout` the seconds to wait for an answer. Raises ValueError for a missing or malformed key.
	"""

	def __init__(self, secret_key: str, api_base: str | None = None, timeout: float = 20):
		secret_key = (secret_key or "").strip()
		if not secret_key:
			raise ValueError("no secret key is set")
		if not secret_key.startswith(("sk_", "rk_")):
			raise ValueError("the secret key is not one: it must begin with sk_ or rk_")
		if not 0 < timeout <= 80:
			raise ValueError(f"the time-out must be between 1 and 80 seconds, not {timeout}")
		self.live = secret_key.startswith(("sk_live_", "rk_live_"))
		base = (api_base or "").strip().rstrip("/")
		if base and not base.startswith(("https://", "http://")):
			raise ValueError(f"the address of Stripe must begin with https:// or http://, not {base!r}")
		if base and self.live:
			raise ValueError("a live key is never sent to another address than Stripe's")
		client = stripe.StripeClient(
			secret_key,
			stripe_version=API_VERSION,
			base_addresses={"api": base} if base else {},
			max_network_retries=0,
			http_client=stripe.RequestsClient(timeout=(min(CONNECT_TIMEOUT, timeout), timeout)),
		)
		# newer SDKs keep the resources one level down
		self._stripe = getattr(client, "v1", client)

	def __repr__(self) -> str:
		return f"<StripeGateway {'live' if self.live else 'test'}>"

	# -- payments ------------------------------------------------------------------------------------------

	def charge(
		self,
		*,
		key: str,
		amount: Decimal,
		currency: str,
		customer: str,
		payment_method: str,
		description: str = "",
		metadata: dict | None = None,
		off_session: bool = True,
	) -> Answer:
		"""Charge a saved card now.

		`key` names this try: the same key again, with the same content, never charges twice within Stripe's
		24 hours, and `metadata["attempt"]` carries it so that the try can be found later. `amount` is in major
		units of `currency`. `off_session` says that the card holder is not there.

		Raises TypeError or ValueError only for what no request could mean (a float, a negative amount, an empty
		key); whatever Stripe or the network does comes back as an Answer.
		"""
		started = time.monotonic()
		params = {
			"amount": _positive(to_minor(amount, currency), amount),
			"currency": normal_currency(currency).lower(),
			"customer": _required(customer, "customer"),
			"payment_method": _required(payment_method, "payment_method"),
			"payment_method_types": ["card"],
			# captured before the answer comes, so that "succeeded" means the money moved
			"capture_method": "automatic",
			"confirm": True,
			"metadata": _metadata(metadata) | {"attempt": _required(key, "key")},
			"expand": INTENT_PARTS,
		}
		if description:
			params["description"] = description[:1000]
		if off_session:
			params["off_session"] = True

		answer, replayed = self._payment(
			lambda: self._stripe.payment_intents.create(params=params, options={"idempotency_key": key}),
			payment_method=payment_method,
		)
		if replayed or answer.code == "idempotency_error":
			answer = self._as_it_is_now(answer, key, customer)
		elif answer.decline_class is DeclineClass.CUSTOMER_GONE:
			# What was asked under this key before the customer went may have been paid.
			answer = self.find_by_attempt(key, customer, _a_day_ago()) or answer
		return _timed(answer, started)

	def _as_it_is_now(self, answer: Answer, key: str, customer: str) -> Answer:
		"""Look behind an answer that Stripe only repeated: the payment may have moved on since.

		Also for a 5xx kept under the key, and a key used with other content: both say nothing about what the
		first request did.
		"""
		if answer.intent:
			return self.retrieve(answer.intent)
		found = self.find_by_attempt(key, customer, _a_day_ago())
		if found is not None:
			return found
		if answer.outcome is Outcome.UNKNOWN and answer.code == "replayed_error":
			# the first request has ended, and left no payment behind
			return _with(answer, outcome=Outcome.ERROR, intent_open=False)
		return answer

	def cancel(self, intent: str, *, key: str | None = None) -> Answer:
		"""Close an intent for good: CANCELLED, or what it is when it cannot be closed (SUCCEEDED when it was
		faster; UNKNOWN while it is processing).

		`key` is for the caller's records only: cancelling twice is once by nature, while a repeated answer
		under a key could be a refusal that no longer holds.
		"""
		started = time.monotonic()
		_required(intent, "intent")
		answer, _ = self._payment(
			lambda: self._stripe.payment_intents.cancel(intent, params={"expand": INTENT_PARTS})
		)
		if answer.outcome is Outcome.ERROR and answer.code in (
			"payment_intent_unexpected_state",
			"intent_invalid_state",
		):
			answer = self.retrieve(intent)
		return _timed(answer, started)

	def retrieve(self, intent: str) -> Answer:
		"""An intent as it is now. ERROR with code `resource_missing` when there is none."""
		started = time.monotonic()
		_required(intent, "intent")
		answer, _ = self._payment(
			lambda: self._stripe.payment_intents.retrieve(intent, params={"expand": INTENT_PARTS})
		)
		return _timed(answer, started)

	def client_secret(self, intent: str) -> str:
		"""The secret with which the customer's own browser may complete `intent`. Never store or log it.

		Raises GatewayError."""
		_required(intent, "intent")
		return self._ask(lambda: self._stripe.payment_intents.retrieve(intent).client_secret)

	def find_by_attempt(self, key: str, customer: str, since: datetime) -> Answer | None:
		"""The intent that carries `metadata["attempt"] == key`, among those of `customer` made at or after
		`since` (timezone-aware; a clock here may have been wrong by two days).

		None means that Stripe has shown every one of them and none matches. When it could not be asked to the
		end, the Answer is UNKNOWN (or ERROR, when the question itself was refused).
		"""
		started = time.monotonic()
		found = None
		try:
			for answer in self._payments_of(_required(customer, "customer"), since):
				if answer.metadata.get("attempt") != key:
					continue
				if answer.outcome is Outcome.SUCCEEDED:
					return _timed(answer, started)
				found = found or answer
		except GatewayError as error:
			return _timed(_not_asked_to_the_end(error), started)
		return _timed(found, started) if found else None

	def find_by_recharge(
		self, recharge: str, customers: tuple[str, ...], since: datetime
	) -> tuple[Answer, ...] | Answer:
		"""Every intent that carries `metadata["recharge"] == recharge`, among those of `customers` (without any:
		among all) made at or after `since`, as for `find_by_attempt`. An Answer, UNKNOWN or ERROR, when it could
		not be asked to the end."""
		_required(recharge, "recharge")
		try:
			shown = [a for customer in customers or (None,) for a in self._payments_of(customer, since)]
		except GatewayError as error:
			return _not_asked_to_the_end(error)
		return tuple({a.intent: a for a in shown if a.metadata.get("recharge") == recharge}.values())

	def _payments_of(self, customer: str | None, since: datetime) -> Iterator[Answer]:
		"""Every intent of `customer` made at or after `since`; of everybody where Stripe has no such customer."""
		params = {
			"created": {"gte": _timestamp(since - CLOCK_TOLERANCE)},
			"expand": [f"data.{part}" for part in INTENT_PARTS],
		}
		listed = self._stripe.payment_intents.list
		try:
			of_one = params | ({"customer": customer} if customer else {})
			yield from self._pages(listed, of_one, translate.intent_answer)
		except CustomerGone:
			yield from self._pages(listed, params, translate.intent_answer)

	def intents_since(self, start: datetime, end: datetime | None = None) -> Iterator[Answer]:
		"""Every intent made from `start` to before `end` (timezone-aware), newest first. Raises GatewayError
		when Stripe cannot be asked to the end."""
		created = {"gte": _timestamp(start)} | ({"lt": _timestamp(end)} if end else {})
		params = {"created": created, "expand": [f"data.{part}" for part in INTENT_PARTS]}
		yield from self._pages(self._stripe.payment_intents.list, params, translate.intent_answer)

	# -- refunds and disputes ------------------------------------------------------------------------------

	def refund(
		self,
		*,
		key: str,
		intent: str,
		amount: Decimal,
		currency: str,
		metadata: dict | None = None,
		reason: str | None = None,
	) -> RefundAnswer:
		"""Send back `amount` (major units of `currency`) of a captured payment, under an idempotency key.

		`reason` is one of Stripe's: duplicate, fraudulent, requested_by_customer. Never raises for what Stripe
		or the network does. An answer that Stripe only repeats is looked up afresh.
		"""
		params = {
			"payment_intent": _required(intent, "intent"),
			"amount": _positive(to_minor(amount, currency), amount),
			"metadata": _metadata(metadata) | {"attempt": _required(key, "key")},
		}
		if reason:
			params["reason"] = reason
		started = time.monotonic()
		answer, replayed = self._refund(
			lambda: self._stripe.refunds.create(params=params, options={"idempotency_key": key})
		)
		if replayed or answer.code == "idempotency_error":
			answer = self._refund_as_it_is_now(answer, key, intent)
		return _timed(answer, started)

	def _refund_as_it_is_now(self, answer: RefundAnswer, key: str, intent: str) -> RefundAnswer:
		if answer.refund:
			return self.retrieve_refund(answer.refund)
		try:
			for refund in self.list_refunds(intent):
				if refund.metadata.get("attempt") == key:
					return refund
		except GatewayError as error:
			return RefundAnswer(
				RefundOutcome.UNKNOWN,
				intent=intent,
				code=error.code,
				message=error.message,
				retry_after=error.retry_after,
			)
		if answer.code == "replayed_error":
			return _with(answer, outcome=RefundOutcome.REFUSED)
		return answer

	def retrieve_refund(self, refund: str) -> RefundAnswer:
		"""A refund as it is now."""
		started = time.monotonic()
		_required(refund, "refund")
		answer, _ = self._refund(lambda: self._stripe.refunds.retrieve(refund))
		return _timed(answer, started)

	def list_refunds(self, intent: str) -> list[RefundAnswer]:
		"""Every refund of a payment, newest first. Raises GatewayError."""
		params = {"payment_intent": _required(intent, "intent")}
		return list(self._pages(self._stripe.refunds.list, params, translate.refund_answer))

	def refunds_since(self, start: datetime) -> Iterator[RefundAnswer]:
		"""Every refund made at or after `start` (timezone-aware), newest first. Raises GatewayError."""
		params = {"created": {"gte": _timestamp(start)}}
		yield from self._pages(self._stripe.refunds.list, params, translate.refund_answer)

	def disputes_since(self, start: datetime) -> Iterator[DisputeAnswer]:
		"""Every dispute opened at or after `start` (timezone-aware), newest first. Raises GatewayError."""
		params = {"created": {"gte": _timestamp(start)}}
		yield from self._pages(self._stripe.disputes.list, params, translate.dispute_answer)

	def retrieve_dispute(self, dispute: str) -> DisputeAnswer:
		"""A dispute as it is now. Raises GatewayError."""
		_required(dispute, "dispute")
		return self._ask(lambda: translate.dispute_answer(self._stripe.disputes.retrieve(dispute)))

	def retrieve_fraud_warning(self, warning: str) -> FraudWarning:
		"""An early fraud warning of a card network. Raises GatewayError."""
		_required(warning, "warning")
		return self._ask(
			lambda: translate.fraud_warning(self._stripe.radar.early_fraud_warnings.retrieve(warning))
		)

	def balance_fee(self, charge: str) -> tuple[Decimal, str] | None:
		"""What Stripe kept of a captured charge: (fee, currency of the balance), or None while Stripe has not
		worked it out yet. Raises GatewayError."""
		_required(charge, "charge")
		params = {"expand": ["balance_transaction"]}
		return self._ask(lambda: translate.fee(self._stripe.charges.retrieve(charge, params=params)))

	# -- customers and cards -------------------------------------------------------------------------------

	def create_customer(
		self, *, key: str, name: str, email: str | None = None, metadata: dict | None = None
	) -> str:
		"""Make a customer, under an idempotency key, and return its id. Raises GatewayError."""
		params = {"name": _required(name, "name"), "metadata": _metadata(metadata)}
		if email:
			params["email"] = email
		options = {"idempotency_key": _required(key, "key")}
		return self._ask(lambda: self._stripe.customers.create(params=params, options=options).id)

	def create_setup_intent(
		self, customer: str, *, key: str, metadata: dict | None = None
	) -> tuple[str, str]:
		"""Begin saving a card for charges without the card holder: (id, client secret for the browser).

		Cards only: a bank account cannot be saved through it. Raises GatewayError."""
		params = {
			"customer": _required(customer, "customer"),
			"usage": "off_session",
			"payment_method_types": ["card"],
			"metadata": _metadata(metadata),
		}
		options = {"idempotency_key": _required(key, "key")}

		def create():
			intent = self._stripe.setup_intents.create(params=params, options=options)
			return intent.id, intent.client_secret

		return self._ask(create)

	def retrieve_setup_intent(self, setup_intent: str) -> CardSetup:
		"""How far saving a card has come. Raises GatewayError."""
		_required(setup_intent, "setup_intent")
		return self._ask(lambda: translate.setup_answer(self._stripe.setup_intents.retrieve(setup_intent)))

	def retrieve_card(self, payment_method: str) -> SavedCard:
		"""A payment method as Stripe keeps it; `kind` tells cards from the rest. Raises GatewayError."""
		_required(payment_method, "payment_method")
		return self._ask(lambda: translate.saved_card(self._stripe.payment_methods.retrieve(payment_method)))

	def attach(self, payment_method: str, customer: str) -> SavedCard:
		"""Give a payment method to a customer. The answer names the one to keep: Stripe makes a new one of its
		shared test methods. Raises GatewayError, with the decline code when the bank refuses the card."""
		_required(payment_method, "payment_method")
		params = {"customer": _required(customer, "customer")}
		return self._ask(
			lambda: translate.saved_card(self._stripe.payment_methods.attach(payment_method, params=params))
		)

	def detach(self, payment_method: str) -> SavedCard:
		"""Take a payment method away from its customer; it can never be charged again. Detaching one that is
		detached already, or that Stripe does not have, is no error. Raises GatewayError."""
		_required(payment_method, "payment_method")
		try:
			return self._ask(
				lambda: translate.saved_card(self._stripe.payment_methods.detach(payment_method))
			)
		except GatewayUnavailable:
			raise
		except GatewayError:
			try:
				card = self.retrieve_card(payment_method)
			except GatewayError as error:
				if error.code == MISSING:
					return SavedCard(payment_method, "card")
				raise
			if card.customer:
				raise
			return card

	def list_cards(self, customer: str) -> list[SavedCard]:
		"""Every card of a customer, newest first. Raises GatewayError."""
		params = {"customer": _required(customer, "customer"), "type": "card"}
		return list(self._pages(self._stripe.payment_methods.list, params, translate.saved_card))

	# -- Stripe's own payment page ---------------------------------------------------------------------------

	def create_checkout(
		self,
		*,
		key: str,
		amount: Decimal,
		currency: str,
		customer: str,
		description: str,
		success_url: str,
		cancel_url: str,
		metadata: dict | None = None,
		kinds: list[str] | None = None,
		save_card: bool = False,
	) -> PaymentPage:
		"""A page at Stripe where the customer pays `amount` (major units of `currency`) once.

		`kinds` limits the ways to pay (card, paypal, …); without it Stripe offers what its dashboard is set to.
		The payment carries `metadata` and `attempt` = `key`, as one of `charge` does. `success_url` may hold
		{CHECKOUT_SESSION_ID}. `save_card` keeps the card for charges without the card holder. Raises GatewayError
		(ask again with the same key when it is retryable), and TypeError or ValueError as `charge` does.
		"""
		price = {
			"currency": normal_currency(currency).lower(),
			"unit_amount": _positive(to_minor(amount, currency), amount),
			"product_data": {"name": _required(description, "description")[:250]},
		}
		carried = _metadata(metadata) | {"attempt": _required(key, "key")}
		payment = {"metadata": carried, "description": description[:1000]}
		if save_card:
			payment["setup_future_usage"] = "off_session"
		params = {
			"mode": "payment",
			"customer": _required(customer, "customer"),
			"line_items": [{"quantity": 1, "price_data": price}],
			"payment_intent_data": payment,
			"metadata": carried,
			"success_url": _required(success_url, "success_url"),
			"cancel_url": _required(cancel_url, "cancel_url"),
		}
		if kinds:
			params["payment_method_types"] = kinds
		options = {"idempotency_key": key}
		return self._ask(
			lambda: translate.checkout_answer(
				self._stripe.checkout.sessions.create(params=params, options=options)
			)
		)

	def retrieve_checkout(self, session: str) -> PaymentPage:
		"""A payment page as it is now; what was paid is told by its `intent`. Raises GatewayError."""
		_required(session, "session")
		return self._ask(lambda: translate.checkout_answer(self._stripe.checkout.sessions.retrieve(session)))

	def expire_checkout(self, session: str) -> PaymentPage:
		"""Close a payment page; one that is paid or closed already stays as it is. Raises GatewayError."""
		_required(session, "session")
		try:
			return self._ask(
				lambda: translate.checkout_answer(self._stripe.checkout.sessions.expire(session))
			)
		except GatewayUnavailable:
			raise
		except GatewayError as error:
			found = self.retrieve_checkout(session)
			if found.status == "open":
				raise error from None
			return found

	# -- how a call is made --------------------------------------------------------------------------------

	def _payment(self, call, payment_method: str | None = None) -> tuple[Answer, bool]:
		"""Make `call`, which returns a PaymentIntent. Returns the answer, and whether Stripe only repeated it."""
		return _answered(
			call,
			translate.intent_answer,
			lambda error: translate.error_answer(error, payment_method=payment_method),
			lambda problem: Answer(
				Outcome.UNKNOWN,
				code="unreadable_answer",
				message=problem,
				intent_open=True,
				payment_method=payment_method,
			),
		)

	def _refund(self, call) -> tuple[RefundAnswer, bool]:
		return _answered(
			call,
			translate.refund_answer,
			translate.refund_error,
			lambda problem: RefundAnswer(RefundOutcome.UNKNOWN, code="unreadable_answer", message=problem),
		)

	def _ask(self, call):
		"""Make `call`, which moves no money, and turn what goes wrong into GatewayError."""
		try:
			return call()
		except stripe.StripeError as error:
			raise translate.management_error(error) from None
		except Exception as error:
			raise GatewayUnavailable("unreadable_answer", _unreadable(error)) from None

	def _pages(self, list_call, params: dict, translate_object) -> Iterator:
		"""Every object of a list, translated, page by page."""
		after = {}
		while True:

			def read(after=after):
				page = list_call(params=params | {"limit": PAGE} | after)
				# a cut-off list must never pass for a short one
				if not isinstance(page.data, list) or (page.has_more and not page.data):
					raise AttributeError("not a list")
				last = page.data[-1].id if page.has_more else None
				return [translate_object(each) for each in page.data], last

			found, last = self._ask(read)
			yield from found
			if last is None:
				return
			after = {"starting_after": last}


def _answered(call, translate_object, translate_error, make_unreadable):
	"""(answer, whether Stripe only repeated it). Whatever goes wrong once the call is out is an answer too: the
	SDK itself stumbles over some bodies, and an object may lack what it must have."""
	replayed = False
	try:
		try:
			found = call()
		except stripe.StripeError as error:
			replayed = translate.was_replayed(error)
			return translate_error(error), replayed
		replayed = translate.was_replayed(translate.read(found, "last_response"))
		return translate_object(found), replayed
	except Exception as error:
		return make_unreadable(_unreadable(error)), replayed


def _unreadable(error: Exception) -> str:
	return mask(f"Stripe's answer could not be read ({type(error).__name__}: {error}).")


def _not_asked_to_the_end(error: GatewayError) -> Answer:
	return Answer(
		Outcome.UNKNOWN if error.retryable else Outcome.ERROR,
		code=error.code,
		message=error.message,
		retry_after=error.retry_after,
	)


def _a_day_ago() -> datetime:
	"""Before this no key is remembered, even by a generous clock."""
	return datetime.now(timezone.utc) - timedelta(hours=25)


def _with(answer, **changes):
	fields = {name: getattr(answer, name) for name in answer.__dataclass_fields__}
	return type(answer)(**fields | changes)


def _timed(answer, started: float):
	return _with(answer, milliseconds=round((time.monotonic() - started) * 1000))


def _required(value: str, name: str) -> str:
	if not isinstance(value, str) or not value.strip():
		raise ValueError(f"{name} must be given")
	return value


def _positive(minor: int, amount) -> int:
	if minor <= 0:
		raise ValueError(f"The amount must be more than zero, got {amount}")
	return minor


def _metadata(metadata: dict | None) -> dict[str, str]:
	"""Stripe keeps strings: 40 characters a name, 500 a value."""
	return {str(name)[:40]: str(value)[:500] for name, value in (metadata or {}).items() if value is not None}


def _timestamp(when: datetime) -> int:
	if when.tzinfo is None:
		raise ValueError(f"{when} has no time zone")
	return int(when.timestamp())
