"""The simulated world: its storage forgets what was not committed, its gateway keeps its promises, and the
payment machine survives on it whatever is killed, lost or delayed."""

import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import count

import pytest

from crm_recharge.domain import cards, effects, payment, threshold
from crm_recharge.domain.answers import DeclineClass, Outcome, RefundOutcome
from crm_recharge.domain.caps import CapLimits
from crm_recharge.domain.errors import IdempotencyConflict, InsufficientCredits, InvalidRequest
from crm_recharge.domain.simulated import books, rows
from crm_recharge.domain.simulated.clock import Clock
from crm_recharge.domain.simulated.gateway import BEHAVIOURS, KEY_LIFE, PROCESSING_TIME, Fault, Gateway
from crm_recharge.domain.simulated.queue import Queue
from crm_recharge.domain.simulated.site import Site
from crm_recharge.domain.simulated.world import DuplicateKey, Locked, World
from crm_recharge.domain.usage import UsageRequest

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
D = Decimal
numbers = count()


def request(amount, key=None, **more):
	return UsageRequest(key or f"usage-{next(numbers)}", amount=D(amount), **more)


def charge(site, amount, key=None):
	return site.charge("A", request(amount, key), D(amount))


def site_with(*card_names, balance=60, faults=None, **more):
	site = Site(START, faults)
	site.open_account("A", "USD", card_names, opening_balance=D(balance), **more)
	return site


def account(site):
	return site.world.get(rows.CreditAccount, "A")


def setting(site):
	return site.world.get(rows.AutoRechargeSetting, "A")


def recharges(site):
	return site.world.all(rows.Recharge)


def attempts(site):
	return [(a.card.rpartition("/")[2], a.status, a.code) for a in site.world.all(rows.RechargeAttempt)]


# -- storage -----------------------------------------------------------------------------------------------


ROW = rows.CreditAccount("A", "USD")


def test_nobody_sees_what_is_not_committed_and_a_rollback_forgets_it():
	world = World()
	writer, reader = world.begin(), world.begin()
	writer.insert(ROW)
	writer.enqueue_after_commit("job", "R")
	assert writer.get(rows.CreditAccount, "A") == ROW
	assert reader.get(rows.CreditAccount, "A") is None
	writer.rollback()
	writer.commit()
	assert (world.get(rows.CreditAccount, "A"), len(world.queue)) == (None, 0)


def test_a_commit_writes_everything_then_enqueues():
	world = World()
	writer = world.begin()
	writer.insert(ROW)
	writer.update(rows.CreditAccount, "A", balance=D(5))
	writer.enqueue_after_commit("job", "R")
	assert len(world.queue) == 0
	writer.commit()
	assert (world.get(rows.CreditAccount, "A").balance, world.queue.take(), writer.is_idle) == (
		5,
		("job", "R"),
		True,
	)


def test_a_lock_keeps_others_out_until_the_transaction_ends():
	world = World()
	world.add(ROW)
	first, second = world.begin(), world.begin()
	first.lock(rows.CreditAccount, "A")
	first.lock(rows.CreditAccount, "A")
	with pytest.raises(Locked):
		second.lock(rows.CreditAccount, "A")
	second.lock(rows.CreditAccount, "B")
	first.commit()
	second.lock(rows.CreditAccount, "A")
	second.rollback()
	assert world.locks == {}


def test_keys_are_unique_even_for_two_who_insert_at_once():
	world = World()
	first, second = world.begin(), world.begin()
	first.insert(ROW)
	second.insert(ROW)
	with pytest.raises(DuplicateKey):
		first.insert(ROW)
	first.commit()
	with pytest.raises(DuplicateKey):
		second.commit()
	assert second.is_idle


def test_children_are_found_by_their_parent_committed_or_not():
	world = World()
	first, second = (rows.CreditLot(name, "A", None) for name in ("L1", "L2"))
	world.add(first)
	writer = world.begin()
	writer.insert(second)
	writer.insert(rows.CreditLot("L3", "B", None))
	assert [row.name for row in writer.all(rows.CreditLot, "A")] == ["L1", "L2"]
	assert [row.name for row in world.all(rows.CreditLot, "A")] == ["L1"]


