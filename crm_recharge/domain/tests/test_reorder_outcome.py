"""Which purchase came of which reminder."""

from datetime import datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from crm_recharge.domain.reorder.outcome import Bought, Reminded, attribute, days_between

START = datetime(2026, 1, 1)
WINDOW = 30


def reminder(key, day, hour=9, orders=()):
	return Reminded(key, START + timedelta(days=day, hours=hour), frozenset(orders))


def purchase(key, day, hour=12, quantity=1, orders=()):
	return Bought(
		key, START + timedelta(days=day, hours=hour), Decimal(quantity), Decimal(10), frozenset(orders)
	)


def won(reminders, purchases):
	return {key: bought.key for key, bought in attribute(reminders, purchases, WINDOW).items()}


def test_a_table_of_cases():
	for reminders, purchases, expected in (
		([reminder("r", 0)], [purchase("p", 3)], {"r": "p"}),
		# Its own day counts, from the reminder on.
		([reminder("r", 0, 9)], [purchase("p", 0, 8)], {}),
		([reminder("r", 0, 9)], [purchase("p", 0, 9)], {"r": "p"}),
		# The window's last day counts, the next does not.
		([reminder("r", 0)], [purchase("p", WINDOW, 23)], {"r": "p"}),
		([reminder("r", 0)], [purchase("p", WINDOW + 1, 0)], {}),
		# One purchase wins one reminder: the latest before it.
		([reminder("a", 0), reminder("b", 10)], [purchase("p", 12)], {"b": "p"}),
		# One reminder is won once: by the first purchase.
		([reminder("r", 0)], [purchase("p", 5), purchase("q", 6)], {"r": "p"}),
		# The second purchase does not fall back to the reminder before.
		([reminder("a", 0), reminder("b", 10)], [purchase("p", 12), purchase("q", 13)], {"b": "p"}),
		([reminder("a", 0), reminder("b", 10)], [purchase("p", 5), purchase("q", 13)], {"a": "p", "b": "q"}),
		# What came back in full was none, and the next takes its place.
		([reminder("r", 0)], [purchase("p", 5, quantity=0)], {}),
		([reminder("r", 0)], [purchase("p", 5, quantity=-1), purchase("q", 6)], {"r": "q"}),
		# An order by the reminder's link counts for it: after the window, and after a later reminder.
		([reminder("r", 0, orders=["SO-1"])], [purchase("p", 90, orders=["SO-1"])], {"r": "p"}),
		(
			[reminder("a", 0, orders=["SO-1"]), reminder("b", 20)],
			[purchase("p", 22, orders=["SO-1"])],
			{"a": "p"},
		),
		([reminder("r", 0, orders=["SO-1"])], [purchase("p", 90, orders=["SO-2"])], {}),
		([], [purchase("p", 1)], {}),
	):
		assert won(reminders, purchases) == expected, (reminders, purchases)


def test_days_are_those_of_the_calendar():
	assert days_between(reminder("r", 0, 23), purchase("p", 1, 1)) == 1
	assert days_between(reminder("r", 0, 1), purchase("p", 0, 23)) == 0


ORDERS = st.sets(st.sampled_from(["SO-1", "SO-2"]), max_size=1)
MOMENTS = {"day": st.integers(0, 80), "hour": st.integers(0, 23)}
REMINDERS = st.lists(
	st.builds(reminder, st.uuids().map(str), **MOMENTS, orders=ORDERS), max_size=6, unique_by=lambda r: r.key
)
PURCHASES = st.lists(
	st.builds(purchase, st.uuids().map(str), **MOMENTS, quantity=st.integers(-1, 3), orders=ORDERS),
	max_size=8,
)


@given(REMINDERS, PURCHASES, st.randoms(use_true_random=False))
def test_the_order_in_which_things_become_known_does_not_matter(reminders, purchases, random):
	expected = attribute(reminders, purchases, WINDOW)
	random.shuffle(reminders)
	random.shuffle(purchases)
	assert attribute(reminders, purchases, WINDOW) == expected


@given(REMINDERS, PURCHASES)
def test_what_must_hold_of_every_result(reminders, purchases):
	found = attribute(reminders, purchases, WINDOW)
	by_key = {r.key: r for r in reminders}
	assert len({p.key for p in found.values()}) == len(found), "one purchase won two"
	for key, bought in found.items():
		r = by_key[key]
		assert bought.quantity > 0
		if r.orders & bought.orders:
			continue
		assert r.at <= bought.at and days_between(r, bought) <= WINDOW
		assert not any(r.at < other.at <= bought.at for other in reminders), (
			"a later reminder was passed over"
		)


@given(REMINDERS, PURCHASES)
def test_no_reminder_that_could_be_won_is_left(reminders, purchases):
	found = attribute(reminders, purchases, WINDOW)
	for r in reminders:
		following = [o.at for o in reminders if (o.at, o.key) > (r.at, r.key)]
		end = min(following, default=datetime.max)
		own = [
			p
			for p in purchases
			if p.quantity > 0 and not p.orders and r.at <= p.at < end and days_between(r, p) <= WINDOW
		]
		assert bool(own) <= (r.key in found)
