"""What the payment machine asks of whoever performs it: one small class an effect.

A machine is a generator that yields these and is sent back the results: `now = yield from effects.Now()`. The type of
an effect says what it answers, and of which columns what it writes. `recharge/` performs them on Frappe, the simulator
in memory, the replay over a usage file. Whoever performs may die between any two of them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar

from crm_recharge.domain.answers import Answer, RefundAnswer
from crm_recharge.domain.fit import Misfit

if TYPE_CHECKING:
	# Named in the texts below, where a linter does not look.
	from crm_recharge.domain.steps import RechargeView  # noqa: F401
	from crm_recharge.domain.takeback import PaymentView, RefundView  # noqa: F401

Result = TypeVar("Result")


class Effect(Generic[Result]):
	"""One thing to be done. `yield from effect` gives the machine its result."""

	__slots__ = ()

	def __iter__(self) -> Generator[Effect[Any], Any, Result]:
		result: Result = yield self
		return result


Machine = Generator[Effect[Any], Any, Result]
"""What decides, and returns a Result at its end."""


class Job(str, Enum):
	"""Work that is begun once a transaction is committed. Losing it is harmless: a sweeper finds the row."""

	CARRY_OUT = "carry_out"
	CLOSE_UP = "close_up"
	REFUND = "refund"
	ACCOUNT_FOR = "account_for"
	ACCOUNT_FOR_REFUND = "account_for_refund"
	ACCOUNT_FOR_DISPUTE = "account_for_dispute"


NoticeKind = Literal[
	"all_cards_failed",
	"needs_action",
	"gateway_error",
	"refund_done",
	"refund_failed",
	"refund_came_back",
	"refund_undecided",
	"refunded_at_gateway",
	"dispute_opened",
	"dispute_alert",
	"dispute_inquiry",
	"dispute_won",
	"dispute_lost",
	"fraud_warning",
]

# -- what may be written ---------------------------------------------------------------------------------------


class RechargeValues(TypedDict, total=False):
	"""Columns of a recharge that the machines write."""

	status: str
	amount: Decimal | None
	lease_owner: str | None
	lease_until: datetime | None
	next_try_at: datetime | None
	settled_intent: str
	charge: str | None
	captured_amount: Decimal | None
	captured_currency: str | None
	gateway_customer: str | None
	risk_level: str | None
	settled_at: datetime
	ended_at: datetime
	refunded_amount: Decimal


class AttemptValues(TypedDict, total=False):
	"""Columns of an attempt that the machines write."""

	status: str
	amount: Decimal | None
	currency: str | None
	created_at: datetime
	intent: str | None
	intent_open: bool
	charge: str | None
	code: str | None
	message: str
	decline_class: str | None
	risk_level: str | None
	milliseconds: int
	answered_at: datetime
	asks: int
	next_ask_at: datetime | None


class RefundValues(TypedDict, total=False):
	"""Columns of a refund that the machines write. `account` is its credit account."""

	kind: str
	status: str
	amount: Decimal | None
	currency: str | None
	intent: str | None
	account: str | None
	recharge: str | None
	gateway_refund: str | None
	request_key: str
	request_hash: str
	idempotency_key: str
	requested_by: str
	reason: str | None
	charge: str | None
	code: str | None
	message: str
	asks: int
	asked_at: datetime | None
	ended_at: datetime | None
	next_ask_at: datetime | None
	lease_owner: str | None
	lease_until: datetime | None
	taken: Decimal
	moves: int
	hold_entry: str
	reinstate_entry: str
	accounting_status: str
	accounting_next_try_at: datetime | None


class DisputeValues(TypedDict, total=False):
	"""Columns of a dispute that the machines write. `account` is its credit account."""

	account: str
	recharge: str
	status: str
	gateway_status: str
	reason: str | None
	amount: Decimal
	currency: str
	intent: str
	charge: str | None
	fees: Decimal
	withdrawn: Decimal
	balance_currency: str | None
	evidence_due: datetime | None
	heard: int
	opened_at: datetime
	closed_at: datetime
	taken: Decimal
	moves: int
	take_entry: str
	reinstate_entry: str
	accounting_status: str
	accounting_next_try_at: datetime | None


# -- recharges -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Now(Effect[datetime]):
	"""-> datetime."""


@dataclass(frozen=True, slots=True)
class LockAccount(Effect[None]):
	"""Lock the account's row. Always before the recharge's row, so that no two ways cross. -> None."""

	account: str


@dataclass(frozen=True, slots=True)
class LockRecharge(Effect["RechargeView | None"]):
	"""Lock and read the recharge as it is committed now. -> payment.RechargeView or None."""

	recharge: str


@dataclass(frozen=True, slots=True)
class UpdateRecharge(Effect[None]):
	"""Write `values` on the locked recharge. -> None."""

	recharge: str
	values: RechargeValues


@dataclass(frozen=True, slots=True)
class InsertAttempt(Effect[None]):
	"""Write a new attempt. Its name is the gateway's idempotency key. -> None."""

	name: str
	recharge: str
	number: int
	card: str | None
	values: AttemptValues


