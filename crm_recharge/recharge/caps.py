"""What counts against an account's and a setting's hard caps; the rule is in domain/caps.py."""

from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import frappe
from frappe.utils import get_system_timezone, now_datetime

from crm_recharge.credits.money import exact
from crm_recharge.domain import caps as rules
from crm_recharge.domain.caps import CapLimits, Reservation
from crm_recharge.domain.threshold import Cap

IN_FLIGHT = ("Queued", "Charging", "Action Required")
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
	zone = account.time_zone or get_system_timezone()
	now = to_zone(now_datetime(), zone)
	return rules.caps_at(limits, _reservations(account.name, zone, condition), now)


def _reservations(account: str, zone: str, condition: str) -> list[Reservation]:
	# A locking read: it sees what is committed now, not what this transaction's snapshot remembers. All
	# recharges of an account are written under its lock, which the caller holds.
	rows = frappe.db.sql(
		"SELECT CAST(`amount` AS CHAR), `settled_at` FROM `tabRecharge` WHERE `credit_account` = %s"
		f" AND (`settled_at` >= DATE_SUB(%s, INTERVAL 33 DAY) OR (`settled_at` IS NULL AND `status` IN %s)) {condition}"
		" LOCK IN SHARE MODE",
		(account, now_datetime(), IN_FLIGHT),
	)
	return [Reservation(exact(amount), settled and to_zone(settled, zone)) for amount, settled in rows]


def to_zone(moment: datetime, zone: str) -> datetime:
	"""A site time as the wall clock of `zone` shows it."""
	return (
		moment.replace(tzinfo=ZoneInfo(get_system_timezone())).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
	)


def to_site(moment: datetime, zone: str | None) -> datetime:
	"""A wall-clock time of `zone` (None: the site's) as a site time."""
	site = ZoneInfo(get_system_timezone())
	return moment.replace(tzinfo=ZoneInfo(zone) if zone else site).astimezone(site).replace(tzinfo=None)
