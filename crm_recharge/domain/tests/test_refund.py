"""Refunds, driven step by step over an account in memory."""

from dataclasses import replace
from datetime import timedelta

import pytest

from crm_recharge.domain import effects, payment, refund, takeback
from crm_recharge.domain.answers import RefundAnswer, RefundOutcome
from crm_recharge.domain.book import REFUND, REINSTATEMENT
from crm_recharge.domain.errors import InvalidRequest
from crm_recharge.domain.payment import REPLAY_WINDOW
from crm_recharge.domain.takeback import PaymentView, RefundView
from crm_recharge.domain.tests.takeback_world import ACCOUNT, D, World

FIRST = "re_0000001"
"""The first refund that the gateway makes."""

PAID = PaymentView(
	"R1", ACCOUNT, "Succeeded", D(100), "USD", intent="pi_R1", lot="L", bought=D(100), unused=D("40.127")
)


def asked(world, **more) -> str:
	"""A refund that was asked for; its name."""
	return world.request(**more).finish()


def row(world, name):
	return world.committed.refunds[name]


def told(world):
	return [kind for kind, _ in world.committed.told]


def until(run, effect_class):
	"""Step `run` until the effect that waits is an `effect_class`."""
	while not isinstance(run.effect, effect_class):
		assert run.step()
	return run.effect


# -- how much ------------------------------------------------------------------------------------------------


def test_all_that_is_unused_in_whole_coins():
	assert refund.refundable(PAID, "R1", None) == D("40.12")
	assert refund.refundable(PAID, "R1", D("40.12")) == D("40.12")
	assert refund.refundable(replace(PAID, currency="JPY"), "R1", None) == 40


@pytest.mark.parametrize(
	("paid", "amount", "code"),
	[
		(None, None, "not_paid"),
		(replace(PAID, intent=None, lot=None, status="Failed"), None, "not_paid"),
		(replace(PAID, status="Disputed"), None, "recharge_disputed"),
		(replace(PAID, status="Charged Back"), D(1), "recharge_disputed"),
		(replace(PAID, unused=D("0.009")), None, "nothing_to_refund"),
		(PAID, D("40.13"), "more_than_unused"),
		(PAID, D("1.005"), "refund_too_fine"),
	],
)
def test_what_cannot_be_refunded(paid, amount, code):
	with pytest.raises(InvalidRequest) as error:
		refund.refundable(paid, "R1", amount)
	assert error.value.code == code


def test_nothing_is_written_when_it_is_refused():
	world = World(100)
	world.use(100)
	with pytest.raises(InvalidRequest):
		world.request().finish()
	assert world.holder is None and world.committed.refunds == {}


# -- the straight way ----------------------------------------------------------------------------------------


def test_the_credits_are_taken_before_the_gateway_hears_of_it():
	world = World(100)
	world.use(30)
	name = asked(world)
	assert (row(world, name)["status"], row(world, name)["amount"], row(world, name)["taken"]) == (
		"Held",
		70,
		70,
	)
	assert world.committed.book.balance == 0
	assert world.committed.jobs == [("refund", name)]
	run = world.work(name)
	ask = until(run, effects.AskRefund)
	assert (ask.key, ask.intent, ask.amount, ask.currency) == (name, "pi_R1", 70, "USD")
	assert row(world, name)["status"] == "Asked" and world.holder is None
	assert run.finish() == "Succeeded"
	assert row(world, name)["gateway_refund"] == FIRST
	assert row(world, name)["lease_owner"] is None
	assert (world.committed.recharges["R1"].status, world.committed.recharges["R1"].refunded) == (
		"Partly Refunded",
		70,
	)
	assert row(world, name)["accounting_status"] == "Pending"
	assert world.committed.jobs[-1] == ("account_for_refund", name)
	assert told(world) == ["refund_done"]
	world.check_rest()


def test_one_payment_is_taken_from_and_the_other_left_alone():
	world = World(100, 60)
	name = asked(world, recharge="R2", amount=25)
	entry = world.committed.book.entries[-1]
	lot = world.committed.recharges["R2"].lot
	assert (entry.entry_type, entry.amount, entry.lots) == (REFUND, -25, [(lot, -25)])
	assert (entry.reference_name, entry.gateway_reference) == (name, "pi_R2")
	world.work(name).finish()
	assert world.committed.recharges["R1"].status == "Succeeded"
	assert world.committed.recharges["R2"].status == "Partly Refunded"


