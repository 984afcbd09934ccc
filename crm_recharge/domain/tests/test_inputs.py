"""Parameters of a request: bound by name, refused by name, each of its kind or not at all."""

import json
from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain.errors import SHOWN, InvalidRequest, shown
from crm_recharge.domain.inputs import (
	LONGEST_TEXT,
	Amount,
	Anything,
	Flag,
	Key,
	Kind,
	Parameters,
	Whole,
	fields,
	kind_of,
	read,
)


def method(
	account: str,
	amount: Amount | None = None,
	key: Key | None = None,
	priority: int = 10,
	days: Whole | None = None,
	sure: bool | int = False,
	really: Flag | None = None,
	cards: list | str | None = None,
	limits: dict | None = None,
	filters: dict | list | str | None = None,
	more: Anything = None,
):
	"""A method with a parameter of each kind."""


PARAMETERS = Parameters.of(method, {"konto": "account"})


def code_of(function) -> tuple[str, dict]:
	with pytest.raises(InvalidRequest) as refused:
		function()
	return refused.value.code, refused.value.figures


def test_a_signature_says_the_kinds():
	kinds = {name: parameter.kind for name, parameter in PARAMETERS.by_name.items()}
	assert kinds == {
		"account": Kind.TEXT,
		"amount": Kind.AMOUNT,
		"key": Kind.KEY,
		"priority": Kind.WHOLE,
		"days": Kind.WHOLE,
		"sure": Kind.FLAG,
		"really": Kind.FLAG,
		"cards": Kind.LIST,
		"limits": Kind.OBJECT,
		"filters": Kind.JSON,
		"more": Kind.ANY,
	}
	assert [p.name for p in PARAMETERS.by_name.values() if p.required] == ["account"]


@pytest.mark.parametrize("annotation", [object, str | float, bytes, str | list | int])
def test_a_type_that_is_no_kind_is_told_when_the_method_is_made(annotation):
	with pytest.raises(TypeError):
		kind_of(annotation)


def test_a_parameter_without_a_type_is_told_when_the_method_is_made():
	with pytest.raises(TypeError):
		Parameters.of(lambda account: account)


def test_a_call_is_bound_by_name_and_in_order():
	assert PARAMETERS.bind(("A",), {"amount": "5", "sure": "true"}) == {
		"account": "A",
		"amount": Decimal(5),
		"sure": True,
	}


def test_what_is_null_is_left_out():
	assert PARAMETERS.bind((), {"account": "A", "amount": None, "priority": None}) == {"account": "A"}
	assert PARAMETERS.bind((), {"account": "A", "priority": "", "cards": "", "sure": ""}) == {"account": "A"}
	# Not an amount: an empty variable in somebody's program must not mean "all of it".
	assert code_of(lambda: PARAMETERS.bind((), {"account": "A", "amount": ""}))[0] == "not_a_number"


def test_an_unknown_parameter_is_refused_by_name_and_the_known_are_told():
	code, figures = code_of(lambda: PARAMETERS.bind((), {"account": "A", "amuont": 1, "🎉\ud800": 2}))
	assert code == "unknown_parameter"
	assert figures["parameters"] == "amuont, 🎉?"
	assert figures["known"].startswith("account, amount, key") and figures["known"].endswith("konto")


def test_many_unknown_parameters_are_told_in_few_words():
	code, figures = code_of(lambda: PARAMETERS.bind((), {f"p{n}": n for n in range(100_000)}))
	assert code == "unknown_parameter" and figures["parameters"].endswith("p29, …")


@pytest.mark.parametrize("call", [{}, {"account": None}, {"amount": 1}])
def test_a_missing_parameter_is_named(call):
	assert code_of(lambda: PARAMETERS.bind((), call)) == ("missing_parameter", {"parameters": "account"})


def test_a_parameter_may_have_a_second_name_but_not_two_values():
	assert PARAMETERS.bind((), {"konto": "A"}) == {"account": "A"}
	for call in ({"konto": "A", "account": "A"}, {"account": "A", "konto": "B"}):
		assert code_of(lambda call=call: PARAMETERS.bind((), call))[0] == "parameter_twice"
	assert code_of(lambda: PARAMETERS.bind(("A",), {"account": "B"}))[0] == "parameter_twice"


@pytest.mark.parametrize(
	("kind", "value", "wanted"),
	[
		(Kind.TEXT, "", ""),
		(Kind.TEXT, "ünï 🎉\n", "ünï 🎉\n"),
		(Kind.KEY, 12, "12"),
		(Kind.KEY, "a", "a"),
		(Kind.ID, "pm_1Aa", "pm_1Aa"),
		(Kind.AMOUNT, "12.50", Decimal("12.5")),
		(Kind.AMOUNT, 0.1, Decimal("0.1")),
		(Kind.WHOLE, " 12 ", 12),
		(Kind.WHOLE, -3.0, -3),
		(Kind.DAY, "2026-02-28", date(2026, 2, 28)),
		(Kind.DAY, "2026-02-28 23:59:59.999999", date(2026, 2, 28)),
		(Kind.DAY, date(2024, 2, 29), date(2024, 2, 29)),
		(Kind.DAY, datetime(2024, 2, 29, 12), date(2024, 2, 29)),
		(Kind.NAMES, '["a", "b"]', ["a", "b"]),
		(Kind.ROWS, '[{"a": 1}]', [{"a": 1}]),
		(Kind.FLAG, 0, False),
		(Kind.FLAG, "True", True),
		(Kind.FLAG, "no", False),
		(Kind.LIST, "[1]", [1]),
		(Kind.LIST, [], []),
		(Kind.OBJECT, '{"a": 1}', {"a": 1}),
		(Kind.JSON, "[]", []),
		(Kind.JSON, {"a": 1}, {"a": 1}),
		(Kind.ANY, b"", b""),
	],
)
def test_each_kind_takes_what_it_means(kind, value, wanted):
	found = read(kind, value, "field")
	assert found == wanted and type(found) is type(wanted)


