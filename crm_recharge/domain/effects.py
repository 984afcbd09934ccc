"""What the payment machine asks of whoever performs it: one small class an effect.

The machine yields these and is sent back the result. `recharge/` performs them on Frappe, the simulator in
memory, the replay over a usage file. Whoever performs may die between any two of them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from crm_recharge.domain.answers import Answer


@dataclass(frozen=True, slots=True)
class Now:
	"""-> datetime."""


@dataclass(frozen=True, slots=True)
class LockAccount:
	"""Lock the account's row. Always before the recharge's row, so that no two ways cross. -> None."""

	account: str


@dataclass(frozen=True, slots=True)
class LockRecharge:
	"""Lock and read the recharge as it is committed now. -> payment.RechargeView or None."""

	recharge: str


@dataclass(frozen=True, slots=True)
class UpdateRecharge:
	"""Write `values` on the locked recharge. -> None."""

	recharge: str
	values: dict


@dataclass(frozen=True, slots=True)
class InsertAttempt:
	"""Write a new attempt. Its name is the gateway's idempotency key. -> None."""

	name: str
	recharge: str
	number: int
	card: str
	values: dict


@dataclass(frozen=True, slots=True)
class UpdateAttempt:
	"""Write `values` on an attempt. -> None."""

	name: str
	values: dict


@dataclass(frozen=True, slots=True)
class UpdateCard:
	"""Give a card of `account` a new status, with the reason; another account's stays as it is. -> None."""

	account: str
	card: str
	status: str
	reason: str


@dataclass(frozen=True, slots=True)
class Commit:
	"""Make everything since the last Commit durable, and release the locks. -> None."""


@dataclass(frozen=True, slots=True)
class Rollback:
	"""Drop everything since the last Commit, and release the locks. -> None."""


@dataclass(frozen=True, slots=True)
class Charge:
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
class Cancel:
	"""Ask the gateway to close an intent for good. -> Answer."""

	intent: str
	key: str


@dataclass(frozen=True, slots=True)
class ClosePage:
	"""Ask the gateway to close a payment page. -> what became of its payment as an Answer; None when it was closed
	without one."""

	page: str


@dataclass(frozen=True, slots=True)
class LookUp:
	"""Ask the gateway what became of an attempt whose key can no longer be replayed: its `intent`, where that is
	known, else the one that was made under `key` since about then. -> Answer or None."""

	key: str
	recharge: str
	since: datetime
	intent: str | None = None


@dataclass(frozen=True, slots=True)
class Search:
	"""Ask the gateway for every payment that names the recharge, made since about then. -> tuple of Answer, or one
	Answer where it could not be asked to the end."""

	recharge: str
	since: datetime


@dataclass(frozen=True, slots=True)
class PostCredits:
	"""Write the ledger row and the lot of a captured payment, once per intent. -> ledger entry's name."""

	account: str
	recharge: str
	intent: str
	amount: Decimal


@dataclass(frozen=True, slots=True)
class ClearOpenRecharge:
	"""The account's open recharge is no longer `recharge`. -> None."""

	account: str
	recharge: str


@dataclass(frozen=True, slots=True)
class DisableAutoRecharge:
	"""Switch the account's auto-recharge off; only a person switches it on again. -> None."""

	account: str
	reason: str
	recharge: str


@dataclass(frozen=True, slots=True)
class Notify:
	"""Tell people, by rows written in this same transaction (mail queue, desk). -> None."""

	kind: str
	recharge: str
	details: dict = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RefundDuplicate:
	"""Write down that this capture pays nothing and must be refunded. `held`: a person has decided so about one that
	does not fit. -> None."""

	recharge: str
	answer: Answer
	held: bool = False


@dataclass(frozen=True, slots=True)
class NoteDifference:
	"""Write down, once for each `kind` and `subject`, that something at the gateway does not fit what is known here,
	and tell the managers. `subject` is the id of the payment, refund or dispute; `amount` in major units of
	`currency`; `misfits` are fit.Misfit. -> None."""

	kind: str
	subject: str
	recharge: str | None
	intent: str | None
	amount: Decimal | None
	currency: str | None
	misfits: tuple


@dataclass(frozen=True, slots=True)
class CloseDifference:
	"""Lock the difference, and write down that a person has decided about it. -> whether it was open until now."""

	kind: str
	subject: str
	decision: str


@dataclass(frozen=True, slots=True)
class EnqueueAfterCommit:
	"""Start a background job once this is committed; losing it is harmless, a sweeper finds the row. -> None."""

	job: str
	recharge: str


# -- refunds and disputes (refund.py, dispute.py, takeback.py) -------------------------------------------------


@dataclass(frozen=True, slots=True)
class LockPayment:
	"""Lock and read a recharge with its lot and all claims on it; the account is locked already.
	-> takeback.PaymentView or None."""

	recharge: str


@dataclass(frozen=True, slots=True)
class LockRefund:
	"""Lock and read a refund. -> takeback.RefundView or None."""

	refund: str


@dataclass(frozen=True, slots=True)
class FindRefund:
	"""Whether a refund was asked for under this key before. -> its name or None."""

	request_key: str


@dataclass(frozen=True, slots=True)
class InsertRefund:
	"""Write a new refund. Its name is the gateway's idempotency key. -> None."""

	name: str
	values: dict


@dataclass(frozen=True, slots=True)
class UpdateRefund:
	"""Write `values` on a refund. -> None."""

	name: str
	values: dict


@dataclass(frozen=True, slots=True)
class InsertDispute:
	"""Write a new dispute or warning under the gateway's own id. Times may be seconds since 1970. -> None."""

	name: str
	values: dict


@dataclass(frozen=True, slots=True)
class UpdateDispute:
	"""Write `values` on a dispute. -> None."""

	name: str
	values: dict


@dataclass(frozen=True, slots=True)
class TakeCredits:
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
class GiveBack:
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
class HoldAutoRecharge:
	"""Hold the account's auto-recharge until a person lifts it; `mark` says why. Twice is once. -> None."""

	account: str
	mark: str


@dataclass(frozen=True, slots=True)
class FlagAccount:
	"""Give the account another status; `dispute` says why, None takes the reason away. -> None."""

	account: str
	status: str
	dispute: str | None


@dataclass(frozen=True, slots=True)
class AskRefund:
	"""Ask the gateway to send money back; `key` makes a repeat harmless. Never while a lock is held, and not after
	`until`, as for Charge. -> RefundAnswer."""

	key: str
	intent: str
	amount: Decimal
	currency: str
	kind: str
	until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LookUpRefund:
	"""Ask the gateway whether it has a refund that was asked for under `key`. -> RefundAnswer or None."""

	key: str
	intent: str


@dataclass(frozen=True, slots=True)
class CheckRefund:
	"""Ask the gateway what became of its refund. -> RefundAnswer."""

	gateway_refund: str