@dataclass(frozen=True, slots=True)
class UpdateAttempt(Effect[None]):
	"""Write `values` on an attempt. -> None."""

	name: str
	values: AttemptValues


@dataclass(frozen=True, slots=True)
class UpdateCard(Effect[None]):
	"""Give a card of `account` a new status, with the reason; another account's stays as it is. -> None."""

	account: str
	card: str
	status: str
	reason: str


@dataclass(frozen=True, slots=True)
class Commit(Effect[None]):
	"""Make everything since the last Commit durable, and release the locks. -> None."""


@dataclass(frozen=True, slots=True)
class Rollback(Effect[None]):
	"""Drop everything since the last Commit, and release the locks. -> None."""


@dataclass(frozen=True, slots=True)
class Charge(Effect[Answer]):
	"""Ask the gateway to charge; `key` makes a repeat harmless. Never while a lock is held. -> Answer.

	Not after `until`, when the gateway may have forgotten the key: a worker may have slept since it decided.
	Then nothing is asked, and the answer is UNKNOWN.
	"""

	key: str
	recharge: str
	card: str
	amount: Decimal
	currency: str
	until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cancel(Effect[Answer]):
	"""Ask the gateway to close an intent for good. -> Answer."""

	intent: str
	key: str


@dataclass(frozen=True, slots=True)
class ClosePage(Effect["Answer | None"]):
	"""Ask the gateway to close a payment page. -> what became of its payment as an Answer; None when it was closed
	without one."""

	page: str


@dataclass(frozen=True, slots=True)
class LookUp(Effect["Answer | None"]):
	"""Ask the gateway what became of an attempt whose key can no longer be replayed: its `intent`, where that is
	known, else the one that was made under `key` since about then. -> Answer or None."""

	key: str
	recharge: str
	since: datetime
	intent: str | None = None


@dataclass(frozen=True, slots=True)
class Search(Effect["tuple[Answer, ...] | Answer"]):
	"""Ask the gateway for every payment that names the recharge, made since about then. -> tuple of Answer, or one
	Answer where it could not be asked to the end."""

	recharge: str
	since: datetime


@dataclass(frozen=True, slots=True)
class PostCredits(Effect[str]):
	"""Write the ledger row and the lot of a captured payment, once per intent. -> ledger entry's name."""

	account: str
	recharge: str
	intent: str
	amount: Decimal


@dataclass(frozen=True, slots=True)
class ClearOpenRecharge(Effect[None]):
	"""The account's open recharge is no longer `recharge`. -> None."""

	account: str
	recharge: str


@dataclass(frozen=True, slots=True)
class DisableAutoRecharge(Effect[None]):
	"""Switch the account's auto-recharge off; only a person switches it on again. -> None."""

	account: str
	reason: str
	recharge: str


@dataclass(frozen=True, slots=True)
class Notify(Effect[None]):
	"""Tell people, by rows written in this same transaction (mail queue, desk). -> None."""

	kind: NoticeKind
	recharge: str
	details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefundDuplicate(Effect[None]):
	"""Write down that this capture pays nothing and must be refunded. `held`: a person has decided so about one that
	does not fit. -> None."""

	recharge: str
	answer: Answer
	held: bool = False


@dataclass(frozen=True, slots=True)
class NoteDifference(Effect[None]):
	"""Write down, once for each `kind` and `subject`, that something at the gateway does not fit what is known here,
	and tell the managers. `subject` is the id of the payment, refund or dispute; `amount` in major units of
	`currency`; `misfits` are fit.Misfit. -> None."""

	kind: str
	subject: str
	recharge: str | None
	intent: str | None
	amount: Decimal | None
	currency: str | None
	misfits: tuple[Misfit, ...]


