"""What the app takes away when it leaves a site: the mirror image of `install.py`.

The books stay: invoices, payments, accounts, the item and the mode of payment belong to the company.
"""

import frappe
from frappe import _
from frappe.query_builder.functions import Cast

from crm_recharge.accounting.custom_fields import delete_custom_fields
from crm_recharge.accounting.mailing import TEMPLATE
from crm_recharge.credits.money import exact
from crm_recharge.domain.money import plain
from crm_recharge.reorder import setup as reorder
from crm_recharge.reorder.answers import fields as answer_fields

DISCARD = "crm_recharge_discard_balances"


def before_uninstall() -> None:
	"""Refuse while customers hold credits; then delete what lies in other apps' tables."""
	refuse_while_credits_are_held()
	delete_custom_fields()
	reorder.before_uninstall()
	answer_fields.delete_custom_fields()
	if frappe.db.exists("Email Template", TEMPLATE):
		frappe.delete_doc("Email Template", TEMPLATE, ignore_permissions=True, force=True)


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
