"""Setting up the payment gateway: does it answer, and where does it send its webhooks. For Credit Managers."""

import time
from datetime import datetime, timedelta, timezone

import frappe
from frappe import _
from frappe.utils import get_url

from crm_recharge.gateway import stripe_gateway
from crm_recharge.gateway.doctype.crm_recharge_settings.crm_recharge_settings import custom_address
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.intake import intake
from crm_recharge.recharge.events import HANDLERS

WEBHOOK = "crm_recharge.api.stripe.webhook"


def _check() -> None:
	frappe.only_for(("Credit Manager", "System Manager"))


@frappe.whitelist(methods=["POST"])
@intake
def test_connection() -> dict:
	"""Ask the gateway for its latest payment with the saved keys. Returns ok, live, milliseconds, message.

	Moves no money. A gateway that refuses or does not answer is `ok: false` with the reason, not an error.
	"""
	_check()
	gateway = stripe_gateway.connect()
	started = time.monotonic()
	try:
		next(gateway.intents_since(datetime.now(timezone.utc) - timedelta(hours=1)), None)
		ok, message = True, ""
	except GatewayError as error:
		ok, message = False, error.message
	answer = {
		"ok": ok,
		"live": gateway.livemode,
		"address": custom_address(),
		"milliseconds": round((time.monotonic() - started) * 1000),
	}
	return answer | {"message": message or _in_words(answer)}


def _in_words(answer: dict) -> str:
	if answer["address"]:
		return _("{0} answers in Stripe's place. No real money is moved.").format(answer["address"])
	if answer["live"]:
		return _("Stripe answers, in live mode: cards are really charged.")
	return _("Stripe answers, in test mode: no real money is moved.")


@frappe.whitelist(methods=["GET", "POST"])
@intake
def webhook() -> dict:
	"""What to enter as an endpoint in Stripe's dashboard: its address, and the events it wants."""
	_check()
	return {"address": get_url(f"/api/method/{WEBHOOK}"), "events": sorted(HANDLERS)}
