"""Shares of an amount are exact: nothing is lost, nothing stays behind, in neither currency."""

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import voucher
from crm_recharge.domain.voucher import Amounts, Figures, Tax

places = st.sampled_from([0, 2, 3])
cents = st.integers(min_value=1, max_value=10**9)
rates = st.decimals(min_value="0.000040123", max_value="25000", places=9)
tax_rates = st.lists(st.integers(min_value=0, max_value=30), max_size=3)


def money(units: int, decimals: int) -> D:
	return D(units).scaleb(-decimals)


def invoice(units, decimals, percent, rate) -> Figures:
	amount = money(units, decimals)
	whole = 100 + sum(percent)
	return voucher.paid(
		amount, [voucher.rounded(amount * p / whole, decimals) for p in percent], rate, decimals
	)


@given(cents, st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=8), places)
def test_shares_add_up_and_are_within_a_unit_of_the_exact_one(units, weights, decimals):
	amount, weights = money(units, decimals), [D(w) for w in weights]
	parts = voucher.share_out(amount, weights, decimals)
	assert sum(parts) == amount
	unit = D(1).scaleb(-decimals)
	for part, weight in zip(parts, weights, strict=True):
		assert part == voucher.rounded(part, decimals)
		if sum(weights):
			assert abs(part - amount * weight / sum(weights)) < unit


def test_the_largest_remainders_get_what_is_left_the_first_of_equals():
	third = [D("33.34"), D("33.33"), D("33.33")]
	assert voucher.share_out(D(10), third, 2) == [D("3.34"), D("3.33"), D("3.33")]
	assert voucher.share_out(D("0.01"), [D(1)] * 3, 2) == [D("0.01"), D(0), D(0)]
	assert voucher.share_out(D(10), [D(0), D(0)], 2) == [10, 0]
	assert voucher.share_out(D("-0.05"), [D(1), D(1)], 2) == [D("-0.02"), D("-0.03")]


@given(cents, places, tax_rates, rates)
def test_an_invoice_is_what_was_paid_in_both_currencies(units, decimals, percent, rate):
	figures, amount = invoice(units, decimals, percent, rate), money(units, decimals)
	assert figures.own.gross == amount
	assert figures.base.gross == voucher.rounded(amount * rate, decimals)


@given(st.integers(min_value=10, max_value=10**8), places, tax_rates, rates, st.data())
def test_what_is_given_back_in_whole_leaves_nothing(units, decimals, percent, rate, data):
	left = invoice(units, decimals, percent, rate)
	while left.own.gross:
		rest = int(left.own.gross.scaleb(decimals))
		part = money(data.draw(st.integers(min_value=max(1, rest // 3), max_value=rest)), decimals)
		back = voucher.given_back(part, left, decimals)
		assert back.own.gross == part
		assert all(0 <= mine <= theirs for mine, theirs in zip(back.own.parts, left.own.parts, strict=True))
		left = left - back
	assert left == Figures(Amounts(D(0), (D(0),) * len(percent)), Amounts(D(0), (D(0),) * len(percent)))


def test_taxes_in_an_amount():
	one = [Tax(D(19))]
	for gross, tax in (
		("20.01", "3.19"),
		("450", "71.85"),
		("0.07", "0.01"),
		("100.01", "15.97"),
		("0.02", "0"),
	):
		assert voucher.contained(D(gross), one, 2) == [D(tax)]
	assert voucher.contained(D(119), one, 0) == [19]
	# A second on the first's total, another on its amount, and one for the piece.
	assert voucher.contained(D("115.50"), [Tax(D(5)), Tax(D(10), "total", 0)], 2) == [5, D("10.50")]
	assert voucher.contained(D("105.50"), [Tax(D(5)), Tax(D(10), "amount", 0)], 2) == [5, D("0.50")]
	assert voucher.contained(D("12.20"), [Tax(D(2), "quantity"), Tax(D(10), "amount", 0)], 2) == [
		2,
		D("0.20"),
	]
	assert voucher.contained(D(10), [], 2) == []
	with pytest.raises(ValueError):
		voucher.contained(D(1), [Tax(D(2), "quantity")], 2)


@given(cents, places, st.lists(st.integers(min_value=0, max_value=30), max_size=3))
def test_each_tax_is_within_half_a_unit_of_the_exact_one(units, decimals, percent):
	gross = money(units, decimals)
	found = voucher.contained(gross, [Tax(D(p)) for p in percent], decimals)
	for tax, p in zip(found, percent, strict=True):
		assert abs(tax - gross * p / (100 + sum(percent))) <= D("0.5").scaleb(-decimals)


def test_ten_with_nineteen_per_cent_in_three_parts():
	left = voucher.paid(D(10), [D("1.60")], D(1), 2)
	parts = []
	for amount in ("3.33", "3.33", "3.34"):
		back = voucher.given_back(D(amount), left, 2)
		parts.append(back.own.parts)
		assert back.base == back.own
		left = left - back
	assert parts == [(D("2.80"), D("0.53")), (D("2.80"), D("0.53")), (D("2.80"), D("0.54"))]


def test_a_dispute_of_the_rest_ends_the_rest_of_the_liability():
	paid = voucher.paid(D(10), [D("1.60")], D(1), 2)
	nothing = voucher.paid(D(0), [D(0)], D(1), 2)
	assert voucher.no_longer_owed(D(10), paid, nothing, 2) == D("8.40")
	assert voucher.no_longer_owed(D(5), paid, nothing, 2) == D("4.20")
	refunded = Figures(Amounts(D("2.81"), (D("0.52"),)), Amounts(D("2.81"), (D("0.52"),)))
	assert voucher.no_longer_owed(D("6.67"), paid, refunded, 2) == D("5.59")
	# More than is left is never made of it.
	assert voucher.no_longer_owed(D(10), paid, refunded, 2) == D("5.59")


def test_the_rate_of_a_line():
	assert voucher.per_unit(D("108.37"), D(100)) == D("1.0837")
	assert voucher.per_unit(D("0.01"), D(10**9)) == D("0.000000001")
	assert voucher.per_unit(D(0), D(1)) == voucher.per_unit(D(1), D(0)) == 1
