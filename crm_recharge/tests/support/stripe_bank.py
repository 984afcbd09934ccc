"""The stand-in's Stripe: objects in memory and the rules they follow, without HTTP.

Every call holds one lock, so that concurrent requests are as if one after the other. With a journal each
object is also appended to a file as it changes, and a bank that is opened on it again knows everything.
"""

import calendar
import copy
import hashlib
import json
import re
import secrets
import threading
import time
from datetime import date

from crm_recharge.tests.support.stripe_cards import TestCard, card_of

FEE_PERCENT_IN_BASIS_POINTS, FEE_FIXED, DISPUTE_FEE = 290, 30, 1500
# https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts, in minor units.
MINIMUM = {
	**dict.fromkeys("usd aud brl cad chf eur inr nzd sgd jpy".split(), 50),
	**dict.fromkeys("aed myr pln ron".split(), 200),
	**dict.fromkeys("nok sek".split(), 300),
	**dict.fromkeys("mxn thb".split(), 1000),
	**{"bgn": 100, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500},
}
PREFIXES = {
	"customer": "cus",
	"payment_method": "pm",
	"payment_intent": "pi",
	"charge": "ch",
	"refund": "re",
	"setup_intent": "seti",
	"dispute": "dp",
	"balance_transaction": "txn",
	"event": "evt",
	"checkout.session": "cs_test",
	"radar.early_fraud_warning": "issfr",
}
CANCELABLE = (
	"requires_payment_method",
	"requires_capture",
	"requires_confirmation",
	"requires_action",
	"processing",
)


class StripeProblem(Exception):
	"""An answer of Stripe that is an error. `kept` says that an idempotency key remembers it."""

	def __init__(self, status: int, type_: str, message: str, kept: bool = False, **fields):
		super().__init__(message)
		self.status, self.kept = status, kept
		self.body = {"error": {"type": type_, "message": message} | fields}


def invalid(message: str, code: str | None = None, param: str | None = None, status: int = 400, **fields):
	"""A request that Stripe refuses as such."""
	named = {name: value for name, value in (("code", code), ("param", param)) if value}
	return StripeProblem(status, "invalid_request_error", message, **named, **fields)


def missing(kind: str, id_: str, param: str = "id", status: int = 404):
	"""No such object."""
	return invalid(f"No such {kind}: '{id_}'", "resource_missing", param, status)


