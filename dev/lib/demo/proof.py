"""What happened, each figure read from the place that owns it; and whether these places agree."""

from collections import Counter
from decimal import Decimal

import frappe

from demo.gateway import Gateway
from demo.progress import say
from demo.replay import Replay


def exact(sql: str, *values) -> Decimal:
	return Decimal(frappe.db.sql(sql, values)[0][0] or 0)


def row_of(replay: Replay, gateway: Gateway) -> dict:
	"""Figures of one account, each read from the place that owns it."""
	account = replay.account.account
	recharges = frappe.get_all("Recharge", {"credit_account": account}, ["name", "status", "sales_invoice"])
	one = "WHERE `credit_account` = %s"
	charges = frappe.db.count("Credit Ledger", {"credit_account": account, "entry_type": "Usage"})
	return {
		"label": replay.account.label,
		"account": account,
		"story": replay.account.story,
		"charges": charges,
		"refused": len(replay.events) - charges,
		"recharges": Counter(r.status for r in recharges),
		"cards": cards_tried(account),
		"bought": exact(
			f"SELECT CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger` {one} AND `entry_type` = 'Recharge'",
			account,
		),
		"captured": gateway.captured(account),
		"ledger": exact(f"SELECT CAST(SUM(`amount`) AS CHAR) FROM `tabCredit Ledger` {one}", account),
		"lots": exact(f"SELECT CAST(SUM(`remaining`) AS CHAR) FROM `tabCredit Lot` {one}", account),
		"balance": exact(
			"SELECT CAST(`balance` AS CHAR) FROM `tabCredit Account` WHERE `name` = %s", account
		),
		"invoices": sum(bool(r.sales_invoice) for r in recharges),
		"on": frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account}, "enabled"),
	} | books_of(account)


def books_of(account: str) -> dict:
	"""What ERPNext's general ledger holds for the account's recharges."""
	from crm_recharge.accounting.proof import books

	(found,) = books(credit_account=account)
	return {"unearned": found.unearned, "cleared": found.clearing, "left": found.receivable}


def cards_tried(account: str) -> list[tuple[str, int]]:
	"""Each card with what became of it, and how often."""
	from crm_recharge.recharge.notices import attempts_of

	seen = Counter()
	for name in frappe.get_all("Recharge", {"credit_account": account}, pluck="name", order_by="creation"):
		for attempt in attempts_of(name):
			seen[f"{attempt.brand} •••• {attempt.last4}: {attempt.reason}"] += 1
	return list(seen.items())


def print_table(rows: list[dict]):
	line = "{label:<18} {story:<17} {charges:>7} {refused:>7} {recharges:>22} {bought:>11} {invoices:>8} {balance:>13}  {on}"
	say(
		line.format(
			label="account",
			story="cards",
			charges="charges",
			refused="refused",
			recharges="recharges",
			bought="bought USD",
			invoices="invoices",
			balance="balance USD",
			on="auto",
		)
	)
	for row in rows:
		recharges = (
			", ".join(f"{count} {status.lower()}" for status, count in row["recharges"].items()) or "none"
		)
		shown = row | {
			"recharges": recharges,
			"bought": f"{row['bought']:,.2f}",
			"balance": f"{row['balance']:,.4f}",
			"on": "on" if row["on"] else "off",
		}
		say(line.format(**shown))
		for card, times in row["cards"]:
			say(f"    {times:>3} × {card}")


def prove(rows: list[dict]) -> bool:
	"""Ledger = balance = lots, and ledger = gateway = general ledger, account by account."""
	say()
	agree = True
	for row in rows:
		checks = {
			"ledger = balance": row["ledger"] == row["balance"],
			"lots = balance": row["lots"] == max(row["balance"], Decimal(0)),
			"gateway = ledger": row["captured"] == row["bought"],
			"unearned revenue = ledger": row["unearned"] == row["bought"],
			"Stripe clearing = gateway": row["cleared"] == row["captured"],
			"nothing receivable": row["left"] == 0,
		}
		wrong = [name for name, right in checks.items() if not right]
		agree = agree and not wrong
		figures = f"captured {row['captured']:,.2f}, ledger {row['bought']:,.2f}, general ledger {row['unearned']:,.2f}"
		say(f"{row['label']:<18} {'agree' if not wrong else 'DIFFER: ' + ', '.join(wrong)}   ({figures})")
	return agree
