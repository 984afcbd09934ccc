"""Taking credits back: what refunds and disputes of one payment claim of the credits it bought.

Each claim has an amount it *wants* taken now, and one that *is* taken; `level` closes the gap by ledger rows.
So the order in which refunds and disputes begin, end and are heard of does not matter, and twice is once.
No claim reaches beyond what the payment bought: a payment is never taken back twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from crm_recharge.domain import effects, fit
from crm_recharge.domain.book import CHARGEBACK, REFUND
from crm_recharge.domain.effects import DisputeValues, Job, Machine, RefundValues
from crm_recharge.domain.money import ZERO

# Status of a refund. Held: the credits are taken, the gateway is asked next.
HELD, ASKED, SUCCEEDED, FAILED = "Held", "Asked", "Succeeded", "Failed"
OPEN_REFUND = (HELD, ASKED)
# Kind of a refund. The last was made at the gateway itself.
REQUESTED, DUPLICATE, ORPHAN, FROM_GATEWAY = "Requested", "Duplicate", "Orphan", "From Gateway"

# Status of a dispute. A warning and an inquiry have moved no money.
WARNING, INQUIRY, OPEN, WON, LOST = "Warning", "Inquiry", "Open", "Won", "Lost"
CLAIMING = (OPEN, LOST)

# Status of a recharge after it was paid.
PAID, PARTLY_REFUNDED, REFUNDED = "Succeeded", "Partly Refunded", "Refunded"
DISPUTED, CHARGED_BACK = "Disputed", "Charged Back"

# Accounting.
PENDING, NOT_NEEDED = "Pending", "Not Needed"
ACCOUNT_FOR_REFUND, ACCOUNT_FOR_DISPUTE = Job.ACCOUNT_FOR_REFUND, Job.ACCOUNT_FOR_DISPUTE


@dataclass(frozen=True, slots=True)
class RefundView:
	"""One refund, as committed. `taken` is what the ledger has taken for it, in `moves` rows."""

	name: str
	kind: str
	status: str
	amount: Decimal
	currency: str
	intent: str
	account: str | None = None
	recharge: str | None = None
	gateway_refund: str | None = None
	taken: Decimal = ZERO
	moves: int = 0
	asks: int = 0
	asked_at: datetime | None = None
	next_ask_at: datetime | None = None
	lease_owner: str | None = None
	lease_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DisputeView:
	"""One dispute, as committed. `heard` counts the answers of the gateway that were taken over."""

	name: str
	status: str
	amount: Decimal
	currency: str
	intent: str
	taken: Decimal = ZERO
	moves: int = 0
	heard: int = 0
	withdrawn: Decimal = ZERO
	fees: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class PaymentView:
	"""A paid recharge and all claims on it, read under the account's lock.

	`bought` and `unused` are of the payment's lot (None before it is settled), `unasked` an automatic recharge
	of the account that no card was asked for yet, `account_disputes` names the account's open and lost ones.
	"""

	recharge: str
	account: str
	status: str
	amount: Decimal
	currency: str
	intent: str | None = None
	lot: str | None = None
	bought: Decimal = ZERO
	unused: Decimal = ZERO
	refunded: Decimal = ZERO
	account_status: str = "Active"
	held_because: str | None = None
	unasked: str | None = None
	refunds: tuple[RefundView, ...] = ()
	disputes: tuple[DisputeView, ...] = ()
	account_disputes: tuple[tuple[str, str], ...] = ()

	@property
	def due(self) -> fit.Due:
		"""What the payment was, for what claims it."""
		return fit.Due(self.recharge, (), self.currency, self.amount)

	@property
	def claims(self) -> "tuple[Claim, ...]":
		"""Its refunds and disputes."""
		return (*self.refunds, *self.disputes)

	def with_refund(self, refund: RefundView) -> "PaymentView":
		"""This payment with `refund` in the place of what was known of it."""
		return replace(self, refunds=_with(self.refunds, refund))

	def with_dispute(self, dispute: DisputeView) -> "PaymentView":
		"""This payment with `dispute` in the place of what was known of it."""
		return replace(self, disputes=_with(self.disputes, dispute))


def refund_view(name: str, columns: Mapping[str, Any]) -> RefundView:
	"""A refund from its columns; what is none of the view's is left out."""
	return RefundView(**{"name": name} | {key: columns[key] for key in _REFUND_COLUMNS if key in columns})


def dispute_view(name: str, columns: Mapping[str, Any]) -> DisputeView:
	"""A dispute from its columns; what is none of the view's is left out."""
	return DisputeView(**{"name": name} | {key: columns[key] for key in _DISPUTE_COLUMNS if key in columns})