def test_a_row_that_is_not_there_cannot_be_changed():
	with pytest.raises(KeyError):
		World().begin().update(rows.CreditAccount, "nobody", balance=D(1))


def test_the_clock_goes_forward_only_and_has_a_zone():
	clock = Clock(START)
	clock.advance(MINUTE)
	assert clock.now() == START + MINUTE
	with pytest.raises(ValueError, match="cannot go back"):
		clock.move_to(START)
	with pytest.raises(ValueError, match="zone"):
		Clock(datetime(2026, 3, 1))


def test_the_queue_keeps_order_takes_a_job_once_and_can_lose_everything():
	queue = Queue()
	for name in ("R1", "R2", "R1"):
		queue.put("job", name)
	assert queue.take() == ("job", "R1")
	assert (queue.lose_all(), queue.take()) == (1, None)


# -- gateway -----------------------------------------------------------------------------------------------


def gateway_with(behaviour, faults=None):
	clock = Clock(START)
	return Gateway(clock, {"pm": behaviour}, faults)


def ask(gateway, key="k", amount="450", payment_method="pm"):
	return gateway.charge(
		key=key, recharge="R", payment_method=payment_method, amount=D(amount), currency="USD"
	)


@pytest.mark.parametrize(
	("behaviour", "outcome", "decline_class", "is_open"),
	[
		("ok", Outcome.SUCCEEDED, None, False),
		("declined", Outcome.DECLINED, DeclineClass.TRY_LATER, True),
		("insufficient", Outcome.DECLINED, DeclineClass.TRY_LATER, True),
		("lost", Outcome.DECLINED, DeclineClass.PERMANENT, True),
		("stolen", Outcome.DECLINED, DeclineClass.PERMANENT, True),
		("fraud", Outcome.DECLINED, DeclineClass.FRAUD, True),
		("expired", Outcome.DECLINED, DeclineClass.EXPIRED, True),
		("authentication", Outcome.NEEDS_AUTHENTICATION, None, True),
		("processing", Outcome.PENDING, None, True),
		("slow", Outcome.UNKNOWN, None, True),
		("unreachable", Outcome.UNKNOWN, None, True),
		("refused", Outcome.ERROR, None, False),
		("bank", Outcome.SUCCEEDED, None, False),
	],
)
def test_each_behaviour_answers_as_its_card_would(behaviour, outcome, decline_class, is_open):
	answer = ask(gateway_with(behaviour))
	assert (answer.outcome, answer.decline_class, answer.intent_open) == (outcome, decline_class, is_open)


def test_every_behaviour_is_told_and_tested():
	tested = test_each_behaviour_answers_as_its_card_would.pytestmark[0].args[1]
	assert {row[0] for row in tested} == set(BEHAVIOURS)
	assert all(behaviour.meaning for behaviour in BEHAVIOURS.values())


def test_a_key_charges_once_and_tells_what_the_payment_is_now():
	gateway = gateway_with("processing")
	first = ask(gateway)
	gateway.clock.advance(PROCESSING_TIME)
	again = ask(gateway)
	assert (first.intent, again.outcome) == (again.intent, Outcome.SUCCEEDED)
	assert (len(gateway.intents), gateway.captured("R")) == (1, 450)


def test_after_a_day_the_key_is_forgotten_and_would_charge_again():
	gateway = gateway_with("ok")
	ask(gateway)
	gateway.clock.advance(KEY_LIFE - timedelta(seconds=1))
	ask(gateway)
	assert gateway.captured() == 450
	gateway.clock.advance(timedelta(seconds=1))
	ask(gateway)
	assert gateway.captured() == 900


def test_a_key_with_other_content_tells_the_first_payment():
	gateway = gateway_with("ok")
	first = ask(gateway)
	assert ask(gateway, amount="451").intent == first.intent
	assert gateway.captured() == 450


