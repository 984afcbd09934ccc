"""Amounts: exact decimals with nine places, as MariaDB's decimal(21,9) holds them."""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from crm_recharge.domain import currencies
from crm_recharge.domain.errors import InvalidRequest, shown

PLACES = 9
QUANTUM = Decimal(1).scaleb(-PLACES)
LARGEST = Decimal(10) ** 10
"""No single amount reaches this, so that sums of many rows stay inside decimal(21,9)."""
LARGEST_BALANCE = Decimal(10) ** 12
"""Beyond what decimal(21,9) holds."""
ZERO = Decimal(0)
ENDLESS = ("nan", "snan", "inf", "infinity")
LONGEST_NUMBER = 60
FLOAT_DIGITS = 15
"""Digits a double carries unchanged (C's DBL_DIG): with more, it may no longer be the number that was sent."""

PLAIN = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)")
"""Digits and a point. No exponent: who types 1e5 or 12e has slipped, and no signs of any language."""

# Wide enough for the product of two stored numbers: the default 28 digits would round silently.
EXACT = Context(prec=60)

ZERO_STORED = f"{QUANTUM - QUANTUM:f}"


def exponent(currency: str) -> int:
	"""Decimal places of `currency` (ISO 4217 code)."""
	return currencies.of(currency).places


def charged_places(currency: str) -> int:
	"""Decimal places an amount of `currency` may have when a card is charged."""
	return currencies.of(currency).charged


def parse(value: Any, what: str = "amount") -> Decimal:
	"""Read `value` (int, str, Decimal, or a JSON number) as an exact amount. Of a text, only plain digits: 12.50.

	A float is taken by its shortest text, so that JSON's 0.1 is one tenth and 0.1 + 0.2 is refused for its
	seventeen decimals. Raises InvalidRequest: not_a_number, not_finite, too_many_decimals, too_many_digits,
	too_large.
	"""
	if isinstance(value, bool) or not isinstance(value, int | str | float | Decimal):
		raise InvalidRequest("not_a_number", what=what, value=shown(value))
	# An int goes in as it is: Python refuses to write one of thousands of digits as text.
	text = value if isinstance(value, int | Decimal) else str(value).strip()
	if isinstance(value, str) and not _is_plain(value.strip()):
		raise InvalidRequest("not_a_number", what=what, value=shown(text))
	try:
		number = Decimal(text)
	except InvalidOperation:
		raise InvalidRequest("not_a_number", what=what, value=shown(text)) from None
	if not number.is_finite():
		raise InvalidRequest("not_finite", what=what, value=shown(str(number)))
	# Compared, not computed with: arithmetic on 1e9999999 overflows.
	if number.copy_abs() >= LARGEST:
		raise InvalidRequest("too_large", what=what, value=_digits(number), limit=plain(LARGEST))
	if number != (rounded := quantise(number)):
		raise InvalidRequest("too_many_decimals", what=what, value=_digits(number), places=PLACES)
	if isinstance(value, float) and len(number.normalize(EXACT).as_tuple().digits) > FLOAT_DIGITS:
		raise InvalidRequest("too_many_digits", what=what, value=str(number), digits=FLOAT_DIGITS)
	return rounded


def _digits(number: Decimal) -> str:
	"""`number` for a refusal: its digits, as a person writes them, as far as they can be read."""
	written = abs(number.adjusted()) + len(number.as_tuple().digits) <= 2 * LONGEST_NUMBER
	return shown(f"{number:f}") if written else "…"


def _is_plain(text: str) -> bool:
	return len(text) <= LONGEST_NUMBER and (
		PLAIN.fullmatch(text) is not None or text.lstrip("+-").lower() in ENDLESS
	)


def parse_positive(value: Any, what: str = "amount") -> Decimal:
	"""As `parse`, and greater than zero; else InvalidRequest not_positive."""
	number = parse(value, what)
	if number <= 0:
		raise InvalidRequest("not_positive", what=what, value=plain(number))
	return number


def quantise(number: Decimal) -> Decimal:
	"""`number` with exactly nine places, half to even."""
	return number.quantize(QUANTUM, rounding=ROUND_HALF_EVEN, context=EXACT)


def multiply(quantity: Decimal, unit_price: Decimal) -> Decimal:
	"""`quantity` × `unit_price`, exact to nine places (half to even beyond them)."""
	return quantise(EXACT.multiply(quantity, unit_price))


def payable(amount: Decimal, currency: str) -> Decimal:
	"""The smallest amount a card can be charged in `currency` that is not below `amount`."""
	return _in_coins(amount, currency, ROUND_CEILING)


def payable_at_most(amount: Decimal, currency: str) -> Decimal:
	"""The largest amount a card can be charged in `currency` that is not above `amount`."""
	return _in_coins(amount, currency, ROUND_FLOOR)


def _in_coins(amount: Decimal, currency: str, rounding: str) -> Decimal:
	return amount.quantize(Decimal(1).scaleb(-charged_places(currency)), rounding=rounding, context=EXACT)


def plain(number: Decimal) -> str:
	"""`number` as plain digits without trailing zeros: 1.500000000 is 1.5, 1E+2 is 100, minus zero is 0."""
	text = f"{number or ZERO:f}"
	return text.rstrip("0").rstrip(".") if "." in text else text


def stored(number: Decimal) -> str:
	"""`number` as the ledger stores and hashes it: always nine places, never an exponent or a minus zero."""
	if not number.same_quantum(QUANTUM):
		number = quantise(number)
	return f"{number:f}" if number else ZERO_STORED