_REFUND_COLUMNS = tuple(field.name for field in fields(RefundView))
_DISPUTE_COLUMNS = tuple(field.name for field in fields(DisputeView))

Claim = RefundView | DisputeView
"""What wants credits of a payment back."""
C = TypeVar("C", RefundView, DisputeView)


def _with(views: tuple[C, ...], view: C) -> tuple[C, ...]:
	if any(v.name == view.name for v in views):
		return tuple(view if v.name == view.name else v for v in views)
	return views + (view,)  # noqa: RUF005


# -- who wants what ------------------------------------------------------------------------------------------


def wanted(paid: PaymentView) -> dict[str, Decimal]:
	"""What each claim on the payment must have taken, by the claim's name.

	Refunds the gateway has confirmed come first, then those it is asked for, then disputes: of a payment that
	was refunded the card holder can claim only the rest.
	"""
	refunds = [r for r in paid.refunds if r.intent == paid.intent]
	confirmed = [r for r in refunds if r.status == SUCCEEDED or (r.status == ASKED and r.gateway_refund)]
	others = [r for r in refunds if r.status in OPEN_REFUND and r not in confirmed]
	disputes = [d for d in paid.disputes if d.status in CLAIMING and d.intent == paid.intent]
	found = {claim.name: ZERO for claim in paid.claims}
	left = paid.bought
	in_turn: tuple[Claim, ...] = (*confirmed, *others, *disputes)
	for claim in in_turn:
		# An amount in another currency cannot be compared: the whole payment is claimed.
		found[claim.name] = min(claim.amount, left) if claim.currency == paid.currency else left
		left -= found[claim.name]
	return found


def level(paid: PaymentView) -> Machine[PaymentView]:
	"""Take and give back until each claim has what it wants. Returns the payment as it is then.

	The caller holds the locks and commits. What is given back comes first, so that nothing becomes a debt
	only for the order of the rows.
	"""
	want = wanted(paid)
	# Held before anything moves: what is given back is a ledger row too, and looks at the threshold.
	for claim in paid.claims:
		if want[claim.name] > claim.taken and _always_holds(claim):
			yield from effects.HoldAutoRecharge(paid.account, mark_of(claim))
	claims = sorted(paid.claims, key=lambda c: (want[c.name] > c.taken, c.name))
	for claim in claims:
		difference = want[claim.name] - claim.taken
		if difference < 0:
			paid = yield from _give_back(paid, claim, -difference)
		elif difference > 0:
			paid = yield from _take(paid, claim, difference)
	return paid


def _always_holds(claim: Claim) -> bool:
	"""Only a refund that was asked for here leaves auto-recharge alone while the balance stays above the level:
	for all others nobody here has decided that the card may be charged again."""
	return not isinstance(claim, RefundView) or claim.kind == FROM_GATEWAY


def _take(paid: PaymentView, claim: Claim, amount: Decimal) -> Machine[PaymentView]:
	assert paid.lot is not None, "what bought nothing cannot be taken back"
	is_refund = isinstance(claim, RefundView)
	entry = yield from effects.TakeCredits(
		account=paid.account,
		lot=paid.lot,
		entry_type=REFUND if is_refund else CHARGEBACK,
		amount=amount,
		key=movement_key(claim.name, claim.moves + 1),
		claim=claim.name,
		intent=claim.intent,
		hold_if_low=None if _always_holds(claim) else mark_of(claim),
	)
	return (yield from _moved(paid, claim, amount, entry))


def _give_back(paid: PaymentView, claim: Claim, amount: Decimal) -> Machine[PaymentView]:
	assert paid.lot is not None, "what bought nothing cannot be taken back"
	is_refund = isinstance(claim, RefundView)
	entry_type = REFUND if is_refund else CHARGEBACK
	entry = yield from effects.GiveBack(
		account=paid.account,
		lot=paid.lot,
		entry_type=entry_type,
		amount=amount,
		key=movement_key(claim.name, claim.moves + 1),
		moved=tuple(movement_key(claim.name, n) for n in range(1, claim.moves + 1)),
		claim=claim.name,
		intent=claim.intent,
		# A refund that did not happen leaves nothing behind, its own hold neither. A dispute's hold stays,
		# won or not: only a person may let a card be charged again after that.
		lift=mark_of(claim) if is_refund and claim.taken == amount else None,
	)
	return (yield from _moved(paid, claim, -amount, entry))


