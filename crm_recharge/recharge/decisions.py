"""Why auto-recharge charged, or did not: kept each time the balance is at or below the threshold (B9).

A run of the same answer is one row that counts. People are told by a job of its own, never under the lock.
"""

import json
from datetime import datetime
from decimal import Decimal

import frappe
from frappe import _
from frappe.utils import format_datetime
from markupsafe import Markup

from crm_recharge import clock, transactions
from crm_recharge.clock import now_datetime
from crm_recharge.credits.money import money
from crm_recharge.domain import threshold as rules
from crm_recharge.domain.threshold import Decision
from crm_recharge.doors.guard import new
from crm_recharge.outbox.queue import enqueue_after_commit
from crm_recharge.recharge import notices
from crm_recharge.recharge.reasons import held_words

TELL = (rules.CAPPED, rules.PAUSED, rules.NO_USABLE_CARD, rules.BELOW_MINIMUM, rules.ABOVE_MAXIMUM)
"""What a person has to know of at once; a failed card has a mail of its own."""


def keep(account, decision: Decision, balance: Decimal, recharge: str | None, entry: str | None) -> None:
	"""Write `decision` down. The caller holds the account's lock; `account` is the locked row."""
	last = json.loads(account.last_decision or "{}")
	now = now_datetime()
	if last.get("code") == decision.code and not recharge and _same_matter(last, decision):
		frappe.db.sql(
			"UPDATE `tabRecharge Decision` SET `times` = `times` + 1, `last_at` = %s, `balance` = %s WHERE `name` = %s",
			(now, str(balance), last["name"]),
		)
		return
	doc = new(
		"Recharge Decision",
		{
			"credit_account": account.name,
			"code": decision.code,
			"explanation": explain(decision.code, decision.figures, account.currency),
			"balance": str(balance),
			"currency": account.currency,
			"first_at": now,
			"last_at": now,
			"times": 1,
			"recharge": recharge,
			"ledger_entry": entry,
			"figures": json.dumps(decision.figures, indent=1),
			"frees_at": _frees_at(decision),
			"tell": int(_is_told(decision)),
		},
	)
	doc.set_new_name()
	doc.set_user_and_timestamp()
	doc.db_insert()
	account.last_decision = json.dumps({"name": doc.name, "code": decision.code, "mark": _mark(decision)})
	frappe.db.sql(
		"UPDATE `tabCredit Account` SET `last_decision` = %s WHERE `name` = %s",
		(account.last_decision, account.name),
	)
	if _is_told(decision):
		enqueue_after_commit("tell_decision", doc.name)


def _is_told(decision: Decision) -> bool:
	"""Whether auto-recharge has stopped by it; one refused usage that a small payment would let through is no such thing."""
	return decision.code in TELL and not (
		decision.code == rules.BELOW_MINIMUM and "refused" in decision.figures
	)


def _frees_at(decision: Decision):
	"""When the cap that stopped it frees, as a column keeps it."""
	text = decision.figures.get("frees_at")
	if decision.code != rules.CAPPED or not text:
		return None
	return clock.stored(datetime.fromisoformat(text))


def _same_matter(last: dict, decision: Decision) -> bool:
	return last.get("mark") == _mark(decision)


def _mark(decision: Decision) -> str:
	"""What makes two decisions of one code the same matter: the cap and when it frees, the open recharge."""
	figures = decision.figures
	return "|".join(str(figures.get(key, "")) for key in ("cap", "frees_at", "open_recharge", "because"))


# -- telling people ------------------------------------------------------------------------------------------


def tell(decision: str) -> bool:
	"""Mail and notify the owner of one decision, once. Returns whether it did."""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	row = frappe.db.get_value(
		"Recharge Decision",
		decision,
		["name", "credit_account", "code", "explanation", "figures", "currency", "told_at"],
		as_dict=True,
		for_update=True,
	)
	if not row or row.told_at:
		frappe.db.rollback()
		return False
	to_customer = explain(row.code, json.loads(row.figures or "{}"), row.currency, to_customer=True)
	notices.send_about_account(
		"auto_recharge_stopped",
		row.credit_account,
		{"explanation": Markup(row.explanation)},
		{"explanation": Markup(to_customer)},
	)
	frappe.db.set_value("Recharge Decision", decision, "told_at", now_datetime())
	transactions.commit()
	return True


# -- in words ------------------------------------------------------------------------------------------------


