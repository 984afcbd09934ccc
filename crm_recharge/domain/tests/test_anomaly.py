"""A spike is far above the account's own history, and above any day in it."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest

from crm_recharge.domain.anomaly import counted_from, is_spike, usual_day

FLAT = [Decimal(10)] * 28


@pytest.mark.parametrize(
	("last", "days", "factor", "spike"),
	[
		(51, FLAT, 5, True),
		(50, FLAT, 5, False),
		(1000, FLAT, 0, False),
		(1000, FLAT[:6], 5, False),
		(1000, [Decimal(0)] * 28, 5, False),
		# One busy day a week is this account's habit.
		(100, [Decimal(100) if n % 7 == 0 else Decimal(0) for n in range(28)], 5, False),
		(101, [Decimal(100) if n % 7 == 0 else Decimal(0) for n in range(28)], 5, True),
		# What is older than the window no longer counts.
		(51, [Decimal(1000)] * 10 + FLAT, 5, True),
	],
)
def test_spike(last, days, factor, spike):
	assert is_spike(Decimal(last), days, Decimal(factor)) is spike


def test_usual_day_needs_a_week():
	assert usual_day(FLAT[:6]) is None
	assert usual_day([Decimal(0)] * 6 + [Decimal(7)]) == 1


NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
	("seen_until", "since"),
	[
		(None, NOW - 24 * HOUR),
		(NOW - 30 * HOUR, NOW - 24 * HOUR),
		(NOW - 2 * HOUR, NOW - 2 * HOUR),
		(NOW, NOW),
	],
)
def test_what_a_person_has_looked_at_does_not_count_again(seen_until, since):
	assert counted_from(NOW, seen_until) == since
