"""The threshold check: a document hook on Credit Ledger (see hooks.py), under the account's lock.

At or below the level a *Queued* Recharge is written in the same transaction; the worker only carries it out.
"""

import json
from decimal import Decimal

import frappe

from crm_recharge import clock
from crm_recharge.credits.contention import retry_on_contention
from crm_recharge.credits.money import exact
from crm_recharge.credits.store import ACCOUNT_FIELDS, ACCOUNT_MONEY, lock_account
from crm_recharge.domain.dispute import DISPUTED_ACCOUNT
from crm_recharge.domain.threshold import CHARGED, PAUSED, TRIGGERS, Decision, View, decide, falls_short
from crm_recharge.doors.guard import new
from crm_recharge.recharge import caps, decisions, spikes
from crm_recharge.recharge.limits import payment_limits
from crm_recharge.recharge.queue import enqueue_again


def on_ledger_entry(doc, method=None) -> None:
	"""After each ledger row: start a recharge when the balance calls for one, and keep why or why not.

	Of several rows that are written as one the last decides: an expiry that is posted before a payment must
	not charge a card for what the payment brings.
	"""
	account = doc.flags.account_row
	if not account or not account.auto_recharge or doc.flags.more_follow:
		return
	setting = json.loads(account.auto_recharge)
	balance = exact(doc.balance_after)
	if balance > Decimal(setting["falls_below"]):
		return
	by_usage = doc.entry_type in TRIGGERS
	doc.flags.recharge_started = check(account, setting, balance, triggered_by=doc.name, by_usage=by_usage)


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
		if balance + exact(row.overdraft_limit) < Decimal(amount):
			view = view_of(row, setting, balance, Decimal(amount))
			if balance <= view.falls_below or falls_short(view):
				started = check(row, setting, balance, refused=Decimal(amount))
	frappe.db.commit()
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
	decision = decide(view_of(account, setting, balance, refused, by_usage))
	if decision.code == CHARGED and (spike := spikes.found(account, setting, balance)):
		spikes.pause(account, spike)
		decision = Decision(PAUSED, figures=decision.figures | {"because": spike})
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
	if balance > Decimal(setting["falls_below"]):
		return None
	return check(row, setting, balance)


def foresee(account: str, setting: dict, resumed: bool = False) -> dict | None:
	"""What `check_now` would charge if `setting` (as the account keeps it) were the account's: amount, currency,
	balance, falls_below, as text. None: nothing. `resumed`: as if pause and hold were over. Locks the account,
	changes nothing.
	"""
	row, _lots = lock_account(account)
	balance = exact(row.balance)
	if balance > Decimal(setting["falls_below"]):
		return None
	if resumed:
		row.held_because, setting = None, setting | {"paused_because": None}
		row.status = "Active" if row.status == DISPUTED_ACCOUNT else row.status
	decision = decide(view_of(row, setting, balance))
	if decision.code != CHARGED or (not resumed and spikes.found(row, setting, balance)):
		return None
	figures = {key: decision.figures[key] for key in ("amount", "balance", "falls_below")}
	return figures | {"currency": row.currency}


def look_again() -> int:
	"""Check accounts again whose limit has freed: usage that is refused would never ask. Returns how many."""
	now = clock.now()
	capped = frappe.db.sql(
		"SELECT d.`credit_account`, d.`frees_at` FROM `tabRecharge Decision` d JOIN `tabCredit Account` a"
		" ON a.`name` = d.`credit_account` AND JSON_VALUE(a.`last_decision`, '$.name') = d.`name`"
		" WHERE d.`code` = 'capped' AND d.`frees_at` <= %s LIMIT 200",
		clock.latest(now),
	)
	freed = [account for account, frees_at in capped if clock.is_past(frees_at, now)]
	for account in freed:
		frappe.db.rollback()
		try:
			check_now(account)
			frappe.db.commit()
		except Exception:
			frappe.db.rollback()
			frappe.log_error(title=f"{account} could not be looked at again", reference_name=account)
			frappe.db.commit()
	return len(freed)


def view_of(
	account, setting: dict, balance: Decimal, refused: Decimal | None = None, by_usage: bool = True
) -> View:
	"""What the decision rests on. Caps are read only where they can matter."""
	may_charge = setting["enabled"] and not account.open_recharge and not setting.get("paused_because")
	return View(
		currency=account.currency,
		balance=balance,
		enabled=bool(setting["enabled"]),
		falls_below=Decimal(setting["falls_below"]),
		recharge_up_to=Decimal(setting["recharge_up_to"]),
		open_recharge=account.open_recharge,
		held_because=account.held_because or (account.status if account.status != "Active" else None),
		paused_because=setting.get("paused_because"),
		usable_cards=setting["cards"],
		limits=payment_limits(account.currency),
		caps=caps.setting_caps(account, setting) + caps.account_caps(account) if may_charge else (),
		overdraft=exact(account.overdraft_limit),
		by_usage=by_usage,
		refused=refused,
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
