"""Whether a payment at the gateway is the one that a recharge asked for. One rule, for whoever hears of it.

Worker, webhook, return page, sweeper, reconciler and audit believe a capture only if recharge, gateway customer,
currency and amount all agree. One that does not fit is held: it buys nothing, and a person decides about it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from crm_recharge.domain.answers import Answer, DisputeAnswer, RefundAnswer
from crm_recharge.domain.money import plain

RECHARGE, CUSTOMER, CURRENCY, AMOUNT = "recharge", "customer", "currency", "amount"


@dataclass(frozen=True, slots=True)
class Site:
	"""This site as its payments name it. The id stays when the site moves, the name when it is copied."""

	name: str
	id: str = ""


def is_marked(metadata: dict[str, Any]) -> bool:
	"""Whether a payment names any site."""
	return bool(metadata.get("site_id") or metadata.get("site"))


def is_ours(metadata: dict[str, Any], site: Site) -> bool:
	"""Whether a payment names this site: by its id where it has one, else by its name."""
	if metadata.get("site_id"):
		return metadata["site_id"] == site.id
	return bool(site.name) and metadata.get("site") == site.name


def names_another(metadata: dict[str, Any], site: Site) -> bool:
	"""Whether a payment names another site: a copy of this one, or the one this was copied from."""
	return is_marked(metadata) and not is_ours(metadata, site)


@dataclass(frozen=True, slots=True)
class Due:
	"""What a recharge asks for. Amount in `currency`; `account_currency` is what the account is kept in.

	`customers` are the account's at the gateway: the one it has now, and those its attempts were asked with.
	"""

	recharge: str
	customers: tuple[str, ...]
	currency: str
	amount: Decimal
	account_currency: str | None = None


@dataclass(frozen=True, slots=True)
class Misfit:
	"""One thing that does not agree: `what`, what the recharge asks for, and what the payment has."""

	what: str
	asked: str
	found: str


def misfits(due: Due, answer: Answer) -> tuple[Misfit, ...]:
	"""What keeps the capture `answer` from paying for `due`; empty when it fits."""
	named = answer.metadata.get("recharge")
	found = (
		(RECHARGE, due.recharge, named, named == due.recharge),
		(CUSTOMER, ", ".join(due.customers), answer.customer, answer.customer in due.customers),
		(CURRENCY, due.currency, answer.currency, answer.currency == due.currency),
		(AMOUNT, plain(due.amount), _plain(answer.amount), answer.amount == due.amount),
	)
	wrong = [Misfit(what, asked or "–", has or "–") for what, asked, has, agrees in found if not agrees]
	if due.account_currency not in (None, due.currency):
		wrong.append(Misfit(CURRENCY, due.account_currency, due.currency))
	return tuple(wrong)


def may_be_credited(wrong: tuple[Misfit, ...]) -> bool:
	"""Whether a person may accept a capture all the same: it differs in nothing but the amount."""
	return {misfit.what for misfit in wrong} <= {AMOUNT}


def is_the_refund(amount: Decimal, currency: str, answer: RefundAnswer) -> bool:
	"""Whether the gateway's refund is the one a row here asked for."""
	return (answer.amount, answer.currency) == (amount, currency)


def claim_misfits(due: Due, answer: RefundAnswer | DisputeAnswer) -> tuple[Misfit, ...]:
	"""What does not agree between a payment and a refund or dispute of it: the currency, or more than was paid."""
	if answer.currency != due.currency:
		return (Misfit(CURRENCY, due.currency, answer.currency or "–"),)
	if answer.amount is None or answer.amount > due.amount:
		return (Misfit(AMOUNT, f"≤ {plain(due.amount)}", _plain(answer.amount) or "–"),)
	return ()


def _plain(amount: Decimal | None) -> str | None:
	return None if amount is None else plain(amount)