def test_what_is_left_is_refunded_by_the_next_one():
	world = World(100)
	for amount in (30, None):
		world.work(asked(world, amount=amount, key=str(amount))).finish()
	assert world.committed.recharges["R1"].status == "Refunded"
	assert world.gateway.left("pi_R1") == 0
	world.check_rest()


def test_the_same_request_is_the_same_refund():
	world = World(100)
	first = asked(world, amount=10, key="same")
	assert asked(world, amount=10, key="same") == first
	assert len(world.committed.refunds) == 1


def test_two_requests_at_once_never_take_more_than_there_is():
	world = World(100)
	one, two = world.request(amount=80, key="1"), world.request(amount=80, key="2")
	assert one.step() and one.step()
	while two.step():
		pass
	one.finish()
	with pytest.raises(InvalidRequest) as error:
		two.finish()
	assert error.value.code == "more_than_unused"


# -- unclear answers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["lost_before", "lost_after"])
def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(fault):
	world = World(100)
	name = asked(world)
	world.gateway.fault = fault
	assert world.work(name).finish() == "waiting"
	assert row(world, name)["next_ask_at"] == world.now + payment.backoff(0)
	assert world.work(name).finish() == "not yet"
	world.now += timedelta(minutes=1)
	assert world.work(name).finish() == "Succeeded"
	assert world.gateway.asked == [name, name]
	assert len(world.gateway.refunds) == 1
	world.check_rest()


def test_after_many_unclear_answers_a_person_is_told_once():
	world = World(100)
	name = asked(world)
	for _ in range(12):
		world.gateway.fault = "lost_before"
		world.work(name).finish()
		world.now += timedelta(minutes=16)
	assert told(world) == ["refund_undecided"]
	assert row(world, name)["asks"] == 12


def test_a_refusal_after_a_lost_answer_does_not_prove_that_nothing_happened():
	world = World(100)
	name = asked(world)
	world.gateway.fault = "lost_after"
	world.work(name).finish()
	world.now += timedelta(minutes=1)
	world.gateway.fault = "refused"
	assert world.work(name).finish() == "Succeeded"
	assert told(world) == ["refund_done"]
	assert world.committed.book.balance == 0


def test_a_refusal_that_cannot_be_looked_behind_stays_open():
	world = World(100)
	name = asked(world)
	run = world.work(name)
	until(run, effects.AskRefund)
	world.gateway.fault = "refused"
	run.step()
	until(run, effects.LookUpRefund)
	run.answer(RefundAnswer(RefundOutcome.REFUSED, code="authentication_failure"))
	assert run.finish() == "waiting"
	assert row(world, name)["status"] == "Asked"
	assert told(world) == ["refund_undecided"]


def test_a_proven_refusal_gives_the_credits_back():
	world = World(100)
	name = asked(world)
	assert world.committed.held == f"Refund {name}"
	world.gateway.captured["pi_R1"] = D(0)  # the gateway has nothing left of it
	assert world.work(name).finish() == "Failed"
	last = world.committed.book.entries[-1]
	assert (last.entry_type, last.amount) == (REINSTATEMENT, 100)
	assert world.committed.held is None
	assert told(world) == ["refund_failed"]
	assert world.committed.recharges["R1"].status == "Succeeded"
	world.check()


def test_a_key_that_is_too_old_is_looked_up_before_it_is_asked_again():
	world = World(100)
	name = asked(world)
	world.gateway.fault = "lost_after"
	world.work(name).finish()
	world.gateway.keys.clear()
	world.now += timedelta(hours=24)
	assert world.work(name).finish() == "Succeeded"
	assert world.gateway.asked == [name]
	assert len(world.gateway.refunds) == 1


def test_what_never_reached_the_gateway_is_asked_anew():
	world = World(100)
	name = asked(world)
	world.gateway.fault = "lost_before"
	world.work(name).finish()
	world.gateway.keys.clear()
	world.now += timedelta(hours=24)
	assert world.work(name).finish() == "Succeeded"
	assert world.gateway.asked == [name, name]
	assert row(world, name)["asked_at"] == world.now