@pytest.mark.parametrize(
	("fault", "outcome", "charged"),
	[
		(Fault.LOST_BEFORE, Outcome.UNKNOWN, 0),
		(Fault.LOST_AFTER, Outcome.UNKNOWN, 450),
		(Fault.SERVER_ERROR, Outcome.UNKNOWN, 0),
		(Fault.SERVER_ERROR_AFTER, Outcome.UNKNOWN, 450),
		(Fault.RATE_LIMIT, Outcome.UNKNOWN, 0),
		(Fault.CONFLICT, Outcome.UNKNOWN, 0),
		(Fault.REVOKED, Outcome.ERROR, 0),
	],
)
def test_faults_are_seen_as_a_client_sees_them(fault, outcome, charged):
	gateway = gateway_with("ok", lambda what, key: fault)
	answer = ask(gateway)
	gateway.faults = None
	assert (answer.outcome, answer.intent, gateway.captured()) == (outcome, None, charged)
	found = gateway.look_up(key="k")
	assert (found is not None) == bool(charged)


def test_cancelling_closes_what_is_open_and_tells_what_was_faster():
	gateway = gateway_with("declined")
	intent = ask(gateway).intent
	assert gateway.cancel(intent=intent, key="c").outcome is Outcome.CANCELLED
	assert gateway.cancel(intent=intent, key="c").outcome is Outcome.CANCELLED
	assert ask(gateway).outcome is Outcome.CANCELLED
	paid = gateway_with("ok")
	assert paid.cancel(intent=ask(paid).intent, key="c").outcome is Outcome.SUCCEEDED
	under_way = gateway_with("processing")
	assert under_way.cancel(intent=ask(under_way).intent, key="c").outcome is Outcome.PENDING
	assert under_way.cancel(intent="pi_none", key="c").code == "resource_missing"


def test_the_card_holder_may_complete_or_fail_the_banks_check():
	gateway = gateway_with("authentication")
	gateway.authenticate(ask(gateway, "a").intent)
	gateway.authenticate(ask(gateway, "b").intent, succeeds=False)
	assert ask(gateway, "a").outcome is Outcome.SUCCEEDED
	assert ask(gateway, "b").outcome is Outcome.DECLINED


def test_refunds_go_back_once_and_never_more_than_was_paid():
	gateway = gateway_with("ok")
	intent = ask(gateway).intent
	first = gateway.refund(key="r1", intent=intent, amount=D(400))
	assert (first.outcome, gateway.refund(key="r1", intent=intent, amount=D(400))) == (
		RefundOutcome.SUCCEEDED,
		first,
	)
	assert gateway.refund(key="r2", intent=intent, amount=D("50.01")).outcome is RefundOutcome.REFUSED
	assert gateway.captured("R") == 50
	gateway.faults = lambda what, key: Fault.LOST_AFTER
	assert gateway.refund(key="r3", intent=intent, amount=D(50)).outcome is RefundOutcome.UNKNOWN
	assert gateway.captured("R") == 0


def test_events_tell_every_change_of_a_payment():
	gateway = gateway_with("authentication")
	gateway.authenticate(ask(gateway).intent)
	kinds = [event.type for event in gateway.events]
	assert kinds == ["payment_intent.requires_action", "payment_intent.succeeded"]
	assert len({event.name for event in gateway.events}) == 2


# -- charging ----------------------------------------------------------------------------------------------


def test_a_charge_that_crosses_the_threshold_recharges_at_once():
	site = site_with("ok")
	charged = charge(site, 10)
	assert (charged.entry.balance_after, charged.recharge) == (50, recharges(site)[0].name)
	assert (account(site).open_recharge, account(site).balance) == (charged.recharge, 50)
	site.pass_time_until(START + timedelta(seconds=2))
	assert (account(site).balance, account(site).open_recharge) == (500, None)
	(recharge,) = recharges(site)
	assert (recharge.status, recharge.amount) == (payment.SUCCEEDED, 450)
	assert recharge.settled_at - recharge.created_at < timedelta(seconds=2)
	assert site.breaches() == []


