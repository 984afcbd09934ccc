"""The book, payments and cards are written by movements and by the gateway: no form and no request does it.

Who may do what besides, by which way, is the door matrix (tests/doors).
"""

from contextlib import suppress

import frappe

from crm_recharge.doors.guard import by_machine
from crm_recharge.tests.compat import BenchTestCase
from crm_recharge.tests.factories import give, make_account, make_user

MANAGERS = ("System Manager", "Credit Manager")


class TestNobodyWritesTheBook(BenchTestCase):
	def setUp(self):
		super().setUp()
		frappe.set_user("Administrator")
		self.addCleanup(self.leave_nothing)

	def card(self, account: str) -> str:
		"""A card of `account`, as the gateway would have told of it."""
		card = frappe.new_doc("Recharge Card")
		card.update({"credit_account": account, "payment_method": f"pm_{frappe.generate_hash(length=12)}"})
		card.update({"brand": "visa", "last4": "4242"})
		return by_machine(card).insert().name

	def leave_nothing(self):
		frappe.set_user("Administrator")
		frappe.db.rollback()
		frappe.clear_messages()

	def is_refused(self, call) -> bool:
		"""Whether `call` is refused for want of rights; any other outcome means that it was let in."""
		frappe.db.savepoint("permission_case")
		# frappe.only_for lets everybody in while tests run.
		frappe.flags.in_test = False
		try:
			call()
		except frappe.PermissionError as error:
			# A closed account answers 403 too, but not for want of rights.
			return getattr(error, "code", None) is None
		except frappe.ValidationError:
			return False
		finally:
			frappe.flags.in_test = True
			frappe.db.rollback(save_point="permission_case")
			frappe.clear_messages()
		return False

	def test_a_ledger_row_is_refused_to_every_role_in_every_way(self):
		account = make_account()
		entry = give(account, 10)["entry"]
		for role in (*MANAGERS, "Credit API"):
			with self.subTest(role=role):
				frappe.set_user("Administrator")
				frappe.set_user(make_user(role))
				row = frappe.get_doc("Credit Ledger", entry)
				row.amount = 1000
				self.assertTrue(self.is_refused(row.save))
				self.assertTrue(
					self.is_refused(lambda entry=entry: frappe.delete_doc("Credit Ledger", entry))
				)
				self.assertTrue(
					self.is_refused(lambda: frappe.client.set_value("Credit Ledger", entry, "note", "x"))
				)
				self.assertTrue(
					self.is_refused(
						lambda: frappe.client.insert(
							{
								"doctype": "Credit Ledger",
								"credit_account": account,
								"entry_type": "Grant",
								"amount": 5,
							}
						)
					)
				)

	def test_a_form_cannot_set_a_balance(self):
		account = make_account(balance=1000, sequence=7)
		self.assertEqual(frappe.db.get_value("Credit Account", account, ["balance", "sequence"]), (0, 0))
		give(account, 10)
		form = frappe.get_doc("Credit Account", account)
		give(account, 5)
		form.balance, form.status_reason = 9999, "changed by a form"
		form.save()
		self.assertEqual(frappe.db.get_value("Credit Account", account, "balance"), 15)
		self.assertEqual(form.balance, 15)
		self.assertEqual(form.status_reason, "changed by a form")

	def test_a_recharge_takes_status_and_payment_from_nobody(self):
		account = make_account()
		frappe.set_user(make_user("Credit Manager"))
		made = frappe.client.insert(
			{
				"doctype": "Recharge",
				"credit_account": account,
				"amount": 20,
				"status": "Queued",
				"settled_intent": "pi_forged",
			}
		)
		name = made["name"] if isinstance(made, dict) else made.name
		self.assertEqual(frappe.db.get_value("Recharge", name, ["status", "settled_intent"]), ("Draft", None))
		doc = frappe.get_doc("Recharge", name)
		doc.status, doc.settled_intent, doc.amount = "Queued", "pi_forged", 25
		doc.save()
		self.assertEqual(
			frappe.db.get_value("Recharge", name, ["status", "settled_intent", "amount"]), ("Draft", None, 25)
		)

	def test_a_submitted_recharge_cannot_be_declared_paid(self):
		name = self.submitted_recharge()
		fields = ["status", "settled_intent", "balance_after", "amount"]
		before = frappe.db.get_value("Recharge", name, fields)
		frappe.set_user(make_user("Credit Manager"))
		for field, value in zip(fields, ("Succeeded", "pi_forged", 1000, 1), strict=True):
			# Refused, or put back to what it was.
			with self.subTest(field=field), suppress(frappe.UpdateAfterSubmitError):
				frappe.client.set_value("Recharge", name, field, value)
			self.assertEqual(frappe.db.get_value("Recharge", name, fields), before)

	def submitted_recharge(self) -> str:
		account = make_account()
		doc = frappe.get_doc(
			{"doctype": "Recharge", "credit_account": account, "amount": 20, "card": self.card(account)}
		)
		doc.insert()
		doc.submit()
		return doc.name

	def test_a_card_is_not_saved_past_the_gateway(self):
		account = make_account()
		forged = {"doctype": "Recharge Card", "credit_account": account, "payment_method": "pm_forged"}
		for role in (*MANAGERS, "Credit API"):
			with self.subTest(role=role):
				frappe.set_user("Administrator")
				frappe.set_user(make_user(role))
				self.assertTrue(self.is_refused(lambda: frappe.client.insert(dict(forged))))
