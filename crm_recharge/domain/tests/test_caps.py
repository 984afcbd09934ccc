"""Hard caps: windows, what counts against them, and caps that could never be met."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain import caps
from crm_recharge.domain.caps import CapLimits, Reservation, caps_at
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.threshold import CAPPED, CHARGED, View, decide

NOW = datetime(2026, 3, 15, 10, 30, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
D = Decimal


def at(*arguments, **more):
	return datetime(2026, *arguments, tzinfo=timezone.utc, **more)


def one(limits, reservations, now=NOW):
	(cap,) = caps_at(limits, reservations, now)
	return cap


def test_without_limits_there_are_no_caps():
	assert caps_at(CapLimits(), [Reservation(D(9999))], NOW) == ()
	assert caps_at(CapLimits(D(0), D(0), 0, 0), [Reservation(D(9999))], NOW) == ()


def test_a_day_counts_from_midnight_and_frees_at_the_next():
	day = [Reservation(D(100), at(3, 14, 23, 59, 59)), Reservation(D(20), at(3, 15)), Reservation(D(3), NOW)]
	cap = one(CapLimits(amount_day=D(1000)), day)
	assert (cap.name, cap.limit, cap.used, cap.frees_at) == ("amount_day", 1000, 23, at(3, 16))


def test_a_month_counts_from_its_first_day():
	cap = one(CapLimits(amount_month=D(1000)), [Reservation(D(100), at(2, 28)), Reservation(D(20), at(3, 1))])
	assert (cap.used, cap.frees_at) == (20, at(4, 1))
	december = datetime(2026, 12, 31, 23, tzinfo=timezone.utc)
	cap = one(CapLimits(amount_month=D(1)), [Reservation(D(1), december)], december)
	assert cap.frees_at == datetime(2027, 1, 1, tzinfo=timezone.utc)


def test_an_hour_is_the_last_sixty_minutes_and_frees_when_the_oldest_leaves_it():
	past = [Reservation(D(1), NOW - HOUR), Reservation(D(1), NOW - HOUR / 2), Reservation(D(1), NOW)]
	cap = one(CapLimits(count_hour=3), past)
	assert (cap.used, cap.is_count, cap.frees_at) == (2, True, NOW + HOUR / 2)
	# At that moment there is room again, so that who waits for it does not wait for ever.
	assert one(CapLimits(count_hour=3), past, cap.frees_at).used == 1


@pytest.mark.parametrize(
	"limits",
	[
		CapLimits(amount_day=D(9)),
		CapLimits(amount_month=D(9)),
		CapLimits(count_hour=9),
		CapLimits(count_day=9),
	],
)
def test_what_is_in_flight_counts_in_every_window(limits):
	cap = one(limits, [Reservation(D(5))])
	assert cap.used == (1 if cap.is_count else 5)


def test_what_was_captured_counts_when_it_was_captured_not_when_it_started():
	"""Started before midnight, captured after: it is today's money."""
	assert one(CapLimits(amount_day=D(1000)), [Reservation(D(450), at(3, 15, 0, 0, 1))]).used == 450


def test_days_begin_in_the_accounts_own_zone():
	tokyo = timezone(9 * HOUR)
	now = datetime(2026, 3, 16, 0, 30, tzinfo=tokyo)
	captured = Reservation(D(450), datetime(2026, 3, 15, 23, 59, tzinfo=tokyo))
	assert one(CapLimits(amount_day=D(1000)), [captured], now).used == 0
	assert one(CapLimits(amount_day=D(1000)), [captured], now.astimezone(timezone.utc)).used == 450


NEW_YORK, LORD_HOWE = ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")


