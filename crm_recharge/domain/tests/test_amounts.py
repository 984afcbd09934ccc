"""What people type is read as it is written for them; what may mean two amounts is refused with both."""

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain.amounts import read
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.money import LARGEST
from crm_recharge.domain.shown import style_of, written

CASES = json.loads((Path(__file__).parent / "amounts.json").read_text())
# Those of Frappe's settings.
FORMATS = sorted({case[0] for case in CASES["write"]})
SIGNS = ("$", "USD")


def outcome(number_format: str, places: int, text):
	try:
		return read(text, style_of(number_format), places, signs=SIGNS)
	except InvalidRequest as refused:
		return refused.figures.get("readings") or refused.code


@pytest.mark.parametrize("number_format, places, text, expected", CASES["read"])
def test_typed_amounts_are_read_in_the_style_of_the_page_or_refused(number_format, places, text, expected):
	found = outcome(number_format, places, text)
	is_digits = isinstance(expected, str) and not expected[-1:].isalpha()
	assert found == (Decimal(expected) if is_digits else expected)


@pytest.mark.parametrize("number_format, places, digits, expected", CASES["write"])
def test_amounts_are_written_with_all_their_digits(number_format, places, digits, expected):
	assert written(Decimal(digits), places, style_of(number_format)) == expected


AMOUNTS = st.decimals(-LARGEST + 1, LARGEST - 1, places=9, allow_nan=False, allow_infinity=False)


@given(AMOUNTS, st.sampled_from(FORMATS), st.sampled_from((0, 2, 3)))
def test_what_is_written_is_read_as_the_same_amount(amount, number_format, places):
	style = style_of(number_format)
	assert read(written(amount, places, style), style, places) == amount


@given(
	st.integers(-(10**9), 10**9),
	st.integers(0, 4),
	st.sampled_from(FORMATS),
	st.sampled_from((0, 2, 3)),
)
def test_few_decimals_too(digits, shift, number_format, places):
	amount = Decimal(digits).scaleb(-shift)
	style = style_of(number_format)
	assert read(f"$ {written(amount, places, style)}", style, places, signs=SIGNS) == amount


def test_a_number_is_taken_as_it_is():
	assert read(25, style_of("#.###,##")) == 25
	assert read(12.5, style_of("#.###,##")) == Decimal("12.5")
	for value in (True, [5], {}):
		with pytest.raises(InvalidRequest) as refused:
			read(value)
		assert refused.value.code == "not_a_number"