def _moved(paid: PaymentView, claim: Claim, by: Decimal, entry: str) -> Machine[PaymentView]:
	if isinstance(claim, RefundView):
		refund = replace(claim, taken=claim.taken + by, moves=claim.moves + 1)
		values: RefundValues = {"taken": refund.taken, "moves": refund.moves}
		moved: RefundValues = {"hold_entry": entry} if by > 0 else {"reinstate_entry": entry}
		yield from effects.UpdateRefund(refund.name, values | moved)
		return paid.with_refund(refund)
	dispute = replace(claim, taken=claim.taken + by, moves=claim.moves + 1)
	# What an opened dispute took decides how its loss is booked.
	changed: DisputeValues = {
		"taken": dispute.taken,
		"moves": dispute.moves,
		"accounting_status": PENDING,
		"accounting_next_try_at": None,
	}
	drawn: DisputeValues = {"take_entry": entry} if by > 0 else {"reinstate_entry": entry}
	yield from effects.UpdateDispute(dispute.name, changed | drawn)
	yield from effects.EnqueueAfterCommit(ACCOUNT_FOR_DISPUTE, dispute.name)
	return paid.with_dispute(dispute)


def taken_from(moves: Iterable[Iterable[tuple[str, Decimal]]], first: str) -> list[tuple[str, Decimal]]:
	"""What each lot has lost to a claim by its ledger rows so far (their `lots`), `first` before the others: so each
	gets its own back."""
	lost: dict[str, Decimal] = {}
	for lots in moves:
		for lot, moved in lots:
			lost[lot] = lost.get(lot, ZERO) - moved
	return sorted(
		((name, amount) for name, amount in lost.items() if amount > 0), key=lambda move: move[0] != first
	)


def movement_key(claim: str, number: int) -> str:
	"""Idempotency key of a claim's `number`-th ledger row: its name, then numbered."""
	return claim if number == 1 else f"{claim}:{number}"


# -- what the recharge is then -------------------------------------------------------------------------------


def update_recharge(paid: PaymentView) -> Machine[None]:
	"""Write the recharge's status and refunded amount as its claims make them; one that is not paid has none."""
	if not paid.intent:
		return
	refunded = sum(
		(r.amount for r in paid.refunds if r.status == SUCCEEDED and r.intent == paid.intent), ZERO
	)
	status = _status(paid, refunded)
	if (status, refunded) != (paid.status, paid.refunded):
		yield from effects.UpdateRecharge(paid.recharge, {"status": status, "refunded_amount": refunded})


def _status(paid: PaymentView, refunded: Decimal) -> str:
	disputes = [d.status for d in paid.disputes if d.intent == paid.intent]
	if OPEN in disputes:
		return DISPUTED
	if LOST in disputes:
		return CHARGED_BACK
	if refunded >= paid.amount:
		return REFUNDED
	return PARTLY_REFUNDED if refunded else PAID


# -- holds: why auto-recharge waits for a person -------------------------------------------------------------

LONGEST_HOLD = 140
MORE = "…"


def mark_of(claim: Claim) -> str:
	"""How a claim stands in the account's hold."""
	if isinstance(claim, RefundView):
		return f"Refund {claim.name}"
	return f"Fraud warning {claim.name}" if claim.status == WARNING else f"Dispute {claim.name}"


def add_mark(held: str | None, mark: str) -> str | None:
	"""`held` with `mark`, once. What no longer fits is an ellipsis, which nothing but a person takes away."""
	marks = _marks(held)
	if mark in marks or MORE in marks:
		return held
	text = ", ".join([*marks, mark])
	return text if len(text) <= LONGEST_HOLD - len(MORE) - 2 else ", ".join([*marks, MORE])


def drop_mark(held: str | None, mark: str) -> str | None:
	"""`held` without `mark`; None when nothing holds any more."""
	return ", ".join(m for m in _marks(held) if m != mark) or None


def has_mark(held: str | None, mark: str) -> bool:
	"""Whether `mark` stands in `held`; yes when it may be hidden behind the ellipsis."""
	marks = _marks(held)
	return mark in marks or MORE in marks


def _marks(held: str | None) -> list[str]:
	return [m for m in (held or "").split(", ") if m]


def must_hold(balance_after: Decimal, setting: Mapping[str, Any] | None) -> bool:
	"""Whether taking credits must hold auto-recharge: it would start one otherwise.

	`setting` has `enabled` and `falls_below`, as the account's own copy has.
	"""
	if not setting or not setting["enabled"]:
		return False
	return balance_after <= Decimal(setting["falls_below"])
