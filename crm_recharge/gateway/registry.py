"""Which gateways there are, and which one a record's payments go through.

Apps announce adapters by the hook `crm_recharge_gateways`: name → path of a class that is a port.Adapter. One of them
is the site's (*CRM Recharge Settings*); an account stays with the one that its customer was made at.
"""

import frappe
from frappe import _

from crm_recharge.gateway import home
from crm_recharge.gateway.port import Adapter, Gateway

HOOK = "crm_recharge_gateways"
DEFAULT = "Stripe"


def names() -> list[str]:
	"""The gateways that apps on this site announce."""
	return sorted(frappe.get_hooks(HOOK))


def chosen() -> str:
	"""The gateway of this site: new customers are made there."""
	return frappe.get_cached_doc("CRM Recharge Settings").get("gateway") or DEFAULT


def adapter(name: str | None = None) -> Adapter:
	"""The adapter of a gateway; without a name the site's. Raises frappe.ValidationError when no app brings it."""
	name = name or chosen()
	paths = frappe.get_hooks(HOOK).get(name)
	if not paths:
		frappe.throw(
			_("There is no payment gateway {0} on this site. Install the app that brings it.").format(name),
			title=_("Gateway Missing"),
		)
	return frappe.get_attr(paths[-1])()


def connect(name: str | None = None) -> Gateway:
	"""The gateway of that name, or the site's, ready for calls.

	Raises frappe.ValidationError when it is not set up, and home.SiteAway on a copy that nobody has confirmed.
	"""
	home.only_at_home()
	return adapter(name).connect()


def of_account(account: str | None) -> str:
	"""The gateway that an account's payments go through."""
	return (account and frappe.db.get_value("Credit Account", account, "gateway")) or chosen()


def of_recharge(recharge: str | None) -> str:
	"""The gateway that a recharge's payments go through."""
	return of_account(recharge and frappe.db.get_value("Recharge", recharge, "credit_account"))


def payment_address(account: str | None, intent: str | None) -> str | None:
	"""A payment's page in the dashboard of the account's gateway, if it has one."""
	return adapter(of_account(account)).payment_address(intent)


def in_use() -> list[str]:
	"""The gateways that payments of this site may be at: its own, and those of accounts from before."""
	kept = frappe.get_all("Credit Account", {"gateway": ["is", "set"]}, pluck="gateway", distinct=True)
	return list(dict.fromkeys([chosen(), *sorted(kept)]))
