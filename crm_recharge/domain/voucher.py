"""What a voucher must say, without I/O: the exact parts of an amount, in its own currency and in the company's.

Whoever books part of a payment takes its share of what is left of each part, and whoever books the rest takes all
that is left: nothing stays behind on any account, in neither currency.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from itertools import zip_longest

from crm_recharge.domain.money import EXACT, ZERO

RATE_PLACES = 9
"""As exchange rates are stored."""


def rounded(amount: Decimal, places: int) -> Decimal:
	"""`amount` with `places` decimals, half to even."""
	return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN, context=EXACT)


def share_out(amount: Decimal, weights: Sequence[Decimal], places: int) -> list[Decimal]:
	"""`amount` in parts as `weights` are to each other, each of `places` decimals, together `amount` to the last one.

	What rounding down leaves goes, unit by unit, to the largest remainders, the first of equals. Weights that come
	to nothing leave all of it to the first.
	"""
	whole = sum(weights, ZERO)
	if not whole:
		return [amount, *(ZERO for _ in weights[1:])]
	unit = Decimal(1).scaleb(-places)
	exact = [EXACT.divide(EXACT.multiply(amount, weight), whole) for weight in weights]
	parts = [share.quantize(unit, rounding=ROUND_FLOOR, context=EXACT) for share in exact]
	rest = int((amount - sum(parts, ZERO)) / unit)
	for n in sorted(range(len(parts)), key=lambda n: (parts[n] - exact[n], n))[:rest]:
		parts[n] += unit
	return parts


@dataclass(frozen=True)
class Amounts:
	"""One amount and what it contains: net, and taxes in the order of their rows."""

	net: Decimal = ZERO
	taxes: tuple[Decimal, ...] = ()

	@property
	def parts(self) -> tuple[Decimal, ...]:
		return (self.net, *self.taxes)

	@property
	def gross(self) -> Decimal:
		return sum(self.parts, ZERO)

	def __add__(self, other: "Amounts") -> "Amounts":
		taxes = zip_longest(self.taxes, other.taxes, fillvalue=ZERO)
		return Amounts(self.net + other.net, tuple(sum(pair, ZERO) for pair in taxes))

	def __sub__(self, other: "Amounts") -> "Amounts":
		return self + -other

	def __neg__(self) -> "Amounts":
		return Amounts(-self.net, tuple(-tax for tax in self.taxes))

	def share(self, amount: Decimal, places: int) -> "Amounts":
		"""`amount` out of this one, its parts in proportion."""
		net, *taxes = share_out(amount, self.parts, places)
		return Amounts(net, tuple(taxes))


@dataclass(frozen=True)
class Tax:
	"""A tax that is contained in an amount: `rate` per cent of the net amount, of the amount or the running total of
	an earlier row (`row`, from 0), or as much for each piece."""

	rate: Decimal
	on: str = "net"
	row: int | None = None


def contained(gross: Decimal, taxes: Sequence[Tax], places: int) -> list[Decimal]:
	"""What `gross`, the price of one piece, contains of each tax; each rounded by itself.

	ValueError where the taxes are more than the amount.
	"""
	# Each row is fixed + fraction * net.
	fixed: list[Decimal] = []
	fractions: list[Decimal] = []
	for tax in taxes:
		part, share = _of(tax, fixed, fractions)
		fixed.append(part)
		fractions.append(share)
	net = EXACT.divide(gross - sum(fixed, ZERO), 1 + sum(fractions, ZERO))
	if net < 0:
		raise ValueError("more taxes than amount")
	return [
		rounded(part + EXACT.multiply(share, net), places)
		for part, share in zip(fixed, fractions, strict=True)
	]


def _of(tax: Tax, fixed: list[Decimal], fractions: list[Decimal]) -> tuple[Decimal, Decimal]:
	factor, row = tax.rate.scaleb(-2), tax.row or 0
	match tax.on:
		case "quantity":
			return tax.rate, ZERO
		case "amount":
			return EXACT.multiply(factor, fixed[row]), EXACT.multiply(factor, fractions[row])
		case "total":
			upto = row + 1
			part, share = sum(fixed[:upto], ZERO), 1 + sum(fractions[:upto], ZERO)
			return EXACT.multiply(factor, part), EXACT.multiply(factor, share)
	return ZERO, factor


@dataclass(frozen=True)
class Figures:
	"""The same in two currencies: `own`, the payment's, and `base`, the company's."""

	own: Amounts = field(default_factory=Amounts)
	base: Amounts = field(default_factory=Amounts)

	def __add__(self, other: "Figures") -> "Figures":
		return Figures(self.own + other.own, self.base + other.base)

	def __sub__(self, other: "Figures") -> "Figures":
		return Figures(self.own - other.own, self.base - other.base)

	def __neg__(self) -> "Figures":
		return Figures(-self.own, -self.base)


def paid(amount: Decimal, taxes: Sequence[Decimal], rate: Decimal, places: int) -> Figures:
	"""The figures of an invoice over `amount` that contains `taxes`; `rate` units of the company's currency for one.

	Each tax is what it is, and the net amount what remains, in both currencies: no rounding is left over.
	"""

	def in_base(value: Decimal) -> Decimal:
		return rounded(EXACT.multiply(value, rate), places)

	own = Amounts(amount - sum(taxes, ZERO), tuple(taxes))
	base_taxes = tuple(in_base(tax) for tax in taxes)
	return Figures(own, Amounts(in_base(amount) - sum(base_taxes, ZERO), base_taxes))


def given_back(amount: Decimal, left: Figures, places: int) -> Figures:
	"""The figures of giving `amount` back of an invoice of which `left` is left; all of it is exactly that."""
	if amount == left.own.gross:
		return left
	base = rounded(EXACT.divide(EXACT.multiply(left.base.gross, amount), left.own.gross), places)
	return Figures(left.own.share(amount, places), left.base.share(base, places))


def no_longer_owed(taken: Decimal, invoice: Figures, others: Figures, places: int) -> Decimal:
	"""What of the liability for an invoice's credits ends with `taken` of them, in the company's currency.

	`others` is what refunds and other disputes have taken of the invoice. Whoever takes the rest takes all of it.
	"""
	if taken + others.own.gross >= invoice.own.gross:
		return max(ZERO, invoice.base.net - others.base.net)
	return rounded(EXACT.divide(EXACT.multiply(taken, invoice.base.net), invoice.own.gross), places)


def per_unit(base: Decimal, own: Decimal) -> Decimal:
	"""The exchange rate that makes `base` of `own`, as exact as rates are stored; 1 where there is nothing."""
	if not own or not base:
		return Decimal(1)
	return rounded(EXACT.divide(base, own), RATE_PLACES) or Decimal(1).scaleb(-RATE_PLACES)
