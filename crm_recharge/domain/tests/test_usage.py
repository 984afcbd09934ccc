"""The form of a request to charge, and what it costs."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from crm_recharge.domain import usage
from crm_recharge.domain.errors import IdempotencyConflict, InvalidRequest
from crm_recharge.domain.usage import Price

NOW = datetime(2026, 3, 1, 12)


def read(**raw):
	return usage.read({"idempotency_key": "k"} | raw, NOW)


def test_plain_signs_are_no_markup():
	assert read(amount=1, note="3 <4 and a <- b").note == "3 <4 and a <- b"


def test_quantity_times_price_is_exact():
	request = read(category="AI Token", quantity="12345")
	assert usage.cost(request, Price(Decimal("0.0004"), "USD"), "USD") == Decimal("4.938")


@pytest.mark.parametrize(
	("raw", "code"),
	[
		({}, "amount_or_quantity"),
		({"amount": 1, "quantity": 1, "category": "SMS"}, "amount_and_quantity"),
		({"quantity": 1}, "quantity_without_category"),
		({"amount": 0}, "not_positive"),
		({"amount": -1}, "not_positive"),
		({"amount": "NaN"}, "not_finite"),
		({"amount": float("inf")}, "not_finite"),
		({"amount": True}, "not_a_number"),
		({"amount": []}, "not_a_number"),
		({"amount": "1e30"}, "not_a_number"),
		({"amount": 10**30}, "too_large"),
		({"amount": "0.0000000001"}, "too_many_decimals"),
		({"amount": 1, "idempotency_key": None}, "missing_key"),
		({"amount": 1, "idempotency_key": "  "}, "missing_key"),
		({"amount": 1, "idempotency_key": "x" * 141}, "key_too_long"),
		({"amount": 1, "idempotency_key": "a\x00b"}, "key_too_long"),
		({"amount": 1, "note": "x" * 1001}, "text_too_long"),
		({"amount": 1, "team": {"a": 1}}, "not_text"),
		({"amount": 1, "note": True}, "not_text"),
		({"amount": 1, "user": 10**200}, "not_text"),
		({"amount": 1, "idempotency_key": True}, "not_text"),
		({"amount": 1, "idempotency_key": ["k"]}, "not_text"),
		({"amount": 1, "note": "a\x00b"}, "unreadable_text"),
		({"amount": 1, "note": "a\x1fb"}, "unreadable_text"),
		({"amount": 1, "team": "\ud83d"}, "unreadable_text"),
		({"amount": 1, "note": "<script>alert(1)</script>"}, "markup"),
		({"amount": 1, "user": "a< img src=x onerror=y>"}, "markup"),
		({"amount": 1, "idempotency_key": "k<b>"}, "markup"),
		({"amount": 1, "colour": "red"}, "unknown_field"),
		({"amount": 1, "occurred_at": NOW + timedelta(hours=1)}, "in_the_future"),
	],
)
def test_refused(raw, code):
	with pytest.raises(InvalidRequest) as caught:
		read(**raw)
	assert caught.value.code == code


@pytest.mark.parametrize(
	("price", "request_", "code"),
	[
		(Price(Decimal(1), "EUR"), {"quantity": 1, "category": "SMS"}, "category_currency"),
		(Price(Decimal(1), "USD", disabled=True), {"quantity": 1, "category": "SMS"}, "category_disabled"),
		(Price(Decimal("0.000000001"), "USD"), {"quantity": "0.1", "category": "SMS"}, "not_positive"),
		(None, {"amount": 1, "currency": "EUR"}, "wrong_currency"),
	],
)
def test_no_price(price, request_, code):
	with pytest.raises(InvalidRequest) as caught:
		usage.cost(read(**request_), price, "USD")
	assert caught.value.code == code


def test_repeat_is_told_from_another_request():
	first = read(amount="1.50", note="a")
	usage.check_repeat(read(amount="1.5", note="a"), first.fingerprint, {})
	for other in ({"amount": "1.51", "note": "a"}, {"amount": "1.5", "note": "b"}, {"amount": "1.5"}):
		with pytest.raises(IdempotencyConflict) as caught:
			usage.check_repeat(read(**other), first.fingerprint, {"amount": "1.5"})
		assert caught.value.figures["first"] == {"amount": "1.5"}
		assert caught.value.figures["now"]["amount"] == other["amount"]
