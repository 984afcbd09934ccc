"""What the payment machine asks for when something is unusual, effect by effect and to the letter."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal as D

import pytest

from crm_recharge.domain import cards, effects, fit, payment, rows, steps
from crm_recharge.domain.answers import Answer, DeclineClass, Outcome
from crm_recharge.domain.cards import Card
from crm_recharge.domain.effects import Job
from crm_recharge.domain.steps import AttemptView, RechargeView
from crm_recharge.domain.tests.asking import ask

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LEASED = {"lease_until": NOW + timedelta(seconds=45)}
FIRST = Card("card-1", "pm_1", account="A")
MINE = RechargeView(
	"R",
	"A",
	"Charging",
	D(450),
	"USD",
	cards=(FIRST,),
	lease_owner="me",
	lease_until=NOW + timedelta(seconds=45),
	customers=("cus_1",),
)
PAID = Answer(
	Outcome.SUCCEEDED,
	intent="pi_1",
	charge="ch_1",
	amount=D(450),
	currency="USD",
	customer="cus_1",
	risk_level="normal",
	milliseconds=7,
	metadata={"recharge": "R"},
)
LOCKS = [effects.Now(), effects.LockAccount("A"), effects.LockRecharge("R")]
ENDED = replace(MINE, status="Failed", lease_owner=None, lease_until=None)


def attempt(number=1, status="Unknown", **more):
	return AttemptView(
		f"R-{number}", number, more.pop("card", "card-1"), status, more.pop("created", NOW), **more
	)


def with_attempts(view, *attempts):
	return replace(view, attempts=attempts)


def answered(**more):
	values = {
		"intent": None,
		"intent_open": False,
		"charge": None,
		"code": None,
		"message": "",
		"decline_class": None,
		"risk_level": None,
		"milliseconds": 0,
		"answered_at": NOW,
		"asks": 1,
	}
	return values | more


def record(step, answer, view=MINE):
	"""What is written down of an answer, after the locks."""
	asked, word = ask(payment._record("A", "R", "me", step, answer), Now=NOW, LockRecharge=view)
	assert asked[:3] == LOCKS
	return asked[3:], word


SETTLED = {
	"status": "Succeeded",
	"settled_intent": "pi_1",
	"charge": "ch_1",
	"captured_amount": D(450),
	"captured_currency": "USD",
	"gateway_customer": "cus_1",
	"risk_level": "normal",
	"settled_at": NOW,
	"ended_at": NOW,
	"lease_owner": None,
	"lease_until": None,
	"next_try_at": None,
}
SETTLES = [
	effects.ClearOpenRecharge("A", "R"),
	effects.UpdateRecharge("R", SETTLED),
	effects.PostCredits("A", "R", "pi_1", D(450)),
	effects.EnqueueAfterCommit(Job.ACCOUNT_FOR, "R"),
]


# -- answers -------------------------------------------------------------------------------------------------


def test_a_capture_is_written_down_and_settled():
	tried = attempt(status="Created", asks=2)
	asked, word = record(steps.Ask(tried, "card-1"), PAID, with_attempts(MINE, tried))
	paid = answered(
		intent="pi_1", charge="ch_1", risk_level="normal", milliseconds=7, asks=3, status="Succeeded"
	)
	assert (asked, word) == ([effects.UpdateAttempt("R-1", paid), *SETTLES, effects.Commit()], "Succeeded")


def test_another_attempt_that_may_capture_is_closed_after_a_capture():
	tried, other = attempt(status="Created"), attempt(2, "Unknown", intent="pi_2")
	for open_ in (other, attempt(2, "Declined", intent="pi_2", intent_open=True)):
		asked, _ = record(steps.Ask(tried, "card-1"), PAID, with_attempts(MINE, tried, open_))
		assert asked[1:4] == [
			effects.ClearOpenRecharge("A", "R"),
			effects.UpdateRecharge("R", SETTLED | {"next_try_at": NOW}),
			effects.EnqueueAfterCommit(Job.CLOSE_UP, "R"),
		]
	asked, _ = record(steps.Ask(tried, "card-1"), PAID, with_attempts(MINE, tried, attempt(2, "Declined")))
	assert asked[2] == SETTLES[1]


def test_an_attempt_whose_payment_has_paid_is_not_open_any_more():
	open_ = attempt(2, "Declined", intent="pi_1", intent_open=True)
	asked, _ = ask(payment.settle(with_attempts(MINE, open_), PAID, NOW))
	assert asked == SETTLES


def test_a_request_that_was_refused():
	refused = Answer(Outcome.ERROR, code="x", message="no")
	asked, word = record(steps.Ask(attempt(), "card-1"), refused)
	assert (asked, word) == (
		[
			effects.Notify("gateway_error", "R", {"code": "x", "message": "no"}),
			effects.UpdateAttempt(
				"R-1", answered(code="x", message="no", status="Refused", next_ask_at=None)
			),
			effects.UpdateRecharge("R", LEASED),
			effects.Commit(),
		],
		None,
	)


def test_a_question_that_is_refused_or_lost_leaves_the_attempt_as_it_was():
	tried = attempt(status="Refused", intent="pi_1", asks=1)
	for outcome in (Outcome.ERROR, Outcome.UNKNOWN):
		asked, _ = record(steps.LookUp(tried), Answer(outcome, code="x", retry_after=90.0))
		values = answered(
			intent="pi_1", code="x", status="Refused", asks=2, next_ask_at=NOW + timedelta(seconds=90)
		)
		assert asked[0] == effects.UpdateAttempt("R-1", values)


def test_a_time_out_is_asked_again_and_told_at_the_eighth():
	lost = Answer(Outcome.UNKNOWN, code="timeout", message="lost")
	for asks, told in ((6, 0), (7, 1), (8, 0)):
		asked, _ = record(steps.Ask(attempt(asks=asks), "card-1"), lost)
		notice = effects.Notify(
			"gateway_error", "R", {"attempt": "R-1", "code": "timeout", "message": "lost"}
		)
		assert asked[:-3] == [notice] * told
		values = answered(
			code="timeout",
			message="lost",
			status="Unknown",
			asks=asks + 1,
			next_ask_at=NOW + payment.backoff(asks),
		)
		assert asked[-3] == effects.UpdateAttempt("R-1", values)


def test_a_lost_card_is_marked_for_its_account():
	lost = Answer(
		Outcome.DECLINED,
		intent="pi_1",
		code="lost_card",
		decline_class=DeclineClass.PERMANENT,
		intent_open=True,
	)
	asked, _ = record(steps.Ask(attempt(), "card-1"), lost)
	values = answered(
		intent="pi_1",
		code="lost_card",
		decline_class="permanent",
		status="Declined",
		intent_open=True,
		next_ask_at=None,
	)
	assert asked[:2] == [
		effects.UpdateCard("A", "card-1", cards.DECLINED, "lost_card"),
		effects.UpdateAttempt("R-1", values),
	]
	asked, _ = record(steps.Ask(attempt(), "card-1"), replace(lost, code=None))
	assert asked[0] == effects.UpdateCard("A", "card-1", cards.DECLINED, "")


def test_one_that_somebody_closed_counts_as_declined():
	asked, _ = record(steps.Ask(attempt(), "card-1"), Answer(Outcome.CANCELLED, intent="pi_1"))
	values = answered(intent="pi_1", code="canceled", status="Declined", next_ask_at=None)
	assert asked[0] == effects.UpdateAttempt("R-1", values)
	asked, _ = record(
		steps.Ask(attempt(), "card-1"), Answer(Outcome.CANCELLED, intent="pi_1", code="abandoned")
	)
	assert asked[0].values["code"] == "abandoned"


CLOSE = steps.Close(attempt(status="Declined", intent="pi_1", intent_open=True, asks=3), "pi_1")


def test_closing():
	closed = [
		effects.UpdateAttempt("R-1", {"intent_open": False, "next_ask_at": None}),
		effects.UpdateRecharge("R", LEASED),
		effects.Commit(),
	]
	assert record(CLOSE, Answer(Outcome.CANCELLED)) == (closed, None)
	assert record(CLOSE, Answer(Outcome.ERROR, code="resource_missing")) == (closed, None)
	later = [effects.UpdateAttempt("R-1", {"asks": 4, "next_ask_at": NOW + payment.backoff(3)}), *closed[1:]]
	assert record(CLOSE, Answer(Outcome.ERROR, code="x")) == (later, None)
	assert record(CLOSE, Answer(Outcome.UNKNOWN)) == (later, None)


def test_one_that_is_accepted_before_it_could_be_closed_is_pending():
	asked, _ = record(CLOSE, Answer(Outcome.PENDING, code="processing", message="m"))
	values = {"asks": 4, "next_ask_at": NOW + payment.patience(3), "status": "Pending", "intent_open": False}
	assert asked[0] == effects.UpdateAttempt("R-1", values)


def test_one_that_is_pending_for_too_long_is_told_once():
	tried = attempt(created=NOW - timedelta(days=14), asks=30)
	pending = Answer(Outcome.PENDING, intent="pi_1", code="processing", message="m", retry_after=8 * 3600.0)
	notice = effects.Notify("gateway_error", "R", {"attempt": "R-1", "code": "processing", "message": "m"})

	def told(**more):
		asked, _ = record(steps.LookUp(replace(tried, **more)), pending)
		assert asked[-3].values["next_ask_at"] == NOW + timedelta(hours=8)
		return asked[:-3]

	assert told() == [notice]
	assert told(created=NOW - timedelta(days=14) + timedelta(hours=8)) == []
	assert told(created=NOW - timedelta(days=14) + timedelta(hours=7)) == [notice]
	assert told(created=NOW - timedelta(days=14, hours=1)) == []
	assert told(next_ask_at=NOW - HOUR, created=NOW - timedelta(days=14, hours=1)) == [notice]


def test_how_long_is_waited():
	seconds = [payment.backoff(asks).total_seconds() for asks in range(8)]
	assert seconds == [15, 30, 60, 120, 240, 480, 900, 900]
	assert payment.backoff(0, 20.0).total_seconds() == 20 and payment.backoff(0, 9e9).total_seconds() == 3600
	seconds = [payment.patience(asks).total_seconds() for asks in (0, 1, 10, 11, 99)]
	assert seconds == [15, 30, 15360, 21600, 21600]
	assert payment.patience(0, 20.0).total_seconds() == 20
	assert payment.patience(0, 9e9).total_seconds() == 24 * 3600


def test_how_often_and_how_long():
	assert payment.LEASE == timedelta(seconds=45)
	assert (payment.ASKS_BEFORE_TELLING, payment.ERRORS_BEFORE_GIVING_UP) == (8, 8)
	assert timedelta(days=14) == payment.PENDING_TOO_LONG
	assert len(payment.NEVER_CHARGED) == 4
	for code in ("amount_too_small", "amount_too_large", "invalid_charge_amount", "currency_not_supported"):
		refused = attempt(status="Error", code=code)
		assert payment.next_step(with_attempts(MINE, refused), NOW) == steps.GiveUp("Failed")


def test_a_page_is_closed_unless_it_is_to_wait():
	page = attempt(status="Created", card=None, page="cs_1")
	view = with_attempts(MINE, page)
	assert payment.next_step(view, NOW) == steps.ClosePage(page, "cs_1")
	later = with_attempts(MINE, replace(page, next_ask_at=NOW + MINUTE))
	assert payment.next_step(later, NOW) == steps.Wait(NOW + MINUTE, later.attempts[0])
	asked, answer = ask(payment._call(MINE, steps.ClosePage(page, "cs_1")), ClosePage="what it says")
	assert (asked, answer) == ([effects.ClosePage("cs_1")], "what it says")


def test_a_card_is_good_until_the_last_moment_of_its_month_where_its_account_is():
	west = timezone(timedelta(hours=-8))
	card = replace(FIRST, exp_month=2, exp_year=2026)
	view = replace(MINE, cards=(card,), zone=west)
	assert payment.next_step(view, datetime(2026, 3, 1, 7, 59, tzinfo=timezone.utc)) == steps.Start(card)
	assert payment.next_step(view, datetime(2026, 3, 1, 8, tzinfo=timezone.utc)) == steps.Skip(
		card, "expired"
	)


def test_an_expired_card_is_passed_over_and_marked():
	asked, _ = ask(payment._skip(MINE, FIRST, cards.PAST_EXPIRY))
	assert asked == [
		effects.InsertAttempt("R-1", "R", 1, "card-1", {"status": "Skipped", "code": "expired"}),
		effects.UpdateCard("A", "card-1", cards.EXPIRED, "expired"),
		effects.Commit(),
	]


def test_after_what_was_pending_another_card_is_charged():
	asked, _ = ask(payment._start(replace(MINE, status="Processing"), FIRST, NOW))
	assert asked[1] == effects.UpdateRecharge("R", LEASED | {"status": "Charging"})
	asked, _ = ask(payment._start(MINE, FIRST, NOW))
	assert asked[1] == effects.UpdateRecharge("R", LEASED)


def test_the_card_holder_has_three_days_to_the_end():
	for age, status in ((timedelta(days=3), "Action Required"), (timedelta(days=3, seconds=1), "Failed")):
		tried = attempt(status="Needs Authentication", created=NOW - age)
		assert payment.next_step(with_attempts(MINE, tried), NOW) == steps.GiveUp(status)


def test_the_search_begins_after_half_a_days_silence():
	since = NOW - payment.REPLAY_WINDOW
	assert payment.next_step(replace(MINE, created=since), NOW) == steps.Start(FIRST)
	since -= timedelta(seconds=1)
	assert payment.next_step(replace(MINE, created=since), NOW) == steps.Search(since)


# -- the end -------------------------------------------------------------------------------------------------


def test_giving_up():
	free = {"lease_owner": None, "lease_until": None, "ended_at": NOW}
	asked, word = ask(payment._give_up(MINE, "Action Required", NOW))
	assert (asked, word) == (
		[
			effects.UpdateRecharge("R", free | {"status": "Action Required", "next_try_at": NOW + 3 * DAY}),
			effects.Notify("needs_action", "R"),
			effects.Commit(),
		],
		"Action Required",
	)
	asked, word = ask(payment._give_up(MINE, "Cancelled", NOW))
	assert (asked, word) == (
		[
			effects.UpdateRecharge("R", free | {"status": "Cancelled"}),
			effects.ClearOpenRecharge("A", "R"),
			effects.Commit(),
		],
		"Cancelled",
	)
	asked, word = ask(payment._give_up(MINE, "Failed", NOW))
	assert (asked, word) == (
		[
			effects.UpdateRecharge("R", free | {"status": "Failed"}),
			effects.ClearOpenRecharge("A", "R"),
			effects.DisableAutoRecharge("A", "all_cards_failed", "R"),
			effects.Notify("all_cards_failed", "R", {"reason": "all_cards_failed"}),
			effects.Commit(),
		],
		"Failed",
	)


@pytest.mark.parametrize(("errors", "reason"), [(7, "all_cards_failed"), (8, "gateway_errors")])
def test_declined_cards_and_errors_of_the_gateway_are_told_apart(errors, reason):
	view = with_attempts(MINE, *(attempt(n, "Error") for n in range(errors)), attempt(20, "Declined"))
	asked, _ = ask(payment._fail(replace(view, trigger="Desk")))
	assert asked == [
		effects.ClearOpenRecharge("A", "R"),
		effects.Notify("all_cards_failed", "R", {"reason": reason}),
	]


def test_whose_card_holder_never_came():
	waiting = replace(MINE, status="Action Required", next_try_at=NOW, lease_owner=None, lease_until=None)
	asked, word = ask(payment.expire_action("A", "R"), Now=NOW, LockRecharge=waiting)
	assert (asked[3], word) == (
		effects.UpdateRecharge("R", {"status": "Failed", "ended_at": NOW, "next_try_at": None}),
		"Failed",
	)
	for view, told in ((None, "missing"), (replace(waiting, next_try_at=NOW + MINUTE), "Action Required")):
		asked, word = ask(payment.expire_action("A", "R"), Now=NOW, LockRecharge=view)
		assert (asked[3:], word) == ([effects.Rollback()], told)


def test_calling_off():
	waiting = replace(MINE, status="Queued", lease_owner="x")
	ended = {
		"status": "Cancelled",
		"ended_at": NOW,
		"lease_owner": None,
		"lease_until": None,
		"next_try_at": None,
	}
	asked, word = ask(payment.call_off("A", "R"), Now=NOW, LockRecharge=waiting)
	assert (asked[3:], word) == (
		[effects.UpdateRecharge("R", ended), effects.ClearOpenRecharge("A", "R"), effects.Commit()],
		"Cancelled",
	)
	for view, told in ((None, "missing"), (MINE, "Charging")):
		asked, word = ask(payment.call_off("A", "R"), Now=NOW, LockRecharge=view)
		assert (asked[3:], word) == ([effects.Rollback()], told)


# -- what fits, and what does not ------------------------------------------------------------------------------


def test_a_capture_needs_an_intent():
	with pytest.raises(ValueError, match="^a capture without an intent cannot be told from another$"):
		ask(payment.settle(MINE, replace(PAID, intent=None), NOW))


STRANGE = replace(PAID, intent="pi_9", amount=D(1))
WRONG = (fit.Misfit("amount", "450", "1"),)
NOTED = effects.NoteDifference("does_not_fit", "pi_9", "R", "pi_9", D(1), "USD", WRONG)
HELD = effects.UpdateRecharge(
	"R", {"status": "Held", "lease_owner": None, "lease_until": None, "next_try_at": None}
)


@pytest.mark.parametrize(
	("intent", "named", "is_held"),
	[
		("pi_9", None, True),
		(None, "R-1", True),
		("pi_1", None, False),
		("pi_1", "R-2", False),
		("pi_9", "R-2", True),
	],
)
def test_a_capture_that_does_not_fit_stops_the_recharge_whose_own_it_is(intent, named, is_held):
	view = with_attempts(MINE, attempt(intent=intent))
	answer = replace(STRANGE, metadata={"recharge": "R"} | ({"attempt": named} if named else {}))
	asked, word = ask(payment.settle(view, answer, NOW))
	assert (asked, word) == ([NOTED, HELD] if is_held else [NOTED], "Held")
	found, _ = ask(payment._adopt(view, (answer,), NOW))
	if intent != "pi_9":
		# By whomever it is found: the search knows it by its attempt as well.
		assert found == asked


def test_a_search_writes_down_what_was_forgotten_and_the_oldest_first():
	second = replace(PAID, outcome=Outcome.DECLINED, intent="pi_2", created=20, metadata={"recharge": "R"})
	first = replace(
		second, intent="pi_1", created=10, payment_method="pm_1", metadata={"recharge": "R", "attempt": "R-7"}
	)
	known = replace(second, intent="pi_3", created=5)
	other = replace(second, intent="pi_4", created=None, amount=D(1))
	view = with_attempts(MINE, attempt(3, intent="pi_3"))
	asked, _ = ask(payment._adopt(view, (second, other, known, first), NOW))

	def found(number, card, intent, created):
		values = {
			"status": "Unknown",
			"intent": intent,
			"amount": D(450),
			"currency": "USD",
			"created_at": datetime.fromtimestamp(created, timezone.utc),
		}
		return effects.InsertAttempt(f"R-{number}", "R", number, card, values)

	assert asked == [found(7, "card-1", "pi_1", 10), found(8, None, "pi_2", 20)]
	asked, _ = ask(payment._adopt(MINE, (replace(second, created=None),), NOW))
	assert asked[0].values["created_at"] == NOW


@pytest.mark.parametrize(
	("name", "number"),
	[
		("R-7", 7),
		("R-1", 1),
		("R-0", 10),
		("R-9", 10),
		("R-x", 10),
		("R-²", 10),
		("S-7", 10),
		("R-x-7", 10),
		("7", 10),
		("", 10),
		(None, 10),
		("R-1234567", 123456),
	],
)
def test_the_number_under_which_a_payment_was_asked_for(name, number):
	answer = replace(PAID, metadata={"attempt": name})
	assert payment._number_of(answer, "R", {9}) == number
	assert payment._number_of(replace(PAID, metadata={}), "R", set()) == 1
	hyphened = replace(PAID, metadata={"attempt": "RC-A-7"})
	assert payment._number_of(hyphened, "RC-A", set()) == 7


def test_a_search_that_could_not_be_made_is_made_again():
	silent = Answer(Outcome.UNKNOWN, retry_after=120.0)
	asked, word = ask(payment._searched("A", "R", "me", silent), Now=NOW, LockRecharge=MINE)
	again = {"lease_owner": None, "lease_until": None, "next_try_at": NOW + timedelta(seconds=120)}
	assert (asked[3:], word) == ([effects.UpdateRecharge("R", again), effects.Commit()], "waiting")
	asked, _ = ask(payment._searched("A", "R", "me", Answer(Outcome.UNKNOWN)), Now=NOW, LockRecharge=MINE)
	assert asked[3].values["next_try_at"] == NOW + MINUTE
	asked, word = ask(payment._searched("A", "R", "you", ()), Now=NOW, LockRecharge=MINE)
	assert (asked[3:], word) == ([effects.Rollback()], "lost")
	forgotten = replace(PAID, outcome=Outcome.DECLINED, created=None)
	asked, word = ask(payment._searched("A", "R", "me", (forgotten,)), Now=NOW, LockRecharge=MINE)
	assert (asked[3].values["created_at"], asked[4:], word) == (
		NOW,
		[effects.UpdateRecharge("R", LEASED), effects.Commit()],
		None,
	)


def test_the_attempt_that_paid_stands_in_its_place():
	view = with_attempts(MINE, attempt(1, "Declined", intent="pi_0"), attempt(2, intent_open=True))
	paid = payment.with_paid(view, "R-2", PAID)
	assert paid.attempts == (view.attempts[0], attempt(2, "Succeeded", intent="pi_1"))
	assert payment.with_paid(None, "R-2", PAID) is None


# -- closing what has ended ------------------------------------------------------------------------------------


def close_up(view, **replies):
	"""After the first locks; the machine locks again after each answer."""
	asked, word = ask(payment.close_up("A", "R"), Now=NOW, LockRecharge=view, **replies)
	assert asked[:3] == LOCKS
	return asked[3:], word


def test_nothing_is_closed_that_has_not_ended():
	assert close_up(None) == ([effects.Rollback()], "missing")
	assert close_up(MINE) == ([effects.Rollback()], "Charging")


def test_what_is_closed_needs_no_more():
	done = [effects.UpdateRecharge("R", {"next_try_at": None}), effects.Commit()]
	assert close_up(ENDED) == (done, "closed")
	assert close_up(with_attempts(ENDED, attempt(status="Declined"))) == (done, "closed")


def test_what_waits_to_be_closed_is_left_until_then():
	until = NOW + MINUTE
	for open_ in (
		attempt(status="Declined", intent="pi_1", intent_open=True, next_ask_at=until),
		attempt(next_ask_at=until),
		attempt(card=None, page="cs", next_ask_at=until),
	):
		asked, word = close_up(with_attempts(ENDED, open_))
		expected = [effects.UpdateRecharge("R", {"next_try_at": until}), effects.Commit()]
		assert (asked, word) == (expected, "waiting")


def test_how_what_is_open_is_closed():
	for open_, asked_for in (
		(attempt(status="Declined", intent="pi_1", intent_open=True), effects.Cancel("pi_1", "R-1-cancel")),
		(attempt(intent="pi_1"), effects.LookUp("R-1", "R", NOW, "pi_1")),
		(attempt(), effects.LookUp("R-1", "R", NOW, None)),
		(attempt(card=None, page="cs_1"), effects.ClosePage("cs_1")),
	):
		view = with_attempts(ENDED, open_)
		replies = dict.fromkeys(("Cancel", "LookUp", "ClosePage"), PAID)
		asked, word = close_up(view, **replies)
		assert asked[:2] == [effects.Commit(), asked_for]
		# It was faster: it counts.
		paid = answered(intent="pi_1", charge="ch_1", risk_level="normal", milliseconds=7, status="Succeeded")
		assert asked[2:] == [*LOCKS, effects.UpdateAttempt("R-1", paid), *SETTLES, effects.Commit()]
		assert word == "Succeeded"


def recorded(step, answer, view):
	asked, word = ask(payment._record_closing("A", "R", step, answer), Now=NOW, LockRecharge=view)
	assert asked[:3] == LOCKS
	return asked[3:], word


def test_what_the_gateway_said_to_closing_is_written_down():
	open_ = with_attempts(ENDED, attempt(2, "Declined"), CLOSE.attempt)
	gone = effects.UpdateAttempt("R-1", {"intent_open": False, "next_ask_at": None})
	assert recorded(CLOSE, Answer(Outcome.CANCELLED), open_) == ([gone, effects.Commit()], None)
	later = effects.UpdateAttempt("R-1", {"asks": 4, "next_ask_at": NOW + payment.backoff(3)})
	assert recorded(CLOSE, Answer(Outcome.UNKNOWN), open_) == ([later, effects.Commit()], None)
	look = steps.LookUp(attempt())
	never = effects.UpdateAttempt("R-1", {"status": "Never Happened", "next_ask_at": None})
	assert recorded(look, None, with_attempts(ENDED, look.attempt)) == ([never, effects.Commit()], None)
	decided = attempt(status="Succeeded")
	for view in (None, MINE, ENDED, with_attempts(ENDED, decided), with_attempts(ENDED, attempt(2))):
		assert recorded(look, None, view) == ([effects.Rollback()], "lost")


def test_an_answer_about_an_attempt_that_has_paid_meanwhile_is_not_written_down():
	"""The webhook was faster than the question of whoever closes what is left."""
	paid = with_attempts(
		replace(ENDED, status="Succeeded", settled_intent="pi_1"), attempt(status="Succeeded")
	)
	asked, word = recorded(steps.LookUp(attempt()), Answer(Outcome.UNKNOWN, code="timeout"), paid)
	assert (asked, word) == ([effects.Rollback()], "lost")


OLD = replace(ENDED, created=NOW - DAY)


def test_an_old_one_is_searched_for_once_before_it_counts_as_closed():
	asked, word = close_up(OLD, Search=())
	assert word == "closed"
	assert asked == [
		effects.Commit(),
		effects.Search("R", NOW - DAY),
		*LOCKS,
		effects.Commit(),
		*LOCKS,
		effects.UpdateRecharge("R", {"next_try_at": None}),
		effects.Commit(),
	]


def test_what_the_search_finds_is_closed_and_one_that_fails_is_made_again():
	asked, word = close_up(OLD, Search=Answer(Outcome.UNKNOWN, retry_after=120.0))
	assert word == "waiting"
	assert asked[2:] == [
		*LOCKS,
		effects.UpdateRecharge("R", {"next_try_at": NOW + timedelta(seconds=120)}),
		effects.Commit(),
	]
	asked, _ = close_up(OLD, Search=Answer(Outcome.UNKNOWN))
	assert asked[5].values == {"next_try_at": NOW + MINUTE}
	forgotten = replace(PAID, outcome=Outcome.DECLINED, created=None)
	asked, _ = ask(payment._searched_to_close("A", "R", (forgotten,)), Now=NOW, LockRecharge=OLD)
	assert (type(asked[3]), asked[3].values["created_at"]) == (effects.InsertAttempt, NOW)
	asked, again = ask(payment._searched_to_close("A", "R", (forgotten,)), Now=NOW, LockRecharge=None)
	assert (asked[3:], again) == ([effects.Commit()], False)


# -- what a sweeper finds --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("values", "job"),
	[
		({"status": "Queued"}, Job.CARRY_OUT),
		({"status": "Charging", "lease_until": NOW}, Job.CARRY_OUT),
		({"status": "Charging", "lease_until": NOW + MINUTE}, None),
		({"status": "Processing", "next_try_at": NOW}, Job.CARRY_OUT),
		({"status": "Queued", "next_try_at": NOW + MINUTE}, None),
		({"status": "Failed"}, None),
		({"status": "Failed", "next_try_at": NOW}, Job.CLOSE_UP),
		({"status": "Succeeded", "next_try_at": NOW - DAY}, Job.CLOSE_UP),
		({"status": "Failed", "next_try_at": NOW + MINUTE}, None),
		({"status": "Held", "next_try_at": NOW}, None),
		({"status": "Action Required", "next_try_at": NOW}, None),
	],
)
def test_what_is_due(values, job):
	row = rows.Recharge("R", "A", amount=D(1), currency="USD", **values)
	assert payment.due_job(row, NOW) is job


@pytest.mark.parametrize(
	("status", "until", "over"),
	[
		("Action Required", NOW, True),
		("Action Required", NOW + MINUTE, False),
		("Action Required", None, False),
		("Failed", NOW, False),
		("Failed", None, False),
	],
)
def test_whose_time_is_over(status, until, over):
	row = rows.Recharge("R", "A", status, D(1), "USD", next_try_at=until)
	assert payment.action_is_over(row, NOW) is over


def test_closing_that_goes_on_for_long_is_told_too():
	close = replace(CLOSE, attempt=replace(CLOSE.attempt, asks=7))
	look = steps.LookUp(attempt(asks=7))
	lost = Answer(Outcome.UNKNOWN, code="x", message="m")
	notice = effects.Notify("gateway_error", "R", {"attempt": "R-1", "code": "x", "message": "m"})
	assert record(close, lost)[0][0] == notice
	for step in (close, look):
		assert recorded(step, lost, with_attempts(ENDED, step.attempt))[0][0] == notice
	late = replace(CLOSE, attempt=replace(CLOSE.attempt, created=NOW - timedelta(days=14), asks=30))
	pending = replace(lost, outcome=Outcome.PENDING)
	assert record(late, pending)[0][0] == notice
	assert recorded(late, pending, with_attempts(ENDED, late.attempt))[0][0] == notice


def test_a_number_that_is_cut_short_is_not_taken_twice():
	answer = replace(PAID, metadata={"attempt": "R-1234567"})
	assert payment._number_of(answer, "R", {123456}) == 123457
