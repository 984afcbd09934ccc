"""Refunds on a real database, against a stand-in for Stripe."""

import itertools
from datetime import timedelta
from decimal import Decimal as D
from unittest.mock import patch

import frappe
from frappe.utils import now_datetime

from crm_recharge.api import recharge as api
from crm_recharge.credits.errors import IdempotencyConflictError, InvalidRequestError
from crm_recharge.domain.effects import AskRefund
from crm_recharge.gateway.stripe.gateway import StripeGateway
from crm_recharge.recharge import payments, reconcile, refunds, takeback_notices, takebacks
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import GOOD
from crm_recharge.tests.support.work import due

FAILS_LATER, PENDING = "4000000000005126", "4000000000007726"


class TestRequested(TakebackCase):
	def test_unused_is_refunded_whole(self):
		account, recharge = self.paid("100")
		answer = refunds.request(recharge, "whole", None, "does not need them")
		self.assertEqual((answer["status"], answer["amount"], answer["repeated"]), ("Held", "100", False))
		self.assertEqual((self.balance(account), self.lot(recharge)), (D(0), (D(0), D(100))))
		self.assertEqual(self.stripe.all("refund", payment_intent=self.intent(recharge)), [])
		self.assertEqual(refunds.carry_out(answer["refund"]), "Succeeded")
		(made,) = self.stripe.all("refund", payment_intent=self.intent(recharge))
		self.assertEqual((made["amount"], made["reason"]), (10000, "requested_by_customer"))
		self.assertEqual(made["metadata"]["refund"], answer["refund"])
		row = self.row("Recharge Refund", answer["refund"])
		self.assertEqual((row.status, row.gateway_refund, row.kind), ("Succeeded", made["id"], "Requested"))
		self.assertEqual((row.accounting_status, row.requested_by), ("Pending", "Administrator"))
		self.assertEqual(
			self.subjects("Recharge Refund", row.name, self.owner), {"We have refunded $ 100.00"}
		)
		paid = self.row("Recharge", recharge)
		self.assertEqual((paid.status, paid.refunded_amount), ("Refunded", 100))
		entry = frappe.get_doc("Credit Ledger", row.hold_entry)
		self.assertEqual((entry.entry_type, entry.amount, entry.idempotency_key), ("Refund", -100, row.name))
		self.assertEqual((entry.reference_type, entry.reference_name), ("Recharge Refund", row.name))
		self.assert_books(account)

	def test_of_what_is_partly_used_the_rest(self):
		account, recharge = self.paid("100")
		self.use(account, "33.333")
		name = self.refund(recharge)
		refunds.carry_out(name)
		self.assertEqual(self.row("Recharge Refund", name).amount, 66.66)
		self.assertEqual(self.balance(account), D("0.007"))
		self.assertEqual(self.row("Recharge", recharge).status, "Partly Refunded")
		self.assert_books(account)

	def test_only_this_payments_credits(self):
		account, first = self.paid("100")
		_account, second = self.paid("50", account=account)
		self.use(account, 30)
		refunds.carry_out(self.refund(second))
		self.assertEqual((self.lot(first), self.lot(second)), ((D(70), D(0)), (D(0), D(50))))
		self.assertEqual(self.row("Recharge", first).status, "Succeeded")

	def test_refusals_change_nothing(self):
		account, recharge = self.paid("100")
		self.use(account, 90)
		for code, arguments in {
			"more_than_unused": {"amount": "10.01"},
			"refund_too_fine": {"amount": "1.001"},
			"not_positive": {"amount": 0},
			"not_a_number": {"amount": "all"},
			"reason_missing": {"reason": "  "},
			"missing_key": {"idempotency_key": ""},
			"unknown_recharge": {"recharge": "RC-NONE"},
		}.items():
			with self.subTest(code=code), self.assertRaises(InvalidRequestError) as error:
				refunds.request(
					**{"recharge": recharge, "idempotency_key": code, "amount": None, "reason": "test"}
					| arguments
				)
			self.assertEqual(error.exception.code, code)
		self.use(account, 10)
		with self.assertRaises(InvalidRequestError) as error:
			self.refund(recharge)
		self.assertEqual(error.exception.code, "nothing_to_refund")
		self.assertEqual(frappe.db.count("Recharge Refund", {"recharge": recharge}), 0)
		self.assert_books(account)

	def test_what_is_not_paid_cannot_be_refunded(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		with self.assertRaises(InvalidRequestError) as error:
			self.refund(recharge)
		self.assertEqual(error.exception.code, "not_paid")
		self.assertIn("Queued", str(error.exception))

	def test_the_same_key_is_the_same_refund_and_other_content_a_conflict(self):
		_account, recharge = self.paid("100")
		first = refunds.request(recharge, "again", 10, "test")
		second = refunds.request(recharge, "again", "10.00", "test")
		self.assertEqual((second["refund"], second["repeated"]), (first["refund"], True))
		with self.assertRaises(IdempotencyConflictError):
			refunds.request(recharge, "again", 11, "test")
		self.assertEqual(frappe.db.count("Recharge Refund", {"recharge": recharge}), 1)

	def test_ten_at_once_with_one_key_are_one(self):
		account, recharge = self.paid("100")
		answers = self.at_once(10, lambda n: refunds.request(recharge, "one", 30, "test")["refund"])
		self.assertEqual(len(set(answers)), 1)
		self.assertEqual(self.balance(account), D(70))
		self.assert_books(account)

	def test_ten_at_once_never_take_more_than_there_is(self):
		account, recharge = self.paid("100")

		def ask(number):
			try:
				return refunds.request(recharge, f"n{number}", 30, "test")["refund"]
			except InvalidRequestError as error:
				return error.code

		answers = self.at_once(10, ask)
		self.assertEqual(answers.count("more_than_unused"), 7)
		self.assertEqual(self.balance(account), D(10))
		for name in answers:
			if name.startswith("RF-"):
				self.assertEqual(refunds.carry_out(name), "Succeeded")
		self.assertEqual(self.row("Recharge", recharge).refunded_amount, 90)
		self.assert_books(account)

	def test_by_api_for_managers_alone(self):
		_account, recharge = self.paid("100")
		with patch.dict(frappe.flags, in_test=False):
			frappe.set_user(self.owner)
			with self.assertRaises(frappe.PermissionError):
				api.refund(recharge, "k", None, "test")
			frappe.set_user(self.manager)
			answer = api.refund(recharge, "k", 5, "test")
		frappe.set_user("Administrator")
		self.assertEqual(self.row("Recharge Refund", answer["refund"]).requested_by, self.manager)

	def test_rows_are_the_machines_alone(self):
		_account, recharge = self.paid("100")
		with self.assertRaises(frappe.PermissionError):
			frappe.get_doc({"doctype": "Recharge Refund", "recharge": recharge}).insert(
				ignore_permissions=True
			)
		name = self.refund(recharge)
		with self.assertRaises(frappe.PermissionError):
			frappe.delete_doc("Recharge Refund", name, force=True)
		with self.assertRaises(frappe.PermissionError):
			frappe.rename_doc("Recharge Refund", name, "RF-OTHER", force=True)


class TestAnswers(TakebackCase):
	def test_lost_before_and_after(self):
		for fault in (
			self.stripe.faults.lost_before,
			self.stripe.faults.lost_after,
			self.stripe.faults.error_after,
		):
			with self.subTest(fault=fault.__name__):
				account, recharge = self.paid("100")
				name = self.refund(recharge)
				fault("POST /v1/refunds")
				self.assertEqual(refunds.carry_out(name), "waiting")
				row = self.row("Recharge Refund", name)
				self.assertEqual((row.status, row.asks, row.lease_owner), ("Asked", 1, None))
				self.assertEqual(refunds.carry_out(name), "not yet")
				self.make_due(name)
				self.assertEqual(refunds.carry_out(name), "Succeeded")
				self.assertEqual(len(self.stripe.all("refund", payment_intent=self.intent(recharge))), 1)
				self.assert_books(account)

	def make_due(self, name: str) -> None:
		frappe.db.set_value("Recharge Refund", name, {"next_ask_at": None, "lease_until": None})
		frappe.db.commit()

	def test_a_refusal_gives_the_credits_back_and_tells(self):
		account, recharge = self.paid("100")
		name = self.refund(recharge, 60)
		self.stripe.control(
			"refund", intent=self.intent(recharge), amount=9000
		)  # somebody was faster, elsewhere
		self.assertEqual(refunds.carry_out(name), "Failed")
		self.assertEqual(self.balance(account), D(100))
		self.assertEqual(self.rows_of(account)[-1], ("Reinstatement", D(60)))
		row = self.row("Recharge Refund", name)
		self.assertEqual((row.status, bool(row.reinstate_entry), row.gateway_refund), ("Failed", True, None))
		self.assertIn("greater than unrefunded amount", row.message)
		self.assertEqual(
			self.subjects("Recharge Refund", name, self.manager), {"The refund of $ 60.00 failed"}
		)
		refunds.follow(self.intent(recharge))
		self.assertEqual(self.balance(account), D(10))
		self.assert_books(account)

	def test_wrong_keys_never_count_as_a_refusal(self):
		account, recharge = self.paid("100")
		name = self.refund(recharge)
		self.stripe.faults.lost_after("POST /v1/refunds")
		refunds.carry_out(name)
		self.make_due(name)
		right = frappe.local.conf["crm_recharge_stripe_secret_key"]
		for key in ("sk_test_wrong", ""):
			frappe.local.conf["crm_recharge_stripe_secret_key"] = key
			self.assertEqual(refunds.carry_out(name), "waiting")
			self.assertEqual(self.row("Recharge Refund", name).status, "Asked")
			self.make_due(name)
		frappe.local.conf["crm_recharge_stripe_secret_key"] = right
		self.assertEqual(refunds.carry_out(name), "Succeeded")
		self.assertEqual(self.balance(account), D(0))

	def test_after_a_day_it_is_looked_up(self):
		_account, recharge = self.paid("100")
		name = self.refund(recharge)
		self.stripe.faults.lost_after("POST /v1/refunds")
		refunds.carry_out(name)
		self.make_due(name)
		frappe.db.set_value("Recharge Refund", name, "asked_at", now_datetime() - timedelta(hours=24))
		frappe.db.commit()
		self.stripe.control("forget_keys")
		self.assertEqual(refunds.carry_out(name), "Succeeded")
		self.assertEqual(len(self.stripe.all("refund", payment_intent=self.intent(recharge))), 1)

	def test_nothing_is_asked_under_a_key_that_may_be_forgotten(self):
		_account, recharge = self.paid("100")
		intent = self.intent(recharge)
		late = AskRefund(
			"RF-LATE", intent, D(1), "USD", "Requested", until=now_datetime() - timedelta(seconds=1)
		)
		answer = takebacks.ask_refund(late)
		self.assertEqual((answer.outcome.value, answer.code), ("unknown", "too_late"))
		self.assertEqual(self.stripe.all("refund", payment_intent=intent), [])

	def test_pending_then_done(self):
		_account, recharge = self.paid("100", PENDING)
		name = self.refund(recharge)
		self.assertEqual(refunds.carry_out(name), "Asked")
		row = self.row("Recharge Refund", name)
		self.assertEqual((row.status, self.row("Recharge", recharge).status), ("Asked", "Succeeded"))
		done = self.stripe.control("finish_refund", refund=row.gateway_refund)
		self.assertEqual(self.deliver("refund.updated", done), "Succeeded")
		self.assertEqual(self.row("Recharge", recharge).status, "Refunded")

	def test_succeeded_and_returned_by_the_bank_later(self):
		account, recharge = self.paid("100", FAILS_LATER)
		name = self.refund(recharge)
		self.assertEqual(refunds.carry_out(name), "Succeeded")
		back = self.stripe.control("finish_refund", refund=self.row("Recharge Refund", name).gateway_refund)
		self.assertEqual(self.deliver("refund.failed", back), "Failed")
		self.assertEqual(self.deliver("charge.refund.updated", back), "known")
		self.assertEqual(
			(self.balance(account), self.row("Recharge", recharge).status), (D(100), "Succeeded")
		)
		self.assertEqual(self.row("Recharge", recharge).refunded_amount, 0)
		self.assert_books(account)

	def test_a_dead_workers_refund_is_swept_up(self):
		_account, recharge = self.paid("100")
		name = self.refund(recharge)
		with patch.object(takebacks, "ask", side_effect=SystemExit), self.assertRaises(SystemExit):
			refunds.carry_out(name)
		self.assertEqual(refunds.carry_out(name), "leased")
		self.assertNotIn(name, due("refund"))
		self.make_due(name)
		self.assertIn(name, due("refund"))
		self.assertEqual(refunds.carry_out(name), "Succeeded")

	def test_every_point_of_death(self):
		"""Whoever asks and whoever works dies before each effect in turn; who comes next ends it, once."""
		for death in itertools.count():
			account, recharge = self.paid("100")
			key, died = frappe.generate_hash(length=9), False
			died |= self.dies_at(death, lambda: refunds.request(recharge, key, 60, "test"))
			name = refunds.request(recharge, key, 60, "test")["refund"]
			died |= self.dies_at(death, lambda: refunds.carry_out(name))
			self.make_due(name)
			refunds.carry_out(name)
			self.assertEqual(self.rows_of(account), [("Recharge", D(100)), ("Refund", D(-60))])
			self.assertEqual(len(self.stripe.all("refund", payment_intent=self.intent(recharge))), 1)
			self.assertEqual(self.row("Recharge", recharge).refunded_amount, 60)
			self.assertEqual(self.subjects("Recharge Refund", name, self.owner), {"We have refunded $ 60.00"})
			self.assert_books(account)
			if not died:
				break
		self.assertGreater(death, 12)

	def test_nothing_is_locked_or_unwritten_while_the_gateway_is_asked(self):
		account, recharge = self.paid("100")
		name = self.refund(recharge)
		asked, seen = StripeGateway.refund, []

		def spy(gateway, **arguments):
			seen.append(frappe.db.transaction_writes)
			# From elsewhere, without waiting: it fails if anybody holds a lock.
			seen.append(
				self.at_once(
					1,
					lambda _n: [
						frappe.db.sql(
							f"SELECT `name` FROM `tab{doctype}` WHERE `name` = %s FOR UPDATE NOWAIT", row
						)[0][0]
						for doctype, row in (
							("Credit Account", account),
							("Recharge", recharge),
							("Recharge Refund", name),
						)
					],
				)
			)
			return asked(gateway, **arguments)

		with patch.object(StripeGateway, "refund", spy):
			self.assertEqual(refunds.carry_out(name), "Succeeded")
		self.assertEqual(seen, [0, [[account, recharge, name]]])


class TestMadeElsewhere(TakebackCase):
	def test_in_the_dashboard(self):
		account, recharge = self.paid("100")
		self.use(account, 30)
		made = self.stripe.control("refund", intent=self.intent(recharge))
		charge = self.stripe.all("charge", id=made["charge"])[0]
		self.assertEqual(self.deliver("charge.refunded", charge), "Succeeded")
		self.assertEqual(self.deliver("refund.created", made), "known")
		row = self.row("Recharge Refund", made["id"])
		self.assertEqual(
			(row.kind, row.status, row.taken, row.recharge), ("From Gateway", "Succeeded", 100, recharge)
		)
		self.assertEqual(self.balance(account), D(-30))
		paid = self.row("Recharge", recharge)
		self.assertEqual((paid.status, paid.refunded_amount), ("Refunded", 100))
		self.assertEqual(self.row("Credit Account", account).held_because, f"Refund {made['id']}")
		for person in (self.owner, self.manager):
			self.assertEqual(
				self.subjects("Recharge Refund", row.name, person), {"$ 100.00 has been refunded"}
			)
		self.assert_books(account)

	def test_ten_webhooks_at_once_are_one(self):
		account, recharge = self.paid("100")
		intent = self.intent(recharge)
		self.stripe.control("refund", intent=intent, amount=4000)
		self.at_once(10, lambda n: refunds.follow(intent))
		self.assertEqual(self.balance(account), D(60))
		self.assertEqual(frappe.db.count("Recharge Refund", {"recharge": recharge}), 1)
		self.assert_books(account)

	def test_heard_of_before_the_payment_is_settled(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(recharge), "waiting")
		(intent,) = self.stripe.intents(
			self.value("Credit Account", account, "gateway_customer"), "succeeded"
		)
		made = self.stripe.control("refund", intent=intent["id"])
		self.assertEqual(self.deliver("refund.created", made), "Succeeded")
		self.assertEqual(self.row("Recharge", recharge).status, "Refunded")
		self.assertEqual(self.balance(account), D(40))
		self.assert_books(account)

	def test_not_ours(self):
		customer = self.stripe.make_customer()
		card = self.stripe.make_card(customer)
		answer = self.stripe.gateway().charge(
			key="x", amount=D(5), currency="USD", customer=customer, payment_method=card
		)
		made = self.stripe.control("refund", intent=answer.intent)
		self.assertEqual(self.deliver("refund.created", made), "not ours")
		self.assertFalse(frappe.db.exists("Recharge Refund", made["id"]))

	def test_the_gateway_cannot_be_asked(self):
		_account, recharge = self.paid("100")
		made = self.stripe.control("refund", intent=self.intent(recharge))
		self.stripe.faults.error_before("GET /v1/refunds", count=None)
		with self.assertRaises(AssertionError):
			self.deliver("refund.created", made)
		self.stripe.faults.clear()
		self.assertEqual(self.deliver("refund.created", made), "Succeeded")


class TestBoughtNothing(TakebackCase):
	def capture_again(self, account: str, recharge: str):
		"""A second capture for a recharge that is paid; the gateway's answer about it."""
		answer = self.stripe.gateway().charge(
			key=frappe.generate_hash(length=12),
			amount=D(100),
			currency="USD",
			customer=self.value("Credit Account", account, "gateway_customer"),
			payment_method=self.value("Recharge Card", {"credit_account": account}, "payment_method"),
			metadata={"recharge": recharge, "account": account, "site": frappe.local.site},
		)
		return self.stripe.gateway().retrieve(answer.intent)

	def test_a_second_capture_is_refunded_by_itself(self):
		account, recharge = self.paid("100")
		answer = self.capture_again(account, recharge)
		for word in ("duplicate", "duplicate"):
			self.assertEqual(payments.hear_about(answer), word)
		(name,) = frappe.get_all("Recharge Refund", {"intent": answer.intent}, pluck="name")
		row = self.row("Recharge Refund", name)
		self.assertEqual(
			(row.kind, row.status, row.amount, row.recharge), ("Duplicate", "Held", 100, recharge)
		)
		told = self.told("Recharge Refund", name)
		self.assertEqual(
			[subject for address, subject in told if address == self.manager],
			[f"Payment {answer.intent} bought nothing and is refunded"],
		)
		self.assertEqual(self.subjects("Recharge Refund", name, self.owner), set())
		self.assertEqual(refunds.carry_out(name), "Succeeded")
		self.assertEqual(self.row("Recharge Refund", name).accounting_status, "Not Needed")
		(made,) = self.stripe.all("refund", payment_intent=answer.intent)
		self.assertEqual((made["amount"], made["reason"]), (10000, "duplicate"))
		self.assertEqual(self.deliver("refund.created", made), "known")
		self.assertEqual(
			(self.balance(account), self.row("Recharge", recharge).status), (D(100), "Succeeded")
		)
		self.assert_books(account)

	def test_one_that_somebody_has_refunded_by_hand_is_the_same_refund(self):
		account, recharge = self.paid("100")
		answer = self.capture_again(account, recharge)
		payments.hear_about(answer)
		made = self.stripe.control("refund", intent=answer.intent)
		self.assertEqual(self.deliver("refund.created", made), "Succeeded")
		(row,) = frappe.get_all(
			"Recharge Refund", {"intent": answer.intent}, ["kind", "status", "gateway_refund", "name"]
		)
		self.assertEqual((row.kind, row.status, row.gateway_refund), ("Duplicate", "Succeeded", made["id"]))
		self.assertEqual(refunds.carry_out(row.name), "Succeeded")
		self.assertEqual(self.balance(account), D(100))

	def test_an_orphan_is_refunded_by_the_reconciler(self):
		account = self.account_with(GOOD)
		answer = self.capture_again(account, "RC-GONE")
		with patch("crm_recharge.domain.reconcile.GRACE", timedelta(0)):
			counts = reconcile.reconcile_recent()
		self.assertGreaterEqual(counts.get("orphan", 0), 1)
		self.assertIsNone(refunds.orphan(answer))
		(name,) = frappe.get_all("Recharge Refund", {"intent": answer.intent}, pluck="name")
		row = self.row("Recharge Refund", name)
		self.assertEqual((row.kind, row.recharge, row.credit_account), ("Orphan", None, account))
		self.assertEqual(refunds.carry_out(name), "Succeeded")
		self.assertEqual(len(self.stripe.all("refund", payment_intent=answer.intent)), 1)
		self.assertEqual(self.balance(account), D(500))

	def test_an_orphan_without_any_account(self):
		account = self.account_with(GOOD)
		answer = self.capture_again(account, "RC-GONE")
		answer.metadata.pop("account")
		name = refunds.orphan(answer)
		self.assertIsNone(self.row("Recharge Refund", name).credit_account)
		self.stripe.faults.lost_before("POST /v1/refunds")
		self.assertEqual(refunds.carry_out(name), "waiting")
		frappe.db.set_value("Recharge Refund", name, "next_ask_at", None)
		frappe.db.commit()
		self.assertEqual(refunds.carry_out(name), "Succeeded")
		(made,) = self.stripe.all("refund", payment_intent=answer.intent)
		self.assertEqual(self.deliver("refund.created", made), "known")


class TestAutoRecharge(TakebackCase):
	def test_a_refund_never_starts_a_recharge(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		name = self.refund(recharge)
		held = self.row("Credit Account", account).held_because
		self.assertEqual(held, f"Refund {name}")
		refunds.carry_out(name)
		self.assertEqual(self.open_recharges(account), [])
		decision = frappe.get_last_doc("Recharge Decision", {"credit_account": account})
		self.assertEqual(decision.code, "held")
		self.assertIn(name, decision.explanation)

	def test_nor_does_usage_after_it(self):
		account, first = self.paid("100")
		self.paid("15", account=account)
		self.switch_on(account)
		refunds.carry_out(self.refund(first))
		self.use(account, 5)
		self.assertEqual((self.balance(account), self.open_recharges(account)), (D(10), []))

	def test_one_that_stays_above_the_level_holds_nothing(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		refunds.carry_out(self.refund(recharge, 79))
		self.assertIsNone(self.row("Credit Account", account).held_because)
		self.use(account, 1)
		self.assertEqual(len(self.open_recharges(account)), 1)

	def test_a_person_lifts_it(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		refunds.carry_out(self.refund(recharge))
		api.resume(account)
		frappe.db.commit()
		self.assertIsNone(self.row("Credit Account", account).held_because)
		self.assertEqual(len(self.open_recharges(account)), 1)

	def test_a_refund_that_is_refused_lifts_its_own_hold(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		name = self.refund(recharge)
		self.stripe.faults.respond(
			400,
			{"error": {"type": "invalid_request_error", "message": "No.", "code": "charge_not_refundable"}},
			"POST /v1/refunds",
		)
		self.assertEqual(refunds.carry_out(name), "Failed")
		self.assertIsNone(self.row("Credit Account", account).held_because)
		self.assertEqual((self.balance(account), self.open_recharges(account)), (D(100), []))


class TestWiring(TakebackCase):
	def test_every_job_is_there(self):
		events = frappe.get_hooks("scheduler_events", app_name="crm_recharge")
		lists = [kind if isinstance(kind, dict) else {"": kind} for kind in events.values()]
		names = {name for kinds in lists for methods in kinds.values() for name in methods}
		for name in (
			"crm_recharge.recharge.catch_up.catch_up",
			"crm_recharge.recharge.catch_up.follow_open_disputes",
		):
			self.assertIn(name, names)
			frappe.get_attr(name)

	def test_every_notice_has_its_template(self):
		for kind, notice in takeback_notices.NOTICES.items():
			with self.subTest(kind=kind):
				self.assertTrue(frappe.db.exists("Email Template", notice.template))