def utc(text):
	return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
	("zone", "captured", "now", "used"),
	[
		# In New York summer begins on 2027-03-14 at 07:00 UTC (02:00 becomes 03:00), and ends on 2027-11-07 at 06:00.
		(NEW_YORK, ("2027-03-14 06:50", "2027-03-14 06:55"), "2027-03-14 07:05", 2),
		(NEW_YORK, ("2027-03-14 06:04", "2027-03-14 06:06"), "2027-03-14 07:05", 1),
		(NEW_YORK, ("2027-11-07 04:10", "2027-11-07 05:00"), "2027-11-07 06:05", 0),
		(NEW_YORK, ("2027-11-07 05:10", "2027-11-07 05:50"), "2027-11-07 06:05", 2),
		# On Lord Howe Island the clock moves by half an hour: on 2027-10-02 at 15:30 UTC, and back on 2027-04-03 at 15:00.
		(LORD_HOWE, ("2027-10-02 14:50", "2027-10-02 15:29"), "2027-10-02 15:45", 2),
		(LORD_HOWE, ("2027-04-03 13:50", "2027-04-03 14:55"), "2027-04-03 15:20", 1),
		(ZoneInfo("Asia/Kolkata"), ("2027-03-14 06:04", "2027-03-14 06:06"), "2027-03-14 07:05", 1),
	],
)
def test_an_hour_lasts_sixty_minutes_whatever_the_clock_on_the_wall_does(zone, captured, now, used):
	made = [Reservation(D(50), utc(at).astimezone(zone)) for at in captured]
	cap = one(CapLimits(count_hour=9), made, utc(now).astimezone(zone))
	assert cap.used == used
	if used:
		assert cap.frees_at - min(r.captured_at for r in made[-used:]).astimezone(timezone.utc) == HOUR


def test_a_day_of_25_hours_counts_all_of_them_and_frees_at_its_end():
	first, last = utc("2027-11-07 04:00"), utc("2027-11-08 04:59")
	cap = caps_at(
		CapLimits(amount_day=D(900)), [Reservation(D(5), first), Reservation(D(6), last)], last, NEW_YORK
	)[0]
	assert (cap.used, cap.frees_at) == (11, utc("2027-11-08 05:00"))
	before = [Reservation(D(5), first - timedelta(seconds=1))]
	assert caps_at(CapLimits(amount_day=D(900)), before, last, NEW_YORK)[0].used == 0


def test_a_time_without_its_zone_is_not_counted_with():
	for made, now in (([], datetime(2027, 3, 14)), ([Reservation(D(1), datetime(2027, 3, 14))], NOW)):
		with pytest.raises(ValueError, match="zone"):
			caps_at(CapLimits(count_hour=2), made, now)


def test_all_caps_that_are_set_are_counted_in_order():
	limits = CapLimits(D(1), D(2), 3, 4)
	assert [c.name for c in caps_at(limits, [], NOW)] == [
		"amount_day",
		"amount_month",
		"count_hour",
		"count_day",
	]


amounts = st.integers(1, 500).map(D)


@given(st.lists(amounts, max_size=40), amounts.map(lambda x: x + 500), st.integers(1, 6))
def test_no_order_of_recharges_gets_past_a_cap(wanted, limit, count):
	"""Each is decided with those before it captured or still in flight."""
	limits = CapLimits(amount_day=limit, count_hour=count)
	taken = []
	for number, gap in enumerate(wanted):
		view = View("USD", D(50) - gap, recharge_up_to=D(60), caps=caps_at(limits, taken, NOW))
		decision = decide(view)
		if decision.code == CHARGED:
			taken.append(Reservation(decision.amount, NOW if number % 2 else None))
		else:
			assert decision.code == CAPPED
		assert sum(r.amount for r in taken) <= limit
		assert len(taken) <= count


@pytest.mark.parametrize(
	("limits", "code"),
	[
		(CapLimits(amount_day=D("499.99")), "cap_below_target"),
		(CapLimits(amount_month=D("499.99")), "cap_below_target"),
		(CapLimits(amount_day=D(-1)), "cap_negative"),
		(CapLimits(count_hour=-1), "cap_negative"),
	],
)
def test_caps_under_which_an_empty_account_could_never_be_filled_are_refused(limits, code):
	with pytest.raises(InvalidRequest) as refused:
		caps.check_caps(limits, D(500), "USD")
	assert refused.value.code == code


def test_sound_caps_are_accepted():
	caps.check_caps(CapLimits(D(500), D(500), 1, 1), D(500), "USD")
	caps.check_caps(CapLimits(), D(500), "USD")
	caps.check_caps(CapLimits(D(0), None, 0, 0), D(500), "USD")
