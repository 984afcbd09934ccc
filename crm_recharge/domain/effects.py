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
	"""Give a card a new status, with the reason. -> None."""

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
	"""Ask the gateway to charge; `key` makes a repeat harmless. Never while a lock is held. -> Answer."""

	key: str
	recharge: str
	card: str
	amount: Decimal
	currency: str


@dataclass(frozen=True, slots=True)
class Cancel:
	"""Ask the gateway to close an intent for good. -> Answer."""

	intent: str
	key: str


@dataclass(frozen=True, slots=True)
class LookUp:
	"""Ask the gateway what became of an attempt whose key can no longer be replayed. -> Answer or None."""

	key: str
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
	"""Write down that this capture pays nothing and must be refunded. -> None."""

	recharge: str
	answer: Answer


@dataclass(frozen=True, slots=True)
class EnqueueAfterCommit:
	"""Start a background job once this is committed; losing it is harmless, a sweeper finds the row. -> None."""

	job: str
	recharge: str
