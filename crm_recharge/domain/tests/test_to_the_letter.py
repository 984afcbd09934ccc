"""What the machines ask for, effect by effect and to the letter; and what a refusal tells.

Each test gives a machine's answers by the class of the effect and compares all that it asked for.
"""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal as D

import pytest

from crm_recharge.domain import book, caps, cards, dispute, effects, fit, reconcile, takeback, threshold
from crm_recharge.domain.answers import Answer, DisputeAnswer, Outcome
from crm_recharge.domain.book import Book, Lot
from crm_recharge.domain.caps import CapLimits, Reservation
from crm_recharge.domain.cards import Card
from crm_recharge.domain.effects import Job
from crm_recharge.domain.errors import AccountClosed, InsufficientCredits, InvalidRequest, RuleError
from crm_recharge.domain.takeback import DisputeView, PaymentView, RefundView
from crm_recharge.domain.tests.asking import ask

NOW = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def refusal(call, *arguments, kind=InvalidRequest, **more) -> tuple[str, dict]:
	with pytest.raises(RuleError) as error:
		call(*arguments, **more)
	assert type(error.value) is kind
	return error.value.code, error.value.figures


# -- disputes ------------------------------------------------------------------------------------------------


PAID = PaymentView(
	"R1", "A", "Succeeded", D(100), "USD", intent="pi_1", lot="L1", bought=D(100), unused=D(100)
)
OPENED = DisputeAnswer(
	"dp_1",
	"needs_response",
	"fraudulent",
	D(100),
	"USD",
	charge="ch_1",
	intent="pi_1",
	fees=D(15),
	withdrawn=D(90),
	balance_currency="EUR",
	evidence_due=1_772_000_000,
	created=1_771_000_000,
)
WRITTEN = {
	"status": "Open",
	"gateway_status": "needs_response",
	"reason": "fraudulent",
	"amount": D(100),
	"currency": "USD",
	"intent": "pi_1",
	"charge": "ch_1",
	"fees": D(15),
	"withdrawn": D(90),
	"balance_currency": "EUR",
	"evidence_due": datetime.fromtimestamp(1_772_000_000, timezone.utc),
	"heard": 1,
	"accounting_status": "Pending",
	"accounting_next_try_at": None,
}
KNOWN = DisputeView(
	"dp_1", "Open", D(100), "USD", "pi_1", taken=D(100), moves=1, heard=1, withdrawn=D(90), fees=D(15)
)


def follow(paid=PAID, answer=OPENED, heard=0):
	replies = {"Now": NOW, "LockPayment": paid, "TakeCredits": "E1", "GiveBack": "E2"}
	return ask(dispute.follow("A", "R1", answer, heard), **replies)


TAKEN = effects.TakeCredits("A", "L1", "Chargeback", D(100), "dp_1", "dp_1", "pi_1", None)


def test_a_dispute_that_is_opened():
	asked, word = follow()
	assert word == "Open"
	assert asked == [
		effects.Now(),
		effects.LockAccount("A"),
		effects.LockPayment("R1"),
		effects.InsertDispute(
			"dp_1",
			WRITTEN
			| {
				"opened_at": datetime.fromtimestamp(1_771_000_000, timezone.utc),
				"account": "A",
				"recharge": "R1",
			},
		),
		effects.HoldAutoRecharge("A", "Dispute dp_1"),
		effects.FlagAccount("A", "Disputed", "dp_1"),
		effects.HoldAutoRecharge("A", "Dispute dp_1"),
		TAKEN,
		effects.UpdateDispute(
			"dp_1",
			{
				"taken": D(100),
				"moves": 1,
				"accounting_status": "Pending",
				"accounting_next_try_at": None,
				"take_entry": "E1",
			},
		),
		effects.EnqueueAfterCommit(Job.ACCOUNT_FOR_DISPUTE, "dp_1"),
		effects.UpdateRecharge("R1", {"status": "Disputed", "refunded_amount": D(0)}),
		effects.Notify("dispute_alert", "R1", {"dispute": "dp_1"}),
		effects.Notify("dispute_opened", "R1", {"dispute": "dp_1"}),
		effects.Commit(),
	]


def test_a_dispute_opened_without_a_time_is_opened_now():
	asked, _ = follow(answer=replace(OPENED, created=None))
	assert asked[3].values["opened_at"] == NOW


def test_a_dispute_calls_off_what_no_card_was_asked_for():
	asked, _ = follow(replace(PAID, unasked="R2"))
	stopped = {
		"status": "Cancelled",
		"ended_at": NOW,
		"lease_owner": None,
		"lease_until": None,
		"next_try_at": NOW,
	}
	assert asked[4:7] == [
		effects.HoldAutoRecharge("A", "Dispute dp_1"),
		effects.ClearOpenRecharge("A", "R2"),
		effects.UpdateRecharge("R2", stopped),
	]


