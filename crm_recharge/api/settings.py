"""Setting up the payment gateway: does it answer, and where does it send its webhooks. For Credit Managers."""

import time
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import frappe
from frappe import _
from frappe.utils import get_url

from crm_recharge import transactions
from crm_recharge.domain.errors import InvalidRequest, shown
from crm_recharge.doors import sight
from crm_recharge.gateway import home, registry
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.intake import intake
from crm_recharge.recharge import moving

WEBHOOK = "crm_recharge.api.gateway.webhook"


def _check() -> None:
	frappe.only_for(("Credit Manager", "System Manager"))


@frappe.whitelist(methods=["POST"])
@intake
def test_connection() -> dict:
	"""Ask the gateway for its latest payment with the saved keys. Returns ok, live, milliseconds, message.

	Moves no money. A gateway that refuses or does not answer is `ok: false` with the reason, not an error.
	"""
	_check()
	name = registry.chosen()
	gateway = registry.connect(name)
	started = time.monotonic()
	try:
		next(gateway.intents_since(datetime.now(timezone.utc) - timedelta(hours=1)), None)
		ok, message = True, ""
	except GatewayError as error:
		ok, message = False, error.message
	answer = {
		"ok": ok,
		"live": gateway.live,
		"address": registry.adapter(name).for_browser()["custom_address"],
		"milliseconds": round((time.monotonic() - started) * 1000),
	}
	return answer | {"message": message or _in_words(name, answer)}


def _in_words(name: str, answer: dict) -> str:
	if answer["address"]:
		return _("{0} answers in the place of {1}. No real money is moved.").format(answer["address"], name)
	if answer["live"]:
		return _("{0} answers, in live mode: cards are really charged.").format(name)
	return _("{0} answers, in test mode: no real money is moved.").format(name)


@frappe.whitelist(methods=["GET", "POST"])
@intake
def webhook() -> dict:
	"""What to enter as an endpoint in the gateway's dashboard: its address, and the events it wants; and which gateways
	there are to choose from."""
	_check()
	name = registry.chosen()
	return {
		"gateway": name,
		"gateways": registry.names(),
		"address": get_url(f"/api/method/{WEBHOOK}?gateway={quote(name)}"),
		"events": registry.adapter(name).wanted_events(),
	}


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
	transactions.commit()
	return site() | counts
