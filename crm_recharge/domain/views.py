"""What the machines decide on, built from plain rows (rows.py): here and nowhere else.

Frappe's performer, the simulator and the replay read rows each in its own way, and get their views from here: so what is
simulated is what runs.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from crm_recharge.domain import anomaly, book, caps, fit, payment, reconcile, rows, takeback, threshold
from crm_recharge.domain.caps import CapLimits, Reservation
from crm_recharge.domain.cards import NETWORK_WINDOW, Card
from crm_recharge.domain.money import ZERO
from crm_recharge.domain.steps import AUTOMATIC, AttemptView, RechargeView
from crm_recharge.domain.takeback import DisputeView, PaymentView, RefundView

# -- the account ---------------------------------------------------------------------------------------------


def hold_of(account: rows.Account) -> str | None:
	"""Why nothing is charged by itself for the account: what holds it, else a status that is not the usual one."""
	return account.held_because or (account.status if account.status != book.ACTIVE else None)


def customers_of(account: rows.Account, attempts: Iterable[rows.Attempt]) -> tuple[str, ...]:
	"""Whom a payment may be of: the account's customer now, and those that the attempts were asked under."""
	asked = (account.customer, *(attempt.customer for attempt in attempts))
	return tuple(dict.fromkeys(customer for customer in asked if customer))


# -- the payment machine -------------------------------------------------------------------------------------


def recharge(
	row: rows.Recharge,
	account: rows.Account,
	attempts: Iterable[rows.Attempt],
	cards: tuple[Card, ...] = (),
) -> RechargeView:
	"""A recharge as the payment machine sees it; `cards` as `cards_in_order` gives them."""
	attempts = sorted(attempts, key=lambda attempt: attempt.number)
	return RechargeView(
		name=row.name,
		account=row.account,
		status=row.status,
		amount=row.amount,
		currency=row.currency,
		trigger=row.origin,
		cards=cards,
		attempts=tuple(_attempt(attempt) for attempt in attempts),
		lease_owner=row.lease_owner,
		lease_until=row.lease_until,
		next_try_at=row.next_try_at,
		settled_intent=row.settled_intent,
		held_because=hold_of(account),
		zone=account.zone,
		created=row.created_at,
		customers=customers_of(account, attempts),
		account_currency=account.currency,
	)


def _attempt(row: rows.Attempt) -> AttemptView:
	return AttemptView(
		name=row.name,
		number=row.number,
		card=row.card,
		status=row.status,
		created=row.created_at,
		intent=row.intent,
		intent_open=row.intent_open,
		asks=row.asks,
		next_ask_at=row.next_ask_at,
		code=row.code,
		page=row.page,
	)


def due(row: rows.Recharge, account: rows.Account, attempts: Iterable[rows.Attempt]) -> fit.Due:
	"""What a payment for a recharge must be."""
	return fit.Due(row.name, customers_of(account, attempts), row.currency, row.amount, account.currency)


def cards_in_order(
	chosen: str | None,
	listed: Iterable[str],
	saved: Iterable[rows.SavedCard],
	attempts: Iterable[rows.Attempt],
	now: datetime,
) -> tuple[Card, ...]:
	"""The cards that a recharge may charge: the chosen one, else those that the setting lists.

	`attempts` are of any recharge with one of these cards, or with another entry of the same card.
	"""
	known, attempts = {card.name: card for card in saved}, list(attempts)
	names = [chosen] if chosen else listed
	return tuple(_card(known[name], attempts, now) for name in names if name in known)


def _card(row: rows.SavedCard, attempts: Iterable[rows.Attempt], now: datetime) -> Card:
	declines = sum(
		attempt.status == payment.DECLINED
		and attempt.created_at > now - NETWORK_WINDOW
		and _is_of(attempt, row)
		for attempt in attempts
	)
	return Card(
		row.name,
		row.payment_method,
		row.status,
		row.kind,
		row.exp_month,
		row.exp_year,
		declines,
		row.account,
	)


def _is_of(attempt: rows.Attempt, card: rows.SavedCard) -> bool:
	"""Whether an attempt was of that card, however often it was entered: networks count by the card itself."""
	if card.fingerprint:
		return attempt.fingerprint == card.fingerprint
	return attempt.card == card.name


# -- the threshold -------------------------------------------------------------------------------------------


def setting(copy: Mapping[str, Any]) -> rows.Setting:
	"""A setting from the copy of it that its account keeps, as JSON reads it."""
	limits = {
		name: Decimal(value) for name in CapLimits.__slots__ if (value := copy.get(name)) not in (None, "")
	}
	seen = copy.get("seen_until")
	return rows.Setting(
		enabled=bool(copy["enabled"]),
		falls_below=Decimal(copy["falls_below"]),
		recharge_up_to=Decimal(copy["recharge_up_to"]),
		listed=copy["cards"],
		paused_because=copy.get("paused_because"),
		caps=CapLimits(**limits),
		anomaly_factor=Decimal(copy.get("anomaly_factor") or 0),
		seen_until=datetime.fromisoformat(seen) if seen else None,
	)