def test_a_dispute_that_is_won():
	paid = replace(
		PAID,
		status="Disputed",
		account_status="Disputed",
		held_because="Dispute dp_1",
		disputes=(KNOWN,),
		account_disputes=(("dp_1", "Open"),),
	)
	won = replace(OPENED, status="won", withdrawn=D(0))
	asked, word = follow(paid, won, heard=1)
	assert word == "Won"
	assert asked[3:] == [
		effects.UpdateDispute(
			"dp_1",
			WRITTEN
			| {
				"status": "Won",
				"gateway_status": "won",
				"withdrawn": D(0),
				"heard": 2,
				"closed_at": NOW,
			},
		),
		effects.GiveBack("A", "L1", "Chargeback", D(100), "dp_1:2", ("dp_1",), "dp_1", "pi_1", None),
		effects.UpdateDispute(
			"dp_1",
			{
				"taken": D(0),
				"moves": 2,
				"accounting_status": "Pending",
				"accounting_next_try_at": None,
				"reinstate_entry": "E2",
			},
		),
		effects.EnqueueAfterCommit(Job.ACCOUNT_FOR_DISPUTE, "dp_1"),
		effects.UpdateRecharge("R1", {"status": "Succeeded", "refunded_amount": D(0)}),
		effects.FlagAccount("A", "Active", None),
		effects.Notify("dispute_won", "R1", {"dispute": "dp_1"}),
		effects.Commit(),
	]


def test_a_dispute_that_is_lost_moves_no_credits_and_is_booked():
	paid = replace(PAID, status="Disputed", disputes=(KNOWN,), account_status="Disputed")
	asked, word = follow(paid, replace(OPENED, status="lost"), heard=1)
	assert word == "Lost"
	assert asked[3:] == [
		effects.UpdateDispute(
			"dp_1", WRITTEN | {"status": "Lost", "gateway_status": "lost", "heard": 2, "closed_at": NOW}
		),
		effects.UpdateRecharge("R1", {"status": "Charged Back", "refunded_amount": D(0)}),
		effects.Notify("dispute_lost", "R1", {"dispute": "dp_1"}),
		effects.EnqueueAfterCommit(Job.ACCOUNT_FOR_DISPUTE, "dp_1"),
		effects.Commit(),
	]


def test_the_same_answer_again_writes_no_more_than_that_it_was_heard():
	paid = replace(PAID, status="Disputed", disputes=(KNOWN,), account_status="Disputed")
	asked, _ = follow(paid, heard=1)
	values = {k: v for k, v in WRITTEN.items() if not k.startswith("accounting")} | {"heard": 2}
	assert asked[3:] == [effects.UpdateDispute("dp_1", values), effects.Commit()]


def test_a_dispute_closed_before_is_not_closed_again():
	paid = replace(PAID, status="Charged Back", disputes=(replace(KNOWN, status="Lost"),))
	asked, _ = follow(paid, replace(OPENED, status="lost"), heard=1)
	assert "closed_at" not in asked[3].values


def test_an_inquiry_is_told_and_claims_nothing():
	asked, word = follow(answer=replace(OPENED, status="warning_needs_response", withdrawn=D(0), fees=D(0)))
	assert word == "Inquiry"
	kinds = [type(effect) for effect in asked[3:]]
	assert kinds == [effects.InsertDispute, effects.Notify, effects.Commit]
	assert asked[4] == effects.Notify("dispute_inquiry", "R1", {"dispute": "dp_1"})


def test_an_answer_that_was_overtaken_ends_the_transaction():
	asked, word = follow(replace(PAID, disputes=(KNOWN,)), heard=0)
	assert (word, asked[3:]) == (dispute.AGAIN, [effects.Rollback()])


def test_a_dispute_that_does_not_fit_is_listed_with_what_it_says():
	answer = replace(OPENED, amount=D(150), intent="pi_1")
	asked, _ = follow(answer=answer)
	wrong = (fit.Misfit("amount", "≤ 100", "150"),)
	noted = effects.NoteDifference("dispute_does_not_fit", "dp_1", "R1", "pi_1", D(150), "USD", wrong)
	assert asked[4] == noted


def test_a_dispute_of_a_second_capture_takes_nothing_of_the_good_payment():
	asked, _ = follow(answer=replace(OPENED, intent="pi_2"))
	assert not [effect for effect in asked if isinstance(effect, effects.TakeCredits)]
	assert asked[3].values["intent"] == "pi_2"


def test_a_dispute_without_a_payment_keeps_the_one_it_was_known_by():
	asked, _ = follow(replace(PAID, disputes=(KNOWN,)), replace(OPENED, intent=None), heard=1)
	assert asked[3].values["intent"] == "pi_1"
	asked, _ = follow(answer=replace(OPENED, intent=None))
	assert asked[3].values["intent"] == ""


def test_a_changed_amount_is_claimed_and_fees_and_money_are_booked():
	paid = replace(PAID, status="Disputed", disputes=(KNOWN,), account_status="Disputed")
	asked, _ = follow(paid, replace(OPENED, amount=D(60), withdrawn=D(60), fees=D(20)), heard=1)
	values = asked[3].values
	assert (values["amount"], values["withdrawn"], values["fees"]) == (60, 60, 20)
	assert values["accounting_status"] == "Pending"
	assert asked[4] == effects.GiveBack(
		"A", "L1", "Chargeback", D(40), "dp_1:2", ("dp_1",), "dp_1", "pi_1", None
	)


@pytest.mark.parametrize("changed", [{"fees": D(16)}, {"withdrawn": D(91)}, {"status": "lost"}])
def test_whatever_the_books_show_of_a_dispute_is_booked_anew(changed):
	paid = replace(PAID, status="Disputed", disputes=(KNOWN,), account_status="Disputed")
	asked, _ = follow(paid, replace(OPENED, **changed), heard=1)
	assert asked[3].values["accounting_status"] == "Pending"


