"""A card that is entered again is the card it was: one record, one payment method at the gateway, the newer details."""

import frappe

from crm_recharge.api import portal
from crm_recharge.api import recharge as rest
from crm_recharge.recharge import cards
from crm_recharge.tests import factories
from crm_recharge.tests.support.money_case import GatewayTestCase

VISA, MASTERCARD = "4242424242424242", "5555555555554444"


class TestCardsEnteredAgain(GatewayTestCase):
	def setUp(self):
		super().setUp()
		self.one = self.account("1000")
		self.customer = cards.gateway_customer(self.one)

	def method(self, number=VISA, **more) -> str:
		return self.stripe.make_card(self.customer, number, **more)

	def saved(self, account=None) -> list[dict]:
		frappe.db.rollback()
		return frappe.get_all(
			"Recharge Card",
			{"credit_account": account or self.one},
			["name", "payment_method", "status", "exp_year", "last4"],
			order_by="creation",
		)

	def attached(self) -> list[str]:
		"""What the customer has at the gateway."""
		return [card.payment_method for card in self.stripe.gateway().list_cards(self.customer)]

	def test_it_stays_one_card_with_the_newer_details(self):
		first = cards.save(self.one, self.method(exp_year=2030))
		setting = factories.make_setting(self.one, [first])
		frappe.db.commit()
		again = self.method(exp_year=2036)
		self.assertEqual(cards.save(self.one, again), first)
		(card,) = self.saved()
		self.assertEqual((card.payment_method, card.exp_year, card.status), (again, 2036, "Active"))
		self.assertEqual(self.attached(), [again])
		self.assertEqual(
			[row.card for row in frappe.get_doc("Auto-Recharge Setting", setting).cards], [first]
		)
		# Whoever still holds the first id cannot bring it back.
		self.assertEqual(cards.save(self.one, again), first)
		self.assertEqual(len(self.saved()), 1)

	def test_older_details_do_not_replace_newer_ones(self):
		method = self.method(exp_year=2036)
		first = cards.save(self.one, method)
		self.assertEqual(cards.save(self.one, self.method(exp_year=2030)), first)
		(card,) = self.saved()
		self.assertEqual((card.payment_method, card.exp_year), (method, 2036))
		self.assertEqual(self.attached(), [method])

	def test_one_that_could_not_be_charged_any_more_can_be_again(self):
		first = cards.save(self.one, self.method(exp_year=2030))
		factories.make_setting(self.one, [first])
		for status in ("Expired", "Permanently Declined"):
			frappe.db.set_value("Recharge Card", first, "status", status)
			frappe.db.set_value("Auto-Recharge Card", {"card": first}, "card_status", status)
			frappe.db.commit()
			self.assertEqual(cards.save(self.one, self.method(exp_year=2035)), first)
			self.assertEqual([card.status for card in self.saved()], ["Active"])
			self.assertEqual(
				frappe.db.get_value("Auto-Recharge Card", {"card": first}, "card_status"), "Active"
			)

	def test_another_number_another_account_and_a_removed_card_are_other_cards(self):
		first = cards.save(self.one, self.method())
		other = cards.save(self.one, self.method(MASTERCARD))
		self.assertNotEqual(first, other)
		two = self.account()
		theirs = cards.save(two, self.stripe.make_card(cards.gateway_customer(two), VISA))
		self.assertNotIn(theirs, (first, other))
		cards.remove(first)
		again = cards.save(self.one, self.method())
		frappe.db.commit()
		self.assertNotIn(again, (first, other))
		self.assertEqual(
			[(card.last4, card.status) for card in self.saved()],
			[("4242", "Removed"), ("4444", "Active"), ("4242", "Active")],
		)

	def test_portal_desk_and_webhook_know_it_alike(self):
		owner = self.user()
		frappe.db.set_value("Credit Account", self.one, "account_owner", owner)
		frappe.db.commit()
		first = rest.save_card(self.one, self.method())["card"]
		self.assertEqual(rest.save_card(self.one, self.method())["card"], first)
		frappe.set_user(owner)
		self.assertEqual(portal.save_card(self.one, self.method())["card"], first)
		frappe.set_user("Administrator")
		setup = self.confirmed_setup()
		self.assertEqual(cards.follow_setup(setup), first)
		self.assertEqual(cards.follow_setup(setup), "known")
		self.assertEqual(rest.finish_card_setup(self.one, setup)["card"], first)
		self.assertEqual(len(self.saved()), 1)
		self.assertEqual(len(self.attached()), 1)

	def confirmed_setup(self) -> str:
		"""A SetupIntent that the card holder has finished with the Visa card."""
		setup = self.stripe.gateway().create_setup_intent(self.customer, key=frappe.generate_hash(length=8))[
			0
		]
		self.stripe.control("confirm_setup", setup_intent=setup, number=VISA)
		return setup

	def test_a_form_that_is_finished_twice_gives_the_card_twice_also_where_it_was_the_spare(self):
		first = cards.save(self.one, self.method(exp_year=2040))
		setup = self.confirmed_setup()
		self.assertEqual(rest.finish_card_setup(self.one, setup)["card"], first)
		self.assertEqual(rest.finish_card_setup(self.one, setup)["card"], first)
		self.assertEqual(cards.follow_setup(setup), first)
		self.assertEqual([card.exp_year for card in self.saved()], [2040])
		self.assertEqual(len(self.attached()), 1)

	def test_a_gateway_that_does_not_answer_leaves_a_trace_and_the_card(self):
		first = cards.save(self.one, self.method(exp_year=2030))
		self.stripe.faults.error_before("POST /v1/payment_methods/*/detach")
		self.assertEqual(cards.save(self.one, self.method(exp_year=2036)), first)
		self.assertEqual([card.exp_year for card in self.saved()], [2036])
		self.assertTrue(frappe.db.exists("Error Log", {"reference_name": first}))
