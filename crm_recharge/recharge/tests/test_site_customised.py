"""What the site's forms ask for is asked of people: usage, cards and money go on, under the names the gateway knows."""

from decimal import Decimal as D

import frappe
from frappe.utils import now_datetime

from crm_recharge.doors.guard import new
from crm_recharge.recharge import differences, refunds
from crm_recharge.recharge.tests.takeback_case import TakebackCase
from crm_recharge.tests.case import GOOD
from crm_recharge.tests.factories import make_customer

RECORDS = (
	"Gateway Difference",
	"Recharge",
	"Recharge Attempt",
	"Recharge Card",
	"Recharge Decision",
	"Recharge Dispute",
	"Recharge Refund",
)
"""What the app writes while credits are used, paid, refunded and disputed."""


class TestSiteCustomised(TakebackCase):
	def setUp(self):
		super().setUp()
		# Before anything is made, so that it runs after all of that is deleted.
		self.addCleanup(self.fresh)

	def fresh(self) -> None:
		frappe.clear_cache()
		frappe.local.new_doc_templates = {}

	def make(self, **values) -> None:
		doc = frappe.get_doc(values).insert(ignore_permissions=True)
		frappe.db.commit()
		self.addCleanup(self.delete, doc.doctype, doc.name)
		self.fresh()

	def delete(self, doctype: str, name: str) -> None:
		frappe.db.rollback()
		frappe.delete_doc(doctype, name, force=True, ignore_permissions=True)
		frappe.db.commit()

	def set_property(self, doctype: str, field: str, **properties) -> None:
		for name, value in properties.items():
			self.make(
				doctype="Property Setter",
				doctype_or_field="DocField",
				doc_type=doctype,
				field_name=field,
				property=name,
				property_type="Text",
				value=str(value),
			)

	def lives(self) -> str:
		"""100 credits, 60 used, recharged, 10 refunded, disputed: ledger, lots and gateway agree. Returns the recharge."""
		account = self.account_with(GOOD, balance=100)
		self.use(account, 60)
		(recharge,) = self.open_recharges(account)
		self.assertEqual(self.work(recharge), "Succeeded")
		self.assertEqual((self.balance(account), self.captured(account)), (D(500), D(460)))
		refund = self.refund(recharge, "10")
		self.assertEqual(refunds.carry_out(refund), "Succeeded")
		dispute = self.stripe.control("dispute", intent=self.intent(recharge), amount=None, inquiry=False)
		self.assertEqual(self.deliver("charge.dispute.created", dispute), "Open")
		self.assertEqual((self.balance(account), self.lot(recharge)), (D(40), (D(0), D(460))))
		for doctype, name in (("Recharge Refund", refund), ("Recharge Dispute", dispute["id"])):
			self.assertEqual(self.row(doctype, name).accounting_status, "Pending")
		self.assert_books(account)
		return recharge

	def test_fields_made_mandatory_refuse_no_usage_and_lose_no_payment(self):
		for doctype in RECORDS:
			self.make(
				doctype="Custom Field",
				dt=doctype,
				fieldname="own_thing",
				label="Own Thing",
				fieldtype="Data",
				reqd=1,
			)
		self.set_property("Recharge", "card", reqd=1)
		self.set_property("Recharge Refund", "message", reqd=1)
		self.lives()

	def test_a_custom_field_gets_its_own_default(self):
		self.make(
			doctype="Custom Field",
			dt="Recharge",
			fieldname="own_thing",
			label="Own Thing",
			fieldtype="Data",
			reqd=1,
			default="Web",
		)
		self.assertEqual(self.value("Recharge", self.lives(), "own_thing"), "Web")

	def test_defaults_of_forms_and_users_say_nothing_of_a_payment(self):
		for doctype, field, default in (
			("Recharge", "settled_intent", "pi_of_another"),
			("Recharge", "captured_amount", "5"),
			("Recharge", "accounting_status", "Done"),
			("Recharge Attempt", "status", "Declined"),
			("Recharge Refund", "gateway_refund", "re_of_another"),
			("Recharge Refund", "accounting_status", "Done"),
			("Recharge Dispute", "taken", "5"),
			("Recharge Dispute", "accounting_status", "Done"),
		):
			self.set_property(doctype, field, default=default)
		account = self.account_with(GOOD, balance=0, enabled=False)
		(card,) = frappe.get_all("Recharge Card", {"credit_account": account}, pluck="name")
		frappe.defaults.set_user_default("card", card, "Administrator")
		frappe.db.commit()
		self.addCleanup(frappe.db.commit)
		self.addCleanup(frappe.defaults.clear_user_default, "card", "Administrator")
		self.fresh()
		self.lives()

	def test_what_has_no_currency_here_is_not_said_to_be_in_the_sites(self):
		self.assertTrue(frappe.db.get_default("currency"))
		subject = f"pi_{frappe.generate_hash(length=12)}"
		name = differences.write("missing_at_gateway", subject, "test", currency="XQQ", tell=False)
		self.assertFalse(frappe.db.get_value("Gateway Difference", name, "currency"))

	def test_options_and_signs_of_the_forms(self):
		self.set_property("Recharge", "status", options="Waiting\nPaid")
		self.set_property("Recharge", "amount", non_negative=1, precision=0)
		self.set_property("Credit Ledger", "amount", non_negative=1)
		self.lives()

	def test_naming_rules_leave_the_names_that_the_gateway_and_the_app_go_by(self):
		for doctype in ("Recharge", "Recharge Refund", "Auto-Recharge Setting"):
			self.make(
				doctype="Document Naming Rule",
				document_type=doctype,
				prefix=f"N{frappe.generate_hash(length=4)}-",
				prefix_digits=5,
			)
		recharge = self.lives()
		self.assertTrue(recharge.startswith("RC-"), recharge)
		account = self.value("Recharge", recharge, "credit_account")
		self.assertTrue(frappe.db.exists("Auto-Recharge Setting", f"ARS-{account}"))

	def test_fields_made_mandatory_in_rows_that_the_app_writes(self):
		self.make(
			doctype="Custom Field",
			dt="Reorder Message Item",
			fieldname="own_thing",
			label="Own Thing",
			fieldtype="Data",
			reqd=1,
		)
		message = new("Reorder Message", {"customer": make_customer(), "sent_at": now_datetime()})
		message.append("items", {"item_code": frappe.get_all("Item", pluck="name", limit=1)[0]})
		message.insert(ignore_permissions=True)
		self.assertTrue(frappe.db.exists("Reorder Message Item", {"parent": message.name}))
