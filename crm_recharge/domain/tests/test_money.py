"""Amounts: what is read, what is refused, and that nothing is rounded unseen."""

from decimal import Context, Decimal, Inexact, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import currencies, money
from crm_recharge.domain.errors import InvalidRequest

nine_places = st.decimals(
	min_value=-money.LARGEST + 1, max_value=money.LARGEST - 1, places=9, allow_nan=False, allow_infinity=False
)


@pytest.mark.parametrize(
	("given_value", "read"),
	[
		("12.50", "12.5"),
		("  7 ", "7"),
		("+3", "3"),
		("-0.25", "-0.25"),
		(".5", "0.5"),
		("5.", "5"),
		(0.1, "0.1"),
		(1e-7, "0.0000001"),
		(19.99, "19.99"),
		(-5, "-5"),
		(Decimal("0.000000001"), "0.000000001"),
		("9999999999.999999999", "9999999999.999999999"),
		("-0", "0"),
		(Decimal("0e-30"), "0"),
	],
)
def test_numbers_are_read_exactly(given_value, read):
	assert money.plain(money.parse(given_value)) == read


@pytest.mark.parametrize(
	("bad", "code"),
	[
		(None, "not_a_number"),
		(True, "not_a_number"),
		(False, "not_a_number"),
		("", "not_a_number"),
		("   ", "not_a_number"),
		("abc", "not_a_number"),
		("1,50", "not_a_number"),
		("1.5 USD", "not_a_number"),
		("$5", "not_a_number"),
		("1e2", "not_a_number"),
		("1E-2", "not_a_number"),
		("-1e999999999999", "not_a_number"),
		("12e", "not_a_number"),
		(".", "not_a_number"),
		("5 000", "not_a_number"),
		("\ud800", "not_a_number"),
		("1_000", "not_a_number"),
		("١٢", "not_a_number"),
		("１２", "not_a_number"),
		("0x10", "not_a_number"),
		("1..2", "not_a_number"),
		("--1", "not_a_number"),
		("1\x00", "not_a_number"),
		("9" * 61, "not_a_number"),
		(b"5", "not_a_number"),
		([], "not_a_number"),
		({"amount": 1}, "not_a_number"),
		(3 + 0j, "not_a_number"),
		("NaN", "not_finite"),
		("sNaN", "not_finite"),
		("-Infinity", "not_finite"),
		("inf", "not_finite"),
		(float("nan"), "not_finite"),
		(123456789.1234567, "too_many_digits"),
		(1.0000000000000002e9, "too_many_digits"),
		(float("-inf"), "not_finite"),
		(Decimal("NaN123"), "not_finite"),
		("10000000000", "too_large"),
		("-10000000000", "too_large"),
		(Decimal("1e9999999"), "too_large"),
		(10**5000, "too_large"),
		(-(10**5000), "too_large"),
		(1e22, "too_large"),
		("0.0000000001", "too_many_decimals"),
		("9999999999.9999999999", "too_many_decimals"),
		(Decimal("1e-400"), "too_many_decimals"),
		(0.1 + 0.2, "too_many_decimals"),
	],
	ids=lambda value: str(value)[:20] if not isinstance(value, int) or abs(value) < 10**10 else "huge",
)
def test_what_is_no_amount_is_refused_by_code(bad, code):
	with pytest.raises(InvalidRequest) as refused:
		money.parse(bad, "price")
	assert refused.value.code == code
	assert refused.value.figures["what"] == "price"
	assert len(str(refused.value.figures["value"])) <= 50


@pytest.mark.parametrize("bad", ["0", "-0", "-0.01", 0, 0.0, "-0.000000000"])
def test_nothing_and_less_is_not_positive(bad):
	with pytest.raises(InvalidRequest) as refused:
		money.parse_positive(bad)
	assert refused.value.code == "not_positive"
	assert refused.value.figures["value"] != "-0"


