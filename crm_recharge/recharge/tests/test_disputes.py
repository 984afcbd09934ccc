"""Disputes and fraud warnings on a real database, against a stand-in for Stripe."""

import itertools
from decimal import Decimal as D
from unittest.mock import patch

import frappe

from crm_recharge.api import recharge as api
from crm_recharge.credits.errors import InvalidRequestError
from crm_recharge.recharge import disputes, refunds
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import FAILS, GOOD, GOOD_TOO


class TestDisputes(TakebackCase):
	def dispute(self, recharge: str, amount: int | None = None, inquiry: bool = False) -> dict:
		"""The card holder disputes the payment; `amount` in cents."""
		return self.stripe.control("dispute", intent=self.intent(recharge), amount=amount, inquiry=inquiry)

	def close(self, dispute: str, won: bool) -> dict:
		return self.stripe.control("close_dispute", dispute=dispute, won=won)

	def test_opened(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		self.use(account, 60)
		dispute = self.dispute(recharge)
		self.assertEqual(self.deliver("charge.dispute.created", dispute), "Open")
		self.assertEqual((self.balance(account), self.lot(recharge)), (D(-60), (D(0), D(100))))
		self.assertEqual(self.rows_of(account)[-1], ("Chargeback", D(-100)))
		row = self.row("Recharge Dispute", dispute["id"])
		self.assertEqual((row.status, row.gateway_status, row.taken), ("Open", "needs_response", 100))
		self.assertEqual((row.amount, row.withdrawn, row.fees, row.balance_currency), (100, 100, 15, "USD"))
		self.assertEqual(
			(row.recharge, row.accounting_status, row.reason), (recharge, "Pending", "fraudulent")
		)
		self.assertTrue(row.evidence_due and row.opened_at and row.customer and row.company)
		entry = frappe.get_doc("Credit Ledger", row.take_entry)
		self.assertEqual((entry.reference_type, entry.reference_name), ("Recharge Dispute", row.name))
		held = self.row("Credit Account", account)
		self.assertEqual((held.status, held.held_because), ("Disputed", f"Dispute {row.name}"))
		self.assertIn(row.name, held.status_reason)
		self.assertEqual(self.row("Recharge", recharge).status, "Disputed")
		self.assertEqual(self.open_recharges(account), [])
		self.assertEqual(
			self.subjects("Recharge Dispute", row.name, self.owner),
			{"Your bank disputes the payment of $ 100.00"},
		)
		(alert,) = self.subjects("Recharge Dispute", row.name, self.manager)
		self.assertIn("Dispute of $ 100.00 by ", alert)
		self.assertTrue(
			frappe.db.exists("Notification Log", {"for_user": self.manager, "document_name": row.name})
		)
		self.assert_books(account)

	def test_the_customer_is_told_why_and_how_to_resolve_it(self):
		account, recharge = self.paid("100")
		self.use(account, 60)
		dispute = self.dispute(recharge)
		self.deliver("charge.dispute.created", dispute)
		text = self.text_to(dispute["id"], self.owner)
		for part in ("fraudulent", "4242", "$ 100.00", "owed now: $ 60.00", "withdraw it", "on hold"):
			self.assertIn(part, text)

	def text_to(self, dispute: str, recipient: str) -> str:
		import email
		import email.policy

		for mail in frappe.get_all("Email Queue", {"reference_name": dispute}, ["name", "message"]):
			if frappe.db.exists("Email Queue Recipient", {"parent": mail.name, "recipient": recipient}):
				message = email.message_from_string(mail.message, policy=email.policy.default)
				return message.get_body(("plain",)).get_content()

	def test_won(self):
		account, first = self.paid("100")
		_account, second = self.paid("60", account=account)
		self.use(account, 70)
		dispute = self.dispute(first)["id"]
		disputes.follow(dispute)
		self.assertEqual(
			(self.balance(account), self.lot(first)[0], self.lot(second)[0]), (D(-10), D(0), D(0))
		)
		closed = self.close(dispute, won=True)
		self.assertEqual(self.deliver("charge.dispute.closed", closed), "Won")
		self.assertEqual(
			(self.balance(account), self.lot(first)[0], self.lot(second)[0]), (D(90), D(30), D(60))
		)
		self.assertEqual(self.rows_of(account)[-1], ("Reinstatement", D(100)))
		row = self.row("Recharge Dispute", dispute)
		self.assertEqual((row.status, row.taken, row.withdrawn, row.fees), ("Won", 0, 0, 15))
		self.assertTrue(row.closed_at)
		self.assertEqual(self.row("Recharge", first).status, "Succeeded")
		held = self.row("Credit Account", account)
		self.assertEqual((held.status, held.status_reason), ("Active", None))
		self.assertEqual(held.held_because, f"Dispute {dispute}")
		self.assertIn(
			"The dispute of $ 100.00 is settled", self.subjects("Recharge Dispute", dispute, self.owner)
		)
		self.assert_books(account)

	def test_auto_recharge_stays_off_after_a_win_until_a_person_acts(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		dispute = self.dispute(recharge)["id"]
		disputes.follow(dispute)
		with self.assertRaises(frappe.ValidationError) as error:
			api.resume(account)
		self.assertIn("still open", str(error.exception))
		self.close(dispute, won=True)
		disputes.follow(dispute)
		self.use(account, 90)
		self.assertEqual(self.open_recharges(account), [])
		api.resume(account)
		frappe.db.commit()
		self.assertEqual(len(self.open_recharges(account)), 1)

	def test_lost(self):
		account, recharge = self.paid("100")
		dispute = self.dispute(recharge)["id"]
		disputes.follow(dispute)
		self.close(dispute, won=False)
		self.assertEqual(disputes.follow(dispute), "Lost")
		self.assertEqual(
			(self.balance(account), self.row("Recharge", recharge).status), (D(0), "Charged Back")
		)
		self.assertEqual(self.row("Credit Account", account).status, "Disputed")
		self.assertIn(
			"The dispute of $ 100.00 is decided", self.subjects("Recharge Dispute", dispute, self.owner)
		)
		with patch.dict(frappe.flags, in_test=False):
			frappe.set_user(self.owner)
			with self.assertRaises(frappe.PermissionError):
				api.resume(account)
			frappe.set_user("Administrator")
		api.resume(account)
		frappe.db.commit()
		freed = self.row("Credit Account", account)
		self.assertEqual((freed.status, freed.held_because), ("Active", None))
		self.assert_books(account)

	def test_inquiry_then_dispute(self):
		account, recharge = self.paid("100")
		dispute = self.dispute(recharge, inquiry=True)
		self.assertEqual(self.deliver("charge.dispute.created", dispute), "Inquiry")
		self.assertEqual(
			(self.balance(account), self.row("Credit Account", account).status), (D(100), "Active")
		)
		self.assertEqual(self.subjects("Recharge Dispute", dispute["id"], self.owner), set())
		self.assertEqual(len(self.subjects("Recharge Dispute", dispute["id"], self.manager)), 1)
		self.close(dispute["id"], won=True)
		self.assertEqual(disputes.follow(dispute["id"]), "Won")
		self.assertEqual(self.rows_of(account), [("Recharge", D(100))])

	def test_any_order_and_twice(self):
		account, recharge = self.paid("100")
		opened = self.dispute(recharge)
		closed = self.close(opened["id"], won=True)
		kinds = ("closed", "funds_reinstated", "created", "funds_withdrawn", "updated", "closed")
		for kind in kinds:
			self.assertEqual(
				self.deliver(f"charge.dispute.{kind}", opened if kind == "created" else closed), "Won"
			)
		self.assertEqual(self.balance(account), D(100))
		self.assertEqual(self.rows_of(account), [("Recharge", D(100))])
		self.assertEqual(self.row("Credit Account", account).status, "Active")

	def test_ten_at_once_are_one(self):
		account, recharge = self.paid("100")
		dispute = self.dispute(recharge)["id"]
		answers = self.at_once(10, lambda n: disputes.follow(dispute))
		self.assertEqual(set(answers), {"Open"})
		self.assertEqual(self.rows_of(account), [("Recharge", D(100)), ("Chargeback", D(-100))])
		self.assert_books(account)

	def test_heard_of_before_the_payment_is_settled(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(recharge), "waiting")
		(intent,) = self.stripe.intents(
			self.value("Credit Account", account, "gateway_customer"), "succeeded"
		)
		dispute = self.stripe.control("dispute", intent=intent["id"])
		self.assertEqual(self.deliver("charge.dispute.created", dispute), "Open")
		self.assertEqual((self.balance(account), self.row("Recharge", recharge).status), (D(40), "Disputed"))
		self.assertEqual(self.open_recharges(account), [])
		self.assert_books(account)

	def test_not_ours(self):
		customer = self.stripe.make_customer()
		card = self.stripe.make_card(customer)
		answer = self.stripe.gateway().charge(
			key="d", amount=D(5), currency="USD", customer=customer, payment_method=card
		)
		dispute = self.stripe.control("dispute", intent=answer.intent)
		self.assertEqual(self.deliver("charge.dispute.created", dispute), "not ours")
		self.assertEqual(
			self.deliver("radar.early_fraud_warning.created", self.warning(answer.intent)), "not ours"
		)

	def warning(self, intent: str) -> dict:
		return self.stripe.control("warn_of_fraud", intent=intent)

	def test_only_what_was_not_refunded(self):
		account, recharge = self.paid("100")
		refunds.carry_out(self.refund(recharge, 70))
		dispute = self.dispute(recharge, amount=10000)["id"]
		disputes.follow(dispute)
		self.assertEqual((self.balance(account), self.row("Recharge Dispute", dispute).taken), (D(0), 30))
		self.assert_books(account)

	def test_a_refund_on_its_way_when_the_dispute_opens(self):
		account, recharge = self.paid("100")
		name = self.refund(recharge)
		dispute = self.dispute(recharge)["id"]
		disputes.follow(dispute)
		self.assertEqual(self.row("Recharge Dispute", dispute).taken, 0)
		self.assertEqual(refunds.carry_out(name), "Failed")
		self.assertEqual((self.balance(account), self.row("Recharge Dispute", dispute).taken), (D(0), 100))
		kinds = [kind for kind, _amount in self.rows_of(account)]
		self.assertEqual(kinds, ["Recharge", "Refund", "Reinstatement", "Chargeback"])
		with self.assertRaises(InvalidRequestError) as error:
			self.refund(recharge)
		self.assertEqual(error.exception.code, "recharge_disputed")
		self.close(dispute, won=True)
		disputes.follow(dispute)
		self.assertEqual(self.balance(account), D(100))
		self.assert_books(account)

	def test_the_flag_waits_for_every_dispute(self):
		account, first = self.paid("100")
		_account, second = self.paid("60", account=account)
		names = [self.dispute(recharge)["id"] for recharge in (first, second)]
		for name in names:
			disputes.follow(name)
		for name, status in zip(names, ("Disputed", "Active"), strict=True):
			self.close(name, won=True)
			disputes.follow(name)
			self.assertEqual(self.row("Credit Account", account).status, status)

	def test_a_recharge_that_no_card_was_asked_for_is_called_off(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		queued = self.use(account, 85)["recharge"]
		disputes.follow(self.dispute(recharge)["id"])
		row = self.row("Recharge", queued)
		self.assertEqual((row.status, row.docstatus), ("Cancelled", 2))
		self.assertIsNone(self.row("Credit Account", account).open_recharge)
		self.assertEqual(self.work(queued), "Cancelled")
		self.assertEqual(self.captured(account), D(100))

	def test_one_that_is_being_charged_is_left_to_its_answer(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		queued = self.use(account, 85)["recharge"]
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(queued), "waiting")
		disputes.follow(self.dispute(recharge)["id"])
		frappe.db.set_value("Recharge", queued, "next_try_at", None)
		frappe.db.set_value("Recharge Attempt", f"{queued}-1", "next_ask_at", None)
		frappe.db.commit()
		self.assertEqual(self.work(queued), "Succeeded")
		self.assert_books(account)

	def test_the_next_card_is_not_asked_once_a_dispute_is_open(self):
		account, recharge = self.paid("100")
		setting = frappe.get_doc("Auto-Recharge Setting", {"credit_account": account})
		second = self.save_card(account, self.value("Credit Account", account, "gateway_customer"), GOOD_TOO)
		setting.append("cards", {"card": second})
		setting.save()
		self.switch_on(account)
		queued = self.use(account, 85)["recharge"]
		self.stripe.control(
			"set_card",
			payment_method=self.value("Recharge Card", setting.cards[0].card, "payment_method"),
			number=FAILS,
		)
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(queued), "waiting")
		disputes.follow(self.dispute(recharge)["id"])
		frappe.db.set_value("Recharge", queued, "next_try_at", None)
		frappe.db.set_value("Recharge Attempt", f"{queued}-1", "next_ask_at", None)
		frappe.db.commit()
		self.assertEqual(self.work(queued), "Cancelled")
		attempts = frappe.get_all("Recharge Attempt", {"recharge": queued}, pluck="card")
		self.assertEqual(attempts, [setting.cards[0].card])
		self.assertEqual(
			(self.captured(account), self.row("Credit Account", account).open_recharge), (D(100), None)
		)

	def test_usage_goes_on_while_other_credits_last(self):
		account, first = self.paid("100")
		self.paid("60", account=account)
		disputes.follow(self.dispute(first)["id"])
		self.use(account, 50)
		self.assertEqual(self.balance(account), D(10))
		with self.assertRaises(frappe.ValidationError) as error:
			self.use(account, 20)
		self.assertEqual(error.exception.code, "insufficient_credits")

	def test_every_point_of_death(self):
		"""The worker dies before each effect in turn; the event is worked on again, and all is as it must be."""
		for death in itertools.count():
			account, recharge = self.paid("100")
			dispute = self.dispute(recharge)["id"]
			if not self.dies_at(death, lambda: disputes.follow(dispute)):
				break
			self.assertEqual(disputes.follow(dispute), "Open")
			self.assertEqual(self.rows_of(account), [("Recharge", D(100)), ("Chargeback", D(-100))])
			self.assertEqual(self.row("Credit Account", account).held_because, f"Dispute {dispute}")
			self.assertEqual(len(self.subjects("Recharge Dispute", dispute, self.owner)), 1)
			self.assert_books(account)
		self.assertGreater(death, 10)

	def test_a_fraud_warning(self):
		account, recharge = self.paid("100")
		self.switch_on(account)
		warning = self.warning(self.intent(recharge))
		for word in ("Warning", "known"):
			self.assertEqual(self.deliver("radar.early_fraud_warning.created", warning), word)
		row = self.row("Recharge Dispute", warning["id"])
		self.assertEqual(
			(row.status, row.reason, row.recharge), ("Warning", "made_with_stolen_card", recharge)
		)
		held = self.row("Credit Account", account)
		self.assertEqual((held.status, held.held_because), ("Active", f"Fraud warning {row.name}"))
		self.assertEqual(self.balance(account), D(100))
		self.assertEqual(self.subjects("Recharge Dispute", row.name, self.owner), set())
		self.assertEqual(len(self.subjects("Recharge Dispute", row.name, self.manager)), 1)
		self.use(account, 90)
		self.assertEqual(self.open_recharges(account), [])

	def test_a_warning_that_names_its_charge_alone(self):
		account, recharge = self.paid("100")
		warning = self.warning(self.intent(recharge))
		self.assertEqual(disputes.warn(warning["id"]), "Warning")
		self.assertEqual(self.row("Recharge Dispute", warning["id"]).reason, "made_with_stolen_card")
		self.assertEqual(self.row("Credit Account", account).held_because, f"Fraud warning {warning['id']}")
