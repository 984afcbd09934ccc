"""Pausing auto-recharge when an account uses far more than is usual for it; the rule is in domain/anomaly.py."""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import frappe
from frappe import _

from crm_recharge import clock, transactions
from crm_recharge.credits.money import exact, in_coins, money
from crm_recharge.domain import moments, views
from crm_recharge.domain.anomaly import DAYS
from crm_recharge.domain.credit_events import PAUSED
from crm_recharge.domain.money import ZERO, plain
from crm_recharge.outbox import events


def found(account, setting: dict) -> str | None:
	"""Why auto-recharge of `account` should pause now, or None. `account` is the locked row."""
	days = [Decimal(day) for day in json.loads(account.daily_usage or "[]")]
	spike = views.spike(
		views.setting(setting), days, lambda since: used_since(account.name, since), clock.now()
	)
	if not spike:
		return None
	text = (
		_("{0} used since it was resumed, {1} is usual for a day")
		if spike.resumed
		else _("{0} used in the last 24 hours, {1} is usual for a day")
	)
	usual = in_coins(spike.usual, account.currency)
	return text.format(money(spike.used, account.currency), money(usual, account.currency))


def used_since(account: str, since: datetime) -> Decimal:
	"""Usage posted from the moment `since` on, less what was reversed (the account's currency)."""
	condition, values = clock.from_on("`posted_at`", since)
	return -exact(
		frappe.db.sql(
			"SELECT CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger`"
			f" WHERE `credit_account` = %s AND {condition} AND `entry_type` IN ('Usage', 'Reversal')",
			(account, *values),
		)[0][0]
	)


def pause(account, because: str) -> None:
	"""Pause auto-recharge until a person resumes it. The caller holds the account's lock."""
	setting = json.loads(account.auto_recharge) | {"paused_because": because}
	account.auto_recharge = json.dumps(setting)
	frappe.db.sql(
		"UPDATE `tabCredit Account` SET `auto_recharge` = %s WHERE `name` = %s",
		(account.auto_recharge, account.name),
	)
	frappe.db.sql(
		"UPDATE `tabAuto-Recharge Setting` SET `paused_because` = %s, `paused_at` = %s WHERE `credit_account` = %s",
		(because, clock.now_datetime(), account.name),
	)
	events.tell(PAUSED, account.name, {"reason": because, "by": "system"})


def refresh_daily_usage() -> int:
	"""Nightly: what each account with auto-recharge used on each of the last days. Returns how many accounts."""
	accounts = frappe.db.sql(
		"SELECT `name`, `creation`, `time_zone` FROM `tabCredit Account` WHERE `auto_recharge` IS NOT NULL",
		as_dict=True,
	)
	for account in accounts:
		_refresh(account)
		transactions.commit()
	return len(accounts)


def _refresh(account) -> None:
	zone = clock.zone_of(account.time_zone)
	today = clock.today(account.time_zone)
	first = max(today - timedelta(days=DAYS), moments.day_of(clock.read(account.creation), zone))
	used = _used_by_day(account.name, first, zone)
	days = [plain(used.get(first + timedelta(days=n), ZERO)) for n in range((today - first).days)]
	frappe.db.sql(
		"UPDATE `tabCredit Account` SET `daily_usage` = %s WHERE `name` = %s",
		(json.dumps(days), account.name),
	)


def _used_by_day(account: str, first, zone) -> dict:
	"""Usage by the day that a calendar in `zone` shows, from `first` on.

	Summed by quarters of an hour: no zone is off by less. In the hour that comes twice the two are told apart.
	"""
	condition, values = clock.from_on("`posted_at`", moments.start_of_day(first, zone))
	quarters = frappe.db.sql(
		"SELECT MIN(`posted_at`), CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger`"
		f" WHERE `credit_account` = %s AND {condition} AND `entry_type` IN ('Usage', 'Reversal')"
		" GROUP BY DATE(`posted_at`), HOUR(`posted_at`), MINUTE(`posted_at`) DIV 15, MICROSECOND(`posted_at`) %% 2",
		(account, *values),
	)
	used: dict = {}
	for posted_at, total in quarters:
		day = moments.day_of(clock.read(posted_at), zone)
		used[day] = used.get(day, ZERO) - exact(total)
	return used
