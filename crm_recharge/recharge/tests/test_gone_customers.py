"""A customer that Stripe does not have, deleted there or made under other keys, is replaced; nothing is asked for ever."""

import frappe

from crm_recharge.recharge import cards, confirm, links, reconcile, refunds, worker
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import GOOD, GOOD_TOO
from crm_recharge.tests.support.stripe_stand_in import StandIn

AUTHENTICATE = "4000002760003184"


class GoneCase(TakebackCase):
	def gone(self, how: str, account: str):
		"""The account's customer is gone: `how` it came to that."""
		if how == "deleted":
			self.stripe.control("delete_customer", customer=self.customer_of(account))
			return
		live = StandIn().start()
		self.addCleanup(live.stop)
		before = frappe.local.conf["crm_recharge_stripe_api_base"]
		frappe.local.conf["crm_recharge_stripe_api_base"] = live.api_base
		self.addCleanup(frappe.local.conf.__setitem__, "crm_recharge_stripe_api_base", before)
		self.now_at = live

	def customer_of(self, account: str) -> str:
		return self.value("Credit Account", account, "gateway_customer")

	def setUp(self):
		super().setUp()
		self.now_at = self.stripe

	def statuses(self, account: str) -> list[tuple[str, str]]:
		frappe.db.rollback()
		return [
			tuple(row)
			for row in frappe.get_all(
				"Recharge Card",
				{"credit_account": account},
				["status", "status_reason"],
				order_by="creation",
				as_list=True,
			)
		]


class EachWay:
	def test_a_card_is_entered_again_under_a_new_customer(self):
		account = self.account_with(GOOD, GOOD_TOO)
		before = self.customer_of(account)
		self.gone(self.HOW, account)
		setup = cards.start_setup(account)
		frappe.db.commit()
		self.assertNotEqual(self.customer_of(account), before)
		for status, reason in self.statuses(account):
			self.assertEqual(status, "Unusable")
			self.assertIn("Enter it again", reason)
		self.now_at.control("confirm_setup", setup_intent=setup["setup_intent"], number=GOOD)
		card = cards.finish_setup(account, setup["setup_intent"])
		frappe.db.commit()
		self.assertEqual(self.value("Recharge Card", card, "status"), "Active")
		# Once: the new one stays.
		customer = self.customer_of(account)
		cards.start_setup(account)
		self.assertEqual(self.customer_of(account), customer)

	def test_a_method_of_nobody_is_attached_to_a_new_customer(self):
		account = self.account_with(enabled=False)
		self.gone(self.HOW, account)
		card = cards.save(account, "pm_card_visa")
		frappe.db.commit()
		self.assertEqual(self.value("Recharge Card", card, "status"), "Active")

	def test_a_charge_ends_with_every_card_marked_and_the_owner_told(self):
		account = self.account_with(GOOD, GOOD_TOO)
		self.gone(self.HOW, account)
		recharge = self.use(account, 460)["recharge"]
		self.assertEqual(worker.carry_out(recharge), "Failed")
		self.assertEqual({status for status, _ in self.statuses(account)}, {"Unusable"})
		attempts = frappe.get_all(
			"Recharge Attempt", {"recharge": recharge}, ["status", "code"], order_by="number"
		)
		self.assertEqual({a.status for a in attempts}, {"Declined"})
		self.assertIn("entered again", self.value("Recharge", recharge, "failure_reason"))
		setting = frappe.get_doc("Auto-Recharge Setting", {"credit_account": account})
		self.assertFalse(setting.enabled)
		self.assertIsNone(
			self.customer_of(account) and self.value("Credit Account", account, "open_recharge")
		)
		self.assertEqual(self.balance(account), 40)

	def test_the_page_of_a_payment_that_waits_opens_under_a_new_customer(self):
		account = self.account_with(AUTHENTICATE)
		recharge = self.use(account, 460)["recharge"]
		self.assertEqual(self.work(recharge), "Action Required")
		self.gone(self.HOW, account)
		token = links.make(links.CONFIRM, recharge, 3)
		self.assertTrue(confirm.start(token))
		page = frappe.db.get_value(
			"Recharge Attempt",
			{"recharge": recharge, "checkout_session": ["is", "set"]},
			"*",
			as_dict=True,
		)
		self.assertEqual(page.gateway_customer, self.customer_of(account))
		self.now_at.control("complete_checkout", session=page.checkout_session, number=GOOD)
		self.assertTrue(confirm.finish(token)["paid"])
		self.assertEqual(self.balance(account), 500)