@pytest.mark.parametrize(
	("others", "held", "unflagged"),
	[
		((), "Dispute dp_1", True),
		((("dp_2", "Open"),), None, False),
		((("dp_2", "Lost"),), "Dispute dp_2", False),
		((("dp_2", "Lost"),), "Dispute dp_1", True),
		((("dp_1", "Open"),), None, True),
	],
)
def test_the_flag_goes_when_no_other_dispute_needs_it(others, held, unflagged):
	paid = replace(
		PAID, account_status="Disputed", held_because=held, disputes=(KNOWN,), account_disputes=others
	)
	asked, _ = follow(paid, replace(OPENED, status="won"), heard=1)
	assert (effects.FlagAccount("A", "Active", None) in asked) == unflagged


def test_a_warning():
	machine = dispute.warn("A", "R1", "issfr_1", "pi_1", "made_with_stolen_card")
	asked, word = ask(machine, Now=NOW, LockPayment=replace(PAID, unasked="R2"))
	assert word == "Warning"
	assert asked == [
		effects.Now(),
		effects.LockAccount("A"),
		effects.LockPayment("R1"),
		effects.InsertDispute(
			"issfr_1",
			{
				"account": "A",
				"recharge": "R1",
				"status": "Warning",
				"reason": "made_with_stolen_card",
				"amount": D(100),
				"currency": "USD",
				"intent": "pi_1",
				"heard": 1,
				"opened_at": NOW,
			},
		),
		effects.HoldAutoRecharge("A", "Fraud warning issfr_1"),
		effects.ClearOpenRecharge("A", "R2"),
		effects.UpdateRecharge(
			"R2",
			{
				"status": "Cancelled",
				"ended_at": NOW,
				"lease_owner": None,
				"lease_until": None,
				"next_try_at": NOW,
			},
		),
		effects.Notify("fraud_warning", "R1", {"dispute": "issfr_1"}),
		effects.Commit(),
	]
	known = replace(PAID, disputes=(DisputeView("issfr_1", "Warning", D(100), "USD", "pi_1"),))
	asked, word = ask(dispute.warn("A", "R1", "issfr_1", "pi_1", None), Now=NOW, LockPayment=known)
	assert (word, asked[3:]) == ("known", [effects.Rollback()])


def test_what_is_known_of_a_dispute_gives_way_to_what_it_is_now():
	view = dispute._view(replace(KNOWN, currency="JPY", intent="", amount=D(1), fees=D(1)), OPENED)
	assert view == replace(KNOWN, heard=2)
	assert dispute._view(None, OPENED) == replace(KNOWN, taken=D(0), moves=0)


# -- taking back ---------------------------------------------------------------------------------------------


REFUND = RefundView("RF", "Requested", "Held", D(30), "USD", "pi_1", account="A", recharge="R1")


def level(paid):
	return ask(takeback.level(paid), TakeCredits="E1", GiveBack="E2")


def test_what_a_refund_wants_is_taken_and_what_it_wants_no_more_comes_back():
	asked, paid = level(replace(PAID, refunds=(REFUND,)))
	assert asked == [
		effects.TakeCredits("A", "L1", "Refund", D(30), "RF", "RF", "pi_1", "Refund RF"),
		effects.UpdateRefund("RF", {"taken": D(30), "moves": 1, "hold_entry": "E1"}),
	]
	assert paid.refunds == (replace(REFUND, taken=D(30), moves=1),)
	asked, paid = level(replace(paid, refunds=(replace(paid.refunds[0], status="Failed"),)))
	assert asked == [
		effects.GiveBack("A", "L1", "Refund", D(30), "RF:2", ("RF",), "RF", "pi_1", "Refund RF"),
		effects.UpdateRefund("RF", {"taken": D(0), "moves": 2, "reinstate_entry": "E2"}),
	]
	assert paid.refunds[0].moves == 2


def test_a_third_move_knows_the_two_before_it():
	claim = replace(REFUND, status="Failed", taken=D(30), moves=3)
	asked, _ = level(replace(PAID, refunds=(claim,)))
	assert (asked[0].key, asked[0].moved) == ("RF:4", ("RF", "RF:2", "RF:3"))


def test_the_smallest_amounts_are_taken_and_come_back():
	asked, _ = level(replace(PAID, refunds=(replace(REFUND, amount=D("0.50")),)))
	assert asked[0].amount == D("0.50")
	assert asked[1].values == {"taken": D("0.50"), "moves": 1, "hold_entry": "E1"}
	half = replace(KNOWN, amount=D("99.50"))
	asked, _ = level(replace(PAID, disputes=(half,)))
	assert asked[0].amount == D("0.50")
	assert asked[1].values["reinstate_entry"] == "E2" and "take_entry" not in asked[1].values
	small = DisputeView("dp_2", "Open", D("0.50"), "USD", "pi_1")
	asked, _ = level(replace(PAID, disputes=(small,)))
	assert asked[2].values["take_entry"] == "E1" and "reinstate_entry" not in asked[2].values


def test_a_claim_in_another_currency_claims_all():
	assert takeback.wanted(replace(PAID, refunds=(replace(REFUND, amount=D(1), currency="JPY"),))) == {
		"RF": 100
	}


def test_what_is_given_back_comes_before_what_is_taken():
	back = replace(REFUND, name="A-back", status="Failed", taken=D(30), moves=1)
	settled = replace(REFUND, name="B-same", amount=D(10), taken=D(10), moves=1)
	taken = replace(REFUND, name="0-new", amount=D(20))
	asked, _ = level(replace(PAID, refunds=(taken, settled, back)))
	assert [type(e) for e in asked] == [
		effects.GiveBack,
		effects.UpdateRefund,
		effects.TakeCredits,
		effects.UpdateRefund,
	]


