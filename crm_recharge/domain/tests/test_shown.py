"""No style cuts a number's decimals, and what is written can be read again."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain.shown import style_of, written

STYLES = {
	"#,###.##": "1,234,567.89",
	"#.###,##": "1.234.567,89",
	"# ###.##": "1 234 567.89",
	"# ###,##": "1 234 567,89",
	"#'###.##": "1'234'567.89",
	"#, ###.##": "1, 234, 567.89",
	"#,##,###.##": "12,34,567.89",
	"#,###.###": "1,234,567.89",
	"#.########": "1234567.89",
	"#.###": "1.234.567,89",
	"#,###": "1,234,567.89",
	"# ###": "1 234 567,89",
	"#'###": "1'234'567.89",
	"#,##,###": "12,34,567.89",
	"#": "1234567.89",
	"": "1234567.89",
}


@pytest.mark.parametrize(("style", "text"), STYLES.items())
def test_each_style_shows_the_decimals(style, text):
	assert written(D("1234567.89"), 2, style_of(style)) == text


def test_decimals_as_asked_and_more_where_there_are_more():
	style = style_of("#,###")
	assert written(D("0.75"), 2, style) == "0.75"
	assert written(D("0.0004"), 2, style) == "0.0004"
	assert written(D("5"), 2, style) == "5.00"
	assert written(D("5.10"), 3, style) == "5.100"
	assert written(D("1000"), 0, style) == "1,000"
	assert written(D("-1234.5"), 2, style) == "-1,234.50"
	assert written(D("-0"), 2, style) == "0.00"
	assert written(D("1E+4"), 0, style) == "10,000"
	assert written(D("9999999999.999999999"), 2, style) == "9,999,999,999.999999999"


@given(
	st.decimals(min_value=-(10**12), max_value=10**12, places=9),
	st.integers(min_value=0, max_value=9),
	st.sampled_from([style for style in STYLES if style]),
)
def test_it_can_be_read_again(number, places, name):
	style = style_of(name)
	text = written(number, places, style)
	if style.group:
		text = text.replace(style.group, "")
	assert D(text.replace(style.decimal, ".")) == number
