"""A stand-in for Stripe: its API over HTTP, with faults on order and webhooks.

	python -m crm_recharge.tests.support.stripe_stand_in --port 8420 [--state FILE]

prints one line when it is ready. In tests:

	with StandIn() as stripe:
	    customer = stripe.make_customer()
	    card = stripe.make_card(customer, "4242424242424242")
	    stripe.faults.lost_after("POST /v1/payment_intents")
	    gateway = stripe.gateway()

It keeps Stripe's own rules where they matter for money: idempotency keys (kept answers, 400 for other content,
409 while in use), refusals with the intent inside, off-session authentication, what may be cancelled or
refunded, and it refuses parameters that Stripe does not know. It runs as its own process and ends with its
parent.
"""

import argparse
import base64
import hashlib
import html
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

ROOT = Path(__file__).resolve().parents[3]
if __name__ == "__main__" and str(ROOT) not in sys.path:
	sys.path.insert(0, str(ROOT))

from crm_recharge.tests.support.stripe_bank import Bank, StripeProblem, invalid, missing, truth
from crm_recharge.tests.support.stripe_faults import Fault, Faults
from crm_recharge.tests.support.stripe_webhooks import Webhooks

SECRET_KEY, PUBLISHABLE_KEY = "sk_test_standin", "pk_test_standin"
REFUSED_KEYS = ("sk_test_wrong", "sk_test_expired")
"""Keys that are answered 401."""
KEY_WITHOUT_RIGHTS = "rk_test_powerless"
"""A key that is answered 403."""
KEY_LIFE = 24 * 3600

_COMMON = {"expand", "metadata", "description"}
_LIST = {"limit", "starting_after", "ending_before", "created", "expand"}
_BROWSER = {
	"key",
	"client_secret",
	"use_stripe_sdk",
	"return_url",
	"mandate_data",
	"payment_user_agent",
	"referrer",
}
_METHOD = {"payment_method", "payment_method_data", "payment_method_options", "payment_method_types"}

ROUTES = []


def route(method: str, path: str, allowed: set, browser: bool = False):
	"""Register what answers `method path`; `allowed` are the parameters Stripe knows there. `browser` routes take
	the publishable key with the object's client secret."""
	pattern = re.compile("^" + re.sub(r":\w+", r"([^/]+)", path) + "$")

	def register(function):
		ROUTES.append((method, pattern, frozenset(allowed), browser, function))
		return function

	return register


@route("POST", "/v1/customers", _COMMON | {"name", "email", "phone", "address", "payment_method"})
def _(bank, p, x):
	return bank.create_customer(p)


@route("GET", "/v1/customers/:id", {"expand"})
def _(bank, p, x, id_):
	customer = bank.get("customer", id_)
	return {"id": id_, "object": "customer", "deleted": True} if customer.get("deleted") else customer


@route("DELETE", "/v1/customers/:id", set())
def _(bank, p, x, id_):
	return bank.delete_customer(id_)


@route("GET", "/v1/customers", _LIST | {"email"})
def _(bank, p, x):
	found = [c for c in bank.all("customer") if p.get("email") in (None, c["email"])]
	return bank.page("/v1/customers", found, p)


@route(
	"POST",
	"/v1/payment_methods",
	{"type", "card", "billing_details", "us_bank_account", "metadata", "key"},
	True,
)
def _(bank, p, x):
	return bank.method_from(p)


@route("GET", "/v1/payment_methods/:id", {"expand"})
def _(bank, p, x, id_):
	return bank.method(id_)


@route("GET", "/v1/payment_methods", _LIST | {"customer", "type"})
def _(bank, p, x):
	bank.customer(p.get("customer"))
	found = [
		m
		for m in bank.all("payment_method")
		if m["customer"] == p["customer"] and p.get("type") in (None, m["type"])
	]
	return bank.page("/v1/payment_methods", found, p)


@route("GET", "/v1/customers/:id/payment_methods", _LIST | {"type"})
def _(bank, p, x, id_):
	bank.get("customer", id_)
	found = [
		m for m in bank.all("payment_method") if m["customer"] == id_ and p.get("type") in (None, m["type"])
	]
	return bank.page(f"/v1/customers/{id_}/payment_methods", found, p)


@route("POST", "/v1/payment_methods/:id/attach", {"customer", "expand"})
def _(bank, p, x, id_):
	return bank.attach(id_, p)


@route("POST", "/v1/payment_methods/:id/detach", {"expand"})
def _(bank, p, x, id_):
	return bank.detach(id_)


@route(
	"POST",
	"/v1/payment_intents",
	_COMMON
	| _METHOD
	| {
		"amount",
		"currency",
		"customer",
		"confirm",
		"off_session",
		"capture_method",
		"receipt_email",
		"return_url",
	}
	| {
		"setup_future_usage",
		"automatic_payment_methods",
		"error_on_requires_action",
		"statement_descriptor_suffix",
	},
)
def _(bank, p, x):
	return bank.create_intent(p, x.processing)


@route("GET", "/v1/payment_intents/:id", {"expand", "client_secret", "key"}, True)
def _(bank, p, x, id_):
	return bank.get("payment_intent", id_, "intent")