class TestDeleted(EachWay, GoneCase):
	HOW = "deleted"


class TestOtherKeys(EachWay, GoneCase):
	HOW = "other keys"


class TestWhatIsLeft(GoneCase):
	def test_a_customer_deleted_on_the_day_it_was_made_is_replaced_too(self):
		"""Under the same key Stripe would give the deleted one again."""
		account = self.account_with(GOOD)
		for _ in range(3):
			before = self.customer_of(account)
			self.stripe.control("delete_customer", customer=before)
			cards.start_setup(account)
			frappe.db.commit()
			self.assertNotEqual(self.customer_of(account), before)

	def test_what_was_captured_before_the_customer_went_is_credited(self):
		account = self.account_with(GOOD)
		recharge = self.use(account, 460)["recharge"]
		self.stripe.faults.lost_after("POST /v1/payment_intents")
		self.assertEqual(self.work(recharge), "waiting")
		self.gone("deleted", account)
		cards.start_setup(account)
		frappe.db.sql("UPDATE `tabRecharge` SET `next_try_at` = NULL WHERE `name` = %s", recharge)
		frappe.db.sql("UPDATE `tabRecharge Attempt` SET `next_ask_at` = NULL WHERE `recharge` = %s", recharge)
		frappe.db.commit()
		# Asked under the customer it was asked with, not under the new one.
		self.assertEqual(self.work(recharge), "Succeeded")
		self.assertEqual(self.balance(account), 500)

	def test_a_refund_of_a_payment_that_stripe_does_not_have_ends_and_gives_the_credits_back(self):
		account, recharge = self.paid("100")
		refund = self.refund(recharge)
		self.assertEqual(self.balance(account), 0)
		self.gone("other keys", account)
		self.assertEqual(refunds.carry_out(refund), "Failed")
		self.assertEqual(self.balance(account), 100)
		self.assertEqual(self.row("Recharge Refund", refund).code, "resource_missing")

	def test_a_refund_that_stripe_has_no_more_is_not_asked_about_each_quarter_of_an_hour(self):
		account, recharge = self.paid("100", "4000000000007726")
		refund = self.refund(recharge)
		self.assertEqual(refunds.carry_out(refund), "Asked")
		self.gone("other keys", account)
		frappe.db.set_value("Recharge Refund", refund, "next_ask_at", None)
		frappe.db.commit()
		self.assertEqual(refunds.carry_out(refund), "waiting")
		wait = self.row("Recharge Refund", refund).next_ask_at - frappe.utils.now_datetime()
		self.assertGreater(wait.total_seconds(), 5 * 3600)

	def test_the_reconciler_lists_credits_of_other_keys_once(self):
		account, recharge = self.paid("100")
		intent = self.intent(recharge)
		self.gone("other keys", account)
		for _ in range(2):
			reconcile.reconcile_recent()
		found = frappe.get_all("Gateway Difference", {"intent": intent}, pluck="kind")
		self.assertEqual(found, ["missing_at_gateway"])
		self.assertEqual(self.balance(account), 100)

	def test_a_card_that_stripe_does_not_have_can_be_removed(self):
		account = self.account_with(GOOD, enabled=False)
		card = frappe.db.get_value("Recharge Card", {"credit_account": account})
		self.gone("other keys", account)
		cards.remove(card)
		self.assertEqual(self.value("Recharge Card", card, "status"), "Removed")

	def test_a_card_whose_customer_came_back_is_good_again(self):
		"""The keys were another account's for a while."""
		account = self.account_with(GOOD, enabled=False)
		card, method = frappe.db.get_value(
			"Recharge Card", {"credit_account": account}, ["name", "payment_method"]
		)
		cards.mark_unusable(card)
		frappe.db.commit()
		self.assertEqual(cards.save(account, method), card)
		frappe.db.commit()
		self.assertEqual(self.value("Recharge Card", card, "status"), "Active")
