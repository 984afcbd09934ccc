"""Limits of one payment: those of CRM Recharge Settings (M5), within what the gateway takes in each currency."""

from decimal import Decimal

import frappe

from crm_recharge.credits.money import exact
from crm_recharge.domain.threshold import Limits
from crm_recharge.gateway import registry


def payment_limits(currency: str | None = None) -> Limits:
	"""Smallest and largest amount of one payment in `currency`, an account's; without one, as the settings say: 5 and
	10,000 unless set."""
	settings = frappe.get_cached_doc("CRM Recharge Settings")
	default = Limits()
	limits = Limits(
		exact(settings.minimum_payment) or default.minimum, exact(settings.maximum_payment) or default.maximum
	)
	return limits.within(*gateway_limits(currency)) if currency else limits


def gateway_limits(currency: str) -> tuple[Decimal | None, Decimal | None]:
	"""The least and the most the gateway charges at once in `currency`; None where nothing is known."""
	return registry.adapter().limits(currency)