def test_a_worker_that_has_slept_too_long_asks_nothing():
	world = World(100)
	name = asked(world, amount=40)
	world.gateway.fault = "lost_after"
	world.work(name).finish()
	world.now += REPLAY_WINDOW - timedelta(hours=1)
	sleeper = world.work(name)
	until(sleeper, effects.AskRefund)
	world.now += timedelta(hours=3)
	world.gateway.keys.clear()
	assert sleeper.finish() == "waiting"
	assert len(world.gateway.refunds) == 1
	world.now += timedelta(minutes=1)
	assert world.work(name).finish() == "Succeeded"
	assert (len(world.gateway.refunds), world.gateway.asked) == (1, [name])


def test_asked_anew_the_time_of_its_key_begins_anew():
	world = World(100)
	name = asked(world)
	world.gateway.fault = "lost_before"
	world.work(name).finish()
	world.now += timedelta(hours=24)
	run = world.work(name)
	until(run, effects.AskRefund)
	assert run.effect.until == world.now + payment.REPLAY_WINDOW


def test_pending_stays_asked_until_the_gateway_says_more():
	world = World(100)
	world.gateway.pending = True
	name = asked(world)
	assert world.work(name).finish() == "Asked"
	assert row(world, name)["next_ask_at"] == world.now + refund.CHECK_PENDING
	assert world.committed.recharges["R1"].status == "Succeeded"
	world.gateway.change_refund(FIRST, "succeeded")
	assert [world.deliver().finish() for _ in range(len(world.gateway.news))]
	assert row(world, name)["status"] == "Succeeded"
	assert world.gateway.asked == [name]
	world.check_rest()


def test_a_pending_refund_is_looked_at_when_its_webhook_is_lost():
	world = World(100)
	world.gateway.pending = True
	name = asked(world)
	world.work(name).finish()
	world.gateway.change_refund(FIRST, "failed", told=False)
	world.now += refund.CHECK_PENDING
	assert world.due() == [name]
	assert world.work(name).finish() == "Failed"
	assert world.committed.book.balance == 100


# -- two workers ---------------------------------------------------------------------------------------------


def test_two_workers_never_work_on_one_refund():
	world = World(100)
	name = asked(world)
	first = world.work(name)
	until(first, effects.AskRefund)
	assert world.work(name).finish() == "leased"
	assert world.due() == []


def test_a_dead_workers_refund_is_taken_up_when_its_lease_is_over():
	world = World(100)
	name = asked(world)
	first = world.work(name)
	until(first, effects.AskRefund)
	first.step()  # the gateway has done it, and nobody is left to write that down
	first.die()
	world.now += payment.LEASE
	assert world.due() == [name]
	assert world.work(name).finish() == "Succeeded"
	assert len(world.gateway.refunds) == 1


def test_one_who_comes_back_late_writes_the_gateways_facts_but_no_doubts():
	world = World(100)
	name = asked(world)
	slow = world.work(name)
	until(slow, effects.AskRefund)
	world.now += payment.LEASE
	world.gateway.fault = "lost_before"
	other = world.work(name)
	until(other, effects.AskRefund)
	assert slow.finish() == "lost"  # its answer was lost
	assert "asks" not in row(world, name)
	world.now += payment.LEASE
	third = world.work(name)
	until(third, effects.AskRefund)
	assert other.finish() == "Succeeded"
	assert row(world, name)["status"] == "Succeeded"
	assert third.finish() == "known"


@pytest.mark.parametrize("deaths", range(40))
def test_a_worker_may_die_at_any_step(deaths):
	world = World(100, falls_below=D(5))
	world.use(10)
	machine = world.request(amount=50, name="RF")
	for _ in range(deaths):
		machine.step()
	if not machine.is_over:
		machine.die()
	if "RF" in world.committed.refunds:
		run = world.work("RF")
		for _ in range(deaths):
			run.step()
		if not run.is_over:
			run.die()
	world.come_to_rest()
	world.check_rest()


# -- refunds made at the gateway -----------------------------------------------------------------------------