def test_a_refund_made_at_the_gateway_holds_before_anything_moves():
	made = replace(REFUND, kind="From Gateway", status="Succeeded", gateway_refund="re_1")
	asked, _ = level(replace(PAID, refunds=(made,)))
	assert asked[0] == effects.HoldAutoRecharge("A", "Refund RF")
	assert asked[1].hold_if_low is None


def test_what_lots_lost_to_a_claim_its_own_first():
	moves = [
		[("L2", D(-5)), ("L1", D("-0.5")), ("L3", D(-1))],
		[("L3", D(1)), ("L2", D(2))],
		[("L4", D(0))],
	]
	assert takeback.taken_from(moves, "L1") == [("L1", D("0.5")), ("L2", D(3))]
	assert takeback.taken_from(moves, "L2") == [("L2", D(3)), ("L1", D("0.5"))]
	assert takeback.taken_from([], "L1") == []


def test_views_of_claims_take_their_own_columns():
	columns = {
		"kind": "Requested",
		"status": "Held",
		"amount": D(1),
		"currency": "USD",
		"intent": "pi",
		"x": 1,
	}
	assert takeback.refund_view("RF", columns) == RefundView("RF", "Requested", "Held", D(1), "USD", "pi")
	assert takeback.refund_view("RF", columns).moves == 0
	columns = {"status": "Open", "amount": D(1), "currency": "USD", "intent": "pi", "reason": "x", "heard": 3}
	view = takeback.dispute_view("dp", columns)
	assert view == DisputeView("dp", "Open", D(1), "USD", "pi", heard=3)
	assert (view.moves, view.taken) == (0, 0)


def test_movements_are_numbered_from_the_second_on():
	assert [takeback.movement_key("RF", n) for n in (1, 2, 3)] == ["RF", "RF:2", "RF:3"]


def test_a_hold_is_as_long_as_its_column_allows():
	room = takeback.LONGEST_HOLD - 3
	assert takeback.LONGEST_HOLD == 140
	assert takeback.add_mark(None, "x" * room) == "x" * room
	assert takeback.add_mark(None, "x" * (room + 1)) == takeback.MORE
	first = "y" * 10
	fits = "x" * (room - 12)
	assert takeback.add_mark(first, fits) == f"{first}, {fits}"
	assert takeback.add_mark(first, fits + "x") == f"{first}, {takeback.MORE}"
	assert len(f"{'z' * room}, {takeback.MORE}") == takeback.LONGEST_HOLD


# -- the book ------------------------------------------------------------------------------------------------


def a_book(balance=0, **more):
	names = iter(f"N{number}" for number in range(100))
	return Book("A", "USD", D(balance), 0, "", {}, lambda: next(names), **more)


DETAILS = {"request_key": "k", "request_hash": "h"}


@pytest.mark.parametrize("amount", [D(0), D(-1)])
def test_what_is_not_above_zero_is_no_movement(amount):
	told = ("not_positive", {"what": "amount", "value": str(amount)})
	assert refusal(a_book(10).use, amount, NOW, **DETAILS) == told
	assert refusal(a_book().add, "Grant", amount, NOW, **DETAILS) == told
	assert refusal(a_book().take, "Adjustment", amount, NOW, **DETAILS) == told


def test_what_a_refused_usage_tells():
	told = refusal(a_book(10, overdraft_limit=D(5)).use, D(17), NOW, kind=InsufficientCredits, **DETAILS)
	assert told == (
		"insufficient_credits",
		{"account": "A", "balance": "10", "amount": "17", "shortfall": "2", "currency": "USD"},
	)
	told = refusal(a_book(10, status="Disabled").use, D(1), NOW, kind=AccountClosed, **DETAILS)
	assert told == ("account_disabled", {"account": "A", "status": "Disabled"})


def test_a_new_lot_says_where_it_is_from():
	kept = a_book()
	entry = kept.add("Grant", D(7), NOW, **DETAILS)
	(lot,) = kept.lots.values()
	assert (lot.source_type, lot.source_key, lot.sequence, lot.is_new) == ("Grant", "k", entry.sequence, True)
	assert (lot.original, lot.remaining, lot.priority, book.DEFAULT_PRIORITY) == (7, 7, 10, 10)
	entry = kept.add("Grant", D(7), NOW, request_key="k2", request_hash="")
	assert kept.lots["N2"].sequence == entry.sequence == 2


def test_a_balance_that_tables_cannot_hold_is_refused():
	largest = D(10) ** 12
	told = refusal(a_book().add, "Grant", largest, NOW, **DETAILS)
	assert told == ("balance_too_large", {"balance": str(largest), "limit": str(largest)})
	assert a_book().add("Grant", largest - 1, NOW, **DETAILS).balance_after == largest - 1
	assert refusal(a_book(1 - largest).take, "Adjustment", D(1), NOW, **DETAILS)[0] == "balance_too_large"


def test_what_is_taken_back_changes_its_lot_even_when_nothing_is_left_in_it():
	kept = a_book(5)
	kept.lots["L"] = Lot("L", D(10), D(0), 1)
	kept.lots["M"] = Lot("M", D(5), D(5), 2)
	entry = kept.take("Refund", D(3), NOW, kept.lots["L"], **DETAILS)
	assert (kept.lots["L"].changed, kept.lots["L"].returned, entry.lots) == (True, 3, [("M", -3)])


