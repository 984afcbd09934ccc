"""What no column keeps is refused before, by name; what it keeps goes through."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain.columns import LARGEST_LONG, LONG_TEXT, SMALL_TEXT_BYTES, TEXTS, Column, kept
from crm_recharge.domain.errors import InvalidRequest

HUGE = 10**5000

GOOD = {
	Column.LINE: ["ünï", "x" * 140, 5, 1.5, Decimal("2"), ""],
	Column.SMALL_TEXT: ["x" * SMALL_TEXT_BYTES, "a\nb"],
	Column.LONG_TEXT: ["x" * LONG_TEXT],
	Column.JSON: ["[]", '{"a": 1}', {"a": 1}, [1]],
	Column.WHOLE: [5, "-5", 3.0, 2**31 - 1],
	Column.LONG: [LARGEST_LONG, "7"],
	Column.STATUS: [0, 1, "2"],
	Column.CHECK: [0, 1, True, "0", "1"],
	Column.NUMBER: [0.1 + 0.2, "12.50", "-.5", Decimal("1e-9"), 10**11, -5],
	Column.DAY: ["2026-02-28", date(2026, 2, 28), "2026-02-28 00:00:00"],
	Column.MOMENT: ["2026-02-28 12:00:00.123456", "2026-02-28", datetime(2026, 2, 28), date(2026, 2, 28)],
	Column.TIME: ["9:30:00", "23:59:59.999999", "7:5", time(1), timedelta(hours=5)],
	Column.ROWS: [[], [{"a": 1}]],
}
BAD = {
	Column.LINE: [
		(["a"], "not_text"),
		({"a": 1}, "not_text"),
		(True, "not_text"),
		(float("nan"), "not_text"),
		(float("inf"), "not_text"),
		(Decimal("sNaN"), "not_text"),
		(HUGE, "not_text"),
		("x" * 141, "text_too_long"),
		("a\x00", "unreadable_text"),
		("\ud800", "unreadable_text"),
	],
	Column.SMALL_TEXT: [("ü" * SMALL_TEXT_BYTES, "text_too_long"), ([], "not_text")],
	Column.LONG_TEXT: [("x" * (LONG_TEXT + 1), "text_too_long"), ("\x07", "unreadable_text")],
	Column.JSON: [("{", "not_json"), ("[" * 100_000, "not_json"), ({"a": b""}, "not_json")],
	Column.WHOLE: [
		("a", "not_whole"),
		(1.5, "not_whole"),
		(2**31, "too_large"),
		(HUGE, "too_large"),
		([], "not_whole"),
	],
	Column.LONG: [(LARGEST_LONG + 1, "too_large"), (True, "not_whole"), ("1e5", "not_whole")],
	Column.STATUS: [(7, "not_one_of"), (-1, "not_one_of"), ("x", "not_whole"), ([], "not_whole")],
	Column.CHECK: [
		("perhaps", "not_a_bool"),
		(2, "not_a_bool"),
		([], "not_a_bool"),
		(float("nan"), "not_a_bool"),
	],
	Column.NUMBER: [
		("1e5", "not_a_number"),
		("1,000", "not_a_number"),
		("9" * 400, "not_a_number"),
		(True, "not_a_number"),
		([1], "not_a_number"),
		(float("nan"), "not_finite"),
		(float("-inf"), "not_finite"),
		("NaN", "not_a_number"),
		(Decimal("NaN"), "not_finite"),
		(10**12, "too_large"),
		(1e300, "too_large"),
		(HUGE, "too_large"),
		(Decimal("1e9999999"), "too_large"),
	],
	Column.DAY: [("2026-02-30", "bad_day"), ("9999-12-31", "bad_day"), (5, "bad_day"), ([], "bad_day")],
	Column.MOMENT: [
		("2026-02-30", "bad_moment"),
		("2026-02-28T12:00:00+01:00", "bad_moment"),
		("0001-01-01", "bad_moment"),
		("soon", "bad_moment"),
		(5, "bad_moment"),
		({}, "bad_moment"),
	],
	Column.TIME: [("25:00", "bad_time_of_day"), ("noon", "bad_time_of_day"), (5, "bad_time_of_day")],
	Column.ROWS: [("abc", "not_rows"), ({"a": 1}, "not_rows"), (5, "not_rows")],
}


def test_every_kind_of_column_is_tried():
	assert set(GOOD) == set(BAD) == set(Column)


@pytest.mark.parametrize(
	("column", "value"), [(column, value) for column in GOOD for value in [None, *GOOD[column]]]
)
def test_what_a_column_keeps_goes_through(column, value):
	found = kept(column, value, "Field", 140)
	assert found == (str(value) if column in TEXTS and value not in (None, "") else value)


@pytest.mark.parametrize(
	("column", "value", "code"),
	[(column, value, code) for column in BAD for value, code in BAD[column]],
	ids=lambda value: str(value)[:20] if not isinstance(value, int) or abs(value) < 10**20 else "huge",
)
def test_what_it_cannot_keep_is_refused_by_name(column, value, code):
	with pytest.raises(InvalidRequest) as refused:
		kept(column, value, "Field", 140)
	assert refused.value.code == code
	assert "Field" in (refused.value.figures.get("field"), refused.value.figures.get("what"))
	json.dumps(refused.value.figures).encode()


@given(
	st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)
def test_no_value_ends_in_anything_but_a_refusal(value):
	for column in Column:
		try:
			kept(column, value, "Field", 140)
		except InvalidRequest:
			pass
