"""The hash chain: every change of a row shows, and no row can pass for another."""

from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import chain
from crm_recharge.domain.book import Entry
from crm_recharge.domain.errors import InvalidRequest

ROW = Entry(
	name="E2",
	sequence=2,
	entry_type="Usage",
	amount=Decimal("-1.5"),
	balance_after=Decimal("98.5"),
	posted_at=datetime(2026, 3, 1, 12, 0, 0, 1),
	occurred_at=datetime(2026, 3, 1, 11),
	request_key="key",
	request_hash="content",
	lots=[("L1", Decimal("-1.5"))],
	category="SMS",
	quantity=Decimal(30),
	unit_price=Decimal("0.05"),
	team="support",
	user="u-1",
	note="note",
	reference_type="Recharge",
	reference_name="R1",
	gateway_reference="pi_1",
	previous_hash="before",
)

# What a row may carry without being part of its proof: how it was asked for, and the figures it was made from.
UNHASHED = {"hash", "request_hash", "idempotency_key", "unit_price", "reference_type"}


def other(value):
	if isinstance(value, Decimal | int):
		return value + 1
	if isinstance(value, datetime):
		return value + timedelta(microseconds=1)
	if isinstance(value, list):
		return [("L2", Decimal("-1.5"))]
	return f"{value}!"


@pytest.mark.parametrize("name", sorted({f.name for f in fields(Entry) if f.init} - UNHASHED))
def test_a_change_of_any_proved_field_changes_the_hash(name):
	changed = replace(ROW, **{name: other(getattr(ROW, name))})
	assert chain.link("A", changed) != chain.link("A", ROW)


@pytest.mark.parametrize("name", sorted(UNHASHED))
def test_the_other_fields_do_not(name):
	assert chain.link("A", replace(ROW, **{name: other(getattr(ROW, name) or "")})) == chain.link("A", ROW)


def test_the_account_is_part_of_it():
	assert chain.link("A", ROW) != chain.link("B", ROW)


def test_the_same_number_written_otherwise_is_the_same_row():
	same = replace(
		ROW, amount=Decimal("-1.500000000"), quantity=Decimal("3E+1"), balance_after=Decimal("98.50")
	)
	assert chain.link("A", same) == chain.link("A", ROW)


def test_a_missing_text_and_an_empty_one_are_the_same_as_a_column_makes_them():
	assert chain.link("A", replace(ROW, note=None)) == chain.link("A", replace(ROW, note=""))
	assert chain.link("A", replace(ROW, quantity=None)) == chain.link("A", replace(ROW, quantity=Decimal(0)))


@pytest.mark.parametrize("name", ["note", "team", "user", "category", "reference_name", "gateway_reference"])
def test_a_text_that_holds_the_separator_is_refused(name):
	"""note "a␟b" with user "" would have the hash of note "a" with the next field "b"."""
	with pytest.raises(InvalidRequest) as refused:
		chain.link("A", replace(ROW, **{name: f"a{chain.SEPARATOR}b"}))
	assert refused.value.code == "separator_in_text"


words = st.text("ab ␟|é\n", max_size=4)


@given(words, words, words, words)
def test_neighbouring_fields_do_not_run_together(a, b, c, d):
	first, second = replace(ROW, team=a, user=b), replace(ROW, team=c, user=d)
	assert (chain.link("A", first) == chain.link("A", second)) == ((a, b) == (c, d))


def test_request_keys_tell_accounts_types_and_letter_case_apart():
	keys = {
		chain.request_key(account, kind, key)
		for account in ("A", "a")
		for kind in ("Usage", "Recharge")
		for key in ("k", "K", "k ")
	}
	assert len(keys) == 12
	assert {len(key) for key in keys} == {40}


def test_request_hashes_tell_contents_apart():
	assert chain.request_hash("1", None) == chain.request_hash("1", "")
	assert chain.request_hash("1", "2") != chain.request_hash("12", "")
	assert chain.request_hash("1", "2") != chain.request_hash("2", "1")


def test_moments_keep_microseconds_even_when_they_are_zero():
	assert chain.moment(datetime(2026, 3, 1)) == "2026-03-01 00:00:00.000000"
	assert chain.moment(datetime(2026, 3, 1, 1, 2, 3, 4, timezone.utc)) == "2026-03-01 01:02:03.000004+00:00"
