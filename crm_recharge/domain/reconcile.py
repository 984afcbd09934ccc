"""Comparing each payment at the gateway with what is known of it here: what to do about it, and why."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from crm_recharge.domain import payment
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.money import plain

# Verdicts. The first two need nothing; the next four are acted on; the rest are listed for a person.
AGREES, NOT_OURS = "agrees", "not_ours"
SETTLE, DUPLICATE, ORPHAN, CLOSE = "settle", "duplicate", "orphan", "close"
AMOUNT_DIFFERS, MISSING_AT_GATEWAY, UNDECIDED = "amount_differs", "missing_at_gateway", "undecided"
ACTED_ON = (SETTLE, DUPLICATE, ORPHAN, CLOSE)
LISTED = (AMOUNT_DIFFERS, MISSING_AT_GATEWAY, UNDECIDED)

GRACE = timedelta(hours=1)
"""A payment younger than this may be on its way through a worker; it is left alone."""


@dataclass(frozen=True, slots=True)
class Known:
	"""What is known here of the recharge a payment names. Amounts in major units of its currency."""

	recharge: str
	status: str
	settled_intent: str | None
	credited: Decimal | None = None
	currency: str | None = None
	refund_arranged: bool = False
	busy: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
	kind: str
	intent: str
	text: str = ""


def judge(answer: Answer, site: str, known: Known | None, created: datetime, now: datetime) -> Verdict:
	"""The verdict on one payment as the gateway has it; `created` is when it was made there."""
	intent, young = answer.intent, now - created < GRACE
	if answer.metadata.get("site") != site or not answer.metadata.get("recharge"):
		return Verdict(NOT_OURS, intent)
	if answer.outcome is Outcome.SUCCEEDED:
		return _captured(answer, known, young)
	if answer.intent_open or answer.outcome in (Outcome.NEEDS_AUTHENTICATION, Outcome.DECLINED):
		return _open(answer, known, young)
	if answer.outcome is Outcome.UNKNOWN:
		return _undecided(answer, known, now - created)
	return Verdict(AGREES, intent)


def _captured(answer: Answer, known: Known | None, young: bool) -> Verdict:
	intent = answer.intent
	if known is None:
		if young:
			return Verdict(AGREES, intent)
		return Verdict(
			ORPHAN, intent, f"captured for recharge {answer.metadata['recharge']}, which does not exist"
		)
	if known.settled_intent == intent:
		if known.credited == answer.amount:
			return Verdict(AGREES, intent)
		return Verdict(
			AMOUNT_DIFFERS,
			intent,
			f"the gateway captured {plain(answer.amount)} {answer.currency}, the ledger holds"
			f" {'nothing' if known.credited is None else plain(known.credited)}",
		)
	if known.settled_intent:
		if known.refund_arranged:
			return Verdict(AGREES, intent)
		return Verdict(
			DUPLICATE, intent, f"recharge {known.recharge} was already paid by {known.settled_intent}"
		)
	return Verdict(SETTLE, intent, f"captured, but recharge {known.recharge} is {known.status}")


def _open(answer: Answer, known: Known | None, young: bool) -> Verdict:
	"""A payment that could still capture though nobody here waits for it is closed."""
	if young or not answer.intent_open:
		return Verdict(AGREES, answer.intent)
	if known and (known.busy or known.status in (*payment.WORKABLE, payment.ACTION_REQUIRED)):
		return Verdict(AGREES, answer.intent)
	return Verdict(CLOSE, answer.intent, "open at the gateway, though nobody here waits for it")


def _undecided(answer: Answer, known: Known | None, age: timedelta) -> Verdict:
	if age < timedelta(hours=24):
		return Verdict(AGREES, answer.intent)
	name = known.recharge if known else answer.metadata.get("recharge")
	return Verdict(
		UNDECIDED, answer.intent, f"recharge {name}: the gateway still says {answer.code or 'processing'}"
	)
