"""A capture that does not fit is held: nothing is credited, people are told once, and one of them decides."""

from decimal import Decimal

import frappe

from crm_recharge.api import recharge as api
from crm_recharge.credits.errors import InvalidRequestError
from crm_recharge.domain import reconcile as rules
from crm_recharge.gateway import home
from crm_recharge.recharge import audit, confirm, differences, links, reconcile
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import GOOD, LOST
from crm_recharge.tests.support.work import due

AUTHENTICATE = "4000002760003184"


class HeldCase(TakebackCase):
	def setUp(self):
		super().setUp()
		self.set_recipients("admins@test.example")
		self.addCleanup(self.set_recipients, None)

	def set_recipients(self, addresses: str | None):
		frappe.db.rollback()
		frappe.db.set_single_value("CRM Recharge Settings", "admin_recipients", addresses)
		frappe.clear_document_cache("CRM Recharge Settings", "CRM Recharge Settings")
		frappe.db.commit()

	def captured_for(self, recharge: str, amount="460", currency="USD", customer=None, **metadata) -> str:
		"""Somebody captures a payment that names `recharge`. Returns its id."""
		account = self.value("Recharge", recharge, "credit_account")
		customer = customer or self.value("Credit Account", account, "gateway_customer")
		answer = self.stripe.gateway().charge(
			key=frappe.generate_hash(),
			amount=Decimal(amount),
			currency=currency,
			customer=customer,
			payment_method=self.stripe.make_card(customer),
			metadata={"recharge": recharge, "account": account, **home.marks()} | metadata,
		)
		self.assertEqual(answer.outcome.value, "succeeded")
		return answer.intent

	def captured_by_its_own(self, recharge: str, **wrong) -> str:
		"""The recharge's own payment is captured, but is not what was asked for. Returns its id."""
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(recharge), "waiting")
		(intent,) = [i for i in self.stripe.intents() if i["metadata"].get("recharge") == recharge]
		self.stripe.control("tamper", kind="payment_intent", id=intent["id"], values=wrong)
		return intent["id"]

	def differences_of(self, intent: str):
		frappe.db.rollback()
		return frappe.get_all(
			"Gateway Difference", {"intent": intent}, ["name", "kind", "status", "recharge", "explanation"]
		)

	def mails_about(self, intent: str) -> int:
		names = [d.name for d in self.differences_of(intent)]
		return frappe.db.count(
			"Email Queue",
			{"reference_doctype": "Gateway Difference", "reference_name": ["in", names or [""]]},
		)

	def assert_nothing_credited(self, intent: str, recharge: str):
		frappe.db.rollback()
		self.assertFalse(frappe.db.exists("Credit Ledger", {"gateway_reference": intent}))
		self.assertNotEqual(self.value("Recharge", recharge, "settled_intent"), intent)
		self.assertFalse(frappe.db.exists("Recharge Refund", {"intent": intent}))


