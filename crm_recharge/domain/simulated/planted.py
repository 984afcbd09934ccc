"""Bugs planted on purpose, each one that real payment code has had. The simulation must catch every one.

python -m crm_recharge.domain.simulated.simulate --planted no_key
"""

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any
from unittest.mock import patch

from crm_recharge.domain import cards, chain, effects, fit, hearing, payment, threshold
from crm_recharge.domain.answers import Outcome
from crm_recharge.domain.simulated import books, happenings, rows
from crm_recharge.domain.simulated.gateway import Gateway
from crm_recharge.domain.simulated.performer import Performer
from crm_recharge.domain.simulated.world import Transaction

PLANTED: dict[str, Any] = {}


def planted(function: Any) -> Any:
	"""Register a context manager under its name."""
	PLANTED[function.__name__] = contextmanager(function)
	return PLANTED[function.__name__]


@planted
def no_lock() -> Any:
	"""The account's row is read without a lock."""
	with patch.object(Transaction, "lock", lambda self, kind, key: None):
		yield


@planted
def no_key() -> Any:
	"""Each ask goes out under a key of its own."""
	numbers, charge = count(), Performer._charge

	def keyless(self, effect: Any, transaction: Any) -> Any:  # type: ignore[no-untyped-def]
		return charge(self, replace(effect, key=f"{effect.key}#{next(numbers)}"), transaction)

	with patch.object(Performer, "_charge", keyless):
		yield


@planted
def fallback_on_time_out() -> Any:
	"""No answer counts as a decline."""
	charge = Performer._charge

	def hasty(self, effect: Any, transaction: Any) -> Any:  # type: ignore[no-untyped-def]
		answer = charge(self, effect, transaction)
		if answer.outcome is Outcome.UNKNOWN:
			return replace(answer, outcome=Outcome.DECLINED, intent=None, intent_open=False)
		return answer

	with patch.object(Performer, "_charge", hasty):
		yield


@planted
def cards_of_others() -> Any:
	"""Whatever stands on the list is asked, whoever saved it."""
	with patch.object(cards, "own", lambda listed, account: listed):
		yield


@planted
def cap_without_reservation() -> Any:
	"""A cap counts what has been captured, and neither this charge nor those in flight."""
	with patch.object(threshold.Cap, "leaves_room", lambda self, amount: self.used < self.limit):
		yield


@planted
def settle_twice() -> Any:
	"""Settling looks neither at the recharge nor at the ledger before it credits."""
	settle, numbers, post = payment.settle, count(), books.post_payment

	def forgetful(view: Any, answer: Any, now: Any) -> Any:
		return (
			yield from settle(
				view and replace(view, settled_intent=None, status=payment.CHARGING), answer, now
			)
		)

	def keyless(transaction: Any, effect: Any, now: Any) -> Any:
		with patch.object(chain, "request_key", lambda *parts: f"{parts[-1]}#{next(numbers)}"):
			return post(transaction, effect, now)

	with patch.object(payment, "settle", forgetful), patch.object(books, "post_payment", keyless):
		yield


@planted
def event_order_trusted() -> Any:
	"""A webhook that is not a success counts as the end of the attempt, whatever the payment is now."""

	def trusting(account: Any, recharge: Any, attempt: Any, answer: Any) -> Any:
		yield effects.LockAccount(account)
		view = yield effects.LockRecharge(recharge)
		known = next((a for a in view.attempts if a.name == attempt), None)
		if known and known.status in payment.OPEN_ATTEMPT and answer.outcome is not Outcome.SUCCEEDED:
			yield effects.UpdateAttempt(known.name, {"status": payment.DECLINED, "intent_open": False})
		yield effects.Commit()

	with patch.object(hearing, "hear", trusting):
		yield


@planted
def after_commit_work_lost() -> Any:
	"""Nobody sweeps: what the queue loses is lost."""
	with patch.object(happenings.Happenings, "_sweep", lambda self: None):
		yield


