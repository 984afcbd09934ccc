"""Stripe as a payment gateway of this app (port.Adapter)."""

from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import urlsplit

import frappe
from frappe import _

from crm_recharge.gateway.port import GatewayEvent
from crm_recharge.gateway.stripe import declines, events, minor_units, settings, webhooks
from crm_recharge.gateway.stripe.gateway import CAPABILITIES, StripeGateway

CARD_FORM = {
	"script-src": ("https://js.stripe.com", "https://*.js.stripe.com"),
	"frame-src": ("https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com"),
	"connect-src": ("https://api.stripe.com",),
	"img-src": ("https://*.stripe.com",),
}
"""What Stripe's own form of a card loads, by Stripe's word (https://docs.stripe.com/security/guide)."""


class StripeAdapter:
	"""See port.Adapter."""

	name = "Stripe"
	capabilities = CAPABILITIES

	def connect(self) -> StripeGateway:
		try:
			return StripeGateway(
				settings.secret_key(), api_base=settings.custom_address(), timeout=settings.timeout()
			)
		except ValueError as error:
			frappe.throw(
				_(
					"Stripe cannot be used: {0}. Enter the secret key (it begins with sk_ or rk_) in CRM Recharge"
					" Settings, or set crm_recharge_stripe_secret_key in site_config.json."
				).format(str(error)),
				title=_("Stripe Is Not Set Up"),
			)

	def read_event(self, payload: bytes, headers: Mapping[str, str]) -> GatewayEvent:
		secret = settings.webhook_secret()
		if not secret:
			frappe.throw(
				_(
					"Webhooks of Stripe cannot be verified: enter the endpoint's signing secret (it begins with"
					" whsec_) in CRM Recharge Settings, or set crm_recharge_stripe_webhook_secret in"
					" site_config.json."
				),
				title=_("Stripe Is Not Set Up"),
			)
		return events.translate(webhooks.verify(payload, headers.get("Stripe-Signature"), secret))

	def wanted_events(self) -> list[str]:
		return sorted(name for names in events.TYPES.values() for name in names)

	def limits(self, currency: str) -> tuple[Decimal | None, Decimal | None]:
		try:
			return minor_units.minimum_charge(currency), minor_units.maximum_charge(currency)
		except ValueError:
			# No ISO 4217 code, such as a currency of one's own.
			return None, None

	def for_browser(self) -> dict:
		return {
			"gateway": self.name,
			"form_script": "/assets/crm_recharge/js/gateways/stripe.js",
			"publishable_key": settings.publishable_key(),
			"script": settings.script_address(),
			"custom_address": settings.custom_address(),
		}

	def page_sources(self) -> dict[str, tuple[str, ...]]:
		if not (address := settings.custom_address()):
			return CARD_FORM
		parts = urlsplit(address)
		return dict.fromkeys(CARD_FORM, (f"{parts.scheme}://{parts.netloc}",))

	def payment_address(self, intent: str | None) -> str | None:
		# None while another address stands in for Stripe.
		if not intent or settings.custom_address():
			return None
		return f"https://dashboard.stripe.com/{'' if settings.is_live() else 'test/'}payments/{intent}"

	def check_settings(self, settings_) -> None:
		settings.check(settings_)

	def for_customer(self, code: str | None) -> str:
		return declines.for_customer(code)