@route("GET", "/v1/payment_intents", _LIST | {"customer"})
def _(bank, p, x):
	if p.get("customer"):
		bank.get("customer", p["customer"], "customer", 400)
	found = [i for i in bank.all("payment_intent") if p.get("customer") in (None, i["customer"])]
	return bank.page("/v1/payment_intents", found, p)


@route("POST", "/v1/payment_intents/:id", _COMMON)
def _(bank, p, x, id_):
	return bank.update_intent(id_, p)


@route("POST", "/v1/payment_intents/:id/confirm", _METHOD | _BROWSER | {"expand", "off_session"}, True)
def _(bank, p, x, id_):
	return bank.confirm_intent(id_, p, x.processing)


@route("POST", "/v1/payment_intents/:id/cancel", {"expand", "cancellation_reason"})
def _(bank, p, x, id_):
	return bank.cancel_intent(id_, p)


@route("POST", "/v1/payment_intents/:id/capture", {"expand", "amount_to_capture"})
def _(bank, p, x, id_):
	return bank.capture_intent(id_, p)


@route("POST", "/v1/payment_intents/:id/_authenticate", _BROWSER | {"success"}, True)
def _(bank, p, x, id_):
	return bank.authenticate(id_, truth(p.get("success")))


@route("GET", "/v1/charges/:id", {"expand"})
def _(bank, p, x, id_):
	return bank.get("charge", id_)


@route("GET", "/v1/charges", _LIST | {"customer", "payment_intent"})
def _(bank, p, x):
	found = [
		c
		for c in bank.all("charge")
		if p.get("customer") in (None, c["customer"])
		and p.get("payment_intent") in (None, c["payment_intent"])
	]
	return bank.page("/v1/charges", found, p)


@route("GET", "/v1/balance_transactions/:id", {"expand"})
def _(bank, p, x, id_):
	return bank.get("balance_transaction", id_)


@route("GET", "/v1/balance_transactions", _LIST | {"source", "type"})
def _(bank, p, x):
	found = [
		t
		for t in bank.all("balance_transaction")
		if p.get("source") in (None, t["source"]) and p.get("type") in (None, t["type"])
	]
	return bank.page("/v1/balance_transactions", found, p)


@route("POST", "/v1/refunds", {"payment_intent", "charge", "amount", "reason", "metadata", "expand"})
def _(bank, p, x):
	return bank.create_refund(p)


@route("GET", "/v1/refunds/:id", {"expand"})
def _(bank, p, x, id_):
	return bank.get("refund", id_)


@route("GET", "/v1/refunds", _LIST | {"payment_intent", "charge"})
def _(bank, p, x):
	if p.get("payment_intent"):
		bank.get("payment_intent", p["payment_intent"], "payment_intent", 400)
	found = [
		r
		for r in bank.all("refund")
		if p.get("payment_intent") in (None, r["payment_intent"]) and p.get("charge") in (None, r["charge"])
	]
	return bank.page("/v1/refunds", found, p)


@route("GET", "/v1/disputes/:id", {"expand"})
def _(bank, p, x, id_):
	return bank.get("dispute", id_)


@route("GET", "/v1/disputes", _LIST | {"payment_intent", "charge"})
def _(bank, p, x):
	found = [
		d
		for d in bank.all("dispute")
		if p.get("payment_intent") in (None, d["payment_intent"]) and p.get("charge") in (None, d["charge"])
	]
	return bank.page("/v1/disputes", found, p)


@route("POST", "/v1/disputes/:id/close", {"expand"})
def _(bank, p, x, id_):
	return bank.close_dispute(id_, False)


@route("GET", "/v1/radar/early_fraud_warnings/:id", {"expand"})
def _(bank, p, x, id_):
	return bank.get("radar.early_fraud_warning", id_)


@route(
	"POST",
	"/v1/setup_intents",
	_COMMON | _METHOD | {"customer", "usage", "confirm", "automatic_payment_methods"},
)
def _(bank, p, x):
	return bank.create_setup(p)


@route("GET", "/v1/setup_intents/:id", {"expand", "client_secret", "key"}, True)
def _(bank, p, x, id_):
	return bank.get("setup_intent", id_)


@route("POST", "/v1/setup_intents/:id/confirm", _METHOD | _BROWSER | {"expand"}, True)
def _(bank, p, x, id_):
	return bank.confirm_setup(id_, p)


@route("POST", "/v1/setup_intents/:id/_authenticate", _BROWSER | {"success"}, True)
def _(bank, p, x, id_):
	return bank.authenticate_setup(id_, truth(p.get("success")))


@route("POST", "/v1/setup_intents/:id/cancel", _BROWSER | {"expand", "cancellation_reason"}, True)
def _(bank, p, x, id_):
	return bank.cancel_setup(id_)


@route(
	"POST",
	"/v1/checkout/sessions",
	_COMMON
	| {
		"mode",
		"customer",
		"customer_email",
		"success_url",
		"cancel_url",
		"return_url",
		"ui_mode",
		"line_items",
	}
	| {
		"payment_intent_data",
		"setup_intent_data",
		"payment_method_types",
		"client_reference_id",
		"expires_at",
	}
	| {"currency", "billing_address_collection", "locale", "submit_type"},
)
def _(bank, p, x):
	return bank.create_session(p, x.base)