class TestWhatDoesNotFit(HeldCase):
	def wrong_ones(self):
		other = self.stripe.make_customer()
		return {
			"yen for dollars": {"currency": "JPY", "amount": "10000"},
			"far more": {"amount": "9000"},
			"far less": {"amount": "0.50"},
			"another customer": {"customer": other},
		}

	def test_whoever_hears_of_it_credits_nothing_and_lists_it_once(self):
		for name, wrong in self.wrong_ones().items():
			for status in ("Queued", "Charging", "Failed"):
				with self.subTest(name, status=status):
					account = self.account_with(LOST)
					recharge = self.use(account, 460)["recharge"]
					if status == "Failed":
						self.work(recharge)
					elif status == "Charging":
						self.stripe.faults.lost_before("POST /v1/payment_intents")
						self.work(recharge)
					intent = self.captured_for(recharge, **wrong)
					obj = {"id": intent, "object": "payment_intent"}
					self.assertEqual(self.deliver("payment_intent.succeeded", obj), "Held")
					self.assertEqual(self.deliver("payment_intent.succeeded", obj), "Held")
					self.assert_nothing_credited(intent, recharge)
					(difference,) = self.differences_of(intent)
					self.assertEqual((difference.kind, difference.status), ("does_not_fit", "Open"))
					self.assertEqual(difference.recharge, recharge)
					self.assertEqual(self.mails_about(intent), 1)
					# It only names the recharge, which goes its own way.
					self.assertEqual(self.value("Recharge", recharge, "status"), status)
					self.assert_books(account)

	def test_the_reconciler_alone_finds_it_too(self):
		account = self.account_with(LOST)
		recharge = self.use(account, 460)["recharge"]
		self.work(recharge)
		intents = [self.captured_for(recharge, **wrong) for wrong in self.wrong_ones().values()]
		self.assertGreaterEqual(reconcile.reconcile_recent().get("does_not_fit"), 4)
		for intent in intents:
			self.assert_nothing_credited(intent, recharge)
			self.assertEqual(len(self.differences_of(intent)), 1)
			self.assertEqual(self.mails_about(intent), 1)
		before = frappe.db.count("Gateway Difference")
		reconcile.reconcile_recent()
		frappe.db.rollback()
		self.assertEqual(frappe.db.count("Gateway Difference"), before)

	def test_a_second_capture_that_does_not_fit_is_not_sent_back_by_itself(self):
		account, recharge = self.paid("100")
		intent = self.captured_for(recharge, amount="9000")
		self.deliver("payment_intent.succeeded", {"id": intent, "object": "payment_intent"})
		self.assert_nothing_credited(intent, recharge)
		self.assertEqual(len(self.differences_of(intent)), 1)
		fits = self.captured_for(recharge, amount="100")
		self.assertEqual(
			self.deliver("payment_intent.succeeded", {"id": fits, "object": "payment_intent"}), "duplicate"
		)
		self.assertTrue(frappe.db.exists("Recharge Refund", {"intent": fits, "kind": "Duplicate"}))
		self.assertEqual(self.balance(account), 100)

	def test_on_the_return_page_it_is_not_believed_either(self):
		account = self.account_with(AUTHENTICATE)
		recharge = self.use(account, 460)["recharge"]
		self.assertEqual(self.work(recharge), "Action Required")
		token = links.make(links.CONFIRM, recharge, 3)
		confirm.start(token)
		page = frappe.db.get_value(
			"Recharge Attempt", {"recharge": recharge, "checkout_session": ["is", "set"]}, "checkout_session"
		)
		self.stripe.control("complete_checkout", session=page, number=GOOD)
		(intent,) = [
			i["id"]
			for i in self.stripe.intents(status="succeeded")
			if i["metadata"].get("recharge") == recharge
		]
		self.stripe.control("tamper", kind="payment_intent", id=intent, values={"amount_received": 100})
		self.assertFalse(confirm.finish(token)["paid"])
		self.assert_nothing_credited(intent, recharge)
		self.assertEqual(self.value("Recharge", recharge, "status"), "Held")

	def test_a_capture_without_a_recharge_goes_back_only_to_the_accounts_own_customer(self):
		account = self.account_with(GOOD)
		other = self.stripe.make_customer()
		found = {}
		for customer in (self.value("Credit Account", account, "gateway_customer"), other):
			answer = self.stripe.gateway().charge(
				key=frappe.generate_hash(),
				amount=Decimal(7),
				currency="USD",
				customer=customer,
				payment_method=self.stripe.make_card(customer),
				metadata={"recharge": "RC-GONE", "account": account, **home.marks()},
			)
			old = {"created": frappe.utils.cint(self.stripe.all("charge")[-1]["created"]) - 7200}
			self.stripe.control("tamper", kind="payment_intent", id=answer.intent, values=old)
			found[customer] = answer.intent
		reconcile.reconcile_recent()
		refunded = frappe.get_all("Recharge Refund", {"credit_account": account}, pluck="intent")
		self.assertEqual(refunded, [next(iter(found.values()))])
		(difference,) = self.differences_of(found[other])
		self.assertEqual((difference.kind, difference.status), ("does_not_fit", "Open"))