@planted
def next_card_before_cancel() -> Any:
	"""The next card is charged while the payment of the one before could still capture."""
	step = payment.next_step

	def impatient(view: Any, now: Any, searched: Any = False) -> Any:
		attempts = tuple(
			a if a.status in payment.OPEN_ATTEMPT else replace(a, intent_open=False) for a in view.attempts
		)
		return step(replace(view, attempts=attempts), now, searched)

	with patch.object(payment, "next_step", impatient):
		yield


@planted
def call_before_commit() -> Any:
	"""The gateway is asked inside the transaction that wrote the attempt."""
	start = payment._start

	def eager(view: Any, card: Any, now: Any) -> Any:
		machine = start(view, card, now)
		for effect in machine:
			if isinstance(effect, effects.Commit):
				answer = effects.Charge(
					f"{view.name}-{len(view.attempts) + 1}", view.name, card.name, view.amount, view.currency
				)
				yield answer
			yield effect

	with patch.object(payment, "_start", eager):
		yield


@planted
def key_outlived() -> Any:
	"""The same key is asked again after the gateway has forgotten it."""
	with patch.object(payment, "REPLAY_WINDOW", timedelta(days=365)):
		yield


@planted
def open_recharge_left() -> Any:
	"""A recharge that failed stays the account's open one."""
	with patch.object(Performer, "_clear_open_recharge", lambda self, effect, transaction: None):
		yield


@planted
def switched_on_by_itself() -> Any:
	"""A capture switches auto-recharge on again."""
	settle = payment.settle

	def helpful(view: Any, answer: Any, now: Any) -> Any:
		word = yield from settle(view, answer, now)
		if view:
			yield _SwitchOn(view.account)
		return word

	performer_do = Performer.do

	def do(self, effect: Any, transaction: Any) -> Any:  # type: ignore[no-untyped-def]
		if isinstance(effect, _SwitchOn):
			return transaction.update(rows.AutoRechargeSetting, effect.account, enabled=True)
		return performer_do(self, effect, transaction)

	with patch.object(payment, "settle", helpful), patch.object(Performer, "do", do):
		yield


@planted
def clawback_triggers_recharge() -> Any:
	"""Nothing holds auto-recharge when a refund or a dispute takes credits away."""
	view_of = books.view_of

	def unheld(*arguments: Any) -> Any:
		return replace(view_of(*arguments), held_because=None)

	with patch.object(books, "view_of", unheld):
		yield


@planted
def capture_believed() -> Any:
	"""Whatever is captured is credited, of any currency, amount and customer."""
	with patch.object(fit, "misfits", lambda due, answer: ()):
		yield


@planted
def restored_queue_charged_again() -> Any:
	"""A recharge that waits in a restored backup is charged without asking the gateway for it."""
	with patch.object(payment, "_searched_from", lambda view, now: None):
		yield


@planted
def called_off_and_left_open() -> Any:
	"""A payment that was called off can still be confirmed."""
	with patch.object(payment, "close_up", _nothing):
		yield


def _nothing(account: Any, recharge: Any) -> Any:
	yield effects.LockAccount(account)
	yield effects.UpdateRecharge(recharge, {"next_try_at": None})
	yield effects.Commit()


@planted
def refund_asked_under_new_keys() -> Any:
	"""Each ask for a refund goes out under a key of its own."""
	numbers, refund = count(), Gateway.refund

	def keyless(self, *, key: Any, intent: Any, amount: Any) -> Any:  # type: ignore[no-untyped-def]
		return refund(self, key=f"{key}#{next(numbers)}", intent=intent, amount=amount)

	with patch.object(Gateway, "refund", keyless):
		yield


class _SwitchOn:
	def __init__(self, account: str) -> None:
		self.account = account


@contextmanager
def plant(name: str | None) -> Any:
	"""Run the block with the bug of that name, or as it is when there is none."""
	with ExitStack() as stack:
		if name:
			stack.enter_context(PLANTED[name]())
		yield
