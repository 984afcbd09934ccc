"""Pausing auto-recharge when an account uses far more than is usual for it; the rule is in domain/anomaly.py."""

import json
from datetime import timedelta
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import now_datetime

from crm_recharge.credits.money import exact
from crm_recharge.domain.anomaly import DAYS, is_spike, usual_day
from crm_recharge.domain.money import plain


def found(account, setting: dict, balance: Decimal) -> str | None:
	"""Why auto-recharge of `account` should pause now, or None. `account` is the locked row.

	Read only when a charge is about to start, so that ordinary usage pays nothing for it.
	"""
	factor = Decimal(setting.get("anomaly_factor") or 0)
	days = [Decimal(day) for day in json.loads(account.daily_usage or "[]")]
	if not factor or usual_day(days) is None:
		return None
	last = used_since(account.name, now_datetime() - timedelta(hours=24))
	if not is_spike(last, days, factor):
		return None
	return _("{0} {1} used in the last 24 hours, {2} is usual a day").format(
		plain(last), account.currency, f"{usual_day(days):.2f}"
	)


def used_since(account: str, since) -> Decimal:
	"""Usage posted since `since`, less what was reversed (the account's currency)."""
	return -exact(
		frappe.db.sql(
			"SELECT CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger`"
			" WHERE `credit_account` = %s AND `posted_at` > %s AND `entry_type` IN ('Usage', 'Reversal')",
			(account, since),
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
		(because, now_datetime(), account.name),
	)


def refresh_daily_usage() -> int:
	"""Nightly: what each account with auto-recharge used on each of the last days. Returns how many accounts."""
	accounts = frappe.db.sql(
		"SELECT `name`, `creation` FROM `tabCredit Account` WHERE `auto_recharge` IS NOT NULL", as_dict=True
	)
	for account in accounts:
		_refresh(account)
		frappe.db.commit()
	return len(accounts)


def _refresh(account) -> None:
	today = now_datetime().replace(hour=0, minute=0, second=0, microsecond=0)
	start = today - timedelta(days=DAYS)
	rows = frappe.db.sql(
		"SELECT DATE(`posted_at`), CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger`"
		" WHERE `credit_account` = %s AND `posted_at` >= %s AND `posted_at` < %s AND `entry_type` IN ('Usage', 'Reversal')"
		" GROUP BY DATE(`posted_at`)",
		(account.name, start, today),
	)
	used = {day: -exact(total) for day, total in rows}
	first = max(start.date(), account.creation.date())
	days = [
		plain(used.get(first + timedelta(days=n), Decimal(0))) for n in range((today.date() - first).days)
	]
	frappe.db.sql(
		"UPDATE `tabCredit Account` SET `daily_usage` = %s WHERE `name` = %s",
		(json.dumps(days), account.name),
	)