class TestHeldRecharge(HeldCase):
	def held(self, **wrong) -> tuple[str, str, str]:
		"""An account, its recharge that waits for a decision, and the payment."""
		account = self.account_with(GOOD, LOST)
		recharge = self.use(account, 460)["recharge"]
		intent = self.captured_by_its_own(recharge, **(wrong or {"amount_received": 900}))
		self.assertEqual(
			self.deliver("payment_intent.succeeded", {"id": intent, "object": "payment_intent"}), "Held"
		)
		return account, recharge, intent

	def decide(self, intent: str, decision: str, note: str | None = None) -> dict:
		(difference,) = self.differences_of(intent)
		return api.decide_difference(difference.name, decision, note)

	def test_a_partial_capture_by_the_worker_is_held_and_nothing_else_is_charged(self):
		account = self.account_with(GOOD, GOOD)
		recharge = self.use(account, 460)["recharge"]
		intent = self.captured_by_its_own(recharge, amount_received=900)
		frappe.db.sql("UPDATE `tabRecharge` SET `next_try_at` = NULL WHERE `name` = %s", recharge)
		frappe.db.sql("UPDATE `tabRecharge Attempt` SET `next_ask_at` = NULL WHERE `recharge` = %s", recharge)
		frappe.db.commit()
		self.assertEqual(self.work(recharge), "Held")
		self.assert_nothing_credited(intent, recharge)
		self.assertEqual(self.work(recharge), "Held")
		self.assertNotIn(recharge, due("carry_out"))
		self.assertFalse(self.use(account, 1)["recharge_started"])
		self.assertEqual(
			len(self.stripe.intents(self.value("Credit Account", account, "gateway_customer"))), 1
		)
		self.assertEqual(self.value("Credit Account", account, "open_recharge"), recharge)
		self.assertEqual(
			[b for b in audit.check_all(prove_chains=False) if b["account"] == account],
			[],
			"held is no breach",
		)

	def test_credited_by_a_person_it_is_what_was_captured(self):
		account, recharge, intent = self.held(amount_received=2000)
		answer = self.decide(intent, "credit")
		self.assertEqual((answer["status"], answer["recharge_status"]), ("Resolved", "Succeeded"))
		row = self.row("Recharge", recharge)
		self.assertEqual((row.amount, row.settled_intent, row.captured_amount), (20, intent, 20))
		self.assertEqual(self.balance(account), 60)
		self.assertIsNone(self.value("Credit Account", account, "open_recharge"))
		self.assertEqual([b for b in audit.check_all() if b["account"] == account], [])
		(difference,) = self.differences_of(intent)
		self.assertEqual(self.value("Gateway Difference", difference.name, "resolved_by"), "Administrator")
		with self.assertRaises(InvalidRequestError):
			self.decide(intent, "refund")

	def test_refunded_by_a_person_the_money_goes_back_and_the_account_is_free(self):
		account, recharge, intent = self.held()
		answer = self.decide(intent, "refund", "not ours")
		self.assertEqual((answer["status"], answer["recharge_status"]), ("Resolved", "Failed"))
		(refund,) = frappe.get_all("Recharge Refund", {"intent": intent}, pluck="name")
		from crm_recharge.recharge import refunds

		self.assertEqual(refunds.carry_out(refund), "Succeeded")
		self.assertEqual([r["amount"] for r in self.stripe.all("refund", payment_intent=intent)], [900])
		self.assertEqual(self.row("Recharge", recharge).status, "Failed")
		self.assertEqual(self.balance(account), 40)
		self.assertTrue(self.use(account, 1)["recharge_started"], "the account may be charged again")
		self.assert_books(account)

	def test_left_as_it_is_with_a_reason(self):
		account, recharge, intent = self.held(currency="jpy")
		with self.assertRaises(InvalidRequestError):
			self.decide(intent, "dismiss")
		with self.assertRaises(InvalidRequestError):
			self.decide(intent, "credit")
		self.assertEqual(self.value("Recharge", recharge, "status"), "Held")
		self.decide(intent, "dismiss", "settled by phone")
		self.assertEqual(self.value("Recharge", recharge, "status"), "Failed")
		self.assert_nothing_credited(intent, recharge)
		self.assertIsNone(self.value("Credit Account", account, "open_recharge"))

	def test_a_form_cannot_resolve_what_keeps_a_recharge_blocked(self):
		_account, _recharge, intent = self.held()
		(difference,) = self.differences_of(intent)
		doc = frappe.get_doc("Gateway Difference", difference.name)
		doc.update({"status": "Resolved", "resolution": "looked at"})
		with self.assertRaises(frappe.ValidationError):
			doc.save()
		frappe.db.rollback()

	def test_only_managers_decide(self):
		_account, recharge, intent = self.held()
		frappe.set_user(self.owner)
		try:
			with self.assertRaises(frappe.PermissionError):
				self.decide(intent, "credit")
		finally:
			frappe.set_user("Administrator")
		self.assertEqual(self.value("Recharge", recharge, "status"), "Held")

	def test_what_no_person_can_decide_says_so(self):
		_account, recharge = self.paid("100")
		gone = f"pi_{frappe.generate_hash(length=16)}"
		name = differences.write("missing_at_gateway", gone, "test", recharge=recharge, intent=gone)
		frappe.db.commit()
		with self.assertRaises(InvalidRequestError):
			api.decide_difference(name, "refund")
		with self.assertRaises(InvalidRequestError):
			api.decide_difference(name, "make it so")
		api.decide_difference(name, "dismiss", "looked at")
		self.assertEqual(self.value("Gateway Difference", name, "status"), "Resolved")


