"""The daily check of the rules that hold always (docs/architecture.md, 4), on all accounts; the first breach alerts."""

from datetime import timedelta

import frappe
from frappe import _

from crm_recharge import clock, transactions
from crm_recharge.credits.money import exact
from crm_recharge.credits.proof import verify
from crm_recharge.domain import fit
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.reconcile import in_words
from crm_recharge.recharge import notices

# Each query returns account and what is wrong, in words; nothing when the rule holds.
RULES = {
	"ledger = balance": """
		SELECT a.`name`, CONCAT('the ledger adds up to ', CAST(COALESCE(SUM(l.`amount`), 0) AS CHAR),
			', the balance is ', CAST(a.`balance` AS CHAR))
		FROM `tabCredit Account` a LEFT JOIN `tabCredit Ledger` l ON l.`credit_account` = a.`name`
		GROUP BY a.`name` HAVING COALESCE(SUM(l.`amount`), 0) <> MAX(a.`balance`)""",
	"lots = balance": """
		SELECT a.`name`, CONCAT('the lots hold ', CAST(COALESCE(SUM(l.`remaining`), 0) AS CHAR),
			', the balance is ', CAST(a.`balance` AS CHAR))
		FROM `tabCredit Account` a LEFT JOIN `tabCredit Lot` l ON l.`credit_account` = a.`name`
		GROUP BY a.`name` HAVING COALESCE(SUM(l.`remaining`), 0) <> GREATEST(MAX(a.`balance`), 0)""",
	"no lot below zero": """
		SELECT `credit_account`, CONCAT('lot ', `name`, ' holds ', CAST(`remaining` AS CHAR))
		FROM `tabCredit Lot` WHERE `remaining` < 0""",
	"one capture a recharge": """
		SELECT r.`credit_account`, CONCAT('recharge ', r.`name`, ' is paid, with ', COUNT(l.`name`), ' ledger rows')
		FROM `tabRecharge` r LEFT JOIN `tabCredit Ledger` l
			ON l.`reference_name` = r.`name` AND l.`entry_type` = 'Recharge'
		WHERE r.`settled_intent` IS NOT NULL GROUP BY r.`name` HAVING COUNT(l.`name`) <> 1""",
	"no credit without a capture": """
		SELECT l.`credit_account`, CONCAT('row ', l.`name`, ' credits a recharge that is not paid')
		FROM `tabCredit Ledger` l LEFT JOIN `tabRecharge` r ON r.`name` = l.`reference_name`
		WHERE l.`entry_type` = 'Recharge' AND (r.`name` IS NULL OR r.`settled_intent` IS NULL
			OR r.`settled_intent` <> l.`gateway_reference`)""",
	"a credit that the gateway does not confirm": """
		SELECT d.`credit_account`, CONCAT('payment ', d.`intent`, ': ', d.`explanation`)
		FROM `tabGateway Difference` d JOIN `tabRecharge` r ON r.`settled_intent` = d.`intent`
		WHERE d.`status` = 'Open' AND d.`kind` IN ('does_not_fit', 'amount_differs', 'missing_at_gateway')""",
	"one open recharge": """
		SELECT `credit_account`, CONCAT(COUNT(*), ' recharges are under way at once')
		FROM `tabRecharge` WHERE `status` IN ('Queued', 'Charging', 'Processing', 'Action Required', 'Held')
		GROUP BY `credit_account` HAVING COUNT(*) > 1""",
	"the open recharge is open": """
		SELECT a.`name`, CONCAT('open recharge ', a.`open_recharge`, ' is ', COALESCE(r.`status`, 'gone'))
		FROM `tabCredit Account` a LEFT JOIN `tabRecharge` r ON r.`name` = a.`open_recharge`
		WHERE a.`open_recharge` IS NOT NULL
			AND COALESCE(r.`status`, '') NOT IN ('Queued', 'Charging', 'Processing', 'Action Required', 'Held')""",
	"cards are the account's own": """
		SELECT s.`credit_account`, CONCAT('auto-recharge lists card ', c.`name`, ' of another account')
		FROM `tabAuto-Recharge Card` l JOIN `tabAuto-Recharge Setting` s ON s.`name` = l.`parent`
			JOIN `tabRecharge Card` c ON c.`name` = l.`card`
		WHERE l.`parenttype` = 'Auto-Recharge Setting' AND c.`credit_account` <> s.`credit_account`
		UNION ALL SELECT r.`credit_account`, CONCAT('recharge ', r.`name`, ' names card ', c.`name`, ' of another account')
		FROM `tabRecharge` r JOIN `tabRecharge Card` c ON c.`name` = r.`card`
		WHERE c.`credit_account` <> r.`credit_account`""",
	"no payment is taken back twice": """
		SELECT `credit_account`, CONCAT('lot ', `name`, ' bought ', CAST(`original` AS CHAR), '; it holds ',
			CAST(`remaining` AS CHAR), ' and ', CAST(`returned` AS CHAR), ' were taken back')
		FROM `tabCredit Lot` WHERE `remaining` + `returned` > `original` OR `returned` < 0""",
	"taken back = refunds and disputes": """
		SELECT l.`credit_account`, CONCAT('of recharge ', l.`recharge`, ' ', CAST(l.`returned` AS CHAR),
			' are taken back, its refunds and disputes say ', CAST(COALESCE(c.`taken`, 0) AS CHAR))
		FROM `tabCredit Lot` l LEFT JOIN (SELECT `recharge`, SUM(`taken`) AS `taken` FROM (
				SELECT `recharge`, `taken` FROM `tabRecharge Refund`
				UNION ALL SELECT `recharge`, `taken` FROM `tabRecharge Dispute`) claims GROUP BY `recharge`) c
			ON c.`recharge` = l.`recharge`
		WHERE l.`source_type` = 'Recharge' AND l.`recharge` IS NOT NULL AND l.`returned` <> COALESCE(c.`taken`, 0)""",
}


