"""What the app takes away when it leaves a site: the mirror image of `install.py`.

Frappe itself deletes what belongs to the app's modules: DocTypes with their records and permissions, workspaces,
cards, charts, reports, print formats. Here goes what lies in other apps' tables. The books stay: invoices, payments,
accounts, the item and the mode of payment belong to the company. So do the counters of names: a payment at the gateway
that says CA-00001 must not meet another account of that name.
"""

import frappe
from frappe import _
from frappe.query_builder.functions import Cast

from crm_recharge import frappe_versions, install, transactions
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import plain
from crm_recharge.gateway import home
from crm_recharge.people import fields as people_fields
from crm_recharge.setup import custom_fields, indexes, jobs, roles, templates, traces

DISCARD = "crm_recharge_discard_balances"


def before_uninstall() -> None:
	"""Refuse while customers hold credits; then delete what lies in other apps' tables.

	Nothing is committed here: Frappe runs this for `--dry-run` as well, and then lets go of it.
	"""
	refuse_while_credits_are_held()
	custom_fields.take_away(install.custom_fields())
	templates.take_away()
	jobs.take_away()
	traces.take_away()
	frappe_versions.take_desktop_away(traces.APP)


def after_uninstall() -> None:
	"""The DocTypes are gone: what names a role of the app now is the site's own. Does nothing after a `--dry-run`."""
	if traces.APP in frappe.get_installed_apps():
		return
	roles.take_away()
	indexes.take_away(people_fields.INDEXES)
	traces.forget()
	home.forget()
	# Frappe has committed before, and does not again.
	transactions.commit()


def refuse_while_credits_are_held() -> None:
	"""Raise ValidationError with the accounts concerned, unless the site's configuration says to discard them."""
	if frappe.conf.get(DISCARD):
		return
	account = frappe.qb.DocType("Credit Account")
	held = (
		frappe.qb.from_(account)
		.select(
			account.name, account.customer, account.currency, Cast(account.balance, "CHAR").as_("balance")
		)
		.where(account.balance != 0)
		.orderby(account.name)
		.limit(6)
	).run(as_dict=True)
	if not held:
		return
	shown = "\n".join(
		f"  {row.name} · {row.customer} · {plain(exact(row.balance))} {row.currency}" for row in held[:5]
	)
	if len(held) > 5:
		shown += "\n  …"
	frappe.throw(
		_(
			"Credit accounts still hold credits or owe some:\n{0}\nBring every balance to zero first (refund or"
			" adjust it), or give the credits up with: bench --site {1} set-config {2} 1"
		).format(shown, frappe.local.site, DISCARD)
	)