@route("GET", "/v1/checkout/sessions/:id", {"expand"})
def _(bank, p, x, id_):
	return bank.get("checkout.session", id_)


@route("GET", "/v1/checkout/sessions", _LIST | {"customer", "payment_intent"})
def _(bank, p, x):
	found = [
		s
		for s in bank.all("checkout.session")
		if p.get("customer") in (None, s["customer"])
		and p.get("payment_intent") in (None, s["payment_intent"])
	]
	return bank.page("/v1/checkout/sessions", found, p)


@route("POST", "/v1/checkout/sessions/:id/expire", {"expand"})
def _(bank, p, x, id_):
	return bank.expire_session(id_)


@route("GET", "/v1/events/:id", {"expand"})
def _(bank, p, x, id_):
	return bank.get("event", id_)


@route("GET", "/v1/events", _LIST | {"type", "types"})
def _(bank, p, x):
	found = [e for e in bank.all("event") if p.get("type") in (None, e["type"])]
	return bank.page("/v1/events", found, p)


def parse_form(text: str) -> dict:
	"""`a[b][c]=1` and `a[0]=x` as nested dictionaries and lists."""
	tree: dict = {}
	for name, value in parse_qsl(text, keep_blank_values=True):
		parts = [part.rstrip("]") for part in name.split("[")]
		node = tree
		for part in parts[:-1]:
			node = node.setdefault(part, {})
		node[parts[-1] if parts[-1] else str(len(node))] = value
	return _lists(tree)


def _lists(node):
	if not isinstance(node, dict):
		return node
	if node and all(key.isdigit() for key in node):
		return [_lists(node[key]) for key in sorted(node, key=int)]
	return {key: _lists(value) for key, value in node.items()}


class _Lost(Exception):
	"""Break the connection without an answer."""


class _Context:
	def __init__(self, base: str, processing: float | None):
		self.base, self.processing = base, processing


class Server:
	"""The HTTP side: authentication, faults, idempotency keys, then the bank."""

	def __init__(self, port: int = 0, state: str | None = None, host: str = "127.0.0.1"):
		self.bank, self.faults, self.webhooks = Bank(state), Faults(), Webhooks()
		self.bank.on_event = self.webhooks.publish
		self.log: list[dict] = []
		self.host, self.port = host, port
		self._http = None
		self._open: set[socket.socket] = set()
		self.listen()
		threading.Thread(target=self._tick, daemon=True, name="clock").start()

	@property
	def base(self) -> str:
		"""The address to give to clients."""
		return f"http://{self.host}:{self.port}"

	def listen(self):
		"""Take connections (again)."""
		server = self

		class Handler(_Handler):
			owner = server

		class Listener(ThreadingHTTPServer):
			daemon_threads, allow_reuse_address, request_queue_size = True, True, 128

			def handle_error(self, request, client_address):
				if not isinstance(sys.exc_info()[1], OSError):
					super().handle_error(request, client_address)

		self._http = Listener((self.host, self.port), Handler)
		self.port = self._http.server_address[1]
		threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True, name="http").start()

	def refuse(self, seconds: float):
		"""Refuse connections for a while, and break those that are open."""

		def window():
			time.sleep(0.05)  # let the order's own answer out
			self._http.shutdown()
			self._http.server_close()
			for connection in list(self._open):
				_break(connection)
			time.sleep(seconds)
			self.listen()

		threading.Thread(target=window, daemon=True).start()

	def _tick(self):
		while True:
			time.sleep(0.05)
			self.bank.settle_due()

	def answer(self, method: str, path: str, params: dict, headers, entry: dict) -> tuple[int, dict, object]:
		"""(status, extra headers, body) for one call of the API. Raises _Lost and StripeProblem."""
		function, groups, allowed, browser = _route_of(method, path)
		self._authenticate(headers, params, browser, path, groups)
		fault = self.faults.draw(method, path, params)
		entry["fault"] = fault.kind if fault else None
		if fault and (early := _without_effect(fault)):
			return early
		key = headers.get("Idempotency-Key") if method == "POST" else None
		content = _content(method, path, params)
		if key and (kept := self._begin(key, content)):
			entry["replayed"] = True
			return kept["status"], {"Idempotent-Replayed": "true"}, kept["body"]
		try:
			if fault and fault.kind == "slow":
				time.sleep(fault.seconds)
			call = _Context(self.base, fault.seconds if fault and fault.kind == "processing" else None)
			status, body, keep = self._carry_out(function, groups, params, allowed, call)
			reply = (status, {}, body)
			if fault and fault.kind == "error_after":
				reply = (fault.status or 500, {}, _server_error())
				if fault.sticky:
					status, body, keep = reply[0], reply[2], True
			if key and keep:
				self._keep(key, content, status, body)
		finally:
			if key:
				with self.bank.lock:
					self.bank.in_flight.discard(key)
		if fault and fault.kind == "lost_after":
			raise _Lost
		if fault and fault.kind == "slow_after":
			time.sleep(fault.seconds)
		return reply

	def _authenticate(self, headers, params: dict, browser: bool, path: str, groups: tuple):
		kind, _, value = (headers.get("Authorization") or "").partition(" ")
		if kind == "Basic":
			value = base64.b64decode(value).decode().partition(":")[0]
		key = value or params.get("key") or ""
		if not key.startswith(("sk_", "rk_", "pk_")):
			raise invalid("You did not provide an API key.", status=401)
		if key in REFUSED_KEYS:
			hidden = f"{key[:8]}****{key[-4:]}"
			raise invalid(f"Invalid API Key provided: {hidden}", status=401)
		if key == KEY_WITHOUT_RIGHTS:
			raise invalid(
				"The provided key does not have the required permissions for this endpoint.",
				"more_permissions_required",
				status=403,
			)
		if key.startswith("pk_"):
			if not browser:
				raise invalid(
					"This API call cannot be made with a publishable API key.",
					"secret_key_required",
					status=403,
				)
			if groups:
				kind = "setup_intent" if "/setup_intents/" in path else "payment_intent"
				if self.bank.get(kind, groups[0]).get("client_secret") != params.get("client_secret"):
					raise missing(kind, groups[0], "intent")

	def _begin(self, key: str, content: str) -> dict | None:
		"""The kept answer of an idempotency key, or None when the caller is the first and may go on."""
		if len(key) > 255:
			raise invalid("Idempotency keys may be at most 255 characters.")
		with self.bank.lock:
			kept = self.bank.keys.get(key)
			if kept and kept["at"] + KEY_LIFE < time.time():
				kept = None
			if kept and kept["content"] != content:
				raise StripeProblem(
					400,
					"idempotency_error",
					f"Keys for idempotent requests can only be used with the same parameters they were first used"
					f" with. Try using a key other than '{key}' if you meant to execute a different request.",
				)
			if kept is None:
				if key in self.bank.in_flight:
					raise StripeProblem(*_IN_USE[:3], code=_IN_USE[3])
				self.bank.in_flight.add(key)
			return kept

	def _keep(self, key: str, content: str, status: int, body):
		with self.bank.lock:
			self.bank.remember(key, {"at": time.time(), "content": content, "status": status, "body": body})

	def _carry_out(self, function, groups, params, allowed, call) -> tuple[int, dict, bool]:
		"""(status, body, whether an idempotency key keeps it)."""
		unknown = sorted(set(params) - allowed - {"key", "client_secret"})
		if unknown:
			raise invalid(f"Received unknown parameter: {unknown[0]}", "parameter_unknown", unknown[0])
		with self.bank.lock:
			self.bank.settle_due()
			try:
				found = function(self.bank, params, call, *groups)
				shown = found if found["object"] == "list" else self.bank.show(found, params.get("expand"))
				return 200, shown, True
			except StripeProblem as problem:
				return problem.status, problem.body, problem.kept


