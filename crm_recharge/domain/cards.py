"""Which saved cards may be charged, in which order (A4, A6, A7, B2)."""

from dataclasses import dataclass
from datetime import date, timedelta

from crm_recharge.domain.answers import DeclineClass

ACTIVE, EXPIRED, DECLINED, REMOVED = "Active", "Expired", "Permanently Declined", "Removed"
UNUSABLE = "Unusable"
"""Saved under a customer that the gateway does not have: it has to be entered again."""

# Visa allows 15 reattempts of a declined payment in 30 days, Mastercard 35 (since 2024; 10 a day before);
# the stricter one holds for every card. https://docs.stripe.com/payments/cards/retries
NETWORK_LIMIT = 15
NETWORK_WINDOW = timedelta(days=30)

# Why a card is passed over without a call.
NOT_ACTIVE, PAST_EXPIRY, AT_NETWORK_LIMIT, NOT_A_CARD = (
	"not_active",
	"expired",
	"network_limit",
	"not_a_card",
)


@dataclass(frozen=True, slots=True)
class Card:
	"""A saved card as the machine needs it.

	`account` is the credit account it was saved for; `declines_30d` counts declines by fingerprint in 30 days.
	"""

	name: str
	payment_method: str = ""
	status: str = ACTIVE
	kind: str = "card"
	exp_month: int | None = None
	exp_year: int | None = None
	declines_30d: int = 0
	account: str | None = None


def is_expired(exp_month: int | None, exp_year: int | None, today: date) -> bool:
	"""A card is good until the last day of its month; without a date it is taken as good."""
	if not exp_month or not exp_year:
		return False
	return (today.year, today.month) > (exp_year, exp_month)


def own(cards: tuple[Card, ...], account: str) -> tuple[Card, ...]:
	"""Those of `cards` that were saved for `account`: no other is asked, or judged, for a payment of it."""
	return tuple(card for card in cards if card.account == account)


def why_unusable(card: Card, today: date) -> str | None:
	"""The reason for not calling the gateway with `card`, or None when it may be charged."""
	if card.kind != "card":
		return NOT_A_CARD
	if card.status == EXPIRED or is_expired(card.exp_month, card.exp_year, today):
		return PAST_EXPIRY
	if card.status != ACTIVE:
		return NOT_ACTIVE
	if card.declines_30d >= NETWORK_LIMIT:
		return AT_NETWORK_LIMIT
	return None


def takes_over(entered: Card, kept: Card) -> bool:
	"""Whether the same card, entered again, brings details as good as those that are kept, or newer ones."""
	if kept.status == UNUSABLE:
		return True
	return (entered.exp_year or 0, entered.exp_month or 0) >= (kept.exp_year or 0, kept.exp_month or 0)


def status_after(decline: DeclineClass | None) -> str | None:
	"""The card's new status after a decline of that class, or None when it stays as it is."""
	statuses = {
		DeclineClass.PERMANENT: DECLINED,
		DeclineClass.EXPIRED: EXPIRED,
		DeclineClass.CUSTOMER_GONE: UNUSABLE,
	}
	return statuses.get(decline) if decline else None
