"""Figures of the number cards that a plain count does not give."""

import frappe
from frappe import _
from frappe.utils import add_days, getdate, nowdate

from crm_recharge.credits.money import in_coins, money
from crm_recharge.doors import sight
from crm_recharge.intake import intake
from crm_recharge.reorder.insight.funnel import funnel, total
from crm_recharge.reorder.insight.scope import company_of

DAYS = 30


@frappe.whitelist(methods=["GET", "POST"])
@intake
def won_in_30_days(filters: str | dict | list | None = None) -> str:
	"""Items bought after a reminder of the last 30 days, and what they brought, as text for a number card."""
	sight.check("Reorder Message")
	asked = {"from_date": getdate(add_days(nowdate(), -DAYS))}
	summed, currency = total(funnel(asked)), company_of(asked)[1]
	shown = money(in_coins(summed["revenue"], currency), currency)
	return _("{0} · {1}").format(summed["won"], shown)