def test_one_made_in_the_dashboard_takes_the_unused_credits_and_the_used_become_debt():
	world = World(100)
	world.use(60)
	world.gateway.make_refund("pi_R1", D(100))
	world.deliver().finish()
	made = row(world, FIRST)
	assert (made["kind"], made["status"], made["taken"]) == ("From Gateway", "Succeeded", 100)
	assert world.committed.book.balance == -60
	assert world.committed.held == "Refund " + FIRST
	assert world.committed.started_by == []
	assert told(world) == ["refunded_at_gateway"]
	world.check_rest()


def test_heard_twice_is_once():
	world = World(100)
	world.gateway.make_refund("pi_R1", D(40))
	for _ in range(2):
		for run in world.hear_refunds():
			run.finish()
	late = world.hear_refunds()
	world.gateway.make_refund("pi_R1", D(10))
	for run in [*world.hear_refunds(), *late]:
		run.finish()
	assert world.committed.book.balance == 50
	assert told(world) == ["refunded_at_gateway"] * 2
	world.check_rest()


def test_two_webhooks_at_once_write_it_once():
	world = World(100)
	world.gateway.make_refund("pi_R1", D(40))
	one, two = world.hear_refunds() + world.hear_refunds()
	one.step(), one.step()
	while two.step():
		pass
	one.finish()
	assert two.finish() == "known"
	assert world.committed.book.balance == 60


def test_one_that_fails_later_gives_the_credits_back_and_old_news_of_it_changes_nothing():
	world = World(100)
	name = asked(world, amount=100)
	world.work(name).finish()
	old = world.hear_refunds()
	world.gateway.change_refund(FIRST, "failed")
	world.come_to_rest()
	assert (row(world, name)["status"], world.committed.book.balance) == ("Failed", 100)
	assert world.committed.recharges["R1"].status == "Succeeded"
	assert row(world, name)["accounting_status"] == "Pending"  # its documents must go
	assert told(world) == ["refund_done", "refund_failed", "refund_came_back"]
	for run in old:
		assert run.finish() == "known"
	world.check_rest()


def test_a_refund_that_was_believed_dead_is_taken_over_when_it_shows_up():
	world = World(100)
	name = asked(world, amount=100)
	run = world.work(name)
	until(run, effects.AskRefund)
	run.answer(RefundAnswer(RefundOutcome.REFUSED, code="no"))
	assert run.finish() == "Failed"
	assert world.committed.book.balance == 100
	world.gateway.make_refund("pi_R1", D(100), key=name)
	world.come_to_rest()
	assert (row(world, name)["status"], world.committed.book.balance) == ("Succeeded", 0)
	world.check_rest()


def test_asked_here_and_made_there_at_once_takes_the_payment_back_once():
	world = World(100)
	world.use(20)
	name = asked(world)
	world.gateway.make_refund("pi_R1", D(100))
	world.deliver().finish()
	assert world.committed.book.balance == -20
	assert row(world, name)["taken"] == 0
	assert world.work(name).finish() == "Failed"
	assert world.committed.book.balance == -20
	world.come_to_rest()
	world.check_rest()


def test_a_capture_that_bought_nothing_takes_no_credits():
	world = World(100)
	world.gateway.captured["pi_twice"] = D(100)
	view = {"kind": "Duplicate", "status": "Held", "amount": D(100), "currency": "USD", "intent": "pi_twice"}
	world.committed.refunds["RF-TWICE"] = {"name": "RF-TWICE", "recharge": "R1", "account": ACCOUNT, **view}
	assert world.work("RF-TWICE").finish() == "Succeeded"
	assert world.committed.book.balance == 100
	assert (world.committed.recharges["R1"].status, world.committed.recharges["R1"].refunded) == (
		"Succeeded",
		0,
	)
	assert row(world, "RF-TWICE")["accounting_status"] == "Not Needed"
	assert world.committed.jobs == []


def test_an_orphan_has_no_account_to_lock():
	orphan = RefundView("RF-O", "Orphan", "Held", D(5), "USD", "pi_o")
	machine = refund.carry_out(None, None, "RF-O", "me")
	assert isinstance(machine.send(None), effects.Now)
	assert isinstance(machine.send(World().now), effects.LockRefund)
	assert isinstance(machine.send(orphan), effects.UpdateRefund)


