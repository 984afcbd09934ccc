"""Disputes and fraud warnings, driven over an account in memory."""

from datetime import timedelta

import pytest

from crm_recharge.domain import dispute
from crm_recharge.domain.answers import DisputeAnswer
from crm_recharge.domain.book import CHARGEBACK, REINSTATEMENT
from crm_recharge.domain.tests.takeback_world import ACCOUNT, D, World

FIRST, SECOND = "dp_00001", "dp_00002"
"""The disputes that the gateway makes."""


def told(world):
	return [kind for kind, _ in world.committed.told]


def hear(world, name=FIRST):
	return world.hear_dispute(name).finish()


def remaining(world, recharge):
	return world.committed.book.lots[world.committed.recharges[recharge].lot].remaining


def opened(world, recharge="R1", amount=None):
	name = world.gateway.open_dispute(f"pi_{recharge}", amount and D(amount))
	assert hear(world, name) == "Open"
	return name


def closed(world, name, status):
	world.gateway.change_dispute(name, status)
	return hear(world, name)


@pytest.mark.parametrize(
	("status", "ours"),
	[
		("warning_needs_response", "Inquiry"),
		("warning_under_review", "Inquiry"),
		("warning_closed", "Won"),
		("prevented", "Won"),
		("charge_refunded", "Won"),
		("needs_response", "Open"),
		("under_review", "Open"),
		("something_new", "Open"),
		("won", "Won"),
		("lost", "Lost"),
	],
)
def test_what_the_gateways_words_mean(status, ours):
	assert dispute.status_of(DisputeAnswer("dp", status, "general", D(1), "USD")) == ours


def test_opened_takes_the_unused_credits_and_the_used_become_debt():
	world = World(100)
	world.use(60)
	opened(world)
	last = world.committed.book.entries[-1]
	assert (last.entry_type, last.amount, world.committed.book.balance) == (CHARGEBACK, -100, -60)
	assert last.lots == [(world.committed.recharges["R1"].lot, -40)]
	assert world.committed.recharges["R1"].status == "Disputed"
	assert (world.committed.status, world.committed.held) == ("Disputed", f"Dispute {FIRST}")
	assert world.committed.disputes[FIRST]["taken"] == 100
	assert told(world) == ["dispute_alert", "dispute_opened"]
	assert world.committed.jobs == [("account_for_dispute", FIRST)]
	assert not world.committed.started_by
	world.check()


def test_exactly_that_payments_credits_go_first():
	world = World(100, 60)
	world.use(30)
	opened(world, "R2")
	assert (remaining(world, "R1"), remaining(world, "R2"), world.committed.book.balance) == (70, 0, 70)


def test_won_gives_each_lot_its_own_back():
	world = World(100, 60)
	world.use(70)
	opened(world)  # 30 unused, 70 used: those come out of the other payment's 60, 10 become debt
	assert (remaining(world, "R1"), remaining(world, "R2"), world.committed.book.balance) == (0, 0, -10)
	assert closed(world, FIRST, "won") == "Won"
	assert (remaining(world, "R1"), remaining(world, "R2"), world.committed.book.balance) == (30, 60, 90)
	last = world.committed.book.entries[-1]
	assert (last.entry_type, last.amount) == (REINSTATEMENT, 100)
	world.check()


def test_won_lifts_the_flag_but_not_the_hold():
	world = World(100)
	opened(world)
	closed(world, FIRST, "won")
	assert (world.committed.status, world.committed.recharges["R1"].status) == ("Active", "Succeeded")
	assert world.committed.held == f"Dispute {FIRST}"
	world.use(90)
	assert world.committed.started_by == []
	assert told(world)[-1] == "dispute_won"


def test_the_flag_stays_while_another_dispute_is_open():
	world = World(100, 60)
	opened(world, "R1"), opened(world, "R2")
	closed(world, FIRST, "won")
	assert world.committed.status == "Disputed"
	closed(world, SECOND, "won")
	assert world.committed.status == "Active"


def test_the_flag_stays_for_one_that_was_lost_until_a_person_has_looked():
	world = World(100, 60)
	opened(world, "R1"), opened(world, "R2")
	closed(world, FIRST, "lost")
	closed(world, SECOND, "won")
	assert world.committed.status == "Disputed"
	world.committed.status, world.committed.held = "Active", None  # a person acts
	world.gateway.change_dispute(SECOND, "needs_response")
	hear(world, SECOND)
	closed(world, SECOND, "won")
	assert world.committed.status == "Active"