def _route_of(method: str, path: str):
	"""(function, path arguments, allowed parameters, whether a browser may call it)."""
	for wanted, pattern, allowed, browser, function in ROUTES:
		match = pattern.match(path) if wanted == method else None
		if match:
			return function, match.groups(), allowed, browser
	raise invalid(f"Unrecognized request URL ({method}: {path}).", status=404)


_IN_USE = (
	409,
	"idempotency_error",
	"There is currently another in-progress request using this Idempotent Key. Please try again later.",
	"idempotency_key_in_use",
)


def _server_error() -> dict:
	return {"error": {"type": "api_error", "message": "An unknown error occurred."}}


def _without_effect(fault: Fault):
	"""The answer of a fault that lets nothing happen, or None for another kind."""
	match fault.kind:
		case "lost_before":
			raise _Lost
		case "error_before":
			return fault.status or 503, {}, _server_error()
		case "rate_limit":
			body = {
				"error": {
					"type": "invalid_request_error",
					"code": "rate_limit",
					"message": "Too many requests.",
				}
			}
			return 429, {"Retry-After": f"{fault.retry_after:g}"}, body
		case "conflict":
			return _IN_USE[0], {}, {"error": {"type": _IN_USE[1], "message": _IN_USE[2], "code": _IN_USE[3]}}
		case "respond":
			return fault.status or 200, {}, fault.body
	return None


def _content(method: str, path: str, params: dict) -> str:
	return hashlib.sha256(json.dumps([method, path, params], sort_keys=True).encode()).hexdigest()


def _break(connection: socket.socket):
	try:
		connection.shutdown(socket.SHUT_RDWR)
	except OSError:
		pass