# -- auto-recharge -------------------------------------------------------------------------------------------


def test_a_refund_down_to_the_level_holds_auto_recharge_and_starts_none():
	world = World(100, falls_below=D(20))
	name = asked(world, amount=80)
	assert world.committed.held == f"Refund {name}"
	assert world.committed.open_recharge is None
	world.use(5)
	assert world.committed.open_recharge is None


def test_a_refund_that_stays_above_the_level_holds_nothing():
	world = World(100, falls_below=D(20))
	asked(world, amount=79)
	assert world.committed.held is None
	world.use(5)
	assert world.committed.started_by == ["Usage"]


def test_without_auto_recharge_there_is_nothing_to_hold():
	world = World(100, enabled=False)
	asked(world)
	assert world.committed.held is None


# -- marks ---------------------------------------------------------------------------------------------------


def test_marks_are_added_once_and_dropped_alone():
	held = takeback.add_mark(takeback.add_mark(None, "Refund A"), "Dispute B")
	assert takeback.add_mark(held, "Refund A") == held == "Refund A, Dispute B"
	assert takeback.drop_mark(held, "Refund A") == "Dispute B"
	assert takeback.drop_mark("Dispute B", "Dispute B") is None
	assert takeback.drop_mark("a person's own words", "Refund A") == "a person's own words"


def test_what_does_not_fit_holds_until_a_person_looks():
	held = None
	for number in range(30):
		held = takeback.add_mark(held, f"Dispute dp_{number:020}")
		assert len(held) <= takeback.LONGEST_HOLD
	assert held.endswith(takeback.MORE)
	for number in range(30):
		held = takeback.drop_mark(held, f"Dispute dp_{number:020}")
	assert held == takeback.MORE
	assert takeback.has_mark(held, "Dispute dp_x")


# -- what does not fit ----------------------------------------------------------------------------------------


def answered(**more):
	values = {"refund": "re_9", "intent": "pi_R1", "amount": D(10), "currency": "USD", "metadata": {}}
	return RefundAnswer(RefundOutcome.SUCCEEDED, **(values | more))


@pytest.mark.parametrize(
	"wrong", [{"currency": "JPY", "amount": D(10000)}, {"currency": "JPY"}, {"amount": D(101)}]
)
def test_a_refund_that_does_not_fit_its_payment_moves_no_credits_and_is_listed_once(wrong):
	world = World(100)
	for _ in range(2):
		assert world.run(refund.hear(ACCOUNT, "R1", answered(**wrong), None)).finish() == refund.DOES_NOT_FIT
	assert world.committed.book.balance == 100 and not world.committed.refunds
	(difference,) = world.committed.differences
	assert (difference.kind, difference.subject, difference.intent) == (refund.DOES_NOT_FIT, "re_9", "pi_R1")


def test_a_refund_that_names_one_asked_for_here_but_is_other_money_is_one_of_its_own():
	world = World(100)
	name = asked(world, amount=10)
	other = answered(amount=D(25), metadata={"refund": name})
	assert world.run(refund.hear(ACCOUNT, "R1", other, name)).finish() == "Succeeded"
	assert (row(world, name)["status"], row(world, "re_9")["kind"]) == ("Held", "From Gateway")
	# 10 are set aside for what was asked for, 25 are gone.
	assert world.committed.book.balance == 65


def test_other_money_under_a_refunds_own_key_is_left_to_a_person():
	world = World(100)
	name = asked(world, amount=10)
	run = world.work(name)
	until(run, effects.AskRefund)
	world.gateway.make_refund("pi_R1", D(25), name)
	assert run.finish() == refund.DOES_NOT_FIT
	assert row(world, name)["status"] == "Asked" and row(world, name)["next_ask_at"] > world.now
	assert [d.subject for d in world.committed.differences] == [FIRST]
	assert world.committed.book.balance == 90


def test_a_refund_of_a_recharge_that_is_not_paid_leaves_its_status_alone():
	"""A capture that did not fit was refunded: the recharge it named has not been paid by that."""
	unpaid = PaymentView("R9", ACCOUNT, "Failed", D(100), "USD", refunds=())
	assert list(takeback.update_recharge(unpaid)) == []