def test_an_account_that_a_person_disabled_stays_so():
	world = World(100)
	world.committed.status = "Disabled"
	opened(world)
	assert world.committed.status == "Disabled"
	assert world.committed.held == f"Dispute {FIRST}"
	closed(world, FIRST, "won")
	assert world.committed.status == "Disabled"


def test_lost_leaves_all_as_it_is_and_flagged():
	world = World(100)
	world.use(20)
	opened(world)
	rows = len(world.committed.book.entries)
	assert closed(world, FIRST, "lost") == "Lost"
	assert len(world.committed.book.entries) == rows
	assert (world.committed.status, world.committed.recharges["R1"].status) == ("Disputed", "Charged Back")
	assert told(world)[-1] == "dispute_lost"
	assert world.committed.jobs[-1] == ("account_for_dispute", FIRST)


def test_first_heard_of_when_it_is_lost_already():
	world = World(100)
	world.gateway.open_dispute("pi_R1")
	world.gateway.change_dispute(FIRST, "lost")
	assert hear(world) == "Lost"
	assert (world.committed.book.balance, world.committed.status) == (0, "Disputed")
	assert world.committed.disputes[FIRST]["closed_at"] == world.now


def test_won_after_lost_gives_back():
	world = World(100)
	opened(world)
	closed(world, FIRST, "lost")
	closed(world, FIRST, "won")
	assert world.committed.book.balance == 100
	assert world.committed.recharges["R1"].status == "Succeeded"


def test_an_inquiry_moves_nothing_until_it_becomes_a_dispute():
	world = World(100)
	world.gateway.open_dispute("pi_R1", status="warning_needs_response")
	assert hear(world) == "Inquiry"
	assert (world.committed.book.balance, world.committed.status, world.committed.held) == (
		100,
		"Active",
		None,
	)
	assert (told(world), world.committed.jobs) == (["dispute_inquiry"], [])
	world.gateway.change_dispute(FIRST, "needs_response")
	assert hear(world) == "Open"
	assert world.committed.book.balance == 0


def test_an_inquiry_that_comes_to_nothing_is_told_to_nobody():
	world = World(100)
	world.gateway.open_dispute("pi_R1", status="warning_needs_response")
	hear(world)
	closed(world, FIRST, "warning_closed")
	assert told(world) == ["dispute_inquiry"]
	assert world.committed.jobs == []


def test_a_part_of_the_payment_is_disputed():
	world = World(100)
	opened(world, amount=30)
	assert (world.committed.book.balance, world.committed.disputes[FIRST]["taken"]) == (70, 30)


def test_only_what_was_not_refunded_is_taken():
	world = World(100)
	world.work(world.request(amount=70).finish()).finish()
	world.gateway.claim(FIRST, "pi_R1", D(100))
	assert hear(world) == "Open"
	assert (world.committed.disputes[FIRST]["taken"], world.committed.book.balance) == (30, 0)
	world.check()


def test_a_dispute_of_what_was_refunded_whole_still_holds_auto_recharge():
	world = World(100, falls_below=D(0))
	world.work(world.request().finish()).finish()
	world.committed.held = None
	world.gateway.claim(FIRST, "pi_R1", D(100))
	assert hear(world) == "Open"
	assert world.committed.disputes[FIRST].get("moves", 0) == 0
	assert (world.committed.held, world.committed.status) == (f"Dispute {FIRST}", "Disputed")


def test_a_refund_that_is_refused_because_of_a_dispute_leaves_its_credits_to_the_dispute():
	world = World(100)
	name = world.request().finish()
	world.gateway.open_dispute("pi_R1")
	assert hear(world) == "Open"
	assert world.committed.disputes[FIRST].get("moves", 0) == 0  # all of it is held for the refund
	assert world.work(name).finish() == "Failed"
	assert (world.committed.book.balance, world.committed.disputes[FIRST]["taken"]) == (0, 100)
	assert world.committed.held == f"Dispute {FIRST}"
	world.check()


def test_a_refund_heard_of_after_the_dispute_is_not_taken_twice():
	world = World(100)
	world.gateway.make_refund("pi_R1", D(60))
	world.gateway.claim(FIRST, "pi_R1", D(100))
	hear(world)
	assert world.committed.book.balance == 0
	world.deliver().finish()
	assert world.committed.book.balance == 0
	assert (world.committed.refunds["re_0000001"]["taken"], world.committed.disputes[FIRST]["taken"]) == (
		60,
		40,
	)
	world.check()


