"""A payment that waits for its card holder can be called off by who may start one: it blocks nothing any more, and can
be confirmed no more."""

import frappe

from crm_recharge.api import portal
from crm_recharge.api import recharge as api
from crm_recharge.credits.errors import InvalidRequestError
from crm_recharge.recharge import by_hand, confirm, links, worker
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import GOOD
from crm_recharge.tests.support.work import due, work_off

AUTHENTICATE = "4000002760003184"


class TestCallingOff(TakebackCase):
	def waiting(self, page: bool = False) -> tuple[str, str, str]:
		"""An account with a recharge that waits for its card holder, and the mailed link's token."""
		account = self.account_with(AUTHENTICATE)
		frappe.db.set_value("Credit Account", account, "account_owner", self.owner)
		recharge = self.use(account, 460)["recharge"]
		self.assertEqual(self.work(recharge), "Action Required")
		token = links.make(links.CONFIRM, recharge, 3)
		if page:
			confirm.start(token)
		return account, recharge, token

	def page_of(self, recharge: str) -> str:
		frappe.db.rollback()
		return frappe.db.get_value(
			"Recharge Attempt", {"recharge": recharge, "checkout_session": ["is", "set"]}, "checkout_session"
		)

	def page_status(self, recharge: str) -> str:
		(page,) = self.stripe.all("checkout.session", id=self.page_of(recharge))
		return page["status"]

	def test_the_owner_cancels_and_can_pay_otherwise_at_once(self):
		account, recharge, token = self.waiting(page=True)
		card = self.save_card(account, self.value("Credit Account", account, "gateway_customer"), GOOD)
		frappe.db.commit()
		frappe.set_user(self.owner)
		with self.assertRaises(frappe.ValidationError):
			portal.start(account, "25", "blocked", card)
		frappe.db.rollback()
		told = portal.cancel(recharge)
		self.assertEqual((told["status"], told["ended"], told["payment"]), ("Cancelled", True, None))
		self.assertEqual(portal.cancel(recharge)["status"], "Cancelled")
		self.assertEqual(portal.start(account, "25", "free", card)["status"], "Queued")
		frappe.db.commit()
		frappe.set_user("Administrator")
		self.assertEqual(self.page_status(recharge), "expired")
		self.assertEqual(self.row("Recharge", recharge).docstatus, 2)
		self.assertIsNone(self.row("Recharge", recharge).next_try_at)
		self.assertFalse(confirm.show(token)["waiting"])
		with self.assertRaises(frappe.ValidationError):
			confirm.start(token)
		self.assertTrue(
			frappe.db.get_value("Auto-Recharge Setting", {"credit_account": account}, "enabled"),
			"who cancels a payment has not switched anything off",
		)

	def test_strangers_and_programs_without_the_right_cancel_nothing(self):
		_account, recharge, _token = self.waiting()
		stranger = self.user("Credit API")
		frappe.set_user(self.manager)
		for user in (self.user_without_roles(), "Guest"):
			frappe.set_user(user)
			for call in (portal.cancel, api.cancel):
				with self.assertRaises(frappe.PermissionError):
					call(recharge)
		frappe.set_user("Administrator")
		self.assertEqual(self.row("Recharge", recharge).status, "Action Required")
		frappe.set_user(stranger)
		self.assertEqual(api.cancel(recharge)["status"], "Cancelled")

	def user_without_roles(self) -> str:
		email = "takeback-nobody@example.com"
		if not frappe.db.exists("User", email):
			frappe.set_user("Administrator")
			frappe.get_doc(
				{"doctype": "User", "email": email, "first_name": "Nobody", "send_welcome_email": 0}
			).insert(ignore_permissions=True)
			frappe.db.commit()
		return email

	def test_a_card_holder_who_was_faster_has_paid(self):
		account, recharge, _token = self.waiting(page=True)
		self.stripe.control("complete_checkout", session=self.page_of(recharge), number=GOOD)
		told = api.cancel(recharge)
		self.assertEqual((told["status"], bool(told["payment"])), ("Succeeded", True))
		self.assertEqual(self.balance(account), 500)
		self.assertEqual(self.row("Recharge", recharge).docstatus, 1)
		self.assert_books(account)

	def test_while_the_gateway_is_down_the_account_is_free_and_the_sweeper_closes_later(self):
		account, recharge, _token = self.waiting(page=True)
		self.stripe.faults.error_before("POST /v1/checkout/sessions/*", count=None)
		self.assertEqual(api.cancel(recharge)["status"], "Cancelled")
		self.assertIsNone(self.value("Credit Account", account, "open_recharge"))
		self.assertEqual(self.page_status(recharge), "open")
		self.stripe.faults.clear()
		past = frappe.utils.add_to_date(frappe.utils.now_datetime(), seconds=-1)
		frappe.db.sql("UPDATE `tabRecharge` SET `next_try_at` = %s WHERE `name` = %s", (past, recharge))
		frappe.db.sql(
			"UPDATE `tabRecharge Attempt` SET `next_ask_at` = %s WHERE `recharge` = %s", (past, recharge)
		)
		frappe.db.commit()
		self.assertIn(recharge, due("close_up"))
		self.assertEqual(worker.close_up(recharge), "closed")
		self.assertEqual(self.page_status(recharge), "expired")
		self.assertEqual(worker.close_up(recharge), "closed")

	def test_cancelled_in_the_desk_it_is_closed_at_the_gateway_too(self):
		_account, recharge, _token = self.waiting(page=True)
		frappe.get_doc("Recharge", recharge).cancel()
		frappe.db.commit()
		self.assertEqual(worker.close_up(recharge), "closed")
		self.assertEqual(self.page_status(recharge), "expired")

	def test_a_payment_that_is_being_made_or_has_ended_is_not_cancelled(self):
		account, paid = self.paid("100")
		with self.assertRaises(InvalidRequestError):
			api.cancel(paid)
		recharge = by_hand.start(account, 50, frappe.generate_hash())["recharge"]
		frappe.db.commit()
		self.stripe.faults.lost_before("POST /v1/payment_intents")
		self.assertEqual(self.work(recharge), "waiting")
		with self.assertRaises(InvalidRequestError) as refused:
			api.cancel(recharge)
		self.assertEqual(refused.exception.code, "cannot_cancel")
		self.assertEqual(self.row("Recharge", recharge).status, "Charging")

	def test_one_that_waits_for_its_worker_is_cancelled_and_asks_no_card(self):
		account, _paid = self.paid("100")
		recharge = by_hand.start(account, 50, frappe.generate_hash())["recharge"]
		frappe.db.commit()
		asked = len(self.stripe.intents())
		self.assertEqual(api.cancel(recharge)["status"], "Cancelled")
		self.assertEqual(self.work(recharge), "Cancelled")
		self.assertEqual(len(self.stripe.intents()), asked)

	def test_nobody_came_the_page_is_closed_before_the_recharge_fails(self):
		account, recharge, _token = self.waiting(page=True)
		long_ago = frappe.utils.add_to_date(frappe.utils.now_datetime(), days=-4)
		frappe.db.sql(
			"UPDATE `tabRecharge` SET `creation` = %s, `next_try_at` = %s WHERE `name` = %s",
			(long_ago, long_ago, recharge),
		)
		frappe.db.sql(
			"UPDATE `tabRecharge Attempt` SET `created_at` = %s WHERE `recharge` = %s", (long_ago, recharge)
		)
		frappe.db.commit()
		work_off("expire_action", recharge)
		self.assertEqual(self.work(recharge), "Failed")
		self.assertEqual(self.page_status(recharge), "expired")
		self.assertIsNone(self.value("Credit Account", account, "open_recharge"))

	def test_the_link_shows_what_is_to_be_paid_and_nothing_of_whose_it_is(self):
		_account, recharge, token = self.waiting(page=True)
		self.assertEqual(
			confirm.show(token),
			{
				"status": "Action Required",
				"status_shown": "waits for your confirmation",
				"waiting": True,
				"paid": False,
				"amount": "$ 460.00",
			},
		)
		self.stripe.control("complete_checkout", session=self.page_of(recharge), number=GOOD)
		frappe.set_user("Guest")
		shown = api.confirm_finish(token)
		self.assertEqual(
			shown,
			{
				"status": "Succeeded",
				"status_shown": "paid",
				"waiting": False,
				"paid": True,
				"amount": "$ 460.00",
			},
		)
		frappe.set_user("Administrator")
		(page,) = self.stripe.all("checkout.session", id=self.page_of(recharge))
		customer = self.value("Recharge", recharge, "customer")
		self.assertNotIn(customer, str(page["_intent_data"] if "_intent_data" in page else page))