def test_more_than_was_taken_does_not_come_back():
	kept = a_book(5)
	lot = kept.lots["L"] = Lot("L", D(10), D(5), 1, returned=D(5), closed=True)
	for amount in (D(6), D(0)):
		told = refusal(kept.reinstate, lot, amount, NOW, **DETAILS)
		assert told == ("more_than_taken", {"lot": "L", "amount": str(amount), "taken": "5"})
	kept.reinstate(lot, D(5), NOW, **DETAILS)
	assert (lot.closed, lot.remaining, lot.returned) == (False, 10, 0)


def test_each_lot_gets_its_own_back_as_far_as_there_is_room_and_no_more_than_comes():
	kept = a_book(10)
	own = kept.lots["L"] = Lot("L", D(20), D(0), 1, returned=D(20))
	kept.lots["M"] = Lot("M", D(10), D("9.5"), 2)
	kept.lots["N"] = Lot("N", D(10), D("0.5"), 3)
	taken = [("L", D(3)), ("M", D(5)), ("gone", D(2)), ("N", D(9))]
	entry = kept.reinstate(own, D(10), NOW, taken=taken, **DETAILS)
	assert dict(entry.lots) == {"L": D(3), "M": D("0.5"), "N": D("6.5")}
	assert (own.remaining, kept.lots["N"].remaining) == (3, 7)


def test_what_is_given_back_pays_a_debt_first_and_the_lots_get_the_rest():
	kept = a_book(-4)
	own = kept.lots["L"] = Lot("L", D(10), D(0), 1, returned=D(10))
	kept.lots["M"] = Lot("M", D(10), D(0), 2)
	entry = kept.reinstate(own, D(5), NOW, taken=[("M", D(5))], **DETAILS)
	assert dict(entry.lots) == {"M": D(1), "L": D(0)}


def used(kept, amount, key="u"):
	return kept.use(D(amount), NOW, request_key=key, request_hash="")


def test_undone_usage_whose_lots_are_full_gets_a_lot_of_its_own():
	kept = a_book()
	kept.add("Grant", D(5), NOW, request_key="g1", request_hash="")
	entry = used(kept, 5)
	kept.lots.clear()
	undone = kept.reverse(entry, NOW, request_key="r", request_hash="")
	(lot,) = kept.lots.values()
	assert undone.lots == [(lot.name, D(5))]
	assert (lot.name, lot.source_type, lot.source_key, lot.is_new) == ("N3", "Reversal", "r", True)
	assert (lot.sequence, lot.original, lot.remaining) == (undone.sequence, 5, 5)


def test_a_lot_that_is_gone_keeps_no_other_from_getting_its_own_back():
	kept = a_book()
	kept.add("Grant", D(2), NOW, request_key="g1", request_hash="")
	kept.add("Grant", D(5), NOW, request_key="g2", request_hash="")
	entry = used(kept, 4)
	(first, _), (second, _) = entry.lots
	del kept.lots[first]
	undone = kept.reverse(entry, NOW, request_key="r", request_hash="")
	assert undone.lots[0] == (second, D(2))


def test_a_grant_that_is_undone_is_taken_back_and_once():
	kept = a_book()
	entry = kept.add("Grant", D(9), NOW, request_key="g", request_hash="")
	(lot,) = kept.lots.values()
	lot.changed = False
	undone = kept.reverse(entry, NOW, request_key="r", request_hash="")
	assert (undone.amount, lot.returned, lot.changed) == (-9, 9, True)
	told = refusal(kept.reverse, entry, NOW, request_key="r2", request_hash="")
	assert told == ("nothing_to_reverse", {"entry": entry.name, "entry_type": "Grant"})


def test_a_credit_whose_lot_is_another_is_undone_whole():
	kept = a_book()
	entry = kept.add("Grant", D(9), NOW, request_key="g", request_hash="")
	(lot,) = kept.lots.values()
	lot.source_key, lot.returned = "another", D(4)
	assert kept.reverse(entry, NOW, request_key="r", request_hash="").amount == -9
	assert lot.returned == 4


def test_a_credit_whose_lots_are_gone_is_undone_by_a_debt():
	kept = a_book()
	entry = kept.add("Grant", D(9), NOW, request_key="g", request_hash="")
	kept.lots.clear()
	kept.balance = D(0)
	assert kept.reverse(entry, NOW, request_key="r", request_hash="").balance_after == -9


def test_the_last_fraction_expires_too():
	kept = a_book()
	kept.add("Grant", D("0.5"), NOW, expires_at=NOW, **DETAILS)
	(entry,) = kept.expire_due(NOW, lambda lot: {"request_key": "x", "request_hash": ""})
	assert (entry.amount, kept.balance) == (D("-0.5"), 0)


def test_a_lot_below_zero_says_which_and_how_far():
	with pytest.raises(AssertionError, match="lot L fell to -1"):
		Lot("L", D(5), D(1), 1).add(D(-2))


# -- caps ----------------------------------------------------------------------------------------------------


ROME = timezone(timedelta(hours=1))


