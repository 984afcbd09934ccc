"""The reconciler: each payment at the gateway against each recharge here, and each credit against its payment.

Hourly within the gateway's 24 hours, daily for some days more, and by command for any period. Settles what was missed,
refunds what has no owner, closes what nobody waits for, lists the rest as Gateway Differences.
"""

from datetime import datetime, timedelta, timezone

import frappe

from crm_recharge import clock, transactions
from crm_recharge.credits.money import exact
from crm_recharge.domain import reconcile, views
from crm_recharge.domain.answers import Answer
from crm_recharge.domain.reconcile import Known, Verdict
from crm_recharge.gateway import home, registry
from crm_recharge.gateway.errors import GatewayError
from crm_recharge.recharge import differences, payments, reading, refunds

WINDOW = timedelta(hours=26)
LONGER_WINDOW = timedelta(days=8)
LONGEST_WAIT = timedelta(days=4)
"""A payment is made at most so long before it is settled: its card holder has three days."""


def reconcile_recent(window: timedelta = WINDOW) -> dict:
	"""Compare the payments of the last `window`. Returns how many there were of each verdict."""
	return reconcile_period(datetime.now(timezone.utc) - window)


def reconcile_days() -> dict:
	"""Daily: as `reconcile_recent`, for what a longer failure has left."""
	return reconcile_recent(LONGER_WINDOW)


def reconcile_period(start: datetime, end: datetime | None = None, act: bool = True, tell=None) -> dict:
	"""Compare the payments that were made from `start` on, and before `end` (moments with their zone), and every credit
	of that time.

	Without `act` nothing is changed or written down: it is only told. `tell` is called with each Verdict that says more
	than that all agrees. Returns how many there were of each verdict; `incomplete` when the gateway could not be asked
	to the end, `away` on a site that nobody has confirmed (gateway/home.py).
	"""
	frappe.set_user("Administrator")
	frappe.db.rollback()
	if not home.is_home():
		return {"away": True}
	run = _Run(act, tell, datetime.now(timezone.utc))
	try:
		for name in registry.in_use():
			run.use(name)
			for answer in run.gateway.intents_since(start, end):
				run.payment(answer)
		for row in _credits_since(start, end):
			if row.settled_intent not in run.seen:
				run.use(registry.of_account(row.credit_account))
				run.credit(row)
	except GatewayError as error:
		frappe.db.rollback()
		frappe.log_error(title="Reconciliation could not ask the gateway to the end", message=error.message)
		transactions.commit()
		run.counts["incomplete"] = True
	differences.tell_of(run.found)
	transactions.commit()
	return run.counts


class _Run:
	"""One comparison: what was seen, and how many there were of each verdict."""

	def __init__(self, act: bool, tell, now: datetime):
		self.act, self.tell, self.now = act, tell, now
		self.gateway, self.name = None, None
		self.seen: set[str] = set()
		self.counts: dict[str, int] = {}
		self.found: list[str] = []

	def use(self, name: str) -> None:
		"""Ask the gateway of that name from here on. Raises frappe.ValidationError when it is not set up."""
		if name != self.name:
			self.gateway, self.name = registry.connect(name), name
		frappe.db.rollback()

	def payment(self, answer: Answer) -> None:
		"""Judge one payment and act on it; one that cannot be worked on never stops the rest."""
		self.seen.add(answer.intent)
		frappe.db.rollback()
		created = datetime.fromtimestamp(answer.created, timezone.utc) if answer.created else self.now
		known = _known(answer.metadata.get("recharge"), answer.intent)
		verdict = reconcile.judge(answer, home.site(), known, created, self.now, _payers(answer))
		self._carry_out(verdict, answer, known)

	def credit(self, row) -> None:
		"""Hold a credit against the payment it names, which was not among those of the time."""
		frappe.db.rollback()
		answer = self.gateway.retrieve(row.settled_intent)
		known = _known(row.name, row.settled_intent)
		verdict = reconcile.judge_credit(answer, home.site(), known)
		if verdict.kind not in (reconcile.AGREES, reconcile.NOT_OURS):
			self._carry_out(verdict, answer, known)

	def _carry_out(self, verdict: Verdict, answer: Answer, known: Known | None) -> None:
		kind = verdict.kind
		if self.tell and kind not in (reconcile.AGREES, reconcile.NOT_OURS):
			self.tell(verdict)
		try:
			if self.act:
				self.found += filter(None, [_act(self, verdict, answer, known)])
		except Exception:
			frappe.db.rollback()
			frappe.log_error(title=f"Reconciliation of {verdict.intent} failed")
			transactions.commit()
			kind = "failed"
		self.counts[kind] = self.counts.get(kind, 0) + 1