class Bank:
	"""State and rules. `journal` is a path to keep the state in, or None."""

	def __init__(self, journal: str | None = None):
		self.lock = threading.RLock()
		self.objects: dict[str, dict[str, dict]] = {}
		self.keys: dict[str, dict] = {}
		self.in_flight: set[str] = set()
		self.on_event = lambda event: None
		self._due: list[tuple[float, str]] = []
		self._file = None
		# Stripe's fingerprints are an account's own; a fresh stand-in is a fresh account, and declines
		# which a site remembers of an earlier one must not count against its cards.
		self._salt = None
		if journal:
			self._load(journal)
			self._file = open(journal, "a", buffering=1)
		if not self._salt:
			self._salt = secrets.token_hex(8)
			self._append("salt", "fingerprint", self._salt)

	# -- keeping -------------------------------------------------------------------------------------------

	def _load(self, journal: str):
		try:
			lines = open(journal)
		except FileNotFoundError:
			return
		with lines:
			for line in lines:
				try:
					kind, id_, value = json.loads(line)
				except ValueError:
					continue  # the last line of a process that was killed
				if kind == "salt":
					self._salt = value
				elif kind == "key":
					self.keys[id_] = value
				else:
					self.objects.setdefault(kind, {})[id_] = value
		self._due = [
			(intent["_settles_at"], intent["id"])
			for intent in self.objects.get("payment_intent", {}).values()
			if intent["status"] == "processing"
		]

	def _append(self, kind: str, id_: str, value: dict | str):
		if self._file:
			self._file.write(json.dumps([kind, id_, value]) + "\n")

	def remember(self, key: str, kept: dict):
		"""Keep the answer of an idempotency key."""
		self.keys[key] = kept
		self._append("key", key, kept)

	def put(self, obj: dict) -> dict:
		"""Keep a new or changed object."""
		self.objects.setdefault(obj["object"], {})[obj["id"]] = obj
		self._append(obj["object"], obj["id"], obj)
		return obj

	def new(self, kind: str, **fields) -> dict:
		"""Keep a new object of `kind`."""
		base = {
			"id": f"{PREFIXES[kind]}_{secrets.token_hex(12)}",
			"object": kind,
			"created": int(time.time()),
			"livemode": False,
		}
		return self.put(base | fields)

	def get(self, kind: str, id_: str, param: str = "id", status: int = 404) -> dict:
		"""The object, or Stripe's `resource_missing`."""
		try:
			return self.objects[kind][id_]
		except (KeyError, TypeError):
			raise missing(kind, id_, param, status) from None

	def all(self, kind: str) -> list[dict]:
		"""Every object of `kind`, newest first."""
		return list(reversed(self.objects.get(kind, {}).values()))

	def reset(self):
		"""Forget everything."""
		with self.lock:
			self.objects.clear()
			self.keys.clear()
			self._due.clear()
			if self._file:
				self._file.truncate(0)

	# -- showing -------------------------------------------------------------------------------------------

	def show(self, obj: dict, expand=()) -> dict:
		"""A copy fit to send: no private fields, with the parts of `expand` in place of their ids."""
		shown = copy.deepcopy({name: value for name, value in obj.items() if not name.startswith("_")})
		for path in expand or ():
			self._expand(shown, path.split("."))
		return shown

	def _expand(self, obj: dict, path: list[str]):
		name, *rest = path
		if obj.get("object") == "list" and name == "data":
			for item in obj["data"]:
				if rest:
					self._expand(item, rest)
			return
		if name not in obj:
			raise invalid(f"This property cannot be expanded ({name}).", param="expand")
		if isinstance(obj[name], str):
			kind = next(k for k, prefix in PREFIXES.items() if obj[name].startswith(prefix + "_"))
			obj[name] = self.show(self.get(kind, obj[name]))
		if rest and obj[name]:
			self._expand(obj[name], rest)

	def page(self, url: str, items: list[dict], params: dict) -> dict:
		"""One page of a list, with Stripe's `limit`, `starting_after`, `created` and `expand`."""
		items = [item for item in items if _created_within(item, params.get("created"))]
		limit = whole(params.get("limit", 10), "limit")
		if not 1 <= limit <= 100:
			raise invalid("limit must be between 1 and 100", "parameter_invalid_integer", "limit")
		if "starting_after" in params:
			ids = [item["id"] for item in items]
			if params["starting_after"] not in ids:
				raise missing("object", params["starting_after"], "starting_after", 400)
			items = items[ids.index(params["starting_after"]) + 1 :]
		shown = {
			"object": "list",
			"url": url,
			"has_more": len(items) > limit,
			"data": [self.show(item) for item in items[:limit]],
		}
		for path in params.get("expand") or ():
			self._expand(shown, path.split("."))
		return shown

	def emit(self, type_: str, obj: dict):
		"""Make an event about `obj` as it is now."""
		event = self.new(
			"event",
			type=type_,
			api_version="2024-06-20",
			data={"object": self.show(obj)},
			pending_webhooks=0,
			request={"id": None, "idempotency_key": None},
		)
		self.on_event(self.show(event))

	# -- customers and payment methods ---------------------------------------------------------------------

	def create_customer(self, params: dict) -> dict:
		"""POST /v1/customers"""
		customer = self.new(
			"customer",
			name=params.get("name"),
			email=params.get("email"),
			description=params.get("description"),
			metadata=params.get("metadata") or {},
			balance=0,
			default_source=None,
		)
		if "payment_method" in params:
			self.attach(params["payment_method"], {"customer": customer["id"]})
		return customer

	def customer(self, id_: str) -> dict:
		"""A customer, as a parameter of something else; one that was deleted is none any more."""
		customer = self.get("customer", id_, "customer", 400)
		if customer.get("deleted"):
			raise missing("customer", id_, "customer", 400)
		return customer

	def delete_customer(self, id_: str) -> dict:
		"""DELETE /v1/customers/:id: its payment methods go with it."""
		customer = self.get("customer", id_)
		for method in self.all("payment_method"):
			if method["customer"] == id_:
				self.put(method | {"customer": None, "_gone": True})
		self.put(customer | {"deleted": True})
		return {"id": id_, "object": "customer", "deleted": True}

	def make_method(self, type_: str, number: str = "", exp_month=12, exp_year=2034, billing=None) -> dict:
		"""A payment method of a test number, not attached to anybody."""
		if type_ == "us_bank_account":
			return self.new(
				"payment_method",
				type=type_,
				customer=None,
				metadata={},
				billing_details=billing or {},
				us_bank_account={
					"bank_name": "STRIPE TEST BANK",
					"last4": "6789",
					"account_type": "checking",
				},
				_number="bank",
			)
		if type_ != "card":
			raise invalid(f"Invalid type: {type_}", param="type")
		try:
			card = card_of(number)
		except KeyError:
			raise StripeProblem(
				402, "card_error", "Your card number is incorrect.", code="incorrect_number", param="number"
			) from None
		month, year = whole(exp_month, "exp_month"), whole(exp_year, "exp_year")
		if not 1 <= month <= 12:
			raise StripeProblem(
				402, "card_error", "Your card's expiration month is invalid.", code="invalid_expiry_month"
			)
		return self.new(
			"payment_method",
			type="card",
			customer=None,
			metadata={},
			billing_details=billing or {"address": None, "email": None, "name": None, "phone": None},
			card={
				"brand": card.brand,
				"checks": {
					"address_line1_check": None,
					"address_postal_code_check": None,
					"cvc_check": "pass",
				},
				"country": card.country,
				"exp_month": month,
				"exp_year": year + 2000 if year < 100 else year,
				"fingerprint": hashlib.sha256(f"{self._salt} {card.number}".encode()).hexdigest()[:16],
				"funding": card.funding,
				"last4": card.number[-4:],
				"three_d_secure_usage": {"supported": True},
				"wallet": None,
			},
			_number=card.number,
			_setup=False,
			_used=False,
		)

	def method(self, id_: str, param: str = "payment_method", status: int = 404) -> dict:
		"""A payment method; one of Stripe's shared names (pm_card_visa) makes a new one."""
		if isinstance(id_, str) and id_.startswith("pm_card_"):
			try:
				return self.make_method("card", card_of(id_).number if "_" in id_ else id_)
			except KeyError:
				pass
		try:
			return self.objects["payment_method"][id_]
		except (KeyError, TypeError):
			raise missing("PaymentMethod", id_, param, status) from None

	def method_from(self, data: dict) -> dict:
		"""A payment method from `payment_method_data`."""
		type_ = data.get("type", "card")
		if type_ != "card":
			return self.make_method(type_, billing=data.get("billing_details"))
		card = data.get("card") or {}
		if card.get("token"):
			return self.method("pm_card_" + str(card["token"]).removeprefix("tok_"))
		return self.make_method(
			"card",
			str(card.get("number", "")),
			card.get("exp_month", 12),
			card.get("exp_year", 2034),
			data.get("billing_details"),
		)

	def attach(self, id_: str, params: dict) -> dict:
		"""POST /v1/payment_methods/:id/attach: the bank is asked, as Stripe does."""
		method = self.method(id_)
		customer = self.customer(params.get("customer"))
		if method["customer"] not in (None, customer["id"]):
			raise invalid("The payment method you provided has already been attached to a customer.")
		if method.get("_gone"):
			raise invalid(_USED_UP)
		self._check_card(method)
		method["customer"] = customer["id"]
		self.put(method)
		self.emit("payment_method.attached", method)
		return method

	def _check_card(self, method: dict):
		card = _conduct(method)
		if card and card.code and not card.attaches:
			raise StripeProblem(402, "card_error", card.message, kept=True, **_why(card))

	def detach(self, id_: str) -> dict:
		"""POST /v1/payment_methods/:id/detach"""
		method = self.method(id_)
		if not method["customer"]:
			raise invalid(
				"The payment method you provided is not attached to a customer so detachment is impossible."
			)
		method["customer"], method["_gone"] = None, True
		self.put(method)
		self.emit("payment_method.detached", method)
		return method

	# -- payment intents -----------------------------------------------------------------------------------

	def create_intent(self, params: dict, processing: float | None = None) -> dict:
		"""POST /v1/payment_intents"""
		amount, currency = whole(params.get("amount"), "amount"), str(params.get("currency", "")).lower()
		if not re.fullmatch("[a-z]{3}", currency):
			raise invalid(f"Invalid currency: {currency}", param="currency")
		if amount < MINIMUM.get(currency, 1):
			raise invalid("Amount must be at least the minimum charge amount.", "amount_too_small", "amount")
		if amount > 99999999 and currency not in ("idr", "inr", "jpy", "huf", "cop", "lbp"):
			raise invalid("Amount must be no more than 999,999.99.", "amount_too_large", "amount")
		if currency in ("bhd", "jod", "kwd", "omr", "tnd") and amount % 10:
			raise invalid(
				"Amount must be divisible by 10 in this currency.", "parameter_invalid_integer", "amount"
			)
		if currency in ("isk", "ugx") and amount % 100:
			raise invalid(
				"Amount must be divisible by 100 in this currency.", "parameter_invalid_integer", "amount"
			)
		customer = params.get("customer")
		if customer:
			self.customer(customer)
		confirm, off_session = truth(params.get("confirm")), truth(params.get("off_session"))
		if off_session and not confirm:
			raise invalid("off_session may only be used with confirm=true.", param="off_session")
		method = self._method_for(params, customer)
		if confirm and not method:
			raise invalid(
				"You cannot confirm this PaymentIntent because it's missing a payment method.",
				"payment_intent_unexpected_state",
			)
		types = params.get("payment_method_types") or ["card"]
		if method and method["type"] not in types:
			raise invalid(
				f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent.",
				"payment_intent_incompatible_payment_method",
				"payment_method",
			)
		intent = self.new(
			"payment_intent",
			amount=amount,
			amount_capturable=0,
			amount_received=0,
			canceled_at=None,
			cancellation_reason=None,
			capture_method=params.get("capture_method", "automatic_async"),
			client_secret=None,
			confirmation_method="automatic",
			currency=currency,
			customer=customer,
			description=params.get("description"),
			last_payment_error=None,
			latest_charge=None,
			metadata=params.get("metadata") or {},
			next_action=None,
			payment_method=method["id"] if method else None,
			payment_method_types=types,
			receipt_email=params.get("receipt_email"),
			setup_future_usage=params.get("setup_future_usage"),
			status="requires_confirmation" if method else "requires_payment_method",
		)
		intent["client_secret"] = f"{intent['id']}_secret_{secrets.token_hex(12)}"
		self.put(intent)
		self.emit("payment_intent.created", intent)
		if confirm:
			self._try_to_pay(intent, method, off_session, processing)
		return intent

	def _method_for(self, params: dict, customer: str | None) -> dict | None:
		if params.get("payment_method_data"):
			return self.method_from(params["payment_method_data"])
		if not params.get("payment_method"):
			return None
		method = self.method(params["payment_method"], status=400)
		if method.get("_gone") or (method.get("_used") and not method["customer"]):
			raise invalid(_USED_UP)
		if customer and method["customer"] != customer and method["customer"] is not None:
			raise invalid(
				f"The customer does not have a payment method with the ID {method['id']}."
				" The payment method must be attached to the customer.",
				"resource_missing",
				"payment_method",
			)
		return method

	def confirm_intent(self, id_: str, params: dict, processing: float | None = None) -> dict:
		"""POST /v1/payment_intents/:id/confirm"""
		intent = self.get("payment_intent", id_, "intent")
		if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
			raise self._wrong_state(intent, "confirm")
		method = self._method_for(params, intent["customer"])
		method = method or (self.method(intent["payment_method"]) if intent["payment_method"] else None)
		if not method:
			raise self._wrong_state(intent, "confirm")
		self._try_to_pay(intent, method, truth(params.get("off_session")), processing)
		return intent

	def _try_to_pay(self, intent: dict, method: dict, off_session: bool, processing: float | None = None):
		"""Ask the bank. Changes the intent; raises Stripe's card error when the bank refuses."""
		card = _conduct(method)
		intent |= {"payment_method": method["id"], "next_action": None, "last_payment_error": None}
		method["_used"] = True
		self.put(method)
		if _must_authenticate(card, method, off_session):
			if not off_session:
				intent["next_action"] = {
					"type": "use_stripe_sdk",
					"use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": ""},
				}
				intent["status"] = "requires_action"
				self.put(intent)
				self.emit("payment_intent.requires_action", intent)
				return
			card = TestCard(
				card.number,
				code="authentication_required",
				decline_code="authentication_required",
				message="Your card was declined. This transaction requires authentication.",
			)
		if processing is not None:
			intent |= {"status": "processing", "_settles_at": time.time() + processing}
			self._due.append((intent["_settles_at"], intent["id"]))
			self.put(intent)
			self.emit("payment_intent.processing", intent)
			return
		self._ask_bank(intent, method, card)

	def _ask_bank(self, intent: dict, method: dict, card: TestCard):
		if _past(method):
			card = card_of("4000000000000069")
		charge = self.new(
			"charge",
			amount=intent["amount"],
			amount_captured=0,
			amount_refunded=0,
			balance_transaction=None,
			billing_details=method["billing_details"],
			captured=False,
			currency=intent["currency"],
			customer=intent["customer"],
			description=intent["description"],
			dispute=None,
			disputed=False,
			failure_code=None,
			failure_message=None,
			metadata=dict(intent["metadata"]),
			outcome={
				"network_status": "approved_by_network",
				"reason": None,
				"risk_level": card.risk_level,
				"risk_score": {"normal": 20, "elevated": 70, "highest": 95}[card.risk_level],
				"seller_message": "Payment complete.",
				"type": "authorized",
			},
			paid=False,
			payment_intent=intent["id"],
			payment_method=method["id"],
			payment_method_details={"type": method["type"], "card": copy.deepcopy(method.get("card"))},
			receipt_url=None,
			refunded=False,
			status="pending",
		)
		intent["latest_charge"] = charge["id"]
		if card.code:
			self._refuse(intent, charge, method, card)
		charge |= {"status": "succeeded", "paid": True}
		if intent["setup_future_usage"] and intent["customer"] and not method["customer"]:
			method |= {"customer": intent["customer"], "_setup": True}
			self.emit("payment_method.attached", self.put(method))
		if intent["capture_method"] == "manual":
			intent |= {"status": "requires_capture", "amount_capturable": intent["amount"]}
			self.put(charge)
			self.put(intent)
			self.emit("payment_intent.amount_capturable_updated", intent)
			return
		self._capture(intent, charge, intent["amount"])
		if card.dispute:
			self.dispute(charge["id"], card.dispute, inquiry=card.inquiry)
		if card.fraud_warning:
			self.warn_of_fraud(charge["id"])

	def _refuse(self, intent: dict, charge: dict, method: dict, card: TestCard):
		why = _why(card)
		charge |= {"status": "failed", "failure_code": card.code, "failure_message": card.message}
		charge["outcome"] |= {
			"network_status": "not_sent_to_network" if card.blocked else "declined_by_network",
			"reason": "highest_risk_level" if card.blocked else card.decline_code or card.code,
			"seller_message": "The bank did not accept the payment.",
			"type": "blocked" if card.blocked else "issuer_declined",
		}
		error = {"type": "card_error", "message": card.message, "charge": charge["id"]} | why
		intent |= {
			"status": "requires_payment_method",
			"payment_method": None,
			"last_payment_error": error | {"payment_method": self.show(method)},
		}
		self.put(charge)
		self.put(intent)
		self.emit("charge.failed", charge)
		self.emit("payment_intent.payment_failed", intent)
		raise StripeProblem(
			402,
			"card_error",
			card.message,
			kept=True,
			charge=charge["id"],
			payment_intent=self.show(intent),
			payment_method=self.show(method),
			**why,
		)

	def _capture(self, intent: dict, charge: dict, amount: int):
		fee = (amount * FEE_PERCENT_IN_BASIS_POINTS + 5000) // 10000 + FEE_FIXED
		charge |= {
			"captured": True,
			"amount_captured": amount,
			"balance_transaction": self._move("charge", charge["id"], amount, charge["currency"], fee),
			"receipt_url": f"https://pay.stripe.com/receipts/{charge['id']}",
		}
		intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
		self.put(charge)
		self.put(intent)
		self.emit("charge.succeeded", charge)
		self.emit("payment_intent.succeeded", intent)

	def _move(self, type_: str, source: str, amount: int, currency: str, fee: int = 0) -> str:
		return self.new(
			"balance_transaction",
			amount=amount,
			available_on=int(time.time()) + 172800,
			currency=currency,
			exchange_rate=None,
			fee=fee,
			fee_details=[{"amount": fee, "currency": currency, "type": "stripe_fee"}] if fee else [],
			net=amount - fee,
			reporting_category=type_,
			source=source,
			status="pending",
			type=type_,
		)["id"]

	def capture_intent(self, id_: str, params: dict) -> dict:
		"""POST /v1/payment_intents/:id/capture"""
		intent = self.get("payment_intent", id_, "intent")
		if intent["status"] != "requires_capture":
			raise self._wrong_state(intent, "capture")
		amount = whole(params.get("amount_to_capture", intent["amount"]), "amount_to_capture")
		self._capture(intent, self.get("charge", intent["latest_charge"]), amount)
		return intent

	def cancel_intent(self, id_: str, params: dict) -> dict:
		"""POST /v1/payment_intents/:id/cancel"""
		intent = self.get("payment_intent", id_, "intent")
		# a card payment that is processing cannot be called back any more
		if intent["status"] not in CANCELABLE or intent["status"] == "processing":
			raise self._wrong_state(intent, "cancel")
		intent |= {
			"status": "canceled",
			"canceled_at": int(time.time()),
			"cancellation_reason": params.get("cancellation_reason"),
			"next_action": None,
			"amount_capturable": 0,
		}
		self.put(intent)
		self.emit("payment_intent.canceled", intent)
		return intent

	def _wrong_state(self, intent: dict, verb: str):
		return invalid(
			f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
			"payment_intent_unexpected_state",
			payment_intent=self.show(intent),
			kept=True,
		)

	def update_intent(self, id_: str, params: dict) -> dict:
		"""POST /v1/payment_intents/:id: metadata and description."""
		intent = self.get("payment_intent", id_, "intent")
		intent["metadata"] = _merged(intent["metadata"], params.get("metadata"))
		if "description" in params:
			intent["description"] = params["description"] or None
		return self.put(intent)

	def authenticate(self, id_: str, success: bool) -> dict:
		"""What the card holder does at the bank: confirm, or fail to."""
		intent = self.get("payment_intent", id_, "intent")
		if intent["status"] != "requires_action":
			raise self._wrong_state(intent, "authenticate")
		method = self.method(intent["payment_method"])
		intent["next_action"] = None
		try:
			if success:
				self._ask_bank(intent, method, _conduct(method))
			else:
				failed = TestCard(
					method["_number"],
					code="payment_intent_authentication_failure",
					message="We are unable to authenticate your payment method.",
				)
				self._ask_bank(intent, method, failed)
		except StripeProblem:
			pass  # the browser reads the outcome from the intent
		return intent

	def settle_due(self):
		"""Decide the payments whose processing has come to its end."""
		with self.lock:
			now = time.time()
			due = [id_ for when, id_ in self._due if when <= now]
			self._due = [(when, id_) for when, id_ in self._due if when > now]
			for id_ in due:
				intent = self.get("payment_intent", id_)
				if intent["status"] != "processing":
					continue
				method = self.method(intent["payment_method"])
				try:
					self._ask_bank(intent, method, _conduct(method))
				except StripeProblem:
					pass

	# -- refunds -------------------------------------------------------------------------------------------

	def create_refund(self, params: dict) -> dict:
		"""POST /v1/refunds"""
		if params.get("payment_intent"):
			intent = self.get("payment_intent", params["payment_intent"], "payment_intent", 400)
			charge_id = intent["latest_charge"]
			if intent["status"] != "succeeded":
				raise invalid(
					f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
					"payment_intent_unexpected_state",
					"payment_intent",
				)
		else:
			charge_id = params.get("charge")
		charge = self.get("charge", charge_id, "charge", 400)
		if not charge["captured"]:
			raise invalid(f"Charge {charge['id']} has not been captured.", "charge_not_refundable")
		left = charge["amount_captured"] - charge["amount_refunded"]
		amount = whole(params.get("amount", left), "amount")
		if charge["disputed"]:
			raise invalid(f"Charge {charge['id']} has been charged back.", "charge_disputed", kept=True)
		if not left:
			raise invalid(
				f"Charge {charge['id']} has already been refunded.", "charge_already_refunded", kept=True
			)
		if not 0 < amount <= left:
			raise invalid(
				f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
				param="amount",
				kept=True,
			)
		method = self.objects["payment_method"].get(charge["payment_method"])
		fate = _conduct(method).refund if method else "succeeded"
		refund = self.new(
			"refund",
			amount=amount,
			charge=charge["id"],
			currency=charge["currency"],
			failure_reason=None,
			metadata=params.get("metadata") or {},
			payment_intent=charge["payment_intent"],
			reason=params.get("reason"),
			receipt_number=None,
			status="pending" if fate == "pending" else "succeeded",
			_fate=fate,
		)
		refund["balance_transaction"] = self._move("refund", refund["id"], -amount, charge["currency"])
		self.put(refund)
		charge["amount_refunded"] += amount
		charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
		self.put(charge)
		self.emit("refund.created", refund)
		self.emit("charge.refunded", charge)
		return refund

	def finish_refund(self, id_: str, status: str | None = None) -> dict:
		"""What becomes of a refund later: `succeeded`, or `failed`, when the money comes back to the merchant."""
		refund = self.get("refund", id_)
		status = status or {"pending": "succeeded"}.get(refund["_fate"], refund["_fate"])
		if refund["status"] == status:
			return refund
		refund["status"] = status
		if status in ("failed", "canceled"):
			refund["failure_reason"] = "expired_or_canceled_card"
			refund["failure_balance_transaction"] = self._move(
				"refund_failure", refund["id"], refund["amount"], refund["currency"]
			)
			charge = self.get("charge", refund["charge"])
			charge["amount_refunded"] -= refund["amount"]
			charge["refunded"] = False
			self.put(charge)
		self.put(refund)
		self.emit("refund.failed" if status == "failed" else "refund.updated", refund)
		self.emit("charge.refund.updated", refund)
		return refund

	# -- disputes ------------------------------------------------------------------------------------------

	def dispute(self, charge_id: str, reason: str = "fraudulent", amount=None, inquiry: bool = False) -> dict:
		"""The card holder disputes a captured charge (or its bank asks, for an inquiry)."""
		charge = self.get("charge", charge_id)
		if not charge["captured"] or charge["disputed"]:
			raise invalid(f"Charge {charge_id} cannot be disputed.")
		amount = whole(amount or charge["amount_captured"] - charge["amount_refunded"], "amount")
		dispute = self.new(
			"dispute",
			amount=amount,
			balance_transactions=[],
			charge=charge["id"],
			currency=charge["currency"],
			evidence_details={"due_by": int(time.time()) + 7 * 86400, "has_evidence": False},
			is_charge_refundable=inquiry,
			metadata={},
			payment_intent=charge["payment_intent"],
			reason=reason,
			status="warning_needs_response" if inquiry else "needs_response",
		)
		charge |= {"disputed": True, "dispute": dispute["id"]}
		self.put(charge)
		self.emit("charge.dispute.created", dispute)
		if not inquiry:
			self._move_dispute(dispute, -amount, DISPUTE_FEE)
			self.emit("charge.dispute.funds_withdrawn", dispute)
		return dispute

	def _move_dispute(self, dispute: dict, amount: int, fee: int):
		move = self._move("adjustment", dispute["id"], amount, dispute["currency"], fee)
		dispute["balance_transactions"].append(self.show(self.get("balance_transaction", move)))
		self.put(dispute)

	def close_dispute(self, id_: str, won: bool) -> dict:
		"""The bank decides. Won: the amount comes back, the fee does not."""
		dispute = self.get("dispute", id_)
		if dispute["status"] in ("won", "lost", "warning_closed"):
			raise invalid(f"Dispute {id_} is closed.")
		inquiry = dispute["status"].startswith("warning_")
		dispute["status"] = "warning_closed" if inquiry else "won" if won else "lost"
		self.put(dispute)
		self.emit("charge.dispute.updated", dispute)
		if won and not inquiry:
			self._move_dispute(dispute, dispute["amount"], 0)
			self.emit("charge.dispute.funds_reinstated", dispute)
		if dispute["status"] != "lost":
			charge = self.get("charge", dispute["charge"])
			self.put(charge | {"disputed": False})
		self.emit("charge.dispute.closed", dispute)
		return dispute

	def warn_of_fraud(self, charge_id: str) -> dict:
		"""The card network reports a charge as likely fraud."""
		charge = self.get("charge", charge_id)
		warning = self.new(
			"radar.early_fraud_warning",
			actionable=True,
			charge=charge["id"],
			fraud_type="made_with_stolen_card",
			payment_intent=charge["payment_intent"],
		)
		self.emit("radar.early_fraud_warning.created", warning)
		return warning

	# -- saving cards --------------------------------------------------------------------------------------

	def create_setup(self, params: dict) -> dict:
		"""POST /v1/setup_intents"""
		if params.get("customer"):
			self.customer(params["customer"])
		setup = self.new(
			"setup_intent",
			cancellation_reason=None,
			client_secret=None,
			customer=params.get("customer"),
			description=params.get("description"),
			last_setup_error=None,
			metadata=params.get("metadata") or {},
			next_action=None,
			payment_method=None,
			payment_method_types=params.get("payment_method_types") or ["card"],
			status="requires_payment_method",
			usage=params.get("usage", "off_session"),
		)
		setup["client_secret"] = f"{setup['id']}_secret_{secrets.token_hex(12)}"
		self.put(setup)
		if truth(params.get("confirm")):
			self.confirm_setup(setup["id"], params)
		return setup

	def confirm_setup(self, id_: str, params: dict) -> dict:
		"""POST /v1/setup_intents/:id/confirm: checks the card with its bank and attaches it."""
		setup = self.get("setup_intent", id_)
		if setup["status"] in ("succeeded", "canceled"):
			raise invalid(
				f"You cannot confirm this SetupIntent because it has a status of {setup['status']}.",
				"setup_intent_unexpected_state",
				setup_intent=self.show(setup),
			)
		if setup["status"] == "requires_action" and not (
			params.get("payment_method") or params.get("payment_method_data")
		):
			return self.authenticate_setup(id_, True)
		method = self._method_for(params, setup["customer"])
		if not method:
			raise invalid("You must provide a payment method.", "parameter_missing", "payment_method")
		if method["type"] not in setup["payment_method_types"]:
			raise invalid(f"The payment method type {method['type']} is not allowed.", param="payment_method")
		setup["payment_method"] = method["id"]
		card = _conduct(method)
		try:
			self._check_card(method)
		except StripeProblem as problem:
			setup |= {
				"status": "requires_payment_method",
				"payment_method": None,
				"last_setup_error": dict(problem.body["error"]),
			}
			self.put(setup)
			self.emit("setup_intent.setup_failed", setup)
			problem.body["error"]["setup_intent"] = self.show(setup)
			raise
		if card and card.authenticate in ("always", "unless_setup"):
			setup["status"] = "requires_action"
			setup["next_action"] = {
				"type": "use_stripe_sdk",
				"use_stripe_sdk": {"type": "three_d_secure_redirect"},
			}
			self.put(setup)
			self.emit("setup_intent.requires_action", setup)
			return setup
		return self._finish_setup(setup, method)

	def authenticate_setup(self, id_: str, success: bool) -> dict:
		"""What the card holder does at the bank while saving a card."""
		setup = self.get("setup_intent", id_)
		if setup["status"] != "requires_action":
			raise invalid("This SetupIntent awaits no authentication.", "setup_intent_unexpected_state")
		method = self.method(setup["payment_method"])
		if success:
			return self._finish_setup(setup, method)
		setup |= {
			"status": "requires_payment_method",
			"next_action": None,
			"payment_method": None,
			"last_setup_error": {
				"type": "invalid_request_error",
				"code": "setup_intent_authentication_failure",
				"message": "The latest attempt to set up the payment method has failed because authentication"
				" failed.",
			},
		}
		self.put(setup)
		self.emit("setup_intent.setup_failed", setup)
		return setup

	def _finish_setup(self, setup: dict, method: dict) -> dict:
		method |= {"customer": setup["customer"] or method["customer"], "_setup": True}
		setup |= {"status": "succeeded", "next_action": None, "payment_method": method["id"]}
		setup["last_setup_error"] = None
		self.put(method)
		self.put(setup)
		self.emit("payment_method.attached", method)
		self.emit("setup_intent.succeeded", setup)
		return setup

	def cancel_setup(self, id_: str) -> dict:
		"""POST /v1/setup_intents/:id/cancel"""
		setup = self.get("setup_intent", id_)
		if setup["status"] in ("succeeded", "canceled"):
			raise invalid(
				f"You cannot cancel this SetupIntent because it has a status of {setup['status']}.",
				"setup_intent_unexpected_state",
			)
		setup |= {"status": "canceled", "next_action": None}
		self.put(setup)
		self.emit("setup_intent.canceled", setup)
		return setup

	# -- Checkout ------------------------------------------------------------------------------------------

	def create_session(self, params: dict, base: str) -> dict:
		"""POST /v1/checkout/sessions, in the modes payment and setup."""
		mode = params.get("mode")
		if mode not in ("payment", "setup"):
			raise invalid("Invalid mode: must be payment or setup.", param="mode")
		if not params.get("success_url") and params.get("ui_mode", "hosted") == "hosted":
			raise invalid("Missing required param: success_url.", "parameter_missing", "success_url")
		if params.get("customer"):
			self.customer(params["customer"])
		total = currency = None
		if mode == "payment":
			total, currency = _line_total(params.get("line_items") or [])
		session = self.new(
			"checkout.session",
			amount_subtotal=total,
			amount_total=total,
			cancel_url=params.get("cancel_url"),
			client_reference_id=params.get("client_reference_id"),
			currency=currency or params.get("currency"),
			customer=params.get("customer"),
			expires_at=whole(params.get("expires_at", int(time.time()) + 86400), "expires_at"),
			metadata=params.get("metadata") or {},
			mode=mode,
			payment_intent=None,
			payment_method_types=params.get("payment_method_types") or ["card"],
			payment_status="unpaid" if mode == "payment" else "no_payment_required",
			setup_intent=None,
			status="open",
			success_url=params.get("success_url"),
			url=None,
			_intent_data=params.get("payment_intent_data") or {},
			_setup_data=params.get("setup_intent_data") or {},
		)
		session["url"] = f"{base}/c/pay/{session['id']}"
		return self.put(session)

	def complete_session(self, id_: str, number: str, delayed: bool = False) -> dict:
		"""What the customer does on the hosted page: pay with a card, or by a means that takes days."""
		session = self.get("checkout.session", id_)
		if session["status"] != "open":
			raise invalid(f"This Checkout Session is {session['status']}.")
		if session["mode"] == "setup":
			setup = self.create_setup({"customer": session["customer"]} | session["_setup_data"])
			session["setup_intent"] = setup["id"]
			self.put(session)
			self.confirm_setup(
				setup["id"], {"payment_method_data": {"type": "card", "card": {"number": number}}}
			)
		else:
			data = {
				"amount": session["amount_total"],
				"currency": session["currency"],
				"customer": session["customer"],
				"payment_method_types": session["payment_method_types"],
			} | session["_intent_data"]
			intent = (
				self.get("payment_intent", session["payment_intent"])
				if session["payment_intent"]
				else self.create_intent(data)
			)
			session["payment_intent"] = intent["id"]
			self.put(session)
			method = self.make_method("card", number)
			self._try_to_pay(intent, method, False, 3600 if delayed else None)
			if intent["status"] == "requires_action":
				return session
			session["payment_status"] = "paid" if intent["status"] == "succeeded" else "unpaid"
		session["status"] = "complete"
		self.put(session)
		self.emit("checkout.session.completed", session)
		return session

	def finish_session(self, id_: str, success: bool) -> dict:
		"""A delayed payment of Checkout comes through, or does not."""
		session = self.get("checkout.session", id_)
		intent = self.get("payment_intent", session["payment_intent"])
		if intent["status"] != "processing":
			raise invalid("This Checkout Session has no payment under way.")
		method = self.method(intent["payment_method"])
		try:
			self._ask_bank(intent, method, _conduct(method) if success else card_of("4000000000000002"))
			session["payment_status"] = "paid"
			self.emit("checkout.session.async_payment_succeeded", self.put(session))
		except StripeProblem:
			self.emit("checkout.session.async_payment_failed", self.put(session))
		return session

	def expire_session(self, id_: str) -> dict:
		"""POST /v1/checkout/sessions/:id/expire"""
		session = self.get("checkout.session", id_)
		if session["status"] != "open":
			raise invalid(f"Only open Checkout Sessions can be expired; this one is {session['status']}.")
		session |= {"status": "expired", "url": None}
		self.emit("checkout.session.expired", self.put(session))
		return session