class TestPlanted(HeldCase):
	"""Credits that somebody wrote past the rule are found, by the daily check and by the reconciler."""

	def breaches(self, account: str) -> list[str]:
		return [b["rule"] for b in audit.check_all(prove_chains=False) if b["account"] == account]

	def test_the_daily_check_finds_credits_for_what_was_not_captured_so(self):
		for field, value in (
			("captured_amount", 9000),
			("captured_amount", 0),
			("captured_currency", "JPY"),
			("captured_currency", None),
			("gateway_customer", "cus_stranger"),
			("currency", "EUR"),
			("amount", 9000),
		):
			with self.subTest(field, value=value):
				account, recharge = self.paid("100")
				self.assertEqual(self.breaches(account), [])
				frappe.db.set_value("Recharge", recharge, field, value)
				frappe.db.commit()
				self.assertIn("credits are for payments that fit", self.breaches(account))

	def test_the_daily_check_finds_a_ledger_that_says_more_or_stands_elsewhere(self):
		account, recharge = self.paid("100")
		intent = self.intent(recharge)
		frappe.db.sql("UPDATE `tabCredit Ledger` SET `amount` = 9000 WHERE `gateway_reference` = %s", intent)
		frappe.db.commit()
		self.assertIn("credits are for payments that fit", self.breaches(account))

	def test_the_reconciler_finds_a_credit_that_was_never_captured(self):
		account, recharge = self.paid("100")
		intent = self.intent(recharge)
		forged = f"pi_{frappe.generate_hash(length=16)}"
		for table, column in (("Recharge", "settled_intent"), ("Credit Ledger", "gateway_reference")):
			frappe.db.sql(f"UPDATE `tab{table}` SET `{column}` = %s WHERE `{column}` = %s", (forged, intent))
		frappe.db.commit()
		self.assertEqual(self.breaches(account), [])
		reconcile.reconcile_recent()
		(difference,) = self.differences_of(forged)
		self.assertEqual((difference.kind, difference.recharge), ("missing_at_gateway", recharge))
		self.assertEqual(self.breaches(account), ["a credit that the gateway does not confirm"])

	def test_the_reconciler_finds_a_credit_for_a_payment_of_other_money(self):
		for values, kind in (
			({"amount_received": 100}, rules.DOES_NOT_FIT),
			({"currency": "jpy"}, rules.DOES_NOT_FIT),
			({"customer": "cus_stranger"}, rules.DOES_NOT_FIT),
		):
			with self.subTest(str(values)):
				_account, recharge = self.paid("100")
				intent = self.intent(recharge)
				self.stripe.control("tamper", kind="payment_intent", id=intent, values=values)
				reconcile.reconcile_recent()
				self.assertEqual([d.kind for d in self.differences_of(intent)], [kind])

	def test_people_are_told_of_many_differences_in_one_message(self):
		marks = []
		for _ in range(3):
			_account, recharge = self.paid("100")
			intent = self.intent(recharge)
			self.stripe.control("tamper", kind="payment_intent", id=intent, values={"amount_received": 1})
			marks.append(intent)
		reconcile.reconcile_recent()
		self.assertEqual(sum(self.mails_about(intent) for intent in marks), 1)
		reconcile.reconcile_recent()
		self.assertEqual(sum(self.mails_about(intent) for intent in marks), 1)


