"""Recharging by hand: started once, within the limits, with a card that is the account's."""

import threading
from decimal import Decimal
from unittest.mock import patch

import frappe

from crm_recharge.api import recharge as api
from crm_recharge.credits import errors
from crm_recharge.recharge import by_hand, cards, worker
from crm_recharge.tests import factories
from crm_recharge.tests.compat import NO_RECORDS
from crm_recharge.tests.support.books import entries
from crm_recharge.tests.support.money_case import GatewayTestCase

test_ignore = IGNORE_TEST_RECORD_DEPENDENCIES = NO_RECORDS

VISA, MASTERCARD, DECLINED = "4242424242424242", "5555555555554444", "4000000000000341"


class TestRecharge(GatewayTestCase):
	def setUp(self):
		super().setUp()
		self.one = self.account("10")
		self.visa = self.card(self.one, VISA)

	def start(self, amount=25, key=None, card="visa", account=None):
		answer = by_hand.start(
			account or self.one,
			amount,
			key or frappe.generate_hash(length=16),
			self.visa if card == "visa" else card,
		)
		frappe.db.commit()
		return answer

	def refused(self, code, *args, exception=errors.InvalidRequestError, **kwargs):
		before = self.state(self.one)
		with self.assertRaises(exception) as caught:
			self.start(*args, **kwargs)
		if code:
			self.assertEqual(caught.exception.code, code)
		frappe.db.rollback()
		self.assertEqual(self.state(self.one), before)
		self.assertEqual(self.queued("carry_out"), [])
		return caught.exception

	def value(self, recharge, field):
		frappe.db.rollback()
		return frappe.db.get_value("Recharge", recharge, field)

	def test_a_chosen_card_is_charged_and_credited(self):
		answer = self.start("25.50")
		self.assertEqual((answer["status"], answer["amount"], answer["repeated"]), ("Queued", "25.5", False))
		(job,) = self.queued("carry_out")
		self.assertEqual((job["name"], job["queue"]), (answer["recharge"], "short"))
		self.assertEqual(worker.carry_out(answer["recharge"]), "Succeeded")
		told = api.status(answer["recharge"])
		self.assertEqual(
			{k: told[k] for k in ("status", "ended", "amount", "balance", "balance_after", "currency")},
			{
				"status": "Succeeded",
				"ended": True,
				"amount": "25.5",
				"balance": "35.5",
				"balance_after": "35.5",
				"currency": "USD",
			},
		)
		(intent,) = self.stripe.intents(
			frappe.db.get_value("Credit Account", self.one, "gateway_customer"), "succeeded"
		)
		self.assertEqual((intent["amount_received"], intent["id"]), (2550, told["payment"]))
		self.assertEqual(told["attempts"][0]["reason"], "paid")

	def test_without_a_chosen_card_the_settings_cards_are_tried_in_order(self):
		self.refused("no_card", card=None)
		factories.make_setting(self.one, [self.card(self.one, DECLINED), self.visa], enabled=0)
		frappe.db.commit()
		answer = self.start(card=None)
		self.assertEqual(worker.carry_out(answer["recharge"]), "Succeeded")
		attempts = frappe.get_all(
			"Recharge Attempt", {"recharge": answer["recharge"]}, pluck="status", order_by="number"
		)
		self.assertEqual(attempts, ["Declined", "Succeeded"])

	def test_a_chosen_card_that_fails_is_not_followed_by_another(self):
		declined = self.card(self.one, DECLINED)
		factories.make_setting(self.one, [declined, self.visa], falls_below=5)
		frappe.db.commit()
		answer = self.start(card=declined)
		self.assertEqual(worker.carry_out(answer["recharge"]), "Failed")
		self.assertEqual(
			self.stripe.captured_total(frappe.db.get_value("Credit Account", self.one, "gateway_customer")), 0
		)
		self.assertEqual(
			frappe.db.get_value("Auto-Recharge Setting", {"credit_account": self.one}, "enabled"), 1
		)
		self.assertIsNone(frappe.db.get_value("Credit Account", self.one, "open_recharge"))
		self.assertEqual(api.status(self.start()["recharge"])["status"], "Queued")

	def test_the_limits_of_one_payment(self):
		for amount, code in (
			("4.99", "payment_below_minimum"),
			("10000.01", "payment_above_maximum"),
			("25.001", "payment_too_fine"),
			(0, "not_positive"),
			("-5", "not_positive"),
			("NaN", "not_finite"),
			(float("inf"), "not_finite"),
			("ten", "not_a_number"),
			(True, "not_a_number"),
			(None, "not_a_number"),
		):
			with self.subTest(amount=amount):
				self.refused(code, amount)
		for amount in (5, "10000"):
			recharge = self.start(amount)["recharge"]
			self.assertEqual(worker.carry_out(recharge), "Succeeded")

	def test_a_double_click_starts_one(self):
		key = frappe.generate_hash(length=16)
		first = self.start(25, key)
		again = self.start("25.00", key)
		self.assertEqual(again, first | {"repeated": True})
		worker.carry_out(first["recharge"])
		again = self.start(25, key)
		self.assertEqual(
			(again["recharge"], again["status"], again["repeated"]), (first["recharge"], "Succeeded", True)
		)
		again = self.start(25, key, account=self.one.lower())
		self.assertTrue(again["repeated"])
		self.assertEqual(len(entries(self.one)), 2)

	def test_a_key_with_other_content_is_a_conflict(self):
		key = frappe.generate_hash(length=16)
		first = self.start(25, key)["recharge"]
		worker.carry_out(first)
		self.jobs.clear()
		for amount, card in ((26, self.visa), (25, None), (25, self.card(self.one, MASTERCARD))):
			raised = self.refused(
				"idempotency_conflict", amount, key, card, exception=errors.IdempotencyConflictError
			)
			self.assertEqual((raised.figures["first"]["recharge"], raised.http_status_code), (first, 409))
		for key, code in (
			(None, "missing_key"),
			("", "missing_key"),
			("x" * 141, "key_too_long"),
			(True, "not_text"),
		):
			with self.assertRaises(errors.InvalidRequestError) as caught:
				by_hand.start(self.one, 25, key, self.visa)
			self.assertEqual(caught.exception.code, code)

	def test_two_clicks_at_the_same_moment_start_one(self):
		"""The second has read before the first committed, and waits for the account."""
		key, site, answers = frappe.generate_hash(length=16), frappe.local.site, []

		def click():
			frappe.init(site=site, sites_path=".")
			frappe.connect()
			try:
				frappe.set_user("Administrator")
				frappe.db.get_value(
					"Recharge", {"request_key": "none"}
				)  # a snapshot, as permission checks make one
				barrier.wait(20)
				answers.append(by_hand.start(self.one, 25, key, self.visa))
				frappe.db.commit()
			except Exception as error:
				answers.append(error)
			finally:
				frappe.destroy()

		barrier = threading.Barrier(4)
		threads = [threading.Thread(target=click) for _ in range(4)]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join(60)
		self.assertEqual([a for a in answers if isinstance(a, Exception)], [])
		self.assertEqual(len({a["recharge"] for a in answers}), 1)
		self.assertEqual(sorted(a["repeated"] for a in answers), [False, True, True, True])
		frappe.db.rollback()
		self.assertEqual(frappe.db.count("Recharge", {"credit_account": self.one}), 1)

	def test_one_recharge_at_a_time(self):
		first = self.start(25)["recharge"]
		self.jobs.clear()
		raised = self.refused("recharge_open")
		self.assertEqual(raised.figures["recharge"], first)
		worker.carry_out(first)
		self.start(25)

	def test_a_queued_one_can_be_cancelled_and_is_not_charged(self):
		recharge = self.start(25)["recharge"]
		frappe.get_doc("Recharge", recharge).cancel()
		frappe.db.commit()
		self.assertEqual(worker.carry_out(recharge), "Cancelled")
		self.assertEqual(
			self.stripe.intents(frappe.db.get_value("Credit Account", self.one, "gateway_customer")), []
		)
		self.assertEqual(self.value(recharge, "status"), "Cancelled")
		paid = self.start(25)["recharge"]
		worker.carry_out(paid)
		with self.assertRaisesRegex(frappe.ValidationError, "cannot be cancelled"):
			frappe.get_doc("Recharge", paid).cancel()
		frappe.db.rollback()

	def test_cards_that_cannot_be_charged(self):
		other = self.account()
		strange = self.card(other, MASTERCARD)
		self.refused(None, card=strange, exception=frappe.ValidationError)
		self.refused(None, card="no such card", exception=frappe.ValidationError)
		frappe.db.set_value("Recharge Card", self.visa, "status", "Permanently Declined")
		frappe.db.commit()
		self.refused(None, exception=frappe.ValidationError)

	def test_accounts_that_cannot_be_recharged(self):
		with self.assertRaises(errors.UnknownAccountError):
			self.start(account="No such account")
		frappe.db.set_value("Credit Account", self.one, "status", "Disabled")
		frappe.db.commit()
		self.refused(None, exception=frappe.ValidationError)

	def test_who_may_start_one(self):
		self.addCleanup(frappe.set_user, "Administrator")
		for role, allowed in (
			("Credit Manager", True),
			("Credit API", True),
			("Credit User", False),
			("Accounts User", False),
		):
			frappe.set_user("Administrator")
			user = self.user(role)
			frappe.set_user(user)
			if not allowed:
				with self.assertRaises(frappe.PermissionError):
					api.start(self.one, 25, frappe.generate_hash(length=16), self.visa)
				frappe.db.rollback()
				continue
			recharge = api.start(self.one, 25, frappe.generate_hash(length=16), self.visa)["recharge"]
			frappe.db.commit()
			doc = frappe.get_doc("Recharge", recharge)
			self.assertEqual(
				(doc.requested_by, doc.origin), (user, "API" if role == "Credit API" else "Desk")
			)
			frappe.set_user("Administrator")
			worker.carry_out(recharge)

	def test_no_request_sets_what_the_worker_writes(self):
		forged = {
			"status": "Succeeded",
			"settled_intent": "pi_forged",
			"lease_until": "2999-01-01",
			"lease_owner": "me",
			"next_try_at": "2999-01-01",
			"balance_after": 999,
			"accounting_status": "Done",
		}
		doc = frappe.get_doc(
			{"doctype": "Recharge", "credit_account": self.one, "amount": 25, "card": self.visa} | forged
		)
		doc.insert()
		doc.update(forged)
		doc.submit()
		frappe.db.commit()
		self.assertEqual((doc.status, doc.settled_intent, doc.lease_until), ("Queued", None, None))
		doc = frappe.get_doc("Recharge", doc.name)
		doc.update(forged)
		doc.save()
		frappe.db.commit()
		self.assertEqual(
			(self.value(doc.name, "status"), self.value(doc.name, "settled_intent")), ("Queued", None)
		)
		self.assertEqual(worker.carry_out(doc.name), "Succeeded")
		doc = frappe.get_doc("Recharge", doc.name)
		doc.status = "Queued"
		doc.settled_intent = None
		doc.save()
		frappe.db.commit()
		self.assertEqual(self.value(doc.name, "status"), "Succeeded")
		with self.assertRaises(frappe.ValidationError):
			frappe.get_doc({"doctype": "Recharge", "credit_account": self.one, "amount": "nonsense"}).insert()
		frappe.db.rollback()

	def test_what_has_asked_a_card_is_kept(self):
		recharge = self.start(25, card=self.card(self.one, DECLINED))["recharge"]
		worker.carry_out(recharge)
		frappe.get_doc("Recharge", recharge).cancel()
		with self.assertRaises(frappe.PermissionError):
			frappe.delete_doc("Recharge", recharge, force=True)
		attempt = frappe.get_doc("Recharge Attempt", f"{recharge}-1")
		for change in (attempt.save, attempt.delete):
			with self.assertRaises(frappe.PermissionError):
				change()
		with self.assertRaises(frappe.PermissionError):
			frappe.get_doc({"doctype": "Recharge Attempt", "name": "x", "recharge": recharge}).insert()
		frappe.db.rollback()

	def test_saved_cards_come_from_the_gateway_alone(self):
		with self.assertRaises(frappe.PermissionError):
			frappe.get_doc(
				{"doctype": "Recharge Card", "credit_account": self.one, "payment_method": "pm_forged"}
			).insert()
		frappe.db.set_value("Recharge Card", self.visa, "status", "Permanently Declined")
		doc = frappe.get_doc("Recharge Card", self.visa)
		doc.update({"status": "Active", "last4": "0000", "fingerprint": "other"})
		doc.save()
		frappe.db.commit()
		row = frappe.db.get_value("Recharge Card", self.visa, ["status", "last4"])
		self.assertEqual(tuple(row), ("Permanently Declined", "4242"))
		doc.payment_method = "pm_other"
		with self.assertRaises(frappe.ValidationError):
			doc.save()
		frappe.db.rollback()

	def test_a_card_is_saved_once(self):
		method = self.stripe.make_card(cards.gateway_customer(self.one), MASTERCARD)
		first = cards.save(self.one, method)
		self.assertEqual(cards.save(self.one, method), first)
		gateway = self.stripe.gateway()
		self.assertEqual(cards._insert(self.one, gateway.retrieve_card(method)), first)
		frappe.db.commit()
		other = self.account()
		with self.assertRaises(frappe.PermissionError):
			cards.save(other, method)
		with self.assertRaises(frappe.PermissionError):
			cards.save(other, self.stripe.make_card(cards.gateway_customer(self.one), VISA))
		frappe.db.commit()

	def test_a_card_is_removed_here_first_and_at_stripe_after_the_commit(self):
		writes = []

		def watch(connected):
			def detach(*args):
				writes.append(frappe.db.transaction_writes)
				return connected(*args)

			return detach

		gateway = self.stripe.gateway()
		gateway.detach = watch(gateway.detach)
		with patch.object(cards, "connect", lambda name: gateway):
			api.remove_card(self.visa)
		self.assertEqual(writes, [0], "Stripe was asked inside a transaction that had written")
		method = frappe.db.get_value("Recharge Card", self.visa, "payment_method")
		self.assertIsNone(self.stripe.gateway().retrieve_card(method).customer)
		with self.assertRaisesRegex(frappe.ValidationError, "has been removed"):
			cards.save(self.one, method)

	def test_a_card_stripe_did_not_hear_of_is_out_of_use_and_can_be_removed_again(self):
		method = frappe.db.get_value("Recharge Card", self.visa, "payment_method")
		self.stripe.faults.error_before("POST /v1/payment_methods/*/detach")
		with self.assertRaises(frappe.ValidationError):
			api.remove_card(self.visa)
		frappe.db.rollback()
		self.assertEqual(frappe.db.get_value("Recharge Card", self.visa, "status"), "Removed")
		self.assertIsNotNone(self.stripe.gateway().retrieve_card(method).customer)
		api.remove_card(self.visa)
		self.assertIsNone(self.stripe.gateway().retrieve_card(method).customer)

	def test_the_last_usable_card_of_a_setting_that_is_on_stays(self):
		factories.make_setting(self.one, [self.visa], falls_below=5)
		frappe.db.commit()
		with self.assertRaisesRegex(frappe.ValidationError, "at least one usable card"):
			api.remove_card(self.visa)
		frappe.db.rollback()
		self.assertEqual(frappe.db.get_value("Recharge Card", self.visa, "status"), "Active")
		other = self.card(self.one, MASTERCARD)
		api.set_auto_recharge(self.one, cards=[self.visa, other])
		frappe.db.commit()
		api.remove_card(self.visa)
		self.assertEqual(api.auto_recharge(self.one)["cards"], [other])

	def test_a_card_that_was_removed_meanwhile_stays_removed(self):
		card = self.card(self.one, "4000000000009987")
		recharge = self.start(25, card=card)["recharge"]
		frappe.db.set_value("Recharge Card", card, "status", "Removed")
		frappe.db.commit()
		with patch("crm_recharge.domain.cards.why_unusable", return_value=None):
			worker.carry_out(recharge)
		self.assertEqual(frappe.db.get_value("Recharge Card", card, "status"), "Removed")

	def test_saving_a_card_through_a_setup(self):
		begun = api.start_card_setup(self.one)
		with self.assertRaisesRegex(frappe.ValidationError, "not confirmed"):
			api.finish_card_setup(self.one, begun["setup_intent"])
		self.stripe.control("confirm_setup", setup_intent=begun["setup_intent"], number=MASTERCARD)
		card = api.finish_card_setup(self.one, begun["setup_intent"])["card"]
		frappe.db.commit()
		row = frappe.db.get_value("Recharge Card", card, ["brand", "last4", "funding", "kind", "status"])
		self.assertEqual(tuple(row), ("mastercard", "4444", "credit", "card", "Active"))
		self.assertEqual(api.finish_card_setup(self.one, begun["setup_intent"])["card"], card)
		self.assertEqual([c["name"] for c in api.saved_cards(self.one)], [self.visa, card])
		other = self.account()
		with self.assertRaises(frappe.PermissionError):
			api.finish_card_setup(other, begun["setup_intent"])
		frappe.db.commit()

	def test_an_amount_in_another_currency_is_charged_in_its_own_coins(self):
		account = self.account(currency="JPY")
		card = self.card(account)
		with self.assertRaises(errors.InvalidRequestError):
			by_hand.start(account, "500.5", frappe.generate_hash(length=16), card)
		frappe.db.rollback()
		recharge = self.start(500, account=account, card=card)["recharge"]
		self.assertEqual(worker.carry_out(recharge), "Succeeded")
		(intent,) = self.stripe.intents(frappe.db.get_value("Credit Account", account, "gateway_customer"))
		self.assertEqual((intent["amount_received"], intent["currency"]), (500, "jpy"))
		self.assertEqual(entries(account)[-1].amount, Decimal(500))
