"""Proof of one account's books, read from the tables alone."""

import json
from decimal import Decimal
from types import SimpleNamespace

import frappe

from crm_recharge.domain import chain

MONEY = ("amount", "balance_after", "quantity")


def breaches(account: str) -> list[str]:
	"""What is wrong with the books of `account`; empty when rule 1 (docs/architecture.md, 4) and the chain hold."""
	rows = entries(account)
	wrong = [*_running(rows), *_chain(account, rows), *_lots(account, rows)]
	row = frappe.db.sql(
		"SELECT CAST(`balance` AS CHAR) AS `balance`, `sequence`, `last_hash`, `open_lots`"
		" FROM `tabCredit Account` WHERE `name` = %s",
		account,
		as_dict=True,
	)[0]
	balance, total = Decimal(row.balance), sum((e.amount for e in rows), Decimal(0))
	if total != balance:
		wrong.append(f"the ledger sums to {total}, the balance is {balance}")
	if row.sequence != len(rows):
		wrong.append(f"the account counts {row.sequence} rows, there are {len(rows)}")
	if rows and (row.last_hash or "") != rows[-1].hash:
		wrong.append("the account's last hash is not the last row's")
	held = frappe.db.sql(
		"SELECT `name`, CAST(`remaining` AS CHAR) FROM `tabCredit Lot` WHERE `credit_account` = %s", account
	)
	if sum((Decimal(left) for _, left in held), Decimal(0)) != max(balance, Decimal(0)):
		wrong.append(f"lots hold {held}, the balance is {balance}")
	if {name for name, left in held if Decimal(left) > 0} != set(json.loads(row.open_lots or "[]")):
		wrong.append("the account's list of open lots is not what is open")
	return wrong


def entries(account: str) -> list[SimpleNamespace]:
	"""The ledger rows of `account` in order, their money exact."""
	columns = ", ".join(f"CAST(`{c}` AS CHAR) AS `{c}`" for c in MONEY)
	rows = frappe.db.sql(
		"SELECT `name`, `sequence`, `entry_type`, `posted_at`, `occurred_at`, `request_key`, `lots`, `category`,"
		" `team`, `user`, `note`, `reference_name`, `gateway_reference`, `idempotency_key`, `previous_hash`, `hash`,"
		f" {columns} FROM `tabCredit Ledger` WHERE `credit_account` = %s ORDER BY `sequence`",
		account,
		as_dict=True,
	)
	for row in rows:
		row.lots_json = row.pop("lots")
		row.update({field: Decimal(row[field]) for field in MONEY})
	return [SimpleNamespace(**row) for row in rows]


def _running(rows) -> list[str]:
	wrong, balance = [], Decimal(0)
	for number, row in enumerate(rows, start=1):
		balance += row.amount
		if row.sequence != number:
			wrong.append(f"row {number} has the number {row.sequence}")
		if row.balance_after != balance:
			wrong.append(f"row {number} says {row.balance_after} after it, the sum is {balance}")
	return wrong


def _chain(account: str, rows) -> list[str]:
	wrong, previous = [], chain.GENESIS
	for row in rows:
		if row.previous_hash != previous:
			wrong.append(f"row {row.sequence} is not chained to the row before")
		if chain.link(account, row) != row.hash:
			wrong.append(f"row {row.sequence} does not match its hash")
		previous = row.hash
	return wrong


def _lots(account: str, rows) -> list[str]:
	"""What the rows moved in each lot is what the lot holds."""
	moved: dict[str, Decimal] = {}
	for row in rows:
		for lot, amount in json.loads(row.lots_json):
			moved[lot] = moved.get(lot, Decimal(0)) + Decimal(amount)
	held = {
		name: (Decimal(left), Decimal(original))
		for name, left, original in frappe.db.sql(
			"SELECT `name`, CAST(`remaining` AS CHAR), CAST(`original` AS CHAR) FROM `tabCredit Lot`"
			" WHERE `credit_account` = %s",
			account,
		)
	}
	wrong = [
		f"rows moved {moved.get(n, 0)} in lot {n}, it holds {left}"
		for n, (left, _) in held.items()
		if left != moved.get(n, 0)
	]
	wrong += [f"rows move lot {name}, which does not exist" for name in moved if name not in held]
	return wrong + [
		f"lot {n} holds {left} of {original}"
		for n, (left, original) in held.items()
		if not 0 <= left <= original
	]