def test_each_cap_counts_in_its_own_window_and_zone():
	limits = CapLimits(D(100), D(1000), 2, 3)
	now = datetime(2026, 1, 31, 23, 30, tzinfo=timezone.utc)  # February where the account is
	captured = [
		Reservation(D(10), now - timedelta(hours=1)),
		Reservation(D(20), now - timedelta(minutes=30)),
		Reservation(D(40), now - timedelta(minutes=5)),
		Reservation(D(80)),
	]
	found = caps.caps_at(limits, iter(captured), now, ROME)
	assert [(c.name, c.limit, c.used, c.is_count) for c in found] == [
		("amount_day", 100, 140, False),
		("amount_month", 1000, 140, False),
		("count_hour", 2, 3, True),
		("count_day", 3, 3, True),
	]
	frees = [c.frees_at for c in found]
	assert frees == [
		datetime(2026, 2, 2, tzinfo=ROME),
		datetime(2026, 3, 1, tzinfo=ROME),
		now + timedelta(minutes=30),
		datetime(2026, 2, 2, tzinfo=ROME),
	]
	assert {moment.tzinfo for moment in frees} == {ROME}


def test_a_cap_that_nothing_counts_against_says_zero():
	(cap,) = caps.caps_at(CapLimits(amount_day=D(5)), [], NOW, ROME)
	assert (cap.used, cap.frees_at) == (D(0), None) and isinstance(cap.used, D)


def test_a_capture_in_a_days_first_minute_counts_for_that_day():
	midnight = datetime(2026, 3, 1, tzinfo=ROME)
	limits = CapLimits(amount_day=D(5), amount_month=D(5))
	for at, used_ in (
		(midnight, 7),
		(midnight + timedelta(seconds=30), 7),
		(midnight - timedelta(seconds=1), 0),
	):
		found = caps.caps_at(limits, [Reservation(D(7), at)], midnight + timedelta(hours=3), ROME)
		assert [cap.used for cap in found] == [used_, used_]


def test_a_long_month_ends_with_its_last_day():
	december = datetime(2026, 12, 31, 12, tzinfo=ROME)
	assert caps.window_of(caps.MONTH, december, ROME) == (
		datetime(2026, 12, 1, tzinfo=ROME),
		datetime(2027, 1, 1, tzinfo=ROME),
	)
	assert caps.window_of(caps.HOUR, december, ROME)[1].tzinfo is timezone.utc


def test_what_a_refused_cap_tells():
	told = refusal(caps.check_caps, CapLimits(count_day=-1), D(100), "USD")
	assert told == ("cap_negative", {"cap": "count_day", "limit": "-1"})
	told = refusal(caps.check_caps, CapLimits(amount_month=D(99)), D(100), "USD")
	assert told == (
		"cap_below_target",
		{"cap": "amount_month", "limit": "99", "recharge_up_to": "100", "currency": "USD"},
	)
	caps.check_caps(CapLimits(D(100), D(100), 1, 1), D(100), "USD")


def test_a_time_without_its_zone_is_refused_in_words():
	with pytest.raises(ValueError, match="^caps are counted between moments: a time lacks its zone$"):
		caps.caps_at(CapLimits(), [Reservation(D(1), datetime(2026, 1, 1))], NOW)


def test_whether_any_cap_is_set():
	assert not caps.any_set(CapLimits()) and not caps.any_set(CapLimits(D(0), D(0), 0, 0))
	for name in CapLimits.__slots__:
		assert caps.any_set(CapLimits(**{name: D(1)}))


# -- the threshold -------------------------------------------------------------------------------------------


VIEW = threshold.View("USD", D(40))


def test_the_usual_levels():
	assert (VIEW.falls_below, VIEW.recharge_up_to, VIEW.usable_cards) == (50, 500, 1)


def test_each_decision_comes_with_its_figures():
	basis = {"balance": "40", "falls_below": "50", "recharge_up_to": "500"}
	for change, code, more in (
		({"enabled": False}, "disabled", {}),
		({"usable_cards": 0}, "no_usable_card", {}),
		({"by_usage": False}, "not_by_usage", {}),
		({"held_because": "x"}, "held", {"because": "x"}),
		({"refused": D(60)}, "charged", {"refused": "60", "amount": "460"}),
		(
			{"balance": D(60), "refused": D(70)},
			"charged",
			{"balance": "60", "refused": "70", "amount": "440"},
		),
		({"balance": D(51)}, "above_threshold", {"balance": "51"}),
		({"balance": D(51), "refused": D(501)}, "above_threshold", {"balance": "51"}),
		(
			{"balance": D(51), "refused": D(500)},
			"charged",
			{"balance": "51", "refused": "500", "amount": "449"},
		),
		({"balance": D(51), "refused": D(51)}, "above_threshold", {"balance": "51"}),
	):
		decision = threshold.decide(replace(VIEW, **change))
		assert (decision.code, dict(decision.figures)) == (code, basis | more)


def test_a_debt_down_to_the_overdraft_is_one_that_usage_can_have_made():
	deep = replace(VIEW, balance=D(-600), overdraft=D(600), limits=threshold.Limits(maximum=D(500)))
	assert threshold.decide(deep).code == threshold.CHARGED
	assert threshold.decide(replace(deep, overdraft=D(599))).code == threshold.ABOVE_MAXIMUM


def test_unusual_usage_pauses_what_would_be_charged_and_nothing_else():
	asked = []
	decision = threshold.decide(VIEW, lambda: asked.append(1) or "much")
	assert (decision.code, decision.amount, decision.pauses) == ("paused", None, "much")
	assert decision.figures == threshold.decide(VIEW).figures | {"because": "much"}
	assert threshold.decide(VIEW, lambda: None) == threshold.decide(VIEW)
	threshold.decide(replace(VIEW, enabled=False), lambda: asked.append(2))
	assert asked == [1]