class Controls:
	"""What tests and the demo may ask of the stand-in: POST /_control/<name> with JSON arguments."""

	def __init__(self, server: Server):
		self.server, self.bank = server, server.bank

	def make_card(
		self,
		customer: str,
		number: str = "4242424242424242",
		exp_month: int = 12,
		exp_year: int = 2034,
		setup: bool = False,
	):
		"""A card saved for a customer without asking its bank: one that was good then, and is what it is now."""
		self.bank.get("customer", customer)
		method = self.bank.make_method("card", number, exp_month, exp_year)
		return self.bank.put(method | {"customer": customer, "_setup": setup})

	def make_bank_account(self, customer: str):
		"""A bank account of a customer."""
		self.bank.get("customer", customer)
		return self.bank.put(self.bank.make_method("us_bank_account") | {"customer": customer})

	def forget_keys(self):
		"""A day has passed: no idempotency key is remembered any more."""
		self.bank.keys.clear()
		return {}

	def delete_customer(self, customer: str):
		"""Somebody deletes a customer in the dashboard."""
		return self.bank.delete_customer(customer)

	def tamper(self, kind: str, id: str, values: dict):
		"""Make an object of Stripe's what it should not be."""
		return self.bank.put(self.bank.get(kind, id) | values)

	def set_card(self, payment_method: str, number: str):
		"""From now on the card behaves as another test number (funds have come in, it was stolen)."""
		return self.bank.put(self.bank.method(payment_method) | {"_number": number})

	def update_card(self, payment_method: str, exp_month: int, exp_year: int):
		"""The bank has sent new details, as Stripe's card updater reports them."""
		method = self.bank.method(payment_method)
		method["card"] |= {"exp_month": exp_month, "exp_year": exp_year}
		self.bank.emit("payment_method.automatically_updated", self.bank.put(method))
		return method

	def all(self, kind: str, **where):
		"""Every object of `kind` whose fields are as in `where`, oldest first."""
		found = [o for o in self.bank.all(kind) if all(o.get(name) == value for name, value in where.items())]
		return [self.bank.show(each) for each in reversed(found)]

	def authenticate(self, intent: str, success: bool = True):
		"""The card holder acts at the bank."""
		return self.bank.authenticate(intent, success)

	def confirm(self, intent: str, payment_method: str):
		"""The customer's browser confirms an intent with a card, on session."""
		return self.bank.confirm_intent(intent, {"payment_method": payment_method})

	def confirm_setup(self, setup_intent: str, number: str, success: bool = True):
		"""The customer enters a card in the browser, and passes (or fails) the bank's check if there is one."""
		data = {"payment_method_data": {"type": "card", "card": {"number": number}}}
		setup = self.bank.confirm_setup(setup_intent, data)
		if setup["status"] == "requires_action":
			setup = self.bank.authenticate_setup(setup_intent, success)
		return setup

	def create_checkout(self, amount: int, currency: str, customer: str, success_url: str):
		"""A Checkout session over one amount, in minor units."""
		price = {"currency": currency, "unit_amount": amount, "product_data": {"name": "Test"}}
		line = {"quantity": 1, "price_data": price}
		params = {"mode": "payment", "customer": customer, "success_url": success_url, "line_items": [line]}
		return self.bank.create_session(params, self.server.base)

	def complete_checkout(self, session: str, number: str = "4242424242424242", delayed: bool = False):
		"""The customer pays on the hosted page."""
		return self.bank.complete_session(session, number, delayed)

	def finish_checkout(self, session: str, success: bool = True):
		"""A delayed payment ends."""
		return self.bank.finish_session(session, success)

	def dispute(
		self, intent: str, reason: str = "fraudulent", amount: int | None = None, inquiry: bool = False
	):
		"""The card holder disputes a payment; `amount` in minor units."""
		return self.bank.dispute(
			self.bank.get("payment_intent", intent)["latest_charge"], reason, amount, inquiry
		)

	def close_dispute(self, dispute: str, won: bool):
		"""The bank decides."""
		return self.bank.close_dispute(dispute, won)

	def warn_of_fraud(self, intent: str):
		"""An early fraud warning about a payment."""
		return self.bank.warn_of_fraud(self.bank.get("payment_intent", intent)["latest_charge"])

	def refund(self, intent: str, amount: int | None = None):
		"""A refund made in Stripe's dashboard; `amount` in minor units."""
		params = {"payment_intent": intent} | ({"amount": amount} if amount else {})
		return self.bank.create_refund(params)

	def finish_refund(self, refund: str, status: str | None = None):
		"""What becomes of a refund later."""
		return self.bank.finish_refund(refund, status)

	def add_fault(self, **order):
		"""See stripe_faults."""
		return self.server.faults.add(order)

	def clear_faults(self):
		"""No more faults."""
		self.server.faults.clear()

	def list_faults(self):
		"""The orders and how often each was carried out."""
		return self.server.faults.list()

	def refuse(self, seconds: float):
		"""Refuse connections for some seconds."""
		self.server.refuse(seconds)

	def set_webhooks(self, **target):
		"""Where to deliver events; without arguments: nowhere."""
		self.server.webhooks.configure(target or None)

	def deliveries(self):
		"""What was delivered, and what the endpoint answered."""
		return list(self.server.webhooks.deliveries)

	def deliver(self, event: str):
		"""Deliver an event again."""
		self.server.webhooks.deliver(self.bank.show(self.bank.get("event", event)))

	def log(self):
		"""Every call of the API so far."""
		return list(self.server.log)

	def clear_log(self):
		"""Begin a new log."""
		self.server.log.clear()

	def reset(self):
		"""Forget objects, keys, faults, webhooks and log."""
		self.bank.reset()
		self.server.faults.clear()
		self.server.webhooks.configure(None)
		self.server.webhooks.deliveries.clear()
		self.server.log.clear()