ROWS_A_READ = 5000
# What was captured stands with the recharge since it was settled; whoever writes credits past that is found here.
CREDITED = """
	SELECT r.`name`, r.`credit_account`, r.`currency`, CAST(r.`amount` AS CHAR) AS `amount`, r.`settled_intent`,
		CAST(NULLIF(r.`captured_amount`, 0) AS CHAR) AS `captured_amount`, r.`captured_currency`, r.`gateway_customer`,
		a.`currency` AS `account_currency`, CAST(l.`amount` AS CHAR) AS `credited`, l.`credit_account` AS `credited_to`,
		CONCAT_WS(' ', a.`gateway_customer`, (SELECT GROUP_CONCAT(DISTINCT t.`gateway_customer` SEPARATOR ' ')
			FROM `tabRecharge Attempt` t WHERE t.`recharge` = r.`name`)) AS `customers`
	FROM `tabRecharge` r JOIN `tabCredit Account` a ON a.`name` = r.`credit_account`
		LEFT JOIN `tabCredit Ledger` l ON l.`gateway_reference` = r.`settled_intent` AND l.`entry_type` = 'Recharge'
	WHERE r.`settled_intent` IS NOT NULL AND r.`name` > %s ORDER BY r.`name` LIMIT %s"""


def check_all(prove_chains: bool = True) -> list[dict]:
	"""Daily: check every rule on all accounts. Breaches are returned, logged, and told to the managers.

	With `prove_chains` each account that moved since yesterday is proved row by row as well.
	"""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	breaches = []
	for rule, query in RULES.items():
		breaches += [
			{"rule": rule, "account": account, "what": what} for account, what in frappe.db.sql(query)
		]
	breaches += _misfits()
	if prove_chains:
		breaches += _broken_chains()
	if breaches:
		_alert(breaches)
	return breaches


def _misfits() -> list[dict]:
	"""Credits for payments that do not fit their recharge, by the same rule that let them in (domain/fit.py)."""
	rule, found, after = "credits are for payments that fit", [], ""
	while True:
		rows = frappe.db.sql(CREDITED, (after, ROWS_A_READ), as_dict=True)
		for row in rows:
			customers = row.customers.split() if row.customers else []
			due = fit.Due(row.name, tuple(customers), row.currency, exact(row.amount), row.account_currency)
			answer = Answer(
				Outcome.SUCCEEDED,
				intent=row.settled_intent,
				amount=None if row.captured_amount is None else exact(row.captured_amount),
				currency=row.captured_currency,
				customer=row.gateway_customer,
				metadata={"recharge": row.name},
			)
			wrong = in_words(fit.misfits(due, answer))
			if row.credited is not None and exact(row.credited) != answer.amount:
				wrong += f"; credited {row.credited}"
			if row.credited_to not in (None, row.credit_account):
				wrong += f"; credited to {row.credited_to}"
			if wrong:
				what = f"recharge {row.name}, payment {row.settled_intent}: {wrong.strip('; ')}"
				found.append({"rule": rule, "account": row.credit_account, "what": what})
		if len(rows) < ROWS_A_READ:
			return found
		after = rows[-1].name


def _broken_chains() -> list[dict]:
	moved = frappe.db.sql(
		"SELECT DISTINCT `credit_account` FROM `tabCredit Ledger` WHERE `posted_at` > %s",
		clock.earliest(clock.now() - timedelta(days=2)),
		pluck=True,
	)
	found = []
	for account in moved:
		proof = verify(account)
		if not proof["holds"]:
			first = proof["breaks"][0]
			found.append(
				{"rule": "hash chain", "account": account, "what": f"row {first['row']}: {first['what']}"}
			)
	return found


def _alert(breaches: list[dict]) -> None:
	text = "\n".join(f"{b['account']}: {b['rule']}: {b['what']}" for b in breaches)
	frappe.db.rollback()
	frappe.log_error(title=_("The books do not hold: {0} breaches").format(len(breaches)), message=text)
	accounts = list(dict.fromkeys(b["account"] for b in breaches))
	notices.alert(_("The credit books do not hold"), text, ("Credit Account", accounts[0]), accounts)
	transactions.commit()