def _act(run: _Run, verdict: Verdict, answer: Answer, known: Known | None) -> str | None:
	"""Do what the verdict calls for. Returns the difference that people have to be told of, if it is new."""
	match verdict.kind:
		case reconcile.SETTLE | reconcile.DUPLICATE:
			payments.hear_about(answer)
			_note(verdict, answer, resolved=True)
		case reconcile.DOES_NOT_FIT if known and known.settled_intent != verdict.intent:
			# Held, and written down, as by whoever else hears of it.
			payments.hear_about(answer)
		case reconcile.ORPHAN:
			refunds.orphan(answer, run.name)
			_note(verdict, answer, resolved=True)
		case reconcile.CLOSE:
			run.gateway.cancel(answer.intent)
			_note(verdict, answer, resolved=True)
		case kind if kind in reconcile.LISTED:
			return _note(verdict, answer, recharge=known.recharge if known else None)
	return None


def _known(recharge: str | None, intent: str) -> Known | None:
	"""What is known here of the recharge that a payment names; else of the one that says it was paid by it."""
	paid = frappe.db.get_value("Recharge", {"settled_intent": intent})
	row = reading.recharge_row(paid or recharge) if paid or recharge else None
	if not row:
		return None
	credited = frappe.db.sql(
		"SELECT CAST(`amount` AS CHAR) FROM `tabCredit Ledger` WHERE `gateway_reference` = %s AND `entry_type` = 'Recharge'",
		intent,
	)
	mark = differences.mark_of(reconcile.DOES_NOT_FIT, intent)
	return views.known(
		row,
		reading.account_row(row.account),
		reading.attempt_rows(row.name),
		clock.now(),
		credited=exact(credited[0][0]) if credited else None,
		refund_arranged=bool(frappe.db.exists("Recharge Refund", {"intent": intent})),
		held=bool(frappe.db.exists("Gateway Difference", {"mark": mark})),
	)


def _payers(answer: Answer) -> tuple[str, ...]:
	"""The gateway's customers of the account that a payment names."""
	account = answer.metadata.get("account")
	if not account or not frappe.db.exists("Credit Account", account):
		return ()
	customer = frappe.db.get_value("Credit Account", account, "gateway_customer")
	asked = frappe.get_all(
		"Recharge Attempt", {"credit_account": account}, pluck="gateway_customer", distinct=True
	)
	return tuple(dict.fromkeys(filter(None, (customer, *asked))))


def _credits_since(start: datetime, end: datetime | None) -> list:
	"""Recharges that were credited for a payment made between `start` and `end`, and some around them."""
	settled = {"settled_intent": ["is", "set"], "settled_at": [">=", clock.earliest(start)]}
	if end:
		settled["settled_at"] = [
			"between",
			[clock.earliest(start), clock.latest(end + LONGEST_WAIT)],
		]
	found = frappe.get_all(
		"Recharge", settled, ["name", "settled_intent", "credit_account"], order_by="settled_at, name"
	)
	# What has been written down need not be asked about each hour.
	listed = set(
		frappe.get_all("Gateway Difference", {"kind": ["in", reconcile.CREDITED_WRONGLY]}, pluck="intent")
	)
	return [row for row in found if row.settled_intent not in listed]


def _note(
	verdict: Verdict, answer: Answer, resolved: bool = False, recharge: str | None = None
) -> str | None:
	"""Write a difference down, once for each payment and verdict. Commits. Returns its name, None when it was known."""
	name = differences.write(
		verdict.kind,
		verdict.intent,
		verdict.text,
		recharge=recharge or answer.metadata.get("recharge"),
		account=_account_of(answer),
		intent=verdict.intent,
		amount=answer.amount,
		currency=answer.currency,
		resolved=resolved,
		tell=False,
	)
	transactions.commit()
	return name


def _account_of(answer: Answer) -> str | None:
	account = answer.metadata.get("account")
	return account if account and frappe.db.exists("Credit Account", account) else None