def test_an_object_is_read_field_by_field():
	kinds = {"limit": Kind.AMOUNT, "count": Kind.WHOLE}
	assert fields({"limit": "5", "count": None}, kinds) == {"limit": Decimal(5), "count": None}
	assert code_of(lambda: fields({"limti": 5}, kinds)) == (
		"unknown_field",
		{"fields": "limti", "known": "limit, count"},
	)
	assert code_of(lambda: fields({"count": 1.5}, kinds))[0] == "not_whole"


DEEP = "[" * 100_000
HUGE = 10**5000
NO_DAYS = (
	"2026-02-30",
	"9999-12-31",
	"0001-01-01",
	"31.12.2026",
	"today",
	20260101,
	["2026-01-01"],
	True,
	"\x00",
)


@pytest.mark.parametrize(
	("kind", "value", "code"),
	[
		(Kind.TEXT, 1, "not_text"),
		(Kind.TEXT, ["a"], "not_text"),
		(Kind.TEXT, True, "not_text"),
		(Kind.TEXT, "a\x00", "unreadable_text"),
		(Kind.TEXT, "\ud800", "unreadable_text"),
		(Kind.TEXT, "x" * (LONGEST_TEXT + 1), "text_too_long"),
		(Kind.TEXT, "x" * 10_000_000, "text_too_long"),
		(Kind.KEY, ["a"], "not_text"),
		(Kind.KEY, True, "not_text"),
		(Kind.KEY, 1.5, "not_text"),
		(Kind.ID, "", "not_an_id"),
		(Kind.ID, "../customers", "not_an_id"),
		(Kind.ID, "pm_1\n", "not_an_id"),
		(Kind.ID, 5, "not_text"),
		(Kind.AMOUNT, [1], "not_a_number"),
		(Kind.AMOUNT, "1e5", "not_a_number"),
		(Kind.AMOUNT, HUGE, "too_large"),
		(Kind.AMOUNT, "9" * 400, "not_a_number"),
		(Kind.WHOLE, "1.5", "not_whole"),
		(Kind.WHOLE, 1.5, "not_whole"),
		(Kind.WHOLE, float("nan"), "not_whole"),
		(Kind.WHOLE, float("inf"), "not_whole"),
		(Kind.WHOLE, True, "not_whole"),
		(Kind.WHOLE, "1e5", "not_whole"),
		(Kind.WHOLE, "٣", "not_whole"),
		(Kind.WHOLE, [1], "not_whole"),
		(Kind.WHOLE, HUGE, "too_large"),
		(Kind.WHOLE, 2**31, "too_large"),
		*((Kind.DAY, value, "bad_day") for value in NO_DAYS),
		(Kind.NAMES, ["a", 1], "not_text"),
		(Kind.NAMES, ["a", "\x00"], "unreadable_text"),
		(Kind.NAMES, {"a": 1}, "not_a_list"),
		(Kind.FLAG, "perhaps", "not_a_bool"),
		(Kind.FLAG, 2, "not_a_bool"),
		(Kind.FLAG, [], "not_a_bool"),
		(Kind.FLAG, float("nan"), "not_a_bool"),
		(Kind.LIST, "[", "not_a_list"),
		(Kind.LIST, DEEP, "not_a_list"),
		(Kind.LIST, "{}", "not_a_list"),
		(Kind.LIST, 5, "not_a_list"),
		(Kind.LIST, "1" * 5000, "not_a_list"),
		(Kind.OBJECT, [], "not_an_object"),
		(Kind.OBJECT, "null", "not_an_object"),
		(Kind.JSON, "5", "not_an_object"),
	],
	ids=lambda value: str(value)[:20] if not isinstance(value, int) or abs(value) < 10**10 else "huge",
)
def test_each_kind_refuses_what_it_does_not_mean(kind, value, code):
	found, figures = code_of(lambda: read(kind, value, "field"))
	assert found == code
	assert "field" in (figures.get("field"), figures.get("what"))
	json.dumps(figures).encode()


@given(
	st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)
)
def test_no_value_ends_in_anything_but_its_kind_or_a_refusal(value):
	for kind in Kind:
		try:
			read(kind, value, "field")
		except InvalidRequest:
			pass


@given(st.text() | st.integers() | st.floats() | st.lists(st.none()) | st.none() | st.booleans())
def test_a_refusal_repeats_a_value_short_and_readable(value):
	text = shown(value)
	assert len(text) <= SHOWN and text.isprintable()
	text.encode()


def test_a_refusal_repeats_numbers_as_they_are():
	assert [shown(1), shown(True), shown(None), shown({"a": 1}), shown(HUGE)] == [
		"1",
		"true",
		"null",
		"{…}",
		"…",
	]
