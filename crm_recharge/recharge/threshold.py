"""The threshold check: a document hook on Credit Ledger (see hooks.py), under the account's lock.

At or below the level a *Queued* Recharge is written in the same transaction; the worker only carries it out.
"""

import json
from datetime import datetime, timedelta
from decimal import Decimal

import frappe
from frappe.utils import now_datetime

from crm_recharge.credits.money import exact
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.threshold import ABOVE_THRESHOLD, CHARGED, Cap, Decision, View, decide
from crm_recharge.recharge.limits import payment_limits

# A recharge in one of these has charged a card or may still do so.
COUNTED = (
	"Queued",
	"Charging",
	"Action Required",
	"Succeeded",
	"Partly Refunded",
	"Refunded",
	"Disputed",
	"Charged Back",
)


def on_ledger_entry(doc, method=None) -> None:
	"""After each ledger row: start a recharge when the balance calls for one."""
	account = doc.flags.account_row
	if not account or not account.auto_recharge:
		return
	setting = json.loads(account.auto_recharge)
	balance = exact(doc.balance_after)
	if balance > Decimal(setting["falls_below"]):
		return
	doc.flags.recharge_started = check(account, setting, balance, triggered_by=doc.name)


def check(account, setting: dict, balance: Decimal, triggered_by: str | None = None) -> str | None:
	"""Decide, and write the Recharge if one is to start. The caller holds the account's lock.

	`account` is the locked row, `setting` its copy of the Auto-Recharge Setting. Returns the recharge's name.
	"""
	decision = decide(_view(account, setting, balance))
	if decision.code != CHARGED:
		return None
	return _queue(account, decision, triggered_by)


def _view(account, setting: dict, balance: Decimal) -> View:
	return View(
		currency=account.currency,
		balance=balance,
		enabled=bool(setting["enabled"]),
		falls_below=Decimal(setting["falls_below"]),
		recharge_up_to=Decimal(setting["recharge_up_to"]),
		open_recharge=account.open_recharge,
		held_because=account.held_because or (account.status != "Active" and account.status) or None,
		usable_cards=setting["cards"],
		limits=payment_limits(),
		caps=_caps(account.name, setting) if setting["enabled"] and not account.open_recharge else (),
	)


def _caps(account: str, setting: dict) -> tuple[Cap, ...]:
	"""The setting's limits with what counts against them. Windows follow the site's calendar."""
	limits = [
		("amount_day", False, "day"),
		("amount_month", False, "month"),
		("count_hour", True, "hour"),
		("count_day", True, "day"),
	]
	set_limits = [(name, is_count, window) for name, is_count, window in limits if Decimal(setting[name])]
	if not set_limits:
		return ()
	now = now_datetime()
	rows = _recent(account, min(_window(now, w)[0] for _, _, w in set_limits))
	caps = []
	for name, is_count, window in set_limits:
		start, frees_at = _window(now, window)
		counted = [row for row in rows if row.creation >= start]
		used = Decimal(len(counted)) if is_count else sum((exact(row.amount) for row in counted), ZERO)
		if window == "hour" and counted:
			frees_at = min(row.creation for row in counted) + timedelta(hours=1)
		caps.append(Cap(name, Decimal(setting[name]), used, is_count, frees_at))
	return tuple(caps)


def _recent(account: str, since: datetime) -> list:
	# A locking read: it sees what is committed now, not what this transaction's snapshot remembers.
	return frappe.db.sql(
		"SELECT `name`, `creation`, CAST(`amount` AS CHAR) AS `amount` FROM `tabRecharge`"
		" WHERE `credit_account` = %s AND `origin` = 'Automatic' AND `creation` >= %s AND `status` IN %s"
		" LOCK IN SHARE MODE",
		(account, since, COUNTED),
		as_dict=True,
	)


def _window(now: datetime, window: str) -> tuple[datetime, datetime]:
	"""Start of the window that `now` is in, and when the next one begins."""
	if window == "hour":
		return now - timedelta(hours=1), now + timedelta(hours=1)
	day = now.replace(hour=0, minute=0, second=0, microsecond=0)
	if window == "day":
		return day, day + timedelta(days=1)
	month = day.replace(day=1)
	return month, (month + timedelta(days=32)).replace(day=1)


def _queue(account, decision: Decision, triggered_by: str | None) -> str:
	recharge = frappe.get_doc(
		{
			"doctype": "Recharge",
			"credit_account": account.name,
			"origin": "Automatic",
			"amount": str(decision.amount),
			"decision": decision.code,
			"decision_figures": json.dumps(decision.figures),
			"triggered_by": triggered_by,
			"balance_before": decision.figures["balance"],
		}
	)
	recharge.flags.ignore_permissions = True
	recharge.flags.account_row = account
	recharge.insert()
	recharge.submit()
	account.open_recharge = recharge.name
	return recharge.name


def explain(account: str) -> dict:
	"""What the check would decide now, for people; reads without locks and changes nothing."""
	row = frappe.db.get_value(
		"Credit Account",
		account,
		["name", "currency", "status", "open_recharge", "held_because", "auto_recharge"],
		as_dict=True,
	)
	if not row or not row.auto_recharge:
		return {"code": "no_setting", "figures": {}}
	balance = exact(
		frappe.db.sql("SELECT CAST(`balance` AS CHAR) FROM `tabCredit Account` WHERE `name` = %s", (account,))[0][0]
	)
	decision = decide(_view(row, json.loads(row.auto_recharge), balance))
	return {"code": decision.code, "figures": decision.figures, "above": decision.code == ABOVE_THRESHOLD}
