"""What counts against an account's and a setting's hard caps; the rules are in domain/caps.py and domain/views.py."""

from datetime import timedelta

import frappe

from crm_recharge import clock
from crm_recharge.credits.money import exact
from crm_recharge.domain import payment, rows, views
from crm_recharge.domain.caps import any_set
from crm_recharge.domain.threshold import Cap
from crm_recharge.recharge import reading

LONGEST_WINDOW = timedelta(days=33)
"""Longer than any month, in any zone."""
SETTING_CAPS = ("amount_day", "amount_month", "count_hour", "count_day")


def account_caps(account) -> tuple[Cap, ...]:
	"""The account's own caps: every recharge counts, by hand too. `account` is the locked row."""
	row = reading.plain_account(account)
	if not any_set(views.account_limits(row)):
		return ()
	return views.account_caps(row, reserved(row.name), clock.now())


def reserved(account: str) -> list[rows.Reserved]:
	"""The account's recharges that may count: those of the longest window, and those under way."""
	# A locking read: it sees what is committed now, not what this transaction's snapshot remembers. All
	# recharges of an account are written under its lock, which the caller holds.
	found = frappe.db.sql(
		"SELECT CAST(`amount` AS CHAR), `status`, `origin`, `settled_at` FROM `tabRecharge` WHERE `credit_account` = %s"
		" AND (`settled_at` >= %s OR (`settled_at` IS NULL AND `status` IN %s)) LOCK IN SHARE MODE",
		(account, clock.earliest(clock.now() - LONGEST_WINDOW), payment.IN_FLIGHT),
	)
	return [
		rows.Reserved(exact(amount), status, origin, clock.read(settled))
		for amount, status, origin, settled in found
	]