def test_the_recharge_is_written_in_the_transaction_of_the_usage_or_not_at_all():
	site = site_with("ok")
	transaction = site.world.begin()
	run = site.performer.start(books.charge(transaction, "A", request(10), D(10)), transaction)
	while not isinstance(run.peek(), effects.Commit):
		run.step()
	assert len(transaction.all(rows.Recharge, "A")) == 1
	run.kill()
	assert (recharges(site), account(site).balance, len(site.world.queue)) == ([], 60, 0)
	charge(site, 10)
	assert len(recharges(site)) == 1


def test_a_repeated_charge_is_charged_once_and_another_content_refused():
	site = site_with("ok")
	first = charge(site, 1, "k")
	again = charge(site, 1, "k")
	assert (again.repeated, again.entry) == (True, first.entry)
	with pytest.raises(IdempotencyConflict):
		charge(site, 2, "k")
	assert account(site).balance == 59


def test_a_refused_charge_leaves_nothing_and_no_lock():
	site = site_with("declined")
	with pytest.raises(InsufficientCredits):
		charge(site, 61)
	assert (account(site).balance, site.world.locks) == (60, {})


@pytest.mark.parametrize("head_start", range(6))
def test_two_charges_at_once_wait_for_each_other_and_lose_no_update(head_start):
	site = site_with("ok", balance=200)
	runs = []
	for _ in range(2):
		transaction = site.world.begin()
		runs.append(site.performer.start(books.charge(transaction, "A", request(10), D(10)), transaction))
	first, second = runs
	for _ in range(head_start):
		first.step()
	waited = 0
	while not (first.is_over and second.is_over):
		for run in (second, first):
			try:
				run.step()
			except Locked:
				waited += 1
	assert (account(site).balance, account(site).sequence, site.breaches()) == (180, 3, [])
	assert bool(waited) == (head_start < 2)


def test_a_payment_is_posted_once_however_often_it_is_told():
	site = site_with("ok")
	recharge = charge(site, 10).recharge
	effect = effects.PostCredits("A", recharge, "pi_1", D(450))
	posted = []
	for _ in range(3):
		transaction = site.world.begin()
		transaction.lock(rows.CreditAccount, "A")
		posted.append(books.post_payment(transaction, effect, site.clock.now()))
		transaction.commit()
	assert len(set(posted)) == 1
	assert account(site).balance == 500


def test_one_recharge_at_a_time():
	site = site_with("ok")
	for _ in range(5):
		charge(site, 10)
	assert len(recharges(site)) == 1
	codes = [decision.code for decision in site.world.all(rows.Decision)]
	assert codes == [threshold.CHARGED, *[threshold.OPEN_RECHARGE] * 4]
	site.pass_time_until(START + MINUTE)
	assert account(site).balance == 10 + 450


def test_a_recharge_that_does_not_reach_above_the_threshold_is_followed_by_another():
	"""The debt is deeper than one payment: the settling itself looks at the threshold again."""
	site = site_with("ok", limits=threshold.Limits(maximum=D(500)))
	transaction = site.world.begin()
	transaction.update(rows.CreditAccount, "A", overdraft_limit=D(1000))
	transaction.commit()
	charge(site, 960)
	site.pass_time_until(START + MINUTE)
	assert [r.amount for r in recharges(site)] == [500, 500]
	assert (account(site).balance, site.breaches()) == (100, [])


def test_an_empty_account_is_filled_when_auto_recharge_is_switched_on():
	site = site_with("ok", balance=0)
	site.pass_time_until(START + MINUTE)
	assert account(site).balance == 500


# -- cards -------------------------------------------------------------------------------------------------