def explain(code: str, figures: dict, currency: str = "", to_customer: bool = False) -> str:
	"""A decision in one sentence of HTML, its amounts in `currency`: for staff, or in the words of a customer's page."""
	texts = _texts() | (_texts_for_customers() if to_customer else {})
	amounts = AMOUNTS | (CAP_AMOUNTS if "amount" in (figures.get("cap") or "") else set())
	shown = {
		key: frappe.utils.escape_html(
			money(value, currency) if key in amounts and value and currency else str(value)
		)
		for key, value in figures.items()
	}
	shown["cap"] = cap_label(figures.get("cap"))
	shown["frees"] = frees(figures.get("frees_at"))
	if to_customer and code == rules.HELD:
		shown["because"] = held_words(figures.get("because"))
	return texts[code].format_map(_Figures(shown)).strip()


NEXT_USAGE = "next_usage"
"""What would be charged now is charged with the next usage: looking at it charges nothing."""


def _texts() -> dict[str, str]:
	return {
		rules.CHARGED: _(
			"The balance {balance} is at or below {falls_below}: {amount} is charged to reach {recharge_up_to}."
		),
		NEXT_USAGE: _(
			"The balance {balance} is at or below {falls_below}: with the next usage {amount} is charged to reach {recharge_up_to}."
		),
		rules.ABOVE_THRESHOLD: _("The balance {balance} is above {falls_below}: nothing to do."),
		rules.DISABLED: _(
			"The balance {balance} is at or below {falls_below}, but auto recharge is switched off."
		),
		rules.NO_SETTING: _("There is no auto-recharge setting."),
		rules.OPEN_RECHARGE: _("The balance is {balance}; recharge {open_recharge} is still under way."),
		rules.CAPPED: _(
			"The balance is {balance}, but charging {amount} would go past the limit of {limit} ({cap}; {used} used). {frees}"
		),
		rules.PAUSED: _(
			"The balance is {balance}, but auto recharge is paused: {because}. A person has to resume it."
		),
		rules.HELD: _(
			"The balance is {balance}, but auto recharge is held: {because}. A person has to lift it."
		),
		rules.NO_USABLE_CARD: _("The balance is {balance}, but no card is listed."),
		rules.ABOVE_MAXIMUM: _(
			"The balance is {balance}: one payment of at most {maximum} would not bring it above {falls_below}, and auto recharge makes one. Add credits by hand, or correct the balance."
		),
		rules.NOT_BY_USAGE: _(
			"The balance is {balance}, but no usage brought it there: nothing is charged before the next usage."
		),
		rules.BELOW_MINIMUM: _("The gap is {amount}, less than the smallest payment of {minimum}."),
	}


def _texts_for_customers() -> dict[str, str]:
	"""Where a customer's page has other words, or another way out."""
	return {
		rules.DISABLED: _("Auto-recharge is switched off."),
		rules.NO_SETTING: _("Auto-recharge is not set up."),
		rules.OPEN_RECHARGE: _("The balance is {balance}; a payment is under way."),
		rules.PAUSED: _(
			"The balance is {balance}, but auto-recharge is paused: {because}. Look at your usage; when it is right, resume it on your page."
		),
		rules.HELD: _(
			"The balance is {balance}, but auto-recharge is on hold: {because}. Only the company that sells to you can lift that."
		),
		rules.NO_USABLE_CARD: _("The balance is {balance}, but no card is chosen. Add one on your page."),
		rules.ABOVE_MAXIMUM: _(
			"The balance is {balance}: one payment of at most {maximum} would not bring it above {falls_below}, and auto-recharge makes one. Add credits by hand."
		),
	}


def frees(moment: str | None) -> str:
	"""When a limit frees, as a sentence of its own; nothing where that is not known."""
	if not moment:
		return ""
	return _("It frees at {0}.").format(format_datetime(clock.stored(datetime.fromisoformat(moment))))


AMOUNTS, CAP_AMOUNTS = (
	{"balance", "falls_below", "recharge_up_to", "amount", "minimum", "maximum"},
	{"limit", "used"},
)


class _Figures(dict):
	def __missing__(self, key):
		return "—"


def cap_label(cap: str | None) -> str:
	"""A cap's name for people."""
	return {
		"amount_day": _("amount a day"),
		"amount_month": _("amount a month"),
		"count_hour": _("recharges an hour"),
		"count_day": _("recharges a day"),
		"account_amount_day": _("amount a day, all recharges of the account"),
		"account_amount_month": _("amount a month, all recharges of the account"),
	}.get(cap or "", cap or "")
