"""Amounts as Stripe counts them: integers of a currency's minor unit, by Stripe's own rules.

Source of every table: https://docs.stripe.com/currencies (zero-decimal, three-decimal, special cases,
minimum and maximum charge amounts).
"""

from decimal import Decimal, localcontext

ZERO_DECIMAL = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
"""Currencies without a minor unit: ¥500 is sent as 500."""

THREE_DECIMAL = frozenset("BHD JOD KWD OMR TND".split())
"""A thousand minor units to one, but the last digit sent must be 0."""

WHOLE_SENT_AS_HUNDREDTHS = frozenset("ISK UGX".split())
"""No minor unit any more, yet sent as if there were two decimals: 5 ISK is sent as 500."""

_MINIMUM = {
	currency: Decimal(amount)
	for currency, amount in (
		pair.split(":")
		for pair in (
			"USD:0.50 AED:2.00 AUD:0.50 BGN:1.00 BRL:0.50 CAD:0.50 CHF:0.50 CZK:15.00 DKK:2.50 EUR:0.50 "
			"GBP:0.30 HKD:4.00 HUF:175.00 INR:0.50 JPY:50 MXN:10 MYR:2 NOK:3.00 NZD:0.50 PLN:2.00 RON:2.00 "
			"SEK:3.00 SGD:0.50 THB:10"
		).split()
	)
}

_MOST_DIGITS = {"IDR": 12, "INR": 9, "LBP": 11, "COP": 10, "HUF": 10, "JPY": 10}
"""Digits of the integer sent, where more than eight are allowed."""


def normal_currency(currency: str) -> str:
	"""The ISO 4217 code in capitals. Raises ValueError for anything that cannot be one."""
	code = currency.strip().upper() if isinstance(currency, str) else ""
	if len(code) != 3 or not code.isascii() or not code.isalpha():
		raise ValueError(f"Currency must be a three-letter ISO 4217 code such as USD, not {currency!r}")
	return code


def decimals(currency: str) -> int:
	"""How many decimal places an amount of `currency` may have when charged (0, 2; 2 also for KWD and its like,
	whose third decimal Stripe does not take)."""
	currency = normal_currency(currency)
	return 0 if currency in ZERO_DECIMAL or currency in WHOLE_SENT_AS_HUNDREDTHS else 2


def _exponent(currency: str) -> int:
	if currency in ZERO_DECIMAL:
		return 0
	return 3 if currency in THREE_DECIMAL else 2


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
		minor = int(amount.scaleb(_exponent(currency)))

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
	return Decimal(minor).scaleb(-_exponent(normal_currency(currency)))


def maximum_minor(currency: str) -> int:
	"""The greatest integer Stripe takes as an amount of `currency`."""
	return 10 ** _MOST_DIGITS.get(normal_currency(currency), 8) - 1


def maximum_charge(currency: str) -> Decimal:
	"""The most one payment may be, in major units."""
	amount = from_minor(maximum_minor(currency), currency)
	return amount.quantize(Decimal(1).scaleb(-decimals(currency)), rounding="ROUND_DOWN")


def minimum_charge(currency: str) -> Decimal | None:
	"""The least Stripe charges in `currency`, in major units, or None where none is published.

	The published minimum is that of the currency the payment is paid out in: a payment that Stripe converts
	must reach the equivalent of the payout currency's minimum, which only Stripe can say.
	"""
	return _MINIMUM.get(normal_currency(currency))


def is_chargeable(amount: Decimal, currency: str) -> bool:
	"""Whether `amount` can be sent to Stripe as one payment: fine enough, not too small, not too large."""
	try:
		minor = to_minor(amount, currency)
	except ValueError:
		return False
	return minor > 0 and Decimal(amount) >= (minimum_charge(currency) or 0)


def round_to_chargeable(amount: Decimal, currency: str, rounding: str = "ROUND_UP") -> Decimal:
	"""`amount` at the precision the currency can be charged in (`rounding` as in the decimal module)."""
	with localcontext() as context:
		context.prec = len(amount.as_tuple().digits) + 12
		return amount.quantize(Decimal(1).scaleb(-decimals(currency)), rounding=rounding)
