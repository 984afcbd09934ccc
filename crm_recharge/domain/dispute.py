"""Disputes, without I/O: the bank takes a payment back, for now or for good; or it warns, or asks.

`follow` makes the dispute's state here what it is at the gateway: opened, its payment's credits are taken and
the account is flagged; won, exactly those come back; lost, they stay away. Auto-recharge is held with the first
of it, and only a person lifts that.
"""

from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal
from typing import Final

from crm_recharge.domain import effects, fit, payment
from crm_recharge.domain.answers import DisputeAnswer
from crm_recharge.domain.effects import DisputeValues, Machine
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.takeback import (
	ACCOUNT_FOR_DISPUTE,
	CLAIMING,
	INQUIRY,
	LOST,
	OPEN,
	PENDING,
	WARNING,
	WON,
	DisputeView,
	PaymentView,
	has_mark,
	level,
	mark_of,
	update_recharge,
)

AGAIN = "again"
"""Another answer was taken over since this one was asked for: ask again."""

DOES_NOT_FIT = "dispute_does_not_fit"
"""Kind of a Gateway Difference: a dispute in another currency, or of more than was paid."""

ACTIVE, DISPUTED_ACCOUNT = "Active", "Disputed"

# Notices.
DISPUTE_OPENED: Final = "dispute_opened"
DISPUTE_ALERT: Final = "dispute_alert"
DISPUTE_INQUIRY: Final = "dispute_inquiry"
DISPUTE_WON: Final = "dispute_won"
DISPUTE_LOST: Final = "dispute_lost"
FRAUD_WARNING: Final = "fraud_warning"


def status_of(answer: DisputeAnswer) -> str:
	"""The dispute's status here. What is closed without a claim on the payment counts as won: an inquiry that
	came to nothing, or one that was answered by a refund, which is heard of as a refund."""
	if answer.won or answer.status == "charge_refunded":
		return WON
	if answer.status == "lost":
		return LOST
	return INQUIRY if answer.warning else OPEN


def follow(account: str, recharge: str, answer: DisputeAnswer, heard: int) -> Machine[str]:
	"""Bring a dispute in line with `answer`. Returns its status, or AGAIN.

	`heard` is how many answers had been taken over when this one was asked for (0: the dispute was not known).
	One that has been overtaken says nothing about now, so it is not used.
	"""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	paid = yield from effects.LockPayment(recharge)
	assert paid is not None, "a dispute of no payment here"
	known = next((d for d in paid.disputes if d.name == answer.dispute), None)
	if (known.heard if known else 0) != heard:
		yield from effects.Rollback()
		return AGAIN
	view = _view(known, answer)
	values = _values(known, view, answer, now)
	if known is None:
		owner: DisputeValues = {"account": account, "recharge": recharge}
		yield from effects.InsertDispute(view.name, values | owner)
		if wrong := fit.claim_misfits(paid.due, answer):
			# Claimed all the same, up to what was paid: whoever errs, errs on the side of caution.
			yield from effects.NoteDifference(
				DOES_NOT_FIT, view.name, recharge, answer.intent, answer.amount, answer.currency, wrong
			)
	else:
		yield from effects.UpdateDispute(view.name, values)
	before = known.status if known else None
	paid = paid.with_dispute(view)
	if view.status in CLAIMING and before not in CLAIMING:
		yield from _stop(paid, view, now)
		# One that a person has put on hold or disabled keeps that status: it is the stronger one.
		if paid.account_status == ACTIVE:
			yield from effects.FlagAccount(paid.account, DISPUTED_ACCOUNT, view.name)
	paid = yield from level(paid)
	yield from update_recharge(paid)
	yield from _unflag(paid, view)
	yield from _tell(paid, view, before)
	# Where credits moved, that has been asked for already.
	if values.get("accounting_status") == PENDING and view in paid.disputes:
		yield from effects.EnqueueAfterCommit(ACCOUNT_FOR_DISPUTE, view.name)
	yield from effects.Commit()
	return view.status


def _view(known: DisputeView | None, answer: DisputeAnswer) -> DisputeView:
	start = known or DisputeView(
		answer.dispute, INQUIRY, answer.amount, answer.currency, intent=answer.intent or ""
	)
	return replace(
		start,
		status=status_of(answer),
		amount=answer.amount,
		currency=answer.currency,
		intent=answer.intent or start.intent,
		heard=start.heard + 1,
		withdrawn=answer.withdrawn,
		fees=answer.fees,
	)