@pytest.mark.parametrize(
	("change", "looked_at"),
	[
		({"refused": None}, False),
		({"refused": D(41)}, True),
		({"refused": D(40)}, False),
		({"refused": D(45), "overdraft": D(5)}, False),
		({"refused": D(46), "overdraft": D(5)}, True),
		({"balance": D(50), "refused": D(900)}, True),
		({"balance": D(51), "refused": D(900)}, False),
		({"balance": D(51), "refused": D(500)}, True),
		({"balance": D(51), "refused": None}, False),
	],
)
def test_when_a_refused_charge_is_looked_at(change, looked_at):
	assert threshold.look_at_refusal(replace(VIEW, **change)) is looked_at


def test_only_usage_and_payments_may_start_a_recharge():
	starting = [
		kind for kind in ("Usage", "Recharge", "Grant", "Expiry", "Refund") if threshold.may_start(kind)
	]
	assert starting == ["Usage", "Recharge"]
	assert threshold.look_at_entry(D(50), D(50)) and not threshold.look_at_entry(D("50.01"), D(50))
	assert not threshold.look_at_entry(D(1), D(50), more_follow=True)


def test_what_a_refused_setting_tells():
	figures = {"falls_below": "50", "recharge_up_to": "52", "currency": "USD"}
	told = refusal(threshold.check_setting, D(50), D(52), "USD", threshold.Limits())
	assert told == ("gap_below_minimum", figures | {"gap": "2", "minimum": "5"})
	told = refusal(threshold.check_setting, D(50), D(10_001), "USD", threshold.Limits())
	assert told == (
		"gap_above_maximum",
		figures | {"recharge_up_to": "10001", "gap": "9951", "maximum": "10000"},
	)
	assert refusal(threshold.check_setting, D(-1), D(5), "USD", threshold.Limits())[0] == "threshold_negative"
	threshold.check_setting(D(50), D(10_000), "USD", threshold.Limits())


def test_what_a_refused_payment_tells():
	figures = {"amount": "4", "currency": "USD"}
	told = refusal(threshold.check_payment, D(4), "USD", threshold.Limits())
	assert told == ("payment_below_minimum", figures | {"minimum": "5"})
	told = refusal(threshold.check_payment, D(10_001), "USD", threshold.Limits())
	assert told == ("payment_above_maximum", figures | {"amount": "10001", "maximum": "10000"})
	told = refusal(threshold.check_payment, D("5.001"), "USD", threshold.Limits())
	assert told == ("payment_too_fine", figures | {"amount": "5.001"})
	for amount in (D(5), D(10_000)):
		threshold.check_payment(amount, "USD", threshold.Limits())


def test_amounts_at_the_limits_are_offered_and_no_other_multiples():
	limits = threshold.Limits(D(100), D(500))
	assert threshold.usual_amounts([D(500), D(100), D(501)], "USD", limits) == [100, 500]
	assert threshold.usual_amounts([D(7)], "USD", threshold.Limits(D(100), D(150))) == [100]


# -- cards ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
	("entered", "kept", "takes_over"),
	[
		((5, 2030), (5, 2030), True),
		((4, 2030), (5, 2030), False),
		((6, 2030), (5, 2030), True),
		((1, 2031), (12, 2030), True),
		((12, 2029), (1, 2030), False),
		((None, None), (None, None), True),
		((None, None), (1, 1), False),
		((None, 1), (None, None), True),
		((None, 2030), (1, 2030), False),
		((1, 2030), (None, 2030), True),
		((None, None), (None, 1), False),
		((None, 1), (1, 1), False),
		((1, None), (None, None), True),
		((None, None), (1, None), False),
	],
)
def test_a_card_entered_again_takes_over_with_details_as_good(entered, kept, takes_over):
	new, old = (Card("c", exp_month=month, exp_year=year) for month, year in (entered, kept))
	assert cards.takes_over(new, old) is takes_over
	assert cards.takes_over(new, replace(old, status=cards.UNUSABLE)) is True


def test_a_card_begins_without_declines():
	assert Card("c").declines_30d == 0
	assert cards.NETWORK_WINDOW == timedelta(days=30)


# -- the reconciler ------------------------------------------------------------------------------------------


SITE = fit.Site("here")
ANSWER = Answer(
	Outcome.SUCCEEDED,
	intent="pi_1",
	amount=D(50),
	currency="USD",
	customer="cus_1",
	metadata={"recharge": "R1", "site": "here"},
)
OLD = NOW - timedelta(days=2)


def knows(**more):
	due = fit.Due("R1", ("cus_1", "cus_2"), "USD", D(50))
	values = {"status": "Queued", "settled_intent": None} | more
	return reconcile.Known(due, **values)


def judged(answer=ANSWER, known=None, created=OLD, payers=()):
	return reconcile.judge(answer, SITE, known, created, NOW, payers)