STORIES = [
	(["ok"], [("1-ok", payment.PAID, None)]),
	(["declined", "ok"], [("1-declined", payment.DECLINED, "generic_decline"), ("2-ok", payment.PAID, None)]),
	(["expired", "ok"], [("1-expired", payment.SKIPPED, cards.PAST_EXPIRY), ("2-ok", payment.PAID, None)]),
	(["bank", "ok"], [("1-bank", payment.SKIPPED, cards.NOT_A_CARD), ("2-ok", payment.PAID, None)]),
	(["slow", "ok"], [("1-slow", payment.PAID, None)]),
	(["unreachable", "ok"], [("1-unreachable", payment.PAID, None)]),
	(["processing", "ok"], [("1-processing", payment.PAID, None)]),
	(
		["authentication", "ok"],
		[
			("1-authentication", payment.NEEDS_AUTHENTICATION, "authentication_required"),
			("2-ok", payment.PAID, None),
		],
	),
	(
		["lost", "fraud", "insufficient", "ok"],
		[
			("1-lost", payment.DECLINED, "lost_card"),
			("2-fraud", payment.DECLINED, "fraudulent"),
			("3-insufficient", payment.DECLINED, "insufficient_funds"),
			("4-ok", payment.PAID, None),
		],
	),
]


@pytest.mark.parametrize(("card_names", "story"), STORIES, ids=lambda value: "-".join(map(str, value))[:40])
def test_cards_are_tried_in_order_until_the_first_success(card_names, story):
	site = site_with(*card_names)
	charge(site, 10)
	site.pass_time_until(START + HOUR)
	assert attempts(site) == story
	assert (account(site).balance, site.gateway.captured(), site.breaches()) == (500, 450, [])
	assert setting(site).enabled


def test_when_all_cards_fail_it_is_switched_off_and_nothing_is_tried_until_a_person_acts():
	site = site_with("declined", "insufficient")
	charge(site, 10)
	site.pass_time_until(START + HOUR)
	assert (recharges(site)[0].status, account(site).open_recharge) == (payment.FAILED, None)
	assert (setting(site).enabled, setting(site).disabled_reason) == (False, "all_cards_failed")
	assert [n.kind for n in site.world.all(rows.Notice)] == [payment.ALL_CARDS_FAILED]
	calls = len(site.gateway.calls)
	for _ in range(5):
		charge(site, 5)
	site.pass_time_until(START + 30 * DAY)
	assert (len(site.gateway.calls), len(recharges(site)), account(site).balance) == (calls, 1, 25)


def test_a_permanently_declined_card_is_never_asked_again():
	site = site_with("lost", "ok")
	for _ in range(3):
		charge(site, 20 if len(recharges(site)) == 0 else 450)
		site.pass_time_until(site.clock.now() + HOUR)
	asked = [key for what, key in site.gateway.calls if what == "charge"]
	assert len(recharges(site)) == 3
	assert sum(site.world.get(rows.RechargeAttempt, key).card == "A/1-lost" for key in asked) == 1
	assert site.world.get(rows.RechargeCard, "A/1-lost").status == cards.DECLINED


def test_a_card_is_not_hammered_past_the_networks_limit():
	site = site_with("declined", "ok", cap_limits=CapLimits())
	for _ in range(20):
		charge(site, account(site).balance - 50)
		site.pass_time_until(site.clock.now() + HOUR)
	outcomes = [status for card, status, _ in attempts(site) if card == "1-declined"]
	assert outcomes == [payment.DECLINED] * cards.NETWORK_LIMIT + [payment.SKIPPED] * 5
	site.pass_time_until(site.clock.now() + 31 * DAY)
	charge(site, account(site).balance - 50)
	site.pass_time_until(site.clock.now() + HOUR)
	assert attempts(site)[-2][1] == payment.DECLINED