_USED_UP = (
	"The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with"
	" a connected account without Customer attachment, or was detached from a Customer. It may not be used again."
	" To use a PaymentMethod multiple times, you must attach it to a Customer first."
)


def _conduct(method: dict) -> TestCard:
	return TestCard("bank") if method["_number"] == "bank" else card_of(method["_number"])


def _why(card: TestCard) -> dict:
	fields = {"code": card.code, "decline_code": card.decline_code, "advice_code": card.advice_code}
	return {name: value for name, value in fields.items() if value}


def _past(method: dict) -> bool:
	card = method.get("card")
	if not card:
		return False
	last_day = calendar.monthrange(card["exp_year"], card["exp_month"])[1]
	return date(card["exp_year"], card["exp_month"], last_day) < date.today()


def _must_authenticate(card: TestCard, method: dict, off_session: bool) -> bool:
	match card.authenticate:
		case "always":
			return True
		case "unless_setup":
			return not (off_session and method.get("_setup"))
		case "on_session":
			return not off_session
	return False


def _merged(old: dict, new) -> dict:
	"""Stripe's metadata: names given are set, empty ones removed, the rest stays."""
	merged = old | (new or {})
	return {name: value for name, value in merged.items() if value != ""}


def _line_total(items: list[dict]) -> tuple[int, str]:
	total, currency = 0, None
	for item in items:
		price = item.get("price_data") or {}
		currency = str(price.get("currency", "")).lower() or currency
		total += whole(price.get("unit_amount"), "unit_amount") * whole(item.get("quantity", 1), "quantity")
	if not total or not currency:
		raise invalid(
			"line_items with price_data are required in payment mode.", "parameter_missing", "line_items"
		)
	return total, currency


def _created_within(item: dict, limits) -> bool:
	if not limits:
		return True
	if not isinstance(limits, dict):
		return item["created"] == whole(limits, "created")
	compare = {
		"gt": lambda a, b: a > b,
		"gte": lambda a, b: a >= b,
		"lt": lambda a, b: a < b,
		"lte": lambda a, b: a <= b,
	}
	return all(compare[name](item["created"], whole(value, "created")) for name, value in limits.items())


def whole(value, param: str) -> int:
	"""An integer parameter, as Stripe reads it."""
	try:
		if isinstance(value, bool) or not re.fullmatch(r"-?\d+", str(value)):
			raise ValueError
		return int(value)
	except ValueError:
		raise invalid(f"Invalid integer: {value}", "parameter_invalid_integer", param) from None


def truth(value) -> bool:
	"""A boolean parameter, as Stripe reads it."""
	return value is True or str(value).lower() == "true"
