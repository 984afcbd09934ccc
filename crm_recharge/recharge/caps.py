"""What counts against an account's and a setting's hard caps; the rule is in domain/caps.py."""

from datetime import timedelta
from decimal import Decimal

import frappe

from crm_recharge import clock
from crm_recharge.credits.money import exact
from crm_recharge.domain import caps as rules
from crm_recharge.domain import payment
from crm_recharge.domain.caps import CapLimits, Reservation
from crm_recharge.domain.threshold import Cap

LONGEST_WINDOW = timedelta(days=33)
"""Longer than any month, in any zone."""
SETTING_CAPS = ("amount_day", "amount_month", "count_hour", "count_day")
ACCOUNT_CAPS = ("amount_day", "amount_month")


def setting_caps(account, setting: dict) -> tuple[Cap, ...]:
	"""The setting's caps: automatic recharges count. `setting` is the account row's own copy of it."""
	limits = CapLimits(**{name: Decimal(setting.get(name) or 0) for name in SETTING_CAPS})
	return _caps(account, limits, "AND `origin` = 'Automatic'") if any_set(limits) else ()


def account_caps(account) -> tuple[Cap, ...]:
	"""The account's own caps: every recharge counts, by hand too."""
	limits = CapLimits(**{name: exact(account.get(f"cap_{name}")) for name in ACCOUNT_CAPS})
	if not any_set(limits):
		return ()
	found = _caps(account, limits, "")
	return tuple(Cap(f"account_{c.name}", c.limit, c.used, c.is_count, c.frees_at) for c in found)


def any_set(limits: CapLimits) -> bool:
	return any(getattr(limits, name) for name in CapLimits.__slots__)


def _caps(account, limits: CapLimits, condition: str) -> tuple[Cap, ...]:
	reservations = _reservations(account.name, condition)
	return rules.caps_at(limits, reservations, clock.now(), clock.zone_of(account.time_zone))


def _reservations(account: str, condition: str) -> list[Reservation]:
	# A locking read: it sees what is committed now, not what this transaction's snapshot remembers. All
	# recharges of an account are written under its lock, which the caller holds.
	rows = frappe.db.sql(
		"SELECT CAST(`amount` AS CHAR), `settled_at` FROM `tabRecharge` WHERE `credit_account` = %s"
		f" AND (`settled_at` >= %s OR (`settled_at` IS NULL AND `status` IN %s)) {condition}"
		" LOCK IN SHARE MODE",
		(account, clock.earliest(clock.now() - LONGEST_WINDOW), payment.IN_FLIGHT),
	)
	return [Reservation(exact(amount), clock.read(settled)) for amount, settled in rows]
