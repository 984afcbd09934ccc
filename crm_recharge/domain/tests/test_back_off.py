"""What failed is tried again later and later, and is given up where it must be."""

from datetime import timedelta

import pytest

from crm_recharge.domain.back_off import BackOff, doubling, minutes

S, H = timedelta(seconds=1), timedelta(hours=1)


def test_waits_follow_one_another_and_the_last_stays():
	rule = minutes(2, 10, 60)
	assert [rule.wait(n) for n in (1, 2, 3, 4, 100)] == [timedelta(minutes=m) for m in (2, 10, 60, 60, 60)]


def test_no_failure_yet_waits_like_one():
	assert minutes(2, 10).wait(0) == timedelta(minutes=2)


def test_what_is_given_up_waits_no_more():
	rule = minutes(2, 10, tries=3)
	assert [rule.wait(n) for n in (1, 2, 3, 4)] == [timedelta(minutes=2), timedelta(minutes=10), None, None]


def test_doubling_ends_at_the_longest_wait():
	rule = doubling(30 * S, 6 * H, tries=12)
	waits = [rule.wait(n) for n in range(1, 12)]
	assert waits == [min(30 * S * 2**n, 6 * H) for n in range(11)]
	assert rule.wait(12) is None


@pytest.mark.parametrize("waits", [(), (timedelta(0),), (S, -S)])
def test_a_back_off_that_does_not_wait_is_refused(waits):
	with pytest.raises(ValueError):
		BackOff(waits)
