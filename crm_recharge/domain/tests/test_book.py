"""One account's book: whatever happens in whatever order, balance, lots and ledger agree."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_recharge.domain import book, chain
from crm_recharge.domain.book import Book
from crm_recharge.domain.errors import AccountClosed, InsufficientCredits, InvalidRequest

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
D = Decimal


def in_usage_order(lots):
	"""As usage draws from them: priority, expiry, age."""
	return sorted(lots, key=lambda lot: lot.order)


def new_book(**more):
	counter = iter(range(10**9))
	empty = {"balance": D(0), "sequence": 0, "last_hash": chain.GENESIS, "lots": {}}
	return Book(account="A", currency="USD", new_name=lambda: f"N{next(counter):06}", **empty | more)


def key(number=0):
	return {"request_key": f"key-{number}", "request_hash": ""}


def holding(*amounts, **more):
	"""A book with one lot per amount."""
	account = new_book(**more)
	for n, amount in enumerate(amounts):
		account.add(book.RECHARGE, D(amount), NOON, **key(n))
	return account


def remaining(account):
	return [lot.remaining for lot in in_usage_order(account.lots.values())]


# -- usage -------------------------------------------------------------------------------------------------


def test_usage_draws_the_oldest_lot_first_and_says_so():
	account = holding(10, 20)
	first, second = in_usage_order(account.lots.values())
	entry = account.use(D("12.5"), NOON, **key(9))
	assert (entry.amount, entry.balance_after, account.balance) == (D("-12.5"), D("17.5"), D("17.5"))
	assert entry.lots == [(first.name, D(-10)), (second.name, D("-2.5"))]
	assert entry.lots_json == f'[["{first.name}","-10"],["{second.name}","-2.5"]]'
	assert remaining(account) == [0, D("17.5")]


def test_usage_order_is_priority_then_expiry_then_age():
	account = new_book()
	wanted = [
		("urgent", {"priority": 1}),
		("soon", {"expires_at": NOON + HOUR}),
		("soon, younger", {"expires_at": NOON + HOUR}),
		("later", {"expires_at": NOON + 2 * HOUR}),
		("never", {}),
		("last", {"priority": 99, "expires_at": NOON + HOUR}),
	]
	names = {}
	for label in ("last", "never", "later", "soon", "soon, younger", "urgent"):
		entry = account.add(book.GRANT, D(1), NOON, **dict(wanted)[label], **key(label))
		names[entry.lots[0][0]] = label
	drawn = [names[account.use(D(1), NOON, **key(n)).lots[0][0]] for n in range(6)]
	assert drawn == [label for label, _ in wanted]


def test_the_last_credit_can_be_used_but_not_one_more():
	account = holding(10)
	account.use(D(10), NOON, **key(1))
	with pytest.raises(InsufficientCredits) as refused:
		account.use(D("0.000000001"), NOON, **key(2))
	assert refused.value.figures == {
		"account": "A",
		"balance": "0",
		"amount": "0.000000001",
		"shortfall": "0.000000001",
		"currency": "USD",
	}


def test_a_refused_usage_changes_nothing():
	account = holding(10)
	before = (account.balance, account.sequence, account.last_hash, remaining(account), len(account.entries))
	with pytest.raises(InsufficientCredits) as refused:
		account.use(D(11), NOON, **key(1))
	assert refused.value.figures["shortfall"] == "1"
	assert (
		account.balance,
		account.sequence,
		account.last_hash,
		remaining(account),
		len(account.entries),
	) == before


def test_an_overdraft_goes_below_zero_up_to_its_limit():
	account = holding(10, overdraft_limit=D(5))
	account.use(D(14), NOON, **key(1))
	assert account.balance == -4
	with pytest.raises(InsufficientCredits) as refused:
		account.use(D(2), NOON, **key(2))
	assert refused.value.figures["shortfall"] == "1"
	account.use(D(1), NOON, **key(3))
	assert (account.balance, account.breaches()) == (-5, [])


@pytest.mark.parametrize("amount", [0, -1])
@pytest.mark.parametrize("movement", ["use", "add", "take"])
def test_nothing_and_less_is_refused(movement, amount):
	account = holding(10)
	arguments = (D(amount), NOON) if movement == "use" else (book.ADJUSTMENT, D(amount), NOON)
	with pytest.raises(InvalidRequest):
		getattr(account, movement)(*arguments, **key(1))
	assert account.balance == 10


def test_a_disabled_account_takes_no_usage_but_still_gets_the_money_it_paid():
	account = holding(10, status=book.DISABLED)
	with pytest.raises(AccountClosed):
		account.use(D(1), NOON, **key(1))
	account.add(book.RECHARGE, D(5), NOON, **key(2))
	assert account.balance == 15


# -- credits and debt --------------------------------------------------------------------------------------


def test_credits_pay_a_debt_first():
	account = new_book(balance=D(-30))
	entry = account.add(book.RECHARGE, D(100), NOON, paid_value=D(100), **key(1))
	lot = account.lots[entry.lots[0][0]]
	assert (account.balance, lot.original, lot.remaining, lot.paid_value) == (70, 100, 70, 100)
	assert (lot.source_key, lot.is_new) == ("key-1", True)


def test_credits_that_do_not_cover_the_debt_leave_an_empty_lot():
	account = new_book(balance=D(-30))
	entry = account.add(book.RECHARGE, D(20), NOON, **key(1))
	assert (account.balance, remaining(account)) == (-10, [0])
	assert entry.lots == [(next(iter(account.lots)), D(0))]


def test_taking_a_payment_back_takes_its_own_credits_first_then_others_then_makes_debt():
	account = holding(100, 50)
	first, second = in_usage_order(account.lots.values())
	account.use(D(60), NOON, **key(5))
	account.take(book.CHARGEBACK, D(100), NOON, first, **key(6))
	assert (first.remaining, second.remaining, first.returned, account.balance) == (0, 0, 100, -10)
	account = holding(100, 50)
	first, second = in_usage_order(account.lots.values())
	account.take(book.CHARGEBACK, D(50), NOON, second, **key(6))
	assert (first.remaining, second.remaining) == (100, 0)


def test_a_won_dispute_gives_back_exactly_what_was_taken():
	account = holding(100)
	lot = account.head()
	account.use(D(60), NOON, **key(5))
	account.take(book.CHARGEBACK, D(100), NOON, lot, **key(6))
	assert (account.balance, lot.remaining) == (-60, 0)
	account.reinstate(lot, D(100), NOON, **key(7))
	assert (account.balance, lot.remaining, lot.returned) == (40, 40, 0)


@pytest.mark.parametrize("amount", ["100.01", "0", "-1"])
def test_no_more_is_reinstated_than_was_taken(amount):
	account = holding(100)
	lot = account.head()
	account.take(book.CHARGEBACK, D(100), NOON, lot, **key(6))
	with pytest.raises(InvalidRequest) as refused:
		account.reinstate(lot, D(amount), NOON, **key(7))
	assert refused.value.code == "more_than_taken"
	account.reinstate(lot, D(100), NOON, **key(7))
	with pytest.raises(InvalidRequest):
		account.reinstate(lot, D("0.01"), NOON, **key(8))
	assert account.balance == 100


# -- reversals ---------------------------------------------------------------------------------------------


def test_reversed_usage_returns_to_the_lots_it_came_from():
	account = holding(10, 20)
	used = account.use(D(15), NOON, **key(5))
	entry = account.reverse(used, NOON, **key(6))
	assert (entry.amount, account.balance, remaining(account)) == (15, 30, [10, 20])


def test_reversed_usage_that_was_debt_only_pays_the_debt():
	account = holding(10, overdraft_limit=D(20))
	used = account.use(D(25), NOON, **key(5))
	entry = account.reverse(used, NOON, **key(6))
	assert (account.balance, remaining(account), entry.lots) == (10, [10], [(entry.lots[0][0], D(10))])


def test_reversed_usage_of_a_payment_that_was_taken_back_goes_elsewhere():
	"""Back in its lot it could be refunded a second time."""
	account = holding(100, 100)
	first = account.head()
	used = account.use(D(60), NOON, **key(5))
	account.take(book.REFUND, D(100), NOON, first, **key(6))
	account.reverse(used, NOON, **key(7))
	assert (account.balance, first.remaining, first.room) == (100, 0, 0)
	assert account.breaches() == []


def test_a_closed_lot_takes_nothing_in():
	account = holding(100)
	lot = account.head()
	used = account.use(D(60), NOON, **key(5))
	lot.closed = True
	account.reverse(used, NOON, **key(6))
	assert (lot.remaining, account.balance, len(account.lots)) == (40, 100, 2)


def test_reversed_usage_of_a_lot_that_is_gone_from_the_book_makes_a_new_one():
	account = holding(10)
	used = account.use(D(10), NOON, **key(5))
	account.lots.clear()
	account.reverse(used, NOON, **key(6))
	assert (account.balance, remaining(account)) == (10, [10])


def test_a_reversed_grant_takes_its_own_lot_first():
	account = holding(10)
	grant = account.add(book.GRANT, D(5), NOON, **key(5))
	lot = account.lots[grant.lots[0][0]]
	account.use(D(2), NOON, **key(6))
	account.reverse(grant, NOON, **key(7))
	assert (account.balance, lot.remaining, lot.returned, remaining(account)) == (8, 0, 5, [8, 0])


def test_a_reversed_grant_that_is_used_up_becomes_debt():
	account = new_book()
	grant = account.add(book.GRANT, D(5), NOON, **key(5))
	account.use(D(5), NOON, **key(6))
	account.reverse(grant, NOON, **key(7))
	assert (account.balance, account.breaches()) == (-5, [])


def test_of_a_credit_that_was_taken_back_in_part_only_the_rest_is_reversed():
	account = new_book()
	grant = account.add(book.GRANT, D(100), NOON, **key(5))
	account.take(book.CHARGEBACK, D(30), NOON, account.head(), **key(6))
	assert account.reverse(grant, NOON, **key(7)).amount == -70
	with pytest.raises(InvalidRequest) as refused:
		account.reverse(grant, NOON, **key(8))
	assert (refused.value.code, account.balance) == ("nothing_to_reverse", 0)


# -- expiry ------------------------------------------------------------------------------------------------


def test_lots_expire_at_their_moment_and_not_before():
	account = new_book()
	account.add(book.GRANT, D(5), NOON, expires_at=NOON + HOUR, **key(1))
	account.add(book.GRANT, D(7), NOON, **key(2))
	assert account.expire_due(NOON + HOUR - timedelta(microseconds=1), lambda lot: key(lot.name)) == []
	(expired,) = account.expire_due(NOON + HOUR, lambda lot: key(lot.name))
	assert (expired.entry_type, expired.amount, account.balance) == (book.EXPIRY, -5, 7)
	assert account.expire_due(NOON + HOUR, lambda lot: key(lot.name)) == []


# -- proof -------------------------------------------------------------------------------------------------


def test_breaches_tell_what_is_wrong():
	account = holding(10)
	account.balance += 1
	assert account.breaches() == ["lots hold 10.000000000, the balance is 11.000000000"]
	account.balance -= 1
	lot = account.head()
	lot.remaining = D(-1)
	assert account.breaches()[0] == f"lot {lot.name} holds -1.000000000"


def test_a_lot_can_never_fall_below_zero():
	lot = holding(10).head()
	with pytest.raises(AssertionError):
		lot.add(D(-11))


# -- any order of any movements ----------------------------------------------------------------------------


amounts = st.decimals(min_value=D("0.000000001"), max_value=1000, places=9)
movements = st.lists(
	st.tuples(
		st.sampled_from(
			["use", "add", "grant", "take", "take any", "reinstate", "reverse", "close", "expire"]
		),
		amounts,
		st.integers(0, 10**6),
	),
	max_size=30,
)


class Play:
	"""Plays drawn movements on a book and checks, after each, what must always hold."""

	def __init__(self, overdraft):
		self.book = new_book(overdraft_limit=overdraft)
		self.now = NOON
		self.reversed = set()

	def step(self, number, kind, amount, choice):
		self.now += timedelta(minutes=10)
		before, sequence = self.book.balance, len(self.book.entries)
		details = key(number)
		expected_draw = in_usage_order(x for x in self.book.lots.values() if x.remaining > 0)
		lots = list(self.book.lots.values())
		lot = lots[choice % len(lots)] if lots else None
		match kind:
			case "use":
				try:
					entry = self.book.use(amount, self.now, **details)
				except InsufficientCredits:
					assert amount > before + self.book.overdraft_limit
				else:
					self.check_draw_order(entry, expected_draw)
					assert self.book.balance >= -self.book.overdraft_limit or before < 0
			case "add":
				self.book.add(book.RECHARGE, amount, self.now, paid_value=amount, **details)
			case "grant":
				expires_at = self.now + timedelta(minutes=choice % 120) if choice % 3 else None
				self.book.add(
					book.GRANT, amount, self.now, priority=choice % 4, expires_at=expires_at, **details
				)
			case "take any":
				self.book.take(book.ADJUSTMENT, amount, self.now, **details)
			case "take" if lot and lot.returned < lot.original:
				self.book.take(
					book.REFUND, min(amount, lot.original - lot.returned), self.now, lot, **details
				)
			case "reinstate" if lot and lot.returned > 0:
				self.book.reinstate(lot, min(amount, lot.returned), self.now, **details)
			case "reverse":
				self.reverse(choice, details)
			case "close" if lot:
				lot.closed = True
			case "expire":
				self.book.expire_due(self.now, lambda due: key(f"{number}-{due.name}"))
		self.check(before, self.book.entries[sequence:])

	def reverse(self, choice, details):
		names = (book.USAGE, book.GRANT, book.ADJUSTMENT)
		open_entries = [e for e in self.book.entries if e.entry_type in names and e.name not in self.reversed]
		if open_entries:
			entry = open_entries[choice % len(open_entries)]
			self.reversed.add(entry.name)
			try:
				self.book.reverse(entry, self.now, **details)
			except InvalidRequest:
				lot = self.book.lots[entry.lots[0][0]]
				assert entry.amount > 0
				assert lot.returned == lot.original

	def check_draw_order(self, entry, expected):
		drawn = [name for name, _ in entry.lots]
		assert drawn == [lot.name for lot in expected[: len(drawn)]]
		for name in drawn[:-1]:
			assert self.book.lots[name].remaining == 0

	def check(self, before, entries):
		account = self.book
		assert account.breaches() == []
		assert sum((e.amount for e in account.entries), D(0)) == account.balance
		for entry in entries:
			assert entry.balance_after == before + entry.amount
			# What moved in the lots is what moved in the balance, apart from debt made or paid.
			moved = sum((amount for _, amount in entry.lots), D(0))
			assert moved == max(entry.balance_after, D(0)) - max(before, D(0))
			before = entry.balance_after
		for lot in account.lots.values():
			assert 0 <= lot.remaining <= max(lot.original - lot.returned, D(0)), lot
			assert lot.returned >= 0


@settings(max_examples=500, deadline=None)
@given(movements, st.sampled_from([D(0), D(0), D(250)]))
def test_any_sequence_of_movements_keeps_the_books(drawn, overdraft):
	play = Play(overdraft)
	for number, (kind, amount, choice) in enumerate(drawn):
		play.step(number, kind, amount, choice)
	previous = chain.GENESIS
	for number, entry in enumerate(play.book.entries, 1):
		assert (entry.sequence, entry.previous_hash) == (number, previous)
		assert entry.hash == chain.link("A", entry)
		previous = entry.hash
	assert play.book.last_hash == previous


@settings(max_examples=100, deadline=None)
@given(st.lists(amounts, min_size=1, max_size=8), st.lists(amounts, max_size=12))
def test_usage_and_its_reversal_leave_every_lot_as_it_was(credits, usage):
	account = holding(*credits)
	before = remaining(account)
	used = []
	for number, amount in enumerate(usage):
		if amount <= account.balance:
			used.append(account.use(amount, NOON, **key(f"u{number}")))
	for number, entry in enumerate(reversed(used)):
		account.reverse(entry, NOON, **key(f"r{number}"))
	assert remaining(account) == before
	assert account.balance == sum(credits)
