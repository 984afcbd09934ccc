"""The threshold check: a document hook on Credit Ledger (see hooks.py), under the account's lock.

At or below the level a *Queued* Recharge is written in the same transaction; the worker only carries it out.
"""

import json
from dataclasses import replace
from decimal import Decimal

import frappe

from crm_recharge import clock, transactions
from crm_recharge.contention import retry_on_contention
from crm_recharge.credits.money import exact
from crm_recharge.credits.store import ACCOUNT_FIELDS, ACCOUNT_MONEY, lock_account
from crm_recharge.domain import threshold as rules
from crm_recharge.domain import views
from crm_recharge.domain.credit_events import BALANCE_DEPLETED, BALANCE_LOW, fell_to
from crm_recharge.domain.dispute import DISPUTED_ACCOUNT
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.threshold import (
	CHARGED,
	Decision,
	View,
	decide,
	look_at_entry,
	may_start,
)
from crm_recharge.doors.guard import new
from crm_recharge.outbox import events
from crm_recharge.outbox.queue import enqueue_again
from crm_recharge.recharge import caps, decisions, reading, spikes
from crm_recharge.recharge.limits import payment_limits


def on_ledger_entry(doc, method=None) -> None:
	"""After each ledger row: start a recharge when the balance calls for one, and keep why or why not."""
	account = doc.flags.account_row
	if not account:
		return
	balance, more_follow = exact(doc.balance_after), bool(doc.flags.more_follow)
	if balance <= ZERO and not more_follow and fell_to(ZERO, exact(account.balance), balance):
		events.tell(BALANCE_DEPLETED, account.name, {"balance": balance, "currency": account.currency})
	if not account.auto_recharge:
		return
	setting = json.loads(account.auto_recharge)
	falls_below = Decimal(setting["falls_below"])
	if not look_at_entry(balance, falls_below, more_follow):
		return
	if fell_to(falls_below, exact(account.balance), balance):
		low = {"balance": balance, "falls_below": falls_below, "currency": account.currency}
		events.tell(BALANCE_LOW, account.name, low)
	doc.flags.recharge_started = check(
		account, setting, balance, triggered_by=doc.name, by_usage=may_start(doc.entry_type)
	)


def on_refused_usage(account: str, amount: str) -> None:
	"""Credits did not suffice though the balance is above the threshold: look at it in the background.

	Losing the job is harmless: the caller asks again, and is refused again.
	"""
	enqueue_again(
		"crm_recharge.recharge.threshold.look_at_refusal",
		"short",
		f"refused_usage:{account}",
		account=account,
		amount=amount,
	)


@retry_on_contention
def look_at_refusal(account: str, amount: str) -> str | None:
	"""Start a recharge when it would let the refused `amount` (the account's currency) through."""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	row, _lots = lock_account(account)
	started = None
	if row.auto_recharge:
		setting, balance = json.loads(row.auto_recharge), exact(row.balance)
		if rules.look_at_refusal(view_of(row, setting, balance, Decimal(amount))):
			started = check(row, setting, balance, refused=Decimal(amount))
	transactions.commit()
	return started


def check(
	account,
	setting: dict,
	balance: Decimal,
	triggered_by: str | None = None,
	refused: Decimal | None = None,
	by_usage: bool = True,
) -> str | None:
	"""Decide, keep the decision, and write the Recharge if one is to start. Returns the recharge's name.

	The caller holds the account's lock; `account` is the locked row, `setting` its copy of the setting.
	"""
	decision = decide(
		view_of(account, setting, balance, refused, by_usage), lambda: spikes.found(account, setting)
	)
	if decision.pauses:
		spikes.pause(account, decision.pauses)
	recharge = _queue(account, decision, triggered_by) if decision.code == CHARGED else None
	decisions.keep(account, decision, balance, recharge, triggered_by)
	return recharge


def check_now(account: str) -> str | None:
	"""Look at the threshold without a movement: switched on, resumed, or a limit has freed.

	Returns the recharge that started. The caller has checked the permission and commits.
	"""
	row, _lots = lock_account(account)
	if not row.auto_recharge:
		return None
	setting, balance = json.loads(row.auto_recharge), exact(row.balance)
	if not look_at_entry(balance, Decimal(setting["falls_below"])):
		return None
	return check(row, setting, balance)