def test_a_card_holder_who_never_comes_fails_the_recharge_after_three_days():
	site = site_with("authentication")
	charge(site, 10)
	site.pass_time_until(START + HOUR)
	assert recharges(site)[0].status == payment.ACTION_REQUIRED
	assert account(site).open_recharge
	site.pass_time_until(START + 3 * DAY + HOUR)
	assert (recharges(site)[0].status, setting(site).enabled) == (payment.FAILED, False)
	assert [n.kind for n in site.world.all(rows.Notice)] == [payment.NEEDS_ACTION, payment.ALL_CARDS_FAILED]


def test_refused_requests_are_told_once_tried_again_and_end():
	site = site_with("refused", "ok")
	charge(site, 10)
	site.pass_time_until(START + DAY)
	assert {card for card, _, _ in attempts(site)} == {"1-refused"}
	assert len(attempts(site)) == payment.ERRORS_BEFORE_GIVING_UP
	assert setting(site).disabled_reason == payment.GATEWAY_GAVE_ERRORS
	assert [n.kind for n in site.world.all(rows.Notice)] == [payment.GATEWAY_ERROR, payment.ALL_CARDS_FAILED]


def test_a_gateway_that_is_down_for_days_costs_nothing_but_time():
	down = True
	site = site_with("ok", "ok", faults=lambda what, key: Fault.LOST_BEFORE if down else None)
	charge(site, 10)
	site.pass_time_until(START + 3 * DAY)
	assert (recharges(site)[0].status, setting(site).enabled) == (payment.CHARGING, True)
	down = False
	site.pass_time_until(START + 3 * DAY + HOUR)
	assert (account(site).balance, site.gateway.captured()) == (500, 450)
	assert {card for card, _, _ in attempts(site)} == {"1-ok"}


def test_a_key_revoked_after_a_lost_answer_never_leads_to_a_second_charge():
	"""The money moved, the answer was lost, and then every request is refused for a day."""
	faults = iter([Fault.LOST_AFTER])
	refused_until = START + 30 * HOUR
	site = site_with(
		"ok",
		"ok",
		faults=lambda what, key: next(faults, Fault.REVOKED if site.clock.now() < refused_until else None),
	)
	charge(site, 10)
	site.pass_time_until(START + 20 * HOUR)
	assert recharges(site)[0].status == payment.CHARGING
	site.pass_time_until(START + 3 * DAY)
	assert (account(site).balance, site.gateway.captured(), len(site.gateway.intents)) == (500, 450, 1)


# -- caps --------------------------------------------------------------------------------------------------


def test_a_cap_stops_recharges_says_so_and_lets_go_when_it_frees():
	site = site_with("ok", cap_limits=CapLimits(amount_day=D(1000)))
	for _ in range(2):
		charge(site, account(site).balance - 50)
		site.pass_time_until(site.clock.now() + MINUTE)
	charge(site, 460)
	site.pass_time_until(site.clock.now() + HOUR)
	assert len(recharges(site)) == 2
	last = site.world.all(rows.Decision)[-1]
	assert (last.code, last.figures["cap"], last.figures["used"]) == (threshold.CAPPED, "amount_day", "900")
	assert last.figures["frees_at"] == "2026-03-02 00:00:00+00:00"
	midnight = datetime(2026, 3, 2, tzinfo=timezone.utc)
	site.pass_time_until(midnight - MINUTE)
	assert account(site).balance == 40
	site.pass_time_until(midnight + MINUTE)
	assert (account(site).balance, len(recharges(site))) == (500, 3)


def test_a_cap_that_frees_after_a_person_has_topped_up_does_nothing():
	site = site_with("ok", cap_limits=CapLimits(amount_day=D(500)))
	charge(site, 10)
	site.pass_time_until(START + MINUTE)
	charge(site, 460)
	transaction = site.world.begin()
	site.performer.start(books.grant(transaction, "A", D(300), "by hand"), transaction).finish()
	site.pass_time_until(START + 2 * DAY)
	assert (account(site).balance, len(recharges(site))) == (340, 1)