class TestSiblings(HeldCase):
	def test_a_refund_of_other_money_moves_no_credits(self):
		account, recharge = self.paid("100")
		made = self.stripe.gateway().refund(
			key=frappe.generate_hash(), intent=self.intent(recharge), amount=Decimal(10), currency="USD"
		)
		self.stripe.control("tamper", kind="refund", id=made.refund, values={"currency": "jpy"})
		obj = {"id": made.refund, "object": "refund", "payment_intent": self.intent(recharge)}
		self.assertEqual(self.deliver("refund.created", obj), "refund_does_not_fit")
		self.assertEqual(self.balance(account), 100)
		self.assertFalse(frappe.db.exists("Recharge Refund", {"gateway_refund": made.refund}))
		(difference,) = frappe.get_all(
			"Gateway Difference", {"subject": made.refund}, ["kind", "recharge", "status"]
		)
		self.assertEqual(
			(difference.kind, difference.recharge, difference.status),
			("refund_does_not_fit", recharge, "Open"),
		)

	def test_refunds_and_disputes_of_a_payment_that_does_not_fit_move_nothing(self):
		account, recharge = self.paid("100")
		intent = self.intent(recharge)
		self.stripe.control("tamper", kind="payment_intent", id=intent, values={"customer": "cus_stranger"})
		self.stripe.gateway().refund(
			key=frappe.generate_hash(), intent=intent, amount=Decimal(10), currency="USD"
		)
		obj = {"id": "re_x", "object": "refund", "payment_intent": intent}
		self.assertEqual(self.deliver("refund.created", obj), "does not fit")
		dispute = self.stripe.control("dispute", intent=intent)
		self.assertEqual(self.deliver("charge.dispute.created", dispute), "does not fit")
		self.assertEqual(self.balance(account), 100)
		self.assertEqual([d.kind for d in self.differences_of(intent)], ["does_not_fit"])

	def test_a_dispute_in_another_currency_claims_what_was_paid_and_is_listed(self):
		account, recharge = self.paid("100")
		dispute = self.stripe.control("dispute", intent=self.intent(recharge))
		values = {"currency": "jpy", "amount": 10000}
		self.stripe.control("tamper", kind="dispute", id=dispute["id"], values=values)
		self.assertEqual(self.deliver("charge.dispute.created", dispute), "Open")
		self.assertEqual(self.balance(account), 0)
		found = frappe.get_all("Gateway Difference", {"subject": dispute["id"]}, pluck="kind")
		self.assertEqual(found, ["dispute_does_not_fit"])

	def test_a_card_set_up_by_another_customer_is_not_saved(self):
		from crm_recharge.recharge import cards

		account, other = self.account_with(GOOD), self.account_with(GOOD)
		setup = cards.start_setup(other)["setup_intent"]
		self.stripe.control("confirm_setup", setup_intent=setup, number=GOOD)
		nobodys = self.stripe.gateway()._stripe.setup_intents.create(
			params={"payment_method": "pm_card_visa", "confirm": True, "payment_method_types": ["card"]}
		)
		before = frappe.db.count("Recharge Card", {"credit_account": account})
		for strange in (setup, nobodys.id):
			with self.assertRaises(frappe.PermissionError):
				cards.finish_setup(account, strange)
		theirs = self.stripe.make_card(self.value("Credit Account", other, "gateway_customer"))
		with self.assertRaises(frappe.PermissionError):
			cards.save(account, theirs)
		self.assertEqual(frappe.db.count("Recharge Card", {"credit_account": account}), before)