def threshold_view(
	account: rows.Account,
	setting: rows.Setting,
	limits: threshold.Limits,
	reserved: Callable[[], Iterable[rows.Reserved]],
	now: datetime,
	refused: Decimal | None = None,
	by_usage: bool = True,
) -> threshold.View:
	"""What the decision about a recharge rests on.

	`reserved` reads the account's recharges that hold money or may; it is called only where caps can matter.
	"""
	may_charge = setting.enabled and not account.open_recharge and not setting.paused_because
	return threshold.View(
		currency=account.currency,
		balance=account.balance,
		enabled=setting.enabled,
		falls_below=setting.falls_below,
		recharge_up_to=setting.recharge_up_to,
		open_recharge=account.open_recharge,
		held_because=hold_of(account),
		paused_because=setting.paused_because,
		# Listed, not good: a recharge that finds no good card fails, and that is told.
		usable_cards=setting.listed,
		limits=limits,
		caps=_caps(account, setting, reserved, now) if may_charge else (),
		overdraft=account.overdraft_limit,
		by_usage=by_usage,
		refused=refused,
	)


def _caps(
	account: rows.Account,
	setting: rows.Setting,
	reserved: Callable[[], Iterable[rows.Reserved]],
	now: datetime,
) -> tuple[threshold.Cap, ...]:
	own = account_limits(account)
	if not (caps.any_set(setting.caps) or caps.any_set(own)):
		return ()
	found = list(reserved())
	automatic = [row for row in found if row.origin == AUTOMATIC]
	of_setting = caps.caps_at(setting.caps, reservations(automatic), now, account.zone)
	return of_setting + account_caps(account, found, now)


def account_limits(account: rows.Account) -> CapLimits:
	"""The account's own caps."""
	return CapLimits(amount_day=account.cap_amount_day, amount_month=account.cap_amount_month)


def account_caps(
	account: rows.Account, reserved: Iterable[rows.Reserved], now: datetime
) -> tuple[threshold.Cap, ...]:
	"""The account's own caps with what counts against them: every recharge, by hand too."""
	found = caps.caps_at(account_limits(account), reservations(reserved), now, account.zone)
	return tuple(
		threshold.Cap(f"account_{cap.name}", cap.limit, cap.used, cap.is_count, cap.frees_at) for cap in found
	)


def reservations(reserved: Iterable[rows.Reserved]) -> list[Reservation]:
	"""Those of the recharges that hold money, since when, or that may still."""
	return [
		Reservation(row.amount, row.settled_at)
		for row in reserved
		if row.settled_at or row.status in payment.IN_FLIGHT
	]


def spike(
	setting: rows.Setting,
	days: list[Decimal],
	used_since: Callable[[datetime], Decimal],
	now: datetime,
) -> anomaly.Spike | None:
	"""Usage so far above what is usual that auto-recharge pauses. `used_since` reads only where it can matter."""
	if not setting.anomaly_factor or anomaly.usual_day(days) is None:
		return None
	start = anomaly.counted_from(now, setting.seen_until)
	return anomaly.found(used_since(start), days, setting.anomaly_factor, start > now - anomaly.WINDOW)


# -- refunds and disputes ------------------------------------------------------------------------------------


def paid(
	row: rows.Recharge,
	account: rows.Account,
	lot: book.Lot | None,
	unasked: str | None,
	refunds: Iterable[RefundView],
	disputes: Iterable[DisputeView],
	account_disputes: Iterable[tuple[str, str]],
) -> PaymentView:
	"""A recharge with its lot and all claims on it, as refunds and disputes see it. `lot` is as it is now: what has
	expired meanwhile is no longer unused. `account_disputes` are name and status of the account's, of any status."""
	return PaymentView(
		recharge=row.name,
		account=row.account,
		status=row.status,
		amount=row.amount,
		currency=row.currency,
		intent=row.settled_intent,
		lot=lot.name if lot else None,
		bought=lot.original if lot else ZERO,
		unused=lot.remaining if lot else ZERO,
		refunded=row.refunded_amount,
		account_status=account.status,
		held_because=account.held_because,
		unasked=unasked,
		refunds=tuple(refunds),
		disputes=tuple(disputes),
		account_disputes=tuple(
			(name, status) for name, status in account_disputes if status in takeback.CLAIMING
		),
	)


def unasked(row: rows.Recharge | None, attempts: Iterable[str]) -> str | None:
	"""The account's open recharge, if it is automatic and no card was asked for it: it can still be called off.

	`attempts` are the statuses of its attempts.
	"""
	if row is None or row.origin != AUTOMATIC or row.status not in payment.WORKABLE:
		return None
	return None if any(status != payment.SKIPPED for status in attempts) else row.name


# -- reconciling ---------------------------------------------------------------------------------------------


def known(
	row: rows.Recharge,
	account: rows.Account,
	attempts: Iterable[rows.Attempt],
	now: datetime,
	credited: Decimal | None,
	refund_arranged: bool,
	held: bool,
) -> reconcile.Known:
	"""What is known here of the recharge that a payment names, or is said to have paid for.

	`credited` is what the ledger holds for the payment, `refund_arranged` whether a refund of it is written down,
	`held` whether it is written down that it does not fit.
	"""
	return reconcile.Known(
		due=due(row, account, attempts),
		status=row.status,
		settled_intent=row.settled_intent,
		credited=credited,
		refund_arranged=refund_arranged,
		busy=bool(row.lease_until and row.lease_until > now),
		held=held,
	)