def _values(
	known: DisputeView | None, view: DisputeView, answer: DisputeAnswer, now: datetime
) -> DisputeValues:
	closed = view.status in (WON, LOST)
	values: DisputeValues = {
		"status": view.status,
		"gateway_status": answer.status,
		"reason": answer.reason,
		"amount": answer.amount,
		"currency": answer.currency,
		"intent": view.intent,
		"charge": answer.charge,
		"fees": answer.fees,
		"withdrawn": answer.withdrawn,
		"balance_currency": answer.balance_currency,
		"evidence_due": _moment(answer.evidence_due),
		"heard": view.heard,
	}
	if known is None:
		values["opened_at"] = _moment(answer.created) or now
	if closed and (known is None or known.status != view.status):
		values["closed_at"] = now
	if _money(view) != (_money(known) if known else (None, ZERO, ZERO)):
		values |= {"accounting_status": PENDING, "accounting_next_try_at": None}
	return values


def _money(view: DisputeView) -> tuple[str | None, Decimal, Decimal]:
	"""What the books show of a dispute."""
	return view.status if view.status in CLAIMING else None, view.withdrawn, view.fees


def _stop(paid: PaymentView, view: DisputeView, now: datetime) -> Machine[None]:
	"""Hold auto-recharge, and call off the one that has been decided on but that no card was asked for."""
	yield from effects.HoldAutoRecharge(paid.account, mark_of(view))
	if paid.unasked:
		yield from effects.ClearOpenRecharge(paid.account, paid.unasked)
		yield from effects.UpdateRecharge(
			paid.unasked,
			{
				"status": payment.CANCELLED,
				"ended_at": now,
				"lease_owner": None,
				"lease_until": None,
				# Looked at once more by the sweeper: a restored backup may have forgotten that a card was asked.
				"next_try_at": now,
			},
		)


def _unflag(paid: PaymentView, view: DisputeView) -> Machine[None]:
	if view.status == WON and paid.account_status == DISPUTED_ACCOUNT and not _unresolved(paid, view):
		yield from effects.FlagAccount(paid.account, ACTIVE, None)


def _unresolved(paid: PaymentView, view: DisputeView) -> list[str]:
	"""The account's other disputes that are open, or lost without a person having acted since."""
	return [
		name
		for name, status in paid.account_disputes
		if name != view.name
		and (status == OPEN or has_mark(paid.held_because, mark_of(replace(view, name=name, status=status))))
	]


def _tell(paid: PaymentView, view: DisputeView, before: str | None) -> Machine[None]:
	details = {"dispute": view.name}
	if view.status == before:
		return
	match view.status:
		case "Inquiry":
			yield from effects.Notify(DISPUTE_INQUIRY, paid.recharge, details)
		case "Open":
			yield from effects.Notify(DISPUTE_ALERT, paid.recharge, details)
			yield from effects.Notify(DISPUTE_OPENED, paid.recharge, details)
		case "Won" if before in CLAIMING:
			yield from effects.Notify(DISPUTE_WON, paid.recharge, details)
		case "Lost":
			yield from effects.Notify(DISPUTE_LOST, paid.recharge, details)


def _moment(seconds: int | None) -> datetime | None:
	"""What the gateway counts in seconds since 1970."""
	return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def warn(account: str, recharge: str, warning: str, intent: str, reason: str | None) -> Machine[str]:
	"""An early fraud warning about a payment: flag it for review, hold auto-recharge. Returns a word."""
	now = yield from effects.Now()
	yield from effects.LockAccount(account)
	paid = yield from effects.LockPayment(recharge)
	assert paid is not None, "a warning of no payment here"
	if any(d.name == warning for d in paid.disputes):
		yield from effects.Rollback()
		return "known"
	view = DisputeView(warning, WARNING, paid.amount, paid.currency, intent, heard=1)
	yield from effects.InsertDispute(
		warning,
		{
			"account": account,
			"recharge": recharge,
			"status": WARNING,
			"reason": reason,
			"amount": paid.amount,
			"currency": paid.currency,
			"intent": intent,
			"heard": 1,
			"opened_at": now,
		},
	)
	yield from _stop(paid, view, now)
	yield from effects.Notify(FRAUD_WARNING, recharge, {"dispute": warning})
	yield from effects.Commit()
	return WARNING
