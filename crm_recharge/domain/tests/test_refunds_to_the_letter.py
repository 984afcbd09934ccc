"""What the refund machine asks for, effect by effect and to the letter."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal as D

import pytest

from crm_recharge.domain import effects, fit, payment, refund
from crm_recharge.domain.answers import RefundAnswer, RefundOutcome
from crm_recharge.domain.effects import Job
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.takeback import PaymentView, RefundView
from crm_recharge.domain.tests.asking import ask

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LEASE = timedelta(seconds=45)
FREE = {"lease_owner": None, "lease_until": None}
PAID = PaymentView("R1", "A", "Succeeded", D(100), "USD", intent="pi_1", lot="L", bought=D(100), unused=D(80))
HELD = RefundView(
	"RF", "Requested", "Held", D(30), "USD", "pi_1", account="A", recharge="R1", taken=D(30), moves=1
)
ASKED = replace(HELD, status="Asked", asked_at=NOW, lease_owner="me", lease_until=NOW + LEASE)
WITH = replace(PAID, refunds=(ASKED,))
DONE = RefundAnswer(
	RefundOutcome.SUCCEEDED,
	refund="re_1",
	intent="pi_1",
	charge="ch_1",
	amount=D(30),
	currency="USD",
	code="c",
	message="m",
)
LOCKS = [effects.Now(), effects.LockAccount("A"), effects.LockRefund("RF")]


# -- asking for one ------------------------------------------------------------------------------------------


def test_a_request():
	details = {"reason": "why"}
	asked, name = ask(
		refund.request("A", "R1", "RF", D(30), "key", details), LockPayment=PAID, TakeCredits="E1"
	)
	assert name == "RF"
	assert asked == [
		effects.LockAccount("A"),
		effects.LockPayment("R1"),
		effects.FindRefund("key"),
		effects.InsertRefund(
			"RF",
			{
				"kind": "Requested",
				"status": "Held",
				"amount": D(30),
				"currency": "USD",
				"intent": "pi_1",
				"account": "A",
				"recharge": "R1",
				"gateway_refund": None,
				"reason": "why",
				"request_key": "key",
			},
		),
		effects.TakeCredits("A", "L", "Refund", D(30), "RF", "RF", "pi_1", "Refund RF"),
		effects.UpdateRefund("RF", {"taken": D(30), "moves": 1, "hold_entry": "E1"}),
		effects.EnqueueAfterCommit(Job.REFUND, "RF"),
		effects.Commit(),
	]
	asked, name = ask(refund.request("A", "R1", "RF", D(30), "key", {}), LockPayment=PAID, FindRefund="RF-0")
	assert (name, asked[3:]) == ("RF-0", [effects.Rollback()])


@pytest.mark.parametrize(
	("paid", "amount", "code", "figures"),
	[
		(None, None, "not_paid", {"status": "missing"}),
		(replace(PAID, intent=None), None, "not_paid", {"status": "Succeeded"}),
		(replace(PAID, lot=None), None, "not_paid", {"status": "Succeeded"}),
		(replace(PAID, status="Disputed"), None, "recharge_disputed", {}),
		(replace(PAID, status="Charged Back"), None, "recharge_disputed", {}),
		(replace(PAID, unused=D("0.009")), None, "nothing_to_refund", {"unused": "0", "currency": "USD"}),
		(PAID, D("80.01"), "more_than_unused", {"unused": "80", "currency": "USD", "amount": "80.01"}),
		(PAID, D("1.005"), "refund_too_fine", {"unused": "80", "currency": "USD", "amount": "1.005"}),
	],
)
def test_what_a_refusal_tells(paid, amount, code, figures):
	with pytest.raises(InvalidRequest) as error:
		ask(refund.request("A", "R1", "RF", amount, "key", {}), LockPayment=paid)
	assert (error.value.code, error.value.figures) == (code, {"recharge": "R1"} | figures)


def test_the_smallest_coin_is_refunded():
	assert refund.refundable(replace(PAID, unused=D("0.01")), "R1", None) == D("0.01")
	assert refund.refundable(PAID, "R1", D(80)) == 80


# -- carrying out ----------------------------------------------------------------------------------------------


def claim(view, worker="me"):
	asked, found = ask(refund._claim("A", "RF", worker), Now=NOW, LockRefund=view)
	assert asked[:3] == LOCKS
	return asked[3:], found


def test_taking_the_lease():
	values = {
		"status": "Asked",
		"asked_at": NOW,
		"next_ask_at": None,
		"lease_owner": "me",
		"lease_until": NOW + LEASE,
	}
	taken = [effects.UpdateRefund("RF", values), effects.Commit()]
	assert claim(replace(HELD, next_ask_at=NOW)) == (taken, replace(ASKED, next_ask_at=None))
	asked, view = claim(replace(ASKED, asked_at=NOW - HOUR))
	assert (asked[0].values["asked_at"], view.asked_at) == (NOW - HOUR, NOW - HOUR)


@pytest.mark.parametrize(
	("view", "why_not"),
	[
		(None, "missing"),
		(replace(HELD, status="Failed"), "Failed"),
		(replace(ASKED, lease_owner="you"), "leased"),
		(replace(ASKED, lease_owner="you", lease_until=NOW), None),
		(replace(HELD, next_ask_at=NOW + MINUTE), "not yet"),
	],
)
def test_why_a_refund_is_left_alone(view, why_not):
	assert refund._why_not(view, NOW, "me") == why_not
	if why_not:
		assert claim(view) == ([effects.Rollback()], why_not)


def test_a_refund_of_no_account_locks_none():
	asked, _ = ask(refund._lock(None, "RF"))
	assert asked == [effects.LockRefund("RF")]


def test_what_is_asked_next():
	assert refund.next_step(HELD, NOW) is refund.Step.ASK
	assert refund.next_step(replace(ASKED, asked_at=NOW - payment.REPLAY_WINDOW), NOW) is refund.Step.ASK
	late = replace(ASKED, asked_at=NOW - payment.REPLAY_WINDOW - MINUTE)
	assert refund.next_step(late, NOW) is refund.Step.LOOK_UP
	assert refund.next_step(replace(late, gateway_refund="re_1"), NOW) is refund.Step.CHECK


def test_how_it_is_asked():
	until = NOW + payment.REPLAY_WINDOW
	asked, _ = ask(refund._call(ASKED, refund.Step.ASK))
	assert asked == [effects.AskRefund("RF", "pi_1", D(30), "USD", "Requested", until=until)]
	asked, _ = ask(refund._call(HELD, refund.Step.ASK))
	assert asked[0].until is None
	assert ask(refund._call(ASKED, refund.Step.LOOK_UP))[0] == [effects.LookUpRefund("RF", "pi_1")]
	known = replace(ASKED, gateway_refund="re_1")
	assert ask(refund._call(known, refund.Step.CHECK))[0] == [effects.CheckRefund("re_1")]
	assert ask(refund._call(ASKED, refund.Step.CHECK))[0] == [effects.CheckRefund("")]


REFUSED = RefundAnswer(RefundOutcome.REFUSED, code="no", message="why")


def carry_out(view, **replies):
	return ask(refund.carry_out("A", "R1", "RF", "me"), Now=NOW, LockRefund=view, LockPayment=WITH, **replies)


def test_a_refusal_is_looked_behind_by_who_still_holds_the_lease():
	asked, word = carry_out(ASKED, AskRefund=REFUSED, LookUpRefund=None, GiveBack="E2")
	kinds = [type(effect).__name__ for effect in asked]
	assert word == "Failed"
	assert kinds[kinds.index("AskRefund") :] == [
		"AskRefund",
		*("Now", "LockAccount", "LockRefund", "UpdateRefund", "Commit"),
		"LookUpRefund",
		*("Now", "LockAccount", "LockRefund", "LockPayment", "UpdateRefund"),
		*("GiveBack", "UpdateRefund", "Notify", "Commit"),
	]
	extended = asked[kinds.index("AskRefund") + 4]
	assert extended == effects.UpdateRefund("RF", {"lease_until": NOW + LEASE})
	answered = next(e for e in asked if isinstance(e, effects.Notify))
	assert answered == effects.Notify("refund_failed", "R1", {"refund": "RF", "code": "no", "message": "why"})


def test_who_has_lost_the_lease_stops():
	first, theirs = ASKED, replace(ASKED, lease_owner="you")
	for step, replies in (
		("a refusal", {"AskRefund": REFUSED}),
		("nothing there", {"LookUpRefund": None}),
	):
		view = first if step == "a refusal" else replace(first, asked_at=NOW - 2 * payment.REPLAY_WINDOW)
		machine = refund.carry_out("A", "R1", "RF", "me")
		effect, reply, locked, word = machine.send(None), None, 0, None
		try:
			while True:
				locked += isinstance(effect, effects.LockRefund)
				known = replies | {"Now": NOW, "LockRefund": view if locked == 1 else theirs}
				reply = known.get(type(effect).__name__)
				effect = machine.send(reply)
		except StopIteration as end:
			word = end.value
		assert word == "lost", step


@pytest.mark.parametrize(
	"view",
	[
		None,
		replace(ASKED, status="Held"),
		replace(ASKED, lease_owner="you"),
		replace(ASKED, gateway_refund="re_1"),
		replace(ASKED, status="Succeeded", lease_owner="you"),
		replace(ASKED, lease_owner="you", gateway_refund="re_1"),
	],
)
def test_the_lease_is_extended_for_its_holder_alone(view):
	asked, mine = ask(refund._still_mine("A", "RF", "me"), Now=NOW, LockRefund=view)
	assert (asked[3:], mine) == ([effects.Rollback()], False)


def test_the_lease_is_extended():
	asked, mine = ask(refund._still_mine("A", "RF", "me", NOW), Now=NOW, LockRefund=ASKED)
	values = {"lease_until": NOW + LEASE, "asked_at": NOW}
	assert (asked[3:], mine) == ([effects.UpdateRefund("RF", values), effects.Commit()], True)


@pytest.mark.parametrize(
	("kind", "code", "outcome"),
	[
		("Requested", "no", RefundOutcome.FAILED),
		("From Gateway", "no", RefundOutcome.FAILED),
		("Duplicate", "no", RefundOutcome.UNKNOWN),
		("Orphan", "no", RefundOutcome.UNKNOWN),
		("Orphan", "charge_already_refunded", RefundOutcome.FAILED),
		("Duplicate", "charge_disputed", RefundOutcome.FAILED),
		("Duplicate", "charge_not_refundable", RefundOutcome.FAILED),
		("Duplicate", "resource_missing", RefundOutcome.FAILED),
	],
)
def test_what_a_proven_refusal_means(kind, code, outcome):
	assert refund._refused(replace(ASKED, kind=kind), replace(REFUSED, code=code)) is outcome


# -- what is written down ----------------------------------------------------------------------------------------


def record(answer, view=ASKED, paid=WITH, recharge="R1"):
	machine = refund._record("A", recharge, "RF", "me", answer)
	asked, word = ask(machine, Now=NOW, LockRefund=view, LockPayment=paid, GiveBack="E2")
	assert asked[:3] == LOCKS
	return asked[3:], word


def values(**more):
	written = {
		"status": "Succeeded",
		"gateway_refund": "re_1",
		"charge": "ch_1",
		"code": "c",
		"message": "m",
		"asks": 1,
		"ended_at": NOW,
		"next_ask_at": None,
		"accounting_status": "Pending",
		"accounting_next_try_at": None,
		**FREE,
	}
	return written | more


def test_a_refund_that_is_done():
	assert record(DONE) == (
		[
			effects.LockPayment("R1"),
			effects.UpdateRefund("RF", values()),
			effects.UpdateRecharge("R1", {"status": "Partly Refunded", "refunded_amount": D(30)}),
			effects.Notify("refund_done", "R1", {"refund": "RF", "code": "c", "message": "m"}),
			effects.EnqueueAfterCommit(Job.ACCOUNT_FOR_REFUND, "RF"),
			effects.Commit(),
		],
		"Succeeded",
	)


def test_a_refund_that_is_on_its_way():
	asked, word = record(replace(DONE, outcome=RefundOutcome.PENDING))
	written = values(status="Asked", ended_at=None, next_ask_at=NOW + 6 * HOUR)
	del written["accounting_status"], written["accounting_next_try_at"]
	assert (asked, word) == (
		[effects.LockPayment("R1"), effects.UpdateRefund("RF", written), effects.Commit()],
		"Asked",
	)


def test_a_refund_that_came_back_after_it_was_done():
	done = replace(ASKED, status="Succeeded", gateway_refund="re_1", asks=1)
	paid = replace(PAID, status="Partly Refunded", refunded=D(30), refunds=(done,))
	asked, word = record(replace(DONE, outcome=RefundOutcome.FAILED), done, paid)
	told = {"refund": "RF", "code": "c", "message": "m"}
	assert word == "Failed"
	assert asked == [
		effects.LockPayment("R1"),
		effects.UpdateRefund("RF", values(status="Failed", asks=2)),
		effects.GiveBack("A", "L", "Refund", D(30), "RF:2", ("RF",), "RF", "pi_1", "Refund RF"),
		effects.UpdateRefund("RF", {"taken": D(0), "moves": 2, "reinstate_entry": "E2"}),
		effects.UpdateRecharge("R1", {"status": "Succeeded", "refunded_amount": D(0)}),
		effects.Notify("refund_failed", "R1", told),
		effects.Notify("refund_came_back", "R1", told),
		effects.EnqueueAfterCommit(Job.ACCOUNT_FOR_REFUND, "RF"),
		effects.Commit(),
	]


@pytest.mark.parametrize(
	("kind", "intent", "books"),
	[
		("Requested", "pi_1", True),
		("Requested", "pi_2", False),
		("Duplicate", "pi_1", False),
		("Orphan", "pi_1", False),
	],
)
def test_only_what_was_invoiced_is_booked(kind, intent, books):
	view = replace(ASKED, kind=kind, intent=intent, taken=D(0), moves=0)
	asked, _ = record(replace(DONE, intent=intent), view, PAID)
	assert asked[1].values["accounting_status"] == ("Pending" if books else "Not Needed")
	assert (effects.EnqueueAfterCommit(Job.ACCOUNT_FOR_REFUND, "RF") in asked) == books
	assert not refund._to_book(None, view, view)


def test_a_refund_of_no_recharge_moves_nothing():
	view = replace(ASKED, kind="Orphan", recharge=None, taken=D(0))
	asked, word = record(DONE, view, None, recharge=None)
	written = values(accounting_status="Not Needed")
	assert (asked, word) == ([effects.UpdateRefund("RF", written), effects.Commit()], "Succeeded")
	asked, _ = record(replace(DONE, outcome=RefundOutcome.FAILED), view, None, recharge=None)
	assert asked[1] == effects.Notify("refund_failed", "", {"refund": "RF", "code": "c", "message": "m"})


def test_an_unclear_answer_is_asked_again_later():
	lost = RefundAnswer(RefundOutcome.UNKNOWN, code="timeout", message="lost", retry_after=90.0)
	asked, word = record(lost, replace(ASKED, asks=2))
	written = {
		"asks": 3,
		"code": "timeout",
		"message": "lost",
		"next_ask_at": NOW + timedelta(seconds=90),
		**FREE,
	}
	assert (asked, word) == ([effects.UpdateRefund("RF", written), effects.Commit()], "waiting")
	asked, _ = record(replace(lost, retry_after=None), replace(ASKED, asks=2))
	assert asked[0].values["next_ask_at"] == NOW + payment.backoff(2)


@pytest.mark.parametrize(
	("asks", "outcome", "told"),
	[
		(7, RefundOutcome.UNKNOWN, True),
		(6, RefundOutcome.UNKNOWN, False),
		(8, RefundOutcome.UNKNOWN, False),
		(0, RefundOutcome.UNKNOWN, False),
		(0, RefundOutcome.REFUSED, True),
		(1, RefundOutcome.REFUSED, False),
	],
)
def test_a_person_is_told_once_of_what_stays_unclear(asks, outcome, told):
	asked, _ = record(RefundAnswer(outcome, code="x"), replace(ASKED, asks=asks))
	notice = effects.Notify("refund_undecided", "R1", {"refund": "RF", "code": "x"})
	assert (notice in asked) == told
	asked, _ = record(RefundAnswer(outcome, code="x"), replace(ASKED, asks=asks, recharge=None))
	assert (replace(notice, recharge="") in asked) == told


def test_one_that_the_gateway_had_once_is_asked_about_now_and_then():
	gone = replace(ASKED, gateway_refund="re_1", asks=3)
	asked, _ = record(REFUSED, gone)
	assert asked[0].values["next_ask_at"] == NOW + 6 * HOUR
	asked, _ = record(RefundAnswer(RefundOutcome.UNKNOWN), gone)
	assert asked[0].values["next_ask_at"] == NOW + payment.backoff(3)
	asked, _ = record(REFUSED, replace(ASKED, asks=3))
	assert asked[0].values["next_ask_at"] == NOW + payment.backoff(3)


def test_nothing_is_written_for_others_but_facts():
	for view, word in ((None, "missing"), (replace(ASKED, lease_owner="you"), "lost"), (HELD, "lost")):
		assert record(RefundAnswer(RefundOutcome.UNKNOWN), view) == ([effects.Rollback()], word)
	asked, _ = record(DONE, replace(ASKED, lease_owner="you"))
	assert asked[1] == effects.UpdateRefund("RF", values())


@pytest.mark.parametrize(
	("answer", "wrong"),
	[
		({"amount": D(25)}, fit.Misfit("amount", "30", "25")),
		({"amount": D(35)}, fit.Misfit("amount", "≤ 30", "35")),
		({"amount": None}, fit.Misfit("amount", "≤ 30", "–")),
		({"currency": "JPY"}, fit.Misfit("currency", "USD", "JPY")),
	],
)
def test_other_money_under_its_key(answer, wrong):
	found = replace(DONE, **answer)
	asked, word = record(found)
	assert (asked, word) == (
		[
			effects.NoteDifference(
				"refund_does_not_fit", "re_1", "R1", "pi_1", found.amount, found.currency, (wrong,)
			),
			effects.UpdateRefund("RF", {"next_ask_at": NOW + 6 * HOUR, **FREE}),
			effects.Commit(),
		],
		"refund_does_not_fit",
	)


def test_nothing_new_lets_go_of_who_waited():
	known = replace(ASKED, gateway_refund="re_1")
	pending = replace(DONE, outcome=RefundOutcome.PENDING)
	waits = effects.UpdateRefund("RF", {"next_ask_at": NOW + 6 * HOUR, **FREE})
	assert record(pending, known) == ([waits, effects.Commit()], "known")
	done = replace(known, status="Succeeded")
	assert record(DONE, done) == ([effects.Rollback()], "known")
	assert record(pending, done) == ([effects.Rollback()], "known")
	unnamed = replace(ASKED, status="Failed")
	asked, word = record(replace(DONE, outcome=RefundOutcome.FAILED), unnamed)
	assert word == "Failed"


@pytest.mark.parametrize(
	("status", "known", "outdated"),
	[
		("Asked", "Asked", False),
		("Succeeded", "Asked", False),
		("Asked", "Succeeded", True),
		("Asked", "Failed", True),
		("Succeeded", "Failed", True),
		("Failed", "Succeeded", False),
		("Failed", "Failed", False),
		("Asked", "Held", False),
	],
)
def test_what_was_true_before_is_outdated(status, known, outdated):
	view = replace(ASKED, status=known, gateway_refund="re_1")
	assert refund.is_outdated(view, status) is outdated
	assert refund.is_outdated(replace(view, gateway_refund=None), status) is False


# -- hearing of one ----------------------------------------------------------------------------------------------


def test_one_made_at_the_gateway():
	answer = replace(DONE, reason="requested_by_customer")
	asked, word = ask(
		refund.hear("A", "R1", answer, None), Now=NOW, LockPayment=replace(PAID, refunds=()), TakeCredits="E1"
	)
	assert word == "Succeeded"
	assert asked == [
		effects.Now(),
		effects.LockAccount("A"),
		effects.LockRefund("re_1"),
		effects.LockPayment("R1"),
		effects.InsertRefund(
			"re_1",
			{
				"kind": "From Gateway",
				"status": "Asked",
				"amount": D(30),
				"currency": "USD",
				"intent": "pi_1",
				"account": "A",
				"recharge": "R1",
				"gateway_refund": "re_1",
				"reason": "requested_by_customer",
			},
		),
		effects.LockPayment("R1"),
		effects.UpdateRefund("re_1", values()),
		effects.HoldAutoRecharge("A", "Refund re_1"),
		effects.TakeCredits("A", "L", "Refund", D(30), "re_1", "re_1", "pi_1", None),
		effects.UpdateRefund("re_1", {"taken": D(30), "moves": 1, "hold_entry": "E1"}),
		effects.UpdateRecharge("R1", {"status": "Partly Refunded", "refunded_amount": D(30)}),
		effects.Notify("refunded_at_gateway", "R1", {"refund": "re_1", "code": "c", "message": "m"}),
		effects.EnqueueAfterCommit(Job.ACCOUNT_FOR_REFUND, "re_1"),
		effects.Commit(),
	]


def test_one_that_is_known_by_its_name_is_brought_in_line():
	asked, word = ask(refund.hear("A", "R1", DONE, "RF"), Now=NOW, LockRefund=ASKED, LockPayment=WITH)
	assert (asked[2], asked[4], word) == (
		effects.LockRefund("RF"),
		effects.UpdateRefund("RF", values()),
		"Succeeded",
	)


def test_one_of_another_payment_or_of_none_is_not_compared():
	asked, _ = ask(refund._misfits("R1", replace(DONE, intent="pi_2", amount=D(999))), LockPayment=PAID)
	assert ask(refund._misfits("R1", replace(DONE, intent="pi_2", amount=D(999))), LockPayment=PAID)[1] == ()
	assert ask(refund._misfits("R1", DONE), LockPayment=None)[1] == ()
	assert ask(refund._misfits("R1", replace(DONE, amount=D(999))), LockPayment=PAID)[1] != ()


def test_one_that_does_not_fit_its_payment_is_listed():
	asked, word = ask(refund.hear("A", "R1", replace(DONE, amount=D(101)), None), Now=NOW, LockPayment=PAID)
	wrong = (fit.Misfit("amount", "≤ 100", "101"),)
	assert (asked[4:], word) == (
		[
			effects.NoteDifference("refund_does_not_fit", "re_1", "R1", "pi_1", D(101), "USD", wrong),
			effects.Commit(),
		],
		"refund_does_not_fit",
	)
	assert refund._difference(None, replace(DONE, refund=None), ()).subject == ""


def test_what_there_is_nothing_to_do_about():
	for answer, recharge in (
		(DONE, None),
		(replace(DONE, outcome=RefundOutcome.FAILED), "R1"),
		(replace(DONE, outcome=RefundOutcome.UNKNOWN), "R1"),
	):
		asked, word = ask(refund.hear("A", recharge, answer, None), Now=NOW, LockPayment=PAID)
		assert (asked[-1], word) == (effects.Rollback(), "nothing to do")
	unclear = replace(DONE, outcome=RefundOutcome.UNKNOWN)
	asked, word = ask(refund.hear("A", "R1", unclear, "RF"), Now=NOW, LockRefund=ASKED, LockPayment=WITH)
	assert (asked[-1], word) == (effects.Rollback(), "nothing to do")


@pytest.mark.parametrize("missing", ["refund", "intent", "currency", "amount"])
def test_what_is_made_at_the_gateway_is_told_of_whole(missing):
	with pytest.raises(AssertionError):
		ask(refund._made_at_gateway("A", "R1", replace(DONE, **{missing: None})))


REFUNDS = [
	replace(HELD, name="other", intent="pi_2", gateway_refund="re_1"),
	replace(HELD, name="known", gateway_refund="re_1"),
	replace(HELD, name="asked"),
	replace(HELD, name="second", kind="Duplicate", amount=D(30)),
	replace(HELD, name="orphan", kind="Orphan", amount=D(40)),
	replace(HELD, name="sent", kind="Orphan", amount=D(50), gateway_refund="re_9"),
]


@pytest.mark.parametrize(
	("answer", "name"),
	[
		({"metadata": {"refund": "asked"}}, "asked"),
		({"metadata": {"attempt": "asked"}}, "asked"),
		({"metadata": {"refund": "asked", "attempt": "known"}}, "asked"),
		({"metadata": {"refund": "other"}}, "known"),
		({"metadata": {}}, "known"),
		({"refund": "re_7"}, "second"),
		({"refund": "re_7", "amount": D(40)}, "orphan"),
		({"refund": "re_7", "amount": D(50)}, None),
		({"refund": "re_7", "amount": D(30), "intent": "pi_2"}, None),
		({"intent": "pi_2", "metadata": {"refund": "asked"}}, "other"),
	],
)
def test_which_refund_here_the_gateways_is(answer, name):
	assert refund.named_by(replace(DONE, **answer), REFUNDS) == name


# -- what a sweeper finds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("change", "due"),
	[
		({}, True),
		({"status": "Asked"}, True),
		({"status": "Failed"}, False),
		({"status": "Succeeded", "next_ask_at": NOW}, False),
		({"next_ask_at": NOW}, True),
		({"next_ask_at": NOW + MINUTE}, False),
		({"lease_until": NOW}, True),
		({"lease_until": NOW + MINUTE}, False),
	],
)
def test_what_is_due(change, due):
	assert refund.is_due(replace(HELD, **change), NOW) is due


def test_a_refund_on_its_way_is_looked_at_every_six_hours():
	assert refund.CHECK_PENDING == 6 * HOUR


def test_a_second_capture_whose_refund_is_refused_is_asked_for_again():
	second = replace(ASKED, kind="Duplicate", intent="pi_2", taken=D(0), moves=0)
	asked, word = carry_out(second, AskRefund=REFUSED, LookUpRefund=None)
	assert (word, asked[-2].values["next_ask_at"]) == ("waiting", NOW + payment.backoff(0))
	gone = replace(REFUSED, code="charge_already_refunded")
	assert carry_out(second, AskRefund=gone, LookUpRefund=None)[1] == "Failed"


def test_a_refund_that_was_proven_not_to_be_ends_now():
	asked, word = record(replace(REFUSED, outcome=RefundOutcome.FAILED))
	assert (word, asked[1].values["ended_at"], asked[1].values["gateway_refund"]) == ("Failed", NOW, None)
