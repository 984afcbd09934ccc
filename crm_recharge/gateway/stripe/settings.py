"""What *CRM Recharge Settings* and site_config.json say of Stripe: keys, address, time-out.

In site_config.json `crm_recharge_stripe_secret_key`, `…_webhook_secret`, `…_publishable_key` and `…_api_base` go before
the settings.
"""

from urllib.parse import urlsplit

import frappe
from frappe import _

STRIPE_JS = "https://js.stripe.com/v3/"
LONGEST_TIMEOUT = 30

# Field → how such a key begins, and what people call it.
KEYS = {
	"stripe_secret_key": (("sk_", "rk_"), "sk_ / rk_"),
	"stripe_publishable_key": (("pk_",), "pk_"),
	"stripe_webhook_secret": (("whsec_",), "whsec_"),
}


def secret_key() -> str | None:
	"""The API key of this site."""
	return _password("stripe_secret_key")


def webhook_secret() -> str | None:
	"""The signing secret of this site's webhook endpoint."""
	return _password("stripe_webhook_secret")


def publishable_key() -> str | None:
	"""The key that a browser may know."""
	return _plain("stripe_publishable_key") or None


def custom_address() -> str | None:
	"""The address used instead of Stripe's, when one is set for tests."""
	return (_plain("stripe_api_base") or "").rstrip("/") or None


def timeout() -> int:
	"""How many seconds an answer may take."""
	return int(_settings().get("stripe_timeout") or 20)


def script_address() -> str:
	"""Where a browser loads Stripe.js from."""
	base = custom_address()
	return f"{base}/v3/" if base else STRIPE_JS


def is_live() -> bool:
	"""Whether the secret key moves real money."""
	return "_live_" in (secret_key() or "")


def check(settings) -> None:
	"""Check what the form says, before it is saved. Raises frappe.ValidationError naming the field."""
	_check_keys(settings)
	_check_address(settings)
	if not 1 <= (settings.stripe_timeout or 0) <= LONGEST_TIMEOUT:
		frappe.throw(
			_("Time-out must be between 1 and {0} seconds.").format(LONGEST_TIMEOUT), title=_("Time-out")
		)


def _settings():
	return frappe.get_cached_doc("CRM Recharge Settings")


def _plain(field: str) -> str | None:
	return frappe.conf.get(f"crm_recharge_{field}") or _settings().get(field)


def _password(field: str) -> str | None:
	return frappe.conf.get(f"crm_recharge_{field}") or _settings().get_password(field, raise_exception=False)


def _check_keys(settings) -> None:
	for field, (prefixes, shown) in KEYS.items():
		key = (settings.get(field) or "").strip()
		if not key or settings.is_dummy_password(key):
			continue
		settings.set(field, key)
		if not key.startswith(prefixes):
			frappe.throw(
				_("{0} must begin with {1}. Copy it again from Stripe's dashboard, under Developers.").format(
					_(settings.meta.get_label(field)), shown
				),
				title=_("Not a Stripe key"),
			)
	secret, publishable = _entered_secret(settings), settings.stripe_publishable_key
	if secret and publishable and ("_live_" in secret) != ("_live_" in publishable):
		frappe.throw(
			_("One of the keys is for test mode and the other for live mode. Use the pair of one mode."),
			title=_("Keys do not match"),
		)


def _entered_secret(settings) -> str:
	"""The secret key as it will be after saving; one in site_config.json goes before it."""
	key = frappe.conf.get("crm_recharge_stripe_secret_key") or settings.stripe_secret_key or ""
	if key and settings.is_dummy_password(key):
		return settings.get_password("stripe_secret_key", raise_exception=False) or ""
	return key


def _check_address(settings) -> None:
	settings.stripe_api_base = (settings.stripe_api_base or "").strip().rstrip("/")
	if not settings.stripe_api_base:
		return
	address = urlsplit(settings.stripe_api_base)
	if address.scheme not in ("http", "https") or not address.hostname:
		frappe.throw(
			_(
				"API Address must be a web address such as http://127.0.0.1:8420. Leave it empty to use Stripe."
			),
			title=_("Not an address"),
		)
	if "_live_" in _entered_secret(settings) or "_live_" in (settings.stripe_publishable_key or ""):
		frappe.throw(
			_(
				"A live key is never sent to another address than Stripe's. Empty the API Address, or use test keys."
			),
			title=_("Live key refused"),
		)