@dataclass(frozen=True, slots=True)
class CloseDifference(Effect[bool]):
	"""Lock the difference, and write down that a person has decided about it. -> whether it was open until now."""

	kind: str
	subject: str
	decision: str


@dataclass(frozen=True, slots=True)
class EnqueueAfterCommit(Effect[None]):
	"""Start a background job once this is committed; losing it is harmless, a sweeper finds the row. -> None."""

	job: Job
	recharge: str


# -- refunds and disputes (refund.py, dispute.py, takeback.py) -------------------------------------------------


@dataclass(frozen=True, slots=True)
class LockPayment(Effect["PaymentView | None"]):
	"""Lock and read a recharge with its lot and all claims on it; the account is locked already.
	-> takeback.PaymentView or None."""

	recharge: str


@dataclass(frozen=True, slots=True)
class LockRefund(Effect["RefundView | None"]):
	"""Lock and read a refund. -> takeback.RefundView or None."""

	refund: str


@dataclass(frozen=True, slots=True)
class FindRefund(Effect["str | None"]):
	"""Whether a refund was asked for under this key before. -> its name or None."""

	request_key: str


@dataclass(frozen=True, slots=True)
class InsertRefund(Effect[None]):
	"""Write a new refund. Its name is the gateway's idempotency key. -> None."""

	name: str
	values: RefundValues


@dataclass(frozen=True, slots=True)
class UpdateRefund(Effect[None]):
	"""Write `values` on a refund. -> None."""

	name: str
	values: RefundValues


@dataclass(frozen=True, slots=True)
class InsertDispute(Effect[None]):
	"""Write a new dispute or warning under the gateway's own id. -> None."""

	name: str
	values: DisputeValues


@dataclass(frozen=True, slots=True)
class UpdateDispute(Effect[None]):
	"""Write `values` on a dispute. -> None."""

	name: str
	values: DisputeValues


@dataclass(frozen=True, slots=True)
class TakeCredits(Effect[str]):
	"""Take `amount` for a claim by a ledger row of `entry_type`, once per `key`: what `lot` still holds first.

	`hold_if_low` is the mark that holds auto-recharge if takeback.must_hold says so of the balance after.
	-> ledger entry's name.
	"""

	account: str
	lot: str
	entry_type: str
	amount: Decimal
	key: str
	claim: str
	intent: str
	hold_if_low: str | None = None


@dataclass(frozen=True, slots=True)
class GiveBack(Effect[str]):
	"""Give back `amount` of what was taken for a claim, by a Reinstatement under `key`, to the lots it came from.

	`moved` are the keys of the claim's ledger rows so far (of `entry_type`, or Reinstatements). `lift` is a mark
	that no longer holds auto-recharge. -> ledger entry's name.
	"""

	account: str
	lot: str
	entry_type: str
	amount: Decimal
	key: str
	moved: tuple[str, ...]
	claim: str
	intent: str
	lift: str | None = None


@dataclass(frozen=True, slots=True)
class HoldAutoRecharge(Effect[None]):
	"""Hold the account's auto-recharge until a person lifts it; `mark` says why. Twice is once. -> None."""

	account: str
	mark: str


@dataclass(frozen=True, slots=True)
class FlagAccount(Effect[None]):
	"""Give the account another status; `dispute` says why, None takes the reason away. -> None."""

	account: str
	status: str
	dispute: str | None


@dataclass(frozen=True, slots=True)
class AskRefund(Effect[RefundAnswer]):
	"""Ask the gateway to send money back; `key` makes a repeat harmless. Never while a lock is held, and not after
	`until`, as for Charge. -> RefundAnswer."""

	key: str
	intent: str
	amount: Decimal
	currency: str
	kind: str
	until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LookUpRefund(Effect["RefundAnswer | None"]):
	"""Ask the gateway whether it has a refund that was asked for under `key`. -> RefundAnswer or None."""

	key: str
	intent: str


@dataclass(frozen=True, slots=True)
class CheckRefund(Effect[RefundAnswer]):
	"""Ask the gateway what became of its refund. -> RefundAnswer."""

	gateway_refund: str


Asks = Charge | Cancel | ClosePage | LookUp | Search | AskRefund | LookUpRefund | CheckRefund
"""What asks the gateway: never while a lock is held."""