class _Handler(BaseHTTPRequestHandler):
	protocol_version = "HTTP/1.1"
	disable_nagle_algorithm = True
	wbufsize = -1
	timeout = 120
	owner: Server

	def setup(self):
		super().setup()
		self.owner._open.add(self.connection)

	def finish(self):
		self.owner._open.discard(self.connection)
		super().finish()

	def log_message(self, *args):
		pass

	def do_GET(self):
		self._serve()

	def do_POST(self):
		self._serve()

	def do_DELETE(self):
		self._serve()

	def do_OPTIONS(self):
		self._send(204, {}, b"", "text/plain")

	def _serve(self):
		url = urlsplit(self.path)
		text = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
		if url.path.startswith("/_control/"):
			return self._control(url.path.removeprefix("/_control/"), text)
		if url.path.startswith("/c/pay/"):
			return self._checkout_page(url.path.removeprefix("/c/pay/"), parse_form(text))
		if url.path in ("/js.stripe.com/v3/", "/v3/", "/v3"):
			script = Path(__file__).with_name("stripe_stand_in.js").read_bytes()
			return self._send(200, {}, script, "application/javascript; charset=utf-8")
		if url.path == "/":
			return self._send(200, {}, b"stand-in for Stripe\n", "text/plain")
		self._api(url, text)

	def _api(self, url, text: str):
		started = time.monotonic()
		entry = {
			"at": time.time(),
			"method": self.command,
			"path": url.path,
			"fault": None,
			"replayed": False,
		}
		entry["key"], entry["version"] = (
			self.headers.get("Idempotency-Key"),
			self.headers.get("Stripe-Version"),
		)
		request_id = f"req_{os.urandom(7).hex()}"
		try:
			if (self.headers.get("Content-Type") or "").startswith("application/json"):
				params = json.loads(text or "{}")
			else:
				params = parse_form(text)
			params |= parse_form(url.query)
			entry["params"] = params
			status, headers, body = self.owner.answer(self.command, url.path, params, self.headers, entry)
		except StripeProblem as problem:
			status, headers, body = problem.status, {}, problem.body
		except _Lost:
			entry |= {"status": None, "milliseconds": round((time.monotonic() - started) * 1000, 2)}
			self._note(entry)
			self.close_connection = True
			_break(self.connection)
			return
		entry |= {"status": status, "milliseconds": round((time.monotonic() - started) * 1000, 2)}
		self._note(entry)
		data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
		self._send(status, {"Request-Id": request_id} | headers, data)

	def _note(self, entry: dict):
		self.owner.log.append(entry)
		del self.owner.log[:-20000]

	def _control(self, name: str, text: str):
		controls = Controls(self.owner)
		try:
			if name == "idle":
				return self._json(200, self.owner.webhooks.idle(json.loads(text)["timeout"]))
			action = getattr(controls, name, None)
			if name.startswith("_") or not callable(action):
				return self._json(404, {"message": f"There is no control {name!r}"})
			with self.owner.bank.lock:
				result = action(**json.loads(text or "{}"))
			if isinstance(result, dict) and "object" in result:
				result = self.owner.bank.show(result)
			self._json(200, result)
		except StripeProblem as problem:
			self._json(problem.status, problem.body["error"])
		except (TypeError, ValueError, KeyError) as error:
			self._json(400, {"message": f"{type(error).__name__}: {error}"})

	def _checkout_page(self, id_: str, form: dict):
		bank = self.owner.bank
		try:
			with bank.lock:
				session = bank.get("checkout.session", id_)
				note = ""
				if form.get("authenticate"):
					intent = bank.authenticate(session["payment_intent"], form["authenticate"] == "yes")
					note = (intent["last_payment_error"] or {}).get("message", "")
					if intent["status"] == "succeeded":
						session |= {"payment_status": "paid", "status": "complete"}
						bank.emit("checkout.session.completed", bank.put(session))
				elif form.get("number"):
					session = bank.complete_session(id_, form["number"].replace(" ", ""), "delayed" in form)
				intent = bank.objects.get("payment_intent", {}).get(session["payment_intent"]) or {}
		except StripeProblem as problem:
			note, intent = problem.body["error"]["message"], {}
			session = bank.objects.get("checkout.session", {}).get(id_)
			if session is None:
				return self._send(404, {}, b"No such session", "text/plain")
		if session["status"] == "complete":
			target = (session["success_url"] or "/").replace("{CHECKOUT_SESSION_ID}", quote(id_))
			return self._send(303, {"Location": target}, b"", "text/plain")
		page = _checkout_html(session, intent.get("status") == "requires_action", note)
		self._send(200, {}, page.encode(), "text/html; charset=utf-8")

	def _json(self, status: int, body):
		self._send(status, {}, json.dumps(body).encode())

	def _send(self, status: int, headers: dict, body: bytes, kind: str = "application/json"):
		self.send_response(status)
		for name, value in headers.items():
			self.send_header(name, value)
		self.send_header("Content-Type", kind)
		self.send_header("Content-Length", str(len(body)))
		self.send_header("Access-Control-Allow-Origin", "*")
		self.send_header("Access-Control-Allow-Headers", "*")
		self.send_header("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
		self.end_headers()
		self.wfile.write(body)
		self.wfile.flush()


def _checkout_html(session: dict, authenticating: bool, note: str) -> str:
	amount = f"{session['amount_total']} {session['currency']}" if session["amount_total"] else "Save a card"
	cancel = html.escape(session["cancel_url"] or "/", quote=True)
	fields = (
		"<p>Your bank asks you to confirm this payment.</p>"
		'<button name="authenticate" value="yes">Complete authentication</button> '
		'<button name="authenticate" value="no">Fail authentication</button>'
		if authenticating
		else '<label>Card number <input name="number" value="4242 4242 4242 4242" autocomplete="off"></label> '
		"<button>Pay</button>"
	)
	return (
		'<!doctype html><html lang="en"><meta charset="utf-8">'
		'<meta name="viewport" content="width=device-width"><title>Checkout</title>'
		f"<h1>Test checkout</h1><p>{html.escape(amount)} (minor units)</p>"
		f'<p role="alert">{html.escape(note)}</p><form method="post">{fields}</form>'
		f'<p><a href="{cancel}">Cancel</a></p></html>'
	)


# -- the client's side -------------------------------------------------------------------------------------


class _FaultOrders:
	"""Orders for faults, in words. `count=None` means every time until cleared."""

	def __init__(self, stand_in: "StandIn"):
		self._control = stand_in.control

	def add(self, kind: str, route: str = "*", count: int | None = 1, **more) -> dict:
		"""Order a fault; see stripe_faults.Fault for what there is."""
		return self._control("add_fault", kind=kind, route=route, count=count, **more)

	def lost_before(self, route="POST /v1/payment_intents", count=1, **more):
		"""The connection breaks, and nothing has happened."""
		return self.add("lost_before", route, count, **more)

	def lost_after(self, route="POST /v1/payment_intents", count=1, **more):
		"""It happened, and the connection breaks."""
		return self.add("lost_after", route, count, **more)

	def error_before(self, route="POST /v1/payment_intents", count=1, status=503, **more):
		"""5xx, and nothing has happened."""
		return self.add("error_before", route, count, status=status, **more)

	def error_after(self, route="POST /v1/payment_intents", count=1, status=500, sticky=True, **more):
		"""It happened, and a 5xx is answered; the key brings back the 5xx (`sticky`) or the true answer."""
		return self.add("error_after", route, count, status=status, sticky=sticky, **more)

	def rate_limit(self, route="POST /v1/payment_intents", count=1, retry_after=1, **more):
		"""429 with Retry-After."""
		return self.add("rate_limit", route, count, retry_after=retry_after, **more)

	def conflict(self, route="POST /v1/payment_intents", count=1, **more):
		"""409: the key is in use."""
		return self.add("conflict", route, count, **more)

	def slow(self, seconds, route="POST /v1/payment_intents", count=1, **more):
		"""It happens after some seconds."""
		return self.add("slow", route, count, seconds=seconds, **more)

	def slow_after(self, seconds, route="POST /v1/payment_intents", count=1, **more):
		"""It happens at once and is answered after some seconds."""
		return self.add("slow_after", route, count, seconds=seconds, **more)

	def processing(self, seconds, route="POST /v1/payment_intents", count=1, **more):
		"""The payment is decided only after some seconds."""
		return self.add("processing", route, count, seconds=seconds, **more)

	def respond(self, status, body, route="POST /v1/payment_intents", count=1, **more):
		"""Any answer at all (`body`: text, or what becomes JSON), without effect."""
		text = body if isinstance(body, str) else json.dumps(body)
		return self.add("respond", route, count, status=status, body=text, **more)

	def refuse(self, seconds: float):
		"""No connection is taken for some seconds, open ones are broken."""
		self._control("refuse", seconds=seconds)
		time.sleep(0.15)  # the window is open when this returns

	def list(self) -> list[dict]:
		"""The orders, with `hits`."""
		return self._control("list_faults")

	def clear(self):
		"""No more faults."""
		self._control("clear_faults")


class _WebhookOrders:
	def __init__(self, stand_in: "StandIn"):
		self._control = stand_in.control

	def to(
		self, url: str, secret: str, mode: str = "once", seconds: float = 0.5, host: str | None = None, **more
	):
		"""Deliver every event from now on to `url`, signed with `secret`.

		`mode`: once, twice, late (after `seconds`), out_of_order (events of `seconds` in reverse), never.
		`host` goes into the Host header; `events` limits the types; `retries` (3) follow a refusal.
		"""
		self._control("set_webhooks", url=url, secret=secret, mode=mode, seconds=seconds, host=host, **more)

	def off(self):
		"""Deliver nothing."""
		self._control("set_webhooks")

	def deliveries(self) -> list[dict]:
		"""What was sent, and the endpoint's status."""
		return self._control("deliveries")

	def deliver(self, event: str):
		"""Send an event again."""
		self._control("deliver", event=event)

	def wait(self, timeout: float = 10) -> bool:
		"""Wait until everything is delivered; False when the time is over first."""
		return self._control("idle", timeout=timeout)


class StandIn:
	"""A stand-in in its own process, for tests and the demo.

	`StandIn.at(url)` uses one that is running already. Amounts of `captured_total` are major units; the objects
	of `intents()` and the like are Stripe's own, in minor units.
	"""

	secret_key, publishable_key = SECRET_KEY, PUBLISHABLE_KEY

	def __init__(self, port: int = 0, state: str | None = None):
		self._port, self._state, self._process = port, state, None
		self.api_base = ""
		self.faults, self.webhooks = _FaultOrders(self), _WebhookOrders(self)

	@classmethod
	def at(cls, api_base: str) -> "StandIn":
		"""A running stand-in."""
		found = cls()
		found.api_base = api_base.rstrip("/")
		return found

	def __enter__(self) -> "StandIn":
		return self.start()

	def __exit__(self, *exc):
		self.stop()

	def start(self) -> "StandIn":
		"""Start the process and wait until it takes calls."""
		command = [sys.executable, str(Path(__file__).resolve()), "--port", str(self._port)]
		command += ["--parent", str(os.getpid())] + (["--state", str(self._state)] if self._state else [])
		self._process = subprocess.Popen(
			command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, start_new_session=True
		)
		line = self._process.stdout.readline()
		found = re.search(r"http://\S+", line)
		if not found:
			self.stop()
			raise RuntimeError(f"The stand-in for Stripe did not start: {line!r}")
		self.api_base = found.group(0)
		self._port = urlsplit(self.api_base).port
		return self

	def stop(self, kill: bool = False):
		"""End the process that `start` began."""
		if self._process:
			self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
			self._process.wait(10)
			self._process.stdout.close()
			self._process = None

	@property
	def pid(self) -> int | None:
		"""The process, while it runs."""
		return self._process.pid if self._process else None

	def gateway(self, timeout: float = 5, key: str = SECRET_KEY):
		"""A StripeGateway that talks to this stand-in."""
		from crm_recharge.gateway.stripe.gateway import StripeGateway

		return StripeGateway(key, api_base=self.api_base, timeout=timeout)

	def control(self, name: str, /, **arguments):
		"""Ask for one of Controls. Raises RuntimeError with the stand-in's own words."""
		url = urlsplit(self.api_base)
		connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
		try:
			connection.request("POST", f"/_control/{name}", json.dumps(arguments))
			response = connection.getresponse()
			body = json.loads(response.read())
		finally:
			connection.close()
		if response.status != 200:
			raise RuntimeError(f"{name}: {body.get('message')}")
		return body

	def make_customer(self, name: str = "Test Customer", email: str = "test@example.com") -> str:
		"""A customer's id."""
		return self.gateway().create_customer(key=os.urandom(8).hex(), name=name, email=email)

	def make_card(self, customer: str, number: str = "4242424242424242", **more) -> str:
		"""The id of a card saved for `customer`, whatever its bank says now (`exp_month`, `exp_year`, `setup`)."""
		return self.control("make_card", customer=customer, number=number, **more)["id"]

	def make_bank_account(self, customer: str) -> str:
		"""The id of a bank account saved for `customer`."""
		return self.control("make_bank_account", customer=customer)["id"]

	def all(self, kind: str, **where) -> list[dict]:
		"""Every object of a kind, oldest first."""
		return self.control("all", kind=kind, **where)

	def intents(self, customer: str | None = None, status: str | None = None) -> list[dict]:
		"""Every PaymentIntent, oldest first."""
		where = {"customer": customer, "status": status}
		return self.all("payment_intent", **{name: value for name, value in where.items() if value})

	def captured_total(self, customer: str, currency: str | None = None) -> Decimal:
		"""What was captured from a customer, refunds not deducted, in major units of the one currency used."""
		from crm_recharge.gateway.stripe.minor_units import from_minor

		found = self.intents(customer, "succeeded")
		currencies = {
			intent["currency"] for intent in found if currency in (None, intent["currency"].upper())
		}
		if len(currencies) > 1:
			raise ValueError(f"Several currencies were used: {', '.join(sorted(currencies))}")
		amounts = [
			from_minor(i["amount_received"], i["currency"]) for i in found if i["currency"] in currencies
		]
		return sum(amounts, Decimal(0))

	def log(self) -> list[dict]:
		"""Every API call so far: method, path, params, key, status, fault, replayed, milliseconds."""
		return self.control("log")


def main(arguments: list[str] | None = None):
	"""Serve until told to stop, or until the parent is gone."""
	parser = argparse.ArgumentParser(description="A stand-in for Stripe's API, for tests and demonstrations.")
	parser.add_argument("--port", type=int, default=8420, help="0 takes a free one")
	parser.add_argument("--host", default="127.0.0.1")
	parser.add_argument("--state", help="file to keep payments in over a restart")
	parser.add_argument("--parent", type=int, help="end when this process is gone")
	options = parser.parse_args(arguments)
	try:
		server = Server(options.port, options.state, options.host)
	except OSError as error:
		sys.exit(f"Cannot listen on {options.host}:{options.port}: {error.strerror}")
	signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
	print(f"Stand-in for Stripe ready at {server.base}", flush=True)
	try:
		while not options.parent or os.getppid() == options.parent:
			time.sleep(0.5)
	except KeyboardInterrupt:
		pass


if __name__ == "__main__":
	main()
