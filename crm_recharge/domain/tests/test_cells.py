"""A text in a spreadsheet stays a text, a number a number."""

import csv as python_csv
import io
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import cells
from crm_recharge.domain.cells import FORMULA, INVISIBLE, cell, row

FORMULAS = [
	"=1+1",
	"+49 (0) 30 123",
	"+1",
	"-5",
	"-2+3+cmd|' /C calc'!A0",
	"@SUM(A1)",
	"\t=1",
	"\r=1",
	"\n=1",
	" =1",
	"\u00a0=1",
	"\ufeff=1",
	"＝1+1",
	"- a list",
	"-",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_would_be_a_formula_stands_behind_an_apostrophe(text):
	assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
	"value",
	[-2.5, Decimal("-1"), 0, None, date(2026, 1, 1), True, "", " ", "a=b", "10 - 3", "'=1", "me@home"],
)
def test_all_else_is_left_alone(value):
	assert cell(value) is value


@given(st.text(max_size=20))
def test_no_text_leads_a_cell_with_a_formula(text):
	seen = cell(text).lstrip(INVISIBLE)
	assert not seen or seen[0] not in FORMULA


def test_a_row_is_its_cells():
	assert row(["=1", -1, "a"]) == ["'=1", -1, "a"]


def written(rows, **how) -> str:
	file = io.StringIO()
	python_csv.writer(file, **how).writerows(rows)
	return file.getvalue()


def read(text, **how) -> list:
	return list(python_csv.reader(io.StringIO(text, newline=""), **how))


@given(
	st.lists(st.lists(st.text(max_size=6) | st.sampled_from(FORMULAS), min_size=2, max_size=3), max_size=3),
	st.sampled_from(",;\t|"),
)
def test_a_csv_file_is_its_cells(rows, delimiter):
	rows = [[text.replace("\x00", "") for text in texts] for texts in rows]
	how = {"delimiter": delimiter, "quoting": python_csv.QUOTE_NONNUMERIC}
	safe = cells.csv(written(rows, **how), delimiter)
	assert read(safe, **how) == [row(texts) for texts in rows]


def test_a_number_below_zero_stays_one_in_a_csv_file():
	quoting = python_csv.QUOTE_NONNUMERIC
	assert cells.csv(written([["-5", -5, -2.5]], quoting=quoting)) == '"\'-5",-5,-2.5\r\n'
	for quoting in (python_csv.QUOTE_MINIMAL, python_csv.QUOTE_ALL):
		text = written([[-5, "=1", "-1,234.50", "-a"]], quoting=quoting)
		safe = cells.csv(text, quoted_are_texts=False)
		assert read(safe) == [["-5", "'=1", "-1,234.50", "'-a"]]