# -- what cannot be set ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("change", "code"),
	[
		({"cards": ["gold"]}, "unknown_card"),
		({"cards": []}, "no_card"),
		({"falls_below": D(500)}, "target_not_above_threshold"),
		({"cap_limits": CapLimits(amount_day=D(400))}, "cap_below_target"),
	],
)
def test_an_account_that_could_not_work_is_not_opened(change, code):
	site = Site(START)
	with pytest.raises(InvalidRequest) as refused:
		site.open_account("A", "USD", **{"cards": ["ok"]} | change)
	assert refused.value.code == code
	assert site.world.all(rows.CreditAccount) == []


def test_breaches_are_found():
	site = site_with("ok")
	charge(site, 10)
	site.pass_time_until(START + MINUTE)
	site.world.tables[rows.CreditAccount].write(replace(account(site), balance=D(501)))
	assert len(site.breaches()) == 2
	site.world.tables[rows.CreditAccount].write(replace(account(site), balance=D(500)))
	next(iter(site.gateway.intents.values())).refunded = D(1)
	assert site.breaches() == [f"A: recharge {recharges(site)[0].name} captured 449.00 and credited 450.00"]


def test_the_gateway_is_never_asked_inside_a_transaction():
	site = site_with("ok")
	transaction = site.world.begin()
	transaction.lock(rows.CreditAccount, "A")
	with pytest.raises(AssertionError, match="inside an open transaction"):
		site.performer.do(effects.Charge("k", "R", "A/1-ok", D(5), "USD"), transaction)


# -- death and disorder ------------------------------------------------------------------------------------


def decided(site, within=5 * DAY):
	"""Let the sweeper finish the recharge; it must be paid or failed, with the books in order."""
	site.pass_time_until(site.clock.now() + within)
	(recharge,) = recharges(site)
	assert recharge.status in (payment.SUCCEEDED, payment.FAILED)
	assert site.breaches() == []
	assert site.world.locks == {}
	captured = [i for i in site.gateway.intents.values() if i.status == "succeeded"]
	assert len(captured) == (recharge.status == payment.SUCCEEDED)
	assert site.gateway.captured() == (recharge.amount if captured else 0)
	assert (account(site).open_recharge, setting(site).enabled) == (None, bool(captured))
	return recharge


DECKS = [
	["ok"],
	["declined", "ok"],
	["expired", "ok"],
	["slow", "declined"],
	["authentication", "ok"],
	["lost", "slow"],
	["declined", "insufficient"],
	["refused"],
	["unreachable", "ok"],
	["processing", "ok"],
]


@pytest.mark.parametrize("deck", DECKS, ids="-".join)
def test_a_worker_killed_after_any_number_of_steps_loses_and_doubles_nothing(deck):
	for steps in count():
		site = site_with(*deck)
		site.workers_up = False
		charge(site, 10)
		site.workers_up = True
		site.world.queue.lose_all()
		run = site.performer.start(payment.carry_out("A", recharges(site)[0].name, "mortal"))
		survived = all(run.step() for _ in range(steps))
		run.kill()
		recharge = decided(site)
		assert recharge.status == (payment.FAILED if deck in (DECKS[6], DECKS[7]) else payment.SUCCEEDED)
		if not survived:
			break
	assert steps > 10


def test_a_dead_workers_recharge_is_paid_within_two_minutes():
	"""Killed at the worst moment of the worst minute: the money has moved and nobody knows."""
	for second in range(0, 60, 5):
		site = site_with("ok")
		site.pass_time_until(START + timedelta(seconds=second))
		site.workers_up = False
		charge(site, 10)
		site.workers_up = True
		site.world.queue.lose_all()
		run = site.performer.start(payment.carry_out("A", recharges(site)[0].name, "mortal"))
		while not site.gateway.captured():
			run.step()
		run.kill()
		site.pass_time_until(site.clock.now() + 2 * MINUTE)
		assert account(site).balance == 500, second


def test_a_lost_queue_only_costs_the_time_to_the_next_sweep():
	site = site_with("ok")
	site.workers_up = False
	charge(site, 10)
	site.workers_up = True
	assert site.world.queue.lose_all() == 1
	site.pass_time_until(START + MINUTE + timedelta(seconds=2))
	assert account(site).balance == 500


