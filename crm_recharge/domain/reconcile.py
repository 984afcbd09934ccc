"""Comparing each payment at the gateway with what is known of it here: what to do about it, and why.

Whether a payment is the one that a recharge asked for is the rule of fit.py, here as everywhere.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from crm_recharge.domain import fit, payment
from crm_recharge.domain.answers import Answer, Outcome
from crm_recharge.domain.fit import Due, Site
from crm_recharge.domain.money import ZERO, plain

# Verdicts. The first two need nothing; the next four are acted on; the rest are listed for a person.
AGREES, NOT_OURS = "agrees", "not_ours"
SETTLE, DUPLICATE, ORPHAN, CLOSE = "settle", "duplicate", "orphan", "close"
DOES_NOT_FIT = payment.DOES_NOT_FIT
AMOUNT_DIFFERS, MISSING_AT_GATEWAY, UNDECIDED = "amount_differs", "missing_at_gateway", "undecided"
LISTED = (DOES_NOT_FIT, AMOUNT_DIFFERS, MISSING_AT_GATEWAY, UNDECIDED)
CREDITED_WRONGLY = (DOES_NOT_FIT, AMOUNT_DIFFERS, MISSING_AT_GATEWAY)
"""Verdicts on a payment that has been credited: the credits are not what was captured."""

GRACE = timedelta(hours=1)
"""A payment younger than this may be on its way through a worker; it is left alone."""


@dataclass(frozen=True, slots=True)
class Known:
	"""What is known here of the recharge a payment names, or is said to have paid for. Amounts in major units of its
	currency. `held`: that it does not fit has been written down."""

	due: Due
	status: str
	settled_intent: str | None
	credited: Decimal | None = None
	refund_arranged: bool = False
	busy: bool = False
	held: bool = False

	@property
	def recharge(self) -> str:
		return self.due.recharge


@dataclass(frozen=True, slots=True)
class Verdict:
	kind: str
	intent: str | None
	text: str = ""
	misfits: tuple[fit.Misfit, ...] = ()


def judge(
	answer: Answer,
	site: Site,
	known: Known | None,
	created: datetime,
	now: datetime,
	payers: tuple[str, ...] = (),
) -> Verdict:
	"""The verdict on one payment as the gateway has it; `created` is when it was made there.

	`payers` are the gateway's customers of the account that the payment names, where there is such an account here.
	"""
	intent, young = answer.intent, now - created < GRACE
	if known is not None and known.settled_intent == intent:
		return judge_credit(answer, site, known)
	is_ours = fit.is_ours(answer.metadata, site) or (known and not fit.is_marked(answer.metadata))
	if not is_ours or not answer.metadata.get("recharge"):
		return Verdict(NOT_OURS, intent)
	if answer.outcome is Outcome.SUCCEEDED:
		return _captured(answer, known, young, payers)
	if answer.outcome is Outcome.PENDING:
		return _undecided(answer, known, now - created, payment.PENDING_TOO_LONG)
	if answer.intent_open or answer.outcome in (Outcome.NEEDS_AUTHENTICATION, Outcome.DECLINED):
		return _open(answer, known, young)
	if answer.outcome is Outcome.UNKNOWN:
		return _undecided(answer, known, now - created)
	return Verdict(AGREES, intent)


def judge_credit(answer: Answer, site: Site, known: Known) -> Verdict:
	"""The verdict on the payment that has bought credits here: it must be captured, fit, and be what was credited."""
	intent = known.settled_intent
	if answer.outcome is Outcome.UNKNOWN:
		# It could not be asked about now.
		return Verdict(AGREES, intent)
	if answer.outcome is not Outcome.SUCCEEDED:
		text = f"credited by {known.recharge}; the gateway says {answer.code or answer.outcome.value}"
		return Verdict(MISSING_AT_GATEWAY, intent, text)
	if wrong := fit.misfits(known.due, answer):
		return Verdict(DOES_NOT_FIT, intent, f"credited by {known.recharge}: {in_words(wrong)}", wrong)
	if known.credited == answer.amount:
		# One that came here with a copy of its site's database is that site's to follow.
		return Verdict(NOT_OURS if fit.names_another(answer.metadata, site) else AGREES, intent)
	return Verdict(
		AMOUNT_DIFFERS,
		intent,
		f"the gateway captured {plain(answer.amount or ZERO)} {answer.currency}, the ledger holds"
		f" {'nothing' if known.credited is None else plain(known.credited)}",
	)


def in_words(wrong: tuple[fit.Misfit, ...]) -> str:
	"""What does not agree, for a list."""
	return "; ".join(f"{m.what}: {m.found}, asked for {m.asked}" for m in wrong)


def _captured(answer: Answer, known: Known | None, young: bool, payers: tuple[str, ...]) -> Verdict:
	intent = answer.intent
	if known is None:
		return _without_recharge(answer, young, payers)
	if known.refund_arranged:
		return Verdict(AGREES, intent)
	if wrong := fit.misfits(known.due, answer):
		if known.held:
			return Verdict(AGREES, intent)
		return Verdict(DOES_NOT_FIT, intent, f"captured for {known.recharge}, but {in_words(wrong)}", wrong)
	if known.settled_intent:
		return Verdict(
			DUPLICATE, intent, f"recharge {known.recharge} was already paid by {known.settled_intent}"
		)
	return Verdict(SETTLE, intent, f"captured, but recharge {known.recharge} is {known.status}")


def _without_recharge(answer: Answer, young: bool, payers: tuple[str, ...]) -> Verdict:
	if young:
		return Verdict(AGREES, answer.intent)
	text = f"captured for recharge {answer.metadata['recharge']}, which does not exist"
	if payers and answer.customer not in payers:
		wrong = (fit.Misfit(fit.CUSTOMER, ", ".join(payers), answer.customer or "–"),)
		return Verdict(DOES_NOT_FIT, answer.intent, f"{text}; {in_words(wrong)}", wrong)
	return Verdict(ORPHAN, answer.intent, text)


def _open(answer: Answer, known: Known | None, young: bool) -> Verdict:
	"""A payment that could still capture though nobody here waits for it is closed."""
	if young or not answer.intent_open:
		return Verdict(AGREES, answer.intent)
	if known and (known.busy or known.status in (*payment.WORKABLE, payment.ACTION_REQUIRED)):
		return Verdict(AGREES, answer.intent)
	return Verdict(CLOSE, answer.intent, "open at the gateway, though nobody here waits for it")


def _undecided(
	answer: Answer, known: Known | None, age: timedelta, longest: timedelta = timedelta(hours=24)
) -> Verdict:
	if age < longest:
		return Verdict(AGREES, answer.intent)
	name = known.recharge if known else answer.metadata.get("recharge")
	return Verdict(
		UNDECIDED, answer.intent, f"recharge {name}: the gateway still says {answer.code or 'processing'}"
	)