def test_the_verdict_on_what_was_credited():
	paid = knows(settled_intent="pi_1", credited=D(50))
	assert judged(known=paid) == reconcile.Verdict("agrees", "pi_1")
	lost = replace(ANSWER, outcome=Outcome.CANCELLED, code=None)
	text = "credited by R1; the gateway says cancelled"
	assert judged(lost, paid) == reconcile.Verdict("missing_at_gateway", "pi_1", text)
	lost = replace(lost, code="gone")
	assert judged(lost, paid).text == "credited by R1; the gateway says gone"
	unasked = replace(ANSWER, outcome=Outcome.UNKNOWN, code="timeout", intent=None)
	assert reconcile.judge_credit(unasked, SITE, paid) == reconcile.Verdict("agrees", "pi_1")
	other = replace(ANSWER, customer="cus_9", amount=D(51))
	text = "customer: cus_9, asked for cus_1, cus_2; amount: 51, asked for 50"
	found = judged(other, paid)
	assert (found.kind, found.intent, found.text) == ("does_not_fit", "pi_1", f"credited by R1: {text}")
	assert found.misfits == fit.misfits(paid.due, other)


@pytest.mark.parametrize(("credited", "told"), [(None, "nothing"), (D(49), "49")])
def test_the_verdict_on_what_was_credited_otherwise(credited, told):
	found = judged(known=knows(settled_intent="pi_1", credited=credited))
	text = f"the gateway captured 50 USD, the ledger holds {told}"
	assert found == reconcile.Verdict("amount_differs", "pi_1", text)


def test_the_verdict_on_what_was_captured():
	assert judged(known=knows()) == reconcile.Verdict("settle", "pi_1", "captured, but recharge R1 is Queued")
	assert judged(known=knows(refund_arranged=True)) == reconcile.Verdict("agrees", "pi_1")
	twice = judged(known=knows(settled_intent="pi_0"))
	assert twice == reconcile.Verdict("duplicate", "pi_1", "recharge R1 was already paid by pi_0")
	wrong = replace(ANSWER, amount=D(51))
	found = judged(wrong, knows())
	text = "captured for R1, but amount: 51, asked for 50"
	assert (found.kind, found.intent, found.text) == ("does_not_fit", "pi_1", text)
	assert judged(wrong, knows(held=True)) == reconcile.Verdict("agrees", "pi_1")


def test_the_verdict_on_a_capture_whose_recharge_does_not_exist():
	text = "captured for recharge R1, which does not exist"
	assert judged() == reconcile.Verdict("orphan", "pi_1", text)
	assert judged(payers=("cus_1",)) == reconcile.Verdict("orphan", "pi_1", text)
	for customer, shown in (("cus_1", "cus_1"), (None, "–")):
		found = judged(replace(ANSWER, customer=customer), payers=("cus_8", "cus_9"))
		wrong = (fit.Misfit("customer", "cus_8, cus_9", shown),)
		told = f"{text}; customer: {shown}, asked for cus_8, cus_9"
		assert found == reconcile.Verdict("does_not_fit", "pi_1", told, wrong)


def test_what_is_young_is_left_alone_for_an_hour():
	for age, kind in ((timedelta(minutes=59), "agrees"), (timedelta(hours=1), "orphan")):
		assert judged(created=NOW - age).kind == kind


@pytest.mark.parametrize(
	("outcome", "is_open", "known", "kind"),
	[
		(Outcome.DECLINED, True, None, "close"),
		(Outcome.DECLINED, False, None, "agrees"),
		(Outcome.UNKNOWN, True, None, "close"),
		(Outcome.NEEDS_AUTHENTICATION, True, {"status": "Failed"}, "close"),
		(Outcome.NEEDS_AUTHENTICATION, True, {"status": "Action Required"}, "agrees"),
		(Outcome.NEEDS_AUTHENTICATION, True, {"status": "Charging"}, "agrees"),
		(Outcome.NEEDS_AUTHENTICATION, True, {"status": "Failed", "busy": True}, "agrees"),
	],
)
def test_the_verdict_on_what_is_open_at_the_gateway(outcome, is_open, known, kind):
	answer = replace(ANSWER, outcome=outcome, intent_open=is_open)
	found = judged(answer, known and knows(**known))
	text = "open at the gateway, though nobody here waits for it" if kind == "close" else ""
	assert found == reconcile.Verdict(kind, "pi_1", text)


def test_the_verdict_on_what_is_undecided():
	answer = replace(ANSWER, outcome=Outcome.UNKNOWN, code=None)
	text = "recharge {}: the gateway still says {}"
	assert judged(answer, created=NOW - timedelta(hours=23)).kind == "agrees"
	late = judged(answer, created=NOW - timedelta(hours=24))
	assert late == reconcile.Verdict("undecided", "pi_1", text.format("R1", "processing"))
	other = replace(answer, code="x", metadata={"recharge": "R7", "site": "here"})
	assert judged(other, knows()).text == text.format("R1", "x")
	assert judged(other).text == text.format("R7", "x")


def test_the_verdict_on_what_is_pending():
	answer = replace(ANSWER, outcome=Outcome.PENDING, code="processing")
	assert judged(answer, knows(), created=NOW - timedelta(days=13)).kind == "agrees"
	found = judged(
		replace(answer, metadata={"recharge": "R7", "site": "here"}), knows(), NOW - timedelta(days=14)
	)
	assert (found.kind, found.text) == ("undecided", "recharge R1: the gateway still says processing")


def test_what_is_listed_and_what_was_credited_wrongly():
	assert reconcile.LISTED == ("does_not_fit", "amount_differs", "missing_at_gateway", "undecided")
	assert reconcile.CREDITED_WRONGLY == ("does_not_fit", "amount_differs", "missing_at_gateway")
