"""Setting up the payment gateway: does it answer, and where does it send its webhooks. For Credit Managers."""

import time
from datetime import datetime, timedelta, timezone

import frappe
from frappe import _
from frappe.utils import get_url

from crm_recharge.domain.errors import InvalidRequest, shown
from crm_recharge.doors import sight
from crm_recharge.gateway import home, stripe_gateway
from crm_recharge.gateway.doctype.crm_recharge_settings.crm_recharge_settings import custom_address
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.intake import intake
from crm_recharge.recharge import moving
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


@frappe.whitelist(methods=["GET", "POST"])
@intake
def site() -> dict:
	"""Whether payments are made on this site: `home` is false for one whose database was copied or moved and that
	nobody has confirmed yet; then `message` says so."""
	_check()
	at_home = home.is_home()
	return {"home": at_home, "message": "" if at_home else home.in_words()}


@frappe.whitelist(methods=["POST"])
@intake
def confirm_site(what: str) -> dict:
	"""Say of a site whose database was copied or moved which of the two it is; payments go on then.

	`what`: "moved" (this is the site itself, at another place) or "copy" (the original goes on elsewhere: the payments and
	cards that this one came with are left alone, and auto-recharge is switched off). Returns `site`'s answer, and for a
	copy how much was set aside. Errors: 422; 403 for whoever may not see all accounts, since it concerns them all.
	"""
	_check()
	if sight.accounts():
		frappe.throw(
			_(
				"This concerns the payments of all accounts, and some are kept from you. Ask somebody who sees them all."
			),
			frappe.PermissionError,
			title=_("Not permitted"),
		)
	if what not in ("moved", "copy"):
		raise InvalidRequest("not_one_of", field="what", value=shown(what), known="moved, copy")
	if home.is_home():
		raise InvalidRequest("site_is_home")
	counts = {}
	if what == "moved":
		moving.moved()
	else:
		counts = moving.copied()
	frappe.db.commit()
	return site() | counts
