"""Rows of this room as they are stored, read for the domain: money exact, times as moments (domain/rows.py).

What the machines see is built from them by domain/views.py, for the simulator as well.
"""

from datetime import datetime

import frappe

from crm_recharge import clock
from crm_recharge.credits.money import as_text, exact
from crm_recharge.domain import fit, payment, rows, views
from crm_recharge.domain.cards import NETWORK_WINDOW, Card
from crm_recharge.domain.steps import RechargeView

# Columns as domain/rows.py names them.
RECHARGE_COLUMNS = (
	"`name`, `credit_account` AS `account`, `status`, `currency`, `origin`, `card`, `creation` AS `created_at`, "
	"`lease_owner`, `lease_until`, `next_try_at`, `settled_intent`, `settled_at`, "
	+ as_text("amount", "refunded_amount")
)
ATTEMPT_COLUMNS = (
	"`name`, `number`, `card`, `status`, `created_at`, `intent`, `intent_open`, `asks`, `next_ask_at`, `code`, "
	"`checkout_session` AS `page`, `gateway_customer` AS `customer`, `fingerprint`"
)
ACCOUNT_COLUMNS = (
	"`name`, `currency`, `status`, `open_recharge`, `held_because`, `time_zone`, `gateway_customer`, "
	+ as_text("balance", "overdraft_limit", "cap_amount_day", "cap_amount_month")
)
RECHARGE_TIMES = ("created_at", "lease_until", "next_try_at", "settled_at")


def recharge_row(recharge: str, lock: bool = False) -> rows.Recharge | None:
	"""A Recharge as it is stored, with its row locked where that is asked for; None where there is none."""
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	found = frappe.db.sql(
		f"SELECT {RECHARGE_COLUMNS} FROM `tabRecharge` WHERE `name` = %s{' FOR UPDATE' if lock else ''}",
		recharge,
		as_dict=True,
	)
	if not found:
		return None
	row = clock.out_of_columns(found[0], *RECHARGE_TIMES)
	return rows.Recharge(
		**row | {field: exact(row[field]) for field in ("amount", "refunded_amount")},
	)


def attempt_rows(recharge: str) -> list[rows.Attempt]:
	"""All attempts of a recharge."""
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	found = frappe.db.sql(
		f"SELECT {ATTEMPT_COLUMNS} FROM `tabRecharge Attempt` WHERE `recharge` = %s", recharge, as_dict=True
	)
	return [_attempt(row) for row in found]


def _attempt(row) -> rows.Attempt:
	row.intent_open = bool(row.intent_open)
	return rows.Attempt(**clock.out_of_columns(row, "created_at", "next_ask_at"))


def account_row(account: str) -> rows.Account:
	"""A Credit Account as it is stored, without a lock."""
	# nosemgrep: frappe-sql-format-injection -- columns are constants, values are parameters
	found = frappe.db.sql(
		f"SELECT {ACCOUNT_COLUMNS} FROM `tabCredit Account` WHERE `name` = %s", account, as_dict=True
	)
	return plain_account(found[0], found[0].gateway_customer)


def plain_account(row, customer: str | None = None) -> rows.Account:
	"""The row of a Credit Account, as credits/store.py locks it or `account_row` reads it, for the domain; `customer` is
	who it is at the gateway."""
	return rows.Account(
		name=row.name,
		currency=row.currency,
		balance=exact(row.balance),
		status=row.status,
		overdraft_limit=exact(row.overdraft_limit),
		open_recharge=row.open_recharge,
		held_because=row.held_because,
		zone=clock.zone_of(row.time_zone),
		customer=customer,
		cap_amount_day=exact(row.cap_amount_day),
		cap_amount_month=exact(row.cap_amount_month),
	)


def recharge_view(row: rows.Recharge) -> RechargeView:
	"""A locked Recharge with its attempts and cards, as the machine sees it."""
	cards_ = cards_of(row.account, row.card)
	return views.recharge(row, account_row(row.account), attempt_rows(row.name), cards_)


def cards_of(account: str, chosen: str | None = None) -> tuple[Card, ...]:
	"""The account's own cards that a recharge may charge, in order: the chosen one, or those of the setting."""
	listed = [] if chosen else _listed_cards(account)
	names = [chosen] if chosen else listed
	if not names:
		return ()
	fields = ("name", "payment_method", "status", "kind", "exp_month", "exp_year", "fingerprint")
	found = frappe.get_all("Recharge Card", {"name": ["in", names]}, [*fields, "credit_account as account"])
	saved = [rows.SavedCard(**row) for row in found]
	now = clock.now()
	return views.cards_in_order(chosen, listed, saved, _declined_attempts(saved, now), now)


def _listed_cards(account: str) -> list[str]:
	return frappe.get_all(
		"Auto-Recharge Card",
		{"parent": f"ARS-{account}", "parenttype": "Auto-Recharge Setting"},
		pluck="card",
		order_by="idx",
	)


def _declined_attempts(saved: list[rows.SavedCard], now: datetime) -> list[rows.Attempt]:
	"""What may count against the networks' limits of these cards; the rule itself is in domain/views.py."""
	found = frappe.db.sql(
		f"SELECT {ATTEMPT_COLUMNS} FROM `tabRecharge Attempt` WHERE (`fingerprint` IN %(prints)s OR `card` IN %(cards)s)"
		" AND `status` = %(declined)s AND `created_at` > %(since)s",
		{
			"prints": [card.fingerprint for card in saved if card.fingerprint] or [None],
			"cards": [card.name for card in saved] or [None],
			"declined": payment.DECLINED,
			"since": clock.earliest(now - NETWORK_WINDOW),
		},
		as_dict=True,
	)
	return [_attempt(row) for row in found]


# -- who pays -----------------------------------------------------------------------------------------------


def customer_of(recharge: str) -> str | None:
	"""The gateway's customer of the recharge's account, as it is now."""
	account = frappe.db.get_value("Recharge", recharge, "credit_account")
	return frappe.db.get_value("Credit Account", account, "gateway_customer")


def customers_of(recharge: str) -> tuple[str, ...]:
	"""Whom a payment for the recharge may be of: the account's customer now, and those its attempts were asked with."""
	row = recharge_row(recharge)
	return views.customers_of(account_row(row.account), attempt_rows(recharge)) if row else ()


def due_of(recharge: str) -> fit.Due | None:
	"""What a payment for the recharge must be; see domain/fit.py."""
	row = recharge_row(recharge)
	return views.due(row, account_row(row.account), attempt_rows(recharge)) if row else None
