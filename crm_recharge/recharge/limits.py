"""Limits of one payment, from CRM Recharge Settings (M5)."""

import frappe

from crm_recharge.credits.money import exact
from crm_recharge.domain.threshold import Limits


def payment_limits() -> Limits:
	"""Smallest and largest amount of one payment, in each account's own currency; 5 and 10,000 unless set."""
	settings = frappe.get_cached_doc("CRM Recharge Settings")
	default = Limits()
	return Limits(
		exact(settings.minimum_payment) or default.minimum, exact(settings.maximum_payment) or default.maximum
	)