def foresee(account: str, setting: dict, resumed: bool = False) -> dict | None:
	"""What `check_now` would charge if `setting` (as the account keeps it) were the account's: amount, currency,
	balance, falls_below, as text. None: nothing. `resumed`: as if pause and hold were over. Locks the account,
	changes nothing.
	"""
	row, _lots = lock_account(account)
	balance = exact(row.balance)
	if not look_at_entry(balance, Decimal(setting["falls_below"])):
		return None
	if resumed:
		row.held_because, setting = None, setting | {"paused_because": None}
		row.status = "Active" if row.status == DISPUTED_ACCOUNT else row.status
	unusual = (lambda: None) if resumed else (lambda: spikes.found(row, setting))
	decision = decide(view_of(row, setting, balance), unusual)
	if decision.code != CHARGED:
		return None
	figures = {key: decision.figures[key] for key in ("amount", "balance", "falls_below")}
	return figures | {"currency": row.currency}


def freed() -> list[str]:
	"""Accounts that a limit has stopped which has freed since: usage that is refused would never ask."""
	now = clock.now()
	capped = frappe.db.sql(
		"SELECT d.`credit_account`, d.`frees_at` FROM `tabRecharge Decision` d JOIN `tabCredit Account` a"
		" ON a.`name` = d.`credit_account` AND JSON_VALUE(a.`last_decision`, '$.name') = d.`name`"
		" WHERE d.`code` = 'capped' AND d.`frees_at` <= %s LIMIT 200",
		clock.latest(now),
	)
	return [account for account, frees_at in capped if clock.is_past(frees_at, now)]


@retry_on_contention
def look_again(account: str) -> str | None:
	"""Check an account again whose limit has freed. Commits. Returns the recharge that started."""
	started = check_now(account)
	transactions.commit()
	return started


def view_of(
	account, setting: dict, balance: Decimal, refused: Decimal | None = None, by_usage: bool = True
) -> View:
	"""What the decision rests on; `account` is the row as credits/store.py reads it."""
	return views.threshold_view(
		replace(reading.plain_account(account), balance=balance),
		views.setting(setting),
		payment_limits(account.currency),
		lambda: caps.reserved(account.name),
		clock.now(),
		refused,
		by_usage,
	)


def _queue(account, decision: Decision, triggered_by: str | None) -> str:
	recharge = new(
		"Recharge",
		{
			"credit_account": account.name,
			"origin": "Automatic",
			"amount": str(decision.amount),
			"decision": decision.code,
			"decision_figures": json.dumps(decision.figures),
			"triggered_by": triggered_by,
			"balance_before": decision.figures["balance"],
		},
	)
	recharge.flags.ignore_permissions = True
	recharge.flags.account_row = account
	recharge.insert()
	recharge.submit()
	account.open_recharge = recharge.name
	return recharge.name


def explain(account: str, to_customer: bool = False) -> dict:
	"""What the check would decide now, for people; changes nothing. Returns code, explanation, figures."""
	money = ", ".join(f"CAST(`{field}` AS CHAR) AS `{field}`" for field in ACCOUNT_MONEY)
	fields = ", ".join(f"`{field}`" for field in ACCOUNT_FIELDS)
	# nosemgrep: frappe-sql-format-injection -- fields are constants
	rows = frappe.db.sql(
		f"SELECT {fields}, {money} FROM `tabCredit Account` WHERE `name` = %s", account, as_dict=True
	)
	if not rows or not rows[0].auto_recharge:
		text = decisions.explain("no_setting", {}, to_customer=to_customer)
		return {"code": "no_setting", "explanation": text, "figures": {}}
	decision = decide(view_of(rows[0], json.loads(rows[0].auto_recharge), exact(rows[0].balance)))
	code = decisions.NEXT_USAGE if decision.code == CHARGED else decision.code
	return {
		"code": decision.code,
		"explanation": decisions.explain(code, decision.figures, rows[0].currency, to_customer),
		"figures": decision.figures,
	}