@given(nine_places)
def test_text_written_is_read_back_as_the_same_number(number):
	assert money.parse(money.plain(number)) == number
	assert money.parse(money.stored(number)) == number
	assert money.parse(number) == number
	assert "E" not in money.plain(number) + money.stored(number)
	assert money.stored(number).partition(".")[2].isdigit()
	assert len(money.stored(number).partition(".")[2]) == 9


@given(st.floats(min_value=-1e9, max_value=1e9).map(lambda x: round(x, 4)))
def test_a_float_is_what_it_looks_like(number):
	assert money.parse(number) == Decimal(repr(number))


@given(nine_places, nine_places)
def test_a_product_is_off_by_less_than_half_a_quantum(quantity, price):
	with localcontext(Context(prec=100, traps=[Inexact])):
		assert abs(money.multiply(quantity, price) - quantity * price) <= money.QUANTUM / 2


def test_tiny_prices_keep_their_digits():
	assert money.multiply(Decimal(1), Decimal("0.0004")) == Decimal("0.0004")
	assert money.multiply(Decimal("184201"), Decimal("0.00000012")) == Decimal("0.022104120")
	assert money.multiply(Decimal("0.00001"), Decimal("0.00005")) == 0  # half a quantum goes to even


@given(nine_places, st.sampled_from(["USD", "JPY", "KWD", "MGA", "ISK", "usd"]))
def test_payable_is_the_next_coin_up_and_its_sister_the_next_down(amount, currency):
	up, down = money.payable(amount, currency), money.payable_at_most(amount, currency)
	coin = Decimal(1).scaleb(-money.charged_places(currency))
	assert down <= amount <= up
	assert up - amount < coin
	assert amount - down < coin
	assert up % coin == 0 == down % coin


@pytest.mark.parametrize(
	("currency", "charged"),
	[("USD", "10.01"), ("JPY", "11"), ("KWD", "10.01"), ("MGA", "11"), ("UGX", "11"), ("kwd", "10.01")],
)
def test_payable_by_currency(currency, charged):
	assert money.payable(Decimal("10.0004"), currency) == Decimal(charged)


@pytest.mark.parametrize(
	("currency", "places", "charged", "sent"),
	[
		("usd", 2, 2, 2),
		("JPY", 0, 0, 0),
		("KWD", 3, 2, 3),
		("MGA", 2, 0, 0),
		("ISK", 0, 0, 2),
		("XYZ", 2, 2, 2),
	],
)
def test_each_kind_of_currency_is_counted_by_the_table(currency, places, charged, sent):
	counted = currencies.of(currency)
	assert (counted.places, counted.charged, counted.sent) == (places, charged, sent)
	assert (money.exponent(currency), money.charged_places(currency)) == (places, charged)


def test_what_is_payable_is_never_finer_than_what_can_be_sent():
	for code, currency in currencies.TABLE.items():
		assert currency.charged <= min(currency.places, currency.sent), code
		least = currency.least
		assert least is None or least == round(least, currency.charged), code


def test_whatever_is_payable_can_be_charged_at_the_gateway():
	minor_units = pytest.importorskip("crm_recharge.gateway.stripe.minor_units")
	for currency in sorted({*currencies.TABLE, "ARS", "TWD"}):
		amount = money.payable(Decimal("100.123456789"), currency)
		assert minor_units.to_minor(amount, currency) > 0, currency


@pytest.mark.parametrize(
	("number", "text"),
	[
		("1.500000000", "1.5"),
		("1E+2", "100"),
		("-0E-9", "0"),
		("-0.10", "-0.1"),
		("0", "0"),
		("1E-9", "0.000000001"),
	],
)
def test_plain_text(number, text):
	assert money.plain(Decimal(number)) == text


def test_stored_text_has_nine_places_and_no_minus_zero():
	assert money.stored(Decimal("-0")) == "0.000000000"
	assert money.stored(Decimal("-1.5")) == "-1.500000000"
	assert money.stored(Decimal("1e3")) == "1000.000000000"