def test_an_answer_that_was_overtaken_is_not_used():
	world = World(100)
	world.gateway.open_dispute("pi_R1")
	late = world.hear_dispute(FIRST)
	hear(world)
	closed(world, FIRST, "won")
	assert late.finish() == dispute.AGAIN
	assert (world.committed.book.balance, world.committed.disputes[FIRST]["status"]) == (100, "Won")


def test_heard_twice_is_once():
	world = World(100)
	opened(world)
	assert hear(world) == "Open"
	assert len([e for e in world.committed.book.entries if e.entry_type == CHARGEBACK]) == 1
	assert told(world) == ["dispute_alert", "dispute_opened"]
	assert len(world.committed.jobs) == 1


@pytest.mark.parametrize("deaths", range(40))
def test_a_worker_may_die_at_any_step(deaths):
	world = World(100, 60)
	world.use(70)
	for status in ("needs_response", "won", "lost"):
		if status == "needs_response":
			world.gateway.open_dispute("pi_R1")
		else:
			world.gateway.change_dispute(FIRST, status)
		run = world.hear_dispute(FIRST)
		for _ in range(deaths):
			run.step()
		if not run.is_over:
			run.die()
		world.check()
	world.come_to_rest()
	world.check_rest()


# -- auto-recharge -------------------------------------------------------------------------------------------


def test_a_recharge_that_no_card_was_asked_for_is_called_off():
	world = World(100, falls_below=D(20))
	world.use(85)
	queued = world.committed.open_recharge
	assert queued
	opened(world)
	assert world.committed.open_recharge is None
	assert world.committed.recharges[queued].status == "Cancelled"


def test_one_that_a_card_was_asked_for_is_left_to_its_answer():
	world = World(100, falls_below=D(20))
	world.use(85)
	queued = world.committed.open_recharge
	world.ask_a_card(queued)
	opened(world)
	assert world.committed.open_recharge == queued


def test_only_a_person_lifts_the_hold():
	world = World(100, 60, falls_below=D(20))
	opened(world)
	closed(world, FIRST, "won")
	name = world.request("R2").finish()
	world.gateway.captured["pi_R2"] = D(0)
	assert world.work(name).finish() == "Failed"
	assert world.committed.held == f"Dispute {FIRST}"


# -- warnings ------------------------------------------------------------------------------------------------


def test_a_fraud_warning_holds_and_tells_once():
	world = World(100, falls_below=D(20))
	for word in ("Warning", "known"):
		machine = dispute.warn(ACCOUNT, "R1", "issfr_1", "pi_R1", "made_with_stolen_card")
		assert world.run(machine).finish() == word
	assert world.committed.disputes["issfr_1"]["status"] == "Warning"
	assert (world.committed.held, world.committed.status) == ("Fraud warning issfr_1", "Active")
	assert world.committed.book.balance == 100
	assert told(world) == ["fraud_warning"]
	world.use(90)
	assert world.committed.open_recharge is None


def test_a_warning_claims_nothing_when_a_refund_follows():
	world = World(100)
	world.run(dispute.warn(ACCOUNT, "R1", "issfr_1", "pi_R1", None)).finish()
	world.work(world.request().finish()).finish()
	assert world.committed.recharges["R1"].status == "Refunded"
	world.now += timedelta(hours=1)
	world.check()


@pytest.mark.parametrize(
	("amount", "currency", "taken", "listed"),
	[(D(100), "USD", 100, 0), (D(40), "USD", 40, 0), (D(150), "USD", 100, 1), (D(15000), "JPY", 100, 1)],
)
def test_a_dispute_claims_no_more_than_was_paid_and_one_that_does_not_fit_is_listed(
	amount, currency, taken, listed
):
	world = World(100)
	answer = DisputeAnswer("dp_9", "needs_response", "fraudulent", amount, currency, intent="pi_R1")
	assert world.run(dispute.follow(ACCOUNT, "R1", answer, 0)).finish() == "Open"
	assert world.run(dispute.follow(ACCOUNT, "R1", answer, 1)).finish() == "Open"
	assert world.committed.book.balance == 100 - taken
	assert [d.kind for d in world.committed.differences] == [dispute.DOES_NOT_FIT] * listed
