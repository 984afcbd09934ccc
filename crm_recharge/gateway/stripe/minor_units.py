"""Amounts as Stripe counts them: integers of a currency's minor unit, by Stripe's own rules.

What Stripe publishes for each currency (https://docs.stripe.com/currencies: zero-decimal, three-decimal, special cases,
minimum and maximum charge amounts) stands in domain/currencies.py.
"""

from decimal import Decimal, localcontext

from crm_recharge.domain import currencies


def normal_currency(currency: str) -> str:
	"""The ISO 4217 code in capitals. Raises ValueError for anything that cannot be one."""
	code = currency.strip().upper() if isinstance(currency, str) else ""
	if len(code) != 3 or not code.isascii() or not code.isalpha():
		raise ValueError(f"Currency must be a three-letter ISO 4217 code such as USD, not {currency!r}")
	return code


def decimals(currency: str) -> int:
	"""How many decimal places an amount of `currency` may have when charged (0, 2; 2 also for KWD and its like,
	whose third decimal Stripe does not take)."""
	return currencies.of(normal_currency(currency)).charged


def to_minor(amount: Decimal, currency: str) -> int:
	"""The integer to send to Stripe for `amount` (major units of `currency`).

	Nothing is rounded. Raises TypeError unless `amount` is a Decimal or int, and ValueError when it is not
	finite, negative, finer than the currency can be charged in, or longer than Stripe takes.
	"""
	if isinstance(amount, bool) or not isinstance(amount, Decimal | int):
		raise TypeError(f"An amount of money must be a Decimal, not {type(amount).__name__}")
	currency = normal_currency(currency)
	amount = Decimal(amount)
	if not amount.is_finite():
		raise ValueError(f"{amount} is not an amount of money")
	if amount < 0:
		raise ValueError(f"An amount to charge or refund cannot be negative, got {amount} {currency}")

	with localcontext() as context:
		# scaling must be exact for any number of digits
		context.prec = len(amount.as_tuple().digits) + abs(amount.as_tuple().exponent) + 4
		places = decimals(currency)
		if amount * 10**places % 1:
			raise ValueError(
				f"{amount} {currency} cannot be charged: {currency} takes "
				+ (f"at most {places} decimal places" if places else "whole amounts only")
				+ " at Stripe. Round it first"
			)
		minor = int(amount.scaleb(currencies.of(currency).sent))

	if minor > maximum_minor(currency):
		raise ValueError(
			f"{amount} {currency} is more than Stripe takes in one payment "
			f"({from_minor(maximum_minor(currency), currency)} {currency})"
		)
	return minor


def from_minor(minor: int, currency: str) -> Decimal:
	"""The amount in major units for an integer that came from Stripe; keeps the currency's decimal places."""
	if isinstance(minor, bool) or not isinstance(minor, int):
		raise TypeError(f"Stripe's amounts are integers, not {type(minor).__name__}")
	return Decimal(minor).scaleb(-currencies.of(normal_currency(currency)).sent)


def maximum_minor(currency: str) -> int:
	"""The greatest integer Stripe takes as an amount of `currency`."""
	return 10 ** currencies.of(normal_currency(currency)).digits - 1


def maximum_charge(currency: str) -> Decimal:
	"""The most one payment may be, in major units."""
	amount = from_minor(maximum_minor(currency), currency)
	return amount.quantize(Decimal(1).scaleb(-decimals(currency)), rounding="ROUND_DOWN")


def minimum_charge(currency: str) -> Decimal | None:
	"""The least Stripe charges in `currency`, in major units, or None where none is published.

	The published minimum is that of the currency the payment is paid out in: a payment that Stripe converts
	must reach the equivalent of the payout currency's minimum, which only Stripe can say.
	"""
	return currencies.of(normal_currency(currency)).least