class Storm:
	"""Workers in any order, answers lost, leases running out, deaths: all drawn from one seed."""

	def __init__(self, seed):
		self.draw = random.Random(seed)
		self.calm = False
		deck = [self.draw.choice(sorted(set(BEHAVIOURS) - {"bank", "refused"})) for _ in range(3)]
		self.site = site_with(*deck, faults=self.fault)
		self.site.workers_up = False
		charge(self.site, 10)
		self.site.world.queue.lose_all()
		self.runs = []

	def fault(self, what, key):
		if self.calm or self.draw.random() < 0.6:
			return None
		return self.draw.choice([fault for fault in Fault])

	def rage(self, steps=150):
		(recharge,) = recharges(self.site)
		for number in range(steps):
			luck = self.draw.random()
			if luck < 0.06:
				worker = f"worker-{number}"
				self.runs.append(self.site.performer.start(payment.carry_out("A", recharge.name, worker)))
			elif luck < 0.09 and self.runs:
				self.runs.pop(self.draw.randrange(len(self.runs))).kill()
			elif luck < 0.12:
				self.site.clock.advance(self.draw.choice([timedelta(seconds=20), MINUTE]))
			elif luck < 0.14:
				# No job lives that long: its time-out ends it.
				self.kill_all()
				self.site.clock.advance(self.draw.choice([HOUR, 12 * HOUR]))
			elif luck < 0.18:
				self.webhook(recharge.name)
			elif self.runs:
				run = self.draw.choice(self.runs)
				try:
					if not run.step():
						self.runs.remove(run)
				except Locked:
					pass
		self.kill_all()

	def kill_all(self):
		while self.runs:
			self.runs.pop().kill()

	def webhook(self, name):
		"""Tell of a capture, late, early or twice: the same settling as the worker's."""
		paid = [i for i in self.site.gateway.intents.values() if i.status == "succeeded"]
		if paid:
			deliver(self.site, name, self.draw.choice(paid).name)


def deliver(site, recharge, intent):
	"""A webhook comes in; when a row is locked, it comes again another time."""
	gateway = Gateway(site.clock)
	gateway.intents = site.gateway.intents
	run = site.performer.start(settled("A", recharge, gateway.retrieve(intent)))
	try:
		run.finish()
	except Locked:
		run.kill()


def settled(account_name, recharge, answer):
	now = yield effects.Now()
	yield effects.LockAccount(account_name)
	view = yield effects.LockRecharge(recharge)
	yield effects.UpdateAttempt(answer.metadata["attempt"], {"status": payment.PAID, "intent_open": False})
	yield from payment.settle(view, answer, now)
	yield effects.Commit()


def test_a_worker_that_sleeps_longer_than_its_key_lives_asks_nothing():
	"""A machine that was suspended for a day must not charge again under a key the gateway has forgotten."""
	site = site_with("slow")
	site.workers_up = False
	charge(site, 10)
	(recharge,) = recharges(site)
	sleeper = site.performer.start(payment.carry_out("A", recharge.name, "sleeper"))
	while not isinstance(sleeper.peek(), effects.Charge):
		sleeper.step()
	site.pass_time_until(START + HOUR)
	site.workers_up = True
	site.pass_time_until(START + 2 * DAY)
	assert site.gateway.captured() == 450
	sleeper.finish()
	assert [i.status for i in site.gateway.intents.values()] == ["succeeded"]
	assert site.world.all(rows.RefundDue) == []
	assert account(site).balance == 500


@pytest.mark.parametrize("seed", range(250))
def test_no_storm_charges_twice_credits_twice_or_loses_a_payment(seed):
	storm = Storm(seed)
	storm.rage()
	site = storm.site
	assert site.breaches() == [] or recharges(site)[0].status in books.IN_FLIGHT
	storm.calm = True
	site.workers_up = True
	decided(site, within=8 * DAY)
